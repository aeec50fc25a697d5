"""A data folder as versions before 0.2 left it becomes the database, and nothing is fetched or embedded again."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import chromadb
import pytest

from rag.assistant import Assistant
from rag.library.chroma import chroma_settings
from rag.library.database import open_database
from rag.library.records import Record, Records
from rag.library.revisions import Made
from rag.library.splitter import split_documents
from rag.library.takeover import KEPT, old_collection, old_revision, take_over
from rag.settings import Settings
from tests.conftest import PaperEmbeddings, make_settings, wait_until
from tests.postgres import running_postgres
from tests.stores import CHEESE, MODEL, MOON, RIVER, loaded_of

MADE = Made(MODEL, 100, 20)


class OldFolder:
    """Writes a data folder in the old layout: texts, copies of files, small states, and rows in Chroma."""

    def __init__(self, path: Path, settings: Settings) -> None:
        self.path, self._settings = path, settings
        (path / "texts").mkdir(parents=True)
        client = chromadb.PersistentClient(str(path / "chroma"), chroma_settings())
        self._rows = client.get_or_create_collection(old_collection(MADE, ""), embedding_function=None)
        self._client = client
        self.state("index", {"answers": MADE, "digest": "", "configured": MADE, "building": None})

    def state(self, name: str, told: dict[str, Any]) -> None:
        (self.path / f"{name}.json").write_text(json.dumps(told))

    def text(self, source: str, *paragraphs: str, suffix: str = ".json", rows: bool = True) -> Path:
        """A source's text and, if `rows`, its chunks. Returns the text's file."""
        text = "\n\n".join(paragraphs)
        record = Record(source, Path(source).name, [(text, {"source": source, "title": Path(source).name})], 1.0)
        path = self.path / "texts" / (hashlib.sha256(source.encode()).hexdigest()[:24] + suffix)
        path.write_text(json.dumps(asdict(record)))
        if rows:
            chunks = split_documents(record, MADE, None, [])
            revision, paper = old_revision(record, MADE), PaperEmbeddings()
            for number, chunk in enumerate(chunks):
                chunk.metadata |= {"revision": revision, "number": number} | (
                    {"last": True} if number == len(chunks) - 1 else {}
                )
            self._rows.upsert(
                ids=[f"{revision}-{number:06d}" for number in range(len(chunks))],
                embeddings=paper.embed_documents([chunk.page_content for chunk in chunks]),  # type: ignore[arg-type]
                documents=[chunk.page_content for chunk in chunks],
                metadatas=[chunk.metadata for chunk in chunks],
            )
        return path

    def close(self) -> None:
        self._client.close()  # type: ignore[attr-defined]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(tmp_path, embeddings=MODEL, chunk_size=100)


@pytest.fixture
def old(settings: Settings) -> OldFolder:
    return OldFolder(settings.data_dir, settings)


def taken_over(settings: Settings) -> tuple[Assistant, PaperEmbeddings]:
    """The app on the folder, without its page, once nothing is under way."""
    embeddings = PaperEmbeddings()
    made = Assistant(settings, embeddings=embeddings)
    made.start(chat=False)
    wait_until(
        lambda: made.library and not made.library.busy and not made.service.index.vectors.filling,  # type: ignore[union-attr]
        30,
        lambda: str(made.status()),
    )
    return made, embeddings


def test_nothing_is_lost_fetched_or_embedded_again(old: OldFolder, settings: Settings) -> None:
    upload = settings.data_dir / "files" / "0123456789abcdef" / "cheese.txt"
    upload.parent.mkdir(parents=True)
    upload.write_text(CHEESE)
    old.text("http://127.0.0.1:9/a", MOON, RIVER)
    old.text("http://127.0.0.1:9/b", *(f"{RIVER} {number}" for number in range(40)))
    old.text(str(upload), CHEESE)
    failed = {"http://127.0.0.1:9/gone": {"private": True, "reason": "status 404"}}
    old.state("library", {"wanted": failed, "removed": ["https://example.com/"]})
    old.close()
    assistant, embeddings = taken_over(settings)
    try:
        assert embeddings.embedded == []
        assert assistant.library and assistant.service.index
        entries = {entry.source: (entry.state, entry.chunks, entry.reason) for entry in assistant.library.entries()}
        assert entries == {
            "http://127.0.0.1:9/a": ("ready", 2, ""),
            "http://127.0.0.1:9/b": ("ready", 40, ""),
            "upload:0123456789abcdef/cheese.txt": ("ready", 1, ""),
            "http://127.0.0.1:9/gone": ("failed", 0, "status 404"),
        }
        assert assistant.library.queue.removed() == {"https://example.com/"}
        assert b"".join(assistant.service.uploads.parts("upload:0123456789abcdef/cheese.txt")) == CHEESE.encode()
        assert not assistant.service.index.vectors.filling
        assert "taken over" in assistant.notes[-1] and KEPT in assistant.notes[-1]
        assert not (settings.data_dir / "texts").exists()
    finally:
        assistant.close()
    again, embeddings = taken_over(settings)
    try:
        assert (len(again.sources), embeddings.embedded, again.notes) == (3, [], [])
    finally:
        again.close()


@pytest.mark.parametrize("damage", ["gone", "garbage"])
def test_an_old_index_that_cannot_be_read_is_embedded_again(old: OldFolder, settings: Settings, damage: str) -> None:
    old.text("http://127.0.0.1:9/a", MOON, RIVER)
    old.close()
    if damage == "gone":
        shutil.rmtree(settings.data_dir / "chroma")
    else:
        (settings.data_dir / "chroma" / "chroma.sqlite3").write_bytes(b"x" * 9000)
    assistant, embeddings = taken_over(settings)
    try:
        assert [(item.source, item.chunks) for item in assistant.sources] == [("http://127.0.0.1:9/a", 2)]
        assert len(embeddings.embedded) == 2
        assert any("embedded again" in note for note in assistant.notes) == (damage == "garbage")
    finally:
        assistant.close()


def test_what_was_not_indexed_whole_is_finished_without_being_fetched(old: OldFolder, settings: Settings) -> None:
    old.text("http://127.0.0.1:9/a", MOON)
    old.text("http://127.0.0.1:9/a", RIVER, suffix=".new.json", rows=False)
    old.text("http://127.0.0.1:9/b", MOON, CHEESE, rows=False)
    old.close()
    assistant, embeddings = taken_over(settings)
    try:
        assert {item.source: item.chunks for item in assistant.sources} == {
            "http://127.0.0.1:9/a": 1,
            "http://127.0.0.1:9/b": 2,
        }
        record = assistant.service.records.read("http://127.0.0.1:9/a")
        assert record and record.documents[0][0] == RIVER
        assert len(embeddings.embedded) == 3 and assistant.service.failed == {}
    finally:
        assistant.close()


def test_a_version_that_was_whole_and_not_seen_yet_is_not_seen_beside_the_other(
    old: OldFolder, settings: Settings
) -> None:
    """The old app wrote all rows of a version before it let the version take over."""
    old.text("http://127.0.0.1:9/a", MOON)
    old.text("http://127.0.0.1:9/a", CHEESE, suffix=".new.json")
    old.close()
    database = open_database(settings.data_dir, None)
    records = Records(database)
    take_over(settings.data_dir, records, lambda *_: None)
    index, _ = records.revisions.index_of(MADE, "")
    (seen,) = records.revisions.changes(index, -1).added
    chunks = records.revisions.chunks_of(seen.revision)
    assert [chunk.page_content for chunk in chunks] == [MOON.strip()]
    assert loaded_of(records) == ["http://127.0.0.1:9/a"]
    database.close()


def test_a_second_folder_is_taken_over_into_the_same_database(
    old: OldFolder, settings: Settings, tmp_path: Path
) -> None:
    """As of two machines that share PostgreSQL from now on. What both have is as the first one had it."""
    other = OldFolder(tmp_path / "other", settings)
    old.text("http://127.0.0.1:9/a", MOON)
    other.text("http://127.0.0.1:9/a", CHEESE)
    other.text("http://127.0.0.1:9/b", RIVER)
    with running_postgres() as postgres:
        database = open_database(tmp_path, postgres.database())
        records = Records(database)
        for folder in (old, other):
            folder.close()
            take_over(folder.path, records, lambda *_: None)
            assert not (folder.path / "texts").exists()
        index, _ = records.revisions.index_of(MADE, "")
        seen = {item.source: item.chunks for item in records.revisions.changes(index, -1).added}
        assert seen == {"http://127.0.0.1:9/a": 1, "http://127.0.0.1:9/b": 1}
        record = records.read("http://127.0.0.1:9/a")
        assert record and record.documents[0][0] == MOON
        database.close()


def test_a_damaged_text_is_named_and_kept(old: OldFolder, settings: Settings) -> None:
    old.text("http://127.0.0.1:9/a", MOON)
    path = old.text("http://127.0.0.1:9/b", RIVER)
    old.close()
    path.write_text('{"source": "http')
    (settings.data_dir / "library.json").write_text("[")
    assistant, _ = taken_over(settings)
    try:
        assert [item.source for item in assistant.sources] == ["http://127.0.0.1:9/a"]
        assert any(path.name in note and KEPT in note for note in assistant.notes)
        assert any("library.json" in note for note in assistant.notes)
        assert (settings.data_dir / KEPT / "texts" / path.name).exists()
    finally:
        assistant.close()


def test_an_end_between_the_two_steps_repeats_nothing(old: OldFolder, settings: Settings) -> None:
    old.text("http://127.0.0.1:9/a", MOON)
    old.close()
    assistant, _ = taken_over(settings)
    assert assistant.library
    assistant.library.remove(["http://127.0.0.1:9/a"])
    assistant.close()
    for each in (settings.data_dir / KEPT).iterdir():  # as if it had ended before they were moved
        shutil.move(each, settings.data_dir / each.name)
    again, _ = taken_over(settings)
    try:
        assert again.sources == [], "what was removed has come back"
        assert not (settings.data_dir / "texts").exists()
    finally:
        again.close()
