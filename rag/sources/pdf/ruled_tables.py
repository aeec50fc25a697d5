"""Tables on a PDF page whose cells are ruled."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence

from rag.sources.pdf.lines import Cell, Table
from rag.sources.pdf.page import PageText, Rect, Word
from rag.sources.pdf.rows import is_one_cell
from rag.sources.pdf.segments import CELL_GAP

MOST_RULES = 3_000
"""Drawn lines of a page in which tables are looked for; drawings have more."""
MOST_CROSSINGS = 20_000
"""Crossings of such lines: a page of 200 rows and 100 columns."""
MOST_FRAMES = 20
"""The largest cells, which may hold others."""
_BOX = 0.15
"""Share of a frame's area that each of the boxes in it has at least."""
_LEAST_BOX = 50
"""Points that a box of text is wide and high at least."""
_NEAR = 3.0
"""Points within which two lines are one, as pdfplumber has it."""


def ruled_tables(page: PageText, rules: Sequence[Rect]) -> list[Table]:
    """The tables whose cells are ruled, by pdfplumber's geometry; a merged cell stands in each place it covers."""
    if not 4 <= len(rules) <= MOST_RULES:
        return []
    from pdfplumber.table import cells_to_tables, edges_to_intersections, intersections_to_cells, merge_edges
    from pdfplumber.utils.geometry import line_to_edge

    edges = [
        line_to_edge({"x0": x0, "x1": x1, "top": top, "bottom": bottom, "width": x1 - x0, "height": bottom - top})
        for x0, top, x1, bottom in _straight(rules)
    ]
    merged = merge_edges(edges, _NEAR, _NEAR, _NEAR, _NEAR)
    upright = sum(edge["orientation"] == "v" for edge in merged)
    if upright * (len(merged) - upright) > MOST_CROSSINGS:
        return []
    cells = _without_frames(intersections_to_cells(edges_to_intersections(merged, _NEAR, _NEAR)))
    level = [(edge["x0"], edge["top"], edge["x1"]) for edge in merged if edge["orientation"] == "h"]
    found = [_filled(page, _with_open_sides(group, level)) for group in cells_to_tables(cells)]
    return [table for table in found if table is not None]


def _without_frames(cells: list[Rect]) -> list[Rect]:
    """The cells but those that hold two others of some size, as the frame around boxes of text does."""

    def area(cell: Rect) -> float:
        return (cell[2] - cell[0]) * (cell[3] - cell[1])

    largest = sorted(cells, key=area)[-MOST_FRAMES:]
    frames = set()
    for frame in largest:
        x0, top, x1, bottom = frame
        boxes = [
            area((a, b, c, d))
            for a, b, c, d in largest
            if x0 < (a + c) / 2 < x1 and top < (b + d) / 2 < bottom and min(c - a, d - b) > _LEAST_BOX
        ]
        if sum(_BOX * area(frame) < size < 0.9 * area(frame) for size in boxes) > 1:
            frames.add(frame)
    return [cell for cell in cells if cell not in frames] if frames else cells


def _straight(rules: Sequence[Rect]) -> list[Rect]:
    """The rules as lines without thickness."""
    return [
        (x0, (top + bottom) / 2, x1, (top + bottom) / 2)
        if x1 - x0 > bottom - top
        else ((x0 + x1) / 2, top, (x0 + x1) / 2, bottom)
        for x0, top, x1, bottom in rules
    ]


def _with_open_sides(cells: list[Rect], level: Sequence[tuple[float, float, float]]) -> list[Rect]:
    """The cells, and those beside them whose outer side has no rule: the level rules run on there."""
    left, right = min(cell[0] for cell in cells), max(cell[2] for cell in cells)
    ys = sorted({y for _, top, _, bottom in cells for y in (top, bottom)})
    near = [(x0, x1) for x0, y, x1 in level if any(abs(y - each) < _NEAR for each in ys)]
    if sum(x0 < left - 10 for x0, _ in near) * 2 > len(ys):
        outer = min(x0 for x0, _ in near)
        cells = [*cells, *((outer, top, left, bottom) for top, bottom in itertools.pairwise(ys))]
    if sum(x1 > right + 10 for _, x1 in near) * 2 > len(ys):
        outer = max(x1 for _, x1 in near)
        cells = [*cells, *((right, top, outer, bottom) for top, bottom in itertools.pairwise(ys))]
    return cells


