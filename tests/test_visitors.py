"""One visitor and another: what they get of each other, and what of it is promised (see SECURITY.md).

Everybody who may log in shares the library. Conversations lie in the browser and questions are in nobody's reach, but
for whoever is told the id that Gradio gave: ids are long and made at random, and no route tells those of others.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio.networking
import httpx
import pytest
from websockets.sync.client import connect

import app as page
from rag.assistant import Assistant
from tests.conftest import make_settings, wait_until
from tests.serving import ANSWER, Served, basic, frames, serve

SECRET = "Is the merger with Zorbax on the fourth of May?"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = serve(tmp_path_factory.mktemp("visitors"), host="127.0.0.2", password="open sesame", admin_password="boss")
    yield made
    made.close()


def logged_in(served: Served, address: str) -> httpx.Client:
    """A visitor with a browser of their own, at an address of their own."""
    transport = httpx.HTTPTransport(local_address=address)
    client = httpx.Client(base_url=served.url, timeout=30, transport=transport)
    assert client.post("/login", data={"username": "rag", "password": "open sesame"}).status_code == 200
    return client


def looked_at(client: httpx.Client, path: str) -> str:
    """What a path shows within two seconds; Gradio's streams break off or wait where there is nothing to tell."""
    told = ""
    with contextlib.suppress(httpx.ReadTimeout, httpx.RemoteProtocolError):
        with client.stream("GET", path, timeout=2) as reply:
            for piece in reply.iter_text():
                told += piece
    return told


@pytest.fixture
def two(guarded: Served) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    a, b = logged_in(guarded, "127.0.0.3"), logged_in(guarded, "127.0.0.4")
    yield a, b
    a.close()
    b.close()


def test_no_route_tells_of_what_another_asks(guarded: Served, two: tuple[httpx.Client, httpx.Client]) -> None:
    """While A's question is being answered, B looks everywhere: neither its words nor its ids are there."""
    a, b = two
    with guarded.server.hold(after=2) as gate:
        event = a.post("/gradio_api/call/chat", json={"data": [SECRET]}).json()["event_id"]
        gate.wait()
        for path in (
            *("/", "/config", "/gradio_api/info", "/gradio_api/queue/status", "/health", "/library", "/metrics"),
            *("/models", "/openapi.json", "/monitoring", "/monitoring/summary", "/gradio_api/startup-events", "/docs"),
            *("/gradio_api/upload_progress?upload_id=", "/gradio_api/queue/data?session_hash=", "/gradio_api/app_id"),
        ):
            told = looked_at(b, path)
            assert event not in told and "Zorbax" not in told, path
        told = looked_at(b, f"/gradio_api/call/chat/{'0' * 32}")
        assert "Zorbax" not in told and "agent" not in told
        gate.release()
        assert json.dumps("".join(ANSWER)) in a.get(f"/gradio_api/call/chat/{event}").text


def test_ids_cannot_be_guessed(two: tuple[httpx.Client, httpx.Client]) -> None:
    """Each is 128 bits, none like the one before."""
    a, _ = two
    events = [a.post("/gradio_api/call/chat", json={"data": [SECRET]}).json()["event_id"] for _ in range(20)]
    assert len(set(events)) == 20
    assert all(re.fullmatch("[0-9a-f]{32}", event) for event in events)
    assert len({event[:4] for event in events}) > 15 and len({event[-4:] for event in events}) > 15
    for event in events:
        a.get(f"/gradio_api/call/chat/{event}")


def test_an_answer_is_read_once(two: tuple[httpx.Client, httpx.Client]) -> None:
    """The id of a question that was answered is worth nothing any more, to B or to A."""
    a, b = two
    event = a.post("/gradio_api/call/chat", json={"data": [SECRET]}).json()["event_id"]
    assert json.dumps("".join(ANSWER)) in a.get(f"/gradio_api/call/chat/{event}").text
    for client in (b, a):
        again = looked_at(client, f"/gradio_api/call/chat/{event}")
        assert "plans" not in again and "Zorbax" not in again


def test_without_logging_in_ids_are_worth_nothing(guarded: Served, two: tuple[httpx.Client, httpx.Client]) -> None:
    a, _ = two
    upload = a.post("/gradio_api/upload", files={"files": ("plans.txt", b"Zorbax")}).json()[0]
    assert a.get(f"/gradio_api/file={upload}").text == "Zorbax"
    with guarded.server.hold(after=2) as gate:
        event = a.post("/gradio_api/call/chat", json={"data": [SECRET]}).json()["event_id"]
        gate.wait()
        for method, path in (
            ("GET", f"/gradio_api/call/chat/{event}"),
            ("GET", f"/gradio_api/queue/data?session_hash={event}"),
            ("GET", f"/gradio_api/heartbeat/{event}"),
            ("POST", "/gradio_api/cancel"),
            ("POST", "/gradio_api/reset"),
            ("GET", f"/gradio_api/file={upload}"),
        ):
            given = {"session_hash": event, "fn_index": 0, "event_id": event} if method == "POST" else None
            reply = httpx.request(method, f"{guarded.url.rstrip('/')}{path}", json=given, timeout=30)
            assert reply.status_code == 401, path
        gate.release()
    assert json.dumps("".join(ANSWER)) in a.get(f"/gradio_api/call/chat/{event}").text


