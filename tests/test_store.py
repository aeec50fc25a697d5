"""The data folder and the index, with real Chroma on disk: what is seen, what is locked out, what is found damaged."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import chromadb
import httpx
import ollama
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

import rag.store
from rag.errors import (
    EngineError,
    EngineStalled,
    EngineUnreachable,
    ModelMissing,
    RagError,
    StoreError,
    StoreLocked,
    engine_error,
    store_error,
)
from rag.ingest import Ingest
from rag.store import DataFolder, Record, Store, check_index, chroma_settings, collection_name, set_aside
from tests.conftest import ROOT, PaperEmbeddings, make_settings
from tests.test_kill import DigestEmbeddings

PAPER = "openai:paper"
ADDRESS = "http://127.0.0.1:9"
SPLITTER = (100, 0)


class ReversedEmbeddings(PaperEmbeddings):
    """Another model of the same dimension: the same counts in the opposite order."""

    def _vector(self, text: str) -> list[float]:
        return super()._vector(text)[::-1]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[DataFolder]:
    made = DataFolder(tmp_path / "data")
    made.acquire()
    yield made
    made.release()


StoreOpener = Callable[..., Store]


@pytest.fixture
def open_store(folder: DataFolder) -> Iterator[StoreOpener]:
    """Opens the folder's store; opening it again is what a restart does."""
    opened: list[Store] = []

    def open_one(embeddings: Embeddings | None = None, name: str = PAPER) -> Store:
        while opened:
            opened.pop().close()
        opened.append(Store(folder, embeddings or PaperEmbeddings(), (name, ADDRESS), SPLITTER))
        return opened[-1]

    yield open_one
    while opened:
        opened.pop().close()


def record_of(source: str, *texts: str) -> Record:
    return Record(source, f"Title of {source}", [(text, {"source": source}) for text in texts])


def write_rows(store: Store, record: Record, rows: slice = slice(None)) -> str:
    """What ingest does before it lets a revision take over: one row per document, those in `rows`."""
    revision = record.revision(SPLITTER)
    store.folder.write_unfinished(record)
    store.hide(revision)
    chunks = [
        Document(text, metadata={"source": record.source, "title": record.title, "number": number, "digest": text})
        for number, (text, _) in enumerate(record.documents)
    ]
    chunks[-1].metadata["last"] = True
    vectors = store._embeddings.embed_documents([text for text, _ in record.documents])
    store.add(revision, chunks[rows], vectors[rows])
    return revision


def put(store: Store, source: str, *texts: str) -> Record:
    record = record_of(source, *texts)
    write_rows(store, record)
    store.swap(record, len(texts))
    store.clean()
    return record


def found(store: Store, question: str, k: int = 10) -> list[str]:
    return [document.page_content for document in store.vector_store().similarity_search(question, k)]


def rows_in_chroma(store: Store) -> list[str]:
    """Every row there is, whether a question may see it or not."""
    return sorted(store.vector_store().get(include=["documents"])["documents"])


# -- names -----------------------------------------------------------------------------------------------------------

NAMES = [
    "ollama:mxbai-embed-large",
    "ollama:mxbai-embed-large:335m",
    "ollama:mxbai-embed-large-335m",
    "ollama:nomic-embed-text:v1.5",
    "ollama:hf.co/BAAI/bge-m3:Q4_K_M",
    "ollama:hf.co/BAAI-bge-m3:Q4_K_M",
    "ollama:HF.co/baai/bge-m3:q4_k_m",
    "embedded:all-minilm",
    "openai:text-embedding-3-small",
    "openai:text embedding 3 small",
    "openai:text-embedding-3-small-",
    "openai:.text-embedding-3-small",
    "openai:text-embedding-3-smäll",
    "openai:向量",
    "openai:嵌入",
    "openai:x",
    "azure-openai:x",
    "azure:openai-x",
]


def test_collections_have_distinct_names_that_chroma_takes(tmp_path: Path) -> None:
    names = [collection_name(name) for name in NAMES]
    assert len(set(names)) == len(NAMES), names
    client = chromadb.PersistentClient(str(tmp_path / "names"), chroma_settings())
    for name in names:
        client.create_collection(name, embedding_function=None)
    assert {collection.name for collection in client.list_collections()} == set(names)
    client.close()


