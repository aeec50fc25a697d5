"""PDF pages: which lines go on in the next one, and what is drawn beneath and between them."""

from __future__ import annotations

from pathlib import Path

import pytest
from langchain_core.documents import Document

from rag.settings import Settings
from rag.sources.loader import load_source
from tests.files import Text, drawn, load


def text_of(texts: list[Text], folder: Path, settings: Settings, *, lines: str = "", signs: bool = False) -> list[str]:
    data = drawn(texts, lines=lines)
    (folder / "a.pdf").write_bytes(data.replace(b"/BaseFont/Helvetica", b"/BaseFont/Wingdings") if signs else data)
    return load(folder / "a.pdf", settings).page_content.split("\n")


def rows(x: float, y: float, *texts: str, size: float = 10) -> list[Text]:
    return [(x, y - 12 * number, size, text) for number, text in enumerate(texts)]


PROSE = (
    "In the year before we aimed to improve the quality of our sessions by",
    "implementing a process of audits, with the goal of creating a course that",
    "is verifiably of the first class, which all of our members may attend",
    "without a fee.",
)


def test_white_grounds_behind_lines_are_no_table(tmp_path: Path, settings: Settings) -> None:
    """As Google Docs paints them: as wide as each line, and side by side where a line has two parts."""
    grounds = "1 1 1 rg "
    for number, text in enumerate(PROSE):
        grounds += f"60 {697 - 12 * number} 120 12 re f 180 {697 - 12 * number} {4.4 * len(text) - 120:.0f} 12 re f "
    assert text_of(rows(60, 700, *PROSE), tmp_path, settings, lines=grounds) == [" ".join(PROSE)]


def test_names_stay_lines_of_their_own(tmp_path: Path, settings: Settings) -> None:
    names = ["John Mueller, Chair", "Ralph Wilhelm, Secretary of the Association and its Friends", "Bob Forness"]
    names += ["Hannah James, Director of External Operations", "Sheal Awsare, Director of Internal Operations"]
    assert text_of(rows(60, 700, *names), tmp_path, settings) == names
    centred = [
        (300 - 2.75 * len(text) + 1.4 * sum(map(text.count, "ijlft,. ")), y, size, text)  # half of Helvetica's widths
        for _, y, size, text in rows(0, 700, *names)
    ]
    assert text_of(centred, tmp_path, settings) == names


@pytest.mark.parametrize(
    ("numbers", "read"),
    [
        (("11", "11.1"), ["11 Team rosters", "11.1 Size"]),
        (("11", "11.1", "11.1.1"), ["11 Team rosters", "11.1 Size", "11.1.1 Least and most"]),
        (("11", "12", "13"), ["11 | Team rosters", "12 | Size", "13 | Least and most"]),
    ],
    ids=["two", "three", "a table"],
)
def test_headings_whose_numbers_stand_apart_are_no_table(
    numbers: tuple[str, ...], read: list[str], tmp_path: Path, settings: Settings
) -> None:
    texts = ("Team rosters", "Size", "Least and most")[: len(numbers)]
    page = [*rows(60, 700, *numbers, size=14), *rows(100, 700, *texts, size=14), *rows(60, 600, *PROSE)]
    assert [line for line in text_of(page, tmp_path, settings) if line][: len(read)] == read


WIDE = "The boats lie in the harbour, where their owners look after them until the first warm days of the spring come."


def test_lines_beside_a_picture_go_on(tmp_path: Path, settings: Settings) -> None:
    beside = (
        "Each member gets a key of the boathouse, which",
        "has to be given back at the end of every year",
        "without damage.",
    )
    assert text_of(rows(60, 700, *beside, "", WIDE), tmp_path, settings)[0] == " ".join(beside)


def test_lines_of_code_do_not_go_on(tmp_path: Path, settings: Settings) -> None:
    code = ["int first, second; /* the states of the port */", "char read_state(void) /* and of each pin of it */"]
    assert text_of(rows(60, 700, *code, "", WIDE), tmp_path, settings)[:2] == code


