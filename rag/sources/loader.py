"""Source -> documents: what a source stands for, how it is fetched, and by which reader it is read."""

from __future__ import annotations

import bisect
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from langchain_core.documents import Document

from rag.errors import SourceError, SourceRefused
from rag.settings import Settings
from rag.sources.folder import look_into
from rag.sources.formats import (
    ARCHIVES,
    FILE_TYPES,
    LARGEST_CONTAINER,
    LARGEST_FILE,
    READABLE,
    SAVED_AS,
    ZIPPED,
    Job,
    ending_by_content,
    ending_in_disguise,
    ending_of,
    ending_of_archive,
)
from rag.sources.reader import PARSER, WATCH, Watch
from rag.sources.web.body import NO_ROOM
from rag.sources.web.fetch import Limits, Page, fetch_if_changed
from rag.text.headings import joined

GUIDE = "bundled:guide.md"
"""The guide on LLM agents that comes with the project, as a source."""
GUIDE_PATH = Path(__file__).parent.parent / "guide.md"

FETCH_LIMITS = Limits(total=60.0, bytes=LARGEST_FILE)
"""Documents on the web are larger than pages: room for them, and time."""

_TYPES = {
    ".html": "text/html application/xhtml+xml",
    ".pdf": "application/pdf application/x-pdf",
    ".md": "text/markdown text/x-markdown",
    ".csv": "text/csv application/csv",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".odt": "application/vnd.oasis.opendocument.text",
    ".odp": "application/vnd.oasis.opendocument.presentation",
    ".ods": "application/vnd.oasis.opendocument.spreadsheet",
    ".rtf": "application/rtf text/rtf",
    ".tsv": "text/tab-separated-values",
    ".epub": "application/epub+zip",
    ".ipynb": "application/x-ipynb+json",
    ".xml": "text/xml application/xml",
    ".rss": "application/rss+xml",
    ".atom": "application/atom+xml",
    ".opml": "text/x-opml",
    ".json": "application/json application/ld+json text/json",
    ".yaml": "application/yaml application/x-yaml text/yaml text/x-yaml",
    ".toml": "application/toml",
    ".py": "text/x-python",
    ".js": "text/javascript application/javascript",
    ".rst": "text/x-rst",
    ".jsonl": "application/x-ndjson",
    ".zip": "application/zip",
    ".tar": "application/x-tar application/x-gtar",
    ".gz": "application/gzip application/x-gzip",
    ".bz2": "application/x-bzip2 application/x-bzip",
    ".xz": "application/x-xz",
    ".vtt": "text/vtt",
    ".ics": "text/calendar",
    ".vcf": "text/vcard text/x-vcard",
    ".srt": "application/x-subrip",
    ".eml": "message/rfc822",
    ".mht": "multipart/related",
    ".mbox": "application/mbox",
    ".msg": "application/vnd.ms-outlook",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".tif": "image/tiff",
    ".webp": "image/webp",
}
"""The types under which files with an ending are served."""
CONTENT_TYPES = {kind: ending for ending, kinds in _TYPES.items() for kind in kinds.split()}
"""Ending of the files that are served as this."""
TEXT_TYPES = ("text/plain",)
UNNAMED_TYPES = ("", "application/octet-stream", "binary/octet-stream", "application/force-download")


@dataclass(frozen=True)
class Loaded:
    """A source as read. `size` is in bytes; `etag` and `last_modified` are the server's words, where it was fetched."""

    documents: list[Document]
    kind: str
    size: int
    etag: str = ""
    last_modified: str = ""
    found_at: str = ""

    @property
    def title(self) -> str:
        """The first document's, or the name of an archive."""
        title = str(self.documents[0].metadata.get("title") or "")
        return title.partition("/")[0] if self.kind == "archive" else title


class Fetched(NamedTuple):
    """What a server said of a source when it was fetched, and the address after redirects; "": not known."""

    etag: str = ""
    last_modified: str = ""
    found_at: str = ""


def is_url(source: str) -> bool:
    """Whether `source` is an address on the web and not a path."""
    return bool(re.match(r"(?i)[a-z][a-z0-9+.-]*://", source))


def expand_source(source: str) -> list[str]:
    """The single sources that `source` stands for: itself, or the readable files of a folder and its folders.

    Paths become absolute, so that a file is the same source wherever the app is started.

    Raises:
        SourceError: there is no such file or folder, or the folder has nothing readable.
    """
    if is_url(source) or source == GUIDE:
        return [source]
    try:
        path = Path(source).expanduser().absolute()
        if path.is_dir():
            files = look_into(path).files
            if not files:
                raise SourceRefused(source, f"the folder has no file of a readable type: {READABLE}")
            return files
        if path.exists():
            return [str(path)]
    except (OSError, RuntimeError, ValueError):  # a name too long, of no known user, with a NUL, a link to itself
        pass
    raise SourceRefused(source, "there is no such file or folder")


