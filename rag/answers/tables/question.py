"""A question about a table -> what is to be counted, summed or listed of it; nothing where that is not certain.

Each word of the question has to be accounted for: by the words of counting, by the table's name, by the name of a
column or by a value in it. So "how many wheels does the tram have" asks nothing of a table of orders, and a filter that
was not understood is not left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from langchain_core.documents import Document

from rag.answers.quotes.quote import Quote
from rag.answers.tables.families import asking_phrases
from rag.answers.tables.lookup import MOST_ROWS, Lookup
from rag.answers.tables.parsed import Table
from rag.answers.tables.query import OPERATIONS, Query
from rag.answers.tables.reading import Reading
from rag.answers.tables.spans import Uncertain
from rag.answers.tables.totals import is_plain_row
from rag.answers.tables.words import Token, key_of, phrases, spans_of, tokenize_question
from rag.library.splitter import names_of_source
from rag.text.language import stems, word_weights

_COMPUTED = ("count", "sum", "average", "maximum", "minimum")


_WHEN = ("when", "wann", "quand", "cuando")
_OF_ONE_ROW = ("how often", "wie oft", "maximum", "minimum", "max", "min", "maximal", "minimal", "maximo", "minimo")
"""Phrases of these that a row may answer as it stands: "the maximum flow", "how often are bearings greased"."""


def read_question(question: str, table: Table, names: Sequence[str], *, is_nearest: bool = False) -> Query | None:
    """What a question asks of a table; None where it asks nothing of it, or where that is not certain.

    `names` are what people may call the table: its file's name and title, its sheet, its heading. `is_nearest`: nothing
    in the library is nearer to the question, so that "who is in Madrid" asks for rows of it.
    """
    tokens = tokenize_question(question)
    for language, known in phrases().items():
        try:
            read = Reading(tokens, table, names, known, language).query(is_nearest)
            return replace(read, language=language, column=_of_time(read.column, tokens, table))
        except Uncertain:
            continue
    if len(table.rows) > MOST_ROWS:
        return None
    lookup = Lookup(table, names)  # the cell that is asked for by its row and its column
    for language, known in phrases().items():
        if query := lookup.read(tokens, known, language):
            return replace(query, language=language, column=_of_time(query.column, tokens, table))
    return None


def _of_time(column: str | None, tokens: Sequence[Token], table: Table) -> str | None:
    """The column that is asked for; of "when" that of its date or year, if it is neither."""
    return table.dated(column) if column and tokens[0].folded in _WHEN else column


def may_ask_of_tables(question: str) -> bool:
    """Whether a question has words of counting in some language."""
    return not _phrases_of_counting().isdisjoint(spans_of(key_of(question)))


def asks_of_rows(question: str, quote: Quote, passages: Sequence[Document]) -> bool:
    """Whether a quote is a row that sums up no others, and the question names its table, or rows: "How many orders"."""
    passage = passages[quote.passage - 1]
    named = stems(f"{names_of_source(passage)} {passage.metadata.get('section') or ''}")
    names_rows = not _phrases_of("rows").isdisjoint(spans_of(key_of(question)))
    return is_plain_row(quote.text(passages)) and (names_rows or not named.isdisjoint(word_weights(question)))


def asks_for_somebody(question: str) -> bool:
    """Whether a question begins by asking who."""
    first = key_of(question)[:1]
    return any("who" in known.get(first, ()) for known in phrases().values())


def asks_to_compute(question: str) -> bool:
    """Whether a question has words that ask for a count, a sum, an average or the most, in some language."""
    asked = _phrases_of(*_COMPUTED) - {key_of(phrase) for phrase in _OF_ONE_ROW}
    return not asked.isdisjoint(spans_of(key_of(question)))


@cache
def _phrases_of(*asked: str) -> frozenset[tuple[str, ...]]:
    """The phrases of all languages that mean one of these."""
    every = (item for known in phrases().values() for item in known.items())
    return frozenset(phrase for phrase, kinds in every if not kinds.isdisjoint(asked))


@cache
def _phrases_of_counting() -> frozenset[tuple[str, ...]]:
    return _phrases_of(*OPERATIONS) | asking_phrases()
