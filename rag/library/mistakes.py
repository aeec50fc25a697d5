"""What went wrong with answers: refusals, sentences that no passage supports, thumbs down; and which are cases.

All of it stays in the database of this machine. A case is a question that `python -m rag eval` asks again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import and_, delete, select

from rag.library.database import Database
from rag.library.feedback import thumbs
from rag.library.schema import mistakes as table

MOST = 1_000
"""Mistakes that are kept, the newest; cases besides."""
MOST_CASES = 1_000
LONGEST_ANSWER = 4_000
"""Characters of an answer that are kept."""

Kind = Literal["refused", "unsupported", "thumb"]


@dataclass(frozen=True)
class Mistake:
    """An answer that somebody may want to look at.

    Attributes:
        kind: the library did not tell (`refused`), sentences had no support, or it got a thumb down.
        question: in full words, where it was a follow-up.
        answer: its text.
        detail: the sentences without support, a line each; or what the person said.
        at: seconds since 1970.
        is_case: whether it is asked again by `eval`.
    """

    kind: Kind
    question: str
    answer: str
    detail: str = ""
    at: float = 0.0
    is_case: bool = False


def keep_mistake(database: Database, mistake: Mistake) -> None:
    """Keep it with the time of now, in place of an earlier one of its kind with the same question.

    Raises:
        StoreError: the database failed.
    """
    same = and_(table.c.kind == mistake.kind, table.c.question == mistake.question)
    row = {"at": time.time(), "answer": mistake.answer[:LONGEST_ANSWER], "detail": mistake.detail[:LONGEST_ANSWER]}
    with database.write() as connection:
        was_case = connection.execute(select(table.c.is_case).where(same)).scalar() or mistake.is_case
        connection.execute(delete(table).where(same))
        new = {"kind": mistake.kind, "question": mistake.question, "is_case": bool(was_case), **row}
        connection.execute(table.insert().values(**new))
        for is_case, most in ((False, MOST), (True, MOST_CASES)):
            ids = select(table.c.id).where(table.c.is_case.is_(is_case)).order_by(table.c.id.desc())
            first = connection.execute(ids.offset(most - 1).limit(1)).scalar()
            if first is not None:
                connection.execute(delete(table).where(table.c.is_case.is_(is_case), table.c.id < first))


def list_mistakes(database: Database) -> list[Mistake]:
    """All of them, the newest first; also the thumbs down that were not taken back."""
    with database.read() as connection:
        found = [
            Mistake(row.kind, row.question, row.answer, row.detail, row.at, row.is_case)
            for row in connection.execute(select(table))
        ]
    known = {(each.kind, each.question) for each in found}
    last = {(thumb.question, thumb.answer): thumb for thumb in thumbs(database)}
    for thumb in last.values():
        if thumb.liked is False and ("thumb", thumb.question) not in known:
            found.append(Mistake("thumb", thumb.question, thumb.answer, thumb.reason, thumb.at))
    return sorted(found, key=lambda each: each.at, reverse=True)[: MOST + MOST_CASES]


def choose_cases(database: Database, wanted: Iterable[Mistake], *, is_case: bool) -> None:
    """Make some of `list_mistakes` cases, or none any more."""
    for each in wanted:
        same = and_(table.c.kind == each.kind, table.c.question == each.question)
        with database.write() as connection:
            changed = connection.execute(table.update().where(same).values(is_case=is_case))
        if not changed.rowcount and is_case:  # a thumb, which is kept elsewhere
            keep_mistake(database, Mistake(each.kind, each.question, each.answer, each.detail, is_case=True))


def forget_mistakes(database: Database) -> None:
    """Forget all that are no cases. Thumbs stay, as what people said."""
    with database.write() as connection:
        connection.execute(delete(table).where(table.c.is_case.is_(False)))
