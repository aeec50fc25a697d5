"""The chain that answers now: waited for while models and library are brought up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from rag.answers.build import Chains
from rag.answers.chain import RagChain
from rag.answers.retriever import Retriever
from rag.errors import QuestionError, RagError, SourceError
from rag.library.library import find_named
from rag.library.service import LibraryService
from rag.models.in_use import ModelsInUse

POLL_SECONDS = 0.1


class Ready:
    """Hands out chain and retriever once they are up, or says what keeps them from it."""

    def __init__(
        self, chains: Chains, models: ModelsInUse, service: LibraryService, problems: dict[str, RagError]
    ) -> None:
        """`problems`: what fails now, by part, as `Background` has it."""
        self._chains = chains
        self._service = service
        self._problems = problems
        self.models = models

    async def chain(self, scope: Sequence[str], name: str) -> tuple[RagChain, list[str]]:
        """The chain, waited for while the app starts, with another chat model if asked for; and the sources meant.

        Raises:
            RagError: it cannot be had; says what to do.
        """
        other = bool(name) and name != self.models.names.chat
        while (self._chains.own is None and not other) or not self._service.sources:
            problem = self._problems.get("index") or (None if other else self._problems.get("chat"))
            if problem:
                raise problem
            if self._service.ingested and not (self._service.library and self._service.library.busy):
                self._service.need_chunks()
            await asyncio.sleep(POLL_SECONDS)
        sources = self._in_scope(scope)
        if other:
            return self._chains.chain_of(await asyncio.to_thread(self.models.other_chat, name)), sources
        engine = self.models.engine
        if "chat" in self._problems or (engine and not engine.running):
            await asyncio.to_thread(self.models.check_chat)
            self._problems.pop("chat", None)
        assert self._chains.own is not None
        return self._chains.own, sources

    async def retriever(self, k: int) -> Retriever:
        """A retriever of `k` passages, waited for until every source is indexed; needs no chat model.

        Raises:
            RagError: there is nothing to search; says why.
        """
        while not self._service.ingested:
            if problem := self._problems.get("index"):
                raise problem
            await asyncio.sleep(POLL_SECONDS)
        self._service.need_chunks()
        assert self._chains.retriever is not None
        return self._chains.retriever.model_copy(update={"k": k})

    def _in_scope(self, scope: Sequence[str]) -> list[str]:
        """The sources meant, as they are called or by what a name ends with.

        Raises:
            QuestionError: one of them is not indexed.
        """
        try:
            return find_named(scope, [item.source for item in self._service.sources])
        except SourceError as error:
            raise QuestionError(f"The answer is to be drawn from {error.source}, which is {error.reason}.") from error
