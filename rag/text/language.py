"""Words of a text, as they are searched for and compared: folded, stemmed, and how rare they are in English."""

from __future__ import annotations

import math
import re
import threading
import unicodedata
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache

import Stemmer

RAREST = 1000
"""A word that English texts have no oftener than this (of 1.6 billion words) counts as a name."""

WORD = re.compile(r"\w+(?:['’]\w+)*")
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")
"""Scripts that do not part words: their characters are indexed in pairs."""
_BRITISH_IS = re.compile(r"(?<=\w{3})is(?=(?:e|ed|es|er|ers|ing|ation|ations)$)")
_BRITISH_OUR = re.compile(r"(?<=\w{3})our(?=(?:s|ed|ing|ful|al|hood|able|ite|ites)?$)")
_FUNCTION_WORDS = """
a about all also am an and any are as at be because been before being between both but by can could did do does
doing done for from get gets give given had has have having he her here him his how i if in into is it its just
let me might more most much must my no nor not of on one or other our out over own say says shall she should so
some such tell than that the their them then there these they this those through to too under until up us very
was we were what when where which while who whom whose why will with within without would you your please
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
"""English words of a question that say nothing of its subject; in a small library they would count as rare ones."""


def surfaces(text: str) -> Iterator[str]:
    """The words of a text, folded but not stemmed: names of code also by their parts, unspaced scripts in pairs."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    for word in WORD.findall(text):
        yield from _surfaces_of(word)


@lru_cache(maxsize=100_000)
def _surfaces_of(word: str) -> tuple[str, ...]:
    if not word.isascii() and _UNSPACED.search(word):
        pairs = [run[start : start + 2] for run in _UNSPACED.findall(word) for start in range(max(1, len(run) - 1))]
        return (*pairs, *(fold(rest) for rest in _UNSPACED.split(word) if rest))
    parts: list[str] = []
    if "_" in word or not (word.islower() or word.istitle() or word.isupper() or word.isdigit()):
        parts = _PARTS.findall(word)
    return (fold(word), *(part.lower() for part in parts if len(part) > 1 < len(parts)))


def fold(word: str) -> str:
    """Without case, accents and a possessive's ending."""
    word = word.casefold().replace("’", "'").removesuffix("'s").replace("'", "")
    if not word.isascii():
        word = "".join(each for each in unicodedata.normalize("NFD", word) if not unicodedata.combining(each))
    return word


_stemmers = threading.local()


@lru_cache(maxsize=200_000)
def stem(word: str) -> str:
    """The word without its English ending, in American spelling: `planning` and `plans` are `plan`."""
    word = _BRITISH_OUR.sub(
        "or", _BRITISH_IS.sub("iz", word)
    )  # the same for any word, so that a wrong one does no harm
    if not hasattr(_stemmers, "english"):
        _stemmers.english = Stemmer.Stemmer("english", 0)  # its objects are not for two threads at once
    stemmed: str = _stemmers.english.stemWord(word)
    return stemmed


@cache
def english_words() -> Mapping[str, int]:
    """Words that are no slips, and how often: who asks for bread in a library without it does not mean `read`."""
    from spellchecker import SpellChecker  # 16 MB in memory

    known: Mapping[str, int] = SpellChecker(language="en").word_frequency.dictionary
    return known


def rarity(word: str) -> float:
    """From 0, the commonest word of English, to 1, a name; for words as `surfaces` gives them."""
    most = _most_often()
    return math.log(most / max(english_words().get(word, 0), RAREST)) / math.log(most / RAREST)


@cache
def _most_often() -> int:
    return max(english_words().values())
