"""Ollama: what the app asks it, and its chat models and embeddings; the one place that knows its protocol."""

from __future__ import annotations

import ipaddress
import logging
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
import ollama
from langchain_core.language_models import BaseChatModel, LangSmithParams
from langchain_core.messages import BaseMessage
from langchain_ollama import ChatOllama, OllamaEmbeddings
from pydantic import PrivateAttr

from rag.errors import (
    EngineError,
    PromptTooLong,
    RagError,
    TextTooLong,
    engine_error,
)
from rag.models.ollama_stream import ask, like, read_parts
from rag.settings import Settings
from rag.text.sentences import count_tokens

log = logging.getLogger(__name__)

PROBE_SECONDS = 1.5
SMALLEST_NUM_CTX = 4096
THINKING_TOKENS = 4096
"""Tokens that a model which thinks may use for it, beside those of its answer."""
UNKNOWN_WINDOW = 4096
"""Assumed of an OpenAI-compatible server that does not tell its window: what the smallest common models have."""

INSTRUCTIONS: dict[str, tuple[str, str]] = {
    "mxbai-embed-large": ("Represent this sentence for searching relevant passages: ", ""),
    "snowflake-arctic-embed": ("Represent this sentence for searching relevant passages: ", ""),
    "bge-large": ("Represent this sentence for searching relevant passages: ", ""),
    "nomic-embed-text": ("search_query: ", "search_document: "),
    "embeddinggemma": ("task: search result | query: ", "title: none | text: "),
    "qwen3-embedding": (
        "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: ",
        "",
    ),
}
"""What the models' cards ask for before a question and before a text."""


@dataclass(frozen=True)
class Model:
    """A model that can be chosen, `provider:model`; `size` is bytes, `window` tokens (0: not known)."""

    name: str
    use: str
    size: int = 0
    window: int = 0
    details: str = ""


class Shown(NamedTuple):
    """What Ollama tells of a model: what it is for, tokens in its window (0: not told), and whether it can think."""

    use: str
    window: int
    thinks: bool


class Ollama:
    """What the app asks Ollama besides chat and embeddings: is it there, what does it have, pull.

    Every method raises an `EngineError` that says what to do.
    """

    def __init__(self, settings: Settings) -> None:
        self.host = settings.ollama_host
        self._quick = ollama.Client(host=self.host, **client_options(self.host, PROBE_SECONDS))
        self._slow = ollama.Client(host=self.host, **client_options(self.host, 120.0))
        self._shown: dict[str, Shown] = {}

    def answers(self) -> bool:
        """Whether an Ollama answers at the address, within about a second."""
        try:
            self._quick.list()
        except Exception:
            return False
        return True

    def _pulled(self) -> dict[str, str]:
        """The models it has, with the digests of their weights."""
        try:
            return {full_name(model.model or ""): model.digest or "" for model in self._quick.list().models}
        except Exception as error:
            raise engine_error(error, "ollama", self.host) from error

    def models(self) -> list[Model]:
        """The models it has, with what `/api/tags` and `/api/show` tell of them."""
        try:
            found = self._quick.list().models
        except Exception as error:
            raise engine_error(error, "ollama", self.host) from error
        models = []
        for item in found:
            name, digest = item.model or "", item.digest or ""
            if digest not in self._shown:
                try:
                    self._shown[digest] = self._show(name)
                except EngineError as error:  # a damaged model does not hide the others
                    log.warning("%s", error)
            use, window, _ = self._shown.get(digest) or Shown(_use_by_name(name), 0, False)
            details = item.details
            told = ", ".join(filter(None, (details.parameter_size, details.quantization_level))) if details else ""
            models.append(Model(f"ollama:{name.removesuffix(':latest')}", use, item.size or 0, window, told))
        return sorted(models, key=lambda model: (model.use, model.name))

    def _show(self, name: str) -> Shown:
        """What `/api/show` tells of a model. An Ollama before 0.6 does not tell what it is for."""
        try:
            told = self._slow.show(name)
        except Exception as error:
            raise engine_error(error, f"ollama:{name}", self.host) from error
        abilities = told.capabilities
        use = _use_by_name(name)
        if abilities:
            use = "embeddings" if "embedding" in abilities else "chat" if "completion" in abilities else "other"
        return Shown(use, _window(told.modelinfo or {}), "thinking" in (abilities or ()))

    def missing(self, names: list[str]) -> list[str]:
        """Which of `names` are not pulled."""
        have = self._pulled()
        return [name for name in names if full_name(name) not in have]

    def digest(self, name: str) -> str:
        """The digest of the weights of `provider:model`; "" where another than Ollama runs it."""
        provider, _, model = name.partition(":")
        return self._pulled().get(full_name(model), "") if provider == "ollama" else ""

    def window(self, name: str) -> int:
        """Tokens in the model's context window (`/api/show`, `model_info`, `*.context_length`)."""
        return self._show(name).window or UNKNOWN_WINDOW

    def thinks(self, name: str) -> bool:
        """Whether the model can think before it answers; some do so even if they are told not to."""
        return self._show(name).thinks

    def is_loaded(self, name: str) -> bool:
        """Whether the model is in memory (`/api/ps`)."""
        try:
            return any(full_name(model.model or "") == full_name(name) for model in self._quick.ps().models)
        except httpx.TimeoutException:
            return False  # Ollama answers this only once a load under way is through
        except Exception:
            return True  # not worth a word: the chat request itself will tell

    def pull(self, name: str) -> Iterator[tuple[str, int, int]]:
        """Pull a model; yields (what is done, bytes so far, bytes in all), 0 in all where there are none."""
        last = ""
        try:
            for step in self._slow.pull(name, stream=True):
                last = step.status or ""
                yield last, step.completed or 0, step.total or 0
        except Exception as error:
            raise engine_error(error, f"ollama:{name}", self.host) from error
        if last != "success":
            raise EngineError(f"Pulling {name} ended early (last word: {last or 'none'}). Pull again: it resumes.")


