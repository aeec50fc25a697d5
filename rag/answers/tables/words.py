"""A question as tokens, and what its words ask for: a count, a sum, all of something (`rag/questions.yaml`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal

import yaml  # type: ignore[import-untyped]

from rag.answers.tables.values import MONTHS, MONTHS_ALONE, When, read_date, read_number
from rag.text.language import fold

WORDS_FILE = Path(__file__).parents[2] / "questions.yaml"
LONGEST_PHRASE = 8
"""Tokens of the longest phrase that is looked for."""

_MONTH_NAME = r"[^\W\d_]{3,10}"
_DATE = (
    rf"\d{{4}}-\d{{1,2}}(?:-\d{{1,2}})?|\d{{4}}年\d{{1,2}}月(?:\d{{1,2}}日)?|\d{{1,2}}[./]\d{{1,2}}[./]\d{{4}}"
    rf"|\d{{1,2}}(?:\.|st|nd|rd|th|er)?[ -](?:de )?{_MONTH_NAME}\.?[ -](?:de )?\d{{4}}"
    rf"|{_MONTH_NAME}\.? \d{{1,2}}(?:st|nd|rd|th)?,? \d{{4}}|{_MONTH_NAME}(?: de| of)? \d{{4}}"
)
_CJK = r"[\u3040-\u30ff\u3400-\u9fff]"
_TOKEN = re.compile(
    rf"(?P<date>{_DATE})|(?P<number>\d[\d.,]*\d|\d)|(?P<cjk>{_CJK})|(?P<word>(?:(?!{_CJK})[^\W\d_])+)", re.I
)
_MONTH_YEAR = re.compile(r"([^\W\d_]+)\.?(?: de| of)? (\d{4})|(\d{4})年(\d{1,2})月")

Kind = Literal[
    "count", "sum", "average", "maximum", "minimum", "list", "distinct", "rows", "table", "per",
    "gt", "ge", "lt", "le", "between", "not", "stop", "who", "month", "year", "yes", "no",
]  # fmt: skip


@dataclass(frozen=True)
class Token:
    """A word, a sign of Chinese or Japanese, a number or a date of a question."""

    text: str
    folded: str
    number: Decimal | None = None
    when: When | None = None


_POSSESSIVE = re.compile(r"(?<=[^\W\d_]{2})['’]s\b")


def tokenize_question(text: str) -> list[Token]:
    """The tokens of a question, or of a name or a value that it may have; signs between them are none.

    Nor is the ending of "Biden's".
    """
    return list(_tokens(_POSSESSIVE.sub("", text)))


def _tokens(text: str) -> Iterator[Token]:
    at = 0
    while found := _TOKEN.search(text, at):
        at = found.end()
        if found["date"]:
            when = _when(found[0])
            if when is None:  # "and 2021", "Ulm 2021": a word and a number
                word = re.match(rf"{_CJK}|(?:(?!{_CJK})[^\W\d_])+|\d+", found[0])
                assert word
                at = found.start() + word.end()
                digits = word[0].isdigit()
                yield Token(word[0], fold(word[0]), read_number(word[0]) if digits else None)
            else:
                yield Token(found[0], fold(found[0]), when=when)
        elif found["number"]:
            year = re.fullmatch(r"(?:1[5-9]|20)\d\d", found[0])
            yield Token(found[0], found[0], _number(found[0]), (int(found[0]), None, None) if year else None)
        else:
            name = fold(found[0])
            yield Token(found[0], name, when=(0, MONTHS[name], None) if name in MONTHS_ALONE else None)


def _number(text: str) -> Decimal | None:
    """A number as people type it: 1,000 and 1.000 are a thousand, 1.5 and 1,5 one and a half."""
    mark = "," if re.search(r",\d{1,2}$|\.\d{3},", text) or re.fullmatch(r"\d{1,3}(?:\.\d{3})+", text) else "."
    return read_number(text, mark)


def _when(text: str) -> When | None:
    if found := _MONTH_YEAR.fullmatch(text):
        if found[1]:
            month = MONTHS.get(fold(found[1]))
            return (int(found[2]), month, None) if month else None
        return int(found[3]), int(found[4]), None
    return read_date(text)


Phrases = dict[tuple[str, ...], set[str]]


@cache
def phrases() -> dict[str, Phrases]:
    """For each language: what a phrase of tokens may mean, one or more of `Kind`."""
    found: dict[str, Phrases] = {}
    for language, kinds in _file().items():
        mine = found.setdefault(language, {})
        for kind, texts in kinds.items():
            for text in texts if isinstance(texts, list) else ():
                mine.setdefault(key_of(text), set()).add(kind)
    return found


@cache
def number_words() -> dict[str, dict[str, int]]:
    """For each language: its words for small numbers."""
    return {language: kinds.get("numbers", {}) for language, kinds in _file().items()}


@lru_cache(50_000)
def key_of(text: str) -> tuple[str, ...]:
    """A text as the tokens that are compared."""
    return tuple(token.folded for token in tokenize_question(text))


def key_of_column(name: str) -> tuple[str, ...]:
    """The same of a column's name, whose words "_" may part."""
    return key_of(name.replace("_", " "))


def spans_of(key: tuple[str, ...]) -> set[tuple[str, ...]]:
    """All parts of a question that can be a phrase."""
    return {key[start : start + length] for start in range(len(key)) for length in range(1, LONGEST_PHRASE)}


@cache
def sayings() -> dict[str, dict[str, str]]:
    """For each language: the sentences of a counted answer, with fields to fill in."""
    return {language: kinds["say"] for language, kinds in _file().items()}


@cache
def _file() -> dict[str, dict[str, Any]]:
    return read_yaml(WORDS_FILE)


def read_yaml(path: Path) -> dict[str, dict[str, Any]]:
    """A file of words that comes with the app, by libyaml where PyYAML has it: ten times as fast."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found: dict[str, dict[str, Any]] = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)
    return found
