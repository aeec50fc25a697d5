"""Engines that speak OpenAI's protocol: the real llama-server of xllamacpp, and what others send."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from rag.assistant import Assistant
from rag.errors import EngineError, TextTooLong
from rag.models.choose import build_chat_model, build_embeddings
from rag.models.openai_chat import OpenAIChat
from rag.models.openai_server import OpenAIServer
from rag.models.weights import SMOLLM2
from rag.settings import load_settings
from tests.conftest import PaperEmbeddings, have_smallest, make_settings, wait_until
from tests.stores import Library

KEY = "key-of-the-test"
SERVE = """
import json, sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.model_alias, params.api_keys = sys.argv[1], {"smol"}, [sys.argv[2]]
params.n_ctx, params.n_parallel, params.ui, params.verbosity = 2048, 1, False, 0
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
if sys.argv[3] == "embeddings":
    params.embedding, params.pooling_type = True, xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    params.n_ctx, params.n_batch, params.n_ubatch = 256, 64, 64
server = xllamacpp.Server(params)
print(json.dumps(server.listening_address), flush=True)
sys.stdin.read()
"""


@contextmanager
def llama_server(use: str) -> Iterator[str]:
    """A llama-server with a small model, "chat" or "embeddings", at the address given."""
    have_smallest()
    weights = load_settings().cache_dir / SMOLLM2.file
    command = [sys.executable, "-c", SERVE, str(weights), KEY, use]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdin and process.stdout
        try:
            address = json.loads(next(line for line in process.stdout if line.startswith(b'"http')))
            yield f"{address}/v1"
        finally:
            process.stdin.close()
            process.wait(20)


@pytest.fixture(scope="module")
def chat_server() -> Iterator[str]:
    with llama_server("chat") as url:
        yield url


@pytest.fixture(scope="module")
def embedding_server() -> Iterator[str]:
    with llama_server("embeddings") as url:
        yield url


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def test_a_llama_server_tells_its_model_and_window(chat_server: str, tmp_path: Path) -> None:
    server = OpenAIServer.ask(make_settings(tmp_path, base_url=chat_server))
    assert (server.program, server.window("smol")) == ("llama-server", 2048)
    assert [(model.name, model.use, model.window) for model in server.models()] == [("openai:smol", "chat", 2048)]
    assert OpenAIServer.ask(make_settings(tmp_path, base_url="http://127.0.0.1:9/v1")) == OpenAIServer()


def test_a_llama_server_answers(chat_server: str, tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("# Notes\n\nA plan is a list of tasks.", encoding="utf-8")
    settings = make_settings(
        tmp_path,
        model="openai:smol",
        embeddings="openai:paper",
        base_url=chat_server,
        sources=(str(tmp_path / "notes.md"),),
        max_tokens=64,
    )
    assistant = Assistant(settings, embeddings=PaperEmbeddings())
    assistant.start()
    try:
        wait_until(lambda: assistant.ready, 60, lambda: str(assistant.status()))
        assert assistant.models.chat
        assert assistant.models.chat.window <= 2048
        update = asyncio.run(assistant.chain.ainvoke({"question": "What is a plan?"}))
        assert update.text.strip()
        assert update.usage and update.usage[1] > 0
        assert "openai:smol" in assistant.models.known.chat_names()
    finally:
        assistant.close()


def test_a_llama_server_embeds(embedding_server: str, tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("A plan is a list of tasks. " * 12, encoding="utf-8")
    settings = make_settings(
        tmp_path,
        model="none",
        embeddings="openai:smol",
        base_url=embedding_server,
        sources=(str(tmp_path / "notes.md"),),
        chunk_size=1000,
    )
    embeddings = build_embeddings("openai:smol", settings)
    assert [len(vector) for vector in embeddings.embed_documents(["a plan", "a list"])] == [576, 576]
    with pytest.raises(TextTooLong):
        embeddings.embed_documents(["word " * 2000])
    library = Library(settings, embeddings)
    try:
        library.add(tmp_path / "notes.md")
        assert library.rows() == 2  # the model found the text too long, so that it is split
        assert library.find("What is a plan?", 1)
    finally:
        library.close()


def test_a_refused_key_is_told(embedding_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "another")
    settings = make_settings(tmp_path, base_url=embedding_server)
    with pytest.raises(EngineError, match="refused the key"):
        build_embeddings("openai:smol", settings).embed_documents(["a plan"])


def chunks(*deltas: dict[str, Any]) -> bytes:
    """A stream of OpenAI's."""
    head = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    events = [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    events.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    return b"".join(f"data: {json.dumps(event)}\n\n".encode() for event in events) + b"data: [DONE]\n\n"


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
@pytest.mark.parametrize(
    ("owner", "think", "sent"), [("vllm", "off", False), ("vllm", "high", True), ("jan", "on", None)]
)
def test_what_others_think_is_told_apart(
    httpserver: HTTPServer, tmp_path: Path, name: str, owner: str, think: Any, sent: bool | None
) -> None:
    asked: list[dict[str, Any]] = []

    def complete(request: Request) -> Response:
        asked.append(request.get_json())
        return Response(chunks({name: "Hm, "}, {name: "yes."}, {"content": "Blue."}), 200, mimetype="text/event-stream")

    models = {"object": "list", "data": [{"id": "m", "owned_by": owner, "max_model_len": 5000}]}
    httpserver.expect_request("/v1/models").respond_with_json(models)
    httpserver.expect_request("/v1/chat/completions").respond_with_handler(complete)
    settings = make_settings(tmp_path, base_url=httpserver.url_for("/v1"), think=think)
    chat = build_chat_model("openai:m", settings)
    assert isinstance(chat.model, OpenAIChat)
    assert chat.window < 5000  # room for thinking is left of it

    async def read() -> list[AIMessageChunk]:
        assert chat.model
        return [piece async for piece in chat.model.astream("What colour is the sky?")]

    pieces = asyncio.run(read())
    assert "".join(str(piece.additional_kwargs.get("reasoning_content", "")) for piece in pieces) == "Hm, yes."
    assert "".join(piece.text for piece in pieces) == "Blue."
    switch = asked[0].get("chat_template_kwargs")
    assert (switch["enable_thinking"] if switch else None) == sent
