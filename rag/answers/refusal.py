"""Whether a question is answered from what was found, and what is said where it is not."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from langchain_core.documents import Document

from rag.answers.chain import Course
from rag.answers.relevance import Judge, beginnings, tell_nothing_found, tell_what_can_be_asked
from rag.library.index import SearchIndex
from rag.library.records import IndexedSource

log = logging.getLogger(__name__)


class Refusal:
    """Decides how each question of one index is answered. For any thread."""

    def __init__(self, index: SearchIndex, most: int) -> None:
        """`most` sources are read, from their beginnings, where the library itself is asked about."""
        self.index = index
        self._most = most
        self._judge = Judge(index.embeddings, index.engine, index.weights, index.folder)

    def prepare(self) -> None:
        """Measure the embedding model's scale now, so that no question waits for it.

        Raises:
            EngineError: the embedding model failed; the next question tries again.
        """
        self._judge.prepare()

    async def __call__(self, given: dict[str, Any]) -> Course:
        """How a question is answered: `given` has `question`, `asked`, `sources` and, where there is one, `scope`.

        Raises:
            EngineError: the embedding model failed.
        """
        sources: list[Document] = given["sources"]
        scope = given.get("scope")
        looked: list[IndexedSource] = [item for item in self.index.sources if not scope or item.source in scope]
        verdict = await self._judge.tell(given["asked"], sources, self.index.words)
        log.debug("%s: %s", "speaks to the question" if verdict.answers else "does not", verdict.reason)
        if verdict.kind == "greeting":
            return Course([], tell_what_can_be_asked(looked))
        if verdict.kind == "library":
            found, coverage = await asyncio.to_thread(beginnings, self.index.records, looked, self._most)
            return Course(found or sources, coverage=coverage)
        if verdict.answers:
            return Course(sources)
        chunks = sum(item.chunks for item in looked)
        return Course(sources, tell_nothing_found(given["question"], looked, chunks, sources), refused=True)
