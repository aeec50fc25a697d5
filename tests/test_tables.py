"""Rows are counted, filtered and summed by code: exactly, whatever file a table stands in."""

# ruff: noqa: E501  # questions with their answers

from __future__ import annotations

import csv
import html
import random
from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path

import openpyxl
import pytest

from rag.answers.tables.answer import answer_query, told_table
from rag.answers.tables.parsed import Table, find_tables
from rag.answers.tables.query import matches
from rag.answers.tables.question import read_question
from rag.answers.tables.values import read_date, read_number
from rag.settings import Settings
from tests.conftest import make_settings
from tests.files import load
from tests.ways import FILES

COLUMNS = ["order id", "customer", "status", "city", "total", "ordered", "note"]
NAMES = ["orders.csv", "orders"]


@cache
def rows_of(count: int) -> list[list[str]]:
    """Rows with empty cells, and with colons, bars and line breaks in cells."""
    any_of = random.Random(count).choice
    day = date(2021, 1, 1)
    return [
        [
            f"A-{number:05}",
            any_of(["Ann Lee", "Bo Falk", "Cem Ates", "Dia Rossi"]),
            any_of(["shipped", "open", "cancelled"]),
            any_of(["Kiel", "Ulm", "New York", ""]),
            any_of(["12.50", "99.99", "1250.00", "480.75", "7.00"]),
            (day + timedelta(days=number % 1500)).isoformat(),
            any_of(["", "fragile: glass", "two | parts", "call first\nthen ring"]),
        ]
        for number in range(1, count + 1)
    ]


def write_csv(path: Path, rows: Sequence[Sequence[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, *rows])


def write_xlsx(path: Path, rows: Sequence[Sequence[str]]) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(COLUMNS)
    for row in rows:
        sheet.append([*row[:4], float(row[4]), date.fromisoformat(row[5]), row[6]])
    book.save(path)


def write_html(path: Path, rows: Sequence[Sequence[str]]) -> None:
    cells = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows)
    head = "".join(f"<th>{name}</th>" for name in COLUMNS)
    table = f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"
    said = "<p>All orders of the shop as of today are in this one table, and each of them has a row of its own.</p>"
    path.write_text(f"<html><body><article><h1>Orders</h1>{said}{table}{said}</article></body></html>", "utf-8")


def write_markdown(path: Path, rows: Sequence[Sequence[str]]) -> None:
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    lines += ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows]
    path.write_text("# Shop\n\n## Orders\n\n" + "\n".join(lines) + "\n\n## End\n\nThat is all.\n", "utf-8")


WRITERS = {"csv": write_csv, "xlsx": write_xlsx, "html": write_html, "md": write_markdown}


def tables_of(path: Path, settings: Settings) -> list[Table]:
    document = load(path, settings)
    return find_tables(str(path), path.name, [(document.page_content, document.metadata)])


def told(table: Table, question: str, names: Sequence[str] = NAMES) -> str:
    query = read_question(question, table, names)
    assert query is not None, question
    return answer_query([(table, query, names[0])]).text


SIZES = [(57, ending) for ending in WRITERS] + [(159, ending) for ending in WRITERS] + [(10_000, "csv")]
SIZES += [pytest.param(10_000, ending, marks=pytest.mark.soak) for ending in WRITERS if ending != "csv"]


@pytest.mark.parametrize(("count", "ending"), SIZES)
def test_rows_are_counted_and_summed_exactly(count: int, ending: str, tmp_path: Path, settings: Settings) -> None:
    rows = rows_of(count)
    path = tmp_path / f"orders.{ending}"
    WRITERS[ending](path, rows)
    (table,) = tables_of(path, settings)
    assert table.columns == tuple(COLUMNS)
    assert [row.cells.get("status", "") for row in table.rows] == [row[2] for row in rows]
    assert [row.cells.get("city", "") for row in table.rows] == [row[3] for row in rows]
    assert [row.cells.get("note", "") for row in table.rows] == [row[6].replace("\n", " ") for row in rows]

    shipped = [row for row in rows if row[2] == "shipped"]
    name = path.name
    assert told(table, f"How many rows does {name} have?", [name]) == f"{name} has {count:,} rows."
    where = f"of {count:,} rows of orders.csv where"
    assert told(table, "How many orders were shipped?") == f"{len(shipped):,} {where} status = shipped."
    total = sum(Decimal(row[4]) for row in shipped)
    assert f"is {total.normalize():,f}: {len(shipped):,} {where}" in told(table, "sum of total of shipped orders")
    late = [row for row in rows if row[3] == "New York" and row[5][:4] == "2022" and Decimal(row[4]) > 100]
    asked = "How many orders from New York were ordered in 2022 with a total over 100?"
    assert told(table, asked).startswith(f"{len(late):,} {where}" if late else f"None of {count:,} rows")


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory) -> Table:
    from tests.conftest import make_settings

    folder = tmp_path_factory.mktemp("orders")
    write_csv(folder / "orders.csv", rows_of(159))
    (table,) = tables_of(folder / "orders.csv", make_settings(folder))
    return table


def is_row(row: Sequence[str], question: str) -> bool:
    """What each question below asks for, in Python."""
    conditions = {
        "How many orders are not shipped?": row[2] != "shipped",
        "How many purchases have the status shipped?": row[2] == "shipped",
        "How many orders are open or cancelled?": row[2] in ("open", "cancelled"),
        "How many shipped orders are there from Kiel?": row[2] == "shipped" and row[3] == "Kiel",
        "How many orders have a total of at least 480.75?": Decimal(row[4]) >= Decimal("480.75"),
        "How many orders have a total under 100?": Decimal(row[4]) < 100,
        "How many orders are there between 10 and 100?": 10 <= Decimal(row[4]) <= 100,
        "How many orders were ordered after 2021-03-10?": row[5] > "2021-03-10",
        "How many orders were ordered in March 2021?": row[5].startswith("2021-03"),
        "How many orders were ordered between 2021-02-01 and 2021-02-14?": "2021-02-01" <= row[5] <= "2021-02-14",
        "How many orders were ordered on 3 February 2021?": row[5] == "2021-02-03",
        "Number of orders by Ann Lee before April 2021": row[1] == "Ann Lee" and row[5] < "2021-04",
        "Wie viele orders sind open?": row[2] == "open",
        "Wie viele Zeilen in orders.csv haben total über 100?": Decimal(row[4]) > 100,
        "Combien de lignes de orders.csv avec status shipped ?": row[2] == "shipped",
        "¿Cuántas filas de orders.csv con status open?": row[2] == "open",
        "orders.csv里有多少行是shipped的？": row[2] == "shipped",
    }
    return conditions[question]


