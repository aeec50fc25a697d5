"""One index: what questions see of a library that is embedded with one model and split in one way.

It joins the database with what is derived from it: the collection of vectors in Chroma, and the index of words. Each
change in the database has a number; `follow` brings the index to the last one in a single step. `IndexWriter` writes.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from rag.library.chroma import ChromaHome
from rag.library.exact import ExactVectors
from rag.library.records import Record, Records, indexed
from rag.library.revisions import PAGE, Changes, IndexedSource, Made
from rag.library.vectors import VectorIndex, collection_name
from rag.library.words import WordIndex, Words
from rag.library.words_behind import WordsBehind
from rag.models.encoded import EncodedEmbeddings
from rag.text.vectors import at_length_one

EXACT_MOST = 20_000
"""Chunks up to which the vectors are held in memory and all compared, where no Chroma server is asked for: 30 MB."""
KEPT_CHUNKS = 4096
"""Chunks, those found last, that stay in memory, some 2 kB each."""
BESIDE = 32
"""Searches of Chroma at once, at most; each has a thread that is made when it is needed."""
TRIES = 5
"""Searches of one question, at most, while the library changes beneath them."""


@dataclass(frozen=True)
class Seen:
    """What a question sees: the state of the library at a change."""

    number: int
    sources: dict[str, IndexedSource]
    hidden: frozenset[str]
    words: Words

    @cached_property
    def chunks(self) -> int:
        """Chunks in all of them."""
        return sum(item.chunks for item in self.sources.values())

    @cached_property
    def revisions(self) -> frozenset[str]:
        """Those whose chunks can be found."""
        return frozenset(item.revision for item in self.sources.values())


@dataclass(frozen=True)
class Candidates:
    """What was found for a question: chunk ids ranked in three ways, best first, and those that were read, by id."""

    by_meaning: list[str]
    by_words: list[str]
    by_windows: list[str]
    chunks: dict[str, Document]


class SearchIndex:
    """Searches one index and keeps it in step with the database. Every method may be called from any thread."""

    def __init__(
        self, records: Records, home: ChromaHome, made: Made, weights: str, embeddings: Embeddings, address: str
    ) -> None:
        """`weights` tell one version of the embedding model from another, `address` is where it runs.

        Raises:
            StoreError: the database or the disk failed; says what to do.
        """
        self.made, self.weights, self.embeddings = made, weights, embeddings
        self.engine = (made.embeddings, address)
        """The embedding model and where it runs, for the texts of errors."""
        self.records = records
        self.data_folder = home.path.parent
        """Where the library's files are; what is written of a source needs room on this disk."""
        beside_weights = embeddings.folder if isinstance(embeddings, EncodedEmbeddings) else None
        self.folder = beside_weights or self.data_folder
        """Where to keep what is computed from the embedding model alone: in the cache, beside weights of the app's own,
        so that no other library computes it again."""
        self.id, self.model = records.revisions.index_of(made, weights)
        self._own_chroma = records.database.shared and not home.url
        """Whether other processes write to the database, and not to this process's Chroma."""
        self._on_server = bool(home.url)
        self.writing: set[str] = set()
        """Revisions that this process is writing; its Chroma has their rows."""
        self._changing = threading.RLock()
        library = str(records.database.setting("library"))
        self.vectors = VectorIndex(
            home, records.revisions, collection_name(library, self.id, made.embeddings), self.id, self.model
        )
        self._exact = ExactVectors(records.revisions, self.id, self.model)
        self._kept: OrderedDict[str, Document] = OrderedDict()
        self._keeping = threading.Lock()
        self._beside = ThreadPoolExecutor(BESIDE, thread_name_prefix="nearest")
        """Searches Chroma while the words are searched: both let other threads run."""
        self._words = WordsBehind(WordIndex(self.data_folder / "words" / str(self.id), library), records.revisions)
        self.seen = Seen(-1, {}, frozenset(), self._words.words)
        """What questions see now. Its words may lack small changes until `settled` writes them."""
        self.follow()

    def open_vectors(self) -> None:
        """Open the collection in Chroma, once Chroma is open; until then the stored vectors are searched.

        Raises:
            StoreError: Chroma failed; says what to do.
        """
        with self._changing:
            self.vectors.open()

    # -- what is seen --------------------------------------------------------------------------------------------

    @property
    def words(self) -> Words:
        """The words of what questions see."""
        return self.settled().words

    @property
    def sources(self) -> list[IndexedSource]:
        """The sources that answers can be drawn from."""
        return list(self.seen.sources.values())

    @property
    def chunks(self) -> int:
        """Chunks that answers can be drawn from."""
        return self.seen.chunks

    @property
    def holds_vectors(self) -> bool:
        """Whether vectors are in memory and all compared, so that questions need no Chroma; never with a server."""
        return self._fits(self.seen)

    def _fits(self, seen: Seen) -> bool:
        return seen.chunks <= EXACT_MOST and not self._on_server

    def source(self, name: str) -> IndexedSource | None:
        """One of them, if it is there."""
        return self.seen.sources.get(name)

    def follow(self, known: Changes | None = None) -> None:
        """Bring what questions see to the last change in the database; `known` are all since the one that they see."""
        with self._changing:
            seen = self.seen
            changes = known or self.records.revisions.changes(self.id, seen.number)
            if changes.number == seen.number and changes.hidden == seen.hidden:
                return
            gone = set(changes.removed)
            sources = {name: item for name, item in seen.sources.items() if item.revision not in gone}
            sources |= {item.source: item for item in changes.added}
            first = seen.number < 0
            if first:
                self._words.catch_up(changes.number, sources)
            else:
                self._words.note(changes.number, gone, changes.added)
            follow = self._own_chroma and not first and not self.vectors.filling
            for item in changes.added if follow else ():
                if item.revision not in self.writing:
                    self._take_rows(item)
            self.seen = Seen(changes.number, sources, changes.hidden, self._words.words)
            for revision in gone if follow else ():
                self.vectors.delete(revision)

    def _take_rows(self, item: IndexedSource) -> None:
        """Write to this process's Chroma what another process has added."""
        chunks = self.records.revisions.chunks_of(item.revision)
        for start in range(0, len(chunks), PAGE):
            page = [(str(chunk.id), str(chunk.metadata["digest"])) for chunk in chunks[start : start + PAGE]]
            vectors = self.records.revisions.vectors(self.model, [digest for _, digest in page])
            self.vectors.add(
                [(row, item.source, digest, vectors[digest]) for row, digest in page], wait=self.holds_vectors
            )

    def settled(self) -> Seen:
        """What questions see now, once the small changes of its words that waited are written."""
        if self._words.waits:
            with self._changing:
                self._words.write(self.seen.number)
                self.seen = replace(self.seen, words=self._words.words)
        return self.seen

    # -- searching -----------------------------------------------------------------------------------------------

    def candidates(
        self,
        asked: str,
        vector: Any,
        most: int,
        scope: Collection[str],
        choose: Callable[[Sequence[Sequence[str]]], Iterable[str]],
    ) -> Candidates:
        """The `most` chunks that fit best by meaning, by words and by windows of words, all of one state.

        `asked` is the question, `vector` its own; `scope`: of these sources only, if any is given. `choose` tells from
        the three rankings of chunk ids which chunks to read.

        Raises:
            StoreError: the database or Chroma failed.
        """
        for attempt in range(TRIES):
            seen = self.settled()
            ranked = self._ranked(seen, asked, vector, most, scope)
            visible = seen.revisions
            rankings = [[row for row in each if row.rpartition("-")[0] in visible] for each in ranked]
            wanted = list(dict.fromkeys(choose(rankings)))
            found = self._chunks(wanted, seen.number)
            if self.seen is seen or attempt == TRIES - 1:  # else a version took over, and rows may have been left out
                gone = set(wanted) - found.keys()
                meaning, words, windows = ([row for row in each if row not in gone] for each in rankings)
                return Candidates(meaning, words, windows, found)
        raise AssertionError("the last try returns")

    def _ranked(
        self, seen: Seen, asked: str, vector: Any, most: int, scope: Collection[str]
    ) -> tuple[Sequence[str], ...]:
        if self._fits(seen):  # that takes less than to wake another thread
            return (self._nearest(seen, vector, most, scope), *seen.words.rankings(asked, most, scope))
        nearest = self._beside.submit(self._nearest, seen, vector, most, scope)
        words = seen.words.rankings(asked, most, scope)
        return (nearest.result(), *words)

    def vectors_of(self, chunks: Sequence[Document]) -> Any:
        """The vectors of chunks that were found, a row each of length 1; of length 0 where one is gone meanwhile.

        Raises:
            StoreError: the database failed.
        """
        digests = [str(chunk.metadata["digest"]) for chunk in chunks]
        seen = self.seen
        held = self._exact.at(seen.number, seen.sources.values()).of(digests) if self._fits(seen) else None
        if held is not None:
            return held
        stored = self.records.revisions.vectors(self.model, digests)
        nothing = np.zeros(len(next(iter(stored.values()), ())), np.float32)
        return at_length_one(np.stack([stored.get(digest, nothing) for digest in digests]))

    def _nearest(self, seen: Seen, vector: Any, most: int, scope: Collection[str]) -> list[str]:
        if self._fits(seen):
            return self._exact.at(seen.number, seen.sources.values()).nearest(vector, most, scope)
        there = sum(item.chunks for item in seen.sources.values() if not scope or item.source in scope)
        return self.vectors.nearest(vector, most, number=seen.number, hidden=seen.hidden, scope=scope, there=there)

    def _chunks(self, ids: Sequence[str], number: int) -> dict[str, Document]:
        """The chunks that questions see at a number, by id; from memory if they are there, as a chunk never changes."""
        with self._keeping:
            found = {row: self._kept[row] for row in ids if row in self._kept}
        if missing := [row for row in ids if row not in found]:
            found |= self.records.revisions.passages(missing, number)
        with self._keeping:
            for row, chunk in found.items():
                self._kept[row] = chunk
                self._kept.move_to_end(row)
            while len(self._kept) > KEPT_CHUNKS:
                self._kept.popitem(last=False)
        return found

    # -- changes that this process makes ---------------------------------------------------------------------------

    def hide(self, revision: str) -> None:
        """Leave a revision, which this process is writing, out of every answer."""
        with self._changing:
            self.writing.add(revision)
            self.seen = replace(self.seen, hidden=self.seen.hidden | {revision})

    def show(self, number: int, item: IndexedSource, pieces: Sequence[Document]) -> None:
        """Let questions see a source that the change `number` has added, whole; `pieces` are its chunks."""
        with self._changing:
            seen = self.seen
            if number > seen.number:
                self._words.pieces[item.revision] = pieces
            alone = number == seen.number + 1 and item.source not in seen.sources
            self.follow(Changes(number, [], [item], seen.hidden - {item.revision}) if alone else None)

    def retell(self, record: Record) -> None:
        """Let questions see the new facts of a source (title, notes, time of loading) whose chunks stay the same."""
        with self._changing:
            if item := self.seen.sources.get(record.source):
                told = indexed(record, item.revision, item.chunks)
                self.seen = replace(self.seen, sources=self.seen.sources | {record.source: told})

    def fill(self, tell: Callable[[int, int], None], cancelled: Callable[[], bool]) -> None:
        """Fill the collection of vectors again from the database; questions are answered meanwhile."""
        while not cancelled():
            number = self.seen.number
            self.vectors.fill(number, tell, cancelled)
            with self._changing:
                if self.seen.number == number and not cancelled():  # else something was added or removed meanwhile
                    self.vectors.filling = False
                    return
