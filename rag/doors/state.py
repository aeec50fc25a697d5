"""`/health` and `/metrics` tell the app's state, `/docs` its routes."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.staticfiles import StaticFiles

from rag import __version__
from rag.assistant import Assistant
from rag.doors.http import PlainRoute, as_json, failures


def build_state_routes(assistant: Assistant, *, bare_health: bool) -> APIRouter:
    """The routes. With `bare_health`, `/health` tells strangers only that the app is alive."""
    router = APIRouter(tags=["state"], route_class=PlainRoute)
    in_front = {status: told for status, told in failures().items() if status not in (401, 403)}

    @router.get("/health", responses={**in_front, 503: {"description": "A question would not be answered now."}})
    async def health(request: Request) -> JSONResponse:
        """Whether the app is alive, and whether a question would be answered now (status 200, else 503).

        Also: the engines and whether each can be reached, the size of the index, work under way, problems, versions. A
        stranger to an app that asks for credentials learns only that it is alive.
        """
        status = assistant.status()
        shown: dict[str, Any] = {"alive": True}
        if not bare_health or request.scope.get("visitor"):
            shown |= {**status, "versions": _versions()}
        return JSONResponse(shown, 200 if status["ready"] or bare_health else 503)

    @router.get("/metrics", response_class=PlainTextResponse, responses=as_json(failures()))
    async def metrics() -> Response:
        """The app's figures for Prometheus."""
        return Response(generate_latest(assistant.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @router.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="openapi.json",
            title="Local RAG chat",
            swagger_js_url="docs/files/swagger-ui-bundle.js",
            swagger_css_url="docs/files/swagger-ui.css",
            swagger_favicon_url="favicon.ico",
        )

    router.mount("/docs/files", StaticFiles(directory=_swagger_files()))
    return router


def _swagger_files() -> Path:
    """The folder of Swagger UI's own files: its page must not fetch them from elsewhere."""
    import fastapi_offline

    return Path(fastapi_offline.__file__).parent / "static"


@cache
def _versions() -> dict[str, str]:
    return {"app": __version__, **{name: version(name) for name in ("gradio", "langchain-core", "chromadb", "ollama")}}
