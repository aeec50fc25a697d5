"""The sentences of the passages that answer best: which are chosen, what they lean on, and how each door gives them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Iterator
from pathlib import Path

import gradio_client
import httpx
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from websockets.sync.client import connect

from rag.answers.parts import parts_of
from rag.answers.quotes.asked_for import codes_of, has_code, numbered_part
from rag.answers.quotes.find import find_quotes
from rag.answers.quotes.quotable import GROWN, LONGEST_QUOTE, quotable
from rag.answers.quotes.quote import Quote, quotes_as_answer
from rag.answers.update import Update
from rag.doors.bodies import answer_fields
from rag.errors import SettingsError
from rag.grounding.ground import Sentence
from rag.page.conversation import READ_FIRST, show_answer
from rag.page.history import BESIDE, INSTEAD, as_messages
from rag.settings import load_settings
from tests.commands import run
from tests.conftest import PaperEmbeddings
from tests.minilm import shared_minilm
from tests.serving import ANSWER, TEXT, Served, ask_socket, frames, serve

GUIDE = Document(
    "# Keeping things\n\n"
    "The agent writes a plan before it acts. It keeps that plan in its memory.\n"
    "Fig. 3. The plan of the agent in its memory.\n"
    "Cheese comes from the moon.\n"
    "Which plan does the agent keep?\n",
    metadata={"source": "guide.md", "title": "Guide", "start_index": 0},
)


@pytest.fixture(scope="module")
def minilm() -> Embeddings:
    return shared_minilm()


def quotes_of(
    question: str,
    *texts: str | Document,
    section: str = "",
    embeddings: Embeddings | None = None,
    languages: Collection[str] = (),
) -> list[str]:
    sources = [
        text if isinstance(text, Document) else Document(text, metadata={"section": section, "start_index": 7})
        for text in texts
    ]
    found = asyncio.run(find_quotes(question, sources, embeddings or PaperEmbeddings(), languages))
    for quote in found:
        assert 0 <= quote.start < quote.end <= len(sources[quote.passage - 1].page_content)
    return [quote.text(sources) for quote in found]


TEAM = "* Ruben Bridgewater (voting)\n* Daniel Rosen (from the TypeScript team)\n"
TEAM += "* Jake Bailey (from the TypeScript team)\n* Ryan Cave (from the TypeScript team)\n* Joyee Cheung (voting)"


def test_items_beside_each_other_that_say_what_is_asked_are_one_quote(minilm: Embeddings) -> None:
    quotes = quotes_of("Who from the TypeScript team was there?", TEAM, embeddings=minilm)
    assert quotes[0] == "\n".join(TEAM.splitlines()[1:4])
    prices = "Boat: Heron | Price: 429\nBoat: Swift | Price: 311\nBoat: Tern | Price: 505"
    assert quotes_of("What is the price of a boat?", prices, embeddings=minilm)[0] in prices.splitlines()


STORE = (
    "## What you may not store\n\n* food that spoils, plants, anything alive\n* fuel, gas bottles, paint thinner\n"
    "* weapons, stolen goods\n\nThe unit is checked twice a year."
)


def test_a_list_is_quoted_whole_unless_one_item_is_asked_for(minilm: Embeddings) -> None:
    quotes = quotes_of("Which things will they not let me keep in there?", STORE, embeddings=minilm)
    assert quotes[0] == "\n".join(STORE.splitlines()[2:5])
    for question in ("May I keep gas bottles for the stove?", "Who sells liquids that burn?"):
        quotes = quotes_of(question, STORE, embeddings=minilm)
        assert quotes[0] == STORE.splitlines()[3].removeprefix("* ")


@pytest.mark.parametrize("blank", ["\x0c", "\u3000", "\u2028"])
def test_a_list_goes_on_behind_a_line_of_other_white_space(minilm: Embeddings, blank: str) -> None:
    quotes = quotes_of("What are the ingredients?", f"Ingredients:\n{blank}\n200 g flour\n4 eggs", embeddings=minilm)
    assert quotes[0].endswith("200 g flour\n4 eggs")


RUM_BALLS = "½ pound vanilla wafers, finely crushed\n1 cup powdered sugar\n2 Tbsp cocoa\n¼ cup rum"
OFFICERS = """Each officer shall perform these duties:
A. President
1. Preside over all events.
2. Delegate duties to the treasurer when necessary.
B. Treasurer
1. Maintain the records of all financial matters.
2. Prepare a budget.
C. Secretary
1. Write the minutes."""


@pytest.mark.parametrize(
    ("question", "name", "language"),
    [
        ("What ingredients do I need for rum balls?", "Rum Balls", "en"),
        ("Welche Zutaten brauche ich für den Apfelkuchen?", "Apfelkuchen", "de"),
    ],
)
def test_a_list_with_a_sentence_above_it_is_that_of_its_heading(
    minilm: Embeddings, question: str, name: str, language: str
) -> None:
    source = Document(
        f"{name}\n\nGrandpa made these at Christmas.\n\n{RUM_BALLS}\n\nMix all together and form into small balls.",
        metadata={"start_index": 0, "title": "Family recipes", "headings": [name]},
    )
    assert quotes_of(question, source, embeddings=minilm, languages=[language])[0] == RUM_BALLS


def test_an_item_names_the_list_below_it(minilm: Embeddings) -> None:
    source = Document(OFFICERS, metadata={"start_index": 0, "title": "Constitution"})
    treasurer = OFFICERS[OFFICERS.index("B.") : OFFICERS.index("\nC.")]
    for question in ("What are the jobs of the treasurer?", "What are the treasurer's duties?"):
        assert quotes_of(question, source, embeddings=minilm)[0] == treasurer


@pytest.mark.parametrize(
    ("text", "question", "best"),
    [
        (
            "The treasurer is Ida Orr.\n\nB. Treasurer\n1. Maintain the records.\n2. Prepare a budget.\nC. Secretary",
            "Who is the treasurer?",
            "The treasurer is Ida Orr.",
        ),
        (
            "## Fees\n\n## Refunds\n\n- within 40 days\n- by card only\n\nThe fees are 5 euros.",
            "What are the fees?",
            "The fees are 5 euros.",
        ),
        (
            "1. Open the lid of it\n2. Add the ground coffee\n\n- Never use any soap\n- Dry it well then",
            "What coffee should I add?",
            "Add the ground coffee",
        ),
    ],
    ids=["who it is", "a heading between", "another list"],
)
def test_a_list_of_something_else_is_not_quoted(text: str, question: str, best: str, minilm: Embeddings) -> None:
    source = Document(text, metadata={"start_index": 0, "headings": ["Fees", "Refunds"]})
    first = quotes_of(question, source, embeddings=minilm)[0]
    assert best in first and "soap" not in first and "records" not in first and "by card" not in first


def test_a_numbered_heading_names_its_list(minilm: Embeddings) -> None:
    text = "3. Requirements\n\nA deposit\nA passport\n\nThe rest is told by mail, to whoever has asked for it."
    source = Document(text, metadata={"start_index": 0, "headings": ["3. Requirements"]})
    assert quotes_of("What are the requirements?", source, embeddings=minilm)[0] == "A deposit\nA passport"


def test_the_row_that_is_asked_for_stays_first(minilm: Embeddings) -> None:
    rows = (
        "Day: Sunday | Pool: 8 to 20\nDay: Monday | Pool: closed, open on Sunday instead\nDay: Tuesday | Pool: 9 to 21"
    )
    assert quotes_of("When is the pool open on Sunday?", rows, embeddings=minilm)[0].startswith("Day: Sunday")


def test_a_code_is_no_part_of_another() -> None:
    assert has_code(codes_of("What does A1 mean?"), "A 1: full") and not has_code(
        codes_of("What does A1 mean?"), "A14: empty"
    )


def test_what_follows_the_meaning_of_a_number_is_below_the_heading_again() -> None:
    text = "  15\n      no such file\n\nThe command was written by Ida Orr in one winter."
    found = {each.words: each.heading for each in quotable([Document(text, metadata={"section": "STATUS"})])}
    assert found == {
        "no such file": "STATUS 15",
        "The command was written by Ida Orr in one winter.": "STATUS",
    }


def test_a_numbered_day_is_asked_for_by_its_number(minilm: Embeddings) -> None:
    plan = [
        "Day 1 Afternoon: Python syntax",
        "Day 13 Morning: Python tests",
        "Day 3 Morning: Classes",
        "Day 3 Afternoon: Files",
    ]
    quotes = quotes_of("What is on the plan for day 3 of the Python course?", "\n".join(plan), embeddings=minilm)
    assert quotes[0] == "\n".join(plan[2:])


def test_a_list_below_a_heading_of_plain_text_is_asked_for_by_it(minilm: Embeddings) -> None:
    box = "WHAT IS IN THE BOX\n  1 machine, 2 baskets, 1 tamper\n  1 milk jug 350 ml, 1 blind disc\n"
    source = Document(
        f"{box}\nSERVICE\n  Send the machine in its box to the shop, with\n  your address and the receipt.",
        metadata={"start_index": 0, "title": "Velano 3", "headings": ["WHAT IS IN THE BOX", "SERVICE"]},
    )
    quotes = quotes_of("what's in the box of the Velano?", source, embeddings=minilm)
    assert quotes[0] == "\n".join(" ".join(line.split()) for line in box.splitlines()[1:])
    found = asyncio.run(find_quotes("what's in the box of the Velano?", [source], minilm))
    assert [each.leads for each in found] == [True] + [False] * (len(found) - 1)
    quotes = quotes_of("What about service?", source, embeddings=minilm)
    assert quotes[0].startswith("Send the machine in its box to the shop, with your"), "no list: a wrapped sentence"


@pytest.mark.parametrize(
    "row",
    ["Photos: 50,000 | First scan: 12 min", "Table: 4 | Seats: 6 | Window: yes", "Fig.: 3 | Year: 1990"],
)
def test_a_row_is_no_caption(row: str) -> None:
    assert quotes_of("How is it?", row) == [row]


def test_a_paragraph_that_begins_with_its_name_stands_under_it(minilm: Embeddings) -> None:
    text = "**Expenses.** Hand in receipts within 30 days.\n\n**Travel.** Second class is the rule. Ask first."
    found = {each.words: each.heading for each in quotable([Document(text, metadata={"start_index": 0})])}
    assert found == {
        "Hand in receipts within 30 days.": "Expenses",
        "Second class is the rule.": "Travel",
        "Ask first.": "Travel",
    }
    assert quotes_of("Are dogs allowed?", "**Dogs are not allowed.** Ask the office.", embeddings=minilm) == [
        "**Dogs are not allowed.** Ask the office."
    ]


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        ("How long does it take, and after how many cups is it due?", 2),
        ("What is the fee and could I follow it from home?", 2),
        ("What does it cost? And how long does it take?", 2),
        ("Was kostet es, und bis wann muss man kündigen?", 2),
        ("Combien coûte-t-il et jusqu'à quand est-il ouvert ?", 2),
        ("¿Cuánto cuesta y hasta cuándo está abierto?", 2),
        ("Who was born in Bonn and is a mayor?", 0),
        ("What do plants and animals need?", 0),
        ("What does it cost?\nAnd at night?", 0),
        ("Hello. Is it open?", 0),
        ("Can I bring a dog? My dog is small.", 0),
        ("What is included and what is not?", 0),
        ("Tell me how and when I can cancel", 0),
        ("What is the difference between what members pay and what guests pay?", 0),
        ("Who said http://a.b/?q=1&r=2 to whom?", 0),
        ("What is the fee and what is the deposit and what is the rent and what is the tax?", 3),
    ],
)
def test_the_questions_in_one(question: str, parts: int) -> None:
    assert len(parts_of(question)) == parts


@pytest.mark.parametrize(
    ("question", "leading"),
    [
        ("When does the pool open, and what does a visit cost?", ["The pool opens at nine.", "A visit costs 6 euros."]),
        ("Who was born in Bonn and was mayor?", ["Ada was mayor."]),
        ("When does the pool open? At nine.\nAnd what does a visit cost?", ["A visit costs 6 euros."]),
        ("From when is the pool open? What is a visit?", ["The pool opens at nine.", "A visit costs 6 euros."]),
    ],
    ids=["two questions", "one", "a follow-up behind its question", "two sentences"],
)
def test_the_best_quote_leads_and_that_for_each_of_two_questions(
    minilm: Embeddings, question: str, leading: list[str]
) -> None:
    source = Document(
        "The pool opens at nine.\n\nA visit costs 6 euros.\n\nThe sauna is closed in summer.\n\nAda was mayor.",
        metadata={"start_index": 0},
    )
    found = asyncio.run(find_quotes(question, [source], minilm))
    assert [each.text([source]) for each in found if each.leads] == leading


@pytest.mark.parametrize(
    ("question", "leading"),
    [
        ("What do the Student and the Daytime memberships cost?", ["Daytime", "Student"]),
        ("Which is dearer, Family complete or Daytime?", ["Daytime", "Family complete"]),
        ("What does the Family complete membership cost?", ["Family complete"]),
        ("What does a membership for a student cost a month?", ["Student"]),
    ],
    ids=["two rows", "one or the other", "a label in another", "one"],
)
def test_each_row_that_a_question_names_leads(minilm: Embeddings, question: str, leading: list[str]) -> None:
    rows = {"Complete": 46, "Family complete": 89, "Student": 29, "Daytime": 27, "Pool": 31}
    text = "\n".join(f"Membership: {name} | Per month: {price}.00" for name, price in rows.items())
    source = Document(text, metadata={"start_index": 0})
    found = asyncio.run(find_quotes(question, [source], minilm))
    led = [each.text([source]) for each in found if each.leads]
    assert sorted(each.partition(" | ")[0].removeprefix("Membership: ") for each in led) == leading


@pytest.mark.parametrize(
    ("question", "text", "best"),
    [
        (
            "What is fault A16 on the machine?",
            "A14: water tap closed.\n\nA16: load out of balance. Add a towel.\n\nA21: heating fault. Call the service.",
            "A16: load out of balance. Add a towel.",
        ),
        (
            "What does M4 mean?",
            "Message: M12 | Meaning: the tray is out\nMessage: M4 | Tray: full",
            "Message: M4 | Tray: full",
        ),
    ],
    ids=["a key", "a row"],
)
def test_what_has_a_code_as_its_name_comes_first(minilm: Embeddings, question: str, text: str, best: str) -> None:
    assert quotes_of(question, text, embeddings=minilm)[0] == best


def test_the_row_that_says_most_of_the_question_comes_first(minilm: Embeddings) -> None:
    rows = [
        "Ticket: Swim, single | Resident: 4.60 | Visitor: 6.20 | Concession: 3.10 | Valid: 2 hours",
        "Ticket: Early bird swim (before 8:00) | Resident: 3.40 | Visitor: 4.40 | Concession: 2.60 | Valid: until 8:30",
        "Ticket: Family swim (2 adults, 3 kids) | Resident: 13.50 | Visitor: 18.00 | Concession: 9.90 | Valid: 4 hours",
        "Ticket: Swim and sauna | Resident: 12.80 | Visitor: 16.50 | Concession: 10.20 | Valid: 4 hours",
    ]
    for order in (rows, rows[::-1]):
        quotes = quotes_of("What does a single swim cost for a visitor?", "\n".join(order), embeddings=minilm)
        assert quotes[0] == rows[0]


@pytest.mark.parametrize("name", ["Swift", "Saturday"])
def test_a_source_that_has_the_name_comes_before_one_that_has_not(minilm: Embeddings, name: str) -> None:
    about = {"source": "bikes.md", "start_index": 0}
    bikes = Document(
        "The Town is 19.90, the Swift with ten gears and disc brakes 24.90, also on Saturday.", metadata=about
    )
    other = {"source": "pool.md", "start_index": 0}
    pool = Document("Membership: Student | Per month: 29.00\nMembership: Pool | Per month: 31.00", metadata=other)
    question = f"What is the monthly price of the {name}?"
    found = asyncio.run(find_quotes(question, [pool, bikes], minilm))
    assert found[0].passage == (2 if name == "Swift" else 1)


def test_the_nearest_sentence_comes_first_with_what_it_leans_on() -> None:
    quotes = quotes_of("What plan does the agent keep in memory?", GUIDE)
    assert quotes == ["The agent writes a plan before it acts. It keeps that plan in its memory."]


@pytest.mark.parametrize(
    "text",
    [
        "Which plan has the agent?",
        "# The plan of the agent",
        "Figure 2: The plan of an agent.",
        "Abb. 4: The plan of an agent.",
        "Table 7. The plan of an agent.",
        "[12] A. Author et al. “The plan of an agent.” 2023.",
        "Author, B. The plan of an agent. arXiv preprint arXiv:2304.03442, 2023.",
        "plan of the agent as it was cut off at the chunk's edge.",
        "The plan",
    ],
)
def test_headings_questions_captions_references_and_stumps_are_no_quotes(text: str) -> None:
    assert quotes_of("What is the plan of the agent?", text) == []


SURVEY = "How manly do you feel? | Very manly | All: 37%\nHow manly do you feel? | Somewhat manly | All: 46%\n"
SURVEY += "How manly do you feel? | Not very manly | All: 11%\nHow manly do you feel? | Not at all manly | All: 5%"
JOB = "title: Product Manager\npermalink: positions/product-manager\n\n**Title:** Product Manager\n"
JOB += "**Salary range:** Base salary $87,263 to $133,444, by the seat.\n**Job number:** 17001-Product Manager\n"


@pytest.mark.parametrize(
    ("question", "text", "first"),
    [
        ("how many men say they feel very manly?", SURVEY, "How manly do you feel? | Very manly | All: 37%"),
        (
            "what does the product manager job pay?",
            JOB,
            "**Salary range:** Base salary $87,263 to $133,444, by the seat.",
        ),
        (
            "how much is the basic grant?",
            "The basic grant cannot be had together with the fixed grant.\nBasic grant: 300.00 euros, once a year.",
            "Basic grant: 300.00 euros, once a year.",
        ),
    ],
)
def test_what_is_of_the_kind_asked_for_comes_first(question: str, text: str, first: str, minilm: Embeddings) -> None:
    """The row whose label the question says, the amount of money, the key that has all its words."""
    assert quotes_of(question, text, embeddings=minilm)[0] == first


RECIPE = (
    "Apple cake\n\nServes 12.\n\nIngredients:\n200 g butter, soft\n180 g sugar\n4 eggs\n\nMethod:\n"
    "1. Heat the oven to 175 degrees.\n2. Beat butter and sugar, then add the eggs.\n3. Bake for 50 minutes.\n"
)


@pytest.mark.parametrize(
    ("question", "first"),
    [
        ("What are the ingredients of the apple cake?", "200 g butter, soft\n180 g sugar\n4 eggs"),
        ("Which ingredients are in the cake?", "200 g butter, soft\n180 g sugar\n4 eggs"),
        ("How do I make the apple cake?", "1. Heat the oven to 175 degrees.\n2. Beat butter"),
        ("How many eggs are in it?", "4 eggs"),
    ],
)
def test_a_list_is_quoted_whole_where_its_name_is_asked_for(question: str, first: str, minilm: Embeddings) -> None:
    recipe = Document(RECIPE, metadata={"title": "Apple cake", "start_index": 0})
    assert quotes_of(question, recipe, embeddings=minilm)[0].startswith(first)


PAPERS = Document(
    "# Maria Keller\n\nData Engineer · Hamburg · maria.keller@example.org · +49 170 5550 123\n\nShe likes small teams"
    " and boring technology.\n\n## References\n\nDr. Jonas Brandt, director of Nordwind Logistics.\n",
    metadata={"title": "Maria Keller", "start_index": 0},
)


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("What is Maria's email address?", "maria.keller@"),
        ("What is her phone number?", "5550 123"),
        ("Who can give a reference for Maria?", "Jonas Brandt"),
    ],
)
def test_how_to_reach_somebody_is_found(question: str, said: str, minilm: Embeddings) -> None:
    assert said in "\n".join(quotes_of(question, PAPERS, embeddings=minilm))


def test_code_is_quoted_without_its_fences(minilm: Embeddings) -> None:
    text = "## Installation\n\n```sh\npip install pixgrind\n```\n\nIt needs Python 3.10 or later.\n"
    quotes = quotes_of("How do I install pixgrind?", text, embeddings=minilm)
    assert "pip install pixgrind" in "\n".join(quotes) and "```" not in "".join(quotes)


def test_a_word_below_a_heading_that_asks_for_it_can_be_quoted(minilm: Embeddings) -> None:
    text = "## License\n\nMIT. It was written by Sofie Lund with help from others.\n"
    assert quotes_of("What license does it have?", text, embeddings=minilm)[0].startswith("MIT.")


def test_front_matter_for_the_program_that_makes_pages_is_no_quote() -> None:
    quotes = quotes_of("Which positions has a product manager?", Document(JOB, metadata={"title": "Product Manager"}))
    assert not [quote for quote in quotes if "permalink" in quote or "title: " in quote]


def test_a_list_of_references_is_no_quote_under_its_heading() -> None:
    text = "Smith, A. The plan of the agent and its memory. Journal of Plans 4, 2021."
    assert quotes_of("What is the plan of the agent?", text, section="Guide > References") == []
    assert quotes_of("What is the plan of the agent?", text, section="Guide > Plans") != []


def test_the_best_quote_has_the_sentence_beside_it_which_tells_why(minilm: Embeddings) -> None:
    text = (
        "The clock in the tower has only one hand.\n"
        "The clock in the tower of the guildhall has a single hand. It was built so in 1688, since nobody in the town"
        " needed to know the minutes. " + "The town council has refused a second one twice, in long debates. " * 3
    )
    first = quotes_of("Why does the guildhall clock have a single hand?", text, embeddings=minilm)[0]
    assert first.startswith("The clock in the tower of the guildhall has a single hand. It was built so in 1688, since")
    assert len(first) <= GROWN and "\n" not in first


@pytest.mark.parametrize("end", [":", "—"])
def test_an_item_is_quoted_with_the_sentence_that_announces_it(end: str, minilm: Embeddings) -> None:
    text = (
        f"There is authorized to be spent 760,000 a year to carry out{end}\n"
        "(1) the planting of hedges along the roads; and\n"
        "(2) the removal of dry wood from the forests of the district."
    )
    (quote,) = quotes_of("What money is there for the removal of dry wood from forests?", text, embeddings=minilm)
    assert quote.startswith("There is authorized to be spent 760,000 a year") and quote.endswith("of the district.")


def test_what_a_line_announces_is_quoted_with_it_and_without_it_the_line_is_no_quote(minilm: Embeddings) -> None:
    asked = "How can I install the old version of the package?"
    code = "Install the old version of the package with:\n\n    fetch install package==0.3"
    assert quotes_of(asked, code, embeddings=minilm) == [
        "Install the old version of the package with:\nfetch install package==0.3"
    ]
    assert quotes_of(asked, "How to install the old version of the package:", embeddings=minilm) == []


def test_the_answer_to_the_question_above_it_comes_first_in_other_words(minilm: Embeddings) -> None:
    faq = (
        "## Which devices can I use?\n\nTablets, phones, computers and most e-readers.\n"
        "You can have twelve e-books at a time for 21 days.\n\n"
        "## Why do I have to wait for an e-book?\n\n"
        "The publishers sell us licences, one reader for each licence, and most of them end after two years."
    )
    first = quotes_of("Why is there a waiting time for e-books?", faq, embeddings=minilm)[0]
    assert first.startswith("The publishers sell us licences")


@pytest.mark.parametrize("between", [", and ", " and "])
def test_each_of_two_questions_in_a_sentence_has_its_quote(between: str, minilm: Embeddings) -> None:
    text = (
        "# Boats\n\nThe electric ferry carries ninety-eight passengers.\n\nThe old ferry carried sixty passengers.\n\n"
        "A ferry at night carries thirty passengers.\n\nThe fast ferry carries forty passengers.\n\n"
        "Mirela Danko repairs the engines."
    )
    one, other = "How many passengers does the electric ferry carry", "who repairs the engines"
    quotes = quotes_of(f"{one}{between}{other}?", text, embeddings=minilm)
    assert {"The electric ferry carries ninety-eight passengers.", "Mirela Danko repairs the engines."} < {*quotes}
    assert "Mirela Danko repairs the engines." not in quotes_of(f"{one}?", text, embeddings=minilm)


def test_a_sentence_in_the_questions_language_comes_before_an_english_one_with_the_same_names(
    minilm: Embeddings,
) -> None:
    english = "The Norlund Top 10 of 2017 covers a lot of ground, and there are many other risks in the Norlund Top 10."
    french = "A8, la falsification de requêtes, a été supprimée car elle n'a été retrouvée que dans cinq applications."
    asked = "Pourquoi la falsification n'est plus dans le Norlund Top 10 de 2017 ?"
    assert quotes_of(asked, f"{english}\n\n{french}", embeddings=minilm, languages=("fr",))[0] == french
    assert quotes_of("Was steht im Norlund Top 10 von 2017?", english, embeddings=minilm, languages=("de",)) == [
        english
    ]


MANUAL = (
    "OPTIONS\n\n       MaxFileSec=\n           The longest time for which one file is written to.\n\n"
    "       MaxRetentionSec=\n           The longest time for which entries are kept. This is rarely needed, as size\n"
    "           is limited, too. The default is 0, which switches it off.\n\n       SyncIntervalSec=\n"
    "           The time after which data are written to the disk. The default is 5 minutes."
)


def test_the_sentences_below_an_options_name_are_found_by_it(minilm: Embeddings) -> None:
    names = ["MaxFileSec=", "MaxRetentionSec=", "SyncIntervalSec="]
    manual = Document(MANUAL, metadata={"title": "journald.conf", "start_index": 0, "headings": names})
    found = quotes_of("What is the default of MaxRetentionSec?", manual, embeddings=minilm)
    assert "The default is 0, which switches it off." in found[0]
    found = quotes_of("What does MaxRetentionSec do?", manual, embeddings=minilm)
    assert found[0].startswith("MaxRetentionSec=\nThe longest time for which entries are kept.")


def test_the_later_sentences_of_an_item_are_found_by_its_label(minilm: Embeddings) -> None:
    text = (
        "* `--host <str>` - Bind the socket to this host. Use it to be seen by others. **Default:** *'127.0.0.1'*.\n"
        "* `--port <int>` - Bind to a socket with this port. If it is 0, a free one is picked. **Default:** *8000*.\n\n"
        "**Default:** values are those of the file."
    )
    assert [each.name for each in quotable([Document(text)])] == [
        "",
        *["--host <str>"] * 2,
        "",
        *["--port <int>"] * 2,
        "",
    ]
    quotes = quotes_of("What is the default port?", text, embeddings=minilm)
    assert quotes[0].startswith("`--port <int>` - Bind to a socket") and "*8000*" in quotes[0]


def test_a_setting_is_quoted_with_the_comment_above_it(minilm: Embeddings) -> None:
    text = (
        "[server]\nport = 8443\n# seconds until an idle connection is closed\nkeepalive = 75\n\n"
        "; how often a failed capture is sent again before it goes to somebody who looks at it\nmax_attempts = 5\n"
        'name = "lisbon"'
    )
    quotes = quotes_of("When are idle connections closed?", text, embeddings=minilm)
    assert quotes[0] == "# seconds until an idle connection is closed\nkeepalive = 75"
    told = "# Threads that read pages. More than cores bring nothing.\n# Needs a restart.\nworkers = 4"
    quotes = quotes_of("How many threads read pages?", f"[pool]\n{told}\nkind = 2", embeddings=minilm)
    assert quotes[0] == told.replace("# ", ""), "comments of several lines are sentences"
    quotes = quotes_of("How many times is a failed capture sent again?", text, embeddings=minilm)
    assert quotes[0].endswith("who looks at it\nmax_attempts = 5")
    assert 'name = "lisbon"' in [each.embedded for each in quotable([Document(text)])]
    recipe = Document("# Pancakes\nServes: 4 people", metadata={"section": "Pancakes"})
    assert [each.heading for each in quotable([recipe])] == ["Pancakes"]
    tariffs = (
        "### Which tariffs are there?\nOccasional: no monthly fee, 3.90 an hour. Regular: 9 a month, 2.60 an hour."
    )
    assert not any("###" in quote for quote in quotes_of("Which tariffs are there?", tariffs, embeddings=minilm))


@pytest.mark.parametrize(
    ("question", "begins"),
    [
        ("What does clause 8.2 say?", "8.2 The supplier"),
        ("By how much can they put up their prices?", "8.1 Prices may rise"),
        ("Who is paid for the journey?", "8.4 Consultants get"),
        ("How much is the fee for late payment?", "8.3 A late payment"),
    ],
)
def test_clauses_shares_and_who_is_paid(question: str, begins: str, minilm: Embeddings) -> None:
    text = (
        "8.1 Prices may rise once a year by no more than 4 per cent.\n\n8.2 The supplier keeps spare parts for ten"
        " years.\n\n8.3 A late payment costs a fee of £40.\n\n8.4 Consultants get the train tickets for their journey"
        " paid. Others pay £120 for it."
    )
    assert quotes_of(question, text, embeddings=minilm)[0].startswith(begins)


def test_the_line_of_a_numbered_part() -> None:
    part = numbered_part("What does clause 8.2 say?")
    assert part is not None and part.search("8.1 Prices may rise.\n8.2 The supplier keeps parts.")
    assert not part.search("8.20 Others. 18.2 Others.")
    assert numbered_part("What do the clauses say?") is None


def test_a_sentence_that_begins_with_a_number_is_no_rule_of_it(minilm: Embeddings) -> None:
    text = "4 dogs live here, and each has a name.\n\nRule 4: no pets in the kitchen.\n\nRule 5: doors stay shut."
    assert quotes_of("What does rule 4 say?", text, embeddings=minilm)[0].startswith("Rule 4")


def test_what_something_is_stands_first_below_its_name(minilm: Embeddings) -> None:
    text = (
        "## Terrarium glass\n\nPanes of it are cut by the supplier to any size. No terrarium glass is taken back.\n\n"
        "## What is not taken back?\n\nGlass that was cut."
    )
    assert quotes_of("What is terrarium glass?", text, embeddings=minilm)[0].startswith("Panes of it are cut")


def test_rows_and_short_lines_are_quoted_each_on_its_line() -> None:
    rows = "Agent: Anna | Task: river\nAgent: Bert | Task: moon\nAgent: Carl | Task: cheese"
    quotes = quotes_of("Which agent has the moon task?", rows)
    assert quotes[0] == "Agent: Bert | Task: moon"
    assert set(quotes) <= set(rows.splitlines())


def test_a_sentence_that_announces_a_list_is_quoted_with_it(minilm: Embeddings) -> None:
    states = "At any given time each server is in one of these states:\n\n- leader\n- follower\n- candidate"
    text = f"{states}\n\nElections are held when a follower hears nothing."
    first, *_ = quotes_of("Which states can a server be in?", text, embeddings=minilm)
    assert first == states.replace("\n\n", "\n")
    for one, two in (("a. ", "b. "), ("(i) ", "(ii) "), ("1) ", "2) "), ("4.2.1. ", "4.2.2. ")):
        rule = f"If the president resigns:\n{one}The vice-president takes over. At once.\n{two}An election is held."
        text = f"3. The fee is 40 a year.\n4. {rule}\n5. The year ends in May."
        first, *_ = quotes_of("What happens if the president resigns?", text, embeddings=minilm)
        assert first == f"{rule}"
    long = "The boxes that are kept:\n" + "\n".join(f"- box {n} with pots, pans and other things" for n in range(40))
    assert all(len(quote) <= LONGEST_QUOTE for quote in quotes_of("Which boxes are kept?", long, embeddings=minilm))


@pytest.mark.parametrize("ending", ["as a whole.", "Is it sealed?", "It is sealed!", "密封。"])
def test_a_row_that_ends_as_a_sentence_does_is_quoted(ending: str, minilm: Embeddings) -> None:
    short = f"Pump: Kestrel | Warranty: 36 months | Note: {ending}"
    assert quotes_of("How long is the warranty of the Kestrel?", short, embeddings=minilm) == [short]
    columns = [f"Column {number}: a value of the pump, of about {number} words" for number in range(40)]
    columns[25] = "Warranty: 36 months"
    row = " | ".join(["Pump: Osprey", *columns, f"Note: {ending}"])
    quotes = quotes_of("How long is the warranty of the Osprey pump?", row, embeddings=minilm)
    assert "Warranty: 36 months" in quotes[0] and all(len(quote) <= LONGEST_QUOTE for quote in quotes)


def test_the_label_of_a_row_is_not_parted_into_sentences(minilm: Embeddings) -> None:
    """Else the question in it would be no quote, and what stands in brackets would be told for it."""
    question = "What do you worry about each day? (Select all that apply.)"
    rows = [f"{question} | Your weight | Men: 41%", f"{question} | Your mental health | Men: 32%"]
    assert rows[1] in quotes_of("Do men worry about their mental health?", "\n".join(rows), embeddings=minilm)


def test_a_sentence_in_a_cell_is_found_by_how_its_row_begins(minilm: Embeddings) -> None:
    rows = [
        f"Pump: {name} | Note: Runs dry. Hums at night. Ask for the {kind} kit."
        for name, kind in (("Kestrel", "A"), ("Osprey", "B"))
    ]
    quotes = quotes_of("Which kit does the Osprey need?", "\n".join(rows), embeddings=minilm)
    assert quotes[0].endswith("Ask for the B kit.")


def test_a_passage_that_begins_amid_a_row_is_found_by_how_the_row_begins(minilm: Embeddings) -> None:
    passages = [
        Document("warranty: 36 months | weight: 4 kg", metadata={"row": f"Pump: {name}", "start_index": 900})
        for name in ("Kestrel", "Osprey")
    ]
    passages[0].page_content = "warranty: 24 months | weight: 3 kg"
    for name, found in (("Kestrel", "24 months"), ("Osprey", "36 months")):
        quotes = quotes_of(f"How long is the warranty of the {name} pump?", *passages, embeddings=minilm)
        assert quotes[0].startswith(f"Pump: {name} | … | warranty: {found}")


CHEESE = "1. Warm the milk to 30 degrees.\n2. Stir in the cream. Wait an hour.\n3. Hang it in a cloth overnight."


@pytest.mark.parametrize("question", ["How do I make cream cheese from milk?", "Wie mache ich Cream cheese?"])
def test_who_asks_how_is_told_all_steps_in_order(question: str, minilm: Embeddings) -> None:
    text = f"# Cream cheese\n\nIt keeps for a week.\n\n{CHEESE}\n\nServe with herbs."
    assert quotes_of(question, text, embeddings=minilm)[0] == CHEESE
    assert CHEESE not in quotes_of("How long is it hung in a cloth?", text, embeddings=minilm)
    long = "\n".join(f"{number}. Stir the milk for {number} minutes, then look at it again." for number in range(1, 30))
    assert quotes_of(question, f"# Cream cheese\n\n{long}", embeddings=minilm)[0].startswith("Stir the milk for")


@pytest.mark.parametrize("between", ["; ", " | ", ", ", "；"])
def test_the_part_of_a_long_row_that_answers_is_quoted(between: str, minilm: Embeddings) -> None:
    """A row of many columns is longer than a quote may be; each part is found with what the row is about."""
    columns = [f"column {number}: a value of the pump, of about {number} words" for number in range(40)]
    columns[25] = "warranty: 36 months"
    rows = [f"Pump {name}{between}" + between.join(columns) for name in ("Kestrel", "Osprey")]
    text = "\n".join(rows).replace("36 months", "24 months", 1)
    quotes = quotes_of("How long is the warranty of the Osprey pump?", text, embeddings=minilm)
    assert "36 months" in quotes[0]
    assert quotes[0].startswith("Pump Osprey | column 0: ") is (between == " | ")
    for quote in quotes:
        assert len(quote) <= LONGEST_QUOTE and quote.rpartition(" | … | ")[2] in text


@pytest.mark.parametrize(
    ("text", "start", "row"),
    [
        ("Pump: Kestrel | Weight: 3 kg | Warranty: 24 months | ", "Weight", "Pump: Kestrel | "),
        ("Pump: Kestrel | Note: Runs dry. Hums at night.", "Hums", "Pump: Kestrel | Note: Runs dry. "),
        (f"Pump: Kestrel | Note: {'Runs dry. ' * 20}Hums at night.", "Hums", "Pump: Kestrel | … "),
        (f"Pump: Kestrel | Note: {'Runs dry. ' * 20} | Hum: 3 dB", "Hum", "Pump: Kestrel | … | "),
        ("It runs dry.\nPump: Kestrel | Weight: 3 kg", "Pump", ""),
        ("It runs dry. It hums at night.", "It hums", ""),
    ],
)
def test_a_part_of_a_row_is_told_with_what_the_row_begins_with(text: str, start: str, row: str) -> None:
    place = text.index(start)
    quote = Quote(1, place, len(text))
    assert quote.row([Document(text)]) == row
    assert quote.text([Document(text)]) == row + text[place:].strip(" |")
    update = Update(passages=(Document(text),), quotes=(quote,))
    (told,) = answer_fields(update)["quotes"]
    assert (told["row"], told["text"]) == (row, text[place:])


def test_a_part_of_a_row_is_quoted_though_the_row_begins_with_much(minilm: Embeddings) -> None:
    text = f"warranty: 36 months{' and more' * 60} | weight: 4 kg"
    passage = Document(text, metadata={"row": f"Pump: Kestrel | Maker: {'Brevik works ' * 5}", "start_index": 900})
    (first, *_) = quotes_of("How long is the warranty of the Kestrel?", passage, embeddings=minilm)
    assert "36 months" in first


def test_a_cell_without_a_value_at_the_end_of_a_row_announces_nothing(minilm: Embeddings) -> None:
    rows = "Pump: Kestrel | Note: It is sold by post, with a hose. Hose: | Phone:\nThe harbour has two piers of stone."
    for text, row in ((rows, ""), (rows.partition(" | ")[2], "Pump: Kestrel")):
        passage = Document(text, metadata={"row": row, "start_index": 900} if row else {})
        first = quotes_of("How is the Kestrel pump sold, and with which hose?", passage, embeddings=minilm)[0]
        assert first.startswith("Pump: Kestrel") and "harbour" not in first


def test_the_same_sentence_of_two_passages_is_quoted_once() -> None:
    text = "The agent keeps its plan in memory."
    assert quotes_of("Where is the plan kept?", text, f"{text} The moon is far from any river.").count(text) == 1


def test_a_quote_is_never_longer_than_its_bound() -> None:
    long = "The agent " + "plans and " * (LONGEST_QUOTE // 9) + "rests."
    assert quotes_of("What does the agent plan?", f"{long} It plans this again.") == ["It plans this again."]
    pair = ["The agent " + "plans and " * 40 + "rests.", "It " + "plans and " * 40 + "rests."]
    assert all(len(quote) <= LONGEST_QUOTE for quote in quotes_of("What does the agent plan?", " ".join(pair)))


def test_quotes_as_an_answer_have_the_passage_that_each_is_from() -> None:
    sources = [GUIDE, Document("The river carries the tool to the agent.")]
    found = asyncio.run(find_quotes("Which tool does the agent have at the river?", sources, PaperEmbeddings()))
    text, grounding = quotes_as_answer(found, sources)
    assert text.split("\n\n") == [quote.text(sources) for quote in found]
    for sentence, quote in zip(grounding, found, strict=True):
        assert text[sentence.start : sentence.end] == quote.text(sources)
        assert (sentence.passage, sentence.quote) == (quote.passage, (quote.start, quote.end))


@pytest.mark.parametrize(
    ("text", "supported", "doubtful"),
    [
        ("Agents plan. Cheese sings.", (True, True), False),
        ("Agents plan. Cheese sings.", (True, False), False),
        ("Agents plan. Cheese sings.", (False, False), True),
        ("I do not know.", (None,), True),
        ("Hello there.", (None,), False),
    ],
)
def test_an_answer_without_support_is_doubtful(text: str, supported: tuple[bool | None, ...], doubtful: bool) -> None:
    sources, quotes = [GUIDE], asyncio.run(find_quotes("Which plan?", [GUIDE], PaperEmbeddings()))
    sentences, start = [], 0
    for one, has in zip(text.split(". "), supported, strict=True):
        end = start + len(one.rstrip(".")) + 1
        sentences.append(Sentence(start, end, 1 if has else None, (0, 5) if has else None, claims=has is not None))
        start = end + 1
    update = Update("done", text, passages=tuple(sources), quotes=quotes, grounding=tuple(sentences))
    assert update.doubtful is doubtful
    messages = show_answer(update, "Which plan?")
    titles = [str(message.metadata.get("title", "")).partition(" · ")[0] for message in messages]
    first = READ_FIRST if doubtful else "From your sources"
    quoted = messages[0 if doubtful else 1]
    assert quoted.content.startswith(f"<small>{first}</small>")
    assert titles == (["", "What the model made of it", "Sources"] if doubtful else ["", "", "Sources"])
    history = [{"role": "assistant", "content": each.content, "metadata": each.metadata} for each in messages]
    kept = [str(message.content) for message in as_messages(history)]
    assert kept == [f"“{quotes[0].text(sources)}” [1]"] if doubtful else [text]
    assert quoted.metadata["id"] == (INSTEAD if doubtful else BESIDE)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = serve(tmp_path_factory.mktemp("quotes"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def without_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = serve(tmp_path_factory.mktemp("none"), model="none")
    yield made
    made.close()


QUESTION = "What is a plan?"
BEST = "A plan is a list of tasks."


def test_quotes_come_before_the_model_has_written_anything(served: Served) -> None:
    with served.server.hold(after=0) as held, connect(served.socket_url) as socket:
        socket.send(QUESTION)
        first = json.loads(socket.recv(timeout=60))
        held.release()
        rest = frames(socket)
    assert first["message"] == "" and first["quoted"] is False
    assert first["quotes"][0]["text"] == BEST
    assert (first["quotes"][0]["passage"], first["quotes"][0]["title"]) == (1, "Notes")
    assert "".join(frame["message"] for frame in rest) == "".join(ANSWER)
    assert rest[-1]["quotes"] == first["quotes"]


def test_the_stream_has_them_as_an_event_that_readers_of_messages_pass_over(served: Served) -> None:
    with httpx.stream("POST", f"{served.url}stream", json={"question": QUESTION}, timeout=60) as reply:
        lines = [line for line in reply.iter_lines() if line]
    place = lines.index("event: quotes")
    frame = json.loads(lines[place + 1].removeprefix("data: "))
    assert frame["quotes"][0]["text"] == BEST
    assert not [line for line in lines[:place] if line.startswith("data: ")]


@pytest.mark.parametrize("name", ["served", "without_model"])
def test_every_door_gives_the_same_quotes(name: str, request: pytest.FixtureRequest) -> None:
    app: Served = request.getfixturevalue(name)
    plain = httpx.get(f"{app.url}predict", params={"query": QUESTION, "sources": True}, timeout=60).json()
    assert plain["quotes"][0]["text"] == BEST
    source = plain["sources"][plain["quotes"][0]["passage"] - 1]
    start = plain["quotes"][0]["start"] - source["start"]
    assert source["text"][start : start + len(BEST)] == BEST
    body = {"messages": [{"role": "user", "content": QUESTION}]}
    completion = httpx.post(f"{app.url}v1/chat/completions", json=body, timeout=60).json()
    client = gradio_client.Client(app.url, verbose=False)
    by_gradio = client.predict(QUESTION, api_name="/answer")
    client.close()
    found = [ask_socket(app, QUESTION)[-1], completion["local_rag"], by_gradio]
    assert [each["quotes"] for each in found] == [plain["quotes"]] * 3
    assert {each["quoted"] for each in found} == {name == "without_model"}


def test_without_a_model_quotes_are_the_answer(without_model: Served) -> None:
    assert without_model.assistant.ready
    answer = httpx.get(f"{without_model.url}predict", params={"query": QUESTION}, timeout=60).json()
    whole = ask_socket(without_model, QUESTION)
    assert "".join(frame["message"] for frame in whole) == answer
    assert answer.split("\n\n")[0] == BEST
    assert [each["supported"] for each in whole[-1]["grounding"]] == [True] * len(whole[-1]["quotes"])
    assert not [item for item in without_model.server.requests if item.path == "/api/chat"]
    health = httpx.get(f"{without_model.url}health", timeout=30).json()
    assert (health["models"]["chat"], health["ready"]) == ("none", True)


def test_a_question_can_be_asked_without_the_model_of_the_app(served: Served) -> None:
    async def ask() -> Update:
        return await served.assistant.chain.ainvoke({"question": QUESTION, "model": "none"})

    before = len(served.server.requests)
    update = asyncio.run(ask())
    assert update.quoted and update.text.split("\n\n")[0] == BEST
    assert not [item for item in served.server.requests[before:] if item.path == "/api/chat"]


def test_the_command_line_prints_quotes_before_the_answer_and_as_it(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text(f"# Notes\n\n{TEXT}", encoding="utf-8")
    answer = run(tmp_path, "ask", QUESTION, "--source", "notes.md", "--model", "none").stdout
    assert answer.startswith(BEST + "\n")
    assert f"[1] {BEST}\n" in answer
    asked = run(tmp_path, "ask", QUESTION, "--source", "notes.md", "--model", "embedded:smollm2-135m-instruct").stdout
    assert asked.startswith(f"{BEST}\n\n")


def test_only_the_chat_model_can_be_none() -> None:
    assert load_settings(model="none").model == "none"
    with pytest.raises(SettingsError, match="RAG_EMBEDDINGS"):
        load_settings(embeddings="none")


def test_each_of_two_questions_has_the_sentence_beside_its_best_one(minilm: Embeddings) -> None:
    """The name of the boat stands in the sentence after the one that speaks of it, and a third quote has to wait."""
    history = (
        "The oared boats, which had crossed the water in the town's name for more than two hundred years, gave way in"
        " the year 1911 to a small steamer, which was fired with peat from the moor and made more noise than it moved."
    )
    plans = (
        "The harbour office has said that a third electric boat will be ordered when the yearly number of passengers"
        " stays above a million for two years running. It is to be called Kittiwake."
    )
    repairs = (
        "The two electric boats will be taken out of the water in the third week of March, when the boats are painted"
        " and the contacts of the charger are cleaned with a wire brush, which takes some two days for each boat."
    )
    sources = [Document(text, metadata={"title": "The ferry", "source": "ferry"}) for text in (plans, history, repairs)]
    asked = "Which boats gave way to the steamer, and what will the third electric boat be called?"
    quotes = asyncio.run(find_quotes(asked, sources, minilm))
    said = [quote.text(sources) for quote in quotes]
    assert any("oared boats" in text for text in said) and any("Kittiwake" in text for text in said)


@pytest.mark.parametrize("before", ["", "EXIT STATUS\n       "])
def test_a_number_is_quoted_with_what_it_means(minilm: Embeddings, before: str) -> None:
    meanings = {0: "success", 1: "permission denied", 15: "no such file"}
    told = "".join(f"\n\n       {number}\n           {meaning}" for number, meaning in meanings.items())
    source = Document(f"{before}The command exits with one of these:{told}", metadata={"start_index": 0})
    quotes = quotes_of("What is exit status 15?", source, embeddings=minilm)
    assert any(quote.endswith("15\nno such file") for quote in quotes)
    assert not {"0", "1", "15", "success", "no such file"} & set(quotes)
    found = {
        each.embedded for each in quotable([Document(told, metadata={"start_index": 0, "section": "EXIT STATUS"})])
    }
    assert found == {"EXIT STATUS 0: success", "EXIT STATUS 1: permission denied", "EXIT STATUS 15: no such file"}


def test_the_addresses_of_links_are_left_out(minilm: Embeddings) -> None:
    address = "https://web.example.org/web/2018/https://x.example/search?strip=1&q=cache:%3A%2F%2F"
    text = f'- Ann paid for [Redux]({address}) by a [campaign](#gifts) (see ![the chart](img/a_(b).png "Gifts"))\n'
    assert quotes_of("Who paid for Redux?", text, embeddings=minilm) == [
        "Ann paid for Redux by a campaign (see the chart)"
    ]
    (each,) = quotable([Document(text)])
    assert "example.org" not in each.embedded and "Redux" in each.embedded
    for code in (
        "The program calls handlers[name](event.body), then layers[0](x/255).",
        "Write a link as `[text](https://e.example)` in Markdown.",
    ):
        assert quotes_of("What does the program call? How is a link written?", code, embeddings=minilm) == [code]


def test_addresses_that_are_the_answer_stay(minilm: Embeddings) -> None:
    text = (
        "The office is open.\n\nWrite to [the office](mailto:info@club.example?subject=x) for a card.\n\n"
        "Our web site is [here](https://club.example/), and [Ida](https://ida.example/) keeps it.\n\n![](img/a/b.png)"
    )
    for question, best in (
        ("What is the email address of the office?", "Write to the office (info@club.example) for a card."),
        ("What is the web site of the club?", "Our web site is here (https://club.example/), and Ida keeps it."),
    ):
        quotes = quotes_of(question, text, embeddings=minilm)
        assert quotes[0] == best and "" not in quotes


def test_an_answer_grows_by_the_better_of_two_neighbours() -> None:
    before = "Somebody who has a plan goes on with it for as long as nothing else is said by whoever has to say it."
    best = "The agent keeps in its memory, for each task at the river or on the moon, the plan and the tool it needs."
    after = "Nobody has heard of those who came later than that, and what they did say is written in no book there is."
    question = "What plan and tool does the agent keep in memory for a task at the river or on the moon?"
    assert quotes_of(question, f"{before} {best} {after}") == [f"{before} {best}"]


def test_what_repeats_the_title_tells_no_more_than_other_sentences() -> None:
    text = "The moon river agent is called the moon river agent.\n\nA plan is kept in a drawer."
    about = {"title": "The moon river agent", "source": "agent.md", "start_index": 0}
    quotes = quotes_of("What is the plan of the moon river agent?", Document(text, metadata=about))
    assert quotes[0] == "A plan is kept in a drawer."


@pytest.mark.parametrize(("question", "first"), [("Who made the tool?", 0), ("Where was the tool made?", 1)])
def test_who_asks_for_a_person_is_given_one(question: str, first: int) -> None:
    sentences = ["The tool was made by Jost Pellinger then.", "The tool was made in a winter of snow."]
    assert quotes_of(question, "\n\n".join(sentences))[0] == sentences[first]


def test_a_line_of_links_is_no_quote() -> None:
    text = "- It is faster now. [#1](https://e.example/1)\n\n[#2](https://e.example/2), [#3](https://e.example/3)"
    assert [each.words for each in quotable([Document(text)])] == ["- It is faster now. [#1](https://e.example/1)"]
