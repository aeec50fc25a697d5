"""The columns of a PDF page: the order in which its segments are read.

Lengths are points, from the top left corner of the page as it is shown; an em is the size of the letters.
"""

from __future__ import annotations

import bisect
import itertools
import re
import statistics
from collections import Counter
from collections.abc import Sequence

from rag.sources.pdf.page import RIGHT_TO_LEFT
from rag.sources.pdf.segments import Row, Segment, rows_of

_LEVEL = 0.5
"""Share of lines that are at the height of one in the other column, up to which these are no rows of one table."""
_TABLE = 0.8
"""Share of rows that are at the height of one on the other side, from which on the two are parts of one table."""
_ALIGNED = 0.6
"""Share of rows in which cells begin or end at the same place inside a part of a table."""
_FEWEST_ROWS = 3
_EAST_ASIAN = re.compile(r"[\u2e80-\u9fff\uac00-\ud7ff\uf900-\ufaff\uff00-\uffef]")
"""Letters of East Asia, each as wide as two others."""


def reading_order(segments: list[Segment], depth: int = 0) -> list[list[Segment]]:
    """Blocks in the order of reading: what spans the columns parts the page; between, the left one comes first."""
    gutter = _gutter(segments) if depth < 6 and len(segments) >= 6 else None
    if gutter is None:
        return [segments] if segments else []
    blocks: list[list[Segment]] = []
    wide: list[Segment] = []
    for columns, crossing in _bands(segments, gutter):
        left, right = columns
        if _are_columns(left, right):
            blocks += reading_order(wide, depth + 1)
            wide = list(crossing)
            sides = [left, right]
            if _is_backwards(left + right):
                sides.reverse()
            for side in sides:
                blocks += reading_order(side, depth + 1)
        else:
            wide += [*left, *right, *crossing]
    return [*blocks, *(reading_order(wide, depth + 1) if len(wide) < len(segments) else [wide] if wide else [])]


Band = tuple[tuple[list[Segment], list[Segment]], list[Segment]]
"""What is left and right of a gutter, and what crosses it right below."""


def _stands_out(item: Segment, text: Segment) -> bool:
    """Whether it is larger or bolder than the text of a column, or stands for a ruled table."""
    bold = item.words[0].bold and not text.words[0].bold
    return bold or item.size > 1.1 * text.size or item.bottom - item.top > 2.5 * item.size


def _alone(column: Sequence[Segment], top: float, bottom: float, size: float) -> list[Segment]:
    """What stands between two heights in a column, with white above and below it."""
    runs: list[list[Segment]] = []
    end = -1e9
    for item in sorted(column, key=lambda item: item.top):
        if item.top - end >= 0.6 * size:
            runs.append([])
        runs[-1].append(item)
        end = max(end, item.bottom)
    inner = runs[1:-1]
    between = (run for run in inner if run[0].top > top - 0.3 * size and run[-1].bottom < bottom + 0.3 * size)
    return [item for run in between for item in run]


def _gutter(segments: Sequence[Segment]) -> float | None:
    """Where the second column begins: where most lines begin that have columns of prose on both sides."""
    left, right = min(item.x0 for item in segments), max(item.x1 for item in segments)
    starts = Counter(round(item.x0 / 3) for item in segments if left + 0.15 * (right - left) < item.x0)
    best, most = None, 0
    for place, _ in starts.most_common(12):
        gutter = min(item.x0 for item in segments if round(item.x0 / 3) == place) - 1.0
        covered = sum(
            len(columns[0]) + len(columns[1]) for columns, _ in _bands(segments, gutter) if _are_columns(*columns)
        )
        if covered > most:
            best, most = gutter, covered
    return best


def _bands(segments: Sequence[Segment], gutter: float) -> list[Band]:
    """The segments from top to bottom, parted by those that cross the gutter."""
    crossing = sorted((item for item in segments if item.crosses(gutter)), key=lambda item: item.top)
    beside = sorted((item for item in segments if not item.crosses(gutter)), key=lambda item: item.top)
    bands: list[Band] = []
    columns: tuple[list[Segment], list[Segment]] = ([], [])
    number = 0
    for item in crossing:
        middle = (item.top + item.bottom) / 2
        while number < len(beside) and (beside[number].top + beside[number].bottom) / 2 < middle:
            columns[beside[number].x0 >= gutter].append(beside[number])
            number += 1
        if bands and not columns[0] and not columns[1]:
            bands[-1][1].append(item)
        else:
            bands.append((columns, [item]))
            columns = ([], [])
    for segment in beside[number:]:
        columns[segment.x0 >= gutter].append(segment)
    bands.append((columns, []))
    return [part for (sides, below) in bands for part in _parted(*sides, below)]


def _parted(left: list[Segment], right: list[Segment], below: list[Segment]) -> list[Band]:
    """A band as it is, or parted where what spans the columns is too short to cross the gutter, as a heading may be.

    White is beside it in the right column, and above and below it in the left one; columns are above and below it.
    """
    parts: list[Band] = []
    at = 0
    ends = list(itertools.accumulate((item.bottom for item in right), max))
    for number in range(1, len(right)):
        top, bottom, size = ends[number - 1], right[number].top, right[number].size
        if bottom - top < 2.2 * size:
            continue
        short = _alone(left, top, bottom, size)
        if not short:
            continue
        above = [item for item in left if item.bottom <= short[0].top]
        rest = [item for item in left if item.top > short[0].top and item not in short]
        if not above or not rest or not any(_stands_out(item, above[-1]) for item in short):
            continue
        if _are_columns(above, right[at:number]) and _are_columns(rest, right[number:]):
            parts.append(((above, right[at:number]), short))
            left, at = rest, number
    return [*parts, ((left, right[at:]), below)]


