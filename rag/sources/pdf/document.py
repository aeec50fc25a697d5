"""PDF files by PDFium: their pages as text with its places, their scanned pages by text recognition.

PDFium is C++ and the files are anybody's: nothing here may run outside the child process of `rag.sources.reader`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import pypdfium2
from langchain_core.documents import Document

from rag.sources.formats import Job, Report, Unreadable
from rag.sources.ocr import LONGEST_SIDE, kept_lines, lines_back, recognize
from rag.sources.ocr import MOST_PAGES as MOST_RECOGNIZED
from rag.sources.office.ooxml import number_of
from rag.sources.outline import RECOGNIZED, plain
from rag.sources.pdf.drawn import count_objects, share_of_pictures
from rag.sources.pdf.fields import read_fields
from rag.sources.pdf.layout import lay_out
from rag.sources.pdf.letters import FEW_ODD, MANY_ODD, is_recognizable, odd_characters, share_found
from rag.sources.pdf.page import PageText, frame_of
from rag.sources.pdf.rows import with_names_above
from rag.sources.pdf.ruled_tables import ruled_tables
from rag.sources.pdf.running import drop_running
from rag.sources.pdf.text import (
    Page,
    add_tails,
    join_headings,
    mark_headings,
    mark_outline,
    marked_text,
    title_of,
    without_contents,
)
from rag.sources.pdf.words import read_words, unmapped_characters

MOST_PAGES = 10_000
"""Pages of a PDF."""
MOST_HEADINGS = 5_000
"""Entries of an outline that are looked at."""
_NO_MAP = 0.1
"""Share of letters without a map to Unicode from which the letters are compared with recognized ones."""
_STAMP = 60
"""Letters below which the text beside a large picture may be a page number or a program's name on a scan."""
_SAME = 0.6
"""Share of doubtful letters that the recognized text has too where they are right."""
_CHECKED = 2
"""Doubtful pages that are compared; where all of these are right, the others are taken as right, too."""


@dataclass
class Tally:
    """What was read how: numbers of pages from 1."""

    pages: int = 0
    recognized: list[int] = field(default_factory=list)
    broken: list[int] = field(default_factory=list)
    empty: list[int] = field(default_factory=list)
    off: list[int] = field(default_factory=list)
    beyond: list[int] = field(default_factory=list)
    wrong: list[int] = field(default_factory=list)
    doubtful: list[int] = field(default_factory=list)
    fields: int = 0
    tables: int = 0
    checked: int = 0
    was_wrong: bool = False


def read_pdf(job: Job, report: Report) -> Iterator[Document]:
    """Each page with text as one document with its number. `report` is told of each page that is recognized.

    Raises:
        Unreadable: protected, damaged, too long, or without text.
    """
    with opened(job.path) as document:
        count = len(document)
        if count > MOST_PAGES:
            raise Unreadable(f"the PDF has {count:,} pages; at most {MOST_PAGES:,} are read, so split it")
        if not count:
            raise Unreadable("the PDF is damaged (it has no pages)")
        tally = Tally(count)
        pages: list[Page] = []
        for number in range(1, count + 1):
            page = _read_page(document, number, job, tally, report)
            if pages:
                _carry_names(page, pages[-1])
            pages.append(page)
        pages = [page for page in pages if page.lines]
        if not pages:
            raise Unreadable(_why_nothing(tally))
        drop_running(pages)
        pages = without_contents([page for page in pages if page.lines])
        mark_outline({page.number: page for page in pages}, _outline(document))
        given = document.get_metadata_value("Title")
    mark_headings(pages)
    title = title_of(plain(given), pages, job.name)
    add_tails(pages)
    notes = _notes(tally)
    above: list[str] = []
    for page in pages:
        text, marks = marked_text(page)
        found = job.document(text, marks, title, page=page.number)
        above = _carry_on(found, above)
        if page.kept:
            found.metadata[RECOGNIZED] = page.kept
        if notes:
            found.metadata["notes"], notes = notes, []
        page.lines = []
        yield found


def _carry_on(document: Document, above: list[str]) -> list[str]:
    """Give the beginning of a page the section that the page before ends in. Returns that of this page's end."""
    sections = document.metadata["sections"]
    if above and (not sections or sections[0][0] > 0):
        sections.insert(0, [0, above, ""])
    return sections[-1][1] if sections else above