def test_a_collection_is_named_after_its_model() -> None:
    assert collection_name("ollama:mxbai-embed-large") == "ollama-mxbai-embed-large-cosine"
    assert collection_name("openai:text-embedding-3-small").startswith("openai-text-embedding-3-small")
    assert collection_name("ollama:hf.co/BAAI/bge-m3").startswith("ollama-hf.co-BAAI-bge-m3-")
    assert collection_name(NAMES[4]) == collection_name(NAMES[4]), "the same at every start"


def test_the_longest_names_are_within_what_chroma_takes() -> None:
    long, longer = collection_name(f"openai:{'x' * 600}"), collection_name(f"openai:{'x' * 601}")
    assert max(len(long), len(longer)) <= 512
    assert long != longer


# -- what a question sees ----------------------------------------------------------------------------------------------


def test_retrieval_returns_the_nearest_by_angle(open_store: StoreOpener) -> None:
    store = open_store()
    # By distance (l2), "moon river" would be nearer to "moon" than the long text: |(1,1) - (1,0)| = 1 against 19.
    put(store, "sky", "moon " * 20, "moon river", "moon river river", "cheese cheese")
    assert found(store, "moon") == ["moon " * 20, "moon river", "moon river river", "cheese cheese"]
    assert found(store, "moon", k=1) == ["moon " * 20]
    [nearest] = store.vector_store().similarity_search("cheese", 1)
    assert nearest.metadata["source"] == "sky"
    assert nearest.metadata["title"] == "Title of sky"
    assert nearest.metadata["number"] == 3


def test_models_of_the_same_dimension_do_not_mix(open_store: StoreOpener) -> None:
    first = open_store(PaperEmbeddings())
    put(first, "sky", "moon", "river")
    second = open_store(ReversedEmbeddings(), "openai:reversed")
    assert second.sources == [] and second.chunks == 0, "what another model embedded does not count as indexed"
    assert found(second, "moon") == []
    put(second, "kitchen", "cheese", "tool")
    assert sorted(found(second, "moon")) == ["cheese", "tool"]
    again = open_store(PaperEmbeddings())
    assert [item.source for item in again.sources] == ["sky"]
    assert found(again, "moon") == ["moon", "river"]


def every_way_to_search(store: Store, question: str) -> dict[str, list[str]]:
    chroma = store.vector_store()
    vector = PaperEmbeddings().embed_query(question)
    results: dict[str, list[Document]] = {
        "similarity_search": chroma.similarity_search(question, 10),
        "asimilarity_search": asyncio.run(chroma.asimilarity_search(question, 10)),
        "retriever": chroma.as_retriever(search_kwargs={"k": 10}).invoke(question),
        "mmr": chroma.as_retriever(search_type="mmr", search_kwargs={"k": 10}).invoke(question),
        "with score": [document for document, _ in chroma.similarity_search_with_score(question, 10)],
        "by vector": chroma.similarity_search_by_vector(vector, 10),
    }
    return {name: sorted(item.page_content for item in documents) for name, documents in results.items()}


WAYS_TO_SEARCH = ("similarity_search", "asimilarity_search", "retriever", "mmr", "with score", "by vector")


@pytest.mark.parametrize("way", WAYS_TO_SEARCH)
def test_a_revision_is_not_seen_while_it_is_written(open_store: StoreOpener, way: str) -> None:
    store = open_store()
    put(store, "sky", "moon", "moon river")
    write_rows(store, record_of("sky", "moon moon", "moon plan", "moon task"), slice(0, 2))
    write_rows(store, record_of("kitchen", "moon cheese", "moon tool"))
    assert len(rows_in_chroma(store)) == 6
    assert every_way_to_search(store, "moon")[way] == ["moon", "moon river"]
    assert [(item.source, item.chunks) for item in store.sources] == [("sky", 2)]
    assert store.chunks == 2


