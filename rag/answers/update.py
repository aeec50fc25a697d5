"""What every door shows of an answer while it is made: the updates that `rag.answers.stream.Answers` yields."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from langchain_core.documents import Document

from rag.grounding.ground import Sentence

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
    """A moment of an answer.

    Attributes:
        phase: what is happening.
        text: the answer so far; `new` is the part that came since the last update.
        ahead: while the question is queued, the number of questions before it.
        sources: the passages that the answer is drawn from, best first.
        usage: tokens read and written, as the engine counts them; None where it does not tell.
        timings: how long it took so far.
        asked: the text that was searched for. A follow-up is put into full words first.
        unread: passages that did not fit the model's window.
        refused: nothing found speaks to the question, and no model was asked.
        coverage: what of the library was read, where that is not the passages found.
        grounding: at the end, the answer's sentences with what supports each; None where that could not be told.
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
