"""Tables become lines: each row is one line that names its columns, so that it can be understood alone.

Model: Heron | Price: 429 | Gears: 8

`rag.answers.tables.parsed` reads these lines back, to count and filter rows: nine in ten of a table have to begin with
the same column, so a reader puts one first that every row has.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain, groupby, pairwise, zip_longest

from rag.sources.forms import form_lines, is_form
from rag.sources.outline import one_line

SEPARATOR = " | "
LONGEST_OPENING = 100
"""Characters of a row's first cells that tell what the row is about."""
_NUMBER = re.compile(r"[-+(]?[\W_]{0,3}\d[\d\s.,:/'%-]*[\W_]{0,3}\w{0,3}\)?")
"""An amount, a share, a date or a time, with a sign or a unit."""
_MONTH = (
    r"(?:jan|feb|fév|mar|mär|mrz|apr|avr|abr|ma[iy]|jui?n|jui?l|aug|ago|ao[uû]|sep|set|o[ck]t|out|nov|de[czs]|dic|déc|ene"
    r"|gen|mag|giu|lug|ott)[^\W\d_]{0,7}\.?"
)
"""The name of a month, whole or short, in English, German and the languages beside them."""
_DAY_FIRST = rf"[0-9]{{1,2}}(?:\.|st|nd|rd|th|er|º)?[ -](?:de )?{_MONTH},?[ -](?:de )?"
_MONTH_FIRST = rf"{_MONTH} [0-9]{{1,2}}(?:st|nd|rd|th)?,? "
_DATE = re.compile(rf"(?i)(?:[^\W\d_]{{2,10}}\.?, )?(?:{_DAY_FIRST}|{_MONTH_FIRST})[0-9]{{2,4}}")
_DIGITS = re.compile("[0-9]+")
_CODE = re.compile(r"(?=\S*[0-9])(?=\S*[^\W\d_])\S{3,}")
"""One word of letters and digits, such as the number of an order."""
_YEAR = re.compile("(?:19|20)[0-9]{2}")
LEAST_BARE = 0.3
"""Share of a table's rows that have no label of their own, where each one names those below it."""
LONGEST_LABEL = 200
MOST_REPEATED = 1_000_000
"""Characters of labels that are repeated."""
_RANGE = re.compile(r"\d\s*[-–]\s*\d")
LONGEST_REPEATED = 40
"""Characters of a cell that is told in each of the columns that it covers; two values may be the same, too."""
LONGEST_GROUP = 60
"""Characters of the name of a group of rows, in a row of its own."""
_TOTAL = re.compile(r"(?:grand |sub)?total\b|sum(?:me|ma)?\b|gesamt|insgesamt|合計|合计", re.I)
LONGEST_UNIT = 15
"""Characters of a column's unit in a row of its own."""
_LEADERS = re.compile(r"(?<=[^\s.…·_])(?:(?:\s?[.·]){4,}|(?:\s?…){2,}|(?:\s?_){4,})\s*$")
"""Signs that lead the eye from a row's name to its first value: "March . . . . ."."""


def table_lines(rows: Iterable[Sequence[object]], *, header: int | None = None, merged: bool = True) -> list[str]:
    """One line for each row of a table: `column: value` pairs, or bare values where no column has a name.

    Args:
        rows: the cells of each row, None or "" where one is empty. A merged cell is repeated in each place it covers.
        header: how many rows at the top name the columns; None to see by the cells (`has_header`).
        merged: whether there may be merged cells; without, a row of equal cells is a row of values.

    Returns:
        A line for each row below the header that has a value. Empty cells are left out of rows with names. A table
        that has nothing but its header gives the header as lines; one with columns of no value begins with it.
    """
    cells = [[without_leaders(cell_text(value)) for value in row] for row in rows]
    cells = _without_empty_columns([row for row in cells if any(row)])
    if header in (0, None) and _are_pairs(cells):
        return [": ".join([row[0].rstrip(": "), *filter(None, row[1:])]) for row in cells]
    if is_form(cells):
        return list(form_lines(cells))
    if header is None:
        header = 2 if has_groups(cells) else int(has_header(cells) and not _may_be_pairs(cells))
    if not 0 < header < len(cells):
        return [_bare(_told_once(row)) for row in cells]
    names = _column_names(cells[:header])
    lines = _body_lines(names, cells[header:], merged=merged)
    used = {number for row in cells[header:] for number, value in enumerate(row) if value}
    if any(name and number not in used for number, name in enumerate(names)):
        lines.insert(0, _bare(names))  # a name that no row would show
    return lines


