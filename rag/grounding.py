"""Answer sentence -> the passage that supports it, to the word, without asking a model that writes.

Words decide first: what a sentence counts, names, denies or turns round has to stand in the passage. Where words are
missing, vectors say whether the rest is the same in other words.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from urllib.parse import quote as percent_encoded

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from rag.context import sentence_spans
from rag.wording import (
    Statement,
    Word,
    capitalised,
    differences,
    has,
    matches,
    statement,
    together,
    with_names,
    words,
)

log = logging.getLogger(__name__)

LONGEST = 600
"""Characters up to which a sentence is compared by its vector; what is longer is no sentence."""
MOST_SENTENCES = 400
"""Sentences of an answer, and of its passages, that are looked at; no answer of a model has as many."""
CANDIDATES = 6
FEWEST_WORDS = 0.2
"""Share of an answer sentence's words that a passage sentence has to have to be thought of."""


@dataclass(frozen=True)
class Sentence:
    """A sentence of an answer and what supports it: `text == answer[start:end]`.

    `passage` is the number of the passage that supports it, from 1 (None: none does), `quote` where in its
    `page_content` the sentence stands, or the two neighbouring ones, and `words` where the supporting words do, in
    order. `claims` is False for what no passage could support: a heading, a question, "I do not know". `why` names
    what the passages do not have, where that is a single thing.
    """

    start: int
    end: int
    passage: int | None = None
    quote: tuple[int, int] | None = None
    words: tuple[tuple[int, int], ...] = ()
    claims: bool = True
    why: str = ""


_FENCE = re.compile(r"^[ \t]{0,3}(?:>[ \t]?)*(```|~~~)", re.M)
_MARKER = re.compile(r"(?:[ \t]*(?:>|[-*+•]|\d{1,3}[.)]|\[[ xX]\]|\|)(?:[ \t]+|$))+")
_HEADING = re.compile(r"#{1,6}(?:\s|$)")
_RULE = re.compile(r"[-=*_:|\s]+")
_CITED = re.compile(r"\[\^?\d[\d,;–^ -]{0,40}\]")
_LINK = re.compile(r"(!?\[)([^\[\]\n]{0,300})(\]\((?:[^()\s]|\([^()\s]*\)){0,500}(?: \"[^\"\n]{0,200}\")?\))")
_ADDRESS = re.compile(r"https?://\S{1,2000}")
_PREAMBLE = re.compile(
    r"(?:yes|no|sure|certainly|of course|in summary|in short|overall|in other words|so|therefore|thus|additionally"
    r"|furthermore|moreover|finally|also|however|(?:according to|based on|as (?:stated|mentioned|described) in|in)"
    r" (?:the|these|this|your) (?:given |provided |above )?(?:notes?|passages?|texts?|guide|context|documents?|sources?|article)"
    r"|(?:the|these) (?:notes?|passages?|texts?|guide|context|documents?|sources?|article) (?:says?|states?|explains?|mentions?)"
    r"(?: that)?)\s*[,:]?\s+",
    re.I,
)
_NO_CLAIM = re.compile(
    r"\W*(?:i(?:'m| am)? (?:do not|don't|cannot|can't|am not|not|could not|couldn't|hope|think you|would be|can help|am an? "
    r"|am a |am sorry|apologi[sz]e)|sorry\b|unfortunately, i\b|let me know|feel free|hello\b|hi\b|thank|you(?:'re| are) welcome"
    r"|here (?:is|are)\b[^.]*:\W*$|as an ai\b|no answer\b|(?:the|these|this|none of the) (?:given |provided )?"
    r"(?:notes?|passages?|texts?|guide|context|documents?|sources?|article)s? (?:do|does|did)(?: not|n't) "
    r"(?:say|mention|contain|tell|provide|answer|state|include|specify|give)|(?:yes|no|ok|okay|sure)\W*$"
    r"|ich weiß (?:es )?nicht|je ne sais pas|no lo sé|我不知道)",
    re.I,
)


@dataclass(frozen=True)
class _Unit:
    """A sentence of a text: where it stands without the mark of a list, and with it."""

    start: int
    end: int
    begin: int
    kind: str = ""


def _units(text: str) -> list[_Unit]:
    """The sentences of Markdown or plain text; a fenced block of code is one, a table's row is one."""
    found: list[_Unit] = []
    place = 0
    for start, end in _fenced(text):
        found += _plain_units(text, place, start)
        found.append(_Unit(start, end, start, "code"))
        place = end
    found += _plain_units(text, place, len(text))
    return found


