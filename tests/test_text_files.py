"""JSON, subtitles, lighter markups, and files whose names or contents say that they are text."""

from __future__ import annotations

import json
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
    loaded = load_source(str(path), settings, named_at_start=True)
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
