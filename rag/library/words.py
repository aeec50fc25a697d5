"""Words -> chunks: BM25 over what the store shows, in memory, in step with every source that comes or goes.

tantivy counts and ranks; what a word is, is told here. It takes a change of any number of chunks as one, and a question
reads the state that it began with and waits for nobody. Texts stay in the vector store.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Protocol

from rapidfuzz import process
from rapidfuzz.distance import OSA

from rag.text.language import FUNCTION_WORDS, WORD, english_words, fold, stem, surfaces

if TYPE_CHECKING:
    from tantivy import Query, Searcher

Hit = tuple[str, float]
"""A row's id and its score."""

WRITER_BYTES = 15_000_000
"""Of tantivy's buffer, the least it takes."""

MOST_WAITING = 64
"""Chunks that are not written yet, at most: what a question may have to do first."""

WINDOW, STEP = 50, 25
"""Words of a window of a chunk, which are about three sentences, and words from one to the next."""
WINDOWS_SEEN = 4
"""So many times as many windows are looked at as chunks are asked for, since several are of one chunk."""
SHORTEST_CORRECTED = 4
LONG_WORD = 8
"""Letters of a word from which on two slips may be in it, not one."""


class Words(Protocol):
    """What is asked about the words of a library, wherever they are counted."""

    def corrected(self, question: str) -> str:
        """The question without its slips."""

    def has(self, word: str) -> bool:
        """Whether some chunk has a word, as `surfaces` gives it, in any form of it."""

    def rankings(self, question: str, most: int, scope: Collection[str] = ()) -> tuple[list[str], list[str]]:
        """The `most` row ids that match best as wholes, and those that do by their best part."""


class _Part:
    """An index of tantivy in memory: texts of rows, ranked by BM25."""

    def __init__(self) -> None:
        import tantivy

        self._schema = (
            tantivy.SchemaBuilder()
            .add_text_field("row", stored=True, tokenizer_name="raw", index_option="basic")
            .add_text_field("source", tokenizer_name="raw", index_option="basic")
            .add_text_field("stems", tokenizer_name="whitespace", index_option="freq")
            .add_text_field("spellings", tokenizer_name="whitespace", index_option="basic")
            .build()
        )
        self._index = tantivy.Index(self._schema)
        self.writer = self._index.writer(WRITER_BYTES, 1)

    def add(self, row: str, source: str, stems: Iterable[str], spellings: Iterable[str] = ()) -> None:
        import tantivy

        document = tantivy.Document()
        document.add_text("row", row)
        document.add_text("source", source)
        document.add_text("stems", " ".join(stems))
        document.add_text("spellings", " ".join(spellings))
        self.writer.add_document(document)

    def now(self) -> Searcher:
        """What is committed, which stays as it is."""
        self._index.reload()
        return self._index.searcher()

    def has(self, stem: str) -> Query:
        """What has a word."""
        from tantivy import Query

        return Query.term_query(self._schema, "stems", stem, "freq")

    def rank(self, searcher: Searcher, stems: Mapping[str, int], most: int, scope: Collection[str]) -> list[Hit]:
        """The `most` rows that have the words best, of the sources in `scope`, if any."""
        from tantivy import Occur, Query

        if not stems or most < 1:
            return []
        words = [(Occur.Should, Query.boost_query(self.has(word), float(times))) for word, times in stems.items()]
        query = Query.boolean_query(words)
        if scope:
            among = Query.const_score_query(Query.term_set_query(self._schema, "source", list(scope)), 0.0)
            query = Query.boolean_query([(Occur.Must, query), (Occur.Must, among)])
        hits = searcher.search(query, most, count=False).hits
        return [(searcher.doc(place)["row"][0], score) for score, place in hits]


@dataclass(frozen=True)
class _State:
    """What one question sees. `spelled`: words by first letter and length, read as slips ask for them."""

    chunks: Searcher
    windows: Searcher
    spelled: dict[str, dict[int, list[str]]] = field(default_factory=dict)

    def spellings(self, letter: str, lengths: Iterable[int]) -> Iterator[str]:
        """The words of chunks that begin with a letter and have one of these lengths."""
        if letter not in self.spelled:
            found: dict[int, list[str]] = {}
            for word, _ in self.chunks.terms_with_prefix("spellings", letter):
                found.setdefault(len(word), []).append(word)
            self.spelled[letter] = found
        return chain.from_iterable(self.spelled[letter].get(length, ()) for length in lengths)


