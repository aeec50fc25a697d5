"""Two hundred chats at once for a minute: no token lost, doubled or somebody else's, and no memory kept. `-m soak`."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from tests.conftest import AppStarter, Pages, RunningApp, wait_until
from tests.crowds import DOORS, TOKENS, expected, numbered
from tests.ollama_server import OllamaServer

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]

CHATS = 200
SECONDS = 60.0
RATE = 20.0
"""Tokens a second of each answer, as far as the machine keeps up."""
CANCELLED = 0.1


async def chat(number: int, url: str, until: float, counts: Counter[str], wrong: list[str]) -> None:
    """Ask again and again; every second answer or so of one chat in ten is left in the middle."""
    rng, door = random.Random(number), DOORS[number % len(DOORS)]
    round_ = 0
    while time.monotonic() < until:
        name = f"{number}-{round_}"
        round_ += 1
        leave = rng.randrange(TOKENS * 4) if rng.random() < CANCELLED else -1
        text = ""
        pieces = door(url, f"What is the answer to question {name}?")
        try:
            async for piece in pieces:
                text += piece
                if 0 <= leave <= len(text):
                    break
        except Exception as error:
            wrong.append(f"{door.__name__} {name}: {error!r}")
            counts["failed"] += 1
            continue
        finally:
            await pieces.aclose()  # type: ignore[attr-defined]
        whole = leave < 0
        counts["whole" if whole else "left"] += 1
        counts["tokens"] += text.count(" ")
        if text != expected(name) if whole else not expected(name).startswith(text):
            wrong.append(f"{door.__name__} {name}: {text[-200:]}")


async def librarian(app: RunningApp, folder: Path, pages: Pages, until: float) -> int:
    """Add, refresh and remove sources all the while, as the owner does."""
    token = json.loads((folder / "holder.json").read_text())["token"]
    done = 0
    async with httpx.AsyncClient(base_url=app.url, headers={"Authorization": f"Bearer {token}"}, timeout=120) as client:
        while time.monotonic() < until:
            url = f"{pages.url}/{done % 5}"
            pages.pages[f"/{done % 5}"] = f"<title>Page {done}</title><p>{'The moon pulls the sea. ' * 40} {done}</p>"
            assert (await client.post("/library", json={"sources": [url]})).status_code == 202
            while (await client.get("/library")).json()["busy"]:
                await asyncio.sleep(0.2)
            assert (await client.request("DELETE", "/library", params={"source": url})).status_code == 200
            done += 1
    return done


def memory(pid: int) -> int:
    """Resident bytes."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) * 1024  # type: ignore[index]


async def watch(pid: int, until: float, seen: list[tuple[float, int]]) -> None:
    while time.monotonic() < until:
        seen.append((time.monotonic(), memory(pid)))
        await asyncio.sleep(0.5)


def test_two_hundred_chats_for_a_minute(start_app: AppStarter, pages: Pages, tmp_path: Path) -> None:
    with OllamaServer(reply=numbered, tokens_per_second=RATE) as server:
        (tmp_path / "notes.md").write_text("# Notes\n\nThe answer to each question is a row of numbers.")
        environment = {"OLLAMA_HOST": server.url, "RAG_CONCURRENCY": str(CHATS + 50)}
        flags = ("--data-dir", str(tmp_path / "data"), "--source", str(tmp_path / "notes.md"))
        app = start_app(*flags, environment=environment)
        pid = app.process.pid
        seen: list[tuple[float, int]] = []
        counts: Counter[str] = Counter()
        wrong: list[str] = []
        files = len(os.listdir(f"/proc/{pid}/fd"))

        async def run() -> int:
            began = time.monotonic()
            until = began + SECONDS
            chats = [chat(number, app.url, until, counts, wrong) for number in range(CHATS)]
            last = await asyncio.gather(
                *chats, watch(pid, until, seen), librarian(app, tmp_path / "data", pages, until)
            )
            counts["seconds"] = round(time.monotonic() - began)
            return int(last[-1])

        changes = asyncio.run(run())
        server.wait_until(lambda: server.open_streams == 0, 60)
        wait_until(
            lambda: len(os.listdir(f"/proc/{pid}/fd")) <= files + 60, 60
        )  # lines to the engine that are kept open
        began, end = seen[0][0], seen[-1][0]
        plateau = [size for moment, size in seen if 15 < moment - began < 25]
        final = [size for moment, size in seen if moment > end - 10]
        first, last = sum(plateau) / len(plateau), sum(final) / len(final)
        told = {
            **counts,
            "tokens a second": round(counts["tokens"] / counts["seconds"]),
            "changes": changes,
            "wrong": len(wrong),
            "MB at 15-25 s": round(first / 1e6),
            "MB in the last 10 s": round(last / 1e6),
            "files before": files,
            "files after": len(os.listdir(f"/proc/{pid}/fd")),
        }
        print(json.dumps(told))
        assert not wrong, wrong[:5]
        assert counts["whole"] >= CHATS and counts["left"] > 0 and changes > 0
        assert last < first * 1.1
        assert start_app.stop(app) == 0
        assert "Traceback" not in "".join(app.output), "".join(app.output)[-3000:]
