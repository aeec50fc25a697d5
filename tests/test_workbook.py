"""Workbooks: values as they are shown, with the names of their columns on every row, and nothing dropped."""

# ruff: noqa: E501  # the table of formats

from __future__ import annotations

import datetime
import io
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from openpyxl.cell.rich_text import CellRichText, TextBlock
from openpyxl.cell.text import InlineFont
from openpyxl.chart import BarChart, Reference
from openpyxl.comments import Comment
from openpyxl.styles import Font
from openpyxl.worksheet.table import Table

from rag.settings import Settings
from rag.sources.office.number_formats import shown
from tests.files import altered, check, load, saved

PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
CASES = Path(__file__).parent / "data" / "cases"


def book_of(*rows: list[Any]) -> tuple[Any, Any]:
    """A workbook, and its sheet with these rows."""
    book = openpyxl.Workbook()
    book.active.title = "Data"
    for row in rows:
        book.active.append(row)
    return book, book.active


def lines_of(book: Any, folder: Path, settings: Settings) -> list[str]:
    (folder / "a.xlsx").write_bytes(book if isinstance(book, bytes) else saved(book))
    document = load(folder / "a.xlsx", settings)
    check(document)
    return document.page_content.split("\n")


def test_case_of_the_budget(settings: Settings) -> None:
    document = load(CASES / "xlsx" / "budget.xlsx", settings)
    check(document)
    lines = document.page_content.split("\n")
    assert lines[2] == (
        "Item: Roof repair | Due: 2026-03-14 | Share: 12.5% | Quantity: 0 | Paid: FALSE | "
        "Total: formula without a stored value: =D2*10 | Comment: Contractor is Halvorsen & Sons"
    )
    assert "Region: North | City: Lübeck | Sales: 385" in lines
    assert [line for line in lines if line.startswith("sensor: S-0399 | room: Room ")]
    assert "Hidden margin is 31 percent" in lines
    assert "hidden sheet, read too: Secret" in document.metadata["notes"]
    assert any("no stored value" in note for note in document.metadata["notes"])
    assert ["Readings"] in [path for _, path, _ in document.metadata["sections"]]


def test_lines_above_the_header_and_several_tables(tmp_path: Path, settings: Settings) -> None:
    book, _ = book_of(
        ["Annual report"],
        ["Author", "Jane Doe", "2026-01-01"],
        [],
        ["Sales by region"],
        ["Region", "City", "Sales"],
        ["North", "Kiel", 410],
        [],
        ["South", "Ulm", 77],
        [],
        ["Ship", "Crew"],
        ["Möwe", 12],
    )
    assert lines_of(book, tmp_path, settings) == [
        *("Data", "", "Annual report", "Author | Jane Doe | 2026-01-01", "", "Sales by region"),
        *("Region: North | City: Kiel | Sales: 410", "", "Region: South | City: Ulm | Sales: 77"),
        *("", "Ship: Möwe | Crew: 12"),
    ]


def test_header_right_below_other_lines(tmp_path: Path, settings: Settings) -> None:
    book, _ = book_of(
        ["Exported", "2026-01-01"],
        ["Name", "Kind", "Price", "Stock"],
        ["Heron", "bike", 429, 0],
        ["Lark", "bike", 99, 3],
    )
    assert lines_of(book, tmp_path, settings)[2:] == [
        *("Exported | 2026-01-01", "", "Name: Heron | Kind: bike | Price: 429 | Stock: 0"),
        "Name: Lark | Kind: bike | Price: 99 | Stock: 3",
    ]


