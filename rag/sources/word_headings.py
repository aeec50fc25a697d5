"""Headings of Word that no style tells: short lines in bold or large letters above normal text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rag.sources.ooxml import Element, attribute, local
from rag.sources.word_styles import Styles

LONGEST, MOST_WORDS = 100, 14
"""Characters and words of a heading, at most."""
LEAST_PROSE = 60
"""Characters of a paragraph below a heading, unless it is a whole sentence or an item of a list."""
_LARGER = 1.2
"""How much larger than most of the text letters are that make a heading without being bold."""
_ON_TOP = 2
"""Headings right above one another; further ones are lines of a title page, unless there are more that look alike."""
_NUMBER = re.compile(r"(?:§+ ?|Art\. ?)?\d{1,3}((?:\.\d{1,3}){0,4})\.?\)?\s+(?=\S)")
_NO_HEADING = re.compile(r"[.,;:!?…。，；：！？]$|^[-*•–—+>\"“„«#]|[\t\n|@]|\S/\S+/\S|_{2,}|\.{3}")
_SENTENCE = re.compile(r"\S+\s+\S+\s+\S.*[.!?:;。！？：；][\"”»)]*$", re.DOTALL)
_GONE = frozenset(["del", "moveFrom", "pPr", "rPr", "drawing", "pict", "object", "instrText", "delText"])


@dataclass
class _Line:
    """A paragraph as it looks. `rank`: of what may be a heading; what stands above another one has the smaller one."""

    text: str
    rank: tuple[int, ...]
    is_item: bool
    is_heading: bool


def may_be_heading(text: str) -> bool:
    """Whether a paragraph is as short as a heading and ends like no sentence."""
    bare = _NUMBER.sub("", text, count=1)
    letters = [letter for letter in bare if letter.isalpha()]
    return (
        len(text) <= LONGEST
        and len(text.split()) <= MOST_WORDS
        and len(letters) >= max(2, sum(map(str.isdigit, bare)))
        and not letters[0].islower()
        and not _NO_HEADING.search(bare)
    )


def headings_by_look(blocks: Sequence[Element], styles: Styles) -> dict[Element, int]:
    """The headings among paragraphs and tables that no style tells, and their levels below those that one tells.

    A heading stands out from the text by bold or larger letters, and above normal text or a smaller heading of this
    kind. Where a third of the paragraphs would be headings, there are none.
    """
    usual = _usual_size(blocks, styles)
    lines = [(block, _line(block, styles, usual) if local(block) == "p" else None) for block in blocks]
    often = Counter(line.rank for _, line in lines if line)
    found: dict[Element, tuple[int, ...]] = {}
    below: _Line | None = None
    on_top = 0  # how many headings there are above the text below
    is_text = False  # whether what is below can be under a heading
    for block, line in reversed(lines):
        if line is None:
            below, is_text = None, False
            continue
        if not line.text:
            continue
        is_above = bool(below and below.rank)
        on_top = on_top + 1 if is_above else 0
        may_be_above = not (below and is_above) or line.rank < below.rank
        if line.rank and is_text and may_be_above and (on_top < _ON_TOP or often[line.rank] > 1):
            found[block] = line.rank
        else:
            is_prose = line.is_item or len(line.text) >= LEAST_PROSE or bool(_SENTENCE.search(line.text))
            is_text = is_prose and not (line.rank or line.is_heading)
        below = line
    if 3 * len(found) > sum(bool(line and line.text) for _, line in lines):
        return {}
    ranks = sorted(set(found.values()))
    return {block: 1 + ranks.index(rank) for block, rank in found.items()}


def _line(paragraph: Element, styles: Styles, usual: int) -> _Line:
    style = styles.of(paragraph)
    runs = list(_runs(paragraph))
    text = "".join(text for text, _ in runs).strip()
    looks = [styles.look(paragraph, run) for words, run in runs if words.strip()]
    size = min((size for _, size in looks), default=0)
    large = size >= _LARGER * usual
    stands_out = bool(looks) and (large or all(bold for bold, _ in looks))
    told = bool(style.level or style.is_heading)
    if not stands_out or told or style.is_caption or style.is_contents or not may_be_heading(text):
        return _Line(text, (), style.is_item, told)
    depth = styles.depth_of_number(paragraph)
    if style.is_item and depth is None:
        return _Line(text, (), True, told)
    if found := _NUMBER.match(text):
        depth = found[1].count(".") if depth is None else depth
    rank = (-size, -1, not text.isupper()) if depth is None else (-size, depth, 0)
    return _Line(text, rank, False, told)


def _runs(item: Element) -> Iterator[tuple[str, Element]]:
    """The visible texts of a paragraph, each with the run that it is in."""
    for inner in item:
        name = local(inner)
        if name == "t":
            yield inner.text or "", item
        elif name in ("tab", "ptab"):
            yield "\t", item
        elif name in ("br", "cr") and attribute(inner, "type") not in ("page", "column"):
            yield "\n", item
        elif name and name not in _GONE:
            yield from _runs(inner)


def _usual_size(blocks: Sequence[Element], styles: Styles) -> int:
    """The size of most letters."""
    sizes: Counter[int] = Counter()
    for block in blocks:
        for text, run in _runs(block) if local(block) == "p" else ():
            sizes[styles.look(block, run)[1]] += len(text)
    return sizes.most_common(1)[0][0] if sizes else 0
