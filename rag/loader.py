"""Source -> documents; the one place that knows langchain-community (which is being wound down, and warns of it)."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup, Tag
from bs4.filter import SoupStrainer
from langchain_core.documents import Document

from rag.errors import SourceError
from rag.fetch import USER_AGENT, Page, fetch
from rag.settings import Settings

GUIDE = "bundled:guide.md"
"""The guide on LLM agents that comes with the project, as a source."""
GUIDE_PATH = Path(__file__).parent / "guide.md"

TEXT_TYPES = {".md": "Markdown", ".markdown": "Markdown", ".txt": "text"}
FILE_TYPES = {".html": "web page", ".htm": "web page", ".pdf": "PDF", ".docx": "Word", **TEXT_TYPES}
HTML_TYPES = ("text/html", "application/xhtml+xml", "")
PLAIN_TYPES = ("text/plain", "text/markdown", "text/x-markdown")
LARGEST_FILE = 50 * 2**20

_BLOCKS = "address article aside blockquote dd details div dl dt figcaption figure footer form h1 h2 h3 h4 h5 h6 header"
_BLOCKS += " hr li main nav ol p pre section summary table td th tr ul br"
_BLOCK_TAGS = frozenset(_BLOCKS.split())
_NOISE_TAGS = ["script", "style", "template", "noscript", "svg", "iframe", "button"]
_FRAME_TAGS = ["nav", "header", "footer", "aside"]
_UNSEEN = "[hidden], [aria-hidden=true], [style*='display:none' i], [style*='display: none' i]"
_EDGE = "\x1e"
"""Marks the edge of a block; becomes a line break where the page's own white space has none."""


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
            files = sorted(str(file) for file in _files_below(path))
            if not files:
                raise SourceError(source, f"the folder has no file of a readable type ({', '.join(FILE_TYPES)})")
            return files
        if path.exists():
            return [str(path)]
    except (OSError, RuntimeError, ValueError):  # a name too long, of no known user, with a NUL, a link to itself
        pass
    raise SourceError(source, "there is no such file or folder")


def _files_below(folder: Path) -> Iterator[Path]:
    root = folder.resolve()
    for path in folder.rglob("*"):
        if path.suffix.lower() not in FILE_TYPES or not path.is_file():  # a link to itself is no file either
            continue
        inside = path.resolve().is_relative_to(root)  # a link may not lead out of the folder
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if inside and not hidden:
            yield path


def load_source(source: str, settings: Settings, *, named_at_start: bool) -> list[Document]:
    """The documents of one source: one for a page or a file, one a page for a PDF.

    Each has `source`, `title` and, for PDFs, `page` (from 1) in its metadata. A source named at start may be on this
    machine or network; others only on public addresses and those of RAG_ALLOW_HOSTS.

    Raises:
        SourceError: it cannot be read or has no text; says why.
    """
    try:
        documents = _load_url(source, settings, named_at_start) if is_url(source) else _load_file(source, settings)
    except SourceError:
        raise
    except Exception as error:  # whatever a parser thinks of: one source may not stop the others
        raise SourceError(
            source, f"it is damaged, or of a kind that cannot be read ({type(error).__name__})"
        ) from error
    found = [document for document in map(_cleaned, documents) if document.page_content]
    if not found:
        raise SourceError(source, "there is no text in it")
    return found


def _cleaned(document: Document) -> Document:
    """Without what neither the vector store nor a reader can use: NULs, lone surrogates, blanks at the ends."""
    text = document.page_content.replace("\0", "").encode("utf-8", "ignore").decode("utf-8")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = "\n".join(line.rstrip(" \t\u00a0") for line in text.split("\n"))
    text = re.sub(rf"[\s{_EDGE}]+", _line_breaks, text)
    return Document(page_content=re.sub(r"\n{8,}", "\n\n", text).strip(), metadata=document.metadata)


def _line_breaks(run: re.Match[str]) -> str:
    """White space between blocks has a line break; where the page itself has none, one is put in."""
    if _EDGE not in run[0]:
        return run[0]
    return run[0].replace(_EDGE, "") if "\n" in run[0] else "\n"


def _load_url(url: str, settings: Settings, named_at_start: bool) -> list[Document]:
    page = fetch(url, allow_private=named_at_start, allow_hosts=settings.allow_hosts)
    if page.content_type in HTML_TYPES:
        return _load_page(page, url, settings)
    if page.content_type in PLAIN_TYPES:
        text = _decoded(page.body, page.charset)
        return [Document(page_content=text, metadata={"source": url, "title": _title_of_text(text, url)})]
    raise SourceError(url, f"its content type is {page.content_type}; web pages and plain text can be read from URLs")


def _load_page(page: Page, source: str, settings: Settings) -> list[Document]:
    """A web page through langchain-community's `WebBaseLoader`, with its fetching replaced by what was fetched."""
    os.environ.setdefault("USER_AGENT", USER_AGENT)  # langchain-community asks for one on import
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from langchain_community.document_loaders import WebBaseLoader

    class FetchedPageLoader(WebBaseLoader):
        def _scrape(self, url: str, parser: str | None = None, bs_kwargs: dict | None = None) -> BeautifulSoup:  # type: ignore[type-arg]
            return readable_part(page, settings.page_classes)

    documents: list[Document] = FetchedPageLoader(source).load()
    title = _title_of_page(page) or _last_part(source)
    return [Document(page_content=item.page_content, metadata={"source": source, "title": title}) for item in documents]


