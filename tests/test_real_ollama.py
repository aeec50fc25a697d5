"""The app over a real Ollama: `OLLAMA_HOST=http://127.0.0.1:11434 make test-ollama`. Nothing is pulled.

Each chat model there answers at each door, thinking or not; each embedding model finds a passage. Without an Ollama at
`OLLAMA_HOST` the tests are passed over.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import ollama
import pytest
from langchain_core.messages import AIMessage, HumanMessage

import app as page
from rag.assistant import Assistant
from rag.models.choose import choose_models
from rag.models.ollama import Model, Ollama, with_tag
from tests.conftest import make_settings, wait_until
from tests.doors import DOORS, by_page
from tests.ollama_server import LLAMA3, MXBAI, OllamaServer
from tests.serving import TEXT, Served

pytestmark = pytest.mark.real_ollama
HOST = os.environ.get("OLLAMA_HOST", "")
QUESTION = "What is a plan?"


def there(use: str) -> list[Model]:
    """What the Ollama has for a use."""
    if not HOST:
        return []
    return [model for model in Ollama(make_settings(Path("."), ollama_host=HOST)).models() if model.use == use]


@pytest.fixture(scope="module", autouse=True)
def real() -> None:
    if not HOST:
        pytest.skip("OLLAMA_HOST names no Ollama")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("real")
    (folder / "notes.md").write_text(f"# Notes\n\n{TEXT}", encoding="utf-8")
    settings = make_settings(
        folder, model="auto", embeddings="auto", ollama_host=HOST, mcp=True, sources=(str(folder / "notes.md"),)
    )
    assistant = Assistant(settings)
    assistant.start()
    blocks = page.serve(assistant)
    wait_until(lambda: assistant.ready, 900, lambda: str(assistant.status()))
    made = Served(str(blocks.local_url), OllamaServer(), assistant, blocks)
    yield made
    made.close()


def test_auto_says_what_it_chose_and_why(tmp_path: Path) -> None:
    names = choose_models(make_settings(tmp_path, model="auto", embeddings="auto", ollama_host=HOST))
    print(*names.why, *names.notes, sep="\n")
    assert len(names.why) == 2
    assert names.chat.startswith("ollama:") == bool(there("chat"))


@pytest.mark.parametrize("door", [door for door in DOORS if door is not by_page])
def test_every_door_answers(served: Served, door: Any) -> None:
    got = door(served, QUESTION)
    assert got.get("answer"), got
    assert "<think>" not in got["answer"]


@pytest.mark.parametrize("model", there("chat"), ids=str)
@pytest.mark.parametrize("think", ["off", "on"])
def test_every_chat_model_answers_apart_from_what_it_thinks(served: Served, model: Model, think: str) -> None:
    given = {"question": QUESTION, "model": model.name, "think": think}
    update = asyncio.run(served.assistant.chain.ainvoke(given))
    print(f"{model.name}, think {think}: {update.timings}\n  thought: {update.thinking[:200]!r}\n  {update.text!r}")
    assert update.text.strip()
    assert "think>" not in update.text
    if "thinking" not in model.abilities:
        assert not update.thinking


@pytest.mark.parametrize("model", there("embeddings"), ids=str)
def test_every_embedding_model_finds_the_passage(model: Model, tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text(f"# Notes\n\n{TEXT}", encoding="utf-8")
    settings = make_settings(
        tmp_path, model="none", embeddings=model.name, ollama_host=HOST, sources=(str(tmp_path / "notes.md"),)
    )
    assistant = Assistant(settings)
    assistant.start()
    try:
        wait_until(lambda: assistant.ready, 900, lambda: str(assistant.status()))
        found = asyncio.run(assistant.search(QUESTION))
        assert "A plan is a list of tasks." in found[0].page_content
    finally:
        assistant.close()


def test_twenty_questions_load_the_model_twice_at_most(served: Served) -> None:
    history: list[Any] = []
    windows: list[int] = []
    for number in range(20):
        question = f"What is a plan, and what is a tool, in {number + 3} words?"
        given = {"question": question, "history": history}
        answer = asyncio.run(served.assistant.chain.ainvoke(given)).text
        history += [HumanMessage(question), AIMessage(answer)]
        with ollama.Client(HOST) as client:
            loaded = {with_tag(item.model or ""): item.context_length for item in client.ps().models}
        windows.append(int(loaded.get(with_tag(served.assistant.models.names.chat.partition(":")[2])) or 0))
    print(windows)
    assert sum(one != other for one, other in pairwise(windows)) <= 1


def test_health_tells_what_was_chosen(served: Served) -> None:
    told = httpx.get(f"{served.url}health", timeout=30).json()
    assert told["ready"]
    assert len(told["chosen"]) == 2


HI = [{"role": "user", "content": "hi"}]
ASKED: list[tuple[str, dict[str, Any] | None]] = [
    ("/api/version", None),
    ("/api/tags", None),
    ("/api/show", {"model": "CHAT"}),
    ("/api/show", {"model": "nope"}),
    ("/api/embed", {"model": "EMBED", "input": ["a b"]}),
    ("/api/embed", {"model": "CHAT", "input": "x"}),
    ("/api/embed", {"model": "EMBED", "input": "x " * 40_000, "truncate": False}),
    ("/api/embed", {"model": "nope", "input": "x"}),
    ("/api/chat", {"model": "CHAT", "messages": HI, "think": False, "options": {"num_predict": 2}}),
    ("/api/chat", {"model": "CHAT", "messages": HI, "think": False, "stream": False, "options": {"num_predict": 2}}),
    ("/api/chat", {"model": "CHAT", "messages": []}),
    ("/api/ps", None),
    ("/api/chat", {"model": "EMBED", "messages": HI}),
    ("/api/chat", {"model": "nope", "messages": HI}),
    ("/api/chat", {"model": "CHAT", "messages": HI, "think": "deep"}),
    ("/api/chat", {"model": "CHAT", "messages": HI, "keep_alive": "5x"}),
    ("/api/chat", {"model": "CHAT", "messages": HI, "options": {"num_ctx": "8"}}),
]


def shape(value: Any) -> Any:
    """Names and types; of a list, those of its first item."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    return [shape(value[0])] if isinstance(value, list) and value else type(value).__name__


