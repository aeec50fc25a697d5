"""Other people's clients on one start: OpenAI's, MCP's, Gradio's, the article's WebSocket; a saved conversation."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import gradio_client
import httpx
import openai
import pytest
from langchain_core.documents import Document
from websockets.sync.client import connect

from rag.answers.quotes.quote import Quote
from rag.grounding.ground import Sentence
from rag.page.conversation import show_quotes
from rag.page.export import conversation_as_markdown
from rag.page.passages import show_passages
from tests.doors import call_mcp
from tests.serving import ANSWER, Served, frames, serve

QUESTION = "What is a plan?"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = serve(tmp_path_factory.mktemp("served"), mcp=True)
    yield made
    made.close()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = serve(tmp_path_factory.mktemp("guarded"), password="open sesame", admin_password="boss")
    yield made
    made.close()


def client_of(served: Served, key: str = "none") -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{served.url}v1", api_key=key, max_retries=0, timeout=60)


async def test_every_client_gets_the_same_from_one_start(served: Served) -> None:
    with client_of(served) as client:
        messages: Any = [{"role": "user", "content": QUESTION}]
        completion = client.chat.completions.create(model="local-rag-chat", messages=messages)
    sources = completion.model_extra["local_rag"]["sources"]  # type: ignore[index]
    assert completion.choices[0].message.content == "".join(ANSWER)
    assert completion.choices[0].finish_reason == "stop"
    assert sources[0]["title"] == "Notes"

    over_mcp = await call_mcp(served, QUESTION)
    assert (over_mcp["answer"], over_mcp["sources"]) == ("".join(ANSWER), sources)

    gradio = gradio_client.Client(served.url, verbose=False, analytics_enabled=False)
    assert gradio.predict(QUESTION, api_name="/chat") == "".join(ANSWER)
    gradio.close()

    with connect(served.socket_url) as socket:
        socket.send(QUESTION)
        got = frames(socket)
    assert "".join(frame["message"] for frame in got) == "".join(ANSWER)
    assert got[-1]["sources"] == sources


def test_the_openai_client_streams_and_gets_usage_and_sources(served: Served) -> None:
    messages: Any = [
        {"role": "system", "content": "You are a pirate."},
        {"role": "user", "content": "What is an agent?"},
        {"role": "assistant", "content": "A program."},
        {"role": "user", "content": [{"type": "text", "text": QUESTION}]},
    ]
    with client_of(served) as client:
        stream = client.chat.completions.create(
            model="ollama:llama3",
            messages=messages,
            stream=True,
            stream_options={"include_usage": True},
            temperature=0.3,
            seed=7,
            top_p=0.9,
            extra_body={"scope": ["notes.md"], "unheard_of": 1},
        )
        chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "".join(ANSWER)
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    told = next(chunk.model_extra["local_rag"] for chunk in chunks if "local_rag" in (chunk.model_extra or {}))
    assert told["sources"][0]["title"] == "Notes"
    assert told["timings"]["tokens"] == len(ANSWER)
    asked = next(each for each in reversed(served.server.requests) if each.path == "/api/chat")
    assert "pirate" in asked.body["messages"][0]["content"]  # as a wish, below the app's own rules
    assert asked.body["options"]["temperature"] == 0.3
    assert all(chunk.usage is None and "usage" in chunk.model_fields_set for chunk in chunks[:-1])
    assert "A program." in json.dumps(asked.body)
    usage = chunks[-1].usage
    assert usage
    assert told["usage_by"] == "engine"  # as Ollama counted them
    assert usage.completion_tokens == len(ANSWER)
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_models_are_listed(served: Served) -> None:
    with client_of(served) as client:
        assert [model.id for model in client.models.list()] == ["local-rag-chat", "ollama:llama3"]
        assert client.models.retrieve("ollama:llama3").id == "ollama:llama3"


ASKED: dict[str, Any] = {"role": "user", "content": QUESTION}
CALL: dict[str, Any] = {"id": "a", "type": "function", "function": {"name": "look", "arguments": "{}"}}
TOOL: dict[str, Any] = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
PICTURE: dict[str, Any] = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


@pytest.mark.parametrize(
    ("given", "words", "param"),
    [
        ({"messages": []}, "last message", "messages"),
        ({"messages": [{"role": "user", "content": " "}]}, "last message", "messages"),
        ({"messages": [ASKED, {"role": "assistant", "content": "Hello"}]}, "last message", "messages"),
        (
            {
                "messages": [
                    ASKED,
                    {"role": "assistant", "content": None, "tool_calls": [CALL]},
                    {"role": "tool", "tool_call_id": "a", "content": "42"},
                ]
            },
            "last message",
            "messages",
        ),
        ({"messages": [{"role": "user", "content": "x" * 9000}]}, "at most 8000", None),
        ({"messages": [ASKED], "n": 2}, "n has to be 1", "n"),
        ({"messages": [ASKED], "tools": [TOOL], "tool_choice": "required"}, "No tools are called", "tool_choice"),
        ({"messages": [ASKED], "response_format": {"type": "json_object"}}, "only be text", "response_format"),
        ({"messages": [{"role": "king", "content": QUESTION}]}, "messages.0.role", "messages.0.role"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": QUESTION}, PICTURE]}]},
            "part of type image_url",
            "messages.0.content",
        ),
        ({"messages": [ASKED], "model": "gpt-7"}, "no chat model gpt-7", "model"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_wrong_requests_get_openais_errors(
    served: Served, given: dict[str, Any], words: str, param: str | None, stream: bool
) -> None:
    kind = openai.NotFoundError if param == "model" else openai.BadRequestError
    with client_of(served) as client, pytest.raises(kind, match=words) as raised:
        list(client.chat.completions.create(**{"model": "local-rag-chat", "stream": stream, **given}))
    assert isinstance(raised.value.body, dict)
    assert raised.value.body["type"] == "invalid_request_error"
    assert raised.value.param == param


@pytest.mark.parametrize("stream", [False, True])
def test_a_scope_that_is_not_there_is_openais_error(served: Served, stream: bool) -> None:
    given: Any = {"messages": [ASKED], "stream": stream, "extra_body": {"scope": ["nowhere.md"]}}
    with client_of(served) as client, pytest.raises(openai.APIError, match="not in the library") as raised:
        list(client.chat.completions.create(model="local-rag-chat", **given))
    assert raised.value.type == "invalid_request_error"


@pytest.mark.parametrize("body", [b"no json", b"[1]", b"\xff"])
def test_a_body_that_is_no_request_gets_openais_error(served: Served, body: bytes) -> None:
    reply = httpx.post(f"{served.url}v1/chat/completions", content=body, timeout=30)
    assert reply.status_code == 400
    assert re.match(r"The request does not fit: \w", reply.json()["error"]["message"])


def test_what_else_openai_has_is_said_not_to_be_here(served: Served) -> None:
    with client_of(served) as client:
        with pytest.raises(openai.NotFoundError, match="no POST /v1/embeddings here") as raised:
            client.embeddings.create(model="local-rag-chat", input="plan")
        assert raised.value.type == "invalid_request_error"
        with pytest.raises(openai.NotFoundError, match="no chat model gpt-7") as raised:
            client.models.retrieve("gpt-7")
    assert raised.value.code == "model_not_found"


def test_instructions_tools_and_earlier_pictures_are_taken(served: Served) -> None:
    messages: Any = [
        {"role": "user", "content": [{"type": "text", "text": "And this?"}, PICTURE]},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "a", "content": "42"},
        {"role": "assistant", "content": "A picture."},
        ASKED,
        {"role": "developer", "content": "Be brief."},
    ]
    tools: Any = [TOOL]
    with client_of(served) as client:
        completion = client.chat.completions.create(
            model="local-rag-chat", messages=messages, tools=tools, tool_choice="auto", n=1
        )
    assert completion.choices[0].message.content == "".join(ANSWER)
    assert completion.choices[0].message.tool_calls is None
    told = next(each for each in reversed(served.server.requests) if each.path == "/api/chat").body["messages"]
    assert [each["role"] for each in told] == ["system", "user", "assistant", "user"]


def test_an_engine_that_fails_is_openais_error(served: Served) -> None:
    messages: Any = [{"role": "user", "content": QUESTION}]
    served.server.fail("error", status=500, text="out of memory")
    with client_of(served) as client, pytest.raises(openai.InternalServerError, match="out of memory") as raised:
        client.chat.completions.create(model="local-rag-chat", messages=messages)
    assert raised.value.type == "server_error"
    served.server.fail("error", after=2, text="out of memory")
    got = ""
    with client_of(served) as client, pytest.raises(openai.APIError, match="out of memory"):
        for chunk in client.chat.completions.create(model="local-rag-chat", messages=messages, stream=True):
            got += chunk.choices[0].delta.content or ""
    assert got == "".join(ANSWER[:2])


def test_an_answer_at_its_longest_has_that_finish_reason(served: Served) -> None:
    messages: Any = [{"role": "user", "content": QUESTION}]
    served.server.fail("length", after=2)
    with client_of(served) as client:
        choice = client.chat.completions.create(model="local-rag-chat", messages=messages).choices[0]
    assert (choice.message.content, choice.finish_reason) == ("".join(ANSWER[:2]), "length")


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_repeats_itself_ends_as_others_do(served: Served, stream: bool) -> None:
    given: Any = {"messages": [{"role": "user", "content": QUESTION}], "stream": stream}
    served.server.reply = lambda messages: ["An ", "agent ", "plans", *[" its", " tasks"] * 60]
    try:
        with client_of(served) as client:
            told = client.chat.completions.create(model="local-rag-chat", **given)
            pieces = list(told) if stream else [told]
    finally:
        served.server.reply = lambda messages: ANSWER
    texts = [(each.choices[0].delta if stream else each.choices[0].message).content or "" for each in pieces]
    assert "".join(texts) == "An agent plans its tasks"
    assert pieces[-1].choices[0].finish_reason == "stop"
    assert pieces[-1].model_extra["local_rag"]["notice"].startswith("The model began to repeat itself")


@pytest.mark.parametrize("after", [0, 3])
def test_an_openai_client_that_leaves_stops_the_model(served: Served, after: int) -> None:
    messages: Any = [{"role": "user", "content": QUESTION}]
    before = len(served.server.requests)
    with served.server.hold(after=after) as gate, client_of(served) as client:
        stream = client.chat.completions.create(model="local-rag-chat", messages=messages, stream=True)
        gate.wait()
        stream.close()
        served.server.wait_for(
            lambda each: each in served.server.requests[before:] and each.finished == "client_gone", 10
        )


def test_the_password_is_the_api_key(guarded: Served) -> None:
    messages: Any = [{"role": "user", "content": QUESTION}]
    with client_of(guarded, "open sesame") as client:
        assert client.chat.completions.create(model="local-rag-chat", messages=messages).choices
        with pytest.raises(openai.NotFoundError, match="no chat model gpt-7"):  # a visitor chooses no model
            client.chat.completions.create(model="gpt-7", messages=messages)
    with client_of(guarded, "wrong") as client, pytest.raises(openai.AuthenticationError, match="bearer") as raised:
        client.models.list()
    assert raised.value.type == "authentication_error"


PASSAGES = [
    Document(
        "One <b>\ntwo\n\nthree",
        metadata={
            "title": "Notes (old)",
            "section": "A",
            "source": "https://example.com/a",
            "anchor": "b",
            "start_index": 3,
        },
    ),
    Document("Four", metadata={"title": "File", "source": "/tmp/f.md"}),
]
HISTORY: list[dict[str, Any]] = [
    {"role": "user", "content": [{"type": "text", "text": "What is a plan?\nIn short."}]},
    {"role": "assistant", "content": "A **list** of tasks."},
    {
        "role": "assistant",
        "content": show_passages(PASSAGES, [Sentence(0, 9, passage=1, quote=(0, 7))], "ab12"),
        "metadata": {"title": "Sources · 2 passages", "status": "done"},
    },
    {
        "role": "assistant",
        "content": show_quotes([(0, Quote(1, 0, 10))], [Document("One *b*\ntwo")], "From your sources", "ab12"),
        "metadata": {"id": "quotes"},
    },
    {"role": "user", "content": "And?"},
    {"role": "assistant", "content": "Ollama is gone", "metadata": {"title": "⚠ Not answered: gone"}},
]


def test_a_conversation_becomes_markdown_with_its_sources() -> None:
    """What is folded is as `show_passages` makes it; its links within the page and to the words are left out."""
    folded = str(HISTORY[2]["content"])
    assert "Read it in the source" in folded and "↗" in folded and "<small>One &lt;b&gt; two" in folded
    text = conversation_as_markdown(HISTORY)
    assert re.match(r"# Conversation of \d{4}-\d\d-\d\d", text)
    assert text.partition("\n\n")[2] == (
        "## What is a plan? In short.\n\nA **list** of tasks.\n\n*Sources · 2 passages*\n\n"
        "1. **Notes (old) › A**, <https://example.com/a#b>\n\n   > One <b>\n   > two\n   >\n   > three\n\n"
        "2. **File**, `/tmp/f.md`\n\n   > Four\n\n> “One *b*\n> tw” [1]\n\n## And?\n\n*⚠ Not answered: gone*\n"
    )


def test_metrics_are_told_in_the_form_of_prometheus(served: Served) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    httpx.get(f"{served.url}predict", params={"query": QUESTION}, timeout=30)
    reply = httpx.get(f"{served.url}metrics", timeout=30)
    families = {family.name: family for family in text_string_to_metric_families(reply.text)}
    assert reply.headers["content-type"].startswith("text/plain")
    assert families["rag_ready"].samples[0].value == 1
    assert families["rag_chunks"].samples[0].value >= 1


def test_a_body_without_a_length_that_is_too_large_is_refused_in_openais_words(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    pieces = (b" " * 2**20 for _ in range(30))
    reply = httpx.post(f"{served.url}v1/chat/completions", content=pieces, timeout=60)
    assert (reply.status_code, reply.json()["error"]["code"]) == (413, "too_large")
    assert not [record for record in caplog.records if record.exc_info]
