"""Tables in plain text become lines that name their columns: drawn with signs, with tabs, or with blanks in columns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from rag.sources.tables import has_header, is_number, table_lines, with_labels_repeated
from rag.text.wraps import indent_of

FEWEST_LINES, FEWEST_EDGES = 3, 2
"""Lines of a table without rules, with the one that names its columns; and lines drawn across a table, at least."""
MOST_BESIDE = 2
"""Lines right above and right below the rows of such a table, at most, that are none: its caption, a note."""
GAP = 2
"""Columns of blanks, at least, between two columns of a table that has nothing else between them."""
WIDEST = 400
"""Characters of a line, at most."""
LONGEST_FIRST = 60
"""Characters of a row's first cell, at most."""
PROSE_WORDS = 3
"""Words from which on a cell may be prose."""
FEWEST_FIELDS, FEWEST_NUMBERS = 4, 3
"""Names of columns that a program printed a blank apart, at least, and columns of numbers among them."""
_DRAWN = str.maketrans("│┃║┆┊─━═┄┈┌┬┐├┼┤└┴┘┏┳┓┣╋┫┗┻┛╔╦╗╠╬╣╚╩╝╒╤╕╞╪╡╘╧╛╓╥╖╟╫╢╙╨╜╭╮╰╯┡╇┩", "|" * 5 + "-" * 5 + "+" * 52)
LONGEST_INDENT = 4
"""Blanks before a caption or a note, beside those before the rows, at most."""
_GAP = re.compile(r"\S(?: {3,}|\t)\S")
_ARROW = re.compile(r"-+>|<-+|=+>")
_LEADS = re.compile(r"(?:[-*+•–]|\d{1,3}[.)]|[#>%;]|//)\s")
_NO_ROW = re.compile(r"[{};\\|]\s*$|[=!<>]=|\||```|~~~|^\s*(?:>>>|\.\.\.|\$)\s|(?:^|\s)(?:#|//|/\*)(?:\s|$)")
"""What a line of a program or a command has, or of another kind of table."""
_SENTENCE = re.compile(r"(?:\S+\s+){3,}.*[.,;!?]")
Rows = list[list[str]]


def drawn_tables(text: str) -> str:
    """The text with the tables that have lines drawn around their cells as `column: value` lines."""
    return "\n".join(line for block in _blocks(text) for line in _drawn(block) or block)


def spaced_tables(text: str) -> str:
    """The text with the tables that have tabs or columns of blanks between their cells as `column: value` lines."""
    return "\n".join(line for block in _blocks(text) for line in _spaced(block) or block)


def _blocks(text: str) -> Iterator[list[str]]:
    """The lines of a text, those between blank lines together."""
    for _, block in groupby(text.split("\n"), lambda line: bool(line.strip())):
        yield list(block)


def _is_rule(line: str) -> bool:
    """Whether a line has only signs that are drawn."""
    bare = line.strip()
    return bare.strip("-=+|: ") == "" and ("--" in bare or "==" in bare)


def _is_edge(line: str) -> bool:
    """Whether a line is drawn above, below or between rows."""
    bare = line.strip()
    return bare[:1] in ("+", "|") and bare[-1:] in ("+", "|") and _is_rule(bare)


def _is_row(line: str) -> bool:
    bare = line.strip()
    return len(bare) > 1 and bare[0] == bare[-1] == "|"


def _drawn(block: Sequence[str]) -> list[str]:
    """A block with a table that has lines drawn around its cells; [] where it has none."""
    lines = [line.translate(_DRAWN) for line in block]
    inside = [number for number, line in enumerate(lines) if _is_edge(line) or _is_row(line)]
    edges = {number for number in inside if _is_edge(lines[number])}
    if (
        len(edges) < FEWEST_EDGES
        or len(inside) - len(edges) < 2
        or inside[-1] - inside[0] + 1 != len(inside)
        or any(_ARROW.search(lines[number]) for number in inside)
    ):
        return []
    rows: Rows = []
    header = None
    for before, number in zip([-1, *inside], inside, strict=False):
        cells = [cell.strip() for cell in lines[number].strip().strip("|").split("|")]
        if number in edges:
            header = len(rows) if header is None and rows else header
        elif before not in edges and rows and _goes_on(rows[-1], cells):
            rows[-1] = _joined(rows[-1], cells)
        else:
            rows.append(cells)
    if len({len(row) for row in rows}) > 1:
        header = 0  # a cell covers several columns
    elif header != 1:
        header = None
    return [*block[: inside[0]], *table_lines(rows, header=header, merged=False), *block[inside[-1] + 1 :]]


