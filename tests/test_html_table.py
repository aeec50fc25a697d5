"""Tables of pages and Word files: a row is one line that names its columns; tables that lay out a page are text."""

from __future__ import annotations

import io
from pathlib import Path

import docx
import pytest
from langchain_core.documents import Document

from rag.settings import Settings
from rag.sources.loader import load_source, section_at
from tests.files import BOOK, check, zipped

CASES = Path(__file__).parent / "data" / "cases"


class Read:
    """Writes a file and gives back the text that was read of it."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder = folder
        self.settings = settings
        self.document = Document("")

    def __call__(self, content: str | bytes, name: str = "a.html") -> str:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        (self.document,) = load_source(str(path), self.settings, private=True).documents
        check(self.document)
        return self.document.page_content

    def section(self, text: str) -> tuple[str, str]:
        return section_at(self.document.metadata, self.document.page_content.index(text))


@pytest.fixture
def read(tmp_path: Path, settings: Settings) -> Read:
    return Read(tmp_path, settings)


def table(rows: str, attributes: str = "") -> str:
    return f"<title>T</title><main><h1 id=top>Bikes</h1><p>Before.</p><table {attributes}>{rows}</table><p>After.</p>"


def lines(text: str) -> list[str]:
    """The lines between the paragraphs around the table."""
    return text.partition("Before.\n")[2].rpartition("\nAfter.")[0].split("\n")


def test_the_price_list_of_the_case(read: Read) -> None:
    text = read((CASES / "htmltable" / "bikes.html").read_bytes()).split("\n")
    assert "Model: Heron | Weight: 14 kg | Price: 429 EUR | Range: 60 km" in text
    assert read.section("Model: Stilt") == ("Bikes 2026 > Price list", "")
    assert read.section("Sizes") == ("Bikes 2026 > Sizes", "")
    assert text[text.index("Sizes") + 1 :][:2] == ["Frame S: 150 cm", "Frame S: 160 cm"]
    lines = ("Warranty: Five years on frames", "Returns: Within 40 days", "Shipping", "We ship with Nordline couriers.")
    for line in lines:
        assert line in text


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("<tr><th>A<th>B<tr><td>1<td>2<tr><td>3<td>4", ["A: 1 | B: 2", "A: 3 | B: 4"]),
        ("<tr><td>Name<td>Price<tr><td>Heron<td>429", ["Name: Heron | Price: 429"]),
        ("<thead><tr><td>7<td>8</thead><tbody><tr><td>x<td>y</tbody>", ["7: x | 8: y"]),
        ("<tr><th>A<th colspan=2>B<tr><td>1<td>2<td>3", ["A: 1 | B: 2 | B: 3"]),
        ("<tr><th rowspan=2>A<th colspan=2>B<tr><th>C<th>D<tr><td>1<td>2<td>3", ["A: 1 | B C: 2 | B D: 3"]),
        (
            "<tr><th>A<th>B<tr><td rowspan=2>x<td>1<tr><td>2<tr><td>y<td>3",
            ["A: x | B: 1", "A: x | B: 2", "A: y | B: 3"],
        ),
        ("<tr><th>A<th>B<tr><td colspan=2>both<tr><td>1<td>2", ["both", "A: 1 | B: 2"]),
        ("<tr><th>Height<td>3 m<tr><th>Width<td>2 m", ["Height: 3 m", "Width: 2 m"]),
        ("<tfoot><tr><td>Sum<td>9</tfoot><tbody><tr><td>1<td>8</tbody>", ["1 | 8", "Sum | 9"]),
        ("<tr><td><p>one</p><p>two</p><td><ul><li>x<li>y</ul>", ["one two | x y"]),
        ("<tr><th>A<th>B<tr><td>1<td><img src=y.png alt=yes><tr><td hidden>2</td><td>3", ["A: 1 | B: yes", "A: 3"]),
        ("<tr><th>A<th>B<tr><td>1<td><table><tr><td>in<td>ner</table>", ["A: 1 | B: in ner"]),
    ],
    ids=["unclosed", "td", "thead", "colspan", "two", "rowspan", "wide", "rows", "tfoot", "blocks", "image", "nested"],
)
def test_rows_are_lines(read: Read, rows: str, expected: list[str]) -> None:
    assert lines(read(table(rows))) == expected


def test_an_empty_column_that_indents_the_others_is_none(read: Read) -> None:
    options = [("-n, --dry-run", "change nothing"), ("--list", "say what is kept"), ("-c SECONDS", "write after")]
    rows = "".join(f"<tr><td></td><td>{name}</td><td>{does}</td></tr>" for name, does in options)
    text = read(f"<h1>prune</h1><p>It deletes.</p><table><tr><td colspan=3>options</td></tr>{rows}</table>")
    assert text.split("\n")[-3:] == [f"{name} | {does}" for name, does in options]


def test_a_table_of_other_tags_is_told_by_their_roles(read: Read) -> None:
    rows = [
        "<div role=row><span role=columnheader>Bike</span><span role=columnheader>Price</span></div>",
        "<div role=row><span role=cell>Heron</span><span role=cell>429</span></div>",
        "<div role=row><span role=cell aria-colspan=2>sold out</span></div>",
    ]
    page = f"<main><p>Before.</p><div role=table><div role=rowgroup>{''.join(rows)}</div></div><p>After.</p></main>"
    assert lines(read(page)) == ["Bike: Heron | Price: 429", "sold out"]


def test_a_caption_names_the_section_of_its_rows_only(read: Read) -> None:
    read(table("<caption>Prices <b>now</b></caption><tr><th>A<th>B<tr><td>1<td>2", "id=prices"))
    assert read.section("A: 1") == ("Bikes > Prices now", "prices")
    assert read.section("After.") == ("Bikes", "top")
    read(table("<tr><th colspan=2>Prices</th></tr><tr><th>A<th>B<tr><td>1<td>2"))
    assert read.section("A: 1") == ("Bikes > Prices", "top")


LONG = "The museum moves to a new house in June, as the council said on Monday. " * 8


@pytest.mark.parametrize(
    "rows",
    [
        f"<tr><td>Menu<td><h2>News</h2>{LONG}",
        f"<tr><td>Menu<td>{LONG}",
        "<tr><td>only<tr><td>one column",
        f"<tr><td>Menu<td>News<tr><td>x<td>{LONG * 4}",
        f"<tr><td>Menu<td><table><tr><td>1<td>2</table>{LONG}<tr><td>x<td>y",
    ],
)
def test_tables_that_lay_out_a_page_are_text(read: Read, rows: str) -> None:
    assert " | " not in "".join(line for line in lines(read(table(rows))) if line != "1 | 2")
    assert " | " not in read(table("<tr><td>a<td>b<tr><td>c<td>d", "role=presentation"))


def test_line_numbers_beside_code_are_no_table(read: Read) -> None:
    code = "<tr><td class={}><pre>1\n2</pre>{}<td class=code><pre>if x:\n    y()</pre>"
    assert "if x:\n    y()" in read(table(code.format("linenos", ""), "class=highlighttable"))
    for name in ("linenos", "gutter", "'hljs-ln-numbers hljs-ln'"):
        assert lines(read(table(code.format(name, "</td>")))) == ["if x:", "    y()"]
    number = "<tr><td class=blob-num data-line-number=1></td>"
    rows = f"{number}<td class=blob-code>if x:</td></tr>{number}<td class=blob-code>y()</td></tr>"
    assert lines(read(table(rows))) == ["if x:", "y()"]
    assert lines(read(table("<tr><th>Room<th class=gutter>Metres<tr><td>Hall<td>12"))) == ["Room: Hall | Metres: 12"]


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "rows",
    [
        "<tr>" + "<td colspan=1000 rowspan=65534>x" * 20 + "<tr><td>y" * 5000,
        "<tr><th>h<td>" + "<table><tr><th>h<td>" * 3000 + "x",
        "<tr>" + "<td>x" * 20_000,
        "<tr><td>x<td>y" * 7_500,
    ],
    ids=["spans", "nested", "wide", "long"],
)
def test_hostile_tables_are_bounded(read: Read, rows: str) -> None:
    assert len(read(table(rows))) < 3_000_000


def test_tables_of_word_files_and_books(read: Read) -> None:
    document = docx.Document()
    document.add_paragraph("Before.")
    grid = document.add_table(3, 3)
    for row, texts in zip(grid.rows, ["Model Weight Price", "Heron 14 429", "Stilt 16 640"], strict=True):
        for cell, text in zip(row.cells, texts.split(), strict=True):
            cell.text = text
    grid.cell(1, 2).merge(grid.cell(2, 2)).text = "429"
    held = io.BytesIO()
    document.save(held)
    assert read(held.getvalue(), "a.docx").split("\n")[-2:] == [
        "Model: Heron | Weight: 14 | Price: 429",
        "Model: Stilt | Weight: 16 | Price: 429",
    ]
    chapter = (
        "<html><body><h1>Three</h1><table><tr><th>A</th><th>B</th></tr><tr><td>1</td><td>2</td></tr></table></body>"
    )
    assert read(zipped({**BOOK, "OPS/3.xhtml": chapter}), "a.epub").endswith("Three\nA: 1 | B: 2")


def test_pairs_below_a_row_over_both_columns_keep_their_names(read: Read) -> None:
    rows = (
        '<tr><th colspan="2">Zealand</th></tr><tr><td colspan="2">Flag</td></tr>'
        '<tr><th scope="row">Capital</th><td>Wellington<sup class="reference">[5]</sup></td></tr>'
        '<tr><th scope="row">Largest city</th><td>Auckland</td></tr><tr><th colspan="2">Area</th></tr>'
        '<tr><th scope="row">• Total</th><td>268,021 km</td></tr>'
        '<tr><th scope="row">GDP</th><td>2018 estimate</td></tr>'
        '<tr><th scope="row">• Per capita</th><td>$40,266</td></tr>'
    )
    assert lines(read(table(rows, "class=infobox"))) == [
        "Zealand",
        "Flag",
        "Capital: Wellington",
        "Largest city: Auckland",
        "Area",
        "Area • Total: 268,021 km",
        "GDP: 2018 estimate",
        "GDP • Per capita: $40,266",
    ]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("<b>Name</b>", "Ida"), ("<b>City</b>", "Kiel")], ["Name: Ida", "City: Kiel"]),
        ([("Name:", "Ida"), ("City:", "Kiel"), ("Ship:", "Gull")], ["Name: Ida", "City: Kiel", "Ship: Gull"]),
        ([("Name", "Ida"), ("City", "Kiel"), ("Ship", "Gull")], ["Name | Ida", "City | Kiel", "Ship | Gull"]),
        ([("<b>Land</b>", "<b>City</b>"), ("A", "Ulm"), ("B", "Ede")], ["Land: A | City: Ulm", "Land: B | City: Ede"]),
        ([("Land", "People"), ("Peru", "34"), ("Mali", "22")], ["Land: Peru | People: 34", "Land: Mali | People: 22"]),
    ],
)  # fmt: skip
def test_pairs_of_names_and_values(rows: list[tuple[str, str]], expected: list[str], read: Read) -> None:
    inner = "".join(f"<tr><td>{name}</td><td>{value}</td></tr>" for name, value in rows)
    assert lines(read(table(inner))) == expected


def test_a_long_text_over_several_columns_is_told_once(read: Read) -> None:
    long = "The pay is computed as the hours times the wage."
    rows = f"<tr><th>Step<th>One<th>Two</tr><tr><td>A<td>5<td>5</tr><tr><td>B<td colspan=2>{long}</tr>"
    assert lines(read(table(rows))) == ["Step: A | One: 5 | Two: 5", f"Step: B | One: {long}"]


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ('<i class="fa fa-check" aria-hidden="true"></i>', "✓"),
        ('<i class="fa fa-times"></i>', "✗"),
        ('<svg role="img" aria-label="Included"></svg>', "Included"),
        ("<svg role=img><title>Not included</title><path d=M0></svg>", "Not included"),
        ('<span class="tick" title="Yes"></span>', "Yes"),
        ("<input type=checkbox checked disabled>", "☑"),
        ("<input type=checkbox disabled>", "☐"),
        ('<i class="fa fa-check"></i> for all', "for all"),
    ],
)
def test_icons_and_boxes_alone_in_a_cell_are_told(read: Read, cell: str, told: str) -> None:
    text = read(table(f"<tr><th>Feature<th>Pro<tr><td>Export<td>{cell}<tr><td>API<td>yes"))
    assert f"Feature: Export | Pro: {told}" in text
