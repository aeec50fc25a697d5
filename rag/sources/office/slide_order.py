"""The order in which a person reads the shapes of a slide, by where they are."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from rag.sources.xml_tree import Element, attribute, child, local, whole

_SHAPES = ("sp", "grpSp", "graphicFrame", "pic", "cxnSp", "contentPart")
_OVERLAP = 91_440
"""English Metric Units (a tenth of an inch) that shapes above or beside each other may reach into each other."""
_MOST = 500
"""Shapes on a slide; more are a drawing, in the order of the file."""

_Placed = list[tuple[tuple[int, int, int, int], Element]]


def in_reading_order(tree: Element | None, layout: Element | None) -> list[Element]:
    """The shapes of a slide or group: bands from top to bottom, in each of them columns from left to right.

    Where the place of a shape is unknown, they stay in the order of the file.
    """
    shapes = [shape for shape in tree if local(shape) in _SHAPES] if tree is not None else []
    placed: _Placed = []
    for shape in shapes:
        place = _place_of(shape) or _place_in_layout(shape, layout)
        if place is None or len(shapes) > _MOST:
            return shapes
        placed.append((place, shape))
    return _ordered(placed)


def _ordered(placed: _Placed) -> list[Element]:
    """Cut between bands or columns where a gap goes all across, and go on in each piece.

    Where both ways are open, as among cards or beside headings over columns, the one nearer to the file's order wins.
    """
    numbers = {id(shape): number for number, (_, shape) in enumerate(placed)}
    order: list[Element] = []
    waiting = [placed]
    while waiting:
        piece = waiting.pop()
        bands, columns = _cut(piece, 1, 3), _cut(piece, 0, 2)
        ways = [way for way in (_below_the_first(bands), bands, columns) if len(way) > 1]
        if ways:
            nearest = min(ways, key=lambda way: _steps_back(way, numbers))
            waiting += nearest[::-1]
        else:
            order += [shape for _, shape in piece]
    return order


def _below_the_first(bands: list[_Placed]) -> list[_Placed]:
    """A shape above columns and these as one piece, whose columns it keeps from being seen; [] where there are none."""
    rest = [item for band in bands[1:] for item in band]
    is_above = len(bands) > 2 and len(bands[0]) == 1 and len(_cut(rest, 0, 2)) > 1
    return [bands[0], rest] if is_above else []


def _cut(placed: _Placed, low: int, high: int) -> list[_Placed]:
    parts: list[_Placed] = []
    end = 0
    for item in sorted(placed, key=lambda item: item[0][low]):
        if not parts or item[0][low] >= end - min(_OVERLAP, (item[0][high] - item[0][low]) // 2):
            parts.append([])
            end = item[0][high]
        parts[-1].append(item)
        end = max(end, item[0][high])
    if len(parts) == 1:
        return [placed]  # in the order of the file
    places = {id(item[1]): number for number, item in enumerate(placed)}
    return [sorted(part, key=lambda item: places[id(item[1])]) for part in parts]


def _steps_back(parts: list[_Placed], numbers: dict[int, int]) -> int:
    """How often an order goes back in that of the file."""
    order = [numbers[id(shape)] for part in parts for _, shape in part]
    return sum(one > two for one, two in itertools.pairwise(order))


def _place_in_layout(shape: Element, layout: Element | None) -> tuple[int, int, int, int] | None:
    """The place that the slide's layout gives to a placeholder."""
    return next((place for other in placeholders_like(shape, layout) if (place := _place_of(other))), None)


def placeholders_like(shape: Element, layout: Element | None) -> Iterator[Element]:
    """The placeholders of a layout that one of a slide stands for."""
    kind, number = placeholder(shape), _index(shape)
    tree = child(layout, "cSld", "spTree") if kind else None
    for other in tree if tree is not None else ():
        if placeholder(other) and (_index(other) == number if number else placeholder(other) == kind):
            yield other


def _index(shape: Element) -> str:
    for inner in shape:
        if local(inner).startswith("nv"):
            return attribute(child(inner, "nvPr", "ph"), "idx")
    return ""


def placeholder(shape: Element) -> str:
    """The type of a placeholder, "obj" where it has none of its own; "" for another shape."""
    for inner in shape:
        if local(inner).startswith("nv"):
            place = child(inner, "nvPr", "ph")
            return attribute(place, "type") or "obj" if place is not None else ""
    return ""


def _place_of(shape: Element) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom of a shape, in English Metric Units; None where the slide does not say."""
    frame = child(shape, "xfrm")
    for properties in ("spPr", "grpSpPr"):
        frame = child(shape, properties, "xfrm") if frame is None else frame
    start, size = child(frame, "off"), child(frame, "ext")
    if start is None or size is None:
        return None
    left, top = (_signed(attribute(start, name)) for name in "xy")
    return left, top, left + whole(attribute(size, "cx"), 0), top + whole(attribute(size, "cy"), 0)


def _signed(text: str) -> int:
    return -whole(text[1:], 0) if text.startswith("-") else whole(text, 0)
