"""Word files: all that a reader of the page sees is in the text, once, and nothing that was deleted."""

# ruff: noqa: E501  # the XML

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import docx
import pytest
from docx.oxml import parse_xml
from docx.shared import Pt

from rag.settings import Settings
from tests.files import altered, check, load, saved

CASES = Path(__file__).parent / "data" / "cases"
SPACES = (
    'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" '
    'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships" '
    'xmlns:v="urn:schemas-microsoft-com:vml" '
    'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" '
    'xmlns:wps="http://schemas.microsoft.com/office/word/2010/wordprocessingShape" '
    'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" '
    'xmlns:c="http://schemas.openxmlformats.org/drawingml/2006/chart" '
    'xmlns:dgm="http://schemas.openxmlformats.org/drawingml/2006/diagram"'
)
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def run(text: str) -> str:
    return f'<w:r><w:t xml:space="preserve">{text}</w:t></w:r>'


def paragraph(content: str) -> str:
    return f"<w:p>{content}</w:p>"


def body(*blocks: str) -> Any:
    """A document with these blocks."""
    document = docx.Document()
    place = document.element.body
    for block in blocks:
        place.insert(len(place) - 1, parse_xml(block.replace(">", f" {SPACES}>", 1)))
    return document


def with_part(data: bytes, name: str, kind: str, content: str) -> bytes:
    """A Word file with one part more, which its text refers to as rId90."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        relations = archive.read("word/_rels/document.xml.rels").decode()
    more = f'<Relationship Id="rId90" Type="{RELATIONS}/{kind}" Target="{name}"/></Relationships>'
    data = altered(data, "word/_rels/document.xml.rels", relations.replace("</Relationships>", more).encode())
    held = io.BytesIO(data)
    with zipfile.ZipFile(held, "a") as archive:
        archive.writestr(f"word/{name}", content)
    return held.getvalue()


def text_of(data: bytes, folder: Path, settings: Settings) -> str:
    (folder / "a.docx").write_bytes(data)
    document = load(folder / "a.docx", settings)
    check(document)
    return document.page_content


def test_case_of_the_lease(settings: Settings) -> None:
    document = load(CASES / "docx" / "lease.docx", settings)
    check(document)
    text = document.page_content
    lines = text.split("\n")
    assert "Unit: B2 | Tenant: Otter Books | Rent per month: 950 | Deposit: 2,850" in lines
    assert lines[0] == "Page header: File reference KX-5521 confidential"
    assert lines[-1] == "Page footer: Approved by Dr. Oyelaran on 3 May 2026"
    for line in (
        "Emergency line 0800 4411",
        "Caretaker lives at number 14",
        "Interest: i=p*r*t",
        "2. Return the keys.",
    ):
        assert lines.count(line) == 1
    assert "The notice period is six months.\n\nComment by Ann: Check with the solicitor Ms Varga" in text
    assert "three" not in text
    assert [path for _, path, _ in document.metadata["sections"]] == [["Lease terms"], ["Lease terms", "Notice"], []]
    assert "tracked changes are read as accepted" in document.metadata["notes"]


def test_merged_cells_are_repeated(tmp_path: Path, settings: Settings) -> None:
    document = docx.Document()
    document.add_paragraph("Table 1: Harvest", style="Caption")
    table = document.add_table(4, 3)
    values = [["Region", "Year", "Tons"], ["North", "2024", "410"], ["", "2025", "385"], ["South", "2025", ""]]
    for row, texts in zip(table.rows, values, strict=True):
        for cell, text in zip(row.cells, texts, strict=True):
            cell.text = text
    table.cell(1, 0).merge(table.cell(2, 0))
    table.cell(3, 1).merge(table.cell(3, 2)).text = "none yet"
    document.add_paragraph("After it.")
    (tmp_path / "a.docx").write_bytes(saved(document))
    loaded = load(tmp_path / "a.docx", settings)
    check(loaded)
    assert loaded.page_content.split("\n") == [
        "Table 1: Harvest",
        "Region: North | Year: 2024 | Tons: 410",
        "Region: North | Year: 2025 | Tons: 385",
        "Region: South | Year: none yet | Tons: none yet",
        "",
        "After it.",
    ]
    assert [path for _, path, _ in loaded.metadata["sections"]] == [["Table 1: Harvest"], []]


def test_two_rows_of_column_names(tmp_path: Path, settings: Settings) -> None:
    document = docx.Document()
    table = document.add_table(3, 5)
    values = [
        ["", "2024", "", "2025", ""],
        ["Region", "Plan", "Actual", "Plan", "Actual"],
        ["North", "1", "2", "3", "4"],
    ]
    for row, texts in zip(table.rows, values, strict=True):
        for cell, text in zip(row.cells, texts, strict=True):
            cell.text = text
    for column in (1, 3):
        table.cell(0, column).merge(table.cell(0, column + 1))
    line = "Region: North | 2024 Plan: 1 | 2024 Actual: 2 | 2025 Plan: 3 | 2025 Actual: 4"
    assert text_of(saved(document), tmp_path, settings) == line


def test_names_in_front_of_values_are_no_header(tmp_path: Path, settings: Settings) -> None:
    document = docx.Document()
    table = document.add_table(3, 2)
    for row, texts in zip(table.rows, [["Name:", "Ida"], ["City:", "Kiel"], ["Ship:", "Möwe"]], strict=True):
        for cell, text in zip(row.cells, texts, strict=True):
            cell.text = text
    assert text_of(saved(document), tmp_path, settings) == "Name: Ida\nCity: Kiel\nShip: Möwe"


def test_bold_names_in_front_of_values_are_no_header(tmp_path: Path, settings: Settings) -> None:
    document = docx.Document()
    for bold in (True, False):
        table = document.add_table(3, 2)
        for row, texts in zip(table.rows, [["Keel", "Ida"], ["Sail", "Kiel"], ["Ship", "Möwe"]], strict=True):
            row.cells[0].paragraphs[0].add_run(texts[0]).bold = bold
            row.cells[1].text = texts[1]
        document.add_paragraph("and")
    text = text_of(saved(document), tmp_path, settings)
    assert text == "Keel: Ida\nSail: Kiel\nShip: Möwe\n\nand\n\nKeel | Ida\nSail | Kiel\nShip | Möwe\n\nand"


def test_tables_in_cells_and_tables_for_layout(tmp_path: Path, settings: Settings) -> None:
    document = docx.Document()
    frame = document.add_table(1, 1)
    frame.cell(0, 0).text = "In a frame"
    inner = frame.cell(0, 0).add_table(2, 2)
    for cell, text in zip(inner._cells, ["Model", "Price", "Heron", "429"], strict=True):
        cell.text = text
    outer = document.add_table(2, 2)
    for cell, text in zip(outer._cells, ["Kind", "Parts", "Bike", ""], strict=True):
        cell.text = text
    box = outer.cell(1, 1).add_table(1, 1)
    box.cell(0, 0).text = "bell"
    text = text_of(saved(document), tmp_path, settings)
    assert "In a frame" in text.split("\n") and "Model: Heron | Price: 429" in text.split("\n")
    assert "Bike" in text and [line for line in text.split("\n") if "Bike" in line and "bell" in line]


def test_a_header_above_one_row_with_a_table_in_it(tmp_path: Path, settings: Settings) -> None:
    document = docx.Document()
    outer = document.add_table(2, 2)
    outer.cell(0, 0).text, outer.cell(0, 1).text, outer.cell(1, 0).text = "Model", "Details", "Heron"
    inner = outer.cell(1, 1).add_table(2, 2)
    for row, texts in zip(inner.rows, [["Gear", "Price"], ["Hub", "90"]], strict=True):
        for cell, text in zip(row.cells, texts, strict=True):
            cell.text = text
    assert text_of(saved(document), tmp_path, settings) == "Model: Heron | Details: Gear: Hub | Price: 90"


def test_tracked_changes_are_accepted(tmp_path: Path, settings: Settings) -> None:
    marked = '<w:pPr><w:rPr><w:del w:id="9" w:author="x"/></w:rPr></w:pPr>'
    cell = "<w:tc><w:p><w:r><w:t>{}</w:t></w:r></w:p></w:tc>"
    row = f"<w:tr>{{}}{cell}{cell}</w:tr>"
    gone = '<w:trPr><w:del w:id="8" w:author="x"/></w:trPr>'
    document = body(
        paragraph(
            run("Kept ")
            + f'<w:ins w:id="1">{run("added")}</w:ins><w:del w:id="2"><w:r><w:delText>lost</w:delText></w:r></w:del>'
        ),
        paragraph(f'<w:moveFrom w:id="3">{run("Moved away")}</w:moveFrom>'),
        paragraph(f'<w:moveTo w:id="4">{run("Moved here")}</w:moveTo>'),
        paragraph(marked + run("One line ")),
        paragraph(run("made of two")),
        f"<w:tbl>{row.format('', 'a', 'b')}{row.format(gone, 'struck', 'out')}{row.format('', '1', '2')}</w:tbl>",
    )
    assert (
        text_of(saved(document), tmp_path, settings)
        == "Kept added\n\nMoved here\n\nOne line made of two\n\na: 1 | b: 2"
    )


def test_what_is_written_in_two_ways_comes_once(tmp_path: Path, settings: Settings) -> None:
    box = f"<w:txbxContent>{paragraph(run('In the box'))}</w:txbxContent>"
    both = (
        f'<w:r><mc:AlternateContent><mc:Choice Requires="wps"><w:drawing><wps:wsp><wps:txbx>{box}</wps:txbx></wps:wsp>'
        f"</w:drawing></mc:Choice><mc:Fallback><w:pict><v:shape><v:textbox>{box}</v:textbox></v:shape></w:pict></mc:Fallback>"
        "</mc:AlternateContent></w:r>"
    )
    document = body(paragraph(run("Beside") + both))
    assert text_of(saved(document), tmp_path, settings) == "Beside\n\nIn the box"


def test_notes_follow_the_paragraph(tmp_path: Path, settings: Settings) -> None:
    note = '<w:r><w:footnoteReference w:id="2"/></w:r>'
    data = saved(body(paragraph(run("Built in 1871") + note + run(".")), paragraph(run("Next."))))
    notes = f'<w:footnotes {SPACES}><w:footnote w:type="separator" w:id="0"><w:p/></w:footnote>'
    notes += f'<w:footnote w:id="2">{paragraph(run("By the harbour board."))}</w:footnote></w:footnotes>'
    text = text_of(with_part(data, "footnotes.xml", "footnotes", notes), tmp_path, settings)
    assert text == "Built in 1871 [1].\n\n[1] By the harbour board.\n\nNext."


def test_comments_in_cells_and_without_a_place(tmp_path: Path, settings: Settings) -> None:
    cell = "<w:tc><w:p>{}</w:p></w:tc>"
    rows = f"<w:tr>{cell.format(run('a'))}{cell.format(run('b'))}</w:tr>"
    marked = run("2") + '<w:r><w:commentReference w:id="5"/></w:r>'
    rows += f"<w:tr>{cell.format(run('1'))}{cell.format(marked)}</w:tr>"
    data = saved(body(f"<w:tbl>{rows}</w:tbl>", paragraph(run("End"))))
    comments = "".join(
        f'<w:comment w:id="{number}" w:author="{author}">{paragraph(run(text))}</w:comment>'
        for number, author, text in ((5, "Ann", "too high"), (6, "", "nowhere"))
    )
    text = text_of(
        with_part(data, "comments9.xml", "comments", f"<w:comments {SPACES}>{comments}</w:comments>"),
        tmp_path,
        settings,
    )
    assert text == "a: 1 | b: 2\n\nComment by Ann: too high\n\nEnd\n\nComment: nowhere"


def test_headers_and_footers_come_once(tmp_path: Path, settings: Settings) -> None:
    document = docx.Document()
    document.add_heading("One", 1)
    document.add_section()
    for number, section in enumerate(document.sections):
        section.header.is_linked_to_previous = section.footer.is_linked_to_previous = False
        section.header.paragraphs[0].text = "The same header"
        section.footer.paragraphs[0].text = f"Footer {number}"
    text = text_of(saved(document), tmp_path, settings)
    assert text.split("\n\n") == [
        "Page header: The same header",
        "One",
        "Page footer: Footer 0",
        "Page footer: Footer 1",
    ]


def field(code: str, value: str) -> str:
    begin, between, end = (f'<w:r><w:fldChar w:fldCharType="{kind}"/></w:r>' for kind in ("begin", "separate", "end"))
    return f"{begin}<w:r><w:instrText> {code} </w:instrText></w:r>{between}{run(value)}{end}"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (run("Page ") + field("PAGE", "3") + run(" of ") + field("NUMPAGES", "12"), ""),
        (run("- ") + f'<w:fldSimple w:instr="PAGE">{run("iv")}</w:fldSimple>' + run(" -"), ""),
        (run("Seite 3 von 12"), ""),
        (run("3 | Page"), ""),
        (run("第 3 页 共 12 页"), ""),
        (run("File KX-55, page ") + field("PAGE \\* MERGEFORMAT", "3"), "File KX-55, page"),
        (field("STYLEREF Title", "Boats") + run(" until ") + field("DATE", "May"), "until May"),
        (run("HARBOUR RULES"), ""),
        (run("HARBOUR RULES, second draft"), "HARBOUR RULES, second draft"),
        (run("Civil"), "Civil"),
        (run("Section 2"), "Section 2"),
    ],
)
def test_headers_and_footers_that_say_nothing(content: str, said: str, tmp_path: Path, settings: Settings) -> None:
    document = docx.Document()
    document.add_heading("Harbour rules", 1)
    for edge in (document.sections[0].header, document.sections[0].footer):
        edge.is_linked_to_previous = False
        edge._element.append(parse_xml(paragraph(content).replace("<w:p>", f"<w:p {SPACES}>", 1)))
    text = text_of(saved(document), tmp_path, settings)
    whole = f"Page header: {said}\n\nHarbour rules\n\nPage footer: {said}" if said else "Harbour rules"
    assert text == whole


def test_numbers_that_word_counts(tmp_path: Path, settings: Settings) -> None:
    document = docx.Document()
    for text in ("Sign.", "Pay."):
        document.add_paragraph(text, style="List Number")
    document.add_paragraph("Bread", style="List Bullet")
    assert text_of(saved(document), tmp_path, settings) == "1. Sign.\n2. Pay.\nBread"


def level(depth: int, text: str, more: str = "", start: str = '<w:start w:val="1"/>', shown: str = "decimal") -> str:
    return f'<w:lvl w:ilvl="{depth}">{start}<w:numFmt w:val="{shown}"/>{more}<w:lvlText w:val="{text}"/></w:lvl>'


def numbered(plans: str, lists: str, *items: tuple[str, int, str]) -> bytes:
    """A Word file with these lists, and paragraphs in them: the list's id, how deep, the text."""
    settings = '<w:pPr><w:numPr><w:ilvl w:val="{}"/><w:numId w:val="{}"/></w:numPr></w:pPr>'
    data = saved(
        body(*(paragraph(settings.format(depth, name) + (run(text) if text else "")) for name, depth, text in items))
    )
    return altered(data, "word/numbering.xml", f"<w:numbering {SPACES}>{plans}{lists}</w:numbering>".encode())


