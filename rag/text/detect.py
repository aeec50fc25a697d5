"""Which language a text is in, by py3langid."""

from __future__ import annotations

import logging
import math
import re
import threading
from collections import Counter
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
FEWEST_WORDS, FEWEST_OF_SHORT = 25, 12
"""Different words of such a text, and of a shorter one."""
COMMON_SHARE, COMMON_SHARE_OF_SHORT = 0.15, 0.25
"""Share of common words in such a text, where those of the language are known, and in a shorter one."""
PLAINLY_ENGLISH = 0.3
"""Share of English common words from which on a text is English without a further look, which takes py3langid half a
millisecond a thousand characters. English prose has .4, prose in other languages .03."""
PARTS, LEAST_PART, MOST_PART = 10, 300, 1000
"""Parts of a text that are looked at each by itself, and their characters."""
LEAST_PARTS, SHARE_OF_PARTS = 2, 0.25
"""How many parts a further language of a text has, and which share of the parts that have one; one more part where its
common words are not known."""
MOST_LANGUAGES = 3
"""Languages of one text."""
_NAMED = re.compile(r"(?m)(?<=\| )[^|:\n]{1,60}: |^[^|:\n]{1,60}: (?=.* \| )")
"""The name of a column or a key in a row, whose language is often another one than that of the values."""
SURE = 0.95
"""Probability from which on a language is told."""
_ranking = threading.Lock()
"""py3langid takes a third of a second to unpack its model, and would do so for each thread that asks meanwhile."""


def document_languages(text: str) -> str:
    """The languages of a document, by their codes with a blank between them: that of the whole, then those of parts.

    "" where none is sure, as for tables of numbers and short texts. A text in a script of Latin letters has to have
    common words of its language, too, where these are known. A text has another language where some parts of it are in
    it, as a file that is half translated. English alone in some parts is not told: it is what counts where none is.
    """
    middle = len(text) // 2
    sample = text[:SAMPLE] + "\n" + text[max(middle, SAMPLE) : middle + SAMPLE]
    whole = _told(sample)
    parts = Counter(filter(None, map(_told, _parts_of(text))))
    found = [
        language
        for language, many in parts.most_common()
        if many >= LEAST_PARTS + (not common_words(language)) and many >= SHARE_OF_PARTS * parts.total()
    ]
    if not whole and found == [ENGLISH]:
        return ""
    return " ".join(list(dict.fromkeys(filter(None, [whole, *found])))[:MOST_LANGUAGES])


def _parts_of(text: str) -> list[str]:
    """Parts of a text from its beginning to its end, all of it where it is short; rows without their columns' names."""
    size = min(max(LEAST_PART, len(text) // PARTS), MOST_PART)
    many = min(PARTS, len(text) // size) or 1
    starts = [number * (len(text) - size) // max(1, many - 1) for number in range(many)]
    return [_NAMED.sub("", text[max(0, start) : max(0, start) + size]) for start in starts]


def _told(text: str) -> str:
    """The language of a text; "" where it is not sure."""
    words = list(surfaces(text))
    is_long = sum(map(str.isalpha, text)) >= FEWEST_LETTERS and len(set(words)) >= FEWEST_WORDS
    if len(set(words)) < FEWEST_OF_SHORT:
        return ""
    if sum(map(common_words(ENGLISH).__contains__, words)) >= PLAINLY_ENGLISH * len(words):
        return ENGLISH
    found = _likeliest(text, NAMES)
    common = common_words(found)
    share = COMMON_SHARE if is_long else COMMON_SHARE_OF_SHORT
    if not common:
        return found if is_long else ""
    return found if sum(map(common.__contains__, words)) >= share * len(words) else ""


def part_language(text: str, languages: str) -> str:
    """The language of a part of a document, one of the document's; the first of them where it is not sure."""
    among = languages.split() or [ENGLISH]
    return (len(among) > 1 and _likeliest(text, among)) or among[0]


def question_language(question: str, among: Collection[str]) -> str:
    """The language of a question, one of `among` or English; English where it is not sure."""
    languages = {ENGLISH, *among} - {""}
    return _likeliest(question, languages) or ENGLISH if len(languages) > 1 else ENGLISH


def is_english(text: str, language: str) -> bool:
    """Whether a text is in English for sure, rather than in another language."""
    return _likeliest(text, (ENGLISH, language)) == ENGLISH


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