def _body_lines(names: Sequence[str], rows: list[list[str]], *, merged: bool) -> list[str]:
    """The rows as lines, with the name of their group before their first cell, which had a row of its own.

    That row is one cell merged across all columns (`merged`: the reader repeats such a cell in each place), or has
    nothing but its first cell: there are several of these, the first of them stands above all other rows, and each has
    two rows below it. A cell merged across that is long, or has no rows below it, is a note.
    """
    across = [merged and _is_across(row) for row in rows]
    values = Counter(
        cell for row, is_across in zip(rows, across, strict=True) for cell in ([row[0]] if is_across else row)
    )
    names_all = _names_those_below(rows)
    group, lines = "", []
    for number, row in enumerate(rows):
        is_name = len(row[0]) <= LONGEST_GROUP and values[row[0]] == 1 and not is_number(row[0])
        has_rows = number + 1 < len(rows) and not across[number + 1]
        if (across[number] and is_name and has_rows) or (names_all and not any(row[1:])):
            group = row[0].rstrip(" :")
        elif across[number] and values[row[0]] == 1:
            lines.append(row[0])
        else:
            is_total = bool(_TOTAL.match(row[0])) and (number + 1 == len(rows) or row[0].casefold().startswith("grand"))
            first = row[0] if is_total or not group else f"{group} {row[0]}".strip()
            lines.append(named_row(names, _told_once([first, *row[1:]])))
    return lines


def _names_those_below(rows: Sequence[Sequence[str]]) -> bool:
    """Whether rows with nothing but a name name those below them."""
    alone = [bool(row[0]) and not any(row[1:]) for row in rows]
    places = [number for number, is_alone in enumerate(alone) if is_alone]
    gaps = [two - one for one, two in pairwise([*places, len(rows)])]
    return len(places) > 1 and alone[0] and min(gaps) > 2


def _is_across(row: Sequence[str]) -> bool:
    """Whether a row is one cell merged across three columns or more."""
    return len(row) > 2 and bool(row[0]) and all(cell == row[0] for cell in row)


def _without_empty_columns(rows: list[list[str]]) -> list[list[str]]:
    """The rows without the columns that are empty in all of them, which only indent the others."""
    width = max(map(len, rows), default=0)
    told = [number for number in range(width) if any(row[number] for row in rows if number < len(row))]
    return rows if len(told) == width else [[row[number] for number in told if number < len(row)] for row in rows]


def _told_once(row: Sequence[str]) -> list[str]:
    """A row with a long text once that a cell merged across columns repeats in each of them."""
    return ["" if n and len(cell) > LONGEST_REPEATED and cell == row[n - 1] else cell for n, cell in enumerate(row)]


def _are_pairs(rows: Sequence[Sequence[str]]) -> bool:
    """Whether each row is a name, which ends in a colon, beside its value."""
    ends = sum(row[0].endswith((":", "：")) for row in rows)
    return len(rows) > 1 and all(len(row) == 2 and row[0] for row in rows) and ends >= 0.8 * len(rows)


def _may_be_pairs(rows: Sequence[Sequence[str]]) -> bool:
    """Whether rows of two cells may all be names beside values: a wrong name of a column does more harm than none."""
    values = [row[1] for row in rows[1:] if len(row) > 1 and row[1]]
    return max(map(len, rows)) == 2 and sum(map(is_number, values)) < 0.8 * len(values)


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


def row_opening(text: str, at: int) -> str:
    """The first cells of the row of a text that `at` is amid; "" where it is at a line's beginning, or amid no row."""
    start = text.rfind("\n", 0, at) + 1
    opening = text[start:at].rstrip()
    if not opening or SEPARATOR not in f"{opening} ":
        return ""
    opening = opening.removesuffix(SEPARATOR.rstrip())
    cut = opening.rfind(SEPARATOR, 0, LONGEST_OPENING) if len(opening) > LONGEST_OPENING else len(opening)
    return opening[: cut if cut > 0 else LONGEST_OPENING].rstrip()


