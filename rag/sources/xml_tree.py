"""Trees of XML by local names: namespaces differ between the programs that write one and the same format."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Element = Any
"""An element of lxml."""


def parse_xml(data: bytes) -> Element:
    """The root of a tree; its entities stay as they are, and nothing is fetched."""
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True)
    root = etree.fromstring(data, parser)
    for item in list(root.iter("{*}AlternateContent")):
        _choose(item)
    return root


def _choose(item: Element) -> None:
    """Put what an element offers in several ways into its place once: the first way that has anything."""
    parent = item.getparent()
    ways = [child for child in item if local(child) in ("Choice", "Fallback")]
    if parent is None or not ways:
        return
    chosen = next((way for way in ways if len(way)), ways[0])
    place = parent.index(item)
    for child in list(chosen):
        parent.insert(place, child)
        place += 1
    parent.remove(item)


def local(item: Element) -> str:
    """The name of an element without its namespace."""
    tag = item.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def attribute(item: Element | None, name: str) -> str:
    """The value of an attribute by its local name, or ""."""
    if item is not None:
        for key, value in item.attrib.items():
            if key == name or key.endswith(f"}}{name}"):
                return str(value)
    return ""


def child(item: Element | None, *path: str) -> Element | None:
    """The first element at a path of local names below `item`."""
    for name in path:
        item = next((inner for inner in item if local(inner) == name), None) if item is not None else None
    return item


def children(item: Element | None, name: str) -> list[Element]:
    """The elements of this local name right below `item`."""
    return [inner for inner in item if local(inner) == name] if item is not None else []


def below(item: Element, name: str) -> Iterator[Element]:
    """All elements of this local name in a tree."""
    found: Iterator[Element] = item.iter(f"{{*}}{name}")
    return found


def between(item: Element, top: Element) -> Iterator[Element]:
    """The elements around `item`, up to `top`, and none of both."""
    for parent in item.iterancestors():
        if parent is top:
            return
        yield parent


def is_on(item: Element | None) -> bool:
    """Whether a switch such as `<w:b/>` is there and not off."""
    return item is not None and attribute(item, "val") not in ("0", "false", "off", "none")


def whole(text: str, otherwise: int) -> int:
    """A whole number of a file, at least 0; `otherwise` where the text is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else otherwise
