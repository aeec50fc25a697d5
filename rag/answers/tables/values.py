"""The values of a table's column as numbers, dates and words that can be compared."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import cached_property
from itertools import pairwise

from rag.text.language import fold

LEAST_SHARE = 0.9
"""Share of a column's values that are numbers (or dates) from which on it is a column of numbers (or dates)."""
MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january jan januar janner janvier janv enero ene",
            "february feb februar fevrier fevr febrero",
            "march mar marz mars marzo",
            "april apr avril avr abril abr",
            "may mai mayo",
            "june jun juni juin junio",
            "july jul juli juillet juil julio",
            "august aug aout agosto ago",
            "september sept sep septembre septiembre",
            "october oct oktober okt octobre octubre",
            "november nov novembre noviembre",
            "december dec dezember dez decembre diciembre dic",
        ),
        start=1,
    )
    for name in names.split()
}
"""Months by their names, folded, in English, German, French and Spanish."""
MONTHS_ALONE = frozenset(name for name in MONTHS if len(name) > 4) | {"june", "july", "juni", "juli", "juin", "marz"}
"""Those that mean a month without a year beside them, and nothing else."""
_NUMBER = re.compile(
    r"(?P<open>\()?(?P<sign>[-−+])?\s*(?:[^\w\s.,()+−-]{1,3}|[A-Z]{3}(?=\s))?\s*(?P<sign2>[-−+])?"
    r"(?P<digits>\d[\d.,'’\u00a0\u202f ]*\d|\d)\s*(?P<unit>%|[^\W\d]{1,12}[²³]?|[^\w\s.,()]{1,3})?(?P<close>\))?"
)
_NO_UNIT = r"[\d\s.,'’+−()-]"
_ISO = re.compile(r"(\d{4})-(\d{1,2})(?:-(\d{1,2}))?(?:[T ]\d{1,2}:\d{2}.*)?")
_YEAR_FIRST = re.compile(r"(\d{4})[./年](\d{1,2})[./月](\d{1,2})日?(?: \d{1,2}:\d{2}.*)?")
_NUMERIC = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4})(?: \d{1,2}:\d{2}.*)?")
_DAY_MONTH = re.compile(r"(\d{1,2})(?:\.|st|nd|rd|th|er)?[ -](?:de )?([^\W\d]+)\.?[ -](?:de )?(\d{4})")
_MONTH_DAY = re.compile(r"([^\W\d]+)\.? (\d{1,2})(?:st|nd|rd|th)?,? (\d{4})")

_SCALES = (
    {"mg": "0.001", "g": "1", "kg": "1000", "t": "1000000"},
    {"mm": "0.001", "cm": "0.01", "m": "1", "km": "1000"},
    {"ml": "0.001", "cl": "0.01", "l": "1"},
    {"kb": "1", "mb": "1000", "gb": "1000000", "tb": "1000000000"},
    {"s": "1", "min": "60", "h": "3600"},
)
"""Units that can be told in each other, by how many of the one they are."""

_SWAPPED = str.maketrans(",.", ".,")

When = tuple[int, int | None, int | None]
"""A year, a month and a day; what is not known is None. The year 0: that month of any year."""


