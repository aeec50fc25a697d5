"""How paragraphs of OpenDocument look, for the headings that no style tells."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from rag.sources.office.look_headings import Line, headings_among, rank_of
from rag.sources.office.odf_lists import Place
from rag.sources.office.odf_styles import Styles
from rag.sources.xml_tree import Element, attribute, child, local

_AROUND = frozenset(["section", "list", "list-item", "list-header", "soft-page-break"])
_GONE = frozenset(["note", "annotation", "frame", "custom-shape", "number", "ruby-text"])
_SIGNS = {"tab": "\t", "line-break": "\n", "s": " "}
_USUAL_SIZE = 24
"""Half points where a file does not say."""

_Look = tuple[bool, int]
"""Whether letters are bold, and their size in half points."""


def headings_by_look(body: Element, styles: Styles, places: Mapping[Element, Place]) -> dict[Element, int]:
    """The headings in a text that no style tells, and their levels below those that one tells."""
    looks = _Looks(styles)
    blocks = [(block, list(looks.runs(block)) if local(block) in ("p", "h") else None) for block in _blocks(body)]
    sizes: Counter[int] = Counter()
    for _, runs in blocks:
        for text, (_, size) in runs or ():
            sizes[size] += len(text)
    usual = sizes.most_common(1)[0][0] if sizes else _USUAL_SIZE
    lines: list[tuple[Element, Line | None]] = []
    for block, runs in blocks:
        if runs is None:
            lines.append((block, None))
            continue
        place = places.get(block)
        told = local(block) == "h" or styles.level_of(attribute(block, "style-name")) is not None
        line = Line("".join(text for text, _ in runs).strip(), (), bool(place and place.level), told)
        depth = place.level - 1 if place and place.number not in ("", "-") else None
        if not told and (not line.is_item or depth is not None):
            shown = [look for text, look in runs if text.strip()]
            line.rank = rank_of(line.text, shown, usual, depth)
            line.is_item = line.is_item and not line.rank
        lines.append((block, line))
    return headings_among(lines)


def _blocks(parent: Element) -> Iterator[Element]:
    """Paragraphs, headings, and what else stands between them."""
    for item in parent:
        if local(item) in _AROUND:
            yield from _blocks(item)
        elif local(item):
            yield item


class _Looks:
    """What the styles of a file say of letters."""

    def __init__(self, styles: Styles) -> None:
        self._styles = styles
        self._known: dict[tuple[str, str, _Look], _Look] = {}

    def runs(self, paragraph: Element) -> Iterator[tuple[str, _Look]]:
        """The visible texts of a paragraph and how they look."""
        usual = self._changed(self._styles.usual, (False, _USUAL_SIZE))
        yield from self._inside(paragraph, self._look("paragraph", attribute(paragraph, "style-name"), usual))

    def _inside(self, item: Element, look: _Look) -> Iterator[tuple[str, _Look]]:
        yield item.text or "", look
        for inner in item:
            name = local(inner)
            if name in _SIGNS:
                yield _SIGNS[name], look
            elif name and name not in _GONE:
                style = attribute(inner, "style-name") if name == "span" else ""
                yield from self._inside(inner, self._look("text", style, look) if style else look)
            yield inner.tail or "", look

    def _look(self, family: str, name: str, around: _Look) -> _Look:
        """The look of letters with a style, inside others that look so."""
        key = (family, name, around)
        if key not in self._known:
            look = around
            for _, style in reversed(list(self._styles.chain(family, name))):
                look = self._changed(style, look)
            self._known[key] = look
        return self._known[key]

    @staticmethod
    def _changed(style: Element | None, look: _Look) -> _Look:
        settings = child(style, "text-properties")
        weight, size = attribute(settings, "font-weight"), attribute(settings, "font-size")
        bold = weight == "bold" or (weight.isdecimal() and int(weight[:4]) >= 600) if weight else look[0]
        if found := re.fullmatch(r"(\d{1,3}(?:\.\d+)?)(pt|%)", size):
            number = float(found[1])
            return bold, round(number * 2) if found[2] == "pt" else round(look[1] * number / 100)
        return bold, look[1]
