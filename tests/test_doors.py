"""The doors under pressure: too many questions, too fast, broken, slow, silent; the rest goes on being served."""

# ruff: noqa: E501  # the tables
from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from rag.answers.line import WAITING_FOR_A_PLACE
from rag.answers.rate import Rate
from rag.errors import TooMany
from tests.conftest import wait_until
from tests.doors import DOORS, by_page, by_predict, by_socket, by_stream
from tests.serving import ANSWER, Served, frames, serve

PLACES = 2
QUEUE = PLACES * WAITING_FOR_A_PLACE


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = serve(tmp_path_factory.mktemp("served"), mcp=True, concurrency=PLACES)
    yield made
    made.close()


@pytest.fixture
def full(served: Served) -> Iterator[Served]:
    """All places and the line are taken, until the test ends."""
    with served.server.hold() as gate:
        asking = [threading.Thread(target=by_predict, args=(served, "What is a plan?")) for _ in range(PLACES + QUEUE)]
        for thread in asking:
            thread.start()
        gate.wait(PLACES, timeout=30)
        wait_until(lambda: served.assistant.line.inside == PLACES + QUEUE, 60)
        yield served
    for thread in asking:
        thread.join(30)
    wait_until(lambda: served.assistant.line.inside == 0, 60)


# -- the line ----------------------------------------------------------------------------------------------------


def test_when_the_line_is_full_every_door_says_how_many_are_ahead(full: Served) -> None:
    for door in DOORS:
        got = door(full, "What is a plan?")
        assert f"Busy: {PLACES + QUEUE} questions are ahead of you" in got["error"], door
        assert got.get("code", "busy") == "busy", door
    assert httpx.get(f"{full.url}health", timeout=60).status_code == 200  # while the model is held


def test_the_page_says_how_many_are_ahead_while_one_waits(served: Served) -> None:
    browser = served.in_browser()
    with served.server.hold() as gate:
        asking = [threading.Thread(target=by_predict, args=(served, "What is a plan?")) for _ in range(PLACES + 1)]
        for thread in asking:
            thread.start()
        gate.wait(PLACES, timeout=30)
        wait_until(lambda: served.assistant.line.waiting == 1, 60)

        def ask() -> None:
            page = browser.visit()
            page.get_by_role("textbox", name="Question").fill("What is a plan?")
            page.get_by_role("textbox", name="Question").press("Enter")
            note = page.locator("#conversation").get_by_text(f"Waiting for a place in line · {PLACES + 1} ahead of you")
            note.first.wait_for(timeout=60_000)

        browser.do(ask)
        gate.release()
    browser.do(lambda: browser.page.get_by_text(re.compile("^Sources ·")).first.wait_for(timeout=60_000))
    browser.do(lambda: browser.page.goto("about:blank"))
    for thread in asking:
        thread.join(30)


def test_a_burst_of_questions_is_served_to_the_bound_and_the_rest_refused(served: Served) -> None:
    """A hundred at once on three doors: as many as may are answered whole, the others told why, none hangs."""
    results: list[str] = []

    def ask(number: int) -> None:
        got = (by_predict, by_stream, by_socket)[number % 3](served, "What is a plan?")
        results.append("answered" if got.get("answer") == "".join(ANSWER) else got["code"])

    with served.server.hold() as gate:
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(100)]
        for thread in threads:
            thread.start()
        wait_until(lambda: results.count("busy") == 100 - PLACES - QUEUE, 60, lambda: str(Counter(results)))
        gate.release()
        for thread in threads:
            thread.join(60)
    assert Counter(results) == {"answered": PLACES + QUEUE, "busy": 100 - PLACES - QUEUE}


# -- the rate ----------------------------------------------------------------------------------------------------


@pytest.fixture
def slow(served: Served) -> Iterator[Served]:
    """One question a minute."""
    before, served.assistant.chain.rate = served.assistant.chain.rate, Rate(1)
    yield served
    served.assistant.chain.rate = before


@pytest.mark.parametrize("door", [door for door in DOORS if door is not by_page])  # it shows any refusal in one way
def test_one_visitor_too_fast_is_told_when_to_ask_again(slow: Served, door: Any) -> None:
    if door.__name__ == "by_command_line":  # it is the owner, and nobody's rate
        for _ in range(3):
            assert door(slow, "What is a plan?")["answer"] == "".join(ANSWER)
        return
    by_predict(slow, "What is a plan?")
    got = door(slow, "What is a plan?")
    assert re.search(r"At most 1 questions a minute are taken\. Ask again in \d+ seconds", got["error"])
    assert got.get("code", "too_many") == "too_many"


def test_the_rate_is_each_visitors_own_and_http_says_429(slow: Served) -> None:
    assert httpx.get(f"{slow.url}predict?query=plan", timeout=30).status_code == 200
    assert httpx.get(f"{slow.url}predict?query=plan", timeout=30).status_code == 429
    assert httpx.post(f"{slow.url}stream", json={"question": "plan"}, timeout=30).status_code == 429
    other = httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.5"), timeout=30)
    assert other.get(f"{slow.url}predict?query=plan").status_code == 200
    headers = {"X-Forwarded-For": "9.9.9.9", "Forwarded": "for=9.9.9.9"}  # a header makes nobody another one
    assert other.get(f"{slow.url}predict?query=plan", headers=headers).status_code == 429
    other.close()


