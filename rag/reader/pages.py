"""Pages of PDFs and pictures, and where words stand on them. PDFium is C++, the files anybody's: a child looks."""

from __future__ import annotations

import base64
import io
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rag.sources.formats import Report, Unreadable
from rag.sources.reader import MEGABYTES, Child, serve_answers

if TYPE_CHECKING:
    from PIL import Image

    from rag.sources.pdf.boxes import Box
    from rag.sources.pdf.page import Frame

WIDEST, HIGHEST = 3000, 6000
"""Pixels of a picture."""
SECONDS = 60.0
"""Time for a picture, or for the places of words."""
IDLE_SECONDS = 300.0


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
    """The child and the way to it. Every method may be called from any thread, and may take seconds."""

    def __init__(self) -> None:
        self._child = Child("rag.reader.pages", SECONDS, MEGABYTES, IDLE_SECONDS)

    def picture(self, source: str, path: str, page: int, width: int, *, kind: str = "PDF") -> bytes:
        """A page, from 1, as a PNG picture of so many pixels in width. `kind`: of file, "PDF" or "picture".

        Raises:
            SourceError: it cannot be shown; says why.
        """
        asked = {"what": "picture", "kind": kind, "path": path, "page": page, "width": width}
        return base64.b64decode(self._child.ask(source, asked)["picture"])

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
        """Where characters of a page's document stand, see `rag.sources.pdf.boxes`.

        `kept` has the recognized lines of pages by their numbers, where they were recognized.

        Raises:
            SourceError: the file cannot be read; says why.
        """
        asked: dict[str, Any] = {"what": "places", "kind": kind, "path": path, "page": page, "text": text}
        asked |= {"start": span[0], "end": span[1]}
        asked["kept"] = {str(number): lines for number, lines in kept.items() if lines}
        found = self._child.ask(source, asked)
        return Places(found["pages"], [Place(*place) for place in found["places"] or ()])

    def close(self) -> None:
        """End the child."""
        self._child.close()


# -- in the child ----------------------------------------------------------------------------------------------------


def serve(megabytes: int) -> None:
    """The child."""
    serve_answers(megabytes, _answer)


def _answer(asked: dict[str, Any], _: Report) -> dict[str, Any]:
    is_picture = asked["kind"] == "picture"
    path, page = asked["path"], asked["page"]
    if asked["what"] == "picture":
        drawn = draw_picture(path, page, asked["width"]) if is_picture else draw(path, page, asked["width"])
        return {"picture": base64.b64encode(drawn).decode()}
    kept = {int(number): lines for number, lines in asked["kept"].items()}
    look = find_in_picture if is_picture else find
    return look(path, page, asked["text"], (asked["start"], asked["end"]), kept)


def draw(path: str, page: int, width: int) -> bytes:
    """A page of a PDF as a PNG picture.

    Raises:
        Unreadable: the file or the page cannot be opened.
    """
    import pypdfium2

    from rag.sources.pdf.document import opened

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


def find(path: str, page: int, text: str, span: tuple[int, int], kept: dict[int, Any]) -> dict[str, Any]:
    """`places` as `Place` has them, None where the text is not that of the page; and the number of `pages`.

    `kept` are recognized lines by page.

    Raises:
        Unreadable: the file cannot be opened.
    """
    from rag.sources.pdf.boxes import boxes
    from rag.sources.pdf.document import opened
    from rag.sources.pdf.page import frame_of

    with opened(path) as document:
        pages = len(document)
        if span[0] >= span[1]:
            return {"pages": pages, "places": []}
        try:
            found = boxes(path, page, text, *span, kept)
        except ValueError:
            return {"pages": pages, "places": None}
        places = []
        for box in found:
            with closing(document[box.page - 1]) as sheet:
                places.append(_place(box, frame_of(sheet)))
    return {"pages": pages, "places": places}


def find_in_picture(path: str, page: int, text: str, span: tuple[int, int], kept: dict[int, Any]) -> dict[str, Any]:
    """The same for a picture."""
    from rag.sources.ocr import lines_back, open_picture, picture_frame, picture_page
    from rag.sources.pdf.boxes import boxes_of_lines

    with open_picture(path) as (picture, pages):
        if span[0] >= span[1] or not 1 <= page <= pages:
            return {"pages": pages, "places": []}
        if page not in kept:
            return {"pages": pages, "places": None}
        frame = picture_frame(picture_page(picture, page))
    try:
        found = boxes_of_lines(page, lines_back(frame, kept[page]), text, *span)
    except ValueError:
        return {"pages": pages, "places": None}
    return {"pages": pages, "places": [_place(box, frame) for box in found]}


def _place(box: Box, frame: Frame) -> tuple[float, ...]:
    """A box as `Place` has it."""
    wide, high = frame.size
    left, top, right, bottom = frame.shown(box.left, box.bottom, box.right, box.top)
    shares = (left / wide, top / high, (right - left) / wide, (bottom - top) / high)
    return (box.page, *(round(share, 5) for share in shares))
