"""The blocks of a web page: the texts between two edges, of which those of the main text are kept."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from rag.sources.html.markup import Place, Walk

PROSE = 50
"""Letters and digits from which a text is a sentence, and no label or name."""
_LOWERED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹ⁿ", "0123456789n")


@dataclass
class Block:
    """A text between two edges: the numbers of its pieces, its letters and digits, and whether it is kept.

    `linked` is the share of it that is in links.
    """

    first: int
    end: int
    place: Place
    key: str
    linked: float
    beside: bool = False
    keep: bool = False

    @property
    def is_prose(self) -> bool:
        """Whether it is long enough to be more than a label, and is neither a link nor beside the text."""
        is_text = self.place.kind not in ("table", "caption") and not self.beside
        return is_text and len(self.key) >= PROSE and self.linked < 0.3


def key_of(text: str) -> str:
    """The letters and digits, raised ones as others."""
    return re.sub(r"[\W_]+", "", text.casefold().translate(_LOWERED))


def size_of(blocks: Iterable[Block]) -> int:
    """Letters and digits of these blocks."""
    return sum(len(block.key) for block in blocks)


def blocks_of(walk: Walk, *, pictures: bool = False) -> list[Block]:
    """The blocks of a page, by default without what its pictures show, which no main text has."""
    blocks: list[Block] = []
    start = None
    for number, place in enumerate([*walk.places, None]):
        if place is not None and place.kind != "edge":
            start = number if start is None else start
        elif start is not None:
            key = key_of("".join(walk.pieces[start:number]))
            if key and (pictures or walk.places[start].kind != "picture"):
                sizes = [(len(walk.pieces[n].strip()), walk.places[n].linked) for n in range(start, number)]
                linked = sum(size for size, is_linked in sizes if is_linked) / max(sum(size for size, _ in sizes), 1)
                blocks.append(Block(start, number, walk.places[start], key, linked))
            start = None
    return blocks