def test_what_was_half_written_is_not_seen_after_a_restart(open_store: StoreOpener) -> None:
    store = open_store()
    put(store, "sky", "moon", "moon river")
    write_rows(store, record_of("sky", "moon moon", "moon plan", "moon task"), slice(0, 2))
    write_rows(store, record_of("kitchen", "moon cheese", "moon tool", "moon agent"), slice(1, 3))  # has its last row
    put(store, "plans", "moon plan one")
    write_rows(store, record_of("plans", "moon plan two"))  # all its rows, killed just before the take-over
    again = open_store()
    assert sorted(found(again, "moon")) == ["moon", "moon plan one", "moon river"]
    assert {record.source for record in again.folder.records(unfinished=True)} == {"sky", "kitchen", "plans"}
    again.clean()
    assert rows_in_chroma(again) == ["moon", "moon plan one", "moon river"]


def test_a_filter_of_the_caller_holds_beside_the_hidden_revisions(open_store: StoreOpener) -> None:
    store = open_store()
    put(store, "sky", "moon", "moon river")
    put(store, "kitchen", "moon cheese")
    write_rows(store, record_of("kitchen", "moon tool"))
    [only] = store.vector_store().similarity_search("moon", 10, filter={"source": "kitchen"})
    assert only.page_content == "moon cheese"


def test_a_new_version_takes_over_at_once(open_store: StoreOpener) -> None:
    store = open_store()
    put(store, "sky", "moon one", "moon two")
    new = record_of("sky", "moon three", "moon four")
    write_rows(store, new)
    assert sorted(found(store, "moon")) == ["moon one", "moon two"]
    store.swap(new, 2)
    assert sorted(found(store, "moon")) == ["moon four", "moon three"], "before the old rows are deleted"
    assert len(rows_in_chroma(store)) == 4
    assert sorted(found(open_store(), "moon")) == ["moon four", "moon three"], "killed before they were deleted"


