"""HTML becomes text with its outline: blocks are lines, headings are marked, each row of a table is a line."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from bs4 import BeautifulSoup, CData, Tag
from bs4.element import NavigableString

from rag.sources.html_table import Table, read_table
from rag.sources.outline import AFTER_TABLE, CAPTION, EDGE, LONGEST_HEADING, MARK, Marks, plain, without_permalink
from rag.sources.tags import BLOCK_TAGS, HEADINGS, NOISE_TAGS, below, is_hidden, is_link, is_permalink

_FRAME_TAGS = frozenset(["nav", "header", "footer", "aside"])
_BESIDE_TAGS = _FRAME_TAGS - {"header"}
_ENOUGH = 2000
"""Characters of prose that make a main content, even where the rest of the page, as its comments, has far more."""
_CONTAINERS = ("section", "article", "div", "header", "hgroup")
_NEAR = 4
"""Levels above a heading at which an element may lend it its id."""


def mark_page(soup: BeautifulSoup, classes: tuple[str, ...]) -> tuple[str, Marks]:
    """A page's main content, with its blocks' edges and its headings marked.

    It is what has one of `classes`, or all its articles but those in an aside, or its <main>, or else its body without
    what frames it: the first of them with `_ENOUGH` prose or a quarter of the body's. Prose is text outside headings
    and links; so a title with date and author, a list of linked titles, or teasers beside the text are no content.
    """
    page = _Walk()
    page.read(soup.body or soup, without=_FRAME_TAGS)
    beside = _BESIDE_TAGS if page.has_text else frozenset[str]()
    choices: list[tuple[Callable[[Tag], bool], frozenset[str]]] = [
        (lambda tag: not set(tag.get_attribute_list("class")).isdisjoint(classes), frozenset()),
        (lambda tag: tag.name == "article", beside),
        (lambda tag: tag.name == "main", frozenset()),
        (lambda tag: tag.get("role") == "main", frozenset()),
    ]
    for wanted, without in choices:
        walk = _Walk()
        walk.read(soup, wanted, without)
        if walk.prose and walk.prose >= min(page.prose / 4, _ENOUGH):
            return "".join(walk.pieces), walk.marks
    return "".join(page.pieces), page.marks


def mark_html(tag: Tag, *, gap: str = "") -> tuple[str, Marks]:
    """All visible text below `tag`, its headings marked; `gap` comes after paragraphs, lists and headings."""
    walk = _Walk(gap, on_page=False)
    walk.read(tag)
    return "".join(walk.pieces), walk.marks


def title_of_page(soup: BeautifulSoup) -> str:
    """What the page calls itself: `<title>`, but not one of a drawing, else its first heading."""
    for name in ("title", "h1"):
        for tag in soup.find_all(name, limit=50):
            if not any(parent.name == "svg" for parent in itertools.islice(tag.parents, 50)) and (
                title := " ".join(plain(tag.get_text(" ")).replace(EDGE, " ").split())
            ):
                return without_permalink(title)[:LONGEST_HEADING].strip()
    return ""


class _Walk:
    """One way through a tree, in a loop: pages nest deeper than Python's stack, and changing the tree is quadratic."""

    def __init__(self, gap: str = "", *, on_page: bool = True) -> None:
        self.pieces: list[str] = []
        self.marks: Marks = []
        self.has_text = False
        self.prose = 0  # characters outside headings and links
        self._gap = gap
        self._on_page = on_page
        self._pending: tuple[int, str] | None = None
        self._claimed: set[int] = set()

    def read(
        self,
        root: Tag,
        wanted: Callable[[Tag], bool] | None = None,
        without: frozenset[str] = frozenset(),
        headings: bool = True,
    ) -> None:
        """Add the visible text below `root` that is not in tags `without`; with `wanted`, all of what it accepts."""
        noise = NOISE_TAGS if headings else NOISE_TAGS - {"button"}  # a heading may be one that folds its part
        skipped = noise | without
        skipped_inside = skipped if wanted is None else noise
        inside = int(wanted is None)
        links = 0
        stack = [(root, iter(root.contents), False)]
        while stack:
            tag, children, opened = stack[-1]
            child = next(children, None)
            if child is None:
                stack.pop()
                if inside and (opened or tag.name in BLOCK_TAGS):
                    self.pieces.append((self._gap if tag.name in ("p", "ul", "ol", *HEADINGS) else "") + EDGE)
                if tag.name in HEADINGS:
                    self._pending = None
                inside -= opened
                links -= is_link(tag)
            elif not isinstance(child, Tag):
                if inside and type(child) in (NavigableString, CData):
                    self._add(str(child), prose=not links)
            elif child.name not in (skipped_inside if inside else skipped) and not is_hidden(child):
                opens = not inside and wanted is not None and wanted(child)
                inside += opens
                if inside and (opens or child.name in BLOCK_TAGS):
                    self.pieces.append(EDGE)
                if inside and headings and child.name in HEADINGS:
                    if self._heading(child):
                        inside -= opens
                        continue
                elif inside and headings and child.name == "table":
                    if table := read_table(child, on_page=self._on_page):
                        self._table(child, table)
                        inside -= opens
                        continue
                elif not headings and is_permalink(child):
                    continue
                links += is_link(child)
                stack.append((child, iter(child.contents), opens))

    def _add(self, text: str, *, prose: bool = False) -> None:
        text = plain(text)
        seen = text.lstrip()
        if seen:
            self.has_text = True
            self.prose += len(seen.rstrip()) if prose else 0
            if self._pending:
                self.marks.append(self._pending)
                self._pending = None
                text = text[: len(text) - len(seen)] + MARK + seen
        self.pieces.append(text)

    def _heading(self, tag: Tag) -> bool:
        """Add a heading as one line. False if it has blocks in it, as an unclosed one has: then it is read on into."""
        mark = (HEADINGS[tag.name], self._anchor(tag))
        if any(isinstance(item, Tag) and item.name in BLOCK_TAGS and item.name != "br" for item in below(tag)):
            self._pending = mark
            return False
        line = _Walk()
        line.read(tag, headings=False)
        self._pending = mark
        self._add(" ".join(without_permalink("".join(line.pieces).replace(EDGE, " ")).split()))
        self._pending = None
        self.pieces.append(self._gap + EDGE)
        return True

    def _table(self, tag: Tag, table: Table) -> None:
        """Add a table's caption as a heading of its rows, and each row as a line."""
        if table.caption:
            self._pending = self._pending or (CAPTION, plain(str(tag.get("id") or "")).strip())
            self._add(table.caption)
            self.pieces.append(EDGE)
        for line in table.lines:
            self._add(line, prose=True)
            self.pieces.append(EDGE)
        if table.caption:
            self._pending = (AFTER_TABLE, "")
        self.pieces.append(self._gap + EDGE)

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
