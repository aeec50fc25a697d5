"""The app as a model for other chat clients: OpenAI's `/v1/chat/completions` and `/v1/models` over the same answers.

The last message is the question and those before it the conversation. A client's system message reaches the model as a
wish about language, length and style, below the app's own rules to answer from the passages. What the model thinks is
in `reasoning_content`, as llama-server and DeepSeek have it; what the answer is drawn from in the extension field
`local_rag`. What would change the answer's form and is not to be had (`check_wanted`) is refused.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import ClientDisconnect

from rag.answers.question import legible
from rag.answers.stream import collect
from rag.answers.update import Update
from rag.assistant import Assistant
from rag.doors.bodies import answer_fields
from rag.doors.guard import caller_of
from rag.doors.http import BoundedStream, failures, first_error, while_connected
from rag.doors.library import may_change
from rag.errors import AnswerTooLong, NoSuchModel, QuestionError, RagError
from rag.text.sentences import count_tokens

MODEL = "local-rag-chat"
"""The app's name as a model; its own chat model's name is taken, too."""
LONGEST_INSTRUCTIONS = 4000
"""Characters of a client's system messages that reach the model."""
EFFORTS = {"none": "off", "minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high"}
"""OpenAI's `reasoning_effort` in the words of RAG_THINK."""
ERROR_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
}


class Message(BaseModel):
    """One turn, its content as text or as parts of which the text is taken."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[dict[str, Any]] | None = None

    @property
    def text(self) -> str:
        """All text in it."""
        if isinstance(self.content, list):
            return "".join(str(part.get("text") or "") for part in self.content)
        return self.content or ""

    @property
    def unread(self) -> str:
        """The type of the first part that is no text, such as `image_url`; "": there is none."""
        parts = self.content if isinstance(self.content, list) else []
        return next((str(part.get("type")) for part in parts if "text" not in part and "refusal" not in part), "")


class StreamOptions(BaseModel):
    """What a stream has beside the text."""

    include_usage: bool = False


class Completion(BaseModel):
    """A request; what is not named here is taken and has no effect, such as `top_p` and `tools`."""

    model_config = ConfigDict(extra="ignore")

    model: str = MODEL
    messages: list[Message]
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    n: int | None = 1
    temperature: float | None = Field(None, ge=0, le=2)
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    tool_choice: str | dict[str, Any] | None = None
    function_call: str | dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None
    scope: list[str] = Field([], description="Sources to answer from, as `/library` names them; an extension.")


def openai_error(text: str, code: str, status: int, param: str | None = None) -> dict[str, Any]:
    """An error in OpenAI's shape."""
    kind = ERROR_TYPES.get(status, "server_error")
    return {"error": {"message": text, "type": kind, "param": param, "code": code}}


def _refusal(error: RagError) -> JSONResponse:
    status, param = 400 if error.status == 422 else error.status, None
    if isinstance(error, NoSuchModel):
        status, param = 404, "model"
    elif isinstance(error, Unfit):
        param = error.param
    return JSONResponse(openai_error(str(error), error.code, error.status, param or None), status)


class OpenAIFailure(BaseModel):
    """An error in OpenAI's shape."""

    error: dict[str, Any] = Field(description="`message`, `type`, `param` and `code`.")


class Unfit(QuestionError):
    """The request asks for what cannot be had here; `param` names the field."""

    code = "bad_request"

    def __init__(self, text: str, param: str) -> None:
        super().__init__(text)
        self.param = param


def check_wanted(given: Completion) -> None:
    """See that the answer can have the form that is asked for.

    Raises:
        Unfit: it cannot; an answer of another form would only fail further on.
    """
    if given.n not in (None, 1):
        raise Unfit("One answer is given to a question: n has to be 1.", "n")
    for name in ("tool_choice", "function_call"):
        if getattr(given, name) not in (None, "none", "auto"):
            raise Unfit(f"No tools are called here, so {name} can only be none or auto.", name)
    if (given.response_format or {}).get("type", "text") != "text":
        raise Unfit("Answers are text: response_format can only be text.", "response_format")
    if given.messages and given.messages[-1].unread:
        place = f"messages.{len(given.messages) - 1}.content"
        raise Unfit(f"The question has a part of type {given.messages[-1].unread}; only text is read.", place)


