"""Hostile files and answers, one by one, the way every source goes: each is refused in a line or read, within bounds.

Addresses that may not be contacted have their table in `test_fetch.py`; here a canary on loopback is what files and
pages name, and nobody may ever ask it for anything.
"""

# ruff: noqa: E501  # the tables
from __future__ import annotations

import gzip
import io
import itertools
import json
import os
import random
import re
import socket
import sys
import tempfile
import threading
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from pypdf import PdfWriter
from pypdf.generic import ArrayObject, DictionaryObject, NameObject, NumberObject, TextStringObject

import rag.sources.loader
from rag.errors import SourceError
from rag.library.database import open_database
from rag.library.uploads import Uploads, is_upload
from rag.settings import Settings
from rag.sources.loader import FILE_TYPES, expand_source, load_source
from rag.sources.reader import Parser
from rag.sources.web.body import NO_ROOM
from rag.sources.web.fetch import Limits
from tests.browser import PageInThread
from tests.conftest import ROOT, AppStarter, Pages, RunningApp, make_settings, wait_until
from tests.files import (
    BOOK,
    ENTITIES,
    LETTER,
    altered,
    announced,
    announced_bomb_of,
    pdf,
    slides,
    workbook,
    write_pdf,
    zipped,
)
from tests.warm import WarmProcess

SECONDS = 8.0
"""Processor time that the reader may take for one file here, its start included (the app gives it 120 seconds)."""
CLOCK_SECONDS = 120.0
"""The same by the clock, as in the app, with other tests beside it."""
MEGABYTES = 1024

Made = bytes | Callable[[str], bytes]
"""A file's bytes, or what makes them from the canary's address."""


@pytest.fixture(scope="module")
def parser() -> Iterator[Parser]:
    made = Parser(seconds=CLOCK_SECONDS, megabytes=MEGABYTES)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _bounded(parser: Parser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rag.sources.loader, "PARSER", parser)


@pytest.fixture
def canary() -> Iterator[Pages]:
    """A server that nobody may ask."""
    server = Pages()
    yield server
    server.close()
    assert server.hits == []


def outcome(source: str | Path, settings: Settings, *, private: bool = True) -> str:
    """What becomes of a source, within the bound: why it is refused, in one line, or "" where it was read."""
    began, before = time.monotonic(), reader_time()
    try:
        loaded = load_source(str(source), settings, private=private)
        assert loaded is not None
        for document in loaded.documents:
            assert document.page_content.strip() and "\0" not in document.page_content
            document.page_content.encode("utf-8")
            document.metadata["title"].encode("utf-8")
        said = ""
    except SourceError as error:
        said = error.reason
        assert 10 < len(said) < 400 and len(said.splitlines()) == 1, said
        assert "Traceback" not in said and "object at 0x" not in said
    assert time.monotonic() - began < CLOCK_SECONDS + 5
    pid, used = reader_time()
    assert used - (before[1] if pid == before[0] else 0.0) < SECONDS
    return said


def reader_time() -> tuple[int | None, float]:
    """The reader's process, and the processor time that it has used; nothing where none runs."""
    try:
        pid = rag.sources.loader.PARSER.pid
        times = psutil.Process(pid).cpu_times() if pid else None
    except psutil.NoSuchProcess:
        return None, 0.0
    return pid, times.user + times.system if times else 0.0


# -- files -------------------------------------------------------------------------------------------------------


def pdf_of(change: Callable[[PdfWriter], None]) -> bytes:
    writer = write_pdf("Some text.")
    change(writer)
    held = io.BytesIO()
    writer.write(held)
    return held.getvalue()


def page_tree_of_itself(writer: PdfWriter) -> None:
    tree: Any = writer.root_object["/Pages"]
    tree[NameObject("/Kids")] = ArrayObject([tree.indirect_reference] * 2)
    tree[NameObject("/Count")] = NumberObject(2)


def deep_page_tree(writer: PdfWriter) -> None:
    kid: Any = writer.pages[0].indirect_reference
    for _ in range(3000):
        node = DictionaryObject({NameObject("/Type"): NameObject("/Pages"), NameObject("/Count"): NumberObject(1)})
        node[NameObject("/Kids")] = ArrayObject([kid])
        kid = writer._add_object(node)
    writer.root_object[NameObject("/Pages")] = kid


def outline_of_itself(writer: PdfWriter) -> None:
    item = DictionaryObject({NameObject("/Title"): TextStringObject("again")})
    reference = writer._add_object(item)
    for name in ("/First", "/Last", "/Next", "/Parent"):
        item[NameObject(name)] = reference
    writer.root_object[NameObject("/Outlines")] = reference


