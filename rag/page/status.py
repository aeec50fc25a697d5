"""The line over the page: what answers; and below it a line for each thing to know or to mend."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import gradio as gr

from rag.assistant import Assistant
from rag.models.auto import OLLAMA_DEFAULTS
from rag.models.e5 import E5_NAME
from rag.page.events import MayChange, check_may_change, errors_on_the_page
from rag.page.scripts import NOTICES
from rag.page.style import TITLE
from rag.settings import NO_MODEL
from rag.text.amounts import counted, told_seconds

BLANK = f"<h1>{TITLE}</h1>"
"""The strip until the page first asks for it: the page is built once, at the app's start, when nothing is known."""


class StatusStrip:
    """The strip, the handler of the buttons in its notices, and `look`, which keeps it up to date."""

    def __init__(self, assistant: Assistant, may_change: MayChange) -> None:
        """Build the strip within the page that is being built."""
        self._assistant = assistant
        self._may_change = may_change
        self.strip = gr.HTML(BLANK, elem_id="status", padding=False, js_on_load=NOTICES)
        self.seen = gr.State({})
        """What this visitor's page shows now; see `look`."""
        self.strip.click(
            self._act, None, None, api_visibility="private", show_progress="hidden", concurrency_limit=4
        )  # queued, since a pull takes minutes

    @property
    def outputs(self) -> list[Any]:
        """The components that `look` updates, in its order."""
        return [self.strip, self.seen]

    def look(self, seen: dict[str, Any], request: gr.Request) -> list[Any]:
        """An update for each of `outputs`, unless the visitor's page shows all of it already (`seen`)."""
        status = self._assistant.status()
        chat = status["models"]["chat"]
        now: dict[str, Any] = {"status": show_status(status, owner=self._may_change(request)), "chat": chat}
        if now == seen:
            return [gr.skip()] * len(self.outputs)
        if seen and seen["chat"] != chat:
            gr.Info(f"{'Quotes from the sources' if chat == NO_MODEL else chat} from now on.", title="Answers")
        return [now["status"], now]

    def _act(self, click: gr.EventData, request: gr.Request) -> None:
        check_may_change(self._may_change, request)
        models = self._assistant.models
        with errors_on_the_page():
            match getattr(click, "action", ""):
                case "pull":
                    for model in self._assistant.status()["missing"]:
                        models.pulls.pull(model)
                case "quotes only":
                    self._assistant.choose_chat(NO_MODEL)
                case "fetch":
                    self._assistant.choose_chat(models.configured)
                case "read languages":
                    self._assistant.reindex(E5_NAME)
                case "try again":
                    self._assistant.retry()


def show_status(status: Mapping[str, Any], *, owner: bool = False) -> str:
    """The strip as HTML: what answers, and notices. `owner`: with buttons that mend."""
    mood = "ok" if status["ready"] else "bad" if status["problems"] else "wait"
    models, answers = status["models"], _chat(status)
    why = next((text for text in status["chosen"] if text.startswith(f"{answers} is ")), "")
    label = "Answers by" if models["chat"] != NO_MODEL else "Answers are"
    strip = f"<span title='{html.escape(why)}'><small>{label}</small> {html.escape(answers)}</span>"
    if not (status["ready"] or status["sources"] or status["awaiting"] or status["problems"]):
        strip = "<span>The library is empty</span>"
    head = f"<div class='head'>{BLANK}<div class='strip {mood}'><i aria-hidden='true'></i>{strip}</div></div>"
    return head + "".join(_notices(status, owner))


def _chat(status: Mapping[str, Any]) -> str:
    """What answers now, in a few words."""
    name, coming = str(status["models"]["chat"]), status["coming"]
    if name != NO_MODEL:
        return name
    return (
        f"quotes, until {coming['model']} is here" if coming and not coming["problem"] else "quotes from your sources"
    )


def _notices(status: Mapping[str, Any], owner: bool) -> Iterator[str]:
    """A line for each thing that is awaited, wrong or to be known."""
    missing, coming = status["missing"], status["coming"]
    pull = [("pull", f"Pull {', '.join(missing)}")] if missing else []
    again = [("try again", "Try again")]
    if status["awaiting"] and not status["ready"]:
        yield _notice("wait", f"{'; '.join(status['awaiting'])} …", "awaiting")
    problems = list(status["problems"].values())
    for text in problems:
        yield _notice("bad", text, text, pull * owner)
    if pull and not problems:
        yield _notice("warn", f"{', '.join(missing)} is not pulled yet.", f"missing {missing}", pull * owner)
    if failed := list(status["failed"].items()):
        told = "; ".join(f"{source}: {reason}" for source, reason in failed[:3]) + " …" * (len(failed) > 3)
        told = f"{counted(len(failed), 'source')} could not be loaded: {told}"
        if status["guide"]:
            alone = status["sources"] == 1
            guide = "Answers come from the guide" if alone else "Among the sources is the guide"
            told = f"{guide} on LLM agents that comes with the app; {told}"
        can_retry = owner and (status["guide"] or not status["ready"])
        yield _notice("warn", told, f"failed {sorted(status['failed'])}", again * can_retry)
    if coming:
        yield _show_coming(coming, status["models"]["chat"], owner)
    elif status["declined"]:
        told = f"Answers are quotes from the sources; {status['declined']} would write them."
        fetch = [("fetch", f"Fetch {status['declined']}")]
        yield _notice("note", told, f"declined {status['declined']}", fetch * owner)
    for text in (*filter(_is_news, status["chosen"]), *status["notes"]):
        is_offered = owner and E5_NAME in text and not status["index"]["building"]
        yield _notice("note", text, text, [("read languages", "Use multilingual-e5")] * is_offered)


def _is_news(why: str) -> bool:
    """Whether a person would not expect what `auto` chose: one of Ollama's models, and not the default."""
    return why.startswith("ollama:") and not why.startswith(OLLAMA_DEFAULTS)


def _show_coming(coming: Mapping[str, Any], chat: str, owner: bool) -> str:
    name = coming["model"]
    now = "Quotes from the sources answer" if chat == NO_MODEL else f"{chat} answers"
    quotes = [("quotes only", "Quotes only")] if chat == NO_MODEL and owner else []
    if coming["problem"]:
        told = f"{now}, as {name} could not be had: {coming['problem']}"
        return _notice("warn", told, told, [("try again", "Try again"), *quotes] if owner else [])
    told = f"{now} until {name} is here."
    share = ""
    if total := coming.get("total"):
        left = coming.get("seconds_left")
        told += f" {coming['done'] / 1e6:.0f} of {total / 1e6:.0f} MB"
        told += f", about {told_seconds(left)} left" if left is not None else ""
        share = f"<progress aria-label='Fetched' value='{coming['done']}' max='{total}'></progress>"
    return _notice("wait", told, f"coming {name}", quotes, share)


def _notice(kind: str, text: str, key: str, buttons: Sequence[tuple[str, str]] = (), share: str = "") -> str:
    """One line that opens to its whole text, with buttons that mend what it tells of, and one that puts it away.

    The page forgets that a line of another kind than "note" was put away once it is gone: it is new when it is back.
    """
    actions = "".join(
        f"<button class='act' data-action='{action}'>{html.escape(label)}</button>" for action, label in buttons
    )
    return (
        f"<div class='notice {kind}' data-notice='{html.escape(f'{kind} {key}')}'>"
        f"<button class='told' aria-expanded='false'>{html.escape(text)}</button>{share}{actions}"
        "<button class='away' aria-label='Put this notice away'>×</button></div>"
    )
