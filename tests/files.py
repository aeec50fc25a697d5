"""Files of every format, whole and altered, and how a test loads them."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import docx
import openpyxl
import pytest
from langchain_core.documents import Document
from PIL import Image, ImageDraw, ImageFont
from pptx import Presentation
from pptx.util import Inches
from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from bench.pdf_file import pdf_of
from rag.errors import SourceError
from rag.settings import Settings
from rag.sources.loader import (
    load_source,
    section_at,
)
from rag.sources.outline import is_heading
from rag.sources.zipped import MOST_INFLATED


def load(source: str | Path, settings: Settings) -> Document:
    """The one document of a source, checked for what the vector store would choke on."""
    (document,) = load_source(str(source), settings, private=True).documents
    assert document.metadata["source"] == str(source)
    for text in (document.page_content, document.metadata["title"]):
        assert text == text.strip() and text and "\0" not in text and "\x1e" not in text
        text.encode("utf-8")
    return document


def reason(source: str | Path, settings: Settings, *, private: bool = True) -> str:
    """Why a source is refused: one short line for a person."""
    with pytest.raises(SourceError) as caught:
        load_source(str(source), settings, private=private)
    assert caught.value.source == str(source)
    said = caught.value.reason
    assert 0 < len(said) < 250 and len(said.splitlines()) == 1
    return said


def put(folder: Path, name: str, data: bytes) -> Path:
    (folder / name).write_bytes(data)
    return folder / name


def pdf(*texts: str | None, title: str = "", to_unicode: bytes = b"") -> bytes:
    """A PDF, one page a text; None: a page without any."""
    held = io.BytesIO()
    write_pdf(*texts, title=title, to_unicode=to_unicode).write(held)
    return held.getvalue()


def write_pdf(*texts: str | None, title: str = "", to_unicode: bytes = b"") -> PdfWriter:
    writer = PdfWriter()
    for text in texts:
        page = writer.add_blank_page(300, 300)
        if text is None:
            continue
        font = DictionaryObject(
            {NameObject("/Type"): NameObject("/Font"), NameObject("/Subtype"): NameObject("/Type1")}
        )
        font[NameObject("/BaseFont")] = NameObject("/Helvetica")
        if to_unicode:
            table = DecodedStreamObject()
            table.set_data(to_unicode)
            font[NameObject("/ToUnicode")] = writer._add_object(table)
        fonts = DictionaryObject({NameObject("/F1"): font})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        stream = DecodedStreamObject()
        stream.set_data(f"BT /F1 12 Tf 10 100 Td ({text}) Tj ET".encode("latin-1"))
        page[NameObject("/Contents")] = writer._add_object(stream)
    if title:
        writer.add_metadata({"/Title": title})
    return writer


def word(*paragraphs: str) -> bytes:
    document = docx.Document()
    for paragraph in paragraphs:
        document.add_paragraph(paragraph)
    table = document.add_table(1, 2)
    table.cell(0, 0).text, table.cell(0, 1).text = "left", "right"
    held = io.BytesIO()
    document.save(held)
    return held.getvalue()


def altered(data: bytes, member: str, content: bytes | None) -> bytes:
    """A Word file with one member changed or left out."""
    held = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            if name != member:
                new.writestr(name, old.read(name))
            elif content is not None:
                new.writestr(name, content)
    return held.getvalue()


LETTER = word("A letter.")


def saved(book: Any) -> bytes:
    held = io.BytesIO()
    book.save(held)
    return held.getvalue()


def slides() -> bytes:
    show = Presentation()
    first = show.slides.add_slide(show.slide_layouts[1])
    first.shapes.title.text = "Opening\vwords"
    first.placeholders[1].text = "A point\nAnother"
    first.notes_slide.notes_text_frame.text = "Say hello"
    show.slides.add_slide(show.slide_layouts[6])  # blank
    third = show.slides.add_slide(show.slide_layouts[6])
    table = third.shapes.add_table(1, 2, Inches(1), Inches(1), Inches(4), Inches(1)).table
    table.cell(0, 0).text, table.cell(0, 1).text = "left", "right"
    group = third.shapes.add_group_shape()
    group.shapes.add_textbox(0, 0, 100, 100).text_frame.text = "grouped"
    return saved(show)


def workbook() -> bytes:
    book = openpyxl.Workbook()
    book.active.title = "People"
    book.active.append(["Name", "Age", None])
    book.active.append(["Jörg", 41.5, None])
    book.create_sheet("Empty")
    book.create_sheet("Far")["XFD1048576"] = "corner"
    return saved(book)


def zipped(members: dict[str, str | bytes]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return held.getvalue()


BOOK: dict[str, str | bytes] = {
    "mimetype": "application/epub+zip",
    "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="OPS/a.opf"/></rootfiles></container>',
    "OPS/a.opf": '<package xmlns="http://www.idpf.org/2007/opf"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/">'
    '<dc:title>The Book</dc:title></metadata><manifest><item id="nav" href="nav.xhtml" properties="nav"/>'
    '<item id="two" href="text/two.xhtml"/><item id="one" href="text/o%20ne.xhtml"/><item id="three" href="3.xhtml"/>'
    '</manifest><spine><itemref idref="nav"/><itemref idref="one"/><itemref idref="two"/><itemref idref="three"/>'
    "</spine></package>",
    "OPS/nav.xhtml": "<html><body>Contents</body></html>",
    "OPS/text/o ne.xhtml": "<?xml version='1.0'?><!DOCTYPE html><html><head><title>x</title></head><body>"
    "<h1 id='c1'>One</h1><p>First.</p><h2>Part</h2><p>Second.</p></body></html>",
    "OPS/text/two.xhtml": "<html><body><p>No heading.</p></body></html>",
    "OPS/3.xhtml": "<html><body><h1>Three</h1><p>Größe.</p></body></html>",
}


CAMPSITE = {
    "de": "# Campingplatz\n\n"
    "Ein Zelt kostet 19 Euro pro Nacht, ein Wohnmobil 34 Euro und eine Hütte 72 Euro. Die Rezeption ist"
    " täglich von acht bis zwanzig Uhr geöffnet. Offenes Feuer ist auf dem ganzen Platz verboten. Die"
    " Platzwartin heißt Greta Moll und wohnt neben der Einfahrt. Die Überfahrten mit der Fähre dauern"
    " fünfundvierzig Minuten.",
    "es": "# Camping\n\n"
    "Una tienda cuesta 19 euros por noche, una autocaravana 34 euros y una cabaña 72 euros. La recepción está"
    " abierta todos los días de ocho a veinte horas. El fuego abierto está prohibido en todo el recinto. La"
    " encargada se llama Greta Moll y vive junto a la entrada. Los viajes en ferry duran cuarenta y cinco"
    " minutos.",
    "fr": "# Camping\n\n"
    "Une tente coûte 19 euros par nuit, un camping-car 34 euros et une cabane 72 euros. La réception est"
    " ouverte tous les jours de huit à vingt heures. Les feux ouverts sont interdits sur tout le terrain. La"
    " gardienne s'appelle Greta Moll et habite près de l'entrée. Les traversées en ferry durent quarante-cinq"
    " minutes.",
    "en": "# Campsite\n\n"
    "A tent costs 19 euros a night, a camper van 34 euros and a cabin 72 euros. The reception is open every"
    " day from eight to twenty. Open fires are forbidden on the whole site. The warden is called Greta Moll and"
    " lives beside the gate. Crossings by ferry take forty-five minutes.",
    "zh": "# 营地\n\n帐篷每晚19欧元，露营车34欧元，小屋72欧元。"
    "前台每天八点到二十点开放。整个营地禁止明火。管理员叫格蕾塔，住在大门旁边。渡轮需要四十五分钟。" * 4,
}  # fmt: skip
"""The same page in five languages."""

ENTITIES = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' + "".join(
    f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def bomb_of(data: bytes, member: str) -> bytes:
    return altered(data, member, b"\0" * (MOST_INFLATED + 1))


def announced_bomb_of(data: bytes, member: str, size: int = 5_000_003) -> bytes:
    """As `bomb_of`, of which the first five megabytes are there: to pack the others takes a second."""
    return announced(altered(data, member, bytes(size)), size)


def announced(archive: bytes, size: int) -> bytes:
    """An archive whose one member of this size is said to have more than may be, in its header and in the directory."""
    real, told = (number.to_bytes(4, "little") for number in (size, MOST_INFLATED + 1))
    assert archive.count(real) == 2
    return archive.replace(real, told)


def check(document: Document) -> None:
    """What holds for the sections of every document."""
    sections: list[Any] = document.metadata["sections"]
    assert json.loads(json.dumps(sections)) == sections
    starts = [start for start, _, _ in sections]
    assert starts == sorted(set(starts))
    assert "\x02" not in document.page_content and "\x1e" not in document.page_content
    for number, (start, path, anchor) in enumerate(sections):
        assert type(start) is int and all(type(item) is str for item in (*path, anchor))
        if path:
            goes_on = any(path == before for _, before, _ in sections[:number])  # after a table with a caption
            assert goes_on or is_heading(document.page_content[start:].partition("\n")[0], path[-1])
            assert path[-1] == path[-1].strip() and "\n" not in path[-1]
        assert section_at(document.metadata, start) == (" > ".join(path), anchor)
    if sections and starts[0] > 0:
        assert section_at(document.metadata, starts[0] - 1) == ("", "")


Text = tuple[float, float, float, str]
"""Left, baseline (from the bottom), size and words of a text on a page of 595 x 842 points."""


def drawn(*pages: list[Text], title: str = "", lines: str = "", turned: bool = False, box_of_all: str = "") -> bytes:
    """A PDF with texts in their places, in the order of the file; `lines` is drawn on each page as well.

    With `turned`, a page is 842 x 595 points as it is shown, and lies on its left side in the file. `box_of_all` is the
    box of all pages, which then have none of their own.
    """
    parts = [b"<</Type/Catalog/Pages 2 0 R>>", b""]
    parts.append(b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>")
    parts.append(f"<</Title({title})>>".encode())
    kids = []
    for texts in pages:
        shown = (f"BT /F {size} Tf {x} {y} Td ({words}) Tj ET" for x, y, size, words in texts)
        content = "\n".join(["0 1 -1 0 595 0 cm" if turned else "", *shown, lines]).encode("cp1252")
        kids.append(len(parts) + 1)
        own = "" if box_of_all else "/MediaBox[0 0 595 842]"
        page = "<</Type/Page/Parent 2 0 R{}/Rotate {}/Resources<</Font<</F 3 0 R>>>>/Contents {} 0 R>>"
        parts.append(page.format(own, 90 if turned else 0, len(parts) + 2).encode())
        parts.append(b"<</Length %d>>stream\n%s\nendstream" % (len(content), content))
    box = f"/MediaBox[{box_of_all}]" if box_of_all else ""
    parts[1] = f"<</Type/Pages{box}/Count {len(kids)}/Kids[{' '.join(f'{kid} 0 R' for kid in kids)}]>>".encode()
    return pdf_of(parts, "/Root 1 0 R/Info 4 0 R")


def picture(*lines: str, kind: str = "PNG", turned: int = 0, pages: int = 1) -> bytes:
    """A picture of some lines, as a scanner makes one; `turned` to the left, in degrees.

    What is around the lines makes the part that is looked at nearly square: a wide one is enlarged, and takes twice the
    processor time.
    """
    sheet = Image.new("RGB", (1000, 400 + 48 * len(lines)), "white")
    for number, line in enumerate(lines):
        ImageDraw.Draw(sheet).text((60, 200 + 48 * number), line, "black", ImageFont.load_default(24))
    sheet = sheet.rotate(turned, expand=True)
    held = io.BytesIO()
    more = {"save_all": True, "append_images": [sheet] * (pages - 1)} if pages > 1 else {}
    sheet.save(held, kind, **more)
    return held.getvalue()
