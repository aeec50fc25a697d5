"""How a Chroma server does with many chunks: rows a second, time per query, memory and disk, at growing sizes.

    python bench/scale.py --chunks 1000000 --seconds 3000 --folder /tmp/bench
    python bench/scale.py --chunks 1000000 --seconds 3000 --folder /tmp/other --graph chroma

Synthetic chunks: 384 numbers around one of 2,000 centres, 600 characters of words that occur as words do (Zipf), and
the metadata that the app writes. What is there is kept in the folder, so that a run goes on where the last one ended.
Prints one line of JSON for each size that was reached.

What limits the filling is the graph of neighbours: one thread of the server puts in one chunk after the other, and
`perf` sees 80 % of it count distances, 4 numbers at a time (the server of the wheel knows SSE alone). Of 13 s for the
first 10,000 chunks, texts take 3 and metadata 2; the app's client takes 0.3. Batches of 5,000, `add` in place of
`upsert`, a threshold of 100,000 and `num_threads` changed nothing. Chroma's own graph (`--graph chroma`: 16
neighbours, not 32) makes it cheaper. `--writers` is how many batches are under way at once.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.programs import free_port
from rag.library.shared import connect
from rag.library.store import GRAPH, SYNC_THRESHOLD
from rag.library.words import LexicalIndex
from rag.settings import load_settings

SIZES = (10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000)
BATCH = 1000
QUERIES = 100
NEAREST = 50
"""Candidates that the app asks for."""
CHROMAS: dict[str, Any] = {"max_neighbors": 16, "ef_construction": 100, "ef_search": 200}
"""Chroma's own numbers for building the graph, asked with the app's own for searching."""


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
        vectors = self._vectors(numbers, count)
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

    def vectors(self, start: int, count: int) -> Any:
        """The vectors of `batch`, without the rest."""
        return self._vectors(np.random.default_rng(1000 + start), count)

    def _vectors(self, numbers: np.random.Generator, count: int) -> Any:
        vectors = self.centres[numbers.integers(0, len(self.centres), count)]
        vectors = vectors + 0.6 * numbers.normal(size=vectors.shape).astype(np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def resident(pid: int) -> int:
    """Bytes that a process has in memory (Linux)."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS"))) * 1024


def worked(pid: int) -> float:
    """Seconds of one core that a process has had (Linux)."""
    told = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")


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
    parser.add_argument(
        "--graph", choices=("app", "chroma"), default="app", help="how the graph of neighbours is built"
    )
    parser.add_argument("--writers", type=int, default=2, help="batches under way at once")
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
    client._server._session.timeout = 900  # type: ignore[attr-defined]  # others may need the machine meanwhile
    numbers = GRAPH if given.graph == "app" else CHROMAS
    graph: Any = {"hnsw": {"space": "cosine", "sync_threshold": SYNC_THRESHOLD, **numbers}}
    rows = client.get_or_create_collection(f"bench-{given.graph}", embedding_function=None, configuration=graph)
    have = rows.count()
    if have:
        first = times(lambda _: rows.query(query_embeddings=corpus.vectors(0, 1), n_results=1), 1)
        print(json.dumps({"chunks": have, "first_query_after_start_ms": first["median_ms"]}), flush=True)
    for size in [each for each in SIZES if have < each < given.chunks] + [given.chunks]:
        start, writing, cores = have, time.monotonic(), worked(pid)
        left = iter(range(have, size, BATCH))
        having = threading.Lock()

        def some(left: Iterator[int] = left, having: threading.Lock = having) -> int:
            written = 0
            while time.monotonic() - began < given.seconds:
                with having:
                    first = next(left, None)
                if first is None:
                    break
                ids, vectors, texts, metadatas = corpus.batch(first, BATCH)
                rows.upsert(ids=ids, embeddings=vectors, documents=texts, metadatas=metadatas)  # type: ignore[arg-type]
                written += BATCH
            return written

        with ThreadPoolExecutor(given.writers) as writers:
            have += sum(writers.map(lambda _, some=some: some(), range(given.writers)))
        spent = time.monotonic() - writing
        told = {"chunks": have, "graph": given.graph, "rows_a_second": round((have - start) / spent)}
        told["server_ms_a_row"] = round((worked(pid) - cores) * 1000 / max(1, have - start), 2)
        print(json.dumps(told | ask(rows, corpus, pid, have, given)), flush=True)
        if have < size:
            break


