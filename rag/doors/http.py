"""HTTP and WebSocket routes beside the page, on the same assistant: /predict, /stream, /chat, /health."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from contextlib import aclosing
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

import anyio
from fastapi import APIRouter, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, StreamingResponse
from fastapi.routing import APIRoute
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field, ValidationError
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from rag import __version__
from rag.answers.stream import collect
from rag.answers.update import Timings, Update
from rag.assistant import Assistant
from rag.doors.guard import caller_of
from rag.errors import Busy, QuestionError, RagError
from rag.grounding.ground import text_fragment
from rag.sources.loader import is_url

log = logging.getLogger(__name__)

WAITING_QUESTIONS = 4
"""Questions that may wait on one socket while another is answered."""
LONGEST_FRAME = 256 * 1024
"""Characters of a WebSocket frame that are looked at; a question with its history fits many times."""
SEND_SECONDS = 15.0
"""A reader that takes nothing for so long is let go, so that it cannot hold a place at the model."""
IDLE_SECONDS = 1800.0
"""A socket without a question for so long is closed."""
DESCRIPTION = """
Ask your pages and files; a local model answers, and every answer comes with the passages it is drawn from. All routes
give the same answers.

**WebSocket `/chat`** (OpenAPI has no words for it): a text frame is a question, or JSON
`{"question", "history", "scope"}`.
Each piece of the answer is a frame `{"message": piece}`; then comes
`{"message": "", "done": true, "sources": [...], "grounding": [...], "timings": {...}, ...}`.
An error is `{"error", "code", "done": true}`, with `"cut_off": true` where a part of the answer had come, and leaves
the socket usable. Questions sent meanwhile wait their turn, four at most.

Where the app asks for credentials, give HTTP Basic or the password as a bearer token.
"""
"""What `/openapi.json` says first."""
VERSIONED = "version=2"
"""`Accept: application/json; version=2` asks `/predict` for the answer with its sources."""


class Turn(BaseModel):
    """An earlier turn of the conversation."""

    role: Literal["user", "assistant"]
    content: str


class Question(BaseModel):
    """A question, with the conversation so far where it is a follow-up."""

    question: str = Field(description="What is asked.")
    history: list[Turn] = Field([], description="Earlier turns, oldest first.")
    scope: list[str] = Field(
        [], description="Sources to answer from, as `/library` names them or by what a name ends with; empty: all."
    )

    def given(self) -> dict[str, Any]:
        """The input of the chain."""
        return {"question": self.question, "history": messages_of(self.history), "scope": self.scope}


class Source(BaseModel):
    """A passage that the answer is drawn from."""

    number: int
    title: str
    source: str = Field(description="URL, or path of the file.")
    page: int | None = Field(None, description="Page of a PDF or slide of a show, from 1.")
    section: str = Field("", description="Headings over the passage, outermost first: A > B.")
    link: str = Field("", description="The source at the passage's section or page, where it has an address.")
    text: str
    start: int | None = Field(None, description="Where the passage begins in the source's text, in characters.")


class Quote(BaseModel):
    """Where a passage says it: `text` is the source's text from `start` to `end`."""

    text: str
    start: int | None = Field(None, description="Where it begins in the source's text, in characters.")
    end: int | None = Field(None, description="Where it ends there.")
    link: str = Field("", description="The live page at these words, where it has an address.")


class Grounded(BaseModel):
    """A sentence of the answer: `answer[start:end] == text`."""

    start: int
    end: int
    text: str
    supported: bool | None = Field(description="Whether a passage says so; null: it claims nothing.")
    passage: int | None = Field(None, description="Number of the passage that supports it.")
    quote: Quote | None = None
    why: str = Field("", description="What of an unsupported sentence no passage has, where it is one thing.")


class Times(BaseModel):
    """Seconds, and tokens."""

    retrieval: float | None
    first_token: float | None
    total: float
    tokens: int
    tokens_per_second: float | None


class Told(BaseModel):
    """What every door but the page says beside the answer's text."""

    sources: list[Source]
    timings: Times
    asked: str = Field(description="What was searched for: a follow-up in full words, else the question.")
    refused: bool = Field(description="Nothing found speaks to the question, and no model was asked.")
    coverage: str = Field(description="What of the library was read, where that is not the passages found; else empty.")
    unread: int = Field(description="Passages that did not fit the model's window.")
    grounding: list[Grounded] | None = Field(description="The answer's sentences; null: it could not be told.")


class Answer(Told):
    """A whole answer with what it is drawn from."""

    answer: str
    model: str


class Failure(BaseModel):
    """Why there is no answer: `error` for people, `code` for programs. `partial` is what had come of one."""

    error: str
    code: str
    cut_off: bool = Field(False, description="A part of the answer had come.")
    partial: str = Field("", description="That part, where it was not sent before.")


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
ANSWERING = (409, 422, 502, 503, 504)
"""Statuses of a question that is not answered."""

