"""Styles of Word: which paragraphs are headings, items of a list or captions, and the numbers in front of them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass

from rag.sources.ooxml import Element, attribute, child, children

_MOST_PARENTS = 20
_DEEPEST_LIST = 9

_GREEK = "αβχδεφγηιϕκλμνοπθρστυϖωξψζ"
_SYMBOL = {**{0x61 + place: sign for place, sign in enumerate(_GREEK)}}
_SYMBOL |= {0x41 + place: sign for place, sign in enumerate("ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ")}
_SYMBOL |= {
    0xB0: "°",
    0xB1: "±",
    0xB3: "≥",
    0xA3: "≤",
    0xB4: "×",
    0xB9: "≠",
    0xBB: "≈",
    0xA5: "∞",
    0xAE: "→",
    0xB7: "•",
}
_WINGDINGS = {0xFE: "☒", 0xFD: "☒", 0xA8: "☐", 0x6F: "☐", 0x78: "☒", 0xFC: "✓", 0xFB: "✗", 0xE0: "→", 0xA7: "▪"}


def symbol(font: str, code: str) -> str:
    """The character that a symbol of a font of symbols shows; "" where it is unknown."""
    if not re.fullmatch("[0-9A-Fa-f]{1,6}", code):
        return ""
    number = int(code, 16)
    if 0xF000 <= number <= 0xF0FF:
        table = _WINGDINGS if "wing" in font.lower() else _SYMBOL if font.lower() == "symbol" else {}
        return table.get(number & 0xFF, "")
    return chr(number) if 0x20 <= number < 0x110000 and not 0xD800 <= number < 0xE000 else ""


@dataclass(frozen=True)
class Style:
    """What a paragraph is. `level`: of a heading, 0 for none."""

    level: int = 0
    is_item: bool = False
    is_caption: bool = False


class Styles:
    """The styles and lists of a file, and how far the numbers of its lists have come."""

    def __init__(self, styles: Element | None, numbering: Element | None) -> None:
        self._styles = {attribute(item, "styleId"): item for item in children(styles, "style")}
        plans = {attribute(item, "abstractNumId"): item for item in children(numbering, "abstractNum")}
        self._lists: dict[str, tuple[str, dict[int, Element]]] = {}
        for item in children(numbering, "num"):
            plan = attribute(child(item, "abstractNumId"), "val")
            levels = {_level(level): level for level in children(plans.get(plan), "lvl")}
            for change in children(item, "lvlOverride"):
                if (level := child(change, "lvl")) is not None:
                    levels[_level(change)] = level
            self._lists[attribute(item, "numId")] = (plan, levels)
        self._counts: dict[str, dict[int, int]] = {}

    def of(self, paragraph: Element) -> Style:
        """What a paragraph is by its style and by its own settings."""
        chain = self._chain(paragraph)
        names = [attribute(child(style, "name"), "val").lower() for style in chain[1:]]
        named = names or [attribute(child(chain[0], "pStyle"), "val").lower()]
        level = 0
        for settings, name in itertools.zip_longest(chain, ["", *named]):
            outline = attribute(_setting(settings, "outlineLvl"), "val")
            if outline.isdecimal():
                level = int(outline) + 1 if int(outline) < 9 else 0
                break
            if found := re.fullmatch(r"heading ?([1-9])", name):
                level = int(found[1])
                break
            if name == "title":
                level = 1
                break
        listed = any(name.startswith("list ") for name in names)
        return Style(level, listed or bool(self._number_setting(chain)[0]), "caption" in names)

    def number_of(self, paragraph: Element) -> str:
        """The number or letter that Word shows in front of a paragraph, such as "2.1"; "" for none; counts it."""
        identity, depth = self._number_setting(self._chain(paragraph))
        if identity not in self._lists:
            return ""
        plan, levels = self._lists[identity]
        counts = self._counts.setdefault(plan, {})
        counts[depth] = counts.get(depth, _start(levels.get(depth)) - 1) + 1
        for deeper in [place for place in counts if place > depth]:
            del counts[deeper]
        level = levels.get(depth)
        if _format(level) in ("bullet", "none", "") or level is None:
            return ""

        def number(found: re.Match[str]) -> str:
            place = int(found[1]) - 1
            shown = "decimal" if child(level, "isLgl") is not None else _format(levels.get(place))
            return _NUMBERS.get(shown, str)(counts.get(place, _start(levels.get(place))))

        return re.sub(r"%([1-9])", number, attribute(child(level, "lvlText"), "val")).strip()

    def _chain(self, paragraph: Element) -> list[Element]:
        """The settings of a paragraph, its style, and the styles that this one is based on."""
        own = child(paragraph, "pPr")
        name = attribute(child(own, "pStyle"), "val")
        chain = [own]
        while name in self._styles and len(chain) < _MOST_PARENTS:
            style = self._styles[name]
            chain.append(style)
            name = attribute(child(style, "basedOn"), "val")
        return chain

    def _number_setting(self, chain: list[Element]) -> tuple[str, int]:
        """The list that a paragraph is in, or "", and how deep."""
        depth = ""
        for settings in chain:
            numbers = _setting(settings, "numPr")
            if numbers is None:
                continue
            depth = depth or attribute(child(numbers, "ilvl"), "val")
            identity = attribute(child(numbers, "numId"), "val")
            if identity:
                deep = int(depth) if depth.isdecimal() else self._depth_of_style(identity, chain)
                return ("" if identity == "0" else identity), min(deep, _DEEPEST_LIST)
        return "", 0

    def _depth_of_style(self, identity: str, chain: list[Element]) -> int:
        """The level of a list that is tied to a style of a paragraph."""
        names = {attribute(style, "styleId") for style in chain[1:]}
        levels = self._lists.get(identity, ("", {}))[1]
        return next((place for place, item in levels.items() if attribute(child(item, "pStyle"), "val") in names), 0)


def _setting(settings: Element | None, name: str) -> Element | None:
    """A setting of a paragraph, or of a style for its paragraphs."""
    direct = child(settings, name)
    return direct if direct is not None else child(settings, "pPr", name)


def _level(item: Element) -> int:
    text = attribute(item, "ilvl")
    return min(int(text), _DEEPEST_LIST) if text.isdecimal() else 0


def _start(level: Element | None) -> int:
    text = attribute(child(level, "start"), "val")
    return int(text) if text.isdecimal() and len(text) < 7 else 1


def _format(level: Element | None) -> str:
    return attribute(child(level, "numFmt"), "val")


def _letters(number: int) -> str:
    return chr(97 + (number - 1) % 26) * min((number - 1) // 26 + 1, 20) if number > 0 else "0"


def _roman(number: int) -> str:
    if not 0 < number < 4000:
        return str(number)
    values = (1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1)
    signs = zip(values, ("m", "cm", "d", "cd", "c", "xc", "l", "xl", "x", "ix", "v", "iv", "i"), strict=True)
    text = ""
    for value, sign in signs:
        text += sign * (number // value)
        number %= value
    return text


_NUMBERS: dict[str, Callable[[int], str]] = {
    "lowerLetter": _letters,
    "upperLetter": lambda number: _letters(number).upper(),
    "lowerRoman": _roman,
    "upperRoman": lambda number: _roman(number).upper(),
    "decimalZero": lambda number: f"{number:02}",
}
"""How a number is written; any other way: in digits."""
