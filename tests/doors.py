"""Every way to ask the app, and every way to leave it in the middle of an answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

import gradio_client
import httpx
from playwright.sync_api import TimeoutError as PageTimeout
from websockets.sync.client import connect

from rag.__main__ import main as command_line
from rag.answers.chain import REPEATS
from tests.commands import start
from tests.conftest import wait_until
from tests.ollama_server import OllamaServer, Record
from tests.serving import (
    PATIENCE,
    Served,
    frames,
    handshake,
)

Leave = Callable[[], Any]
"""Leaves; returns when it was sent, where that is later than the call: a browser may be at something else."""
Door = Callable[[Served], Leave]
Moment = Callable[[OllamaServer], Any]
"""What is entered for a moment: it has the engine's `path`, and `wait`s until somebody has come so far."""


def leave_predict(served: Served) -> Leave:
    return _leave_http(served, "GET /predict?query=What+is+a+plan HTTP/1.1", b"")


def leave_stream(served: Served) -> Leave:
    return _leave_http(served, "POST /stream HTTP/1.1", json.dumps({"question": "What is a plan?"}).encode())


def _leave_http(served: Served, first: str, body: bytes) -> Leave:
    address = httpx.URL(served.url)
    line = socket.create_connection((address.host, address.port or 80), 10)
    head = f"{first}\r\nHost: {address.host}:{address.port}\r\nContent-Type: application/json\r\n"
    line.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return line.close


def reset_line(served: Served, sent: bytes, *, upgrade: bool = False) -> Leave:
    """Ask on a connection that is then reset (RST), as by a cable or a process that is gone."""
    host, _, port = served.url.removeprefix("http://").rstrip("/").partition(":")
    line = socket.create_connection((host, int(port)), 10)
    if upgrade:
        line.sendall(handshake(f"{host}:{port}"))
        assert b" 101 " in line.recv(1000)
    line.sendall(sent.replace(b"%s", f"{host}:{port}".encode()))

    def leave() -> None:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        line.close()

    return leave


def leave_socket(served: Served) -> Leave:
    stack = contextlib.ExitStack()
    stack.enter_context(connect(served.socket_url, close_timeout=1)).send("What is a plan?")
    return stack.close


def leave_gradio(served: Served) -> Leave:
    client = gradio_client.Client(served.url, verbose=False, analytics_enabled=False)
    job = client.submit("What is a plan?", api_name="/chat")

    def leave() -> None:
        wait_until(lambda: job.communicator.event_id, 60)  # before, its `cancel` is not always heard
        job.cancel()
        client.close()

    return leave


def ask_on_page(page: Any) -> None:
    page.get_by_role("textbox", name="Question").fill("What is a plan?")
    page.get_by_role("textbox", name="Question").press("Enter")


def leave_page_by_stop(served: Served) -> Leave:
    browser = served.in_browser()

    def ask() -> None:
        browser.visit()
        with browser.page.expect_response("**/queue/data**"):  # before, the page does not know what it would stop
            ask_on_page(browser.page)

    browser.do(ask)
    stop = browser.page.locator("button.stop-button, .stop-button button").first
    browser.do(lambda: stop.wait_for(timeout=60_000))  # nobody can press it before it is there

    def press() -> float:
        # Where the answer is over there is no Stop to press: the try is lost then, which its caller sees.
        with contextlib.suppress(PageTimeout), browser.page.expect_request("**/cancel", timeout=5_000):
            # At once: Playwright's own click waits until nothing moves, and what is written moves the page.
            stop.dispatch_event("click", timeout=5_000)
        return time.monotonic()

    return lambda: browser.do(press)


def leave_page_by_closing_its_tab(served: Served) -> Leave:
    browser = served.in_browser()

    def open_tab() -> Any:
        tab = browser.page.context.new_page()
        tab.goto(served.url)
        with tab.expect_response("**/queue/data**"):  # before, there is no stream that could break
            ask_on_page(tab)
        return tab

    tab = browser.do(open_tab)
    return lambda: browser.do(lambda: tab.close())


def leave_command_line(served: Served) -> Leave:
    process = start("ask", "What is a plan?", "--data-dir", str(served.assistant.settings.data_dir))

    def leave() -> None:
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=30)
        assert process.returncode == 130
        assert "Traceback" not in told

    return leave


def leave_mcp(served: Served) -> Leave:
    loop = asyncio.new_event_loop()
    call = loop.create_task(call_mcp(served, "What is a plan?"))

    def run() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(call)

    thread = threading.Thread(target=run)
    thread.start()

    def leave() -> None:
        loop.call_soon_threadsafe(call.cancel)
        thread.join(30)
        loop.close()

    return leave


LEAVING = [
    leave_predict,
    leave_stream,
    leave_socket,
    leave_gradio,
    leave_page_by_stop,
    leave_page_by_closing_its_tab,
    leave_command_line,
    leave_mcp,
]


LEAVE_SECONDS = 1.0
"""Seconds after which whoever left is no longer worked for: what the README promises."""
TRIES = 5


def leave_once(served: Served, door: Door, moment: Moment) -> float:
    """Come to the moment, leave, and wait until Ollama's connection is closed. Returns the seconds that took."""
    before = len(served.server.requests)
    with moment(served.server) as gate:
        leave = door(served)
        gate.wait(timeout=60)
        left = time.monotonic()
        left = leave() or left

        def gone(record: Record) -> bool:
            new = record in served.server.requests[before:] and record.path == gate.path
            return new and record.finished == "client_gone"

        record = served.server.wait_for(gone, timeout=15)
    assert record.ended is not None
    wait_until(lambda: served.assistant.line.inside == 0, 60)
    assert served.server.open_streams == 0
    return record.ended - left


