"""Thumbs under an answer, kept in a CSV file."""

from __future__ import annotations

import os
from pathlib import Path

import gradio as gr
from gradio.flagging import ChatCSVLogger

from rag.settings import Settings

BESIDE_THE_APP = Path(__file__).resolve().parents[2] / ".gradio"


def keep_feedback(chatbot: gr.Chatbot, settings: Settings) -> None:
    """Write each thumb under an answer to `log.csv` in the feedback folder.

    `gr.ChatInterface(flagging_mode=...)` would do that with a listener that is part of the public API.
    """
    logger = ChatCSVLogger()  # type: ignore[no-untyped-call]
    logger.setup(str(feedback_folder(settings)))
    chatbot.like(logger.flag, chatbot, None, api_visibility="private")


def feedback_folder(settings: Settings) -> Path:
    """The folder beside the app; in the data folder where that one is read-only, as in the image."""
    return (BESIDE_THE_APP if os.access(BESIDE_THE_APP, os.W_OK) else settings.data_dir) / "flagged"
