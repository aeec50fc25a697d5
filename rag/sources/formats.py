"""The kinds of files that can be read, their limits, and the check that a file is of the type that its name says."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_core.documents import Document

from rag.sources.outline import EDGE, Marks, build_document, plain

MIB = 2**20
LARGEST_FILE = 50 * MIB
"""Bytes of a text file or web page."""
LARGEST_CONTAINER = 200 * MIB
"""Bytes of a PDF or a zipped format: most of them are pictures, which are not read."""
MOST_TEXT = 64 * MIB
"""Characters of text in one source."""

_ENDINGS = {
    "web page": "html htm xhtml",
    "Markdown": "md markdown",
    "text": "txt text log",
    "PDF": "pdf",
    "Word": "docx",
    "slides": "pptx",
    "sheet": "xlsx csv tsv",
    "EPUB": "epub",
    "notebook": "ipynb",
    "code": "py js mjs ts jsx tsx java c cc cpp h hpp go rs rb php cs sh bash ps1 sql json yaml yml toml xml rst tex"
    " lua kt swift scala pl r jl dart ini cfg css",
}
FILE_TYPES = {f".{ending}": kind for kind, endings in _ENDINGS.items() for ending in endings.split()}
"""Kind of file by the ending of its name."""
READABLE = (
    "web pages (.html), Markdown, text, PDF, Word (.docx), slides (.pptx), sheets (.xlsx, .csv), EPUB, "
    "notebooks (.ipynb) and source code"
)
ZIPPED = {".docx": "word/", ".pptx": "ppt/", ".xlsx": "xl/", ".epub": "META-INF/container.xml"}
"""For each zipped format, how the name of one of its members begins."""
NAMES = {".docx": "a Word document", ".pptx": "a slide show", ".xlsx": "a workbook", ".epub": "an EPUB book"}

_SIGNATURES = [
    *((b"\x89PNG", "a PNG image"), (b"\xff\xd8\xff", "a JPEG image"), (b"GIF8", "a GIF image"), (b"%PDF-", "a PDF")),
    *((b"\x1f\x8b", "a gzip archive"), (b"7z\xbc\xaf\x27\x1c", "a 7z archive"), (b"Rar!\x1a", "a RAR archive")),
    *((b"\xfd7zXZ\0", "an xz archive"), (b"\x28\xb5\x2f\xfd", "a Zstandard archive"), (b"\x7fELF", "a program")),
    *((b"SQLite format 3\0", "an SQLite database"), (b"{\\rtf", "an RTF document"), (b"II*\0", "a TIFF image")),
    (b"MM\0*", "a TIFF image"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "protected by a password, or in the old format of Office (.doc, .xls, .ppt)"),
]
"""First bytes of files that are not text, and the names of their types."""


class Unreadable(Exception):
    """Why a file cannot be read, in one sentence for a person."""


@dataclass(frozen=True)
class Job:
    """One file to read.

    Attributes:
        path: of the file.
        source: its URL or path, as the library knows it.
        ending: of its type, such as ".pdf"; a key of `FILE_TYPES`.
        claimed: its type by its name or its server, for messages: "served as text/html".
        name: its title, if it has none inside.
        charset: from the server; "" if it gave none.
        page_classes: CSS classes of a web page's main content.
    """

    path: str
    source: str
    ending: str
    claimed: str
    name: str
    charset: str = ""
    page_classes: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """The kind of file, for people and for the choice of the reader."""
        return FILE_TYPES[self.ending]

    @property
    def stem(self) -> str:
        """The name without its ending."""
        return Path(self.name).stem or self.name

    def damaged(self) -> Unreadable:
        """The error for a zipped format that cannot be opened."""
        return Unreadable(f"the file is not {NAMES[self.ending]}, or it is damaged")

    def document(
        self, text: str, marks: Marks, title: str, *, page: int | None = None, markdown: bool = False
    ) -> Document:
        """A document with cleaned text; `marks` are those of the headings in `text`, `page` counts from 1."""
        title = " ".join(plain(title).replace(EDGE, " ").split())[:200] or plain(self.name).strip() or self.source
        metadata: dict[str, Any] = {"source": self.source, "title": title, **({"page": page} if page else {})}
        return build_document(text, marks, metadata, markdown=markdown)


def check_type(job: Job) -> None:
    """Compare the first bytes of a file with its ending.

    Raises:
        Unreadable: they belong to another type, or the file cannot be read.
    """
    try:
        with Path(job.path).open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise Unreadable(f"the file cannot be read ({error.strerror or error})") from error
    found = _detected_type(Path(job.path), head)
    expected = "a PDF" if job.ending == ".pdf" else _zipped_type(job.ending) if job.ending in ZIPPED else ""
    if found == "a damaged ZIP archive" and job.ending in ZIPPED:
        raise job.damaged()
    if found and found != expected:
        raise Unreadable(f"it is {job.claimed} but seems to be {found}")


def _zipped_type(ending: str) -> str:
    return f"{NAMES[ending]} ({ending})"


def _detected_type(path: Path, head: bytes) -> str:
    """The type of a file by its first 64 bytes, in words; "" for text and for unknown types."""
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if head[4:8] == b"ftyp":
        return "an MP4 video or a picture of that family"
    if head[:4] in (b"RIFF", b"OggS", b"fLaC") and b"\0" in head:
        return "a picture, sound or video"
    if not head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return ""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError, EOFError):
        return "a damaged ZIP archive"
    for ending, start in ZIPPED.items():
        if any(name.startswith(start) for name in members):
            return _zipped_type(ending)
    return "a ZIP archive"


def ending_of_archive(data: bytes) -> str:
    """The ending of the zipped format that these bytes are, by the names of their members; "" for others."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError, EOFError):
        return ""
    return next((end for end, start in ZIPPED.items() if any(name.startswith(start) for name in members)), "")
