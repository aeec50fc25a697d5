"""The page shows text and never runs it: hostile titles, documents, names, questions and answers in a real browser.

Each payload tries to run a script (which would open a dialog) or to fetch something of a canary, a server of another
origin, which would tell a stranger what is asked. The last test takes the page's guards away and sees
the same payloads succeed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from playwright.sync_api import Page

import rag.doors.guard
import rag.page.conversation
from tests.browser import Visit, browser, tab
from tests.conftest import Pages, wait_until
from tests.serving import Served, serve

__all__ = ["browser", "tab"]  # fixtures

RUN = "alert(1)"
PAYLOADS = [
    "<script>{run}</script>",
    "<SCRIPT SRC={canary}/a.js></SCRIPT>",
    "<scr<script>ipt>{run}</script>",
    "<img src=x onerror={run}>",
    "<img src={canary}/b.png>",
    "<img srcset='{canary}/c.png 2x'>",
    "<picture><source srcset={canary}/d.png><img></picture>",
    "<svg onload={run}><image href={canary}/e.png /></svg>",
    "<svg><script>{run}</script><use href='{canary}/f.svg#x'/></svg>",
    "<svg><animate onbegin={run} attributeName=x dur=1s><set attributeName=onmouseover to={run}></svg>",
    "<math><mtext><mglyph><style><img src=x onerror={run}></style></mglyph></mtext></math>",
    "<noscript><p title='</noscript><img src=x onerror={run}>'>",
    "<body onload={run}>",
    "<details open ontoggle={run}>x</details>",
    "<input autofocus onfocus={run}>",
    "<input type=image src={canary}/g.png>",
    "<video src={canary}/h.mp4 autoplay onerror={run} poster={canary}/i.png></video>",
    "<audio src={canary}/j.mp3 autoplay onerror={run}></audio>",
    "<video><track src={canary}/k.vtt default></video>",
    "<iframe src={canary}/l></iframe>",
    "<iframe srcdoc='<script>parent.alert(1)</script>'></iframe>",
    "<object data={canary}/m></object><embed src={canary}/n>",
    "<link rel=stylesheet href={canary}/o.css><link rel=prefetch href={canary}/p>",
    "<style>@import '{canary}/q.css';body{{background:url({canary}/r.png)}}</style>",
    "<p style='background:url({canary}/s.png)'>text</p>",
    "<table background={canary}/t.png><tr><td>x</table>",
    "<meta http-equiv=refresh content='0;url={canary}/u'>",
    "<base href='{canary}/'><img src=v.png>",
    "<form action={canary}/w><button autofocus onfocus={run}>x</button></form>",
    "<a href='javascript:{run}'>a link</a>",
    "<a href='java&#x09;script:{run}'>a link</a>",
    "<a href={canary}/x ping={canary}/y>a link</a>",
    "[a link](javascript:{run})",
    "[a link](JaVaScRiPt&colon;{run})",
    "[a link](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[a link]: javascript:{run}\n\n[a link]",
    "<javascript:{run}>",
    "![an image]({canary}/z.png)",
    "![an image][1]\n\n[1]: {canary}/aa.png",
    "[![an image]({canary}/ab.png)]({canary}/ac)",
    "![\"onerror=\"{run}]({canary}/ad.png\"onerror=\"{run})",
    "`<img src=x onerror={run}>` ```\n</code></pre><img src=x onerror={run}>",
    "```html\n<script>{run}</script>\n```",
    "$$\\href{{javascript:{run}}}{{x}} \\includegraphics{{{canary}/ae.png}}$$",
    "$$\\htmlData{{x=<img src=x onerror={run}>}}{{y}}$$ $\\url{{javascript:{run}}}$",
    "\\(\\unicode{{<img src=x onerror={run}>}}\\) $$\\style{{background:url({canary}/af.png)}}{{x}}$$",
    "```mermaid\ngraph TD; A[<img src=x onerror={run}>] --> B; click A href \"javascript:{run}\"\n```",
    "<thinking><img src=x onerror={run}></thinking><custom-tag onclick={run} style='background:url({canary}/ag)'>x",
    "\" onmouseover=\"{run}\" x='\" autofocus onfocus={run}",
    "'><img src=x onerror={run}><a href='",
    "--><img src=x onerror={run}><!--",
    "</textarea></title></b></summary></details><img src=x onerror={run}>",
    "&lt;img src=x onerror={run}&gt; &#60;img src={canary}/ah.png&#62;",
    "{{{{7*7}}}} ${{{{7*7}}}} <%= 7*7 %> {{{{constructor.constructor('{run}')()}}}}",
]  # fmt: skip


@pytest.fixture
def canary() -> Iterator[Pages]:
    server = Pages()
    yield server
    server.close()


def made(payload: str, canary: str) -> str:
    return payload.format(run=RUN, canary=canary)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = serve(tmp_path_factory.mktemp("served"))
    yield made
    made.close()


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("size", "together"),
    [
        (16, 14),
        pytest.param(7, 1, marks=pytest.mark.soak),
        pytest.param(100_000, 1, marks=pytest.mark.soak),
    ],
    ids=["fourteen in pieces of 16", "each in pieces of 7", "each whole"],
)
def test_questions_and_answers_are_text(tab: Page, served: Served, canary: Pages, size: int, together: int) -> None:
    """Every payload as a question and as the answer to it, in conversations of three turns."""
    visit = Visit(tab, served.url)
    payloads = ["\n\n".join(PAYLOADS[at : at + together]) for at in range(0, len(PAYLOADS), together)]
    try:
        for number, payload in enumerate(payloads):
            text = made(payload, canary.url)
            served.server.reply = lambda _, text=text: [text[at : at + size] for at in range(0, len(text), size)]  # type: ignore[misc]
            visit.ask(text, number % 3)
            visit.judge(text)
            if number % 3 == 2:  # the more turns a conversation has, the longer the browser takes for each
                visit.page.get_by_role("button", name="New chat").first.click()
                visit.page.wait_for_function("!document.querySelector('#conversation .bot.message')")
        visit.page.reload()  # the saved conversations are shown again, by their first questions
        visit.page.locator("#status .strip.ok").wait_for(timeout=60_000)
        visit.judge("the saved conversations")
    finally:
        visit.close()
    assert canary.hits == []


def test_documents_titles_and_file_names_are_text(tab: Page, tmp_path: Path, canary: Pages) -> None:
    """Every payload as a file's name, as its title and as its text: in the library, the choice, the passages."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    for number, payload in enumerate(PAYLOADS):
        text = made(payload, canary.url)
        name = re.sub(r"[/\0\n]+", "", text)[:120]
        title = " ".join(text.split())
        (folder / f"{number:02}{name}.md").write_text(f"# {title}\n\nA plan {text}\n\nThe end.", encoding="utf-8")
    served = serve(tmp_path, sources=(str(folder), "http://127.0.0.1:9/<img src=x onerror=alert(1)>"), k=50)
    wait_until(lambda: len(served.assistant.sources) == len(PAYLOADS), 60)
    visit = Visit(tab, served.url)
    try:
        page = visit.page
        page.locator("#library-rows .source").nth(len(PAYLOADS) - 1).wait_for(timeout=60_000)
        visit.judge("the library")
        page.locator("#scope input").click()
        page.get_by_role("option").nth(len(PAYLOADS) - 1).wait_for(timeout=60_000)
        visit.judge("the choice of sources")
        page.get_by_role("option").nth(3).click()
        page.keyboard.press("Escape")
        visit.judge("a chosen source")
        page.get_by_role("button", name="Clear").or_(page.locator("#scope [aria-label='Clear']")).first.click()
        visit.ask("What is a plan?", 0)
        page.get_by_text("Sources ·").first.click()
        folded = page.locator("#conversation details")
        assert folded.count() >= 40
        page.eval_on_selector_all("#conversation details", "all => all.forEach(one => one.open = true)")
        visit.judge("the passages")
        shown = " ".join(page.locator("#conversation details > blockquote").all_inner_texts())
        for word in ("<script>", "<img src=x onerror=", "[a link](javascript:", "![an image](http", "$$\\href{"):
            assert word in shown, "it is not shown as it is"
    finally:
        visit.close()
        served.close()
    assert canary.hits == []


