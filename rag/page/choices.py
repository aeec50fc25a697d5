"""The choices over the conversation: the sources to answer from, and the chat model."""

from __future__ import annotations

from collections import Counter
from typing import Any

import gradio as gr

from rag.assistant import Assistant
from rag.page.events import QUIET, MayChange
from rag.page.library import short
from rag.settings import NO_MODEL

OWN = "default"
OWN_LABEL = "The one above"
"""The choice of the app's own chat model, whichever it is at the time; the strip over the chat names it."""


class Choices:
    """The two dropdowns. Their lists are fetched as a dropdown is opened."""

    def __init__(self, assistant: Assistant, may_change: MayChange) -> None:
        """Build the dropdowns within the page that is being built."""
        self._assistant = assistant
        self._may_change = may_change
        with gr.Row(elem_id="choices"):
            self.scope = gr.Dropdown(
                [],
                value=[],
                multiselect=True,
                allow_custom_value=True,
                label="Answer only from (empty: all sources)",
                elem_id="scope",
                scale=3,
                min_width=200,
            )
            self.model = gr.Dropdown(
                [(OWN_LABEL, OWN)],
                value=OWN,
                allow_custom_value=True,
                label="Chat model",
                elem_id="chat-model",
                visible=False,
                scale=2,
                min_width=200,
            )
        self.scope.focus(lambda: gr.Dropdown(name_sources(assistant)), None, self.scope, **QUIET)
        self.model.focus(lambda: gr.Dropdown(name_chat_models(assistant)), None, self.model, **QUIET)

    def load(self, request: gr.Request) -> list[Any]:
        """Updates for `scope` and `model` as the page is opened; only owners see the choice of a model."""
        return [gr.Dropdown(name_sources(self._assistant)), gr.Dropdown(visible=self._may_change(request))]


def name_sources(assistant: Assistant) -> list[tuple[str, str]]:
    """The choices of `scope`: (label, source). A title that several sources share is followed by the address."""
    sources = assistant.sources
    titles = Counter(item.title for item in sources)
    named = [
        (item.title if titles[item.title] == 1 else f"{item.title} ({short(item.source)})", item.source)
        for item in sources
    ]
    return sorted(named, key=lambda name: name[0].lower())


def name_chat_models(assistant: Assistant) -> list[tuple[str, str]]:
    """The choices of `model`: (label, value), the app's own chat model first."""
    own = assistant.models.names.chat
    others = [name for name in assistant.models.chat_names() if name != own]
    return [(OWN_LABEL, OWN), *(("none: quotes alone" if name == NO_MODEL else name, name) for name in others)]