def conversation_of(messages: Sequence[Message]) -> tuple[str, list[BaseMessage]]:
    """The question and what was said before.

    Raises:
        QuestionError: the last message, but for instructions, is not the person's, or has no text.
    """
    said = [message for message in messages if message.role not in ("system", "developer")]
    turns = [message for message in said if message.role in ("user", "assistant") and message.text.strip()]
    if not turns or turns[-1] is not said[-1] or turns[-1].role != "user":
        raise Unfit("The last message has to be the user's question, with text in it.", "messages")
    earlier: list[BaseMessage] = [
        HumanMessage(turn.text) if turn.role == "user" else AIMessage(turn.text) for turn in turns[:-1]
    ]
    return turns[-1].text, earlier


def instructions_of(messages: Sequence[Message]) -> str:
    """What the system's messages say; `LONGEST_INSTRUCTIONS` characters of it at most."""
    told = [message.text.strip() for message in messages if message.role in ("system", "developer")]
    return legible("\n\n".join(filter(None, told)))[:LONGEST_INSTRUCTIONS]


def usage_of(update: Update, asked: Sequence[Message]) -> tuple[dict[str, int], str]:
    """Tokens read and written, and who counted them: the `engine`; else they are an `estimate`."""
    if update.usage is not None:
        read, written = update.usage
        who = "engine"
    else:
        texts = [message.text for message in asked] + [source.page_content for source in update.passages]
        read, written = sum(count_tokens(text) for text in texts), update.timings.tokens
        who = "estimate"
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}, who


def build_openai_routes(assistant: Assistant) -> APIRouter:
    """The routes, on the stream that every door reads."""
    router = APIRouter(tags=["openai"])
    began = int(time.time())

    @router.get("/v1/models", responses=failures(model=OpenAIFailure))
    async def models() -> dict[str, Any]:
        """The app as a model, under its own name and its chat model's."""
        names = [MODEL, assistant.models.names.chat]
        owner = {"object": "model", "created": began, "owned_by": "local"}
        return {"object": "list", "data": [{"id": name, **owner} for name in names]}

    @router.get("/v1/models/{name:path}", responses=failures(404, model=OpenAIFailure))
    async def model(name: str) -> Response:
        """One of them."""
        if name not in (MODEL, assistant.models.names.chat):
            return _refusal(NoSuchModel(f"There is no chat model {name}; there is {MODEL}."))
        return JSONResponse({"id": name, "object": "model", "created": began, "owned_by": "local"})

    @router.post(
        "/v1/chat/completions",
        responses={
            200: {"content": {"text/event-stream": {}}},
            **failures(400, 404, 409, 502, 503, 504, model=OpenAIFailure),
        },
    )
    async def complete(request: Request) -> Response:
        """Answer as OpenAI's chat completions do; see `local_rag` for the sources and timings."""
        try:
            given = Completion.model_validate_json(await request.body())
        except ClientDisconnect:  # it has gone, or sends more than is taken
            text = "The request is too large, or was not sent to its end."
            return JSONResponse(openai_error(text, "too_large", 413), 413)
        except ValidationError as error:
            place = ".".join(map(str, error.errors()[0]["loc"]))
            what = first_error(error.errors()).removeprefix(": ")  # which the whole body is to name
            return _refusal(Unfit(f"The request does not fit: {what}.", place))
        own = given.model in ("", MODEL, assistant.models.names.chat)
        try:
            if not own:  # known before a stream begins, which has status 200
                owner = may_change(request.scope.get("visitor"))
                here = [MODEL, *(await run_in_threadpool(assistant.models.known.chat_names) if owner else ())]
                if given.model not in here:
                    raise NoSuchModel(f"There is no chat model {given.model}; there is {', '.join(here)}.")
            check_wanted(given)
            question, history = conversation_of(given.messages)
        except RagError as error:
            return _refusal(error)
        answer = _Answer(given, assistant)
        asked: dict[str, Any] = {"question": question, "history": history, "scope": given.scope}
        asked |= {"model": "" if own else given.model}
        asked |= {"temperature": given.temperature, "instructions": instructions_of(given.messages)}
        asked |= {"think": EFFORTS.get(given.reasoning_effort or ""), "caller": caller_of(request.scope)}
        updates = assistant.chain.astream(asked)
        connected = while_connected(request, updates)
        if not given.stream:
            return await answer.whole(connected)
        try:
            first = await anext(connected, Update())  # none comes where the client is gone already
        except RagError as error:  # refused at once: nothing is sent yet, so that it can have its own status
            return _refusal(error)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return BoundedStream(answer.events(first, connected), headers=headers)

    @router.api_route("/v1/{rest:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"], include_in_schema=False)
    async def nothing(rest: str, request: Request) -> Response:
        """What else OpenAI has is not here, said in OpenAI's form."""
        text = f"There is no {request.method} /v1/{rest} here; there is POST /v1/chat/completions and GET /v1/models."
        return JSONResponse(openai_error(text, "not_found", 404), 404)

    return router


