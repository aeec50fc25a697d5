"""The library in one file and back: whole, beside the running app, and never from a file that was made to harm."""

from __future__ import annotations

import json
import sqlite3
import stat
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from rag.errors import StoreError
from rag.library.backup import Backup, write_backup
from rag.library.database import open_database
from rag.library.records import Record, Records, write_version
from rag.library.schema import VERSION
from rag.library.uploads import Uploads
from tests.commands import MOON, RIVER, run
from tests.conftest import AppStarter, Pages


def keep_upload(data: Path, path: Path) -> str:
    data.mkdir(exist_ok=True)
    database = open_database(data, None)
    source = Uploads(database, data).keep(path, path.name)
    with database.write() as connection:
        text = path.read_text()
        record = Record(source, path.name, [(text, {"source": source, "title": path.name})], private=True)
        write_version(connection, record, "current")
    database.close()
    return source


def test_a_library_goes_into_a_file_and_into_another_folder(tmp_path: Path, pages: Pages) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir(), there.mkdir()
    pages.pages["/moon"] = f"<title>Moon</title><h2 id='t'>Tides</h2><p>{MOON}</p>"
    (here / "river.md").write_text(f"# River\n\n{RIVER}", encoding="utf-8")
    (here / "notes.md").write_text("# Notes\n\nA cheese from the valley.", encoding="utf-8")
    german = (
        "Über dem Fluß liegt die Mühle, und der Müller öffnet jeden Morgen die Schleuse, damit das Wasser läuft. " * 9
    )
    (here / "mill.txt").write_text(german, encoding="cp1252")
    source = keep_upload(here / "data", here / "notes.md")
    assert run(here, "ingest", f"{pages.url}/moon", "river.md", "mill.txt").returncode == 0
    told = run(here, "backup", str(tmp_path / "library.sqlite"))
    assert (told.returncode, told.stdout[:9]) == (0, "4 sources"), told.stderr
    if sys.platform != "win32":
        assert stat.S_IMODE((tmp_path / "library.sqlite").stat().st_mode) == 0o600
    again = run(here, "backup", str(tmp_path / "library.sqlite"))
    assert again.returncode == 1 and "is there already" in again.stderr
    pages.pages.clear()  # what is brought back is not fetched
    (here / "river.md").unlink()
    done = run(there, "restore", str(tmp_path / "library.sqlite"))
    assert done.returncode == 0, done.stderr
    before = {entry["title"]: entry for entry in json.loads(run(here, "sources", "--json").stdout)}
    after = {entry["title"]: entry for entry in json.loads(run(there, "sources", "--json").stdout)}
    assert set(after) == set(before) == {"Moon", "River", "notes.md", "mill.txt"}
    for title, entry in after.items():
        assert entry["state"] == "ready"
        for name in ("chunks", "size", "language", "notes"):
            assert entry[name] == before[title][name]
    assert after["mill.txt"]["language"] == "de" and after["mill.txt"]["notes"]
    assert after["notes.md"]["source"] == source
    database = open_database(there / "data", None)
    assert b"".join(Uploads(database, there).parts(source)) == (here / "notes.md").read_bytes()
    database.close()
    assert run(there, "restore", str(tmp_path / "library.sqlite")).returncode == 0  # once more changes nothing
    assert len(json.loads(run(there, "sources", "--json").stdout)) == 4


def test_while_the_app_runs(tmp_path: Path, start_app: AppStarter) -> None:
    app = start_app("--data-dir", str(tmp_path / "data"), "--source", "bundled:guide.md", "--model", "none")
    chunks = app.health()["chunks"]
    told = run(tmp_path, "backup", "library.backup")
    assert told.returncode == 0, told.stderr
    assert run(tmp_path, "remove", "guide.md").returncode == 0
    assert app.health()["chunks"] == 0
    done = run(tmp_path, "restore", "library.backup")
    assert done.returncode == 0, done.stderr
    assert app.health()["chunks"] == chunks
    nothing = run(tmp_path, "restore", "nothing.backup")
    assert nothing.returncode == 1 and "There is no file" in nothing.stderr


