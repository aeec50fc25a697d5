"""EPUB books become documents."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

from langchain_core.documents import Document

from rag.sources.formats import Job, Unreadable
from rag.sources.html.markup import mark_html
from rag.sources.html.web_page import parse_html
from rag.sources.outline import EDGE, MARK, Marks
from rag.sources.plain.encoding import decode_noted
from rag.sources.zipped import opened


def read_book(job: Job) -> Iterator[Document]:
    """An EPUB book as one document, its chapters in reading order.

    Raises:
        Unreadable: protected by DRM, or as `opened`.
    """
    from defusedxml import ElementTree

    fromstring: Callable[[bytes], Any] = ElementTree.fromstring

    with opened(job) as archive:
        names = set(archive.namelist())
        if "META-INF/rights.xml" in names:
            raise Unreadable("the book is locked to its shop's reading programs (DRM)")
        container = fromstring(archive.read("META-INF/container.xml"))
        package = next(item.get("full-path") for item in container.iter() if item.tag.endswith("}rootfile"))
        tree = fromstring(archive.read(package))
        items = {item.get("id"): item for item in tree.iter() if item.tag.endswith("}item")}
        title = next((item.text or "" for item in tree.iter() if item.tag.endswith("}title")), "")
        pieces: list[str] = []
        marks: Marks = []
        for reference in (item for item in tree.iter() if item.tag.endswith("}itemref")):
            item = items.get(reference.get("idref"))
            if item is None or "nav" in (item.get("properties") or "").split():
                continue
            place = posixpath.normpath(posixpath.join(posixpath.dirname(package), unquote(item.get("href") or "")))
            if place in names:
                soup = parse_html(_chapter(archive.read(place), place, job.notes))
                text, found = mark_html(soup.body or soup)
                text = text.lstrip()
                if text and not text.startswith(MARK):  # ends the sections of the chapter before
                    text = MARK + text
                    marks.append((0, ""))
                pieces += [text, "\n\n", EDGE]
                marks += found
    yield job.document("".join(pieces), marks, title or job.stem)


def _chapter(data: bytes, place: str, notes: list[str]) -> str:
    """The HTML of a chapter; "" and a note where its encoding cannot be told."""
    try:
        text, note = decode_noted(data, html=True)
    except Unreadable as error:
        text, note = "", f"left out ({error})"
    if note:
        notes.append(f"{place}: {note}")
    return text
