"""Files of delimited values become documents: a line for each row that names its columns."""

from __future__ import annotations

import csv
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice, pairwise

from langchain_core.documents import Document

from rag.sources.flow import Flow
from rag.sources.formats import Job
from rag.sources.html.inline import text_of_html
from rag.sources.outline import plain
from rag.sources.plain.column_groups import ColumnGroup, column_groups
from rag.sources.plain.encoding import text_of
from rag.sources.tables import (
    SEPARATOR,
    cell_text,
    has_header,
    is_number,
    named_row,
    table_lines,
    with_labels_repeated,
    with_names_in_one_row,
)

DELIMITERS = ",;\t|"
SAMPLE_LINES = 2000
"""Lines that tell the delimiter."""
LONGEST_HEAD = 6
"""Rows above a table, beginning with a title, that are no part of it."""
UNIFORM = 1.5
"""What rows that all have the same number of cells count for more."""
MOST_PAIRS = 20
"""Rows of names beside values above a table."""
LONGEST_NAME = 120
"""Characters of a column's name that is told in each row."""
LONGEST_ROW = 100
"""Lines of one row. A quotation mark that opens more than these was no opening one, but a sign for inches."""

_KEPT = re.compile(r'="([^"]*)"')

Row = list[str]


def read_delimited(job: Job) -> Iterator[Document]:
    """A file of delimited values as one document: what stands above the table as it is, then a row a line."""
    text = plain(text_of(job))
    delimiter = "\t" if job.ending == ".tsv" else ""
    if declared := re.match(r'\s*"?sep=(.)"?[ \t]*\n', text, re.IGNORECASE):  # for Excel
        delimiter, text = declared[1], text[declared.end() :]
    lines = text.split("\n")
    if not delimiter or not any(delimiter in line for line in lines[:SAMPLE_LINES]):
        delimiter = find_delimiter(lines[:SAMPLE_LINES])
    flow = Flow()
    blocks = list(_blocks(parse_rows(lines, delimiter)))
    for block, after in zip(blocks, [*blocks[1:], []], strict=True):
        if _are_pairs(block, after):
            flow.table([": ".join([name.rstrip(": "), *filter(None, map(cell_text, row))]) for name, *row in block])
            continue
        for caption, told in _tables_of(block):
            flow.table(told, caption)
    yield job.document(flow.text, flow.marks, job.name)


def find_delimiter(lines: list[str]) -> str:
    """The delimiter under which the most rows have the same number of cells, and the cells look like values."""
    return max(DELIMITERS, key=lambda delimiter: _fitness(list(parse_rows(lines, delimiter)), delimiter))


def _fitness(rows: list[Row], delimiter: str) -> float:
    """From 0 to 1.5: how alike the rows are in width, by how clean their cells are."""
    rows = [row for row in rows if any(row)]
    if not rows:
        return 0.0
    widths = Counter(map(len, rows))
    alike = sum(count * count * (width - 1) / width for width, count in widths.items()) / len(rows) ** 2
    cells = [cell for row in rows if len(row) > 1 for cell in row]
    others = "".join(set(";\t|") - {delimiter})
    odd = re.compile(rf"[{re.escape(others)}](?=\S)")
    clean = sum(not odd.search(cell) for cell in cells) / max(1, len(cells))
    halves = sum(_is_half_number(row) for row in rows) / len(rows) if delimiter == "," else 0.0
    alike *= UNIFORM if len(widths) == 1 else 1.0
    return alike * clean * clean * (1 - 0.5 * halves)


def _is_half_number(row: Row) -> bool:
    """Whether a decimal comma may have been taken for a delimiter: "1250,50" beside something that is no number."""
    return any(re.search(r"[;|\t].*\d$", one) and re.match(r"\d", two) for one, two in pairwise(row))


def parse_rows(lines: list[str], delimiter: str) -> Iterator[Row]:
    """The cells of each row, stripped; a quoted line break stays in its row. Blank lines give empty rows."""
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    text = "\n".join(lines[:SAMPLE_LINES])
    escapes = '\\"' in text and '""' not in text
    number = 0
    while number < len(lines):
        start = number
        reader = csv.reader(
            (f"{line}\n" for line in islice(lines, start, None)),
            delimiter=delimiter,
            skipinitialspace=True,
            escapechar="\\" if escapes else None,
            doublequote=not escapes,
        )
        used = 0
        for row in reader:
            span, used = reader.line_num - used, reader.line_num
            if span > LONGEST_ROW:  # read its first line without quoting, and go on behind it
                first = start + used - span
                yield [_cell(cell) for cell in next(csv.reader([lines[first]], delimiter=delimiter, quoting=3))]
                number = first + 1
                break
            yield [_cell(cell) for cell in row]
        else:
            return