@pytest.fixture
def good(tmp_path: Path) -> Path:
    (tmp_path / "notes.md").write_text("text")
    keep_upload(tmp_path / "data", tmp_path / "notes.md")
    database = open_database(tmp_path / "data", None)
    with database.write() as connection:
        write_version(connection, Record("https://example.com/a", "A", [("Some text.", {"page": 1})]), "current")
    assert write_backup(database, tmp_path / "good") == 2
    database.close()
    return tmp_path / "good"


def sql(*statements: str) -> Callable[[Path], None]:
    def run_all(path: Path) -> None:
        with sqlite3.connect(path) as connection:
            for statement in statements:
                connection.execute(statement)

    return run_all


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


ODD: list[tuple[str, Callable[[Path], None], str]] = [
    ("text", lambda path: path.write_text("text" * 9000) and None, "not a backup, or it is damaged"),
    ("empty", lambda path: path.write_text("") and None, "not a backup, or it is damaged"),
    ("another database", sql("DROP TABLE schema_version"), "not a backup"),
    ("cut", cut, "damaged"),
    ("a later version", sql(f"UPDATE schema_version SET version = {VERSION + 1}"), f"of version {VERSION + 1}"),
    ("no version", sql("DELETE FROM schema_version"), "damaged"),
    ("a trigger", sql("CREATE TRIGGER t AFTER INSERT ON work BEGIN SELECT 1; END"), "views or triggers"),
    ("a view", sql("DROP TABLE sources", "CREATE VIEW sources AS SELECT 1 AS id"), "views or triggers"),
    ("no documents", sql("DELETE FROM documents"), "without text"),
    ("bytes for a text", sql("UPDATE documents SET text = x'00'"), "without text"),
    ("bytes for a source", sql("UPDATE sources SET source = x'00' WHERE source LIKE 'https%'"), "without text"),
    ("a list for metadata", sql("UPDATE documents SET metadata = '[1]'"), "without metadata"),
    ("deep metadata", sql(f"UPDATE documents SET metadata = '{'[' * 200_000}'"), "damaged"),
    ("words for a size", sql("UPDATE sources SET size = 'large'"), "of other types"),
    ("words for a date", sql("UPDATE sources SET loaded_at = 'now'"), "damaged"),
]


@pytest.mark.parametrize(("change", "said"), [case[1:] for case in ODD], ids=[case[0] for case in ODD])
def test_a_damaged_or_hostile_file_is_refused(change: Callable[[Path], None], said: str, good: Path) -> None:
    Backup(good)
    change(good)
    with pytest.raises(StoreError) as refused:
        Backup(good)
    assert said in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_a_backup_of_an_earlier_version_is_told(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "library.zip", "w") as archive:
        archive.writestr("manifest.json", "{}")
    with pytest.raises(StoreError, match=r"before 0\.2\. Restore it with that version, then update\."):
        Backup(tmp_path / "library.zip")


def test_nobody_is_trusted_because_a_backup_says_so(good: Path, tmp_path: Path) -> None:
    """A page of a private network is not fetched again for a stranger's file, and no file's name leads anywhere."""
    sql(
        "UPDATE sources SET source = 'http://127.0.0.1:9/x', private = 1 WHERE source LIKE 'https%'",
        "PRAGMA foreign_keys = OFF",
        "UPDATE files SET source = 'upload:0123456789abcdef/..'",
        "UPDATE file_parts SET source = 'upload:0123456789abcdef/..'",
        "UPDATE sources SET source = 'upload:0123456789abcdef/..' WHERE source LIKE 'upload%'",
    )(good)
    (tmp_path / "other").mkdir()
    database = open_database(tmp_path / "other", None)
    found = list(Backup(good).records(Records(database), tmp_path))
    assert [record.private for record in found] == [False] * 2
    assert not Uploads(database, tmp_path).has("upload:0123456789abcdef/..")
    database.close()
