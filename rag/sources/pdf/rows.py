"""The rows of a PDF's tables become lines that name their columns, also where a table goes on on the next page."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import replace

from rag.sources.pdf.lines import Cell, Columns, Grid, Line, line_of
from rag.sources.tables import SEPARATOR, has_header, is_date, is_number

MOST_BETWEEN = 3
"""Lines of a foot and of a head that stand between the two parts of a table."""
_NEAR = 3.0
"""Points within which the columns of two pages stand below each other."""
_PAGE_NUMBER = re.compile(
    r"(?i)\W*(?:(?:page|seite|página|pagina|sida|side|s\.|p\.)\W*)?\d+\W*(?:(?:of|von|de|/)\W*\d+\W*)?"
)
_NO_NAME = re.compile(r"[-–—•·▪●] |[_.…]{3}")
"""What begins with a dash tells of the word beside it, and a line is one to write on."""
_CONTINUED = re.compile(
    r"(?i)\b(?:continued|cont(?:['’]d|\.)|fortsetzung|fortgesetzt|forts\.|suite|continuación|cont\.)"
)


def table_rows(rows: Sequence[Sequence[Cell]], columns: Columns, *, spanning: Sequence[bool] = ()) -> list[Line]:
    """A line for each row: `column: value` pairs where the first rows name the columns, else the values.

    `spanning` tells which rows are one text over several columns.
    """
    kept = [(row, bool(spanning) and spanning[number]) for number, row in enumerate(rows) if any(row)]
    cells = [[line_of(_with_hyphen(_read(cell))) for cell in row] for row, _ in kept]
    depth = _header_depth([row for row, _ in kept])
    names: list[str] = []
    if depth < len(kept) and not any(spans for _, spans in kept[:depth]):
        texts = [list(dict.fromkeys(filter(None, column))) for column in zip(*_texts(cells[:depth]), strict=False)]
        names = [" ".join(column).rstrip(":") for column in texts]
        in_words = [
            f"in {name}" if len(column) > 1 and column[0].isdecimal() else name
            for name, column in zip(names, texts, strict=True)
        ]
        if not _names_columns(in_words, kept[:depth], cells[depth:]):  # "2007" over "N" is no amount
            names = []
    bold = bool(names) and _is_bold([row for row, _ in kept[:depth]], cells[depth:])
    ones = [len(row) > 2 and is_one_cell(row) for row, _ in kept]
    told = [(found, one or spans) for found, one, (_, spans) in zip(cells, ones, kept, strict=True)]
    return lines_of_grid(Grid(columns, told, names, depth if names else 0, bold))


def lines_of_grid(grid: Grid) -> list[Line]:
    """A line for each row: `column: value` pairs where the columns have names, else the values."""
    below = grid.rows[grid.depth :]
    lines = []
    if any(name and not any(row[number].text for row, _ in below) for number, name in enumerate(grid.names)):
        lines = [_row_line(row, []) for row, _ in grid.rows[: grid.depth]]  # a name without a value, in no row
    above: list[Line] = []
    for row, one in below:
        told = [cell for cell in row if cell.text][:1] if one else _labelled(grid.names, row, above)
        above = [] if one else told
        lines.append(_row_line(told, [] if one else grid.names))
    for line in lines:
        line.table = grid
    return lines


def _labelled(names: Sequence[str], row: list[Line], above: list[Line]) -> list[Line]:
    """A row with the label of the one above, where that stands once for several rows.

    It does where the row has a text in the second column, and numbers below those of the row above.
    """
    if len(above) != len(row) or len(row) < 3 or not names or row[0].text or is_number(row[1].text):
        return row
    numbers, others = ([is_number(cell.text) for cell in cells[2:]] for cells in (row, above))
    is_like = bool(row[1].text and above[0].text) and any(numbers) and numbers == others
    return [replace(above[0], spans=[]), *row[1:]] if is_like else row


def is_one_cell(row: Sequence[Cell]) -> bool:
    """Whether one cell is merged over the whole row."""
    return len({id(cell) for cell in row}) == 1


def _header_depth(rows: Sequence[Sequence[Cell]]) -> int:
    """How many rows at the top could name the columns: two where a cell of the first is merged."""
    if len(rows) < 3:
        return 1
    first, second = rows[0], rows[1]
    beside = any(cell and cell is other for cell, other in itertools.pairwise(first))
    below = any(cell and cell is other for cell, other in zip(first, second, strict=False))
    return 2 if beside or below else 1


def _texts(cells: Sequence[Sequence[Line]]) -> list[list[str]]:
    return [[cell.text for cell in row] for row in cells]


def _read(cell: Cell) -> Cell:
    """The words of a cell line by line."""
    if len({round(word.top) for word in cell}) < 2:
        return cell
    lines: list[Cell] = []
    for word in sorted(cell, key=lambda item: (item.top + item.bottom) / 2):
        if lines and abs(word.bottom - lines[-1][0].bottom) < 0.5 * (word.bottom - word.top):
            lines[-1].append(word)
        else:
            lines.append([word])
    return [word for line in lines for word in sorted(line, key=lambda item: item.at)]


def _with_hyphen(cell: Cell) -> Cell:
    """The words of a cell; a hyphen at its end breaks no word."""
    return [*cell[:-1], replace(cell[-1], text=f"{cell[-1].text}-", broken=False)] if cell and cell[-1].broken else cell


def _names_columns(
    names: Sequence[str], header: Sequence[tuple[Sequence[Cell], bool]], below: Sequence[Sequence[Line]]
) -> bool:
    """Whether these are names of columns: they look so, and are no pair of a name and its value.

    Two columns need more of a sign: bold names, or numbers below both, or below the first or all of the second.
    """
    texts = _texts(below)
    if any(word.typed for row, _ in header for cell in row for word in cell):  # a form
        return False
    if any(text.endswith(":") for row in [names, *texts] for text in row) or not has_header([names, *texts]):
        return False
    if any(_NO_NAME.match(name) for name in names):
        return False
    if _is_bold([row for row, _ in header], below):
        return True
    if len(names) > 2:
        return True
    if any(map(str.isdigit, "".join(names))) or len(below) < 2:
        return False
    keys = [any(map(str.isdigit, row[0])) for row in texts if row[0]]
    return sum(keys) > 0.7 * len(texts)


def _is_bold(header: Sequence[Sequence[Cell]], below: Sequence[Sequence[Line]]) -> bool:
    """Whether the words of a header are bold, and most of what is below is not."""
    bold = all(word.bold for row in header for cell in row for word in cell)
    return bold and sum(cell.bold for row in below for cell in row if cell.text) < sum(map(len, below)) / 2


def _row_line(row: Sequence[Line], names: Sequence[str]) -> Line:
    """One row as a line. Each name and each value keeps no place of its own but that of the value's words."""
    last = max((number for number, cell in enumerate(row) if cell.text), default=-1)
    text = ""
    spans = []
    for number, cell in enumerate(row[: last + 1]):
        name = names[number] if number < len(names) else ""
        if not cell.text and (names or not text):
            continue
        text += SEPARATOR if text else ""
        text += f"{name}: " if name and cell.text and cell.text != name else ""
        spans += [(at + len(text), source, count) for at, source, count in cell.spans]
        text += cell.text
    sizes = [cell.size for cell in row if cell.text]
    bold = all(cell.bold for cell in row if cell.text)
    return Line(text, sizes[0] if sizes else 0.0, bold, "row", spans=spans)


