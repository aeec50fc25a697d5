"""One model at several addresses: shared out, tried elsewhere before the first token, never after it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from rag.assistant import Assistant
from rag.errors import EngineBusy, EngineError, EngineStalled, EngineUnreachable, RagError, TextTooLong, engine_error
from rag.models.choose import build_chat_model, open_ollama
from rag.models.embedded import ChatEngine
from rag.models.engines import Balance, BalancedEmbeddings
from rag.settings import Settings
from tests.conftest import PaperEmbeddings, free_port, make_settings, wait_until
from tests.ollama_server import ModelSpec, OllamaServer, Record


@pytest.fixture
def pair() -> Iterator[list[OllamaServer]]:
    with ExitStack() as stack:
        servers = [OllamaServer(reply=lambda messages: ["An ", "agent ", "plans."]) for _ in range(2)]
        yield [stack.enter_context(server) for server in servers]


@pytest.fixture
def assistant(pair: list[OllamaServer], tmp_path: Path) -> Iterator[Assistant]:
    note = tmp_path / "note.md"
    note.write_text("An agent plans its tasks.", encoding="utf-8")
    hosts = ",".join(server.url for server in pair)
    given: dict[str, Any] = {"model": "ollama:llama3", "embeddings": "openai:paper", "ollama_host": hosts}
    settings = make_settings(tmp_path, sources=(str(note),), first_token_timeout=8, **given)
    made = Assistant(settings, embeddings=PaperEmbeddings())
    made.start()
    wait_until(lambda: made.ready, 60, lambda: str(made.status()))
    yield made
    made.close()


async def ask(assistant: Assistant) -> str:
    text = ""
    async for update in assistant.chain.astream({"question": "What plans?"}):
        text = update.text
    return text


def chats(server: OllamaServer) -> list[Record]:
    return [record for record in server.requests if record.path == "/api/chat"]


async def test_questions_go_where_least_is_to_be_done(assistant: Assistant, pair: list[OllamaServer]) -> None:
    one, two = pair
    with one.hold(after=1) as gate:
        held = asyncio.ensure_future(ask(assistant))
        await asyncio.to_thread(gate.wait, 1)
        for _ in range(3):
            assert await ask(assistant) == "An agent plans."
        assert (len(chats(one)), len(chats(two))) == (1, 3)
    assert await held == "An agent plans."
    for _ in range(4):
        await ask(assistant)
    assert (len(chats(one)), len(chats(two))) == (3, 5)  # in turn, where none has more to do


@pytest.mark.parametrize("kind", ["gone", "error", "busy", "reset", "stall"])
async def test_what_fails_before_the_first_token_is_asked_elsewhere(
    assistant: Assistant, pair: list[OllamaServer], kind: str
) -> None:
    one, two = pair
    if kind == "gone":
        one.stop()
    elif kind == "busy":
        one.fail("error", status=503, text="server busy, please try again.", times=None)
    else:
        one.fail(kind, times=None)  # type: ignore[arg-type]
    assert [await ask(assistant) for _ in range(3)] == ["An agent plans."] * 3
    assert len(chats(two)) == 3
    assert len(chats(one)) <= 1  # and not again for the next few seconds


async def test_nothing_is_asked_twice_after_the_first_token(assistant: Assistant, pair: list[OllamaServer]) -> None:
    for server in pair:
        server.fail("reset", after=1, times=None)
    with pytest.raises(EngineError, match="closed the connection in the middle"):
        await ask(assistant)
    assert len(chats(pair[0])) + len(chats(pair[1])) == 1


async def test_when_all_are_at_their_limit_that_is_said(assistant: Assistant, pair: list[OllamaServer]) -> None:
    for server in pair:
        server.fail("error", status=503, text="server busy, please try again.", times=None)
    with pytest.raises(EngineBusy, match="All 2 addresses of ollama:llama3 are at their limit"):
        await ask(assistant)


async def test_when_all_are_gone_the_address_is_said_and_it_heals(
    assistant: Assistant, pair: list[OllamaServer]
) -> None:
    for server in pair:
        server.stop()
    with pytest.raises(EngineUnreachable, match=r"Ollama is not running at http://127.0.0.1:\d+"):
        await ask(assistant)
    pair[1].start()
    wait_until(lambda: assistant.ready, 20)
    assert await ask(assistant) == "An agent plans."


def test_several_ollamas_are_one(pair: list[OllamaServer], tmp_path: Path) -> None:
    one, two = pair
    settings = make_settings(tmp_path, ollama_host=f"{one.url},{two.url},127.0.0.1:9")
    ollama = open_ollama(settings)
    assert ollama.answers()
    assert ollama.missing(["llama3", "mxbai-embed-large"]) == []
    del two.models["mxbai-embed-large"]
    assert ollama.missing(["llama3", "mxbai-embed-large"]) == ["mxbai-embed-large"]
    list(ollama.pull("mxbai-embed-large"))
    assert ollama.missing(["llama3", "mxbai-embed-large"]) == []
    assert len([record for record in one.requests if record.path == "/api/pull"]) == 0
    assert ollama.digest("ollama:llama3")
    assert {model.name for model in ollama.models()} == {"ollama:llama3", "ollama:mxbai-embed-large"}
    two.models["llama3"] = ModelSpec(4096, None, 5, "llama", "8B", "Q8_0")
    with pytest.raises(EngineError, match="different weights of llama3"):
        ollama.digest("ollama:llama3")


class Failing(PaperEmbeddings):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        super().embed_documents(texts)
        raise self.error


def test_embeddings_are_asked_elsewhere_too() -> None:
    gone, there = Failing(ConnectionError("refused")), PaperEmbeddings()
    both = BalancedEmbeddings([gone, there], Balance("ollama:x", ["http://a", "http://b"]))
    assert [both.embed_documents(["a plan"]) for _ in range(3)] == [there.embed_documents(["a plan"])] * 3
    assert len(gone.embedded) == 1
    wrong = Failing(TextTooLong("too long"))
    with pytest.raises(TextTooLong):
        BalancedEmbeddings([wrong, there], Balance("ollama:x", ["http://a", "http://b"])).embed_documents(["x"])


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChatEngine]:
    """llama.cpp's own OpenAI-compatible server, as a server of its own."""
    engine = ChatEngine("smollm2-135m-instruct", make_settings(tmp_path_factory.mktemp("llama")).cache_dir)
    engine.start()
    yield engine
    engine.close()


