"""Embedding models of Ollama, each given the instructions of its model card."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import ollama
from langchain_core.embeddings import Embeddings
from typing_extensions import override

from rag.errors import EngineError, RagError, TextTooLong, engine_error
from rag.models.ollama import INSTRUCTIONS, base_name
from rag.models.ollama_stream import ask, client_options, connection

CANCEL_SECONDS = 0.2
"""Pause between two looks whether vectors are still wanted."""


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
        try:
            return self._embed([self._query + text])[0]
        except TextTooLong as error:
            raise self._question_too_long() from error

    def embed_unless(self, cancelled: threading.Event, texts: list[str]) -> list[list[float]] | None:
        """As `embed_documents`, but not in a coroutine; None, with the connection closed, once `cancelled` is set."""
        return asyncio.run(self._embed_unless(cancelled, texts))

    async def _embed_unless(self, cancelled: threading.Event, texts: list[str]) -> list[list[float]] | None:
        work = asyncio.ensure_future(self.aembed_documents(texts))
        while not work.done():
            await asyncio.wait({work}, timeout=CANCEL_SECONDS)
            if cancelled.is_set() and not work.done():
                work.cancel()  # ends with the loop, its connection closed
                return None
        return work.result()

    @override
    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """As `embed_documents`; a cancelled call closes its connection, which a thread could not."""
        return await self._aembed([self._document + text for text in texts])

    @override
    async def aembed_query(self, text: str) -> list[float]:
        """As `embed_query`; a cancelled call closes its connection, which a thread could not."""
        try:
            return (await self._aembed([self._query + text]))[0]
        except TextTooLong as error:
            raise self._question_too_long() from error

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

    def _question_too_long(self) -> TextTooLong:
        return TextTooLong(
            f"The question is longer than the window of the embedding model, {self.model}, which searches with it. Ask"
            " in fewer words, or move the library to an embedding model with a larger window under Models."
        )

    def _error(self, error: Exception) -> RagError:
        if isinstance(error, ollama.ResponseError) and "exceed" in error.error and "length" in error.error:
            return TextTooLong(f"A text is longer than the window of {self.model}.")
        return engine_error(error, f"ollama:{self.model}", self._url)

    def _vectors(self, found: Sequence[Sequence[float]], texts: list[str]) -> list[list[float]]:
        if len(found) != len(texts):
            raise EngineError(f"Ollama sent {len(found)} vectors for {len(texts)} texts. Try again.")
        return [list(vector) for vector in found]
