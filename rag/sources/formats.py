"""Files of every kind become documents, in the child process of `rag.sources.reader`: it may hang, swell or crash."""

from __future__ import annotations

import codecs
import csv
import io
import json
import posixpath
import re
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from langchain_core.documents import Document

from rag.sources.outline import (
    EDGE,
    MARK,
    Marks,
    build_document,
    mark_html,
    mark_markdown,
    mark_page,
    plain,
    title_of_page,
)

MIB = 2**20
LARGEST_FILE = 50 * MIB
"""Bytes of a file that is text all through."""
LARGEST_CONTAINER = 200 * MIB
"""Bytes of a PDF or a zipped format, most of which is pictures that are not read."""
MOST_INFLATED = 400 * MIB
"""Bytes that the members of a zipped format may have together."""
MOST_MEMBERS = 20_000
MOST_PAGES = 10_000
MOST_LEFT_OPEN = 100
"""Comments or tags at a page's end that nothing closes; beyond it they are no parser's business any more."""
MOST_TEXT = 64 * MIB
"""Characters of text in one source."""

_CODE = "py js mjs ts jsx tsx java c cc cpp h hpp go rs rb php cs sh bash ps1 sql json yaml yml toml xml rst tex lua"
_CODE += " kt swift scala pl r jl dart ini cfg css"
FILE_TYPES = {
    ".html": "web page",
    ".htm": "web page",
    ".xhtml": "web page",
    ".md": "Markdown",
    ".markdown": "Markdown",
    ".txt": "text",
    ".text": "text",
    ".log": "text",
    ".pdf": "PDF",
    ".docx": "Word",
    ".pptx": "slides",
    ".xlsx": "sheet",
    ".csv": "sheet",
    ".tsv": "sheet",
    ".epub": "EPUB",
    ".ipynb": "notebook",
    **{f".{name}": "code" for name in _CODE.split()},
}
"""Kind of file by the end of its name."""
READABLE = (
    "web pages (.html), Markdown, text, PDF, Word (.docx), slides (.pptx), sheets (.xlsx, .csv), EPUB, "
    "notebooks (.ipynb) and source code"
)
ZIPPED = {".docx": "word/", ".pptx": "ppt/", ".xlsx": "xl/", ".epub": "META-INF/container.xml"}
"""What the members of a zipped format begin with."""

