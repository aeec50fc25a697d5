"""More people at once than may wait: as many as there is room for are answered, the rest are told so at once.

The app runs as a process of its own with the default bounds, four at the model and 32 in line. The short run has a
hundred, and those beyond the bound are refused while the model is held for the others: they wait for nobody. In the
long one 250 or 500 come within a second, each is refused within a second, and `/health` goes on answering at once.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gradio_client
import httpx
import pytest
from websockets.asyncio.client import connect

from rag.answers.line import WAITING_FOR_A_PLACE
from tests.conftest import AppStarter, RunningApp, wait_until
from tests.ollama_server import OllamaServer

PLACES = 4
QUEUE = PLACES * WAITING_FOR_A_PLACE
ANSWER = ["An ", "agent ", "plans."]
SPREAD_SECONDS = 1.0
BUSY = f"Busy: {PLACES + QUEUE} questions are ahead of you"
CLIENTS = 6
"""Clients of Gradio's own in the crowd; the rest at its door speak its protocol, which costs this process less."""

PROBE = """
import sys, time, httpx
took = []
with httpx.Client(timeout=60) as client:
    client.get(sys.argv[1])
    print("ready", flush=True)
    import threading
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    while not ended.wait(0.05):
        began = time.monotonic()
        assert client.get(sys.argv[1]).status_code == 200
        took.append(time.monotonic() - began)
print(len(took), max(took), flush=True)
"""
"""Asks for `/health` again and again, in a process of its own: the crowd's process is too busy to measure."""

Told = tuple[str, str, float]
"""The door, what somebody was told there ("" for the answer), and the seconds that took."""


async def request(url: str, method: str, path: str, body: str = "") -> tuple[int, str]:
    """Status and text of one request on a connection of its own: a crowd of libraries would be busy with themselves."""
    address = httpx.URL(url)
    reader, writer = await asyncio.open_connection(address.host, address.port)
    head = f"{method} /{path} HTTP/1.1\r\nHost: {address.host}:{address.port}\r\nConnection: close\r\n"
    writer.write(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
    first, _, rest = (await reader.read()).decode().partition("\r\n")
    writer.close()
    headers, _, text = rest.partition("\r\n\r\n")
    if "transfer-encoding: chunked" in headers.lower():
        text = re.sub(r"(?m)^[0-9a-f]+\r\n|\r\n$", "", text)
    return int(first.split()[1]), text.strip()


async def by_socket(url: str) -> str:
    async with connect(f"{url.replace('http', 'ws')}chat", open_timeout=60, ping_interval=None, compression=None) as ws:
        await ws.send("What is a plan?")
        text = ""
        while not (frame := json.loads(await ws.recv())).get("done"):
            text += frame["message"]
    assert frame.get("code", "busy") == "busy"
    return str(frame["error"]) if "error" in frame else whole(text)


async def by_predict(url: str) -> str:
    status, text = await request(url, "GET", "predict?query=What%20is%20a%20plan%3F")
    assert status in (200, 503)
    return str(json.loads(text)["error"]) if status == 503 else whole(json.loads(text))


async def by_stream(url: str) -> str:
    _, text = await request(url, "POST", "stream", json.dumps({"question": "What is a plan?"}))
    frames = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]
    return str(frames[-1].get("error") or whole("".join(frame["message"] for frame in frames)))


async def by_gradios_protocol(url: str) -> str:
    _, text = await request(url, "POST", "gradio_api/call/chat", json.dumps({"data": ["What is a plan?"]}))
    _, text = await request(url, "GET", f"gradio_api/call/chat/{json.loads(text)['event_id']}")
    name, data = [line for line in text.splitlines() if line.strip()][-2:]
    told = json.loads(data.removeprefix("data: "))
    return str(told["error"]) if name == "event: error" else whole(told[0])


def whole(answer: str) -> str:
    """The answer must be whole."""
    assert answer == "".join(ANSWER)
    return ""


def by_gradio_client(client: gradio_client.Client) -> str:
    try:
        return whole(client.predict("What is a plan?", api_name="/chat"))
    except gradio_client.exceptions.AppError as error:
        assert error.title == "busy"
        return str(error.message)


