"""Folders that are sources: their files follow the disk, and what is passed over is named."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from rag.assistant import Assistant
from rag.library.folders import Folders, Known
from rag.library.library import Library
from rag.page.library import show_folders, show_rows
from tests.commands import run
from tests.conftest import AppStarter, Pages, PaperEmbeddings, make_settings, wait_until
from tests.stores import Library as Parts


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "notes"
    made.mkdir()
    (made / "moon.md").write_text("# Moon\n\nThe moon pulls the sea.")
    (made / "song.mp3").write_bytes(b"ID3\0\0")
    (made / "old.doc").write_bytes(b"text")
    (made / ".hidden.md").write_text("# Hidden")
    return made


@pytest.fixture
def assistant(tmp_path: Path) -> Iterator[Assistant]:
    made = opened(tmp_path)
    yield made
    made.close()


def opened(tmp_path: Path, **given: Any) -> Assistant:
    made = Assistant(make_settings(tmp_path, embeddings="openai:paper", **given), embeddings=PaperEmbeddings())
    made.start(chat=False, sources=True)
    wait_until(lambda: made.library is not None, 60, lambda: str(made.status()))
    return made


def library_of(assistant: Assistant) -> Library:
    assert assistant.library
    return assistant.library


def files(assistant: Assistant) -> set[str]:
    """The names of the indexed files."""
    return {
        Path(entry.source).name
        for entry in library_of(assistant).entries()
        if entry.state == "ready" and not entry.source.startswith("bundled:")
    }


def text(assistant: Assistant, name: str) -> str:
    assert assistant.service.index
    (source,) = (item.source for item in assistant.service.index.sources if Path(item.source).name == name)
    record = assistant.service.records.read(source)
    assert record
    return record.documents[0][0]


def test_new_changed_and_removed_files_are_seen_within_seconds(assistant: Assistant, folder: Path) -> None:
    library_of(assistant).add([str(folder)], private=True)
    wait_until(lambda: files(assistant) == {"moon.md"}, 60)
    (folder / "deep").mkdir()
    (folder / "deep" / "river.md").write_text("# River\n\nThe river runs.")
    wait_until(lambda: files(assistant) == {"moon.md", "river.md"}, 60)
    (folder / "moon.md").write_text("# Moon\n\nThe moon is of cheese.")
    wait_until(lambda: "cheese" in text(assistant, "moon.md"), 60)
    (folder / "deep" / "river.md").unlink()
    wait_until(lambda: files(assistant) == {"moon.md"}, 60)


def test_a_change_is_not_lost_while_another_folder_is_added(tmp_path: Path, folder: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "river.md").write_text("# River\n\nThe river runs.")
    made = Assistant(make_settings(tmp_path, embeddings="openai:paper"), embeddings=PaperEmbeddings())
    made.start(chat=False)  # nothing watches the folders
    try:
        wait_until(lambda: made.library is not None, 60, lambda: str(made.status()))
        library_of(made).add([str(folder)], private=True)
        wait_until(lambda: files(made) == {"moon.md"} and not library_of(made).busy, 60)
        (folder / "moon.md").write_text("# Moon\n\nThe moon is of cheese.")
        library_of(made).add([str(other)], private=True)
        assert str(folder / "moon.md") in library_of(made).look_at_folders()
    finally:
        made.close()


def test_what_is_passed_over_is_named_with_the_reason(assistant: Assistant, folder: Path) -> None:
    library_of(assistant).add([str(folder)], private=True)
    (told,) = library_of(assistant).look()["folders"]
    assert (told["folder"], told["files"], told["problem"]) == (str(folder), 1, "")
    reasons = {Path(item["file"]).name: item["reason"] for item in told["passed_over"]}
    assert reasons == {
        "song.mp3": "files of type .mp3 cannot be read",
        "old.doc": "files of type .doc cannot be read; save it as .docx",
    }
    shown = show_folders([told], True)
    assert "2 files passed over" in shown and "old.doc: files of type" in shown
    assert show_folders([told], False) == ""


def test_a_removed_file_stays_away_and_a_removed_folder_is_watched_no_more(assistant: Assistant, folder: Path) -> None:
    library = library_of(assistant)
    (folder / "river.md").write_text("# River\n\nThe river runs.")
    library.add([str(folder)], private=True)
    wait_until(lambda: files(assistant) == {"moon.md", "river.md"}, 60)
    library.remove([str(folder / "moon.md")])
    assert library.look_at_folders() == []
    library.refresh()
    wait_until(lambda: not library.busy, 60)
    assert files(assistant) == {"river.md"}
    library.add([str(folder / "moon.md")], private=True)
    wait_until(lambda: files(assistant) == {"moon.md", "river.md"}, 60)
    library.remove([str(folder)])
    assert (files(assistant), library.look()["folders"]) == (set(), [])
    assert library.look_at_folders() == []


@pytest.mark.parametrize("named", [True, False])
def test_changes_while_the_app_was_off_are_found_at_the_next_start(tmp_path: Path, folder: Path, named: bool) -> None:
    given = {"sources": (str(folder),)} if named else {}
    first = opened(tmp_path, **given)
    if not named:
        library_of(first).add([str(folder)], private=True)
    wait_until(lambda: files(first) == {"moon.md"}, 60)
    first.close()
    (folder / "moon.md").write_text("# Moon\n\nThe moon is of cheese.")
    (folder / "river.md").write_text("# River\n\nThe river runs.")
    second = opened(tmp_path, **given)
    try:
        wait_until(lambda: files(second) == {"moon.md", "river.md"}, 60)
        wait_until(lambda: "cheese" in text(second, "moon.md"), 60)
    finally:
        second.close()


def test_a_disk_that_is_not_mounted_loses_nothing(tmp_path: Path, folder: Path) -> None:
    parts = Parts(make_settings(tmp_path))
    folders = Folders(parts.database)
    folders.keep(str(folder))
    known = {str(folder / "moon.md"): Known((folder / "moon.md").stat().st_size, time.time() + 60)}
    assert folders.compare(known, set()).load == []
    for path in folder.iterdir():
        path.unlink()
    folders.paths[str(folder)] += 1  # the device that it was on before
    assert folders.compare(known, set()).gone == []
    assert "is its disk mounted?" in folders.look()[0]["problem"]
    folder.rename(tmp_path / "away")
    assert folders.compare(known, set()).gone == []
    assert "No such file" in folders.look()[0]["problem"]
    (tmp_path / "away").rename(folder)
    folders.keep(str(folder))
    assert folders.compare(known, set()).gone == [str(folder / "moon.md")]
    assert folders.look()[0]["problem"] == ""
    parts.close()


def test_web_pages_are_looked_at_again_when_they_are_due(assistant: Assistant, pages: Pages) -> None:
    library = library_of(assistant)
    pages.pages["/moon"] = "<title>Moon</title><p>The moon pulls the sea.</p>"
    library.add([f"{pages.url}/moon"], private=True)
    wait_until(lambda: not library.busy and files(assistant) == {"moon"}, 60)
    assert library.look_at_web(1.0) == []
    assert library.look_at_web(0.0) == [f"{pages.url}/moon"]


def test_files_of_one_name_from_two_folders_are_told_apart(assistant: Assistant, tmp_path: Path) -> None:
    for name in ("north", "south"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "prices.md").write_text(f"# Prices\n\nA plan in the {name}.")
    library_of(assistant).add([str(tmp_path / "north"), str(tmp_path / "south")], private=True)
    wait_until(lambda: len(files(assistant)) == 1 and not library_of(assistant).busy, 60)
    shown = "".join(show_rows(library_of(assistant).entries(), True)[0])
    assert os.path.join("north", "prices.md") in shown.replace(str(tmp_path), "")
    assert "<small class='where'>north/prices.md</small>" in shown
    assert "<small class='where'>south/prices.md</small>" in shown


def test_the_command_line_and_the_app_together(tmp_path: Path, folder: Path, start_app: AppStarter) -> None:
    done = run(tmp_path, "ingest", str(folder))
    assert done.returncode == 0 and "passed over: " in done.stdout and "song.mp3" in done.stdout
    listed = run(tmp_path, "sources").stdout
    assert f"folder   {folder}: 1 file\n" in listed
    (folder / "river.md").write_text("# River\n\nThe zebra drinks from the river.")
    app = start_app("--data-dir", str(tmp_path / "data"), "--source", "bundled:guide.md", "--model", "none")
    token = (tmp_path / "data" / "holder.json").read_text().partition('"token": "')[2].partition('"')[0]
    owner = httpx.Client(base_url=app.url, headers={"Authorization": f"Bearer {token}"}, timeout=60)

    def passages(question: str) -> str:
        told = owner.get("/predict", params={"query": question, "sources": "true"}).json()
        return " ".join(source["text"] for source in told.get("sources", ()))

    wait_until(lambda: "zebra drinks" in passages("What does the zebra drink from?"), 60)
    (folder / "river.md").unlink()
    wait_until(lambda: "zebra drinks" not in passages("What does the zebra drink from?"), 60)
    owner.close()
