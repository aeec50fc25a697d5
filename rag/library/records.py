"""The sources in the database: a `current` version of each, and a `loaded` one while that is being indexed."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, func, select, true

from rag.library.database import Database
from rag.library.revisions import IndexedSource, Revisions
from rag.library.schema import documents, files, revisions, sources, version_is, work
from rag.sources.loader import Loaded
from rag.text.detect import document_languages

LOOKED_AT = 20
"""Documents of a source, such as pages, from whose text its language is told; the first ones."""
_VERSION_FIELDS = (
    "source",
    "title",
    "kind",
    "size",
    "etag",
    "last_modified",
    "found_at",
    "private",
    "loaded_at",
    "notes",
    "language",
)
"""Fields of `Record` that are columns of `sources`, by the same names."""
# Made once: to make these takes longer than the answer.
_VERSION = select(sources).where(version_is(bindparam("source"), bindparam("state")))
_DIGEST = _VERSION.with_only_columns(sources.c.digest)


@dataclass(frozen=True)
class Record:
    """One version of a source. `documents` are (text, metadata) pairs, `loaded_at` seconds since 1970, `size` bytes.

    `etag`, `last_modified` and `found_at` (the address after redirects) come from the web server and are sent back to
    it, to ask whether the page has changed. `private`: the operator named the source, so that it may be on this machine
    or network. `notes` say how it was read and what was left out; `language` has the codes
    of `rag.text.detect`, "" where none is sure.
    """

    source: str
    title: str
    documents: list[tuple[str, dict[str, Any]]]
    loaded_at: float = field(default_factory=time.time)
    kind: str = ""
    size: int = 0
    etag: str = ""
    last_modified: str = ""
    found_at: str = ""
    private: bool = False
    notes: list[str] = field(default_factory=list)
    language: str = ""

    @cached_property
    def digest(self) -> str:
        """A hash of the documents: two versions with the same one have the same chunks."""
        content = json.dumps([self.source, self.documents], ensure_ascii=False, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()


@dataclass(frozen=True)
class Found:
    """One document of a source: its `number` among them, text and metadata.

    `record` is the source's version without its documents, `digest` and `count` are those of all of them.
    """

    record: Record
    digest: str
    count: int
    number: int
    text: str
    metadata: dict[str, Any]


class Records:
    """Reads and writes sources with their documents; `revisions` has chunks and vectors. For any thread."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.revisions = Revisions(database)

    # -- sources -------------------------------------------------------------------------------------------------

    def read(self, source: str, state: str = "current") -> Record | None:
        """A version of a source with its documents; None where there is none."""
        with self.database.read() as connection:
            row = connection.execute(_VERSION, {"source": source, "state": state}).first()
            return _record(connection, row) if row else None

    def head(self, source: str) -> Record | None:
        """The current version of a source without its documents."""
        with self.database.read() as connection:
            row = connection.execute(_VERSION, {"source": source, "state": "current"}).first()
            return Record(documents=[], **_fields(row)) if row else None

    def find_document(
        self, source: str, *, page: int | None = None, title: str | None = None, number: int | None = None
    ) -> Found | None:
        """A document of the current version: by its place among them, or the first of a page and a title.

        None: there is no such source. A document that is not there has no text and the number -1.
        """
        wanted = documents.c.number == (number or 0)
        if number is None:
            of_page = documents.c.metadata["page"].as_integer() == page if page is not None else true()
            of_title = documents.c.metadata["title"].as_string() == title if title is not None else true()
            wanted = and_(of_page, of_title)
        with self.database.read() as connection:
            row = connection.execute(_VERSION, {"source": source, "state": "current"}).first()
            if row is None:
                return None
            own = documents.c.source_id == row.id
            count = connection.execute(select(func.count()).where(own)).scalar_one()
            query = select(documents).where(own, wanted).order_by(documents.c.number).limit(1)
            found = connection.execute(query).first()
            version = Record(documents=[], **_fields(row))
        if found is None:
            return Found(version, row.digest, count, -1, "", {})
        return Found(version, row.digest, count, found.number, found.text, dict(found.metadata))

    def digest(self, source: str) -> str:
        """The digest of the current version of a source; "" where there is none."""
        with self.database.read() as connection:
            return str(connection.execute(_DIGEST, {"source": source, "state": "current"}).scalar() or "")

    def names(self) -> list[str]:
        """The sources that have a current version."""
        query = select(sources.c.source).where(sources.c.state == "current").order_by(sources.c.id)
        with self.database.read() as connection:
            return list(connection.execute(query).scalars())

    def write_loaded(self, record: Record, holder: str = "") -> None:
        """Keep a new version beside the current one, until it is indexed.

        `holder` has taken the work on it; whoever takes it up again need not fetch the source.
        """
        with self.database.write() as connection:
            write_version(connection, record, "loaded")
            mine = and_(work.c.source == record.source, work.c.taken_by == holder)
            connection.execute(work.update().where(mine).values(stored=True))

    def drop_loaded(self, source: str) -> None:
        """Forget a new version that is not indexed; the current one stays."""
        with self.database.write() as connection:
            connection.execute(sources.delete().where(version_is(source, "loaded")))

    def update(self, record: Record) -> bool:
        """Store the new facts, such as an ETag, of a version whose documents are those of the current one.

        Every field of `_VERSION_FIELDS` is compared and written over. False: nothing but the time of loading is new,
        and that is left as it was.
        """
        told = {name: getattr(record, name) for name in _VERSION_FIELDS if name != "source"}
        with self.database.read() as connection:
            rows = connection.execute(select(sources).where(sources.c.source == record.source)).all()
            known = [{**_fields(row), "loaded_at": record.loaded_at} for row in rows]
            if known == [{**told, "source": record.source}]:
                return False
        with self.database.write() as connection:
            connection.execute(sources.delete().where(version_is(record.source, "loaded")))
            connection.execute(sources.update().where(version_is(record.source, "current")).values(told))
        return True

    def remove(self, names: Sequence[str]) -> None:
        """Forget sources: every version, its chunks in every index, what is asked for it, and an uploaded file."""
        with self.database.write() as connection:
            number = self.database.next_number(connection)
            seen = and_(revisions.c.source.in_(names), revisions.c.removed.is_(None))
            now = self.database.now(connection)
            connection.execute(revisions.update().where(seen).values(removed=number, changed_at=now))
            for table in (sources, work, files):
                connection.execute(table.delete().where(table.c.source.in_(names)))


