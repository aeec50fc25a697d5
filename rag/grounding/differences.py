"""Differences between a claim and its evidence: other numbers, negations, antonyms, subjects or order."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise

from rag.grounding.order import exchanged
from rag.grounding.statements import Statement, content
from rag.grounding.tokens import Token, contains, same
from rag.grounding.vocabulary import (
    ANTONYMS,
    CJK_NEGATIONS,
    COPULAS,
    EVERY,
    IMPLIED_NEGATIONS,
    MEASURE_STEMS,
    NEGATIONS,
    RATES,
    SAME_SIDE,
)
from rag.text.language import ENGLISH, stem, word_frequencies

_SUPERLATIVES = frozenset(["most", "least", "best", "worst", "first", "last"])
_DOERS = frozenset(["i", "we", "you", "he", "she", "they"])
_BETWEEN = (
    "paid pay owe owed gave give sent lent hired told asked helped taught invited thanked elected chose sued beat"
    " employed appointed warned fined called"
)
_BETWEEN_PEOPLE = frozenset(map(stem, _BETWEEN.split()))
"""Stems of what people do to each other."""
_CONDITIONS = frozenset(["if", "when", "wenn", "falls", "cuando", "si", "quand", "lorsque"])
_NEGATIVE_PREFIX = re.compile(r"(?:un|in|im|ir|il|dis|non|mis)(?=\w{4})")


def differences(claim: Statement, evidence: Statement, given: Collection[Token] = ()) -> Iterator[str]:
    """The differences in words for people. Those about a single word, name or number start with "the ".

    `given` are words of the claim that the evidence need not have.
    """
    nearest = [_nearest(clause, evidence) for clause in claim.clauses]
    yield from _numbers(claim, evidence, given)
    yield from _rates(claim, evidence)
    yield from _negations(claim, evidence)
    yield from _cjk_negations(claim, evidence)
    for clause, other in zip(claim.clauses, nearest, strict=True):
        yield from _antonyms([token for token in clause if token not in given], other, evidence)
    yield from _negative_prefixes(claim, evidence)
    yield from _superlatives(claim, evidence)
    yield from _conditions(claim, evidence)
    yield from _subjects(claim, evidence)
    yield from _only_in_brackets(claim, evidence)
    yield from _done_to(claim, evidence)
    yield from exchanged(claim, evidence, nearest)


def _forms(tokens: Sequence[Token]) -> set[str]:
    """The folded words."""
    return {token.folded for token in tokens}


def _nearest(clause: Sequence[Token], evidence: Statement) -> tuple[Token, ...]:
    """The clause of the evidence that has most words of this one, and fewest antonyms."""
    return max(evidence.clauses, key=lambda other: _overlap(clause, other), default=())


def _overlap(clause: Sequence[Token], other: Sequence[Token]) -> int:
    """Words of `clause` that `other` has, or has a near synonym of, less those that it has an antonym of."""
    there = _forms(other)
    overlap = 0
    for token in clause:
        if (token.is_content and contains(other, token)) or SAME_SIDE.get(token.folded, frozenset()) & there:
            overlap += 1
        elif ANTONYMS.get(token.folded, frozenset()) & there:
            overlap -= 1
    return overlap


def _numbers(claim: Statement, evidence: Statement, given: Collection[Token]) -> Iterator[str]:
    """Numbers of the claim that the evidence lacks, or has with another unit of measure."""
    numbers = [token for token in evidence.tokens if token.values]
    for token, following in zip(claim.tokens, [*claim.tokens[1:], None], strict=True):
        if token in given:
            continue
        if token.folded == "one":
            if following and _has_other_count(following, evidence):
                yield 'the number "one"'
        elif token.values and not contains(numbers, token):
            yield f"the number {token.text}{'%' if token.unit == '%' and '%' not in token.text else ''}"
        elif (
            token.values and following and following.stem in MEASURE_STEMS and not contains(evidence.tokens, following)
        ):
            yield f'"{token.text} {following.text}"'


def _rates(claim: Statement, evidence: Statement) -> Iterator[str]:
    """Numbers that the claim has as a rate, "every 10 minutes", where the evidence speaks of no rate at all."""
    if not RATES & _forms(evidence.tokens):
        for token, following in pairwise(claim.tokens):
            if token.folded in EVERY and following.values and following.folded != "one":
                yield f'"{token.text} {following.text}"'


def _has_other_count(noun: Token, evidence: Statement) -> bool:
    """Whether the evidence has a number other than "one" within two words before the noun."""
    return noun.is_content and any(
        before.values and before.folded != "one"
        for place, token in enumerate(evidence.tokens)
        if same(noun, token)
        for before in evidence.tokens[max(0, place - 2) : place]
    )


def _negated(statement: Statement) -> list[list[Token]]:
    """For each negation, the content words that it negates: up to four after it in its clause, or else two before."""
    scopes = []
    for clause in statement.clauses:
        for index, token in enumerate(clause):
            if token.folded in NEGATIONS or token.text.endswith(("n't", "n’t")):
                scopes.append([*content(clause[index + 1 :])[:4]] or [*content(clause[:index])[-2:]])
    return scopes


def _negations(claim: Statement, evidence: Statement) -> Iterator[str]:
    """Words that one of the two negates and the other does not."""
    ours, theirs = _negated(claim), _negated(evidence)
    here, there = _forms(claim.tokens), _forms(evidence.tokens)
    for scope in ours:
        if any(contains(other, token) for token in scope for other in theirs) or (theirs and not scope):
            continue
        # "Not large" can mean small, and "does not have" can mean lacks.
        antonym = any(ANTONYMS.get(token.folded, frozenset()) & (there - here) for token in scope)
        if theirs or not (antonym or IMPLIED_NEGATIONS & (there - here)):
            yield "the negation"
    for scope in theirs:
        negated_here = any(contains(other, token) for token in scope for other in ours)
        if not scope or negated_here or IMPLIED_NEGATIONS & (here - there):
            continue
        affirmed = sum(contains(claim.tokens, token) for token in scope)
        if contains(claim.tokens, scope[0]) and affirmed >= min(2, len(scope)):
            yield "a negation is left out"


def _cjk_negations(claim: Statement, evidence: Statement) -> Iterator[str]:
    """Chinese and Japanese negating characters that one of the two has and the other has not."""
    for sign in CJK_NEGATIONS:
        here = any(sign in token.text for token in claim.tokens)
        there = any(sign in token.text for token in evidence.tokens)
        if here and not there:
            yield "the negation"
        elif there and not here:
            pairs = zip(evidence.tokens, evidence.tokens[1:], strict=False)
            if any(token.text.startswith(sign) and contains(claim.tokens, following) for token, following in pairs):
                yield "a negation is left out"


def _antonyms(clause: Sequence[Token], nearest: Sequence[Token], evidence: Statement) -> Iterator[str]:
    """Words of a clause whose antonym stands in the nearest clause of the evidence, or else anywhere in it."""
    here, near, anywhere = _forms(clause), _forms(nearest), _forms(evidence.tokens)
    if NEGATIONS & (here | near):
        return
    for token in clause:
        if token.folded not in ANTONYMS:
            continue
        alike = SAME_SIDE[token.folded]
        against = ANTONYMS[token.folded] - alike
        if _modifies_otherwise(token, clause, nearest):
            yield f'the word "{token.text}"'
        if alike & near:
            continue
        if against & near - here or (not alike & anywhere and against & anywhere - here):
            yield f'the word "{token.text}"'


def _modifies_otherwise(token: Token, clause: Sequence[Token], nearest: Sequence[Token]) -> bool:
    """Whether the content word after `token` has an antonym of `token` before it in `nearest`: small, large gains."""
    following = next(iter(content(clause[clause.index(token) + 1 :])), None)
    if following is None or following.folded in ANTONYMS:
        return False
    before = [
        _forms(nearest[max(0, place - 2) : place]) for place, other in enumerate(nearest) if same(following, other)
    ]
    alike = SAME_SIDE[token.folded]
    against = ANTONYMS[token.folded] - alike
    return any(forms & against for forms in before) and not any(forms & alike for forms in before)


def _negative_prefixes(claim: Statement, evidence: Statement) -> Iterator[str]:
    """Words such as "unsafe" in one of the two, if the other has "safe"."""
    if NEGATIONS & (_forms(claim.tokens) | _forms(evidence.tokens)):
        return
    for one, other in ((claim, evidence), (evidence, claim)):
        here, there = {token.stem for token in one.tokens}, {token.stem for token in other.tokens}
        for token in one.tokens:
            bare = _NEGATIVE_PREFIX.sub("", token.folded, count=1)
            if bare != token.folded and token.stem not in there and stem(bare) in there - here:
                yield f'the word "{token.text}"'


def _conditions(claim: Statement, evidence: Statement) -> Iterator[str]:
    """The condition that the claim begins with, if the evidence begins with another one."""
    ours, theirs = claim.clauses[0], (evidence.parts[0] if evidence.parts else evidence).clauses[0]
    if len(claim.clauses) > 1 and all(tokens and tokens[0].folded in _CONDITIONS for tokens in (ours, theirs)):
        words = content(ours)
        if sum(contains(theirs, token) for token in words) < len(words) / 2:
            yield "the condition"


def _superlatives(claim: Statement, evidence: Statement) -> Iterator[str]:
    """Superlatives of the claim whose noun has another one before it in the evidence: the most tickets, the longest."""
    for token, noun in pairwise(claim.tokens):
        if _is_superlative(token) and noun.is_content:
            before = [one for one, other in pairwise(evidence.tokens) if same(noun, other) and _is_superlative(one)]
            if before and not contains(before, token):
                yield f'the word "{token.text}"'


def _is_superlative(token: Token) -> bool:
    """Whether it is one, such as "longest": English has "longer", too."""
    word = token.folded
    return word in _SUPERLATIVES or (word.endswith("est") and f"{word[:-3]}er" in word_frequencies(ENGLISH))


def _subjects(claim: Statement, evidence: Statement) -> Iterator[str]:
    """Names and subjects of the claim, if the evidence says the same about another one."""
    parts = [part.tokens for part in evidence.parts] or evidence.clauses
    for clause in claim.clauses:
        words = content(clause)
        if len(words) < 2 or len(parts) < 2:
            continue
        subject = words[0]
        overlaps = [_overlap(words[1:], part) for part in parts]
        most = max(overlaps)
        said = max(zip(overlaps, parts, strict=True), key=lambda each: (each[0], contains(each[1], subject)))[1]
        if any(token.is_name and not contains(claim.tokens, token) for token in said):
            yield from (f'the name "{token.text}"' for token in words if token.is_name and not contains(said, token))
        own = max(
            (overlap for overlap, part in zip(overlaps, parts, strict=True) if contains(part, subject)), default=0
        )
        if most < max(own + 1, min(2, len(words) - 1)):
            continue
        other = next(iter(content(said)), None)
        if other is None or contains(words, other):
            continue
        if evidence.parts or (contains(evidence.tokens, subject) and contains(claim.tokens, other)):
            yield f'"{subject.text}"'


def _only_in_brackets(claim: Statement, evidence: Statement) -> Iterator[str]:
    """The name that the claim tells of, if the evidence has it in brackets beside something else.

    "Ann chose the blue one" is not supported by "It is to be the blue one, one against (Ann)". What is short for the
    words before it ("... (OCR)") is told of in the whole sentence, and so is whom a later clause means by "she".
    """
    subject, *others = claim.content
    if not subject.is_name or subject.text.isupper():
        return
    inside = [
        token for token in evidence.tokens if any(start <= token.start < end for start, end in evidence.bracketed)
    ]
    if not contains(inside, subject):
        return
    beside = next((clause for clause in evidence.clauses if contains(clause, subject)), ())
    said = [token for token in others if not token.is_name and contains(evidence.tokens, token)]
    meant = any(clause and clause[0].folded in _DOERS for clause in evidence.clauses)
    if said and not meant and not any(contains(beside, token) for token in said):
        yield f'the name "{subject.text}"'


def _done_to(claim: Statement, evidence: Statement) -> Iterator[str]:
    """Who does something in the claim, if it is done to them in the evidence.

    "The dentist paid" is not supported by "I paid the dentist". Only for what is done between people: "The shop opened"
    says the same as "They opened the shop".
    """
    for who, verb, after in zip(claim.tokens, claim.tokens[1:], [*claim.tokens[2:], None], strict=False):
        if verb.stem not in _BETWEEN_PEOPLE or not who.is_content or (after and after.folded in COPULAS):
            continue
        for doer, same_verb in pairwise(evidence.tokens):
            if doer.folded not in _DOERS or not same(verb, same_verb):
                continue
            later = [token for token in evidence.tokens if token.start > same_verb.start]
            before = [token for token in evidence.tokens if token.start < same_verb.start]
            if contains(later, who) and not contains(before, who):
                yield f'"{who.text}"'