def _goes_on(above: Sequence[str], cells: Sequence[str]) -> bool:
    """Whether a line without a first cell, and without a number, goes on with cells of the row above."""
    return len(above) == len(cells) and not cells[0] and not any(map(is_number, cells))


def _joined(above: Sequence[str], cells: Sequence[str]) -> list[str]:
    return [f"{one} {other}".strip() for one, other in zip(above, cells, strict=True)]


def _spaced(block: list[str]) -> list[str]:
    """A block with a table whose cells have tabs between them, or blanks in the same columns; [] where it has none."""
    if len(block) < FEWEST_LINES or not block[0].strip() or any(len(line) > WIDEST for line in block):
        return []
    inner = block[MOST_BESIDE : len(block) - MOST_BESIDE]
    if len(inner) >= FEWEST_LINES and not _rows(inner)[0]:
        return []  # most texts
    beside = range(MOST_BESIDE + 1)
    found = [
        (*_rows(block[above : len(block) - below]), above, below)
        for above in beside
        for below in beside
        if not any(_has_cells(line, block) for line in [*block[:above], *block[len(block) - below :]])
    ]
    rows, is_named, above, below = max(
        found, key=lambda each: (len(each[0][0]) if each[0] else 0, each[1], len(each[0]))
    )
    if not rows:
        return []
    lines = table_lines(with_labels_repeated(rows) if is_named else rows, header=int(is_named), merged=False)
    if above and block[above - 1].isupper() and block[above][:1].isspace():  # a heading of a manual page stays one
        lines[0] = f"  {lines[0]}"
    return [*block[:above], *lines, *block[len(block) - below :]]


def _has_cells(line: str, block: Sequence[str]) -> bool:
    """Whether a line at the edge of a block may be a row: it has a gap, or begins far to the right."""
    return bool(_GAP.search(line)) or indent_of(line) > min(map(indent_of, block)) + LONGEST_INDENT


def _rows(lines: Sequence[str]) -> tuple[Rows, bool]:
    """The cells of lines that are a table without rules, and whether the first row names the columns."""
    if len(lines) < FEWEST_LINES:
        return [], False
    if rows := _tabbed(lines):
        return rows, has_header(rows) and len(rows[0]) > 2 and all(name[:1].isalpha() for name in rows[0])
    if rows := _fielded(lines):
        return rows, True
    rows = _aligned(lines)
    is_named = bool(rows) and (_is_rule(lines[1]) or _names_columns(rows))
    return (rows, is_named) if is_named or (rows and rows[0][0]) else ([], False)


def _tabbed(lines: Sequence[str]) -> Rows:
    """The cells of lines that all have as many tabs, none of them at their beginning; [] for others."""
    cells = [line.rstrip().split("\t") for line in lines]
    width = max(map(len, cells))
    is_table = (
        width > 1
        and all(row[0].strip() for row in cells)
        and sum(len(row) == width for row in cells) > 0.8 * len(cells)
        and 4 * sum(bool(_NO_ROW.search(line)) for line in lines) < len(lines)
    )
    return [[*row, *[""] * (width - len(row))] for row in cells] if is_table else []


def _fielded(lines: Sequence[str]) -> Rows:
    """The cells of lines as programs print them, with the last column as long as it is: `ps aux`; [] for others.

    The last name may have two words: "Mounted on".
    """
    names = lines[0].split()
    for width in (len(names), len(names) - 1):
        rows = [line.split(None, width - 1) for line in lines] if width >= FEWEST_FIELDS else []
        below = list(zip(*rows[1:], strict=True)) if rows and all(len(row) == width for row in rows) else []
        numbers = [number for number, column in enumerate(below) if all(map(_begins_with_digit, column))]
        if len(numbers) >= FEWEST_NUMBERS and not any(map(_begins_with_digit, rows[0])):
            return rows
    return []


