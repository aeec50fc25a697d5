"""The chain that every door reads: it checks the question, waits for a place in line and runs the chain."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig

from rag.answers.chain import RagChain
from rag.answers.rate import Rate
from rag.answers.run import TICK_SECONDS, Run
from rag.answers.thinking import without_thinking
from rag.answers.update import Timings, Update
from rag.errors import Busy, Ending, QuestionError, RagError
from rag.models.state import Engine

QUEUE_SECONDS = 120.0
"""Longest wait for a place in line."""
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


Ready = Callable[[Sequence[str], str], Awaitable[tuple[RagChain, list[str]]]]
"""From (scope, model) to the chain, once it is up, and the sources that the scope names."""
Watch = Callable[[AsyncGenerator[Update, None]], AsyncGenerator[Update, None]]
"""Passes the updates of an answer on, and takes its figures."""


OWN_OPTIONS = ("think", "temperature", "instructions")
"""What a question may have of its own beside its text."""


def legible(text: str) -> str:
    """`text` without what no model can read: NULs and lone surrogates."""
    return text.replace("\0", "").encode("utf-8", "ignore").decode("utf-8")


LONGEST_QUESTION = 8000
"""Characters."""


def check_question(question: str) -> str:
    """The question, legible.

    Raises:
        QuestionError: nothing is left of it, or it is longer than `LONGEST_QUESTION`.
    """
    question = legible(question).strip()
    if not question:
        raise QuestionError("The question is empty.")
    if len(question) > LONGEST_QUESTION:
        raise QuestionError(f"The question has {len(question)} characters; at most {LONGEST_QUESTION} are taken.")
    return question


class Answers(Runnable[dict[str, Any], Update]):
    """From a question to the updates of its answer.

    The input is `{"question": str}`. Optional keys: `history`, earlier turns as LangChain messages; `scope`, the
    sources to answer from, as they are called or by what a name ends with; `model`, another chat model,
    `provider:model`; `k`, another number of passages; `caller`, the address that the limit on questions a minute is
    held against; `think`, `temperature` and `instructions` (wishes about the answer's form), in place of what the
    settings say.

    `astream` yields at once, then the first token at once, then at most every 40 ms what has come since, and at least
    four times a second while nothing comes. The text yielded before an error stays valid.
    """

    def __init__(
        self,
        ready: Ready,
        engine: Callable[[str], Engine],
        *,
        line: Line,
        first_token: float,
        rate: Rate,
        watch: Watch,
        ending: threading.Event,
    ) -> None:
        """`first_token`: as `Run` has it; `watch` takes the figures of each answer; `ending` is set as the app ends."""
        self.line = line
        self.rate = rate
        self._ready = ready
        self._engine = engine
        self._first_token = first_token
        self._watch = watch
        self._ending = ending

    async def astream(
        self, input: dict[str, Any], config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncGenerator[Update, None]:
        """The updates of one answer, as they come.

        Raises:
            RagError: what happened and what to do.
        """
        if (caller := input.get("caller")) is not None:
            self.rate.check(caller)
        async with aclosing(self._watch(self._until_the_end(input))) as updates:
            async for update in updates:
                yield update

    async def ainvoke(self, input: dict[str, Any], config: RunnableConfig | None = None, **kwargs: Any) -> Update:
        """The last update: the whole answer. Raises as `astream`."""
        update, error = await collect(self.astream(input))
        if error:
            raise error
        return update

    def invoke(self, input: dict[str, Any], config: RunnableConfig | None = None, **kwargs: Any) -> Update:
        """As `ainvoke`; not from within an event loop."""
        return asyncio.run(self.ainvoke(input))

    async def _until_the_end(self, given: dict[str, Any]) -> AsyncGenerator[Update, None]:
        """The updates, until the app ends: a server that goes down waits for its streams, and for no model."""
        async with aclosing(self._in_line(given)) as updates:
            async for update in updates:
                yield update
                if self._ending.is_set() and update.phase != "done":
                    raise Ending("The app was ended meanwhile. Ask again once it runs.")

    async def _in_line(self, given: dict[str, Any]) -> AsyncGenerator[Update, None]:
        """Wait for a place in line, then answer."""
        question = check_question(given["question"])
        model = given.get("model") or ""
        scope, turns = given.get("scope") or (), [_legible_turn(turn) for turn in given.get("history") or ()]
        began = time.monotonic()
        yield Update()
        who = object()
        entering = asyncio.ensure_future(self.line.enter(who))
        try:
            while not entering.done():
                await asyncio.wait({entering}, timeout=TICK_SECONDS)
                if time.monotonic() - began > QUEUE_SECONDS and not entering.done():
                    raise Busy(
                        f"No place became free within {QUEUE_SECONDS:.0f} seconds: an answer takes long here at the"
                        f" moment. Other questions that are answered or wait: {self.line.inside - 1}. Try again later."
                    )
                ahead, wait = self.line.ahead(who), self.line.seconds_ahead(who)
                yield Update(ahead=ahead, seconds_ahead=wait, timings=Timings(total=time.monotonic() - began))
            entering.result()
        except BaseException:
            if not entering.cancel() and not entering.cancelled() and entering.exception() is None:
                self.line.leave()
            raise

        async def pieces() -> AsyncGenerator[dict[str, Any], None]:
            chain, sources = await self._ready(scope, model)
            yield {"searching": True}
            own = {name: given[name] for name in OWN_OPTIONS if given.get(name) not in (None, "")}
            asked = {"question": question, "history": turns, "scope": sources, "k": given.get("k") or 0, **own}
            async with aclosing(chain.astream(asked)) as found:
                async for piece in found:
                    yield piece

        placed = time.monotonic()
        run = Run(
            pieces(),
            self._engine(model),
            began,
            first_token=self._first_token,
            beside=lambda: self.line.answering - 1,
        )
        try:
            async with aclosing(run.updates()) as updates:
                async for update in updates:
                    yield update
        finally:
            self.line.leave(time.monotonic() - placed)


async def collect(updates: AsyncGenerator[Update, None]) -> tuple[Update, RagError | None]:
    """The last update of an answer, and the error that ended it, if one did."""
    update = Update()
    try:
        async with aclosing(updates) as found:
            async for now in found:
                update = now
    except RagError as error:
        return update, error
    return update, None


def _legible_turn(turn: BaseMessage) -> BaseMessage:
    """A turn of the history as the model may read it; what a model thought is none of it."""
    text = legible(str(turn.content))
    return turn.model_copy(update={"content": without_thinking(text) if turn.type == "ai" else text})
