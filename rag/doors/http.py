"""Parts that the HTTP doors share: bodies of failures, event streams, and the check that the client is still there."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import Any

import anyio
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from starlette.types import Message, Send

from rag.answers.update import Update
from rag.doors.bodies import Best, answer_fields, quotes_of
from rag.errors import QuestionError, RagError

log = logging.getLogger(__name__)

SEND_SECONDS = 15.0
"""A client that reads nothing for so long is disconnected, so that it cannot hold a place at the model."""
FAILURES = {
    400: "The request does not fit: something is missing, empty or too long.",
    401: "No credentials, or wrong ones, where the app asks for them.",
    403: "Not for this visitor, or for a page of another site.",
    404: "There is no such thing.",
    409: "Nothing is indexed that could answer.",
    413: "The request is too large.",
    421: "The app is not called by this name.",
    422: "The request does not fit: something is missing, empty or too long.",
    429: "More questions a minute than one visitor may ask, or more wrong passwords.",
    502: "A source or the engine failed; what had come of an answer is in `partial`.",
    503: "It cannot be done now; the text says what to do.",
    504: "The engine was silent for too long.",
}
GUARDED = (401, 403, 413, 421, 429)
"""Statuses with which `rag.doors.guard` ends a request to any route; to public ones not 401 and 403."""


class Failure(BaseModel):
    """Why there is no answer: `error` for people, `code` for programs; `partial` is the part of it that had come."""

    error: str
    code: str
    cut_off: bool = Field(False, description="A part of the answer had come.")
    partial: str = Field("", description="That part, where it was not sent before.")
    quotes: list[Best] = Field([], description="The sentences that answer best, where they were found by then.")


def failures(*statuses: int, model: type[BaseModel] = Failure) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's entries for failures: the `statuses` of a route itself, and those of the guard in front of it."""
    return {status: {"model": model, "description": FAILURES[status]} for status in sorted({*statuses, *GUARDED})}


def as_json(responses: dict[int | str, dict[str, Any]]) -> dict[int | str, dict[str, Any]]:
    """The same entries for a route that replies with something else than JSON."""
    shape = {"application/json": {"schema": {"$ref": "#/components/schemas/Failure"}}}
    return {status: {"description": told["description"], "content": shape} for status, told in responses.items()}


def failure_of(
    error: RagError, partial: str = "", *, sent: bool = False, quotes: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """An error as JSON. A `partial` answer marks it as cut off, and is in it unless it was `sent` before."""
    told: dict[str, Any] = {"error": str(error), "code": error.code}
    if partial:
        told["cut_off"] = True
        if not sent:
            told["partial"] = partial
    if quotes:
        told["quotes"] = list(quotes)
    return told


async def frames(updates: AsyncGenerator[Update, None]) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
    """An answer as `/stream` and `/chat` send it: the kind of each frame, and the frame. To read `message` is enough.

    `quotes` come before the first piece. `thinking` is a piece of what the model thinks; with `moved`, the pieces of
    the answer sent before it were thinking, too. `message` is a piece of the answer, `silent` has the phase while
    nothing comes, and `done` or `error` ends it.
    """
    update, quoted = Update(), False
    try:
        async with aclosing(updates):
            async for update in updates:
                if update.quotes and not quoted:
                    quoted = True
                    first = {"quoted": update.quoted, "opening": update.opening}
                    yield "quotes", {"message": "", "quotes": quotes_of(update), **first}
                if update.new_thinking:
                    moved = {"moved": True} if update.moved else {}
                    yield "thinking", {"message": "", "thinking": update.new_thinking, **moved}
                if update.new:
                    yield "message", {"message": update.new}
                if update.phase == "done":
                    yield "done", {"message": "", "done": True, **answer_fields(update)}
                elif not (update.new or update.new_thinking):
                    yield "silent", {"phase": update.phase}
    except RagError as error:
        yield "error", {**failure_of(error, update.text, sent=True), "done": True}


async def while_connected(request: Request, updates: AsyncGenerator[Update, None]) -> AsyncGenerator[Update, None]:
    """The updates until the client is gone; the model stops within a quarter of a second of that."""
    async with aclosing(updates):
        async for update in updates:
            if await request.is_disconnected():
                return
            yield update


class BoundedStream(StreamingResponse):
    """Server-sent events that end when the client reads nothing for `SEND_SECONDS`."""

    media_type = "text/event-stream"

    async def stream_response(self, send: Send) -> None:
        """Send piece by piece, and close the generator of the pieces however this ends."""

        async def bounded(message: Message) -> None:
            with anyio.fail_after(SEND_SECONDS):
                await send(message)

        pieces: Any = self.body_iterator
        async with aclosing(pieces):
            try:
                await super().stream_response(bounded)
            except TimeoutError:
                log.info("a stream was ended: nothing of it was read for %.0f s", SEND_SECONDS)


async def reply_to_invalid(_: Request, error: Exception) -> JSONResponse:
    """Reply to invalid input on Gradio's own routes. FastAPI's own reply fails on bytes that are no text."""
    assert isinstance(error, RequestValidationError)
    told = f"The request does not fit: {first_error(error.errors())}."
    return JSONResponse({"error": told, "code": QuestionError.code, "detail": told}, QuestionError.status)


class PlainRoute(APIRoute):
    """A route that replies to invalid input, and to a `RagError`, with `{"error", "code"}` and the status that fits."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's own handler, with its list of errors turned into one sentence that names the field."""
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            told: RagError
            try:
                return await handle(request)
            except RequestValidationError as error:
                told = QuestionError(f"The request does not fit: {first_error(error.errors())}.")
            except RagError as error:
                told = error
            return JSONResponse(failure_of(told), told.status)

        return handled


def first_error(errors: Sequence[Any]) -> str:
    """The first of pydantic's errors: its place and its message."""
    return f"{'.'.join(map(str, errors[0]['loc']))}: {errors[0]['msg']}"


def to_json(data: dict[str, Any]) -> str:
    """`data` as JSON in readable characters."""
    return json.dumps(data, ensure_ascii=False)
