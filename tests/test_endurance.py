"""Thousands of questions, of which many are abandoned: nothing piles up in the app's process.

The app runs as a process of its own, which tells its tasks when asked. The long run asks as many questions as
`ENDURANCE_QUESTIONS` says; the engine is as fast as it can be, so that ten thousand take minutes in place of an hour.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from collections import Counter
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any, cast

import pytest

from tests.conftest import ROOT, AppStarter, RunningApp, wait_until
from tests.crowds import DOORS, expected, numbered
from tests.ollama_server import OllamaServer

LONG = int(os.environ.get("ENDURANCE_QUESTIONS", "10000"))
ABANDONED = 0.3
AT_ONCE = 8
SLACK = 5
"""Tasks, sockets and files that a process at rest may have more than before; fewer are none that were left."""
SLOPE = 5.0
"""MB a thousand questions, at most."""
WARM = 0.3
"""Part of the questions after which memory is looked at: caches fill first."""

TELLING = f"""
import asyncio, gc, json, sys, threading
sys.path.insert(0, {str(ROOT)!r})

def tell():
    for line in sys.stdin:
        gc.collect()
        tasks = [item for item in gc.get_objects() if isinstance(item, asyncio.Task) and not item.done()]
        print("tasks:" + str(len(tasks)), flush=True)

threading.Thread(target=tell, daemon=True).start()
import app
sys.exit(app.main())
"""
"""`app.py`, with a thread that counts the open tasks for each line that it gets."""


def looked_at(app: RunningApp) -> dict[str, int]:
    """What is open in the app's process, and its memory in bytes."""
    folder = f"/proc/{app.process.pid}/fd"
    kinds: Counter[bool] = Counter()
    for name in os.listdir(folder):
        with suppress(FileNotFoundError):  # closed meanwhile
            kinds[os.readlink(f"{folder}/{name}").startswith("socket:")] += 1
    pages = int(Path(f"/proc/{app.process.pid}/statm").read_text().split()[1])
    assert app.process.stdin
    seen = len(app.output)
    app.process.stdin.write("tasks\n")
    app.process.stdin.flush()
    wait_until(lambda: any(line.startswith("tasks:") for line in app.output[seen:]), 60)
    tasks = next(line for line in app.output[seen:] if line.startswith("tasks:"))
    return {
        "tasks": int(tasks.partition(":")[2]),
        "sockets": kinds[True],
        "files": kinds[False],
        "memory": pages * os.sysconf("SC_PAGE_SIZE"),
    }


def slope_of(points: list[tuple[int, int]]) -> float:
    """MB a thousand questions, by least squares."""
    middle = sum(x for x, _ in points) / len(points)
    mean = sum(y for _, y in points) / len(points)
    rise = sum((x - middle) * (y - mean) for x, y in points) / sum((x - middle) ** 2 for x, _ in points)
    return rise * 1000 / 1e6


async def ask(number: int, url: str, counts: Counter[str]) -> None:
    """One question; three in ten are left, most of them in the middle of the answer."""
    rng = random.Random(number)
    whole = expected(f"0-{number}")
    leave = rng.randrange(len(whole)) if rng.random() < ABANDONED else -1
    text = ""
    pieces = DOORS[number % len(DOORS)](url, f"What is the answer to question 0-{number}?")
    async with aclosing(cast(Any, pieces)) as answer:
        async for piece in answer:
            text += piece
            if 0 <= leave <= len(text):
                counts["left"] += 1
                return
    assert text == whole, (number, text[:80])
    counts["whole"] += 1


async def ask_all(numbers: range, url: str, counts: Counter[str]) -> None:
    waiting = iter(numbers)

    async def one_after_the_other() -> None:
        for number in waiting:
            await ask(number, url, counts)

    await asyncio.gather(*(one_after_the_other() for _ in range(AT_ONCE)))


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("questions", [60, pytest.param(LONG, marks=pytest.mark.soak)])
def test_many_questions_leave_nothing_behind(start_app: AppStarter, tmp_path: Path, questions: int) -> None:
    (tmp_path / "notes.md").write_text("# Notes\n\nThe answer to each question is a row of numbers.", encoding="utf-8")
    with OllamaServer(reply=numbered) as server:
        environment = {"OLLAMA_HOST": server.url, "RAG_REFUSE": "false", "RAG_CONCURRENCY": "8"}
        app = start_app(
            "--data-dir",
            str(tmp_path / "data"),
            "--source",
            "notes.md",
            environment=environment,
            program=("-c", TELLING),
        )

        def at_rest() -> dict[str, int]:
            """What is there once nobody is served: the latest look, where it stays above the first."""
            server.wait_until(lambda: server.open_streams == 0, 60)
            return looked_at(app)

        counts: Counter[str] = Counter()
        part = max(50, questions // 20)
        asyncio.run(ask_all(range(part), app.url, counts))
        first = at_rest()
        points = []
        began = time.monotonic()
        for start in range(part, questions, part):
            server.requests.clear()
            asyncio.run(ask_all(range(start, min(start + part, questions)), app.url, counts))
            points.append((start + part, looked_at(app)["memory"]))
        seconds = time.monotonic() - began
        open_ = ("tasks", "sockets", "files")
        wait_until(lambda: all(at_rest()[name] <= first[name] + SLACK for name in open_), 60, lambda: str(at_rest()))
        last = at_rest()
        told: dict[str, Any] = {**counts, "seconds": round(seconds), "first": first, "last": last}
        settled = [point for point in points if point[0] >= questions * WARM]
        if len(settled) > 5:
            told["MB a thousand"] = round(slope_of(settled), 2)
            told["MB"] = [round(memory / 1e6) for _, memory in points]
        print(f"\n{json.dumps(told)}")
        assert counts["left"] >= questions * ABANDONED * 0.7
        assert counts["whole"] + counts["left"] == questions
        assert all(last[name] - first[name] <= SLACK for name in open_), (first, last)
        assert told.get("MB a thousand", 0.0) <= SLOPE
        assert start_app.stop(app) == 0
        assert "Traceback" not in "".join(app.output), "".join(app.output)[-3000:]
