"""Faults of the engine through every door: each is told in words, what had come stays, and nothing is left running."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import gradio_client
import httpx
import pytest
from websockets.sync.client import connect

from tests.commands import run
from tests.conftest import ROOT, wait_until
from tests.doors import (
    DOORS,
    agree,
    by_command_line,
    by_gradio_client,
    by_page,
    by_predict,
    by_socket,
    by_stream,
    on_page,
)
from tests.ollama_server import LOADING
from tests.serving import ANSWER, Served, frames, serve

Door = Callable[[Served, str], dict[str, Any]]
HALF = "".join(ANSWER[:2])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rag.answers.stream.IDLE_PART", 25)
        made = serve(tmp_path_factory.mktemp("served"), mcp=True, first_token_timeout=20)
        yield made
        made.close()


FAULTS = [
    # kind, tokens before it, more of it, code, words that name the cause and what to do
    ("error", 0, {"status": 500}, "engine_failed", "unexpectedly stopped"),
    ("error", 0, {"status": 503, "text": "server busy, please try again"}, "engine_busy", "Ask again in a moment"),
    ("html", 0, {}, "engine_failed", "not its protocol. Is another program there?"),
    ("malformed", 2, {}, "engine_failed", "not its protocol"),
    ("list", 2, {}, "engine_failed", "not its protocol"),
    ("reset", 2, {}, "engine_failed", "closed the connection in the middle. Ask again"),
    ("stall", 2, {}, "engine_stalled", "in the middle of the answer. Ask again"),
]


def through(doors: list[Door]) -> Iterator[Any]:
    """Faults and doors: all of them in the long run, every third one in the short, without the page.

    It shows each error as it comes from the stream; what it shows is looked at in the test after this one.
    """
    for number, (fault, door) in enumerate(itertools.product(FAULTS, doors)):
        marks = [pytest.mark.soak] if number % 3 or door is by_page else []
        yield pytest.param(door, *fault, id=f"{door.__name__} {fault[0]} {fault[1]}", marks=marks)


@pytest.mark.parametrize(("door", "kind", "after", "more", "code", "words"), list(through(DOORS)))
def test_a_fault_is_told_and_the_next_question_works(
    served: Served, door: Door, kind: Any, after: int, more: dict[str, Any], code: str, words: str
) -> None:
    served.server.fail(kind, after=after, times=1, **more)
    got = door(served, "What is a plan?")
    assert words in got["error"]
    assert served.server.url in got["error"]
    assert got.get("code", code) == code
    assert "Traceback" not in got["error"] and str(ROOT) not in got["error"]
    if after and "partial" in got:
        assert got["partial"] == HALF
    if door is by_predict:
        assert got["quotes"], "what was found before the model failed"
    if after and door in (by_predict, by_stream, by_socket):
        assert got["cut_off"] is True
        assert got.get("partial") == (HALF if door is by_predict else None)
        assert got.get("answer") == (None if door is by_predict else HALF)
    elif not after:
        assert "cut_off" not in got
    assert by_predict(served, "What is a plan?")["answer"] == "".join(ANSWER)


def test_what_had_come_stays_on_the_page_marked_and_with_gradios_client(served: Served) -> None:
    served.server.fail("reset", after=2, times=1)
    browser = served.in_browser()
    assert "closed the connection" in on_page(served, "What is a plan?")["error"]
    shown = browser.do(lambda: browser.page.locator("#conversation").inner_text())
    browser.do(lambda: browser.page.goto("about:blank"))
    assert f"{HALF.strip()} …" in shown and "⚠ Cut off" in shown
    served.server.fail("reset", after=2, times=1)
    client = gradio_client.Client(served.url, verbose=False, analytics_enabled=False)
    job = client.submit("What is a plan?", api_name="/chat")
    with pytest.raises(Exception, match="closed the connection"):
        job.result(timeout=30)
    assert job.outputs()[-1] == HALF
    client.close()


def test_the_command_line_prints_what_had_come_and_marks_it(served: Served) -> None:
    served.server.fail("reset", after=2, times=1)
    told = run(served.assistant.settings.data_dir.parent, "ask", "What is a plan?")
    assert told.returncode == 1
    assert told.stdout.startswith("From your sources:\n")
    assert told.stdout.endswith(f"\n\n{HALF} … (cut off)\n")
    assert "closed the connection" in told.stderr and len(told.stderr.splitlines()) == 1


@pytest.mark.parametrize("door", [by_stream, by_socket, by_gradio_client])
def test_a_slow_load_is_waited_for(served: Served, door: Door) -> None:
    """The model takes longer than the idle limit to load: that limit is for the middle of an answer."""
    served.server.unload()
    got: list[dict[str, Any]] = []
    with served.server.hold(after=LOADING) as gate:
        asking = threading.Thread(target=lambda: got.append(door(served, "What is a plan?")))
        asking.start()
        gate.wait(timeout=30)
        asking.join(1.2)
        assert asking.is_alive()
        gate.release()
        asking.join(30)
    assert got[0]["answer"] == "".join(ANSWER)


@pytest.mark.soak
def test_a_minute_of_loading_is_waited_for_at_every_door(tmp_path: Path) -> None:
    """More ask than there are places: those in line wait as long."""
    made = serve(tmp_path, mcp=True)
    doors = [door for door in DOORS if door is not by_command_line]  # which is one thread's: it takes the output
    try:
        made.server.unload()
        with ThreadPoolExecutor(len(doors)) as pool, made.server.hold(after=LOADING) as gate:
            asked = {door.__name__: pool.submit(door, made, "What is a plan?") for door in doors}
            gate.wait(timeout=60)
            began = time.monotonic()
            assert not wait(asked.values(), 60, FIRST_COMPLETED).done, "one did not wait"
            gate.release()
            got = {name: asking.result(60) for name, asking in asked.items()}
        print(f"\nheld for {time.monotonic() - began:.0f} s: {', '.join(got)}")
        assert {name: each.get("answer") for name, each in got.items()} == dict.fromkeys(asked, "".join(ANSWER))
    finally:
        made.close()


def test_ollama_stopped_and_started_again(served: Served) -> None:
    """Every door says so while it is gone, and answers after it has come back, without a restart of the app.

    The page does in `test_browser.py`.
    """
    doors = [door for door in DOORS if door is not by_page]
    served.server.stop()
    wait_until(lambda: not served.assistant.ready, 60)
    plain = by_predict(served, "What is a plan?")
    assert plain["code"] == "engine_unreachable"
    assert "ollama serve" in plain["error"] and served.server.url in plain["error"]
    for door in doors:
        agree(door(served, "What is a plan?"), plain)
    served.server.start()
    wait_until(lambda: served.assistant.ready, 60, lambda: str(served.assistant.status()))
    for door in doors:
        assert door(served, "What is a plan?")["answer"] == "".join(ANSWER)


def test_the_model_removed_in_the_middle_of_a_conversation(served: Served) -> None:
    """One socket: an answer, the model is removed, the fault in words, it is pulled again, the next answer."""
    with connect(served.socket_url) as ws:
        ws.send("What is a plan?")
        assert "".join(frame["message"] for frame in frames(ws)) == "".join(ANSWER)
        spec = served.server.models.pop("llama3")
        ws.send("And now?")
        told = frames(ws)[-1]
        assert told["code"] == "model_missing" and "ollama pull llama3" in told["error"]
        served.server.models["llama3"] = spec
        wait_until(lambda: served.assistant.ready, 60)
        ws.send("And now?")
        assert "".join(frame["message"] for frame in frames(ws)) == "".join(ANSWER)


# -- nothing is left ---------------------------------------------------------------------------------------------


def by_leaving_the_stream(served: Served, question: str) -> dict[str, Any]:
    """Hang up after the first piece, or before it where none comes."""
    with contextlib.suppress(httpx.HTTPError):
        with httpx.stream("POST", f"{served.url}stream", json={"question": question}, timeout=0.5) as reply:
            for _ in reply.iter_lines():
                break
    return {}


def left(served: Served) -> dict[str, int]:
    """What is open in the app's process, which is this one."""
    gc.collect()
    tasks = [item for item in gc.get_objects() if isinstance(item, asyncio.Task) and not item.done()]
    found = {"tasks": len(tasks), "streams": served.server.open_streams, "places": served.assistant.line.inside}
    if os.path.isdir("/proc/self/fd"):
        found["files"] = len(os.listdir("/proc/self/fd"))
    return found


