"""Styles of Word: which paragraphs are headings, items of a list or captions."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

from rag.sources.ooxml import Element, attribute, child, children
from rag.sources.word_lists import Lists, setting

_MOST_PARENTS = 20

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
        self._lists = Lists(numbering, self._styles)

    def of(self, paragraph: Element) -> Style:
        """What a paragraph is by its style and by its own settings."""
        chain = self._chain(paragraph)
        names = [attribute(child(style, "name"), "val").lower() for style in chain[1:]]
        named = names or [attribute(child(chain[0], "pStyle"), "val").lower()]
        level = 0
        for settings, name in itertools.zip_longest(chain, ["", *named]):
            outline = attribute(setting(settings, "outlineLvl"), "val")
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
        return Style(level, listed or bool(self._lists.place_of(chain)[0]), "caption" in names)

    def number_of(self, paragraph: Element) -> str:
        """The number or letter that Word shows in front of a paragraph, such as "2.1"; "" for none; counts it."""
        return self._lists.next_number(*self._lists.place_of(self._chain(paragraph)))

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
