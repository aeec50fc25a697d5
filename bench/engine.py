"""An Ollama without a model, in a process of its own: the real wire, at any speed, with numbered tokens.

`tests/ollama_server.py` speaks the whole protocol and stops wherever a test wants it to, which costs it about 0.1 ms a
token. This one is lean, so that the programs under measure and not the engine are at their limit. Fields, headers and
framing are Ollama's (docs/api.md; server/routes.go, streamResponse): NDJSON, each line flushed as an HTTP chunk of its
own; a client that hangs up ends the work.

A question that contains `stream 7, 200 tokens` is answered with 200 words that spell the stream's number and theirs, in
sentences, so that the reader sees which token of which stream was lost, doubled or swapped.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import Any

DIMENSION = 1024
"""Of mxbai-embed-large."""
SYLLABLES = ("ba", "co", "di", "fu", "ga", "he", "jo", "ku", "la", "me", "ni", "po", "ra", "si", "to", "vu")
ASKED = re.compile(rb"stream (\d+), (\d+) tokens")


SENTENCE = 15
"""Words."""


def spelled(number: int) -> str:
    """A number below 2 ** 20 as a word, each by another."""
    return "".join(SYLLABLES[int(digit, 16)] for digit in f"{number * 2_654_435_761 % 2**20:05x}")


def word(stream: int, number: int) -> str:
    """Token `number` of a stream's answer, with the space behind it."""
    first, last = not number % SENTENCE, number % SENTENCE == SENTENCE - 1
    text = spelled(stream * 1024 + number)
    return f"{text.capitalize() if first else text}{'. ' if last else ' '}"


def numbered_answer(stream: int, tokens: int) -> str:
    """What the engine answers to `stream N, M tokens`."""
    return "".join(word(stream, number) for number in range(tokens))


@lru_cache(4096)
def vector(text: str) -> str:
    """A vector of length 1 as JSON, always the same for a text: near to that of a text with the same words."""
    counts = Counter(zlib.crc32(word) % DIMENSION for word in re.findall(rb"\w{3,}", text.lower().encode()))
    length = sum(count * count for count in counts.values()) ** 0.5 or 1.0
    numbers = ["0"] * DIMENSION
    for place, count in counts.items():
        numbers[place] = f"{count / length:.6f}"
    return f"[{','.join(numbers)}]"


class Engine:
    """The routes that a chat needs. `tokens_per_second` is of each stream; 0: as fast as the reader takes them."""

    def __init__(self, tokens_per_second: float) -> None:
        self._pause = 1 / tokens_per_second if tokens_per_second else 0.0

    async def serve(self, port: int, told: Callable[[int], object]) -> None:
        """Serve on loopback until cancelled; `told` is called with the port."""
        server = await asyncio.start_server(self._connection, "127.0.0.1", port, backlog=1024)
        told(server.sockets[0].getsockname()[1])
        async with server:
            await server.serve_forever()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                method, path, _ = head.split(b" ", 2)
                length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
                body = await reader.readexactly(int(length[1])) if length else b""
                if path == b"/api/chat":
                    await self._chat(writer, body)
                else:
                    self._reply(writer, *self._answer(method.decode(), path.decode(), body))
                await writer.drain()
        writer.close()

    def _answer(self, method: str, path: str, body: bytes) -> tuple[str, bytes]:
        names = ("llama3:latest", "mxbai-embed-large:latest")
        if path == "/api/embed":
            asked = json.loads(body)
            texts = [asked["input"]] if isinstance(asked["input"], str) else asked["input"]
            rows = ",".join(map(vector, texts))
            model = json.dumps(asked["model"])
            return "200 OK", f'{{"model":{model},"embeddings":[{rows}],"prompt_eval_count":{len(texts)}}}'.encode()
        if path in ("/api/tags", "/api/ps"):
            details = {"family": "llama", "parameter_size": "8.0B", "quantization_level": "Q4_0"}
            models = [
                {"name": name, "model": name, "size": 1, "digest": f"{zlib.crc32(name.encode()):064x}"}
                | {"details": details, "modified_at": _now(), "expires_at": _now()}
                for name in names
            ]
            return "200 OK", json.dumps({"models": models}).encode()
        if path == "/api/show":
            embeds = "embed" in json.loads(body)["model"]
            told = {
                "model_info": {"general.architecture": "llama", "llama.context_length": 512 if embeds else 8192},
                "capabilities": ["embedding" if embeds else "completion"],
                "details": {"family": "llama"},
            }
            return "200 OK", json.dumps(told).encode()
        if path == "/api/version":
            return "200 OK", b'{"version":"0.24.0"}'
        if path == "/":
            return "200 OK", b"Ollama is running"
        return "404 Not Found", b'{"error":"not found"}'

    def _reply(self, writer: asyncio.StreamWriter, status: str, body: bytes) -> None:
        kind = "application/json; charset=utf-8"
        writer.write(
            f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        )

    async def _chat(self, writer: asyncio.StreamWriter, body: bytes) -> None:
        """One answer, a token a chunk. Other streams get their turn after every token, as they do from Ollama."""
        found = ASKED.search(body)
        stream, tokens = (int(found[1]), int(found[2])) if found else (0, 50)
        model = json.dumps(json.loads(body)["model"])
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n")
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for number in range(tokens):
            if self._pause:
                await asyncio.sleep(begun + self._pause * (number + 1) - loop.time())
            else:
                await asyncio.sleep(0)
            message = f'"message":{{"role":"assistant","content":"{word(stream, number)}"}},"done":false'
            _chunk(writer, f'{{"model":{model},"created_at":"{_now()}",{message}}}\n')
            await writer.drain()
        figures = f'"total_duration":{int((loop.time() - begun) * 1e9)},"load_duration":1,"prompt_eval_count":26'
        figures += f',"prompt_eval_duration":1,"eval_count":{tokens},"eval_duration":1'
        message = '"message":{"role":"assistant","content":""},"done_reason":"stop","done":true'
        _chunk(writer, f'{{"model":{model},"created_at":"{_now()}",{message},{figures}}}\n')
        writer.write(b"0\r\n\r\n")


def _chunk(writer: asyncio.StreamWriter, line: str) -> None:
    writer.write(f"{len(line):x}\r\n{line}\r\n".encode())


def _now() -> str:
    return datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")


class EngineProcess:
    """The engine in a process of its own, for a `with` block."""

    def __init__(self, tokens_per_second: float = 0.0) -> None:
        self._command = [sys.executable, "-m", "bench.engine", "--tokens-per-second", str(tokens_per_second)]
        self.url = ""

    def __enter__(self) -> EngineProcess:
        root = Path(__file__).resolve().parent.parent
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True, cwd=root)
        assert self._process.stdout
        self.url = self._process.stdout.readline().strip()
        return self

    def __exit__(self, *_: Any) -> None:
        self._process.kill()
        self._process.wait()


def main() -> None:
    """Serve until killed; the first line of output is the address."""
    parser = argparse.ArgumentParser("python -m bench.engine", description="an Ollama without a model")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tokens-per-second", type=float, default=0.0)
    flags = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(
            Engine(flags.tokens_per_second).serve(
                flags.port, lambda port: print(f"http://127.0.0.1:{port}", flush=True)
            )
        )


if __name__ == "__main__":
    main()
