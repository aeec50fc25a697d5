"""What the index of words lacks of the database: it is written when enough waits, or when a question asks."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence

from langchain_core.documents import Document

from rag.errors import StoreError
from rag.library.revisions import IndexedSource, Revisions, chunk_id
from rag.library.splitter import embedded_text
from rag.library.words import Row, WordIndex, Words

log = logging.getLogger(__name__)

MOST_WAITING = 64
"""Chunks that are not in the index of words yet, at most: to write a few costs as much as to write many."""


class WordsBehind:
    """Changes that the index of words lacks. Not for several threads at once."""

    def __init__(self, words: WordIndex, revisions: Revisions) -> None:
        self._words, self._revisions = words, revisions
        self._added: list[IndexedSource] = []
        self._removed: set[str] = set()
        self.pieces: dict[str, Sequence[Document]] = {}
        """The chunks of revisions that this process has added whole, so that they are not read back."""

    @property
    def words(self) -> Words:
        """The words that are written."""
        return self._words.words

    @property
    def waits(self) -> bool:
        """Whether something is to be written."""
        return bool(self._added or self._removed)

    def catch_up(self, number: int, sources: Mapping[str, IndexedSource]) -> None:
        """Bring an index that was just opened to change `number`, at which these are all `sources`."""
        if self._words.number == number:
            return
        there = self._words.revisions()
        self._removed = there - {item.revision for item in sources.values()}
        self._added = [item for item in sources.values() if item.revision not in there]
        self.write(number)

    def note(self, number: int, removed: set[str], added: Sequence[IndexedSource]) -> None:
        """Note what change `number` removed and added; write it once there is enough."""
        self._removed |= removed
        self._added = [*(item for item in self._added if item.revision not in removed), *added]
        if sum(item.chunks for item in self._added) >= MOST_WAITING:
            self.write(number)

    def write(self, number: int) -> None:
        """Write what waits. Where the disk refuses, it goes on waiting, and questions see the words of before."""
        if not self.waits:
            return
        try:
            self._words.apply(number, self._removed, self._rows())
            self._added, self._removed = [], set()
        except StoreError as error:
            log.warning("the index of words stays behind: %s", error)

    def _rows(self) -> Iterator[Row]:
        for item in self._added:
            for chunk in self.pieces.pop(item.revision, None) or self._revisions.chunks_of(item.revision):
                row = chunk_id(item.revision, chunk.metadata["number"])
                yield Row(row, item.revision, item.source, embedded_text(chunk), item.language)
