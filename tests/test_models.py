"""Models by name: the whole assistant against a wire-true Ollama, and against an OpenAI-compatible engine."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib.util
import re
import socket
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from rag import chain
from rag.assistant import Assistant, Work
from rag.chain import Update
from rag.embedded import ChatEngine
from rag.errors import (
    AnswerCutOff,
    EngineError,
    EngineStalled,
    EngineUnreachable,
    ModelMissing,
    PromptTooLong,
    RagError,
    SettingsError,
)
from rag.models import (
    EMBEDDED_DEFAULTS,
    INSTRUCTIONS,
    OLLAMA_DEFAULTS,
    build_chat_model,
    build_embeddings,
    choose_models,
)
from tests.conftest import Pages, PaperEmbeddings, make_settings, wait_until
from tests.ollama_server import (
    LLAMA3,
    LOADING,
    MXBAI,
    FaultKind,
    ModelSpec,
    OllamaServer,
    Pullable,
    Record,
    estimate_tokens,
)

# httpx clients have no owner that closes them (the app keeps them until its process ends); what is collected with
# an idle connection in its pool warns.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning"),
]

QUESTION = "How does an agent plan?"
TOKENS = ["An ", "agent ", "plans."]
QUERY_INSTRUCTION = INSTRUCTIONS["mxbai-embed-large"][0]
ON_OLLAMA = {"model": OLLAMA_DEFAULTS[0], "embeddings": OLLAMA_DEFAULTS[1]}
HANG = 30.0
"""Seconds after which a test is hanging: never a measure of speed."""
SHORT_PAGE = "<p>An agent is a program that plans. It keeps its memory in a store and calls tools for its tasks.</p>"


@dataclass
class Asked:
    """What came of a question."""

    updates: list[Update] = field(default_factory=list)
    error: RagError | None = None

    @property
    def text(self) -> str:
        return self.updates[-1].text if self.updates else ""

    @property
    def phases(self) -> list[str]:
        seen = [update.phase for update in self.updates]
        return [phase for number, phase in enumerate(seen) if number == 0 or seen[number - 1] != phase]


async def ask(
    assistant: Assistant,
    question: str = QUESTION,
    history: Sequence[BaseMessage] = (),
    on_update: Callable[[Update], None] = lambda _: None,
) -> Asked:
    """Put a question; whatever is raised that is no RagError fails the test."""
    asked = Asked()

    async def read() -> None:
        async for update in assistant.stream_answer(question, history):
            asked.updates.append(update)
            on_update(update)

    try:
        await asyncio.wait_for(read(), HANG)
    except RagError as error:
        asked.error = error
    return asked


async def until(condition: Callable[[], Any], told: Callable[[], Any] = lambda: "") -> None:
    await asyncio.to_thread(wait_until, condition, HANG, lambda: str(told()))


async def is_ready(assistant: Assistant) -> None:
    await until(lambda: assistant.ready, assistant.status)


async def has_problem(assistant: Assistant, name: str, words: str = "") -> RagError:
    await until(lambda: words in str(assistant.problems.get(name, "")) and name in assistant.problems, assistant.status)
    return assistant.problems[name]


async def close(assistant: Assistant) -> None:
    """Close the assistant, and its clients in the loop that they were used in."""
    await asyncio.to_thread(assistant.close)
    model = assistant._chat[0] if assistant._chat else None
    for client in (getattr(model, "_async_client", None), getattr(assistant._embeddings, "_async_client", None)):
        if client is not None:
            await client.close()


@contextlib.asynccontextmanager
async def assistant_in(folder: Path, server: OllamaServer | str, **given: Any) -> AsyncIterator[Assistant]:
    """An assistant on that Ollama, with both its models there unless `given` says otherwise; not waited for."""
    host = server if isinstance(server, str) else server.url
    embeddings = given.pop("own_embeddings", None)
    assistant = Assistant(make_settings(folder, **{"ollama_host": host, **ON_OLLAMA, **given}), embeddings=embeddings)
    assistant.start()
    try:
        yield assistant
    finally:
        await close(assistant)


@pytest.fixture(scope="module", autouse=True)
def _collected_here() -> Iterator[None]:
    """What the filters above let pass is collected before other test files run."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def server() -> Iterator[OllamaServer]:
    with OllamaServer(reply=lambda _: list(TOKENS)) as running:
        yield running


@pytest.fixture
def short(pages: Pages) -> str:
    """The address of a page with one chunk."""
    pages.pages["/short"] = SHORT_PAGE
    return f"{pages.url}/short"