def form_that_draws_itself(writer: PdfWriter) -> None:
    from pypdf.generic import DecodedStreamObject

    form = DecodedStreamObject()
    form.set_data(b"BT /F1 9 Tf (again) Tj ET /Me Do")
    form[NameObject("/Type")], form[NameObject("/Subtype")] = NameObject("/XObject"), NameObject("/Form")
    reference = writer._add_object(form)
    inside = DictionaryObject({NameObject("/XObject"): DictionaryObject({NameObject("/Me"): reference})})
    form[NameObject("/Resources")] = inside
    page: Any = writer.pages[0]
    page["/Resources"][NameObject("/XObject")] = DictionaryObject({NameObject("/Me"): reference})


def actions(kind: str) -> Callable[[str], bytes]:
    """A PDF that opens an address, starts a program or sends a form as soon as it is read."""

    def made(canary: str) -> bytes:
        def change(writer: PdfWriter) -> None:
            action = DictionaryObject({NameObject("/S"): NameObject(f"/{kind}")})
            for name in ("/URI", "/F"):
                action[NameObject(name)] = TextStringObject(canary)
            if kind == "JavaScript":
                action[NameObject("/JS")] = TextStringObject(f"this.submitForm('{canary}')")
            writer.root_object[NameObject("/OpenAction")] = writer._add_object(action)

        return pdf_of(change)

    return made


def pdf_bomb() -> bytes:
    """A page of 120 MB in a file of a few kB, packed twice."""
    packed = zlib.compress(zlib.compress(b"BT (x) Tj ET " * 10_000_000, 9), 9)
    head = b"%PDF-1.7\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    head += b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R>>endobj\n4 0 obj<</Length %d" % len(
        packed
    )
    head += b"/Filter[/FlateDecode/FlateDecode]>>stream\n" + packed + b"\nendstream endobj\n"
    return head + b"trailer<</Root 1 0 R>>\n%%EOF"


def with_relation(data: bytes, member: str, canary: str) -> bytes:
    """An office file whose relations name something outside it."""
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/"
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        relations = archive.read(member).decode()
    more = "".join(
        f'<Relationship Id="rId9{number}" Type="{kind}{name}" Target="{target}" TargetMode="External"/>'
        for number, (name, target) in enumerate(
            [("image", canary), ("attachedTemplate", canary), ("oleObject", canary), ("image", "file:///etc/passwd")]
        )
    )
    return altered(data, member, relations.replace("</Relationships>", f"{more}</Relationships>").encode())


def picture_elsewhere(canary: str) -> bytes:
    """A Word file that shows a picture of another host."""
    data = with_relation(LETTER, "word/_rels/document.xml.rels", canary)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        body = archive.read("word/document.xml").decode()
    blip = (
        '<w:p><w:r><w:drawing><wp:inline xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing">'
        '<a:graphic xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"><a:graphicData><pic:pic xmlns:pic='
        '"http://schemas.openxmlformats.org/drawingml/2006/picture"><pic:blipFill><a:blip xmlns:r='
        '"http://schemas.openxmlformats.org/officeDocument/2006/relationships" r:link="rId90"/></pic:blipFill></pic:pic>'
        "</a:graphicData></a:graphic></wp:inline></w:drawing></w:r></w:p>"
    )
    return altered(data, "word/document.xml", body.replace("<w:body>", f"<w:body>{blip}").encode())


def external_entity(canary: str) -> str:
    return f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "{canary}"><!ENTITY f SYSTEM "file:///etc/passwd">]>'


def book(**members: str | bytes) -> bytes:
    return zipped({**BOOK, **{name.replace("__", "/").replace("_DOT_", "."): text for name, text in members.items()}})


def chapters_without_end(times: int = 2000) -> bytes:
    """A book whose reading order names one long chapter so many times."""
    package = str(BOOK["OPS/a.opf"]).replace("</spine>", '<itemref idref="three"/>' * times + "</spine>")
    chapter = f"<html><body><p>{'word ' * 20_000}</p></body></html>"
    return zipped({**BOOK, "OPS/a.opf": package, "OPS/3.xhtml": chapter})


