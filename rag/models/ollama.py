"""The Ollama server: whether it answers, which models it has, and how another is pulled."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import httpx
import ollama

from rag.errors import EngineError, engine_error
from rag.models.ollama_stream import certificates, client_options
from rag.settings import Settings

log = logging.getLogger(__name__)

KEEP_ALIVE = "30m"
"""How long Ollama keeps a model loaded after a question, in its own words: reading it anew takes many seconds."""
PROBE_SECONDS = 1.5
SEEN_SECONDS = 2.0
"""Seconds for which the list of its models is not asked for again."""
UNKNOWN_WINDOW = 4096
"""Assumed of an OpenAI-compatible server that does not tell its window: what the smallest common models have."""

INSTRUCTIONS: dict[str, tuple[str, str]] = {
    "mxbai-embed-large": ("Represent this sentence for searching relevant passages: ", ""),
    "snowflake-arctic-embed": ("Represent this sentence for searching relevant passages: ", ""),
    "bge-large": ("Represent this sentence for searching relevant passages: ", ""),
    "nomic-embed-text": ("search_query: ", "search_document: "),
    "nomic-embed-text-v2-moe": ("search_query: ", "search_document: "),
    "embeddinggemma": ("task: search result | query: ", "title: none | text: "),
    "embeddinggemma-2": ("task: search result | query: ", "title: none | text: "),
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
    """A model that can be chosen, `provider:model`; `size` is bytes, `window` tokens (0: not known).

    `use` is "chat", "embeddings" or "other".

    `abilities` are what its engine says that it can do beside chatting, such as `thinking` and `vision`.
    """

    name: str
    use: str
    size: int = 0
    window: int = 0
    details: str = ""
    abilities: tuple[str, ...] = ()


class Shown(NamedTuple):
    """What Ollama tells of a model: what it is for, tokens in its window (0: not told), whether it can think, its
    family, its capabilities as Ollama names them, and the number of its parameters (0: not told).
    """

    use: str
    window: int
    thinks: bool
    family: str = ""
    abilities: tuple[str, ...] = ()
    parameters: int = 0


class Ollama:
    """What the app asks Ollama besides chat and embeddings: is it there, what does it have, pull.

    Every method raises an `EngineError` that says what to do.
    """

    def __init__(self, settings: Settings) -> None:
        self.host = settings.ollama_host
        quick, slow = (client_options(self.host, seconds) for seconds in (PROBE_SECONDS, 120.0))
        tls = certificates(quick["trust_env"])
        self._quick = ollama.Client(host=self.host, verify=tls, **quick)
        self._slow = ollama.Client(host=self.host, verify=tls, **slow)
        self._shown: dict[str, Shown] = {}
        self._seen: tuple[float, ollama.ListResponse] | None = None

    def answers(self) -> bool:
        """Whether an Ollama answers at the address, within about a second."""
        try:
            self._list()
        except EngineError:
            return False
        return True

    def _list(self) -> ollama.ListResponse:
        """What `/api/tags` tells; several who look at the same time ask once."""
        if self._seen is not None and time.monotonic() - self._seen[0] < SEEN_SECONDS:
            return self._seen[1]
        try:
            found = self._quick.list()
        except Exception as error:
            self._seen = None
            raise engine_error(error, "ollama", self.host) from error
        self._seen = time.monotonic(), found
        return found

    def _pulled(self) -> dict[str, str]:
        """The models it has, with the digests of their weights."""
        return {with_tag(model.model or ""): model.digest or "" for model in self._list().models}

    def models(self) -> list[Model]:
        """The models it has, with what `/api/tags` and `/api/show` tell of them."""
        models = []
        for item in self._list().models:
            name, digest = item.model or "", item.digest or ""
            if digest not in self._shown:
                try:
                    self._shown[digest] = self.show(name)
                except EngineError as error:  # a damaged model does not hide the others
                    log.warning("%s", error)
            shown = self._shown.get(digest) or Shown(_use_by_name(name), 0, False)
            details = item.details
            told = ", ".join(filter(None, (details.parameter_size, details.quantization_level))) if details else ""
            more = tuple(ability for ability in shown.abilities if ability not in ("completion", "embedding"))
            short = f"ollama:{name.removesuffix(':latest')}"
            models.append(Model(short, shown.use, item.size or 0, shown.window, told, more))
        return sorted(models, key=lambda model: (model.use, model.name))

    def show(self, name: str) -> Shown:
        """What `/api/show` tells of a model. An Ollama before 0.6 does not tell what it is for."""
        try:
            told = self._slow.show(name)
        except Exception as error:
            raise engine_error(error, f"ollama:{name}", self.host) from error
        abilities = told.capabilities
        use = _use_by_name(name)
        if abilities:
            use = "embeddings" if "embedding" in abilities else "chat" if "completion" in abilities else "other"
        family = (told.details.family if told.details else None) or ""
        known = tuple(abilities or ())
        info = told.modelinfo or {}
        parameters = int(info.get("general.parameter_count") or 0)
        return Shown(use, _window(info), "thinking" in known, family, known, parameters)

    def missing(self, names: list[str]) -> list[str]:
        """Which of `names` are not pulled."""
        have = self._pulled()
        return [name for name in names if with_tag(name) not in have]

    def digest(self, name: str) -> str:
        """The digest of the weights of `provider:model`; "" where another than Ollama runs it."""
        provider, _, model = name.partition(":")
        return self._pulled().get(with_tag(model), "") if provider == "ollama" else ""

    def check_use(self, name: str, use: str) -> None:
        """See that a model can do what it is to be used for, "chat" or "embeddings", where Ollama tells.

        Raises:
            EngineError: it cannot; names those that can.
        """
        shown = self.show(name)
        if not shown.abilities or shown.use == use:  # without them its use is a guess from its name
            return
        fit = [model.name for model in self.models() if model.use == use]
        can = "chat" if use == "chat" else "embed texts"
        there = f"These can: {', '.join(fit)}." if fit else "No other model of this Ollama can, either: pull one."
        setting = "RAG_MODEL or --model" if use == "chat" else "RAG_EMBEDDINGS or --embeddings"
        raise EngineError(f"The model {name} of Ollama cannot {can}. {there} Choose one with {setting}.")

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
        finally:
            self._seen = None  # it has another one now
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
