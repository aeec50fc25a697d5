"""The library in one file and back: whole, beside the running app, and never from a file that was made to harm."""

# ruff: noqa: E501  # the table
from __future__ import annotations

import hashlib
import io
import json
import stat
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rag.errors import StoreError
from rag.library.backup import Backup, write_backup
from rag.library.store import DataFolder
from tests.commands import MOON, RIVER, run
from tests.conftest import AppStarter, Pages

Members = dict[str, Any]


def test_a_library_goes_into_a_file_and_into_another_folder(tmp_path: Path, pages: Pages) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir(), there.mkdir()
    pages.pages["/moon"] = f"<title>Moon</title><h2 id='t'>Tides</h2><p>{MOON}</p>"
    (here / "river.md").write_text(f"# River\n\n{RIVER}", encoding="utf-8")
    (here / "notes.md").write_text("# Notes\n\nA cheese from the valley.", encoding="utf-8")
    folder = DataFolder(here / "data")
    folder.acquire()
    kept = folder.keep_file(here / "notes.md", "notes.md")
    folder.release()
    assert run(here, "ingest", f"{pages.url}/moon", "river.md", kept).returncode == 0
    told = run(here, "backup", str(tmp_path / "library.zip"))
    assert (told.returncode, told.stdout[:9]) == (0, "3 sources"), told.stderr
    if sys.platform != "win32":
        assert stat.S_IMODE((tmp_path / "library.zip").stat().st_mode) == 0o600
    again = run(here, "backup", str(tmp_path / "library.zip"))
    assert again.returncode == 1 and "is there already" in again.stderr
    pages.pages.clear()  # what is brought back is not fetched
    (here / "river.md").unlink()
    done = run(there, "restore", str(tmp_path / "library.zip"))
    assert done.returncode == 0, done.stderr
    before = {entry["title"]: entry for entry in json.loads(run(here, "sources", "--json").stdout)}
    after = {entry["title"]: entry for entry in json.loads(run(there, "sources", "--json").stdout)}
    assert set(after) == set(before) == {"Moon", "River", "Notes"}
    for title, entry in after.items():
        assert entry["state"] == "ready"
        assert (entry["chunks"], entry["size"]) == (before[title]["chunks"], before[title]["size"])
    moved = Path(after["Notes"]["source"])
    assert moved.is_relative_to(there / "data") and moved.read_text() == (here / "notes.md").read_text()
    assert run(there, "restore", str(tmp_path / "library.zip")).returncode == 0  # once more changes nothing
    assert len(json.loads(run(there, "sources", "--json").stdout)) == 3


def test_while_the_app_runs(tmp_path: Path, start_app: AppStarter) -> None:
    app = start_app("--data-dir", str(tmp_path / "data"), "--source", "bundled:guide.md")
    chunks = app.health()["chunks"]
    told = run(tmp_path, "backup", "library.zip")
    assert told.returncode == 0, told.stderr
    assert run(tmp_path, "remove", "guide.md").returncode == 0
    assert app.health()["chunks"] == 0
    done = run(tmp_path, "restore", "library.zip")
    assert done.returncode == 0, done.stderr
    assert app.health()["chunks"] == chunks
    nothing = run(tmp_path, "restore", "nothing.zip")
    assert nothing.returncode == 1 and "There is no file" in nothing.stderr


@pytest.fixture
def good(tmp_path: Path) -> Path:
    folder = DataFolder(tmp_path / "data")
    folder.acquire()
    (tmp_path / "notes.md").write_text("text")
    kept = folder.keep_file(tmp_path / "notes.md", "notes.md")
    from rag.library.store import Record

    for source in (kept, "https://example.com/a"):
        folder.keep(Record(source, "A title", [("Some text.", {"source": source})]))
    folder.release()
    assert write_backup(folder, tmp_path / "good.zip") == 2
    return tmp_path / "good.zip"


def members_of(path: Path) -> Members:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(members: Members, *, sign: bool = True) -> bytes:
    """An archive of these members; its manifest names them all, as one does that is made to harm."""
    if sign:
        digests = {name: hashlib.sha256(data).hexdigest() for name, data in members.items() if name != "manifest.json"}
        members = {**members, "manifest.json": json.dumps({"format": 1, "members": digests}).encode()}
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return held.getvalue()


def record_of(**given: Any) -> bytes:
    return json.dumps({"source": "https://x.test/", "title": "x", "documents": [["text", {}]], **given}).encode()