@pytest.mark.parametrize(
    "question",
    [
        "How many orders are not shipped?",
        "How many orders are open or cancelled?",
        "How many purchases have the status shipped?",
        "How many shipped orders are there from Kiel?",
        "How many orders have a total of at least 480.75?",
        "How many orders have a total under 100?",
        "How many orders are there between 10 and 100?",
        "How many orders were ordered after 2021-03-10?",
        "How many orders were ordered in March 2021?",
        "How many orders were ordered between 2021-02-01 and 2021-02-14?",
        "How many orders were ordered on 3 February 2021?",
        "Number of orders by Ann Lee before April 2021",
        "Wie viele orders sind open?",
        "Wie viele Zeilen in orders.csv haben total über 100?",
        "Combien de lignes de orders.csv avec status shipped ?",
        "¿Cuántas filas de orders.csv con status open?",
        "orders.csv里有多少行是shipped的？",
    ],
)
def test_a_question_becomes_a_filter(question: str, orders: Table) -> None:
    query = read_question(question, orders, NAMES)
    assert query is not None and query.operation == "count"
    wanted = [number for number, row in enumerate(rows_of(159)) if is_row(row, question)]
    assert matches(orders, query.conditions) == wanted and 0 < len(wanted) < 159


@pytest.mark.parametrize(
    "question",
    [
        "How many wheels does the tram have?",
        "How many orders did Ann Lee place by phone?",
        "How many purchases were shipped?",
        "How many purchases are there?",
        "How many purchases from Kiel?",
        "How many orders are fragile?",  # no cell is that alone
        "How many orders were shipped last week?",
        "How many orders are not from Kiel and not open?",
        "What is the highest price?",
        "How many orders over 100 euros in weight?",
        "Compare the orders of Kiel and Ulm",
        "How many?",
        "List all",
    ],
)
def test_what_is_not_certain_is_not_counted(question: str, orders: Table) -> None:
    assert read_question(question, orders, NAMES) is None


def test_the_answer_says_how_it_was_counted_and_marks_each_row(orders: Table) -> None:
    query = read_question("List all shipped orders from Ulm with a total over 1000", orders, NAMES)
    assert query is not None
    writer = answer_query([(orders, query, "orders.csv")])
    first, _, *lines = writer.text.split("\n")
    wanted = [row for row in rows_of(159) if row[2:5] == ["shipped", "Ulm", "1250.00"]]
    assert first == f"{len(wanted)} of 159 rows of orders.csv where total > 1,000 & status = shipped & city = Ulm."
    assert [line.split(" | ")[0] for line in lines] == [f"- order id: {row[0]}" for row in wanted] and wanted
    (passage,) = writer.passages
    for sentence in writer.grounding[1:]:
        assert sentence.passage == 1 and sentence.quote
        assert writer.text[sentence.start : sentence.end] == passage.page_content[slice(*sentence.quote)]


def test_the_highest_the_average_and_groups(orders: Table) -> None:
    rows = rows_of(159)
    highest = sum(row[4] == "1250.00" for row in rows)
    assert told(orders, "Which order has the highest total?").startswith(
        f"The highest total is 1250.00: {highest} of 159 rows of orders.csv.\n\n- order id: "
    )
    assert told(orders, "What is the latest ordered?").startswith("The latest ordered is 2021-06-09: 1 of 159")
    mean = round(sum(Decimal(row[4]) for row in rows) / 159, 4)
    assert f"is {mean.normalize():,f}: 159 of 159" in told(orders, "What is the average total?")
    groups = told(orders, "How many orders per status?")
    for status in ("shipped", "open", "cancelled"):
        assert f"- {status}: {sum(row[2] == status for row in rows)}" in groups
    customers = Counter(row[1] for row in rows).most_common()
    assert told(orders, "Which customer has the most orders?").split(";")[0] == (
        f"First by customer: {customers[0][0]}, with {customers[0][1]}"
    )
    cities = told(orders, "How many cities are there?")
    assert cities.startswith("city has 3 different values: 159 of 159")


STAFF = """Name,Department,Hired,Salary,City,Manager
Anna Berg,Sales,2019-03-04,52000,Oslo,Per Lund
Bo Dahl,Sales,2021-07-12,48500,Bergen,Per Lund
Carla Nunes,Engineering,2017-01-09,78000,Lisbon,Iris Holm
David Ek,Engineering,2022-11-21,66500,Stockholm,Iris Holm
Eva Ruiz,Support,2020-05-18,39000,Madrid,Omar Said
Finn Moe,Support,2023-02-01,36500,Oslo,Omar Said
Gita Rao,Engineering,2015-09-30,91000,London,Iris Holm
"""
SHOP = """Product;Kategorie;Preis;Bestand;Gewicht
Trail bike X1;Bikes;899,00;4;13,2 kg
City bike C3;Bikes;649,00;11;15,8 kg
Helmet Pro;Accessories;79,90;35;310 g
Bike lock L9;Accessories;44,50;52;1,2 kg
"""
ACCOUNT = """Buchungstag;Auftraggeber;Verwendungszweck;Betrag
03.01.2025;Stadtwerke Nord;Strom Januar;-84,50
05.01.2025;Muster GmbH;Gehalt Januar;2.850,00
11.01.2025;Kaufhof Markt;Einkauf;-63,17
17.02.2025;Kaufhof Markt;Einkauf;-120,40
"""


