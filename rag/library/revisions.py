"""The chunks of sources in each index, and their vectors, in the database.

Each index has the chunks of a source's version as a revision. A revision is written chunk by chunk, unseen, and takes
over in one transaction: `added` is set on it and `removed` on the one before, both to the number of that change. A
removed revision stays for a moment, since a question may be reading it, and is then deleted by `IndexWriter.clean`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from langchain_core.documents import Document
from numpy.typing import NDArray
from sqlalchemy import BindParameter, Connection, Row, Select, and_, bindparam, exists, func, or_, select

from rag.library.database import Database
from rag.library.schema import chunks, models, revisions, sources, vectors
from rag.library.schema import indexes as index_table
from rag.text.language import ENGLISH

Vector = NDArray[np.float32]
PAGE = 1000
"""Rows in one statement: SQLite takes 32,766 values, PostgreSQL 65,535."""
LOOKED_UP = 100
"""Chunks in one statement that names each: SQLite takes conditions a thousand deep."""
LOOKED_UP_STEP = 10
"""Statements are for multiples of so many chunks: to make one of another length takes longer than the answer."""


class Made(NamedTuple):
    """What an index is made with: the embedding model as `provider:model`, characters in a chunk and shared by two."""

    embeddings: str
    chunk_size: int
    chunk_overlap: int


@dataclass(frozen=True)
class IndexedSource:
    """A source that answers can be drawn from. `revision` names its chunks."""

    source: str
    title: str
    chunks: int
    revision: str
    kind: str = ""
    size: int = 0
    loaded_at: float = 0.0
    notes: tuple[str, ...] = ()
    language: str = ""
    """Codes of `rag.text.detect` with a blank between them; "" where none is sure."""

    @property
    def languages(self) -> list[str]:
        """The languages of its text; English where none is sure."""
        return self.language.split() or [ENGLISH]


@dataclass(frozen=True)
class Changes:
    """What has changed in an index up to change `number`: revisions removed, and sources of those that are seen now."""

    number: int
    removed: list[str]
    added: list[IndexedSource]
    hidden: frozenset[str]
    """All revisions that exist and that questions may not see: being written, or removed and not deleted yet."""


def chunk_id(revision: str, number: int) -> str:
    """A chunk's id in Chroma and in the index of words."""
    return f"{revision}-{number:06d}"


def split_id(chunk: str) -> tuple[str, int]:
    """The revision and the number in a chunk's id."""
    revision, _, number = chunk.rpartition("-")
    return revision, int(number)


