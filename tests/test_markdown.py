"""Markdown and MDX: titles, tags, tables and headings found; comments and tags of components left out."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from rag.settings import Settings
from tests.conftest import ROOT
from tests.files import check, load

CASE = ROOT / "tests" / "data" / "cases" / "markdown" / "note.md"


def read(text: str, tmp_path: Path, settings: Settings, name: str = "a.md") -> tuple[str, str, list[str]]:
    """Text, title and sections."""
    (tmp_path / name).write_text(text, encoding="utf-8")
    document = load(tmp_path / name, settings)
    check(document)
    return (
        document.page_content,
        document.metadata["title"],
        [" > ".join(path) for _, path, _ in document.metadata["sections"]],
    )


def test_the_case(settings: Settings) -> None:
    document = load(CASE, settings)
    check(document)
    text = document.page_content
    assert document.metadata["title"] == "Sauna logbook"
    assert [path for _, path, _ in document.metadata["sections"]] == [["Setup"]]
    assert "tags: wood, heat" in text and "author: Pekka Laine" in text and "date: 2026-01-09" in text
    assert "Stone: Olivine | Mass: 40 kg | Supplier: Tulikivi" in text.split("\n")
    assert "# install the stove firmware" in text and "Löyly is the steam" in text and "Ladle notes" in text
    assert "internal: do not publish" not in text


@pytest.mark.parametrize(
    ("text", "said", "title"),
    [
        ("---\ntitle: 'A: b'\ntags:\n  - one\n  - two\n---\ntext", "title: A: b\ntags: one, two\n\ntext", "A: b"),
        ('+++\ntitle = "T"\nweight = 3\n+++\ntext', "title: T\nweight: 3\n\ntext", "T"),
        ("---\nauthor: {name: Ann, age: 3}\n---\n# H\ntext", "author: name: Ann; age: 3\n\n# H\ntext", "H"),
        ("---\na: &a [1]\nb: *a\n---\ntext", "a: &a [1]\nb: *a\n\ntext", "a.md"),
        ("---\nno front matter\n\ntext", "---\nno front matter\n\ntext", "a.md"),
        ("---\n\ntext\n\n---\nmore", "---\n\ntext\n\n---\nmore", "a.md"),
    ],
)
def test_front_matter(text: str, said: str, title: str, tmp_path: Path, settings: Settings) -> None:
    assert read(text, tmp_path, settings)[:2] == (said, title)


@pytest.mark.parametrize(
    ("written", "lines"),
    [
        (
            '1. <span id="4.6">Payment Dispute.</span> Ask <a href="/x">us</a><br>now.',
            ["1. Payment Dispute. Ask us now."],
        ),
        ("Press <kbd>Ctrl</kbd> for x<sup>2</sup>.", ["Press Ctrl for x²."]),
        ('<p align="center">\n  <img src="x.png" alt="x">\n</p>\n\nText.', ["Text."]),
        (
            "<img alt='Water flows from the tank to the pump' src=x.png>",
            ["Picture: Water flows from the tank to the pump"],
        ),
        (
            "It costs <del>49</del> <s class='a'>39</s> 29 euros. `<del>1</del>`",
            ["It costs   29 euros. `<del>1</del>`"],
        ),
        ("It costs ~~49~~ 29 euros, `~~1~~` and \\~~2~~ ~~~3.", ["It costs  29 euros, `~~1~~` and \\~~2~~ ~~~3."]),
        ("- Milk\n- [x] ~~Bread\n  and **butter**~~.\n\n## ~~Old~~\n\n- ~~No~~ yes", ["- Milk", "-  yes"]),
        ("| A | B |\n|---|---|\n| ~~1~~ 2 | 3 |\n| ~~4~~ | 5 |", ["A: 2 | B: 3", "B: 5"]),
        ("<table><tr><th>A</th><th>B</th></tr><tr><td>1</td><td><s>2</s>3</td></tr></table>", ["A: 1 | B: 3"]),
        (
            "<table><tr><th rowspan=2>Model</th><th colspan=2>Price</th></tr><tr><th>EU</th><th>US</th></tr>"
            "<tr><td rowspan=2>Heron</td><td>429</td><td>449</td></tr><tr><td>399</td><td>420</td></tr></table>",
            ["Model: Heron | Price EU: 429 | Price US: 449", "Model: Heron | Price EU: 399 | Price US: 420"],
        ),
        ("<ul><li>One</li><li>Two</li></ul>", ["- One", "- Two"]),
        ("`<b>` is bold, and so is ``<span>``.", ["`<b>` is bold, and so is ``<span>``."]),
        (
            "A List<i> of a < b and c > d, see <https://x.example>.",
            ["A List<i> of a < b and c > d, see <https://x.example>."],
        ),
        ("```\n<b>bold</b>\n```", ["```", "<b>bold</b>", "```"]),
    ],
)
def test_html_in_markdown_is_not_read(written: str, lines: list[str], tmp_path: Path, settings: Settings) -> None:
    text, _, _ = read(f"# Top\n\n{written}\n\nAfter.", tmp_path, settings)
    assert [line.strip() for line in text.split("\n") if line.strip()] == ["# Top", *lines, "After."]


def test_headings_by_tags_are_headings(tmp_path: Path, settings: Settings) -> None:
    written = (
        '<h1 align="center">\n  <img src="x">\n  My <b>Tool</b>\n</h1>\n\nText.\n\n<h2 id="u">Use it</h2>\n\nMore.'
    )
    text, title, sections = read(written, tmp_path, settings)
    assert (title, sections) == ("My Tool", ["", "Use it"])
    assert "<" not in text


@pytest.mark.parametrize(
    ("table", "rows"),
    [
        ("| a | b |\n|---|---|\n| 1 | 2 |", ["a: 1 | b: 2"]),
        ("a | b\n:--|--:\n1 | 2\n3 |", ["a: 1 | b: 2", "a: 3"]),
        ("| a | b |\n|---|---|\n| x \\| y | `c` |", ["a: x | y | b: `c`"]),
        ("| | Free | Pro |\n|-|-|-|\n| Price | 0<br>now | 9 |", ["Price | Free: 0 now | Pro: 9"]),
        ("> | a | b |\n> |---|---|\n> | 1 | 2 |", ["a: 1 | b: 2"]),
        ("- x\n\n  | a | b |\n  |---|---|\n  | 1 | 2 |", ["- x", "a: 1 | b: 2"]),
        ("| | |\n|---|---|\n| Ann | 1 |\n| Bo | 2 |", ["Ann | 1", "Bo | 2"]),
        ("```\n| a | b |\n|---|---|\n```", ["```", "| a | b |", "|---|---|", "```"]),
        ("<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>", ["a: 1 | b: 2"]),
        ("cat a | grep b\nls | wc", ["cat a | grep b", "ls | wc"]),
    ],
)
def test_tables(table: str, rows: list[str], tmp_path: Path, settings: Settings) -> None:
    text, _, sections = read(f"# Top\n\n## Prices\n\n{table}\n\nAfter.", tmp_path, settings)
    assert [line for line in text.split("\n") if line] == ["# Top", "## Prices", *rows, "After."]
    assert sections == ["", "Prices"]


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        ("Heron\n: A grey bird\n: A bike of 429 euros", ["Heron: A grey bird", "Heron: A bike of 429 euros"]),
        ("Eel\nConger\n\n:   A fish.\n\n    More.", ["Eel / Conger: A fish.", "    More."]),
        ("Time\n: 9:30\nPlace\n: Pier 4", ["Time: 9:30", "Place: Pier 4"]),
        ("```\nX\n: no\n```", ["```", "X", ": no", "```"]),
        ("* item\n: what", ["* item", ": what"]),
        ("::: note\nhi\n:::", ["::: note", "hi", ":::"]),
    ],
)
def test_definitions_have_their_term(given: str, lines: list[str], tmp_path: Path, settings: Settings) -> None:
    text, _, sections = read(f"# Top\n\n## Terms\n\n{given}\n\nAfter.", tmp_path, settings)
    assert [line for line in text.split("\n") if line] == ["# Top", "## Terms", *lines, "After."]
    assert sections == ["", "Terms"]


def test_comments_are_left_out_but_not_in_code(tmp_path: Path, settings: Settings) -> None:
    text = "One <!-- no\n# no\n--> two `<!-- yes -->`\n\n```html\n<!-- kept -->\n```\n\n<!-- open"
    assert read(text, tmp_path, settings)[0] == ("One  two `<!-- yes -->`\n\n```html\n<!-- kept -->\n```\n\n<!-- open")


def test_mdx(tmp_path: Path, settings: Settings) -> None:
    text, title, _ = read(
        "import Tabs from '@theme/Tabs';\nimport {\n  Card,\n} from './card'\nexport const meta = {\n  a: 1,\n}\n\n"
        "# Start\n\n<Tabs items={[1, 2]} onChange={() => go('x')}>\n<Card title=\"Fast setup\" icon={<Icon />}>\n"
        "Run **it** if a < b and c > d.\n</Card>\n</Tabs>\n{/* hidden */}\nUse `<Card>` so:\n\n"
        "```jsx\nimport React from 'react'\n<Card>kept</Card>\n```\n",
        tmp_path,
        settings,
        "a.mdx",
    )
    assert title == "Start"
    assert [line for line in text.split("\n") if line] == [
        *("# Start", "Fast setup", "Run **it** if a < b and c > d.", "Use `<Card>` so:"),
        *("```jsx", "import React from 'react'", "<Card>kept</Card>", "```"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "<table" * 50_000,
        "<!--" * 80_000,
        "{/*" * 80_000,
        "<A " * 80_000,
        "|" + " " * 300_000 + "x\n|-|" + " " * 300_000 + "-x",
        "import x\n" * 30_000,
        "x\n" * 30_000 + ": y\n" * 30_000,
    ],
    ids=["tables", "comments", "mdx comments", "tags", "blanks", "imports", "definitions"],
)
def test_long_files_take_no_longer_than_their_size(text: str, tmp_path: Path, settings: Settings) -> None:
    began = time.monotonic()
    read(f"Begin\n\n{text}\n\nEnd", tmp_path, settings, "a.mdx")
    assert time.monotonic() - began < 100


def test_headings_without_a_blank_behind_their_signs(tmp_path: Path, settings: Settings) -> None:
    text = "##Basics:\n\nA text.\n\n##**Duties**\n\n#hashtag and ##code\n\n```\n##No heading\n```\n\n###Éire\n\nA"
    (tmp_path / "a.md").write_text(text, encoding="utf-8")
    document = load(tmp_path / "a.md", settings)
    assert [path for _, path, _ in document.metadata["sections"]] == [
        ["Basics:"],
        ["Duties"],
        ["Duties", "Éire"],
    ]