class Values:
    """The values of one column, row by row; "" where a cell is empty."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts

    @cached_property
    def mark(self) -> str | None:
        """What parts the fractions of its numbers: "." or ","; None where that cannot be told."""
        return _decimal_mark(self.texts)

    @cached_property
    def filled(self) -> int:
        """Cells that are not empty."""
        return sum(map(bool, self.texts))

    @cached_property
    def distinct(self) -> Counter[str]:
        """How often each value is there, folded; the empty one is none."""
        return Counter(folded(text) for text in self.texts if text)

    @cached_property
    def numbers(self) -> list[Decimal | None] | None:
        """Each value as a number; None in place of the list where the column is none of numbers."""
        if not self.filled or self.dates is not None:
            return None
        if self.mark is None:
            return None
        found = [read_number(text, self.mark) if text else None for text in self.texts]
        if scale := self._scale:
            found = [
                each and each * Decimal(scale[_unit_of(text)]) for each, text in zip(found, self.texts, strict=True)
            ]
        return found if sum(each is not None for each in found) >= LEAST_SHARE * self.filled else None

    @property
    def are_shares(self) -> bool:
        """Whether the numbers are percentages, whose sum says nothing."""
        return self.units == {"%"}

    @property
    def has_scale(self) -> bool:
        """Whether the numbers are in several units, as `310 g` and `1.2 kg`: they are compared, and not told."""
        return self._scale is not None

    @cached_property
    def _scale(self) -> dict[str, str] | None:
        units = {_unit_of(text) for text in self.texts if text}
        return next((scale for scale in _SCALES if units <= scale.keys()), None) if len(units) > 1 else None

    @cached_property
    def are_keys(self) -> bool:
        """Whether the numbers only tell the rows apart, as they count up: nothing is to be summed."""
        found = [number for number in self.numbers or () if number is not None]
        is_whole = all(number == number.to_integral_value() for number in found)
        return len(found) > 2 and is_whole and all(one < two for one, two in pairwise(found))

    @cached_property
    def has_both_signs(self) -> bool:
        """Whether some numbers are below zero and some above it."""
        found = [number for number in self.numbers or () if number]
        return bool(found) and min(found) < 0 < max(found)

    @cached_property
    def units(self) -> set[str]:
        """The units and signs that stand beside the numbers, such as `%` or `euros`."""
        return {re.sub(_NO_UNIT, "", text) for text in self.texts if text} - {""}

    @cached_property
    def dates(self) -> list[When | None] | None:
        """Each value as a date; None in place of the list where the column is none of dates, or day and month cannot
        be told apart.
        """
        if not self.filled or not re.search(r"\d{4}", "".join(self.texts[:50])):
            return None
        numeric = [match for text in self.texts if (match := _NUMERIC.fullmatch(text))]
        day_first = True
        if numeric and any(match[2] != "." for match in numeric):
            first, second = (any(int(match[place]) > 12 for match in numeric) for place in (1, 3))
            if first == second:
                return None
            day_first = first
        found = [read_date(text, day_first=day_first) if text else None for text in self.texts]
        return found if sum(each is not None for each in found) >= LEAST_SHARE * self.filled else None

    @cached_property
    def years(self) -> bool:
        """Whether the values are years."""
        return bool(self.filled) and all(re.fullmatch(r"(?:1[5-9]|20)\d\d", text) for text in self.texts if text)


def _unit_of(text: str) -> str:
    return re.sub(_NO_UNIT, "", text).casefold()


def folded(text: str) -> str:
    """A value as it is compared: in one case, without accents and repeated blanks."""
    return " ".join(fold(word) for word in text.split())


def _decimal_mark(texts: Sequence[str]) -> str | None:
    """What parts a column's fractions: "." or ","; None where that cannot be told."""
    commas = points = thousands = 0
    for text in texts:
        digits = re.sub(r"[^\d.,]", "", text).strip(".,")
        last = max(digits.rfind(","), digits.rfind("."))
        if last < 0:
            continue
        mark, behind = digits[last], len(digits) - last - 1
        if digits.count(mark) > 1:  # 1.234.567
            points, commas = (points, commas + 1) if mark == "." else (points + 1, commas)
        elif behind != 3 or ("," in digits and "." in digits) or digits.startswith("0") or last > 3:
            points, commas = (points + 1, commas) if mark == "." else (points, commas + 1)
        else:
            thousands += 1 if mark == "," else -1
    if commas and points:
        return None
    if commas or points:
        return "," if commas else "."
    # 1,250 alone: a comma parts thousands in English; a point with three digits behind it may be either.
    return "." if thousands >= 0 else None


def read_number(text: str, mark: str = ".") -> Decimal | None:
    """A number with its unit, such as `1,250.50`, `€ 19`, `12.5 %` or `(5)`; `mark` parts its fraction."""
    found = _NUMBER.fullmatch(text.strip())
    if not found:
        return None
    digits = re.sub(r"[\s'’\u00a0\u202f]", "", found["digits"])
    digits = digits.replace("." if mark == "," else ",", "").replace(mark, ".")
    try:
        number = Decimal(digits)
    except InvalidOperation:
        return None
    is_negative = any(sign in ("-", "−") for sign in (found["sign"], found["sign2"]))
    return -number if is_negative or (found["open"] and found["close"]) else number


def read_date(text: str, *, day_first: bool = True) -> When | None:
    """A date in digits or with its month's name; `day_first`: 3/4/2025 is in April."""
    text = text.strip()
    if found := _ISO.fullmatch(text) or _YEAR_FIRST.fullmatch(text):
        return _checked(int(found[1]), int(found[2]), int(found[3]) if found[3] else None)
    if found := _NUMERIC.fullmatch(text):
        day, month = (found[1], found[3]) if day_first else (found[3], found[1])
        return _checked(int(found[4]), int(month), int(day))
    if (found := _DAY_MONTH.fullmatch(text)) and (number := MONTHS.get(fold(found[2]))):
        return _checked(int(found[3]), number, int(found[1]))
    if (found := _MONTH_DAY.fullmatch(text)) and (number := MONTHS.get(fold(found[1]))):
        return _checked(int(found[3]), number, int(found[2]))
    return None


def _checked(year: int, month: int, day: int | None) -> When | None:
    try:
        date(year, month, day or 1)
    except ValueError:
        return None
    return year, month, day


def told_number(number: Decimal, mark: str | None = ".", *, cents: bool = False) -> str:
    """A number for people, as its table writes them: `1,250.5`, or `1.250,5` where `mark` is a comma.

    `cents`: with all its places, as money is told.
    """
    is_whole = number == number.to_integral_value() and not cents
    told = f"{int(number):,}" if is_whole else f"{number:,f}" if cents else f"{number.normalize():,f}"
    return told.translate(_SWAPPED) if mark == "," else told
