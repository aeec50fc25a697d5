"""Slide shows: titles, tables, charts, notes and comments of each slide, in the order in which they are read."""

# ruff: noqa: E501  # the XML

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from lxml import etree
from pptx import Presentation
from pptx.chart.data import CategoryChartData, XyChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Inches

from rag.settings import Settings
from rag.sources.loader import load_source
from tests.files import altered, check, saved

CASES = Path(__file__).parent / "data" / "cases"
A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def loaded(path: Path, settings: Settings) -> list[Document]:
    found = load_source(str(path), settings, private=True)
    assert found is not None
    for document in found.documents:
        check(document)
    return found.documents


def texts(show: Any, folder: Path, settings: Settings) -> list[str]:
    (folder / "a.pptx").write_bytes(show if isinstance(show, bytes) else saved(show))
    return [document.page_content for document in loaded(folder / "a.pptx", settings)]


def blank() -> tuple[Any, Any]:
    """A show and its only slide."""
    show = Presentation()
    return show, show.slides.add_slide(show.slide_layouts[6])


def box(slide: Any, text: str, left: float, top: float, wide: float = 3, high: float = 1) -> None:
    shape = slide.shapes.add_textbox(Inches(left), Inches(top), Inches(wide), Inches(high))
    shape.text_frame.text = text


def test_case_of_the_deck(settings: Settings) -> None:
    first, second = loaded(CASES / "pptx" / "deck.pptx", settings)
    lines = first.page_content.split("\n")
    assert lines[0] == "Revenue by country" and "Norway | Revenue 2025: 73" in lines
    assert "Notes: Mention the fjord contract" in lines
    assert second.page_content.split("\n") == ["Team", "", "Name: Ida | Role: Welder", "Name: Tom | Role: Pilot"]
    assert first.metadata["notes"][0] == "2 slides" and "notes" not in second.metadata


@pytest.mark.parametrize("kind", ["dt", "ftr", "sldNum"])
def test_what_is_on_every_slide_is_not_read(kind: str, tmp_path: Path, settings: Settings) -> None:
    show, slide = blank()
    box(slide, "Servers vote", 1, 1)
    box(slide, "March 3, 2013", 1, 6)
    place = slide.shapes[1].element.nvSpPr.nvPr
    place.append(place.makeelement("{http://schemas.openxmlformats.org/presentationml/2006/main}ph", {"type": kind}))
    assert texts(show, tmp_path, settings) == ["Servers vote"]


def test_shapes_are_read_from_top_to_bottom(tmp_path: Path, settings: Settings) -> None:
    show, slide = blank()
    for text, left, top in (("last", 1, 6), ("first", 1, 0.5), ("middle", 1, 3)):
        box(slide, text, left, top)
    assert texts(show, tmp_path, settings) == ["first\n\nmiddle\n\nlast"]


def test_headings_stay_over_their_columns(tmp_path: Path, settings: Settings) -> None:
    show, slide = blank()
    for text, left, top in (("Pros", 1, 1), ("cheap", 1, 2.5), ("Cons", 5, 1), ("slow", 5, 2.5)):
        box(slide, text, left, top)
    assert texts(show, tmp_path, settings) == ["Pros\n\ncheap\n\nCons\n\nslow"]


def test_all_slides_are_called_by_the_title_of_the_first(tmp_path: Path, settings: Settings) -> None:
    show = Presentation()
    for title in ("Project Heron:\nthe CX-300", "Budget"):
        show.slides.add_slide(show.slide_layouts[5]).shapes.title.text = title
    (tmp_path / "kickoff.pptx").write_bytes(saved(show))
    titles = [document.metadata["title"] for document in loaded(tmp_path / "kickoff.pptx", settings)]
    assert titles == ["Project Heron: the CX-300"] * 2


def test_a_wide_box_above_columns_leaves_them_columns(tmp_path: Path, settings: Settings) -> None:
    show, slide = blank()
    box(slide, "Two options", 1, 0.5, wide=8)
    for left, told in ((1, ("Option A", "Costs 25k")), (5, ("Option B", "Costs 40k"))):
        for number, line in enumerate(told):
            box(slide, line, left, 2 + 1.5 * number)
    (text,) = texts(show, tmp_path, settings)
    assert text.split("\n\n") == ["Two options", "Option A", "Costs 25k", "Option B", "Costs 40k"]


def test_lists_keep_their_levels(tmp_path: Path, settings: Settings) -> None:
    show = Presentation()
    slide = show.slides.add_slide(show.slide_layouts[1])  # its bullets are those of the master
    slide.shapes.title.text = "Rules"
    frame = slide.placeholders[1].text_frame
    frame.text = "Short:"
    for level, text in ((1, "Call Fail()."), (1, "Twice\vis too often"), (0, "Late"), (0, ""), (2, "Deep")):
        paragraph = frame.add_paragraph()
        paragraph.text, paragraph.level = text, level
    plain = frame.add_paragraph()
    plain.text = "No bullet"
    plain._p.get_or_add_pPr().append(plain._p.makeelement(f"{A}buNone", {}))
    assert texts(show, tmp_path, settings)[0].split("\n") == [
        *(
            "Rules",
            "",
            "- Short:",
            "  - Call Fail().",
            "  - Twice",
            "    is too often",
            "- Late",
            "    - Deep",
            "No bullet",
        ),
    ]


