"""Part `start`: seconds from the command to the page's first byte, to the first token, and what Gradio alone takes."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from statistics import median
from typing import Any

import httpx

from bench.programs import ROOT, Program, environment

QUESTION = "What is task decomposition?"


def gradio_alone() -> float:
    """Seconds of `python -c "import gradio"`."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import gradio"], check=True, cwd=ROOT, env=environment())
    return time.monotonic() - began


def started(folder: str) -> dict[str, float]:
    """One start on a data folder, with the embedded models and the bundled guide."""
    arguments = ["app.py", "--port", "{port}", "--source", "bundled:guide.md", "--data-dir", folder]
    with Program(arguments) as program:
        page = program.wait_for("/", 200)
        # nothing is waited for in between: a question that comes early is answered as soon as it can be
        with httpx.stream("POST", f"{program.url}/stream", json={"question": QUESTION}, timeout=120) as reply:
            for line in reply.iter_lines():
                if line.startswith("data: ") and json.loads(line[6:]).get("message"):
                    break
        return {"page": page, "first_token": time.monotonic() - program.started}


def measure(runs: int) -> dict[str, Any]:
    """Medians in seconds; starts of Gradio and of the app take turns."""
    alone: list[float] = [gradio_alone()]  # not counted: it fills the disk's cache
    cold: list[dict[str, float]] = []
    warm: list[dict[str, float]] = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory(prefix="rag-bench-") as folder:
            cold.append(started(folder))
            alone.append(gradio_alone())
            warm.append(started(folder))
    found: dict[str, Any] = {"import_gradio": median(alone[1:])}
    for name, starts in (("cold", cold), ("warm", warm)):
        for what in ("page", "first_token"):
            found[f"{name}_{what}"] = median(start[what] for start in starts)
    found["warm_page_limit"] = 1.3 * found["import_gradio"] + 1
    return found
