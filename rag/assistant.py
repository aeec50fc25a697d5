"""The running app without its page: brings up models, store and chain, heals what fails, answers, and tells its state.

Two threads work from the start: one brings up the chat model and watches it, the other brings up the embeddings, opens
the store and ingests the sources. A page is served meanwhile; a question that comes early waits for them.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.retrievers import BaseRetriever

from rag.answers.chain import RagChain, Rewriter, build_prompt, retrieve
from rag.answers.followup import build_rewriter, standalone
from rag.answers.rate import Rate
from rag.answers.refusal import Refusal
from rag.answers.retriever import build_retriever
from rag.answers.stream import Answers, Limits, Line, check_question
from rag.errors import NothingIndexed, QuestionError, RagError, SourceError
from rag.library.indexes import Indexes, Made, Offer
from rag.library.ingest import Cancelled
from rag.library.shared import SharedFolder, open_folder
from rag.library.store import IndexedSource, Store, check_index, set_aside
from rag.library.work import Library, find_named
from rag.models.in_use import ModelsInUse, Work
from rag.observe import Metrics
from rag.settings import DEFAULT_SOURCE, Settings
from rag.sources.loader import GUIDE, is_url

log = logging.getLogger(__name__)

RETRY_SECONDS = 3.0
POLL_SECONDS = 0.1
PAGE_SECONDS = 10.0
"""The page is waited for no longer than that before models and index are brought up beside it."""
FOLLOW_SECONDS = 1.0
CLEAN_SECONDS = 10.0
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
        self._wake = {"chat": threading.Event(), "index": threading.Event()}
        self.work: dict[str, Work] = {}
        self.models = ModelsInUse(settings, self.work, self._wake_all, chat_model=chat_model, embeddings=embeddings)
        self.folder = open_folder(settings)
        self.problems: dict[str, RagError] = {}
        self.notes: list[str] = list(self.models.names.notes)
        self._prompt = build_prompt(settings.prompt_file)
        self.indexes = Indexes(self.folder, settings, self.models.embeddings, self.models.address)
        self.library: Library | None = None
        self._checked = self._cleaned = self._alone = False
        self._chain: RagChain | None = None
        self._retriever: BaseRetriever | None = None
        self._refusal: Refusal | None = None
        self._linking = threading.Lock()
        self._ingested = False
        self.line = Line(settings.concurrency, settings.queue_size)
        self.metrics = Metrics(self, text=settings.log_text)
        self._ending = threading.Event()
        self.chain = Answers(
            self._ready_chain,
            self.models.engine_of,
            line=self.line,
            limits=Limits(settings.first_token_timeout, settings.idle_timeout),
            rate=Rate(settings.questions_a_minute),
            watch=self.metrics.watch,
            max_question=settings.max_question,
            ending=self._ending,
        )
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []
        self._page: threading.Event | None = None

    @property
    def _store(self) -> Store | None:
        return self.indexes.active.store if self.indexes.active else None

    @property
    def _embeddings(self) -> Embeddings | None:
        return self.indexes.active.embeddings if self.indexes.active else None

    @property
    def embeddings(self) -> str:
        """The embedding model, `provider:model`, of the index that answers."""
        return self.indexes.active.made.embeddings if self.indexes.active else self.models.names.embeddings

    def start(self, *, chat: bool = True, sources: bool | None = None, page: threading.Event | None = None) -> None:
        """Take the data folder and begin to work; returns at once. `chat`: with a chat model, not the library alone.

        `sources`: also load those that the settings name; with a chat model, this is so if nothing is said. `page` is
        set once a page is served: until then only child processes work, and nothing takes the interpreter from it.

        Raises:
            StoreError: the folder cannot be had.
        """
        self.folder.acquire()
        _share_heaps()
        self._page = page
        self._alone = not (chat if sources is None else sources)
        targets = {"chat": self._bring_up_chat, "index": self._bring_up_index}
        for name, target in targets.items():
            if name == "chat" and not chat:
                continue
            thread = threading.Thread(target=self._guarded, args=(name, target), name=f"rag-{name}", daemon=True)
            thread.start()
            self._threads.append(thread)
        if self.folder.shared:
            thread = threading.Thread(target=self._follow, name="rag-follow", daemon=True)
            thread.start()
            self._threads.append(thread)

    def end_answers(self) -> None:
        """Let whoever reads an answer know, within half a second, that there is no more of it: the app ends."""
        self._ending.set()

    def close(self) -> None:
        """Stop what is under way and let go of models and files."""
        self.end_answers()
        self._closing.set()
        if self.library:
            self.library.close()
        self.indexes.end()
        self._wake_all()
        self.models.close()
        for thread in self._threads:
            thread.join(10)
        opened = self.indexes.active is not None
        self.indexes.close()
        if opened and not any(thread.is_alive() for thread in self._threads):
            self.folder.note_closed()
        self.folder.release()

    # -- what is up ----------------------------------------------------------------------------------------------

    def _guarded(self, name: str, target: Callable[[], None]) -> None:
        """Run a step until it is through; what fails is told, and tried again when it may have healed."""
        while not self._closing.is_set():
            try:
                target()
                self.problems.pop(name, None)
            except Cancelled:
                return
            except RagError as error:
                if not self._closing.is_set() and str(error) != str(self.problems.get(name)):
                    log.warning("%s", error)
                self.problems[name] = error
            except Exception as error:
                log.exception("bringing up %s", name)
                self.problems[name] = RagError(f"Something unexpected failed ({type(error).__name__}); see the log.")
            finally:
                self.work.pop(name, None)
            again = name in self.problems or name == "chat" or bool(self.indexes.problem)
            self._wake[name].wait(RETRY_SECONDS if again else None)
            self._wake[name].clear()

    def _bring_up_chat(self) -> None:
        if self.models.chat is None:
            self.work["chat"] = Work(f"loading {self.models.names.chat}")
            self.models.start_chat()
            self._let_page_first()
            _, window = self.models.build_chat()
            log.info("chat model %s is ready (%s tokens of context)", self.models.names.chat, window)
        if self._chain is None:
            self._link()
        self.check_chat()
        self._check_embeddings()

    def _let_page_first(self) -> None:
        if self._page:
            self._page.wait(PAGE_SECONDS)

    def check_chat(self) -> None:
        """See whether the chat model can be asked now; starts an embedded one again.

        Raises:
            EngineError: it cannot; says what to do.
        """
        if not self._closing.is_set():
            self.models.check_chat()
        self.problems.pop("chat", None)

    def _check_embeddings(self) -> None:
        """See whether Ollama still has the embedding model, which questions need, too."""
        if self._embeddings is None:
            return  # the other thread is at it
        try:
            self.models.need_pulled(self.embeddings)
            self.problems.pop("embeddings", None)
        except RagError as error:
            self.problems["embeddings"] = error

    def _bring_up_index(self) -> None:
        if self._store is None:
            self.work["index"] = Work("checking the index")
            self._let_page_first()
            self._check_index()
            for note in self.folder.set_states_aside():
                self._note(note)
            if note := self.indexes.start(self.models.names.embeddings):
                self._note(note)
            assert self.indexes.active is not None
            self.library = Library(self.indexes.active.ingest, self.settings, self._wake["index"].set, self._indexing)
            self._link()
            self._ask_for_damaged()
            if not self._alone:
                self._ask_for_named()
        assert self.indexes.active is not None and self.library is not None
        self.library.work()
        if not self._cleaned:
            self.indexes.active.store.clean()
            self._cleaned = True
        if not self._ingested and not self._alone:
            self._stand_in()
            self._ingested = True
        self.work.pop("index", None)
        self.problems.pop("index", None)
        self._prepare_refusal()
        self.indexes.make_offer()
        try:
            while self.indexes.wanted:
                if self.indexes.build_beside(self.library, self._reindexing):
                    self._link()
                elif self.indexes.problem:
                    break
        finally:
            self.work.pop("reindex", None)
        log.info("%s sources, %s chunks are indexed", len(self.sources), sum(item.chunks for item in self.sources))

    def _follow(self) -> None:
        """Every second, see what other replicas changed on the Chroma server, and whether it is there."""
        cleaned = 0.0
        while not self._closing.wait(FOLLOW_SECONDS):
            if self._store is None or self.library is None:
                continue
            try:
                self._store.follow()
                self.library.follow()
                if self.indexes.follow(self.library):
                    self._link()
                if time.monotonic() - cleaned > CLEAN_SECONDS:
                    self._store.clean()
                    cleaned = time.monotonic()
                self.problems.pop("store", None)
            except RagError as error:
                if str(error) != str(self.problems.get("store")):
                    log.warning("%s", error)
                self.problems["store"] = error
            except Exception:
                log.exception("following the other replicas")

    def _check_index(self) -> None:
        """Look at the index in a child process, unless it was closed well, while the embedding model is made ready."""
        if self._checked:
            return
        wrong: list[str] = []
        checking = threading.Thread(target=lambda: wrong.append(check_index(self.folder)), daemon=True)
        if isinstance(self.folder, SharedFolder):
            self.folder.poll()
            wrong.append("")  # the server's own business
        elif (changed := self.folder.changed_since_closed()) is not None:
            wrong.append(changed)  # mostly: it is as it was left
        else:
            checking.start()
        with suppress(RagError):  # another one may be the one that answers; who needs it will tell
            self.models.embeddings(self.models.names.embeddings)
        import chromadb  # noqa: F401  # a second's work while the child checks; after numpy, not beside it

        if not wrong:
            checking.join()
        self._checked = True
        if wrong and wrong[0]:
            kept = set_aside(self.folder)
            self._note(f"The index was damaged ({wrong[0]}). It is built again from the texts; see {kept}.")

    def _indexing(self, source: str, done: int, total: int) -> None:
        self.work["index"] = Work(f"{'indexing' if total else 'loading'} {source}", done, total, "chunks")

    def _reindexing(self, source: str, done: int, total: int) -> None:
        self.work["reindex"] = Work(f"building the new index: {source}", done, total, "chunks")

    def reindex(self, embeddings: str | None) -> None:
        """Move the library to another embedding model; None: to none, keep the one there is.

        Raises:
            QuestionError: there is no such embedding model here.
        """
        self.indexes.want(self._made_with(embeddings) if embeddings else None)
        self._wake["index"].set()

    def estimate(self, embeddings: str) -> Offer:
        """What it would cost to move the library to another embedding model; embeds a few texts to see.

        Raises:
            RagError: there is no such embedding model here, or it cannot be had.
        """
        return self.indexes.estimate(self._made_with(embeddings))

    def _made_with(self, embeddings: str) -> Made:
        names = [model.name for model in self.models.listed() if model.use == "embeddings"]
        if embeddings not in names:
            raise QuestionError(f"There is no embedding model {embeddings}; there is {', '.join(names)}.")
        return self.indexes.made_with(embeddings)

    def _note(self, text: str) -> None:
        log.warning("%s", text)
        self.notes.append(text)

    def _ask_for_damaged(self) -> None:
        """Name the texts that cannot be read any more, and ask for their sources again."""
        assert self.library is not None and self._store is not None
        for source, kept in self.folder.set_damaged_aside(self._store.named):
            again = f"{source} is loaded again" if source else "add its source again"
            self._note(f"A text was damaged and is kept as {kept}; {again}.")
            if source:
                try:
                    self.library.add([source], private=not is_url(source))
                except SourceError as error:
                    self.library.failed[source] = error.reason

    def _ask_for_named(self) -> None:
        """Ask for every source in the settings, but not again for the default one where it was removed."""
        assert self.library is not None
        for given in self.settings.sources:
            if given == DEFAULT_SOURCE and given in self.library.removed:
                continue
            try:
                self.library.add([given], private=True)
            except SourceError as error:
                self.library.failed[given] = error.reason
                log.warning("%s", error)

    def _stand_in(self) -> None:
        """The bundled guide stands in for the default article where that cannot be loaded."""
        assert self.library is not None and self._store is not None
        indexed = {item.source for item in self._store.sources}
        if DEFAULT_SOURCE in self.library.failed and DEFAULT_SOURCE not in indexed:
            self.library.add([GUIDE], private=True)
            self.library.work()
        elif GUIDE in indexed and GUIDE not in self.settings.sources and len(indexed) > 1:
            self._store.remove(GUIDE)

    def retry(self) -> None:
        """Try again now what failed: the models, the sources."""
        if self.library:
            self.library.refresh(list(self.library.failed))
        self._wake_all()

    def _wake_all(self) -> None:
        for event in self._wake.values():
            event.set()

    def _link(self) -> None:
        """Build the retriever once the store is there, and the chain once the chat model is, too."""
        with self._linking:
            self._link_now()

    def _link_now(self) -> None:
        if self._store is None or self._alone:
            return
        self._retriever = build_retriever(self._store, self.settings)
        if self.settings.refuse and (self._refusal is None or self._refusal.store is not self._store):
            self._refusal = Refusal(self._store, self.folder, self.settings.k)
        if self.models.chat is not None:
            self._chain = self._chain_of(self.models.names.chat, *self.models.chat)
            gc.freeze()  # what is loaded by now stays, and no collection need look at it while answers stream

    def _chain_of(self, name: str, model: BaseChatModel, window: int) -> RagChain:
        assert self._retriever is not None and self._embeddings is not None
        how = self.settings.context
        return RagChain(
            self._retriever,
            self._prompt,
            model,
            embeddings=self._embeddings,
            sentences=how == "sentences" or (how == "auto" and name.startswith("embedded:")),
            window=window,
            max_tokens=self.settings.max_tokens,
            rewriter=self._rewriter(name, model),
            decide=self._refusal,
        )

    @staticmethod
    def _rewriter(name: str, model: BaseChatModel) -> Rewriter | None:
        """What words follow-ups anew; none with an embedded model, which is too small for it."""
        return None if name.startswith("embedded:") else build_rewriter(model)

    def _prepare_refusal(self) -> None:
        """Measure the embedding model's scale now, so that no question waits for it."""
        if self._refusal is not None and self._store is not None and self._store.chunks:
            with suppress(RagError):  # the question that needs it tries again, and tells
                self._refusal.prepare()

    # -- answering -----------------------------------------------------------------------------------------------

    async def asked(self, question: str, history: Sequence[BaseMessage]) -> str:
        """What a question is searched with, after what was said before."""
        own = self.models.chat
        rewriter = self._rewriter(self.models.names.chat, own[0]) if own else None
        return await standalone(question, history, rewriter)

    async def refuses(self, asked: str, sources: list[Document]) -> bool:
        """Whether a question would be refused, given what was found for it."""
        if self._refusal is None:
            return False
        course = await self._refusal({"question": asked, "asked": asked, "sources": sources})
        return course.refused

    async def search(self, query: str, scope: Sequence[str] = (), caller: str | None = None) -> list[Document]:
        """The passages nearest to a query, of all sources or of those in `scope`. `caller`: as `Answers` has it.

        Raises:
            RagError: there is nothing to search, or the search failed; says what to do.
        """
        if caller is not None:
            self.chain.rate.check(caller)
        query = check_question(query, self.settings.max_question)
        await self._ready_chain((), "")
        assert self._retriever is not None
        return await retrieve({"asked": query, "scope": self._in_scope(scope)}, self._retriever)

    def _in_scope(self, scope: Sequence[str]) -> list[str]:
        """The sources meant.

        Raises:
            QuestionError: one of them is not indexed.
        """
        try:
            return find_named(scope, [item.source for item in self.sources])
        except SourceError as error:
            raise QuestionError(f"The answer is to be drawn from {error.source}, which is {error.reason}.") from error

    async def retriever(self, k: int) -> BaseRetriever:
        """A retriever of `k` passages, waited for until every source is indexed; needs no chat model.

        Raises:
            RagError: there is nothing to search; says why.
        """
        while not self._ingested:
            if problem := self.problems.get("index"):
                raise problem
            await asyncio.sleep(POLL_SECONDS)
        self._need_chunks()
        assert self._store is not None
        return build_retriever(self._store, self.settings, k)

    @property
    def sources(self) -> list[IndexedSource]:
        """What answers can be drawn from."""
        return self._store.sources if self._store else []

    @property
    def failed(self) -> dict[str, str]:
        """Why sources could not be loaded."""
        return dict(self.library.failed) if self.library else {}

    async def _ready_chain(self, scope: Sequence[str], name: str) -> tuple[RagChain, list[str]]:
        """The chain, waited for while the app starts, with another chat model if asked for; and the sources meant.

        Raises:
            RagError: it cannot be had; says what to do.
        """
        other = bool(name) and name != self.models.names.chat
        while (self._chain is None and not other) or not self._has_chunks():
            problem = self.problems.get("index") or (None if other else self.problems.get("chat"))
            if problem:
                raise problem
            if self._ingested and not (self.library and self.library.elsewhere):
                self._need_chunks()
            await asyncio.sleep(POLL_SECONDS)
        sources = self._in_scope(scope)
        if other:
            chain = self._chain_of(name, *await asyncio.to_thread(self.models.other_chat, name))
        else:
            engine = self.models.engine
            if "chat" in self.problems or (engine and not engine.running):
                await asyncio.to_thread(self.check_chat)
            assert self._chain is not None
            chain = self._chain
        return chain, sources

    def _need_chunks(self) -> None:
        if not self._has_chunks():
            failed = "; ".join(f"{source}: {reason}" for source, reason in self.failed.items())
            raise NothingIndexed(f"Nothing is indexed yet, so there is nothing to answer from. {failed}".strip())

    def _has_chunks(self) -> bool:
        return self._store is not None and self._store.chunks > 0

    # -- telling -------------------------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether a question would be answered now."""
        return self._chain is not None and self._has_chunks() and not self.problems

    def _engine_state(self, name: str, part: str, built: object) -> dict[str, Any]:
        """What runs a model, where, and whether it could be reached at the last look (every 3 s)."""
        reachable = bool(built) and part not in self.problems
        return {"model": name, "address": self.models.address(name), "reachable": reachable}

    def status(self) -> dict[str, Any]:
        """The app's state for people and programs: the same facts on the page and at `/health`."""
        sources = self.sources
        return {
            "ready": self.ready,
            "awaiting": [work.label + _share(work) for work in list(self.work.values())],
            "problems": {name: str(error) for name, error in list(self.problems.items())},
            "models": {"chat": self.models.names.chat, "embeddings": self.embeddings},
            "engines": {
                "chat": self._engine_state(self.models.names.chat, "chat", self.models.chat),
                "embeddings": self._engine_state(self.embeddings, "embeddings", self._embeddings),
            },
            "index": self.indexes.status(),
            "missing": list(self.models.missing),
            "sources": len(sources),
            "chunks": sum(item.chunks for item in sources),
            "failed": self.failed,
            "guide": GUIDE not in self.settings.sources and any(item.source == GUIDE for item in sources),
            "notes": list(self.notes),
        }


def _share(work: Work) -> str:
    if not work.total:
        return ""
    if work.unit == "bytes":
        return f", {work.done / 1e6:.0f} of {work.total / 1e6:.0f} MB"
    return f", {work.done} of {work.total} {work.unit}"


def _share_heaps() -> None:
    """Let threads share `HEAPS` in glibc: an ingest of 500 pages left 180 MB freed and unused in theirs otherwise.

    Source: mallopt(3). Elsewhere than in glibc, nothing is to be set.
    """
    if "MALLOC_ARENA_MAX" in os.environ:
        return  # the operator's own
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        library.mallopt(-8, HEAPS)  # M_ARENA_MAX
