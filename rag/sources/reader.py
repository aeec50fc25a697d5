"""The reader: files are parsed in a child process that can be killed, as libraries hang, swell and crash on some.

One child reads one file at a time: a line of JSON in, a line of JSON out. It is started at need and again after a kill,
ends when idle, and ends with its parent, however that ends, because it reads a pipe that the parent holds open.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO

import psutil
from langchain_core.documents import Document

from rag.child import child_command
from rag.errors import SourceError
from rag.sources.formats import Job, Report, Unreadable

SECONDS = 120.0
"""Time that one file may take, the start of the child included."""
PAGE_SECONDS = 120.0
"""Processor time that one page may take whose text is recognized, counted from its begin; it needs about 8 seconds.

On two cores with twenty busy processes such a page took over 120 seconds of the clock, so the clock cannot judge it.
"""
WAITING_SECONDS = 3600.0
"""Time by the clock that such a page may take, should the child wait for something that does not come."""
MEGABYTES = 1536
"""MiB of address space that the child may have, where the system can bound it (Linux)."""
OCR_MEGABYTES = 3072
"""MiB of address space for a child from its first page of text recognition on, which needs 1,900."""
LOOK_SECONDS = 0.25
"""How often the time, and whether the file is still wanted, are looked at while it is read."""
IDLE_SECONDS = 60.0
MEMORY_CODE = 77
"""The exit code of a child that ran out of memory."""
JOBS = 1000
"""Files that a child reads before it ends, to give back the memory that it did not. After 1,200 files of all kinds it
had no more than after 100."""


@dataclass(frozen=True)
class Watch:
    """How a caller follows the reading of a file.

    Attributes:
        progress: gets the number of the page that begins and the number of pages, for pages that take long.
        is_cancelled: whether the file is wanted no more; the child is ended then.
    """

    progress: Callable[[int, int], None] = lambda page, pages: None
    is_cancelled: Callable[[], bool] = lambda: False


WATCH = Watch()
"""Of a caller that follows nothing."""


class Child:
    """A child process and the way to it. Threads may share one: what they ask is answered one after the other."""

    def __init__(
        self,
        module: str,
        seconds: float = SECONDS,
        megabytes: int = MEGABYTES,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        """`module` is the one whose `serve` runs in the child."""
        self._module = module
        self._seconds = seconds
        self._megabytes = megabytes
        self._idle_seconds = idle_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._broken_off: subprocess.Popen[bytes] | None = None
        self._one_at_a_time = threading.RLock()
        self._idle: threading.Timer | None = None
        self.jobs = 0

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def ask(self, source: str, message: dict[str, Any], watch: Watch = WATCH) -> dict[str, Any]:
        """The child's answer on a file; `source` is what errors name.

        Raises:
            SourceError: it cannot be read, takes too much time or memory, ends the child, or is wanted no more.
        """
        with self._one_at_a_time:
            if self._idle:
                self._idle.cancel()
            if self.pid is None or self.jobs >= JOBS:
                self._end()
                self._launch()
            self.jobs += 1
            try:
                answer = self._ask(message, watch)
            finally:
                self._idle = threading.Timer(self._idle_seconds, self._end_if_idle)
                self._idle.daemon = True
                self._idle.start()
        if "error" in answer:
            raise SourceError(source, answer["error"])
        return answer

    def close(self) -> None:
        """End the child, and with it what it reads; the next file starts another."""
        process = self._process
        if process is not None:
            self._broken_off = process
            process.kill()  # whoever waits for its answer lets go of the lock then
            with self._one_at_a_time:
                self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        self.jobs = 0
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):  # a job that could not be sent whole
                    if pipe:
                        pipe.close()

    def _launch(self) -> None:
        command, environment = child_command(f"serve({self._megabytes})", self._module)
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**environment, "PYTHONWARNINGS": "ignore"},
        )
        atexit.unregister(self.close)
        atexit.register(self.close)

    def _ask(self, message: dict[str, Any], watch: Watch) -> dict[str, Any]:
        """The child's answer, or what its silence means."""
        process = self._process
        assert process is not None and process.stdin and process.stdout
        guard = Guard(process, self._seconds, watch.is_cancelled)
        guard.start()
        answer: dict[str, Any] = {}
        try:
            process.stdin.write(json.dumps(message).encode() + b"\n")
            process.stdin.flush()
            while (line := process.stdout.readline()).endswith(b"\n"):
                answer = json.loads(line)
                if "page" not in answer:
                    break
                guard.allow_page(PAGE_SECONDS, WAITING_SECONDS)
                watch.progress(*answer["page"])
        except (OSError, ValueError):  # ValueError: closed meanwhile
            line = b""
        except BaseException:  # its answer may not be taken for that of the next file
            self._end()
            raise
        finally:
            guard.end()
        if line.endswith(b"\n") and not guard.reason:
            return answer
        code = process.wait()  # its end of the pipe is closed: it has ended
        self._end()
        if guard.reason == "time":
            by_page = f"{PAGE_SECONDS:g} seconds of processor time for a page"
            limit = by_page if guard.by_page else f"{self._seconds:g} seconds"
            return {"error": f"reading it took more than {limit}; split it, or save it anew"}
        if self._broken_off is process or guard.reason:
            return {"error": "reading it was broken off"}
        if code == MEMORY_CODE:
            return {"error": _too_much_memory(self._megabytes)}
        return {"error": f"it ended the reader ({_signal_name(code)}); the file is damaged, or needs too much memory"}

    def _end_if_idle(self) -> None:
        if self._one_at_a_time.acquire(blocking=False):
            try:
                if threading.current_thread() is self._idle:  # no job came in between
                    self._end()
            finally:
                self._one_at_a_time.release()


