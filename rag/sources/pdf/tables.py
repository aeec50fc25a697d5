"""Tables on a PDF page: those with ruled cells, and those whose cells only stand below each other."""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from rag.sources.pdf.addresses import lines_of_table
from rag.sources.pdf.lines import Cell, Line, Table
from rag.sources.pdf.page import PageText, Rect, Word
from rag.sources.pdf.rows import is_one_cell
from rag.sources.pdf.segments import CELL_GAP, Row, Segment
from rag.sources.tables import is_number

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
MOST_ROWS = 300
"""Rows of a table without rules on one page."""
_FEWEST_BELOW, _FEWEST_NAMES = 2, 3
"""Rows below names, and texts in the row of names, from which on the columns tell where two names are parted."""
_SHORTEST_LABEL = 2
"""Letters of what stands before a text of several lines as the name of a row."""
_WIDTHS = dict.fromkeys("iljtfrI.,:;'()[] ", 0.55)
"""Widths of narrow letters, where a usual small one has 1."""
_NEAR = 3.0
"""Points within which two lines are one, as pdfplumber has it."""

# -- ruled tables ----------------------------------------------------------------------------------------------------


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
    if any(len(cell) > 150 for row in rows for cell in row):  # a page that is laid out in boxes
        return None
    taken = {id(word) for cell in held.values() for word in cell}
    if any(id(word) not in taken for word in inside):  # some words stand in no cell: the lines are not those of cells
        return None
    if _has_columns_inside(rows):
        return None
    rows = [_parted(row, columns) for row in rows]
    words = [word for row in rows for cell in row for word in cell]
    top, bottom = min(word.top for word in words), max(word.bottom for word in words)
    return (xs[0], top, xs[-1], bottom), rows, columns


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


# -- tables without rules --------------------------------------------------------------------------------------------


def aligned_rows(rows: Sequence[Row], start: int, places: Mapping[int, object]) -> tuple[int, list[Line]]:
    """How many rows from `start` on are a table whose cells stand below each other, and its lines.

    `places` has the ids of segments that stand for ruled tables; none of them is in a row of this one.
    """
    if len(rows[start]) < 2 or any(id(item) in places for item in rows[start]):
        return 0, []
    end = start + 1
    pending = 0
    while end + pending < min(len(rows), start + MOST_ROWS):
        row = rows[end + pending]
        if any(id(item) in places for item in row) or not _is_near(rows[end + pending - 1], row):
            break
        if len(row) > 1:
            end, pending = end + pending + 1, 0
        elif not _is_below_cell(row, rows[end - 1]) and (pending or _stands_out(row, rows[start])):
            break
        else:
            pending += 1
    last = rows[end - 1]
    while pending and _is_below_cell(rows[end], last):
        end, pending = end + 1, pending - 1
    while end - start > 1:
        several = [row for row in rows[start:end] if len(row) > 1]
        several[0] = first = _with_parted_names(several[0], several[1:])
        columns = _columns(several)
        if len(several) >= 2 and len(columns) > 1 and _fits(several, columns):
            table = [first, *rows[start + 1 : end]]
            has_numbers = any(is_number(item.text) for item in first)  # so it names no columns
            found = [(_cells_of(row, columns), _spans(row, columns)) for row in table]
            kept: list[tuple[list[Cell], bool]] = []
            for (cells, spans), row in zip(found, table, strict=True):
                may_go_on = len(row) == 1 and (len(kept) > 1 or (bool(kept) and has_numbers))
                if not (may_go_on and _add_to_cell(kept[-1][0], cells, row)):
                    kept.append((cells, spans))
            return end - start, lines_of_table([cells for cells, _ in kept], columns, [spans for _, spans in kept])
        end -= 1
        while end - start > 1 and len(rows[end - 1]) < 2:
            end -= 1
        if end - start > 40:  # a long run that does not align: look at its beginning only
            end = start + 40
    return 0, []


def _add_to_cell(above: list[Cell], cells: list[Cell], row: Row) -> bool:
    """Add a row of one text to the cell above it whose next line it is. False where it is none.

    It begins as far left as that cell, below a column that is not the first, or with a small letter.
    """
    column = next(number for number, cell in enumerate(cells) if cell)
    cell = above[column]
    if not cell or sum(map(bool, above)) < 2 or abs(min(word.x0 for word in cell) - row[0].x0) > row[0].size / 2:
        return False
    if not (column and above[0]) and not row[0].text[:1].islower():
        return False
    above[column] = [*cell, *cells[column]]
    return True


def _is_below_cell(row: Row, above: Row) -> bool:
    """Whether a row of one text is the next line of a cell above that is not the first, by where it begins and ends."""
    item = row[0]
    if len(above) == 2 and sum(map(str.isalpha, above[0].text)) < _SHORTEST_LABEL:  # the sign of an item, or a number
        return False
    for number, cell in enumerate(above[1:], 1):
        if abs(item.x0 - cell.x0) < item.size / 2 and abs(item.size - cell.size) < 0.1 * cell.size:
            end = above[number + 1].x0 if number + 1 < len(above) else cell.x1 + 2 * cell.size
            return item.x1 < end
    return False


