"""A table of a page becomes lines; one that only lays the page out is told apart."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from bs4 import CData, Tag
from bs4.element import NavigableString

from rag.sources.html.signs import told_by_sign
from rag.sources.html.tags import BLOCK_TAGS, HEADINGS, NOISE_TAGS, is_hidden, is_line_number, is_struck, is_wiki_sign
from rag.sources.merged import spread
from rag.sources.tables import cell_text, table_lines

LONGEST_CELL = 2000
"""Characters of a cell on a web page. A longer one is a part of the page, and its table lays the page out."""
LONGEST_NAMED_CELL = 8000
"""The same in a table that names its columns or has a caption, and in documents that have no layout tables."""
LONGEST_DOUBTFUL_CELL = 400
"""The same in a page's table of a single row, or with headings, tables or code in it, as layout tables have."""
DEEPEST = 2
"""Tables within a table that are still read as the text of its cells."""
_WIDEST = 200
"""Columns that one cell may cover."""
_PARTS = ("caption", "thead", "tbody", "tfoot", "tr", "td", "th")
_TABLE_ROLES = ("table", "grid", "treegrid")
_PART_ROLES = {
    "rowgroup": "tbody",
    "row": "tr",
    "cell": "td",
    "gridcell": "td",
    "columnheader": "th",
    "rowheader": "th",
}
"""What tags of any name are in a table made of others than `<table>` (WAI-ARIA)."""
_BOLD = re.compile(r"font-weight\s*:\s*(?:bold|[6-9]00)", re.IGNORECASE)
_LAYOUT_ROLES = ("presentation", "none")
_LAYOUT_CLASSES = frozenset(["highlighttable", "rouge-table", "codehilitetable", "lntable"])
"""Tables that put line numbers beside code."""


@dataclass
class _Cell:
    heading: bool
    columns: int
    rows: int
    pieces: list[str] = field(default_factory=list)
    alternative: str = ""
    text: str = ""
    bold: bool = False
    light: bool = False

    @property
    def is_bold(self) -> bool:
        """Whether all of its text is bold."""
        return self.bold and not self.light


@dataclass
class _Row:
    part: str
    cells: list[_Cell] = field(default_factory=list)


@dataclass(frozen=True)
class Table:
    """A table's caption, "" if it has none, its rows as lines, and the texts of its cells."""

    caption: str
    lines: list[str]
    cells: list[str]


def is_table(tag: Tag) -> bool:
    """Whether a tag is a table by its name or role."""
    return tag.name == "table" or (bool(tag.attrs) and _role(tag) in _TABLE_ROLES)


def _role(tag: Tag) -> str:
    return str(tag.get("role") or "").strip().lower()


def _part(tag: Tag) -> str:
    """The name of the part of a table that a tag is; "" for other tags."""
    return tag.name if tag.name in _PARTS else _PART_ROLES.get(_role(tag), "") if tag.attrs else ""


def read_table(tag: Tag, *, on_page: bool) -> Table | None:
    """The table as lines, or None where it only lays text out: then it is read as any other text.

    Args:
        tag: one for which `is_table` holds.
        on_page: whether it comes from a web page, where tables may lay out the page.
    """
    if _role(tag) in _LAYOUT_ROLES:
        return None
    if not _LAYOUT_CLASSES.isdisjoint(tag.get_attribute_list("class")):
        return None
    scan = _Scan(on_page)
    if not scan.read(tag):
        return None
    rows = [row for row in scan.rows if any(cell.text for cell in row.cells)]
    rows.sort(key=lambda row: row.part == "tfoot")  # it may stand before the rows that it closes
    width = max((sum(cell.columns for cell in row.cells) for row in rows), default=0)
    top = _wide_at_top(rows, width)
    named = _header_rows(rows[top:])
    named = named + top if named else named
    if width < 2 and (not named or named == len(rows)):
        return None
    longest = max((len(cell.text) for row in rows for cell in row.cells), default=0)
    doubtful = on_page and (len(rows) < 2 or (scan.doubtful and not named))
    return None if doubtful and longest > LONGEST_DOUBTFUL_CELL else _as_lines(scan.caption(), rows, width, named)


