"""The command line as a process of its own, and two texts to add with it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.conftest import environment_of
from tests.warm import WarmProcess

MOON = "The moon pulls the sea, twice a day, on every shore. " * 5
RIVER = "The river runs to the sea, slowly, and never comes back. " * 5


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, with the library in its folder `data`."""
    with start(*arguments, "--data-dir", str(folder / "data"), folder=folder) as process:
        out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(list(arguments), process.wait(), out, err)


def start(*arguments: str, folder: Path | None = None, **environment: str) -> WarmProcess:
    """Start a command; `environment` is added to that of the tests."""
    return WarmProcess(["-m", "rag", *arguments], cwd=folder, env=environment_of(**environment))
