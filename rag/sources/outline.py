"""Text with its outline: cleaned, and with the place of every heading in it, exact to the character.

A heading is noted by a mark right before its first visible character. Cleaning only ever touches white space and
characters that nobody sees, so the mark stays in its place. Where it is taken out at the end, the section begins.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any

from bs4 import BeautifulSoup, CData, Tag
from bs4.element import NavigableString
from langchain_core.documents import Document

MARK = "\x02"
EDGE = "\x1e"
"""Marks the edge of a block; becomes a line break where the page's own white space has none."""
LONGEST_HEADING = 200

CAPTION = 7
"""Level of a mark at the caption of a table: below all headings, so that its rows are in a section of its name."""
AFTER_TABLE = 8
"""Level of a mark after such a table: what follows is in the section around the table again."""
Marks = list[tuple[int, str]]
"""Level (1 is outermost, 0 ends all sections, see also `CAPTION`) and anchor of each mark in a text."""

_BLOCKS = "address article aside blockquote dd details div dl dt figcaption figure footer form h1 h2 h3 h4 h5 h6 header"
_BLOCKS += " hr li main nav ol p pre section summary table td th tr ul br"
_BLOCK_TAGS = frozenset(_BLOCKS.split())
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_NOISE_TAGS = frozenset(["script", "style", "template", "noscript", "svg", "iframe", "button", "head", "title"])
_FRAME_TAGS = frozenset(["nav", "header", "footer", "aside"])
_BESIDE_TAGS = _FRAME_TAGS - {"header"}
_ENOUGH = 2000
"""Characters of prose that make a main content, even where the rest of the page, as its comments, has far more."""
_CONTAINERS = ("section", "article", "div", "header", "hgroup")
_NEAR = 4
"""Levels above a heading at which an element may lend it its id."""


def build_document(text: str, marks: Marks, metadata: dict[str, Any], *, markdown: bool = False) -> Document:
    """The cleaned text, with `sections` in its metadata: [start, headings from outermost to innermost, anchor]."""
    pieces = _cleaned(text).split(MARK)
    content = "".join(pieces)
    starts = itertools.accumulate(map(len, pieces[:-1]))
    sections: list[list[Any]] = []
    above: list[tuple[int, str, str]] = []
    for start, (level, anchor) in zip(starts, marks, strict=True):
        heading = _heading_at(content, start, markdown)
        if level not in (0, AFTER_TABLE) and not heading:
            continue
        above = [item for item in above if item[0] < min(level, CAPTION)]
        if level == AFTER_TABLE:
            anchor = above[-1][2] if above else ""
        elif level:
            above.append((level, heading, anchor))
        path = [name for _, name, _ in above]
        if path and path[0] == metadata.get("title"):
            del path[0]
        if sections and sections[-1][0] == start:  # a table's caption right after another section's end
            del sections[-1]
        sections.append([start, path, anchor])
    return Document(page_content=content, metadata={**metadata, "sections": sections})


def plain(text: str) -> str:
    """Without what neither the vector store nor a reader can use: NULs, marks of ours, lone surrogates."""
    return re.sub(f"[\0{MARK}]", "", text).encode("utf-8", "ignore").decode("utf-8")


def _cleaned(text: str) -> str:
    text = text.replace("\0", "").encode("utf-8", "ignore").decode("utf-8")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = "\n".join(line.rstrip(" \t\u00a0") for line in text.split("\n"))
    if EDGE in text:  # a look at every blank of a large text takes its time
        text = re.sub(rf"[\s{EDGE}]+", _line_breaks, text)
    return re.sub(r"\n{8,}", "\n\n", text).strip()


def _line_breaks(run: re.Match[str]) -> str:
    """White space between blocks has a line break; where the page itself has none, one is put in."""
    if EDGE not in run[0]:
        return run[0]
    return run[0].replace(EDGE, "") if "\n" in run[0] else "\n"


def _heading_at(text: str, start: int, markdown: bool) -> str:
    line = text[start : start + 4 * LONGEST_HEADING].partition("\n")[0]
    if markdown:
        line = _without_hashes(line.lstrip("#").strip())
    return _without_permalink(line)[:LONGEST_HEADING].strip()


def _without_permalink(heading: str) -> str:
    return re.sub(r"(?:\s+#|\s*[¶§🔗])$", "", heading.strip())


def _without_hashes(heading: str) -> str:
    """A Markdown heading without the marks that may close it, or the id that may follow it."""
    heading = re.sub(r"[ \t]\{#[^{}]*\}$", "", heading).rstrip()
    bare = heading.rstrip("#")
    return bare.rstrip() if bare != heading and bare[-1:] in ("", " ", "\t") else heading


# Markdown


def mark_markdown(text: str) -> tuple[str, Marks]:
    """The text with a mark before each heading: `#` and underlined ones, not those in code or in the front matter."""
    lines = plain(text).split("\n")
    marks: Marks = []
    fence = ""
    first = 0
    if lines[0].rstrip() == "---":
        first = next((i + 1 for i, line in enumerate(lines[1:200], 1) if line.rstrip() in ("---", "...")), 0)
    for number in range(first, len(lines)):
        line = lines[number]
        if found := re.match(r" {0,3}(`{3,}|~{3,})", line):
            if not fence:
                fence = found[1] if found[1][0] not in line[found.end() :] else ""
            elif found[1].startswith(fence) and not line[found.end() :].strip():
                fence = ""
            continue
        if fence:
            continue
        if found := re.match(r" {0,3}(#{1,6})(?=[ \t]|$)", line):
            if _without_hashes(line[found.end() :].strip()):
                lines[number] = f"{line[: found.start(1)]}{MARK}{line[found.start(1) :]}"
                marks.append((len(found[1]), ""))
        elif number + 1 < len(lines) and _is_underlined(lines, number, first):
            indent = len(line) - len(line.lstrip())
            lines[number] = f"{line[:indent]}{MARK}{line[indent:]}"
            marks.append((1 if "=" in lines[number + 1] else 2, ""))
    return "\n".join(lines), marks


