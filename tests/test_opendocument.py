"""OpenDocument: texts, sheets and slides as LibreOffice writes them."""

# ruff: noqa: E501  # the XML

from __future__ import annotations

from pathlib import Path

import pytest
from langchain_core.documents import Document

from rag.settings import Settings
from rag.sources.loader import load_source
from tests.files import ENTITIES, check, load, put, reason, zipped

CASES = Path(__file__).parent / "data" / "cases"
NAMES = "office style text table draw presentation chart meta svg xlink dc fo loext".split()  # noqa: SIM905
SPACES = " ".join(f'xmlns:{name}="urn:{name}"' for name in NAMES) + ' xmlns:math="http://www.w3.org/1998/Math/MathML"'
KINDS = {".odt": "text", ".ods": "spreadsheet", ".odp": "presentation"}


def made(ending: str, body: str, automatic: str = "", **members: str) -> bytes:
    """A file with this body, automatic styles, and other members ("__" in a name stands for "/")."""
    kind = KINDS[ending]
    content = f"<office:document-content {SPACES}><office:automatic-styles>{automatic}</office:automatic-styles>"
    content += f"<office:body><office:{kind}>{body}</office:{kind}></office:body></office:document-content>"
    others = {f"{name.replace('__', '/')}.xml": text for name, text in members.items()}
    return zipped({"mimetype": f"application/vnd.oasis.opendocument.{kind}", "content.xml": content, **others})


def lines(ending: str, data: bytes, folder: Path, settings: Settings) -> list[str]:
    document = load(put(folder, f"a{ending}", data), settings)
    check(document)
    return document.page_content.split("\n")


def p(text: str) -> str:
    return f"<text:p>{text}</text:p>"


def cell(text: str, **settings: object) -> str:
    given = "".join(f' table:{name.replace("_", "-")}="{value}"' for name, value in settings.items())
    return f"<table:table-cell{given}>{p(text) if text else ''}</table:table-cell>"


def row(*cells: str, **settings: object) -> str:
    given = "".join(f' table:{name.replace("_", "-")}="{value}"' for name, value in settings.items())
    return f"<table:table-row{given}>{''.join(item if item.startswith('<') else cell(item) for item in cells)}</table:table-row>"


COVERED = "<table:covered-table-cell/>"


def test_case_of_the_letter(settings: Settings) -> None:
    assert load(CASES / "othertypes" / "letter.odt", settings).page_content == "The lighthouse was built in 1871."


def test_text(tmp_path: Path, settings: Settings) -> None:
    note = "<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>By the board.</text:p></text:note-body></text:note>"
    comment = "<office:annotation><dc:creator>Ann</dc:creator><text:p>Check it</text:p></office:annotation>"
    tracked = "<text:tracked-changes><text:changed-region><text:deletion><text:p>deleted</text:p></text:deletion></text:changed-region></text:tracked-changes>"
    box = "<draw:frame><draw:text-box><text:p>In the box</text:p></draw:text-box></draw:frame>"
    table = f"<table:table><table:table-header-rows>{row('Unit', 'Rent')}</table:table-header-rows>{row('A1', '1,200')}</table:table>"
    body = tracked + '<text:h text:outline-level="1">Lease</text:h>'
    body += p(f"Built<text:s text:c='2'/>in <text:span>1871</text:span>{note}.{comment}") + p(box)
    body += (
        f"<text:list><text:list-item>{p('one')}</text:list-item><text:list-item>{p('two')}</text:list-item></text:list>"
    )
    body += '<text:p>Table <text:sequence text:name="Table">1</text:sequence>: Rents</text:p>' + table
    body += '<text:h text:outline-level="2">End</text:h>' + p("of it")
    page = f"<office:document-styles {SPACES}><office:master-styles><style:master-page><style:header>{p('File KX')}</style:header>"
    page += (
        f"<style:footer>{p('Foot')}</style:footer></style:master-page></office:master-styles></office:document-styles>"
    )
    document = load(put(tmp_path, "a.odt", made(".odt", body, styles=page)), settings)
    document = load(put(tmp_path, "b.odt", zipped_with(made(".odt", body), "styles.xml", page)), settings)
    check(document)
    assert document.page_content.split("\n\n") == [
        *("Page header: File KX", "Lease", "Built  in 1871 [1].", "[1] By the board.", "Comment by Ann: Check it"),
        *("In the box", "one\ntwo", "Table 1: Rents\nUnit: A1 | Rent: 1,200", "End", "of it", "Page footer: Foot"),
    ]
    assert [path for _, path, _ in document.metadata["sections"]] == [
        *(["Lease"], ["Lease", "Table 1: Rents"], ["Lease", "End"], [])
    ]
    assert "tracked changes are read as accepted" in document.metadata["notes"]


