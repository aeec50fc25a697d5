"""A signal in the middle of everything: the app ends within five seconds, tidily, and its library opens again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import time
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from rag.library.chroma import FOLDER, check_folder
from tests.commands import run
from tests.conftest import AppStarter, RunningApp, wait_until
from tests.ollama_server import OllamaServer

STREAMS = 20
END_SECONDS = 5.0


async def by_socket(app: RunningApp, begun: list[str]) -> None:
    async with connect(f"{app.url.replace('http', 'ws')}chat") as ws:
        await ws.send("What is a plan?")
        with contextlib.suppress(ConnectionClosed):
            while True:
                frame = json.loads(await ws.recv())
                begun.append(frame["message"] if "message" in frame else frame["error"])  # the word at the end


async def by_http(app: RunningApp, begun: list[str]) -> None:
    async with httpx.AsyncClient(timeout=60) as client:
        with contextlib.suppress(httpx.HTTPError):
            async with client.stream("POST", f"{app.url}stream", json={"question": "What is a plan?"}) as reply:
                async for line in reply.aiter_lines():
                    if line.startswith("data: "):
                        begun.append(line)


async def by_gradio(app: RunningApp, begun: list[str]) -> None:
    async with httpx.AsyncClient(timeout=60) as client:
        call = await client.post(f"{app.url}gradio_api/call/chat", json={"data": ["What is a plan?"]})
        with contextlib.suppress(httpx.HTTPError):
            address = f"{app.url}gradio_api/call/chat/{call.json()['event_id']}"
            async with client.stream("GET", address) as reply:
                async for line in reply.aiter_lines():
                    if line.startswith("data: "):
                        begun.append(line)


async def by_predict(app: RunningApp, begun: list[str]) -> None:
    async with httpx.AsyncClient(timeout=60) as client:
        with contextlib.suppress(httpx.HTTPError):
            await client.get(f"{app.url}predict", params={"query": "What is a plan?"})


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("number", "seconds"),
    [
        pytest.param(signal.SIGTERM, 3 * END_SECONDS, id="SIGTERM"),  # of a machine that is busy with other tests
        pytest.param(signal.SIGTERM, END_SECONDS, id="SIGTERM, alone", marks=pytest.mark.soak),
        pytest.param(signal.SIGINT, END_SECONDS, id="Ctrl-C", marks=pytest.mark.soak),
    ],
)
def test_a_signal_with_twenty_streams_open_ends_it_within_five_seconds(
    start_app: AppStarter, tmp_path: Path, number: signal.Signals, seconds: float
) -> None:
    (tmp_path / "notes.md").write_text("# Notes\n\nAn agent plans. A plan is a list of tasks.", encoding="utf-8")
    with OllamaServer(reply=lambda messages: [f"{token} " for token in range(1000)]) as server:
        flags = ("--data-dir", str(tmp_path / "data"), "--source", "notes.md")
        environment = {"OLLAMA_HOST": server.url, "RAG_CONCURRENCY": str(STREAMS), "RAG_REFUSE": "false"}
        environment |= {"RAG_MODEL": "ollama:llama3", "RAG_EMBEDDINGS": "embedded:all-minilm-l6-v2"}
        app = start_app(*flags, environment=environment)
        took = 0.0

        async def stream_and_end() -> None:
            nonlocal took
            begun: list[list[str]] = [[] for _ in range(STREAMS)]
            doors = [by_socket, by_http, by_gradio, by_predict]
            with server.hold(after=3) as gate:
                open_ = [asyncio.ensure_future(doors[n % len(doors)](app, begun[n])) for n in range(STREAMS)]
                await asyncio.to_thread(gate.wait, STREAMS, 60)
                seen = [begun[n] for n in range(STREAMS) if doors[n % len(doors)] is not by_predict]
                await asyncio.to_thread(wait_until, lambda: all(seen), 30)
                app.process.send_signal(number)
                began = time.monotonic()
                code = await asyncio.to_thread(app.process.wait, 60)
                took = time.monotonic() - began
                assert code == 0
                await asyncio.wait_for(asyncio.gather(*open_), 30)

        asyncio.run(stream_and_end())
        server.wait_until(lambda: server.open_streams == 0, 60)
    print(f"\nended after {took:.1f} s")
    assert took <= seconds
    assert "Traceback" not in "".join(app.output), "".join(app.output)[-3000:]
    assert check_folder(tmp_path / "data" / FOLDER) == ""
    told = run(tmp_path, "sources", "--json")
    assert [entry["state"] for entry in json.loads(told.stdout)] == ["ready"], told.stderr
