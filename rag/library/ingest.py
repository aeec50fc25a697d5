"""Load, split, embed, store: a source becomes searchable whole or not at all."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from rag.errors import EngineError, RagError, SourceError, TextTooLong, engine_error
from rag.library.splitter import embedded_text, split_documents, with_digest
from rag.library.store import Record, Store
from rag.settings import Settings
from rag.sources.fetch import Page
from rag.sources.loader import load_source

log = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]
"""Called with the source, the chunks done and the chunks there are."""

Vectors = dict[str, list[float]]
"""Vectors by the digest of their chunk."""
Embedded = tuple[Document, list[float], Document]
"""A piece, its vector, and the chunk that it is a piece of: most often itself."""

BATCH = 32
"""Chunks embedded in one request: progress and cancelling happen between two."""
SHORTEST_CHUNK = 8
"""Characters below which a chunk that the embedding model finds too long is not split again."""


class Cancelled(Exception):
    """The app is closing, or the person cancelled."""


class Ingest:
    """The way of a source into one index."""

    def __init__(self, store: Store, embeddings: Embeddings, settings: Settings) -> None:
        """Chunks are split as the store's are, whatever the settings say by now."""
        size, overlap = store.splitter
        self.store = store
        self.cancelled = threading.Event()
        self._embeddings = embeddings
        self._settings = settings.model_copy(update={"chunk_size": size, "chunk_overlap": overlap})

    def load(self, source: str, *, named_at_start: bool, page: Page | None = None) -> Record | None:
        """A source as it is now; None: the server says that it is what is indexed.

        `page` is given where it has been fetched already.

        Raises:
            SourceError: it cannot be loaded; what was indexed of it before stays.
        """
        self.store.folder.at_hand(source)
        old = self.store.folder.read(source)
        known = old if old and self.store.has(old) else None
        loaded = load_source(source, self._settings, named_at_start=named_at_start, known=known, page=page)
        if loaded is None:
            return None
        return Record(
            source,
            str(loaded.documents[0].metadata.get("title") or source),
            [(item.page_content, item.metadata) for item in loaded.documents],
            kind=loaded.kind,
            size=loaded.size,
            etag=loaded.etag,
            last_modified=loaded.last_modified,
            found_at=loaded.found_at,
            private=named_at_start,
        )

    def chunks_ahead(self, record: Record) -> list[Document]:
        """The chunks of a source that is new; of any other it depends on what is indexed at its turn."""
        if self.cancelled.is_set() or self.store.folder.read(record.source) is not None:
            return []
        return split_documents(record, self._settings, None, [])

    def embed_ahead(self, chunks: Sequence[Document]) -> Vectors:
        """The vectors of chunks, `BATCH` at most, computed while another source is written.

        None where that fails: the source's own turn comes, and tells.
        """
        try:
            return {piece.metadata["digest"]: vector for piece, vector, _ in self._embed(chunks)}
        except RagError:
            return {}

    def index(self, record: Record, progress: Progress, ahead: Callable[[], Vectors] = dict) -> int:
        """Index what was loaded unless exactly this is indexed already. Returns the chunks embedded.

        `ahead` gives vectors of it by digest, those of `embed_ahead`, as soon as there are any.

        Raises:
            EngineError: the embedding model failed; the next start finishes it. What was indexed before stays.
            StoreError: it cannot be stored.
        """
        if self.store.has(record):
            self.store.update(record)
            return 0
        self.store.folder.check_space()
        self.store.folder.write_unfinished(record)
        return self._index(record, progress, ahead())

    def missing(self) -> list[str]:
        """The sources whose records are whole and not in the index: those of another index."""
        return self.store.missing()

    def copy(self, source: str, progress: Progress) -> int:
        """Index a source from its record, which another index may answer from. Returns the chunks embedded.

        Raises:
            RagError: as `index`.
        """
        record = self.store.folder.read(source)
        if record is None or self.store.has(record):
            return 0
        self.store.folder.check_space()
        return self._index(record, progress, {}, finish=False)

    def unfinished(self) -> list[str]:
        """The sources that are loaded and not whole in the index: after a kill, a rebuild, an engine that failed."""
        return list(dict.fromkeys(self.store.folder.unfinished() + self.missing()))

    def resume(self, source: str, progress: Progress) -> int:
        """Finish the indexing of a source that is loaded. Returns the chunks embedded.

        Raises:
            RagError: as `index`.
        """
        record = self.store.folder.read(source, unfinished=True)
        return self._index(record, progress, {}) if record else self.copy(source, progress)

    def _index(self, record: Record, progress: Progress, ahead: Vectors, *, finish: bool = True) -> int:
        """Write a revision's rows, hidden, then let it take over. Returns the chunks embedded."""
        rows = self.store.rows_of(record.source)
        chunks = split_documents(record, self._settings, self.store.folder.read(record.source), rows.current)
        if not chunks:
            raise SourceError(record.source, "there is no text in it")
        revision = self.store.begin(record)
        progress(record.source, 0, len(chunks))
        embedded = number = 0
        for start in range(0, len(chunks), BATCH):
            if self.cancelled.is_set():
                raise Cancelled
            batch = chunks[start : start + BATCH]
            fresh = [chunk for chunk in batch if chunk.metadata["digest"] not in rows.vectors]
            vectors: dict[int, list[tuple[Document, Any]]]
            vectors = {id(chunk): [(chunk, rows.vectors.get(chunk.metadata["digest"]))] for chunk in batch}
            vectors |= {id(chunk): [] for chunk in fresh}
            for piece, vector, chunk in _found(fresh, ahead) or self._embed(fresh):
                vectors[id(chunk)].append((piece, vector))
                rows.vectors[piece.metadata["digest"]] = vector
                embedded += 1
            ready = [pair for chunk in batch for pair in vectors[id(chunk)]]
            for piece, _ in ready:
                piece.metadata["number"] = number
                number += 1
            if start + BATCH >= len(chunks):
                ready[-1][0].metadata["last"] = True
            self.store.add(revision, [piece for piece, _ in ready], [vector for _, vector in ready])
            progress(record.source, min(start + BATCH, len(chunks)), len(chunks))
        if not self.store.swap(record, number, finish=finish):
            self.store.discard(revision)
        return embedded

    def _embed(self, chunks: Sequence[Document]) -> Iterator[Embedded]:
        """A chunk too long for the model comes in pieces, never cut."""
        if not chunks:
            return
        try:
            vectors = self._embeddings.embed_documents([embedded_text(chunk) for chunk in chunks])
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
            raise EngineError(
                f"{self.store.engine[0]} gave {len(vectors)} vectors for {len(chunks)} texts; nothing was stored."
            )
        yield from zip(chunks, vectors, chunks, strict=True)


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