@pytest.mark.parametrize(
    ("foot", "said"),
    [
        ("Seite <text:page-number>3</text:page-number> von <text:page-count>12</text:page-count>", ""),
        ("Lease", ""),
        ("File KX, page <text:page-number>3</text:page-number>", "File KX, page"),
    ],
)
def test_footers_that_say_nothing(foot: str, said: str, tmp_path: Path, settings: Settings) -> None:
    page = f"<office:document-styles {SPACES}><office:master-styles><style:master-page><style:footer>{p(foot)}</style:footer>"
    page += "</style:master-page></office:master-styles></office:document-styles>"
    data = zipped_with(made(".odt", '<text:h text:outline-level="1">LEASE</text:h>' + p("of it")), "styles.xml", page)
    shown = ["LEASE", "", "of it", *(["", f"Page footer: {said}"] if said else [])]
    assert lines(".odt", data, tmp_path, settings) == shown


def zipped_with(data: bytes, name: str, content: str) -> bytes:
    import io
    import zipfile

    held = io.BytesIO(data)
    with zipfile.ZipFile(held, "a") as archive:
        archive.writestr(name, content)
    return held.getvalue()


def listed(*items: str, style: str = "", **settings: str) -> str:
    """A list; items that do not begin with "<" are paragraphs."""
    given = "".join(f' text:{name.replace("_", "-")}="{value}"' for name, value in settings.items())
    given += f' text:style-name="{style}"' if style else ""
    whole = "".join(
        item
        if item.startswith("<text:list-")
        else f"<text:list-item>{item if item.startswith('<') else p(item)}</text:list-item>"
        for item in items
    )
    return f"<text:list{given}>{whole}</text:list>"


def list_style(name: str, *levels: str) -> str:
    """A list style; each level: its format, and further settings."""
    given = []
    for number, settings in enumerate(levels, 1):
        kind, _, more = settings.partition(" ")
        if kind == "bullet":
            given.append(f'<text:list-level-style-bullet text:level="{number}"/>')
        else:
            given.append(f'<text:list-level-style-number text:level="{number}" style:num-format="{kind}" {more}/>')
    return f'<text:list-style style:name="{name}">{"".join(given)}</text:list-style>'


DOT = 'style:num-suffix="."'
ITEM = "<text:list-item>{}</text:list-item>"