def test_titles_and_boxes_have_no_bullets(tmp_path: Path, settings: Settings) -> None:
    show = Presentation()
    slide = show.slides.add_slide(show.slide_layouts[0])
    slide.shapes.title.text, slide.placeholders[1].text = "Rules", "of the harbour"
    box(slide, "Barry Dorrans", 1, 6)
    assert texts(show, tmp_path, settings) == ["Rules\n\nof the harbour\n\nBarry Dorrans"]


def test_numbers_that_the_show_counts(tmp_path: Path, settings: Settings) -> None:
    show, slide = blank()
    items = [
        *((0, "arabicPeriod", "Row", 1), (1, "alphaLcParenR", "left", 1), (1, "alphaLcParenR", "right", 1)),
        *(
            (0, "arabicPeriod", "Rest", 1),
            (0, "", "Then", 1),
            (0, "romanUcParenBoth", "Eat", 4),
            (0, "arabicPeriod", "End", 1),
        ),
    ]
    frame = slide.shapes.add_textbox(0, 0, Inches(3), Inches(3)).text_frame
    for number, (level, kind, text, start) in enumerate(items):
        paragraph = frame.add_paragraph() if number else frame.paragraphs[0]
        paragraph.text, paragraph.level = text, level
        if kind:
            given = {"type": kind, "startAt": str(start)} if start > 1 else {"type": kind}
            paragraph._p.get_or_add_pPr().append(paragraph._p.makeelement(f"{A}buAutoNum", given))
    assert texts(show, tmp_path, settings)[0].split("\n") == [
        *("1. Row", "  a) left", "  b) right", "2. Rest", "Then", "(IV) Eat", "1. End"),
    ]


