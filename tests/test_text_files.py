"""JSON, subtitles, lighter markups, and files whose names or contents say that they are text."""

from __future__ import annotations

import base64
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from rag.settings import Settings
from rag.sources.loader import load_source
from tests.conftest import ROOT
from tests.files import check, load, reason

CASES = ROOT / "tests" / "data" / "cases" / "othertypes"


def put(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


@pytest.mark.parametrize("path", sorted(CASES.iterdir()), ids=lambda path: path.name)
def test_the_cases(path: Path, settings: Settings) -> None:
    loaded = load_source(str(path), settings, private=True)
    assert loaded is not None
    (document,) = loaded.documents
    check(document)
    said = "The harvest begins on 9 September." if path.suffix == ".eml" else "The lighthouse was built in 1871."
    assert said in document.page_content


# JSON


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        ({"a": 1, "b": None, "c": [1, "x"], "d": False}, ["a: 1 | c: 1, x | d: false"]),
        (
            {"services": [{"name": "alpha", "net": {"port": 1}}, {"name": "gamma", "net": {"port": 8080}}]},
            ["services | name: alpha | net.port: 1", "services | name: gamma | net.port: 8080"],
        ),
        ({"services": {"gamma": {"port": 9}, "beta": {"port": 8}}}, ["services | gamma.port: 9 | beta.port: 8"]),
        ({"m": [[1, 2], [3, 4]]}, ["m: 1, 2", "m: 3, 4"]),
        (["Ann", "Bo"], ["Ann", "Bo"]),
        ({"text": "two\nlines", "list": []}, ["text: two lines"]),
    ],
)
def test_json(value: Any, lines: list[str], tmp_path: Path, settings: Settings) -> None:
    for indent in (None, 2):
        path = put(tmp_path, "a.json", json.dumps(value, indent=indent))
        assert load(path, settings).page_content.split("\n") == lines


def test_large_objects_keep_the_name_of_what_holds_them(tmp_path: Path, settings: Settings) -> None:
    hosts = [{"name": f"host{number}", "about": "x" * 600, "disk": {"size": number}} for number in range(5)]
    lines = load(put(tmp_path, "a.json", json.dumps({"hosts": hosts})), settings).page_content.split("\n")
    assert "hosts host3.disk | size: 3" in lines


LONG = "Words about the evening. " * 30


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        (
            {
                "data": [
                    {"id": 7, "name": "Ada Quill", "start": "2020-02-06", "text": LONG, "end": "2020-02-07", "x": 1}
                ]
            },
            [
                "data | id: 7 | name: Ada Quill | start: 2020-02-06",
                f"data Ada Quill | text: {LONG.strip()}",
                "data Ada Quill | end: 2020-02-07 | x: 1",
            ],
        ),
        (
            [{"text": LONG, "Title": "Ada Quill", "net": {"port": 1}}],
            [f"Ada Quill | text: {LONG.strip()}", "Title: Ada Quill", "Ada Quill.net | port: 1"],
        ),
        (
            [{"kind": "q", "asked": f"{word}?", "text": LONG} for word in ("How", "When", "Where")],
            [
                line
                for word in ("How", "When", "Where")
                for line in (f"kind: q | asked: {word}?", f"{word}? | text: {LONG.strip()}")
            ],
        ),
        (
            [{"kind": "tree", "text": LONG}, {"kind": "leaf", "text": LONG}],
            ["kind: tree", f"text: {LONG.strip()}", "kind: leaf", f"text: {LONG.strip()}"],
        ),
        ({"name": "tool", "about": LONG, "port": 1}, ["name: tool", f"about: {LONG.strip()}", "port: 1"]),
        (
            {"run": {"a": 1, "text": LONG, "b": 2, "c": 3}},
            ["run | a: 1", f"run | text: {LONG.strip()}", "run | b: 2", "run | c: 3"],
        ),
        ({"saw": {"text": LONG, "name": "saw"}}, [f"saw | text: {LONG.strip()}", "saw | name: saw"]),
        ({"tool": {"name": "", "id": 9, "a": LONG}}, ["tool | id: 9", f"tool 9 | a: {LONG.strip()}"]),
    ],
)
def test_each_line_of_a_large_object_has_its_name(
    value: Any, lines: list[str], tmp_path: Path, settings: Settings
) -> None:
    assert load(put(tmp_path, "a.json", json.dumps(value)), settings).page_content.split("\n") == lines


