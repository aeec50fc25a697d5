"""The segments of a PDF page: words side by side, and the rows that they make.

Lengths are points, from the top left corner of the page as it is shown; an em is the size of the letters.
"""

from __future__ import annotations

import itertools
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from rag.sources.pdf.page import RIGHT_TO_LEFT, Word

CELL_GAP = 0.8
"""Ems of white that part two columns or two cells; a justified line has less between its words."""

_BULLETS = frozenset("•●○▪■□◦‣∙❖➢➔►❑♦")
"""Signs that stand before the items of lists, and are no cell of their own."""

_MARK = re.compile(r"[–—⦁-]|o|\(?(?:\d{1,3}|[A-Za-z]|[ivx]{2,5})[.)]|\d{1,2}(?:\.\d{1,3}){2,}\.?|\d{1,2}\.\d{1,2}\.")
"""What stands before the items of other lists, and before numbered paragraphs."""
_MARK_GAP = 3.5
"""Ems of white that either has beside it at most."""


@dataclass(slots=True)
class Segment:
    """Words that stand side by side."""

    words: list[Word]
    x0: float
    top: float
    x1: float
    bottom: float
    run: tuple[float, float] | None = None
    """How far left and right the words go that the file parts by blanks alone, where these are several cells."""

    def crosses(self, x: float) -> bool:
        """Whether it, or the run of cells that it is in, goes from the left of a place to the right of it."""
        left, right = self.run or (self.x0, self.x1)
        return left < x < right

    @property
    def size(self) -> float:
        """The size of its first word."""
        return self.words[0].size or 1.0

    @property
    def text(self) -> str:
        """Its words with blanks between them."""
        return " ".join(word.text for word in self.words)


Row = list[Segment]
"""Segments at one height, from left to right."""


def segments_of(words: Sequence[Word]) -> list[Segment]:
    """Words that follow each other in the file at one height with little white between them."""
    found: list[Segment] = []
    last: Segment | None = None
    for word in words:
        if last is not None and _is_beside(last, word):
            last.words.append(word)
            last.x0, last.x1 = min(last.x0, word.x0), max(last.x1, word.x1)
            last.top, last.bottom = min(last.top, word.top), max(last.bottom, word.bottom)
        else:
            last = Segment([word], word.x0, word.top, word.x1, word.bottom)
            found.append(last)
    _tell_runs(found)
    return found


def _tell_runs(segments: Sequence[Segment]) -> None:
    """Tell each of several cells that the file has as one run how far that goes."""
    start = 0
    for number, item in enumerate(segments):
        word = item.words[-1]
        after = segments[number + 1] if number + 1 < len(segments) else None
        if word.parted and after is not None and after.words[0].at == word.at + len(word.text) + 1:
            continue
        if number > start:
            run = (segments[start].x0, max(each.x1 for each in segments[start : number + 1]))
            for each in segments[start : number + 1]:
                each.run = run
        start = number + 1


def _is_beside(segment: Segment, word: Word) -> bool:
    before = segment.words[-1]
    if before.broken:
        return False
    is_bullet = before.text in _BULLETS and len(segment.words) == 1
    overlap = min(before.bottom, word.bottom) - max(before.top, word.top)
    if overlap < 0.5 * min(before.bottom - before.top, word.bottom - word.top):
        return False
    em = max(before.size, word.size, 1.0)
    if -0.5 * em <= word.x0 - before.x1 < (_MARK_GAP if is_bullet else CELL_GAP) * em:
        return True
    return bool(RIGHT_TO_LEFT.search(word.text + before.text)) and -0.5 * em <= before.x0 - word.x1 < CELL_GAP * em


def rows_of(segments: Sequence[Segment]) -> list[Row]:
    """The segments by height, each row from left to right, or from right to left where most of it is so written."""
    rows: list[Row] = []
    for segment in sorted(segments, key=lambda item: (item.top + item.bottom) / 2):
        row = rows[-1] if rows else None
        if row is not None:
            top, bottom = row[0].top, row[0].bottom
            overlap = min(bottom, segment.bottom) - max(top, segment.top)
            if overlap >= 0.6 * min(bottom - top, segment.bottom - segment.top) and not _covers(row, segment):
                row.append(segment)
                continue
        rows.append([segment])
    for row in rows:
        text = "".join(segment.text for segment in row) if len(row) > 1 else ""
        backwards = len(RIGHT_TO_LEFT.findall(text)) > len(text) / 2
        row.sort(key=lambda item: -item.x1 if backwards else item.x0)
    return rows


