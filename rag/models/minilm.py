"""The embedded embedding model, all-MiniLM-L6-v2."""

from __future__ import annotations

from pathlib import Path

from rag.errors import TextTooLong
from rag.models.encoded import EncodedEmbeddings
from rag.models.encoder import open_encoder
from rag.models.hub import Progress
from rag.models.machine import cores
from rag.models.weights import MINILM, MINILM_TOKENIZER, fetch_weights

EMBEDDING_WINDOW = 512
"""Tokens that the position embeddings of all-MiniLM-L6-v2 reach (config.json of the model)."""


class MiniLMEmbeddings(EncodedEmbeddings):
    """all-MiniLM-L6-v2 (int8): 384 numbers a text, as in the model's card."""

    window = EMBEDDING_WINDOW

    def __init__(self, cache_dir: Path, progress: Progress | None = None) -> None:
        from tokenizers import Tokenizer

        model = fetch_weights(MINILM, cache_dir, progress)
        self._tokenizer = Tokenizer.from_file(str(fetch_weights(MINILM_TOKENIZER, cache_dir, progress)))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        super().__init__(open_encoder(model, cores()), MINILM, cache_dir)

    def count_tokens(self, text: str) -> int:
        """Tokens of `text`, the two special ones included."""
        return len(self._tokenizer.encode(text).ids)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """One vector a text, in their order.

        Raises:
            TextTooLong: a text is longer than the window.
        """
        encoded = [each.ids for each in self._tokenizer.encode_batch(list(texts))]
        found: list[list[float]] = self.vectors(encoded).tolist()
        return found

    def embed_query(self, text: str) -> list[float]:
        """The vector of a question; this model takes no instruction before it.

        Raises:
            TextTooLong: it is longer than the window.
        """
        try:
            return self.embed_documents([text])[0]
        except TextTooLong as error:
            raise self.question_too_long(self.count_tokens(text)) from error
