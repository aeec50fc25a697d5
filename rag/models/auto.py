"""What `auto` stands for: the models of Ollama that fit this machine, else the embedded ones; and why."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from rag.errors import EngineError
from rag.models.machine import memory
from rag.models.ollama import INSTRUCTIONS, Model, Ollama, base_name, with_tag
from rag.settings import Settings

OLLAMA_DEFAULTS = ("ollama:llama3", "ollama:mxbai-embed-large")
EMBEDDED_DEFAULTS = ("embedded:qwen2.5-coder-0.5b-instruct", "embedded:all-minilm-l6-v2")


class Chosen(NamedTuple):
    """A model, `provider:model`; why it was chosen, a sentence; and what else a person may want to do, or ""."""

    name: str
    why: str
    note: str = ""


def choose_auto(settings: Settings) -> tuple[Chosen, Chosen]:
    """The chat model and the embedding model for `auto`.

    Of Ollama's chat models that is llama3 where it is pulled, else the largest that fits half of the memory; of its
    embedding models mxbai-embed-large, else the first that is known. Where Ollama has none, or does not answer, it is
    the embedded one. With `--pull`, Ollama's defaults are taken, and pulled.
    """
    engine = Ollama(settings)
    answered, installed = engine.answers(), []
    with suppress(EngineError):  # it went away meanwhile: as if it had not answered
        installed = engine.models() if answered else []
    return _choose(installed, "chat", answered, settings), _choose(installed, "embeddings", answered, settings)


def _choose(installed: Sequence[Model], use: str, answered: bool, settings: Settings) -> Chosen:
    place = 0 if use == "chat" else 1
    default, embedded = OLLAMA_DEFAULTS[place], EMBEDDED_DEFAULTS[place]
    called, host = "chat model" if use == "chat" else "embedding model", settings.ollama_host
    if not answered:
        return Chosen(embedded, f"{embedded} is the {called}, as no Ollama answers at {host}.")
    wanted = with_tag(default.partition(":")[2])
    if any(with_tag(model.name.partition(":")[2]) == wanted for model in installed):
        return Chosen(default, f"{default} is the {called}: the default, and pulled.")
    if settings.pull:
        return Chosen(default, f"{default} is the {called}: the default, to be pulled.")
    there = [model for model in installed if model.use == use and not _is_remote(model)]
    half = f"half of this machine's memory ({memory() / 2e9:.0f} GB)"
    fit = [model for model in there if model.size <= memory() / 2]
    if fit:
        best = max(fit, key=lambda model: model.size) if use == "chat" else min(fit, key=_order_of_embeddings)
        one = f"the only {called} on Ollama"
        of = f"the {'largest' if use == 'chat' else 'best known'} of {len(fit)} {called}s on Ollama"
        fits = f" that fit{'s' if len(fit) == 1 else ''} {half}" if use == "chat" else ""
        return Chosen(best.name, f"{best.name} is the {called}: {one if len(fit) == 1 else of}{fits}.")
    large = f" that fits {half}" if there else ""
    advice = f"ollama pull {default.partition(':')[2]}"
    return Chosen(
        embedded,
        f"{embedded} is the {called}, as Ollama has none{large}.",
        f"Ollama at {host} has no {called}{large}, so the small embedded one is used. For better answers: {advice}, or"
        " another one under Models"
        + ("; it is used as soon as it is there." if use == "chat" else ", then choose it there."),
    )


def _is_remote(model: Model) -> bool:
    """Whether Ollama only passes questions on to its maker's servers: nothing is sent there unasked."""
    return model.name.endswith(("-cloud", ":cloud"))


def _order_of_embeddings(model: Model) -> tuple[int, int]:
    known = list(INSTRUCTIONS)
    name = base_name(model.name.partition(":")[2])
    return known.index(name) if name in known else len(known), model.size