def overlapping_zip() -> bytes:
    """A zip whose directory names the same 20 MB member five hundred times (Fifield's way)."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b"<w:document>" + b" " * 20_000_000)
    data = held.getvalue()
    start = data.index(b"PK\x01\x02")
    entry, end = data[start : data.index(b"PK\x05\x06")], data[data.index(b"PK\x05\x06") :]
    count = (500).to_bytes(2, "little")
    directory = entry * 500
    end = end[:8] + count + count + len(directory).to_bytes(4, "little") + end[16:]
    return data[:start] + directory + end


HOSTILE_FILES: list[tuple[str, str, Made, str]] = [
    # name, file, what is in it, words of the refusal ("": it is read, and holds no more than text)
    ("zip bomb in Word", "a.docx", lambda _: announced_bomb_of(LETTER, "word/styles.xml"), "zip bomb"),
    ("zip bomb in slides", "a.pptx", lambda _: announced_bomb_of(slides(), "ppt/presProps.xml"), "zip bomb"),
    ("zip bomb in a workbook", "a.xlsx", lambda _: announced_bomb_of(workbook(), "xl/styles.xml"), "zip bomb"),
    ("zip bomb in a book", "a.epub", lambda _: announced_bomb_of(zipped(BOOK), "OPS/3.xhtml"), "zip bomb"),
    ("zip bomb in OpenDocument", "a.odt", lambda _: announced(zipped({"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": bytes(5_000_003)}), 5_000_003), "zip bomb"),
    ("deep XML in Word", "a.docx", lambda _: altered(LETTER, "word/document.xml", b"<a>" * 100_000 + b"</a>" * 100_000), "damaged"),
    ("deep XML in styles", "a.docx", lambda _: altered(LETTER, "word/styles.xml", b"<a>" * 100_000 + b"</a>" * 100_000), ""),
    ("groups without end in RTF", "a.rtf", b"{\\rtf1 text" + b"{" * 300_000, ""),
    ("cells without end", "a.xlsx", lambda _: altered(workbook(), "xl/worksheets/sheet1.xml", b'<worksheet><sheetData><row r="1"><c r="A1" t="str"><v>x</v></c></row></sheetData><mergeCells>' + b'<mergeCell ref="A1:XFD1048576"/>' * 1000 + b"</mergeCells></worksheet>"), ""),
    ("members that overlap", "a.docx", lambda _: overlapping_zip(), "zip bomb"),
    ("thirty thousand members", "a.docx", lambda _: zipped({f"word/{n}": "" for n in range(30_000)}), "zip bomb"),
    ("chapters without end", "a.epub", lambda _: chapters_without_end(), "more memory"),
    ("members that climb out", "a.docx", altered(LETTER, "../../../../tmp/climbed.txt", None), ""),
    ("a book that climbs out", "a.epub", book(OPS__a_DOT_opf=str(BOOK["OPS/a.opf"]).replace("3.xhtml", "../../../../../etc/passwd")), ""),
    ("a book of an absolute path", "a.epub", book(OPS__a_DOT_opf=str(BOOK["OPS/a.opf"]).replace("3.xhtml", "/etc/passwd")), ""),
    ("a book without a spine", "a.epub", book(OPS__a_DOT_opf="<package><spine/></package>"), "no text"),
    ("a book without a package", "a.epub", book(META_INF__container_DOT_xml="<x/>"), ""),
    ("entity bomb in Word", "a.docx", altered(LETTER, "word/document.xml", f"{ENTITIES}]><x>&i;</x>".encode()), "entities"),
    ("entity bomb in slides", "a.pptx", altered(slides(), "ppt/presentation.xml", f"{ENTITIES}]><x>&i;</x>".encode()), "entities"),
    ("entity bomb in a sheet", "a.xlsx", altered(workbook(), "xl/workbook.xml", f"{ENTITIES}]><x>&i;</x>".encode()), "entities"),
    ("entity bomb in a relation", "a.docx", altered(LETTER, "word/_rels/document.xml.rels", f"{ENTITIES}]><x>&i;</x>".encode()), "entities"),
    ("entity bomb in a package", "a.epub", book(OPS__a_DOT_opf=f"{ENTITIES}]><x>&i;</x>"), "damaged"),
    ("entity bomb in a page", "a.html", f"{ENTITIES}]><p>&i;</p>".encode(), ""),
    ("entity bomb in XML", "a.xml", f"{ENTITIES}]><p>&i;</p>".encode(), ""),
    ("external entity in Word", "a.docx", lambda url: altered(LETTER, "word/document.xml", f"{external_entity(url)}<x>&e;&f;</x>".encode()), "entities"),
    ("external entity in a package", "a.epub", lambda url: book(OPS__a_DOT_opf=f"{external_entity(url)}<x>&e;&f;</x>"), "damaged"),
    ("external entity in a chapter", "a.epub", lambda url: book(OPS__3_DOT_xhtml=f"{external_entity(url)}<body>text &e;&f;</body>"), ""),
    ("external entity in a page", "a.xhtml", lambda url: f"{external_entity(url)}<p>text &e;&f;</p>".encode(), ""),
    ("relations to elsewhere in Word", "a.docx", picture_elsewhere, ""),
    ("relations to elsewhere in slides", "a.pptx", lambda url: with_relation(slides(), "ppt/_rels/presentation.xml.rels", url), ""),
    ("relations to elsewhere in a sheet", "a.xlsx", lambda url: with_relation(workbook(), "xl/_rels/workbook.xml.rels", url), ""),
    ("a page that fetches", "a.html", lambda url: f"<base href='{url}'><link rel=stylesheet href='{url}'><img src='{url}'><iframe src='{url}'></iframe><script src='{url}'></script><p>text".encode(), ""),
    ("Markdown that fetches", "a.md", lambda url: f"# x\n\n![a]({url}) <img src='{url}'>".encode(), ""),
    ("PDF that opens an address", "a.pdf", actions("URI"), ""),
    ("PDF that starts a program", "a.pdf", actions("Launch"), ""),
    ("PDF that sends a form", "a.pdf", actions("SubmitForm"), ""),
    ("PDF with a script", "a.pdf", actions("JavaScript"), ""),
    ("PDF whose pages hold themselves", "a.pdf", lambda _: pdf_of(page_tree_of_itself), "damaged"),
    ("PDF with pages 3,000 deep", "a.pdf", lambda _: pdf_of(deep_page_tree), "damaged"),
    ("PDF whose outline goes round", "a.pdf", lambda _: pdf_of(outline_of_itself), ""),
    ("PDF with a form that draws itself", "a.pdf", lambda _: pdf_of(form_that_draws_itself), ""),
    ("PDF that is packed twice", "a.pdf", lambda _: pdf_bomb(), "damaged"),
    ("PDF whose table points at itself", "a.pdf", b"%PDF-1.7\n1 0 obj<</Type/Catalog/Pages 1 0 R/Kids[1 0 R]/Count 9>>endobj\nxref\n0 1\n0000000000 65535 f \ntrailer<</Root 1 0 R/Prev 9/Size 2>>\nstartxref\n75\n%%EOF", "PDF"),
    ("PDF with a lying length", "a.pdf", pdf("text").replace(b"/Length 3", b"/Length 999999993"), ""),
    ("nesting of 30,000", "a.html", b"<div>" * 30_000 + b"text", ""),
    ("nesting that does not fit", "a.html", b"<b><i>" * 10_000 + b"</b></i>" * 10_000 + b"text", ""),
    ("tables in tables", "a.html", b"<table><tr><td>" * 8_000 + b"text", ""),
    ("quotations in quotations", "a.md", b">" * 200_000 + b" text", ""),
    ("comments left open", "a.html", b"<p>text" + b"<!--" * 500_000, ""),
    ("tags left open", "a.html", b"<p>text" + b"<a " * 200_000, ""),
    ("attributes left open", "a.html", b"<p>text" + b'<a x="' * 200_000, ""),
    ("an attribute for ever", "a.html", b"<p>text<a " + b'x="' * 3_000_000, "more memory"),
    ("brackets 1,000,000 deep", "a.ipynb", b'{"cells":' + b"[" * 1_000_000, "not a Jupyter notebook"),
    ("a number of a million digits", "a.ipynb", b'{"cells": ' + b"9" * 1_000_000 + b"}", "not a Jupyter notebook"),
    ("a line of 10 MB", "a.txt", b"word " * 2_000_000, ""),
    ("a word of 10 MB", "a.md", b"w" * 10_000_000, ""),
    ("a line of 3 MB in a page", "a.html", b"<p>" + b"word " * 600_000, ""),
    ("a row of 1,000,000 cells", "a.csv", b"x" + b"," * 1_000_000, ""),
    ("a quote left open", "a.csv", b'"' + b"x,\n" * 300_000, ""),
    ("blanks of 5 MB", "a.html", b"<p>a" + b" " * 5_000_000 + b"b", ""),
    ("NULs in text", "a.txt", b"a\0b\0" + b"text " * 400, ""),
    ("NULs alone", "a.txt", b"\0" * 5_000_000, "binary data"),
    ("NULs in a page", "a.html", b"<p\0>te\0xt</p><scr\0ipt>x</script>", ""),
    ("UTF-8 and Windows-1252 mixed", "a.txt", "Grüße ".encode() * 50 + "Grüße".encode("cp1252"), ""),
    ("a wrong charset", "a.html", b'<meta charset="utf-16"><p>text', ""),
    ("a charset that is none", "a.html", b'<meta charset="../../etc/passwd"><p>text', ""),
    ("a charset that unpacks", "a.html", b'<meta charset="zlib"><p>text', ""),
    ("a charset that is a program", "a.html", b'<meta charset="unicode_escape"><p>\\ud800 \\x00 text', ""),
    ("UTF-7", "a.html", b'<meta charset="utf-7"><p>+ADw-script+AD4-alert(1)', "no text"),
    ("half a surrogate", "a.html", b"<p>&#xD800; &#0; &#x110000; text", ""),
    ("UTF-16 cut in a character", "a.txt", "﻿Größe 💬".encode("utf-16-le")[:-1], ""),
    ("a mark and no more", "a.txt", b"\xef\xbb\xbf", "no text"),
    ("orders of writing turned round", "a.md", "# \u202eevil\u2066 title\n\ntext".encode(), ""),
    ("combining marks by the thousand", "a.txt", ("a" + "\u0301" * 100_000).encode(), ""),
    ("a program named as text", "a.txt", b"\x7fELF" + bytes(range(256)) * 40, "program"),
    ("a picture named as a page", "a.html", b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "PNG"),
    ("half a zip", "a.xlsx", workbook()[:-30], "damaged"),
    ("formulas that call out", "a.csv", b"=cmd|' /C calc'!A0,=HYPERLINK(\"http://127.0.0.1:9\")\n", ""),
    ("settings of XML's own", "a.xml", b'<?xml-stylesheet href="http://127.0.0.1:9/x.xsl"?><x>text</x>', ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("file", "made", "said"),
    [
        pytest.param(*case[1:], id=case[0], marks=[pytest.mark.soak] if case[0] == "chapters without end" else [])
        for case in HOSTILE_FILES
    ],
)
def test_hostile_file(
    file: str, made: Made, said: str, tmp_path: Path, settings: Settings, canary: Pages, parser: Parser
) -> None:
    path = tmp_path / file
    path.write_bytes(made if isinstance(made, bytes) else made(f"{canary.url}/canary"))
    told = outcome(path, settings)
    assert said in told and bool(said) == bool(told), told or "it was read"
    (tmp_path / "after.txt").write_bytes(b"The next one.")
    assert outcome(tmp_path / "after.txt", settings) == ""


@pytest.mark.soak  # `test_parser.py` has both bounds
def test_a_file_that_takes_too_long_is_given_up(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    parser = Parser(seconds=3, megabytes=MEGABYTES)
    monkeypatch.setattr(rag.sources.loader, "PARSER", parser)
    (tmp_path / "a.html").write_bytes(b"<p>text" + b"<![endif>" * 500_000)
    (tmp_path / "after.txt").write_bytes(b"The next one.")
    try:
        assert "more than 3 seconds" in outcome(tmp_path / "a.html", settings)
        assert outcome(tmp_path / "after.txt", settings) == ""
    finally:
        parser.close()


@pytest.mark.soak
def test_a_file_that_needs_too_much_memory_is_given_up(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    parser = Parser(megabytes=256)
    monkeypatch.setattr(rag.sources.loader, "PARSER", parser)
    (tmp_path / "a.epub").write_bytes(chapters_without_end(300))
    (tmp_path / "after.txt").write_bytes(b"The next one.")
    try:
        assert "more memory than 256 MiB" in outcome(tmp_path / "a.epub", settings)
        assert outcome(tmp_path / "after.txt", settings) == ""
    finally:
        parser.close()


def test_no_text_of_another_file_gets_in(tmp_path: Path, settings: Settings, canary: Pages) -> None:
    """What the files above name of this machine is in none of their texts."""
    secret = Path("/etc/passwd").read_text(encoding="utf-8").split("\n")[0] if os.name == "posix" else "C:"
    for name, file, made, said in HOSTILE_FILES:
        if ("entity" in name or "elsewhere" in name or "climb" in name or "absolute" in name) and not said:
            path = tmp_path / file
            path.write_bytes(made if isinstance(made, bytes) else made(f"{canary.url}/canary"))
            for loaded in [load_source(str(path), settings, private=True)]:
                assert loaded and not any(secret in document.page_content for document in loaded.documents), name


# -- names and links ---------------------------------------------------------------------------------------------

NAMES = [
    "../../../etc/cron.d/x.md", "..\\..\\windows\\x.md", "/etc/passwd.md", "C:\\x.md", "....//....//x.md", "..", ".", "",
    "a/../../b.md", "%2e%2e%2fx.md", "\u2025/\u2025/x.md", "x\0.md", "x\n\r.md", "~/x.md", "-rf.md", "$(id).md", "`id`.md",
    "con.md", "x" * 300 + ".md", "ü" * 200 + ".md", "\u202egnp.md", "x.md/", " .md", "..md", "💬.md", "\ud800.md", "lock",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_name_never_leaves_the_folder(name: str, tmp_path: Path) -> None:
    database = open_database(tmp_path, None)
    uploads = Uploads(database, tmp_path)
    (tmp_path / "given").write_bytes(b"text")
    before = set(tmp_path.rglob("*"))
    source = uploads.keep(tmp_path / "given", name)
    assert is_upload(source) and set(tmp_path.rglob("*")) == before
    with uploads.as_path(source) as path:
        home = path.parent
        assert home.name.startswith("rag-upload-") and home.parent == Path(tempfile.gettempdir())
        assert path.resolve().parent == home.resolve() and path.read_bytes() == b"text"
    assert not home.exists()
    database.close()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such links without rights")
@pytest.mark.parametrize("target", ["/etc/passwd", "/proc/self/environ", "/dev/zero", "../outside/a.txt", ".", "a.txt"])
def test_a_link_in_a_dropped_folder_leads_nowhere(target: str, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "a.txt").write_text("secret")
    folder = tmp_path / "dropped"
    (folder / "deep").mkdir(parents=True)
    (folder / "own.txt").write_text("text")
    (folder / "a.txt").symlink_to(target)
    (folder / "deep" / "b.txt").symlink_to(folder / "a.txt")
    (folder / "c").symlink_to("/etc", target_is_directory=True)
    assert expand_source(str(folder)) == [str(folder / "own.txt")]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
def test_what_is_no_file_is_not_opened(kind: str, tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "a.txt"
    listener = socket.socket(socket.AF_UNIX)
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "socket":
            here = os.getcwd()
            os.chdir(tmp_path)  # its address may have 100 characters
            listener.bind("a.txt")
            os.chdir(here)
        case "device":
            path.symlink_to("/dev/zero")
    assert "a folder or a device" in outcome(path, settings)
    listener.close()


# -- answers of a web server -------------------------------------------------------------------------------------

TYPES = [
    "image/gif",
    "image/svg+xml",
    "audio/mpeg",
    "audio/ogg",
    "video/mp4",
    "video/webm",
    "application/zip",
    "application/gzip",
    "application/x-tar",
    "application/x-7z-compressed",
    "application/x-rar",
    "application/java-archive",
    "application/octet-stream",
    "application/x-msdownload",
    "application/x-executable",
    "application/x-shockwave-flash",
    "application/wasm",
    "application/msword",
    "application/vnd.ms-excel",
    "application/x-sqlite3",
    "text/css",
    "application/x-bittorrent",
    "font/woff2",
    "multipart/form-data",
    "model/gltf+json",
    "chemical/x-pdb",
    "nonsense",
]


@pytest.mark.parametrize("kind", TYPES)
def test_a_type_that_cannot_be_read_is_refused(kind: str, pages: Pages, settings: Settings) -> None:
    pages.pages["/x"] = (200, {"Content-Type": kind}, b"\x00\x01\x02 not to be read")
    assert kind in outcome(f"{pages.url}/x", settings)


@pytest.mark.parametrize("status", [204, 206, 301, 400, 401, 403, 404, 418, 429, 500, 502, 503, 599])
def test_a_page_that_is_none_is_refused(status: int, pages: Pages, settings: Settings) -> None:
    pages.pages["/x"] = (status, {}, "<main>Sorry, this reads like an article.</main>")
    assert str(status) in outcome(f"{pages.url}/x", settings)


class Slow:
    """Answers on loopback that never end: a head, then a piece now and then until the client has gone."""

    def __init__(self, head: bytes, piece: bytes, pause: float) -> None:
        self._stop = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/x"
        self.sent = 0

        def serve() -> None:
            while not self._stop.is_set():
                try:
                    line, _ = self._listener.accept()
                except OSError:
                    return
                with line:
                    try:
                        line.recv(9999)
                        line.sendall(head)
                        while not self._stop.wait(pause):
                            line.sendall(piece)
                            self.sent += len(piece)
                    except OSError:
                        pass

        self._thread = threading.Thread(target=serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


HTML = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"


@pytest.mark.parametrize(
    ("head", "piece", "pause", "said"),
    [
        (b"", b"", 0.2, "no complete answer within 2 s"),
        (HTML + b"Content-Length: 90000\r\n\r\n", b"xx", 0.2, "no complete answer within 2 s"),
        (b"HTTP/1.1 ", b"2", 0.2, ""),
        (HTML, b"X-A: b\r\n", 0.2, "no complete answer within 2 s"),
        (HTML + b"\r\n", b"x" * 2**20, 0.0, "larger than 50 MiB"),
        (HTML + b"Content-Length: 1073741824\r\n\r\n", b"x" * 2**20, 0.0, "larger than 50 MiB"),
        (
            HTML + b"Transfer-Encoding: chunked\r\n\r\n",
            b"100000\r\n" + b"x" * 2**20 + b"\r\n",
            0.0,
            "larger than 50 MiB",
        ),
        (HTML, b"X-A: " + b"b" * 100_000 + b"\r\n", 0.0, ""),
    ],
    ids=[
        "hang",
        "drip",
        "endless status",
        "endless headers",
        "1 GB",
        "1 GB announced",
        "1 GB in chunks",
        "huge headers",
    ],
)
def test_a_server_that_does_not_end(
    head: bytes, piece: bytes, pause: float, said: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        rag.sources.loader, "FETCH_LIMITS", Limits(connect=2, read=2, total=2, bytes=rag.sources.loader.LARGEST_FILE)
    )
    server = Slow(head, piece, pause)
    try:
        told = outcome(server.url, settings)
        assert told and said in told, told
        assert server.sent < 2 * rag.sources.loader.LARGEST_FILE
    finally:
        server.close()


@pytest.mark.parametrize("layers", [1, 2])
def test_a_compressed_answer_that_unfolds(layers: int, pages: Pages, settings: Settings) -> None:
    body = b"<p>" + b"\0" * (80 * 2**20)
    for _ in range(layers):
        body = gzip.compress(body, 9)
    coding = ", ".join(["gzip"] * layers)
    pages.pages["/x"] = (200, {"Content-Encoding": coding}, body)
    assert ("larger than 50 MiB" if layers == 1 else "not asked for") in outcome(f"{pages.url}/x", settings)


WEIGHED = """
import re, sys
from pathlib import Path
from tests.conftest import make_settings
from tests.test_hostile import outcome