def _begins_with_digit(cell: str) -> bool:
    return cell[:1].isdigit()


def _aligned(lines: Sequence[str]) -> Rows:
    """The cells of lines with gaps that all of them have in the same columns; [] for others, and for code and lists."""
    wide = [line.expandtabs(8).rstrip() for line in lines]
    kept = [line for line in wide if not _is_rule(line)]
    if len(kept) < FEWEST_LINES - (len(kept) < len(lines)) or any(map(_NO_ROW.search, kept)):
        return []
    columns = _columns(kept)
    if len(columns) < 2 or (len(kept) == len(lines) and not _are_apart(kept, columns)):
        return []
    rows: Rows = []
    is_below_rule = True
    for line in wide:
        if _is_rule(line):
            is_below_rule = True
            continue
        cells = [line[start:end].strip() for start, end in columns]
        if not is_below_rule and rows and _goes_on(rows[-1], cells) and _had_no_room(rows[-1], cells, columns):
            rows[-1] = _joined(rows[-1], cells)
        else:
            rows.append(cells)
        is_below_rule = False
    return rows if _are_rows(rows) else []


def _are_apart(lines: Sequence[str], columns: Sequence[tuple[int, int]]) -> bool:
    """Whether each column but the first has a row with more than `GAP` blanks before it, as justified text has none."""
    return all(
        any(len(line) > start and len(line[:start].rstrip()) < start - GAP for line in lines)
        for start, _ in columns[1:]
    )


def _had_no_room(above: Sequence[str], cells: Sequence[str], columns: Sequence[tuple[int, int]]) -> bool:
    """Whether the first word of each of these cells had no room in the one above it."""
    return all(
        len(one) + 1 + len(other.split()[0]) > end - start
        for one, other, (start, end) in zip(above, cells, columns, strict=True)
        if other
    )


def _columns(lines: Sequence[str]) -> list[tuple[int, int]]:
    """Where columns begin and end that `GAP` columns of blanks or more part in all lines."""
    filled = 0
    for line in lines:
        signs = re.sub(r"\s", "0", re.sub(r"\S", "1", line[::-1]))
        filled |= int(signs or "0", 2)
    return [found.span() for found in re.finditer(rf"1(?:0{{0,{GAP - 1}}}1)*", f"{filled:b}"[::-1])]


def _are_rows(rows: Rows) -> bool:
    """Whether cells are those of a table: most of each column are filled, the first ones are short and no items.

    Two columns of prose are none.
    """
    firsts = [row[0] for row in rows]
    columns = list(zip(*rows, strict=True))
    shares = [0.3, *[0.5] * (len(columns) - 1)]  # a label may stand once for several rows
    prose = [sum(len(cell.split()) >= PROSE_WORDS for cell in column) > len(rows) // 2 for column in columns]
    return (
        len(rows) >= FEWEST_LINES - 1
        and sum(map(bool, rows[0])) > 1
        and all(sum(map(bool, column)) > least * len(rows) for column, least in zip(columns, shares, strict=True))
        and all(len(cell) <= LONGEST_FIRST for cell in firsts)
        and not any(_LEADS.match(f"{cell} ") or _SENTENCE.fullmatch(cell) for cell in firsts)
        and not (len(columns) == 2 and all(prose))
    )


def _names_columns(rows: Rows) -> bool:
    """Whether the first row of a table without rules names its columns: it is in capitals, or stands over numbers."""
    first, *below = rows
    columns = list(zip(*below, strict=True))[1:]
    of_numbers = [sum(map(is_number, column)) > 0.6 * sum(map(bool, column)) for column in columns]
    if not first[0] and all(first[1:]) and all(of_numbers):  # days, say, over amounts
        return len({*first}) == len(first)
    return has_header(rows) and (any(of_numbers) or all(name.isupper() for name in first))
