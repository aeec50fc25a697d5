"""The building of another index beside the one that answers: what it costs, and how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rag.errors import SourceError, TextTooLong
from rag.library.ingest import Cancelled, Ingest
from rag.library.library import Library
from rag.library.queue import LEASE_SECONDS, Queue
from rag.library.revisions import Made
from rag.text.amounts import told_seconds

SAMPLE = 8
"""Texts that are embedded to tell how long all of them will take."""


@dataclass(frozen=True)
class Offer:
    """What moving the library to another index costs: about so many chunks to embed, in about so many seconds."""

    made: Made
    chunks: int
    seconds: float

    def __str__(self) -> str:
        if not self.chunks:
            return "nothing has to be embedded"
        return f"about {self.chunks} chunks are embedded, in about {told_seconds(self.seconds)}"


class Rebuild:
    """The building of one index."""

    def __init__(self, ingest: Ingest, queue: Queue) -> None:
        self.made, self._ingest = ingest.index.made, ingest
        self._queue = queue
        self._index, self._records = ingest.index, ingest.index.records
        self._running = self._cancelled = False
        self._first = self._before = self._done = self._total = ingest.index.chunks
        """Chunks: at the beginning, with the source at work not counted, now, and at the end."""
        self._began = self._renewed = time.monotonic()

    def missing(self) -> list[str]:
        """The sources that the index lacks."""
        return self._records.revisions.missing(self._index.id)

    def chunks_of(self, sources: list[str]) -> int:
        """About how many chunks sources make."""
        step = self.made.chunk_size - self.made.chunk_overlap
        records = (self._records.read(source) for source in sources)
        return sum(1 + len(text) // step for record in records if record for text, _ in record.documents)

    def estimate(self) -> Offer:
        """What it costs; embeds a few texts to see.

        Raises:
            RagError: the embedding model failed.
        """
        missing = self.missing()
        if not missing:
            return Offer(self.made, 0, 0.0)
        record, size = self._records.read(missing[0]), self.made.chunk_size
        text = "\n".join(text for text, _ in record.documents) if record else ""
        texts = [text[at : at + size] for at in range(0, len(text), size)][:SAMPLE] or ["x"]
        self._index.embeddings.embed_documents(texts[:1])  # the first one may load the model
        began = time.monotonic()
        self._index.embeddings.embed_documents(texts)
        chunks = self.chunks_of(missing)
        return Offer(self.made, chunks, chunks * (time.monotonic() - began) / len(texts))

    def run(self, library: Library, tell: Callable[[str, int, int], None]) -> dict[str, str]:
        """Index every source that the index lacks. Returns why some could not be.

        Between two sources, the library's own work is done. `tell` gets the source, and the chunks done and to do.

        Raises:
            Cancelled: `cancel` was called.
            RagError: the embedding model or the database failed.
        """
        failed: dict[str, str] = {}
        self._running = True
        self._ingest.cancelled.clear()
        try:
            while todo := [source for source in self.missing() if source not in failed]:
                self._total = self._before + self.chunks_of(todo)
                for source in todo:
                    if library.busy:
                        library.worker.work()
                    if self._cancelled:
                        raise Cancelled
                    try:
                        self._ingest.copy(source, lambda name, done, _: self._note(tell, name, done))
                    except (TextTooLong, SourceError) as error:
                        failed[source] = str(error)
                    self._before = self._index.chunks
        finally:
            self._running = False
        return failed

    def _note(self, tell: Callable[[str, int, int], None], source: str, done: int) -> None:
        if time.monotonic() - self._renewed > LEASE_SECONDS / 3:
            self._queue.renew()
            self._renewed = time.monotonic()
        self._done = self._before + done
        self._total = max(self._total, self._done)
        tell(source, self._done, self._total)

    def cancel(self) -> None:
        """Stop; what is embedded is kept."""
        self._cancelled = True
        if self._running:  # afterwards, this index may answer, and do other work
            self._ingest.cancelled.set()

    def look(self) -> dict[str, Any]:
        """How far it is: chunks done and in all, and about how long the rest takes, None while that is not known."""
        spent, left = time.monotonic() - self._began, None
        if self._running and self._done > self._first and spent > 2:
            left = round((self._total - self._done) * spent / (self._done - self._first))
        return {"done": self._done, "total": self._total, "seconds_left": left}
