"""A file within another, an archive's member or a mail's attachment, becomes documents by the same readers."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from langchain_core.documents import Document

from rag.sources.formats import ARCHIVES, DEEPEST_INSIDE, LARGEST_CONTAINER, Job, Unreadable, ending_of
from rag.sources.outline import one_line

MOST_NAMED = 40
"""Files that were left out and are named in the notes; the others are counted."""
Read = Callable[[Job], list[Document]]
"""Reads a file of any kind; raises `Unreadable`."""


class Inside:
    """The files within one: their documents, and the notes on those that give none."""

    def __init__(self, job: Job, read: Read) -> None:
        self._job = job
        self._read = read
        self._titles: set[str] = set()
        self._left_out: list[str] = []

    @property
    def full(self) -> bool:
        """Whether no more files may be read."""
        return self._job.room["files"] <= 0

    def leave_out(self, name: str, reason: str) -> None:
        """Note that a file is not read."""
        self._left_out.append(f"left out: {_shown(name)} ({reason})")

    def read(self, name: str, data: bytes, *, ending: str = "") -> Iterator[Document]:
        """The documents of a file, each with the title "archive.zip/name".

        Args:
            name: with folders, as the archive has it.
            data: its content.
            ending: by which it is read, where the name does not tell.
        """
        job, ending = self._job, ending_of(PurePosixPath(name).name) or ending
        job.room["files"] -= 1
        job.room["bytes"] -= len(data)
        if not ending:
            return self.leave_out(name, "its type cannot be read")
        if not data:
            return self.leave_out(name, "empty")
        if job.depth >= DEEPEST_INSIDE:
            return self.leave_out(name, "too many files in one another")
        if len(data) > LARGEST_CONTAINER or job.room["bytes"] < 0:
            return self.leave_out(name, "too large")
        title = self._title(name)
        with tempfile.TemporaryDirectory(prefix="rag-") as folder:
            path = Path(folder) / f"file{ending}"
            path.write_bytes(data)
            inner = replace(
                job, path=str(path), ending=ending, claimed=f"named {ending}", name=PurePosixPath(name).name or name
            )
            inner = replace(inner, notes=[], depth=job.depth + 1, charset="")
            try:
                documents = self._read(inner)
            except Unreadable as error:
                return self.leave_out(name, str(error))
        for document in documents:
            own = document.metadata["title"] if ending in (*ARCHIVES, ".eml", ".msg") else ""
            document.metadata["title"] = f"{title}{own.removeprefix(inner.name)}" if "/" in own else title
            job.notes.extend(f"{_shown(name)}: {note}" for note in document.metadata.pop("notes", ()))
            yield document

    def finish(self) -> None:
        """Put what was left out into the notes."""
        rest = len(self._left_out) - MOST_NAMED
        self._job.notes.extend(self._left_out[:MOST_NAMED])
        if rest > 0:
            self._job.notes.append(f"left out: {rest} more files")

    def _title(self, name: str) -> str:
        title = f"{self._job.name}/{_shown(name)}"
        number, unique = 1, title
        while unique in self._titles:
            number += 1
            unique = f"{title} ({number})"
        self._titles.add(unique)
        return unique


def _shown(name: str) -> str:
    return one_line(name)[:150]
