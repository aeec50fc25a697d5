"""The text of a document as it is put together: paragraphs, headings and tables, with the marks of its outline."""

from __future__ import annotations

from collections.abc import Sequence

from rag.sources.outline import AFTER_TABLE, CAPTION, MARK, Marks, plain
from rag.sources.tables import cell_text

DEEPEST_HEADING = 6


class Flow:
    """Blocks of text in order, an empty line between them; items of a list and rows of a table follow each other."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.marks: Marks = []
        self._in_list = False
        self._after_table = False
        self._ended = False

    @property
    def text(self) -> str:
        """All of it, with a mark for each of `marks`."""
        return "".join(self.pieces)

    def paragraph(self, text: str, *, item: bool = False) -> None:
        """Add a paragraph; `item`: of a list."""
        text = plain(text).strip("\n")
        if text.strip():
            gap = "\n" if item and self._in_list else "\n\n"
            self._add(f"{self._mark_here()}{text}", gap)
            self._in_list = item

    def heading(self, text: str, level: int) -> None:
        """Add a heading as one line; level 1 is the outermost."""
        if line := cell_text(text):
            self._after_table = self._ended = self._in_list = False
            self.marks.append((min(max(level, 1), DEEPEST_HEADING), ""))
            self._add(f"{MARK}{line}", "\n\n")

    def end_sections(self) -> None:
        """What follows belongs to no heading."""
        self._ended = True

    def put_in_front(self, texts: Sequence[str]) -> None:
        """Put paragraphs before all that was added."""
        gap = ["\n\n"] if self.pieces else []
        front = [piece for text in texts for piece in (text, "\n\n")][:-1]
        self.pieces = [*front, *gap, *self.pieces] if front else self.pieces

    def table(self, lines: Sequence[str], caption: str = "") -> None:
        """Add the lines of a table, and above them its caption as the name of their section."""
        caption = cell_text(caption)
        if caption:
            before = self._mark_here()
            self.marks.append((CAPTION, ""))
            self._add("\n".join([f"{before}{MARK}{caption}", *lines]), "\n\n")
            self._after_table = True
        elif lines:
            self._add(self._mark_here() + "\n".join(lines), "\n\n")
        self._in_list = False

    def _mark_here(self) -> str:
        if not (self._ended or self._after_table):
            return ""
        self.marks.append((0 if self._ended else AFTER_TABLE, ""))
        self._ended = self._after_table = False
        return MARK

    def _add(self, text: str, gap: str) -> None:
        if text:
            self.pieces += [gap, text] if self.pieces else [text]

    def append(self, other: Flow) -> None:
        """Add all of another flow."""
        if other.pieces:
            self._add(self._mark_here() + other.text, "\n\n")
            self.marks += other.marks
            self._after_table = other._after_table
            self._in_list = False
