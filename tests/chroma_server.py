"""A real Chroma server for the tests: `chroma run` on loopback, with a folder of its own."""

from __future__ import annotations

import http.server
import json
import math
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

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


class Quotas:
    """Chroma Cloud's limits on one call, as it publishes them, in front of a real server; `broken` lists who went over.

    Cloud itself cannot be had in a test: this tells only that the app keeps within what is published.
    """

    rows, document, value, key, keys, name, predicates = 300, 16_384, 4_096, 36, 32, 128, 8

    def __init__(self, behind: str, token: str) -> None:
        self.broken: list[str] = []
        self.calls = 0
        self._behind = behind
        quotas = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                quotas.calls += 1
                over = [] if self.headers.get("X-Chroma-Token") == token else ["no token"]
                over += quotas.over(json.loads(body)) if body else []
                quotas.broken += [f"{self.path.rpartition('/')[2]}: {each}" for each in over]
                if over:
                    self.send(422, json.dumps({"error": "QuotaError", "message": over[0]}).encode())
                    return
                self.send(*quotas.pass_on(self.command, self.path, body))

            do_GET = do_POST = do_PUT = do_DELETE = answer

            def send(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

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

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Cloud(Quotas):
    """With sparse vectors and `search` as Chroma's documentation has them, which `chroma run` refuses.

    They are kept here, out of the real server's sight; BM25 is counted over the rows that it has.
    """

    def __init__(self, behind: str, token: str) -> None:
        self.searches = 0
        self._vectors: dict[str, dict[str, Any]] = {}
        super().__init__(behind, token)

    def pass_on(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        """What a call comes to."""
        asked = json.loads(body) if body else {}
        collection, _, call = path.rpartition("/")
        kept = self._vectors.setdefault(collection, {})
        schema = asked.pop("schema", None) if call == "collections" else None
        if schema:
            asked["configuration"] = {
                "hnsw": {"space": schema["defaults"]["float_list"]["vector_index"]["config"]["space"]}
            }
        if call == "search":
            self.searches += 1
            return 200, json.dumps(self._searched(collection, asked["searches"])).encode()
        if call in ("add", "upsert"):
            for row, metadata in zip(asked["ids"], asked["metadatas"], strict=True):
                sparse = {key: value for key, value in metadata.items() if isinstance(value, dict)}
                kept[row] = sparse
                for key in sparse:
                    del metadata[key]
        status, reply = super().pass_on(method, path, json.dumps(asked).encode() if body else b"")
        data = json.loads(reply) if reply and status < 300 and (schema or call in ("get", "query")) else None
        if data is None:
            return status, reply
        if schema:
            data["schema"] = schema
        elif data.get("metadatas"):
            rows = (
                [(data["ids"], data["metadatas"])]
                if call == "get"
                else zip(data["ids"], data["metadatas"], strict=True)
            )
            for ids, metadatas in rows:
                for row, metadata in zip(ids, metadatas, strict=True):
                    metadata |= kept.get(row, {})
        return status, json.dumps(data).encode()

    def _searched(self, collection: str, searches: list[dict[str, Any]]) -> dict[str, Any]:
        found = []
        for search in searches:
            knn = search["rank"]["$knn"]
            asked = {"where": search["filter"] or None, "include": []}
            _, reply = super().pass_on("POST", f"{collection}/get", json.dumps(asked).encode())
            there = json.loads(reply)["ids"]
            rows = {row: self._vectors[collection].get(row, {}).get(knn["key"]) for row in there}
            vectors = {
                row: dict(zip(each["indices"], each["values"], strict=True)) for row, each in rows.items() if each
            }
            scores: dict[str, float] = {}
            for number, weight in zip(knn["query"]["indices"], knn["query"]["values"], strict=True):
                having = [row for row, vector in vectors.items() if number in vector]
                rare = math.log(1 + (len(vectors) - len(having) + 0.5) / (len(having) + 0.5))
                for row in having:
                    scores[row] = scores.get(row, 0.0) + weight * vectors[row][number] * rare
            best = sorted(scores, key=lambda row: -scores[row])[: min(knn["limit"], search["limit"]["limit"])]
            found.append((best, [-scores[row] for row in best]))
        none = [None] * len(found)
        ids, marks = [each for each, _ in found], [each for _, each in found]
        return {"ids": ids, "scores": marks, "documents": none, "embeddings": none, "metadatas": none, "select": none}


def _predicates(where: dict[str, Any]) -> int:
    return sum(sum(map(_predicates, value)) if key in ("$and", "$or") else 1 for key, value in where.items())
