"""A data folder as versions before 0.2 left it -> the database.

    texts/KEY.json, KEY.new.json   a source each: its documents as loaded; the second, loaded and not indexed whole
    files/HASH/NAME                copies of files that were given on the page
    library.json, index.json       what was asked for and is not there; what the index was made with
    chroma/                        the index: rows with text, metadata and vector

Everything is written in one transaction, and the old files are moved into the folder `before-0.2` afterwards. Nothing
is fetched. Vectors are taken from the old index where a child process can read it; what it lacks is embedded.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import secrets
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.documents import Document
from sqlalchemy import Connection, select

from rag.child import child_command
from rag.errors import StoreError, store_error
from rag.library.chroma import chroma_settings
from rag.library.database import Database, get_setting, set_setting
from rag.library.records import Record, Records, renamed, write_version
from rag.library.revisions import Made
from rag.library.schema import revisions, work
from rag.library.uploads import PREFIX, pieces_of, write_file
from rag.library.writer import insert_chunks, write_vectors
from rag.sources.loader import is_url

log = logging.getLogger(__name__)

KEPT = "before-0.2"
TAKEN_OVER = "taken_over_from"
"""The name under which the database remembers the folders that were taken over."""
OLD = ("texts", "chroma", "files", "library.json", "index.json", "closed.json")
READ_SECONDS = 1800.0
PAGE = 5000

Tell = Callable[[str, int, int], None]


def is_old(folder: Path) -> bool:
    """Whether there is a library of an earlier version in a data folder."""
    return (folder / "texts").is_dir()


def take_over(folder: Path, records: Records, tell: Tell) -> list[str]:
    """Move an old library into the database; `tell` gets a label, the sources done and to do. Returns what to note.

    Raises:
        StoreError: it cannot be read or written; nothing is moved then, and the next start tries again.
    """
    notes: list[str] = []
    if _place(folder) not in records.database.setting(TAKEN_OVER, []):
        try:
            with tempfile.TemporaryDirectory(prefix="rag-takeover-", dir=folder) as scratch:
                notes = _Takeover(folder, Path(scratch), records, tell).run()
        except OSError as error:
            raise store_error(error) from error
    try:
        kept = folder / KEPT
        kept.mkdir(exist_ok=True)
        for name in OLD:
            if (folder / name).exists():
                os.replace(folder / name, kept / name)
    except OSError as error:
        raise StoreError(f"The old library is taken over, and {folder / KEPT} cannot be written ({error}).") from error
    notes.append(f"The library of an earlier version was taken over. Its files are in {kept}, and can be deleted.")
    return notes


def _place(folder: Path) -> str:
    """The folder, apart from those of other machines that share the database."""
    return f"{socket.gethostname()}:{folder.resolve()}"


class _Takeover:
    """One takeover. Sources that the database has already, from another folder, stay as they are there."""

    def __init__(self, folder: Path, scratch: Path, records: Records, tell: Tell) -> None:
        self._folder, self._scratch, self._records, self._tell = folder, scratch, records, tell
        self._notes: list[str] = []

    def run(self) -> list[str]:
        """Write everything. Returns what to note."""
        told = self._state("index")
        made = Made(*told["answers"]) if told.get("answers") else None
        weights = str(told.get("digest", ""))
        ids = self._records.revisions.index_of(made, weights) if made else (0, 0)
        rows = self._old_rows(made, weights) if made else None
        paths = sorted((self._folder / "texts").glob("*.json"))
        known = set(self._records.names())
        with self._records.database.write() as connection:
            for number, path in enumerate(paths):
                self._tell("taking over the library", number, len(paths))
                record = self._read(path)
                if record is None:
                    continue
                loaded = path.name.endswith(".new.json")
                here = self._with_file(connection, record)
                if here.source in known:
                    continue
                write_version(connection, here, "loaded" if loaded else "current")
                if loaded:
                    self._ask(connection, here.source, here.private, stored=True)
                if rows and made:
                    self._take_rows(connection, record, here.source, rows, made, ids, seen=not loaded)
            if rows:
                rows.close()
            self._take_states(connection)
            places = get_setting(connection, TAKEN_OVER, [])
            set_setting(connection, TAKEN_OVER, [*places, _place(self._folder)])
            if made and not get_setting(connection, "index"):
                names = ("configured", "building")
                set_setting(
                    connection,
                    "index",
                    {"answers": made, "weights": weights, **{name: told.get(name) for name in names}},
                )
        return self._notes

    def _state(self, name: str) -> dict[str, Any]:
        path = self._folder / f"{name}.json"
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            return data if isinstance(data, dict) else {}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            self._notes.append(f"The file {path.name} was damaged ({error}), and is kept in {KEPT}.")
            return {}

    def _read(self, path: Path) -> Record | None:
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            documents = [(str(text), dict(metadata)) for text, metadata in data["documents"]]
            known = {name: value for name, value in data.items() if name in Record.__dataclass_fields__}
            return Record(**{**known, "documents": documents})
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            self._notes.append(
                f"A text was damaged ({path.name}: {' '.join(str(error).split())[:100]}), and is kept in {KEPT};"
                " add its source again."
            )
            return None

    def _with_file(self, connection: Connection, record: Record) -> Record:
        """The record under its new name, where it is a copy of a file; the copy goes into the database."""
        path = Path(record.source)
        if path.parent.parent.name != "files" or is_url(record.source):
            return record
        here = self._folder / "files" / path.parent.name / path.name
        if not here.exists():
            return record
        source = f"{PREFIX}{path.parent.name}/{path.name}"
        write_file(connection, source, pieces_of(here))
        return renamed(record, source)

    def _take_states(self, connection: Connection) -> None:
        library = self._state("library")
        removed, wanted = library.get("removed"), library.get("wanted")
        before = set(get_setting(connection, "removed", []))
        set_setting(connection, "removed", sorted(before | set(map(str, removed if isinstance(removed, list) else ()))))
        for source, told in (wanted if isinstance(wanted, dict) else {}).items():
            if isinstance(told, dict):
                self._ask(connection, source, bool(told.get("private")), reason=str(told.get("reason") or ""))

    @staticmethod
    def _ask(connection: Connection, source: str, private: bool, *, stored: bool = False, reason: str = "") -> None:
        if connection.execute(select(work.c.id).where(work.c.source == source)).first():
            return
        row = {"source": source, "private": private, "stored": stored, "reason": reason}
        connection.execute(work.insert().values(**row, depth=-1, limit=1, taken_by="", taken_until=0.0))

    # -- the old index -------------------------------------------------------------------------------------------

    def _old_rows(self, made: Made, weights: str) -> sqlite3.Connection | None:
        """The rows of the old index, as the child wrote them; None where it cannot be read."""
        chroma = self._folder / "chroma"
        if not (chroma / "chroma.sqlite3").exists():
            return None
        self._tell("reading the old index", 0, 0)
        target = self._scratch / "rows.sqlite"
        name = old_collection(made, weights)
        command, environment = child_command("export()", "rag.library.takeover", str(chroma), name, str(target))
        try:
            child = subprocess.run(
                command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=READ_SECONDS
            )
            if child.returncode == 0:
                return sqlite3.connect(target)
            log.warning("%s", child.stderr.decode(errors="replace")[-500:])
        except subprocess.TimeoutExpired:
            pass
        self._notes.append("The old index cannot be read: its texts are embedded again.")
        return None

    @staticmethod
    def _take_rows(
        connection: Connection,
        record: Record,
        name: str,
        old: sqlite3.Connection,
        made: Made,
        ids: tuple[int, int],
        *,
        seen: bool,
    ) -> None:
        """Write a source's old vectors; and its rows as a revision, where the record was `seen` and all are there."""
        index, model = ids
        found = old.execute(
            "SELECT metadata, text, vector FROM rows WHERE source = ? ORDER BY number", [record.source]
        ).fetchall()
        rows = [(json.loads(metadata), text, np.frombuffer(vector, "<f4")) for metadata, text, vector in found]
        write_vectors(connection, model, {str(row["digest"]): vector for row, _, vector in rows if "digest" in row})
        if not seen:
            return
        wanted = old_revision(record, made)
        own = [(row, text) for row, text, _ in rows if row.get("revision") == wanted]
        if not own or not own[-1][0].get("last") or [row["number"] for row, _ in own] != list(range(len(own))):
            return
        revision, number = secrets.token_hex(8), Database.next_number(connection)
        connection.execute(
            revisions.insert().values(
                id=revision, index_id=index, source=name, chunks=len(own), added=number, changed_at=time.time()
            )
        )
        insert_chunks(connection, revision, [Document(text, metadata={**row, "source": name}) for row, text in own])


