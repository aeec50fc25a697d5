"""Requests for vectors are as large as the engine's speed allows; and what was embedded is not embedded again."""

from __future__ import annotations

import asyncio

import pytest
from langchain_core.embeddings import Embeddings
from typing_extensions import override

from rag.text.pace import FIRST, MOST, STEP_SECONDS, Pace
from rag.text.sentences import count_tokens
from rag.text.vectors import have_vectors, sentence_vectors


@pytest.mark.parametrize(("seconds_each", "settled"), [(0.001, MOST), (0.1, 15), (STEP_SECONDS, 1), (20.0, 1)])
def test_a_request_takes_about_its_time(seconds_each: float, settled: int) -> None:
    pace, texts = Pace(), ["ten chars."] * 200
    sizes = []
    for _ in range(6):
        size = pace.next(texts)
        sizes.append(size)
        pace.took(texts[:size], size * seconds_each)
    assert sizes[0] == FIRST
    assert sizes[-1] == settled


def test_long_texts_count_as_they_are() -> None:
    pace = Pace()
    pace.took(["x" * 100] * 10, STEP_SECONDS)
    assert pace.next(["x" * 600, "x" * 300, "x" * 200]) == 2
    assert pace.next(["x" * 5000, "x"]) == 1
    assert pace.next(["x"]) == 1


class Breaking(Embeddings):
    """Embeds until it breaks down, after so many requests; and once more after each failure."""

    def __init__(self, good: int) -> None:
        self.good = good
        self.embedded: list[str] = []

    @override
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.good -= 1
        if self.good < 0:
            self.good = 100
            raise TimeoutError
        self.embedded += texts
        return [[1.0, float(len(text))] for text in texts]

    @override
    def embed_query(self, text: str) -> list[float]:
        return [1.0, 0.0]


@pytest.mark.parametrize("way", ["at once", "awaited"])
def test_what_was_embedded_before_a_failure_is_kept(way: str) -> None:
    embeddings, texts = Breaking(1), [f"sentence {number}" for number in range(60)]

    def embed() -> None:
        if way == "at once":
            sentence_vectors(embeddings, texts)
        else:
            asyncio.run(have_vectors(embeddings, "a question", texts))

    with pytest.raises(TimeoutError):
        embed()
    assert embeddings.embedded == texts[:FIRST]
    embed()
    assert embeddings.embedded == texts


@pytest.mark.parametrize(
    ("text", "least"),
    [("1234567890" * 10, 100), ("9f86d081884c7d65" * 4, 64), ("สวัสดีชาวโลก" * 10, 220), ("plain English words", 6)],
)
def test_what_takes_many_tokens_is_estimated_as_such(text: str, least: int) -> None:
    """Digits and hex take a token a byte, scripts of which a vocabulary has little up to 1.6 bytes each."""
    assert count_tokens(text) >= least
