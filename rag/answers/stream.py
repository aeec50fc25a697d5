"""The chain that every door reads: a place in line, the chain's own stream with limits on its silences, and updates."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig

from rag.answers.chain import SHARED_FIELDS, RagChain
from rag.answers.rate import Rate
from rag.answers.thinking import without_thinking
from rag.answers.update import Timings, Update
from rag.errors import (
    AnswerCutOff,
    Busy,
    Ending,
    EngineStalled,
    QuestionError,
    RagError,
    StoreError,
    engine_error,
)
from rag.models.in_use import Engine, EnginePhase

TICK_SECONDS = 0.25
"""Longest pause between two updates; Stop or a closed tab is noticed within it."""
SILENT_SECONDS = 0.5
"""After this long without a token, the engine is asked whether it is loading the model."""
CLOSING_SECONDS = 0.3
"""Longest wait for the connection to an engine to close, before it is cancelled again."""
FLUSH_SECONDS = 0.04
"""Shortest pause between two updates with text, after the first token."""
STALL_SECONDS = 10.0
"""Silence in the middle of an answer that the page calls a stall."""
MAX_BUFFERED_CHARS = 65_536
"""Characters that wait for a slow reader; beyond them the engine has to wait, too."""
RETRIEVAL_SECONDS = 60.0
QUEUE_SECONDS = 120.0


class Line:
    """The line in front of the chat model, shared by every door."""

    def __init__(self, places: int, waiting: int) -> None:
        """`places` questions are answered at the same time, and `waiting` more may wait."""
        self._places = places
        self._slots = asyncio.Semaphore(places)
        self._room = places + waiting
        self._inside = 0
        self._waiting: list[object] = []

    def ahead(self, who: object) -> int | None:
        """The questions that are answered or wait before this one; None: it is being answered itself."""
        return self._places + self._waiting.index(who) if who in self._waiting else None

    @property
    def inside(self) -> int:
        """Questions that are being answered or wait."""
        return self._inside

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

    def leave(self) -> None:
        """Give the place back."""
        self._slots.release()
        self._inside -= 1


@dataclass(frozen=True)
class Limits:
    """Seconds to wait: for the first token, and between two."""

    first_token: float
    idle: float


Ready = Callable[[Sequence[str], str], Awaitable[tuple[RagChain, list[str]]]]
"""From (scope, model) to the chain, once it is up, and the sources that the scope names."""
Watch = Callable[[AsyncGenerator[Update, None], str], AsyncGenerator[Update, None]]
"""Passes the updates of an answer to a question on, and takes its figures."""


def legible(text: str) -> str:
    """`text` without what no model can read: NULs and lone surrogates."""
    return text.replace("\0", "").encode("utf-8", "ignore").decode("utf-8")


def check_question(question: str, longest: int) -> str:
    """The question, legible.

    Raises:
        QuestionError: nothing is left of it, or it has more than `longest` characters.
    """
    question = legible(question).strip()
    if not question:
        raise QuestionError("The question is empty.")
    if len(question) > longest:
        raise QuestionError(f"The question has {len(question)} characters; at most {longest} are taken.")
    return question


class Answers(Runnable[dict[str, Any], Update]):
    """From a question to the updates of its answer.

    The input is `{"question": str}`. Optional keys: `history`, earlier turns as LangChain messages; `scope`, the
    sources to answer from, as they are called or by what a name ends with; `model`, another chat model,
    `provider:model`; `caller`, the address that the limit on questions a minute is held against.

    `astream` yields at once, then the first token at once, then at most every 40 ms what has come since, and at least
    four times a second while nothing comes. The text yielded before an error stays valid.
    """

    def __init__(
        self,
        ready: Ready,
        engine: Callable[[str], Engine],
        *,
        line: Line,
        limits: Limits,
        rate: Rate,
        watch: Watch,
        max_question: int,
        ending: threading.Event,
    ) -> None:
        """`watch` takes the figures of each answer, `max_question` is in characters.

        `ending` is set when the app goes down.
        """
        self.line = line
        self.rate = rate
        self._ready = ready
        self._engine = engine
        self._limits = limits
        self._watch = watch
        self._max_question = max_question
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
        async with aclosing(self._watch(self._until_the_end(input), input["question"])) as updates:
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
        question = check_question(given["question"], self._max_question)
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
                    raise Busy(f"No place became free within {QUEUE_SECONDS:.0f} seconds. Try again later.")
                yield Update(ahead=self.line.ahead(who), timings=Timings(total=time.monotonic() - began))
            entering.result()
        except BaseException:
            if not entering.cancel() and not entering.cancelled() and entering.exception() is None:
                self.line.leave()
            raise

        async def pieces() -> AsyncGenerator[dict[str, Any], None]:
            chain, sources = await self._ready(scope, model)
            yield {"searching": True}
            asked = {"question": question, "history": turns, "scope": sources}
            async with aclosing(chain.astream(asked)) as found:
                async for piece in found:
                    yield piece

        try:
            async with aclosing(_Answer(pieces(), self._engine(model), self._limits, began).updates()) as updates:
                async for update in updates:
                    yield update
        finally:
            self.line.leave()


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


class _Answer:
    """One answer under way: the chain's pieces, read in a task of its own, become updates.

    Ticks and limits then do not depend on the chain, and a reader who leaves cancels it at once.
    """

    def __init__(
        self, pieces: AsyncGenerator[dict[str, Any], None], engine: Engine, limits: Limits, began: float
    ) -> None:
        self._pieces = pieces
        self._engine = engine
        self._limits = limits
        self._began = began
        self._came, self._room = asyncio.Event(), asyncio.Event()
        self._waiting: list[dict[str, Any]] = []
        self._waiting_chars = 0
        self._now = Update(phase="starting")
        self._search_began = 0.0
        self._last_piece = began
        self._asking: asyncio.Future[EnginePhase] | None = None

    async def _read(self) -> None:
        async with aclosing(self._pieces) as stream:
            async for piece in stream:
                self._waiting.append(piece)
                self._came.set()
                self._waiting_chars += len(piece.get("answer", ""))
                while self._waiting_chars > MAX_BUFFERED_CHARS:
                    self._room.clear()
                    await self._room.wait()

    async def updates(self) -> AsyncGenerator[Update, None]:
        """The updates, the last with the phase `done`."""
        reading = asyncio.ensure_future(self._read())
        reading.add_done_callback(lambda _: self._came.set())
        flushed = 0.0
        try:
            while True:
                await self._next_piece_or_tick()
                if self._now.text and self._waiting and not reading.done():
                    await asyncio.sleep(max(0.0, flushed + FLUSH_SECONDS - time.monotonic()))
                flushed = time.monotonic()
                came = self._take(flushed)
                if reading.done() and not self._waiting:
                    reading.result()
                    break
                if not came:
                    self._check_silence(flushed - self._last_piece)
                self._ask_engine(flushed - self._last_piece)
                yield self._now
        except RagError:
            if self._now.new:
                yield self._now
            raise
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except Exception as error:
            if self._now.new:
                yield self._now
            raise engine_error(error, self._engine.name, self._engine.address) from error
        finally:
            await self._end(reading)
        if not self._now.text.strip():
            raise AnswerCutOff(f"{self._engine.name} gave an empty answer. Ask again, or in other words.")
        yield replace(self._now, phase="done")

    async def _next_piece_or_tick(self) -> None:
        tick = asyncio.get_running_loop().call_later(TICK_SECONDS, self._came.set)
        await self._came.wait()
        tick.cancel()

    def _take(self, moment: float) -> bool:
        """Take in what has come; whether anything has."""
        taken, self._waiting[:] = list(self._waiting), []
        self._came.clear()
        self._waiting_chars = 0
        self._room.set()
        self._now = replace(self._now, new="", timings=replace(self._now.timings, total=moment - self._began))
        for piece in taken:
            self._take_piece(piece, moment)
        if not self._search_began:
            self._last_piece = moment  # the app is still starting: no limit is held against the engine
        return bool(taken)

    def _take_piece(self, piece: dict[str, Any], moment: float) -> None:
        now = replace(self._now, **{name: piece[name] for name in SHARED_FIELDS & piece.keys()})
        timings = now.timings
        if "searching" in piece:
            self._search_began = self._last_piece = moment
            now = replace(now, phase="searching")
        if "sources" in piece:
            self._last_piece = moment
            timings = replace(timings, retrieval=moment - self._search_began)
            now = replace(now, phase="reading", sources=tuple(piece["sources"]), timings=timings)
        if "thinking" in piece:
            self._last_piece = moment
            now = replace(now, phase="thinking")
        if "answer" in piece:
            self._last_piece = moment
            now = _with_token(now, piece["answer"], moment - self._began)
        if "tokens" in piece:
            now = replace(now, timings=replace(now.timings, tokens=piece["tokens"]))
        self._now = now

    def _check_silence(self, silent: float) -> None:
        """Say what a silence means.

        Raises:
            RagError: it was longer than its limit.
        """
        name, address = self._engine.name, self._engine.address
        if self._now.text:
            if silent > self._limits.idle:
                raise EngineStalled(
                    f"{name} at {address} sent nothing for {silent:.0f} seconds in the middle of the answer."
                    " Ask again; if it stays so, restart it."
                )
            self._now = replace(self._now, phase="stalled" if silent > STALL_SECONDS else "writing")
        elif silent > self._limits.first_token:
            raise EngineStalled(
                f"{name} at {address} gave no token for {silent:.0f} seconds. It may still be loading: ask again, or"
                " raise RAG_FIRST_TOKEN_TIMEOUT."
            )
        elif self._now.timings.retrieval is None and silent > RETRIEVAL_SECONDS:
            raise StoreError(f"The search did not end within {RETRIEVAL_SECONDS:.0f} seconds. Restart the app.")

    def _ask_engine(self, silent: float) -> None:
        """Ask whether the engine loads the model. Its reply may take a while, and no token waits for it."""
        if silent < SILENT_SECONDS or self._now.phase not in ("reading", "loading"):
            return
        if self._asking is None:
            self._asking = asyncio.ensure_future(asyncio.to_thread(self._engine.phase))
        elif self._asking.done():
            self._now, self._asking = replace(self._now, phase=self._asking.result()), None

    async def _end(self, reading: asyncio.Future[None]) -> None:
        reading.add_done_callback(lambda task: task.cancelled() or task.exception())
        # Not `gather`: where anyio cancels this task, it does so again at each await, and `gather` would hand that on
        # to `reading` while it closes its connection to the engine.
        while not reading.done():
            reading.cancel()  # again where a library has lost it, as `asyncio.wait_for` can up to Python 3.11
            await asyncio.wait({reading}, timeout=CLOSING_SECONDS)
        if self._asking is not None:
            self._asking.cancel()


def _legible_turn(turn: BaseMessage) -> BaseMessage:
    """A turn of the history as the model may read it; what a model thought is none of it."""
    text = legible(str(turn.content))
    return turn.model_copy(update={"content": without_thinking(text) if turn.type == "ai" else text})


def _with_token(now: Update, token: str, seconds: float) -> Update:
    if not token:
        return now
    first = now.timings.first_token if now.timings.first_token is not None else seconds
    timings = replace(now.timings, first_token=first, tokens=now.timings.tokens + 1)
    return replace(now, phase="writing", text=now.text + token, new=now.new + token, timings=timings)