def plan(identity: int, *levels: str) -> str:
    return f'<w:abstractNum w:abstractNumId="{identity}">{"".join(levels)}</w:abstractNum>'


def listed(identity: int, plan: int, changes: str = "") -> str:
    return f'<w:num w:numId="{identity}"><w:abstractNumId w:val="{plan}"/>{changes}</w:num>'


CHAPTERS = (
    level(0, "CHAPTER %1 -", start=""),
    level(1, "%1.%2.", start=""),
    level(2, "%1.%2.%3."),
    level(3, "%4.", shown="lowerLetter"),
)


@pytest.mark.parametrize(
    ("plans", "lists", "items", "lines"),
    [
        (
            plan(1, *CHAPTERS),
            listed(7, 1),
            [("7", 0, "Names"), ("7", 1, "Use"), ("7", 2, "One"), ("7", 0, "Fees"), ("7", 1, "Sums"), ("7", 2, "Two")],
            ["CHAPTER 0 - Names", "0.0. Use", "0.0.1. One", "CHAPTER 1 - Fees", "1.0. Sums", "1.0.1. Two"],
        ),
        (
            plan(1, level(0, "%1.")),
            listed(7, 1) + listed(8, 1, '<w:lvlOverride w:ilvl="0"><w:startOverride w:val="4"/></w:lvlOverride>'),
            [("7", 0, "a"), ("7", 0, "b"), ("8", 0, "c"), ("8", 0, "d"), ("7", 0, "e")],
            ["1. a", "2. b", "4. c", "5. d", "6. e"],
        ),
        (
            plan(1, level(0, "%1.")),
            listed(7, 1) + listed(8, 1, '<w:lvlOverride w:ilvl="0"><w:startOverride/></w:lvlOverride>'),
            [("7", 0, "a"), ("8", 0, "b"), ("8", 0, "c")],
            ["1. a", "0. b", "1. c"],
        ),
        (
            plan(1, level(0, "Art. %1"), level(1, "%2)", '<w:lvlRestart w:val="0"/>')),
            listed(7, 1),
            [("7", 0, "a"), ("7", 1, "b"), ("7", 0, "c"), ("7", 1, "d")],
            ["Art. 1 a", "1) b", "Art. 2 c", "2) d"],
        ),
        (
            plan(1, level(0, "第%1章", shown="chineseCountingThousand"), level(1, "%2", shown="ordinal")),
            listed(7, 1),
            [*(("7", 0, "") for _ in range(11)), ("7", 0, "总则"), ("7", 1, "x"), ("7", 1, "y")],
            ["第十二章 总则", "1st x", "2nd y"],
        ),
        (
            plan(1, level(0, "%1.")),
            listed(7, 1),
            [("7", 0, "a"), ("7", 0, ""), ("7", 0, "c")],
            ["1. a", "3. c"],
        ),
    ],
    ids=["from 0", "begun anew", "begun anew at 0", "gone on below", "Chinese", "an empty item"],
)
def test_numbers_of_lists(
    plans: str, lists: str, items: list[tuple[str, int, str]], lines: list[str], tmp_path: Path, settings: Settings
) -> None:
    assert text_of(numbered(plans, lists, *items), tmp_path, settings).split("\n") == lines


