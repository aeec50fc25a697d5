"""Delimited values: every row one line with the names of its columns, whatever parts the cells."""

from __future__ import annotations

from pathlib import Path

import pytest

from rag.settings import Settings
from tests.conftest import ROOT
from tests.files import load

CASES = ROOT / "tests" / "data" / "cases" / "csvpreamble"


def lines_of(data: str, tmp_path: Path, settings: Settings, name: str = "a.csv") -> list[str]:
    (tmp_path / name).write_text(data, encoding="utf-8", newline="")
    return load(tmp_path / name, settings).page_content.split("\n")


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        (
            "de.csv",
            [
                "Umsatzbericht, Stand 1. Mai, alle Beträge in Euro",
                "",
                "Ort: Kiel | Umsatz: 1.250,50 | Anteil: 12,5 %",
                "Ort: Ulm | Umsatz: 980,00 | Anteil: 9,8 %",
            ],
        ),
        (
            "ok.csv",
            ["Ort: Kiel | Umsatz, brutto, in Tausend: 1250,50", "Ort: Ulm | Umsatz, brutto, in Tausend: 99,1"],
        ),
        ("sep.csv", ["Ort: Kiel | Umsatz: 1250,50"]),
    ],
)
def test_the_cases(name: str, lines: list[str], settings: Settings) -> None:
    assert load(CASES / name, settings).page_content.split("\n") == lines


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        ('Name,Said\r\n"J","one, two\nthree"\r\n', ["Name: J | Said: one, two three"]),
        ("id,tags\n1,a;b;c\n2,d;e;f\n", ["id: 1 | tags: a;b;c", "id: 2 | tags: d;e;f"]),
        ("a,b,c\n1,2,3\n4,5\n6,7,8,9\n", ["a: 1 | b: 2 | c: 3", "a: 4 | b: 5", "a: 6 | b: 7 | c: 8 | 9"]),
        ("Zeit;Temp\n10:00;1,5\n11:00;2,5\n", ["Zeit: 10:00 | Temp: 1,5", "Zeit: 11:00 | Temp: 2,5"]),
        ("1,5;2,5;3,5\n2,5;3,5;4,5\n", ["1,5 | 2,5 | 3,5", "2,5 | 3,5 | 4,5"]),
        ('"a";"b"\n"x, y";"1.234,56"\n', ["a: x, y | b: 1.234,56"]),
        ("when|level|text\n10:01|WARN|a, b, c\n", ["when: 10:01 | level: WARN | text: a, b, c"]),
        ("a\tb\n1\tx, y\n", ["a: 1 | b: x, y"]),
        ("Ort;2022;2023\nKiel;1;2\n", ["Ort: Kiel | 2022: 1 | 2023: 2"]),
        ("name\nAnn\nBob\n", ["name", "Ann", "Bob"]),
        ('a,b\n"say \\"hi\\", Ann",2\n', ['a: say "hi", Ann | b: 2']),
        ('size,what\n5",a 5" disk\n6",y\n', ['size: 5" | what: a 5" disk', 'size: 6" | what: y']),
        ("A,0,FALSE\nB,,TRUE\n", ["A | 0 | FALSE", "B |  | TRUE"]),
        ("# made by hand, in May\na,b\n1,2\n3,4\n", ["# made by hand | in May", "a: 1 | b: 2", "a: 3 | b: 4"]),
        (
            "Report for 2024\nCreated by;Ann\n\nOrt;Wert\nKiel;1,0\nUlm;2,0\n\nQuelle: Amt\n",
            ["Report for 2024", "Created by | Ann", "Ort: Kiel | Wert: 1,0", "Ort: Ulm | Wert: 2,0", "Quelle: Amt"],
        ),
        (
            "a;b\n1;2\n3;4\n\nx;y;z\n5;6;7\n8;9;1\n",
            ["a: 1 | b: 2", "a: 3 | b: 4", "x: 5 | y: 6 | z: 7", "x: 8 | y: 9 | z: 1"],
        ),
    ],
)
def test_rows(data: str, lines: list[str], tmp_path: Path, settings: Settings) -> None:
    assert [line for line in lines_of(data, tmp_path, settings) if line] == lines


def test_a_quotation_mark_that_is_never_closed_costs_its_row_alone(tmp_path: Path, settings: Settings) -> None:
    rows = [f"{number},text {number}" for number in range(500)]
    rows[7] = '7,"oops'
    lines = lines_of("\n".join(["id,what", *rows]), tmp_path, settings)
    assert len(lines) == 500
    assert lines[7] == 'id: 7 | what: "oops' and lines[8] == "id: 8 | what: text 8"


