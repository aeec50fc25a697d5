"""Chat models of Ollama, each asked for the context window that its prompt needs."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from langchain_core.language_models import LangSmithParams
from langchain_core.messages import AIMessageChunk, BaseMessage, convert_to_openai_messages
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGenerationChunk
from pydantic import PrivateAttr
from typing_extensions import override

from rag.errors import PromptTooLong
from rag.models.ollama_stream import Part, connection, read_parts
from rag.models.streamed_chat import StreamedChat
from rag.settings import Think
from rag.text.sentences import count_tokens

SMALLEST_NUM_CTX = 4096
THINKING_TOKENS = 4096
"""Tokens that a model which thinks may use for it, beside those of its answer."""
HAS_LEVELS = ("gptoss", "gpt-oss")
"""Families of models that always think, in levels; the lowest is as near to off as they can."""
OLLAMAS_BATCH, SMALL_BATCH = 512, 64
"""Prompt tokens that Ollama evaluates at once unless it is told otherwise, and those that it does where it is slow."""
SLOW_SECONDS = 4.0
"""Seconds for a batch from which on Ollama is slow: it notices only between two batches that nobody waits any more."""
TELLING_TOKENS = 200
"""Tokens of the shortest prompt whose time tells how fast Ollama reads."""
MOST_DENSE = 3.0
"""Tokens of a model for one that was estimated, at most: see `_density`."""
CUT_OFF = {"done": True, "done_reason": "length"}
"""What Ollama says at the end of an answer that is cut off at its longest."""


class OllamaChat(StreamedChat):
    """A chat model of Ollama that asks for the context window its prompt needs: Ollama cuts longer prompts in silence.

    `num_ctx` is 4096 while that is enough, then `window`, and never shrinks, as each change reloads the model. A change
    of `num_batch` reloads it, too: it becomes small where prompts are read slowly, and `num_ctx` becomes `window` at
    once. On two cores a stopped prompt of the 0.5B then costs 1 s of processor time and not 8, a whole one the same.

    A model that `can_think` is asked to as `think` says, unless a call has a `think` of its own. Some think even if
    they are told not to, so that each has room for it beside `answer_tokens`. Thinking is in a piece's
    `additional_kwargs["reasoning_content"]`. Text only: no tools, no images.
    """

    model: str
    base_url: str
    window: int
    """Tokens that the prompt and the answer may have together."""
    answer_tokens: int
    """Tokens kept free for the answer when `num_ctx` is chosen."""
    can_think: bool = False
    has_levels: bool = False
    """Whether it always thinks, and is told how much."""
    think: Think = "off"
    temperature: float | None = None
    num_predict: int | None = None
    """Tokens in an answer, at most; thinking is not counted."""
    num_ctx: int | None = None
    num_batch: int | None = None
    keep_alive: int | str | None = None
    read_seconds: float = 210.0
    """Longest silence of Ollama before the connection is given up."""
    _has_thought: bool = PrivateAttr(False)
    _density: float = PrivateAttr(1.0)
    """Tokens that this model was seen to read, for each that was estimated; 1 and more."""

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

    def _thinking(self, wanted: Think) -> bool | str:
        """What Ollama is to be told: it refuses anything but False of a model that cannot think."""
        if not self.can_think:
            return False
        if wanted == "off":
            return "low" if self.has_levels else False
        return True if wanted == "on" else wanted

    def _request(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        *,
        model: str | None = None,
        think: Think | None = None,
        temperature: float | None = None,
    ) -> dict[str, Any]:
        """The body of `POST /api/chat`; grows `num_ctx` where the prompt needs it.

        Raises:
            PromptTooLong: the prompt and its answer do not fit `window`.
        """
        estimate = sum(count_tokens(message.text) + 8 for message in messages)
        prompt = math.ceil(estimate * self._density)
        need = prompt + self.answer_tokens
        if need > self.window:
            raise PromptTooLong(
                f"The question needs about {need} tokens with its answer, and {self.model} is used with {self.window}."
                " Ask a shorter question."
            )
        thinking = self._thinking(think or self.think)
        wanted = need + THINKING_TOKENS * (self._has_thought or bool(thinking))
        num_ctx = self.num_ctx or SMALLEST_NUM_CTX
        self.num_ctx = min(num_ctx if wanted <= num_ctx else self.window, self.window)
        predict = self.num_predict
        if self.can_think and predict is not None:
            predict = min(predict + THINKING_TOKENS, max(predict, self.num_ctx - prompt))
        warmth = self.temperature if temperature is None else temperature
        options = {"temperature": warmth, "num_ctx": self.num_ctx, "num_predict": predict, "stop": stop}
        options["num_batch"] = self.num_batch
        body = {
            "model": model or self.model,
            "messages": convert_to_openai_messages(messages, text_format="string"),
            "think": thinking,
            "options": {name: value for name, value in options.items() if value is not None},
        }
        return body if self.keep_alive is None else {**body, "keep_alive": self.keep_alive}

    def _chunk(self, part: Part, messages: list[BaseMessage]) -> ChatGenerationChunk:
        if read := part.get("prompt_eval_count"):
            estimate = sum(count_tokens(message.text) + 8 for message in messages)
            self._density = min(max(self._density, read / max(estimate, 1)), MOST_DENSE)
            seconds = (part.get("prompt_eval_duration") or 0) / 1e9
            if read >= TELLING_TOKENS and self.num_batch is None and seconds / read * OLLAMAS_BATCH > SLOW_SECONDS:
                self.num_batch, self.num_ctx = SMALL_BATCH, self.window
        thinking = (part.get("message") or {}).get("thinking")
        self._has_thought |= bool(thinking)
        return as_chunk(part)

    def _is_over(self, written: int) -> bool:
        """Whether an answer of `written` tokens has to be cut off, since Ollama was given more for thinking."""
        return self.can_think and self.num_predict is not None and written > self.num_predict

    @override
    async def _astream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncGenerator[ChatGenerationChunk, None]:
        body = {**self._request(messages, stop, **_of_call(kwargs)), "stream": True}
        written = 0
        parts = read_parts(f"{self.base_url}/api/chat", body, **connection(self.base_url, self.read_seconds))
        async with aclosing(parts) as stream:
            async for part in stream:
                written += part.pop("tokens", 0)
                yield self._chunk(part, messages)
                if self._is_over(written):
                    yield as_chunk({**part, "message": {}, **CUT_OFF})
                    return


def _of_call(kwargs: dict[str, Any]) -> dict[str, Any]:
    """What a call may have of its own."""
    return {name: kwargs[name] for name in ("model", "think", "temperature") if name in kwargs}


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
