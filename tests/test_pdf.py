"""PDF files: columns, tables, headings, page ends, forms and titles, and where each word stands on its page."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import pytest
from langchain_core.documents import Document
from pypdf import PdfWriter
from pypdf.generic import (
    ArrayObject,
    DecodedStreamObject,
    DictionaryObject,
    FloatObject,
    NameObject,
    NumberObject,
    PdfObject,
    TextStringObject,
)

from rag.settings import Settings
from rag.sources.loader import load_source, section_at
from rag.sources.outline import CAPTION
from rag.sources.pdf.boxes import Box, boxes
from rag.sources.pdf.letters import is_recognizable, odd_characters, share_found
from rag.sources.pdf.text import title_of
from rag.sources.pdf.words import is_bold, with_bullets
from rag.sources.tables import is_date
from tests.conftest import make_settings
from tests.files import Text, drawn, pdf, reason

CASES = Path(__file__).parent / "data" / "cases" / "pdf"


def read(data: bytes | str, folder: Path, settings: Settings) -> list[Document]:
    """The documents of a case by its name, or of a PDF's bytes."""
    path = CASES / data if isinstance(data, str) else folder / "a.pdf"
    if isinstance(data, bytes):
        path.write_bytes(data)
    loaded = load_source(str(path), settings, private=True)
    assert loaded is not None
    for document in loaded.documents:
        text = document.page_content
        assert text == text.strip() and "\0" not in text and "\x02" not in text and "\ufffe" not in text
    return loaded.documents


def lines(x: float, y: float, *texts: str, size: float = 10, pitch: float = 12) -> list[Text]:
    return [(x, y - pitch * number, size, text) for number, text in enumerate(texts)]


# -- the cases ----------------------------------------------------------------------------------------------------


def test_columns_are_read_one_after_the_other(tmp_path: Path, settings: Settings) -> None:
    (page,) = read("twocol_interleaved.pdf", tmp_path, settings)
    alpha = " ".join(f"Alpha line {number} of the left text runs on" for number in range(30))
    omega = " ".join(f"Omega line {number} of the right text runs on" for number in range(30))
    assert " ".join(page.page_content.split()) == f"{alpha} {omega}"
    granary, harbour = read("twocol.pdf", tmp_path, settings)
    told = [granary.page_content.index(f"sentence number {number} ") for number in range(1, 44)]
    assert told == sorted(told)
    assert granary.page_content.endswith("44 speaks about the granary and its keeper.")
    assert section_at(harbour.metadata, 50) == ("Harbour", "")


def test_rows_of_a_table_stay_rows(tmp_path: Path, settings: Settings) -> None:
    (page,) = read("table.pdf", tmp_path, settings)
    assert page.page_content.split("\n")[2:] == [
        "Route: Arden - Brill | Adult: 14.50 | Child: 7.00 | Duration: 35 min",
        "Route: Arden - Coll | Adult: 22.00 | Child: 11.00 | Duration: 80 min",
        "Route: Brill - Dunmore | Adult: 9.75 | Child: 4.50 | Duration: 20 min",
        "Route: Coll - Eday | Adult: 31.20 | Child: 15.60 | Duration: 140 min",
    ]
    assert page.metadata["title"] == "Ferry fares 2026" and page.metadata["notes"] == ["1 table"]


def test_broken_words_are_whole_and_running_heads_come_once(tmp_path: Path, settings: Settings) -> None:
    pages = read("hyphen.pdf", tmp_path, settings)
    text = "The reservoir was refurbished in 2019 after the embankment showed seepage. Nitrate concentrations fell to"
    assert all(" ".join(page.page_content.split()).endswith(f"{text} 4.1 milligrams.") for page in pages)
    assert ["Harlow County" in page.page_content for page in pages] == [True, False, False]


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ("Disadvantages:\r\n\x83 High costs\r\n\uf0b7 Limits", "Disadvantages:\r\n• High costs\r\n• Limits"),
        ("\x85 One \uf0a7 two", "• One • two"),
        ("A\uf0b7 b \uf0b7c", "A\uf0b7 b \uf0b7c"),
    ],
)
def test_a_sign_of_a_symbol_font_that_stands_alone_is_a_bullet(found: str, told: str) -> None:
    assert with_bullets(found) == told


def test_a_long_path_at_the_foot_of_each_page_comes_once(tmp_path: Path, settings: Settings) -> None:
    path = f"P:/Master Plan/7.0 Project Documents/{'Potable Water and Wastewater/' * 3}Final Report/"
    words = ("The aqueduct brings water from the river.", "A second one is planned.", "The plant takes salt out of it.")
    pages = [
        [*lines(60, 745, text, text.upper(), size=12), *lines(40, 30, path + "Nine.doc", size=5)] for text in words
    ]
    texts = [page.page_content for page in read(drawn(*pages), tmp_path, settings)]
    assert [path in text for text in texts] == [True, False, False]


def test_a_page_with_nothing_but_the_foot_of_others_is_no_text(tmp_path: Path, settings: Settings) -> None:
    words = ("The aqueduct brings water from the river.", "A second one is planned.", "", "The plant takes salt out.")
    pages = [
        [*(lines(60, 745, text) if text else ()), *lines(40, 30, f"{number} Waterworks, revision 1.1")]
        for number, text in enumerate(words, 1)
    ]
    found = [
        (page.metadata["page"], page.page_content.split("\n")[0]) for page in read(drawn(*pages), tmp_path, settings)
    ]
    assert found == [(number, text) for number, text in enumerate(words, 1) if text]
    alone = [lines(60, 500, f"Slide {number}") for number in range(1, 5)]
    assert len(read(drawn(*alone), tmp_path, settings)) == len(alone)


@pytest.mark.parametrize("at_top", [True, False])
def test_heads_and_feet_of_four_lines_come_once(at_top: bool, tmp_path: Path, settings: Settings) -> None:
    words = ("The aqueduct brings water.", "A second one is planned.", "The plant takes salt out.", "Rain is rare.")
    pages = []
    for number, text in enumerate(words, 1):
        margin = ("Waterworks of Harlow", "Annual report", "A", f"Part 9, page {number}")
        pages.append([*lines(60, 820 if at_top else 60, *margin), *lines(60, 500, text)])
    first, *others = [page.page_content for page in read(drawn(*pages), tmp_path, settings)]
    assert all(line in first for line in ("Waterworks of Harlow", "Annual report", "A", "Part 9, page 1"))
    assert others == list(words[1:])


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("Invoice INV-22{}1", "Total due: {}80.00 EUR"),
        ("Certificate no. 77{}", "Score: 8{} of 100 points"),
        ("Payslip 2026-0{}", "Gross 301{} EUR"),
        ("{}. Item of the agenda", "Vote: {} for, 0 against."),
        ("Step {}", "Week 3{}"),
        ("Annual accounts 202{}", "Surplus of $ {}"),
    ],
)
@pytest.mark.parametrize("height", [810.0, 600.0])
def test_pages_that_are_made_alike_keep_their_numbers(
    head: str, body: str, height: float, tmp_path: Path, settings: Settings
) -> None:
    """Each page is a paper of its own; the number of some goes on by one from page to page."""
    pages = [
        [*lines(60, height, head.format(number)), *lines(60, 500, f"For {name}."), *lines(60, 300, body.format(number))]
        for number, name in enumerate(("Ida Berg", "Jon Falk", "Mia Lund", "Ole Holm"), 1)
    ]
    found = [page.page_content for page in read(drawn(*pages), tmp_path, settings)]
    assert all(head.format(number) in text and body.format(number) in text for number, text in enumerate(found, 1))