class _Answer:
    """One answer in the form of OpenAI's replies."""

    def __init__(self, given: Completion, assistant: Assistant) -> None:
        self._given = given
        self._counts = bool(given.stream_options and given.stream_options.include_usage)
        self._common = {
            "id": f"chatcmpl-{secrets.token_hex(12)}",
            "created": int(time.time()),
            "model": assistant.models.names.chat if given.model in ("", MODEL) else given.model,
        }

    def _extension(self, update: Update, counted: str) -> dict[str, Any]:
        return {**answer_fields(update), "usage_by": counted}

    async def whole(self, updates: AsyncGenerator[Update, None]) -> Response:
        update, error = await collect(updates)
        reason = "length" if isinstance(error, AnswerTooLong) else "stop"
        if error and reason == "stop":
            return _refusal(error)
        if update.phase != "done" and reason == "stop":
            return Response(status_code=499)  # the client is gone; nobody reads this
        usage, counted = usage_of(update, self._given.messages)
        message = {"role": "assistant", "content": update.alone, "refusal": None}
        message |= {"reasoning_content": update.thinking} if update.thinking else {}
        choice = {"index": 0, "message": message, "finish_reason": reason, "logprobs": None}
        told = {**self._common, "object": "chat.completion", "choices": [choice], "usage": usage}
        return JSONResponse({**told, "local_rag": {"answer": update.text, **self._extension(update, counted)}})

    async def events(self, first: Update, updates: AsyncGenerator[Update, None]) -> AsyncIterator[str]:
        """The pieces as server-sent events; a comment where nothing came, so that the line stays open."""
        update, reason = first, "stop"
        yield self._piece({"role": "assistant", "content": ""})
        try:
            async with aclosing(updates):
                async for update in updates:
                    if update.new_thinking:
                        yield self._piece({"reasoning_content": update.new_thinking})
                    if update.new:
                        yield self._piece({"content": update.new})
                    elif update.phase != "done" and not update.new_thinking:
                        yield f": {update.phase}\n\n"
        except AnswerTooLong:
            reason = "length"
        except RagError as error:
            yield _event(openai_error(str(error), error.code, error.status))
            return
        if update.phase != "done" and reason == "stop":
            return
        usage, counted = usage_of(update, self._given.messages)
        yield self._piece({}, reason, {"local_rag": self._extension(update, counted)})
        if self._counts:
            yield _event({**self._common, "object": "chat.completion.chunk", "choices": [], "usage": usage})
        yield "data: [DONE]\n\n"

    def _piece(self, delta: Mapping[str, Any], reason: str | None = None, more: Mapping[str, Any] | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
        told = {**self._common, "object": "chat.completion.chunk", "choices": [choice], **(more or {})}
        return _event({**told, "usage": None} if self._counts else told)


def _event(data: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"
