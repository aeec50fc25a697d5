"""Files of every format, made by the libraries that programs use, and what is refused of them, by its words."""

from __future__ import annotations

import json
from pathlib import Path

import docx
import pytest
from langchain_core.documents import Document

from rag.settings import Settings
from rag.sources.documents import READERS
from rag.sources.folder import look_into
from rag.sources.loader import FILE_TYPES, LARGEST_CONTAINER, LARGEST_FILE, load_source, section_at
from rag.sources.zipped import MOST_MEMBERS
from tests.conftest import Pages
from tests.files import (
    BOOK,
    ENTITIES,
    LETTER,
    altered,
    bomb_of,
    check,
    load,
    pdf,
    put,
    reason,
    saved,
    slides,
    workbook,
    write_pdf,
    zipped,
)

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


def word() -> bytes:
    document = docx.Document()
    document.add_heading("One", 1)
    document.add_paragraph("First.")
    document.add_heading("Two", 2)
    document.add_paragraph("Second.", style="List Bullet")
    document.add_heading("Three", 1)
    return saved(document)


NOTEBOOK = json.dumps(
    {
        "nbformat": 4,
        "cells": [
            {"cell_type": "markdown", "source": ["# My notes\n", "text"]},
            {"cell_type": "code", "source": "# no heading\nprint(1)", "outputs": []},
            {"cell_type": "markdown", "source": "## Next\nmore"},
            {"cell_type": "code", "source": ""},
        ],
    }
).encode()


def one(path: Path, settings: Settings) -> tuple[Document, list[str]]:
    document = load(path, settings)
    check(document)
    return document, [" > ".join(path) for _, path, _ in document.metadata["sections"]]


def test_word(tmp_path: Path, settings: Settings) -> None:
    document, sections = one(put(tmp_path, "a.docx", word()), settings)
    assert document.page_content == "One\n\nFirst.\n\nTwo\n\nSecond.\n\nThree"
    assert sections == ["One", "One > Two", "Three"]
    assert section_at(document.metadata, document.page_content.index("Second")) == ("One > Two", "")


def test_slides(tmp_path: Path, settings: Settings) -> None:
    path = put(tmp_path, "My talk.pptx", slides())
    loaded = load_source(str(path), settings, private=True)
    assert (loaded.kind, loaded.size) == ("slides", path.stat().st_size)
    assert [(item.page_content, item.metadata["page"]) for item in loaded.documents] == [
        ("Opening words\n\n- A point\n- Another\n\nNotes: Say hello", 1),
        ("grouped\n\nleft | right", 3),
    ]
    for document in loaded.documents:
        check(document)
    assert loaded.documents[0].metadata["sections"] == [[0, [], ""]], "the title of the first slide is that of all"
    assert {item.metadata["title"] for item in loaded.documents} == {"Opening words"}


def test_workbook(tmp_path: Path, settings: Settings) -> None:
    document, sections = one(put(tmp_path, "a.xlsx", workbook()), settings)
    assert document.page_content == "People\n\nName: Jörg | Age: 41.5\n\nFar\n\ncorner"
    assert sections == ["People", "Far"]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", 'Name,Said\r\n"Jörg","one, two\nthree"\r\n'),
        ("a.csv", "Name;Said\nJörg;one, two three\n"),
        ("a.tsv", "Name\tSaid\nJörg\tone, two three\n\n"),
    ],
)
def test_tables_as_text(name: str, data: str, tmp_path: Path, settings: Settings) -> None:
    for encoding in ("utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le"):
        document, _ = one(put(tmp_path, name, data.encode(encoding)), settings)
        assert document.page_content == "Name: Jörg | Said: one, two three"


def test_book(tmp_path: Path, settings: Settings) -> None:
    document, sections = one(put(tmp_path, "a.epub", zipped(BOOK)), settings)
    assert document.metadata["title"] == "The Book"
    assert " ".join(document.page_content.split()) == "One First. Part Second. No heading. Three Größe."
    assert sections == ["One", "One > Part", "", "Three"]
    assert section_at(document.metadata, document.page_content.index("No heading")) == ("", "")
    assert document.metadata["sections"][0][2] == "c1"


