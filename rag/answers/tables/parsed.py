"""The tables of a source, had back from its stored text: a line a row, `column: value | column: value`.

`rag.sources.tables` writes these lines for every kind of file, so that a CSV file, a workbook, and a table of a web
page or a Markdown file are counted in the same way. What the lines do not tell is which cells were empty: a row lacks
those.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from typing import Any

from rag.answers.tables.families import families
from rag.answers.tables.totals import find_totals
from rag.answers.tables.values import MONTHS, Values, folded
from rag.answers.tables.words import LONGEST_PHRASE, key_of, key_of_column
from rag.sources.loader import section_at
from rag.sources.tables import SEPARATOR
from rag.text.language import stem

Key = tuple[str, ...]
Place = tuple[str, int]
"""A column and the number of a row."""

LONGEST_NAME, LONGEST_IN_ROW = 60, 200
"""Characters of a column's name, at most: of a single column, as `rag.sources.tables.has_header` has it, and of one
among others, which may stand over numbers."""
LONGEST_KNOWN = 3
"""Words of a name that people know a thing by one word of: "Muster GmbH"."""
FEWEST_ROWS, FEWEST_ALONE = 2, 3
"""Rows of a table; of one with a single column, which looks as a list does."""
ODD_ROWS = 0.1
"""Share of a table's rows, at most, that may begin with something that is no column."""
LAST_PAGE = "last_page"
"""In the metadata of a table that goes on over pages: the last of them."""
_CODE = re.compile(r"^[ \t]*(?:```|~~~)", re.M)


SAYS_WHETHER = {"0", "1", "yes", "no", "y", "n", "x", "true", "false", "ja", "nein", "oui", "non", "si", "是", "否"}
"""The values, folded, of a column that says only whether something is so."""


@dataclass(frozen=True)
class Row:
    """A row: its cells by column, and where its line is in the document's text."""

    cells: dict[str, str]
    start: int
    end: int


@dataclass(frozen=True)
class Table:
    """A table of a document. `rows` are those below the header; `totals`, which sum them up, are none of them.

    The first column has no name ("") where the corner of the table is empty.
    """

    source: str
    title: str
    section: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    totals: tuple[Row, ...]
    text: str
    metadata: dict[str, Any]

    def line(self, row: Row) -> str:
        """A row as it is in the text."""
        return self.text[row.start : row.end]

    @cached_property
    def values(self) -> dict[str, Values]:
        """The values of each column."""
        return {name: Values([row.cells.get(name, "") for row in self.rows]) for name in self.columns}

    def dated(self, column: str) -> str:
        """The column of the dates or years of one that only says whether: "Year Automated" of "Automated"."""
        if not self.values[column].distinct.keys() <= SAYS_WHETHER:
            return column
        of_time = [name for name, each in self.values.items() if each.dates is not None or each.years]
        words = {name: {*key_of_column(name)} for name in (column, *of_time)}
        longer = [name for name in of_time if words[column] < words[name]]
        return longer[0] if len(longer) == 1 else column

    @cached_property
    def families(self) -> dict[str, tuple[str, ...]]:
        """The columns of each family of `rag/columns.yaml` that the table has."""
        return {each.name: found for each in families() if (found := each.columns(self.values))}

    @cached_property
    def value_index(self) -> dict[tuple[str, ...], dict[str, str]]:
        """By the tokens of a value: the columns of words that have it, and how, folded.

        By ("stem", word): single words that are like one value alone. By ("part", word): words of the name of one value
        alone, as the family name of a person.
        """
        return _index_values(self.values)

    @cached_property
    def cell_index(self) -> tuple[dict[Key, set[Place]], dict[Key, set[Place]]]:
        """The cells that have these words as a whole, and those that have them in a row; all in singular."""
        return _index_cells(self.values)


def find_tables(source: str, title: str, documents: Sequence[tuple[str, dict[str, Any]]]) -> list[Table]:
    """The tables of a source with two rows or more whose columns have names, in reading order.

    One that goes on over the pages of a document is one table, whose text and places are those of all of its pages.
    """
    found: list[Table] = []
    for text, metadata in documents:
        before = found[-1] if found else None
        for lines in _blocks(text):
            whole = _table(source, title, text, metadata, lines)
            tables = [whole] if whole else [_table(source, title, text, metadata, run) for run in _runs(text, lines)]
            for table in filter(None, tables):
                if before is not None and _goes_on(before, table):
                    found[-1] = _joined(before, table)
                else:
                    found.append(table)
                before = None
    return found


