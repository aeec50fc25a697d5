"""Doors for many chats at once, and answers that say whose they are."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
from websockets.asyncio.client import connect

TOKENS = 120


def numbered(messages: list[dict[str, Any]]) -> list[str]:
    """An answer whose every token says whose it is and which one."""
    found = re.findall(r"question (\d+-\d+)", messages[-1]["content"])
    return [f"{found[-1]}:{number} " for number in range(TOKENS)]


def expected(name: str) -> str:
    return "".join(f"{name}:{number} " for number in range(TOKENS))


async def by_socket(url: str, question: str) -> AsyncIterator[str]:
    async with connect(f"{url.replace('http', 'ws')}chat", open_timeout=60, ping_timeout=None) as ws:
        await ws.send(question)
        while not (frame := json.loads(await ws.recv())).get("done"):
            yield frame["message"]
        assert "error" not in frame, frame


async def by_stream(url: str, question: str) -> AsyncIterator[str]:
    async with httpx.AsyncClient(timeout=httpx.Timeout(120)) as client:
        async with client.stream("POST", f"{url}stream", json={"question": question}) as reply:
            async for line in reply.aiter_lines():
                if line.startswith("data: "):
                    frame = json.loads(line[6:])
                    assert "error" not in frame, frame
                    yield frame["message"]


async def by_predict(url: str, question: str) -> AsyncIterator[str]:
    async with httpx.AsyncClient(timeout=httpx.Timeout(120)) as client:
        reply = await client.get(f"{url}predict", params={"query": question})
        assert reply.status_code == 200, reply.text
        yield reply.json()


async def by_gradio(url: str, question: str) -> AsyncIterator[str]:
    """Gradio's own route: each event is the text so far."""
    async with httpx.AsyncClient(timeout=httpx.Timeout(120)) as client:
        call = await client.post(f"{url}gradio_api/call/chat", json={"data": [question]})
        address = f"{url}gradio_api/call/chat/{call.json()['event_id']}"
        so_far, event = "", ""
        async with client.stream("GET", address) as reply:
            async for line in reply.aiter_lines():
                if line.startswith("event: "):
                    event = line[7:]
                elif line.startswith("data: ") and event in ("generating", "complete"):
                    text = json.loads(line[6:])[0]
                    assert text.startswith(so_far), "an output does not go on from the one before"
                    yield text[len(so_far) :]
                    so_far = text
                else:
                    assert event != "error", line


DOORS = [by_socket] * 5 + [by_stream] * 3 + [by_predict, by_gradio]
