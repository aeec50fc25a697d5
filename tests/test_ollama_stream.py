"""Ollama's stream as it is read: what came together is one part, nothing is lost, faults come in their place."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import ollama
import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk
from langchain_tests.integration_tests import ChatModelIntegrationTests, EmbeddingsIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from rag.errors import EngineError, EngineStalled, EngineUnreachable, ModelMissing, RagError, TextTooLong, engine_error
from rag.models.ollama_chat import OllamaChat
from rag.models.ollama_embeddings import OllamaEmbeddings
from rag.models.ollama_stream import merged
from tests.conftest import wait_until
from tests.ollama_server import LLAMA3, OllamaServer

TOKENS = [f"{number} " for number in range(1000)]


@pytest.fixture
def server() -> Iterator[OllamaServer]:
    with OllamaServer(reply=lambda messages: TOKENS) as made:
        yield made


def model_on(url: str, read_seconds: float = 30.0, **given: Any) -> OllamaChat:
    return OllamaChat(model="llama3", base_url=url, window=8192, answer_tokens=100, read_seconds=read_seconds, **given)


def line(content: str, done: bool = False, **more: Any) -> dict[str, Any]:
    return {"model": "m", "created_at": "", "message": {"role": "assistant", "content": content}, "done": done, **more}


def test_only_text_is_put_together() -> None:
    call = line("")
    call["message"]["tool_calls"] = [{"function": {"name": "add", "arguments": {}}}]
    thought = line("")
    thought["message"]["thinking"] = "Hm."
    parts = [line("a"), line("b"), call, line("c"), thought, line("d"), line("", True, done_reason="stop")]
    found = list(merged(parts))
    assert [part["message"]["content"] for part in found] == ["ab", "", "cd", ""]
    assert found[1] is call
    assert found[2]["message"]["thinking"] == "Hm."
    assert found[3]["done_reason"] == "stop"


def test_what_came_before_an_error_comes_before_it() -> None:
    came = []
    with pytest.raises(ollama.ResponseError, match="out of memory"):
        for part in merged([line("a"), line("b"), {"error": "out of memory"}, line("c")]):
            came.append(part["message"]["content"])
    assert came == ["ab"]


def test_all_tokens_arrive_in_order_in_few_pieces(server: OllamaServer) -> None:
    async def read() -> list[AIMessageChunk]:
        return [piece async for piece in model_on(server.url).astream("hello")]

    async def many() -> list[list[AIMessageChunk]]:
        return await asyncio.gather(*(read() for _ in range(8)))

    for pieces in asyncio.run(many()):
        assert "".join(piece.text for piece in pieces) == "".join(TOKENS)
        assert len(pieces) < len(TOKENS)
        whole = sum(pieces[1:], pieces[0])
        assert whole.response_metadata["done_reason"] == "stop"
        assert whole.response_metadata["model_name"] == "llama3"
        assert whole.usage_metadata
        assert whole.usage_metadata["output_tokens"] == len(TOKENS)


@pytest.mark.parametrize("after", [1, 2, 7])
def test_no_token_waits_for_the_next(server: OllamaServer, after: int) -> None:
    async def read() -> None:
        text = ""
        with server.hold(after=after) as gate:
            async with aclosing(model_on(server.url).astream("hello")) as pieces:  # type: ignore[type-var]
                async for piece in pieces:
                    text += piece.text
                    if text == "".join(TOKENS[:after]):  # all there is, and the engine is silent
                        gate.release()
        assert text == "".join(TOKENS)

    asyncio.run(asyncio.wait_for(read(), 30))


@pytest.mark.parametrize("after", [0, 5])
def test_closing_the_stream_ends_the_engines_work(server: OllamaServer, after: int) -> None:
    async def leave() -> None:
        async def read() -> None:
            async for _ in model_on(server.url).astream("hello"):
                pass

        reading = asyncio.ensure_future(read())
        await asyncio.to_thread(gate.wait)
        reading.cancel()
        await asyncio.wait({reading})
        await asyncio.to_thread(server.wait_for, lambda record: record.finished == "client_gone")

    with server.hold(after=after) as gate:
        asyncio.run(leave())


def test_who_reads_nothing_holds_the_engine_back() -> None:
    """What is not read waits in the socket's buffers, and then at the engine."""
    most = 40_000

    def sent(server: OllamaServer) -> int:
        return next(record.tokens for record in server.requests if record.path == "/api/chat")

    async def read_one(server: OllamaServer) -> None:
        async with aclosing(model_on(server.url).astream("hello")) as pieces:  # type: ignore[type-var]
            async for _ in pieces:
                seen = -1

                def still() -> bool:
                    nonlocal seen
                    before, seen = seen, sent(server)
                    return seen == before

                await asyncio.to_thread(wait_until, still, 30)
                assert sent(server) < most
                return

    with OllamaServer(reply=lambda messages: ["x" * 2000] * most) as server:
        asyncio.run(read_one(server))


