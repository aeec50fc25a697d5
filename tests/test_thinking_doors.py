"""What each door shows of a model that thinks: its thinking as a field of its own, and never in the answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from rag.page.conversation import show_answer
from rag.page.export import conversation_as_markdown
from rag.page.history import as_messages
from tests.browser import copied_from
from tests.conftest import wait_until
from tests.doors import DOORS, added, by_page
from tests.ollama_server import LLAMA3, OllamaServer
from tests.serving import ANSWER, PATIENCE, Served, frames, serve

QUESTION = "What is a plan?"
TEXT = "".join(ANSWER)
THOUGHTS = ["The notes ", "say <it>", "."]
KINDS = {
    "plain": ("never", "", False),
    "can be turned off": ("unless told not to", "", False),
    "cannot be turned off": ("always", "", True),
    "inline": ("never", "<think>", True),
    "inline, with the opening tag in the prompt": ("never", "", True),
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = serve(tmp_path_factory.mktemp("thinking"), mcp=True)
    yield made
    made.close()


def use(served: Served, kind: str) -> bool:
    """Let Ollama's model be of a kind, from now on; whether it thinks without being asked to."""
    thinks, opening, shown = KINDS[kind]
    server: OllamaServer = served.server
    inline = [*filter(None, [opening]), *THOUGHTS, "\n</think>\n\n"] if kind.startswith("inline") else []
    server.models["llama3"] = replace(LLAMA3, thinks=thinks)
    server.thoughts = THOUGHTS
    server.reply = lambda messages: [*inline, *ANSWER]
    served.assistant.models.build_chat()
    assert served.assistant.service.index
    served.assistant.chains.link(served.assistant.service.index, served.assistant.models.chat)
    return shown


def last_chat(served: Served) -> Any:
    """What Ollama was asked last."""
    return [record.body for record in served.server.requests if record.path == "/api/chat"][-1]


def through_doors() -> Iterator[Any]:
    """Kinds and doors: all in the long run, every second one in the short."""
    for number, kind in enumerate(KINDS):
        for place, door in enumerate(door for door in DOORS if door is not by_page):
            marks = [pytest.mark.soak] if (number + place) % 2 else []
            yield pytest.param(kind, door, id=f"{door.__name__} {kind}", marks=marks)


@pytest.mark.parametrize(("kind", "door"), list(through_doors()))
def test_the_answer_is_without_it_and_the_field_has_it(served: Served, kind: str, door: Any) -> None:
    shown = use(served, kind)
    for _ in range(2):  # once a model was seen to begin within its thinking, that is known of it
        got = door(served, QUESTION)
    assert got["answer"] == TEXT
    if "timings" in got:
        assert got["thinking"].strip() == ("".join(THOUGHTS) if shown else "")
        assert (got["timings"]["thinking"] is not None) == shown


def test_it_comes_while_it_is_thought(served: Served) -> None:
    use(served, "cannot be turned off")
    with served.server.hold(after=2) as gate, connect(served.socket_url) as ws:
        ws.send(QUESTION)
        gate.wait()
        got: list[dict[str, Any]] = []
        while "".join(frame.get("thinking") or "" for frame in got) != "".join(THOUGHTS[:2]):
            got.append(json.loads(ws.recv(timeout=PATIENCE)))  # while the engine is silent
        gate.release()
        rest = frames(ws)
    assert added([*got, *rest])["answer"] == TEXT


def test_what_seemed_to_be_the_answer_is_taken_back_once(served: Served) -> None:
    use(served, "inline, with the opening tag in the prompt")
    with served.server.hold(after=2) as gate, connect(served.socket_url) as ws:
        ws.send(QUESTION)
        gate.wait()
        got = [json.loads(ws.recv(timeout=PATIENCE))]
        while "".join(frame["message"] for frame in got) != "".join(THOUGHTS[:2]):
            got.append(json.loads(ws.recv(timeout=PATIENCE)))
        gate.release()
        got += frames(ws)
    moved = next(number for number, frame in enumerate(got) if frame.get("moved"))
    assert "".join(frame["message"] for frame in got[moved:]) == TEXT
    assert got[-1]["thinking"].strip() == "".join(THOUGHTS)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("effort", ["none", "high"])
