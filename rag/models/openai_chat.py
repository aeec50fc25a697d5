"""Chat models behind an OpenAI-compatible address, with what LangChain's own class leaves out: their thinking."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.outputs import ChatGenerationChunk
from langchain_openai import ChatOpenAI
from typing_extensions import override

from rag.models.openai_server import Server, thinking_switch
from rag.settings import Think


class OpenAIChat(ChatOpenAI):
    """`ChatOpenAI` whose pieces carry what the model thinks in `additional_kwargs["reasoning_content"]`.

    llama-server, DeepSeek and others send it as `reasoning_content`, vLLM and OpenRouter as `reasoning`. The two hooks
    below are those that LangChain's own packages for such servers override (langchain-deepseek, langchain-xai).
    """

    think: Think = "off"
    server: Server = ""

    @override
    def _get_request_payload(
        self, input_: LanguageModelInput, *, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        wanted: Think = kwargs.pop("think", None) or self.think
        payload = super()._get_request_payload(input_, stop=stop, **kwargs)
        if self.server:
            payload["extra_body"] = {**(payload.get("extra_body") or {}), **thinking_switch(wanted)}
        elif wanted in ("low", "medium", "high"):
            payload.setdefault("reasoning_effort", wanted)
        return payload

    @override
    def _convert_chunk_to_generation_chunk(
        self, chunk: dict[str, Any], default_chunk_class: type, base_generation_info: dict[str, Any] | None
    ) -> ChatGenerationChunk | None:
        made = super()._convert_chunk_to_generation_chunk(chunk, default_chunk_class, base_generation_info)
        choices: list[Mapping[str, Any]] = chunk.get("choices") or []
        delta = (choices[0].get("delta") or {}) if choices else {}
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if made is not None and isinstance(thought, str):
            made.message.additional_kwargs["reasoning_content"] = thought
        return made
