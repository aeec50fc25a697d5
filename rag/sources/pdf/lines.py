"""What the words of a PDF page become: lines with the places of their letters, and tables of lines."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from rag.sources.pdf.page import Rect, Word

Span = tuple[int, int, int]
"""Place in the text, place in the page's characters, how many characters are the same."""

_SENTENCE_END = re.compile(r"[.!?:;。！？：；…]['\")\]”’»]*$")
UNSPACED = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]")


@dataclass(slots=True)
class Line:
    """A line of the text that comes out: a paragraph, a heading, a row of a table.

    `kind` is "text", "row", "caption", "address", or "aside" of one that runs down the page; `full` says that the line
    fills its column, so that it may go on elsewhere.
    `gap` is the white above it, in ems.
    """

    text: str
    size: float
    bold: bool
    kind: str = "text"
    full: bool = False
    gap: float = 0.0
    rows: int = 1
    parted: bool = False
    """Whether it has several texts with white between them, as a row of a table, and not only a number before one."""
    top: float = 0.0
    """How far down the page it begins: in points, and once the page is laid out as a share of its height."""
    spans: list[Span] = field(default_factory=list)
    table: Grid | None = None
    """Of a row: the table that it belongs to."""


Table = tuple[Rect, list[list[list[Word]]], list[tuple[float, float]]]
"""Where a ruled table is, the words of the cells of its rows, and how far left and right its columns go.

A merged cell is the same list in each place that it covers.
"""


Cell = list[Word]
Columns = Sequence[tuple[float, float]]
"""How far left and right each column of a table goes."""


@dataclass(slots=True)
class Grid:
    """A table of a page as it was read: its columns and rows, and how many of these are names of columns.

    A row is its cells and whether it is one text over several columns.
    """

    columns: Columns
    rows: list[tuple[list[Line], bool]]
    names: list[str]
    depth: int
    bold: bool = False
    """Whether the names are bold, and most of what is below them is not."""

    @property
    def head(self) -> list[list[str]]:
        """The texts of the rows that name the columns."""
        return [[cell.text for cell in row] for row, _ in self.rows[: self.depth]]

    def column(self, number: int) -> list[str]:
        """The values of a column."""
        texts = (row[number].text for row, one in self.rows[self.depth :] if not one and number < len(row))
        return [text for text in texts if text]


def join(first: Line, second: Line, *, dropped: int = 0, tight: bool = False) -> Line:
    """Two lines as one; `dropped` characters at the end of the first are left out, as its hyphen is."""
    text = first.text[: len(first.text) - dropped]
    glue = "" if dropped or tight or _is_tight(text, second.text) else " "
    start = len(text) + len(glue)
    spans = [*first.spans, *((at + start, source, count) for at, source, count in second.spans)]
    if dropped and first.spans:
        at, source, count = first.spans[-1]
        spans[len(first.spans) - 1] = (at, source, max(0, min(count, len(text) - at)))
    return replace(first, text=text + glue + second.text, spans=spans, full=second.full, rows=first.rows + second.rows)


def line_of(words: Sequence[Word]) -> Line:
    """The words as one line, with blanks between them but where East Asian letters meet at the end of a row."""
    pieces: list[str] = []
    spans: list[Span] = []
    place = 0
    before: Word | None = None
    for word in words:
        if before and not (word.top > before.bottom - word.size / 2 and _is_tight(before.text, word.text)):
            pieces.append(" ")
            place += 1
        spans.append((place, word.at, len(word.text)))
        pieces.append(word.text)
        place += len(word.text)
        before = word
    counts = Counter(round(word.size * 2) / 2 for word in words)
    size = max(counts, key=lambda each: counts[each]) if counts else 0.0
    top = words[0].top if words else 0.0
    return Line("".join(pieces), size, bool(words) and all(word.bold for word in words), top=top, spans=spans)


def is_unfinished(line: Line) -> bool:
    """Whether a line stops in the middle of a sentence."""
    return line.kind == "text" and len(line.text) > 12 and not _SENTENCE_END.search(line.text)


def ends_sentence(text: str) -> bool:
    """Whether a text ends as a sentence does."""
    return bool(_SENTENCE_END.search(text))


def _is_tight(before: str, after: str) -> bool:
    """Whether no blank belongs between two texts: East Asian letters stand without (those of Korea do not)."""
    return bool(UNSPACED.match(before[-1:]) and UNSPACED.match(after[:1]))