def _covers(row: Row, segment: Segment) -> bool:
    """Whether the segment stands over another of the row: then it is a row of its own."""
    return any(min(item.x1, segment.x1) - max(item.x0, segment.x0) > 0.5 * segment.size for item in row)


def with_items(rows: Sequence[Row]) -> list[Row]:
    """The rows, those in one piece that are an item of a list and its number, letter or dash at its left."""
    return [_item(row) if len(row) == 2 else row for row in rows]


def _item(row: Row) -> Row:
    mark, text = row
    if not _MARK.fullmatch(mark.text) or not text.text[:1].isalpha():
        return row
    if not 0 < text.x0 - mark.x1 < _MARK_GAP * text.size or text.size > 1.2 * mark.size:
        return row
    words = [*mark.words, *text.words]
    return [Segment(words, mark.x0, min(mark.top, text.top), text.x1, max(mark.bottom, text.bottom))]


def with_justified_lines(rows: Sequence[Row]) -> list[Row]:
    """The rows, those that are lines of justified text in one piece though their words stand far apart.

    Such a line begins and ends with the others of its column, and the white between all its words is the same, as it
    is not between the cells of a table.
    """
    told = [row for row in rows if _is_telling(row)]
    if len(told) < 3 or all(len(row) == 1 for row in rows):
        return list(rows)
    left, right = (
        statistics.mode(round(edge) for edge in edges)
        for edges in ([row[0].x0 for row in told], [row[-1].x1 for row in told])
    )
    reaches = [_reaches(row, left, right) for row in rows]
    even = [is_flush and _is_even(row) for row, is_flush in zip(rows, reaches, strict=True)]
    whole = sum(is_flush and len(row) == 1 for row, is_flush in zip(rows, reaches, strict=True))
    parted = [row for row, is_even in zip(rows, even, strict=True) if is_even and len(row) > 1]
    if whole < 3 and (whole + len(parted) < 3 or _stand_below(parted)):
        return list(rows)
    found = []
    for number, row in enumerate(rows):
        beside = [place for place in (number - 1, number + 1) if 0 <= place < len(rows) and even[place]]
        two = len(row) == 2 and len(row[0].words) + len(row[1].words) == 2  # one space, which is as wide as itself
        if len(row) > 1 and even[number] and (not two or any(_is_telling(rows[place]) for place in beside)):
            words = [word for item in row for word in item.words]
            top, bottom = min(item.top for item in row), max(item.bottom for item in row)
            row = [Segment(words, row[0].x0, top, row[-1].x1, bottom)]
        found.append(row)
    return found


def _stand_below(rows: Sequence[Row]) -> bool:
    """Whether most parts of these rows begin below or above those of another, as cells do."""
    starts = [(item.x0, number) for number, row in enumerate(rows) for item in row[1:]]
    near = 0.1 * rows[0][0].size if rows else 0.0
    alike = sum(any(other != row and abs(x - start) < near for x, other in starts) for start, row in starts)
    return 2 * alike > len(starts)


def _reaches(row: Row, left: float, right: float) -> bool:
    """Whether a row goes from one edge of the column to the other; the first of a paragraph may be indented."""
    size = row[0].size
    return -0.3 * size < row[0].x0 - left < 3 * size and abs(row[-1].x1 - right) < 0.4 * size


def _is_even(row: Row) -> bool:
    words = [word for item in row for word in item.words]
    if any(" " in word.text for word in words):  # recognized lines are one word
        return False
    gaps = [two.x0 - one.x1 for one, two in itertools.pairwise(words)]
    return bool(gaps) and max(gaps) - min(gaps) < 0.3 * row[0].size and max(gaps) < 5 * row[0].size


def _is_telling(row: Row) -> bool:
    return sum(len(item.words) for item in row) > 2
