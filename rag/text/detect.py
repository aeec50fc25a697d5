"""Which language a text is in, by py3langid."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Collection
from functools import lru_cache

from rag.text.language import ENGLISH, common_words, surfaces

log = logging.getLogger(__name__)

NAMES = {
    "ar": "Arabic", "ca": "Catalan", "cs": "Czech", "da": "Danish", "de": "German", "el": "Greek", "en": "English",
    "es": "Spanish", "et": "Estonian", "eu": "Basque", "fa": "Persian", "fi": "Finnish", "fr": "French", "he": "Hebrew",
    "hi": "Hindi", "hu": "Hungarian", "hy": "Armenian", "id": "Indonesian", "it": "Italian", "ja": "Japanese",
    "ko": "Korean", "lt": "Lithuanian", "lv": "Latvian", "nl": "Dutch", "no": "Norwegian", "pl": "Polish",
    "pt": "Portuguese", "ro": "Romanian", "ru": "Russian", "sr": "Serbian", "sv": "Swedish", "ta": "Tamil",
    "th": "Thai", "tr": "Turkish", "uk": "Ukrainian", "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip
"""Languages that are told apart, by their ISO 639-1 code. Of a text in another one nothing is said."""
SAMPLE = 4000
"""Characters of a text that are looked at."""
FEWEST_LETTERS = 200
"""Letters of a text whose language is told among all."""
FEWEST_WORDS = 25
"""Different words of such a text."""
COMMON_SHARE = 0.15
"""Share of common words in such a text, where those of the language are known."""
SURE = 0.95
"""Probability from which on a language is told."""
_ranking = threading.Lock()
"""py3langid takes a third of a second to unpack its model, and would do so for each thread that asks meanwhile."""


def document_language(text: str) -> str:
    """The language of a document, by its code; "" where it is not sure, as for tables of numbers and short texts.

    A text in a script of Latin letters has to have common words of its language, too, where these are known.
    """
    middle = len(text) // 2
    sample = text[:SAMPLE] + "\n" + text[max(middle, SAMPLE) : middle + SAMPLE]
    if sum(map(str.isalpha, sample)) < FEWEST_LETTERS:
        return ""
    found, words = _likeliest(sample, NAMES), list(surfaces(sample))
    common = common_words(found)
    if len(set(words)) < FEWEST_WORDS or (common and sum(map(common.__contains__, words)) < COMMON_SHARE * len(words)):
        return ""
    return found


def question_language(question: str, among: Collection[str]) -> str:
    """The language of a question, one of `among` or English; English where it is not sure."""
    languages = {ENGLISH, *among} - {""}
    return _likeliest(question, languages) or ENGLISH if len(languages) > 1 else ENGLISH


def sure_language(question: str) -> str:
    """The language of a question among all; "" where it is not sure, as of one or two words."""
    if len(question.split()) < 3 and question.isascii():
        return ""
    return _likeliest(question, NAMES)


def _likeliest(text: str, among: Collection[str]) -> str:
    """The likeliest of some languages; "" where another one may be it."""
    try:
        scores = [(language, score) for language, score in _ranked(text) if language in among]
    except OSError as error:  # py3langid unpacks its model into a temporary file, and the disk may be full
        log.warning("languages cannot be told: %s", error)
        return ""
    best = max(score for _, score in scores)
    total = sum(math.exp(score - best) for _, score in scores)
    language = next(language for language, score in scores if score == best)
    return language if 1 / total >= SURE else ""


@lru_cache(256)
def _ranked(text: str) -> tuple[tuple[str, float], ...]:
    """Languages with the logarithm of their probability."""
    import py3langid  # type: ignore[import-untyped]

    with _ranking:
        found = py3langid.rank(text)
    return tuple((str(language), float(score)) for language, score in found)
