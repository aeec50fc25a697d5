"""The stream that every door reads, with a scripted chat model and real Chroma."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import httpx
import pytest
from langchain_core.messages import AIMessage, HumanMessage

from rag.answers.line import WAITING_FOR_A_PLACE
from rag.answers.update import Update
from rag.assistant import Assistant
from rag.errors import (
    AnswerCutOff,
    Busy,
    EngineError,
    EngineStalled,
    EngineUnreachable,
    QuestionError,
    RagError,
)
from tests.conftest import PaperEmbeddings, Script, ScriptedChat, make_settings


class Scene:
    """An assistant with a script for a model."""

    def __init__(self, folder: Path, **given: object) -> None:
        self.script = Script()
        self.embeddings = PaperEmbeddings()
        settings = make_settings(folder, model="openai:scripted", embeddings="openai:paper", **given)
        self.assistant = Assistant(settings, chat_model=ScriptedChat(script=self.script), embeddings=self.embeddings)
        self.assistant.start()

    async def ask(self, question: str = "How does an agent plan?", history: tuple = ()) -> list[Update]:
        return [update async for update in self.assistant.chain.astream({"question": question, "history": history})]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.assistant.close()


def test_tokens_arrive_in_order_after_the_sources(scene: Scene) -> None:
    scene.script.tokens = [f"{number} " for number in range(200)]
    updates = asyncio.run(scene.ask())
    assert updates[-1].phase == "done"
    assert updates[-1].text == "".join(scene.script.tokens)
    assert "".join(update.new for update in updates) == updates[-1].text
    first = next(update for update in updates if update.text)
    assert len(first.passages) == 4
    assert updates[-1].timings.tokens == 200
    sources_alone = [update for update in updates if update.passages and not update.text]
    assert sources_alone, "the sources are there before the first token"


def test_a_turn_in_parts_is_read_as_its_text(scene: Scene) -> None:
    said = [
        HumanMessage([{"type": "text", "text": "Are agents "}, {"type": "text", "text": "tidy?"}]),
        AIMessage("Yes."),
    ]
    asyncio.run(scene.ask(history=tuple(said)))
    assert [message.text for message in scene.script.asked[-1] if message.type != "system"][:2] == [
        "Are agents tidy?",
        "Yes.",
    ]


def test_the_first_token_does_not_wait_for_the_second(scene: Scene) -> None:
    async def scenario() -> None:
        gate = scene.script.gates[1] = asyncio.Event()
        async with aclosing(scene.assistant.chain.astream({"question": "agent plan"})) as updates:
            async for update in updates:
                if update.new:
                    assert update.new == "An "
                    gate.set()
                    break
            rest = [update async for update in updates]
        assert rest[-1].text == "An agent plans."

    asyncio.run(scenario())


def test_it_ticks_while_the_model_is_silent(scene: Scene) -> None:
    async def scenario() -> int:
        gate = scene.script.gates[0] = asyncio.Event()
        ticks = 0
        async for update in scene.assistant.chain.astream({"question": "agent plan"}):
            if update.phase == "reading":
                ticks += 1
            if ticks == 3:
                gate.set()
        return ticks

    assert asyncio.run(scenario()) >= 3


@pytest.mark.parametrize("gate", [0, 1])
def test_closing_the_stream_stops_the_model(scene: Scene, gate: int) -> None:
    async def scenario() -> None:
        scene.script.gates[gate] = asyncio.Event()
        async with aclosing(scene.assistant.chain.astream({"question": "agent plan"})) as updates:
            async for update in updates:
                if scene.script.asked and (gate == 0 or update.text):
                    break
        await asyncio.wait_for(scene.script.ended.wait(), 30)
        assert scene.script.sent <= gate, "the model wrote nothing more"
        scene.script.gates.clear()
        again = [update async for update in scene.assistant.chain.astream({"question": "agent plan"})]
        assert again[-1].phase == "done"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (httpx.ConnectError("All connection attempts failed"), EngineUnreachable, "is not running at"),
        (httpx.ReadTimeout(""), EngineStalled, "stopped answering"),
        (httpx.RemoteProtocolError("peer closed connection"), EngineError, "closed the connection"),
        (ValueError("secret /home/me/x"), EngineError, "failed (ValueError)"),
    ],
)
def test_what_came_before_a_fault_stays(scene: Scene, error: Exception, kind: type[RagError], words: str) -> None:
    async def scenario() -> None:
        scene.script.error, scene.script.error_after = error, 2
        text = ""
        with pytest.raises(kind) as caught:
            async for update in scene.assistant.chain.astream({"question": "agent plan"}):
                text = update.text
        assert text == "An agent "
        assert words in str(caught.value)
        assert "/home" not in str(caught.value)
        scene.script.error = None
        assert (await scene.ask())[-1].phase == "done"

    asyncio.run(scenario())


@pytest.mark.parametrize("reason", [None, "length"])
def test_an_answer_that_the_model_did_not_end_is_cut_off(scene: Scene, reason: str | None) -> None:
    scene.script.reason = reason
    with pytest.raises(AnswerCutOff, match="cut off"):
        asyncio.run(scene.ask())


def test_an_answer_is_cut_where_its_model_begins_to_repeat_itself(scene: Scene) -> None:
    scene.script.tokens = ["An ", "agent ", "plans", *[" to be", " allowed"] * 200]
    last = asyncio.run(scene.ask())[-1]
    assert (last.phase, last.text) == ("done", "An agent plans to be allowed")
    assert last.notice.startswith("The model began to repeat itself and was stopped.")
    assert last.grounding
    assert scene.script.sent < 60 and scene.script.closed == 1


def test_words_held_back_come_before_the_fault(scene: Scene) -> None:
    scene.script.tokens = ["To plan", " is to", " plan"]
    scene.script.reason = "length"
    text = ""

    async def scenario() -> None:
        nonlocal text
        async for update in scene.assistant.chain.astream({"question": "agent plan"}):
            text = update.text

    with pytest.raises(AnswerCutOff, match="cut off"):
        asyncio.run(scenario())
    assert text == "To plan is to plan"


def test_an_empty_answer_is_an_error(scene: Scene) -> None:
    scene.script.tokens = ["", " "]
    with pytest.raises(AnswerCutOff, match="empty answer"):
        asyncio.run(scene.ask())


def test_silence_before_the_first_token_ends_at_its_limit(tmp_path: Path) -> None:
    scene = Scene(tmp_path, first_token_timeout=1.5)
    try:
        scene.script.gates[0] = asyncio.Event()
        with pytest.raises(EngineStalled, match="no token for"):
            asyncio.run(scene.ask())
        assert scene.script.closed == 1
    finally:
        scene.assistant.close()


def test_silence_in_the_middle_ends_at_its_limit(tmp_path: Path) -> None:
    scene = Scene(tmp_path, first_token_timeout=4.5)
    try:
        scene.script.gates[2] = asyncio.Event()
        text = ""

        async def scenario() -> None:
            nonlocal text
            async for update in scene.assistant.chain.astream({"question": "agent plan"}):
                text = update.text

        with pytest.raises(EngineStalled, match="in the middle of the answer"):
            asyncio.run(scenario())
        assert text == "An agent "
    finally:
        scene.assistant.close()


def test_beyond_the_line_it_is_busy_and_places_come_back(tmp_path: Path) -> None:
    scene = Scene(tmp_path, concurrency=1)

    async def scenario() -> None:
        gate = scene.script.gates[0] = asyncio.Event()
        first = asyncio.ensure_future(scene.ask())
        while not scene.script.asked:
            await asyncio.sleep(0)
        others = [asyncio.ensure_future(scene.ask()) for _ in range(WAITING_FOR_A_PLACE)]
        while scene.assistant.line.waiting < len(others):
            await asyncio.sleep(0)
        with pytest.raises(Busy, match="Try again"):
            await scene.ask()
        gate.set()
        assert {(await task)[-1].phase for task in (first, *others)} == {"done"}
        assert (await scene.ask())[-1].phase == "done"

    try:
        asyncio.run(scenario())
    finally:
        scene.assistant.close()


def test_earlier_turns_reach_the_model(scene: Scene) -> None:
    updates = asyncio.run(scene.ask("And its memory?", (HumanMessage("What is an agent?"), AIMessage("A program."))))
    rewriting, answering = scene.script.asked
    assert "Last question: And its memory?" in rewriting[-1].text
    assert updates[-1].asked == "What is an agent program?\nAnd its memory?"  # the script's reply is no question
    texts = [message.text for message in answering]
    assert texts[1:3] == ["What is an agent?", "A program."]
    assert "And its memory?" in texts[-1]


@pytest.mark.parametrize(("question", "words"), [("", "empty"), (" \0 ", "empty"), ("x" * 9000, "at most 8000")])
def test_a_bad_question_asks_no_model(scene: Scene, question: str, words: str) -> None:
    with pytest.raises(QuestionError, match=words):
        asyncio.run(scene.ask(question))
    assert not scene.script.asked


def test_text_of_documents_and_questions_is_never_a_template(scene: Scene) -> None:
    question = "agent plan {q} {0.__class__} {{x}} {context}"
    asyncio.run(scene.ask(question))
    assert question in scene.script.asked[0][-1].text
