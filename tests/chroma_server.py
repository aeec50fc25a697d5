"""A real Chroma server for the tests: `chroma run` on loopback, with a folder of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
from werkzeug import Request, Response

from tests.conftest import free_port, start_server, wait_until


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


class Quotas:
    """Chroma Cloud's limits on one call, as it publishes them, in front of a real server; `broken` lists who went over.

    Cloud itself cannot be had in a test: this tells only that the app keeps within what is published.
    """

    rows, document, value, key, keys, name, predicates = 300, 16_384, 4_096, 36, 32, 128, 8

    def __init__(self, behind: str, token: str) -> None:
        self.broken: list[str] = []
        self.calls = 0
        self._behind = behind
        self._token = token
        self._server = start_server(self._answer)
        self.url = self._server.url_for("").rstrip("/")
        self.close = self._server.stop

    def _answer(self, request: Request) -> Response:
        body = request.get_data()
        self.calls += 1
        over = [] if request.headers.get("X-Chroma-Token") == self._token else ["no token"]
        over += self.over(json.loads(body)) if body else []
        self.broken += [f"{request.path.rpartition('/')[2]}: {each}" for each in over]
        if over:
            status, told = 422, json.dumps({"error": "QuotaError", "message": over[0]}).encode()
        else:
            status, told = self.pass_on(request.method, request.environ["REQUEST_URI"], body)
        return Response(told, status, content_type="application/json")

    def pass_on(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        """Status and body of what the server behind says."""
        headers = {"Content-Type": "application/json"} if body else {}
        reply = httpx.request(method, self._behind + path, content=body, headers=headers, timeout=60)
        return reply.status_code, reply.content

    def over(self, asked: dict[str, Any]) -> list[str]:
        """What of a call is over a limit."""
        sizes = {
            "rows": (max(len(asked.get("ids") or ()), asked.get("limit") or 0, asked.get("n_results") or 0), self.rows),
            "bytes of a document": (self._longest(asked.get("documents")), self.document),
            "bytes of an id": (self._longest(asked.get("ids")), self.name),
            "predicates": (_predicates(asked.get("where") or {}), self.predicates),
            "rows of a search": (
                max((one["limit"]["limit"] for one in asked.get("searches", ())), default=0),
                self.rows,
            ),
        }
        if "limit" in asked and asked["limit"] is None and not asked.get("ids"):
            sizes["rows, as no limit is given"] = (self.rows + 1, self.rows)
        for row in asked.get("metadatas") or ():
            sizes["metadata keys"] = (len(row or {}), self.keys)
            sizes["bytes of a metadata key"] = (self._longest(list(row or {})), self.key)
            values = [value for value in (row or {}).values() if isinstance(value, str)]
            sizes["bytes of a metadata value"] = (self._longest(values), self.value)
            if found := [f"{many} {what}" for what, (many, most) in sizes.items() if many > most]:
                return found
        return [f"{many} {what}" for what, (many, most) in sizes.items() if many > most]

    @staticmethod
    def _longest(texts: list[str] | None) -> int:
        return max((len((text or "").encode()) for text in texts or ()), default=0)


def _predicates(where: dict[str, Any]) -> int:
    return sum(sum(map(_predicates, value)) if key in ("$and", "$or") else 1 for key, value in where.items())
