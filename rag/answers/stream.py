"""What every door reads: `AnswerChain` waits for a place in line, then runs a `RagChain`.

Its pieces become updates; its silences are named and have limits (`Run`).
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig

from rag.answers.chain import SHARED_FIELDS
from rag.answers.line import Line
from rag.answers.question import check_question, legible_turn
from rag.answers.rate import Rate
from rag.answers.ready import Ready
from rag.answers.update import Timings, Update
from rag.errors import AnswerCutOff, Busy, Ending, EngineStalled, RagError, StoreError, engine_error
from rag.models.state import Engine, EnginePhase

QUEUE_SECONDS = 120.0
"""Longest wait for a place in line."""
TICK_SECONDS = 0.25
"""Longest pause between two updates; Stop or a closed tab is noticed within it."""
SILENT_SECONDS = 0.5
"""After this long without a token, the engine is asked whether it is loading the model."""
CLOSING_SECONDS = 0.3
"""Longest wait for the connection to an engine to close, before it is cancelled again."""
FLUSH_SECONDS = 0.04
"""Shortest pause between two updates with text, after the first token."""
IDLE_PART = 3
"""Longest silence between two tokens: the longest wait for the first one, divided by this."""
STALL_SECONDS = 10.0
"""Silence in the middle of an answer that the page calls a stall."""
MAX_BUFFERED_CHARS = 65_536
"""Characters that wait for a slow reader; beyond them the engine has to wait, too."""
RETRIEVAL_SECONDS = 60.0
"""Longest search for the passages."""

Watch = Callable[[AsyncGenerator[Update, None]], AsyncGenerator[Update, None]]
"""Passes the updates of an answer on, and takes its figures."""
OWN_OPTIONS = ("think", "temperature", "instructions")
"""What a question may have of its own beside its text."""


class AnswerChain(Runnable[dict[str, Any], Update]):
    """From a question to the updates of its answer; `Assistant.chain` is one.

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
        scope, turns = given.get("scope") or (), [legible_turn(turn) for turn in given.get("history") or ()]
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
            chain, sources = await self._ready.chain(scope, model)
            yield {"searching": True}
            own = {name: given[name] for name in OWN_OPTIONS if given.get(name) not in (None, "")}
            asked = {"question": question, "history": turns, "scope": sources, "k": given.get("k") or 0, **own}
            async with aclosing(chain.astream(asked)) as found:
                async for piece in found:
                    yield piece

        placed = time.monotonic()
        run = Run(
            pieces(),
            self._ready.models.engine_of(model),
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


class Run:
    """One run of the chain. A task of its own reads the chain's pieces, and `updates` yields what they add up to.

    Ticks and limits then do not depend on the chain, and a reader who leaves cancels it at once.
    """

    def __init__(
        self,
        pieces: AsyncGenerator[dict[str, Any], None],
        engine: Engine,
        began: float,
        *,
        first_token: float,
        beside: Callable[[], int] = lambda: 0,
    ) -> None:
        """`began` is when the question came (`time.monotonic`).

        The engine may be silent for `first_token` seconds before its first token, and for that / `IDLE_PART` after it.
        `beside` tells how many other questions are being answered.
        """
        self._pieces = pieces
        self._engine = engine
        self._began = began
        self._first_token = first_token
        self._idle = first_token / IDLE_PART
        self._beside = beside
        self._came, self._room = asyncio.Event(), asyncio.Event()
        self._waiting: list[dict[str, Any]] = []
        self._waiting_chars = 0
        self._now = Update(phase="starting")
        self._search_began = 0.0
        self._last_piece = began
        self._thought_since: float | None = None
        self._asking: asyncio.Future[EnginePhase] | None = None

    async def _read(self) -> None:
        async with aclosing(self._pieces) as stream:
            async for piece in stream:
                self._waiting.append(piece)
                self._came.set()
                self._waiting_chars += len(piece.get("answer", "")) + len(piece.get("thinking", ""))
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
                if self._now.written and self._waiting and not reading.done():
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
            gave = "thought, and gave no answer" if self._now.thinking.strip() else "gave an empty answer"
            way = "with thinking off" if self._now.thinking.strip() else "in other words"
            raise AnswerCutOff(f"{self._engine.name} {gave}. Ask again, or {way}.")
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
        timings = replace(self._now.timings, total=moment - self._began)
        self._now = replace(self._now, new="", new_thinking="", moved=False, timings=timings)
        for piece in taken:
            self._take_piece(piece, moment)
        if self._now.phase == "thinking" and self._thought_since is not None:
            lasted = replace(self._now.timings, thinking=moment - self._thought_since)
            self._now = replace(self._now, timings=lasted)
        if not self._search_began:
            self._last_piece = moment  # the app is still starting: no limit is held against the engine
        return bool(taken)

    def _take_piece(self, piece: dict[str, Any], moment: float) -> None:
        now = replace(self._now, **{name: piece[name] for name in SHARED_FIELDS & piece.keys()})
        timings = now.timings
        if "searching" in piece:
            self._search_began = self._last_piece = moment
            now = replace(now, phase="searching")
        if "passages" in piece:
            self._last_piece = moment
            if timings.retrieval is None:
                timings = replace(timings, retrieval=moment - self._search_began)
            now = replace(now, phase="reading", passages=tuple(piece["passages"]), timings=timings)
        if "opening" in piece:
            now = replace(now, opening=len(piece["opening"]), text=piece["opening"], new=piece["opening"])
        if "thinking" in piece:
            self._last_piece = moment
            now = self._with_thought(now, piece["thinking"], moment, moved="moved" in piece)
        if "answer" in piece:
            self._last_piece = moment
            if piece["answer"]:
                self._thought_since = None
            now = _with_token(now, piece["answer"], moment - self._began)
        if "tokens" in piece:
            now = replace(now, timings=replace(now.timings, tokens=piece["tokens"]))
        self._now = now

    def _with_thought(self, now: Update, thought: str, moment: float, *, moved: bool) -> Update:
        if moved:  # what seemed to be the answer was this
            sent = now.text.removesuffix(now.new) if now.new else now.text
            opening = now.text[: now.opening]
            now = replace(
                now,
                thinking=now.thinking + now.written,
                new_thinking=now.new_thinking + now.written,
                text=opening,
                new=opening,
                moved=bool(sent),
                timings=replace(now.timings, first_token=None, tokens=0),
            )
        if self._thought_since is None:
            self._thought_since = moment - (now.timings.thinking or 0.0)
        timings = replace(now.timings, thinking=moment - self._thought_since)
        new = now.new_thinking + thought
        return replace(now, phase="thinking", thinking=now.thinking + thought, new_thinking=new, timings=timings)

    def _check_silence(self, silent: float) -> None:
        """Say what a silence means.

        Raises:
            RagError: it was longer than its limit.
        """
        name, address = self._engine.name, self._engine.address
        if self._now.written:
            if silent > self._idle:
                raise EngineStalled(
                    f"{name} at {address} sent nothing for {silent:.0f} seconds in the middle of the answer."
                    " Ask again; if it stays so, restart it."
                )
            self._now = replace(self._now, phase="stalled" if silent > STALL_SECONDS else "writing")
        elif silent > self._first_token and (others := self._beside()):
            raise EngineStalled(
                f"{name} at {address} gave no token for {silent:.0f} seconds, while {others} other"
                f" question{'s' * (others != 1)} had been given to it, too. Ask again later; if it stays so, let fewer"
                " be answered at the same time (RAG_CONCURRENCY)."
            )
        elif silent > self._first_token:
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


def _with_token(now: Update, token: str, seconds: float) -> Update:
    if not token:
        return now
    first = now.timings.first_token if now.timings.first_token is not None else seconds
    timings = replace(now.timings, first_token=first, tokens=now.timings.tokens + 1)
    return replace(now, phase="writing", text=now.text + token, new=now.new + token, timings=timings)
