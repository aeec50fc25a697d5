"""Files that were given on the page. They are kept in the database, and are sources that are always there."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, select

from rag.errors import SourceError, StoreError, store_error
from rag.library.database import Database
from rag.library.schema import file_parts, files

PREFIX = "upload:"
LONGEST_NAME = 200
"""Bytes of a file's name; file systems take 255."""
PART = 2**20
"""Bytes of a file in one row."""
LEAST_FREE_DISK = 200 * 2**20


def is_upload(source: str) -> bool:
    """Whether a source is a file in the database."""
    return source.startswith(PREFIX)


def name_of(source: str) -> str:
    """The file's own name."""
    return source.rpartition("/")[2]


def check_space(folder: Path) -> None:
    """Refuse to store more on a disk that is nearly full.

    Raises:
        StoreError: less than 200 MiB are free.
    """
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE_DISK:
        raise StoreError(
            f"Only {free >> 20} MiB are free on the disk of {folder}; at least {LEAST_FREE_DISK >> 20} MiB are"
            " needed to store more. Free some space and try again."
        )


class Uploads:
    """Writes and reads these files. Every method may be called from any thread."""

    def __init__(self, database: Database, folder: Path) -> None:
        """`folder` is where the database's disk is looked at for room."""
        self._database, self._folder = database, folder

    def keep(self, path: Path, name: str, replacing: str = "") -> str:
        """Copy a file into the database. Returns its source: `upload:HASH/NAME`.

        The same name and content give the same source. `replacing`: the source whose content this is from now on.

        Raises:
            StoreError: it cannot be stored.
        """
        check_space(self._folder)
        try:
            source = replacing or f"{PREFIX}{_digest(path)[:16]}/{plain_name(name)}"
            with self._database.write() as connection:
                write_file(connection, source, pieces_of(path))
        except OSError as error:
            raise store_error(error) from error
        return source

    def parts(self, source: str) -> Iterator[bytes]:
        """A file's bytes, a MiB at a time; nothing where it is not there."""
        query = select(file_parts.c.content).where(file_parts.c.source == source)
        number = 0
        while True:
            with self._database.read() as connection:
                part = connection.execute(query.where(file_parts.c.number == number)).scalar()
            if part is None:
                return
            yield part
            number += 1

    def has(self, source: str) -> bool:
        """Whether the file is there."""
        with self._database.read() as connection:
            return connection.execute(select(files.c.name).where(files.c.source == source)).first() is not None

    @contextmanager
    def as_path(self, source: str) -> Iterator[Path]:
        """The file on the disk for as long as the block lasts. Raises as `write`."""
        with tempfile.TemporaryDirectory(prefix="rag-upload-") as folder:
            path = Path(folder) / name_of(source)
            self.write(source, path)
            yield path

    def write(self, source: str, path: Path) -> None:
        """Write the file to the disk.

        Raises:
            SourceError: it is not there.
            StoreError: the disk has no room for it.
        """
        if not self.has(source):
            raise SourceError(source, "the file is not in the library any more; add it again")
        try:
            with path.open("wb") as file:
                file.writelines(self.parts(source))
        except OSError as error:
            raise store_error(error) from error


def plain_name(name: str) -> str:
    """A file's name without what a path or a terminal takes for more than a name."""
    plain = re.sub(r"[\x00-\x1f/\\:]+", "_", name).strip(" .") or "file"
    plain = plain.encode("utf-8", "replace").decode()
    while len(plain.encode()) > LONGEST_NAME:
        plain = plain[1:]
    return plain


def write_file(connection: Connection, source: str, pieces: Iterable[bytes]) -> None:
    """Write a file under a source's name, in place of what is there."""
    connection.execute(files.delete().where(files.c.source == source))
    connection.execute(files.insert().values(source=source, name=name_of(source)))
    for number, piece in enumerate(pieces):
        connection.execute(file_parts.insert().values(source=source, number=number, content=piece))


def pieces_of(path: Path) -> Iterator[bytes]:
    """A file's bytes, a MiB at a time."""
    with path.open("rb") as file:
        while piece := file.read(PART):
            yield piece


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    for piece in pieces_of(path):
        digest.update(piece)
    return digest.hexdigest()
