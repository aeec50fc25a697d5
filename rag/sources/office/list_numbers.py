"""How the number of an item of a list is written: letters, Roman numerals, Chinese ones."""

from __future__ import annotations

_CHINESE = "零一二三四五六七八九"
_VALUES = (1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1)
_ROMAN = ("m", "cm", "d", "cd", "c", "xc", "l", "xl", "x", "ix", "v", "iv", "i")


def letters(number: int) -> str:
    """1 is "a", 27 "aa", 53 "aaa": a letter is repeated."""
    return chr(97 + (number - 1) % 26) * min((number - 1) // 26 + 1, 20) if number > 0 else "0"


def letters_as_digits(number: int) -> str:
    """1 is "a", 27 "aa", 28 "ab": letters count as digits do."""
    text = ""
    while number > 0 and len(text) < 20:
        number, place = divmod(number - 1, 26)
        text = chr(97 + place) + text
    return text or "0"


def roman(number: int) -> str:
    """Small Roman numerals; digits where there are none for it."""
    if not 0 < number < 4000:
        return str(number)
    text = ""
    for value, sign in zip(_VALUES, _ROMAN, strict=True):
        text += sign * (number // value)
        number %= value
    return text


def chinese(number: int) -> str:
    """Chinese numerals up to 99; digits above."""
    if not 0 <= number < 100:
        return str(number)
    tens, ones = divmod(number, 10)
    ten = ("" if tens < 2 else _CHINESE[tens]) + ("十" if tens else "")
    return ten + (_CHINESE[ones] if ones or not tens else "")
