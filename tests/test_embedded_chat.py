"""Small embedded models prefer the words of the notes: the request, the reply, and when that is left out."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.retrievers import BaseRetriever
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests
from typing_extensions import override
from werkzeug import Request, Response

from rag.answers.chain import RagChain
from rag.answers.prompt import SMALL_PROMPT_FILE, build_prompt
from rag.errors import EngineError, PromptTooLong, engine_error
from rag.models.choose import build_chat_model
from rag.models.embedded import ChatEngine
from rag.models.embedded_chat import END_PREFERENCE, PREFERENCE, EmbeddedChat, EngineRefused
from rag.settings import Think, load_settings
from tests.conftest import SMALLEST, PaperEmbeddings, Script, ScriptedChat, have_smallest, make_settings, start_server

NOTES = "Haldmoor is a raised bog of 740 hectares. The wardens closed 5,300 ditches with dams of peat."


@pytest.fixture(scope="module")
def engine() -> Iterator[ChatEngine]:
    have_smallest()
    made = ChatEngine(SMALLEST.partition(":")[2], load_settings().cache_dir)
    made.start()
    yield made
    made.close()


def test_the_reply_leans_to_the_preferred_words(engine: ChatEngine, tmp_path: Path) -> None:
    """The real model tells of a bog that it was not told of, with the words that it is given."""
    chat = build_chat_model(SMALLEST, make_settings(tmp_path, max_tokens=60), engine).model
    assert isinstance(chat, EmbeddedChat)
    assert chat.end_token == 2  # <|im_end|>

    def share(**options: str) -> float:
        words = re.findall(r"\w+", asyncio.run(collected(chat, "Tell something of a bog.", **options)))
        return sum(word in NOTES for word in words) / len(words)

    assert share(preferred=NOTES) > 1.4 * share()


class Server:
    """The wire of llama-server: `/tokenize` gives `tokens`, or fails without them."""

    def __init__(self, tokens: list[int] | None, *deltas: dict[str, str]) -> None:
        """`deltas` are what it writes."""
        self.tokens = tokens
        self.deltas = deltas or ({"content": "Peat."},)
        self.bodies: dict[str, Any] = {}
        self.server = start_server(self._answer)

    def _answer(self, request: Request) -> Response:
        assert request.headers["Authorization"] == "Bearer the key"
        self.bodies[request.path] = json.loads(request.data)
        if request.path == "/tokenize":
            told = json.dumps({"tokens": self.tokens})
            return Response(told, 500 if self.tokens is None else 200, content_type="application/json")
        head = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "paper"}
        ends = [None] * (len(self.deltas) - 1) + ["stop"]
        choices = [
            {"index": 0, "delta": delta, "finish_reason": end} for delta, end in zip(self.deltas, ends, strict=True)
        ]
        events = [f"data: {json.dumps({**head, 'choices': [each]}, ensure_ascii=False)}\n\n" for each in choices]
        return Response("".join(events) + "data: [DONE]\n\n", content_type="text/event-stream")

    def chat(self, **given: Any) -> EmbeddedChat:
        return EmbeddedChat(model="paper", url=self.server.url_for(""), key="the key", **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tokens", "bonus"),
    [([7, 9, 7], {"7": PREFERENCE, "9": PREFERENCE, "2": END_PREFERENCE}), ([], {}), (None, {})],
    ids=["tokens", "none", "failed"],
)
def test_the_tokens_of_the_text_get_a_bonus(tokens: list[int] | None, bonus: dict[str, float]) -> None:
    """An engine that does not tell its tokens is asked all the same."""
    server = Server(tokens)
    chat = server.chat(end_token=2)
    assert asyncio.run(collected(chat, "What closed the ditches?", preferred=NOTES)) == "Peat."
    assert server.bodies["/tokenize"]["content"].strip() == NOTES
    assert server.bodies["/v1/chat/completions"].get("logit_bias", {}) == bonus
    server.server.stop()


@pytest.mark.parametrize(("think", "biased"), [("off", True), ("on", False)])
def test_a_model_that_thinks_does_so_in_its_own_words(think: Think, biased: bool) -> None:
    server = Server([7])
    chat = server.chat(can_think=True)
    assert asyncio.run(collected(chat, "What closed the ditches?", preferred=NOTES, think=think)) == "Peat."
    body = server.bodies["/v1/chat/completions"]
    assert (body["chat_template_kwargs"], "logit_bias" in body) == ({"enable_thinking": not biased}, biased)
    server.server.stop()


def test_thinking_and_text_are_told_apart_whatever_characters_they_have() -> None:
    """A token of U+2028 is no line's end, and an event that only tells how much was read has no text."""
    server = Server([], {"reasoning_content": "Hm.\u2028"}, {}, {"content": "One\u2028"}, {"content": "two\x85."})

    async def read() -> list[AIMessageChunk]:
        return [piece async for piece in server.chat().astream("What is there?")]

    pieces = asyncio.run(read())
    assert "".join(piece.additional_kwargs.get("reasoning_content", "") for piece in pieces) == "Hm.\u2028"
    assert "".join(piece.text for piece in pieces) == "One\u2028two\x85."
    server.server.stop()