def test_lists_tables_and_notes_stay_apart(tmp_path: Path, settings: Settings) -> None:
    show = Presentation()
    slide = show.slides.add_slide(show.slide_layouts[1])
    slide.shapes.title.text, slide.placeholders[1].text = "Fees", "For boats\nFor sails"
    table = slide.shapes.add_table(2, 2, Inches(1), Inches(6.5), Inches(6), Inches(1)).table
    for number, text in enumerate(("Boat", "Fee", "Heron", "48")):
        table.cell(number // 2, number % 2).text = text
    slide.notes_slide.notes_text_frame.text = "Mention the harbour"
    assert texts(show, tmp_path, settings)[0].split("\n\n") == [
        *("Fees", "- For boats\n- For sails", "Boat: Heron | Fee: 48", "Notes: Mention the harbour"),
    ]


def test_merged_cells_are_repeated(tmp_path: Path, settings: Settings) -> None:
    show, slide = blank()
    table = slide.shapes.add_table(4, 3, Inches(1), Inches(1), Inches(6), Inches(2)).table
    rows = [["Region", "Year", "Tons"], ["North", "2024", "410"], ["", "2025", "385"], ["South", "none", ""]]
    for number, row in enumerate(rows):
        for column, text in enumerate(row):
            table.cell(number, column).text = text
    table.cell(1, 0).merge(table.cell(2, 0))
    table.cell(3, 1).merge(table.cell(3, 2))
    assert texts(show, tmp_path, settings)[0].split("\n") == [
        "Region: North | Year: 2024 | Tons: 410",
        "Region: North | Year: 2025 | Tons: 385",
        "Region: South | Year: none | Tons: none",
    ]


def test_charts(tmp_path: Path, settings: Settings) -> None:
    show, slide = blank()
    data = CategoryChartData(number_format="0.0%")
    data.categories = ["Oslo", "Bergen"]
    data.add_series("2024", (0.125, 0.5))
    data.add_series("2025", (0.25, None))
    frame = slide.shapes.add_chart(XL_CHART_TYPE.LINE, 0, 0, Inches(4), Inches(3), data)
    frame.chart.has_title = True
    frame.chart.chart_title.text_frame.text = "Share of sailors"
    frame.chart.value_axis.has_title = True
    frame.chart.value_axis.axis_title.text_frame.text = "of all people"
    points = XyChartData()
    series = points.add_series("Depth")
    series.add_data_point(1.5, 20)
    slide.shapes.add_chart(XL_CHART_TYPE.XY_SCATTER, 0, Inches(4), Inches(4), Inches(3), points)
    (text,) = texts(show, tmp_path, settings)
    assert text.split("\n") == [
        *(
            "Share of sailors",
            "Oslo | 2024: 12.5% | 2025: 25.0%",
            "Bergen | 2024: 50.0%",
            "In the chart: of all people",
        ),
        *("", "Depth", "1.5 | Depth: 20"),
    ]


def test_hidden_slides_are_read_and_told(tmp_path: Path, settings: Settings) -> None:
    show, slide = blank()
    box(slide, "Secret plan", 1, 1)
    slide._element.set("show", "0")
    (tmp_path / "a.pptx").write_bytes(saved(show))
    (document,) = loaded(tmp_path / "a.pptx", settings)
    assert document.page_content == "Secret plan\n\n(This slide is hidden in the show.)"
    assert document.metadata["notes"] == ["1 slide", "hidden slide, read too: 1"]


def with_comments(data: bytes, kind: str, comments: str, authors: str) -> bytes:
    """A show with comments on its first slide."""
    slide, main = "ppt/slides/_rels/slide1.xml.rels", "ppt/_rels/presentation.xml.rels"
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        relations = {name: archive.read(name).decode() for name in (slide, main)}
    more = {slide: ("comments", "../comments/c1.xml"), main: (kind, "people.xml")}
    for name, (relation, target) in more.items():
        entry = f'<Relationship Id="rId90" Type="{RELATIONS}/{relation}" Target="{target}"/></Relationships>'
        data = altered(data, name, relations[name].replace("</Relationships>", entry).encode())
    held = io.BytesIO(data)
    with zipfile.ZipFile(held, "a") as archive:
        archive.writestr("ppt/comments/c1.xml", comments)
        archive.writestr("ppt/people.xml", authors)
    return held.getvalue()


@pytest.mark.parametrize(
    ("kind", "comments", "authors", "said"),
    [
        (
            "commentAuthors",
            '<p:cmLst xmlns:p="p"><p:cm authorId="0"><p:text>Check the sum</p:text></p:cm></p:cmLst>',
            '<p:cmAuthorLst xmlns:p="p"><p:cmAuthor id="0" name="Ann"/></p:cmAuthorLst>',
            ["Comment by Ann: Check the sum"],
        ),
        (
            "authors",
            '<q:cmLst xmlns:q="q" xmlns:a="a"><q:cm authorId="{A}"><q:replyLst><q:reply authorId="{B}"><q:txBody><a:p><a:r>'
            "<a:t>Done</a:t></a:r></a:p></q:txBody></q:reply></q:replyLst><q:txBody><a:p><a:r><a:t>Check it</a:t></a:r></a:p>"
            "</q:txBody></q:cm></q:cmLst>",
            '<q:authorLst xmlns:q="q"><q:author id="{A}" name="Ann"/><q:author id="{B}" name="Bo"/></q:authorLst>',
            ["Comment by Ann: Check it", "Comment by Bo: Done"],
        ),
    ],
    ids=["classic", "threaded"],
)
def test_comments(kind: str, comments: str, authors: str, said: list[str], tmp_path: Path, settings: Settings) -> None:
    show, slide = blank()
    box(slide, "A sum", 1, 1)
    data = with_comments(saved(show), kind, comments, authors)
    assert texts(data, tmp_path, settings) == ["\n\n".join(["A sum", *said])]


def test_the_number_of_the_slide_is_no_note(tmp_path: Path, settings: Settings) -> None:
    show, slide = blank()
    box(slide, "Opening", 1, 1)
    notes = slide.notes_slide.notes_text_frame
    field = '<a:fld xmlns:a="{}" id="{{B5A2C3D4-0000-4000-8000-000000000000}}" type="slidenum"><a:t>7</a:t></a:fld>'
    namespace = "http://schemas.openxmlformats.org/drawingml/2006/main"
    notes.paragraphs[0]._p.append(etree.fromstring(field.format(namespace)))
    assert texts(show, tmp_path, settings) == ["Opening"]


def test_struck_out_text_is_not_read(tmp_path: Path, settings: Settings) -> None:
    show, slide = blank()
    box(slide, "Price: 49 ", 1, 1)
    paragraph = slide.shapes[-1].text_frame.paragraphs[0]
    paragraph.runs[0].font._element.set("strike", "sngStrike")
    paragraph.add_run().text = "29 euros"
    assert texts(show, tmp_path, settings) == ["29 euros"]


def test_equations_of_slides(tmp_path: Path, settings: Settings) -> None:
    show, slide = blank()
    box(slide, "WORD", 1, 1)
    math = (
        '<mc:AlternateContent xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"><mc:Choice Requires="a14">'
        '<a14:m xmlns:a14="a14"><m:oMath xmlns:m="m"><m:sSup><m:e><m:r><m:t>c</m:t></m:r></m:e><m:sup><m:r><m:t>2</m:t></m:r>'
        "</m:sup></m:sSup></m:oMath></a14:m></mc:Choice><mc:Fallback><a:r><a:t>picture</a:t></a:r></mc:Fallback></mc:AlternateContent>"
    )
    data = saved(show)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        slide_xml = archive.read("ppt/slides/slide1.xml").decode()
    data = altered(data, "ppt/slides/slide1.xml", slide_xml.replace("<a:r><a:t>WORD</a:t></a:r>", math).encode())
    assert texts(data, tmp_path, settings) == ["c^2"]
