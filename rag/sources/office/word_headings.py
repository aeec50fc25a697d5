"""How paragraphs of Word look, for the headings that no style tells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rag.sources.office.look_headings import Line, headings_among, rank_of
from rag.sources.office.word_styles import Styles
from rag.sources.xml_tree import Element, attribute, local

_GONE = frozenset(["del", "moveFrom", "pPr", "rPr", "drawing", "pict", "object", "instrText", "delText"])


def headings_by_look(blocks: Sequence[Element], styles: Styles) -> dict[Element, int]:
    """The headings among paragraphs and tables that no style tells, and their levels below those that one tells."""
    usual = _usual_size(blocks, styles)
    return headings_among([(block, _line(block, styles, usual) if local(block) == "p" else None) for block in blocks])


def _line(paragraph: Element, styles: Styles, usual: int) -> Line:
    style = styles.of(paragraph)
    runs = list(_runs(paragraph))
    line = Line("".join(text for text, _ in runs).strip(), (), style.is_item, bool(style.level or style.is_heading))
    looks = [styles.look(paragraph, run) for words, run in runs if words.strip()]
    if line.is_told or style.is_caption or style.is_contents or not rank_of(line.text, looks, usual, None):
        return line
    depth = styles.depth_of_number(paragraph)
    if not style.is_item or depth is not None:
        line.rank, line.is_item = rank_of(line.text, looks, usual, depth), False
    return line


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