def test_notes_and_tables_of_a_book_in_the_order_of_its_spine(tmp_path: Path, settings: Settings) -> None:
    """The spine begins with the last file; popup notes are hidden until their number is clicked."""
    chapter = (
        '<html xmlns:epub="http://www.idpf.org/2007/ops"><body><h1>Herons</h1><p>A heron<sup><a epub:type="noteref" '
        'href="#n1">1</a></sup> eats fish<a role="doc-noteref" href="#n2">[2]</a>.</p><table><caption>Birds</caption>'
        "<tr><th>Bird</th><th>Price</th></tr><tr><td rowspan='2'>Heron</td><td>429</td></tr>"
        "<tr><td>99</td></tr></table>"
        '<aside epub:type="footnote" id="n1"><p>A grey bird.</p></aside>'
        '<section role="doc-endnotes" hidden="hidden"><p id="n2">Eels, too.</p></section>'
        "<div hidden='hidden'>Not shown.</div></body></html>"
    )
    package = str(BOOK["OPS/a.opf"]).replace('<itemref idref="one"/><itemref idref="two"/><itemref idref="three"/>', "")
    package = package.replace("</spine>", '<itemref idref="three"/><itemref idref="two"/></spine>')
    book = zipped({**BOOK, "OPS/a.opf": package, "OPS/3.xhtml": chapter})
    document, _ = one(put(tmp_path, "a.epub", book), settings)
    assert [line for line in document.page_content.split("\n") if line] == [
        *("Herons", "A heron[1] eats fish[2].", "Birds", "Bird: Heron | Price: 429", "Bird: Heron | Price: 99"),
        *("A grey bird.", "Eels, too.", "No heading."),
    ]


def test_a_chapter_in_an_encoding_that_cannot_be_told_is_left_out(tmp_path: Path, settings: Settings) -> None:
    chapter = "<html><body><p>ťřď</p></body></html>".encode("iso8859_2")
    sure = ("<html><body><p>" + "Die Fähre fährt früh und die Überfahrt ist für Schüler frei. " * 5).encode("cp1252")
    document, _ = one(
        put(tmp_path, "a.epub", zipped({**BOOK, "OPS/3.xhtml": chapter, "OPS/text/two.xhtml": sure})), settings
    )
    assert "Second." in document.page_content and "Die Fähre fährt früh" in document.page_content
    assert "ď" not in document.page_content and "\ufffd" not in document.page_content
    read, left_out = document.metadata["notes"]
    assert read.startswith("OPS/text/two.xhtml: read as Windows-1252 (German)")
    assert left_out.startswith("OPS/3.xhtml: left out (its encoding cannot be told")


def test_notebook(tmp_path: Path, settings: Settings) -> None:
    document, sections = one(put(tmp_path, "a.ipynb", NOTEBOOK), settings)
    assert document.metadata["title"] == "My notes" and sections == ["", "Next"]
    assert "print(1)" in document.page_content
    assert "notebook" in reason(put(tmp_path, "b.ipynb", b'{"worksheets": []}'), settings)
    assert "notebook" in reason(put(tmp_path, "b.ipynb", b"[" * 100_000), settings)


@pytest.mark.parametrize("name", ["a.py", "a.rs", "a.json", "a.yaml", "a.SQL", "a.h", "a.tex", "a.xsl"])
def test_code(name: str, tmp_path: Path, settings: Settings) -> None:
    text = "# a comment\nif x:\n    y = '<b>'"
    document, sections = one(put(tmp_path, name, text.encode()), settings)
    assert (document.page_content, document.metadata["title"], sections) == (text, name, [])
    assert load_source(str(tmp_path / name), settings, private=True).kind == "code"


def test_every_type_of_file_has_a_reader() -> None:
    assert set(FILE_TYPES.values()) == set(READERS)


# By URL


@pytest.mark.parametrize(
    ("content_type", "data", "kind"),
    [
        ("application/pdf", pdf("The agent"), "PDF"),
        ("", pdf("The agent"), "PDF"),
        ("application/octet-stream", pdf("The agent"), "PDF"),
        (f"{'application/vnd.openxmlformats-officedocument'}.wordprocessingml.document", word(), "Word"),
        ("application/epub+zip", zipped(BOOK), "EPUB"),
        ("text/csv; charset=utf-8", b"a,b", "sheet"),
        ("text/x-python", b"import os", "code"),
        ("text/markdown", b"# A", "Markdown"),
        ("text/html", b"<p>x", "web page"),
        ("", b"<p>x", "web page"),
        ("text/plain", b"x", "text"),
    ],
)
def test_documents_by_url(content_type: str, data: bytes, kind: str, pages: Pages, settings: Settings) -> None:
    headers = {"Content-Type": content_type, "ETag": '"1"', "Last-Modified": "Mon, 23 Nov 2026 00:00:00 GMT"}
    pages.pages["/a"] = (200, headers, data)
    loaded = load_source(f"{pages.url}/a", settings, private=True)
    assert (loaded.kind, loaded.size, loaded.etag, loaded.last_modified) == (
        *(kind, len(data)),
        *('"1"', "Mon, 23 Nov 2026 00:00:00 GMT"),
    )
    assert loaded.documents[0].metadata["source"] == f"{pages.url}/a"


