"""Columns of a statistic in groups whose long names differ in one part: each group becomes a table of its own.

"Price index ; All goods ; Sydney" and 26 more such names would make a row so long that a part of it does not say which
row it is of, and what all names have in common would be most of each part.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rag.sources.tables import SEPARATOR

LONGEST_NAMES = 500
"""Characters of all names of a table that stays as it is."""
FEWEST_COLUMNS = 3
"""Columns of each group."""
LEAST_SHARED = 20
"""Characters that the names of a group have in common."""
MOST_LABELS = 3
"""Columns at the left, before all groups, that say what a row is about."""
_BETWEEN = re.compile(r"\s*[;|>]+\s*|:\s+|,\s+|\s+[-–—/]\s+")
"""What parts a name: "Index numbers ; All goods ; Sydney ;"."""


@dataclass(frozen=True)
class ColumnGroup:
    """Columns whose names have the parts in `shared`; `names` has the part that is each column's own."""

    shared: str
    names: dict[int, str]

    def line(self, label: str, cells: str) -> str:
        """The cells of a row in these columns, after what labels the row and the group's name."""
        return SEPARATOR.join(filter(None, (label, self.shared, cells)))


def column_groups(texts: Mapping[int, Sequence[str]]) -> list[ColumnGroup]:
    """The groups of a table's columns, from left to right, without those that label its rows.

    Args:
        texts: the texts in the header above each column, from top to bottom.

    Returns:
        Nothing where some column belongs to no group, or the names are short.
    """
    if sum(len(text) for column in texts.values() for text in column) <= LONGEST_NAMES:
        return []
    parts = {
        column: tuple(filter(None, (part.strip() for text in texts[column] for part in _BETWEEN.split(text))))
        for column in sorted(texts)
    }
    groups: list[ColumnGroup] = []
    left = list(parts)
    while left:
        own = _place_of_difference(parts[left[0]], parts[left[1]]) if len(left) > 1 else None
        run = left[:1]
        while own is not None and len(run) < len(left):
            following = left[len(run)]
            if _place_of_difference(parts[left[0]], parts[following]) != own:
                break
            run.append(following)
        shared = [part for place, part in enumerate(parts[left[0]]) if place != own]
        names = {column: parts[column][own or 0] for column in run if parts[column]}
        is_group = len(set(names.values())) == len(run) >= FEWEST_COLUMNS and sum(map(len, shared)) >= LEAST_SHARED
        if is_group:
            groups.append(ColumnGroup(", ".join(dict.fromkeys(shared)), names))
        elif groups or len(parts) - len(left) >= MOST_LABELS:
            return []
        left = left[len(run) if is_group else 1 :]
    return groups


def _place_of_difference(one: Sequence[str], other: Sequence[str]) -> int | None:
    """The place of the one part in which two names differ; None where they do in more, or in none."""
    places = [place for place, (mine, yours) in enumerate(zip(one, other, strict=False)) if mine != yours]
    return places[0] if len(one) == len(other) and len(places) == 1 else None
