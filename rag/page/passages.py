"""The passages below an answer: folded blocks in which the words that support it are marked."""

from __future__ import annotations

import html
from collections.abc import Sequence
from itertools import pairwise

from langchain_core.documents import Document

from rag.doors.bodies import link_of, quote_of
from rag.grounding.ground import Sentence
from rag.page.answer_text import plain
from rag.page.reader import READ, place_of
from rag.sources.loader import GUIDE, is_url
from rag.text.headings import headings_above

SUPPORTED, UNSUPPORTED = "#quote-", "#none-"
"""What a mark's link begins with. It goes on with a name that is the answer's own, so that no text can forge one."""


def show_passages(passages: Sequence[Document], grounding: Sequence[Sentence] = (), name: str = "") -> str:
    """The passages as folded blocks: title, place, text with the words that support a sentence, link or path.

    Two others read this HTML back, and change with it: `rag.page.export`, and `sources` in `rag/assets/copy.js`. Of the
    summary they leave out what is in `b` and `small`, of the last paragraph the link to the reader; all else there they
    take for the title and the address.
    """
    blocks = []
    for number, passage in enumerate(passages, start=1):
        quoted = [(place, each) for place, each in enumerate(grounding) if each.passage == number and each.quote]
        origin = str(passage.metadata.get("source", ""))
        section = plain(str(passage.metadata.get("section") or ""))
        where = (f" › {section}" if section else "") + (
            f" · page {passage.metadata['page']}" if "page" in passage.metadata else ""
        )
        link = (
            f'<a href="{html.escape(link_of(passage))}" target="_blank" rel="noopener noreferrer">{plain(origin)}</a>'
        )
        told = "comes with the app" if origin == GUIDE else link if is_url(origin) else plain(origin)
        blocks.append(
            f"<details><summary><b>{number}</b> {plain(str(passage.metadata.get('title') or origin))}{where}"
            f" <small>{plain(_beginning(passage))}</small></summary>"
            f"<blockquote>{_highlighted(passage, quoted, name)}</blockquote>"
            f"<p>{_reader_link(passage)}{told}</p></details>"
        )
    return "".join(blocks)


def _reader_link(passage: Document) -> str:
    """The link that opens a passage in its source."""
    place = place_of(passage, 0, len(passage.page_content))
    return f'<a href="{html.escape(READ + place)}">Read it in the source</a> · ' if place else ""


def _highlighted(passage: Document, quoted: Sequence[tuple[int, Sentence]], name: str) -> str:
    """A passage's text; what supports a sentence is marked, and its words in it once more."""
    text = passage.page_content
    shown, shown_to = "", 0
    for start, end, sentences in _merged(quoted):
        anchors = "".join(f'<span id="{SUPPORTED[1:]}{name}-{place}"></span>' for place, _ in sentences)
        words = [span for _, sentence in sentences for span in sentence.words]
        cuts = sorted({start, end, *(place for span in words for place in span if start < place < end)})
        runs = ""
        for left, right in pairwise(cuts):
            run = plain(text[left:right])
            runs += f"<b>{run}</b>" if any(span[0] <= left and right <= span[1] for span in words) else run
        link = quote_of(passage, start, end).link
        there = f' <a href="{html.escape(link)}" target="_blank" title="Open the page at these words">↗</a>'
        shown += f"{plain(text[shown_to:start])}{anchors}<mark>{runs}</mark>{there if link else ''}"
        shown_to = end
    return shown + plain(text[shown_to:])


def _merged(quoted: Sequence[tuple[int, Sentence]]) -> list[tuple[int, int, list[tuple[int, Sentence]]]]:
    """Where a passage is quoted, from and to, and by which sentences; what overlaps is one place."""
    places: list[tuple[int, int, list[tuple[int, Sentence]]]] = []
    for number, sentence in sorted(quoted, key=lambda item: item[1].quote or (0, 0)):
        start, end = sentence.quote or (0, 0)
        if places and start < places[-1][1]:
            first, last, others = places.pop()
            places.append((first, max(last, end), [*others, (number, sentence)]))
        else:
            places.append((start, end, [(number, sentence)]))
    return places


def _beginning(passage: Document) -> str:
    """The first words of a passage, headings left out, to tell it from its neighbours."""
    headings = {passage.metadata.get("title"), *headings_above(passage)}
    lines = (line for line in passage.page_content.splitlines() if not line.startswith("#") and line not in headings)
    return " ".join(" ".join(lines).split())[:90] + " …"