def most():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024

settings = make_settings(Path(sys.argv[1]))
assert outcome(sys.argv[2] + "/page", settings) == ""
for path in sys.argv[3:]:
    before = most()
    said = outcome(path, settings)
    print(most() - before, said, flush=True)
"""
MOST_GROWN = 20 * 2**20
"""Bytes of memory that reading a page may take until it is refused: a fraction of what a page may have."""


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_pages_without_end_take_little_memory(pages: Pages, tmp_path: Path) -> None:
    """Looked at in a process of its own, whose memory is counted at its most."""
    bomb = gzip.compress(b"<p>" + b"\0" * (80 * 2**20), 6)
    pages.pages |= {"/page": "<p>A page.</p>", "/bomb": (200, {"Content-Encoding": "gzip"}, bomb)}
    chunked = HTML + b"Transfer-Encoding: chunked\r\n\r\n"
    endless = [
        Slow(HTML + b"Content-Length: 1073741824\r\n\r\n", b"x" * 2**20, 0.0),
        Slow(chunked, b"100000\r\n" + b"x" * 2**20 + b"\r\n", 0.0),
        Slow(HTML, b"X-A: " + b"b" * 100_000 + b"\r\n", 0.0),
    ]
    try:
        urls = [*(server.url for server in endless), f"{pages.url}/bomb"]
        with WarmProcess(["-c", WEIGHED, str(tmp_path), pages.url, *urls]) as process:
            out, err = process.communicate(timeout=120)
        assert process.wait() == 0, err
        grown = [int(line.split()[0]) for line in out.splitlines()]
        print(f"\n{out}")
        assert len(grown) == len(urls) and max(grown) <= MOST_GROWN < rag.sources.loader.LARGEST_FILE
        assert all(len(line.split()) > 3 for line in out.splitlines()), "each is refused in words"
    finally:
        for server in endless:
            server.close()


FULL = """
import resource, sys
from pathlib import Path
from tests.conftest import make_settings
from tests.test_hostile import outcome

resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, resource.RLIM_INFINITY))
for url in sys.argv[2:]:
    print(outcome(url, make_settings(Path(sys.argv[1]))))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="as if a disk were full")
def test_no_room_for_a_page_is_told(pages: Pages, tmp_path: Path) -> None:
    """Neither while it is fetched, where it is large, nor for reading it."""
    text = "<p>A page of many words.</p>" * 80_000
    packed = (200, {"Content-Encoding": "gzip"}, gzip.compress(text.encode() * 4))
    pages.pages |= {"/large": text * 4, "/packed": packed, "/small": text, "/fits": "<p>A page of few words.</p>"}
    urls = [f"{pages.url}/{name}" for name in ("large", "packed", "small", "fits")]
    with WarmProcess(["-c", FULL, str(tmp_path), *urls]) as process:
        out, err = process.communicate(timeout=120)
    assert process.wait() == 0, err
    assert out.splitlines() == [NO_ROOM] * 3 + [""]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<html></html>",
        "<div id=root></div><script src=a.js></script>",
        "<div class=post-content></div>",
        "\u00a0&nbsp;",
    ],
)
def test_a_page_without_text_is_no_document(body: str, pages: Pages, settings: Settings) -> None:
    pages.pages["/x"] = body
    assert "no text" in outcome(f"{pages.url}/x", settings)