@pytest.fixture
def dead_port() -> int:
    """A port where nothing listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    return port


def to(server: OllamaServer, path: str) -> list[Record]:
    return [record for record in list(server.requests) if record.path == path]


def is_for_people(error: BaseException | None) -> str:
    """The text of a RagError, which must be words without a path, a traceback or an empty place."""
    assert isinstance(error, RagError), error
    text = str(error)
    assert len(text.split()) > 4, f"no sentence: {text!r}"
    assert not re.search(r"(?<![\w/:])/\w[\w.-]*/|[A-Z]:\\|Traceback|\bFile \"|\.py\b|object at 0x", text), text
    assert not re.search(r"\(\)|''|\bNone\b|  ", text), text
    return text


# -- which models ----------------------------------------------------------------------------------------------------


def test_auto_takes_ollama_where_it_answers(tmp_path: Path, server: OllamaServer) -> None:
    assistant = Assistant(make_settings(tmp_path, ollama_host=server.url))
    assert (assistant.names.chat, assistant.names.embeddings) == OLLAMA_DEFAULTS
    assert OLLAMA_DEFAULTS == ("ollama:llama3", "ollama:mxbai-embed-large")
    assert assistant.names.ollama_answered


def test_auto_takes_ollama_even_before_it_has_the_models(tmp_path: Path, server: OllamaServer) -> None:
    server.models.clear()
    assert choose_models(make_settings(tmp_path, ollama_host=server.url)).chat == "ollama:llama3"


def test_auto_takes_the_embedded_models_where_nothing_answers(tmp_path: Path, dead_port: int) -> None:
    assistant = Assistant(make_settings(tmp_path, ollama_host=f"127.0.0.1:{dead_port}"))
    assert (assistant.names.chat, assistant.names.embeddings) == EMBEDDED_DEFAULTS
    assert not assistant.names.ollama_answered


def test_another_server_at_the_address_is_no_ollama(tmp_path: Path, pages: Pages) -> None:
    for answer in ("<h1>Router</h1>", (200, {"Content-Type": "application/json"}, "[]"), (500, {}, "no")):
        pages.pages["/api/tags"] = answer
        assert choose_models(make_settings(tmp_path, ollama_host=pages.url)).chat == EMBEDDED_DEFAULTS[0], answer


def test_a_port_that_takes_connections_and_stays_silent_is_no_ollama(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        names = choose_models(make_settings(tmp_path, ollama_host=f"127.0.0.1:{listener.getsockname()[1]}"))
    assert (names.chat, names.embeddings) == EMBEDDED_DEFAULTS


@pytest.mark.parametrize("up", [True, False])
@pytest.mark.parametrize("which", ["model", "embeddings"])
def test_what_is_named_is_obeyed_and_the_rest_is_auto(
    tmp_path: Path, server: OllamaServer, dead_port: int, which: str, up: bool
) -> None:
    host = server.url if up else f"127.0.0.1:{dead_port}"
    names = choose_models(make_settings(tmp_path, ollama_host=host, **{which: "ollama:mine:7b"}))
    defaults = OLLAMA_DEFAULTS if up else EMBEDDED_DEFAULTS
    assert (names.chat, names.embeddings) == (
        ("ollama:mine:7b", defaults[1]) if which == "model" else (defaults[0], "ollama:mine:7b")
    )


def test_no_probe_where_both_are_named(tmp_path: Path, server: OllamaServer) -> None:
    choose_models(make_settings(tmp_path, ollama_host=server.url, model="openai:a", embeddings="openai:b"))
    assert not server.requests


async def test_a_named_model_is_awaited_while_ollama_is_down_and_heals(tmp_path: Path, short: str) -> None:
    with OllamaServer() as found:
        port = found.port
    async with assistant_in(tmp_path, f"127.0.0.1:{port}", sources=(short,)) as assistant:
        for name in ("chat", "index"):
            text = is_for_people(await has_problem(assistant, name))
            for word in ("Ollama", "ollama serve", "OLLAMA_HOST", "host.docker.internal", str(port)):
                assert word in text, text
        assert assistant.names.chat == "ollama:llama3"
        assert not assistant.ready
        asked = await ask(assistant)
        assert isinstance(asked.error, EngineUnreachable)
        assert "ollama serve" in str(asked.error)
        with OllamaServer(port=port, reply=lambda _: list(TOKENS)):
            await is_ready(assistant)
            assert assistant.problems == {} and assistant.status()["problems"] == {}
            assert (await ask(assistant)).text == "An agent plans."


async def test_a_host_that_does_not_resolve_is_said(tmp_path: Path, short: str) -> None:
    async with assistant_in(tmp_path, "http://no-such-host.invalid:11434", sources=(short,)) as assistant:
        text = is_for_people(await has_problem(assistant, "chat"))
        assert "no-such-host.invalid" in text and "OLLAMA_HOST" in text


async def test_it_heals_although_the_first_look_into_the_model_failed(
    tmp_path: Path, server: OllamaServer, short: str
) -> None:
    server.fail("error", path="/api/show", text="disk is slow", times=1)
    async with assistant_in(tmp_path, server, sources=(short,)) as assistant:
        assert "disk is slow" in is_for_people(await has_problem(assistant, "chat"))
        await is_ready(assistant)
        assert (await ask(assistant)).text == "An agent plans."


@pytest.mark.parametrize("name", ["Llama3", "llama3:latest", "library/llama3"])
async def test_a_name_that_ollama_knows_is_not_called_missing(
    tmp_path: Path, server: OllamaServer, short: str, name: str
) -> None:
    """Ollama takes any case and its own namespace for the same model, so the app must not ask to pull it."""
    async with assistant_in(tmp_path, server, sources=(short,), model=f"ollama:{name}") as assistant:
        await until(lambda: assistant.ready or "chat" in assistant.problems)
        assert assistant.problems == {} and not assistant.missing
        assert (await ask(assistant)).text == "An agent plans."


# -- on the wire -----------------------------------------------------------------------------------------------------


async def test_what_the_chat_model_is_sent(tmp_path: Path, server: OllamaServer) -> None:
    history = (HumanMessage("What is an agent?"), AIMessage("A program."))
    async with assistant_in(tmp_path, server) as assistant:
        await is_ready(assistant)
        asked = await ask(assistant, "What are the types of memory an agent can have?", history)
    assert asked.updates[-1].phase == "done"
    (record,) = to(server, "/api/chat")
    body = record.body
    assert body["model"] == "llama3"
    assert body["stream"] is True
    assert not body.get("tools")
    options = body["options"]
    assert options["temperature"] == 0
    assert options["num_ctx"] == 4096
    assert options["num_predict"] == 512
    assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant", "user"]
    system, first, second, last = (message["content"] for message in body["messages"])
    assert "careful assistant" in system and "memory" not in system, "no document text in the system's part"
    assert (first, second) == ("What is an agent?", "A program.")
    assert "What are the types of memory an agent can have?" in last
    for source in asked.updates[-1].sources:
        assert source.page_content in last
    assert not record.truncated
    assert record.num_ctx == 4096


async def test_what_the_embedding_model_is_sent(tmp_path: Path, server: OllamaServer) -> None:
    async with assistant_in(tmp_path, server, chunk_size=150, chunk_overlap=0) as assistant:
        await is_ready(assistant)
        documents = to(server, "/api/embed")
        chunks = assistant.status()["chunks"]
        await ask(assistant)
    (question,) = to(server, "/api/embed")[len(documents) :]
    assert question.body["input"] == [QUERY_INSTRUCTION + QUESTION]
    sizes = [len(record.body["input"]) for record in documents]
    assert chunks > 64 and sum(sizes) == chunks
    assert max(sizes) == 32
    for record in [*documents, question]:
        assert record.body["model"] == "mxbai-embed-large"
        assert record.body["truncate"] is False
        assert not record.truncated
    assert not [text for record in documents for text in record.body["input"] if "Represent this" in text]


async def test_sentences_are_embedded_in_batches_too(tmp_path: Path, server: OllamaServer) -> None:
    async with assistant_in(tmp_path, server, context="sentences", k=12) as assistant:
        await is_ready(assistant)
        await ask(assistant)
    assert max(len(record.body["input"]) for record in to(server, "/api/embed")) <= 32


async def test_only_queries_of_models_whose_card_asks_for_it_get_an_instruction(
    tmp_path: Path, server: OllamaServer, short: str
) -> None:
    server.models = {"llama3": LLAMA3, "plain": MXBAI, "nomic-embed-text:v1.5": MXBAI, "me/mxbai-embed-large": MXBAI}
    expected = {
        "plain": ("", ""),
        "nomic-embed-text:v1.5": ("search_query: ", "search_document: "),
        "me/mxbai-embed-large": (QUERY_INSTRUCTION, ""),
    }
    for name, (query, document) in expected.items():
        server.requests.clear()
        folder = tmp_path / re.sub(r"\W", "-", name)
        async with assistant_in(folder, server, sources=(short,), embeddings=f"ollama:{name}") as assistant:
            await is_ready(assistant)
            await ask(assistant)
        texts = [text for record in to(server, "/api/embed") for text in record.body["input"]]
        assert texts[0].startswith(document + "An agent is a program")
        assert texts[1:] == [query + QUESTION]


async def test_the_window_grows_in_powers_of_two_and_never_shrinks(tmp_path: Path, server: OllamaServer) -> None:
    server.models["llama3"] = ModelSpec(131_072)
    turns = [HumanMessage("Tell me of plans."), AIMessage("A plan is a list of steps. " * 100)]
    async with assistant_in(tmp_path, server, max_context=32_768) as assistant:
        await is_ready(assistant)
        for repeated in (0, 4, 0, 9, 1):
            assert (await ask(assistant, history=turns * repeated)).text == "An agent plans."
    records = to(server, "/api/chat")
    assert [record.body["options"]["num_ctx"] for record in records] == [4096, 8192, 8192, 16_384, 16_384]
    assert not any(record.truncated for record in records)


@pytest.mark.parametrize(
    ("trained", "allowed", "used"), [(20_000, 65_536, 20_000), (65_536, 5000, 5000), (1500, 9000, 1500)]
)
async def test_the_window_never_exceeds_the_models_or_the_settings(
    tmp_path: Path, server: OllamaServer, pages: Pages, trained: int, allowed: int, used: int
) -> None:
    server.models["llama3"] = ModelSpec(trained)
    pages.pages["/long"] = "".join(
        f"<p>Agent {n} plans its task with tool number {n}. {'So it goes. ' * 70}</p>" for n in range(80)
    )
    turns = [HumanMessage("Go on."), AIMessage("A plan is a list of steps. " * 200)] * 20
    sources = (f"{pages.url}/long",)
    async with assistant_in(tmp_path, server, sources=sources, k=50, max_context=allowed) as assistant:
        await is_ready(assistant)
        for history in ([], turns):
            assert (await ask(assistant, history=history)).text == "An agent plans."
    records = to(server, "/api/chat")
    asked_for = [record.body["options"]["num_ctx"] for record in records]
    assert asked_for == sorted(asked_for) and asked_for[-1] == used
    assert [record.num_ctx for record in records] == asked_for, "the model can do it"
    assert not any(record.truncated for record in records)
    assert all(QUESTION in record.body["messages"][-1]["content"] for record in records)


async def test_a_question_beyond_the_window_is_refused_before_the_model(
    tmp_path: Path, server: OllamaServer, short: str
) -> None:
    given = {"max_context": 1024, "own_embeddings": PaperEmbeddings(), "embeddings": "openai:paper"}
    async with assistant_in(tmp_path, server, sources=(short,), **given) as assistant:
        await is_ready(assistant)
        asked = await ask(assistant, "plan " * 1000)
        assert isinstance(asked.error, PromptTooLong)
        assert "1024" in is_for_people(asked.error)
        assert not to(server, "/api/chat")
        assert (await ask(assistant)).text == "An agent plans."


async def test_numbers_are_not_cut_in_silence(tmp_path: Path, server: OllamaServer, pages: Pages) -> None:
    """A table of numbers takes more tokens than prose of its length (Llama 3: two for each "7 ")."""
    pages.pages["/table"] = "".join(f"<p>plan {row}: {'4 1 7 0 2 9 ' * 80}</p>" for row in range(12))
    sources = (f"{pages.url}/table",)
    given = {"own_embeddings": PaperEmbeddings(), "embeddings": "openai:paper", "k": 9}
    async with assistant_in(tmp_path, server, sources=sources, **given) as assistant:
        await is_ready(assistant)
        await ask(assistant)
    (record,) = to(server, "/api/chat")
    sent = sum(estimate_tokens(message["content"]) for message in record.body["messages"])
    assert sent > 2500, "enough to matter"
    assert not record.truncated, f"{sent} tokens in a window of {record.num_ctx}"


async def test_an_over_long_chunk_is_split_again_and_never_cut(
    tmp_path: Path, server: OllamaServer, pages: Pages
) -> None:
    words = [f"word{number:04d}" for number in range(2000)]
    pages.pages["/long"] = f"<p>{' '.join(words)}</p>"
    sources = (f"{pages.url}/long",)
    async with assistant_in(tmp_path, server, sources=sources, chunk_size=8000, chunk_overlap=0) as assistant:
        await is_ready(assistant)
        chunks = assistant.status()["chunks"]
        asked = await ask(assistant, " ".join(words[1100:1130]))
        assert any("word1115" in source.page_content for source in asked.updates[-1].sources)
    records = to(server, "/api/embed")
    assert any(record.status == 400 for record in records), "it was too long at first"
    assert not any(record.truncated for record in records)
    taken = [text for record in records[:-1] if record.status == 200 for text in record.body["input"]]
    assert len(taken) == chunks > 8
    assert " ".join(taken).split() == words, "every word once, in order"


async def test_one_long_word_is_split_too(tmp_path: Path, server: OllamaServer, pages: Pages) -> None:
    text = "".join(f"{number:04d}" for number in range(1500))
    pages.pages["/blob"] = f"<p>{text}</p>"
    sources = (f"{pages.url}/blob",)
    async with assistant_in(tmp_path, server, sources=sources, chunk_size=6000, chunk_overlap=0) as assistant:
        await is_ready(assistant)
    records = to(server, "/api/embed")
    assert "".join(text for record in records if record.status == 200 for text in record.body["input"]) == text


async def test_one_vector_short_is_an_error_and_stores_nothing(tmp_path: Path, server: OllamaServer) -> None:
    server.fail("short", path="/api/embed", times=None)
    async with assistant_in(tmp_path, server) as assistant:
        text = is_for_people(await has_problem(assistant, "index"))
        assert "vectors" in text and "texts" in text
        assert assistant.status()["chunks"] == 0
        assert not assistant.ready
        assert assistant._store is not None and assistant._store._collection.count() == 0
        server.faults.clear()
        await is_ready(assistant)
        assert (await ask(assistant)).text == "An agent plans."


async def test_a_proxy_in_the_environment_is_not_asked_for_this_machine(
    tmp_path: Path, server: OllamaServer, short: str, dead_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{dead_port}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(ON_OLLAMA, "model", "auto")
    async with assistant_in(tmp_path, server, sources=(short,)) as assistant:
        assert assistant.names.chat == "ollama:llama3"
        await is_ready(assistant)
        asked = await ask(assistant)
        assert (asked.error, asked.text) == (None, "An agent plans.")


# -- models that are not pulled --------------------------------------------------------------------------------------


async def test_a_model_that_is_not_pulled_is_named_and_not_pulled_unasked(
    tmp_path: Path, server: OllamaServer, short: str
) -> None:
    server.models.clear()
    async with assistant_in(tmp_path, server, sources=(short,)) as assistant:
        for name, model, size in (("chat", "llama3", "4.7 GB"), ("index", "mxbai-embed-large", "670 MB")):
            problem = await has_problem(assistant, name)
            assert isinstance(problem, ModelMissing)
            text = is_for_people(problem)
            for word in (model, size, f"ollama pull {model}", "--pull", server.url):
                assert word in text, text
        assert sorted(assistant.status()["missing"]) == ["llama3", "mxbai-embed-large"]
        asked = await ask(assistant)
        assert isinstance(asked.error, ModelMissing)
        assert not to(server, "/api/pull")


async def test_the_size_of_another_tag_is_not_made_up(tmp_path: Path, server: OllamaServer, short: str) -> None:
    async with assistant_in(tmp_path, server, sources=(short,), model="ollama:llama3:70b") as assistant:
        text = is_for_people(await has_problem(assistant, "chat"))
    assert "llama3:70b" in text
    assert "GB" not in text, "4.7 GB is the size of llama3:latest; the 70b tag has 40 GB"


async def test_pulling_shows_progress_and_heals(tmp_path: Path, server: OllamaServer, short: str) -> None:
    server.models.clear()
    async with assistant_in(tmp_path, server, sources=(short,)) as assistant:
        for name in ("chat", "index"):
            await has_problem(assistant, name)
        for model, size in (("llama3", LLAMA3.size), ("mxbai-embed-large", MXBAI.size)):
            steps: list[Work] = await asyncio.to_thread(lambda name: list(assistant.pull(name)), model)
            assert all(model in step.label for step in steps)
            bytes_done = [step.done for step in steps if step.total == size]
            assert bytes_done == sorted(bytes_done) and len(set(bytes_done)) > 2 and bytes_done[-1] == size
            assert steps[-1].label.endswith("success")
        await is_ready(assistant)
        assert assistant.status()["missing"] == [] and assistant.status()["awaiting"] == []
        assert (await ask(assistant)).text == "An agent plans."
    assert len(to(server, "/api/pull")) == 2


async def test_the_embedding_model_alone_is_missing(tmp_path: Path, server: OllamaServer, short: str) -> None:
    del server.models["mxbai-embed-large"]
    async with assistant_in(tmp_path, server, sources=(short,)) as assistant:
        text = is_for_people(await has_problem(assistant, "index"))
        assert "mxbai-embed-large" in text and "670 MB" in text and "ollama pull mxbai-embed-large" in text
        asked = await ask(assistant)
        assert isinstance(asked.error, ModelMissing) and "mxbai-embed-large" in str(asked.error)
        assert not to(server, "/api/chat")
        server.models["mxbai-embed-large"] = MXBAI  # pulled by hand, in a terminal
        await is_ready(assistant)
        assert (await ask(assistant)).text == "An agent plans."


async def test_with_the_flag_missing_models_are_pulled_at_start(
    tmp_path: Path, server: OllamaServer, short: str
) -> None:
    server.models.clear()
    async with assistant_in(tmp_path, server, sources=(short,), pull=True) as assistant:
        await is_ready(assistant)
        assert (await ask(assistant)).text == "An agent plans."
    assert sorted(record.body["model"] for record in to(server, "/api/pull")) == ["llama3", "mxbai-embed-large"]


async def test_with_the_flag_nothing_is_pulled_that_is_there(tmp_path: Path, server: OllamaServer, short: str) -> None:
    async with assistant_in(tmp_path, server, sources=(short,), pull=True) as assistant:
        await is_ready(assistant)
    assert not to(server, "/api/pull")


async def test_with_the_flag_a_pull_that_broke_off_is_taken_up_again(
    tmp_path: Path, server: OllamaServer, short: str
) -> None:
    del server.models["llama3"]
    server.fail("cut", after=3, path="/api/pull", times=1)
    async with assistant_in(tmp_path, server, sources=(short,), pull=True) as assistant:
        await is_ready(assistant)
    assert [record.finished for record in to(server, "/api/pull")] == ["fault", "complete"]


@pytest.mark.parametrize("name", ["no-such-model", "me/no-such:1b"])
async def test_pulling_what_does_not_exist_is_a_clear_error(
    tmp_path: Path, server: OllamaServer, short: str, name: str
) -> None:
    async with assistant_in(tmp_path, server, sources=(short,)) as assistant:
        await is_ready(assistant)
        with pytest.raises(EngineError) as caught:
            await asyncio.to_thread(lambda: list(assistant.pull(name)))
        text = is_for_people(caught.value)
        assert "file does not exist" in text
        assert name in text, text
        assert assistant.status()["awaiting"] == []
        assert (await ask(assistant)).text == "An agent plans."


async def test_with_the_flag_what_does_not_exist_stays_a_clear_error(
    tmp_path: Path, server: OllamaServer, short: str
) -> None:
    async with assistant_in(tmp_path, server, sources=(short,), pull=True, model="ollama:no-such") as assistant:
        await until(lambda: to(server, "/api/pull"))
        assert "no-such" in is_for_people(await has_problem(assistant, "chat"))
        looks = len(to(server, "/api/tags"))
        assistant.retry()
        await until(lambda: len(to(server, "/api/tags")) > looks)
        assistant.retry()
        await until(lambda: len(to(server, "/api/tags")) > looks + 1)
        assert "file does not exist" in is_for_people(assistant.problems["chat"]), "why it is not there"


async def test_a_pull_that_is_given_up_ends_on_the_server(tmp_path: Path, server: OllamaServer, short: str) -> None:
    async with assistant_in(tmp_path, server, sources=(short,)) as assistant:
        await is_ready(assistant)
        server.pullable["big"] = Pullable(ModelSpec(4096), steps=50)
        gate = server.hold(after=5, path="/api/pull")
        pulling = assistant.pull("big")
        for _ in range(3):
            await asyncio.to_thread(next, pulling)
        await asyncio.to_thread(gate.wait)
        assert any("big" in label for label in assistant.status()["awaiting"])
        await asyncio.to_thread(pulling.close)
        await asyncio.to_thread(server.wait_for, lambda r: r.path == "/api/pull" and r.finished == "client_gone")
        gate.release()
        assert assistant.status()["awaiting"] == []


@pytest.mark.parametrize(("kind", "after"), [("cut", 3), ("reset", 0), ("no_done", 3), ("malformed", 2), ("html", 0)])
async def test_a_pull_that_fails_says_so_and_can_be_repeated(
    tmp_path: Path, server: OllamaServer, kind: FaultKind, after: int
) -> None:
    del server.models["llama3"]
    assistant = Assistant(make_settings(tmp_path, ollama_host=server.url, **ON_OLLAMA))  # not started: only its pull
    server.fail(kind, after=after, path="/api/pull")
    with pytest.raises(EngineError) as caught:
        await asyncio.to_thread(lambda: list(assistant.pull("llama3")))
    is_for_people(caught.value)
    assert assistant.work == {}
    assert (await asyncio.to_thread(lambda: list(assistant.pull("llama3"))))[-1].label.endswith("success")


async def test_pulling_while_ollama_is_down_says_how_to_start_it(tmp_path: Path, dead_port: int) -> None:
    assistant = Assistant(make_settings(tmp_path, ollama_host=f"127.0.0.1:{dead_port}", **ON_OLLAMA))
    with pytest.raises(EngineUnreachable, match="ollama serve"):
        await asyncio.to_thread(lambda: list(assistant.pull("llama3")))


async def test_a_model_that_is_deleted_meanwhile_is_missing_and_comes_back(
    tmp_path: Path, server: OllamaServer, short: str
) -> None:
    async with assistant_in(tmp_path, server, sources=(short,)) as assistant:
        await is_ready(assistant)
        spec = server.models.pop("llama3")
        asked = await ask(assistant)
        assert isinstance(asked.error, ModelMissing)
        assert "ollama pull llama3" in is_for_people(asked.error)
        await has_problem(assistant, "chat", "llama3")
        server.models["llama3"] = spec
        assert (await ask(assistant)).text == "An agent plans."


# -- faults of the engine --------------------------------------------------------------------------------------------


@dataclass
class Stage:
    server: OllamaServer
    assistant: Assistant


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """One assistant for all faults: each has to leave it whole for the next."""
    folder = tmp_path_factory.mktemp("stage")
    pages = Pages()
    pages.pages["/short"] = SHORT_PAGE
    given = {"sources": (f"{pages.url}/short",), "first_token_timeout": 1.2, "idle_timeout": 1.2}
    with pytest.MonkeyPatch.context() as patch, OllamaServer(reply=lambda _: list(TOKENS)) as server:
        patch.chdir(folder)
        async with assistant_in(folder, server, **given) as assistant:
            await is_ready(assistant)
            yield Stage(server, assistant)
    pages.close()


BUSY = {"status": 503, "text": "server busy, please try again.  maximum pending requests exceeded"}
LEAKS = {"text": "unable to load model: /root/.ollama/models/blobs/sha256-6a0746a1ec1a"}
FAULTS: list[tuple[FaultKind, int, dict[str, Any], type[RagError], str]] = [
    ("error", 0, {"status": 500}, EngineError, "model runner has unexpectedly stopped"),
    ("error", 0, BUSY, EngineError, "at its limit"),
    ("error", 0, LEAKS, EngineError, "unable to load model"),
    ("error", 2, {"text": "an error was encountered while running the model"}, EngineError, "while running the model"),
    ("error", 2, LEAKS, EngineError, "unable to load model"),
    ("error", 0, {"text": ""}, EngineError, "failed"),
    ("reset", 0, {}, EngineError, "closed the connection"),
    ("reset", 2, {}, EngineError, "closed the connection"),
    ("cut", 0, {}, EngineError, "closed the connection"),
    ("cut", 2, {}, EngineError, "closed the connection"),
    ("malformed", 0, {}, EngineError, "not its protocol"),
    ("malformed", 2, {}, EngineError, "not its protocol"),
    ("blank", 0, {}, EngineError, "not its protocol"),
    ("blank", 2, {}, EngineError, "not its protocol"),
    ("list", 0, {}, EngineError, "not its protocol"),
    ("list", 2, {}, EngineError, "not its protocol"),
    ("html", 0, {}, EngineError, "not its protocol"),
    ("stall", 0, {}, EngineStalled, "gave no token"),
    ("stall", 2, {}, EngineStalled, "in the middle"),
    ("no_done", 0, {}, RagError, "without"),
    ("no_done", 2, {}, AnswerCutOff, "cut off"),
    ("length", 2, {}, AnswerCutOff, "RAG_MAX_TOKENS"),
]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("kind", "after", "more", "expected", "words"), FAULTS)
async def test_a_fault_is_said_what_came_stays_and_the_next_question_works(
    stage: Stage,
    caplog: pytest.LogCaptureFixture,
    kind: FaultKind,
    after: int,
    more: dict[str, Any],
    expected: type[RagError],
    words: str,
) -> None:
    server, assistant = stage.server, stage.assistant
    came = "".join(TOKENS[:after])
    gate = server.hold(after=after) if after else None  # until what came is seen: a reset may overtake it
    server.fail(kind, after=after, **more)

    def seen(update: Update) -> None:
        if gate and update.text == came:
            gate.release()

    asked = await ask(assistant, on_update=seen)
    assert isinstance(asked.error, expected), repr(asked.error)
    assert words in is_for_people(asked.error)
    if "the log has the details" in str(asked.error):
        assert any(record.exc_info for record in caplog.records), "and it has"
    assert asked.text == came
    assert asked.updates[-1].phase != "done"
    if kind == "stall":
        await asyncio.to_thread(server.wait_for, lambda r: r.fault == "stall" and r.finished == "client_gone")
        server.requests[:] = [record for record in server.requests if record.fault != "stall"]
    again = await ask(assistant)
    assert (again.error, again.text, again.updates[-1].phase) == (None, "An agent plans.", "done")
    assert server.open_streams == 0


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("kind", ["error", "reset", "malformed", "blank", "list", "html", "short"])
async def test_where_retrieval_fails_the_chat_model_is_not_asked(stage: Stage, kind: FaultKind) -> None:
    server, assistant = stage.server, stage.assistant
    before = len(to(server, "/api/chat"))
    server.fail(kind, path="/api/embed")
    asked = await ask(assistant)
    assert isinstance(asked.error, EngineError), repr(asked.error)
    assert "Ollama" in is_for_people(asked.error)
    assert asked.text == "" and asked.updates[-1].sources == ()
    assert len(to(server, "/api/chat")) == before
    assert (await ask(assistant)).text == "An agent plans."
    assert len(to(server, "/api/chat")) == before + 1


@pytest.mark.asyncio(loop_scope="module")
async def test_a_search_that_hangs_is_laid_to_the_engine_that_hangs(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chain, "RETRIEVAL_SECONDS", 0.5)
    server, assistant = stage.server, stage.assistant
    before = len(to(server, "/api/chat"))
    with server.hold(path="/api/embed") as gate:
        asked = await ask(assistant)
        assert gate.held == 1
    text = is_for_people(asked.error)
    assert "embedding" in text and "llama3" not in text, f"whose fault it is: {text}"
    assert (await ask(assistant)).text == "An agent plans."
    assert len(to(server, "/api/chat")) == before + 1


@pytest.mark.asyncio(loop_scope="module")
async def test_a_question_longer_than_the_embedding_window_is_answered_or_refused_as_such(stage: Stage) -> None:
    """Below RAG_MAX_QUESTION, but beyond the 512 tokens of the embedding model."""
    asked = await ask(stage.assistant, "How does an agent plan its tasks with the tools that it has? " * 60)
    if asked.error is None:
        assert asked.text == "An agent plans."
    else:
        assert "question" in is_for_people(asked.error), asked.error


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("text", ["half \ud83d of a smile", "a \0 in it", "\ufeff\u202e\u200d\x1b[31m"])
async def test_odd_characters_in_earlier_turns_do_not_end_the_conversation(stage: Stage, text: str) -> None:
    asked = await ask(stage.assistant, text + QUESTION, [HumanMessage(text), AIMessage(text)])
    assert (asked.error, asked.text) == (None, "An agent plans.")


async def test_ollama_gone_between_search_and_answer(tmp_path: Path, server: OllamaServer, short: str) -> None:
    """The embeddings are another engine's, so that it is the chat request itself which finds nobody."""
    given = {"own_embeddings": PaperEmbeddings(), "embeddings": "openai:paper"}
    async with assistant_in(tmp_path, server, sources=(short,), **given) as assistant:
        await is_ready(assistant)
        server.stop()
        asked = await ask(assistant)
        assert isinstance(asked.error, EngineUnreachable)
        assert "ollama serve" in is_for_people(asked.error)


