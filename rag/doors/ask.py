"""`python -m rag ask`: a question in the terminal, answered here or by the app that holds the data folder."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import httpx

from rag.answers.told import MODELS_OWN
from rag.assistant import Assistant
from rag.doors.http import frames
from rag.errors import EngineUnreachable, StoreLocked
from rag.settings import Settings
from rag.text.links import without_addresses


async def ask(settings: Settings, question: str, only: list[str], as_json: bool) -> int:
    """Answer with an assistant of our own, or let the app that holds the data folder do it. Returns the exit code.

    Raises:
        RagError: the library cannot be opened, or the app that holds it does not answer.
    """
    assistant = Assistant(settings)
    try:
        assistant.start()
    except StoreLocked as error:
        if not error.url:
            raise
        return await _ask_app(error.url, error.token, question, only, as_json)
    try:
        updates = assistant.chain.astream({"question": question, "scope": only})
        async with aclosing(frames(updates)) as answer:
            return await _show((frame async for kind, frame in answer if kind != "silent"), as_json)
    finally:
        await asyncio.to_thread(assistant.close)


async def _ask_app(url: str, token: str, question: str, only: list[str], as_json: bool) -> int:
    """The same over `/stream` of the running app."""
    headers = {"Authorization": f"Bearer {token}"}
    try:
        async with httpx.AsyncClient(timeout=httpx.Timeout(30, read=None), trust_env=False) as client:
            body = {"question": question, "scope": only}
            async with client.stream("POST", f"{url}stream", json=body, headers=headers) as reply:
                if reply.status_code != 200:
                    data = json.loads(await reply.aread())
                    print(json.dumps(data) if as_json else data.get("error", data), file=sys.stderr)
                    return 1
                data_lines = (line.removeprefix("data: ") async for line in reply.aiter_lines() if line[:6] == "data: ")
                return await _show((json.loads(line) async for line in data_lines), as_json)
    except httpx.HTTPError as error:
        raise EngineUnreachable(f"The app at {url} holds the data folder and does not answer. Restart it.") from error
    except EOFError:
        raise EngineUnreachable(f"The app at {url} ended in the middle of the answer.") from None


async def _show(answer: AsyncIterator[dict[str, Any]], as_json: bool) -> int:
    """Print the frames of an answer as they come. Returns the exit code.

    Raises:
        EOFError: they end before the answer does.
    """
    text, terminal = "", Terminal()
    async for frame in answer:
        if "error" in frame:
            told = {"error": frame["error"], "code": frame["code"]}
            return _fail(told | ({"cut_off": True, "partial": text} if text else {}), text, as_json)
        text = ("" if "moved" in frame else text) + frame["message"]
        if frame.get("done"):
            _print_end(text, frame, as_json)
            return 0
        if not as_json:
            terminal.show(frame, text)
    raise EOFError


class Terminal:
    """Prints an answer as it grows: quotes, what the model thinks, and the text."""

    def __init__(self) -> None:
        self._printed = 0
        """Characters of the text."""
        self._opening = 0
        """Characters of the quotes that the text opens with."""
        self._others: list[dict[str, Any]] = []
        """The quotes, where it opens with some of them."""
        self._thinks = self._adds = False

    def show(self, frame: dict[str, Any], text: str) -> None:
        """Print what a frame adds to the answer, whose text is `text` by now."""
        if "quotes" in frame and frame["opening"]:
            self._others, self._opening = frame["quotes"], frame["opening"]
        elif "quotes" in frame and not frame["quoted"]:
            _show_quotes("From your sources:", frame["quotes"])
        if "moved" in frame:
            print(" … (the model was thinking until here)\n", flush=True)
            self._printed = min(self._printed, self._opening)
        if sys.stderr.isatty():
            self._show_thinking(frame)
        if len(text) < self._opening:
            return
        if self._printed < self._opening:
            self._show_opening(text[: self._opening])
        own = text[self._printed :]
        if self._opening and own and not self._adds:
            self._adds = True
            print(f"{MODELS_OWN}:")
            own = own.lstrip()
        print(own, end="", flush=True)
        self._printed = len(text)

    def _show_thinking(self, frame: dict[str, Any]) -> None:
        """Dimmed, and parted from what follows."""
        thought = f"\x1b[2m{frame['thinking']}\x1b[0m" if "thinking" in frame else "\n\n" * self._thinks
        print(thought, end="", file=sys.stderr, flush=True)
        self._thinks = "thinking" in frame

    def _show_opening(self, opening: str) -> None:
        """The quotes that the text opens with, and after them the others."""
        print(opening, end="\n\n")
        said = " ".join(opening.split())
        if others := [each for each in self._others if _words_of(each) not in said]:
            _show_quotes("Also in your sources:", others)
        self._printed = len(opening)


def _words_of(quote: dict[str, Any]) -> str:
    """A quote's words as an answer has them."""
    return " ".join(without_addresses(quote["text"]).split())


def _show_quotes(title: str, quotes: Sequence[dict[str, Any]]) -> None:
    """What the sources say, beside the model's answer; where a quote is the answer, it comes as such."""
    print(title)
    for quote in quotes:
        heading = f" {quote['heading']}" if quote["heading"] else ""
        print(f"  “{quote['row']}{quote['text']}” [{quote['passage']}]{heading}")
    print(flush=True)


def _fail(told: dict[str, Any], text: str, as_json: bool) -> int:
    """Say why there is no answer, after the part of it that had come. Returns the exit code."""
    if text and not as_json:
        print(" … (cut off)")
    print(json.dumps(told, ensure_ascii=False) if as_json else told["error"], file=sys.stderr)
    return 1


def _print_end(text: str, frame: dict[str, Any], as_json: bool) -> None:
    """What comes after an answer: which passage supports each sentence, and the passages."""
    if as_json:
        answer = {key: value for key, value in frame.items() if key not in ("message", "done")}
        print(json.dumps({"answer": text, **answer}, ensure_ascii=False))
        return
    if len(text) > frame["opening"]:
        print("\n")
    if frame["notice"]:
        print(f"{frame['notice']}\n")
    if frame["timings"]["thinking"] is not None:
        print(f"(thought for {frame['timings']['thinking']:.0f} s before)\n")
    if frame["doubtful"]:
        print("The sources support little of this: read the quotes first.\n")
    for sentence in frame["grounding"] or ():
        if sentence["supported"] is not None:
            mark = f"[{sentence['passage']}]" if sentence["supported"] else "[?]"
            missing = f" (not in the passages: {sentence['why']})" if sentence["why"] else ""
            print(f"{mark} {_in_short(sentence['text'])}{missing}")
    if any(sentence["supported"] is False for sentence in frame["grounding"] or ()):
        print("[?] no passage supports this")
    if frame["grounding"]:
        print()
    _print_passages(frame["sources"])


def _print_passages(passages: Sequence[Mapping[str, Any]]) -> None:
    """A line for each passage: its number, title and page, and where it is from."""
    for each in passages:
        page = f", page {each['page']}" if each["page"] else ""
        print(f"[{each['number']}] {each['title']}{page}  {each['link'] or each['source']}")


def _in_short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 100 else f"{text[:98]} …"