@pytest.mark.parametrize(
    ("status", "reply", "kind", "words"),
    [
        (400, {"error": {"code": 400, "message": "exceeds the context size"}}, PromptTooLong, "context size"),
        (401, {"error": {"code": 401, "message": "Invalid API Key"}}, EngineError, "refused the key"),
        (503, {"error": {"code": 503, "message": "Loading model"}}, EngineError, "reported: Loading model"),
        (500, "<html>", EngineError, "reported: <html>"),
        (200, {"error": {"code": 500, "message": "out of memory"}}, EngineError, "reported: out of memory"),
        (200, ["no event"], EngineError, "not its protocol"),
    ],
    ids=["too long", "key", "loading", "no JSON", "in the stream", "another protocol"],
)
def test_what_the_engine_refuses_is_told(status: int, reply: Any, kind: type[EngineError], words: str) -> None:
    text = reply if isinstance(reply, str) else json.dumps(reply)
    server = start_server(lambda request: Response(f"data: {text}\n\n" if status == 200 else text, status))
    chat = EmbeddedChat(model="paper", url=server.url_for(""), key="the key")  # type: ignore[arg-type]
    with pytest.raises((EngineRefused, AttributeError)) as raised:
        asyncio.run(collected(chat, "What closed the ditches?"))
    told = engine_error(raised.value, "embedded:paper", "this machine")
    assert isinstance(told, kind)
    assert words in str(told)
    server.stop()


class TestChatUnit(ChatModelUnitTests):
    """LangChain's own suite for chat models, without an engine."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return EmbeddedChat

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "smol", "url": "http://127.0.0.1:9", "key": "the key"}


class TestChat(ChatModelIntegrationTests):
    """LangChain's own suite for chat models, with the real engine."""

    @pytest.fixture(autouse=True)
    def _engine(self, engine: ChatEngine) -> None:
        self.given = {"url": engine.url, "key": engine.key}

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return EmbeddedChat

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "smol", "max_tokens": 8, **getattr(self, "given", {"url": "http://127.0.0.1:9", "key": "-"})}


async def collected(chat: EmbeddedChat, question: str, **options: str) -> str:
    return "".join([piece.text async for piece in chat.astream(question, **options)])


class Preferring(ScriptedChat):
    """A scripted model that can be told of preferred words, and notes them."""

    preferred: str = ""

    @override
    async def _astream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        self.script.told = kwargs.get("preferred")
        async for piece in super()._astream(messages, stop, run_manager, **kwargs):
            yield piece


class Shelf(BaseRetriever):
    """Finds the notes."""

    @override
    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        return [Document(NOTES, metadata={"title": "Haldmoor"})]


@pytest.mark.parametrize(
    ("given", "prefers", "preferred"),
    [
        ({"question": "What did the wardens close the ditches with?"}, True, NOTES),
        ({"question": "What did the wardens close the ditches with?"}, False, None),
        ({"question": "Ditches?"}, True, NOTES),
        ({"question": "Womit haben die Wärter die vielen Gräben im Moor geschlossen?"}, True, None),
        ({"question": "What closed them?", "instructions": "Answer in Welsh."}, True, None),
    ],
    ids=["in its language", "not to be", "language not sure", "in another language", "with wishes"],
)
def test_the_words_of_the_quotes_are_preferred(given: dict[str, str], prefers: bool, preferred: str | None) -> None:
    """Not where the answer is to be in other words than theirs."""
    script = Script()
    chain = RagChain(
        Shelf(),
        build_prompt(SMALL_PROMPT_FILE),
        Preferring(script=script),
        embeddings=PaperEmbeddings(),
        reads_quotes=True,
        prefers=prefers,
        window=4096,
        max_tokens=100,
    )
    asyncio.run(chain.ainvoke(given))
    told = script.told  # type: ignore[attr-defined]
    assert (told and set(re.findall(r"\w+", told))) == (preferred and set(re.findall(r"\w+", NOTES)))