def old_collection(made: Made, weights: str) -> str:
    """How versions before 0.2 named the collection of an index."""
    readable = re.sub(r"[^a-zA-Z0-9._-]+", "-", made.embeddings)[:80].strip("-._")
    splitter = made.chunk_size, made.chunk_overlap
    identity = hashlib.sha256(json.dumps([made.embeddings, weights, splitter]).encode()).hexdigest()[:10]
    return f"{readable}-{splitter[0]}-{splitter[1]}-{identity}"


def old_revision(record: Record, made: Made) -> str:
    """How versions before 0.2 named a version of a source in an index."""
    content = [record.source, record.documents, (made.chunk_size, made.chunk_overlap)]
    return hashlib.sha256(json.dumps(content, ensure_ascii=False, sort_keys=True).encode()).hexdigest()[:20]


def export() -> None:
    """The child of a takeover: copy the rows of an old collection into an SQLite file."""
    import chromadb

    folder, name, target = sys.argv[1:4]
    client = chromadb.PersistentClient(folder, chroma_settings())
    collection = client.get_collection(name)
    with sqlite3.connect(target) as database:
        database.execute("CREATE TABLE rows (source TEXT, number INTEGER, metadata TEXT, text TEXT, vector BLOB)")
        for offset in range(0, collection.count(), PAGE):
            page: Any = collection.get(include=["metadatas", "documents", "embeddings"], limit=PAGE, offset=offset)
            rows = zip(page["metadatas"], page["documents"], page["embeddings"], strict=True)
            database.executemany(
                "INSERT INTO rows VALUES (?, ?, ?, ?, ?)",
                [
                    (row.get("source"), row.get("number"), json.dumps(row), text, np.asarray(vector, "<f4").tobytes())
                    for row, text, vector in rows
                ],
            )
        database.execute("CREATE INDEX by_source ON rows (source)")
    os._exit(0)
