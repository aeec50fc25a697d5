"""The reader: text as blocks, boxes on pages, its routes, and the pane in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Dialog, Page, expect

from bench.reader import draw_pdf, folded, lay_out, text_under
from rag.errors import SourceError
from rag.reader.blocks import AROUND, Block, build_blocks, window_of
from rag.reader.pages import Pages, draw_picture, find, find_in_picture
from rag.settings import Settings
from rag.sources.loader import load_source
from rag.sources.outline import RECOGNIZED
from tests.browser import browser, serious_in_both, tab, visited
from tests.conftest import AppStarter, RunningApp, wait_until
from tests.files import picture, word
from tests.serving import basic, serve

__all__ = ["browser", "tab"]  # fixtures

PROSE = (
    "The ferry has joined the two halves of the town since 1871. It was first rowed by six men. A steam boat of forty"
    " tons took their place after a winter of storms. The fare was two coins for a grown person. Children under seven"
    " travelled free, as did doctors on duty. The final fixed bridge was refused by the council in a vote of flaming"
    " fury. Money for it was set aside twice."
)


# -- blocks ----------------------------------------------------------------------------------------------------------


def blocks_of(path: Path, settings: Settings, words: str) -> list[Block]:
    """The blocks of a file with some words lit."""
    loaded = load_source(str(path), settings, private=True)
    assert loaded
    (document,) = loaded.documents
    start = document.page_content.index(words)
    return build_blocks(document.page_content, document.metadata, loaded.kind, (start, start + len(words)))


def lit(blocks: list[Block]) -> str:
    return "".join(run.text for block in blocks for run in block.runs if run.lit)


def text(block: Block) -> str:
    return "".join(run.text for run in block.runs)


def test_a_web_page_becomes_headings_tables_and_code(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "a.html").write_text(
        "<title>T</title><main><h1>Kettle</h1><p>Fill it. Then <b>wait</b> for ten minutes.</p><h2>Keys</h2>"
        "<table><tr><th>Key</th><th>Heat</th></tr><tr><td>Leaf</td><td>80</td></tr><tr><td>Cup</td><td>96</td></tr>"
        "</table><h2>Code</h2><pre>def f():\n    return 1\n\n    # end</pre><p>The end.</p></main>"
    )
    blocks = blocks_of(tmp_path / "a.html", settings, "Then wait for ten minutes.")
    assert [(block.kind, block.level) for block in blocks] == [
        ("heading", 2),
        ("text", 0),
        ("heading", 3),
        ("table", 0),
        ("heading", 3),
        ("code", 0),
        ("text", 0),
    ]
    assert lit(blocks) == "Then wait for ten minutes."
    assert (blocks[3].columns, blocks[3].rows) == (["Key", "Heat"], [["Leaf", "80"], ["Cup", "96"]])
    assert text(blocks[5]) == "def f():\n    return 1\n\n    # end"


def test_the_row_of_a_sheet_is_lit(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "a.csv").write_text("Model,Price,Gears\nHeron,429,8\nTern,880,11\nGull,312,3\n")
    (block,) = blocks_of(tmp_path / "a.csv", settings, "Model: Tern | Price: 880")
    assert (block.kind, block.columns, block.lit) == ("table", ["Model", "Price", "Gears"], [1])
    assert block.rows[1] == ["Tern", "880", "11"]


MARKDOWN = """# Top & bottom