def test_an_upload_is_found_by_its_content_alone(guarded: Served, two: tuple[httpx.Client, httpx.Client]) -> None:
    """B would have to know the content of A's file to name its place; neither folders nor guesses show it."""
    a, b = two
    (upload,) = a.post("/gradio_api/upload", files={"files": ("plans.txt", b"Zorbax on the fourth of May")}).json()
    folder, _, _ = upload.rpartition("/")
    assert re.fullmatch("[0-9a-f]{64}", folder.rpartition("/")[2])
    for path in (folder, folder.rpartition("/")[0], f"{folder.rpartition('/')[0]}/{'0' * 64}/plans.txt"):
        reply = b.get(f"/gradio_api/file={path}")
        assert reply.status_code in (403, 404) and "Zorbax" not in reply.text
    refused = b.get("/library/file", params={"source": upload})
    assert refused.status_code == 403


def test_the_history_of_one_is_not_in_the_prompt_of_another(guarded: Served) -> None:
    """Two sockets at once, one with a history: the engine is told of it for that one alone."""
    turns = [{"role": "user", "content": SECRET}, {"role": "assistant", "content": "Zorbax, yes."}]
    before = len(guarded.server.requests)
    with (
        connect(guarded.socket_url, additional_headers=basic("rag", "open sesame")) as a,
        connect(guarded.socket_url, additional_headers=basic("admin", "boss")) as b,
    ):
        for _ in range(3):
            a.send(json.dumps({"question": "What is a tool?", "history": turns}))
            b.send("What is a plan?")
            assert "".join(frame["message"] for frame in frames(a)) == "".join(ANSWER)
            got = frames(b)
            assert "Zorbax" not in json.dumps(got)
    bodies: list[Any] = [item.body for item in guarded.server.requests[before:] if item.path == "/api/chat"]
    asked = {("What is a plan?" in str(body), "Zorbax" in str(body)) for body in bodies}
    assert asked == {(True, False), (False, True)}


# -- a public link -------------------------------------------------------------------------------------------------


class Tunnel:
    """The end of a share link, on loopback: it hands every connection on to the app, as Gradio's tunnel does."""

    def __init__(self) -> None:
        self.to = ("", 0)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def open(self, local_host: str, local_port: int, **_: Any) -> str:
        self.to = (local_host, local_port)
        threading.Thread(target=self._hand_on, daemon=True).start()
        return self.url

    def _hand_on(self) -> None:
        while True:
            try:
                peer, _ = self._listening.accept()
            except OSError:
                return
            app = socket.create_connection(self.to, 10)
            for one, other in ((peer, app), (app, peer)):
                threading.Thread(target=self._copy, args=(one, other), daemon=True).start()

    @staticmethod
    def _copy(one: socket.socket, other: socket.socket) -> None:
        try:
            while data := one.recv(65536):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self) -> None:
        self._listening.close()


def test_a_share_link_without_a_password_gets_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Gradio's tunnel is led over loopback; through it every door is shut, and the password is in the app's own log."""
    tunnel = Tunnel()
    caplog.set_level(logging.INFO)

    def setup_tunnel(local_host: str, local_port: int, *more: Any, **named: Any) -> str:
        return tunnel.open(local_host, local_port)

    monkeypatch.setattr(gradio.networking, "setup_tunnel", setup_tunnel)
    assistant = Assistant(make_settings(tmp_path, share=True))
    assistant.start(chat=False)
    blocks = page.serve(assistant)
    try:
        wait_until(lambda: assistant.library is not None, 60)
        told = " ".join(record.getMessage() for record in caplog.records)
        shared = re.search(r"Shared at (\S+)", told)
        password = re.search(r"User rag, password (\S+)", told)
        assert shared and password and len(password[1]) >= 12
        url = shared[1].rstrip("/")
        assert httpx.URL(url).port == httpx.URL(tunnel.url).port
        url = tunnel.url
        for path in ("/predict?query=x", "/library", "/config", "/gradio_api/info", "/openapi.json", "/metrics"):
            assert httpx.get(f"{url}{path}", timeout=30).status_code == 401, path
        assert httpx.post(f"{url}/stream", json={"question": "x"}, timeout=30).status_code == 401
        assert "Log in" in httpx.get(url, timeout=30).text
        assert httpx.get(f"{url}/library", headers=basic("rag", password[1]), timeout=30).status_code == 200
    finally:
        blocks.close(verbose=False)
        assistant.close()
        tunnel.close()


def test_the_embedded_engine_answers_no_page_of_another_site(tmp_path: Path) -> None:
    """Its port is found by any program; each of its routes that tells or does anything asks for the key."""
    assistant = Assistant(make_settings(tmp_path))
    assistant.start()
    try:
        engine = assistant.models.engine
        wait_until(lambda: engine is not None and engine.running, 90)
        assert engine is not None
        body = {"messages": [{"role": "user", "content": "hi"}], "prompt": "hi", "content": "hi", "input": "hi"}
        for origin in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {}):
            for headers in (origin, {**origin, "Authorization": "Bearer x"}, {**origin, "X-Api-Key": ""}):
                for path in ("v1/chat/completions", "v1/completions", "completion", "tokenize", "v1/embeddings"):
                    reply = httpx.post(f"{engine.url}/{path}", json=body, headers=headers, timeout=30)
                    assert reply.status_code == 401, (path, headers, reply.text)
                for path in ("slots", "props", "metrics"):
                    assert httpx.get(f"{engine.url}/{path}", headers=headers, timeout=30).status_code == 401, path
    finally:
        assistant.close()
