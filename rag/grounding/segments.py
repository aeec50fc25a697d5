"""Markdown or plain text as sentences, and their wording without marks, citations and openings such as "Yes,"."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from rag.text.markers import MARKER
from rag.text.sentences import KEPT_TEXTS, sentence_spans
from rag.text.wraps import without_comment_marks

LONGEST_READ = 2_000
"""Characters of the longest sentence that is read; a longer one supports nothing and has no support."""

LONGEST_LABEL = 200
"""Characters of a row's first cell whose sentences are not parted."""

LIST_MARKER = re.compile(rf"(?:[ \t]*(?:>|{MARKER}|\[[ xX]\]|\|)(?:[ \t]+|$))+")
_FENCE = re.compile(r"^[ \t]{0,3}(?:>[ \t]?)*(```|~~~)", re.M)
_HEADING = re.compile(r"#{1,6}(?:\s|$)")
_BOLD_LINE = re.compile(r"(\*\*|__)[^*_]{1,120}\1:?")
_RULE = re.compile(r"[-=*_:|\s]+")
_CITATION = re.compile(r"\[\^?\d[\d,;–^ -]{0,40}\](?:\([^()\s]{0,500}\))?")
_LINK = re.compile(r"(!?\[)([^\[\]\n]{0,300})(\]\((?:[^()\s]|\([^()\s]*\)){0,500}(?: \"[^\"\n]{0,200}\")?\))")
_ADDRESS = re.compile(r"https?://\S{1,2000}")
_MATERIAL = (
    r"(?:given |provided |above )?(?:notes?|passages?|texts?|guide|context|documents?|sources?|articles?|information)"
)
_OPENING = re.compile(
    r"(?:yes|no|sure|certainly|of course|in summary|in short|overall|in other words|so|therefore|thus|additionally"
    r"|furthermore|moreover|finally|also|however|this means that"
    rf"|(?:according to|based on|as (?:stated|mentioned|described) in|in) (?:the|these|this|your) {_MATERIAL}"
    rf"|(?:the|these|this) {_MATERIAL} (?:says?|states?|explains?|mentions?)(?: that)?"
    r"|the answer (?:to (?:this|the|your) question )?is)\s*[,:]?\s+",
    re.I,
)
_NOT_KNOWN = (
    r"(?:i(?:'m| am)? (?:do not|don't|cannot|can't|not|could not|sorry|apologi[sz]e)|sorry\b|unfortunately, i\b"
    rf"|no answer\b|(?:the|these|this|none of the) {_MATERIAL} (?:do|does|did|is|are)(?: not|n't)\b"
    r"|ich weiß (?:es )?nicht|je ne sais pas|no lo sé|我不知道)"
)
_NO_CLAIM = re.compile(
    rf"\W*(?:{_NOT_KNOWN}|i(?:'m| am)? (?:hope|think you|would be|can help|an?\b)|let me know|feel free|hello\b|hi\b"
    r"|thank|you(?:'re| are) welcome|here (?:is|are)\b[^.]*:\W*$|as an ai\b|(?:yes|no|ok|okay|sure)\W*$)",
    re.I,
)
_ADMISSION = re.compile(rf"\W*{_NOT_KNOWN}", re.I)


_ASKS = re.compile(
    r"(?:should|would|could|can|does|did|is|are|will|shall) (?:the|an?|this|that|these|those|there|we|i|you|he|she|it"
    r"|they|any\w*|some\w*|all|\w+ (?:be|have|get|become))\b(?!.*[,.:!]$)",
    re.I | re.S,
)
"""A question without its mark, as in minutes. "Should it fail, call." is none."""


@dataclass(frozen=True)
class Segment:
    """A sentence, heading, table row or block of code at `start` to `end` of a text.

    `begin` is where its list marker begins (`start`, if it has none). `kind` is "heading", "rule", "code" or "".
    """

    start: int
    end: int
    begin: int
    kind: str = ""