def _with_parted_names(first: Row, below: Sequence[Row]) -> Row:
    """The first row, where it has a name too few since two stand near each other: these are parted.

    They are parted at the blank by which both stand best over their columns, by an edge or the middle.
    """
    columns = _columns(below) if len(below) >= _FEWEST_BELOW else []
    if len(columns) != len(first) + 1 or len(first) < _FEWEST_NAMES:
        return first
    for number, item in enumerate(first):
        words = [part for word in item.words for part in _single_words(word)]
        ways = [(_segment(words[:at]), _segment(words[at:])) for at in range(1, len(words))]
        pair = columns[number : number + 2]
        ways = [
            way for way in ways if all(name.x0 < x1 and name.x1 > x0 for name, (x0, x1) in zip(way, pair, strict=True))
        ]
        others = [_column(other, columns) for other in first if other is not item]
        if ways and others == [at for at in range(len(columns)) if at not in (number, number + 1)]:
            best = min(ways, key=lambda way: sum(itertools.starmap(_offset, zip(way, pair, strict=True))))
            return [*first[:number], *best, *first[number + 1 :]]
    return first


def _offset(name: Segment, column: tuple[float, float]) -> float:
    """How far a name is off its column: the least of both edges and the middle."""
    left, right = name.x0 - column[0], name.x1 - column[1]
    return min(abs(left), abs(right), abs(left + right) / 2)


def _single_words(word: Word) -> list[Word]:
    """The words of a run; where each begins and ends is told from the usual widths of its letters."""
    widths = [_WIDTHS.get(letter, 1.4 if letter.isupper() else 1.0) for letter in word.text]
    edges = [
        word.x0,
        *(word.x0 + (word.x1 - word.x0) * part / (sum(widths) or 1) for part in itertools.accumulate(widths)),
    ]
    return [
        replace(word, text=match[0], at=word.at + match.start(), x0=edges[match.start()], x1=edges[match.end()])
        for match in re.finditer(r"\S+", word.text)
    ]


def _segment(words: list[Word]) -> Segment:
    x0, x1 = min(word.x0 for word in words), max(word.x1 for word in words)
    return Segment(words, x0, min(word.top for word in words), x1, max(word.bottom for word in words))


def _is_near(before: Row, row: Row) -> bool:
    height = max(before[0].bottom - before[0].top, row[0].bottom - row[0].top)
    return row[0].top - before[0].bottom < 1.6 * height


def _stands_out(row: Row, first: Row) -> bool:
    """Whether a row of one text is the heading of what follows: larger, or bold where the row before is not."""
    item = row[0]
    return item.size > 1.05 * first[0].size or (item.words[0].bold and not first[0].words[0].bold)


def _columns(rows: Sequence[Row]) -> list[tuple[float, float]]:
    """Where the columns are: strips with text that white parts in at least nine rows of ten."""
    events = sorted(
        [(item.x0, 1) for row in rows for item in row] + [(item.x1, -1) for row in rows for item in row],
        key=lambda event: (event[0], event[1]),
    )
    allowed = len(rows) // 10
    columns: list[tuple[float, float]] = []
    depth = 0
    begin: float | None = None
    for x, step in events:
        depth += step
        if begin is None and depth > allowed:
            begin = x
        elif begin is not None and depth <= allowed:
            columns.append((begin, x))
            begin = None
    merged: list[tuple[float, float]] = []
    for x0, x1 in columns:
        if merged and (x0 - merged[-1][1] < 1.5 or _are_one(rows, merged[-1], (x0, x1))):
            merged[-1] = (merged[-1][0], x1)
        else:
            merged.append((x0, x1))
    return merged


def _are_one(rows: Sequence[Row], one: tuple[float, float], two: tuple[float, float]) -> bool:
    """Whether one of two strips has but the name of the column, which stands beside and not over its cells."""

    def held(strip: tuple[float, float], row: Row) -> bool:
        return any(item.x0 < strip[1] and item.x1 > strip[0] for item in row)

    if len(rows) < 3 or two[0] - one[1] > 8 * rows[0][0].size:
        return False
    first = [held(one, rows[0]), held(two, rows[0])]
    below = [any(held(strip, row) for row in rows[1:]) for strip in (one, two)]
    return first[0] != first[1] and below[0] != below[1] and first != below


def _fits(rows: Sequence[Row], columns: Sequence[tuple[float, float]]) -> bool:
    """Whether hardly two cells of a row fall into one column."""
    crowded = sum(len(row) - len({_column(item, columns) for item in row}) for row in rows)
    return crowded <= 0.1 * sum(map(len, rows)) and _has_cells(rows)


def _has_cells(rows: Sequence[Row]) -> bool:
    """Whether the parts are as short as cells: two lines of prose side by side are none."""
    long = sum(sum(len(word.text.split()) for word in item.words) > 12 for row in rows for item in row)
    return long <= 0.2 * sum(map(len, rows))


def _column(item: Segment, columns: Sequence[tuple[float, float]]) -> int:
    """The column that the segment is over most, else the nearest."""
    return max(
        range(len(columns)),
        key=lambda number: min(item.x1, columns[number][1]) - max(item.x0, columns[number][0]),
    )


def _cells_of(row: Row, columns: Sequence[tuple[float, float]]) -> list[Cell]:
    cells: list[Cell] = [[] for _ in columns]
    for item in row:
        cells[_column(item, columns)] += item.words
    return cells


def _spans(row: Row, columns: Sequence[tuple[float, float]]) -> bool:
    """Whether a row is one text over several columns, or below a column that is not the first."""
    if len(row) > 1:
        return False
    over = sum(min(row[0].x1, x1) - max(row[0].x0, x0) > 2 for x0, x1 in columns)
    return over > 1 or _column(row[0], columns) > 0