def test_merged_cells(tmp_path: Path, settings: Settings) -> None:
    book, sheet = book_of(
        ["Sales of the year"],
        ["Region", 2024, None, 2025],
        [None, "Plan", "Actual", "Plan", "Actual"],
        ["North", 1, 2, 3, 4],
        [None, 5, 6, 7, 8],
    )
    sheet["B2"], sheet["D2"] = "FY 2024", "FY 2025"
    for area in ("A1:E1", "A2:A3", "B2:C2", "D2:E2", "A4:A5"):
        sheet.merge_cells(area)
    assert lines_of(book, tmp_path, settings)[2:] == [
        "Sales of the year",
        "Region: North | FY 2024 Plan: 1 | FY 2024 Actual: 2 | FY 2025 Plan: 3 | FY 2025 Actual: 4",
        "Region: North | FY 2024 Plan: 5 | FY 2024 Actual: 6 | FY 2025 Plan: 7 | FY 2025 Actual: 8",
    ]


def test_the_cells_of_a_laid_out_report_are_merged_in_all_rows(tmp_path: Path, settings: Settings) -> None:
    book, sheet = book_of(
        [None, None, "Gas", None, None, "Oil"],
        ["Point", None, "Volume", None, "Mass", "Mass"],
        *([name, None, 100 + number, None, 10, 20] for number, name in enumerate(["Chiswick", "Grove", "Sum"])),
    )
    for area in ["C1:E1", *(f"{ends[0]}{row}:{ends[1]}{row}" for row in range(2, 6) for ends in ("AB", "CD"))]:
        sheet.merge_cells(area)
    assert lines_of(book, tmp_path, settings)[2:] == [
        "Point: Chiswick | Gas Volume: 100 | Gas Mass: 10 | Oil Mass: 20",
        "Point: Grove | Gas Volume: 101 | Gas Mass: 10 | Oil Mass: 20",
        "Point: Sum | Gas Volume: 102 | Gas Mass: 10 | Oil Mass: 20",
    ]


def test_names_above_an_empty_row_where_the_labels_of_the_rows_have_none(tmp_path: Path, settings: Settings) -> None:
    book, _ = book_of(
        ["In millions", None, None, None, None, "First half"],
        [None, "Sales", "Profit", "Margin", "Staff", "Depreciation"],
        [],
        ["Zone A", 12553, 2713, 21, 40, -337],
        ["Zone B", 9467, 1570, 17, 30, -414],
    )
    assert lines_of(book, tmp_path, settings)[2:] == [
        "In millions | First half",  # the caption of the rows
        "Zone A | Sales: 12553 | Profit: 2713 | Margin: 21 | Staff: 40 | Depreciation: -337",
        "Zone B | Sales: 9467 | Profit: 1570 | Margin: 17 | Staff: 30 | Depreciation: -414",
    ]
    sections = load(tmp_path / "a.xlsx", settings).metadata["sections"]
    assert [path for _, path, _ in sections] == [["Data"], ["Data", "In millions | First half"]]


def test_years_name_columns(tmp_path: Path, settings: Settings) -> None:
    book, _ = book_of(["Country", 2023, 2024], ["Norway", 71, 73], ["Chile", 40, 41])
    assert lines_of(book, tmp_path, settings)[2:] == [
        "Country: Norway | 2023: 71 | 2024: 73",
        "Country: Chile | 2023: 40 | 2024: 41",
    ]


def test_the_names_of_columns_above_an_empty_row(tmp_path: Path, settings: Settings) -> None:
    book, sheet = book_of(
        ["Permits"],
        ["Period", "Nation", None, "South", None],
        [None, "Total", "1 unit", "Total", "1 unit"],
        [],
        [2018],
        ["March . . . . .", 1377, 851, 652, 456],
        ["April.......", 1364, 863, 727, 479],
        [],
        [2019],
        ["January ………", 1317, 821, 657, 455],
        [],
        ["Change"],
        ["Jan. from Apr.", "-3%", "-4%", "-9%", "-5%"],
        [],
        ["p Preliminary"],
    )
    for area in ("A2:A3", "B2:C2", "D2:E2"):
        sheet.merge_cells(area)
    rest = ("Nation Total", "Nation 1 unit", "South Total", "South 1 unit")

    def line(period: str, *values: str) -> str:
        pairs = zip(rest, values, strict=True)
        return " | ".join([f"Period: {period}", *(f"{name}: {value}" for name, value in pairs)])

    assert lines_of(book, tmp_path, settings)[2:] == [
        "Permits",
        line("2018 March", "1377", "851", "652", "456"),
        line("2018 April", "1364", "863", "727", "479"),
        "",
        line("2019 January", "1317", "821", "657", "455"),
        "",
        line("Change Jan. from Apr.", "-3%", "-4%", "-9%", "-5%"),
        "",
        "p Preliminary",
    ]


