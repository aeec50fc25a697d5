"""Starts `app.py` and `python -m rag` in moments: forks of a process that has imported what they import.

Each start of a new interpreter imports Gradio and LangChain for four seconds of processor time, and the tests start
about a hundred of them. `WarmProcess` is used like `subprocess.Popen`. A test of the start itself, or of what a new
interpreter inherits, uses `subprocess` instead. One process forks for all of pytest's workers.
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
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any

from typing_extensions import Self

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
        self._status, status = os.pipe()
        order = {
            "arguments": list(arguments),
            "cwd": str(cwd or Path.cwd()),
            "env": dict(os.environ if env is None else env),
        }
        with _server().turn:
            _server().order(order, [theirs[0], theirs[1], theirs[1 if merged else 2], status])
        for descriptor in (*theirs, status):
            os.close(descriptor)
        self.stdin: IO[str] = open(ours[0], "w", encoding="utf-8")
        self.stdout: IO[str] = open(ours[1], encoding="utf-8")
        self.stderr: IO[str] = open(ours[2], encoding="utf-8")
        self.pid = self._read()
        self.returncode: int | None = None

    def _read(self) -> int:
        data = os.read(self._status, _NUMBER.size)
        assert data, "the process that forks has ended"
        return int(_NUMBER.unpack(data)[0])

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        if self.returncode is None and select.select([self._status], [], [], 0)[0]:
            self.returncode = os.waitstatus_to_exitcode(self._read())
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
    """Start the process that forks for this process and those that it starts; it imports nothing before an order."""
    life, ours = os.pipe()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
        door.bind(str(_address()))
        door.listen()
        given = [door.fileno(), life]
        command = [sys.executable, "-m", "tests.warm", *map(str, given)]
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
        if not _address().exists():
            begin_server()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.connect(str(_address()))

    def order(self, order: dict[str, Any], descriptors: list[int]) -> None:
        socket.send_fds(self._socket, [json.dumps(order).encode()], descriptors)


@cache
def _server() -> _Server:
    return _Server()


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
    """Import what the programs do, once."""
    for name in PRELOADED:
        __import__(name)
    from rag.text.detect import sure_language

    sure_language("What is a plan?")  # it unpacks its model for half a second
    gc.freeze()


def _become(order: dict[str, Any]) -> None:
    """Run the program of an order in this process."""
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    sys.path.append(str(ROOT))
    first, *arguments = order["arguments"]
    if first == "-m":
        module, *arguments = arguments
        sys.argv = [module, *arguments]
        sys.path[0] = order["cwd"]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    else:
        sys.argv = [first, *arguments]
        sys.path[0] = str(Path(first).parent)
        runpy.run_path(first, run_name="__main__")


def _main() -> None:
    door, life = map(int, sys.argv[1:])
    if order := _serve(socket.socket(fileno=door), life):
        _become(order)


if __name__ == "__main__":
    _main()
