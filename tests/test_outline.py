"""Sections: where each begins, to the character, and what it is called; on tidy and on messy pages."""

from __future__ import annotations

from pathlib import Path

import pytest
from langchain_core.documents import Document

from rag.settings import Settings
from rag.sources.loader import load_source, section_at
from rag.sources.outline import is_clause
from tests.files import check


class Sections:
    """Writes a file and gives back [path, anchor] of each section, having checked every offset."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder = folder
        self.settings = settings
        self.document = Document("")

    def __call__(self, text: str, name: str = "a.html") -> list[tuple[str, str]]:
        (self.folder / name).write_text(text, encoding="utf-8", newline="")
        (self.document,) = load_source(str(self.folder / name), self.settings, private=True).documents
        check(self.document)
        sections = self.document.metadata["sections"]
        return [(" > ".join(path), anchor) for _, path, anchor in sections]


@pytest.fixture
def sections(tmp_path: Path, settings: Settings) -> Sections:
    return Sections(tmp_path, settings)


def test_headings_of_a_page(sections: Sections) -> None:
    page = "<title>T</title><p>Intro</p><h2 id=a>A</h2>x<h3 id=b>B</h3>y<h3>C</h3><h2>D</h2>z<h4>E</h4>"
    assert sections(page) == [("A", "a"), ("A > B", "b"), ("A > C", ""), ("D", ""), ("D > E", "")]
    text = sections.document.page_content
    assert text == "Intro\nA\nx\nB\ny\nC\nD\nz\nE"
    assert section_at(sections.document.metadata, text.index("y")) == ("A > B", "b")
    assert section_at(sections.document.metadata, 10**9) == ("D > E", "")
    assert section_at({}, 0) == section_at({"sections": []}, 5) == ("", "")


def test_terms_that_are_told_of_at_length_are_headings(sections: Sections) -> None:
    told = "Waits for the server as long as the client's own timeout says, and then gives up. " * 3
    page = (
        f"<h1>Q</h1><p>{told}</p><dl class=py><dt id=c>class <span>q.</span><span>Client</span>(host)<a>[source]</a>"
        "<a class=headerlink href='#c'>¶</a></dt>"
        f"<dd><p>{told}</p><dl><dt id=g>get(key)</dt><dd><p>{told}</p><dl class='field-list'>"
        f"<dt>Parameters</dt><dd>{told}</dd></dl></dd></dl></dd></dl>"
        f"<dl><dt id=o>open(path)</dt><dd>{told}</dd></dl><p>That is all. {told}</p>"
        f"<h2>Hours</h2><dl><dt>Monday</dt><dd>9 to 17</dd></dl><p>{told}</p>"
    )
    assert sections(page) == [
        ("", ""),
        ("class q.Client(host)", "c"),
        ("class q.Client(host) > get(key)", "g"),
        ("open(path)", "o"),
        ("", ""),
        ("Hours", ""),
    ]
    assert "Monday: 9 to 17" in sections.document.page_content
    document = sections.document
    assert section_at(document.metadata, document.page_content.index("That is all")) == ("", "")


def test_the_title_is_not_repeated(sections: Sections) -> None:
    assert sections("<title>T</title><h1>T</h1><h2>A</h2>") == [("", ""), ("A", "")]
    assert sections("<h1>T</h1>x<h2>A</h2>y<h1>U</h1><h2>B</h2>") == [("", ""), ("A", ""), ("U", ""), ("U > B", "")]
    assert sections("# T\n## A\n", "a.md") == [("", ""), ("A", "")]


@pytest.mark.parametrize(
    "heading",
    [
        '<h2 id="x">A b<a class="headerlink" href="#x" title="Permalink">¶</a></h2>',
        '<h2 id="x">A b<a hidden class="anchor" aria-hidden="true" href="#x">#</a></h2>',
        '<h2 id="x">A b <a href="/page#x">#</a></h2>',
        '<h2 id="x">A b ¶</h2>',
        '<h2 id="x"><a href="#x">§</a> A <b>b</b></h2>',
        '<h2 id="x">A b<a class="hash-link" href="#x">\u200b</a></h2>',
        '<h2><a id="x"></a>A b</h2>',
        '<h2><a name="x">A b</a></h2>',
        '<h2><span id="x">A\n  b</span></h2>',
        '<a name="x"></a>\n<h2>A b</h2>',
        '<a id="x"></a><h2>A<br>b</h2>',
        '<section id="x"><h2>A b</h2></section>',
        '<section id="x"><div><hgroup><h2>A b</h2></hgroup></div></section>',
        '<h2 id="x"><div>A b</div></h2>',
        '<h2 id="x">\n\n<p> </p><p>A b</p></h2>',
        '<h2 id="x">A b<span hidden>secret</span></h2>',
        '<h2 id=" x ">A\0 b\x02\x1e</h2>',
        '<h2 id="x"><svg><title>Icon</title></svg>A&nbsp;b</h2>',
    ],
)
def test_name_and_anchor_of_a_heading(sections: Sections, heading: str) -> None:
    assert sections(f"<title>T</title><body><p>Before  {heading}after") == [("A b", "x")]
    assert sections.document.page_content.split() == ["Before", "A", "b", "after"]


def test_a_sharp_that_belongs_to_the_name(sections: Sections) -> None:
    assert sections("<title>T</title><h2>Learn C#</h2><h2><a href='#c'>C#</a></h2>") == [("Learn C#", ""), ("C#", "")]


def test_a_part_lends_its_id_to_its_first_heading_only(sections: Sections) -> None:
    page = "<title>T</title><section id=s><h2>A</h2><h3>B</h3></section><a id=no>text</a><h2>C</h2>"
    assert sections(page) == [("A", "s"), ("A > B", ""), ("C", "")]


@pytest.mark.parametrize(
    "page",
    [
        "<h2>A<p>x<h2>B<p>y",
        "<h2></h2><h2> </h2><h2><img></h2><h2>B</h2>",
        "<h3>deep first</h3><h1>then high</h1><h6>low</h6>",
        "<ul><li><h2>In a list</h2>x<li><h2>Two</h2></ul><table><tr><td><h3>cell</h3><td>y</table>",
        "<pre>\n\n  <h2>  In pre \n two</h2>   </pre>",
        "<div hidden><h2>Hidden</h2></div><h2 style='display : none'>H</h2><h2>Seen</h2>",
        "<p>  a \r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n b</p>   \n<h2>\tA \r\n B </h2>\n\n",
        "<h2>" + "long " * 500 + "</h2>end",
        "x\0\x02\x1e<h2>\0A\x02</h2>\x02y<h2>\ud7ff&#xD800;B</h2>",
        "<h2><h3>nested</h3></h2><h2>same</h2><h2>same</h2>",
        "<article><h2>A</h2></article><h2>outside</h2>",
        "<h2>\U0001f600 emoji 🔗</h2>é<h2>e\u0301</h2>",
        "&nbsp;<h2>&nbsp;A&nbsp;</h2>&nbsp;<h2>\u3000B\u2003</h2>",
    ],
)
def test_offsets_on_messy_pages(sections: Sections, page: str) -> None:
    sections("<title>T</title><body>" + page)
    found = [path[-1] for _, path, _ in sections.document.metadata["sections"]]
    assert found and "Hidden" not in found and "H" not in found


def test_headings_in_the_classes_of_a_page(sections: Sections) -> None:
    page = "<title>T</title><h2>no</h2><div class='x post-content'><h2 id=a>A</h2>x</div><div class=post-title>t</div>"
    assert sections(page) == [("A", "a"), ("A > t", "")]


PROSE = "Rangers counted the otters of this river, and found more of them than a year ago. " * 5
HEADER = "<header class=post-header><h1 class=post-title>Otters</h1><p>June 23, by <a href=/ida>Ida</a>, 4 min</header>"
CARDS = "<article><h3><a href=/{0}>Card {0}</a></h3><p>Just in.</article>"


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (f"<h1 class=post-title>Otters</h1><p>{PROSE}", "Otters\nPROSE"),
        (f"<nav>Menu</nav><div class=post-title>Otters</div><p>{PROSE}<footer>End</footer>", "PROSE"),
        (f"<p>Menu</p><article>{HEADER}<p>{PROSE}</article>", "Otters\nJune 23, by Ida, 4 min\nPROSE"),
        (f"<p>Menu</p><main><h2 class=post-title><a href=a>A</a></h2><p>{PROSE}</main>", "A\nPROSE"),
        ("<h2 class=post-title><a href=a>A</a></h2><a href=a>About otters</a>", "A\nAbout otters"),
        (f"<p>Menu</p><article>{PROSE}</article><p>x<h3 class=post-title>Related</h3>", "Menu\nPROSE\nx"),
        (
            f"<p>Menu</p><article>{HEADER}<p class=post-content>{PROSE}</article>",
            "Otters\nJune 23, by Ida, 4 min\nPROSE",
        ),
        (f"<h1>Site</h1>{HEADER}<p class=post-content>{PROSE}", "Otters\nJune 23, by Ida, 4 min\nPROSE"),
    ],
    ids=["title", "title, no heading", "header", "linked title", "links", "title elsewhere", "whole", "no article"],
)
def test_a_class_counts_where_it_has_the_body(sections: Sections, page: str, expected: str) -> None:
    sections(f"<title>T</title><body>{page}")
    assert sections.document.page_content == expected.replace("PROSE", PROSE.strip())


def test_a_list_of_linked_titles_is_read_with_what_is_said_of_them(sections: Sections) -> None:
    posts = [f"<h2 class=post-title id=p{i}><a href=/{i}>Post {i}</a></h2><p>About {i}." for i in range(3)]
    assert sections("<title>T</title><nav>Menu</nav>" + "".join(posts)) == [(f"Post {i}", f"p{i}") for i in range(3)]
    assert sections.document.page_content == "\n".join(f"Post {i}\nAbout {i}." for i in range(3))


def test_a_class_counts_on_a_short_page(sections: Sections) -> None:
    sections("<title>T</title><h1>Site</h1><p>Welcome, stranger.</p><div class=post-content>A short note.</div><p>Bye.")
    assert sections.document.page_content == "A short note."


def test_a_long_body_counts_however_much_is_said_below_it(sections: Sections) -> None:
    for body in (f"<p class=post-content>{PROSE * 5}</p>", f"<article>{PROSE * 5}</article>"):
        sections(f"<title>T</title><h1>Site</h1>{body}<div>{PROSE * 50}")
        assert sections.document.page_content.removeprefix("Site\n").startswith((PROSE * 5).strip())


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (
            "<main><h1>News</h1><article><h2>A</h2>One.</article><p>Menu<article><h2>B</h2>Two.</article></main>",
            "A\nOne.\nB\nTwo.",
        ),
        ("<article>One.<article>Inner.</article>More.</article>no<article>Two.</article>", "One.\nInner.\nMore.\nTwo."),
        ("<article>One.</article><article hidden>no</article><div hidden><article>no</article></div>", "One."),
        ("<article><header>One</header><aside>Aside.</aside></article>no", "One\nAside."),
        ("<article>One.</article><aside><article>no</article></aside><nav><article>no</article></nav>", "One."),
        ("<nav>Menu<article>One.</article>", "One."),
    ],
    ids=["several", "nested", "hidden", "whole", "aside", "in a nav that nothing closes"],
)
def test_all_articles_are_read(sections: Sections, page: str, expected: str) -> None:
    sections(f"<title>T</title><body>{page}")
    assert sections.document.page_content == expected


@pytest.mark.parametrize("tag", ["main", "div role=main", "div class=story"])
def test_teasers_beside_the_text_are_not_all_of_it(sections: Sections, tag: str) -> None:
    cards = "".join(map(CARDS.format, range(5)))
    for page in (f"<{tag}><h1>Otters</h1><p>{PROSE}</p>{cards}", f"{cards}<{tag}><h1>Otters</h1><p>{PROSE}</p>"):
        sections(f"<title>T</title><body><nav>Menu</nav>{page}")
        assert f"Otters\n{PROSE.strip()}" in sections.document.page_content
        assert "Menu" not in sections.document.page_content


MARKDOWN = """---
title: x
---
Intro

