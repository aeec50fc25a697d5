"""What several test files share: pages on loopback, a scripted chat model, vectors to check on paper, a running app."""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from rag.errors import EngineError
from rag.models.gguf_file import widen
from rag.models.weights import SMOLLM2, fetch_weights
from rag.settings import Settings, load_settings
from tests.certificates import read_certificates_once
from tests.warm import WarmProcess, begin_server

logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it would log each request
uvicorn.config.LOGGING_CONFIG["loggers"]["uvicorn"]["propagate"] = (
    True  # or `caplog` sees nothing of the server's errors
)

read_certificates_once()

for helper in ("browser", "commands", "crowds", "doors", "files", "serving", "stores"):
    pytest.register_assert_rewrite(f"tests.{helper}")  # or a failed `assert` there shows no values

ROOT = Path(__file__).resolve().parent.parent
OF_THE_PERSON = ("OLLAMA_HOST", "OPENAI_API_KEY", "CHROMA_API_KEY", "GRADIO_SERVER_NAME", "SPACE_ID")

FIRST = """
api rendering hostile replicas sidebar app damage browser faults privacy leaving cases evaluate relevance backup library
kill folders containers takeover chroma endurance refusal hub store fuzz coming overload shutdown html_table doors
followup scope
"""
"""Files whose tests take longest: begun first, since none of them may be the last one alone."""


SMALLEST = "embedded:smollm2-135m-instruct"
"""The chat model where a test has no Ollama and names none: the app's own default is five times as large."""
NO_OLLAMA = "127.0.0.1:9"
"""An address where nothing listens."""
POLLER = httpx.Client(timeout=30)
"""For what is looked at again and again: a client of its own costs a request eight times as much processor time."""


@functools.cache
def have_smallest() -> None:
    """See that `SMALLEST` is there: an app would answer by quotes until it is."""
    with suppress(EngineError):  # offline: the tests that need it say so
        widen(fetch_weights(SMOLLM2, load_settings().cache_dir))


def environment_of(**given: str) -> dict[str, str]:
    """The environment of an app or a command that a test starts."""
    have_smallest()
    environment = {**os.environ, "OLLAMA_HOST": NO_OLLAMA, "PYTHONUNBUFFERED": "1", **given}
    return {"RAG_MODEL": SMALLEST, **environment} if environment["OLLAMA_HOST"] == NO_OLLAMA else environment


def pytest_configure(config: pytest.Config) -> None:
    """Let the workers of a run share the process that forks."""
    if getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput"):
        begin_server()


def pytest_xdist_setupnodes(specs: list[Any]) -> None:
    """Let the process that forks be the workers, too: it has imported what each of them would."""
    for spec in specs if Path.cwd() == ROOT else ():
        spec.python = shlex.join([sys.executable, "-m", "tests.warm"])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; within a file the order stays."""
    place = {f"test_{name}.py": number for number, name in enumerate(FIRST.split())}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what the imports have made, which stays."""
    gc.freeze()


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the person who runs the tests gets into them."""
    for name in list(os.environ):
        if name.startswith(("RAG_", "LANGSMITH_", "OTEL_")) or name in OF_THE_PERSON:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _leave_pages() -> Iterator[None]:
    """No page of `PageInThread` stays open between tests: each costs the others an eighth of a core."""
    yield
    if browser := sys.modules.get("tests.browser"):
        browser.PageInThread.leave_all()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a data folder of the test's own, embedded models, and an Ollama address where nothing listens."""
    return make_settings(tmp_path)


def make_settings(folder: Path, **given: Any) -> Settings:
    defaults: dict[str, Any] = {
        "data_dir": folder / "data",
        "sources": ("bundled:guide.md",),
        "port": 0,
        "refuse": False,
    }
    if given.setdefault("ollama_host", NO_OLLAMA) == NO_OLLAMA:
        have_smallest()
        defaults["model"] = SMALLEST
    return load_settings(**{**defaults, **given})


class Pages:
    """A real HTTP server on loopback: `pages[path] = (status, headers, body)` or just a body of HTML."""

    def __init__(self) -> None:
        self.pages: dict[str, Any] = {}
        self.hits: list[str] = []
        self._server = start_server(self._answer)
        self.url = self._server.url_for("").rstrip("/")
        self.close = self._server.stop

    def _answer(self, request: Request) -> Response:
        path = request.environ["REQUEST_URI"]  # as it was sent: `request.path` is decoded
        self.hits.append(path)
        page = self.pages.get(path, (404, {"Content-Type": "text/html"}, "<h1>Not here</h1>"))
        status, headers, body = page if isinstance(page, tuple) else (200, {}, page)
        return Response(body, status, {"Content-Type": "text/html; charset=utf-8", **headers})


class _Server(HTTPServer):
    def thread_target(self) -> None:
        """Serve, and look often whether to stop: werkzeug's own half a second is waited for at the end of each test."""
        assert self.server is not None
        self.server.serve_forever(poll_interval=0.02)


def start_server(answer: Callable[[Request], Response]) -> HTTPServer:
    """A server on loopback that answers every request so, each in a thread of its own; its `stop` ends it."""
    server = _Server("127.0.0.1", threaded=True)
    server.expect_request(re.compile("")).respond_with_handler(answer)
    server.start()
    return server


