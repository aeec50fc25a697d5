"""HTTP routes of the page's reader: a source opened at a quote, its pages as pictures, and the places of words on them.

A source's text goes out as JSON, in runs of plain text, and its pages as PNG: nothing of a source is ever served as
something that a browser would run.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from langchain_core.documents import Document
from pydantic import BaseModel, Field

from rag.assistant import Assistant
from rag.doors.bodies import link_of, quote_of
from rag.doors.library import SHOWN, for_owner, library_router
from rag.errors import SourceRefused
from rag.library.records import Found
from rag.reader.blocks import AROUND, build_blocks, window_of
from rag.reader.original import Originals
from rag.reader.pages import WIDEST, Pages
from rag.sources.formats import ending_of
from rag.sources.loader import is_url, section_at
from rag.sources.outline import RECOGNIZED

KEPT_SECONDS = 3600
"""How long a browser may keep the picture of a page; the address has the version of the source in it."""
PLACES = {"slides": "Slide"}
"""What a source's documents are called, by its kind, where not `Page`."""
PICTURED = ("PDF", "picture")
"""Kinds of files whose pages are shown as pictures."""


class Shown(BaseModel):
    """A document of a source, opened."""

    source: str
    title: str
    kind: str
    place: str = Field(description="Which of the source's documents it is, such as `Page 3`; empty: its only one.")
    page: int | None = Field(description="Page of a PDF or picture, or slide of a show, from 1.")
    number: int = Field(description="Of the document among those of the source, from 0; -1: the page has no text.")
    count: int = Field(description="Documents of the source.")
    version: str = Field(description="Changes with the source.")
    picture: bool = Field(description="Whether `/reader/page` shows the page.")
    original: str = Field(description="Where the source itself is: an address, or a path of this app; empty: nowhere.")
    saves: bool = Field(description="Whether the browser saves the original instead of showing it.")
    before: int | None = Field(description="A character of the text before what is shown, where there is more.")
    after: int | None = Field(description="A character behind what is shown, where there is more.")
    blocks: list[dict[str, Any]] = Field(description="Headings, paragraphs, items, tables, code: see `Block`.")


class Boxes(BaseModel):
    """Where words stand on the pages of a file."""

    pages: int = Field(description="Pages of the file.")
    boxes: list[dict[str, float]] = Field(
        description="`page` (from 1), and `left`, `top`, `width`, `height` in shares of the page as it is shown."
    )


Source = Annotated[str, Query(description="A source in the library.")]
Page = Annotated[int | None, Query(description="Page of a PDF or slide of a show, from 1.")]
Title = Annotated[str | None, Query(description="Title of the document, as passages have it.")]
Number = Annotated[int | None, Query(ge=0, description="The document's place among the source's, from 0.")]
Start = Annotated[int, Query(ge=0, description="Where the quote begins, in characters of the document.")]
End = Annotated[int, Query(ge=0, description="Where it ends.")]


