"""The sentences of the passages that answer a question best, word for word, in up to three quotes.

They are there before a chat model has read its prompt, and they are the answer where there is no chat model.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from rag.answers.parts import LEANING, parts_of
from rag.answers.quotes.asked_for import NAMED, asked_for, label_asked_for, names_of
from rag.answers.quotes.lists import items_around, list_asked_for, rows_alike
from rag.answers.quotes.quotable import GROWN, LONGEST_QUOTE, Quotable, marker_of, quotable
from rag.grounding.ground import Sentence
from rag.grounding.segments import Segment, is_question, split_segments
from rag.library.splitter import names_of_source
from rag.sources.tables import SEPARATOR, row_opening
from rag.text.detect import is_english, question_language
from rag.text.language import ENGLISH, common_words, stems, word_weights
from rag.text.links import without_addresses
from rag.text.vectors import at_length_one, have_vectors, question_vector, sentence_vectors
from rag.text.wraps import unwrap

MOST_QUOTES, MOST_SENTENCES = 3, 8
"""Quotes, and the sentences with the best scores that are looked at for them: neighbours among these are one quote."""
PLACE = 0.1
"""What each place of its passage takes off a sentence's score."""
FOREIGN = 0.6
"""What it takes off that a sentence is in English and the question in another language, for names that both have."""


OPENS = 0.5
"""What is added to the first sentence below a heading that names what a question asks the meaning of."""


class _Weights(NamedTuple):
    """Weights of a sentence's nearness, of the question's words in it, each by its rarity, and of what stands before.

    Words weigh more in a row, a list item or a `key: value` (`line`), which embedding models know less of, and as much
    in its heading alone.
    """

    near: float
    words: float
    line: float
    heading: float
    before: float


IN_ENGLISH = _Weights(1.0, words=0.2, line=0.5, heading=0.4, before=0.2)
ELSEWHERE = _Weights(0.5, words=1.0, line=1.0, heading=0.4, before=0.2)
"""In other languages, of which many embedding models know little."""
OF_SOURCE = 0.3
"""What it adds that the passages of its source have the names that the question has: others tell of other things."""
NAMING = 2
"""Words of a source's title in a question, from which on it is also compared without them."""
WHOLE = 0.3
"""Share of a sentence's score for both questions that is added to that for one, which may say "it" of its subject."""
LEAST_SHARE = 0.4
"""Of the best quote's score, what another one has at least."""
MANY_WORDS = 9
"""Words of a line without an end that says something alone all the same; titles have fewer."""
LEADING_SHARE = 0.65
"""Of the best sentence's score, what that for one of two questions has if it leads from another passage: such a
question often has a pronoun alone for what it is about, and finds something else."""

_TELLS = re.compile(r"(?:(?<!\.\w)(?<!\bInc)(?<!\bLtd)\.|[!?。！？:：])[\"”»)\]*_]*(?:\s|$)|\s\|\s|\d|\n")
"""What is in a quote that says something alone: a sentence's end, a `key: value`, a row, a number, a second line."""
_ASKS_HOW = re.compile(
    r"(?:how (?:do|does|can|could|should|would|must|to|is|are)\b|(?:what|which)(?: are the)? steps\b"
    r"|wie (?:kann|soll|muss|wird|werden|geht|mache?n?|[a-zäöü]+e (?:ich|man)|[a-zäöü]+t man)\b|welche schritte\b"
    r"|comment\b|c[óo]mo\b|如何|怎么|怎样)",
    re.I,
)
"""A question for the steps of something."""


_ASKS_WHAT = re.compile(
    r"(?:what(?:['’]s| is| are| does| do)|explain|define|describe|was (?:ist|sind|macht|bedeute[nt]+)|wofür ist"
    r"|(?:qu['’]est[- ]ce que|que fait|à quoi sert)|qu[ée] (?:es|son|hace|significa))\b",
    re.I,
)
"""A question for what something is, does or means."""
_WORD = re.compile(r"\w+")
_FENCE = re.compile(r"(?:`{3,}|~{3,})[\w+.-]*")


@dataclass(frozen=True)
class Quote:
    """Part of a passage, word for word: `sources[passage - 1].page_content[start:end]`.

    It `leads` where it answers the question best, or one of two questions in one sentence. `heading` is the nearest one
    above it, or the question that it follows in a list of questions and answers; "" where there is none.
    """

    passage: int
    start: int
    end: int
    leads: bool = False
    heading: str = ""

    def text(self, sources: Sequence[Document]) -> str:
        """Its words, white space folded, after what its row begins with; rows and list items are lines of their own.

        The fences around code and the addresses of links are left out.
        """
        lines = unwrap(sources[self.passage - 1].page_content)[self.start : self.end].splitlines()
        words = "\n".join(
            " ".join(line.split()) for line in lines if line.strip() and not _FENCE.fullmatch(line.strip())
        )
        row, words = self.row(sources), without_addresses(words)
        return row + words.removesuffix(SEPARATOR.rstrip()) if row else words

    def row(self, sources: Sequence[Document]) -> str:
        """What the row begins with that it is amid: "September 2018 | … | "; "" where it is no part of a row."""
        source = sources[self.passage - 1]
        text = source.page_content
        line = text.rfind("\n", 0, self.start) + 1
        amid = "" if line else str(source.metadata.get("row") or "")
        opening = amid or row_opening(text, self.start)
        if not opening:
            return ""
        before = text[line : self.start].rstrip()
        cell = SEPARATOR.rstrip()
        is_whole = not amid and before.removesuffix(cell).rstrip() == opening
        between = SEPARATOR if before.endswith(cell) or (amid and not before) else " "
        return f"{' '.join(opening.split())}{between if is_whole else f'{SEPARATOR}…{between}'}"


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
    rests = [rest for asked in (question, *parts) for rest in _without_titles(asked, language, sources)]
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
    scores = _scores(question, language, found, sources, embeddings, kinds_of="" if parts else question)
    order = _telling_row_first(question, language, sorted(range(len(found)), key=lambda place: -scores[place]), found)
    least = LEAST_SHARE * max(scores)
    firsts = []
    for part in parts:
        own = _scores(part, language, found, sources, embeddings, kinds_of=part)
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


