"""The main text of a web page: trafilatura says which words belong to it, and the page's own blocks are kept or left.

Blocks keep what trafilatura's output has lost: their order, the ids of headings, tables, and the white space of code.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence

from bs4 import BeautifulSoup, Tag

from rag.sources.html.beside import BESIDE_TAGS, comments_in
from rag.sources.html.blocks import PROSE, Block, blocks_of, key_of, size_of
from rag.sources.html.markup import LOWEST, PICTURE, Walk, root_of
from rag.sources.html.tags import (
    HEADINGS,
    controlled_ids,
    is_hidden,
    is_panel,
    is_struck,
    is_wiki_sign,
    phrase,
)
from rag.sources.outline import AFTER_TABLE, AFTER_TERMS, EDGE, MARK, Marks, plain

BODY_CLASSES = {"post-content", "post-title", "post-header"}
"""Classes by which blogs mark an article's text."""
LARGEST_PAGE = 4_000_000
"""Characters of a page whose main text is looked for; of a larger one, all text is read."""
_FRAME_TAGS = BESIDE_TAGS | {"header"}
_ENOUGH = 2000
"""Characters of prose that make a main content, even where the rest of the page, as its comments, has far more."""
_LONG = 20
"""Letters and digits from which a text hardly occurs twice on a page by chance."""
_SMALL = 300
"""Letters and digits of a page below which all of its text is read but what its tags put beside it."""
_SHINGLE = 16
_COVERED = 0.5
"""Share of the main text that the page's blocks must have. Else it comes from elsewhere, as from a script's data."""
_FOUND = 0.2
"""Share of the prose of a page, or of its articles, below which the main text was not found."""
_LEAST_LISTED = 1 / 3
"""Share of a list's text that is main text, from which on the whole list is."""
_CREDIT = re.compile(r"(?i)^\W*(?:credits?|photo|foto|image|bild|source|quelle)\b[^:]{0,20}:|[^\W\d]/[^\W\d]")
"""Who made a picture: "Credit: Ann", "Ann/Agency"."""
_MOST_LINKED = 0.5
"""Share of a caption that is in links, from which on it is no text."""
_MONEY = re.compile(r"(?i)[$£€¥₹₩]\s?\d|\d\s?(?:[$£€¥₹₩円元원]|(?:EUR|USD|GBP|CHF|SEK|NOK|DKK|PLN|kr|zł|Kč|Ft)\b)")
_FEWEST_CARDS = 3
_MENU = 20
"""Blocks above a page's title, nearly all of them links, from which on they are its navigation."""
_THREAD = 0.97
"""Share of the prose of a page in comments from which on they are its text, and no answers to one."""
_LEAD = 20
"""Blocks between a page's title and its text."""


def mark_page(soup: BeautifulSoup, html: str) -> tuple[str, Marks]:
    """A page's main text, with its blocks' edges and its headings marked.

    It is what has one of `BODY_CLASSES`, where that is an article's body; else what trafilatura finds; else, where that
    is next to nothing, all the page's articles, its `<main>`, or its body without what frames it.
    """
    root = root_of(soup)
    panels = controlled_ids(soup)
    page = Walk(panels=panels)
    page.read(root)
    blocks = blocks_of(page)
    small = size_of(blocks) < _SMALL
    thread = _thread(soup, blocks)
    text = "" if small or thread or len(html) > LARGEST_PAGE else _main_text(html, panels)
    main = key_of(text)
    chosen = Walk(panels=panels)
    chosen.read(root, lambda tag: not BODY_CLASSES.isdisjoint(tag.get_attribute_list("class")))
    if _is_body(chosen, page):
        page, blocks = chosen, blocks_of(chosen)
    elif len(main) < _ENOUGH and (own := _own_choice(root, page, panels)) and len(main) < _FOUND * own.prose:
        page, blocks, main = own, blocks_of(own), ""
    elif not main:
        page = Walk(panels=panels)
        page.read(root, without=_FRAME_TAGS)
        blocks = blocks_of(page)
    _keep_words(blocks, main)
    _find_beside(blocks, thread)
    _keep_tables(blocks, page.cells, main)
    found = [block for block in blocks if block.keep]
    if page is not chosen and size_of(found) < _COVERED * len(main):
        return EDGE.join(plain(text).splitlines()), []  # from the data in the page's scripts
    apart = [block for block in blocks if not block.beside]
    if not main or (page is chosen and size_of(found) < _FOUND * size_of(apart)):
        return _kept(page, apart)
    for block in found:
        block.keep = not block.beside
    _keep_groups(blocks)
    _keep_lists(page, blocks)
    _keep_lead(blocks)
    _keep_siblings(blocks)
    _keep_prices(page, blocks)
    _drop_links(page, blocks)
    _keep_headings(blocks)
    kept = [block for block in blocks if block.keep]
    return _kept(page, kept if size_of(kept) > _COVERED * size_of(found) else found)