def _is_underlined(lines: list[str], number: int, first: int) -> bool:
    """Whether this is a line of its own over one of `=` or `-`, and no list, quotation or table."""
    under, line = lines[number + 1], lines[number]
    if not under or not re.fullmatch(r" {0,3}(?:=+|-+)[ \t]*", under[:1000]):
        return False
    alone = number == first or not lines[number - 1].strip()
    return alone and bool(line.strip()) and not re.match(r"    |\t| {0,3}(?:[-*+>|=]|\d+[.)]\s)", line)


# HTML


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
    walk = _Walk(gap)
    walk.read(tag)
    return "".join(walk.pieces), walk.marks


def title_of_page(soup: BeautifulSoup) -> str:
    """What the page calls itself: `<title>`, but not one of a drawing, else its first heading."""
    for name in ("title", "h1"):
        for tag in soup.find_all(name, limit=50):
            if not any(parent.name == "svg" for parent in itertools.islice(tag.parents, 50)) and (
                title := " ".join(plain(tag.get_text(" ")).replace(EDGE, " ").split())
            ):
                return _without_permalink(title)[:LONGEST_HEADING].strip()
    return ""


class _Walk:
    """One way through a tree, in a loop: pages nest deeper than Python's stack, and changing the tree is quadratic."""

    def __init__(self, gap: str = "") -> None:
        self.pieces: list[str] = []
        self.marks: Marks = []
        self.has_text = False
        self.prose = 0  # characters outside headings and links
        self._gap = gap
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
        skipped = _NOISE_TAGS | without
        skipped_inside = skipped if wanted is None else _NOISE_TAGS
        inside = int(wanted is None)
        links = 0
        stack = [(root, iter(root.contents), False)]
        while stack:
            tag, children, opened = stack[-1]
            child = next(children, None)
            if child is None:
                stack.pop()
                if inside and (opened or tag.name in _BLOCK_TAGS):
                    self.pieces.append((self._gap if tag.name in ("p", "ul", "ol", *_HEADINGS) else "") + EDGE)
                if tag.name in _HEADINGS:
                    self._pending = None
                inside -= opened
                links -= _is_link(tag)
            elif not isinstance(child, Tag):
                if inside and type(child) in (NavigableString, CData):
                    self._add(str(child), prose=not links)
            elif child.name not in (skipped_inside if inside else skipped) and not _is_hidden(child):
                opens = not inside and wanted is not None and wanted(child)
                inside += opens
                if inside and (opens or child.name in _BLOCK_TAGS):
                    self.pieces.append(EDGE)
                if inside and headings and child.name in _HEADINGS:
                    if self._heading(child):
                        inside -= opens
                        continue
                elif not headings and _is_permalink(child):
                    continue
                links += _is_link(child)
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
        mark = (_HEADINGS[tag.name], self._anchor(tag))
        if any(isinstance(item, Tag) and item.name in _BLOCK_TAGS and item.name != "br" for item in _below(tag)):
            self._pending = mark
            return False
        line = _Walk()
        line.read(tag, headings=False)
        self._pending = mark
        self._add(" ".join(_without_permalink("".join(line.pieces).replace(EDGE, " ")).split()))
        self._pending = None
        self.pieces.append(self._gap + EDGE)
        return True

    def _anchor(self, tag: Tag) -> str:
        """The id of the heading, of something in it, of a link right before it, or of the part that it opens."""
        above = [parent for parent in itertools.islice(tag.parents, _NEAR) if parent.name in _CONTAINERS]
        free = [parent for parent in above if id(parent) not in self._claimed]
        self._claimed.update(map(id, above))
        inner = [item for item in itertools.islice(_below(tag), 50) if isinstance(item, Tag)]
        before = tag.previous_sibling
        while before is not None and not isinstance(before, Tag) and not str(before).strip():
            before = before.previous_sibling
        links = [before] if isinstance(before, Tag) and before.name == "a" and not before.get_text(strip=True) else []
        for item in [tag, *inner, *links, *free]:
            found = item.get("id") or (item.get("name") if item.name == "a" else "")
            if found:
                return plain(str(found)).strip()
        return ""


def _below(tag: Tag) -> Iterator[object]:
    """What is in a tag, in order. Beautiful Soup's `descendants` looks for the last one first, which takes long."""
    stack = [iter(tag.contents)]
    while stack:
        item = next(stack[-1], None)
        if item is None:
            stack.pop()
            continue
        yield item
        if isinstance(item, Tag):
            stack.append(iter(item.contents))


def _is_hidden(tag: Tag) -> bool:
    attributes = tag.attrs
    if not attributes:
        return False
    style = re.sub(r"\s", "", str(attributes.get("style", ""))[:2000]).lower()
    return (
        "hidden" in attributes
        or str(attributes.get("aria-hidden", "")).strip().lower() == "true"
        or "display:none" in style
    )


def _is_link(tag: Tag) -> bool:
    return tag.name == "a" and "href" in tag.attrs


def _is_permalink(tag: Tag) -> bool:
    """A link from a heading to itself, which shows as a sign and belongs to no text."""
    if tag.name != "a" or "#" not in str(tag.get("href", "")):
        return False
    text = tag.get_text(strip=True).casefold()
    return not any(map(str.isalnum, text)) or text in ("permalink", "link to this heading", "anchor")
