"""Which index answers, and the building of another one beside it: another embedding model, or other chunks.

An index is made with an embedding model, the digest of its weights and the splitter's settings. The one that answers is
remembered. Where the settings name another, that one is offered and the old one goes on answering, until the new one
has all that the old one has; then it takes over at once. The old one is kept: going back embeds nothing.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from rag.errors import EngineError, RagError, StoreError
from rag.library.chroma import ChromaHome
from rag.library.index import SearchIndex
from rag.library.ingest import Cancelled, Ingest
from rag.library.library import Library
from rag.library.queue import Queue
from rag.library.rebuild import Offer, Rebuild
from rag.library.records import Records
from rag.library.revisions import Made
from rag.models.in_use import ModelsInUse
from rag.settings import Settings

log = logging.getLogger(__name__)

INDEX = "index"
"""The name under which the database remembers which index answers."""
SMALL = 400
"""Chunks that are embedded without asking where no other index can answer: less than half a minute on two cores."""


class Indexes:
    """The indexes of one library."""

    def __init__(self, settings: Settings, models: ModelsInUse) -> None:
        """`models` makes embeddings."""
        self.active: Ingest | None = None
        self.wanted: Made | None = None
        self.offer: Offer | None = None
        self.problem = ""
        self._settings, self._models = settings, models
        self._asked: Made | None = None
        self._configured: Made | None = None
        self._to_offer: Made | None = None
        self._records: Records
        self._home: ChromaHome
        self._queue: Queue
        self._open: dict[Made, Ingest] = {}
        self._opening = threading.RLock()
        self._rebuild: Rebuild | None = None
        """The last one that was begun."""
        self._closing = False

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
        rebuild = Rebuild(index, self._queue)
        if rebuild.chunks_of(rebuild.missing()) > SMALL and self.wanted != made:
            self.offer = rebuild.estimate()
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
                embeddings, weights = self._models.embeddings(made.embeddings)
                address = self._models.known.address(made.embeddings)
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

    def _is_whole(self, made: Made) -> bool:
        try:
            return not Rebuild(self.open(made), self._queue).missing()
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
        self._want(building)
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
        """What it costs to move the library to another index. Raises as `Rebuild.estimate`, and as `open`."""
        return Rebuild(self.open(made), self._queue).estimate()

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
        self.problem, self.offer, self._to_offer = "", None, None
        self._want(made)
        self._configured = self._asked
        if self.active:
            self._remember()

    def _want(self, made: Made | None) -> None:
        self.wanted = made
        if self._rebuild and self._rebuild.made != made:
            self._rebuild.cancel()

    def end(self) -> None:
        """Stop building, because the app closes."""
        self._closing = True
        if self._rebuild:
            self._rebuild.cancel()

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
        self._rebuild = Rebuild(index, self._queue)
        if self._closing or self.wanted != made:  # since it was read above
            self._rebuild.cancel()
        try:
            failed = self._rebuild.run(library, tell)
        except Cancelled:
            if self._closing:
                raise
            return False
        except (EngineError, StoreError) as error:
            return self._failed(made, error)
        finally:
            self._queue.give_back_index(index.index.id)
        if failed and not index.index.chunks:
            return self._failed(made, EngineError(next(iter(failed.values()))))
        library.take_over(index)
        for source, reason in failed.items():
            self._queue.fail(source, reason, private=True)
        self.problem = ""
        self._use(index)
        log.info("the library is indexed with %s now", made.embeddings)
        return True

    def _failed(self, made: Made, error: RagError) -> bool:
        if str(error) != self.problem:
            log.warning("building the index of %s: %s", made.embeddings, error)
        self.problem = str(error)
        return False

    def status(self) -> dict[str, Any]:
        """The index that answers, the one that is being built with how far it is, and the one that is offered."""
        building: dict[str, Any] | None = None
        if made := self.wanted:
            far = self._rebuild.look() if self._rebuild else {"done": 0, "total": 0, "seconds_left": None}
            building = {"made": made._asdict(), **far}
        offer = self.offer
        return {
            "answers": self.active.index.made._asdict() if self.active else None,
            "building": building,
            "offer": {"made": offer.made._asdict(), "told": str(offer)} if offer else None,
            "problem": self.problem,
        }


def _difference(made: Made, other: Made) -> str:
    if made.embeddings != other.embeddings:
        return made.embeddings
    return f"chunks of {made.chunk_size} characters, {made.chunk_overlap} shared"