def write_version(connection: Connection, record: Record, state: str) -> None:
    """Write a version of a source, in place of the one of that state."""
    connection.execute(sources.delete().where(version_is(record.source, state)))
    insert_version(connection, record, state)


def insert_version(connection: Connection, record: Record, state: str) -> None:
    """Write a version of a source that has none of that state."""
    told = {name: getattr(record, name) for name in _VERSION_FIELDS}
    made = connection.execute(sources.insert(), {"state": state, "digest": record.digest, **told})
    key = made.inserted_primary_key
    assert key is not None
    rows = [
        {"source_id": key[0], "number": number, "text": text, "metadata": metadata}
        for number, (text, metadata) in enumerate(record.documents)
    ]
    if rows:
        connection.execute(documents.insert(), rows)


def indexed(record: Record, revision: str, chunks: int) -> IndexedSource:
    """The source as questions see it once a revision of so many chunks is."""
    return IndexedSource(
        source=record.source,
        title=record.title or record.source,
        chunks=chunks,
        revision=revision,
        kind=record.kind,
        size=record.size,
        loaded_at=record.loaded_at,
        notes=tuple(record.notes),
        language=record.language,
    )


def as_record(source: str, loaded: Loaded, *, private: bool) -> Record:
    """A source as it was loaded, to be stored."""
    notes = loaded.documents[0].metadata.pop("notes", []) if loaded.documents else []
    return Record(
        source,
        _storable(loaded.title or source),
        [(_storable(item.page_content), item.metadata) for item in loaded.documents],
        kind=loaded.kind,
        size=loaded.size,
        etag=loaded.etag,
        last_modified=loaded.last_modified,
        found_at=loaded.found_at,
        private=private,
        notes=[_storable(note) for note in notes],
        language=document_languages("\n".join(item.page_content for item in loaded.documents[:LOOKED_AT])),
    )


def _storable(text: str) -> str:
    """The text without what a database cannot hold: NUL, and halves of surrogate pairs."""
    return text.replace("\x00", "").encode("utf-8", "ignore").decode()


def renamed(record: Record, source: str) -> Record:
    """The same version under another source's name."""
    told = [(text, {**metadata, "source": source}) for text, metadata in record.documents]
    return replace(record, source=source, documents=told)


def _record(connection: Connection, row: Row[Any]) -> Record:
    query = select(documents.c.text, documents.c.metadata).where(documents.c.source_id == row.id)
    texts = [(text, metadata) for text, metadata in connection.execute(query.order_by(documents.c.number))]
    return Record(documents=texts, **_fields(row))


def _fields(row: Row[Any]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _VERSION_FIELDS}
