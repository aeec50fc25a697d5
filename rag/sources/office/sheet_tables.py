"""The tables in a sheet: where each begins and ends, which rows name its columns, and what stands above them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace

from rag.sources.flow import Flow
from rag.sources.forms import form_lines, is_form
from rag.sources.office.sheet_rows import (
    LATEST_HEADER,
    LONGEST_NAME,
    Row,
    fill_groups,
    is_group,
    is_textual,
    labels_of,
    merged_columns,
    second_table,
)
from rag.sources.plain.column_groups import ColumnGroup, column_groups
from rag.sources.tables import SEPARATOR, is_number, without_leaders

_WINDOW = 30
"""Rows of a block that are looked at to find its header."""
_WIDEST_GAP = 2
"""Empty rows that may stand between names of columns and the rows that they name."""
_LEAST_FILLED = 0.3
"""Share of the rows below a header that have more than one text, from which on the others name groups of them."""
_LEAST_NUMBERS = 0.5
"""Share of the cells below a column's name that are numbers, from which on it names them for certain."""


class SheetTables:
    """Rows of a sheet come in one after the other; its tables go into a flow. `size` counts the characters."""

    def __init__(self, flow: Flow) -> None:
        self.size = 0
        self.count = 0
        self._flow = flow
        self._waiting: list[Row] = []
        self._names: dict[int, str] | None = None
        self._column_groups: list[ColumnGroup] = []
        self._lines_of_groups: list[list[str]] = []
        self._lines: list[str] = []
        self._used: set[int] = set()
        self._caption = ""
        self._open = False
        self._last = 0
        self._head = 0
        self._heads: list[Row] = []
        self._group: list[str] = []
        self._begins_with_group = False
        self._known: set[int] = set()
        self._labels: tuple[int, int] | None = None
        self._merged: set[int] = set()
        self._label = ""
        self._title: Row | None = None
        self._second: tuple[int, SheetTables, Flow] | None = None

    def add(self, row: Row) -> None:
        """Take the next row; an empty row between two ends a block, but for one below the names of columns."""
        if self._second and row.number <= self._last + 1:
            self._last = row.number
            self._add_parted(row)
            return
        self._add(row)

    def _add_parted(self, row: Row) -> None:
        """Take a row of two tables that stand side by side."""
        assert self._second
        column, second, _ = self._second
        left = {place: text for place, text in row.cells.items() if place < column}
        right = {place: text for place, text in row.cells.items() if place >= column}
        if left:
            self._add(replace(row, cells=left), parted=True)
        if right:
            second.add(replace(row, cells=right, comments=[] if left else row.comments))

    def _add(self, row: Row, *, parted: bool = False) -> None:
        if self._last and row.number > self._last + 1 and not parted:
            is_near = row.number <= self._last + 1 + _WIDEST_GAP
            if is_near and not self._open and self._may_be_head(self._waiting, row):
                self._head = len(self._waiting)
            else:
                self.end()
        self._last = max(self._last, row.number)
        row.cells = {column: without_leaders(text) for column, text in row.cells.items()}
        self.size += sum(map(len, row.cells.values()))
        if self._open:
            self._line(row.without_merged(self._merged))
        else:
            self._waiting.append(row)
            if len(self._waiting) >= _WINDOW:
                self._begin()

    def end(self) -> None:
        """End the block, and show it."""
        if not self._open:
            self._begin()
        self._show_heads()
        self._group = []
        names = sorted((self._names or {}).items())
        if not self._is_empty and (unused := [name for column, name in names if name and column not in self._used]):
            self._lines.insert(0, f"Columns without values: {SEPARATOR.join(unused)}")
        elif self._is_empty:
            self._lines = [SEPARATOR.join(name for _, name in names)]
        self._show()
        self._known |= self._used
        self._used = set()
        self._lines, self._caption, self._open = [], "", False
        if self._second:
            _, second, flow = self._second
            self._second = None
            second.end()
            self.count += second.count
            self._flow.append(flow)

    def _show(self) -> None:
        """Show the lines of the block as a table, or as one for each group of columns."""
        if self._lines or self._is_empty:
            self._flow.table(self._lines, self._caption)
        for group, lines in zip(self._column_groups, self._lines_of_groups, strict=True):
            if lines:
                self._flow.table(lines, f"{self._caption}: {group.shared}" if self._caption else group.shared)
        self._lines_of_groups = [[] for _ in self._column_groups]

    def _begin(self) -> None:
        rows, self._waiting, self._open = self._waiting, [], True
        head, self._head = self._head, 0
        self._merged = merged_columns(rows)
        rows = [row.without_merged(self._merged) for row in rows]
        if not head and not self._second and (column := second_table(rows)):
            flow = Flow()
            self._second = (column, SheetTables(flow), flow)
            self._open = False
            for row in rows:
                self._add_parted(row)
            if not self._open:
                self._begin()
            return
        fill_groups(rows)
        if not head and self._take_form(rows):
            return
        if head and not self._is_head(rows, head):
            self._waiting, self._open = rows[:head], False
            self.end()
            rows, self._open, head = rows[head:], True, 0
        header = self._header(rows)
        if header is None:
            if not self._goes_on(rows):
                self._names = None
                self._column_groups, self._lines_of_groups = [], []
        else:
            first, last = header
            self._names = names_of(rows[first : last + 1])
            self._known, self._label = set(), ""
            self._labels = labels_of(rows[last + 1 :])
            self._column_groups = column_groups(_texts_of(rows[first : last + 1]))
            self._lines_of_groups = [[] for _ in self._column_groups]
            self.count += 1
            above = rows[:first]
            for number, row in enumerate(above):
                is_caption = row.is_title or (bool(head) and 2 * len(row.cells) < len(rows[last].cells))
                if number == first - 1 and is_caption and len(row.line) <= 200:
                    self._caption = row.line
                else:
                    self._flow.paragraph(row.line, item=True)
            told = list(dict.fromkeys(comment for row in rows[first : last + 1] for comment in row.comments))
            self._lines += [f"Comment: {comment}" for comment in told]
            rows = rows[last + 1 :]
        self._begins_with_group = header is None or bool(head) or _begin_with_group(rows)
        for row in rows:
            self._line(row)

    def _take_form(self, rows: Sequence[Row]) -> bool:
        """Take rows as a form, below their title, if they are one."""
        top = int(bool(rows) and rows[0].is_title)
        columns = sorted({column for row in rows[top:] for column in row.cells})
        grid = [[row.cells.get(column, "") for column in columns] for row in rows[top:]]
        if not is_form(grid):
            return False
        self._caption = rows[0].line if top else ""
        self._names, self._used = None, set(columns)
        self._lines += form_lines(grid)
        self._lines += [f"Comment: {comment}" for row in rows for comment in row.comments]
        return True

    def _line(self, row: Row) -> None:
        names = self._names
        if self._labels and names is not None:
            first, second = self._labels
            if first in row.cells:
                self._label = row.cells[first]
            elif second in row.cells and not is_number(row.cells[second]) and self._label:
                row = replace(row, cells={first: self._label, **row.cells})
        if names is not None and self._may_name_group(row, min(names)):
            self._heads.append(row)
            return
        if self._heads and len(row.cells) > 1 and not row.is_title:
            self._used.update(column for head in self._heads for column in head.cells)
            self._lines += [f"Comment: {text}" for head in self._heads for text in head.comments]
            kept = self._group[: max(0, len(self._group) - len(self._heads))]
            self._group = kept + [next(iter(head.cells.values())).rstrip(" :") for head in self._heads]
            self._heads = []
        self._show_heads()
        self._used.update(row.cells)
        if names is None or (row.is_title and len(row.cells) > 1):
            self._lines.append(row.line)
        elif all(names.get(column) == text for column, text in row.cells.items()) and len(row.cells) > 1:
            if self._title:  # the header once more, below another title
                self._lines.pop()
                self._show()
                self._lines, self._caption = [], self._title.line
        elif len(row.cells) > 1 or names.get(min(row.cells)) != row.line:
            is_in_group = self._group and len(row.cells) > 1
            self._row(row.below(self._group, min(*names, *row.cells)) if is_in_group else row, names)
            self._title = row if row.is_title and not any(self._lines_of_groups) else None

    def _row(self, row: Row, names: dict[int, str]) -> None:
        """Take a row as a line, or as one for each group of columns in which it has values."""
        label, comments = dict(row.cells), row.comments
        groups = self._column_groups
        cells = [{column: label.pop(column) for column in group.names if column in label} for group in groups]
        if not any(cells):
            self._lines.append(row.named_line(names))
            return
        label_line = replace(row, cells=label, comments=[]).named_line(names)
        for group, own, lines in zip(groups, cells, self._lines_of_groups, strict=True):
            if own:
                own_line = replace(row, cells=own, comments=comments).named_line(group.names)
                lines.append(group.line(label_line, own_line))
                comments = []

    def _may_name_group(self, row: Row, first: int) -> bool:
        """Whether a row may name the rows below it: one text at the left, at a block's beginning or as one before."""
        text = next(iter(row.cells.values()))
        if not row.is_title or min(row.cells) > first or len(text) > LONGEST_NAME:
            return False
        if len(row.cells) > 1 or self._heads:
            return True
        return is_number(text) in map(is_number, self._group) if self._group else self._is_first

    @property
    def _is_first(self) -> bool:
        """Whether no row of the block was shown, and the first one may name others."""
        return self._begins_with_group and self._is_empty

    @property
    def _is_empty(self) -> bool:
        """Whether the block has no lines so far."""
        return not self._lines and not any(self._lines_of_groups)

    def _show_heads(self) -> None:
        """Show rows of one text that named no group as what they are."""
        heads, self._heads = self._heads, []
        for row in heads:
            self._used.update(row.cells)
            self._lines.append(row.line if len(row.cells) > 1 else row.named_line(self._names or {}))

    def _may_be_head(self, rows: Sequence[Row], below: Row) -> bool:
        """Whether a block has nothing but names of columns, below titles and names of groups of columns."""
        if not rows:
            return False
        last = rows[-1]
        if not all(row.is_title or is_group(row) or len(row.cells) < len(last.cells) / 2 for row in rows[:-1]):
            return False
        if last.is_title or len(last.cells) < 2 or not is_textual(last, below):
            return False
        names = names_of([row for row in rows if not row.is_title])
        known = self._names or {}
        return not set(names) <= set(known) or any(map(is_group, rows)) or names.items() <= known.items()

    def _is_head(self, rows: Sequence[Row], head: int) -> bool:
        """Whether the first rows name the columns of those that stand below an empty row."""
        found, rest = self._header(rows), rows[head:]
        columns = set(rows[head - 1].cells)
        beside = {column for row in rest for column in row.cells} - columns  # at most the labels of the rows
        if found is None or found[1] != head - 1 or len(beside) > 1 or any(each > min(columns) for each in beside):
            return False
        own = self._header(rest)
        if own is not None and (rest[own[0]].named or _is_over_numbers(rest[own[1]], rest[own[1] + 1 :])):
            return False
        return len(columns) > 2 or _is_over_numbers(rows[head - 1], rest)

    def _header(self, rows: Sequence[Row]) -> tuple[int, int] | None:
        """The first and the last row of those that name the columns; None where none do."""
        for number, row in enumerate(rows[:LATEST_HEADER]):
            if row.named and number + 1 < len(rows):
                return number, number
        for number, row in enumerate(rows[:LATEST_HEADER]):
            below = rows[number + 1 :]
            filled = [item for item in below if not item.is_title]
            counted = filled if _LEAST_FILLED * len(below) <= len(filled) else below
            usual = statistics.median(len(item.cells) for item in counted) if below else 0
            if usual < 2 or row.is_title or len(row.cells) < max(2, 0.6 * usual):
                continue
            if not is_textual(row, below[0]):
                return None  # values: what follows are values too
            first = number
            while first and is_group(rows[first - 1]):
                first -= 1
            names = names_of(rows[first : number + 1])
            if is_group(row) and len(below) > 1 and len(set(names.values())) < len(names):
                continue  # names of groups of columns: those of the columns come next
            if len(set(names.values())) < len(names) or _is_form(row, below):
                return None
            return first, number
        return None

    def _goes_on(self, rows: Sequence[Row]) -> bool:
        """Whether rows after an empty one belong to the table above it: they have no columns but its own."""
        columns = {column for row in rows for column in row.cells}
        names = self._names or {}
        return len(columns) > 1 and columns <= self._known | set(names) and not all(row.is_title for row in rows)


