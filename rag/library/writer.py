"""The writing of one index: a source's chunks, vectors and words are stored, and questions see them all at once.

Each version of a source that an index has is a revision there. Its rows go to Chroma, and its chunks and vectors into
the database, while no question sees it. One transaction, whose change has a number, lets it take over: questions see it
with its words from then on. A revision that is removed, or that was left by a process that was killed, is deleted by
`clean`.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence

import numpy as np
from langchain_core.documents import Document
from sqlalchemy import Connection, and_, bindparam, exists, func, or_, select

from rag.library.index import SearchIndex
from rag.library.records import Record, indexed, insert_version
from rag.library.revisions import PAGE, Vector, chunk_id
from rag.library.schema import chunks, revisions, sources, vectors, version_is, work

_THERE = select(vectors.c.digest).where(
    vectors.c.model_id == bindparam("model"), vectors.c.digest.in_(bindparam("digests", expanding=True))
)
GRACE_SECONDS = 15.0
"""Chunks that questions do not see any more are left so long for other replicas, which may not know it yet."""


class IndexWriter:
    """Writes to one index. Every method may be called from any thread."""

    def __init__(self, index: SearchIndex) -> None:
        self._index, self._database = index, index.records.database

    def add(self, record: Record, pieces: Sequence[Document], by_digest: Mapping[str, Vector], holder: str) -> bool:
        """Let questions see a source that is new, whole: as `begin`, `write` and `publish`, in one transaction.

        Each of the `pieces` has its `digest`, and gets its `number`. False: as `publish`.
        """
        revision, number = secrets.token_hex(8), 0
        for place, piece in enumerate(pieces):
            piece.metadata["number"] = place
        new = _vectors_of(pieces, by_digest)
        self._index.hide(revision)
        try:
            self._write_rows(revision, record.source, pieces, new)
            if number := self._add(revision, record, pieces, new, holder):
                self._index.show(number, indexed(record, revision, len(pieces)), pieces)
            else:
                self._index.follow()
        finally:
            if not number:
                self._index.vectors.delete(revision)
            self.end(revision)
        return bool(number)

    def _add(
        self, revision: str, record: Record, pieces: Sequence[Document], new: Mapping[str, Vector], holder: str
    ) -> int:
        """The number of the change; 0: `holder` has lost the work on the source, so that nothing was written."""
        with self._database.write() as connection:
            number, now = self._database.next_number(connection), self._database.now(connection)
            if not _end_work(connection, record.source, holder):
                return 0
            same = sources.c.source == record.source
            if connection.execute(select(sources.c.id).where(same)).first():
                _end_revisions(connection, record.source, number, now)
                connection.execute(sources.delete().where(same))
            insert_version(connection, record, "current")
            told = {"id": revision, "index_id": self._index.id, "source": record.source, "chunks": len(pieces)}
            connection.execute(revisions.insert(), {**told, "added": number, "changed_at": now})
            write_vectors(connection, self._index.model, new)
            insert_chunks(connection, revision, pieces)
        return number

    def begin(self, source: str) -> str:
        """Make ready to write a revision of a source, unseen. Returns its id."""
        revision = secrets.token_hex(8)
        with self._database.write() as connection:
            told = {"id": revision, "index_id": self._index.id, "source": source, "chunks": 0}
            connection.execute(revisions.insert(), {**told, "changed_at": self._database.now(connection)})
        self._index.hide(revision)
        return revision

    def write(self, revision: str, source: str, pieces: Sequence[Document], by_digest: Mapping[str, Vector]) -> None:
        """Add chunks with their vectors to a revision; each has its `number` and `digest` in its metadata."""
        new = _vectors_of(pieces, by_digest)
        with self._database.write() as connection:
            write_vectors(connection, self._index.model, new)
            insert_chunks(connection, revision, pieces)
        self._write_rows(revision, source, pieces, new)

    def _write_rows(
        self, revision: str, source: str, pieces: Sequence[Document], by_digest: Mapping[str, Vector]
    ) -> None:
        digests = [str(piece.metadata["digest"]) for piece in pieces]
        rows = [
            (chunk_id(revision, piece.metadata["number"]), source, digest, by_digest[digest])
            for piece, digest in zip(pieces, digests, strict=True)
        ]
        self._index.vectors.add(rows, wait=self._index.holds_vectors)

    def publish(self, revision: str, record: Record, *, holder: str = "", new: bool = True) -> bool:
        """Let questions see a revision that is written whole, in place of the one before.

        `new`: the record is the loaded version, which becomes the current one; every other index then lacks it.
        `holder`: the work on the source must still be taken by this one, and ends with it.
        False: it is not wanted any more. Meanwhile the source was removed, its work cancelled or taken by another
        process, or another version of it was loaded.
        """
        shown = self._publish(revision, record, holder, new=new)
        self._index.follow()
        return shown

    def _publish(self, revision: str, record: Record, holder: str, *, new: bool) -> bool:
        source = record.source
        with self._database.write() as connection:
            number, now = self._database.next_number(connection), self._database.now(connection)
            if not _end_work(connection, source, holder):
                return False
            wanted = version_is(source, "loaded" if new else "current")
            version = connection.execute(select(sources.c.id, sources.c.digest).where(wanted)).first()
            if version is None or version.digest != record.digest:
                return False
            _end_revisions(connection, source, number, now, None if new else self._index.id)
            count = select(func.count()).select_from(chunks).where(chunks.c.revision == revision).scalar_subquery()
            shown = revisions.update().where(revisions.c.id == revision)
            if not connection.execute(shown.values(added=number, changed_at=now, chunks=count)).rowcount:
                return False
            if new:
                connection.execute(sources.delete().where(version_is(source, "current")))
                connection.execute(sources.update().where(sources.c.id == version.id).values(state="current"))
        return True

    def end(self, revision: str) -> None:
        """Note that a revision is written no more: from now on `clean` may delete it, unless questions see it."""
        self._index.writing.discard(revision)

    def clean(self) -> None:
        """Delete the chunks that no question can see any more."""
        if not self._index.seen.hidden:
            return
        for revision in self._garbage():
            self._index.vectors.delete(revision)
            own = select(chunks.c.digest).where(chunks.c.revision == revision)
            other = exists().where(chunks.c.digest == vectors.c.digest, chunks.c.revision != revision)
            with self._database.write() as connection:
                lonely = and_(vectors.c.model_id == self._index.model, vectors.c.digest.in_(own), ~other)
                connection.execute(vectors.delete().where(lonely))
                connection.execute(chunks.delete().where(chunks.c.revision == revision))
                connection.execute(revisions.delete().where(revisions.c.id == revision))
        self._index.follow()

    def _garbage(self) -> list[str]:
        """The revisions that nobody needs: removed some time ago, or left by an attempt that ended."""
        grace = GRACE_SECONDS if self._database.shared else 0.0
        with self._database.read() as connection:
            asked = exists().where(work.c.source == revisions.c.source, work.c.reason == "")
            loaded = exists().where(sources.c.source == revisions.c.source, sources.c.state == "loaded")
            ended = revisions.c.id.not_in(list(self._index.writing))
            left = and_(
                revisions.c.added.is_(None), ~asked, ~loaded, ended
            )  # kept for a source that is to be tried again, which then finds its vectors
            unseen = or_(revisions.c.removed.is_not(None), left)
            old = revisions.c.changed_at <= self._database.now(connection) - grace
            query = select(revisions.c.id).where(revisions.c.index_id == self._index.id, unseen, old)
            return list(connection.execute(query).scalars())

    def write_waiting(self) -> None:
        """Write the rows of Chroma and the words that were kept back so as to write many at once.

        Raises:
            StoreError: Chroma failed; says what to do.
        """
        self._index.settled()
        self._index.vectors.write_waiting()


def _vectors_of(pieces: Sequence[Document], by_digest: Mapping[str, Vector]) -> dict[str, Vector]:
    return {digest: by_digest[digest] for digest in (str(piece.metadata["digest"]) for piece in pieces)}


def _end_work(connection: Connection, source: str, holder: str) -> bool:
    """Delete the row of work on a source. False: a `holder` is given, and has lost that work."""
    mine = and_(work.c.source == source, work.c.taken_by == holder)
    return not holder or bool(connection.execute(work.delete().where(mine)).rowcount)


def _end_revisions(connection: Connection, source: str, number: int, now: float, index: int | None = None) -> None:
    """From change `number` on, questions see no revision of a source, in one index or in all, that they saw before."""
    seen = [revisions.c.source == source, revisions.c.added.is_not(None), revisions.c.removed.is_(None)]
    seen += [] if index is None else [revisions.c.index_id == index]
    connection.execute(revisions.update().where(*seen).values(removed=number, changed_at=now))


def insert_chunks(connection: Connection, revision: str, pieces: Sequence[Document]) -> None:
    """Write chunks of a revision; each has its `number` and `digest` in its metadata."""
    own = ("number", "digest", "revision")
    rows = [
        {
            "revision": revision,
            "number": piece.metadata["number"],
            "digest": piece.metadata["digest"],
            "text": piece.page_content,
            "metadata": {key: value for key, value in piece.metadata.items() if key not in own},
        }
        for piece in pieces
    ]
    if rows:
        connection.execute(chunks.insert(), rows)


def write_vectors(connection: Connection, model: int, new: Mapping[str, Vector]) -> None:
    """Write vectors by the digest of their text; those that are there stay."""
    names = list(new)
    there: set[str] = set()
    for start in range(0, len(names), PAGE):
        there |= set(connection.execute(_THERE, {"model": model, "digests": names[start : start + PAGE]}).scalars())
    rows = [
        {"model_id": model, "digest": digest, "vector": np.asarray(new[digest], "<f4").tobytes()}
        for digest in names
        if digest not in there
    ]
    if rows:
        connection.execute(vectors.insert(), rows)
