"""Text, Markdown, notebooks and delimited tables become documents."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from langchain_core.documents import Document

from rag.sources.formats import Job, Unreadable
from rag.sources.outline import MARK, mark_markdown, plain

_BYTE_ORDER_MARKS = [
    *((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32")),
    *((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")),
]
_DECLARED_CHARSET = re.compile(
    rb"""<meta[^>]{0,500}?charset\s*=\s*["']?\s*([\w.:-]+)|<\?xml[^>]{0,200}encoding=["']([\w.-]+)""", re.I
)


def decode(data: bytes, charset: str = "", *, html: bool = False) -> str:
    """Text from bytes.

    The encoding is the first of these that fits: the byte order mark's, `charset` (from the server), the one that the
    page or its XML declares, UTF-16 without a mark, UTF-8, Windows-1252.
    """
    for mark, name in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return data.decode(name, "replace")
    guesses = [charset]
    if html and (found := _DECLARED_CHARSET.search(data[:4096])):
        declared = (found[1] or found[2]).decode("ascii", "replace").lower()
        guesses.append("" if declared.startswith(("utf-16", "utf-32")) else declared)  # the declaration is in ASCII
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
    """The kind of UTF-16, or "". In Western text, nearly every other byte of it is zero, and all on the same side."""
    sample = data[:4096]
    even, odd, half = sample[::2].count(0), sample[1::2].count(0), max(1, len(sample) // 2)
    if len(data) % 2 or len(sample) < 8 or max(even, odd) < 0.4 * half or min(even, odd) > 0.05 * half:
        return ""
    return "utf-16-be" if even > odd else "utf-16-le"


def text_of(job: Job, *, html: bool = False) -> str:
    """The text of a file, its line breaks as line feeds.

    Raises:
        Unreadable: it holds binary data.
    """
    text = decode(Path(job.path).read_bytes(), job.charset, html=html)
    sample = text[:65_536]
    control = len(re.findall("[\0-\x08\x0e-\x1a\x7f]", sample))
    if control > 8 and control > len(sample) / 100:  # a few do occur in text
        raise Unreadable(f"it is {job.claimed} but holds binary data, not text")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_text(job: Job) -> Iterator[Document]:
    """Plain text or source code as one document; a `#` heading of plain text is its title."""
    text = plain(text_of(job))
    heading = re.search(r"(?m)^#\s+(.+?)\s*#*$", text[:4000]) if job.kind == "text" else None
    yield job.document(text, [], heading[1] if heading else job.name)


def read_markdown(job: Job) -> Iterator[Document]:
    """Markdown as one document."""
    yield _markdown(job, text_of(job))


def _markdown(job: Job, text: str) -> Document:
    """Markdown text as a document; its first heading of level 1 is the title."""
    marked, marks = mark_markdown(text)
    title = job.name
    first = next((number for number, mark in enumerate(marks) if mark[0] == 1), None)
    if first is not None:
        line = marked.split(MARK, first + 1)[first + 1][:1000].partition("\n")[0]
        title = re.sub(r"^#\s+|\s+#*\s*$|\s+\{#[^{}]*\}\s*$", "", line)
    return job.document(marked, marks, title, markdown=True)


def read_notebook(job: Job) -> Iterator[Document]:
    """A Jupyter notebook as one Markdown document, its code fenced; the outputs are left out.

    Raises:
        Unreadable: not a notebook of version 4.
    """
    try:
        cells = json.loads(text_of(job))["cells"]
        parts = [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Unreadable("the file is not a Jupyter notebook (of version 4), or it is damaged") from error
    fenced = [f"~~~~~~\n{text}\n~~~~~~" if kind == "code" else text for kind, text in parts if text.strip()]
    yield _markdown(job, "\n\n".join(fenced))


def read_delimited(job: Job) -> Iterator[Document]:
    """A file of delimited values as one document, a row a line."""
    text = plain(text_of(job))
    first = text[:10_000].partition("\n")[0]
    delimiter = "\t" if job.ending == ".tsv" else max(",;\t|", key=first.count)
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    rows = filter(None, map(table_row, csv.reader(io.StringIO(text), delimiter=delimiter)))
    yield job.document("\n".join(rows), [], job.name)


def table_row(values: Iterable[object]) -> str:
    """The cells of a table's row in one line, without empty ones at its end."""
    cells = [" ".join(plain(str(value)).split()) if value is not None else "" for value in values]
    while cells and not cells[-1]:
        cells.pop()
    return " | ".join(cells)
