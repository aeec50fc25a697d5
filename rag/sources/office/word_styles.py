"""Styles of Word: which paragraphs are headings, items of a list or captions."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, replace

from rag.sources.office.word_lists import Lists
from rag.sources.xml_tree import Element, attribute, child, children, is_on

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


_NAMED = re.compile(
    r"(?:heading|überschrift|titre|título|titolo|kop|rubrik|overskrift|otsikko|nagłówek|заголовок|标题|標題|見出し|제목)"
    r" ?([1-9])\b|h([1-6])"
)
"""Names of styles of headings with their level, as Word and programs of other languages write them."""
_BARE = re.compile(r"(?:^|\b)headings?\b")
_NO_HEADING = re.compile(r"\b(?:toc|contents|table|index|list|figure|caption|message|note|column|header|char|user)\b")
_USUAL_SIZE = 20
"""Half points of letters where a file does not say."""


@dataclass(frozen=True)
class Style:
    """What a paragraph is.

    Attributes:
        level: of a heading, 0 for none.
        is_heading: whether it is one whose level its style does not tell.
        numbered_as: the level of the headings that are numbered with it, if it is none by its own style.
        is_contents: whether it is a line of a table of contents.
    """

    level: int = 0
    is_heading: bool = False
    numbered_as: int = 0
    is_item: bool = False
    is_caption: bool = False
    is_contents: bool = False


class Styles:
    """The styles and lists of a file, and how far the numbers of its lists have come."""

    def __init__(self, styles: Element | None, numbering: Element | None) -> None:
        self._styles = {attribute(item, "styleId"): item for item in children(styles, "style")}
        self._lists = Lists(numbering, self._styles)
        self._defaults = child(styles, "docDefaults", "rPrDefault")
        usual = (item for item in self._styles.values() if attribute(item, "type") == "paragraph")
        self._usual = [item for item in usual if attribute(item, "default") in ("1", "true")][:1]
        self._chains: dict[str, list[Element]] = {}
        self._known: dict[str, Style] = {}
        self._said: dict[tuple[str, str, str], Element | None] = {}

    def of(self, paragraph: Element) -> Style:
        """What a paragraph is by its style and by its own settings."""
        own = child(paragraph, "pPr")
        name = attribute(child(own, "pStyle"), "val")
        identity, depth = self._lists.place_of(own, self._chain(name))
        style = self._style(name)
        outline = attribute(child(own, "outlineLvl"), "val")
        if outline.isdecimal():
            style = replace(style, level=_level_of(outline), is_heading=False)
        elif not (style.level or style.is_heading) and (tied := self._lists.style_of(identity, depth)) != name:
            style = replace(style, numbered_as=self._style(tied).level)
        return replace(style, is_item=True) if identity and not style.is_item else style

    def says(self, paragraph: Element, run: Element, name: str) -> Element | None:
        """What is said of the letters of a run, such as "b" for bold: by itself, else by the nearest of its styles."""
        own = child(run, "rPr")
        if (found := child(own, name)) is not None:
            return found
        letters, paragraphs = (
            attribute(child(own, "rStyle"), "val"),
            attribute(child(paragraph, "pPr", "pStyle"), "val"),
        )
        key = (letters, paragraphs, name)
        if key not in self._said:
            styles = [*self._chain(letters), *(self._chain(paragraphs) or self._usual), self._defaults]
            said = (child(style, "rPr", name) for style in styles)
            self._said[key] = next((item for item in said if item is not None), None)
        return self._said[key]

    def look(self, paragraph: Element, run: Element) -> tuple[bool, int]:
        """Whether a run of a paragraph is bold, and the size of its letters in half points."""
        size = attribute(self.says(paragraph, run, "sz"), "val")
        is_size = size.isdecimal() and len(size) < 5
        return is_on(self.says(paragraph, run, "b")), int(size) if is_size else _USUAL_SIZE

    def depth_of_number(self, paragraph: Element) -> int | None:
        """How deep a paragraph with a number is in its list; None if it has none."""
        identity, depth = self._place_of(paragraph)
        return depth if self._lists.has_number(identity, depth) else None

    def number_of(self, paragraph: Element) -> str:
        """The number or letter that Word shows in front of a paragraph, such as "2.1"; "" for none; counts it."""
        return self._lists.next_number(*self._place_of(paragraph))

    def _place_of(self, paragraph: Element) -> tuple[str, int]:
        own = child(paragraph, "pPr")
        return self._lists.place_of(own, self._chain(attribute(child(own, "pStyle"), "val")))

    def _chain(self, name: str) -> list[Element]:
        """A style and the styles that it is based on."""
        if name not in self._chains:
            chain: list[Element] = []
            based = name
            while based in self._styles and len(chain) < _MOST_PARENTS:
                chain.append(self._styles[based])
                based = attribute(child(chain[-1], "basedOn"), "val")
            self._chains[name] = chain
        return self._chains[name]

    def _style(self, name: str) -> Style:
        """What paragraphs of a style are, without settings of their own."""
        if name not in self._known:
            chain = self._chain(name)
            names = [attribute(child(style, "name"), "val").lower() for style in chain]
            level = _level(chain, names or [name.lower()])
            self._known[name] = Style(
                level or 0,
                is_heading=level is None and any(_BARE.search(each) and not _NO_HEADING.search(each) for each in names),
                is_item=any(each.startswith("list ") for each in names),
                is_caption="caption" in names,
                is_contents=any(each.startswith(("toc ", "table of ")) for each in names),
            )
        return self._known[name]


def _level(chain: list[Element], names: list[str]) -> int | None:
    """The level of headings with a style, 0 for those of other text; None if that is not said."""
    for style, name in itertools.zip_longest(chain, names):
        outline = attribute(child(style, "pPr", "outlineLvl"), "val")
        if outline.isdecimal():
            return _level_of(outline)
        if found := _NAMED.match(name):
            return int(found[1] or found[2])
        if name == "title":
            return 1
    return None


def _level_of(outline: str) -> int:
    return int(outline) + 1 if len(outline) == 1 and int(outline) < 9 else 0
