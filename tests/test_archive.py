"""Archives of documents: each file a document, what cannot be read named, and nothing without end."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from langchain_core.documents import Document

from rag.settings import Settings
from rag.sources.formats import MIB, MOST_INSIDE
from rag.sources.loader import expand_source, load_source
from tests.files import check, pdf, reason, word, zipped


def read(data: bytes, tmp_path: Path, settings: Settings, name: str = "docs.zip") -> list[Document]:
    (tmp_path / name).write_bytes(data)
    loaded = load_source(str(tmp_path / name), settings, private=True)
    assert loaded is not None and loaded.kind == "archive" and loaded.title == name
    for document in loaded.documents:
        check(document)
    return loaded.documents


def test_members_are_documents(tmp_path: Path, settings: Settings) -> None:
    documents = read(
        zipped(
            {
                "b.md": "# B\n\nText of b.",
                "in/a.txt": "Text of a.",
                "word/letter.docx": word("Dear Ann,"),
                "two.pdf": pdf("First.", "Second."),
                "__MACOSX/._b.md": "x",
                ".hidden.md": "x",
                "prog.exe": "MZ",
                "bad.txt": bytes(range(256)) * 40,
                "empty.md": "",
                "README": "Read it.",
            }
        ),
        tmp_path,
        settings,
    )
    assert [(item.metadata["title"], item.metadata.get("page")) for item in documents] == [
        *(("docs.zip/README", None), ("docs.zip/b.md", None), ("docs.zip/in/a.txt", None)),
        *(("docs.zip/two.pdf", 1), ("docs.zip/two.pdf", 2), ("docs.zip/word/letter.docx", None)),
    ]
    assert documents[0].metadata["notes"] == [
        "word/letter.docx: 1 table",
        "left out: bad.txt (it is named .txt but holds binary data, not text)",
        "left out: empty.md (empty)",
        "left out: prog.exe (its type cannot be read)",
    ]
    assert {item.metadata["source"] for item in documents} == {str(tmp_path / "docs.zip")}
    assert str(tmp_path / "docs.zip") in expand_source(str(tmp_path))


def tarred(members: dict[str, bytes], *, link: str = "") -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as tar:
        for name, data in members.items():
            item = tarfile.TarInfo(name)
            item.size = len(data)
            tar.addfile(item, io.BytesIO(data))
        if link:
            item = tarfile.TarInfo(link)
            item.type, item.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(item)
    return held.getvalue()


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        *(("docs.tar", bytes), ("docs.tar.gz", gzip.compress), ("docs.tgz", gzip.compress)),
        *(("docs.tar.bz2", bz2.compress), ("docs.TAR.XZ", lzma.compress)),
    ],
)
def test_members_of_a_tar_are_documents(
    name: str, pack: Callable[[bytes], bytes], tmp_path: Path, settings: Settings
) -> None:
    members = {"in/b.md": b"# B\n\nText of b.", "letter.docx": word("Dear Ann,"), ".git/a.md": b"x", "prog.exe": b"MZ"}
    documents = read(pack(tarred(members, link="key.txt")), tmp_path, settings, name)
    assert [item.metadata["title"] for item in documents] == [f"{name}/in/b.md", f"{name}/letter.docx"]
    assert "left out: key.txt (a link)" in documents[0].metadata["notes"]
    assert "left out: prog.exe (its type cannot be read)" in documents[0].metadata["notes"]
    assert str(tmp_path / name) in expand_source(str(tmp_path))


def test_a_packed_file_is_read_by_the_name_within(tmp_path: Path, settings: Settings) -> None:
    (document,) = read(gzip.compress(b"Name,Age\nAnn,41\nBob,12\n"), tmp_path, settings, "people.csv.gz")
    assert document.metadata["title"] == "people.csv.gz/people.csv"
    assert document.page_content.startswith("Name: Ann | Age: 41")
    (document,) = read(gzip.compress(b"10:00 started\n10:01 stopped\n"), tmp_path, settings, "app.log.1.gz")
    assert document.page_content == "10:00 started\n10:01 stopped"


def test_names_of_older_programs(tmp_path: Path, settings: Settings) -> None:
    data = bytearray(zipped({"Größe.md": "text"}))
    for at in (data.index(b"PK\x03\x04") + 6, data.index(b"PK\x01\x02") + 8):
        data[at : at + 2] = b"\0\0"  # nothing says that the name is UTF-8
    (document,) = read(bytes(data), tmp_path, settings)
    assert document.metadata["title"] == "docs.zip/Größe.md"


def test_refused(tmp_path: Path, settings: Settings) -> None:
    cases = {
        "no.zip": (b"text", "seems to be no ZIP archive"),
        "cut.zip": (zipped({"a.md": "text" * 999})[:60], "damaged"),
        "none.zip": (zipped({"a.exe": "MZ"}), "no file that can be read (left out: a.exe (its type cannot be read))"),
        "letter.zip": (word("Dear Ann,"), "seems to be a Word document (.docx)"),
        "bare.zip": (zipped({}), "it is empty"),
        "no.tar": (b"text", "damaged"),
        "no.tgz": (zipped({"a.md": "text"}), "seems to be a ZIP archive"),
        "cut.tar.gz": (gzip.compress(tarred({"a.md": b"text" * 999}))[:-20], "damaged"),
        "short.tar": (tarred({"a.md": b"text" * 999})[:1024], "damaged"),
        "image.gz": (gzip.compress(bytes(range(256))), "no file that can be read"),
        "bomb.gz": (gzip.compress(bytes(401 * MIB), compresslevel=1), "more than 400 MiB"),
    }
    for name, (data, said) in cases.items():
        (tmp_path / name).write_bytes(data)
        assert said in reason(tmp_path / name, settings), name


def test_archives_within_archives_and_bombs_are_bounded(tmp_path: Path, settings: Settings) -> None:
    inner = zipped({"a.md": "innermost"})
    for number in range(6):
        inner = zipped({"next.zip": inner, f"{number}.md": f"level {number}"})
    documents = read(inner, tmp_path, settings)
    assert [item.page_content for item in documents] == ["level 5", "level 4", "level 3"]
    assert "too many files in one another" in str(documents[0].metadata["notes"])
    documents = read(zipped({"a.md": "fine", "bomb.txt": b"a" * (250 * MIB)}), tmp_path, settings)
    assert [item.page_content for item in documents] == ["fine"]
    assert documents[0].metadata["notes"] == ["left out: bomb.txt (too large unpacked)"]
    many = {f"{number:04}.md": f"text {number}" for number in range(MOST_INSIDE + 50)}
    documents = read(zipped(many), tmp_path, settings)
    assert len(documents) == MOST_INSIDE
    assert documents[0].metadata["notes"][-1] == "left out: 10 more files"
