"""Fifty pages of real size, added and refreshed by the command line that is killed again and again. `-m soak` runs it.

`SOAK_FOLDER` may name a folder of saved pages: its HTML files are served and ingested as well.
"""

from __future__ import annotations

import functools
import html
import http.server
import itertools
import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from spellchecker import SpellChecker

from rag.answers.retriever import Retriever
from rag.assistant import Assistant
from rag.models.minilm import MiniLMEmbeddings
from rag.settings import Settings
from tests.conftest import ROOT, make_settings, wait_until
from tests.loopback import LoopbackServer
from tests.stores import half_written, on_disk
from tests.warm import WarmProcess

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]

SEED = 50
PAGES = 50
SIZE = 40_000
"""Characters of text on a page."""
KILLS = 20
LATEST_KILL = 10.0
"""Seconds after its start at which a command is killed, at most. Starting takes it about three."""
MARKED = re.compile(r"Note (\d+) of (\w+), edition (\d+)")


class Prose:
    """Sentences of English words, each as frequent as in English."""

    def __init__(self, rng: random.Random) -> None:
        counted = SpellChecker().word_frequency.dictionary
        self._words = sorted(word for word in counted if word.isalpha())
        self._weights = list(itertools.accumulate(counted[word] for word in self._words))
        self._rng = rng

    def sentence(self) -> str:
        words = self._rng.choices(self._words, cum_weights=self._weights, k=self._rng.randint(7, 19))
        return f"{' '.join(words).capitalize()}."

    def paragraph(self, mark: str) -> str:
        return " ".join([f"{mark}.", *(self.sentence() for _ in range(self._rng.randint(3, 6)))])


