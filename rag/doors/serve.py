"""How the app is served: who is let in, the routes beside the page, the middleware, options of Gradio's server."""

from __future__ import annotations

import logging
import os
import secrets
from dataclasses import dataclass
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.middleware import Middleware

from rag.assistant import Assistant
from rag.doors.guard import LARGEST_BODY, LOCAL_NAMES, Guard
from rag.doors.http import reply_to_invalid
from rag.doors.library import build_library_routes
from rag.doors.mcp import build_mcp_routes
from rag.doors.openai import build_openai_routes
from rag.doors.predict import build_predict_routes
from rag.doors.reader import build_reader_routes
from rag.doors.state import build_state_routes
from rag.doors.websocket import build_socket_routes
from rag.observe import Observed
from rag.settings import Settings

DESCRIPTION = """
Ask your pages and files; a local model answers, and every answer comes with the passages it is drawn from. All routes
give the same answers.

**WebSocket `/chat`** (OpenAPI has no words for it): a text frame is a question, or JSON
`{"question", "history", "scope"}`.
Each piece of the answer is a frame `{"message": piece}`; then comes
`{"message": "", "done": true, "sources": [...], "grounding": [...], "timings": {...}, ...}`.
What a model thinks before comes as frames `{"message": "", "thinking": piece}`.
An error is `{"error", "code", "done": true}`, with `"cut_off": true` where a part of the answer had come, and leaves
the socket usable. Questions sent meanwhile wait their turn, four at most.

Where the app asks for credentials, give HTTP Basic or the password as a bearer token.
"""
"""What `/openapi.json` says first."""
USER = "rag"
"""Name that goes with the visitors' password."""
MAX_SESSIONS = 300
"""Sessions whose state Gradio keeps, those used last. Each takes 0.13 MB, and a call of its API makes one; open pages
use theirs every other second, and stay. Gradio's own bound is 10,000."""
LAUNCH_OPTIONS: dict[str, Any] = {
    "prevent_thread_lock": True,
    "quiet": True,
    "show_error": False,
    "max_file_size": LARGEST_BODY,
    "enable_monitoring": False,
    "state_session_capacity": MAX_SESSIONS,
    "ssr_mode": False,
    "mcp_server": False,
    "pwa": False,
    "run_history": False,
    "footer_links": ["api"],
}
"""Arguments of `gr.Blocks.launch` that no setting changes."""


@dataclass(frozen=True)
class Access:
    """Who is let in.

    Attributes:
        hosts: names under which the app may be called; None: any.
        password: the visitors' password; "": nobody is asked for one.
        credentials: passwords by user name.
    """

    hosts: tuple[str, ...] | None
    password: str
    credentials: dict[str, str]


def choose_access(settings: Settings) -> Access:
    """Who is let in: where strangers can reach the app, a password is made up if the settings have none."""
    reachable = not settings.on_loopback and not os.environ.get("SPACE_ID")  # a Space is public on purpose
    password = settings.password or (secrets.token_urlsafe(9) if reachable else "")
    credentials = {USER: password} if password else {}
    if password and settings.admin_password:
        credentials["admin"] = settings.admin_password
    hosts = (*LOCAL_NAMES, settings.host) if settings.on_loopback and not password else None
    return Access(hosts, password, credentials)


def build_app_kwargs(assistant: Assistant, access: Access, title: str) -> dict[str, Any]:
    """The arguments of the FastAPI app that Gradio makes: the routes beside the page, and the middleware."""
    kwargs: dict[str, Any] = {
        "title": title,
        "description": DESCRIPTION,
        "routes": [
            *build_predict_routes(assistant).routes,
            *build_state_routes(assistant, bare_health=bool(access.password)).routes,
            *build_socket_routes(assistant).routes,
            *build_library_routes(assistant).routes,
            *build_reader_routes(assistant).routes,
            *build_openai_routes(assistant).routes,
        ],
        "middleware": [
            Middleware(Observed, metrics=assistant.metrics),
            Middleware(Guard, hosts=access.hosts, credentials=access.credentials, token=assistant.folder.token),
        ],
        "exception_handlers": {RequestValidationError: reply_to_invalid},
    }
    if assistant.settings.mcp:
        routes, lifespan = build_mcp_routes(assistant)
        kwargs["routes"] += routes
        kwargs["lifespan"] = lifespan
    return kwargs


def in_one_line(record: logging.LogRecord) -> bool:
    """A log filter: one line, without a traceback, for broken frames and for requests of answers that do not exist.

    Gradio begins to send events before it looks an id up, and Starlette can end such a reply only with an error.
    """
    if record.getMessage().startswith("Invalid UTF-8"):
        record.exc_info = None
    elif record.exc_info and "response already started" in str(record.exc_info[1]):
        record.msg, record.args, record.exc_info = "A peer asked for an answer that is not there.", (), None
    return True
