"""Merged cells of a table stand in each place that they cover."""

from __future__ import annotations

from collections.abc import Sequence

MOST_COLUMNS = 1000
"""Places that one merged cell may cover, and columns of a row: such numbers come from the file."""
MOST_ROWS = 100_000
MOST_REPEATED = 200_000
"""Characters that merged cells may add by being repeated."""

Cell = tuple[str, int, int]
"""Text, and how many columns and rows it covers."""


def spread(rows: Sequence[Sequence[Cell]]) -> list[list[str]]:
    """Rows of cells, each merged cell in all the places that it covers."""
    hanging: dict[int, tuple[str, int]] = {}  # by column: the text from above, and for how many rows more
    left = MOST_REPEATED
    result = []
    for row in rows[:MOST_ROWS]:
        texts: list[str] = []
        below: dict[int, tuple[str, int]] = {}
        cells = iter(row)
        last = max(hanging, default=-1)
        while len(texts) < MOST_COLUMNS:
            text, wide, high = "", 1, 1
            if len(texts) in hanging:
                text, high = hanging[len(texts)]
                left -= len(text) + 1
            elif (cell := next(cells, None)) is not None:
                text, wide, high = cell[0], min(max(1, cell[1]), MOST_COLUMNS) if left > 0 else 1, cell[2]
                left -= (wide - 1) * (len(text) + 1)
            elif len(texts) > last:
                break
            for _ in range(wide):
                if high > 1 and left > 0:
                    below[len(texts)] = (text, high - 1)
                texts.append(text)
        hanging = below
        result.append(texts)
    return result