EXPENSES = """Date,Category,Vendor,Amount,Paid by
2024-01-03,Travel,Rail Co,$54.20,Ann
2024-01-15,Software,Cloudly,$129.00,Ben
2024-02-02,Travel,Air One,$410.00,Ann
2024-02-14,Meals,Bistro 9,$63.75,Cleo
"""
FILMS = """Title,Year,Director,Genre,Runtime (min),Rating
The Quiet Harbor,1999,Mara Lindt,Drama,118,7.9
Iron Orchard,2004,Joel Pike,Action,131,6.4
Paper Moons,2011,Mara Lindt,Comedy,96,7.1
Salt Road,2016,Ana Reyes,Drama,142,8.6
"""


SALES = "<p>Our range.<br>Sales</p><table><tr><th>Region<th>City<th>Sales</tr><tr><td>North<td>Kiel<td>410</tr><tr><td>North<td>Ulm<td>385</tr><tr><td>South<td>Bonn<td>500</tr></table><dl><dt>Warranty<dd>Five years<dt>Returns<dd>Within 40 days</dl>"


OFFICES = """leader,position,appointee,length,gender
Ashby,Chief of Staff,Ida Orr,189,Female
Ashby,Chief of Staff,Max Ruhl,518,Male
Ashby,Secretary of Mines,Lea Sand,90,Female
Bell,Chief of Staff,Tom Voss,40,Male
"""


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("How many women are in Ashby's cabinet according to the table?", "2 of 4 rows"),
        ("How many men were Chief of Staff?", "2 of 4 rows"),
        ("Wie viele Frauen sind laut der Tabelle Chief of Staff?", "1 von 4 Zeilen"),
        ("Which of Ashby's chiefs of staff lasted the shortest time?", "189"),
        ("Which of Ashby's chiefs of staff lasted longest?", "518"),
    ],
)
def test_people_and_terms_are_told_as_people_say_them(
    question: str, answer: str, tmp_path: Path, settings: Settings
) -> None:
    table = table_of(OFFICES, tmp_path, settings, "cabinet.csv")
    assert answer in told(table, question, ("cabinet.csv", "cabinet")).partition("\n")[0]


LIGHTS = """Name,Location,First_Lit,Year_Automated,Automated,Focal_Height
Alcatraz Light,San Francisco,1854,1963,1,214
Anacapa Light,Anacapa Island,1912,1967,1,277
Pigeon Point Light,Pescadero,1872,1974,1,148
Point Sur Light,Big Sur,1889,,0,270
"""


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Which lighthouse is the oldest?", "1854"),
        ("Which lighthouse is the newest?", "1912"),
        ("When was Pigeon Point Light automated?", "1974"),
        ("How many lighthouses were first lit before 1880?", "2 of 4 rows"),
        ("How many lighthouses have First_Lit less than 1880?", "2 of 4 rows"),
        ("How many lighthouses were automated after 1965?", "2 of 4 rows"),
    ],
)
def test_years_are_asked_for_as_people_say_it(question: str, answer: str, tmp_path: Path, settings: Settings) -> None:
    table = table_of(LIGHTS, tmp_path, settings, "lighthouses.csv")
    assert answer in told(table, question, ("lighthouses.csv", "lighthouses")).partition("\n")[0]


@pytest.mark.parametrize(
    ("text", "question", "answer"),
    [
        ("Name,Salary,Salary year\nAda,1800,2020\nBo,2500,2021\nCy,1700,2022", "Who has a salary over 2000?", "1 of 3"),
        ("Item,Price,Price date\nNails,900,2020-01-01\nScrews,2500,2019-01-01", "When was the price highest?", "2500"),
        ("Bridge,Built,Length\nAlpha,1931,40\nBeta,1890,60\nGamma,1965,20", "Which bridge was built first?", "1890"),
        ("Name,Distance,Time\nCy,5,40\nDi,9,20\nEd,7,30", "Who had the shortest time?", None),
        ("Name,Geschlecht,Stadt\nIda,weiblich,Kiel\nMax,männlich,Kiel", "Wie viele Personen hat man in Kiel?", None),
        ("Country,Capital,Visitors\nMaldives,Male,3\nChad,Ndjamena,2", "How many men live in the Maldives?", None),
        ("Grade,Students\na,3\ns,3\nt,1\ns,2", "How many students have an s?", None),
        ("Name,Sex,Age\nIda,F,3\nMax,M,2\nTom,M,8", "How many women are there?", "1 of 3"),
        ("—,Name,Length\n1990,Fox,3\n2001,Elk,2", "Which is the oldest?", None),
        ("Species,First seen,Last seen\nFox,2010,2011\nElk,2001,2023", "What is the most recent sighting?", None),
    ],
)
def test_other_words_of_people_and_years_are_not_taken_for_these(
    text: str, question: str, answer: str | None, tmp_path: Path, settings: Settings
) -> None:
    table = table_of(f"{text}\n", tmp_path, settings, "list.csv")
    if answer is None:
        query = read_question(question, table, ("list.csv",))
        assert query is None or not query.conditions or query.conditions[0].values != ("male",), query
        assert query is None or query.column not in ("Distance", "First seen"), query
    else:
        assert answer in told(table, question, ("list.csv",)).partition("\n")[0]


@pytest.fixture(scope="module")
def asked_of(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Table]:
    """Tables as people have them."""
    folder = tmp_path_factory.mktemp("asked")
    found = {}
    for name, text in (
        ("staff", STAFF),
        ("shop", SHOP),
        ("account", ACCOUNT),
        ("expenses", EXPENSES),
        ("films", FILMS),
    ):
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
        (found[name],) = tables_of(folder / f"{name}.csv", make_settings(folder))
    (folder / "sales.html").write_text(SALES, encoding="utf-8")
    (found["sales"],) = tables_of(folder / "sales.html", make_settings(folder))
    return found


