"""Question -> passages -> prompt -> chat model -> tokens: the chain."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk
from langchain_core.prompt_values import PromptValue
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, RunnableConfig

from rag.answers.complete import TOO_LONG, whole_answer
from rag.answers.context import pack
from rag.answers.followup import standalone
from rag.answers.prompt import instructed
from rag.answers.quotes.asked_for import asks_yes_or_no
from rag.answers.quotes.beyond import Beyond
from rag.answers.quotes.find import find_quotes
from rag.answers.quotes.quote import Quote, quotes_as_answer, says_something
from rag.answers.repeats import RepeatWatch
from rag.answers.tables.question import asks_of_rows
from rag.answers.thinking import ThinkingFilter
from rag.answers.told import INDIRECT, NO_QUOTES
from rag.answers.translation import Translator
from rag.answers.whole.receipt import Answer, ChatReader
from rag.errors import AnswerTooLong
from rag.grounding.ground import Sentence, ground
from rag.text.detect import sure_language
from rag.text.sentences import count_tokens

SHARED_FIELDS = {
    *("asked", "unread", "refused", "quotes", "quoted", "indirect"),
    *("grounding", "usage", "coverage", "progress", "notice"),
}
"""Fields that a piece of the chain's stream and an `Update` have in common."""
THOUGHT_TOO_LONG = (
    "The model used up its room for thinking and gave no answer. Ask again or ask for less, or choose a model that"
    " answers without thinking."
)
CALL_OPTIONS = ("think", "temperature", "preferred")
"""Parts of the input that go to the chat model with the call."""
REPEATS = "The model began to repeat itself and was stopped. Ask in other words, or choose a larger model."

log = logging.getLogger(__name__)

Rewriter = Runnable[dict[str, Any], str]
"""From `{"question", "history"}` to the question in full words."""


@dataclass(frozen=True)
class Course:
    """Answer from `passages`, or reply with the fixed text `told` without asking the model.

    `indirect`: the passages hardly have an answer, so that a model that reads little is not asked to make one of them.
    `uncounted`: rows would have to be counted, and were not, as it is not certain how. `coverage` says what of the
    library was read, where that is not the passages found. `answer` is a way of its own, which yields all pieces
    itself. `ask_in` is the language of other sources, which may answer if asked in it.
    """

    passages: list[Document]
    told: str = ""
    refused: bool = False
    indirect: bool = False
    uncounted: bool = False
    coverage: str = ""
    answer: Answer | None = None
    ask_in: str = ""


Decide = Callable[[dict[str, Any]], Awaitable[Course]]
"""From the chain's input with `complete`, the question in full words, `asked`, that or its translation, `passages`."""