def _is_body(walk: Walk, page: Walk) -> bool:
    """Whether a part of the page has the prose of an article's body: a title with date and author is none."""
    return bool(walk.prose) and walk.prose >= min(page.prose / 4, _ENOUGH)


def _own_choice(root: Tag, page: Walk, panels: frozenset[str]) -> Walk | None:
    """All articles of the page but those in an aside, or its `<main>`."""
    body = Walk(panels=panels)
    body.read(root, without=_FRAME_TAGS)
    beside = BESIDE_TAGS if body.has_text else frozenset[str]()  # nothing closes a <nav>
    choices: list[tuple[Callable[[Tag], bool], frozenset[str]]] = [
        (lambda tag: tag.name == "article", beside),
        (lambda tag: tag.name == "main", frozenset()),
        (lambda tag: tag.get("role") == "main", frozenset()),
    ]
    for wanted, without in choices:
        walk = Walk(panels=panels)
        walk.read(root, wanted, without)
        if _is_body(walk, body if body.has_text else page):
            return walk
    return None


def _main_text(html: str, panels: frozenset[str]) -> str:
    """The main text as trafilatura finds it; "" if it finds none. Folded parts are opened for it first."""
    from trafilatura import extract, load_html

    tree = load_html(html)
    if tree is None:
        return ""
    for item in list(tree.iter("noscript", "button")):
        if item.tag == "noscript":
            if len(item.text_content()) < _ENOUGH:  # it asks for JavaScript; more than that is the page itself
                item.drop_tree()
        elif item.getparent().tag in HEADINGS or any(child.tag in HEADINGS for child in item):
            item.tag = "span"
    for item in list(tree.iter("*")):
        if is_wiki_sign(item.tag, item.get("class", "").split()) or is_struck(item.tag, item.attrib):
            item.drop_tree()
    for item in tree.iter("div", "section", "dd", "p", "ul", "ol", "article"):
        if item.attrib and is_hidden(item.attrib) and is_panel(item.tag, item.attrib, panels):
            for name in ("hidden", "aria-hidden", "style"):
                item.attrib.pop(name, None)
    return extract(tree, include_comments=False, include_tables=True, fast=False) or ""


