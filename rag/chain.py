"""Question -> sources -> prompt -> chat model -> tokens: the chain, and the one stream that every door reads."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, RunnableConfig

from rag.context import count_tokens, have_vectors, pack, telling_sentences
from rag.errors import (
    AnswerCutOff,
    AnswerTooLong,
    Busy,
    EngineStalled,
    QuestionError,
    RagError,
    StoreError,
    engine_error,
)
from rag.followup import standalone
from rag.grounding import Sentence, ground
from rag.thinking import ThinkingFilter, without_thinking

PROMPT_FILE = Path(__file__).parent / "prompt.txt"
TICK_SECONDS = 0.25
"""Between two updates while the model is silent: who leaves, on the page too, is noticed within it."""
SILENT_SECONDS = 0.5
"""From then on without a token, the engine is asked whether it is loading."""
CLOSING_SECONDS = 0.3
"""What closing the connection to an engine takes, at most."""
FLUSH_SECONDS = 0.04
STALL_SECONDS = 10.0
"""Silence in the middle of an answer that is called a stall."""
MOST_WAITING = 65_536
"""Characters that wait for a slow reader; then the engine has to wait, too."""
RETRIEVAL_SECONDS = 60.0
QUEUE_SECONDS = 120.0
SHARED_FIELDS = frozenset({"asked", "unread", "refused", "grounding", "usage", "coverage"})
"""Fields that a piece of the chain's stream and an `Update` have in common."""
TOO_LONG = "The answer was cut off at its longest. Ask for less, or raise RAG_MAX_TOKENS."
THOUGHT_TOO_LONG = (
    "The model used up its room for thinking and gave no answer. Ask again or ask for less, or choose a model that"
    " answers without thinking."
)
WHOLE = ("stop", "end_turn", "STOP", "stop_sequence")
"""What engines call an answer that the model itself ended (Ollama and OpenAI, Anthropic, Google)."""

log = logging.getLogger(__name__)

Chain = Runnable[dict[str, Any], dict[str, Any]]
Rewriter = Runnable[dict[str, Any], str]
"""From `{"question", "history"}` to the question in full words."""


@dataclass(frozen=True)
class Course:
    """Answer from `sources`, or reply with the fixed text `told` without asking the model.

    `coverage` says what of the library was read, where that is not the passages found.
    """

    sources: list[Document]
    told: str = ""
    refused: bool = False
    coverage: str = ""


Decide = Callable[[dict[str, Any]], Awaitable[Course]]
"""From `{"question", "asked", "sources", "scope"}` to how it is answered."""
Phase = Literal["queued", "starting", "searching", "loading", "reading", "thinking", "writing", "stalled", "done"]


@dataclass(frozen=True)
class Timings:
    """Seconds: how long retrieval took; from the question to the first token; and in all. None: not yet."""

    retrieval: float | None = None
    first_token: float | None = None
    total: float = 0.0
    tokens: int = 0

    @property
    def tokens_per_second(self) -> float | None:
        """Tokens a second after the first one."""
        if self.first_token is None or self.tokens < 2 or self.total <= self.first_token:
            return None
        return (self.tokens - 1) / (self.total - self.first_token)


@dataclass(frozen=True)
class Update:
    """A moment of an answer: what is happening, the text so far and `new` of it, and what it is drawn from.

    `asked` is what was searched for, once that is known: a follow-up's own words lean on what was said before. `unread`
    passages did not fit the model's window. `refused`: nothing that was found speaks to the question, and no model was
    asked. `grounding`, at the end, has the answer's sentences with what supports each; None: it could not be told.
    `ahead`: while it is queued, the questions that are answered or wait before it. `usage` are the tokens read and
    written by the engine's own count, at the end, where it tells. `coverage` says what of the library was read, where
    that is not the passages found: "from the beginnings of 2 sources".
    """

    phase: Phase = "queued"
    text: str = ""
    new: str = ""
    ahead: int | None = None
    sources: tuple[Document, ...] = ()
    usage: tuple[int, int] | None = None
    timings: Timings = field(default_factory=Timings)
    asked: str = ""
    unread: int = 0
    refused: bool = False
    coverage: str = ""
    grounding: tuple[Sentence, ...] | None = None


def build_prompt(path: Path | None = None) -> ChatPromptTemplate:
    """The prompt from a file: what stands before a line `---` is the system's part, the rest the person's turn."""
    text = (path or PROMPT_FILE).read_text(encoding="utf-8")
    system, separator, human = text.partition("\n---\n")
    if not separator:
        system, human = "", text
    parts: list[Any] = [("system", system.strip())] if system.strip() else []
    return ChatPromptTemplate.from_messages([*parts, MessagesPlaceholder("history"), ("human", human.strip())])