@contextmanager
def opened(path: str) -> Iterator[pypdfium2.PdfDocument]:
    """The file while it is read.

    Raises:
        Unreadable: it is protected or damaged.
    """
    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        said = " ".join(str(error).split())
        if re.search(r"(?i)password|security", said):
            raise Unreadable("the PDF is protected by a password") from error
        if _is_without_pages(path):
            raise Unreadable("the PDF has no pages, so there is nothing for text recognition either") from error
        detail = re.sub(r"^Failed to load document \(PDFium: (.*?)\.?\)\.?$", r"\1", said)
        raise Unreadable(f"the PDF is damaged ({detail})") from error
    with closing(document):
        document.init_forms()
        yield document


def _is_without_pages(path: str) -> bool:
    """Whether a PDF says in its beginning that it has none: PDFium calls that damaged."""
    with Path(path).open("rb") as file:
        return bool(re.search(rb"/Type\s*/Pages\s*/Count 0\s*/Kids\s*\[\s*\]", file.read(65_536)))


# -- pages -----------------------------------------------------------------------------------------------------------


def _read_page(document: pypdfium2.PdfDocument, number: int, job: Job, tally: Tally, report: Report) -> Page:
    """A page by its text, or by recognition where it has none or a wrong one."""
    try:
        page = document[number - 1]
    except pypdfium2.PdfiumError:
        tally.broken.append(number)
        return Page(number, [])
    with closing(page):
        found, odd, unmapped = words_of(document, page, tally)
        letters = sum(len(word.text) for word in found.words)
        texts, others = count_objects(page)
        missing = texts >= 50 and letters < 0.5 * texts
        is_stamp = 0 < letters < _STAMP and share_of_pictures(page, found.frame) > 0.4
        if not letters and not texts and not others:
            return Page(number, [])  # a blank page
        by_text = Page(number, lay_out(found, ruled_tables(found, found.rules)) if letters else [])
        if letters and not missing and not is_stamp and not odd and not unmapped:
            return _told(by_text, tally)
        share = len(odd) / max(1, letters)
        covered = is_recognizable("".join(word.text for word in found.words)) or missing
        is_trusted = not covered or (tally.checked >= _CHECKED and not tally.was_wrong)
        if letters >= 40 and not missing and not odd and is_trusted:
            return _told(by_text, tally)
        if not job.ocr or len(tally.recognized) + len(tally.empty) >= MOST_RECOGNIZED or not covered:
            return _without_recognition(by_text, job, tally, missing=missing, share=share)
        report(number, tally.pages)
        kept = kept_lines(recognized(page))
        by_picture = Page(number, lay_out(lines_back(frame_of(page), kept)), recognized=True, kept=kept)
        seen = "".join(line.text for line in by_picture.lines)
        if missing or odd or unmapped:
            tally.checked += 1
            if not missing and share < MANY_ODD and share_found(odd + unmapped, seen) >= _SAME:
                return _told(by_text, tally)
            tally.was_wrong = True
            if len(seen) < 0.5 * (texts if missing else letters):
                tally.wrong.append(number)
                return Page(number, [])
        elif letters and len(seen) <= 1.2 * letters:
            return _told(by_text, tally)
        (tally.recognized if by_picture.lines else tally.empty).append(number)
        return by_picture


def _told(page: Page, tally: Tally) -> Page:
    """Join the headings of a page, count its tables, and let go of what only `boxes` needs."""
    page.lines = join_headings(page.lines)
    tally.tables += sum(kind == "row" for kind, _ in groupby(line.kind for line in page.lines))
    for line in page.lines:
        line.spans = []
    return page


def _carry_names(page: Page, before: Page) -> None:
    """Name the columns of a table that goes on from the page before, and let go of that one's tables."""
    if not page.recognized and not before.recognized:
        page.lines = with_names_above(page.lines, before.lines)
    for line in before.lines:
        line.spans, line.table = [], None


