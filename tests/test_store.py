"""Sources become searchable whole or not at all, on real Chroma: restarts, changes, faults, damage, kill -9."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rag.errors import EngineError, StoreLocked, TextTooLong
from rag.library.store import DataFolder, Store, check_index, chroma_settings, collection_name
from rag.library.work import Library as RealLibrary
from rag.settings import Settings
from tests.conftest import ROOT, make_settings
from tests.stores import CHEESE, ENGINE, MOON, RIVER, Library, write


@pytest.fixture
def small(tmp_path: Path) -> Settings:
    return make_settings(tmp_path, chunk_size=100, chunk_overlap=20)


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
    assert library.store.chunks == 2
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
        assert again.store.chunks == 2
    finally:
        again.close()


def test_a_change_embeds_what_changed_and_the_old_is_gone(library: Library, tmp_path: Path) -> None:
    path = write(tmp_path / "a.md", MOON, RIVER)
    library.add(path)
    library.embeddings.embedded.clear()
    assert library.add(write(path, MOON, CHEESE)) == 1
    assert [text.split("\n")[1][:10] for text in library.embeddings.embedded] == ["The cheese"]
    assert not [text for text in library.find("river", 10) if "river" in text]
    assert library.store._collection.count() == 2


def test_chunks_know_where_they_begin(library: Library, tmp_path: Path) -> None:
    path = write(tmp_path / "a.md", *(f"{MOON} {number}" for number in range(20)))
    library.add(path)
    text = library.folder.read(str(path)).documents[0][0]  # type: ignore[union-attr]
    for item in library.store.vector_store().similarity_search("moon", 100):
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
    items = library.store.vector_store().similarity_search("moon", 100)
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


def test_the_index_is_built_again_from_the_texts(library: Library, small: Settings, tmp_path: Path) -> None:
    path = write(tmp_path / "a.md", MOON, RIVER)
    library.add(path)
    library.close()
    shutil.rmtree(small.data_dir / "chroma")
    path.unlink()
    again = Library(small)
    try:
        assert again.store.chunks == 0
        assert again.finish() == 2
        assert again.find("river", 1)[0].startswith("The river")
    finally:
        again.close()


@pytest.mark.parametrize("damage", ["emptied", "deleted", "garbage", "cut"])
def test_damage_is_found_in_a_child_and_mended(library: Library, small: Settings, tmp_path: Path, damage: str) -> None:
    library.add(write(tmp_path / "a.md", MOON, RIVER))
    library.close()
    database = small.data_dir / "chroma" / "chroma.sqlite3"
    data = database.read_bytes()
    if damage == "deleted":
        database.unlink()
    else:
        database.write_bytes(
            {"emptied": b"", "garbage": b"x" * 4096 + data[4096:], "cut": data[: len(data) // 3]}[damage]
        )
    again = Library(small)
    try:
        again.finish()
        assert again.store.chunks == 2
        assert again.find("moon", 1)[0].startswith("The moon")
        assert again.damage or damage == "emptied"
    finally:
        again.close()


def clustered(folder: DataFolder, **graph: int) -> None:
    """An index of 20 sources whose vectors lie near each other, as those of real pages do, with a graph of its own."""
    import chromadb

    client = chromadb.PersistentClient(str(folder.chroma), chroma_settings())
    collection = client.create_collection("paper", embedding_function=None, configuration={"hnsw": {**graph}})  # type: ignore[arg-type]
    rng = random.Random(3)
    for source in range(20):
        centre = [rng.gauss(0, 1) for _ in range(24)]
        vectors = [[place + rng.gauss(0, 0.35) for place in centre] for _ in range(75)]
        rows = [{"revision": str(source), "number": number} for number in range(75)]
        collection.upsert(ids=[f"{source}-{number}" for number in range(75)], embeddings=vectors, metadatas=rows)  # type: ignore[arg-type]
    client.close()  # type: ignore[attr-defined]


def test_a_row_that_the_search_misses_is_no_damage(small: Settings) -> None:
    folder = DataFolder(small.data_dir)
    clustered(folder, max_neighbors=4, ef_search=10)
    assert check_index(folder) == ""


def test_a_graph_that_finds_little_is_damage(small: Settings) -> None:
    folder = DataFolder(small.data_dir)
    clustered(folder, max_neighbors=2, ef_construction=2, ef_search=2)
    assert "of its own rows" in check_index(folder)


def test_vectors_that_are_gone_are_damage(small: Settings) -> None:
    folder = DataFolder(small.data_dir)
    clustered(folder, sync_threshold=1000)
    for path in folder.chroma.glob("*/*.bin"):
        path.unlink()
    assert check_index(folder) != ""


def test_a_second_process_is_refused_by_name(library: Library, small: Settings) -> None:
    code = "from pathlib import Path; from rag.library.store import DataFolder; "
    code += f"DataFolder(Path({str(small.data_dir)!r})).acquire()"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert StoreLocked.__name__ in ended.stderr
    assert f"process {os.getpid()}" in ended.stderr


def test_a_source_removed_is_gone(library: Library, tmp_path: Path) -> None:
    one, two = write(tmp_path / "a.md", MOON), write(tmp_path / "b.md", RIVER)
    library.add(one)
    library.add(two)
    library.store.remove(str(one))
    assert [item.source for item in library.store.sources] == [str(two)]
    assert [text[:9] for text in library.find("moon", 9)] == ["The river"]


def test_collections_are_named_after_their_model_its_weights_and_the_splitter() -> None:
    names = ["ollama:mxbai-embed-large", "ollama:mxbai-embed-large:335m", "ollama-mxbai:embed-large", "x:" + "y" * 900]
    made = [collection_name(name, "sha256:1", (1000, 200)) for name in names]
    made += [collection_name(names[0], "sha256:2", (1000, 200)), collection_name(names[0], "sha256:1", (500, 50))]
    assert made[0].startswith("ollama-mxbai-embed-large-1000-200-")
    assert len(set(made)) == len(made)
    assert all(re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9._-]{1,200}[a-zA-Z0-9]", name) for name in made)


ARTICLE = [
    f"Paragraph {number} tells of the moon, the sea and what lies between them, {number} times." for number in range(80)
]


@pytest.mark.parametrize("edit", ["longer", "shorter", "gone", "new", "first", "last"])
def test_one_edited_paragraph_embeds_at_most_three_texts(tmp_path: Path, edit: str) -> None:
    library = Library(make_settings(tmp_path, chunk_size=1000, chunk_overlap=200))
    try:
        path = write(tmp_path / "a.md", *ARTICLE)
        library.add(path)
        before = library.store.chunks
        library.embeddings.embedded.clear()
        changed = list(ARTICLE)
        at = {"first": 0, "last": 79}.get(edit, 40)
        old = changed[at]
        changed[at] = {"shorter": "Cheese.", "gone": ""}.get(edit, f"Cheese lies on the table. {'More cheese. ' * 30}")
        if edit == "new":
            changed.insert(at + 1, old)
        library.add(write(path, *changed))
        assert len(library.embeddings.embedded) <= 3
        assert abs(library.store.chunks - before) <= 2
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
    found = {item.metadata["anchor"]: item for item in library.store.vector_store().similarity_search("moon", 9)}
    assert found["m"].metadata["section"] == "Moon"
    assert found["r"].page_content.startswith("River")
    assert any(text.startswith("Sea > River\n") for text in library.embeddings.embedded)


def test_what_was_removed_does_not_come_back_with_another_model(
    library: Library, small: Settings, tmp_path: Path
) -> None:
    path = write(tmp_path / "a.md", MOON)
    library.add(path)
    splitter = (small.chunk_size, small.chunk_overlap)
    other = Store(library.folder, library.embeddings, ("openai:other", "nowhere"), splitter)
    assert other.chunks == 0
    other.remove(str(path))
    again = Store(library.folder, library.embeddings, ENGINE, splitter)
    assert again.chunks == 0
    assert again.vector_store().similarity_search("moon", 9) == []


def test_one_text_that_the_model_refuses_does_not_keep_others_from_being_finished(
    library: Library, tmp_path: Path
) -> None:
    for name, text in (("a", MOON), ("b", RIVER), ("c", CHEESE)):
        library.add(write(tmp_path / f"{name}.md", text))
    library.store._collection.delete(where={"source": {"$ne": ""}})
    library.store._sources.clear()
    real = library.embeddings.embed_documents

    def refusing(texts: list[str]) -> list[list[float]]:
        if any("river" in text for text in texts):
            raise TextTooLong("too long")
        return real(texts)

    library.embeddings.embed_documents = refusing  # type: ignore[method-assign]
    asked = RealLibrary(library.ingest, library.settings, lambda: None, lambda *_: None)
    asked.work()
    assert [Path(source).name for source in asked.failed] == ["b.md"]
    assert {item.title for item in library.store.sources} == {"a.md", "c.md"}


CHILD = """
import sys
from pathlib import Path
from tests.conftest import make_settings
from tests.stores import Library
folder = Path(sys.argv[1])
library = Library(make_settings(folder, chunk_size=100, chunk_overlap=20))
library.finish()
print("ready", flush=True)
for number in range(1000):
    path = folder / f"{number % 6}.md"
    line = f"The moon {number % 6} in version {number} pulls the sea, part"
    path.write_text("\\n\\n".join(f"{line} {part:03} of it" for part in range(120)))
    library.add(path)
    print(number, flush=True)
