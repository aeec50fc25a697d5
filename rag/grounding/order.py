"""Two things that have changed places: "A wrote to B" does not support "B wrote to A"."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

from rag.grounding.statements import Statement, content
from rag.grounding.tokens import Token, contains, same
from rag.grounding.vocabulary import ANTONYMS, COPULAS

MOST_WORDS = 80
"""Words of a claim whose order is compared: the time grows with the fourth power of their number."""


def exchanged(claim: Statement, evidence: Statement, nearest: Sequence[tuple[Token, ...]]) -> Iterator[str]:
    """Two words of the claim, if exchanging them makes its order fit the evidence better.

    It has to fit better with the clauses of the evidence in their own order, and in the claim's: `nearest` has the
    nearest clause of the evidence for each clause of the claim.
    """
    if len(claim.tokens) > MOST_WORDS or len(evidence.tokens) > 2 * MOST_WORDS:
        return
    if len(_ordered(claim.tokens)) < 4 or _is_passive(claim) != _is_passive(evidence):
        return
    pairs = []
    for clauses in (evidence.clauses, dict.fromkeys([*nearest, *evidence.clauses])):
        pair = _exchanged_pair(claim, _ordered(token for clause in clauses for token in clause))
        if pair is None:
            return
        pairs.append(pair)
    one, other = pairs[0]
    if evidence.is_row and not ((one.values and other.values) or (one.is_name and other.is_name)):
        return  # a row has its words in the order of its columns
    yield f'"{one.text}" and "{other.text}" have changed places'


def _ordered(tokens: Iterable[Token]) -> list[Token]:
    """The words whose order counts."""
    return [token for token in tokens if token.is_content or token.folded in ANTONYMS]


def _is_passive(statement: Statement) -> bool:
    """Whether it has "by" after a copula, so that its order may be reversed."""
    forms = [token.folded for token in statement.tokens]
    return "by" in forms and not COPULAS.isdisjoint(forms[: forms.index("by")])


def _exchanged_pair(claim: Statement, theirs: Sequence[Token]) -> tuple[Token, Token] | None:
    """Two words of `theirs` that the claim has in exchanged places; None if there are none.

    A word is represented by the place of its first occurrence in `theirs`.
    """
    numbered = [(number, token) for number, clause in enumerate(claim.clauses) for token in _ordered(clause)]
    first = [next(place for place, other in enumerate(theirs) if same(token, other)) for token in theirs]
    found = [
        (place, number)
        for number, token in numbered
        if (place := next((place for place, other in enumerate(theirs) if same(token, other)), -1)) >= 0
    ]
    left = [first[place] for place, _ in found]
    clauses = [number for _, number in found]
    right = [place for place in first if place in set(left)]
    now = common_order(left, right)
    if now == len(left):
        return None
    once = sorted({place for place in left if left.count(place) == 1})
    for one, other in combinations(once, 2):
        better = common_order([{one: other, other: one}.get(place, place) for place in left], right)
        here, there = left.index(one), left.index(other)
        in_one_list = abs(here - there) == 1 and clauses[here] == clauses[there]
        if (better >= now + 2 and len(left) >= 0.8 * len(numbered)) or (
            not in_one_list and better == len(left) and _are_of_one_kind(theirs[one], theirs[other], claim)
        ):
            return theirs[one], theirs[other]
    return None


def common_order(one: Sequence[int], other: Sequence[int]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(other) + 1)
    for left in one:
        diagonal = 0
        for index, right in enumerate(other, start=1):
            above = row[index]
            row[index] = diagonal + 1 if left == right else max(above, row[index - 1])
            diagonal = above
    return row[-1]


def _are_of_one_kind(one: Token, other: Token, claim: Statement) -> bool:
    """Whether one can replace the other: two names, numbers, antonyms, or subjects of the claim's clauses."""
    if other.folded in ANTONYMS.get(one.folded, frozenset()):
        return True
    if (one.is_name and other.is_name) or (one.values and other.values):
        return True
    subjects = [token for clause in claim.clauses for token in content(clause)[:1]]
    return contains(subjects, one) and contains(subjects, other)
