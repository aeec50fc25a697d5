"""Answers limited to chosen sources, and another chat model, through every door."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import gradio_client
import httpx
import pytest
from websockets.sync.client import connect

from rag.errors import QuestionError
from rag.library.uploads import name_of
from tests.commands import run
from tests.ollama_server import ModelSpec
from tests.serving import Served, frames, serve

TEXTS = {"tides": "An agent plans for the moon. " * 8, "cellar": "An agent plans for the cheese. " * 8}
Found = set[str]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("scope")
    for name, text in TEXTS.items():
        (folder / f"{name}.md").write_text(f"# {name}\n\n{text}", encoding="utf-8")
    made = serve(folder, mcp=True, sources=tuple(str(folder / f"{name}.md") for name in TEXTS))
    yield made
    made.close()


def names(sources: list[dict[str, Any]]) -> Found:
    return {Path(source["source"]).stem for source in sources}


def by_predict(served: Served, question: str, scope: list[str]) -> Found | str:
    query = urlencode([("query", question), ("sources", "true"), *(("scope", source) for source in scope)])
    data = httpx.get(f"{served.url}predict?{query}", timeout=30).json()
    return data.get("error") or names(data["sources"])


def by_stream(served: Served, question: str, scope: list[str]) -> Found | str:
    reply = httpx.post(f"{served.url}stream", json={"question": question, "scope": scope}, timeout=30)
    data = json.loads([line for line in reply.text.splitlines() if line.startswith("data: ")][-1][6:])
    return data.get("error") or names(data["sources"])


def by_socket(served: Served, question: str, scope: list[str]) -> Found | str:
    with connect(served.socket_url) as socket:
        socket.send(json.dumps({"question": question, "scope": scope}))
        last = frames(socket)[-1]
    return last.get("error") or names(last["sources"])


def by_mcp(served: Served, question: str, scope: list[str]) -> Found | str:
    from mcp.client.session import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    async def call() -> Any:
        async with streamable_http_client(f"{served.url}mcp") as streams, ClientSession(*streams[:2]) as session:
            await session.initialize()
            asked = await session.call_tool("ask", {"question": question, "scope": scope})
            found = await session.call_tool("search", {"query": question, "scope": scope})
            return asked, found

    asked, found = asyncio.run(call())
    if asked.is_error:
        return str(asked.content[0].text)
    assert names(found.structured_content["passages"]) == names(asked.structured_content["sources"])
    return names(asked.structured_content["sources"])


def by_command(served: Served, question: str, scope: list[str]) -> Found | str:
    flags = [flag for source in scope for flag in ("--only", source)]
    done = run(served.assistant.settings.data_dir.parent, "ask", question, "--json", *flags)
    if done.returncode:
        return str(json.loads(done.stderr)["error"])
    return names(json.loads(done.stdout)["sources"])


def by_gradio(served: Served, question: str, scope: list[str]) -> Found | str:
    """Gradio's door gives text alone: what the model was given to read tells."""
    client = gradio_client.Client(served.url, verbose=False)
    try:
        client.predict(question, [], scope, api_name="/predict")
    except Exception as error:
        return str(error)
    read = [item for item in served.server.requests if item.path == "/api/chat"][-1].body["messages"][-1]["content"]
    return {name for name, word in (("tides", "moon"), ("cellar", "cheese")) if f"for the {word}." in read}


DOORS = [by_predict, by_stream, by_socket, by_mcp, by_command, by_gradio]


@pytest.mark.parametrize("door", DOORS)
def test_an_answer_draws_on_nothing_but_its_scope(
    served: Served, door: Callable[[Served, str, list[str]], Found | str]
) -> None:
    assert door(served, "What does an agent plan for?", []) == {"tides", "cellar"}
    assert door(served, "What of the cheese does an agent plan for?", ["tides.md"]) == {"tides"}
    assert door(served, "What of the moon does an agent plan for?", ["cellar.md"]) == {"cellar"}
    assert door(served, "What does an agent plan for?", ["tides.md", "cellar.md"]) == {"tides", "cellar"}
    unknown = door(served, "What does an agent plan for?", ["nothing.md"])
    assert "nothing.md, which is not in the library" in unknown
    ambiguous = door(served, "What does an agent plan for?", [".md"])
    assert "names more than one source" in ambiguous


async def test_another_chat_model_answers_and_one_that_is_not_there_is_named(served: Served) -> None:
    served.server.models["qwen3"] = ModelSpec(32_768)
    async for _ in served.assistant.chain.astream({"question": "What is a plan?", "model": "ollama:qwen3"}):
        pass
    assert [item for item in served.server.requests if item.path == "/api/chat"][-1].body["model"] == "qwen3"
    with pytest.raises(QuestionError, match=r"There is no chat model ollama:nothing; there is .*ollama:qwen3"):
        async for _ in served.assistant.chain.astream({"question": "What is a plan?", "model": "ollama:nothing"}):
            pass


def test_the_models_there_are(served: Served) -> None:
    told = {item["name"]: item for item in httpx.get(f"{served.url}models", timeout=30).json()["models"]}
    llama = told["ollama:llama3"]
    assert (llama["use"], llama["window"], llama["details"]) == ("chat", 8192, "8.0B, Q4_0")
    assert told["ollama:mxbai-embed-large"]["use"] == "embeddings"
    assert told["embedded:smollm2-135m-instruct"]["size"] > 90_000_000
    assert told["openai:paper"]["use"] == "embeddings"


def test_files_of_the_library_are_opened_and_no_others(served: Served, tmp_path: Path) -> None:
    source = next(item.source for item in served.assistant.sources if item.source.endswith("tides.md"))
    reply = httpx.get(f"{served.url}library/file", params={"source": source}, timeout=30)
    assert reply.text.startswith("# tides")
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    for other in (str(tmp_path / "secret.txt"), "/etc/passwd", "tides.md", f"{source}/../cellar.md"):
        assert httpx.get(f"{served.url}library/file", params={"source": other}, timeout=30).status_code == 422, other


def test_a_file_that_was_given_is_kept_and_leaves_with_its_source(served: Served, tmp_path: Path) -> None:
    uploads, records = served.assistant.service.uploads, served.assistant.service.records
    given = tmp_path / "given.md"
    given.write_text("# Given\n\nA file.", encoding="utf-8")
    kept = uploads.keep(given, "../../etc/given.md")
    assert re.fullmatch(r"upload:[0-9a-f]{16}/_.._etc_given\.md", kept)
    assert b"".join(uploads.parts(kept)) == given.read_bytes()
    assert uploads.keep(given, "../../etc/given.md") == kept
    assert len(os.fsencode(name_of(uploads.keep(given, f"{'ä' * 300}.md")))) <= 200
    given.write_text("# Given\n\nAnother.", encoding="utf-8")
    assert uploads.keep(given, "given.md") != kept
    records.remove([kept])
    assert not uploads.has(kept)
    records.remove([str(given)])
    assert given.exists(), "only copies are the library's own"
