"""The sentences of the passages that answer a question best, word for word, in up to three quotes.

They are there before a chat model has read its prompt, and they are the answer where there is no chat model.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from rag.answers.parts import LEANING, parts_of
from rag.answers.quotes.asked_for import label_asked_for
from rag.answers.quotes.lists import items_around, list_asked_for, rows_alike
from rag.answers.quotes.quotable import GROWN, LONGEST_QUOTE, Quotable, marker_of, quotable
from rag.answers.quotes.quote import Quote
from rag.answers.quotes.score import score_sentences, without_titles
from rag.grounding.segments import Segment, split_segments
from rag.sources.tables import SEPARATOR
from rag.text.detect import question_language
from rag.text.language import stems, word_weights
from rag.text.vectors import have_vectors

MOST_QUOTES, MOST_SENTENCES = 3, 8
"""Quotes, and the sentences with the best scores that are looked at for them: neighbours among these are one quote."""
WHOLE = 0.3
"""Share of a sentence's score for both questions that is added to that for one, which may say "it" of its subject."""
LEAST_SHARE = 0.4
"""Of the best quote's score, what another one has at least."""
LEADING_SHARE = 0.65
"""Of the best sentence's score, what that for one of two questions has if it leads from another passage: such a
question often has a pronoun alone for what it is about, and finds something else."""

_ASKS_HOW = re.compile(
    r"(?:how (?:do|does|can|could|should|would|must|to|is|are)\b|(?:what|which)(?: are the)? steps\b"
    r"|wie (?:kann|soll|muss|wird|werden|geht|mache?n?|[a-zäöü]+e (?:ich|man)|[a-zäöü]+t man)\b|welche schritte\b"
    r"|comment\b|c[óo]mo\b|如何|怎么|怎样)",
    re.I,
)
"""A question for the steps of something."""


async def find_quotes(
    question: str, sources: Sequence[Document], embeddings: Embeddings, languages: Collection[str] = ()
) -> tuple[Quote, ...]:
    """The sentences that answer the question best, best first; none where the passages have no sentence.

    Args:
        question: complete; a follow-up must be rewritten before.
        sources: the passages, best first.
        embeddings: rank the sentences. Cancelling closes the request to them.
        languages: those of the library; the question is in one of them, or in English.

    Raises:
        RagError: what the embeddings raise.
    """
    language = question_language(question, languages)
    found = await asyncio.to_thread(_with_names, question, language, sources)
    if not found:
        return ()
    await have_vectors(embeddings, question, [each.embedded for each in found])
    parts = _asked_apart(question)
    rests = [rest for asked in (question, *parts) for rest in without_titles(asked, language, sources)]
    for text in dict.fromkeys((*parts, *rests)):
        await have_vectors(embeddings, text)
    return await asyncio.to_thread(_best, question, parts, language, found, sources, embeddings)


def _with_names(question: str, language: str, sources: Sequence[Document]) -> list[Quotable]:
    """The sentences, each embedded with the name of the option or the like that it tells of, if the question has it."""
    asked = word_weights(question, language).keys()
    return [
        each._replace(embedded=f"{each.name}: {each.embedded}") if asked & stems(each.name, language) else each
        for each in quotable(sources)
    ]


