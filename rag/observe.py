"""What the app tells those who run it: logs with a request's id, figures for Prometheus, traces where they are wanted.

Nothing of a question, an answer or a document is in a log or a figure.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import secrets
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from contextvars import ContextVar
from importlib import import_module
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from typing_extensions import override

from rag.answers.update import Update
from rag.errors import RagError, SettingsError

if TYPE_CHECKING:
    from prometheus_client import Metric

    from rag.assistant import Assistant

log = logging.getLogger(__name__)

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request that is being served, where one is."""

_SOUND_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 240)
_SEARCH_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 15, 60)
_SPEEDS = (2, 5, 10, 20, 40, 80, 160, 320, 640)
_OWN_ROUTES = ("/predict", "/stream", "/chat", "/health", "/metrics", "/library", "/models", "/v1/", "/mcp", "/docs")


class JsonLines(logging.Formatter):
    """A log record as one line of JSON."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        """`time` (UTC), `level`, `logger`, `message`, the request's id, and what the record carries in `facts`."""
        told: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if found := request_id.get():
            told["request_id"] = found
        told |= getattr(record, "facts", {})
        if record.exc_info:
            told["traceback"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False, default=str)


def set_up_logs(style: str) -> None:
    """Log to standard error: plain lines, or with `json` one object a line, every request among them."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", force=True)
    logging.getLogger("rag").setLevel(logging.INFO)
    log.setLevel(logging.INFO if style == "json" else logging.WARNING)  # people want no line for each request
    if style == "json":
        for handler in logging.getLogger().handlers:
            handler.setFormatter(JsonLines())


def check_tracing() -> None:
    """See that traces that are meant for a collector of one's own can go there.

    Raises:
        SettingsError: a package is missing; LangSmith's client would send everything to LangSmith instead.
    """
    told = os.environ.get("LANGSMITH_TRACING_MODE", "").lower() in ("otel", "hybrid")
    names = ("LANGSMITH_OTEL_ENABLED", "LANGSMITH_OTEL_ONLY")
    if not told and not any(os.environ.get(name, "").lower() in ("1", "true") for name in names):
        return
    try:
        import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    except ImportError:
        raise SettingsError(
            "LANGSMITH_TRACING_MODE: traces by OpenTelemetry need the package opentelemetry-exporter-otlp-proto-http:"
            " pip install opentelemetry-exporter-otlp-proto-http"
        ) from None


class Observed:
    """Pure ASGI middleware around everything: gives each request an id (theirs, if sound) and counts it.

    The path is logged and never the query, which has the question.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, with `X-Request-ID` in the answer."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        name = given if _SOUND_ID.fullmatch(given) else secrets.token_hex(8)
        token = request_id.set(name)
        if not given or name != given:  # so that the page's questions, which run elsewhere, have it
            others = [pair for pair in scope["headers"] if pair[0] != b"x-request-id"]
            scope = {**scope, "headers": [*others, (b"x-request-id", name.encode())]}
        began = time.monotonic()
        status = 0

        async def with_id(message: Message) -> None:
            nonlocal status
            if message["type"] in ("http.response.start", "websocket.accept"):
                status = message.get("status", 101)
                MutableHeaders(scope=message)["X-Request-ID"] = name
            elif message["type"] == "websocket.close" and not status:
                status = 403
            await send(message)

        try:
            await self._app(scope, receive, with_id)
        finally:
            method = scope.get("method", "WEBSOCKET")
            route = _route(scope["path"])
            self._metrics.requests.labels(method, route, str(status)).inc()
            facts = {"method": method, "path": scope["path"], "status": status}
            facts["seconds"] = round(time.monotonic() - began, 3)
            log.info("%s %s %s", method, scope["path"], status, extra={"facts": facts})
            request_id.reset(token)


def _route(path: str) -> str:
    """One of few names for a path: a figure for each path that strangers try would never end."""
    return next((own.rstrip("/") for own in _OWN_ROUTES if path.startswith(own)), "page")