"""


def test_kill_9_leaves_no_half_document(tmp_path: Path) -> None:
    rng, settings = random.Random(7), make_settings(tmp_path, chunk_size=100, chunk_overlap=20)
    whole: dict[str, int] = {}
    for _ in range(3):
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path)], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
        )
        assert child.stdout
        assert child.stdout.readline() == "ready\n"
        done = [int(child.stdout.readline()) for _ in range(rng.randint(2, 5))]
        child.send_signal(signal.SIGKILL)
        done += [int(line) for line in child.stdout.read().split() if line.isdigit()]
        child.wait(30)
        child.stdout.close()
        whole |= {str(tmp_path / f"{number % 6}.md"): number for number in done}
        library = Library(settings)
        try:
            library.finish()
            versions: dict[str, list[str]] = {}
            seen = [item.revision for item in library.store.sources]
            rows = library.store._collection.get(where={"revision": {"$in": seen}})  # type: ignore[dict-item]
            for text, metadata in zip(rows["documents"] or [], rows["metadatas"] or [], strict=True):
                versions.setdefault(str(metadata["source"]), []).append(text.split(" in version ")[1][:4])
            assert library.find("moon", 3)
            assert whole.keys() <= versions.keys(), "a source that was whole is missing"
            for source, found in versions.items():
                assert len(found) == 120, f"half a document: {source} has {len(found)}"
                assert len(set(found)) == 1, f"two versions at once: {source}"
        finally:
            library.close()


@pytest.mark.parametrize("k", [1, 4])
def test_a_text_that_stands_there_a_thousand_times_hides_no_other(library: Library, tmp_path: Path, k: int) -> None:
    """Rows of one vector are linked with each other alone in Chroma's graph, and shut out what was there before."""
    library.add(write(tmp_path / "a.md", MOON))
    library.add(write(tmp_path / "b.csv", "river,sea", *["The river runs to the sea." + "." * 60] * 1200))
    assert library.store.chunks > 1000
    assert library.find("moon", k)[0].startswith("The moon")
    first, *_ = library.store.nearest(library.embeddings.embed_query("moon"), k, ())
    assert first.page_content.startswith("The moon")
    assert len(library.find("river", 50)) == 50 or k == 1