def _use_by_name(name: str) -> str:
    return "embeddings" if base_name(name) in INSTRUCTIONS or "embed" in name else "chat"


def client_options(host: str, read_seconds: float) -> dict[str, Any]:
    """httpx options for an engine's client: limits on every wait, and no proxy on the way to this machine."""
    hostname = urlsplit(host).hostname or ""
    try:
        local = ipaddress.ip_address(hostname).is_loopback
    except ValueError:
        local = hostname == "localhost"
    connect = min(5.0, read_seconds)
    timeout = httpx.Timeout(connect=connect, read=read_seconds, write=30.0, pool=30.0)
    return {"timeout": timeout, "trust_env": not local}


def _window(info: Mapping[str, Any]) -> int:
    """Tokens of context in `model_info`; 0 where it does not tell."""
    lengths = [value for key, value in info.items() if key.endswith(".context_length")]
    return int(lengths[0]) if lengths else 0


def full_name(name: str) -> str:
    """One name of all those that Ollama takes for a model: `Llama3`, `library/llama3` and `llama3` are the same."""
    name = name.strip().casefold().removeprefix("registry.ollama.ai/").removeprefix("library/")
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def base_name(name: str) -> str:
    """The model's name without registry, owner and tag: `mxbai-embed-large`."""
    return full_name(name).rpartition("/")[2].partition(":")[0]


def _without_none(given: Mapping[str, Any]) -> dict[str, Any]:
    """What is set of options within options."""
    return {
        name: _without_none(value) if isinstance(value, dict) else value
        for name, value in given.items()
        if value is not None
    }


def _url(client: httpx.AsyncClient, path: str) -> str:
    return f"{str(client.base_url).rstrip('/')}{path}"


CUT_OFF = {"done": True, "done_reason": "length"}
"""What Ollama says at the end of an answer that is cut off at its longest."""


class FittedChatOllama(ChatOllama):
    """`ChatOllama` that asks for the context window its prompt needs: Ollama cuts longer prompts in silence.

    `num_ctx` grows in powers of two from 4096 to `window` and never shrinks, as each change reloads the model. A model
    is told not to think; one that `can_think` may do so all the same, and has room for it beside `answer_tokens`.
    """

    window: int
    answer_tokens: int
    can_think: bool = False
    reasoning: bool | str | None = True
    """So that thinking is told apart from the answer; what is asked of the model is in `_chat_params`."""
    _has_thought: bool = PrivateAttr(False)

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop, **kwargs)
        if model := kwargs.get("model"):  # `ChatOllama` tells its tracer its own name (langchain-ollama 1.1.0)
            params["ls_model_name"] = model
        return params

    def _chat_params(self, messages: list[BaseMessage], stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        prompt = sum(count_tokens(message.text) + 8 for message in messages)
        need = prompt + self.answer_tokens
        if need > self.window:
            raise PromptTooLong(
                f"The question needs about {need} tokens with its answer, and {self.model} is used with {self.window}."
                " Ask a shorter question, or raise RAG_MAX_CONTEXT if the model can do more."
            )
        wanted = min(need + THINKING_TOKENS * self._has_thought, self.window)
        num_ctx = self.num_ctx or SMALLEST_NUM_CTX
        while num_ctx < wanted:
            num_ctx *= 2
        self.num_ctx = min(num_ctx, self.window)
        params = super()._chat_params(messages, stop, **kwargs)
        params["think"] = False
        if self.can_think and self.num_predict is not None:
            room = max(self.num_predict, self.num_ctx - prompt)
            params["options"]["num_predict"] = min(self.num_predict + THINKING_TOKENS, room)
        return params

    async def _acreate_chat_stream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, **kwargs: Any
    ) -> AsyncIterator[Mapping[str, Any] | str]:
        """What `ChatOllama` makes its chunks of: the parts of the reply, those that came together as one."""
        body = _without_none(self._chat_params(messages, stop, **kwargs))
        client = self._async_client._client
        parts = read_parts(_url(client, "/api/chat"), body, **like(client))
        written = 0
        async with aclosing(parts) as stream:  # type: ignore[type-var]
            async for part in stream:
                self._has_thought |= bool((part.get("message") or {}).get("thinking"))
                written += part.pop("tokens", 0)
                yield part
                if self.can_think and self.num_predict is not None and written > self.num_predict:
                    yield {**part, "message": {"role": "assistant", "content": ""}, **CUT_OFF}
                    return