def load_source(
    source: str,
    settings: Settings,
    *,
    private: bool,
    fetched: Fetched | None = None,
    page: Page | None = None,
    watch: Watch = WATCH,
) -> Loaded | None:
    """The documents of one source: one for a page or a file, one a page for a PDF, one a slide for a slide show.

    Each has `source`, `title`, `sections` (see `section_at`) and, for pages and slides, `page` (from 1) in its
    metadata. `private`: the operator named it, so that it may be on this machine or network; any other only on public
    addresses and those of RAG_ALLOW_HOSTS. `fetched`: the version that is indexed; returns None where the web server
    says that it has not changed. `page`: the web page, if it was fetched before. `watch` follows the reading of pages
    that take long.

    Raises:
        SourceError: it cannot be read or has no text; says why.
    """
    if not is_url(source):
        return _load_file(source, settings, watch)
    if page is None:
        page = fetch_if_changed(
            source,
            **(fetched or Fetched())._asdict(),
            private=private,
            allow_hosts=settings.allow_hosts,
            limits=FETCH_LIMITS,
        )
    return _read_page(source, page, settings, watch) if page else None


def section_at(metadata: Mapping[str, Any], start: int) -> tuple[str, str]:
    """The section ("A > B") and the anchor at a character of a document; both may be "".

    `sections` in a document's metadata is a list of [start, headings from outermost to innermost, anchor], by start.
    """
    sections = metadata.get("sections") or []
    number = bisect.bisect_right(sections, start, key=lambda item: item[0]) - 1
    if number < 0:
        return "", ""
    return joined(sections[number][1]), str(sections[number][2])


def _read_page(url: str, page: Page, settings: Settings, watch: Watch) -> Loaded:
    ending = _ending_of_page(page.content_type, page.body, _last_part(url))
    if not ending:
        raise SourceError(url, f"its content type is {page.content_type}, which cannot be read; these can: {READABLE}")
    claimed = f"served as {page.content_type}" if page.content_type else "served without a content type"
    try:
        path = _written(page.body, ending)
    except OSError as error:
        raise SourceError(url, NO_ROOM) from error
    try:
        charset = page.charset or ""
        job = Job(path, url, ending, claimed, _last_part(url), charset, settings.ocr)
        documents = PARSER.parse(job, watch)
    finally:
        Path(path).unlink(missing_ok=True)
    size, headers = len(page.body), page.headers
    return Loaded(documents, job.kind, size, headers.get("etag", ""), headers.get("last-modified", ""), page.url)


def _written(body: bytes, ending: str) -> str:
    """The path of a temporary file with `body`."""
    handle, path = tempfile.mkstemp(prefix="rag-", suffix=ending)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(body)
    except OSError:
        Path(path).unlink(missing_ok=True)
        raise
    return path


def _ending_of_page(content_type: str, body: bytes, name: str) -> str:
    """The ending of the files that are read like this page, by its first bytes, its type or its name; "" if none is."""
    by_name = Path(name).suffix.lower()
    by_name = by_name if by_name in FILE_TYPES else ""
    if body[:1024].lstrip().startswith(b"%PDF-"):
        return ".pdf"
    if body.startswith(b"PK\x03\x04"):
        named = by_name if by_name in (*ZIPPED, ".zip") else ""
        return ending_of_archive(body) or named or CONTENT_TYPES.get(content_type, "")
    by_type = CONTENT_TYPES.get(content_type, "")
    if content_type in UNNAMED_TYPES or content_type in TEXT_TYPES:  # as code hosts serve all text
        if by_name and by_name not in (".pdf", *ZIPPED) and FILE_TYPES[by_name] != "web page":
            return by_name
        if content_type in TEXT_TYPES:
            return ".txt"
        return _ending_of_bytes(body, by_name) if content_type else ".html"
    if not by_type and content_type.startswith("text/") and content_type != "text/css":
        return by_name
    return by_type


def _ending_of_bytes(body: bytes, by_name: str) -> str:
    """For a file that is served as any bytes: a web page by its start, or what its name says of text."""
    if re.match(rb"\s*(?:<!doctype html|<html)", body[:200], re.IGNORECASE):
        return ".html"
    return by_name if by_name not in (".pdf", *ZIPPED) and b"\0" not in body[:4096] else ""


def _last_part(source: str) -> str:
    path = urlsplit(source).path if is_url(source) else source.replace("\\", "/")
    return unquote(path.rstrip("/").rpartition("/")[2]) or source


def _load_file(source: str, settings: Settings, watch: Watch) -> Loaded:
    path = GUIDE_PATH if source == GUIDE else Path(source)
    disguised = ending_in_disguise(path)
    if (other := path.suffix.lower()) in SAVED_AS and not disguised:
        raise SourceError(source, f"files of type {other} cannot be read; save it as {SAVED_AS[other]}")
    try:
        size = path.stat().st_size
        if not path.is_file():  # a pipe would never end
            raise SourceError(source, "the file cannot be read (it is a folder or a device)")
    except OSError as error:
        raise SourceError(source, f"the file cannot be read ({error.strerror or error})") from error
    if size == 0:
        raise SourceError(source, "the file is empty")
    ending = disguised or ending_of(path.name) or ending_by_content(path)
    if not ending:
        kind = path.suffix.lower()
        raise SourceError(source, f"files of type {kind or 'without a name'} cannot be read; these can: {READABLE}")
    largest = LARGEST_CONTAINER if ending in (".pdf", *ARCHIVES, ".eml", ".msg", ".mbox", *ZIPPED) else LARGEST_FILE
    if size > largest:
        raise SourceError(source, f"the file has {size / 2**20:.0f} MiB; at most {largest >> 20} MiB are read")
    claimed, name = f"named {path.suffix.lower() or path.name}", _last_part(str(path))
    job = Job(str(path.absolute()), source, ending, claimed, name, "", settings.ocr)
    return Loaded(PARSER.parse(job, watch), job.kind, size)
