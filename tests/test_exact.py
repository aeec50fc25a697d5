"""The vectors that are held in memory: the same as Chroma finds, after any change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag.library.exact import Held
from tests.conftest import make_settings
from tests.stores import CHEESE, MOON, RIVER, Library, write


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    made = Library(make_settings(tmp_path, chunk_size=100))
    yield made
    made.close()


def held(digests: list[str], vectors: list[list[float]], sources: list[str] | None = None) -> Held:
    rows = [f"r{place}" for place in range(len(digests))]
    found = np.asarray(vectors, np.float32)
    return Held(1, rows, sources or ["s"] * len(rows), digests, found, {each: at for at, each in enumerate(digests)})


def test_the_nearest_come_first_and_a_scope_leaves_others_out() -> None:
    three = held(["a", "b", "c"], [[1, 0], [0.6, 0.8], [0, 1]], ["x", "y", "x"])
    assert three.nearest([2.0, 0.1], 2) == ["r0", "r1"]
    assert three.nearest([2.0, 0.1], 9, ["x"]) == ["r0", "r2"]
    assert three.nearest([2.0, 0.1], 9, ["z"]) == []


def test_one_text_again_and_again_goes_behind_others() -> None:
    many = held(["a"] * 8 + ["b"], [[1, 0]] * 8 + [[0, 1]])
    assert many.nearest([1, 0], 7) == ["r0", "r1", "r2", "r3", "r4", "r8", "r5"]


def test_among_many_the_nearest_come_first_and_equal_ones_in_their_order() -> None:
    nearness = np.random.default_rng(0).integers(0, 40, 3000) / 40
    vectors = np.stack([nearness, np.sqrt(1 - nearness**2)], axis=1)
    many = held([str(place) for place in range(3000)], vectors.tolist())
    order = [f"r{place}" for place in np.argsort(-nearness, kind="stable")]
    for most in (1, 50, 2999, 3000):
        found = many.nearest([1, 0], most)
        assert len(found) == most
        assert [nearness[int(row[1:])] for row in found] == [nearness[int(row[1:])] for row in order[:most]]
    assert many.nearest([0, 0], 100) == [f"r{place}" for place in range(100)]


def test_vectors_of_texts_and_none_where_one_is_not_there() -> None:
    two = held(["a", "b"], [[1, 0], [0, 1]])
    found = two.of(["b", "a"])
    assert found is not None and found.tolist() == [[0, 1], [1, 0]]
    assert two.of(["a", "gone"]) is None


def test_it_follows_what_is_added_changed_and_removed(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each change it finds what Chroma finds."""

    def found() -> list[list[str]]:
        both = []
        for most in (20_000, -1):
            monkeypatch.setattr("rag.library.index.EXACT_MOST", most)
            both.append(library.find("moon river", 9))
        assert both[0] == both[1]
        return both

    first, second = tmp_path / "a.md", tmp_path / "b.md"
    assert found()[0] == []
    library.add(write(first, MOON))
    assert [text[:8] for text in found()[0]] == ["The moon"]
    library.add(write(second, RIVER))
    assert {text[:9].strip() for text in found()[0]} == {"The moon", "The river"}
    library.add(write(first, CHEESE))
    assert {text[:9].strip() for text in found()[0]} == {"The chees", "The river"}
    library.remove(second)
    assert {text[:9].strip() for text in found()[0]} == {"The chees"}


def left_before(folder: Path) -> Library:
    """A library with `a.md` that was closed well and is opened again, without Chroma."""
    settings = make_settings(folder, chunk_size=100)
    before = Library(settings)
    before.add(write(folder / "a.md", MOON))
    before.close()
    return Library(settings, chroma=False)


def test_questions_are_answered_before_chroma_is_open(tmp_path: Path) -> None:
    again = left_before(tmp_path)
    try:
        assert not again.home.is_open
        assert again.find("moon", 1)[0].startswith("The moon")
        again.open_chroma()
        assert not again.index.vectors.filling, "it was closed well, so that nothing is filled again"
    finally:
        again.close()


def test_a_source_may_go_while_chroma_is_being_opened(tmp_path: Path) -> None:
    """The folder is open, the collection is not yet; as many chunks come as go, so that numbers show nothing."""
    again = left_before(tmp_path)
    try:
        again.home.look(again.database.last_change(), again.name)
        again.home.open()
        again.remove(str(tmp_path / "a.md"))
        again.add(write(tmp_path / "b.md", MOON))
        again.ingest.writer.write_waiting()
        again.index.open_vectors()
        assert again.rows() == again.index.chunks and again.index.vectors.filling
        again.fill()
        assert again.index.vectors.name in {each.name for each in again.home.client.list_collections()}
        got = again.home.client.get_collection(again.index.vectors.name).get(include=["metadatas"])
        assert {row["source"] for row in got["metadatas"] or []} == {str(tmp_path / "b.md")}
    finally:
        again.close()


def test_rows_wait_while_chroma_is_not_asked_and_no_longer(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = library.home.client.get_collection(library.index.vectors.name)
    first = write(tmp_path / "a.md", MOON)
    library.add(first)
    library.add(write(tmp_path / "b.md", CHEESE))
    assert collection.count() == 0
    library.remove(first)
    assert library.find("cheese", 1)[0].startswith("The cheese")
    assert collection.count() == 0, "few rows wait, and those of what was removed go"
    monkeypatch.setattr("rag.library.index.EXACT_MOST", -1)
    assert [text[:10] for text in library.find("cheese", 1)] == ["The cheese"], "what waits is written for a question"
    assert collection.count() == library.index.chunks
    library.add(write(first, RIVER))
    assert collection.count() == library.index.chunks, "nothing waits where Chroma is asked"


def test_many_rows_wait_for_no_more_and_are_written_in_small_parts(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag.library.vectors.AT_ONCE", 64)
    monkeypatch.setattr("rag.library.vectors.MOST_WAITING", 128)
    collection = library.home.client.get_collection(library.index.vectors.name)
    sizes: list[int] = []
    upsert = type(collection).upsert

    def noted(self: Any, ids: list[str], **rest: Any) -> None:
        sizes.append(len(ids))
        upsert(self, ids, **rest)

    monkeypatch.setattr(type(collection), "upsert", noted)
    library.add(write(tmp_path / "a.md", *[f"{MOON} {number}" for number in range(200)]))
    waiting = library.index.chunks - collection.count()
    assert 0 <= waiting < 128 < library.index.chunks
    library.ingest.writer.write_waiting()
    assert collection.count() == library.index.chunks == sum(sizes)
    assert max(sizes) <= 64, "while Chroma writes, no other thread runs"


def test_rows_that_waited_when_the_app_was_killed_are_filled_in(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, chunk_size=100)
    killed = Library(settings)
    killed.add(write(tmp_path / "a.md", MOON))
    killed.home.close(killed.database.last_change(), killed.name)  # what waits is lost
    killed.database.close()
    killed.folder.release()
    again = Library(settings)
    try:
        assert again.index.vectors.filling
        again.fill()
        assert again.rows() == again.index.chunks and not again.index.vectors.filling
    finally:
        again.close()
