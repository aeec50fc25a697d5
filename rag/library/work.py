"""The work of loading and indexing: one thread takes what is asked for from the queue, source after source.

Meanwhile the next ones are loaded, and the beginnings of new ones are embedded, several together.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

from langchain_core.documents import Document

from rag.errors import RagError, SourceError, StoreError, StoreUnreachable, TextTooLong
from rag.library.ingest import BATCH, Cancelled, Ingest, Progress, VectorsAhead
from rag.library.queue import LEASE_SECONDS, Queue, Task
from rag.library.records import Record, as_record, renamed
from rag.library.uploads import Uploads, is_upload
from rag.settings import Settings
from rag.sources.loader import Fetched, load_source
from rag.sources.reader import Watch
from rag.sources.web.crawl import find_pages
from rag.sources.web.fetch import Page

log = logging.getLogger(__name__)

AHEAD = 12
"""Sources begun before the one at work is finished, at most: some are loaded, some embedded, one is written."""
AHEAD_SHARED = 2
"""The same where other processes take work, too."""
LOADERS, EMBEDDERS = 2, 2
"""Sources loaded at a time, and requests to the embedding model: one begins while the other comes to its end."""

State = Literal["waiting", "loading", "indexing", "ready", "failed"]


@dataclass(frozen=True)
class LoadedRecord:
    """A loaded source. `record` is None where it has not changed; `chunks` are the first of `total`, if it is new."""

    record: Record | None
    chunks: Sequence[Document] = ()
    total: int = 0


@dataclass(frozen=True)
class Begun:
    """A task whose loading has begun, and after it the embedding of its first chunks."""

    task: Task
    loading: Future[LoadedRecord]
    embedding: VectorsAhead


@dataclass(frozen=True)
class Step:
    """Where the work on a source is: `done` of `total` chunks, or pages while a scan is loading."""

    source: str
    state: State = "loading"
    done: int = 0
    total: int = 0


class Ahead:
    """Loads the next sources and embeds their first chunks, in threads of its own.

    Chunks of one source are few: embedded with those of others they take a fifth less processor time.
    """

    def __init__(self, load: Callable[[Task], LoadedRecord], ingest: Callable[[], Ingest]) -> None:
        self._load, self._ingest = load, ingest
        self._loader = ThreadPoolExecutor(LOADERS, "rag-loader")
        self._embedder = ThreadPoolExecutor(EMBEDDERS, "rag-embedder")
        self._begun: deque[Begun] = deque()
        """In their order, the sources whose first chunks no thread has taken to embed yet."""
        self._taking = threading.Lock()

    def begin(self, task: Task) -> Begun:
        """Load a source, then embed its first chunks."""
        begun = Begun(task, self._loader.submit(self._load, task), Future())
        self._begun.append(begun)
        self._embedder.submit(self._embed_next)
        return begun

    def _embed_next(self) -> None:
        """Embed the first chunks of the next sources, together; none are left where another call took them, too."""
        together, chunks = self._take_next()
        try:
            ingest = self._ingest()
            given = ingest, ingest.embed_ahead(chunks)
            for begun in together:
                begun.embedding.set_result(given)
        except BaseException as error:
            for begun in together:
                begun.embedding.set_exception(error)

    def _take_next(self) -> tuple[list[Begun], list[Document]]:
        """The next source, once it is loaded, with as many loaded ones after it as fit in; and the chunks of all."""
        together: list[Begun] = []
        chunks: list[Document] = []
        with self._taking:
            while self._begun and (not together or self._begun[0].loading.done()):
                loading = self._begun[0].loading
                first = () if loading.exception() else loading.result().chunks
                if together and len(chunks) + len(first) > BATCH:
                    break
                together.append(self._begun.popleft())
                chunks += first
        return together, chunks

    def close(self) -> None:
        """Begin nothing more."""
        for threads in (self._loader, self._embedder):
            threads.shutdown(wait=False, cancel_futures=True)


class Worker:
    """Works through the queue, in whatever thread calls `work`."""

    def __init__(self, ingest: Ingest, queue: Queue, uploads: Uploads, settings: Settings, tell: Progress) -> None:
        """`tell` gets the source at work, and its chunks done and to do."""
        self.ingest = ingest
        self.counts = {"indexed": 0, "unchanged": 0, "failed": 0}
        self.embedded = 0
        self.step: Step | None = None
        """What is under way."""
        self._queue, self._uploads, self._settings, self._tell = queue, uploads, settings, tell
        self._closing = False
        self._pages: dict[str, Page] = {}
        """Pages that were fetched while the pages of a site were looked for."""
        self._ended = 0
        """Sources that are through, with success or not, since `work` was called."""
        self._chunks = 0
        """Chunks indexed since then."""
        self._began = 0.0

    def work(self) -> None:
        """Do all that waits.

        Raises:
            RagError: the embedding model or the database failed; what waits is kept.
            Cancelled: the app is closing.
        """
        self._ended = self._chunks = 0
        self._began = time.monotonic()
        begun: deque[Begun] = deque()
        ahead, most = Ahead(self._load, lambda: self.ingest), AHEAD_SHARED if self._queue.shared else AHEAD
        ended = threading.Event()
        if self._queue.shared:
            threading.Thread(target=self._keep, args=(ended,), name="rag-lease", daemon=True).start()
        try:
            while not self._closing:
                if len(begun) <= most // 2:  # several at once: taking one costs more than finding a page unchanged
                    begun.extend(ahead.begin(task) for task in self._queue.take(1 + most - len(begun)))
                if not begun:
                    return
                self._finish(begun[0])
                begun.popleft()
            raise Cancelled
        finally:
            ended.set()
            ahead.close()
            self.step = None
            if begun:
                self._queue.put_back(each.task for each in begun)

    def _keep(self, ended: threading.Event) -> None:
        """Keep this process's claim on what it has taken; cancel the source at work where the claim is lost."""
        while not ended.wait(LEASE_SECONDS / 3):
            try:
                held, step = self._queue.renew(), self.step
                if step and step.source not in held:
                    self.ingest.cancelled.set()
            except RagError as error:
                log.warning("%s", error)

    def _finish(self, begun: Begun) -> None:
        task = begun.task
        self.ingest.cancelled.clear()
        self.step = Step(task.source)
        self._tell(task.source, 0, 0)
        try:
            if self._closing:
                self.ingest.cancelled.set()  # which may have been cleared a moment ago; what embeds ahead looks at it
                raise Cancelled
            if not self._queue.has(task):  # cancelled, removed, or asked for anew
                return
            loaded = begun.loading.result()
            embedded = 0
            if loaded.record is not None:
                if loaded.total:
                    self._note(task.source, 0, loaded.total)
                embedded = self.ingest.run(
                    loaded.record,
                    self._note,
                    chunks=loaded.chunks if len(loaded.chunks) == loaded.total else (),
                    ahead=begun.embedding,
                    holder=self._queue.holder,
                )
            self._queue.end(task)
            if task.depth >= 0 and task.source in self._pages:
                self._queue.ask([Task(task.source, task.private)])  # the page that the others were found from
            self.counts["indexed" if embedded else "unchanged"] += 1
            self.embedded += embedded
            log.info("%s: %s", task.source, f"{embedded} chunks embedded" if embedded else "unchanged")
            self.ingest.writer.clean()
        except Cancelled:
            if self._closing:
                raise
            self.give_up(task.source)
        except StoreUnreachable:
            raise
        except (SourceError, StoreError, TextTooLong) as error:
            if self._closing:
                raise Cancelled from error
            if self._queue.has(task):
                self._fail(task, error)
        finally:
            self.step = None
            self._ended += 1

    def give_up(self, source: str) -> None:
        """Drop the new version of a source, for good; answers go on with the indexed one, if there is one."""
        records = self.ingest.index.records
        records.drop_loaded(source)
        if not self.ingest.index.source(source) and (record := records.read(source)):
            self._queue.fail(source, "cancelled before it was indexed again", private=record.private)

    def _load(self, task: Task) -> LoadedRecord:
        if task.stored:
            record = self.ingest.stored(task.source)
        elif task.depth >= 0:
            self._find_pages(task)
            return LoadedRecord(None)
        else:
            record = self._read(task)
        chunks = self.ingest.chunks_ahead(record) if record else []
        return LoadedRecord(record, chunks[:BATCH], len(chunks))

    def _read(self, task: Task) -> Record | None:
        """A source as it is now; None: the web server says that it has not changed since it was indexed."""
        source, index = task.source, self.ingest.index
        watch = Watch(lambda done, total: self._note_page(source, done, total), lambda: self._is_dropped(task))
        if is_upload(source):
            with self._uploads.as_path(source) as path:
                try:
                    loaded = load_source(str(path), self._settings, private=True, watch=watch)
                except SourceError as error:
                    raise type(error)(source, error.reason) from error
                assert loaded is not None
                return renamed(as_record(str(path), loaded, private=True), source)
        head = index.records.head(source) if index.source(source) else None
        loaded = load_source(
            source,
            self._settings,
            private=task.private,
            fetched=Fetched(head.etag, head.last_modified, head.found_at) if head else None,
            page=self._pages.pop(source, None),
            watch=watch,
        )
        return as_record(source, loaded, private=task.private) if loaded else None

    def _find_pages(self, task: Task) -> None:
        """Ask for the pages of a site; they are fetched already."""
        failed: dict[str, str] = {}
        pages = find_pages(
            task.source,
            depth=task.depth,
            limit=task.limit,
            private=task.private,
            allow_hosts=self._settings.allow_hosts,
            cancelled=self.ingest.cancelled,
            failed=failed,
        )
        for page in pages:
            self._pages[page.url] = page
            if page.url != task.source:
                self._queue.ask([Task(page.url, task.private)])
        for source, reason in failed.items():
            self._queue.fail(source, reason, private=task.private)
        if self.ingest.cancelled.is_set():
            raise Cancelled

    def _is_dropped(self, task: Task) -> bool:
        """Whether a task that is being loaded is wanted no more."""
        try:
            return self._closing or not self._queue.has(task)
        except RagError:  # the database fails, which the source reports at its turn
            return False

    def _note_page(self, source: str, page: int, pages: int) -> None:
        """Show how many pages are read, if that is the source at work; sources loaded ahead show nothing."""
        step = self.step
        if step and step.source == source and step.state == "loading":
            self.step = Step(source, "loading", page, pages)

    def _note(self, source: str, done: int, total: int) -> None:
        self._chunks += done - (self.step.done if self.step and self.step.state == "indexing" else 0)
        self.step = Step(source, "indexing", done, total)
        self._tell(source, done, total)

    def _fail(self, task: Task, error: RagError) -> None:
        reason = error.reason if isinstance(error, SourceError) else str(error)
        record = self.ingest.index.records.read(task.source)
        if record is not None:
            when = time.strftime("%Y-%m-%d", time.localtime(record.loaded_at))
            reason += f" (answers come from the copy of {when})"
        log.warning("%s: %s", task.source, reason)
        self.counts["failed"] += 1
        self.ingest.index.records.drop_loaded(task.source)
        self._queue.end(task, reason)

    def progress(self, left: int) -> dict[str, Any] | None:
        """What is under way: the source, its chunks (pages while it is loading), sources done and to do, the time.

        `left` sources wait or are under way. `seconds_left` is None while it is not known.
        """
        step, spent, seconds = self.step, time.monotonic() - self._began, None
        if step is None:
            return None
        left = max(1, left)
        if step.state == "indexing" and self._chunks and spent > 2:
            a_source = max(1.0, (self._chunks - step.done) / self._ended) if self._ended else float(step.total)
            seconds = round((step.total - step.done + (left - 1) * a_source) * spent / self._chunks)
        done = {"sources_done": self._ended, "sources_left": left, "seconds_left": seconds}
        return {"source": step.source, "state": step.state, "done": step.done, "total": step.total, **done}

    def close(self) -> None:
        """Stop what is under way; what waits is kept."""
        self._closing = True
        self.ingest.cancelled.set()
