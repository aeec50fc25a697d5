"""Several engines behind nginx, with the configuration that docs/scale.md shows."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from rag.assistant import Assistant
from rag.errors import EngineError
from tests.conftest import ROOT, PaperEmbeddings, free_port, make_settings, wait_until
from tests.nginx import find_nginx
from tests.ollama_server import OllamaServer, Record


@pytest.fixture
def engines() -> Iterator[list[OllamaServer]]:
    with ExitStack() as stack:
        servers = [OllamaServer(reply=lambda messages: ["An ", "agent ", "plans."]) for _ in range(2)]
        yield [stack.enter_context(server) for server in servers]


@pytest.fixture
def proxy(engines: list[OllamaServer], tmp_path: Path) -> Iterator[str]:
    """The address of an nginx that shares questions out among the engines."""
    text = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    found = re.search(r"```nginx\n(upstream engines.*?)```", text, re.S)
    assert found, "docs/scale.md shows no nginx in front of engines"
    shown, port = found[1], free_port()
    ports = {"11434": port, "11435": engines[0].port, "11436": engines[1].port}
    shown = re.sub(r"127\.0\.0\.1:(\d+)", lambda address: f"127.0.0.1:{ports[address[1]]}", shown)
    shown = shown.replace("fail_timeout=5s", "fail_timeout=1s")
    (tmp_path / "nginx.conf").write_text(
        f"daemon off; pid nginx.pid; error_log stderr; events {{}}\nhttp {{ access_log off; {shown} }}",
        encoding="utf-8",
    )
    command = [find_nginx(), "-e", "stderr", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    wait_until(lambda: httpx.get(f"{url}/api/version").status_code == 200, 60)
    yield url
    process.terminate()
    process.wait(30)


@pytest.fixture
def assistant(proxy: str, tmp_path: Path) -> Iterator[Assistant]:
    note = tmp_path / "note.md"
    note.write_text("An agent plans its tasks.", encoding="utf-8")
    settings = make_settings(
        tmp_path, sources=(str(note),), model="ollama:llama3", embeddings="openai:paper", ollama_host=proxy
    )
    made = Assistant(settings, embeddings=PaperEmbeddings())
    made.start()
    wait_until(lambda: made.ready, 60, lambda: str(made.status()))
    yield made
    made.close()


async def ask(assistant: Assistant) -> str:
    return (await assistant.chain.ainvoke({"question": "What plans?"})).text


def chats(server: OllamaServer) -> list[Record]:
    return [record for record in server.requests if record.path == "/api/chat"]


async def test_questions_are_shared_out_and_stream(assistant: Assistant, engines: list[OllamaServer]) -> None:
    with engines[0].hold(after=1) as first, engines[1].hold(after=1) as second:
        streams = [assistant.chain.astream({"question": "What plans?"}) for _ in range(2)]
        for stream in streams:  # the first token is there while the engines hold the second one back
            assert await anext(update.text async for update in stream if update.text) == "An "
        first.release()
        second.release()
        for stream in streams:
            assert [update async for update in stream][-1].text == "An agent plans."
    assert len(chats(engines[0])) == len(chats(engines[1])) == 1


async def test_an_engine_that_is_gone_is_passed_over(assistant: Assistant, engines: list[OllamaServer]) -> None:
    await asyncio.to_thread(engines[0].stop)
    for _ in range(3):
        assert await ask(assistant) == "An agent plans."
    await asyncio.to_thread(engines[0].start)
    engines[0].fail("reset", after=1, times=1)
    engines[1].fail("reset", after=1, times=1)
    with pytest.raises(EngineError):  # in the middle of an answer nothing is tried elsewhere
        await ask(assistant)
    assert await ask(assistant) == "An agent plans."
