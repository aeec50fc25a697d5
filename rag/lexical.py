"""Words -> chunks: BM25 over what the store shows, in memory, in step with every source that comes or goes.

A source is a segment: the words of its chunks, by word. Segments are merged as they grow in number, in the thread that
adds; a question reads one unchanging `_State` and waits for nobody. Row ids and counts are all that is kept here: texts
stay in the vector store.
"""

from __future__ import annotations

import math
import re
import threading
import unicodedata
from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import Stemmer
from rapidfuzz import process
from rapidfuzz.distance import OSA

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

K1, B = 1.2, 0.75
"""BM25's usual constants: how soon a repeated word stops to count, how much long chunks are held back."""
MERGE_RATIO = 2
"""A segment is merged into the one before unless that is so many times as large: so there are never many."""
FEWEST_ALIVE = 0.5
"""Share of a segment's chunks that must still be there; else it is written anew without the others."""

WINDOW = 50
SHORTEST_CORRECTED = 4
LONG_WORD = 8
"""Letters of a word from which on two slips may be in it, not one."""

RAREST = 1000
"""A word that English texts have no oftener than this (of 1.6 billion words) counts as a name."""

_WORD = re.compile(r"\w+(?:['’]\w+)*")
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")
"""Scripts that do not part words: their characters are indexed in pairs."""
_BRITISH_IS = re.compile(r"(?<=\w{3})is(?=(?:e|ed|es|er|ers|ing|ation|ations)$)")
_BRITISH_OUR = re.compile(r"(?<=\w{3})our(?=(?:s|ed|ing|ful|al|hood|able|ite|ites)?$)")
_FUNCTION_WORDS = """
a about all also am an and any are as at be because been before being between both but by can could did do does
doing done for from get gets give given had has have having he her here him his how i if in into is it its just
let me might more most much must my no nor not of on one or other our out over own say says shall she should so
some such tell than that the their them then there these they this those through to too under until up us very
was we were what when where which while who whom whose why will with within without would you your please
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
"""English words of a question that say nothing of its subject; in a small library they would count as rare ones."""


def surfaces(text: str) -> Iterator[str]:
    """The words of a text, folded but not stemmed: names of code also by their parts, unspaced scripts in pairs."""
    for match in _WORD.finditer(unicodedata.normalize("NFKC", text)):
        word = match[0]
        if not word.isascii() and _UNSPACED.search(word):
            for run in _UNSPACED.findall(word):
                yield from (run[start : start + 2] for start in range(max(1, len(run) - 1)))
            yield from (fold(rest) for rest in _UNSPACED.split(word) if rest)
            continue
        yield fold(word)
        if "_" in word or not (word.islower() or word.istitle() or word.isupper() or word.isdigit()):
            parts = _PARTS.findall(word)
            if len(parts) > 1:
                yield from (part.lower() for part in parts if len(part) > 1)


def fold(word: str) -> str:
    """Without case, accents and a possessive's ending."""
    word = word.casefold().replace("’", "'").removesuffix("'s").replace("'", "")
    if not word.isascii():
        word = "".join(each for each in unicodedata.normalize("NFD", word) if not unicodedata.combining(each))
    return word


_stemmers = threading.local()


@lru_cache(maxsize=200_000)
def stem(word: str) -> str:
    """The word without its English ending, in American spelling: `planning` and `plans` are `plan`."""
    word = _BRITISH_OUR.sub(
        "or", _BRITISH_IS.sub("iz", word)
    )  # the same for any word, so that a wrong one does no harm
    if not hasattr(_stemmers, "english"):
        _stemmers.english = Stemmer.Stemmer("english", 0)  # its objects are not for two threads at once
    stemmed: str = _stemmers.english.stemWord(word)
    return stemmed