@pytest.mark.parametrize(
    ("fault", "after", "kind", "words"),
    [
        ({"kind": "error", "status": 500}, 0, EngineError, "model runner has unexpectedly stopped"),
        ({"kind": "error", "status": 404, "text": "model 'llama3' not found"}, 0, ModelMissing, "ollama pull llama3"),
        ({"kind": "error"}, 3, EngineError, "model runner has unexpectedly stopped"),
        ({"kind": "malformed"}, 3, EngineError, "not its protocol"),
        ({"kind": "blank"}, 3, EngineError, "not its protocol"),
        ({"kind": "list"}, 3, EngineError, "not its protocol"),
        ({"kind": "html"}, 0, EngineError, "not its protocol"),
        ({"kind": "reset"}, 3, EngineError, "closed the connection"),
        ({"kind": "reset"}, 0, EngineError, "closed the connection"),
        ({"kind": "cut"}, 3, EngineError, "closed the connection"),
        ({"kind": "stall"}, 3, EngineStalled, "stopped answering"),
        ({"kind": "stall"}, 0, EngineStalled, "stopped answering"),
    ],
)
def test_faults_say_what_happened(
    server: OllamaServer, fault: dict[str, Any], after: int, kind: type[RagError], words: str
) -> None:
    limit = 2.0 if fault["kind"] == "stall" else 60.0

    async def read() -> str:
        text = ""
        try:
            async for piece in model_on(server.url, read_seconds=limit).astream("hello"):
                text += piece.text
        except Exception as error:
            told = engine_error(error, "ollama:llama3", server.url)
            assert type(told) is kind, repr(error)
            assert words in str(told)
            return text
        raise AssertionError(f"no fault after {text[:50]!r}")

    server.fail(fault.pop("kind"), after=after, **fault)
    assert asyncio.run(read()) == "".join(TOKENS[:after])


def test_nobody_there() -> None:
    async def read() -> None:
        async for _ in model_on("http://127.0.0.1:9").astream("hello"):
            pass

    with pytest.raises(Exception) as caught:
        asyncio.run(read())
    assert isinstance(engine_error(caught.value, "ollama:llama3", "http://127.0.0.1:9"), EngineUnreachable)


def test_a_broken_connection_loses_nothing_that_came_before(server: OllamaServer) -> None:
    """The reader is slow, and the connection breaks while it does something else."""

    async def read() -> str:
        text = ""
        try:
            async with aclosing(model_on(server.url).astream("hello")) as pieces:  # type: ignore[type-var]
                async for piece in pieces:
                    text += piece.text
                    await asyncio.sleep(0.2)
        except Exception as error:
            assert isinstance(engine_error(error, "ollama:llama3", server.url), EngineError)
            return text
        raise AssertionError("no fault")

    server.fail("cut", after=300)
    assert asyncio.run(read()) == "".join(TOKENS[:300])


