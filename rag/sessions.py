"""Gradio's sessions: their states, and whether somebody reads what is answered to them.

With states of its own, Gradio 6.31 computes for each session anew what every component looks like. It does so at the
first question of each page or client, in the event loop, where everybody waits for it: for this page 9 ms in place of
0.2, and 170 kB a session.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from contextlib import suppress
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

from gradio.blocks import Blocks
from gradio.state_holder import SessionState, StateHolder
from starlette.types import ASGIApp, Message, Receive, Scope, Send

UNREAD_SECONDS = 5.0
"""A page opens its stream right after it has asked; slow networks have so long."""
CANCEL_BYTES = 4096
"""A request to cancel names a session, a function and an event."""


class Sessions(StateHolder):
    """States that begin with copies of what the first one computed: Gradio changes nothing in it but values."""

    def __init__(self, page: Blocks) -> None:
        """Take the place of the states that a launched page has."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.set_blocks(page)
        self._first: dict[int, dict[str, Any]] = SessionState(page).config_values
        page.server_app.state_holder = self

    def __getitem__(self, session_id: str) -> SessionState:
        if session_id not in self.session_data:
            nothing: Any = SimpleNamespace(default_config=self.blocks.default_config, blocks={})
            state = SessionState(nothing)
            state.config_values = {key: _copied(config) for key, config in self._first.items()}
            self.session_data[session_id] = state
        return super().__getitem__(session_id)


def _copied(config: dict[str, Any]) -> dict[str, Any]:
    return {**config, "props": dict(config["props"])} if "props" in config else dict(config)


class Readers:
    """Which sessions have the stream open in which Gradio sends a page its answers.

    Gradio ends an answer when that stream breaks. Who closes the tab before it was opened would have it written to its
    end for nobody.
    """

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    def gone(self, session: str | None, since: float) -> bool:
        """Whether nobody reads an answer to a session that began at `since`, in seconds of the monotonic clock."""
        return not self._open[session or ""] and time.monotonic() - since > UNREAD_SECONDS

    def middleware(self, app: ASGIApp) -> ASGIApp:
        """Pure ASGI middleware that sees the streams come and go, and what is stopped."""

        async def seen(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http" and scope["method"] == "POST" and scope["path"].endswith("/gradio_api/cancel"):
                await app(scope, await _naming_the_event(receive), send)
                return
            if scope["type"] != "http" or not scope["path"].endswith("/queue/data"):
                await app(scope, receive, send)
                return
            session = parse_qs(scope["query_string"].decode("latin-1")).get("session_hash", [""])[0]
            self._open[session] += 1
            try:
                await app(scope, receive, send)
            finally:
                self._open[session] -= 1
                if not self._open[session]:
                    del self._open[session]

        return seen


async def _naming_the_event(receive: Receive) -> Receive:
    """What a page sends at Stop, with the event's id where the page has not learned it yet.

    Gradio gives it in its reply to the question; who stops before that, and after the question has begun, would stop
    nothing. Where a session has more than one event of the same function under way, none is guessed.
    """
    messages: list[Message] = []
    body, size = [], 0
    while True:
        message = await receive()
        messages.append(message)
        if message["type"] != "http.request":  # it went away
            break
        body.append(message.get("body", b""))
        size += len(body[-1])
        if not message.get("more_body", False) or size > CANCEL_BYTES:
            break
    with suppress(ValueError, RecursionError):
        told = json.loads(b"".join(body)) if size <= CANCEL_BYTES else None
        if isinstance(told, dict) and not told.get("event_id"):
            wanted = f"{told.get('session_hash')}_{told.get('fn_index')}"
            names = [task.get_name().partition("<gradio-sep>") for task in asyncio.all_tasks()]
            events = {event for name, _, event in names if event and name == wanted}
            if len(events) == 1:
                named = json.dumps({**told, "event_id": events.pop()}).encode()
                messages = [{"type": "http.request", "body": named, "more_body": False}]
    messages.reverse()

    async def again() -> Message:
        return messages.pop() if messages else await receive()

    return again