def words_of(
    document: pypdfium2.PdfDocument, page: pypdfium2.PdfPage, tally: Tally
) -> tuple[PageText, list[str], list[str]]:
    """The words of a page; its odd characters and those without a map to Unicode, where there are many."""
    with closing(page.get_textpage()) as textpage:
        found = read_words(page, textpage)
        own = [word.text for word in found.words]
        odd = odd_characters(own)
        letters = sum(map(len, own))
        unmapped = unmapped_characters(found, textpage, _NO_MAP)
    tally.fields += read_fields(document, page, found)
    return found, odd if len(odd) >= max(2, FEW_ODD * letters) else [], unmapped


def _without_recognition(page: Page, job: Job, tally: Tally, *, missing: bool, share: float) -> Page:
    """What becomes of a page that recognition would be needed for."""
    if missing or share >= MANY_ODD:
        (tally.wrong if page.lines else tally.off).append(page.number)
        return Page(page.number, [])
    if page.lines:
        if share >= FEW_ODD:
            tally.doubtful.append(page.number)
        return _told(page, tally)
    (tally.beyond if job.ocr else tally.off).append(page.number)
    return page


def recognized(page: pypdfium2.PdfPage) -> PageText:
    """The lines of a page by text recognition."""
    frame = frame_of(page)
    scale = LONGEST_SIDE / max(*page.get_size(), 1.0)
    with closing(page.render(scale=min(scale, 20.0), draw_annots=True)) as bitmap:
        return recognize(bitmap.to_numpy(), frame)


def _outline(document: pypdfium2.PdfDocument) -> list[tuple[int, int, str]]:
    """Page, level and title of the entries of the outline."""
    found: list[tuple[int, int, str]] = []
    for entry in document.get_toc(max_depth=6):
        if len(found) >= MOST_HEADINGS:
            break
        place = entry.get_dest()
        page = place.get_index() if place else None
        if page is not None:
            found.append((page + 1, entry.level + 1, plain(entry.get_title())))
    return found


# -- what is said of it ----------------------------------------------------------------------------------------------


def _why_nothing(tally: Tally) -> str:
    """Why a PDF without a readable page is refused."""
    if tally.wrong or tally.doubtful:
        return "the letters of the PDF cannot be told: the file does not say which ones its fonts show; save it anew"
    if tally.broken and not tally.off and not tally.empty:
        return "the PDF is damaged (its pages cannot be opened)"
    if tally.off:
        return "the PDF has no text (scanned pages?), and text recognition is turned off (RAG_OCR)"
    if tally.empty:
        return "the PDF has no text, and text recognition found none (it reads Latin, Greek, Chinese and Japanese)"
    return "the PDF has no text: its pages are blank or damaged, and there is nothing for text recognition on them"


def _notes(tally: Tally) -> list[str]:
    """What was read how, and what was left out."""
    notes = []
    if tally.recognized:
        some = "" if len(tally.recognized) == tally.pages else f"{len(tally.recognized)} of them "
        notes.append(f"{number_of(tally.pages, 'page')}, {some}read by OCR")
    if tally.tables:
        notes.append(number_of(tally.tables, "table"))
    if tally.fields:
        notes.append(f"{number_of(tally.fields, 'form field')} with a value")
    for pages, why in (
        (tally.broken, "damaged"),
        (tally.empty, "no text was found in the picture"),
        (tally.off, "no text, and text recognition is turned off by RAG_OCR"),
        (tally.beyond, "scanned, and too many to be recognized or in letters that recognition does not know"),
        (tally.wrong, "the file does not say which letters it shows"),
    ):
        if pages:
            notes.append(f"left out: {_named(pages)} ({why})")
    if tally.doubtful:
        notes.append(f"{_named(tally.doubtful)}: some letters are wrong in the file")
    return notes


def _named(pages: Sequence[int]) -> str:
    """Pages by their numbers: "page 3", "pages 3, 5-9 and 12 more"."""
    runs: list[list[int]] = []
    for page in pages:
        if runs and page == runs[-1][-1] + 1:
            runs[-1].append(page)
        else:
            runs.append([page])
    told = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs[:8]]
    more = sum(map(len, runs[8:]))
    return f"page{'s' * (len(pages) > 1)} {', '.join(told)}" + (f" and {more} more" if more else "")
