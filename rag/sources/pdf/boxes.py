"""Where the words of a PDF's documents stand on its pages, and those of a picture in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

import pypdfium2

from rag.sources.ocr import lines_back
from rag.sources.pdf.document import Tally, opened, words_of
from rag.sources.pdf.layout import lay_out
from rag.sources.pdf.lines import Line
from rag.sources.pdf.page import PageText, Rect, frame_of
from rag.sources.pdf.rows import may_go_on, with_names_above
from rag.sources.pdf.ruled_tables import ruled_tables
from rag.sources.pdf.running import MOST_RUNNING
from rag.sources.pdf.text import join_headings, separator, text_of
from rag.sources.pdf.words import char_rects


@dataclass(frozen=True)
class Box:
    """A rectangle on a page (from 1), in PDF points from the page's origin at the bottom left, before it is turned."""

    page: int
    left: float
    bottom: float
    right: float
    top: float


MOST_ABOVE = 200
"""Pages above one that are looked at for the names of its table's columns."""

Kept = Mapping[int, Any]
"""The recognized lines of pages by their numbers from 1, as `rag.sources.ocr.kept_lines` made them."""


def boxes(path: str, page: int, text: str, start: int, end: int, kept: Kept) -> list[Box]:
    """Where characters of a page's document stand in the file: a rectangle for each line of them.

    The page is laid out once more, which gives the same lines. What the reader added, as the names of a table's
    columns, has no place. Runs PDFium: call it in a child process.

    Args:
        path: of the PDF.
        page: its number, as in the document's metadata.
        text: the document's whole text.
        start: of the characters in it.
        end: after the last of them.
        kept: of the page and the next one, where they were recognized.

    Raises:
        Unreadable: the file is protected or damaged.
        ValueError: it has no such page, or the text is not that of the page: the file has changed.
    """
    with opened(path) as document:
        if not 1 <= page <= len(document):
            raise ValueError(f"there is no page {page}")
        for found in _readings(document, page, kept):
            own = found.matching(text)
            if own is None:
                continue
            first, length = own
            rects = found.rects(first + start, first + min(end, length))
            if end > length and page < len(document):
                rects += _rects_of_tail(document, page + 1, text[length:], (start - length, end - length), kept)
            return rects
    raise ValueError(f"the text is not that of page {page}")


def boxes_of_lines(page: int, found: PageText, text: str, start: int, end: int) -> list[Box]:
    """Where characters of a picture's document stand in it; `found` are the recognized lines of its page.

    Raises:
        ValueError: the text is not that of the page.
    """
    placed = _Placed(page, lay_out(found), found)
    own = placed.matching(text)
    if own is None:
        raise ValueError(f"the text is not that of page {page}")
    return placed.rects(own[0] + start, own[0] + min(end, own[1]))


@dataclass
class _Placed:
    """A page with the place of each character of its text; `document` is needed where some are the file's own."""

    number: int
    lines: list[Line]
    found: PageText
    document: pypdfium2.PdfDocument | None = None

    def matching(self, text: str) -> tuple[int, int] | None:
        """Where the document's text begins in the page's, and how much of it is the page's own."""
        for above in range(min(MOST_RUNNING + 1, len(self.lines))):
            for below in range(min(MOST_RUNNING + 1, len(self.lines) - above)):
                kept = self.lines[above : len(self.lines) - below]
                own = text_of(kept)
                if text.startswith(own) or (len(own) > 1 and text.startswith(own[:-1]) and own[-1] in "-\u00ad\u2010"):
                    length = len(own) if text.startswith(own) else len(own) - 1
                    offset = len(text_of(self.lines[: above + 1])) - len(self.lines[above].text)
                    return offset, length
        return None

    def rects(self, start: int, end: int) -> list[Box]:
        """The rectangles of some characters of the page's text."""
        found: list[Rect] = []
        place = 0
        before: Line | None = None
        with ExitStack() as stack:
            textpage = None
            if self.document and self.found.own:
                page = stack.enter_context(closing(self.document[self.number - 1]))
                textpage = stack.enter_context(closing(page.get_textpage()))
            for line in self.lines:
                place += len(separator(before, line)) if before else 0
                before = line
                for at, source, count in line.spans:
                    first, last = max(start, place + at), min(end, place + at + count)
                    if first < last:
                        source += first - place - at
                        for rect in char_rects(self.found, textpage, source, last - first):
                            _add(found, rect)
                place += len(line.text)
        return [Box(self.number, *self.found.frame.points(*rect)) for rect in found]


def _add(found: list[Rect], rect: Rect) -> None:
    """Add a rectangle, to the last one where it stands beside it."""
    if found:
        left, top, right, bottom = found[-1]
        height = max(bottom - top, rect[3] - rect[1], 1.0)
        level = abs(bottom - rect[3]) < 0.3 * height and abs(top - rect[1]) < 0.3 * height
        gap = max(rect[0] - right, left - rect[2])  # before it, too: Arabic and Hebrew run to the left
        if level and -0.5 * height < gap < height:
            found[-1] = (min(left, rect[0]), min(top, rect[1]), max(right, rect[2]), max(bottom, rect[3]))
            return
    found.append(rect)


def _readings(document: pypdfium2.PdfDocument, page: int, kept: Kept) -> Iterator[_Placed]:
    """A page as it may have been read: by its text, with the names of the page before, by recognition."""
    found = _placed(document, page)
    yield found
    above = [found]  # upwards, to the page on which the table begins
    while may_go_on(above[-1].lines) and above[-1].number > 1 and len(above) <= MOST_ABOVE:
        above.append(_placed(document, above[-1].number - 1))
    lines = above.pop().lines
    while above:
        found = above.pop()
        lines = found.lines = with_names_above(found.lines, lines)
    yield found
    if page in kept:
        yield _recognized(document, page, kept)


def _recognized(document: pypdfium2.PdfDocument, number: int, kept: Kept) -> _Placed:
    """A page by its recognized lines."""
    with closing(document[number - 1]) as page:
        found = lines_back(frame_of(page), kept[number])
    return _Placed(number, lay_out(found), found, document)


def _placed(document: pypdfium2.PdfDocument, number: int) -> _Placed:
    """A page by its text."""
    with closing(document[number - 1]) as page:
        found, _, _ = words_of(document, page, Tally())
        lines = join_headings(lay_out(found, ruled_tables(found, found.rules)))
        return _Placed(number, lines, found, document)


def _rects_of_tail(
    document: pypdfium2.PdfDocument, page: int, tail: str, span: tuple[int, int], kept: Kept
) -> list[Box]:
    """The places of the end of a sentence, which stands at the beginning of the next page."""
    bare = tail.lstrip()
    shift = len(tail) - len(bare)
    readings = [_placed(document, page)]
    if page in kept:
        readings.append(_recognized(document, page, kept))
    for found in readings:
        at = text_of(found.lines).find(bare)
        if at >= 0:
            return found.rects(at + max(0, span[0] - shift), at + span[1] - shift)
    return []
