"""Lists and rows that a question asks for as wholes: by what announces them, or all items alike."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from functools import cache

from langchain_core.documents import Document

from rag.answers.quotes.asked_for import label_asked_for
from rag.answers.quotes.quotable import LONGEST_QUOTE, Quotable, marker_of
from rag.grounding.segments import Segment, split_segments
from rag.sources.tables import SEPARATOR
from rag.text.headings import nearest_heading
from rag.text.language import stems, word_weights
from rag.text.markers import MARKER

LONGEST_NAME = 5
"""Words of what announces a list."""
LONGEST_LINE = 90
"""Characters of a line of a list that has no sign before its items."""
UNEXPLAINED = 0.25
"""Share of the question's words, each by its rarity, that may be in neither the list's name nor the title."""
SINGLED_OUT = 0.25
"""Share of the question's words, each by its rarity, that an item of a list says where that item alone is asked for."""
_ASKS_FOR_SEVERAL = re.compile(
    r"(?:(?:in|from|to|for|with|on|at) )?(?:which|what) (?:\w+ ){0,2}?(?:\w{3,}(?<!s)s|people)\b"
    r"|what(?:['’]s| is| comes) (?:there|in|included|on)\b|what (?:all|else|should|can|may|must|do \w+ need)\b"
    r"|(?:list|name)\b|welche\b|was (?:alles|darf|dürfen|muss|müssen|soll|sollte|gehört|brauch\w+)\b|quel(?:le)?s\b"
    r"|que (?:faut|dois|peut)\b|¿?(?:qué|cuáles)\b",
    re.I,
)
_ITEM = re.compile(rf"{MARKER}\s+\S")
_MARKED = re.compile(rf"^(?:{MARKER}|[A-Z]\.|\d{{1,3}})\s+")
"""The same, or "A.", which may also begin a name, where a list stands below it."""
_ENDS = (".", "!", "?", ";", ",", ":", "：", "。", "？")
_ITEMS_ASKED_FOR = (
    "ingredients needed need needs duties jobs tasks roles responsibilities steps requirements contents items points"
    " zutaten brauche aufgaben pflichten schritte voraussetzungen punkte ingrédients besoin tâches devoirs étapes"
    " ingredientes necesito tareas pasos"
)


def list_asked_for(question: str, language: str, sources: Sequence[Document]) -> tuple[int, int, int] | None:
    """The passage, from 1, and where in it the list begins and ends whose name the question says; None: there is none.

    A name that stands in the document's title, too, tells nothing.
    """
    weights = word_weights(question, language)
    several = bool(_ASKS_FOR_SEVERAL.match(question.strip()) or weights.keys() & _of_lists(language))
    for number, source in enumerate(sources, start=1):
        title = stems(str(source.metadata.get("title") or ""), language)
        headings = set(source.metadata.get("headings", ()))
        headings.add(nearest_heading(source))
        for name, start, end in _named_lists(source.page_content, headings, by_items=several):
            words = word_weights(name, language).keys()
            left = weights.keys() - words - title - _of_lists(language)
            is_asked = words and words <= weights.keys() and not words <= title
            if is_asked and sum(weights[word] for word in left) <= UNEXPLAINED * sum(weights.values()):
                return number, start, end
    return None


@cache
def _of_lists(language: str) -> frozenset[str]:
    """The stems of words that ask for the items of a list, whatever it is called."""
    return stems(_ITEMS_ASKED_FOR, language)


def _named_lists(text: str, headings: Collection[str], *, by_items: bool) -> Iterator[tuple[str, int, int]]:
    """The lists of a text that a heading, an item or a line with a colon names: the name, where they begin and end.

    One sentence may stand between a heading and its list. With an item the list begins, as it is part of one itself.
    `by_items`: items name lists, too: "C. Treasurer" the duties below it.
    """
    lines = [(found.start(), found.end()) for found in re.finditer(r"[^\n]+", text)]
    for place, (start, end) in enumerate(lines):
        line = text[start:end].strip()
        is_heading = line.startswith("#") or line in headings
        marker = _kind_of_marker(line) if by_items and not (is_heading or line.endswith(_ENDS)) else ""
        name = _MARKED.sub("", line, count=1) if marker or is_heading else line
        name = name.strip("#*_:： ")
        is_name = is_heading or line.endswith((":", "：")) or marker
        if not is_name or not 0 < len(name.split()) <= LONGEST_NAME:
            continue
        items = list(_items(text, lines[place + 1 :], end, marker))
        if not items and is_heading and place + 1 < len(lines):
            between = text[slice(*lines[place + 1])].strip()
            is_sentence = between.endswith((".", "!", "。")) and between not in headings
            if is_sentence and SEPARATOR not in between and not between.startswith("#"):
                items = list(_items(text, lines[place + 2 :], lines[place + 1][1]))
        begin = start if marker else items[0][0] if items else end
        if len(items) > 1 and items[-1][1] - begin <= LONGEST_QUOTE:
            yield name, begin, items[-1][1]