@pytest.mark.parametrize(
    ("styles", "body", "shown"),
    [
        (
            list_style("L1", f"1 {DOT}", f"a {DOT}", f"i {DOT}"),
            listed(
                "one",
                p("two") + listed("a", p("b") + listed("i", "ii"), "c") + p("more of two"),
                p("three") + listed("again"),
                style="L1",
            ),
            "1. one/2. two/a. a/b. b/i. i/ii. ii/c. c/more of two/3. three/a. again",
        ),
        (
            list_style("L1", "1 style:num-prefix='§ '", f"1 {DOT} text:display-levels='2'"),
            listed(p("Seat") + listed("Kiel", "Bonn"), p("Aims") + listed("Boats"), style="L1"),
            "§ 1 Seat/1.1. Kiel/1.2. Bonn/§ 2 Aims/2.1. Boats",
        ),
        (
            list_style("L1", "1 loext:num-list-format='Chapter %1%:'", "A loext:num-list-format='%1%-%2%)'"),
            listed(p("Seat") + listed("Kiel"), style="L1"),
            "Chapter 1: Seat/1-A) Kiel",
        ),
        (
            list_style("L1", f"1 {DOT} text:start-value='4'"),
            listed("four", ITEM.format(p("five")).replace("item>", "item text:start-value='9'>", 1), "ten", style="L1"),
            "4. four/9. five/10. ten",
        ),
        (
            list_style("L1", f"1 {DOT}") + list_style("L2", "bullet"),
            listed("one", style="L1", xml_id="x").replace("text:xml-id", "xml:id")
            + listed("a bullet", style="L2")
            + listed("two", style="L1", continue_numbering="true")
            + listed("anew", style="L1")
            + listed("three", style="L1", continue_list="x"),
            "1. one/a bullet/2. two/1. anew/3. three",
        ),
        (
            list_style("L1", f"1 {DOT}", "a style:num-suffix=')'"),
            listed("one", style="L1", xml_id="x").replace("text:xml-id", "xml:id")
            + listed(listed("below", "and more"), "two", style="L1", continue_list="x"),
            "1. one/a) below/b) and more/2. two",
        ),
        (
            list_style("L1", f"1 {DOT}"),
            listed(f"<text:list-header>{p('a header')}</text:list-header>", "one", "", "three", style="L1"),
            "a header/1. one/3. three",
        ),
        (
            list_style("L1", "I"),
            "<table:table>" + row("a", "b") + row(f"<table:table-cell>{listed('one', 'two', style='L1')}</table:table-cell>", "c") + "</table:table>",
            "a | b/I one II two | c",
        ),
    ],
    ids=["three levels", "of sections", "a format", "a start", "gone on", "gone on below", "a header", "in a cell"],
)  # fmt: skip
def test_numbers_of_lists(styles: str, body: str, shown: str, tmp_path: Path, settings: Settings) -> None:
    found = lines(".odt", made(".odt", body, styles), tmp_path, settings)
    assert [line for line in found if line] == shown.split("/")


def test_headings_by_styles_and_their_numbers(tmp_path: Path, settings: Settings) -> None:
    def style(name: str, parent: str = "", more: str = "") -> str:
        return f'<style:style style:name="{name}" style:family="paragraph" style:parent-style-name="{parent}" {more}/>'

    levels = (
        '<text:outline-level-style text:level="1" style:num-format="1"/>'
        '<text:outline-level-style text:level="2" style:num-format="1" text:display-levels="2"/>'
    )
    styles = f'<office:document-styles {SPACES}><office:styles><text:outline-style style:name="Outline">{levels}'
    styles += "</text:outline-style>"
    styles += style("Heading") + style("Heading_20_1", "Heading") + style("Subtitle", "Heading")
    styles += style("Contents_20_Heading", "Heading") + style("Clause", "", 'style:default-outline-level="2"')
    styles += "</office:styles></office:document-styles>"
    own = style("P1", "Heading") + style("P2", "Heading_20_1", 'style:list-style-name=""')

    def h(level: int, text: str, name: str = "Heading_20_1") -> str:
        return f'<text:h text:style-name="{name}" text:outline-level="{level}">{text}</text:h>'

    def named(name: str, text: str) -> str:
        return f'<text:p text:style-name="{name}">{text}</text:p>' + p("Some words.")

    body = h(1, "Preface", "P2") + h(1, "Boats") + h(2, "<text:number>1.1</text:number>Sails") + named("P1", "Oars")
    body += h(1, "Harbours") + named("Clause", "Fees") + named("Subtitle", "A subtitle")
    body += named("Contents_20_Heading", "Contents") + named("Heading_20_1", "Last")
    data = zipped_with(made(".odt", body, own), "styles.xml", styles)
    document = load(put(tmp_path, "a.odt", data), settings)
    check(document)
    assert [path for _, path, _ in document.metadata["sections"]] == [
        ["Preface"],
        ["1 Boats"],
        ["1 Boats", "1.1 Sails"],
        ["1 Boats", "1.1 Sails", "Oars"],
        ["2 Harbours"],
        ["2 Harbours", "Fees"],
        ["Last"],
    ]