@pytest.mark.parametrize("asked_meanwhile", [True, False])
async def test_ollama_started_again_during_the_session(
    tmp_path: Path, server: OllamaServer, short: str, asked_meanwhile: bool
) -> None:
    async with assistant_in(tmp_path, server, sources=(short,)) as assistant:
        await is_ready(assistant)
        assert (await ask(assistant)).text == "An agent plans."
        server.stop()
        if asked_meanwhile:
            await has_problem(assistant, "chat", "ollama serve")
            assert not assistant.ready
            assert isinstance((await ask(assistant)).error, EngineUnreachable)
        server.start()
        again = await ask(assistant)
        assert (again.error, again.text) == (None, "An agent plans.")
        assert assistant.ready


async def test_ollama_killed_in_the_middle_of_an_answer(tmp_path: Path, server: OllamaServer, short: str) -> None:
    async with assistant_in(tmp_path, server, sources=(short,)) as assistant:
        await is_ready(assistant)
        server.hold(after=2)
        killer = threading.Thread(target=server.stop)

        def seen(update: Update) -> None:
            if update.text == "An agent " and not killer.ident:
                killer.start()

        asked = await ask(assistant, on_update=seen)
        await asyncio.to_thread(killer.join, HANG)
        assert isinstance(asked.error, EngineError)
        assert "closed the connection" in is_for_people(asked.error)
        assert asked.text == "An agent "
        server.gates.clear()
        server.start()
        assert (await ask(assistant)).text == "An agent plans."


