"""Thumbs under an answer go into the database; `python -m rag feedback` prints them."""

from __future__ import annotations

from typing import Any

import gradio as gr

from rag.assistant import Assistant
from rag.library.feedback import Thumb, keep_thumb
from rag.page.chat import REASONS
from rag.page.events import errors_on_the_page
from rag.page.history import as_messages


def keep_feedback(chatbot: gr.Chatbot, assistant: Assistant) -> None:
    """Keep each thumb under an answer, or what is amiss with it, with the answer and its question.

    `gr.ChatInterface(flagging_mode=...)` would write them to a file, with a listener that is part of the public API.
    """

    def keep(data: gr.LikeData, history: list[Any]) -> None:
        place = int(data.index[0] if isinstance(data.index, (list, tuple)) else data.index)
        said = as_messages(history[: place + 1])
        question = next((turn.text for turn in reversed(said[:-1]) if turn.type == "human"), "")
        answer = said[-1].text if said else ""
        given = data.liked if isinstance(data.liked, bool) else {"Like": True, "Dislike": False}.get(str(data.liked))
        reason = str(data.liked) if data.liked in REASONS else ""
        with errors_on_the_page():
            keep_thumb(assistant.service.database, Thumb(question, answer, False if reason else given, reason=reason))

    chatbot.like(keep, chatbot, None, api_visibility="private")
