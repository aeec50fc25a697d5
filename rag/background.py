"""The threads of a running app: each brings up one part, heals what fails, and tells how far it is.

One brings up the chat model and watches it; one brings up the embeddings, opens the library and does its work; one
measures what questions are judged by; one follows what other processes change in a library that is shared.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel

from rag.answers.build import Chains
from rag.errors import RagError
from rag.library.ingest import Cancelled
from rag.library.service import LibraryService
from rag.models.in_use import ModelsInUse
from rag.models.languages import read_languages_in_place
from rag.models.state import Work
from rag.settings import Settings

log = logging.getLogger(__name__)

RETRY_SECONDS = 3.0
CALM_SECONDS = 15.0
"""Pause between two looks at an Ollama with which nothing is wrong; what a question meets is told at once."""
ANSWER_SECONDS = 10.0
"""The library's own work waits no longer than that for an answer that was asked for during the start."""
FETCH_AGAIN_SECONDS = 300.0
"""After that a download that failed is tried again, without anybody asking."""
PAGE_SECONDS = 10.0
"""The page is waited for no longer than that before models and index are brought up beside it."""
FOLLOW_SECONDS = 1.0
CHOICE = "chat model"
"""The name under which the database remembers which chat model a person chose."""


class Background:
    """Brings up models, library and chains, and keeps them up."""

    def __init__(
        self,
        settings: Settings,
        chat_model: BaseChatModel | None,
        embeddings: Embeddings | None,
        asked: Callable[[], bool],
    ) -> None:
        """A `chat_model` or `embeddings` given here is used as it is, under the name in the settings.

        `asked` tells whether a question is being answered or waits.
        """
        self._asked = asked
        self.problems: dict[str, RagError] = {}
        """What fails now, by part: "chat", "embeddings", "index", "store"."""
        self.under_way: dict[str, Work] = {}
        """What is under way, by part."""
        self._wake = {name: threading.Event() for name in ("chat", "coming", "index", "prepare")}
        self.models = ModelsInUse(settings, self.under_way, self.wake_all, chat_model=chat_model, embeddings=embeddings)
        self.service = LibraryService(settings, self.models, self._wake["index"].set, self._tell)
        self.chains = Chains(settings)
        self._cache_dir = settings.cache_dir
        self._shared = bool(settings.database_url or settings.chroma_url)
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []
        self._page: threading.Event | None = None
        self._named = True
        self._prepares = False
        """Whether a thread makes ready what questions would wait for."""

    def start(self, *, chat: bool, named: bool, page: threading.Event | None) -> None:
        """Begin; returns at once. `named`: load the sources of the settings. `chat`, `page`: as `Assistant.start`."""
        self._page, self._named, self._prepares = page, named, chat
        targets: dict[str, Callable[[], None]] = {"index": self._bring_up_index}
        if chat:
            targets |= {"chat": self._bring_up_chat, "coming": self._bring_coming, "prepare": self._prepare}
        if named:
            targets["folders"] = lambda: self.service.watch(self._closing)
            self._wake["folders"] = threading.Event()
        threads = [
            threading.Thread(target=self._guarded, args=(name, target), name=f"rag-{name}", daemon=True)
            for name, target in targets.items()
        ]
        if self._shared:
            threads.append(threading.Thread(target=self._follow, name="rag-follow", daemon=True))
        for thread in threads:
            thread.start()
        self._threads += threads

    def close(self) -> None:
        """Stop what is under way and let go of models and files."""
        self._closing.set()
        self.service.stop()
        self.wake_all()
        self.models.close()
        for thread in self._threads:
            thread.join(10)
        self.service.close(idle=not any(thread.is_alive() for thread in self._threads))

    def wake_all(self) -> None:
        """Let each thread try again now."""
        for event in self._wake.values():
            event.set()

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
                self.under_way.pop(name, None)
                self.under_way.pop("reindex" if name == "index" else name, None)
            again = name in self.problems or name == "chat" or bool(self.service.indexes.problem)
            later = FETCH_AGAIN_SECONDS if name == "coming" and self.models.coming else None
            calm = name == "chat" and not self.problems and self.models.names.chat.startswith("ollama:")
            self._wake[name].wait((CALM_SECONDS if calm else RETRY_SECONDS) if again else later)
            self._wake[name].clear()

    def _bring_up_chat(self) -> None:
        if self.models.chat is None:
            self._let_page_first()
            self._recall()
            self.under_way["chat"] = Work(f"loading {self.models.names.chat}")
            chat = self.models.build_chat()
            log.info("chat model %s is ready (%s tokens of context)", self.models.names.chat, chat.window)
            self._wake["coming"].set()
        if self.chains.own is None:
            self._link()
        self.models.check_chat()
        self.problems.pop("chat", None)
        if self.models.look_again():
            self._wake["coming"].set()
        if not self._asked():
            self.models.let_go()
            if not self.under_way.keys() - {"chat", "coming"}:
                self._measure()
        if self.service.index is not None:
            try:
                self.models.pulls.need(self.service.index.made.embeddings, "embeddings")
                self.problems.pop("embeddings", None)
            except RagError as error:
                self.problems["embeddings"] = error

    def _recall(self) -> None:
        """Go on with the chat model that was chosen before; with the settings' where no database can be had."""
        while not self.service.database_opened.wait(0.1):
            if self._closing.is_set() or "index" in self.problems:
                return
        self.models.recall(self.service.database.setting(CHOICE))

    def choose(self, name: str) -> None:
        """Let another embedded chat model, or none, be the app's own from now on, and remember it.

        Raises:
            RagError: there is no such model, or the library is not open yet.
        """
        if not self.service.database_opened.is_set():
            raise RagError("The library is being opened. Try again in a moment.")
        self.service.database.remember(CHOICE, self.models.choose(name))
        self._wake["coming"].set()

    def _bring_coming(self) -> None:
        """Fetch the chat model that is to come, and change over to it between two questions."""
        if self.models.chat is None or self.models.coming is None:
            return
        self.under_way["coming"] = Work(f"loading {self.models.coming.name}")
        if self.models.fetch_coming():
            self._link()
            log.info("%s answers from now on", self.models.names.chat)
        elif self.models.coming and self.models.coming.problem:
            log.warning("%s", self.models.coming.problem)

    def _measure(self) -> None:
        """Measure once how fast the chat model is here, while nothing else is done."""
        try:
            self.models.measure_speed()
        except RagError as error:
            if not self._closing.is_set():
                log.info("%s", error)

    def _let_page_first(self) -> None:
        if self._page:
            self._page.wait(PAGE_SECONDS)

    def _let_answer_first(self) -> None:
        """Answer what was asked during the start before the import of Chroma takes a second of the interpreter."""
        until = time.monotonic() + ANSWER_SECONDS
        while self.service.sources and self._asked() and time.monotonic() < until and not self._closing.wait(0.1):
            pass

    def _bring_up_index(self) -> None:
        if self.service.library is None:
            self.under_way["index"] = Work("opening the library")
            self._let_page_first()
            if not self._prepares:
                read_languages_in_place(self._cache_dir)
            self.service.open(self.models.names.embeddings, named=self._named)
            self._link()
            self._let_answer_first()
        self.service.work(self._link, named=self._named)
        self.under_way.pop("index", None)
        self._wake["prepare"].set()  # minutes on a slow engine: the next ingest does not wait for it
        sources = self.service.sources
        log.info("%s sources, %s chunks are indexed", len(sources), sum(item.chunks for item in sources))

    def _prepare(self) -> None:
        """Make ready what questions would wait for, while models and library are opened in threads of their own."""
        self._let_page_first()
        read_languages_in_place(self._cache_dir)
        self.chains.load_words()
        self.chains.prepare()

    def _follow(self) -> None:
        """Every second, see what other processes changed, and whether database and Chroma server are there."""
        while not self._closing.wait(FOLLOW_SECONDS):
            try:
                self.service.follow(self._link)
                self.problems.pop("store", None)
            except RagError as error:
                if str(error) != str(self.problems.get("store")):
                    log.warning("%s", error)
                self.problems["store"] = error
            except Exception:
                log.exception("following the other processes")

    def _tell(self, name: str, label: str, done: int, total: int) -> None:
        self.under_way[name] = Work(label, done, total, "chunks")

    def _link(self) -> None:
        """Build the retriever once the library is there, and the chain once the chat model is, too."""
        if self.service.index is not None and self._named:
            self.chains.link(self.service.index, self.models.chat)
