"""The grid of a table of Word: merged cells in each place they cover, and which rows name the columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rag.sources.forms import are_labelled
from rag.sources.merged import MOST_COLUMNS
from rag.sources.tables import has_groups, has_header, is_number
from rag.sources.xml_tree import Element, attribute, below, child, is_on, local, whole

_LONG_CELL = 600
"""Characters of a cell that is a column of a page rather than a value."""
_LEAST_LINES, _LONGEST_LINE = 3, 60
"""Lines of each cell of a row that stand for several rows, and the characters of one, at most."""
_NUMBERS = 0.6
"""Share of the lines of one column that are numbers then."""


class Table:
    """A table's rows of cells as text. Rows and cells that a tracked change takes out are not among them."""

    def __init__(self, table: Element, text_of: Callable[[Element], str]) -> None:
        self.rows: list[list[str]] = []
        self.header: int | None = None
        self.caption = ""
        self._cells: list[list[Element]] = []
        rows = [row for row in _inside(table, "tr") if child(row, "trPr", "del") is None]
        for row in rows:
            cells = [cell for cell in _inside(row, "tc") if child(cell, "tcPr", "cellDel") is None]
            self._cells.append(cells)
        widest = max(map(len, self._cells), default=0)
        nested = any(True for cells in self._cells for cell in cells for _ in below(cell, "tbl"))
        self.is_layout = widest <= 1 or (len(rows) == 1 and (nested or self._is_page(self._cells[0])))
        if self.is_layout:
            return
        self._fill(rows, text_of)
        named = child(table, "tblPr", "tblCaption")
        self.caption = attribute(named, "val")
        across = [len(cells) == 1 < len(row) for row, cells in zip(self.rows, self._cells, strict=True)]
        if across[:1] == [True] and not any(across[1:2]) and any(across[2:-1]):  # the first of several groups of rows
            for each in (self.rows, rows, self._cells):
                each[0], each[1] = each[1], each[0]
        elif len(self.rows) > 2 and across[0] and self.rows[0][0]:
            self.caption = self.caption or self.rows[0][0]  # its title, in one cell above all columns
            del self.rows[0], rows[0], self._cells[0]
        self.header = self._header(rows)
        parted = [_parted(row, cells) for row, cells in zip(self.rows, self._cells, strict=True)]
        self.rows = [line for lines in parted for line in lines]

    def cells(self) -> Iterator[Element]:
        """All cells, row by row."""
        for cells in self._cells:
            yield from cells

    def _fill(self, rows: list[Element], text_of: Callable[[Element], str]) -> None:
        above: dict[int, str] = {}
        for row, cells in zip(rows, self._cells, strict=True):
            texts = [""] * min(whole(attribute(child(row, "trPr", "gridBefore"), "val"), 0), MOST_COLUMNS)
            for cell in cells:
                settings = child(cell, "tcPr")
                merged = child(settings, "vMerge")
                goes_on = merged is not None and attribute(merged, "val") != "restart"
                text = above.get(len(texts), "") if goes_on else text_of(cell)
                wide = min(whole(attribute(child(settings, "gridSpan"), "val"), 1) or 1, MOST_COLUMNS)
                for _ in range(wide):
                    above[len(texts)] = text
                    texts.append(text)
            self.rows.append(texts)

    def _header(self, rows: list[Element]) -> int | None:
        """How many rows name the columns, by what the file says of them; None where it says nothing."""
        count = 0
        for row in rows:
            if not is_on(child(row, "trPr", "tblHeader")):
                break
            count += 1
        if 0 < count < len(rows):
            return count
        first = [cell for cell in self._cells[0] if _has_text(cell)] if rows else []
        if len(rows) < 2 or len(first) < 2:
            return None
        if has_groups(self.rows):
            return 2
        if are_labelled(self.rows):
            for row in self.rows:
                row[0] = f"{row[0].rstrip(': ')}:"
            return 0
        if _is_first_row(rows[0]) or (all(map(_is_bold, first)) and not all(map(_is_bold, self._cells[1]))):
            return 1
        beside = [cells[0] for cells in self._cells if cells and _has_text(cells[0])]
        labelled = any(text.endswith(":") for text in self.rows[0])
        if max(map(len, self._cells)) == 2 and all(map(_is_bold, beside)):
            for row in self.rows:
                row[0] = f"{row[0].rstrip(': ')}:" if row[0] else ""
            return 0
        if labelled:
            return 0  # each row has its own name in front
        nested = [any(True for cell in cells for _ in below(cell, "tbl")) for cells in self._cells]
        if nested[:2] == [False, True]:
            return int(has_header(self.rows))
        if len(rows) == 2 and max(map(len, self._cells)) == 2 and not any(map(is_number, self.rows[1])):
            return 0  # two rows of words say nothing of a header
        return None

    @staticmethod
    def _is_page(cells: list[Element]) -> bool:
        return any(sum(len(text.text or "") for text in below(cell, "t")) > _LONG_CELL for cell in cells)


def _inside(item: Element, name: str) -> Iterator[Element]:
    """The rows of a table or the cells of a row, also those in controls and marks around them."""
    for inner in item:
        found = local(inner)
        if found == name:
            yield inner
        elif found in ("sdt", "sdtContent", "customXml", "ins", "moveTo", "smartTag"):
            yield from _inside(inner, name)


def _parted(row: list[str], cells: list[Element]) -> list[list[str]]:
    """A row as it is, or as the rows that its cells make up by as many lines each, which only look like rows.

    These are short, and those of one column are numbers: items of two lists that stand beside each other are no rows.
    """
    found = [_lines_of(cell) for cell in cells]
    high = max(map(len, found), default=0)
    columns = [lines or [""] * high for lines in found]
    are_rows = len(row) == len(cells) > 1 and high >= _LEAST_LINES and all(len(lines) == high for lines in columns)
    if not are_rows or any(len(line) > _LONGEST_LINE for lines in columns for line in lines):
        return [row]
    if not any(sum(map(is_number, lines)) >= _NUMBERS * high for lines in columns):
        return [row]
    return [list(line) for line in zip(*columns, strict=True) if any(line)]


def _lines_of(cell: Element) -> list[str]:
    """The lines of a cell as they are broken, without empty ones at the end; none where a table is in it."""
    lines: list[str] = []
    for paragraph in below(cell, "p"):
        signs = (item for item in paragraph.iter() if local(item) in ("t", "br", "cr", "tab"))
        text = "".join(
            (item.text or "") if local(item) == "t" else "\n" if local(item) != "tab" else " " for item in signs
        )
        lines += [" ".join(line.split()) for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines if next(below(cell, "tbl"), None) is None else []


def _has_text(cell: Element) -> bool:
    return any((text.text or "").strip() for text in below(cell, "t"))


def _is_bold(cell: Element) -> bool:
    runs = [run for run in below(cell, "r") if any((text.text or "").strip() for text in below(run, "t"))]
    return bool(runs) and all(is_on(child(run, "rPr", "b")) for run in runs)


def _is_first_row(row: Element) -> bool:
    """Whether the style of the table shows this row as its first, which names the columns."""
    style = child(row, "trPr", "cnfStyle")
    return attribute(style, "firstRow") in ("1", "true") or attribute(style, "val").startswith("1")
