"""Headings of office files that no style tells: short lines in bold or large letters above normal text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rag.sources.outline import is_clause
from rag.sources.xml_tree import Element

LONGEST, MOST_WORDS = 100, 14
"""Characters and words of a heading, at most."""
LEAST_PROSE = 60
"""Characters of a paragraph below a heading, unless it is a whole sentence or an item of a list."""
_LARGER = 1.2
"""How much larger than most of the text letters are that make a heading without being bold."""
_ON_TOP = 2
"""Headings right above one another; further ones are lines of a title page, unless there are more that look alike."""
_AGAIN = 3
"""Times that one line under the same heading makes it a label."""
_NUMBER = re.compile(r"(?:(?:§+ ?|Art\. ?)?\d{1,3}((?:\.\d{1,3}){0,4})\.?\)?|(?:[A-Z]|[IVX]{2,5})[.)])\s+(?=\S)")
_NO_HEADING = re.compile(r"[.,;:!?…。，；：！？]$|^[-*•–—+>\"“„«#]|[\t\n|@]|\S/\S+/\S|_{2,}|\.{3}")
_SENTENCE = re.compile(r"\S+\s+\S+\s+\S.*[.!?:;。！？：；][\"”»)]*$", re.DOTALL)


@dataclass
class Line:
    """A paragraph as it looks.

    Attributes:
        text: of it; "" where nothing is to be seen.
        rank: of what may be a heading: what stands above another one has the smaller one.
        is_item: of a list.
        is_told: whether a style tells that it is a heading.
    """

    text: str
    rank: tuple[int, ...] = ()
    is_item: bool = False
    is_told: bool = False


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


def rank_of(text: str, looks: Sequence[tuple[bool, int]], usual: int, depth: int | None) -> tuple[int, ...]:
    """The rank of a paragraph that may be a heading; () if it does not look like one.

    `looks`: whether each run is bold, and its size; `usual`: the size of most letters; `depth`: of its number in lists.
    """
    size = min((size for _, size in looks), default=0)
    stands_out = bool(looks) and (size >= _LARGER * usual or all(bold for bold, _ in looks))
    if not is_clause(text) and not (stands_out and may_be_heading(text)):
        return ()
    if depth is None and (found := _NUMBER.match(text)):
        depth = (found[1] or "").count(".")
    elif depth is None and is_clause(text):
        depth = 0
    return (-size, -1, not text.isupper()) if depth is None else (-size, depth, 0)


def headings_among(lines: Sequence[tuple[Element, Line | None]]) -> dict[Element, int]:
    """The headings among paragraphs that no style tells, and their levels below those that one tells.

    A heading stands out from the text by bold or larger letters, and above normal text or a smaller heading of this
    kind. Where a third of the paragraphs would be headings, there are none; the articles of a law or contract are not
    counted. None stands for a table.
    """
    often = Counter(line.rank for _, line in lines if line)
    found: dict[Element, tuple[int, ...]] = {}
    below: Line | None = None
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
            is_text = is_prose and not (line.rank or line.is_told)
        below = line
    for rank in _labels(lines, found):
        found = {block: each for block, each in found.items() if each != rank}
    texts = {block: line.text for block, line in lines if line and line.text and not is_clause(line.text)}
    if 3 * len(found.keys() & texts.keys()) > len(texts):
        return {}
    ranks = sorted(set(found.values()))
    return {block: 1 + ranks.index(rank) for block, rank in found.items()}


def _labels(
    lines: Sequence[tuple[Element, Line | None]], found: Mapping[Element, tuple[int, ...]]
) -> set[tuple[int, ...]]:
    """The ranks of which one text comes again and again under the same heading, as the names of speakers do."""
    labels = set()
    seen: dict[tuple[int, ...], Counter[str]] = {}
    for block, line in lines:
        if line and line.is_told:
            seen.clear()
        elif line and line.rank:
            seen = {rank: texts for rank, texts in seen.items() if rank <= line.rank}
            if block in found:
                texts = seen.setdefault(line.rank, Counter())
                texts[line.text] += 1
                if texts[line.text] >= _AGAIN:
                    labels.add(line.rank)
    return labels