@pytest.mark.parametrize(
    "foot", ["Smith et al. {}", "{} of 12", "- {} -", "Printed 12.03.2026, 14:05   {}/12", "A-{}", "Page No. {}"]
)
def test_a_foot_with_the_number_of_the_page_comes_once(foot: str, tmp_path: Path, settings: Settings) -> None:
    words = ("The aqueduct brings water.", "A second one is planned.", "The plant takes salt out.", "Rain is rare.")
    pages = [[*lines(60, 600, text), *lines(60, 30, foot.format(number))] for number, text in enumerate(words, 841)]
    assert [page.page_content for page in read(drawn(*pages), tmp_path, settings)][1:] == list(words[1:])


def test_a_stamp_across_the_pages_comes_once_and_is_no_heading(tmp_path: Path, settings: Settings) -> None:
    words = ("The aqueduct brings water.", "A second one is planned.", "The plant takes salt out.")
    pages = [
        [
            *lines(60, 600, text, f"It is told of on page {text[:3]}."),
            *lines(200, 420, "DRAFT", size=60),
            *lines(60, 300, "So be it."),
        ]
        for text in words
    ]
    found = read(drawn(*pages), tmp_path, settings)
    assert ["DRAFT" in page.page_content for page in found] == [True, False, False]
    assert not any(page.metadata.get("sections") for page in found)


def test_pages_without_a_box_of_their_own_have_that_of_all(tmp_path: Path, settings: Settings) -> None:
    """As fpdf2 writes it; letter paper, which was taken for such a page, is lower than A4 and narrower on its side."""
    texts = lines(60, 820, "At the top", "Below it", pitch=200) + lines(700, 300, "On the right")
    (page,) = read(drawn(texts, box_of_all="0 0 842 842"), tmp_path, settings)
    assert all(text in page.page_content for text in ("At the top", "Below it", "On the right"))


def test_what_stands_at_one_place_of_several_pages_may_be_their_text(tmp_path: Path, settings: Settings) -> None:
    """The third line is one of a form, the name of a table, or is lower than the margin of the page."""
    answers = ("Ida Berg", "Jon Falk", "Mia Lund", "Ole Holm")
    for third, top in (("Name of the guest:", 790.0), ("Table 4", 790.0), ("Guests of this house", 700.0)):
        pages = [
            [*lines(60, 820, "Inn of Harlow", f"Page {number}"), *lines(60, top, third), *lines(60, 600, answer)]
            for number, answer in enumerate(answers, 1)
        ]
        ends = [page.page_content.split("\n")[-3:] for page in read(drawn(*pages), tmp_path, settings)]
        assert ends == [[third, "", answer] for answer in answers]


@pytest.mark.parametrize(
    "texts", [("3.2 Usage", "4.2 Usage", "5.2 Usage"), ("Figure 7.", "Figure 8.", "Figure 9."), "}}}"]
)
def test_sections_figures_and_braces_are_no_heads(texts: Sequence[str], tmp_path: Path, settings: Settings) -> None:
    words = ("The aqueduct brings water.", "A second one is planned.", "The plant takes salt out.")
    pages = [[*lines(60, 820, text), *lines(60, 600, told)] for text, told in zip(texts, words, strict=True)]
    found = [page.page_content.split() for page in read(drawn(*pages), tmp_path, settings)]
    assert found == [[*text.split(), *told.split()] for text, told in zip(texts, words, strict=True)]


def test_form_values_stand_beside_their_labels(tmp_path: Path, settings: Settings) -> None:
    (page,) = read("form.pdf", tmp_path, settings)
    assert page.page_content.split("\n\n") == ["Applicant name: Rosalind Okafor", "Licence number: LN-88213"]
    assert page.metadata["title"] == "form.pdf" and page.metadata["notes"] == ["2 form fields with a value"]


def test_rows_of_a_form_have_no_columns_in_common(tmp_path: Path, settings: Settings) -> None:
    """A form of a label and a field in each row, and one row of two: a text, a box that is ticked, and a choice."""
    writer = PdfWriter(BytesIO(drawn([*lines(60, 745, "Name", "Vegetarian", "Country", "Arrival", pitch=30)])))
    page = writer.pages[0]

    def add(top: float, **entries: PdfObject) -> None:
        field = {"Type": NameObject("/Annot"), "Subtype": NameObject("/Widget"), **entries}
        field["Rect"] = ArrayObject(map(FloatObject, (180, top - 5, 300, top + 12)))
        page.setdefault(NameObject("/Annots"), ArrayObject()).append(
            writer._add_object(DictionaryObject({NameObject(f"/{name}"): value for name, value in field.items()}))
        )

    states = DictionaryObject(
        {NameObject(f"/{name}"): writer._add_object(DecodedStreamObject()) for name in ("On", "Off")}
    )
    on, text, choice = NameObject("/On"), NameObject("/Tx"), NameObject("/Ch")
    options = ArrayObject(ArrayObject(map(TextStringObject, pair)) for pair in (("dk", "Denmark"), ("no", "Norway")))
    add(745, FT=text, T=TextStringObject("name"), V=TextStringObject("Ida"))
    ticked = DictionaryObject({NameObject("/N"): states})
    add(715, FT=NameObject("/Btn"), T=TextStringObject("diet"), V=on, AS=on, AP=ticked)
    add(685, FT=choice, T=TextStringObject("land"), V=TextStringObject("no"), Opt=options, Ff=NumberObject(131072))
    add(655, FT=text, T=TextStringObject("by"), V=TextStringObject("by train"))
    fields = DictionaryObject({NameObject("/Fields"): ArrayObject(page["/Annots"])})
    writer.root_object[NameObject("/AcroForm")] = fields
    held = BytesIO()
    writer.write(held)
    (read_page,) = read(held.getvalue(), tmp_path, settings)
    told = [line for line in read_page.page_content.replace(": ", " | ").split("\n") if line]
    assert told == ["Name | Ida", "Vegetarian | [x]", "Country | Norway", "Arrival | by train"]


def test_the_outline_gives_the_sections(tmp_path: Path, settings: Settings) -> None:
    pages = read("outline.pdf", tmp_path, settings)
    ends = [section_at(page.metadata, len(page.page_content))[0] for page in pages]
    assert ends == ["Introduction", "Warping the loom", "Cleaning"]


def test_a_sentence_goes_on_over_the_page_end(tmp_path: Path, settings: Settings) -> None:
    first, second = read("pageborder.pdf", tmp_path, settings)
    assert first.page_content == "The vault code is kept by the deputy archivist Mrs Lindqvist."
    assert (second.page_content, second.metadata["page"]) == ("deputy archivist Mrs Lindqvist.", 2)


