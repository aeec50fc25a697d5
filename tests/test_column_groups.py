"""Statistics with long names of columns: groups of them become tables, and tables with other names stay whole."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import openpyxl
import pytest

from rag.answers.tables.parsed import find_tables
from rag.settings import Settings
from rag.sources.plain.column_groups import column_groups
from tests.files import check, load, saved

MEASURES = ["Price index of fish, all kinds", "Change of the price from the same quarter of the year before"]
TOWNS = ["Norlund", "Halden", "Brevik", "Moss"]
NAMES = [f"{measure} - Whole country - {town}" for measure in MEASURES for town in TOWNS]
ROWS = [["March 2018", *map(str, range(101, 109))], ["June 2018", *map(str, range(201, 207)), "", "208"]]
LINES = [
    f"{MEASURES[0]}, Whole country",
    f"March 2018 | {MEASURES[0]}, Whole country | Norlund: 101 | Halden: 102 | Brevik: 103 | Moss: 104",
    f"June 2018 | {MEASURES[0]}, Whole country | Norlund: 201 | Halden: 202 | Brevik: 203 | Moss: 204",
    "",
    f"{MEASURES[1]}, Whole country",
    f"March 2018 | {MEASURES[1]}, Whole country | Norlund: 105 | Halden: 106 | Brevik: 107 | Moss: 108",
    f"June 2018 | {MEASURES[1]}, Whole country | Norlund: 205 | Halden: 206 | Moss: 208",
]


def sheet_of(*rows: list[str]) -> bytes:
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.title = "Data"
    for row in rows:
        book.active.append([float(cell) if cell.isdigit() else cell or None for cell in row])
    return saved(book)


def csv_of(*rows: list[str]) -> bytes:
    file = io.StringIO()
    csv.writer(file).writerows(rows)
    return file.getvalue().encode()


@pytest.mark.parametrize("ending", ["xlsx", "csv"])
def test_each_group_of_columns_is_a_table(ending: str, tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / f"fish.{ending}"
    path.write_bytes((sheet_of if ending == "xlsx" else csv_of)(["", *NAMES], *ROWS))
    document = load(path, settings)
    check(document)
    lines = document.page_content.split("\n")
    assert lines[-len(LINES) :] == LINES
    sections = [path[-1] for _, path, _ in document.metadata["sections"] if path]
    assert sections[-2:] == [LINES[0], LINES[4]]


@pytest.mark.parametrize("corner", ["", "Quarter"])
def test_the_rows_of_a_group_are_counted_by_their_own_columns(corner: str, tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "fish.csv").write_bytes(csv_of([corner, *NAMES], *ROWS))
    document = load(tmp_path / "fish.csv", settings)
    tables = find_tables("fish.csv", "fish.csv", [(document.page_content, document.metadata)])
    assert [table.columns for table in tables] == [(corner, *TOWNS)] * 2
    assert [row.cells[corner] for table in tables for row in table.rows] == ["March 2018", "June 2018"] * 2
    assert tables[1].rows[1].cells == {corner: "June 2018", "Norlund": "205", "Halden": "206", "Moss": "208"}


def test_a_group_may_have_its_name_above_those_of_its_columns(tmp_path: Path, settings: Settings) -> None:
    wide = [f"{measure}, islands too" for measure in MEASURES for _ in TOWNS]
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in (["", *wide], ["", *TOWNS, *TOWNS], *ROWS):
        sheet.append([float(cell) if cell.isdigit() else cell or None for cell in row])
    for first in ("B1:E1", "F1:I1"):
        sheet.merge_cells(first)
    (tmp_path / "fish.xlsx").write_bytes(saved(book))
    lines = load(tmp_path / "fish.xlsx", settings).page_content.split("\n")
    assert f"June 2018 | {wide[-1]} | Norlund: 205 | Halden: 206 | Moss: 208" in lines


def test_what_stands_around_the_groups_stays(tmp_path: Path, settings: Settings) -> None:
    rows = [["Prices of fish"], [], ["Quarter", *NAMES, "Never caught"], *ROWS, [], ["Source: the harbour office"]]
    (tmp_path / "whole.xlsx").write_bytes(sheet_of(*rows))
    assert "Never caught" in load(tmp_path / "whole.xlsx", settings).page_content.split("\n")[4]
    rows[2] = ["Quarter", *NAMES]
    (tmp_path / "fish.xlsx").write_bytes(sheet_of(*rows))
    lines = load(tmp_path / "fish.xlsx", settings).page_content.split("\n")
    assert lines[:3] == ["Data", "", "Prices of fish"] and lines[-1] == "Source: the harbour office"
    assert f"Quarter: {LINES[5]}" in lines


@pytest.mark.parametrize(
    "names",
    [
        ["Model", "Price", "Gears"],
        ["Period", *(f"{region} {kind}" for region in ("North", "South") for kind in ("total", "1 unit", "2 units"))],
        [f"A long question of a survey that has the number {number} of all" for number in range(20)],
        ["Land", *(f"People on the last day of 2015 - {kind}" for kind in ("all", "women"))] * 8,
        ["Land", *NAMES, "A column that belongs to no group of them all, though it has a long name as well"],
    ],
)
def test_other_names_make_no_groups(names: list[str]) -> None:
    assert column_groups({number: [name] for number, name in enumerate(names)}) == []
