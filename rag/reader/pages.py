"""Pages of PDFs and pictures, and where words stand on them, from child processes: PDFium is C++, the files anybody's.

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
    from PIL import Image

    from rag.sources.pdf_boxes import Box
    from rag.sources.pdf_page import Frame, PageText

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

    def picture(self, source: str, path: str, page: int, width: int, *, kind: str = "PDF") -> bytes:
        """A page, from 1, as a PNG picture of so many pixels in width. `kind`: of file, "PDF" or "picture".

        Raises:
            SourceError: it cannot be shown; says why.
        """
        asked = {"what": "picture", "kind": kind, "path": path, "page": page, "width": width}
        return base64.b64decode(self._pictures.ask(source, asked)["picture"])

    def places(
        self,
        source: str,
        path: str,
        page: int,
        text: str,
        span: tuple[int, int],
        kept: dict[int, Any],
        *,
        kind: str = "PDF",
    ) -> Places:
        """Where characters of a page's document stand, see `rag.sources.pdf_boxes`.

        `kept` has the recognized lines of pages by their numbers, as far as they are stored. A page that was recognized
        before they were is recognized once more.

        Raises:
            SourceError: the file cannot be read; says why.
        """
        asked: dict[str, Any] = {"what": "places", "kind": kind, "path": path, "page": page, "text": text}
        asked |= {"start": span[0], "end": span[1]}
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
    is_picture = asked["kind"] == "picture"
    path, page = asked["path"], asked["page"]
    if asked["what"] == "picture":
        drawn = draw_picture(path, page, asked["width"]) if is_picture else draw(path, page, asked["width"])
        return {"picture": base64.b64encode(drawn).decode()}
    if asked["recognize"]:
        report(page, page)  # from now on, the time for a page to be recognized is allowed
    kept = {int(number): lines for number, lines in asked["kept"].items()}
    look = find_in_picture if is_picture else find
    return look(path, page, asked["text"], (asked["start"], asked["end"]), kept, recognize=asked["recognize"])


def draw(path: str, page: int, width: int) -> bytes:
    """A page of a PDF as a PNG picture.

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
            with closing(sheet.render(scale=_scale(width, wide, high), draw_annots=True)) as bitmap:
                return _as_png(bitmap.to_pil())


def draw_picture(path: str, page: int, width: int) -> bytes:
    """A page of a picture, which may be a TIFF file of many, as a PNG picture; not wider than it is.

    Raises:
        Unreadable: the file or the page cannot be opened.
    """
    from rag.sources.formats import Unreadable
    from rag.sources.ocr import open_picture, picture_page

    with open_picture(path) as (picture, pages):
        if not 1 <= page <= pages:
            raise Unreadable(f"it has no page {page}")
        shown = picture_page(picture, page)
        scale = _scale(width, shown.width, shown.height)
        if scale < 1:
            shown = shown.resize((max(1, round(shown.width * scale)), max(1, round(shown.height * scale))))
        return _as_png(shown)


def _scale(width: int, wide: float, high: float) -> float:
    return min(min(max(width, 100), WIDEST) / wide, HIGHEST / high)


def _as_png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1)
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
    from rag.sources.pdf_page import PageText, frame_of

    told = os.stat(path)

    def remembered(document: pypdfium2.PdfDocument, number: int) -> PageText:
        with closing(document[number - 1]) as sheet:
            if number in kept:
                return lines_back(frame_of(sheet), kept[number])
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
                places.append(_place(box, frame_of(sheet)))
    return {"pages": pages, "places": places}


def find_in_picture(
    path: str, page: int, text: str, span: tuple[int, int], kept: dict[int, Any], *, recognize: bool
) -> dict[str, Any]:
    """The same for a picture."""
    from rag.sources.ocr import lines_back, open_picture, picture_frame, picture_page, pixels_of
    from rag.sources.ocr import recognize as recognized
    from rag.sources.pdf_boxes import boxes_of_lines

    with open_picture(path) as (picture, pages):
        if span[0] >= span[1] or not 1 <= page <= pages:
            return {"pages": pages, "places": []}
        if page not in kept and not recognize:
            return {"pages": pages, "places": None}
        shown = picture_page(picture, page)
    frame = picture_frame(shown)
    lines = lines_back(frame, kept[page]) if page in kept else recognized(pixels_of(shown), frame)
    try:
        found = boxes_of_lines(page, lines, text, *span)
    except ValueError:
        return {"pages": pages, "places": None}
    return {"pages": pages, "places": [_place(box, frame) for box in found]}


def _place(box: Box, frame: Frame) -> tuple[float, ...]:
    """A box as `Place` has it."""
    wide, high = frame.size
    left, top, right, bottom = frame.shown(box.left, box.bottom, box.right, box.top)
    shares = (left / wide, top / high, (right - left) / wide, (bottom - top) / high)
    return (box.page, *(round(share, 5) for share in shares))


@lru_cache(maxsize=RECOGNIZED_PAGES)
def _recognized(path: str, changed: int, size: int, number: int) -> PageText:
    """A recognized page of a file as it is: another time or size is another file."""
    from rag.sources.pdf import opened
    from rag.sources.pdf_boxes import recognized_page

    with opened(path) as document:
        return recognized_page(document, number)
