"""An Ollama that is slow, or small: what is waited for, for how long, and what a person is told meanwhile."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from rag.answers.update import Update
from rag.answers.verdict.scale import EVERYDAY_FILE
from rag.assistant import Assistant
from rag.doors.cli import follow
from rag.doors.handle import Here
from rag.errors import Busy, EngineStalled
from rag.page.conversation import show_answer
from tests.conftest import make_settings, wait_until
from tests.ollama_server import LLAMA3, OllamaServer, Record

PLAN = "# Notes\n\nA plan is a list of tasks. A planner writes it before the first task begins."
TIDE = "# Tides\n\nThe moon pulls the sea, twice a day, on every shore."
EVERYDAY = {json.loads(line)["question"] for line in EVERYDAY_FILE.read_text(encoding="utf-8").splitlines()}


@pytest.fixture
def server() -> Iterator[OllamaServer]:
    with OllamaServer(reply=lambda messages: ["A ", "plan."]) as made:
        yield made


def start(folder: Path, server: OllamaServer, **given: Any) -> Assistant:
    (folder / "plan.md").write_text(PLAN, encoding="utf-8")
    (folder / "tide.md").write_text(TIDE, encoding="utf-8")
    given = {"refuse": False, "sources": (str(folder / "plan.md"),), "ollama_host": server.url, **given}
    assistant = Assistant(make_settings(folder, **given))
    assistant.start()
    wait_until(lambda: assistant.ready and not assistant.under_way, 60, lambda: str(assistant.status()))
    return assistant


async def ask(assistant: Assistant, question: str = "What is a plan?", **given: Any) -> list[Update]:
    return [update async for update in assistant.chain.astream({"question": question, **given})]


def texts(record: Record) -> list[str]:
    """What a request is to embed, without the instructions of the models' cards."""
    given = record.body["input"] if record.path == "/api/embed" else []
    return [text.rpartition(": ")[2] for text in ([given] if isinstance(given, str) else given)]


