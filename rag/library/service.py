"""The library of a running app: opens it, does what is asked of it, follows other processes, and closes it."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from rag.errors import NothingIndexed, RagError, SourceError
from rag.library.chroma import ChromaHome
from rag.library.database import Database, open_database
from rag.library.folder import DataFolder
from rag.library.folders import Folders
from rag.library.index import SearchIndex
from rag.library.indexes import Indexes
from rag.library.library import Library
from rag.library.queue import Queue
from rag.library.records import Records
from rag.library.revisions import IndexedSource
from rag.library.takeover import is_old, take_over
from rag.library.uploads import Uploads
from rag.library.vectors import prefix_of
from rag.library.work import Worker
from rag.models.in_use import ModelsInUse
from rag.settings import DEFAULT_SOURCE, Settings
from rag.sources.loader import GUIDE

log = logging.getLogger(__name__)

CLEAN_SECONDS = 10.0


class LibraryService:
    """One library, open or being opened. `library` is there once it is open."""

    def __init__(
        self,
        settings: Settings,
        models: ModelsInUse,
        wake: Callable[[], None],
        tell: Callable[[str, str, int, int], None],
    ) -> None:
        """`models` makes embeddings. `wake` is called when there is work for `work`.

        `tell` gets what is under way: "index" or "reindex", a label, and how much is done and to do.
        """
        self.folder = DataFolder(settings.data_dir)
        self.indexes = Indexes(settings, models)
        self.library: Library | None = None
        self.notes: list[str] = []
        """What a person should know of how it was opened."""
        self.ingested = False
        """Whether all that the settings name is there, or has failed."""
        self.database: Database
        self.records: Records
        self.uploads: Uploads
        self._settings, self._wake, self._tell = settings, wake, tell
        self.home = ChromaHome(settings)
        self.database_opened = threading.Event()
        self._closing = False
        self._cleaned = 0.0

    # -- opening and closing -------------------------------------------------------------------------------------

    def open(self, embeddings: str, *, named: bool) -> None:
        """Open database and indexes; `embeddings` is the model of the settings, `named`: ask for its sources, too.

        Raises:
            RagError: it cannot be opened; says what to do. Another call tries again.
        """
        self._open_database()
        queue = Queue(self.database)
        if note := self.indexes.start(embeddings, self.records, self.home, queue):
            self._note(note)
        assert self.indexes.active is not None
        if not self.indexes.active.index.holds_vectors:
            self._open_chroma()
        worker = Worker(self.indexes.active, queue, self.uploads, self._settings, self._indexing)
        self.library = Library(worker, queue, Folders(self.database), self._wake)
        if named:
            self._ask_for_named(self.library)

    def _open_chroma(self) -> None:
        """Open Chroma, whose import alone takes a second: a small library answers before that."""
        if self.home.is_open:
            return
        library = str(self.database.setting("library"))
        if wrong := self.home.look(self.database.last_change(), library):
            self._note(f"The index of vectors was damaged ({wrong}). It is filled again from the stored vectors.")
        self.home.open()
        try:
            self.home.drop_others(prefix_of(library))
            self.indexes.open_vectors()
        except BaseException:
            self.home.drop()  # or the next call would take it for open
            raise

    def _open_database(self) -> None:
        if self.database_opened.is_set():
            return
        path = self._settings.data_dir
        self.database = open_database(path, self._settings.database_url)
        self.records = Records(self.database)
        self.uploads = Uploads(self.database, path)
        if is_old(path):
            for note in take_over(path, self.records, self._indexing):
                self._note(note)
        self.database_opened.set()

    def stop(self) -> None:
        """Stop what is under way; what waits is kept."""
        self._closing = True
        if self.library:
            self.library.worker.close()
        self.indexes.end()

    def close(self, *, idle: bool) -> None:
        """Let go of everything. `idle`: nothing was under way any more, so that the index is as the database says."""
        if self.database_opened.is_set():
            with suppress(RagError):
                if idle and self.library:
                    self.indexes.write_waiting()
                    self.home.close(self.database.last_change(), str(self.database.setting("library")))
            self.database.close()
        self.folder.release()

    def _note(self, text: str) -> None:
        log.warning("%s", text)
        self.notes.append(text)

    # -- working -------------------------------------------------------------------------------------------------

    def _ask_for_named(self, library: Library) -> None:
        """Ask for every source in the settings, but not again for the default one where it was removed."""
        for given in self._settings.sources:
            if given == DEFAULT_SOURCE and given in library.queue.removed():
                continue
            if os.path.abspath(os.path.expanduser(given)) in library.folders.paths:  # it is compared below
                continue
            try:
                library.add([given], private=True)
            except SourceError as error:
                library.queue.fail(given, error.reason, private=True)
                log.warning("%s", error)
        library.look_at_folders()

    def work(self, changed: Callable[[], None], *, named: bool) -> None:
        """Do all that is to be done; `changed` is called when another index answers. `named`: as `open` has it.

        Raises:
            RagError: an engine or the database failed; what waits is kept.
            Cancelled: the app is closing.
        """
        assert self.library is not None
        self._open_chroma()
        ingest = self.library.worker.ingest
        if ingest.index.vectors.filling:
            ingest.writer.clean()
            ingest.index.fill(partial(self._indexing, "the index of vectors"), lambda: self._closing)
        self.library.worker.work()
        self.library.worker.ingest.writer.clean()
        self._be_quiet()
        if not self.ingested and named:
            self._stand_in(self.library)
            self.ingested = True
        self.indexes.make_offer()
        while (wanted := self.indexes.wanted) is not None:
            if self.indexes.build_beside(self.library, self._reindexing):
                changed()
            elif self.indexes.problem or self.indexes.wanted == wanted:  # or another process builds it
                break
        self._be_quiet()

    def _be_quiet(self) -> None:
        """Nothing is under way: write what waits, and note that a kill harms nothing from here on."""
        self.indexes.write_waiting()
        self.home.note_quiet()

    def _stand_in(self, library: Library) -> None:
        """The bundled guide stands in for the default article where that cannot be loaded."""
        indexed = {item.source for item in self.sources}
        if DEFAULT_SOURCE in library.failed and DEFAULT_SOURCE not in indexed:
            library.add([GUIDE], private=True)
            library.worker.work()
        elif GUIDE in indexed and GUIDE not in self._settings.sources and len(indexed) > 1:
            library.remove([GUIDE])

    def watch(self, closing: threading.Event) -> None:
        """Follow the folders on the disk and, if the settings say so, web pages, until the app is closing."""
        while self.library is None:
            if closing.wait(1.0):
                return
        self.library.folders.watch(self._look_outside, closing)

    def _look_outside(self) -> None:
        assert self.library is not None
        try:
            self.library.look_at_folders()
            if self._settings.refresh_hours:
                self.library.look_at_web(self._settings.refresh_hours)
        except RagError as error:  # the next look comes
            log.warning("%s", error)

    def _indexing(self, label: str, done: int, total: int) -> None:
        self._tell("index", f"{'indexing' if total else 'loading'} {label}", done, total)

    def _reindexing(self, source: str, done: int, total: int) -> None:
        self._tell("reindex", f"building the new index: {source}", done, total)

    def follow(self, changed: Callable[[], None]) -> None:
        """See what other processes have changed, and delete what nobody needs; `changed` as in `work`.

        Raises:
            RagError: the database or the Chroma server does not answer.
        """
        if self.library is None:
            return
        self.library.follow()
        if self.indexes.follow(self.library):
            changed()
        if time.monotonic() - self._cleaned > CLEAN_SECONDS:
            self.library.worker.ingest.writer.clean()
            self._cleaned = time.monotonic()

    # -- telling -------------------------------------------------------------------------------------------------

    @property
    def index(self) -> SearchIndex | None:
        """The index that answers, once it is open."""
        return self.indexes.active.index if self.indexes.active else None

    @property
    def sources(self) -> list[IndexedSource]:
        """What answers can be drawn from."""
        return self.index.sources if self.index else []

    @property
    def failed(self) -> dict[str, str]:
        """Why sources could not be loaded."""
        return self.library.failed if self.library else {}

    def need_chunks(self) -> None:
        """Say why there is nothing to answer from.

        Raises:
            NothingIndexed: nothing is indexed.
        """
        if not self.sources:
            failed = "; ".join(f"{source}: {reason}" for source, reason in self.failed.items())
            told = "Nothing is indexed yet: add a page or a file to the library, then ask again."
            raise NothingIndexed(f"{told} {failed}".strip())
