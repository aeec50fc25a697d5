"""Files become documents, in the child process of `rag.sources.reader`: the libraries may hang, swell or crash."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from langchain_core.documents import Document

from rag.sources.archive import read_archive
from rag.sources.book import read_book
from rag.sources.formats import MOST_TEXT, NAMES, ZIPPED, Job, Report, Unreadable, check_type
from rag.sources.html.web_page import read_page
from rag.sources.ocr import read_picture
from rag.sources.office.opendocument import read_open_document
from rag.sources.office.rtf import read_rtf
from rag.sources.office.slides import read_slides
from rag.sources.office.word import read_word
from rag.sources.office.workbook import read_workbook
from rag.sources.pdf.document import read_pdf
from rag.sources.plain.cards import read_calendar, read_cards
from rag.sources.plain.delimited import read_delimited
from rag.sources.plain.mail import read_mail
from rag.sources.plain.markdown import read_markdown
from rag.sources.plain.notebook import read_notebook
from rag.sources.plain.text_files import read_subtitles, read_text
from rag.sources.plain.xml_files import read_xml


def read(job: Job, report: Report = lambda page, pages: None) -> list[Document]:
    """The documents of a file that have text; `report` is told of each page that takes text recognition.

    Raises:
        Unreadable: of another type, damaged, protected, too large, or without text.
        MemoryError: the process has no memory left.
    """
    check_type(job)
    try:
        reader = READERS[job.kind]
        more = [report] if job.kind in _BY_PAGE else [read] if job.kind in _HOLDING_FILES else []
        documents = [item for item in reader(job, *more) if item.page_content]
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


def _read_sheet(job: Job) -> Iterator[Document]:
    """A workbook or delimited values."""
    return read_workbook(job) if job.ending in ZIPPED else read_delimited(job)


READERS: dict[str, Callable[..., Iterator[Document]]] = {
    "web page": read_page,
    "Markdown": read_markdown,
    "text": read_text,
    "code": read_text,
    "Word": read_word,
    "slides": read_slides,
    "sheet": _read_sheet,
    "OpenDocument": read_open_document,
    "RTF": read_rtf,
    "EPUB": read_book,
    "notebook": read_notebook,
    "PDF": read_pdf,
    "picture": read_picture,
    "subtitles": read_subtitles,
    "calendar": read_calendar,
    "contacts": read_cards,
    "XML": read_xml,
    "mail": read_mail,
    "archive": read_archive,
}
"""The reader for each kind of file."""
_BY_PAGE = ("PDF", "picture")
"""What may need text recognition: its readers tell of each page that it takes."""
_HOLDING_FILES = ("mail", "archive")
"""What holds files of any kind: its readers are given what reads them."""
