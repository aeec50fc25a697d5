"""Starts `app.py`, `python -m rag` and pytest in moments: forks of a process that has imported what they import.

Each start of a new interpreter imports Gradio and LangChain for four seconds of processor time, and the tests start
about a hundred of them. `WarmProcess` is used like `subprocess.Popen`. A test of the start itself, or of what a new
interpreter inherits, uses `subprocess` instead. One process forks for all of pytest's workers; they are forks, too:
`python -m tests.warm ARGUMENTS` lets a fork with its own streams run `python ARGUMENTS`.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from typing_extensions import Self

from tests.certificates import read_certificates_once
from tests.shared import shared_folder

ROOT = Path(__file__).resolve().parent.parent
PRELOADED = (
    "app",
    "rag.doors.cli",
    "rag.doors.evaluate",
    "rag.doors.mcp",
    "langchain_chroma",
    "chromadb.api.rust",
    "tantivy",
    "tokenizers",
    "rag.models.encoder",
    "rag.models.ollama_chat",
    "sqlalchemy.dialects.sqlite",
)
FOR_TESTS = (
    "pytest",
    "pytest_httpserver",
    "playwright.sync_api",
    "hypothesis",
    "openai",
    "psycopg",
    "openpyxl",
    "pptx",
)
"""What tests import besides."""
_NUMBER = struct.Struct("i")


class WarmProcess:
    """A running `python PROGRAM ARGUMENTS`, where PROGRAM is a script or "-m MODULE"; its streams are text."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        merged: bool = False,
    ) -> None:
        """Start it. With `merged`, stderr goes into stdout."""
        theirs, ours = zip(*(os.pipe(), os.pipe()[::-1], os.pipe()[::-1]), strict=True)
        streams = [theirs[0], theirs[1], theirs[1 if merged else 2]]
        self._status = _order(arguments, cwd or Path.cwd(), os.environ if env is None else env, streams)
        for descriptor in theirs:
            os.close(descriptor)
        self.stdin: IO[str] = open(ours[0], "w", encoding="utf-8")
        self.stdout: IO[str] = open(ours[1], encoding="utf-8")
        self.stderr: IO[str] = open(ours[2], encoding="utf-8")
        self.pid = _read(self._status)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        if self.returncode is None and select.select([self._status], [], [], 0)[0]:
            self.returncode = os.waitstatus_to_exitcode(_read(self._status))
            os.close(self._status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait up to `timeout` seconds for its end. Raises `subprocess.TimeoutExpired`."""
        if self.returncode is None and not select.select([self._status], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired("a warm process", timeout or 0)
        code = self.poll()
        assert code is not None
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Close its input, wait for its end and give what it wrote. Raises `subprocess.TimeoutExpired`."""
        self.stdin.close()
        told = ["", ""]

        def read(number: int, stream: IO[str]) -> None:
            told[number] = stream.read()

        readers = [threading.Thread(target=read, args=item) for item in enumerate((self.stdout, self.stderr))]
        for reader in readers:
            reader.start()
        try:
            self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        finally:
            for reader in readers:
                reader.join()
            self.close()
        return told[0], told[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.poll() is None:
            self.kill()
            self.wait()
        self.close()

    def close(self) -> None:
        """Close its streams."""
        for stream in (self.stdin, self.stdout, self.stderr):
            with contextlib.suppress(OSError):  # input that it did not read
                stream.close()


def begin_server() -> None:
    """Have the process that forks for this process and those that it starts; it imports nothing before an order."""
    if _address().exists():
        return
    life, ours = os.pipe()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
        door.bind(str(_address()))
        door.listen()
        given = [door.fileno(), life]
        command = [sys.executable, "-m", "tests.warm", "serve", *map(str, given)]
        process = subprocess.Popen(command, cwd=ROOT, pass_fds=given)
    os.close(life)

    def end() -> None:
        os.close(ours)
        process.wait(30)

    atexit.register(end)


def _address() -> Path:
    """Of the socket to the process that forks."""
    return shared_folder() / "warm"


class _Server:
    """The socket to the process that forks."""

    def __init__(self) -> None:
        self.turn = threading.Lock()
        begin_server()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.connect(str(_address()))

    def order(self, order: dict[str, Any], descriptors: list[int]) -> None:
        socket.send_fds(self._socket, [json.dumps(order).encode()], descriptors)


@cache
def _server() -> _Server:
    return _Server()


def _order(arguments: Sequence[str], cwd: Path, env: Mapping[str, str], streams: Sequence[int]) -> int:
    """Let a fork run `python ARGUMENTS`. Returns a pipe to `_read` its process id and its wait status from."""
    told, status = os.pipe()
    order = {"arguments": list(arguments), "cwd": str(cwd), "env": dict(env)}
    with _server().turn:
        _server().order(order, [*streams, status])
    os.close(status)
    return told


def _read(status: int) -> int:
    data = os.read(status, _NUMBER.size)
    assert data, "the process that forks has ended"
    return int(_NUMBER.unpack(data)[0])


def _serve(door: socket.socket, life: int) -> dict[str, Any] | None:
    """Fork for each order; returns the order in the child, None in the server once the pipe `life` is closed."""
    statuses: dict[int, int] = {}
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    customers: list[socket.socket] = []
    while True:
        readable, _, _ = select.select([door, life, woken, *customers], [], [])
        if woken in readable:
            os.read(woken, 4096)
        while statuses:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            with contextlib.suppress(BrokenPipeError):
                os.write(statuses[pid], _NUMBER.pack(status))
            os.close(statuses.pop(pid))
        if life in readable:
            return None
        if door in readable:
            customers.append(door.accept()[0])
            _import()
        for customer in [one for one in customers if one in readable]:
            data, descriptors, _, _ = socket.recv_fds(customer, 1 << 20, 4)
            if not data:
                customers.remove(customer)
                customer.close()
                continue
            pid = os.fork()
            if not pid:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background ignore it
                for target, descriptor in enumerate(descriptors[:3]):
                    os.dup2(descriptor, target)
                for descriptor in (*descriptors, *statuses.values(), woken, wake, life):
                    os.close(descriptor)
                for one in (door, *customers):
                    one.close()
                return dict(json.loads(data))
            os.write(descriptors[3], _NUMBER.pack(pid))
            statuses[pid] = descriptors.pop()
            for descriptor in descriptors:
                os.close(descriptor)


@cache
def _import() -> None:
    """Import what the programs and the tests do, once. A warning is an error, as in a test."""
    warnings.simplefilter("error")
    strict = warnings.filters[0]
    for name in PRELOADED + FOR_TESTS:
        __import__(name)
    if find_spec("openvino"):
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # as `rag.models.encoder` has it
        __import__("openvino")
    warnings.filters.remove(strict)  # type: ignore[attr-defined]
    from rag.answers.tables.question import may_ask_of_tables
    from rag.text.detect import sure_language
    from rag.text.language import ENGLISH, word_frequencies

    sure_language("What is a plan?")  # it unpacks its model for half a second
    word_frequencies(ENGLISH)  # .2 s, as are the phrases of questions about tables
    may_ask_of_tables("What is a plan?")
    read_certificates_once()
    gc.freeze()


class _Exit:
    """Ends a fork without taking apart what it has from the process that forked it: .2 s of processor time."""

    def __init__(self) -> None:
        self.code: int | None = None
        atexit.register(self._end)  # before all others: it runs as the last one

    def _end(self) -> None:
        if self.code is not None:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError, ValueError):  # its reader has gone, or it is closed
                    stream.flush()
            os._exit(self.code)

    def run(self, order: dict[str, Any]) -> None:
        """Run the program of an order; what is no plain exit is Python's to end."""
        try:
            _become(order)
        except SystemExit as error:
            if error.code is None or isinstance(error.code, int):
                self.code = (error.code or 0) & 0xFF
            raise
        self.code = 0


def _become(order: dict[str, Any]) -> None:
    """Run the program of an order in this process."""
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update({"GRADIO_ANALYTICS_ENABLED": "False", **order["env"]})  # as `app` has set them on import
    os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = "1000000000"
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    sys.path.append(str(ROOT))
    first, *arguments = order["arguments"]
    if first == "-u":  # as pytest-xdist starts its workers
        first, *arguments = arguments
    if first == "-c":
        code, *arguments = arguments
        sys.argv, sys.path[0] = ["-c", *arguments], order["cwd"]
        exec(code, sys.modules["__main__"].__dict__)
    elif first == "-m":
        module, *arguments = arguments
        sys.argv = [module, *arguments]
        sys.path[0] = order["cwd"]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    else:
        sys.argv = [first, *arguments]
        sys.path[0] = str(Path(first).parent)
        runpy.run_path(first, run_name="__main__")


def _main(first: str, *arguments: str) -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the forks, and these this process
    if first == "serve":
        ending = _Exit()
        door, life = map(int, arguments)
        if order := _serve(socket.socket(fileno=door), life):
            ending.run(order)
        return 0
    status = _order([first, *arguments], Path.cwd(), os.environ, range(3))
    _read(status)
    return os.waitstatus_to_exitcode(_read(status))


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
