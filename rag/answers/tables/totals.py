"""The rows of a table that sum up others: they are left out where rows are counted and summed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal

from rag.answers.tables.values import Values
from rag.sources.tables import SEPARATOR

MOST_SUMMED = 200_000
"""Rows times rows that may be sums of them, which are looked at."""
LEAST_EXACT = Decimal("0.005")
"""Share of a sum by which it may differ from the rows that it sums up, which are rounded."""
_TOTAL = re.compile(
    r"(?:grand |sub)?totals?|sums?|(?:gesamt|zwischen)?summe|gesamt|insgesamt|gesamtergebnis|totaux|total général"
    r"|sous-total|somme|total general|subtotal|suma|totale|totaal|summa|razem|ogółem|celkem|összesen|yhteensä|toplam"
    r"|итого|всего|合計|小計|總計|合计|总计|小计|总和",
    re.I,
)
_BELOW_ITEMS = re.compile(
    r"(?:net|gross|(?:amount |balance )?due|to pay|vat|(?:sales )?tax|mwst|ust|netto|brutto|zahlbetrag|tva|ht|ttc"
    r"|iva)(?:[\s:]*\(?\d[\d.,]*\s?%?\)?)?",
    re.I,
)
"""What rows below the items of an invoice are called, beside the words for totals."""
_OF_TOTALS = ("tot", "sum", "somme", "gesamt", "计", "总", "計", "razem", "итого", "всего")
"""Parts of all words for totals."""
_MOST_COLUMNS = 0.5
"""Share of the numbers of a row with a word for a total that are sums, at least; a price beside them is none."""
_MAY_BE = re.compile(r"(?:all|alle|overall|everything|together|tous|toutes|todos|todas|tutti)\b.*", re.I)
"""What the last row may be called besides, where its numbers are sums."""
_MEAN = re.compile(
    r"averages?|mean|avg\.?|durchschnitt|mittel(?:wert)?|moyenne|promedio|media|gemiddelde|średnia", re.I
)


def is_plain_row(text: str) -> bool:
    """Whether a text begins with a row of a table that sums up no others."""
    first, is_row, _ = text.partition("\n")[0].partition(SEPARATOR)
    label = first.rpartition(": ")[2].strip(" :*_")
    return bool(is_row) and not _is_total(label)


def find_totals(rows: Sequence[Mapping[str, str]], names: Sequence[str]) -> set[int]:
    """The numbers of the rows that sum up others, or are their mean; `rows` are their cells by column.

    The first cell says so, or another one does and a number is a sum, or all numbers of the last row are. Such a row
    sums up those that have the same first cell, those above it, or all.
    """
    firsts = [next(iter(row.values()), "").strip(" :*_") for row in rows]
    found = {number for number, first in enumerate(firsts) if _TOTAL.fullmatch(first)}
    maybe = {
        number
        for number, row in enumerate(rows)
        if number not in found and any(_says_total(cell, [*names, *row.values()]) for cell in row.values())
    }
    maybe |= {number for number, first in enumerate(firsts) if number and _group_of(first)} - found
    found |= _below_items(rows, names)
    columns = (Values([row.get(name, "") for row in rows]) for name in names)
    numbers = [each.numbers for each in columns if each.numbers and not (each.are_keys or each.years)]
    last = len(rows) - 1
    if last not in found and last > 1:
        plain = sorted({*range(last)} - found)
        may_be = not rows[last].get(names[0]) or _MAY_BE.fullmatch(firsts[last])
        is_mean = _MEAN.fullmatch(firsts[last]) and _are_means(numbers, last, plain)
        if is_mean or (may_be and _are_sums(numbers, last, plain, share=1.0)):
            found.add(last)
    if not maybe or len(maybe) * len(rows) > MOST_SUMMED:
        return found
    for tried in (maybe, set()):  # the others that may be sums are rows if they turn out to be none
        for number in sorted(maybe - found):
            others = found | tried | {number}
            plain = [other for other in range(len(rows)) if other not in others]
            group = [other for other in plain if _is_of(firsts[other], firsts[number])]
            above = [*range(max((other for other in found if other < number), default=-1) + 1, number)]
            runs = [group or plain] + ([above] if _group_of(firsts[number]) else [])
            if any(_are_sums(numbers, number, run, share=_MOST_COLUMNS, alone=run is group) for run in runs):
                found.add(number)
    return found


def _are_sums(
    columns: Sequence[Sequence[Decimal | None]],
    number: int,
    rows: Sequence[int],
    *,
    share: float,
    alone: bool = False,
) -> bool:
    """Whether such a share of a row's numbers are sums of those of other rows, one of them of more than zeros.

    `alone`: of one other row, too, as that is of a group which the row names.
    """
    if len(rows) < 2 and not alone:
        return False
    own = [column for column in columns if column[number] is not None]
    sums = [column for column in own if _is_sum(column, number, rows)]
    return len(sums) >= share * len(own) and any(column[number] for column in sums)


def _are_means(columns: Sequence[Sequence[Decimal | None]], number: int, rows: Sequence[int]) -> bool:
    """Whether all numbers of a row are means of those of other rows, which are rounded."""
    for column in columns:
        value, parts = column[number], [part for row in rows if (part := column[row]) is not None]
        if value is None:
            continue
        if not parts or abs(sum(parts, Decimal()) / len(parts) - value) > max(Decimal(1), abs(value) / 100):
            return False
    return True


def _is_sum(column: Sequence[Decimal | None], number: int, rows: Sequence[int]) -> bool:
    """Whether a row's number is the sum of those of other rows."""
    value, parts = column[number], [part for row in rows if (part := column[row]) is not None]
    return bool(value is not None and parts and abs(sum(parts, Decimal()) - value) <= LEAST_EXACT * abs(value))


