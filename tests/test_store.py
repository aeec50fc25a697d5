"""Sources become searchable whole or not at all, on real Chroma: restarts, changes, faults, damage, kill -9."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, wait
from pathlib import Path

import pytest
from langchain_core.documents import Document

from rag.answers.retriever import Retriever
from rag.errors import EngineError, SourceError, StoreError, StoreLocked, TextTooLong
from rag.library.chroma import FOLDER, check_folder, chroma_settings
from rag.library.ingest import BATCH, Cancelled, Ingest, VectorsAhead
from rag.library.queue import Task
from rag.library.splitter import with_digest
from rag.library.vectors import collection_name
from rag.library.work import Ahead, LoadedRecord, Worker
from rag.settings import Settings
from tests.conftest import ROOT, make_settings
from tests.stores import CHEESE, MOON, RIVER, Library, half_written, loaded_of, write
from tests.warm import WarmProcess


@pytest.fixture
def small(tmp_path: Path) -> Settings:
    return make_settings(tmp_path, chunk_size=100)


@pytest.fixture(autouse=True)
def _search_in_chroma(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a library too large for its vectors to be held in memory."""
    monkeypatch.setattr("rag.library.index.EXACT_MOST", -1)


@pytest.fixture
def library(small: Settings) -> Iterator[Library]:
    made = Library(small)
    yield made
    made.close()


def test_the_same_source_ten_times_is_embedded_once(library: Library, tmp_path: Path) -> None:
    path = write(tmp_path / "a.md", MOON, RIVER)
    embedded = [library.add(path) for _ in range(10)]
    assert embedded[0] == 2
    assert embedded[1:] == [0] * 9
    assert library.index.chunks == 2
    assert len(library.find("moon", 10)) == 2
    assert library.find("moon", 1)[0].startswith("The moon")


def test_a_restart_embeds_nothing(library: Library, small: Settings, tmp_path: Path) -> None:
    path = write(tmp_path / "a.md", MOON, RIVER)
    library.add(path)
    library.close()
    again = Library(small)
    try:
        assert again.damage == ""
        assert (again.finish(), again.add(path)) == (0, 0)
        assert again.embeddings.embedded == []
        assert again.index.chunks == 2
    finally:
        again.close()


def test_a_change_embeds_what_changed_and_the_old_is_gone(library: Library, tmp_path: Path) -> None:
    path = write(tmp_path / "a.md", MOON, RIVER)
    library.add(path)
    library.embeddings.embedded.clear()
    assert library.add(write(path, MOON, CHEESE)) == 1
    assert [text.split("\n")[1][:10] for text in library.embeddings.embedded] == ["The cheese"]
    assert not [text for text in library.find("river", 10) if "river" in text]
    assert library.rows() == 2


def test_chunks_know_where_they_begin(library: Library, tmp_path: Path) -> None:
    path = write(tmp_path / "a.md", *(f"{MOON} {number}" for number in range(20)))
    library.add(path)
    text = library.records.read(str(path)).documents[0][0]  # type: ignore[union-attr]
    for item in Retriever(index=library.index, k=100, dense=True).invoke("moon"):
        start = item.metadata["start_index"]
        assert text[start : start + len(item.page_content)] == item.page_content


def test_a_text_too_long_for_the_model_is_split_never_cut(library: Library, tmp_path: Path) -> None:
    real = library.embeddings.embed_documents

    def refusing(texts: list[str]) -> list[list[float]]:
        if any(len(text) > 40 for text in texts):
            raise TextTooLong("too long")
        return real(texts)

    library.embeddings.embed_documents = refusing  # type: ignore[method-assign]
    path = write(tmp_path / "a.md", MOON, RIVER)
    library.add(path)
    items = Retriever(index=library.index, k=100, dense=True).invoke("moon")
    items.sort(key=lambda item: item.metadata["start_index"])
    assert all(len(item.page_content) <= 40 for item in items)
    joined = "".join(item.page_content for item in items)
    assert "".join(joined.split()) == "".join((MOON + RIVER).split())