@cache
def english() -> Mapping[str, int]:
    """Words that are no slips, and how often: who asks for bread in a library without it does not mean `read`."""
    from spellchecker import SpellChecker  # 16 MB in memory

    known: Mapping[str, int] = SpellChecker(language="en").word_frequency.dictionary
    return known


def rarity(word: str) -> float:
    """From 0, the commonest word of English, to 1, a name; for words as `surfaces` gives them."""
    most = _most_often()
    return math.log(most / max(english().get(word, 0), RAREST)) / math.log(most / RAREST)


@cache
def _most_often() -> int:
    return max(english().values())


@dataclass(frozen=True)
class Segment:
    """Chunks and their words, by word: `chunks[starts[i]:starts[i + 1]]` have the word `terms[i]`, `counts` times."""

    rows: tuple[str, ...]
    sources: Array
    lengths: Array
    alive: Array
    terms: Array
    starts: Array
    chunks: Array
    counts: Array

    @property
    def alive_share(self) -> float:
        """Share of its chunks that are still there."""
        return float(self.alive.mean()) if len(self.rows) else 0.0


@dataclass(frozen=True)
class _State:
    """What one question sees. `frequency` is in how many chunks a word occurs, by its number."""

    segments: tuple[Segment, ...]
    frequency: Array
    chunks: int
    length: float


