"""Superscripts and formulas: a raised number never becomes part of the number before it."""

from __future__ import annotations

from pathlib import Path

import docx
import pptx
import pytest

from rag.settings import Settings
from tests.files import load, saved, zipped

ROOM = "The hall has 120 m² and 10³ seats, the pump 10⁻⁶ bar, for the 21st time."


@pytest.mark.parametrize(
    ("html", "text"),
    [
        (
            "The hall has 120 m<sup>2</sup> and 10<sup>3</sup> seats, the pump 10<sup>−6</sup> bar, for the"
            " 21<sup>st</sup> time.",
            ROOM,
        ),
        (
            "It costs 18<sup><a href=#n1>2</a></sup> euros, cats 5<a href=#n2><sup>3</sup></a>.",
            "It costs 18[2] euros, cats 5[3].",
        ),
        ("It costs 18<sup>*</sup> euros, H<sub>2</sub>O is free.", "It costs 18* euros, H2O is free."),
        (
            "It rises at 823 m<sup class=reference><a href=#cite_note-1>[1]</a></sup> and flows<sup class='noprint x'>"
            "[citation needed]</sup> east.",
            "It rises at 823 m and flows east.",
        ),
        (
            "The area is <math><mi>A</mi><mo>=</mo><mi>π</mi><msup><mi>r</mi><mn>2</mn></msup></math>.",
            "The area is A = πr^2.",
        ),
        (
            "Of <span class=katex><math><semantics><msup><mi>x</mi><mn>2</mn></msup><annotation>x^2</annotation>"
            "</semantics></math><span class=katex-html aria-hidden=true>x2</span></span> kinds.",
            "Of x^2 kinds.",
        ),
        ("Given <img class=mwe-math-fallback-image-inline alt='{\\displaystyle N_{i}}'> boats.", "Given N_{i} boats."),
        ("Given <math><mi>a</math> boats.", "Given a boats."),
    ],
    ids=["numbers", "notes", "other signs", "a wiki's references", "MathML", "KaTeX", "a picture", "unclosed"],
)
def test_on_a_page(html: str, text: str, tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "a.html"
    path.write_text(f"<title>T</title><h1>Hall</h1><p>{html}</p>", encoding="utf-8")
    assert load(path, settings).page_content == f"Hall\n{text}"


def test_in_a_table_and_a_heading_of_a_wiki(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "a.html"
    path.write_text(
        "<h2>Hall<span class=mw-editsection>[<a href=/e>edit</a>]</span></h2><table><tr><th>Room<th>m<sup>2</sup>"
        "<tr><td>Hall<td>10<sup>2</sup></table>",
        encoding="utf-8",
    )
    assert load(path, settings).page_content == "Hall\nRoom: Hall | m²: 10²"


PIECES = [("The hall has 120 m", ""), ("2", "+"), (" and 10", ""), ("3", "+"), (" seats, the pump 10", ""), ("-6", "+")]
PIECES += [(" bar, for the 21", ""), ("st", "+"), (" time.", "")]


def in_word() -> bytes:
    document = docx.Document()
    paragraph = document.add_paragraph()
    for text, place in PIECES:
        paragraph.add_run(text).font.superscript = bool(place)
    return saved(document)


def in_slides() -> bytes:
    show = pptx.Presentation()
    slide = show.slides.add_slide(show.slide_layouts[5])
    paragraph = slide.shapes.title.text_frame.paragraphs[0]
    for text, place in PIECES:
        run = paragraph.add_run()
        run.text = text
        if place:
            run.font._element.set("baseline", "30000")
    return saved(show)


def in_rtf() -> bytes:
    parts = (rf"{{\super {text}}}" if place else text for text, place in PIECES)
    return rf"{{\rtf1 {''.join(parts)}\par}}".encode()


def in_opendocument() -> bytes:
    spaces = " ".join(f'xmlns:{name}="urn:{name}"' for name in ("office", "text", "style"))
    style = '<style:style style:name="T1" style:family="text"><style:text-properties style:text-position="super 58%"/>'
    spans = (f'<text:span text:style-name="T1">{text}</text:span>' if place else text for text, place in PIECES)
    content = (
        f"<office:document-content {spaces}><office:automatic-styles>{style}</style:style></office:automatic-styles>"
        f"<office:body><office:text><text:p>{''.join(spans)}</text:p></office:text></office:body></office:document-content>"
    )
    return zipped({"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": content})


@pytest.mark.parametrize(
    ("name", "make"),
    [("a.docx", in_word), ("a.pptx", in_slides), ("a.rtf", in_rtf), ("a.odt", in_opendocument)],
)
def test_in_files(name: str, make, tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / name
    path.write_bytes(make())
    assert ROOM in load(path, settings).page_content


def test_in_markdown(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "a.md"
    path.write_text("It has 10<sup>3</sup> seats for the 21<sup>st</sup> time.", encoding="utf-8")
    assert load(path, settings).page_content == "It has 10³ seats for the 21st time."
