"""The WebSocket `/chat`: questions in, pieces of answers out."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import aclosing
from typing import Any

import anyio
from fastapi import APIRouter
from pydantic import ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from rag.assistant import Assistant
from rag.doors.bodies import Question
from rag.doors.guard import caller_of
from rag.doors.http import SEND_SECONDS, failure_of, first_error, frames, to_json
from rag.errors import Busy, QuestionError, RagError

log = logging.getLogger(__name__)

MAX_WAITING = 4
"""Questions that may wait on one socket while another is answered."""
MAX_FRAME_CHARS = 256 * 1024
"""Characters in a frame; a question with its history fits many times."""
IDLE_SECONDS = 1800.0
"""A socket without a question for so long is closed."""


def build_socket_routes(assistant: Assistant) -> APIRouter:
    """The WebSocket route `/chat`."""
    router = APIRouter()

    @router.websocket("/chat")
    async def chat(socket: WebSocket) -> None:
        """Questions in, pieces of answers out; see `ChatSocket`."""
        await socket.accept()
        await ChatSocket(assistant, socket).serve()

    return router


class ChatSocket:
    """One WebSocket on `/chat`; `rag.doors.http.frames` tells what its frames are. It stays usable after an error.

    One task reads all the time, since an unread frame would hide the client's pongs behind it. Another task answers,
    one question after the other.
    """

    def __init__(self, assistant: Assistant, socket: WebSocket) -> None:
        self._assistant = assistant
        self._socket = socket
        self._inbox: asyncio.Queue[Question] = asyncio.Queue(MAX_WAITING)
        self._sending = asyncio.Lock()

    async def serve(self) -> None:
        """Serve until the client is gone, stops reading, or asks nothing for half an hour."""
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
                if len(text) > MAX_FRAME_CHARS:
                    raise QuestionError(f"A frame has at most {MAX_FRAME_CHARS} characters.")
                self._inbox.put_nowait(question_of(text))
            except asyncio.QueueFull:
                await self._fail(Busy(f"{MAX_WAITING} questions wait on this socket already. Let it answer."))
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
            async with aclosing(frames(self._assistant.chain.astream(given))) as answer:
                async for kind, frame in answer:
                    if kind != "silent":
                        await self._send(frame)

    async def _fail(self, error: RagError) -> None:
        await self._send({**failure_of(error), "done": True})

    async def _send(self, frame: dict[str, Any]) -> None:
        async with self._sending:
            with anyio.fail_after(SEND_SECONDS):  # as `asyncio.wait_for`, without a task for each piece
                await self._socket.send_text(to_json(frame))


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
    return Question(question=text, history=[], scope=[], think=None)