@pytest.mark.parametrize(
    ("rows", "lines"),
    [
        ([["Ship", "Crew"], [], ["Möwe", 12]], ["Ship: Möwe | Crew: 12"]),
        ([["Ship", "Crew"], [], [], ["Möwe", 12]], ["Ship: Möwe | Crew: 12"]),
        ([["Name", "Role", "City"], [], ["Ann", "Lead", "Kiel"]], ["Name: Ann | Role: Lead | City: Kiel"]),
        ([["Country", 2023, 2024], [], ["Chile", 40, 41]], ["Country: Chile | 2023: 40 | 2024: 41"]),
        (  # a line of its own above a table with names of its own
            [["Author", "Jane"], [], ["Ship", "Crew"], ["Möwe", 12]],
            ["Author | Jane", "", "Ship: Möwe | Crew: 12"],
        ),
        (
            [["Author", "Jane"], [], ["Ship", "Port"], ["Möwe", "Kiel"]],
            ["Author | Jane", "", "Ship: Möwe | Port: Kiel"],
        ),
        (  # a table without rows
            [["Name", "Role", "City"], [], ["Ship", "Crew"], ["Möwe", 12]],
            ["Name | Role | City", "", "Ship: Möwe | Crew: 12"],
        ),
        ([["Ship", "Crew"], [], ["Möwe", 12, "old", 1]], ["Ship | Crew", "", "Möwe | 12 | old | 1"]),
        ([["Ship", "Crew"], [], [], [], ["Möwe", 12]], ["Ship | Crew", "", "Möwe | 12"]),
        (  # a double-spaced table
            [["Ship", "Crew"], [], ["Möwe", 12], [], ["Adler", "none"], [], ["Star", 9]],
            ["Ship: Möwe | Crew: 12", "", "Ship: Adler | Crew: none", "", "Ship: Star | Crew: 9"],
        ),
    ],
)
def test_what_an_empty_row_parts(rows: list[list[Any]], lines: list[str], tmp_path: Path, settings: Settings) -> None:
    assert lines_of(book_of(*rows)[0], tmp_path, settings)[2:] == lines


@pytest.mark.parametrize(
    ("rows", "lines"),
    [
        (
            [["Fruits"], ["Apple", 3], ["Pear", 4], ["Roots:"], ["Beet", 2]],
            ["Item: Fruits Apple | Kilos: 3", "Item: Fruits Pear | Kilos: 4", "Item: Roots Beet | Kilos: 2"],
        ),
        (
            [[2018], ["First half"], ["May", 3], ["Second half"], ["July", 4], [2019], ["First half"], ["June", 5]],
            [
                *("Item: 2018 First half May | Kilos: 3", "Item: 2018 Second half July | Kilos: 4"),
                "Item: 2019 First half June | Kilos: 5",
            ],
        ),
        # rows without values, a remark at the end
        ([["Apple"], ["Pear", 4], ["Beet", 2]], ["Item: Apple", "Item: Pear | Kilos: 4", "Item: Beet | Kilos: 2"]),
        ([["Pear", 4], ["Apple"], ["Beet", 2]], ["Item: Pear | Kilos: 4", "Item: Apple", "Item: Beet | Kilos: 2"]),
        (
            [["Pear", 4], ["Beet", 2], ["as counted"]],
            ["Item: Pear | Kilos: 4", "Item: Beet | Kilos: 2", "Item: as counted"],
        ),
    ],
)
def test_rows_that_name_a_group(rows: list[list[Any]], lines: list[str], tmp_path: Path, settings: Settings) -> None:
    assert lines_of(book_of(["Item", "Kilos"], *rows)[0], tmp_path, settings)[2:] == lines


