"""A real browser for the tests: the system's Chromium or Chrome, else the one that Playwright brought."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Error, Page, expect, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def find_browser() -> str:
    """The path of a browser.

    Raises:
        FileNotFoundError: there is none; says how to get one.
    """
    for name in NAMES:
        if found := shutil.which(name):
            return found
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    if not Path(path).exists():
        raise FileNotFoundError("no Chromium: run `make browser`, or install your system's package `chromium`")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for the tests of a file."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Iterator[Page]:
    """One tab for the tests of a file, see `visited`; it takes touches, too."""
    context = browser.new_context(has_touch=True)
    yield context.new_page()
    context.close()


def _forget(tab: Page, url: str) -> None:
    """Let the tab be one that was never on the page of this address."""
    tab.goto(f"{url}health")
    tab.evaluate("localStorage.clear(), sessionStorage.clear()")
    tab.context.clear_cookies()


@contextmanager
def visited(tab: Page, url: str, width: int = 1280, height: int = 800, *, stay: bool = False) -> Iterator[list[str]]:
    """The page in a tab, as at a first visit; yields what went wrong there, a list that a test may add to.

    In a new context the browser compiles all scripts anew: three times the processor time. With `stay`, the page is
    left open for the next such visit, which begins a new conversation there: a quarter of what loading it takes.
    """
    wrong: list[str] = []

    def note(error: Error) -> None:
        wrong.append(str(error))

    there = tab.url == url
    tab.emulate_media(color_scheme="light")
    tab.on("pageerror", note)
    if there:
        _begin_anew(tab)
    else:
        _forget(tab, url)
    tab.set_viewport_size({"width": width, "height": height})
    if not there:
        tab.goto(url)
    expect(tab.locator("#status .strip.ok")).to_be_visible()
    try:
        yield wrong
        assert not wrong, wrong
    except BaseException:
        stay = False
        raise
    finally:
        tab.remove_listener("pageerror", note)
        if not stay:
            tab.goto("about:blank")


def _begin_anew(tab: Page) -> None:
    """Leave what a test before did on the page: its conversation, an open source, a question that it wrote."""
    tab.set_viewport_size({"width": 1280, "height": 800})  # on a phone, the button is on another tab
    close = tab.get_by_role("button", name="Close the reader")
    if close.is_visible():
        close.click()
    tab.get_by_role("textbox", name="Question").fill("")
    tab.get_by_role("button", name="New chat").first.click()
    tab.wait_for_function("!document.querySelector('#conversation .message')")
    tab.mouse.move(5, 5)


def serious(page: Page, *rules: str) -> list[tuple[str, str]]:
    """What axe-core takes for serious or worse, by all rules or by some: the rule, and the first element."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.wait_for_function("!document.getAnimations().some(one => one.playState === 'running')")
    found = Axe().run(page, options={"runOnly": {"type": "rule", "values": rules}} if rules else None)
    found_in = [each for each in found.response["violations"] if each["impact"] in ("serious", "critical")]
    return [(each["id"], each["nodes"][0]["html"]) for each in found_in]


def serious_in_both(page: Page) -> list[tuple[str, str]]:
    """What is serious in light colours, and what contrasts are in dark ones; the page is light then."""
    found = serious(page)
    page.emulate_media(color_scheme="dark")
    expect(page.locator("body.dark")).to_have_count(1)
    found += serious(page, "color-contrast")
    page.emulate_media(color_scheme="light")
    expect(page.locator("body.dark")).to_have_count(0)
    return found


expect.set_options(timeout=60_000)
T = TypeVar("T")