def build_chain(
    retriever: BaseRetriever,
    prompt: ChatPromptTemplate,
    chat_model: BaseChatModel,
    *,
    embeddings: Embeddings,
    sentences: bool,
    window: int,
    max_tokens: int,
    rewriter: Rewriter | None = None,
    decide: Decide | None = None,
) -> Chain:
    """The chain from `{"question", "history", "scope"}`.

    Its stream gives `asked`, then `sources` whole, then `answer` in pieces, and at the end `grounding`; `unread`,
    `refused` and `coverage` where there is cause, `thinking` while the model thinks, and `tokens` and `usage` where the
    engine counts them: what it sends together is one piece. `window` and `max_tokens` are tokens: what prompt and
    answer may have together, and the answer alone.
    `rewriter` words a follow-up anew, `decide` says whether the model is asked at all.
    """
    own_words = sum(count_tokens(str(message)) for message in prompt.messages)
    packed = partial(pack, embeddings=embeddings, sentences=sentences, window=window, reserved=own_words + max_tokens)

    async def answered(given: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        asked = await standalone(given["question"], given.get("history") or (), rewriter)
        given = {**given, "asked": asked}
        yield {"asked": asked}
        given["sources"] = await retrieve(given, retriever)
        yield {"sources": given["sources"]}
        await asyncio.sleep(0)  # they are shown now, and not with the first token
        if decide is not None:
            course = await decide(given)
            if course.sources != given["sources"]:
                given["sources"] = course.sources
                yield {"sources": course.sources}
            if course.coverage:
                yield {"coverage": course.coverage}
            if course.told:
                yield {"refused": course.refused, "answer": course.told}
                return
        if sentences:
            await have_vectors(embeddings, asked, list(telling_sentences(given["sources"]).values()))
        variables = packed(given)
        yield {"unread": variables.pop("unread")}
        answer = chat_model.astream(prompt.format_prompt(**variables))
        texts: list[str] = []
        thinking, thought = ThinkingFilter(), False
        read = written = pieces = 0
        try:
            async with aclosing(cast(AsyncGenerator[AIMessageChunk, None], whole_answer(answer))) as stream:
                async for message in stream:
                    if usage := message.usage_metadata:
                        read, written = usage["input_tokens"], written + usage["output_tokens"]
                    text = thinking.feed(message.text)
                    if thinking.thinking or message.additional_kwargs.get("reasoning_content"):
                        thought = True
                        yield {"thinking": True}
                    if text:
                        texts.append(text)
                        pieces += 1
                    yield {"answer": text}
                    if pieces > max_tokens:  # the engine has been given more than that, for its thinking
                        raise AnswerTooLong(TOO_LONG)
        except AnswerTooLong as error:
            if thought and not texts:
                raise AnswerTooLong(THOUGHT_TOO_LONG) from error
            raise
        if rest := thinking.rest():
            texts.append(rest)
            yield {"answer": rest}
        if written:
            # The engine's count has the thinking in it, which is no part of the answer's speed.
            yield {"usage": (read, written)} if thought else {"tokens": written, "usage": (read, written)}
        yield {"grounding": await asyncio.to_thread(_grounded, "".join(texts), given["sources"], embeddings, asked)}

    return Answering(answered)


def _grounded(
    text: str, sources: Sequence[Document], embeddings: Embeddings, asked: str
) -> tuple[Sentence, ...] | None:
    """The answer's sentences with what supports each; an answer is none the worse where that cannot be told."""
    try:
        return tuple(ground(text, sources, embeddings, asked))
    except Exception:
        log.exception("matching the answer with its passages")
        return None


class Answering(Runnable[dict[str, Any], dict[str, Any]]):
    """A generator as a chain.

    In place of a sequence of `assign`, prompt, model and parsers: each of these makes a task and adds up what has come
    for every piece, and looks at signatures for every question, which took most of the time that a token cost
    (bench/README.md). And a second `assign` runs its part in a task that nothing ends when the reader goes away before
    the first token (langchain-core 1.7.2), so that the model would work on for nobody.
    """

    def __init__(self, answered: Callable[[dict[str, Any]], AsyncGenerator[dict[str, Any], None]]) -> None:
        self._answered = answered

    async def astream(
        self, input: dict[str, Any], config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[dict[str, Any]]:
        """The pieces, as they come."""
        async with aclosing(self._answered(input)) as pieces:
            async for piece in pieces:
                yield piece

    async def ainvoke(
        self, input: dict[str, Any], config: RunnableConfig | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """All of it at once."""
        whole: dict[str, Any] = {"answer": ""}
        async for piece in self.astream(input):
            whole |= {**piece, "answer": whole["answer"] + piece.get("answer", "")}
        return whole

    def invoke(self, input: dict[str, Any], config: RunnableConfig | None = None, **kwargs: Any) -> dict[str, Any]:
        """All of it at once; not from within an event loop."""
        return asyncio.run(self.ainvoke(input, config))


async def retrieve(given: dict[str, Any], retriever: BaseRetriever) -> list[Document]:
    """The passages for `asked`: from the sources in `scope` alone, where there are any in it."""
    scope = list(given.get("scope") or ())
    limits: dict[str, Any] = {"scope": scope} if scope else {}
    return await retriever.ainvoke(given["asked"], **limits)


async def whole_answer(pieces: AsyncIterator[BaseMessage]) -> AsyncIterator[BaseMessage]:
    """Pass the model's pieces on; at the end, refuse to call complete what the model did not end itself.

    Raises:
        AnswerCutOff: the stream ended without a reason, or because the answer grew too long.
    """
    reason = ""
    async with aclosing(cast(AsyncGenerator[BaseMessage, None], pieces)) as messages:
        async for piece in messages:
            found = piece.response_metadata
            reason = str(found.get("done_reason") or found.get("finish_reason") or found.get("stop_reason") or reason)
            yield piece
    if reason in ("length", "max_tokens", "MAX_TOKENS"):
        raise AnswerTooLong(TOO_LONG)
    if reason not in WHOLE:
        raise AnswerCutOff(
            "The answer was cut off: the engine ended it without saying that it was complete. Ask again."
        )


class Line:
    """The line in front of the chat model, shared by every door."""

    def __init__(self, places: int, waiting: int) -> None:
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


@dataclass
class Limits:
    """Seconds to wait: for the first token, and between two."""

    first_token: float
    idle: float


def legible(text: str) -> str:
    """`text` without what no model can read: NULs and lone surrogates."""
    return text.replace("\0", "").encode("utf-8", "ignore").decode("utf-8")


def _legible_turn(turn: BaseMessage) -> BaseMessage:
    """A turn of the history as the model may read it; what a model thought is none of it."""
    text = legible(str(turn.content))
    return turn.model_copy(update={"content": without_thinking(text) if turn.type == "ai" else text})


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


async def stream_answer(
    chain: Callable[[], Awaitable[Chain]],
    question: str,
    history: Sequence[BaseMessage],
    *,
    line: Line,
    limits: Limits,
    max_question: int,
    engine: tuple[str, str],
    engine_phase: Callable[[], Phase] | None = None,
) -> AsyncGenerator[Update, None]:
    """Answer a question; every door of the app reads this stream.

    Yields at once what happens, the first token at once, then at most every 40 ms what has come since, and at least
    four times a second while nothing comes. `chain` is awaited for the chain (it may have to be started), `engine` is
    the chat model's name and address for messages, `engine_phase` tells, from a thread, whether the model is loading.

    Raises:
        RagError: what happened and what to do; the text yielded so far stays valid.
    """
    question = check_question(question, max_question)
    now = Update()
    began = time.monotonic()
    yield now
    who = object()
    entering = asyncio.ensure_future(line.enter(who))
    try:
        while not entering.done():
            await asyncio.wait({entering}, timeout=TICK_SECONDS)
            if time.monotonic() - began > QUEUE_SECONDS and not entering.done():
                raise Busy(f"No place became free within {QUEUE_SECONDS:.0f} seconds. Try again later.")
            yield replace(now, ahead=line.ahead(who), timings=Timings(total=time.monotonic() - began))
        entering.result()
    except BaseException:
        if not entering.cancel() and not entering.cancelled() and entering.exception() is None:
            line.leave()
        raise
    try:
        async with aclosing(_answer(chain, question, history, limits, engine, engine_phase, began)) as updates:
            async for update in updates:
                yield update
    finally:
        line.leave()


async def _answer(
    chain: Callable[[], Awaitable[Chain]],
    question: str,
    history: Sequence[BaseMessage],
    limits: Limits,
    engine: tuple[str, str],
    engine_phase: Callable[[], Phase] | None,
    began: float,
) -> AsyncGenerator[Update, None]:
    now = Update(phase="starting")
    pieces: list[dict[str, Any]] = []
    came, room = asyncio.Event(), asyncio.Event()
    search_began = 0.0
    waiting_characters = 0

    async def read() -> None:
        """Fill `pieces` from the chain, so that ticks and limits do not depend on it."""
        nonlocal search_began, waiting_characters
        runnable = await chain()
        search_began = time.monotonic()
        turns = [_legible_turn(turn) for turn in history]
        given = {"question": question, "history": turns}
        async with aclosing(cast(AsyncGenerator[dict[str, Any], None], runnable.astream(given))) as stream:
            async for piece in stream:
                pieces.append(piece)
                came.set()
                waiting_characters += len(piece.get("answer", ""))
                while waiting_characters > MOST_WAITING:
                    room.clear()
                    await room.wait()

    reading = asyncio.ensure_future(read())
    reading.add_done_callback(lambda _: came.set())
    loop = asyncio.get_running_loop()
    asking: asyncio.Future[Phase] | None = None
    last_token = time.monotonic()
    flushed = 0.0
    try:
        while True:
            tick = loop.call_later(TICK_SECONDS, came.set)
            await came.wait()
            tick.cancel()
            if now.text and pieces and not reading.done():
                await asyncio.sleep(max(0.0, flushed + FLUSH_SECONDS - time.monotonic()))
            taken, pieces[:] = list(pieces), []
            came.clear()
            waiting_characters = 0
            room.set()
            moment = time.monotonic()
            now = replace(now, new="", timings=replace(now.timings, total=moment - began))
            for piece in taken:
                now = replace(now, **{name: piece[name] for name in SHARED_FIELDS & piece.keys()})
                if "sources" in piece:
                    last_token = moment
                    timings = replace(now.timings, retrieval=moment - search_began)
                    now = replace(now, phase="reading", sources=tuple(piece["sources"]), timings=timings)
                if "thinking" in piece:
                    last_token = moment
                    now = replace(now, phase="thinking")
                if "answer" in piece:
                    last_token = moment
                    now = _with_token(now, piece["answer"], moment - began)
                if "tokens" in piece:
                    now = replace(now, timings=replace(now.timings, tokens=piece["tokens"]))
            ended = reading.done() and not pieces
            if ended:
                reading.result()
                break
            if not search_began:
                last_token = moment
            elif now.phase == "starting":
                now = replace(now, phase="searching")
            if not taken:
                now = _while_silent(now, moment - last_token, limits, engine)
            silent = moment - last_token >= SILENT_SECONDS
            if silent and now.phase in ("reading", "loading") and engine_phase is not None:
                if asking is not None and asking.done():
                    now, asking = replace(now, phase=asking.result()), None
                elif asking is None:  # its answer may take a while, and no token waits for it
                    asking = asyncio.ensure_future(asyncio.to_thread(engine_phase))
            flushed = moment
            yield now
    except RagError:
        if now.new:
            yield now
        raise
    except (asyncio.CancelledError, GeneratorExit):
        raise
    except Exception as error:
        if now.new:
            yield now
        raise engine_error(error, *engine) from error
    finally:
        reading.add_done_callback(lambda task: task.cancelled() or task.exception())
        # Not `gather`: where anyio cancels this task, it does so again at each await, and `gather` would hand that on
        # to `reading` while it closes its connection to the engine.
        while not reading.done():
            reading.cancel()  # again where a library has lost it, as `asyncio.wait_for` can up to Python 3.11
            await asyncio.wait({reading}, timeout=CLOSING_SECONDS)
        if asking is not None:
            asking.cancel()
    if not now.text.strip():
        raise AnswerCutOff(f"{engine[0]} gave an empty answer. Ask again, or in other words.")
    yield replace(now, phase="done")


def _with_token(now: Update, token: str, seconds: float) -> Update:
    if not token:
        return now
    first = now.timings.first_token if now.timings.first_token is not None else seconds
    timings = replace(now.timings, first_token=first, tokens=now.timings.tokens + 1)
    return replace(now, phase="writing", text=now.text + token, new=now.new + token, timings=timings)


def _while_silent(now: Update, silent: float, limits: Limits, engine: tuple[str, str]) -> Update:
    """What to say after a tick without a token; gives up at the limits."""
    name, address = engine
    if now.text:
        if silent > limits.idle:
            raise EngineStalled(
                f"{name} at {address} sent nothing for {silent:.0f} seconds in the middle of the answer."
                " Ask again; if it stays so, restart it."
            )
        return replace(now, phase="stalled" if silent > STALL_SECONDS else "writing")
    if silent > limits.first_token:
        raise EngineStalled(
            f"{name} at {address} gave no token for {silent:.0f} seconds. It may still be loading: ask again, or raise"
            " RAG_FIRST_TOKEN_TIMEOUT."
        )
    if now.timings.retrieval is None and silent > RETRIEVAL_SECONDS:
        raise StoreError(f"The search did not end within {RETRIEVAL_SECONDS:.0f} seconds. Restart the app.")
    return now
