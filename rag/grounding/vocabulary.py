"""The word lists of `rag/wording.json`: numbers, negations, antonyms and the like."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rag.text.language import FUNCTION_WORDS, fold

_LISTS: dict[str, Any] = json.loads((Path(__file__).parent.parent / "wording.json").read_text(encoding="utf-8"))


def _words(name: str) -> frozenset[str]:
    return frozenset(" ".join(_LISTS[name]).split())


NUMBERS: dict[str, float] = {fold(word): float(value) for word, value in _LISTS["numbers"].items()}
MAGNITUDES: dict[str, float] = {word: float(value) for word, value in _LISTS["magnitudes"].items()}
ORDINALS: dict[str, int] = _LISTS["ordinals"]
CURRENCIES: dict[str, str] = _LISTS["currencies"]
"""Sign of the currency, for each sign and name."""
PERCENT = _words("percent")
MEASURE_STEMS = _words("measure_stems")
"""Stems of units: "5 km" and "5 miles" differ, although both have the number 5."""
NEGATIONS = _words("negations")
IMPLIED_NEGATIONS = _words("implied_negations")
"""Words that can match the other sentence's negation, such as "lacks"; they need no match themselves."""
CJK_NEGATIONS = frozenset("不没無无未非")
STOP_WORDS = FUNCTION_WORDS | _words("stop_words")
"""Words that say nothing about a sentence's subject."""
COPULAS = _words("copulas")
PARAPHRASES: list[tuple[str, str]] = _LISTS["paraphrases"]
SYNONYMS: list[tuple[str, str]] = _LISTS["synonyms"]
"""Pairs of the same meaning. Texts of different pairs have different meanings."""

ANTONYMS: dict[str, frozenset[str]] = {}
"""The words that contradict a word."""
SAME_SIDE: dict[str, frozenset[str]] = {}
"""For each word of `ANTONYMS`: the word and its near synonyms."""


def _relate(words: Iterable[str], same_side: frozenset[str], against: frozenset[str]) -> None:
    """Add to `ANTONYMS` and `SAME_SIDE` of each of `words`."""
    for word in words:
        ANTONYMS[word] = ANTONYMS.get(word, frozenset()) | against
        SAME_SIDE[word] = SAME_SIDE.get(word, frozenset()) | same_side


for _pair in _LISTS["antonyms"]:
    _one, _other = (frozenset(side.split()) for side in _pair)
    _relate(_one, _one, _other)
    _relate(_other, _other, _one)
for _line in _LISTS["exclusive"]:  # Monday is not Friday, however near their vectors are
    _group = frozenset(_line.split())
    for _word in _group:
        _forms = {_word, _word + "s", _word.removesuffix("s"), _word.removesuffix("ies") + "y"}
        _relate([_word], _group & _forms, _group - _forms)

EVERY = frozenset(["every", "cada"])
"""What makes the number behind it a rate: "every 10 minutes". German "alle" and French "tous les" are not always so."""
_RATES = """
each per once twice times interval intervals between frequency hourly daily nightly weekly monthly quarterly yearly
annually regularly alle jede jedem jeden jeder jedes chaque pro zwischen abstand stundlich taglich wochentlich
monatlich jahrlich tous toutes par entre intervalle intervalles por intervalo intervalos vez veces
"""
RATES = EVERY | frozenset(_RATES.split())
"""Words of a text that tells how often something is."""