def names_of(rows: Sequence[Row]) -> dict[int, str]:
    """The name of each column: its texts in the rows of a header from top to bottom, each once."""
    return {column: " ".join(texts).rstrip(":") for column, texts in _texts_of(rows).items()}


def _texts_of(rows: Sequence[Row]) -> dict[int, list[str]]:
    """The texts above each column in the rows of a header, each once."""
    columns = sorted({column for row in rows for column in row.cells})
    return {column: list(dict.fromkeys(row.cells[column] for row in rows if column in row.cells)) for column in columns}


def _begin_with_group(rows: Sequence[Row]) -> bool:
    """Whether the first row below a header names those below it, rather than that it has no values.

    It is a number, ends in a colon, has no name beside it below, or there is another row of one text.
    """
    if len(rows) < 2 or not rows[0].is_title:
        return False
    ((column, text),) = list(rows[0].cells.items())[:1]
    filled = next((row for row in rows if not row.is_title), rows[0])
    is_other = is_number(text) and not is_number(filled.cells.get(column, ""))
    return is_other or text.endswith(":") or column not in filled.cells or any(row.is_title for row in rows[2:-1])


def _is_over_numbers(row: Row, below: Sequence[Row]) -> bool:
    """Whether a row's text stands over a column of numbers."""
    for column, text in row.cells.items():
        values = [item.cells[column] for item in below if column in item.cells]
        if values and not is_number(text) and sum(map(is_number, values)) > _LEAST_NUMBERS * len(values):
            return True
    return False


def _is_form(row: Row, below: Sequence[Row]) -> bool:
    """Whether rows are names beside values rather than a table: names end in a colon, or the values differ in kind."""
    if any(text.endswith(":") for text in row.cells.values()):
        return True
    if len(row.cells) != 2 or any(len(item.cells) > 2 for item in below):
        return False
    _, value = sorted(row.cells)
    values = [is_number(item.cells[value]) for item in below if value in item.cells and not item.is_title]
    return len(below) > 1 and any(values) and not all(values)