def test_a_list_that_a_style_defines(tmp_path: Path, settings: Settings) -> None:
    plans = '<w:abstractNum w:abstractNumId="1"><w:numStyleLink w:val="Legal"/></w:abstractNum>'
    plans += plan(2, '<w:styleLink w:val="Legal"/>', level(0, "§ %1"))
    data = numbered(plans, listed(7, 1) + listed(8, 2), ("7", 0, "Seat"), ("7", 0, "Aims"))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        styles = archive.read("word/styles.xml").decode()
    style = '<w:style w:type="numbering" w:styleId="Legal"><w:name w:val="Legal"/><w:pPr><w:numPr><w:numId w:val="8"/>'
    style += "</w:numPr></w:pPr></w:style></w:styles>"
    data = altered(data, "word/styles.xml", styles.replace("</w:styles>", style).encode())
    assert text_of(data, tmp_path, settings) == "§ 1 Seat\n§ 2 Aims"


PROSE = "The boats leave the harbour at six in the morning and come back before it is dark."


def styled(document: Any, name: str, based_on: str = "", outline: int | None = None) -> None:
    """Add a style of paragraphs to a document."""
    style = document.styles.add_style(name, 1)
    if based_on:
        style.base_style = document.styles[based_on]
    if outline is not None:
        settings = style.element.get_or_add_pPr()
        settings.append(parse_xml(f'<w:outlineLvl {SPACES} w:val="{outline}"/>'))


