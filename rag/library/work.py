"""The library: what the app knows, and the work of adding, refreshing and removing it.

One thread works through what was asked for, source after source. Meanwhile the next ones are loaded, and the beginning
of each new one is embedded while the one before is written to the index. What waits or failed is remembered in the
data folder, so that a restart goes on with it.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from langchain_core.documents import Document

from rag.errors import RagError, SourceError, SourceRefused, StoreError, StoreUnreachable, TextTooLong
from rag.library.backup import Backup
from rag.library.ingest import BATCH, Cancelled, Ingest, Progress, Vectors
from rag.library.shared import SharedFolder
from rag.library.store import DataFolder, Record
from rag.settings import Settings
from rag.sources.crawl import find_pages
from rag.sources.fetch import Page, normalised
from rag.sources.loader import GUIDE, expand_source, is_url

log = logging.getLogger(__name__)

State = Literal["waiting", "loading", "indexing", "ready", "failed"]
AHEAD = 2
"""Sources begun before the one at work is finished: one is loaded while one is embedded and one is written."""
MOST_PAGES = 1000
"""Pages of one site that can be asked for at once."""


@dataclass(frozen=True)
class Entry:
    """A source for people and programs. `done` of `total` chunks are indexed; `indexed_at` is seconds since 1970.

    `embeddings` is the model, `provider:model`, that it is indexed with.
    """

    source: str
    title: str
    kind: str
    state: State
    chunks: int = 0
    size: int = 0
    indexed_at: float | None = None
    done: int = 0
    total: int = 0
    reason: str = ""
    embeddings: str = ""


def find_named(given: Sequence[str], known: Iterable[str]) -> list[str]:
    """The known sources that are meant: as they are called, by what just one of them ends with, or by their folder.

    Raises:
        SourceError: one is not known, or names more than one.
    """
    names, found = list(known), []
    for name in given:
        inside = os.path.join(name, "") if os.path.isabs(name) else ""
        near = [name] if name in names else [source for source in names if inside and source.startswith(inside)]
        if not near:
            near = [source for source in names if source.endswith(name)]
            if len(near) != 1:
                raise SourceRefused(name, "names more than one source" if near else "not in the library")
        found += near
    return list(dict.fromkeys(found))


def counted(number: int, word: str) -> str:
    """A number of things, with its word in the plural where it has one."""
    return f"{number:,} {word}{'s' * (number != 1)}"


def told_size(size: int) -> str:
    """Bytes as people say them."""
    if size < 1e6:
        return f"{max(1, round(size / 1e3))} kB"
    return f"{size / 1e6:.1f} MB" if size < 1e9 else f"{size / 1e9:.1f} GB"


@dataclass(frozen=True)
class Job:
    """A source to load and index; with a `depth`, the pages found from it, `limit` at most.

    `page` is it as fetched already; `loaded`: it lies in the data folder as loaded before.
    """

    source: str
    private: bool
    depth: int = -1
    limit: int = 1
    page: Page | None = None
    loaded: bool = False


@dataclass(frozen=True)
class Loaded:
    """A source as it is now, None where it is what is indexed; the first of its chunks, if it is new, of `total`."""

    record: Record | None
    chunks: Sequence[Document] = ()
    total: int = 0


@dataclass(frozen=True)
class Coming:
    """A job whose loading has begun, and after it the embedding of its first chunks."""

    job: Job
    loading: Future[Loaded]
    embedding: Future[tuple[Ingest, Vectors]]


class Library:
    """What is in one index, and what is asked of it."""

    def __init__(self, ingest: Ingest, settings: Settings, wake: Callable[[], None], tell: Progress) -> None:
        """`wake` is called when there is work (somebody then calls `work`), `tell` as it goes on."""
        self.failed: dict[str, str] = {}
        self.counts = {"indexed": 0, "unchanged": 0, "failed": 0}
        self.embedded = 0
        self.removed: set[str] = set()
        self._tell = tell
        self._trusted: set[str] = set()
        self._ingest = ingest
        self._settings = settings
        self._wake = wake
        self._waiting: dict[str, Job] = {}
        self._loaded: dict[str, Job] = {}
        self._current: tuple[str, State, int, int] | None = None
        self._closing = False
        self._lock = threading.RLock()
        self._ended = 0
        self._chunks = 0
        self._began = 0.0
        self._elsewhere: frozenset[str] = frozenset()
        self._failed_elsewhere: dict[str, str] = {}
        remembered = ingest.store.folder.remembered("library")
        removed, wanted = remembered.get("removed"), remembered.get("wanted")
        self.removed |= set(map(str, removed if isinstance(removed, list) else ()))
        for source, told in (wanted if isinstance(wanted, dict) else {}).items():
            if not isinstance(told, dict):  # the file was damaged
                continue
            if told.get("private"):
                self._trusted.add(source)
            if told.get("reason"):
                self.failed[source] = str(told["reason"])
            else:
                self._waiting[source] = Job(source, bool(told.get("private")))
        for source in ingest.unfinished():
            if source not in self.failed:
                self._loaded[source] = Job(source, source in self._trusted, loaded=True)
                if ingest.store.folder.read(source, unfinished=True):
                    self._waiting.pop(source, None)  # this is what it waited for

    @property
    def _folder(self) -> DataFolder:
        return self._ingest.store.folder

    # -- asking --------------------------------------------------------------------------------------------------

    def add(self, sources: Sequence[str], *, private: bool, depth: int = -1, limit: int = 100) -> list[str]:
        """Ask for sources; returns the single ones, which are loaded and indexed one after the other.

        `private`: the operator asks, so that they may be on this machine and its network. `depth`: from 0 on, the pages
        that a sitemap lists or that are linked from a page in so many steps are added, `limit` at most.

        Raises:
            SourceError: one of them is not there or may not be read; then none is added.
        """
        jobs: list[Job] = []
        for given in sources:
            source = given.strip()
            if not source:
                continue
            if not is_url(source) and not private:
                raise SourceRefused(
                    source, "not an address on the web; add files on the app's own machine: python -m rag ingest"
                )
            if is_url(source):
                try:
                    source = normalised(source)
                except ValueError:
                    raise SourceRefused(source, "not a valid address on the web") from None
            for single in expand_source(source):
                jobs.append(Job(single, private, depth, max(1, min(limit, MOST_PAGES)) if depth >= 0 else 1))
        return self._ask(jobs)

    def refresh(self, sources: Sequence[str] | None = None) -> list[str]:
        """Ask whether sources have changed, all of them without `sources`; what failed is tried again.

        Raises:
            SourceError: one of them is not in the library.
        """
        known = {item.source for item in self._ingest.store.sources} | self.failed.keys()
        jobs = []
        for source in sorted(known - {GUIDE}) if sources is None else sources:
            if source not in known:
                raise SourceRefused(source, "not in the library")
            record = self._ingest.store.folder.read(source)
            private = record.private if record else source in self._trusted
            try:
                self._folder.at_hand(source)
                jobs += [Job(single, private) for single in expand_source(source)]
            except SourceError as error:
                self.failed[source] = error.reason
        return self._ask(jobs)

    def _ask(self, jobs: Sequence[Job]) -> list[str]:
        with self._lock:
            self._folder.note_asked(jobs)
            for job in jobs:
                self.failed.pop(job.source, None)
                self.removed.discard(job.source)
                if job.private:
                    self._trusted.add(job.source)
                under_way = self._current and self._current[0] == job.source and not self._ingest.cancelled.is_set()
                if not under_way:
                    self._waiting[job.source] = job
            self._remember()
        self._wake()
        return [job.source for job in jobs]

    def restore(self, backup: Backup) -> list[str]:
        """Bring back the sources of a backup, each in place of the version there is; returns them.

        Raises:
            StoreError: something is under way, or the backup cannot be written to the data folder.
        """
        store, taken = self._ingest.store, []
        with self._lock:
            if self.busy:
                raise StoreError("Sources are being added. Wait for their end, or cancel it, then restore.")
            for record in backup.records(store.folder):
                if not store.has(record):
                    store.folder.write_unfinished(record)
                    self._loaded[record.source] = Job(record.source, False, loaded=True)
                self.failed.pop(record.source, None)
                self.removed.discard(record.source)
                taken.append(record.source)
            self._remember()
        self._wake()
        known = set(taken) | {entry.source for entry in self.entries()}
        return taken + self._ask([Job(source, False) for source in backup.wanted if source not in known])

    def remove(self, sources: Sequence[str]) -> None:
        """Forget sources: from now on no answer is drawn from them.

        Raises:
            SourceError: one of them is not in the library; then none is removed.
        """
        with self._lock:
            known = {entry.source for entry in self.entries()}
            for source in sources:
                if source not in known:
                    raise SourceRefused(source, "not in the library")
            for source in sources:
                self._folder.note_ended(source, removed=True)
                self._waiting.pop(source, None)
                self._loaded.pop(source, None)
                self.failed.pop(source, None)
                self.removed.add(source)
                if self._current and self._current[0] == source:
                    self._ingest.cancelled.set()
            self._remember()
            store = self._ingest.store  # within the lock: another one may be about to take over
            revisions = [store.forget(source) for source in sources]
        for revision in filter(None, revisions):
            store.discard(revision)

    def take_over(self, ingest: Ingest) -> None:
        """From now on another index is the library's, one that has all that this one has."""
        with self._lock:
            ingest.store.catch_up()
            self._ingest = ingest

    def cancel(self) -> None:
        """Drop what waits and stop what is under way; what is finished stays, and so does each old version."""
        with self._lock:
            for source in self._waiting:
                self._folder.note_ended(source)
            self._waiting.clear()
            for source in self._loaded:
                self._give_up(source)
            self._loaded.clear()
            if self._current:
                self._ingest.cancelled.set()
            self._remember()

    def _give_up(self, source: str) -> None:
        """Leave a source as it was indexed before, also after a restart."""
        store = self._ingest.store
        store.folder.drop_unfinished(source)
        record = store.folder.read(source)
        if record is not None and not store.has(record):
            self.failed[source] = "cancelled before it was indexed again"
        store.folder.note_ended(source, self.failed.get(source, ""))

    def close(self) -> None:
        """Stop what is under way; what waits is remembered."""
        with self._lock:
            self._closing = True
            self._ingest.cancelled.set()

    def _remember(self) -> None:
        """Keep what waits, is under way or failed."""
        names = {job.source: "" for job in self._waiting.values()} | self.failed
        if self._current:
            names[self._current[0]] = ""
        wanted = {name: {"private": name in self._trusted, "reason": reason} for name, reason in names.items()}
        removed = sorted(self.removed & set(self._settings.sources))
        self._ingest.store.folder.remember("library", {"wanted": wanted, "removed": removed})

    # -- working -------------------------------------------------------------------------------------------------

    def work(self) -> None:
        """Do all that waits.

        Raises:
            EngineError: the embedding model failed; what waits is kept.
            Cancelled: the app is closing.
        """
        self._ended = self._chunks = 0
        self._began = time.monotonic()
        ahead: list[Coming] = []
        loader = ThreadPoolExecutor(AHEAD, "rag-loader")
        try:
            while job := self._next(ahead):
                self._tell(job.source, 0, 0)
                coming = next((one for one in ahead if one.job is job), None)
                # What was asked for anew, removed or done elsewhere meanwhile would keep a place for good.
                ahead = [one for one in ahead if self._waiting.get(one.job.source) is one.job]
                self._do(coming or self._begin(job, loader), ahead, loader)
        finally:
            loader.shutdown(wait=False, cancel_futures=True)

    def _begin(self, job: Job, loader: ThreadPoolExecutor) -> Coming:
        loading = loader.submit(self._load, job)
        return Coming(job, loading, loader.submit(self._embed_ahead, loading))

    def _do(self, coming: Coming, ahead: list[Coming], loader: ThreadPoolExecutor) -> None:
        """Finish a job that has begun, and begin the next ones meanwhile."""
        job = coming.job
        try:
            loaded = coming.loading.result()
            if self._ingest.cancelled.is_set():
                raise Cancelled
            while len(ahead) < AHEAD and (following := self._peek({one.job.source for one in ahead})):
                ahead.append(self._begin(following, loader))
            embedded = None
            if job.loaded:
                embedded = self._ingest.resume(job.source, self._note)
            elif loaded.record is not None:
                if loaded.total:
                    self._note(job.source, 0, loaded.total)
                embedded = self._ingest.index(loaded.record, self._note, lambda: self._vectors(coming))
            self._folder.note_ended(job.source)
            self.counts["unchanged" if embedded == 0 or (loaded.record is None and not job.loaded) else "indexed"] += 1
            self.embedded += embedded or 0
            if embedded is not None:
                log.info("%s: %s", job.source, f"{embedded} chunks embedded" if embedded else "unchanged")
        except Cancelled:
            if self._closing:
                self._put_back(job)
                raise
            self._give_up(job.source)
        except StoreUnreachable:
            self._put_back(job)
            raise
        except (SourceError, StoreError, TextTooLong) as error:
            if self._closing:
                self._put_back(job)
                raise Cancelled from error
            if not self._ingest.cancelled.is_set():
                self._fail(job.source, error)
        except RagError:
            self._put_back(job)
            raise
        finally:
            with suppress(StoreUnreachable):  # then its turn ends by itself
                self._folder.give_back(job.source)
            with self._lock:
                self._current = None
                self._ended += 1
                with suppress(StoreUnreachable):
                    self._remember()

    def _put_back(self, job: Job) -> None:
        with self._lock:
            if job.loaded:
                self._loaded = {job.source: job, **self._loaded}
            else:
                self._waiting = {job.source: job, **self._waiting}

    def _load(self, job: Job) -> Loaded:
        if job.loaded:
            return Loaded(None)
        if job.depth >= 0:
            self._find_pages(job)
            return Loaded(None)
        record = self._ingest.load(job.source, named_at_start=job.private, page=job.page)
        chunks = self._ingest.chunks_ahead(record) if record else []
        return Loaded(record, chunks[:BATCH], len(chunks))

    def _embed_ahead(self, loading: Future[Loaded]) -> tuple[Ingest, Vectors]:
        """Vectors of the first chunks of what is being loaded, and who gives them: another index has its own."""
        ingest = self._ingest
        return ingest, {} if loading.exception() else ingest.embed_ahead(loading.result().chunks)

    def _vectors(self, coming: Coming) -> Vectors:
        ingest, vectors = coming.embedding.result()
        return vectors if ingest is self._ingest else {}

    def _next(self, ahead: Sequence[Coming]) -> Job | None:
        """Take the next job that no other replica is at; one that has begun where it is still wanted."""
        while job := self._pick(ahead):
            try:
                if self._folder.take(job.source, waiting=not job.loaded):
                    self._ingest.store.follow()
                    return job
            except RagError:
                self._put_back(job)
                with self._lock:
                    self._current = None
                raise
            with self._lock:
                self._current = None
        return None

    def _pick(self, ahead: Sequence[Coming]) -> Job | None:
        with self._lock:
            if self._closing:
                raise Cancelled
            waiting = self._loaded or self._waiting
            source = next(iter(waiting), None)
            source = next((one.job.source for one in ahead if waiting.get(one.job.source) is one.job), source)
            if source is None:
                return None
            self._ingest.cancelled.clear()
            self._current = (source, "loading", 0, 0)
            return waiting.pop(source)

    def _peek(self, begun: set[str]) -> Job | None:
        with self._lock:
            if self._loaded:
                return None
            return next((job for job in self._waiting.values() if job.depth < 0 and job.source not in begun), None)

    def _find_pages(self, job: Job) -> None:
        """Ask for the pages of a site; they are fetched already."""
        failed: dict[str, str] = {}
        pages = find_pages(
            job.source,
            depth=job.depth,
            limit=job.limit,
            allow_private=job.private,
            allow_hosts=self._settings.allow_hosts,
            cancelled=self._ingest.cancelled,
            failed=failed,
        )
        for page in pages:
            with self._lock:
                if page.url not in self._waiting:
                    found = Job(page.url, job.private, page=page)
                    self._folder.note_asked([found])
                    self._waiting[page.url] = found
        with self._lock:
            self.failed |= failed
        if self._ingest.cancelled.is_set():
            raise Cancelled

    def _note(self, source: str, done: int, total: int) -> None:
        before = self._current[2] if self._current else 0
        self._chunks += done - before
        self._current = (source, "indexing", done, total)
        self._tell(source, done, total)

    def _fail(self, source: str, error: RagError) -> None:
        reason = error.reason if isinstance(error, SourceError) else str(error)
        record = self._ingest.store.folder.read(source)
        if record is not None:
            when = time.strftime("%Y-%m-%d", time.localtime(record.loaded_at))
            reason += f" (answers come from the copy of {when})"
        log.warning("%s: %s", source, reason)
        self.counts["failed"] += 1
        with self._lock:
            self.failed[source] = reason
        self._folder.note_ended(source, reason)

    def follow(self) -> None:
        """See what other replicas asked for, finished, could not load, or left behind when they ended."""
        if not isinstance(self._folder, SharedFolder):
            return
        with self._lock:
            waiting, failed, self._elsewhere = self._folder.told()
            own = {name: reason for name, reason in self.failed.items() if name not in self._failed_elsewhere}
            self.failed = own | failed
            self._failed_elsewhere = failed
            for source in self._waiting.keys() - waiting.keys():
                del self._waiting[source]  # done by another, or cancelled there
            known = {*self._waiting, *self._loaded, *self._elsewhere, self._current[0] if self._current else ""}
            left = {name: job for name, job in waiting.items() if name not in known}
            if not left:
                return
            begun = set(self._folder.unfinished())
            for source, job in left.items():
                if source in begun:
                    self._loaded[source] = Job(source, job.private, loaded=True)
                elif is_url(source) or source == GUIDE or self._folder.keeps(source) or Path(source).exists():
                    self._waiting[source] = Job(source, job.private, job.depth, job.limit)
                if job.private:
                    self._trusted.add(source)
        if self.busy:
            self._wake()

    # -- telling -------------------------------------------------------------------------------------------------

    @property
    def elsewhere(self) -> bool:
        """Whether another replica is loading or indexing something."""
        return bool(self._elsewhere)

    @property
    def left(self) -> int:
        """Sources that wait or are under way."""
        return len(self._waiting) + len(self._loaded) + (self._current is not None)

    @property
    def busy(self) -> bool:
        """Whether something waits or is under way."""
        return self._current is not None or bool(self._waiting) or bool(self._loaded)

    def entries(self) -> list[Entry]:
        """Every source, those under way first."""
        with self._lock:
            current, waiting, failed = self._current, [*self._loaded, *self._waiting], dict(self.failed)
        store = self._ingest.store
        found = {
            item.source: Entry(
                item.source,
                item.title,
                item.kind,
                "ready",
                item.chunks,
                item.size,
                item.loaded_at,
                embeddings=store.engine[0],
            )
            for item in store.sources
        }
        states: dict[str, tuple[State, int, int, str]] = {
            source: ("failed", 0, 0, told) for source, told in failed.items()
        }
        states |= dict.fromkeys(self._elsewhere, ("indexing", 0, 0, ""))
        states |= dict.fromkeys(waiting, ("waiting", 0, 0, ""))
        if current and not self._ingest.cancelled.is_set():
            states[current[0]] = (current[1], current[2], current[3], "")
        for source, (state, done, total, reason) in states.items():
            old = found.get(source, Entry(source, source, "", state))
            found[source] = replace(old, state=state, done=done, total=total, reason=reason)
        order = {"indexing": 0, "loading": 1, "waiting": 2, "failed": 3, "ready": 4}
        return sorted(found.values(), key=lambda entry: (order[entry.state], entry.title.lower()))

    def look(self) -> dict[str, Any]:
        """All of it as programs get it: every source, what is under way, whether anything is."""
        entries = [asdict(entry) for entry in self.entries()]
        return {"sources": entries, "progress": self.progress(), "busy": self.busy}

    def progress(self) -> dict[str, Any] | None:
        """What is under way: the source, its chunks, sources done and to do, the seconds left."""
        with self._lock:
            if not self._current:
                return None
            source, _, done, total = self._current
            waiting = len(self._waiting.keys() | self._loaded.keys())
        spent = time.monotonic() - self._began
        left = None
        if self._chunks and spent > 2:
            a_source = max(1.0, (self._chunks - done) / self._ended) if self._ended else float(total)
            left = round((total - done + waiting * a_source) * spent / self._chunks)
        return {
            "source": source,
            "done": done,
            "total": total,
            "sources_done": self._ended,
            "sources_left": waiting + 1,
            "seconds_left": left,
        }
