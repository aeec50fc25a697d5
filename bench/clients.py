"""The readers of the streaming parts, in a process of their own: many streams at once, every token accounted for."""

from __future__ import annotations

import argparse
import asyncio
import json
import threading
import time
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from bench.engine import numbered_answer

STREAM_SECONDS = 240.0


@dataclass
class Reading:
    """One stream: seconds since all began of question, first token and end, and what came."""

    stream: int
    asked: float = 0.0
    first: float = 0.0
    ended: float = 0.0
    updates: int = 0
    text: str = ""
    error: str = ""


def question_for(stream: int, tokens: int) -> str:
    """A question that the engine answers with numbered tokens."""
    return f"What is task decomposition? (stream {stream}, {tokens} tokens)"


async def read_sockets(url: str, streams: int, tokens: int) -> list[Reading]:
    """A question on each of many WebSockets, all at once."""
    import websockets

    address = url.replace("http://", "ws://") + "/chat"
    sockets = [await websockets.connect(address, proxy=None, ping_interval=None) for _ in range(streams)]
    began = time.monotonic()

    async def read(number: int) -> Reading:
        reading = Reading(number)
        expected = len(numbered_answer(number, tokens))
        reading.asked = time.monotonic() - began
        await sockets[number].send(question_for(number, tokens))
        while len(reading.text) < expected:
            frame = json.loads(await sockets[number].recv())
            if "error" in frame or frame.get("done"):
                reading.error = str(frame.get("error", f"ended early: {reading.text[:200]}"))
                break
            reading.updates += 1
            reading.text += frame["message"]
            if reading.text and not reading.first:  # the frame with the quotes comes before, without text
                reading.first = time.monotonic() - began
        reading.ended = time.monotonic() - began
        return reading

    readings = await asyncio.wait_for(asyncio.gather(*map(read, range(streams))), STREAM_SECONDS)
    for socket in sockets:
        await socket.close()
    return readings


def read_jobs(url: str, streams: int, tokens: int) -> list[Reading]:
    """A question through each of many `gradio_client`s, as of so many users, all at once."""
    from gradio_client import Client

    clients = [Client(url, verbose=False, ssl_verify=False) for _ in range(streams)]
    readings = [Reading(number) for number in range(streams)]
    began = time.monotonic()

    def read(number: int) -> None:
        reading = readings[number]
        reading.asked = time.monotonic() - began
        try:
            for text in clients[number].submit(question_for(number, tokens), api_name="/chat"):
                reading.updates += 1
                reading.text = text
                if text and not reading.first:
                    reading.first = time.monotonic() - began
        except Exception as error:
            reading.error = f"{type(error).__name__}: {error}"
        reading.ended = time.monotonic() - began

    threads = [threading.Thread(target=read, args=(number,), daemon=True) for number in range(streams)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(STREAM_SECONDS)
    return readings


def wrong_tokens(reading: Reading, tokens: int) -> int:
    """Tokens that are lost, doubled or not in their place."""
    expected = numbered_answer(reading.stream, tokens).split()
    came = reading.text.split()
    return sum(one != other for one, other in zip(expected, came)) + abs(len(expected) - len(came))  # noqa: B905


def figures(readings: list[Reading], tokens: int) -> dict[str, Any]:
    """Of all streams together."""
    waits = sorted(reading.first - reading.asked for reading in readings if reading.first)
    ended = max(reading.ended for reading in readings)
    began = min(reading.asked for reading in readings)
    return {
        "tokens_per_second": len(readings) * tokens / (ended - began),
        "first_token_median": waits[len(waits) // 2] if waits else None,
        "first_token_p99": waits[min(len(waits) - 1, int(len(waits) * 0.99))] if waits else None,
        "stream_seconds": median(reading.ended - reading.first for reading in readings),
        "updates": sum(reading.updates for reading in readings),
        "wrong_tokens": sum(wrong_tokens(reading, tokens) for reading in readings),
        "seconds": ended - began,
        "errors": sorted({reading.error for reading in readings if reading.error}),
    }


def main() -> None:
    """Read, and print the figures as JSON."""
    parser = argparse.ArgumentParser("python -m bench.clients")
    parser.add_argument("door", choices=("ws", "gradio"))
    parser.add_argument("url")
    parser.add_argument("streams", type=int)
    parser.add_argument("tokens", type=int)
    flags = parser.parse_args()
    if flags.door == "ws":
        readings = asyncio.run(read_sockets(flags.url, flags.streams, flags.tokens))
    else:
        readings = read_jobs(flags.url, flags.streams, flags.tokens)
    print(json.dumps({**figures(readings, flags.tokens), "first": asdict(readings[0])["text"][:40]}))


if __name__ == "__main__":
    main()
