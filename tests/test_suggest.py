"""Questions that are proposed after an answer: from what the passages define and head, and such as they can answer."""

from __future__ import annotations

from pathlib import Path

import pytest
from langchain_core.documents import Document

from rag.answers.quotes.quote import Quote
from rag.answers.suggest import answering, suggest
from rag.assistant import Assistant
from rag.settings import NO_MODEL
from tests.conftest import make_settings, wait_until

GARDEN = Document(
    "## Soil\n\nLoam is a mix of sand and clay. It is the best soil.\n\n### Watering at night\n\nWater dry soil.",
    metadata={"section": "Soil"},
)
HERBS = Document("Herbs are the easiest plants. A trowel is a small spade.\n\n## When is it time to sow?\n\nIn May.")


def test_what_is_defined_comes_first_then_what_headings_name() -> None:
    assert suggest("How deep do I dig?", [GARDEN, HERBS]) == [
        "What is Loam?",
        "What are Herbs?",
        "What does it say about soil?",
    ]
    assert suggest("What about loam, herbs and soil?", [GARDEN, HERBS]) == [
        "What does it say about Watering at night?",
        "When is it time to sow?",
    ]


def test_a_clause_is_no_subject() -> None:
    sources = [Document("Note that this is a limit. If a pool is the last one, it closes. A pool is a set of threads.")]
    assert suggest("Which limits are there?", sources) == ["What is a pool?"]


def test_what_was_asked_is_not_proposed_again() -> None:
    asked = ["What is Loam?", "What are Herbs?"]
    assert not set(suggest("How deep do I dig?", [GARDEN, HERBS], asked)) & set(asked)


@pytest.mark.parametrize(
    ("question", "text", "proposed"),
    [
        ("Wie viel kostet eine Fahrt mit der Bahn?", "Die Bergbahn ist eine Bahn mit Seil.", "Was ist die Bergbahn?"),
        ("Combien coûte un billet ?", "Un funiculaire est un train.", "Qu’est-ce qu’un funiculaire ?"),
        (
            "Combien coûte un billet pour la journée ?",
            "Le funiculaire est un train à câble.",
            "Qu’est-ce que le funiculaire ?",
        ),
        ("¿Cuánto cuesta un billete para el día?", "El funicular es un tren de cable.", "¿Qué es el funicular?"),
        ("一张日票要多少钱？", "缆车是一种交通工具。", "什么是缆车？"),
        ("Wie viel kostet eine Fahrt mit der Bahn?", "# Fahrplan\n\nUm 8 Uhr.", "Was steht da über Fahrplan?"),
    ],
)
def test_they_are_in_the_language_of_the_question(question: str, text: str, proposed: str) -> None:
    assert suggest(question, [Document(text)]) == [proposed]


@pytest.mark.parametrize(
    "text",
    [
        "It is a plan. This is the end. There are the others. They are a team.",
        "# " + "long " * 30 + "\n\ntext",
        "# [a link](https://x.example)\n\ntext",
        "# Empty\n\n# Also empty",
        "# February\n\ntext\n\n# 12 March 2024\n\ntext\n\n# Other changes\n\ntext\n\n# Part 2\n\ntext",
        "",
    ],
)
def test_nothing_is_proposed_that_would_make_no_question(text: str) -> None:
    assert suggest("How deep do I dig?", [Document(text)]) == []


async def test_the_passages_answer_what_is_proposed(tmp_path: Path) -> None:
    assistant = Assistant(make_settings(tmp_path, model=NO_MODEL, sources=("bundled:guide.md",)))
    assistant.start()
    try:
        wait_until(lambda: assistant.ready, 60, lambda: str(assistant.status()))
        proposed: set[str] = set()
        for question in ("What is task decomposition?", "Which tools are there?", "Who won the cup of Paraguay?"):
            update = await assistant.chain.ainvoke({"question": question, "history": []})
            proposed |= set(suggest(question, update.passages))
        assert len(proposed) >= 6
        for question in proposed:
            answer = await assistant.chain.ainvoke({"question": question, "history": []})
            assert answer.quotes and not answer.refused, question
    finally:
        assistant.close()


def test_questions_are_in_the_language_of_the_headings() -> None:
    """A German question over English texts is answered in translation; half German, half English is neither."""
    found = suggest("Wie tief muss ich den Boden im Garten umgraben?", [GARDEN, HERBS])
    assert found == ["What is Loam?", "What are Herbs?", "What does it say about soil?"]


def test_only_passages_of_the_sources_that_answer_propose_questions() -> None:
    passages = [Document("A.", metadata={"source": name}) for name in ("lease", "guide", "lease")]
    assert answering(passages, [Quote(1, 0, 2, leads=True), Quote(2, 0, 2)]) == [passages[0], passages[2]]
    assert answering(passages, [Quote(2, 0, 2)]) == [passages[1]]
    assert answering(passages, []) == passages