@pytest.mark.soak
@pytest.mark.parametrize("guards", ["none", "the sanitiser alone"])
def test_without_the_guards_they_succeed(
    tab: Page, tmp_path: Path, canary: Pages, monkeypatch: pytest.MonkeyPatch, guards: str
) -> None:
    """That the tests above can fail: without both guards, scripts run; without the header alone, images are fetched."""
    monkeypatch.delitem(rag.doors.guard.HEADERS, "Content-Security-Policy")
    monkeypatch.setattr(rag.page.conversation, "with_marks", lambda text, marks=(): text)  # it shows tags as text
    if guards == "none":
        chatbot = gr.Chatbot

        def careless(**given: Any) -> gr.Chatbot:
            return chatbot(sanitize_html=False, **given)

        monkeypatch.setattr(gr, "Chatbot", careless)
    served = serve(tmp_path)
    visit = Visit(tab, served.url)
    try:
        text = made("\n\n".join(PAYLOADS[3:6]), canary.url)
        served.server.reply = lambda _: [text[at : at + 7] for at in range(0, len(text), 7)]
        visit.ask("What is a plan?", 0)

        def fetched() -> bool:
            visit.hear()
            return bool(canary.hits)

        # What was shown while it came, and was folded away at the end, has been seen on a quick machine alone.
        for folded in visit.page.get_by_text("What the model made of it").all():
            folded.click()
        wait_until(fetched, 60)
        assert any(url.startswith(canary.url) for url in visit.wrong)
        if guards == "none" and not visit.ran:
            visit.page.wait_for_event("dialog", timeout=60_000)
        assert visit.ran == (guards == "none")
    finally:
        visit.close()
        served.close()