class PageInThread:
    """A browser with one page, in a thread of its own: Playwright's calls do not mix with a test's event loop."""

    _open_pages: ClassVar[set[PageInThread]] = set()

    def __init__(self, url: str) -> None:
        """`url` is what `visit` goes to; until then the page is blank."""
        self.url = url
        self._thread = ThreadPoolExecutor(1)
        self.page: Any = None
        self.do(self._open)

    def _open(self) -> None:
        self._playwright = sync_playwright().start()
        self._browser = self._playwright.chromium.launch(executable_path=find_browser(), args=FLAGS)
        self.page = self._browser.new_context().new_page()

    def visit(self) -> Any:
        """In its thread: go to the page, which is then as after a reload, until it says that all is well."""
        self._open_pages.add(self)
        self.page.goto(self.url)
        self.page.locator("#status .strip.ok").wait_for(timeout=60_000)
        return self.page

    @classmethod
    def leave_all(cls) -> None:
        """Let no page stay open that nobody looks at: it asks for what is new, and draws, for an eighth of a core."""
        while cls._open_pages:
            left = cls._open_pages.pop()
            left.do(partial(left.page.goto, "about:blank"))

    def do(self, work: Callable[[], T]) -> T:
        """Run something with the page."""
        return self._thread.submit(work).result(120)

    def close(self) -> None:
        self._open_pages.discard(self)

        def end() -> None:
            self._browser.close()
            self._playwright.stop()

        self.do(end)
        self._thread.shutdown()


class Visit:
    """A page in a tab, and what it did that text does not: scripts, dialogs, windows, requests to other origins."""

    def __init__(self, tab: Page, url: str) -> None:
        self.url = url
        self.wrong: list[str] = []
        self.page = tab
        _forget(tab, url)
        self.page.on("dialog", self._dismiss)
        self.page.on("request", self._note)
        self.page.on("requestfailed", self._forgive)
        self.page.context.on("page", self._window)
        self.page.goto(url)
        self.page.locator("#status .strip.ok").wait_for(timeout=60_000)

    @property
    def ran(self) -> bool:
        """Whether a script did."""
        return any(what.startswith("dialog") for what in self.wrong)

    def hear(self) -> None:
        """Let the handlers run of what has happened: a dialog that nobody dismisses holds up the page."""
        self.page.evaluate("0")

    def _dismiss(self, dialog: Any) -> None:
        self.wrong.append(f"dialog {dialog.message}")
        dialog.dismiss()

    def _window(self, page: Any) -> None:
        self.wrong.append(f"window {page.url}")

    def _note(self, request: Any) -> None:
        if not request.url.startswith((self.url, "data:", "blob:")):
            self.wrong.append(request.url)

    def _forgive(self, request: Any) -> None:
        if request.failure == "csp" and request.url in self.wrong:  # the browser was asked, and asked nobody
            self.wrong.remove(request.url)

    def ask(self, question: str, number: int, seconds: float = 60.0) -> None:
        """Ask, and wait for the end of the answer of this number."""
        box = self.page.get_by_role("textbox", name="Question")
        box.fill(question)
        box.press("Enter")
        self.page.wait_for_function(
            "number => document.querySelectorAll('#conversation .bot.message').length > number &&"
            " [...document.querySelectorAll('#conversation')].some(one =>"
            " (one.innerText.match(/(Sources ·|⚠)/g) || []).length > number)",
            arg=number,
            polling=100,
            timeout=seconds * 1000,
        )

    def judge(self, payload: str) -> None:
        """Nothing has run, nothing left, and no link is there that would run something."""
        page = self.page
        for _ in range(2):  # what is loaded late is loaded between two frames
            page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
        assert page.url == self.url, f"it went elsewhere: {payload}"
        links = page.eval_on_selector_all("a, area", "all => all.map(one => one.protocol)")
        assert not {"javascript:", "data:", "vbscript:"} & set(links), f"a link that runs: {payload}"
        assert self.wrong == [], payload

    def close(self) -> None:
        """Leave the page, and let the next visit have the tab."""
        self.page.goto("about:blank")
        self.page.context.remove_listener("page", self._window)
        for event, heard in (("dialog", self._dismiss), ("request", self._note), ("requestfailed", self._forgive)):
            self.page.remove_listener(event, heard)  # type: ignore[call-overload]


def copied_from(page: Page) -> list[str]:
    """What the clipboard has after the first answer is copied, and after the whole conversation is."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    copied = []
    for place in (".message-buttons-left button", "#conversation [aria-label='Copy conversation']"):
        page.evaluate("navigator.clipboard.writeText('')")
        page.locator(place).first.click()
        page.wait_for_function("navigator.clipboard.readText().then(text => text.length > 1)")
        copied.append(str(page.evaluate("navigator.clipboard.readText()")))
    return copied
