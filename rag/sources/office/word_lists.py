"""Lists of Word: which list a paragraph is in, and the number in front of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from rag.sources.office.list_numbers import chinese, letters, roman
from rag.sources.xml_tree import Element, attribute, child, children, is_on, whole

_DEEPEST_LIST = 9
_MOST_LINKS = 20
"""Lists that are defined by the style of another list."""


@dataclass(frozen=True)
class _List:
    """A list (`w:num`).

    Attributes:
        plan: the id of the plan (`w:abstractNum`) whose numbers it goes on with.
        levels: by how deep they are.
        starts: the numbers with which levels of this list begin anew.
    """

    plan: str
    levels: dict[int, Element]
    starts: dict[int, int] = field(default_factory=dict)

    def start(self, depth: int) -> int:
        """The first number of a level: 0 if the level does not say (ECMA-376, 17.9.25), 1 if there is no level."""
        if depth in self.starts:
            return self.starts[depth]
        return whole(attribute(child(self.levels[depth], "start"), "val"), 0) if depth in self.levels else 1


class Lists:
    """The lists of a file, and how far their numbers have come."""

    def __init__(self, numbering: Element | None, styles: Mapping[str, Element]) -> None:
        plans = {attribute(item, "abstractNumId"): item for item in children(numbering, "abstractNum")}
        plan_of = {
            attribute(item, "numId"): attribute(child(item, "abstractNumId"), "val")
            for item in children(numbering, "num")
        }
        self._lists: dict[str, _List] = {}
        for item in children(numbering, "num"):
            name = attribute(item, "numId")
            own = plan_of[name]
            plan = plans.get(own)
            for _ in range(_MOST_LINKS):
                style = styles.get(attribute(child(plan, "numStyleLink"), "val"))
                if style is None:
                    break
                plan = plans.get(plan_of.get(attribute(child(style, "pPr", "numPr", "numId"), "val"), ""))
            found = _List(own, {_level(level): level for level in children(plan, "lvl")})
            for change in children(item, "lvlOverride"):
                if (level := child(change, "lvl")) is not None:
                    found.levels[_level(change)] = level
                if (start := child(change, "startOverride")) is not None:
                    found.starts[_level(change)] = whole(attribute(start, "val"), 0)
            self._lists[name] = found
        self._counts: dict[str, dict[int, int]] = {}
        self._said: dict[Element, list[Element]] = {}
        self._begun: set[tuple[str, int]] = set()

    def place_of(self, own: Element | None, styles: list[Element]) -> tuple[str, int]:
        """The id of the list that a paragraph is in, or "", and how deep, by its own settings and its styles."""
        depth = ""
        for numbers in (child(own, "numPr"), *self._numbers_of(styles)):
            if numbers is None:
                continue
            depth = depth or attribute(child(numbers, "ilvl"), "val")
            identity = attribute(child(numbers, "numId"), "val")
            if identity:
                deep = int(depth) if depth.isdecimal() else self._depth_of_style(identity, styles)
                return ("" if identity == "0" else identity), min(deep, _DEEPEST_LIST)
        return "", 0

    def style_of(self, identity: str, depth: int) -> str:
        """The style that is tied to a level of a list, or ""."""
        return attribute(child(self._level_at(identity, depth), "pStyle"), "val")

    def has_number(self, identity: str, depth: int) -> bool:
        """Whether what stands in front of a paragraph is a number, and no bullet."""
        level = self._level_at(identity, depth)
        return level is not None and _format(level) not in ("bullet", "none")

    def _level_at(self, identity: str, depth: int) -> Element | None:
        return self._lists[identity].levels.get(depth) if identity in self._lists else None

    def next_number(self, identity: str, depth: int) -> str:
        """The number that Word shows in front of the next paragraph, such as "2.1"; "" for none; counts it."""
        if identity not in self._lists:
            return ""
        found = self._lists[identity]
        counts = self._counts.setdefault(found.plan, {})
        if depth in found.starts and (identity, depth) not in self._begun:
            counts.pop(depth, None)
        self._begun.add((identity, depth))
        counts[depth] = counts[depth] + 1 if depth in counts else found.start(depth)
        for deeper in [place for place in counts if place > depth and _begins_anew(found.levels.get(place), depth)]:
            del counts[deeper]
        level = found.levels.get(depth)
        if level is None or _format(level) in ("bullet", "none") or is_on(child(level, "rPr", "vanish")):
            return ""

        def number(match: re.Match[str]) -> str:
            place = int(match[1]) - 1
            shown = "decimal" if is_on(child(level, "isLgl")) else _format(found.levels.get(place))
            return "" if shown == "none" else _NUMBERS.get(shown, str)(counts.get(place, found.start(place)))

        return re.sub(r"%([1-9])", number, attribute(child(level, "lvlText"), "val")).strip()

    def _numbers_of(self, styles: list[Element]) -> list[Element]:
        """What styles say of lists."""
        if not styles:
            return []
        if styles[0] not in self._said:
            found = (child(style, "pPr", "numPr") for style in styles)
            self._said[styles[0]] = [numbers for numbers in found if numbers is not None]
        return self._said[styles[0]]

    def _depth_of_style(self, identity: str, styles: list[Element]) -> int:
        """The level of a list that is tied to a style of a paragraph."""
        names = {attribute(style, "styleId") for style in styles}
        levels = self._lists[identity].levels if identity in self._lists else {}
        return next((place for place, item in levels.items() if attribute(child(item, "pStyle"), "val") in names), 0)


def _level(item: Element) -> int:
    text = attribute(item, "ilvl")
    return min(int(text), _DEEPEST_LIST) if text.isdecimal() else 0


def _format(level: Element | None) -> str:
    return attribute(child(level, "numFmt"), "val") or "decimal"


def _begins_anew(level: Element | None, depth: int) -> bool:
    """Whether the numbers of a level begin anew after a paragraph at `depth`, which is less deep."""
    text = attribute(child(level, "lvlRestart"), "val")
    return depth < int(text) if text.isdecimal() else True


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


_NUMBERS: dict[str, Callable[[int], str]] = {
    "lowerLetter": letters,
    "upperLetter": lambda number: letters(number).upper(),
    "lowerRoman": roman,
    "upperRoman": lambda number: roman(number).upper(),
    "decimalZero": lambda number: f"{number:02}",
    "ordinal": _ordinal,
    "chineseCounting": chinese,
    "chineseCountingThousand": chinese,
    "japaneseCounting": chinese,
    "taiwaneseCounting": chinese,
    "taiwaneseCountingThousand": chinese,
}
"""How a number is written; any other way: in digits."""