def has_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row names the columns.

    It does if there are rows below it, all its cells differ, at most the first one is empty, none is a number (but
    for years in a row), no cell is longer than a name would be, and none is a date over dates or one code over others.
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
        and not any(len(cell) > 60 or (is_number(cell) and not _YEAR.fullmatch(cell)) for cell in named)
        and (not any(map(_YEAR.fullmatch, named)) or _names_years(named, rows[1]))
        and not any(_is_one_of(cell, [row[at] for row in rows[1:] if at < len(row)]) for at, cell in enumerate(first))
    )


def _is_one_of(cell: str, below: Iterable[str]) -> bool:
    """Whether a cell is of the kind of most that are below it, and so names no column: a date, a code, an address."""
    kind = _kind(cell)
    kinds = [_kind(other) for other in below if other] if kind else []
    return bool(kinds) and kinds.count(kind) > 0.6 * len(kinds)


def _kind(cell: str) -> str:
    """What a cell has in common with others of its kind; "" where it may be a name."""
    if is_date(cell):
        return "date"
    if "@" in cell:
        return "@"
    return _DIGITS.sub("#", cell) if _CODE.fullmatch(cell) else ""


def is_date(text: str) -> bool:
    """Whether a cell is a day with the name of its month: November 16, 2014; 16. November 2014; 16 nov. 2014."""
    return bool(_DATE.fullmatch(text))


def is_number(text: str) -> bool:
    """Whether a cell is an amount, a share, a date or a time, also with a sign or a unit."""
    return bool(_NUMBER.fullmatch(text))


def _names_years(row: Sequence[str], below: Sequence[str]) -> bool:
    """Whether years are columns' names: they come in order, and what is below them is none."""
    years = [int(cell) for cell in row if _YEAR.fullmatch(cell)]
    return len(years) > 1 and are_in_order(years) and not any(map(_YEAR.fullmatch, below))


def are_in_order(years: Sequence[int]) -> bool:
    """Whether years go up, or down, or do so again and again below groups of columns: 2024, 2025, 2024, 2025.

    The same year in several columns that follow each other is a group of columns itself.
    """
    for step in (1, -1):
        runs: list[list[int]] = []
        for year, _ in groupby(years):
            if runs and (year - runs[-1][-1]) * step > 0:
                runs[-1].append(year)
            else:
                runs.append([year])
        if all(len(run) > 1 and run == runs[0] for run in runs):
            return True
    return False


