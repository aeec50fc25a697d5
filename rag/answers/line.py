"""The line of questions in front of the chat model."""

from __future__ import annotations

import asyncio

from rag.errors import Busy

WAITING_FOR_A_PLACE = 8
"""Questions that may wait for each that is answered: one that came later would hardly have its turn in that time."""


class Line:
    """The line in front of the chat model, shared by every door."""

    def __init__(self, places: int) -> None:
        """`places` questions are answered at the same time; `WAITING_FOR_A_PLACE` more for each may wait."""
        self._places = places
        self._slots = asyncio.Semaphore(places)
        self._room = places * (1 + WAITING_FOR_A_PLACE)
        self._inside = 0
        self._waiting: list[object] = []
        self._seconds = 0.0
        """How long an answer took of late."""

    def ahead(self, who: object) -> int | None:
        """The questions that are answered or wait before this one; None: it is being answered itself."""
        return self._places + self._waiting.index(who) if who in self._waiting else None

    @property
    def inside(self) -> int:
        """Questions that are being answered or wait."""
        return self._inside

    @property
    def answering(self) -> int:
        """Questions that are being answered."""
        return self._inside - len(self._waiting)

    @property
    def waiting(self) -> int:
        """Questions that wait for a place."""
        return len(self._waiting)

    async def enter(self, who: object) -> None:
        """Take a place; wait for it if need be.

        Raises:
            Busy: too many wait already.
        """
        if self._inside >= self._room:
            raise Busy(f"Busy: {self._inside} questions are ahead of you, and no more may wait. Try again in a moment.")
        self._inside += 1
        self._waiting.append(who)
        try:
            await self._slots.acquire()
        except BaseException:
            self._inside -= 1
            raise
        finally:
            self._waiting.remove(who)

    def seconds_ahead(self, who: object) -> float | None:
        """How long this one may still wait, by what answers took of late; None: not known, or it does not wait."""
        if who not in self._waiting or not self._seconds:
            return None
        return (self._waiting.index(who) // self._places + 1) * self._seconds

    def leave(self, seconds: float | None = None) -> None:
        """Give the place back, `seconds` after it was had."""
        self._slots.release()
        self._inside -= 1
        if seconds is not None:
            self._seconds = seconds if not self._seconds else 0.7 * self._seconds + 0.3 * seconds
