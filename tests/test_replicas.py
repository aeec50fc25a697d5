"""Two replicas behind nginx on one PostgreSQL and one Chroma server: every door; one is killed under load."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import gradio_client
import httpx
import openai
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.browser import PageInThread
from tests.conftest import Pages, RunningApp, wait_until
from tests.team import WHOLE, Team, add, html, running_team, sources_of


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    with running_team(tmp_path_factory.mktemp("team")) as made:
        yield made


# -- one chat at each door: "answered", "error" where it ended with a clear one, "lost" where it ended without a word


async def by_socket(url: str, client: httpx.AsyncClient, headers: dict[str, str] | None = None) -> str:
    try:
        address = url.replace("http", "ws", 1) + "chat"
        async with connect(address, open_timeout=30, additional_headers=headers) as socket:
            await socket.send("What is an agent?")
            text = ""
            async for raw in socket:
                frame = json.loads(raw)
                text += frame.get("message", "")
                if frame.get("done"):
                    return "error" if "error" in frame else "answered" if text == WHOLE else "lost"
            return "lost"  # it was closed as if all were well
    except (ConnectionClosed, InvalidStatus, OSError) as error:
        return "error" if str(error) else "lost"


async def by_stream(url: str, client: httpx.AsyncClient, headers: dict[str, str] | None = None) -> str:
    text = ""
    try:
        asked = {"question": "What is an agent?"}
        async with client.stream("POST", f"{url}stream", json=asked, headers=headers) as reply:
            if reply.status_code != 200:
                return "error" if json.loads(await reply.aread())["error"] else "lost"
            kind = ""
            async for line in reply.aiter_lines():
                kind = line.partition(": ")[2] if line.startswith("event: ") else kind if line else ""
                if line.startswith("data: "):
                    data = json.loads(line[6:])
                    if kind == "done":
                        return "answered" if text == WHOLE else "lost"
                    if kind == "error":
                        return "error"
                    text += data["message"]
        return "lost"
    except httpx.TransportError as error:
        return "error" if str(error) else "lost"


async def by_predict(url: str, client: httpx.AsyncClient, headers: dict[str, str] | None = None) -> str:
    try:
        reply = await client.get(f"{url}predict", params={"query": "What is an agent?"}, headers=headers)
    except httpx.TransportError as error:
        return "error" if str(error) else "lost"
    if reply.status_code == 200:
        return "answered" if reply.json() == WHOLE else "lost"
    return "error" if reply.json()["error"] else "lost"


async def by_openai(url: str, client: httpx.AsyncClient, headers: dict[str, str] | None = None) -> str:
    asked: Any = [{"role": "user", "content": "What is an agent?"}]
    text, reason = "", None
    try:
        model = openai.AsyncOpenAI(base_url=f"{url}v1", api_key="none", max_retries=0, http_client=client)
        stream = await model.chat.completions.create(
            model="local-rag-chat", messages=asked, stream=True, extra_headers=headers
        )
        async for chunk in stream:
            text += chunk.choices[0].delta.content or ""
            reason = chunk.choices[0].finish_reason
    except (openai.APIError, httpx.TransportError) as error:
        return "error" if str(error) else "lost"
    return "answered" if (reason, text) == ("stop", WHOLE) else "lost"


DOORS: list[Callable[..., Awaitable[str]]] = [by_socket, by_stream, by_openai, by_predict]


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=500, max_keepalive_connections=0)
    async with httpx.AsyncClient(timeout=120, trust_env=False, limits=limits) as made:
        yield made


def answering(replica: RunningApp) -> int:
    text = httpx.get(f"{replica.url}metrics", timeout=20).text
    found = re.search(r"^rag_questions_answering (\S+)", text, re.M)
    assert found
    return int(float(found[1]))


@pytest.mark.parametrize("door", DOORS)
async def test_every_door_answers_under_the_sub_path(team: Team, client: httpx.AsyncClient, door: Any) -> None:
    assert await door(team.url, client) == "answered"


async def test_tokens_come_through_one_by_one(team: Team, client: httpx.AsyncClient) -> None:
    with team.ollama.hold(after=3):
        async with client.stream("POST", f"{team.url}stream", json={"question": "What?"}) as reply:
            async for line in reply.aiter_lines():
                if "word2" in line:
                    break  # it came through while the model holds the rest back


def test_a_request_keeps_its_id_through_the_proxy(team: Team) -> None:
    reply = httpx.get(f"{team.url}health", headers={"X-Request-ID": "mine"}, timeout=20)
    assert reply.headers["x-request-id"] == "mine"
    assert len(httpx.get(f"{team.url}health", timeout=20).headers["x-request-id"]) == 32


def test_gradios_client_and_the_page_work_under_the_sub_path(team: Team) -> None:
    gradio = gradio_client.Client(team.url, verbose=False, analytics_enabled=False)
    assert gradio.predict("What is an agent?", api_name="/chat") == WHOLE
    gradio.close()
    browser = PageInThread(team.url)
    try:

        def ask() -> list[Any]:
            page = browser.visit()
            page.get_by_label("Question").fill("What is an agent?")
            page.keyboard.press("Enter")
            page.get_by_text("Sources ·").first.wait_for(timeout=60_000)
            page.locator(".stop-button").first.wait_for(state="hidden")  # or the answer's last update folds it again
            page.get_by_text("What the model made of it").click()
            page.get_by_text("word29").first.wait_for()
            return list(page.context.cookies())

        assert "rag_seat" in {cookie["name"] for cookie in browser.do(ask)}
    finally:
        browser.close()


@pytest.mark.soak
def test_a_browser_stays_with_the_replica_that_answers_it_when_another_comes_back(team: Team) -> None:
    """Gradio keeps steps of one click in the process: one that went to another replica would know nothing of them."""

    def reached(browser: httpx.Client) -> int:
        name = uuid.uuid4().hex
        assert team.nginx and browser.get(team.url, headers={"X-Request-ID": name}).status_code == 200
        wait_until(lambda: name in team.nginx.asked(), 60)  # type: ignore[union-attr]
        return team.nginx.asked()[name][-1]

    def anyone() -> int:
        with httpx.Client(trust_env=False, timeout=20) as stranger:
            return reached(stranger)

    team.revive()
    with httpx.Client(trust_env=False, timeout=20) as browser:
        first = reached(browser)
        assert {reached(browser) for _ in range(4)} == {first}
        gone = team.replicas[team.ports.index(first)].process
        gone.kill()
        gone.wait(30)
        other = reached(browser)
        assert other != first
        team.revive()
        wait_until(lambda: anyone() == first, 60)
        assert {reached(browser) for _ in range(6)} == {other}


def test_what_is_added_on_one_replica_is_on_all_within_seconds(team: Team, pages: Pages) -> None:
    one, two = team.replicas
    for giving, other, word in ((one, two, "Stilton"), (two, one, "Gorgonzola")):
        source = f"{pages.url}/{word}"
        pages.pages[f"/{word}"] = html(word, f"Zebras live on the moon of {word}.")
        add(giving.url, source)
        wait_until(lambda url=giving.url, name=source: sources_of(url).get(name) == "ready", 60)  # type: ignore[misc]
        wait_until(lambda url=other.url, name=source: sources_of(url).get(name) == "ready", 5)  # type: ignore[misc]
        asked = {"query": f"{word}", "sources": "true"}
        data = httpx.get(f"{other.url}predict", params=asked, timeout=60).json()
        assert data["sources"][0]["source"] == source


@dataclass
class Chat:
    """One of many: its request's id, what became of it, and whether it was begun when the replica was gone for sure."""

    name: str
    ended: str
    after: bool


