"""Tables become lines: each row is one line that names its columns, so that it can be understood alone.

Model: Heron | Price: 429 | Gears: 8
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from rag.sources.outline import EDGE, plain

SEPARATOR = " | "
_NUMBER = re.compile(r"[-+(]?[\W_]{0,3}\d[\d\s.,:/'%-]*[\W_]{0,3}\w{0,3}\)?")
"""An amount, a share, a date or a time, with a sign or a unit."""
_YEAR = re.compile(r"(?:19|20)\d\d")


def table_lines(rows: Iterable[Sequence[object]], *, header: int | None = None) -> list[str]:
    """One line for each row of a table: `column: value` pairs, or bare values where no column has a name.

    Args:
        rows: the cells of each row, None or "" where one is empty. A merged cell is repeated in each place it covers.
        header: how many rows at the top name the columns; None to see by the cells (`has_header`).

    Returns:
        A line for each row below the header that has a value. Empty cells are left out of rows with names. A table
        that has nothing but its header gives the header as lines.
    """
    cells = [[cell_text(value) for value in row] for row in rows]
    cells = [row for row in cells if any(row)]
    if header is None:
        header = int(has_header(cells))
    if not 0 < header < len(cells):
        return [_bare(row) for row in cells]
    names = _column_names(cells[:header])
    return [named_row(names, row) for row in cells[header:]]


def named_row(names: Sequence[str], row: Sequence[str]) -> str:
    """One row as `column: value` pairs; values in columns without a name stand alone."""
    pairs = []
    for number, value in enumerate(row):
        name = names[number] if number < len(names) else ""
        if value and value != name:
            pairs.append(f"{name}: {value}" if name else value)
        elif value:
            pairs.append(value)
    return SEPARATOR.join(pairs)


def has_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row names the columns.

    It does if there are rows below it, all its cells differ, at most the first one is empty, none is a number other
    than a year, and no cell is longer than a name would be.
    """
    if len(rows) < 2:
        return False
    first = list(rows[0])
    while first and not first[-1]:
        first.pop()
    named = first[1:] if first and not first[0] else first
    return (
        len(first) > 1
        and all(named)
        and len(set(named)) == len(named)
        and not any((is_number(cell) and not _YEAR.fullmatch(cell)) or len(cell) > 60 for cell in named)
        and not all(map(_YEAR.fullmatch, first))
    )


def is_number(cell: str) -> bool:
    """Whether a cell is an amount, a share, a date or a time."""
    return bool(_NUMBER.fullmatch(cell))


def cell_text(value: object) -> str:
    """The text of a cell in one line."""
    return "" if value is None else " ".join(plain(str(value)).replace(EDGE, " ").split())


def _column_names(header: Sequence[Sequence[str]]) -> list[str]:
    """The name of each column: its cells of all header rows, from top to bottom, each text once."""
    width = max(map(len, header))
    columns = ([row[number] for row in header if number < len(row)] for number in range(width))
    return [" ".join(dict.fromkeys(filter(None, column))).rstrip(":") for column in columns]


def _bare(row: Sequence[str]) -> str:
    last = max((number for number, value in enumerate(row) if value), default=-1)
    return SEPARATOR.join(row[: last + 1])
