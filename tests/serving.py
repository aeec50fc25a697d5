"""The page and routes, served in the test's own process."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
import gradio_client
import pytest
from websockets.sync.client import ClientConnection, connect

import app as page
from rag.assistant import Assistant
from tests.browser import PageInThread
from tests.conftest import POLLER, PaperEmbeddings, make_settings, wait_until
from tests.ollama_server import ModelSpec, OllamaServer

TEXT = "An agent plans.\n\nA plan is a list of tasks.\n\nA tool is what an agent calls.\n\nMemory keeps what it saw."
COUNTED = 512
"""Tokens that the embedded model of `counting` writes where nobody stops it: the most that an answer may have."""
PATIENCE = 100.0
"""Seconds that a door may take: a model may be loading for a minute."""
ANSWER = ["An ", "agent ", "plans ", "its ", "tasks."]


@dataclass
class Served:
    """The page and routes, served in this process, with an Ollama on loopback."""

    url: str
    server: OllamaServer
    assistant: Assistant
    page: gr.Blocks
    browser: PageInThread | None = None
    client: gradio_client.Client | None = None

    @property
    def socket_url(self) -> str:
        return self.url.replace("http", "ws") + "chat"

    def in_browser(self) -> PageInThread:
        """A real browser, opened at first use; its page is blank until somebody goes to the app's."""
        self.browser = self.browser or PageInThread(self.url)
        return self.browser

    def with_client(self) -> gradio_client.Client:
        """Gradio's client of the page, connected at first use."""
        self.client = self.client or gradio_client.Client(self.url, verbose=False, analytics_enabled=False)
        return self.client

    def close(self) -> None:
        if self.browser:
            self.browser.close()
        if self.client:
            self.client.close()
        self.page.close(verbose=False)
        self.assistant.close()
        self.server.stop()


def serve(folder: Path, *, models: dict[str, ModelSpec] | None = None, **given: Any) -> Served:
    (folder / "notes.md").write_text(f"# Notes\n\n{TEXT}", encoding="utf-8")
    server = OllamaServer(reply=lambda messages: ANSWER)
    server.models |= models or {}
    server.start()
    defaults = {"model": "ollama:llama3", "embeddings": "openai:paper", "sources": (str(folder / "notes.md"),)}
    settings = make_settings(folder, **{**defaults, "ollama_host": server.url, **given})
    return started(Assistant(settings, embeddings=PaperEmbeddings()), server)


def started(assistant: Assistant, server: OllamaServer) -> Served:
    """It served, once it answers."""
    assistant.start()
    blocks = page.serve(assistant)
    wait_until(lambda: assistant.ready, 60, lambda: str(assistant.status()))
    return Served(str(blocks.local_url), server, assistant, blocks)


def frames(socket_: ClientConnection) -> list[dict[str, Any]]:
    """The frames of one answer."""
    got: list[dict[str, Any]] = []
    while not got or not got[-1].get("done"):
        got.append(json.loads(socket_.recv(timeout=PATIENCE)))
    return got


def ask_socket(served: Served, question: str) -> list[dict[str, Any]]:
    """The frames of an answer over the WebSocket."""
    with connect(served.socket_url) as socket:
        socket.send(question)
        return frames(socket)


@pytest.fixture(scope="module")
def counting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The embedded chat model, told to do something long.

    It copies a list of numbers, which it does for hundreds of tokens however a question is put: told to count in words,
    it said "A plan is to count to five hundred." on some processors, and was ready before anybody could leave.
    """
    folder = tmp_path_factory.mktemp("counting")
    plan = "A plan is to count: {}"
    numbers = [", ".join(map(str, range(1, last + 1))) for last in (70, 80)]
    (folder / "numbers.txt").write_text(plan.format(numbers[1]), encoding="utf-8")
    told = f"---\n{{context}}\n{{question}}\n{plan.format(numbers[0])}\nWrite all the numbers of the plan."
    (folder / "prompt.txt").write_text(told, encoding="utf-8")
    given = {"sources": (str(folder / "numbers.txt"),), "prompt_file": folder / "prompt.txt", "mcp": True}
    made = started(Assistant(make_settings(folder, **given)), OllamaServer())
    yield made
    made.close()


def working_slots(served: Served) -> list[dict[str, Any]]:
    """What the embedded engine tells of each slot in which it works for a question."""
    engine = served.assistant.models.engine
    assert engine is not None
    reply = POLLER.get(f"{engine.url}/slots", headers={"Authorization": f"Bearer {engine.key}"})
    return [slot for slot in reply.json() if slot["is_processing"]]


def tokens_under_way(served: Served) -> int:
    """Tokens that the embedded model has written of the answer it is at; -1 where all its slots are free."""
    return max((slot["next_token"][0]["n_decoded"] for slot in working_slots(served)), default=-1)


def until_free(served: Served) -> tuple[int, int]:
    """Wait until all slots of the embedded engine are free.

    Returns the tokens of prompts that it was last seen to have read, and of answers to have written: how much work it
    did for somebody who had left is the same on a slow machine, how long it took is not.
    """
    read = written = 0

    def is_free() -> bool:
        nonlocal read, written
        slots = working_slots(served)
        for slot in slots:
            read = max(read, slot["n_prompt_tokens_processed"])
            written = max(written, slot["next_token"][0]["n_decoded"])
        return not slots

    wait_until(is_free, 120)
    return read, written


def basic(user: str, word: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{word}".encode()).decode()}


def handshake(host: str) -> bytes:
    upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13"
    return f"GET /chat HTTP/1.1\r\nHost: {host}\r\n{upgrade}\r\nSec-WebSocket-Key: {'A' * 22}==\r\n\r\n".encode()
