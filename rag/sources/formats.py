"""The kinds of files that can be read, their limits, and the check that a file is of the type that its name says."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langchain_core.documents import Document

from rag.sources.outline import Marks, build_document, one_line, plain

MIB = 2**20
LARGEST_FILE = 50 * MIB
"""Bytes of a text file or web page."""
LARGEST_CONTAINER = 200 * MIB
"""Bytes of a PDF or a zipped format: most of them are pictures, which are not read."""
MOST_INSIDE = 500
"""Files in an archive, or attachments, that are read; those in archives within it count, too."""
MOST_INSIDE_BYTES = 400 * MIB
"""Bytes of these together, unpacked."""
DEEPEST_INSIDE = 3
"""Archives and mails in one another."""
MOST_TEXT = 64 * MIB
"""Characters of text in one source."""

_ENDINGS = {
    "web page": "html htm xhtml mht mhtml",
    "Markdown": "md markdown mdx mkd mdown",
    "text": "txt text log org adoc asciidoc textile",
    "PDF": "pdf",
    "picture": "png jpg jpeg tif tiff webp",
    "Word": "docx docm dotx",
    "slides": "pptx pptm ppsx potx",
    "sheet": "xlsx xlsm xltx csv tsv",
    "OpenDocument": "odt ods odp ott ots otp",
    "RTF": "rtf",
    "mail": "eml msg mbox",
    "subtitles": "srt vtt",
    "calendar": "ics ical",
    "XML": "xml rss atom opml fb2 kml gpx plist dbk docbook tei enex",
    "contacts": "vcf vcard",
    "archive": "zip tar gz tgz bz2 tbz2 xz txz",
    "EPUB": "epub",
    "notebook": "ipynb",
    "code": "py js mjs ts jsx tsx java c cc cpp h hpp go rs rb php cs sh bash ps1 sql json yaml yml toml rst tex"
    " lua kt swift scala pl r jl dart ini cfg css jsonl ndjson geojson conf env properties vue svelte tf tfvars hcl"
    " graphql gql proto scss sass less cxx hh mm zsh fish bat cmd ex exs erl hrl hs ml mli clj fs fsx vb groovy gradle"
    " cmake mk pyi pyx cu sol zig nim f90 f95 pas asm diff patch bib sty xsd xsl service editorconfig",
}
_TEXT_NAMES = (
    "readme license licence copying notice authors contributors changelog changes contributing install news todo"
    " history codeowners"
)
_CODE_NAMES = "makefile dockerfile containerfile jenkinsfile vagrantfile procfile gemfile rakefile justfile caddyfile"
NAMED_FILES = {
    **dict.fromkeys(_TEXT_NAMES.split(), ".txt"),
    **dict.fromkeys(_CODE_NAMES.split(), ".sh"),
}
"""Files without an ending, by their names in small letters, and the ending of those that are read alike."""
FILE_TYPES = {f".{ending}": kind for kind, endings in _ENDINGS.items() for ending in endings.split()}
"""Kind of file by the ending of its name."""
ARCHIVES = tuple(ending for ending, kind in FILE_TYPES.items() if kind == "archive")
READABLE = (
    "web pages (.html), Markdown, text, PDF, pictures, Word (.docx), slides (.pptx), sheets (.xlsx, .csv), "
    "OpenDocument, RTF, EPUB, mail, notebooks, code, a .zip or .tar.gz"
)
_FAMILIES = {
    ".docx": ("word/", "a Word document", ".docm .dotx"),
    ".pptx": ("ppt/", "a slide show", ".pptm .ppsx .potx"),
    ".xlsx": ("xl/", "a workbook", ".xlsm .xltx"),
    ".epub": ("META-INF/container.xml", "an EPUB book", ""),
    ".odt": ("content.xml", "an OpenDocument text", ".ott"),
    ".ods": ("content.xml", "an OpenDocument sheet", ".ots"),
    ".odp": ("content.xml", "an OpenDocument slide show", ".otp"),
}
"""For each zipped format, how the name of one of its members begins, its name, and other endings of its files."""
FAMILY = {ending: main for main, (_, _, more) in _FAMILIES.items() for ending in (main, *more.split())}
"""The usual ending of a zipped format for each ending of its files."""
ZIPPED = {ending: _FAMILIES[main][0] for ending, main in FAMILY.items()}
"""For each ending of a zipped format, how the name of one of its members begins."""
NAMES = {ending: _FAMILIES[main][1] for ending, main in FAMILY.items()}
_OPEN_DOCUMENT = "application/vnd.oasis.opendocument."
_OPEN_KINDS = {"text": ".odt", "spreadsheet": ".ods", "presentation": ".odp"}

RTF = "an RTF document"
_SAVED_AS = {
    ".docx": "doc dot wps pages one",
    ".xlsx": "xls xlt xlsb numbers",
    ".pptx": "ppt pps key",
    ".pdf": "pub vsd vsdx djvu xps",
    ".epub": "mobi azw3",
    ".jpg": "heic",
    ".png": "gif bmp",
    ".csv": "mdb accdb parquet",
    ".zip": "7z rar",
}
SAVED_AS = {f".{ending}": other for other, endings in _SAVED_AS.items() for ending in endings.split()}
"""Types that cannot be read, and those in which the programs that made them save their files, too."""
_OTHER_ENDINGS = (
    ".exe .dll .so .bin .iso .dmg .msi .apk .jar .class .pyc .mp3 .mp4 .m4a .wav .ogg .flac .avi .mov .mkv .webm"
    " .ico .psd .ttf .otf .woff .woff2 .db .sqlite"
)
OTHER_FORMATS = frozenset(_OTHER_ENDINGS.split()) | SAVED_AS.keys()
"""Endings of formats that cannot be read, even where the content passes for text."""
_OLD_TYPE = (
    "protected by a password, or in the old format of Office (.doc, .xls, .ppt); save it as .docx, .xlsx or .pptx"
)
_SIGNATURES = [
    *((b"\x89PNG", "a PNG image"), (b"\xff\xd8\xff", "a JPEG image"), (b"GIF8", "a GIF image"), (b"%PDF-", "a PDF")),
    *((b"\x1f\x8b", "a gzip archive"), (b"7z\xbc\xaf\x27\x1c", "a 7z archive"), (b"Rar!\x1a", "a RAR archive")),
    *((b"\xfd7zXZ\0", "an xz archive"), (b"\x28\xb5\x2f\xfd", "a Zstandard archive"), (b"\x7fELF", "a program")),
    *((b"SQLite format 3\0", "an SQLite database"), (b"{\\rtf", RTF), (b"II*\0", "a TIFF image")),
    (b"MM\0*", "a TIFF image"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _OLD_TYPE),
]
"""First bytes of files that are not text, and the names of their types."""
_PACKED = {
    ".zip": "a ZIP archive",
    **dict.fromkeys((".gz", ".tgz"), "a gzip archive"),
    **dict.fromkeys((".xz", ".txz"), "an xz archive"),
}
"""Archives that their first bytes tell."""
_WEBP = "a WebP image"
_PICTURES = ("a PNG image", "a JPEG image", "a TIFF image", _WEBP)


Report = Callable[[int, int], None]
"""Called with the number of the page whose text is recognized next, and the number of pages."""


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
        ocr: whether pages and pictures without text are read by text recognition.
        notes: what readers say of how they read it; they add to it, and the first document gets it as "notes".
        depth: in how many archives or mails it is.
        people: the names of people by their ids, where the archive around a chat has them.
        room: files and bytes that may still be read from within it; shared by all that are in one file.
    """

    path: str
    source: str
    ending: str
    claimed: str
    name: str
    charset: str = ""
    ocr: bool = True
    notes: list[str] = field(default_factory=list)
    depth: int = 0
    people: Mapping[str, str] = field(default_factory=dict)
    room: dict[str, int] = field(default_factory=lambda: {"files": MOST_INSIDE, "bytes": MOST_INSIDE_BYTES})

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
        title = one_line(title)[:200] or plain(self.name).strip() or self.source
        metadata: dict[str, Any] = {"source": self.source, "title": title, **({"page": page} if page else {})}
        return build_document(text, marks, metadata, markdown=markdown)


