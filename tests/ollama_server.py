"""A stand-in Ollama server: the real HTTP protocol on 127.0.0.1, with an engine that tests hold and break.

Routes, fields, statuses and error texts follow github.com/ollama/ollama at fb30760 (Aug 2026): docs/api.md,
api/types.go, server/routes.go, images.go and prompt.go, llm/llama_server.go; headers and JSON errors follow
Go's net/http and encoding/json. As there, nothing is sent before the first token, so an error until then has
its own status and a later one is a line of the stream; and a closed connection (FIN or RST) cancels the work
at once, also in silence. Not served: /v1, /api/generate, /api/embeddings, create, copy, delete and push; `stop`
strings, `format`.

    with OllamaServer(reply=lambda messages: ["Blue", "."]) as server:
        with server.hold(after=1) as gate:      # silent after the first token until the block ends
            ...                                 # start a client on server.url
            gate.wait()                         # now it hangs there: press Stop
            server.wait_for(lambda record: record.finished == "client_gone")

In a coroutine that shares its loop with the client: `await asyncio.to_thread(server.wait_for, ...)`.
By hand: `python -m tests.ollama_server --port 11434`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import logging
import math
import re
import socket
import struct
import sys
import threading
import time
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    from typing_extensions import Self

VERSION = "0.24.0"
LOADING = -1  # hold(after=LOADING): while the model is being loaded, before /api/ps shows it
DEFAULT_NUM_CTX = 4096  # routes.go, Serve(): below 23 GiB of video memory
DEFAULT_NUM_BATCH = 512  # api.DefaultOptions
NUM_KEEP = 5  # api.DefaultOptions (4) and the start token: what a cut prompt keeps of its beginning
MESSAGE_TOKENS = 4  # the chat template's markers around one message
SPECIAL_TOKENS = 2  # [CLS] and [SEP] around an embedded text
OFFLINE = (
    'Get "https://registry.ollama.ai/v2/library/llama3/manifests/latest": dial tcp: lookup registry.ollama.ai: no such'
    " host"
)
SENT_WHOLE = 2048  # net/http counts a body up to this size, a longer one goes out in chunks

FaultKind = Literal[
    "error",  # {"error": text}: with `status` before the first token, as a line of the stream after it
    "malformed",  # half a JSON object as a line; the stream goes on (where nothing is streamed: as the body)
    "blank",  # an empty line; goes on
    "list",  # a line of JSON that is no object; goes on
    "html",  # a page with status 200 instead of the answer
    "reset",  # RST
    "cut",  # FIN in the middle of a chunk
    "no_done",  # a clean end of the stream without the last line
    "length",  # the last line comes early and says done_reason "length"
    "stall",  # silence for ever
    "short",  # /api/embed: one vector too few
]
_GARBAGE = {
    "malformed": (b'{"model":"llama3","mess\n', "application/json; charset=utf-8"),
    "blank": (b"\n", "application/json; charset=utf-8"),
    "list": (b'["unexpected"]\n', "application/json; charset=utf-8"),
    "html": (b"<!doctype html><title>502</title><h1>Bad Gateway</h1>\n", "text/html"),
}

T = TypeVar("T")
Messages = list[dict[str, Any]]


@dataclass(frozen=True)
class ModelSpec:
    """A model on the server's disk. One with `embedding_length` only embeds, one without only chats."""

    context_length: int
    embedding_length: int | None = None
    size: int = 4_661_224_676
    architecture: str = "llama"
    parameter_size: str = "8.0B"
    quantization: str = "Q4_0"
    thinks: Literal["never", "unless told not to", "always"] = "never"

    @property
    def details(self) -> dict[str, Any]:
        family = {"parent_model": "", "format": "gguf", "family": self.architecture}
        sizes = {"parameter_size": self.parameter_size, "quantization_level": self.quantization}
        return {**family, "families": [self.architecture], **sizes}

    @property
    def lengths(self) -> dict[str, int]:
        """What the list of models tells beside the details, and /api/show in `model_info`."""
        return {"context_length": self.context_length, "embedding_length": self.embedding_length or 4096}

    @property
    def parameters(self) -> int:
        return round(float(self.parameter_size[:-1]) * {"M": 1e6, "B": 1e9}[self.parameter_size[-1]])

    @property
    def capabilities(self) -> list[str]:
        can = ["embedding" if self.embedding_length else "completion"]
        return can + (["thinking"] if self.thinks != "never" else [])


@dataclass(frozen=True)
class Pullable:
    """A model that /api/pull can bring, in `steps` lines of progress, `step_seconds` apart."""

    spec: ModelSpec
    steps: int = 4
    step_seconds: float = 0.0


LLAMA3 = ModelSpec(8192)
MXBAI = ModelSpec(512, 1024, 669_615_493, "bert", "334M", "F16")
DEFAULTS = {"llama3": LLAMA3, "mxbai-embed-large": MXBAI}
PULLABLE = {name: Pullable(spec) for name, spec in DEFAULTS.items()}