def readable_part(page: Page, classes: tuple[str, ...]) -> BeautifulSoup:
    """The elements of `classes`, else the page's main content, with a line break around every block."""
    options: dict[str, Any] = {"features": "html.parser", "from_encoding": page.charset}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Beautiful Soup on pages that look like XML, or with a wrong encoding
        # A function, as a list of names would not match an element that has further classes.
        named = SoupStrainer(class_=lambda value: not set(str(value or "").split()).isdisjoint(classes))
        soup = BeautifulSoup(page.body, parse_only=named, **options)
        apart = soup.find_all(recursive=False)
        if not classes or not soup.get_text(strip=True):
            soup = _main_content(BeautifulSoup(page.body, **options))
            apart.clear()
    for tag in [*soup.find_all(_NOISE_TAGS), *soup.select(_UNSEEN)]:
        if not tag.decomposed:
            tag.decompose()
    for tag in [*soup.find_all(_BLOCK_TAGS), *apart]:
        tag.insert(0, _EDGE)  # inside: beside it, Beautiful Soup would count all its siblings first
        tag.append(_EDGE)
    return soup


def _main_content(soup: BeautifulSoup) -> BeautifulSoup:
    for selector in ("article", "main", "[role=main]"):
        if (found := soup.select_one(selector)) and found.get_text(strip=True):
            break
    else:
        found = soup.body or soup
        for tag in found.find_all(_FRAME_TAGS):
            if isinstance(tag, Tag) and not tag.decomposed:
                tag.decompose()
    part = BeautifulSoup("", "html.parser")
    part.append(found.extract() if found is not soup else found)
    return part


def _title_of_page(page: Page) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        only = SoupStrainer(["title", "h1"])
        soup = BeautifulSoup(page.body, features="html.parser", from_encoding=page.charset, parse_only=only)
    for name in ("title", "h1"):
        if (tag := soup.find(name)) and (title := " ".join(tag.get_text(" ").split())):
            return title[:200]
    return ""


def _title_of_text(text: str, source: str) -> str:
    heading = re.search(r"(?m)^#\s+(.+?)\s*#*$", text[:4000])
    return heading.group(1)[:200] if heading else _last_part(source)


def _last_part(source: str) -> str:
    path = urlsplit(source).path if is_url(source) else source.replace("\\", "/")
    return unquote(path.rstrip("/").rpartition("/")[2]) or source


def _load_file(source: str, settings: Settings) -> list[Document]:
    path = GUIDE_PATH if source == GUIDE else Path(source)
    kind = path.suffix.lower()
    if kind not in FILE_TYPES:
        raise SourceError(
            source, f"files of type {kind or 'without a name'} cannot be read; {', '.join(FILE_TYPES)} can"
        )
    try:
        size = path.stat().st_size
        if size == 0:
            raise SourceError(source, "the file is empty")
        if size > LARGEST_FILE:
            raise SourceError(source, f"the file has {size / 2**20:.0f} MiB; at most {LARGEST_FILE >> 20} MiB are read")
        if kind in (".html", ".htm"):
            page = Page(url=path.as_uri(), body=path.read_bytes(), content_type="text/html", charset=None, headers={})
            return _load_page(page, source, settings)
        if kind == ".pdf":
            return _load_pdf(path, source)
        if kind == ".docx":
            return _load_docx(path, source)
        text = _decoded(path.read_bytes())
    except OSError as error:
        raise SourceError(source, f"the file cannot be read ({error.strerror or error})") from error
    return [Document(page_content=text, metadata={"source": source, "title": _title_of_text(text, source)})]


def _decoded(data: bytes, charset: str | None = None) -> str:
    """Text from bytes: by its mark, as the server says, as UTF-8, else as Windows' Western encoding."""
    from bs4.dammit import UnicodeDammit

    guesses = [charset] if charset else []
    found = UnicodeDammit(data, known_definite_encodings=guesses, user_encodings=["utf-8", "windows-1252"])
    text = found.unicode_markup or data.decode("utf-8", "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _load_pdf(path: Path, source: str) -> list[Document]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from langchain_community.document_loaders import PyPDFLoader

        try:
            pages = PyPDFLoader(str(path)).load()
        except Exception as error:  # pypdf raises what it likes, and so does what it calls
            if "encrypt" in str(error).lower() or "password" in str(error).lower() or "decrypt" in str(error).lower():
                raise SourceError(source, "the PDF is protected by a password") from error
            raise SourceError(source, f"the PDF is damaged ({str(error)[:120] or type(error).__name__})") from error
    if not any(page.page_content.strip() for page in pages):
        raise SourceError(source, "the PDF has no text (scanned pages?); run a text recognition over it first")
    title = str((pages[0].metadata.get("title") or "") if pages else "").strip() or path.name
    return [
        Document(page_content=page.page_content, metadata={"source": source, "title": title, "page": number})
        for number, page in enumerate(pages, start=1)
    ]


def _load_docx(path: Path, source: str) -> list[Document]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from langchain_community.document_loaders import Docx2txtLoader

        try:
            documents: list[Document] = Docx2txtLoader(str(path)).load()
        except Exception as error:  # of zipfile, zlib, the XML parser
            raise SourceError(source, "the file is not a Word document, or it is damaged") from error
    return [
        Document(page_content=document.page_content, metadata={"source": source, "title": path.stem})
        for document in documents
    ]
