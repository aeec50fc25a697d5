"""The rows of a sheet: which name columns or groups of them, and which belong to two tables side by side."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from itertools import pairwise

from rag.sources.tables import SEPARATOR, are_in_order, are_labels, is_amount, is_number, named_row, names_groups

LATEST_HEADER = 15
"""Rows that may stand above a header in its block."""
MOST_DIGITS = 8
"""Digits of a column's name that has more of them than letters, as a span of years."""
LONGEST_NAME = 80
"""Characters of a column's name, or of the name of a group of rows."""


@dataclass
class Row:
    """A row that has cells.

    Attributes:
        number: of the row, from 1.
        cells: the text of each cell that has one, by its column.
        across: columns that a cell merged with its neighbours covers.
        named: whether the file says that this row names the columns.
        comments: on its cells.
    """

    number: int
    cells: dict[int, str]
    across: frozenset[int] = frozenset()
    named: bool = False
    comments: list[str] = field(default_factory=list)

    @property
    def is_title(self) -> bool:
        """Whether it has one text alone, be it merged across columns."""
        return len(self.cells) == 1 or (len(set(self.cells.values())) == 1 and set(self.cells) <= self.across)

    @property
    def line(self) -> str:
        """Its cells without names, a merged one once."""
        texts = list(self.cells.items())
        kept = [
            text
            for place, (column, text) in enumerate(texts)
            if not (place and column in self.across and texts[place - 1][1] == text)
        ]
        return SEPARATOR.join(kept + self._told())

    def named_line(self, names: dict[int, str]) -> str:
        """Its cells with the names of their columns."""
        columns = sorted(self.cells)
        line = named_row([names.get(column, "") for column in columns], [self.cells[column] for column in columns])
        return SEPARATOR.join([line, *self._told()])

    def below(self, group: Sequence[str], column: int) -> Row:
        """The row with the names of its group before what stands in a column."""
        text = " ".join([*group, self.cells.get(column, "")]).rstrip()
        return replace(self, cells=dict(sorted({**self.cells, column: text}.items())))

    def without_merged(self, columns: AbstractSet[int]) -> Row:
        """The row without those of some columns in which the cell before is merged with its neighbour."""
        gone = {c for c in columns & self.across if c in self.cells and self.cells.get(c - 1) == self.cells[c]}
        cells = {column: text for column, text in self.cells.items() if column not in gone}
        return replace(self, cells=cells, across=self.across - gone) if gone and not self.is_title else self

    def _told(self) -> list[str]:
        return [f"Comment: {text}" for text in self.comments]


def merged_columns(rows: Sequence[Row]) -> set[int]:
    """The columns that no row has by itself, but merged with the one before, as in reports that a program lays out.

    A row that names the whole block does not count.
    """
    filled = [row for row in rows if not row.is_title]
    used = {column for row in filled for column in row.cells}
    held = {column: [row for row in filled if column in row.cells] for column in used}
    return {
        column
        for column, having in held.items()
        if len(having) > 1
        and all(column in row.across and row.cells.get(column - 1) == row.cells[column] for row in having)
    }


def second_table(rows: Sequence[Row]) -> int:
    """The column at which another table begins beside a first one, in the rows of a block; 0 where there is none.

    An empty column is between them. Each has a title in its first column, or both have names of columns; and where it
    could be one table with an empty column, one of them ends earlier, or has a name that the other one has, too.
    """
    if len(rows) < 4:
        return 0
    used = sorted({column for row in rows for column in row.cells})
    top = rows[0].cells
    titles = [column for column in sorted(top) if column not in rows[0].across or top.get(column - 1) != top[column]]
    for number, column in enumerate(used[2:-1], 2):
        if column - 1 in used:
            continue
        sides = [
            [{c: text for c, text in row.cells.items() if (c < column) == left} for row in rows]
            for left in (True, False)
        ]
        is_titled = len(titles) == 2 and titles[1] == column and titles[0] in used[: number - 1]
        head = int(is_titled)
        below = [side[head + 1 :] for side in sides]
        if any(not _begins_with_labels(side, used[0] if side is below[0] else column, head) for side in below):
            continue
        named = all(
            len(side[head]) > 1 and is_textual(replace(rows[head], cells=side[head]), rows[-1]) for side in sides
        )
        if is_titled and not named:
            return column
        shared = set(sides[0][head].values()) & set(sides[1][head].values())
        if named and (_ends_earlier(*below) or _ends_earlier(*reversed(below)) or (is_titled and shared)):
            return column
    return 0


