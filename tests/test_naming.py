"""Sources, sections and parts that a question calls by a part of their names, in five languages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rag.answers.whole.listing import tell_parts
from rag.answers.whole.naming import has_words
from rag.library.records import Record
from tests.minilm import shared_minilm
from tests.ways import Ways, library_of

FILES = {
    "kaffee.md": """# Bedienungsanleitung Kaffeemaschine Aroma 300

## Kaffee zubereiten
Füllen Sie den Tank mit frischem Wasser. Geben Sie pro Tasse 7 Gramm Kaffee in den Filter.

## Entkalken
Entkalken Sie das Gerät alle drei Monate. Benutzen Sie Zitronensäure: 30 Gramm auf einen Liter Wasser.

## Garantie
Die Garantie beträgt zwei Jahre ab Kaufdatum.
""",
    "curso.md": """# Programa del curso: Introducción a la apicultura

El curso dura ocho semanas, los martes de 18:00 a 20:00.

## Contenido
1. La abeja y la colmena
2. Herramientas y ropa
3. Las flores y la miel

## Evaluación
Los alumnos entregan un diario de la colmena, que cuenta el 60 % de la nota.
""",
    "statuts.md": """# Statuts de l'association Les Jardins Partagés

## Article 1 – Objet
L'association gère douze parcelles de jardin pour les habitants du quartier.

## Article 2 – Membres
La cotisation annuelle est de 25 euros, et de 10 euros pour les étudiants.
""",
    "faq_zh.md": """# 智能门锁常见问题

## 如何更换电池？
打开背面的电池盖，取出四节五号电池，换上新的电池。

## 保修期是多久？
保修期为三年。人为损坏不在保修范围之内。
""",
    "lighthouse.txt": """THE LIGHTHOUSE OF PORT ELVEN
A short history

CHAPTER I
The first light

In 1781 the fishermen of Port Elven lit a fire on the rock each night. In 1794 the town decided to build a tower.

CHAPTER II
The builders

The tower was designed by Agnes Tull, the daughter of a mason. It took six years to build and cost 11,400 crowns.

CHAPTER III
The keepers

