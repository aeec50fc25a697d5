"""The examples as a reader runs them, each in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.serving import ANSWER, Served, serve

EXAMPLES = ROOT / "examples"
QUESTION = "What is a plan?"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = serve(tmp_path_factory.mktemp("examples"), mcp=True)
    yield made
    made.close()


def run(served: Served, *command: str, cwd: Path | None = None) -> str:
    environment = {**os.environ, "RAG_URL": served.url.rstrip("/")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_curl(served: Served) -> None:
    first, second = run(served, "sh", str(EXAMPLES / "predict.sh"), QUESTION).splitlines()
    assert json.loads(first) == "".join(ANSWER)
    assert json.loads(second)["sources"][0]["title"] == "Notes"


def test_websocket_client(served: Served) -> None:
    told = run(served, sys.executable, str(EXAMPLES / "websocket_client.py"), QUESTION)
    assert told.startswith("".join(ANSWER))
    assert "[1] Notes" in told


def test_openai_client(served: Served) -> None:
    told = run(served, sys.executable, str(EXAMPLES / "openai_client.py"), QUESTION)
    assert told.startswith("".join(ANSWER) + "\n[1] Notes")


def test_gradio_client(served: Served) -> None:
    told = run(served, sys.executable, str(EXAMPLES / "gradio_stream.py"), QUESTION)
    assert told.splitlines()[-1] == "".join(ANSWER)


def test_gradio_client_cancels(served: Served) -> None:
    with served.server.hold(after=2):
        run(served, sys.executable, str(EXAMPLES / "gradio_stream.py"), QUESTION, "1")
        record = served.server.wait_for(lambda item: item.path == "/api/chat" and item.finished == "client_gone")
        assert record.tokens == 2


def test_mcp_client(served: Served) -> None:
    told = run(served, sys.executable, str(EXAMPLES / "mcp_client.py"), QUESTION)
    assert told.splitlines() == ["tools: ask, search, sources", "".join(ANSWER)]


@pytest.mark.skipif(shutil.which("npm") is None, reason="needs Node.js with npm")
def test_javascript_client(served: Served, tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "client.mjs", tmp_path)
    subprocess.run(["npm", "init", "-y"], cwd=tmp_path, check=True, capture_output=True, timeout=60)
    install = ["npm", "install", "--no-audit", "--no-fund", "@gradio/client@2"]
    subprocess.run(install, cwd=tmp_path, check=True, capture_output=True, timeout=240)
    assert run(served, "node", "client.mjs", QUESTION, cwd=tmp_path).strip() == "".join(ANSWER)


def test_each_example_is_short() -> None:
    for path in EXAMPLES.iterdir():
        assert len(path.read_text(encoding="utf-8").splitlines()) < 30, path.name
