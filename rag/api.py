"""HTTP routes beside the page, on the same assistant."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from rag.assistant import Assistant


def build_routes(assistant: Assistant, *, public: bool) -> list[BaseRoute]:
    """The routes. `public`: strangers can reach them, so `/health` tells them nothing but that the app is alive."""

    async def health(request: Request) -> JSONResponse:
        """200 when a question would be answered now, 503 until then; the body says what is awaited or wrong."""
        status = assistant.status()
        shown = {"alive": True, "ready": status["ready"]} if public else {"alive": True, **status}
        return JSONResponse(shown, 200 if status["ready"] else 503)

    return [Route("/health", health)]
