"""Words of a text, as they are searched for and compared: folded, stemmed, and how rare they are in their language."""

from __future__ import annotations

import math
import re
import threading
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Set
from functools import cache, lru_cache
from itertools import chain, repeat
from pathlib import Path

import Stemmer
from stopwordsiso import has_lang, stopwords

ENGLISH = "en"
KEPT_TEXTS = 1024
"""Passages whose stems are kept."""
DICTIONARIES = ("ar", "de", "es", "eu", "fa", "fr", "it", "lv", "nl", "pt", "ru")
"""Languages other than English of which pyspellchecker has words with their frequency."""
COMMON_WORDS = 120
"""The commonest words of a language, which tell nothing of a question's subject."""
_STEMMERS = {
    "ar": "arabic", "ca": "catalan", "da": "danish", "de": "german", "el": "greek", "en": "english", "es": "spanish",
    "et": "estonian", "eu": "basque", "fi": "finnish", "fr": "french", "hi": "hindi", "hu": "hungarian",
    "hy": "armenian", "id": "indonesian", "it": "italian", "lt": "lithuanian", "nl": "dutch", "no": "norwegian",
    "pt": "portuguese",
    "ro": "romanian", "ru": "russian", "sr": "serbian", "sv": "swedish", "ta": "tamil", "tr": "turkish",
}  # fmt: skip
"""Snowball's stemmers; a word of another language is left as it is."""
RAREST = 1000
"""A word that English texts have no oftener than this (of 1.6 billion words) counts as a name; in other languages as
much rarer as their texts are fewer."""

WORD = re.compile(r"\w+(?:['’]\w+)*")
_ELIDED = re.compile(
    r"(?i)\b(?:[cdjlmnst]|qu|lorsqu|puisqu|quoiqu|jusqu|un|all|dall|dell|nell|sull|quell)['’](?=[aeiouyhàâäéèêëîïôöùûüœæ]\w)"
)
"""French and Italian words that lose their vowel before another one's: "l'église", "dell'acqua"."""
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")
"""Scripts that do not part words: their characters are indexed in pairs."""
_JOINED = ("ja", "ko", "th", "zh")
"""Languages that write what others part into words as one: a list of words tells little of them."""
_BRITISH_IS = re.compile(r"(?<=\w{3})is(?=(?:e|ed|es|er|ers|ing|ation|ations)$)")
_BRITISH_OUR = re.compile(r"(?<=\w{3})our(?=(?:s|ed|ing|ful|al|hood|able|ite|ites)?$)")
_FUNCTION_WORDS = """
a about all also am an and any are as at be because been before being between both but by can could did do does
doing done for from get gets give given had has have having he her here him his how i if in into is it its just
let me might more most much must my no nor not of on one or other our out over own say says shall she should so
some such tell than that the their them then there these they this those through to too under until up us very
was we were what when where which while who whom whose why will with within without would you your please
aint arent cannot cant couldnt didnt doesnt dont hadnt hasnt havent im isnt ive mustnt neednt shouldnt theyd theyll
theyre theyve wasnt werent weve wont wouldnt youd youll youre youve
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
"""English words of a question that say nothing of its subject; in a small library they would count as rare ones."""
_ASKS_AMOUNT = re.compile(
    r"\b(?:how (?:long|often|many|much|far)|wie (?:lange?|oft|viele?n?|weit)"
    r"|combien(?: d[e’'])?|quel(?:le)?s?(?: âge)?|cu[aá]nt[oa]s?)\b",
    re.I,
)
"""What asks for an amount and says nothing of whose: an answer to "how long" need not have the word "long"."""


def surfaces(text: str) -> Iterator[str]:
    """The words of a text, folded but not stemmed: names of code also by their parts, unspaced scripts in pairs."""
    for word in _written(text):
        yield from _surfaces_of(word)


def _written(text: str) -> list[str]:
    """The words of a text as they are written, without articles that are joined to them."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    if "'" in text or "’" in text:
        text = _ELIDED.sub(" ", text)
    return WORD.findall(text)


@lru_cache(maxsize=100_000)
def _surfaces_of(word: str) -> tuple[str, ...]:
    if not word.isascii() and _UNSPACED.search(word):
        pairs = [run[start : start + 2] for run in _UNSPACED.findall(word) for start in range(max(1, len(run) - 1))]
        return (*pairs, *(fold(rest) for rest in _UNSPACED.split(word) if rest))
    parts: list[str] = []
    plain = word.replace("'", "").replace("’", "")
    if "_" in word or not (plain.islower() or plain.istitle() or plain.isupper() or plain.isdigit()):
        parts = _PARTS.findall(word)
    return (fold(word), *(part.lower() for part in parts if len(part) > 1 < len(parts)))


def fold(word: str) -> str:
    """Without case, accents and a possessive's ending."""
    word = word.casefold().replace("’", "'").removesuffix("'s").replace("'", "")
    if not word.isascii():
        word = "".join(each for each in unicodedata.normalize("NFD", word) if not unicodedata.combining(each))
    return word


