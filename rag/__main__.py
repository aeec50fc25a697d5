"""The command line: `python -m rag ask "question"`, `python -m rag mcp`."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

import httpx

from rag.api import done_frame, failure_of
from rag.assistant import Assistant
from rag.errors import EngineUnreachable, RagError, StoreLocked
from rag.settings import Settings, load_settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Returns the exit code: 0, or 1 where it failed with a line that says why."""
    parser = argparse.ArgumentParser(prog="python -m rag", description="Ask your pages and files from the terminal.")
    commands = parser.add_subparsers(dest="command", required=True)
    ask = commands.add_parser("ask", help="answer a question, streaming, with its sources at the end")
    ask.add_argument("question")
    ask.add_argument("--json", action="store_true", help="print one JSON object in place of text")
    mcp = commands.add_parser("mcp", help="serve the library to other assistants over MCP (standard input and output)")
    for command in (ask, mcp):
        command.add_argument("--source", action="append", dest="sources", metavar="URL_OR_PATH")
        command.add_argument("--model", metavar="PROVIDER:MODEL")
        command.add_argument("--embeddings", metavar="PROVIDER:MODEL")
        command.add_argument("--data-dir", metavar="FOLDER")
    given = vars(parser.parse_args(arguments))
    name = given.pop("command")
    question, as_json = given.pop("question", ""), given.pop("json", False)
    logging.basicConfig(level=logging.ERROR, format="%(message)s", stream=sys.stderr)
    try:
        settings = load_settings(**given)
        if name == "mcp":
            return _serve_mcp(settings)
        return asyncio.run(_ask(settings, question, as_json))
    except RagError as error:
        print(json.dumps(failure_of(error), ensure_ascii=False) if as_json else error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


async def _ask(settings: Settings, question: str, as_json: bool) -> int:
    """Answer with an assistant of our own, or let the app that holds the data folder do it."""
    assistant = Assistant(settings)
    try:
        assistant.start()
    except StoreLocked as error:
        if not error.url:
            raise
        return await _ask_app(settings, error.url, question, as_json)
    text = ""
    try:
        async with aclosing(assistant.stream_answer(question)) as updates:
            async for update in updates:
                text = update.text
                if not as_json:
                    print(update.new, end="", flush=True)
        _close(text, done_frame(update), as_json)
        return 0
    except RagError:
        if text and not as_json:
            print(" …")
        raise
    finally:
        await asyncio.to_thread(assistant.close)


async def _ask_app(settings: Settings, url: str, question: str, as_json: bool) -> int:
    """The same over `/stream` of the running app."""
    headers = {"Authorization": f"Bearer {settings.password}"} if settings.password else {}
    text = ""
    try:
        async with httpx.AsyncClient(timeout=httpx.Timeout(30, read=None), trust_env=False) as client:
            body = {"question": question}
            async with client.stream("POST", f"{url}stream", json=body, headers=headers) as reply:
                if reply.status_code != 200:
                    data = json.loads(await reply.aread())
                    print(json.dumps(data) if as_json else data.get("error", data), file=sys.stderr)
                    return 1
                async for line in reply.aiter_lines():
                    if not line.startswith("data: "):
                        continue
                    frame: dict[str, Any] = json.loads(line.removeprefix("data: "))
                    if "error" in frame:
                        told = {"error": frame["error"], "code": frame["code"]}
                        print(json.dumps(told, ensure_ascii=False) if as_json else told["error"], file=sys.stderr)
                        return 1
                    text += frame["message"]
                    if frame.get("done"):
                        _close(text, frame, as_json)
                        return 0
                    if not as_json:
                        print(frame["message"], end="", flush=True)
    except httpx.HTTPError as error:
        raise EngineUnreachable(f"The app at {url} holds the data folder and does not answer. Restart it.") from error
    raise EngineUnreachable(f"The app at {url} ended in the middle of the answer.")


def _close(text: str, frame: dict[str, Any], as_json: bool) -> None:
    if as_json:
        answer = {"answer": text, "sources": frame["sources"], "timings": frame["timings"]}
        print(json.dumps(answer, ensure_ascii=False))
        return
    print("\n")
    for source in frame["sources"]:
        page = f", page {source['page']}" if source["page"] else ""
        print(f"[{source['number']}] {source['title']}{page}  {source['source']}")


def _serve_mcp(settings: Settings) -> int:
    from rag.mcp_server import build_mcp_server

    assistant = Assistant(settings)
    server = build_mcp_server(assistant)
    assistant.start()
    try:
        server.run("stdio")
        return 0
    finally:
        assistant.close()


if __name__ == "__main__":
    sys.exit(main())