def test_a_fault_in_the_middle_leaves_the_old_version_and_the_next_start_finishes(
    library: Library, small: Settings, tmp_path: Path
) -> None:
    path = write(tmp_path / "a.md", MOON)
    library.add(path)
    real, calls = library.embeddings.embed_documents, []

    def failing(texts: list[str]) -> list[list[float]]:
        calls.append(texts)
        if len(calls) == 2:
            raise ConnectionError("gone")
        return real(texts)

    library.embeddings.embed_documents = failing  # type: ignore[method-assign]
    write(path, *(f"{RIVER} {number}" for number in range(60)))
    with pytest.raises(EngineError, match="not running"):
        library.add(path)
    assert [text[:8] for text in library.find("river", 50)] == ["The moon"]
    library.close()
    again = Library(small)
    try:
        assert [text[:8] for text in again.find("river", 50)] == ["The moon"]
        assert 0 < again.finish() < 60, "what was embedded before the fault is not embedded again"
        assert len(again.find("river", 100)) == 60
    finally:
        again.close()


def test_a_new_source_is_written_whole_at_once_or_not_at_all(library: Library, tmp_path: Path) -> None:
    record = library.load(write(tmp_path / "a.md", MOON, RIVER))
    chunks = library.ingest.chunks_ahead(record)
    ahead: VectorsAhead = Future()
    ahead.set_result((library.ingest, library.ingest.embed_ahead(chunks)))

    def run(holder: str = "") -> int:
        return library.ingest.run(record, lambda *_: None, chunks=chunks, ahead=ahead, holder=holder)

    def there() -> tuple[list[str], list[str], int, int]:
        return library.records.names(), loaded_of(library.records), half_written(library.index), library.rows()

    with pytest.raises(Cancelled):
        run("one who has not taken it, since it was removed meanwhile")
    assert there() == ([], [], 0, 0)
    with library.database.write() as connection:
        refuse = "BEFORE INSERT ON chunks WHEN NEW.number = 1 BEGIN SELECT RAISE(ABORT, 'no room'); END"
        connection.exec_driver_sql(f"CREATE TRIGGER refuse {refuse}")
    with pytest.raises(StoreError, match="no room"):
        run()
    assert there() == ([], [], 0, 0)
    with library.database.write() as connection:
        connection.exec_driver_sql("DROP TRIGGER refuse")
    library.records.write_loaded(record)  # what an attempt that was killed has left
    assert run() == 2
    assert there() == ([record.source], [], 0, 2)
    assert library.find("moon", 1)[0].startswith("The moon")
    assert len(library.embeddings.embedded) == 2


def test_the_beginnings_of_small_sources_are_embedded_together(library: Library, tmp_path: Path) -> None:
    others_loaded = threading.Event()
    calls: list[int] = []
    real = library.embeddings.embed_documents

    def counting(texts: list[str]) -> list[list[float]]:
        calls.append(len(texts))
        return real(texts)

    def load(task: Task) -> LoadedRecord:
        assert task.source != "0" or others_loaded.wait(30)
        if task.source == "2":
            raise SourceError("2", "not found")
        many = BATCH if task.source == "4" else 3
        return LoadedRecord(
            None, [with_digest(Document(f"Moon {task.source} {number}")) for number in range(many)], many
        )

    library.embeddings.embed_documents = counting  # type: ignore[method-assign]
    ahead = Ahead(load, lambda: library.ingest)
    begun = [ahead.begin(Task(str(number), private=True)) for number in range(5)]
    wait([each.loading for each in begun[1:]], 30)
    others_loaded.set()
    found = [each.embedding.result(30)[1].keys() for each in begun]
    ahead.close()
    assert sorted(calls) == [9, BATCH], "the last one has enough for itself"
    for number in (0, 1, 3, 4):
        assert {chunk.metadata["digest"] for chunk in begun[number].loading.result().chunks} <= found[number]


def test_an_index_that_is_gone_is_filled_again_without_embedding(
    library: Library, small: Settings, tmp_path: Path
) -> None:
    path = write(tmp_path / "a.md", MOON, RIVER)
    library.add(path)
    library.close()
    shutil.rmtree(small.data_dir / FOLDER)
    shutil.rmtree(small.data_dir / "words")
    path.unlink()
    again = Library(small)
    try:
        assert again.index.vectors.filling
        assert again.find("river", 1)[0].startswith("The river"), "not answered while the index is being filled"
        assert again.find("river", 1, dense=False)[0].startswith("The river")
        assert (again.finish(), again.embeddings.embedded) == (0, [])
        assert not again.index.vectors.filling
        assert (again.rows(), again.index.chunks) == (2, 2)
        assert again.find("river", 1)[0].startswith("The river")
    finally:
        again.close()


