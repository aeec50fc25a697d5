"""One model at several addresses: each question goes to the one with the least to do, and to another if that fails.

It goes to another only before the first token: after it, half an answer is somebody's already.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from pydantic import ConfigDict, PrivateAttr
from typing_extensions import override

from rag.errors import EngineBusy, EngineError, EngineStalled, PromptTooLong, RagError, TextTooLong, engine_error

log = logging.getLogger(__name__)

DOWN_SECONDS = 5.0
"""An address that failed is the last one to be tried for so long."""

Made = TypeVar("Made")


@dataclass
class Place:
    """One address: how many questions are there, and when it failed last."""

    address: str
    busy: int = 0
    down_until: float = 0.0
    last: float = field(default=0.0)


class Balance:
    """Which of several addresses is the next one's."""

    def __init__(self, name: str, addresses: Sequence[str]) -> None:
        """`name` is the model's, `provider:model`."""
        self.name = name
        self.places = [Place(address) for address in addresses]
        self._lock = threading.Lock()

    @contextmanager
    def turn(self, tried: Sequence[int]) -> Iterator[int]:
        """The number of the address to ask: not `tried`, not down, least busy, longest not asked."""
        with self._lock:
            now = time.monotonic()
            left = [number for number in range(len(self.places)) if number not in tried]
            best = min(left, key=lambda each: self._rank(self.places[each], now))
            place = self.places[best]
            place.busy += 1
            place.last = now
        try:
            yield best
        finally:
            with self._lock:
                place.busy -= 1

    @staticmethod
    def _rank(place: Place, now: float) -> tuple[bool, int, float]:
        return place.down_until > now, place.busy, place.last

    def failed(self, number: int, error: BaseException) -> RagError:
        """Note that an address failed; what the error means to a person."""
        place = self.places[number]
        told = engine_error(error, self.name, place.address)
        if not isinstance(told, (PromptTooLong, TextTooLong)):
            place.down_until = time.monotonic() + DOWN_SECONDS
            log.warning("%s", told)
        return told

    def all_failed(self, errors: Sequence[RagError]) -> RagError:
        """What to say when no address is left: the last one's own words, or that every one is at its limit."""
        if len(errors) > 1 and all(isinstance(error, EngineBusy) for error in errors):
            return EngineBusy(
                f"All {len(errors)} addresses of {self.name} are at their limit. Ask again in a moment, or add another."
            )
        return errors[-1]

    def ask(self, call: Callable[[int], Made]) -> Made:
        """Call with the number of an address, then of others while it fails.

        Raises:
            RagError: every address failed, or the request itself is wrong.
        """
        errors: list[RagError] = []
        tried: list[int] = []
        while len(tried) < len(self.places):
            with self.turn(tried) as number:
                tried.append(number)
                try:
                    return call(number)
                except Exception as error:
                    errors.append(self.failed(number, error))
                    if not may_go_elsewhere(errors[-1]):
                        raise errors[-1] from error
        raise self.all_failed(errors)


def may_go_elsewhere(error: RagError) -> bool:
    """Whether another address may do what this one could not: not where the request itself is wrong."""
    return isinstance(error, EngineError) and not isinstance(error, (PromptTooLong, TextTooLong))


class BalancedChat(BaseChatModel):
    """A chat model at several addresses, one of `models` for each."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    models: list[BaseChatModel]
    balance: Balance
    patience: float
    """Seconds that an address has for its first token while another one is left."""
    _none: None = PrivateAttr(None)

    @property
    @override
    def _llm_type(self) -> str:
        return "balanced"

    @override
    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        return self.balance.ask(lambda number: self.models[number]._generate(messages, stop, **kwargs))

    @override
    async def _astream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        errors: list[RagError] = []
        tried: list[int] = []
        while len(tried) < len(self.models):
            begun = False
            with self.balance.turn(tried) as number:
                tried.append(number)
                stream = cast(
                    AsyncGenerator[ChatGenerationChunk, None], self.models[number]._astream(messages, stop, **kwargs)
                )
                try:
                    async with aclosing(stream):
                        last = len(tried) == len(self.models)
                        async for chunk in self._patient(stream, None if last else self.patience, number):
                            begun = begun or bool(chunk.text)
                            yield chunk
                    return
                except Exception as error:
                    told = self.balance.failed(number, error)
                    errors.append(told)
                    if begun or not may_go_elsewhere(told):
                        raise told from error
        raise self.balance.all_failed(errors)

    async def _patient(
        self, stream: AsyncGenerator[ChatGenerationChunk, None], seconds: float | None, number: int
    ) -> AsyncIterator[ChatGenerationChunk]:
        """The pieces; the first one within `seconds`, if there is such a limit."""
        try:
            yield await asyncio.wait_for(anext(stream), seconds)
        except StopAsyncIteration:
            return
        except (TimeoutError, asyncio.TimeoutError) as error:
            address = self.balance.places[number].address
            raise EngineStalled(f"{self.balance.name} at {address} gave no token for {seconds:.0f} seconds.") from error
        async for chunk in stream:
            yield chunk


class BalancedEmbeddings(Embeddings):
    """Embeddings at several addresses. Every call may be made again elsewhere."""

    def __init__(self, models: Sequence[Embeddings], balance: Balance) -> None:
        self._models = list(models)
        self._balance = balance

    @override
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return self._balance.ask(lambda number: self._models[number].embed_documents(texts))

    @override
    def embed_query(self, text: str) -> list[float]:
        return self._balance.ask(lambda number: self._models[number].embed_query(text))
