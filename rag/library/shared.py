"""The library on a Chroma server, shared by any number of replicas of the app; nothing that matters is on their disks.

Beside each index (a collection, as on disk) the server has one more collection, whose rows hold what the data folder
does. Their vectors mean nothing.

    record-KEY           a source: title, kind, what its server said, which text is its text; stays when it is removed
    new-KEY              the same, loaded but not yet indexed whole
    text-KEY-HASH-n      the pieces of a text (JSON, compressed), as large as Chroma Cloud takes them
    live-INDEX-KEY       which rows of an index answer for the source
    attempt-REVISION     rows that do not answer (yet, or any more): whoever finds them forsaken deletes them
    wanted-KEY           whether the source waits, failed, is there, or was removed
    lease-KEY-n          whose turn it is to load and index the source, and until when by the server's clock
    file-KEY, state-NAME copies of files given on the page; small things to remember

A new version takes over by one upsert of its record and live row, so that it is there whole or not at all. Each attempt
at indexing writes rows of its own, so that a replica that lost its turn and does not know it yet spoils nothing. A turn
is taken by `add`, which leaves an id that exists as it is: of two that add at once, one finds its own name there.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import os
import socket
import threading
import time
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
from typing_extensions import override

from rag.errors import RagError, StoreError, StoreUnreachable
from rag.library.store import (
    Asked,
    DataFolder,
    Record,
    chroma_settings,
)
from rag.settings import Settings

if TYPE_CHECKING:
    from chromadb.api import ClientAPI
    from chromadb.api.models.Collection import Collection as Rows

log = logging.getLogger(__name__)

RECORDS = "local-rag-chat-records"
LEASE_SECONDS = 15.0
"""A replica that is killed loses its turn after so long; one that lives renews it at every third of that."""
GRACE_SECONDS = 15.0
"""Rows that do not answer any more are left so long, for replicas that have not heard of it yet."""
OVERLAP_SECONDS = 90.0
"""How far back each look at the changes reaches: longer than any call lasts, so that none that came late is missed."""
CONNECT_SECONDS, ANSWER_SECONDS = 5.0, 30.0
PIECE = 12_000
"""Characters of base64 in one row; Chroma Cloud takes 16 kB."""
CLOUD = "trychroma.com"
CLOUD_PAGE = 300
"""Rows that Chroma Cloud takes or gives in one call (docs.trychroma.com/cloud/quotas-limits)."""

KEPT_KINDS = ["record", "live", "wanted", "state"]
"""Rows that are never deleted, so that reading them page by page misses none."""


@dataclass(frozen=True)
class Wanted:
    """A source that is asked for on some replica."""

    source: str
    private: bool
    depth: int = -1
    limit: int = 1


def connect(settings: Settings) -> ClientAPI:
    """A client of the settings' Chroma server, with a limit on every wait; Chroma's own waits for ever.

    Raises:
        StoreError: there is none, or it refuses; says what to do.
    """
    from chromadb.api.client import Client
    from chromadb.config import DEFAULT_DATABASE, DEFAULT_TENANT

    url = str(settings.chroma_url)

    class Session(httpx.Client):
        """Says what is wrong in the app's own words."""

        def request(self, *args: Any, **kwargs: Any) -> httpx.Response:
            try:
                return super().request(*args, **kwargs)
            except httpx.TimeoutException as error:
                raise StoreUnreachable(
                    f"The Chroma server at {url} does not answer in time. If it stays so, restart it; this app goes on"
                    " by itself."
                ) from error
            except httpx.TransportError as error:
                raise StoreUnreachable(
                    f"The Chroma server at {url} cannot be reached. Start it (chroma run), or set RAG_CHROMA_URL; this"
                    " app goes on by itself once it is there."
                ) from error

    class BoundedClient(Client):
        """Its first call, which its constructor makes, goes through the bounded session already.

        Chroma makes its HTTP session without limits of time and has no setting for them
        (https://github.com/chroma-core/chroma/issues/5805), so a server that hangs would hang the app.
        """

        def get_user_identity(self) -> Any:
            old = self._server._session  # type: ignore[attr-defined]  # noqa: SLF001
            timeout = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
            session = Session(timeout=timeout, headers=old.headers, trust_env=not local)
            self._server._session = session  # type: ignore[attr-defined]  # noqa: SLF001
            old.close()
            return super().get_user_identity()

    parts = urlsplit(url)
    local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    cloud = on_cloud(url)
    given = chroma_settings()
    given.chroma_api_impl = "chromadb.api.fastapi.FastAPI"
    given.chroma_server_host = url.rstrip("/")
    given.chroma_server_http_port = parts.port or (443 if parts.scheme == "https" else 80)
    given.chroma_server_ssl_enabled = parts.scheme == "https"
    if settings.chroma_token:
        given.chroma_server_headers = {"X-Chroma-Token": settings.chroma_token}
        if not cloud:  # what a proxy before a server of one's own looks at
            given.chroma_server_headers["Authorization"] = f"Bearer {settings.chroma_token}"
    given.chroma_overwrite_singleton_tenant_database_access_from_auth = cloud
    tenant = settings.chroma_tenant or (None if cloud else DEFAULT_TENANT)
    database = settings.chroma_database or (None if cloud else DEFAULT_DATABASE)
    try:
        return BoundedClient(tenant, database, given)
    except Exception as error:
        raise _told(error, url) from error


