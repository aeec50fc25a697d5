"""Styles of OpenDocument: which paragraphs are headings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from rag.sources.office.ooxml import Element, attribute, below, child

_MOST_PARENTS = 20
_HEADING = re.compile(r"(?:heading|überschrift|titre|título|titolo) ?(\d{1,2})?")
_NO_HEADING = re.compile(r"\b(?:contents|index|list|table|figure|caption|illustration|user|bibliography|object)\b|sub")


def is_raised(style: Element | None) -> bool:
    """Whether a text style is a superscript: "super 58%", or a part of the font's height above the line."""
    place = attribute(child(style, "text-properties"), "text-position")
    return place.startswith("super") or bool(re.match(r"[1-9]", place))


class ParagraphStyles:
    """The levels of headings by the names of their styles, and by what styles say of the outline and of lists."""

    def __init__(self, trees: Iterable[Element]) -> None:
        self._styles = {
            attribute(style, "name"): style
            for tree in trees
            for style in below(tree, "style")
            if attribute(style, "family") in ("paragraph", "")
        }
        self._known: dict[str, int | None] = {}

    def level_of(self, style: str) -> int | None:
        """The level of headings with a style; 0: one whose level is not said; None: no heading."""
        if style not in self._known:
            self._known[style] = self._level(style)
        return self._known[style]

    def are_numbered(self, style: str) -> bool:
        """Whether headings with a style have the numbers of the outline: an empty name of a list: no."""
        for _, settings in self._chain(style):
            for key, value in settings.attrib.items() if settings is not None else ():
                if key.endswith("}list-style-name"):
                    return bool(value)
        return True

    def _chain(self, name: str) -> Iterator[tuple[str, Element | None]]:
        """The name and the settings of a style and of those that it inherits from."""
        for _ in range(_MOST_PARENTS):
            style = self._styles.get(name)
            yield name, style
            name = attribute(style, "parent-style-name")
            if not name:
                return

    def _level(self, name: str) -> int | None:
        for each, style in self._chain(name):
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
