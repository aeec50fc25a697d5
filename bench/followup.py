"""How often follow-ups find their passage among the first 4, by several ways to make a search of them.

    python -m bench.followup

The conversations are those of tests/data/followups.jsonl, over the bundled documents; the questions rewritten by hand
are those of followups_rewritten.jsonl.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from langchain_core.messages import BaseMessage

from bench.relevance import BUNDLED, DATA, library
from rag.answers.followup import combine, depends
from rag.answers.retriever import Retriever
from rag.doors.bodies import messages_of
from rag.doors.evaluate import EvalQuestion, load_questions, rank_of
from rag.models.minilm import MiniLMEmbeddings
from rag.settings import load_settings


def bare(question: str, history: Sequence[BaseMessage]) -> str:
    """The question by its own words."""
    return question


def after_the_last(question: str, history: Sequence[BaseMessage]) -> str:
    """With the question before it, whatever that leans on."""
    asked = [message.text for message in history if message.type == "human"]
    return f"{asked[-1]} {question}" if depends(question, history) else question


def after_all(question: str, history: Sequence[BaseMessage]) -> str:
    """With all questions before it, as chat applications often do."""
    return " ".join([*(message.text for message in history if message.type == "human"), question])


WAYS: dict[str, Callable[[str, Sequence[BaseMessage]], str]] = {
    "bare": bare,
    "after the last question": after_the_last,
    "after all questions": after_all,
    "combine": combine,
}


def rewritten_by_hand() -> list[str]:
    """The questions of followups.jsonl as questions of their own, in the same order."""
    lines = (DATA / "followups_rewritten.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["rewritten"] for line in lines]


def hits(retriever: Retriever, questions: Sequence[EvalQuestion], texts: Sequence[str]) -> list[bool]:
    """For each question, whether its passage is among the first 4 for the text."""
    found = [[item.page_content for item in retriever.invoke(text)] for text in texts]
    return [bool(rank_of(item.gold, passages)) for item, passages in zip(questions, found, strict=True)]


def main() -> None:
    """Print the figures."""
    questions = load_questions(DATA / "followups.jsonl")
    with tempfile.TemporaryDirectory() as folder:
        with library(BUNDLED, MiniLMEmbeddings(load_settings().cache_dir), Path(folder)) as index:
            retriever = Retriever(index=index, k=4)
            texts = {
                name: [way(item.question, messages_of(item.history)) for item in questions]
                for name, way in WAYS.items()
            }
            for name, asked in {**texts, "rewritten by hand": rewritten_by_hand()}.items():
                found = hits(retriever, questions, asked)
                kinds = {
                    kind: [hit for hit, item in zip(found, questions, strict=True) if item.kind == kind]
                    for kind in dict.fromkeys(item.kind for item in questions)
                }
                shares = ", ".join(f"{kind} {sum(group) / len(group):.3f}" for kind, group in kinds.items())
                print(f"{name}: {sum(found) / len(found):.3f} of {len(found)} ({shares})")


if __name__ == "__main__":
    main()