def test_a_large_record_has_its_name_on_each_line(tmp_path: Path, settings: Settings) -> None:
    records = [{"text": LONG, "name": "Ada Quill", "none": None, "port": 1}, {"name": "Bo", "none": None, "port": 2}]
    text = "\n".join(map(json.dumps, records))
    assert load(put(tmp_path, "a.jsonl", text), settings).page_content.split("\n") == [
        f"Ada Quill | text: {LONG.strip()}",
        "name: Ada Quill | port: 1",
        "name: Bo | port: 2",
    ]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("<p>With <b>Ada</b>,<br />37,95&nbsp;&euro;</p><p>Doors at 8</p>", "With Ada, 37,95 € Doors at 8"),
        ("<ul><li>One<li>Two</ul>See <a href='x'>the list</a>.", "One Two See the list."),
        ("Quill &amp; Sons", "Quill & Sons"),
        ("Map<a, b> and <b> are no tags, nor is 3 < 4 > 2", "Map<a, b> and <b> are no tags, nor is 3 < 4 > 2"),
        ("a List<b> of <code>them</code>", "a List<b> of them"),
        ("<div>{{ name }}</div>", "<div>{{ name }}</div>"),
        ("<template><p>One</p></template>", "<template><p>One</p></template>"),
        ("?a=1&copy=2&lt=3", "?a=1&copy=2&lt=3"),
    ],
)
def test_values_that_are_html_are_told_without_tags(value: str, told: str, tmp_path: Path, settings: Settings) -> None:
    text = json.dumps({"about": value, "empty": "<p><br></p>"})
    assert load(put(tmp_path, "a.json", text), settings).page_content == f"about: {told}"


def test_records_of_json(tmp_path: Path, settings: Settings) -> None:
    text = '{"id": 1, "user": {"name": "Ann"}}\n\n{"id": 2, "user": {"name": "Bo"}}\nbroken {\n'
    for name in ("a.jsonl", "a.ndjson"):
        lines = load(put(tmp_path, name, text), settings).page_content.split("\n")
        assert lines == ["id: 1 | user.name: Ann", "id: 2 | user.name: Bo", "broken {"]
    assert load(put(tmp_path, "b.json", '{"cut": '), settings).page_content == '{"cut":'
    assert load(put(tmp_path, "c.json", "[" * 100_000), settings).page_content == "[" * 100_000


# Subtitles


def test_subtitles(tmp_path: Path, settings: Settings) -> None:
    srt = (
        "1\n00:00:01,000 --> 00:00:03,000\n<i>The lighthouse</i>\n\n2\n00:00:03,000 --> 00:00:05,000\n"
        "was built in 1871.\n\n3\n01:01:05,000 --> 01:01:07,000\n{\\an8}Really?\n"
    )
    document = load(put(tmp_path, "talk.srt", srt), settings)
    assert document.page_content == "[00:00:01] The lighthouse was built in 1871.\n[01:01:05] Really?"
    assert document.metadata["title"] == "talk"
    vtt = (
        "WEBVTT\nKind: captions\n\nNOTE no\n\nSTYLE\n::cue { color: red }\n\nid\n00:01.000 --> 00:03.000 align:start\n"
        "<v Ann>Hello there\n\n00:03.000 --> 00:05.000\nmy <c.x>old</c>\n\n00:05.000 --> 00:06.000\n"
        "my <c.x>old</c>\nfriend.\n"
    )
    assert load(put(tmp_path, "a.vtt", vtt), settings).page_content == "[00:00:01] Ann: Hello there my old friend."


# Markups


@pytest.mark.parametrize(
    ("name", "text", "title", "sections"),
    [
        (
            "a.org",
            "#+TITLE: Mine\n* One :tag:\nx\n** TODO Two\n#+begin_src\n* no\n#+end_src\n",
            "Mine",
            ["One", "One > Two"],
        ),
        ("a.adoc", "= Mine\n:toc:\n\n== One\n\n----\n== no\n----\n\n=== Two\nx", "Mine", ["", "One", "One > Two"]),
        ("a.rst", "====\nMine\n====\n\nOne\n---\n\nx\n\nTwo\n~~~\n\ny\n", "Mine", ["", "One", "One > Two"]),
        ("a.textile", "h1. Mine\n\nh2. One\n\nx\n\nh3(#id). Two\n\ny", "Mine", ["", "One", "One > Two"]),
        ("a.tex", "\\title{Mine}\n\\section{One} x\n\\subsection*{Two}\ny", "Mine", ["One", "One > Two"]),
    ],
)
def test_headings(name: str, text: str, title: str, sections: list[str], tmp_path: Path, settings: Settings) -> None:
    document = load(put(tmp_path, name, text), settings)
    check(document)
    assert document.metadata["title"] == title
    assert [" > ".join(path) for _, path, _ in document.metadata["sections"]] == sections


