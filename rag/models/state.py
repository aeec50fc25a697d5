"""How models are: what is under way, which one answers, and which one is to come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Work:
    """Something long under way: `done` of `total` in `unit` (0: not known), and the time left, where it can be told."""

    label: str
    done: int = 0
    total: int = 0
    unit: str = ""
    seconds_left: float | None = None


Choice = dict[str, str]
"""What a person chose, to be remembered: the model `chosen` in place of the one `configured`."""
EnginePhase = Literal["loading", "reading"]


@dataclass(frozen=True)
class Engine:
    """The chat model that answers: `provider:model`, where it is, and what it does while it is silent.

    `phase` may ask the engine over the network, so it is called in a thread.
    """

    name: str
    address: str
    phase: Callable[[], EnginePhase]


@dataclass(frozen=True)
class Coming:
    """An embedded chat model, `provider:model`, that is being fetched and will answer then; or why it did not come."""

    name: str
    problem: str = ""