def test_a_hundred_thousand_rows_in_seconds(tmp_path: Path, settings: Settings) -> None:
    rows = (f"{number};Name {number};{number % 97},5;2024-01-{number % 28 + 1:02}" for number in range(100_000))
    lines = lines_of("id;name;amount;date\n" + "\n".join(rows), tmp_path, settings)
    assert len(lines) == 100_000
    assert (
        lines[77_777] == f"id: 77777 | name: Name 77777 | amount: {77_777 % 97},5 | date: 2024-01-{77_777 % 28 + 1:02}"
    )


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (  # groups of columns are named in the first one alone
            "Men,,All,Age,,\n,,,18 - 34,35 - 64,65 and up\nCry?,,,,,\n,Often,37%,29%,42%,37%\n,Never,46%,47%,46%,47%\n",
            [
                "Men: Cry?",
                "Men: Cry? | Often | All: 37% | Age 18 - 34: 29% | Age 35 - 64: 42% | Age 65 and up: 37%",
                "Men: Cry? | Never | All: 46% | Age 18 - 34: 47% | Age 35 - 64: 46% | Age 65 and up: 47%",
            ],
        ),
        (  # groups of one pattern, and columns of no group behind them
            ",North,,South,,,\nTeam,A,B,A,B,GOP,Dem\nLions,1,2,3,4,5,6\nBears,7,8,9,1,2,3\n",
            [
                "Team: Lions | North A: 1 | North B: 2 | South A: 3 | South B: 4 | GOP: 5 | Dem: 6",
                "Team: Bears | North A: 7 | North B: 8 | South A: 9 | South B: 1 | GOP: 2 | Dem: 3",
            ],
        ),
        (  # names below their groups, and units below the names
            ";Use;;Cost\nHouse;Gas;Power;Total\n;kWh;kWh;EUR\nHall;12,4;8,2;3,1\nPool;44,0;;12,9\nInn;5,0;4,1;0,9\n",
            [
                "House: Hall | Use Gas kWh: 12,4 | Use Power kWh: 8,2 | Cost Total EUR: 3,1",
                "House: Pool | Use Gas kWh: 44,0 | Cost Total EUR: 12,9",
                "House: Inn | Use Gas kWh: 5,0 | Use Power kWh: 4,1 | Cost Total EUR: 0,9",
            ],
        ),
        (  # one word below all names
            "id,Do you eat?,Do you drink?,Age\n,Response,Response,Response\n1,Yes,No,30\n2,No,No,41\n",
            [
                "id: 1 | Do you eat?: Yes | Do you drink?: No | Age: 30",
                "id: 2 | Do you eat?: No | Do you drink?: No | Age: 41",
            ],
        ),
        (  # a label in the first row of a group alone
            "Region,City,Pop\nNorth,Aville,100\n,Bville,200\nSouth,Cville,50\n,Dville,70\n",
            [
                "Region: North | City: Aville | Pop: 100",
                "Region: North | City: Bville | Pop: 200",
                "Region: South | City: Cville | Pop: 50",
                "Region: South | City: Dville | Pop: 70",
            ],
        ),
        (  # a question with what leads to it
            "id,Suppose that you have a ticket of the lottery.<br>The first one pays a hundred crowns of gold. <br><br>"
            "Would you play the first or the second one?,Age\n1,first,30\n2,second,41\n",
            [
                "Suppose that you have a ticket of the lottery. The first one pays a hundred crowns of gold. "
                "Would you play the first or the second one?",
                "id: 1 | Would you play the first or the second one?: first | Age: 30",
                "id: 2 | Would you play the first or the second one?: second | Age: 41",
            ],
        ),
        (  # sums have no article
            "Pos,Article,Price\n1,Oak,31\n2,Screws,8\n,,39\n",
            ["Pos: 1 | Article: Oak | Price: 31", "Pos: 2 | Article: Screws | Price: 8", "Price: 39"],
        ),
        (  # facts above a table
            "Konto;DE12\nStand;1,5 EUR\n\nTag;Zweck;Wer;Betrag\n02.01.;Strom;AG;-85,0\n15.01.;Lohn;KG;2,0\n",
            [
                "Konto: DE12",
                "Stand: 1,5 EUR",
                "Tag: 02.01. | Zweck: Strom | Wer: AG | Betrag: -85,0",
                "Tag: 15.01. | Zweck: Lohn | Wer: KG | Betrag: 2,0",
            ],
        ),
    ],
)
def test_names_in_several_rows(data: str, lines: list[str], tmp_path: Path, settings: Settings) -> None:
    assert [line for line in lines_of(data, tmp_path, settings) if line] == lines


def test_cells_that_keep_their_zeros_in_excel(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "a.csv").write_text('code,name\n="0012",Ada\n="0013",Ben\n', "utf-8")
    assert load(tmp_path / "a.csv", settings).page_content == "code: 0012 | name: Ada\ncode: 0013 | name: Ben"
