"""One file of very many chunks: all of them are there, in batches; cancelled, it ends soon and leaves nothing half."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from langchain_core.documents import Document

from bench.ingest import measure
from rag.answers.retriever import Retriever
from rag.assistant import Assistant
from rag.library.chroma import PAGE
from rag.library.ingest import BATCH
from rag.library.records import Record
from rag.library.revisions import Made
from rag.library.splitter import split_documents
from tests.conftest import PaperEmbeddings, make_settings, wait_until

LONG = 20_000
SHORT = 6000
"""More than Chroma takes in one call."""
CANCEL_SECONDS = 2.0
CHUNK_KB = 40
"""Memory that one more chunk may take: its vector, its place in the graph, its words, and what Chroma keeps beside."""


class Noticing(PaperEmbeddings):
    """Embeddings that say when so many texts were embedded; how many they get at once is noted."""

    def __init__(self) -> None:
        super().__init__()
        self.most, self.limit, self.reached = 0, 0, threading.Event()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.most = max(self.most, len(texts))
        vectors = super().embed_documents(texts)
        if self.limit and len(self.embedded) >= self.limit:
            self.reached.set()
        return vectors


@pytest.fixture
def assistant(tmp_path: Path) -> Iterator[Assistant]:
    settings = make_settings(tmp_path, embeddings="openai:paper", chunk_size=100)
    made = Assistant(settings, embeddings=Noticing())
    made.start(chat=False)
    wait_until(lambda: made.library is not None, 60, lambda: str(made.status()))
    yield made
    made.close()


def write(path: Path, parts: int, edition: str = "first") -> str:
    line = f"The moon of the {edition} edition pulls the sea on every shore, in part"
    path.write_text("\n\n".join(f"{line} {number:06}." for number in range(parts)), encoding="utf-8")
    return str(path)


def chunks(assistant: Assistant) -> dict[str, int]:
    return {Path(item.source).name: item.chunks for item in assistant.sources}


@pytest.mark.timeout(600)
@pytest.mark.soak
@pytest.mark.parametrize("parts", [SHORT, LONG])
def test_a_file_of_very_many_chunks(assistant: Assistant, tmp_path: Path, parts: int) -> None:
    library, index = assistant.library, assistant.service.index
    assert library and index
    embeddings = index.embeddings
    assert isinstance(embeddings, Noticing) and parts > PAGE
    library.add([write(tmp_path / "small.md", 3)], private=True)
    began = time.monotonic()
    library.add([write(tmp_path / "large.md", parts)], private=True)
    wait_until(lambda: not library.busy, 300, lambda: str(assistant.status()))
    took = time.monotonic() - began
    assert chunks(assistant) == {"small.md": 3, "large.md": parts}, library.entries()
    assert index.records.revisions.count(index.id) == parts + 3
    collection = assistant.service.home.client.get_collection(index.vectors.name)
    wait_until(lambda: collection.count() == parts + 3, 30)  # the last rows are written once nothing else is to be done
    assert len(embeddings.embedded) == parts + 3 and embeddings.most <= BATCH
    large = index.source(str(tmp_path / "large.md"))
    assert large
    rows = index.records.revisions.chunks_of(large.revision)
    assert [row.page_content[-7:-1] for row in rows] == [f"{number:06}" for number in range(parts)]
    assert not assistant.service.failed

    embeddings.limit, texts = len(embeddings.embedded) + parts // 2, len(embeddings.embedded)
    library.add([write(tmp_path / "large.md", parts, "second"), write(tmp_path / "other.md", parts)], private=True)
    assert embeddings.reached.wait(120)
    stopping = time.monotonic()
    library.cancel()
    wait_until(lambda: not library.busy, 60)
    stopped = time.monotonic() - stopping
    more = len(embeddings.embedded) - texts
    print(f"\n{parts} chunks in {took:.0f} s; cancelled after {more} more, which took {stopped:.2f} s")
    assert stopped <= CANCEL_SECONDS
    assert chunks(assistant) == {"small.md": 3, "large.md": parts}
    found = Retriever(index=index, k=50, dense=True).invoke("moon")
    assert len(found) == 50 and not any("second edition" in item.page_content for item in found)


@pytest.mark.timeout(60)  # it took many minutes
def test_a_large_file_that_changed_everywhere_is_compared_soon(tmp_path: Path) -> None:
    """Comparing takes time with the square of the lines that are alike: empty ones, the same row again and again."""
    texts = ["\n\n".join(f"In {edition}, {number} |\n\n---" for number in range(10_000)) for edition in ("one", "two")]
    old, new = (Record("large.md", "Large", [(text, {})]) for text in texts)
    row = Document("In one, 0 |", metadata={"start_index": 0})
    chunks = split_documents(new, Made("paper", 1000, 200), old, [row])
    assert "In two, 9999 |" in chunks[-1].page_content
    assert not any("In one" in chunk.page_content for chunk in chunks)


@pytest.mark.timeout(600)
@pytest.mark.soak
def test_ten_times_as_many_pages_take_no_more_memory_than_their_index() -> None:
    few, many = measure([50, 500])
    assert not few["failed"] and not many["failed"]
    assert many["chunks"] > 9 * few["chunks"] > 1000
    grown = many["memory_peak_mb"] - few["memory_peak_mb"]
    print(f"peak {few['memory_peak_mb']:.0f} and {many['memory_peak_mb']:.0f} MB")
    assert grown * 1000 < CHUNK_KB * (many["chunks"] - few["chunks"])
