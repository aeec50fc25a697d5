"""HTTP routes to the library: /library tells what is in it, adds, refreshes, cancels and removes."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from rag.api import PlainRoute, failure_of
from rag.assistant import Assistant
from rag.errors import NothingIndexed, RagError
from rag.library import MOST_PAGES, Library

OWNERS = ("local", "owner", "admin")
"""Visitors who may change the library: this machine's own page, its owner's commands, the user admin."""


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


def may_change(visitor: object) -> bool:
    """Whether a visitor may change sources and models."""
    return visitor in OWNERS


def build_library_routes(assistant: Assistant) -> APIRouter:
    """The routes. Errors come as everywhere: `{"error", "code"}`."""
    router = APIRouter(tags=["library"], route_class=PlainRoute)

    def library() -> Library:
        if assistant.library is None:
            problem = assistant.problems.get("index")
            raise problem or NothingIndexed("The library is being opened. Try again in a moment.")
        return assistant.library

    def told(names: list[str] | None = None) -> dict[str, Any]:
        return {**library().look(), "asked": names or []}

    async def change(request: Request, work: Any, status: int = 200) -> JSONResponse:
        if not may_change(request.scope.get("visitor")):
            refused = "Only the user admin may change sources. Log in as admin, with RAG_ADMIN_PASSWORD."
            return JSONResponse({"error": refused, "code": "refused"}, 403)
        try:
            names = await asyncio.to_thread(work)
            return JSONResponse(told(names), status)
        except RagError as error:
            return JSONResponse(failure_of(error), error.status)

    @router.get("/library")
    async def look() -> JSONResponse:
        """Every source with its title, kind, chunks, size, state and when it was indexed; and what is under way."""
        try:
            return JSONResponse(told())
        except RagError as error:
            return JSONResponse(failure_of(error), error.status)

    @router.post("/library", status_code=202)
    async def add(request: Request, given: Sources) -> JSONResponse:
        """Ask for sources; they are loaded and indexed one after the other, as `GET /library` tells."""
        private = request.scope.get("visitor") == "owner"
        return await change(
            request,
            lambda: library().add(given.sources, private=private, depth=given.depth, limit=given.limit),
            202,
        )

    @router.post("/library/refresh", status_code=202)
    async def refresh(request: Request, given: Refresh) -> JSONResponse:
        """Ask whether sources have changed; what has is indexed anew, and the old version answers until then."""
        return await change(request, lambda: library().refresh(given.sources), 202)

    @router.post("/library/cancel")
    async def cancel(request: Request) -> JSONResponse:
        """Drop what waits and stop what is under way; what is finished stays."""
        return await change(request, lambda: library().cancel())

    @router.delete("/library")
    async def remove(
        request: Request, source: Annotated[list[str], Query(description="Sources to forget.")]
    ) -> JSONResponse:
        """Forget sources: no answer is drawn from them any more."""
        return await change(request, lambda: library().remove(source))

    return router