def test_cancelling_an_ingest_hangs_up_on_the_engine_and_is_told(
    server: OllamaServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, tide = tmp_path / "plan.md", tmp_path / "tide.md"
    plan.write_text(PLAN, encoding="utf-8")
    tide.write_text(TIDE, encoding="utf-8")
    handle = Here(make_settings(tmp_path, ollama_host=server.url), whole=False)
    ended: list[int] = []

    def ingest(file: Path) -> None:
        ended.append(follow(handle, lambda: handle.add([str(file)], -1, 0)))

    try:
        ingest(plan)
        with server.hold(path="/api/embed", match=lambda record: "moon" in str(record.body)) as gate:
            waiting = threading.Thread(target=ingest, args=(tide,))
            waiting.start()
            gate.wait()
            wait_until(lambda: (handle.look()["progress"] or {"source": ""})["source"] == str(tide), 60)
            handle.cancel()
            waiting.join(60)  # though the engine is still held
            server.wait_for(lambda record: "moon" in str(record.body) and record.finished == "client_gone")
        assert ended == [0, 1]
        assert "cancelled before all of it was done" in capsys.readouterr().err
        assert [entry["source"] for entry in handle.look()["sources"]] == [str(plan)]
        ingest(tide)
        assert ended == [0, 1, 0]
    finally:
        handle.close()


def test_what_questions_are_judged_by_holds_up_no_ingest_and_no_question(
    server: OllamaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag.answers.verdict.relevance.SCALE_SECONDS", 0.1)
    monkeypatch.setattr("rag.answers.whole.intent.NEAR_SECONDS", 0.1)
    with server.hold(path="/api/embed", match=lambda record: not EVERYDAY.isdisjoint(texts(record))) as gate:
        assistant = start(tmp_path, server, refuse=True)
        try:
            gate.wait()
            assert assistant.library
            assistant.library.add([str(tmp_path / "tide.md")], private=True)
            wait_until(lambda: len(assistant.sources) == 2, 60, lambda: str(assistant.status()))
            assert asyncio.run(ask(assistant, "What pulls the sea?"))[-1].text == "A plan."
            gate.release()
        finally:
            assistant.close()


def test_an_ollama_with_which_nothing_is_wrong_is_looked_at_rarely(
    server: OllamaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pause = 1.5
    monkeypatch.setattr("rag.models.ollama.SEEN_SECONDS", 1.0)
    monkeypatch.setattr("rag.background.CALM_SECONDS", pause)
    monkeypatch.setattr("rag.background.RETRY_SECONDS", 0.2)  # where something is wrong
    assistant = start(tmp_path, server)
    try:
        assistant.status()
        first = len(server.requests)
        looks = server.wait_until(lambda: of_tags if len(of_tags := tags(server.requests[first:])) > 3 else None, 60)
    finally:
        assistant.close()
    # The first may be the end of the start. `started` is taken when a request has come.
    assert all(after.started - before.started > pause * 0.9 for before, after in pairwise(looks[1:]))


def tags(records: list[Record]) -> list[Record]:
    return [record for record in records if record.path == "/api/tags"]


@pytest.mark.parametrize("slow", [True, False])
def test_a_slow_ollama_reads_in_small_batches_after_one_reload(
    server: OllamaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: bool
) -> None:
    """So that Stop is noticed soon. The window grows with it, or the model would be loaded again for that."""
    monkeypatch.setattr("rag.models.ollama_chat.SLOW_SECONDS", 0.1 if slow else 1000.0)
    monkeypatch.setattr("rag.models.ollama_chat.TELLING_TOKENS", 20)
    server.prefill_seconds = 0.2
    assistant = start(tmp_path, server)
    try:
        for _ in range(3):
            assert asyncio.run(ask(assistant))[-1].text == "A plan."
    finally:
        assistant.close()
    chats = [record for record in server.requests if record.path == "/api/chat"]
    assert [record.body["options"].get("num_batch") for record in chats] == [None, *([64, 64] if slow else [None] * 2)]
    assert [record.num_ctx for record in chats] == [4096, *([8192, 8192] if slow else [4096, 4096])]
    assert [record.loads for record in chats] == [True, slow, False]


def test_eight_questions_at_once_are_told_how_long_they_wait(tmp_path: Path) -> None:
    async def all_of_them(assistant: Assistant) -> list[list[Update]]:
        return await asyncio.gather(*(ask(assistant) for _ in range(8)))

    with OllamaServer(reply=lambda messages: ["A ", "plan."], parallel=1, prefill_seconds=0.3) as server:
        assistant = start(tmp_path, server, concurrency=2)
        try:
            answers = asyncio.run(all_of_them(assistant))
        finally:
            assistant.close()
    assert [updates[-1].text for updates in answers] == ["A plan."] * 8
    first, last = answers[0], answers[-1]
    assert all(update.ahead is None for update in first)
    told = [(update.ahead, update.seconds_ahead) for update in last if update.ahead is not None]
    assert told[0] == (7, None)  # nobody knows yet how long an answer takes
    known = [(ahead, seconds) for ahead, seconds in told if seconds is not None]
    assert known and all(seconds >= 0.3 for _, seconds in known)
    waits = dict(known)
    assert waits[max(waits)] > waits[min(waits)]


def test_the_line_says_how_long_it_may_take() -> None:
    (message, *_) = show_answer(Update(ahead=5, seconds_ahead=180.0), "What is a plan?")
    assert "5 ahead of you" in str(message.metadata) and "about 3 min to wait" in str(message.metadata)


def test_who_waits_too_long_is_told_so(server: OllamaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag.answers.stream.QUEUE_SECONDS", 0.3)
    assistant = start(tmp_path, server, concurrency=1)

    async def two() -> tuple[list[Update], str]:
        with server.hold() as gate:
            first = asyncio.ensure_future(ask(assistant))
            await asyncio.to_thread(gate.wait)
            with pytest.raises(Busy) as told:
                await ask(assistant)
            gate.release()
            return await first, str(told.value)

    try:
        updates, told = asyncio.run(two())
    finally:
        assistant.close()
    assert updates[-1].text == "A plan."
    assert "No place became free" in told and "answered or wait: 1." in told


def test_an_engine_that_is_busy_with_others_is_not_said_to_be_loading(server: OllamaServer, tmp_path: Path) -> None:
    assistant = start(tmp_path, server, concurrency=2, first_token_timeout=1.5)

    async def two() -> tuple[list[Update], str]:
        server.reply = lambda messages: [f"word{number} " for number in range(400)]
        server.tokens_per_second = 10
        first = asyncio.ensure_future(ask(assistant))
        await asyncio.to_thread(server.wait_for, lambda record: record.path == "/api/chat" and record.tokens > 1)
        with server.hold(match=lambda record: record is not writing(server)):
            with pytest.raises(EngineStalled) as told:
                await ask(assistant)
        server.tokens_per_second = None
        return await first, str(told.value)

    try:
        updates, told = asyncio.run(two())
    finally:
        assistant.close()
    assert updates[-1].text.startswith("word")
    assert "1 other question had been given to it" in told and "RAG_CONCURRENCY" in told


def writing(server: OllamaServer) -> Record:
    """The first request for an answer."""
    return next(record for record in server.requests if record.path == "/api/chat")


@pytest.mark.parametrize(("parameters", "rewrites"), [("8.0B", True), ("1.8B", False), ("135M", False)])
def test_small_models_rewrite_no_follow_ups(
    server: OllamaServer, tmp_path: Path, parameters: str, rewrites: bool
) -> None:
    server.models["llama3"] = replace(LLAMA3, parameter_size=parameters)
    assistant = start(tmp_path, server)
    history = [HumanMessage("What is a plan?"), AIMessage("A plan is a list of tasks.")]
    rewriting = "You turn the last question"

    def reply(messages: list[dict[str, Any]]) -> list[str]:
        return ["Who writes it?"] if rewriting in messages[0]["content"] else ["Nobody ", "does."]

    server.reply = reply
    try:
        update = asyncio.run(ask(assistant, "Who writes it?", history=history))[-1]
    finally:
        assistant.close()
    asked = [record for record in server.requests if rewriting in str(record.body)]
    assert len(asked) == rewrites
    # A rewriting that still leans on what was said is of no use, either.
    assert update.asked.startswith("What is a plan") and update.asked.endswith("Who writes it?")
    assert update.written.strip() == "Nobody does."
