"""Find the sentence of a passage that supports each sentence of an answer, without asking a chat model.

    ground -> segments and tokenizer (words), passages (candidates), differences (words), similarity (vectors)

Words decide first: the passage must have the same numbers, names, negations and order. If it lacks other words, vectors
decide whether it says the same in other words.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from rag.errors import RagError
from rag.grounding.differences import differences
from rag.grounding.passages import MOST_SENTENCES, Candidate, Passage, candidates, parsed, tokenized
from rag.grounding.segments import LONGEST_READ, is_question, makes_no_claim, split_segments, wording
from rag.grounding.similarity import most_similar
from rag.grounding.statements import Statement, content, parse
from rag.grounding.tokenizer import tokenize
from rag.grounding.tokens import Token, capitalised, contains, same, with_names
from rag.grounding.vocabulary import COPULAS

__all__ = ["Sentence", "ground"]

log = logging.getLogger(__name__)

LONGEST_EMBEDDED = 600
"""Characters of the longest sentence that is compared by its vector; a candidate may have twice as many."""
COMPARED_BY_WORDS = 6
COMPARED_BY_VECTORS = 2
"""Candidates for one sentence: those with most of its words."""
LEAST_TO_EXPLAIN = 0.5
"""Share of a sentence's words that a candidate has to have for its difference to be told."""
LONGEST_SUBJECT = 3
"""Content words of a candidate's subject that is compared with the claim's; more before a common word are a clause."""
SHORT_ANSWER = 2
"""Content words of an answer such as "Twenty-five.", which means something together with its question only."""
_PRONOUNS = frozenset(("it", "they", "this", "these", "its", "their", "he", "she", "his", "her", "that", "those"))


@dataclass(frozen=True)
class Sentence:
    """A sentence of an answer, `answer[start:end]`, and its support.

    Attributes:
        start: offset in the answer.
        end: the same.
        passage: number of the passage that supports it, from 1; None if none does.
        quote: start and end of the supporting sentence, or two, in the passage's `page_content`.
        words: start and end of each supporting word there, in order.
        claims: False if it needs no support: a heading, a question, "I do not know".
        why: the one thing that the passages lack, in words for people; "" if it is not one thing.
    """

    start: int
    end: int
    passage: int | None = None
    quote: tuple[int, int] | None = None
    words: tuple[tuple[int, int], ...] = ()
    claims: bool = True
    why: str = ""


def ground(answer: str, passages: Sequence[Document], embeddings: Embeddings, question: str = "") -> list[Sentence]:
    """The sentences of an answer, in order, each with the passage that supports it best.

    One passage has to support the whole sentence. Its numbers have to stand in the quoted sentence, its names there or
    before it: in the passage's heading or the three sentences before. `question` completes answers such as "Three.";
    what a sentence has from it need not stand in the passage again. If the embeddings fail, words decide alone.
    """
    segments = split_segments(answer)[:MOST_SENTENCES]
    texts = [wording(answer[segment.start : segment.end]) for segment in segments]
    tokens = [tokenize(text) if len(text) <= LONGEST_READ else [] for text in texts]
    names = capitalised(chain(*tokens, *(row for passage in passages for row in tokenized(passage).tokens)))
    read = [parsed(passage, names) for passage in passages]
    asked = with_names(tokenize(question), names)
    sentences = []
    subject: Token | None = None
    for segment, text, row in zip(segments, texts, tokens, strict=True):
        sentence = Sentence(segment.start, segment.end)
        if len(text) <= LONGEST_READ:
            claim = parse(text, names, row)
            if segment.kind in ("heading", "rule") or not claim.content or is_question(text):
                sentence = replace(sentence, claims=False)
            else:
                sentence = _with_support(sentence, text, claim, _Context(read, subject, asked), embeddings)
                subject = next((token for token in claim.tokens if token.is_name), subject)
        sentences.append(sentence)
    return sentences


@dataclass(frozen=True)
class _Context:
    """The passages, the last name before a sentence (`subject`), and the tokens of the question (`asked`)."""

    passages: Sequence[Passage]
    subject: Token | None
    asked: Sequence[Token]


