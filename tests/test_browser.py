"""The page in a real browser, over the app as a process, with an Ollama on loopback."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, Request, expect

from rag.page.chat import QUESTION_HINT
from tests.browser import browser, serious, serious_in_both, tab, visited
from tests.conftest import AppStarter, RunningApp
from tests.ollama_server import OllamaServer

__all__ = ["browser", "tab"]  # fixtures

WORDS = [f"word{number} " for number in range(400)]

SUPPORTED = (
    "Task decomposition means breaking a large, complicated task into smaller and simpler steps.",
    "Planning is the part of an LLM agent that turns a goal into an ordered list of steps.",
)
"""Answers that the guide supports; others are folded below the quotes."""


@pytest.fixture(scope="module")
def engine() -> Iterator[OllamaServer]:
    with OllamaServer() as server:
        yield server


@pytest.fixture
def server(engine: OllamaServer) -> OllamaServer:
    """The engine of all tests here, as before the first question."""
    engine.reply = lambda messages: WORDS
    engine.requests.clear()
    return engine


@pytest.fixture(scope="module")
def app(start_shared_app: AppStarter, engine: OllamaServer, tmp_path_factory: pytest.TempPathFactory) -> RunningApp:
    data = tmp_path_factory.mktemp("browser") / "data"
    environment = {"OLLAMA_HOST": engine.url}
    flags = ("--data-dir", str(data), "--source", "bundled:guide.md", "--embeddings", "embedded:all-minilm-l6-v2")
    return start_shared_app(*flags, environment=environment)


@pytest.fixture
def page(tab: Page, app: RunningApp, server: OllamaServer) -> Iterator[Page]:
    with visited(tab, app.url, stay=True) as wrong:

        def note(request: Request) -> None:
            if foreign(request.url, app.url):
                wrong.append(request.url)

        tab.on("request", note)
        yield tab
        tab.remove_listener("request", note)


def foreign(url: str, own: str) -> bool:
    return url.startswith("http") and not url.startswith((own, own.replace("127.0.0.1", "localhost")))


SCROLLED = """async () => {
  const hint = document.querySelector('#hint'), mark = document.querySelector('#conversation a[href^="#none-"]');
  const shown = () => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
  const scrolls = (one) => one.scrollHeight > one.clientHeight + 150
    && /auto|scroll/.test(getComputedStyle(one).overflowY);
  let box = mark.parentElement;
  while (!scrolls(box)) box = box.parentElement;
  if (hint.hidden) mark.click();
  await shown();
  box.scrollTop += box.scrollTop > 20 ? -20 : 20;
  let beside = false;
  for (let frames = 0; frames < 60 && !beside; frames++) {  // a page whose height changed settles in some frames
    await shown();
    const at = mark.getBoundingClientRect(), told = hint.getBoundingClientRect();
    beside = !hint.hidden && Math.min(Math.abs(told.top - at.bottom), Math.abs(at.top - told.bottom)) < 10;
  }
  box.scrollTop = box.scrollHeight;
  for (let frames = 0; frames < 60 && !hint.hidden; frames++) await shown();
  return {beside, gone: hint.hidden};
}"""
"""Scrolls the conversation a little, and then to its end: whether the hint is beside its mark, and then gone."""


def ask(page: Page, question: str) -> None:
    page.get_by_role("textbox", name="Question").fill(question)
    page.get_by_role("textbox", name="Question").press("Enter")


def said(page: Page, text: str) -> Locator:
    """The model's own paragraphs with a text, no quotes."""
    return page.locator("#conversation .bot p:not(blockquote p)").filter(has_text=text)


