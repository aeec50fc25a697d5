"""Which of several names words stand for: all of a name, or a part of it, as in "the lease" for "Lease of 2025.pdf"."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rag.answers.tables.words import key_of
from rag.text.language import stem

SHORTEST_PART = 5
"""Letters of a word that may stand for one that is put together with others: Anleitung for Bedienungsanleitung."""


def names_with(words: Sequence[str], names: Iterable[str]) -> list[str]:
    """Those of the names that have each of these words (as `key_of` gives them); none without a word."""
    return [name for name in names if has_words(words, name)] if words else []


def has_words(words: Sequence[str], name: str) -> bool:
    """Whether a name has each of these words, whatever its ending; signs of Chinese stand side by side in it."""
    key = key_of(name)
    if words and all(len(word) == 1 and word >= "\u3040" for word in words):
        return "".join(words) in "".join(key)
    return all(any(is_same(word, part) for part in key) for word in words)


def is_same(word: str, part: str) -> bool:
    """Whether a word is another one but for its ending, or the first or last part of it."""
    longer = len(word) >= SHORTEST_PART and (part.startswith(word) or part.endswith(word))
    return longer or word == part or stem(word) == stem(part)
