"""The strip over the chat: how the app is, and the buttons that mend it."""

from __future__ import annotations

import html
from typing import Any

import gradio as gr

from rag.assistant import Assistant
from rag.library.library import counted
from rag.page.events import QUIET, MayChange, check_may_change, errors_on_the_page
from rag.page.style import TITLE
from rag.settings import NO_MODEL


class StatusStrip:
    """The strip's components, the handlers of its buttons, and `look`, which keeps it up to date."""

    def __init__(self, assistant: Assistant, may_change: MayChange) -> None:
        """Build the strip within the page that is being built."""
        self._assistant = assistant
        self._may_change = may_change
        self.strip = gr.HTML(show_status(assistant.status()), elem_id="status", padding=False)
        with gr.Row(elem_id="actions", visible=False) as self.actions:
            self.pull = gr.Button("Pull the missing models", variant="primary", size="sm", visible=False)
            self.quotes = gr.Button("Quotes only", size="sm", visible=False)
            self.fetch = gr.Button("Fetch the chat model", size="sm", visible=False)
            self.retry = gr.Button("Try again", size="sm", visible=False)
        self.seen = gr.State({})
        self.pull.click(self._pull_missing, None, None, api_visibility="private", concurrency_limit=1)
        self.quotes.click(self._decline, None, None, **QUIET)
        self.fetch.click(self._accept, None, None, **QUIET)
        self.retry.click(self._try_again, None, None, **QUIET)

    @property
    def outputs(self) -> list[Any]:
        """The components that `look` updates, in its order."""
        return [self.strip, self.actions, self.pull, self.quotes, self.fetch, self.retry, self.seen]

    def look(self, seen: dict[str, Any], request: gr.Request) -> list[Any]:
        """An update for each of `outputs`, unless the visitor's page shows all of it already (`seen`)."""
        status = self._assistant.status()
        owner = self._may_change(request)
        chat, coming = status["models"]["chat"], status["coming"]
        now: dict[str, Any] = {"status": show_status(status), "owner": owner, "chat": chat}
        if now == seen:
            return [gr.skip()] * len(self.outputs)
        if seen and seen["chat"] != chat:
            gr.Info(f"{'Quotes from the sources' if chat == NO_MODEL else chat} from now on.", title="Answers")
        can_pull, can_retry = bool(status["missing"]) and owner, bool(status["failed"]) and owner
        can_retry &= status["guide"] or not status["ready"]
        can_retry |= owner and bool(coming and coming["problem"])
        can_decline = owner and bool(coming) and chat == NO_MODEL
        can_fetch = owner and bool(status["declined"])
        return [
            now["status"],
            gr.Row(visible=can_pull or can_retry or can_decline or can_fetch),
            gr.Button(f"Pull {', '.join(status['missing'])}", visible=can_pull),
            gr.Button(visible=can_decline),
            gr.Button(f"Fetch {status['declined']}", visible=can_fetch),
            gr.Button(visible=can_retry),
            now,
        ]

    def _pull_missing(self, request: gr.Request) -> None:
        check_may_change(self._may_change, request)
        with errors_on_the_page():
            for model in self._assistant.status()["missing"]:
                for _ in self._assistant.models.pull(model):
                    pass

    def _decline(self, request: gr.Request) -> None:
        self._choose(NO_MODEL, request)

    def _accept(self, request: gr.Request) -> None:
        self._choose(self._assistant.models.configured, request)

    def _choose(self, name: str, request: gr.Request) -> None:
        check_may_change(self._may_change, request)
        with errors_on_the_page():
            self._assistant.choose_chat(name)

    def _try_again(self, request: gr.Request) -> None:
        check_may_change(self._may_change, request)
        self._assistant.retry()


def show_status(status: dict[str, Any]) -> str:
    """The strip as HTML: models, size of the index, work under way, problems."""
    mood = "ok" if status["ready"] else "bad" if status["problems"] else "wait"
    models = status["models"]
    counts = f"{counted(status['sources'], 'source')}, {counted(status['chunks'], 'chunk')}"
    facts = [("Chat", models["chat"]), ("Embeddings", models["embeddings"]), ("Indexed", counts)]
    if status["ready"] and status["awaiting"]:  # beside the rest, so that nothing moves while people chat
        facts.append(("Meanwhile", "; ".join(status["awaiting"])))
    strip = "".join(f"<span><small>{name}</small> {html.escape(value)}</span>" for name, value in facts)
    lines = [f"<h1>{TITLE}</h1>"]
    lines += [f'<div class="strip {mood}"><i aria-hidden="true"></i>{strip}</div>']
    lines += [f'<p class="wait">{html.escape(text)} …</p>' for text in status["awaiting"] if not status["ready"]]
    lines += [f'<p class="bad">{html.escape(text)}</p>' for text in status["problems"].values()]
    failed = list(status["failed"].items())
    shown = 0 if status["ready"] and not status["guide"] else 5  # the library lists them, too
    lines += [
        f'<p class="warn"><b>{html.escape(source)}</b> could not be loaded: {html.escape(reason)}</p>'
        for source, reason in failed[:shown]
    ]
    if len(failed) > shown:
        more = f"{counted(len(failed) - shown, 'more source' if shown else 'source')} could not be loaded"
        lines.append(f'<p class="warn">{more}; the library says why.</p>')
    if status["guide"]:
        lines.append('<p class="wait">Meanwhile answers come from the guide on LLM agents that comes with the app.</p>')
    if status["coming"]:
        lines.append(_show_coming(status["coming"], models["chat"]))
    lines += [f'<p class="warn">{html.escape(text)}</p>' for text in status["notes"]]
    return "".join(lines)


def _show_coming(coming: dict[str, Any], chat: str) -> str:
    name, problem = html.escape(coming["model"]), html.escape(coming["problem"])
    now = "Quotes from the sources answer" if chat == NO_MODEL else f"{html.escape(chat)} answers"
    if problem:
        return f'<p class="warn">{now}, as {name} could not be had: {problem}</p>'
    return f'<p class="wait">{now} until {name} is here.</p>'
