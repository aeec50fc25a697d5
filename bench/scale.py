"""How a Chroma server does with many chunks: rows a second, time per query, memory and disk, at growing sizes.

    python bench/scale.py --chunks 1000000 --seconds 280 --folder /tmp/bench

Synthetic chunks: 384 numbers around one of 2,000 centres, 600 characters of words that occur as words do (Zipf), and
the metadata that the app writes. What is there is kept in the folder, so that a run goes on where the last one ended.
Prints one line of JSON for each size that was reached.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from rag.lexical import LexicalIndex
from rag.settings import load_settings
from rag.shared import connect
from rag.store import GRAPH, SYNC_THRESHOLD
from tests.conftest import free_port

SIZES = (10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000)
BATCH = 1000
QUERIES = 100
NEAREST = 50
"""Candidates that the app asks for."""


class Corpus:
    """The same chunks at each run."""

    def __init__(self) -> None:
        numbers = np.random.default_rng(7)
        self.centres = numbers.normal(size=(2000, 384)).astype(np.float32)
        self.words = [f"word{number:05d}" for number in range(50_000)]
        weights = 1.0 / np.arange(1, len(self.words) + 1)
        self.shares = weights / weights.sum()

    def batch(self, start: int, count: int) -> tuple[list[str], Any, list[str], list[dict[str, Any]]]:
        """Ids, vectors, texts and metadata of chunks."""
        numbers = np.random.default_rng(1000 + start)
        vectors = self.centres[numbers.integers(0, len(self.centres), count)]
        vectors = vectors + 0.6 * numbers.normal(size=vectors.shape).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        drawn = numbers.choice(len(self.words), size=(count, 65), p=self.shares)
        texts = [" ".join(self.words[each] for each in row) for row in drawn]
        ids = [f"r{(start + each) // 40:08d}-{each % 40:06d}-{start + each}" for each in range(count)]
        rows = [
            {
                "source": f"https://example.com/{(start + each) // 40}",
                "revision": f"r{(start + each) // 40}",
                "number": each % 40,
                "title": "A page",
                "section": "A > B",
                "start_index": 800 * (each % 40),
                "digest": f"{start + each:020d}",
            }
            for each in range(count)
        ]
        return ids, vectors, texts, rows


def resident(pid: int) -> int:
    """Bytes that a process has in memory (Linux)."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS"))) * 1024


def times(call: Any, many: int) -> dict[str, float]:
    """Median and 95th percentile of so many calls, in milliseconds."""
    spent = []
    for number in range(many):
        began = time.perf_counter()
        call(number)
        spent.append((time.perf_counter() - began) * 1000)
    return {"median_ms": round(float(np.median(spent)), 1), "p95_ms": round(float(np.percentile(spent, 95)), 1)}


def main() -> None:
    """Write, ask, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=280.0, help="stop writing after so long")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--lexical", type=int, default=0, help="measure the app's own word index at so many chunks")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    corpus = Corpus()
    if given.lexical:
        print(json.dumps(lexical(corpus, given.lexical)), flush=True)
        return
    port = free_port()
    command = [str(Path(sys.executable).parent / "chroma"), "run", "--host", "127.0.0.1", "--port", str(port)]
    with (given.folder / "server.log").open("ab") as log:
        began = time.monotonic()
        server = subprocess.Popen([*command, "--path", str(given.folder / "chroma")], stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        while True:
            try:
                httpx.get(f"{url}/api/v2/heartbeat", timeout=2).raise_for_status()
                break
            except httpx.HTTPError:
                time.sleep(0.1)
        fill(url, server.pid, corpus, given, began)
    finally:
        server.kill()
        server.wait()


def fill(url: str, pid: int, corpus: Corpus, given: Any, began: float) -> None:
    """Write until the time is up; ask at each size."""
    client = connect(load_settings(chroma_url=url, data_dir=given.folder))
    graph: Any = {"hnsw": {"space": "cosine", "sync_threshold": SYNC_THRESHOLD, **GRAPH}}
    rows = client.get_or_create_collection("bench", embedding_function=None, configuration=graph)
    have = rows.count()
    began_writing, written = time.monotonic(), 0
    told = have
    if have:
        first = times(lambda _: rows.query(query_embeddings=corpus.batch(0, 1)[1], n_results=1), 1)
        print(json.dumps({"chunks": have, "first_query_after_start_ms": first["median_ms"]}), flush=True)
    while have < given.chunks and time.monotonic() - began < given.seconds:
        ids, vectors, texts, metadatas = corpus.batch(have, BATCH)
        rows.upsert(ids=ids, embeddings=vectors, documents=texts, metadatas=metadatas)  # type: ignore[arg-type]
        have += BATCH
        written += BATCH
        if have in SIZES:
            print(
                json.dumps(ask(rows, corpus, pid, have, written / (time.monotonic() - began_writing), given)),
                flush=True,
            )
            told = have
    if told != have or not written:
        rate = written / (time.monotonic() - began_writing) if written else 0.0
        print(json.dumps(ask(rows, corpus, pid, have, rate, given)), flush=True)


def ask(rows: Any, corpus: Corpus, pid: int, have: int, rate: float, given: Any) -> dict[str, Any]:
    """Figures at a size."""
    asked = corpus.batch(10**9, QUERIES)[1]
    include = ["documents", "metadatas", "embeddings"]
    shown = {"revision": {"$nin": ["x1", "x2"]}}
    scope = {"source": {"$in": [f"https://example.com/{number}" for number in range(5)]}}
    drawn = random.Random(3).sample(range(0, have, BATCH), min(20, have // BATCH))
    some = [corpus.batch(start, 1)[0][0] for start in drawn]
    return {
        "chunks": have,
        "rows_a_second": round(rate),
        "query": times(lambda n: rows.query(query_embeddings=[asked[n]], n_results=NEAREST, include=include), QUERIES),
        "query_with_hidden_revisions": times(
            lambda n: rows.query(query_embeddings=[asked[n]], n_results=NEAREST, include=include, where=shown), 5
        ),
        "query_in_5_sources": times(
            lambda n: rows.query(query_embeddings=[asked[n]], n_results=NEAREST, include=include, where=scope), 10
        ),
        "rows_by_id": times(lambda _: rows.get(some, include=include), 10),
        "server_memory_mb": round(resident(pid) / 1e6),
        "server_disk_mb": round(sum(each.stat().st_size for each in given.folder.rglob("*") if each.is_file()) / 1e6),
    }


def lexical(corpus: Corpus, chunks: int) -> dict[str, Any]:
    """The word index that each replica has in memory."""
    import os

    before = resident(os.getpid())
    index = LexicalIndex()
    began = time.monotonic()
    for start in range(0, chunks, BATCH * 10):
        rows = []
        for part in range(start, min(start + BATCH * 10, chunks), BATCH):
            ids, _, texts, metadatas = corpus.batch(part, BATCH)
            rows += [(row, str(told["source"]), text) for row, text, told in zip(ids, texts, metadatas, strict=True)]
        index.fill(rows)
    spent = time.monotonic() - began
    question = " ".join(corpus.words[each] for each in (3, 40, 500, 6000))
    return {
        "chunks": chunks,
        "words_index_mb": round((resident(os.getpid()) - before) / 1e6),
        "built_in_s": round(spent, 1),
        "search": times(lambda _: index.search(question, NEAREST), 30),
    }


if __name__ == "__main__":
    main()