@lru_cache(KEPT_TEXTS)
def split_segments(text: str) -> tuple[Segment, ...]:
    """The segments of a text, in order. A fenced block of code is one segment, and so is each row of a table.

    They are remembered: search, quotes and grounding take the same passages apart.
    """
    text = without_comment_marks(text)
    found: list[Segment] = []
    place = 0
    for start, end in _fenced_blocks(text):
        found += _segments_outside_code(text, place, start)
        found.append(Segment(start, end, start, "code"))
        place = end
    found += _segments_outside_code(text, place, len(text))
    for index, segment in enumerate(found[1:]):
        if segment.kind == "rule" and "|" in text[segment.begin : segment.end]:
            found[index] = replace(found[index], kind="heading")  # the row above the rule of a table
    return tuple(found)


def _fenced_blocks(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each fenced block of code; one without a closing fence ends with the text."""
    opened: re.Match[str] | None = None
    for fence in _FENCE.finditer(text):
        if opened is None:
            opened = fence
        elif fence[1] == opened[1]:
            line = text.find("\n", fence.end())
            yield opened.start(1), len(text.rstrip()) if line < 0 else line
            opened = None
    if opened is not None:
        yield opened.start(1), len(text.rstrip())


def _segments_outside_code(text: str, begin: int, stop: int) -> Iterator[Segment]:
    """The segments of `text[begin:stop]`, which has no fenced block."""
    for first, last in _with_labels_whole(text[begin:stop], sentence_spans(text[begin:stop])):
        start, end = begin + first, begin + last
        marker = LIST_MARKER.match(text[start:end])
        if marker and (start + marker.end() < end or not text[start].isdigit()):
            start += marker.end()
        while end > start and text[end - 1] == "|":  # a table row: the page puts its mark into the last cell
            end = start + len(text[start : end - 1].rstrip())
        start += len(text[start:end]) - len(text[start:end].lstrip())
        if start < end:
            yield Segment(start, end, begin + first, _kind(text[start:end]))


def _with_labels_whole(text: str, spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The sentences, those of a row's first cell as one with what follows: "How often? (Mark one.) | Never | 7%"."""
    label: tuple[int, int] | None = None
    for start, end in spans:
        if label and "\n" in text[label[1] : start]:
            yield label
            label = None
        begin = label[0] if label else start
        line = text.find("\n", end)
        cell = text.find(" | ", end, line if line >= 0 else len(text))
        if end <= cell < begin + LONGEST_LABEL and " | " not in text[begin:end]:
            label = begin, end
            continue
        yield begin, end
        label = None
    if label:
        yield label


def _kind(segment: str) -> str:
    """The kind of a segment: "heading", "rule" (of a table, or across the page) or "" for a sentence."""
    if _HEADING.match(segment):
        return "heading"
    if _RULE.fullmatch(segment):
        return "rule"
    bold = _BOLD_LINE.fullmatch(segment) and not segment.rstrip("*_:").endswith((".", "!", "?"))
    return "heading" if bold else ""


def wording(segment: str) -> str:
    """A segment as it reads, of the same length: spaces replace citations, addresses, link targets and openings."""
    if len(segment) > LONGEST_READ:
        return segment
    text = _CITATION.sub(_spaces, segment)
    text = _LINK.sub(lambda link: " " * len(link[1]) + link[2] + " " * len(link[3]), text)
    text = _ADDRESS.sub(_spaces, text)
    while opening := _OPENING.match(text.lstrip(" *_")):
        place = len(text) - len(text.lstrip(" *_")) + opening.end()
        if not text[place:].strip():
            break
        text = " " * place + text[place:]
    return text


def _spaces(match: re.Match[str]) -> str:
    return " " * len(match[0])


def is_question(wording: str) -> bool:
    """Whether a sentence ends with a question mark, or begins as a question and ends with no mark at all."""
    return wording.rstrip(" *_\"'”)").endswith(("?", "？")) or bool(_ASKS.match(wording.strip(" *_\"'“(")))


def makes_no_claim(wording: str) -> bool:
    """Whether a sentence is about the conversation and not its subject: "I do not know", "Hello", "Here it is:"."""
    return bool(_NO_CLAIM.match(wording))


def says_it_does_not_know(wording: str) -> bool:
    """Whether a sentence says that there is no answer: "I do not know", "The notes do not say"."""
    return bool(_ADMISSION.match(wording))