def test_a_title_that_is_none(tmp_path: Path, settings: Settings) -> None:
    (page,) = read("annual-report.pdf", tmp_path, settings)
    assert page.metadata["title"] == "annual-report.pdf"


@pytest.mark.parametrize(
    "given",
    [
        *(
            "untitled",
            "about:blank",
            "https://x.org/a",
            "Untitled Document",
            "(anonymous)",
            "Microsoft Word - x.doc",
            "C:\\texts\\b.indd",
            "/tmp/a b",
        ),
        *("report.docx", "PowerPoint Presentation", "Document1", "Slide 1", "", " ", "unspecified", "12", "Page 3"),
    ],
)
def test_titles_that_are_none(given: str) -> None:
    assert title_of(given, [], "annual.pdf") == "annual.pdf"


@pytest.mark.parametrize("given", ["Word of mouth", "Annual report 2020", "Untitled but good", "AC/DC", "Page design"])
def test_titles_that_are_some(given: str) -> None:
    assert title_of(given, [], "annual.pdf") == given


# -- layout -------------------------------------------------------------------------------------------------------


LEFT = [f"the left column has line {number} with words" for number in range(8)]
RIGHT = [f"the other column has line {number} with words" for number in range(8)]


def test_headings_over_both_columns(tmp_path: Path, settings: Settings) -> None:
    texts = [(60.0, 800.0, 20.0, "A heading over both of the columns of this page")]
    for number in range(8):  # drawn row by row, each row from right to left
        texts += [(310.0, 760.0 - 12 * number, 10.0, RIGHT[number]), (60.0, 760.0 - 12 * number, 10.0, LEFT[number])]
    (page,) = read(drawn(texts), tmp_path, settings)
    assert " ".join(page.page_content.split()) == " ".join([texts[0][3], *LEFT, *RIGHT])
    assert page.metadata["title"] == texts[0][3]


def justified(x: float, y: float, width: float, *texts: str) -> list[Text]:
    """Words of letters of one width (a b d e g h n o p u) in 10 points, in lines of one length but for the last."""
    words = []
    for number, text in enumerate(texts):
        last = number == len(texts) - 1
        gap = 2.78 if last else (width - 5.56 * len(text.replace(" ", ""))) / text.count(" ")
        place = x
        for word in text.split():
            words.append((place, y - 12 * number, 10.0, word))
            place += 5.56 * len(word) + gap
    return words


@pytest.mark.parametrize("columns", [1, 2])
def test_justified_lines_are_no_table(columns: int, tmp_path: Path, settings: Settings) -> None:
    text = [
        *("a dog had gone on ahead", "unbound abounded headband", "abandon deadened bandaged"),
        *("abounded unbound hang", "a pond and a bone and ado", "one dog on a bed and a pond"),
        *("deepened bonehead banned", "unopened unheeded hung", "pounded headband nudged", "good dog"),
    ]
    words = [word for number in range(columns) for word in justified(60 + 200 * number, 700, 150, *text)]
    (page,) = read(drawn(words), tmp_path, settings)
    assert " ".join(page.page_content.split()) == " ".join(text * columns)
    assert "notes" not in page.metadata


def test_numbers_at_even_distances_are_a_table(tmp_path: Path, settings: Settings) -> None:
    texts = [
        text for row in range(5) for column in range(4) for text in lines(60 + 40 * column, 700 - 12 * row, "0.14")
    ]
    (page,) = read(drawn(texts), tmp_path, settings)
    assert page.page_content.split("\n") == ["0.14 | 0.14 | 0.14 | 0.14"] * 5


def test_a_short_heading_between_columns_parts_them(tmp_path: Path, settings: Settings) -> None:
    above = [*lines(60, 760, *LEFT), *lines(310, 760, *RIGHT)]
    below = [*lines(60, 600, *reversed(LEFT)), *lines(310, 600, *reversed(RIGHT))]
    (page,) = read(drawn([*above, (60.0, 630.0, 14.0, "Annex"), *below]), tmp_path, settings)
    told = [*LEFT, *RIGHT, "Annex", *reversed(LEFT), *reversed(RIGHT)]
    assert " ".join(page.page_content.split()) == " ".join(told)


def test_a_narrow_column_beside_the_text(tmp_path: Path, settings: Settings) -> None:
    body = [f"the text of this page has a line {number} of many words that goes on and on" for number in range(16)]
    side = ["Contact", "Ida Berg", "Tel 12345", "Open: all days", "and by letter", "to Mill Lane", "number four"]
    (page,) = read(drawn([*lines(60, 700, *body, pitch=13.4), *lines(420, 698, *side, size=8)]), tmp_path, settings)
    assert " ".join(page.page_content.split()) == " ".join([*body, *side])


def test_text_that_lies_on_its_side_is_read_as_if_turned(tmp_path: Path, settings: Settings) -> None:
    rows = [("Route", "Adult", "Child"), ("Arden - Brill", "14.50", "7.00"), ("Coll - Eday", "31.20", "15.60")]
    texts = [
        text
        for y, row in enumerate(rows)
        for x, cell in enumerate(row)
        for text in lines(60 + 90 * x, 500 - 14 * y, cell)
    ]
    for shown in (0, 90, 180, 270):
        data = drawn(texts, turned=True).replace(b"/Rotate 90", b"/Rotate %d" % shown)
        (page,) = read(data, tmp_path, settings)
        assert page.page_content.split("\n") == [
            "Route: Arden - Brill | Adult: 14.50 | Child: 7.00",
            "Route: Coll - Eday | Adult: 31.20 | Child: 15.60",
        ], shown


def test_headings_by_size_and_weight(tmp_path: Path, settings: Settings) -> None:
    body = ["Plain words that fill a line of the text of this page quite well."] * 6
    first = [(60.0, 800.0, 20.0, "The Book"), (60.0, 760.0, 14.0, "One"), *lines(60, 740, *body)]
    second = [*lines(60, 800, *body), (60.0, 700.0, 14.0, "Two"), *lines(60, 680, *body)]
    pages = read(drawn(first, second), tmp_path, settings)
    assert pages[0].metadata["title"] == "The Book"
    paths = [[path for _, path, _ in page.metadata["sections"]] for page in pages]
    assert paths == [[[], ["One"]], [["One"], ["Two"]]]
    assert section_at(pages[1].metadata, 0) == ("One", "")  # the section goes on


