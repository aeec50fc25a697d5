"""Load, split, embed, store: a source becomes searchable whole or not at all."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from rag.errors import StoreError, TextTooLong, engine_error
from rag.loader import load_source
from rag.settings import Settings
from rag.store import Record, Store

Progress = Callable[[str, int, int], None]
"""Called with the source, the chunks done and the chunks there are."""

BATCH = 32
"""Chunks embedded in one request: progress and cancelling happen between two."""
SHORTEST_CHUNK = 8
"""Characters below which a chunk that the embedding model finds too long is not split again."""


class Cancelled(Exception):
    """The app is closing, or the person cancelled."""


class Ingest:
    """The way of a source into the store, one at a time."""

    def __init__(self, store: Store, embeddings: Embeddings, settings: Settings) -> None:
        self.store = store
        self.cancelled = threading.Event()
        self._embeddings = embeddings
        self._settings = settings
        self._one_at_a_time = threading.Lock()

    def ingest(self, source: str, progress: Progress, *, named_at_start: bool) -> int:
        """Load a source and index it unless exactly this is indexed already. Returns the chunks embedded.

        Raises:
            SourceError: it cannot be loaded; what was indexed of it before stays.
            EngineError: the embedding model failed; the next start finishes it.
            StoreError: it cannot be stored.
        """
        documents = load_source(source, self._settings, named_at_start=named_at_start).documents
        title = str(documents[0].metadata.get("title") or source)
        record = Record(source, title, [(item.page_content, item.metadata) for item in documents])
        with self._one_at_a_time:
            if self.store.has(record):
                self.store.folder.keep(record)
                return 0
            self.store.folder.check_space()
            self.store.folder.write_unfinished(record)
            return self._index(record, progress)

    def finish(self, progress: Progress) -> int:
        """Index what was loaded before and is not whole in the index: after a kill, a rebuild, a change of settings."""
        embedded = 0
        with self._one_at_a_time:
            for record in list(self.store.folder.records(unfinished=True)):
                embedded += self._index(record, progress)
            for record in list(self.store.folder.records()):
                if not self.store.has(record):
                    self.store.folder.write_unfinished(record)
                    embedded += self._index(record, progress)
            self.store.clean()
        return embedded

    def _index(self, record: Record, progress: Progress) -> int:
        """Write a revision's rows, hidden, then let it take over. Returns the chunks embedded."""
        revision = record.revision(self.store.splitter)
        chunks = split_documents(record, self._settings)
        self.store.hide(revision)
        progress(record.source, 0, len(chunks))
        embedded = number = 0
        for start in range(0, len(chunks), BATCH):
            if self.cancelled.is_set():
                raise Cancelled
            batch = chunks[start : start + BATCH]
            last = start + BATCH >= len(chunks)
            ready, fresh = self._with_vectors(record.source, batch)
            embedded += fresh
            for chunk, _ in ready:
                chunk.metadata["number"] = number
                number += 1
            if last:
                ready[-1][0].metadata["last"] = True
            self.store.add(revision, [chunk for chunk, _ in ready], [vector for _, vector in ready])
            progress(record.source, min(start + BATCH, len(chunks)), len(chunks))
        self.store.swap(record, number)
        self.store.clean()
        return embedded

    def _with_vectors(self, source: str, batch: list[Document]) -> tuple[list[tuple[Document, list[float]]], int]:
        """The batch's chunks with their vectors, those known already not embedded again, and how many were embedded."""
        for chunk in batch:
            chunk.metadata["digest"] = _digest(chunk.page_content)
        known = self.store.known_vectors(source, [chunk.metadata["digest"] for chunk in batch])
        fresh = [chunk for chunk in batch if chunk.metadata["digest"] not in known]
        embedded = iter(list(self._embed(fresh)) if fresh else [])
        ready: list[tuple[Document, list[float]]] = []
        pending = next(embedded, None)
        for chunk in batch:
            if chunk.metadata["digest"] in known:
                ready.append((chunk, known[chunk.metadata["digest"]]))
                continue
            while pending is not None and pending[2] is chunk:
                ready.append(pending[:2])
                pending = next(embedded, None)
        return ready, len(fresh)

    def _embed(self, chunks: Sequence[Document]) -> Iterator[tuple[Document, list[float], Document]]:
        """(piece, vector, chunk it is of) in order; a chunk too long for the model comes in pieces, never cut."""
        try:
            vectors = self._embeddings.embed_documents([chunk.page_content for chunk in chunks])
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
            raise engine_error(error, *self.store.engine) from error
        if len(vectors) != len(chunks):
            raise StoreError(
                f"{self.store.engine[0]} gave {len(vectors)} vectors for {len(chunks)} texts; nothing was stored."
            )
        yield from zip(chunks, vectors, chunks, strict=True)


def split_documents(record: Record, settings: Settings) -> list[Document]:
    """The record's chunks, each with `source`, `title`, `start_index` and, for PDFs, `page`."""
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    splitter = RecursiveCharacterTextSplitter(
        chunk_size=settings.chunk_size, chunk_overlap=settings.chunk_overlap, add_start_index=True
    )
    # The vector store takes strings and numbers only: the list of sections stays with the record.
    plain = [(text, {name: data[name] for name in data if name != "sections"}) for text, data in record.documents]
    return splitter.split_documents([Document(text, metadata=data) for text, data in plain])


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _halves(chunk: Document) -> list[Document]:
    """The two halves of a chunk, parted at white space where there is some near the middle."""
    text = chunk.page_content
    if len(text) < SHORTEST_CHUNK:
        raise TextTooLong(f"The embedding model refuses even {text!r} as too long.")
    middle = text.rfind(" ", len(text) // 3, len(text) // 2) + 1 or len(text) // 2
    start = chunk.metadata.get("start_index", 0)
    return [
        Document(part, metadata={**chunk.metadata, "start_index": start + offset, "digest": _digest(part)})
        for part, offset in ((text[:middle], 0), (text[middle:], middle))
        if part.strip()
    ]
