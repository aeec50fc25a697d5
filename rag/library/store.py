"""The data folder: extracted texts (the truth) and the Chroma index derived from them.

    <data>/lock, holder.json    one process at a time; who it is, and how its owner's commands reach it
    <data>/texts/KEY.json       one source each: its documents as loaded
    <data>/texts/KEY.new.json   the same, loaded but not yet indexed whole
    <data>/files/HASH/NAME      copies of files that were given on the page
    <data>/library.json         sources that were asked for and are not there (yet)
    <data>/index.json           what the index that answers is made with, and the one that is being built beside it
    <data>/closed.json          the index's files as they were when it was closed; gone while it is open
    <data>/chroma/              the index; each row knows its source, revision and number

Chroma on disk survives neither kill -9 in the wrong moment nor a second process, and damage can end the process that
opens it. So a lock keeps others out, a child process opens the index first, and what it finds wrong is moved aside and
built again from the texts. A revision (a hash of the documents and the splitter's settings) is visible to questions
only when all its rows are there and its text file is in place: renaming that file is when a new version takes over,
and deleting it is when a source is gone, for every index.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from filelock import FileLock, Timeout
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from rag.child import child_command
from rag.errors import StoreError, StoreLocked, engine_error, store_error
from rag.library.server_words import KEY
from rag.library.words import LexicalIndex, Words

if TYPE_CHECKING:
    from chromadb.api import ClientAPI
    from langchain_chroma import Chroma

Found = TypeVar("Found")

log = logging.getLogger(__name__)

SYNC_THRESHOLD = 10_000
"""Rows between two writes of Chroma's HNSW files, the only moments that kill -9 damages; before, rows are in a log."""
GRAPH: dict[str, Any] = {"max_neighbors": 32, "ef_construction": 200, "ef_search": 200}
"""Twice Chroma's own numbers. With those, 0 to 3 of 3041 chunks of 50 articles could not be found even by their own
vector, others at every start, and 99.8 % of the ten nearest were right; with these none and 99.99 %, no slower."""
CHECK_SECONDS = 600.0
LEAST_FREE_DISK = 200 * 2**20
KEPT = "files"
LONGEST_NAME = 200
"""Bytes of a file's name; file systems take 255."""
STATES = {
    "library": "what had been asked for and was not there yet is to be added again",
    "index": "the embedding model of the settings answers",
}
"""The small states that tell what nothing else does, and what follows where one is damaged."""
VECTOR_FILES = ("data_level0.bin", "header.bin", "length.bin", "link_lists.bin", "index_metadata.pickle")
"""What Chroma keeps an index's vectors in, in a folder each."""
CANARIES = 300
"""Rows that are searched for by their own vector at start, beside one of every source."""
NEAR = 200
"""Rows among which such a row has to be. One canary in five may be missed: the search is approximate, the more so where
pages are alike, and an index built anew would be no better. A row that is not in the HNSW files has no vector, and that
is looked at in all rows."""
LEAST_ASKED = 20
"""Rows that are asked for at least: in fewer of them it does not show that they all say the same."""
SAME_TEXT = 5
"""Rows of one text among those found, of any source; where there are more, others are asked for and go before them."""
PAGE = 5000
"""Rows read or written in one call; Chroma's own limit is 5461."""


