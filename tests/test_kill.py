"""Kill -9 in the middle of ingest, again and again on one folder: nothing whole is lost, nothing half is seen."""

from __future__ import annotations

import hashlib
import itertools
import multiprocessing
import random
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from langchain_core.embeddings import Embeddings

import rag.store
from rag.ingest import Ingest
from rag.store import DataFolder, Store, check_index, set_aside
from tests.conftest import make_settings

CHUNKS = {"moon": 220, "river": 160, "cheese": 100}
"""Sources, and chunks in each."""
LATEST_KILL = 20
"""Messages of progress after which a process is killed at the latest: about three sources' worth."""


class DigestEmbeddings(Embeddings):
    """A direction of its own for every text, so that each row is its own only nearest."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return [byte - 127.5 for byte in hashlib.sha256(text.encode()).digest()]


def texts_of(name: str, version: int) -> list[str]:
    """The chunks of a version; every other one is the same in all versions."""
    return [f"{name} {version if number % 2 else 0:04d} {number:04d} {'.' * 50}" for number in range(CHUNKS[name])]


def version_of(texts: list[str]) -> int:
    return max(int(text.split()[1]) for text in texts)


def number_of(text: str) -> int:
    return int(text.split()[2])


def visible(store: Store) -> dict[str, list[str]]:
    """The rows of the sources that the store says it has."""
    chroma = store.vector_store()
    rows = {}
    for item in store.sources:
        texts = chroma.get(where={"revision": item.revision}, include=["documents"])["documents"]
        assert len(texts) == item.chunks
        rows[Path(item.source).stem] = sorted(texts, key=number_of)
    return rows


def retrieved(store: Store) -> list[str]:
    """Every row that a question for as many as there are brings up."""
    return [item.page_content for item in store.vector_store().similarity_search("all", 2 * sum(CHUNKS.values()))]


def run(folder: Path, first_version: int, sync_threshold: int | None, parent: Connection) -> None:
    """The process that is killed: opens what the last one left, tells what it sees, finishes, goes on for ever."""
    if sync_threshold:
        rag.store.SYNC_THRESHOLD = sync_threshold
    data = DataFolder(folder / "data")
    data.acquire()
    damage = check_index(data)
    if damage:
        set_aside(data)
    settings = make_settings(folder, embeddings="openai:digest", chunk_size=100, chunk_overlap=0)
    embeddings = DigestEmbeddings()
    store = Store(data, embeddings, ("openai:digest", "nowhere"), (100, 0))
    ingest = Ingest(store, embeddings, settings)
    parent.send(("opened", damage, visible(store), retrieved(store)))

    def progress(source: str, done: int, total: int) -> None:
        [(text, _)] = next(item for item in data.records(unfinished=True) if item.source == source).documents
        parent.send(("begun", Path(source).stem, version_of(text.split("\n\n")), done))

    ingest.finish(progress)
    dice = random.Random(first_version)
    seen = visible(store)
    missed = [
        text
        for texts in seen.values()
        for text in dice.sample(texts, 12)
        if [item.page_content for item in store.vector_store().similarity_search(text, 1)] != [text]
    ]
    rows = store.vector_store().get(include=[])["ids"]
    unfinished = [item.source for item in data.records(unfinished=True)]
    parent.send(("finished", seen, retrieved(store), missed, len(rows), unfinished))
    for version in itertools.count(first_version):
        for name in CHUNKS:
            source = folder / f"{name}.txt"
            source.write_text("\n\n".join(texts_of(name, version)))
            ingest.ingest(str(source), progress, named_at_start=True)
            parent.send(("whole", name, version))


@dataclass
class Witness:
    """What the killed processes told before they died, held against what the next one sees."""

    whole: dict[str, int] = field(default_factory=dict)
    begun: dict[str, int] = field(default_factory=dict)
    count: Counter[str] = field(default_factory=Counter)
    damages: list[str] = field(default_factory=list)
    rebuilding: bool = False

    def hear(self, kind: str, *told: Any) -> None:
        getattr(self, f"hear_{kind}")(*told)

    def hear_begun(self, name: str, version: int, done: int) -> None:
        self.begun[name] = version

    def hear_whole(self, name: str, version: int) -> None:
        self.whole[name] = version
        self.count["sources made whole"] += 1

    def hear_opened(self, damage: str, rows: dict[str, list[str]], found: list[str]) -> None:
        self.count["opened"] += 1
        if damage:
            self.damages.append(damage)
            self.rebuilding = True
            assert rows == {} and found == []
        self._check_rows(rows, found)
        if self.rebuilding:  # from the texts, and killed before that was through
            self.count["opened before it was built again"] += 1
            return
        lost = self.whole.keys() - rows.keys()
        assert not lost, f"whole before the kill and not there after it: {lost}"
        for name, version in self.begun.items():
            half = version != self.whole.get(name) and (name not in rows or version_of(rows[name]) != version)
            self.count["sources half written when killed"] += half

    def hear_finished(
        self,
        rows: dict[str, list[str]],
        found: list[str],
        missed: list[str],
        rows_in_chroma: int,
        unfinished: list[str],
    ) -> None:
        self.count["finished"] += 1
        self.rebuilding = False
        self._check_rows(rows, found)
        assert rows.keys() == self.whole.keys() | self.begun.keys()
        for name, version in self.begun.items():
            assert version_of(rows[name]) >= version, f"{name} {version} was begun and is not there"
        self.whole = {name: version_of(texts) for name, texts in rows.items()}
        assert missed == [], "a row is the nearest to its own text"
        assert rows_in_chroma == sum(map(len, rows.values())), "no row of another version is left"
        assert unfinished == []

    def _check_rows(self, rows: dict[str, list[str]], found: list[str]) -> None:
        """A source is there in one version whole, not older than what was whole, not newer than what was begun."""
        there = {text for texts in rows.values() for text in texts}
        assert not set(found) - there, "a question brought up what is not whole"
        assert len(found) == len(set(found))
        self.count["rows to find"] += len(there)
        self.count["rows found"] += len(found)
        for name, texts in rows.items():
            version = version_of(texts)
            assert texts == texts_of(name, version), f"{name}: {len(texts)} rows of {CHUNKS[name]}, mixed or not whole"
            assert version >= self.whole.get(name, 0)
            assert version <= max(self.begun.get(name, 0), self.whole.get(name, 0))
            self.count["sources verified whole"] += 1


@pytest.fixture(scope="module")
def processes() -> Iterator[Any]:
    """Processes made by forking one that has imported all they need, where forking is safe."""
    context = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
    if sys.platform == "linux":
        context.set_forkserver_preload(["pytest", "chromadb", "langchain_chroma", "langchain_text_splitters", __name__])
    yield context


@pytest.mark.parametrize(
    ("rounds", "sync_threshold"),
    [(12, None), (4, 150)],
    ids=["as shipped", "Chroma writing the files of its index often"],
)
def test_kill_in_the_middle_loses_nothing_and_shows_nothing_half(
    tmp_path: Path, processes: Any, rounds: int, sync_threshold: int | None
) -> None:
    dice = random.Random(rounds)
    witness = Witness()
    for number in range(rounds + 1):
        ours, theirs = multiprocessing.Pipe(duplex=False)
        child = processes.Process(target=run, args=(tmp_path, 100 * (number + 1), sync_threshold, theirs))
        child.start()
        theirs.close()
        left = None
        try:
            while left != 0:
                message = ours.recv()
                witness.hear(*message)
                if number == rounds and message[0] == "finished":
                    break
                if left is not None:
                    left -= 1
                elif len(witness.whole) == len(CHUNKS):  # from when each has been whole once, a kill may come
                    left = dice.randrange(LATEST_KILL)
            threading.Event().wait(dice.random() * 0.1)  # so that the kill is not tied to a message
        except EOFError:
            child.join(30)
            raise AssertionError(f"round {number}: the process ended by itself, {child.exitcode}") from None
        finally:
            child.kill()
            child.join(30)
        for message in _rest(ours):
            if number < rounds:
                witness.hear(*message)
        assert child.exitcode == -9
        witness.count["killed"] += 1
    print(f"\n{dict(witness.count)}, damaged and rebuilt: {witness.damages}")
    assert witness.count["killed"] == witness.count["opened"] == rounds + 1
    assert witness.count["sources half written when killed"] >= 1, "the kills did fall in the middle"
    good_starts = rounds - witness.count["opened before it was built again"]
    assert witness.count["sources verified whole"] >= len(CHUNKS) * good_starts
    assert witness.whole.keys() == CHUNKS.keys()
    assert witness.count["rows found"] >= 0.99 * witness.count["rows to find"], "the index is approximate, but so near"


def _rest(connection: Connection) -> Iterator[Any]:
    """What was sent before the kill and not yet read."""
    with connection:
        while True:
            try:
                yield connection.recv()
            except (EOFError, OSError):
                return
