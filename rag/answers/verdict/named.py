"""What a question names exactly (a code, a name, a year, a month), which its passages have or lack."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from langchain_core.documents import Document

from rag.answers.quotes.asked_for import codes_of, has_code
from rag.answers.tables.values import MONTHS, MONTHS_ALONE
from rag.library.splitter import names_of_source
from rag.text.headings import titled
from rag.text.language import fold

_YEAR = re.compile(r"\b(?:1[89]|20)\d\d\b(?![.,]\d|\s?(?:%|€|\$|£|kg|km|m\b|g\b|ml\b|mm\b|cm\b))")
_NAME = re.compile(r"(?<=[^\W\d_] )(?:[A-Z][a-zà-ÿ]+ )+(?:[A-Z]\. )?([A-Z][a-zà-ÿ]{2,})(?![\w-])")
"""The last word of a name of several, not at the beginning: "Tobias Reed"."""
_WORD = re.compile(r"[^\W\d_]+")
_BETWEEN = r"\s?(?:-|–|to|until|till|through|and|bis|und|à|au|et|a|y)\s?"
_YEARS = re.compile(rf"\b((?:1[89]|20)\d\d){_BETWEEN}((?:1[89]|20)\d\d)\b")
_MONTH_WORD = r"([^\W\d_]{3,12})"
_FROM_TO = re.compile(
    rf"{_MONTH_WORD}\.?(?: \d{{1,2}})?{_BETWEEN}(?:the (?:end|beginning|middle) of )?(?:\d{{1,2}}\.? )?{_MONTH_WORD}"
)
_WHOLE_YEAR = re.compile(
    r"\b(?:all year|year[- ]round|every month|monthly|ganzj[äa]hrig|toute l[’']année|todo el año)\b", re.I
)
_NUMERIC_DATE = re.compile(
    r"\b(?:\d{4}-(\d\d)\b|\d{1,2}[./](\d{1,2})[./]\d{2,4}|(\d{1,2})[./]\d{2,4}\b|\d{1,2}\.(\d{1,2})\.)"
)
_OF_TIME = re.compile(r"\b(?:in|of|from|for|since|during|year|by|im|jahr|von|aus|en|de|año)\s(?:\w+\s)?$", re.I)
"""What stands before a year; another number of four digits may count anything."""


def lacks_what_is_named(question: str, passages: Sequence[Document]) -> bool:
    """Whether a question names a code, somebody, a year or a month that no passage has, nor a heading or title.

    They are about another one: the CX-220 in place of the CX-400, the turnover of 2024 in place of that of 2021.
    """
    written = "\n".join(f"{names_of_source(each)}\n{titled(each)}\n{each.page_content}" for each in passages)
    text = unicodedata.normalize("NFKC", written)
    told = text.casefold()
    if any(name.casefold() not in told for name in _NAME.findall(question)):
        return True
    if (codes := codes_of(question)) and not has_code(codes, told):
        return True
    spans = [(int(one), int(two)) for one, two in _YEARS.findall(text)]
    years = (found for found in _YEAR.finditer(question) if _OF_TIME.search(question[: found.start()]))
    for year in (found[0] for found in years):
        is_told = year in text or re.search(rf"(?:[’'/.]|\bFY ?){year[2:]}\b", text)
        if not is_told and not any(one <= int(year) <= two for one, two in spans):
            return True
    asked = {MONTHS[word] for word in map(fold, _WORD.findall(question)) if word in MONTHS_ALONE}
    return bool(asked) and asked.isdisjoint(_months(text)) and not _spans_months(text)


def _months(text: str) -> set[int]:
    """The months that a text has by their names, or in dates of digits, whichever of two numbers the month is."""
    named = {MONTHS[word] for word in map(fold, _WORD.findall(text)) if word in MONTHS}
    return named | {int(part) for found in _NUMERIC_DATE.findall(text) for part in found if part}


def _spans_months(text: str) -> bool:
    """Whether a text tells of all months, or of those between two: "open from April to October"."""
    pairs = _FROM_TO.findall(text)
    return _WHOLE_YEAR.search(text) is not None or any(
        fold(one) in MONTHS and fold(two) in MONTHS for one, two in pairs
    )
