"""Embedding models of Ollama, each given the instructions of its model card."""

from __future__ import annotations

import asyncio
import threading

import ollama
from langchain_core.embeddings import Embeddings
from typing_extensions import override

from rag.errors import EngineError, TextTooLong, engine_error
from rag.models.ollama import INSTRUCTIONS, KEEP_ALIVE, base_name
from rag.models.ollama_stream import ask, connection

CANCEL_SECONDS = 0.2
"""Pause between two looks whether vectors are still wanted."""
READ_SECONDS = 120.0
"""Longest silence of Ollama before the connection is given up."""


class OllamaEmbeddings(Embeddings):
    """Embeddings of Ollama with the instructions of the model's card; a text that is too long is refused, not cut."""

    def __init__(self, model: str, base_url: str) -> None:
        self.model = model
        self._url = base_url
        self._query, self._document = INSTRUCTIONS.get(base_name(model), ("", ""))

    @override
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """As `aembed_documents`, but not in a coroutine."""
        return asyncio.run(self.aembed_documents(texts))

    @override
    def embed_query(self, text: str) -> list[float]:
        """As `aembed_query`, but not in a coroutine."""
        return asyncio.run(self.aembed_query(text))

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
        """One vector a text. A cancelled call closes its connection.

        Raises:
            TextTooLong: a text is longer than the model's window.
            EngineError: Ollama failed.
        """
        return await self._aembed([self._document + text for text in texts])

    @override
    async def aembed_query(self, text: str) -> list[float]:
        """The vector of a question; raises as `aembed_documents`."""
        try:
            return (await self._aembed([self._query + text]))[0]
        except TextTooLong as error:
            raise TextTooLong(
                f"The question is longer than the window of the embedding model, {self.model}, which searches with it."
                " Ask in fewer words, or move the library to an embedding model with a larger window under Models."
            ) from error

    async def _aembed(self, texts: list[str]) -> list[list[float]]:
        if not texts:
            return []
        body = {"model": self.model, "input": texts, "truncate": False, "keep_alive": KEEP_ALIVE}
        try:
            reply = await ask(f"{self._url}/api/embed", body, **connection(self._url, READ_SECONDS))
        except Exception as error:
            if isinstance(error, ollama.ResponseError) and "exceed" in error.error and "length" in error.error:
                raise TextTooLong(f"A text is longer than the window of {self.model}.") from error
            raise engine_error(error, f"ollama:{self.model}", self._url) from error
        found: list[list[float]] = reply.get("embeddings") or []
        if len(found) != len(texts):
            raise EngineError(f"Ollama sent {len(found)} vectors for {len(texts)} texts. Try again.")
        return found