def paths(document: Any, folder: Path, settings: Settings) -> list[list[str]]:
    """The headings above each section."""
    (folder / "a.docx").write_bytes(document if isinstance(document, bytes) else saved(document))
    loaded = load(folder / "a.docx", settings)
    check(loaded)
    return [path for _, path, _ in loaded.metadata["sections"]]


def test_headings_by_their_styles(tmp_path: Path, settings: Settings) -> None:
    document = docx.Document()
    styled(document, "Chapter", outline=0)
    styled(document, "Clause", based_on="Heading 2")
    styled(document, "Heading")
    styled(document, "Überschrift 3")
    styled(document, "Table Heading")
    for style in ("Chapter", "Clause", "Heading", "Überschrift 3", "Table Heading"):
        document.add_paragraph(f"As {style}", style=style)
        document.add_paragraph(PROSE)
    assert paths(document, tmp_path, settings) == [
        ["As Chapter"],
        ["As Chapter", "As Clause"],
        ["As Chapter", "As Clause", "As Heading"],
        ["As Chapter", "As Clause", "As Überschrift 3"],
    ]


def test_a_paragraph_numbered_as_headings_are(tmp_path: Path, settings: Settings) -> None:
    levels = level(0, "Part %1", '<w:pStyle w:val="Heading1"/>') + level(1, "%1.%2", '<w:pStyle w:val="Heading2"/>')
    clause = "A clause of a contract with the number of a heading is none, as it is a sentence."
    items = [("7", 0, "Boats"), ("7", 1, "Sails"), ("7", 1, clause)]
    data = numbered(plan(1, levels), listed(7, 1), *items)
    assert paths(data, tmp_path, settings) == [["Part 1 Boats"], ["Part 1 Boats", "1.1 Sails"]]


