"""Forms in tables: two or three labels a row, each with its value beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

LONGEST_LABEL = 40
_LABELS = """
name surname first last given family date time day from to until start end begin due phone telephone tel mobile fax
mail email address street town city place postcode zip country department dept position manager owner budget status
born birth signature reason number no nr id staff customer client order invoice reference ref project title author
version subject duration location room approved by contact company supplier account amount total currency gender
nationality age vorname nachname familienname datum uhrzeit von bis beginn ende telefon handy adresse anschrift
strasse straße ort plz land abteilung stelle unterschrift grund nummer kunde kundennummer bestellung rechnung projekt
titel betreff dauer raum firma konto betrag geburtsdatum geboren personalnummer nom prénom prenom téléphone courriel
ville pays fonction motif du au début fin société montant nombre apellido apellidos fecha dirección teléfono correo
ciudad país departamento motivo desde hasta empresa cliente
"""
_KNOWN = frozenset(_LABELS.split())
_WORD = re.compile(r"[^\W\d_]+")


def is_form(rows: Sequence[Sequence[str]]) -> bool:
    """Whether each row is two or three labels with their values.

    Every other cell is a label, all of these differ, and most of each column are what forms usually ask for, or all
    end in a colon.
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
    columns = [[row[at] for row in labels if at < len(row) and row[at]] for at in range(width // 2)]
    return all(2 * sum(map(is_usual, column)) > len(column) > 0 for column in columns)


def form_lines(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A line for each label of a form with its value; a label without one is left out."""
    for row in rows:
        for at in range(0, len(row) - 1, 2):
            label, value = row[at].rstrip(": "), row[at + 1]
            if label and value and not _is_wide(row, at):
                yield f"{label}: {value}"


def _is_wide(row: Sequence[str], at: int) -> bool:
    """Whether the value of the label before this one goes on here, in a cell merged across."""
    return at > 0 and bool(row[at]) and row[at] == row[at - 1]


def _may_be_label(text: str) -> bool:
    is_short = len(text) <= LONGEST_LABEL and not any(map(str.isdigit, text))
    return is_short and (not text.endswith((".", "!", "?")) or is_usual(text))


def is_usual(label: str) -> bool:
    """Whether a label is one that forms usually have."""
    return any(word in _KNOWN for word in _WORD.findall(label.casefold()))


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
