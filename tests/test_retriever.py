"""Passages by meaning and by words, on real Chroma: what is visible and nothing else, at once, in scope, joined."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_tests.integration_tests import RetrieversIntegrationTests
from typing_extensions import override

from rag.answers.build import Chains
from rag.answers.retriever import Retriever, with_another_source
from rag.errors import EngineError
from rag.settings import Settings
from rag.sources.loader import GUIDE_PATH
from tests.conftest import PaperEmbeddings, make_settings
from tests.stores import CHEESE, MOON, RIVER, Library, write


@pytest.fixture
def small(tmp_path: Path) -> Settings:
    return make_settings(tmp_path, chunk_size=100)


@pytest.fixture
def library(small: Settings) -> Iterator[Library]:
    made = Library(small)
    yield made
    made.close()


def find(library: Library, question: str, k: int = 4, **given: Any) -> list[str]:
    return [item.page_content for item in Retriever(index=library.index, k=k).invoke(question, **given)]


def test_an_empty_library_has_no_passages(library: Library) -> None:
    assert find(library, "anything") == []


def test_words_find_what_the_vectors_do_not_tell_apart(library: Library, tmp_path: Path) -> None:
    for name in ("Zeppelin", "Quagga", "Ytterbium"):
        library.add(write(tmp_path / f"{name}.md", f"About the {name} there is this to say, and it is enough."))
    assert "Quagga" in find(library, "quagga", 1)[0]
    assert "Ytterbium" in find(library, "yterbium", 1)[0], "a slip in the word"


def test_it_follows_every_change_at_once(library: Library, tmp_path: Path) -> None:
    retriever = Retriever(index=library.index, k=4)
    assert retriever.invoke("zeppelin") == []
    path = write(tmp_path / "a.md", "The zeppelin rises over the lake in the morning light.")
    library.add(path)
    assert "zeppelin" in retriever.invoke("zeppelin")[0].page_content
    library.add(write(path, "The submarine dives under the lake in the morning light."))
    assert [item.page_content for item in retriever.invoke("zeppelin")] == find(library, "submarine")
    assert len(library.index.words) == 1
    library.remove(path)
    assert retriever.invoke("submarine") == []
    assert len(library.index.words) == 0


def test_a_restart_reads_the_words_again(library: Library, small: Settings, tmp_path: Path) -> None:
    library.add(write(tmp_path / "a.md", MOON, RIVER, "The quagga lives."))
    library.close()
    again = Library(small)
    try:
        assert any("quagga" in text for text in find(again, "quagga"))
        assert len(again.index.words) == again.index.chunks
    finally:
        again.close()


def test_a_half_written_revision_is_never_found(library: Library, tmp_path: Path) -> None:
    path = write(tmp_path / "a.md", MOON)
    library.add(path)
    record = library.load(write(path, "The quagga is new here."))
    library.records.write_loaded(record)
    revision = library.ingest.writer.begin(str(path))
    chunk = Document(
        "The quagga is new here.", metadata={"source": str(path), "title": "a.md", "number": 0, "digest": "d"}
    )
    vector = np.asarray(library.embeddings.embed_query("quagga"), np.float32)
    library.ingest.writer.write(revision, str(path), [chunk], {"d": vector})
    for dense in (True, False):
        assert library.find("quagga", dense=dense) == [MOON.strip()]
    assert library.ingest.writer.publish(revision, record)
    for dense in (True, False):
        assert library.find("quagga", dense=dense) == ["The quagga is new here."]


def test_a_search_during_a_takeover_is_made_again(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag.library.index.EXACT_MOST", -1)
    path = write(tmp_path / "a.md", MOON)
    library.add(path)
    asked: list[int] = []
    real = library.index.vectors.nearest

    def nearest(*args: Any, **given: Any) -> list[str]:
        asked.append(given["number"])
        found = real(*args, **given)
        if len(asked) == 1:
            library.remove(path)
        return found

    monkeypatch.setattr(library.index.vectors, "nearest", nearest)
    assert find(library, "moon") == []
    assert len(asked) == 2 and asked[1] > asked[0]


def test_a_scope_limits_both_sides(library: Library, tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{name}.md", f"{text} In the {name} file.") for name, text in (("a", MOON), ("b", MOON))]
    library.add(paths[0])
    library.add(paths[1])
    library.add(write(tmp_path / "c.md", RIVER))
    retriever = Retriever(index=library.index, k=9)

    def sources(scope: list[str]) -> set[str]:
        return {item.metadata["source"] for item in retriever.invoke("moon", scope=scope)}

    assert sources([]) == {str(tmp_path / f"{name}.md") for name in "abc"}
    assert sources([str(paths[1])]) == {str(paths[1])}
    assert sources([str(paths[0]), str(paths[1])]) == set(map(str, paths))
    assert sources(["nowhere"]) == set()


async def test_the_scope_goes_through_ainvoke(library: Library, tmp_path: Path) -> None:
    path = write(tmp_path / "b.md", RIVER)
    library.add(write(tmp_path / "a.md", MOON))
    library.add(path)
    found = await Retriever(index=library.index).ainvoke("moon", scope=[str(path)])
    assert {item.metadata["source"] for item in found} == {str(path)}


def test_what_says_the_same_again_is_left_out(library: Library, tmp_path: Path) -> None:
    for name in ("a", "mirror", "copy"):
        library.add(write(tmp_path / f"{name}.md", MOON))
    library.add(write(tmp_path / "c.md", CHEESE))
    found = find(library, "moon")
    assert [text[:8] for text in found] == ["The moon", "The chee"]


def test_another_source_that_is_first_in_a_ranking_has_a_place(library: Library, tmp_path: Path) -> None:
    parts = [
        f"The moon in part {number} has an agent with a plan, a tool and a memory of {word}."
        for number, word in enumerate(("granite", "marble", "basalt", "gneiss", "slate", "chalk"))
    ]
    library.add(write(tmp_path / "a.md", *parts))
    library.add(
        write(tmp_path / "b.md", "Zeppelins do not fly there; cheese is what they carry, and nothing else at all.")
    )
    retriever = Retriever(index=library.index, k=4)
    found = retriever.invoke("the moon has an agent with a plan, a tool and a memory; and zeppelins, zeppelins?")
    assert len(found) == 4
    assert {item.metadata["source"] for item in found} == {str(tmp_path / name) for name in ("a.md", "b.md")}
    alone = retriever.invoke("the moon has an agent with a plan, a tool and a memory")
    assert {item.metadata["source"] for item in alone} == {str(tmp_path / "a.md")}


def test_each_of_two_questions_in_one_has_its_best_passage(library: Library, tmp_path: Path) -> None:
    parts = [f"The deposit of the lease in case {number} is paid before the lease begins." for number in range(6)]
    library.add(write(tmp_path / "a.md", *parts))
    library.add(write(tmp_path / "b.md", "The treasurer keeps the key of the archive in a drawer."))
    library.add(write(tmp_path / "c.md", "The caretaker is in the yard on Mondays."))
    found = find(library, "When is the deposit of the lease paid in this case, and who keeps the key of the archive?")
    assert len(found) == 4
    assert any("treasurer" in each for each in found) and any("deposit" in each for each in found)
    found = find(
        library, "When is the deposit of the lease paid in this case, or the key?", scope=[str(tmp_path / "a.md")]
    )
    assert all("deposit" in each for each in found)


def test_the_last_place_goes_to_another_source_only_where_all_are_of_one() -> None:
    def of(source: str, text: str) -> list[Document]:
        return [Document(text, metadata={"source": source})]

    one = [of("a", str(number)) for number in range(4)]
    other = of("b", "first by words")
    assert with_another_source(one, [*one[2], *other], 4) == [*one[:3], other]
    assert with_another_source(one, [*one[0], *one[1]], 4) == one
    mixed = [*one[:3], of("c", "x")]
    assert with_another_source(mixed, other, 4) == mixed
    assert with_another_source(one[:3], other, 4) == one[:3], "there was room: nothing else fits"
    assert with_another_source(one[:2], other, 2) == one[:2], "too few to give one away"


def test_neighbours_are_one_passage_that_stands_so_in_the_text(tmp_path: Path) -> None:
    made = Library(make_settings(tmp_path, chunk_size=200))
    try:
        text = " ".join(f"Sentence {number} says something of the {word}." for number, word in enumerate("abcdefghij"))
        path = write(tmp_path / "a.md", text)
        made.add(path)
        assert made.index.chunks > 2
        found = Retriever(index=made.index, k=8).invoke("sentence something")
        record = made.records.read(str(path))
        assert record and max(len(item.page_content) for item in found) > 200
        assert len(found) < made.index.chunks
        for item in found:
            start = item.metadata["start_index"]
            assert record.documents[0][0][start : start + len(item.page_content)] == item.page_content
    finally:
        made.close()


def test_an_engine_that_fails_says_so(library: Library, tmp_path: Path) -> None:
    library.add(write(tmp_path / "a.md", MOON))

    def down(text: str) -> list[float]:
        raise ConnectionError("refused")

    library.embeddings.embed_query = down  # type: ignore[method-assign]
    with pytest.raises(EngineError):
        find(library, "moon")


def test_the_settings_choose_the_retriever(library: Library, tmp_path: Path) -> None:
    for name in ("hybrid", "dense"):
        chains = Chains(make_settings(tmp_path, retriever=name, k=7))
        chains.link(library.index, None)
        assert chains.retriever and (chains.retriever.dense, chains.retriever.k) == (name == "dense", 7)


def test_dense_gives_the_nearest_chunks_as_they_are(library: Library, tmp_path: Path) -> None:
    library.add(write(tmp_path / "a.md", MOON, f"{MOON} again", "The quagga is mentioned by its word alone."))
    assert [text[:8] for text in library.find("moon", 2)] == ["The moon"] * 2
    assert len(library.find("moon", 9)) == 3, "what says nearly the same stays"


class TestStandard(RetrieversIntegrationTests):
    """LangChain's own suite."""

    @pytest.fixture(autouse=True)
    def _library(self, tmp_path: Path) -> Iterator[None]:
        self.library = Library(make_settings(tmp_path), PaperEmbeddings())
        self.library.add(GUIDE_PATH)
        yield
        self.library.close()

    @property
    @override
    def retriever_constructor(self) -> type[BaseRetriever]:
        return Retriever

    @property
    @override
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"index": self.library.index}

    @property
    @override
    def retriever_query_example(self) -> str:
        return "How does an agent remember?"
