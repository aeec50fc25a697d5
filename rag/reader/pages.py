"""Pages of PDFs as pictures, and where words stand on them, from child processes: PDFium is C++, the files anybody's.

Pictures and the places of words come from one child. A recognized page whose lines are not stored is recognized once
more by another child, which takes seconds and must not hold up the pictures; it remembers the page.
"""

from __future__ import annotations

import base64
import io
import os
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from rag.sources.reader import MEGABYTES, Child, Report, serve_answers

if TYPE_CHECKING:
    import pypdfium2

    from rag.sources.pdf_words import PageText

WIDEST, HIGHEST = 3000, 6000
"""Pixels of a picture."""
SECONDS = 60.0
"""Time for a picture, or for the places of words without recognition."""
IDLE_SECONDS = 300.0
RECOGNIZED_PAGES = 64
"""Recognized pages that a child remembers; one takes some 100 KB."""


@dataclass(frozen=True)
class Place:
    """A rectangle on a page (from 1), in shares of its width and height from the top left corner as it is shown."""

    page: int
    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class Places:
    """Where words stand. `pages` is the number of the file's pages; no `boxes`: they are not found on the page."""

    pages: int
    boxes: list[Place]


class Pages:
    """The children and the way to them. Every method may be called from any thread, and may take seconds."""

    def __init__(self) -> None:
        self._pictures = Child("rag.reader.pages", SECONDS, MEGABYTES, IDLE_SECONDS)
        self._recognition = Child("rag.reader.pages", idle_seconds=IDLE_SECONDS)

    def picture(self, source: str, path: str, page: int, width: int) -> bytes:
        """A page, from 1, as a PNG picture of so many pixels in width.

        Raises:
            SourceError: it cannot be shown; says why.
        """
        asked = {"what": "picture", "path": path, "page": page, "width": width}
        return base64.b64decode(self._pictures.ask(source, asked)["picture"])

    def places(
        self, source: str, path: str, page: int, text: str, span: tuple[int, int], kept: dict[int, Any]
    ) -> Places:
        """Where characters of a page's document stand, see `rag.sources.pdf_boxes.boxes`.

        `kept` has the recognized lines of pages by their numbers, as far as they are stored. A page that was recognized
        before they were is recognized once more.

        Raises:
            SourceError: the file cannot be read; says why.
        """
        asked = {"what": "places", "path": path, "page": page, "text": text, "start": span[0], "end": span[1]}
        asked["kept"] = {str(number): lines for number, lines in kept.items() if lines}
        found = self._pictures.ask(source, {**asked, "recognize": False})
        if found["places"] is None:
            found = self._recognition.ask(source, {**asked, "recognize": True})
        return Places(found["pages"], [Place(*place) for place in found["places"] or ()])

    def close(self) -> None:
        """End the children."""
        self._pictures.close()
        self._recognition.close()


# -- in the child ----------------------------------------------------------------------------------------------------


def serve(megabytes: int) -> None:
    """The child."""
    serve_answers(megabytes, _answer)


def _answer(asked: dict[str, Any], report: Report) -> dict[str, Any]:
    if asked["what"] == "picture":
        return {"picture": base64.b64encode(draw(asked["path"], asked["page"], asked["width"])).decode()}
    if asked["recognize"]:
        report(asked["page"], asked["page"])  # from now on, the time for a page to be recognized is allowed
    kept = {int(number): lines for number, lines in asked["kept"].items()}
    span = (asked["start"], asked["end"])
    return find(asked["path"], asked["page"], asked["text"], span, kept, recognize=asked["recognize"])


def draw(path: str, page: int, width: int) -> bytes:
    """A page as a PNG picture.

    Raises:
        Unreadable: the file or the page cannot be opened.
    """
    import pypdfium2

    from rag.sources.formats import Unreadable
    from rag.sources.pdf import opened

    with opened(path) as document:
        if not 1 <= page <= len(document):
            raise Unreadable(f"it has no page {page}")
        try:
            sheet = document[page - 1]
        except pypdfium2.PdfiumError as error:
            raise Unreadable(f"page {page} is damaged") from error
        with closing(sheet):
            wide, high = (max(1.0, side) for side in sheet.get_size())
            scale = min(min(max(width, 100), WIDEST) / wide, HIGHEST / high)
            with closing(sheet.render(scale=scale, draw_annots=True)) as bitmap:
                file = io.BytesIO()
                bitmap.to_pil().save(file, "PNG", compress_level=1)
    return file.getvalue()


def find(
    path: str, page: int, text: str, span: tuple[int, int], kept: dict[int, Any], *, recognize: bool
) -> dict[str, Any]:
    """`places` as `Place` has them, None where the text is not that of the page; and the number of `pages`.

    `kept` are recognized lines by page; `recognize`: recognize others.

    Raises:
        Unreadable: the file cannot be opened.
    """
    from rag.sources.ocr import lines_back
    from rag.sources.pdf import opened
    from rag.sources.pdf_boxes import boxes
    from rag.sources.pdf_words import PageText, frame_of

    told = os.stat(path)

    def remembered(document: pypdfium2.PdfDocument, number: int) -> PageText:
        with closing(document[number - 1]) as sheet:
            if number in kept:
                return lines_back(sheet, kept[number])
            if not recognize:
                return PageText(frame_of(sheet), "", [])
        return _recognized(path, told.st_mtime_ns, told.st_size, number)

    with opened(path) as document:
        pages = len(document)
        if span[0] >= span[1]:
            return {"pages": pages, "places": []}
        try:
            found = boxes(path, page, text, *span, remembered if kept or recognize else None)
        except ValueError:
            return {"pages": pages, "places": None}
        places = []
        for box in found:
            with closing(document[box.page - 1]) as sheet:
                frame = frame_of(sheet)
            wide, high = frame.size
            left, top, right, bottom = frame.shown(box.left, box.bottom, box.right, box.top)
            shares = (left / wide, top / high, (right - left) / wide, (bottom - top) / high)
            places.append((box.page, *(round(share, 5) for share in shares)))
    return {"pages": pages, "places": places}


@lru_cache(maxsize=RECOGNIZED_PAGES)
def _recognized(path: str, changed: int, size: int, number: int) -> PageText:
    """A recognized page of a file as it is: another time or size is another file."""
    from rag.sources.pdf import opened
    from rag.sources.pdf_boxes import recognized_page

    with opened(path) as document:
        return recognized_page(document, number)