def within_a_second(leave: Callable[[], float]) -> None:
    """Leave, and see that what is done for it stops within a second."""
    soon(leave, LEAVE_SECONDS)


def soon(leave: Callable[[], float], most: float) -> None:
    """Leave, and see that it takes less than `most`, of seconds or of tokens.

    The best of some tries counts: where a machine is busy with others for a moment, one of them takes longer. An app
    that looks up too seldom is late each time, and one that does not look up at all ends no try.
    """
    took: list[float] = []
    while not took or (min(took) >= most and len(took) < TRIES):
        took.append(leave())
    assert min(took) < most, took


def by_predict(served: Served, question: str) -> dict[str, Any]:
    reply = httpx.get(f"{served.url}predict", params={"query": question, "sources": "true"}, timeout=PATIENCE)
    data: dict[str, Any] = reply.json()
    return data


def by_stream(served: Served, question: str) -> dict[str, Any]:
    reply = httpx.post(f"{served.url}stream", json={"question": question}, timeout=PATIENCE)
    if reply.status_code != 200:
        assert reply.status_code in (422, 429)
        refused: dict[str, Any] = reply.json()
        return refused
    return added([json.loads(line[6:]) for line in reply.text.splitlines() if line.startswith("data: ")])


def by_socket(served: Served, question: str) -> dict[str, Any]:
    with connect(served.socket_url) as ws:
        ws.send(question)
        return added(frames(ws))


def added(got: list[dict[str, Any]]) -> dict[str, Any]:
    return {**got[-1], "answer": "".join(frame.get("message", "") for frame in got)}


def by_mcp(served: Served, question: str) -> dict[str, Any]:
    return asyncio.run(call_mcp(served, question))


async def call_mcp(served: Served, question: str) -> dict[str, Any]:
    from mcp.client.session import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    async with streamable_http_client(f"{served.url}mcp") as streams, ClientSession(*streams[:2]) as session:
        await session.initialize()
        result = await session.call_tool("ask", {"question": question})
        if result.is_error:
            text = result.content[0].text  # type: ignore[union-attr]
            code, _, told = text.partition("ask: ")[2].partition(": ")
            return {"error": told, "code": code}
        return dict(result.structured_content or {})


def by_command_line(served: Served, question: str) -> dict[str, Any]:
    """The command finds the lock taken and lets the running app answer."""
    import io

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = command_line(["ask", question, "--json", "--data-dir", str(served.assistant.settings.data_dir)])
    told: dict[str, Any] = json.loads((out.getvalue() or err.getvalue()).strip().splitlines()[-1])
    assert (code == 0) == ("answer" in told)
    return told


def by_gradio_client(served: Served, question: str) -> dict[str, Any]:
    """Gradio's two names; they give the answer's text alone."""
    client = served.with_client()
    got: dict[str, Any]
    try:
        got = {"answer": client.predict(question, api_name="/chat")}
        assert client.predict(question, api_name="/predict") == got["answer"]
    except gradio_client.exceptions.AppError as error:
        got = {"error": error.message, "code": error.title}
    return got


WITHOUT_MARKS = """message => {
    message.querySelectorAll('a[href^="#"]').forEach(mark => mark.remove());
    return message.innerText;
}"""
"""In one go: what is written anew in between would have its marks again."""


def by_page(served: Served, question: str) -> dict[str, Any]:
    """The page in a browser, which is left then: a page that stands there takes a tenth of a processor."""
    try:
        return on_page(served, question)
    finally:
        browser = served.in_browser()
        browser.do(lambda: browser.page.goto("about:blank"))


def on_page(served: Served, question: str) -> dict[str, Any]:
    """What a person sees on the page of the answer, of its passages, of an error."""
    browser = served.in_browser()

    def ask() -> dict[str, Any]:
        page = browser.page
        page.goto(served.url)
        page.get_by_role("textbox", name="Question").fill(question)
        page.get_by_role("textbox", name="Question").press("Enter")
        note = page.locator("#conversation").get_by_text(re.compile("^(Sources ·|⚠)")).first
        note.wait_for(timeout=PATIENCE * 1000)
        shown = page.locator("#conversation .bot.message").first
        text = shown.evaluate(WITHOUT_MARKS)
        if folded := page.locator("#conversation").get_by_text("What the model made of it").all():
            folded[0].click()
            page.locator("#conversation .thought-group .content:visible").first.wait_for()
            text = shown.evaluate(WITHOUT_MARKS).partition("What the model made of it\n")[2]
        text = re.sub(r"^\s*Thinking, \d+ s\s*", "", text)  # it is folded
        text = text.strip().partition("\n")[0].strip()
        if (told := note.inner_text()).startswith("⚠"):
            return {"error": told.partition(": ")[2]}
        note.click()
        passages = page.locator("#conversation details > blockquote")
        found = ["".join(passage.split()) for passage in passages.all_text_contents()]
        return {"answer": text, "passages": found, "notice": REPEATS if REPEATS in told else ""}

    return browser.do(ask)


DOORS = [by_predict, by_stream, by_socket, by_mcp, by_command_line, by_gradio_client, by_page]


def agree(got: dict[str, Any], plain: dict[str, Any]) -> None:
    """What a door gives is what `/predict` gives, as far as the door shows it."""
    if "error" in plain:
        assert got["error"] == plain["error"]
        assert got.get("code", plain["code"]) == plain["code"]
        return
    assert got["answer"] == plain["answer"]
    assert got.get("notice", plain["notice"]) == plain["notice"]
    if "passages" in got:
        assert got["passages"] == ["".join(source["text"].split()) for source in plain["sources"]]
    else:
        assert got.get("sources", plain["sources"]) == plain["sources"]
