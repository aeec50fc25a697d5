"""Text becomes tokens."""

from __future__ import annotations

import re
import unicodedata

from rag.grounding.numbers import merge_numbers, number_values
from rag.grounding.tokens import Token
from rag.grounding.vocabulary import CURRENCIES
from rag.text.language import fold, stem

_CJK = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
"""Scripts without spaces between words: Thai, Lao, Burmese, Khmer, Chinese, Japanese."""
_TOKEN = re.compile(
    rf"(?P<number>\d{{1,40}}(?:[.,:]\d{{1,40}})*)(?!(?![{_CJK}])\w)"
    rf"|(?P<unspaced>[{_CJK}]+)"
    rf"|(?P<word>(?:(?![{_CJK}])\w)+(?:['’+&](?:(?![{_CJK}])\w)+)*(?:[+#]+(?!\w))?)"
)
_NUMBER_AND_SUFFIX = re.compile(r"(\d{1,40})([^\W\d_]{1,3})")


def tokenize(text: str) -> list[Token]:
    """The words and numbers of a text. Scripts without spaces between words give overlapping pairs of characters."""
    tokens: list[Token] = []
    for match in _TOKEN.finditer(text):
        start, end, written = match.start(), match.end(), match[0]
        if match["unspaced"]:
            for place in range(start, max(start + 1, end - 1)):
                pair = text[place : min(place + 2, end)]
                tokens.append(Token(place, place + len(pair), pair, pair, pair))
            continue
        folded = fold(unicodedata.normalize("NFKC", written))
        if match["number"]:
            percent = "%" if text[end : end + 2].lstrip()[:1] == "%" else ""
            unit = CURRENCIES.get(text[start - 1 : start]) or percent
            tokens.append(Token(start, end, written, folded, folded, values=number_values(written), unit=unit))
        elif measured := _NUMBER_AND_SUFFIX.fullmatch(written):
            tokens += _number_and_suffix(start, measured[1], measured[2])
        else:
            tokens.append(Token(start, end, written, folded, stem(folded), starts_sentence=_starts(text, start)))
    return merge_numbers(tokens, text)


def _number_and_suffix(start: int, number: str, suffix: str) -> list[Token]:
    """`3rd` is one ordinal, `10ms` a number and its unit, `1990s` a number."""
    middle, end = start + len(number), start + len(number + suffix)
    folded = suffix.casefold()
    if folded in ("st", "nd", "rd", "th"):
        form = fold(unicodedata.normalize("NFKC", number + suffix))
        return [Token(start, end, number + suffix, form, form, values=frozenset((f"#{int(number)}",)))]
    tokens = [Token(start, middle, number, number, number, values=number_values(number))]
    return tokens if folded == "s" else [*tokens, Token(middle, end, suffix, folded, folded)]


def _starts(text: str, start: int) -> bool:
    """Whether a sentence, a clause after a colon, or a block begins at `start`."""
    before = text[max(0, start - 12) : start].rstrip(" \t\"'“”‘’«»(*_`[")
    return not before or before[-1] in ".!?:;\n|#>-•"
