"""Web pages on loopback, served by a process of their own: their server costs the app no time of its interpreter."""

from __future__ import annotations

import functools
import http.server
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench.programs import ROOT


@functools.cache
def sentences() -> tuple[str, ...]:
    """The sentences of the bundled guide, of which synthetic pages are made: prose as tokenizers and models know it."""
    text = (ROOT / "rag" / "guide.md").read_text(encoding="utf-8")
    found = re.split(r"(?<=[.!?])\s+|\n+", re.sub(r"^#.*$", "", text, flags=re.M))
    return tuple(dict.fromkeys(each for each in found if len(each) > 40))


def made_text(number: int, characters: int) -> str:
    """Text `number`, always the same: sentences in an order of its own, with a word that only it has now and then."""
    chosen = random.Random(number)
    parts: list[str] = []
    length = 0
    while length < characters:
        sentence = chosen.choice(sentences())
        if not len(parts) % 5:
            sentence = f"Item {number}-{len(parts)}: {sentence}"
        parts.append(sentence)
        length += len(sentence) + 1
    return "\n".join(" ".join(parts[start : start + 6]) for start in range(0, len(parts), 6))


def made_page(number: int, characters: int) -> str:
    """A page of HTML as the article's program expects it."""
    body = "".join(f"<p>{line}</p>" for line in made_text(number, characters).splitlines())
    title = f'<h1 class="post-title">Page {number}</h1>'
    return f'<html><head><title>Page {number}</title></head><body>{title}<div class="post-content">{body}</div></body>'


@contextmanager
def served_pages(characters: int) -> Iterator[str]:
    """A web server on loopback; `URL/N` is page N."""
    command = [sys.executable, "-m", "bench.pages", str(characters)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def main() -> None:
    """Serve until killed; the first line of output is the address."""
    characters = int(sys.argv[1])

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found = re.fullmatch(r"/(\d+)", self.path)
            body = made_page(int(found[1]), characters).encode() if found else b""
            tag = f'"{found[1]}"' if found else ""
            same = bool(found) and self.headers.get("If-None-Match") == tag
            self.send_response(304 if same else 200 if found else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("ETag", tag)
            self.send_header("Content-Length", "0" if same else str(len(body)))
            self.end_headers()
            if not same:
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