@dataclass(frozen=True)
class Record:
    """One source as loaded. `documents` are (text, metadata) pairs, `loaded_at` seconds since 1970, `size` bytes.

    `etag`, `last_modified` and `found_at` (the address after redirects) are the server's, to ask whether it changed.
    `private`: the operator named it, so that it may be on this machine or network.
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

    def revision(self, splitter: tuple[int, int]) -> str:
        """A hash of what the rows depend on: source, documents, chunk size and overlap."""
        content = json.dumps([self.source, self.documents, splitter], ensure_ascii=False, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:20]


class Asked(Protocol):
    """A source that is asked for, as `rag.library.work.Job` has it."""

    @property
    def source(self) -> str: ...  # noqa: D102
    @property
    def private(self) -> bool: ...  # noqa: D102
    @property
    def depth(self) -> int: ...  # noqa: D102
    @property
    def limit(self) -> int: ...  # noqa: D102


@dataclass(frozen=True)
class IndexedSource:
    """A source that answers can be drawn from."""

    source: str
    title: str
    chunks: int
    revision: str
    kind: str = ""
    size: int = 0
    loaded_at: float = 0.0


def _indexed(record: Record, chunks: int, revision: str) -> IndexedSource:
    return IndexedSource(record.source, record.title, chunks, revision, record.kind, record.size, record.loaded_at)


@dataclass
class Rows:
    """What an index has of one source: vectors by the digest of the text embedded, and the chunks that answer now."""

    vectors: dict[str, Any] = field(default_factory=dict)
    current: list[Document] = field(default_factory=list)


class DataFolder:
    """The lock on the data folder, and the text files in it.

    What other replicas of the app have to know of is kept in the same form on a Chroma server by `rag.library.shared`;
    the methods about taking turns have nothing to do here, where one process holds everything.
    """

    shared = False
    page = PAGE
    """Rows in one call."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.chroma = path / "chroma"

        self.token = secrets.token_urlsafe(24)
        """What the owner's commands show to the running app; only the owner can read it."""
        self._texts = path / "texts"
        self._lock = FileLock(path / "lock", thread_local=False)

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            StoreLocked: another process holds it; says which.
            StoreError: the folder cannot be written to.
        """
        try:
            self._texts.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
            index = (self.chroma / "chroma.sqlite3", *self.chroma.glob("*-*-*-*-*"), *self.chroma.glob("*-*-*-*-*/*"))
            for path in (self._texts, self.chroma, *index):
                if path.exists() and not os.access(path, os.R_OK | os.W_OK):  # or the index would seem to be damaged
                    self._lock.release()
                    raise OSError(errno.EACCES, f"no right to write to {path}")
        except Timeout:
            pid, url, token = self._holder()
            who = f"process {pid}{f', {url}' if url else ''}" if pid else "another process"
            raise StoreLocked(
                f"The data folder {self.path} is in use ({who}). Stop that one, use its page, or give this one a folder"
                " of its own with --data-dir.",
                url,
                token,
            ) from None
        except OSError as error:
            raise StoreError(
                f"The data folder {self.path} cannot be written to ({error.strerror or error})."
                " Choose another with --data-dir or RAG_DATA_DIR."
            ) from error
        self.say_holder("")

    def say_holder(self, url: str) -> None:
        """Leave word, for whoever finds the lock taken, who holds it and where its page is."""
        self.remember("holder", {"pid": os.getpid(), "url": url, "token": self.token})

    def _holder(self) -> tuple[int, str, str]:
        holder = self.remembered("holder")
        try:
            return int(holder["pid"]), str(holder["url"]), str(holder["token"])
        except (ValueError, KeyError, TypeError):
            return 0, "", ""

    # -- taking turns with other replicas --------------------------------------------------------------------------

    def take(self, source: str, *, waiting: bool) -> bool:
        """Take the turn to load and index a source. False: another has it, or (`waiting`) nobody waits any more."""
        return True

    def give_back(self, source: str) -> None:
        """Give the turn back."""

    def note_asked(self, jobs: Sequence[Asked]) -> None:
        """Let the others know what is asked for, so that one of them does it if this one does not."""

    def note_ended(self, source: str, reason: str = "", *, removed: bool = False) -> None:
        """Let the others know that a source waits no more: it is there, failed for a reason, or is removed."""

    def at_hand(self, source: str) -> None:
        """See that a copy kept by `keep_file` lies here."""

    def remember(self, name: str, data: dict[str, Any]) -> None:
        """Keep a small state that outlives a restart, in `<name>.json`: whole or not at all, for its owner's eyes."""
        part = self.path / f"{name}.part"
        try:
            part.unlink(missing_ok=True)
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                json.dump(data, file, ensure_ascii=False)
            os.replace(part, self.path / f"{name}.json")
        except OSError as error:
            raise store_error(error) from error

    def remembered(self, name: str) -> dict[str, Any]:
        """What `remember` kept; empty where there is none, or it is damaged."""
        try:
            return self._state(name)
        except (OSError, ValueError, RecursionError):
            return {}

    def _state(self, name: str) -> dict[str, Any]:
        data = json.loads((self.path / f"{name}.json").read_text(encoding="utf-8"))
        if not isinstance(data, dict):
            raise ValueError("not an object")
        return data

    def set_states_aside(self) -> list[str]:
        """Move the small states away that cannot be read. Returns what to tell of each."""
        told = []
        for name, lost in STATES.items():
            try:
                self._state(name)
            except FileNotFoundError:
                continue
            except OSError as error:  # it may be sound: nothing is to be written over it
                raise store_error(error) from error
            except (ValueError, RecursionError) as error:
                path, kept = self.path / f"{name}.json", self.path / f"{name}.damaged"
                while kept.exists():
                    kept = kept.with_name(f"{kept.name}+")
                try:
                    os.replace(path, kept)
                except OSError as failed:
                    raise store_error(failed) from failed
                told.append(f"The file {path.name} was damaged ({error}) and is kept as {kept}; {lost}.")
        return told

    def note_closed(self) -> None:
        """Leave word that the index was closed as it should be, with its files as they are now."""
        with suppress(StoreError):  # without it the next start looks at all of the index
            self.remember("closed", {"files": self._index_files()})

    def lost_bytes(self) -> str:
        """How the index is damaged, told by what `note_closed` left; "": that does not show.

        Whoever opens it properly takes `closed.json` away, so a vector file that lost bytes lost them otherwise.
        """
        return self._lost(self.remembered("closed").get("files"), self._index_files())

    def _lost(self, closed: Any, now: list[list[Any]]) -> str:
        sizes = {name: size for name, size, _ in now}
        with suppress(TypeError, ValueError):  # it is no list of files
            for name, size, _ in closed or ():
                path = self.chroma / name
                if path.name in VECTOR_FILES and path.parent.exists() and sizes.get(name, 0) < size:
                    left = f"has {sizes[name]} bytes" if name in sizes else "is missing"
                    return f"{name} {left}, and had {size} when it was closed"
        return ""

    def changed_since_closed(self) -> str | None:
        """What became of the index since `note_closed`, told for one opening.

        "": nothing; None: it was not closed, or has changed, and is to be looked at. Else how it is damaged.
        """
        closed, now = self.remembered("closed").get("files"), self._index_files()
        try:
            (self.path / "closed.json").unlink(missing_ok=True)
        except OSError as error:
            raise store_error(error) from error
        return "" if closed and closed == now else self._lost(closed, now) or None

    def _index_files(self) -> list[list[Any]]:
        """Name, bytes and time of change of each of the index's files."""
        found = []
        for path in sorted(self.chroma.rglob("*")):
            if path.is_file():
                told = path.stat()
                found.append([str(path.relative_to(self.chroma)), told.st_size, told.st_mtime_ns])
        return found

    def release(self) -> None:
        """Give the lock back."""
        self._lock.release()

    def check_space(self) -> None:
        """Refuse to store more on a disk that is nearly full.

        Raises:
            StoreError: less than 200 MiB are free.
        """
        free = shutil.disk_usage(self.path).free
        if free < LEAST_FREE_DISK:
            raise StoreError(
                f"Only {free >> 20} MiB are free on the disk of {self.path}; at least {LEAST_FREE_DISK >> 20} MiB are"
                " needed to store more. Free some space and try again."
            )

    def read(self, source: str, *, unfinished: bool = False) -> Record | None:
        """The record of a source that is indexed, or the one that was loaded and is not indexed whole yet."""
        return _read_record(self._file(source, ".new.json" if unfinished else ".json"))

    def drop_unfinished(self, source: str) -> None:
        """Forget what was loaded and not indexed whole; what was indexed before stays."""
        try:
            self._file(source, ".new.json").unlink(missing_ok=True)
        except OSError as error:
            raise store_error(error) from error

    def records(self, *, unfinished: bool = False) -> Iterator[Record]:
        """All records: of what is indexed, or of what was loaded and not yet indexed whole."""
        for path in sorted(self._texts.glob("*.json")):
            if path.name.endswith(".new.json") == unfinished and (record := _read_record(path)):
                yield record

    def set_damaged_aside(self, named: Iterable[str]) -> list[tuple[str, str]]:
        """Move text files away that cannot be read. Returns each one's source, "" if it is none of those `named`, and
        where it is now.
        """
        sources = {self._file(source).name: source for source in named}
        moved = []
        for path in sorted(self._texts.glob("*.json")):
            if _read_record(path) is None and os.access(path, os.R_OK):
                target = path.with_suffix(".damaged")
                try:
                    os.replace(path, target)
                except OSError as error:
                    raise store_error(error) from error
                moved.append((sources.get(path.name.replace(".new.json", ".json"), ""), str(target)))
        return moved

    def unfinished(self) -> list[str]:
        """The sources that were loaded and are not yet indexed whole."""
        return [record.source for record in self.records(unfinished=True)]

    def write_unfinished(self, record: Record) -> None:
        """Keep what was loaded, so that the next start can finish its indexing."""
        path = self._file(record.source, ".new.json")
        part = path.with_suffix(".part")
        try:
            with part.open("w", encoding="utf-8") as file:
                json.dump(asdict(record), file, ensure_ascii=False)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        except OSError as error:
            raise store_error(error) from error

    def finish(self, source: str) -> bool:
        """The unfinished record becomes the record: from here on the new version answers. False: it was removed."""
        try:
            os.replace(self._file(source, ".new.json"), self._file(source))
            return True
        except FileNotFoundError:
            return False
        except OSError as error:
            raise store_error(error) from error

    def keep(self, record: Record) -> bool:
        """Make this, whose documents are those indexed, the record; False: it is already, but for its date.

        What the server said may be new, and a version that failed may have been left.
        """
        old = self.read(record.source)
        left = self._file(record.source, ".new.json").exists()
        if not left and old and replace(old, loaded_at=record.loaded_at) == record:
            return False
        self.write_unfinished(record)
        return self.finish(record.source)

    def remove(self, source: str) -> None:
        """Forget a source; it is gone once its record is, whatever happens next. A copy kept here goes with it."""
        try:
            for suffix in (".new.json", ".json"):
                self._file(source, suffix).unlink(missing_ok=True)
            if self.keeps(source):
                shutil.rmtree(Path(source).parent)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise store_error(error) from error

    def keep_file(self, path: Path, name: str, replacing: str = "") -> str:
        """Copy a file into the folder, which makes it a source that is always there. Returns where it is.

        One of the same name and content is the same source. `replacing`: a copy in the folder whose place it takes; the
        source stays the same, and has new content.

        Raises:
            StoreError: it cannot be stored.
        """
        self.check_space()
        plain = re.sub(r"[\x00-\x1f/\\:]+", "_", name).strip(" .") or "file"
        while len(plain.encode("utf-8", "replace")) > LONGEST_NAME:
            plain = plain[1:]
        digest = hashlib.sha256()
        try:
            (self.path / KEPT).mkdir(exist_ok=True)
            with path.open("rb") as file, tempfile.NamedTemporaryFile(dir=self.path / KEPT, delete=False) as part:
                while block := file.read(2**20):
                    digest.update(block)
                    part.write(block)
            target = self.path / KEPT / digest.hexdigest()[:16] / plain.encode("utf-8", "replace").decode()
            target = Path(replacing) if replacing else target
            if not replacing and target.exists() and target.read_bytes() != Path(part.name).read_bytes():
                target = target.parent.with_name(f"{digest.hexdigest()[:16]}-{secrets.token_hex(4)}") / target.name
            target.parent.mkdir(exist_ok=True)
            os.replace(part.name, target)
        except OSError as error:
            raise store_error(error) from error
        return str(target)

    def keeps(self, source: str) -> bool:
        """Whether a source is a copy in this folder."""
        return Path(source).parent.parent == self.path / KEPT and ".." not in Path(source).parts

    def _file(self, source: str, suffix: str = ".json") -> Path:
        return self._texts / (hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()[:24] + suffix)


