"""Whoever goes away stops what is done for them, in whatever moment: while it is searched, loaded, read, written.

`test_api.py` has the moments before the first token and in the middle; here are retrieval and load, and in the long run
twenty rounds of every combination of door and moment, on Ollama's wire and on the embedded engine: fifty where somebody
stops, closes or is cut off before the first token, while tokens flow or in a stall, on the page, `/chat` or `/predict`.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

import app as page
from rag.assistant import Assistant
from rag.text import vectors
from tests.browser import PageInThread
from tests.conftest import make_settings, wait_until
from tests.doors import (
    LEAVE_SECONDS,
    LEAVING,
    Door,
    Leave,
    Moment,
    ask_on_page,
    leave_once,
    leave_page_by_closing_its_tab,
    leave_page_by_stop,
    leave_predict,
    leave_socket,
    reset_line,
    within_a_second,
)
from tests.ollama_server import LOADING, Gate, OllamaServer, Record
from tests.serving import ANSWER, TEXT, Served, counting, tokens_under_way

__all__ = ["counting"]  # a fixture

ROUNDS, MANY = 20, 50


def serve(folder: Path, **more: Any) -> Served:
    """The app with chat model and embeddings on Ollama's wire."""
    (folder / "notes.md").write_text(f"# Notes\n\n{TEXT}", encoding="utf-8")
    server = OllamaServer(reply=lambda messages: ANSWER).start()
    given = {"model": "ollama:llama3", "embeddings": "ollama:mxbai-embed-large", "ollama_host": server.url, "mcp": True}
    assistant = Assistant(make_settings(folder, sources=(str(folder / "notes.md"),), **given, **more))
    assistant.start()
    blocks = page.serve(assistant)
    wait_until(lambda: assistant.ready and not assistant.under_way, 60, lambda: str(assistant.status()))
    return Served(str(blocks.local_url), server, assistant, blocks)


class Cable:
    """A line from a browser to the app that can be cut: what is on it is reset (RST), as by a machine that is gone."""

    def __init__(self, url: str) -> None:
        address = httpx.URL(url)
        self._app = (address.host, int(address.port or 80))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ends: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # it is closed
            while True:
                here, _ = self._listener.accept()
                there = socket.create_connection(self._app, 10)
                self._ends += [here, there]
                for one, other in ((here, there), (there, here)):
                    threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
            if one in self._ends:
                other.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        """Reset what is open now; new connections go through."""
        ends, self._ends = self._ends, []
        for end in ends:
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RD)  # wakes who reads here; nothing goes out
            end.close()

    def close(self) -> None:
        self.cut()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


CABLES: dict[str, tuple[Cable, PageInThread]] = {}
"""A cable to an app, by its address, and a browser at its other end."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = serve(tmp_path_factory.mktemp("leaving"))
    made.assistant.chains.prepare()  # what is embedded beside the questions
    yield made
    if made.url in CABLES:
        cable, browser = CABLES.pop(made.url)
        browser.close()
        cable.close()
    made.close()


def reset_page(served: Served) -> Leave:
    if served.url not in CABLES:
        cable = Cable(served.url)
        CABLES[served.url] = cable, PageInThread(cable.url)
    cable, browser = CABLES[served.url]

    def ask() -> None:
        browser.visit()
        with browser.page.expect_response("**/queue/data**"):
            ask_on_page(browser.page)

    browser.do(ask)
    return cable.cut


def reset_predict(served: Served) -> Leave:
    return reset_line(served, b"GET /predict?query=What+is+a+plan HTTP/1.1\r\nHost: %s\r\n\r\n")


def reset_stream(served: Served) -> Leave:
    body = json.dumps({"question": "What is a plan?"})
    head = "POST /stream HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: "
    return reset_line(served, f"{head}{len(body)}\r\n\r\n{body}".encode())


def reset_socket(served: Served) -> Leave:
    question = b"What is a plan?"
    return reset_line(served, bytes([0x81, 0x80 | len(question)]) + b"\0\0\0\0" + question, upgrade=True)


ALL_LEAVING = [*LEAVING, reset_predict, reset_stream, reset_socket, reset_page]


def forget_vectors() -> None:
    """The app remembers a question's vector: here each asking is to be embedded."""
    vectors.remembered.clear()