def test_a_group_stands_in_a_column_of_its_own(tmp_path: Path, settings: Settings) -> None:
    book, _ = book_of(["Ward", "Street", "Trees"], ["North"], [None, "Elm Road", 3], [None, "Ash Road", 4])
    assert lines_of(book, tmp_path, settings)[2:] == [
        *("Ward: North | Street: Elm Road | Trees: 3", "Ward: North | Street: Ash Road | Trees: 4")
    ]


def test_a_group_in_cells_merged_across(tmp_path: Path, settings: Settings) -> None:
    book, sheet = book_of(["Item", "Kilos"], ["Pear", 4], ["Roots"], ["Beet", 2])
    sheet.merge_cells("A3:B3")
    assert lines_of(book, tmp_path, settings)[2:] == ["Item: Pear | Kilos: 4", "Item: Roots Beet | Kilos: 2"]


def test_blocks_with_labels_at_their_left(tmp_path: Path, settings: Settings) -> None:
    """The first two columns and the last have no name; each block has its own label once."""
    names = [None, None, "TU Delft", "Inria", "total"]
    block = [["T1", 110.5, 12, 122.5], ["T2", 3, 4, 7, "not sure"], ["T3", 1, 2, 3], ["T4", 5, 6, 11]]
    rows = [[name if at == 0 else None, *row] for name in ("WP1", "WP2") for at, row in enumerate(block)]
    book, _ = book_of(names, *rows[:4], [], *rows[4:])
    lines = [line for line in lines_of(book, tmp_path, settings) if line]
    assert [line.split(" | ")[:3] for line in lines[1:]] == [
        [name, row[0], f"TU Delft: {row[1]}"] for name in ("WP1", "WP2") for row in block
    ]
    assert lines[6] == "WP2 | T2 | TU Delft: 3 | Inria: 4 | total: 7 | not sure"


def test_a_form_has_no_header(tmp_path: Path, settings: Settings) -> None:
    book, _ = book_of(["Name", "Jörg"], ["City", "Köln"], ["Age", 41])
    assert lines_of(book, tmp_path, settings)[2:] == ["Name | Jörg", "City | Köln", "Age | 41"]


def test_a_table_that_the_file_knows_of(tmp_path: Path, settings: Settings) -> None:
    book, sheet = book_of(["1", "2"], ["a", "b"], ["c", "d"])
    sheet.add_table(Table(displayName="Known", ref="A1:B3"))
    assert lines_of(book, tmp_path, settings)[2:] == ["1: a | 2: b", "1: c | 2: d"]


def test_a_group_above_labels_without_a_name(tmp_path: Path, settings: Settings) -> None:
    months = [["", "Jan", "Feb", "Sum"], ["Salary", 24, 25, 49], ["Rent", 8, 8, 16], ["Income", 32, 33, 65]]
    book, _ = book_of(*months, [], ["Expenses"], ["Power", 6, 7, 13], ["Total", 6, 7, 13])
    assert lines_of(book, tmp_path, settings)[-2:] == [
        "Expenses Power | Jan: 6 | Feb: 7 | Sum: 13",
        "Expenses Total | Jan: 6 | Feb: 7 | Sum: 13",
    ]


def test_a_pivot_table_tells_which_row_names_its_columns(tmp_path: Path, settings: Settings) -> None:
    rows = [["North", 6969, 4070], ["South", 6430, 5000], ["Grand Total", 13399, 9070]]
    book, _ = book_of(["Sum of Sales", "Sport"], ["Region", "Golf", "Tennis"], *rows)
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/pivotTable"
    parts = {
        "xl/worksheets/_rels/sheet1.xml.rels": f'<Relationships xmlns="{PACKAGE}"><Relationship Id="p1" Type="{kind}" '
        'Target="../pivotTables/pivotTable1.xml"/></Relationships>',
        "xl/pivotTables/pivotTable1.xml": '<pivotTableDefinition xmlns="http://schemas.openxmlformats.org/spreadsheetml/'
        '2006/main"><location ref="A1:C5" firstHeaderRow="1" firstDataRow="2" firstDataCol="1"/></pivotTableDefinition>',
    }
    held = io.BytesIO(saved(book))
    with zipfile.ZipFile(held, "a") as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    lines = lines_of(held.getvalue(), tmp_path, settings)
    assert lines[2:] == [
        *("Sum of Sales | Sport", "", "Region: North | Golf: 6969 | Tennis: 4070"),
        *("Region: South | Golf: 6430 | Tennis: 5000", "Region: Grand Total | Golf: 13399 | Tennis: 9070"),
    ]