def test_ruled_cells_of_several_lines(tmp_path: Path, settings: Settings) -> None:
    cells = [*lines(64, 700, "Model"), *lines(204, 700, "What it is for"), *lines(404, 700, "Price")]
    cells += [*lines(64, 670, "Heron"), *lines(204, 676, "long tours with", "much luggage"), *lines(404, 670, "429")]
    cells += [*lines(64, 640, "Egret"), *lines(204, 646, "short ways in", "the town"), *lines(404, 640, "310")]
    rules = "".join(f"{x} 630 m {x} 715 l S " for x in (60, 200, 400, 500))
    rules += "".join(f"60 {y} m 500 {y} l S " for y in (630, 660, 690, 715))
    above = [(60.0, 730.0, 10.0, "Table 1: Bicycles of this year")]
    below = [(60.0, 600.0, 10.0, "Prices are in euros.")]
    (page,) = read(drawn([*above, *cells, *below], lines=rules), tmp_path, settings)
    assert page.page_content.split("\n") == [
        "Table 1: Bicycles of this year",
        "Model: Heron | What it is for: long tours with much luggage | Price: 429",
        "Model: Egret | What it is for: short ways in the town | Price: 310",
        "",
        "Prices are in euros.",
    ]
    told = section_at(page.metadata, page.page_content.index("Egret"))[0]
    assert told == "Table 1: Bicycles of this year" and CAPTION > 6
    assert section_at(page.metadata, page.page_content.index("Prices")) == ("", "")


def test_boxes_of_text_below_a_table_are_no_cells(tmp_path: Path, settings: Settings) -> None:
    """Below a table are two columns of text, two boxes of text, and a frame around all."""
    rows = [("Agents", "Weakness", "Impact"), ("anybody", "common", "severe"), ("insiders", "rare", "slight")]
    texts = table((4, 160, 380), 828, rows, pitch=24)
    left, right = [f"Upper: {line}" for line in LEFT], [f"Upper: {line}" for line in RIGHT]
    for top, one, two in ((600, left, right), (320, LEFT, RIGHT)):
        texts += [*lines(10, top, *one), *lines(280, top, *two)]
    rules = ruled((0, 540), (842, 818, 794, 770, 122)) + ruled((160, 380), (842, 770))
    rules += "".join(f"{x} 340 m {x} 123 l S " for x in (267, 273)) + "1 340 m 267 340 l S 273 340 m 539 340 l S"
    (page,) = read(drawn(texts, lines=rules), tmp_path, settings)
    text = " ".join(page.page_content.split())
    assert text.startswith("Agents: anybody | Weakness: common | Impact: severe Agents: insiders | Weakness: rare")
    told = text.partition("slight ")[2]
    assert told in (" ".join([*left, *right, *LEFT, *RIGHT]), " ".join([*left, *LEFT, *right, *RIGHT]))


def test_names_and_values_are_no_columns(tmp_path: Path, settings: Settings) -> None:
    form = [*lines(60, 700, "Name", "Year", "Weight"), *lines(200, 700, "Heron", "2022", "14")]
    (page,) = read(drawn(form), tmp_path, settings)
    assert page.page_content.split("\n") == ["Name | Heron", "Year | 2022", "Weight | 14"]


def test_a_hyphen_that_belongs_to_the_word(tmp_path: Path, settings: Settings) -> None:
    text = [
        "The multi-agent way is best for such a long text as",
        "this one, which says it again: a multi-",
        "agent way.",
    ]
    (page,) = read(drawn(lines(60, 700, *text)), tmp_path, settings)
    assert page.page_content.endswith("which says it again: a multi-agent way.")


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        ("a state-", "of-the-art pump", "a state-of-the-art pump"),
        ("at https://x.org/a-long-", "path/to.html now", "at https://x.org/a-long-path/to.html now"),
        ("die Hin-", "und Rückfahrt", "die Hin- und Rückfahrt"),
        ("the long-", "lasting pump", "the longlasting pump"),  # nothing tells
        ("the embank-", "ment there", "the embankment there"),
        ("a mid-", "April day", "a mid-April day"),
    ],
)
def test_hyphens_at_the_end_of_a_line(first: str, second: str, text: str, tmp_path: Path, settings: Settings) -> None:
    before = "This line is as long as the column of the page and then "
    (page,) = read(drawn(lines(60, 700, f"{before}{before}", f"{before}{first}", second)), tmp_path, settings)
    assert page.page_content.endswith(text)


def test_own_line_breaks_stay(tmp_path: Path, settings: Settings) -> None:
    text = ["Mill Lane 4", "Harlow", "It goes on in a line that is long enough to fill the column", "of"]
    (page,) = read(drawn(lines(60, 700, *text)), tmp_path, settings)
    assert page.page_content.split("\n") == [*text[:2], f"{text[2]} of"]


def test_a_stamp_that_runs_up_the_margin_is_no_part_of_the_text(tmp_path: Path, settings: Settings) -> None:
    """Its year is as wide as high, stands at the height of lines of the text, and is larger than they are."""
    stamp = "".join(
        f"BT /F 20 Tf 0 1 -1 0 40 {y} Tm ({text}) Tj ET " for y, text in ((200, "arXiv:2004"), (305, "2020"))
    )
    words = [f"the text of this page has a line {number} of words that goes on" for number in range(20)]
    (page,) = read(drawn(lines(60, 430, *words), lines=stamp), tmp_path, settings)
    assert " ".join(page.page_content.split()) == " ".join([*words, "arXiv:2004", "2020"])
    assert page.metadata["sections"] == []


def test_a_turned_page(tmp_path: Path, settings: Settings) -> None:
    """Its lines run upwards in the file; the page is turned to be shown."""
    data = drawn([(60.0, 500.0, 10.0, "First words"), (60.0, 480.0, 10.0, "second words")], turned=True)
    (page,) = read(data, tmp_path, settings)
    assert page.page_content.split() == ["First", "words", "second", "words"]
    (box,) = boxes(str(tmp_path / "a.pdf"), 1, page.page_content, 0, 5, {})
    assert 80 < box.left < 95 < box.right < 105 and round(box.bottom) == 60


@pytest.mark.parametrize(
    ("font", "bold"),
    [
        *(
            (name, True)
            for name in (b"Arial,Bold", b"ABCDEF+NimbusRomNo9L-Medi", b"NimbusRomNo9L-MediItal", b"URW-Demi")
        ),
        *((name, False) for name in (b"Helvetica", b"Roboto-Medium", b"NimbusRomNo9L-Regu", b"Mediterraneo")),
    ],
)
def test_bold_fonts_by_their_names(font: bytes, bold: bool) -> None:
    assert is_bold(font) is bold


# -- tables -------------------------------------------------------------------------------------------------------


def ruled(xs: Sequence[float], ys: Sequence[float]) -> str:
    """The rules of a table, to be drawn."""
    upright = (f"{x} {min(ys)} m {x} {max(ys)} l S " for x in xs)
    return "".join([*upright, *(f"{min(xs)} {y} m {max(xs)} {y} l S " for y in ys)])


def table(xs: Sequence[float], y: float, rows: Sequence[Sequence[str]], pitch: float = 16) -> list[Text]:
    """The cells of a table row by row, each with a blank at its end as Word and PDFMaker write it."""
    return [
        (x + 4, y - pitch * number, 10.0, f"{cell} ")
        for number, row in enumerate(rows)
        for x, cell in zip(xs, row, strict=False)
    ]


def stripped(texts: Sequence[Text]) -> list[Text]:
    """The texts without the blanks at their ends."""
    return [(x, y, size, text.strip()) for x, y, size, text in texts]


