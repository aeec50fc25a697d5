"""The scale of an embedding model: how near it puts a question to an answer, and to an unrelated sentence.

Cosines differ with every model, so no constant fits them. The scale comes from everyday questions and passages
(`rag/everyday.jsonl`; each passage answers its question).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from langchain_core.embeddings import Embeddings

from rag.text.sentences import split_sentences
from rag.text.vectors import at_length_one, load_vectors, question_vector, save_vectors, sentence_vectors

EVERYDAY_FILE = Path(__file__).parents[2] / "everyday.jsonl"


@dataclass(frozen=True)
class Scale:
    """Mean cosines of a question to the nearest sentence of an unrelated passage, and to that of its answer."""

    unrelated: float
    related: float

    @property
    def unit(self) -> float:
        """Cosine between the two, above 0."""
        return max(self.related - self.unrelated, 1e-6)


def measure(embeddings: Embeddings) -> Scale:
    """The scale of an embedding model, by the nearest sentence of each everyday passage to each everyday question.

    Embeds some 240 short texts, and remembers them one by one: after an error, which passes through, the next try goes
    on where this one ended.
    """
    import numpy as np

    pairs = [json.loads(line) for line in EVERYDAY_FILE.read_text(encoding="utf-8").splitlines()]
    sentences = [split_sentences(pair["passage"]) for pair in pairs]
    questions = at_length_one([question_vector(embeddings, pair["question"]) for pair in pairs])
    vectors = sentence_vectors(embeddings, [sentence for group in sentences for sentence in group])
    starts = np.cumsum([0, *map(len, sentences)])[:-1]
    nearest = np.maximum.reduceat(questions @ vectors.T, starts, axis=1)
    own = np.eye(len(pairs), dtype=bool)
    return Scale(float(nearest[~own].mean()), float(nearest[own].mean()))


def load_scale(file: Path) -> Scale | None:
    """The scale that `save_scale` wrote; None, and a warning, if the file cannot be read."""
    found = load_vectors(file)
    if not found.keys() >= {"unrelated", "related"}:
        return None
    return Scale(float(found["unrelated"]), float(found["related"]))


def save_scale(file: Path, scale: Scale) -> None:
    """Write a scale; a warning, if the file cannot be written."""
    save_vectors(file, vars(scale))
