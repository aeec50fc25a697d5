"""How much of the library was read for an answer, in words for people; and how an answer is built up piece by piece."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.documents import Document
from langchain_core.prompt_values import PromptValue

from rag.grounding.ground import Sentence
from rag.text.amounts import counted

Pieces = AsyncGenerator[dict[str, Any], None]


@dataclass(frozen=True)
class ChatReader:
    """A chat model that can read whole passages: `write` streams pieces with its `answer` to a prompt.

    `room` is how many tokens the prompt may have.
    """

    write: Callable[[PromptValue], Pieces]
    room: int


Answer = Callable[[ChatReader | None], Pieces]
"""Writes an answer by its own way; without a chat model where it is None, or too small to read whole passages."""


def read_of(read: int, total: int, sources: int) -> str:
    """The receipt: `read 84 of 84 passages of 1 source`."""
    return f"read {read:,} of {counted(total, 'passage')} of {counted(sources, 'source')}"


class Writer:
    """Puts an answer together: its text, the passages that it is from, and the mark of each sentence."""

    def __init__(self) -> None:
        self.passages: list[Document] = []
        self.text = ""
        self.grounding: list[Sentence] = []
        self._sent = 0

    def add(self, passage: Document) -> int:
        """Add a passage, unless it is there; its number, from 1."""
        for number, known in enumerate(self.passages, start=1):
            if known is passage or (known.id is not None and known.id == passage.id):
                return number
        self.passages.append(passage)
        return len(self.passages)

    def say(self, text: str, passage: int | None = None, quote: tuple[int, int] | None = None, lead: str = "") -> None:
        """Add a line. `lead` stands before its sentence, as a list's sign; without a passage it claims nothing."""
        start = len(self.text) + bool(self.text) + len(lead)
        self.text += ("\n" if self.text else "") + lead + text
        self.grounding.append(Sentence(start, start + len(text), passage, quote, claims=passage is not None))

    def gap(self) -> None:
        """Begin a new paragraph."""
        self.text += "\n" if self.text else ""

    def mark(self, sentence: Sentence, start: int, passage: int | None) -> None:
        """Add the mark of a sentence of the text from `start` on, and the passage that supports it."""
        moved = replace(sentence, start=start + sentence.start, end=start + sentence.end, passage=passage)
        self.grounding.append(moved)

    def new(self) -> dict[str, Any]:
        """The text that has come since the last piece."""
        new, self._sent = self.text[self._sent :], len(self.text)
        return {"answer": new}

    def piece(self, **more: Any) -> dict[str, Any]:
        """What has come since the last piece, with all passages and marks until now."""
        return {**self.new(), "passages": list(self.passages), "grounding": tuple(self.grounding), **more}


async def at_once(writer: Writer, coverage: str) -> Pieces:
    """An answer that is there as a whole."""
    yield writer.piece(coverage=coverage)
