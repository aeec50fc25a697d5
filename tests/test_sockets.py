"""WebSockets that live long: two questions at once, and a reader that stops reading.

The short runs look at what keeps such a socket alive; the long ones take as long as uvicorn's own keep-alive needs to
end one that is not (a ping each 20 s, and 20 s for its answer).
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from websockets.sync.client import connect

from tests.conftest import wait_until
from tests.doors import by_socket
from tests.ollama_server import Record
from tests.serving import ANSWER, Served, frames, handshake, serve

LONG_SECONDS = 90.0
PING_LIMIT = 45.0
"""Seconds within which a reader that has stopped is let go."""
RATE = 8.0
"""Tokens a second: an answer of at most 512 lasts more than a minute."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = serve(tmp_path_factory.mktemp("sockets"))
    yield made
    made.close()


def numbered(count: int) -> list[str]:
    return [f"{number} " for number in range(count)]


def test_a_ping_is_answered_while_a_second_question_waits(served: Served) -> None:
    """A server that left the second question unread would see no pong of its peer, either, and end the socket."""
    with connect(served.socket_url, ping_interval=None) as ws, served.server.hold(after=2) as gate:
        ws.send("What is a plan?")
        gate.wait()
        for number in range(3):
            ws.send(f"What is plan {number}?")
        assert ws.ping().wait(10), "nothing reads while an answer is being written"
        gate.release()
        for _ in range(4):
            assert "".join(frame["message"] for frame in frames(ws)) == "".join(ANSWER)


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_two_questions_at_once_over_ninety_seconds(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served.server, "tokens_per_second", RATE)
    monkeypatch.setattr(served.server, "reply", lambda messages: numbered(int(RATE * LONG_SECONDS / 2)))
    whole = "".join(numbered(int(RATE * LONG_SECONDS / 2)))
    began = time.monotonic()
    with connect(served.socket_url) as ws:
        ws.send("What is a plan?")
        ws.send("What is a tool?")
        asked = []
        for _ in range(2):
            got = frames(ws)
            assert "".join(frame["message"] for frame in got) == whole
            asked.append(got[-1]["asked"])
        took = time.monotonic() - began
        assert asked == ["What is a plan?", "What is a tool?"]
        assert took >= LONG_SECONDS - 1
        assert ws.ping().wait(10)
    print(f"\ntwo answers of {len(whole)} characters in order, {took:.0f} s, the socket alive at the end")


def stopped_reader(served: Served) -> socket.socket:
    """A peer that has asked and reads nothing any more, its system's buffer small."""
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    host, _, port = served.url.removeprefix("http://").rstrip("/").partition(":")
    line.connect((host, int(port)))
    line.sendall(handshake(f"{host}:{port}"))
    assert b" 101 " in line.recv(1000)
    question = b"What is a plan?"
    line.sendall(bytes([0x81, 0x80 | len(question)]) + b"\0\0\0\0" + question)
    return line


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize("fast", [False, True], ids=["a few tokens a second", "as fast as it can"])
def test_a_reader_that_stops_for_a_minute_is_let_go(
    served: Served, monkeypatch: pytest.MonkeyPatch, fast: bool
) -> None:
    """Slow tokens fill no buffer: its pongs are missed. Fast ones do: the next frame cannot be sent."""
    monkeypatch.setattr(served.server, "tokens_per_second", None if fast else RATE)
    monkeypatch.setattr(served.server, "reply", lambda messages: ["x" * 200_000] * 500 if fast else numbered(510))
    before = len(served.server.requests)
    with stopped_reader(served):
        began = time.monotonic()

        def gone(record: Record) -> bool:
            return record in served.server.requests[before:] and record.finished == "client_gone"

        ended = served.server.wait_for(gone, timeout=60).ended
        assert ended is not None
        took = ended - began
        wait_until(lambda: served.assistant.line.inside == 0, 60)
        assert served.server.open_streams == 0
        threading.Event().wait(max(0.0, 60 - took))
    print(f"\nlet go after {took:.1f} s, the engine's connection closed")
    assert took <= PING_LIMIT
    monkeypatch.undo()
    assert by_socket(served, "What is a plan?")["answer"] == "".join(ANSWER)
