"""Part `first-token`: the embedded model with the article's prompt (four whole chunks) and with the app's own.

Both ask the same running engine, in turn, over the same index; and of both ways to find passages it is told how often
the right one is among the first four (`tests/data/questions.jsonl`).
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from contextlib import aclosing
from pathlib import Path
from statistics import median
from typing import Any

from bench.article import PROMPT
from bench.programs import ROOT

QUESTIONS = ROOT / "tests" / "data" / "questions.jsonl"
SOURCES = (
    "bundled:guide.md",
    *(str(ROOT / name) for name in ("README.md", "CHANGELOG.md", "docs/reference.md", "docs/how-it-works.md")),
)
"""What the questions are about."""
PAUSE = 0.3
"""Seconds without a token after which the model has written a sentence that is left out."""


async def _article(assistant: Any, question: str) -> tuple[float, float]:
    """Seconds to the first token, and tokens a second after it, with the article's retrieval and prompt."""
    from langchain_core.output_parsers import StrOutputParser

    from rag.answers.retriever import Retriever

    model = assistant.models.chat.model
    dense = Retriever(index=assistant.service.index, dense=True)
    began = time.monotonic()
    found = await dense.ainvoke(question)
    context = "\n\n".join(document.page_content for document in found)
    first, tokens = 0.0, 0
    answer = (PROMPT | model | StrOutputParser()).astream({"question": question, "context": context})
    async with aclosing(answer) as pieces:  # what is left of it would go on
        async for piece in pieces:
            if piece:
                first = first or time.monotonic()
                tokens += 1
                if tokens == 40:
                    break
    return first - began, (tokens - 1) / (time.monotonic() - first) if tokens > 1 else 0.0


async def _ours(assistant: Any, question: str) -> tuple[float, float]:
    """The same of the app, of what the model writes: the quote that an answer opens with is there long before. 0.0: the
    model was not asked, or only said that quote again.
    """
    first, last, tokens, before = 0.0, 0.0, 0, 0
    began = time.monotonic()
    async with aclosing(assistant.chain.astream({"question": question})) as updates:
        async for update in updates:
            if not (update.new and update.written) or update.quoted or update.usage:  # its count has what was left out
                continue
            now = time.monotonic()
            if tokens - before >= 39 or (first and now - last > PAUSE):
                break
            last, tokens = now, update.timings.tokens
            first, before = (first, before) if first else (last, tokens)
    return (first - began if first else 0.0), ((tokens - before) / (last - first) if last > first else 0.0)


async def _asked(assistant: Any, questions: list[str]) -> dict[str, Any]:
    while not assistant.ready:
        await asyncio.sleep(0.05)
    times: dict[str, list[tuple[float, float]]] = {"theirs": [], "ours": []}
    for number, question in enumerate(questions):
        told = {"theirs": await _article(assistant, question), "ours": await _ours(assistant, question)}
        if number:  # the first one finds an engine that has read nothing yet
            for name, figures in told.items():
                times[name].append(figures)
    return {
        name: {
            "first_token": median(first for first, _ in figures if first),
            "tokens_per_second": median(speed for _, speed in figures if speed),
        }
        for name, figures in times.items()
    }


def measure(count: int) -> dict[str, Any]:
    """Medians over `count` questions, and what both retrievers find."""
    from rag.assistant import Assistant
    from rag.doors.evaluate import evaluate, figures, load_questions
    from rag.settings import load_settings

    questions = load_questions(QUESTIONS)
    known = [each.question for each in questions if each.gold]
    with tempfile.TemporaryDirectory(prefix="rag-bench-") as folder:
        given: dict[str, Any] = {"data_dir": Path(folder), "sources": SOURCES}
        given["ollama_host"] = "127.0.0.1:9"
        assistant = Assistant(load_settings(**given))
        assistant.start()
        try:
            found = asyncio.run(_asked(assistant, known[:: len(known) // (count + 1)][: count + 1]))
        finally:
            assistant.close()
        for name, retriever in (("theirs", "dense"), ("ours", "hybrid")):
            settings = load_settings(**given, retriever=retriever)
            told = figures(asyncio.run(evaluate(settings, questions, answers=False)))
            found[name] |= {"hit@4": told["hit@4"], "mrr": told["mrr"]}
    return found
