"""The numbers of lists and headings of OpenDocument, which a file does not hold but has its readers count."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from rag.sources.office.list_numbers import chinese, letters, letters_as_digits, roman
from rag.sources.office.odf_styles import Styles
from rag.sources.xml_tree import Element, attribute, below, child, local, whole

_SKIPPED = frozenset(["tracked-changes", "forms", "annotation"])
_MOST_LEVELS = 10
_BULLET = "list-level-style-bullet"
_OUTLINE = "Outline"
"""The list style of headings, as LibreOffice calls it."""


@dataclass
class _List:
    """A list that is being read. Lists in its items share its `counts`, and so does a list that goes on with it."""

    style: str
    level: int
    goes_on: bool
    counts: dict[int, int] = field(default_factory=dict)


@dataclass
class _Item:
    """An item that is being read; `waits`: for its first paragraph, which has the number."""

    style: str
    start: str
    waits: bool


@dataclass(frozen=True)
class Place:
    """Where a paragraph is in lists: `level` 0 is outside of them; `number`: in front of it, "-" for a bullet."""

    level: int
    number: str = ""

    def in_front_of(self, text: str, *, as_list: bool) -> str:
        """The text of a paragraph with its number; `as_list`: also with its bullet, and indented by its level."""
        number = self.number if as_list or self.number != "-" else ""
        indent = "  " * (self.level - 1) if as_list else ""
        return f"{indent}{number} {text}" if number else f"{indent}{text}"


class Numbers:
    """The numbers in front of the paragraphs of a text, as a reader sees them: "2.", "iv.", "2.3.1"."""

    def __init__(self, trees: Iterable[Element], paragraphs: Styles) -> None:
        self._paragraphs = paragraphs
        self._styles: dict[str, dict[int, Element]] = {}
        for tree in trees:
            for style in below(tree, "list-style"):
                self._styles[attribute(style, "name")] = _levels(style)
            for style in below(tree, "outline-style"):
                self._styles[_OUTLINE] = _levels(style)
        self._lists: list[_List] = []
        self._items: list[_Item] = []
        self._by_id: dict[str, dict[int, int]] = {}
        self._last: dict[str, dict[int, int]] = {}
        self._headings: dict[int, int] = {}
        self._found: dict[Element, Place] = {}

    def read(self, body: Element) -> dict[Element, Place]:
        """The place of each paragraph in a list and of each heading with a number."""
        from lxml import etree

        walk = etree.iterwalk(body, events=("start", "end"))
        for event, item in walk:
            name = local(item)
            if event == "start":
                if name in _SKIPPED:
                    walk.skip_subtree()
                else:
                    self._begin(item, name)
            elif name in ("list", "numbered-paragraph"):
                self._lists.pop()
            if event == "end" and name in ("list-item", "list-header", "numbered-paragraph"):
                self._items.pop()
        return self._found

    def _begin(self, item: Element, name: str) -> None:
        if name == "list":
            self._begin_list(item)
        elif name in ("list-item", "list-header"):
            start, style = attribute(item, "start-value"), attribute(item, "style-override")
            self._items.append(_Item(style, start, waits=name == "list-item"))
        elif name == "numbered-paragraph":
            level, style = whole(attribute(item, "level"), 1), attribute(item, "style-name")
            counts = self._by_id.setdefault(attribute(item, "list-id") or style, {})
            self._lists.append(_List(style, min(level, _MOST_LEVELS), True, counts))
            self._items.append(_Item("", attribute(item, "start-value"), waits=True))
        elif name in ("p", "h") and self._items and self._lists:
            self._number_item(item, self._lists[-1], self._items[-1])
        elif name == "h":
            self._number_heading(item)

    def _begin_list(self, item: Element) -> None:
        above = self._lists[-1] if self._lists and self._items else None
        style = attribute(item, "style-name") or (above.style if above else "")
        goes_on = attribute(item, "continue-numbering") == "true"
        if above:
            opened = _List(style, min(above.level + 1, _MOST_LEVELS), above.goes_on, above.counts)
            if not (goes_on or above.goes_on):
                opened.counts.pop(opened.level, None)
        else:
            before = self._by_id.get(attribute(item, "continue-list"))
            if before is None and goes_on:
                before = self._last.get(style)
            opened = _List(style, 1, before is not None, before if before is not None else {})
            self._last[style] = opened.counts
        if identity := attribute(item, "id"):
            self._by_id[identity] = opened.counts
        self._lists.append(opened)

    def _number_item(self, paragraph: Element, opened: _List, item: _Item) -> None:
        if not item.waits:
            self._found[paragraph] = Place(opened.level)
            return
        item.waits = False
        levels = self._styles.get(item.style or opened.style, {})
        counted = _counted(levels, opened.counts, opened.level, item.start)
        number = _told(paragraph) or counted
        kind = local(levels[opened.level]) if opened.level in levels else _BULLET
        self._found[paragraph] = Place(opened.level, number or ("-" if kind != "list-level-style-number" else ""))

    def _number_heading(self, heading: Element) -> None:
        level = whole(attribute(heading, "outline-level"), 1)
        numbered = self._paragraphs.are_numbered(attribute(heading, "style-name"))
        if numbered and attribute(heading, "is-list-header") != "true" and 0 < level <= _MOST_LEVELS:
            restarts = attribute(heading, "restart-numbering") == "true"
            start = attribute(heading, "start-value") or ("1" if restarts else "")
            counted = _counted(self._styles.get(_OUTLINE, {}), self._headings, level, start)
            self._found[heading] = Place(0, _told(heading) or counted)


def _told(paragraph: Element) -> str:
    """The number of a paragraph as the program that wrote the file has shown it."""
    told = child(paragraph, "number")
    return (told.text or "").strip() if told is not None else ""


def _levels(style: Element) -> dict[int, Element]:
    return {whole(attribute(item, "level"), 0): item for item in style if local(item)}


def _counted(levels: dict[int, Element], counts: dict[int, int], level: int, start: str) -> str:
    """Count one item of a level, and give its number as it is shown; "" for a bullet or none."""
    own = levels.get(level)
    if start:
        counts[level] = whole(start, 1)
    else:
        counts[level] = counts[level] + 1 if level in counts else _start(own)
    for deeper in [place for place in counts if place > level]:
        del counts[deeper]
    if own is None or not attribute(own, "num-format"):
        return ""

    def shown(place: int) -> str:
        return _written(levels.get(place), counts.get(place, _start(levels.get(place))))

    if pattern := attribute(own, "num-list-format"):
        return re.sub(r"%(\d\d?)%", lambda found: shown(int(found[1])), pattern).strip()
    many = min(whole(attribute(own, "display-levels"), 1), level)
    numbers = filter(None, (shown(place) for place in range(level - many + 1, level + 1)))
    return f"{attribute(own, 'num-prefix')}{'.'.join(numbers)}{attribute(own, 'num-suffix')}".strip()


def _written(level: Element | None, number: int) -> str:
    """The number of a level in its own way; "" where it is a bullet or nothing."""
    kind = attribute(level, "num-format")
    if kind in ("a", "A"):
        text = (letters if attribute(level, "num-letter-sync") == "true" else letters_as_digits)(number)
        return text.upper() if kind == "A" else text
    return _WAYS.get(kind, str)(number) if kind else ""


def _start(level: Element | None) -> int:
    return whole(attribute(level, "start-value"), 1)


_WAYS: dict[str, Callable[[int], str]] = {
    "i": roman,
    "I": lambda number: roman(number).upper(),
    "01, 02, 03, ...": lambda number: f"{number:02}",
    "一, 二, 三, ...": chinese,
}
"""How a number is written, beside letters; any other way: in digits."""