class RagChain(Runnable[dict[str, Any], dict[str, Any]]):
    """From `{"question", "history", "scope"}` to an answer in pieces.

    A generator in place of a sequence of `assign`, prompt, model and parsers: each of these makes a task for every
    piece (bench/README.md), and a second `assign` runs its part in a task that nothing ends when the reader goes away.
    """

    def __init__(
        self,
        retriever: BaseRetriever,
        prompt: ChatPromptTemplate,
        chat_model: BaseChatModel | None,
        *,
        embeddings: Embeddings,
        reads_quotes: bool,
        prefers: bool = False,
        opens: bool = False,
        window: int,
        max_tokens: int,
        rewriter: Rewriter | None = None,
        translator: Translator | None = None,
        decide: Decide | None = None,
        languages: Callable[[], Collection[str]] = tuple,
    ) -> None:
        """Put the chain together.

        Args:
            retriever: finds the passages.
            prompt: has the variables `question`, `context` and `history`.
            chat_model: writes the answer; None: the answer is the sentences of the passages that fit best.
            embeddings: rank sentences for the quotes and for the grounding.
            reads_quotes: the model reads the quotes alone, not whole passages.
            prefers: the words of the quotes are preferred, where the model can be told so.
            opens: the answer opens with the best quote, or that for each of two questions; the model adds to it.
            window: tokens that prompt and answer may have together.
            max_tokens: tokens of the answer alone.
            rewriter: puts a follow-up into full words; without one, earlier words are added to it.
            translator: puts a question into the language of the passages; without one, it is searched for as it is.
            decide: picks how the question is answered; without it, always from the passages found.
            languages: those of the library, as ISO 639-1.
        """
        self._retriever = retriever
        self._prompt = prompt
        self._chat_model = chat_model
        self._embeddings = embeddings
        self._reads_quotes = reads_quotes
        self._prefers = prefers
        self._opens = opens
        self._window = window
        self._max_tokens = max_tokens
        self._reserved = max_tokens + sum(count_tokens(str(message)) for message in prompt.messages)
        self._rewriter = rewriter
        self._translator = translator
        self._decide = decide
        self._languages = languages
        self._thinks_first = False
        """Whether the model's last reply began within its thinking, without a tag."""

    async def astream(
        self, input: dict[str, Any], config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncGenerator[dict[str, Any], None]:
        """The answer in pieces.

        First comes `asked` (once more where it was translated), then `passages` and `quotes` whole, then `answer` piece
        by piece, at the end `grounding`; `unread`, `refused`, `coverage` and `progress` where there is cause, `quoted`
        where no model writes the answer (`indirect`: and the quotes hardly are one), `opening` with the best
        quotes where the answer opens with them, `thinking` piece by piece while the model thinks (with `moved`, where
        it was taken for the answer at first), `tokens` and `usage` where the engine counts them, and `notice` where the
        model was stopped since it repeated itself.

        Where the input has `think`, the model thinks as it says, in place of its settings'; `instructions` and
        `temperature` likewise are of this question alone.

        Raises:
            AnswerCutOff: the engine did not end the answer as complete.
        """
        complete = await standalone(input["question"], input.get("history") or (), self._rewriter)
        given = {**input, "complete": complete, "asked": complete}
        yield {"asked": complete}
        given["passages"] = await retrieve(given, self._retriever)
        if self._translator and (translation := await self._translator(complete, given["passages"])):
            given["asked"] = translation
            yield {"asked": translation}
            given["passages"] = await retrieve(given, self._retriever)
        shown = given["passages"]
        yield {"passages": shown}
        await asyncio.sleep(0)  # they are shown now, and not with the first token
        indirect = uncounted = False
        if self._decide is not None:
            course = await self._decide(given)
            if course.ask_in and given["asked"] == given["complete"]:
                given, course = await self._in_another_language(given, course)
            translated = given["asked"] != given["complete"]  # which makes the score of `indirect` lower
            if self._reads_quotes or self._chat_model is None:
                indirect, uncounted = course.indirect and not translated, course.uncounted
            if course.answer is not None:
                async with aclosing(course.answer(self._reader(given))) as pieces:
                    async for piece in pieces:
                        yield piece
                return
            if course.passages != shown:
                given["passages"] = course.passages
                yield {"asked": given["asked"], "passages": course.passages}
            if course.coverage:
                yield {"coverage": course.coverage}
            if course.told:
                yield {"refused": course.refused, "answer": course.told}
                return
        quotes = given["quotes"] = await self._quotes(given)
        uncounted = uncounted and bool(quotes) and asks_of_rows(given["asked"], quotes[0], given["passages"])
        indirect = bool(quotes) and (indirect or uncounted)
        if indirect or self._chat_model is None or self._better_quoted(given):
            yield {"quotes": quotes, "quoted": True, "indirect": indirect}
            answer, grounding = quotes_as_answer(quotes, given["passages"], INDIRECT if indirect else "")
            yield {"answer": answer or NO_QUOTES, "grounding": grounding}
            return
        yield {"quotes": quotes, "quoted": False, "indirect": False}
        opening, grounding = self._opening(given)
        if opening:
            yield {"opening": opening}
        await asyncio.sleep(0)  # they are shown now, and not with the first token
        beyond, texts = Beyond(opening), [opening]
        async with aclosing(self._write(given, self._chat_model)) as pieces:
            async for piece in pieces:
                if "moved" in piece:
                    beyond, texts = Beyond(opening), [opening]
                if opening and "answer" in piece:
                    piece = {**piece, "answer": beyond.feed(piece["answer"])}
                texts.append(piece.get("answer", ""))
                yield piece
        if opening and (rest := beyond.feed("", last=True)):
            texts.append(rest)
            yield {"answer": rest}
        own = await asyncio.to_thread(self._ground, "".join(texts), len(opening), given["passages"], given["asked"])
        yield {"grounding": None if own is None else (*grounding, *own)}

    async def _in_another_language(self, given: dict[str, Any], refused: Course) -> tuple[dict[str, Any], Course]:
        """A refused question in the language of other sources, and how that is answered, unless it is refused, too."""
        translation = self._translator and await self._translator(given["complete"], (), refused.ask_in)
        if translation and self._decide:
            again = {**given, "asked": translation}
            again["passages"] = await retrieve(again, self._retriever)
            if not (course := await self._decide(again)).refused:
                return again, course
        return given, refused

    def _better_quoted(self, given: dict[str, Any]) -> bool:
        """Whether a small model would say it worse than the quotes do.

        It says yes where the notes say no in one of two cases (tuning half: of its sentences .28 have support, of
        others .70), and cannot put quotes into another language.
        """
        if not self._may_open(given):
            return False
        text, _ = quotes_as_answer(given["quotes"], given["passages"])
        return asks_yes_or_no(given["question"]) or not _in_one_language(given["question"], text)

    def _may_open(self, given: Mapping[str, Any]) -> bool:
        """Whether the answer may be the sources' own words: not where there are wishes about its form."""
        return self._opens and not given.get("instructions")

    def _opening(self, given: dict[str, Any]) -> tuple[str, tuple[Sentence, ...]]:
        """The best quote, or that for each of two questions, where the answer opens with it; and what supports it."""
        if not self._may_open(given):
            return "", ()
        telling = [each for each in given["quotes"] if says_something(each, given["passages"])]
        best = [each for each in telling if each.leads] or telling[:1]
        return quotes_as_answer(best, given["passages"])

    async def ainvoke(
        self, input: dict[str, Any], config: RunnableConfig | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """All pieces put together. Raises as `astream`."""
        whole: dict[str, Any] = {"answer": ""}
        async for piece in self.astream(input):
            whole |= {**piece, "answer": whole["answer"] + piece.get("answer", "")}
        return whole

    def invoke(self, input: dict[str, Any], config: RunnableConfig | None = None, **kwargs: Any) -> dict[str, Any]:
        """As `ainvoke`; not from within an event loop."""
        return asyncio.run(self.ainvoke(input, config))

    async def _quotes(self, given: dict[str, Any]) -> tuple[Quote, ...]:
        """The quotes; a model's answer is none the worse where they cannot be had."""
        try:
            found = await find_quotes(given["asked"], given["passages"], self._embeddings, self._languages())
            if self._opens:  # with the first of them
                return tuple(
                    sorted(found, key=lambda each: (not says_something(each, given["passages"]), not each.leads))
                )
            return found
        except Exception:
            if self._chat_model is None:
                raise
            log.exception("finding quotes")
            return ()

    async def _write(self, given: dict[str, Any], chat_model: BaseChatModel) -> AsyncGenerator[dict[str, Any], None]:
        """What the chat model writes, its thinking left out."""
        if self._reads_quotes and given["asked"] != given["complete"]:  # it reads one language better than two
            given = {**given, "question": given["asked"]}
        instructions = str(given.get("instructions") or "")
        variables = pack(
            given,
            reads_quotes=self._reads_quotes,
            window=self._window,
            reserved=self._reserved + count_tokens(instructions),
        )
        yield {"unread": variables.pop("unread")}
        prompt = instructed(self._prompt.format_prompt(**variables), instructions)
        options = dict(given)
        if self._prefers and not instructions and _in_one_language(given["question"], variables["context"]):
            options["preferred"] = variables["context"]
        async with aclosing(self._stream(chat_model, options, prompt)) as answer:
            async for piece in answer:
                yield piece

    def _reader(self, given: Mapping[str, Any]) -> ChatReader | None:
        """The chat model for whole passages; None where there is none, or where it reads quotes alone."""
        if self._chat_model is None or self._reads_quotes:
            return None
        return ChatReader(partial(self._stream, self._chat_model, given), self._window - self._max_tokens)

    async def _stream(
        self, chat_model: BaseChatModel, options: Mapping[str, Any], prompt: PromptValue
    ) -> AsyncGenerator[dict[str, Any], None]:
        """What the chat model replies to a prompt, its thinking apart. `options`: as `astream` has them."""
        thinking, repeats = ThinkingFilter(within=self._thinks_first), RepeatWatch()
        read = written = shown = said = thought = 0
        answer = whole_answer(chat_model.astream(prompt, **_known_to(chat_model, options)))
        try:
            async with aclosing(cast(AsyncGenerator[AIMessageChunk, None], answer)) as messages:
                async for message in messages:
                    if usage := message.usage_metadata:
                        read, written = usage["input_tokens"], written + usage["output_tokens"]
                    told = thinking.feed(message.text)
                    text, more = told.answer, message.additional_kwargs.get("reasoning_content") or ""
                    if told.moved:
                        yield {"answer": repeats.rest()}
                        thought, said, shown, repeats = thought + said, 0, 0, RepeatWatch()
                    if more or told.thinking or told.moved:
                        thought += len(more + told.thinking)
                        yield {"thinking": more + told.thinking, **({"moved": True} if told.moved else {})}
                    shown, said = shown + bool(text), said + len(text)
                    yield {"answer": repeats.feed(text)}
                    if repeats.looping:
                        break
                    if shown > self._max_tokens:  # the engine has been given more than that, for its thinking
                        raise AnswerTooLong(TOO_LONG)
        except Exception as error:
            yield {"answer": repeats.rest()}
            if isinstance(error, AnswerTooLong) and thought and not shown:
                raise AnswerTooLong(THOUGHT_TOO_LONG) from error
            raise
        if repeats.looping:
            yield {"notice": REPEATS}
            return
        rest = thinking.rest()
        self._thinks_first = thinking.lone
        if rest.thinking:
            yield {"thinking": rest.thinking}
        yield {"answer": repeats.feed(rest.answer) + repeats.rest()}
        if written:
            own = round(written * said / (said + thought)) if thought else written  # thinking is no part of its speed
            yield {"tokens": own, "usage": (read, written)}

    def _ground(self, text: str, start: int, passages: Sequence[Document], asked: str) -> tuple[Sentence, ...] | None:
        """The answer's sentences from `start` with what supports each; it is none the worse where that is not known."""
        try:
            own = ground(text[start:], passages, self._embeddings, asked)
            return tuple(replace(each, start=each.start + start, end=each.end + start) for each in own)
        except Exception:
            log.exception("matching the answer with its passages")
            return None


def _known_to(chat_model: BaseChatModel, options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the options of a question that its chat model can be told with the call."""
    known = type(chat_model).model_fields
    return {name: options[name] for name in CALL_OPTIONS if name in known and options.get(name) is not None}


def _in_one_language(question: str, context: str) -> bool:
    """Whether the answer can be in the words of the notes: not where it is to be in another language than they are."""
    asked, read = sure_language(question), sure_language(context)
    return not (asked and read) or asked == read


async def retrieve(given: dict[str, Any], retriever: BaseRetriever) -> list[Document]:
    """The passages for `asked`: from the sources in `scope` alone, where there are any in it; `k` of them if given."""
    if given.get("k"):
        retriever = retriever.model_copy(update={"k": given["k"]})
    scope = list(given.get("scope") or ())
    limits: dict[str, Any] = {"scope": scope} if scope else {}
    return await retriever.ainvoke(given["asked"], **limits)