def on_cloud(url: str) -> bool:
    """Whether an address is Chroma Cloud's."""
    return (urlsplit(url).hostname or "").endswith(CLOUD)


def _told(error: BaseException, url: str) -> RagError:
    """What an error of Chroma's client means to a person."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, RagError):
            return cause
        cause = cause.__cause__ or cause.__context__
    text = " ".join(str(error).split())[:300] or type(error).__name__
    lower = text.lower()
    if type(error).__name__ in ("ChromaAuthError", "AuthorizationError") or "401" in lower or "403" in lower:
        return StoreError(f"The Chroma server at {url} refuses the token. Set RAG_CHROMA_TOKEN.")
    if "tenant" in lower or "database" in lower:
        return StoreError(f"The Chroma server at {url}: {text} Check RAG_CHROMA_TENANT and RAG_CHROMA_DATABASE.")
    return StoreError(f"The Chroma server at {url} failed: {text}")


def open_folder(settings: Settings) -> DataFolder:
    """Where the library is kept: on the settings' Chroma server, else in the data folder."""
    return SharedFolder(settings) if settings.chroma_url else DataFolder(settings.data_dir)


class SharedFolder(DataFolder):
    """What the data folder holds, on a Chroma server. The path is for copies that can be had again."""

    shared = True

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.data_dir)
        self.url = str(settings.chroma_url)
        self.me = f"{socket.gethostname()}-{os.getpid()}-{self.token[:8]}"
        self.heads: dict[str, dict[str, Any]] = {}
        self.live: dict[str, dict[str, dict[str, Any]]] = {}
        self.wanted: dict[str, dict[str, Any]] = {}
        self.changed: list[str] = []
        """Sources whose record or rows changed, in order: each index reads it from where it was."""
        self.elsewhere: frozenset[str] = frozenset()
        self._settings = settings
        if on_cloud(self.url):
            self.page = CLOUD_PAGE
        self._client: ClientAPI | None = None
        self._opened: Rows | None = None
        self._opening = threading.Lock()
        self._polling = threading.RLock()  # held over a write, too: what is read before it is not learnt after it
        self._since = 0.0
        self._ahead = 0.0
        self._clock_read = float("-inf")
        self._held: dict[str, tuple[str, float]] = {}
        self._holding = threading.Lock()
        self._closing = threading.Event()
        self._renewing: threading.Thread | None = None

    # -- the connection ------------------------------------------------------------------------------------------

    @override
    def acquire(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"The data folder {self.path} cannot be written to ({error.strerror or error})."
                " Choose another with --data-dir or RAG_DATA_DIR."
            ) from error

    @override
    def say_holder(self, url: str) -> None:
        """Nobody holds a server alone."""

    @override
    def note_closed(self) -> None:
        """The server's index is the server's business."""

    @override
    def release(self) -> None:
        self._closing.set()
        if self._renewing:
            self._renewing.join(5)
        with suppress(RagError):
            for source in list(self._held):
                self.give_back(source)
        if self._client is not None:
            with suppress(Exception):
                # Chroma's own close leaves its HTTP session open.
                self._client._server._session.close()  # type: ignore[attr-defined]  # noqa: SLF001
                self._client.close()  # type: ignore[attr-defined,unused-ignore]

    @override
    def check_space(self) -> None:
        """The server's disk is the server's business; it says so where it is full."""

    @property
    def client(self) -> ClientAPI:
        """The client, connected at need.

        Raises:
            StoreError: the server cannot be had.
        """
        with self._opening:
            if self._client is None:
                self._client = connect(self._settings)
            return self._client

    @property
    def _rows(self) -> Rows:
        if self._opened is None:
            client = self.client
            try:
                self._opened = client.get_or_create_collection(RECORDS, embedding_function=None)
            except Exception as error:
                raise _told(error, self.url) from error
        return self._opened

    def _get(self, ids: Sequence[str] | None = None, where: Any = None, *, texts: bool = False) -> dict[str, Any]:
        """Rows by id: metadata, or with `texts` the documents."""
        found: dict[str, Any] = {}
        include: Any = ["documents" if texts else "metadatas"]
        offset = 0
        while True:
            part = None if ids is None else list(ids)[offset : offset + self.page]
            if part == []:
                return found
            try:
                got: Any = self._rows.get(part, where, self.page, 0 if part else offset, include=include)
            except Exception as error:
                raise _told(error, self.url) from error
            found |= dict(zip(got["ids"], got[include[0]], strict=True))
            offset += self.page
            if part is None and len(got["ids"]) < self.page:
                return found

    def put(self, rows: Mapping[str, tuple[dict[str, Any], str]], *, add: bool = False) -> None:
        """Write rows, (metadata, document) by id; at most `page` at once are one write."""
        names = list(rows)
        for start in range(0, len(names), self.page):
            part = names[start : start + self.page]
            write = self._rows.add if add else self._rows.upsert
            try:
                write(
                    ids=part,
                    embeddings=[_vector(name) for name in part],  # type: ignore[arg-type]
                    metadatas=[rows[name][0] for name in part],
                    documents=[rows[name][1] for name in part],
                )
            except Exception as error:
                raise _told(error, self.url) from error

    def _drop(self, ids: Collection[str]) -> None:
        names = list(ids)
        for start in range(0, len(names), self.page):
            try:
                self._rows.delete(names[start : start + self.page])
            except Exception as error:
                raise _told(error, self.url) from error

    def now(self) -> float:
        """Seconds since 1970 by the server's clock, the same for every replica; asked once a minute."""
        if time.monotonic() - self._clock_read > 60:
            client = self.client
            began = time.monotonic()
            try:
                self._ahead = client.heartbeat() / 1e9 - time.monotonic()
            except Exception as error:
                raise _told(error, self.url) from error
            self._clock_read = began
        return time.monotonic() + self._ahead

    # -- what changed --------------------------------------------------------------------------------------------

    def poll(self) -> None:
        """Read what has changed on the server; `changed` grows by the sources concerned."""
        with self._polling:
            since = self._since - OVERLAP_SECONDS
            rows = self._get(where={"$and": [{"changed": {"$gt": since}}, {"kind": {"$in": [*KEPT_KINDS]}}]})
            for row in rows.values():
                self._since = max(self._since, float(row["changed"]))
                self._learn(row)
            waits = any(row["state"] == "waiting" for row in self.wanted.values())
            self.elsewhere = self._leased() if waits else frozenset()

    def _learn(self, row: dict[str, Any]) -> None:
        """Take a row in."""
        kind, source = row["kind"], str(row.get("source", ""))
        place = {"record": self.heads, "wanted": self.wanted}.get(kind)
        if kind == "live":
            place = self.live.setdefault(str(row["index"]), {})
        if place is None:
            return
        old = place.get(source)
        place[source] = row
        if kind != "wanted" and old != row:
            self.changed.append(source)

    def _leased(self) -> frozenset[str]:
        rows = self._get(where={"until": {"$gt": self.now()}})
        return frozenset(str(row["source"]) for row in rows.values() if row["holder"] != self.me)

    def told(self) -> tuple[dict[str, Wanted], dict[str, str], frozenset[str]]:
        """What waits, what failed and why, and what other replicas are at, as of the last `poll`."""
        waiting, failed = {}, {}
        for source, row in list(self.wanted.items()):
            if row["state"] == "waiting":
                waiting[source] = Wanted(source, bool(row["private"]), int(row["depth"]), int(row["limit"]))
            elif row["state"] == "failed":
                failed[source] = str(row["reason"])
        return waiting, failed, self.elsewhere

    # -- taking turns --------------------------------------------------------------------------------------------

    @override
    def take(self, source: str, *, waiting: bool) -> bool:
        now = self.now()
        where: Any = {"$and": [{"kind": "lease"}, {"source": source}]}
        rows = sorted(self._get(where=where).items())
        number = 1
        if rows:
            last = rows[-1][1]
            if last["until"] > now and last["holder"] != self.me:
                return False
            number = int(last["number"]) + 1
        name = f"lease-{key_of(source)}-{number:09d}"
        self.put({name: (self._lease(source, number, now), "")}, add=True)
        now_there = self._get(where=where)
        newest = max(now_there)
        if newest != name or now_there[name]["holder"] != self.me:
            if now_there.get(name, {}).get("holder") == self.me:
                self._drop([name])
            return False
        with self._holding:
            self._held[source] = (name, time.monotonic() + LEASE_SECONDS)
            if self._renewing is None:
                self._renewing = threading.Thread(target=self._renew, name="rag-leases", daemon=True)
                self._renewing.start()
        self._drop([row for row, _ in rows])
        if waiting:
            asked = self._get([f"wanted-{key_of(source)}"]).values()
            if not any(row["state"] == "waiting" for row in asked):  # another has done it, or it was cancelled
                self.give_back(source)
                return False
        return True

    def _lease(self, source: str, number: int, now: float) -> dict[str, Any]:
        until = now + LEASE_SECONDS
        return {"kind": "lease", "source": source, "number": number, "holder": self.me, "until": until}

    def _renew(self) -> None:
        while not self._closing.wait(LEASE_SECONDS / 3):
            for source, (name, until) in list(self._held.items()):
                if time.monotonic() > until:
                    continue
                with suppress(RagError):  # the next try may go well; if none does, the turn is lost
                    began = time.monotonic()
                    self._rows_update(name, {"until": self.now() + LEASE_SECONDS})
                    with self._holding:
                        if source in self._held:
                            self._held[source] = (name, began + LEASE_SECONDS)

    def _rows_update(self, name: str, metadata: dict[str, Any]) -> None:
        try:
            self._rows.update(ids=[name], metadatas=[metadata])  # nothing where the row is gone
        except Exception as error:
            raise _told(error, self.url) from error

    def check_turn(self, source: str) -> None:
        """See that it is still this replica's turn.

        Raises:
            StoreUnreachable: it is not; another one may be at it.
        """
        held = self._held.get(source)
        if held is not None and time.monotonic() > held[1]:
            raise StoreUnreachable(
                f"{source}: the Chroma server at {self.url} could not be reached for {LEASE_SECONDS:.0f} seconds, and"
                " another replica may go on with it."
            )

    @override
    def give_back(self, source: str) -> None:
        with self._holding:
            held = self._held.pop(source, None)
        if held is not None:
            self._rows_update(held[0], {"until": 0.0})

    @override
    def note_asked(self, jobs: Sequence[Asked]) -> None:
        self._want([(job.source, "waiting", "", job) for job in jobs])

    @override
    def note_ended(self, source: str, reason: str = "", *, removed: bool = False) -> None:
        old = self.wanted.get(source, {})
        job = Wanted(source, bool(old.get("private")), int(old.get("depth", -1)), int(old.get("limit", 1)))
        self._want([(source, "removed" if removed else "failed" if reason else "there", reason, job)])

    def _want(self, told: Sequence[tuple[str, str, str, Asked]]) -> None:
        now = self.now()
        rows = {}
        for source, state, reason, job in told:
            row = {"kind": "wanted", "source": source, "state": state, "reason": reason, "changed": now}
            row |= {"private": job.private, "depth": job.depth, "limit": job.limit}
            rows[f"wanted-{key_of(source)}"] = (row, "")
        with self._polling:
            if rows:
                self.put(rows)
            for row, _ in rows.values():
                self._learn(row)

    # -- small things to remember --------------------------------------------------------------------------------

    @override
    def remember(self, name: str, data: dict[str, Any]) -> None:
        if name == "library":
            return  # what `note_asked` and `note_ended` keep
        told = json.dumps(data, ensure_ascii=False, sort_keys=True)
        if self._get([f"state-{name}"]).get(f"state-{name}", {}).get("data") != told:
            self.put({f"state-{name}": ({"kind": "state", "data": told, "changed": self.now()}, "")})

    @override
    def remembered(self, name: str) -> dict[str, Any]:
        if name == "library":
            return {"removed": [source for source, row in self.wanted.items() if row["state"] == "removed"]}
        row = self._get([f"state-{name}"]).get(f"state-{name}")
        data = json.loads(row["data"]) if row else {}
        return data if isinstance(data, dict) else {}

    @override
    def set_states_aside(self) -> list[str]:
        return []  # they are rows on the server, whole or not there

    # -- records -------------------------------------------------------------------------------------------------

    @override
    def read(self, source: str, *, unfinished: bool = False) -> Record | None:
        name = f"{'new' if unfinished else 'record'}-{key_of(source)}"
        for _ in range(3):  # another version may take over while this one's text is read
            row = self._get([name]).get(name)
            if row is None or row.get("removed"):
                return None
            data = self._read_pieces(f"text-{key_of(source)}-{row['content']}", int(row["pieces"]))
            if data is not None:
                documents = [(str(text), dict(metadata)) for text, metadata in json.loads(data)]
                return _record(row, documents)
        log.warning("the text of %s on the Chroma server is not whole; it is to be loaded again", source)
        return None

    @override
    def records(self, *, unfinished: bool = False) -> Iterator[Record]:
        sources = self.unfinished() if unfinished else [name for name, row in self.heads.items() if not row["removed"]]
        for source in sources:
            if record := self.read(source, unfinished=unfinished):
                yield record

    @override
    def unfinished(self) -> list[str]:
        return [str(row["source"]) for row in self._get(where={"kind": "new"}).values()]

    @override
    def write_unfinished(self, record: Record) -> None:
        content = content_of(record)
        data = json.dumps(record.documents, ensure_ascii=False).encode()
        pieces = self._write_pieces(f"text-{key_of(record.source)}-{content}", data)
        self.put({f"new-{key_of(record.source)}": (_head(record, content, pieces, self.now()) | {"kind": "new"}, "")})

    @override
    def drop_unfinished(self, source: str) -> None:
        self._drop([f"new-{key_of(source)}"])

    @override
    def finish(self, source: str) -> bool:
        return self.publish(source, {}, finish=True)

    def publish(self, source: str, rows: dict[str, tuple[dict[str, Any], str]], *, finish: bool) -> bool:
        """Let a source's unfinished record and these rows take over by one write. False: it was removed meanwhile.

        Without `finish`, the record stays as it is.
        """
        self.check_turn(source)
        key = key_of(source)
        new = self._get([f"new-{key}", f"record-{key}"])
        old = new.get(f"record-{key}")
        now = self.now()
        if finish:
            if (row := new.get(f"new-{key}")) is None:
                return False
            head = {**row, "kind": "record", "changed": now}
            rows = {f"record-{key}": (head, ""), **rows}
        elif old is None or old["removed"]:
            return False
        with self._polling:
            self.put(rows)
            for told, _ in rows.values():
                self._learn(told)
        asked = self._get([f"wanted-{key}"]).get(f"wanted-{key}")
        if asked is not None and asked["state"] == "removed":
            self.remove(source)
            return False
        if finish:
            self._drop([f"new-{key}"])
            if old is not None and old["content"] != head["content"]:
                self._drop(_pieces(f"text-{key}-{old['content']}", int(old["pieces"])))
        return True

    @override
    def keep(self, record: Record) -> bool:
        key = key_of(record.source)
        old = self._get([f"record-{key}"]).get(f"record-{key}")
        if old is None or old["removed"]:
            return False
        told = _head(record, str(old["content"]), int(old["pieces"]), self.now())
        self._drop([f"new-{key}"])
        if {**old, "loaded_at": 0, "changed": 0} == {**told, "loaded_at": 0, "changed": 0}:
            return False
        with self._polling:
            self.put({f"record-{key}": (told, "")})
            self._learn(told)
        return True

    @override
    def remove(self, source: str) -> None:
        key = key_of(source)
        rows = self._get([f"record-{key}", f"new-{key}"])
        if (old := rows.get(f"record-{key}")) is not None and not old["removed"]:
            told = {**old, "removed": True, "changed": self.now()}
            with self._polling:
                self.put({f"record-{key}": (told, "")})
                self._learn(told)
        self._drop([f"new-{key}"])
        for row in rows.values():
            self._drop(_pieces(f"text-{key}-{row['content']}", int(row["pieces"])))
        if self.keeps(source) and (file := self._get([f"file-{key}"]).get(f"file-{key}")):
            self._drop([f"file-{key}", *_pieces(f"bytes-{key}", int(file["pieces"]))])
            with suppress(OSError):
                Path(source).unlink(missing_ok=True)

    # -- copies of files -----------------------------------------------------------------------------------------

    @override
    def keep_file(self, path: Path, name: str, replacing: str = "") -> str:
        source = super().keep_file(path, name, replacing)
        pieces = self._write_pieces(f"bytes-{key_of(source)}", Path(source).read_bytes())
        self.put({f"file-{key_of(source)}": ({"kind": "file", "source": source, "pieces": pieces}, "")})
        return source

    @override
    def keeps(self, source: str) -> bool:
        return Path(source).parent.parent.name == "files"

    @override
    def at_hand(self, source: str) -> None:
        path = Path(source)
        if not self.keeps(source) or path.exists():
            return
        file = self._get([f"file-{key_of(source)}"]).get(f"file-{key_of(source)}")
        data = self._read_pieces(f"bytes-{key_of(source)}", int(file["pieces"])) if file else None
        if data is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f"{path.name}.{self.token[:6]}.part")
            part.write_bytes(data)
            os.replace(part, path)
        except OSError as error:
            log.warning("%s cannot be put where it was (%s): give the replicas the same RAG_DATA_DIR", source, error)

    def _write_pieces(self, name: str, data: bytes) -> int:
        text = base64.b64encode(zlib.compress(data)).decode()
        parts = [text[start : start + PIECE] for start in range(0, len(text), PIECE)]
        rows: dict[str, tuple[dict[str, Any], str]] = {
            each: ({"kind": "piece"}, part) for each, part in zip(_pieces(name, len(parts)), parts, strict=True)
        }
        self.put(rows)
        return len(parts)

    def _read_pieces(self, name: str, pieces: int) -> bytes | None:
        names = _pieces(name, pieces)
        found = self._get(names, texts=True)
        if len(found) < pieces:
            return None
        return zlib.decompress(base64.b64decode("".join(found[each] for each in names)))

    # -- rows of an index that do not answer ---------------------------------------------------------------------

    def note_attempt(self, index: str, source: str, revision: str) -> None:
        """Note rows before they are written, so that they are found if this replica does not come to an end."""
        self.put({f"attempt-{revision}": (attempt(index, source, revision, self.now()), "")})

    def attempts(self, index: str) -> tuple[list[dict[str, Any]], set[str]]:
        """Rows that do not answer and that nobody is writing; and the revisions of all that do not answer."""
        rows = self._get(where={"$and": [{"kind": "attempt"}, {"index": index}]}).values()
        before = self.now() - GRACE_SECONDS
        old = [row for row in rows if row["at"] < before and row["source"] not in self._held]
        leased = self._leased() if old else frozenset()
        return [row for row in old if row["source"] not in leased], {str(row["revision"]) for row in rows}

    def drop_attempt(self, revision: str) -> None:
        """Its rows are gone, or they answer."""
        self._drop([f"attempt-{revision}"])


