"""Chunks by meaning: one Chroma collection for an index, which is derived from the vectors in the database.

A revision's rows are written before questions see the revision, and deleted a moment after they do not; `hidden` keeps
the others out of an answer. While a collection is being filled again, the stored vectors are searched one by one.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rag.errors import StoreError
from rag.library.chroma import PAGE, ChromaHome, chroma_error
from rag.library.exact import SAME_TEXT
from rag.library.revisions import Revisions, Vector, split_id
from rag.text.vectors import at_length_one

if TYPE_CHECKING:
    import chromadb
    from chromadb.api import ClientAPI
    from langchain_chroma import Chroma

SYNC_THRESHOLD = 10_000
"""Rows between two writes of Chroma's HNSW files, the only moments that kill -9 damages; before, rows are in a log."""
GRAPH: dict[str, Any] = {"max_neighbors": 32, "ef_construction": 200, "ef_search": 200}
"""Twice Chroma's own numbers. With those, 0 to 3 of 3041 chunks of 50 articles could not be found even by their own
vector, others at every start, and 99.8 % of the ten nearest were right; with these none and 99.99 %, no slower."""
AT_ONCE = 256
"""Rows that are written to Chroma's folder in one call: every thread is held up meanwhile, 0.1 to 0.4 s. A call costs
10 microseconds more for each row since its files were written, so fewer take longer."""
MOST_WAITING = 2048
"""Rows that wait at most until nothing else is to be done: sources are searched before Chroma has them."""
LEAST_ASKED = 20
"""Rows that are asked for at least: in fewer of them it does not show that they all say the same."""
SPARE = 100
"""Rows asked for beyond those wanted, while there are rows that questions may not see."""


def prefix_of(library: str) -> str:
    """How the names of a library's collections begin."""
    return f"rag-{library[:12]}-"


def collection_name(library: str, index: int, embeddings: str) -> str:
    """The collection of an index, in Chroma's characters `[a-zA-Z0-9._-]`."""
    readable = re.sub(r"[^a-zA-Z0-9._-]+", "-", embeddings)[:80].strip("-._")
    return f"{prefix_of(library)}{index}-{readable}"


VectorRow = tuple[str, str, str, Vector]
"""Chunk id, source, digest, vector."""


class _Opened(NamedTuple):
    client: ClientAPI
    chroma: Chroma
    """Searches the collection."""
    collection: chromadb.Collection
    """Is written to."""