ODD: list[tuple[str, Callable[[Members], bytes], str]] = [
    ("no zip", lambda _: b"text", "not a backup, or it is damaged"),
    ("empty", lambda _: b"", "not a backup"),
    ("another zip", lambda _: packed({"a.txt": b"x"}, sign=False), "no manifest"),
    ("cut", lambda all_: packed(all_)[:-40], "not a backup, or it is damaged"),
    ("a changed text", lambda all_: packed({**all_, "texts/000000.json": record_of()}, sign=False), "not as it was written"),
    ("a text that is missing", lambda all_: packed({n: d for n, d in all_.items() if n != "texts/000001.json"}, sign=False), "members are not those"),
    ("a later format", lambda all_: packed({**all_, "manifest.json": b'{"format": 2, "members": {}}'}, sign=False), "of format 2"),
    ("a manifest of other shape", lambda all_: packed({**all_, "manifest.json": b"[1]"}, sign=False), "damaged"),
    ("a manifest that is deep", lambda all_: packed({**all_, "manifest.json": b"[" * 200_000}, sign=False), "damaged"),
    ("climbing out", lambda all_: packed({**all_, "../../evil.json": b"{}"}), "is in it"),
    ("climbing out of files", lambda all_: packed({**all_, "files/../../evil": b"x"}), "is in it"),
    ("climbing by name", lambda all_: packed({**all_, "files/0123456789abcdef/..": b"x"}), "is in it"),
    ("an absolute path", lambda all_: packed({**all_, "/etc/cron.d/evil": b"x"}), "is in it"),
    ("a drive", lambda all_: packed({**all_, "files/0123456789abcdef/C:x": b"x"}), "is in it"),
    ("a backslash", lambda all_: packed({**all_, "files/0123456789abcdef/..\\..\\x": b"x"}), "is in it"),
    ("a lock", lambda all_: packed({**all_, "holder.json": b"{}"}), "is in it"),
    ("a bomb", lambda all_: packed({**all_, "files/0123456789abcdef/b.txt": b"\0" * 400_000_000}), "zip bomb"),
    ("no text", lambda all_: packed({**all_, "texts/000000.json": record_of(documents=[])}), "damaged"),
    ("a number for a text", lambda all_: packed({**all_, "texts/000000.json": record_of(documents=[[5, {}]])}), "damaged"),
    ("a list for a source", lambda all_: packed({**all_, "texts/000000.json": record_of(source=["x"])}), "damaged"),
    ("a text that is deep", lambda all_: packed({**all_, "texts/000000.json": b"[" * 200_000}), "damaged"),
]  # fmt: skip


@pytest.mark.parametrize(("made", "said"), [case[1:] for case in ODD], ids=[case[0] for case in ODD])
def test_a_damaged_or_hostile_file_is_refused(
    made: Callable[[Members], bytes], said: str, good: Path, tmp_path: Path
) -> None:
    Backup(good)
    (tmp_path / "odd.zip").write_bytes(made(members_of(good)))
    with pytest.raises(StoreError) as refused:
        Backup(tmp_path / "odd.zip")
    assert said in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_is_there_twice_is_refused(good: Path) -> None:
    with zipfile.ZipFile(good, "a") as archive:
        archive.writestr("texts/000000.json", record_of())
    with pytest.raises(StoreError, match="twice"):
        Backup(good)


def test_nobody_is_trusted_because_a_backup_says_so(good: Path, tmp_path: Path) -> None:
    """A page of a private network is not fetched again for a stranger's file, and no source reaches out of the folder."""
    folder = DataFolder(tmp_path / "other")
    folder.acquire()
    data = tmp_path / "other"
    members = members_of(good)
    members["texts/000000.json"] = record_of(source="http://127.0.0.1:9/x", private=True)
    members["texts/000001.json"] = record_of(source="files/0123456789abcdef/../../x")
    members["texts/000002.json"] = record_of(source=str(data / "files" / ".." / "x"))
    (tmp_path / "odd.zip").write_bytes(packed(members))
    records = list(Backup(tmp_path / "odd.zip").records(folder))
    assert [record.private for record in records] == [False] * 3
    for record in records:
        assert not folder.keeps(record.source)
        folder.keep(record)
        folder.remove(record.source)
    assert (data / "lock").exists() and (data / "texts").is_dir()
    folder.release()
