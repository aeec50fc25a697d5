"""The library in one file: a copy of its SQLite database.

`python -m rag backup FILE` writes it, also while the app runs; `restore FILE` brings its sources back beside those that
are there. A backup may come from anybody, so it is opened read-only, and only known columns of known tables are read.
"""

from __future__ import annotations

import json
import os
import sqlite3
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from rag.errors import StoreError, store_error
from rag.library.database import Database
from rag.library.records import Record, Records
from rag.library.schema import VERSION
from rag.library.uploads import check_space, is_upload, name_of, plain_name, write_file
from rag.sources.loader import is_url


def write_backup(database: Database, target: Path) -> int:
    """Write the library to a new file. Returns the number of sources.

    Raises:
        StoreError: the file is there already or cannot be written, or the library is in PostgreSQL.
    """
    if target.exists():
        raise StoreError(f"{target} is there already. Choose another name; a backup is never written over.")
    part = target.with_name(f"{target.name}.part")
    try:
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))  # texts may be private
        database.back_up(part)
        os.replace(part, target)
    except OSError as error:
        raise store_error(error) from error
    finally:
        part.unlink(missing_ok=True)
    return len(Records(database).names())


class Backup:
    """A backup that was looked at: `records` gives its sources."""

    def __init__(self, path: Path) -> None:
        """Look at all of it.

        Raises:
            StoreError: it is no backup, is damaged, or a newer version has written it.
        """
        self.path = path
        if not path.is_file():
            raise StoreError(f"There is no file {path}.")
        if zipfile.is_zipfile(path):
            raise StoreError(f"{path} is a backup of a version before 0.2. Restore it with that version, then update.")
        try:
            with self._open() as connection:
                if connection.execute("PRAGMA quick_check").fetchone()[0] != "ok":
                    raise StoreError(f"{path} is damaged. Take another backup.")
                if connection.execute("SELECT 1 FROM sqlite_master WHERE type IN ('view', 'trigger')").fetchone():
                    raise StoreError(f"{path} is not a backup of a library: it has views or triggers.")
                version = connection.execute("SELECT version FROM schema_version").fetchone()[0]
                if not isinstance(version, int) or version > VERSION:
                    raise StoreError(f"{path} is of version {version}; this one reads up to {VERSION}. Update the app.")
                wanted = connection.execute("SELECT source FROM work WHERE reason = ''").fetchall()
                self.wanted = [source for (source,) in wanted if isinstance(source, str) and is_url(source)]
                for _ in self._read(connection):
                    pass
        except _UNREADABLE as error:
            raise StoreError(f"{path} is not a backup, or it is damaged ({_said(error)}).") from error

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(f"file:{self.path.absolute()}?mode=ro", uri=True)
        connection.execute("PRAGMA trusted_schema = OFF")
        return connection

    def records(self, records: Records, folder: Path) -> Iterator[Record]:
        """The sources. Uploaded files are put into the database first; vectors are not taken from a file of anybody's.

        `folder` is the data folder, whose disk has to have room.

        None of them counts as named by the operator (`private`), since the file may be anybody's.

        Raises:
            StoreError: the disk has no room, or the file was changed since it was looked at.
        """
        check_space(folder)
        try:
            with self._open() as connection:
                for record in self._read(connection):
                    self._take_file(connection, records.database, record.source)
                    yield record
        except _UNREADABLE as error:
            raise StoreError(f"{self.path} is damaged ({_said(error)}).") from error

    @staticmethod
    def _read(connection: sqlite3.Connection) -> Iterator[Record]:
        there = [name for _, name, *_ in connection.execute("PRAGMA table_info(sources)")]
        names = [*_COLUMNS, *(name for name in _LATER_COLUMNS if name in there)]
        chosen = ", ".join(names)
        for key, *told in connection.execute(f"SELECT id, {chosen} FROM sources WHERE state = 'current' ORDER BY id"):
            query = "SELECT text, metadata FROM documents WHERE source_id = ? ORDER BY number"
            texts = [(text, json.loads(metadata)) for text, metadata in connection.execute(query, [key])]
            row = dict(zip(names, told, strict=True))
            row["notes"] = json.loads(row.get("notes") or "[]")
            yield _checked(Record(documents=texts, **row))

    @staticmethod
    def _take_file(connection: sqlite3.Connection, database: Database, source: str) -> None:
        name = name_of(source)
        there = connection.execute("SELECT 1 FROM files WHERE source = ?", [source]).fetchone()
        if not there or not is_upload(source) or plain_name(name) != name:
            return
        query = "SELECT content FROM file_parts WHERE source = ? ORDER BY number"
        with database.write() as target:
            write_file(target, source, (bytes(content) for (content,) in connection.execute(query, [source])))


_COLUMNS = ("source", "title", "kind", "size", "etag", "last_modified", "found_at", "loaded_at")
_LATER_COLUMNS = ("notes", "language")
"""Columns that libraries of earlier versions do not have."""
_UNREADABLE: Any = (sqlite3.Error, ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError)


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__


def _checked(record: Record) -> Record:
    """The record, if it is one.

    Raises:
        ValueError: a value is not of its type, or there is no text.
    """
    texts = [record.source, record.title, *(text for text, _ in record.documents)]
    if not record.documents or not all(isinstance(text, str) and text.strip() for text in texts):
        raise ValueError("a source without text")
    if not all(isinstance(metadata, dict) for _, metadata in record.documents):
        raise ValueError("a document without metadata")
    words = [record.kind, record.etag, record.last_modified, record.found_at, record.language, *record.notes]
    lists = isinstance(record.notes, list)
    if not lists or not all(isinstance(word, str) for word in words) or not isinstance(record.size, int):
        raise ValueError("a source with values of other types")
    return replace(record, loaded_at=float(record.loaded_at), private=False)
