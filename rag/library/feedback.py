"""What people thought of answers: a thumb up or down under each, in the database."""

from __future__ import annotations

import time
from dataclasses import dataclass

from sqlalchemy import delete, select

from rag.library.database import Database
from rag.library.schema import feedback

MOST = 10_000
"""Thumbs that are kept, the newest."""


@dataclass(frozen=True)
class Thumb:
    """A thumb under an answer.

    `at` is seconds since 1970; `liked` is None where the thumb was taken back; `reason` is what was amiss, in the words
    of the page, if it was told.
    """

    question: str
    answer: str
    liked: bool | None
    at: float = 0.0
    reason: str = ""


def keep_thumb(database: Database, thumb: Thumb) -> None:
    """Keep a thumb with the time of now.

    Raises:
        StoreError: the database failed.
    """
    row = {"at": time.time(), "liked": thumb.liked, "question": thumb.question, "answer": thumb.answer}
    row["reason"] = thumb.reason
    with database.write() as connection:
        connection.execute(feedback.insert().values(**row))
        newest = select(feedback.c.id).order_by(feedback.c.id.desc())
        first = connection.execute(newest.offset(MOST - 1).limit(1)).scalar()
        if first is not None:
            connection.execute(delete(feedback).where(feedback.c.id < first))


def thumbs(database: Database) -> list[Thumb]:
    """All thumbs, oldest first."""
    with database.read() as connection:
        rows = connection.execute(select(feedback).order_by(feedback.c.id))
        return [Thumb(row.question, row.answer, row.liked, row.at, row.reason) for row in rows]
