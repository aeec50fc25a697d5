"""What stands in front of every route: who may call, how much they may send, what a browser may do with the page."""

from __future__ import annotations

import base64
import os
import secrets
import time
from collections import deque
from collections.abc import Mapping
from contextvars import ContextVar
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
LARGEST_BODY = 25 * 2**20
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")

_FRAMES = "'self' https://huggingface.co" if os.environ.get("SPACE_ID") else "'self'"
_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' blob: data:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "frame-src 'none'",
        "object-src 'none'",
        "form-action 'self'",
        "base-uri 'self'",
        f"frame-ancestors {_FRAMES}",
    )
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
"""A model's answer or a page's title can hold an image of a stranger's host: nothing is ever fetched from elsewhere."""


PUBLIC = ("/login", "/login/", "/health", "/favicon.ico", "/theme.css", "/manifest.json", "/robots.txt")
PUBLIC_FOLDERS = ("/assets/", "/static/", "/svelte/")
"""What answers without credentials where they are asked: the way in, and files that are the same for everybody."""
WRONG_TRIES = 10
WRONG_SECONDS = 60.0
LOGIN_PAGE = (Path(__file__).parent.parent / "assets" / "login.html").read_bytes()


CALLER: ContextVar[str] = ContextVar("caller", default="")
"""Who calls, for those who do not get the request: see `caller_of`."""


def caller_of(scope: Scope) -> str:
    """Under whom a question counts (`Rate`): the sender's address; "", for no limit, of the owner's own commands."""
    return "" if scope.get("visitor") == "owner" else _address(scope)


