"""The running app without its page: brings up models, store and chain, heals what fails, answers, and tells its state.

Two threads work from the start: one brings up the chat model and watches it, the other brings up the embeddings, opens
the store and ingests the sources. A page is served meanwhile; a question that comes early waits for them.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.retrievers import BaseRetriever

from rag.chain import Chain, Limits, Line, Phase, Update, build_chain, build_prompt, check_question, stream_answer
from rag.embedded import ChatEngine
from rag.errors import NothingIndexed, RagError, SourceError, not_pulled
from rag.ingest import Cancelled, Ingest
from rag.library import Library
from rag.loader import GUIDE
from rag.models import Ollama, build_chat_model, build_embeddings, choose_models
from rag.settings import DEFAULT_SOURCE, Settings
from rag.store import DataFolder, IndexedSource, Store, check_index, set_aside

log = logging.getLogger(__name__)

RETRY_SECONDS = 3.0
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Work:
    """Something long under way: `done` of `total` in `unit` (0: not known)."""

    label: str
    done: int = 0
    total: int = 0
    unit: str = ""


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
        self.names = choose_models(settings)
        self.folder = DataFolder(settings.data_dir)
        self.work: dict[str, Work] = {}
        self.problems: dict[str, RagError] = {}
        self.notes: list[str] = []
        self.missing: list[str] = []
        self._given_chat = chat_model
        self._prompt = build_prompt(settings.prompt_file)
        self._ollama = Ollama(settings)
        self._engine = self._embedded_engine()
        self._chat: tuple[BaseChatModel, int] | None = None
        self._embeddings: Embeddings | None = embeddings
        self._check_providers()
        self.library: Library | None = None
        self._store: Store | None = None
        self._ingest: Ingest | None = None
        self._finished = self._alone = False
        self._chain: Chain | None = None
        self._retriever: BaseRetriever | None = None
        self._ingested = False
        self._line = Line(settings.concurrency, settings.queue_size)
        self._closing = threading.Event()
        self._wake = {"chat": threading.Event(), "index": threading.Event()}
        self._threads: list[threading.Thread] = []

    def _embedded_engine(self) -> ChatEngine | None:
        provider, _, model = self.names.chat.partition(":")
        if provider != "embedded" or self._given_chat is not None:
            return None
        return ChatEngine(model, self.settings.cache_dir)

    def _check_providers(self) -> None:
        """Build at once what LangChain's own packages provide: a wrong name or a missing package stops the start.

        Raises:
            SettingsError: it cannot be used; one line that says why.
        """
        local = ("ollama", "embedded")
        if self._given_chat is None and self.names.chat.partition(":")[0] not in local:
            self._chat = build_chat_model(self.names.chat, self.settings)
        if self._embeddings is None and self.names.embeddings.partition(":")[0] not in local:
            self._embeddings = build_embeddings(self.names.embeddings, self.settings)

    def start(self, *, chat: bool = True) -> None:
        """Take the data folder and begin to work; returns at once. `chat`: with a chat model, not the library alone.

        Raises:
            StoreError: the folder cannot be had.
        """
        self.folder.acquire()
        self._alone = not chat
        targets = {"chat": self._bring_up_chat, "index": self._bring_up_index}
        for name, target in targets.items():
            if name == "chat" and not chat:
                continue
            thread = threading.Thread(target=self._guarded, args=(name, target), name=f"rag-{name}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def close(self) -> None:
        """Stop what is under way and let go of models and files."""
        self._closing.set()
        if self.library:
            self.library.close()
        for event in self._wake.values():
            event.set()
        if self._engine:
            self._engine.close()
        for thread in self._threads:
            thread.join(10)
        if self._store:
            self._store.close()
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
            self._wake[name].wait(RETRY_SECONDS if name in self.problems or name == "chat" else None)
            self._wake[name].clear()

    def _bring_up_chat(self) -> None:
        if self._chat is None:
            self.work["chat"] = Work(f"loading {self.names.chat}")
            self._need_pulled(self.names.chat)
            if self._engine:
                self._engine.start(self._fetching("chat", self.names.chat))
            model = self._given_chat
            window = self.settings.max_context
            if model is None:
                model, window = build_chat_model(self.names.chat, self.settings, self._engine)
            self._chat = (model, window)
            self._link()
            log.info("chat model %s is ready (%s tokens of context)", self.names.chat, window)
        self.check_chat()
        self._check_embeddings()

    def check_chat(self) -> None:
        """See whether the chat model can be asked now; starts an embedded one again.

        Raises:
            EngineError: it cannot; says what to do.
        """
        if self._engine and not self._engine.running and not self._closing.is_set():
            self._engine.start()
        if self._given_chat is None:
            self._need_pulled(self.names.chat)
        self.problems.pop("chat", None)

    def _check_embeddings(self) -> None:
        """See whether Ollama still has the embedding model, which questions need, too."""
        if self._embeddings is None:
            return  # the other thread is at it
        try:
            self._need_pulled(self.names.embeddings)
            self.problems.pop("embeddings", None)
        except RagError as error:
            self.problems["embeddings"] = error

    def _need_pulled(self, name: str) -> None:
        provider, _, model = name.partition(":")
        if provider != "ollama":
            return
        missing = self._ollama.missing([model])
        if not missing:
            if model in self.missing:
                self.missing.remove(model)
            return
        if model not in self.missing:
            self.missing.append(model)
            if self.settings.pull:
                for _ in self.pull(model):
                    pass
                return
        raise not_pulled(model, self.settings.ollama_host)

    def pull(self, model: str) -> Iterator[Work]:
        """Pull a model into Ollama; yields how far it is.

        Raises:
            EngineError: it could not be pulled.
        """
        key = f"pull {model}"
        try:
            for status, done, total in self._ollama.pull(model):
                self.work[key] = Work(f"pulling {model}: {status}", done, total, "bytes")
                yield self.work[key]
        finally:
            self.work.pop(key, None)
        if model in self.missing:
            self.missing.remove(model)
        for event in self._wake.values():
            event.set()

    def _fetching(self, key: str, name: str) -> Callable[[int, int], None]:
        def progress(done: int, total: int) -> None:
            loading = Work(f"loading {name}")
            self.work[key] = loading if done == total else Work(f"downloading {name}", done, total, "bytes")

        return progress

    def _bring_up_index(self) -> None:
        if self._store is None:
            self.work["index"] = Work("checking the index")
            checked: list[str] = []
            checking = threading.Thread(target=lambda: checked.append(check_index(self.folder)), daemon=True)
            checking.start()
            if self._embeddings is None:
                self._need_pulled(self.names.embeddings)
                self._embeddings = build_embeddings(
                    self.names.embeddings, self.settings, self._fetching("index", self.names.embeddings)
                )
            import chromadb  # noqa: F401  # a second's work while the child checks; after numpy, not beside it

            checking.join()
            if checked and checked[0]:
                kept = set_aside(self.folder)
                self._note(f"The index was damaged ({checked[0]}). It is built again from the texts; see {kept}.")
            engine = (self.names.embeddings, self._address(self.names.embeddings))
            splitter = (self.settings.chunk_size, self.settings.chunk_overlap)
            digest = self._ollama.digest(self.names.embeddings)
            self._store = Store(self.folder, self._embeddings, engine, splitter, digest)
            self._ingest = Ingest(self._store, self._embeddings, self.settings)
            self.library = Library(self._ingest, self.settings, self._wake["index"].set, self._indexing)
            self._link()
            if not self._alone:
                self._ask_for_named()
        assert self._ingest is not None and self.library is not None
        if not self._finished:
            for source, error in self._ingest.finish(self._indexing).items():
                self.library.failed[source] = str(error)
            self._finished = True
        self.library.work()
        if not self._ingested and not self._alone:
            self._stand_in()
            self._ingested = True
        log.info("%s sources, %s chunks are indexed", len(self._store.sources), self._store.chunks)

    def _indexing(self, source: str, done: int, total: int) -> None:
        self.work["index"] = Work(f"{'indexing' if total else 'loading'} {source}", done, total, "chunks")

    def _note(self, text: str) -> None:
        log.warning("%s", text)
        self.notes.append(text)

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
        for event in self._wake.values():
            event.set()

    def _link(self) -> None:
        """Build the chain once both its ends are there."""
        if self._chat is None or self._store is None or self._embeddings is None:
            return
        model, window = self._chat
        how = self.settings.context
        self._retriever = self._store.vector_store().as_retriever(search_kwargs={"k": self.settings.k})
        self._chain = build_chain(
            self._retriever,
            self._prompt,
            model,
            embeddings=self._embeddings,
            sentences=how == "sentences" or (how == "auto" and self.names.chat.startswith("embedded:")),
            window=window,
            max_tokens=self.settings.max_tokens,
        )

    def _address(self, name: str) -> str:
        provider = name.partition(":")[0]
        if provider == "ollama":
            return self.settings.ollama_host
        return "this machine" if provider == "embedded" else self.settings.base_url or f"{provider}'s own address"

    # -- answering -----------------------------------------------------------------------------------------------

    def stream_answer(self, question: str, history: Sequence[BaseMessage] = ()) -> AsyncGenerator[Update, None]:
        """Answer a question, as `rag.chain.stream_answer` describes."""
        return stream_answer(
            self._ready_chain,
            question,
            history,
            line=self._line,
            limits=Limits(self.settings.first_token_timeout, self.settings.idle_timeout),
            max_question=self.settings.max_question,
            engine=(self.names.chat, self._address(self.names.chat)),
            engine_phase=self._engine_phase,
        )

    async def search(self, query: str) -> list[Document]:
        """The passages nearest to a query.

        Raises:
            RagError: there is nothing to search, or the search failed; says what to do.
        """
        query = check_question(query, self.settings.max_question)
        await self._ready_chain()
        assert self._retriever is not None
        return await self._retriever.ainvoke(query)

    @property
    def sources(self) -> list[IndexedSource]:
        """What answers can be drawn from."""
        return self._store.sources if self._store else []

    @property
    def failed(self) -> dict[str, str]:
        """Why sources could not be loaded."""
        return dict(self.library.failed) if self.library else {}

    def _engine_phase(self) -> Phase:
        provider, _, model = self.names.chat.partition(":")
        return "loading" if provider == "ollama" and not self._ollama.is_loaded(model) else "reading"

    async def _ready_chain(self) -> Chain:
        """The chain, waited for while the app starts.

        Raises:
            RagError: it cannot be had; says what to do.
        """
        while self._chain is None or not self._has_chunks():
            if problem := self.problems.get("index") or self.problems.get("chat"):
                raise problem
            if self._ingested and not self._has_chunks():
                failed = "; ".join(f"{source}: {reason}" for source, reason in self.failed.items())
                raise NothingIndexed(f"Nothing is indexed yet, so there is nothing to answer from. {failed}".strip())
            await asyncio.sleep(POLL_SECONDS)
        if "chat" in self.problems or (self._engine and not self._engine.running):
            await asyncio.to_thread(self.check_chat)
        return self._chain

    def _has_chunks(self) -> bool:
        return self._store is not None and self._store.chunks > 0

    # -- telling -------------------------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether a question would be answered now."""
        return self._chain is not None and self._has_chunks() and not self.problems

    def _engine_state(self, name: str, part: str, built: object) -> dict[str, Any]:
        """What runs a model, where, and whether it could be reached at the last look (every 3 s)."""
        return {"model": name, "address": self._address(name), "reachable": bool(built) and part not in self.problems}

    def status(self) -> dict[str, Any]:
        """The app's state for people and programs: the same facts on the page and at `/health`."""
        sources = self.sources
        return {
            "ready": self.ready,
            "awaiting": [work.label + _share(work) for work in list(self.work.values())],
            "problems": {name: str(error) for name, error in list(self.problems.items())},
            "models": {"chat": self.names.chat, "embeddings": self.names.embeddings},
            "engines": {
                "chat": self._engine_state(self.names.chat, "chat", self._chat),
                "embeddings": self._engine_state(self.names.embeddings, "embeddings", self._embeddings),
            },
            "missing": list(self.missing),
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