def searching(server: OllamaServer) -> Gate:
    forget_vectors()
    return server.hold(path="/api/embed")


def loading(server: OllamaServer) -> Gate:
    server.unload()
    return server.hold(after=LOADING)


def reading(server: OllamaServer) -> Gate:
    return server.hold()


def writing(server: OllamaServer) -> Gate:
    return server.hold(after=3)


@dataclass
class Flow:
    """Tokens at an even pace, without end: whoever waits here goes on at the fifth, and the tokens with him."""

    server: OllamaServer
    before: int
    path: str = "/api/chat"

    def wait(self, count: int = 1, timeout: float = 60.0) -> None:
        def flows(record: Record) -> bool:
            return record in self.server.requests[self.before :] and record.path == self.path and record.tokens >= 5

        self.server.wait_for(flows, timeout)


@contextlib.contextmanager
def flowing(server: OllamaServer) -> Iterator[Flow]:
    reply, pace = server.reply, server.tokens_per_second
    server.reply, server.tokens_per_second = (lambda messages: [f"word{number} " for number in range(5000)]), 20.0
    try:
        yield Flow(server, len(server.requests))
    finally:
        server.reply, server.tokens_per_second = reply, pace


MOMENTS: list[Moment] = [searching, loading, reading, writing, flowing]
FIFTY: list[Door] = [
    *(leave_page_by_stop, leave_page_by_closing_its_tab, reset_page),
    *(leave_socket, reset_socket, leave_predict, reset_predict),
]


def works(served: Served) -> None:
    assert httpx.get(f"{served.url}predict?query=plan", timeout=30).json() == "".join(ANSWER)


def first_token(served: Served) -> float:
    """Seconds until somebody else has the first token of an answer, which is then read to its end."""
    began, came = time.monotonic(), 0.0
    with httpx.stream("POST", f"{served.url}stream", json={"question": "What is an agent?"}, timeout=30) as reply:
        for line in reply.iter_lines():
            if line.startswith('data: {"message": "') and not came:
                came = time.monotonic() - began
    assert came, "no token came"
    return came


def early() -> Iterator[Any]:
    """Doors and moments: every one in the long run, every second one in the short, without the browser on a cable."""
    for number, (door, moment) in enumerate(itertools.product(ALL_LEAVING, [searching, loading])):
        marks = [pytest.mark.soak] if number % 4 in (1, 2) or door is reset_page else []  # a browser more
        yield pytest.param(door, moment, id=f"{door.__name__} {moment.__name__}", marks=marks)


@pytest.mark.parametrize(("door", "moment"), list(early()))
def test_leaving_stops_the_search_and_the_load(
    served: Served, door: Door, moment: Moment, caplog: pytest.LogCaptureFixture
) -> None:
    within_a_second(partial(leave_once, served, door, moment))
    works(served)
    assert not [record for record in caplog.records if record.exc_info]


@contextlib.contextmanager
def embedding_again(server: OllamaServer) -> Iterator[Gate]:
    """What is embedded for a question after its first vector: the sentences that are looked at before the model is."""
    before = sum(record.path == "/api/embed" for record in server.requests)

    def is_another(record: Record) -> bool:
        return sum(each.path == "/api/embed" for each in server.requests) > before + 1

    with server.hold(path="/api/embed", match=is_another) as gate:
        yield gate


