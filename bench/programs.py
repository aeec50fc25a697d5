"""What the parts start: programs as processes of their own, with what they cost."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 120.0


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(**more: str) -> dict[str, str]:
    """This process's environment without the app's own settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAG_") and name != "OLLAMA_HOST"}
    return {**kept, "PYTHONPATH": str(ROOT), "OLLAMA_HOST": "127.0.0.1:9", "PYTHONUNBUFFERED": "1", **more}


def resident(what: str, pid: int | str = "self") -> float | None:
    """Megabytes of a process, now (`VmRSS`) or at most (`VmHWM`); None where the system does not tell."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(what))


def resident_of_all(pid: int) -> float:
    """Megabytes that a process and its children have in memory; what they share is counted in each. 0: not told."""
    own = resident("VmRSS", pid) or 0.0
    try:
        children = Path(f"/proc/{pid}/task").glob("*/children")
        return own + sum(resident_of_all(int(child)) for path in children for child in path.read_text().split())
    except OSError:
        return own


def in_own_process(*arguments: str) -> dict[str, Any]:
    """What `python ARGUMENTS` prints last, as JSON."""
    command = [sys.executable, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment(), check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


class Program:
    """A Python program as a process of its own, that serves on `url`, for a `with` block."""

    def __init__(self, arguments: Sequence[str], **settings: str) -> None:
        """`{port}` in an argument becomes a free port."""
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._command = [sys.executable, *(argument.replace("{port}", str(port)) for argument in arguments)]
        self._environment = environment(**settings)
        self.started = 0.0

    def __enter__(self) -> Program:
        self.started = time.monotonic()
        self._process = subprocess.Popen(
            self._command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=self._environment,
            cwd=ROOT,
        )
        self.said = b""
        threading.Thread(target=self._read, daemon=True).start()
        return self

    def _read(self) -> None:
        assert self._process.stderr
        for line in self._process.stderr:
            self.said = (self.said + line)[-4000:]

    def wait_for(self, path: str, status: int | None = None) -> float:
        """Wait until `path` answers (with `status`); returns the seconds since the start."""
        while time.monotonic() - self.started < START_SECONDS:
            if self._process.poll() is not None:
                raise RuntimeError(f"{self._command} ended: {self.said.decode()}")
            try:
                reply = httpx.get(self.url + path, timeout=START_SECONDS, trust_env=False)
                if status is None or reply.status_code == status:
                    return time.monotonic() - self.started
            except httpx.TransportError:
                pass
            time.sleep(0.01)
        raise RuntimeError(f"{self._command} did not serve {path} within {START_SECONDS} seconds: {self.said.decode()}")

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def cpu_seconds(self) -> float | None:
        """Processor time so far, without its children's; None where the system does not tell (not Linux)."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_memory(self) -> float | None:
        """Megabytes that it had resident at most since `forget_peak`; None where the system does not tell."""
        return resident("VmHWM", self.pid)

    def forget_peak(self) -> None:
        """Count the peak anew from here."""
        with suppress(OSError):
            Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def __exit__(self, *_: Any) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
