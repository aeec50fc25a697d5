"""Which index answers, and the building of another one beside it: another embedding model, or other chunks.

An index is made with an embedding model, the digest of its weights and the splitter's settings. The one that answers is
remembered. Where the settings name another, that one is offered and the old one goes on answering, until the new one
has all that the old one has; then it takes over at once. The old one is kept: going back embeds nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_core.embeddings import Embeddings

from rag.errors import EngineError, RagError, SourceError, StoreError, TextTooLong
from rag.library.chroma import ChromaHome
from rag.library.index import SearchIndex
from rag.library.ingest import Cancelled, Ingest
from rag.library.queue import LEASE_SECONDS, Queue
from rag.library.records import Records
from rag.library.revisions import Made
from rag.settings import Settings

if TYPE_CHECKING:
    from rag.library.library import Library

log = logging.getLogger(__name__)

INDEX = "index"
"""The name under which the database remembers which index answers."""
SMALL = 400
"""Chunks that are embedded without asking where no other index can answer: less than half a minute on two cores."""
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


class Indexes:
    """The indexes of one library."""

    def __init__(
        self,
        settings: Settings,
        build: Callable[[str], tuple[Embeddings, str]],
        address: Callable[[str], str],
    ) -> None:
        """`build` makes embeddings and tells their weights' digest; an `EngineError` if they cannot be had."""
        self.active: Ingest | None = None
        self.wanted: Made | None = None
        self.offer: Offer | None = None
        self.problem = ""
        self._settings = settings
        self._build = build
        self._address = address
        self._asked: Made | None = None
        self._configured: Made | None = None
        self._to_offer: Made | None = None
        self._records: Records
        self._home: ChromaHome
        self._queue: Queue
        self._open: dict[Made, Ingest] = {}
        self._opening = threading.RLock()
        self._beside: Ingest | None = None
        self._closing = False
        self._first = self._done = self._now = self._total = 0
        self._began = self._renewed = 0.0

    # -- opening -------------------------------------------------------------------------------------------------

    def start(self, name: str, records: Records, home: ChromaHome, queue: Queue) -> str:
        """Open the index that is to answer; `name` is the embedding model of the settings. Returns what to note.

        Raises:
            EngineError: its embedding model cannot be had.
            StoreError: it would have to be built anew, and nobody has agreed to that; or it cannot be opened.
        """
        self._records, self._home, self._queue = records, home, queue
        asked = self.made_with(name)
        kept, digest, before, building = self._remembered()
        if building and self.wanted is None:
            self.wanted = building
        self._asked = self._configured = asked
        if kept is None or not records.names():
            self._use(self.open(asked))
            return ""
        trouble: RagError | None = None
        changed = asked not in (kept, before)
        if changed and self._is_whole(asked):
            self._use(self.open(asked))
            return ""
        try:
            index = self.open(kept)
            if index.index.weights == digest:
                if changed and self.wanted is None:
                    self._configured, self._to_offer = before, asked
                self._use(index)
                return ""
            trouble = EngineError(f"The weights of {kept.embeddings} are not those that the library is indexed with.")
        except EngineError as error:
            if not changed and asked == kept:
                raise
            trouble = error
        other = self.wanted or asked
        return self._instead(self.open(other), trouble)

    def _instead(self, index: Ingest, trouble: RagError) -> str:
        """Use an index that is not whole, because the one that is cannot answer: if it is agreed to, or small."""
        made = index.index.made
        chunks = self._chunks_of(self._missing(index))
        if chunks > SMALL and self.wanted != made:
            self.offer = self.estimate(made)
            raise StoreError(
                f"{trouble} To go on with {made.embeddings}, {self.offer}: choose it under Models, or run"
                " python -m rag reindex."
            )
        self._use(index)
        return f"{trouble} The library is indexed with {made.embeddings} instead; the old index is kept."

    def open(self, made: Made) -> Ingest:
        """Open an index, made at need.

        Raises:
            EngineError: its embedding model cannot be had.
            StoreError: it cannot be opened.
        """
        with self._opening:
            if made not in self._open:
                embeddings, weights = self._build(made.embeddings)
                address = self._address(made.embeddings)
                index = SearchIndex(self._records, self._home, made, weights, embeddings, address)
                if self._home.is_open:
                    index.open_vectors()
                self._open[made] = Ingest(index)
            return self._open[made]

    def open_vectors(self) -> None:
        """Let every index open its collection: Chroma is open now.

        Raises:
            StoreError: Chroma failed; says what to do.
        """
        with self._opening:
            for ingest in self._open.values():
                ingest.index.open_vectors()

    def _missing(self, index: Ingest) -> list[str]:
        return self._records.revisions.missing(index.index.id)

    def _is_whole(self, made: Made) -> bool:
        try:
            return not self._missing(self.open(made))
        except EngineError:
            return False

    def _use(self, index: Ingest) -> None:
        self.active = index
        if self.wanted == index.index.made:
            self.wanted = None
        self.offer = None
        self._remember()

    def _remember(self) -> None:
        assert self.active is not None
        told: dict[str, Any] = {"answers": self.active.index.made, "weights": self.active.index.weights}
        self._records.database.remember(INDEX, {**told, "configured": self._configured, "building": self.wanted})

    def _remembered(self) -> tuple[Made | None, str, Made | None, Made | None]:
        told = self._records.database.setting(INDEX, {})
        made = [Made(*told[key]) if told.get(key) else None for key in ("answers", "configured", "building")]
        return made[0], str(told.get("weights", "")), made[1], made[2]

    def follow(self, library: Library) -> bool:
        """Go over to the index that another process has built, and that answers now. Returns whether that is so."""
        kept, weights, _, building = self._remembered()
        if self.active is None or kept is None:
            return False
        self.wanted = building
        if kept == self.active.index.made:
            return False
        index = self.open(kept)
        if index.index.weights != weights:
            return False
        library.take_over(index)
        self.active, self.offer, self._to_offer = index, None, None
        return True

    def write_waiting(self) -> None:
        """Write what waits for more, in every index.

        Raises:
            StoreError: Chroma failed; says what to do.
        """
        for ingest in self._open.values():
            ingest.writer.write_waiting()

    # -- building beside -----------------------------------------------------------------------------------------

    def made_with(self, name: str) -> Made:
        """The index of an embedding model, with the chunks of the settings."""
        return Made(name, self._settings.chunk_size, self._settings.chunk_overlap)

    def estimate(self, made: Made) -> Offer:
        """What it costs to move the library to another index; embeds a few texts to see.

        Raises:
            RagError: it cannot be had.
        """
        index = self.open(made).index
        missing = self._records.revisions.missing(index.id)
        if not missing:
            return Offer(made, 0, 0.0)
        record = self._records.read(missing[0])
        text = "\n".join(text for text, _ in record.documents) if record else ""
        texts = [text[at : at + made.chunk_size] for at in range(0, len(text), made.chunk_size)][:SAMPLE] or ["x"]
        index.embeddings.embed_documents(texts[:1])  # the first one may load the model
        began = time.monotonic()
        index.embeddings.embed_documents(texts)
        chunks = self._chunks_of(missing)
        return Offer(made, chunks, chunks * (time.monotonic() - began) / len(texts))

    def _chunks_of(self, sources: list[str]) -> int:
        """About how many chunks the records of sources make."""
        step = self._settings.chunk_size - self._settings.chunk_overlap
        records = (self._records.read(source) for source in sources)
        return sum(1 + len(text) // step for record in records if record for text, _ in record.documents)

    def make_offer(self) -> None:
        """Offer what the settings name, if it is another index than the one that answers; tried until it can be had."""
        made = self._to_offer
        if made is None or self.offer:
            return
        try:
            self.offer = self.estimate(made)
            log.warning(
                "The library is indexed with %s. To go on with %s, %s: choose it under Models, or run python -m rag"
                " reindex.",
                self.active.index.made.embeddings if self.active else "nothing",
                _difference(made, self.active.index.made if self.active else made),
                self.offer,
            )
        except RagError as error:
            log.info("the settings name %s: %s The old index answers.", made.embeddings, error)

    def want(self, made: Made | None) -> None:
        """Choose another index: it is built by the next `build_beside`, also after a restart. None: keep this one.

        What is embedded already for one that is not wanted any more is kept, and used if it is wanted again.
        """
        self.wanted, self.problem, self.offer, self._to_offer = made, "", None, None
        self._configured = self._asked
        if self.active:
            self._remember()
        if self._beside and self._beside.index.made != made:
            self._beside.cancelled.set()

    def end(self) -> None:
        """Stop building, because the app closes."""
        self._closing = True
        if self._beside:
            self._beside.cancelled.set()

    def build_beside(self, library: Library, tell: Callable[[str, int, int], None]) -> bool:
        """Build what is wanted, and let it take over. Between two sources, the library's own work is done.

        Returns whether another index answers now. `tell` gets the source, and the chunks done and to do in all. What
        fails is told by `problem`, and the old index goes on.

        Raises:
            Cancelled: the app is closing.
            RagError: the library's own work failed.
        """
        made = self.wanted
        if made is None or (self.active and self.active.index.made == made):
            self.wanted = None
            return False
        try:
            index = self.open(made)
        except RagError as error:
            return self._failed(made, error)
        if not self._queue.take_index(index.index.id):
            return False  # another process builds it
        self._beside = index
        index.cancelled.clear()
        try:
            failed = self._copy_all(index, made, library, tell)
        except Cancelled:
            if self._closing:
                raise
            return False
        except (EngineError, StoreError) as error:
            return self._failed(made, error)
        finally:
            self._beside = None
            self._queue.give_back_index(index.index.id)
        if failed and not index.index.chunks:
            return self._failed(made, EngineError(next(iter(failed.values()))))
        library.take_over(index)
        for source, reason in failed.items():
            library.fail(source, reason)
        self.problem = ""
        self._use(index)
        log.info("the library is indexed with %s now", made.embeddings)
        return True

    def _copy_all(
        self, index: Ingest, made: Made, library: Library, tell: Callable[[str, int, int], None]
    ) -> dict[str, str]:
        """Index every source that the index lacks. Returns why some could not be."""
        self._first = self._done = self._now = index.index.chunks
        self._began = time.monotonic()
        failed: dict[str, str] = {}
        while todo := [source for source in self._missing(index) if source not in failed]:
            self._total = self._done + self._chunks_of(todo)
            for source in todo:
                if library.busy:
                    library.worker.work()
                if self._closing or self.wanted != made:
                    raise Cancelled
                try:
                    index.copy(source, lambda name, done, total: self._note(tell, name, done))
                except (TextTooLong, SourceError) as error:
                    failed[source] = str(error)
                self._done = index.index.chunks
        return failed

    def _failed(self, made: Made, error: RagError) -> bool:
        if str(error) != self.problem:
            log.warning("building the index of %s: %s", made.embeddings, error)
        self.problem = str(error)
        return False

    def _note(self, tell: Callable[[str, int, int], None], source: str, done: int) -> None:
        if time.monotonic() - self._renewed > LEASE_SECONDS / 3:
            self._queue.renew()
            self._renewed = time.monotonic()
        self._now = self._done + done
        self._total = max(self._total, self._now)
        tell(source, self._now, self._total)

    def status(self) -> dict[str, Any]:
        """The index that answers, the one that is being built with how far it is, and the one that is offered."""
        building: dict[str, Any] | None = None
        if made := self.wanted:
            building = {"made": made._asdict(), "done": self._now, "total": self._total, "seconds_left": None}
            spent = time.monotonic() - self._began
            if self._beside and self._now > self._first and spent > 2:
                left = (self._total - self._now) * spent / (self._now - self._first)
                building["seconds_left"] = round(left)
        offer = self.offer
        return {
            "answers": self.active.index.made._asdict() if self.active else None,
            "building": building,
            "offer": {"made": offer.made._asdict(), "told": str(offer)} if offer else None,
            "problem": self.problem,
        }


def told_seconds(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _difference(made: Made, other: Made) -> str:
    if made.embeddings != other.embeddings:
        return made.embeddings
    return f"chunks of {made.chunk_size} characters, {made.chunk_overlap} shared"
