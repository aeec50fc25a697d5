"""The lists of slides: which paragraphs have a bullet or a number, by the slide, its layout and its master."""

from __future__ import annotations

from collections.abc import Callable

from rag.sources.office.drawings import paragraph_text
from rag.sources.office.list_numbers import letters, roman
from rag.sources.office.slide_order import placeholder, placeholders_like
from rag.sources.outline import plain
from rag.sources.xml_tree import Element, attribute, child, children, local, whole

_DEEPEST = 8
_MASTER = {"ctrTitle": "title", "subTitle": "body", "obj": "body"}
"""The placeholder of a master that others inherit from, beside those of their own type."""
_BULLETS = ("buNone", "buChar", "buBlip", "buAutoNum")
_WAYS: dict[str, Callable[[int], str]] = {
    "alphaLc": letters,
    "alphaUc": lambda number: letters(number).upper(),
    "romanLc": roman,
    "romanUc": lambda number: roman(number).upper(),
}
"""How numbers are written, by how the kind of a list begins; any other way: in digits."""
_ENDINGS = {"ParenBoth": "({})", "ParenR": "{})"}
"""What stands around them, by how its kind ends; any other: a full stop."""


def listed_text(shape: Element, layout: Element | None, master: Element | None) -> str:
    """The paragraphs of a shape, a line each, items of lists with their bullet or number, indented by their level.

    A bullet is always "-", as a slide's own is an ornament.
    """
    body = child(shape, "txBody")
    above = _settings(shape, layout, master)
    counts: dict[int, tuple[str, int]] = {}
    lines = []
    for paragraph in children(body, "p"):
        text = plain(paragraph_text(paragraph)).replace("\v", "\n").strip()
        own = child(paragraph, "pPr")
        level = min(whole(attribute(own, "lvl"), 0), _DEEPEST)
        if not text:
            continue
        bullet = _bullet([own, *(child(style, f"lvl{level + 1}pPr") for style in above)])
        marker = _marker(bullet, level, counts)
        indent = "  " * level
        if marker or level:
            beside = indent + (" " * (len(marker) + 1) if marker else "")
            text = f"\n{beside}".join(filter(None, map(str.strip, text.split("\n"))))
        lines.append(f"{indent}{marker} {text}" if marker else f"{indent}{text}")
    return "\n".join(lines)


def _settings(shape: Element, layout: Element | None, master: Element | None) -> list[Element]:
    """The styles of lists that a shape has and inherits, the nearest first."""
    found = [child(shape, "txBody", "lstStyle")]
    kind = placeholder(shape)
    for other in placeholders_like(shape, layout):
        found.append(child(other, "txBody", "lstStyle"))
        kind = placeholder(other)
    if kind:
        kind = _MASTER.get(kind, kind)
        tree = child(master, "cSld", "spTree")
        found += [child(item, "txBody", "lstStyle") for item in children(tree, "sp") if placeholder(item) == kind]
        found.append(child(master, "txStyles", "titleStyle" if kind == "title" else "bodyStyle"))
    return [style for style in found if style is not None]


def _bullet(settings: list[Element | None]) -> Element | None:
    """What says of a paragraph whether it has a bullet, a number or nothing in front; the first setting that does."""
    found = (item for each in settings if each is not None for item in each if local(item) in _BULLETS)
    return next(found, None)


def _marker(bullet: Element | None, level: int, counts: dict[int, tuple[str, int]]) -> str:
    """The sign in front of a paragraph; `counts`: the kind and the last number of the list at each level."""
    for deeper in [place for place in counts if place > level]:
        del counts[deeper]
    kind = attribute(bullet, "type")
    if bullet is None or local(bullet) != "buAutoNum":
        counts.pop(level, None)
        return "" if bullet is None or local(bullet) == "buNone" else "-"
    before, number = counts.get(level, ("", 0))
    number = number + 1 if before == kind else whole(attribute(bullet, "startAt"), 1)
    counts[level] = (kind, number)
    shown = next((way for name, way in _WAYS.items() if kind.startswith(name)), str)(number)
    ending = next((ending for name, ending in _ENDINGS.items() if kind.endswith(name)), "{}.")
    return ending.format(shown)
