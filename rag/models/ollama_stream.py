"""Ollama's stream of an answer, read with little work a token: what arrived together becomes one part.

Ollama sends each token as a line of JSON in an HTTP chunk of its own. httpx takes such a stream apart in Python, and
LangChain makes objects and tasks of every piece: together a fifth of a millisecond a token, so that a few streams keep
a core busy. aiohttp's parser is in C and hands over all that has come; bench/README.md has the figures.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import ssl
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import ollama

if TYPE_CHECKING:
    import aiohttp

GATHER_SECONDS = 0.04
"""Pause between two parts, in which more text is gathered; short enough to look fluent."""

MOST_HELD = 2**17
"""Bytes taken from the connection ahead of the reader, about; a reader that is slower holds Ollama back."""

PLAIN = frozenset({"model", "created_at", "message", "done"})
PLAIN_MESSAGE = frozenset({"role", "content", "thinking"})
"""A line that has these alone is nothing but more text."""

Part = dict[str, Any]


@cache
def certificates(trust_env: bool) -> ssl.SSLContext:
    """The authorities that httpx trusts, read once, which takes 20 ms. `trust_env`: those of SSL_CERT_FILE, if set."""
    return httpx.create_ssl_context(trust_env=trust_env)


def client_options(host: str, read_seconds: float) -> dict[str, Any]:
    """httpx options for an engine's client: limits on every wait, and no proxy on the way to this machine."""
    hostname = urlsplit(host).hostname or ""
    try:
        local = ipaddress.ip_address(hostname).is_loopback
    except ValueError:
        local = hostname == "localhost"
    connect = min(5.0, read_seconds)
    timeout = httpx.Timeout(connect=connect, read=read_seconds, write=30.0, pool=30.0)
    return {"timeout": timeout, "trust_env": not local}


def connection(host: str, read_seconds: float) -> dict[str, Any]:
    """The same limits and proxies for `ask` and `read_parts`, and the key that Ollama's own client would send."""
    key = os.environ.get("OLLAMA_API_KEY")
    return {"headers": {"Authorization": f"Bearer {key}"} if key else {}, **client_options(host, read_seconds)}


@asynccontextmanager
async def _posted(
    url: str, body: Mapping[str, Any], *, headers: Mapping[str, str], timeout: httpx.Timeout, trust_env: bool
) -> AsyncGenerator[aiohttp.ClientResponse, None]:
    import aiohttp  # half a second: `rag.models` imports it before the first question

    limits = aiohttp.ClientTimeout(total=None, sock_connect=timeout.connect, sock_read=timeout.read)
    tls = certificates(trust_env) if url.startswith("https:") else True
    async with aiohttp.ClientSession(timeout=limits, trust_env=trust_env, headers=headers) as session:
        async with session.post(url, json=body, ssl=tls) as reply:
            if reply.status >= 400:
                raise ollama.ResponseError(await reply.text(errors="replace"), reply.status)
            yield reply


async def ask(url: str, body: Mapping[str, Any], **options: Any) -> Part:
    """The reply to `POST url`, decoded; a cancelled call closes the connection. Raises as `read_parts`."""
    async with _posted(url, body, **options) as reply:
        return _checked(json.loads(await reply.read()))


async def read_parts(url: str, body: Mapping[str, Any], **options: Any) -> AsyncGenerator[Part, None]:
    """The lines of the reply to `POST url`, decoded; lines with nothing but text that came together are one part.

    The first part comes with the first token. Closing the iterator closes the connection, which ends Ollama's work. A
    reader that takes no parts holds Ollama back, once `MOST_HELD` and the socket's buffers are full. `options`
    are those of `connection`.

    Raises:
        ollama.ResponseError: Ollama says what is wrong, with a status or in a line.
        aiohttp.ClientError, TimeoutError: the connection failed.
        ValueError, AttributeError: that is not Ollama's protocol.
    """
    async with _posted(url, body, **options) as reply, aclosing(_gathered(reply.content)) as blocks:
        rest = b""
        async for block in blocks:
            *lines, rest = (rest + block).split(b"\n")
            for part in merged(map(json.loads, lines)):
                yield part
        if rest:
            yield _checked(json.loads(rest))


async def _gathered(content: aiohttp.StreamReader) -> AsyncGenerator[bytes, None]:
    """The bytes of a reply: the first at once, then what came within `GATHER_SECONDS` of the block before.

    A task takes bytes from aiohttp as they come, since aiohttp gives none away once the connection has failed: only
    what a slow reader leaves there beyond `MOST_HELD` is lost then.
    """
    loop = asyncio.get_running_loop()
    held: list[bytes] = []
    size = 0
    news, due, room = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def read() -> None:
        nonlocal size
        while block := await content.readany():
            held.append(block)
            size += len(block)
            news.set()
            if size >= MOST_HELD:
                due.set()
                room.clear()
                await room.wait()

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            task.exception()  # asyncio logs an error that nobody has looked at
        news.set()
        due.set()  # the last token waits for nothing more

    reading = asyncio.ensure_future(read())
    reading.add_done_callback(ended)
    try:
        while True:
            await news.wait()
            if not held:
                break
            came = loop.time()
            block = b"".join(held)
            held.clear()
            size = 0
            if not reading.done():
                news.clear()
            room.set()
            yield block
            if not reading.done() and size < MOST_HELD:
                due.clear()
                timer = loop.call_at(came + GATHER_SECONDS, due.set)
                await due.wait()
                timer.cancel()
        await reading  # raises what ended the connection
    finally:
        reading.cancel()


def merged(lines: Iterable[Part]) -> Iterator[Part]:
    """The same parts, with those that are only more text put together; a fault comes after what was there before it.

    `tokens` in such a part counts the lines that had a piece of the answer, thinking not among them.

    Raises:
        ollama.ResponseError: a line tells of an error.
    """
    held: Part | None = None
    try:
        for line in lines:
            part = _checked(line)
            if part.get("done") or not (part.keys() <= PLAIN and part.get("message", part).keys() <= PLAIN_MESSAGE):
                if held:
                    yield held
                    held = None
                yield part
                continue
            more = part.get("message", {})
            if held is None:
                held = {**part, "tokens": int(bool(more.get("content")))}
            else:
                message = held["message"]
                held["tokens"] += bool(more.get("content"))
                for name in ("content", "thinking"):
                    if text := more.get(name):
                        message[name] = (message.get(name) or "") + text
    except Exception:
        if held:
            yield held
        raise
    if held:
        yield held


def _checked(part: Part) -> Part:
    if error := part.get("error"):
        raise ollama.ResponseError(error)
    return part