def test_a_question_is_typed_the_text_grows_and_stop_stops_it(page: Page, server: OllamaServer) -> None:
    with server.hold(after=3) as early:
        ask(page, "What is task decomposition?")
        expect(page.locator("#conversation")).to_contain_text("word2")
        expect(page.locator("#conversation")).not_to_contain_text("word3 ")
        expect(page.locator("#conversation")).to_contain_text("4 passages")
        page.locator("#conversation blockquote").first.evaluate("quote => { quote.dataset.drawn = 'once' }")
        late = server.hold(after=50)
        early.release()
        expect(page.locator("#conversation")).to_contain_text("word49")
        expect(page.locator("#conversation blockquote[data-drawn]")).to_have_count(1)  # what stays is not drawn anew
        page.locator("button.stop-button, .stop-button button").first.click()
        record = server.wait_for(lambda item: item.path == "/api/chat" and item.finished is not None, timeout=10)
        assert record.finished == "client_gone"
        assert record.tokens == 50
        late.release()
    expect(page.locator("#conversation")).to_contain_text("Stopped")
    expect(page.locator("#conversation")).not_to_contain_text("word50")
    saved = page.locator("table, .gallery, .dataset").get_by_text("What is task decomposition?")
    expect(saved.first).to_be_visible()
    kept = page.evaluate("JSON.stringify(localStorage)")
    server.reply = lambda messages: [SUPPORTED[0][:9], SUPPORTED[0][9:]]
    ask(page, "And what is a plan?")
    expect(page.get_by_text("Sources · 4 passages")).to_have_count(1)
    expect(page.locator("#conversation")).to_contain_text("Stopped")
    told = [item for item in server.requests if item.path == "/api/chat"][-1].body["messages"]
    assert told[1]["content"] == "What is task decomposition?" and "word49" in told[2]["content"]
    page.wait_for_function("kept => JSON.stringify(localStorage) !== kept", arg=kept)
    page.reload()
    saved.first.click()
    expect(said(page, SUPPORTED[0])).to_have_count(1)
    expect(page.locator("#conversation")).to_contain_text("Stopped")


def test_an_answer_shows_its_sources_and_a_second_question_follows(page: Page, server: OllamaServer) -> None:
    server.reply = lambda messages: [SUPPORTED[0][:9], SUPPORTED[0][9:]]
    ask(page, "What is task decomposition?")
    expect(said(page, SUPPORTED[0])).to_have_count(1)
    sources = page.get_by_text("Sources · 4 passages")
    expect(sources).to_be_visible()
    sources.click()
    page.locator("#conversation summary").first.click()
    expect(page.locator("#conversation details > blockquote").first).to_contain_text("task", ignore_case=True)
    ask(page, "And why?")
    expect(page.get_by_text("Sources · 4 passages")).to_have_count(2)
    expect(page.get_by_role("textbox", name="Question")).to_have_attribute("placeholder", QUESTION_HINT)
    told = [item for item in server.requests if item.path == "/api/chat"][-1].body["messages"]
    assert [message["role"] for message in told] == ["system", "user", "assistant", "user"]
    assert told[2]["content"] == SUPPORTED[0]


def test_a_mark_opens_the_words_that_support_a_sentence(page: Page, server: OllamaServer) -> None:
    answer = SUPPORTED[0]
    server.reply = lambda messages: [answer, " It was invented in 1812.", " [1](#quote-00000000-0)"]
    ask(page, "What is task decomposition?")
    expect(page.get_by_text("1 of 2 sentences supported")).to_be_visible()
    marks = page.locator('#conversation .message p > a[href^="#quote-"]:not(blockquote a)')
    expect(marks).to_have_count(1)  # and none that the model wrote
    unsupported = page.locator('#conversation a[href^="#none-"]')
    expect(unsupported).to_have_text("?")
    told = page.locator("#hint")
    unsupported.hover()
    expect(told).to_contain_text("No passage supports this sentence")
    assert "No passage supports this sentence" in str(unsupported.get_attribute("aria-label"))
    marks.hover()
    expect(told).to_contain_text("breaking a large, complicated task")
    assert "breaking a large, complicated task" in str(marks.get_attribute("aria-label"))
    page.mouse.move(5, 5)
    expect(told).not_to_be_visible()
    marks.click()
    quote = page.locator("#reader mark").first
    expect(quote).to_be_in_viewport()
    expect(quote).to_contain_text("breaking a large, complicated task")
    ask(page, "And why is it useful?")
    expect(page.get_by_text("of 2 sentences supported")).to_have_count(2)
    told_then = [item for item in server.requests if item.path == "/api/chat"][-1].body["messages"]
    assert [message["content"] for message in told_then if message["role"] == "assistant"][-1].startswith(answer)
    assert "#quote-" not in str(told_then)
    page.locator("#conversation .thought-group .title").last.click()
    expect(page.locator("#conversation")).to_contain_text("Searched for:")


