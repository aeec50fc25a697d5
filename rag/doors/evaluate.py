"""Questions with known passages -> figures: how often the right passage is found, and what the answers are like.

docs/reference.md has the fields of a file of questions, and the figures. Texts are compared without regard to white
space, and answers to case.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from rag.answers.build import search_for
from rag.answers.retriever import Retriever
from rag.answers.stream import collect
from rag.assistant import Assistant
from rag.doors.bodies import Turn, messages_of
from rag.errors import EngineError, QuestionError, RagError, SettingsError
from rag.settings import Settings

log = logging.getLogger(__name__)

DEPTH = 8
"""Passages that are asked for; hits are told among the first 1, 4 and 8."""
RETRIEVAL_FIGURES = ("hit@1", "hit@4", "hit@8", "mrr", "retrieval_ms", "correct_refusals", "wrong_refusals")
ANSWER_FIGURES = (
    "answers",
    "supported",
    "first_token",
    "tokens_per_second",
    "errors",
)

Figures = dict[str, Any]
Progress = Callable[[], object]
"""Called after each question."""


class EvalQuestion(BaseModel):
    """A line of the file: a question, and what is known of its passages and its answer."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    question: str = Field(min_length=1)
    history: list[Turn] = []
    gold: list[str] = []
    answer_contains: list[list[str]] = []
    kind: str = ""
    judged: bool = True
    """Whether `gold` says which passages are right; else nobody knows whether the library can answer it."""


@dataclass(frozen=True)
class Outcome:
    """What came of a question; None: not asked for, or not known.

    `rank` is the first right passage's, from 1 (0: none), `supported` the share of the answer's sentences that a
    passage supports, `refused` whether the answer was that the library does not tell.
    """

    question: EvalQuestion
    rank: int
    retrieval: float
    answer: str | None = None
    supported: float | None = None
    refused: bool | None = None
    first_token: float | None = None
    tokens_per_second: float | None = None
    error: str = ""


