"""Tables on a PDF page without rules, whose cells only stand below each other."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from rag.sources.pdf.addresses import lines_of_table
from rag.sources.pdf.lines import Cell, Line
from rag.sources.pdf.page import Word
from rag.sources.pdf.segments import Row, Segment
from rag.sources.tables import is_number

MOST_ROWS = 300
"""Rows of a table without rules on one page."""
_FEWEST_BELOW, _FEWEST_NAMES = 2, 3
"""Rows below names, and texts in the row of names, from which on the columns tell where two names are parted."""
_SECTION = re.compile(r"\d{1,2}(?:\.\d{1,2})*\.?")
"""The number of a section that stands apart from its heading."""
_SHORTEST_LABEL = 2
"""Letters of what stands before a text of several lines as the name of a row."""
_WIDTHS = dict.fromkeys("iljtfrI.,:;'()[] ", 0.55)
"""Widths of narrow letters, where a usual small one has 1."""


def aligned_rows(rows: Sequence[Row], start: int, places: Mapping[int, object]) -> tuple[int, list[Line]]:
    """How many rows from `start` on are a table whose cells stand below each other, and its lines.

    `places` has the ids of segments that stand for ruled tables; none of them is in a row of this one.
    """
    if len(rows[start]) < 2 or any(id(item) in places for item in rows[start]):
        return 0, []
    end = _end_of_run(rows, start, places)
    while end - start > 1:
        several = [row for row in rows[start:end] if len(row) > 1]
        if _are_headings(several):
            return 0, []
        several[0] = first = _with_parted_names(several[0], several[1:])
        columns = _columns(several)
        if len(several) >= 2 and len(columns) > 1 and _fits(several, columns):
            return end - start, _lines([first, *rows[start + 1 : end]], columns)
        end -= 1
        while end - start > 1 and len(rows[end - 1]) < 2:
            end -= 1
        if end - start > 40:  # a long run that does not align: look at its beginning only
            end = start + 40
    return 0, []


def _are_headings(rows: Sequence[Row]) -> bool:
    """Whether rows are headings with their numbers set apart, each below the one before: "11 Rosters", "11.1 Size"."""
    numbers = [row[0].text.rstrip(".") for row in rows]
    nested = all(below.startswith(f"{above}.") for above, below in itertools.pairwise(numbers))
    return nested and len(rows) > 1 and all(len(row) == 2 and _SECTION.fullmatch(row[0].text) for row in rows)


def _end_of_run(rows: Sequence[Row], start: int, places: Mapping[int, object]) -> int:
    """Where the rows end that may be a table: the last one of several texts, and what goes on in its cells."""
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
    return end


def _lines(table: Sequence[Row], columns: Sequence[tuple[float, float]]) -> list[Line]:
    """The lines of a table, the further lines of a cell in the row where it begins."""
    has_numbers = any(is_number(item.text) for item in table[0])  # so it names no columns
    kept: list[tuple[list[Cell], bool]] = []
    for row in table:
        cells = _cells_of(row, columns)
        may_go_on = len(row) == 1 and (len(kept) > 1 or (bool(kept) and has_numbers))
        if not (may_go_on and _add_to_cell(kept[-1][0], cells, row)):
            kept.append((cells, _spans(row, columns)))
    return lines_of_table([cells for cells, _ in kept], columns, [spans for _, spans in kept])


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