def _with_support(
    sentence: Sentence, text: str, claim: Statement, context: _Context, embeddings: Embeddings
) -> Sentence:
    """The sentence with the candidate that supports it, or with the reason why none does."""
    is_short = bool(context.asked) and len(claim.content) <= SHORT_ANSWER
    found = sorted(candidates(claim, context.passages, context.asked), key=lambda each: (-each.coverage, -each.shared))
    if is_short:
        found.sort(key=lambda each: (-each.coverage, -_share(context.asked, each.statement)))
    agreeing = []
    why = ""
    for candidate in found[:COMPARED_BY_WORDS]:
        reasons = [
            *_other_names(claim, candidate, context.subject),
            *_other_subjects(claim, candidate),
            *differences(claim, candidate.statement, candidate.given),
        ]
        if not reasons:
            agreeing.append(candidate)
        elif not why and candidate.coverage >= LEAST_TO_EXPLAIN:
            why = next((reason for reason in reasons if reason.startswith("the ")), "")
    chosen, missing = next((each for each in found if each.says_the_same(claim)), None), ""
    if chosen is None and is_short:
        chosen = _answering(agreeing, context.asked)
    elif chosen is None:
        chosen, missing = _supporting(text, claim, agreeing, embeddings)
    if chosen is None:
        if makes_no_claim(text) or (text.rstrip(" *_").endswith((":", "：")) and not _is_specific(claim)):
            return replace(sentence, claims=False)
        return replace(sentence, why=why or missing)
    words = sorted({(other.start, other.end) for _, other in chosen.alignment if other is not None})
    return replace(sentence, passage=chosen.number, quote=chosen.quote, words=tuple(words))


def _is_specific(claim: Statement) -> bool:
    """Whether it has a name or a number."""
    return any(token.is_name or token.values for token in claim.tokens)


def _other_names(claim: Statement, candidate: Candidate, subject: Token | None) -> Iterator[str]:
    """Names of the claim that the candidate lacks, and signs that the two have different subjects.

    A name may stand before the candidate, in the heading or in the three sentences before, if the candidate itself has
    no other name or subject ("It also ...").
    """
    passage, said = candidate.passage, candidate.statement.content
    named = (token for sentence in candidate.leading for token in sentence.tokens if token.is_name)
    before = [*passage.heading, *named]
    has_other_subject = _has_other_name(said, claim) or (bool(said) and not contains(claim.content, said[0]))
    for token, other in candidate.alignment:
        is_titled = contains(passage.heading, token)
        if token in candidate.given and (is_titled or not _has_other_name(said, claim)):
            continue
        if token.is_name and other is None and (has_other_subject or not contains(before, token)):
            yield f'the name "{token.text}"'
    last, own = candidate.alignment[-1]
    before_last = claim.tokens[: claim.tokens.index(last)][-1:]
    if last.is_name and own is None and any(token.folded in COPULAS for token in before_last):
        yield f'the name "{last.text}"'  # "The target is Debian" tells it of the target
    if candidate.alignment and candidate.alignment[0][1] is None:
        first = candidate.alignment[0][0]
        if first not in candidate.given and any(
            sentence.content and same(first, sentence.content[0]) for sentence in passage.statements
        ):
            yield f'"{first.text}"'
    refers = _refers(claim.tokens[0])
    if subject and refers and not contains(candidate.statement.tokens, subject) and _has_other_name(said[:2], claim):
        yield f'"{subject.text}"'


def _other_subjects(claim: Statement, candidate: Candidate) -> Iterator[str]:
    """What the claim has from the question in the place of the candidate's own subject.

    "Sugared beans can be used through the lid" is not supported by "Ground coffee can be used through the lid", and
    nothing that another row of the table tells about by one that does not name it.
    """
    if candidate.is_row:
        for token, other in candidate.alignment:
            if other is None and any(contains(opening, token) for opening in candidate.passage.row_openings):
                yield f'"{token.text}"'
        yield from _other_columns(candidate)
        return
    for place in range(1, min(LONGEST_SUBJECT, len(candidate.alignment) - 1) + 1):
        own, said = candidate.alignment[:place], candidate.alignment[place][1]
        if said is None or said.values or any(other and other.start <= said.start for _, other in own):
            continue
        part = next((each for each in candidate.statement.parts if said in each.tokens), candidate.statement)
        before = part.tokens[: part.tokens.index(said)]
        theirs = content(before)
        if own[0][1] is not None or not all(token in candidate.given for token, _ in own):
            return
        is_told = any(contains(claim.content, token) for token in theirs) and not own[0][0].is_name
        if 0 < len(theirs) <= LONGEST_SUBJECT and not is_told and not any(map(_refers, before)):
            yield f'"{own[0][0].text}"'
            return
    yield from _replaced(claim, candidate)
    yield from _other_numbers(claim, candidate)