def said(address: str, path: str, body: dict[str, Any] | None) -> tuple[int, str, Any]:
    """Status, kind and the shape of the first and the last line of a reply; an error's words as they are."""
    reply = httpx.request("GET" if body is None else "POST", address + path, json=body, timeout=600)
    lines = [json.loads(line) for line in reply.text.splitlines() if line]
    told = lines[-1] if "error" in lines[-1] else [shape(lines[0]), shape(lines[-1])]
    return reply.status_code, reply.headers["content-type"], told


def test_the_stand_in_of_the_other_tests_speaks_as_the_real_one() -> None:
    if not (there("chat") and there("embeddings")):
        pytest.skip("it takes a chat model and an embedding model")
    chat, embeddings = (there(use)[0].name.removeprefix("ollama:") for use in ("chat", "embeddings"))
    with OllamaServer(models={chat: LLAMA3, embeddings: MXBAI}, reply=lambda messages: ["A ", "plan."]) as server:
        for path, body in ASKED:
            if body and "model" in body:
                body = {**body, "model": {"CHAT": chat, "EMBED": embeddings}.get(body["model"], body["model"])}
            real, stood_in = said(HOST, path, body), said(server.url, path, body)
            if path == "/api/show" and real[0] == 200:  # a model tells more of itself, under names of its own
                assert real[:2] == stood_in[:2] and real[2][0]["details"] == stood_in[2][0]["details"]
                assert {*stood_in[2][0]} - {*real[2][0]} <= {"parameters"}
            else:
                assert real == stood_in, f"{path} {str(body)[:200]}"
