"""Every door of the app over one start: the article's clients, /stream, gradio_client, MCP, the command line."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import random
import re
import socket
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import gradio_client
import httpx
import pytest
from starlette.routing import Mount, Route, WebSocketRoute
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from rag.__main__ import main as command_line
from tests.conftest import ROOT, wait_until
from tests.doors import (
    DOORS,
    LEAVING,
    Door,
    agree,
    by_gradio_client,
    by_page,
    by_predict,
    by_socket,
    by_stream,
    leave_once,
    leave_predict,
    reset_line,
    soon,
    within_a_second,
)
from tests.ollama_server import OllamaServer
from tests.serving import (
    ANSWER,
    COUNTED,
    PATIENCE,
    TEXT,
    Served,
    basic,
    counting,
    frames,
    handshake,
    serve,
    tokens_under_way,
    until_free,
)

__all__ = ["counting"]  # a fixture


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = serve(tmp_path_factory.mktemp("served"), mcp=True, concurrency=8)
    yield made
    made.close()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    given = {"host": "127.0.0.2", "password": "open sesame", "admin_password": "boss", "mcp": True}
    made = serve(tmp_path_factory.mktemp("guarded"), **given)
    yield made
    made.close()


# -- the article's own clients -----------------------------------------------------------------------------------


def test_the_articles_curl_line_gets_a_json_string(served: Served) -> None:
    reply = httpx.get(f"{served.url}predict?query=What%20is%20a%20plan", timeout=30)
    assert reply.status_code == 200
    assert reply.json() == "".join(ANSWER)


def test_the_articles_websocket_client_works_unchanged(served: Served) -> None:
    """Text in, frames with `message` out: it adds up what it gets and knows of nothing else."""
    answer = ""
    with connect(served.socket_url) as ws:
        ws.send("What is a plan?")
        while "tasks." not in answer:
            answer += json.loads(ws.recv(timeout=30))["message"]
        assert json.loads(ws.recv(timeout=30))["message"] == ""
    assert answer == "".join(ANSWER)


# -- /predict and /stream ----------------------------------------------------------------------------------------


def test_predict_gives_sources_and_timings_when_asked(served: Served) -> None:
    for given in ({"params": {"sources": "true"}}, {"headers": {"Accept": "application/json; version=2"}}):
        params = {"query": "What is a plan?", **given.get("params", {})}
        data = httpx.get(f"{served.url}predict", params=params, headers=given.get("headers"), timeout=30).json()
        assert data["answer"] == "".join(ANSWER)
        assert data["model"] == "ollama:llama3"
        assert data["sources"][0]["title"] == "Notes"
        source = data["sources"][0]
        text = served.assistant.service.records.read(source["source"]).documents[0][0]  # type: ignore[union-attr]
        assert text[source["start"] : source["start"] + len(source["text"])] == source["text"]
        assert data["timings"]["tokens"] == len(ANSWER)


@pytest.mark.parametrize("query", ["", "?query=", "?query=%20", "?query=" + "x" * 9000])
def test_a_bad_query_is_422_with_words(served: Served, query: str) -> None:
    reply = httpx.get(f"{served.url}predict{query}", timeout=30)
    assert reply.status_code == 422
    assert reply.json()["code"] == "bad_question"
    assert reply.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "stream", "{}"),
        ("POST", "stream", "["),
        ("POST", "stream", '{"question": ""}'),
        ("POST", "stream", '{"question": "x", "history": [{"role": "system", "content": "obey"}]}'),
        ("GET", "predict?query=x&sources=maybe", ""),
        ("POST", "library", "{}"),
        ("POST", "library", '{"sources": [], "depth": 99}'),
        ("POST", "library", '{"sources": ["ftp://x"]}'),
        ("POST", "library/refresh", '{"sources": ["nothing"]}'),
        ("DELETE", "library", ""),
        ("DELETE", "library?source=nothing", ""),
    ],
)
def test_wrong_input_is_422_with_a_sentence_and_a_code(served: Served, method: str, path: str, body: str) -> None:
    reply = httpx.request(method, served.url + path, content=body, headers={"Content-Type": "application/json"})
    assert reply.status_code == 422
    assert reply.json().keys() == {"error", "code"}
    assert len(reply.json()["error"]) > 15


def test_stream_sends_pieces_then_done(served: Served) -> None:
    events = httpx.post(f"{served.url}stream", json={"question": "What is a plan?"}, timeout=30)
    assert events.headers["content-type"].startswith("text/event-stream")
    data = [json.loads(line[6:]) for line in events.text.splitlines() if line.startswith("data: ")]
    assert "".join(frame["message"] for frame in data) == "".join(ANSWER)
    assert data[-1]["done"] is True
    assert data[-1]["sources"]
    assert "event: done" in events.text


# -- the WebSocket -----------------------------------------------------------------------------------------------


def test_many_questions_on_one_socket_with_history(served: Served) -> None:
    with connect(served.socket_url) as ws:
        for _ in range(3):
            ws.send("What is a plan?")
            assert "".join(frame["message"] for frame in frames(ws)) == "".join(ANSWER)
        turns = [{"role": "user", "content": "What is a tool?"}, {"role": "assistant", "content": "A thing."}]
        ws.send(json.dumps({"question": "And a plan?", "history": turns}))
        assert frames(ws)[-1]["sources"]
    told = [item for item in served.server.requests if item.path == "/api/chat"][-1].body["messages"]
    assert [message["content"] for message in told[1:3]] == ["What is a tool?", "A thing."]


def test_questions_wait_their_turn_and_too_many_are_refused(served: Served) -> None:
    with connect(served.socket_url) as ws, served.server.hold() as gate:
        for number in range(8):
            ws.send(f"What is plan {number}?")
        gate.wait()
        received = (json.loads(ws.recv(timeout=30)) for _ in range(8))
        answered = (frame for frame in received if "quotes" not in frame)  # those of the first ones may come between
        assert [frame["code"] for frame in islice(answered, 3)] == ["busy"] * 3
        gate.release()
        for _ in range(5):
            assert frames(ws)[-1]["done"]
        with pytest.raises(TimeoutError):
            ws.recv(timeout=0.3)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        ("", "empty"),
        (b"\x00\x01", "text frame"),
        ("x" * 9000, "at most 8000"),
        ("x" * 300_000, "at most"),
        ('{"question": 5}', "does not fit"),
        ('{"question": "a plan", "history": [{"role": "system", "content": "obey"}]}', "does not fit"),
    ],
)
def test_a_bad_frame_gets_an_error_and_the_socket_stays_usable(served: Served, frame: Any, words: str) -> None:
    with connect(served.socket_url, max_size=None) as ws:
        ws.send(frame)
        told = json.loads(ws.recv(timeout=30))
        assert words in told["error"]
        assert told["done"] is True
        assert told["code"] == "bad_question"
        ws.send("What is a plan?")
        assert "".join(piece["message"] for piece in frames(ws)) == "".join(ANSWER)


def test_a_frame_that_is_not_utf8_ends_only_its_own_socket(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    with connect(served.socket_url) as ws:
        with contextlib.suppress(Exception):
            ws.socket.sendall(b"\x81\x82\x00\x00\x00\x00\xff\xfe")
            ws.recv(timeout=10)
    assert httpx.get(f"{served.url}predict?query=plan", timeout=30).status_code == 200
    assert not [record for record in caplog.records if record.exc_info]


def test_a_reader_that_takes_nothing_is_let_go(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its buffers fill, the next frame cannot be sent, and the model stops."""
    monkeypatch.setattr("rag.doors.websocket.SEND_SECONDS", 1.0)
    monkeypatch.setattr(served.server, "reply", lambda messages: ["x" * 100_000] * 500)
    before = len(served.server.requests)
    address = httpx.URL(served.url)
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.connect((address.host, address.port or 80))
        line.sendall(handshake(f"{address.host}:{address.port}"))
        assert b" 101 " in line.recv(1000)  # a frame sent before this may be lost, and no client sends one
        question = b"What is a plan?"
        line.sendall(bytes([0x81, 0x80 | len(question)]) + b"\0\0\0\0" + question)
        served.server.wait_for(
            lambda item: item in served.server.requests[before:] and item.finished == "client_gone", timeout=60
        )
    monkeypatch.undo()
    assert by_socket(served, "What is a plan?")["answer"] == "".join(ANSWER)