class Guard:
    """Pure ASGI middleware (Starlette's `BaseHTTPMiddleware` would stand between a stream and its reader).

    `hosts`: the names under which the app may be called; None: any, where a password guards it. Checking them closes
    DNS rebinding; checking the Origin keeps the pages of other sites from using the routes.
    `credentials`: passwords by user name; empty: nobody is asked. They are given by HTTP Basic, as a bearer token (the
    password) or by logging in on the page, and guard every route and the WebSocket. After ten wrong tries in a minute
    from one address, further ones wait. `token` is what the owner's own commands show, as a bearer token.
    """

    def __init__(
        self, app: ASGIApp, hosts: tuple[str, ...] | None, credentials: Mapping[str, str] | None = None, token: str = ""
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._credentials = dict(credentials or {})
        self._token = token
        self.wrong: dict[str, deque[float]] = {}
        self._launched = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request, or pass it on: its body ends at `LARGEST_BODY`, and the reply gets `HEADERS`."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        answer = self._refusal(scope, headers) or self._without_credentials(scope, headers)
        CALLER.set(caller_of(scope))
        if isinstance(answer, Refused) and scope["path"].startswith("/v1/"):
            answer = answer.as_openai()
        if scope["type"] == "websocket":
            if answer is None:
                await self._app(scope, receive, send)
                return
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "refused"})
            return
        taken = 0

        async def within_limit() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > LARGEST_BODY:
                return {"type": "http.disconnect"}
            return message

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                sent = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    sent[name] = value
                if _is_login(scope) and message["status"] < 400 and answer is None:
                    self._forgive(_address(scope))
            await send(message)

        await (answer or self._app)(scope, within_limit, with_headers)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        host = headers.get("host", "")
        if self._hosts is not None and _name(f"//{host}") not in self._hosts:
            return Refused(421, f"This app is not called {host[:80]!r}. Open it as http://localhost.")
        origin = headers.get("origin")
        unsafe = scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS
        if origin is not None and unsafe and urlsplit(origin).netloc.lower() != host.lower():
            return Refused(403, "Pages of other sites may not use this app.")
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > LARGEST_BODY:
            return Refused(413, f"At most {LARGEST_BODY >> 20} MiB are taken.")
        return None

    def _without_credentials(self, scope: Scope, headers: Headers) -> Response | None:
        """What a visitor without credentials gets, where they are asked; None lets pass."""
        scheme, _, value = headers.get("authorization", "").partition(" ")
        if self._token and scheme.lower() == "bearer" and _same(value.strip(), self._token):
            scope["visitor"] = "owner"
            return None
        if not self._credentials:
            scope["visitor"] = "local"
            return None
        address = _address(scope)
        path = scope["path"]
        given = headers.get("authorization", "")
        trying = bool(given) or path.rstrip("/") == "/login"
        if trying and self._is_slowed(address):
            return Refused(429, "Too many wrong passwords. Try again in a minute.", {"Retry-After": "60"})
        if _is_login(scope):
            self._note_wrong(address)  # until it turns out to be right: many may come before the first is answered
        visitor = self._visitor(given) or _logged_in(scope, headers)
        scope["visitor"] = visitor
        if visitor:
            return None
        if given:
            self._note_wrong(address)
        if path == "/gradio_api/startup-events" and not self._launched:
            self._launched = True  # Gradio calls this once itself, before anybody else knows of the app
            return None
        if scope["type"] == "http" and (path in PUBLIC or path.startswith(PUBLIC_FOLDERS)):
            return None
        if scope["type"] == "http" and path == "/" and scope["method"] in ("GET", "HEAD"):
            return Response(LOGIN_PAGE, media_type="text/html")
        asks = {} if path.startswith("/gradio_api") else {"WWW-Authenticate": 'Basic realm="Local RAG chat"'}
        return Refused(401, "Give the user name and password (HTTP Basic), or the password as a bearer token.", asks)

    def _visitor(self, authorization: str) -> str | None:
        scheme, _, value = authorization.partition(" ")
        if scheme.lower() == "bearer":
            return next((user for user, word in self._credentials.items() if _same(value.strip(), word)), None)
        if scheme.lower() != "basic":
            return None
        try:
            user, _, word = base64.b64decode(value, validate=True).decode().partition(":")
        except (ValueError, UnicodeDecodeError):
            return None
        return user if _same(word, self._credentials.get(user, "")) and user in self._credentials else None

    def _is_slowed(self, address: str) -> bool:
        tries = self.wrong.get(address)
        while tries and tries[0] < time.monotonic() - WRONG_SECONDS:
            tries.popleft()
        return bool(tries) and len(tries or ()) >= WRONG_TRIES

    def _note_wrong(self, address: str) -> None:
        if len(self.wrong) > 10_000:
            self.wrong.clear()
        self.wrong.setdefault(address, deque(maxlen=WRONG_TRIES)).append(time.monotonic())

    def _forgive(self, address: str) -> None:
        if tries := self.wrong.get(address):
            tries.pop()


def _is_login(scope: Scope) -> bool:
    return (scope["type"], scope.get("method"), scope["path"].rstrip("/")) == ("http", "POST", "/login")


def _same(given: str, right: str) -> bool:
    return secrets.compare_digest(given.encode(), right.encode())


def _logged_in(scope: Scope, headers: Headers) -> str | None:
    """The user of Gradio's own session cookie."""
    gradio = scope.get("app")
    cookies: SimpleCookie = SimpleCookie()
    try:
        cookies.load(headers.get("cookie", ""))
    except CookieError:
        return None
    for name in ("access-token", "access-token-unsecure"):
        cookie = cookies.get(f"{name}-{getattr(gradio, 'cookie_id', '')}")
        if cookie and (user := getattr(gradio, "tokens", {}).get(cookie.value)):
            return str(user)
    return None


def _address(scope: Scope) -> str:
    """The peer's address. Not what a header says of it: a guesser would give a new one with each try."""
    return str((scope.get("client") or ("",))[0])


class Refused(JSONResponse):
    """Why somebody is turned away."""

    def __init__(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        super().__init__({"error": text, "code": "refused"}, status, headers)
        self._told = (text, status, headers)

    def as_openai(self) -> JSONResponse:
        """The same in the shape that OpenAI's clients read."""
        text, status, headers = self._told
        kind = {401: "authentication_error", 429: "rate_limit_error"}.get(status, "permission_error")
        error = {"message": text, "type": kind, "param": None, "code": "refused"}
        return JSONResponse({"error": error}, status, headers)


def _name(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""