# -- stopping and waiting --------------------------------------------------------------------------------------------


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("after", [LOADING, 0, 1, 2])
async def test_stop_ends_the_work_on_the_server(stage: Stage, after: int) -> None:
    server, assistant = stage.server, stage.assistant
    server.models["llama3"] = ModelSpec(8192)
    if after == LOADING:
        server._loaded.clear()  # as when keep_alive is over
    server.requests.clear()
    with server.hold(after=after) as gate:
        stream = assistant.stream_answer(QUESTION)
        async for update in stream:
            if gate.held and update.text == "".join(TOKENS[: max(0, after)]):
                break
        assert server.open_streams == 1
        await asyncio.wait_for(stream.aclose(), HANG)
        record = await asyncio.to_thread(server.wait_for, lambda r: r.path == "/api/chat" and r.finished is not None)
    assert record.finished == "client_gone"
    assert record.tokens == max(0, after)
    again = await ask(assistant)
    assert (again.error, again.text) == (None, "An agent plans.")


@pytest.mark.asyncio(loop_scope="module")
async def test_stop_while_searching_asks_no_model(stage: Stage) -> None:
    server, assistant = stage.server, stage.assistant
    server.requests.clear()
    with server.hold(path="/api/embed") as gate:
        stream = assistant.stream_answer(QUESTION)
        async for update in stream:
            if gate.held and update.phase == "searching":
                break
        await asyncio.wait_for(stream.aclose(), HANG)
    assert (await ask(assistant)).text == "An agent plans."
    assert len(to(server, "/api/chat")) == 1, "only the second question came to the model"


