"""A model's answer as Markdown for the page: what is code or a formula stays so, all else reads as a person means it.

HTML, prices and paths are shown as they are written, formulas as formulas, and marks stand where they break nothing.
`as_written` takes it back. `plain` is for text that is no Markdown at all.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from markdown_it import MarkdownIt

_FORGED = re.compile(r"#(?:(?:quote|none)-)+")
_BLOCKS = MarkdownIt("commonmark", {"inline_definitions": True, "html": False}).enable("table")
_BLOCKS.core.ruler.enableOnly(["normalize", "block"])
_CODE = frozenset(("fence", "code_block"))
_WITHOUT_MARKS = _CODE | {"table_open", "definition"}
"""Blocks that a mark would break, or be text in."""
_FORMULA = re.compile(r"\$\$[\s\S]+?\$\$|(?<!\\)\\\[(?:(?!(?<!\\)\\\[|\n[ \t]*\n)[\s\S])+?\\\]")
_DOLLARS = r"(?<![\\$\w])\$(?=[^\s$])[^$\n]{0,300}?(?<=[^\s\\$])\$(?![\w$])"
"""A formula between single dollars, by Pandoc's rule: no space within either, no digit behind: prices are none."""
_INLINE = re.compile(
    rf"(?P<formula>\\\((?:(?!\\\()[\s\S])+?\\\)|(?P<dollars>{_DOLLARS}))"
    r"|(?P<code>(?<!`)(?P<ticks>`+)(?!`)[\s\S]{1,2000}?(?<!`)(?P=ticks)(?!`))"
    r"|(?P<address><(?:https?://|mailto:)[^\s<>]+>)"
    r"|(?P<open>\[)"
    r"|\](?P<link>\((?:[^()\\]|\\.|\([^()]{0,300}\)){0,1000}\)|\[[^\[\]]{0,300}\])?"
    r"|\\[^\w\s]|`+"
)
_ADDRESS = re.compile(r"(?:https?|ftp)://|\bwww\.", re.I)
_TAG = re.compile(r"<(?=[A-Za-z/!?])(?!/?(?:br|sub|sup)\s*/?>|(?:https?://|mailto:)[^\s<>]+>)", re.I)
"""What begins a tag, but for line breaks and indices, and is no bare address."""
_PATH = re.compile(
    r"(?<![^\s\"'(\[*_])(?:[A-Za-z]:\\|\\\\\w|~/|\.{0,2}/(?=[\w.~])|[\w.-]+\\(?=[A-Za-z0-9.]))[^\s\"'`<>|()\[\]]*(?<![*_])"
)
_NO_EMPHASIS = re.compile(
    r"(?<![\w*_])__(?:init|main|name|file|doc|dict|class|call|str|repr|len|iter|next|enter|exit|new|del|eq|hash|all|version"
    r"|getitem|setitem|contains|slots|future|import|bool|getattr|post_init|pycache)__(?![\w*])|(?<=\d)\*(?=\d)"
)
"""A name of Python's own, such as `__init__`, and a product: 2*3*4."""
_LITERAL = {"<": "&lt;", "\\": "&#92;", "_": "&#95;", "*": "&#42;", "~": "&#126;"}
_WRITTEN = {entity: character for character, entity in _LITERAL.items()}


class Place(NamedTuple):
    """A part of an answer that a mark within would break; `block`: a mark right behind it would, too."""

    start: int
    end: int
    block: bool


class Edit(NamedTuple):
    """The characters from `start` to `end` are shown as `text`."""

    start: int
    end: int
    text: str


def with_marks(text: str, marks: Sequence[tuple[int, str]] = ()) -> str:
    """The answer for the page, with marks, each a link, behind the sentences that end at their offsets.

    A mark that has no place, as within code, is left out. No other link looks like a mark.
    """
    found = _find(text)
    edits = _edits(text, found)
    end = 0
    for place, mark in marks:
        stands = _place_of_mark(text, place, found.places)
        if stands is not None:
            end = max(end, stands)
            edits.append(Edit(end, end, " " * _is_joined(text, end, found.places) + mark))
    shown, done = "", 0
    for edit in sorted(edits, key=lambda each: (each.start, each.end)):
        shown += text[done : edit.start] + edit.text
        done = max(done, edit.end)
    return shown + text[done:]


def as_written(shown: str) -> str:
    """The answer as the model wrote it, from what `with_marks` made of it without marks."""
    return re.sub("|".join(_WRITTEN), lambda entity: _WRITTEN[entity[0]], shown)