@pytest.mark.parametrize(
    ("name", "question", "begin", "first"),
    [
        ("staff", "Who earns the most?", "The highest Salary is 91000: 1 of 7 rows", "Gita Rao"),
        ("staff", "Which person earns the least?", "The lowest Salary is 36500: 1 of 7 rows", "Finn Moe"),
        ("staff", "Who is the highest paid person in Sales?", "The highest Salary is 52000: 1 of 7", "Anna Berg"),
        ("staff", "Who was hired first?", "The earliest Hired is 2015-09-30", "Gita Rao"),
        ("staff", "Who was hired most recently in Engineering?", "The latest Hired is 2022-11-21", "David Ek"),
        ("staff", "Wer verdient am meisten?", "Das höchste Salary ist 91000", "Gita Rao"),
        ("staff", "How many people work in Support?", "2 of 7 rows of staff.csv where Department = Support.", ""),
        ("staff", "List everyone hired after 2020", "3 of 7 rows of staff.csv where Hired > 2020.", "Bo Dahl"),
        ("staff", "Which department has the most people?", "First by Department: Engineering, with 3;", ""),
        ("staff", "Which department has the highest average salary?", "First by Department: Engineering, with 78,500;", ""),
        ("staff", "What does Carla Nunes earn?", "Salary is 78000: 1 of 7 rows", ""),
        ("shop", "What is the cheapest product?", "The lowest Preis is 44,50: 1 of 4 rows", "Bike lock L9"),
        ("shop", "What are the two most expensive products?", "The highest Preis is 899,00: 2 of 4", "Trail bike X1"),
        ("shop", "What is the heaviest product?", "The highest Gewicht is 15,8 kg: 1 of 4", "City bike C3"),
        ("shop", "Was ist das teuerste Product?", "Das höchste Preis ist 899,00", "Trail bike X1"),
        ("shop", "Quel product est le moins cher ?", "La valeur la plus basse de Preis est 44,50", "Bike lock L9"),
        ("shop", "How many products cost less than 100?", "Product has 2 different values: 2 of 4 rows", ""),
        ("films", "Which film is the longest?", "The highest Runtime (min) is 142", "Salt Road"),
        ("films", "What is the best rated film?", "The highest Rating is 8.6", "Salt Road"),
        ("films", "What is the oldest film?", "The lowest Year is 1999", "The Quiet Harbor"),
        ("films", "Who directed Salt Road?", "Director is Ana Reyes: 1 of 4 rows", ""),
        ("films", "How many films did Mara Lindt direct?", "2 of 4 rows of films.csv where Director = Mara", ""),
        ("films", "How long is Paper Moons?", "Runtime (min) is 96: 1 of 4 rows", ""),
        ("films", "Which films came out after 2004?", "2 of 4 rows of films.csv where Year > 2004.", "Paper Moons"),
        ("expenses", "How much did we spend on travel?", "The sum of Amount is 464.20: 2 of 4 rows", ""),
        ("expenses", "How much was spent in February?", "The sum of Amount is 473.75: 2 of 4 rows", ""),
        ("expenses", "How much is travel in total?", "The sum of Amount is 464.20: 2 of 4 rows", ""),
        ("expenses", "How much did Ann pay?", "The sum of Amount is 464.20: 2 of 4 rows", ""),
        ("expenses", "Which category has the highest total?", "First by Category: Travel, with 464.20;", ""),
        ("expenses", "What was the biggest expense?", "The highest Amount is $410.00: 1 of 4 rows", "2024-02-02"),
        ("expenses", "Average expense per category", "By Category: 4 of 4 rows", ""),
        ("sales", "Which region has the highest sales?", "First by Region: North, with 795;", ""),
        ("sales", "Which city has the highest sales?", "The highest Sales is 500: 1 of 3 rows", "South"),
        ("account", "Wie viel habe ich bei Kaufhof ausgegeben?", "Die Summe von Betrag ist -183,57: 2 von 4", ""),
    ],
)  # fmt: skip
def test_a_column_is_asked_for_without_its_name(
    asked_of: dict[str, Table], name: str, question: str, begin: str, first: str
) -> None:
    answer = told(asked_of[name], question, [f"{name}.csv", name])
    assert answer.startswith(begin)
    if first:
        assert answer.split("\n\n- ")[1].split(" | ")[0].endswith(f": {first}")


@pytest.mark.parametrize(
    ("name", "question"),
    [
        ("staff", "Who is the tallest?"),
        ("staff", "Who earns the most in Rome?"),
        ("staff", "Who is the cheapest?"),
        ("expenses", "Who spent the most?"),  # in one row, or in all
        ("expenses", "Total by person"),
        ("expenses", "How much was it?"),
        ("expenses", "How much is travel?"),  # one of two, or both
        ("shop", "What is the total weight?"),  # in grams and in kilograms
        ("shop", "How many products weigh more than 5 kg?"),
        ("account", "Was war die größte Ausgabe?"),  # the lowest number
    ],
)
def test_a_column_that_is_not_certain_is_not_asked_for(asked_of: dict[str, Table], name: str, question: str) -> None:
    assert read_question(question, asked_of[name], [f"{name}.csv", name]) is None