def _are_columns(left: Sequence[Segment], right: Sequence[Segment]) -> bool:
    """Whether both are running text; of the right column there may be no more than its first lines."""
    return bool(left and right) and _are_text(left, right) and not _are_cells(left, right)


def _are_cells(left: Sequence[Segment], right: Sequence[Segment]) -> bool:
    """Whether both have several cells in a row, at the same heights: the halves of one table."""
    one, two = rows_of(left), rows_of(right)
    if min(len(one), len(two)) < _FEWEST_ROWS or not (_are_aligned(one) and _are_aligned(two)):
        return False
    return _share_level([row[0] for row in one], [row[0] for row in two]) >= _TABLE


def _are_aligned(rows: Sequence[Row]) -> bool:
    """Whether inside most rows cells begin or end at one place, which the words of justified lines do not."""
    inner = (
        [round(item.x0 / 3) for row in rows for item in row[1:]],
        [round(item.x1 / 3) for row in rows for item in row[:-1]],
    )
    return any(places and Counter(places).most_common(1)[0][1] >= _ALIGNED * len(rows) for places in inner)


def _are_text(left: Sequence[Segment], right: Sequence[Segment]) -> bool:
    if _are_apart(left, right) or _is_beside_cells(left, right):
        return True
    if not _is_prose(left):
        return False
    if len(right) > 3 or len(left) < 6:
        return _is_prose(right)
    top = min(item.top for item in left)
    return all(
        len(item.text.split()) >= 4 and len(item.text) >= 20 and item.top < top + 4 * (item.bottom - item.top)
        for item in right
    )


def _is_beside_cells(left: Sequence[Segment], right: Sequence[Segment]) -> bool:
    """Whether running text stands beside a table whose rows are at other heights, and are as long as lines of text."""
    one, two = _with_cells_joined(left), _with_cells_joined(right)
    if len(one) == len(left) and len(two) == len(right):
        return False
    return (
        (_is_prose(left) or _is_prose(right)) and _is_prose(one) and _is_prose(two) and _share_level(one, two) <= _LEVEL
    )


def _with_cells_joined(column: Sequence[Segment]) -> Sequence[Segment]:
    """The segments as the file has them: cells that follow each other with a blank in one piece."""
    if not any(item.words[-1].parted for item in column):
        return column
    after = {item.words[0].at: item for item in column}
    joined: list[Segment] = []
    taken: set[int] = set()
    for item in sorted(column, key=lambda item: item.words[0].at):
        if id(item) in taken:
            continue
        words, x1 = list(item.words), item.x1
        while words[-1].parted and (follows := after.get(words[-1].at + len(words[-1].text) + 1)) is not None:
            taken.add(id(follows))
            words += follows.words
            x1 = max(x1, follows.x1)
        joined.append(Segment(words, item.x0, item.top, x1, item.bottom))
    return joined


def _share_level(one: Sequence[Segment], two: Sequence[Segment]) -> float:
    """The share of the lines of the shorter column that are at the height of one in the other."""
    few, many = sorted((one, two), key=len)
    heights = sorted(item.bottom for item in many)
    size = few[0].size
    level = sum(
        bisect.bisect_left(heights, item.bottom - 0.15 * size) < bisect.bisect_right(heights, item.bottom + 0.15 * size)
        for item in few
    )
    return level / len(few)


def _are_apart(left: Sequence[Segment], right: Sequence[Segment]) -> bool:
    """Whether text stands beside a narrow column whose lines are at other heights, as those of a table never are."""
    narrow, wide = sorted((left, right), key=lambda side: max(item.x1 for item in side) - min(item.x0 for item in side))
    if len(narrow) < 6 or not _is_prose(wide) or statistics.median(len(item.text.split()) for item in narrow) < 2:
        return False
    size = statistics.median(item.size for item in narrow)
    lines = sorted(item.bottom for item in narrow)
    steps = [two - one for one, two in itertools.pairwise(lines)]
    if sum(0.8 * size < step < 2 * size for step in steps) < 0.75 * len(steps):  # labels beside what they name
        return False
    heights = sorted(item.bottom for item in wide)
    level = sum(
        bisect.bisect_left(heights, bottom - 0.15 * size) < bisect.bisect_right(heights, bottom + 0.15 * size)
        for bottom in lines
        if heights[0] - size < bottom < heights[-1] + size
    )
    return level <= 0.35 * len(lines)


def _is_prose(column: Sequence[Segment]) -> bool:
    """Whether these are lines of running text: at least three, most of them with several words, over most of the width.

    The cells of a table are shorter.
    """
    if len(column) < 3:
        return False
    rows = rows_of(column)
    if len(rows) < 3:
        return False
    width = max(item.x1 for item in column) - min(item.x0 for item in column)
    filled = statistics.median(sum(item.x1 - item.x0 for item in row) for row in rows)
    letters = statistics.median(sum(_width(item.text) for item in row) for row in rows)
    words = statistics.median(sum(len(word.text.split()) for item in row for word in item.words) for row in rows)
    wide = _EAST_ASIAN.search(column[0].text + column[-1].text)
    return filled >= 0.55 * width and letters >= 16 and (words >= 3 or bool(wide))


def _width(text: str) -> int:
    return len(text) + len(_EAST_ASIAN.findall(text))


def _is_backwards(segments: Sequence[Segment]) -> bool:
    text = "".join(item.text for item in segments[:200])
    return len(RIGHT_TO_LEFT.findall(text)) > len(text) / 2