def _read_record(path: Path) -> Record | None:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        documents = [(str(text), dict(metadata)) for text, metadata in data["documents"]]
        return Record(**{**data, "documents": documents})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        log.warning("the text file %s cannot be read (%s); its source is to be loaded again", path, error)
        return None


class Store:
    """The index of one embedding model: what is in it, adding a revision, retrieving."""

    def __init__(
        self,
        folder: DataFolder,
        embeddings: Embeddings,
        engine: tuple[str, str],
        splitter: tuple[int, int],
        digest: str = "",
    ) -> None:
        """`engine` is the embeddings' `provider:model` and address, `splitter` the size and overlap of chunks.

        `digest` tells the weights: a model pulled anew under its old name has an index of its own.
        """
        from chromadb.api.shared_system_client import SharedSystemClient

        self.folder = folder
        self.engine = engine
        self.splitter = splitter
        self.digest = digest
        self.embeddings = embeddings
        self.named: set[str] = set()
        """Sources of all rows there were at the start, also of those that no question may see."""
        self._changing = threading.Lock()
        self._words: LexicalIndex | None = None
        try:
            self._client = self._connect()
            self._collection = self._open(collection_name(engine[0], digest, splitter))
            self._sources, self._hidden = self._take_stock()
        except BaseException as error:  # Chroma's own panics are no Exception
            if not folder.shared:
                SharedSystemClient.clear_system_cache()  # or the next attempt would be given the broken client
            raise as_store_error(error) from error

    def _connect(self) -> ClientAPI:
        import chromadb

        return chromadb.PersistentClient(str(self.folder.chroma), chroma_settings())

    def _open(self, name: str) -> Any:
        """The collection of this name, made at need."""
        return self._client.get_or_create_collection(
            name,
            embedding_function=None,
            configuration={"hnsw": {"space": "cosine", "sync_threshold": SYNC_THRESHOLD, **GRAPH}},  # type: ignore[arg-type]
        )

    def _take_stock(self) -> tuple[dict[str, IndexedSource], frozenset[str]]:
        """What is whole in the index, source by source, and the revisions that no question may see."""
        rows: dict[str, list[dict[str, Any]]] = {}
        for metadata in self._rows(include=["metadatas"]):
            rows.setdefault(str(metadata.get("revision")), []).append(metadata)
        found: dict[str, IndexedSource] = {}
        for revision, metadatas in rows.items():
            source = str(metadatas[0].get("source"))
            numbers = {row.get("number") for row in metadatas}
            whole = any(row.get("last") for row in metadatas) and numbers == set(range(len(metadatas)))
            record = self.folder.read(source)
            if whole and record is not None and record.revision(self.splitter) == revision:
                found[source] = _indexed(record, len(metadatas), revision)
        self.named = {str(row[0].get("source")) for row in rows.values()}
        visible = {item.revision for item in found.values()}
        return found, frozenset(rows.keys() - visible)

    def _rows(self, *, include: Sequence[str], where: dict[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        offset = 0
        while True:
            page = self._collection.get(where=where, include=list(include), limit=self.folder.page, offset=offset)
            yield from page["metadatas"] or []
            if len(page["ids"]) < self.folder.page:
                return
            offset += self.folder.page

    @property
    def sources(self) -> list[IndexedSource]:
        """The sources that answers can be drawn from."""
        return list(self._sources.values())

    @property
    def chunks(self) -> int:
        """Chunks that answers can be drawn from."""
        return sum(item.chunks for item in self.sources)

    def has(self, record: Record) -> bool:
        """Whether exactly this record is indexed."""
        indexed = self._sources.get(record.source)
        return indexed is not None and indexed.revision == record.revision(self.splitter)

    def rows_of(self, source: str) -> Rows:
        """All rows of a source, of whatever revision: what was embedded before is not embedded again."""
        rows, indexed, offset = Rows(), self._sources.get(source), 0
        while True:
            try:
                got: Any = self._collection.get(
                    where={"source": source},
                    include=["metadatas", "embeddings", "documents"],
                    limit=self.folder.page,
                    offset=offset,
                )
            except BaseException as error:
                raise as_store_error(error) from error
            for text, row, vector in zip(got["documents"], got["metadatas"], got["embeddings"], strict=True):
                if row is None:
                    continue
                row.pop(KEY, None)
                rows.vectors[str(row["digest"])] = vector
                if indexed and row["revision"] == indexed.revision:
                    rows.current.append(Document(text, metadata=row))
            offset += self.folder.page
            if len(got["ids"]) < self.folder.page:
                return rows

    def missing(self) -> list[str]:
        """The sources whose records are whole and not in this index: those of another one."""
        return [record.source for record in self.folder.records() if not self.has(record)]

    def begin(self, record: Record) -> str:
        """Make ready to write a record's rows; returns the revision, hidden, to write them under."""
        revision = record.revision(self.splitter)
        self.hide(revision)
        return revision

    def hide(self, revision: str) -> None:
        """Keep a revision from questions while its rows are being written."""
        with self._changing:
            self._hidden |= {revision}

    def add(self, revision: str, chunks: Sequence[Document], vectors: Sequence[Sequence[float]]) -> None:
        """Write rows of a hidden revision; the number in each chunk's metadata makes its id."""
        ids = [f"{revision}-{chunk.metadata['number']:06d}" for chunk in chunks]
        try:
            for start in range(0, len(ids), self.folder.page):
                part = slice(start, start + self.folder.page)
                self._collection.upsert(
                    ids=ids[part],
                    embeddings=[list(vector) for vector in vectors[part]],
                    documents=[chunk.page_content for chunk in chunks[part]],
                    metadatas=[self._row(chunk, revision) for chunk in chunks[part]],
                )
        except BaseException as error:
            raise as_store_error(error) from error

    def _row(self, chunk: Document, revision: str) -> dict[str, Any]:
        """What a row keeps beside its text and vector."""
        return {**chunk.metadata, "revision": revision}

    def swap(self, record: Record, chunks: int, *, finish: bool = True) -> bool:
        """A revision whose rows are all written takes over from the source's earlier one. False: it was removed.

        `finish`: its record is still the unfinished one. Without, another index answers from it already.
        """
        revision = record.revision(self.splitter)
        self.trim(revision, chunks)
        with self._changing:
            texts = (
                [(row, text) for row, _, text in self._texts({"revision": revision})] if self._words is not None else []
            )
            if not (self.folder.finish(record.source) if finish else self.folder.read(record.source)):
                return False
            if self._words is not None:
                self._words.replace(record.source, texts)
            old = self._sources.get(record.source)
            gone = {old.revision} if old and old.revision != revision else set()
            self._hidden = (self._hidden - {revision}) | gone
            self._sources[record.source] = _indexed(record, chunks, revision)
        for each in gone:
            self.discard(each)
        return True

    def update(self, record: Record) -> None:
        """Keep what the server said of a source that has not changed."""
        with self._changing:
            indexed = self._sources.get(record.source)
            if indexed and self.has(record) and self.folder.keep(record):
                self._sources[record.source] = _indexed(record, indexed.chunks, indexed.revision)

    def remove(self, source: str) -> None:
        """Forget a source: its record, and with it every answer from it; then its rows."""
        if revision := self.forget(source):
            self.discard(revision)

    def forget(self, source: str) -> str:
        """Forget a source, but leave the rows of its revision, which is returned, to `discard`; "": it had none."""
        with self._changing:
            self.folder.remove(source)
            if self._words is not None:
                self._words.remove(source)
            indexed = self._sources.pop(source, None)
            if indexed:
                self._hidden |= {indexed.revision}
        return indexed.revision if indexed else ""

    def catch_up(self) -> None:
        """See what was removed or asked again while another index answered, before this one takes over."""
        for source, indexed in list(self._sources.items()):
            record = self.folder.read(source)
            if record is None:
                self.forget(source)
            else:
                self._sources[source] = _indexed(record, indexed.chunks, indexed.revision)

    def follow(self) -> None:
        """See what other replicas have changed."""

    def discard(self, revision: str) -> None:
        """Delete the rows of a hidden revision."""
        try:
            self._collection.delete(where={"revision": revision})
            with self._changing:
                self._hidden -= {revision}
        except BaseException as error:
            raise as_store_error(error) from error

    def trim(self, revision: str, chunks: int) -> None:
        """Delete the rows of a hidden revision beyond its chunks: an earlier attempt may have split it into more."""
        try:
            beyond: Any = {"$and": [{"revision": revision}, {"number": {"$gte": chunks}}]}
            self._collection.delete(where=beyond)
        except BaseException as error:
            raise as_store_error(error) from error

    def clean(self) -> None:
        """Delete all rows that no question may see. Only while nothing is being added."""
        for revision in sorted(self._hidden):
            self.discard(revision)

    def words(self) -> Words:
        """The words of what questions may see: read at the first call, from then on in step with every change."""
        if self._words is not None:
            return self._words  # without waiting for a change under way
        with self._changing:
            if self._words is None:
                index = LexicalIndex()
                index.fill(self._texts({"revision": {"$nin": sorted(self._hidden)}} if self._hidden else None))
                self._words = index
            return self._words

    def _texts(self, where: dict[str, Any] | None) -> Iterator[tuple[str, str, str]]:
        """(id, source, text as it is embedded) of rows."""
        from rag.library.splitter import embedded_text  # which needs this module

        offset = 0
        while True:
            try:
                page: Any = self._collection.get(
                    where=where, include=["metadatas", "documents"], limit=self.folder.page, offset=offset
                )
            except BaseException as error:
                raise as_store_error(error) from error
            for row, metadata, text in zip(page["ids"], page["metadatas"], page["documents"], strict=True):
                if metadata is None:  # just being deleted
                    continue
                yield row, str(metadata["source"]), embedded_text(Document(text, metadata=metadata))
            offset += self.folder.page
            if len(page["ids"]) < self.folder.page:
                return

    def look(self, search: Callable[[frozenset[str]], Found]) -> Found:
        """Run a search that leaves these revisions out; again where a version took over meanwhile."""
        while True:
            hidden = self._hidden
            found = search(hidden)
            if self._hidden is hidden:
                return found

    def nearest(self, vector: Any, most: int, hidden: Collection[str], sources: Collection[str] = ()) -> list[Document]:
        """The `most` chunks nearest to a vector, none of them `hidden`; of these sources only, if any is given."""
        limits: list[dict[str, Any]] = [{"revision": {"$nin": sorted(hidden)}}] if hidden else []
        limits += [{"source": {"$in": list(sources)}}] if sources else []
        try:
            return self._nearest(
                vector,
                most,
                limits,
                lambda: sum(item.chunks for item in self.sources if not sources or item.source in sources),
            )
        except BaseException as error:
            raise as_store_error(error) from error

    def _nearest(
        self, vector: Any, most: int, limits: list[dict[str, Any]], there: Callable[[], int], **more: Any
    ) -> list[Document]:
        """The `most` chunks nearest to a vector within `limits`; `there` counts the chunks that are, 0: not known.

        Chroma's graph has two blind spots, which are looked into where they show. A thousand rows of one and the same
        vector (one text again and again) are linked with each other alone, and who comes among them finds no way out:
        where a text is found so often, others are asked for beside it. And where fewer rows come than there are, a
        small number of them is looked at one by one.
        """

        def ask(*beside: dict[str, Any]) -> list[tuple[float, Document]]:
            where = _all_of([*limits, *beside])
            include: Any = ["documents", "metadatas", "distances"]
            count = max(most, LEAST_ASKED)
            got: Any = self._collection.query(
                query_embeddings=[vector], n_results=count, where=where, include=include, **more
            )
            chunks = _as_chunks(got["ids"][0], got["documents"][0], got["metadatas"][0])
            return [one for one in zip(got["distances"][0], chunks, strict=True) if one[1].metadata]

        found = ask()
        times = Counter(chunk.metadata.get("digest") for _, chunk in found)
        if often := sorted(str(digest) for digest, count in times.items() if digest and count > SAME_TEXT):
            kept: Counter[Any] = Counter()
            first: list[tuple[float, Document]] = []
            again: list[tuple[float, Document]] = []
            for distance, chunk in found:
                kept[chunk.metadata.get("digest")] += 1
                few = kept[chunk.metadata.get("digest")] <= SAME_TEXT
                (first if few else again).append((distance, chunk))
            known = {chunk.id for _, chunk in found}
            others = [one for one in ask({"digest": {"$nin": often}}) if one[1].id not in known]
            found = [*sorted([*first, *others], key=lambda one: one[0]), *again]
        elif len(found) < most and not more and len(found) < there() <= self.folder.page:
            found = self._one_by_one(vector, limits)
        return [chunk for _, chunk in found[:most]]

    def _one_by_one(self, vector: Any, limits: list[dict[str, Any]]) -> list[tuple[float, Document]]:
        """All rows within the limits with their cosine distances, nearest first."""
        import numpy as np

        got: Any = self._collection.get(
            where=_all_of(limits), include=["documents", "metadatas", "embeddings"], limit=self.folder.page
        )
        rows, asked = np.asarray(got["embeddings"], dtype=np.float32), np.asarray(vector, dtype=np.float32)
        if not len(rows):
            return []
        lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(asked)
        distances = 1 - rows @ asked / np.maximum(lengths, 1e-12)
        chunks = _as_chunks(got["ids"], got["documents"], got["metadatas"])
        found = [one for one in zip(distances.tolist(), chunks, strict=True) if one[1].metadata]
        return sorted(found, key=lambda one: one[0])

    def rows(self, ids: Sequence[str], hidden: Collection[str]) -> list[Document]:
        """The chunks with these ids that are there and not `hidden`."""
        if not ids:
            return []
        try:
            got: Any = self._collection.get(list(ids), include=["documents", "metadatas"])
        except BaseException as error:
            raise as_store_error(error) from error
        chunks = _as_chunks(got["ids"], got["documents"], got["metadatas"])
        return [chunk for chunk in chunks if chunk.metadata and chunk.metadata["revision"] not in hidden]

    def near_documents(
        self, vector: list[float], most: int, filter: dict[str, Any] | None, **more: Any
    ) -> list[Document]:
        """The `most` chunks nearest to a vector that may be seen and fit LangChain's `filter`."""
        while True:
            hidden = self._hidden
            limits: list[dict[str, Any]] = [filter] if filter else []
            limits += [{"revision": {"$nin": sorted(hidden)}}] if hidden else []
            try:
                found = self._nearest(vector, most, limits, lambda: 0 if filter else self.chunks, **more)
            except BaseException as error:
                raise as_store_error(error) from error
            if self._hidden is hidden:  # else a version took over in between, and its rows were left out
                return found

    def vector_store(self) -> Chroma:
        """LangChain's `Chroma` over this index, that sees only what is whole."""
        chroma: Chroma = _visible_chroma()(self, self._client, self._collection.name)
        return chroma

    def close(self) -> None:
        """Let go of the files."""
        try:
            self._client.close()  # type: ignore[attr-defined,unused-ignore]
        except BaseException:
            log.exception("closing the vector store")


def _all_of(limits: Sequence[dict[str, Any]]) -> Any:
    """Chroma's filter for what is within all the limits; None where there is none."""
    return {"$and": list(limits)} if len(limits) > 1 else limits[0] if limits else None


def _as_chunks(ids: Any, texts: Any, metadatas: Any) -> list[Document]:
    """Rows as chunks; one that is just being deleted may come without text and metadata, and has none then."""
    return [
        Document(text or "", metadata={key: value for key, value in (metadata or {}).items() if key != KEY}, id=row)
        for row, text, metadata in zip(ids, texts, metadatas, strict=True)
    ]


def _visible_chroma() -> Any:
    """The class is made at need: importing langchain-chroma takes a second."""
    from langchain_chroma import Chroma

    class VisibleChroma(Chroma):
        """`Chroma` whose searches leave hidden revisions out, and whose errors say what failed."""

        def __init__(self, store: Store, client: Any, name: str) -> None:
            super().__init__(name, store.embeddings, client=client)
            self._store = store

        def similarity_search(
            self, query: str, k: int = 4, filter: dict[str, Any] | None = None, **kwargs: Any
        ) -> list[Document]:
            """The `k` nearest chunks of what is whole."""
            try:
                vector = self._store.embeddings.embed_query(query)
            except Exception as error:
                raise engine_error(error, *self._store.engine) from error
            return self._store.near_documents(vector, k, filter, **kwargs)

    return VisibleChroma


def as_store_error(error: BaseException) -> BaseException:
    """What Chroma raised, as an error of the store that says what to do."""
    if isinstance(error, (KeyboardInterrupt, SystemExit, GeneratorExit)):
        return error
    return store_error(error)


def chroma_settings() -> Any:
    """Chroma's settings: no telemetry."""
    from chromadb.config import Settings

    return Settings(anonymized_telemetry=False)


def collection_name(embeddings_name: str, digest: str, splitter: tuple[int, int]) -> str:
    """The collection of an embedding model, its weights and a splitter, in Chroma's characters `[a-zA-Z0-9._-]`."""
    readable = re.sub(r"[^a-zA-Z0-9._-]+", "-", embeddings_name)[:80].strip("-._")
    identity = hashlib.sha256(json.dumps([embeddings_name, digest, splitter]).encode()).hexdigest()[:10]
    return f"{readable}-{splitter[0]}-{splitter[1]}-{identity}"


def check_index(folder: DataFolder) -> str:
    """Open the index in a child process, count, and find a row of every source by its own vector.

    Returns what is wrong, "" if nothing is. Damage that ends the process that opens the index ends only the child.
    """
    if not folder.chroma.exists():
        return ""
    database = folder.chroma / "chroma.sqlite3"
    if database.exists() and not database.stat().st_size and len(list(folder.chroma.iterdir())) > 1:
        return "its database file is empty"  # to Chroma that is a new one
    command, environment = child_command("check()", "rag.library.store", str(folder.chroma))
    try:
        child = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=CHECK_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return f"opening it took more than {CHECK_SECONDS:.0f} seconds"
    if child.returncode == 0:
        return ""
    if child.returncode < 0:
        return f"opening it crashed (signal {-child.returncode})"
    lines = child.stderr.strip().splitlines()
    return lines[-1][:300] if lines else f"opening it failed ({child.returncode})"


def check() -> None:
    """The child of `check_index`: exit with a sentence where something is wrong."""
    import chromadb

    path = sys.argv[1]
    if not (Path(path) / "chroma.sqlite3").exists():
        sys.exit("its database file is missing")
    client = chromadb.PersistentClient(path, chroma_settings())
    for collection in client.list_collections():
        rows = collection.count()
        canaries: dict[str, Any] = {}
        seen = 0
        while seen < rows:
            page = collection.get(include=["metadatas", "embeddings"], limit=PAGE, offset=seen)
            stored: Any = page["embeddings"]
            if stored is None or len(stored) != len(page["ids"]) or not all(vector.any() for vector in stored):
                sys.exit(f"{collection.name} has rows without a vector")
            every, revisions = max(1, rows // CANARIES), set()
            for number, (row, metadata) in enumerate(zip(page["ids"], page["metadatas"] or [], strict=True)):
                if number % every == 0 or metadata.get("revision") not in revisions:
                    canaries[row] = stored[number]
                revisions.add(metadata.get("revision"))
            seen += len(page["ids"])
            if not page["ids"]:
                sys.exit(f"{collection.name} counts {rows} rows and has {seen}")
        lost, names = [], list(canaries)
        for start in range(0, len(names), NEAR):
            part = names[start : start + NEAR]
            found = collection.query(
                query_embeddings=[canaries[row] for row in part], n_results=min(NEAR, rows), include=["distances"]
            )
            for row, near, distances in zip(part, found["ids"], found["distances"] or [], strict=True):
                if row not in near and (not distances or distances[0] > 1e-3):
                    lost.append(row)
        if len(lost) > len(names) // 5:
            sys.exit(f"{collection.name} does not find {len(lost)} of its own rows, such as {lost[0]}")
    os._exit(0)


def set_aside(folder: DataFolder) -> Path:
    """Move a damaged index away; the next one is built from the texts. Returns where it is now."""
    target = folder.path / time.strftime("chroma.damaged-%Y%m%d-%H%M%S")
    count = 0
    while target.exists():
        count += 1
        target = target.with_name(f"{target.name}-{count}")
    try:
        os.replace(folder.chroma, target)
    except OSError as error:
        raise store_error(error) from error
    return target
