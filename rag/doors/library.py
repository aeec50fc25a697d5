"""HTTP routes to the library: /library tells what is in it, adds, refreshes, cancels and removes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from pydantic import BaseModel, Field

from rag.assistant import Assistant
from rag.doors.http import PlainRoute, failures
from rag.errors import NothingIndexed, SourceRefused
from rag.library.backup import Backup
from rag.library.library import MOST_PAGES, Library
from rag.library.uploads import is_upload, name_of
from rag.sources.loader import is_url

SHOWN = {
    ".pdf": "application/pdf",
    ".txt": "text/plain",
    ".md": "text/plain",
    ".csv": "text/plain",
    ".json": "text/plain",
}
"""File types that a browser shows without running anything in them; others are saved."""
OWNERS = ("local", "owner", "admin")
"""Visitors who may change the library: this machine's own page, its owner's commands, the user admin."""
REFUSED = "Only the user admin may change sources and models. Log in as admin, with RAG_ADMIN_PASSWORD."


class Sources(BaseModel):
    """Sources to add."""

    sources: list[str] = Field(description="URLs; from the owner's own command line also files and folders.")
    depth: int = Field(
        -1,
        ge=-1,
        le=10,
        description="From 0 on: the pages a sitemap lists, or linked within so many steps on one site.",
    )
    limit: int = Field(100, ge=1, le=MOST_PAGES, description="Pages of a site, at most.")


class Refresh(BaseModel):
    """Sources to ask again; all of them where none is named."""

    sources: list[str] | None = None


class Restore(BaseModel):
    """A backup to bring back."""

    file: str = Field(description="Its path on the app's own machine.")


class Index(BaseModel):
    """The index to answer from."""

    embeddings: str | None = Field(description="Embedding model, `provider:model`; null: keep the index there is.")


def may_change(visitor: object) -> bool:
    """Whether a visitor may change sources and models."""
    return visitor in OWNERS


async def for_owner(request: Request, work: Callable[[], Any], status: int = 200) -> Response:
    """Do what only owners may; `work` gives the reply or its data."""
    if not may_change(request.scope.get("visitor")):
        return JSONResponse({"error": REFUSED, "code": "refused"}, 403)
    given = await asyncio.to_thread(work)
    return given if isinstance(given, Response) else JSONResponse(given, status)


def library_router() -> APIRouter:
    """A router whose errors come as everywhere: `{"error", "code"}`."""
    return APIRouter(tags=["library"], route_class=PlainRoute, responses=failures(409, 422, 502, 503, 504))


def build_library_routes(assistant: Assistant) -> APIRouter:
    """The routes that tell what is in the library, and change it; and those of its files and indexes."""
    router = library_router()

    def library() -> Library:
        if assistant.library is None:
            problem = assistant.problems.get("index")
            raise problem or NothingIndexed("The library is being opened. Try again in a moment.")
        return assistant.library

    def told(names: list[str] | None = None) -> dict[str, Any]:
        return {**library().look(), "asked": names or [], "index": assistant.indexes.status()}

    async def change(request: Request, work: Any, status: int = 200) -> Response:
        return await for_owner(request, lambda: told(work()), status)

    @router.get("/library")
    async def look() -> JSONResponse:
        """Every source with its title, kind, chunks, size, state and when it was loaded; and what is under way."""
        return JSONResponse(told())

    @router.post("/library", status_code=202)
    async def add(request: Request, given: Sources) -> Response:
        """Ask for sources; they are loaded and indexed one after the other, as `GET /library` tells."""
        private = request.scope.get("visitor") == "owner"
        return await change(
            request,
            lambda: library().add(given.sources, private=private, depth=given.depth, limit=given.limit),
            202,
        )

    @router.post("/library/refresh", status_code=202)
    async def refresh(request: Request, given: Refresh) -> Response:
        """Ask whether sources have changed; what has is indexed anew, and the old version answers until then."""
        return await change(request, lambda: library().refresh(given.sources), 202)

    @router.post("/library/restore", status_code=202)
    async def restore(request: Request, given: Restore) -> Response:
        """Bring back the sources of a backup; for the owner's own command line, as it names a file of the machine."""
        if request.scope.get("visitor") != "owner":
            told_why = "Only the owner's own command can restore: python -m rag restore FILE"
            return JSONResponse({"error": told_why, "code": "refused"}, 403)

        def bring_back() -> list[str]:
            backup = Backup(Path(given.file))
            return library().restore(backup.records(assistant.service.records, assistant.folder.path), backup.wanted)

        return await change(request, bring_back, 202)

    @router.post("/library/cancel")
    async def cancel(request: Request) -> Response:
        """Drop what waits and stop what is under way; what is finished stays."""
        return await change(request, lambda: library().cancel())

    @router.delete("/library")
    async def remove(
        request: Request, source: Annotated[list[str], Query(description="Sources to forget.")]
    ) -> Response:
        """Forget sources: no answer is drawn from them any more."""
        return await change(request, lambda: library().remove(source))

    _add_file_routes(router, assistant)
    _add_index_routes(router, assistant)
    return router