def _filled(page: PageText, cells: Sequence[Rect]) -> Table | None:
    """A table with the words in its cells; None where it is a frame or a form and no table."""
    xs = sorted({round(x, 1) for x0, _, x1, _ in cells for x in (x0, x1)})
    ys = sorted({round(y, 1) for _, top, _, bottom in cells for y in (top, bottom)})
    if len(xs) < 3 or len(ys) < 3:
        return None
    area = (xs[0], ys[0], xs[-1], ys[-1])
    inside = [word for word in page.words if _is_in(word, area)]
    held, filled = _words_by_cell(inside, cells, xs, ys)
    rows = [[held.get((row, column), []) for column in range(len(xs) - 1)] for row in range(len(ys) - 1)]
    rows = [row for row in rows if any(row)]
    columns = list(itertools.pairwise(xs))
    _drop_empty_columns(rows, columns)
    while rows and is_one_cell(rows[0]):  # a title over the whole width is read as text
        del rows[0]
    while rows and is_one_cell(rows[-1]):
        del rows[-1]
    many = sum(sum(map(bool, row)) > 1 for row in rows)
    if filled < 4 or many < 2 or filled < 0.3 * len(cells):
        return None
    is_laid_out = any(len(cell) > 150 for row in rows for cell in row)  # a page in boxes
    taken = {id(word) for cell in held.values() for word in cell}
    has_words_between = any(id(word) not in taken for word in inside)  # the lines are not those of cells
    if is_laid_out or has_words_between or _has_columns_inside(rows):
        return None
    rows = [_parted(row, columns) for row in rows]
    words = [word for row in rows for cell in row for word in cell]
    top, bottom = min(word.top for word in words), max(word.bottom for word in words)
    return (xs[0], top, xs[-1], bottom), rows, columns


def _words_by_cell(
    inside: Sequence[Word], cells: Sequence[Rect], xs: Sequence[float], ys: Sequence[float]
) -> tuple[dict[tuple[int, int], Cell], int]:
    """The words of each row and column of the grid `ys` by `xs`, and how many cells have some.

    A cell that is merged of several has its words in each of them.
    """
    held: dict[tuple[int, int], Cell] = {}
    filled = 0
    middles = [(word.x0 + word.x1) / 2 for word in inside]
    heights = sorted(((word.top + word.bottom) / 2, number) for number, word in enumerate(inside))
    for x0, top, x1, bottom in cells:
        level = heights[bisect.bisect_left(heights, (top,)) : bisect.bisect_right(heights, (bottom, len(inside)))]
        words = [inside[number] for number in sorted(number for _, number in level if x0 <= middles[number] <= x1)]
        filled += bool(words)
        for row in range(ys.index(round(top, 1)), ys.index(round(bottom, 1))):
            for column in range(xs.index(round(x0, 1)), xs.index(round(x1, 1))):
                held[row, column] = words
    return held, filled


def _parted(row: list[Cell], columns: Sequence[tuple[float, float]]) -> list[Cell]:
    """A row of one line without upright rules, cell by cell where its words stand in the columns of other rows."""
    if not is_one_cell(row) or max(word.top for word in row[0]) > min(word.bottom for word in row[0]):
        return row
    cells = [[word for word in row[0] if x0 <= (word.x0 + word.x1) / 2 < x1] for x0, x1 in columns]
    is_inside = all(
        x0 - 1 < word.x0 and word.x1 < x1 + 1 for cell, (x0, x1) in zip(cells, columns, strict=True) for word in cell
    )
    return cells if is_inside and sum(map(bool, cells)) > max(2, len(columns) / 2) else row


def _drop_empty_columns(rows: Sequence[list[Cell]], columns: list[tuple[float, float]]) -> None:
    """Take out each column that has no cell of its own, but merged ones of its neighbour and empty ones."""
    for right in range(len(columns) - 1, 0, -1):
        for column, beside in ((right, right - 1), (right - 1, right)):
            if all(row[column] is row[beside] or not row[column] for row in rows):
                columns[right - 1 : right + 1] = [(columns[right - 1][0], columns[right][1])]
                for row in rows:
                    del row[column]
                break


def _has_columns_inside(rows: Sequence[Sequence[Cell]]) -> bool:
    """Whether the ruled cells hold the cells of another table: those of several lines are parted by white."""
    parted = cells = 0
    for row in rows:
        for cell in row:
            heights = sorted({round(word.top) for word in cell})
            if len(heights) < 4:
                cells += bool(cell)
                continue
            cells += 1
            gaps = sum(
                two.x0 - one.x1 > 2 * CELL_GAP * one.size and abs(two.top - one.top) < 2
                for one, two in itertools.pairwise(cell)
            )
            parted += gaps >= 2
    return parted > 0.1 * cells


def _is_in(word: Word, area: Rect) -> bool:
    x, y = (word.x0 + word.x1) / 2, (word.top + word.bottom) / 2
    return area[0] <= x <= area[2] and area[1] <= y <= area[3]