def _keep_words(blocks: Sequence[Block], main: str) -> None:
    """Keep the blocks whose words are in the main text: long ones wherever they are there, short ones in order."""
    shingles: set[str] = set()
    spans: dict[int, tuple[int, int]] = {}
    last = 0
    for number, block in enumerate(blocks):
        if len(block.key) < _LONG:
            continue
        at = main.find(block.key, last)
        at = at if at >= 0 else main.find(block.key)
        if at >= 0:
            block.keep = True
            if at >= last:
                last = at + len(block.key)
                spans[number] = (at, last)
        elif len(main) < 500_000:
            shingles = shingles or {main[i : i + _SHINGLE] for i in range(len(main) - _SHINGLE + 1)}
            starts = range(0, max(len(block.key) - _SHINGLE, 0) + 1, _SHINGLE // 2)
            block.keep = sum(block.key[i : i + _SHINGLE] in shingles for i in starts) >= 0.6 * len(starts)
    bounds = [(-1, (0, 0)), *spans.items(), (len(blocks), (len(main), len(main)))]
    for (before, (_, low)), (after, (high, _)) in itertools.pairwise(bounds):
        between = [blocks[n] for n in range(before + 1, after) if len(blocks[n].key) < _LONG]
        if before < 0:
            for block in reversed(between):  # what stands above the text may be named in the navigation, too
                at = main.rfind(block.key, low, high)
                if at >= 0:
                    block.keep, high = True, at
        else:
            for block in between:
                at = main.find(block.key, low, high)
                if at >= 0:
                    block.keep, low = True, at + len(block.key)


def _thread(soup: BeautifulSoup, blocks: Sequence[Block]) -> frozenset[int]:
    """The identities of the page's comments where nearly all of its prose is in them, as in a thread; else none."""
    prose = [block for block in blocks if block.is_prose]
    if size_of(block for block in prose if block.place.beside) < _THREAD * size_of(prose) or not prose:
        return frozenset()
    comments = comments_in(soup)
    said = size_of(block for block in prose if not comments.isdisjoint(block.place.beside))
    return comments if said >= _THREAD * size_of(prose) else frozenset()


def _find_beside(blocks: Sequence[Block], thread: frozenset[int]) -> None:
    """See which blocks the page's own tags and classes put beside its text; a part with most of the text is not."""
    text = [block for block in blocks if block.keep] or blocks
    sizes: dict[int, int] = {}
    for block in text:
        for part in block.place.beside:
            sizes[part] = sizes.get(part, 0) + len(block.key)
    total = size_of(text)
    for block in blocks:
        block.beside = any(sizes.get(part, 0) < 0.4 * total for part in block.place.beside if part not in thread)


def _keep_tables(blocks: Sequence[Block], cells: dict[int, list[str]], main: str) -> None:
    """Keep the tables that stand among the text, and those of which half the text was found.

    What was found is told by the cells, since the lines of a table name its columns, too.
    """
    text = {block.place.parent for block in blocks if block.keep and block.place.kind in ("text", "heading")}
    for group, texts in cells.items():
        keys = [key for key in map(key_of, texts) if len(key) > 3] or [key for key in map(key_of, texts) if key]
        is_found = sum(len(key) for key in keys if key in main) >= 0.5 * sum(map(len, keys))
        for block in blocks:
            if block.place.group == group and block.place.kind == "table":
                block.keep = (is_found or block.place.parent in text) and not block.beside


def _keep_groups(blocks: Sequence[Block]) -> None:
    """Keep code and definition lists whole, and code right below text or code that is kept."""
    for before, block in itertools.pairwise(blocks):
        block.keep = block.keep or (before.keep and block.place.kind == "code" and not block.beside)
    found = {block.place.group for block in blocks if block.keep and block.place.kind in ("code", "list")}
    for block in blocks:
        block.keep = block.keep or (block.place.group in found and block.place.group != 0)


def _keep_lists(walk: Walk, blocks: Sequence[Block]) -> None:
    """Keep the lists that stand in the text: between two blocks that are kept, or behind one that announces them.

    Of others, those are kept whole of which two items and a third of the text are: main text leaves short items out.
    """
    for around, listed in itertools.groupby(enumerate(blocks), lambda item: item[1].place.listed):
        items = list(listed)
        if not around or size_of(block for _, block in items if block.linked > 0.5) > 0.5 * size_of(
            b for _, b in items
        ):
            continue
        found = [block for _, block in items if block.keep]
        if len(found) > 1 and size_of(found) > _LEAST_LISTED * size_of(block for _, block in items):
            for _, block in items:
                block.keep = block.keep or not block.beside
            continue
        start, end = items[0][0], items[-1][0] + 1
        before = next((b for b in reversed(blocks[:start]) if b.place.parent == around and not b.place.level), None)
        after = next((b for b in blocks[end:] if b.place.parent == around and not b.place.level), None)
        if before and before.keep:
            announced = "".join(walk.pieces[before.first : before.end]).rstrip().endswith((":", "："))
            if announced or (after.keep if after else before.place.parent == around):
                for _, block in items:
                    block.keep = block.keep or not block.beside


def _keep_lead(blocks: Sequence[Block]) -> None:
    """Keep the prose between the page's title and its text: the lead, which stands in a part of its own."""
    first = next((n for n, block in enumerate(blocks) if block.keep and block.is_prose), None)
    if first is None:
        return
    for number in range(first - 1, max(first - _LEAD, -1), -1):
        if blocks[number].place.level == 1:
            for block in blocks[number:first]:
                block.keep = block.keep or block.is_prose or block.place.level == 1
            return


def _keep_siblings(blocks: Sequence[Block]) -> None:
    """Keep the prose whose neighbours in the same part of the page are kept."""
    parts: dict[int, list[Block]] = {}
    for block in blocks:
        parts.setdefault(block.place.parent, []).append(block)
    for part in parts.values():
        kept = [n for n, block in enumerate(part) if block.keep]
        if len(kept) > 1 and size_of(part[n] for n in kept) > 0.5 * size_of(part):
            for block in part[kept[0] : kept[-1] + 1]:
                block.keep = block.keep or block.is_prose


def _keep_prices(walk: Walk, blocks: Sequence[Block]) -> None:
    """Keep the prices among the text, or between it and the page's title: main text leaves such short lines out."""
    kept = [number for number, block in enumerate(blocks) if block.keep or block.place.level == 1]
    for block in blocks[kept[0] : kept[-1]] if kept else ():
        is_short = block.place.kind == "text" and len(block.key) < PROSE + _LONG and block.linked < _MOST_LINKED
        if is_short and not block.beside and _MONEY.search(walk.text(block.first, block.end)):
            block.keep = True


def _drop_links(walk: Walk, blocks: Sequence[Block]) -> None:
    """Leave out links to other texts: a label with a link ("Read also: ..."), and links below the text."""
    kept = [block for block in blocks if block.keep]
    for block in kept:
        if block.place.kind == "text" and block.linked > 0.5:
            text = "".join(walk.pieces[block.first : block.end])
            block.keep = not re.match(r"\s*[^\W\d][^:.]{2,30}:(?!//)", text)
    kept = [block for block in kept if block.keep]
    last = len(kept)
    while last and kept[last - 1].linked > 0.8 and kept[last - 1].place.kind in ("text", "heading"):
        last -= 1
    if size_of(kept[last:]) < 0.3 * size_of(kept):
        for block in kept[last:]:
            block.keep = False


def _keep_headings(blocks: Sequence[Block]) -> None:
    """Keep a heading where the block below it is kept, or one in its part of the page before the next heading.

    A title that no tag tells is kept where it is one of several: a single one may be that of a box beside the text.
    """
    below, ended, parts = False, False, set[int]()  # the parts of what is kept below, up to the next heading
    cards = sum(block.place.level == LOWEST for block in blocks) >= _FEWEST_CARDS
    for block in reversed(blocks):
        if block.place.level:
            is_over = bool(parts) and cards if block.place.level == LOWEST else block.place.parent in parts
            has_text = is_over or (below and (cards or block.place.level != LOWEST))
            block.keep = (block.keep and ended) or (has_text and not block.beside and block.linked < 0.8)
            parts = set()
        elif block.keep:
            parts.add(block.place.parent)
        below = block.keep
        ended = ended or below


def _without_menu(blocks: Sequence[Block]) -> Sequence[Block]:
    """The blocks without those above the page's title, but its prose, where nearly all of them are links."""
    above = list(itertools.takewhile(lambda block: block.place.level != 1, blocks))
    linked = size_of(block for block in above if block.linked > 0.8)
    if not _MENU <= len(above) < len(blocks) or linked < 0.8 * size_of(above):
        return blocks
    return [*(block for block in above if block.is_prose), *blocks[len(above) :]]


def _kept(walk: Walk, kept: Sequence[Block]) -> tuple[str, Marks]:
    """The text of the blocks, and their marks. The end of a table's section moves to the next of them."""
    pieces: list[str] = []
    marks: Marks = []
    waiting = iter(walk.marks)
    ended = 0
    chosen = {block.first for block in _without_menu(kept)}
    chosen |= _pictures_among(walk, blocks := blocks_of(walk, pictures=True), chosen)
    for block in blocks:
        text = walk.text(block.first, block.end)
        own = [next(waiting) for _ in range(text.count(MARK))]
        if block.first not in chosen:
            ended = max([ended, *(level for level, _ in own if level in (AFTER_TABLE, AFTER_TERMS))])
            continue
        if ended and not own:
            seen = text.lstrip()
            text = text[: len(text) - len(seen)] + MARK + seen
            own = [(ended, "")]
        ended = 0
        marks += own
        pieces += [text, EDGE]
    return "".join(pieces), marks


def _pictures_among(walk: Walk, blocks: Sequence[Block], chosen: set[int]) -> set[int]:
    """The first pieces of captions and of what pictures show, between chosen blocks: each once, and no mere names."""
    around = [block for block in blocks if block.place.kind not in ("picture", "caption")]
    said = "\n".join(block.key for block in blocks if block.first in chosen)
    found, place = set[int](), 0
    waiting: list[tuple[str, Block]] = []
    for block in blocks:
        if block.place.kind not in ("picture", "caption"):
            place += 1
        elif all(each.first in chosen for each in around[max(place - 1, 0) : place + 1]):
            is_picture = block.place.kind == "picture"
            waiting.append((block.key.removeprefix(key_of(PICTURE)) if is_picture else block.key, block))
    for key, block in sorted(waiting, key=lambda item: item[1].place.kind):  # captions first
        text = walk.text(block.first, block.end).removeprefix(f"{PICTURE}: ")
        is_told = phrase(text) and not _CREDIT.search(text) and block.linked < _MOST_LINKED and not block.beside
        if is_told and key not in said:
            found.add(block.first)
            said += f"\n{key}"
    return found
