"""The way in which a question is answered: on questions of five languages to five files, with the real embeddings.

`data/whole/questions.yaml` has them, half of them ordinary ones, which must not be taken for anything else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from langchain_core.embeddings import Embeddings

from rag.answers.chain import Course
from rag.answers.whole.comparison import read_sides
from rag.answers.whole.intent import Nearness, is_greeting, read_intent
from tests.conftest import PaperEmbeddings
from tests.minilm import shared_minilm
from tests.ways import FILES, SOURCES, Ways, library_of

QUESTIONS: dict[str, dict[str, list[str]]] = yaml.safe_load((FILES / "questions.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def embeddings() -> Embeddings:
    return shared_minilm()


@pytest.fixture(scope="module")
def ways(embeddings: Embeddings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ways]:
    with library_of(tmp_path_factory.mktemp("ways"), embeddings, *SOURCES) as made:
        yield made


def way_of(ways: Ways, question: str) -> str:
    """The way that was taken, told by what was read."""

    async def receipt() -> str:
        course: Course = await ways.course(question)
        if course.answer is None:
            return ""
        async for piece in course.answer(None):
            return str(piece["coverage"])
        raise AssertionError("no piece")

    coverage = asyncio.run(receipt())
    if not coverage:
        return "passages"
    if "list of" in coverage:
        return "library"
    if coverage.startswith("read 0 of"):
        return "summary"
    return "compare" if " on " in coverage else "count"


@pytest.mark.parametrize("part", ["tuned", "held"])
def test_questions_go_their_way(part: str, ways: Ways) -> None:
    wrong = [
        (question, way, taken)
        for way, questions in QUESTIONS[part].items()
        for question in questions
        if (taken := way_of(ways, question)) != way
    ]
    asked = sum(len(questions) for way, questions in QUESTIONS[part].items() if way != "passages")
    assert [each for each in wrong if each[1] == "passages"] == []  # an ordinary question is never taken
    assert [each for each in wrong if each[2] != "passages"] == []  # and none goes another's way
    assert len(wrong) <= 0.05 * asked, wrong


def test_half_of_the_questions_are_ordinary() -> None:
    counted = {way: sum(len(part.get(way, ())) for part in QUESTIONS.values()) for way in QUESTIONS["held"]}
    assert sum(counted.values()) >= 200 and counted["passages"] >= 100


@pytest.mark.parametrize(
    "question",
    [
        "What is in the library?",
        "What's this about?",
        "what is this page about",
        "Summarise the page.",
        "Please summarize this document for me",
        "Give me a short summary of the article",
        "Can you give me an overview?",
        "tl;dr",
        "What can I ask you?",
        "Which documents do you have?",
        "What do you know?",
        "What does this text say?",
        "Which files did I add?",
        "summary",
    ],
)
def test_questions_about_the_library_or_all_of_it(question: str) -> None:
    assert read_intent(question) is not None


@pytest.mark.parametrize(
    "question",
    [
        "What is in the memory stream?",
        "What about the ferry?",
        "What is Reflexion about?",
        "Give me a recipe",
        "Which documents does a notary need?",
        "What do you know about Napoleon?",
        "What does the agent say?",
        "What can I add as a source?",
        "Which files can be uploaded?",
        "How do I add a document?",
        "",
        "summary " * 40,
    ],
)
def test_other_questions_are_not(question: str) -> None:
    assert read_intent(question) is None


def test_what_is_named_and_what_is_asked() -> None:
    named = read_intent("What is the ferry guide about?", ["Ferry guide", "Tram"])
    assert named is not None and (named.aim, named.named, named.sure) == ("summary", ("Ferry guide",), True)
    pointed = read_intent("What is it about?")
    assert pointed is not None and not pointed.sure
    asks = {"How many files do I have?": "count", "What did I add last?": "last", "When was Tram added?": "when"}
    for question, ask in asks.items():
        found = read_intent(question, ["Tram"])
        assert found is not None and (found.aim, found.ask) == ("library", ask)


@pytest.mark.parametrize(
    ("question", "aim"),
    [
        ("Explain this document like I was in a hurry", "summary"),
        ("What message does this article bring across?", "summary"),
        ("What material did I give you?", "library"),
        ("What is this text written in?", None),
        ("Can you translate this text?", None),
        ("How does it work?", None),
        ("Can I delete a document?", None),
        ("How do I upload a file?", None),
        ("What should I do if it fails?", None),
    ],
)
def test_other_words_for_it(question: str, aim: str | None, embeddings: Embeddings) -> None:
    assert read_intent(question) is None
    found = asyncio.run(Nearness(embeddings, ("paper", "here")).intent(question))
    assert (found.aim if found else None) == aim


def test_what_questions_are_compared_with_is_embedded_once(tmp_path: Path) -> None:
    first, second = PaperEmbeddings(), PaperEmbeddings()
    for embeddings in (first, second):
        nearness = Nearness(embeddings, ("openai:paper", "here"), "digest", tmp_path)
        nearness.prepare()
        assert asyncio.run(nearness.intent("How does it work?")) is None
    assert first.embedded and not second.embedded
    other = PaperEmbeddings()
    Nearness(other, ("openai:paper", "here"), "another digest", tmp_path).prepare()
    assert other.embedded == first.embedded


@pytest.mark.parametrize(
    ("question", "sides"),
    [
        ("Compare the tram with the bus", ("tram", "bus")),
        ("What is the difference between A and B?", ("A", "B")),
        ("How does the Heron differ from the Stork?", ("Heron", "Stork")),
        ("tram vs. bus", ("tram", "bus")),
        ("Vergleiche die Tram mit dem Bus", ("Tram", "Bus")),
        ("Quelle est la différence entre le tram et le bus ?", ("tram", "bus")),
        ("¿Cuál es la diferencia entre el tren y el bus?", ("tren", "bus")),
        ("比较电车和公交车", ("电车", "公交车")),
        ("电车和公交车有什么区别？", ("电车", "公交车")),
        ("Compare prices of pumps", None),
        ("What is a difference engine?", None),
    ],
)
def test_the_sides_of_a_comparison(question: str, sides: tuple[str, str] | None) -> None:
    assert read_sides(question) == sides


def test_a_greeting_is_none(ways: Ways) -> None:
    assert is_greeting("Hello there") and asyncio.run(ways.course("Hello")).answer is None


def test_a_follow_up_that_points_is_no_question_about_all(ways: Ways) -> None:
    async def answered(question: str, asked: str) -> bool:
        given: dict[str, Any] = {"question": question, "complete": asked, "asked": asked, "passages": [], "scope": None}
        return (await ways.whole(given)).answer is not None

    assert asyncio.run(answered("What is it about?", "What is it about?"))
    assert not asyncio.run(answered("What is it about?", "What is the second law about?"))
    assert asyncio.run(answered("Summarise it", "Summarise it, the tram"))


def test_a_follow_up_with_another_name_is_counted(ways: Ways) -> None:
    async def told(question: str, complete: str) -> str:
        course = await ways.whole({"question": question, "complete": complete, "asked": complete, "passages": []})
        return (
            "" if course.answer is None else "".join([piece.get("answer", "") async for piece in course.answer(None)])
        )

    assert "where city = Ulm" in asyncio.run(told("And from Ulm?", "How many orders are from Ulm?"))
    combined = "How many orders are from Kiel?\nAnd from Ulm?"
    assert not asyncio.run(told("And from Ulm?", combined))


def test_the_files_of_this_test(tmp_path: Path) -> None:
    assert {path.name for path in SOURCES} == {"campsite.md", "heatpumps.md", "orders.csv", "tram.md", "visits.csv"}
