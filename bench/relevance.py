"""How often it is told rightly whether passages speak to a question, and the weights of what tells it.

    python -m bench.relevance            figures of the weights in use
    python -m bench.relevance --write    fits them anew on the tuning half, and writes rag/relevance.json

The questions are those of tests/data/questions.jsonl and relevance.jsonl, asked of the bundled documents, and of the
guide alone as a small library; a question belongs to the tuning half by a checksum of its text. And those of
bench/answers, which have halves of their own, but for those in another language than their documents.
"""

from __future__ import annotations

import json
import sys
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from bench.answers import DOCUMENTS, Item, load_items, open_documents
from bench.parts import index_file, open_library
from rag.answers.followup import combine
from rag.answers.retriever import Retriever
from rag.answers.verdict.relevance import WEIGHED, WEIGHTS_FILE, Judge, Signals, load_weights, score_of
from rag.doors.bodies import messages_of
from rag.doors.evaluate import EvalQuestion, folded, load_questions
from rag.library.index import SearchIndex
from rag.models.minilm import MiniLMEmbeddings
from rag.settings import load_settings

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "tests" / "data"
GUIDE = ROOT / "rag" / "guide.md"
NAMES = ("README.md", "CHANGELOG.md", "docs/reference.md", "docs/how-it-works.md")
BUNDLED = (GUIDE, *(ROOT / name for name in NAMES))
WRONGLY_REFUSED = 0.01
"""Share of the answerable questions of the tuning half that may be refused; more than 0.05 must not be, anywhere."""
NEAR = 0.5
"""What a question of the field counts that the library does not answer, beside 1 for others: some are half answered."""
GROUPS = ("answerable", "near", "off-topic")
CURVE = (0.005, 0.01, 0.015, 0.02, 0.03, 0.05)
"""Shares that are refused wrongly, for which the others are told."""
RIDGE = 0.01
"""Holds the weights back (of standardised signals, a question)."""


@dataclass(frozen=True)
class Case:
    """A question asked of a library, and what speaks for the passages found."""

    library: str
    question: EvalQuestion
    signals: Signals

    @property
    def tuning(self) -> bool:
        """Whether it belongs to the half that the weights are fitted on."""
        if isinstance(self.question, Item):
            return self.question.half == "tune"
        return zlib.crc32(self.question.question.encode()) % 2 == 0

    @property
    def group(self) -> str:
        """answerable, off-topic or near: of the field, but not there."""
        return "answerable" if self.question.gold else self.question.kind


def questions(about: Sequence[Path]) -> list[EvalQuestion]:
    """All questions that these files answer, and all that no file does."""
    text = " ".join(folded(path.read_text(encoding="utf-8")) for path in about)
    found = [*load_questions(DATA / "questions.jsonl"), *load_questions(DATA / "relevance.jsonl")]
    found = [item for item in found if item.kind != "unanswerable"]  # they are in the other file by their kind
    return [item for item in found if not item.gold or any(folded(gold) in text for gold in item.gold)]


@contextmanager
def library(paths: Sequence[Path], embeddings: Embeddings, folder: Path) -> Iterator[SearchIndex]:
    """A library of these files."""
    with open_library(folder, embeddings) as ingest:
        for path in paths:
            index_file(ingest, path)
        yield ingest.index


def cases(embeddings: Embeddings) -> Iterator[Case]:
    """Every question of tests/data with what was found for it."""
    judge = Judge(embeddings, ("bench", ""))
    with tempfile.TemporaryDirectory() as folder:
        for name, paths in (("bundled", BUNDLED), ("guide", (GUIDE,))):
            with library(paths, embeddings, Path(folder) / name) as index:
                retriever = Retriever(index=index, k=4)
                for question in questions(paths):
                    passages: list[Document] = retriever.invoke(question.question)
                    yield Case(name, question, judge.signals(question.question, passages, index.words))


def own_cases(embeddings: Embeddings) -> Iterator[Case]:
    """The same for the questions of bench/answers that are in their documents' language."""
    judge = Judge(embeddings, ("bench", ""))
    with tempfile.TemporaryDirectory() as folder:
        with open_documents(sorted(DOCUMENTS.iterdir()), embeddings, Path(folder)) as index:
            retriever = Retriever(index=index, k=4)
            for item in load_items():
                if item.kind != "other language":
                    asked = combine(item.question, messages_of(item.history))
                    yield Case("answers", item, judge.signals(asked, retriever.invoke(asked), index.words))