class Metrics:
    """The figures of one running app."""

    def __init__(self, assistant: Assistant) -> None:
        self.registry = CollectorRegistry()
        given: dict[str, Any] = {"registry": self.registry}
        self.requests = Counter(
            "rag_http_requests", "HTTP requests and WebSockets", ["method", "route", "status"], **given
        )
        self.questions = Counter("rag_questions", "Questions by what became of them", ["outcome"], **given)
        self.errors = Counter("rag_errors", "Errors that askers were told, by kind", ["kind"], **given)
        self.tokens = Counter("rag_tokens", "Tokens written by the chat model", **given)
        self.first_token = Histogram(
            "rag_first_token_seconds", "From the question to the first token", buckets=_SECONDS, **given
        )
        self.answer = Histogram("rag_answer_seconds", "From the question to the end", buckets=_SECONDS, **given)
        self.retrieval = Histogram("rag_retrieval_seconds", "Finding the passages", buckets=_SEARCH_SECONDS, **given)
        self.speed = Histogram("rag_tokens_per_second", "Tokens a second of one answer", buckets=_SPEEDS, **given)
        self.registry.register(_State(assistant))
        ProcessCollector(registry=self.registry)

    async def watch(self, updates: AsyncGenerator[Update, None]) -> AsyncGenerator[Update, None]:
        """Pass an answer's updates on, and take its figures."""
        last = Update()
        outcome = "abandoned"
        try:
            async with aclosing(updates):
                async for last in updates:
                    yield last
            outcome = "answered"
        except RagError as error:
            outcome = error.code
            self.errors.labels(error.code).inc()
            raise
        except (asyncio.CancelledError, GeneratorExit):
            raise
        finally:
            self._note(last, outcome)

    def _note(self, last: Update, outcome: str) -> None:
        times = last.timings
        self.questions.labels(outcome).inc()
        self.tokens.inc(times.tokens)
        self.answer.observe(times.total)
        for figure, value in (
            (self.first_token, times.first_token),
            (self.retrieval, times.retrieval),
            (self.speed, times.tokens_per_second),
        ):
            if value is not None:
                figure.observe(value)
        facts: dict[str, Any] = {"outcome": outcome, "tokens": times.tokens, "passages": len(last.passages)}
        for name in ("retrieval", "first_token", "total"):
            value = getattr(times, name)
            facts[name] = None if value is None else round(value, 3)
        log.info("%s: question", outcome, extra={"facts": facts})


class _State(Collector):
    """What is read from the app at the moment somebody asks for the figures."""

    def __init__(self, assistant: Assistant) -> None:
        self._assistant = assistant

    def collect(self) -> Iterable[Metric]:
        """The gauges, and what the library has done so far."""
        app = self._assistant
        line = app.line
        sources = app.sources
        gauges = {
            "rag_ready": ("Whether a question would be answered now", float(app.ready)),
            "rag_questions_answering": ("Questions being answered", line.inside - line.waiting),
            "rag_queue_length": ("Questions that wait for a place", line.waiting),
            "rag_sources": ("Sources that answers are drawn from", len(sources)),
            "rag_chunks": ("Chunks that answers are drawn from", sum(item.chunks for item in sources)),
            "rag_problems": ("Parts of the app that do not work now", len(app.problems)),
        }
        for name, (text, value) in gauges.items():
            yield GaugeMetricFamily(name, text, value)
        library = app.library
        ended = CounterMetricFamily("rag_ingest_sources", "Sources worked through, by outcome", labels=["outcome"])
        for outcome, many in (library.worker.counts if library else {}).items():
            ended.add_metric([outcome], many)
        yield ended
        embedded = library.worker.embedded if library else 0
        yield CounterMetricFamily("rag_ingest_chunks", "Chunks embedded", value=embedded)
        yield GaugeMetricFamily(
            "rag_ingest_waiting", "Sources that wait or are under way", library.left if library else 0
        )