def _cell(text: str) -> str:
    """A cell without blanks around it, and one that is written as a formula so that Excel keeps its zeros: ="0012"."""
    text = text.strip()
    found = _KEPT.fullmatch(text)
    return found[1] if found else text


def _blocks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """The tables of a file: parts between blank lines, where they differ in width."""
    parts: list[list[Row]] = [[]]
    for row in rows:
        if any(row):
            parts[-1].append(row)
        elif parts[-1]:
            parts.append([])
    block: list[Row] = []
    for part in filter(None, parts):
        is_head = len(block) <= LONGEST_HEAD and bool(block) and len(block[0]) == 1
        if block and (is_head or _width(part) != _width(block)):
            yield block
            block = []
        block += part
    if block:
        yield block


def _width(rows: list[Row]) -> int:
    """The number of cells that most rows have; of two such numbers the larger."""
    return max(Counter(map(len, rows)).items(), key=lambda item: (item[1], item[0]))[0]


def _are_pairs(rows: list[Row], after: list[Row]) -> bool:
    """Whether rows are names beside values, as the facts about an account above its bookings, and no table."""
    if len(rows) > MOST_PAIRS or any(len(row) < 2 or not row[0] or sum(map(bool, row)) > 2 for row in rows):
        return False
    return all(row[0].endswith(":") for row in rows) or (bool(after) and _width(rows) == 2 and _width(after) > 3)


def _tables_of(rows: list[Row]) -> Iterator[tuple[str, list[str]]]:
    """The lines of a table with what stands above and below it; of each group of its columns with their name."""
    width = _width([row for row in rows if len(row) > 1] or rows)
    first, last = 0, len(rows)
    while first < last - 1 and _is_beside(rows[first], width):
        first += 1
    while last > first + 1 and width > 1 and len(rows[last - 1]) == 1:
        last -= 1
    above = [_bare(row) for row in rows[:first]]
    below = list(map(_bare, rows[last:]))
    table = with_names_in_one_row(rows[first:last])
    header = 1 if len(table) < last - first else _header(table)
    if header:
        names = [cell_text(text_of_html(name)) for name in table[0]]
        table = with_labels_repeated([list(map(_short_name, names)), *table[1:]])
        above += [name for name, short in zip(names, table[0], strict=True) if name != short]
    groups = column_groups({number: [cell_text(name)] for number, name in enumerate(table[0])}) if header else []
    if not groups:
        yield "", [*above, *table_lines(table, header=header, merged=False), *below]
        return
    yield "", above
    yield from _tables_of_groups([list(map(cell_text, row)) for row in table], groups)
    yield "", below


def _short_name(name: str) -> str:
    """A column's name; of one that is a question with what leads to it, the question."""
    last = name.rstrip("?.: ").rpartition(". ")[2] if len(name) > LONGEST_NAME else name
    return name[name.rindex(last) :] if 0 < len(last) <= LONGEST_NAME else name


def _tables_of_groups(table: list[Row], groups: list[ColumnGroup]) -> Iterator[tuple[str, list[str]]]:
    """The lines of each group of columns, with its name; the first row names the columns."""
    grouped = {column for group in groups for column in group.names}
    for group in groups:
        lines = []
        for row in table[1:]:
            label = named_row(table[0], ["" if column in grouped else cell for column, cell in enumerate(row)])
            own = [row[column] if column < len(row) else "" for column in group.names]
            if any(own):
                lines.append(group.line(label, named_row(list(group.names.values()), own)))
        yield group.shared, lines


def _is_beside(row: Row, width: int) -> bool:
    """Whether a row above a table belongs to no column: a title, a remark, a date of issue."""
    filled = sum(map(bool, row))
    return width > 1 and (filled <= 1 or row[0].startswith("# ") or (len(row) < width and filled <= width / 2))


def _header(rows: list[Row]) -> int:
    """How many rows at the top name the columns: one, if it has names over numbers, or as `has_header`."""
    cells = [[cell_text(value) for value in row] for row in rows[:SAMPLE_LINES]]
    if len(cells) < 2 or has_header(cells):
        return int(len(cells) > 1)
    top, below = cells[0], cells[1:]
    if any(map(is_number, top)) or sum(map(bool, top)) < 2:
        return 0
    for number, name in enumerate(top):
        values = [row[number] for row in below if number < len(row) and row[number]]
        if name and values and sum(map(is_number, values)) > 0.8 * len(values):
            return 1
    return 0


def _bare(row: Row) -> str:
    return SEPARATOR.join(filter(None, map(cell_text, row)))