def ending_of(name: str) -> str:
    """The ending, a key of `FILE_TYPES`, by which a file of this name is read; "" if the name does not tell."""
    ending = Path(name).suffix.lower()
    return ending if ending in FILE_TYPES else NAMED_FILES.get(Path(name).name.lower(), "")


def ending_in_disguise(path: Path) -> str:
    """The ending of what a file named as one of the old types of Office is, as web applications write them; else ""."""
    if path.suffix.lower() not in (".doc", ".dot", ".xls", ".xlt", ".ppt"):
        return ""
    try:
        with path.open("rb") as file:
            head = file.read(2000)
        if head.startswith(b"PK\x03\x04"):
            return ending_of_archive(path.read_bytes())
    except OSError:
        return ""
    is_page = re.match(rb"(?i)[^<\w]*<(?:!doctype html|html|head|meta|style|table|body)\b", head)
    return ".rtf" if head.startswith(b"{\\rtf") else ".html" if is_page else ""


def ending_by_content(path: Path) -> str:
    """The ending by which a file with a name that tells nothing is read: ".txt" if it is plainly text, else ""."""
    if path.suffix.lower() in OTHER_FORMATS:
        return ""
    try:
        with path.open("rb") as file:
            head = file.read(65_536)
    except OSError:
        return ""
    control = sum(head.count(byte) for byte in (*range(9), *range(14, 27), 127))
    plainly = head and control <= len(head) / 1000 and not _detected_type(path, head[:64])
    return ".txt" if plainly or head.startswith((b"\xff\xfe", b"\xfe\xff")) else ""


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
    expected = {".pdf": "a PDF", ".rtf": RTF}.get(job.ending) or _zipped_type(job.ending)
    if job.ending == ".rtf" and not found:
        raise Unreadable("the file is not an RTF document, or it is damaged")
    if job.kind == "picture" and found in _PICTURES:
        return  # what it is, its first bytes tell the reader
    if job.ending == ".msg" or job.ending in _PACKED:
        expected = _PACKED.get(job.ending, _OLD_TYPE)
        if found != expected:
            _, _, what = _PACKED.get(job.ending, "a mail of Outlook").partition(" ")
            raise Unreadable(f"it is {job.claimed} but seems to be {found or f'no {what}'}")
    if found == "a damaged ZIP archive" and job.ending in ZIPPED:
        raise job.damaged()
    if found and found != expected:
        raise Unreadable(f"it is {job.claimed} but seems to be {found}")