@cache
def _irregular() -> Mapping[str, str]:
    """English forms that no ending tells of, such as `brought` and `children`, and the words whose they are."""
    lines = (Path(__file__).parent.parent / "irregular.txt").read_text(encoding="utf-8").splitlines()
    words = [line.split() for line in lines if not line.startswith("#")]
    return {form: word for word, *forms in filter(None, words) for form in forms}


_stemmers = threading.local()


@lru_cache(maxsize=200_000)
def stem(word: str, language: str = ENGLISH) -> str:
    """The word without its ending, English in American spelling: `planning` and `plans` are `plan`, `paid` is `pay`."""
    if language not in _STEMMERS:
        return word
    if language == ENGLISH:
        word = _irregular().get(word, word)
        word = _BRITISH_IS.sub("iz", word)
        word = _BRITISH_OUR.sub("or", word)  # the same for any word, so that a wrong one does no harm
    stemmers: dict[str, Stemmer.Stemmer] = _stemmers.__dict__  # its objects are not for two threads at once
    if language not in stemmers:
        stemmers[language] = Stemmer.Stemmer(_STEMMERS[language], 0)
    stemmed: str = stemmers[language].stemWord(word)
    return stemmed


def word_weights(question: str, language: str = ENGLISH) -> dict[str, float]:
    """The rarity, 0 to 1, of each stem of a question that says something of its subject; of each, where none does.

    The parts of a name of code share one name's weight with it: "MaxRetentionSec" does not count four times.
    """
    asked, common = list(surfaces(_ASKS_AMOUNT.sub(" ", question))) or list(surfaces(question)), common_words(language)
    shares = _shares_of_parts(question)
    weights: dict[str, float] = {}
    for word in [word for word in asked if word not in common] or asked:
        root = stem(word, language)
        weights[root] = max(weights.get(root, 0.0), shares.get(word, 1.0) * rarity(word, language))
    return weights


def _shares_of_parts(question: str) -> dict[str, float]:
    """The parts of names of code in a question that are no words of it themselves, each with its share of a name."""
    names = [_surfaces_of(word) for word in _written(question) if not _UNSPACED.search(word)]
    wholes = {whole for whole, *_ in names}
    return {part: 1 / len(parts) for _, *parts in names for part in parts if part not in wholes}


@lru_cache(maxsize=KEPT_TEXTS)
def stems(text: str, language: str = ENGLISH) -> frozenset[str]:
    """The stems of a text; remembered, as a passage is found again and again."""
    return frozenset(chain.from_iterable(map(_stems_of, set(_written(text)), repeat(language))))


@lru_cache(maxsize=50_000)
def _stems_of(word: str, language: str) -> tuple[str, ...]:
    return tuple(stem(each, language) for each in _surfaces_of(word))


_reading_words = threading.Lock()


def word_frequencies(language: str) -> Mapping[str, int]:
    """Words of a language that are no slips, folded, and how often they are used; none where they are not known."""
    with _reading_words:  # else two first questions would read them twice, .15 s each
        return _read_words(language)


@cache
def _read_words(language: str) -> Mapping[str, int]:
    if language != ENGLISH and language not in DICTIONARIES:
        return {}
    from spellchecker import SpellChecker  # 16 MB in memory for English

    known: Mapping[str, int] = SpellChecker(language=language).word_frequency.dictionary
    if language == ENGLISH:
        return known
    folded: dict[str, int] = defaultdict(int)
    for word, many in known.items():
        folded[fold(word)] += many  # "una" and "uña" are one word here
    return dict(folded)


@cache
def _stem_frequencies(language: str) -> Mapping[str, int]:
    """How often all words of a stem together are used: the word lists have not every form of a word."""
    many: dict[str, int] = defaultdict(int)
    for word, count in word_frequencies(language).items():
        many[stem(word, language)] += count
    return dict(many)


@cache
def common_words(language: str) -> Set[str]:
    """The commonest words of a language, which say nothing of a question's subject; none where they are not known.

    Beside the word list's own these are stop words that it lacks (stopwords-iso), as it has not every form of a verb.
    """
    if language == ENGLISH:
        return FUNCTION_WORDS
    words = word_frequencies(language)
    listed = stopwords(language) if has_lang(language) and language not in _JOINED else ()
    unknown = {folded for word in listed if (folded := fold(word)) not in words}  # "puedo", "voy"
    return unknown.union(sorted(words, key=lambda word: -words[word])[:COMMON_WORDS])


def rarity(word: str, language: str = ENGLISH) -> float:
    """From 0, the commonest word of a language, to 1, a name; for words as `surfaces` gives them.

    In a language whose words are not known, every word is as rare as a name.
    """
    known = word_frequencies(language)
    if not known:
        return 1.0
    most, rarest = _most_often(language), max(1.0, RAREST * _most_often(language) / _most_often(ENGLISH))
    many = known.get(word, 0)
    if not many and language != ENGLISH:
        many = _stem_frequencies(language).get(stem(word, language), 0)
    return max(0.0, math.log(most / max(many, rarest)) / math.log(most / rarest))


@cache
def _most_often(language: str) -> int:
    return max(word_frequencies(language).values())
