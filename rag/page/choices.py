"""The choices below the question box: the sources to answer from, and the chat model."""

from __future__ import annotations

from collections import Counter
from typing import Any

import gradio as gr

from rag.assistant import Assistant
from rag.page.events import QUIET, MayChange
from rag.page.library import short
from rag.page.scripts import RETRY
from rag.settings import NO_MODEL

OWN = "default"
"""The choice of the app's own chat model, whichever it is at the time."""
THINKING = [
    ("as set", ""),
    ("off", "off"),
    ("on", "on"),
    ("low", "low"),
    ("medium", "medium"),
    ("high", "high"),
]
"""The choices of `think`: (label, value)."""


class Choices:
    """The three dropdowns, in a row that is not part of the page until `row.render()`.

    Their lists are fetched as a dropdown is opened; `look` keeps the name of the app's own model up to date.
    """

    def __init__(self, assistant: Assistant, may_change: MayChange) -> None:
        """Build the dropdowns."""
        self._assistant = assistant
        self._may_change = may_change
        with gr.Row(elem_id="choices", render=False) as self.row:
            narrow: dict[str, Any] = {"scale": 0, "min_width": 0}
            self.scope = gr.Dropdown(
                [], value=[], multiselect=True, allow_custom_value=True, label="Sources", elem_id="scope", **narrow
            )
            own = [(_own_label(assistant), OWN)]
            hidden = {**narrow, "visible": False}
            self.model = gr.Dropdown(
                own, value=OWN, allow_custom_value=True, label="Model", elem_id="chat-model", **hidden
            )
            self.think = gr.Dropdown(THINKING, value="", label="Thinking", elem_id="think", **hidden)
            self.again = gr.Button("Answer again with it", size="sm", elem_id="again", **hidden)
        self.seen = gr.State({})
        """What this visitor's page shows now; see `look`."""

    def connect(self) -> None:
        """Add the listeners, once the row is part of the page."""
        self.scope.focus(lambda: gr.Dropdown(name_sources(self._assistant)), None, self.scope, **QUIET)
        self.model.focus(lambda: gr.Dropdown(name_chat_models(self._assistant)), None, self.model, **QUIET)
        self.model.input(self._chosen, self.model, [self.again, self.think], **QUIET)
        self.again.click(lambda: gr.Button(visible=False), None, self.again, js=RETRY, **QUIET)

    @property
    def outputs(self) -> list[Any]:
        """The components that `look` updates, in its order."""
        return [self.scope, self.model, self.think, self.seen]

    def look(self, seen: dict[str, Any], request: gr.Request) -> list[Any]:
        """An update for each of `outputs`, where it is new; only owners see the choice of a model."""
        owner = self._may_change(request)
        now = {"own": self._assistant.models.names.chat, "owner": owner}
        if now == seen:
            return [gr.skip()] * len(self.outputs)
        model = gr.Dropdown([(_own_label(self._assistant), OWN)], visible=owner)  # the rest on focus
        scope = gr.skip() if seen else gr.Dropdown(name_sources(self._assistant))
        return [scope, model, gr.Dropdown(visible=owner and _may_think(self._assistant.models.names.chat)), now]

    def _chosen(self, model: str) -> tuple[Any, Any]:
        """What shows once another model is chosen."""
        name = self._assistant.models.names.chat if model == OWN else model
        return gr.Button(visible=True), gr.Dropdown(visible=_may_think(name))


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
    others = [name for name in assistant.models.known.chat_names() if name != own]
    labels = [("none: quotes alone" if name == NO_MODEL else name, name) for name in others]
    return [(_own_label(assistant), OWN), *labels]


def _may_think(model: str) -> bool:
    """Whether a model may be one that thinks: no embedded one is."""
    return model != NO_MODEL and not model.startswith("embedded:")


def _own_label(assistant: Assistant) -> str:
    own = assistant.models.names.chat
    return "quotes alone" if own == NO_MODEL else own.partition(":")[2] or own
