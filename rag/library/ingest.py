"""Load, split, embed, store: a source becomes searchable whole or not at all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from langchain_core.documents import Document

from rag.errors import EngineError, RagError, SourceError, TextTooLong, engine_error
from rag.library.index import SearchIndex
from rag.library.records import Record, renamed
from rag.library.splitter import embedded_text, split_documents, with_digest
from rag.library.uploads import Uploads, check_space, is_upload
from rag.models.ollama_embeddings import OllamaEmbeddings
from rag.settings import Settings
from rag.sources.loader import Fetched, Loaded, load_source
from rag.sources.reader import WATCH, Watch
from rag.sources.web.fetch import Page
from rag.text.detect import document_languages
from rag.text.pace import Pace

Progress = Callable[[str, int, int], None]
"""Called with the source, the chunks done and the chunks there are."""

Vectors = dict[str, list[float]]
"""Vectors by the digest of their chunk."""
VectorsAhead = Callable[[float | None], Vectors]
"""Waits so many seconds, or to the end, for vectors that are being made; none where they are not there then."""
Embedded = tuple[Document, list[float], Document]
"""A piece, its vector, and the chunk that it is a piece of: most often itself."""

BATCH = 32
"""Chunks embedded in one request, at most: progress is told between two."""
SOON = 1.5
"""Seconds within which the first chunks of a source are embedded, unless the engine is slow."""
LOOKED_AT = 20
"""Pages of a document whose language is looked at."""
SHORTEST_CHUNK = 8
"""Characters below which a chunk that the embedding model finds too long is not split again."""


class Cancelled(Exception):
    """The app is closing, or the person cancelled."""


class Ingest:
    """The way of a source into one index."""

    def __init__(self, index: SearchIndex, uploads: Uploads, settings: Settings) -> None:
        self.index = index
        self.cancelled = threading.Event()
        self._uploads = uploads
        self._settings = settings

    # -- loading -------------------------------------------------------------------------------------------------

    def load(
        self, source: str, *, named_at_start: bool, page: Page | None = None, watch: Watch = WATCH
    ) -> Record | None:
        """A source as it is now; None: the web server says that it has not changed since it was indexed.

        `page` is given where it has been fetched already. `watch` follows the reading of pages that take long.

        Raises:
            SourceError: it cannot be loaded; what was indexed of it before stays.
        """
        if is_upload(source):
            return self._load_upload(source, watch)
        head = self.index.records.head(source) if self.index.source(source) else None
        fetched = Fetched(head.etag, head.last_modified, head.found_at) if head else None
        loaded = load_source(
            source, self._settings, named_at_start=named_at_start, fetched=fetched, page=page, watch=watch
        )
        return _record(source, loaded, private=named_at_start) if loaded else None

    def _load_upload(self, source: str, watch: Watch) -> Record:
        with self._uploads.as_path(source) as path:
            try:
                loaded = load_source(str(path), self._settings, named_at_start=True, watch=watch)
            except SourceError as error:
                raise type(error)(source, error.reason) from error
            assert loaded is not None
            return renamed(_record(str(path), loaded, private=True), source)

    def stored(self, source: str) -> Record | None:
        """The version that was loaded and is not indexed; else the current one, where this index lacks it."""
        loaded = self.index.records.read(source, "loaded")
        return loaded or (None if self.index.source(source) else self.index.records.read(source))

    # -- embedding -----------------------------------------------------------------------------------------------

    def chunks_ahead(self, record: Record) -> list[Document]:
        """The chunks of a source that is new; of any other they depend on what is indexed at its turn."""
        if self.cancelled.is_set() or self.index.source(record.source):
            return []
        return split_documents(record, self.index.made, None, [])

    def embed_ahead(self, chunks: Sequence[Document]) -> Vectors:
        """The vectors of chunks, `BATCH` at most, of one source or several, computed while another one is written.

        None where that fails: the source's own turn comes, and tells.
        """
        try:
            return {piece.metadata["digest"]: vector for piece, vector, _ in self._embed(chunks)}
        except (RagError, Cancelled):
            return {}

    def run(
        self,
        record: Record,
        progress: Progress,
        ahead: VectorsAhead = lambda _: {},
        *,
        chunks: Sequence[Document] = (),
        holder: str = "",
    ) -> int:
        """Index a version. Returns the chunks embedded.

        Nothing is embedded where the current version has the same documents and is indexed. `ahead` gives the vectors
        of `embed_ahead`; `chunks` are those of `chunks_ahead`, if they are all. A new source that has a vector for each
        of them soon is written at once; any other version is kept in the database before it is embedded, so that it is
        not fetched again whatever happens. `holder`: as `Revisions.publish` has it.

        Raises:
            EngineError: the embedding model failed; what was indexed before stays.
            StoreError: it cannot be stored.
            Cancelled: `cancelled` was set.
        """
        records = self.index.records
        before = records.digest(record.source)
        if same := before == record.digest:
            self.index.update(record)
            if self.index.source(record.source):
                return 0
        check_space(self.index.folder)
        if not before and chunks and (found := _found(chunks, ahead(SOON))) and not self.cancelled.is_set():
            progress(record.source, 0, len(found))
            vectors = {piece.metadata["digest"]: np.asarray(vector, np.float32) for piece, vector, _ in found}
            if not self.index.add(record, chunks, vectors, holder=holder):
                raise Cancelled
            progress(record.source, len(found), len(found))
            return len(found)
        old = records.read(record.source) if before and not same else None
        if not same:
            records.write_loaded(record, holder)
        return self._index(record, old, progress, ahead(None), holder=holder, new=not same)

    def copy(self, source: str, progress: Progress) -> int:
        """Index the current version of a source that another index has. Returns the chunks embedded.

        Raises:
            RagError: as `run`.
        """
        record = self.index.records.read(source)
        if record is None or self.index.source(source):
            return 0
        check_space(self.index.folder)
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
        revision = self.index.begin(record.source)
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
                self.index.write(revision, record.source, ready, known)
                done += len(batch)
                progress(record.source, done, len(chunks))
            if not self.index.publish(revision, record, holder=holder, new=new):
                raise Cancelled
        finally:
            self.index.end(revision)
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


def _record(source: str, loaded: Loaded, *, private: bool) -> Record:
    notes = loaded.documents[0].metadata.pop("notes", []) if loaded.documents else []
    return Record(
        source,
        _storable(loaded.title or source),
        [(_storable(item.page_content), item.metadata) for item in loaded.documents],
        kind=loaded.kind,
        size=loaded.size,
        etag=loaded.etag,
        last_modified=loaded.last_modified,
        found_at=loaded.found_at,
        private=private,
        notes=[_storable(note) for note in notes],
        language=document_languages("\n".join(item.page_content for item in loaded.documents[:LOOKED_AT])),
    )


def _storable(text: str) -> str:
    """The text without what a database cannot hold: NUL, and halves of surrogate pairs."""
    return text.replace("\x00", "").encode("utf-8", "ignore").decode()


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
