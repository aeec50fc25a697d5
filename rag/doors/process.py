"""The app as a process: its limit on open files, its port, and its end on a signal."""

from __future__ import annotations

import signal
import socket
import sys
import time
from contextlib import suppress

import gradio as gr

from rag.assistant import Assistant

MAX_FILES = 65_536
ANSWERS_SECONDS = 2.0
"""When the app ends, answers under way have this long to stop; half a second is enough, unless the machine is busy."""
LAST_WORD_SECONDS = 0.2
"""Time for Gradio to send an answer's last update to its reader, once the answer has stopped."""


def allow_many_files() -> None:
    """Raise the soft limit on open files, usually 1,024: each open page and socket is one."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # macOS has a limit of its own
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def free_port(host: str) -> int:
    """A port of `host` where nothing listens."""
    with socket.socket() as probe:
        probe.bind((host if host != "localhost" else "127.0.0.1", 0))
        return int(probe.getsockname()[1])


def end_on_signals() -> None:
    """Let SIGINT and SIGTERM raise KeyboardInterrupt."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)


def _end(number: int, frame: object) -> None:
    """On the first signal, end tidily; a second Ctrl-C ends at once. (An `Event` may not be set in a handler.)"""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    raise KeyboardInterrupt


def end_serving(assistant: Assistant, page: gr.Blocks) -> None:
    """End the answers, then the page. A Gradio stream that is open when the page closes never ends by itself."""
    assistant.end_answers()
    latest = time.monotonic() + ANSWERS_SECONDS
    while assistant.line.inside and time.monotonic() < latest:
        time.sleep(0.05)
    time.sleep(LAST_WORD_SECONDS)
    page.close(verbose=False)
