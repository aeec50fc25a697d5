"""The library and the models on the page, in a real browser, over the app as a process."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from rag.library.library import Entry
from rag.page.library import show_rows, show_welcome
from rag.settings import DEFAULT_SOURCE
from rag.sources.loader import GUIDE
from tests.browser import browser, tab, visited
from tests.commands import run
from tests.conftest import AppStarter, Pages, RunningApp, wait_until
from tests.files import pdf
from tests.ollama_server import MXBAI, ModelSpec, OllamaServer, Pullable

__all__ = ["browser", "tab"]  # fixtures

MOON = "The moon pulls the sea twice a day on every shore of the bay. " * 4
CHEESE = "A wheel of cheese from the valley ripens for fourteen months in the cellar. " * 3


@pytest.fixture(scope="module")
def engine() -> Iterator[OllamaServer]:
    with OllamaServer(
        reply=quoting,
        models={"llama3": ModelSpec(8192), "qwen3": ModelSpec(32_768), "mxbai-embed-large": MXBAI},
        pullable={"tiny": Pullable(ModelSpec(2048))},
    ) as server:
        yield server


@pytest.fixture
def server(engine: OllamaServer) -> OllamaServer:
    """The engine of all tests here; its requests are those of one test."""
    engine.requests.clear()
    return engine


def quoting(messages: list[dict[str, Any]]) -> list[str]:
    """An answer that shows what the model was given to read."""
    return [
        f"{word} " for word in ("moon", "cheese", "agent") if word in messages[-1]["content"].partition("Answer")[0]
    ]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sidebar") / "data"


@pytest.fixture(scope="module")
def app(start_shared_app: AppStarter, engine: OllamaServer, data: Path) -> RunningApp:
    return start_shared_app(
        *("--data-dir", str(data), "--source", "bundled:guide.md"),
        *("--model", "ollama:llama3", "--embeddings", "embedded:all-minilm-l6-v2"),
        environment={"OLLAMA_HOST": engine.url, "RAG_ALLOW_HOSTS": "127.0.0.1"},
    )


@pytest.fixture
def page(tab: Page, app: RunningApp, server: OllamaServer) -> Iterator[Page]:
    with visited(tab, app.url, stay=True):
        yield tab


def add_url(page: Page, *urls: str) -> None:
    page.locator("#urls textarea").fill("\n".join(urls))
    page.get_by_role("button", name="Add", exact=True).click()


def row(page: Page, title: str) -> Any:
    return page.locator("#sidebar .source").filter(has_text=title)


def ask(page: Page, question: str, nth: int) -> Any:
    """Ask, wait for the answer with its sources, and open them; the messages of that answer."""
    page.get_by_role("textbox", name="Question").fill(question)
    page.get_by_role("textbox", name="Question").press("Enter")
    sources = page.get_by_text(re.compile(r"(Sources ·|Not in the library · nearest) \d passage"))
    expect(sources).to_have_count(nth)
    sources.last.click()
    return page.locator("#conversation .bot").last


def answered(app: RunningApp, question: str) -> bool:
    told = httpx.get(f"{app.url}predict", params={"query": question, "sources": "true"}, timeout=60).json()
    return bool(told["answer"] and told["sources"])


def titles(app: RunningApp) -> list[str]:
    return sorted(entry["title"] for entry in httpx.get(f"{app.url}library", timeout=10).json()["sources"])


def rows(data: Path, query: str) -> list[Any]:
    with sqlite3.connect(f"file:{data / 'library.sqlite'}?mode=ro", uri=True) as connection:
        return [value for (value,) in connection.execute(query)]


def uploads_in(data: Path) -> list[str]:
    return rows(data, "SELECT name FROM files ORDER BY name")


def test_a_thumb_under_an_answer_is_kept(page: Page, app: RunningApp, data: Path) -> None:
    ask(page, "What is the memory of an agent?", 1)
    expect(page.get_by_text(re.compile("sentences? supported"))).to_have_count(1)
    page.locator("button[aria-label='like' i]").last.click()

    wait_until(lambda: rows(data, "SELECT id FROM feedback"), 60)
    told = run(data.parent, "feedback", "--data-dir", str(data))
    (thumb,) = map(json.loads, told.stdout.splitlines())
    assert (thumb["question"], thumb["liked"]) == ("What is the memory of an agent?", True)
    assert thumb["answer"].strip() == "agent"


def test_a_url_and_a_pdf_are_added_asked_about_limited_to_and_removed(
    page: Page, app: RunningApp, pages: Pages, tmp_path: Path, data: Path
) -> None:
    pages.pages["/moon"] = f"<title>Moon facts</title><p>{MOON}</p>"
    add_url(page, f"{pages.url}/moon", f"{pages.url}/moon#again")
    expect(row(page, "Moon facts")).to_contain_text("1 chunk ·")
    (tmp_path / "cheese.pdf").write_bytes(pdf(CHEESE, title="Cheese book"))
    page.locator("#files input[type=file]").set_input_files(tmp_path / "cheese.pdf")
    expect(row(page, "Cheese book")).to_contain_text("PDF")
    assert uploads_in(data) == ["cheese.pdf"]
    assert titles(app) == ["A short guide to LLM agents", "Cheese book", "Moon facts"]

    expect(ask(page, "What pulls the sea on every shore?", 1)).to_contain_text("moon")
    answer = ask(page, "For how many months does the cheese ripen?", 2)
    expect(answer).to_contain_text("Cheese book")
    expect(answer).to_contain_text("page 1")

    page.locator("#scope input").click()
    page.get_by_role("option", name="Cheese book").click()
    page.keyboard.press("Escape")
    answer = ask(page, "What pulls the sea on every shore?", 3)
    expect(page.get_by_text("only from 1 source")).to_have_count(1)
    expect(answer).to_contain_text("nothing there answers")
    expect(answer).to_contain_text("Cheese book")
    expect(answer).not_to_contain_text("Moon facts")
    expect(answer).not_to_contain_text("guide")

    page.on("dialog", lambda dialog: dialog.accept())
    row(page, "Moon facts").get_by_role("button", name="Remove").click()
    expect(row(page, "Moon facts")).to_have_count(0)
    wait_until(lambda: titles(app) == ["A short guide to LLM agents", "Cheese book"], 60)
    row(page, "Cheese book").get_by_role("button", name="Remove").click()
    expect(row(page, "Cheese book")).to_have_count(0)
    assert uploads_in(data) == []
    page.get_by_role("textbox", name="Question").fill("What ripens?")
    page.get_by_role("textbox", name="Question").press("Enter")
    expect(page.locator("#conversation")).to_contain_text("not in the library")
    page.goto("about:blank")  # and with the page goes what was chosen there


def test_a_file_that_is_given_again_takes_the_place_of_its_old_version(
    page: Page, app: RunningApp, tmp_path: Path
) -> None:
    def give(*paths: Path) -> None:
        page.locator("#files input[type=file]").set_input_files(paths)

    def told(name: str) -> list[str]:
        """The texts that answers are drawn from, of the sources that end with a name."""
        sources = [each["source"] for each in httpx.get(f"{app.url}library", timeout=10).json()["sources"]]
        sources = [source for source in sources if source.endswith(name)]
        query = {"query": "What does a day of cheese cost?", "sources": "true"}
        replies = [httpx.get(f"{app.url}predict", params={**query, "scope": each}, timeout=30) for each in sources]
        found = [reply.json().get("sources") for reply in replies]
        return sorted(passages[0]["text"].split("costs ")[1] for passages in found if passages)

    prices = tmp_path / "prices.md"
    for price in ("11", "18"):
        prices.write_text(f"# Fair\n\nA day at the cheese fair costs {price} francs.", encoding="utf-8")
        give(prices)
        wait_until(lambda price=price: told("prices.md") == [f"{price} francs."], 60)  # type: ignore[misc]
    expect(page.get_by_text("prices.md will take the place of the version that is there")).to_be_visible()

    query = {"query": "Summarise this", "sources": "true", "scope": "prices.md"}
    read = httpx.get(f"{app.url}predict", params=query, timeout=30).json()
    assert (read["coverage"], len(read["sources"])) == ("read 1 of 1 passage of 1 source", 1)

    both = [tmp_path / "a" / "README.md", tmp_path / "b" / "README.md"]
    for number, path in enumerate(both):
        path.parent.mkdir()
        path.write_text(f"# Market\n\nA day at the cheese market costs {number} crowns.", encoding="utf-8")
    give(*both)
    wait_until(lambda: told("README.md") == ["0 crowns.", "1 crowns."], 60)
    both[0].write_text("# Market\n\nA day at the cheese market costs 5 crowns.", encoding="utf-8")
    give(both[0])  # nobody can tell which of the two is meant
    wait_until(lambda: told("README.md") == ["0 crowns.", "1 crowns.", "5 crowns."], 60)


def test_what_fails_says_why_and_is_tried_again(page: Page, pages: Pages, tmp_path: Path) -> None:
    add_url(page, f"{pages.url}/gone", "http://10.0.0.1/secret")
    expect(row(page, "/gone")).to_contain_text("404")
    expect(row(page, "10.0.0.1")).to_contain_text("RAG_ALLOW_HOSTS")
    pages.pages["/gone"] = f"<title>Back again</title><p>{MOON}</p>"
    row(page, "/gone").get_by_role("button", name="Try again").click()
    expect(row(page, "Back again")).to_contain_text("1 chunk ·")
    (tmp_path / "song.mp3").write_bytes(b"ID3")
    page.locator("#files input[type=file]").set_input_files(tmp_path / "song.mp3")
    expect(page.get_by_text("Nothing here can read song.mp3")).to_be_visible()
    pages.pages["/gone"] = f"<title>Changed</title><p>{CHEESE}</p>"
    page.get_by_role("button", name="Refresh all").click()
    expect(row(page, "Changed")).to_contain_text("1 chunk ·")


def test_titles_and_addresses_are_text_on_the_page(page: Page, pages: Pages) -> None:
    pages.pages["/x"] = (
        "<title>${alert(1)} {{value}} &lt;img src=x onerror=alert(2)&gt; &quot;' onmouseover=alert(3)</title>"
        f"<p>{MOON}</p>"
    )
    add_url(page, f"{pages.url}/x")
    told = row(page, "${alert(1)}")
    expect(told).to_contain_text("{{value}} <img src=x onerror=alert(2)> \"' onmouseover=alert(3)")
    assert page.locator("#sidebar img:not(.button-icon)").count() == 0
    assert page.locator("#sidebar [onmouseover]").count() == 0


def test_another_chat_model_for_a_conversation_and_another_pulled(page: Page, server: OllamaServer) -> None:
    page.locator("#chat-model input").click()
    page.get_by_role("option", name="ollama:qwen3").click()
    ask(page, "What can an agent do?", 1)
    assert [item.body["model"] for item in server.requests if item.path == "/api/chat"] == ["qwen3"]
    page.locator("#models > button").click()
    expect(page.locator("#models-told")).to_contain_text("32,768")
    expect(page.locator("#models-told")).to_contain_text("4.7 GB")
    page.get_by_label("Pull a model with Ollama").fill("tiny")
    page.get_by_role("button", name="Pull", exact=True).click()
    expect(page.get_by_text("tiny is pulled")).to_be_visible()
    page.goto("about:blank")


def chunks_embedded(server: OllamaServer) -> int:
    """Texts of chunks that were embedded; questions, and what their scale is measured with, are shorter."""
    asked = [item.body["input"] for item in server.requests if item.path == "/api/embed" and item.body]
    return sum(len(text) > 400 for texts in asked for text in texts)


def test_another_embedding_model_is_offered_with_its_cost_and_takes_over_whole(
    page: Page, app: RunningApp, server: OllamaServer
) -> None:
    page.locator("#models > button").click()
    page.locator("#embeddings input").click()
    page.get_by_role("option", name="ollama:mxbai-embed-large").click()
    expect(page.locator("#cost")).to_contain_text("chunks are embedded, in about")
    with server.hold(after=0, path="/api/embed") as gate:
        page.get_by_role("button", name="Build its index").click()
        gate.wait()
        expect(page.locator("#index-work")).to_contain_text("the old one answers")
        ask(page, "What can an agent do?", 1)
        assert app.health()["models"]["embeddings"] == "embedded:all-minilm-l6-v2"
    wait_until(lambda: app.health()["models"]["embeddings"] == "ollama:mxbai-embed-large", 60)
    assert answered(app, "What can an agent plan?")
    embedded = chunks_embedded(server)
    assert embedded > 10
    httpx.post(f"{app.url}library/index", json={"embeddings": "embedded:all-minilm-l6-v2"}, timeout=30)
    wait_until(lambda: app.health()["models"]["embeddings"] == "embedded:all-minilm-l6-v2", 60)
    assert answered(app, "What can an agent remember?")
    assert chunks_embedded(server) == embedded


def test_on_a_phone_chat_and_library_are_two_tabs_over_the_question_box(tab: Page, app: RunningApp) -> None:
    page = tab
    with visited(page, app.url, 390, 780):
        question = page.get_by_role("textbox", name="Question")
        expect(question).to_be_in_viewport(ratio=1)
        expect(page.locator("#sidebar")).not_to_be_visible()
        page.get_by_role("tab", name="Chat").focus()
        page.keyboard.press("ArrowRight")
        expect(page.locator("#sidebar")).to_be_in_viewport()
        expect(page.locator("#conversation")).not_to_be_visible()
        expect(question).to_be_in_viewport(ratio=1)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        question.fill("What is a plan?")
        question.press("Enter")
        expect(page.locator("#conversation")).to_contain_text("What is a plan?")
        expect(page.locator("#sidebar")).not_to_be_visible()
        expect(question).to_be_in_viewport(ratio=1)


def test_the_examples_are_there_while_what_they_ask_about_is() -> None:
    own = Entry("upload:a", "Lease", "Word", "ready")
    article = Entry(DEFAULT_SOURCE, "LLM agents", "web page", "waiting")
    assert "own" in show_welcome([own], True)
    assert not show_welcome([own, article], True) and not show_welcome([replace(own, source=GUIDE)], True)
    assert "card" in show_welcome([], True)


def test_of_a_large_library_only_what_is_new_is_sent() -> None:
    entries = [
        Entry(f"http://a.test/{number}", f"Page {number}", "web page", "ready", 3, 4000, 1000.0 + number)
        for number in range(200)
    ]
    before, _ = show_rows(entries, True)
    assert sum(block.count("class='source") for block in before) == 200
    assert before[0] == ""
    asked = [replace(entry, state="waiting" if number else "indexing") for number, entry in enumerate(entries)]
    assert show_rows(asked, True)[0] == before, "a refresh sends the list again"
    more = [*entries, Entry("http://a.test/new", "New", "web page", "ready", 3, 4000, 2000.0)]
    changed = [new for old, new in zip(before, show_rows(more, True)[0], strict=True) if old != new]
    assert len(changed) == 1
    assert "New" in changed[0]
    many = [
        replace(entries[0], source=f"http://a.test/{number}", indexed_at=float(number + 1)) for number in range(900)
    ]
    blocks, told = show_rows(many, True)
    assert sum(block.count("class='source") for block in blocks) == 300
    assert "600 more" in told
    assert "http://a.test/899" in "".join(blocks)
    assert "http://a.test/50'" in "".join(show_rows(many, True, "a.test/50")[0])


def test_visitors_without_the_admin_password_look_and_cannot_change(
    tab: Page, start_app: AppStarter, tmp_path: Path
) -> None:
    page = tab
    page.set_viewport_size({"width": 1280, "height": 800})
    app = start_app(
        *("--data-dir", str(tmp_path / "data"), "--source", "bundled:guide.md", "--host", "127.0.0.2"),
        *("--model", "none"),
        environment={"RAG_PASSWORD": "open sesame", "RAG_ADMIN_PASSWORD": "boss"},
        ready=False,
    )
    for user, word, owner in (("rag", "open sesame", False), ("admin", "boss", True)):
        page.context.clear_cookies()
        page.goto(app.url)
        page.locator("input[name=username]").fill(user)
        page.locator("input[name=password]").fill(word)
        page.get_by_role("button", name="Log in").click()
        expect(row(page, "A short guide")).to_be_visible()
        if owner:
            expect(page.locator("#models")).to_be_visible()  # it comes with the page's first update
        for part in ("#adding", "#models", "#chat-model", "#sidebar button[data-action]"):
            assert (page.locator(part).count() > 0 and page.locator(part).first.is_visible()) == owner, (user, part)
        if not owner:  # for whom a mark does not open the source, but unfolds the passages, with the words lit there
            ask(page, "What is the memory of an agent?", 1)
            page.locator('#conversation a[href^="#quote-"]').first.press("Enter")
            expect(page.locator("#conversation mark.here")).to_be_in_viewport()
            expect(page.locator("#reader")).to_be_hidden()