def test_headings_by_their_look(tmp_path: Path, settings: Settings) -> None:
    document = docx.Document()

    def add(text: str, size: int = 0, *, bold: bool = True) -> None:
        shown = document.add_paragraph().add_run(text)
        shown.bold = bold
        if size:
            shown.font.size = Pt(size)

    add("HARBOUR RULES", 20)  # a page of its own, with nothing below it
    add("Draft of May", 20)
    add("Boats", 16, bold=False)
    add("1.1 Sails")
    document.add_paragraph(PROSE)
    add("1.2 Oars")
    document.add_paragraph("Wood.", style="List Bullet")
    add("All of this paragraph is bold, but it is a sentence and no heading.")
    add("Costs")
    document.add_table(1, 2)
    for text in ("Engines", "Fuel"):
        document.add_paragraph(style="List Bullet").add_run(text).bold = True
    document.add_paragraph(PROSE)
    mixed = document.add_paragraph()
    mixed.add_run("Ropes").bold = True
    mixed.add_run(" are needed")
    for _ in range(9):
        document.add_paragraph(PROSE)
    assert paths(document, tmp_path, settings) == [["Boats"], ["Boats", "1.1 Sails"], ["Boats", "1.2 Oars"]]


def test_lines_in_bold_are_below_headings_with_a_style(tmp_path: Path, settings: Settings) -> None:
    document = docx.Document()
    document.add_heading("Boats", 2)
    document.add_paragraph(PROSE)
    document.add_paragraph().add_run("Sails").bold = True
    for _ in range(2):
        document.add_paragraph(PROSE)
    assert paths(document, tmp_path, settings) == [["Boats"], ["Boats", "Sails"]]


