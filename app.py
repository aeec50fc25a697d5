"""A chat about your pages and files. Run it: `python app.py`, then open the address it prints."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from importlib.util import find_spec
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # nothing of this app leaves the machine unasked
os.environ.setdefault(
    "GRADIO_ANALYTICS_CACHE_FREQUENCY", str(10**9)
)  # its monitoring, which is off, costs 2 ms an event

from rag.doors.start import Started, begin, lean_gradio

if __name__ == "__main__":
    gc.disable()  # until the page is served: to look through what is being imported, again and again, takes a second
    STARTED = begin() or sys.exit(1)

with lean_gradio():
    import gradio as gr
    import gradio.components.api_component  # later, it would parse its source, which Python 3.11 cannot beside threads

from rag.answers.update import Update
from rag.assistant import Assistant
from rag.doors.cases import note_mistakes
from rag.doors.library import may_change as is_owner
from rag.doors.process import allow_many_files, end_on_signals, end_serving, free_port
from rag.doors.serve import LAUNCH_OPTIONS, USER, build_app_kwargs, choose_access, in_one_line
from rag.errors import RagError
from rag.observe import request_id
from rag.page.api import Page, add_api, caller_of
from rag.page.chat import (
    build_chatbot,
    build_examples,
    build_question_box,
    build_views,
    connect_save,
    connect_stop,
)
from rag.page.choices import OWN, Choices
from rag.page.conversation import new_name, show_answer, show_failure
from rag.page.events import QUIET
from rag.page.feedback import keep_feedback
from rag.page.history import as_messages, end_stopped
from rag.page.library import sources_so_far
from rag.page.reader import build_reader
from rag.page.saved import keep_conversations
from rag.page.sessions import ease_sessions
from rag.page.sidebar import Sidebar
from rag.page.status import StatusStrip
from rag.page.style import ICON, STYLE_SHEETS, TITLE, build_theme
from rag.page.terminal import progress_bars

MAX_EVENTS = 1000
"""Events of the page, those of questions among them, that Gradio holds at once; questions have a line of their own."""
LOOK_SECONDS = 1.5
"""Pause between two looks of an open page at the app's state and library."""
PAUSE_SECONDS = 0.5
"""How long the main thread sleeps at once: a signal that comes as it falls asleep is handled when it wakes."""

log = logging.getLogger("rag.page")
for package, module in (("IPython", "IPython.core.getipython"), ("matplotlib", "matplotlib")):
    # Gradio tries to import these for each page and at each event: slow, and may fail beside threads, too.
    if find_spec(package) is None:
        sys.modules.setdefault(module, None)  # type: ignore[arg-type]  # not there, as Python has it


def main(arguments: Sequence[str] | None = None, started: Started | None = None) -> int:
    """Start the app and serve until a signal comes. Returns the exit code. `started`: begun by these arguments."""
    started = started or begin(arguments)
    if started is None:
        return 1
    assistant, served = started.assistant, threading.Event()
    try:
        assistant.start(page=served)
    except RagError as error:
        print(error, file=sys.stderr)
        return 1
    end_on_signals()
    allow_many_files()
    try:
        with progress_bars(assistant):
            page = serve(assistant, open_browser=started.open_browser)
            served.set()
            try:
                while True:
                    time.sleep(PAUSE_SECONDS)
            finally:
                end_serving(assistant, page)
    except KeyboardInterrupt:
        return 0
    except OSError as error:
        settings = assistant.settings
        print(f"The page cannot be served on {settings.host}:{settings.port}: {error}", file=sys.stderr)
        return 1
    finally:
        served.set()  # whatever waits for the page is to end, too
        assistant.close()


def serve(assistant: Assistant, *, open_browser: bool = False) -> gr.Blocks:
    """Launch the page, with the other doors beside it; returns once they answer."""
    settings = assistant.settings
    access = choose_access(settings)
    page = build_page(assistant, guarded=bool(access.password))
    logging.getLogger("uvicorn.error").addFilter(in_one_line)
    _, local_url, share_url = page.launch(
        server_name=settings.host,
        server_port=settings.port or free_port(settings.host),
        share=settings.share,
        auth=list(access.credentials.items()) or None,
        inbrowser=open_browser,
        theme=build_theme(),
        css_paths=STYLE_SHEETS,
        favicon_path=ICON,
        app_kwargs=build_app_kwargs(assistant, access, TITLE),
        **LAUNCH_OPTIONS,
    )
    gc.enable()
    gc.freeze()  # what is loaded by now stays: a full collection would stop every answer for 0.17 s to look at it
    assistant.folder.say_holder(local_url)
    log.info("%s is at %s", TITLE, local_url)
    if settings.share:
        unreachable = "There is no public link: the share service cannot be reached. The page is served locally."
        log.info("%s", f"Shared at {share_url}" if share_url else unreachable)
    if access.password:
        log.info("User %s, password %s", USER, access.password)
    return page