def test_markdown_in_a_file_of_text(tmp_path: Path, settings: Settings) -> None:
    text = "---\ntitle: Pump\n---\n\n# Use\n\n{0}Fill it.\n\n{0}Turn it.\n\n| Part | Price |\n|---|---|\n| Seal | 4 |\n"
    document = load(put(tmp_path, "a.txt", text.format("## Step\n\n")), settings)
    assert document.metadata["title"] == "Pump" and document.page_content.endswith("Part: Seal | Price: 4")
    assert document.metadata["sections"][-1][1] == ["Use", "Step"]
    document = load(put(tmp_path, "b.txt", text.format("# note\n# more\n\n")), settings)
    assert document.metadata["title"] != "Pump" and document.metadata["sections"] == []
    assert document.page_content.endswith("Part: Seal | Price: 4")


def test_settings_and_addresses_of_asciidoc_are_no_text(tmp_path: Path, settings: Settings) -> None:
    text = (
        "= Pump\n:toc:\n:url-base: https://a.example\n:url-docs: {url-base}/docs\n:power: 5 kW\nifdef::x[]\n\n"
        "// a note\n////\ngone\n////\n== Use [[use]]\n\n[source,sh]\n----\npump {power} // on\n----\n"
        "It takes {power} and {other}, see {url-docs}[the docs], https://b.example and <<use,above>>.\n"
        "[.lead]\nAsk link:a.adoc[*us*^] or xref:b.adoc[], [.big]#not# the [small]##others##, [.red]*ever* in C#.\n"
        "image::c.png[The valve, 300]\n"
    )
    document = load(put(tmp_path, "a.adoc", text), settings)
    assert document.page_content.split("\n") == [
        *("# Pump", "", "## Use", "", "----", "pump {power} // on", "----"),
        "It takes 5 kW and {other}, see the docs, https://b.example and above.",
        *("Ask *us* or b.adoc, not the others, *ever* in C#.", "The valve"),
    ]


def test_settings_and_addresses_of_org_are_no_text(tmp_path: Path, settings: Settings) -> None:
    text = (
        "#+TITLE: Pump\n#+OPTIONS: toc:nil\n* Use [[https://a.example][the pump]]\n:PROPERTIES:\n:ID: 7\n:END:\n"
        "See [[b.org]].\n#+begin_src sh\n[[a][b]]\n#+end_src\n"
    )
    document = load(put(tmp_path, "a.org", text), settings)
    assert document.page_content.split("\n") == [
        *("#+TITLE: Pump", "# Use the pump", "See b.org.", "#+begin_src sh", "[[a][b]]", "#+end_src"),
    ]


def test_tables_of_org_are_rows(tmp_path: Path, settings: Settings) -> None:
    text = "* Prices\n| Pitch | Price |\n|-------+-------|\n| Tent | 19 |\n"
    assert load(put(tmp_path, "a.org", text), settings).page_content.endswith("Pitch: Tent | Price: 19")


@pytest.mark.timeout(60)
def test_blanks_without_end_are_read(tmp_path: Path, settings: Settings) -> None:
    for name, sign in (("a.adoc", "= "), ("a.org", "* "), ("a.tex", "\\section{"), ("a.textile", "h1. ")):
        assert "Begin" in load(put(tmp_path, name, f"Begin\n{sign}{' ' * 200_000}x"), settings).page_content


# Names and contents


@pytest.mark.parametrize(
    "name", ["Makefile", "Dockerfile", "LICENSE", "Jenkinsfile", "notes.unknown", "a.yaml", "a.ini"]
)
def test_text_by_name_or_content(name: str, tmp_path: Path, settings: Settings) -> None:
    path = put(tmp_path, name, "key: the value\nnext: line")
    assert load(path, settings).page_content == "key: the value\nnext: line"


def test_a_refusal_says_what_can_be_read(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "a.unknown").write_bytes(b"\x00\x01\x02" * 99)
    for path in (tmp_path / "a.unknown", put(tmp_path, "a.exe", "text")):
        said = reason(path, settings)
        assert "cannot be read; these can: web pages (.html), Markdown" in said and "mail" in said


