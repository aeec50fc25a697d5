"""A stand-in for the Hugging Face hub on loopback: what huggingface_hub 2.x asks for one file of a model's repository.

Routes, headers and error codes as https://huggingface.co has them: `HEAD` and `GET /OWNER/NAME/resolve/REVISION/FILE`,
`ETag`, `X-Repo-Commit`, ranges, and `X-Error-Code` where something is not there. Files are kept on the hub itself: no
redirect to a content network, no Xet.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import re
import threading
from typing import Any

from tests.loopback import LoopbackServer

COMMIT = "c0ffee" + "0" * 34


class HubServer:
    """`hub.files["OWNER/NAME/FILE"] = content`; `asked` is what came, as (method, path, range).

    `cut` downloads end half-way; with `refuse` every request gets that status; `gated` repositories give nothing.
    With `held` set to an event, a download stops half-way until it is set.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.gated: set[str] = set()
        self.asked: list[tuple[str, str, str]] = []
        self.cut = 0
        self.refuse = 0
        self.held: threading.Event | None = None
        self.half_way = threading.Event()
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                self.answer(False)

            def do_GET(self) -> None:
                self.answer(True)

            def answer(self, with_body: bool) -> None:
                wanted = self.headers.get("Range", "")
                hub.asked.append((self.command, self.path, wanted))
                found = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path)
                if hub.refuse or not found:
                    self.tell(hub.refuse or 404)
                    return
                repository, revision, path = found.groups()
                if repository in hub.gated:
                    self.tell(403, "GatedRepo")
                    return
                if not any(name.startswith(f"{repository}/") for name in hub.files):
                    self.tell(401, "RepoNotFound")  # as the hub answers who has not logged in
                    return
                if revision not in ("main", COMMIT):
                    self.tell(404, "RevisionNotFound")
                    return
                content = hub.files.get(f"{repository}/{path}")
                if content is None:
                    self.tell(404, "EntryNotFound")
                    return
                self.send(content, wanted, with_body)

            def send(self, content: bytes, wanted: str, with_body: bool) -> None:
                begin = int(match[1]) if (match := re.fullmatch(r"bytes=(\d+)-\d*", wanted)) else 0
                self.send_response(206 if begin else 200)
                self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
                self.send_header("X-Repo-Commit", COMMIT)
                self.send_header("X-Linked-Size", str(len(content)))
                self.send_header("Accept-Ranges", "bytes")
                self.send_header("Content-Length", str(len(content) - begin))
                if begin:
                    self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
                self.end_headers()
                if not with_body:
                    return
                half = (begin + len(content)) // 2
                with contextlib.suppress(OSError):  # the other side has gone
                    self.wfile.write(content[begin:half])
                    self.wfile.flush()
                    hub.half_way.set()
                    if hub.held:
                        hub.held.wait(60)
                    if hub.cut:
                        hub.cut -= 1
                        self.close_connection = True
                        return
                    self.wfile.write(content[half:])

            def tell(self, status: int, code: str = "") -> None:
                self.send_response(status)
                if code:
                    self.send_header("X-Error-Code", code)
                    self.send_header("X-Error-Message", code)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = LoopbackServer(Handler)
        self.url = self._server.url

    def close(self) -> None:
        if self.held:
            self.held.set()
        self._server.close()