EVENTS: dict[int | str, dict[str, Any]] = {200: {"description": "Pieces.", "content": {"text/event-stream": {}}}}


def failures(*statuses: int, model: type[BaseModel] = Failure) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI tells of statuses that mean a failure: those of a route, and those in front of it."""
    return {status: {"model": model, "description": FAILURES[status]} for status in sorted({*statuses, *GUARDED})}


def as_json(responses: dict[int | str, dict[str, Any]]) -> dict[int | str, dict[str, Any]]:
    """The same for a route whose own replies are no JSON."""
    shape = {"application/json": {"schema": {"$ref": "#/components/schemas/Failure"}}}
    return {status: {"description": told["description"], "content": shape} for status, told in responses.items()}


def messages_of(history: Sequence[Turn]) -> list[BaseMessage]:
    """Earlier turns as messages for the chat model; none of them is ever a system message."""
    return [HumanMessage(turn.content) if turn.role == "user" else AIMessage(turn.content) for turn in history]


def link_of(document: Document) -> str:
    """The source's address at the passage's section (its anchor) or page; "" for a file."""
    source, anchor, page = (document.metadata.get(name) for name in ("source", "anchor", "page"))
    if not is_url(str(source)):
        return ""
    place = quote(str(anchor), safe="") if anchor else f"page={page}" if page else ""
    return f"{source}#{place}" if place else str(source)


def sources_of(documents: Sequence[Document]) -> list[dict[str, Any]]:
    """The passages as every door but the page gives them."""
    return [
        Source(
            number=number,
            title=str(document.metadata.get("title") or ""),
            source=str(document.metadata.get("source") or ""),
            page=document.metadata.get("page"),
            section=str(document.metadata.get("section") or ""),
            link=link_of(document),
            text=document.page_content,
            start=document.metadata.get("start_index"),
        ).model_dump()
        for number, document in enumerate(documents, start=1)
    ]


def timings_of(timings: Timings) -> dict[str, Any]:
    """The timings as every door but the page gives them, rounded to milliseconds."""

    def rounded(value: float | None) -> float | None:
        return None if value is None else round(value, 3)

    return Times(
        retrieval=rounded(timings.retrieval),
        first_token=rounded(timings.first_token),
        total=round(timings.total, 3),
        tokens=timings.tokens,
        tokens_per_second=rounded(timings.tokens_per_second),
    ).model_dump()


def quote_of(document: Document, start: int, end: int) -> Quote:
    """Part of a passage, with its place in the source's text and a link to it on the live page."""
    text, began = document.page_content[start:end], document.metadata.get("start_index")
    link = link_of(document)
    if link:
        link += ("" if "#" in link else "#") + text_fragment(text)
    if began is None:
        return Quote(text=text, start=None, end=None, link=link)
    return Quote(text=text, start=began + start, end=began + end, link=link)


def grounding_of(update: Update) -> list[Grounded] | None:
    """The answer's sentences with what supports each."""
    if update.grounding is None:
        return None
    found = []
    for sentence in update.grounding:
        number, quote = sentence.passage, sentence.quote
        found.append(
            Grounded(
                start=sentence.start,
                end=sentence.end,
                text=update.text[sentence.start : sentence.end],
                supported=number is not None if sentence.claims else None,
                passage=number,
                quote=quote_of(update.sources[number - 1], *quote) if number and quote else None,
                why=sentence.why,
            )
        )
    return found


def told_of(update: Update) -> dict[str, Any]:
    """What every door but the page says beside the answer's text."""
    return {
        "sources": sources_of(update.sources),
        "timings": timings_of(update.timings),
        "asked": update.asked,
        "refused": update.refused,
        "coverage": update.coverage,
        "unread": update.unread,
        "grounding": None if (found := grounding_of(update)) is None else [each.model_dump() for each in found],
    }


def failure_of(error: RagError, partial: str = "", *, sent: bool = False) -> dict[str, Any]:
    """An error as every door but the page gives it; marked where a `partial` answer had come, `sent` or not."""
    told: dict[str, Any] = {"error": str(error), "code": error.code}
    if partial:
        told["cut_off"] = True
        if not sent:
            told["partial"] = partial
    return told


async def while_connected(request: Request, updates: AsyncGenerator[Update, None]) -> AsyncGenerator[Update, None]:
    """The updates, as long as somebody is there: a quarter of a second after the client is gone, the model stops."""
    async with aclosing(updates):
        async for update in updates:
            if await request.is_disconnected():
                return
            yield update


async def begun(updates: AsyncGenerator[Update, None]) -> Update:
    """The first update, before anything is sent; an empty one where the client is gone already.

    Raises:
        RagError: the question is refused at once.
    """
    return await anext(updates, Update())


