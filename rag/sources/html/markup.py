"""HTML becomes text with its outline: blocks are lines, headings are marked, each row of a table is a line."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Callable
from typing import NamedTuple

from bs4 import BeautifulSoup, CData, Tag
from bs4.element import NavigableString

from rag.sources.html.beside import is_beside, is_caption
from rag.sources.html.lists import LISTS, Items, Terms, level_of_terms, list_of_term
from rag.sources.html.table import Table, is_table, read_table
from rag.sources.html.tags import (
    BLOCK_TAGS,
    HEADINGS,
    NOISE_TAGS,
    are_two_labels,
    below,
    box_of,
    description_of,
    holds_heading,
    is_all_linked,
    is_code,
    is_hidden,
    is_label_beside,
    is_line_number,
    is_link,
    is_note_reference,
    is_panel,
    is_permalink,
    is_struck,
    is_title,
    is_wiki_sign,
)
from rag.sources.outline import (
    AFTER_TABLE,
    AFTER_TERMS,
    CAPTION,
    EDGE,
    MARK,
    OUTER_TERM,
    Marks,
    plain,
    without_permalink,
)

PICTURE = "Picture"
"""The word before what a picture shows."""
_MOST_BESIDE = 20
_SOFT_HYPHEN = "\u00ad"
_KINDS = {"dl": "list", "details": "folded", "figure": "caption", "figcaption": "caption"}
_WHITE = re.compile(r"[ \n\r\t\f]+")
_CONTAINERS = ("section", "article", "div", "header", "hgroup")
LOWEST = max(HEADINGS.values())
"""The level of a title that a class tells, and no tag."""
_NEAR = 4
"""Levels above a heading at which an element may lend it its id."""


def mark_html(tag: Tag) -> tuple[str, Marks]:
    """All visible text below `tag`, its headings marked."""
    walk = Walk(on_page=False)
    walk.read(tag)
    return walk.text(), walk.marks


def root_of(soup: BeautifulSoup) -> Tag:
    """What holds the page's text: its body, or all if nothing closes the head."""
    if soup.body is None and soup.head is not None and soup.head.find(["p", "div", "main"]):
        return soup.head
    return soup.body or soup


class Place(NamedTuple):
    """Where a text stands on its page.

    Attributes:
        kind: "heading", "code", "table", "list" (a definition list), "folded" (a part that is opened with a click),
            "caption" (of a picture), "picture" (what it shows, by its description), or "text".
        group: the number of the table, code, list or folded part; 0 for other text.
        parent: the identity of the tag around its block, which it shares with its neighbours.
        level: of a heading, from 1; else 0.
        linked: whether it is in a link.
        beside: the identities of the parts around it that are called what stands beside a text, as navigation.
        listed: the identity of the tag around the outermost list that it is in; 0 outside lists.
    """

    kind: str = "text"
    group: int = 0
    parent: int = 0
    level: int = 0
    linked: bool = False
    beside: tuple[int, ...] = ()
    listed: int = 0


_NOWHERE = Place("edge")


