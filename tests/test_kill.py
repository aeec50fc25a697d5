"""kill -9 to the command line while it adds and refreshes pages: no answer from half a page, nothing lost."""

from __future__ import annotations

import itertools
import os
import random
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rag.answers.retriever import Retriever
from rag.assistant import Assistant
from rag.settings import Settings
from tests.conftest import ROOT, Pages, make_settings, wait_until
from tests.ollama_server import ModelSpec, OllamaServer, Record
from tests.stores import half_written, on_disk
from tests.warm import WarmProcess

PARTS = 70
"""Paragraphs of a page, a chunk each: three batches."""


class Site:
    """Pages that change, and what each has ever said: the set of its paragraphs, edition after edition."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._rng = random.Random(11)
        self.editions: dict[str, list[frozenset[str]]] = {}
        self._parts: dict[str, list[str]] = {}

    def add(self, name: str) -> None:
        self._parts[name] = [f"Part {part:03} of {name}, first edition, tells of the moon." for part in range(PARTS)]
        self._publish(name)

    def edit(self, name: str) -> None:
        part = self._rng.randrange(PARTS)
        edition = len(self.editions[f"{self._pages.url}/{name}"])
        self._parts[name][part] = f"Part {part:03} of {name}, edition {edition}, tells of rivers."
        self._publish(name)

    def _publish(self, name: str) -> None:
        parts = self._parts[name]
        body = "".join(f"<p>{part}</p>" for part in parts)
        self._pages.pages[f"/{name}"] = f"<title>Page {name}</title><h1>Page {name}</h1>{body}"
        self.editions.setdefault(f"{self._pages.url}/{name}", []).append(frozenset(parts))


def is_document(record: Record) -> bool:
    """Whether chunks are embedded here, below their titles, and no question and no single sentence."""
    chunks = [text for text in (record.body or {}).get("input", ()) if text.startswith("Page ") and "\n" in text]
    return record.path == "/api/embed" and bool(chunks)


@pytest.fixture
def server() -> Iterator[OllamaServer]:
    with OllamaServer(models={"mxbai-embed-large": ModelSpec(512, 64)}) as made:
        yield made


@pytest.fixture
def paper(tmp_path: Path, server: OllamaServer) -> Settings:
    given = {"embeddings": "ollama:mxbai-embed-large", "ollama_host": server.url}
    return make_settings(tmp_path, chunk_size=100, **given)


def start(settings: Settings, *arguments: str) -> WarmProcess:
    environment = {**os.environ, "OLLAMA_HOST": settings.ollama_host, "RAG_DATA_DIR": str(settings.data_dir)}
    environment |= {"RAG_EMBEDDINGS": "ollama:mxbai-embed-large", "RAG_CHUNK_SIZE": "100"}
    return WarmProcess(["-m", "rag", *arguments], cwd=ROOT, env=environment, merged=True)


def kill_in_the_middle(child: WarmProcess, server: OllamaServer, number: int, *, embedding: bool) -> None:
    """SIGKILL while the batch of this number is embedded, or when it has been and is about to be stored."""
    begun = len(server.requests)
    count = itertools.count(1)
    if embedding:
        with server.hold(path="/api/embed", match=lambda record: is_document(record) and next(count) == number) as gate:
            gate.wait(timeout=60)
            child.send_signal(signal.SIGKILL)
            child.wait(30)
    else:

        def answered() -> int:
            return sum(is_document(record) and record.finished == "complete" for record in server.requests[begun:])

        server.wait_until(lambda: answered() >= number, 60)
        child.send_signal(signal.SIGKILL)
        child.wait(30)
    assert child.stdout
    told = child.stdout.read()
    child.stdout.close()
    assert child.returncode == -signal.SIGKILL, f"it ended before it was killed: {told}"


def idle(assistant: Assistant) -> bool:
    return assistant.library is not None and not assistant.library.busy


@contextmanager
def opened(settings: Settings, server: OllamaServer) -> Iterator[Assistant]:
    """The library after a restart, held where it would embed: as it answers before the rest is finished."""
    assistant = Assistant(settings)
    with server.hold(path="/api/embed", match=is_document) as gate:
        try:
            assistant.start(chat=False)
            wait_until(lambda: gate.held or idle(assistant), 60, lambda: str(assistant.problems))
            yield assistant
        finally:
            assistant.close()


def answers(assistant: Assistant) -> dict[str, set[str]]:
    """The paragraphs that each source can be answered from; a search gives no others."""
    index = assistant.service.index
    assert index
    visible = [item.revision for item in index.sources]
    said: dict[str, set[str]] = {item.source: set() for item in index.sources}
    for item in index.sources:
        for chunk in index.records.revisions.chunks_of(item.revision):
            said[item.source] |= set(re.findall(r"Part \d+ .*?\.", chunk.page_content))
    for question in ("the moon", "rivers", *(f"Part {part:03}, edition 1" for part in range(0, PARTS, 20))):
        for found in Retriever(index=index, k=30).invoke(question):
            assert found.metadata["revision"] in visible
            assert set(re.findall(r"Part \d+ .*?\.", found.page_content)) <= said[found.metadata["source"]]
    return said


@pytest.mark.parametrize("kills", [2, pytest.param(8, marks=pytest.mark.soak)])
def test_killed_while_it_adds_and_refreshes(pages: Pages, server: OllamaServer, paper: Settings, kills: int) -> None:
    """By turns while a batch is embedded, and when it is about to be stored."""
    rng, site = random.Random(20), Site(pages)
    known: dict[str, frozenset[str]] = {}
    halves = outdated = 0
    for kill in range(kills):
        for name in [url.rpartition("/")[2] for url in site.editions]:
            site.edit(name)
        for _ in range(2):
            site.add(f"p{len(site.editions)}")
        urls = list(site.editions)
        rng.shuffle(urls)
        kill_in_the_middle(start(paper, "ingest", *urls), server, rng.randint(2, 6), embedding=kill % 2 == 0)
        must = known.keys() | on_disk(paper, "current")
        with opened(paper, server) as assistant:
            library = assistant.library
            assert assistant.service.index and library
            halves += half_written(assistant.service.index) > 0
            said = answers(assistant)
            assert must <= said.keys(), "a page that was whole is missing"
            for source, parts in said.items():
                assert parts in (known.get(source), site.editions[source][-1]), f"half a page, or an old one: {source}"
                outdated += parts != site.editions[source][-1]
            for gate in list(server.gates):
                gate.release()
            wait_until(lambda: idle(assistant), 60, lambda: str(assistant.problems))
            assert {entry.state for entry in library.entries()} == {"ready"}
            said = answers(assistant)
            assert said == {source: set(editions[-1]) for source, editions in site.editions.items()}
            known = {source: frozenset(parts) for source, parts in said.items()}
    assert halves and outdated, "no kill came in the middle: this has shown nothing"
    begun = len(server.requests)
    told, _ = (child := start(paper, "refresh")).communicate(timeout=60)
    assert (child.returncode, told.count("ready  ")) == (0, len(site.editions)), told
    assert not any(is_document(record) for record in server.requests[begun:]), "the unchanged was embedded again"
