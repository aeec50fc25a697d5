"""Part `retrieval`: the app's own store and retriever over synthetic chunks, without the question's embedding.

Vectors lie around a thousand topics, as those of real texts do; words follow Zipf's law over a vocabulary that grows
with the library. Each size runs in a process of its own, for its memory.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from bench.engine import spelled
from bench.programs import in_own_process, resident

DIMENSION = 384
TOPICS = 1000
WORDS = 60
"""In a chunk."""
SOURCE_CHUNKS = 500
QUESTIONS = 60


def words_of(rng: np.random.Generator, count: int, vocabulary: int) -> list[str]:
    """Words by Zipf's law, spelled in letters so that they are taken for words."""
    ranks = np.minimum(rng.zipf(1.25, count), vocabulary)
    return [spelled(int(rank)) for rank in ranks]


class TopicVectors(Embeddings):
    """Vectors that are made and not learnt; a question's is drawn anew, near a topic."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.topics = np.random.default_rng(0).normal(size=(TOPICS, DIMENSION)).astype(np.float32)

    def drawn(self, count: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        """So many vectors of length 1."""
        near = self.topics[self.rng.integers(TOPICS, size=count)]
        found = near + 0.7 * self.rng.normal(size=near.shape).astype(np.float32)
        return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), dtype=np.float32)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Not by what they say."""
        return [vector.tolist() for vector in self.drawn(len(texts))]

    def embed_query(self, text: str) -> list[float]:
        """Not by what it says."""
        return self.embed_documents([text])[0]


def searched(chunks: int) -> dict[str, Any]:
    """Fill a store, then ask."""
    from bench.parts import open_library
    from rag.answers.retriever import Retriever
    from rag.library.records import Record

    rng = np.random.default_rng(1)
    vectors = TopicVectors(2)
    vocabulary = max(5000, chunks)
    before = resident("VmRSS")
    with tempfile.TemporaryDirectory(prefix="rag-bench-") as folder, ExitStack() as stack:
        with open_library(Path(folder), vectors) as ingest:
            index, writer = ingest.index, ingest.writer
            began = time.monotonic()
            for start in range(0, chunks, SOURCE_CHUNKS):
                count = min(SOURCE_CHUNKS, chunks - start)
                source = f"https://example.com/{start}"
                drawn = words_of(rng, count * WORDS, vocabulary)
                texts = [" ".join(drawn[at * WORDS : (at + 1) * WORDS]) for at in range(count)]
                record = Record(source, source, [("\n".join(texts), {"source": source, "title": source})])
                documents = [
                    Document(
                        text,
                        metadata={"source": source, "title": source, "number": number, "start_index": number * 1000}
                        | {"digest": f"{start}-{number}"},
                    )
                    for number, text in enumerate(texts)
                ]
                index.records.write_loaded(record)
                revision = writer.begin(source)
                by_digest = {f"{start}-{number}": vector for number, vector in enumerate(vectors.drawn(count))}
                writer.write(revision, source, documents, by_digest)
                writer.publish(revision, record)
                writer.end(revision)
        filled = time.monotonic() - began
        began = time.monotonic()
        index = stack.enter_context(open_library(Path(folder), vectors)).index
        opened = time.monotonic() - began
        retriever = Retriever(index=index, k=4)
        after = resident("VmRSS")
        # a question has a few common words and a few rare ones
        asked = [" ".join(["what", "is", *words_of(rng, 8, vocabulary)]) for _ in range(QUESTIONS + 5)]
        times = []
        for question in asked:
            began = time.monotonic()
            found = retriever.invoke(question)
            times.append(time.monotonic() - began)
            assert found
        times = sorted(times[5:])
    kilobytes = None if before is None or after is None else (after - before) * 1024 / chunks
    return {
        "chunks": chunks,
        "median_ms": 1000 * median(times),
        "p95_ms": 1000 * times[int(len(times) * 0.95)],
        "fill_seconds": filled,
        "open_seconds": opened,
        "kilobytes_per_chunk": kilobytes,
    }


def measure(sizes: list[int]) -> list[dict[str, Any]]:
    """A row for each number of chunks."""
    return [in_own_process("-m", "bench.retrieval", str(size)) for size in sizes]


def main() -> None:
    """One size; prints JSON."""
    parser = argparse.ArgumentParser("python -m bench.retrieval")
    parser.add_argument("chunks", type=int)
    print(json.dumps(searched(parser.parse_args().chunks)))


if __name__ == "__main__":
    main()
