"""The models that the app uses: made ready and watched."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel

from rag.errors import EngineError, NoSuchModel, RagError
from rag.models.choose import Chat, build_chat_model, build_embeddings, choose_models, embedded_models
from rag.models.embedded import ChatEngine
from rag.models.hub import Stopped
from rag.models.known import KnownModels
from rag.models.machine import MOST_CONTEXT
from rag.models.model_files import is_here
from rag.models.ollama import Ollama
from rag.models.pulls import Pulls
from rag.models.speed import keep_speed, measure
from rag.models.state import Choice, Coming, Engine, EnginePhase, Work
from rag.settings import NO_MODEL, Settings

LOOK_AGAIN_SECONDS = 10.0
"""Pause between two looks whether Ollama has a chat model by now, where `auto` found none."""


class ModelsInUse:
    """The chat model and the embedding model of the settings, and others that a conversation goes on with."""

    def __init__(
        self,
        settings: Settings,
        under_way: dict[str, Work],
        pulled: Callable[[], None],
        *,
        chat_model: BaseChatModel | None = None,
        embeddings: Embeddings | None = None,
    ) -> None:
        """What takes long is noted in `under_way`; `pulled` is called when a model has been pulled.

        A `chat_model` or `embeddings` given here is used as it is, under the name in the settings.

        Raises:
            SettingsError: a model of LangChain's own packages cannot be used; one line that says why.
        """
        self.names = choose_models(settings)
        self.configured = self.names.chat
        """The chat model of the settings; `names` has the one that answers now."""
        self.coming: Coming | None = None
        self._settings = settings
        self._under_way = under_way
        self._given_embeddings = embeddings
        self._ollama = Ollama(settings)
        self.pulls = Pulls(self._ollama, settings, under_way, pulled)
        self.known = KnownModels(settings, self._ollama, lambda: self.names)
        self.engine: ChatEngine | None = None
        self.chat: Chat | None = None
        """The app's own chat model, once it is ready."""
        self._given_chat = chat_model
        self._closed = False
        self._retired: list[ChatEngine] = []
        self._others: dict[str, tuple[Chat, ChatEngine | None]] = {}
        self._made_embeddings: dict[str, Embeddings] = {}
        self._choosing = threading.Lock()
        self._looked = 0.0
        if chat_model is None:
            self._begin_with(self.configured)
        local = ("ollama", "embedded", NO_MODEL)
        # What LangChain's own packages provide is built at once: a wrong name or a missing package stops the start.
        if chat_model is None and self.names.chat.partition(":")[0] not in local:
            self.chat = build_chat_model(self.names.chat, settings)
        if embeddings is None and self.names.embeddings.partition(":")[0] not in local:
            self._given_embeddings = build_embeddings(self.names.embeddings, settings)

    def _embedded_engine(self, name: str) -> ChatEngine | None:
        provider, _, model = name.partition(":")
        if provider != "embedded":
            return None
        return ChatEngine(model, self._settings.cache_dir)

    # -- another own chat model --------------------------------------------------------------------------------------

    def _begin_with(self, name: str) -> None:
        """Let `name` be the app's own chat model; quotes, until its file has been fetched."""
        engine = self._embedded_engine(name)
        if engine is not None and not is_here(engine.model, self._settings.cache_dir):
            self.coming, engine, name = Coming(name), None, NO_MODEL
        self.names, self.engine = replace(self.names, chat=name), engine

    def recall(self, choice: Choice | None) -> None:
        """Go on with what was chosen before, if the settings still name the model that they named then."""
        if not choice or choice.get("configured") != self.configured or self.chat is not None:
            return
        begun, name, self.coming = self.engine, self.names.chat, None
        self._begin_with(choice["chosen"])
        if self.names.chat == name:
            self.engine = begun
        elif begun:
            begun.close()

    def choose(self, name: str) -> Choice:
        """Choose another embedded model, or none; `fetch_coming` then changes over to it. Returns what to remember.

        Raises:
            NoSuchModel: it is neither.
        """
        known = {NO_MODEL, self.configured, *(model.name for model in embedded_models() if model.use == "chat")}
        if name not in known:
            raise NoSuchModel(f"There is no chat model {name} to change to; there is {', '.join(sorted(known))}.")
        self.coming = Coming(name) if name != self.names.chat else None
        return {"configured": self.configured, "chosen": name}

    def fetch_coming(self) -> bool:
        """Fetch and start the model that is `coming`, and let it answer from now on. Returns whether it does.

        Where it cannot be had, `coming` says why, and what answered before goes on.
        """
        coming = self.coming
        if coming is None or self._closed:
            return False
        self.coming = coming = replace(coming, problem="")
        engine = self._embedded_engine(coming.name)
        try:
            if engine:
                engine.start(self.fetching("coming", coming.name))
            chat = build_chat_model(coming.name, self._settings, engine)
        except Stopped:
            return False
        except RagError as error:
            if self.coming is coming:
                self.coming = replace(coming, problem=str(error))
            return False
        if self.coming is not coming or self._closed:
            if engine:
                engine.close()
            return False
        if self.engine:
            self._retired.append(self.engine)
        self.engine, self.chat, self.coming = engine, chat, None
        self.names = replace(self.names, chat=coming.name)
        return True

    def look_again(self) -> bool:
        """Ask Ollama again where `auto` found no chat model on it. Returns whether there is one, now `coming`."""
        waiting = self.configured.startswith("embedded:") and self.names.chat in (self.configured, NO_MODEL)
        mine = self._settings.model == "auto" and self._given_chat is None and not self.declined
        if not (mine and waiting) or time.monotonic() - self._looked < LOOK_AGAIN_SECONDS:
            return False
        self._looked = time.monotonic()
        found = choose_models(self._settings)
        if not found.chat.startswith("ollama:"):
            return False
        self.configured, self.coming = found.chat, Coming(found.chat)
        self.names = replace(self.names, notes=found.notes, why=found.why)
        return True

    def let_go(self) -> None:
        """End the engines that answered before: nobody reads an answer of theirs any more."""
        while self._retired:
            self._retired.pop().close()

    @property
    def declined(self) -> bool:
        """Whether a person would rather have quotes alone than the chat model of the settings."""
        return self.names.chat == NO_MODEL != self.configured and self.coming is None

    def measure_speed(self) -> None:
        """Measure the app's own chat model, an embedded one, unless that was done before; then let it be widened.

        Raises:
            EngineError: it does not answer.
        """
        engine, name = self.engine, self.names.chat
        if engine is not None and engine.running:
            if name not in self.known.speeds():
                keep_speed(self._settings.cache_dir, name, measure(engine.url, engine.key))
            engine.widen()

    def build_chat(self) -> Chat:
        """The app's own chat model, ready from now on: its child process is started, or it is pulled.

        Raises:
            EngineError: it cannot be had; says what to do.
        """
        self.pulls.need(self.names.chat, "chat")
        if self.engine:
            self.engine.start(self.fetching("chat", self.names.chat))
        if self._given_chat is not None:
            self.chat = Chat(self._given_chat, MOST_CONTEXT)
        else:
            self.chat = build_chat_model(self.names.chat, self._settings, self.engine)
        return self.chat

    def check_chat(self) -> None:
        """See whether the app's own chat model can be asked now, and start an embedded one again, unless the app ends.

        Raises as `build_chat`.
        """
        if self._closed:
            return
        if self.engine and not self.engine.running:
            self.engine.start()
        if self._given_chat is None:
            self.pulls.need(self.names.chat, "chat")

    def other_chat(self, name: str) -> Chat:
        """Another chat model than the app's own, made ready if need be.

        Raises:
            NoSuchModel: there is no such chat model here.
            EngineError: it cannot be had.
        """
        with self._choosing:
            if name not in self._others:
                names = self.known.chat_names()
                if name not in names:
                    raise NoSuchModel(f"There is no chat model {name}; there is {', '.join(names)}.")
                engine = self._embedded_engine(name)
                if engine and not is_here(engine.model, self._settings.cache_dir):
                    raise EngineError(f"{name} is not on this machine yet: fetch it under Models.")
                if engine:
                    engine.start(self.fetching("chat", name))
                self._others[name] = (build_chat_model(name, self._settings, engine), engine)
            chat, engine = self._others[name]
            if engine and not engine.running:
                engine.start()
        self.pulls.need(name, "chat")
        return chat

    def embeddings(self, name: str) -> tuple[Embeddings, str]:
        """The embeddings called `provider:model`, and the digest of their weights.

        Raises:
            EngineError: they cannot be had; says what to do.
        """
        if self._given_embeddings is not None and name == self.names.embeddings:
            return self._given_embeddings, ""
        self.pulls.need(name, "embeddings")
        if name not in self._made_embeddings:
            self._made_embeddings[name] = build_embeddings(name, self._settings, self.fetching("index", name))
        return self._made_embeddings[name], self._ollama.digest(name)

    def fetching(self, key: str, name: str) -> Callable[[int, int], None]:
        """A callback for (bytes, bytes in all) that notes under `key` how far the download of a model is."""
        began: list[tuple[float, int]] = []

        def progress(done: int, total: int) -> None:
            if self._closed or (key == "coming" and (self.coming is None or self.coming.name != name)):
                raise Stopped
            began.append((time.monotonic(), done))
            del began[1:-1]
            seconds, came = began[-1][0] - began[0][0], done - began[0][1]
            left = seconds / came * (total - done) if came > 0 and seconds >= 1 else None
            loading = Work(f"loading {name}")
            self._under_way[key] = loading if done == total else Work(f"downloading {name}", done, total, "bytes", left)

        return progress

    def engine_of(self, name: str) -> Engine:
        """The engine of the chat model of that name, or of the app's own for ""."""
        name = name or self.names.chat
        return Engine(name, self.known.address(name), lambda: self._phase(name))

    def _phase(self, name: str) -> EnginePhase:
        provider, _, model = name.partition(":")
        return "loading" if provider == "ollama" and not self._ollama.is_loaded(model) else "reading"

    def close(self) -> None:
        """End downloads, and the child processes of embedded chat models."""
        self._closed = True
        self.let_go()
        for engine in (self.engine, *(other[1] for other in list(self._others.values()))):
            if engine:
                engine.close()
