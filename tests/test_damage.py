"""A data folder that is damaged, full or not to be written to: each is named, and mended or told what to do.

The long run goes through sixteen ways in which an index is damaged, and kills every kind of change fifty times.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import httpx
import pytest

import rag.library.vectors
from rag.assistant import Assistant
from rag.errors import StoreError
from rag.library.chroma import FOLDER
from rag.library.ingest import Ingest
from rag.settings import Settings
from tests.commands import run
from tests.conftest import ROOT, AppStarter, make_settings, wait_until
from tests.minilm import shared_minilm
from tests.postgres import running_postgres
from tests.stores import MOON, RIVER, Library, write
from tests.warm import WarmProcess

ROWS = 150
HNSW = ("data_level0.bin", "header.bin", "length.bin", "link_lists.bin", "index_metadata.pickle")


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def garbage(path: Path) -> None:
    path.write_bytes(b"x" * 4096 + path.read_bytes()[4096:])


def pages_damaged(path: Path) -> None:
    data = bytearray(path.read_bytes())
    rng = random.Random(1)
    for start in range(8192, len(data) - 4096, 8192):
        data[start : start + 4096] = rng.randbytes(4096)
    path.write_bytes(data)


def deleted(path: Path) -> None:
    path.unlink()


def all_deleted(path: Path) -> None:
    for file in path.parent.iterdir():
        file.unlink()
    path.parent.rmdir()


MUTATIONS: list[tuple[str, Callable[[Path], None]]] = [
    *(("chroma.sqlite3", how) for how in (emptied, cut, garbage, pages_damaged, deleted)),
    (HNSW[0], all_deleted),
    *((name, how) for name in HNSW for how in (cut, deleted)),
]
SHORT = {("header.bin", cut), ("link_lists.bin", cut), ("data_level0.bin", deleted), ("chroma.sqlite3", pages_damaged)}


@pytest.fixture
def flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A library whose vectors are in files of the graph, as those of 10,000 rows are."""
    monkeypatch.setattr(rag.library.vectors, "SYNC_THRESHOLD", 100)
    monkeypatch.setattr("rag.library.index.EXACT_MOST", -1)
    settings = make_settings(tmp_path, chunk_size=100)
    library = Library(settings)
    for name in ("a", "b"):
        text = "\n\n".join(
            f"The moon {number:03} of {name} pulls the sea, on every shore of it." for number in range(ROWS)
        )
        (tmp_path / f"{name}.md").write_text(text)
        library.add(tmp_path / f"{name}.md")
    library.close()
    return settings


@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize(
    ("name", "how"),
    [
        pytest.param(name, how, id=f"{name} {how.__name__}", marks=[] if (name, how) in SHORT else [pytest.mark.soak])
        for name, how in MUTATIONS
    ],
)
def test_a_damaged_index_is_found_and_filled_again(
    name: str, how: Callable[[Path], None], closed: bool, flushed: Settings
) -> None:
    """By its files as they were when it was closed, or, where it was not, by a look at all of it."""
    folder = flushed.data_dir / FOLDER
    found = [folder / name] if name.endswith("sqlite3") else list(folder.glob(f"*/{name}"))
    assert found, f"the index has no {name}: {sorted(map(str, folder.rglob('*')))}"
    how(found[0])
    if not closed:
        (folder / "closed.json").unlink()
    again = Library(flushed)
    try:
        assert again.finish() == 0, "nothing is to be embedded again"
        print(f"\n{name} {how.__name__}: {again.damage}")
        assert {item.title: item.chunks for item in again.index.sources} == {"a.md": ROWS, "b.md": ROWS}
        assert len(set(again.find("moon 007 of b", 300))) == 2 * ROWS, "rows that no search finds"
        assert again.damage or (name, how, closed) == ("link_lists.bin", cut, False)  # all of its rows are found
    finally:
        again.close()