class LexicalIndex:
    """BM25 over the chunks of all sources. Every method may be called from any thread."""

    def __init__(self) -> None:
        import numpy as np

        english()  # now, and not at the first question
        self._terms: dict[str, int] = {}  # a stem's number; only grows, so that readers need no lock
        self._known: dict[str, int] = {}  # a word's stem, as it is written
        self._spellings: dict[tuple[str, int], list[str]] = {}  # words by first letter and length
        self._sources: dict[str, int] = {}
        self._changing = threading.Lock()
        self._state = _State((), np.zeros(0, dtype=np.int64), 0, 0.0)

    def __len__(self) -> int:
        """Chunks that can be found."""
        return self._state.chunks

    def replace(self, source: str, rows: Iterable[tuple[str, str]]) -> None:
        """A source is now these (row id, text), and what it was before is not found any more."""
        self.fill([(row, source, text) for row, text in rows], gone=[source])

    def remove(self, source: str) -> None:
        """A source is not found any more."""
        self.fill([], gone=[source])

    def fill(self, rows: Iterable[tuple[str, str, str]], gone: Collection[str] = ()) -> None:
        """Add (row id, source, text), of many sources at once; at the same moment, those `gone` are gone."""
        with self._changing:
            fresh = self._segment(rows)
            state = self._state
            for source in gone:
                if (number := self._sources.get(source)) is not None:
                    state = _without(state, number)
            self._state = _merged(_with(state, fresh, len(self._terms))) if fresh.rows else _merged(state)

    def _segment(self, rows: Iterable[tuple[str, str, str]]) -> Segment:
        import numpy as np

        names: list[str] = []
        terms, chunks, counts = array("i"), array("i"), array("f")
        sources, lengths = array("i"), array("f")
        for row, source, text in rows:
            found = Counter(map(self._number, surfaces(text)))
            terms.extend(found.keys())
            counts.extend(found.values())
            chunks.extend([len(names)] * len(found))
            names.append(row)
            sources.append(self._sources.setdefault(source, len(self._sources)))
            lengths.append(found.total())
        return _sorted(
            tuple(names),
            np.frombuffer(sources, dtype=np.int32),
            np.frombuffer(lengths, dtype=np.float32),
            np.frombuffer(terms, dtype=np.int32),
            np.frombuffer(chunks, dtype=np.int32),
            np.frombuffer(counts, dtype=np.float32),
        )

    def _number(self, word: str) -> int:
        number = self._known.get(word)
        if number is None:
            number = self._terms.setdefault(stem(word), len(self._terms))
            self._known[word] = number
            self._spellings.setdefault((word[:1], len(word)), []).append(word)
        return number

    def search(self, question: str, most: int, scope: Collection[str] = ()) -> list[tuple[str, float]]:
        """The `most` row ids that match best, with their scores, best first; of the sources in `scope`, if any."""
        import numpy as np

        state = self._state
        weights = {self._terms[word]: weight for word, weight in self._weights(question, state).items()}
        if not weights:
            return []
        among = None
        if scope:
            among = np.zeros(len(self._sources), dtype=bool)
            among[[number for source in scope if (number := self._sources.get(source)) is not None]] = True
        mean = state.length / state.chunks
        best: list[tuple[float, Segment, int]] = []
        for segment in state.segments:
            scores = np.zeros(len(segment.rows), dtype=np.float32)
            held = K1 * (1 - B + B * segment.lengths / mean)
            for number, weight in weights.items():
                place = int(np.searchsorted(segment.terms, number))
                if place == len(segment.terms) or segment.terms[place] != number:
                    continue
                part = slice(int(segment.starts[place]), int(segment.starts[place + 1]))
                chunks, counts = segment.chunks[part], segment.counts[part]
                scores[chunks] += weight * counts * (K1 + 1) / (counts + held[chunks])
            scores[~segment.alive] = 0
            if among is not None:
                scores[~among[segment.sources]] = 0
            top = np.argpartition(-scores, most)[:most] if most < len(scores) else np.arange(len(scores))
            best += [(float(scores[index]), segment, int(index)) for index in top if scores[index] > 0]
        best.sort(key=lambda found: -found[0])
        return [(segment.rows[index], score) for score, segment, index in best[:most]]

    def closeness(self, question: str, texts: Mapping[str, str]) -> dict[str, float]:
        """For each text, by name, how much of the question stands within `WINDOW` words of it, rare words first."""
        weights = self._weights(question, self._state)
        return {name: _most_within(text, weights) for name, text in texts.items()}

    def _weights(self, question: str, state: _State) -> dict[str, float]:
        """What each stem of the question that some chunk has is worth: the rarer and oftener asked for, the more."""
        asked = list(surfaces(question))
        told = Counter(stem(word) for word in asked if word not in FUNCTION_WORDS) or Counter(map(stem, asked))
        weights = {}
        for word, times in told.items():
            number = self._terms.get(word, -1)
            if 0 <= number < len(state.frequency) and (many := int(state.frequency[number])):
                weights[word] = times * math.log1p((state.chunks - many + 0.5) / (many + 0.5))
        return weights

    def corrected(self, question: str) -> str:
        """The question with words that no chunk has replaced by the likeliest that some chunk has."""
        return _WORD.sub(lambda found: self._nearest(found[0]) or found[0], question)

    def has(self, word: str) -> bool:
        """Whether some chunk has a word, as `surfaces` gives it, in any form of it."""
        return self._has(word) > 0

    def _has(self, word: str) -> int:
        """In how many chunks a word occurs, in any form of it."""
        number = self._known.get(word)
        if number is None:
            number = self._terms.get(stem(word), -1)
        frequency = self._state.frequency
        return int(frequency[number]) if 0 <= number < len(frequency) else 0

    def _nearest(self, given: str) -> str:
        """The word that `given` may be a slip of; empty where it is known, or nothing is near."""
        word = fold(given)
        if len(word) < SHORTEST_CORRECTED or not word.isalpha() or self._has(word) or word in english():
            return ""
        slips = 1 if len(word) < LONG_WORD else 2
        letters = dict.fromkeys(word[:2])  # slips in the first letter are rare, but for two letters that changed places
        near = [
            candidate
            for letter in letters
            for length in range(len(word) - slips, len(word) + slips + 1)
            for candidate in self._spellings.get((letter, length), ())
        ]
        found = process.extract(word, near, scorer=OSA.distance, score_cutoff=slips, limit=50)
        likely = [(distance, -self._has(candidate), candidate) for candidate, distance, _ in found]
        return next((candidate for _, many, candidate in sorted(likely) if many), "")