def test_a_text_of_short_lines_in_bold_has_no_headings(tmp_path: Path, settings: Settings) -> None:
    document = docx.Document()
    for name in ("Ida Berg", "Tom Holm"):
        document.add_paragraph().add_run(name).bold = True
        document.add_paragraph(PROSE)
    assert paths(document, tmp_path, settings) == []


def test_names_of_speakers_are_no_headings(tmp_path: Path, settings: Settings) -> None:
    document = docx.Document()
    for act in ("FIRST ACT", "SECOND ACT", "THIRD ACT"):  # one "Prologue" in each is a heading
        for name in (act, "Prologue") if act != "THIRD ACT" else (act, "Ida", "Tom", "Ida", "Tom", "Ida"):
            shown = document.add_paragraph().add_run(name)
            shown.bold, shown.font.size = True, Pt(16 if name == act else 12 if name == "Prologue" else 11)
            for _ in range(3 if name != act else 0):
                document.add_paragraph(PROSE)
    acts = [["FIRST ACT"], ["FIRST ACT", "Prologue"], ["SECOND ACT"], ["SECOND ACT", "Prologue"], ["THIRD ACT"]]
    assert paths(document, tmp_path, settings) == acts


CHART = (
    "<c:chartSpace {}><c:chart><c:title><c:tx><c:rich><a:p><a:r><a:t>Boats sold</a:t></a:r></a:p></c:rich></c:tx></c:title>"
    "<c:plotArea><c:barChart><c:ser><c:tx><c:strRef><c:strCache><c:pt idx='0'><c:v>Share</c:v></c:pt></c:strCache></c:strRef>"
    "</c:tx><c:cat><c:strRef><c:strCache><c:pt idx='0'><c:v>Oslo</c:v></c:pt><c:pt idx='1'><c:v>Bergen</c:v></c:pt>"
    "</c:strCache></c:strRef></c:cat><c:val><c:numRef><c:numCache><c:formatCode>0%</c:formatCode><c:pt idx='0'><c:v>0.25</c:v>"
    "</c:pt><c:pt idx='1'><c:v>0.75</c:v></c:pt></c:numCache></c:numRef></c:val></c:ser></c:barChart></c:plotArea></c:chart>"
    "</c:chartSpace>"
)
DIAGRAM = (
    "<dgm:dataModel {}><dgm:ptLst><dgm:pt modelId='0' type='doc'/>"
    "<dgm:pt modelId='2'><dgm:t><a:p><a:r><a:t>Plan</a:t></a:r></a:p></dgm:t></dgm:pt>"
    "<dgm:pt modelId='1'><dgm:t><a:p><a:r><a:t>Board</a:t></a:r></a:p></dgm:t></dgm:pt>"
    "<dgm:pt modelId='3' type='pres'><dgm:t><a:p><a:r><a:t>how it looks</a:t></a:r></a:p></dgm:t></dgm:pt></dgm:ptLst>"
    "<dgm:cxnLst><dgm:cxn srcId='0' destId='1' srcOrd='0'/><dgm:cxn srcId='1' destId='2' srcOrd='0'/></dgm:cxnLst></dgm:dataModel>"
)


@pytest.mark.parametrize(
    ("shown", "kind", "content", "lines"),
    [
        ('<c:chart r:id="rId90"/>', "chart", CHART, ["Boats sold", "Oslo | Share: 25%", "Bergen | Share: 75%"]),
        ('<dgm:relIds r:dm="rId90"/>', "diagramData", DIAGRAM, ["- Board", "  - Plan"]),
    ],
)
def test_drawings(shown: str, kind: str, content: str, lines: list[str], tmp_path: Path, settings: Settings) -> None:
    drawing = f"<w:r><w:drawing><a:graphic><a:graphicData>{shown}</a:graphicData></a:graphic></w:drawing></w:r>"
    data = saved(body(paragraph(run("Before") + drawing), paragraph(run("Behind"))))
    text = text_of(with_part(data, "drawn.xml", kind, content.format(SPACES)), tmp_path, settings)
    assert text == "\n".join(["Before", "", *lines, "", "Behind"])