def fit(found: Sequence[Case]) -> dict[str, float]:
    """Weights by logistic regression (Newton's method); `bias` such that few answerable questions are refused."""
    signals = np.array([[getattr(case.signals, name) for name in WEIGHED] for case in found])
    wanted = np.array([case.group == "answerable" for case in found], dtype=float)
    counts = np.array([NEAR if case.group == "near" else 1.0 for case in found])
    mean, spread = signals.mean(axis=0), signals.std(axis=0) + 1e-9
    inputs = np.c_[(signals - mean) / spread, np.ones(len(found))]
    ridge = RIDGE * counts.sum() * np.diag([*np.ones(signals.shape[1]), 1e-6])
    weights = np.zeros(inputs.shape[1])
    for _ in range(50):
        told = 1 / (1 + np.exp(-inputs @ weights))
        slope = inputs.T @ (counts * (told - wanted)) + ridge @ weights
        weights -= np.linalg.solve((inputs.T * (counts * told * (1 - told))) @ inputs + ridge, slope)
    scale = weights[:-1] / spread
    unknown = WEIGHED.index("unknown")
    owed = np.minimum([case.signals.small for case in found], -scale[unknown] * signals[:, unknown])
    bias = -float(np.quantile((signals @ scale + owed)[wanted == 1], WRONGLY_REFUSED))
    return {
        **{name: round(float(value), 3) for name, value in zip(WEIGHED, scale, strict=True)},
        "bias": round(bias, 3),
    }


def score(case: Case, weights: dict[str, float]) -> float:
    """As `Judge` has it."""
    return score_of(case.signals, weights)


def curve(found: Sequence[Case], weights: dict[str, float]) -> Iterator[str]:
    """For each bar that refuses so many of the tuning half wrongly, the shares that it refuses of the other half."""
    wanted = [score(case, weights) for case in found if case.tuning and case.group == "answerable"]
    for share in CURVE:
        bar = float(np.quantile(wanted, share))
        elsewhere = {group: [case for case in found if case.group == group and not case.tuning] for group in GROUPS}
        told = [
            f"{group} {np.mean([score(case, weights) < bar for case in some]):.3f}" for group, some in elsewhere.items()
        ]
        yield f"bar {bar:+.2f}: refused {', '.join(told)}"


def refused(found: Sequence[Case], weights: dict[str, float]) -> str:
    """The share of them that is refused, and how many they are."""
    return f"{np.mean([score(case, weights) < 0 for case in found]):.3f} of {len(found)}" if found else "-"


def main(arguments: Sequence[str]) -> None:
    """Print the figures."""
    embeddings = MiniLMEmbeddings(load_settings().cache_dir)
    found = [*cases(embeddings), *own_cases(embeddings)]
    if "--write" in arguments:
        tuning = [case for case in found if case.tuning]
        told: dict[str, Any] = {
            "weights": fit(tuning),
            "fitted": datetime.now(timezone.utc).date().isoformat(),
            "on": "tests/data: questions.jsonl, relevance.jsonl; bench/answers (tuning halves); all-MiniLM-L6-v2 int8",
        }
        WEIGHTS_FILE.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    weights = json.loads(WEIGHTS_FILE.read_text(encoding="utf-8"))["weights"] if arguments else load_weights()
    print(weights)
    print("held out, all libraries:", *curve(found, weights), sep="\n  ")
    for name in ("bundled", "guide", "answers"):
        for half in ("tuning", "held out"):
            chosen = [case for case in found if case.library == name and case.tuning == (half == "tuning")]
            shares = [
                f"{group} {refused([case for case in chosen if case.group == group], weights)}" for group in GROUPS
            ]
            print(f"{name}, {half}: refused {', '.join(shares)}")
    kinds = sorted({case.question.kind for case in found if case.group == "answerable"})
    for kind in kinds:
        print(f"  {kind}: refused {refused([case for case in found if case.question.kind == kind], weights)}")
    for case in found:
        if (
            case.library == "bundled"
            and (score(case, weights) < 0) == (case.group == "answerable")
            and (case.group != "near")
        ):
            print(f"  wrong: {case.question.question} ({case.group}, {score(case, weights):+.2f}, {case.signals})")


if __name__ == "__main__":
    main(sys.argv[1:])