@dataclass
class Record:
    """One request. `tokens` counts what went out: tokens, or lines of progress. Times are time.monotonic().

    `finished` is None while it is being answered. A stall ends as "client_gone", as nothing else ends it; any
    other fault that took effect ends as "fault", and so does a server that is stopped (`fault` is "stopped").
    """

    method: str
    path: str
    headers: dict[str, str]
    body: Any = None
    started: float = field(default_factory=time.monotonic)
    status: int | None = None
    first_token: float | None = None
    tokens: int = 0
    prompt_tokens: int = 0
    num_ctx: int | None = None
    loads: bool = False  # the model was loaded for it
    truncated: bool = False
    fault: str | None = None
    finished: Literal["complete", "client_gone", "fault"] | None = None
    ended: float | None = None


@dataclass
class Fault:
    """What goes wrong once `after` tokens are out, for `times` requests (None: for all); see FaultKind."""

    kind: FaultKind
    after: int = 0
    path: str = "/api/chat"
    status: int = 500
    text: str = "model runner has unexpectedly stopped"
    times: int | None = 1


class Gate(contextlib.AbstractContextManager["Gate"]):
    """Keeps matching requests silent once `after` tokens are out, until `release()` or the end of `with`."""

    def __init__(self, server: OllamaServer, path: str, after: int, match: Callable[[Record], bool]) -> None:
        self.server, self.path, self.after, self.match = server, path, after, match
        self.held = 0
        self._open = asyncio.Event()

    def wait(self, count: int = 1, timeout: float = 60.0) -> None:
        """Block until `count` requests have come this far."""
        self.server.wait_until(lambda: self.held >= count, timeout)

    def release(self) -> None:
        if self in self.server.gates:
            self.server.gates.remove(self)
        self.server.in_loop(self._open.set)

    def __exit__(self, *_: object) -> None:
        self.release()

    async def pass_on(self, record: Record, after: int) -> None:
        if (self.path, self.after) == (record.path, after) and self.match(record):
            with self.server.changed:
                self.held += 1
                self.server.changed.notify_all()
            await self._open.wait()


# The engine: tokens, vectors and answers that are poor but always the same.

_STOP_WORDS = frozenset(
    re.findall(r"\w+", "a an and are as at be by do does for from how in is it of on or the to was")
)
_ENDING = re.compile(r"(?<=\w\w\w)(?:ies|ing|ed|es|ly|s|e|y)$")


def _pieces(text: str) -> list[str]:
    return re.findall(r"\s*\S{1,4}", text)


def estimate_tokens(text: str) -> int:
    """About one token for 4 characters, at least one a word, no special tokens."""
    return len(_pieces(text))


def stems(text: str) -> list[str]:
    """Lower-case words without endings and without a few stop words."""
    return [_ENDING.sub("", word) for word in re.findall(r"\w+", text.lower()) if word not in _STOP_WORDS]


def embed(text: str, dimension: int) -> list[float]:
    """The bag of stems, hashed into `dimension` places, of length 1. An instruction before a query counts."""
    vector = [0.1] + [0.0] * (dimension - 1)  # the start token: an empty text is no zero vector
    for stem in stems(text):
        vector[zlib.crc32(stem.encode("utf-8", "replace")) % dimension] += 1.0
    return _normalise(vector)


def _normalise(vector: list[float]) -> list[float]:
    norm = math.sqrt(sum(value * value for value in vector)) or 1.0
    return [float(f"{value / norm:.8g}") for value in vector]


def extractive_reply(messages: Sequence[dict[str, Any]]) -> str:
    """The two sentences of the system and last user messages that share most stems with the question.

    The question is the last line that starts with "Question:", else the last line.
    """
    prompt = [m["content"] for m in messages if m["role"] == "system"]
    prompt += [m["content"] for m in messages if m["role"] == "user"][-1:]
    lines = [line.strip() for line in "\n".join(prompt).splitlines() if line.strip()] or [""]
    asked = ([line for line in lines if re.match(r"\W*question\W*:", line, re.IGNORECASE)] or lines)[-1]
    sentences = [s for line in lines if line != asked for s in re.split(r"(?<=[.!?])\s+", line)]
    shared = {sentence: len(set(stems(asked)) & set(stems(sentence))) for sentence in sentences}
    best = sorted((s for s in shared if shared[s]), key=lambda s: -shared[s])[:2]
    return " ".join(sorted(best, key=sentences.index)) or "I do not know."


