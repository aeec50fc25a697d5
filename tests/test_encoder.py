"""The transformer of the embedded embeddings in each engine that may run it."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import requires
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from rag.models.minilm import MiniLMEmbeddings
from rag.settings import load_settings
from tests.conftest import ROOT
from tests.files import picture

TEXTS = [
    "The moon pulls the sea twice a day on every shore.",
    "Tides come from the pull of the moon.",
    "Goat cheese ripens on a shelf of straw.",
    "A",
    "Käse, сыр und チーズ",
    "word " * 400,
]
ENGINES = ["openvino", "onnxruntime"]


def embeddings(engine: str, monkeypatch: pytest.MonkeyPatch) -> MiniLMEmbeddings:
    if engine == "onnxruntime":
        monkeypatch.setitem(sys.modules, "openvino", None)  # as where it has no wheel
    elif not find_spec("openvino"):
        pytest.skip("OpenVINO has no wheel for this machine")
    return MiniLMEmbeddings(load_settings().cache_dir)


@pytest.mark.parametrize("engine", ENGINES)
def test_like_texts_lie_near_whoever_computes_it(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.array(embeddings(engine, monkeypatch).embed_documents(TEXTS))
    assert vectors.shape == (len(TEXTS), 384)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.3


def test_both_engines_give_the_same_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that one of them embedded is searched with the other's questions."""
    one, other = (np.array(embeddings(engine, monkeypatch).embed_documents(TEXTS)) for engine in ENGINES)
    assert (one * other).sum(axis=1).min() > 0.999


def test_the_texts_beside_it_do_not_change_a_vector(monkeypatch: pytest.MonkeyPatch) -> None:
    model = embeddings("openvino", monkeypatch)
    together = model.embed_documents(TEXTS)
    assert np.allclose(together, [model.embed_query(text) for text in TEXTS], atol=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_many_threads_get_what_one_gets(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = embeddings(engine, monkeypatch)
    alone = [model.embed_query(text) for text in TEXTS]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(model.embed_query, TEXTS * 3))
    assert np.allclose(together, alone * 3, atol=1e-6)


FIRST_RUNS = """
import os, sys, threading
from pathlib import Path
from rag.models.minilm import MiniLMEmbeddings

model, begin = MiniLMEmbeddings(Path(sys.argv[1])), threading.Barrier(4)
texts = ["text " * n for n in range(1, 40)]
threads = [
    threading.Thread(target=lambda: (begin.wait(), model.embed_documents(texts)), daemon=True) for _ in range(4)
]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(20)
print(sum(thread.is_alive() for thread in threads), flush=True)
os._exit(0)
"""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("processes", [1, pytest.param(100, marks=pytest.mark.soak)])
def test_the_first_runs_of_a_process_wait_for_no_other(processes: int) -> None:
    command = [sys.executable, "-c", FIRST_RUNS, str(load_settings().cache_dir)]
    for _ in range(processes):
        assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout == "0\n"


def test_no_engine_finds_what_reports_home(tmp_path: Path) -> None:
    """The package that OpenVINO reports home with is a requirement of it, and its import alone would send."""
    if not find_spec("openvino"):
        pytest.skip("OpenVINO has no wheel for this machine")
    assert any(item.startswith("openvino-telemetry") for item in requires("openvino") or ())
    code = """
import os, sys
from pathlib import Path
from rag.models.minilm import MiniLMEmbeddings
from rag.settings import load_settings
MiniLMEmbeddings(load_settings(cache_dir=Path(sys.argv[1])).cache_dir)
from rag.sources.documents import read
from rag.sources.formats import Job
assert read(Job(sys.argv[2], "scan.png", ".png", "named .png", "scan.png"))
assert "openvino" in sys.modules and "onnxruntime" in sys.modules
assert not [name for name, found in sys.modules.items() if name.startswith("openvino_telemetry") and found]
assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
"""
    home = {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    (tmp_path / "scan.png").write_bytes(picture("Read me."))
    done = subprocess.run(
        [sys.executable, "-c", code, str(load_settings().cache_dir), str(tmp_path / "scan.png")],
        env=home,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "intel").exists()
