"""A real Chroma server for the tests: `chroma run` on loopback, with a folder of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import httpx

from tests.conftest import free_port, wait_until


class ChromaServer:
    """`chroma run`, which can be frozen, thawed, ended and started again on the same port."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> ChromaServer:
        self._folder.mkdir(parents=True, exist_ok=True)
        program = Path(sys.executable).parent / "chroma"
        command = [str(program), "run", "--path", str(self._folder), "--host", "127.0.0.1", "--port", str(self.port)]
        log = (self._folder / "server.log").open("ab")
        with log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self._folder
            )
        wait_until(lambda: httpx.get(f"{self.url}/api/v2/heartbeat", timeout=2).status_code == 200, 60)
        return self

    def signal(self, number: int) -> None:
        assert self._process
        self._process.send_signal(number)

    def freeze(self) -> None:
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait(30)
            self._process = None
