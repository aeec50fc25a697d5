"""Part `start`: seconds from the command to the page's first byte, to the first token, and what Gradio alone takes.

After a warm start, the megabytes that the app and its children have while nobody asks, with each embedded chat model.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from statistics import median
from typing import Any

import httpx

from bench.programs import ROOT, Program, environment, resident_of_all

QUESTION = "What is task decomposition?"
MODELS = ("smollm2-135m-instruct", "qwen2.5-coder-0.5b-instruct")
"""Whose memory is told."""
SETTLED_SECONDS = 5.0
"""After an answer, until what it left to be done is done."""


def gradio_alone() -> float:
    """Seconds of `python -c "import gradio"`."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import gradio"], check=True, cwd=ROOT, env=environment())
    return time.monotonic() - began


def started(folder: str, model: str = MODELS[-1], *, idle: bool = False) -> dict[str, float]:
    """One start on a data folder, with embedded models and the bundled guide; `idle`: with the memory after that."""
    arguments = ["app.py", "--port", "{port}", "--source", "bundled:guide.md", "--data-dir", folder]
    arguments += ["--model", f"embedded:{model}"]
    with Program(arguments) as program:
        page = program.wait_for("/", 200)
        # nothing is waited for in between: a question that comes early is answered as soon as it can be
        with httpx.stream("POST", f"{program.url}/stream", json={"question": QUESTION}, timeout=120) as reply:
            for line in reply.iter_lines():
                if line.startswith("data: ") and json.loads(line[6:]).get("message"):
                    break
        found = {"page": page, "first_token": time.monotonic() - program.started}
        if idle:
            time.sleep(SETTLED_SECONDS)
            found["memory"] = resident_of_all(program.pid)
        return found


def measure(runs: int) -> dict[str, Any]:
    """Medians in seconds; starts of Gradio and of the app take turns."""
    # as after the first minutes, in which a child writes the weights in a form that is read faster
    subprocess.run([sys.executable, "-m", "rag.models.fetch", *MODELS], check=True, cwd=ROOT, env=environment())
    alone: list[float] = [gradio_alone()]  # not counted: it fills the disk's cache
    cold: list[dict[str, float]] = []
    warm: list[dict[str, float]] = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory(prefix="rag-bench-") as folder:
            cold.append(started(folder))
            alone.append(gradio_alone())
            warm.append(started(folder))
    found: dict[str, Any] = {"import_gradio": median(alone[1:])}
    for model in MODELS:
        with tempfile.TemporaryDirectory(prefix="rag-bench-") as folder:
            started(folder, model)
            found[f"idle_mb_{model}"] = started(folder, model, idle=True)["memory"]
    for name, starts in (("cold", cold), ("warm", warm)):
        for what in ("page", "first_token"):
            found[f"{name}_{what}"] = median(start[what] for start in starts)
    found["warm_page_limit"] = found["import_gradio"] + 0.7
    return found
