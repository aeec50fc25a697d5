"""Files become documents, in the child process of `rag.sources.reader`: the libraries may hang, swell or crash."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from langchain_core.documents import Document

from rag.sources.archive import read_archive
from rag.sources.delimited import read_delimited
from rag.sources.formats import MOST_TEXT, NAMES, ZIPPED, Job, Unreadable, check_type
from rag.sources.mail import read_mail
from rag.sources.markdown import read_markdown
from rag.sources.notebook import read_notebook
from rag.sources.outline import plain
from rag.sources.text_files import read_subtitles, read_text
from rag.sources.web_page import read_page
from rag.sources.zipped import read_book, read_slides, read_word, read_workbook

MOST_PAGES = 10_000
"""Pages of a PDF."""


def read(job: Job) -> list[Document]:
    """The documents of a file that have text.

    Raises:
        Unreadable: of another type, damaged, protected, too large, or without text.
        MemoryError: the process has no memory left.
    """
    check_type(job)
    try:
        documents = [item for item in READERS[job.kind](job) if item.page_content]
    except (Unreadable, MemoryError):
        raise
    except Exception as error:  # the libraries raise anything; one bad source must not stop the others
        what = f"is not {NAMES[job.ending]}, or it" if job.ending in ZIPPED else f"({job.kind})"
        raise Unreadable(f"the file {what} is damaged ({type(error).__name__})") from error
    if not documents:
        raise Unreadable("there is no text in it")
    if sum(len(item.page_content) for item in documents) > MOST_TEXT:
        raise Unreadable(f"it has more than {MOST_TEXT // 10**6} million characters of text; split it")
    if job.notes:
        documents[0].metadata["notes"] = list(dict.fromkeys([*documents[0].metadata.get("notes", []), *job.notes]))
    return documents


def _read_pdf(job: Job) -> Iterator[Document]:
    """Each page with its number as one document.

    Raises:
        Unreadable: protected, damaged, too long, or without text.
    """
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
            warnings.simplefilter("ignore")  # langchain-community warns on import that its support ends
            from langchain_community.document_loaders import PyPDFLoader

            texts = [page.page_content for page in PyPDFLoader(job.path).lazy_load()]
    except (Unreadable, MemoryError):
        raise
    except Exception as error:  # pypdf, and the libraries that it calls, raise anything
        said = " ".join(str(error).split())[:120] or type(error).__name__
        if re.search("encrypt|password|decrypt", said, re.IGNORECASE):
            raise Unreadable(f"the PDF is protected by a password, or its protection is damaged ({said})") from error
        raise Unreadable(f"the PDF is damaged ({said})") from error
    if not any(map(str.strip, texts)):
        raise Unreadable("the PDF has no text (scanned pages?); run a text recognition over it first")
    for number, text in enumerate(texts, start=1):
        yield job.document(plain(text), [], title, page=number)


def _read_sheet(job: Job) -> Iterator[Document]:
    """A workbook or delimited values."""
    return read_workbook(job) if job.ending == ".xlsx" else read_delimited(job)


READERS: dict[str, Callable[[Job], Iterator[Document]]] = {
    "web page": read_page,
    "Markdown": read_markdown,
    "text": read_text,
    "code": read_text,
    "PDF": _read_pdf,
    "Word": read_word,
    "slides": read_slides,
    "sheet": _read_sheet,
    "EPUB": read_book,
    "notebook": read_notebook,
    "subtitles": read_subtitles,
    "mail": read_mail,
    "archive": read_archive,
}
"""The reader for each kind of file."""
