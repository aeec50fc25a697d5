"""The embedded embedding model, all-MiniLM-L6-v2."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.embeddings import Embeddings

from rag.errors import TextTooLong
from rag.models.encoder import open_encoder
from rag.models.hub import Progress
from rag.models.machine import cores
from rag.models.weights import MINILM, MINILM_TOKENIZER, fetch_weights

if TYPE_CHECKING:
    import numpy as np

EMBEDDING_WINDOW = 512
"""Tokens that the position embeddings of all-MiniLM-L6-v2 reach (config.json of the model)."""
LEAST_TOKENS = 256
"""Tokens that are not divided between cores: what a run costs whatever it is given would be paid twice."""


class MiniLMEmbeddings(Embeddings):
    """all-MiniLM-L6-v2 (int8): 384 numbers a text, of length 1.

    Mean of the token vectors, then normalised, as in the model's card. A text longer than `EMBEDDING_WINDOW` tokens is
    refused and never cut.
    """

    window = EMBEDDING_WINDOW
    folder: Path | None
    """For what is computed from these weights alone, so that no library computes it again; None: it cannot be had."""

    def __init__(self, cache_dir: Path, progress: Progress | None = None) -> None:
        from tokenizers import Tokenizer

        model = fetch_weights(MINILM, cache_dir, progress)
        self.folder = _made(cache_dir / f"of-{MINILM.sha256[:16]}")
        self._tokenizer = Tokenizer.from_file(str(fetch_weights(MINILM_TOKENIZER, cache_dir, progress)))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._helpers = ThreadPoolExecutor(max(1, cores() - 1), "rag-embedding")
        self._encoder = open_encoder(model, cores())

    def count_tokens(self, text: str) -> int:
        """Tokens of `text`, the two special ones included."""
        return len(self._tokenizer.encode(text).ids)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """One vector a text, in their order.

        Raises:
            TextTooLong: a text is longer than the window.
        """
        import numpy as np

        encoded = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        longest = max(map(len, encoded), default=0)
        if longest > EMBEDDING_WINDOW:
            raise TextTooLong(f"A text of {longest} tokens is longer than the embedding model's {EMBEDDING_WINDOW}.")
        vectors = np.empty((len(encoded), 384), dtype=np.float32)
        lengths = [len(ids) for ids in encoded]
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
        result: list[list[float]] = vectors.tolist()
        return result

    def embed_query(self, text: str) -> list[float]:
        """The vector of a question; this model takes no instruction before it.

        Raises:
            TextTooLong: it is longer than the window.
        """
        try:
            return self.embed_documents([text])[0]
        except TextTooLong as error:
            raise TextTooLong(
                f"The question is too long to search with: it has {self.count_tokens(text)} tokens, and the embedding"
                f" model reads {EMBEDDING_WINDOW}. Ask in fewer words."
            ) from error

    def _run(self, batch: list[list[int]]) -> np.ndarray[Any, np.dtype[np.float32]]:
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
