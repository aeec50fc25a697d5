"""Ollama's stream of an answer, read with little work a token: what arrived together becomes one part.

Ollama sends each token as a line of JSON in an HTTP chunk of its own. httpx takes such a stream apart in Python, and
LangChain makes objects and tasks of every piece: together a fifth of a millisecond a token, so that a few streams keep
a core busy. aiohttp's parser is in C and hands over all that has come; bench/README.md has the figures.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import certifi
import httpx
import ollama

if TYPE_CHECKING:
    import aiohttp

GATHER_SECONDS = 0.04
"""After a part, for so long more is gathered for the next one; what a reader's eye takes for fluent."""

PLAIN = frozenset({"model", "created_at", "message", "done"})
PLAIN_MESSAGE = frozenset({"role", "content", "thinking"})
"""A line that has these alone is nothing but more text."""

Part = dict[str, Any]


@cache
def _certificates() -> ssl.SSLContext:
    """The authorities that httpx trusts, too."""
    return ssl.create_default_context(cafile=certifi.where())


def like(client: httpx.AsyncClient) -> dict[str, Any]:
    """The headers, limits and use of proxies that a client of Ollama's package has."""
    return {"headers": dict(client.headers), "timeout": client.timeout, "trust_env": client.trust_env}


@asynccontextmanager
async def _posted(
    url: str, body: Mapping[str, Any], *, headers: Mapping[str, str], timeout: httpx.Timeout, trust_env: bool
) -> AsyncGenerator[aiohttp.ClientResponse, None]:
    import aiohttp  # half a second: `rag.models.choose` has it done before the first question

    limits = aiohttp.ClientTimeout(total=None, sock_connect=timeout.connect, sock_read=timeout.read)
    async with aiohttp.ClientSession(timeout=limits, trust_env=trust_env, headers=headers) as session:
        async with session.post(url, json=body, ssl=_certificates() if url.startswith("https:") else True) as reply:
            if reply.status >= 400:
                raise ollama.ResponseError(await reply.text(errors="replace"), reply.status)
            yield reply


async def ask(url: str, body: Mapping[str, Any], **like: Any) -> Part:
    """The reply to `POST url`, decoded; who is cancelled meanwhile hangs up. Raises as `read_parts`."""
    async with _posted(url, body, **like) as reply:
        return _checked(json.loads(await reply.read()))


async def read_parts(url: str, body: Mapping[str, Any], **like: Any) -> AsyncIterator[Part]:
    """The lines of the reply to `POST url`, decoded; of those that are only more text, the ones that came together.

    The first part is there as soon as the first token is; closing the iterator closes the connection, which ends
    Ollama's work. What is not read waits in the socket, and a full one holds Ollama back. `like` is a client's.

    Raises:
        ollama.ResponseError: Ollama says what is wrong, with a status or in a line.
        aiohttp.ClientError, TimeoutError: the connection failed.
        ValueError, AttributeError: that is not Ollama's protocol.
    """
    import aiohttp

    loop = asyncio.get_running_loop()
    async with _posted(url, body, **like) as reply:
        rest = b""
        due = asyncio.Event()
        reply.content.on_eof(due.set)  # who reads the last token waits for nothing more
        try:
            async for block in reply.content.iter_any():
                came = loop.time()
                *lines, rest = (rest + block).split(b"\n")
                for part in merged(map(json.loads, lines)):
                    yield part
                if not reply.content.is_eof():
                    due.clear()
                    timer = loop.call_at(came + GATHER_SECONDS, due.set)
                    await due.wait()
                    timer.cancel()
        except aiohttp.ClientError:
            # What came while more was gathered: aiohttp has no other way to it once the connection has failed.
            *lines, _ = (rest + b"".join(reply.content._buffer)).split(b"\n")
            for part in merged(map(json.loads, lines)):
                yield part
            raise
        if rest:
            yield _checked(json.loads(rest))


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