def _best(
    question: str,
    parts: Sequence[str],
    language: str,
    found: Sequence[Quotable],
    sources: Sequence[Document],
    embeddings: Embeddings,
) -> tuple[Quote, ...]:
    """The quotes with the highest scores, the best one for each part first, neighbours as one, while there is room."""
    # The kinds of values that two questions ask for are those of each.
    scores = score_sentences(question, language, found, sources, embeddings, kinds_of="" if parts else question)
    order = _telling_row_first(question, language, sorted(range(len(found)), key=lambda place: -scores[place]), found)
    least = LEAST_SHARE * max(scores)
    firsts = []
    for part in parts:
        own = score_sentences(part, language, found, sources, embeddings, kinds_of=part)
        share = 1.0 if LEANING in question else WHOLE
        firsts.append(max(order, key=lambda place: own[place] + share * scores[place]))
    order = list(dict.fromkeys([*firsts, *order]))
    firsts = firsts or order[:1]
    first = found[order[0]]
    asks_how = bool(_ASKS_HOW.match(question))
    steps = _steps(first.segment, sources[first.passage - 1].page_content, first.line) if asks_how else None
    quotes: list[Quote] = [Quote(first.passage, *steps)] if steps else []
    if not asks_how and (whole := list_asked_for(question, language, sources)):
        quotes = [Quote(*whole)]
    if not quotes and (alike := rows_alike(question, language, first, sources)):
        quotes = [Quote(first.passage, *alike)]
    if not quotes and (items := items_around(question, language, first, sources)):
        quotes = [Quote(first.passage, *items)]
    is_whole = bool(quotes) and not parts
    if parts:  # the sentences beside each one's best come before a third quote
        for place in firsts:
            quotes = _added(quotes, found[place], sources)
        for at in range(MOST_QUOTES):
            quotes = _grown(quotes, found, scores, sources, at)
    for place in order[:MOST_SENTENCES]:
        if not quotes or place in firsts or scores[place] >= least:
            quotes = _added(quotes, found[place], sources)
    leading = [
        found[place]
        for place in firsts
        if found[place].passage == first.passage or scores[place] >= LEADING_SHARE * max(scores)
    ]
    leading += [] if parts else _rows_beside(question, first, (found[place] for place in order))
    quotes = [replace(each, heading=_heading_of(each, found)) for each in _grown(quotes, found, scores, sources)]
    if is_whole:  # a list, say, which leads also where another sentence is nearest
        return tuple(replace(each, leads=each == quotes[0]) for each in quotes)
    return tuple(replace(each, leads=_has(each, leading)) for each in quotes)


def _telling_row_first(question: str, language: str, order: list[int], found: Sequence[Quotable]) -> list[int]:
    """The places, best first; before the best row comes one beside it that says the same of the question, and more."""
    asked = word_weights(question, language).keys()

    def said(place: int) -> set[str]:
        return asked & stems(found[place].words, language) if SEPARATOR in found[place].words else set()

    best, label = order[0], label_asked_for(question)
    own = said(best)
    if label(found[best].words):  # the row that is asked for
        return order
    more = (place for place in order if found[place].passage == found[best].passage and said(place) > own)
    telling = next(more, best) if own else best
    return [telling, *(place for place in order if place != telling)]


def _rows_beside(question: str, first: Quotable, others: Iterable[Quotable]) -> list[Quotable]:
    """Of rows, the first of each other label that the question says: "What do the Student and the Daytime cost?".

    A label that is part of another one ("rose", "climbing rose Ida") is none of its own.
    """
    label = label_asked_for(question)
    said = {label(first.words): first}
    for each in others if all(said) else ():
        name = label(each.words)
        if not any(name in other or other in name for other in said):
            said[name] = each
    return list(said.values())[1:]


def _heading_of(quote: Quote, sentences: Sequence[Quotable]) -> str:
    """The heading of the first sentence in a quote."""
    return next((each.heading for each in sentences if _has(quote, [each])), "")


def _has(quote: Quote, sentences: Sequence[Quotable]) -> bool:
    """Whether one of the sentences is in the quote."""
    return any(quote.passage == each.passage and quote.start <= each.segment.start < quote.end for each in sentences)


def _asked_apart(question: str) -> list[str]:
    """The questions in one, or the one that leans on an earlier one; none where there is only one."""
    return [question.rpartition(LEANING)[2]] if LEANING in question.strip() else parts_of(question)