def build_reader_routes(assistant: Assistant) -> APIRouter:
    """The routes; owners alone get them, as they get files. Errors come as everywhere: `{"error", "code"}`."""
    router = library_router()
    pages = Pages()

    @cache
    def at_hand() -> Originals:
        return Originals(assistant.service.uploads)  # the database is opened after the routes are made

    def document(source: str, page: int | None, title: str | None, number: int | None = None) -> Found:
        found = assistant.service.records.find_document(source, page=page, title=title, number=number)
        if found is None:
            raise SourceRefused(source, "not in the library")
        return found

    def is_pictured(found: Found) -> bool:
        return found.record.kind in PICTURED and at_hand().has(found.record.source)

    @router.get("/reader", response_model=Shown)
    async def show(
        request: Request,
        source: Source,
        page: Page = None,
        title: Title = None,
        number: Number = None,
        start: Start = 0,
        end: End = 0,
        at: Annotated[int | None, Query(ge=0, description="A character to show instead of the quote.")] = None,
    ) -> Response:
        """A document of a source as it was read, with the words of a quote in it lit."""

        def found() -> Response:
            item = document(source, page, title, number)
            if item.number < 0 and not (page and is_pictured(item)):
                item = document(source, page, None) if page else document(source, None, None, 0)
            place = item.metadata.get("page") if item.number >= 0 else page
            is_picture = is_pictured(item) and bool(place or item.record.kind == "picture")
            span = (min(start, len(item.text)), min(max(start, end), len(item.text)))
            shown = _shown(item, place, span, at, is_picture=is_picture, is_there=at_hand().has(source))
            return JSONResponse(shown.model_dump())

        return await for_owner(request, found)

    @router.get("/reader/page", response_class=Response, responses={200: {"content": {"image/png": {}}}})
    async def picture(
        request: Request,
        source: Source,
        page: Annotated[int, Query(ge=1, description="Page of the file, from 1.")],
        width: Annotated[int, Query(ge=100, le=WIDEST, description="Pixels.")] = 1200,
    ) -> Response:
        """A page of a PDF or a picture, as a picture."""

        def drawn() -> Response:
            item = _pictured(document(source, None, None, 0))
            data = pages.picture(source, at_hand().path(source, item.digest), page, width, kind=item.record.kind)
            kept = {"Cache-Control": f"private, max-age={KEPT_SECONDS}"}
            return Response(data, media_type="image/png", headers=kept)

        return await for_owner(request, drawn)

    @router.get("/reader/boxes", response_model=Boxes)
    async def boxes(
        request: Request, source: Source, page: Page = None, title: Title = None, start: Start = 0, end: End = 0
    ) -> Response:
        """Where the words of a quote stand on the pages of a PDF or a picture."""

        def placed() -> Response:
            item = _pictured(document(source, page, title))
            path = at_hand().path(source, item.digest)
            kept = {page or 1: item.metadata.get(RECOGNIZED)}
            if page and kept[page]:  # its last sentence may go on there
                kept[page + 1] = document(source, page + 1, title).metadata.get(RECOGNIZED)
            span = (start, min(end, len(item.text)))
            found = pages.places(source, path, page or 1, item.text, span, kept, kind=item.record.kind)
            return JSONResponse(Boxes(pages=found.pages, boxes=[asdict(box) for box in found.boxes]).model_dump())

        return await for_owner(request, placed)

    def _pictured(item: Found) -> Found:
        if not is_pictured(item):
            raise SourceRefused(item.record.source, "no PDF or picture whose file is at hand")
        return item

    return router


def _shown(
    item: Found, place: int | None, span: tuple[int, int], at: int | None, *, is_picture: bool, is_there: bool
) -> Shown:
    """The document as the page gets it: of its text, what is around `span`, or around the character `at`."""
    text, metadata, record = item.text, item.metadata, item.record
    window = window_of(text, *(span if at is None else (min(at, len(text)),) * 2))
    original, saves = _original(item, span, is_there)
    return Shown(
        source=record.source,
        title=str(metadata.get("title") or record.title or record.source),
        kind=record.kind,
        place=_place(item, place),
        page=place or (1 if is_picture else None),
        number=item.number,
        count=item.count,
        version=item.digest[:12],
        picture=is_picture,
        original=original,
        saves=saves,
        before=max(0, window[0] - AROUND) if window[0] else None,
        after=min(len(text), window[1] + AROUND) if window[1] < len(text) else None,
        blocks=[asdict(block) for block in build_blocks(text, metadata, record.kind, span, window)],
    )


def _place(item: Found, page: int | None) -> str:
    """What a document is called among those of its source."""
    if page:
        return f"{PLACES.get(item.record.kind, 'Page')} {page}"
    return f"{item.number + 1} of {item.count}" if item.count > 1 else ""


def _original(item: Found, span: tuple[int, int], is_there: bool) -> tuple[str, bool]:
    """Where the source itself is, at the quote if it can be; and whether the browser saves it."""
    source = item.record.source
    if is_url(source):
        section, anchor = section_at(item.metadata, span[0])
        metadata = {**item.metadata, "source": source, "section": section, "anchor": anchor, "start_index": 0}
        passage = Document(item.text, metadata=metadata)
        link = quote_of(passage, *span).link if span[0] < span[1] else link_of(passage)
        return (link, False) if link.lower().startswith(("http://", "https://")) else ("", False)
    if not is_there:
        return "", False
    page = f"#page={item.metadata['page']}" if item.record.kind == "PDF" and item.metadata.get("page") else ""
    return f"library/file?source={quote(source, safe='')}{page}", ending_of(source) not in SHOWN