async def load(
    team: Team, client: httpx.AsyncClient, chats: int, seconds: float, sources: list[str]
) -> tuple[list[Chat], int]:
    """So many chats in so many seconds while sources are added; in the middle the first replica is killed.

    Returns the chats, and how many streams the killed one had.
    """
    theirs = 0
    await asyncio.to_thread(team.revive)
    victim = team.replicas[0]

    async def chat(number: int) -> Chat:
        await asyncio.sleep(number * seconds / chats)
        after, name = victim.process.poll() is not None, f"{chats}-{number}"
        door = DOORS[number % len(DOORS)](team.url, client, {"X-Request-ID": name})
        return Chat(name, await asyncio.wait_for(door, 170), after)

    async def give() -> None:
        for source in sources:
            await asyncio.sleep(seconds / (len(sources) + 1))
            for _ in range(3):  # whoever gives a source to a replica that is just being killed gives it again
                if (await client.post(f"{team.url}library", json={"sources": [source]})).status_code == 202:
                    break

    async def end() -> None:
        nonlocal theirs
        await asyncio.sleep(seconds / 2)
        theirs = await asyncio.to_thread(answering, victim)
        victim.process.send_signal(signal.SIGKILL)

    _, _, *ended = await asyncio.gather(end(), give(), *map(chat, range(chats)))
    return ended, theirs