def content_of(record: Record) -> str:
    """A hash of what a record says, however it is split."""
    told = json.dumps([record.source, record.documents], ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:20]


def attempt(index: str, source: str, revision: str, now: float) -> dict[str, Any]:
    """The row that says that rows of an index do not answer."""
    return {"kind": "attempt", "index": index, "source": source, "revision": revision, "at": now}


def _head(record: Record, content: str, pieces: int, now: float) -> dict[str, Any]:
    told = {key: value for key, value in asdict(replace(record, documents=[])).items() if key != "documents"}
    told["type"] = told.pop("kind")
    return {"kind": "record", **told, "content": content, "pieces": pieces, "removed": False, "changed": now}


def _record(row: dict[str, Any], documents: list[tuple[str, dict[str, Any]]]) -> Record:
    told: dict[str, Any] = {
        key: row[key] for key in ("source", "title", "loaded_at", "size", "etag", "last_modified", "found_at")
    }
    return Record(**told, documents=documents, kind=str(row["type"]), private=bool(row["private"]))


def key_of(source: str) -> str:
    """A source's part of its rows' ids."""
    return hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def short_of(name: str) -> str:
    """An index's part of them."""
    return hashlib.sha256(name.encode()).hexdigest()[:10]


def _pieces(name: str, count: int) -> list[str]:
    return [f"{name}-{number:06d}" for number in range(count)]


def _vector(name: str) -> list[float]:
    """Chroma wants a vector with every row; different ones, since a graph of equal ones is no graph."""
    digest = hashlib.sha256(name.encode()).digest()
    return [digest[0] / 255, digest[1] / 255, digest[2] / 255]
