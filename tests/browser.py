"""A real browser for the tests: the system's Chromium or Chrome, else the one that Playwright brought."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest
from playwright.sync_api import Browser, sync_playwright

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


T = TypeVar("T")


class PageInThread:
    """A browser with one page, in a thread of its own: Playwright's calls do not mix with a test's event loop."""

    def __init__(self, url: str) -> None:
        self._thread = ThreadPoolExecutor(1)
        self.page: Any = None
        self.do(lambda: self._open(url))

    def _open(self, url: str) -> None:
        self._playwright = sync_playwright().start()
        self._browser = self._playwright.chromium.launch(executable_path=find_browser(), args=FLAGS)
        self.page = self._browser.new_context().new_page()
        self.page.goto(url)
        self.page.locator("#status .strip.ok").wait_for(timeout=20_000)

    def do(self, work: Callable[[], T]) -> T:
        """Run something with the page."""
        return self._thread.submit(work).result(120)

    def close(self) -> None:
        def end() -> None:
            self._browser.close()
            self._playwright.stop()

        self.do(end)
        self._thread.shutdown()
