"""The sentences of the passages, and those among them that may support a claim."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from langchain_core.documents import Document

from rag.grounding.segments import LONGEST_READ, Segment, is_question, split_segments, wording
from rag.grounding.statements import Alignment, Statement, TokenIndex, align, index_tokens, join, parse
from rag.grounding.tokenizer import tokenize
from rag.grounding.tokens import Token, contains, keys, with_names

KEPT_PASSAGES = 64
"""Passages whose tokens are kept for the next answers from them: some 0.1 MB each."""
MOST_SENTENCES = 400
"""Sentences that are read of an answer and of each passage."""
MOST_ELSEWHERE = 0.35
"""Share of the words that a claim has from the question which neither a candidate nor what stands before it has."""
LEAST_COVERAGE = 0.2
"""Share of a claim's words that a candidate has at least."""


@dataclass(frozen=True)
class TokenizedPassage:
    """The sentences of a passage and their tokens; `heading` has those of its title and section."""

    segments: list[Segment]
    tokens: list[list[Token]]
    heading: list[Token]
    forms: frozenset[str]


@dataclass(frozen=True)
class Passage:
    """A passage's sentences with their names marked."""

    text: str
    segments: list[Segment]
    heading: list[Token]
    statements: list[Statement]
    index: TokenIndex
    source: str

    @cached_property
    def row_openings(self) -> list[tuple[Token, ...]]:
        """The content words of the first cell of each row of a table: what the row tells about."""
        found = []
        for segment, statement in zip(self.segments, self.statements, strict=True):
            cell = self.text.find(" | ", segment.start, segment.end)
            if cell >= 0 and segment.kind != "heading":
                found.append(tuple(token for token in statement.content if token.start < cell))
        return found

    def asks(self, place: int) -> bool:
        """Whether the sentence at this place is a question."""
        segment = self.segments[place]
        return is_question(self.text[segment.start : segment.end])

    def has(self, token: Token) -> bool:
        """Whether its heading or one of its sentences has the token."""
        there = (other for key in keys(token) for _, other in self.index.get(key, ()))
        return contains(self.heading, token) or contains(there, token)


def tokenized(passage: Document) -> TokenizedPassage:
    """A passage's sentences and tokens; kept for the next call."""
    return _tokenized(passage.page_content, _heading(passage))


def parsed(passage: Document, names: set[str]) -> Passage:
    """A passage's sentences; kept for the next call with the same names. `names` as `tokens.capitalised` gives them."""
    source = str(passage.metadata.get("source") or "")
    return _parsed(passage.page_content, _heading(passage), tokenized(passage).forms & names, source)


def _heading(passage: Document) -> str:
    """The title and the section of a passage, and how the row begins that it begins amid."""
    return " ".join(str(passage.metadata.get(key) or "") for key in ("title", "section", "row"))


@lru_cache(KEPT_PASSAGES)
def _tokenized(text: str, heading: str) -> TokenizedPassage:
    segments = [each for each in split_segments(text) if each.kind != "rule" and each.end - each.start <= LONGEST_READ]
    segments = segments[:MOST_SENTENCES]
    tokens = [
        [
            replace(token, start=token.start + segment.start, end=token.end + segment.start)
            for token in tokenize(wording(text[segment.start : segment.end]))
        ]
        for segment in segments
    ]
    title = tokenize(heading)
    return TokenizedPassage(
        segments, tokens, title, frozenset(token.folded for row in (*tokens, title) for token in row)
    )


@lru_cache(KEPT_PASSAGES)
def _parsed(text: str, heading: str, names: frozenset[str], source: str) -> Passage:
    known = _tokenized(text, heading)
    statements = [
        parse(text[segment.start : segment.end], names, tokens, segment.start)
        for segment, tokens in zip(known.segments, known.tokens, strict=True)
    ]
    heading_tokens = with_names(known.heading, names)
    return Passage(text, known.segments, heading_tokens, statements, index_tokens(statements), source)


