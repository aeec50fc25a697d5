"""The models there are, where each one runs, and how fast the embedded ones are on this machine."""

from __future__ import annotations

from collections.abc import Callable

from rag.errors import RagError
from rag.models.choose import ModelNames, embedded_models
from rag.models.machine import free_memory
from rag.models.ollama import Model, Ollama
from rag.models.openai_server import OpenAIServer
from rag.models.speed import Outlook, Speed, known_speeds, outlook
from rag.settings import NO_MODEL, Settings


class KnownModels:
    """Every model that can be chosen. Each method may ask an engine or read the disk."""

    def __init__(self, settings: Settings, ollama: Ollama, in_use: Callable[[], ModelNames]) -> None:
        self._settings, self._ollama, self._in_use = settings, ollama, in_use

    def listed(self) -> list[Model]:
        """Every model that there is: Ollama's, the embedded ones, and those in use.

        One of another provider that is in use is among them, with nothing known of it.
        """
        try:
            found = self._ollama.models()
        except RagError:
            found = []
        found += OpenAIServer.ask(self._settings).models()
        found += [*embedded_models(), Model(NO_MODEL, "chat", details="quotes from the sources alone")]
        known, names = {model.name for model in found}, self._in_use()
        for name, use in ((names.chat, "chat"), (names.embeddings, "embeddings")):
            if name not in known and name.removesuffix(":latest") not in known:
                found.append(Model(name, use))
        return found

    def chat_names(self) -> list[str]:
        """The names of the models that chat."""
        return [model.name for model in self.listed() if model.use == "chat"]

    def address(self, name: str) -> str:
        """Where a model runs, for messages."""
        provider = name.partition(":")[0]
        if provider == "ollama":
            return self._settings.ollama_host
        if provider in ("embedded", NO_MODEL):
            return "this machine"
        return self._settings.base_url or f"{provider}'s own address"

    def speeds(self) -> dict[str, Speed]:
        """What was measured of the embedded models on this machine."""
        return known_speeds(self._settings.cache_dir)

    def outlook(self, name: str) -> Outlook:
        """What an embedded model that is known by name would do on this machine."""
        sizes = {model.name: model.size for model in embedded_models()}
        return outlook(name, sizes[name], sizes, self.speeds(), free_memory())