STRUCTURED = """So it is planned. An agent plans!

```python
# An agent plans.
def plan(task):
    return task + "A plan is a list of tasks."
```

A plan is a list of tasks.

| Part | What it is |
|---|---|
| Plan | A plan is a list of tasks. |
| Tool | A tool is what an agent calls. |

$$
a = b. C
+ d
$$

Call `plan. It` so; see https://x.example/plan. A tool is what an agent calls.
"""


def test_marks_leave_code_tables_and_formulas_whole(tab: Page, served: Served) -> None:
    """A mark stands behind prose that a passage supports, and nowhere where it would be read as code or markup."""
    served.server.reply = lambda _: [STRUCTURED[at : at + 7] for at in range(0, len(STRUCTURED), 7)]
    visit = Visit(tab, served.url)
    try:
        visit.ask("What is a plan?", 0)
        answer = visit.page.locator("#conversation .bot.message .md").first
        answer.locator(".katex-display").wait_for(timeout=60_000)
        blocks = answer.locator("pre")
        assert blocks.count() == 1
        code = STRUCTURED.split("```")[1].removeprefix("python\n")
        assert blocks.inner_text().strip() == code.strip()
        rows = answer.locator("tr").all_inner_texts()
        assert [re.split(r"\s*\t\s*", row.strip()) for row in rows] == [
            ["Part", "What it is"],
            ["Plan", "A plan is a list of tasks."],
            ["Tool", "A tool is what an agent calls."],
        ]
        assert answer.locator(".katex-display").count() == 1
        assert answer.locator("pre a, code a, table a, .katex a, a a, img").count() == 0
        marked = answer.locator('p:has-text("A plan is a list of tasks.") > a[href^="#quote-"]')
        assert marked.all_inner_texts() == ["1"]
        first, *_, last = answer.locator("p").all()
        assert first.locator("a").count() == 2
        assert last.locator('a[href^="#quote-"]').last.inner_text() == "1"
        assert last.locator('a[href^="https:"]').get_attribute("href") == "https://x.example/plan"
        assert not re.search(r"#quote|#none|\[[\d?]\]|```", answer.inner_text())
    finally:
        visit.close()