def test_on_a_phone_a_tap_opens_the_source_or_tells_what_is_missing(page: Page, server: OllamaServer) -> None:
    server.reply = lambda messages: [SUPPORTED[0], " It was invented in 1812."]
    page.set_viewport_size({"width": 390, "height": 780})
    ask(page, "What is task decomposition?")
    expect(page.get_by_text("1 of 2 sentences supported")).to_be_visible()
    hint = page.locator("#hint")
    page.locator('#conversation a[href^="#none-"]').tap()
    expect(hint).to_have_text(re.compile("No passage supports this sentence.*1812"))
    expect(hint).to_be_in_viewport(ratio=1)
    page.set_viewport_size({"width": 390, "height": 500})  # as with a keyboard on the screen
    page.locator('#conversation a[href^="#none-"]').tap()
    assert page.evaluate(SCROLLED) == {"beside": True, "gone": True}
    page.set_viewport_size({"width": 390, "height": 780})
    page.locator('#conversation .message p > a[href^="#quote-"]:not(blockquote a)').tap()
    expect(hint).not_to_be_visible()
    lit = page.locator("#reader mark").first
    expect(lit).to_be_in_viewport()
    expect(lit).to_contain_text("breaking a large, complicated task")
    page.get_by_role("button", name="Close the reader").tap()
    expect(page.locator("#reader")).to_be_hidden()
    expect(hint).not_to_be_visible()


def test_keys_go_to_the_question_break_its_line_and_stop_the_answer(page: Page, server: OllamaServer) -> None:
    box = page.get_by_role("textbox", name="Question")
    page.locator("#status").click()
    page.keyboard.press("/")
    expect(box).to_be_focused()
    page.keyboard.type("What is a plan")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("of an agent/tool?")
    expect(box).to_have_value("What is a plan\nof an agent/tool?")
    with server.hold(after=3):
        page.keyboard.press("Enter")
        expect(page.locator("#conversation")).to_contain_text("word2")
        expect(page.locator(".stop-button")).to_be_visible()
        page.keyboard.press("Escape")
        server.wait_for(lambda item: item.path == "/api/chat" and item.finished == "client_gone", timeout=10)
        expect(page.locator("#conversation")).to_contain_text("Stopped")
    server.reply = lambda messages: [SUPPORTED[1]]
    ask(page, "What is a plan?")
    expect(page.get_by_text("Sources · 4 passages")).to_have_count(1)
    expect(page.get_by_text("Stopped ·")).to_have_count(1)


