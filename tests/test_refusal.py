"""What the library does not answer, through the app: it says so, and no model is asked; the engine's record tells."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from langchain_core.documents import Document

import app as page
from bench.relevance import BUNDLED
from rag.answers.verdict.named import lacks_what_is_named
from rag.assistant import Assistant
from tests.conftest import ROOT, make_settings, wait_until
from tests.minilm import shared_minilm
from tests.ollama_server import OllamaServer
from tests.serving import Served

ASKED = 50
ENOUGH = 45
OWN_WORDS = ["I looked through", "nothing there answers"]


def questions(kind: str) -> list[str]:
    """Questions about other things than the documents, or (`near`) on their field and not answered by them."""
    lines = (ROOT / "tests" / "data" / "relevance.jsonl").read_text(encoding="utf-8").splitlines()
    cases: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return [case["question"] for case in cases if case["kind"] == kind and not case.get("gold")][:ASKED]


def serve(folder: Path, sources: tuple[str, ...]) -> Served:
    server = OllamaServer(reply=lambda messages: ["An ", "invention."]).start()
    given = {"model": "ollama:llama3", "embeddings": "embedded:all-minilm-l6-v2", "ollama_host": server.url}
    assistant = Assistant(make_settings(folder, sources=sources, refuse=True, **given), embeddings=shared_minilm())
    assistant.start()
    blocks = page.serve(assistant)
    wait_until(
        lambda: assistant.service.ingested and assistant.chains.own is not None, 90, lambda: str(assistant.status())
    )
    return Served(str(blocks.local_url), server, assistant, blocks)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The documents of the project, which the questions were written for."""
    made = serve(tmp_path_factory.mktemp("refusal"), tuple(str(path) for path in BUNDLED))
    wait_until(lambda: made.assistant.ready, 90, lambda: str(made.assistant.status()))
    yield made
    made.close()


def chats(served: Served) -> int:
    return sum(record.path == "/api/chat" for record in served.server.requests)


def ask_all(served: Served, asked: list[str]) -> list[dict[str, Any]]:
    with httpx.Client(timeout=60) as client:
        return [client.get(f"{served.url}predict", params={"query": each, "sources": "true"}).json() for each in asked]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("kind", ["off-topic", pytest.param("near", marks=pytest.mark.soak)])
def test_fifty_questions_that_the_library_does_not_answer(served: Served, kind: str) -> None:
    """Of those on other things, 45 at least; of those on the same field fewer are told, and the figure is printed."""
    asked, before = questions(kind), chats(served)
    told = ask_all(served, asked)
    refused = [answer for answer in told if answer["refused"]]
    asked_of_model = chats(served) - before
    print(f"\n{kind}: {len(refused)} of {len(asked)} are said to have no answer, {asked_of_model} went to the model")
    assert all(words in answer["answer"] for answer in refused for words in OWN_WORDS)
    assert asked_of_model == len(asked) - len(refused)
    if kind == "off-topic":
        assert len(asked) == ASKED and len(refused) >= ENOUGH


@pytest.mark.parametrize(
    ("said", "reply"),
    [
        ("Hello!", "Hello. I answer questions about what is in the library"),
        ("Thanks, great", "You are welcome."),
        ("ok thank you", "You are welcome."),
        ("bye", "Goodbye."),
        ("What can you do?", "I answer questions about what is in the library"),
    ],
)
def test_a_greeting_is_returned_without_a_model(served: Served, said: str, reply: str) -> None:
    before = chats(served)
    (told,) = ask_all(served, [said])
    assert told["answer"].startswith(reply)
    assert not told["sources"] and chats(served) == before


def test_an_empty_library_answers_nothing_fifty_times_and_asks_no_model(tmp_path: Path) -> None:
    made = serve(tmp_path, ())
    try:
        told = ask_all(made, questions("off-topic"))
        assert [answer["code"] for answer in told] == ["nothing_indexed"] * ASKED
        assert all("Nothing is indexed yet" in answer["error"] for answer in told)
        assert chats(made) == 0
    finally:
        made.close()


@pytest.mark.parametrize(
    ("question", "text", "lacks"),
    [
        ("How long is the warranty of the CX-400?", "The CX-300 has a warranty of two years.", True),
        ("How long is the warranty of the CX-300?", "The CX 300 has a warranty of two years.", False),
        ("What was the turnover of 2021?", "The turnover of 2024 was 5 million.", True),
        ("What was the turnover of 2021?", "From 2019 to 2023 the turnover rose each year.", False),
        ("What was the balance in June?", "Balance on 3 May 2025: 12.40.", True),
        ("What was the balance in June?", "03.06.2025 balance 12.40", False),
        ("Is it open in July?", "It is open from April to October.", False),
        ("Is it open in June?", "Open from the beginning of May until the end of September.", False),
        ("Is it open in June?", "Open between April and September.", False),
        ("Is it open in June?", "Open all year round.", False),
        ("What was said in 2024?", "Minutes of 5.5.24", False),
        ("Is 1900 calories enough?", "Take 1,900 to 2,400 calories.", False),
        ("What of CO2 and B12?", "CO₂ rises.", False),
        ("Was it built in 1995?", "Built between 1990 and 1999.", False),
        ("Who feeds the cats?", "Ada feeds the cats.", False),
        ("What does Tobias Reed earn?", "Name: Owen Price | Salary: 94,000", True),
        ("What does Owen Price earn?", "Name: Owen Price | Salary: 94,000", False),
        ("What does the Data Protection Officer do?", "The data protection officer answers complaints.", False),
    ],
)
def test_what_is_named_exactly_may_be_missing(question: str, text: str, lacks: bool) -> None:
    passage = Document(text, metadata={"title": "Notes", "source": "notes.txt"})
    assert lacks_what_is_named(question, [passage]) is lacks
