"""The limit on questions a minute from one caller."""

from __future__ import annotations

import time
from collections import deque

from rag.errors import TooMany

MOST_CALLERS = 10_000
"""Callers that are remembered; beyond that, those who asked nothing for a minute are forgotten."""


class Rate:
    """Counts the questions of each caller in the last minute; 0 allowed: any number."""

    def __init__(self, allowed: int) -> None:
        self._allowed = allowed
        self._asked: dict[str, deque[float]] = {}

    @property
    def callers(self) -> int:
        """Callers that are remembered now."""
        return len(self._asked)

    def check(self, caller: str) -> None:
        """Count a question.

        Raises:
            TooMany: it is one too many; says when the next may come.
        """
        if not self._allowed or not caller:
            return
        now = time.monotonic()
        if len(self._asked) > MOST_CALLERS:
            self._asked = {name: times for name, times in self._asked.items() if times[-1] > now - 60}
        asked = self._asked.setdefault(caller, deque(maxlen=self._allowed))
        if len(asked) == self._allowed and asked[0] > now - 60:
            wait = max(1, round(asked[0] + 60 - now))
            raise TooMany(f"At most {self._allowed} questions a minute are taken. Ask again in {wait} seconds.")
        asked.append(now)