def test_as_a_model_for_others_it_thinks_as_they_ask(served: Served, stream: bool, effort: str) -> None:
    use(served, "can be turned off")
    asked = {"messages": [{"role": "user", "content": QUESTION}], "stream": stream, "reasoning_effort": effort}
    reply = httpx.post(f"{served.url}v1/chat/completions", json=asked, timeout=PATIENCE)
    if stream:
        lines = [line[6:] for line in reply.text.splitlines() if line.startswith("data: {")]
        deltas = [choice["delta"] for line in lines for choice in json.loads(line)["choices"]]
        message = {
            name: "".join(delta.get(name) or "" for delta in deltas) for name in ("content", "reasoning_content")
        }
    else:
        message = reply.json()["choices"][0]["message"]
    assert message["content"] == TEXT
    assert message.get("reasoning_content", "") == ("".join(THOUGHTS) if effort == "high" else "")
    assert last_chat(served)["think"] == ("high" if effort == "high" else False)


def test_what_a_client_wishes_reaches_the_prompt_below_the_rules(served: Served) -> None:
    use(served, "plain")
    asked: dict[str, Any] = {
        "messages": [{"role": "system", "content": "Answer in French."}, {"role": "user", "content": QUESTION}],
        "temperature": 0.7,
    }
    httpx.post(f"{served.url}v1/chat/completions", json=asked, timeout=PATIENCE).raise_for_status()
    body = last_chat(served)
    system = body["messages"][0]["content"]
    assert system.index("nothing else") < system.index("Answer in French.")
    assert body["options"]["temperature"] == 0.7
    httpx.get(f"{served.url}predict", params={"query": QUESTION}, timeout=PATIENCE).raise_for_status()
    body = last_chat(served)
    assert "French" not in body["messages"][0]["content"]
    assert body["options"]["temperature"] == 0


def test_on_the_page_it_is_folded_and_not_copied(served: Served) -> None:
    use(served, "cannot be turned off")
    browser = served.in_browser()

    def ask() -> tuple[str, str, list[str]]:
        page = browser.visit()
        page.get_by_role("textbox", name="Question").fill(QUESTION)
        page.get_by_role("textbox", name="Question").press("Enter")
        conversation = page.locator("#conversation")
        conversation.get_by_text("Sources ·").first.wait_for(timeout=PATIENCE * 1000)
        conversation.get_by_text("".join(THOUGHTS)).first.wait_for(state="hidden")  # it folds a moment later
        folded = conversation.get_by_text("Thinking, ").first
        before = conversation.inner_text()
        folded.click()
        conversation.get_by_text("".join(THOUGHTS)).first.wait_for()
        copied = copied_from(page)
        after = conversation.inner_text()
        page.goto("about:blank")
        return before, after, copied

    before, after, copied = browser.do(ask)
    assert "".join(THOUGHTS) not in before
    assert "".join(THOUGHTS) in after
    for text in copied:
        assert TEXT in text
        assert not any(thought.strip(" .") in text for thought in THOUGHTS[:2]), text
        assert "Thinking" not in text and "\u2063" not in text


def test_a_model_that_only_thought_is_said_to_have_done_so(served: Served) -> None:
    use(served, "cannot be turned off")
    served.server.reply = lambda messages: []
    reply = httpx.get(f"{served.url}predict", params={"query": QUESTION}, timeout=PATIENCE)
    assert reply.status_code == 502
    assert "thought, and gave no answer. Ask again, or with thinking off." in reply.text


def test_it_is_in_no_history_and_no_export(served: Served) -> None:
    use(served, "cannot be turned off")
    updates: list[Any] = []

    async def ask() -> None:
        async for update in served.assistant.chain.astream({"question": QUESTION}):
            updates.append(update)

    asyncio.run(ask())
    turns = [
        {"role": "assistant", "content": shown.content, "metadata": dict(shown.metadata or {})}
        for shown in show_answer(updates[-1], QUESTION)
    ]
    assert any("Thinking, " in str(turn["metadata"].get("title")) for turn in turns)
    assert THOUGHTS[0].strip() not in str(as_messages(turns))
    assert THOUGHTS[0].strip() not in conversation_as_markdown(turns)
    wait_until(lambda: served.assistant.line.inside == 0, 60)