def m(name: str, *parts: str) -> str:
    return f"<m:{name}>{''.join(parts)}</m:{name}>"


def r(text: str) -> str:
    return f"<m:r><m:t>{text}</m:t></m:r>"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (r("E=m") + m("sSup", m("e", r("c")), m("sup", r("2"))), "E=m c^2"),
        (m("f", m("num", r("a+b")), m("den", r("2"))), "(a+b)/2"),
        (m("rad", m("deg"), m("e", r("x"))), "√(x)"),
        (m("rad", m("deg", r("3")), m("e", r("x"))), "√(3&amp;x)"),
        (
            m("nary", '<m:naryPr><m:chr m:val="∑"/></m:naryPr>', m("sub", r("k=0")), m("sup", r("n")), m("e", r("k"))),
            "∑_(k=0)^n k",
        ),
        (m("d", '<m:dPr><m:begChr m:val="["/><m:endChr m:val="]"/></m:dPr>', m("e", r("x")), m("e", r("y"))), "[x|y]"),
        (m("m", m("mr", m("e", r("1")), m("e", r("0"))), m("mr", m("e", r("0")), m("e", r("1")))), "■(1&amp;0@0&amp;1)"),
        (r("y=") + m("func", m("fName", r("sin")), m("e", r("x"))), "y=sin x"),
        (m("limLow", m("e", r("lim")), m("lim", r("n→∞"))), "lim_(n→∞)"),
        (r("a=1") + '<w:del w:id="1">' + r("+2") + "</w:del>", "a=1"),
    ],
)  # fmt: skip
def test_equations(content: str, text: str, tmp_path: Path, settings: Settings) -> None:
    document = body(paragraph(run("So ") + m("oMath", content)))
    assert text_of(saved(document), tmp_path, settings) == f"So {text}".replace("&amp;", "&")


def test_form_fields_and_controls(tmp_path: Path, settings: Settings) -> None:
    listed = (
        '<w:r><w:fldChar w:fldCharType="begin"><w:ffData><w:ddList><w:result w:val="1"/><w:listEntry w:val="tea"/>'
        '<w:listEntry w:val="coffee"/></w:ddList></w:ffData></w:fldChar></w:r><w:r><w:instrText>FORMDROPDOWN</w:instrText></w:r>'
    )
    document = body(
        paragraph(run("Drink: ") + listed),
        f"<w:sdt><w:sdtPr/><w:sdtContent>{paragraph(run('In a control'))}</w:sdtContent></w:sdt>",
        paragraph(f"<w:sdt><w:sdtPr/><w:sdtContent>{run('and inline')}</w:sdtContent></w:sdt>"),
        paragraph('<w:r><w:sym w:font="Symbol" w:char="F061"/></w:r>' + run(" rays")),
    )
    assert text_of(saved(document), tmp_path, settings) == "Drink: coffee\n\nIn a control\n\nand inline\n\nα rays"


def test_strict_files_and_those_with_macros(tmp_path: Path, settings: Settings) -> None:
    document = docx.Document()
    document.add_heading("Title of it", 1)
    document.add_paragraph("Some text")
    data = saved(document)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for member in ("word/document.xml", "word/styles.xml", "_rels/.rels", "word/_rels/document.xml.rels"):
            text = archive.read(member).replace(
                b"schemas.openxmlformats.org/officeDocument/2006", b"purl.oclc.org/ooxml/officeDocument"
            )
            text = text.replace(
                b"schemas.openxmlformats.org/wordprocessingml/2006/main", b"purl.oclc.org/ooxml/wordprocessingml/main"
            )
            data = altered(data, member, text)
    (tmp_path / "a.docm").write_bytes(data)
    loaded = load(tmp_path / "a.docm", settings)
    assert loaded.page_content == "Title of it\n\nSome text"
    assert loaded.metadata["sections"] == [[0, ["Title of it"], ""]]


def test_a_damaged_part_is_told(tmp_path: Path, settings: Settings) -> None:
    data = with_part(saved(body(paragraph(run("Whole")))), "comments9.xml", "comments", "<w:comments")
    (tmp_path / "a.docx").write_bytes(data)
    loaded = load(tmp_path / "a.docx", settings)
    assert loaded.page_content == "Whole" and loaded.metadata["notes"] == ["left out: 1 damaged part"]