def test_the_conversation_has_most_of_the_page_and_the_choice_of_sources_can_be_read(page: Page) -> None:
    """The list of sources is as wide as what is in it, not as the small arrow that opens it; on a phone, too."""
    for width, height in ((1360, 850), (1920, 1080), (1000, 800), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        box = page.locator("#conversation").bounding_box()
        assert box and box["height"] >= 0.7 * height, (width, box)
        assert page.evaluate("document.documentElement.scrollHeight <= innerHeight"), width
        expect(page.get_by_role("textbox", name="Question")).to_be_in_viewport(ratio=1)
        if width not in (1360, 390):
            continue
        page.locator("#scope input").click()
        option = page.get_by_role("option", name="A short guide to LLM agents")
        expect(option).to_be_in_viewport(ratio=1)
        box = option.bounding_box()
        assert box and box["height"] < 60 and box["width"] > 150, (width, box)
        page.keyboard.press("Escape")
        page.locator("#status").click()
        expect(option).to_be_hidden()


def test_what_the_passages_can_answer_is_proposed(page: Page, server: OllamaServer) -> None:
    server.reply = lambda messages: [SUPPORTED[0]]
    ask(page, "What is task decomposition?")
    proposed = page.locator("#conversation .options button")
    expect(proposed).to_have_count(3)
    question = proposed.first.inner_text()
    with server.hold(after=0):
        proposed.first.click()
        expect(page.locator("#conversation .user.message").last).to_have_text(question)
        expect(page.locator(".stop-button")).to_be_visible()  # it is asked as if it were typed
    expect(page.get_by_text("Sources · 4 passages")).to_have_count(2)
    expect(proposed.first).to_be_visible()
    assert question not in proposed.all_inner_texts()


def test_what_is_copied_and_saved_is_markdown_with_numbered_sources(
    page: Page, server: OllamaServer, tmp_path: Path
) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    server.reply = lambda messages: [SUPPORTED[0], " Use `a<b>` and <berth>; it was invented in 1812."]
    ask(page, "What is task decomposition?")
    expect(page.get_by_text("1 of 2 sentences supported")).to_be_visible()
    page.locator(".message-buttons-left button").first.click()
    page.wait_for_function("navigator.clipboard.readText().then(text => text.length > 0)")
    copied = page.evaluate("navigator.clipboard.readText()")
    lines = copied.splitlines()
    assert lines[0] == f"{SUPPORTED[0]} [1] Use `a<b>` and <berth>; it was invented in 1812. [?]"
    assert re.search(r"^- \[1\] A short guide to LLM agents › .*: comes with the app$", copied, re.M), copied
    assert not re.search(r"#quote|#none|<details|<small|&#", copied)
    with page.expect_download(timeout=60_000) as saving:
        page.locator("#save").click()
    assert saving.value.suggested_filename == "conversation.md"
    saving.value.save_as(tmp_path / "saved.md")
    saved = (tmp_path / "saved.md").read_text(encoding="utf-8")
    assert f"## What is task decomposition?\n\n{SUPPORTED[0]} [1]" in saved
    assert re.search(r"^> “.+” \[1\]$\n\n\*Sources · ", saved, re.M | re.S)
    assert "`bundled:guide.md`" in saved or "A short guide to LLM agents" in saved


def test_axe_finds_nothing_serious(tab: Page, app: RunningApp, server: OllamaServer) -> None:
    """Of the wide page in light and in dark colours, of the narrow one in light."""
    server.reply = lambda messages: [SUPPORTED[0], " It was invented in 1812."]
    page = tab
    with visited(page, app.url, 1360, 850):
        expect(page.locator("#models")).to_be_visible()
        page.get_by_role("button", name="New chat").first.hover()
        assert serious_in_both(page) == []
        ask(page, "What is task decomposition?")
        expect(page.get_by_text("1 of 2 sentences supported")).to_be_visible()
        page.get_by_text("Sources · 4 passages").click()
        page.locator("#conversation summary").first.click()
        page.locator("#models > button").click()
        expect(page.locator("#models-told table").first).to_be_visible()
        assert serious_in_both(page) == []
        page.locator("#models > button").click()
        ask(page, "Who won the football championship of Paraguay?")
        expect(page.get_by_text("Not in the library · nearest 4 passages")).to_be_visible()
        page.locator("#wrong > button").click()
        expect(page.locator("#wrong-list .wrong").first).to_be_visible()
        page.locator("#wrong-list summary").first.click()
        page.locator('#conversation .message p > a[href^="#quote-"]:not(blockquote a)').first.click()
        expect(page.locator("#reader mark").first).to_be_in_viewport()
        assert serious_in_both(page) == []
        page.set_viewport_size({"width": 390, "height": 844})
        assert serious(page) == []  # the reader covers the page
        page.keyboard.press("Escape")
        page.get_by_role("tab", name="Library").click()
        assert serious(page) == []


def test_what_the_library_does_not_answer_is_said_and_no_model_is_asked(page: Page, server: OllamaServer) -> None:
    ask(page, "Who won the football championship of Paraguay?")
    expect(page.locator("#conversation")).to_contain_text("nothing there answers")
    expect(page.get_by_text("Not in the library · nearest 4 passages")).to_be_visible()
    assert not [item for item in server.requests if item.path == "/api/chat"]


def test_retry_and_undo(page: Page, server: OllamaServer) -> None:
    server.reply = lambda messages: [SUPPORTED[0]]
    ask(page, "What is a plan?")
    expect(said(page, SUPPORTED[0])).to_have_count(1)
    expect(page.get_by_text("Sources · 4 passages")).to_have_count(1)
    server.reply = lambda messages: [SUPPORTED[1]]
    page.get_by_role("button", name="Retry").click()
    expect(said(page, SUPPORTED[1])).to_have_count(1)
    expect(said(page, SUPPORTED[0])).to_have_count(0)
    expect(page.get_by_text("Sources · 4 passages")).to_have_count(1)
    page.get_by_role("button", name="Undo").click()
    expect(said(page, SUPPORTED[1])).to_have_count(0)
    expect(page.get_by_role("textbox", name="Question")).to_have_value("What is a plan?")


def test_a_notice_is_one_line_and_stays_away_until_something_new_is_wrong(page: Page, server: OllamaServer) -> None:
    """The last one here: it leaves the engine stopped, as the page takes seconds to see it started again."""
    server.stop()
    ask(page, "What is a plan?")
    notice = page.locator("#status .notice.bad")
    expect(notice).to_be_visible()
    expect(page.locator("#conversation")).to_contain_text("ollama serve")
    expect(page.locator("#conversation")).to_contain_text("Not answered")
    lines = notice.locator(".told")
    assert notice.evaluate("one => one.clientHeight") < 40
    lines.click()
    expect(lines).to_have_attribute("aria-expanded", "true")
    notice.get_by_role("button", name="Put this notice away").click()
    expect(notice).not_to_be_visible()
    page.reload()
    expect(page.locator("#status .strip.bad")).to_be_visible()
    expect(notice).not_to_be_visible()
    server.start()
    expect(page.locator("#status .strip.ok")).to_be_visible()
    server.stop()
    ask(page, "What is a plan?")
    expect(notice).to_be_visible()
