"""How well each sentence of the passages answers a question: by nearness, words, names and kinds of values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from rag.answers.quotes.asked_for import NAMED, asked_for, label_asked_for, names_of
from rag.answers.quotes.quotable import Quotable
from rag.grounding.segments import is_question
from rag.library.splitter import names_of_source
from rag.sources.tables import SEPARATOR
from rag.text.detect import is_english
from rag.text.language import ENGLISH, common_words, stems, word_weights
from rag.text.vectors import at_length_one, question_vector, sentence_vectors

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
_ASKS_WHAT = re.compile(
    r"(?:what(?:['’]s| is| are| does| do)|explain|define|describe|was (?:ist|sind|macht|bedeute[nt]+)|wofür ist"
    r"|(?:qu['’]est[- ]ce que|que fait|à quoi sert)|qu[ée] (?:es|son|hace|significa))\b",
    re.I,
)
"""A question for what something is, does or means."""
_WORD = re.compile(r"\w+")


def score_sentences(
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
    rests = without_titles(question, language, sources)
    sentences = sentence_vectors(embeddings, [each.embedded for each in found])
    near = {asked: sentences @ at_length_one(question_vector(embeddings, asked)) for asked in {question, *rests}}
    return [
        max(float(near[question][place]), float(near[rests[each.passage - 1]][place]))
        for place, each in enumerate(found)
    ]


def without_titles(question: str, language: str, sources: Sequence[Document]) -> list[str]:
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
