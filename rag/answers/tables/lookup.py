"""A question that names one row and one column of a table word for word -> the cell; nothing where that is not certain.

"How many XSS flaws were there in 2006?" has its answer in the row of XSS below 2006. Each word of the question has to
be part of the row's value, of the column's name or of the table's, or a little word.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from rag.answers.tables.parsed import Key, Place, Table, in_singular
from rag.answers.tables.query import Condition, Query, matches
from rag.answers.tables.spans import column_stems, meant_columns, things
from rag.answers.tables.values import folded
from rag.answers.tables.words import LONGEST_PHRASE, Phrases, Token, key_of, key_of_column
from rag.text.language import stem

MOST_ROWS = 5_000
"""Rows of a table in which a cell is looked for."""
ASKED = frozenset({"stop", "count", "table", "rows"})
"""What words may mean that are neither the row's nor the column's."""
OTHERWISE = frozenset({"gt", "ge", "lt", "le", "between", "not", "per", "average", "maximum", "minimum", "distinct"})
"""What words may mean that ask for more than a cell: "since 2006"."""
HAVING = {
    *("have", "has", "had", "having", "with", "haben", "hat", "hatten", "mit"),
    *("avec", "ont", "tiene", "tienen", "con", "有"),
}
"""What makes a counted question one of rows: "how many plants have a price"."""
BESIDE = re.compile(r"\s*[(\[,;:]|\s[-–'\"“„‘«]")
"""What parts a name from what it is told with: "Price (EUR)"."""


class Lookup:
    """The rows and columns of one table by the words that name them."""

    def __init__(self, table: Table, names: Sequence[str]) -> None:
        """`names` are what people may call the table."""
        self.table = table
        self.names = {word for name in names for word in in_singular(key_of(name))}
        self.columns: dict[Key, set[str]] = defaultdict(set)
        for column in table.columns:
            for name in (column, BESIDE.split(column)[0]):
                self.columns[in_singular(key_of_column(name))].add(column)
        for thing, column in things(table).items():
            self.columns[in_singular((thing,))] = self.columns.get(in_singular((thing,))) or {column}
        self.whole, self.parts = table.cell_index

    def read(self, tokens: Sequence[Token], known: Phrases, language: str) -> Query | None:
        """The cell that a question asks for; None where a word is left over, or one row or column is not certain."""
        meant = meant_columns(self.table, language)
        stems = column_stems(self.table.columns, language)
        columns: list[str] = []
        places: list[set[Place]] = []
        is_counted, named, at = False, 0, 0
        while at < len(tokens):
            for length in range(min(LONGEST_PHRASE, len(tokens) - at), 0, -1):
                words = tuple(token.folded for token in tokens[at : at + length])
                key, kinds = in_singular(words), known.get(words, set())
                found, column = self._places(key), self.columns.get(key, set()) or meant.get(key, set())
                if not (column or found or kinds) and length == 1 and (stem(key[0]) in stems):
                    column = {stems[stem(key[0])]}
                if kinds & OTHERWISE and not column and not found:
                    return None
                if "stop" in kinds and length == 1:
                    found, column = set(), set()
                if found and column and not {name for name, _ in found} <= column:
                    return None  # the name of one column, and a value of another
                if column:
                    is_of_rows = is_counted and any(token.folded in HAVING for token in tokens[:at])
                    if len(column) > 1 or (is_of_rows and not key[0].isdecimal()):
                        return None
                    columns += column
                elif found:
                    places.append(found)
                elif kinds & ASKED:
                    is_counted = is_counted or "count" in kinds
                elif length == 1 and key[0] in self.names:
                    named = 1
                else:
                    continue
                break
            else:
                return None
            at += length
        return self._query(columns, places, is_counted=is_counted, named=named)

    def _places(self, key: Key) -> set[Place]:
        """The cells that have these words: as a whole, or what one alone begins with: "Rosemary 'Pink Form'"."""
        if key in self.whole:
            return self.whole[key]
        found = self.parts.get(key, set())
        if len(found) != 1:
            return set()
        ((column, row),) = found
        return found if in_singular(key_of(BESIDE.split(self.table.values[column].texts[row])[0])) == key else set()

    def _query(self, columns: list[str], places: list[set[Place]], *, is_counted: bool, named: int) -> Query | None:
        if not places:
            return None
        rows = set.intersection(*({row for _, row in found} for found in places))
        if len(rows) != 1:
            return None
        (row,) = rows
        labels = {column for found in places for column, number in found if number == row}
        asked = list(dict.fromkeys(column for column in columns if column not in labels))
        if len(asked) != 1:
            return None
        values = self.table.values
        text = values[asked[0]].texts[row]
        conditions = tuple(Condition(name, "=", (folded(values[name].texts[row]),)) for name in sorted(labels))
        if not text or (is_counted and values[asked[0]].numbers is None) or matches(self.table, conditions) != [row]:
            return None
        return Query("value", asked[0], conditions, named=named)
