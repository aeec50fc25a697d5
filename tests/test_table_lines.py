"""Tables as lines, whatever file they are from: groups of rows, forms, names of columns in two rows with years."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import docx
import openpyxl
import pytest

from rag.settings import Settings
from rag.sources.tables import table_lines
from tests.files import load


def test_a_row_merged_across_names_those_below_it() -> None:
    rows = [
        ["Item", "Qty", "Bin"],
        ["Warehouse A"] * 3,
        ["Bolt", "1,250", "A-3"],
        ["Warehouse B"] * 3,
        ["Washer", "600", "B-1"],
        ["Counted on the last day of May by two people, of whom one was from another department."] * 3,
    ]
    assert table_lines(rows, header=1) == [
        "Item: Warehouse A Bolt | Qty: 1,250 | Bin: A-3",
        "Item: Warehouse B Washer | Qty: 600 | Bin: B-1",
        rows[-1][0],
    ]


def test_rows_with_nothing_but_a_name_name_those_below_them_where_there_are_several() -> None:
    rows = [["Item", "Qty"], ["Fruit", ""], ["Apple", "3"], ["Pear", "1"], ["Roots", ""], ["Beet", "2"], ["Leek", "4"]]
    told = [
        "Item: Fruit Apple | Qty: 3",
        "Item: Fruit Pear | Qty: 1",
        "Item: Roots Beet | Qty: 2",
        "Item: Roots Leek | Qty: 4",
    ]
    assert table_lines(rows, header=1, merged=False) == told
    assert table_lines([*rows, ["Total", "10"]], header=1)[-1] == "Item: Total | Qty: 10"
    assert table_lines([*rows[:1], *rows[2:]], header=1)[2] == "Item: Roots"
    people = [["Name", "Mail"], ["Ann", ""], ["Bo", "b@x.org"], ["Cem", ""], ["Dia", "d@x.org"]]
    assert table_lines(people, header=1)[0] == "Name: Ann"


def test_equal_values_of_a_file_without_merged_cells_are_values() -> None:
    rows = [["Mon", "Tue", "Wed"], ["closed", "closed", "closed"], ["9", "9", "10"]]
    assert table_lines(rows, header=1, merged=False)[0] == "Mon: closed | Tue: closed | Wed: closed"


def test_a_row_of_equal_values_is_one() -> None:
    rows = [["A", "B", "A and B"], ["no", "no", "no"], ["yes", "no", "no"], ["yes", "yes", "yes"]]
    assert table_lines(rows, header=1)[0] == "A: no | B: no | A and B: no"


FORM = [
    ["Surname", "Okonkwo", "First name", "Adaeze"],
    ["Staff no.", "88-1203", "Department", "Pathology"],
    ["From", "2 June 2026", "To", "19 June 2026"],
    ["Reason", "Annual leave", "", ""],
]
TOLD = [f"{row[at]}: {row[at + 1]}" for row in FORM for at in (0, 2) if row[at]]


def test_a_form_of_four_columns() -> None:
    assert table_lines(FORM) == TOLD
    assert table_lines([*FORM[:3], ["Reason", *["Annual leave"] * 3]], header=1) == TOLD
    rest = [*FORM, ["Position", "Clerk", "", "since spring"], ["Parking given", "", "", ""]]
    assert table_lines(rest)[-3:] == ["Position: Clerk", "since spring", "Parking given"]
    colons = [["Ward:", "West", "Bed:", "12"], ["Diet:", "soft", "Walks:", "alone"]]
    assert table_lines(colons) == ["Ward: West", "Bed: 12", "Diet: soft", "Walks: alone"]


@pytest.mark.parametrize(
    "rows",
    [
        [
            ["Name", "Team", "Role", "City"],
            ["Ada Berg", "Sales", "Manager", "Rome"],
            ["Bo Holm", "IT", "Owner", "Pisa"],
        ],
        [["Name", "Sector", "City", "CEO"], ["Ada Motor Company", "Cars", "Kansas City", "Farley"]],
        [["Name", "Head", "Email", "Floor"], ["Ada IT department", "Bo", "it@x.org", "2"]],
        [["Name", "Age", "City", "Phone"], ["Ada", "31", "Rome", "555"], ["Ben", "n/a", "Pisa", "n/a"]],
    ],
)
def test_a_table_of_four_columns_is_no_form(rows: list[list[str]]) -> None:
    assert table_lines(rows)[0].startswith("Name: Ada")


YEARS = [["Bereich", "Plan", "Plan", "Ist", "Ist"], ["Bereich", "2024", "2025", "2024", "2025"]]
VALUES = [["Personal", "120", "125", "118", "128"], ["Miete", "30", "30", "30", "31"]]
NAMED = "Bereich: Personal | Plan 2024: 120 | Plan 2025: 125 | Ist 2024: 118 | Ist 2025: 128"


def test_years_below_groups_of_columns_are_names(tmp_path: Path, settings: Settings) -> None:
    assert table_lines([*YEARS, *VALUES])[0] == NAMED
    book = openpyxl.Workbook()
    assert book.active is not None
    for row in [*YEARS, *VALUES]:
        book.active.append([int(cell) if cell.isdecimal() else cell for cell in row])
    for merged in ("A1:A2", "B1:C1", "D1:E1"):
        book.active.merge_cells(merged)
    book.save(tmp_path / "plan.xlsx")
    assert NAMED in load(tmp_path / "plan.xlsx", settings).page_content


def test_years_above_groups_of_columns_are_names(tmp_path: Path, settings: Settings) -> None:
    book = openpyxl.Workbook()
    assert book.active is not None
    for row in (["Land", 2024, None, 2025, None], [None, "Aus", "Ein", "Aus", "Ein"], ["Chad", 3.1, 2.2, 3.4, 2.6]):
        book.active.append(row)
    book.active.append(["Mali", 4.4, 5, 4.1, 5.3])
    for merged in ("A1:A2", "B1:C1", "D1:E1"):
        book.active.merge_cells(merged)
    book.save(tmp_path / "trade.xlsx")
    told = "Land: Chad | 2024 Aus: 3.1 | 2024 Ein: 2.2 | 2025 Aus: 3.4 | 2025 Ein: 2.6"
    assert told in load(tmp_path / "trade.xlsx", settings).page_content


def test_a_form_in_a_sheet(tmp_path: Path, settings: Settings) -> None:
    book = openpyxl.Workbook()
    assert book.active is not None
    for row in FORM:
        book.active.append(row)
    book.save(tmp_path / "leave.xlsx")
    assert load(tmp_path / "leave.xlsx", settings).page_content.split("\n")[-len(TOLD) :] == TOLD


def table_in_word(folder: Path, rows: Iterable[list[str]]) -> Path:
    """A document with a table of three columns; a row of one text runs across them."""
    document = docx.Document()
    table = document.add_table(0, 3)
    for cells in rows:
        row = table.add_row().cells
        if len(cells) == 1:
            row[0].merge(row[2])
        for cell, text in zip(row, cells, strict=False):
            cell.text = text
    document.save(str(folder / "a.docx"))
    return folder / "a.docx"


def test_a_title_and_a_note_across_a_table_are_none_of_its_groups(tmp_path: Path, settings: Settings) -> None:
    rows = (["Sales 2024"], ["Region", "Q1", "Q2"], ["Kiel", "9", "8"], ["Ulm", "6", "7"], ["Numbers are rounded"])
    text = load(table_in_word(tmp_path, rows), settings).page_content
    assert text.split("\n") == [
        "Sales 2024",
        "Region: Kiel | Q1: 9 | Q2: 8",
        "Region: Ulm | Q1: 6 | Q2: 7",
        "Numbers are rounded",
    ]


def test_labels_beside_values_are_no_header_though_the_first_row_is_bold(tmp_path: Path, settings: Settings) -> None:
    document = docx.Document()
    table = document.add_table(0, 2)
    for number, cells in enumerate((("Date", "11 March 2025"), ("Chair", "Helen Marsh"), ("Place", "Room 2"))):
        for cell, text in zip(table.add_row().cells, cells, strict=True):
            cell.paragraphs[0].add_run(text).bold = not number
    document.save(str(tmp_path / "a.docx"))
    text = load(tmp_path / "a.docx", settings).page_content
    assert text.split("\n") == ["Date: 11 March 2025", "Chair: Helen Marsh", "Place: Room 2"]


def test_the_first_group_of_rows_stands_above_the_names_of_columns(tmp_path: Path, settings: Settings) -> None:
    rows = (["Store A"], ["Item", "Qty", "Bin"], ["Bolt", "9", "A-3"], ["Store B"], ["Washer", "6", "B-1"])
    text = load(table_in_word(tmp_path, rows), settings).page_content
    assert text == "Item: Store A Bolt | Qty: 9 | Bin: A-3\nItem: Store B Washer | Qty: 6 | Bin: B-1"
