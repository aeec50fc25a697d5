"""`/predict` gives the whole answer at once, `/stream` the same answer as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from rag.answers.stream import collect
from rag.assistant import Assistant
from rag.doors.bodies import Answer, Question, answer_fields, quotes_of
from rag.doors.guard import caller_of
from rag.doors.http import BoundedStream, PlainRoute, failure_of, failures, frames, to_json, while_connected
from rag.errors import QuestionError
from rag.settings import Think

VERSIONED = "version=2"
"""`Accept: application/json; version=2` asks `/predict` for the answer with its sources."""
ANSWERING = (409, 422, 502, 503, 504)
"""Statuses with which a question fails."""
EVENTS: dict[int | str, dict[str, Any]] = {200: {"description": "Pieces.", "content": {"text/event-stream": {}}}}


def build_predict_routes(assistant: Assistant) -> APIRouter:
    """The routes `/predict` and `/stream`."""
    router = APIRouter(tags=["answers"], route_class=PlainRoute)

    @router.get("/predict", response_model=str | Answer, responses=failures(*ANSWERING))
    async def predict(
        request: Request,
        query: Annotated[str, Query(description="The question.")] = "",
        sources: Annotated[bool, Query(description="Give the answer with its sources, not the text alone.")] = False,
        scope: Annotated[tuple[str, ...], Query(description="A source to answer from; may be repeated.")] = (),
        think: Annotated[Think | None, Query(description="Let the chat model think first, if it can.")] = None,
    ) -> Response:
        """The whole answer, as a JSON string; with `sources=true` an object, with what a small model adds.

        `Accept: application/json; version=2` asks for the object, too.
        """
        if not query.strip():
            raise QuestionError("The question is missing: /predict?query=...")
        given = {"question": query, "scope": scope, "think": think, "caller": caller_of(request.scope)}
        update, error = await collect(while_connected(request, assistant.chain.astream(given)))
        if error:
            return JSONResponse(failure_of(error, update.text, quotes=quotes_of(update)), error.status)
        if update.phase != "done":
            return Response(status_code=499)  # the client is gone; nobody reads this
        whole = sources or VERSIONED in request.headers.get("accept", "").replace(" ", "")
        if not whole:
            return JSONResponse(update.alone)
        return JSONResponse({"answer": update.text, "model": assistant.models.names.chat, **answer_fields(update)})

    @router.post("/stream", response_class=Response, responses={**EVENTS, **failures(422)})
    async def stream(request: Request, question: Question) -> Response:
        """The answer as server-sent events: `data: {"message": piece}`, then one `event: done` or `event: error`.

        Before the first piece comes `event: quotes`, the sentences of the sources that answer best. `done` carries
        the sources and timings; what a model thinks comes as `event: thinking`; comments keep the line open while the
        model is silent.
        """
        given = {**question.given(), "caller": caller_of(request.scope)}
        connected = while_connected(request, assistant.chain.astream(given))
        # Refused at once: nothing is sent yet, so that it can have its own status. None comes where the client is gone.
        await anext(connected, None)

        async def events() -> AsyncIterator[str]:
            async with aclosing(frames(connected)) as answer:
                async for kind, frame in answer:
                    if kind == "silent":
                        yield f": {frame['phase']}\n\n"
                    else:
                        event = "" if kind == "message" else f"event: {kind}\n"
                        yield f"{event}data: {to_json(frame)}\n\n"

        return BoundedStream(events(), headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})

    return router
