"""Part of a passage, quoted word for word: its words as they are shown, and quotes as an answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from langchain_core.documents import Document

from rag.grounding.ground import Sentence
from rag.sources.tables import SEPARATOR, row_opening
from rag.text.links import without_addresses
from rag.text.wraps import unwrap

MANY_WORDS = 9
"""Words of a line without an end that says something alone all the same; titles have fewer."""
_TELLS = re.compile(r"(?:(?<!\.\w)(?<!\bInc)(?<!\bLtd)\.|[!?。！？:：])[\"”»)\]*_]*(?:\s|$)|\s\|\s|\d|\n")
"""What is in a quote that says something alone: a sentence's end, a `key: value`, a row, a number, a second line."""
_FENCE = re.compile(r"(?:`{3,}|~{3,})[\w+.-]*")


@dataclass(frozen=True)
class Quote:
    """Part of a passage, word for word: `sources[passage - 1].page_content[start:end]`.

    It `leads` where it answers the question best, or one of two questions in one sentence. `heading` is the nearest one
    above it, or the question that it follows in a list of questions and answers; "" where there is none.
    """

    passage: int
    start: int
    end: int
    leads: bool = False
    heading: str = ""

    def text(self, sources: Sequence[Document]) -> str:
        """Its words, white space folded, after what its row begins with; rows and list items are lines of their own.

        The fences around code and the addresses of links are left out.
        """
        lines = unwrap(sources[self.passage - 1].page_content)[self.start : self.end].splitlines()
        words = "\n".join(
            " ".join(line.split()) for line in lines if line.strip() and not _FENCE.fullmatch(line.strip())
        )
        row, words = self.row(sources), without_addresses(words)
        return row + words.removesuffix(SEPARATOR.rstrip()) if row else words

    def row(self, sources: Sequence[Document]) -> str:
        """What the row begins with that it is amid: "September 2018 | … | "; "" where it is no part of a row."""
        source = sources[self.passage - 1]
        text = source.page_content
        line = text.rfind("\n", 0, self.start) + 1
        amid = "" if line else str(source.metadata.get("row") or "")
        opening = amid or row_opening(text, self.start)
        if not opening:
            return ""
        before = text[line : self.start].rstrip()
        cell = SEPARATOR.rstrip()
        is_whole = not amid and before.removesuffix(cell).rstrip() == opening
        between = SEPARATOR if before.endswith(cell) or (amid and not before) else " "
        return f"{' '.join(opening.split())}{between if is_whole else f'{SEPARATOR}…{between}'}"


def says_something(quote: Quote, sources: Sequence[Document]) -> bool:
    """Whether a quote says something alone, so that an answer can open with it: a title or a name does not."""
    text = quote.text(sources)
    return bool(_TELLS.search(text)) or len(text.split()) >= MANY_WORDS


def quotes_as_answer(
    quotes: Sequence[Quote], sources: Sequence[Document], before: str = ""
) -> tuple[str, tuple[Sentence, ...]]:
    """The quotes as an answer, one a paragraph, and the support of each: the passage that it was taken from.

    `before` stands before them.
    """
    text, sentences = before, []
    for quote in quotes:
        text += "\n\n" if text else ""
        words = quote.text(sources)
        sentences.append(
            Sentence(len(text), len(text) + len(words), passage=quote.passage, quote=(quote.start, quote.end))
        )
        text += words
    return text, tuple(sentences)
