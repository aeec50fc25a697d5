"""A token of a sentence, and the comparison of two tokens."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from rag.grounding.vocabulary import STOP_WORDS
from rag.text.language import ENGLISH, word_frequencies

LONGEST_UNIT = 3
"""Letters of a unit of measure or a currency with capital letters, at most."""


@dataclass(frozen=True)
class Token:
    """A word or a number of a text: `text` stands at `start` to `end`.

    `folded` and `stem` are as in `rag.text.language`. `values` are the numbers that it may stand for (`1.400` has two
    readings), written as text; `unit` is "%" or the sign of a currency.
    """

    start: int
    end: int
    text: str
    folded: str
    stem: str
    is_name: bool = False
    starts_sentence: bool = False
    values: frozenset[str] = frozenset()
    unit: str = ""

    @property
    def is_content(self) -> bool:
        """Whether it says something about the sentence's subject: a number, a name, or no stop word."""
        return bool(self.values) or self.is_name or (self.folded not in STOP_WORDS and self.stem not in STOP_WORDS)


def same(one: Token, other: Token) -> bool:
    """Whether two tokens are the same number and unit, the same name, or forms of one word."""
    if one.values or other.values:
        return bool(one.values & other.values) and one.unit == other.unit
    if one.stem == other.stem or one.folded == other.folded:
        return True
    if one.is_name and other.is_name:
        return _singular(one) == _singular(other)
    return one.stem[:5] == other.stem[:5] and _related(one.stem, other.stem)


def contains(tokens: Iterable[Token], token: Token) -> bool:
    """Whether one of `tokens` is the `same`."""
    return any(same(token, other) for other in tokens)


def keys(token: Token) -> list[str]:
    """Keys for an index of tokens: two tokens that are the `same` share at least one."""
    if token.values:
        return [f"={value}" for value in token.values]
    return [token.stem[:5], f"+{_singular(token)}"] if token.is_name else [token.stem[:5]]


@lru_cache(maxsize=50_000)
def _related(one: str, other: str) -> bool:
    """Whether two stems differ in their endings only, as `extens` and `extend` do."""
    shorter, longer = sorted((one, other), key=len)
    if len(shorter) < 5 or not shorter.isalpha():
        return False
    common = next((index for index, letter in enumerate(shorter) if letter != longer[index]), len(shorter))
    return common >= 5 and common >= 0.75 * len(longer)


def _singular(token: Token) -> str:
    """`LLMs` without its plural ending; other names as they are."""
    return token.folded[:-1] if token.text.endswith("s") and token.text[:-1].isupper() else token.folded


def capitalised(tokens: Iterable[Token]) -> set[str]:
    """Folded words that have a capital letter within a sentence."""
    return {token.folded for token in tokens if not token.starts_sentence and token.text[:1].isupper()}


def with_names(tokens: Sequence[Token], names: Collection[str]) -> list[Token]:
    """Mark the tokens that are names. `names` are the `capitalised` words of all texts that are compared."""
    return [
        replace(token, is_name=True) if _is_name(token, names) and not _is_unit(token, before) else token
        for before, token in zip([None, *tokens], tokens, strict=False)
    ]


def _is_unit(token: Token, before: Token | None) -> bool:
    """Whether it is a unit of the number before it: `0.48 kWh`, `34.00 EUR`; `3 May` is none."""
    is_short = len(token.text) <= LONGEST_UNIT and (len(token.text) < LONGEST_UNIT or not token.text.istitle())
    return before is not None and bool(before.values) and is_short


def _is_name(token: Token, names: Collection[str]) -> bool:
    """Whether its capital letter means a name, and not only the start of a sentence."""
    text = token.text
    if token.values or not any(map(str.isupper, text)) or token.folded in STOP_WORDS:
        return False
    if any(map(str.isupper, text[1:])) or any(each.isdigit() or each in "+#" for each in text):
        return True
    return not token.starts_sentence or token.folded in names or token.folded not in word_frequencies(ENGLISH)
