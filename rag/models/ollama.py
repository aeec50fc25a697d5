"""All that knows Ollama: what it has, its chat models and its embeddings, over its public HTTP API."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, NamedTuple

import httpx
import ollama
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel, LangSmithParams
from langchain_core.language_models.chat_models import agenerate_from_stream, generate_from_stream
from langchain_core.messages import AIMessageChunk, BaseMessage, convert_to_openai_messages
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from pydantic import PrivateAttr
from typing_extensions import override

from rag.errors import EngineError, PromptTooLong, RagError, TextTooLong, engine_error
from rag.models.ollama_stream import Part, ask, client_options, connection, merged, read_parts
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
            return {with_tag(model.model or ""): model.digest or "" for model in self._quick.list().models}
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
        return [name for name in names if with_tag(name) not in have]

    def digest(self, name: str) -> str:
        """The digest of the weights of `provider:model`; "" where another than Ollama runs it."""
        provider, _, model = name.partition(":")
        return self._pulled().get(with_tag(model), "") if provider == "ollama" else ""

    def window(self, name: str) -> int:
        """Tokens in the model's context window (`/api/show`, `model_info`, `*.context_length`)."""
        return self._show(name).window or UNKNOWN_WINDOW

    def thinks(self, name: str) -> bool:
        """Whether the model can think before it answers; some do so even if they are told not to."""
        return self._show(name).thinks

    def is_loaded(self, name: str) -> bool:
        """Whether the model is in memory (`/api/ps`)."""
        try:
            return any(with_tag(model.model or "") == with_tag(name) for model in self._quick.ps().models)
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


def _window(info: Mapping[str, Any]) -> int:
    """Tokens of context in `model_info`; 0 where it does not tell."""
    lengths = [value for key, value in info.items() if key.endswith(".context_length")]
    return int(lengths[0]) if lengths else 0


def with_tag(name: str) -> str:
    """One name of all those that Ollama takes for a model: `Llama3`, `library/llama3` and `llama3` are the same."""
    name = name.strip().casefold().removeprefix("registry.ollama.ai/").removeprefix("library/")
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def base_name(name: str) -> str:
    """The model's name without registry, owner and tag: `mxbai-embed-large`."""
    return with_tag(name).rpartition("/")[2].partition(":")[0]


CUT_OFF = {"done": True, "done_reason": "length"}
"""What Ollama says at the end of an answer that is cut off at its longest."""


class OllamaChat(BaseChatModel):
    """A chat model of Ollama that asks for the context window its prompt needs: Ollama cuts longer prompts in silence.

    `num_ctx` grows in powers of two from 4096 to `window` and never shrinks, as each change reloads the model. A model
    is told not to think; one that `can_think` may do so all the same, and has room for it beside `answer_tokens`.
    Thinking is in a piece's `additional_kwargs["reasoning_content"]`. Text only: no tools, no images.
    """

    model: str
    base_url: str
    window: int
    """Tokens that the prompt and the answer may have together."""
    answer_tokens: int
    """Tokens kept free for the answer when `num_ctx` is chosen."""
    can_think: bool = False
    temperature: float | None = None
    num_predict: int | None = None
    """Tokens in an answer, at most; thinking is not counted."""
    num_ctx: int | None = None
    keep_alive: int | str | None = None
    read_seconds: float = 210.0
    """Longest silence of Ollama before the connection is given up."""
    _has_thought: bool = PrivateAttr(False)

    @property
    @override
    def _llm_type(self) -> str:
        return "chat-ollama"

    @property
    @override
    def _identifying_params(self) -> dict[str, Any]:
        names = ("model", "base_url", "temperature", "num_predict", "num_ctx")
        return {name: getattr(self, name) for name in names}

    @override
    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = LangSmithParams(
            ls_provider="ollama", ls_model_type="chat", ls_model_name=kwargs.get("model") or self.model
        )
        if self.temperature is not None:
            params["ls_temperature"] = self.temperature
        if self.num_predict is not None:
            params["ls_max_tokens"] = self.num_predict
        if stop:
            params["ls_stop"] = stop
        return params

    def _request(self, messages: list[BaseMessage], stop: list[str] | None, model: str | None = None) -> dict[str, Any]:
        """The body of `POST /api/chat`; grows `num_ctx` where the prompt needs it.

        Raises:
            PromptTooLong: the prompt and its answer do not fit `window`.
        """
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
        predict = self.num_predict
        if self.can_think and predict is not None:
            predict = min(predict + THINKING_TOKENS, max(predict, self.num_ctx - prompt))
        options = {"temperature": self.temperature, "num_ctx": self.num_ctx, "num_predict": predict, "stop": stop}
        body = {
            "model": model or self.model,
            "messages": convert_to_openai_messages(messages, text_format="string"),
            "think": False,
            "options": {name: value for name, value in options.items() if value is not None},
        }
        return body if self.keep_alive is None else {**body, "keep_alive": self.keep_alive}

    def _chunk(self, part: Part) -> ChatGenerationChunk:
        thinking = (part.get("message") or {}).get("thinking")
        self._has_thought |= bool(thinking)
        return as_chunk(part)

    def _is_over(self, written: int) -> bool:
        """Whether an answer of `written` tokens has to be cut off, since Ollama was given more for thinking."""
        return self.can_think and self.num_predict is not None and written > self.num_predict

    @override
    async def _astream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        body = {**self._request(messages, stop, kwargs.get("model")), "stream": True}
        written = 0
        parts = read_parts(f"{self.base_url}/api/chat", body, **connection(self.base_url, self.read_seconds))
        async with aclosing(parts) as stream:
            async for part in stream:
                written += part.pop("tokens", 0)
                yield self._chunk(part)
                if self._is_over(written):
                    yield as_chunk({**part, "message": {}, **CUT_OFF})
                    return

    @override
    def _stream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        body = self._request(messages, stop, kwargs.get("model"))
        written = 0
        with ollama.Client(self.base_url, **client_options(self.base_url, self.read_seconds)) as client:
            for line in client.chat(**body, stream=True):
                for part in merged([line.model_dump(exclude_none=True)]):
                    written += part.pop("tokens", 0)
                    yield self._chunk(part)
                    if self._is_over(written):
                        yield as_chunk({**part, "message": {}, **CUT_OFF})
                        return

    @override
    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop, **kwargs))

    @override
    async def _agenerate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        return await agenerate_from_stream(self._astream(messages, stop, **kwargs))


