"""The library as people and programs use it: what is in it, what is asked for, and how far that is."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from rag.errors import SourceError, SourceRefused, StoreError
from rag.library.folders import Folders, Known, is_below
from rag.library.index import SearchIndex
from rag.library.ingest import Ingest
from rag.library.queue import Queue, Task
from rag.library.records import Record
from rag.library.uploads import is_upload
from rag.library.work import State, Worker
from rag.settings import DEFAULT_SOURCE
from rag.sources.loader import GUIDE, expand_source, is_url
from rag.sources.web.address import normalised

MOST_PAGES = 1000
"""Pages of one site that can be asked for at once."""


@dataclass(frozen=True)
class Entry:
    """A source for people and programs. `done` of `total` chunks are indexed.

    `indexed_at` is when it was loaded, in seconds since 1970 (`Record.loaded_at`; a public name of JSON); None: it is
    not indexed yet. A refresh that finds nothing new leaves it. `embeddings` is the model, `provider:model`, that it is
    indexed with. `notes` say how it was read and what was left out. `language` is that of its text, as ISO 639-1, or
    several with a blank between them; "": not sure.
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
    notes: tuple[str, ...] = ()
    language: str = ""


class Library:
    """What is in the index that answers, and what is asked of it. Every method may be called from any thread."""

    def __init__(self, worker: Worker, queue: Queue, folders: Folders, wake: Callable[[], None]) -> None:
        """`wake` is called when there is work: somebody then calls the worker's `work`."""
        self.worker, self.queue, self.folders, self._wake = worker, queue, folders, wake
        self._web_asked: dict[str, float] = {}
        """When web pages were last asked for, in seconds since 1970."""
        self._cancelled = 0
        """How often work was cancelled: a command that waits for a source sees by it that it waits in vain."""
        known = {task.source for task in queue.tasks}
        missing = self._index.records.revisions.missing(self._index.id)  # after a switch of the index
        if wanted := [Task(name, False, stored=True) for name in missing if name not in known]:
            queue.ask(wanted)

    @property
    def _index(self) -> SearchIndex:
        return self.worker.ingest.index

    # -- asking --------------------------------------------------------------------------------------------------

    def add(self, sources: Sequence[str], *, private: bool, depth: int = -1, limit: int = 100) -> list[str]:
        """Ask for sources; returns the single ones, which are loaded and indexed one after the other.

        `private`: the operator asks, so that they may be on this machine and its network. `depth`: from 0 on, the pages
        that a sitemap lists or that are linked from a page in so many steps are added, `limit` at most.

        Raises:
            SourceError: one of them is not there or may not be read; then none is added.
        """
        tasks: list[Task] = []
        watched: list[str] = []
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
            for single in _singles(source):
                if _has_surrogates(single):
                    raise SourceRefused(source, "its name is not text in UTF-8; rename it")
                tasks.append(Task(single, private, depth, max(1, min(limit, MOST_PAGES)) if depth >= 0 else 1))
            if not is_url(source) and source != GUIDE and os.path.isdir(path := _absolute(source)):
                watched.append(path)
        asked = self._ask(tasks)
        for path in watched:
            self.folders.keep(path)
        return asked

    def look_at_folders(self) -> list[str]:
        """Ask for new and changed files of the folders, and forget those that are gone. Returns what is asked for."""
        if not self.folders.paths:
            return []
        busy = {task.source for task in self.queue.tasks if task.taken_by}
        known: dict[str, Known | None] = {task.source: None for task in self.queue.tasks}
        known |= {item.source: Known(item.size, item.loaded_at) for item in self._index.sources}
        change = self.folders.compare(known, self.queue.removed(), busy)
        if change.gone:
            self._forget(change.gone)
        return self._ask([Task(file, True) for file in change.load])

    def look_at_web(self, hours: float) -> list[str]:
        """Ask whether web pages have changed that nobody has asked about for so long. Returns what is asked for."""
        before = time.time() - hours * 3600
        due = [
            item.source
            for item in self._index.sources
            if is_url(item.source) and max(item.loaded_at, self._web_asked.get(item.source, 0.0)) < before
        ]
        return self.refresh(due) if due else []

    def refresh(self, sources: Sequence[str] | None = None) -> list[str]:
        """Ask whether sources have changed, all of them without `sources`; what failed is tried again.

        Raises:
            SourceError: one of them is not in the library.
        """
        asked = self.look_at_folders() if sources is None else []
        failed = {task.source: task for task in self.queue.tasks if task.reason}
        known = {item.source for item in self._index.sources} | failed.keys()
        tasks = []
        for source in sorted(known - {GUIDE}) if sources is None else sources:
            if source not in known:
                raise SourceRefused(source, "not in the library")
            record = self._index.records.read(source)
            private = record.private if record else failed[source].private
            try:
                tasks += [Task(single, private) for single in _singles(source)]
            except SourceError as error:
                self.queue.fail(source, error.reason, private=private)
        return asked + self._ask([task for task in tasks if task.source not in asked])

    def _ask(self, tasks: Sequence[Task]) -> list[str]:
        if tasks:
            now = time.time()
            self._web_asked |= {task.source: now for task in tasks if is_url(task.source)}
            self.queue.ask(tasks)
            self._wake()
        return [task.source for task in tasks]

    def restore(self, records: Iterable[Record], wanted: Sequence[str] = ()) -> list[str]:
        """Bring back sources of a backup, each in place of the version there is, and ask for the `wanted` ones.

        Returns all of them.

        Raises:
            StoreError: something is under way, or the database failed.
        """
        if self.busy:
            raise StoreError("Sources are being added. Wait for their end, or cancel it, then restore.")
        tasks = []
        for record in records:
            current = self._index.records.read(record.source)
            if current is None or current.digest != record.digest:
                self._index.records.write_loaded(record)
            tasks.append(Task(record.source, record.private, stored=True))
        known = {task.source for task in tasks} | {entry.source for entry in self.entries()}
        tasks += [Task(source, False) for source in wanted if source not in known]
        return self._ask(tasks)

    def remove(self, sources: Sequence[str]) -> None:
        """Forget sources: from now on no answer is drawn from them. A folder goes with all its files.

        A file that is removed does not come back when its folder is looked at.

        Raises:
            SourceError: one of them is not in the library; then none is removed.
        """
        known = {entry.source for entry in self.entries()}
        for source in sources:
            if source not in known and source not in self.folders.paths:
                raise SourceRefused(source, "not in the library")
        gone = [*sources, *(name for name in known if any(is_below(name, path) for path in sources))]
        left = known.difference(gone)
        for path in list(self.folders.paths):
            emptied = any(is_below(name, path) for name in gone) and not any(is_below(name, path) for name in left)
            if path in sources or emptied:
                self.folders.forget(path)
        self._forget(gone)
        stays_away = [name for name in gone if name == DEFAULT_SOURCE or self.folders.of(name)]
        if stays_away:
            self.queue.note_removed(stays_away)

    def _forget(self, sources: Sequence[str]) -> None:
        self._index.records.remove(sources)
        self.queue.look()
        step = self.worker.step
        if step and step.source in sources:
            self.worker.ingest.cancelled.set()
        self._index.follow()
        if not step:
            self.worker.ingest.writer.clean()

    def cancel(self) -> None:
        """Drop what waits and stop what is under way; what is finished stays, and so does each old version."""
        self._cancelled += 1
        waiting = [task for task in self.queue.tasks if not task.reason]
        self.queue.cancel()
        step = self.worker.step
        if step:
            self.worker.ingest.cancelled.set()
        for task in waiting:
            if task.stored and not (step and step.source == task.source):
                self.worker.give_up(task.source)

    def take_over(self, ingest: Ingest) -> None:
        """From now on another index answers, one that has all that this one has."""
        ingest.index.follow()
        self.worker.ingest = ingest

    def follow(self) -> None:
        """See what other processes have changed."""
        self.queue.look()
        self.folders.follow()
        self._index.follow()
        if any(not task.reason and not task.taken_by for task in self.queue.tasks):
            self._wake()

    # -- telling -------------------------------------------------------------------------------------------------

    @property
    def failed(self) -> dict[str, str]:
        """Why sources could not be loaded."""
        return {task.source: task.reason for task in self.queue.tasks if task.reason}

    @property
    def left(self) -> int:
        """Sources that wait or are under way."""
        return sum(not task.reason for task in self.queue.tasks)

    @property
    def busy(self) -> bool:
        """Whether something waits or is under way, here or in another process."""
        return self.worker.step is not None or self.left > 0

    def entries(self) -> list[Entry]:
        """Every source, those under way first."""
        embeddings = self._index.made.embeddings
        found = {
            item.source: Entry(
                source=item.source,
                title=item.title,
                kind=item.kind,
                state="ready",
                chunks=item.chunks,
                size=item.size,
                indexed_at=item.loaded_at,
                embeddings=embeddings,
                notes=item.notes,
                language=item.language,
            )
            for item in self._index.sources
        }
        step = self.worker.step
        for task in self.queue.tasks:
            elsewhere = task.taken_by not in ("", self.queue.holder)
            state: State = "failed" if task.reason else "indexing" if elsewhere else "waiting"
            old = found.get(task.source, Entry(task.source, task.source, "", state))
            found[task.source] = replace(old, state=state, reason=task.reason)
        if step and not self.worker.ingest.cancelled.is_set():
            old = found.get(step.source, Entry(step.source, step.source, "", step.state))
            found[step.source] = replace(old, state=step.state, done=step.done, total=step.total)
        order = {"indexing": 0, "loading": 1, "waiting": 2, "failed": 3, "ready": 4}
        return sorted(found.values(), key=lambda entry: (order[entry.state], entry.title.lower()))

    def look(self) -> dict[str, Any]:
        """All of it as programs get it: every source and folder, what is under way, whether anything is."""
        entries = [asdict(entry) for entry in self.entries()]
        return {
            "sources": entries,
            "folders": self.folders.look(),
            "progress": self.worker.progress(self.left),
            "busy": self.busy,
            "cancelled": self._cancelled,
        }


def _singles(source: str) -> Iterator[str]:
    """The single sources that one stands for: the readable files of a folder, or itself."""
    yield from [source] if is_upload(source) else expand_source(source)


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))


def _has_surrogates(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


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