def test_rows_are_called_by_any_word_of_the_tables_name(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "fleet.csv"
    path.write_text("Plate,Driver,Fuel,Monthly cost\nA 1,Ann,Diesel,400\nB 2,Ben,Electric,300\nC 3,Cy,Diesel,500\n")
    (table,) = tables_of(path, settings)
    names = ["fleet.csv", "Vehicle fleet, status October"]
    assert told(table, "How many vehicles run on diesel?", names).startswith("2 of 3 rows of")
    assert told(table, "What is the total monthly cost of the diesel vehicles?", names).startswith(
        "The sum of Monthly cost is 900"
    )
    assert read_question("What is the total monthly cost of the diesel boats?", table, names) is None


def test_who_asks_for_rows_of_the_nearest_table_alone(asked_of: dict[str, Table]) -> None:
    question = "Who is Iris Holm?"
    assert read_question(question, asked_of["staff"], ["staff.csv"]) is None
    query = read_question(question, asked_of["staff"], ["staff.csv"], is_nearest=True)
    assert query and len(matches(asked_of["staff"], query.conditions)) == 3


def test_visits(settings: Settings) -> None:
    (table,) = tables_of(FILES / "visits.csv", settings)
    with (FILES / "visits.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = ["visits.csv", "visits"]
    total = sum(int(row["visitors"]) for row in rows)
    assert told(table, "How many visitors were there in total?", names).startswith(
        f"The sum of visitors is {total:,}: 57 of 57 rows of visits.csv."
    )
    south = [row for row in rows if row["ward"] == "south" and row["date"] < "2025-02"]
    assert told(table, "How many visitors came to the south ward in January 2025?", names).startswith(
        f"The sum of visitors is {sum(int(row['visitors']) for row in south):,}: {len(south)} of 57 rows"
    )
    assert told_table(table).startswith("57 × date (2025-01-01 – ")


def test_rows_that_sum_up_are_left_out_and_keys_are_not_summed(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "sales.csv"
    path.write_text("region,order,amount\nNorth,1,10\nSouth,2,20\nEast,3,30\nTotal,,60\n", encoding="utf-8")
    (table,) = tables_of(path, settings)
    text = told(table, "What is the sum of the amount?", ["sales.csv"])
    assert text == "The sum of amount is 60: 3 of 3 rows of sales.csv.\nRows that sum up others were left out: 1."
    assert "different values" in told(table, "How many orders are in sales.csv?", ["sales.csv"])


FLAWS = "Rank,Flaw,TOTAL,2005,2006\n1,XSS,2919,706,2213\n2,SQL injection,1411,585,826\n3,Buffer overflow,924,470,454\n"
PLANTS = (
    "Plant,Price (EUR),In stock,Soil\nRosemary 'Pink Form',8.40,12,dry\nSage,5.10,0,dry\n"
    "Sage 'Old Gold',6.20,7,\nPear (dwarf),52.00,3,any\nPear 'Bishop',56.00,4,any\n"
)
TOWNS = "Ort;Einwohner;Bürgermeister;Fläche (km²)\nKiel;247717;Ulf Kämpfer;118,6\nUlm;128928;Martin Ansbacher;118,7\n"


def table_of(text: str, folder: Path, settings: Settings, name: str) -> Table:
    (folder / name).write_text(text, encoding="utf-8")
    (table,) = tables_of(folder / name, settings)
    return table


WARDS = (
    "Land;Wahlkreis-Nr.;Wahlkreis-Name;Bevölkerung am 31.12.2015 nach dem Stand der Fortschreibung, alle Personen (in 1000)\n"
    "Nord;1;Kiel;240,5\nNord;2;Plön;120,2\nNord;901;Land insgesamt;360,7\n"
    "Süd;3;Ulm;130,1\nSüd;4;Lindau;80,1\nSüd;5;Total;79,0\nSüd;902;Land insgesamt;289,2\nBund;999;Insgesamt;649,9\n"
)
JOBS = "Employer Name,State,House number,Owner ID\nAcme,Ohio,7,30\nBolt,Ohio,7,10\nAcme,Iowa,9,30\n"


def test_a_table_whose_corner_is_empty(tmp_path: Path, settings: Settings) -> None:
    table = table_of(",2005,2006\nXSS,706,2213\nCSRF,,12\nTotal,706,2225\n", tmp_path, settings, "flaws.csv")
    assert table.columns == ("", "2005", "2006") and len(table.totals) == 1
    assert [row.cells for row in table.rows] == [{"": "XSS", "2005": "706", "2006": "2213"}, {"": "CSRF", "2006": "12"}]
    answer = "2006 is 12: 1 of 2 rows of flaws.csv where CSRF.\nRows that sum up others were left out: 1."
    assert told(table, "How many CSRF flaws were there in 2006?", ["flaws.csv", "flaws"]) == answer
    assert told_table(table).startswith("2 × 2005")


def test_totals_in_any_cell_and_long_names_of_columns(tmp_path: Path, settings: Settings) -> None:
    table = table_of(WARDS, tmp_path, settings, "wards.csv")
    assert len(table.columns) == 4 and len(table.columns[3]) > 80
    assert [row.cells["Wahlkreis-Name"] for row in table.rows] == ["Kiel", "Plön", "Ulm", "Lindau", "Total"]
    assert [row.cells["Wahlkreis-Nr."] for row in table.totals] == ["901", "902", "999"]


def test_the_total_of_a_group_of_a_sheet_is_no_row(tmp_path: Path, settings: Settings) -> None:
    book = openpyxl.Workbook()
    assert book.active is not None
    for row in (
        ["Item", "Kilos"],
        ["Fruits:"],
        ["Apple", 3],
        ["Pear", 4],
        ["Total", 7],
        ["Roots:"],
        ["Beet", 2],
        ["Total", 2],
    ):
        book.active.append(row)
    book.save(tmp_path / "items.xlsx")
    (table,) = tables_of(tmp_path / "items.xlsx", settings)
    assert [row.cells["Item"] for row in table.rows] == ["Fruits Apple", "Fruits Pear", "Roots Beet"]
    assert [row.cells["Item"] for row in table.totals] == ["Fruits Total", "Roots Total"]


PREMISES = (
    "Cost centre,Item,Jan,Feb\nPremises,Rent,20,20\nPremises,Power,5,6\nTotal Premises,,25,26\n"
    "Staff,Pay,70,70\nStaff,Courses,3,0\nStaff Total,,73,70\nGrand total,,98,96\n"
)
INVOICE = "Pos.,Article,Amount\n1,Pump,900\n2,Seal,60\n3,Fitting,40\n,Net,1000\n,VAT 20 %,200\n,Deposit,-300\n,Amount due,900\n"


def test_the_totals_of_groups_and_of_runs_are_no_rows(tmp_path: Path, settings: Settings) -> None:
    table = table_of(PREMISES, tmp_path, settings, "budget.csv")
    assert [row.cells["Cost centre"] for row in table.totals] == ["Total Premises", "Staff Total", "Grand total"]
    assert told(table, "What is the sum of Jan?", ["budget.csv"]).startswith("The sum of Jan is 98: 4 of 4 rows")
    run = "Item;Kilo\nApfel;3\nBirne;4\nSumme Obst;7\nRübe;2\nLauch;5\nSumme Gemüse;7\nTotal Recall;1\n"
    table = table_of(run, tmp_path, settings, "ernte.csv")
    assert [row.cells["Item"] for row in table.totals] == ["Summe Obst", "Summe Gemüse"]


def test_a_table_that_goes_on_over_pages_is_one(settings: Settings) -> None:
    rows = [
        [f"Date: 2025-05-{day:02} | Details: Rent {day} | Paid out: {day}.00" for day in days]
        for days in ((1, 2), (3, 4))
    ]
    heads = ("Bank of Harlow\n\n{}\n\nSheet 1", "Bank of Harlow\n\n{}\n\nSheet 2")
    pages = [
        (head.format("\n".join(each)), {"page": number})
        for number, (head, each) in enumerate(zip(heads, rows, strict=True), 1)
    ]
    (table,) = find_tables("a.pdf", "a.pdf", pages)
    text = told(table, "What is the total paid out?", ["a.pdf"])
    assert text == "The sum of Paid out is 10.00: 4 of 4 rows of a.pdf."
    assert [table.line(row) for row in table.rows] == [*rows[0], *rows[1]]
    query = read_question("List all rows of a.pdf", table, ["a.pdf"])
    assert query is not None
    (passage,) = answer_query([(table, query, "a.pdf")]).passages
    assert not {"page", "last_page", "start_index"} & passage.metadata.keys()
    apart = [
        ("\n".join([*each, f"Date: Total | Paid out: {total}"]), {"page": number})
        for number, (each, total) in enumerate(zip(rows, ("3.00", "7.00"), strict=True), 1)
    ]
    assert len(find_tables("b.pdf", "b.pdf", apart)) == 2, "each has its sum"


REGIONS = "Region;Orders;Revenue\nNorth;10;100\nSouth;20;250\nEast;6;40\n"


@pytest.mark.parametrize(
    "last",
    [
        "All regions;36;390", "Overall;36;390", ";36;390", "Gesamtergebnis;36;390", "合計;36;390", "Итого;36;390",
        "Razem;36;390", "Totaal;36;390", "Average;12;130", "Total orders;36;",
    ],
)  # fmt: skip
def test_a_last_row_that_sums_up_is_none_of_them(last: str, tmp_path: Path, settings: Settings) -> None:
    table = table_of(f"{REGIONS}{last}\n", tmp_path, settings, "regions.csv")
    assert (len(table.rows), len(table.totals)) == (3, 1)


@pytest.mark.parametrize("last", ["West;7;90", "All-in;7;90", "Media;100;900", "Overall;7;90", "Company;36;390"])
def test_a_last_row_of_its_own_is_one(last: str, tmp_path: Path, settings: Settings) -> None:
    table = table_of(f"{REGIONS}{last}\n", tmp_path, settings, "regions.csv")
    assert (len(table.rows), len(table.totals)) == (4, 0)


@pytest.mark.parametrize(
    "text",
    [
        "Id,Name,Level\n1,Ann,1\n2,Bo,2\n3,Cem,3\n",
        "Name,Mon,Tue\nAnn,1,0\nBo,0,1\nCem,1,1\n",
        "Order,Customer,Status,Total\n1,Ann,total,5\n2,Bo,partial,6\n3,Cem,total,6\n",
        "No,Item,Amount\n1,Pump,300\n2,Seal,50\n,Delivery,15\n,Consumables,9\n",
    ],
)
def test_rows_that_only_add_up_are_rows(text: str, tmp_path: Path, settings: Settings) -> None:
    assert not table_of(text, tmp_path, settings, "a.csv").totals


def test_what_stands_below_the_items_of_an_invoice_is_none(tmp_path: Path, settings: Settings) -> None:
    table = table_of(INVOICE, tmp_path, settings, "invoice.csv")
    assert [row.cells["Article"] for row in table.rows] == ["Pump", "Seal", "Fitting"]
    assert told(table, "What is the total amount?", ["invoice.csv"]).startswith("The sum of Amount is 1,000: 3 of 3")
    unpaid = table_of("Pos.,Article,Amount\n1,Pump,900\n2,Seal,60\n,Hose,40\n", tmp_path, settings, "unpaid.csv")
    assert len(unpaid.rows) == 3


SOLD = (
    "Order no.,Order date,Customer,Dept,Unit price,Discount,Net value,Status,Ship date\n"
    "1,2024-10-02,Kestrel Water,IT,10,5 %,95.00,Shipped,2024-11-03\n2,2024-10-20,Danforth,IN,20,0 %,400.00,Open,\n"
    "3,2024-11-05,Kestrel Water,IT,10,0 %,50.00,Shipped,2025-01-09\n4,2025-01-15,Hart,IN,30,5 %,285.00,Shipped,2025-01-30\n"
    "5,2025-01-16,Danforth,IT,30,0 %,30.00,Cancelled,\n"
)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is the total value of all orders?", "The sum of Net value is 860.00: 5 of 5 rows"),
        ("What is the net value of all orders from Danforth?", "The sum of Net value is 430.00: 2 of 5 rows"),
        ("How many orders are in the table?", "orders.csv has 5 rows"),
        ("How many orders are in IT?", "3 of 5 rows of orders.csv where Dept = IT"),
        ("How many orders were placed in October?", "2 of 5 rows of orders.csv where Order date = …-10"),
        ("How many orders have not been shipped yet?", "2 of 5 rows of orders.csv where Status ≠ Shipped"),
        ("Which month had the most orders?", "First by Order date: 2024-10, 2025-01, with 2; 5 of 5 rows"),
        ("How many shipped orders were placed in 2025?", "1 of 5 rows of orders.csv where Order date = 2025 & Status"),
        ("How many orders placed in 2024 have not been shipped?", "1 of 5 rows of orders.csv where Order date = 2024"),
        (
            "How many orders were shipped in 2025?",
            "2 of 5 rows of orders.csv where Ship date = 2025 & Status = Shipped",
        ),
        ("How many orders from 2024 are shipped?", "2 of 5 rows of orders.csv where Order date = 2024 & Status"),
        ("How many orders are from 2025 on?", "2 of 5 rows of orders.csv where Order date ≥ 2025"),
        ("Which month had the most shipped orders?", "First by Order date: "),
        ("How many orders per year?", "By Order date: 5 of 5 rows of orders.csv.\n\n- 2024: 3\n- 2025: 2"),
        (
            "Wie viele orders pro Monat?",
            "Nach Order date: 5 von 5 Zeilen von orders.csv.\n\n- 2024-10: 2\n- 2024-11: 1",
        ),
        ("Which customer placed the most orders?", "First by Customer: Kestrel Water, Danforth, with 2;"),
    ],
)
def test_words_as_people_use_them_of_orders(question: str, answer: str, tmp_path: Path, settings: Settings) -> None:
    table = table_of(SOLD, tmp_path, settings, "orders.csv")
    assert told(table, question, ["orders.csv", "orders"]).startswith(answer)


def test_the_first_groups_by_a_value(tmp_path: Path, settings: Settings) -> None:
    table = table_of(SOLD, tmp_path, settings, "orders.csv")
    text = told(table, "Who are the top 2 customers by order value?", ["orders.csv", "orders"])
    assert text.startswith("First by Customer: Danforth, with 430.00;")
    assert [line.partition(": ")[0] for line in text.splitlines() if line.startswith("- ")] == ["- Danforth", "- Hart"]


@pytest.mark.parametrize(
    "question",
    [
        "How many orders have a discount?",
        "What is the total discount?",
        "Which customer placed the largest order?",
        "How many orders in the study had cavitation?",
    ],
)
def test_no_sum_of_shares_and_no_count_for_a_size(question: str, tmp_path: Path, settings: Settings) -> None:
    table = table_of(SOLD, tmp_path, settings, "orders.csv")
    assert read_question(question, table, ["cavitation study.csv", "cavitation study"]) is None


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Which ward had the most visitors?", "First by ward: north, with 1,366;"),
        ("Which day had the most visitors?", "First by date: 2025-01-23, 2025-02-26, with 50;"),
        ("Which month had the most visitors?", "First by date: 2025-02, with 975;"),
        ("¿Qué día hubo más visitors?", "Primero por date: 2025-01-23, 2025-02-26, con 50;"),
    ],
)
def test_the_most_of_several_rows(question: str, answer: str, settings: Settings) -> None:
    (table,) = tables_of(FILES / "visits.csv", settings)
    assert told(table, question, ["visits.csv", "visits"]).startswith(answer)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Wie hoch ist der gesamte Betrag?", "Die Summe von Betrag ist 1.032,50:"),
        ("Wie hoch ist der höchste Betrag?", "Das höchste Betrag ist 1.012,50:"),
        ("Welche Bestellung hat den höchsten Betrag?", "Das höchste Betrag ist 1.012,50:"),
    ],
)
def test_figures_are_told_as_the_table_writes_them(
    question: str, answer: str, tmp_path: Path, settings: Settings
) -> None:
    table = table_of("Bestellung;Kunde;Betrag\nA1;Ann;1.012,50\nA2;Bo;20,00\n", tmp_path, settings, "bestellungen.csv")
    assert told(table, question, ["bestellungen.csv", "bestellungen"]).startswith(answer)