MANY = 600
LIMITED = """
import resource, signal, sys
from pathlib import Path
from tests.conftest import make_settings
from tests.postgres import running_postgres
from tests.stores import Library

folder = Path(sys.argv[1])
library = Library(make_settings(folder, chunk_size=100))
library.add(folder / "small.md")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    library.add(folder / "large.md")
    print("stored", flush=True)
except Exception as error:
    print(f"{type(error).__name__}: {error}", flush=True)
print(library.find("moon", 1), flush=True)
import os
os._exit(0)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits")
@pytest.mark.timeout(120)
@pytest.mark.parametrize("room", [4096, 400_000])
def test_a_disk_that_takes_no_more_is_told_and_what_was_there_stays(tmp_path: Path, room: int) -> None:
    """A limit on the size of files stands for a full disk: for the text, and for the index."""
    (tmp_path / "small.md").write_text("The moon pulls the sea.")
    (tmp_path / "large.md").write_text(
        "\n\n".join(f"The river {number} runs to the sea." * 2 for number in range(MANY))
    )
    (tmp_path / "limited.py").write_text(LIMITED)
    with WarmProcess([str(tmp_path / "limited.py"), str(tmp_path), str(room)]) as process:
        out, err = process.communicate(60)
    told = out.splitlines()
    assert told and told[0].startswith("StoreError: "), out + err
    assert re.search("[Ff]ree some space", told[0]), told[0]
    settings = make_settings(tmp_path, chunk_size=100)
    again = Library(settings)
    try:
        assert again.find("moon", 1) == ["The moon pulls the sea."]
        again.finish()
        chunks = {item.title: item.chunks for item in again.index.sources}
        assert chunks["small.md"] == 1 and chunks.get("large.md", MANY) == MANY, chunks
        small = again.index.source(str(tmp_path / "small.md"))  # not by a search: all rows have one vector
        assert small and [each.page_content for each in again.records.revisions.chunks_of(small.revision)] == [
            "The moon pulls the sea."
        ]
    finally:
        again.close()


def test_room_is_looked_for_on_the_disk_of_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bundled embedding model keeps what it computes beside its weights, which may be on another disk."""
    full = [shared_minilm().folder]
    there = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: there._replace(free=0) if path in full else there)
    library = Library(make_settings(tmp_path))
    ingest = Ingest(library.open_index(shared_minilm(), "embedded:all-MiniLM-L6-v2"))
    try:
        assert ingest.run(library.load(write(tmp_path / "moon.md", MOON)), lambda *_: None) == 1
        full[:] = [library.settings.data_dir]
        with pytest.raises(StoreError, match=f"Only 0 MiB are free on the disk of {library.settings.data_dir}"):
            ingest.run(library.load(write(tmp_path / "river.md", RIVER)), lambda *_: None)
    finally:
        library.close()


REFUSED = """
import os, resource, signal, sys
from pathlib import Path
from rag.errors import StoreError
from tests.conftest import make_settings
from tests.stores import Library

folder = Path(sys.argv[1])
library = Library(make_settings(folder, chunk_size=100))
library.add(folder / "moon.md")
print(library.rows(), flush=True)
library.add(folder / "river.md")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
for _ in range(5):
    try:
        library.ingest.writer.write_waiting()
        print("nothing to write", flush=True)
    except StoreError as error:
        print(error, flush=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
library.add(folder / "lake.md")
print(library.find("moon", 1), flush=True)
library.open_chroma()
library.finish()
print(library.rows(), flush=True)
library.close()
print("closed", flush=True)
os._exit(0)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits")
def test_vectors_are_written_again_after_a_disk_refused_them(tmp_path: Path) -> None:
    """Chroma's own write may not come back after some that failed, so its folder is opened again."""
    for name in ("moon", "river", "lake"):
        (tmp_path / f"{name}.md").write_text(f"The {name} of the sea.")
    (tmp_path / "refused.py").write_text(REFUSED)
    with WarmProcess([str(tmp_path / "refused.py"), str(tmp_path)]) as process:
        out, err = process.communicate(60)
    told = out.splitlines()
    assert len(told) == 9, out + err
    assert told[0] == "1" and re.search("[Ff]ree some space", told[1]), out
    assert told[2:6] == ["nothing to write"] * 4, out
    assert told[6:] == ["['The moon of the sea.']", "3", "closed"], out


@pytest.mark.parametrize("what", ["a file in its place", "no right to write"])
def test_a_folder_that_cannot_be_written_to_is_told_in_one_line(tmp_path: Path, what: str) -> None:
    place = tmp_path / "place"
    if what == "no right to write":
        if os.name != "posix" or os.geteuid() == 0:
            place = Path("/proc/1/nowhere")  # a superuser may write everywhere else
            if not place.parent.exists():
                pytest.skip("no folder here that refuses a superuser")
        else:
            place.mkdir(mode=0o500)
    else:
        place.write_text("a file")
    settings = make_settings(tmp_path, data_dir=place / "data")
    with pytest.raises(StoreError, match="cannot be written to") as refused:
        Assistant(settings).start()
    assert str(place) in str(refused.value) and "--data-dir" in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