class _Found(NamedTuple):
    """What is in an answer: where marks may not stand, code and formulas, and formulas between single dollars."""

    places: list[Place]
    verbatim: list[tuple[int, int]]
    dollars: list[tuple[int, int]]


def _find(original: str) -> _Found:
    """The page takes formulas out before it reads the Markdown, and so does this: what is in them is no Markdown."""
    formulas = [Place(*found.span(), True) for found in _FORMULA.finditer(original)]
    text = _FORMULA.sub(lambda found: "x" * len(found[0]), original)
    verbatim = [(each.start, each.end) for each in formulas]
    dollars: list[tuple[int, int]] = []
    lines = [0, *(found.end() for found in re.finditer(r"\r\n?|\n", text)), len(text)]
    read = 0
    known: dict[str, Any] = {}
    blocks: list[Place] = []
    inline: list[Place] = []
    for token in _BLOCKS.parse(text, known):
        if not token.map:
            continue
        start, end = lines[token.map[0]], lines[min(token.map[1], len(lines) - 1)]
        if token.type in _WITHOUT_MARKS:
            blocks.append(Place(start, start + len(text[start:end].rstrip()), True))
        if token.type in _CODE:
            verbatim.append((start, end))
        elif token.type == "inline" and start >= read:  # the cells of a row share their line
            read = end
            parts = list(_INLINE.finditer(text, start, end))
            verbatim += [part.span() for part in parts if part["code"] or part["formula"]]
            dollars += [part.span() for part in parts if part["dollars"]]
            if not (blocks and start < blocks[-1].end):
                inline += _inline_places(parts, bool(known.get("references")))
    return _Found([*formulas, *blocks, *inline], sorted(verbatim), dollars)


def _inline_places(parts: Sequence[re.Match[str]], references: bool) -> Iterator[Place]:
    """Code, formulas and links within a paragraph; `references`: `[text]` alone may be a link."""
    opened: list[int] = []
    for found in parts:
        if found["code"] or found["formula"] or found["address"]:
            yield Place(*found.span(), False)
        elif found["open"]:
            opened.append(found.start())
        elif found[0][0] == "]" and opened:
            place = opened.pop()
            if found["link"] or references:
                yield Place(place, found.end(), False)


def _edits(text: str, found: _Found) -> list[Edit]:
    """What is shown otherwise than it is written."""
    edits = [Edit(*forged.span(), "#") for forged in _FORGED.finditer(text)]
    for start, end in dict.fromkeys(found.dollars):
        edits += [Edit(start, start + 1, "\\("), Edit(end - 1, end, "\\)")]
    at = 0
    for start, end in [*found.verbatim, (len(text), len(text))]:
        if start > at:
            edits += _literal(text, at, start)
        at = max(at, end)
    return edits


def _literal(text: str, start: int, end: int) -> Iterator[Edit]:
    """Tags, paths, products and names with underscores in a stretch of prose, shown as they are."""
    part = text[start:end]
    for tag in _TAG.finditer(part):
        yield Edit(start + tag.start(), start + tag.start() + 1, _LITERAL["<"])
    spans = (found.span() for pattern in (_PATH, _NO_EMPHASIS) for found in pattern.finditer(part))
    for place in sorted({place for span in spans for place in range(*span) if part[place] in _LITERAL}):
        yield Edit(start + place, start + place + 1, _LITERAL[part[place]])


def _place_of_mark(text: str, place: int, places: Sequence[Place]) -> int | None:
    """Where the mark of a sentence that ends at `place` stands: there, or behind what it would break in that line."""
    while found := next((each for each in places if each.start < place < each.end + each.block), None):
        if found.block or "\n" in text[place : found.end]:
            return None
        place = found.end
    return place


def _is_joined(text: str, place: int, places: Sequence[Place]) -> bool:
    """Whether a mark right at `place` would be an image, escaped, a reference or part of a bare address."""
    if text.endswith(("!", "\\", "]"), 0, place):
        return True
    word = re.split(r"[\s<]", text[text.rfind("\n", 0, place) + 1 : place])[-1]
    address = _ADDRESS.search(word)
    start = place - len(word) + address.start() if address else place
    return bool(address) and not any(each.start <= start < each.end <= place for each in places)


def plain(text: str) -> str:
    """Text that the chat shows as it is: nothing in it is HTML, Markdown or LaTeX to the page."""
    shown = html.escape(text)
    for character in "\\`*_{}[]()#+-.!$~|^:":
        shown = shown.replace(character, f"&#{ord(character)};") if character not in "#;&" else shown
    return shown.replace("\n\n", "<br><br>").replace("\n", "<br>")