def test_columns_without_values_are_named(tmp_path: Path, settings: Settings) -> None:
    book, _ = book_of(["Name", "Kind", "Zip"], ["Heron", "bike", None], ["Lark", "bike", None])
    assert lines_of(book, tmp_path, settings)[2:] == [
        *("Columns without values: Zip", "Name: Heron | Kind: bike", "Name: Lark | Kind: bike")
    ]


def test_comments_charts_and_texts(tmp_path: Path, settings: Settings) -> None:
    book, sheet = book_of(["Name", "Price"], ["Heron", 429])
    sheet["B2"].comment = Comment("Too\nhigh", "Ann")
    sheet["F9"].comment = Comment("On an empty cell", "Ann")
    chart = BarChart()
    chart.title = "Prices of bikes"
    chart.add_data(Reference(sheet, min_col=2, min_row=1, max_row=2), titles_from_data=True)
    sheet.add_chart(chart, "D2")
    assert lines_of(book, tmp_path, settings)[2:] == [
        *("Name: Heron | Price: 429 | Comment: Too high", "", "Comment: On an empty cell", "", "Chart: Prices of bikes")
    ]


def test_what_is_struck_out_is_left_out(tmp_path: Path, settings: Settings) -> None:
    book, sheet = book_of(["Item", "Price"], ["Kettle", 39], ["Toaster", 25], ["Pan", 12], ["Lamp", 80])
    sheet["B2"].font = Font(strike=True)
    sheet["A3"].font = sheet["B3"].font = Font(strike=True)
    sheet["A4"] = CellRichText("Pan ", TextBlock(InlineFont(strike=True), "old "), TextBlock(InlineFont(b=True), "new"))
    assert lines_of(book, tmp_path, settings)[2:] == [
        "Item: Kettle",
        "Item: Pan new | Price: 12",
        "Item: Lamp | Price: 80",
    ]
    assert "struck-out text is left out" in load(tmp_path / "a.xlsx", settings).metadata["notes"]


def test_errors_texts_and_times(tmp_path: Path, settings: Settings) -> None:
    book, sheet = book_of(["Kind", "Value"], ["error", "#DIV/0!"], ["time", datetime.time(9, 30)])
    sheet.append(["day", datetime.date(1900, 1, 31)])
    sheet.append(["lead", "007"])
    found = lines_of(book, tmp_path, settings)
    for value in ("#DIV/0!", "09:30:00", "1900-01-31", "007"):
        assert [line for line in found if line.endswith((f"Value: {value}", f"| {value}"))]


def test_a_formula_with_a_value_shows_the_value(tmp_path: Path, settings: Settings) -> None:
    book, sheet = book_of(["Name", "Sum"], ["Heron", "=1+1"])
    data = saved(book)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        xml = archive.read("xl/worksheets/sheet1.xml").decode()
    assert "<v></v>" in xml or "<v/>" in xml or "<v />" in xml
    filled = xml.replace("<v></v>", "<v>2</v>").replace("<v/>", "<v>2</v>").replace("<v />", "<v>2</v>")
    assert lines_of(altered(data, "xl/worksheets/sheet1.xml", filled.encode()), tmp_path, settings)[2:] == [
        "Name: Heron | Sum: 2"
    ]
    assert lines_of(data, tmp_path, settings)[2:] == ["Name: Heron | Sum: formula without a stored value: =1+1"]
    assert sheet["B2"].value == "=1+1"