def _zipped_type(ending: str) -> str:
    """How a zipped format is called in messages; "" for other types."""
    return f"{NAMES[ending]} ({FAMILY[ending]})" if ending in ZIPPED else ""


def _detected_type(path: Path, head: bytes) -> str:
    """The type of a file by its first 64 bytes, in words; "" for text and for unknown types."""
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if head[4:8] == b"ftyp":
        return "an MP4 video or a picture of that family"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return _WEBP
    if head[:4] in (b"RIFF", b"OggS", b"fLaC") and b"\0" in head:
        return "a picture, sound or video"
    if not head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return ""
    try:
        with zipfile.ZipFile(path) as archive:
            members, kind = archive.namelist(), _mimetype(archive)
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError, EOFError):
        return "a damaged ZIP archive"
    if ending := _open_document(kind):
        return _zipped_type(ending)
    if path.suffix.lower() == ".zip" and not {"[Content_Types].xml", "mimetype"} & set(members):
        return "a ZIP archive"  # one of documents may have a folder "word"
    for ending, start in ZIPPED.items():
        if ending not in _OPEN_KINDS.values() and any(name.startswith(start) for name in members):
            return _zipped_type(ending)
    return "a ZIP archive"


def ending_of_archive(data: bytes) -> str:
    """The ending of the zipped format that these bytes are, by the names of their members; "" for others."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members, kind = archive.namelist(), _mimetype(archive)
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError, EOFError):
        return ""
    if ending := _open_document(kind):
        return ending
    found = (end for end in ZIPPED if end not in _OPEN_KINDS.values())
    return next((end for end in found if any(name.startswith(ZIPPED[end]) for name in members)), "")


def _mimetype(archive: zipfile.ZipFile) -> str:
    """What an OpenDocument file or a book says it is."""
    return archive.open("mimetype").read(100).decode("latin-1") if "mimetype" in archive.namelist() else ""


def _open_document(kind: str) -> str:
    """The ending of an OpenDocument type; "" for others."""
    return (
        _OPEN_KINDS.get(kind[len(_OPEN_DOCUMENT) :].split("-")[0].strip(), "")
        if kind.startswith(_OPEN_DOCUMENT)
        else ""
    )