def _goes_on(table: Table, after: Table) -> bool:
    """Whether the first table of a page goes on with the last one of the page before, which no sum ends."""
    page, next_page = (each.metadata.get(LAST_PAGE, each.metadata.get("page")) for each in (table, after))
    is_next = (
        page is not None and next_page == page + 1 and {*table.columns} == {*after.columns} and len(after.columns) > 2
    )
    keys = after.values[after.columns[0]]
    counts_anew = keys.are_keys and keys.texts[0] == table.values[table.columns[0]].texts[0]
    return is_next and table.section == after.section and not table.totals and not counts_anew


def _joined(table: Table, after: Table) -> Table:
    """Two tables as one, which has no place in a page."""
    shift = len(table.text) + 1
    rows, totals = (
        tuple(replace(row, start=row.start + shift, end=row.end + shift) for row in each)
        for each in (after.rows, after.totals)
    )
    metadata = {key: value for key, value in table.metadata.items() if key != "page"}
    metadata[LAST_PAGE] = after.metadata["page"]
    return replace(table, rows=table.rows + rows, totals=totals, text=f"{table.text}\n{after.text}", metadata=metadata)


Line = tuple[int, int]


def _blocks(text: str) -> Iterator[list[Line]]:
    """Lines that follow each other without a blank one, outside of code."""
    block: list[Line] = []
    at, in_code = 0, False
    for line in text.split("\n"):
        if _CODE.match(line):
            in_code = not in_code
        if line.strip() and not in_code:
            block.append((at, at + len(line)))
        elif block:
            yield block
            block = []
        at += len(line) + 1
    if block:
        yield block


def _runs(text: str, block: list[Line]) -> Iterator[list[Line]]:
    """The lines of a block that are rows of several cells and follow each other: a table between other lines."""
    for is_row, lines in groupby(block, lambda line: SEPARATOR in text[line[0] : line[1]]):
        if is_row:
            yield list(lines)


def _table(source: str, title: str, text: str, metadata: dict[str, Any], block: list[Line]) -> Table | None:
    """The table in a block, with what stands above and below it left out."""
    lines = [text[start:end] for start, end in block]
    names = _names(lines)
    if not names:
        return None
    cells = [_cells(line, names) for line in lines]
    places = [number for number, row in enumerate(cells) if any(name for name, _ in row)]
    if len(places) < FEWEST_ROWS:
        return None
    first, last = places[0], places[-1]
    inside = range(first, last + 1)
    bare = sum(bool(cells[number]) and not cells[number][0][0] for number in inside)
    corner = bare >= (1 - ODD_ROWS) * len(inside)
    odd = [number for number in inside if not cells[number] or bool(cells[number][0][0]) == corner]
    if len(odd) > ODD_ROWS * len(inside):
        return None
    rows = []
    for number in inside:
        start, end = block[number]
        named = {name or ("" if corner else names[0]): value for name, value in cells[number]}
        rows.append(Row(named, start, end))
    rows = _without_group(rows)
    order = [name for name in ([""] if corner else []) + names if any(name in row.cells for row in rows)]
    totals = find_totals([row.cells for row in rows], order)
    own = tuple(row for number, row in enumerate(rows) if number not in totals)
    section, _ = section_at(metadata, block[first][0])
    return Table(
        source, title, section, tuple(order), own, tuple(rows[number] for number in sorted(totals)), text, metadata
    )


def _without_group(rows: list[Row]) -> list[Row]:
    """The rows without the name of their group of columns, a cell that all of them have behind the same one."""
    for name, text in rows[0].cells.items():
        end = SEPARATOR + text.rpartition(SEPARATOR)[2]
        if text != end and all(row.cells.get(name, "").endswith(end) for row in rows):
            return [replace(row, cells={**row.cells, name: row.cells[name].removesuffix(end)}) for row in rows]
    return rows


def _names(lines: Sequence[str]) -> list[str]:
    """The columns' names: what stands before a colon at the beginning of cells, in several rows.

    A name that stands in the first cell of one row alone is part of a cell that has a colon, unless the table is short.
    """
    counted: Counter[str] = Counter()
    place: dict[str, int] = {}
    rows = 0
    for line in lines:
        found = _possible_names(line)
        rows += bool(found)
        for name, number in found.items():
            counted[name] += 1
            place[name] = max(place.get(name, 0), number)
    names = {name for name, count in counted.items() if count >= (1 if rows <= 3 else 2)}
    if names:
        names |= {name for line in lines for name in _names_of_one_row(line, names)}
    for name in sorted(names, key=len):  # "note" with the value "fragile: glass", or a name with a colon in it
        shorter = [name[:at] for at in _colons(name) if name[:at] in names]
        names -= {each if counted[each] == counted[name] else name for each in shorter}
    in_order = sorted(names, key=lambda name: (place[name], name))
    if any(SEPARATOR in line for line in lines):
        # A table has rows with two names; a line of prose with a colon and a list of two have not.
        is_table = any(sum(name in names for name in _possible_names(line)) > 1 for line in lines)
        return in_order if is_table else []
    return in_order if len(names) == 1 and counted[in_order[0]] == len(lines) >= FEWEST_ALONE else []


