"""The vectors of a small library, held in memory and all compared with the question's: exact, and no graph to open."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rag.library.revisions import IndexedSource, Revisions, split_id
from rag.text.vectors import at_length_one

SAME_TEXT = 5
"""Rows with the same text that are ranked by nearness, of any source; further ones come after all other rows."""

SORTED_FIRST = 4
"""Rows that are sorted for each one wanted; the others are where these say the same too often."""


@dataclass(frozen=True)
class Held:
    """The vectors that questions see at one state of the library: a row each, of length 1."""

    number: int
    rows: list[str]
    """Chunk ids."""
    sources: list[str]
    digests: list[str]
    vectors: Any
    """(rows, size), float32."""
    place: Mapping[str, int]
    """The row of a digest; any of them where several chunks have the same text."""

    def nearest(self, vector: Any, most: int, scope: Collection[str] = ()) -> list[str]:
        """The ids of the `most` chunks nearest to a vector, nearest first; of these sources only, if any is given."""
        places = [place for place, name in enumerate(self.sources) if name in scope] if scope else None
        vectors = self.vectors if places is None else self.vectors[places]
        if not len(vectors):
            return []
        order = _nearest_first(vectors @ at_length_one(vector), SORTED_FIRST * most)
        return self._varied(order if places is None else (places[place] for place in order), most)

    def _varied(self, order: Iterable[int], most: int) -> list[str]:
        """The rows in this order, at most `SAME_TEXT` of one text before all others have come."""
        seen: Counter[str] = Counter()
        first: list[str] = []
        again: list[str] = []
        for place in order:
            digest = self.digests[place]
            seen[digest] += 1
            if seen[digest] <= SAME_TEXT:
                first.append(self.rows[place])
                if len(first) == most:
                    break
            elif len(again) < most:
                again.append(self.rows[place])
        return [*first, *again][:most]

    def of(self, digests: Sequence[str]) -> Any | None:
        """The vectors of texts, (digests, size); None where one is not here."""
        places = [self.place.get(digest) for digest in digests]
        return None if None in places else self.vectors[places]


def _nearest_first(nearness: Any, first: int) -> Iterator[int]:
    """The places of the largest numbers, largest first, equal ones in their order.

    The `first` of them are sorted before the others, which are sorted at need.
    """
    some = np.arange(len(nearness))
    if first < len(nearness):
        least = np.partition(nearness, -first)[-first]
        above = np.flatnonzero(nearness > least)
        some = np.sort(np.concatenate([above, np.flatnonzero(nearness == least)[: first - len(above)]]))
    yield from some[np.argsort(-nearness[some], kind="stable")].tolist()
    if len(some) == len(nearness):
        return
    rest = np.setdiff1d(np.arange(len(nearness)), some)
    yield from rest[np.argsort(-nearness[rest], kind="stable")].tolist()


class ExactVectors:
    """Holds the vectors of one index as far as questions see them, and follows its changes."""

    def __init__(self, revisions: Revisions, index: int, model: int) -> None:
        self._revisions, self._index, self._model = revisions, index, model
        self._held = Held(-1, [], [], [], np.zeros((0, 0), np.float32), {})
        self._reading = threading.Lock()

    def at(self, number: int, sources: Collection[IndexedSource]) -> Held:
        """What questions see at the change `number`, when these are the sources. Reads what has come since.

        Raises:
            StoreError: the database failed.
        """
        with self._reading:
            if self._held.number != number:
                self._held = self._followed(number, sources)
            return self._held

    def _followed(self, number: int, sources: Collection[IndexedSource]) -> Held:
        old, seen = self._held, {item.revision: item.source for item in sources}
        revisions = [split_id(row)[0] for row in old.rows]
        kept = [place for place, revision in enumerate(revisions) if revision in seen]
        rows = [(old.rows[place], old.sources[place], old.digests[place]) for place in kept]
        vectors = [old.vectors[kept]] if kept else []
        if new := [seen[revision] for revision in seen.keys() - set(revisions)]:
            for page in self._revisions.seen_vectors(self._index, self._model, number, new):
                rows += [row[:3] for row in page]
                vectors.append(at_length_one(np.stack([vector for *_, vector in page])))
        held = np.concatenate(vectors) if vectors else np.zeros((0, 0), np.float32)
        ids, names, digests = ([row[part] for row in rows] for part in range(3))
        return Held(number, ids, names, digests, held, {digest: place for place, digest in enumerate(digests)})