ORDERS = [
    ("Bestellnummer", "Bezeichnung", "Ort", "Stand"),
    ("DS1621", "Sensor im Rahmen", "Kiel", "3. März 2015"),
    ("DS1621S", "Sensor flach", "Bad Oldesloe", "16. November 2014"),
    ("DS1621V", "Sensor rund", "Ulm", "4. Mai 2017"),
]
NAMED = [" | ".join(f"{name}: {cell}" for name, cell in zip(ORDERS[0], row, strict=True)) for row in ORDERS[1:]]
PLACES = (60.0, 150.0, 260.0, 340.0, 460.0)


@pytest.mark.parametrize("rules", [ruled(PLACES, [714 - 16 * number for number in range(5)]), ""])
def test_cells_that_end_in_a_blank_of_the_file(rules: str, tmp_path: Path, settings: Settings) -> None:
    (page,) = read(drawn(table(PLACES, 702, ORDERS), lines=rules), tmp_path, settings)
    assert page.page_content.split("\n") == NAMED


def test_rows_without_upright_rules_below_years_over_units(tmp_path: Path, settings: Settings) -> None:
    xs, ys = (60.0, 160.0, 260.0, 340.0, 420.0, 500.0), [714 - 16 * number for number in range(7)]
    rows = [("Land", "2007", "", "2006", ""), ("", "N", "%", "N", "%"), ("Ulm", "109", "0.9", "93", "1.1")]
    rows += [
        ("Bath", "123", "0.8", "290", "0.7"),
        ("Lund", "269", "1.2", "397", "0.3"),
        ("All", "501", "0.9", "780", "0.7"),
    ]
    rules = "".join(f"{xs[0]} {y} m {xs[-1]} {y} l S " for y in (ys[0], *ys[2:]))
    rules += "".join(f"{x} {ys[1]} m {x} {ys[2]} l S {x} {ys[5]} m {x} {ys[6]} l S " for x in xs)
    rules += "".join(f"{x} {ys[0]} m {x} {ys[1]} l S " for x in (60.0, 160.0, 340.0, 500.0))
    rules += (
        f"{xs[0]} {ys[2]} m {xs[0]} {ys[5]} l S {xs[-1]} {ys[2]} m {xs[-1]} {ys[5]} l S 160 {ys[1]} m 500 {ys[1]} l S"
    )
    texts = [text for text in table(xs, 702, rows) if text[3].strip()]
    (page,) = read(drawn(texts, lines=rules), tmp_path, settings)
    assert page.page_content.split("\n")[:2] == [
        "Land: Ulm | 2007 N: 109 | 2007 %: 0.9 | 2006 N: 93 | 2006 %: 1.1",
        "Land: Bath | 2007 N: 123 | 2007 %: 0.8 | 2006 N: 290 | 2006 %: 0.7",
    ]


def test_cells_that_fill_their_column_up_to_the_rule(tmp_path: Path, settings: Settings) -> None:
    """A blank and four points of white are between them, as between words of justified text."""
    rows = [("Ort", "Zeichen"), ("dogged", "A-1"), ("banged", "B-22"), ("nod", "C-3")]
    xs = (60.0, 60 + 4 + 6 * 5.56 + 0.5, 200.0)
    rules = ruled(xs, [714 - 16 * number for number in range(5)])
    (page,) = read(drawn(table(xs, 702, rows), lines=rules), tmp_path, settings)
    assert page.page_content.split("\n")[-3:] == ["dogged | A-1", "banged | B-22", "nod | C-3"]


def test_a_cell_that_the_file_has_after_the_one_at_its_right(tmp_path: Path, settings: Settings) -> None:
    texts = [*lines(204, 700, "Kiel "), *lines(64, 700, "Nord "), *lines(204, 684, "Ulm "), *lines(64, 684, "Bad ")]
    (page,) = read(drawn(texts), tmp_path, settings)
    assert page.page_content.split("\n") == ["Nord | Kiel", "Bad | Ulm"]


def test_a_table_beside_text_of_another_pitch(tmp_path: Path, settings: Settings) -> None:
    cells = [("Supply voltage to ground", "5.5 V"), ("Current to any pin", "10 mA"), ("Storage temperature", "most")]
    cells += [("Operating temperature", "least"), ("Junction temperature", "more"), ("Soldering temperature", "hot")]
    left = [text for number, row in enumerate(cells) for text in table((56, 200), 700 - 14.5 * number, [row])]
    (page,) = read(drawn([*left, *lines(310, 699, *RIGHT)]), tmp_path, settings)
    assert " ".join(page.page_content.replace(" | ", " ").split()).endswith(" ".join(RIGHT))
    assert page.page_content.startswith("Supply voltage to ground | 5.5 V\nCurrent to any pin | 10 mA\n")


def test_justified_words_with_blanks_of_the_file(tmp_path: Path, settings: Settings) -> None:
    text = ["a dog had gone on ahead", "abandon deadened bandaged", "a pond and a bone and ado", "good dog"]
    words = [(x, y, size, f"{word} ") for x, y, size, word in justified(60, 700, 190, *text)]
    (page,) = read(drawn(words), tmp_path, settings)
    assert " ".join(page.page_content.split()) == " ".join(text)
    assert "notes" not in page.metadata


@pytest.mark.parametrize("mark", ["-", "1.", "b.", "3.2", "3.2.1"])
def test_what_stands_before_an_item_is_no_cell(mark: str, tmp_path: Path, settings: Settings) -> None:
    items = ["Heron is one of them", "Egret is the next of them", "Stork is the last of all of them"]
    texts = [text for number, item in enumerate(items) for text in table((60, 85), 700 - 14 * number, [(mark, item)])]
    (page,) = read(drawn(texts), tmp_path, settings)
    assert page.page_content.split("\n") == [f"{mark} {item}" for item in items]


@pytest.mark.parametrize("gap", [12, 24, 34])
def test_bullets_stand_before_their_items(gap: float, tmp_path: Path, settings: Settings) -> None:
    """The file has no blank after a bullet, which stands as far from its text as the cells of a table do."""
    items = [
        ("Heron is one of them, and it is the one that", "flies to the south in autumn"),
        ("Egret is the next of them",),
        ("Stork",),
    ]
    texts, y = [], 700.0
    for item in items:
        texts += [(60.0, y, 10.0, "•"), *lines(60 + gap, y, *item)]
        y -= 12 * len(item)
    (page,) = read(
        drawn([*texts, *lines(60, 640, "Below all of them is a text that is as wide as it is")]), tmp_path, settings
    )
    assert page.page_content.split("\n")[:3] == [f"• {' '.join(item)}" for item in items]
    assert "notes" not in page.metadata


@pytest.mark.parametrize("marks", ["–––", "ooo", "123", "abc", ("iii", "iv", "v"), ("4.2.1", "4.2.2", "4.2.3")])
def test_other_marks_stand_before_their_items(marks: Sequence[str], tmp_path: Path, settings: Settings) -> None:
    items = ["Heron is one of them", "Egret is the next of them", "Stork is the last of all of them"]
    told = [mark + "." * (mark.isalnum() and mark != "o") for mark in marks]
    texts = [
        text for y, pair in enumerate(zip(told, items, strict=True)) for text in table((60, 95), 700 - 14 * y, [pair])
    ]
    (page,) = read(drawn(stripped(texts)), tmp_path, settings)
    assert page.page_content.split("\n") == [f"{mark} {item}" for mark, item in zip(told, items, strict=True)]


