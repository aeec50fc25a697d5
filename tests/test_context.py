"""What the chat model gets to read: whole sentences that carry the answer, and never more than its window holds."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from rag.answers.context import BEGINNING, pack, trim_history, whole_passages
from rag.answers.quotes.quotable import quotable
from rag.answers.quotes.quote import Quote
from rag.settings import Settings
from rag.sources.loader import load_source
from rag.text.sentences import count_tokens, split_sentences
from tests.conftest import ROOT

WORDS = ["memory", "plan", "tool", "task", "agent", "cheese", "the", "of", "3.14", "e.g.", "Dr.", "naïve"]
WORDS += ["記憶", "は。", "计划", "工具", "🧀", "Привет", "“so”", "(see)", "[1]", "\n"]


def documents(*texts: str) -> list[Document]:
    return [Document(text, metadata={"title": f"Page {number}"}) for number, text in enumerate(texts)]


def random_text(draw: random.Random, words: int) -> str:
    """Words, many without blanks between them, so that there are sentences and tokens of every length."""
    return "".join(draw.choice(WORDS) + draw.choice(["", " ", " ", ". ", ".", "! ", "\n"]) for _ in range(words))


# Sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("  One  two.\tThree. ", ["One two.", "Three."]),
        ("", []),
        (" \n\t\n ", []),
        ("Pi is 3.14. Version 2.0.1 came. It costs $1.50.", ["Pi is 3.14.", "Version 2.0.1 came.", "It costs $1.50."]),
        ("See Fig. 3 and Eq. 5, e.g. Smith et al. 2023, cf. Dr. Who.", None),
        ("He lives in St. Ives and pays under Art. 5 and Abs. 3 of Vol. 2, see p. 7.", None),
        ("(a) One. Two.\niv. Three.\n4.2.4. Four", ["(a) One.", "Two.", "iv. Three.", "4.2.4. Four"]),
        ("## 4. Beef in beer\n**5. Plums**\n# 6.1. Rent", ["## 4. Beef in beer", "**5. Plums**", "# 6.1. Rent"]),
        ("Customer agreement no. HL-20418 of Tel. 0800.", None),
        ("I am 12. He left at 30 max. 4 seats.", ["I am 12.", "He left at 30 max.", "4 seats."]),
        ("Es ist im 2. Stock. Es sind 2. Mehr nicht.", ["Es ist im 2. Stock.", "Es sind 2.", "Mehr nicht."]),
        ("J. R. Smith wrote it with I. Newton.", None),
        ("The red cabin no. 6 is Capt. Brask's, incl. VAT, since Sept. 2019.", None),
        ("We said no. Then we left. In May. 3 came.", ["We said no.", "Then we left.", "In May.", "3 came."]),
        ("It ran vs. No. 5 on pp. 3, i.e. Twice.", None),
        ("e.g. this.g. that. Then more.", ["e.g. this.g. that.", "Then more."]),
        ("He waits... then goes. Really?! Yes.", ["He waits... then goes.", "Really?!", "Yes."]),
        ("Heading\nOne. Two\n\n\nThree", ["Heading", "One.", "Two", "Three"]),
        ('He said "Go." Then he left.', ['He said "Go."', "Then he left."]),
        ("He said 'Go!' \"Why?\" she asked.", ["He said 'Go!'", '"Why?" she asked.']),
        ("“Go.” He left. «Oui.» Elle part.", ["“Go.”", "He left.", "«Oui.»", "Elle part."]),
        ("It rained. (In June.) We left [in haste.] All.", ["It rained.", "(In June.)", "We left [in haste.]", "All."]),
        ("Élan. Été. Österreich.", ["Élan.", "Été.", "Österreich."]),
        ("It has 5 steps. 3 are done.", ["It has 5 steps.", "3 are done."]),
        ("no.capital here. still the same.", None),
        ("A\u00a0b. C\u2003d.", ["A b.", "C d."]),
    ],
)  # fmt: skip
def test_split_sentences(text: str, sentences: list[str] | None) -> None:
    assert split_sentences(text) == ([text] if sentences is None else sentences)


def test_no_character_is_lost_in_splitting() -> None:
    draw = random.Random(1)
    marks = [*"ab AB 1.!?\n\"')(]“”«» ", "e.g. ", "Fig. ", "et al. ", "J. ", ". ", ".” ", '." ']
    for _ in range(500):
        text = "".join(draw.choices(marks, k=draw.randrange(60)))
        split = split_sentences(text)
        assert "".join("".join(split).split()) == "".join(text.split()), repr(text)
        assert all(sentence == " ".join(sentence.split()) for sentence in split)


ANSWER = "An agent keeps what it learns in its memory so that a later plan can use it."


def test_a_small_model_reads_the_quotes_and_the_best_one_last() -> None:
    text = f"The lamp is red. The lamp costs nine euros.\n\n{ANSWER}\n\nThe lamp hangs in the hall."
    (source,) = documents(text)
    places = [(text.index(words), text.index(words) + len(words)) for words in ("The lamp hangs in the hall.", ANSWER)]
    given = {"question": "lamp?", "passages": [source], "quotes": [Quote(1, *place) for place in places]}
    packed = pack(given, reads_quotes=True, window=4096, reserved=100)
    assert packed["context"] == f"{ANSWER}\nThe lamp hangs in the hall."
    tight = count_tokens("The lamp hangs in the hall.") + 5
    packed = pack(given, reads_quotes=True, window=tight + count_tokens("lamp?"), reserved=0)
    assert packed["context"] == "The lamp hangs in the hall.", "the best one is the last to go"


def test_without_a_quote_it_reads_the_beginning_of_the_passages() -> None:
    given = {"question": "Why?", "passages": documents("agent memory " * 500), "quotes": ()}
    packed = pack(given, reads_quotes=True, window=4096, reserved=100)
    assert packed["context"] == ("agent memory " * 500)[:BEGINNING]


def test_every_short_line_of_a_file_can_be_quoted(settings: Settings) -> None:
    loaded = load_source(str(ROOT / "tests/data/cases/shortlines/campsite.md"), settings, private=True)
    assert loaded is not None
    told = {each.embedded.rpartition(": Pitch: ")[2].strip() for each in quotable(loaded.documents)}
    for line in ("Cabin | Price per night: 72 euros", "Pool: 10 to 19", "warden: Greta Moll", "No open fires."):
        assert any(line in each for each in told), line


# Passages and history


def test_passages_are_numbered_and_the_best_come_first() -> None:
    sources = documents("alpha", "beta", "gamma")
    assert whole_passages(sources, 1000) == ("[1] Page 0\nalpha\n\n[2] Page 1\nbeta\n\n[3] Page 2\ngamma", 3)
    one = count_tokens("[1] Page 0\nalpha") + 1
    assert whole_passages(sources, one) == ("[1] Page 0\nalpha", 1)
    assert whole_passages(sources, one - 1) == whole_passages([], 50) == ("", 0)
    assert whole_passages([Document("no title")], 50) == ("[1] \nno title", 1)


def talk(draw: random.Random, turns: int, begins: str = "human") -> list[BaseMessage]:
    kinds: list[Any] = [HumanMessage, AIMessage] if begins == "human" else [AIMessage, HumanMessage]
    return [kinds[turn % 2](f"{turn}: {random_text(draw, draw.randrange(30))}") for turn in range(turns)]


def test_history_is_the_latest_and_begins_with_the_person() -> None:
    history = [HumanMessage("a" * 30), AIMessage("b" * 30), HumanMessage("c" * 30), AIMessage("d" * 30)]
    each = count_tokens("a" * 30) + 8
    assert trim_history(history, 4 * each) == history
    assert trim_history(history, 4 * each - 1) == history[2:]
    assert trim_history(history, 2 * each) == history[2:]
    assert trim_history(history, 2 * each - 1) == trim_history(history, 0) == trim_history([], 99) == []
    assert trim_history([AIMessage("only")], 999) == []
    long = history * 5
    kept = [len(trim_history(long[:turns], 12 * each)) for turns in range(12, 21, 2)]
    assert kept == [12, 10, 12, 10, 12]  # what it begins with changes at every second turn only
    assert trim_history([HumanMessage([{"type": "text", "text": "a" * 3000}])], 500) == []  # parts count too


def test_history_fits_whatever_it_is() -> None:
    draw = random.Random(3)
    for _ in range(300):
        history = talk(draw, draw.randrange(9), draw.choice(["human", "ai"]))
        tokens = draw.randrange(-5, 400)
        kept = trim_history(history, tokens)
        assert sum(count_tokens(message.text) for message in kept) <= max(0, tokens)
        assert not kept or kept[0].type == "human"
        assert kept == history[len(history) - len(kept) :]


def test_passages_fit_whatever_they_are() -> None:
    draw = random.Random(4)
    for _ in range(300):
        sources = documents(*(random_text(draw, draw.randrange(120)) for _ in range(draw.randrange(8))))
        tokens = draw.randrange(-5, 1500)
        text, number = whole_passages(sources, tokens)
        assert count_tokens(text) <= max(0, tokens)
        assert number <= len(sources) and bool(text) == bool(number)
        assert all(source.page_content in text for source in sources[:number])


def test_tokens_are_counted_at_their_most() -> None:
    assert count_tokens("") == 0
    assert count_tokens("記憶") == 4 and count_tokens("🧀") == 3 and count_tokens("abcd") == 2
    assert count_tokens("8f3a") == 4
    assert count_tokens("\ud800") >= 1  # a lone surrogate is no reason to fail


# All of it


def cases(number: int, seed: int) -> Iterator[tuple[dict[str, Any], int, int]]:
    """(what is given to `pack`, window, reserved)."""
    draw = random.Random(seed)
    for _ in range(number):
        window = draw.choice([200, 512, 1024, 4096])
        given = {
            "question": random_text(draw, draw.choice([1, 10, 40, 300])),
            "history": talk(draw, draw.randrange(8)),
            "passages": documents(*(random_text(draw, draw.randrange(150)) for _ in range(draw.randrange(6)))),
        }
        given["quotes"] = [
            Quote(number, 0, draw.randrange(1 + len(source.page_content)))
            for number, source in enumerate(given["passages"], start=1)
        ]
        yield given, window, draw.randrange(window + 50)


@pytest.mark.parametrize("sentences", [False, True])
def test_all_of_it_fits_the_window(sentences: bool) -> None:
    for given, window, reserved in cases(250, 5):
        packed = pack(given, reads_quotes=sentences, window=window, reserved=reserved)
        assert set(packed) == {"question", "history", "context", "unread"}
        assert packed["question"] == given["question"]  # never cut
        room = max(0, window - reserved - count_tokens(given["question"]))
        history = sum(count_tokens(message.text) for message in packed["history"])
        assert count_tokens(packed["context"]) + history <= room
        assert not packed["history"] or packed["history"][0].type == "human"


@pytest.mark.parametrize("sentences", [False, True])
def test_question_that_leaves_no_room(sentences: bool) -> None:
    given = {
        "question": "記憶" * 4000,
        "history": [HumanMessage("Hello."), AIMessage("Hi.")],
        "passages": documents(ANSWER),
    }
    packed = pack(given, reads_quotes=sentences, window=4096, reserved=600)
    assert packed == {"question": given["question"], "history": [], "context": "", "unread": 0 if sentences else 1}


def test_passages_that_do_not_fit_are_counted() -> None:
    given = {"question": "Why?", "passages": documents(*(f"Passage {number}. " * 100 for number in range(4)))}
    packed = pack(given, reads_quotes=False, window=1900, reserved=400)
    assert packed["unread"] == 4 - len(re.findall(r"^\[\d\] Page", packed["context"], re.M)) == 1


def test_history_never_takes_the_room_of_the_passages() -> None:
    passage = "The agent has a plan. " * 40
    given = {
        "question": "Why?",
        "history": [HumanMessage("a" * 400), AIMessage("b" * 400)] * 50,
        "passages": documents(passage),
    }
    packed = pack(given, reads_quotes=False, window=2048, reserved=600)
    assert passage in packed["context"] and packed["history"]
    del given["history"]
    assert pack(given, reads_quotes=False, window=2048, reserved=600)["history"] == []