@pytest.fixture
def pages() -> Iterator[Pages]:
    server = Pages()
    yield server
    server.close()


class PaperEmbeddings(Embeddings):
    """Vectors that a person can check on paper: how often each of eight words occurs, and a constant."""

    words = ("memory", "plan", "tool", "task", "cheese", "moon", "river", "agent")

    def __init__(self) -> None:
        self.embedded: list[str] = []

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.embedded += texts
        return [self._vector(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return self._vector(text)

    def _vector(self, text: str) -> list[float]:
        return [float(len(re.findall(word, text.lower()))) for word in self.words] + [0.1]


@dataclass
class Script:
    """What a scripted chat model does: its tokens, and an event before some of them that the test sets."""

    tokens: list[str] = field(default_factory=lambda: ["An ", "agent ", "plans."])
    gates: dict[int, asyncio.Event] = field(default_factory=dict)
    error: Exception | None = None
    error_after: int = 0
    reason: str | None = "stop"
    asked: list[list[BaseMessage]] = field(default_factory=list)
    sent: int = 0
    closed: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class ScriptedChat(BaseChatModel):
    """A chat model that streams a script, token by token, and notes what it was asked and whether it was let finish."""

    script: Any

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **_: Any) -> ChatResult:
        self.script.asked.append(messages)
        text = "".join(self.script.tokens)
        return ChatResult(generations=[ChatGeneration(message=AIMessage(text))])

    async def _astream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **_: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        script: Script = self.script
        script.asked.append(messages)
        try:
            for number, token in enumerate(script.tokens):
                if number in script.gates:
                    await script.gates[number].wait()
                if script.error and number == script.error_after:
                    raise script.error
                yield ChatGenerationChunk(message=AIMessageChunk(token))
                script.sent += 1
            if script.error and script.error_after >= len(script.tokens):
                raise script.error
            end = {"done_reason": script.reason} if script.reason else {}
            yield ChatGenerationChunk(message=AIMessageChunk("", response_metadata=end))
        finally:
            script.closed += 1
            script.ended.set()


@dataclass
class RunningApp:
    """`app.py` as a process of its own, as a person starts it."""

    url: str
    process: subprocess.Popen[str] | WarmProcess
    output: list[str]

    def health(self) -> dict[str, Any]:
        data: dict[str, Any] = POLLER.get(f"{self.url}health", timeout=10).json()
        return data


class AppStarter:
    """Starts `app.py` with flags and an environment; ends it at the end of the test.

    With `fresh`, or `under` another program, a new interpreter is started, else a `WarmProcess`.
    """

    def __init__(self) -> None:
        self._running: list[RunningApp] = []

    def __call__(
        self,
        *flags: str,
        ready: bool = True,
        environment: dict[str, str] | None = None,
        program: tuple[str, ...] = (),
        under: tuple[str, ...] = (),
        fresh: bool = False,
    ) -> RunningApp:
        arguments = [*(program or (str(ROOT / "app.py"),)), "--port", "0", *flags]
        given = environment_of(**(environment or {}))
        process: subprocess.Popen[str] | WarmProcess
        if fresh or under:
            process = subprocess.Popen(
                [*under, sys.executable, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env=given,
            )
        else:
            process = WarmProcess(arguments, env=given, merged=True)
        app = RunningApp("", process, [])
        self._running.append(app)
        found = threading.Event()

        def read() -> None:
            assert process.stdout
            for line in process.stdout:
                app.output.append(line)
                if match := re.search(r"is at (http://[^\s\"]+)", line):
                    app.url = match[1]
                    found.set()
            found.set()

        threading.Thread(target=read, daemon=True).start()
        assert found.wait(90) and app.url, "".join(app.output)
        if ready:
            wait_until(lambda: app.health()["ready"], 120, lambda: f"{app.health()} {app.output}")
        return app

    def stop(self, app: RunningApp, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; returns the exit code."""
        app.process.send_signal(number)
        return app.process.wait(30)

    def close(self) -> None:
        for app in self._running:
            if app.process.poll() is None:
                app.process.kill()
            app.process.wait(30)
            assert app.process.stdin and app.process.stdout
            with suppress(OSError):  # what it did not read
                app.process.stdin.close()
            app.process.stdout.close()


@pytest.fixture
def start_app() -> Iterator[AppStarter]:
    starter = AppStarter()
    yield starter
    starter.close()


@pytest.fixture(scope="module")
def start_shared_app() -> Iterator[AppStarter]:
    """As `start_app`, for one that the tests of a file share."""
    starter = AppStarter()
    yield starter
    starter.close()


def wait_until(condition: Callable[[], Any], seconds: float, told: Callable[[], str] = lambda: "") -> None:
    """Poll what only polling can tell (another process's state), up to a limit."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.05)):
        try:
            if condition():
                return
        except httpx.HTTPError:
            pass
        pause.wait(0.05)
    raise AssertionError(f"not within {seconds} seconds: {told()}")


def free_port() -> int:
    """A port on loopback where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
