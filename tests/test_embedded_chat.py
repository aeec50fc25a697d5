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
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.retrievers import BaseRetriever
from typing_extensions import override
from werkzeug import Request, Response

from rag.answers.chain import SMALL_PROMPT_FILE, RagChain, build_prompt
from rag.models.choose import build_chat_model
from rag.models.embedded import ChatEngine
from rag.models.embedded_chat import END_PREFERENCE, PREFERENCE, EmbeddedChat
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

    def __init__(self, tokens: list[int] | None) -> None:
        self.tokens = tokens
        self.bodies: dict[str, Any] = {}
        self.server = start_server(self._answer)

    def _answer(self, request: Request) -> Response:
        assert request.headers["Authorization"] == "Bearer the key"
        self.bodies[request.path] = json.loads(request.data)
        if request.path == "/tokenize":
            told = json.dumps({"tokens": self.tokens})
            return Response(told, 500 if self.tokens is None else 200, content_type="application/json")
        delta = {"index": 0, "delta": {"content": "Peat."}, "finish_reason": "stop"}
        piece = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "paper", "choices": [delta]}
        return Response(f"data: {json.dumps(piece)}\n\ndata: [DONE]\n\n", content_type="text/event-stream")


@pytest.mark.parametrize(
    ("tokens", "bonus"),
    [([7, 9, 7], {"7": PREFERENCE, "9": PREFERENCE, "2": END_PREFERENCE}), ([], {}), (None, {})],
    ids=["tokens", "none", "failed"],
)
def test_the_tokens_of_the_text_get_a_bonus(tokens: list[int] | None, bonus: dict[str, float]) -> None:
    """An engine that does not tell its tokens is asked all the same."""
    server = Server(tokens)
    chat = EmbeddedChat(
        model="paper",
        end_token=2,
        base_url=server.server.url_for("/v1"),
        api_key="the key",  # type: ignore[arg-type]
        max_retries=0,
    )
    assert asyncio.run(collected(chat, "What closed the ditches?", preferred=NOTES)) == "Peat."
    assert server.bodies["/tokenize"]["content"].strip() == NOTES
    assert server.bodies["/v1/chat/completions"].get("logit_bias", {}) == bonus
    server.server.stop()


@pytest.mark.parametrize(("think", "biased"), [("off", True), ("on", False)])
def test_a_model_that_thinks_does_so_in_its_own_words(think: Think, biased: bool) -> None:
    server = Server([7])
    address = server.server.url_for("/v1")
    chat = EmbeddedChat(model="paper", server="llama-server", base_url=address, api_key="the key")  # type: ignore[arg-type]
    assert asyncio.run(collected(chat, "What closed the ditches?", preferred=NOTES, think=think)) == "Peat."
    assert ("logit_bias" in server.bodies["/v1/chat/completions"]) == biased
    server.server.stop()


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
        sentences=True,
        prefers=prefers,
        window=4096,
        max_tokens=100,
    )
    asyncio.run(chain.ainvoke(given))
    told = script.told  # type: ignore[attr-defined]
    assert (told and set(re.findall(r"\w+", told))) == (preferred and set(re.findall(r"\w+", NOTES)))
