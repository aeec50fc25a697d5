"""What the chat model gets to read: whole sentences that carry the answer, and never more than its window holds."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_text_splitters import RecursiveCharacterTextSplitter

from rag.answers.context import (
    SENTENCE_CHARACTERS,
    SENTENCES,
    best_sentences,
    pack,
    telling_sentences,
    trim_history,
    whole_passages,
)
from rag.settings import Settings
from rag.sources.loader import load_source
from rag.text.sentences import count_tokens, split_sentences
from tests.conftest import ROOT, PaperEmbeddings

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
        ("J. R. Smith wrote it with I. Newton.", None),
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


FILLER = "The river was wide and the boats went by all day long without any sound. "
ANSWER = "An agent keeps what it learns in its memory so that a later plan can use it."


def test_the_sentences_that_carry_the_answer() -> None:
    sources = documents(
        FILLER * 3, f"{FILLER}{ANSWER} {FILLER}", "Cheese is not on the moon, whatever people may say about it."
    )
    chosen = best_sentences("What does the agent keep in memory?", sources, PaperEmbeddings()).splitlines()
    assert ANSWER in chosen
    only = best_sentences("Is there cheese on the moon?", sources, PaperEmbeddings()).splitlines()
    assert any("Cheese" in sentence for sentence in only)


def test_the_quotes_come_first_and_are_not_said_again() -> None:
    sources = documents("The lamp is red.\nThe lamp costs nine euros.\nThe lamp hangs in the hall of the house.")
    told = best_sentences(
        "Where does the lamp hang?", sources, PaperEmbeddings(), quotes=["The lamp costs nine euros."]
    )
    assert told.splitlines()[0] == "The lamp costs nine euros."
    assert told.count("nine euros") == 1
    assert "The lamp hangs in the hall of the house." in told
    long = ["word " * 140 + "end."]
    assert len(best_sentences("lamp", sources, PaperEmbeddings(), quotes=long * 2)) <= 750


def test_of_many_the_nearest_are_chosen_in_reading_order() -> None:
    near = [f"In case {number} the agent asks its memory for a plan of the next task." for number in range(6)]
    far = [f"On day {number} the water was as cold as it had ever been in that valley." for number in range(60)]
    mixed = [*far[:20], near[0], near[1], *far[20:40], *near[2:5], *far[40:], near[5]]
    sources = documents(" ".join(mixed[:30]), " ".join(mixed[30:]))
    chosen = best_sentences("Which plan has the agent in memory for a task?", sources, PaperEmbeddings()).splitlines()
    assert [sentence for sentence in chosen if sentence in near] == near
    assert chosen == [sentence for sentence in mixed if sentence in chosen]


def test_what_follows_a_near_sentence_goes_before_what_does_not() -> None:
    follows = "It looks there before anything else, and that is all there is to it."
    stray = [f"Nobody had seen number {number} of the boats since the first of the month." for number in range(20)]
    text = " ".join([*stray[:10], "For this the agent has a memory of every task and plan.", follows, *stray[10:]])
    chosen = best_sentences("agent memory task plan", documents(text), PaperEmbeddings()).splitlines()
    assert follows in chosen


def test_headings_and_stubs_are_left_out() -> None:
    text = f"# Agent memory plan tool task\nMemory\n{ANSWER}\nTable of agent memory and plan\n{ANSWER}\n# Memory"
    assert best_sentences("agent memory", documents(text), PaperEmbeddings()) == ANSWER
    assert best_sentences("agent memory", documents("Memory", "Plan"), PaperEmbeddings()) == "Memory\nPlan"


def test_short_lines_are_read_with_what_they_stand_under() -> None:
    told = telling_sentences(
        documents(
            "# Campsite\n\n## Prices\n\n| Pitch | Price per night |\n|---|---:|\n| Tent | 19 euros |\n"
            "| Van | 34 euros |\n\n## Opening\n\n- Shop: 9 to 18\n- Pool: 10 to 19\n\n## Contact\n\n"
            f"warden: Greta Moll\n\n## Rules\n\nNo fires.\nDogs on a leash.\n\n{ANSWER}\n\n记忆。\n计划。"
        )
    )
    assert told == {
        "Pitch: Tent, Price per night: 19 euros": "Prices: Pitch: Tent, Price per night: 19 euros",
        "Pitch: Van, Price per night: 34 euros": "Prices: Pitch: Van, Price per night: 34 euros",
        "Shop: 9 to 18": "Opening: Shop: 9 to 18",
        "Pool: 10 to 19": "Opening: Pool: 10 to 19",
        "warden: Greta Moll": "Contact: warden: Greta Moll",
        "No fires.": "Rules: No fires.",
        "Dogs on a leash.": "Rules: Dogs on a leash.",
        ANSWER: ANSWER,
        "记忆。": "Rules: 记忆。",
        "计划。": "Rules: 计划。",
    }


def test_every_short_line_of_a_file_can_be_picked(settings: Settings) -> None:
    loaded = load_source(str(ROOT / "tests/data/cases/shortlines/campsite.md"), settings, named_at_start=True)
    assert loaded is not None
    told = telling_sentences(loaded.documents)
    for line in ("Pitch: Cabin | Price per night: 72 euros", "Pool: 10 to 19", "warden: Greta Moll", "No open fires."):
        assert line in told
    for asked in ("What does a night in the cabin cost?", "When does the pool open?", "Who is the warden?"):
        read = best_sentences(asked, loaded.documents, PaperEmbeddings())
        assert len(read) <= SENTENCE_CHARACTERS and len(read.splitlines()) == SENTENCES


def test_long_rows_are_read_in_parts() -> None:
    row = " | ".join(f"Column {number}: {'word ' * 20}value{number}" for number in range(12))
    told = telling_sentences(documents(f"Model: Heron | {row}"))
    assert len(told) > 2 and all(len(piece) < SENTENCE_CHARACTERS for piece in told)
    assert all(piece.startswith("Model: Heron | Column") for piece in told)
    assert all(any(f"value{number}" in piece for piece in told) for number in range(12))


def test_cells_stay_under_their_column_and_short_lines_are_all_kept() -> None:
    told = telling_sentences(
        documents(
            "| | Free | Pro |\n|---|---|---|\n| Storage | 5 GB | 50 GB |\n| Price | | 9 EUR |\n\n"
            f"{ANSWER}\n\ncat a.txt | grep b\nls | wc\n\n# Ports\n\n- Port 80\n- Port 8080"
        )
    )
    assert list(told) == [
        "Storage, Free: 5 GB, Pro: 50 GB",
        "Price, Pro: 9 EUR",
        ANSWER,
        "cat a.txt | grep b",
        "ls | wc",
        "Port 80",
        "Port 8080",
    ]


def test_limits_hold() -> None:
    draw = random.Random(2)
    for _ in range(100):
        sources = documents(*(random_text(draw, draw.randrange(200)) for _ in range(draw.randrange(6))))
        found = best_sentences(random_text(draw, 5), sources, PaperEmbeddings())
        assert len(found) <= SENTENCE_CHARACTERS
    short = " ".join(f"The agent has plan number {number}." for number in range(100))
    assert len(best_sentences("agent plan", documents(short), PaperEmbeddings()).splitlines()) == SENTENCES
    endless = documents("agent memory " * 500)
    assert best_sentences("agent", endless, PaperEmbeddings()) == ("agent memory " * 500)[:SENTENCE_CHARACTERS]


def test_overlapping_chunks_give_no_sentence_twice() -> None:
    text = " ".join(
        f"In step {number} the agent takes tool {number} for the task and notes it in memory." for number in range(40)
    )
    for size in range(250, 500, 10):
        splitter = RecursiveCharacterTextSplitter(chunk_size=size, chunk_overlap=size // 3, add_start_index=True)
        chunks = splitter.split_documents(documents(text))[:3]
        chosen = best_sentences("Which tool does the agent take for the task?", chunks, PaperEmbeddings()).splitlines()
        assert len(set(chosen)) == len(chosen)
        for sentence in chosen:  # nor the half of one, where a chunk begins or ends within it
            assert not [other for other in chosen if other != sentence and sentence in other], sentence
        again = best_sentences("Which tool?", [*chunks, *chunks], PaperEmbeddings()).splitlines()
        assert len(set(again)) == len(again)


def test_embeddings_are_asked_for_each_sentence_once() -> None:
    embeddings = PaperEmbeddings()
    best_sentences("agent", documents(ANSWER, f"{ANSWER} {FILLER}", FILLER), embeddings)
    assert sorted(embeddings.embedded) == sorted([ANSWER, FILLER.strip()])
    assert best_sentences("agent", [], embeddings) == ""
    assert len(embeddings.embedded) == 2


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
    assert count_tokens("記憶") == 2 and count_tokens("🧀") == 2 and count_tokens("abcd") == 2
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
            "sources": documents(*(random_text(draw, draw.randrange(150)) for _ in range(draw.randrange(6)))),
        }
        yield given, window, draw.randrange(window + 50)


@pytest.mark.parametrize("sentences", [False, True])
def test_all_of_it_fits_the_window(sentences: bool) -> None:
    for given, window, reserved in cases(250, 5):
        packed = pack(given, embeddings=PaperEmbeddings(), sentences=sentences, window=window, reserved=reserved)
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
        "sources": documents(ANSWER),
    }
    packed = pack(given, embeddings=PaperEmbeddings(), sentences=sentences, window=4096, reserved=600)
    assert packed == {"question": given["question"], "history": [], "context": "", "unread": 0 if sentences else 1}


def test_passages_that_do_not_fit_are_counted() -> None:
    given = {"question": "Why?", "sources": documents(*(f"Passage {number}. " * 100 for number in range(4)))}
    packed = pack(given, embeddings=PaperEmbeddings(), sentences=False, window=1600, reserved=400)
    assert packed["unread"] == 4 - len(re.findall(r"^\[\d\] Page", packed["context"], re.M)) == 1


def test_history_never_takes_the_room_of_the_passages() -> None:
    passage = "The agent has a plan. " * 40
    given = {
        "question": "Why?",
        "history": [HumanMessage("a" * 400), AIMessage("b" * 400)] * 50,
        "sources": documents(passage),
    }
    packed = pack(given, embeddings=PaperEmbeddings(), sentences=False, window=2048, reserved=600)
    assert passage in packed["context"] and packed["history"]
    del given["history"]
    assert pack(given, embeddings=PaperEmbeddings(), sentences=False, window=2048, reserved=600)["history"] == []


def test_sentences_are_taken_from_the_passages_word_for_word() -> None:
    for given, _, _ in cases(30, 6):
        packed = pack(given, embeddings=PaperEmbeddings(), sentences=True, window=4096, reserved=100)
        whole = re.sub(r"\s", "", "".join(source.page_content for source in given["sources"]))
        assert all(re.sub(r"\s", "", line) in whole for line in packed["context"].splitlines())