class _Scan:
    """One way through a table, which finds its rows also where nothing closes them."""

    def __init__(self, on_page: bool) -> None:
        self.rows: list[_Row] = []
        self.doubtful = False
        self._captions: list[str] = []
        self._limit = LONGEST_CELL if on_page else LONGEST_NAMED_CELL
        self._part = ""
        self._target: list[str] | None = None
        self._bold: set[int] = set()

    def caption(self) -> str:
        """The table's caption in one line."""
        return cell_text("".join(self._captions))

    def read(self, table: Tag) -> bool:
        """Collect the rows. False once it is clear that the table lays out a page."""
        nested, size = 0, 0
        for item, opens in _steps(table):
            if isinstance(item, str):
                if self._target is not None:
                    self._target.append(item)
                    self._weigh(item)
                    size += len(" ".join(item.split()))
                    if size > self._limit:
                        return False
                continue
            if is_table(item):
                nested += 1 if opens else -1
                self.doubtful = True
                if nested > DEEPEST:
                    return False
            if nested or not (part := _part(item)):
                self._inside(item, opens)
            elif opens and part == "td" and is_line_number(item):  # of the code beside it
                return False
            else:
                self._structure(item, part, opens)
                size = 0
        for cell in (cell for row in self.rows for cell in row.cells):
            cell.text = cell_text("".join(cell.pieces)) or cell_text(cell.alternative)
        return True

    def _weigh(self, text: str) -> None:
        """Note in a cell whether its text is bold."""
        if text.strip() and self.rows and self.rows[-1].cells:
            cell = self.rows[-1].cells[-1]
            cell.bold |= bool(self._bold)
            cell.light |= not self._bold

    def _inside(self, tag: Tag, opens: bool) -> None:
        """A tag in a cell."""
        if opens and (tag.name in ("b", "strong") or (tag.attrs and _BOLD.search(str(tag.get("style") or "")))):
            self._bold.add(id(tag))
        elif not opens:
            self._bold.discard(id(tag))
        if self._target is not None and (tag.name in BLOCK_TAGS or is_table(tag)):
            self._target.append(" ")
        self.doubtful |= tag.name in HEADINGS or tag.name == "pre"
        if opens and self.rows and self.rows[-1].cells and (told := told_by_sign(tag)):
            self.rows[-1].cells[-1].alternative += f" {told}"

    def _structure(self, tag: Tag, part: str, opens: bool) -> None:
        """A part of the table, a row or a cell."""
        if part in ("thead", "tbody", "tfoot"):
            self._part = part if opens else ""
        elif part == "caption":
            self._target = self._captions if opens else None
            self._limit = LONGEST_NAMED_CELL
        elif opens and part == "tr":
            self.rows.append(_Row(self._part))
            self._target = None
        elif opens:
            cell = _Cell(part == "th", _span(tag, "colspan"), _span(tag, "rowspan"))
            if cell.heading:
                self._limit = LONGEST_NAMED_CELL
            if not self.rows:
                self.rows.append(_Row(self._part))
            self.rows[-1].cells.append(cell)
            self._target = cell.pieces
            self._bold = {id(tag)} if _BOLD.search(str(tag.get("style") or "")) else set()


def _steps(root: Tag) -> Iterator[tuple[Tag | str, bool]]:
    """The visible texts and the tags below `root` in order; a tag comes when it opens (True) and when it closes."""
    stack = [(root, iter(root.contents))]
    while stack:
        tag, children = stack[-1]
        child = next(children, None)
        if child is None:
            stack.pop()
            if stack:
                yield tag, False
        elif isinstance(child, Tag):
            is_sign = bool(child.attrs) and is_wiki_sign(child.name, child.get_attribute_list("class"))
            is_shown = not is_hidden(child.attrs) and not is_struck(child.name, child.attrs)
            if child.name not in NOISE_TAGS and not is_sign and is_shown:
                yield child, True
                stack.append((child, iter(child.contents)))
            elif told_by_sign(child):
                yield child, True  # an icon, which is hidden from who hears the page
        elif type(child) in (NavigableString, CData):
            yield str(child), True


