"""A sentence split into clauses, and the search for its words in other sentences."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

from rag.grounding.tokens import Token, keys, same, with_names

FEWEST_IN_CLAUSE = 3
"""Content words of a clause. A shorter one, such as an item of a list, belongs to the clause before it."""
_CLAUSE = re.compile(r"[;:,]\s|\s[—–]\s|\b(?:while|whereas|but|because|although|though|since|and|which|so that)\b")
_BRACKETS = re.compile(r"\([^()]{1,200}\)")

Alignment = list[tuple[Token, Token | None]]
"""Each content word of a claim with the same word of another sentence; None if that sentence lacks it."""
TokenIndex = dict[str, list[tuple[int, Token]]]
"""For each key of a token, the sentences (by number) and their tokens with this key, in order."""


@dataclass(frozen=True)
class Statement:
    """A sentence: its tokens, all and by clause. Two sentences that were joined are in `parts`.

    `bracketed` are the places in which it has something in brackets, (start, end) in its text; `is_row`: of a table.
    """

    tokens: tuple[Token, ...]
    clauses: tuple[tuple[Token, ...], ...]
    parts: tuple[Statement, ...] = ()
    is_row: bool = False
    bracketed: tuple[tuple[int, int], ...] = ()

    @cached_property
    def content(self) -> tuple[Token, ...]:
        """The content words."""
        return content(self.tokens)


def content(tokens: Sequence[Token]) -> tuple[Token, ...]:
    """The content words among `tokens`."""
    return tuple(token for token in tokens if token.is_content)


def parse(text: str, names: Collection[str], tokens: Sequence[Token], offset: int = 0) -> Statement:
    """Split a sentence into clauses, and mark its names.

    Args:
        text: the sentence.
        names: `capitalised` words of all texts that are compared.
        tokens: of the sentence, with their positions in a longer text.
        offset: position of the sentence in that text.
    """
    named = with_names(tokens, names)
    is_row = " | " in text  # which tells of one thing
    ends = [] if is_row else [match.start() + offset for match in _CLAUSE.finditer(text)]
    clauses: list[tuple[Token, ...]] = []
    place = 0
    for end in [*ends, offset + len(text)]:
        start = place
        while place < len(named) and named[place].start < end:
            place += 1
        clause = tuple(named[start:place])
        if clauses and min(len(content(clause)), len(content(clauses[-1]))) < FEWEST_IN_CLAUSE:
            clauses[-1] += clause
        else:
            clauses.append(clause)
    bracketed = tuple((found.start() + offset, found.end() + offset) for found in _BRACKETS.finditer(text))
    return Statement(tuple(named), tuple(clauses), is_row=is_row, bracketed=bracketed)


def join(one: Statement, other: Statement) -> Statement:
    """Two neighbouring sentences as one."""
    return Statement(
        one.tokens + other.tokens,
        one.clauses + other.clauses,
        (one, other),
        one.is_row and other.is_row,
        one.bracketed + other.bracketed,
    )


def index_tokens(sentences: Sequence[Statement]) -> TokenIndex:
    """The tokens of sentences, for `align`."""
    index: TokenIndex = {}
    for number, sentence in enumerate(sentences):
        for token in sentence.tokens:
            for key in keys(token):
                index.setdefault(key, []).append((number, token))
    return index


def align(claim: Statement, index: TokenIndex) -> dict[int, Alignment]:
    """For each sentence that shares a word with the claim, by number: the claim's content words and the first match."""
    matches: dict[int, list[Token | None]] = {}
    for place, token in enumerate(claim.content):
        for key in keys(token):
            for number, other in index.get(key, ()):
                if same(token, other):
                    row = matches.setdefault(number, [None] * len(claim.content))
                    known = row[place]
                    if known is None or other.start < known.start:
                        row[place] = other
    return {number: list(zip(claim.content, row, strict=True)) for number, row in sorted(matches.items())}