def test_dates_are_asked_for_by_what_happened(tmp_path: Path, settings: Settings) -> None:
    text = "Name,Start date,Date of birth\nAnn,2021-02-01,1980-01-03\nBo,2019-05-01,1995-07-03\nCem,2021-09-01,1963-04-09\n"
    table = table_of(text, tmp_path, settings, "staff.csv")
    names = ["staff.csv", "staff"]
    assert told(table, "How many people were hired in 2021?", names).startswith("2 of 3 rows")
    assert told(table, "How many people were born before 1990?", names).startswith("2 of 3 rows")
    assert "Name: Bo |" in told(table, "Who is the youngest?", names)
    assert "Name: Cem |" in told(table, "Who started last?", names)


def test_a_column_is_known_without_its_unit(tmp_path: Path, settings: Settings) -> None:
    table = table_of("Region,2023 (k€),2024 (k€)\nNord,10,12\nSüd,20,21\n", tmp_path, settings, "sales.csv")
    assert told(table, "What is the sum of 2024?", ["sales.csv"]).startswith("The sum of 2024 (k€) is 33: 2 of 2")


def test_a_column_with_one_value_is_a_column(tmp_path: Path, settings: Settings) -> None:
    text = "Item,Price,Remark\nHose,7.00,old stock\nPump,90.00,\nSeal,3.00,\nFitting,5.00,\n"
    table = table_of(text, tmp_path, settings, "parts.csv")
    assert table.columns == ("Item", "Price", "Remark")
    assert told(table, "What is the sum of the price?", ["parts.csv"]).startswith("The sum of Price is 105.00: 4 of 4")