def _add_file_routes(router: APIRouter, assistant: Assistant) -> None:
    """The routes to a source itself: its file, its text."""

    @router.get("/library/file", response_class=FileResponse)
    async def show(request: Request, source: Annotated[str, Query(description="A file in the library.")]) -> Response:
        """A file of the library as it is; owners alone get it."""

        def found() -> Response:
            upload, path = is_upload(source), Path(source)
            there = assistant.service.uploads.has(source) if upload else not is_url(source) and path.is_file()
            if source not in {item.source for item in assistant.sources} or not there:
                raise SourceRefused(source, "no file in the library, or not there any more")
            name = name_of(source) if upload else path.name
            kind = SHOWN.get(Path(name).suffix.lower())
            media_type = f"{kind}; charset=utf-8" if kind == "text/plain" else kind or "application/octet-stream"
            how = "inline" if kind else "attachment"
            if not upload:
                return FileResponse(path, media_type=media_type, filename=name, content_disposition_type=how)
            headers = {"Content-Disposition": f"{how}; filename*=utf-8''{quote(name)}"}
            return StreamingResponse(assistant.service.uploads.parts(source), media_type=media_type, headers=headers)

        return await for_owner(request, found)

    @router.get("/library/text")
    async def text(
        request: Request,
        source: Annotated[str, Query(description="A source in the library.")],
        page: Annotated[int | None, Query(description="Page of a PDF or slide of a show, from 1.")] = None,
        title: Annotated[str | None, Query(description="Title of a file in an archive, as passages have it.")] = None,
    ) -> Response:
        """A source's text as it was read; passages and quotes give their places in it. Owners alone get it."""

        def found() -> dict[str, Any]:
            record = assistant.service.records.read(source)
            texts = [(text, told) for text, told in record.documents if told.get("page") == page] if record else []
            texts = [(text, told) for text, told in texts if title in (None, told.get("title"))]
            if not texts:
                raise SourceRefused(source, "not in the library" if not record else "without such a page")
            return {"source": source, "title": str(texts[0][1].get("title") or ""), "page": page, "text": texts[0][0]}

        return await for_owner(request, found)


def _add_index_routes(router: APIRouter, assistant: Assistant) -> None:
    """The routes to indexes, and to the models that they could be made with."""

    @router.get("/library/index")
    async def index(
        request: Request,
        embeddings: Annotated[str | None, Query(description="An embedding model: what would it cost?")] = None,
    ) -> Response:
        """The index that answers, one that is being built, one that is offered; or what moving to another costs."""

        def estimate() -> dict[str, Any]:
            offer = assistant.estimate(str(embeddings))
            return {"chunks": offer.chunks, "seconds": round(offer.seconds, 1), "told": str(offer)}

        if embeddings is None:
            return JSONResponse(assistant.indexes.status())
        return await for_owner(request, estimate)

    @router.post("/library/index", status_code=202)
    async def reindex(request: Request, given: Index) -> Response:
        """Move the library to another embedding model; the old index answers until the new one is whole."""

        def ask() -> dict[str, Any]:
            assistant.reindex(given.embeddings)
            return assistant.indexes.status()

        return await for_owner(request, ask, 202)

    @router.get("/models", tags=["state"])
    async def models(request: Request) -> Response:
        """The models that can be chosen: Ollama's and the embedded ones, with size (bytes) and window (tokens)."""

        def listed() -> dict[str, Any]:
            return {"models": [asdict(model) for model in assistant.models.known.listed()]}

        return await for_owner(request, listed)