def test_headings_by_their_look(tmp_path: Path, settings: Settings) -> None:
    def style(name: str, family: str, letters: str, parent: str = "") -> str:
        given = f'<style:style style:name="{name}" style:family="{family}" style:parent-style-name="{parent}">'
        return f"{given}<style:text-properties {letters}/></style:style>"

    styles = style("P1", "paragraph", 'fo:font-weight="bold"') + style("P2", "paragraph", 'fo:font-size="150%"', "P1")
    styles += style("T1", "text", 'fo:font-weight="bold"') + style("T2", "text", 'fo:font-weight="normal"')
    styles += list_style("L1", f"1 {DOT}") + list_style("L2", "bullet")

    def named(name: str, text: str) -> str:
        return f'<text:p text:style-name="{name}">{text}</text:p>'

    def bold(text: str) -> str:
        return f'<text:span text:style-name="T1">{text}</text:span>'

    prose = p("The boats leave the harbour at six in the morning and come back before it is dark.")
    body = named("P2", "Harbour") + named("P1", "Boats") + prose + p(bold("Sails") + " " + bold("and oars")) + prose * 2
    body += listed(p(bold("Fees")), style="L1") + prose + listed(p(bold("A bullet")), style="L2") + prose * 4
    body += named("P1", 'Not <text:span text:style-name="T2">all of it</text:span>') + prose
    body += named("P1", "All of it is bold, but it is a sentence.") + prose * 4
    document = load(put(tmp_path, "a.odt", made(".odt", body, styles)), settings)
    check(document)
    assert [path for _, path, _ in document.metadata["sections"]] == [
        *(["Harbour"], ["Harbour", "Boats"], ["Harbour", "Sails and oars"], ["Harbour", "Sails and oars", "1. Fees"]),
    ]


def test_hidden_and_struck_out_text_is_not_read(tmp_path: Path, settings: Settings) -> None:
    def style(name: str, family: str, look: str, parent: str = "") -> str:
        return (
            f'<style:style style:name="{name}" style:family="{family}" style:parent-style-name="{parent}">'
            f"<style:text-properties {look}/></style:style>"
        )

    styles = style("T1", "text", 'style:text-line-through-style="solid"') + style("P1", "paragraph", "", parent="Away")
    hidden = 'text:display="none"'
    common = f"<office:document-styles {SPACES}><office:styles>{style('Away', 'paragraph', hidden)}</office:styles>"
    common += f"<office:automatic-styles>{style('T2', 'text', hidden)}"
    common += "</office:automatic-styles></office:document-styles>"
    body = p(
        'Costs <text:span text:style-name="T1">49 </text:span>29 <text:span text:style-name="T2">euros</text:span>.'
    )
    body += '<text:p text:style-name="P1">Hidden.</text:p><text:section text:display="none"><text:p>Away.</text:p></text:section>'
    data = made(".odt", body, styles, styles=common)
    assert lines(".odt", data, tmp_path, settings) == ["Costs 29 euros."]  # T2 is a style of the page's edges alone


def test_struck_out_cells_are_left_out(tmp_path: Path, settings: Settings) -> None:
    look = '<style:text-properties style:text-line-through-style="solid"/>'
    styles = f'<style:style style:name="gone" style:family="table-cell">{look}</style:style>'
    value = 'office:value-type="float" office:value="{0}"><text:p>{0}</text:p></table:table-cell>'
    gone = f'<table:table-cell table:style-name="gone" {value}'
    rows = [row("Item", "Price"), row("Kettle", gone.format(39)), row(gone.format(7), gone.format(25))]
    rows += [row("Pan", "12"), row("Lamp", "80")]
    data = made(".ods", f'<table:table table:name="S">{"".join(rows)}</table:table>', styles)
    assert lines(".ods", data, tmp_path, settings)[2:] == [
        "Item: Kettle",
        "Item: Pan | Price: 12",
        "Item: Lamp | Price: 80",
    ]