class BoundedStream(StreamingResponse):
    """Events, ended where their reader takes nothing for `SEND_SECONDS`, so that he holds no place at the model."""

    media_type = "text/event-stream"

    async def stream_response(self, send: Send) -> None:
        """Send piece by piece; whatever way this ends, so does what the pieces are made from."""

        async def bounded(message: Message) -> None:
            with anyio.fail_after(SEND_SECONDS):
                await send(message)

        pieces: Any = self.body_iterator
        async with aclosing(pieces):
            try:
                await super().stream_response(bounded)
            except TimeoutError:
                log.info("a stream was ended: nothing of it was read for %.0f s", SEND_SECONDS)


async def say_what_is_wrong(_: Request, error: Exception) -> JSONResponse:
    """The answer to a request that does not fit, on Gradio's own routes: FastAPI's fails on bytes that are no text."""
    assert isinstance(error, RequestValidationError)
    told = f"The request does not fit: {first_error(error.errors())}."
    return JSONResponse({"error": told, "code": QuestionError.code, "detail": told}, QuestionError.status)


class PlainRoute(APIRoute):
    """A route that says of wrong input what every door says: `{"error", "code"}`, in words that name the field."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's own handler, with its list of what does not fit turned into one sentence."""
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as error:
                told = QuestionError(f"The request does not fit: {first_error(error.errors())}.")
                return JSONResponse(failure_of(told), told.status)

        return handled


def first_error(errors: Sequence[Any]) -> str:
    """Where the first error is and what it is, in few words."""
    return f"{'.'.join(map(str, errors[0]['loc']))}: {errors[0]['msg']}"


def build_routes(assistant: Assistant, *, bare_health: bool) -> APIRouter:
    """The routes. `bare_health`: strangers reach the app, so `/health` tells them nothing but that it is alive."""
    router = APIRouter(tags=["answers"], route_class=PlainRoute)

    @router.get("/predict", response_model=str | Answer, responses=failures(*ANSWERING))
    async def predict(
        request: Request,
        query: Annotated[str, Query(description="The question.")] = "",
        sources: Annotated[bool, Query(description="Give the answer with its sources, not the text alone.")] = False,
        scope: Annotated[tuple[str, ...], Query(description="A source to answer from; may be repeated.")] = (),
    ) -> Response:
        """The whole answer, as a JSON string; with `sources=true` as an object.

        `Accept: application/json; version=2` asks for the object, too.
        """
        if not query.strip():
            return JSONResponse(failure_of(QuestionError("The question is missing: /predict?query=...")), 422)
        given = {"question": query, "scope": scope, "caller": caller_of(request.scope)}
        update, error = await collect(while_connected(request, assistant.chain.astream(given)))
        if error:
            return JSONResponse(failure_of(error, update.text), error.status)
        if update.phase != "done":
            return Response(status_code=499)  # the client is gone; nobody reads this
        whole = sources or VERSIONED in request.headers.get("accept", "").replace(" ", "")
        if not whole:
            return JSONResponse(update.text)
        return JSONResponse({"answer": update.text, "model": assistant.models.names.chat, **told_of(update)})

    @router.post("/stream", response_class=Response, responses={**EVENTS, **failures(422)})
    async def stream(request: Request, question: Question) -> Response:
        """The answer as server-sent events: `data: {"message": piece}`, then one `event: done` or `event: error`.

        `done` carries the sources and timings; comments keep the line open while the model is silent.
        """
        given = {**question.given(), "caller": caller_of(request.scope)}
        connected = while_connected(request, assistant.chain.astream(given))
        try:
            first = await begun(connected)
        except RagError as error:  # nothing is sent yet, so that it can have its own status
            return JSONResponse(failure_of(error), error.status)

        async def events() -> AsyncIterator[str]:
            update = first
            try:
                async with aclosing(connected):
                    async for update in connected:
                        if update.new:
                            yield f"data: {_json({'message': update.new})}\n\n"
                        if update.phase == "done":
                            yield f"event: done\ndata: {_json(done_frame(update))}\n\n"
                        elif not update.new:
                            yield f": {update.phase}\n\n"
            except RagError as error:
                failure = failure_of(error, update.text, sent=True)
                yield f"event: error\ndata: {_json({**failure, 'done': True})}\n\n"

        return BoundedStream(events(), headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})

    in_front = {status: told for status, told in failures().items() if status not in (401, 403)}

    @router.get(
        "/health", tags=["state"], responses={**in_front, 503: {"description": "A question would not be answered now."}}
    )
    async def health(request: Request) -> JSONResponse:
        """Whether the app is alive, and (200, else 503) whether a question would be answered now.

        Also each engine with whether it can be reached, what is indexed, awaited and wrong, and versions. A stranger to
        an app that asks for credentials learns no more than that it is alive.
        """
        status = assistant.status()
        shown: dict[str, Any] = {"alive": True}
        if not bare_health or request.scope.get("visitor"):
            shown |= {**status, "versions": _versions()}
        return JSONResponse(shown, 200 if status["ready"] or bare_health else 503)

    @router.get("/metrics", tags=["state"], response_class=PlainTextResponse, responses=as_json(failures()))
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

    @router.websocket("/chat")
    async def chat(socket: WebSocket) -> None:
        """Questions in, pieces of answers out; see `ChatSocket`."""
        await socket.accept()
        await ChatSocket(assistant, socket).serve()

    return router


