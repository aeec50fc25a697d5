"""Split, embed, store: a version of a source becomes searchable whole or not at all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from typing import TypeAlias

import numpy as np
from langchain_core.documents import Document

from rag.errors import EngineError, RagError, SourceError, TextTooLong, engine_error
from rag.library.index import SearchIndex
from rag.library.records import Record
from rag.library.splitter import embedded_text, split_documents, with_digest
from rag.library.uploads import check_space
from rag.library.writer import IndexWriter
from rag.models.ollama_embeddings import OllamaEmbeddings
from rag.text.pace import Pace

Progress = Callable[[str, int, int], None]
"""Called with the source, the chunks done and the chunks there are."""

Vectors = dict[str, list[float]]
"""Vectors by the digest of their chunk."""
VectorsAhead: TypeAlias = "Future[tuple[Ingest, Vectors]]"
"""The vectors that `embed_ahead` is making, with the `Ingest` that makes them: another index has no use for them."""
Embedded = tuple[Document, list[float], Document]
"""A piece, its vector, and the chunk that it is a piece of: most often itself."""

BATCH = 32
"""Chunks embedded in one request, at most: progress is told between two."""
SOON = 1.5
"""Seconds that the vectors of a new source are waited for before its text is stored; the vectors then follow."""
SHORTEST_CHUNK = 8
"""Characters below which a chunk that the embedding model finds too long is not split again."""


class Cancelled(Exception):
    """The app is closing, or the person cancelled."""


class Ingest:
    """Splits, embeds and writes into one index the sources that `Worker` has loaded."""

    def __init__(self, index: SearchIndex) -> None:
        self.index, self.writer = index, IndexWriter(index)
        self.cancelled = threading.Event()

    def stored(self, source: str) -> Record | None:
        """The version that was loaded and is not indexed; else the current one, where this index lacks it."""
        loaded = self.index.records.read(source, "loaded")
        return loaded or (None if self.index.source(source) else self.index.records.read(source))

    def chunks_ahead(self, record: Record) -> list[Document]:
        """All chunks of a source that is new; [] for any other, whose chunks depend on what is indexed at its turn."""
        if self.cancelled.is_set() or self.index.source(record.source):
            return []
        return split_documents(record, self.index.made, None, [])

    def embed_ahead(self, chunks: Sequence[Document]) -> Vectors:
        """The vectors of chunks, `BATCH` at most, of one source or several, computed while another one is written.

        Returns {} where that fails: they are embedded again at the source's own turn, which reports the error.
        """
        try:
            return {piece.metadata["digest"]: vector for piece, vector, _ in self._embed(chunks)}
        except (RagError, Cancelled):
            return {}

    def run(
        self,
        record: Record,
        progress: Progress,
        *,
        chunks: Sequence[Document] = (),
        ahead: VectorsAhead | None = None,
        holder: str = "",
    ) -> int:
        """Index a version. Returns the chunks embedded.

        Nothing is embedded where the current version has the same documents and is indexed.

        There are two ways of writing. A new, small source comes with all of its `chunks` (see `chunks_ahead`); if
        `ahead` has their vectors within `SOON`, it is written in one transaction (`IndexWriter.add`). Any other version
        is first kept in the database as loaded, so that it is not fetched again whatever happens, and then written
        batch by batch (`begin`, `write`, `publish`). `holder`: as `IndexWriter.publish` has it.

        Raises:
            EngineError: the embedding model failed; what was indexed before stays.
            StoreError: it cannot be stored.
            Cancelled: `cancelled` was set.
        """
        records = self.index.records
        before = records.digest(record.source)
        if same := before == record.digest:
            if records.update(record):
                self.index.retell(record)
            if self.index.source(record.source):
                return 0
        check_space(self.index.data_folder)
        if (
            not before
            and chunks
            and (found := _found(chunks, self._given(ahead, SOON)))
            and not self.cancelled.is_set()
        ):
            progress(record.source, 0, len(found))
            vectors = {piece.metadata["digest"]: np.asarray(vector, np.float32) for piece, vector, _ in found}
            if not self.writer.add(record, chunks, vectors, holder):
                raise Cancelled
            progress(record.source, len(found), len(found))
            return len(found)
        old = records.read(record.source) if before and not same else None
        if not same:
            records.write_loaded(record, holder)
        return self._index(record, old, progress, self._given(ahead, None), holder=holder, new=not same)

    def _given(self, ahead: VectorsAhead | None, seconds: float | None) -> Vectors:
        """The vectors of `embed_ahead`; none where they are not there in so many seconds."""
        if ahead is None or not wait([ahead], seconds).done:
            return {}
        ingest, vectors = ahead.result()
        return vectors if ingest is self else {}

    def copy(self, source: str, progress: Progress) -> int:
        """Index the current version of a source that another index has. Returns the chunks embedded.

        Raises:
            RagError: as `run`.
        """
        record = self.index.records.read(source)
        if record is None or self.index.source(source):
            return 0
        check_space(self.index.data_folder)
        return self._index(record, None, progress, {}, new=False)

    def _index(
        self, record: Record, old: Record | None, progress: Progress, ahead: Vectors, *, new: bool, holder: str = ""
    ) -> int:
        """Write a revision, unseen, then let it take over. Returns the chunks embedded."""
        before = self.index.source(record.source)
        current = self.index.records.revisions.chunks_of(before.revision) if before else []
        chunks = split_documents(record, self.index.made, old if before else None, current)
        if not chunks:
            raise SourceError(record.source, "there is no text in it")
        digests = [chunk.metadata["digest"] for chunk in chunks]
        known = self.index.records.revisions.vectors(self.index.model, digests)
        revision = self.writer.begin(record.source)
        progress(record.source, 0, len(chunks))
        embedded = number = 0
        try:
            done, pace = 0, Pace()
            while done < len(chunks):
                if self.cancelled.is_set():
                    raise Cancelled
                texts = [chunk.page_content for chunk in chunks[done : done + BATCH]]
                batch = chunks[done : done + pace.next(texts)]
                fresh = [chunk for chunk in batch if chunk.metadata["digest"] not in known]
                pieces = {id(chunk): [chunk] for chunk in batch}
                pieces |= {id(chunk): [] for chunk in fresh}
                began, found = time.monotonic(), _found(fresh, ahead)
                for piece, vector, chunk in found or self._embed(fresh):
                    pieces[id(chunk)].append(piece)
                    known[piece.metadata["digest"]] = np.asarray(vector, np.float32)
                    embedded += 1
                if fresh and not found:
                    pace.took(texts[: len(batch)], time.monotonic() - began)
                ready = [piece for chunk in batch for piece in pieces[id(chunk)]]
                for piece in ready:
                    piece.metadata["number"] = number
                    number += 1
                self.writer.write(revision, record.source, ready, known)
                done += len(batch)
                progress(record.source, done, len(chunks))
            if not self.writer.publish(revision, record, holder=holder, new=new):
                raise Cancelled
        finally:
            self.writer.end(revision)
        return embedded

    def _embed(self, chunks: Sequence[Document]) -> Iterator[Embedded]:
        """A chunk too long for the model comes in pieces, never cut."""
        if not chunks:
            return
        try:
            vectors = self._vectors([embedded_text(chunk) for chunk in chunks])
        except Cancelled:
            raise
        except TextTooLong:
            if len(chunks) > 1:
                middle = len(chunks) // 2
                yield from self._embed(chunks[:middle])
                yield from self._embed(chunks[middle:])
                return
            for piece in _halves(chunks[0]):
                for smaller, vector, _ in self._embed([piece]):
                    yield smaller, vector, chunks[0]
            return
        except Exception as error:
            raise engine_error(error, *self.index.engine) from error
        if len(vectors) != len(chunks):
            raise EngineError(
                f"{self.index.engine[0]} gave {len(vectors)} vectors for {len(chunks)} texts; nothing was stored."
            )
        yield from zip(chunks, vectors, chunks, strict=True)

    def _vectors(self, texts: list[str]) -> list[list[float]]:
        embeddings = self.index.embeddings
        if not isinstance(embeddings, OllamaEmbeddings):
            return embeddings.embed_documents(texts)
        vectors = embeddings.embed_unless(self.cancelled, texts)
        if vectors is None:
            raise Cancelled
        return vectors


def _found(chunks: Sequence[Document], vectors: Vectors) -> list[Embedded]:
    """The chunks with their vectors, if there is one for each of them."""
    digests = [chunk.metadata["digest"] for chunk in chunks]
    if not vectors.keys() >= set(digests):
        return []
    return [(chunk, vectors[digest], chunk) for chunk, digest in zip(chunks, digests, strict=True)]


def _halves(chunk: Document) -> list[Document]:
    """The two halves of a chunk, parted at white space where there is some near the middle."""
    text = chunk.page_content
    if len(text) < SHORTEST_CHUNK:
        raise TextTooLong(f"The embedding model refuses even {text!r} as too long.")
    middle = text.rfind(" ", len(text) // 3, len(text) // 2) + 1 or len(text) // 2
    start = chunk.metadata.get("start_index", 0)
    return [
        with_digest(Document(part, metadata={**chunk.metadata, "start_index": start + offset}))
        for part, offset in ((text[:middle], 0), (text[middle:], middle))
        if part.strip()
    ]