def test_a_question_in_the_moment_of_a_take_over_has_an_answer(
    open_store: StoreOpener, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()
    put(store, "sky", "moon one", "moon two")
    new = record_of("sky", "moon three", "moon four")
    write_rows(store, new)
    chroma = store.vector_store()
    search = type(chroma).similarity_search_by_vector
    moments = iter([True])

    def take_over_first(self: Any, *args: Any, **kwargs: Any) -> list[Document]:
        if next(moments, False):
            store.swap(new, 2)
            store.clean()
        return search(self, *args, **kwargs)

    monkeypatch.setattr(type(chroma), "similarity_search_by_vector", take_over_first)
    assert sorted(item.page_content for item in chroma.similarity_search("moon")) == ["moon four", "moon three"]


def test_questions_while_versions_change_see_one_version_whole(open_store: StoreOpener) -> None:
    store = open_store()
    put(store, "sky", *(f"moon {number} version 0" for number in range(4)))
    stop = threading.Event()
    failures: list[BaseException] = []

    def change() -> None:
        try:
            for version in range(1, 40):
                put(store, "sky", *(f"moon {number} version {version}" for number in range(4)))
        except BaseException as error:
            failures.append(error)
        finally:
            stop.set()

    changing = threading.Thread(target=change)
    changing.start()
    seen: list[list[str]] = []
    while not stop.is_set():
        seen.append(sorted(found(store, "moon")))
    changing.join()
    assert not failures, failures
    assert len({*map(str, seen)}) > 1, "the versions did change meanwhile"
    torn = [answer for answer in seen if len(answer) != 4 or len({text.rpartition(" ")[2] for text in answer}) != 1]
    assert not torn, f"{len(torn)} of {len(seen)}: {torn[:3]}"


def test_the_counts_can_be_read_while_sources_come_and_go(open_store: StoreOpener) -> None:
    store = open_store()
    records = [record_of(f"source {number}", "moon") for number in range(300)]
    for record in records:
        store.folder.write_unfinished(record)
    failures: list[BaseException] = []
    stop = threading.Event()

    def read() -> None:
        try:
            while not stop.is_set():
                assert store.chunks <= 300 and len(store.sources) <= 300
        except BaseException as error:
            failures.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    reading = threading.Thread(target=read)
    reading.start()
    try:
        for record in records:
            store.swap(record, 1)
    finally:
        stop.set()
        reading.join()
        sys.setswitchinterval(interval)
    assert not failures, failures


def test_removing_a_source_leaves_nothing_of_it_and_all_of_the_others(open_store: StoreOpener) -> None:
    store = open_store()
    put(store, "sky", "moon", "moon river")
    put(store, "kitchen", "moon cheese")
    write_rows(store, record_of("sky", "moon task"))
    store.remove("sky")
    assert found(store, "moon") == ["moon cheese"]
    assert rows_in_chroma(store) == ["moon cheese"]
    assert [item.source for item in store.sources] == ["kitchen"]
    assert store.folder.read("sky") is None
    assert list(store.folder.records(unfinished=True)) == []
    store.remove("never there")
    again = open_store()
    assert [item.source for item in again.sources] == ["kitchen"]
    assert found(again, "moon") == ["moon cheese"]


def test_a_source_removed_under_one_model_is_not_back_under_another(open_store: StoreOpener) -> None:
    put(open_store(PaperEmbeddings()), "sky", "moon secret")
    other = open_store(ReversedEmbeddings(), "openai:reversed")
    put(other, "sky", "moon secret")
    other.remove("sky")
    again = open_store(PaperEmbeddings())
    assert again.sources == []
    assert found(again, "moon") == []


def test_a_removal_cut_short_is_not_undone_by_a_restart(
    open_store: StoreOpener, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()
    put(store, "sky", "moon secret")
    with monkeypatch.context() as patch:
        patch.setattr(Store, "clean", lambda self: (_ for _ in ()).throw(StoreError("The disk refused a write.")))
        with pytest.raises(StoreError):
            store.remove("sky")
    assert found(store, "moon") == []
    again = open_store()
    assert again.sources == []
    assert found(again, "moon") == []


# -- the lock ----------------------------------------------------------------------------------------------------------

HOLDER = """
import sys
from pathlib import Path
from rag.store import DataFolder, Store
from tests.test_store import ADDRESS, PAPER, SPLITTER, found, put
from tests.conftest import PaperEmbeddings
folder = DataFolder(Path(sys.argv[1]))
folder.acquire()
folder.say_holder("http://127.0.0.1:7860/")
store = Store(folder, PaperEmbeddings(), (PAPER, ADDRESS), SPLITTER)
put(store, "sky", "moon", "moon river")
print("held", flush=True)
for number, _ in enumerate(sys.stdin):
    put(store, f"kitchen {number}", f"cheese {number}")
    print(found(store, "moon", 2), len(found(store, "cheese", 99)), flush=True)
"""


def test_a_second_process_is_refused_and_the_first_is_unharmed_and_kill_frees_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "data"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert holder.stdin and holder.stdout
    try:
        assert holder.stdout.readline() == "held\n"
        for refused in range(10):
            with pytest.raises(StoreLocked) as caught:
                DataFolder(path).acquire()
            assert f"process {holder.pid}" in str(caught.value)
            assert "http://127.0.0.1:7860/" in str(caught.value)
            assert "--data-dir" in str(caught.value)
            holder.stdin.write("answer\n")
            holder.stdin.flush()
            assert holder.stdout.readline() == f"['moon', 'moon river'] {refused + 3}\n"
        holder.send_signal(signal.SIGKILL)
        assert holder.wait(30) == -signal.SIGKILL
    finally:
        holder.kill()
        holder.wait(30)
        holder.stdin.close()
        holder.stdout.close()
    folder = DataFolder(path)
    folder.acquire()
    assert json.loads((path / "holder.json").read_text())["pid"] == os.getpid()
    assert check_index(folder) == ""
    store = Store(folder, PaperEmbeddings(), (PAPER, ADDRESS), SPLITTER)
    assert store.chunks == 12
    store.close()
    folder.release()


def test_a_released_folder_can_be_taken_again(tmp_path: Path) -> None:
    first, second = DataFolder(tmp_path / "data"), DataFolder(tmp_path / "data")
    first.acquire()
    with pytest.raises(StoreLocked, match=f"process {os.getpid()}"):
        second.acquire()
    first.release()
    second.acquire()
    second.release()


@pytest.mark.parametrize("left", ["", "{", "[]", "null", '{"pid": 1}', "\udcff"])
def test_a_lock_with_an_unreadable_holder_is_refused_all_the_same(folder: DataFolder, left: str) -> None:
    (folder.path / "holder.json").write_bytes(left.encode("utf-8", "surrogateescape"))
    with pytest.raises(StoreLocked, match="another process"):
        DataFolder(folder.path).acquire()


def test_a_folder_that_cannot_be_written_to_is_a_store_error_and_stays_unlocked(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StoreError, match="cannot be written to"):
        DataFolder(tmp_path / "file" / "data").acquire()
    (tmp_path / "data" / "holder.json").mkdir(parents=True)
    with pytest.raises(StoreError, match="cannot be written to"):
        DataFolder(tmp_path / "data").acquire()
    (tmp_path / "data" / "holder.json").rmdir()
    healed = DataFolder(tmp_path / "data")
    healed.acquire()
    healed.release()


# -- the texts ---------------------------------------------------------------------------------------------------------


def test_a_text_file_is_at_all_times_one_version_whole(folder: DataFolder) -> None:
    versions = [record_of("sky", *("moon " * 20_000 for _ in range(5))), record_of("sky", "river")]
    folder.write_unfinished(versions[0])
    folder.finish("sky")
    stop = threading.Event()

    def write() -> None:
        for version in itertools.islice(itertools.cycle(versions), 60):
            folder.write_unfinished(version)
            folder.finish("sky")
        stop.set()

    writing = threading.Thread(target=write)
    writing.start()
    seen = set()
    while not stop.is_set():
        record = folder.read("sky")
        assert record in versions
        seen.add(len(record.documents))
    writing.join()
    assert seen == {1, 5}


def test_a_write_that_fails_leaves_the_version_before(folder: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    before = record_of("sky", "moon")
    folder.write_unfinished(before)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")))
        with pytest.raises((OSError, StoreError)):
            folder.write_unfinished(record_of("sky", "moon river"))
    assert list(folder.records(unfinished=True)) == [before]
    folder.finish("sky")
    assert folder.read("sky") == before
    assert list(folder.records()) == [before]


def test_a_full_disk_under_the_texts_is_told_as_such(folder: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(StoreError, match="disk is full"):
        folder.write_unfinished(record_of("sky", "moon"))


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut in half": lambda data: data[: len(data) // 2],
    "emptied": lambda data: b"",
    "zeros": lambda data: bytes(len(data)),
    "not UTF-8": lambda data: b"\xff\xfe" + data,
    "a list": lambda data: b"[1, 2]",
    "null": lambda data: b"null",
    "without documents": lambda data: b'{"source": "sky", "title": "t", "loaded_at": 1}',
    "documents of another shape": lambda data: data.replace(b'"documents": [', b'"documents": [["a"], 5, '),
    "documents no list": lambda data: b'{"source": "sky", "title": "t", "loaded_at": 1, "documents": 5}',
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_text_file_is_reported_and_its_source_loaded_again(
    folder: DataFolder, open_store: StoreOpener, tmp_path: Path, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    page = tmp_path / "sky.txt"
    page.write_text("The moon over the river.")
    settings = make_settings(tmp_path, embeddings=PAPER, chunk_size=SPLITTER[0], chunk_overlap=SPLITTER[1])
    embeddings = PaperEmbeddings()
    store = open_store(embeddings)
    Ingest(store, embeddings, settings).ingest(str(page), lambda *_: None, named_at_start=True)
    put(store, "kitchen", "cheese")
    [text_file] = [path for path in (folder.path / "texts").iterdir() if b"river" in path.read_bytes()]
    text_file.write_bytes(DAMAGE[how](text_file.read_bytes()))
    again = open_store(embeddings)
    assert str(text_file) in caplog.text
    assert [record.source for record in folder.records()] == ["kitchen"]
    assert found(again, "moon", 1) == ["The moon over the river."], "whole rows answer, whatever became of the text"
    ingest = Ingest(again, embeddings, settings)
    ingest.finish(lambda *_: None)
    ingest.ingest(str(page), lambda *_: None, named_at_start=True)
    assert found(again, "moon", 1) == ["The moon over the river."]
    healed = folder.read(str(page))
    assert healed and healed.documents[0][0] == "The moon over the river.", "the truth is on disk again"


def test_too_little_disk_is_refused_in_words(folder: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(folder.path)
    for free in (0, 200 * 2**20 - 1):
        with monkeypatch.context() as patch:
            patch.setattr(shutil, "disk_usage", lambda _, free=free: usage._replace(free=free))
            with pytest.raises(StoreError) as caught:
                folder.check_space()
        assert f"Only {free >> 20} MiB are free" in str(caught.value)
        assert "200 MiB" in str(caught.value) and str(folder.path) in str(caught.value)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=200 * 2**20))
    folder.check_space()


# -- damage to the index -----------------------------------------------------------------------------------------------

ROWS = 180
BATCH = 60
SOURCES = ("first", "second")
SYNC = 110
"""Low enough for Chroma to write the files of its index three times: after 120, 240 and 360 rows."""
RECOVER = """
import json, sys
from pathlib import Path
import rag.store
from rag.ingest import Ingest
from rag.store import DataFolder, Store, set_aside
from tests.conftest import make_settings
from tests.test_store import ADDRESS, PAPER, ROWS, SOURCES, SPLITTER, SYNC, DigestEmbeddings, row_text
rag.store.SYNC_THRESHOLD = SYNC
for path in map(Path, sys.argv[1:]):
    folder = DataFolder(path)
    folder.acquire()
    if (path / "damaged").exists():
        set_aside(folder)
    settings = make_settings(path, embeddings=PAPER, chunk_size=SPLITTER[0], chunk_overlap=SPLITTER[1])
    embeddings = DigestEmbeddings()
    store = Store(folder, embeddings, (PAPER, ADDRESS), SPLITTER)
    Ingest(store, embeddings, settings).finish(lambda *_: None)
    chroma = store.vector_store()
    texts = [row_text(source, number) for source in SOURCES for number in range(ROWS)]
    right = sum([item.page_content for item in chroma.similarity_search(text, 1)] == [text] for text in texts)
    print(json.dumps([path.name, right, store.chunks]), flush=True)
    store.close()
"""


def row_text(source: str, number: int) -> str:
    return f"Row {number:03d} of the {source} source {'.' * 60}"


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _garbage(path: Path) -> None:
    path.write_bytes(hashlib.sha512(b"garbage").digest() * 2 + path.read_bytes()[128:])


def _tail_cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 95 // 100])


def _zeroed_middle(path: Path) -> None:
    data = bytearray(path.read_bytes())
    start, end = len(data) * 3 // 10, len(data) // 2
    data[start:end] = bytes(end - start)
    path.write_bytes(bytes(data))


def _earlier(path: Path) -> None:
    """The state of a moment before, as a kill gives it; Chroma's log no longer has what came since."""
    shutil.rmtree(path)
    shutil.copytree(path.parents[1] / "earlier", path)


INDEX_FILES = ("data_level0.bin", "header.bin", "length.bin", "link_lists.bin", "index_metadata.pickle")
MUTATIONS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "untouched": ("chroma.sqlite3", lambda path: None),
    "sqlite emptied": ("chroma.sqlite3", lambda path: path.write_bytes(b"")),
    "sqlite deleted": ("chroma.sqlite3", Path.unlink),
    "sqlite garbage header": ("chroma.sqlite3", _garbage),
    "sqlite cut": ("chroma.sqlite3", _cut),
    "index deleted": ("*-*", shutil.rmtree),
    "index of an earlier moment": ("*-*", _earlier),
    "vectors cut at the end": ("*-*/data_level0.bin", _tail_cut),
    "vectors zeroed in the middle": ("*-*/data_level0.bin", _zeroed_middle),
    "vectors garbage": ("*-*/data_level0.bin", _garbage),
    "header cut": ("*-*/header.bin", _cut),
    "lengths cut": ("*-*/length.bin", _cut),
    "links cut": ("*-*/link_lists.bin", _cut),
    "ids cut": ("*-*/index_metadata.pickle", _cut),
}
ALSO_RECOVERED = ("sqlite deleted", "header cut")
"""Damage that the check finds; the index is set aside and built again from the texts."""


@dataclass
class Outcome:
    """What the check said, and what came of it: rows found by their own vector, and rows counted."""

    said: str
    found: int = 0
    counted: int = 0
    crash: str = ""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """For each mutation what `check_index` says; then what the app would do, in a process that may die of it."""
    origin = tmp_path_factory.mktemp("origin")
    folder = DataFolder(origin)
    folder.acquire()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rag.store, "SYNC_THRESHOLD", SYNC)
        store = Store(folder, DigestEmbeddings(), (PAPER, ADDRESS), SPLITTER)
    for source in SOURCES:
        record = record_of(source, *(row_text(source, number) for number in range(ROWS)))
        for start in range(0, ROWS, BATCH):
            write_rows(store, record, slice(start, start + BATCH))
            if source == SOURCES[1] and start == BATCH:
                [index] = origin.glob("chroma/*-*")
                shutil.copytree(index, origin / "earlier")
        store.swap(record, ROWS)
    store.close()
    folder.release()
    assert (origin / "earlier" / "length.bin").stat().st_size < (index / "length.bin").stat().st_size
    assert {path.name for path in index.iterdir()} == set(INDEX_FILES)

    copies = {name: tmp_path_factory.mktemp(name.replace(" ", "-"), numbered=False) for name in MUTATIONS}
    for name, (pattern, mutate) in MUTATIONS.items():
        shutil.copytree(origin, copies[name], dirs_exist_ok=True)
        [target] = copies[name].glob(f"chroma/{pattern}")
        mutate(target)
    with ThreadPoolExecutor(2) as pool:
        said = pool.map(lambda path: check_index(DataFolder(path)), copies.values())
        outcomes = {name: Outcome(text) for name, text in zip(copies, said, strict=True)}

    names = {copies[name].name: name for name in copies if not outcomes[name].said or name in ALSO_RECOVERED}
    while names:
        for name in names.values():
            if outcomes[name].said:
                (copies[name] / "damaged").touch()
        child = subprocess.run(
            [sys.executable, "-c", RECOVER, *(str(copies[name]) for name in names.values())],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=200,
        )
        for line in child.stdout.splitlines():
            path_name, found_rows, counted = json.loads(line)
            outcome = outcomes[names.pop(path_name)]
            outcome.found, outcome.counted = found_rows, counted
        if names:
            outcomes[names.pop(next(iter(names)))].crash = f"exit {child.returncode}: {child.stderr[-300:]}"
    return outcomes


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_damaged_index_is_found_by_the_check_or_answers_in_full(outcomes: dict[str, Outcome], name: str) -> None:
    outcome = outcomes[name]
    assert "\n" not in outcome.said and len(outcome.said) <= 300
    if name == "untouched":
        assert outcome.said == ""
    if not outcome.said or name in ALSO_RECOVERED:
        assert (outcome.found, outcome.counted) == (2 * ROWS, 2 * ROWS), outcome


def test_there_is_nothing_to_say_of_an_index_that_is_not_there(folder: DataFolder) -> None:
    assert check_index(folder) == ""


def test_the_check_finds_a_good_index_good_twice(folder: DataFolder, open_store: StoreOpener) -> None:
    store = open_store()
    put(store, "sky", "moon", "moon", "moon")  # equal vectors: a row may find its twin
    put(store, "long", *("cheese" for _ in range(50)))
    write_rows(store, record_of("kitchen", "cheese", "tool"), slice(0, 1))
    store.close()
    assert check_index(folder) == ""
    again = open_store()
    assert again.chunks == 53
    again.close()
    assert check_index(folder) == ""


def test_a_check_that_hangs_is_given_up(
    folder: DataFolder, open_store: StoreOpener, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(open_store(), "sky", "moon")
    monkeypatch.setattr(rag.store, "CHECK_SECONDS", 0.01)
    assert check_index(folder) == "opening it took more than 0 seconds"


def test_what_is_set_aside_is_kept_as_it_was(folder: DataFolder) -> None:
    kept = []
    for content in (b"one", b"two", b"three"):  # within one second
        folder.chroma.mkdir()
        (folder.chroma / "chroma.sqlite3").write_bytes(content)
        kept.append((set_aside(folder), content))
        assert not folder.chroma.exists()
    assert len({path for path, _ in kept}) == 3
    for path, content in kept:
        assert path.parent == folder.path
        assert (path / "chroma.sqlite3").read_bytes() == content


@pytest.mark.parametrize("where", ["in Chroma", "in taking stock"])
def test_a_store_that_cannot_be_opened_lets_go_of_its_files(
    folder: DataFolder, open_store: StoreOpener, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    put(open_store(), "sky", "moon")
    open_store().close()
    with monkeypatch.context() as patch:
        if where == "in Chroma":
            _garbage(folder.chroma / "chroma.sqlite3")
        else:
            patch.setattr(Store, "_take_stock", lambda self: (_ for _ in ()).throw(RuntimeError("a panic of Chroma's")))
        with pytest.raises(StoreError, match="The vector store failed"):
            open_store()
    set_aside(folder)
    fresh = open_store()
    assert fresh.sources == []
    put(fresh, "sky", "moon")
    assert found(fresh, "moon") == ["moon"]
    assert (folder.chroma / "chroma.sqlite3").exists(), "the new store is where it belongs"


# -- errors in words ---------------------------------------------------------------------------------------------------


def test_errors_of_the_store_say_what_to_do() -> None:
    full = store_error(OSError(errno.ENOSPC, "No space left on device"))
    assert isinstance(full, StoreError) and "disk is full" in str(full)
    refused = store_error(chromadb.errors.InternalError("error returned from database: (code: 778) disk I/O error"))
    assert isinstance(refused, StoreError) and "Free some space" in str(refused)
    broken = store_error(chromadb.errors.InternalError("Query error:\n database disk image\n is malformed" + "x" * 999))
    assert isinstance(broken, StoreError) and "malformed" in str(broken)
    assert "\n" not in str(broken) and len(str(broken)) < 400
    assert str(store_error(ValueError())) == "The vector store failed: ValueError"
    locked = StoreLocked("taken")
    assert store_error(locked) is locked


def test_an_interrupt_is_no_error_of_the_store(open_store: StoreOpener, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store()
    put(store, "sky", "moon")
    monkeypatch.setattr(store._collection, "upsert", lambda **_: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        write_rows(store, record_of("sky", "river"))


ENGINE_ERRORS: list[tuple[BaseException, str, type[RagError], str]] = [
    (httpx.ConnectError("All connection attempts failed"), "ollama:llama3", EngineUnreachable, "ollama serve"),
    (ConnectionError("Failed to connect to Ollama"), "ollama:llama3", EngineUnreachable, "ollama serve"),
    (httpx.ConnectError("refused"), "openai:x", EngineUnreachable, "RAG_BASE_URL"),
    (ollama.ResponseError("model 'llama3' not found", 404), "ollama:llama3", ModelMissing, "ollama pull llama3"),
    (ollama.ResponseError("unexpected\nEOF", -1), "ollama:llama3", EngineError, "unexpected EOF"),
    (httpx.ReadTimeout(""), "ollama:llama3", EngineStalled, "stopped answering"),
    (httpx.RemoteProtocolError("peer closed connection"), "ollama:llama3", EngineError, "in the middle"),
    (json.JSONDecodeError("Expecting value", "", 0), "ollama:llama3", EngineError, "not its protocol"),
    (KeyError("/home/secret"), "ollama:llama3", EngineError, "KeyError"),
]


@pytest.mark.parametrize(("error", "model", "kind", "words"), ENGINE_ERRORS)
def test_errors_of_the_engine_say_what_to_do(
    error: BaseException, model: str, kind: type[RagError], words: str
) -> None:
    told = engine_error(error, model, ADDRESS)
    assert type(told) is kind
    assert words in str(told) and ADDRESS in str(told)
    assert "secret" not in str(told) and "\n" not in str(told)


def test_a_question_while_the_engine_is_down_is_told_so(
    open_store: StoreOpener, monkeypatch: pytest.MonkeyPatch
) -> None:
    embeddings = PaperEmbeddings()
    store = open_store(embeddings)
    put(store, "sky", "moon")
    with monkeypatch.context() as patch:
        patch.setattr(embeddings, "embed_query", lambda _: (_ for _ in ()).throw(ConnectionError("no")))
        with pytest.raises(EngineUnreachable, match=ADDRESS):
            found(store, "moon")
    assert found(store, "moon") == ["moon"]


def test_vectors_of_another_length_are_a_store_error(open_store: StoreOpener, monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings = PaperEmbeddings()
    store = open_store(embeddings)
    put(store, "sky", "moon")
    monkeypatch.setattr(embeddings, "embed_query", lambda _: [1.0, 0.0])
    with pytest.raises(StoreError, match="dimension"):
        found(store, "moon")
