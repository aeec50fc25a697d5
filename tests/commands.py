"""The command line as a process of its own, and two texts to add with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

MOON = "The moon pulls the sea, twice a day, on every shore. " * 5
RIVER = "The river runs to the sea, slowly, and never comes back. " * 5


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rag", *arguments, "--data-dir", str(folder / "data")]
    environment = {**os.environ, "OLLAMA_HOST": "127.0.0.1:9", "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
