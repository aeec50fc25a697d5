"""Ollama's wire, seen from a wire-true stand-in, and the embedded models themselves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from langchain_core.messages import AIMessage, HumanMessage

from rag.answers.update import Update
from rag.assistant import Assistant
from rag.errors import AnswerTooLong, EngineError, EngineUnreachable, ModelMissing, TextTooLong
from rag.models.auto import OLLAMA_DEFAULTS
from rag.models.choose import choose_models
from rag.models.ollama import Ollama
from tests.conftest import make_settings, wait_until
from tests.ollama_server import LLAMA3, MXBAI, ModelSpec, OllamaServer, Pullable

INSTRUCTION = "Represent this sentence for searching relevant passages: "

DEFAULT = "embedded:qwen2.5-coder-0.5b-instruct"


@pytest.fixture
def server() -> Iterator[OllamaServer]:
    with OllamaServer(reply=lambda messages: ["A ", "plan."]) as made:
        yield made


def start(folder: Path, server: OllamaServer, **given: Any) -> Assistant:
    assistant = Assistant(make_settings(folder, ollama_host=server.url, **given))
    assistant.start()
    return assistant


async def ask(assistant: Assistant, question: str = "What is task decomposition?") -> Update:
    update = Update()
    async for update in assistant.chain.astream({"question": question}):  # noqa: B007
        pass
    return update


def test_ollama_is_chosen_when_it_answers(server: OllamaServer, tmp_path: Path) -> None:
    names = choose_models(make_settings(tmp_path, ollama_host=server.url))
    assert (names.chat, names.embeddings) == ("ollama:llama3", "ollama:mxbai-embed-large")
    names = choose_models(make_settings(tmp_path, model="auto"))
    assert (names.chat, names.embeddings) == (DEFAULT, "embedded:all-minilm-l6-v2")


GB = 10**9
QWEN3 = ModelSpec(40_960, size=2_620_788_260, parameter_size="4.0B", thinks="unless told not to")
NOMIC = ModelSpec(2048, 768, 274_302_450, "nomic-bert", "137M", "F16")
LARGE = ModelSpec(8192, size=400 * GB)


@pytest.mark.parametrize(
    ("installed", "chat", "embeddings", "said"),
    [
        ({}, DEFAULT, "embedded:all-minilm-l6-v2", ["llama3", "mxbai-embed-large"]),
        ({"nomic-embed-text": NOMIC}, DEFAULT, "ollama:nomic-embed-text", ["llama3"]),
        ({"qwen3:4b": QWEN3}, "ollama:qwen3:4b", "embedded:all-minilm-l6-v2", ["mxbai-embed-large"]),
        ({"library/Llama3": LLAMA3, "qwen3:4b": QWEN3}, "ollama:llama3", "embedded:all-minilm-l6-v2", ["mxbai"]),
        (
            {"a:1b": ModelSpec(8192, size=GB), "b:3b": ModelSpec(8192, size=3 * GB), "c:400b": LARGE, "n": NOMIC},
            "ollama:b:3b",
            "ollama:n",
            [],
        ),
        ({"c:400b": LARGE, "d:cloud": ModelSpec(8192, size=384), "mxbai-embed-large": MXBAI},
         DEFAULT, "ollama:mxbai-embed-large", ["fits half", "llama3"]),
    ],
    ids=["nothing", "an embedding model", "a thinking model", "llama3 by another name", "several", "too large or far"],
)  # fmt: skip
def test_auto_takes_what_is_there(
    server: OllamaServer, tmp_path: Path, installed: dict[str, ModelSpec], chat: str, embeddings: str, said: list[str]
) -> None:
    server.models = installed
    names = choose_models(make_settings(tmp_path, ollama_host=server.url))
    assert (names.chat, names.embeddings) == (chat, embeddings)
    for name, why in zip((chat, embeddings), names.why, strict=True):
        assert why.startswith(f"{name} is the ")
    assert len(names.notes) == (chat.startswith("embedded:")) + embeddings.startswith("embedded:")
    for word in said:
        assert word in " ".join(names.notes)
    pulling = choose_models(make_settings(tmp_path, ollama_host=server.url, pull=True))
    assert (pulling.chat, pulling.embeddings) == OLLAMA_DEFAULTS


def test_a_model_that_cannot_be_shown_hides_no_other(server: OllamaServer, tmp_path: Path) -> None:
    server.fail("error", path="/api/show", status=500, times=1)
    names = choose_models(make_settings(tmp_path, ollama_host=server.url))
    assert (names.chat, names.embeddings, names.notes) == (*OLLAMA_DEFAULTS, ())


def test_names_that_ollama_takes_are_the_same_model(server: OllamaServer, tmp_path: Path) -> None:
    ollama = Ollama(make_settings(tmp_path, ollama_host=server.url))
    names = ["llama3", "Llama3", "library/llama3", "registry.ollama.ai/library/llama3:latest", "llama3:latest"]
    assert ollama.missing([*names, "llama3:70b", "me/llama3"]) == ["llama3:70b", "me/llama3"]
    assert {ollama.digest(f"ollama:{name}") for name in names} == {ollama.digest("ollama:llama3")} != {""}


@pytest.mark.parametrize("thinks", ["unless told not to", "always"])
def test_a_model_that_thinks_answers(server: OllamaServer, tmp_path: Path, thinks: Any) -> None:
    server.models["llama3"] = replace(LLAMA3, thinks=thinks)
    server.thoughts = ["hm "] * 900
    assistant = start(tmp_path, server, max_tokens=16)
    phases: dict[str, None] = {}

    async def watch() -> Update:
        update = Update()
        with server.hold(after=900) as gate:  # one who reads slowly sees the latest update, not each
            async for update in assistant.chain.astream({"question": "What is task decomposition?"}):
                phases[update.phase] = None
                if update.phase == "thinking":
                    gate.release()
        return update

    try:
        update = asyncio.run(watch())
        assert update.text == "A plan."
        assert update.thinking == ("hm " * 900 if thinks == "always" else "")
        assert (update.timings.thinking is not None) == (thinks == "always")
        assert ("thinking" in phases) == (thinks == "always")
        chat = next(item for item in server.requests if item.path == "/api/chat")
        assert chat.body["think"] is False
        # The answer alone is held against RAG_MAX_TOKENS.
        server.reply = lambda messages: [f"word{number} " for number in range(40)]
        with pytest.raises(AnswerTooLong, match="RAG_MAX_TOKENS"):
            asyncio.run(ask(assistant))
        server.thoughts = ["hm "] * 20_000
        if thinks == "always":
            with pytest.raises(AnswerTooLong, match="room for thinking"):
                asyncio.run(ask(assistant))
    finally:
        assistant.close()
    assert not any(item.truncated for item in server.requests)


@pytest.mark.parametrize(
    ("setting", "asked", "sent"),
    [("off", None, False), ("on", None, True), ("high", None, "high"), ("off", "on", True), ("on", "off", False)],
)
def test_thinking_is_as_it_was_chosen(
    server: OllamaServer, tmp_path: Path, setting: Any, asked: str | None, sent: Any
) -> None:
    server.models["llama3"] = replace(LLAMA3, thinks="unless told not to")
    assistant = start(tmp_path, server, think=setting)
    try:
        given = {"question": "What is task decomposition?", "think": asked}
        update = asyncio.run(assistant.chain.ainvoke(given))
    finally:
        assistant.close()
    assert [item for item in server.requests if item.path == "/api/chat"][-1].body["think"] == sent
    assert (update.text, update.thinking) == ("A plan.", "The notes say it." if sent else "")


def test_a_model_that_cannot_think_is_not_asked_to(server: OllamaServer, tmp_path: Path) -> None:
    assistant = start(tmp_path, server, think="high")
    try:
        assert asyncio.run(ask(assistant)).text == "A plan."
    finally:
        assistant.close()
    assert [item for item in server.requests if item.path == "/api/chat"][-1].body["think"] is False


def test_a_growing_conversation_loads_the_model_twice_at_most(server: OllamaServer, tmp_path: Path) -> None:
    server.models["llama3"] = replace(LLAMA3, context_length=131_072)
    names = (" ".join(f"step{turn}-{number}" for number in range(60)) + "." for turn in range(100))
    server.reply = lambda messages: f"A plan has {next(names)}"
    assistant = start(tmp_path, server, refuse=False)
    history: list[Any] = []
    try:
        for number in range(20):
            question = f"What is task decomposition, told for the time {number}?"
            given = {"question": question, "history": history}
            answer = asyncio.run(assistant.chain.ainvoke(given)).text
            history += [HumanMessage(question), AIMessage(answer)]
    finally:
        assistant.close()
    chats = [item for item in server.requests if item.path == "/api/chat"]
    windows = [item.num_ctx for item in chats]
    assert len(chats) >= 20
    assert sum(before != after for before, after in pairwise(windows)) <= 1
    assert not any(item.truncated for item in chats)


def test_a_model_that_comes_later_answers_without_a_restart(server: OllamaServer, tmp_path: Path) -> None:
    server.models = {"n": NOMIC}
    assistant = start(tmp_path, server)
    try:
        wait_until(lambda: assistant.ready, 120, lambda: str(assistant.status()))
        assert assistant.status()["models"]["embeddings"] == "ollama:n"
        server.models["qwen3:4b"] = QWEN3
        wait_until(lambda: assistant.models.names.chat == "ollama:qwen3:4b", 60, lambda: str(assistant.status()))
        assert asyncio.run(ask(assistant)).text == "A plan."
        assert assistant.status()["models"]["embeddings"] == "ollama:n"
    finally:
        assistant.close()


@pytest.mark.parametrize(
    ("given", "part", "words"),
    [
        ({"model": "ollama:mxbai-embed-large"}, "chat", "cannot chat. These can: ollama:llama3"),
        ({"embeddings": "ollama:llama3"}, "index", "cannot embed texts. These can: ollama:mxbai-embed-large"),
    ],
)
def test_a_model_for_something_else_is_refused(
    server: OllamaServer, tmp_path: Path, given: dict[str, str], part: str, words: str
) -> None:
    assistant = start(tmp_path, server, **given)
    try:
        wait_until(lambda: part in assistant.problems, 60)
        assert words in str(assistant.problems[part])
        assert not assistant.ready
    finally:
        assistant.close()


def test_what_goes_over_the_wire(server: OllamaServer, tmp_path: Path) -> None:
    assistant = start(tmp_path, server)
    try:
        assert asyncio.run(ask(assistant)).text == "A plan."
    finally:
        assistant.close()
    (chat,) = [item for item in server.requests if item.path == "/api/chat"]
    assert chat.body["model"] == "llama3"
    assert chat.body["options"]["temperature"] == 0
    assert chat.body["options"]["num_ctx"] == 4096
    assert not chat.truncated
    assert [message["role"] for message in chat.body["messages"]] == ["system", "user"]
    assert "What is task decomposition?" in chat.body["messages"][1]["content"]
    embeds = [item.body for item in server.requests if item.path == "/api/embed"]
    assert all(body["truncate"] is False for body in embeds)
    texts = [text for body in embeds for text in ([body["input"]] if isinstance(body["input"], str) else body["input"])]
    assert max(len(body["input"]) for body in embeds if not isinstance(body["input"], str)) <= 32
    assert [text for text in texts if text.startswith(INSTRUCTION)] == [f"{INSTRUCTION}What is task decomposition?"]


def test_a_model_named_is_waited_for_and_heals(tmp_path: Path) -> None:
    server = OllamaServer(reply=lambda messages: ["Up."])
    server.start()
    server.stop()
    assistant = start(tmp_path, server, model="ollama:llama3", embeddings="ollama:mxbai-embed-large")
    try:
        wait_until(lambda: assistant.problems, 60)
        with pytest.raises(EngineUnreachable, match=r"ollama serve.*host\.docker\.internal"):
            asyncio.run(ask(assistant))
        server.start()
        wait_until(lambda: assistant.ready, 60, lambda: str(assistant.status()))
        assert asyncio.run(ask(assistant)).text == "Up."
    finally:
        assistant.close()
        server.stop()


def test_a_missing_model_is_offered_and_pulled_only_when_asked(server: OllamaServer, tmp_path: Path) -> None:
    spec = server.models.pop("llama3")
    server.pullable = {"llama3": Pullable(spec, steps=3, step_seconds=0.3)}
    assistant = start(tmp_path, server, model="ollama:llama3")
    try:
        wait_until(lambda: "chat" in assistant.problems and assistant.sources, 60)
        with pytest.raises(ModelMissing, match=r"llama3 \(4\.7 GB\).*ollama pull llama3"):
            asyncio.run(ask(assistant))
        assert not [item for item in server.requests if item.path == "/api/pull"]
        pulling = threading.Thread(target=assistant.models.pulls.pull, args=("llama3",))
        pulling.start()
        wait_until(lambda: (work := assistant.under_way.get("pull llama3")) and work.total, 60)
        pulling.join(30)
        assert "pull llama3" not in assistant.under_way
        wait_until(lambda: assistant.ready, 60, lambda: str(assistant.status()))
        assert asyncio.run(ask(assistant)).text == "A plan."
    finally:
        assistant.close()
    with pytest.raises(EngineError, match="file does not exist"):
        list(Ollama(make_settings(tmp_path, ollama_host=server.url)).pull("nosuch"))


def test_a_pull_that_failed_says_why_and_is_tried_again(
    server: OllamaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag.models.pulls.PULL_AGAIN_SECONDS", 0.2)
    del server.models["llama3"]
    server.offline = True
    assistant = start(tmp_path, server, pull=True)
    try:
        wait_until(lambda: "chat" in assistant.problems, 60)
        told = str(assistant.problems["chat"])
        assert "no such host" in told and "tried again" in told and "--pull" not in told
        server.offline = False
        wait_until(lambda: assistant.ready, 60, lambda: str(assistant.status()))
    finally:
        assistant.close()


def test_a_slow_embedding_model_lets_questions_be_answered(
    server: OllamaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its scale, some 240 texts, is measured beside; each request has few of them."""
    monkeypatch.setattr("rag.answers.verdict.relevance.SCALE_SECONDS", 0.1)
    (tmp_path / "notes.md").write_text("# Notes\n\nA plan is a list of tasks.", encoding="utf-8")
    server.embed_seconds = 0.5
    assistant = start(tmp_path, server, sources=(str(tmp_path / "notes.md"),), refuse=True)
    try:
        wait_until(lambda: assistant.ready, 60, lambda: str(assistant.status()))
        update = asyncio.run(ask(assistant, "What is a plan?"))
        assert update.text == "A plan."
        sizes = [
            len(item.body["input"])
            for item in server.requests
            if item.path == "/api/embed" and isinstance(item.body["input"], list)
        ]
        assert max(sizes) <= 8
    finally:
        server.embed_seconds = 0.0
        assistant.close()