def test_plain_text_is_read_by_the_end_of_its_name(pages: Pages, settings: Settings) -> None:
    for name, kind in {"a.md": "Markdown", "a.py": "code", "a.html": "text", "a.pdf": "text", "a": "text"}.items():
        pages.pages[f"/{name}"] = (200, {"Content-Type": "text/plain"}, "# x")
        assert load_source(f"{pages.url}/{name}", settings, private=True).kind == kind


def test_undeclared_western_page(tmp_path: Path, settings: Settings) -> None:
    text = "<title>Größe</title><main>It’s “a plan” — déjà vu, Öde"
    document, _ = one(put(tmp_path, "a.html", text.encode("cp1252")), settings)
    assert (document.page_content, document.metadata["title"]) == ("It’s “a plan” — déjà vu, Öde", "Größe")


def test_title_of_a_drawing_is_not_that_of_the_page(tmp_path: Path, settings: Settings) -> None:
    page = b"<svg><title>Icon</title></svg><title>P\0age</title><main>x"
    assert one(put(tmp_path, "a.html", page), settings)[0].metadata["title"] == "Page"


def test_text_of_hidden_parents(tmp_path: Path, settings: Settings) -> None:
    page = b"<div hidden><div class=post-content>no</div><article>no</article></div><main>yes</main>"
    assert one(put(tmp_path, "a.html", page), settings)[0].page_content == "yes"