TELEGRAM = {
    "name": "Holiday house",
    "messages": [
        {"id": 1, "type": "service", "date": "2024-05-01T10:00:00", "actor": "Ann", "action": "create", "text": ""},
        {"id": 2, "type": "message", "date": "2024-05-01T10:02:11", "date_unixtime": "1714550531", "from": "Ann",
         "text": ["Booked: ", {"type": "link", "text": "https://example.com/h"}, " from 3 August."],
         "text_entities": [{"type": "plain", "text": "Booked: "}]},
        {"id": 3, "type": "message", "date": "2024-05-01T10:05:40", "from": "Tom", "text": "What does it cost?"},
    ],
}  # fmt: skip
SLACK = [
    {
        "type": "message",
        "user": "U0B",
        "user_profile": {"real_name": "Ann"},
        "text": "The door\ncode?",
        "ts": "1452845865.08",
    },
    {
        "type": "message",
        "user": "U0C",
        "text": "4711",
        "ts": "1452845924.000009",
        "attachments": [{"title": "Plan"}, 1],
    },
]
DISCORD = {
    "guild": {"name": "Club"},
    "messages": [
        {"timestamp": "2023-05-01T12:00:00.123+00:00", "content": "hi", "author": {"id": "1", "nickname": "Ann"}}
    ],
}
MESSENGER = {"messages": [{"sender_name": "Ann", "timestamp_ms": 1612137600000, "content": "See you"}]}


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        (TELEGRAM, [
            "name: Holiday house",
            "messages | id: 1 | type: service | date: 2024-05-01T10:00:00 | actor: Ann | action: create",
            "[2024-05-01 10:02] Ann: Booked: https://example.com/h from 3 August.",
            "[2024-05-01 10:05] Tom: What does it cost?",
        ]),
        (SLACK, ["[2016-01-15 08:17 UTC] Ann: The door code?", "[2016-01-15 08:18 UTC] U0C: 4711 (Plan)"]),
        (DISCORD, ["guild | name: Club", "[2023-05-01 12:00] Ann: hi"]),
        (MESSENGER, ["[2021-02-01 00:00 UTC] Ann: See you"]),
        ({"messages": [{"level": "info", "text": "started"}]}, ["messages | level: info | text: started"]),
    ],
)  # fmt: skip
def test_the_messages_of_a_chat(value: Any, lines: list[str], tmp_path: Path, settings: Settings) -> None:
    assert load(put(tmp_path, "a.json", json.dumps(value)), settings).page_content.split("\n") == lines


SLACK = [
    {"type": "message", "user": "U02ABC", "text": "<@U03XYZ> see <https://a.example|the plan> in <#C9|ops>", "ts": "1"},
    {"type": "message", "user": "U03XYZ", "text": "Fine, <@U02ABC> & <!here>", "ts": "2"},
]
SLACK_USERS = [
    {"id": "U02ABC", "name": "ann", "profile": {"display_name": "", "real_name": 'Ann "A" Lee'}},
    {"id": "U03XYZ", "name": "bo", "profile": {"display_name": "Bo"}},
]
SLACK_LINES = [
    '[1970-01-01 00:00 UTC] Ann "A" Lee: @Bo see the plan in ops',
    '[1970-01-01 00:00 UTC] Bo: Fine, @Ann "A" Lee & !here',
]


def test_slack_names_people_in_a_file_beside_its_chats(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "general").mkdir()
    chat = put(tmp_path / "general", "2024-05-01.json", json.dumps(SLACK))
    assert load(chat, settings).page_content.startswith("[1970-01-01 00:00 UTC] U02ABC: @U03XYZ see the plan")
    put(tmp_path, "users.json", json.dumps(SLACK_USERS))
    assert load(chat, settings).page_content.split("\n") == SLACK_LINES
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        archive.write(chat, "general/2024-05-01.json")
        archive.write(tmp_path / "users.json", "users.json")
    loaded = load_source(str(tmp_path / "export.zip"), settings, private=True)
    assert loaded is not None and loaded.documents[0].page_content.split("\n") == SLACK_LINES


def test_slack_names_people_in_their_messages(tmp_path: Path, settings: Settings) -> None:
    profiles = [{**said, "user_profile": user["profile"]} for said, user in zip(SLACK, SLACK_USERS, strict=True)]
    assert load(put(tmp_path, "a.json", json.dumps(profiles)), settings).page_content.split("\n") == SLACK_LINES