# One #

```python
# no heading
## neither
```

## Two {#two}
~~~
# no
```
# no
~~~

Under
=====

Dashes
---

- item
---
| a |
---

    # code
#hashtag
####### seven
   ### Three ###
##
## C#
"""


def test_headings_of_markdown(sections: Sections) -> None:
    found = [path for path, _ in sections(MARKDOWN.replace("# One #", "# One\n\n# Two #"), "a.md")]
    assert found[:3] == ["One", "Two", "Two > Two"]  # the title is the front matter's
    found = [path for path, _ in sections(MARKDOWN, "a.md")]
    assert found == ["One", "One > Two", "Under", "Under > Dashes", "Under > Dashes > Three", "Under > C#"]


def test_headings_of_markdown_without_a_blank(sections: Sections) -> None:
    found = sections("# One\n##Role summary:\nText.\n##Pay\nText.\n#hashtag and #hashtag\n##1 is no heading.", "a.md")
    assert [path for path, _ in found] == ["", "Role summary:", "Pay"]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("**Pay** and `max_size`", "Pay and max_size"),
        ("[Setup](https://a.org/b) of *it*", "Setup of it"),
        ("![Logo](logo.png) Tools", "Logo Tools"),
        ("5 * 3 * 2 and **kwargs", "5 * 3 * 2 and **kwargs"),
        ("`__init__`", "__init__"),
    ],
)
def test_names_of_sections_are_as_markdown_shows_them(sections: Sections, given: str, shown: str) -> None:
    assert sections(f"# One\n\n## {given}\n\nText.", "a.md")[-1][0] == shown


@pytest.mark.timeout(60)
@pytest.mark.parametrize("line", ["# " + " " * 5_000_000 + "x", "#" * 5_000_000, "=" * 5_000_000, "`" * 5_000_000])
def test_long_lines_of_markdown(sections: Sections, line: str) -> None:
    sections(f"a\n{line}\nb\n{line}", "a.md")


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "page",
    [
        "<div>" * 10_000 + "x" + "</div>" * 10_000,
        "<div>" * 10_000 + "x",
        "<h2>x" * 10_000,
        "<h2><b>x" * 10_000,
        "<table><tr><td>" * 5_000 + "x",
        "<h2>" + "<span>" * 10_000 + "x",
        "<a name=x></a>" * 10_000 + "<h2>x</h2>" * 10_000,
        "<article>x" * 10_000,
        "<article>x</article>" * 10_000,
    ],
    ids=["nested", "unclosed", "headings", "in headings", "tables", "spans", "anchors", "in articles", "articles"],
)
def test_deep_pages(sections: Sections, page: str) -> None:
    sections(page)
    assert sections.document.page_content.startswith("x")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["a.html", "a.md", "a.txt", "a.csv", "a.py"])
