"""Words -> chunks: BM25 over what questions may see, on disk, in step with the database by the number of its changes.

tantivy counts and ranks; what a word is, is told here. One commit takes a change of any number of chunks, and a
question reads the state that it began with and waits for nobody. Texts stay in the database. The folder is derived from
it: where it does not open, or is of another library, it is deleted and written again.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from rapidfuzz import process
from rapidfuzz.distance import OSA

from rag.errors import store_error
from rag.text.detect import part_language, question_language
from rag.text.language import ENGLISH, WORD, common_words, fold, stem, surfaces, word_frequencies

if TYPE_CHECKING:
    from tantivy import IndexWriter, Query, Searcher

log = logging.getLogger(__name__)

Hit = tuple[str, float]
"""A chunk's id and its score."""

Place = tuple[int, int]
"""Where a chunk or window is in one state of a tantivy index: its segment, and its number there."""

FORMAT = 5
"""Version of the folder's contents; a folder of another version is deleted and written again."""
STATE = "state.json"
WRITER_BYTES = 15_000_000
"""Of tantivy's buffer, the least it takes."""
WINDOW, STEP = 50, 25
"""Words of a window of a chunk, which are about three sentences, and words from one to the next."""
WINDOWS_SEEN = 4
"""Fetch four windows for each chunk wanted: one chunk has several windows."""
KEPT = 8192
"""Chunks, windows, and words with their number of chunks, that are remembered of one state of the index."""
SHORTEST_CORRECTED = 4
LONG_WORD = 8
"""Letters of a word from which on two slips may be in it, not one."""


class _Part:
    """An index of tantivy in a folder: texts of chunks, ranked by BM25."""

    def __init__(self, folder: Path) -> None:
        import tantivy

        self._schema = (
            tantivy.SchemaBuilder()
            .add_text_field("row", stored=True, tokenizer_name="raw", index_option="basic")
            .add_text_field("revision", tokenizer_name="raw", index_option="basic")
            .add_text_field("source", tokenizer_name="raw", index_option="basic")
            .add_text_field("stems", tokenizer_name="whitespace", index_option="freq")
            .add_text_field("spellings", tokenizer_name="whitespace", index_option="basic")
            .build()
        )
        folder.mkdir(parents=True, exist_ok=True)
        self._index = tantivy.Index(self._schema, path=str(folder), reuse=True)

    def writer(self) -> IndexWriter:
        """What writes to the index; it holds a lock on the folder until `wait_merging_threads` is through."""
        return self._index.writer(WRITER_BYTES, 1)

    def add(self, writer: IndexWriter, row: Row, stems: Iterable[str], spellings: Iterable[str] = ()) -> None:
        import tantivy

        document = tantivy.Document()
        document.add_text("row", row.id)
        document.add_text("revision", row.revision)
        document.add_text("source", row.source)
        document.add_text("stems", " ".join(stems))
        document.add_text("spellings", " ".join(spellings))
        writer.add_document(document)

    def now(self) -> Searcher:
        """The state that is committed now; later commits do not change it."""
        self._index.reload()
        return self._index.searcher()

    def has(self, stem: str) -> Query:
        """The query for all that has a word."""
        from tantivy import Query

        return Query.term_query(self._schema, "stems", stem, "freq")

    def has_any(self, stems: Collection[str]) -> Query:
        """The query for all that has one of the words."""
        from tantivy import Occur, Query

        return Query.boolean_query([(Occur.Should, self.has(each)) for each in stems])

    def rank(
        self, searcher: Searcher, known: dict[Place, str], stems: Mapping[str, int], most: int, scope: Collection[str]
    ) -> Iterator[Hit]:
        """The `most` chunks that have the words best, best first, of the sources in `scope`, if any.

        `known` are chunks of that searcher by their place: to read one from its documents takes 2 microseconds.
        """
        from tantivy import Occur, Query

        if not stems or most < 1:
            return
        words = [(Occur.Should, Query.boost_query(self.has(word), float(times))) for word, times in stems.items()]
        query = Query.boolean_query(words)
        if scope:
            among = Query.const_score_query(Query.term_set_query(self._schema, "source", list(scope)), 0.0)
            query = Query.boolean_query([(Occur.Must, query), (Occur.Must, among)])
        if len(known) > KEPT:
            known.clear()
        for score, place in searcher.search(query, most, count=False).hits:
            row = known.get(key := (place.segment_ord, place.doc))
            if row is None:
                row = known[key] = searcher.doc(place)["row"][0]
            yield row, score