def as_chunk(part: Part) -> ChatGenerationChunk:
    """A part of Ollama's reply as LangChain has it; the last one has the reason of the end and the usage."""
    message = part.get("message") or {}
    thinking = message.get("thinking")
    chunk = AIMessageChunk(
        content=message.get("content") or "", additional_kwargs={"reasoning_content": thinking} if thinking else {}
    )
    if not part.get("done"):
        return ChatGenerationChunk(message=chunk)
    read, written = part.get("prompt_eval_count"), part.get("eval_count")
    if read is not None and written is not None:
        chunk.usage_metadata = UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written)
    told = {name: value for name, value in part.items() if name != "message"}
    told |= {"model_name": part.get("model"), "model_provider": "ollama"}
    return ChatGenerationChunk(message=chunk, generation_info=told)


class OllamaEmbeddings(Embeddings):
    """Embeddings of Ollama with the instructions of the model's card; a text that is too long is refused, not cut."""

    def __init__(
        self, model: str, base_url: str, keep_alive: int | str | None = None, read_seconds: float = 120.0
    ) -> None:
        self.model = model
        self._url = base_url
        self._query, self._document = INSTRUCTIONS.get(base_name(model), ("", ""))
        self._keep_alive = keep_alive
        self._read_seconds = read_seconds
        self._client = ollama.Client(base_url, **client_options(base_url, read_seconds))

    @override
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """One vector a text.

        Raises:
            TextTooLong: a text is longer than the model's window.
            EngineError: Ollama failed.
        """
        return self._embed([self._document + text for text in texts])

    @override
    def embed_query(self, text: str) -> list[float]:
        """The vector of a question; raises as `embed_documents`."""
        return self._embed([self._query + text])[0]

    @override
    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """As `embed_documents`; a cancelled call closes its connection, which a thread could not."""
        return await self._aembed([self._document + text for text in texts])

    @override
    async def aembed_query(self, text: str) -> list[float]:
        """As `embed_query`; a cancelled call closes its connection, which a thread could not."""
        return (await self._aembed([self._query + text]))[0]

    def _embed(self, texts: list[str]) -> list[list[float]]:
        if not texts:
            return []
        try:
            reply = self._client.embed(self.model, texts, truncate=False, keep_alive=self._keep_alive)
        except Exception as error:
            raise self._error(error) from error
        return self._vectors(reply.embeddings, texts)

    async def _aembed(self, texts: list[str]) -> list[list[float]]:
        if not texts:
            return []
        body: dict[str, Any] = {"model": self.model, "input": texts, "truncate": False}
        if self._keep_alive is not None:
            body["keep_alive"] = self._keep_alive
        try:
            reply = await ask(f"{self._url}/api/embed", body, **connection(self._url, self._read_seconds))
        except Exception as error:
            raise self._error(error) from error
        return self._vectors(reply.get("embeddings") or [], texts)

    def _error(self, error: Exception) -> RagError:
        if isinstance(error, ollama.ResponseError) and "exceed" in error.error and "length" in error.error:
            return TextTooLong(f"A text is longer than the window of {self.model}.")
        return engine_error(error, f"ollama:{self.model}", self._url)

    def _vectors(self, found: Sequence[Sequence[float]], texts: list[str]) -> list[list[float]]:
        if len(found) != len(texts):
            raise EngineError(f"Ollama sent {len(found)} vectors for {len(texts)} texts. Try again.")
        return [list(vector) for vector in found]