class VectorIndex:
    """The collection of one index. Every method may be called from any thread."""

    def __init__(self, home: ChromaHome, revisions: Revisions, name: str, index: int, model: int) -> None:
        self.filling = True
        """Whether rows are missing, or it is not open yet, so that the stored vectors are searched instead."""
        self.name = name
        self._home, self._revisions = home, revisions
        self._index, self._model = index, model
        self._waiting: list[VectorRow] = []
        self._writing = threading.Lock()
        self._opened: _Opened | None = None
        self._opening = threading.Lock()
        self._missed = False
        """Whether a change came while the collection was not open, so that its rows are not those of the database."""

    def open(self) -> None:
        """Open the collection in Chroma, which is open, or make it.

        Raises:
            StoreError: Chroma failed; says what to do.
        """
        opened = self._open()
        with self._opening:  # from here on changes go into it
            self._opened = opened
            missed, self._missed = self._missed, False
        there, wanted = _count(opened.collection), self._revisions.count(self._index)
        if self._home.url:  # another replica may be writing
            self.filling = missed or there < wanted
        else:
            self.filling = missed or there != wanted or (there > 0 and not self._home.trusted)

    def _open(self) -> _Opened:
        from langchain_chroma import Chroma

        configuration: Any = {"hnsw": {"space": "cosine", "sync_threshold": SYNC_THRESHOLD, **GRAPH}}
        try:
            client = self._home.client
            chroma = Chroma(self.name, client=client, collection_configuration=configuration)
            return _Opened(client, chroma, client.get_collection(self.name))
        except BaseException as error:
            raise chroma_error(error) from error

    def _now_open(self) -> _Opened | None:
        """None while it is not open, or was opened with a client that is closed meanwhile."""
        opened = self._opened
        return opened if opened and self._home.has_open(opened.client) else None

    def _to_change(self) -> chromadb.Collection | None:
        """The collection; None where it is not open, and is filled from the database once it is."""
        with self._opening:
            if opened := self._now_open():
                return opened.collection
            self._missed = True
            return None

    # -- writing -------------------------------------------------------------------------------------------------

    def add(self, rows: Sequence[VectorRow], *, wait: bool) -> None:
        """Write rows. `wait`: keep them back until there are `MOST_WAITING`, as no question looks here now."""
        with self._writing:
            self._waiting += rows
        if not wait or len(self._waiting) >= MOST_WAITING:
            self.write_waiting()

    def write_waiting(self) -> None:
        """Write the rows that wait; they go on waiting where Chroma fails."""
        while self._waiting:
            with self._writing:  # not for all of them: a revision may be deleted meanwhile
                self._write(self._waiting[: self._at_once])
                self._waiting = self._waiting[self._at_once :]

    @property
    def _at_once(self) -> int:
        """Rows in one call."""
        return PAGE if self._home.url else AT_ONCE

    def _write(self, rows: Sequence[VectorRow]) -> None:
        if not rows or (collection := self._to_change()) is None:
            return
        try:
            for start in range(0, len(rows), self._at_once):
                page = rows[start : start + self._at_once]
                collection.upsert(
                    ids=[row[0] for row in page],
                    embeddings=np.stack([row[3] for row in page]),
                    documents=[""] * len(page),  # texts are in the database; LangChain passes rows without one over
                    metadatas=[{"revision": split_id(row[0])[0], "source": row[1], "digest": row[2]} for row in page],
                )
        except BaseException as error:
            self._drop()
            raise chroma_error(error) from error

    def _drop(self) -> None:
        """Let go of a folder whose disk refused a write: after it, another write may never come back (Chroma 1.5)."""
        if not self._home.url:
            self.filling = True
            self._home.drop()

    def delete(self, revision: str) -> None:
        """Delete the rows of a revision."""
        with self._writing:
            self._waiting = [row for row in self._waiting if split_id(row[0])[0] != revision]
        if (collection := self._to_change()) is None:
            return
        try:
            collection.delete(where={"revision": revision})
        except BaseException as error:
            self._drop()
            raise chroma_error(error) from error

    def fill(self, number: int, tell: Callable[[int, int], None], cancelled: Callable[[], bool]) -> None:
        """Make the rows those of the database at change `number`: add what is missing, delete what it does not know.

        The caller sets `filling` to False once nothing has changed meanwhile. `tell` gets the rows done and to do.
        Nothing is embedded.

        Raises:
            StoreError: Chroma failed, or is not open.
        """
        total, done = self._revisions.count(self._index), 0
        self.write_waiting()
        if (collection := self._to_change()) is None:
            raise StoreError("The index of vectors is not open. It is opened and filled again in a moment.")
        there = _ids(collection)
        for page in self._revisions.seen_vectors(self._index, self._model, number):
            if cancelled():
                return
            self._write([row for row in page if row[0] not in there])
            done += len(page)
            tell(done, total)
        for revision in {split_id(row)[0] for row in there} - self._revisions.revisions_of(self._index):
            self.delete(revision)

    # -- searching -----------------------------------------------------------------------------------------------

    def nearest(
        self, vector: Any, most: int, *, number: int, hidden: Collection[str], scope: Collection[str], there: int
    ) -> list[str]:
        """The ids of the `most` chunks nearest to a vector, nearest first, none of a `hidden` revision.

        `scope`: of these sources only, if any is given. `there`: chunks that questions see in them at `number`.

        Chroma's graph has two blind spots. A thousand rows of one and the same vector (one text again and again) are
        linked with each other alone: where one text is found often, others are asked for beside it. And where fewer
        rows come than there are, a small number of them is looked at one by one.
        """
        if self.filling or self._now_open() is None:
            return self._one_by_one(vector, most, number, scope)
        if self._waiting:
            self.write_waiting()
        limits: list[dict[str, Any]] = [{"source": {"$in": list(scope)}}] if scope else []
        found = self._seen(vector, max(most, LEAST_ASKED), limits, hidden)
        if hidden and len(found) < most and len(found) < there:
            limits.append({"revision": {"$nin": sorted(hidden)}})  # Chroma reads every row for this
            found = self._seen(vector, max(most, LEAST_ASKED), limits, ())
        times = Counter(digest for _, _, digest in found)
        if often := sorted(digest for digest, count in times.items() if count > SAME_TEXT):
            found = self._beside(vector, max(most, LEAST_ASKED), limits, found, often, hidden)
        elif len(found) < most and len(found) < there <= PAGE:
            return self._one_by_one(vector, most, number, scope)
        return [row for _, row, _ in found[:most]]

    def _seen(
        self, vector: Any, count: int, limits: list[dict[str, Any]], hidden: Collection[str]
    ) -> list[tuple[float, str, str]]:
        """(distance, chunk id, digest) of the nearest rows, nearest first, without those of `hidden` revisions."""
        where: Any = {"$and": limits} if len(limits) > 1 else limits[0] if limits else None
        assert self._opened is not None
        try:
            got = self._opened.chroma.similarity_search_by_vector_with_relevance_scores(
                [float(value) for value in vector], count + (SPARE if hidden else 0), where
            )
        except BaseException as error:
            raise chroma_error(error) from error
        found = [(distance, str(chunk.id), str(chunk.metadata.get("digest"))) for chunk, distance in got]
        return [one for one in found if split_id(one[1])[0] not in hidden][:count]

    def _beside(
        self,
        vector: Any,
        count: int,
        limits: list[dict[str, Any]],
        found: list[tuple[float, str, str]],
        often: list[str],
        hidden: Collection[str],
    ) -> list[tuple[float, str, str]]:
        """What was found, with the repetitions of texts found often after other texts."""
        kept: Counter[str] = Counter()
        first: list[tuple[float, str, str]] = []
        again: list[tuple[float, str, str]] = []
        for one in found:
            kept[one[2]] += 1
            (first if kept[one[2]] <= SAME_TEXT else again).append(one)
        known = {row for _, row, _ in found}
        others = self._seen(vector, count, [*limits, {"digest": {"$nin": often}}], hidden)
        return [*sorted([*first, *(one for one in others if one[1] not in known)]), *again]

    def _one_by_one(self, vector: Any, most: int, number: int, scope: Collection[str]) -> list[str]:
        """The nearest by the vectors in the database, each looked at."""
        asked = at_length_one(vector)
        best: list[tuple[float, str]] = []  # cosine distance, chunk id
        for page in self._revisions.seen_vectors(self._index, self._model, number, scope):
            nearness = at_length_one(np.stack([each for *_, each in page])) @ asked
            best += [(1 - float(value), page[place][0]) for place, value in enumerate(nearness)]
            best = sorted(best)[:most]
        return [row for _, row in best]


def _count(collection: chromadb.Collection) -> int:
    try:
        return int(collection.count())
    except BaseException as error:
        raise chroma_error(error) from error


def _ids(collection: chromadb.Collection) -> set[str]:
    found: set[str] = set()
    try:
        for offset in range(0, _count(collection), PAGE):
            found |= set(collection.get(include=[], limit=PAGE, offset=offset)["ids"])
    except BaseException as error:
        raise chroma_error(error) from error
    return found
