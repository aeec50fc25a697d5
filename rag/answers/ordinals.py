"""Parts that a question counts, as documents number them: "the third day" -> "day 3"."""

from __future__ import annotations

import re

_ORDINALS = {
    "en": ("first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth", ""),
    "de": ("erst zweit dritt viert fünft sechst siebt acht neunt zehnt elft zwölft", "e[nrms]?"),
    "fr": (
        "premi deuxième troisième quatrième cinquième sixième septième huitième neuvième dixième onzième douzième",
        "(?:er|ère)?",
    ),
    "es": ("primer segund tercer cuart quint sext séptim octav noven décim undécim duodécim", "[oa]?"),
}
"""The first twelve, and how they end."""
_PARTS = (
    "day|week|month|lesson|session|step|chapter|part|section|article|module|unit|stage|phase|round|floor|tag|woche|monat|lektion"
    "|sitzung|schritt|kapitel|teil|abschnitt|artikel|modul|stufe|runde|jour|semaine|mois|leçon|séance|étape|chapitre|partie"
    "|étage|día|semana|mes|lección|sesión|paso|capítulo|parte|artículo|módulo|unidad|etapa"
)
_COUNTED = re.compile(
    "|".join(
        rf"\b(?P<{language}>{'|'.join(words.split())}){ending}\s+(?P<{language}_part>{_PARTS})\b"
        for language, (words, ending) in _ORDINALS.items()
    ),
    re.I,
)


def with_numbers(question: str) -> str:
    """The question with its number behind each part that it counts: "on the third day (day 3)"."""
    return _COUNTED.sub(_with_number, question)


def _with_number(found: re.Match[str]) -> str:
    language = next(each for each in _ORDINALS if found[each])
    number = _ORDINALS[language][0].split().index(found[language].casefold()) + 1
    return f"{found[0]} ({found[f'{language}_part']} {number})"


def ordinals_in(question: str) -> str:
    """The words of a question by which it counts a part, between blanks."""
    return " ".join(found[0].rpartition(" ")[0] for found in _COUNTED.finditer(question))