DOORS: list[Callable[[str], Awaitable[str]]] = [
    by_socket,
    by_predict,
    by_stream,
    by_socket,
    by_predict,
    by_socket,
    by_stream,
    by_predict,
    by_socket,
    by_gradios_protocol,
]


async def crowd(app: RunningApp, count: int, told: list[Told], clients: list[gradio_client.Client]) -> None:
    """Everybody, one after the other within a second."""
    pool = ThreadPoolExecutor(len(clients))

    async def come(number: int) -> None:
        await asyncio.sleep(number * SPREAD_SECONDS / count)
        began = time.monotonic()
        door = DOORS[number % len(DOORS)]
        name = door.__name__
        if number % (count // CLIENTS) == 1 and number // (count // CLIENTS) < CLIENTS:
            mine, name = clients[number // (count // CLIENTS)], by_gradio_client.__name__
            text = await asyncio.get_running_loop().run_in_executor(pool, by_gradio_client, mine)
        else:
            text = await door(app.url)
        told.append((name, text, time.monotonic() - began))

    await asyncio.gather(*(come(number) for number in range(count)))
    pool.shutdown()


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("count", "refused_within", "health_within"),
    [
        (100, None, None),
        pytest.param(250, 1.0, 0.2, marks=pytest.mark.soak),
        pytest.param(500, 1.0, 0.2, marks=pytest.mark.soak),
    ],
)
def test_a_crowd_is_served_to_the_bound_and_the_rest_refused_at_once(
    start_app: AppStarter, tmp_path: Path, count: int, refused_within: float | None, health_within: float | None
) -> None:
    (tmp_path / "notes.md").write_text("# Notes\n\nAn agent plans. A plan is a list of tasks.", encoding="utf-8")
    with OllamaServer(reply=lambda messages: ANSWER) as server:
        environment = {
            "OLLAMA_HOST": server.url,
            "RAG_CONCURRENCY": str(PLACES),
            "RAG_REFUSE": "false",
        }
        app = start_app("--data-dir", str(tmp_path / "data"), "--source", "notes.md", environment=environment)
        clients = [gradio_client.Client(app.url, verbose=False, analytics_enabled=False) for _ in range(CLIENTS)]
        probe = subprocess.Popen(
            [sys.executable, "-c", PROBE, f"{app.url}health"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert probe.stdout and probe.stdout.readline() == "ready\n"
        told: list[Told] = []

        async def run() -> None:
            with server.hold(match=lambda record: "What is a plan?" in str(record.body)) as gate:
                coming = asyncio.ensure_future(crowd(app, count, told, clients))
                coming.add_done_callback(lambda task: task.cancelled() or task.exception())
                refused = count - PLACES - QUEUE
                try:
                    await asyncio.to_thread(wait_until, lambda: len(told) >= refused or coming.done(), 60)
                    assert gate.held == PLACES
                    assert len(told) == refused
                    assert (await asyncio.to_thread(httpx.get, f"{app.url}health", timeout=60)).status_code == 200
                finally:
                    gate.release()
            await coming

        asyncio.run(run())
        asked, slowest = probe.communicate("", timeout=30)[0].split()
        for client in clients:
            client.close()
        seconds: dict[str, list[float]] = {}
        for door, text, took in told:
            if text:
                seconds.setdefault(door, []).append(took)
        answered = sum(not text for _, text, _ in told)
        print(f"\n{answered} answered; health asked {asked} times, {float(slowest):.3f} s at most; refused:")
        for door, each in seconds.items():
            print(f"  {door}: {len(each)}, median {sorted(each)[len(each) // 2]:.3f} s, {max(each):.3f} at most")
        assert Counter(BUSY in text for _, text, _ in told if text) == {True: count - PLACES - QUEUE}
        assert answered == PLACES + QUEUE
        if refused_within and health_within:
            assert max(map(max, seconds.values())) <= refused_within
            assert float(slowest) <= health_within
        assert httpx.get(f"{app.url}predict?query=plan", timeout=30).json() == "".join(ANSWER)
        assert "Traceback" not in "".join(app.output), "".join(app.output)[-3000:]
