"""Forms in tables: two or three labels a row, each with its value beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

LONGEST_LABEL = 40
_USUAL = 0.65
"""Share of the labels below the first row that forms usually have."""
_LABELS = """
name surname first last given family date time day from to until start end begin due phone telephone tel mobile fax
mail email address street town city place postcode zip country department dept position manager owner budget status
born birth signature reason number no nr id staff customer client order invoice reference ref project title author
version subject duration location room approved by contact company supplier account amount total currency gender
nationality age vorname nachname familienname datum uhrzeit von bis beginn ende telefon handy adresse anschrift
strasse straße ort plz land abteilung stelle unterschrift grund nummer kunde kundennummer bestellung rechnung projekt
titel betreff dauer raum firma konto betrag geburtsdatum geboren personalnummer nom prénom prenom téléphone courriel
ville pays fonction motif du au début fin société montant nombre apellido apellidos fecha dirección teléfono correo
ciudad país departamento motivo desde hasta empresa cliente of the ward e de
"""
_KNOWN = frozenset(_LABELS.split())
_WORD = re.compile(r"[^\W\d_]+")


def is_form(rows: Sequence[Sequence[str]]) -> bool:
    """Whether each row is two or three labels with their values.

    Every other cell is a label, and all of these differ. All end in a colon; or those of the first row, and most of
    the others, are what forms usually ask for, and no value of the first row is.
    """
    width = max(map(len, rows), default=0)
    if width not in (4, 6) or not 2 <= len(rows) <= 40:
        return False
    labels = [[row[at] for at in range(0, len(row), 2) if not _is_wide(row, at)] for row in rows]
    said = [label.rstrip(": ") for row in labels for label in row if label]
    if len(set(said)) < len(said) or not all(map(_may_be_label, said)) or not all(row[0] for row in rows):
        return False
    values = [row[at] for row in rows for at in range(1, len(row), 2) if row[at]]
    if not values or any(value in said for value in values):
        return False
    if all(label.endswith((":", "：")) for row in labels for label in row if label):
        return True
    first = [label for label in labels[0] if label]
    below = [label for row in labels[1:] for label in row if label]
    is_usual_first = len(first) > 1 and all(map(is_usual, first)) and not any(map(is_usual, rows[0][1::2]))
    return is_usual_first and sum(map(is_usual, below)) >= _USUAL * len(below)


def form_lines(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A line for each label of a form with its value; what has no label, or no value, stands alone."""
    for row in rows:
        for at in range(0, len(row), 2):
            label, value = ("" if _is_wide(row, at) else row[at].rstrip(": ")), "".join(row[at + 1 : at + 2])
            if at and value and value == row[at] == row[at - 1]:
                continue  # of the value before, merged across
            if label or value:
                yield ": ".join(filter(None, (label, value)))


def _is_wide(row: Sequence[str], at: int) -> bool:
    """Whether the value of the label before this one goes on here, in a cell merged across."""
    return at > 0 and bool(row[at]) and row[at] == row[at - 1]


def _may_be_label(text: str) -> bool:
    is_short = len(text) <= LONGEST_LABEL and not any(map(str.isdigit, text))
    return is_short and (not text.endswith((".", "!", "?")) or is_usual(text))


def is_usual(label: str) -> bool:
    """Whether a label is one that forms usually have: each of its words is in such labels."""
    words = _WORD.findall(label.casefold())
    return bool(words) and all(word in _KNOWN for word in words)


def are_labelled(rows: Sequence[Sequence[str]]) -> bool:
    """Whether rows of two cells are labels beside their values, and the first one names no columns."""
    if len(rows) < 3 or any(len(row) != 2 or not row[0] for row in rows) or is_usual(rows[0][1]):
        return False
    labels = [row[0] for row in rows]
    return (
        len(set(labels)) == len(labels)
        and all(map(_may_be_label, labels))
        and 2 * sum(map(is_usual, labels)) > len(rows)
    )