def _begins_with_labels(rows: Sequence[dict[int, str]], column: int, head: int) -> bool:
    """Whether most rows of a table have a text in its first column."""
    filled = [row for row in rows if row]
    labels = [row[column] for row in filled if column in row]
    return len(labels) > 1 and sum(not is_number(text) for text in labels) >= 0.6 * len(filled)


def _ends_earlier(rows: Sequence[dict[int, str]], others: Sequence[dict[int, str]]) -> bool:
    """Whether rows have no cells from one on, while the others have some in all."""
    filled = list(map(bool, rows))
    count = sum(filled)
    return 1 < count < len(filled) and all(filled[:count]) and all(others)


def fill_groups(rows: Sequence[Row]) -> None:
    """Repeat the name of each group of columns that stands in its first one alone, as a merged cell's is."""
    for number, (above, below) in enumerate(pairwise(rows[:LATEST_HEADER])):
        columns = sorted({*above.cells, *below.cells})
        table = [[row.cells.get(column, "") for column in columns] for row in rows[number : number + 20]]
        if len(above.cells) < 2 or above.across or not names_groups(table):
            continue
        name, across = "", set()
        for column in columns:
            name = above.cells.get(column, name if column in below.cells else "")
            if name and column in below.cells:
                above.cells[column] = name
                across.add(column)
        above.cells = dict(sorted(above.cells.items()))
        above.across = frozenset(across)
        return


def labels_of(rows: Sequence[Row]) -> tuple[int, int] | None:
    """The columns of labels that stand in the first row of a group of rows alone, and of what is beside them."""
    columns = sorted({column for row in rows for column in row.cells})[:2]
    if len(columns) < 2 or any(row.across for row in rows):
        return None
    first, second = columns
    filled = [row for row in rows if not row.is_title]
    labels = [row.cells[first] for row in filled if first in row.cells]
    beside = [row.cells.get(second, "") for row in filled if first not in row.cells]
    return (first, second) if are_labels(labels, beside, len(filled)) else None


def is_textual(row: Row, below: Row) -> bool:
    """Whether a row has no amounts or dates, but for years that are names."""
    texts = row.cells.values()
    numbers = [text for text in texts if is_number(text)]
    lengths = [len(text) for text in texts]
    if statistics.median(lengths) > LONGEST_NAME or max(lengths) > 2 * LONGEST_NAME or any(map(_is_number_of, texts)):
        return False
    years = [int(text) for text in numbers if text.isdecimal() and 1900 <= int(text) <= 2100]
    if not numbers:
        return True
    beneath = [below.cells.get(column, "") for column, text in row.cells.items() if is_number(text)]
    same = all(text.isdecimal() and 1900 <= int(text) <= 2100 for text in beneath)
    return len(years) == len(numbers) > 1 and not same and are_in_order(years)


def _is_number_of(text: str) -> bool:
    """Whether a text is the number of a telephone, an account or the like."""
    digits = sum(map(str.isdigit, text))
    return digits > MOST_DIGITS and digits > sum(map(str.isalpha, text))


def is_group(row: Row) -> bool:
    """Whether a row names groups of columns, in cells merged across them."""
    texts = list(row.cells.values())
    return bool(row.across) and not row.is_title and not any(map(is_amount, texts))
