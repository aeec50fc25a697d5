"""Answers that went wrong become questions for `python -m rag eval`, and are asked again of two kinds of settings."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from rag.answers.stream import collect
from rag.answers.update import Update
from rag.assistant import Assistant
from rag.doors.evaluate import EvalQuestion
from rag.errors import RagError, StoreError
from rag.library.database import Database
from rag.library.mistakes import Mistake, keep_mistake, list_mistakes

log = logging.getLogger("rag.cases")

MOST_COMPARED = 50
"""Cases that are asked again at once, the newest."""


def note_mistakes(database: Database, question: str, update: Update) -> None:
    """Keep what went wrong with a whole answer: a refusal, or sentences that no passage supports.

    A database that fails is logged and no more: the answer is there, and stays.
    """
    asked = update.asked or question.strip()
    if update.refused:
        mistake = Mistake("refused", asked, update.text)
    elif not update.quoted and (detail := "\n".join(_unsupported(update))):
        mistake = Mistake("unsupported", asked, update.text, detail)
    else:
        return
    try:
        keep_mistake(database, mistake)
    except StoreError as error:
        log.warning("What went wrong with an answer is not kept: %s", error)


def _unsupported(update: Update) -> list[str]:
    """The sentences without support, each with what no passage says."""
    found = []
    for sentence in update.grounding or ():
        if sentence.claims and sentence.passage is None:
            missing = f" (no passage says {sentence.why})" if sentence.why else ""
            found.append(" ".join(update.text[sentence.start : sentence.end].split()) + missing)
    return found


def cases(database: Database) -> list[EvalQuestion]:
    """The cases as questions for `eval`, the newest first, each question once."""
    chosen = [each for each in list_mistakes(database) if each.is_case]
    return [
        EvalQuestion(question=text, kind=kind, judged=False)
        for text, kind in {c.question: c.kind for c in chosen}.items()
    ]


def as_lines(questions: Sequence[EvalQuestion]) -> str:
    """Questions as a file that `python -m rag eval` reads: a line of JSON each."""
    return "".join(f"{each.model_dump_json(exclude_defaults=True)}\n" for each in questions)


@dataclass(frozen=True)
class Setup:
    """What cases are asked of: a chat model (""; the app's own) and a number of passages (0: the settings')."""

    model: str = ""
    k: int = 0


Asked = tuple[Update, RagError | None]
"""The last update of a case's answer, and the error that ended it, if one did."""


async def compare(
    assistant: Assistant, questions: Sequence[EvalQuestion], setups: Sequence[Setup]
) -> AsyncGenerator[tuple[EvalQuestion, list[Asked]], None]:
    """Ask each question of each setup, one after the other, in line with everybody's questions."""
    for question in questions[:MOST_COMPARED]:
        asked = [{"question": question.question, "model": setup.model, "k": setup.k} for setup in setups]
        yield question, [await collect(assistant.chain.astream(each)) for each in asked]