def test_without_asyncio_it_is_the_same(server: OllamaServer) -> None:
    pieces = list(model_on(server.url).stream("hello"))
    assert "".join(piece.text for piece in pieces) == "".join(TOKENS)
    whole = sum(pieces[1:], pieces[0])
    assert whole.response_metadata["done_reason"] == "stop"
    assert whole.usage_metadata and whole.usage_metadata["output_tokens"] == len(TOKENS)
    answer = model_on(server.url).invoke("hello")
    assert (answer.text, answer.response_metadata["done_reason"]) == ("".join(TOKENS), "stop")


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_thinking_is_told_apart_and_not_counted(server: OllamaServer, way: str) -> None:
    server.models["llama3"] = replace(LLAMA3, thinks="always")
    server.thoughts = ["hm "] * 50
    model = model_on(server.url, num_predict=20, can_think=True)

    async def read() -> list[AIMessageChunk]:
        return [piece async for piece in model.astream("hello")]

    pieces = asyncio.run(read()) if way == "astream" else list(model.stream("hello"))
    whole = sum(pieces[1:], pieces[0])
    assert whole.additional_kwargs["reasoning_content"] == "hm " * 50
    assert whole.text.startswith("".join(TOKENS[:21]))  # cut off once it is longer than `num_predict`
    assert whole.response_metadata["done_reason"] == "length"
    assert server.requests[-1].body["think"] is False


def test_a_key_for_ollama_is_sent(server: OllamaServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", "secret")
    embeddings = OllamaEmbeddings("mxbai-embed-large", server.url)
    asyncio.run(embeddings.aembed_query("text"))
    embeddings.embed_query("text")
    asyncio.run(model_on(server.url).ainvoke("hello"))
    assert [record.headers["authorization"] for record in server.requests] == ["Bearer secret"] * 3


def test_both_ways_of_embedding_ask_the_same(server: OllamaServer) -> None:
    embeddings = OllamaEmbeddings("mxbai-embed-large", server.url)
    question = embeddings.embed_query("a plan")
    assert asyncio.run(embeddings.aembed_query("a plan")) == question
    text = embeddings.embed_documents(["a plan"])
    assert asyncio.run(embeddings.aembed_documents(["a plan"])) == text != [question]
    one, two, three, four = [record.body for record in server.requests]
    for body in (one, three):
        body.pop("options", None)
    assert (one, three) == (two, four)
    assert two["keep_alive"] == "30m" and two["truncate"] is False


@pytest.mark.parametrize("way", ["at once", "awaited"])
def test_a_question_too_long_for_the_embedding_model_is_told_as_such(server: OllamaServer, way: str) -> None:
    embeddings = OllamaEmbeddings("mxbai-embed-large", server.url)
    with pytest.raises(TextTooLong, match=r"The question is longer than the window.*fewer words"):
        if way == "at once":
            embeddings.embed_query("word " * 3000)
        else:
            asyncio.run(embeddings.aembed_query("word " * 3000))


CHAT = {"model": "llama3", "base_url": "http://127.0.0.1:9", "window": 8192, "answer_tokens": 100}


class TestChatUnit(ChatModelUnitTests):
    """LangChain's own suite for chat models, without an engine."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return OllamaChat

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return CHAT


class TestChat(ChatModelIntegrationTests):
    """LangChain's own suite for chat models, over the wire."""

    @pytest.fixture(autouse=True)
    def _server(self, server: OllamaServer) -> None:
        self.url = server.url
        server.models["other"] = LLAMA3

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return OllamaChat

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {**CHAT, "base_url": getattr(self, "url", CHAT["base_url"])}

    @property
    def supports_model_override(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "other"


class TestEmbeddings(EmbeddingsIntegrationTests):
    """LangChain's own suite for embeddings, over the wire."""

    @pytest.fixture(autouse=True)
    def _server(self, server: OllamaServer) -> None:
        self.url = server.url

    @property
    def embeddings_class(self) -> type[Embeddings]:
        return OllamaEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model": "mxbai-embed-large", "base_url": self.url}
