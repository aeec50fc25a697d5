"""The values of a PDF page's form fields, and the notes that are typed onto it."""

from __future__ import annotations

import ctypes

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from rag.sources.pdf.page import PageText, Rect

MOST_FIELDS = 2_000


def read_fields(document: pdfium.PdfDocument, page: pdfium.PdfPage, found: PageText) -> int:
    """Add the values of the form fields of a page, and text that was typed onto it, as words in their places.

    Returns:
        How many fields have a value. `document.init_forms()` was called.
    """
    count = min(pdfium_c.FPDFPage_GetAnnotCount(page.raw), MOST_FIELDS)
    filled = 0
    for number in range(count):
        item = pdfium_c.FPDFPage_GetAnnot(page.raw, number)
        if not item:
            continue
        try:
            value = _value(document, item)
            rect = pdfium_c.FS_RECTF()
            if value and pdfium_c.FPDFAnnot_GetRect(item, rect):
                filled += 1
                _place(found, value, found.frame.shown(rect.left, rect.bottom, rect.right, rect.top))
        finally:
            pdfium_c.FPDFPage_CloseAnnot(item)
    return filled


def _place(found: PageText, value: str, rect: Rect) -> None:
    """Write a field's value where it is shown: line by line from the top, one line in the middle."""
    x0, top, x1, bottom = rect
    lines = [" ".join(line.split()) for line in value.splitlines()][:200]
    lines = [line for line in lines if line]
    size = min(10.0, (bottom - top) / max(1, len(lines)) * 0.8) or 8.0
    middle = (top + bottom) / 2 - size * 0.6 * len(lines)
    for number, line in enumerate(lines):
        y = middle + number * size * 1.2
        found.add(line, (x0 + 1, y, min(x1, x0 + 1 + len(line) * size * 0.5), y + size * 1.2), size)
        found.words[-1].typed = True


def _value(document: pdfium.PdfDocument, item: pdfium_c.FPDF_ANNOTATION) -> str:
    """What a field or a note on the page says; "" for others."""
    kind = pdfium_c.FPDFAnnot_GetSubtype(item)
    if kind == pdfium_c.FPDF_ANNOT_FREETEXT:
        return _string(pdfium_c.FPDFAnnot_GetStringValue, item, b"Contents")
    if kind != pdfium_c.FPDF_ANNOT_WIDGET or document.formenv is None:
        return ""
    form = document.formenv.raw
    field_type = pdfium_c.FPDFAnnot_GetFormFieldType(form, item)
    if field_type in (pdfium_c.FPDF_FORMFIELD_CHECKBOX, pdfium_c.FPDF_FORMFIELD_RADIOBUTTON):
        return "[x]" if pdfium_c.FPDFAnnot_IsChecked(form, item) else ""
    if field_type in (pdfium_c.FPDF_FORMFIELD_COMBOBOX, pdfium_c.FPDF_FORMFIELD_LISTBOX):
        count = min(pdfium_c.FPDFAnnot_GetOptionCount(form, item), MOST_FIELDS)
        chosen = [number for number in range(count) if pdfium_c.FPDFAnnot_IsOptionSelected(form, item, number)]
        if labels := [_string(pdfium_c.FPDFAnnot_GetOptionLabel, form, item, number) for number in chosen]:
            return ", ".join(labels)
    if field_type in (
        pdfium_c.FPDF_FORMFIELD_TEXTFIELD,
        pdfium_c.FPDF_FORMFIELD_COMBOBOX,
        pdfium_c.FPDF_FORMFIELD_LISTBOX,
    ):
        return _string(pdfium_c.FPDFAnnot_GetFormFieldValue, form, item)
    return ""


def _string(get: object, *arguments: object) -> str:
    """A string that PDFium writes into a buffer: asked for its length in bytes first."""
    assert callable(get)
    length = get(*arguments, None, 0)
    if not 2 < length < 200_000:
        return ""
    buffer = ctypes.create_string_buffer(length)
    get(*arguments, ctypes.cast(buffer, ctypes.POINTER(ctypes.c_ushort)), length)
    return buffer.raw[: length - 2].decode("utf-16-le", "ignore")
