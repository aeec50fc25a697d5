"""How many texts are embedded in one request, so that each takes a second or two, whatever the engine's speed."""

from __future__ import annotations

from collections.abc import Sequence

STEP_SECONDS = 1.5
"""What a request is to take: progress is told, and a cancel noticed, between two."""
FIRST = 8
"""Texts in the first request, whose time says how many the next may have."""
MOST = 32
GROWTH = 4


class Pace:
    """Sizes of requests, from the time that the last one took."""

    def __init__(self) -> None:
        self._last = FIRST // GROWTH
        self._characters_a_second = 0.0

    def next(self, texts: Sequence[str]) -> int:
        """How many of `texts`, from the first on, the next request is to have; at least one."""
        room = self._characters_a_second * STEP_SECONDS
        most = min(len(texts), MOST, self._last * GROWTH)
        count = 1
        size = len(texts[0]) if texts else 0
        while count < most and (not self._characters_a_second or size + len(texts[count]) <= room):
            size += len(texts[count])
            count += 1
        return count

    def took(self, texts: Sequence[str], seconds: float) -> None:
        """Take in how long a request took. The first one may have loaded the model, so that each counts anew."""
        self._last = max(1, len(texts))
        self._characters_a_second = sum(map(len, texts)) / max(seconds, 1e-3)
