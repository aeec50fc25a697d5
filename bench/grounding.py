"""How well the marks tell what passages support, on sentences that the embedded models wrote, labelled by hand.

    python -m bench.grounding          one table
    python -m bench.grounding --wrong  and each sentence that was judged otherwise than by hand

Each line of bench/answers/labelled.jsonl is an answer to a question of bench/answers/questions.jsonl, with a letter for
each of its sentences: S, the documents say so; N, they do not; -, it claims nothing or cannot be decided. Beside the
marks stands the share of a sentence's words that a passage has, with the threshold that is best on these very labels.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_core.documents import Document

from bench.answers import FOLDER, Bench, Item, load_items, open_bench
from bench.programs import ROOT
from rag.answers.build import search_for
from rag.doors.bodies import messages_of
from rag.grounding.ground import ground
from rag.grounding.segments import split_segments

LABELLED = FOLDER / "labelled.jsonl"
THRESHOLDS = [step / 20 for step in range(1, 21)]


@dataclass(frozen=True)
class Judged:
    """A sentence: who wrote it, about what kind of document, what the hand, the marks and its words say."""

    model: str
    kind: str
    text: str
    supported: bool
    marked: bool
    overlap: float


def overlap(sentence: str, passages: Sequence[Document]) -> float:
    """The largest share of a sentence's words that a passage has, 0 to 1."""
    words = set(re.findall(r"\w{3,}", sentence.casefold()))
    there = (set(re.findall(r"\w{3,}", passage.page_content.casefold())) for passage in passages)
    return max((len(words & each) / max(1, len(words)) for each in there), default=0.0)


async def judge(bench: Bench, item: Item, line: dict[str, Any]) -> list[Judged]:
    """The labelled sentences of one answer."""
    asked, passages = await search_for(item.question, messages_of(item.history), None, bench.retriever)
    answer = line["answer"]
    marks = {(each.start, each.end): each for each in ground(answer, passages, bench.index.embeddings, asked)}
    segments = split_segments(answer)
    assert len(segments) == len(line["labels"]), line
    found = []
    for segment, label in zip(segments, line["labels"], strict=True):
        if label in "SN":
            text = answer[segment.start : segment.end]
            mark = marks.get((segment.start, segment.end))
            marked = mark is not None and mark.passage is not None
            found.append(Judged(line["model"], item.about, text, label == "S", marked, overlap(text, passages)))
    return found


def scores(said: Sequence[bool], true: Sequence[bool]) -> tuple[float, float, float]:
    """Precision, recall and F1 of what was `said` to be supported."""
    both = sum(one and other for one, other in zip(said, true, strict=True))
    precision, recall = both / max(1, sum(said)), both / max(1, sum(true))
    return precision, recall, 2 * both / max(1, sum(said) + sum(true))


def row(name: str, some: Sequence[Judged]) -> str:
    """One row of the table."""
    true = [each.supported for each in some]
    marks = scores([each.marked for each in some], true)
    words = max(
        (scores([each.overlap >= least for each in some], true) for least in THRESHOLDS), key=lambda each: each[2]
    )
    shown = " | ".join(f"{value:.2f}" for value in (sum(true) / len(some), *marks, *words))
    return f"| {name} | {len(some)} | {shown} |"


def markdown(found: Sequence[Judged]) -> str:
    """A row for all, for each model and for each kind of document."""
    groups = {"all": list(found)}
    for each in found:
        groups.setdefault(each.model, []).append(each)
    for each in found:
        groups.setdefault(each.kind, []).append(each)
    head = ["of", "sentences", "supported", "precision", "recall", "F1", "words: precision", "recall", "F1"]
    lines = [f"| {' | '.join(head)} |", "|---" + "|---:" * (len(head) - 1) + "|"]
    return "\n".join([*lines, *(row(name, some) for name, some in groups.items())])


async def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser("python -m bench.grounding", description=__doc__.partition("\n")[0])
    parser.add_argument("--wrong", action="store_true", help="each sentence that was judged otherwise")
    parser.add_argument("--labelled", type=Path, default=LABELLED)
    flags = parser.parse_args()
    items = {item.id: item for item in load_items()}
    found: list[Judged] = []
    async with open_bench("none", ROOT / "build" / "answers" / "libraries") as bench:
        for line in flags.labelled.read_text(encoding="utf-8").splitlines():
            told = json.loads(line)
            found += await judge(bench, items[told["id"]], told)
    for each in found if flags.wrong else ():
        if each.marked != each.supported:
            print("missed:" if each.supported else "passed:", each.text)
    print(markdown(found))


if __name__ == "__main__":
    asyncio.run(main())