Some *soft* and **hard \\* words** with `code <b>` and [a link](https://x.example) &amp; more.
It goes on here.

- one item
- two items
  1. within
> said by others

| Name | Size |
|---|---|
| Heron | 4 |
| Tern | 5 |

```py
x = "<script>"
y = 2
```
"""


def test_markdown_is_shown_without_its_signs(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "a.md").write_text(MARKDOWN)
    blocks = blocks_of(tmp_path / "a.md", settings, "hard \\* words** with `code <b>` and [a link]")
    kinds = [block.kind for block in blocks]
    assert kinds == ["heading", "text", "item", "item", "item", "quote", "table", "code"]
    assert text(blocks[0]) == "Top & bottom" and blocks[0].level == 1
    shown = "Some soft and hard * words with code <b> and a link & more. It goes on here."
    assert text(blocks[1]) == shown
    assert lit(blocks) == "hard * words with code <b> and a link"
    assert {run.style for run in blocks[1].runs} == {"", "em", "strong", "code", "link"}
    assert [(block.level, block.label) for block in blocks[2:5]] == [(1, "•"), (1, "•"), (2, "1.")]
    assert blocks[6].columns == ["Name", "Size"]
    assert text(blocks[7]) == 'x = "<script>"\ny = 2'


@pytest.mark.parametrize("kind", ["Markdown", "text", "code", "web page"])
def test_exactly_the_quote_is_lit_wherever_it_is(kind: str) -> None:
    """Of plain words: every span of them, in every kind of text."""
    plain = "One two three.\nFour five six.\n\nSeven eight nine."
    for start in range(0, len(plain), 5):
        for end in range(start + 1, len(plain) + 1, 7):
            blocks = build_blocks(plain, {}, kind, (start, end))
            assert re.sub(r"\s", "", lit(blocks)) == re.sub(r"\s", "", plain[start:end])


def test_of_a_long_text_the_part_around_the_quote_is_shown() -> None:
    long = "".join(f"line {number} of the text\n" for number in range(20_000))
    start = long.index("line 12000 ")
    first, last = window_of(long, start, start + 10)
    assert 0 < first < start - AROUND // 2 and start + AROUND // 2 < last < len(long)
    assert long[first - 1] == long[last - 1] == "\n"
    blocks = build_blocks(long, {}, "text", (start, start + 10), (first, last))
    assert lit(blocks) == "line 12000" and len(blocks) == long[first:last].count("\n")


def test_a_part_of_markdown_may_begin_within_code() -> None:
    code = "\n".join(f"# no heading {number}" for number in range(40))
    marked = f"# Heading\n\n~~~\n{code}\n~~~\n\n# Another\n"
    start = marked.index("# no heading 20")
    blocks = build_blocks(marked, {}, "Markdown", (start, start + 4), (start, len(marked)))
    assert [block.kind for block in blocks] == ["code", "heading"]
    assert lit(blocks) == "# no"


# -- pages -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rotate", "columns"), [(0, 1), (0, 2), (90, 1), (180, 2), (270, 1)])
def test_the_words_of_a_quote_are_under_its_boxes(
    rotate: int, columns: int, tmp_path: Path, settings: Settings
) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(draw_pdf(lay_out(f"{PROSE} " * 6, columns=columns), rotate=rotate, ligatures=True))
    loaded = load_source(str(path), settings, private=True)
    assert loaded
    page = loaded.documents[0].page_content
    sentences = [found.span() for found in re.finditer(r"[A-Z][^.]+\.", page)]
    assert len(sentences) > 30
    for start, end in sentences:
        places = find(str(path), 1, page, (start, end), {})["places"]
        assert folded(text_under(path, places)) == folded(page[start:end])


def test_words_on_a_scanned_page_have_places(tmp_path: Path, settings: Settings) -> None:
    from PIL import Image

    (tmp_path / "a.png").write_bytes(picture("Herons stand in cold water. Gulls do not.", "Terns dive for small fish."))
    Image.open(tmp_path / "a.png").convert("RGB").save(tmp_path / "a.pdf")
    loaded = load_source(str(tmp_path / "a.pdf"), settings, private=True)
    assert loaded
    (document,) = loaded.documents
    page, kept = document.page_content, document.metadata[RECOGNIZED]

    def place(words: str) -> Any:
        start = page.index(words)
        span = (start, start + len(words))
        ((_, left, top, width, height),) = find(str(tmp_path / "a.pdf"), 1, page, span, {1: kept})["places"]
        return left, top, left + width, top + height

    herons, gulls, terns = place("Herons stand in cold water."), place("Gulls do not."), place("Terns dive")
    assert herons[0] < 0.07 and herons[2] == pytest.approx(gulls[0], abs=0.02)
    assert herons[1] == pytest.approx(gulls[1], abs=0.01) and terns[1] > herons[3] - 0.05
    assert find(str(tmp_path / "a.pdf"), 1, page, (0, 5), {})["places"] is None


@pytest.mark.parametrize("turned", [pytest.param(0, marks=pytest.mark.soak), 90])
def test_words_in_a_picture_have_places(turned: int, tmp_path: Path, settings: Settings) -> None:
    """Of a picture that lies on its side, too: the boxes are where it is shown so. The page shows an upright one."""
    path = tmp_path / "a.png"
    lines = ("Herons stand in cold water. Gulls do not.", "Terns dive for small fish.", "A gull eats what it is given.")
    path.write_bytes(picture(*lines, turned=turned))
    loaded = load_source(str(path), settings, private=True)
    assert loaded
    (document,) = loaded.documents
    text = document.page_content

    def place(words: str) -> Any:
        start = text.index(words)
        told = find_in_picture(str(path), 1, text, (start, start + len(words)), kept)
        ((page, left, top, width, height),) = told["places"]
        assert (page, told["pages"]) == (1, 1)
        return left, top, left + width, top + height

    kept = {1: document.metadata[RECOGNIZED]}
    gulls, terns = place("Gulls do not."), place("Terns dive")
    if turned:  # a line runs upwards, and the next one is right of it
        assert gulls[3] < terns[3] and gulls[2] < terns[0] + 0.02
    else:
        assert gulls[0] > terns[2] - 0.02 and gulls[3] < terns[1] + 0.02
    nowhere = find_in_picture(str(path), 1, "Another text", (0, 5), kept)
    assert nowhere == {"pages": 1, "places": None}
    drawn = draw_picture(str(path), 1, 300)
    assert drawn.startswith(b"\x89PNG") and int.from_bytes(drawn[16:20], "big") == 300


def test_a_child_draws_pages_and_says_what_it_cannot(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(draw_pdf([[(50, 700, "Some words on a page")]]))
    pages = Pages()
    try:
        drawn = pages.picture("a.pdf", str(path), 1, 400)
        assert drawn.startswith(b"\x89PNG") and int.from_bytes(drawn[16:20], "big") in (400, 401)
        assert pages.places("a.pdf", str(path), 1, "Some words on a page", (5, 10), {}).pages == 1
        with pytest.raises(SourceError, match="no page 2"):
            pages.picture("a.pdf", str(path), 2, 400)
        path.write_bytes(b"%PDF-1.7 damaged")
        with pytest.raises(SourceError, match="damaged"):
            pages.picture("a.pdf", str(path), 1, 400)
    finally:
        pages.close()


# -- routes ----------------------------------------------------------------------------------------------------------

HOSTILE = (
    "<title>Kettle</title><main><h1>Kettle</h1><p>The kettle is descaled with vinegar, &lt;img src=x"
    " onerror=alert(1)&gt; and water.</p><p>The warranty lasts thirty months from the day of purchase.</p>"
    "<script>alert(2)</script></main>"
)


def test_visitors_who_may_not_change_the_library_open_nothing(tmp_path: Path) -> None:
    """What a mark does for them on the page is in `test_sidebar.py`."""
    served = serve(tmp_path, password="open sesame", admin_password="boss")
    try:
        source = str(tmp_path / "notes.md")
        for path in ("reader", "reader/page?page=1", "reader/boxes?page=1"):
            url = f"{served.url}{path}{'&' if '?' in path else '?'}source={source}"
            assert httpx.get(url, timeout=30).status_code == 401
            assert httpx.get(url, headers=basic("rag", "open sesame"), timeout=30).status_code == 403
        shown = httpx.get(f"{served.url}reader?source={source}", headers=basic("admin", "boss"), timeout=30)
        assert shown.json()["blocks"][0]["runs"][0]["text"] == "Notes"
        for other in ("/etc/passwd", str(tmp_path / "other.md"), "https://x.example/"):
            reply = httpx.get(
                f"{served.url}reader", params={"source": other}, headers=basic("admin", "boss"), timeout=30
            )
            assert (reply.status_code, reply.json()["code"]) == (422, "source_failed"), other
        not_pdf = httpx.get(
            f"{served.url}reader/page?page=1&source={source}", headers=basic("admin", "boss"), timeout=30
        )
        assert not_pdf.status_code == 422
    finally:
        served.close()


# -- the pane --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def app(start_shared_app: AppStarter, tmp_path_factory: pytest.TempPathFactory) -> RunningApp:
    folder = tmp_path_factory.mktemp("reader")
    sources = folder / "sources"
    sources.mkdir()
    lines = lay_out(PROSE, columns=1)[0]
    (sources / "ferry.pdf").write_bytes(draw_pdf([[(50, 700, "A cover page of the ferry company")], lines]))
    (sources / "lease.docx").write_bytes(
        word("The garden lease", "The rent of the garden is ninety euros a year.", "Hens may be kept, cocks may not.")
    )
    (sources / "kettle.html").write_text(HOSTILE)
    rows = "".join(f"Item{number},{number * 7},shelf {number % 9}\n" for number in range(60))
    (sources / "bicycles.csv").write_text(f"Bicycle,Price,Shelf\nPlover,1240,seven\n{rows}")
    (sources / "notice.png").write_bytes(
        picture("Notice of the swimming hall", "The sauna opens at eleven on Sundays.")
    )
    flags = ("--data-dir", str(folder / "data"), "--source", str(sources), "--embeddings", "embedded:all-minilm-l6-v2")
    app = start_shared_app(*flags, "--model", "none")
    wait_until(lambda: app.health()["sources"] == 5 and not app.health()["awaiting"], 60)
    return app


WIDE, PHONE = (1360, 850), (390, 844)


@pytest.fixture(params=[WIDE, PHONE], ids=["wide", "phone"])
def page(request: pytest.FixtureRequest, tab: Page, app: RunningApp) -> Iterator[Page]:
    with visited(tab, app.url, *request.param, stay=True) as wrong:

        def note(dialog: Dialog) -> None:
            wrong.append(f"dialog {dialog.message}")
            dialog.dismiss()

        tab.on("dialog", note)
        yield tab
        tab.remove_listener("dialog", note)


QUESTIONS = {
    "ferry.pdf": ("What was the fare of the ferry for a grown person?", "two coins"),
    "lease.docx": ("What is the rent of the garden?", "ninety euros"),
    "kettle.html": ("How long does the warranty of the kettle last?", "thirty months"),
    "bicycles.csv": ("What is known of the Plover bicycle?", "1240"),
    "notice.png": ("When does the sauna open on Sundays?", "eleven"),
}


def open_mark(page: Page, name: str) -> None:
    """Ask, and open the first quote's mark by the keyboard."""
    box = page.get_by_role("textbox", name="Question")
    box.fill(QUESTIONS[name][0])
    box.press("Enter")
    mark = page.locator('#conversation a[href^="#quote-"]').first
    expect(page.get_by_text(re.compile("Sources ·"))).to_be_visible()
    mark.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#reader[data-open]")).to_be_visible()


@pytest.mark.parametrize(
    ("page", "name"),
    [(WIDE, "lease.docx"), (WIDE, "kettle.html"), (WIDE, "bicycles.csv")],
    indirect=["page"],
)
def test_a_mark_opens_the_source_at_the_words(page: Page, name: str) -> None:
    open_mark(page, name)
    reader = page.locator("#reader")
    lit = reader.locator("mark").filter(has_text=QUESTIONS[name][1])
    expect(lit.first).to_be_in_viewport()
    if name == "bicycles.csv":
        expect(reader.locator("tr.lit")).to_have_count(1)
        expect(reader.locator("tr.lit")).to_contain_text("Plover")
    if name == "kettle.html":
        expect(reader).to_contain_text("<img src=x onerror=alert(1)>")
    expect(reader.get_by_role("link", name=re.compile("Open the original|Save the file"))).to_be_visible()
    page.keyboard.press("Escape")
    expect(reader).to_be_hidden()
    expect(page.locator('#conversation a[href^="#quote-"]').first).to_be_focused()
    quote = page.locator("#conversation .bot blockquote").first  # no model is asked here
    expect(quote).to_contain_text("“")
    expect(quote).to_contain_text(QUESTIONS[name][1])
    quote.click(position={"x": 30, "y": 10})
    expect(lit.first).to_be_in_viewport()


def test_a_mark_opens_the_page_of_a_pdf_with_boxes_on_the_words(page: Page, app: RunningApp) -> None:
    open_mark(page, "ferry.pdf")
    reader = page.locator("#reader")
    box = reader.locator(".box").first
    expect(box).to_be_in_viewport()
    expect(reader.locator(".place")).to_have_text("Page 2 of 2")
    picture = reader.locator("img")
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") >= 600
    at, around = box.bounding_box(), picture.bounding_box()
    assert at and around and around["y"] < at["y"] < around["y"] + 0.25 * around["height"]
    reader.get_by_role("button", name="The page before").click()
    expect(reader.locator(".place")).to_have_text("Page 1 of 2")
    expect(reader.locator(".box")).to_have_count(0)
    reader.get_by_role("button", name="Back to the words").click()
    expect(box).to_be_in_viewport()
    width = around["width"]
    reader.get_by_role("button", name="Larger").click()
    page.wait_for_function("width => document.querySelector('#reader img').clientWidth > 1.2 * width", arg=width)
    reader.get_by_role("button", name="Show the text as it was read").click()
    expect(reader.locator("mark").filter(has_text="two coins")).to_be_in_viewport()
    reader.get_by_role("button", name="Close the reader").click()
    expect(reader).to_be_hidden()


@pytest.mark.parametrize("page", [WIDE], indirect=True)
def test_a_mark_opens_a_picture_with_boxes_on_the_words(page: Page) -> None:
    open_mark(page, "notice.png")
    reader = page.locator("#reader")
    expect(reader.locator(".box").first).to_be_in_viewport()
    expect(reader.locator(".place")).to_be_empty()
    assert reader.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)") >= 300
    at, around = reader.locator(".box").first.bounding_box(), reader.locator("img").bounding_box()
    assert at and around and at["y"] > around["y"] + 0.02 * around["height"]  # the second line
    reader.get_by_role("button", name="Show the text as it was read").click()
    expect(reader.locator("mark").filter(has_text="eleven")).to_be_in_viewport()