def _scores(
    question: str,
    language: str,
    found: Sequence[Quotable],
    sources: Sequence[Document],
    embeddings: Embeddings,
    kinds_of: str,
) -> list[float]:
    """How well each sentence answers: nearness, words, its passage's place, and the sentence before it.

    `kinds_of`: the question whose kind of value, such as an amount, counts.
    """
    nearness = _nearness(question, language, found, sources, embeddings)
    weigh = IN_ENGLISH if language == ENGLISH else ELSEWHERE
    weights = word_weights(question, language)
    total = sum(weights.values()) or 1.0
    added = asked_for(kinds_of, language)
    titled = [weights.keys() & stems(names_of_source(source), language) for source in sources]
    named = _names_said(question, language, sources)
    asks_what = bool(_ASKS_WHAT.match(question))
    alone = []
    for each, near in zip(found, nearness, strict=True):
        title = titled[each.passage - 1]
        own = (weights.keys() & stems(each.embedded, language)) - title
        above = (weights.keys() & stems(each.heading, language)) - own - title
        words = (weigh.line if each.line else weigh.words) * sum(weights[word] for word in own)
        words += weigh.words * sum(weights[word] for word in title)
        words += weigh.heading * sum(weights[word] for word in above)
        if asks_what and _tells_what(each) and weights.keys() <= stems(each.heading, language) | title:
            words += OPENS * total
        of_source = OF_SOURCE * named[each.passage - 1]
        alone.append(weigh.near * float(near) + words / total + of_source - PLACE * (each.passage - 1))
    if language != ENGLISH:
        english = [not each.line and is_english(each.embedded, language) for each in found]
        alone = (
            [own - FOREIGN * other for own, other in zip(alone, english, strict=True)] if not all(english) else alone
        )
    carried = [max(0.0, alone[place - 1]) if each.following else 0.0 for place, each in enumerate(found)]
    scores = [
        own + added(each.words) + weigh.before * before for each, own, before in zip(found, alone, carried, strict=True)
    ]
    if SEPARATOR not in found[scores.index(max(scores))].words:
        return scores
    label = label_asked_for(question)
    return [own + NAMED * bool(label(each.words)) for each, own in zip(found, scores, strict=True)]


def _nearness(
    question: str, language: str, found: Sequence[Quotable], sources: Sequence[Document], embeddings: Embeddings
) -> list[float]:
    """How near each sentence is to the question, or to what is left of it without its source's title, if that is more.

    The words of the title tell no sentence of a source from another, and those that repeat them are near to it.
    """
    rests = _without_titles(question, language, sources)
    sentences = sentence_vectors(embeddings, [each.embedded for each in found])
    near = {asked: sentences @ at_length_one(question_vector(embeddings, asked)) for asked in {question, *rests}}
    return [
        max(float(near[question][place]), float(near[rests[each.passage - 1]][place]))
        for place, each in enumerate(found)
    ]


def _without_titles(question: str, language: str, sources: Sequence[Document]) -> list[str]:
    """By passage: the question without the words of its source's title and name, where it has two or more of these."""
    words = [(word, stems(word, language)) for word in question.split()]
    rests = []
    for source in sources:
        title = stems(names_of_source(source), language)
        left = " ".join(word for word, own in words if not own & title)
        is_named = sum(bool(own & title) for _, own in words) >= NAMING
        is_named = is_named and any(word.casefold() not in common_words(language) for word in _WORD.findall(left))
        rests.append(left if is_named else question)
    return rests


def _names_said(question: str, language: str, sources: Sequence[Document]) -> list[float]:
    """By passage: share of the question's names that only its source's passages and titles have."""
    names = set(names_of(question)) if language == ENGLISH else set()
    texts: dict[str, str] = {}
    for each in sources:
        source = str(each.metadata.get("source"))
        texts[source] = f"{texts.get(source, '')}\n{names_of_source(each)}\n{each.page_content}"
    said = {source: len(names & {*_WORD.findall(text)}) / max(1, len(names)) for source, text in texts.items()}
    return [said[str(each.metadata.get("source"))] - min(said.values()) for each in sources]


def _tells_what(each: Quotable) -> bool:
    """Whether a sentence is the first one below a heading, which is where a thing is told of that the heading names."""
    return each.opens and not is_question(each.heading)


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


def says_something(quote: Quote, sources: Sequence[Document]) -> bool:
    """Whether a quote says something alone, so that an answer can open with it: a title or a name does not."""
    text = quote.text(sources)
    return bool(_TELLS.search(text)) or len(text.split()) >= MANY_WORDS


def quotes_as_answer(
    quotes: Sequence[Quote], sources: Sequence[Document], before: str = ""
) -> tuple[str, tuple[Sentence, ...]]:
    """The quotes as an answer, one a paragraph, and the support of each: the passage that it was taken from.

    `before` stands before them.
    """
    text, sentences = before, []
    for quote in quotes:
        text += "\n\n" if text else ""
        words = quote.text(sources)
        sentences.append(
            Sentence(len(text), len(text) + len(words), passage=quote.passage, quote=(quote.start, quote.end))
        )
        text += words
    return text, tuple(sentences)