def _kind_of_marker(line: str) -> str:
    """Of the sign that a line begins with as an item: "1" for a number, "A" or "a" for a letter, else itself."""
    found = _MARKED.match(line)
    sign = found[0].strip().strip("().") if found else ""
    return "1" if sign.isdecimal() else "A" if sign.isupper() else "a" if sign.islower() else sign


def _items(text: str, lines: Sequence[tuple[int, int]], after: int, above: str = "") -> Iterator[tuple[int, int]]:
    """The lines of the list that begins behind `after`: items, or short lines that end as no sentence does.

    Items may have blank lines between them, and lines without a sign may not. `above`: the kind of marker of the item
    that names the list, whose own items have another.
    """
    marked: bool | None = None
    for start, end in lines:
        line = text[start:end].strip()
        if not line:  # a form feed, say
            continue
        is_item = bool(_ITEM.match(line))
        is_short = len(line) <= LONGEST_LINE and not line.endswith((".", ":", "：", "?", "!")) and not line[0].islower()
        is_apart = (above and "\n\n" in text[after:start]) or (marked is False and text.count("\n", after, start) > 1)
        if is_apart or is_item != (is_item if marked is None else marked) or not (is_item or is_short):
            return
        if SEPARATOR in line or line.startswith("#") or (above and _kind_of_marker(line) in ("", above)):
            return
        yield start, end
        marked, after = is_item, end


def rows_alike(question: str, language: str, best: Quotable, sources: Sequence[Document]) -> tuple[int, int] | None:
    """Where the rows or items begin and end that say the same words of the question as the best one, beside it.

    None where the best sentence is no row or item, stands alone in this, or is too long with the others; and where all
    of its passage say the same: then the words are those of the columns, and tell none of them apart.
    """
    text = sources[best.passage - 1].page_content
    asked, named = word_weights(question, language).keys(), label_asked_for(question)
    lines = [each for each in split_segments(text) if each.kind not in ("heading", "rule")]
    texts = [text[each.start : each.end] for each in lines]
    said = [(asked & stems(each, language), named(each)) for each in texts]
    if not best.line or best.segment not in lines:
        return None
    first = last = own = lines.index(best.segment)
    if not said[own][0] or all(words == said[own] for words in said):
        return None

    def follows(place: int) -> bool:
        gap = text[lines[place - 1].end : lines[place].begin]
        markers = [marker_of(each, text) for each in lines[place - 1 : place + 1]]
        return "\n" in gap and not gap.strip() and markers[0] == markers[1] and said[place - 1] == said[place]

    while first and follows(first):
        first -= 1
    while last + 1 < len(lines) and follows(last + 1):
        last += 1
    start, end = lines[first].begin, lines[last].end
    return (start, end) if first < last and end - start <= LONGEST_QUOTE else None


def items_around(question: str, language: str, best: Quotable, sources: Sequence[Document]) -> tuple[int, int] | None:
    """Where the list begins and ends that the best sentence is an item of; None where the question asks for one item.

    It asks for several if it begins so ("Which things may I not store?"), and the item says less than `SINGLED_OUT` of
    its words.
    """
    text = sources[best.passage - 1].page_content
    marker = marker_of(best.segment, text)
    if not marker or not _ASKS_FOR_SEVERAL.match(question.strip()):
        return None
    weights = word_weights(question, language)
    said = sum(weights[word] for word in weights.keys() & stems(text[best.segment.start : best.segment.end], language))
    if said > SINGLED_OUT * sum(weights.values()):
        return None
    lists: list[list[Segment]] = []
    for each in split_segments(text):
        if marker_of(each, text) == marker:
            gap = text[lists[-1][-1].end : each.begin] if lists else "."
            if gap.strip():
                lists.append([each])
            else:
                lists[-1].append(each)
        elif lists and "\n" not in text[lists[-1][-1].end : each.begin]:  # the next sentence of an item
            lists[-1].append(each)
    own = next((some for some in lists if best.segment in some), [])
    if len(own) < 2 or own[-1].end - own[0].begin > LONGEST_QUOTE:
        return None
    return own[0].begin, own[-1].end