@pytest.mark.parametrize(
    ("text", "question", "answer"),
    [
        (WARDS, "Wie viele Wahlkreise gibt es?", "Wahlkreis-Name hat 5 verschiedene Werte: 5 von 5 Zeilen von a.csv."),
        (WARDS, "Wie viele Wahlkreise hat Nord?", "Wahlkreis-Name hat 2 verschiedene Werte: 2 von 5 Zeilen von a.csv mit Land = Nord."),
        (WARDS, "Wie viele Wahlkreise liegen in Süd?", "Wahlkreis-Name hat 3 verschiedene Werte: 3 von 5 Zeilen von a.csv mit Land = Süd."),
        (WARDS, "In welchem Land liegt der Wahlkreis Ulm?", "Land ist Süd: 1 von 5 Zeilen von a.csv mit Wahlkreis-Name = Ulm."),
        (JOBS, "How many employers are there?", "Employer Name has 2 different values: 3 of 3 rows of a.csv."),
        (JOBS, "How many employers are located in Ohio?", "Employer Name has 2 different values: 2 of 3 rows of a.csv where State = Ohio."),
        (JOBS, "How many owners are there?", "Owner ID has 2 different values: 3 of 3 rows of a.csv."),
        (FLAWS, "Which flaw has the highest TOTAL?", "The highest TOTAL is 2919: 1 of 3 rows of a.csv."),
        (FLAWS, "Which flaw has the lowest total?", "The lowest TOTAL is 924: 1 of 3 rows of a.csv."),
    ],
)  # fmt: skip
def test_rows_are_called_by_the_column_that_tells_them_apart(
    text: str, question: str, answer: str, tmp_path: Path, settings: Settings
) -> None:
    assert told(table_of(text, tmp_path, settings, "a.csv"), question, ["a.csv"]).split("\n")[0] == answer