def fit_prompt(messages: Messages, num_ctx: int) -> tuple[Messages, int, bool]:
    """What the model sees of a prompt, its tokens, and whether it was cut: in silence, as the real one does.

    The oldest messages go first, but for system messages and the last one (prompt.go, chatPrompt). If that is
    not enough, little more than the last half of the window stays (llama_server.go, contextShiftPromptLimit).
    """
    kept, count = messages, 0
    for i in range(len(messages)):
        kept = [m for m in messages[:i] if m["role"] == "system"] + messages[i:]
        count = sum(estimate_tokens(m["content"]) + MESSAGE_TOKENS for m in kept)
        if count <= num_ctx:
            break
    if count < num_ctx:
        return kept, count, len(kept) < len(messages)
    limit = num_ctx - max((num_ctx - NUM_KEEP) // 2, 1)
    tail = _pieces(kept[-1]["content"])[-limit:]
    return [{**kept[-1], "content": "".join(tail)}], limit, True


# What the real server checks, in its words.


class _Refused(Exception):
    """The request ends with this status and {"error": text}."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


_NAME = re.compile(r"(?:(?:\w[\w.:-]*/)?\w[\w-]*/)?\w[\w.-]{0,79}(?::\w[\w.-]{0,79})?", re.ASCII)
_SECONDS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_MAP = "map[string]interface {}"
_PYTHON = {"string": str, "bool": bool, "int": int, "[]api.Message": list, "api.Alias": dict, _MAP: dict}
_STRINGS, _BOOLS = ("model", "name", "prompt", "system"), ("stream", "truncate")
_FIELDS = {"messages": "[]api.Message", "options": _MAP}
_FIELDS |= dict.fromkeys(_STRINGS, "string") | dict.fromkeys(_BOOLS, "bool")


def full_name(name: str) -> str:
    """What /api/tags lists for a name: "llama3:latest" for "llama3"; "" for what is no model name."""
    if not _NAME.fullmatch(name := name.strip()):
        return ""
    name = name.removeprefix("registry.ollama.ai/").removeprefix("library/")
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def _check_type(value: Any, where: str, go_type: str, python_type: type | None = None) -> None:
    if value is not None and type(value) is not (python_type or _PYTHON[go_type]):
        kind = {str: "string", bool: "bool", list: "array", dict: "object"}.get(type(value), "number")
        kind += f" {value}" if go_type == "int" and isinstance(value, float) else ""
        raise _Refused(400, f"json: cannot unmarshal {kind} into Go {where} of type {go_type}")


def _parse(raw: bytes, go_struct: str) -> dict[str, Any]:
    """The body as the Go struct holds it: null is absent, a wrong type is refused, unknown fields are not."""
    text = raw.decode("utf-8", "replace").strip()
    if not text:
        raise _Refused(400, "missing request body")
    try:
        body, _ = json.JSONDecoder().raw_decode(text)
    except json.JSONDecodeError as error:
        at = text[error.pos : error.pos + 1]
        why = f"invalid character '{at}' looking for beginning of value" if at else "unexpected EOF"
        raise _Refused(400, why) from None
    _check_type(body, "value", f"api.{go_struct}", dict)
    body = {name: value for name, value in (body or {}).items() if value is not None}
    for name, go_type in _FIELDS.items():
        _check_type(body.get(name), f"struct field {go_struct}.{name}", go_type)
    body["messages"] = [{} if message is None else message for message in body.get("messages", [])]
    for message in body["messages"]:
        _check_type(message, f"struct field {go_struct}.messages", "api.Alias")
        for name in ("role", "content"):
            _check_type(message.get(name), f"struct field {go_struct}.messages.{name}", "string")
    return body


def _keep_alive(body: dict[str, Any]) -> float:
    """Seconds that the model stays in memory: a number or a Go duration; below zero for ever."""
    value = body.get("keep_alive", 300)
    if isinstance(value, str) and value.lstrip("+-") != "0":
        if not re.fullmatch(r"[+-]?(\d+(\.\d+)?(ms|s|m|h))+", value):
            unit = re.fullmatch(r"[+-]?[\d.]+([a-z]+)", value)
            wrong = "missing unit in" if re.fullmatch(r"[+-]?[\d.]+", value) else "invalid"
            wrong = f'unknown unit "{unit[1]}" in' if unit else wrong
            raise _Refused(400, f'time: {wrong} duration "{value}"')
        parts = re.findall(r"([\d.]+)(ms|s|m|h)", value)
        seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
        value = -seconds if value.startswith("-") else seconds
    elif isinstance(value, (bool, list, dict)):
        raise _Refused(400, f"Unsupported type: '{type(value).__name__}'")
    return math.inf if float(value) < 0 else float(value)


def _number(options: dict[str, Any], name: str, default: int) -> int:
    """A wrong option is a 500: Options.FromMap fails in scheduleRunner, whose errors default to that."""
    value = options.get(name)
    if value is not None and type(value) not in (int, float):
        raise _Refused(500, f'option "{name}" must be of type integer')
    return int(value or default)


def _dumps(value: Any) -> bytes:
    """JSON as encoding/json writes it: compact, UTF-8, but <, > and & as escapes."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return re.sub("[<>&\u2028\u2029]", lambda m: f"\\u{ord(m[0]):04x}", text).encode("utf-8", "replace")


def _time(ahead: float = 0.0) -> str:
    """RFC 3339 with nanoseconds, `ahead` seconds from now (for ever: 100 years)."""
    now = time.time_ns()
    whole = time.gmtime(now // 10**9 + int(min(ahead, 3.2e9)))
    return time.strftime("%Y-%m-%dT%H:%M:%S", whole) + f".{now % 10**9:09d}Z"


class _Exchange:
    """One request on its way to an answer: what is put on the wire, held back or spoilt."""

    def __init__(self, server: OllamaServer, writer: asyncio.StreamWriter, record: Record) -> None:
        self.server, self.writer, self.record = server, writer, record
        self.fault = server.next_fault(record.path)
        self.close = record.headers.get("connection", "").lower() == "close"
        self.streaming = self.head_sent = self.ended = False
        self.done_reason = "stop"

    def note(self, **changes: Any) -> None:
        with self.server.changed:
            for name, value in changes.items():
                setattr(self.record, name, value)
            self.server.changed.notify_all()

    def finish(self, gone: bool = False) -> None:
        """Close the record, before the last bytes go out: whoever has read them finds it closed."""
        if self.record.finished is None:
            broken = self.record.fault is not None and not (gone and self.record.fault == "stall")
            with self.server.changed:
                self.server.open_streams -= self.record.path in _ENGINE
            finished = "fault" if broken else "client_gone" if gone else "complete"
            self.note(finished=finished, ended=time.monotonic())

    async def hold(self, after: int) -> None:
        for gate in list(self.server.gates):
            await gate.pass_on(self.record, after)

    async def reach(self, after: int, last: bool = False) -> bool:
        """Wait at the gates for `after` tokens, then let the fault for them happen; False: no more tokens."""
        await self.hold(after)
        if self.fault and (self.fault.after <= after or last):
            fault, self.fault = self.fault, None
            self.note(fault=fault.kind)
            await self._break(fault)
        return not self.ended and self.done_reason == "stop"

    async def _break(self, fault: Fault) -> None:
        garbage, content_type = _GARBAGE.get(fault.kind, (b"", ""))
        if garbage and self.streaming and (self.head_sent or fault.kind != "html"):
            await self.line(garbage)
        elif garbage:
            await self.reply(200, garbage, content_type)
        elif fault.kind == "error" and self.head_sent:
            await self.line({"error": fault.text})
            await self.end()
        elif fault.kind == "error":
            await self.reply(fault.status, {"error": fault.text})
        elif fault.kind == "cut":
            self._head(200, "application/x-ndjson")
            self.finish()
            self.writer.write(b'ff\r\n{"model":"llama3","mess')
            self.ended = self.close = True
        elif fault.kind == "reset":
            linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
            self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.finish()
            self.writer.transport.abort()
            self.ended = self.close = True
        elif fault.kind == "no_done":
            await self.end()
        elif fault.kind == "length":
            self.done_reason = "length"
        elif fault.kind == "stall":
            await asyncio.Event().wait()

    def _head(self, status: int, content_type: str, length: int | None = None) -> None:
        if not self.head_sent:
            self.head_sent = True
            self.note(status=status)
            head = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Date: {formatdate(usegmt=True)}"]
            head += [f"Content-Type: {content_type}"] if content_type else []
            head += ["Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"]
            head += ["Connection: close"] if self.close else []
            self.writer.write("\r\n".join([*head, "", ""]).encode("latin-1"))

    async def reply(self, status: int, value: Any, content_type: str = "application/json; charset=utf-8") -> None:
        """A whole answer: JSON, or bytes as they are."""
        data = value if isinstance(value, bytes) else _dumps(value)
        whole = len(data) <= SENT_WHOLE
        self._head(status, content_type, len(data) if whole else None)
        self.finish()
        if self.record.method != "HEAD":
            self.writer.write(data if whole else b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data))
        self.ended = True
        await self.writer.drain()

    async def line(self, value: dict[str, Any] | bytes) -> None:
        """A line of the stream, in a chunk of its own."""
        self._head(200, "application/x-ndjson")
        data = value if isinstance(value, bytes) else _dumps(value) + b"\n"
        self.writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        await self.writer.drain()

    async def token(self, value: dict[str, Any]) -> None:
        """A line that counts; kept back where the client wants no stream."""
        if self.streaming:
            await self.line(value)
        first = self.record.first_token or time.monotonic()
        self.note(tokens=self.record.tokens + 1, first_token=first)

    async def end(self, last: dict[str, Any] | None = None) -> None:
        """The end of the stream, after a last line; that line alone where the client wants no stream."""
        if last is not None and not self.streaming:
            return await self.reply(200, last)
        if last is not None:
            await self.line(last)
        self._head(200, "application/x-ndjson")
        self.finish()
        self.writer.write(b"0\r\n\r\n")
        self.ended = True
        await self.writer.drain()


@dataclass
class _Loaded:
    spec: ModelSpec
    num_ctx: int
    num_batch: int
    expires: float = math.inf


@dataclass(kw_only=True, eq=False)
class OllamaServer:
    """The server, in a thread with a loop of its own. A context manager; after `stop()`, `start()` again."""

    port: int = 0
    models: dict[str, ModelSpec] = field(default_factory=DEFAULTS.copy)  # what is pulled, by name
    pullable: dict[str, Pullable] = field(default_factory=PULLABLE.copy)  # what /api/pull can bring
    # messages, as far as they fit num_ctx -> text, to be sent in words, or the tokens; called in the loop
    reply: Callable[[Messages], str | list[str]] = extractive_reply
    thoughts: list[str] = field(default_factory=lambda: ["The notes ", "say it."])  # tokens, of models that think
    # The only waits: what a real engine would take. None: as fast as it can
    tokens_per_second: float | None = None
    load_seconds: float = 0.0  # before the first use of a model, or of another num_ctx
    prefill_seconds: float = 0.0  # before each first token
    embed_seconds: float = 0.0  # for each text, however many a request has
    offline: bool = False  # the registry cannot be reached: a pull is a line with an error
    parallel: int | None = None  # replies made at the same time, the rest wait (a real server: 1)

    requests: list[Record] = field(default_factory=list, init=False)  # in order of arrival
    open_streams: int = field(default=0, init=False)  # requests that are in the engine now
    gates: list[Gate] = field(default_factory=list, init=False)  # see hold()
    faults: list[Fault] = field(default_factory=list, init=False)  # see fail()

    def __post_init__(self) -> None:
        self.changed = threading.Condition()
        self._modified: dict[str, str] = {}
        self._loaded: dict[str, _Loaded] = {}
        self._loads: dict[str, asyncio.Lock] = {}
        self._slots: asyncio.Semaphore | None = None
        self._connections: set[asyncio.Task[Any]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._quit = asyncio.Event()

    # What a test uses.

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Self:
        """Listen, on the same port as the last time; no model is in memory. Raises OSError."""
        started: Future[int] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main(started)), daemon=True)
        self._thread.start()
        self.port = started.result(timeout=10)
        return self

    def stop(self) -> None:
        """Close the port and all connections, as when the real process is killed."""
        if self._thread is not None:
            self.in_loop(self._quit.set)
            self._thread.join(timeout=10)
            self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def hold(self, after: int = 0, path: str = "/api/chat", match: Callable[[Record], bool] = lambda _: True) -> Gate:
        """Hold requests to `path` once `after` tokens are out (0: before the first, LOADING: in the load)."""
        gate = Gate(self, path, after, match)
        self.gates.append(gate)
        return gate

    def fail(self, kind: FaultKind, after: int = 0, path: str = "/api/chat", **more: Any) -> Fault:
        """Let the next request to `path` fail, or the next `times`; `status` and `text` are for "error"."""
        fault = Fault(kind, after, path, **more)
        self.faults.append(fault)
        return fault

    def wait_until(self, condition: Callable[[], T], timeout: float = 30.0) -> T:
        """Block until `condition()` holds, looked at when something happens here. Raises TimeoutError."""
        with self.changed:
            if value := self.changed.wait_for(condition, timeout):
                return value
            raise TimeoutError(f"not within {timeout} s; requests so far: {self.requests}")

    def wait_for(self, predicate: Callable[[Record], bool], timeout: float = 30.0) -> Record:
        """Block until a record, also an earlier one, satisfies the predicate. Raises TimeoutError."""
        return self.wait_until(lambda: [r for r in self.requests if predicate(r)], timeout)[0]

    # Connections.

    def in_loop(self, function: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            if self._loop is not None:
                self._loop.call_soon_threadsafe(function)

    def unload(self) -> None:
        """Let the next request to each model load it again."""
        self._loaded.clear()

    def next_fault(self, path: str) -> Fault | None:
        fault = next((f for f in self.faults if f.path == path and f.times != 0), None)
        if fault is not None and fault.times is not None:
            fault.times -= 1
        return fault

    async def _main(self, started: Future[int]) -> None:
        self._loop, self._quit = asyncio.get_running_loop(), asyncio.Event()
        self._loaded, self._loads = {}, {}
        self._slots = asyncio.Semaphore(self.parallel) if self.parallel else None
        try:
            listener = await asyncio.start_server(self._connection, "127.0.0.1", self.port)
        except OSError as error:
            return started.set_exception(error)
        started.set_result(listener.sockets[0].getsockname()[1])
        await self._quit.wait()
        listener.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        ahead: bytes | None = b""
        try:
            while ahead is not None:
                ahead = await self._request(reader, writer, ahead)
            writer.close()
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError, asyncio.CancelledError):
            # the client is gone or speaks no HTTP, or stop(), which asyncio.streams would log if it came out
            writer.transport.abort()
        finally:
            self._connections.discard(task)
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ahead: bytes) -> bytes | None:
        """Read a request and answer it; returns what was read of the next one, None after the last."""
        head = (ahead + await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ", 2)
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
        if headers.get("expect", "").lower() == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        raw = await reader.readexactly(int(headers.get("content-length", 0)))
        record = Record(method, target.partition("?")[0], headers)
        with contextlib.suppress(ValueError):
            record.body = json.loads(raw) if raw else None
        with self.changed:
            self.requests.append(record)
            self.open_streams += record.path in _ENGINE
            self.changed.notify_all()
        exchange = _Exchange(self, writer, record)
        work, more = asyncio.ensure_future(self._answer(exchange, raw)), asyncio.ensure_future(reader.read(1))
        gone = False
        try:
            await asyncio.wait({work, more}, return_when=asyncio.FIRST_COMPLETED)
            gone = not work.done() and (more.exception() is not None or not more.result())
            if not gone:
                await work
        except ConnectionError:
            gone = True
        except asyncio.CancelledError:
            record.fault = "stopped"
            raise
        finally:
            work.cancel()
            more.cancel()  # loses nothing: bytes leave the reader's buffer only when read() returns
            await asyncio.gather(work, more, return_exceptions=True)
            exchange.finish(gone)
        if gone or exchange.close:
            return None
        return b"" if more.cancelled() else more.result() or None

    async def _answer(self, exchange: _Exchange, raw: bytes) -> None:
        record = exchange.record
        methods, go_struct, handler = _ROUTES.get(record.path, ("", "", None))
        try:
            if handler is None:
                await exchange.reply(404, b"404 page not found", "text/plain")
            elif record.method not in methods.split():
                await exchange.reply(405, b"405 method not allowed", "text/plain")
            else:
                body = _parse(raw, go_struct) if go_struct else {}
                if record.path in _ENGINE or await exchange.reach(0, last=True):
                    await handler(self, exchange, body)
        except _Refused as error:
            await exchange.reply(error.status, {"error": error.text})
        except OSError:
            raise
        except Exception as error:
            logging.getLogger(__name__).exception("the stand-in itself failed on %s", record.path)
            exchange.close = True
            exchange.note(fault=f"bug: {error!r}")
            if not exchange.head_sent:
                await exchange.reply(500, {"error": repr(error)})

    # Models.

    def _model(self, body: dict[str, Any], missing: str = "model '{}' not found") -> tuple[str, ModelSpec]:
        """The name as it was pulled, and the model. Case does not matter."""
        asked = body.get("model", "")
        wanted = full_name(asked).casefold()
        if asked.strip() and not wanted:
            raise _Refused(400, "invalid model name")
        for name, spec in list(self.models.items()):
            if full_name(name).casefold() == wanted:
                return full_name(name), spec
        raise _Refused(404, missing.format(asked))

    @contextlib.asynccontextmanager
    async def _runner(
        self, exchange: _Exchange, name: str, spec: ModelSpec, body: dict[str, Any]
    ) -> AsyncIterator[tuple[int, int]]:
        """Load the model unless it is in memory with that window and batch; gives the window and the nanoseconds."""
        begin, keep_alive = time.monotonic_ns(), _keep_alive(body)
        num_ctx = _number(body.get("options", {}), "num_ctx", DEFAULT_NUM_CTX)
        num_ctx = min(max(num_ctx, 4), spec.context_length)
        num_batch = _number(body.get("options", {}), "num_batch", DEFAULT_NUM_BATCH)
        exchange.note(num_ctx=num_ctx)
        async with self._loads.setdefault(name, asyncio.Lock()):
            loaded = self._loaded.get(name)
            same = loaded is not None and (loaded.num_ctx, loaded.num_batch) == (num_ctx, num_batch)
            if loaded is None or not same or loaded.expires < time.time():
                self._loaded.pop(name, None)
                exchange.note(loads=True)
                await exchange.hold(LOADING)
                await asyncio.sleep(self.load_seconds)
                loaded = self._loaded[name] = _Loaded(spec, num_ctx, num_batch)
        loaded.expires = math.inf
        try:
            yield num_ctx, time.monotonic_ns() - begin
        finally:
            loaded.expires = time.time() + keep_alive
            if not keep_alive and self._loaded.get(name) is loaded:
                del self._loaded[name]

    def _entry(self, name: str, spec: ModelSpec, **more: Any) -> dict[str, Any]:
        digest = hashlib.sha256(f"{name} {spec}".encode()).hexdigest()
        entry = {"name": name, "model": name, "size": spec.size, "digest": digest}
        return {**entry, "details": spec.details, **more}

    def _modified_at(self, name: str) -> str:
        return self._modified.setdefault(name, _time())

    async def root(self, exchange: _Exchange, _: dict[str, Any]) -> None:
        await exchange.reply(200, b"Ollama is running", "text/plain; charset=utf-8")

    async def version(self, exchange: _Exchange, _: dict[str, Any]) -> None:
        await exchange.reply(200, {"version": VERSION})

    async def tags(self, exchange: _Exchange, _: dict[str, Any]) -> None:
        models = {full_name(name): spec for name, spec in list(self.models.items())}
        entries = [
            self._entry(
                n, s, modified_at=self._modified_at(n), capabilities=s.capabilities, details={**s.details, **s.lengths}
            )
            for n, s in models.items()
        ]
        entries.sort(key=lambda entry: str(entry["modified_at"]), reverse=True)
        await exchange.reply(200, {"models": entries})

    async def ps(self, exchange: _Exchange, _: dict[str, Any]) -> None:
        running = []
        for name, loaded in self._loaded.items():
            if (left := loaded.expires - time.time()) > 0:
                memory = {"size_vram": loaded.spec.size, "context_length": loaded.num_ctx}
                running.append(self._entry(name, loaded.spec, expires_at=_time(left), **memory))
        await exchange.reply(200, {"models": running})

    async def show(self, exchange: _Exchange, body: dict[str, Any]) -> None:
        if not (asked := body.get("model") or body.get("name", "")):
            raise _Refused(400, "model is required")
        # Unlike the other routes it names the tag in its 404
        name, spec = self._model({"model": full_name(asked) or asked})
        arch = spec.architecture
        info = {"general.architecture": arch, f"{arch}.context_length": spec.context_length}
        info[f"{arch}.embedding_length"] = spec.embedding_length or 4096  # chat models have one too
        info["general.parameter_count"] = spec.parameters
        shown: dict[str, Any] = {"modelfile": f"# FROM {name}\n", "template": "{{ .Prompt }}"}
        shown |= {"details": spec.details, "model_info": info, "capabilities": spec.capabilities, "tensors": []}
        shown |= {"modified_at": self._modified_at(name)}
        await exchange.reply(200, shown)

    async def answer_pull(self, exchange: _Exchange, body: dict[str, Any]) -> None:
        if not (name := full_name(body.get("model") or body.get("name", ""))):
            raise _Refused(400, "invalid model name")
        exchange.streaming = body.get("stream", True)
        pull = {full_name(known): one for known, one in self.pullable.items()}.get(name)
        if pull is None and name in (here := {full_name(known): spec for known, spec in self.models.items()}):
            pull = Pullable(here[name], steps=0)  # all of it is here already
        lines: list[dict[str, Any]] = [{"status": "pulling manifest"}]
        if pull is not None:
            for part, total, steps in (("model", pull.spec.size, pull.steps), ("config", 485, 0)):
                digest = hashlib.sha256(f"{name} {part}".encode()).hexdigest()
                line = {"status": f"pulling {digest[:12]}", "digest": f"sha256:{digest}", "total": total}
                done = [total * step // steps for step in range(steps)] + [total]
                lines += [line | ({"completed": size} if size else {}) for size in done]
            lines += [{"status": "verifying sha256 digest"}, {"status": "writing manifest"}]
        if self.offline:
            pull, lines = None, lines[:1]
        for number, line in enumerate(lines):
            if not await exchange.reach(number):
                return
            await exchange.token(line)
            await asyncio.sleep(pull.step_seconds if pull and "total" in line else 0)
        if not await exchange.reach(len(lines), last=True):
            return
        if pull is not None:
            self.models[name], self._modified[name] = pull.spec, _time()
            await exchange.end({"status": "success"})
        wrong = OFFLINE if self.offline else "file does not exist"
        if pull is None and exchange.streaming:
            await exchange.end({"error": f"pull model manifest: {wrong}"})
        elif pull is None:
            raise _Refused(500, f"pull model manifest: {wrong}")

    # The engine's routes.

    async def answer_embed(self, exchange: _Exchange, body: dict[str, Any]) -> None:
        begin, given = time.monotonic_ns(), body.get("input", [])
        texts = [given][: len(given)] if isinstance(given, str) else given
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise _Refused(400, "invalid input type")
        name, spec = self._model(body, 'model "{}" not found, try pulling it first')
        answer: dict[str, Any] = {"model": body["model"], "embeddings": []}
        async with self._runner(exchange, name, spec, body) as (num_ctx, load_duration):
            if not texts:
                return await exchange.reply(200, answer)
            if spec.embedding_length is None:
                raise _Refused(501, "This server does not support embeddings. Start it with `--embeddings`")
            seen = [_pieces(text)[: num_ctx - SPECIAL_TOKENS] for text in texts]
            cut = any(len(pieces) < estimate_tokens(text) for pieces, text in zip(seen, texts, strict=True))
            if cut and not body.get("truncate", True):
                raise _Refused(400, "the input length exceeds the context length")
            count = sum(len(pieces) + SPECIAL_TOKENS for pieces in seen)
            exchange.note(prompt_tokens=count, truncated=cut)
            await asyncio.sleep(self.embed_seconds * len(texts))
            if not await exchange.reach(0, last=True):
                return
            vectors = [embed("".join(pieces), spec.embedding_length) for pieces in seen]
            answer["embeddings"] = vectors[:-1] if exchange.record.fault == "short" else vectors
            answer |= {"total_duration": time.monotonic_ns() - begin, "load_duration": load_duration}
            await exchange.reply(200, answer | {"prompt_eval_count": count})

    async def chat(self, exchange: _Exchange, body: dict[str, Any]) -> None:
        """Answer; without messages, load the model, or unload it with keep_alive 0."""
        if not body.get("model", "").strip():
            raise _Refused(400, "model is required")
        messages = [
            {**m, "role": str(m.get("role") or "").lower(), "content": m.get("content") or ""}
            for m in body.get("messages", [])
        ]
        begin = time.monotonic_ns()
        name, spec = self._model(body)

        def line(text: str, done_reason: str = "", kind: str = "content", **more: Any) -> dict[str, Any]:
            head = {"model": body["model"], "created_at": _time()}
            head |= {"message": {"role": "assistant", "content": "", kind: text}, "done": bool(done_reason)}
            return head | ({"done_reason": done_reason} if done_reason else {}) | more

        if not messages and not _keep_alive(body):
            self._loaded.pop(name, None)
            return await exchange.reply(200, line("", "unload"))
        if not (body.get("think") is None or body["think"] in (True, False, "low", "medium", "high", "max")):
            wrong = f'"{body["think"]}" (must be "high", "medium", "low", "max", true, or false)'
            raise _Refused(400, f"invalid think value: {wrong}")
        if body.get("think") and spec.thinks == "never":
            raise _Refused(400, f'"{body["model"]}" does not support thinking')
        if spec.embedding_length:
            raise _Refused(400, f'"{body["model"]}" does not support {exchange.record.path[5:]}')
        async with self._runner(exchange, name, spec, body) as (num_ctx, load_duration):
            if not messages:
                return await exchange.reply(200, line("", "load"))
            exchange.streaming = body.get("stream", True)
            async with self._slots or contextlib.nullcontext():
                loaded = time.monotonic_ns()
                prompt, count, cut = fit_prompt(messages, num_ctx)
                exchange.note(prompt_tokens=count, truncated=cut)
                await asyncio.sleep(self.prefill_seconds)
                read, due = time.monotonic_ns(), time.monotonic()
                reply = self.reply(prompt)
                tokens = re.findall(r"\s*\S+|\s+$", reply) if isinstance(reply, str) else reply
                told_not_to = body.get("think") is False and spec.thinks != "always"
                thoughts = [] if spec.thinks == "never" or told_not_to else self.thoughts
                tokens = [*thoughts, *tokens]
                limit = _number(body.get("options", {}), "num_predict", -1)
                for number, token in enumerate(tokens):
                    if number == limit:
                        exchange.done_reason = "length"
                    if not await exchange.reach(number):
                        break
                    due += 1 / self.tokens_per_second if self.tokens_per_second else 0
                    await asyncio.sleep(max(0.0, due - time.monotonic()))
                    await exchange.token(line(token, kind="thinking" if number < len(thoughts) else "content"))
                else:
                    await exchange.reach(len(tokens), last=True)
                if not exchange.ended:
                    sent, end = exchange.record.tokens, time.monotonic_ns()
                    figures = {"total_duration": end - begin, "load_duration": load_duration}
                    figures |= {"prompt_eval_count": count, "prompt_eval_duration": read - loaded}
                    figures |= {"eval_count": sent, "eval_duration": end - read}
                    whole = "" if exchange.streaming else "".join(tokens[len(thoughts) : sent])
                    last = line(whole, exchange.done_reason, **figures)
                    if thoughts and not exchange.streaming:
                        last["message"]["thinking"] = "".join(thoughts)
                    await exchange.end(last)


_ENGINE = frozenset({"/api/chat", "/api/embed", "/api/pull"})
_ROUTES: dict[str, tuple[str, str, Any]] = {
    "/": ("GET HEAD", "", OllamaServer.root),
    "/api/version": ("GET HEAD", "", OllamaServer.version),
    "/api/tags": ("GET HEAD", "", OllamaServer.tags),
    "/api/ps": ("GET", "", OllamaServer.ps),
    "/api/show": ("POST", "ShowRequest", OllamaServer.show),
    "/api/pull": ("POST", "PullRequest", OllamaServer.answer_pull),
    "/api/embed": ("POST", "EmbedRequest", OllamaServer.answer_embed),
    "/api/chat": ("POST", "ChatRequest", OllamaServer.chat),
}


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.ollama_server", description="a stand-in Ollama server")
    parser.add_argument("--port", type=int, default=11434)
    parser.add_argument("--tokens-per-second", type=float, default=20.0)
    parser.add_argument("--load-seconds", type=float, default=1.0)
    server = OllamaServer(**vars(parser.parse_args()))
    with contextlib.suppress(KeyboardInterrupt), server:
        print(f"{server.url} serves {', '.join(server.models)}; Ctrl-C stops it")
        threading.Event().wait()


if __name__ == "__main__":
    main()