Twelve keepers lived in the tower between 1800 and 1931. The last was Josef Wren, who kept a diary of every ship.
""",
    "stock.csv": "article,amount\nchair,4\ntable,1\n",
}


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ways]:
    folder = tmp_path_factory.mktemp("files")
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    with library_of(tmp_path_factory.mktemp("named"), shared_minilm(), *sorted(folder.iterdir())) as made:
        yield made


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("Summarise the lighthouse history", "Josef Wren"),
        ("What is the lighthouse about?", "Agnes Tull"),
        ("Tell me about the lighthouse of Port Elven", "Agnes Tull"),
        ("Tell me about Elven's lighthouse", "Agnes Tull"),
        ("What do you know about the lighthouse?", "Agnes Tull"),
        ("Fasse die Bedienungsanleitung zusammen", "Zitronensäure"),
        ("Worum geht es in der Kaffeemaschine-Anleitung?", "zwei Jahre"),
        ("Resume el curso de apicultura", "La abeja y la colmena; Herramientas y ropa; Las flores y la miel"),
        ("Résume les statuts de l'association", "douze parcelles"),
        ("总结一下门锁常见问题", "保修期为三年"),
    ],
)
def test_a_source_is_called_by_a_part_of_its_name(question: str, said: str, ways: Ways) -> None:
    told = ways.told(question)
    assert said in told["answer"] and told["coverage"].endswith("of 1 source")
    assert "\n- A short history" not in told["answer"]


@pytest.mark.parametrize(
    ("question", "heading", "said", "other"),
    [
        ("Summarise the section Entkalken", "Entkalken", "Zitronensäure", "Garantie"),
        ("Fasse das Kapitel Garantie zusammen", "Garantie", "zwei Jahre", "Zitronensäure"),
        ("Summarise the chapter about the keepers", "The keepers", "Josef Wren", "Agnes Tull"),
        ("Give me a summary of section 2 of the statuts", "Article 2 – Membres", "25 euros", "parcelles"),
        ("Résume l'article 2 des statuts", "Article 2 – Membres", "25 euros", "parcelles"),
    ],
)
def test_a_section_is_summarised_by_itself(question: str, heading: str, said: str, other: str, ways: Ways) -> None:
    text = ways.told(question)["answer"]
    assert text.startswith(f"**{heading}**") and said in text and other not in text.replace(heading, "")


@pytest.mark.parametrize(
    ("question", "first", "items"),
    [
        (
            "What are the chapters of the lighthouse book?",
            "THE LIGHTHOUSE OF PORT ELVEN: 3",
            ["CHAPTER I: The first light", "CHAPTER II: The builders", "CHAPTER III: The keepers"],
        ),
        (
            "Wie viele Abschnitte hat die Anleitung?",
            "Bedienungsanleitung Kaffeemaschine Aroma 300: 3",
            ["Kaffee zubereiten", "Entkalken", "Garantie"],
        ),
        (
            "Combien d'articles ont les statuts ?",
            "Statuts de l'association Les Jardins Partagés: 2",
            ["Article 1 – Objet", "Article 2 – Membres"],
        ),
        ("列出所有问题", "智能门锁常见问题: 2", ["如何更换电池？", "保修期是多久？"]),
        ("List all questions", "智能门锁常见问题: 2", ["如何更换电池？", "保修期是多久？"]),
    ],
)
def test_parts_are_counted_by_what_they_are_called(question: str, first: str, items: list[str], ways: Ways) -> None:
    assert ways.told(question)["answer"].split("\n") == [first, "", *(f"- {item}" for item in items)]


@pytest.mark.parametrize(
    ("question", "sentences"),
    [
        ("Give me the gist of the lighthouse book in three sentences", 3),
        ("Fasse alles in zwei Sätzen zusammen", 2),
        ("Summarise everything in 4 bullet points", 4),
        ("请用一句话总结门锁常见问题", 1),
    ],
)
def test_a_summary_has_as_many_sentences_as_are_asked_for(question: str, sentences: int, ways: Ways) -> None:
    told = ways.told(question)
    assert len(told["answer"].split("\n")) == sentences == len(told["grounding"])
    read, total = told["progress"]
    assert read == total and told["coverage"].startswith(f"read {total} of {total} passage")


def test_the_sides_of_a_comparison_are_called_by_parts_of_names(ways: Ways) -> None:
    told = ways.told("Compare the curso document with the lighthouse book")
    assert {Path(passage.metadata["source"]).name for passage in told["passages"]} == {"curso.md", "lighthouse.txt"}


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ("Which files mention the Garantie?", "Sources with “Garantie”: 1 of 6."),
        ("Welche Dokumente erwähnen Zitronensäure?", "Quellen mit “Zitronensäure”: 1 von 6."),
        ("Which documents contain keepers?", "Sources with “keepers”: 1 of 6."),
    ],
)
def test_the_sources_that_have_a_word_are_listed(question: str, told: str, ways: Ways) -> None:
    first, _, line = ways.told(question)["answer"].split("\n")
    assert first == told and ("kaffee.md" in line or "lighthouse.txt" in line) and "1)" in line


def test_words_are_counted(ways: Ways) -> None:
    assert ways.told("How many words does the curso have?")["answer"].endswith(f": {len(FILES['curso.md'].split())}")


def test_files_are_listed_also_beside_tables(ways: Ways) -> None:
    assert ways.told("有哪些文件？")["coverage"] == "read the list of 6 sources"


@pytest.mark.parametrize(
    "question",
    [
        "¿Cuántos temas tiene el curso?",
        "What about the lighthouse?",
        "What does the lighthouse cost?",
        "Summarise the plot of Hamlet",
        "Fasse die Geschichte von Hamlet zusammen",
        "How many ships did the lighthouse save?",
        "Which files mention whales?",
        "What does the document say about the keepers?",
    ],
)
async def test_other_questions_are_answered_from_passages(question: str, ways: Ways) -> None:
    assert (await ways.course(question)).answer is None


def test_headings_that_begin_alike_are_no_parts_without_numbers() -> None:
    text = "Limits of agents\nThey forget.\nLimits and evaluation\nThey are slow.\n"
    sections = [[0, ["Limits of agents"], ""], [30, ["Limits and evaluation"], ""]]
    assert tell_parts(Record("a", "Agents", [(text, {"sections": sections})]), "limits") is None


def test_words_of_a_name() -> None:
    assert has_words(["anleitung"], "Bedienungsanleitung") and has_words(["leases"], "Lease of 2025.pdf")
    assert has_words(list("门锁"), "智能门锁") and not has_words(list("锁门"), "智能门锁")
    assert not has_words(["ease"], "Lease of 2025.pdf") and not has_words(["lease", "2024"], "Lease of 2025.pdf")