@pytest.mark.soak
async def test_a_killed_replica_ends_only_its_own_streams_and_the_other_finishes_its_work(
    team: Team, client: httpx.AsyncClient, pages: Pages
) -> None:
    doors = [by_socket, by_stream, by_openai] * 4
    source = f"{pages.url}/long"
    pages.pages["/long"] = html("Long", *[f"Paragraph {number} of many, on agents. " * 12 for number in range(300)])
    with team.ollama.hold(after=5) as gate:
        chats = [asyncio.ensure_future(door(team.url, client)) for door in doors]
        await asyncio.to_thread(gate.wait, len(doors), 60)
        add(team.url, source)
        await asyncio.to_thread(wait_until, lambda: any(map(indexed, team.replicas)), 90)
        victim, other = sorted(team.replicas, key=indexed, reverse=True)
        theirs = await asyncio.to_thread(answering, victim)
        assert 0 < theirs < len(doors)
        victim.process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(victim.process.wait, 30)
        assert sources_of(other.url).get(source) != "ready"
        assert await by_health(team.url, client) == 200
    ended = Counter(await asyncio.gather(*chats))
    assert ended == {"error": theirs, "answered": len(doors) - theirs}
    assert [await door(team.url, client) for door in DOORS] == ["answered"] * len(DOORS)

    await asyncio.to_thread(wait_until, lambda: sources_of(other.url).get(source) == "ready", 150)
    entries = httpx.get(f"{other.url}library", timeout=20).json()["sources"]
    assert next(each for each in entries if each["source"] == source)["chunks"] > 100
    await asyncio.to_thread(team.revive)


def indexed(replica: RunningApp) -> int:
    """Chunks of the source under way that a replica has embedded."""
    progress = httpx.get(f"{replica.url}library", timeout=20).json()["progress"] or {}
    return int(progress.get("done", 0))


async def by_health(url: str, client: httpx.AsyncClient) -> int:
    return (await client.get(f"{url}health")).status_code


@pytest.mark.parametrize(
    ("chats", "seconds"),
    [(16, 4.0), pytest.param(200, 60.0, marks=[pytest.mark.soak, pytest.mark.timeout(400)])],
)
async def test_chats_while_sources_are_added_and_a_replica_is_killed(
    team: Team, client: httpx.AsyncClient, pages: Pages, chats: int, seconds: float
) -> None:
    names = [f"/{chats}-{number}" for number in range(max(3, chats // 10))]
    for name in names:
        pages.pages[name] = html(name, *[f"Of {name}, paragraph {number}. " * 20 for number in range(4)])
    sources = [pages.url + name for name in names]
    team.ollama.tokens_per_second = 6 if chats >= 200 else 20  # so that many are under way at any moment
    ended, theirs = await load(team, client, chats, seconds, sources)
    counts = Counter(chat.ended for chat in ended)
    print(f"{chats} chats in {seconds:.0f} s: {dict(counts)}; the killed replica had {theirs} streams")
    assert theirs > 0
    assert counts["lost"] == 0
    assert counts["answered"] + counts["error"] == chats
    assert team.nginx
    nginx = team.nginx
    wait_until(lambda: {chat.name for chat in ended} <= nginx.asked().keys(), 60)
    asked = nginx.asked()
    dead = team.ports[0]
    assert {port for chat in ended if chat.ended == "error" for port in asked[chat.name]} <= {dead}
    assert all(chat.ended == "answered" for chat in ended if chat.after or asked[chat.name][-1] != dead)
    other = team.replicas[1]
    wait_until(lambda: all(sources_of(other.url).get(source) == "ready" for source in sources), 120)
    if chats >= 200:
        await asyncio.to_thread(team.revive)
        assert all(sources_of(team.replicas[0].url).get(source) == "ready" for source in sources)
