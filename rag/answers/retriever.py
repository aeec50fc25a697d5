"""Question -> passages: the chunks nearest by meaning, the best by words as wholes and in part, fused by rank.

The first of these are ranked by how near they are and how much of the question they say, and the passages that are left
by their sentences, too, whose vectors are needed for the quotes anyway. Of two questions in one, each has its best
passage among them. What each step brings was measured
(bench/README.md, docs/how-it-works.md). What brought nothing is not here.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import run_in_executor
from pydantic import ConfigDict

from rag.answers.parts import parts_of
from rag.answers.quotes.quotable import quotable
from rag.errors import engine_error
from rag.library.index import KEPT_CHUNKS, SearchIndex
from rag.library.splitter import embedded_text, names_of_source
from rag.models.ollama import reads_english_alone
from rag.text.detect import is_english, question_language
from rag.text.language import ENGLISH, stems, word_weights
from rag.text.vectors import at_length_one, have_vectors, question_vector, sentence_vectors

if TYPE_CHECKING:
    from rag.text.vectors import Vectors

CANDIDATES = 50
"""Chunks that each side gives."""
RANK_CONSTANT = 10
"""Of reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009, who took 60): with three rankings of which two
are by words, what one of them has first must not be lost among what all have in the middle."""
RANKED = 30
"""Chunks, the first by rank, that are ranked anew by nearness and words."""
LOOKED_AT, ENGLISH_LATER = 500, 10
"""Characters of a chunk that tell its language, and how many times later an English one comes for a question in another
language: not behind all, since the text that is meant may be English."""
READ = 4
"""Chunks that are read for each passage wanted. Some say the same or are joined: where too few passages are left, all
candidates are read."""
WORDS, SENTENCE = 4.0, 1.0
"""What is added to a chunk's nearness to the question: for the share of the question's words in it, up to `WORDS`
standard deviations of the nearness of all that are compared, as cosines differ with every embedding model; then, for a
passage, `SENTENCE` times the nearness of its nearest sentence. From 3 to 5 and from .5 to 1.5 nothing much changed."""
KEPT_PASSAGES = 512
"""Passages whose sentences are remembered, some 3 kB each."""
JOINED_AMONG, JOINED_MOST = 8, 2
"""Chunks that follow each other among the first 8 are one passage, of at most two chunks."""
FEWEST_FOR_ANOTHER = 3
"""Passages from which on one may be given to another source."""
ALIKE = 0.9
"""Share of words in common from which on two passages are the same."""


class _Passage(NamedTuple):
    """A passage with the score of its best chunk, its sentences as they are embedded, and the ids of its chunks."""

    document: Document
    score: float = 0.0
    sentences: Sequence[str] = ()
    chunks: Set[str] = frozenset()


@dataclass(frozen=True)
class _Joined:
    """A passage, or a chunk alone, told from others by the chunks that it is made of; they never change."""

    chunks: tuple[str, ...]
    passage: Document = field(compare=False)


@lru_cache(KEPT_CHUNKS)
def _said(chunk: _Joined, language: str) -> frozenset[str]:
    """The stems of a chunk, its headings and its source's names; remembered, as a chunk is found again and again."""
    return stems(f"{names_of_source(chunk.passage)}\n{embedded_text(chunk.passage)}", language)


@lru_cache(KEPT_PASSAGES)
def _sentences(joined: _Joined) -> tuple[str, ...]:
    """The sentences of a passage as they are embedded; remembered, as a passage is found again and again."""
    return tuple(each.embedded for each in quotable([joined.passage]))


