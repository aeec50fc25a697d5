"""What takes a slow embedding model minutes: made once, and not waited for beyond a limit."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Prepared(Generic[T]):
    """A value that is made at first use. For any thread."""

    def __init__(self, make: Callable[[], T]) -> None:
        """Where `make` fails, the next use tries again."""
        self._make = make
        self._making = threading.Lock()
        self._began: float | None = None
        self._value: T | None = None
        self._waiting: Future[T] | None = None

    def get(self) -> T:
        """The value, made now if need be. Raises what making it raises."""
        with self._making:
            if self._value is None:
                self._began = time.monotonic()
                try:
                    self._value = self._make()
                finally:
                    self._began = None
            return self._value

    async def within(self, seconds: float) -> T | None:
        """The value; None if it is not there so many seconds after somebody began to make it.

        Raises what making it raises.
        """
        if self._value is None:
            began = self._began
            if self._waiting is None or self._waiting.done():
                self._waiting = Future()
                threading.Thread(target=self._fulfil, args=(self._waiting,), daemon=True).start()
            waiting = self._waiting
            left = seconds if began is None else max(0.0, began + seconds - time.monotonic())
            await asyncio.wait({asyncio.wrap_future(waiting)}, timeout=left)
            if waiting.done():
                return waiting.result()
        return self._value

    def _fulfil(self, future: Future[T]) -> None:
        try:
            future.set_result(self.get())
        except Exception as error:
            future.set_exception(error)