def test_bibtex(tmp_path: Path, settings: Settings) -> None:
    text = (
        '% My books\n@string{jan = "January"}\n@comment{x}\n'
        '@Article{ann,\n  author = {Smith, Alice and M{\\"u}ller, Bob},\n  title = "The {DNA} of {\\em Otters}",\n'
        "  year = 2012, month = jan # { 3}, note = {a {b {c}}},\n}\n"
        "@book(ruiz, title = {Rivers, and \\emph{more}}, publisher={})\n@misc{cut, title = {Never closed"
    )
    assert load(put(tmp_path, "a.bib", text), settings).page_content.split("\n") == [
        "title: The DNA of Otters | author: Smith, Alice and Müller, Bob | year: 2012 | month: jan 3 | note: a b c"
        " | type: article | key: ann",
        "title: Rivers, and more | type: book | key: ruiz",
        "title: Never closed | type: misc | key: cut",
    ]
    assert load(put(tmp_path, "b.bib", "No entry {here}"), settings).page_content == "No entry {here}"
    assert "key: a" in load(put(tmp_path, "c.bib", "@a{a," + "b={" * 50_000), settings).page_content


def test_asciidoc_with_underlined_headings_and_terms(tmp_path: Path, settings: Settings) -> None:
    options = "OPTIONS\n-------\n\n-q::\n--quiet::\n\tWith `add`, be silent."
    code = "----\nstd::\n  cout\n----\n\nOutput\n----\nx\n----"
    text = f"git-worktree(1)\n===============\n\n{options}\n\nREFS\n----\nAll are shared.\n\n{code}\n"
    (tmp_path / "a.adoc").write_text(text, encoding="utf-8")
    document = load(tmp_path / "a.adoc", settings)
    assert document.metadata["title"] == "git-worktree(1)"
    assert [path for _, path, _ in document.metadata["sections"]] == [[], ["OPTIONS"], ["REFS"]]
    assert "-q / --quiet: With `add`, be silent." in document.page_content
    assert code in document.page_content


def test_terms_of_asciidoc_that_are_told_of_at_length_are_headings(tmp_path: Path, settings: Settings) -> None:
    long = "The tree is left as it is while others work in it, and nothing of it is taken away by a later call.\n"
    text = f"== OPTIONS\n\n-f::\n--force::\n\t{long}+\n{long}\n-q::\n\tBe silent.\n\n"
    text += f"lock::\n\n{long}{long}{long}\n{long}"
    document = load(put(tmp_path, "a.adoc", f"= tree\n\n{text}"), settings)
    options = ["OPTIONS", "OPTIONS > -f / --force", "OPTIONS", "OPTIONS > lock", "OPTIONS"]
    assert [" > ".join(path) for _, path, _ in document.metadata["sections"]] == ["", *options]
    assert "-q: Be silent." in document.page_content and "+" not in document.page_content


def test_heads_and_feet_of_pages_are_no_text(tmp_path: Path, settings: Settings) -> None:
    pages = [
        "The format is told\nin three parts, which\n",
        "follow each other.\n\nThe first is short.\n",
        "It ends here.\n",
    ]
    feet = [f"Deutsch          Informational          [Page {number}]" for number in (1, 2, 3)]
    head = "RFC 1951       DEFLATE Specification      May 1996"
    printed = "\n\f".join(f"{head}\n\n{page}\n{foot}" for page, foot in zip(pages, feet, strict=True))
    text = load(put(tmp_path, "a.txt", printed), settings).page_content
    assert (
        text == "The format is told\nin three parts, which\nfollow each other.\n\nThe first is short.\n\nIt ends here."
    )
    assert "[Page 1]" in load(put(tmp_path, "b.txt", printed.partition("\f")[0]), settings).page_content


def test_sections_of_a_file_of_settings(tmp_path: Path, settings: Settings) -> None:
    text = "; The gateway.\n[server]\nport = 8443\n\n[[remote]]\n# seconds until it is closed\nkeepalive = 75\n"
    document = load(put(tmp_path, "gateway.ini", text), settings)
    assert document.metadata["title"] == "gateway.ini"
    assert [path for _, path, _ in document.metadata["sections"]] == [["[server]"], ["[[remote]]"]]
    assert document.page_content == text.strip()


