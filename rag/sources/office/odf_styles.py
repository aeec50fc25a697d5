"""Styles of OpenDocument: how letters look, and which paragraphs are headings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from rag.sources.xml_tree import Element, attribute, below, child

_MOST_PARENTS = 20
_HEADING = re.compile(r"(?:heading|überschrift|titre|título|titolo) ?(\d{1,2})?")
_NO_HEADING = re.compile(r"\b(?:contents|index|list|table|figure|caption|illustration|user|bibliography|object)\b|sub")


class Styles:
    """The styles of a file by family and name: what they say of letters, of headings and of lists.

    Of two with the same name the later one counts.
    """

    def __init__(self, trees: Iterable[Element]) -> None:
        self._styles: dict[tuple[str, str], Element] = {}
        self.usual: Element | None = None
        """What paragraphs look like that no style tells of."""
        for tree in trees:
            for style in below(tree, "style"):
                self._styles[attribute(style, "family"), attribute(style, "name")] = style
            for style in below(tree, "default-style"):
                self.usual = style if attribute(style, "family") == "paragraph" else self.usual
        self._levels: dict[str, int | None] = {}

    def own(self, family: str, name: str) -> Element | None:
        """A style itself, without what it inherits; one without a family is of any."""
        return self._styles.get((family, name), self._styles.get(("", name)))

    def chain(self, family: str, name: str) -> Iterator[tuple[str, Element | None]]:
        """The name and the settings of a style and of those that it inherits from, the nearest first."""
        for _ in range(_MOST_PARENTS):
            style = self.own(family, name)
            yield name, style
            name = attribute(style, "parent-style-name")
            if not name:
                return

    def letters(self, family: str, name: str) -> dict[str, str]:
        """What a style says of letters, by local names."""
        found: dict[str, str] = {}
        for _, style in self.chain(family, name):
            own = child(style, "text-properties")
            found = {
                key.rpartition("}")[2]: value for key, value in (own.attrib if own is not None else {}).items()
            } | found
        return found

    def is_raised(self, name: str) -> bool:
        """Whether a text style is a superscript: "super 58%", or a part of the font's height above the line."""
        place = self.letters("text", name).get("text-position", "")
        return place.startswith("super") or bool(re.match(r"[1-9]", place))

    def level_of(self, style: str) -> int | None:
        """The level of headings with a style; 0: one whose level is not said; None: no heading."""
        if style not in self._levels:
            self._levels[style] = self._level(style)
        return self._levels[style]

    def are_numbered(self, style: str) -> bool:
        """Whether headings with a style have the numbers of the outline: an empty name of a list: no."""
        for _, settings in self.chain("paragraph", style):
            for key, value in settings.attrib.items() if settings is not None else ():
                if key.endswith("}list-style-name"):
                    return bool(value)
        return True

    def _level(self, name: str) -> int | None:
        for each, style in self.chain("paragraph", name):
            outline = attribute(style, "default-outline-level")
            if outline.isdecimal() and 0 < int(outline[:3]) <= 10:
                return int(outline)
            shown = (attribute(style, "display-name") or each.replace("_20_", " ")).lower()
            if _NO_HEADING.search(shown):
                return None
            if found := _HEADING.fullmatch(shown):
                return int(found[1] or 0)
            if shown == "title":
                return 1
        return None