def _fenced(text: str) -> Iterator[tuple[int, int]]:
    opened: re.Match[str] | None = None
    for fence in _FENCE.finditer(text):
        if opened is None:
            opened = fence
        elif fence[1] == opened[1]:
            line = text.find("\n", fence.end())
            yield opened.start(), len(text) if line < 0 else line
            opened = None
    if opened is not None:
        yield opened.start(), len(text.rstrip())


def _plain_units(text: str, begin: int, stop: int) -> Iterator[_Unit]:
    part = text[begin:stop]
    for first, last in sentence_spans(part):
        start, end = begin + first, begin + last
        inner = text[start:end]
        if marker := _MARKER.match(inner):
            start += marker.end()
        if text[start:end].endswith("|"):
            end = start + len(text[start:end].rstrip("| \t"))
        if start >= end:
            continue
        inner = text[start:end]
        kind = ""
        if _HEADING.match(inner):
            kind = "heading"
        elif _RULE.fullmatch(inner):
            kind = "rule"
        elif re.fullmatch(r"(\*\*|__)[^*_]{1,120}\1:?", inner) and not inner.rstrip("*_:").endswith((".", "!", "?")):
            kind = "heading"
        yield _Unit(start, end, begin + first, kind)


def _bare(text: str) -> str:
    """The text as it reads, at the same offsets: no marks of citation, addresses or code fences, nor "Yes,"."""
    blank = lambda found: " " * len(found[0])  # noqa: E731
    text = _LINK.sub(lambda found: " " * len(found[1]) + found[2] + " " * len(found[3]), text)
    text = _CITED.sub(blank, _ADDRESS.sub(blank, text))
    while (opening := _PREAMBLE.match(text.lstrip(" *_"))) and opening.end() < len(text):
        place = len(text) - len(text.lstrip(" *_")) + opening.end()
        if not text[place:].strip():
            break
        text = " " * place + text[place:]
    return text


class _Passage:
    """A passage's sentences, taken apart; `headed` are the words of its title and section."""

    def __init__(self, number: int, document: Document) -> None:
        self.number = number
        self.text = document.page_content
        heading = " ".join(str(document.metadata.get(key) or "") for key in ("title", "section"))
        self.units = [unit for unit in _units(self.text) if unit.kind != "rule"][:MOST_SENTENCES]
        self.found = [_words_at(self.text, unit) for unit in self.units]
        self.headed = words(heading)
        self.said: list[Statement] = []

    def read(self, names: set[str]) -> None:
        """Take its sentences apart, now that it is known which words are names."""
        self.headed = with_names(self.headed, names)
        self.said = [
            statement(self.text[unit.start : unit.end], names, found, unit.start)
            for unit, found in zip(self.units, self.found, strict=True)
        ]

    def embedded(self, first: int, last: int) -> str:
        """What is embedded for sentences of it: as `best_sentences` has it, so that it is known already."""
        return " ".join(self.text[self.units[first].begin : self.units[last].end].split())


def _words_at(text: str, unit: _Unit) -> list[Word]:
    return [
        replace(word, start=word.start + unit.start, end=word.end + unit.start)
        for word in words(_bare(text[unit.start : unit.end]))
    ]


@dataclass(frozen=True)
class _Candidate:
    """A sentence of a passage, or two neighbours, that may support one of the answer."""

    passage: _Passage
    first: int
    last: int
    said: Statement
    found: list[tuple[Word, Word | None]]

    @cached_property
    def coverage(self) -> float:
        """Share of the answer sentence's words that it has."""
        return sum(other is not None for _, other in self.found) / max(1, len(self.found))

    @property
    def missing(self) -> list[Word]:
        """The answer sentence's words that it does not have."""
        return [word for word, other in self.found if other is None]

    @property
    def quote(self) -> tuple[int, int]:
        """Where it stands in the passage."""
        return self.passage.units[self.first].start, self.passage.units[self.last].end

    @property
    def text(self) -> str:
        """It, as it is embedded."""
        return self.passage.embedded(self.first, self.last)