def test_numbers_of_rows_and_dashes_for_nothing_are_cells(tmp_path: Path, settings: Settings) -> None:
    rows = [("No.", "Bird", "Seen"), ("1.", "Heron", "5"), ("2.", "Egret", "–"), ("3.", "Stork", "7")]
    (page,) = read(drawn(stripped(table((60, 95, 160), 700, rows))), tmp_path, settings)
    assert page.page_content.split("\n") == [f"No.: {a} | Bird: {b} | Seen: {c}" for a, b, c in rows[1:]]
    (page,) = read(drawn(table((60, 95), 700, [("–", "5.20"), ("4.10", "–"), ("–", "6.30")])), tmp_path, settings)
    assert page.page_content.split("\n") == ["– | 5.20", "4.10 | –", "– | 6.30"]


def test_a_bullet_with_nothing_beside_it_is_a_cell(tmp_path: Path, settings: Settings) -> None:
    rows = [("Bird", "Legs", "Seen"), ("Heron", "2", "•"), ("Egret", "2", ""), ("Stork", "2", "•")]
    (page,) = read(drawn(table((60, 200, 340), 700, rows)), tmp_path, settings)
    assert page.page_content.split("\n")[0] == "Bird: Heron | Legs: 2 | Seen: •"


def parts(rules: bool, *pages: Sequence[Sequence[str]], head: str = "") -> bytes:
    """A table on several pages, each with the same head over it and a number at its foot."""
    drawings = []
    for number, rows in enumerate(pages, 1):
        above = [(60.0, 760.0, 10.0, head)] if head else []
        drawings.append([*above, *table(PLACES, 702, rows), (290.0, 40.0, 10.0, str(number))])
    return drawn(*drawings, lines=ruled(PLACES, [714 - 16 * number for number in range(5)]) if rules else "")


MORE = [
    ("DS1721", "Sensor eckig", "Rom", "12. Mai 2016"),
    ("DS1721S", "Sensor hoch", "Lahr", "1. Juni 2018"),
    ("DS1722", "Sensor breit", "Hof", "2. Juli 2018"),
]
MORE_NAMED = [" | ".join(f"{name}: {cell}" for name, cell in zip(ORDERS[0], row, strict=True)) for row in MORE]


@pytest.mark.parametrize("rules", [True, False])
@pytest.mark.parametrize("repeated", [True, False])
@pytest.mark.parametrize("head", ["", "Liste der Sensoren"])
def test_a_table_over_three_pages(rules: bool, repeated: bool, head: str, tmp_path: Path, settings: Settings) -> None:
    again = ORDERS[:1] if repeated else []
    data = parts(rules, ORDERS, [*again, *MORE], [*again, *reversed(MORE)], head=head)
    texts = [page.page_content.split("\n") for page in read(data, tmp_path, settings)]
    rows = [[line for line in lines if "Sensor " in line] for lines in texts]
    assert rows == [NAMED, MORE_NAMED, MORE_NAMED[::-1]]


def test_places_in_a_table_that_goes_on(tmp_path: Path, settings: Settings) -> None:
    last = read(parts(True, ORDERS, MORE, MORE), tmp_path, settings)[-1]
    (box,) = place(tmp_path / "a.pdf", last, "Stand: 1. Juni 2018")
    assert (box.page, round(box.left)) == (3, 344) and 680 < box.bottom < 690
    (first,) = place(tmp_path / "a.pdf", last, "DS1721")
    assert (first.page, round(first.left)) == (3, 64)


def test_another_table_of_the_same_columns_keeps_its_names(tmp_path: Path, settings: Settings) -> None:
    one = [
        ("Datum", "Gerät", "Zahl", "Preis"),
        ("3. Mai 2017", "Heron", "5", "12,50"),
        ("4. Mai 2017", "Egret", "7", "9"),
    ]
    two = [
        ("Tag", "Name", "Menge", "Kosten"),
        ("5. Mai 2017", "Stork", "8", "11,00"),
        ("6. Mai 2017", "Gull", "2", "3"),
    ]
    _, page = read(parts(False, one, two), tmp_path, settings)
    assert page.page_content.startswith("Tag: 5. Mai 2017 | Name: Stork | Menge: 8 | Kosten: 11,00\n")


def test_a_table_below_a_heading_of_its_own_is_another_one(tmp_path: Path, settings: Settings) -> None:
    two = [(60.0, 760.0, 10.0, "Was im Lager fehlt"), *table(PLACES, 702, MORE)]
    _, page = read(drawn(table(PLACES, 702, ORDERS), two), tmp_path, settings)
    assert page.page_content.split("\n")[-3:] == [" | ".join(row) for row in MORE]


def test_dates_name_columns_of_amounts(tmp_path: Path, settings: Settings) -> None:
    rows = [("Aktiva", "31. Dezember 2015", "31. Dezember 2014"), ("Kasse", "1.250", "980"), ("Bank", "7.400", "6.100")]
    (page,) = read(drawn(table((60, 200, 340), 702, rows)), tmp_path, settings)
    assert page.page_content.split("\n") == [
        "Aktiva: Kasse | 31. Dezember 2015: 1.250 | 31. Dezember 2014: 980",
        "Aktiva: Bank | 31. Dezember 2015: 7.400 | 31. Dezember 2014: 6.100",
    ]


@pytest.mark.parametrize(
    "date",
    ["November 16, 2014", "16. November 2014", "16 nov. 2014", "3 mars 2015", "12-Mar-2014", "1 de mayo de 2017"],
)
def test_days_with_the_name_of_a_month(date: str) -> None:
    assert is_date(date)


@pytest.mark.parametrize("text", ["March 2014", "2. Ordnung 2014", "Room 12, 2014", "Stand", "16.11.2014"])
def test_texts_that_are_no_such_days(text: str) -> None:
    assert not is_date(text)


# -- places -------------------------------------------------------------------------------------------------------


def place(path: Path, page: Document, words: str) -> list[Box]:
    start = page.page_content.index(words)
    return boxes(str(path), page.metadata["page"], page.page_content, start, start + len(words), {})


def test_words_have_their_places(tmp_path: Path, settings: Settings) -> None:
    texts = [*lines(60, 700, *LEFT), *lines(310, 700, *RIGHT)]
    (page,) = read(drawn(texts), tmp_path, settings)
    (box,) = place(tmp_path / "a.pdf", page, "other column has line 3")
    assert (box.page, round(box.left)) == (1, 327)
    assert box.bottom < 700 - 3 * 12 < box.top < box.bottom + 15
    over_lines = place(tmp_path / "a.pdf", page, f"{LEFT[0]} {LEFT[1]}")
    assert [round(each.left) for each in over_lines] == [60, 60] and over_lines[0].bottom > over_lines[1].bottom


