"""Whether passages answer a question, so that a small model is not left to invent an answer.

Three signals decide: how near the question is to the nearest sentence of the passages, on the embedding model's own
scale (`verdict.scale`); how many of the question's words no chunk of the library has; and how rare the rarest word
is that no passage found has. `bench/relevance.py` fits their weights (`rag/relevance.json`) and gives the figures.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Literal

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from rag.answers.quotes.asked_for import contact_words
from rag.answers.verdict.prepared import Prepared
from rag.answers.verdict.scale import EVERYDAY_FILE, Scale, load_scale, measure, save_scale
from rag.answers.whole.intent import is_greeting
from rag.errors import engine_error
from rag.library.words import Words
from rag.models.ollama import reads_english_alone
from rag.text.detect import document_languages, question_language, sure_language
from rag.text.headings import nearest_heading
from rag.text.language import ENGLISH, stem, stems, surfaces, word_weights
from rag.text.sentences import split_sentences
from rag.text.vectors import at_length_one, have_vectors, question_vector, sentence_vectors

WEIGHTS_FILE = Path(__file__).parents[2] / "relevance.json"

SCALE_SECONDS = 40.0
"""Longest wait of a question for the scale of an embedding model, from when it began to be measured."""
DIRECT = 2.25
"""Score from which passages seem to say directly what is asked; below, a small model would rather invent it."""
ENOUGH_WORDS = 0.3
"""Share of the words of a question that a passage has at least where the embedding model cannot read the question."""
FOREIGN_NEARNESS = 0.45
"""How near the nearest sentence is at least to a question in another language than all passages, whose words tell
nothing then. With multilingual-e5-small, of 16 such questions that a library answers two are below, of 60 others 43."""
SMALL = 60
"""Chunks of a library from which on its size does not count."""
WEIGHED = ("nearness", "unknown", "missing")
_NAME = re.compile(r"(?<=[\w,;:–-] )[A-ZÀ-Þ][\w'’-]*[^\W\d_](?<!['’]s)")
"""A word with a capital letter that no sentence begins with."""
SHORTEST, LONGEST = 25, 400
"""Characters of a sentence that is compared. Shorter neighbours are joined; a longer one, as of a table, is cut."""


@dataclass(frozen=True)
class Verdict:
    """Whether passages answer a question.

    Attributes:
        answers: the verdict.
        score: logarithm of the odds that they do, less that of the odds that are required; 0 and more is yes.
        reason: for the log.
        kind: "greeting" if it asks nothing.
        direct: whether they seem to say it directly, where they answer.
    """

    answers: bool
    score: float
    reason: str
    kind: Literal["passages", "greeting"] = "passages"
    direct: bool = True


@dataclass(frozen=True)
class Signals:
    """The evidence for a verdict. Shares weigh each word by its rarity in English.

    Attributes:
        nearness: of the nearest sentence: 0 as an unrelated one, 1 as an answer.
        unknown: share of the question's words in no chunk of the library, 0 to 1.
        missing: rarity of the question's rarest word that no passage has, 0 to 1; 0: they have all.
        covered: share of the question's words in the best passage, 0 to 1; has no weight, and decides where the
            embedding model cannot read the question.
        small: how many powers of ten the library is below `SMALL` chunks, 0 and more: the fewer it has, the more words
            of a question it lacks, and the less near the nearest of its sentences is, though it has the answer.
    """

    nearness: float
    unknown: float
    missing: float
    covered: float
    small: float = 0.0


class Judge:
    """Decides, for one embedding model, whether passages answer a question. For any thread."""

    def __init__(
        self, embeddings: Embeddings, engine: tuple[str, str], digest: str = "", folder: Path | None = None
    ) -> None:
        """`engine` and `digest` (of the weights) are those of the index.

        The scale is saved in `folder`, if there is one.
        """
        self._embeddings = embeddings
        self._engine = engine
        self._reads_english_alone = reads_english_alone(engine[0])
        self._scale = Prepared(self._load_or_measure)
        texts = EVERYDAY_FILE.read_bytes()
        key = hashlib.sha256(b"\0".join([engine[0].encode(), digest.encode(), texts])).hexdigest()[:16]
        self._file = folder / f"scale-{key}.npz" if folder else None

    def prepare(self) -> Scale:
        """Load or measure the scale, once.

        Raises:
            EngineError: the embedding model failed; the next call tries again.
        """
        return self._scale.get()

    def _load_or_measure(self) -> Scale:
        scale = load_scale(self._file) if self._file else None
        if scale is None:
            try:
                scale = measure(self._embeddings)
            except Exception as error:
                raise engine_error(error, *self._engine) from error
            if self._file:
                save_scale(self._file, scale)
        return scale

    async def decide(self, question: str, passages: Sequence[Document], words: Words) -> Verdict:
        """Whether the passages answer the question. Cancelling closes the request to the embedding model.

        Args:
            question: complete; a follow-up must be rewritten before.
            passages: best first.
            words: of the whole library.

        Raises:
            EngineError: the embedding model failed.
        """
        if is_greeting(question):
            return Verdict(True, 0.0, "nothing is asked", "greeting")
        filled = [passage for passage in passages if passage.page_content.strip()]
        if not filled:
            return Verdict(False, -math.inf, "nothing was found")
        if await self._scale.within(SCALE_SECONDS) is None:  # nobody waits the minutes that a slow engine takes for it
            return Verdict(True, 0.0, "the scale of the embedding model is still being measured")
        for some in (filled[:1], filled):  # the first is mostly enough, and more passages can only add to the score
            try:
                await have_vectors(self._embeddings, words.corrected(question), _pieces_of(some))
            except Exception as error:
                raise engine_error(error, *self._engine) from error
            signals = self.signals(question, some, words)
            verdict = _verdict(signals)
            if verdict.answers:
                break
        if not verdict.answers and not self._reads_english_alone and _is_foreign(question, filled):
            is_near = signals.nearness >= FOREIGN_NEARNESS
            return replace(verdict, answers=is_near or _names_the_document(question, filled[0]), direct=False)
        if self._reads_english_alone:  # how near a question in another language is then tells nothing
            if question_language(question, words.languages) != ENGLISH:
                return replace(verdict, answers=verdict.answers or signals.covered >= ENOUGH_WORDS, direct=True)
            language = sure_language(question)
            others = [each for each in filled if sure_language(each.page_content) != ENGLISH]
            if (
                language not in ("", ENGLISH)
                and _covered(word_weights(question, language), others, language) >= ENOUGH_WORDS
            ):
                return replace(verdict, answers=True, direct=True)  # in a source whose language is not told, as of rows
        if not verdict.direct and _is_headed(question, filled):
            return replace(verdict, answers=True, direct=True)
        if not verdict.answers and _names_the_document(question, filled[0]):
            return replace(verdict, answers=True, direct=False)
        return verdict

    def signals(self, question: str, passages: Sequence[Document], words: Words) -> Signals:
        """The signals for `decide` and for `bench/relevance.py`.

        Raises:
            EngineError: the embedding model failed.
        """
        scale = self.prepare()
        asked = words.corrected(question)
        try:
            vector = at_length_one(question_vector(self._embeddings, asked))
            nearest = float((sentence_vectors(self._embeddings, _pieces_of(passages)) @ vector).max())
        except Exception as error:
            raise engine_error(error, *self._engine) from error
        language = question_language(asked, words.languages)
        whole = word_weights(asked, language)
        had = stems(contact_words(asked, [passage.page_content for passage in passages]), language)
        weights = {word: weight for word, weight in whole.items() if word not in had}
        total = sum(weights.values()) or 1.0
        found = [weights.keys() & _stems(passage, language) for passage in passages]
        return Signals(
            (nearest - scale.unrelated) / scale.unit,
            sum(weights.get(word, 0.0) for word in _unknown(asked, words, language)) / total,
            max((weights[word] for word in weights.keys() - set().union(*found)), default=0.0),
            _covered(whole, passages, language),
            max(0.0, math.log10(SMALL / max(1, len(words)))) if language == ENGLISH else 0.0,
        )


@cache
def load_weights() -> dict[str, float]:
    """The weight of each signal, and `bias`."""
    found: dict[str, float] = json.loads(WEIGHTS_FILE.read_text(encoding="utf-8"))["weights"]
    return found


def score_of(signals: Signals, weights: Mapping[str, float]) -> float:
    """The weighted sum of the signals; 0 and more is an answer.

    A small library is given back some of what the words that it lacks took.
    """
    owed = min(signals.small, -weights["unknown"] * signals.unknown)
    return weights["bias"] + owed + sum(weights[name] * float(getattr(signals, name)) for name in WEIGHED)


def _verdict(signals: Signals) -> Verdict:
    """The weighted sum of the signals as a score, and the reason in figures."""
    score = score_of(signals, load_weights())
    reason = (
        f"nearest sentence {signals.nearness:.2f} (0 unrelated, 1 an answer), words {signals.covered:.0%} in one"
        f" passage, {signals.unknown:.0%} nowhere, rarest that no passage has {signals.missing:.2f}"
    )
    return Verdict(score >= 0, score, reason, direct=score >= DIRECT)


def _pieces_of(passages: Sequence[Document]) -> list[str]:
    """The pieces of all passages, each once."""
    return list(dict.fromkeys(piece for passage in passages for piece in _pieces(passage.page_content)))


def _pieces(text: str) -> list[str]:
    """The sentences of a passage, each `SHORTEST` to `LONGEST` characters; the whole text if all are shorter."""
    sentences: list[str] = []
    for short, group in groupby(split_sentences(text), lambda sentence: len(sentence) < SHORTEST):
        lines = list(group)
        sentences += [" ".join(lines)] if short else lines
    sentences = [sentence for sentence in sentences if len(sentence) >= SHORTEST] or [" ".join(text.split()) or "-"]
    return [sentence[at : at + LONGEST] for sentence in sentences for at in range(0, len(sentence), LONGEST)]


def _is_headed(question: str, passages: Sequence[Document]) -> bool:
    """Whether a passage has a heading with all that a question asks about: "What does --since do?"."""
    asked = word_weights(question).keys()
    headings = [
        *map(nearest_heading, passages),
        *(name for passage in passages for name in passage.metadata.get("headings", ())),
    ]
    return bool(asked) and any(asked <= stems(heading) for heading in headings)


def _names_the_document(question: str, passage: Document) -> bool:
    """Whether a question has a name from a document's title: "What did Maria study?", of the papers of Maria Keller."""
    names = set(_NAME.findall(question))
    return bool(names & set(_NAME.findall(f"- {passage.metadata.get('title') or ''}")))


def _is_foreign(question: str, passages: Sequence[Document]) -> bool:
    """Whether a question is surely in another language than each of the passages that surely is in one."""
    asked = sure_language(question)
    read = {language for passage in passages for language in document_languages(passage.page_content).split()}
    return bool(asked and read) and asked not in read


def _covered(weights: Mapping[str, float], passages: Sequence[Document], language: str) -> float:
    """Share of a question's words, given by their weights in that language, that one passage has, 0 to 1."""
    found = (weights.keys() & _stems(passage, language) for passage in passages)
    return max((sum(weights[word] for word in each) for each in found), default=0.0) / (sum(weights.values()) or 1.0)


def _stems(passage: Document, language: str) -> frozenset[str]:
    """The stems of a passage and of its headings."""
    heading = f"{passage.metadata.get('title') or ''} {passage.metadata.get('section') or ''}"
    return stems(f"{heading}\n{passage.page_content}", language)


def _unknown(question: str, words: Words, language: str) -> set[str]:
    """The stems of a question of which the library has no form."""
    known = {stem(word, language) for word in surfaces(question) if words.has(word)}
    return word_weights(question, language).keys() - known
