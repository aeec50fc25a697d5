"""The list that a question asks for by what announces it: "Ingredients:" and the lines below, "## Members"."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from langchain_core.documents import Document

from rag.answers.quotes.quotable import LONGEST_QUOTE
from rag.sources.tables import SEPARATOR
from rag.text.language import stems, word_weights
from rag.text.markers import MARKER

LONGEST_NAME = 5
"""Words of what announces a list."""
LONGEST_LINE = 90
"""Characters of a line of a list that has no sign before its items."""
UNEXPLAINED = 0.25
"""Share of the question's words, each by its rarity, that may be in neither the list's name nor the title."""
_ITEM = re.compile(rf"{MARKER}\s+\S")


def list_asked_for(question: str, language: str, sources: Sequence[Document]) -> tuple[int, int, int] | None:
    """The passage, from 1, and where in it the list begins and ends whose name the question says; None: there is none.

    A name that stands in the document's title, too, tells nothing.
    """
    weights = word_weights(question, language)
    for number, source in enumerate(sources, start=1):
        title = stems(str(source.metadata.get("title") or ""), language)
        for name, start, end in _named_lists(source.page_content):
            words = stems(name, language)
            left = weights.keys() - words - title
            is_asked = words and words <= weights.keys() and not words <= title
            if is_asked and sum(weights[word] for word in left) <= UNEXPLAINED * sum(weights.values()):
                return number, start, end
    return None


def _named_lists(text: str) -> Iterator[tuple[str, int, int]]:
    """The lists of a text that a heading or a line with a colon names: the name, and where the items begin and end."""
    lines = [(found.start(), found.end()) for found in re.finditer(r"[^\n]+", text)]
    for place, (start, end) in enumerate(lines):
        line = text[start:end].strip()
        name = line.strip("#*_:： ")
        if not (line.startswith("#") or line.endswith((":", "："))) or not 0 < len(name.split()) <= LONGEST_NAME:
            continue
        items = list(_items(text, lines[place + 1 :], end))
        if len(items) > 1 and items[-1][1] - items[0][0] <= LONGEST_QUOTE:
            yield name, items[0][0], items[-1][1]


def _items(text: str, lines: Sequence[tuple[int, int]], after: int) -> Iterator[tuple[int, int]]:
    """The lines of the list that begins behind `after`: items, or short lines that end as no sentence does.

    Items may have blank lines between them, and lines without a sign may not.
    """
    marked: bool | None = None
    for start, end in lines:
        line = text[start:end].strip()
        is_item = bool(_ITEM.match(line))
        is_short = len(line) <= LONGEST_LINE and not line.endswith((".", ":", "：", "?", "!"))
        is_apart = marked is False and text.count("\n", after, start) > 1
        if is_apart or is_item != (is_item if marked is None else marked) or not (is_item or is_short):
            return
        if SEPARATOR in line or line.startswith("#"):
            return
        yield start, end
        marked, after = is_item, end