def test_a_manual_page_with_options_beside_what_they_mean(tmp_path: Path, settings: Settings) -> None:
    head = "SPLIT(1)                  User Commands                  SPLIT(1)"
    options = "\n\n".join(
        f"       {option:<7}{told}" if len(option) < 6 else f"       {option}\n              {told}"
        for option, told in {
            "-d": "use numeric suffixes starting at 0",
            "--filter=COMMAND": "write to the shell command",
            "-x": "use hexadecimal suffixes",
            "--verbose": "tell of each file before it is opened",
        }.items()
    )
    name = "NAME\n       split - split a file into pieces\n\nDESCRIPTION\n       Output pieces of FILE.\n\n"
    foot = "GNU coreutils 9.1          September 2022          SPLIT(1)"
    document = load(put(tmp_path, "split.txt", f"{head}\n\n{name}OPTIONS\n{options}\n\n{foot}\n"), settings)
    assert [" > ".join(path) for _, path, _ in document.metadata["sections"]] == [
        *("NAME", "DESCRIPTION", "OPTIONS"),
        *(f"OPTIONS > {option}" for option in ("-d", "--filter=COMMAND", "-x", "--verbose")),
    ]
    assert "SPLIT(1)" not in document.page_content
    assert "       -d\n              use numeric suffixes starting at 0" in document.page_content


def test_a_text_for_a_terminal_has_blanks_for_tabs_and_whole_words(tmp_path: Path, settings: Settings) -> None:
    manual = "OPTIONS\n     -d, --debug\n\t     Turn on debug mode; no changes are made to the logs that ro\u2010\n"
    manual += "\t     tate.  The state file is left.\n"
    path = tmp_path / "weave.txt"
    path.write_text(manual, encoding="utf-8")
    assert "to the logs that rotate.\n             The state file is left." in load(path, settings).page_content


def test_a_manual_page_with_overstruck_letters_is_text(tmp_path: Path, settings: Settings) -> None:
    page = "N\bNA\bAM\bME\bE\n   l\bls\bs \u2010\b\u2010 lists _\bf_\bi_\bl_\be_\bs.\n" * 20
    (tmp_path / "a.txt").write_text(page, encoding="utf-8")
    assert load(tmp_path / "a.txt", settings).page_content.startswith("NAME\n   ls \u2010 lists files.")


MYST = """\
# Options

(label)=
```{note}
Short names are not supported. See {ref}`here <x>` and {class}`~click.Option`.
A text with `{context}` and `{question}` in it, or `*_l.{ext}`, `*_m.{ext}`, or {x}.
```

:::{versionchanged} 8.2
It is faster.
:::

!!! warning "Beware"
    Put it into
    an `if` clause.

```{code-block} python
# a comment
run()
```

```{toctree}
other
```

```{eval-rst}
.. list-table::
   :header-rows: 1

   * - Name
     - Type
   * - ``-f``
     - :class:`str`
```

```
!!! note
(label)=
```

```{r}
# load it
```
"""


def test_directives_in_markdown_are_told_in_words(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "a.md").write_text(MYST, encoding="utf-8")
    assert [line for line in load(tmp_path / "a.md", settings).page_content.split("\n") if line] == [
        "# Options",
        "Note: Short names are not supported. See here and `click.Option`.",
        "A text with `{context}` and `{question}` in it, or `*_l.{ext}`, `*_m.{ext}`, or {x}.",
        "Changed in version 8.2: It is faster.",
        "Beware: Put it into",
        "an `if` clause.",
        "```python",
        "# a comment",
        "run()",
        "```",
        "Name: -f | Type: str",
        "```",
        "!!! note",
        "(label)=",
        "```",
        "```{r}",
        "# load it",
        "```",
    ]


def test_data_in_base64_is_left_out(tmp_path: Path, settings: Settings) -> None:
    picture = base64.b64encode(bytes(range(256)) * 40).decode()
    address = f"data:image/png;base64,{picture}"
    (tmp_path / "a.md").write_text(
        f"# Report\n\nThe dock opens 4 May.\n\n![][image1]\n\n[image1]: <{address}>\n", "utf-8"
    )
    (tmp_path / "a.json").write_text(json.dumps({"name": "dock", "logo": picture, "opens": "4 May"}), "utf-8")
    for name, told in (("a.md", "The dock opens 4 May."), ("a.json", "opens: 4 May")):
        document = load(tmp_path / name, settings)
        assert told in document.page_content and len(document.page_content) < 100
        assert document.metadata["notes"] == ["left out: data in base64"]
    (tmp_path / "b.txt").write_text("A word: " + "lang" * 200, "utf-8")
    assert load(tmp_path / "b.txt", settings).page_content.endswith("lang" * 200)


def test_letters_of_properties_are_letters(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "a.properties").write_text("greeting=Gr\\u00fc\\u00DFe aus M\\u00fcnchen\n", "utf-8")
    assert load(tmp_path / "a.properties", settings).page_content == "greeting=Grüße aus München"
