"""A server on loopback for handlers that need the socket itself: to stop half-way, cut off, or speak oddly."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable


class LoopbackServer:
    """Serves with a handler of `http.server`'s, a thread a connection, until it is closed."""

    def __init__(self, handler: Callable[..., http.server.BaseHTTPRequestHandler]) -> None:
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