class InstructedOllamaEmbeddings(OllamaEmbeddings):
    """`OllamaEmbeddings` with the instructions of the model's card, that refuses what Ollama would cut in silence."""

    keep_alive: Any = None
    """A duration in words, too, which Ollama takes and langchain-ollama 1.1.0 does not."""
    query_instruction: str = ""
    document_instruction: str = ""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """One vector a text.

        Raises:
            TextTooLong: a text is longer than the model's window.
            EngineError: Ollama failed.
        """
        return self._embed([self.document_instruction + text for text in texts])

    def embed_query(self, text: str) -> list[float]:
        """The vector of a question."""
        return self._embed([self.query_instruction + text])[0]

    async def aembed_query(self, text: str) -> list[float]:
        """The vector of a question. Who is cancelled meanwhile hangs up on Ollama, as a thread could not."""
        return (await self._aembed([self.query_instruction + text]))[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """As `embed_documents`, for who may be cancelled."""
        return await self._aembed([self.document_instruction + text for text in texts])

    async def _aembed(self, texts: list[str]) -> list[list[float]]:
        if not texts:
            return []
        assert self._async_client is not None
        client = self._async_client._client
        body = {"model": self.model, "input": texts, **_without_none(self._options)}
        try:
            reply = await ask(_url(client, "/api/embed"), body, **like(client))
        except Exception as error:
            raise self._told(error) from error
        return self._vectors(reply.get("embeddings") or [], texts)

    def _embed(self, texts: list[str]) -> list[list[float]]:
        if not texts:
            return []
        assert self._client is not None
        try:
            reply = self._client.embed(self.model, texts, **self._options)
        except Exception as error:
            raise self._told(error) from error
        return self._vectors(reply.embeddings, texts)

    @property
    def _options(self) -> dict[str, Any]:
        return {"truncate": False, "options": self._default_params, "keep_alive": self.keep_alive}

    def _told(self, error: Exception) -> RagError:
        if isinstance(error, ollama.ResponseError) and "exceed" in error.error and "length" in error.error:
            return TextTooLong(f"A text is longer than the window of {self.model}.")
        return engine_error(error, f"ollama:{self.model}", str(self.base_url))

    def _vectors(self, found: Sequence[Sequence[float]], texts: list[str]) -> list[list[float]]:
        if len(found) != len(texts):
            raise EngineError(f"Ollama sent {len(found)} vectors for {len(texts)} texts. Try again.")
        return [list(vector) for vector in found]


def build_ollama_chat(model: str, settings: Settings, window: int, can_think: bool) -> BaseChatModel:
    """The chat model that Ollama calls `model`; `window` is the tokens of prompt and answer together, at most."""
    import aiohttp  # noqa: F401  # for `read_parts`: else the first question would hold everybody up for its import

    return FittedChatOllama(
        model=model,
        base_url=settings.ollama_host,
        temperature=settings.temperature,
        num_predict=settings.max_tokens,
        window=window,
        answer_tokens=settings.max_tokens,
        can_think=can_think,
        keep_alive=kept_alive(settings),
        client_kwargs=client_options(settings.ollama_host, settings.first_token_timeout + 30),
    )


def kept_alive(settings: Settings) -> Any:
    """As Ollama has it: a duration in words, or a number of seconds, of which any below 0 is for good."""
    told = settings.keep_alive
    return int(told) if re.fullmatch(r"-?\d+", told) else told
