"""What is asked of a table: rows under conditions, and what is done with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from rag.answers.tables.parsed import Table
from rag.answers.tables.values import When, folded

Sign = Literal["=", "≠", ">", "≥", "<", "≤"]
PartOfDates = Literal["", "month", "year"]
Operation = Literal["count", "sum", "average", "maximum", "minimum", "list", "distinct", "value"]
OPERATIONS: tuple[Operation, ...] = ("count", "sum", "average", "maximum", "minimum", "list", "distinct")


@dataclass(frozen=True)
class Condition:
    """What a column has to be: one of `values` (folded), or on one side of a number or a date."""

    column: str
    sign: Sign
    values: tuple[str, ...] = ()
    number: Decimal | None = None
    when: When | None = None


@dataclass(frozen=True)
class Query:
    """What is asked of a table. `column` is what is summed, compared or listed; None: whole rows.

    `value` asks for the cell of `column` in the only row that meets the conditions. `per` is the column that rows are
    grouped by, and `each` what of its dates; `best` asks for the group with the highest or lowest count, sum or
    average. `most` is how many rows or groups a superlative asks for: the three cheapest.
    """

    operation: Operation
    column: str | None = None
    conditions: tuple[Condition, ...] = ()
    per: str | None = None
    each: PartOfDates = ""
    best: Literal["", "maximum", "minimum"] = ""
    most: int = 1
    named: int = 0
    """Words of the longest name that the question calls the table by; -1: what it calls the rows is not known."""
    language: str = "en"


def matches(table: Table, conditions: Sequence[Condition]) -> list[int]:
    """The numbers of the rows, from 0, that meet all conditions."""
    found: list[int] = list(range(len(table.rows)))
    for condition in conditions:
        values = table.values[condition.column]
        if condition.when is not None:
            dates = values.dates or []
            when = condition.when
            found = [
                row for row in found if (day := dates[row]) is not None and _meets(*_cut(day, when), condition.sign)
            ]
        elif condition.number is not None:
            numbers = values.numbers or []
            wanted = condition.number
            found = [row for row in found if (has := numbers[row]) is not None and _meets(has, wanted, condition.sign)]
        else:
            kept = set(condition.values)
            is_in = condition.sign == "="
            found = [row for row in found if (folded(values.texts[row]) in kept) == is_in]
    return found


def _cut(day: When, when: When) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Two dates, both as exact as the less exact one: a day in 2021 is in 2021."""
    if not when[0]:
        return (int(day[1] or 0),), (int(when[1] or 0),)
    length = min(sum(part is not None for part in day), sum(part is not None for part in when))
    return tuple(int(part or 0) for part in day[:length]), tuple(int(part or 0) for part in when[:length])


def _meets(has: object, wanted: object, sign: Sign) -> bool:
    one, two = has, wanted
    if sign in ("=", "≠"):
        return (one == two) == (sign == "=")
    less, equal = one < two, one == two  # type: ignore[operator]
    return bool({">": not less and not equal, "≥": not less, "<": less, "≤": less or equal}[sign])