COMMANDS = """
import json, subprocess, sys
from rag.__main__ import main

codes = []
for place, commands in json.loads(sys.argv[1]):
    subprocess.run(["mount", "--bind", place, place], check=True)
    subprocess.run(["mount", "-o", "remount,ro,bind", place], check=True)
    codes.append([main(arguments) for arguments in commands])
print(json.dumps(codes))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a folder read-only")
def test_a_library_on_a_disk_to_be_read_is_refused_and_not_taken_for_damaged(tmp_path: Path) -> None:
    """As on a medium that is protected, or where somebody else started the app: its index alone, then all of it."""
    (tmp_path / "moon.md").write_text("# Moon\n\nThe moon pulls the sea.")
    assert run(tmp_path, "ingest", "moon.md").returncode == 0
    data = tmp_path / "data"
    before = sorted(path.name for path in data.rglob("*"))
    spaces = ["unshare", *(["--mount"] if os.geteuid() == 0 else ["--map-root-user", "--mount"])]
    if subprocess.run([*spaces, "true"], capture_output=True).returncode:
        pytest.skip("no right to mount here")
    ask, ingest = ["ask", "What pulls the sea?"], ["ingest", "moon.md"]
    tried = [(data / "vectors", [ask]), (data, [ask, ingest, ["sources"]])]
    ended = subprocess.run(
        [*spaces, sys.executable, "-c", COMMANDS, json.dumps([(str(place), commands) for place, commands in tried])],
        env={**os.environ, "PYTHONPATH": str(ROOT), "RAG_DATA_DIR": str(data)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert json.loads(ended.stdout) == [[1], [1, 1, 1]], ended.stderr
    lines, places = ended.stderr.splitlines(), [place for place, commands in tried for _ in commands]
    for line, place in zip(lines, places, strict=True):
        assert str(place.resolve()) in line and "cannot be written to" in line
    assert sorted(path.name for path in data.rglob("*")) == before
    assert "Moon" in run(tmp_path, "sources").stdout


@pytest.mark.skipif(sys.platform != "linux", reason="limits a process that runs")
def test_a_disk_that_refuses_under_a_running_app_is_told_at_once_and_taken_up_again(
    start_app: AppStarter, tmp_path: Path
) -> None:
    """No file of the app may be written to for a while: no hang, what was there answers, and no restart is needed."""
    import resource

    (tmp_path / "moon.md").write_text("# Moon\n\nThe moon pulls the sea twice a day.")
    app = start_app("--data-dir", str(tmp_path / "data"), "--source", "moon.md", "--model", "none")
    wait_until(lambda: app.health()["sources"] == 1, 60)
    token = json.loads((tmp_path / "data" / "holder.json").read_text())["token"]
    with httpx.Client(base_url=app.url, headers={"Authorization": f"Bearer {token}"}, timeout=60) as owner:

        def added(name: str) -> dict[str, str]:
            (tmp_path / name).write_text(f"# {name}\n\nThe river of {name} runs to the sea.")
            reply = owner.post("/library", json={"sources": [str(tmp_path / name)]})
            if reply.status_code != 202:
                return {"state": "refused", "reason": reply.json()["error"]}
            wait_until(lambda: not owner.get("/library").json()["busy"], 60)
            (entry,) = (each for each in owner.get("/library").json()["sources"] if each["source"].endswith(name))
            return dict(entry)

        assert added("before.md")["state"] == "ready"
        _, hard = resource.prlimit(app.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(app.process.pid, resource.RLIMIT_FSIZE, (0, hard))
        try:
            for number in range(2):
                told = added(f"during{number}.md")
                assert told["state"] != "ready" and re.search("[Ff]ree some space", told["reason"]), told
                reply = owner.get("/predict", params={"query": "What pulls the sea?"})
                assert reply.status_code == 200 and reply.json(), reply.text
        finally:
            resource.prlimit(app.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        wait_until(lambda: added("after.md")["state"] == "ready", 60)
        owner.post("/library/refresh")
        wait_until(lambda: not owner.get("/library").json()["busy"], 60)
        states = {
            entry["source"].rpartition("/")[2]: entry["state"] for entry in owner.get("/library").json()["sources"]
        }
    assert states["moon.md"] == states["before.md"] == states["after.md"] == "ready", states
    assert start_app.stop(app) == 0
    assert "Traceback" not in "".join(app.output), "".join(app.output)[-3000:]


# -- kill -9, in every kind of change ------------------------------------------------------------------------------

CHANGES = """
import random, sys
from pathlib import Path
from tests.conftest import make_settings
from tests.test_damage import changed
changed(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] or None)
"""


def paper(folder: Path, chunk: int, url: str | None, data: str = "data") -> Settings:
    given = {"database_url": url, "data_dir": folder / data, "sources": (str(folder / "0.md"),)}
    return make_settings(folder, chunk_size=chunk, **given)


def changed(folder: Path, seed: int, url: str | None) -> None:
    """Add, refresh and remove without end; with another size of chunks than before, all of it is indexed anew first."""
    rng = random.Random(seed)
    rag.library.vectors.SYNC_THRESHOLD = (
        10_000 if seed // 5 % 2 else 100
    )  # the graph's files are written again and again
    library = Library(paper(folder, 100 + 20 * (seed // 5 % 2), url))
    print("ready", flush=True)
    library.finish()
    for number in range(10_000):
        path = folder / f"{rng.randrange(5)}.md"
        if rng.random() < 0.25 and str(path) in {item.source for item in library.index.sources}:
            print(f"removing {path.name}", flush=True)
            library.remove(path)
            print(f"removed {path.name}", flush=True)
            continue
        version = f"{seed}-{number}"
        line = f"The moon of {path.name} in version {version} pulls the sea, part"
        path.write_text("\n\n".join(f"{line} {part:03}" for part in range(80)))
        print(f"adding {path.name} {version}", flush=True)
        library.add(path)
        print(f"added {path.name} {version}", flush=True)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_fifty_kills_in_ingest_refresh_remove_and_another_index(tmp_path: Path, kind: str) -> None:
    """On PostgreSQL, one of two processes is killed, and the other one looks."""
    with running_postgres() if kind == "postgresql" else nullcontext() as server:
        fifty_kills(tmp_path, server.database() if server else None)


def fifty_kills(tmp_path: Path, url: str | None) -> None:
    rng = random.Random(9)
    known: dict[str, str] = {}
    doubtful: dict[str, set[str]] = {}
    kills = damaged = 0
    while kills < 50:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", CHANGES, str(tmp_path), str(kills), url or ""]
        child = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        assert child.stdout and child.stdout.readline() == "ready\n"
        timer = threading.Timer(rng.uniform(0.05, 2.5), child.send_signal, [signal.SIGKILL])
        timer.start()
        lines = child.stdout.read().splitlines()
        child.wait(30)
        child.stdout.close()
        assert child.returncode == -signal.SIGKILL
        doubtful = {}
        for line in lines:
            what, name, *version = line.split()
            match what:
                case "adding":
                    doubtful[name] = {known.get(name, ""), *version}
                case "removing":
                    doubtful[name] = {known.get(name, ""), ""}
                case "added":
                    known[name], doubtful = version[0], {}
                case "removed":
                    known[name], doubtful = "", {}
        kills += 1
        library = Library(paper(tmp_path, 100 + 20 * ((kills - 1) // 5 % 2), url, "other" if url else "data"))
        try:
            damaged += bool(library.damage)
            library.finish()
            texts = [
                chunk.page_content
                for item in library.index.sources
                for chunk in library.records.revisions.chunks_of(item.revision)
            ]
            assert url or library.rows() == len(texts), "rows that nobody needs, or that are missing"
            assert len(texts) == len(library.index.words)
            said: dict[str, list[tuple[str, str]]] = {}
            for text in texts:
                for name, version_, part in re.findall(
                    r"moon of (\S+) in version (\S+) pulls the sea, part (\d+)", text
                ):
                    said.setdefault(name, []).append((version_, part))
            for name in {*known, *doubtful, *said}:
                versions = {version_ for version_, _ in said.get(name, ())}
                allowed = doubtful.get(name, {known.get(name, "")})
                assert (versions or {""}) <= allowed and len(versions) <= 1, (kills, name, versions, allowed)
                if versions:
                    parts = {part for _, part in said[name]}
                    assert len(parts) == 80, f"half a document: {name} has {len(parts)}"
                    known[name] = versions.pop()
                else:
                    known[name] = ""
        finally:
            library.close()
    print(
        json.dumps({"kills": kills, "indexes built again": damaged, "sources": len([1 for v in known.values() if v])})
    )
