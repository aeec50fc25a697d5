"""Numbers as a sheet or a chart shows them: dates, shares and amounts of money, by their format (ECMA-376, 18.8.30)."""

from __future__ import annotations

import datetime
import re
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from fractions import Fraction
from functools import lru_cache

_LITERAL = re.compile(r'"([^"]*)"|\\(.)|_(.)|\*(.)', re.DOTALL)
_DATE_PART = re.compile(r"(?i)\[(?:h+|m+|s+)\]|AM/PM|A/P|y+|m+|d+|h+|s+(?:\.0+)?|[be]+(?![+-])")
_MOST_DIGITS = 15
"""Digits that a program of spreadsheets shows and calculates with."""


def shown(value: object, code: str, *, since_1904: bool = False) -> str:
    """A number as its format shows it; text and truth values as they are."""
    if isinstance(value, bool):
        return str(value).upper()
    if code in ("General", "") and isinstance(value, str) and (quick := _quickly(value)):
        return quick
    if isinstance(value, str):
        try:
            number = Decimal(value.strip())
        except InvalidOperation:
            return value
        if not number.is_finite():
            return value
    elif isinstance(value, (int, float)):
        number = Decimal(repr(value))
    else:
        return "" if value is None else str(value)
    try:
        section, negative = _section(code, number)
        if is_date(section):
            return _date(number, section, since_1904)
        return _number(-number if negative else number, section)
    except (ArithmeticError, ValueError):
        return general(number)


def _quickly(text: str) -> str:
    """A number in general format without the exact arithmetic of `general`, as most cells allow; "" for the others."""
    if text.isdecimal() and len(text) < _MOST_DIGITS:
        return text
    try:
        found = f"{float(text):.{_MOST_DIGITS}g}"
    except ValueError:
        return ""
    return found if found[-1].isdecimal() and "e" not in found else ""


def general(number: Decimal) -> str:
    """A number in as many digits as it has, at most fifteen."""
    rounded = number.normalize()
    if len(rounded.as_tuple().digits) > _MOST_DIGITS:
        rounded = Decimal(f"{number:.{_MOST_DIGITS - 1}e}").normalize()
    if rounded == 0:
        return "0"
    plain = f"{rounded:f}"
    return plain if len(plain) <= 22 else f"{rounded:E}"


@lru_cache(maxsize=4096)
def is_date(section: str) -> bool:
    """Whether a format shows days or times."""
    bare = re.sub(r"(?i)\[(?!h+\]|m+\]|s+\])[^\]]*\]|general", "", _LITERAL.sub("", section))
    return bool(re.search(r"(?i)[ymdhs]", bare)) and not re.search("[#?]", bare)


@lru_cache(maxsize=4096)
def _parts(code: str) -> list[tuple[str, str]]:
    """The sections of a format with their conditions, such as [<100]."""
    sections = re.findall(r'((?:"[^"]*"|\\.|[^;"\\])*)(?:;|$)', code, re.DOTALL)[:4]
    found = []
    for section in sections:
        condition = re.search(r"\[([<>=]+-?[\d.]+)\]", section)
        found.append((section, condition[1] if condition else ""))
    return found


def _section(code: str, number: Decimal) -> tuple[str, bool]:
    """The section of a format that shows a number, and whether its sign is in the section's own text."""
    parts = _parts(code)
    while len(parts) > 1 and not parts[-1][0]:
        if len(parts) > 2 or not code.rstrip().endswith(";;"):
            parts = parts[:-1]
        else:
            break
    if any(condition for _, condition in parts):
        for section, condition in parts:
            if not condition or _holds(number, condition):
                return section, number < 0 and condition.startswith("<")
    if len(parts) > 1 and number < 0:
        return parts[1][0] or parts[0][0], bool(parts[1][0])
    if len(parts) > 2 and number == 0:
        return parts[2][0] or parts[0][0], False
    return parts[0][0] if parts else "", False


def _holds(number: Decimal, condition: str) -> bool:
    sign, limit = re.fullmatch(r"([<>=]+)(.*)", condition).groups()  # type: ignore[union-attr]
    found = Decimal(limit)
    return {
        "<": number < found,
        "<=": number <= found,
        ">": number > found,
        ">=": number >= found,
        "=": number == found,
        "<>": number != found,
    }.get(sign, False)


# Numbers


@lru_cache(maxsize=4096)
def _layout(section: str) -> tuple[str, str, str]:
    """What a format has before, in and after its digits, with signs of money, and without its colours and blanks."""
    section = re.sub(r"\[\$([^\]-]*)[^\]]*\]", lambda found: f'"{found[1]}"', section)
    section = re.sub(r"\[[^\]]*\]", "", section)
    section = re.sub(r'(?<=[#0])(?:\\[ \u00a0\u202f]|"[ \u00a0\u202f]"|[\u00a0\u202f])(?=[#0])', ",", section)  # 1 234
    section = re.sub(r'(?<=[#0?])(?:\\ |" ")(?=[?#0]+/)', " ", section)  # of a fraction
    texts: list[str] = []

    def keep(found: re.Match[str]) -> str:
        texts.append(found[1] if found[1] is not None else found[2] or (" " if found[3] else ""))
        return chr(0xE000 + len(texts) - 1)

    flat = _LITERAL.sub(keep, section)
    digits = re.search(r"(?i)general|[0#?][0#?,. ]*(?:E[+-][0#?]+)?(?:/[0#?\d]+)?|\.[0#?]+|@", flat)
    before, pattern, after = (flat[: digits.start()], digits[0], flat[digits.end() :]) if digits else (flat, "", "")

    def back(text: str) -> str:
        return "".join(
            texts[ord(sign) - 0xE000] if 0xE000 <= ord(sign) < 0xE000 + len(texts) else sign for sign in text
        )

    return back(before), pattern.rstrip(), (" " if pattern.endswith(" ") else "") + back(after)