def test_a_rule_in_one_row_alone_makes_no_column(tmp_path: Path, settings: Settings) -> None:
    xs, ys = (60, 200, 300, 400), (690, 706, 722, 738)
    rules = "".join(f"{x} {ys[0]} m {x} {ys[-1]} l S " for x in xs)
    rules += "".join(f"{xs[0]} {y} m {xs[-1]} {y} l S " for y in ys) + "280 722 m 280 738 l S "
    texts: list[Text] = []
    for number, row in enumerate([("Model", "Price", "Gears"), ("Heron", "429", "8"), ("Egret", "310", "3")]):
        texts += [(x + 4, 727 - 16 * number, 10.0, cell) for x, cell in zip(xs, row, strict=False)]
    assert text_of(texts, tmp_path, settings, lines=rules) == [
        "Model: Heron | Price: 429 | Gears: 8",
        "Model: Egret | Price: 310 | Gears: 3",
    ]


def test_a_letter_of_a_font_of_signs_is_a_bullet(tmp_path: Path, settings: Settings) -> None:
    assert text_of(rows(60, 700, "u 240 cars", "n 1 board"), tmp_path, settings, signs=True) == [
        "• 240 cars",
        "• 1 board",
    ]


def pages_of(pages: list[list[Text]], folder: Path, settings: Settings) -> list[Document]:
    (folder / "a.pdf").write_bytes(drawn(*pages))
    loaded = load_source(str(folder / "a.pdf"), settings, private=True)
    assert loaded is not None
    return loaded.documents


def test_a_list_of_contents_is_left_out(tmp_path: Path, settings: Settings) -> None:
    entries = [f"{number} Of {name} {'. ' * 30}{number * 2}" for number, name in enumerate("abcdefg", 1)]
    body = rows(60, 700, *PROSE)
    for contents in (
        [(60.0, 760.0, 16.0, "Contents"), *rows(60, 700, *entries)],
        [(60.0, 760.0, 16.0, "Contents"), *rows(60, 700, "Part one 1", *entries, "Part two 15")],
    ):
        found = pages_of([contents, body], tmp_path, settings)
        assert [(page.metadata["page"], page.page_content) for page in found] == [(2, " ".join(PROSE))]
    (first, _) = pages_of([[*rows(60, 780, *entries), *rows(60, 600, *PROSE)], body], tmp_path, settings)
    assert first.page_content == " ".join(PROSE)


def test_a_list_of_prices_is_no_list_of_contents(tmp_path: Path, settings: Settings) -> None:
    prices = [f"{name} {'. ' * 30}{price}" for name, price in zip("abcdef", (9, 4, 7, 3, 8, 2), strict=True)]
    assert len(text_of(rows(60, 700, *prices), tmp_path, settings)) == 6


def test_names_in_large_letters_are_no_headings(tmp_path: Path, settings: Settings) -> None:
    names = ("John Mueller, Chair", "Ralph Wilhelm, Secretary", "Bob Forness", "Hannah James")
    board = [(60.0, 760.0, 20.0, "Board"), *rows(60, 700, *names, size=14)]
    first, _ = pages_of([board, rows(60, 700, *PROSE * 3)], tmp_path, settings)
    assert first.page_content.split("\n") == ["Board", "", *names]
    assert first.metadata["title"] == "Board" and first.metadata["sections"] == [[0, [], ""]]


def test_the_second_line_of_a_cell_goes_to_its_row(tmp_path: Path, settings: Settings) -> None:
    table = [("Pos", "Description", "Qty", "Amount"), ("1", "Oak board, planed on", "4", "124.80"), ("", "Both sides")]
    table += [("2", "Screws", "200", "8.40"), ("3", "Delivery to Bath,", "1", "15.00"), ("", "on Monday")]
    table += [("", "", "Net", "148.20")]
    texts: list[Text] = []
    for number, row in enumerate(table):
        texts += [
            (x, 700.0 - 13 * number, 10.0, cell) for x, cell in zip((60.0, 90.0, 300.0, 400.0), row, strict=False)
        ]
    found = text_of([text for text in texts if text[3]], tmp_path, settings)
    assert found == [
        "Pos: 1 | Description: Oak board, planed on Both sides | Qty: 4 | Amount: 124.80",
        "Pos: 2 | Description: Screws | Qty: 200 | Amount: 8.40",
        "Pos: 3 | Description: Delivery to Bath, on Monday | Qty: 1 | Amount: 15.00",
        "Qty: Net | Amount: 148.20",
    ]