def openai_settings(folder: Path, *addresses: str) -> Settings:
    return make_settings(folder, model="openai:smollm2-135m-instruct", base_url=",".join(addresses), max_tokens=16)


async def test_a_real_openai_server_beside_one_that_is_gone(
    llama: ChatEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", llama.key)
    settings = openai_settings(tmp_path, f"http://127.0.0.1:{free_port()}/v1", f"{llama.url}/v1")
    model, _ = build_chat_model(settings.model, settings)
    for _ in range(2):
        text = "".join([str(chunk.text) async for chunk in model.astream("Say hello.")])
        assert text.strip()


async def test_a_key_that_is_refused_is_never_shown(
    llama: ChatEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret-key")
    settings = openai_settings(tmp_path, f"{llama.url}/v1", f"{llama.url}/v1/")
    model, _ = build_chat_model(settings.model, settings)
    with pytest.raises(RagError, match="refused the key") as raised:
        async for _ in model.astream("Say hello."):
            pass
    assert "sk-very" not in str(raised.value)

    class Repeating(Exception):
        status_code = 500
        error = "the key sk-very-secret-key is not mine"

    told = str(engine_error(Repeating(), "openai:x", "http://a"))
    assert "the key … is not mine" in told


async def test_a_silent_address_is_given_up_while_another_is_left(
    assistant: Assistant, pair: list[OllamaServer]
) -> None:
    for server in pair:
        server.fail("stall", times=None)
    with pytest.raises(EngineStalled, match="gave no token"):
        await ask(assistant)
    assert len(chats(pair[0])) == len(chats(pair[1])) == 1