def test_what_a_page_names_is_not_fetched(pages: Pages, canary: Pages, settings: Settings) -> None:
    url = f"{canary.url}/x"
    pages.pages["/x"] = (
        200,
        {"Link": f"<{url}>; rel=preload", "Refresh": f"0; url={url}", "Content-Location": url},
        f"<meta http-equiv=refresh content='0;url={url}'><base href='{url}'><link rel=icon href='{url}'>"
        f"<style>@import '{url}'</style><main><img src='{url}' srcset='{url} 2x'>text</main>",
    )
    assert outcome(f"{pages.url}/x", settings) == ""


@pytest.mark.parametrize("place", ["url", "redirect", "name"])
def test_what_is_added_later_never_reaches_this_machine(
    place: str, pages: Pages, canary: Pages, tmp_path: Path
) -> None:
    """Through the whole way: the library's own call, for somebody on the page."""
    own = canary.url.replace("127.0.0.1", "localhost" if place == "name" else "127.0.0.1")
    settings = make_settings(tmp_path, allow_hosts=("127.0.0.1",) if place == "redirect" else ())
    if place == "redirect":
        pages.pages["/x"] = (302, {"Location": canary.url.replace("127.0.0.1", "127.0.0.2")}, "")
        assert "private" in outcome(f"{pages.url}/x", settings, private=False)
    else:
        assert "private" in outcome(f"{own}/x", settings, private=False)