def test_a_row_that_a_limited_search_misses_is_looked_at(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chroma's search is made to find nothing, as it may among rows that no question may see."""
    library.add(write(tmp_path / "a.md", MOON, RIVER, CHEESE))
    library.store.hide("0" * 20)
    real = library.store._collection.query

    def blind(**given: object) -> object:
        got = real(**given)  # type: ignore[arg-type]
        return {name: [each[0][:1]] if each else each for name, each in got.items() if name != "included"}

    monkeypatch.setattr(library.store._collection, "query", blind)
    first, *others = library.find("cheese", 3)
    assert first.startswith("The cheese") and len(others) == 2


class Deleting:
    """A collection as Chroma answers while a row is being deleted: its id is there, its text and metadata are not."""

    def __init__(self, collection: Any, row: str) -> None:
        self._collection, self._row = collection, row

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collection, name)

    def get(self, *args: Any, **more: Any) -> Any:
        return self._without(self._collection.get(*args, **more))

    def query(self, **more: Any) -> Any:
        return self._without(self._collection.query(**more))

    def _without(self, got: Any) -> Any:
        nested = bool(got["ids"]) and isinstance(got["ids"][0], list)
        for name in ("documents", "metadatas"):
            lists = zip(got["ids"], got[name] or [], strict=False) if nested else [(got["ids"], got[name] or [])]
            for ids, values in lists:
                for place, row in enumerate(ids[: len(values)]):
                    if row == self._row:
                        values[place] = None
        return got


def test_a_row_that_is_just_being_deleted_is_left_out(tmp_path: Path) -> None:
    library = Library(make_settings(tmp_path))
    for number in range(3):
        path = tmp_path / f"{number}.md"
        path.write_text(f"The moon {number} pulls the sea.", encoding="utf-8")
        library.add(path)
    store = library.store
    rows = sorted(store._collection.get()["ids"])
    store._collection = Deleting(store._collection, rows[0])
    vector = library.embeddings.embed_query("moon")
    assert len(store.nearest(vector, 3, ())) == 2
    assert len(store.rows(rows, ())) == 2
    assert len(store.words().rankings("moon", 5)[0]) == 2
    assert sum(len(store.rows_of(str(tmp_path / f"{number}.md")).current) for number in range(3)) == 2
    library.close()