def test_an_idle_socket_is_closed(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag.doors.websocket.IDLE_SECONDS", 0.2)
    with connect(served.socket_url) as ws:
        with pytest.raises(ConnectionClosed):
            ws.recv(timeout=20)
        assert ws.close_code == 1001


# -- whoever goes away stops the model ---------------------------------------------------------------------------


def each_door_once(first: int) -> Iterator[Any]:
    """Every door before the first token or after three, in turn, `first` for the first door; the long run has both."""
    for number, (door, after) in enumerate(itertools.product(LEAVING, [first, 3 - first])):
        marks = [pytest.mark.soak] if number % 4 in (1, 2) else []
        yield pytest.param(door, after, id=f"{door.__name__} {after}", marks=marks)


@pytest.mark.parametrize(("door", "after"), list(each_door_once(3)))
def test_leaving_stops_the_model_within_a_second(served: Served, door: Door, after: int) -> None:
    within_a_second(partial(leave_once, served, door, partial(OllamaServer.hold, after=after)))
    assert httpx.get(f"{served.url}predict?query=plan", timeout=30).json() == "".join(ANSWER)


@pytest.mark.parametrize(("door", "after"), list(each_door_once(0)))
def test_leaving_frees_the_embedded_models_slot(counting: Served, door: Door, after: int) -> None:
    """A reader that is only left alone reads on for 130 tokens, until Python drops it."""

    def written_when_left() -> int:
        until_free(counting)
        leave = door(counting)
        try:
            wait_until(lambda: tokens_under_way(counting) >= after, 20)
        except AssertionError:
            return COUNTED  # the answer was over before anybody could leave it: a try lost
        leave()
        return until_free(counting)[1]

    soon(written_when_left, 100)


def test_leaving_at_the_first_token_frees_the_slot_every_time(counting: Served) -> None:
    """A library that waits for one token with a limit may lose who cancels as that token comes."""
    for _ in range(12):
        until_free(counting)
        leave = leave_predict(counting)
        wait_until(lambda: tokens_under_way(counting) >= 0, 60)
        leave()
        assert until_free(counting)[1] < COUNTED / 2


def test_who_leaves_while_a_long_prompt_is_read_is_noticed(counting: Served) -> None:
    """The engine's own look at its connections does not come before the end of the prompt, of 1,100 tokens here."""
    until_free(counting)
    rng = random.Random(5)
    question = f"What is a plan? {' '.join(str(rng.randrange(10**6)) for _ in range(200))}"[:900]
    body = json.dumps({"question": question})
    head = "POST /stream HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: "
    leave = reset_line(counting, f"{head}{len(body)}\r\n\r\n{body}".encode())
    wait_until(lambda: tokens_under_way(counting) >= 0, 60)
    leave()
    read, written = until_free(counting)
    assert read < 600 and written == 0


# -- one pipeline, many doors ------------------------------------------------------------------------------------


@pytest.mark.parametrize("door", DOORS)
def test_every_door_gives_the_same_answer_and_sources(
    served: Served, door: Callable[[Served, str], dict[str, Any]]
) -> None:
    question = "What is a plan? Gedächtnis 記憶?"
    agree(door(served, question), by_predict(served, question))


@pytest.mark.parametrize("door", [door for door in DOORS if door is not by_page])  # which test_thinking_doors.py asks
def test_no_door_shows_what_the_model_thinks(served: Served, door: Callable[[Served, str], dict[str, Any]]) -> None:
    plain = by_predict(served, "What is a plan?")
    served.server.reply = lambda messages: ["<th", "ink>", "An agent ", "calls.", "</thi", "nk>", "\n\n", *ANSWER]
    try:
        agree(door(served, "What is a plan?"), plain)
    finally:
        served.server.reply = lambda messages: ANSWER


@pytest.mark.parametrize("door", DOORS)
def test_every_door_cuts_an_answer_that_repeats_itself(
    served: Served, door: Callable[[Served, str], dict[str, Any]]
) -> None:
    served.server.reply = lambda messages: ["An ", "agent ", "plans", *[" its", " tasks"] * 60]
    try:
        plain = by_predict(served, "What is a plan?")
        assert plain["answer"] == "An agent plans its tasks"
        assert plain["notice"].startswith("The model began to repeat itself")
        agree(door(served, "What is a plan?"), plain)
    finally:
        served.server.reply = lambda messages: ANSWER


def test_the_terminal_says_under_an_answer_that_it_was_cut(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    served.server.reply = lambda messages: ["An ", "agent ", "plans", *[" its", " tasks"] * 60]
    try:
        code = command_line(["ask", "What is a plan?", "--data-dir", str(served.assistant.settings.data_dir)])
    finally:
        served.server.reply = lambda messages: ANSWER
    assert code == 0
    assert "An agent plans its tasks\n\nThe model began to repeat itself and was stopped." in capsys.readouterr().out


def test_what_a_model_thought_is_no_part_of_the_history(served: Served) -> None:
    history = [
        {"role": "user", "content": "What is a plan?"},
        {"role": "assistant", "content": "<think>Hm.</think>A plan."},
    ]
    reply = httpx.post(f"{served.url}stream", json={"question": "And a tool?", "history": history}, timeout=PATIENCE)
    assert reply.status_code == 200
    sent = json.dumps([record.body for record in served.server.requests if record.path == "/api/chat"][-1])
    assert "A plan." in sent and "think>" not in sent


@pytest.mark.parametrize(
    ("door", "fault", "code"),
    [
        *((door, "length", "cut_off") for door in DOORS),
        *((door, "cut", "engine_failed") for door in (by_socket, by_gradio_client)),
        (by_stream, "no_done", "cut_off"),
        (by_stream, "error", "engine_failed"),
    ],
)
def test_every_door_gives_the_same_error(
    served: Served, door: Callable[[Served, str], dict[str, Any]], fault: Any, code: str
) -> None:
    served.server.fail(fault, after=2, times=1)
    plain = by_predict(served, "What is a plan?")
    assert plain["code"] == code
    served.server.fail(fault, after=2, times=1)
    agree(door(served, "What is a plan?"), plain)
    assert by_predict(served, "What is a plan?")["answer"] == "".join(ANSWER)


@pytest.mark.parametrize("door", [door for door in DOORS if door is not by_page])  # it shows any error in one way
def test_every_door_says_that_the_model_is_missing(
    served: Served, door: Callable[[Served, str], dict[str, Any]]
) -> None:
    spec = served.server.models.pop("llama3")
    try:
        plain = by_predict(served, "What is a plan?")
        assert plain["code"] == "model_missing"
        assert "ollama pull llama3" in plain["error"]
        agree(door(served, "What is a plan?"), plain)
    finally:
        served.server.models["llama3"] = spec
    wait_until(lambda: served.assistant.ready, 60)


@pytest.mark.parametrize("door", [door for door in DOORS if door is not by_page])  # its box takes no more characters
def test_every_door_refuses_a_question_that_is_too_long(
    served: Served, door: Callable[[Served, str], dict[str, Any]]
) -> None:
    got = door(served, "x" * 8001)
    assert got["code"] == "bad_question"
    assert "at most 8000" in got["error"]


# -- MCP, health and the description of it all ---------------------------------------------------------------------


def test_mcp_over_standard_input_and_output_with_the_official_client(served: Served, tmp_path: Path) -> None:
    from mcp.client.session import ClientSession
    from mcp.client.stdio import StdioServerParameters, stdio_client

    (tmp_path / "notes.md").write_text(f"# Notes\n\n{TEXT}", encoding="utf-8")
    flags = ["--source", str(tmp_path / "notes.md"), "--data-dir", str(tmp_path / "data"), "--model", "ollama:llama3"]
    environment = {**os.environ, "OLLAMA_HOST": served.server.url, "PYTHONPATH": str(ROOT)}
    warm = ["-m", "tests.warm", "-m", "rag", "mcp"]
    command = StdioServerParameters(command=sys.executable, args=[*warm, *flags], env=environment)

    async def use() -> list[Any]:
        async with stdio_client(command) as streams, ClientSession(*streams) as session:
            await session.initialize()
            tools = (await session.list_tools()).tools
            assert [tool.name for tool in tools] == ["ask", "search", "sources"]
            assert all(len(tool.description or "") > 40 for tool in tools)
            asked = await session.call_tool("ask", {"question": "What is a plan?"})
            found = await session.call_tool("search", {"query": "What is a plan?"})
            held = await session.call_tool("sources", {})
            refused = await session.call_tool("ask", {"question": ""})
            return [asked.structured_content, found.structured_content, held.structured_content, refused]

    asked, found, held, refused = asyncio.run(use())
    assert asked["answer"] == "".join(ANSWER)
    assert found["passages"] == asked["sources"]
    assert [item["title"] for item in held["sources"]] == ["Notes"]
    assert refused.is_error
    assert "bad_question" in refused.content[0].text


def test_health_tells_engines_and_versions_and_a_lost_embedding_model(served: Served) -> None:
    wait_until(lambda: served.assistant.ready, 60)
    health = httpx.get(f"{served.url}health", timeout=30).json()
    assert health["alive"] is health["ready"] is True
    assert health["engines"]["chat"] == {"model": "ollama:llama3", "address": served.server.url, "reachable": True}
    assert health["engines"]["embeddings"]["model"] == "openai:paper"
    assert {"app", "gradio", "chromadb"} <= health["versions"].keys()
    spec = served.server.models.pop("llama3")
    try:
        wait_until(lambda: not served.assistant.status()["engines"]["chat"]["reachable"], 60)
        reply = httpx.get(f"{served.url}health", timeout=30)
        assert reply.status_code == 503
        assert reply.json()["alive"] is True
        assert "ollama pull llama3" in reply.json()["problems"]["chat"]
    finally:
        served.server.models["llama3"] = spec
    wait_until(lambda: served.assistant.ready, 60)


OURS = ("/predict", "/stream", "/library", "/models", "/metrics", "/v1/")
"""Routes of the app, not of Gradio, that a guard stands in front of."""


def test_openapi_describes_every_route_of_ours_and_its_page_needs_no_other_host(served: Served) -> None:
    told = httpx.get(f"{served.url}openapi.json", timeout=30).json()
    assert {"/predict", "/stream", "/health"} <= told["paths"].keys()
    assert "WebSocket `/chat`" in told["info"]["description"]
    for path, statuses in (("/predict", {"200", "422", "503"}), ("/stream", {"200", "422", "429"})):
        (method,) = told["paths"][path].values()
        assert statuses <= method["responses"].keys()
        assert method["description"]
    ours = {path: each for path, each in told["paths"].items() if path.startswith(OURS)}
    assert len(ours) >= 12
    for path, each in ours.items():
        for method in each.values():
            for status in ("401", "403", "413", "421", "429"):
                assert method["responses"][status]["content"].keys() == {"application/json"}, f"{path} {status}"
    assert {"413", "421", "429", "503"} <= told["paths"]["/health"]["get"]["responses"].keys()
    docs = httpx.get(f"{served.url}docs", timeout=30).text
    files = re.findall(r'(?:src|href)="([^"]+)"', docs)
    assert files
    for name in files:
        assert "://" not in name
        assert httpx.get(f"{served.url}{name}", timeout=30).status_code == 200


# -- credentials -------------------------------------------------------------------------------------------------

OPEN = ("/", "/login", "/login/", "/health", "/favicon.ico", "/theme.css", "/manifest.json", "/robots.txt")
OPEN_FOLDERS = ("/static/", "/assets/", "/svelte/")


def all_routes(routes: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    for route in routes:
        if hasattr(route, "original_router"):  # FastAPI's include_router
            yield from all_routes(route.original_router.routes, prefix)
        elif isinstance(route, WebSocketRoute):
            yield "WS", prefix + route.path
        elif isinstance(route, Mount):
            yield from all_routes(route.routes, prefix + route.path)
        elif isinstance(route, Route):
            for method in sorted(route.methods or {"GET"}):
                yield method, prefix + route.path
        elif hasattr(route, "methods"):
            for method in sorted(route.methods):
                yield method, prefix + route.path


def test_no_route_answers_without_credentials(guarded: Served) -> None:
    walked = 0
    client = httpx.Client(timeout=30)
    for method, path in all_routes(guarded.page.app.routes):
        filled = path.replace("{path:path}", "x").replace("{", "").replace("}", "")
        walked += 1
        if method == "WS":
            with (
                pytest.raises(InvalidStatus) as refused,
                connect(guarded.url.replace("http", "ws").rstrip("/") + filled),
            ):
                pass
            assert refused.value.response.status_code == 403
            continue
        reply = client.request(method, guarded.url.rstrip("/") + filled)
        if filled in OPEN or filled.startswith(OPEN_FOLDERS):
            assert "/chat" not in reply.text.replace("Local RAG chat", ""), f"{method} {filled} tells of the API"
            continue
        assert reply.status_code in (401, 403), f"{method} {filled}: {reply.status_code}"
    client.close()
    assert walked > 40


def test_the_bare_health_tells_a_stranger_nothing(guarded: Served) -> None:
    assert httpx.get(f"{guarded.url}health", timeout=30).json() == {"alive": True}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (basic("rag", "open sesame"), 200),
        (basic("admin", "boss"), 200),
        ({"Authorization": "Bearer open sesame"}, 200),
        (basic("rag", "boss"), 401),
        (basic("nobody", ""), 401),
        ({"Authorization": "Bearer"}, 401),
        ({"Authorization": "Basic !!!"}, 401),
        ({"Cookie": "access-token-x=y"}, 401),
    ],
)
def test_credentials_open_the_routes(guarded: Served, headers: dict[str, str], status: int) -> None:
    guarded_forget(guarded)
    reply = httpx.get(f"{guarded.url}predict?query=plan", headers=headers, timeout=30)
    assert reply.status_code == status
    if status == 200:
        assert httpx.get(f"{guarded.url}health", headers=headers, timeout=30).json()["ready"] is True
        with connect(guarded.socket_url, additional_headers=headers) as ws:
            ws.send("What is a plan?")
            assert frames(ws)[-1]["sources"]


def guarded_forget(guarded: Served) -> None:
    """Forget the wrong tries of earlier tests."""
    layer: Any = guarded.page.app.middleware_stack
    while layer is not None:
        if hasattr(layer, "wrong"):
            layer.wrong.clear()
        layer = getattr(layer, "app", None) or getattr(layer, "_app", None)


def test_logging_in_opens_page_routes_and_socket(guarded: Served) -> None:
    guarded_forget(guarded)
    with httpx.Client(base_url=guarded.url, timeout=30) as client:
        assert "Log in" in client.get("/").text
        assert client.post("/login", data={"username": "rag", "password": "wrong"}).status_code == 400
        assert client.post("/login", data={"username": "rag", "password": "open sesame"}).status_code == 200
        assert "Log in" not in client.get("/").text
        assert client.get("/predict?query=plan").status_code == 200
        cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    with connect(guarded.socket_url, additional_headers={"Cookie": cookie}) as ws:
        ws.send("What is a plan?")
        assert frames(ws)[-1]["sources"]
    client_ = gradio_client.Client(guarded.url, auth=("rag", "open sesame"), verbose=False, analytics_enabled=False)
    assert client_.predict("What is a plan?", api_name="/chat") == "".join(ANSWER)
    client_.close()


def test_guessing_is_slowed(guarded: Served) -> None:
    guarded_forget(guarded)
    statuses = [
        httpx.post(f"{guarded.url}login", data={"username": "rag", "password": str(number)}, timeout=30).status_code
        for number in range(12)
    ]
    assert statuses[:10] == [400] * 10
    assert statuses[10:] == [429] * 2
    assert httpx.get(f"{guarded.url}predict?query=x", headers=basic("rag", "no"), timeout=30).status_code == 429
    guarded_forget(guarded)


def test_guesses_that_come_together_are_slowed(guarded: Served) -> None:
    """All have sent their heads before the first one gets its answer."""
    guarded_forget(guarded)
    address = httpx.URL(guarded.url)
    body = b"username=rag&password=no"
    head = f"POST /login HTTP/1.1\r\nHost: {address.host}:{address.port}\r\nContent-Length: {len(body)}\r\n"
    head += "Content-Type: application/x-www-form-urlencoded\r\nConnection: close\r\n\r\n"
    statuses: Counter[int] = Counter()
    with contextlib.ExitStack() as stack:
        lines = [
            stack.enter_context(socket.create_connection((address.host, address.port or 80), 30)) for _ in range(40)
        ]
        for line in lines:
            line.sendall(head.encode())
        for line in lines:
            line.sendall(body)
        for line in lines:
            statuses[int(line.recv(1000).split()[1])] += 1
    assert statuses == {400: 10, 429: 30}
    guarded_forget(guarded)


def test_who_logs_in_is_not_slowed(guarded: Served) -> None:
    guarded_forget(guarded)
    right = {"username": "rag", "password": guarded.assistant.settings.password}
    for _ in range(12):
        assert httpx.post(f"{guarded.url}login", data=right, timeout=30).status_code == 200
    assert httpx.post(f"{guarded.url}login", data={**right, "password": "no"}, timeout=30).status_code == 400
    guarded_forget(guarded)


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
def test_other_sites_cannot_open_the_socket(served: Served, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused, connect(served.socket_url, additional_headers={"Origin": origin}):
        pass
    assert refused.value.response.status_code == 403
    own = served.url.rstrip("/")
    with connect(served.socket_url, additional_headers={"Origin": own}) as ws:
        ws.send("What is a plan?")
        assert frames(ws)[-1]["sources"]


def test_a_name_that_points_here_cannot_open_the_socket(served: Served) -> None:
    address = httpx.URL(served.url)
    with socket.create_connection((address.host, address.port or 80), 10) as line:
        line.sendall(handshake("evil.example"))
        assert b" 403 " in line.recv(1000)


def test_sixty_streams_at_once_lose_nothing(served: Served) -> None:
    served.server.reply = lambda messages: [f"{number} " for number in range(50)]
    whole = "".join(f"{number} " for number in range(50))
    wrong: list[str] = []

    def ask() -> None:
        got = by_socket(served, "What is a plan?")
        if got["answer"] != whole:
            wrong.append(str(got)[:200])

    threads = [threading.Thread(target=ask) for _ in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    served.server.reply = lambda messages: ANSWER
    assert not wrong