def _span(tag: Tag, name: str) -> int:
    """How many columns or rows a cell covers; rows may be "0": all that follow in its part."""
    value = str(tag.get(name) or tag.get(f"aria-{name}") or "1").strip()
    if not value.isdecimal() or len(value) > 6:
        return 1
    if name == "rowspan":
        return int(value) or 65_534  # the most that HTML allows
    return min(max(int(value), 1), _WIDEST)


def _header_rows(rows: list[_Row]) -> int | None:
    """How many rows name the columns; None where the markup does not tell."""
    count = 0
    for row in rows:
        if count and row.part != "thead" and len(row.cells) == 1 and row.cells[0].columns > 1:
            break  # the name of the rows below it
        if row.part != "thead" and not all(cell.heading for cell in row.cells if cell.text):
            break
        count += 1
    if count == len(rows) and any(row.part != "thead" for row in rows):
        count = next((number for number, row in enumerate(rows) if row.part != "thead"), 0) or 1
    if count:
        return count
    pairs = [row for row in rows if len(row.cells) > 1]
    headed = sum(row.cells[0].heading and not row.cells[1].heading for row in pairs)
    if pairs and headed >= len(pairs) / 2:
        return 0
    if len(pairs) > 1 and all(cell.is_bold for cell in pairs[0].cells) and pairs[0] is rows[0]:
        return None if all(cell.is_bold for cell in pairs[1].cells) else 1
    marked = sum(row.cells[0].is_bold and not row.cells[1].is_bold for row in pairs)
    return 0 if len(pairs) > 1 and marked == len(pairs) == len(rows) else None


def _is_wide(row: _Row, width: int) -> bool:
    """Whether a row has one cell that is as wide as the table."""
    return width > 1 and len(row.cells) == 1 and row.cells[0].columns >= width


def _wide_at_top(rows: list[_Row], width: int) -> int:
    """How many rows of one cell stand above the others; they may name the table, but no columns."""
    return next((number for number, row in enumerate(rows[:-1]) if not _is_wide(row, width)), max(0, len(rows) - 1))


def _as_lines(caption: str, rows: list[_Row], width: int, named: int | None) -> Table:
    """Rows with merged cells repeated; a cell as wide as the table is a line of its own, or the caption at the top."""
    grid = _filled(rows)
    wide = [_is_wide(row, width) for row in rows]
    cells = [cell.text for row in rows for cell in row.cells if cell.text]
    lines: list[str] = []
    top = _wide_at_top(rows, width)
    for number in range(top):
        if caption:
            lines.append(grid[number][0])
        caption = caption or grid[number][0]
        named = (named - 1 or None) if named else named
    header = grid[top : top + (named or 0)]
    body = range(top + len(header), len(rows))
    if not body:
        return Table(caption, lines + table_lines(header, header=0), cells)
    above = ""  # what names the rows below it that begin with a bullet
    for apart, group in itertools.groupby(body, key=wide.__getitem__):
        numbers = list(group)
        if apart:
            lines += [grid[number][0] for number in numbers]
            above = lines[-1]
        elif named == 0 and width == 2:
            for number in numbers:
                texts = list(dict.fromkeys(filter(None, grid[number])))
                is_part = texts[0].startswith("•")
                above = above if is_part else texts[0] if len(texts) > 1 else above
                name = (f"{above} {texts[0]}".lstrip() if is_part else texts[0]).rstrip(": ")
                lines.append(": ".join([name, *texts[1:]]))
        else:
            lines += table_lines([*header, *(grid[number] for number in numbers)], header=named)
    return Table(caption, lines, cells)


def _filled(rows: list[_Row]) -> list[list[str]]:
    """The texts of the cells by row and column; a merged cell's in each place that it covers within its part."""
    parts = (list(group) for _, group in itertools.groupby(rows, key=lambda row: row.part))
    return [
        texts
        for part in parts
        for texts in spread([[(cell.text, cell.columns, cell.rows) for cell in row.cells] for row in part])
    ]