def test_leaving_stops_what_is_embedded_beside_the_question(tmp_path: Path) -> None:
    made = serve(tmp_path, refuse=True)
    try:
        assert made.assistant.service.index
        made.assistant.chains.prepare()
        forget_vectors()
        before = len(made.server.requests)
        with embedding_again(made.server) as gate:
            leave = reset_stream(made)
            gate.wait(timeout=30)
            leave()

            def gone(record: Record) -> bool:
                return record in made.server.requests[before:] and record.finished == "client_gone"

            made.server.wait_for(gone, timeout=10)  # as the gate is shut, it would not end by itself
    finally:
        made.close()


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("door", ALL_LEAVING)
def test_twenty_rounds_on_ollamas_wire(
    served: Served, door: Door, moment: Moment, caplog: pytest.LogCaptureFixture
) -> None:
    rounds = MANY if door in FIFTY and moment in (reading, writing, flowing) else ROUNDS
    took, next_ones = [], []
    for _ in range(rounds):
        took.append(leave_once(served, door, moment))
        next_ones.append(first_token(served))
    took.sort()
    told = f"{rounds}, median {took[rounds // 2]:.2f} s, max {took[-1]:.2f}"
    print(f"\n{door.__name__} while {moment.__name__}: {told}; the next one's first token {max(next_ones):.2f} at most")
    assert took[-1] < LEAVE_SECONDS
    assert max(next_ones) < LEAVE_SECONDS
    works(served)
    assert not [record for record in caplog.records if record.exc_info]


def has_written(served: Served, tokens: int) -> bool:
    return tokens_under_way(served) >= tokens


def is_free(served: Served) -> bool:
    """Nobody's question is at work: not in the app, and in no slot of the embedded engine."""
    engine = served.assistant.models.engine
    assert engine is not None
    return served.assistant.line.inside == 0 and (not engine.running or tokens_under_way(served) < 0)


def begin_loading(served: Served) -> Callable[[], bool]:
    engine = served.assistant.models.engine
    assert engine is not None and engine.process is not None
    gone = engine.process
    gone.kill()
    gone.wait(10)
    return lambda: engine.process not in (gone, None) and served.assistant.line.inside == 1


def begin_searching(served: Served) -> Callable[[], bool]:
    forget_vectors()
    return lambda: served.assistant.line.inside == 1


def begin_reading(served: Served) -> Callable[[], bool]:
    return lambda: tokens_under_way(served) >= 0


def begin_writing(served: Served) -> Callable[[], bool]:
    return partial(has_written, served, 3)


EMBEDDED: list[Callable[[Served], Callable[[], bool]]] = [begin_loading, begin_reading, begin_searching, begin_writing]
"""In this order: an engine that was just loaded has read no prompt before, and has to read the whole of the next."""


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("door", ALL_LEAVING)
def test_twenty_rounds_at_each_moment_on_the_embedded_engine(
    counting: Served, door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    """While it loads its model, reads a prompt that is new to it, is not asked yet, or writes: its slot is free."""
    took: dict[str, list[float]] = {}
    leaver, left_loading = ThreadPoolExecutor(1), 0
    engine = counting.assistant.models.engine
    assert engine is not None
    for begin in EMBEDDED * ROUNDS:
        wait_until(partial(is_free, counting), 60)
        has_come = begin(counting)
        leave = door(counting)
        wait_until(has_come, 60)
        was_loading = not engine.running
        left_loading += was_loading
        left = time.monotonic()
        leaving = leaver.submit(leave)
        wait_until(partial(is_free, counting), 15)
        took.setdefault(begin.__name__.removeprefix("begin_"), []).append(time.monotonic() - left)
        leaving.result(30)  # gradio_client waits a second for its own heartbeat
        if begin is begin_loading:
            wait_until(lambda: engine.running, 60)
            if was_loading:
                assert tokens_under_way(counting) < 0, "it was asked for somebody who had left"
    told = {moment: f"median {sorted(each)[ROUNDS // 2]:.2f}, max {max(each):.2f}" for moment, each in took.items()}
    print(f"\n{door.__name__}: {ROUNDS} each, seconds: {told}")
    assert max(map(max, took.values())) < LEAVE_SECONDS, took
    assert left_loading, "no one left while it loaded"
    assert not [record for record in caplog.records if record.exc_info]
