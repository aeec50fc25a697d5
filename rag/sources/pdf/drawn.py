"""What is drawn on a PDF page beside its text: pictures, and the straight lines that tables have."""

from __future__ import annotations

import ctypes

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from rag.sources.pdf.page import Frame, Rect

MOST_SEGMENTS = 20_000
"""Segments of drawn paths that are looked at for the lines of tables."""
_THICKEST_RULE = 4
"""Points of a white line between coloured cells, at most."""
_HIGHEST_LINE = 40
"""Points that a line of text is high at most; a white ground that is higher may be a box with text of its own."""
_TEXT, _PATH = pdfium_c.FPDF_PAGEOBJ_TEXT, pdfium_c.FPDF_PAGEOBJ_PATH


def count_objects(page: pdfium.PdfPage) -> tuple[int, int]:
    """How many text objects and other objects a page has."""
    count = max(0, pdfium_c.FPDFPage_CountObjects(page.raw))
    get, kind = pdfium_c.FPDFPage_GetObject, pdfium_c.FPDFPageObj_GetType
    texts = sum(kind(get(page.raw, number)) == _TEXT for number in range(count))
    return texts, count - texts


def share_of_pictures(page: pdfium.PdfPage, frame: Frame) -> float:
    """The share of a page that its largest picture covers."""
    width, height = frame.size
    left, bottom, right, top = (ctypes.c_float() for _ in range(4))
    largest = 0.0
    for number in range(max(0, pdfium_c.FPDFPage_CountObjects(page.raw))):
        item = pdfium_c.FPDFPage_GetObject(page.raw, number)
        if pdfium_c.FPDFPageObj_GetType(item) == pdfium_c.FPDF_PAGEOBJ_IMAGE and pdfium_c.FPDFPageObj_GetBounds(
            item, left, bottom, right, top
        ):
            largest = max(largest, (right.value - left.value) * (top.value - bottom.value))
    return largest / (width * height) if width * height else 0.0


def read_rules(page: pdfium.PdfPage, frame: Frame) -> list[Rect]:
    """The straight lines that are drawn on a page, as shown: upright and level ones."""
    rules: list[Rect] = []
    left_to_see = MOST_SEGMENTS
    matrix, x, y = pdfium_c.FS_MATRIX(), ctypes.c_float(), ctypes.c_float()
    count = pdfium_c.FPDFPage_CountObjects(page.raw)
    for number in range(count):
        item = pdfium_c.FPDFPage_GetObject(page.raw, number)
        if pdfium_c.FPDFPageObj_GetType(item) != _PATH:
            continue
        if _is_white_ground(item):
            continue
        segments = pdfium_c.FPDFPath_CountSegments(item)
        left_to_see -= segments
        if left_to_see < 0:
            return []
        pdfium_c.FPDFPageObj_GetMatrix(item, matrix)
        a, b, c, d, e, f = matrix.a, matrix.b, matrix.c, matrix.d, matrix.e, matrix.f
        start = last = (0.0, 0.0)
        for place in range(segments):
            segment = pdfium_c.FPDFPath_GetPathSegment(item, place)
            pdfium_c.FPDFPathSegment_GetPoint(segment, x, y)
            point = (a * x.value + c * y.value + e, b * x.value + d * y.value + f)
            kind = pdfium_c.FPDFPathSegment_GetType(segment)
            if kind == pdfium_c.FPDF_SEGMENT_MOVETO:
                start = point
            elif kind == pdfium_c.FPDF_SEGMENT_LINETO:
                _add_rule(rules, frame, last, point)
            if pdfium_c.FPDFPathSegment_GetClose(segment):
                _add_rule(rules, frame, point, start)
            last = point
    return rules


def _is_white_ground(path: pdfium_c.FPDF_PAGEOBJECT) -> bool:
    """Whether a path is a white ground that nobody sees, as Google Docs paints one behind each line of text."""
    mode, stroke = ctypes.c_int(), pdfium_c.FPDF_BOOL()
    if not pdfium_c.FPDFPath_GetDrawMode(path, mode, stroke) or stroke.value or not mode.value:
        return False
    red, green, blue, alpha = (ctypes.c_uint() for _ in range(4))
    if not pdfium_c.FPDFPageObj_GetFillColor(path, red, green, blue, alpha):
        return False
    if (red.value, green.value, blue.value) != (255, 255, 255):
        return False
    left, bottom, right, top = (ctypes.c_float() for _ in range(4))
    if not pdfium_c.FPDFPageObj_GetBounds(path, left, bottom, right, top):
        return False
    width, height = right.value - left.value, top.value - bottom.value
    return width > _THICKEST_RULE and _THICKEST_RULE < height < _HIGHEST_LINE


def _add_rule(rules: list[Rect], frame: Frame, one: tuple[float, float], two: tuple[float, float]) -> None:
    width, height = abs(one[0] - two[0]), abs(one[1] - two[1])
    if (width < 1) != (height < 1) and width + height > 4:
        rules.append(frame.shown(min(one[0], two[0]), min(one[1], two[1]), max(one[0], two[0]), max(one[1], two[1])))