def test_ten_thousand_rows(tmp_path: Path, settings: Settings) -> None:
    names = [f"Column {letter}" for letter in "ABCDEFGHIJ"]
    book, _ = book_of(names, *([f"part-{row}", *(row + place for place in range(9))] for row in range(10_000)))
    found = lines_of(saved(book), tmp_path, settings)
    (line,) = [line for line in found if "part-7777 " in line]
    assert line.startswith("Column A: part-7777 | Column B: 7777 |") and line.endswith("| Column J: 7785")


@pytest.mark.parametrize(
    ("value", "code", "text"),
    [
        *((0, "General", "0"), (0.1 + 0.2, "General", "0.3"), (1e20, "General", "100000000000000000000")),
        *((3.75, "# ?/?", "3 3/4"), (0.75, "# ?/?", "3/4"), (-2.5, "# ??/??", "-2 1/2"), (3, "# ?/?", "3")),
        *((0.5, "# ?/8", "4/8"), (1.75, "?/?", "7/4"), (5.25, "#\\ ?/?", "5 1/4"), (1.5, '# ?/?" in"', "1 1/2 in")),
        *((2.999, "# ?/?", "3"), (0, "# ?/?", "0"), (3.14159, "# ???/???", "3 16/113")),
        *((73, '0"%"', "73%"), (73, "0\\%", "73%"), (7.5, '0.0" %"', "7.5 %")),
        *((0.125, "0.0%", "12.5%"), (0.125, "0 %", "13 %"), (0, "0%", "0%")),
        *((1234.5, "#,##0.00", "1,234.50"), (1234567, '#,##0,"K"', "1,235K"), (5, "0000", "0005"), (0.3, "#", "0")),
        *((1234.5, "[$€-407] #,##0.00", "€ 1,234.50"), (1234.5, '#,##0.00 "kr"', "1,234.50 kr")),
        *((-12, "#,##0;[Red](#,##0)", "(12)"), (-12, "0;0", "12"), (-0.001, "0.00", "0.00")),
        *((0, '_("$"* #,##0.00_);_("$"* (#,##0.00);_("$"* "-"??_)', "0"), (12, "[<100]0.0;0", "12.0")),
        *((45000, "dd.mm.yyyy", "2023-03-15"), (45000.5, "m/d/yy h:mm", "2023-03-15 12:00"), (0.5, "h:mm AM/PM", "12:00")),
        *((45000, "mmm-yy", "March 2023"), (1.5, "[h]:mm:ss", "36:00:00"), (45000, "[$-407]d. mmm yyyy;@", "2023-03-15")),
        *((0.0000123, "0.00E+00", "1.23E-05"), (123456789, "000-00-0000", "123456789"), (3, ";;;", "3")),
        *(("text", "0.00", "text"), (True, "0", "TRUE"), ("nan", "General", "nan"), ("", "0", "")),
        *((45000, "y" * 500, "2023"), (-5, "yyyy", "-5")),
    ],
)  # fmt: skip
def test_number_formats(value: object, code: str, text: str) -> None:
    assert shown(value, code) == text


@pytest.mark.parametrize(
    "code", ["]][;\\", '"', "[<x]0;0", "0" * 5000, "yyyy-mm-dd", "#,,,,,,,,", "E+E+", "%" * 99, ";;;;;;"]
)
def test_formats_that_mean_nothing(code: str) -> None:
    for value in (7, -7, 0, 1e300, -1e-300):
        assert shown(value, code)


def sheet_lines(text: str, tmp_path: Path, settings: Settings) -> list[str]:
    """The lines of a sheet that is drawn with "|" between its cells."""
    rows = [[cell.strip() or None for cell in line.split("|")] for line in text.strip("\n").split("\n")]
    values = [[float(cell) if cell and cell.replace(".", "").isdecimal() else cell for cell in row] for row in rows]
    return [line for line in lines_of(saved(book_of(*values)[0]), tmp_path, settings)[2:] if line]


