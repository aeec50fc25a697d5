"""What every door shows of an answer while it is made: the updates that `rag.answers.stream.AnswerChain` yields."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from langchain_core.documents import Document

from rag.answers.quotes.quote import Quote
from rag.grounding.ground import Sentence
from rag.grounding.segments import says_it_does_not_know

Phase = Literal["queued", "starting", "searching", "loading", "reading", "thinking", "writing", "stalled", "done"]


@dataclass(frozen=True)
class Timings:
    """Seconds: how long retrieval took; how long the model thought; from the question to the first token of the answer;
    and in all. None: not yet, or not at all.

    Waiting in line is part of them, and in a process that has just begun the opening of the library. A refusal has a
    first token, too, and so have quotes that stand for an answer.
    """

    retrieval: float | None = None
    thinking: float | None = None
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
    """A moment of an answer.

    Attributes:
        phase: what is happening.
        text: the answer so far; `new` is the part that came since the last update.
        thinking: what the model has thought so far; `new_thinking` came since the last update.
        moved: what came of the text before this update was thinking, and is in `thinking` now.
        ahead: while the question is queued, the number of questions before it.
        seconds_ahead: how long it may still wait, about; None: not known.
        passages: what the answer is drawn from, best first.
        quotes: the sentences of the passages that answer best, word for word, there before the model's first token.
        quoted: the text is these quotes; no model wrote it.
        indirect: they hardly answer the question, and the text says so.
        opening: characters at the beginning of the text that are the best quote, or that for each of two questions; the
            model wrote the rest.
        usage: tokens read and written, as the engine counts them; None where it does not tell.
        timings: how long it took so far.
        asked: the text that was searched for. A follow-up is put into full words first.
        unread: passages that did not fit the model's window.
        refused: nothing found speaks to the question, and no model wrote an answer.
        coverage: what of the library was read, where that is not the passages found.
        progress: passages read, and those that are to be read, where an answer reads whole sources.
        notice: a sentence to be read with the answer: the model began to repeat itself and was stopped.
        grounding: at the end, the answer's sentences with what supports each; None where that could not be told.
    """

    phase: Phase = "queued"
    text: str = ""
    new: str = ""
    thinking: str = ""
    new_thinking: str = ""
    moved: bool = False
    ahead: int | None = None
    seconds_ahead: float | None = None
    passages: tuple[Document, ...] = ()
    quotes: tuple[Quote, ...] = ()
    quoted: bool = False
    indirect: bool = False
    opening: int = 0
    usage: tuple[int, int] | None = None
    timings: Timings = field(default_factory=Timings)
    asked: str = ""
    unread: int = 0
    refused: bool = False
    coverage: str = ""
    progress: tuple[int, int] | None = None
    notice: str = ""
    grounding: tuple[Sentence, ...] | None = None

    @property
    def written(self) -> str:
        """What the model wrote of the text."""
        return self.text[self.opening :]

    @property
    def opens_with(self) -> int:
        """How many quotes the text opens with, which are the first ones."""
        return sum(each.text(self.passages) in self.text[: self.opening] for each in self.quotes)

    @property
    def support(self) -> tuple[int, int]:
        """How many of the sentences that the model wrote a passage supports, and how many claim something."""
        claims = [each for each in self.grounding or () if each.claims and each.start >= self.opening]
        return sum(sentence.passage is not None for sentence in claims), len(claims)

    @property
    def alone(self) -> str:
        """The text for who sees neither marks nor quotes: without what a small model adds to the quotes.

        Where most of that has no support, all quotes: the first one may not be the answer.
        """
        if not self.opening:
            return self.text
        others = self.quotes[self.opens_with :] if self.doubtful else ()
        return "\n\n".join([self.text[: self.opening], *(each.text(self.passages) for each in others)])

    @property
    def doubtful(self) -> bool:
        """Whether less than half of the model's sentences have support, or it says that it does not know.

        The quotes are then to be read first.
        """
        if self.quoted or self.refused or self.grounding is None or not self.quotes:
            return False
        supported, claims = self.support
        if not claims:
            return any(says_it_does_not_know(self.text[each.start : each.end]) for each in self.grounding)
        return supported < claims / 2