_SIGNATURES = [
    *((b"\x89PNG", "a PNG image"), (b"\xff\xd8\xff", "a JPEG image"), (b"GIF8", "a GIF image"), (b"%PDF-", "a PDF")),
    *((b"\x1f\x8b", "a gzip archive"), (b"7z\xbc\xaf\x27\x1c", "a 7z archive"), (b"Rar!\x1a", "a RAR archive")),
    *((b"\xfd7zXZ\0", "an xz archive"), (b"\x28\xb5\x2f\xfd", "a Zstandard archive"), (b"\x7fELF", "a program")),
    *((b"SQLite format 3\0", "an SQLite database"), (b"{\\rtf", "an RTF document"), (b"II*\0", "a TIFF image")),
    (b"MM\0*", "a TIFF image"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "protected by a password, or in the old format of Office (.doc, .xls, .ppt)"),
]
_MARKS_OF_ENCODINGS = [
    *((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32")),
    *((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")),
]
_DECLARED = re.compile(
    rb"""<meta[^>]{0,500}?charset\s*=\s*["']?\s*([\w.:-]+)|<\?xml[^>]{0,200}encoding=["']([\w.-]+)""", re.I
)


class Unreadable(Exception):
    """Carries one sentence for a person: why a file cannot be read."""


@dataclass(frozen=True)
class Job:
    """One file to read. `ending` says how, `claimed` where that is known from, `name` is the title if it has none."""

    path: str
    source: str
    ending: str
    claimed: str
    name: str
    charset: str = ""
    page_classes: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """What a person calls it."""
        return FILE_TYPES[self.ending]

    @property
    def stem(self) -> str:
        """The name without its ending."""
        return Path(self.name).stem or self.name

    def document(
        self, text: str, marks: Marks, title: str, *, page: int | None = None, markdown: bool = False
    ) -> Document:
        """A document of this file, cleaned; `marks` are those in `text`."""
        title = " ".join(plain(title).replace(EDGE, " ").split())[:200] or plain(self.name).strip() or self.source
        metadata: dict[str, Any] = {"source": self.source, "title": title, **({"page": page} if page else {})}
        return build_document(text, marks, metadata, markdown=markdown)


def read(job: Job) -> list[Document]:
    """The documents of a file that have text.

    Raises:
        Unreadable: says why.
    """
    try:
        with Path(job.path).open("rb") as file:
            head = file.read(65_536)
    except OSError as error:
        raise Unreadable(f"the file cannot be read ({error.strerror or error})") from error
    seems = what_it_seems(Path(job.path), head)
    if seems and not _fits(job.ending, seems):
        raise Unreadable(f"it is {job.claimed} but seems to be {seems}")
    try:
        documents = [item for item in _READERS[job.kind](job) if item.page_content]
    except (Unreadable, MemoryError):
        raise
    except Exception as error:  # whatever a library thinks of: one source may not stop the others
        what = f"is not {_A_KIND[job.kind]}, or it" if job.ending in ZIPPED else f"({job.kind})"
        raise Unreadable(f"the file {what} is damaged ({type(error).__name__})") from error
    if not documents:
        raise Unreadable("there is no text in it")
    if sum(len(item.page_content) for item in documents) > MOST_TEXT:
        raise Unreadable(f"it has more than {MOST_TEXT // 10**6} million characters of text; split it")
    return documents


def what_it_seems(path: Path, head: bytes) -> str:
    """What the first bytes of a file say it is, in words; "" for text and for what is not known."""
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if head[4:8] == b"ftyp":
        return "an MP4 video or a picture of that family"
    if head[:4] in (b"RIFF", b"OggS", b"fLaC") and b"\0" in head[:64]:
        return "a picture, sound or video"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        try:
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
        except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError, EOFError):
            return "a damaged ZIP archive"
        for ending, start in ZIPPED.items():
            if any(name.startswith(start) for name in names):
                return f"{_A_KIND[FILE_TYPES[ending]]} ({ending})"
        return "a ZIP archive"
    return ""


_A_KIND = {"Word": "a Word document", "slides": "a slide show", "sheet": "a workbook", "EPUB": "an EPUB book"}


def _fits(ending: str, seems: str) -> bool:
    if ending == ".pdf":
        return seems == "a PDF"
    if seems == "a damaged ZIP archive" and ending in ZIPPED:
        raise Unreadable(f"the file is not {_A_KIND[FILE_TYPES[ending]]}, or it is damaged")
    return ending in ZIPPED and seems == f"{_A_KIND[FILE_TYPES[ending]]} ({ending})"


# Text


def decoded(data: bytes, charset: str = "", *, html: bool = False) -> str:
    """Text from bytes: by its mark, as the server or the page says, as UTF-8, else as Windows' Western encoding."""
    for mark, name in _MARKS_OF_ENCODINGS:
        if data.startswith(mark):
            return data.decode(name, "replace")
    guesses = [charset]
    if html and (found := _DECLARED.search(data[:4096])):
        declared = (found[1] or found[2]).decode("ascii", "replace").lower()
        guesses.append("" if declared.startswith(("utf-16", "utf-32")) else declared)  # it was read as ASCII
    guesses += [_utf16_without_mark(data), "utf-8", "windows-1252"]
    for guess in filter(None, guesses):
        western = guess.lower() in ("latin-1", "latin1", "iso-8859-1", "iso8859-1", "ascii", "us-ascii")
        for name in ["windows-1252", guess] if western else [guess]:  # as browsers do (WHATWG Encoding, 4.2)
            try:
                return data.decode(name)
            except (LookupError, UnicodeError, ValueError):
                continue
    return data.decode("utf-8", "replace")


def _utf16_without_mark(data: bytes) -> str:
    """UTF-16 shows by its zeros: nearly every other byte of a Western text, and all on the same side."""
    sample = data[:4096]
    even, odd, half = sample[::2].count(0), sample[1::2].count(0), max(1, len(sample) // 2)
    if len(data) % 2 or len(sample) < 8 or max(even, odd) < 0.4 * half or min(even, odd) > 0.05 * half:
        return ""
    return "utf-16-be" if even > odd else "utf-16-le"


def _text(job: Job, *, html: bool = False) -> str:
    data = Path(job.path).read_bytes()
    text = decoded(data, job.charset, html=html)
    sample = text[:65_536]
    odd = len(re.findall("[\0-\x08\x0e-\x1a\x7f]", sample))
    if odd > 8 and odd > len(sample) / 100:  # a stray one is let pass
        raise Unreadable(f"it is {job.claimed} but holds binary data, not text")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _read_text(job: Job) -> Iterator[Document]:
    text = plain(_text(job))
    heading = re.search(r"(?m)^#\s+(.+?)\s*#*$", text[:4000]) if job.kind == "text" else None
    yield job.document(text, [], heading[1] if heading else job.name)


def _read_markdown(job: Job) -> Iterator[Document]:
    yield _markdown(job, _text(job), job.name)


def _markdown(job: Job, text: str, name: str) -> Document:
    marked, marks = mark_markdown(text)
    title = name
    first = next((number for number, mark in enumerate(marks) if mark[0] == 1), None)
    if first is not None:
        line = marked.split(MARK, first + 1)[first + 1][:1000].partition("\n")[0]
        title = re.sub(r"^#\s+|\s+#*\s*$|\s+\{#[^{}]*\}\s*$", "", line)
    return job.document(marked, marks, title, markdown=True)


def _read_notebook(job: Job) -> Iterator[Document]:
    try:
        cells = json.loads(_text(job))["cells"]
        parts = [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Unreadable("the file is not a Jupyter notebook (of version 4), or it is damaged") from error
    fenced = [f"~~~~~~\n{text}\n~~~~~~" if kind == "code" else text for kind, text in parts if text.strip()]
    yield _markdown(job, "\n\n".join(fenced), job.name)


# Web pages


def _soup(html: str) -> Any:
    from bs4 import BeautifulSoup

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Beautiful Soup on pages that look like XML or like a path
        return BeautifulSoup(_with_few_left_open(html), "html.parser")


def _with_few_left_open(html: str) -> str:
    """A page without the many comments and tags at its end that nothing closes.

    At each of them Python's parser looks through all of the rest: 30 kB of `<a ` took it ten seconds. For a browser,
    too, the first such comment takes the rest of the page (WHATWG HTML, 13.2.5.45); such tags become text.
    """
    closed = max(html.rfind("-->"), html.rfind("--!>"), 0)
    if html.count("<!--", closed) > MOST_LEFT_OPEN:
        html = html[: html.index("<!--", closed)]
    end = html.rfind(">") + 1
    if html.count("<", end) > MOST_LEFT_OPEN:
        html = html[:end] + html[end:].replace("<", "&lt;")
    return html


def _read_page(job: Job) -> Iterator[Document]:
    soup = _soup(_text(job, html=True))
    text, marks = mark_page(soup, job.page_classes)
    yield job.document(text, marks, title_of_page(soup))


# PDF


def _read_pdf(job: Job) -> Iterator[Document]:
    from pypdf import PasswordType, PdfReader

    try:
        with Path(job.path).open("rb") as file:
            reader = PdfReader(file)
            if reader.is_encrypted and reader.decrypt("") == PasswordType.NOT_DECRYPTED:
                raise Unreadable("the PDF is protected by a password")
            count = len(reader.pages)
            if count > MOST_PAGES:
                raise Unreadable(f"the PDF has {count:,} pages; at most {MOST_PAGES:,} are read, so split it")
            title = str((reader.metadata and reader.metadata.title) or "").strip() or job.name
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # langchain-community announces on import that it is being wound down
            from langchain_community.document_loaders import PyPDFLoader

            texts = [page.page_content for page in PyPDFLoader(job.path).lazy_load()]
    except (Unreadable, MemoryError):
        raise
    except Exception as error:  # pypdf raises what it likes, and so does what it calls
        said = " ".join(str(error).split())[:120] or type(error).__name__
        if re.search("encrypt|password|decrypt", said, re.IGNORECASE):
            raise Unreadable(f"the PDF is protected by a password, or its protection is damaged ({said})") from error
        raise Unreadable(f"the PDF is damaged ({said})") from error
    if not any(map(str.strip, texts)):
        raise Unreadable("the PDF has no text (scanned pages?); run a text recognition over it first")
    for number, text in enumerate(texts, start=1):
        yield job.document(plain(text), [], title, page=number)


# Zipped formats


@contextmanager
def _opened(job: Job) -> Iterator[zipfile.ZipFile]:
    """The archive, once its size unpacked is known to be bounded and its XML to be free of tricks."""
    try:
        with zipfile.ZipFile(job.path) as archive:
            members = archive.infolist()
            if len(members) > MOST_MEMBERS or sum(item.file_size for item in members) > MOST_INFLATED:
                raise Unreadable(_too_large_unpacked())
            if any(item.flag_bits & 1 for item in members):
                raise Unreadable("the file is damaged, or protected by a password")
            left = MOST_INFLATED
            for item in members:
                if item.filename.lower().endswith((".xml", ".rels")) and job.ending != ".epub":
                    left -= _check_xml(archive, item, left)
            yield archive
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError) as error:
        raise Unreadable(f"the file is not {_A_KIND[job.kind]}, or it is damaged") from error


def _check_xml(archive: zipfile.ZipFile, item: zipfile.ZipInfo, limit: int) -> int:
    """Read a member through and give its size; it may define no entities, which grow without end when unfolded."""
    size, tail = 0, b""
    with archive.open(item) as member:
        while piece := member.read(MIB):
            size += len(piece)
            if size > limit:  # the directory may have lied
                raise Unreadable(_too_large_unpacked())
            flat = (tail + piece).replace(b"\0", b"")  # UTF-16 too
            if b"<!DOCTYPE" in flat or b"<!ENTITY" in flat:
                raise Unreadable("it defines XML entities, as no office program does and some attacks do")
            tail = flat[-16:]
    return size


def _too_large_unpacked() -> str:
    return f"unpacked it would have more than {MOST_INFLATED // MIB} MiB or {MOST_MEMBERS:,} members (a zip bomb?)"


def _read_word(job: Job) -> Iterator[Document]:
    import mammoth  # type: ignore[import-untyped]

    with _opened(job), Path(job.path).open("rb") as file:
        no_pictures = mammoth.images.img_element(lambda image: {})
        html = mammoth.convert_to_html(file, convert_image=no_pictures).value
    text, marks = mark_html(_soup(html), gap="\n\n")
    yield job.document(text, [(level, "") for level, _ in marks], job.stem)


def _read_slides(job: Job) -> Iterator[Document]:
    from pptx import Presentation

    with _opened(job):
        show: Any = Presentation(job.path)
        for number, slide in enumerate(show.slides, start=1):
            heading = slide.shapes.title.text_frame.text if slide.shapes.title is not None else ""
            heading = " ".join(plain(heading).split())
            parts = [f"{MARK}{heading}"] if heading else []
            parts += _texts_of_shapes(slide.shapes, slide.shapes.title)
            if slide.has_notes_slide and (frame := slide.notes_slide.notes_text_frame) is not None:
                notes = plain(frame.text).strip()
                parts += [f"Notes: {notes}"] if notes else []
            text = "\n\n".join(parts).replace("\v", "\n")
            yield job.document(text, [(1, "")] if heading else [], job.stem, page=number)


def _texts_of_shapes(shapes: Any, title: Any) -> Iterator[str]:
    waiting = list(reversed(list(shapes)))
    while waiting:
        shape = waiting.pop()
        if title is not None and shape.shape_id == title.shape_id:
            continue
        if hasattr(shape, "shapes"):  # a group
            waiting += reversed(list(shape.shapes))
        elif shape.has_text_frame and (text := plain(shape.text_frame.text).strip()):
            yield text
        elif getattr(shape, "has_table", False):
            yield "\n".join(_row(cell.text for cell in row.cells) for row in shape.table.rows)


def _row(values: Any) -> str:
    """A row of a table in one line."""
    cells = [" ".join(plain(str(value)).split()) if value is not None else "" for value in values]
    while cells and not cells[-1]:
        cells.pop()
    return " | ".join(cells)


def _read_sheet(job: Job) -> Iterator[Document]:
    if job.ending != ".xlsx":
        yield job.document("\n".join(_rows_of_csv(job)), [], job.name)
        return
    from openpyxl import load_workbook  # type: ignore[import-untyped]

    lines: list[str] = []
    marks: Marks = []
    size = 0
    with _opened(job):
        book: Any = load_workbook(job.path, read_only=True, data_only=True, keep_links=False)
        for sheet in book.worksheets:
            sheet.reset_dimensions()  # what the file says may be a million empty rows
            rows = [line for line in map(_row, sheet.iter_rows(values_only=True)) if line]
            size += sum(map(len, rows))
            if size > MOST_TEXT:
                break  # `read` refuses it
            if rows:
                name = " ".join(plain(sheet.title).split())
                lines += ["", f"{MARK}{name}" if name else f"{MARK}Sheet", *rows]
                marks.append((1, ""))
        book.close()
    yield job.document("\n".join(lines), marks, job.stem)


def _rows_of_csv(job: Job) -> Iterator[str]:
    text = plain(_text(job))
    first = text[:10_000].partition("\n")[0]
    delimiter = "\t" if job.ending == ".tsv" else max(",;\t|", key=first.count)
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    return filter(None, map(_row, csv.reader(io.StringIO(text), delimiter=delimiter)))


def _read_book(job: Job) -> Iterator[Document]:
    from defusedxml import ElementTree

    fromstring: Callable[[bytes], Any] = ElementTree.fromstring

    with _opened(job) as archive:
        names = set(archive.namelist())
        if "META-INF/rights.xml" in names:
            raise Unreadable("the book is locked to its shop's reading programs (DRM)")
        container = fromstring(archive.read("META-INF/container.xml"))
        package = next(item.get("full-path") for item in container.iter() if item.tag.endswith("}rootfile"))
        tree = fromstring(archive.read(package))
        items = {item.get("id"): item for item in tree.iter() if item.tag.endswith("}item")}
        title = next((item.text or "" for item in tree.iter() if item.tag.endswith("}title")), "")
        pieces: list[str] = []
        marks: Marks = []
        for reference in (item for item in tree.iter() if item.tag.endswith("}itemref")):
            item = items.get(reference.get("idref"))
            if item is None or "nav" in (item.get("properties") or "").split():
                continue
            place = posixpath.normpath(posixpath.join(posixpath.dirname(package), unquote(item.get("href") or "")))
            if place in names:
                soup = _soup(decoded(archive.read(place), html=True))
                text, found = mark_html(soup.body or soup)
                text = text.lstrip()
                if text and not text.startswith(MARK):  # the last chapter's sections end here
                    text = MARK + text
                    marks.append((0, ""))
                pieces += [text, "\n\n", EDGE]
                marks += found
    yield job.document("".join(pieces), marks, title or job.stem)


_READERS: dict[str, Callable[[Job], Iterator[Document]]] = {
    "web page": _read_page,
    "Markdown": _read_markdown,
    "text": _read_text,
    "code": _read_text,
    "PDF": _read_pdf,
    "Word": _read_word,
    "slides": _read_slides,
    "sheet": _read_sheet,
    "EPUB": _read_book,
    "notebook": _read_notebook,
}