def test_two_tables_side_by_side(tmp_path: Path, settings: Settings) -> None:
    text = """
Costs       |       | | Funds        |        |
Description | Total | | Organisation | Kind   | Amount
Catering    | 552   | | Institute    | Gold   | 5200
Drinks      | 319   | | Society      | Silver | 1000
Hire        | 960   | |              |        | 6200
Total       | 1831  | |              |        |
"""
    assert sheet_lines(text, tmp_path, settings) == [
        "Costs",
        "Description: Catering | Total: 552",
        "Description: Drinks | Total: 319",
        "Description: Hire | Total: 960",
        "Description: Total | Total: 1831",
        "Funds",
        "Organisation: Institute | Kind: Gold | Amount: 5200",
        "Organisation: Society | Kind: Silver | Amount: 1000",
        "Amount: 6200",
    ]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (
            "Name|Age||Mail|City\nAnn|30||a@e.org|Bath\nBob|41||b@e.org|Hull\nCy|22||c@e.org|Ulm",
            [
                f"Name: {name} | Age: {age} | Mail: {name[0].lower()}@e.org | City: {city}"
                for name, age, city in (("Ann", 30, "Bath"), ("Bob", 41, "Hull"), ("Cy", 22, "Ulm"))
            ],
        ),
        (
            "Land|North||South|\n|2019||2019|2020\nPeru|1||3|4\nChad|5||7|8\nMali|9||5|6",
            [
                "Land: Peru | North 2019: 1 | South 2019: 3 | South 2020: 4",
                "Land: Chad | North 2019: 5 | South 2019: 7 | South 2020: 8",
                "Land: Mali | North 2019: 9 | South 2019: 5 | South 2020: 6",
            ],
        ),
    ],
)
def test_an_empty_column_in_a_table(text: str, lines: list[str], tmp_path: Path, settings: Settings) -> None:
    assert sheet_lines(text, tmp_path, settings) == lines


def test_labels_of_groups_of_rows_and_names_above_empty_rows(tmp_path: Path, settings: Settings) -> None:
    text = """
    |    | Inria | Unibo
WP1 | T1 | 113   |
    | T2 |       | 17
    | T3 | 45    | 20

WP2 | T1 |       | 93
    | T2 | 40    |
"""
    assert sheet_lines(text, tmp_path, settings) == [
        "WP1 | T1 | Inria: 113",
        "WP1 | T2 | Unibo: 17",
        "WP1 | T3 | Inria: 45 | Unibo: 20",
        "WP2 | T1 | Unibo: 93",
        "WP2 | T2 | Inria: 40",
    ]


def test_the_header_once_more_below_another_title(tmp_path: Path, settings: Settings) -> None:
    text = "Team A|\nName|Role\nAnn|Captain\nBob|Wing\nTeam B|\nName|Role\nCy|Captain\nDi|Wing"
    assert sheet_lines(text, tmp_path, settings) == [
        *("Team A", "Name: Ann | Role: Captain", "Name: Bob | Role: Wing"),
        *("Team B", "Name: Cy | Role: Captain", "Name: Di | Role: Wing"),
    ]


def test_lists_side_by_side_without_names_of_columns(tmp_path: Path, settings: Settings) -> None:
    text = """
Houston Office |                | | Regional Offices |
Barry Tych     | (713) 853-1587 | | Mark Whitt       | (303) 575-6473
Kim Ward       | (713) 853-0685 | | Paul Lucci       | (303) 575-6474
Philip Polsky  | (713) 853-5181 | | Dave Fuller      | (503) 464-3732
"""
    assert sheet_lines(text, tmp_path, settings) == [
        *("Houston Office", "Barry Tych | (713) 853-1587", "Kim Ward | (713) 853-0685"),
        *("Philip Polsky | (713) 853-5181", "Regional Offices", "Mark Whitt | (303) 575-6473"),
        *("Paul Lucci | (303) 575-6474", "Dave Fuller | (503) 464-3732"),
    ]
