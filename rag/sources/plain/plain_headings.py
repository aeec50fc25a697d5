"""Headings in plain text, which only white space tells from the rest."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from itertools import pairwise

from rag.sources.outline import CAPTION, MARK, OUTER_TERM, Marks, is_clause
from rag.sources.plain.terms import terms_of
from rag.text.markers import MARKER
from rag.text.wraps import DEEPER, indent_of

LONGEST, MOST_WORDS = 80, 12
"""Characters and words of a heading, at most."""
LEAST_PROSE = 60
"""Characters of what stands below a heading, unless it is a whole sentence, a list or `key: value`."""

MIDDLE = range(30, 45)
"""Where the middle of a line is that stands in the middle of a page of some 72 characters."""
MANY_NUMBERED = 3
"""Headings with a number from which on a line that is indented more than any of them is none: an example in an RFC."""

LEAST_SHOUTED, LEAST_INDENT = 3, 2
"""Names in capitals at no indent, each above an indented line, from which on they are headings, as in manual pages; and
by how much the lines below them are indented."""

_UNDERLINE = re.compile(r"(={3,}|-{3,}|~{3,})[ \t]*")
_NUMBER = re.compile(r"(?P<number>\d{1,2}(?:\.\d{1,2}){0,4})\.?[ \t]+(?=\S)")
_NO_HEADING = re.compile(
    r"[.,;:!?…。，；：！？]$|^[-*•–—+>\"“„«#]|[\t|@]|://|: | {3,}|_{2,}|\.{4}| /\w"
    r"|\b(?:the|an?|and|or|und|oder|der|die|das|et|ou|le|la|les|y|el|los|las)$"
)
_ITEM = re.compile(rf"(?:{MARKER}|[^\n:]{{1,40}}:)\s")
_SENTENCE = re.compile(r"\S+\s+\S+\s+\S.*[.!?。！？][\"”»)_*]?$", re.DOTALL)


@dataclass
class _Block:
    """Lines with a blank line, or nothing, before and after: `first` to `stop` (exclusive) in the text's lines."""

    first: int
    stop: int
    text: str


def mark_headings(text: str) -> tuple[str, Marks, str]:
    """The text with a mark before each heading, their levels, and the title where the text begins with one.

    A heading is a short line that ends like no sentence: between blank lines, underlined, or right above a list or
    longer lines; or one of several in capitals above indented lines, which is no title. Where a third of a text would
    be headings, it has none: a poem, a list with blank lines. Terms have marks, too, as captions of tables have.
    """
    lines = text.split("\n")
    blocks = _blocks(lines)
    found: dict[int, str] = {}
    below: _Block | None = None
    subtitles: set[int] = set()
    for number, block in reversed(list(enumerate(blocks))):
        has_text = below is not None and below.first in found
        has_text |= not number and any(_is_text(each.text) for each in blocks[2:3])  # below "Dear parents,"
        if name := _heading(lines, block, below, has_text=has_text, first=not number):
            found[block.first] = name
            if (
                number
                and block.stop - block.first == 2
                and is_clause(name)
                and not _is_underline(lines[block.first + 1])
            ):
                subtitles.add(block.first + 1)
                found[block.first + 1] = lines[block.first + 1].strip()
        below = block
    shouted = _shouted(lines, blocks)
    found |= shouted
    numbered = [indent_of(lines[first]) for first, name in found.items() if _NUMBER.match(name)]
    if len(numbered) >= MANY_NUMBERED:
        deepest = max(numbered)
        found = {
            first: name
            for first, name in found.items()
            if indent_of(lines[first]) <= deepest or _is_centred(lines[first])
        }
    if 3 * sum(map(len, found.values())) > len(text):
        found, shouted = {}, {}
    found |= _beside_headings(lines, found)
    terms = dict(terms_of(lines, found))
    if not found and not terms:
        return text, [], ""
    title = found.get(blocks[0].first, "") if blocks[0].first not in shouted else ""
    shouts = any(_is_shouted(name) for first, name in found.items() if first != blocks[0].first)
    marks: Marks = []
    for first in sorted(found | terms):
        line = lines[first]
        lines[first] = line[: indent_of(line)] + MARK + line.lstrip()
        level = terms[first] if first in terms else _level(found[first], shouts)
        if title and first == blocks[0].first:
            level = 1
        elif first in subtitles and first in found:
            level = marks[-1][0] + 1
        marks.append((level, ""))
    return "\n".join(lines), marks, title


