"""Lists of a page: the signs of their items, and the terms of definition lists."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from bs4 import Tag
from bs4.element import NavigableString

from rag.sources.html.tags import BLOCK_TAGS, below, box_of
from rag.sources.outline import CAPTION, EDGE, LONGEST_HEADING, OUTER_TERM
from rag.text.markers import MARKER

LISTS = ("ul", "ol", "menu")
_LONGEST_TERM = 60
"""Characters of a term in a definition list that stands in one line with what it is: "Monday: 9 to 17"."""
_AROUND, _ENDS = f"{EDGE} \n\r\t\f", ":?!.：？！。"
"""What stands around a term, and the ends of one that is a sentence or has its colon."""
_LIST_NEAR = 50
"""Levels above an item at which its list may stand."""
MOST_READ = 2000
"""Tags and texts of a list that are looked at for that."""
_SIGNED = re.compile(rf"(?:{MARKER})\s")
LONG_MEANING = 100
"""Characters of what a term means, from which on it is long: such terms are headings, as of options or functions."""


class Items:
    """The signs of a list's items: a dash, or the number that a browser shows."""

    def __init__(self) -> None:
        self._lists: dict[int, Tag | None] = {}
        self._last: dict[int, int] = {}
        self._sign = ""

    def begin(self, item: Tag) -> None:
        """An item begins; what is not in an ordered list has a dash."""
        above = self._lists[id(item)] = self._list_of(item)
        if above is None or above.name != "ol":
            self._sign = f"- {box_of(item)}"
            return
        step = -1 if "reversed" in above.attrs else 1
        if id(above) not in self._last:
            first = len(above.find_all("li", recursive=False)) if step < 0 else 1
            self._last[id(above)] = _whole(above.get("start"), first) - step
        self._last[id(above)] = number = _whole(item.get("value"), self._last[id(above)] + step)
        self._sign = f"{number}. {box_of(item)}"

    def _list_of(self, item: Tag) -> Tag | None:
        """The list of an item; one that nothing closes has the next items in it."""
        for parent in itertools.islice(item.parents, _LIST_NEAR):
            if parent.name in LISTS or id(parent) in self._lists:
                return self._lists.get(id(parent), parent)
        return None

    def tick(self, box: str) -> None:
        """A box of a list of tasks stands before the item's text."""
        self._sign += box

    def end(self) -> None:
        """An item ends, which may have had no text."""
        self._sign = ""

    def sign(self, text: str, kind: str) -> str:
        """What stands before an item's first text; nothing before a heading or code, or where a sign is written."""
        sign, self._sign = self._sign, ""
        return sign if kind in ("text", "folded", "list") and not _SIGNED.match(text) else ""


class Terms:
    """Terms of definition lists: a short one stands in one line with what follows it, "Monday: 9 to 17"."""

    def __init__(self) -> None:
        self._start = self._end = self._kept = 0

    def begin(self, tag: Tag, pieces: Sequence[str]) -> None:
        """A tag begins, where these pieces were read before it."""
        if tag.name == "dt":
            self._start = len(pieces)
        if tag.name != "dd":
            self._kept = self._kept if tag.name in ("p", "div", "span") or tag.name not in BLOCK_TAGS else 0
            return
        self._kept = 0
        if self._end < self._start:  # nothing closes the term
            self._end = len(pieces)
        term = "".join(pieces[self._start : self._end]).strip(_AROUND)
        if 0 < len(term) <= _LONGEST_TERM and term[-1] not in _ENDS and not "".join(pieces[self._end :]).strip(_AROUND):
            texts = (place for place in range(self._end, self._start, -1) if pieces[place - 1].strip(_AROUND))
            self._kept = next(texts)
        self._start = self._end = len(pieces)  # a term goes with one text; a page may have any number without one

    def end(self, pieces: Sequence[str]) -> None:
        """A term ends."""
        self._end = len(pieces)

    def join(self, kind: str) -> int:
        """How many pieces stay before a text that goes on the line of its term; 0 where it does not."""
        kept, self._kept = self._kept, 0
        return kept if kind in ("text", "list", "folded") else 0


def _whole(value: object, otherwise: int) -> int:
    """An attribute's whole number."""
    return int(found[0]) if (found := re.match(r"\s*-?\d{1,6}\b", str(value))) else otherwise


def level_of_terms(terms: Tag) -> int:
    """The level of the terms of a definition list as headings; 0 where what they mean is short.

    Terms with terms below them, as a class with its methods, are above these.
    """
    if not _tells_much(terms):
        return 0
    inner = (item for item in itertools.islice(below(terms), MOST_READ) if isinstance(item, Tag) and item.name == "dl")
    return OUTER_TERM if any(map(_tells_much, inner)) else CAPTION


def _tells_much(terms: Tag) -> bool:
    """Whether most of what the terms mean is long; the parameters of a function are told of with it."""
    if "field-list" in terms.get_attribute_list("class"):
        return False
    meanings = terms.find_all("dd", recursive=False)
    return 2 * sum(map(_is_long, meanings)) > len(meanings)


def _is_long(meaning: Tag) -> bool:
    length = 0
    for text in itertools.islice(below(meaning), MOST_READ):
        length += len(text.strip()) if isinstance(text, NavigableString) else 0
        if length >= LONG_MEANING:
            return True
    return False


def list_of_term(term: Tag) -> Tag | None:
    """The definition list of a term that may be a heading, being short and no label such as "Parameters:", or None."""
    parent = term.parent
    if term.name != "dt" or parent is None or parent.name != "dl":
        return None
    inner = list(itertools.islice(below(term), MOST_READ))
    if any(isinstance(item, Tag) and item.name in BLOCK_TAGS and item.name != "br" for item in inner):
        return None
    text = "".join(item for item in inner if isinstance(item, NavigableString)).strip()
    return parent if 0 < len(text) <= LONGEST_HEADING and not text.endswith((":", "：")) else None
