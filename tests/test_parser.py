"""The reader's process: one for many files, killed when a file takes too much, and gone when nobody needs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import rag.sources.reader
from rag.errors import SourceError
from rag.sources.formats import Job
from rag.sources.reader import Guard, Parser
from tests.conftest import ROOT, wait_until

ENDLESS = b"<![endif>" * 1_250_000
"""A page that Python's HTML parser reads for an hour: time grows with the square of such marks left open."""
SWELLING = b"<a " + b'x="' * 3_000_000
"""A page that takes more than a hundred times its size."""

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds the memory of a process")


def job(folder: Path, data: bytes, name: str = "a.html") -> Job:
    (folder / name).write_bytes(data)
    path = str(folder / name)
    return Job(path, path, Path(name).suffix, f"named {Path(name).suffix}", name)


def refused(parser: Parser, given: Job) -> str:
    with pytest.raises(SourceError) as caught:
        parser.parse(given)
    assert caught.value.source == given.source
    return caught.value.reason


def text(parser: Parser, given: Job) -> str:
    (document,) = parser.parse(given)
    return document.page_content


def test_one_process_reads_many_files(tmp_path: Path) -> None:
    parser = Parser()
    assert parser.pid is None  # none before the first file
    assert text(parser, job(tmp_path, b"<p>One")) == "One"
    pid = parser.pid
    assert pid and pid != os.getpid()
    assert text(parser, job(tmp_path, "Grüße\u2028\n{}".encode(), "a.txt")) == "Grüße\u2028\n{}"
    assert "no text" in refused(parser, job(tmp_path, b"<p>"))
    assert "cannot be read (No such file" in refused(parser, Job(str(tmp_path / "x.md"), "x", ".md", "", "x"))
    assert parser.pid == pid
    parser.close()
    assert parser.pid is None
    assert text(parser, job(tmp_path, b"<p>Two")) == "Two"
    assert parser.pid not in (None, pid)
    parser.close()
    parser.close()


def test_threads_share_it(tmp_path: Path) -> None:
    parser = Parser()
    found: dict[int, str] = {}

    def read(number: int) -> None:
        for _ in range(5):
            found[number] = text(parser, job(tmp_path, f"<p>{number}".encode(), f"{number}.html"))

    threads = [threading.Thread(target=read, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: str(number) for number in range(6)}
    parser.close()


def test_time_is_bounded(tmp_path: Path) -> None:
    parser = Parser(seconds=3)
    assert text(parser, job(tmp_path, b"<p>One")) == "One"
    pid = parser.pid
    assert "took more than 3 seconds" in refused(parser, job(tmp_path, ENDLESS))
    assert text(parser, job(tmp_path, b"<p>Two")) == "Two"
    assert parser.pid not in (None, pid)
    parser.close()


def test_time_of_a_page_is_processor_time() -> None:
    """A page that waits for a busy processor is not ended when one that uses it has used all its time."""
    working, waiting = (
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
        for code in ("while True: pass", "input()")
    )
    guards = [Guard(process, 0.0, lambda: False) for process in (waiting, working)]
    for guard in guards:
        guard.allow_page(1.0, 600.0)
        guard.start()
    assert working.wait(120) != 0  # it has had a second at least, and so has the other by the clock
    for guard in guards:
        guard.end()
    assert [(guard.reason, guard.by_page) for guard in guards] == [("", False), ("time", True)]
    waiting.communicate(b"\n", timeout=30)
    assert waiting.returncode == 0


def test_time_of_a_page_that_waits_is_bounded() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        guard = Guard(process, 0.0, lambda: False)
        guard.allow_page(600.0, 0.5)
        guard.start()
        assert process.wait(120) != 0
        guard.end()
    assert (guard.reason, guard.by_page) == ("time", True)


@linux
def test_memory_is_bounded(tmp_path: Path) -> None:
    parser = Parser(megabytes=400)
    assert "needs more memory than 400 MiB" in refused(parser, job(tmp_path, SWELLING))
    assert text(parser, job(tmp_path, b"<p>Two")) == "Two"
    parser.close()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_a_crash_ends_the_reader_only(tmp_path: Path) -> None:
    parser = Parser()
    text(parser, job(tmp_path, b"<p>One"))
    said: list[str] = []
    reading = threading.Thread(target=lambda: said.append(refused(parser, job(tmp_path, ENDLESS))))
    reading.start()
    wait_until(lambda: parser.jobs == 2, 60)
    assert parser.pid
    os.kill(parser.pid, signal.SIGSEGV)
    reading.join(30)
    assert "ended the reader (SIGSEGV)" in said[0]
    assert text(parser, job(tmp_path, b"<p>Two")) == "Two"
    parser.close()


def test_closing_breaks_off_what_is_read(tmp_path: Path) -> None:
    parser = Parser()
    text(parser, job(tmp_path, b"<p>One"))
    given = job(tmp_path, ENDLESS)
    said: list[str] = []
    reading = threading.Thread(target=lambda: said.append(refused(parser, given)))
    reading.start()
    wait_until(lambda: parser.jobs == 2, 60)
    parser.close()
    reading.join(30)
    assert said == ["reading it was broken off"] and parser.pid is None


def test_it_ends_when_idle(tmp_path: Path) -> None:
    parser = Parser(idle_seconds=0.05)
    text(parser, job(tmp_path, b"<p>One"))
    wait_until(lambda: parser.pid is None, 60)
    assert text(parser, job(tmp_path, b"<p>Two")) == "Two"
    parser.close()


def test_it_is_renewed_after_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rag.sources.reader, "JOBS", 2)
    parser = Parser()
    pids = []
    for _ in range(4):
        text(parser, job(tmp_path, b"<p>One"))
        pids.append(parser.pid)
    assert pids[0] == pids[1] != pids[2] == pids[3]
    parser.close()


@linux
def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    """Even in the middle of a file, and however the parent ends."""
    given = job(tmp_path, ENDLESS)
    lines = [
        "import os, sys, threading",
        "from rag.sources.formats import Job",
        "from rag.sources.reader import Parser",
        "parser = Parser()",
        f"threading.Thread(target=parser.parse, args=({given!r},), daemon=True).start()",
        "while parser.pid is None: pass",
        "print(parser.pid, flush=True)",
        "sys.stdin.read()",
        "os._exit(1)",
    ]
    parent = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        capture_output=True,
        text=True,
        input="",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=60,
    )
    child = Path(f"/proc/{int(parent.stdout)}/stat")
    wait_until(lambda: not child.exists() or child.read_text().split()[2] == "Z", 60)