class Site:
    """Pages in a folder, served as a static server does (Last-Modified, 304), and all that they have said."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.folder = folder
        self._rng = rng
        self._prose = Prose(rng)
        self._notes: dict[str, list[str]] = {}
        self.editions: dict[str, list[frozenset[str]]] = {}
        self.others: list[str] = []
        handler = functools.partial(_Quiet, directory=str(folder))
        self._server = LoopbackServer(handler)
        self.url = self._server.url
        self._now = int(time.time()) - 100_000

    def close(self) -> None:
        self._server.close()

    def build(self) -> None:
        for number in range(PAGES):
            name = f"p{number:02}"
            notes: list[str] = []
            while sum(map(len, notes)) < SIZE:
                notes.append(self._prose.paragraph(f"Note {len(notes)} of {name}, edition 0"))
            self._notes[name] = notes
            self._publish(name)
        if given := os.environ.get("SOAK_FOLDER"):
            shutil.copytree(given, self.folder, dirs_exist_ok=True)
            for path in Path(given).rglob("*.html"):
                self.others.append(f"{self.url}/{path.relative_to(given)}".removesuffix("index.html"))

    def edit(self, name: str, notes: int) -> None:
        edition = len(self.editions[self.address(name)])
        for number in self._rng.sample(range(len(self._notes[name])), notes):
            self._notes[name][number] = self._prose.paragraph(f"Note {number} of {name}, edition {edition}")
        self._publish(name)

    def address(self, name: str) -> str:
        return f"{self.url}/{name}.html"

    def urls(self) -> list[str]:
        return [*self.editions, *self.others]

    def _publish(self, name: str) -> None:
        parts = [f"<title>Page {name}</title><nav>Home</nav><main><h1>Page {name}</h1>"]
        for number, note in enumerate(self._notes[name]):
            if number % 6 == 0:
                parts.append(f"<h2 id='s{number}'>Section {number // 6 + 1}</h2>")
            parts.append(f"<p>{html.escape(note)}</p>")
        path = self.folder / f"{name}.html"
        path.write_text("".join(parts))
        self._now += 10  # a server's Last-Modified counts seconds
        os.utime(path, (self._now, self._now))
        self.editions.setdefault(self.address(name), []).append(frozenset(self._notes[name]))


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


class CountedMiniLM(MiniLMEmbeddings):
    """The embedded model; counts the documents it is given, and waits with them while `held`."""

    def __init__(self, cache_dir: Path) -> None:
        super().__init__(cache_dir)
        self.documents = 0
        self.free = threading.Event()
        self.reached = threading.Event()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        if threading.current_thread() is threading.main_thread():  # a question's sentences, which nothing holds
            return super().embed_documents(texts)
        self.reached.set()
        self.free.wait()
        self.documents += len(texts)
        return super().embed_documents(texts)

    def embed_query(self, text: str) -> list[float]:
        return super().embed_documents([text])[0]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path / "site", random.Random(SEED))
    made.folder.mkdir()
    made.build()
    yield made
    made.close()


def start(settings: Settings, *arguments: str) -> WarmProcess:
    given = {"OLLAMA_HOST": settings.ollama_host, "RAG_DATA_DIR": str(settings.data_dir)}
    environment = {**os.environ, **given, "RAG_SOURCES": "bundled:guide.md"}
    return WarmProcess(["-m", "rag", *arguments], cwd=ROOT, env=environment, merged=True)


def idle(assistant: Assistant) -> bool:
    return assistant.library is not None and not assistant.library.busy


@contextmanager
def restarted(settings: Settings, embeddings: CountedMiniLM) -> Iterator[Assistant]:
    """The library after a restart, held where it would embed: as it answers before the rest is finished."""
    embeddings.free.clear()
    embeddings.reached.clear()
    assistant = Assistant(settings, embeddings=embeddings)
    try:
        assistant.start(chat=False)
        wait_until(lambda: embeddings.reached.is_set() or idle(assistant), 120, lambda: str(assistant.problems))
        yield assistant
    finally:
        if assistant.library:
            assistant.library.worker.close()
        embeddings.free.set()
        assistant.close()


def squeezed(text: str) -> str:
    return " ".join(text.split())


def answers(assistant: Assistant, site: Site, questions: list[str]) -> dict[str, frozenset[str]]:
    """The notes that each page can be answered from: those that stand whole in its chunks.

    What a search gives is of these chunks, and no chunk has a note that does not stand in one of them whole.
    """
    index = assistant.service.index
    assert index
    visible = {item.source: item for item in index.sources}
    said: dict[str, frozenset[str]] = {}
    for source, item in visible.items():
        texts = [squeezed(chunk.page_content) for chunk in index.records.revisions.chunks_of(item.revision)]
        assert len(texts) == item.chunks, f"{source}: {len(texts)} chunks of {item.chunks}"
        if source not in site.editions:
            continue
        all_of_it = " ".join(texts)
        known = {note for edition in site.editions[source] for note in edition}
        said[source] = frozenset(note for note in known if note in all_of_it)
        assert {MARKED.match(note)[0] for note in said[source]} == {found[0] for found in MARKED.finditer(all_of_it)}  # type: ignore[index]
    revisions = {item.revision for item in visible.values()}
    for question in questions:
        for dense in (True, False):
            for found in Retriever(index=index, k=20, dense=dense).invoke(question):
                assert found.metadata["revision"] in revisions, "a passage of what is not whole"
    return said


def test_killed_at_random_moments(site: Site, tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    rng = random.Random(SEED)
    embeddings = CountedMiniLM(settings.cache_dir)
    known: dict[str, frozenset[str]] = {}
    halves = cut = outdated = looked = 0
    for kill in range(KILLS):
        for source in rng.sample(sorted(known), min(3, len(known))):
            site.edit(source.rpartition("/")[2].removesuffix(".html"), notes=rng.randint(1, 12))
        urls = site.urls()
        rng.shuffle(urls)
        child = start(settings, "ingest", *urls)
        moment = rng.uniform(0.3, LATEST_KILL)
        try:
            child.wait(moment)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
        told = child.communicate(timeout=30)[0]
        assert child.returncode == -signal.SIGKILL, told
        must = known.keys() | (on_disk(settings, "current") & site.editions.keys())
        cut += bool(on_disk(settings, "loaded"))
        with restarted(settings, embeddings) as assistant:
            assert assistant.service.index
            half = half_written(assistant.service.index)
            halves += half > 0
            asked = [rng.choice(sorted(site.editions[url][-1]))[:200] for url in rng.sample(sorted(site.editions), 3)]
            said = answers(assistant, site, asked)
            assert must <= said.keys(), "a page that was whole is missing"
            for source, notes in said.items():
                assert notes in (known.get(source), *site.editions[source]), f"half a page: {source}"
                assert len(notes) == len(site.editions[source][-1])
                outdated += notes != site.editions[source][-1]
            looked += len(said)
            known = said
            print(f"kill {kill + 1} after {moment:.1f} s: {len(said)} pages whole, half written {half}")
    print(f"{KILLS} kills; in {halves} a page was half written; {cut} times one was loaded and not indexed;")
    print(f"{looked} looks at a page, none of them half, {outdated} at the version before an edit; {len(known)} whole")
    assert halves, "no kill came in the middle of a page: this has shown nothing"
    for command in (["ingest", *site.urls()], ["refresh"]):
        begun = time.monotonic()
        told, _ = (child := start(settings, *command)).communicate(timeout=900)
        assert (child.returncode, told.count("ready  ")) == (0, len(site.urls())), told
        print(f"{command[0]} to the end: {time.monotonic() - begun:.1f} s")
    with restarted(settings, embeddings) as assistant:
        said = answers(assistant, site, [])
        assert said == {source: editions[-1] for source, editions in site.editions.items()}
        assert not on_disk(settings, "loaded")


def test_what_has_not_changed_is_not_embedded(site: Site, tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    times = []
    for _ in range(2):
        begun = time.monotonic()
        told, _ = (child := start(settings, "ingest", *site.urls())).communicate(timeout=1200)
        times.append(time.monotonic() - begun)
        assert (child.returncode, told.count("ready  ")) == (0, len(site.urls())), told
    print(f"first {times[0]:.1f} s, second {times[1]:.1f} s ({times[1] / times[0]:.1%})")
    embeddings = CountedMiniLM(settings.cache_dir)
    embeddings.free.set()
    assistant = Assistant(settings, embeddings=embeddings)
    assistant.start(chat=False)
    try:
        wait_until(lambda: idle(assistant), 120)
        assert assistant.library
        assistant.library.add(site.urls(), private=True)
        wait_until(lambda: idle(assistant), 120)
        assert {entry.state for entry in assistant.library.entries()} == {"ready"}
    finally:
        assistant.close()
    assert embeddings.documents == 0
    assert times[1] < 0.05 * times[0]