def _added(quotes: list[Quote], each: Quotable, sources: Sequence[Document]) -> list[Quote]:
    """The quotes with one more sentence, if there is room for it."""
    more = _with(quotes, each, sources[each.passage - 1].page_content)
    return more if not quotes or _fits(more, sources) else quotes


def _grown(
    quotes: list[Quote], found: Sequence[Quotable], scores: Sequence[float], sources: Sequence[Document], at: int = 0
) -> list[Quote]:
    """The quotes, the one at a place with the sentences beside it in its paragraph, the better ones first.

    A sentence that speaks of what is asked often only names it, and its neighbour says the thing.
    """
    if at >= len(quotes):  # what has grown may have become one
        return quotes
    text = sources[quotes[at].passage - 1].page_content
    best_first = sorted(range(len(found)), key=lambda place: -scores[place])
    own = [found[place] for place in best_first if found[place].passage == quotes[at].passage]
    while True:
        quote = quotes[at]
        grown = (_with(quotes, each, text) for each in own if _is_beside(each, quote, text))
        fitting = (more for more in grown if at < len(more) and _fits(more, sources))
        longer = next(
            (more for more in fitting if all(each in quotes or each.end - each.start <= GROWN for each in more)), None
        )
        if longer is None or longer == quotes:
            return quotes
        quotes = longer


def _is_beside(each: Quotable, quote: Quote, text: str) -> bool:
    """Whether a sentence stands right before or after a quote, in the same paragraph."""
    after = text[quote.end : each.segment.start] if each.segment.start >= quote.end else "\n"
    before = text[each.segment.end : quote.start] if each.segment.end <= quote.start else "\n"
    return after in ("", " ") or before in ("", " ")


def _fits(quotes: Sequence[Quote], sources: Sequence[Document]) -> bool:
    """Whether they are not too many and not too long in all, with what their rows begin with."""
    length = sum(quote.end - quote.start + len(quote.row(sources)) for quote in quotes)
    return len(quotes) <= MOST_QUOTES and length <= LONGEST_QUOTE


def _with(quotes: Sequence[Quote], each: Quotable, text: str) -> list[Quote]:
    """The quotes with one more sentence and what it leans on, which is part of the quote beside it, if there is one.

    `text` is its passage's. Beside it is the sentence before or after in the same paragraph.
    """
    start, end = each.segment.start, each.end
    if each.leans_on is not None and end - each.leans_on.start <= LONGEST_QUOTE:
        start = each.leans_on.start
    for place, quote in enumerate(quotes):
        if quote.passage != each.passage:
            continue
        if quote.start <= each.segment.start and end <= quote.end:
            return list(quotes)
        gap = text[quote.end : start] if quote.end <= start else text[end : quote.start]
        if gap in ("", " ") or start < quote.end <= end:
            joined = replace(quote, start=min(quote.start, start), end=max(quote.end, end))
            others = [
                other
                for other in quotes[place + 1 :]
                if other.passage != each.passage or not joined.start <= other.start < joined.end
            ]
            return [*quotes[:place], joined, *others]
    return [*quotes, Quote(each.passage, start, end)]


def _steps(segment: Segment, text: str, is_fragment: bool) -> tuple[int, int] | None:
    """Where the numbered list begins and ends that a sentence is in; None where it is in none or that is too long.

    Where it is no sentence, it is the only such list of the text.
    """
    lists: list[list[Segment]] = []
    for each in split_segments(text):
        gap = text[lists[-1][-1].end : each.begin] if lists else "."
        is_item = marker_of(each, text).startswith("1")
        if not gap.strip() and (is_item or (each.begin == each.start and "\n" not in gap)):
            lists[-1].append(each)
        elif is_item:
            lists.append([each])
    own = next((some for some in lists if segment in some), [])
    if is_fragment and not own and len(long := [some for some in lists if len(some) > 2]) == 1:
        (own,) = long
    return (own[0].begin, own[-1].end) if len(own) > 1 and own[-1].end - own[0].begin <= LONGEST_QUOTE else None
