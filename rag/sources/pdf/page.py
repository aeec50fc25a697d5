"""A PDF page as it is shown: its frame, its characters, and its words with their places."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import pypdfium2 as pdfium

RIGHT_TO_LEFT = re.compile(r"[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]")
Rect = tuple[float, float, float, float]
"""Left, top, right, bottom in points, from the top left corner of the page as it is shown."""
Borders = Sequence[tuple[int, float]]
"""Where words of a line meet: the number of the character that begins there, and how far right that is; in order."""


@dataclass(slots=True)
class Word:
    """A word, or words with blanks between them.

    `at` is the index of its first character in `PageText.chars`, `size` is in points.
    """

    text: str
    at: int
    x0: float
    top: float
    x1: float
    bottom: float
    size: float
    bold: bool = False
    broken: bool = False
    """Whether it goes on, without a hyphen, at the beginning of the next line."""
    spaced: bool = False
    """Whether a blank comes right after it in the file."""
    typed: bool = False
    """Whether it was typed into a form."""
    parted: bool = False
    """Whether the file has a blank and then white after it, as between two cells."""


@dataclass(frozen=True)
class Frame:
    """The visible part of a page in PDF points, and how it is turned (degrees, clockwise) where it is shown."""

    left: float
    bottom: float
    right: float
    top: float
    rotation: int

    @property
    def size(self) -> tuple[float, float]:
        """Width and height as shown."""
        width, height = self.right - self.left, self.top - self.bottom
        return (height, width) if self.rotation in (90, 270) else (width, height)

    def shown(self, left: float, bottom: float, right: float, top: float) -> Rect:
        """A rectangle in PDF points as it is shown."""
        if self.rotation == 90:
            return bottom - self.bottom, left - self.left, top - self.bottom, right - self.left
        if self.rotation == 180:
            return self.right - right, bottom - self.bottom, self.right - left, top - self.bottom
        if self.rotation == 270:
            return self.top - top, self.right - right, self.top - bottom, self.right - left
        return left - self.left, self.top - top, right - self.left, self.top - bottom

    def points(self, x0: float, top: float, x1: float, bottom: float) -> Rect:
        """A shown rectangle in PDF points: left, bottom, right, top, from the origin of the page."""
        if self.rotation == 90:
            return self.left + top, self.bottom + x0, self.left + bottom, self.bottom + x1
        if self.rotation == 180:
            return self.right - x1, self.bottom + top, self.right - x0, self.bottom + bottom
        if self.rotation == 270:
            return self.right - bottom, self.top - x1, self.right - top, self.top - x0
        return self.left + x0, self.top - bottom, self.left + x1, self.top - top


@dataclass
class PageText:
    """The characters of a page and its words in the order of the file.

    `extra` holds the places of the characters beyond the page's own: those of form values, or of recognized lines.
    """

    frame: Frame
    chars: str
    words: list[Word]
    own: int = 0
    rules: list[Rect] = field(default_factory=list)
    """The straight lines that are drawn on the page."""
    extra: list[Rect] = field(default_factory=list)
    added: list[tuple[str, Rect, float, Borders]] = field(default_factory=list)
    """What `add` was called with."""

    def add(self, text: str, rect: Rect, size: float, borders: Borders = ()) -> None:
        """Add words that stand in `rect` (as shown); the characters between two borders share the width evenly.

        The blank before a border has no width: half of the gap that is seen belongs to either word.
        """
        x0, top, x1, bottom = rect
        self.words.append(Word(text, len(self.chars), x0, top, x1, bottom, size))
        self.chars += text
        self.added.append((text, rect, size, borders))
        for (at, left), (after, right) in pairwise([(0, x0), *borders, (len(text), x1)]):
            wide = max(1, len(text[at:after].rstrip()))
            edges = [left + (right - left) * min(n, wide) / wide for n in range(after - at + 1)]
            self.extra += [(start, top, end, bottom) for start, end in pairwise(edges)]


def frame_of(page: pdfium.PdfPage) -> Frame:
    """The visible part of a page: its crop box inside its media box, which may be those of all pages."""
    left, bottom, right, top = page.get_bbox()
    return Frame(left, bottom, right, top, page.get_rotation() % 360)