def build_page(assistant: Assistant, *, guarded: bool = False) -> gr.Blocks:
    """The page over an assistant. `guarded`: visitors log in, and only the user `admin` may change anything."""
    settings = assistant.settings

    def may_change(request: gr.Request) -> bool:
        return is_owner(request.username if guarded else "local")

    async def respond(
        message: str, history: list[dict[str, Any]], scope: list[str], model: str, think: str, request: gr.Request
    ) -> AsyncIterator[list[gr.ChatMessage]]:
        """Answer in the browser: the text as it grows, and under it what is happening and the sources."""
        update, name = Update(), new_name()
        request_id.set(request.headers.get("x-request-id", ""))
        owner = may_change(request)
        asked_of = {"model": model if owner and model != OWN else "", "think": think if owner else ""}
        end_stopped(history)
        so_far: str | None = None
        try:
            turns = as_messages(history)
            asked = [turn.text for turn in turns if turn.type == "human"]
            given = {"question": message, "history": turns, "scope": scope, **asked_of}
            async with aclosing(assistant.chain.astream({**given, "caller": caller_of(request)})) as updates:
                async for update in updates:
                    awaiting = assistant.status()["awaiting"] if update.phase == "starting" else ()
                    if update.passages and so_far is None:  # of the moment of the search: it lists the library
                        so_far = sources_so_far(assistant.library)
                    yield show_answer(update, message, scope, awaiting, so_far=so_far or "", asked=asked, name=name)
            await asyncio.to_thread(note_mistakes, assistant.service.database, message, update)
        except RagError as error:
            yield show_failure(update, error, name=name)

    def look(
        status_seen: dict[str, Any],
        sidebar_seen: dict[str, Any],
        wanted: str | None,
        choices_seen: dict[str, Any],
        request: gr.Request,
    ) -> list[Any]:
        """What is new for an open page, in one request."""
        beside = sidebar.look(sidebar_seen, wanted, request)
        return [*status.look(status_seen, request), *beside, *choices.look(choices_seen, request)]

    page: Page
    with Page(
        title=TITLE, fill_height=True, fill_width=True, analytics_enabled=False, delete_cache=(3600, 86_400)
    ) as page:
        status = StatusStrip(assistant, may_change)
        build_views()
        choices = Choices(assistant, may_change)
        with gr.Row(elem_id="layout", scale=1):
            sidebar = Sidebar(assistant, may_change)
            with gr.Column(elem_id="main", scale=1, min_width=0):
                chatbot = build_chatbot(settings)
                chat = gr.ChatInterface(
                    respond,
                    chatbot=chatbot,
                    textbox=build_question_box(),
                    additional_inputs=[choices.scope, choices.model, choices.think],
                    examples=build_examples(settings),
                    cache_examples=False,
                    editable=True,
                    save_history=True,
                    flagging_mode="never",  # see `keep_feedback`
                    concurrency_limit=None,  # questions of all doors wait in one line, `rag.answers.line`
                    show_progress="hidden",
                    api_visibility="private",
                )
                sidebar.welcome.render()  # type: ignore[no-untyped-call]
                choices.row.render()
                choices.connect()
            sidebar.show_conversations(chat)
            build_reader()
        keep_conversations(chat, settings)
        keep_feedback(chatbot, assistant)
        connect_save(sidebar.save, chat)
        connect_stop(chat)
        add_api(assistant)
        timer = gr.Timer(LOOK_SECONDS)
        shown = [*status.outputs, *sidebar.outputs, *choices.outputs]
        seen = [status.seen, sidebar.seen, sidebar.filter, choices.seen]
        gr.on([page.load, timer.tick], look, seen, shown, **QUIET)
        ease_sessions(page)
    page.queue(max_size=MAX_EVENTS, default_concurrency_limit=8, api_open=False)
    return page


if __name__ == "__main__":
    sys.exit(main(started=STARTED))
