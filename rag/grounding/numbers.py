"""Numbers in digits and in words: `1,400`, `twenty-five`, `2.4 million`, `5 percent`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace

from rag.grounding.tokens import Token
from rag.grounding.vocabulary import CURRENCIES, MAGNITUDES, NUMBERS, ORDINALS, PERCENT

_AFTER_ONE = frozenset(
    ["you", "it", "he", "she", "we", "they", "i", "that", "which", "who", "with", "in", "on", "of", "for", "from", "at"]
)
"""What follows "one" where it stands for a noun."""
_BETWEEN = " -\u00a0"
"""Characters between the words of one number."""


def number_values(digits: str) -> frozenset[str]:
    """The numbers that digits may stand for: `1,400` is 1400; `1.400` is 1400, too, in many countries."""
    digits = unicodedata.normalize("NFKC", digits)
    values = set()
    if re.fullmatch(r"\d{1,3}(?:[.,]\d{3})+", digits) and len(set(re.findall("[.,]", digits))) == 1:
        values.add(_written(float(re.sub("[.,]", "", digits))))
        if "," in digits:
            return frozenset(values)
    decimal = re.sub(r",(?=\d{3}(?:\D|$))", "", digits) if "." in digits else digits.replace(",", ".")
    try:
        values.add(_written(float(decimal)))
    except ValueError:
        values.add(digits)  # a version, a time of day
    return frozenset(values)


def _written(value: float) -> str:
    """A number as text, to 12 digits, so that equal ones compare equal."""
    return f"{value:.12g}"


def merge_numbers(tokens: Sequence[Token], text: str) -> list[Token]:
    """The tokens of `text`, with each number as one token: its words, its magnitude, its currency or percent sign."""
    merged: list[Token] = []
    index = 0
    while index < len(tokens):
        token, last = tokens[index], index
        if token.folded in ORDINALS and not token.values:
            token = replace(token, values=frozenset((f"#{ORDINALS[token.folded]}",)))
        elif token.values or (token.folded in NUMBERS and not _is_pronoun(tokens, index)):
            token, last = _number_at(tokens, index, text)
        merged.append(token)
        index = last + 1
    return merged


def _is_pronoun(tokens: Sequence[Token], index: int) -> bool:
    """Whether it is "one" in place of a noun, as in "the one that you need"."""
    following = tokens[index + 1].folded if index + 1 < len(tokens) else ""
    return tokens[index].folded == "one" and index > 0 and tokens[index - 1].folded == "the" and following in _AFTER_ONE


def _number_at(tokens: Sequence[Token], index: int, text: str) -> tuple[Token, int]:
    """The number that begins at `index`, and the index of its last token."""
    first, last = tokens[index], index
    values = first.values
    if not values:
        total, last = _spelled_at(tokens, index, text)
        values = frozenset((_written(total),))
    while _follows(tokens, last, text) and (scale := MAGNITUDES.get(tokens[last + 1].folded)):
        values = frozenset(_scaled(value, scale) for value in values)
        last += 1
    number = replace(first, end=tokens[last].end, text=text[first.start : tokens[last].end], values=values)
    following = tokens[last + 1].folded if last + 1 < len(tokens) else ""
    if following in PERCENT or following in CURRENCIES:
        return replace(number, unit="%" if following in PERCENT else CURRENCIES[following]), last + 1
    return number, last


def _follows(tokens: Sequence[Token], index: int, text: str) -> bool:
    """Whether the next token may belong to the same number: only a space or a hyphen lies between."""
    return index + 1 < len(tokens) and not text[tokens[index].end : tokens[index + 1].start].strip(_BETWEEN)


def _spelled_at(tokens: Sequence[Token], index: int, text: str) -> tuple[float, int]:
    """The value of the number words from `index`, and the index of the last: `twenty five`, `two hundred and six`."""
    total = NUMBERS[tokens[index].folded]
    last = index
    while _follows(tokens, last, text):
        word = tokens[last + 1].folded
        if 20 <= total % 100 <= 90 and total % 10 == 0 and 0 < NUMBERS.get(word, 0) < 10:
            total += NUMBERS[word]
        elif word == "hundred" and total < 100:
            total *= 100
        elif word == "and" and total >= 100 and total % 100 == 0 and last + 2 < len(tokens):
            unit = NUMBERS.get(tokens[last + 2].folded)
            if unit is None:
                break
            total += unit
            last += 1
        else:
            break
        last += 1
    return total, last


def _scaled(value: str, factor: float) -> str:
    """A value of `number_values`, multiplied; unchanged if it is a version or a time of day."""
    try:
        return _written(float(value) * factor)
    except ValueError:
        return value
