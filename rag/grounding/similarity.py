"""Whether a claim and a sentence of a passage mean the same, by the vectors of both and of their words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from langchain_core.embeddings import Embeddings

from rag.grounding.passages import Candidate
from rag.grounding.statements import FEWEST_IN_CLAUSE, Statement, content
from rag.grounding.tokens import Token
from rag.grounding.vocabulary import PARAPHRASES, SYNONYMS
from rag.text.vectors import sentence_vectors

SUPPORTED = 1.41
"""Score from which a claim counts as supported: about 1 for the meaning and 1 for the words. This and the other
weights were tuned on the odd lines of tests/data/grounding.jsonl."""
COMPLETE = 1.31
"""The same where no word is missing but what the question has said."""
ALIKE = 0.85
"""Similarity of meaning from which a sentence is about what was asked, although it has none of its words."""
PAIR_PENALTY = 0.2
"""Score that a pair of sentences loses: it has words that belong to neither fact."""
_WEIGHT_OF_MEANING = 0.7
_MOST_SIMILAR = 1.4
"""Similarity of meaning beyond which the score does not grow."""

_BEFORE_ITEM = re.compile(r"(?:,|\b(?:and|or|und|oder|et|ou))\s+(?:(?:a|an|the|its|some|also)\s+)?$")
_AFTER_ITEM = re.compile(r"\W*$|\s*,|\s+(?:and|or|und|oder|et|ou)\b")


@dataclass(frozen=True)
class _Scale:
    """Mean cosine of an embedding model for texts of the `same` meaning, and for `unrelated` ones."""

    same: float
    unrelated: float

    def similarity(self, cosine: float) -> float:
        """0 for unrelated texts, 1 for the same meaning, whatever cosines the model has for them."""
        return (float(cosine) - self.unrelated) / max(self.same - self.unrelated, 1e-6)


def _scale(embeddings: Embeddings, pairs: Sequence[tuple[str, str]]) -> _Scale:
    """The scale of an embedding model, from `pairs` of the same meaning."""
    vectors = sentence_vectors(embeddings, [text for pair in pairs for text in pair])
    cosines = vectors[0::2] @ vectors[1::2].T
    count = len(pairs)
    same = float(cosines.trace()) / count
    return _Scale(same, (float(cosines.sum()) - same * count) / (count * (count - 1)))


def most_similar(
    text: str, claim: Statement, candidates: Sequence[Candidate], embeddings: Embeddings
) -> Candidate | None:
    """The candidate with the highest score, if it is `SUPPORTED`.

    Args:
        text: the claim's sentence, without citations.
        claim: the same as a statement.
        candidates: without differences from the claim.
        embeddings: compare sentences and words.

    Raises:
        RagError: the embeddings failed.
    """
    meaning, words = _scale(embeddings, PARAPHRASES), _scale(embeddings, SYNONYMS)
    sentence = " ".join(text.split())
    vectors = _vectors(embeddings, [sentence, *(each.text for each in candidates)])

    def least(candidate: Candidate) -> float:
        return COMPLETE if candidate.unsaid and not candidate.missing else SUPPORTED

    near = []
    for candidate in candidates:
        similarity = meaning.similarity(vectors[sentence] @ vectors[candidate.text])
        if candidate.is_elsewhere and similarity < ALIKE:
            continue
        if 1.0 + _WEIGHT_OF_MEANING * min(similarity, _MOST_SIMILAR) >= least(candidate):  # with no word missing
            near.append(candidate)
    vectors |= _vectors(embeddings, [_without(text, each.missing) for each in near])
    forms = [token.folded for each in near for token in (*each.missing, *_unmatched(each))]
    word_vectors = _vectors(embeddings, list(dict.fromkeys(forms)))
    scored: list[tuple[float, Candidate]] = []
    for candidate in near:
        shares = _shares_said(candidate, word_vectors, words)
        foreign = [token for token, share in zip(candidate.missing, shares, strict=True) if share < 0.5]
        if _adds_list_item(foreign, candidate, text) or any(_is_added(clause, foreign) for clause in claim.clauses):
            continue
        words_said = float(len(candidate.alignment))
        for share in shares:
            words_said -= 1.0 - share
        own = vectors[candidate.text]
        whole = meaning.similarity(vectors[sentence] @ own)
        shortened = meaning.similarity(vectors[_without(text, candidate.missing)] @ own)
        score = _WEIGHT_OF_MEANING * min(whole, _MOST_SIMILAR) + words_said / len(candidate.alignment)
        score += _WEIGHT_OF_MEANING * min(0.0, whole - shortened)  # words of another subject make it less similar
        scored.append((score - PAIR_PENALTY * (candidate.last > candidate.first), candidate))
    score, best = max(scored, key=lambda each: each[0], default=(0.0, None))
    return best if best is not None and score >= least(best) else None


def _vectors(embeddings: Embeddings, texts: Sequence[str]) -> dict[str, Any]:
    """The vector of each text, of length 1. Raises RagError."""
    return dict(zip(texts, sentence_vectors(embeddings, texts), strict=True)) if texts else {}


def _unmatched(candidate: Candidate) -> list[Token]:
    """The candidate's content words that the claim lacks."""
    matched = {other for _, other in candidate.alignment}
    return [token for token in candidate.statement.content if token not in matched]


def _shares_said(candidate: Candidate, vectors: dict[str, Any], words: _Scale) -> list[float]:
    """For each missing word, how far a word of the candidate is its synonym, 0 to 1."""
    unmatched = _unmatched(candidate)
    shares = []
    for token in candidate.missing:
        own = vectors[token.folded]
        cosine = max((float(own @ vectors[other.folded]) for other in unmatched), default=0.0)
        unknown = not token.folded.isascii() or cosine > 0.999  # a model has one vector for all unknown words
        shares.append(0.0 if unknown else min(1.0, max(0.0, words.similarity(cosine) / 0.6 - 0.2)))
    return shares


def _without(text: str, tokens: Sequence[Token]) -> str:
    """The text without `tokens`."""
    for token in reversed(tokens):
        text = text[: token.start] + text[token.end :]
    return " ".join(text.split())


def _is_added(clause: Sequence[Token], foreign: Sequence[Token]) -> bool:
    """Whether most of a clause is `foreign` to the candidate."""
    words = content(clause)
    return len(words) >= FEWEST_IN_CLAUSE and sum(token in foreign for token in words) > len(words) / 2


def _adds_list_item(foreign: Sequence[Token], candidate: Candidate, text: str) -> bool:
    """Whether words that are `foreign` to the candidate are a whole item of a list in the claim's `text`."""
    for is_foreign, group in groupby((token for token, _ in candidate.alignment), foreign.__contains__):
        run = list(group)
        if is_foreign and _BEFORE_ITEM.search(text[: run[0].start]) and _AFTER_ITEM.match(text[run[-1].end :]):
            return True
    return False
