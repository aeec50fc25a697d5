"""Parts `ws` and `gradio`: tokens from an engine without limits, or of 50 a second a stream, through both programs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from bench.engine import EngineProcess
from bench.pages import served_pages
from bench.programs import Program, in_own_process

PAGE_CHARACTERS = 8000
PLACES = "128"
"""The article's program knows no limit of answers at once; ours is told the most that is asked for."""


def read(door: str, program: Program, streams: int, tokens: int) -> dict[str, Any]:
    """The figures of many streams at once, and what they cost the program."""
    program.forget_peak()
    before = program.cpu_seconds()
    found = in_own_process("-m", "bench.clients", door, program.url, str(streams), str(tokens))
    if found["errors"]:
        raise RuntimeError(f"{door} on {program.url}: {found['errors'][:3]}")
    after = program.cpu_seconds()
    spent = None if before is None or after is None else after - before
    found |= {"streams": streams, "tokens": tokens, "memory_mb": program.peak_memory()}
    found["cpu_per_1000"] = None if spent is None else spent / (streams * tokens / 1000)
    return found


@contextmanager
def ours(engine: str, page: str) -> Iterator[Program]:
    """This project's app over that engine and page."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="rag-bench-"))
        program = Program(
            ["app.py", "--port", "{port}", "--source", page, "--data-dir", folder],
            OLLAMA_HOST=engine,
            RAG_CONCURRENCY=PLACES,
        )
        stack.enter_context(program)
        program.wait_for("/health", 200)
        yield program


@contextmanager
def article(engine: str, page: str) -> Iterator[Program]:
    """The article's program over that engine and page."""
    with Program(["-m", "bench.article", "--page", page, "--ollama", engine, "--port", "{port}"]) as program:
        program.wait_for("/docs")
        yield program


@contextmanager
def naive(engine: str, page: str) -> Iterator[Program]:
    """The naive chat page over that engine and page."""
    with Program(["-m", "bench.naive_gradio", "--page", page, "--ollama", engine, "--port", "{port}"]) as program:
        program.wait_for("/config")
        yield program


def measure(door: str, runs: Sequence[tuple[float, int, int]]) -> list[dict[str, Any]]:
    """`runs` are (the engine's tokens a second, streams, tokens of each); both programs take turns in each."""
    other = article if door == "ws" else naive
    rows = []
    for speed in dict.fromkeys(speed for speed, _, _ in runs):
        with ExitStack() as stack:
            engine = stack.enter_context(EngineProcess(speed))
            page = f"{stack.enter_context(served_pages(PAGE_CHARACTERS))}/1"
            theirs, mine = (stack.enter_context(start(engine.url, page)) for start in (other, ours))
            for program in (theirs, mine):
                read(door, program, 2, 20)  # what is loaded at the first question
            for _, streams, tokens in (run for run in runs if run[0] == speed):
                row: dict[str, Any] = {"engine": speed or "unlimited", "streams": streams, "tokens": tokens}
                row |= {"theirs": read(door, theirs, streams, tokens), "ours": read(door, mine, streams, tokens)}
                rows.append(row)
    return rows
