"""Models that are worth pulling into Ollama today: `rag/catalogue.json`, which each release can renew."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from rag.models.machine import memory
from rag.models.ollama import with_tag

CATALOGUE_FILE = Path(__file__).parent.parent / "catalogue.json"


@dataclass(frozen=True)
class Offered:
    """A model of Ollama's library: bytes to pull, what it is good at, and whether it thinks before it answers."""

    name: str
    use: Literal["chat", "embeddings"]
    size: int
    thinks: Literal["no", "if asked to", "always"]
    good: str

    @property
    def fits(self) -> bool:
        """Whether it takes no more than half of this machine's memory."""
        return self.size <= memory() / 2


@cache
def load_catalogue() -> tuple[str, tuple[Offered, ...]]:
    """The month of the list, and its models."""
    told = json.loads(CATALOGUE_FILE.read_text(encoding="utf-8"))
    return str(told["of"]), tuple(Offered(**each) for each in told["models"])


def worth_pulling(installed: Collection[str]) -> list[Offered]:
    """The models of the list that fit this machine and are not `installed` (Ollama's names), as the list has them."""
    there = {with_tag(name) for name in installed}
    return [each for each in load_catalogue()[1] if each.fits and with_tag(each.name) not in there]