def _beside_headings(lines: list[str], found: Collection[int]) -> dict[int, str]:
    """The terms that are as deep as a heading which stands right above deeper lines, as they do: headings, too."""
    deep = {
        indent_of(lines[first])
        for first in found
        if first + 1 < len(lines) and indent_of(lines[first + 1]) >= indent_of(lines[first]) + DEEPER
    }
    if not deep:  # most texts
        return {}
    numbers = [number for number, level in terms_of(lines, found) if level in (CAPTION, OUTER_TERM)]
    return {number: lines[number].strip() for number in numbers if indent_of(lines[number]) in deep}


def _blocks(lines: list[str]) -> list[_Block]:
    blocks: list[_Block] = []
    first: int | None = None
    for number, line in enumerate([*lines, ""]):
        if line.strip():
            first = number if first is None else first
        elif first is not None:
            blocks.append(_Block(first, number, "\n".join(lines[first:number]).strip()))
            first = None
    return blocks


def _heading(lines: list[str], block: _Block, below: _Block | None, *, has_text: bool, first: bool) -> str:
    """The heading that a block is or begins with; "" if it is none.

    A title may have a second line, such as its author, and "Chapter 1" its name. `has_text`: what is below is a heading
    that has text.
    """
    name = lines[block.first].strip()
    if not _may_be_heading(lines[block.first]):
        return ""
    rest = lines[block.first + 1 : block.stop]
    if rest and _is_underline(rest[0]):
        return name
    has_second = len(rest) == 1 and _may_be_heading(rest[0]) and (first or is_clause(name))
    alone = not rest or has_second or (first and len(rest) == 1 and _is_shouted(name))
    if alone and below is not None and (has_text or _is_text(below.text)):
        return name
    return name if rest and _is_above(name, rest[0].strip()) else ""


def _shouted(lines: list[str], blocks: list[_Block]) -> dict[int, str]:
    """Where names in capitals begin a block at no indent, above an indented line, as in manual pages.

    None where there are few, or mostly the same ones again: who speaks in a play.
    """
    found: dict[int, str] = {}
    filled = [number for block in blocks for number in range(block.first, block.stop)]
    begins = {block.first for block in blocks}
    for number, below in pairwise(filled):
        line = lines[number]
        is_shouted = number in begins and indent_of(line) == 0 and line.isupper() and _may_be_heading(line)
        if is_shouted and indent_of(lines[below]) >= LEAST_INDENT:
            found[number] = line.strip()
    is_many = len(found) >= LEAST_SHOUTED and 2 * len(set(found.values())) > len(found)
    return found if is_many else {}


def _is_above(name: str, line: str) -> bool:
    """Whether a line is the heading of the next one, without a blank line between: no wrapped sentence, no verse."""
    is_long = len(line) >= LEAST_PROSE and len(name) < len(line) / 2 and not line[:1].islower()
    return is_long or bool(_ITEM.match(line))


def _may_be_heading(line: str) -> bool:
    name = line.strip()
    if is_clause(name) and (indent_of(line) <= 3 or _is_centred(line)):
        return True
    numbered = _NUMBER.match(name)
    bare = name[numbered.end() :].removesuffix(".") if numbered else name
    letters = [letter for letter in bare if letter.isalpha()]
    return (
        len(name) <= LONGEST
        and (indent_of(line) <= 3 or _is_centred(line))
        and len(name.split()) <= MOST_WORDS
        and len(letters) >= max(2, sum(map(str.isdigit, bare)))
        and not bare.startswith("Copyright ")
        and not letters[0].islower()
        and (bare[0].isalnum() or bare[0] in "(¿¡")
        and not _NO_HEADING.search(bare)
    )


def _is_underline(line: str) -> bool:
    return bool(_UNDERLINE.fullmatch(line))


def _is_centred(line: str) -> bool:
    return indent_of(line) >= 10 and (indent_of(line) + len(line.rstrip())) // 2 in MIDDLE


def _is_text(text: str) -> bool:
    """Whether a block can stand below a heading: prose, a list, `key: value`."""
    return len(text) >= LEAST_PROSE or bool(_ITEM.match(text) or _SENTENCE.search(text))


def _is_shouted(name: str) -> bool:
    return name.isupper() and len(name) > 3


def _level(name: str, shouts: bool) -> int:
    """By its number; without one, capitals stand above others."""
    if found := _NUMBER.match(name):
        return min(2 + found["number"].count("."), 6)
    return 3 if shouts and not _is_shouted(name) else 2
