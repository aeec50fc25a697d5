"""Whoever goes away stops what is done for them, in whatever moment: while it is searched, loaded, read, written.

`test_api.py` has the moments before the first token and in the middle; here are retrieval and load, and in the long run
twenty rounds of every combination of door and moment, on Ollama's wire and on the embedded engine.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from functools import partial

import httpx
import pytest

import app as page
from rag.assistant import Assistant
from tests.conftest import make_settings, wait_until
from tests.ollama_server import LOADING, Gate, OllamaServer, Record
from tests.test_api import ANSWER, LEAVING, TEXT, Served, counting, tokens_under_way

__all__ = ["counting"]  # a fixture

SECONDS = 1.0
ROUNDS = 20
Door = Callable[[Served], Callable[[], None]]
Moment = Callable[[OllamaServer], Gate]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The app with chat model and embeddings on Ollama's wire."""
    folder = tmp_path_factory.mktemp("leaving")
    (folder / "notes.md").write_text(f"# Notes\n\n{TEXT}", encoding="utf-8")
    server = OllamaServer(reply=lambda messages: ANSWER).start()
    given = {"model": "ollama:llama3", "embeddings": "ollama:mxbai-embed-large", "ollama_host": server.url, "mcp": True}
    assistant = Assistant(make_settings(folder, sources=(str(folder / "notes.md"),), **given))
    assistant.start()
    blocks = page.serve(assistant)
    wait_until(lambda: assistant.ready, 60, lambda: str(assistant.status()))
    made = Served(str(blocks.local_url), server, assistant, blocks)
    yield made
    made.close()


def searching(server: OllamaServer) -> Gate:
    return server.hold(path="/api/embed")


def loading(server: OllamaServer) -> Gate:
    server._loaded.clear()
    return server.hold(after=LOADING)


def reading(server: OllamaServer) -> Gate:
    return server.hold()


def writing(server: OllamaServer) -> Gate:
    return server.hold(after=3)


MOMENTS: list[Moment] = [searching, loading, reading, writing]


def leave_once(served: Served, door: Door, moment: Moment) -> float:
    """Come to the moment, leave, and wait until Ollama's connection is closed. Returns the seconds that took."""
    before = len(served.server.requests)
    with moment(served.server) as gate:
        leave = door(served)
        gate.wait(timeout=60)
        left = time.monotonic()
        leave()

        def gone(record: Record) -> bool:
            new = record in served.server.requests[before:] and record.path == gate.path
            return new and record.finished == "client_gone"

        record = served.server.wait_for(gone, timeout=15)
    assert record.ended is not None
    wait_until(lambda: served.assistant.line._inside == 0, 10)
    assert served.server.open_streams == 0
    return record.ended - left


def works(served: Served) -> None:
    assert httpx.get(f"{served.url}predict?query=plan", timeout=30).json() == "".join(ANSWER)


@pytest.mark.parametrize("moment", [searching, loading])
@pytest.mark.parametrize("door", LEAVING)
def test_leaving_stops_the_search_and_the_load(
    served: Served, door: Door, moment: Moment, caplog: pytest.LogCaptureFixture
) -> None:
    assert leave_once(served, door, moment) < SECONDS
    works(served)
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("door", LEAVING)
def test_twenty_rounds_on_ollamas_wire(
    served: Served, door: Door, moment: Moment, caplog: pytest.LogCaptureFixture
) -> None:
    took = sorted(leave_once(served, door, moment) for _ in range(ROUNDS))
    print(f"\n{door.__name__} while {moment.__name__}: {ROUNDS}, median {took[ROUNDS // 2]:.2f} s, max {took[-1]:.2f}")
    assert took[-1] < SECONDS
    works(served)
    assert not [record for record in caplog.records if record.exc_info]


def has_written(served: Served, tokens: int) -> bool:
    return tokens_under_way(served) >= tokens


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("door", LEAVING)
def test_twenty_rounds_on_the_embedded_engine(counting: Served, door: Door) -> None:
    """At random moments: the engine's slot is free soon, whatever it was at."""
    rng = random.Random(door.__name__)
    took = []
    for _ in range(ROUNDS):
        wait_until(lambda: tokens_under_way(counting) < 0, 30)
        after = rng.choice([0, 0, 1, 5, 20])
        leave = door(counting)
        wait_until(partial(has_written, counting, after), 60)
        leave()
        left = time.monotonic()
        wait_until(lambda: tokens_under_way(counting) < 0, 15)
        took.append(time.monotonic() - left)
    took.sort()
    print(f"\n{door.__name__}: {ROUNDS}, median {took[ROUNDS // 2]:.2f} s, {took[-1]:.2f} s at most")
    assert took[-1] < 3.0
