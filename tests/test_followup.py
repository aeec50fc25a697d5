"""Follow-ups: told from what stands alone, combined without a model, rewritten with one, and how that can fail."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from typing_extensions import override

from bench.answers import load_items
from bench.followup import after_all, after_the_last, bare, hits, rewritten_by_hand
from bench.relevance import BUNDLED, DATA, library
from rag.answers.followup import LONGEST, SHORT, build_rewriter, cleaned, combine, depends, standalone
from rag.answers.retriever import Retriever
from rag.answers.told import INDIRECT
from rag.doors.bodies import messages_of
from rag.doors.evaluate import load_questions
from tests.conftest import Script, ScriptedChat
from tests.minilm import shared_minilm

CONVERSATIONS = DATA / "followups.jsonl"
REACT: list[BaseMessage] = [
    HumanMessage("What is ReAct?"),
    AIMessage("ReAct is a method that combines reasoning and acting. It has drawbacks."),
]


class Gated(ScriptedChat):
    """Answers in one piece, once its gate is open; with fields as Ollama's and OpenAI's models have them."""

    temperature: float = 0.7
    num_predict: int = 512
    max_tokens: int = 512
    seen: Any = None
    started: Any = None

    @override
    def _generate(self, *given: Any, **more: Any) -> ChatResult:
        raise AssertionError("asked without async")

    @override
    async def _agenerate(self, messages: list[BaseMessage], *given: Any, **more: Any) -> ChatResult:
        script: Script = self.script
        script.asked.append(messages)
        if self.seen is not None:
            self.seen.append({name: getattr(self, name) for name in ("temperature", "num_predict", "max_tokens")})
        if self.started:
            self.started.set()
        try:
            for gate in script.gates.values():
                await gate.wait()
            if script.error:
                raise script.error
            return ChatResult(generations=[ChatGeneration(message=AIMessage("".join(script.tokens)))])
        finally:
            script.closed += 1


async def ask(script: Script, question: str = "What are its drawbacks?", seconds: float = 30) -> str:
    return await standalone(question, REACT, build_rewriter(Gated(script=script)), seconds)


def test_conversations_are_told_from_questions_that_stand_alone() -> None:
    conversations = load_questions(CONVERSATIONS)
    assert len([item for item in conversations if item.kind != "alone"]) >= 60
    assert len([item for item in conversations if item.kind == "alone"]) >= 20
    wrong = [
        item.question
        for item in conversations
        if depends(item.question, messages_of(item.history)) != (item.kind != "alone")
    ]
    assert len(wrong) <= 2, wrong


def test_questions_asked_after_anything_else_mostly_stay_as_they_are() -> None:
    asked = [item.question for name in ("questions", "relevance") for item in load_questions(DATA / f"{name}.jsonl")]
    leaning = [question for question in asked if depends(question, REACT)]
    assert len(leaning) <= 0.05 * len(asked), leaning


@pytest.mark.parametrize(
    ("question", "leans"),
    [
        ("and what are its drawbacks?", True),
        ("why?", True),
        ("Tell me more", True),
        ("What about Reflexion?", True),
        ("What is the difference?", True),
        ("Who made that?", True),
        ("And now something else: who wrote it?", False),
        ("By the way, what is a vector store?", False),
        ("What is planning, and why does it matter?", False),
        ("Is it possible to use Ollama?", False),
        ("What is an agent that plans?", False),
        ("Which trees lose their leaves?", False),
        ("What can this app read?", False),
        ("Those who share a page need what?", False),
        ("HNSW layers", False),
        ("Und im Winter?", True),
        ("Wie laut ist er?", True),
        ("Wie hoch ist ihr Preis?", True),
        ("Wie lange läuft der Staubsauger, und wie laut ist er?", False),
        ("Wo kann ich Sie erreichen?", False),
        ("Gibt es einen Parkplatz?", False),
        ("Combien pèse-t-il ?", True),
        ("Et pour les étudiants ?", True),
        ("Y a-t-il un parking ?", False),
        ("Est-il possible de payer par carte ?", False),
        ("¿Cuánto cuesta?", True),
        ("¿Cuál es su precio?", True),
        ("¿Cuándo cierra la inscripción?", False),
    ],
)
def test_what_leans_on_the_conversation(question: str, leans: bool) -> None:
    assert depends(question, REACT) is leans
    assert not depends(question, [])


def test_a_question_that_stands_alone_stays_as_it_is() -> None:
    assert combine("What is a vector store?", REACT) == "What is a vector store?"
    assert combine("and why?", []) == "and why?"
    assert combine("Now something else: who made FAISS?", REACT) == "who made FAISS?"


def test_a_follow_up_is_put_after_what_it_leans_on() -> None:
    assert combine("And its drawbacks?", REACT[:1]) == "What is ReAct?\nAnd its drawbacks?"
    said = [*REACT, HumanMessage("How does it work?"), AIMessage("It repeats thought and observation.")]
    combined = combine("What is the last of these?", said)
    assert combined.startswith("What is ReAct") and combined.endswith("?\nWhat is the last of these?")
    assert "How does it work" in combined and "observation" in combined, "the answer is short"
    long = [
        REACT[0],
        AIMessage("In it, the model repeats thought and observation, " + "as was said before, " * 5 + "in PDDL."),
    ]
    combined = combine("And its drawbacks?", long)
    assert "observation" not in combined and "PDDL" in combined, "names alone"
    changed = [*said, HumanMessage("What is a vector store?"), AIMessage("A database.")]
    assert "ReAct" not in combine("What does it keep?", changed)


@pytest.mark.parametrize(
    ("earlier", "question", "combined"),
    [
        (
            "How many days of leave are there at Brightline?",
            "And at Lumen?",
            "How many days of leave are there at Lumen?",
        ),
        ("What does error 404 mean?", "And 503?", "What does error 503 mean?"),
        ("How heavy is the Zephyr V8?", "What about the Aero X2?", "How heavy is the Aero X2?"),
        ("What does it cost for adults?", "And for children?", "What does it cost for children?"),
        ("Was kostet ein Zimmer im Sommer?", "Und im Winter?", "Was kostet ein Zimmer im Winter?"),
        ("¿Cuánto cuesta en verano?", "¿Y en invierno?", "¿Cuánto cuesta en invierno?"),
        ("When is the fair?", "And if it rains?", "When is the fair?\nAnd if it rains?"),
        ("Tell me about the vacuum", "How heavy is it?", "Tell me about the vacuum?\nHow heavy is it?"),
        (
            "Who rents out the car?",
            "And for the couple to Norway?",
            "Who rents out the car?\nAnd for the couple to Norway?",
        ),
        (
            "What if I pay ten days late?",
            "And after two months?",
            "What if I pay ten days late?\nAnd after two months?",
        ),
        ("What has stopped working?", "Since when?", "What has stopped working?\nSince when?"),
        ("Was kostet der Club?", "Wann wird das abgebucht?", "Was kostet der Club?\nWann wird das abgebucht?"),
        ("Was kostet der Club?", "Wie lang ist das neue Boot?", "Wie lang ist das neue Boot?"),
        ("Was kostet der Club?", "Wie lange dauert das Training?", "Wie lange dauert das Training?"),
        ("Was kostet der Club?", "was kostet das ticket", "was kostet das ticket"),
        ("Was kostet der Club?", "Wann beginnt das neue große Projekt?", "Wann beginnt das neue große Projekt?"),
        ("What does it cost?", "And compare Aurora and Lumen", "And compare Aurora and Lumen"),
        ("What does it cost?", "Is the bar open\nat night in\tBonn?", "Is the bar open at night in Bonn?"),
        (
            "What does it cost?",
            "And can I pay the fee by card on Mondays?",
            "And can I pay the fee by card on Mondays?",
        ),
    ],
)
def test_another_name_takes_the_place_of_the_one_before(earlier: str, question: str, combined: str) -> None:
    assert combine(question, [HumanMessage(earlier), AIMessage("28, 2.")]) == combined


def test_questions_in_other_languages_mostly_stay_as_they_are() -> None:
    asked = [item.question for item in load_items() if item.kind == "other language"]
    assert len(asked) > 15 and not [question for question in asked if depends(question, REACT)]


@pytest.mark.parametrize(
    "request_",
    [
        "Are you sure?",
        "In one sentence, please.",
        "make it shorter",
        "Can you explain that in simple words?",
        "Tell me more",
        "translate that to German",
        "Bist du sicher?",
        "En une phrase",
        "¿Estás seguro?",
    ],
)
def test_what_is_asked_of_the_answer_searches_for_the_last_question(request_: str) -> None:
    history = [HumanMessage("How long does the battery last?"), AIMessage("Four hours.")]
    history = [*history, HumanMessage("And the old one?"), AIMessage("Two hours.")]
    assert combine(request_, history) == combine("And the old one?", history[:2])
    assert combine(request_, []) == request_


@pytest.mark.parametrize(
    "question", ["And in French?", "Are you sure that the battery lasts four hours?", "Tell me more about the pump"]
)
def test_a_request_with_a_subject_of_its_own_is_a_question(question: str) -> None:
    history = [HumanMessage("How much is the rent?"), AIMessage("900.")]
    assert combine(question, history) != combine("How much is the rent?", [])


def test_a_name_in_the_answer_is_searched_for() -> None:
    said = [HumanMessage("Which search library comes from Meta?"), AIMessage("FAISS.")]
    assert "FAISS" in combine("And what does it offer?", said)
    said = [
        HumanMessage("Which boat goes?"),
        AIMessage("Pier: 2 | Boat: The Heron of Reine | Crew: three" + " " * SHORT),
    ]
    assert combine("When does it leave?", said) == "Which boat goes Heron Reine?\nWhen does it leave?"


def test_what_the_app_itself_said_is_not_searched_for() -> None:
    for told in (f"{INDIRECT}\n\nIt is {'so ' * SHORT}.", "I looked through 2 sources (Azores, Lofoten)."):
        said = [HumanMessage("Which boat goes?"), AIMessage(told)]
        assert combine("When does it leave?", said) == "Which boat goes?\nWhen does it leave?"


@pytest.fixture(scope="module")
def retriever(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Retriever]:
    folder: Path = tmp_path_factory.mktemp("library")
    with library(BUNDLED, shared_minilm(), folder) as index:
        yield Retriever(index=index, k=4)


def test_combined_follow_ups_find_their_passages(retriever: Retriever) -> None:
    questions = load_questions(CONVERSATIONS)
    by_hand = rewritten_by_hand()
    assert len(by_hand) == len(questions)
    found = {
        way: sum(hits(retriever, questions, [way(item.question, messages_of(item.history)) for item in questions]))
        for way in (bare, after_the_last, after_all, combine)
    }
    best = sum(hits(retriever, questions, by_hand))
    assert found[bare] < 0.8 * len(questions)
    assert found[combine] >= 0.95 * len(questions)
    simpler = max(found[bare], found[after_the_last], found[after_all])
    assert found[combine] >= simpler - 1, "one question turns on a line of the changelog, which is in this library"
    assert best >= found[combine] >= best - 3


@pytest.mark.parametrize(
    ("reply", "question"),
    [
        ("What are the drawbacks of ReAct?", "What are the drawbacks of ReAct?"),
        ('"What are the drawbacks of ReAct?"\n', "What are the drawbacks of ReAct?"),
        ("Standalone question: What are the drawbacks of ReAct?", "What are the drawbacks of ReAct?"),
        ("Sure! Here is the question:\n\nWhat are the drawbacks of ReAct?", "What are the drawbacks of ReAct?"),
        ("**Question:** “What are the drawbacks of ReAct?”", "What are the drawbacks of ReAct?"),
        ("What are the drawbacks of ReAct?\n\nI replaced the pronoun.", "What are the drawbacks of ReAct?"),
        ("drawbacks of ReAct", "drawbacks of ReAct"),
        ("", ""),
        ("  \n ", ""),
        ("Question:", ""),
        ("I'm sorry, I cannot do that", ""),
        ("ReAct has the drawback that it is slow.", ""),
        ("What? " + "x" * LONGEST, ""),
    ],
)
def test_what_a_rewriter_replies_is_cleaned(reply: str, question: str) -> None:
    assert cleaned(reply) == question


async def test_a_capable_model_rewrites_in_one_short_call() -> None:
    script = Script(tokens=["Standalone question: ", "What are the drawbacks of ReAct?"])
    model = Gated(script=script, seen=[])
    assert (
        await standalone("What are its drawbacks?", REACT, build_rewriter(model)) == "What are the drawbacks of ReAct?"
    )
    (asked,) = script.asked
    assert "Person: What is ReAct?\nAssistant: ReAct is a method" in asked[-1].text
    assert asked[-1].text.endswith("Last question: What are its drawbacks?")
    assert model.seen == [{"temperature": 0.0, "num_predict": 64, "max_tokens": 64}]
    assert (model.temperature, model.num_predict) == (0.7, 512), "the model that answers stays as it was"


async def test_a_question_that_stands_alone_asks_no_model() -> None:
    script = Script()
    assert await ask(script, "What is a vector store?") == "What is a vector store?"
    assert await standalone("and why?", [], build_rewriter(Gated(script=script))) == "and why?"
    assert script.asked == []


@pytest.mark.parametrize("reply", ["", "I am sorry, but no", "ReAct is slow.", "x" * (LONGEST + 1)])
async def test_a_reply_of_no_use_falls_back(reply: str) -> None:
    assert await ask(Script(tokens=[reply])) == combine("What are its drawbacks?", REACT)


@pytest.mark.parametrize("error", [ConnectionError("refused"), ValueError("bad reply")])
async def test_an_engine_that_fails_falls_back(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    assert await ask(Script(error=error)) == combine("What are its drawbacks?", REACT)
    assert "not rewritten" in caplog.text and str(error) in caplog.text


async def test_a_rewriter_that_takes_too_long_is_stopped() -> None:
    script = Script(gates={0: asyncio.Event()})
    assert await ask(script, seconds=0.5) == combine("What are its drawbacks?", REACT)
    assert (len(script.asked), script.closed) == (1, 1)


async def test_who_hangs_up_stops_the_rewriter() -> None:
    script = Script(gates={0: asyncio.Event()})
    started = asyncio.Event()
    rewriter = build_rewriter(Gated(script=script, started=started))
    asking = asyncio.ensure_future(standalone("What are its drawbacks?", REACT, rewriter))
    await started.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert script.closed == 1


async def test_without_a_rewriter_it_is_combined() -> None:
    assert await standalone("And its drawbacks?", REACT, None) == combine("And its drawbacks?", REACT)
