"""Part `ingest`: chunks a second from pages on loopback, beside what the embedding model alone does with these texts.

Each size runs in a process of its own, `python -m bench.ingest`, for its memory.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from bench.pages import served_pages
from bench.programs import in_own_process, resident

PAGE_CHARACTERS = 4000


def ingested(pages: int, sample: int) -> dict[str, Any]:
    """Ingest pages, then ask for them again; the bare model embeds the chunks of the first `sample` right after."""
    from rag.assistant import Assistant
    from rag.library.splitter import embedded_text
    from rag.settings import load_settings

    with tempfile.TemporaryDirectory(prefix="rag-bench-") as folder, served_pages(PAGE_CHARACTERS) as url:
        settings = load_settings(
            data_dir=Path(folder), sources=("bundled:guide.md",), ollama_host="127.0.0.1:9", allow_hosts=("127.0.0.1",)
        )
        assistant = Assistant(settings)
        assistant.start(chat=False, sources=True)
        try:
            asyncio.run(assistant.when_ready.retriever(4))
            library, index = assistant.library, assistant.service.index
            assert library is not None and index is not None
            assistant.chains.prepare()  # the start's own embedding is over then
            _wait(library)  # the settings' own source is in, too
            names = [f"{url}/{number}" for number in range(pages)]
            before, chunks_before = resident("VmRSS"), index.chunks
            began = time.monotonic()
            library.add(names, private=True)
            _wait(library)
            first = time.monotonic() - began
            chunks = index.chunks - chunks_before
            peak = resident("VmHWM")
            sources = [item for item in index.sources if item.source in names[:sample]]
            stored = [chunk for item in sources for chunk in index.records.revisions.chunks_of(item.revision)]
            texts = [embedded_text(chunk) for chunk in stored]
            bare = _rate(index.embeddings, texts)
            began = time.monotonic()
            library.add(names, private=True)
            _wait(library)
            again = time.monotonic() - began
        finally:
            assistant.close()
        return {
            "pages": pages,
            "chunks": chunks,
            "chunks_per_second": chunks / first,
            "bare_model": bare,
            "seconds": first,
            "unchanged": again,
            "memory_before_mb": before,
            "memory_peak_mb": peak,
            "failed": dict(library.failed),
        }


def _rate(embeddings: Any, texts: list[str]) -> float:
    """Texts a second that the model embeds, all given at once."""
    began = time.monotonic()
    embeddings.embed_documents(texts)
    return len(texts) / (time.monotonic() - began)


def _wait(library: Any) -> None:
    pause = threading.Event()
    while library.busy:
        pause.wait(0.02)  # a look takes half a millisecond


def measure(sizes: list[int]) -> list[dict[str, Any]]:
    """A row for each number of pages."""
    return [in_own_process("-m", "bench.ingest", str(size)) for size in sizes]


def main() -> None:
    """One size; prints JSON."""
    parser = argparse.ArgumentParser("python -m bench.ingest")
    parser.add_argument("pages", type=int)
    print(json.dumps(ingested(parser.parse_args().pages, 50)))


if __name__ == "__main__":
    main()
