"""Text recognition (OCR) of pictures and scanned pages by RapidOCR, whose wheel brings the PP-OCRv6 weights.

They read Latin letters with their accents, Greek, Chinese and Japanese; not Cyrillic, Arabic, Hebrew, Korean, Thai or
the scripts of India. Nothing is fetched.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document

from rag.sources.formats import Job, Report, Unreadable
from rag.sources.outline import RECOGNIZED, one_line
from rag.sources.pdf.layout import lay_out
from rag.sources.pdf.page import Frame, PageText
from rag.sources.pdf.text import text_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    Pixels = NDArray[np.uint8]
    """Height, width, and blue, green, red."""

LONGEST_SIDE = 2000
"""Pixels of the longer side of a page as it is recognized: 170 dots an inch of an A4 page."""
MOST_PIXELS = 120_000_000
"""Pixels of a picture: a page of 297 x 420 mm at 600 dots an inch has 70 million."""
MOST_PAGES = 1_000
"""Pages of one file that are recognized; on two cores one takes about 3 to 6 seconds."""
_THREADS = min(4, os.cpu_count() or 1)
_STRIP = 1.5
"""Height of a strip of a long picture, as a share of its width."""
_INK = 48
"""Steps of grey, of 255, between the ground and what stands on it."""
_MARGIN, _SMALLEST = 60, 480
"""Pixels around what stands on a page, and of the side of the part that is read: RapidOCR enlarges smaller ones."""
_SURE = 0.5
"""Sureness from 0 to 1 below which a line is left out, as RapidOCR has it."""


@functools.cache
def _engine() -> Any:
    _raise_memory()
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when it is imported; from 1.29 it reports home
    import onnxruntime
    from rapidocr import RapidOCR

    onnxruntime.disable_telemetry_events()  # Windows looks at this alone

    return RapidOCR(
        params={
            "Global.log_level": "critical",
            "Global.text_score": _SURE,
            "Global.max_side_len": LONGEST_SIDE,
            "EngineConfig.onnxruntime.intra_op_num_threads": _THREADS,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )


def _raise_memory() -> None:
    """Let this process have as much address space as its hard bound lets it."""
    if sys.platform == "linux":
        import resource

        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        if hard != resource.RLIM_INFINITY:
            resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def recognize(pixels: Pixels, frame: Frame) -> PageText:
    """The lines of text in a picture as words of a page, in their places in `frame`."""
    found = PageText(frame, "", [])
    if int(pixels.max()) - int(pixels.min()) < 16:  # one colour
        return found
    turns = 0
    lines = list(_lines(pixels))
    tall = [box for _, box, _ in lines if box[3] - box[1] > 1.5 * (box[2] - box[0])]
    if len(tall) >= 3 and len(tall) > 0.6 * len(lines):
        turns = 1
        pixels = _turned(pixels, 1)
        lines = list(_lines(pixels))
    if _is_upside_down(pixels, [box for _, box, _ in lines]):
        turns += 2
        pixels = _turned(pixels, 2)
        lines = list(_lines(pixels))
    found.frame = _turned_frame(frame, turns)
    across, down = found.frame.size
    height, width = pixels.shape[:2]
    for text, (left, top, right, bottom), borders in lines:
        rect = (left * across / width, top * down / height, right * across / width, bottom * down / height)
        placed = [(at, place * across / width) for at, place in borders]
        found.add(text, rect, (rect[3] - rect[1]) * 0.75, placed)
    return found


def _turned(pixels: Pixels, quarters: int) -> Pixels:
    import numpy as np

    return np.ascontiguousarray(np.rot90(pixels, quarters))


def _turned_frame(frame: Frame, quarters: int) -> Frame:
    """The frame of a page that is turned to the left by some quarters before it is read."""
    return Frame(frame.left, frame.bottom, frame.right, frame.top, (frame.rotation - 90 * quarters) % 360)


Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""


Seen = tuple[str, Box, list[tuple[int, float]]]
"""A line: its text, where it is, and where its words meet (`rag.sources.pdf.page.Borders`), in pixels."""


def _lines(pixels: Pixels) -> Iterator[Seen]:
    """The lines of a picture; a long one is read in strips, as it would be too small as a whole."""
    height, width = pixels.shape[:2]
    if height <= max(2 * width, LONGEST_SIDE):
        yield from _lines_of(pixels, 0, 0, height)
        return
    step, lap = int(width * _STRIP), max(40, width // 10)
    for top in range(0, height, step):
        end = min(height, top + step + lap)
        yield from _lines_of(pixels[top:end], top, top + (lap // 2 if top else 0), top + step + lap // 2)


def _lines_of(pixels: Pixels, offset: int, above: float, below: float) -> Iterator[Seen]:
    """The lines whose middle is between two heights, their boxes moved down by `offset`."""
    across, down, pixels = _with_ink(pixels)
    answer = _engine()(pixels, return_word_box=True)
    if answer.boxes is None or not answer.txts:
        return
    words = answer.word_results if len(answer.word_results) == len(answer.txts) else [()] * len(answer.txts)
    for corners, text, parts in zip(answer.boxes, answer.txts, words, strict=True):
        text = one_line(str(text))
        box = (
            float(corners[:, 0].min()) + across,
            float(corners[:, 1].min()) + down + offset,
            float(corners[:, 0].max()) + across,
            float(corners[:, 1].max()) + down + offset,
        )
        if any(map(str.isalnum, text)) and above <= (box[1] + box[3]) / 2 < below:
            yield text, box, _borders(text, [part for part in parts if part and part[2]], across)


def _borders(text: str, words: Sequence[Any], across: int) -> list[tuple[int, float]]:
    """Where the words of a line meet: in the middle of the gaps between them; none where they are not all in it."""
    found: list[tuple[int, float]] = []
    at, before = 0, 0.0
    for word, _, corners in words:
        place = text.find(word, at)
        if place < 0:
            return []
        left, right = min(x for x, _ in corners), max(x for x, _ in corners)
        if at and (middle := across + (before + left) / 2) > (found[-1][1] if found else 0):
            found.append((place, float(middle)))
        at, before = place + len(word), right
    return found


def _with_ink(pixels: Pixels) -> tuple[int, int, Pixels]:
    """The part of a picture that is not of its ground's colour, and how far right and down it begins.

    RapidOCR passes a line by that stands alone on a large page; and a part takes less time.
    """
    import numpy as np

    grey = pixels.min(axis=2)
    ground = int(np.median(grey[::16, ::16]))
    inked = abs(grey.astype(np.int16) - ground) > _INK
    found = []
    for axis, size in ((1, grey.shape[0]), (0, grey.shape[1])):
        places = np.flatnonzero(inked.any(axis=axis))
        first, last = (int(places[0]), int(places[-1])) if places.size else (0, size)
        margin = max(_MARGIN, (_SMALLEST - (last - first)) // 2)
        found.append((max(0, first - margin), min(size, last + margin)))
    (top, bottom), (left, right) = found
    return left, top, np.ascontiguousarray(pixels[top:bottom, left:right])


def _is_upside_down(pixels: Pixels, boxes: list[Box]) -> bool:
    """Whether most of the longer lines stand on their heads."""
    wide = [box for box in boxes if box[2] - box[0] > 3 * (box[3] - box[1])][:9]
    if len(wide) < 2:
        return False
    crops = [pixels[int(top) : int(bottom) + 1, int(left) : int(right) + 1] for left, top, right, bottom in wide]
    answer = _engine().text_cls([crop for crop in crops if crop.size])
    labels = [label for label, score in answer.cls_res or [] if score > 0.8]
    return labels.count("180") > len(wide) / 2


def kept_lines(found: PageText) -> dict[str, Any]:
    """A recognized page as JSON, to be had back by `lines_back`; its places in tenths of a point."""
    lines = [
        [text, *(round(10 * side) for side in (*rect, size)), [[at, round(10 * place)] for at, place in borders]]
        for text, rect, size, borders in found.added
    ]
    return {"rotation": found.frame.rotation, "lines": lines}


def lines_back(frame: Frame, kept: dict[str, Any]) -> PageText:
    """A recognized page out of what `kept_lines` made of it; `frame` is that of the page in the file."""
    found = PageText(replace(frame, rotation=kept["rotation"]), "", [])
    for text, *sides, borders in kept["lines"]:
        left, top, right, bottom, size = (side / 10 for side in sides)
        found.add(text, (left, top, right, bottom), size, [(at, place / 10) for at, place in borders])
    return found


# -- pictures --------------------------------------------------------------------------------------------------------


def read_picture(job: Job, report: Report) -> Iterator[Document]:
    """The text in a picture, each page of a TIFF file as one document.

    Raises:
        Unreadable: damaged, too large, without text, or recognition is turned off.
    """
    if not job.ocr:
        raise Unreadable("it is a picture, and reading text in pictures is turned off (RAG_OCR)")
    read = 0
    with open_picture(job.path) as (picture, pages):
        for number in range(1, pages + 1):
            report(number, pages)
            page = picture_page(picture, number)
            frame = picture_frame(page)
            kept = kept_lines(recognize(pixels_of(page), frame))
            text = text_of(lay_out(lines_back(frame, kept)))
            if not text:
                continue
            document = job.document(text, [], job.name, page=number if pages > 1 else None)
            document.metadata[RECOGNIZED] = kept
            if not read:
                document.metadata["notes"] = [f"{pages} pages, read by OCR" if pages > 1 else "read by OCR"]
            read += 1
            yield document
    if not read:
        raise Unreadable("no text was found in the picture (OCR reads Latin, Greek, Chinese and Japanese letters)")


@contextmanager
def open_picture(path: str) -> Iterator[tuple[Image.Image, int]]:
    """A picture, and how many pages it has: those of a TIFF file, else one.

    Raises:
        Unreadable: it is damaged.
    """
    from PIL import Image, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = None  # bounded by `picture_page`
    try:
        picture = Image.open(path)
        pages = min(getattr(picture, "n_frames", 1), MOST_PAGES) if picture.format == "TIFF" else 1
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise Unreadable("the picture is damaged, or of a kind that cannot be read") from error
    with picture:
        yield picture, pages


def picture_page(picture: Image.Image, number: int) -> Image.Image:
    """A page of an open picture, from 1: upright, on white.

    Raises:
        Unreadable: it is damaged, or too large.
    """
    from PIL import ImageOps

    try:
        picture.seek(number - 1)
        if picture.width * picture.height > MOST_PIXELS:
            raise Unreadable(f"the picture has more than {MOST_PIXELS // 10**6} million pixels; make it smaller")
        return _on_white(ImageOps.exif_transpose(picture) or picture)
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise Unreadable(f"the picture is damaged ({' '.join(str(error).split())[:80]})") from error


def picture_frame(page: Image.Image) -> Frame:
    """A page of a picture as a frame: a point is a pixel."""
    return Frame(0.0, 0.0, float(page.width), float(page.height), 0)


def _on_white(picture: Image.Image) -> Image.Image:
    """The picture in colours, without transparency."""
    from PIL import Image

    picture.load()
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        clear = picture.convert("RGBA")
        ground = Image.new("RGBA", clear.size, "white")
        picture = Image.alpha_composite(ground, clear)
    if picture.mode.startswith("I;16") or picture.mode in ("I", "F"):
        picture = picture.convert("F").point(lambda value: value / 257).convert("L")
    return picture.convert("RGB")


def pixels_of(picture: Image.Image) -> Pixels:
    """What is recognized of a page of a picture: not larger than that needs."""
    import numpy as np

    shorter, longer = sorted(picture.size)
    scale = LONGEST_SIDE / longer if longer <= 2 * shorter else LONGEST_SIDE / (2 * shorter)
    if scale < 1:
        picture = picture.resize((max(1, int(picture.width * scale)), max(1, int(picture.height * scale))))
    return np.ascontiguousarray(np.asarray(picture)[:, :, ::-1])
