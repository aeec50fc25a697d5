"""Folders that are sources. Their files are sources of their own, and follow what happens on the disk."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select

from rag.library.database import Database
from rag.library.schema import folders
from rag.sources.folder import Contents, look_into

log = logging.getLogger(__name__)

LOOK_SECONDS = 300.0
"""Pause between two looks at a folder whose changes the system does not tell, as on network disks."""
TURN_SECONDS = 1.0
"""How soon a folder that is added is watched."""


@dataclass(frozen=True)
class Known:
    """A file as the library has it: its size in bytes, and when it was read, in seconds since 1970."""

    size: int
    loaded_at: float


@dataclass
class Change:
    """What is to be done for a folder: files to load, since they are new or changed, and files that are gone."""

    load: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Folder:
    """A folder for people and programs. `passed_over` has `file` and `reason` of each file that is not read."""

    folder: str
    files: int = 0
    passed_over: list[dict[str, str]] = field(default_factory=list)
    problem: str = ""


class Folders:
    """The folders of a library. Every method may be called from any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._told: dict[str, Folder] = {}
        self._stamps: dict[str, tuple[int, int]] = {}
        """Size and time of change of each file at the last look."""
        self._left_out = False
        """Whether the last look left out what was being read."""
        self._lock = threading.Lock()
        self.paths = self._read()

    def _read(self) -> dict[str, int]:
        """Each folder with the device that it is on."""
        with self._database.read() as connection:
            return {row.path: row.device for row in connection.execute(select(folders).order_by(folders.c.path))}

    def follow(self) -> None:
        """See which folders other processes have added or removed."""
        self.paths = self._read()

    def keep(self, path: str) -> None:
        """Remember a folder; its files are asked for by the caller."""
        device = os.stat(path).st_dev
        with self._database.write() as connection:
            connection.execute(folders.delete().where(folders.c.path == path))
            connection.execute(folders.insert().values(path=path, device=device))
        self.follow()

    def forget(self, path: str) -> None:
        """Watch a folder no more; its files are removed by the caller."""
        with self._database.write() as connection:
            connection.execute(folders.delete().where(folders.c.path == path))
        self._told.pop(path, None)
        self.follow()

    def of(self, source: str) -> str:
        """The folder that a file is in; "" if it is in none."""
        return next((path for path in self.paths if is_below(source, path)), "")

    def look(self) -> list[dict[str, Any]]:
        """The folders as programs get them."""
        for path, device in self.paths.items():
            if path not in self._told:
                self._contents(path, device)
        return [asdict(self._told[path]) for path in self.paths]

    def _contents(self, path: str, device: int) -> Contents | None:
        """What is in a folder, and how it is told from now on; None where it cannot be looked into."""
        try:
            found = look_into(Path(path))
            if not found.files and not os.listdir(path) and os.stat(path).st_dev != device:
                raise OSError("it is empty; is its disk mounted?")
        except OSError as error:
            told = self._told.get(path, Folder(path))
            problem = f"it cannot be read ({error.strerror or error})"
            self._told[path] = Folder(path, told.files, told.passed_over, problem)
            return None
        passed_over = [{"file": file, "reason": reason} for file, reason in found.passed_over.items()]
        self._told[path] = Folder(path, len(found.files), passed_over)
        return found

    def compare(self, known: Mapping[str, Known | None], removed: set[str], busy: Collection[str] = ()) -> Change:
        """What has changed on the disk since the library read it.

        `known`: the library's sources; None for one that could not be read. `removed`: sources that somebody removed
        and that are not to come back by themselves. `busy`: sources that are being read; they are compared at the next
        look, which comes soon.
        """
        change = Change()
        with self._lock:
            self._left_out = False
            for path, device in self.paths.items():
                if (found := self._contents(path, device)) is None:
                    continue
                for file in found.files:
                    if file in busy:
                        self._left_out = True
                    elif file not in removed and self._is_new(file, known):
                        change.load.append(file)
                there = {*found.files, *found.passed_over}
                change.gone += [source for source in known if is_below(source, path) and source not in there]
        return Change(list(dict.fromkeys(change.load)), list(dict.fromkeys(change.gone)))

    def _is_new(self, file: str, known: Mapping[str, Known | None]) -> bool:
        """Whether a file is unknown, or has changed since the last look or, at the first one, since it was read."""
        try:
            found = os.stat(file)
        except OSError:  # gone meanwhile
            return False
        stamp, old = (found.st_size, found.st_mtime_ns), self._stamps.get(file)
        self._stamps[file] = stamp
        if file not in known:
            return True
        if old is not None:
            return stamp != old
        read = known[file]
        return read is not None and (found.st_size != read.size or found.st_mtime > read.loaded_at)

    def watch(self, changed: Callable[[], None], closing: threading.Event) -> None:
        """Call `changed` when something happens in a folder, and every few minutes, until the app is closing."""
        looked, limited = time.monotonic(), False
        while not closing.is_set():
            watched = self._there()
            try:
                turns = self._changes(watched, closing) if watched and not limited else _pause(closing)
                for number, happened in enumerate(turns):
                    is_first = bool(watched) and not limited and number == 0  # nobody watched until now
                    if happened or is_first or self._left_out or time.monotonic() - looked > LOOK_SECONDS:
                        changed()
                        looked = time.monotonic()
                    if self._there() != watched:
                        break
            except OSError as error:  # the system watches no more files
                limited = True
                log.warning("Folders are looked at every %d minutes: %s", LOOK_SECONDS // 60, error)

    def _there(self) -> list[str]:
        return [path for path in self.paths if os.path.isdir(path)]

    @staticmethod
    def _changes(watched: list[str], closing: threading.Event) -> Iterator[bool]:
        """Whether something has happened in these folders, at least once a second."""
        from watchfiles import watch

        turn = int(TURN_SECONDS * 1000)
        for changes in watch(
            *watched,
            stop_event=closing,
            rust_timeout=turn,
            yield_on_timeout=True,
            raise_interrupt=False,
            ignore_permission_denied=True,
        ):
            yield bool(changes)


def _pause(closing: threading.Event) -> Iterator[bool]:
    closing.wait(TURN_SECONDS)
    yield False


def is_below(source: str, folder: str) -> bool:
    """Whether a file is in a folder or in its folders."""
    return source.startswith(os.path.join(folder, ""))