class Revisions:
    """Reads revisions, chunks and vectors, which `IndexWriter` writes. Every method may be called from any thread."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def index_of(self, made: Made, weights: str) -> tuple[int, int]:
        """The ids of an index and of its embedding model, both made at need."""
        with self.database.write() as connection:
            model = self.model_of(connection, made.embeddings, weights)
            size, overlap = made.chunk_size, made.chunk_overlap
            return _id_of(connection, index_table, model_id=model, chunk_size=size, chunk_overlap=overlap), model

    @staticmethod
    def model_of(connection: Connection, name: str, weights: str) -> int:
        """The id of an embedding model, made at need."""
        return _id_of(connection, models, name=name, weights=weights)

    def missing(self, index: int) -> list[str]:
        """The sources whose current version has no revision in an index."""
        there = exists().where(
            revisions.c.index_id == index,
            revisions.c.source == sources.c.source,
            revisions.c.added.is_not(None),
            revisions.c.removed.is_(None),
        )
        query = select(sources.c.source).where(sources.c.state == "current", ~there).order_by(sources.c.id)
        with self.database.read() as connection:
            return list(connection.execute(query).scalars())

    def changes(self, index: int, since: int) -> Changes:
        """What has changed in an index since a number; since -1: all of it."""
        about = [sources.c.title, sources.c.kind, sources.c.size, sources.c.loaded_at, sources.c.notes]
        about.append(sources.c.language)
        joined = revisions.outerjoin(
            sources, and_(sources.c.source == revisions.c.source, sources.c.state == "current")
        )
        columns = [revisions.c.source, revisions.c.id.label("revision"), revisions.c.chunks]
        added = (
            select(*columns, *about)
            .select_from(joined)
            .where(revisions.c.index_id == index, revisions.c.added > since, revisions.c.removed.is_(None))
            .order_by(revisions.c.added)
        )
        mine = revisions.c.index_id == index
        unseen = or_(revisions.c.added.is_(None), revisions.c.removed.is_not(None))
        with self.database.read() as connection:
            number = self.database.number(connection)
            hidden = connection.execute(select(revisions.c.id, revisions.c.removed).where(mine, unseen)).all()
            found = [
                IndexedSource(
                    source=row.source,
                    title=row.title or row.source,
                    chunks=row.chunks,
                    revision=row.revision,
                    kind=row.kind or "",
                    size=row.size or 0,
                    loaded_at=row.loaded_at or 0.0,
                    notes=tuple(row.notes or ()),
                    language=row.language or "",
                )
                for row in connection.execute(added)
            ]
        gone = [revision for revision, removed in hidden if removed is not None and removed > since]
        return Changes(number, gone, found, frozenset(revision for revision, _ in hidden))

    # -- chunks and vectors --------------------------------------------------------------------------------------

    def passages(self, ids: Sequence[str], number: int) -> dict[str, Document]:
        """The chunks with these ids that questions see at a number, by id."""
        found: dict[str, Document] = {}
        with self.database.read() as connection:
            for start in range(0, len(ids), LOOKED_UP):
                places = [split_id(each) for each in ids[start : start + LOOKED_UP]]
                places += places[-1:] * (-len(places) % LOOKED_UP_STEP)
                given: dict[str, str | int] = {"seen": number}
                for at, (revision, place) in enumerate(places):
                    given |= {f"revision{at}": revision, f"number{at}": place}
                for row in connection.execute(_look_up(len(places)), given):
                    chunk = _chunk(row)
                    found[str(chunk.id)] = chunk
        return found

    def chunks_of(self, revision: str) -> list[Document]:
        """All chunks of a revision, in reading order."""
        query = select(chunks).where(chunks.c.revision == revision).order_by(chunks.c.number)
        with self.database.read() as connection:
            return [_chunk(row) for row in connection.execute(query)]

    def vectors(self, model: int, digests: Iterable[str]) -> dict[str, Vector]:
        """The vectors that are there, by the digest of the text that was embedded."""
        found: dict[str, Vector] = {}
        wanted = list(dict.fromkeys(digests))
        with self.database.read() as connection:
            for start in range(0, len(wanted), PAGE):
                page = wanted[start : start + PAGE]
                query = select(vectors.c.digest, vectors.c.vector).where(
                    vectors.c.model_id == model, vectors.c.digest.in_(page)
                )
                found |= {digest: np.frombuffer(vector, "<f4") for digest, vector in connection.execute(query)}
        return found

    def seen_vectors(
        self, index: int, model: int, number: int, scope: Iterable[str] = ()
    ) -> Iterator[list[tuple[str, str, str, Vector]]]:
        """(chunk id, source, digest, vector) of all chunks of an index that questions see at a number, page by page."""
        seen = and_(revisions.c.added <= number, or_(revisions.c.removed.is_(None), revisions.c.removed > number))
        query = (
            select(chunks.c.revision, chunks.c.number, revisions.c.source, chunks.c.digest, vectors.c.vector)
            .select_from(revisions)
            .join(chunks, chunks.c.revision == revisions.c.id)
            .join(vectors, and_(vectors.c.digest == chunks.c.digest, vectors.c.model_id == model))
            .where(revisions.c.index_id == index, seen)
        )
        if names := list(scope):
            query = query.where(revisions.c.source.in_(names))
        with self.database.read() as connection:
            rows = connection.execution_options(yield_per=PAGE).execute(query)
            for page in rows.partitions():
                yield [
                    (chunk_id(revision, place), source, digest, np.frombuffer(vector, "<f4"))
                    for revision, place, source, digest, vector in page
                ]

    def revisions_of(self, index: int) -> set[str]:
        """All revisions of an index, also those that no question sees."""
        with self.database.read() as connection:
            return set(connection.execute(select(revisions.c.id).where(revisions.c.index_id == index)).scalars())

    def count(self, index: int) -> int:
        """Chunks that Chroma must hold of an index: those of every revision that was ever seen and is not deleted."""
        query: Select[Any] = select(func.coalesce(func.sum(revisions.c.chunks), 0)).where(
            revisions.c.index_id == index, revisions.c.added.is_not(None)
        )
        with self.database.read() as connection:
            return int(connection.execute(query).scalar_one())


@cache
def _look_up(count: int) -> Select[Any]:
    """The query for so many chunks by their ids.

    It is not `(revision, number) IN ...`: SQLite reads every chunk of the library for that.
    """
    places = (
        and_(chunks.c.revision == bindparam(f"revision{at}"), chunks.c.number == bindparam(f"number{at}"))
        for at in range(count)
    )
    number: BindParameter[int] = bindparam("seen")
    seen = and_(revisions.c.added <= number, or_(revisions.c.removed.is_(None), revisions.c.removed > number))
    return select(chunks).join(revisions, revisions.c.id == chunks.c.revision).where(or_(*places), seen)


def _chunk(row: Row[Any]) -> Document:
    own = {"revision": row.revision, "number": row.number, "digest": row.digest}
    return Document(row.text, metadata={**row.metadata, **own}, id=chunk_id(row.revision, row.number))


def _id_of(connection: Connection, table: Any, **values: Any) -> int:
    found = connection.execute(select(table.c.id).where(*(table.c[name] == value for name, value in values.items())))
    row = found.first()
    if row is None:
        row = connection.execute(table.insert().values(**values).returning(table.c.id)).one()
    return int(row[0])