def _names_of_one_row(line: str, names: Collection[str]) -> Iterator[str]:
    """The short names of cells behind others that begin with none of these names: of columns with a single value."""
    for part in line.split(SEPARATOR)[1:]:
        at = _colons(part)
        if at and len(part[: at[-1]].split()) <= LONGEST_KNOWN and not any(part[:end] in names for end in at):
            yield part[: at[-1]]


def _possible_names(line: str) -> dict[str, int]:
    """What may be columns' names in a line, each with the number of its cell."""
    found: dict[str, int] = {}
    longest = LONGEST_IN_ROW if SEPARATOR in line else LONGEST_NAME
    for number, part in enumerate(line.split(SEPARATOR)):
        for at in _colons(part):
            if at <= longest and not part.startswith(("#", ">", "- ", "* ")):
                found.setdefault(part[:at], number)
    return found


def _cells(line: str, names: Sequence[str]) -> list[tuple[str, str]]:
    """The cells of a row as (name, value); a part that names no column belongs to the cell before it."""
    known, given = set(names), set[str]()
    cells: list[tuple[str, str]] = []
    for part in line.split(SEPARATOR):
        name = next((part[:at] for at in _colons(part) if part[:at] in known), part if part in known else "")
        if name and name not in given:
            cells.append((name, part[len(name) + 2 :] or part))
            given.add(name)
        elif cells:
            before, value = cells[-1]
            cells[-1] = (before, f"{value}{SEPARATOR}{part}")
        else:
            cells.append(("", part))
    # A line of bare names is the header, which is given where a column has no value at all; one of one is a title.
    return [] if all(name == value for name, value in cells) else cells


def _colons(part: str) -> list[int]:
    """Where a name may end, the last place first."""
    return [found.start() for found in re.finditer(r"(?<=\S): (?=\S)", part)][::-1]


def in_singular(key: Key) -> Key:
    """Words without the plural's ending of English, French and Spanish."""
    return tuple(re.sub("ies$", "y", word) if len(word) > 4 else word for word in map(_without_s, key))


def _without_s(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "ies")) else word


def _index_cells(columns: Mapping[str, Values]) -> tuple[dict[Key, set[Place]], dict[Key, set[Place]]]:
    whole: dict[Key, set[Place]] = defaultdict(set)
    parts: dict[Key, set[Place]] = defaultdict(set)
    for column, values in columns.items():
        if values.dates is not None or (values.numbers is not None and not values.years):
            continue
        for row, text in enumerate(values.texts):
            key = in_singular(key_of(text))
            whole[key].add((column, row))
            for start in range(len(key)):
                for end in range(start + 1, min(len(key), start + LONGEST_PHRASE) + 1):
                    parts[key[start:end]].add((column, row))
    return dict(whole), dict(parts)


def _index_values(columns: Mapping[str, Values]) -> dict[tuple[str, ...], dict[str, str]]:
    found: dict[tuple[str, ...], dict[str, str]] = defaultdict(dict)
    stems: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    parts: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for name, values in columns.items():
        if values.numbers is not None or values.dates is not None:
            continue
        names = {folded(text) for text in values.texts if text and all(word[:1].isupper() for word in text.split())}
        for value in values.distinct:
            key = key_of(value)
            if not key or len(key) > LONGEST_PHRASE:
                continue
            if found[key].get(name, value) != value:
                found[key][name] = ""  # two values are the same without their signs: "C" and "C++"
            else:
                found[key][name] = value
            if 1 < len(key) <= LONGEST_KNOWN and value in names:
                for word in key:
                    parts[word].add((name, value))
            if len(key) == 1 and len(key[0]) > 3:
                stems[stem(key[0])][name].add(value)
    index: dict[tuple[str, ...], dict[str, str]] = {
        key: columns for key, columns in found.items() if all(columns.values())
    }
    for word, found_in in stems.items():
        if len(found_in) == 1 and all(len(each) == 1 for each in found_in.values()):
            index["stem", word] = {name: next(iter(each)) for name, each in found_in.items()}
    for word, cells in parts.items():
        if len(cells) == 1 and len(word) > 2 and word.isalpha() and word not in MONTHS:  # "Salaries May"
            index["part", word] = dict(cells)
    return index