def _other_columns(candidate: Candidate) -> Iterator[str]:
    """A share or sum of the claim if the row has several, and the claim has words for it that the row lacks.

    "7% of the young men" is not supported by the row "Often | Men: 7% | 18 to 34: 13%".
    """
    lacking = [token for token in candidate.unsaid if not contains(candidate.passage.heading, token)]
    for token, other in candidate.alignment:
        rivals = [each for each in candidate.statement.tokens if each.unit == token.unit and each is not other]
        if lacking and other and token.unit and rivals:
            yield f"the number {token.text}"


def _replaced(claim: Statement, candidate: Candidate) -> Iterator[str]:
    """A word of the claim in whose place the candidate has another one, if its passage tells of both.

    "Unused vacation is not paid" is not supported by "Unused holidays are not paid" where vacation stands elsewhere.
    """
    elsewhere = [
        token
        for place, each in enumerate(candidate.passage.statements)
        if not candidate.first <= place <= candidate.last
        for token in each.tokens
    ]
    for (_, before), (token, own), (_, after) in zip(
        candidate.alignment, candidate.alignment[1:], candidate.alignment[2:], strict=False
    ):
        if before and after and not own:
            between = [each for each in candidate.statement.content if before.start < each.start < after.start]
            if len(between) == 1 and not contains(claim.content, between[0]) and contains(elsewhere, token):
                yield f'"{token.text}"'


def _other_numbers(claim: Statement, candidate: Candidate) -> Iterator[str]:
    """A number of the claim if another sentence of the passage has one for what the candidate does not name.

    "The basic grant is 350 euros" is not supported by "For first-year students it is 350 euros" where the sentence
    before says "Basic grant: 300 euros".
    """
    numbers = [token for token, other in candidate.alignment if other and token.values]
    if len(numbers) != 1 or len(candidate.unsaid) < 1:
        return
    for place, each in enumerate(candidate.passage.statements):
        if candidate.first <= place <= candidate.last:
            continue
        others = [token for token in each.tokens if token.values and token.unit == numbers[0].unit]
        if (
            others
            and not contains(others, numbers[0])
            and all(contains(each.tokens, token) for token in candidate.unsaid)
            and any(_unit_after(each, other) == _unit_after(claim, numbers[0]) for other in others)
        ):
            yield f"the number {numbers[0].text}"


def _unit_after(statement: Statement, number: Token) -> str:
    """The stem of the word after a number."""
    place = statement.tokens.index(number) + 1
    return statement.tokens[place].stem if place < len(statement.tokens) else ""


def _refers(token: Token) -> bool:
    """Whether it is a pronoun."""
    return token.folded in _PRONOUNS


def _has_other_name(tokens: Iterable[Token], claim: Statement) -> bool:
    """Whether a name is among `tokens` that the claim does not have."""
    return any(token.is_name and not contains(claim.tokens, token) for token in tokens)


def _share(asked: Sequence[Token], statement: Statement) -> float:
    """Share of the question's content words that a statement has, 0 to 1."""
    words = content(asked)
    return sum(contains(statement.tokens, token) for token in words) / max(1, len(words))


def _answering(agreeing: Sequence[Candidate], asked: Sequence[Token]) -> Candidate | None:
    """The candidate with all words of a short answer and most of the question's, at least half."""
    fitting = [each for each in agreeing if not each.missing and _share(asked, each.statement) >= 0.5]
    return max(fitting, key=lambda each: (_share(asked, each.statement), each.first - each.last), default=None)


def _supporting(
    text: str, claim: Statement, agreeing: Sequence[Candidate], embeddings: Embeddings
) -> tuple[Candidate | None, str]:
    """The candidate that says the same as the claim; without one, the only word that the best one lacks, if any."""
    complete = [each for each in agreeing if each.says_all]
    if complete:
        return min(complete, key=lambda each: each.last - each.first), ""
    short = [each for each in agreeing if len(each.text) <= 2 * LONGEST_EMBEDDED]
    short.sort(key=lambda each: each.is_elsewhere)
    if not short or len(text) > LONGEST_EMBEDDED:
        return None, ""
    try:
        found = most_similar(text, claim, short[:COMPARED_BY_VECTORS], embeddings)
    except RagError as error:
        log.warning("Sentences could not be compared by their vectors: %s", error)
        return None, ""
    missing = agreeing[0].missing
    return found, f'the word "{missing[0].text}"' if found is None and len(missing) == 1 else ""
