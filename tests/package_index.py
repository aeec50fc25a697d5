"""A package index (PEP 503) on loopback, for pip, with the wheels that a test gives it."""

from __future__ import annotations

import contextlib
import http.server
import io
import os
import threading
import zipfile
from typing import Any

import pytest

from tests.loopback import LoopbackServer


class Index:
    """A package index on loopback, of the wheels in `wheels`, by file name.

    `stalls` downloads stop half-way until `go_on`, `cut` ones end there.
    """

    def __init__(self, wheels: dict[str, bytes]) -> None:
        self.wheels = wheels
        self.downloads = 0
        self.stalls = 0
        self.cut = False
        self.half_way = threading.Event()
        self.go_on = threading.Event()
        self.went_on = threading.Event()
        index = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if not self.path.endswith(".whl"):
                    package = self.path.rstrip("/").rpartition("/")[2].replace("-", "_")
                    names = [name for name in index.wheels if name.startswith(f"{package}-")]
                    page = "".join(f'<a href="/{name}">{name}</a>' for name in names)
                    self.answer(page.encode(), "text/html", status=200 if names else 404)
                    return
                index.downloads += 1
                wheel = index.wheels[self.path.strip("/")]
                half = len(wheel) // 2
                self.answer(wheel[:half], "application/octet-stream", len(wheel))
                stalled = index.stalls > 0
                if stalled:
                    index.stalls -= 1
                    index.half_way.set()
                    index.go_on.wait(60)
                if not index.cut:
                    with contextlib.suppress(OSError):  # the other side was killed
                        self.wfile.write(wheel[half:])
                if stalled:
                    index.went_on.set()

            def answer(self, data: bytes, kind: str, length: int | None = None, status: int = 200) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(length or len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = LoopbackServer(Handler)
        self.url = f"{self._server.url}/simple"

    def close(self) -> None:
        self.go_on.set()
        self._server.close()


def build_wheel(package: str, members: dict[str, bytes]) -> bytes:
    """A wheel of version 1.0 that holds those files."""
    data, info = io.BytesIO(), f"{package}-1.0.dist-info"
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: by hand\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return data.getvalue()


def only_index(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """pip's own settings, so that it knows that index and no other place."""
    for name in list(os.environ):
        if name.startswith("PIP_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for name, value in {"INDEX_URL": url, "RETRIES": "0", "CONFIG_FILE": os.devnull}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    monkeypatch.setenv("PIP_DISABLE_PIP_VERSION_CHECK", "1")