@dataclass(frozen=True)
class Row:
    """A chunk as it is indexed: its id, revision and source, the text that is embedded for it, and its language.

    The first of several lines of the text is its heading, which each of its windows has, too. The language is that of
    its source, one or several codes of `rag.text.detect`, of which the chunk has one; "" counts as English.
    """

    id: str
    revision: str
    source: str
    text: str
    language: str = ""


class Words:
    """One state of the index: what a question sees, whatever is written meanwhile."""

    def __init__(
        self, parts: tuple[_Part, _Part], chunks: Searcher, windows: Searcher, languages: frozenset[str]
    ) -> None:
        self.languages = languages
        """The languages of the chunks, English among them."""
        self._chunks, self._windows = parts
        self._seen, self._seen_windows = chunks, windows
        self._spelled: dict[str, dict[int, list[str]]] = {}
        """Words by first letter and length, read when a slip asks for them."""
        self._rows: dict[Place, str] = {}
        self._window_rows: dict[Place, str] = {}
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        """Chunks that can be found."""
        return self._seen.num_docs

    def revisions(self) -> list[tuple[str, int]]:
        """The revisions that rows are of, or were of not long ago, with their number of rows."""
        return list(self._seen.terms_with_prefix("revision", ""))

    def search(self, question: str, most: int, scope: Collection[str] = ()) -> list[Hit]:
        """The `most` chunk ids that match best, with their scores, best first; of the sources in `scope`, if any."""
        return list(self._chunks.rank(self._seen, self._rows, told(question, self.languages), most, scope))

    def rankings(self, question: str, most: int, scope: Collection[str] = ()) -> tuple[list[str], list[str]]:
        """The `most` chunk ids that match best as wholes, and those that do by their best window."""
        asked = told(question, self.languages)
        by_window: dict[str, None] = {}
        for row, _ in self._windows.rank(self._seen_windows, self._window_rows, asked, WINDOWS_SEEN * most, scope):
            by_window[row] = None
            if len(by_window) == most:
                break
        return [row for row, _ in self._chunks.rank(self._seen, self._rows, asked, most, scope)], list(by_window)

    def corrected(self, question: str) -> str:
        """The question with words that no chunk has replaced by the likeliest that some chunk has."""
        return WORD.sub(lambda found: self._nearest(found[0]) or found[0], question)

    def has(self, word: str) -> bool:
        """Whether some chunk has a word, as `surfaces` gives it, in any form of it."""
        return self._many(word) > 0

    def _nearest(self, given: str) -> str:
        """The word that `given` may be a slip of; empty where it is known, or nothing is near."""
        word = fold(given)
        if len(word) < SHORTEST_CORRECTED or not word.isalpha():
            return ""
        if any(word in word_frequencies(language) for language in self.languages) or self._many(word):
            return ""
        slips = 1 if len(word) < LONG_WORD else 2
        letters = dict.fromkeys(word[:2])  # slips in the first letter are rare, but for two letters that changed places
        lengths = range(len(word) - slips, len(word) + slips + 1)
        near = [one for letter in letters for one in self._spellings(letter, lengths)]
        found = process.extract(word, near, scorer=OSA.distance, score_cutoff=slips, limit=50)
        likely = [(distance, -self._many(one), one) for one, distance, _ in found]
        return next((one for _, many, one in sorted(likely) if many), "")

    def _many(self, word: str) -> int:
        """In how many chunks a word occurs, in any form of it; `doc_freq` would count chunks that are gone, too."""
        many = self._counts.get(word)
        if many is None:
            stems = {stem(word, language) for language in self.languages}
            many = int(self._seen.search(self._chunks.has_any(stems), 1).count)  # type: ignore[attr-defined]
            if len(self._counts) >= KEPT:
                self._counts.clear()
            self._counts[word] = many
        return many

    def _spellings(self, letter: str, lengths: Iterable[int]) -> Iterator[str]:
        """The words of chunks that begin with a letter and have one of these lengths."""
        if letter not in self._spelled:
            found: dict[int, list[str]] = {}
            for word, _ in self._seen.terms_with_prefix("spellings", letter):
                found.setdefault(len(word), []).append(word)
            self._spelled[letter] = found
        return chain.from_iterable(self._spelled[letter].get(length, ()) for length in lengths)


