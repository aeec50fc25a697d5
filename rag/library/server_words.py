"""Words -> chunks, ranked by the Chroma server itself: nothing of it is read into memory, whatever the library's size.

Beside each chunk's vector lies a sparse one: a number for each word, from how often the chunk has it. A server that
indexes these (Chroma Cloud, distributed Chroma) ranks by BM25, and knows how rare a word is. `chroma run` refuses to:
there, `rag.library.words` is used. Source: "Sparse Vector Search" and "Search API" in Chroma's documentation.

Against `rag.library.words`: slips are not corrected, since there is no list of the words there are, and chunks are
ranked as wholes, not in windows.
"""

from __future__ import annotations

import threading
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rag.library.words import told
from rag.text.language import stem, surfaces

if TYPE_CHECKING:
    from chromadb import Schema, Search
    from chromadb.base_types import SparseVector

KEY = "words"
"""Of the sparse vector in a row's metadata."""
SATURATION, LENGTH = 1.2, 0.75
"""BM25's k1 and b: how little a word that comes again adds, and how much a long chunk's words count less."""
USUAL_WORDS = 160
"""In a chunk of 1,000 characters."""
SPARE = 100
"""Rows that are asked for beyond those wanted, as some may be of versions that do not answer."""
KEPT_WORDS = 10_000
TOGETHER = 20
"""Words that are asked for in one call."""
FEW = 10
"""Rows that are looked at for whether a word is there: some may be of versions that do not answer."""


def sparse(text: str) -> SparseVector:
    """A text's words as numbers: 32 bits of each stem's CRC, and its frequency as BM25 counts it."""
    stems = [stem(word) for word in surfaces(text)]
    longer = 1 - LENGTH + LENGTH * len(stems) / USUAL_WORDS
    counts = Counter(stems)
    return _vector({word: n * (SATURATION + 1) / (n + SATURATION * longer) for word, n in counts.items()})


def schema() -> Schema:
    """What a collection is made with: cosine for the dense vectors, BM25 for the words."""
    from chromadb import Schema, SparseVectorIndexConfig, VectorIndexConfig

    made = Schema().create_index(VectorIndexConfig(space="cosine"))
    return made.create_index(SparseVectorIndexConfig(bm25=True), key=KEY)


class ServerWords:
    """What `LexicalIndex` tells of a library, asked of the server. Any thread may call it."""

    def __init__(self, search: Callable[[list[Search]], list[list[str]]], shown: Callable[[str], bool]) -> None:
        """`search` gives the row ids that each search finds; `shown` tells whether questions may see a row."""
        self._search = search
        self._shown = shown
        self._known: dict[str, bool] = {}
        self._changes = 0
        self._changing = threading.Lock()

    def corrected(self, question: str) -> str:
        """The question as it is."""
        return question

    def has(self, word: str) -> bool:
        """Whether some chunk has a word, as `surfaces` gives it, in any form of it; asked with the ranking before."""
        known, word = self._known, stem(word)
        return known[word] if word in known else self._ask((), [word])[1][word]

    def learn(self, question: str) -> None:
        """Ask for all words of a question at once, so that `has` need not wait for the server."""
        new = [word for word in told(question) if word not in self._known]
        for start in range(0, len(new), TOGETHER):
            self._ask((), new[start : start + TOGETHER])

    def rankings(self, question: str, most: int, scope: Collection[str] = ()) -> tuple[list[str], list[str]]:
        """The `most` row ids that match best as wholes; there is no ranking by windows."""
        asked = told(question)
        if not asked:
            return [], []
        new = [word for word in asked if word not in self._known][:TOGETHER]
        (found,), _ = self._ask([self._ranked(asked, most + SPARE, scope)], new)
        return [row for row in found if self._shown(row)][:most], []

    def forget(self) -> None:
        """The library has changed: which words it has is asked again."""
        with self._changing:
            self._known, self._changes = {}, self._changes + 1

    def _ask(self, searches: Sequence[Search], new: Sequence[str]) -> tuple[list[list[str]], dict[str, bool]]:
        """Row ids of each search, and which of the `new` words there are."""
        changes = self._changes
        found = self._search([*searches, *(self._ranked([word], FEW, ()) for word in new)])
        there = {word: any(map(self._shown, rows)) for word, rows in zip(new, found[len(searches) :], strict=True)}
        with self._changing:
            if changes == self._changes:  # else it may be of before
                self._known = (self._known if len(self._known) < KEPT_WORDS else {}) | there
        return found[: len(searches)], there

    def _ranked(self, words: Iterable[str], most: int, scope: Collection[str]) -> Search:
        from chromadb import K, Knn, Search

        search = Search().rank(Knn(query=_vector(Counter(words)), key=KEY, limit=most)).limit(most)
        return search.where(K("source").is_in(list(scope))) if scope else search


def _vector(weights: Mapping[str, float]) -> SparseVector:
    """Words that share a number share its weight."""
    from chromadb.base_types import SparseVector

    numbers: dict[int, float] = {}
    for word, weight in weights.items():
        number = zlib.crc32(word.encode())
        numbers[number] = max(numbers.get(number, 0.0), float(weight))
    return SparseVector(sorted(numbers), [numbers[number] for number in sorted(numbers)])