# Refused


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.pdf", PNG, "named .pdf but seems to be a PNG image"),
        ("a.txt", zipped({"x": "y"}), "named .txt but seems to be a ZIP archive"),
        ("a.docx", pdf("text"), "named .docx but seems to be a PDF"),
        ("a.docx", slides(), "named .docx but seems to be a slide show (.pptx)"),
        ("a.md", word(), "named .md but seems to be a Word document (.docx)"),
        ("a.xlsx", zipped({"x": "y"}), "named .xlsx but seems to be a ZIP archive"),
        ("a.pdf", zipped(BOOK), "named .pdf but seems to be an EPUB book (.epub)"),
        ("a.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 999, "protected by a password, or in the old format"),
        ("a.txt", bytes(range(256)) * 50, "holds binary data"),
        ("a.py", b"\0" * 5000, "holds binary data"),
        ("a.html", b"\x7fELF\0\0", "seems to be a program"),
        ("a.docx", b"plain text", "is not a Word document, or it is damaged"),
        ("a.pptx", slides()[:5000], "is not a slide show, or it is damaged"),
        ("a.xlsx", workbook()[:1000], "is not a workbook, or it is damaged"),
        ("a.epub", zipped(BOOK)[:300], "is not an EPUB book, or it is damaged"),
        ("a.epub", zipped({**BOOK, "OPS/a.opf": "<package"}), "is not an EPUB book, or it is damaged"),
        ("a.epub", zipped({**BOOK, "META-INF/rights.xml": ""}), "DRM"),
        ("a.doc", b"text", "files of type .doc cannot be read; save it as .docx"),
        ("a.xls", b"\xd0\xcf\x11\xe0", "save it as .xlsx"),
        ("a.ppt", b"\xd0\xcf\x11\xe0", "save it as .pptx"),
        ("a.pages", zipped({"Index/Document.iwa": "x"}), "files of type .pages cannot be read; save it as .docx"),
        ("a.numbers", zipped({"Index/Document.iwa": "x"}), "save it as .xlsx"),
        ("a.7z", b"7z\xbc\xaf\x27\x1c", "save it as .zip"),
        ("a.xyz", bytes(range(256)), "these can: web pages (.html)"),
        ("a.rtf", b"plain text", "is not an RTF document, or it is damaged"),
        ("a.odt", zipped({"x": "y"}), "named .odt but seems to be a ZIP archive"),
        ("a.odt", word(), "named .odt but seems to be a Word document (.docx)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refused(name: str, data: bytes, said: str, tmp_path: Path, settings: Settings) -> None:
    assert said in reason(put(tmp_path, name, data), settings)


def test_other_files_with_the_endings_of_old_types_of_office(tmp_path: Path, settings: Settings) -> None:
    page = b'\xef\xbb\xbf<html><meta charset="utf-8"><table><tr><th>Day</th><th>Sum</th></tr>' + (
        b"<tr><td>3 May</td><td>12</td></tr><tr><td>4 May</td><td>9</td></tr></table>"
    )
    assert load(put(tmp_path, "a.xls", page), settings).page_content == "Day: 3 May | Sum: 12\nDay: 4 May | Sum: 9"
    assert load(put(tmp_path, "b.doc", rb"{\rtf1 The ferry leaves.}"), settings).page_content == "The ferry leaves."
    put(tmp_path, "c.xls", workbook())
    put(tmp_path, "d.xls", b"\xd0\xcf\x11\xe0")
    assert [Path(path).name for path in look_into(tmp_path).files] == ["a.xls", "b.doc", "c.xls"]
    assert load_source(str(tmp_path / "c.xls"), settings, private=True).kind == "sheet"


def test_served_as_what_it_is_not(pages: Pages, settings: Settings) -> None:
    pages.pages["/a"] = (200, {"Content-Type": "application/pdf"}, PNG)
    assert "served as application/pdf but seems to be a PNG image" in reason(f"{pages.url}/a", settings)


def test_refusals_of_pdf_differ(tmp_path: Path, settings: Settings) -> None:
    writer = write_pdf("secret")
    writer.encrypt("password")
    writer.write(tmp_path / "locked.pdf")
    said = [
        reason(tmp_path / "locked.pdf", settings),
        reason(put(tmp_path, "scan.pdf", pdf(None)), settings),
        reason(put(tmp_path, "cut.pdf", pdf("text")[:200]), settings),
        reason(put(tmp_path, "none.pdf", b""), settings),
    ]
    assert [word in text for word, text in zip(["password", "recognition", "damaged", "empty"], said, strict=True)]
    assert len(set(said)) == 4


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(
    ("name", "data", "member"),
    [
        ("a.docx", LETTER, "word/document.xml"),
        ("a.pptx", slides(), "ppt/presentation.xml"),
        ("a.xlsx", workbook(), "xl/workbook.xml"),
    ],
)
def test_entity_bombs(name: str, data: bytes, member: str, encoding: str, tmp_path: Path, settings: Settings) -> None:
    bomb = f"{ENTITIES}]><x>&i;</x>".encode(encoding)
    assert "entities" in reason(put(tmp_path, name, altered(data, member, bomb)), settings)


def test_entity_bomb_in_a_book(tmp_path: Path, settings: Settings) -> None:
    bomb = zipped({**BOOK, "OPS/a.opf": f"{ENTITIES}]><x>&i;</x>"})
    assert "damaged" in reason(put(tmp_path, "a.epub", bomb), settings)
    chapter = zipped({**BOOK, "OPS/3.xhtml": f"{ENTITIES}]><body>&i;</body>"})
    assert len(one(put(tmp_path, "b.epub", chapter), settings)[0].page_content) < 2000


def test_zip_bombs(tmp_path: Path, settings: Settings) -> None:
    said = "unpacked it would have more than 400 MiB"
    bomb = put(tmp_path, "a.docx", bomb_of(LETTER, "word/styles.xml"))
    assert bomb.stat().st_size < 2**20
    assert said in reason(bomb, settings)
    many = {**BOOK, **{f"x/{number}": "" for number in range(MOST_MEMBERS)}}
    assert said in reason(put(tmp_path, "a.epub", zipped(many)), settings)


def test_a_zip_that_lies_about_its_size(tmp_path: Path, settings: Settings) -> None:
    data = altered(LETTER, "word/styles.xml", b" " * 5_000_000)
    real, lie = (5_000_000).to_bytes(4, "little"), (50).to_bytes(4, "little")
    assert data.count(real) == 2  # in its header and in the directory
    assert "damaged" in reason(put(tmp_path, "a.docx", data.replace(real, lie)), settings)


@pytest.mark.parametrize(
    ("name", "limit"), [("a.txt", LARGEST_FILE), ("a.html", LARGEST_FILE), ("a.pdf", LARGEST_CONTAINER)]
)
def test_large_files(name: str, limit: int, tmp_path: Path, settings: Settings) -> None:
    with (tmp_path / name).open("wb") as file:
        file.truncate(limit + 1)
    assert f"at most {limit // 2**20} MiB are read" in reason(tmp_path / name, settings)