@dataclass(frozen=True)
class Candidate:
    """A sentence of a passage, or two neighbours, that may support a claim.

    Attributes:
        number: of the passage, from 1.
        passage: the same.
        first: index of the sentence.
        last: the same, or one more for two sentences.
        statement: the sentence, or both as one.
        alignment: the claim's words with those of the statement.
        given: words of the claim that the question has, which the statement need not have.
    """

    number: int
    passage: Passage
    first: int
    last: int
    statement: Statement
    alignment: Alignment
    given: frozenset[Token] = frozenset()

    @cached_property
    def coverage(self) -> float:
        """Share of the claim's words that it has, 0 to 1; those that it lacks and need not have do not count."""
        return self.shared / max(1, self.shared + len(self.missing))

    @cached_property
    def shared(self) -> int:
        """How many of the claim's words it has."""
        return sum(other is not None for _, other in self.alignment)

    @cached_property
    def missing(self) -> list[Token]:
        """The claim's words that it lacks and ought to have."""
        return [token for token, other in self.alignment if other is None and token not in self.given]

    @cached_property
    def unsaid(self) -> list[Token]:
        """The claim's words that it lacks and need not have."""
        return [token for token, other in self.alignment if other is None and token in self.given]

    @cached_property
    def says_all(self) -> bool:
        """Whether it has all words of the claim; of one with a number, a row or `key: value` together with its heading.

        A short line is near to no sentence that says the same.
        """
        lacking = [token for token, other in self.alignment if other is None]
        is_line = self.first == self.last and (self.is_row or ": " in self.text)
        has_number = any(token.values for token, _ in self.alignment)
        return not lacking or (
            is_line
            and has_number
            and all(token in self.given and contains(self.passage.heading, token) for token in lacking)
        )

    def says_the_same(self, claim: Statement) -> bool:
        """Whether it is the claim word for word."""
        here, there = (
            [(token.folded, token.values, token.unit) for token in each.tokens] for each in (self.statement, claim)
        )
        return here == there

    @property
    def leading(self) -> Sequence[Statement]:
        """The three sentences before it, which may say what it is about."""
        return self.passage.statements[max(0, self.first - 3) : self.first]

    @cached_property
    def is_elsewhere(self) -> bool:
        """Whether too many words that the claim has from the question stand neither here nor just before."""
        before = [*self.passage.heading, *(token for sentence in self.leading for token in sentence.tokens)]
        missing = [token for token in self.unsaid if not contains(before, token)]
        return len(missing) > MOST_ELSEWHERE * len(self.given)

    @property
    def is_row(self) -> bool:
        """Whether it is a row of a table."""
        return " | " in self.text

    @cached_property
    def cells(self) -> list[list[Token]]:
        """The content words of each cell, if it is a row."""
        segment = self.passage.segments[self.first]
        found, start = [], segment.start
        for cell in self.passage.text[segment.start : segment.end].split(" | "):
            end = start + len(cell)
            found.append([token for token in self.statement.content if start <= token.start < end])
            start = end + len(" | ")
        return found

    @property
    def quote(self) -> tuple[int, int]:
        """Its start and end in the passage."""
        return self.passage.segments[self.first].start, self.passage.segments[self.last].end

    @property
    def text(self) -> str:
        """Its text as `split_sentences` has it, so that its vector is known already."""
        segments = self.passage.segments
        return " ".join(self.passage.text[segments[self.first].begin : segments[self.last].end].split())


def _given(claim: Statement, beside: Sequence[Passage], asked: Sequence[Token]) -> frozenset[Token]:
    """The claim's words that the question has, if the claim says more.

    Names and numbers must stand in one of the passages of the source, too (`beside`).
    """
    found = [token for token in claim.content if contains(asked, token)]
    if len(found) == len(claim.content):
        return frozenset()
    return frozenset(
        token for token in found if not (token.is_name or token.values) or any(passage.has(token) for passage in beside)
    )


def _may_be_joined(one: Candidate, other: Candidate, claim: Statement) -> bool:
    """Whether two neighbours may support a claim together: no rows, unless it names what each of the two is about."""
    if not (one.is_row and other.is_row):
        return True
    for first, second in zip(one.cells, other.cells, strict=False):
        own, beside = (
            [token for token in cell if not contains(others, token)]
            for cell, others in ((first, second), (second, first))
        )
        if own or beside:  # the first cells that differ
            return all(any(contains(claim.content, token) for token in each) for each in (own, beside))
    return False


def candidates(claim: Statement, passages: Sequence[Passage], asked: Sequence[Token] = ()) -> Iterator[Candidate]:
    """The sentences that have enough of a claim's words, and pairs of neighbours that have more than either alone.

    `asked` are the question's tokens.
    """
    for number, passage in enumerate(passages, start=1):
        given = _given(claim, [each for each in passages if each.source == passage.source], asked)
        single = {
            index: Candidate(number, passage, index, index, passage.statements[index], alignment, given)
            for index, alignment in align(claim, passage.index).items()
            if passage.segments[index].kind != "heading"
        }
        asks = {index for index in single if passage.asks(index)}
        yield from (each for each in single.values() if each.coverage >= LEAST_COVERAGE and each.first not in asks)
        for index, one in single.items():
            if (other := single.get(index + 1)) and index + 1 not in asks and _may_be_joined(one, other, claim):
                rows = zip(one.alignment, other.alignment, strict=True)
                alignment = [(token, left or right) for (token, left), (_, right) in rows]
                pair = Candidate(
                    number, passage, index, index + 1, join(one.statement, other.statement), alignment, given
                )
                if pair.coverage > max(one.coverage, other.coverage):
                    yield pair
