"""The Ollama server: whether it answers, which models it has, and how another is pulled."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import httpx
import ollama

from rag.errors import EngineError, engine_error
from rag.models.ollama_stream import client_options
from rag.settings import Settings

log = logging.getLogger(__name__)

PROBE_SECONDS = 1.5
UNKNOWN_WINDOW = 4096
"""Assumed of an OpenAI-compatible server that does not tell its window: what the smallest common models have."""

INSTRUCTIONS: dict[str, tuple[str, str]] = {
    "mxbai-embed-large": ("Represent this sentence for searching relevant passages: ", ""),
    "snowflake-arctic-embed": ("Represent this sentence for searching relevant passages: ", ""),
    "bge-large": ("Represent this sentence for searching relevant passages: ", ""),
    "nomic-embed-text": ("search_query: ", "search_document: "),
    "embeddinggemma": ("task: search result | query: ", "title: none | text: "),
    "qwen3-embedding": (
        "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: ",
        "",
    ),
}
"""What the models' cards ask for before a question and before a text."""
MULTILINGUAL = "bge-m3"
"""An embedding model of Ollama's that reads a hundred languages (MIT, 1.2 GB)."""
_ENGLISH_ALONE = ("all-minilm", "mxbai-embed-large", "bge-small", "bge-base", "bge-large", "nomic-embed-text")


@dataclass(frozen=True)
class Model:
    """A model that can be chosen, `provider:model`; `size` is bytes, `window` tokens (0: not known)."""

    name: str
    use: str
    size: int = 0
    window: int = 0
    details: str = ""


class Shown(NamedTuple):
    """What Ollama tells of a model: what it is for, tokens in its window (0: not told), and whether it can think."""

    use: str
    window: int
    thinks: bool


class Ollama:
    """What the app asks Ollama besides chat and embeddings: is it there, what does it have, pull.

    Every method raises an `EngineError` that says what to do.
    """

    def __init__(self, settings: Settings) -> None:
        self.host = settings.ollama_host
        self._quick = ollama.Client(host=self.host, **client_options(self.host, PROBE_SECONDS))
        self._slow = ollama.Client(host=self.host, **client_options(self.host, 120.0))
        self._shown: dict[str, Shown] = {}

    def answers(self) -> bool:
        """Whether an Ollama answers at the address, within about a second."""
        try:
            self._quick.list()
        except Exception:
            return False
        return True

    def _pulled(self) -> dict[str, str]:
        """The models it has, with the digests of their weights."""
        try:
            return {with_tag(model.model or ""): model.digest or "" for model in self._quick.list().models}
        except Exception as error:
            raise engine_error(error, "ollama", self.host) from error

    def models(self) -> list[Model]:
        """The models it has, with what `/api/tags` and `/api/show` tell of them."""
        try:
            found = self._quick.list().models
        except Exception as error:
            raise engine_error(error, "ollama", self.host) from error
        models = []
        for item in found:
            name, digest = item.model or "", item.digest or ""
            if digest not in self._shown:
                try:
                    self._shown[digest] = self._show(name)
                except EngineError as error:  # a damaged model does not hide the others
                    log.warning("%s", error)
            use, window, _ = self._shown.get(digest) or Shown(_use_by_name(name), 0, False)
            details = item.details
            told = ", ".join(filter(None, (details.parameter_size, details.quantization_level))) if details else ""
            models.append(Model(f"ollama:{name.removesuffix(':latest')}", use, item.size or 0, window, told))
        return sorted(models, key=lambda model: (model.use, model.name))

    def _show(self, name: str) -> Shown:
        """What `/api/show` tells of a model. An Ollama before 0.6 does not tell what it is for."""
        try:
            told = self._slow.show(name)
        except Exception as error:
            raise engine_error(error, f"ollama:{name}", self.host) from error
        abilities = told.capabilities
        use = _use_by_name(name)
        if abilities:
            use = "embeddings" if "embedding" in abilities else "chat" if "completion" in abilities else "other"
        return Shown(use, _window(told.modelinfo or {}), "thinking" in (abilities or ()))

    def missing(self, names: list[str]) -> list[str]:
        """Which of `names` are not pulled."""
        have = self._pulled()
        return [name for name in names if with_tag(name) not in have]

    def digest(self, name: str) -> str:
        """The digest of the weights of `provider:model`; "" where another than Ollama runs it."""
        provider, _, model = name.partition(":")
        return self._pulled().get(with_tag(model), "") if provider == "ollama" else ""

    def window(self, name: str) -> int:
        """Tokens in the model's context window (`/api/show`, `model_info`, `*.context_length`)."""
        return self._show(name).window or UNKNOWN_WINDOW

    def thinks(self, name: str) -> bool:
        """Whether the model can think before it answers; some do so even if they are told not to."""
        return self._show(name).thinks

    def is_loaded(self, name: str) -> bool:
        """Whether the model is in memory (`/api/ps`)."""
        try:
            return any(with_tag(model.model or "") == with_tag(name) for model in self._quick.ps().models)
        except httpx.TimeoutException:
            return False  # Ollama answers this only once a load under way is through
        except Exception:
            return True  # not worth a word: the chat request itself will tell

    def pull(self, name: str) -> Iterator[tuple[str, int, int]]:
        """Pull a model; yields (what is done, bytes so far, bytes in all), 0 in all where there are none."""
        last = ""
        try:
            for step in self._slow.pull(name, stream=True):
                last = step.status or ""
                yield last, step.completed or 0, step.total or 0
        except Exception as error:
            raise engine_error(error, f"ollama:{name}", self.host) from error
        if last != "success":
            raise EngineError(f"Pulling {name} ended early (last word: {last or 'none'}). Pull again: it resumes.")


def _use_by_name(name: str) -> str:
    return "embeddings" if base_name(name) in INSTRUCTIONS or "embed" in name else "chat"


def _window(info: Mapping[str, Any]) -> int:
    """Tokens of context in `model_info`; 0 where it does not tell."""
    lengths = [value for key, value in info.items() if key.endswith(".context_length")]
    return int(lengths[0]) if lengths else 0


def with_tag(name: str) -> str:
    """One name of all those that Ollama takes for a model: `Llama3`, `library/llama3` and `llama3` are the same."""
    name = name.strip().casefold().removeprefix("registry.ollama.ai/").removeprefix("library/")
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def reads_english_alone(name: str) -> bool:
    """Whether an embedding model, `provider:model`, is known to have been trained on English texts alone."""
    known = base_name(name.partition(":")[2])
    return known in _ENGLISH_ALONE or known.startswith("all-minilm") or known == "snowflake-arctic-embed"


def base_name(name: str) -> str:
    """The model's name without registry, owner and tag: `mxbai-embed-large`."""
    return with_tag(name).rpartition("/")[2].partition(":")[0]
