"""Embedding models behind an OpenAI-compatible address: llama-server, vLLM, LM Studio and others."""

from __future__ import annotations

import re

import openai
from langchain_openai import OpenAIEmbeddings
from typing_extensions import override

from rag.errors import RagError, TextTooLong, engine_error

_TOO_LONG = re.compile(
    r"too (?:large|long)|maximum context length|exceeds?\b.*\b(?:context|length|tokens|batch)|larger than the max", re.I
)
"""How llama-server ("input is too large to process"), vLLM and OpenAI say that a text does not fit."""


class ServerEmbeddings(OpenAIEmbeddings):
    """`OpenAIEmbeddings` that sends texts as texts, and tells one that is too long from other failures."""

    address: str = ""

    @override
    def embed_documents(self, texts: list[str], chunk_size: int | None = None, **kwargs: object) -> list[list[float]]:
        """One vector a text.

        Raises:
            TextTooLong: a text is longer than the model's window.
            EngineError: the server failed.
        """
        try:
            return super().embed_documents(texts, chunk_size, **kwargs)
        except Exception as error:
            raise self._told(error) from error

    @override
    async def aembed_documents(
        self, texts: list[str], chunk_size: int | None = None, **kwargs: object
    ) -> list[list[float]]:
        """As `embed_documents`."""
        try:
            return await super().aembed_documents(texts, chunk_size, **kwargs)
        except Exception as error:
            raise self._told(error) from error

    def _told(self, error: Exception) -> RagError:
        if isinstance(error, openai.APIStatusError) and _TOO_LONG.search(str(error.body or error)):
            return TextTooLong(f"A text is longer than the window of {self.model}.")
        return engine_error(error, f"openai:{self.model}", self.address)