# -- tables over several pages ---------------------------------------------------------------------------------------


def may_go_on(lines: Sequence[Line]) -> bool:
    """Whether a table stands at the top of a page, below a head at most."""
    return _first_row(lines) is not None


def with_names_above(lines: list[Line], before: Sequence[Line]) -> list[Line]:
    """The lines of a page; where its first table goes on from the page before, with the names of that one's columns.

    So it does where nothing but a foot and a head is between the two, their columns stand below each other, and the
    second has no head of its own: bold names, or words where the first has numbers.
    """
    start, above = _first_row(lines), _last_table(before)
    if start is None or above is None:
        return lines
    below = lines[start].table
    assert below is not None
    known = {_bare(line.text) for line in before}
    if not all(
        _PAGE_NUMBER.fullmatch(line.text) or _CONTINUED.search(line.text) or _bare(line.text) in known
        for line in lines[:start]
    ):
        return lines
    places = _places(above.columns, below.columns)
    if places is None:
        return lines
    depth = _depth_of_part(above, below, places)
    if depth is None:
        return lines
    names = [above.names[place] for place in places] if above.names else []
    count = sum(line.table is below for line in lines[start:])
    part = replace(below, names=names, depth=depth, bold=above.bold)
    return [*lines[:start], *lines_of_grid(part), *lines[start + count :]]


def _first_row(lines: Sequence[Line]) -> int | None:
    place = next((number for number, line in enumerate(lines[: MOST_BETWEEN + 1]) if line.kind == "row"), None)
    return place if place is not None and lines[place].table else None


def _last_table(lines: Sequence[Line]) -> Grid | None:
    """The table that a page ends with, above a foot at most."""
    for number, line in enumerate(reversed(lines)):
        if line.kind == "row":
            return line.table
        if number == MOST_BETWEEN or line.rows > 1 or len(line.text) > 120:
            return None
    return None


def _bare(text: str) -> str:
    return re.sub(r"\d+", "#", text.casefold())


def _places(above: Columns, below: Columns) -> list[int] | None:
    """For each column of the lower part which of the upper one it is; None where they do not stand below each other."""
    places: list[int] = []
    for x0, x1 in below:
        place = max(range(len(above)), key=lambda number: min(x1, above[number][1]) - max(x0, above[number][0]))
        left, right = above[place]
        if min(abs(x0 - left), abs(x1 - right), abs(x0 + x1 - left - right) / 2) > _NEAR:
            return None
        places.append(place)
    in_order = all(one < two for one, two in itertools.pairwise(places))
    return places if in_order and len(places) > 1 and len(places) >= len(above) - 1 else None


def _depth_of_part(above: Grid, below: Grid, places: Sequence[int]) -> int | None:
    """How many rows at the top of the lower part repeat the names; None where it is no part but a table of its own."""
    head = [[row[place] for place in places] for row in above.head if len(row) == len(above.columns)]
    if head and _texts([row for row, _ in below.rows[: len(head)]]) == head and len(below.rows) > len(head):
        return len(head)
    if below.bold or not below.rows or (not below.names and not above.names):
        return None
    first = next((row for row, one in below.rows if not one), None)
    if first is None:
        return None
    alike = unlike = 0
    for cell, place in zip(first, places, strict=False):
        values = above.column(place)
        numbers = sum(is_number(text) or is_date(text) for text in values)
        if cell.text and values and numbers > 0.8 * len(values):
            fits = is_number(cell.text) or is_date(cell.text)
            alike, unlike = alike + fits, unlike + (not fits)
    if unlike > alike or (not above.names and not alike):
        return None
    return 0