def done_frame(update: Update) -> dict[str, Any]:
    """What closes an answer on `/stream` and `/chat`; a client that reads only `message` can ignore it."""
    return {"message": "", "done": True, **told_of(update)}


class ChatSocket:
    """One WebSocket on `/chat`.

    A text frame is a question (or a JSON object `{"question", "history", "scope"}`); each piece of the answer is a
    frame `{"message": piece}`, then comes `{"message": "", "done": true, "sources", "grounding", ...}`. An error is a
    frame `{"error", "code", "done": true}`, and the socket stays usable. A task reads all the time, since a frame left
    unread would keep the peer's pongs from being seen; another answers, one question after the other.
    """

    def __init__(self, assistant: Assistant, socket: WebSocket) -> None:
        self._assistant = assistant
        self._socket = socket
        self._inbox: asyncio.Queue[Question] = asyncio.Queue(WAITING_QUESTIONS)
        self._sending = asyncio.Lock()

    async def serve(self) -> None:
        """Serve until the peer is gone, reads nothing any more, or asks nothing for half an hour."""
        tasks = [asyncio.ensure_future(self._read()), asyncio.ensure_future(self._answer())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for error in ended:
            expected = (asyncio.CancelledError, WebSocketDisconnect, asyncio.TimeoutError, TimeoutError, RuntimeError)
            if isinstance(error, Exception) and not isinstance(error, expected):
                log.error("the socket's task failed", exc_info=error)

    async def _read(self) -> None:
        while True:
            frame = await self._socket.receive()
            if frame["type"] == "websocket.disconnect":
                return
            text = frame.get("text")
            try:
                if text is None:
                    raise QuestionError("A question is a text frame, not a binary one.")
                if len(text) > LONGEST_FRAME:
                    raise QuestionError(f"A frame has at most {LONGEST_FRAME} characters.")
                self._inbox.put_nowait(question_of(text))
            except asyncio.QueueFull:
                await self._fail(Busy(f"{WAITING_QUESTIONS} questions wait on this socket already. Let it answer."))
            except RagError as error:
                await self._fail(error)

    async def _answer(self) -> None:
        while True:
            try:
                question = await asyncio.wait_for(self._inbox.get(), IDLE_SECONDS)
            except asyncio.TimeoutError:
                await self._socket.close(1001, "idle")
                return
            given = {**question.given(), "caller": caller_of(self._socket.scope)}
            update = Update()
            try:
                async with aclosing(self._assistant.chain.astream(given)) as updates:
                    async for update in updates:
                        if update.new:
                            await self._send({"message": update.new})
                        if update.phase == "done":
                            await self._send(done_frame(update))
            except RagError as error:
                await self._fail(error, update.text)

    async def _fail(self, error: RagError, sent: str = "") -> None:
        await self._send({**failure_of(error, sent, sent=True), "done": True})

    async def _send(self, frame: dict[str, Any]) -> None:
        async with self._sending:
            with anyio.fail_after(SEND_SECONDS):  # as `asyncio.wait_for`, without a task for each piece
                await self._socket.send_text(_json(frame))


def question_of(text: str) -> Question:
    """The question in a frame: a JSON object with `question`, or the text itself.

    Raises:
        QuestionError: the object does not fit.
    """
    if text.lstrip().startswith("{"):
        try:
            data = json.loads(text)
        except ValueError:
            data = None
        if isinstance(data, dict) and "question" in data:
            try:
                return Question.model_validate(data)
            except ValidationError as error:
                raise QuestionError(f"The question does not fit: {first_error(error.errors())}.") from None
    return Question(question=text, history=[], scope=[])


def _json(data: dict[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False)


def _swagger_files() -> Path:
    """Swagger UI's own files: its page must not fetch them from elsewhere."""
    import fastapi_offline

    return Path(fastapi_offline.__file__).parent / "static"


@cache
def _versions() -> dict[str, str]:
    return {"app": __version__, **{name: version(name) for name in ("gradio", "langchain-core", "chromadb", "ollama")}}
