"""Addresses beside each other, or beside the facts of a letter, are no table: each is read from top to bottom."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from rag.sources.pdf.lines import Cell, Columns, Line, line_of
from rag.sources.pdf.rows import table_rows

MOST_ROWS = 10
"""Rows of a head with addresses."""
_FEWEST = 3
"""Lines of an address."""
_TOWN = re.compile(
    r"(?:^|, )(?:[A-Z]{1,2}-)?\d{4,5} (?:[A-Z]{2} )?[A-Z][^\W\d_]+"  # 1216 JD Hilversum, D-63571 Gelnhausen
    r"|[^\W\d_]{2},? [A-Z]{2},? \d{5}(?:-\d{4})?\b|[^\W\d_]{3}[ ,–-]{1,3}\d{6}$"  # Fremont CA 94538, Lucknow 226010
    r"|\b[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2}$"  # London SW1A 1AA
)
"""A town with its postcode."""
_STREET = re.compile(r"[^\W\d_]{3}.*\d|\d.*[^\W\d_]{3}")


def lines_of_table(rows: Sequence[Sequence[Cell]], columns: Columns, spanning: Sequence[bool]) -> list[Line]:
    """The lines of a table without rules; the columns of it that are addresses stand before the rest of it."""
    addresses = [] if len(rows) > MOST_ROWS else [n for n in range(len(columns)) if _is_address(rows, n)]
    if not addresses or len(columns) > 4:
        return table_rows(rows, columns, spanning=spanning)
    lines: list[Line] = []
    for number in addresses:
        lines += _from_top([row[number] for row in rows])
    rest = [number for number in range(len(columns)) if number not in addresses]
    kept = [[row[number] for number in rest] for row in rows]
    if len(rest) > 1:
        return [*lines, *table_rows(kept, [columns[number] for number in rest])]
    return [*lines, *_from_top([cell for row in kept for cell in row])]


def _from_top(cells: Sequence[Cell]) -> list[Line]:
    """A line for each cell of a column, below some white."""
    lines = [line_of(cell) for cell in cells if cell]
    return [replace(line, kind="address", gap=float(not number)) for number, line in enumerate(lines)]


def _is_address(rows: Sequence[Sequence[Cell]], column: int) -> bool:
    """Whether a column has the lines of one address: a town below a street, and no names of its lines at the left."""
    texts = [line_of(row[column]).text for row in rows]
    told = [text for text in texts if text]
    towns = [number for number, text in enumerate(told) if _TOWN.search(text)]
    if len(told) < _FEWEST or not towns or not (town := towns[-1]):
        return False
    street = [] if told[town][0].isdigit() else [town - 1]  # "4557 De Silva St" looks like a town
    if towns[:-1] not in ([], street):
        return False
    if not (_STREET.search(told[town - 1]) or "," in told[town]):
        return False
    beside = [line_of(row[column - 1]).text for row, text in zip(rows, texts, strict=True) if text] if column else [""]
    return any(not text or any(map(str.isdigit, text)) for text in beside) and not any(
        text.endswith(":") for text in beside[1:]
    )
