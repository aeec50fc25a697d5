"""The running app without its page: answers questions, and tells its state.

`rag.background` brings up models, library and chain; a question that comes early waits for them.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Sequence
from typing import Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel

from rag.answers.chain import retrieve
from rag.answers.line import Line
from rag.answers.question import check_question
from rag.answers.rate import Rate
from rag.answers.ready import Ready
from rag.answers.stream import AnswerChain
from rag.background import Background
from rag.errors import QuestionError
from rag.library.library import Library
from rag.library.rebuild import Offer
from rag.library.revisions import IndexedSource, Made
from rag.models.e5 import E5_NAME, runs_here
from rag.models.ollama import MULTILINGUAL, reads_english_alone
from rag.models.state import Work
from rag.models.weights import E5
from rag.observe import Metrics
from rag.settings import Settings
from rag.sources.loader import GUIDE
from rag.text.amounts import told_seconds
from rag.text.detect import NAMES
from rag.text.language import ENGLISH

HEAPS = 2
"""Heaps that glibc may open for the threads, in place of eight a core: what each keeps for later adds up."""


class Assistant:
    """Answers questions about the sources in the settings."""

    def __init__(
        self,
        settings: Settings,
        *,
        chat_model: BaseChatModel | None = None,
        embeddings: Embeddings | None = None,
    ) -> None:
        """A `chat_model` or `embeddings` given here is used as it is, under the name in the settings."""
        self.settings = settings
        self.line = Line(settings.concurrency)
        self._background = Background(settings, chat_model, embeddings, lambda: self.line.inside > 0)
        self.models, self.chains = self._background.models, self._background.chains
        self.problems, self.under_way = self._background.problems, self._background.under_way
        self.service = self._background.service
        self.folder, self.indexes = self.service.folder, self.service.indexes
        self.metrics = Metrics(self)
        self._ending = threading.Event()
        self.when_ready = Ready(self.chains, self.models, self.service, self.problems)
        self.chain = AnswerChain(
            self.when_ready,
            line=self.line,
            first_token=settings.first_token_timeout,
            rate=Rate(settings.questions_a_minute),
            watch=self.metrics.watch,
            ending=self._ending,
        )

    # -- starting and ending -------------------------------------------------------------------------------------

    def start(self, *, chat: bool = True, sources: bool | None = None, page: threading.Event | None = None) -> None:
        """Take the data folder and begin to work; returns at once. `chat`: with a chat model, not the library alone.

        `sources`: also load those that the settings name; with a chat model, this is so if nothing is said. `page` is
        set once a page is served: until then only child processes work, and nothing takes the interpreter from it.

        Raises:
            StoreError: the folder cannot be had.
        """
        self.folder.acquire()
        _share_heaps()
        self._background.start(chat=chat, named=chat if sources is None else sources, page=page)

    def end_answers(self) -> None:
        """Let whoever reads an answer know, within half a second, that there is no more of it: the app ends."""
        self._ending.set()

    def close(self) -> None:
        """Stop what is under way and let go of models and files."""
        self.end_answers()
        self._background.close()

    def retry(self) -> None:
        """Try again now what failed: the models, the sources."""
        if self.library:
            self.library.refresh(list(self.library.failed))
        self._background.wake_all()

    # -- models --------------------------------------------------------------------------------------------------

    def choose_chat(self, name: str) -> None:
        """Let another embedded chat model be the app's own from now on, fetched first if need be; "none": quotes alone.

        Raises:
            RagError: there is no such model, or the library is not open yet.
        """
        self._background.choose(name)

    def reindex(self, embeddings: str | None) -> None:
        """Move the library to another embedding model; None: to none, keep the one there is.

        Raises:
            QuestionError: there is no such embedding model here.
        """
        self.indexes.want(self._made_with(embeddings) if embeddings else None)
        self._background.wake_all()

    def estimate(self, embeddings: str) -> Offer:
        """What it would cost to move the library to another embedding model; embeds a few texts to see.

        Raises:
            RagError: there is no such embedding model here, or it cannot be had.
        """
        return self.indexes.estimate(self._made_with(embeddings))

    def _made_with(self, embeddings: str) -> Made:
        names = [model.name for model in self.models.known.listed() if model.use == "embeddings"]
        if embeddings not in names:
            raise QuestionError(f"There is no embedding model {embeddings}; there is {', '.join(names)}.")
        return self.indexes.made_with(embeddings)

    # -- answering -----------------------------------------------------------------------------------------------

    async def search(self, query: str, scope: Sequence[str] = (), caller: str | None = None) -> list[Document]:
        """The passages nearest to a query, of all sources or of those in `scope`. `caller`: as `AnswerChain` has it.

        Raises:
            RagError: there is nothing to search, or the search failed; says what to do.
        """
        if caller is not None:
            self.chain.rate.check(caller)
        query = check_question(query)
        _, sources = await self.when_ready.chain(scope, "")
        assert self.chains.retriever is not None
        return await retrieve({"asked": query, "scope": sources}, self.chains.retriever)

    # -- telling -------------------------------------------------------------------------------------------------

    @property
    def library(self) -> Library | None:
        """The library, once it is open."""
        return self.service.library

    @property
    def sources(self) -> list[IndexedSource]:
        """What answers can be drawn from."""
        return self.service.sources

    @property
    def embeddings(self) -> str:
        """The embedding model, `provider:model`, of the index that answers."""
        return self.service.index.made.embeddings if self.service.index else self.models.names.embeddings

    @property
    def notes(self) -> list[str]:
        """What a person should know of how models were chosen and the library was opened."""
        return [*self.models.names.notes, *self.service.notes, *self._languages()]

    def _languages(self) -> list[str]:
        """A note where sources are in languages that the embedding model does not read."""
        found = {language for item in self.sources for language in item.languages} - {ENGLISH}
        if not found or not reads_english_alone(self.embeddings):
            return []
        named = ", ".join(sorted(NAMES.get(language, language) for language in found))
        own = f"{E5_NAME} ({E5.size / 1e6:.0f} MB, fetched once) or " if runs_here() else ""
        return [
            f"{self.embeddings} reads English alone: texts in {named} are found by their words, not by their meaning."
            f" For both, choose {own}{MULTILINGUAL} of Ollama as embedding model under Models."
        ]

    @property
    def ready(self) -> bool:
        """Whether a question would be answered now."""
        return self.chains.own is not None and bool(self.sources) and not self.problems

    def _engine_state(self, name: str, part: str, built: object) -> dict[str, Any]:
        """What runs a model, where, and whether it could be reached at the last look (every 3 s)."""
        reachable = bool(built) and part not in self.problems
        return {"model": name, "address": self.models.known.address(name), "reachable": reachable}

    def _coming(self) -> dict[str, Any] | None:
        """How far the chat model is that is being fetched, in bytes, or why it did not come."""
        coming, work = self.models.coming, self.under_way.get("coming")
        if coming is None:
            return None
        far = {"done": work.done, "total": work.total, "seconds_left": work.seconds_left} if work else {}
        return {"model": coming.name, "problem": coming.problem, **far}

    def status(self) -> dict[str, Any]:
        """The app's state for people and programs: the same facts on the page and at `/health`."""
        sources = self.sources
        return {
            "ready": self.ready,
            "awaiting": [work.label + _share(work) for work in list(self.under_way.values())],
            "problems": {name: str(error) for name, error in list(self.problems.items())},
            "models": {"chat": self.models.names.chat, "embeddings": self.embeddings},
            "chosen": list(self.models.names.why),
            "coming": self._coming(),
            "declined": self.models.configured if self.models.declined else "",
            "engines": {
                "chat": self._engine_state(self.models.names.chat, "chat", self.models.chat),
                "embeddings": self._engine_state(self.embeddings, "embeddings", self.service.index),
            },
            "index": self.indexes.status(),
            "missing": list(self.models.pulls.missing),
            "sources": len(sources),
            "chunks": sum(item.chunks for item in sources),
            "failed": self.service.failed,
            "guide": GUIDE not in self.settings.sources and any(item.source == GUIDE for item in sources),
            "notes": self.notes,
        }


def _share(work: Work) -> str:
    if not work.total:
        return ""
    if work.unit == "bytes":
        left = f", about {told_seconds(work.seconds_left)} left" if work.seconds_left is not None else ""
        return f", {work.done / 1e6:.0f} of {work.total / 1e6:.0f} MB{left}"
    return f", {work.done} of {work.total} {work.unit}"


def _share_heaps() -> None:
    """Let threads share `HEAPS` in glibc: an ingest of 500 pages left 180 MB freed and unused in theirs otherwise.

    Source: mallopt(3). Elsewhere than in glibc, nothing is to be set.
    """
    if "MALLOC_ARENA_MAX" in os.environ:
        return  # the operator's own
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        library.mallopt(-8, HEAPS)  # M_ARENA_MAX