def test_if_retrieval_fails_the_model_is_not_asked(server: OllamaServer, tmp_path: Path) -> None:
    assistant = start(tmp_path, server)
    try:
        wait_until(lambda: assistant.ready, 60)
        assistant.chains.prepare()  # what is embedded beside the question
        server.fail("error", path="/api/embed", times=1)
        with pytest.raises(EngineError):
            asyncio.run(ask(assistant))
        assert not [item for item in server.requests if item.path == "/api/chat"]
    finally:
        assistant.close()


def test_a_chunk_longer_than_the_window_is_split(server: OllamaServer, tmp_path: Path) -> None:
    (tmp_path / "dense.txt").write_text(" ".join(f"x{number:02}" for number in range(3000)), encoding="utf-8")
    assistant = start(tmp_path, server, sources=(str(tmp_path / "dense.txt"),), chunk_size=8000)
    try:
        wait_until(lambda: assistant.ready, 60, lambda: str(assistant.status()))
        assert assistant.status()["chunks"] >= 6
    finally:
        assistant.close()


def test_the_embedded_chat_model_is_guarded_and_comes_back(tmp_path: Path) -> None:
    assistant = Assistant(make_settings(tmp_path))
    assistant.start()
    try:
        wait_until(lambda: assistant.ready, 120, lambda: str(assistant.status()))
        engine = assistant.models.engine
        assert engine and engine.process
        origin = {"Origin": "https://evil.example"}
        assert httpx.post(f"{engine.url}/v1/chat/completions", json={}, headers=origin).status_code == 401
        engine.process.kill()
        engine.process.wait()
        update = asyncio.run(ask(assistant))
        assert update.phase == "done"
        assert update.text
        assert assistant.service.index
        vectors = assistant.service.index.embeddings
        near, far, same = vectors.embed_documents(["splitting a big task", "I like cheese", "splitting a big task"])
        asked = vectors.embed_query("How is a large problem divided?")
        assert sum(a * b for a, b in zip(near, asked, strict=True)) > sum(
            a * b for a, b in zip(far, asked, strict=True)
        )
        assert near == pytest.approx(same, abs=0.02)
        assert sum(x * x for x in near) == pytest.approx(1, abs=1e-3)
        with pytest.raises(TextTooLong):
            vectors.embed_documents(["word " * 600])
    finally:
        assistant.close()