def has_groups(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row names groups of columns, in cells merged across them, and the second row the columns.

    So it is where the cells below a merged one differ, no cell of the second row is a number but for years in order,
    and all other columns have their name in one of the rows alone, or in a cell merged over both.
    """
    if len(rows) < 3 or len(rows[0]) != len(rows[1]):
        return False
    if any(map(is_number, rows[1])) and (any(map(is_amount, rows[1])) or not _names_years(rows[1], rows[2])):
        return False
    pairs = list(zip(rows[0], rows[1], strict=True))
    groups: dict[str, set[str]] = {}
    for number, (above, below) in enumerate(pairs):
        beside = {rows[0][place] for place in (number - 1, number + 1) if 0 <= place < len(pairs)}
        if above and above in beside:
            groups.setdefault(above, set()).add(below)
        elif above and below and above != below:
            return False
    return bool(groups) and all(len(names - {""}) > 1 for names in groups.values())


def with_names_in_one_row(rows: list[list[str]]) -> list[list[str]]:
    """The rows, with all names of a column in the first one where two or three rows name the columns; else as given.

    Above the names, groups of columns may have theirs in their first column alone ("Age | | | Race |"); below the
    names, there may be the columns' units, or a word that is the same in all of them.
    """
    names, used = [*rows[0]], 1
    if names_groups(rows):
        group = ""
        inside: list[str] = []
        pattern: list[str] = []  # the names in the first group, which the others may have, too
        for column in range(max(len(rows[0]), len(rows[1]))):
            above, own = (row[column] if column < len(row) else "" for row in rows[:2])
            if above:
                inside, pattern = [], pattern or (inside if group else [])
            elif len(pattern) > 1 and own not in pattern and set(pattern) <= set(inside):
                group = ""  # it has all of them
            inside.append(own)
            group = above or group if own else ""
            text = f"{group} {own}".strip() if own and own != group else above
            names[column : column + 1] = [text]
        used = 2
    if used < len(rows) and (units := _units(rows[used:])) is not None:
        names = [f"{name} {unit}".strip() for name, unit in zip_longest(names, units, fillvalue="")]
        used += 1
    return [names, *rows[used:]] if used > 1 else rows


def with_labels_repeated(rows: list[list[str]]) -> list[list[str]]:
    """The rows with the label in their first cell, where it stands in the first row of a group alone; else as given.

    The first row names the columns. So it is where the rows without a label have a text in their second cell.
    """
    body = rows[1:]
    bare = [row for row in body if len(row) > 1 and not row[0]]
    labels = [row[0] for row in body if row and row[0]]
    if not are_labels(labels, [row[1] for row in bare], len(body)) or not body[0][0]:
        return rows
    if sum(map(len, labels)) / len(labels) * len(bare) > MOST_REPEATED:
        return rows
    label, filled = "", [rows[0]]
    for row in body:
        label = (row[0] if row else "") or label
        filled.append([label, *row[1:]])
    return filled


def are_labels(labels: Sequence[str], beside: Sequence[str], count: int) -> bool:
    """Whether texts in a first column name the rows below them, too; `beside` has the second cells of those rows."""
    if not labels or len(beside) < max(2, LEAST_BARE * count) or sum(map(bool, beside)) < 0.9 * len(beside):
        return False
    texts = sum(bool(cell) and not is_number(cell) for cell in beside)
    named = sum(not is_number(label) and len(label) <= LONGEST_LABEL for label in labels)
    return texts >= 0.8 * len(beside) and named >= 0.9 * len(labels) and len(set(labels)) >= 0.9 * len(labels)


def names_groups(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row names groups of columns in the first column of each, and the second row the columns."""
    if len(rows) < 4 or len(rows[0]) < 3 or not rows[1] or bool(rows[0][0]) == bool(rows[1][0]):
        return False
    is_inside = has_groups = False
    for above, below in zip_longest(rows[0], rows[1], fillvalue=""):
        has_groups |= is_inside and bool(below) and not above
        is_inside = bool(below) and (is_inside or bool(above))
    return has_groups and not any(map(is_amount, rows[1])) and any(map(is_amount, chain.from_iterable(rows[2:20])))


def _units(rows: Sequence[Sequence[str]]) -> list[str] | None:
    """The units of the columns, where the first of these rows has them; [] where it has one word in all of them."""
    first, *below = rows[:50]
    filled = [(column, cell) for column, cell in enumerate(first) if cell]
    if len(below) < 2 or not first or first[0] or len(filled) < 2 or any(is_amount(cell) for _, cell in filled):
        return None
    if len(filled) > 2 and len({cell for _, cell in filled}) == 1:
        return []
    for column, cell in filled:
        values = [row[column] for row in below if column < len(row) and row[column]]
        if len(cell) > LONGEST_UNIT or not values or sum(map(is_amount, values)) < 0.8 * len(values):
            return None
    return list(first)


def is_amount(cell: str) -> bool:
    """Whether a cell is a number that names no column, as a year or a range of ages does."""
    return is_number(cell) and not _YEAR.fullmatch(cell) and not _RANGE.search(cell)


def cell_text(value: object) -> str:
    """The text of a cell in one line."""
    return "" if value is None else one_line(str(value))


def without_leaders(text: str) -> str:
    """A cell without the dots that lead to the next one; one that has nothing else keeps them."""
    return _LEADERS.sub("", text)


def _column_names(header: Sequence[Sequence[str]]) -> list[str]:
    """The name of each column: its cells of all header rows, from top to bottom, each text once."""
    width = max(map(len, header))
    columns = ([row[number] for row in header if number < len(row)] for number in range(width))
    return [" ".join(dict.fromkeys(filter(None, column))).rstrip(":") for column in columns]


def _bare(row: Sequence[str]) -> str:
    last = max((number for number, value in enumerate(row) if value), default=-1)
    return SEPARATOR.join(row[: last + 1])