PLAN = "A plan is a list of tasks."
AS_A_PERSON_EXPECTS: list[list[tuple[str, str, dict[str, int]]]] = [
    [
        (
            "A List<String> holds names, and Map<K, V> holds pairs. Use <berth> tags.",
            "A List<String> holds names, and Map<K, V> holds pairs. Use <berth> tags.",
            {"berth, string, k": 0},
        ),
        ("It costs $18 and the other $240, so you save $30 on US$5-$6.",) * 2 + ({".katex": 0},),
        (
            "Write <details><summary>More</summary>hidden</details>, <img src=x>, <a href='javascript:a(1)'>x</a>.",
            "Write <details><summary>More</summary>hidden</details>, <img src=x>, <a href='javascript:a(1)'>x</a>.",
            {"details": 0, "img": 0, 'a[href^="javascript"]': 0},
        ),
        ("An agent plans 🎟️. 价格是十八法郎。 السعر 18 فرنكًا.", "🎟️. 价格是十八法郎。", {}),
        (
            "Open C:\\Users\\new_folder\\*.txt and ~/.config/__init__.py and a_b_c.",
            "Open C:\\Users\\new_folder\\*.txt and ~/.config/__init__.py and a_b_c.",
            {"em": 0, "strong": 0},
        ),
    ],
    [("The area is $$A = \\pi r^2$$ and \\(a^2+b^2=c^2\\) or $E=mc^2$.", "", {".katex": 3, ".katex-display": 1})],
    [
        (f"```py\n# no heading\nf(n)  # <b>bold</b>\n```\n\n{PLAN}", "# no heading\nf(n)  # <b>bold</b>", {"pre": 1}),
        (f"| Part | What |\n|---|---|\n| `a<b>` | {PLAN} |\n", "a<b>", {"table": 1, "td code": 1, "table a": 0}),
    ],
    [
        (f"1. {PLAN}\n2. So it is.\n\n- [x] done\n- ~~old~~ *new*", "", {"ol > li": 2, "input": 1, "del": 1, "em": 1}),
        (
            f"{PLAN[:-1]} [1]. See [2](https://example.org) and footnote[^3].",
            "[1]",
            {'a[href="https://example.org"]': 1},
        ),
        ("x" * 900 + f" end. {PLAN}", "x" * 900, {}),
        ("It is x<sub>2</sub>.<br>Next > 3 < 4.", "Next > 3 < 4.", {"sub": 1, "br": 1}),
    ],
]  # fmt: skip
"""Answers in parts: what a model says, what of it is read on the page, and the elements that the answer then has."""


def test_answers_show_as_a_person_expects(tab: Page, served: Served) -> None:
    visit = Visit(tab, served.url)
    try:
        for number, parts in enumerate(AS_A_PERSON_EXPECTS):
            told = "\n\n".join(part for part, _, _ in parts)
            counts = {selector: count for _, _, some in parts for selector, count in some.items()}
            served.server.reply = lambda _, told=told: [told[at : at + 5] for at in range(0, len(told), 5)]  # type: ignore[misc]
            visit.ask("What is a plan?", number)
            group = visit.page.locator("#conversation .bot.message").last
            if (folded := group.get_by_text("What the model made of it")).count():
                folded.click()
                answer = group.locator(".thought-group .message-content .md").first
            else:
                answer = group.locator(".message-content .md").first
            answer.wait_for(timeout=60_000)
            if counts.get(".katex"):
                answer.locator(".katex").first.wait_for(timeout=60_000)
            read = re.sub(r"(?<=[.。])[\d?](?=\s|$)", "", answer.inner_text())  # without marks
            assert all(shown in read for _, shown, _ in parts), (told, read)
            for selector, count in counts.items():
                assert answer.locator(selector).count() == count, (told, selector)
            assert not re.search(r"#quote|#none|&#\d|&lt;", read)
            assert answer.evaluate("one => one.scrollWidth <= one.closest('.message-wrap').clientWidth"), told
        sent = [item for item in served.server.requests if item.path == "/api/chat"][-1].body["messages"]
        history = "\n".join(message["content"] for message in sent if message["role"] == "assistant")
        assert "&lt;" not in history and "&#" not in history and "#quote" not in history
    finally:
        visit.close()
