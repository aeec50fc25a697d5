"""The models that Ollama is to run: whether it has them, and the pull of those that are missing."""

from __future__ import annotations

import time
from collections.abc import Callable

from rag.errors import EngineError, not_pulled
from rag.models.ollama import Ollama
from rag.models.state import Work
from rag.settings import Settings

PULL_AGAIN_SECONDS = 60.0
"""Pause after a pull that failed."""


class Pulls:
    """Looks for models in Ollama, and pulls them. For any thread."""

    def __init__(
        self, ollama: Ollama, settings: Settings, under_way: dict[str, Work], pulled: Callable[[], None]
    ) -> None:
        """How far a pull is, is noted in `under_way`; `pulled` is called when it is done."""
        self.missing: list[str] = []
        """Models that are wanted, and that Ollama did not have at the last look."""
        self._ollama, self._settings, self._under_way, self._pulled = ollama, settings, under_way, pulled
        self._checked: set[tuple[str, str]] = set()
        """Each model with the use, "chat" or "embeddings", that it was found fit for."""
        self._not_pulled: dict[str, tuple[float, str]] = {}
        """When a pull failed, and why."""

    def need(self, name: str, use: str) -> None:
        """See that Ollama has a model that it is to run, and pull it where the settings say so.

        `use` is "chat" or "embeddings": what the model is to be able to do.

        Raises:
            EngineError: it is missing, cannot do that, or Ollama cannot be reached.
        """
        provider, _, model = name.partition(":")
        if provider != "ollama":
            return
        if not self._ollama.missing([model]):
            if model in self.missing:
                self.missing.remove(model)
            if (model, use) not in self._checked:
                self._ollama.check_use(model, use)
                self._checked.add((model, use))
            return
        if model not in self.missing:
            self.missing.append(model)
        if not self._settings.pull:
            raise not_pulled(model, self._settings.ollama_host)
        failed, why = self._not_pulled.get(model, (0.0, ""))
        if why and time.monotonic() - failed < PULL_AGAIN_SECONDS:
            raise EngineError(f"{model} could not be pulled: {why} It is tried again within a minute.")
        try:
            self.pull(model)
        except EngineError as error:
            self._not_pulled[model] = time.monotonic(), str(error)
            raise EngineError(f"{model} could not be pulled: {error} It is tried again within a minute.") from error

    def pull(self, model: str) -> None:
        """Pull a model into Ollama; `under_way` tells how far it is.

        Raises:
            EngineError: it could not be pulled.
        """
        key = f"pull {model}"
        try:
            for status, done, total in self._ollama.pull(model):
                self._under_way[key] = Work(f"pulling {model}: {status}", done, total, "bytes")
        finally:
            self._under_way.pop(key, None)
        if model in self.missing:
            self.missing.remove(model)
        self._pulled()