class Walk:
    """One way through a tree, in a loop: pages nest deeper than Python's stack, and changing the tree is quadratic.

    Attributes:
        pieces: the texts, and between them the edges of blocks.
        places: where each of the pieces stands.
        cells: the texts of a table's cells, by the number of its group.
    """

    def __init__(self, *, on_page: bool = True, panels: frozenset[str] = frozenset()) -> None:
        self.pieces: list[str] = []
        self.places: list[Place] = []
        self.cells: dict[int, list[str]] = {}
        self.marks: Marks = []
        self.has_text = False
        self.prose = 0  # characters outside headings and links
        self._on_page = on_page
        self._panels = panels
        self._groups = 0
        self._pending: tuple[int, str] | None = None
        self._ended = 0
        """Level of a mark after terms that have ended, 0 if there is none; another may follow it in the same place."""
        self._items = Items()
        self._signs: dict[int, str] = {}
        self._claimed: set[int] = set()
        self._terms = Terms()
        self._terms_levels: dict[int, int] = {}

    def text(self, first: int = 0, end: int | None = None) -> str:
        """The pieces from `first` to `end` as one text, the items of lists with their signs ("- ", "1. ")."""
        found = self.pieces[first:end]
        for number, piece in enumerate(found, first):
            if sign := self._signs.get(number):
                seen = piece.lstrip()
                found[number - first] = piece[: len(piece) - len(seen)] + sign + seen
        return "".join(found)

    def read(
        self,
        root: Tag,
        wanted: Callable[[Tag], bool] | None = None,
        without: frozenset[str] = frozenset(),
        headings: bool = True,
    ) -> None:
        """Add the visible text below `root` that is not in tags `without`; with `wanted`, all of what it accepts."""
        inside = int(wanted is None)
        stack = [(root, iter(root.contents), False, Place())]
        while stack:
            tag, children, opened, place = stack[-1]
            child = next(children, None)
            if child is None:
                stack.pop()
                if inside and (opened or tag.name in BLOCK_TAGS):
                    self._edge()
                if tag.name in HEADINGS:
                    self._pending = None
                elif tag.name == "li":
                    self._items.end()
                elif tag.name == "dt":
                    self._terms.end(self.pieces)
                elif level := self._terms_levels.get(id(tag)):
                    self._ended = AFTER_TERMS if level == OUTER_TERM else AFTER_TABLE
                inside -= opened
            elif not isinstance(child, Tag):
                if inside and type(child) in (NavigableString, CData):
                    self._add(str(child), place)
            elif not self._is_left_out(child, tag, headings) and (child.name not in without or (inside and wanted)):
                opens = not inside and wanted is not None and wanted(child)
                inside += opens
                if inside and (opens or child.name in BLOCK_TAGS):
                    self._edge()
                if inside and headings and (self._is_whole(child, place) or self._is_note_number(child, place)):
                    inside -= opens
                    continue
                if child.name == "li":
                    self._items.begin(child)
                if inside and tag.name != "dt" and is_label_beside(child):
                    self._part_labels(child, place)
                self._terms.begin(child, self.pieces)
                stack.append((child, iter(child.contents), opens, self._place(child, place)))

    def _is_left_out(self, tag: Tag, parent: Tag, headings: bool) -> bool:
        if tag.name in NOISE_TAGS and not (tag.name == "button" and (not headings or holds_heading(tag, parent))):
            return True
        if (
            is_line_number(tag)
            or is_struck(tag.name, tag.attrs)
            or is_wiki_sign(tag.name, tag.get_attribute_list("class"))
            or ((not headings or parent.name == "dt") and is_permalink(tag))
        ):
            return True
        return is_hidden(tag.attrs) and not is_panel(tag.name, tag.attrs, self._panels)

    def _is_whole(self, tag: Tag, place: Place) -> bool:
        """Add a heading or a table that is read as a whole, or what a picture shows. False where a tag has more."""
        if tag.name in HEADINGS:
            return self._heading(tag, HEADINGS[tag.name], place)
        if self._on_page and place.kind == "text" and is_title(tag):
            return self._heading(tag, LOWEST, place)
        if self._on_page and (terms := list_of_term(tag)) and (level := self._level_of(terms)):
            return self._heading(tag, level, place)
        if is_table(tag) and (table := read_table(tag, on_page=self._on_page)):
            self._table(tag, table, place)
            return True
        if place.listed and tag.name != "li" and (box := box_of(tag)):
            self._items.tick(box)
        if tag.name == "img" and not self._pending and (text := description_of(tag)):
            self._edge()
            self._add(f"{PICTURE}: {text}", place._replace(kind="picture", linked=False))
            self._edge()
        return False

    def _level_of(self, terms: Tag) -> int:
        """The level of the terms of a definition list as headings; 0 where they are none."""
        if id(terms) not in self._terms_levels:
            self._terms_levels[id(terms)] = level_of_terms(terms)
        return self._terms_levels[id(terms)]

    def _is_note_number(self, tag: Tag, place: Place) -> bool:
        """Add the number of a footnote in brackets, else it would be part of the word. False for other tags."""
        if not is_note_reference(tag.attrs) or not (number := "".join(tag.get_text().split()).strip("[]()")):
            return False
        self._add(f"[{plain(number)}]", place)
        return True

    def _place(self, tag: Tag, place: Place) -> Place:
        """Where the texts in a tag stand, when the tag stands at `place`."""
        kind, group = place.kind, place.group
        found = "code" if is_code(tag) else _KINDS.get(tag.name, "")
        if tag.attrs and not found:
            if is_hidden(tag.attrs):
                found = "folded"  # else it would not be read
            elif is_caption(tag):
                found = "caption"
        if found and kind not in ("code", "table"):
            self._groups += 1
            kind, group = found, self._groups
        linked = place.linked or is_link(tag)
        beside = (*place.beside, id(tag)) if len(place.beside) < _MOST_BESIDE and is_beside(tag) else place.beside
        parent = id(tag.parent) if tag.name in BLOCK_TAGS and tag.name != "br" else place.parent
        listed = place.listed or (id(tag.parent) if tag.name in LISTS else 0)
        return Place(kind, group, parent, place.level, linked, beside, listed)

    def _edge(self) -> None:
        self.pieces.append(EDGE)
        self.places.append(_NOWHERE)

    def _add(self, text: str, place: Place) -> None:
        text = unicodedata.normalize("NFC", plain(text).replace(_SOFT_HYPHEN, ""))
        seen = text.lstrip()
        if seen and place.kind not in ("code", "table"):  # a line break in the file is none on the page
            text = _WHITE.sub(" ", text)
            seen = text.lstrip()
        if seen and (kept := self._terms.join(place.kind)):
            del self.pieces[kept:], self.places[kept:]
            self.pieces[-1] = self.pieces[-1].rstrip() + ":"
            text = f" {seen}"
        if seen:
            if sign := self._items.sign(seen, place.kind):
                self._signs[len(self.pieces)] = sign
            self.has_text = True
            self.prose += len(seen.rstrip()) if not place.linked and place.kind not in ("heading", "picture") else 0
            waiting = [(self._ended, "")] if self._ended else []
            waiting += [self._pending] if self._pending else []
            self.marks += waiting
            self._pending, self._ended = None, 0
            text = text[: len(text) - len(seen)] + MARK * len(waiting) + seen
        self.pieces.append(text)
        self.places.append(place)

    def _part_labels(self, tag: Tag, place: Place) -> None:
        """Put a blank between two labels that the page's style parts: "Date" beside "3 May"."""
        before = self.pieces[-1][-2:] if self.pieces else ""
        first = next((str(item) for item in below(tag) if isinstance(item, NavigableString)), "")
        if place.kind not in ("code", "table") and are_two_labels(before, first):
            self._add(" ", place)

    def _heading(self, tag: Tag, level: int, place: Place) -> bool:
        """Add a heading as one line. False if it has blocks in it, as an unclosed one has: then it is read on into."""
        mark = (level, self._anchor(tag))
        if any(isinstance(item, Tag) and item.name in BLOCK_TAGS and item.name != "br" for item in below(tag)):
            self._pending = mark
            return False
        line = Walk()
        line.read(tag, headings=False)
        self._pending = mark
        text = " ".join(without_permalink("".join(line.pieces).replace(EDGE, " ")).split()).removesuffix("[source]")
        within = self._place(tag, place)
        within = within._replace(kind="heading", level=level, linked=within.linked or is_all_linked(tag))
        self._add(text, within)
        self._pending = None
        self._edge()
        return True

    def _table(self, tag: Tag, table: Table, place: Place) -> None:
        """Add a table's caption as a heading of its rows, and each row as a line."""
        self._groups += 1
        place = self._place(tag, place)._replace(kind="table", group=self._groups)
        self.cells[self._groups] = table.cells
        if table.caption:
            self._pending = self._pending or (CAPTION, plain(str(tag.get("id") or "")).strip())
            self._add(table.caption, place)
            self._edge()
        for line in table.lines:
            self._add(line, place)
            self._edge()
        if table.caption:
            self._pending = (AFTER_TABLE, "")
        self._edge()

    def _anchor(self, tag: Tag) -> str:
        """The id of the heading, of something in it, of a link right before it, or of the part that it opens."""
        above = [parent for parent in itertools.islice(tag.parents, _NEAR) if parent.name in _CONTAINERS]
        free = [parent for parent in above if id(parent) not in self._claimed]
        self._claimed.update(map(id, above))
        inner = [item for item in itertools.islice(below(tag), 50) if isinstance(item, Tag)]
        before = tag.previous_sibling
        while before is not None and not isinstance(before, Tag) and not str(before).strip():
            before = before.previous_sibling
        links = [before] if isinstance(before, Tag) and before.name == "a" and not before.get_text(strip=True) else []
        for item in [tag, *inner, *links, *free]:
            found = item.get("id") or (item.get("name") if item.name == "a" else "")
            if found:
                return plain(str(found)).strip()
        return ""