def test_sheet(tmp_path: Path, settings: Settings) -> None:
    comment = "<office:annotation><text:p>Too high</text:p></office:annotation>"
    priced = f"<table:table-cell>{comment}<text:p>429,00 €</text:p></table:table-cell>"
    first = "".join(
        [
            row("Name", "Share", "Paid", "Sum"),
            row(
                "Heron",
                '<table:table-cell office:value-type="percentage" office:value="0.125"/>',
                '<table:table-cell office:value-type="boolean" office:boolean-value="false"/>',
                priced,
            ),
            row(cell("Lark", number_rows_spanned=2), "0", "TRUE", '<table:table-cell table:formula="of:=[.A1]*2"/>'),
            row(COVERED, "1", cell("same", number_columns_repeated=2)),
            row(cell("", number_columns_repeated=1024), number_rows_repeated=1_000_000),
        ]
    )
    hidden = '<style:style style:name="ta2"><style:table-properties table:display="false"/></style:style>'
    body = f'<table:table table:name="Bikes">{first}</table:table>'
    body += f'<table:table table:name="Secret" table:style-name="ta2">{row("margin is 31 percent")}</table:table>'
    data = made(".ods", body, hidden)
    assert lines(".ods", data, tmp_path, settings) == [
        *("Bikes", "", "Name: Heron | Share: 12.5% | Paid: FALSE | Sum: 429,00 € | Comment: Too high"),
        "Name: Lark | Share: 0 | Paid: TRUE | Sum: formula without a stored value: =[.A1]*2",
        *("Name: Lark | Share: 1 | Paid: same | Sum: same", "", "Secret", "", "(This sheet is hidden.)"),
        *("", "margin is 31 percent"),
    ]


def test_slides(tmp_path: Path, settings: Settings) -> None:
    title = (
        '<draw:frame presentation:class="title"><draw:text-box><text:p>Opening</text:p></draw:text-box></draw:frame>'
    )
    notes = '<presentation:notes><draw:frame presentation:class="notes"><draw:text-box><text:p>Say hello</text:p></draw:text-box></draw:frame></presentation:notes>'
    table = f"<draw:frame><table:table>{row('Name', 'Age')}{row('Ida', '41')}</table:table></draw:frame>"
    hidden = (
        '<style:style style:name="dp2"><style:drawing-page-properties presentation:visibility="hidden"/></style:style>'
    )
    body = f"<draw:page>{table}{title}{notes}</draw:page>"
    body += (
        '<draw:page draw:style-name="dp2"><draw:custom-shape><text:p>Secret</text:p></draw:custom-shape></draw:page>'
    )
    found = load_source(str(put(tmp_path, "a.odp", made(".odp", body, hidden))), settings, private=True)
    assert found is not None and found.kind == "OpenDocument"
    documents: list[Document] = found.documents
    assert [(item.page_content, item.metadata["page"]) for item in documents] == [
        ("Opening\n\nName: Ida | Age: 41\n\nNotes: Say hello", 1),
        ("(This slide is hidden in the show.)\n\nSecret", 2),
    ]
    assert documents[0].metadata["notes"] == ["2 slides", "1 table", "hidden, read too: slide 2"]