def test_a_notebook_of_odd_cells_is_refused_or_read(tmp_path: Path, settings: Settings) -> None:
    for cells in (None, 5, "x", [None], [{}], [{"cell_type": 5, "source": 5}], [{"cell_type": "code", "source": [5]}]):
        (tmp_path / "a.ipynb").write_text(json.dumps({"cells": cells}))
        assert outcome(tmp_path / "a.ipynb", settings)


# -- given on the page -------------------------------------------------------------------------------------------

SHORT_OF_TIME = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import rag.sources.loader
from rag.sources.reader import Parser
rag.sources.loader.PARSER = Parser(seconds={SECONDS}, megabytes={MEGABYTES})
import app
sys.exit(app.main())
"""
UPLOADS = 200
LONG_TO_INDEX = 300_000
"""Bytes of a file from which on it is left out if it is read: ten million letters are indexed for minutes."""
GROWTH = 200 * 2**20
"""Bytes by which the app's memory may be larger at its most than before."""


def odd_files(canary: str) -> Iterator[tuple[str, bytes]]:
    """Name and bytes: the hostile files, odd names, and whole files of which some bytes are others."""
    for number, (_, name, made, said) in enumerate(HOSTILE_FILES):
        data = made if isinstance(made, bytes) else made(canary)
        if said or len(data) < LONG_TO_INDEX:
            yield f"{number:03}{name}", data
    for name in (
        "x" * 300 + ".md",
        "ü" * 200 + ".md",
        "$(id).md",
        "con.md",
        "-rf.md",
        "a.exe",
        "b.mp3",
        ".env",
        "💬.md",
    ):
        yield name, b"A text of few words."
    for name in ("empty.md", "empty.pdf", "empty.docx", "empty.xlsx", "empty.epub", "empty.html"):
        yield name, b""
    rng = random.Random(6)
    whole = [("docx", LETTER), ("pptx", slides()), ("xlsx", workbook()), ("epub", zipped(BOOK)), ("pdf", pdf("Text."))]
    for number in itertools.count():
        kind, data = whole[number % len(whole)]
        changed = bytearray(data)
        for _ in range(rng.choice([1, 10, 200])):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        yield f"changed{number}.{kind}", bytes(changed[: rng.choice([len(changed), rng.randrange(len(changed))])])