def test_hidden_and_struck_out_text_is_not_read(tmp_path: Path, settings: Settings) -> None:
    """By the run itself, by a style of letters, and by a style of paragraphs; a run may say that it is shown all the same."""
    hidden = '<w:style w:type="paragraph" w:styleId="Top"><w:name w:val="z-Top of Form"/><w:rPr><w:vanish/></w:rPr></w:style>'
    gone = '<w:style w:type="character" w:styleId="Gone"><w:name w:val="Gone"/><w:rPr><w:dstrike/></w:rPr></w:style>'

    def looking(look: str, text: str) -> str:
        return f'<w:r><w:rPr>{look}</w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>'

    document = body(
        paragraph(run("The rent is ") + looking("<w:strike/>", "500") + run("600 euros.")),
        paragraph('<w:pPr><w:pStyle w:val="Top"/></w:pPr>' + run("Top of Form")),
        paragraph('<w:pPr><w:pStyle w:val="Top"/></w:pPr>' + looking('<w:vanish w:val="0"/>', "Shown.")),
        paragraph(
            run("Due ")
            + looking('<w:rStyle w:val="Gone"/>', "in May ")
            + looking("<w:vanish/>", "X ")
            + run("in June.")
        ),
        f"<w:tbl><w:tr><w:tc>{paragraph(looking('<w:strike/>', 'Old') + run('New'))}</w:tc></w:tr></w:tbl>",
    )
    for style in (hidden, gone):
        document.styles.element.append(parse_xml(style.replace(">", f" {SPACES}>", 1)))
    (tmp_path / "a.docx").write_bytes(saved(document))
    found = load(tmp_path / "a.docx", settings)
    assert found.page_content == "The rent is 600 euros.\n\nShown.\n\nDue in June.\n\nNew"
    assert "struck-out text is left out" in found.metadata["notes"]


def test_the_articles_of_a_contract_are_headings_without_a_look_of_their_own(
    tmp_path: Path, settings: Settings
) -> None:
    said = "The tenant pays the rent on the first day of each month, and tells the owner where it is late."
    document = body(*(paragraph(run(text)) for text in ("§ 1 Rent", said, "§ 2", said, "§ 3 Repairs", said)))
    (tmp_path / "a.docx").write_bytes(saved(document))
    found = load(tmp_path / "a.docx", settings)
    assert [path for _, path, _ in found.metadata["sections"]] == [["§ 1 Rent"], ["§ 2"], ["§ 3 Repairs"]]


def test_a_tab_behind_the_number_of_a_heading(tmp_path: Path, settings: Settings) -> None:
    said = "The trustee appoints and supervises all who work here, and tells the court of each of them in writing."
    shown = "<w:r><w:t>A.</w:t><w:tab/><w:t>{}</w:t></w:r>"
    bold = "<w:r><w:rPr><w:b/></w:rPr><w:t>B.</w:t><w:tab/><w:t>Duties</w:t></w:r>"
    document = body(*map(paragraph, (shown.format("PURPOSE"), run(said), run(said), bold, run(said), run(said))))
    (tmp_path / "a.docx").write_bytes(saved(document))
    found = load(tmp_path / "a.docx", settings)
    assert [path[-1] for _, path, _ in found.metadata["sections"]] == ["A. PURPOSE", "B. Duties"]


def test_cells_whose_lines_make_up_rows(tmp_path: Path, settings: Settings) -> None:
    def cell(*lines: str) -> str:
        return f"<w:tc>{''.join(paragraph(run(line)) for line in lines)}</w:tc>"

    names, first = cell("Gross income", "Tax due", "Share in %"), cell("17,542", "388", "4.7%")
    broken = f"<w:tc>{paragraph('<w:r><w:t>18,000</w:t><w:br/><w:t>0</w:t><w:br/><w:t>0%</w:t></w:r>')}</w:tc>"
    lists = [cell("Light", "Cheap", "Quiet"), cell("Slow", "Small", "Grey"), cell("Heron", "Tern", "Owl")]
    rows = [
        f"<w:tr>{''.join(cells)}</w:tr>"
        for cells in ([cell(""), cell("2006"), cell("2007")], [names, first, broken], lists)
    ]
    document = body(f"<w:tbl>{''.join(rows)}</w:tbl>")
    (tmp_path / "a.docx").write_bytes(saved(document))
    assert load(tmp_path / "a.docx", settings).page_content.split("\n") == [
        "Gross income | 2006: 17,542 | 2007: 18,000",
        "Tax due | 2006: 388 | 2007: 0",
        "Share in % | 2006: 4.7% | 2007: 0%",
        "Light Cheap Quiet | 2006: Slow Small Grey | 2007: Heron Tern Owl",
    ]