def right(rows: Any, corpus: Corpus, have: int) -> float:
    """The share of the true nearest that is found (recall)."""
    asked = corpus.vectors(10**9, 1000)[:QUERIES]
    best = np.full((QUERIES, NEAREST), -2.0)
    names = np.zeros((QUERIES, NEAREST), dtype=np.int64)
    for start in range(0, have, BATCH):
        near = asked @ corpus.vectors(start, BATCH).T
        every = np.concatenate([best, near], axis=1)
        known = np.concatenate([names, np.broadcast_to(np.arange(start, start + BATCH), near.shape)], axis=1)
        top = np.argpartition(-every, NEAREST, axis=1)[:, :NEAREST]
        best, names = np.take_along_axis(every, top, axis=1), np.take_along_axis(known, top, axis=1)
    found = rows.query(query_embeddings=asked, n_results=NEAREST, include=[])["ids"]
    hits = [len({int(row.split("-")[2]) for row in got} & set(true)) for got, true in zip(found, names, strict=True)]
    return round(sum(hits) / (QUERIES * NEAREST), 4)


def ask(rows: Any, corpus: Corpus, pid: int, have: int, given: Any) -> dict[str, Any]:
    """Figures at a size."""
    asked = corpus.vectors(10**9, QUERIES)
    include = ["documents", "metadatas", "embeddings"]
    shown = {"revision": {"$nin": ["x1", "x2"]}}
    scope = {"source": {"$in": [f"https://example.com/{number}" for number in range(5)]}}
    drawn = random.Random(3).sample(range(0, have, BATCH), min(20, have // BATCH))
    some = [corpus.batch(start, 1)[0][0] for start in drawn]
    return {
        "query": times(lambda n: rows.query(query_embeddings=[asked[n]], n_results=NEAREST, include=include), QUERIES),
        "query_with_hidden_revisions": times(
            lambda n: rows.query(query_embeddings=[asked[n]], n_results=NEAREST, include=include, where=shown), 5
        ),
        "query_in_5_sources": times(
            lambda n: rows.query(query_embeddings=[asked[n]], n_results=NEAREST, include=include, where=scope), 10
        ),
        "right_among_50": right(rows, corpus, have),
        "rows_by_id": times(lambda _: rows.get(some, include=include), 10),
        "server_memory_mb": round(resident(pid) / 1e6),
        "server_disk_mb": round(sum(each.stat().st_size for each in given.folder.rglob("*") if each.is_file()) / 1e6),
    }


def lexical(corpus: Corpus, chunks: int) -> dict[str, Any]:
    """The word index that each replica has in memory."""
    before = resident(os.getpid())
    index = LexicalIndex()
    busy = 0.0
    for start in range(0, chunks, BATCH * 10):
        rows = []
        for part in range(start, min(start + BATCH * 10, chunks), BATCH):
            ids, _, texts, metadatas = corpus.batch(part, BATCH)
            rows += [(row, str(told["source"]), text) for row, text, told in zip(ids, texts, metadatas, strict=True)]
        began = time.process_time()
        index.fill(rows)
        busy += time.process_time() - began
    question = " ".join(corpus.words[each] for each in (3, 40, 500, 6000))
    return {
        "chunks": chunks,
        "words_index_mb": round((resident(os.getpid()) - before) / 1e6),
        "built_in_cpu_s": round(busy, 1),
        "search": times(lambda _: index.search(question, NEAREST), 30),
    }


if __name__ == "__main__":
    main()