class LexicalIndex:
    """BM25 over the chunks of all sources, and over windows of them. Every method may be called from any thread.

    To write a change costs as much for a few chunks as for many: small ones wait for the next question, or for more.
    """

    def __init__(self) -> None:
        english_words()  # now, and not at the first question
        self._chunks, self._windows = _Part(), _Part()
        self._changing = threading.Lock()
        self._waiting: dict[str, list[tuple[str, str]]] = {}
        self._written = _State(self._chunks.now(), self._windows.now())

    def __len__(self) -> int:
        """Chunks that can be found."""
        return self._state.chunks.num_docs

    @property
    def _state(self) -> _State:
        if self._waiting:
            with self._changing:
                self._write_waiting()
        return self._written

    def replace(self, source: str, rows: Iterable[tuple[str, str]]) -> None:
        """A source is now these (row id, text), and what it was before is not found any more."""
        with self._changing:
            self._waiting[source] = list(rows)
            if sum(map(len, self._waiting.values())) >= MOST_WAITING:
                self._write_waiting()

    def remove(self, source: str) -> None:
        """A source is not found any more."""
        self.replace(source, ())

    def fill(self, rows: Iterable[tuple[str, str, str]], gone: Collection[str] = ()) -> None:
        """Add (row id, source, text), of many sources at once; at the same moment, those `gone` are gone.

        The first of several lines of a text is its heading, which each of its windows has, too.
        """
        with self._changing:
            self._write_waiting()
            self._write(rows, gone)

    def _write_waiting(self) -> None:
        if self._waiting:
            rows = ((row, source, text) for source, rows in self._waiting.items() for row, text in rows)
            self._write(rows, self._waiting)
            self._waiting = {}

    def _write(self, rows: Iterable[tuple[str, str, str]], gone: Iterable[str]) -> None:
        writers = (self._chunks.writer, self._windows.writer)
        try:
            for source in gone:
                for writer in writers:
                    writer.delete_documents_by_term("source", source)
            for row, source, text in rows:
                first, line_break, rest = text.partition("\n")
                head, body = [list(surfaces(part)) for part in ((first, rest) if line_break else ("", first))]
                heading, stems = [stem(word) for word in head], [stem(word) for word in body]
                self._chunks.add(row, source, heading + stems, dict.fromkeys(head + body))
                for start in range(0, max(1, len(stems) - STEP), STEP):
                    self._windows.add(row, source, heading + stems[start : start + WINDOW])
            for writer in writers:
                writer.commit()
        except BaseException:
            for writer in writers:
                writer.rollback()
            raise
        self._written = _State(self._chunks.now(), self._windows.now())

    def search(self, question: str, most: int, scope: Collection[str] = ()) -> list[Hit]:
        """The `most` row ids that match best, with their scores, best first; of the sources in `scope`, if any."""
        return self._chunks.rank(self._state.chunks, told(question), most, scope)

    def rankings(self, question: str, most: int, scope: Collection[str] = ()) -> tuple[list[str], list[str]]:
        """The `most` row ids that match best as wholes, and those that do by their best window."""
        state, asked = self._state, told(question)
        by_window = self._windows.rank(state.windows, asked, WINDOWS_SEEN * most, scope)
        rows = [row for row, _ in self._chunks.rank(state.chunks, asked, most, scope)]
        return rows, list(dict.fromkeys(row for row, _ in by_window))[:most]

    def corrected(self, question: str) -> str:
        """The question with words that no chunk has replaced by the likeliest that some chunk has."""
        state = self._state
        return WORD.sub(lambda found: self._nearest(found[0], state) or found[0], question)

    def has(self, word: str) -> bool:
        """Whether some chunk has a word, as `surfaces` gives it, in any form of it."""
        return self._many(word, self._state.chunks) > 0

    def _nearest(self, given: str, state: _State) -> str:
        """The word that `given` may be a slip of; empty where it is known, or nothing is near."""
        word = fold(given)
        if len(word) < SHORTEST_CORRECTED or not word.isalpha():
            return ""
        if word in english_words() or self._many(word, state.chunks):
            return ""
        slips = 1 if len(word) < LONG_WORD else 2
        letters = dict.fromkeys(word[:2])  # slips in the first letter are rare, but for two letters that changed places
        lengths = range(len(word) - slips, len(word) + slips + 1)
        near = [one for letter in letters for one in state.spellings(letter, lengths)]
        found = process.extract(word, near, scorer=OSA.distance, score_cutoff=slips, limit=50)
        likely = [(distance, -self._many(one, state.chunks), one) for one, distance, _ in found]
        return next((one for _, many, one in sorted(likely) if many), "")

    def _many(self, word: str, searcher: Searcher) -> int:
        """In how many chunks a word occurs, in any form of it; `doc_freq` would count chunks that are gone, too."""
        return int(searcher.search(self._chunks.has(stem(word)), 1).count)  # type: ignore[attr-defined]  # not in stubs


def told(question: str) -> Counter[str]:
    """The stems that tell what a question is about, and how often each is asked for."""
    asked = list(surfaces(question))
    return Counter(stem(word) for word in asked if word not in FUNCTION_WORDS) or Counter(map(stem, asked))
