"""An index on a Chroma server, that several replicas write to and read; see `rag.library.shared`."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from rag.library.server_words import KEY, SPARE, ServerWords, schema, sparse
from rag.library.shared import SharedFolder, attempt, content_of, key_of, short_of
from rag.library.store import IndexedSource, Record, Store, as_store_error
from rag.library.words import Words

if TYPE_CHECKING:
    from chromadb import Search
    from chromadb.api import ClientAPI
    from langchain_core.documents import Document


class SharedStore(Store):
    """An index on a Chroma server that several replicas write to and read."""

    folder: SharedFolder

    def __init__(self, folder: SharedFolder, *args: Any, **kwargs: Any) -> None:
        self._attempts: dict[str, str] = {}
        self._shown: set[str] = set()
        self._name = ""
        self._seen = 0
        self._server_words: ServerWords | None = None
        super().__init__(folder, *args, **kwargs)

    @override
    def _connect(self) -> ClientAPI:
        return self.folder.client

    @override
    def close(self) -> None:
        """The connection is the folder's."""

    @override
    def _open(self, name: str) -> Any:
        """With an index of words, where the server has such; it is another one, as every row has to have its words."""
        from chromadb.errors import InvalidArgumentError

        self._name = name
        with_words = f"{name}-{KEY}"
        try:
            opened = self._client.get_or_create_collection(with_words, schema=schema(), embedding_function=None)
        except InvalidArgumentError:  # "Sparse vector indexing is not enabled in local"
            return super()._open(name)
        if opened.schema is None or KEY not in opened.schema.keys:  # a server that knows nothing of schemas
            return super()._open(name)
        self._name = with_words
        self._server_words = ServerWords(self._search, lambda row: row.rpartition("-")[0] in self._shown)
        return opened

    def _search(self, searches: list[Search]) -> list[list[str]]:
        try:
            found: list[list[str]] = self._collection.search(searches)["ids"]
        except BaseException as error:
            raise as_store_error(error) from error
        return found

    @override
    def words(self) -> Words:
        return self._server_words or super().words()

    @override
    def _row(self, chunk: Document, revision: str) -> dict[str, Any]:
        from rag.library.splitter import embedded_text  # which needs `rag.library.store`

        row = super()._row(chunk, revision)
        return row | {KEY: sparse(embedded_text(chunk))} if self._server_words else row

    @override
    def _take_stock(self) -> tuple[dict[str, IndexedSource], frozenset[str]]:
        self.folder.poll()
        self._seen = len(self.folder.changed)
        found = {source: item for source in list(self.folder.heads) if (item := self._now(source))}
        self._shown = {item.revision for item in found.values()}
        return found, frozenset()

    @property
    def _live(self) -> dict[str, dict[str, Any]]:
        return self.folder.live.get(self._name, {})

    def _now(self, source: str) -> IndexedSource | None:
        """What answers for a source, as of the last poll."""
        head, live = self.folder.heads.get(source), self._live.get(source)
        if head is None or live is None or head["removed"] or head["content"] != live["content"]:
            return None
        return IndexedSource(
            source,
            str(head["title"]),
            int(live["chunks"]),
            str(live["revision"]),
            str(head["type"]),
            int(head["size"]),
            float(head["loaded_at"]),
        )

    @override
    def has(self, record: Record) -> bool:
        head, live = self.folder.heads.get(record.source), self._live.get(record.source)
        if head is None or live is None or head["removed"]:
            return False
        return bool(live["content"] == head["content"] == content_of(record))

    @override
    def missing(self) -> list[str]:
        return [name for name, head in list(self.folder.heads.items()) if not head["removed"] and not self._now(name)]

    @override
    def follow(self) -> None:
        self.folder.poll()
        with self._changing:
            upto = len(self.folder.changed)
            self._see(set(self.folder.changed[self._seen : upto]))
            self._seen = upto

    def _see(self, sources: Iterable[str]) -> None:
        """Bring what questions see up to date for these sources."""
        fresh: dict[str, IndexedSource] = {}
        gone = set()
        for source in sources:
            old, new = self._sources.get(source), self._now(source)
            if old == new:
                continue
            if new and (old is None or old.revision != new.revision):
                fresh[source] = new
            elif new:
                self._sources[source] = new
            else:
                gone.add(source)
        if not fresh and not gone:
            return
        if self._words is not None:
            rows = [row for item in fresh.values() for row in self._texts({"revision": item.revision})]
            self._words.fill(rows, gone=fresh.keys() | gone)
        old_revisions = {self._sources[each].revision for each in fresh.keys() | gone if each in self._sources}
        for source in gone:
            self._sources.pop(source, None)
        self._sources |= fresh
        self._shown = {item.revision for item in self._sources.values()}
        self._hidden = (self._hidden | old_revisions) - self._shown
        if self._server_words:
            self._server_words.forget()

    @override
    def catch_up(self) -> None:
        self.folder.poll()
        with self._changing:
            self._see({*self._sources, *self.folder.heads})

    # -- searching -----------------------------------------------------------------------------------------------

    @override
    def nearest(self, vector: Any, most: int, hidden: Collection[str], sources: Collection[str] = ()) -> list[Document]:
        """More are asked for, and those that do not answer left out here: the server's own filter reads every row."""
        rows = super().nearest(vector, most + SPARE, (), sources)
        shown = [row for row in rows if row.metadata.get("revision") in self._shown]
        if len(shown) >= most or len(rows) < most + SPARE:
            return shown[:most]
        return self._filtered(vector, most, hidden, sources)

    def _filtered(self, vector: Any, most: int, hidden: Collection[str], sources: Collection[str]) -> list[Document]:
        """Where so many near rows do not answer that it has to be the server that leaves them out."""
        while True:
            rows = super().nearest(vector, most, hidden, sources)
            unknown = {str(row.metadata.get("revision")) for row in rows} - self._shown
            if not unknown:
                return rows
            with self._changing:
                self._hidden |= unknown - self._shown
            hidden = {*hidden, *unknown}

    @override
    def near_documents(
        self, vector: list[float], most: int, filter: dict[str, Any] | None, **more: Any
    ) -> list[Document]:
        if filter and set(filter) != {"source"}:
            found = super().near_documents(vector, most, filter, **more)
            return [item for item in found if item.metadata.get("revision") in self._shown]
        scope = filter["source"]["$in"] if filter else ()
        return self.look(lambda hidden: self.nearest(vector, most, hidden, scope))

    @override
    def rows(self, ids: Sequence[str], hidden: Collection[str]) -> list[Document]:
        return [row for row in super().rows(ids, hidden) if row.metadata.get("revision") in self._shown]

    @override
    def _texts(self, where: dict[str, Any] | None) -> Iterator[tuple[str, str, str]]:
        """By revisions and not by pages of all rows, which others are changing."""
        if where is not None and "$nin" not in str(where):
            yield from super()._texts(where)
            return
        part: list[str] = []
        chunks = 0
        for item in [*self._sources.values(), None]:
            if part and (item is None or chunks + item.chunks > self.folder.page):
                yield from super()._texts({"revision": {"$in": part}})
                part, chunks = [], 0
            if item is not None:
                part.append(item.revision)
                chunks += item.chunks

    # -- writing -------------------------------------------------------------------------------------------------

    @override
    def begin(self, record: Record) -> str:
        revision = f"{record.revision(self.splitter)}.{os.urandom(6).hex()}"
        self.folder.check_turn(record.source)
        self.folder.note_attempt(self._name, record.source, revision)
        self._attempts[record.source] = revision
        self.hide(revision)
        return revision

    @override
    def add(self, revision: str, chunks: Sequence[Document], vectors: Sequence[Sequence[float]]) -> None:
        self.folder.check_turn(str(chunks[0].metadata["source"]))
        super().add(revision, chunks, vectors)

    @override
    def swap(self, record: Record, chunks: int, *, finish: bool = True) -> bool:
        revision = self._attempts.pop(record.source)
        now = self.folder.now()
        key = key_of(record.source)
        live: dict[str, Any] = {"kind": "live", "index": self._name, "source": record.source}
        live["content"] = content_of(record)
        live |= {"revision": revision, "chunks": chunks, "changed": now}
        rows: dict[str, tuple[dict[str, Any], str]] = {f"live-{short_of(self._name)}-{key}": (live, "")}
        old = self._live.get(record.source)
        if old is not None and old["revision"] != revision:
            rows[f"attempt-{old['revision']}"] = (attempt(self._name, record.source, str(old["revision"]), now), "")
        if not self.folder.publish(record.source, rows, finish=finish):
            return False
        with self._changing:
            self._see([record.source])
        self.folder.drop_attempt(revision)
        return True

    @override
    def forget(self, source: str) -> str:
        with self._changing:
            live = self._live.get(source)
            if live is not None:
                revision = str(live["revision"])
                self.folder.put({f"attempt-{revision}": (attempt(self._name, source, revision, self.folder.now()), "")})
            self.folder.remove(source)
            self._see([source])
        return ""  # its rows are deleted once every replica has heard of it

    @override
    def discard(self, revision: str) -> None:
        super().discard(revision)
        self.folder.drop_attempt(revision)

    @override
    def trim(self, revision: str, chunks: int) -> None:
        """Each attempt has rows of its own."""

    @override
    def clean(self) -> None:
        forsaken, silent = self.folder.attempts(self._name)
        with self._changing:
            self._hidden &= silent  # the rows of others are gone
        for row in forsaken:
            live = self._now(str(row["source"]))
            if live is not None and live.revision == row["revision"]:
                self.folder.drop_attempt(live.revision)
            else:
                self.discard(str(row["revision"]))