@pytest.mark.asyncio(loop_scope="module")
async def test_cancelling_the_task_ends_the_work_on_the_server(stage: Stage) -> None:
    server, assistant = stage.server, stage.assistant
    server.requests.clear()
    with server.hold(after=1) as gate:
        task = asyncio.ensure_future(ask(assistant))
        await asyncio.to_thread(gate.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(server.wait_for, lambda r: r.path == "/api/chat" and r.finished == "client_gone")
    assert (await ask(assistant)).text == "An agent plans."


async def test_a_slow_load_is_told_apart_from_slow_reading(tmp_path: Path, server: OllamaServer, short: str) -> None:
    async with assistant_in(tmp_path, server, sources=(short,)) as assistant:
        await is_ready(assistant)
        loading, reading = server.hold(after=LOADING), server.hold(after=0)
        held = [False, False]

        def seen(update: Update) -> None:
            if loading.held and update.phase == "loading" and not held[0]:
                held[0] = True
                loading.release()
            if reading.held and update.phase == "reading" and held[0] and not held[1]:
                held[1] = True
                reading.release()

        asked = await ask(assistant, on_update=seen)
        assert asked.text == "An agent plans."
        phases = asked.phases
        assert "loading" in phases
        assert phases.index("loading") < len(phases) - 1 - phases[::-1].index("reading") < phases.index("writing")
        server.requests.clear()
        with server.hold(after=0) as gate:  # loaded now: never called loading

            def answered(update: Update) -> None:
                if gate.held and len(to(server, "/api/ps")) > 1:
                    gate.release()

            asked = await ask(assistant, on_update=answered)
        assert asked.text == "An agent plans."
        assert "loading" not in asked.phases


async def test_a_question_that_comes_early_waits_for_the_models(
    tmp_path: Path, server: OllamaServer, short: str
) -> None:
    gate = server.hold(path="/api/embed")
    async with assistant_in(tmp_path, server, sources=(short,)) as assistant:

        def seen(update: Update) -> None:
            if gate.held and update.timings.total > 0:
                gate.release()

        asked = await ask(assistant, on_update=seen)
        assert asked.text == "An agent plans."
        assert "starting" in asked.phases


# -- other providers -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChatEngine]:
    """A second, real engine that speaks the OpenAI protocol: the embedded one, as a server of its own."""
    one = ChatEngine("smollm2-135m-instruct", make_settings(tmp_path_factory.mktemp("engine")).cache_dir)
    one.start()
    yield one
    one.close()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("proxied", [False, True])
async def test_an_openai_compatible_server_answers(
    tmp_path: Path,
    server: OllamaServer,
    short: str,
    engine: ChatEngine,
    dead_port: int,
    monkeypatch: pytest.MonkeyPatch,
    proxied: bool,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", engine.key)
    if proxied:  # as in many offices; the server is on this machine all the same
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{dead_port}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
    given = {"model": f"openai:{engine.model}", "base_url": f"{engine.url}/v1", "sources": (short,)}
    async with assistant_in(tmp_path, server, max_tokens=16, **given) as assistant:
        await is_ready(assistant)
        asked = await ask(assistant, "What is an agent?")
    if isinstance(asked.error, AnswerCutOff):  # it may have had more to say than 16 tokens: it did answer
        assert "RAG_MAX_TOKENS" in str(asked.error)
    else:
        assert asked.error is None, asked.error
        assert asked.updates[-1].phase == "done"
    assert len(asked.text.split()) > 3
    assert asked.updates[-1].sources


@pytest.mark.asyncio(loop_scope="module")
async def test_its_window_is_asked_of_it(tmp_path: Path, engine: ChatEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", engine.key)
    settings = make_settings(tmp_path, base_url=f"{engine.url}/v1", max_context=100_000)
    _, window = await asyncio.to_thread(build_chat_model, f"openai:{engine.model}", settings)
    assert window == 8192, "what SmolLM2 was trained for (config.json of the model)"


@pytest.mark.asyncio(loop_scope="module")
async def test_a_wrong_key_is_said(
    tmp_path: Path, server: OllamaServer, short: str, engine: ChatEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "wrong")
    given = {"model": f"openai:{engine.model}", "base_url": f"{engine.url}/v1", "sources": (short,)}
    async with assistant_in(tmp_path, server, **given) as assistant:
        await is_ready(assistant)
        asked = await ask(assistant)
    assert isinstance(asked.error, EngineError)
    text = is_for_people(asked.error)
    assert "key" in text and engine.url in text and engine.key not in text and "wrong" not in text


@pytest.mark.asyncio(loop_scope="module")
async def test_an_openai_compatible_server_that_is_down(
    tmp_path: Path, server: OllamaServer, short: str, dead_port: int
) -> None:
    given = {"model": "openai:any", "base_url": f"http://127.0.0.1:{dead_port}/v1", "sources": (short,)}
    async with assistant_in(tmp_path, server, **given) as assistant:
        await is_ready(assistant)
        asked = await ask(assistant)
    assert isinstance(asked.error, EngineUnreachable)
    text = is_for_people(asked.error)
    assert "RAG_BASE_URL" in text and str(dead_port) in text


MISSING_PACKAGE = next(
    f"{provider}:some-model"
    for provider, package in (("anthropic", "langchain_anthropic"), ("groq", "langchain_groq"))
    if importlib.util.find_spec(package) is None
)


@pytest.mark.parametrize("name", ["nosuch:model", MISSING_PACKAGE, "openai:some-model"])
def test_what_cannot_be_used_is_a_setting_in_one_line(tmp_path: Path, name: str) -> None:
    """An unknown provider, a package that is not installed, and a key that is not set."""
    settings = make_settings(tmp_path)
    for build, variable in ((build_chat_model, "RAG_MODEL"), (build_embeddings, "RAG_EMBEDDINGS")):
        if name == MISSING_PACKAGE and build is build_embeddings:
            continue  # a provider of chat models only
        with pytest.raises(SettingsError) as caught:
            build(name, settings)
        text = str(caught.value)
        assert "\n" not in text and len(text) < 400
        assert text.startswith(f"{variable}: {name} cannot be used: ")
        assert len(text) > len(f"{variable}: {name} cannot be used: ") + 10
        if name == MISSING_PACKAGE:
            assert "langchain" in text.partition("used: ")[2], f"which package to install: {text}"


@pytest.mark.parametrize("which", ["model", "embeddings"])
def test_an_unknown_provider_stops_the_start(tmp_path: Path, which: str) -> None:
    with pytest.raises(SettingsError, match=f"RAG_{which.upper()}: nosuch:model cannot be used: "):
        Assistant(make_settings(tmp_path, **{**ON_OLLAMA, which: "nosuch:model"}))