def test_a_line_of_three_megabytes(sections: Sections, name: str) -> None:
    sections("word " * 600_000, name)
    assert len(sections.document.page_content) == 2_999_999


@pytest.mark.parametrize(
    "line",
    [
        *(
            "§ 3 Mietzins",
            "§ 12",
            "Artículo 12.",
            "Artículo 1º. Objeto del contrato.",
            "Article 5 – Termination",
            "Art. 3",
        ),
        *(
            "ARTICLE IV",
            "1. DUTIES.",
            "第十二条",
            "第三章 总则",
            "Section 4. Payment",
            "Статья 5. Права сторон",
            "Άρθρο 3",
        ),
        *("3.1 LIABILITY", "Artículo 2.- Duración", "Annex A"),
    ],
)
def test_headings_of_articles(line: str) -> None:
    assert is_clause(line)


@pytest.mark.parametrize(
    "line",
    [
        *("Section 4 of this Agreement shall apply.", "§ 3 Abs. 2 bleibt unberührt.", "Art. 5 Abs. 2 DSGVO", "3. USA"),
        *(
            "Article 5 applies to all members of the board, who vote.",
            "1. Duties",
            "Art is long, life is short.",
            "Section",
        ),
        *("IL EST RÉSOLU", "12 APR 2020 10:30 ERROR failed", "Section A is closed.", "§ 1\t4", "C L U X NL"),
    ],
)
def test_lines_that_are_no_headings_of_articles(line: str) -> None:
    assert not is_clause(line)