class Retriever(BaseRetriever):
    """Finds the passages for a question in one index."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    index: SearchIndex
    k: int = 4
    dense: bool = False
    """The chunks nearest by meaning, as they are: no words, no joining."""

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        scope: Sequence[str] = (),
        k: int | None = None,
    ) -> list[Document]:
        """The `k` best passages, best first. `scope`: of these sources only, if any is given."""
        asked = self._corrected(query)
        with self._engine_errors():
            vector = question_vector(self.index.embeddings, asked)
            for part in self._parts_of(asked):
                question_vector(self.index.embeddings, part)
        found = self._find_all(asked, scope, k or self.k)
        with self._engine_errors():
            return self._by_sentences(found, vector)

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        scope: Sequence[str] = (),
        k: int | None = None,
    ) -> list[Document]:
        asked = await run_in_executor(None, self._corrected, query)
        with self._engine_errors():
            vector = await have_vectors(self.index.embeddings, asked)
            for part in self._parts_of(asked):
                await have_vectors(self.index.embeddings, part)
        found = await run_in_executor(None, self._find_all, asked, scope, k or self.k)
        with self._engine_errors():
            await have_vectors(self.index.embeddings, asked, [text for passage in found for text in passage.sentences])
            return await run_in_executor(None, self._by_sentences, found, vector)

    @contextmanager
    def _engine_errors(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise engine_error(error, *self.index.engine) from error

    def _corrected(self, query: str) -> str:
        return query if self.dense else self.index.words.corrected(query)

    def _find_all(self, asked: str, scope: Collection[str], k: int) -> list[_Passage]:
        """The `k` best passages, with the best one for each of the questions that are in one."""
        found = self._find(asked, question_vector(self.index.embeddings, asked), scope, k)
        parts = self._parts_of(asked) if len(found) == k else []
        firsts = [self._find(part, question_vector(self.index.embeddings, part), scope, 1)[0] for part in parts]
        for first in firsts:
            if any(_say_the_same(first, each) for each in found):
                continue
            places = [place for place in range(1, k) if not any(_say_the_same(found[place], other) for other in firsts)]
            if places:  # scores are those of one question each
                last = found[places[-1]]
                found[places[-1]] = first._replace(score=min(first.score, last.score))
        return found

    def _parts_of(self, asked: str) -> list[str]:
        return [] if self.dense else parts_of(asked)

    def _find(self, asked: str, vector: Vectors, scope: Collection[str], k: int) -> list[_Passage]:
        """The `k` passages whose chunks are best, best first."""
        if self.dense:
            found = self.index.candidates(asked, vector, k, scope, lambda rankings: rankings[0])
            return [_Passage(_joined([found.chunks[row]])) for row in found.by_meaning[:k]]
        for enough in (max(RANKED, READ * k), 3 * CANDIDATES):
            passages, scores, more = self._passages_of(asked, vector, scope, k, enough)
            if len(passages) == k or not more:  # else the first ones say the same, or follow each other
                break
        worst = min(scores.values(), default=0.0)
        return [
            _Passage(
                passage,
                max(scores.get(str(chunk.id), worst) for chunk in group),
                _sentences(_Joined(tuple(str(chunk.id) for chunk in group), passage)) if scores else (),
                {str(chunk.id) for chunk in group},
            )
            for group, passage in zip(passages, map(_joined, passages), strict=True)
        ]

    def _passages_of(
        self, asked: str, vector: Vectors, scope: Collection[str], k: int, enough: int
    ) -> tuple[list[list[Document]], dict[str, float], bool]:
        """The chunks of the `k` best passages among the first `enough` chunks; the scores of chunks, by id; whether
        there are more chunks.

        Where the embedding model does not read the question's language, words count thrice, nothing is scored anew, and
        English chunks come later: a word of another language is found in them that only looks alike.
        """
        language = question_language(asked, self.index.words.languages)
        is_read = language == ENGLISH or not reads_english_alone(self.index.engine[0])

        def fused_of(rankings: Sequence[Sequence[str]]) -> list[str]:
            meaning, *by_words = rankings
            return _fused(*rankings) if is_read else _fused(meaning, *by_words * 3)

        def choose(rankings: Sequence[Sequence[str]]) -> list[str]:
            return [*fused_of(rankings)[:enough], *(ranking[0] for ranking in rankings if ranking)]

        found = self.index.candidates(asked, vector, CANDIDATES, scope, choose)
        rankings = (found.by_meaning, found.by_words, found.by_windows)
        fused = fused_of(rankings)
        best = [found.chunks[row] for row in fused if row in found.chunks]
        scores = self._scores(asked, vector, best[:RANKED], language) if is_read else {}
        best.sort(key=lambda chunk: -scores.get(str(chunk.id), -math.inf))  # stable: the rest stays behind as it is
        if not is_read:
            best[:RANKED] = _english_later(best[:RANKED], language)
        firsts = [found.chunks[ranking[0]] for ranking in rankings if ranking]
        return with_another_source(_passages(best, k), firsts, k), scores, len(best) < len(fused)

    def _scores(self, asked: str, vector: Vectors, chunks: Sequence[Document], language: str) -> dict[str, float]:
        """By id, how near each chunk is to the question, and how much of the question it says."""
        if not chunks:
            return {}
        nearness = self.index.vectors_of(chunks) @ at_length_one(vector)
        unit = WORDS * float(nearness.std())
        weights = word_weights(asked, language)
        total = sum(weights.values()) or 1.0
        said = [_said(_Joined((str(chunk.id),), chunk), language) for chunk in chunks]
        return {
            str(chunk.id): float(near) + unit * sum(weights[word] for word in weights.keys() & words) / total
            for chunk, near, words in zip(chunks, nearness, said, strict=True)
        }

    def _by_sentences(self, found: list[_Passage], vector: Vectors) -> list[Document]:
        """The passages by their score and the nearness of their nearest sentence together, best first."""
        if len(found) > 1 and not self.dense:
            asked = at_length_one(vector)
            nearest = {
                id(passage): float((sentence_vectors(self.index.embeddings, passage.sentences) @ asked).max())
                for passage in found
                if passage.sentences
            }
            found = sorted(found, key=lambda passage: -(passage.score + SENTENCE * nearest.get(id(passage), 0.0)))
        return [passage.document for passage in found]


def _fused(*rankings: Sequence[str]) -> list[str]:
    """Reciprocal rank fusion, best first."""
    scores: dict[str, float] = {}
    for ranking in rankings:
        for place, row in enumerate(ranking, start=1):
            scores[row] = scores.get(row, 0.0) + 1 / (RANK_CONSTANT + place)
    return sorted(scores, key=lambda row: -scores[row])


def _english_later(chunks: Sequence[Document], language: str) -> list[Document]:
    """The chunks in their order, but for the English ones, whose places count `ENGLISH_LATER` times."""
    english = (is_english(chunk.page_content[:LOOKED_AT], language) for chunk in chunks)
    places = [place * (ENGLISH_LATER if is_so else 1) for place, is_so in enumerate(english, start=1)]
    return [chunk for _, chunk in sorted(zip(places, chunks, strict=True), key=lambda pair: pair[0])]


def _passages(chunks: Sequence[Document], most: int) -> list[list[Document]]:
    """The chunks of the first `most` passages: without what says the same again, and with neighbours together."""
    found: list[list[Document]] = []
    bags: list[set[str]] = []
    for place, chunk in enumerate(chunks):
        bag = set(chunk.page_content.split())
        if any(_alike(bag, other) for other in bags):
            continue
        beside = place < JOINED_AMONG and _beside(chunk, (group for group in found if len(group) < JOINED_MOST))
        if not beside and len(found) == most:
            if place >= JOINED_AMONG:
                break
            continue
        bags.append(bag)
        if beside:
            beside.append(chunk)
        else:
            found.append([chunk])
    return found


def with_another_source(found: list[list[Document]], firsts: Sequence[Document], most: int) -> list[list[Document]]:
    """Where all passages are of one source, the last gives way to what another source has first in some ranking."""
    sources = {group[0].metadata.get("source") for group in found}
    if len(found) < max(most, FEWEST_FOR_ANOTHER) or len(sources) > 1:
        return found
    others = [chunk for chunk in firsts if chunk.metadata.get("source") not in sources]
    return [*found[:-1], others[:1]] if others else found


def _alike(words: set[str], others: set[str]) -> bool:
    return len(words & others) >= ALIKE * len(words | others)


def _beside(chunk: Document, groups: Iterable[list[Document]]) -> list[Document] | None:
    """The group with a chunk that this one overlaps or touches in the same document."""
    return next((group for group in groups if any(_touch(chunk, other) for other in group)), None)


def _touch(chunk: Document, other: Document) -> bool:
    mine, its = chunk.metadata, other.metadata
    if mine.get("revision") != its.get("revision"):  # most pairs
        return False
    if any(mine.get(name) != its.get(name) for name in ("source", "title", "page")):
        return False
    one, two = sorted((chunk, other), key=_start)
    shared = _start(one) + len(one.page_content) - _start(two)
    return (
        0 <= shared <= len(two.page_content)
        and one.page_content[len(one.page_content) - shared :] == (two.page_content[:shared])
    )


def _say_the_same(passage: _Passage, other: _Passage) -> bool:
    """Whether two passages have a chunk in common, or the same words."""
    words = [set(each.document.page_content.split()) for each in (passage, other)]
    return bool(passage.chunks & other.chunks) or _alike(*words)


def _start(chunk: Document) -> int:
    return int(chunk.metadata.get("start_index", 0))


def _joined(group: list[Document]) -> Document:
    """The chunks of a group as one, that says where it begins; a copy, since the index keeps the chunks."""
    first, *others = sorted(group, key=_start)
    text = first.page_content
    for chunk in others:
        text += chunk.page_content[_start(first) + len(text) - _start(chunk) :]
    headings = list(dict.fromkeys(name for chunk in group for name in chunk.metadata.get("headings", ())))
    metadata = first.metadata | ({"headings": headings} if headings else {})
    return Document(text, metadata=metadata, id=first.id)