def test_a_line_that_runs_to_the_left_is_one_place(tmp_path: Path, settings: Settings) -> None:
    """Hebrew as a file has it: its letters in the order in which they are seen, each with a code of its own."""
    words = "שלום עולם"
    codes = {letter: chr(97 + number) for number, letter in enumerate(sorted(set(words) - {" "}))}
    places = " ".join(f"<{ord(code):02X}><{ord(letter):04X}>" for letter, code in codes.items())
    told = (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /A def 1 begincodespacerange <00><FF>"
        f" endcodespacerange {len(codes)} beginbfchar {places} endbfchar endcmap end end"
    )
    data = pdf("".join(codes.get(letter, " ") for letter in reversed(words)), to_unicode=told.encode())
    (page,) = read(data, tmp_path, settings)
    (box,) = place(tmp_path / "a.pdf", page, words)
    assert round(box.left) == 10 and box.right > 60
    (second,) = place(tmp_path / "a.pdf", page, words.split()[1])
    assert round(second.left) == 10 and second.right < 40


def test_a_label_that_stands_once_for_several_rows(tmp_path: Path, settings: Settings) -> None:
    columns = [
        (60, ["Parameter", "Brightness", "", "Angle", "", ""]),
        (200, ["Symbol", "VF-R", "VF-G", "2T", "", "See below"]),
        (300, ["Min", "100", "150", "95", "245", ""]),
        (400, ["Max", "120", "180", "110", "290", ""]),
    ]
    texts = [text for x, names in columns for text in lines(x, 780, *names) if text[3]]
    (page,) = read(drawn(texts), tmp_path, settings)
    assert page.page_content.split("\n")[:4] == [
        "Parameter: Brightness | Symbol: VF-R | Min: 100 | Max: 120",
        "Parameter: Brightness | Symbol: VF-G | Min: 150 | Max: 180",
        "Parameter: Angle | Symbol: 2T | Min: 95 | Max: 110",
        "Min: 245 | Max: 290",
    ]


def test_single_letters_below_each_other_are_cells(tmp_path: Path, settings: Settings) -> None:
    courses = lines(60, 780, "Course", "Algebra", "History", "Biology")  # drawn column by column
    texts = [*courses, *lines(250, 780, "Points", "10", "5", "7"), *lines(400, 780, "Grade", "A", "B", "A")]
    (page,) = read(drawn(texts), tmp_path, settings)
    assert page.page_content.split("\n") == [
        "Course: Algebra | Points: 10 | Grade: A",
        "Course: History | Points: 5 | Grade: B",
        "Course: Biology | Points: 7 | Grade: A",
    ]


def test_a_minus_at_the_end_of_a_line_breaks_no_word(tmp_path: Path, settings: Settings) -> None:
    (page,) = read(drawn(lines(60, 780, "Blood group: A-", "Weight: 70 kg")), tmp_path, settings)
    assert page.page_content == "Blood group: A-\nWeight: 70 kg"
    rows = [("Course", "Points", "Grade"), ("Algebra", "10", "B-"), ("Physics", "5", "A-"), ("Art", "7", "C+")]
    texts = [
        (x, 780.0 - 12 * n, 10.0, cell)
        for n, row in enumerate(rows)
        for x, cell in zip((60, 200, 300), row, strict=False)
    ]
    (page,) = read(drawn(texts), tmp_path, settings)
    assert page.page_content.split("\n")[:2] == [
        "Course: Algebra | Points: 10 | Grade: B-",
        "Course: Physics | Points: 5 | Grade: A-",
    ]
    prose = [
        "Wer etwas dazu wissen will, der schickt uns eine E-",
        "Mail an die Stelle, die oben in diesem Brief steht.",
    ]
    (page,) = read(drawn(lines(60, 780, *prose)), tmp_path, settings)
    assert page.page_content == "".join(prose)


BILLED = ["Bill to", "Strategic Corp", "Mill Street 46", "3500 MJ Utrecht"]
SHIPPED = ["Ship to", "Ann Lee", "4557 De Silva St", "Fremont CA 94538"]


def test_addresses_beside_each_other_are_read_from_top_to_bottom(tmp_path: Path, settings: Settings) -> None:
    texts = [*lines(60, 780, *BILLED), *lines(220, 780, *SHIPPED)]
    facts = [*lines(400, 780, "Invoice", "Date", "Terms"), *lines(480, 780, "A-17", "3 May", "30 days")]
    (page,) = read(drawn(texts), tmp_path, settings)
    assert page.page_content == "\n".join(BILLED) + "\n\n" + "\n".join(SHIPPED)
    (page,) = read(drawn([*texts, *facts]), tmp_path, settings)
    assert page.page_content.split("\n\n")[:2] == ["\n".join(BILLED), "\n".join(SHIPPED)]
    assert "Invoice | A-17" in page.page_content and "Terms | 30 days" in page.page_content


def test_a_table_with_towns_stays_a_table(tmp_path: Path, settings: Settings) -> None:
    form = [*lines(60, 780, "Name", "Street", "Town", "Phone"), *lines(220, 780, *SHIPPED[1:], "555 010")]
    (page,) = read(drawn(form), tmp_path, settings)
    assert "Street | 4557 De Silva St\nTown | Fremont CA 94538" in page.page_content
    people = [*lines(60, 780, "Name", "Ann", "Bo"), *lines(220, 780, "Street", "Elm 3", "Oak 9")]
    (page,) = read(drawn([*people, *lines(380, 780, "Town", "1216 Hill", "3500 Dale")]), tmp_path, settings)
    assert "Name: Bo | Street: Oak 9 | Town: 3500 Dale" in page.page_content


def test_emoji_and_letters_of_formulas(tmp_path: Path, settings: Settings) -> None:
    told = b"2 beginbfchar <41> <D83CDF72> <42> <D835DC65> endbfchar 1 beginbfrange <43> <7A> <0043> endbfrange"
    (page,) = read(pdf("A Soup for B persons, and one half: A", to_unicode=told), tmp_path, settings)
    assert page.page_content.replace("\u2060", "") == "\U0001f372 Soup for x persons, and one half: \U0001f372"


def test_places_in_tables_heads_and_tails(tmp_path: Path, settings: Settings) -> None:
    (page,) = read("table.pdf", tmp_path, settings)
    (cell,) = place(CASES / "table.pdf", page, "9.75")
    (name,) = place(CASES / "table.pdf", page, "Route: Brill - Dunmore | Adult: 9.75")[-1:]
    assert round(cell.left) == 259 and cell == name  # the columns' names are no words of the row
    second = read("hyphen.pdf", tmp_path, settings)[1]
    (year,) = place(CASES / "hyphen.pdf", second, "2019")
    assert year.page == 2
    first = read("pageborder.pdf", tmp_path, settings)[0]
    found = place(CASES / "pageborder.pdf", first, "kept by the deputy archivist")
    assert [box.page for box in found] == [1, 2]
    (form,) = read("form.pdf", tmp_path, settings)
    assert place(CASES / "form.pdf", form, "LN-88213")[0].left > 160


