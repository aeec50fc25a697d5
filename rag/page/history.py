"""The conversation as Gradio keeps it: its turns for the model, and the quotes and marks in them read back."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from rag.errors import QuestionError
from rag.page.answer_text import as_written
from rag.page.passages import SUPPORTED, UNSUPPORTED

THINKING = "thinking"
"""Name of the message with what the model thought, which is no part of the conversation."""
UNCOPIED = "\u2063"
"""Stands, unseen, before and behind what a model thought or a small one adds to its quotes: what is copied goes without
both (`assets/copy.js`)."""
BESIDE, INSTEAD = "quotes", "quotes-first"
"""Names of a message with quotes: beside a model's answer, where it is no turn of the conversation, or in its place or
at its beginning."""
_SOURCE = re.compile(r"\xa0<small>[^<]*</small>$")
"""What a quote is from, and the heading above it, behind its mark."""
_MARK = re.compile(
    rf'[ \xa0]?\[(\d+|\?)\]\((?:{SUPPORTED}|{UNSUPPORTED})[0-9a-f]+-\d+(?:\?[^\s()"]*)?(?: "[^"\n]*")?\)'
)


def with_plain_marks(text: str) -> str:
    """An answer as the page shows it, its marks without their links: `[1]`, `[?]`."""
    return as_written(_MARK.sub(r" [\1]", text))


def text_of(content: Any) -> str:
    """The text of a message of Gradio's: clients send a string, the browser sends a list of parts."""
    parts = content if isinstance(content, list) else [content]
    return "".join(part if isinstance(part, str) else str(part.get("text", "")) for part in parts if part)


def as_messages(history: Sequence[dict[str, Any]]) -> list[BaseMessage]:
    """Gradio's history as messages for the model; text comes as a string from clients and as parts from the browser.

    Notes under an answer (sources, failures) carry a title in their metadata and are no part of the conversation.
    Neither are the marks in it, nor quotes beside it.

    Raises:
        QuestionError: it is no list of turns.
    """
    messages: list[BaseMessage] = []
    if not isinstance(history, (list, tuple)) or not all(isinstance(turn, dict) for turn in history):
        raise QuestionError('The history does not fit: it is a list of turns, {"role", "content"} each.')
    for turn in history:
        text = text_of(turn.get("content"))
        told = turn.get("metadata") or {}
        if not text.strip() or told.get("title") or told.get("id") == BESIDE:
            continue
        if turn.get("role") == "user":
            messages.append(HumanMessage(text))
            continue
        text = "\n".join(read_quotes(text)) if told.get("id") == INSTEAD else as_written(_MARK.sub("", text))
        if messages and messages[-1].type == "ai":  # an answer and the quote that it opens with
            text = f"{messages.pop().text}\n\n{text}"
        messages.append(AIMessage(text))
    return messages


def end_stopped(history: Sequence[dict[str, Any]]) -> None:
    """Say of each earlier answer that was not finished that it was stopped, in place.

    Gradio shows such changes of the history with the next answer. The browser marks a stopped answer itself
    (`scripts.MARK_STOPPED`), but an update that was on its way may write over that before the next question.
    """
    for turn in history:
        note = turn.get("metadata") or {}
        if note.get("status") == "pending":
            note.update(title=f"Stopped · {note.get('title') or ''}", status="done")


def read_quotes(content: str) -> list[str]:
    """The quotes of a message that `show_quotes` made, each with its marks' numbers: `“…” [1]`."""
    lines = (_SOURCE.sub("", line.removeprefix("> ")) for line in content.splitlines() if line.startswith("> "))
    return [html.unescape(with_plain_marks(line).replace("<br>", "\n")) for line in lines]