@pytest.mark.timeout(240)
@pytest.mark.parametrize("count", [40, pytest.param(200, marks=pytest.mark.soak)])
def test_many_faulty_rounds_leave_nothing(served: Served, caplog: pytest.LogCaptureFixture, count: int) -> None:
    client = gradio_client.Client(served.url, verbose=False, analytics_enabled=False)

    def by_one_client(_: Served, question: str) -> dict[str, Any]:
        with contextlib.suppress(gradio_client.exceptions.AppError):
            client.predict(question, api_name="/chat")
        return {}

    doors: list[Door] = [by_predict, by_stream, by_socket, by_leaving_the_stream, by_one_client]
    kinds = itertools.cycle(["error", "malformed", "reset", "cut", "no_done", "html", "length", "stall"])

    def rounds(times: int) -> None:
        for number in range(times):
            kind: Any = next(kinds)
            if kind == "stall" and number % 40 != 7:  # each takes the limit for silence
                kind = "error"
            fault = served.server.fail(kind, after=number % 3, times=1)
            doors[number % len(doors)](served, "What is a plan?")
            fault.times = 0
        served.server.wait_until(lambda: served.server.open_streams == 0, 60)
        wait_until(lambda: served.assistant.line.inside == 0, 60)

    rounds(10)  # each door twice, and one silence
    before = left(served)
    rounds(count)
    wait_until(lambda: all(left(served)[name] <= count + 5 for name, count in before.items()), 60)
    after = left(served)
    print(json.dumps({"before": before, "after": after}))
    assert all(after[name] <= count + 5 for name, count in before.items()), (before, after)
    client.close()
    assert by_predict(served, "What is a plan?")["answer"] == "".join(ANSWER)
    assert not [record for record in caplog.records if record.exc_info], "a traceback is in the log"