def resident(app: RunningApp, what: str) -> int:
    """Bytes of memory now (VmRSS) or at its most (VmHWM)."""
    told = Path(f"/proc/{app.process.pid}/status").read_text()
    return int(re.search(rf"{what}:\s+(\d+)", told)[1]) * 1024  # type: ignore[index]


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_two_hundred_odd_uploads_on_the_page(start_app: AppStarter, canary: Pages, tmp_path: Path) -> None:
    """Through a browser: each is read or refused in words, the app answers meanwhile and its memory is bounded."""
    (tmp_path / "moon.md").write_text("# Moon\n\nThe moon pulls the sea.")
    flags = ("--data-dir", str(tmp_path / "data"), "--source", str(tmp_path / "moon.md"))
    app = start_app(*flags, program=("-c", SHORT_OF_TIME))
    wait_until(lambda: app.health()["sources"] == 1, 60)
    httpx.get(f"{app.url}predict?query=What+pulls+the+sea", timeout=60).raise_for_status()
    files = list(itertools.islice(odd_files(f"{canary.url}/canary"), UPLOADS))
    taken = sum(Path(name).suffix in FILE_TYPES and not name.startswith(".") for name, _ in files)
    before = resident(app, "VmRSS")
    browser = PageInThread(app.url)
    browser.do(browser.visit)

    def library() -> dict[str, Any]:
        return dict(httpx.get(f"{app.url}library", timeout=10).json())

    def give(some: list[tuple[str, bytes]]) -> None:
        given: Any = [{"name": name, "mimeType": "application/octet-stream", "buffer": data} for name, data in some]
        with browser.page.expect_response("**/gradio_api/upload**", timeout=60_000) as sent:
            browser.page.locator("#files input[type=file]").set_input_files(given)
        assert sent.value.status == 200
        browser.page.locator("#files input[type=file]").wait_for(state="attached", timeout=60_000)

    try:
        known = 1
        for number in range(0, UPLOADS, 4):
            some = files[number : number + 4]
            browser.do(partial(give, some))
            known += sum(Path(name).suffix in FILE_TYPES and not name.startswith(".") for name, _ in some)
            wait_until(lambda: len(library()["sources"]) >= known, 60, lambda: f"{known}: {library()}"[:3000])  # noqa: B023
            reply = httpx.get(f"{app.url}predict?query=What+pulls+the+sea", timeout=60)
            assert reply.status_code == 200 and reply.json(), reply.text
        wait_until(lambda: not library()["busy"], 300)
    finally:
        browser.close()
    entries = library()["sources"]
    states = Counter(entry["state"] for entry in entries)
    grown = resident(app, "VmHWM") - before
    print(f"\n{len(files)} uploads, {taken} to be read: {dict(states)}; {grown / 2**20:.0f} MB more at the most")
    assert len(entries) == taken + 1 and set(states) == {"ready", "failed"}
    assert all(10 < len(entry["reason"]) < 400 for entry in entries if entry["state"] == "failed")
    assert grown <= GROWTH
    assert start_app.stop(app) == 0
    assert "Traceback" not in "".join(app.output), "".join(app.output)[-3000:]