def _most_within(text: str, weights: Mapping[str, float]) -> float:
    """The greatest weight of different words that stand within `WINDOW` words of the text."""
    places = [(place, word) for place, word in enumerate(map(stem, surfaces(text))) if word in weights]
    inside: Counter[str] = Counter()
    most = weight = 0.0
    first = 0
    for place, word in places:
        inside[word] += 1
        weight += weights[word] if inside[word] == 1 else 0.0
        while place - places[first][0] > WINDOW:
            gone = places[first][1]
            inside[gone] -= 1
            weight -= weights[gone] if not inside[gone] else 0.0
            first += 1
        most = max(most, weight)
    return most


def _sorted(
    rows: tuple[str, ...], sources: Array, lengths: Array, terms: Array, chunks: Array, counts: Array
) -> Segment:
    """A segment from (word, chunk, count) in any order."""
    import numpy as np

    order = np.argsort(terms, kind="stable")
    unique, starts = np.unique(terms[order], return_index=True)
    return Segment(
        rows,
        sources,
        lengths,
        np.ones(len(rows), dtype=bool),
        unique,
        np.append(starts, len(terms)),
        chunks[order],
        counts[order],
    )


def _words_of(segment: Segment) -> Array:
    """The word of each entry."""
    import numpy as np

    return np.repeat(segment.terms, np.diff(segment.starts))


def _with(state: _State, segment: Segment, terms: int) -> _State:
    import numpy as np

    frequency = np.zeros(terms, dtype=np.int64)
    frequency[: len(state.frequency)] = state.frequency
    frequency[segment.terms] += np.diff(segment.starts)
    return _State(
        (*state.segments, segment),
        frequency,
        state.chunks + len(segment.rows),
        state.length + float(segment.lengths.sum()),
    )


def _without(state: _State, source: int) -> _State:
    import numpy as np

    frequency, chunks, length = state.frequency, state.chunks, state.length
    segments = []
    for segment in state.segments:
        going = segment.alive & (segment.sources == source)
        if going.any():
            lost = _words_of(segment)[going[segment.chunks]]
            frequency = frequency - np.bincount(lost, minlength=len(frequency))
            chunks -= int(going.sum())
            length -= float(segment.lengths[going].sum())
            segment = replace(segment, alive=segment.alive & ~going)
        segments.append(segment)
    return _State(tuple(segments), frequency, chunks, length)


def _merged(state: _State) -> _State:
    """The same with fewer segments: none that is mostly gone, none that is not much larger than the next."""
    segments: list[Segment] = []
    for segment in state.segments:
        if not segment.alive.any():
            continue
        if segment.alive_share < FEWEST_ALIVE:
            segment = _joined([segment])
        segments.append(segment)
    while len(segments) > 1 and len(segments[-2].rows) < MERGE_RATIO * len(segments[-1].rows):
        segments[-2:] = [_joined(segments[-2:])]
    return replace(state, segments=tuple(segments))


def _joined(segments: Sequence[Segment]) -> Segment:
    """One segment of what is alive in several."""
    import numpy as np

    rows: list[str] = []
    terms, chunks, counts = [], [], []
    for segment in segments:
        kept = segment.alive[segment.chunks]
        place = np.cumsum(segment.alive) - 1 + len(rows)
        terms.append(_words_of(segment)[kept])
        chunks.append(place[segment.chunks[kept]].astype(np.int32))
        counts.append(segment.counts[kept])
        rows += [row for row, alive in zip(segment.rows, segment.alive, strict=True) if alive]
    return _sorted(
        tuple(rows),
        np.concatenate([segment.sources[segment.alive] for segment in segments]),
        np.concatenate([segment.lengths[segment.alive] for segment in segments]),
        np.concatenate(terms),
        np.concatenate(chunks),
        np.concatenate(counts),
    )