def test_lists_of_slides(tmp_path: Path, settings: Settings) -> None:
    def frame(content: str, kind: str) -> str:
        return f'<draw:frame presentation:class="{kind}"><draw:text-box>{content}</draw:text-box></draw:frame>'

    styles = list_style("L1", "bullet", "bullet") + list_style("L2", f"1 {DOT}")
    points = p("Boats") + listed("Sails", p("Oars") + p("of wood"))
    body = frame(p("Harbours"), "title") + frame(listed(points, style="L1"), "outline")
    body += frame(
        listed(f"<text:list-header>{p('Two steps')}</text:list-header>", "Row", "Rest", style="L2"), "outline"
    )
    document = load(put(tmp_path, "a.odp", made(".odp", f"<draw:page>{body}</draw:page>", styles)), settings)
    check(document)
    assert document.page_content.split("\n") == [
        *("Harbours", "", "- Boats", "  - Sails", "  - Oars", "  of wood"),
        *("", "Two steps", "1. Row", "2. Rest"),
    ]


def test_equations_and_charts(tmp_path: Path, settings: Settings) -> None:
    math = '<math xmlns="http://www.w3.org/1998/Math/MathML"><mi>E</mi><mo>=</mo><mi>m</mi><msup><mi>c</mi><mn>2</mn></msup></math>'
    values = f"<table:table><table:table-header-rows>{row('', 'Sold')}</table:table-header-rows>{row('Oslo', '73')}</table:table>"
    chart = f"<office:document-content {SPACES}><office:body><office:chart><chart:chart><chart:title>{p('Boats')}</chart:title>"
    chart += f"{values}</chart:chart></office:chart></office:body></office:document-content>"
    frames = "".join(f'<draw:frame><draw:object xlink:href="./Object {n}"/></draw:frame>' for n in (1, 2))
    data = made(".odt", p(f"See {frames}"))
    declared = (
        '<!DOCTYPE math:math PUBLIC "-//OpenOffice.org//DTD Modified W3C MathML 1.01//EN" "math.dtd">'  # as it wrote
    )
    data = zipped_with(zipped_with(data, "Object 1/content.xml", declared + math), "Object 2/content.xml", chart)
    assert lines(".odt", data, tmp_path, settings) == ["See", "", "E = mc^2", "", "Boats", "Oslo | Sold: 73"]


@pytest.mark.parametrize("ending", KINDS)
def test_refused(ending: str, tmp_path: Path, settings: Settings) -> None:
    manifest = '<manifest:manifest xmlns:manifest="m"><manifest:encryption-data/></manifest:manifest>'
    whole = made(ending, p("text"))
    assert "password" in reason(
        put(tmp_path, f"a{ending}", made(ending, "", **{"META-INF__manifest": manifest})), settings
    )
    assert "damaged" in reason(put(tmp_path, f"b{ending}", whole[:200]), settings)
    bomb = zipped(
        {"mimetype": f"application/vnd.oasis.opendocument.{KINDS[ending]}", "content.xml": f"{ENTITIES}]><x>&i;</x>"}
    )
    assert "entities" in reason(put(tmp_path, f"c{ending}", bomb), settings)
    other = ".ods" if ending == ".odt" else ".odt"
    assert f"named {other} but seems to be an OpenDocument" in reason(put(tmp_path, f"d{other}", whole), settings)


def test_repeats_are_bounded(tmp_path: Path, settings: Settings) -> None:
    rows = row(cell("down"), number_rows_repeated=1_000_000) + row(cell("across", number_columns_repeated=1_000_000))
    (tmp_path / "a.ods").write_bytes(made(".ods", f"<table:table>{rows}</table:table>"))
    loaded = load_source(str(tmp_path / "a.ods"), settings, private=True)
    assert loaded
    text = "".join(document.page_content for document in loaded.documents)
    assert (text.count("down"), text.count("across")) == (1000, 1000)


@pytest.mark.soak
def test_repeats_without_end(tmp_path: Path, settings: Settings) -> None:
    many = row(cell("x" * 100, number_columns_repeated=100_000), number_rows_repeated=1_000_000)
    said = reason(put(tmp_path, "a.ods", made(".ods", f"<table:table>{many * 20}</table:table>")), settings)
    assert "more than" in said
