"""Sentences that are of the kind that a question asks for: the row that it names, the key, an amount of money.

Embedding models tell "Somewhat masculine: 46%" and "Very masculine: 37%" hardly apart, and an amount from another fact.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from rag.sources.tables import SEPARATOR
from rag.text.language import stems, surfaces, word_weights

NAMED, AMOUNT = 0.3, 0.6
"""What it adds to a sentence's score that the question says the label of its row or has all words of its key, and that
it has an amount where the question asks for money."""
LABELS = 3
"""Cells at a row's beginning that may be its label."""
SHORTEST_LABEL = 4
"""Letters; "no" and "a" are in many questions."""
_KEY = re.compile(r"(?:[-*•]\s+|\w{1,3}[.)]\s+)?(\S.{1,60}?)(?:\*\*)?[:：](?:\*\*)?\s")
_ASKS_MONEY = re.compile(
    r"\b(?:pay|paid|salary|wages?|earns?|costs?|prices?|spen[dt]|fees?|fine|charge[ds]?|how (?:much|expensive)"
    r"(?=.*\b(?:money|costs?|pay|charge|spend)\b)|(?:ver)?dien\w*|gehalt|kostet|kosten|preis\w*|teuer|gebühr\w*"
    r"|combien .*coûte\w*|prix|coûte\w*|salaire|tarif\w*|cuesta\w?|precio\w?|sueldo|salario|dinero)\b",
    re.I,
)
_SIGN = r"[$€£¥]|\b(?:USD|EUR|CHF|GBP|[Ee]uros?|[Dd]ollars?|[Ff]ranken|[Pp]ounds)\b"
_AMOUNT = re.compile(rf"(?:{_SIGN})\s?\d|\d[\d.,' ]*\s?(?:{_SIGN})|(?:{_SIGN})[^|]{{0,20}}:\s*\d")
"""An amount with its currency, which may also stand in the name of its column."""


def asked_for(question: str, language: str) -> Callable[[str], float]:
    """What it adds to the score of a sentence, given as its text, that it has the key or amount asked for."""
    weights = word_weights(question, language).keys()
    asks_money = bool(_ASKS_MONEY.search(question))

    def added(text: str) -> float:
        key = None if SEPARATOR in text else _KEY.match(text)
        amount = AMOUNT if asks_money and _AMOUNT.search(text) else 0.0
        return amount + NAMED * bool(key and weights <= stems(key[1], language))

    return added


def row_asked_for(question: str) -> Callable[[str], float]:
    """What it adds to the score of a row, given as its text, that the question says its label.

    For questions that a row answers best: prose says more of what a question names than the row of that name.
    """
    asked = f" {' '.join(surfaces(question))} "

    def added(text: str) -> float:
        cells = (cell.rpartition(": ")[2] for cell in text.split(SEPARATOR)[:LABELS])
        return NAMED * (SEPARATOR in text and any(_is_said(cell, asked) for cell in cells))

    return added


def _is_said(label: str, asked: str) -> bool:
    """Whether a row's label stands word for word in the question, given as its words between blanks."""
    words = " ".join(surfaces(label))
    return len(words) >= SHORTEST_LABEL and not words.isdecimal() and f" {words} " in asked
