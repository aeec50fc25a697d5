"""The page's API for gradio_client and `/gradio_api/call`: `/chat`, `/predict` and `/answer`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import gradio as gr

from rag.assistant import Assistant
from rag.doors.bodies import answer_fields
from rag.errors import RagError
from rag.page.history import as_messages


class Page(gr.Blocks):
    """Blocks whose API can be called with the question alone.

    Gradio knows the defaults of `gr.api` functions, but uses them for gradio_client only: it refuses a `POST
    /gradio_api/call/chat` with too few inputs.
    """

    def validate_inputs(self, block_fn: Any, inputs: list[Any]) -> None:
        """Add None for each input that was left out, then check as Gradio does."""
        if block_fn.api_name in ("chat", "predict", "answer"):
            inputs += [None] * (len(block_fn.inputs) - len(inputs))
        super().validate_inputs(block_fn, inputs)


def caller_of(request: gr.Request | None) -> str:
    """The address of whoever asks, for the limit on questions a minute; "" where it is not known."""
    return request.client.host if request and request.client else ""


def add_api(assistant: Assistant) -> None:
    """Add the API to the page that is being built. Its functions' docstrings are its documentation."""

    async def chat(
        message: str,
        history: list[dict[str, Any]] | None = None,
        scope: list[str] | None = None,
        request: gr.Request | None = None,
    ) -> AsyncGenerator[str, None]:
        """Ask a question about the sources; the answer streams, each output is the text so far.

        The last one is without what a small model (below 2 billion parameters) added to the quotes of its opening.

        Args:
            message: the question.
            history: earlier turns, as `{"role": "user" or "assistant", "content": text}`.
            scope: sources to answer from, as `/library` names them; all of them if there is none.
        """
        try:
            given = {"question": message, "history": as_messages(history or []), "scope": scope}
            async with aclosing(assistant.chain.astream({**given, "caller": caller_of(request)})) as updates:
                async for update in updates:
                    if update.phase == "done":
                        yield update.alone
                    elif update.new:
                        yield update.text
        except RagError as error:
            raise gr.Error(str(error), title=error.code, print_exception=False) from error

    async def predict(
        message: str,
        history: list[dict[str, Any]] | None = None,
        scope: list[str] | None = None,
        request: gr.Request | None = None,
    ) -> str:
        """Ask a question about the sources and get the whole answer at once.

        Args:
            message: the question.
            history: earlier turns, as `{"role": "user" or "assistant", "content": text}`.
            scope: sources to answer from, as `/library` names them; all of them if there is none.
        """
        async with aclosing(chat(message, history, scope, request)) as pieces:
            return [text async for text in pieces][-1]

    async def answer(
        message: str,
        history: list[dict[str, Any]] | None = None,
        scope: list[str] | None = None,
        request: gr.Request | None = None,
    ) -> dict[str, Any]:
        """Ask a question about the sources and get the whole answer with the passage that supports each sentence.

        Args:
            message: the question.
            history: earlier turns, as `{"role": "user" or "assistant", "content": text}`.
            scope: sources to answer from, as `/library` names them; all of them if there is none.
        """
        try:
            given = {"question": message, "history": as_messages(history or []), "scope": scope}
            update = await assistant.chain.ainvoke({**given, "caller": caller_of(request)})
        except RagError as error:
            raise gr.Error(str(error), title=error.code, print_exception=False) from error
        return {"answer": update.text, "model": assistant.models.names.chat, **answer_fields(update)}

    gr.api(chat, api_name="chat", concurrency_limit=None)  # type: ignore[attr-defined]
    gr.api(predict, api_name="predict", concurrency_limit=None)  # type: ignore[attr-defined]
    gr.api(answer, api_name="answer", concurrency_limit=None)  # type: ignore[attr-defined]