class WordIndex:
    """BM25 over the chunks of all sources, and over windows of them, in a folder."""

    def __init__(self, folder: Path, library: str) -> None:
        """`library` is the database's id. A folder of another one, or one that does not open, begins empty.

        Raises:
            StoreError: the folder cannot be written to.
        """
        self.number = -1
        """The change in the database that the index has been brought to; -1: it is empty."""
        self._folder, self._library = folder, library
        self._languages = {ENGLISH}
        """The languages of the chunks, and perhaps of some that are gone."""
        self.parts: tuple[_Part, _Part]
        try:
            try:
                state = json.loads((folder / STATE).read_text(encoding="utf-8"))
                if (state["format"], state["library"]) != (FORMAT, library):
                    raise ValueError("of another library")
                self._open()
                self.number = int(state["number"])
                self._languages = {ENGLISH, *state["languages"]}
            except (OSError, ValueError, KeyError, TypeError) as error:
                if folder.exists():
                    log.info("the index of words in %s is written again (%s)", folder, error)
                    shutil.rmtree(folder)
                self._open()
        except (OSError, ValueError) as error:
            raise store_error(error) from error
        self.words = self._state()

    def _open(self) -> None:
        self.parts = _Part(self._folder / "chunks"), _Part(self._folder / "windows")

    def _state(self) -> Words:
        chunks, windows = self.parts
        return Words(self.parts, chunks.now(), windows.now(), frozenset(self._languages))

    def apply(self, number: int, removed: Iterable[str], added: Iterable[Row]) -> None:
        """Bring the index to a change in the database, in one commit: these revisions are gone, these rows are there.

        Raises:
            StoreError: they cannot be written; the index stays as it was.
        """
        writers: list[IndexWriter] = []
        try:
            writers += [part.writer() for part in self.parts]
            for revision in removed:
                for writer in writers:
                    writer.delete_documents_by_term("revision", revision)
            written: set[str] = set()
            for row in added:
                if row.revision not in written:  # an attempt that failed or was killed may have left its rows
                    written.add(row.revision)
                    for writer in writers:
                        writer.delete_documents_by_term("revision", row.revision)
                self._add(writers, row)
            for writer in reversed(writers):  # chunks last: `revisions` tells by them what both parts have
                writer.commit()
            self._write_state(number)
        except BaseException as error:
            for writer in writers:
                writer.rollback()
            if isinstance(error, (OSError, ValueError)):
                raise store_error(error) from error
            raise
        finally:
            for writer in writers:
                writer.wait_merging_threads()
        self.number, self.words = number, self._state()

    def revisions(self) -> set[str]:
        """The revisions that the index has, and some that are gone."""
        return {str(revision) for revision, _ in self.words.revisions()}

    def _add(self, writers: list[IndexWriter], row: Row) -> None:
        chunks, windows = self.parts
        first, line_break, rest = row.text.partition("\n")
        head, body = [list(surfaces(part)) for part in ((first, rest) if line_break else ("", first))]
        language = part_language(rest or first, row.language)
        self._languages.add(language)
        heading, stems = ([stem(word, language) for word in words] for words in (head, body))
        chunks.add(writers[0], row, heading + stems, dict.fromkeys(head + body))
        for start in range(0, max(1, len(stems) - STEP), STEP):
            windows.add(writers[1], row, heading + stems[start : start + WINDOW])

    def _write_state(self, number: int) -> None:
        part = self._folder / f"{STATE}.part"
        state = {"format": FORMAT, "library": self._library, "number": number, "languages": sorted(self._languages)}
        part.write_text(json.dumps(state), encoding="utf-8")
        os.replace(part, self._folder / STATE)


def told(question: str, languages: Collection[str] = (ENGLISH,)) -> Counter[str]:
    """The stems that tell what a question is about, and how often each is asked for.

    `languages` are those of the chunks: a word has a stem for each of them.
    """
    asked = list(surfaces(question))
    common = common_words(question_language(question, languages))
    asked = [word for word in asked if word not in common] or asked
    found: Counter[str] = Counter()
    for word, times in Counter(asked).items():
        for root in {stem(word, language) for language in languages}:
            found[root] += times
    return found
