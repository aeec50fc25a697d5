"""Tables in plain text become lines that name their columns: drawn with signs, with tabs, or with blanks in columns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from rag.sources.tables import has_header, is_number, table_lines

FEWEST = 3
"""Lines of a table without rules, at least, with the one that names its columns."""
MOST_BESIDE = 2
"""Lines right above and right below the rows of such a table, at most, that are none: its caption, a note."""
GAP = 2
"""Columns of blanks, at least, between two columns of a table that has nothing else between them."""
WIDEST = 400
"""Characters of a line, at most."""
_DRAWN = str.maketrans("│┃║┆┊─━═┄┈┌┬┐├┼┤└┴┘┏┳┓┣╋┫┗┻┛╔╦╗╠╬╣╚╩╝╒╤╕╞╪╡╘╧╛╓╥╖╟╫╢╙╨╜╭╮╰╯┡╇┩", "|" * 5 + "-" * 5 + "+" * 52)
_BLANKS = {ord(blank): "0" for blank in " \u00a0\u3000\u2003"}
_LEADS = re.compile(r"(?:[-*+•–]|\d{1,3}[.)]|[#>%;]|//)\s")
_NO_ROW = re.compile(r"[{};\\|]\s*$|[=!<>]=|\||```|~~~|^\s*(?:>>>|\.\.\.)\s|(?:^|\s)(?:#|//|/\*)(?:\s|$)")
"""What a line of a program has, or of another kind of table."""
_SENTENCE = re.compile(r"(?:\S+\s+){3,}.*[.,;!?]")


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


def _is_rule(line: str, signs: str = "-=") -> bool:
    """Whether a line has only signs that are drawn, two of `signs` beside each other among them."""
    bare = line.strip()
    return bare.strip("-=+|: ") == "" and any(sign * 2 in bare for sign in signs)


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
    edges = [number for number in inside if _is_edge(lines[number])]
    if len(edges) < 2 or len(inside) - len(edges) < 2 or inside[-1] - inside[0] + 1 != len(inside):
        return []
    rows: list[list[str]] = []
    header, is_parted = None, len(edges) > FEWEST  # an edge below each row: its cells may have several lines
    for before, number in zip([-1, *inside], inside, strict=False):
        cells = [cell.strip() for cell in lines[number].strip().strip("|").split("|")]
        if number in edges:
            header = len(rows) if header is None and rows else header
        elif is_parted and before not in edges and rows and len(rows[-1]) == len(cells):
            rows[-1] = [f"{above} {below}".strip() for above, below in zip(rows[-1], cells, strict=True)]
        else:
            rows.append(cells)
    if len({len(row) for row in rows}) > 1:
        header = 0  # a cell covers several columns
    elif header != 1:
        header = None
    return [*block[: inside[0]], *table_lines(rows, header=header), *block[inside[-1] + 1 :]]


def _spaced(block: list[str]) -> list[str]:
    """A block with a table whose cells have tabs between them, or blanks in the same columns; [] where it has none."""
    if len(block) < FEWEST or not block[0].strip() or any(len(line) > WIDEST for line in block):
        return []
    inner = block[MOST_BESIDE : len(block) - MOST_BESIDE]
    if len(inner) >= FEWEST and not _rows(inner):
        return []  # most texts
    beside = range(MOST_BESIDE + 1)
    found = [(_rows(block[above : len(block) - below]), above, below) for above in beside for below in beside]
    rows, above, below = max(found, key=lambda each: (len(each[0][0]) if each[0] else 0, len(each[0])))
    if not rows:
        return []
    inner = block[above : len(block) - below]
    if _tabbed(inner):
        header = None if has_header(rows) and all(name[:1].isalpha() for name in rows[0]) else 0
    else:
        header = int(_is_rule(inner[1]) or _names_columns(rows))
    return [*block[:above], *table_lines(rows, header=header), *block[len(block) - below :]]


def _rows(lines: Sequence[str]) -> list[list[str]]:
    """The cells of lines that are a table without rules; [] for others."""
    return _tabbed(lines) or _aligned(lines) if len(lines) >= FEWEST else []


def _tabbed(lines: Sequence[str]) -> list[list[str]]:
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


def _aligned(lines: Sequence[str]) -> list[list[str]]:
    """The cells of lines with gaps that all of them have in the same columns; [] for others, and for code and lists."""
    kept = [line.expandtabs(8).rstrip() for line in lines if not _is_rule(line)]
    if len(kept) < FEWEST - (len(kept) < len(lines)) or any(map(_NO_ROW.search, kept)):
        return []
    joined = _columns(kept)
    if len(joined) < 2:
        return []
    rows: list[list[str]] = []
    for line in kept:
        cells = [line[start:end].strip() for start, end in joined]
        if not cells[0] and rows:  # the next line of a cell
            rows[-1] = [f"{above} {below}".strip() for above, below in zip(rows[-1], cells, strict=True)]
        else:
            rows.append(cells)
    return rows if _are_rows(rows) else []


def _columns(lines: Sequence[str]) -> list[tuple[int, int]]:
    """Where columns begin and end that `GAP` columns of blanks or more part in all lines."""
    filled = 0
    for line in lines:
        filled |= int("1" + re.sub(r"\S", "1", line[::-1]).translate(_BLANKS), 2) ^ (1 << len(line))
    signs = f"{filled:b}"[::-1]
    return [found.span() for found in re.finditer(rf"1(?:0{{0,{GAP - 1}}}1)*", signs)]


def _are_rows(rows: Sequence[Sequence[str]]) -> bool:
    """Whether cells are those of a table: most of each column are filled, and the first ones short and no items."""
    firsts = [row[0] for row in rows]
    return (
        len(rows) >= FEWEST - 1
        and all(sum(map(bool, column)) > 0.6 * len(rows) for column in zip(*rows, strict=True))
        and all(0 < len(cell) <= 60 for cell in firsts)
        and not any(_LEADS.match(f"{cell} ") or _SENTENCE.fullmatch(cell) for cell in firsts)
    )


def _names_columns(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row of a table without rules names its columns: it is in capitals, or stands over numbers."""
    first, *below = rows
    columns = zip(*below, strict=True)
    is_over_numbers = any(
        not is_number(name) and sum(map(is_number, column)) > 0.6 * len(below)
        for name, column in zip(first, columns, strict=True)
    )
    return has_header(rows) and (is_over_numbers or all(name.isupper() for name in first))