def load_questions(path: Path) -> list[EvalQuestion]:
    """The questions of a file.

    Raises:
        QuestionError: it cannot be read, or has none; says in which line and why.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise QuestionError(f"The questions in {path} cannot be read ({error}).") from None
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found.append(TypeAdapter(EvalQuestion).validate_json(line))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise QuestionError(f"{path}, line {number}: {place}{': ' if place else ''}{first['msg']}") from None
    if not found:
        raise QuestionError(f"There are no questions in {path}.")
    return found


def settings_of(pairs: Sequence[str]) -> dict[str, str]:
    """`["RAG_RETRIEVER=dense"]` as fields of the settings.

    Raises:
        SettingsError: it is not `RAG_NAME=VALUE`, or there is no such setting.
    """
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        field = name.removeprefix("RAG_").lower()
        if not equals or not name.startswith("RAG_") or field not in Settings.model_fields:
            raise SettingsError(f"{pair!r} is not a setting and its value, such as RAG_RETRIEVER=dense.")
        found[field] = value
    return found


def folded(text: str) -> str:
    """The text with white space as single spaces."""
    return " ".join(text.split())


def rank_of(gold: Sequence[str], passages: Sequence[str]) -> int:
    """The place, from 1, of the first passage that has one of the gold substrings; 0 where none has."""
    wanted = [folded(text) for text in gold]
    places = (place for place, text in enumerate(passages, 1) if any(each in folded(text) for each in wanted))
    return next(places, 0)


def has_words(answer: str, groups: Sequence[Sequence[str]]) -> bool:
    """Whether the answer has one alternative of every group."""
    text = folded(answer).casefold()
    return all(any(folded(each).casefold() in text for each in group) for group in groups)


async def evaluate(
    settings: Settings, questions: Sequence[EvalQuestion], *, answers: bool, progress: Progress = lambda: None
) -> list[Outcome]:
    """Ask every question of an assistant with these settings; `answers`: of the chat model, not the retriever alone.

    Raises:
        RagError: the assistant cannot be brought up; says what to do. A question that fails says so in its outcome.
    """
    assistant = Assistant(settings)
    assistant.start(chat=answers, sources=True)
    try:
        retriever = await assistant.when_ready.retriever(DEPTH)
        for source, reason in assistant.service.failed.items():
            log.error("Not in the library: %s (%s)", source, reason)
        while answers and (coming := assistant.models.coming):
            if coming.problem:
                raise EngineError(coming.problem)
            await asyncio.sleep(0.5)
        outcomes = []
        for question in questions:
            outcomes.append(await _ask(assistant, retriever, question, answers))
            progress()
        return outcomes
    finally:
        await asyncio.to_thread(assistant.close)


async def _ask(assistant: Assistant, retriever: Retriever, question: EvalQuestion, answers: bool) -> Outcome:
    began = time.monotonic()
    history = messages_of(question.history)
    try:
        asked, passages = await search_for(question.question, history, assistant.models.chat, retriever)
        retrieval = time.monotonic() - began
        rank = rank_of(question.gold, [item.page_content for item in passages])
    except RagError as error:
        return Outcome(question, 0, time.monotonic() - began, error=str(error))
    if not answers:
        refused = await assistant.chains.refuses(asked, passages[: assistant.settings.k])
        return Outcome(question, rank, retrieval, refused=refused)
    update, failure = await collect(assistant.chain.astream({"question": question.question, "history": history}))
    supported, claims = update.support
    return Outcome(
        question,
        rank,
        retrieval,
        answer=update.text,
        supported=supported / claims if claims else None,
        refused=update.refused,
        first_token=update.timings.first_token,
        tokens_per_second=update.timings.tokens_per_second,
        error=str(failure or ""),
    )


def report(outcomes: Sequence[Outcome]) -> Figures:
    """The figures of all questions, and under `kinds` those of each kind."""
    kinds = dict.fromkeys(outcome.question.kind for outcome in outcomes if outcome.question.kind)
    return figures(outcomes) | {
        "kinds": {kind: figures([each for each in outcomes if each.question.kind == kind]) for kind in kinds}
    }


def figures(outcomes: Sequence[Outcome]) -> Figures:
    """Shares from 0 to 1, times in seconds but for `retrieval_ms`; None where there is nothing to draw one from."""
    known = [each for each in outcomes if each.question.gold]
    foreign = [each for each in outcomes if not each.question.gold and each.question.judged]
    asked = [each for each in outcomes if each.answer is not None]
    told: Figures = {"questions": len(outcomes), "unanswerable": len(foreign)}
    told |= {f"hit@{most}": _mean([0 < each.rank <= most for each in known]) for most in (1, 4, 8)}
    told["mrr"] = _mean([1 / each.rank if each.rank else 0 for each in known])
    told["retrieval_ms"] = _mean([1000 * each.retrieval for each in outcomes], 1)
    told["answers"] = _mean(
        [has_words(each.answer or "", each.question.answer_contains) for each in asked if each.question.answer_contains]
    )
    told["supported"] = _mean([each.supported for each in asked])
    told["correct_refusals"] = _mean([each.refused for each in foreign])
    told["wrong_refusals"] = _mean([each.refused for each in known])
    told["first_token"] = _mean([each.first_token for each in asked])
    told["tokens_per_second"] = _mean([each.tokens_per_second for each in asked], 1)
    told["errors"] = sum(bool(each.error) for each in outcomes)
    return told


def _mean(values: Sequence[float | None], digits: int = 3) -> float | None:
    found = [float(value) for value in values if value is not None]
    return round(fmean(found), digits) if found else None


def table(reports: Sequence[Figures], *, answers: bool) -> str:
    """Reports side by side: a line for each kind, in each column one figure of each report, parted by a slash."""
    columns = (*RETRIEVAL_FIGURES, *(ANSWER_FIGURES if answers else ()))
    rows = [["kind", "questions", *columns]]
    for kind in [*reports[0]["kinds"], ""]:
        groups = [each["kinds"][kind] if kind else each for each in reports]
        cells = [" / ".join("-" if group[name] is None else str(group[name]) for group in groups) for name in columns]
        rows.append([kind or "all", str(groups[0]["questions"]), *cells])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def as_json(reports: Sequence[Figures]) -> str:
    """One object: the figures, and under `against` those of the settings compared with."""
    first, *others = reports
    return json.dumps(first | ({"against": others[0]} if others else {}), ensure_ascii=False)