def test_the_rate_counts_the_last_minute_and_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    rate = Rate(2)
    rate.check("a"), rate.check("a"), rate.check("b"), rate.check("")
    with pytest.raises(TooMany, match="in 60 seconds"):
        rate.check("a")
    now += 59.4
    with pytest.raises(TooMany, match="in 1 seconds"):
        rate.check("a")
    now += 1
    rate.check("a")
    for number in range(25_000):
        rate.check(str(number))
        now += 0.01
    assert rate.callers < 17_000
    Rate(0).check("a")


# -- peers that are slow or silent -------------------------------------------------------------------------------


def line_to(served: Served) -> socket.socket:
    address = httpx.URL(served.url)
    return socket.create_connection((address.host, address.port or 80), 10)


@pytest.mark.parametrize("count", [200, pytest.param(2000, marks=pytest.mark.soak)])
def test_idle_sockets_keep_nobody_out(served: Served, count: int) -> None:
    """Lines that say nothing, and half requests that never end: others are answered, and all of it is let go."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2 * count + 2000)), hard))
    with contextlib.ExitStack() as stack:
        for number in range(count):
            line = stack.enter_context(line_to(served))
            if number % 2:
                line.sendall(
                    b"POST /stream HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 999\r\n\r\n{"[: 10 + number % 70]
                )
        assert by_predict(served, "What is a plan?")["answer"] == "".join(ANSWER)
        assert by_socket(served, "What is a plan?")["answer"] == "".join(ANSWER)
    assert by_stream(served, "What is a plan?")["answer"] == "".join(ANSWER)
    assert served.assistant.line.inside == 0


def test_slow_loris_takes_no_place(served: Served) -> None:
    """Sixty requests that come a byte at a time, while others ask."""
    head = b"GET /predict?query=plan HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "
    with contextlib.ExitStack() as stack:
        lines = [stack.enter_context(line_to(served)) for _ in range(60)]
        for place in range(0, len(head), 4):
            for line in lines:
                line.sendall(head[place : place + 4])
            if place % 20 == 0:
                assert by_predict(served, "What is a plan?")["answer"] == "".join(ANSWER)
        assert served.assistant.line.inside == 0


@pytest.mark.parametrize("path", ["stream", "v1/chat/completions"])
def test_slow_readers_hold_their_own_engine_back_and_nobody_else(
    served: Served, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as there are places read nothing of a long answer: after a while their places are another's."""
    monkeypatch.setattr("rag.doors.http.SEND_SECONDS", 1.0)
    before = served.server.reply
    served.server.reply = lambda messages: ["x" * 20_000] * 100
    try:
        with contextlib.ExitStack() as stack:
            lines = []
            for _ in range(PLACES):
                line = stack.enter_context(socket.socket())
                line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                address = httpx.URL(served.url)
                line.connect((address.host, address.port or 80))
                asked = {"question": "What is a plan?", "messages": [{"role": "user", "content": "What is a plan?"}]}
                body = json.dumps({**asked, "model": "local-rag-chat", "stream": True}).encode()
                head = f"POST /{path} HTTP/1.1\r\nHost: {address.host}:{address.port}\r\nContent-Type: application/json\r\n"
                line.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
                lines.append(line)
            wait_until(lambda: served.assistant.line.inside == PLACES, 60)
            assert httpx.get(f"{served.url}health", timeout=30).status_code == 200
            served.server.reply = before
            assert by_predict(served, "What is a plan?")["answer"] == "".join(ANSWER)
            wait_until(lambda: served.assistant.line.inside == 0, 60)  # while they still hold their connections
    finally:
        served.server.reply = before


@pytest.mark.parametrize("size", [8001, 100_000, 15 * 2**20])
def test_a_question_of_any_size_is_refused_in_words_or_closed(served: Served, size: int) -> None:
    reply = httpx.post(f"{served.url}stream", json={"question": "x" * size}, timeout=60)
    assert reply.status_code == 422 and "at most 8000" in reply.json()["error"]
    with connect(served.socket_url, max_size=None) as ws:
        ws.send("x" * size)
        assert frames(ws)[-1]["code"] == "bad_question"
        ws.send("What is a plan?")
        assert "".join(frame["message"] for frame in frames(ws)) == "".join(ANSWER)


def test_a_body_larger_than_allowed_is_not_taken(served: Served) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 60 * 2**20:
            sent += 2**20
            yield b"x" * 2**20

    with contextlib.suppress(httpx.HTTPError):  # it may hang up while it is sent to
        reply = httpx.post(f"{served.url}stream", content=endless(), timeout=60)
        assert reply.status_code in (400, 413, 422)
    assert by_predict(served, "What is a plan?")["answer"] == "".join(ANSWER)


# -- headers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("GET", "health"), ("GET", "docs"), ("GET", "nothing"), ("GET", "predict"), ("POST", "stream"),
     ("GET", "gradio_api/info"), ("GET", "config"), ("GET", "theme.css"), ("GET", "library"), ("DELETE", "library"),
     ("OPTIONS", "stream"), ("HEAD", "")],
)  # fmt: skip
def test_every_answer_has_the_security_headers(served: Served, method: str, path: str) -> None:
    headers = httpx.request(method, served.url + path, timeout=30).headers
    policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["connect-src"] == policy["frame-ancestors"] == "'self'"
    assert policy["object-src"] == policy["frame-src"] == "'none'"
    assert not any("http" in places or "*" in places for places in policy.values())
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in headers


def test_refusals_have_them_too(served: Served) -> None:
    reply = httpx.post(f"{served.url}stream", json={}, headers={"Origin": "https://evil.example"}, timeout=30)
    assert reply.status_code == 403 and "content-security-policy" in reply.headers
