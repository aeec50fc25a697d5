"""Superscripts become raised characters where they would change the number before them: 10³ and not 103."""

from __future__ import annotations

import re

_RAISED = str.maketrans("0123456789+-−–n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁻ⁿ")
_NUMBER = re.compile(r"\s*(?:[+\-−–]?\d{1,6}|\d{0,6}[+\-−–]|n)\s*")


def raised(text: str) -> str:
    """The text of a superscript: a number or sign in raised characters, other text as it is ("21st")."""
    return text.translate(_RAISED) if is_number(text) else text


def is_number(text: str) -> bool:
    """Whether a superscript is a number or a sign."""
    return bool(_NUMBER.fullmatch(text))