class Parser(Child):
    """The child that reads files."""

    def __init__(
        self, seconds: float = SECONDS, megabytes: int = MEGABYTES, idle_seconds: float = IDLE_SECONDS
    ) -> None:
        super().__init__("rag.sources.reader", seconds, megabytes, idle_seconds)

    def parse(self, job: Job, watch: Watch = WATCH) -> list[Document]:
        """The documents of a file.

        Raises:
            SourceError: as `Child.ask`.
        """
        answer = self.ask(job.source, asdict(job), watch)
        return [Document(page_content=text, metadata=metadata) for text, metadata in answer["documents"]]


class Guard(threading.Thread):
    """Ends the child when its time is over or its file is wanted no more.

    Its time is over `seconds` after the start. From the first page on that takes long, that page's time must be over,
    too.
    """

    def __init__(self, process: subprocess.Popen[bytes], seconds: float, is_cancelled: Callable[[], bool]) -> None:
        super().__init__(name="rag-reader-guard", daemon=True)
        self.reason = ""
        """Why the child was ended: "time" or "cancelled"; "" if it was not."""
        self.by_page = False
        self._process = process
        self._until = time.monotonic() + seconds
        self._page: tuple[float, float] | None = None
        """Where the page that is read ends at the latest: seconds used of the processor, and of the clock."""
        self._is_cancelled = is_cancelled
        self._ended = threading.Event()

    def allow_page(self, processor: float, clock: float) -> None:
        """Give the page that begins its seconds of processor time and by the clock."""
        self._page = (self._used() + processor, time.monotonic() + clock)

    def end(self) -> None:
        """The answer is there, or the child has ended."""
        self._ended.set()
        self.join()

    def run(self) -> None:
        """Look at the time and the caller until the end."""
        while not self._ended.wait(self._next_look()):
            if self._is_cancelled():
                self.reason = "cancelled"
            elif self._is_over():
                self.reason = "time"
            if self.reason:
                self._process.kill()
                return

    def _next_look(self) -> float:
        left = self._until - time.monotonic()
        return min(LOOK_SECONDS, left) if left > 0 else LOOK_SECONDS

    def _is_over(self) -> bool:
        now, page = time.monotonic(), self._page
        if page is None or now < self._until:
            return now >= self._until
        self.by_page = self._used() >= page[0] or now >= page[1]
        return self.by_page

    def _used(self) -> float:
        """Seconds of processor time that the child has used."""
        try:
            times = psutil.Process(self._process.pid).cpu_times()
        except psutil.Error:  # it has ended
            return 0.0
        return float(times.user + times.system)


def _signal_name(code: int) -> str:
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"exit code {code}"


def _too_much_memory(megabytes: int) -> str:
    return f"reading it needs more memory than {megabytes} MiB; split it"


def serve(megabytes: int) -> None:
    """The child: read a file for each line of JSON, until standard input ends."""

    def read_file(message: dict[str, Any], report: Report) -> dict[str, Any]:
        from rag.sources.documents import read  # which has all the libraries, for the child alone

        documents = read(Job(**message), report)
        return {"documents": [(item.page_content, item.metadata) for item in documents]}

    serve_answers(megabytes, read_file)


def serve_answers(megabytes: int, answer: Callable[[dict[str, Any], Report], dict[str, Any]]) -> None:
    """In a child: answer each line of JSON with one, until standard input ends; `Unreadable` becomes the error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C reaches it too; its parent ends it
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints may not get between the answers
    sys.stdout = sys.stderr
    _bound_memory(megabytes)
    jobs: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, jobs), daemon=True).start()

    def report(page: int, pages: int) -> None:
        answers.write(json.dumps({"page": [page, pages]}).encode() + b"\n")
        answers.flush()

    while True:
        message = json.loads(jobs.get())
        try:
            line = json.dumps(answer(message, report), ensure_ascii=False).encode("utf-8", "replace")
        except Unreadable as error:
            line = json.dumps({"error": str(error)}).encode()
        except MemoryError:
            os._exit(MEMORY_CODE)  # what is left may be too little to say more
        answers.write(line + b"\n")
        answers.flush()


def _listen(stdin: BinaryIO, jobs: queue.SimpleQueue[bytes]) -> None:
    """Pass the jobs on; at their end the parent is gone, and nothing is worth a tidy end."""
    for line in stdin:
        jobs.put(line)
    os._exit(0)


def _bound_memory(megabytes: int) -> None:
    if sys.platform == "linux":  # macOS takes the call and does nothing, Windows has none
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, max(megabytes, OCR_MEGABYTES) << 20))


PARSER = Parser()
"""The one that `rag.sources.loader` uses; it starts no process before the first file."""
