"""The lines of a text, with marks at its headings and at the captions of its tables."""

from __future__ import annotations

from rag.sources.outline import AFTER_TABLE, CAPTION, MARK, Marks


class MarkedLines:
    """Lines, the headings among them as those of Markdown, and the marks of these and of captions of tables."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.marks: Marks = []
        self._after_table = False

    def heading(self, level: int, name: str) -> None:
        """Add a heading; 1 is the outermost level."""
        self.lines.append(f"{MARK}{'#' * level} {name}")
        self.marks.append((level, ""))
        self._after_table = False

    def add(self, line: str) -> None:
        """Add a line of text, or one that has to do with a caption (see `markup_tables`)."""
        if line == MARK:
            self._after_table = True
            return
        if line.startswith(MARK):
            self.marks.append((CAPTION, ""))
            self._after_table = False
        elif self._after_table and line.strip():
            line = MARK + line.lstrip()
            self.marks.append((AFTER_TABLE, ""))
            self._after_table = False
        self.lines.append(line)