def _below_items(rows: Sequence[Mapping[str, str]], names: Sequence[str]) -> set[int]:
    """The rows at the end that have no number where the items above count up, from the first sum or tax on."""
    keys = Values([row.get(names[0], "") for row in rows])
    last = max((number for number, text in enumerate(keys.texts) if text), default=-1)
    items = Values(keys.texts[: last + 1])
    if last < 1 or items.filled <= last or not items.are_keys:
        return set()
    below = range(last + 1, len(rows))
    said = [next(iter(rows[number].values()), "").strip(" :*_") for number in below]
    first = next(
        (at for at, text in zip(below, said, strict=True) if _BELOW_ITEMS.fullmatch(text) or _is_total(text)), None
    )
    return set(range(first, len(rows))) if first is not None else set()


def _is_total(label: str) -> bool:
    return bool(_TOTAL.fullmatch(label) or _group_of(label))


def _says_total(text: str, names: Sequence[str]) -> bool:
    """Whether a cell says that its row is a sum, alone or beside a name: "Total", "Land insgesamt", "Sachsen total"."""
    words = text.casefold()
    if not any(part in words for part in _OF_TOTALS):
        return False
    words = words.strip(" :*_")
    if _TOTAL.fullmatch(words):
        return True
    at = words.find(" ")
    return at > 0 and bool(
        (_TOTAL.fullmatch(words[at + 1 :]) and (words[:at] in map(str.casefold, names)))
        or (_TOTAL.fullmatch(words[:at]) and (words[at + 1 :] in map(str.casefold, names)))
    )


def _is_of(first: str, total: str) -> bool:
    """Whether a row is of the group that another one sums up, by their first cells."""
    return first == total or _begins(total, first)


def _begins(total: str, other: str) -> bool:
    """Whether a row is of the group that another one sums up: "Fruits Apple" or "Fruits", and "Fruits Total"."""
    group = _group_of(total)
    return bool(group) and (other == group or other.startswith(f"{group} "))


def _group_of(total: str) -> str:
    """The group that a row sums up by its first cell, as "Fruits Total" and "Total Fruits" do; "" if it says none."""
    for said, group in (total.rpartition(" ")[::-2], total.partition(" ")[::2]):
        if _TOTAL.fullmatch(said):
            return group
    return ""