@pytest.mark.parametrize("damage", ["emptied", "deleted", "garbage", "cut", "vectors"])
@pytest.mark.parametrize("closed", [True, False], ids=["closed", "killed"])
def test_a_damaged_index_is_found_and_filled_again(
    library: Library, small: Settings, tmp_path: Path, damage: str, closed: bool
) -> None:
    library.add(write(tmp_path / "a.md", MOON, RIVER))
    library.close()
    folder = small.data_dir / FOLDER
    if not closed:
        (folder / "closed.json").unlink()
    database = folder / "chroma.sqlite3"
    data = database.read_bytes()
    if damage == "deleted":
        database.unlink()
    elif damage == "vectors":
        shutil.rmtree(next(folder.glob("*-*-*-*-*"), folder / "none"), ignore_errors=True)
    else:
        database.write_bytes(
            {"emptied": b"", "garbage": b"x" * 4096 + data[4096:], "cut": data[: len(data) // 3]}[damage]
        )
    again = Library(small)
    try:
        assert again.damage or damage == "vectors"
        assert again.find("moon", 1)[0].startswith("The moon")
        assert again.finish() == 0, "nothing is to be embedded again"
        assert (again.rows(), again.index.chunks) == (2, 2)
        assert again.find("moon", 1)[0].startswith("The moon")
    finally:
        again.close()


def test_an_index_of_another_state_of_the_database_is_brought_to_this_one(
    library: Library, small: Settings, tmp_path: Path
) -> None:
    """As after a backup of the database was put in its place."""
    library.add(write(tmp_path / "a.md", MOON))
    backup = tmp_path / "backup.sqlite"
    library.database.back_up(backup)
    library.add(write(tmp_path / "a.md", RIVER))
    library.add(write(tmp_path / "b.md", CHEESE))
    library.close()
    for path in small.data_dir.glob("library.sqlite*"):
        path.unlink()
    shutil.copy(backup, small.data_dir / "library.sqlite")
    again = Library(small)
    try:
        assert again.finish() == 0
        for dense in (True, False):
            assert [text[:8] for text in again.find("moon river cheese", 9, dense=dense)] == ["The moon"]
        assert (again.rows(), len(again.index.words)) == (1, 1)
    finally:
        again.close()


def clustered(folder: Path, **graph: int) -> None:
    """An index of 20 sources whose vectors lie near each other, as those of real pages do, with a graph of its own."""
    import chromadb

    client = chromadb.PersistentClient(str(folder), chroma_settings())
    collection = client.create_collection("paper", embedding_function=None, configuration={"hnsw": {**graph}})  # type: ignore[arg-type]
    rng = random.Random(3)
    for source in range(20):
        centre = [rng.gauss(0, 1) for _ in range(24)]
        vectors = [[place + rng.gauss(0, 0.35) for place in centre] for _ in range(75)]
        rows = [{"revision": str(source), "number": number} for number in range(75)]
        collection.upsert(ids=[f"{source}-{number}" for number in range(75)], embeddings=vectors, metadatas=rows)  # type: ignore[arg-type]
    client.close()  # type: ignore[attr-defined]


def test_a_row_that_the_search_misses_is_no_damage(small: Settings) -> None:
    folder = small.data_dir / FOLDER
    clustered(folder, max_neighbors=4, ef_search=10)
    assert check_folder(folder) == ""


def test_a_graph_that_finds_little_is_damage(small: Settings) -> None:
    folder = small.data_dir / FOLDER
    clustered(folder, max_neighbors=2, ef_construction=2, ef_search=2)
    assert "of its own rows" in check_folder(folder)


def test_vectors_that_are_gone_are_damage(small: Settings) -> None:
    folder = small.data_dir / FOLDER
    clustered(folder, sync_threshold=1000)
    for path in folder.glob("*/*.bin"):
        path.unlink()
    assert check_folder(folder) != ""


def test_a_second_process_is_refused_by_name(library: Library, small: Settings) -> None:
    code = "from pathlib import Path; from rag.library.folder import DataFolder; "
    code += f"DataFolder(Path({str(small.data_dir)!r})).acquire()"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert StoreLocked.__name__ in ended.stderr
    assert f"process {os.getpid()}" in ended.stderr


def test_a_source_removed_is_gone(library: Library, tmp_path: Path) -> None:
    one, two = write(tmp_path / "a.md", MOON), write(tmp_path / "b.md", RIVER)
    library.add(one)
    library.add(two)
    library.remove(one)
    assert [item.source for item in library.index.sources] == [str(two)]
    assert [text[:9] for text in library.find("moon", 9)] == ["The river"]


def test_collections_are_named_after_their_library_index_and_model() -> None:
    names = ["ollama:mxbai-embed-large", "ollama-mxbai:embed-large", "x:" + "y" * 900]
    made = [collection_name(library * 12, index, name) for library in "ab" for index in (1, 2) for name in names[1:]]
    made += [collection_name("a" * 32, 1, names[0])]
    assert made[-1] == "rag-aaaaaaaaaaaa-1-ollama-mxbai-embed-large"
    assert all(re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9._-]{1,200}[a-zA-Z0-9]", name) for name in made)
    assert len(set(made[:-1])) == len(made) - 1


ARTICLE = [
    f"Paragraph {number} tells of the moon, the sea and what lies between them, {number} times." for number in range(80)
]


@pytest.mark.parametrize("edit", ["longer", "shorter", "gone", "new", "first", "last"])
def test_one_edited_paragraph_embeds_at_most_three_texts(tmp_path: Path, edit: str) -> None:
    library = Library(make_settings(tmp_path, chunk_size=1000))
    try:
        path = write(tmp_path / "a.md", *ARTICLE)
        library.add(path)
        before = library.index.chunks
        library.embeddings.embedded.clear()
        changed = list(ARTICLE)
        at = {"first": 0, "last": 79}.get(edit, 40)
        old = changed[at]
        changed[at] = {"shorter": "Cheese.", "gone": ""}.get(edit, f"Cheese lies on the table. {'More cheese. ' * 30}")
        if edit == "new":
            changed.insert(at + 1, old)
        library.add(write(path, *changed))
        assert len(library.embeddings.embedded) <= 3
        assert abs(library.index.chunks - before) <= 2
        found = library.find("moon", 500)
        assert bool([text for text in found if old in text]) == (edit == "new"), "the old text can still be found"
        for text in changed:
            assert not text or any(text[:60] in chunk for chunk in found), f"lost: {text[:60]}"
    finally:
        library.close()


def test_chunks_know_their_section_and_it_is_embedded(library: Library, tmp_path: Path) -> None:
    page = f"<title>Sea</title><h2 id='m'>Moon</h2><p>{MOON}</p><h2 id='r'>River</h2><p>{RIVER}</p>"
    path = tmp_path / "a.html"
    path.write_text(page, encoding="utf-8")
    library.add(path)
    found = {item.metadata["anchor"]: item for item in Retriever(index=library.index, k=9, dense=True).invoke("moon")}
    assert found["m"].metadata["section"] == "Moon"
    assert found["r"].page_content.startswith("River")
    assert any(text.startswith("Sea > River\n") for text in library.embeddings.embedded)


def test_what_was_removed_does_not_come_back_with_another_model(library: Library, tmp_path: Path) -> None:
    path = write(tmp_path / "a.md", MOON)
    library.add(path)
    other = library.open_index(library.embeddings, "openai:other")
    assert (other.chunks, library.records.revisions.missing(other.id)) == (0, [str(path)])
    library.remove(path)
    other.follow()
    assert library.records.revisions.missing(other.id) == []
    assert library.open_index(library.embeddings).chunks == 0
    assert library.find("moon", 9) == []


def test_vectors_go_with_the_last_chunk_that_has_them(library: Library, tmp_path: Path) -> None:
    one, two = tmp_path / "one" / "a.md", tmp_path / "two" / "a.md"
    for path in (one, two):
        path.parent.mkdir()
        library.add(write(path, MOON))
    assert len(library.embeddings.embedded) == 1, "one text was embedded twice"
    (chunk,) = library.records.revisions.chunks_of(library.index.sources[0].revision)
    digest = str(chunk.metadata["digest"])
    library.remove(one)
    assert library.records.revisions.vectors(library.index.model, [digest])
    library.remove(two)
    assert not library.records.revisions.vectors(library.index.model, [digest])


def test_one_text_that_the_model_refuses_does_not_keep_others_from_being_finished(
    library: Library, tmp_path: Path
) -> None:
    for name, text in (("a", MOON), ("b", RIVER), ("c", CHEESE)):
        library.add(write(tmp_path / f"{name}.md", text))
    real = library.embeddings.embed_documents

    def refusing(texts: list[str]) -> list[list[float]]:
        if any("river" in text for text in texts):
            raise TextTooLong("too long")
        return real(texts)

    library.embeddings.embed_documents = refusing  # type: ignore[method-assign]
    library.ingest = Ingest(library.open_index(library.embeddings, "openai:other"))
    missing = library.records.revisions.missing(library.ingest.index.id)
    library.queue.ask([Task(name, True, stored=True) for name in missing])
    Worker(library.ingest, library.queue, library.uploads, library.settings, lambda *_: None).work()
    assert [Path(task.source).name for task in library.queue.tasks if task.reason] == ["b.md"]
    assert {item.title for item in library.ingest.index.sources} == {"a.md", "c.md"}


CHILD = """
import sys
from pathlib import Path
from tests.conftest import make_settings
from tests.stores import Library
folder = Path(sys.argv[1])
library = Library(make_settings(folder, chunk_size=100))
library.finish()
print("ready", flush=True)
for number in range(1000):
    path = folder / f"{number % 6}.md"
    line = f"The moon {number % 6} in version {number} pulls the sea, part"
    path.write_text("\\n\\n".join(f"{line} {part:03} of it" for part in range(120)))
    library.add(path)
    print(number, flush=True)
"""


@pytest.mark.soak  # `test_kill.py` kills the whole app
def test_kill_9_leaves_no_half_document(tmp_path: Path) -> None:
    rng, settings = random.Random(7), make_settings(tmp_path, chunk_size=100)
    whole: dict[str, int] = {}
    program = tmp_path / "child.py"
    program.write_text(CHILD)
    for _ in range(3):
        child = WarmProcess([str(program), str(tmp_path)])
        assert child.stdout.readline() == "ready\n"
        done = [int(child.stdout.readline()) for _ in range(rng.randint(2, 5))]
        child.send_signal(signal.SIGKILL)
        done += [int(line) for line in child.stdout.read().split() if line.isdigit()]
        child.wait(30)
        child.close()
        whole |= {str(tmp_path / f"{number % 6}.md"): number for number in done}
        library = Library(settings)
        try:
            library.finish()
            versions: dict[str, list[str]] = {}
            for item in library.index.sources:
                for chunk in library.records.revisions.chunks_of(item.revision):
                    versions.setdefault(item.source, []).append(chunk.page_content.split(" in version ")[1][:4])
            assert library.rows() == sum(map(len, versions.values())) == len(library.index.words)
            assert library.find("moon", 3)
            assert whole.keys() <= versions.keys(), "a source that was whole is missing"
            for source, found in versions.items():
                assert len(found) == 120, f"half a document: {source} has {len(found)}"
                assert len(set(found)) == 1, f"two versions at once: {source}"
        finally:
            library.close()


@pytest.mark.parametrize("exact", [-1, 20_000])
def test_a_text_that_stands_there_a_thousand_times_hides_no_other(
    library: Library, tmp_path: Path, exact: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of one vector are linked with each other alone in Chroma's graph, and shut out what was there before."""
    monkeypatch.setattr("rag.library.index.EXACT_MOST", exact)
    library.add(write(tmp_path / "a.md", MOON))
    library.add(write(tmp_path / "b.csv", "river,sea", *["The river runs to the sea" + ", and on" * 8] * 1200))
    assert library.index.chunks > 1000
    for k in (1, 4):
        assert library.find("moon", k)[0].startswith("The moon")
    assert len(library.find("river", 50)) == 50