def test_places_of_another_text(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no page 9"):
        boxes(str(CASES / "table.pdf"), 9, "x", 0, 1, {})


# -- letters ------------------------------------------------------------------------------------------------------


def test_odd_characters() -> None:
    assert (
        odd_characters(["cœur", "naïve", "C++", "a_b", "x=3", "COVID-19이", "№5", "™", "https://x.org/~a", "\uf0b7"])
        == []
    )
    assert odd_characters(["비\ue357체"]) == ["\ue357"]
    assert len(odd_characters(["™—", "›™œ", "3HQ|åQ~SUR", "a\ufffdb"])) > 4


def test_letters_that_recognition_knows() -> None:
    assert is_recognizable("Größe 平成 Ωμέγα") and not is_recognizable("Привет") and not is_recognizable("한국어")
    assert share_found("Ab", "ab") == 1.0 and share_found("哾㦓", "黎荣") == 0.0 and share_found("", "x") == 1.0


def test_wrong_letters_are_refused_without_recognition(tmp_path: Path) -> None:
    words = "\xa8\xa9\xae\x99\xa4 x\x99y\xa8z\x99w " * 12
    path = tmp_path / "a.pdf"
    path.write_bytes(drawn([(60.0, 700.0, 10.0, words.encode("latin-1").decode("cp1252"))]))
    said = reason(path, make_settings(tmp_path, ocr=False))
    assert "letters of the PDF cannot be told" in said


# -- rows, names and headings of everyday papers --------------------------------------------------------------------


def row(y: float, *cells: tuple[float, str], size: float = 8.0) -> list[Text]:
    return [(x, y, size, text) for x, text in cells]


def test_the_halves_of_a_wide_table_are_no_columns_of_text(tmp_path: Path, settings: Settings) -> None:
    people = ["MENA JUAN", "MOLLEVI FEDERICO", "PERAZZO PABLO", "PICARDI FRANCO", "PISONI CARLOS", "REMON MABEL"]
    texts = row(
        720, (50, "Surname"), (150, "Given name of the donor"), (300, "Number of the card"), (420, "Day"), (500, "Sum")
    )
    for number, name in enumerate(people):
        surname, given = name.split()
        cells = (
            (50, surname),
            (150, f"{given} of the town"),
            (300, f"27 083 46{number}"),
            (420, "9 May"),
            (500, f"{number}00,00"),
        )
        texts += row(704 - 16 * number, *cells)
    (page,) = read(drawn(texts), tmp_path, settings)
    assert page.page_content.split("\n")[1] == (
        "Surname: MOLLEVI | Given name of the donor: FEDERICO of the town | Number of the card: 27 083 461 | Day: 9 May"
        " | Sum: 100,00"
    )


def test_names_that_stand_near_each_other_are_parted_as_their_columns(tmp_path: Path, settings: Settings) -> None:
    texts = row(700, (45, "Article"), (260, "Number"), (330, "VAT Price with VAT"))
    for number, name in enumerate(["Tablet with sixteen GB", "Cover of black leather", "Adapter", "Game"]):
        texts += row(684 - 15 * number, (45, name), (270, "1"), (331, "21%"), (377, "399,00"))
    (page,) = read(drawn(texts), tmp_path, settings)
    assert page.page_content.split("\n")[0] == (
        "Article: Tablet with sixteen GB | Number: 1 | VAT: 21% | Price with VAT: 399,00"
    )


def test_the_lines_of_a_cell_belong_to_its_row(tmp_path: Path, settings: Settings) -> None:
    texts = []
    for number, place in enumerate(["Arden", "Brill", "Coll"]):
        y = 700 - 60 * number
        texts += row(y, (60, str(number + 1)), (100, f"Mailbox in {place}"), (400, "3,89"), (460, "3,89"))
        texts += row(y - 14, (100, "Basic fee"))
        texts += row(y - 28, (100, f"Service: OUD {place}"))
        texts += row(y - 42, (100, "May 2014"))
    texts += row(500, (60, "All prices are in euros, and are to be paid within fourteen days of this bill."))
    (page,) = read(drawn(texts), tmp_path, settings)
    assert page.page_content.split("\n")[:3] == [
        f"{number} | Mailbox in {place} Basic fee Service: OUD {place} May 2014 | 3,89 | 3,89"
        for number, place in enumerate(["Arden", "Brill", "Coll"], 1)
    ]


def test_rows_and_page_numbers_are_no_headings_and_labels_stay_apart(tmp_path: Path, settings: Settings) -> None:
    small = [
        f"These are the terms of line {number} in small letters that fill most of this page." for number in range(20)
    ]
    texts = [(60.0, 780.0, 14.0, "Bill for May"), (60.0, 750.0, 10.0, "Balance"), (400.0, 750.0, 10.0, "Rs 0")]
    texts += [
        (60.0, 720.0, 7.0, "Bill date: 19 April"),
        (60.0, 710.0, 7.0, "Order number: 125"),
        (60.0, 700.0, 7.0, "Order date: 18 April"),
    ]
    texts += [*lines(60, 640, *small, size=7), (60.0, 60.0, 10.0, "Page 1 of 2")]
    (page,) = read(drawn(texts), tmp_path, settings)
    assert [path for _, path, _ in page.metadata["sections"]] == [[]]
    assert page.metadata["title"] == "Bill for May"
    assert "Bill date: 19 April\nOrder number: 125\nOrder date: 18 April" in page.page_content


def test_what_is_a_title(tmp_path: Path, settings: Settings) -> None:
    prose = [f"This is the line {number} of the text and it goes on for some more words." for number in range(12)]
    body = lines(60, 600, *prose)
    two = [(60.0, 780.0, 18.0, "A comparison of languages"), (60.0, 758.0, 18.0, "in economics")]
    (page,) = read(drawn([*two, *body]), tmp_path, settings)
    assert page.metadata["title"] == "A comparison of languages in economics"
    assert boxes(str(tmp_path / "a.pdf"), 1, page.page_content, 0, 38, {})  # the reader beside the chat finds the words
    below = [
        (60.0, 700.0, 10.0, "The sums of the year are told below, net of what came in, as follows."),
        (60.0, 660.0, 14.0, "See the last column"),
    ]
    for texts in ([*below, *body], [(60.0, 780.0, 14.0, "All for a smile."), *body]):
        (page,) = read(drawn(texts), tmp_path, settings)
        assert page.metadata["title"] == "a.pdf"


def test_the_articles_of_a_contract_are_headings(tmp_path: Path, settings: Settings) -> None:
    said = "The tenant pays the rent on the first day of each month, and tells the owner where it is late."
    texts = [text for n, name in enumerate(["1. DUTIES.", "Article 2 - Rent", "\247 3 Repairs"]) for text in (
        *row(760 - 60 * n, (60, name), size=10.0), *row(740 - 60 * n, (60, said), size=10.0)
    )]  # fmt: skip
    (page,) = read(drawn(texts), tmp_path, settings)
    assert [path for _, path, _ in page.metadata["sections"]] == [["1. DUTIES."], ["Article 2 - Rent"], ["§ 3 Repairs"]]
