"""Embeddings by a transformer in this process: texts of like lengths are run together, a thread each core."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.embeddings import Embeddings

from rag.errors import TextTooLong
from rag.models.encoder import Encoder
from rag.models.machine import cores
from rag.models.weights import Weights

if TYPE_CHECKING:
    import numpy as np

SIZE = 384
"""Numbers in a vector of each of these models."""
LEAST_TOKENS = 256
"""Tokens that are not divided between cores: what a run costs whatever it is given would be paid twice."""


class EncodedEmbeddings(Embeddings):
    """The mean of the vectors of a text's tokens, of length 1. A text longer than the window is refused, never cut."""

    window: int
    """Tokens of the longest text, with the special ones."""
    folder: Path | None
    """For what is computed from the weights alone, so that no library computes it again; None: it cannot be had."""

    def __init__(self, encoder: Encoder, weights: Weights, cache_dir: Path) -> None:
        self.folder = _made(cache_dir / f"of-{weights.sha256[:16]}")
        self._encoder = encoder
        self._helpers = ThreadPoolExecutor(max(1, cores() - 1), "rag-embedding")

    def vectors(self, encoded: Sequence[Sequence[int]]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """A vector for each text, which is given by the ids of its tokens.

        Raises:
            TextTooLong: one has more than the window.
        """
        import numpy as np

        lengths = [len(ids) for ids in encoded]
        if (longest := max(lengths, default=0)) > self.window:
            raise TextTooLong(f"A text of {longest} tokens is longer than the embedding model's {self.window}.")
        vectors = np.empty((len(encoded), SIZE), dtype=np.float32)
        share = max(LEAST_TOKENS, -(-sum(lengths) // cores()))  # no core is to wait while another has all
        batches = _batches(lengths, min(share, self._encoder.tokens))
        todo = iter(batches)

        def work() -> None:
            for batch in todo:
                vectors[batch] = self._run([encoded[index] for index in batch])

        helpers = [self._helpers.submit(work) for _ in batches[1 : cores()]]
        work()
        for helper in helpers:
            if not helper.cancel():  # one that has not begun is busy with another call: all is done without it
                helper.result()
        return vectors

    def question_too_long(self, tokens: int) -> TextTooLong:
        """What to raise of a question of so many tokens."""
        return TextTooLong(
            f"The question is too long to search with: it has {tokens} tokens, and the embedding model reads"
            f" {self.window}. Ask in fewer words."
        )

    def _run(self, batch: Sequence[Sequence[int]]) -> np.ndarray[Any, np.dtype[np.float32]]:
        import numpy as np

        width = max(map(len, batch))
        ids = np.zeros((len(batch), width), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        hidden = self._encoder.run(ids, mask)
        weight = mask[:, :, None].astype(np.float32)
        mean = (hidden * weight).sum(axis=1) / weight.sum(axis=1)
        return np.asarray(mean / np.linalg.norm(mean, axis=1, keepdims=True), dtype=np.float32)


def _made(folder: Path) -> Path | None:
    """The folder, made at need, if it can be written to."""
    with suppress(OSError):
        folder.mkdir(exist_ok=True)
    return folder if folder.is_dir() and os.access(folder, os.W_OK) else None


def _batches(lengths: Sequence[int], most: int) -> list[list[int]]:
    """The places of texts of so many tokens, in lists to be run together: like lengths, `most` tokens."""
    batches: list[list[int]] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batches and (len(batches[-1]) + 1) * lengths[place] <= most:
            batches[-1].append(place)
        else:
            batches.append([place])
    return batches
