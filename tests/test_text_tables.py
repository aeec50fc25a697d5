"""Tables in plain text, drawn or spaced: each row is a line that names its columns, and other text stays as it is."""

# ruff: noqa: E501  # the tables

from __future__ import annotations

from pathlib import Path

import pytest

from rag.settings import Settings
from rag.sources.plain.text_tables import drawn_tables, spaced_tables
from tests.files import load

BOATS = "Boat            Seats   Price per day\nHeron               3           42.90\nTern                6           55.50"
BOAT_ROWS = "Boat: Heron | Seats: 3 | Price per day: 42.90\nBoat: Tern | Seats: 6 | Price per day: 55.50"


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (
            "+------+-------+\n| Room | Seats |\n+------+-------+\n| Oak  | 8     |\n| Elm  |       |\n+------+-------+",
            "Room: Oak | Seats: 8\nRoom: Elm",
        ),
        (
            "┌────────┬─────────┐\n│ Day    │ Open    │\n├────────┼─────────┤\n│ Monday │ 9 to 17 │\n└────────┴─────────┘",
            "Day: Monday | Open: 9 to 17",
        ),
        (
            "+-----+--------+\n| A   | B      |\n+=====+========+\n| one | two    |\n|     | lines  |\n+-----+--------+\n"
            "| x   | y      |\n+-----+--------+",
            "A: one | B: two lines\nA: x | B: y",
        ),
        (
            "+-----+-----+\n| A   | B   |\n+-----+-----+\n| both      |\n+-----+-----+",
            "A | B\nboth",
        ),
        (
            "+------+-----+\n| Item | Qty |\n+------+-----+\n| Pump | 2   |\n| Seal | 9   |\n+------+-----+\n| Sum  | 11  |\n+------+-----+",
            "Item: Pump | Qty: 2\nItem: Seal | Qty: 9\nItem: Sum | Qty: 11",
        ),
        ("| A | B |\n|---|---|\n| 1 | 2 |", "| A | B |\n|---|---|\n| 1 | 2 |"),
    ],
)
def test_tables_with_lines_around_their_cells(text: str, rows: str) -> None:
    assert drawn_tables(f"So it is:\n\n{text}\n\nAnd so on.") == f"So it is:\n\n{rows}\n\nAnd so on."
    assert drawn_tables(f"So it is:\n{text}\nAnd so on.") == f"So it is:\n{rows}\nAnd so on."


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("Name\tRole\nAnna\tChair\nBen\tTreasurer\nCara\tMember", "Name | Role\nAnna | Chair\nBen | Treasurer\nCara | Member"),
        ("Name\tRole\tCity\nAnna\tChair\tLeeds\nBen\t\tYork", "Name: Anna | Role: Chair | City: Leeds\nName: Ben | City: York"),
        (BOATS, BOAT_ROWS),
        (f"Prices of the boats:\n{BOATS}\nPrices without fuel.", f"Prices of the boats:\n{BOAT_ROWS}\nPrices without fuel."),
        ("Item    Made by\n----    -------\nMilk    a farm\nBread   us", "Item: Milk | Made by: a farm\nItem: Bread | Made by: us"),
        ("NAME   READY   AGE\nweb    1/1     3d\ndb     1/1     10d", "NAME: web | READY: 1/1 | AGE: 3d\nNAME: db | READY: 1/1 | AGE: 10d"),
        (
            "Item      Price    Date\nPump      99.00    3 May\n          12.00    4 May\nSeal       1.20    7 June",
            "Item: Pump | Price: 99.00 | Date: 3 May\nPrice: 12.00 | Date: 4 May\nItem: Seal | Price: 1.20 | Date: 7 June",
        ),
        (
            "Group    Name    Qty\nNorth    Anna      1\n         Ben       2\nSouth    Dora      4\n         Emil      5",
            "Group: North | Name: Anna | Qty: 1\nGroup: North | Name: Ben | Qty: 2\nGroup: South | Name: Dora | Qty: 4\nGroup: South | Name: Emil | Qty: 5",
        ),
        (
            "            2024     2025\nRevenue    1,200    1,350\nCost         900      950",
            "Revenue | 2024: 1,200 | 2025: 1,350\nCost | 2024: 900 | 2025: 950",
        ),
        (
            "Filesystem      Size  Used Avail Use% Mounted on\n/dev/sda1        50G   30G   18G  63% /\ntmpfs           3.9G     0  3.9G   0% /dev/shm",
            "Filesystem: /dev/sda1 | Size: 50G | Used: 30G | Avail: 18G | Use%: 63% | Mounted on: /\n"
            "Filesystem: tmpfs | Size: 3.9G | Used: 0 | Avail: 3.9G | Use%: 0% | Mounted on: /dev/shm",
        ),
        ("$ kubectl get pods\nNAME   READY   AGE\nweb    1/1     3d\ndb     1/1     10d", "$ kubectl get pods\nNAME: web | READY: 1/1 | AGE: 3d\nNAME: db | READY: 1/1 | AGE: 10d"),
        ("Name:    Anna Berg\nDate:    3 May 2026\nPlace:   Leeds", "Name: Anna Berg\nDate: 3 May 2026\nPlace: Leeds"),
        (
            "  -a, --all    do not ignore entries\n               that begin with a dot\n  -l           use a long format\n  -r           the other way",
            "-a, --all | do not ignore entries that begin with a dot\n-l | use a long format\n-r | the other way",
        ),
    ],
)  # fmt: skip
def test_tables_with_tabs_or_columns_of_blanks(text: str, rows: str) -> None:
    assert spaced_tables(f"So it is.\n\n{text}\n\nAnd so on.") == f"So it is.\n\n{rows}\n\nAnd so on."


@pytest.mark.parametrize(
    "text",
    [
        "Thank you for your letter.  We have\nlooked at it.  The boat is ready.  You\ncan fetch it.  It costs 12.",
        "a = 1        # the first\nbeta = 22    # the second\nc = 3        # the third",
        ">>> dist = Distribution(\n...     location='here',\n...     name='Bar')",
        "The sun did not shine\n    It was too wet to play\nSo we sat in the house\n    All that cold wet day",
        "Le prix est de 1\u202f234\u202f€ par mois.\nIl a augmenté l'an dernier.\nNous regrettons.",
        "EXIT STATUS\n       0      All went well.\n       1      Something went wrong.",
        "The town council met on    The library is open\nMonday to talk about the   on Sundays from June. The\nnew bridge of the town.    staff asked for two more",
        "+-----+    +-----+\n| web |--->| app |\n| one |    | two |\n+-----+    +-----+",
        "1. Oil    the chain\n2. Pump   the tyres\n3. Test   the brakes",
        "Boat: Heron | Price: 3\nBoat: Tern | Price: 4\nBoat: Gull | Price: 5",
    ],
)
def test_other_text_is_no_table(text: str) -> None:
    assert spaced_tables(text) == text
    assert drawn_tables(text) == text


def test_tables_of_a_text_file_name_their_columns(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "boats.txt"
    path.write_text(f"Our boats\n\n{BOATS}\n\n id | name\n----+------\n  1 | Anna\n", encoding="utf-8")
    document = load(path, settings)
    assert document.page_content == f"Our boats\n\n{BOAT_ROWS}\n\nid: 1 | name: Anna\n".strip()
    markdown = tmp_path / "rooms.md"
    markdown.write_text(
        "# Rooms\n\n+------+-------+\n| Room | Seats |\n+------+-------+\n| Oak  | 8     |\n+------+-------+\n"
    )
    assert load(markdown, settings).page_content == "# Rooms\n\nRoom: Oak | Seats: 8"