def ground(answer: str, passages: Sequence[Document], embeddings: Embeddings, question: str = "") -> list[Sentence]:
    """The sentences of an answer, in order, each with the passage that supports it best.

    One passage supports a sentence, or none: what joins facts of two passages counts as supported only where one of
    them has all its numbers and names. A number has to stand in the sentence quoted, a name there or in what leads up
    to it (the passage's heading, the sentences before). `question` completes answers such as "Three.".
    """
    units = _units(answer)[:MOST_SENTENCES]
    read = [_Passage(number, passage) for number, passage in enumerate(passages, start=1)]
    bare = [_bare(answer[unit.start : unit.end]) for unit in units]
    found = [words(text) for text in bare]
    asked = words(question)
    names = capitalised([word for passage in read for each in passage.found for word in each])
    names |= capitalised([word for each in found for word in each])
    for passage in read:
        passage.read(names)
    claims = [statement(text, names, each) for text, each in zip(bare, found, strict=True)]
    result = []
    subject: Word | None = None
    for unit, text, claim in zip(units, bare, claims, strict=True):
        plain = Sentence(unit.start, unit.end)
        if unit.kind in ("heading", "rule") or not claim.content or text.rstrip(" *_\"'”)").endswith(("?", "？")):
            result.append(replace(plain, claims=False))
            continue
        sentence = _grounded(plain, text, claim, subject, read, embeddings, with_names(asked, names))
        if sentence.passage is None and not _claims(text, claim):
            sentence = replace(sentence, claims=False, why="")
        result.append(sentence)
        subject = next((word for word in claim.words if word.name), subject)
    return result


def _claims(text: str, claim: Statement) -> bool:
    """Whether a passage could support it at all."""
    if _NO_CLAIM.match(text):
        return False
    return not text.rstrip(" *_").endswith((":", "：")) or any(word.name or word.values for word in claim.words)


def _grounded(
    plain: Sentence,
    text: str,
    claim: Statement,
    subject: Word | None,
    read: Sequence[_Passage],
    embeddings: Embeddings,
    asked: Sequence[Word],
) -> Sentence:
    candidates = sorted(_candidates(claim, read, asked), key=lambda each: -each.coverage)
    standing = []
    why = ""
    for candidate in candidates[:CANDIDATES]:
        reasons = [*_strangers(claim, candidate, subject), *differences(claim, candidate.said)]
        if not reasons:
            standing.append(candidate)
        elif not why:
            why = reasons[0]
    chosen = _judged(text, standing, embeddings)
    if chosen is None:
        if standing and len(standing[0].missing) == 1:
            why = f'the word "{standing[0].missing[0].text}"'
        return replace(plain, why=why)
    marks = sorted({(other.start, other.end) for _, other in chosen.found if other is not None})
    return replace(plain, passage=chosen.passage.number, quote=chosen.quote, words=tuple(marks))


def _candidates(claim: Statement, read: Sequence[_Passage], asked: Sequence[Word]) -> Iterator[_Candidate]:
    """The sentences that share enough words with the claim, and pairs of neighbours that share more than each."""
    for passage in read:
        single: list[_Candidate] = []
        for index, said in enumerate(passage.said):
            candidate = _Candidate(passage, index, index, said, matches(claim, said))
            single.append(candidate)
            if passage.units[index].kind != "heading" and candidate.coverage >= FEWEST_WORDS:
                yield candidate
        for one, other in zip(single, single[1:], strict=False):
            if "heading" in (passage.units[one.first].kind, passage.units[other.first].kind):
                continue
            found = [(word, left or right) for (word, left), (_, right) in zip(one.found, other.found, strict=True)]
            pair = _Candidate(passage, one.first, other.first, together(one.said, other.said), found)
            if pair.coverage > max(one.coverage, other.coverage):
                yield pair


def _strangers(claim: Statement, candidate: _Candidate, subject: Word | None) -> Iterator[str]:
    """Names of the claim that the passage does not have there, and subjects that are others."""
    before = [
        word
        for said in candidate.passage.said[max(0, candidate.first - 3) : candidate.first]
        for word in said.words
        if word.name
    ]
    around = [*candidate.passage.headed, *before]
    for word, other in candidate.found:
        if word.name and other is None and not has(word, around):
            yield f'the name "{word.text}"'


def _judged(text: str, standing: Sequence[_Candidate], embeddings: Embeddings) -> _Candidate | None:
    whole = [candidate for candidate in standing if not candidate.missing]
    if whole:
        return min(whole, key=lambda each: each.last - each.first)
    return standing[0] if standing and standing[0].coverage > 0.75 else None


def text_fragment(quote: str) -> str:
    """The directive `:~:text=` that makes a browser scroll to a quote."""
    return ":~:text=" + percent_encoded(" ".join(quote.split()), safe="").replace("-", "%2D")


def marked(passage: str, sentence: Sentence) -> list[tuple[str, str]]:
    """The passage in runs of (text, kind): "" as it is, "quote" what supports the sentence, "word" its words."""
    if sentence.quote is None:
        return [(passage, "")] if passage else []
    start, end = sentence.quote
    runs = [(passage[:start], "")]
    place = start
    for first, last in sentence.words:
        runs += [(passage[place:first], "quote"), (passage[first:last], "word")]
        place = last
    runs += [(passage[place:end], "quote"), (passage[end:], "")]
    return [run for run in runs if run[0]]