@pytest.mark.parametrize(
    ("text", "question"),
    [
        (JOBS, "How many houses are there?"),  # a number of a house is no house
        (JOBS, "How many employees are there?"),
        (JOBS, "Which employer has the highest Owner ID?"),  # an employer has several rows
    ],
)
def test_rows_are_not_called_by_other_columns(text: str, question: str, tmp_path: Path, settings: Settings) -> None:
    assert read_question(question, table_of(text, tmp_path, settings, "a.csv"), ["a.csv"]) is None


@pytest.mark.parametrize(
    ("text", "name", "question", "answer"),
    [
        (FLAWS, "flaws.csv", "How many XSS flaws were there in 2006?", "2006 is 2213: 1 of 3 rows of flaws.csv where Flaw = XSS."),
        (FLAWS, "x.csv", "What is the rank of SQL injection?", "Rank is 2: 1 of 3 rows of x.csv where Flaw = SQL injection."),
        (
            PLANTS,
            "plants.csv",
            "What is the price of the rosemary?",
            "Price (EUR) is 8.40: 1 of 5 rows of plants.csv where Plant = Rosemary 'Pink Form'.",
        ),
        (PLANTS, "p.csv", "What is the price of the sage Old Gold?", "Price (EUR) is 6.20: 1 of 5 rows of p.csv where Plant = Sage 'Old Gold'."),
        (PLANTS, "p.csv", "What is the stock of the rosemary?", "In stock is 12: 1 of 5 rows of p.csv where Plant = Rosemary 'Pink Form'."),
        (PLANTS, "p.csv", "How many sages are in stock?", "In stock is 0: 1 of 5 rows of p.csv where Plant = Sage."),
        (TOWNS, "orte.csv", "Wie viele Einwohner hat Kiel?", "Einwohner ist 247717: 1 von 2 Zeilen von orte.csv mit Ort = Kiel."),
        (TOWNS, "orte.csv", "Wer ist der Bürgermeister von Ulm?", "Bürgermeister ist Martin Ansbacher: 1 von 2 Zeilen von orte.csv mit Ort = Ulm."),
        (TOWNS, "orte.csv", "What is the Fläche of Kiel?", "Fläche (km²) is 118,6: 1 of 2 rows of orte.csv where Ort = Kiel."),
    ],
)  # fmt: skip
def test_one_cell_is_looked_up_by_its_row_and_column(
    text: str, name: str, question: str, answer: str, tmp_path: Path, settings: Settings
) -> None:
    table = table_of(text, tmp_path, settings, name)
    assert told(table, question, [name, name.removesuffix(".csv")]) == answer


def test_a_cell_of_a_row_with_a_key(orders: Table) -> None:
    status = rows_of(159)[11][2]
    answer = f"status is {status}: 1 of 159 rows of orders.csv where order id = A-00012."
    assert told(orders, "What is the status of order A-00012?") == answer


@pytest.mark.parametrize(
    ("text", "question"),
    [
        (FLAWS, "How many XSS flaws were there since 2006?"),
        (FLAWS, "How many XSS flaws were there in 2005 and 2006?"),
        (FLAWS, "How many XSS flaws were there in 2007?"),
        (FLAWS, "How many XSS bugs were there in 2006?"),  # what is a bug?
        (FLAWS, "How many overflow flaws were there in 2006?"),  # part of a value
        (FLAWS, "How many flaws were not XSS in 2006?"),
        (PLANTS, "What is the price of the pear?"),  # there are two
        (PLANTS, "What is the price of the rosemary oil?"),
        (PLANTS, "What is the price of the Pink Form?"),
        (PLANTS, "What is the soil of the sage Old Gold?"),  # the cell is empty
        (PLANTS, "How many dry rosemary plants have a price?"),
        (PLANTS, "Is the price of the rosemary lower than 9?"),
        (PLANTS, "Who wrote about rosemary?"),
        (TOWNS, "Wie viele Bürgermeister hat Kiel?"),  # no number
    ],
)
def test_no_cell_is_looked_up_where_that_is_not_certain(
    text: str, question: str, tmp_path: Path, settings: Settings
) -> None:
    query = read_question(question, table_of(text, tmp_path, settings, "flaws.csv"), ["flaws.csv", "flaws"])
    assert query is None or query.operation != "value"


@pytest.mark.parametrize(
    ("text", "mark", "number"),
    [
        ("1,250.50", ".", "1250.50"),
        ("1.250,50", ",", "1250.50"),
        ("€ 19", ".", "19"),
        ("19 euros", ".", "19"),
        ("12,5 %", ",", "12.5"),
        ("(5)", ".", "-5"),
        ("-3", ".", "-3"),
        ("A-12", ".", None),
        ("two", ".", None),
    ],
)
def test_numbers(text: str, mark: str, number: str | None) -> None:
    assert read_number(text, mark) == (Decimal(number) if number else None)


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("2025-03-04", (2025, 3, 4)),
        ("4.3.2025", (2025, 3, 4)),
        ("4 March 2025", (2025, 3, 4)),
        ("March 4, 2025", (2025, 3, 4)),
        ("4. März 2025", (2025, 3, 4)),
        ("4 de marzo de 2025", (2025, 3, 4)),
        ("2025年3月4日", (2025, 3, 4)),
        ("2025-13-04", None),
        ("soon", None),
    ],
)
def test_dates(text: str, when: tuple[int, int, int] | None) -> None:
    assert read_date(text) == when


@pytest.mark.parametrize(
    "text",
    [
        "Note: this is prose.\nIt goes on: and on.\nAnd ends here.",
        "- one: a\n- two: b\n- three: c",
        "key: value\nother: value",
        "```\na: 1 | b: 2\na: 3 | b: 4\n```",
        "a | b\nc | d",
    ],
)
def test_what_is_no_table(text: str) -> None:
    assert find_tables("x", "x", [(text, {})]) == []