@lru_cache(maxsize=4096)
def _percents(section: str) -> int:
    """How many signs of per cent a format has; one in quotation marks is text, and the value is one of a hundred."""
    return _LITERAL.sub("", section).count("%")


def _number(number: Decimal, section: str) -> str:
    before, pattern, after = _layout(section)
    if not pattern:
        return (before if section.strip() else general(number)).strip() or general(number)
    if pattern == "@" or pattern.lower() == "general":
        return f"{before}{general(number)}{after}".strip()
    if re.search("[0#?]", re.sub(r"\d", "", before) + after.replace("0", "#")) or (not number and "0" not in pattern):
        return general(number)  # digits in groups, as those of a telephone number; or a line in place of 0
    number *= Decimal(100) ** _percents(section)
    minus = "-" if number < 0 else ""
    number = abs(number)
    if "/" in pattern:
        digits = _fraction(number, pattern)
    elif "E" in pattern.upper():
        digits = _scientific(number, pattern)
    else:
        digits = _decimal(number, pattern)
    if not re.search("[1-9]", digits):
        minus = ""
    return re.sub(r"\s+", " ", f"{minus}{before}{digits}{after}").strip()


def _decimal(number: Decimal, pattern: str) -> str:
    whole, _, decimals = pattern.partition(".")
    stripped = whole.rstrip(", ")
    number = number / Decimal(1000) ** whole[len(stripped) :].count(",")
    decimals = decimals.replace(",", "").replace(" ", "")
    rounded = number.quantize(Decimal(1).scaleb(-len(decimals)), rounding=ROUND_HALF_UP)
    digits, _, rest = f"{rounded:f}".partition(".")
    least = decimals.rstrip("#?")
    while len(rest) > len(least) and rest.endswith("0"):
        rest = rest[:-1]
    digits = digits.zfill(stripped.count("0")) if digits != "0" or "0" in stripped or not rest else ""
    if "," in stripped and digits:
        digits = f"{int(digits):,}".zfill(len(digits))
    return f"{digits}.{rest}" if rest else digits


def _fraction(number: Decimal, pattern: str) -> str:
    """A number as in `# ?/?`: 3 3/4, with a denominator of as many digits as the format has, or of a given value."""
    above, _, below = pattern.partition("/")
    mixed = bool(re.search("[0#?]+ +[0#?]+$", above.strip()))
    whole, rest = divmod(number, 1) if mixed else (Decimal(0), number)
    if below.strip().isdecimal() and int(below):
        parts = int(below)
        count = int((rest * parts).quantize(Decimal(1), rounding=ROUND_HALF_UP))
    else:
        nearest = Fraction(rest).limit_denominator(10 ** min(len(below.strip()), 6) - 1)
        count, parts = nearest.numerator, nearest.denominator
    whole, count = (whole + 1, 0) if mixed and count == parts else (whole, count)
    if not count:
        return f"{whole:f}"
    if not mixed and parts == 1:
        return str(count)
    return f"{whole:f} {count}/{parts}" if whole else f"{count}/{parts}"


def _scientific(number: Decimal, pattern: str) -> str:
    mantissa = re.split("(?i)e", pattern)[0]
    text = f"{number:.{len(mantissa.partition('.')[2])}E}"
    digits, _, power = text.partition("E")
    return f"{digits}E{power[0]}{power[1:].zfill(2)}"


# Dates


def _date(number: Decimal, section: str, since_1904: bool) -> str:
    """A day as 2026-11-27, a time as 09:30 or 09:30:15; a duration in hours, as [h]:mm does."""
    parts = [
        part.lower() for part in _DATE_PART.findall(_LITERAL.sub("", re.sub(r"\[(?![hms]+\])[^\]]*\]", "", section)))
    ]
    seconds = int((number * 86_400).to_integral_value(ROUND_HALF_UP))
    if any(part.startswith("[") for part in parts):
        sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
        clock = f"{sign}{seconds // 3600}:{seconds // 60 % 60:02}"
        return f"{clock}:{seconds % 60:02}" if any("s" in part for part in parts) else clock
    if number < 0:
        return general(number)
    has_time = any(part[0] in "hs" for part in parts)
    has_day = any(part[0] in "yde" for part in parts) or (any(part[0] == "m" for part in parts) and not has_time)
    if since_1904:
        start = datetime.datetime(1904, 1, 1)
    else:  # day 60 is the 29th of February 1900, which never was (ECMA-376, 18.17.4.1)
        start = datetime.datetime(1899, 12, 30 if seconds >= 61 * 86_400 else 31)
    moment = start + datetime.timedelta(seconds=seconds)
    with_seconds = any(part[0] == "s" for part in parts) and (moment.second or not has_day)
    clock = moment.strftime("%H:%M:%S" if with_seconds else "%H:%M")
    if not has_day:
        return clock
    has_date = any(part[0] == "d" for part in parts)
    day = moment.strftime("%Y-%m-%d")
    if not has_date and not has_time:
        names = any(part.startswith("mmm") for part in parts)
        day = moment.strftime("%Y-%m") if any(part[0] == "m" for part in parts) else moment.strftime("%Y")
        day = moment.strftime("%B %Y") if names and any(part[0] in "ye" for part in parts) else day
        day = moment.strftime("%B") if names and not any(part[0] in "ye" for part in parts) else day
    return f"{day} {clock}" if has_time else day
