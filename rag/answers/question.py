"""What may be asked: a question and earlier turns, without what no model can read."""

from __future__ import annotations

from langchain_core.messages import BaseMessage

from rag.answers.thinking import without_thinking
from rag.errors import QuestionError


def legible(text: str) -> str:
    """`text` without what no model can read: NULs and lone surrogates."""
    return text.replace("\0", "").encode("utf-8", "ignore").decode("utf-8")


LONGEST_QUESTION = 8000
"""Characters."""


def check_question(question: str) -> str:
    """The question, legible.

    Raises:
        QuestionError: nothing is left of it, or it is longer than `LONGEST_QUESTION`.
    """
    question = legible(question).strip()
    if not question:
        raise QuestionError("The question is empty.")
    if len(question) > LONGEST_QUESTION:
        raise QuestionError(f"The question has {len(question)} characters; at most {LONGEST_QUESTION} are taken.")
    return question


def legible_turn(turn: BaseMessage) -> BaseMessage:
    """A turn of the history as the model may read it; what a model thought is none of it."""
    text = legible(turn.text)
    return turn.model_copy(update={"content": without_thinking(text) if turn.type == "ai" else text})