@pytest.mark.parametrize("page", [WIDE], indirect=True)
def test_axe_finds_nothing_serious_in_the_reader(page: Page) -> None:
    for name in ("ferry.pdf", "bicycles.csv", "kettle.html"):
        page.locator(f"#sidebar b a[href*='{name}']").click()
        expect(page.locator(f"#reader h2[title$='{name}']")).to_be_visible()
        expect(page.locator("#reader :is(.sheet img, .text td, .text p)").first).to_be_visible()
        assert serious_in_both(page) == [], name


@pytest.mark.parametrize("page", [PHONE], indirect=True)
def test_a_source_of_the_library_is_read_from_its_beginning(page: Page) -> None:
    read = page.locator("#sidebar b a[href*='ferry.pdf']")
    read.wait_for(state="attached", timeout=60_000)
    read.evaluate("link => link.click()")  # on a phone it is on the other tab
    expect(page.locator("#reader .place")).to_have_text("Page 1 of 2")
    expect(page.locator("#reader .spoken")).to_contain_text("A cover page of the ferry company")


@pytest.mark.parametrize("page", [WIDE], indirect=True)
def test_a_source_that_is_gone_says_so(page: Page, app: RunningApp) -> None:
    page.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<a id=gone href=\"#read?source=gone.pdf&start=1&end=2\">x</a>')"
    )
    page.evaluate("document.getElementById('gone').click()")
    expect(page.locator("#reader .told")).to_contain_text("not in the library")
