"""Whether a model ended its answer itself."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import cast

from langchain_core.messages import BaseMessage

from rag.errors import AnswerCutOff, AnswerTooLong

TOO_LONG = "The answer was cut off at its longest. Ask for less, or raise RAG_MAX_TOKENS."
NOT_COMPLETE = "The answer was cut off: the engine ended it without saying that it was complete. Ask again."
COMPLETE = ("stop", "end_turn", "STOP", "stop_sequence")
"""How engines say that the model itself ended its answer (Ollama and OpenAI, Anthropic, Google)."""
CUT_OFF = ("length", "max_tokens", "MAX_TOKENS")
"""How engines say that the answer reached its longest."""


async def whole_answer(pieces: AsyncIterator[BaseMessage]) -> AsyncIterator[BaseMessage]:
    """Pass the model's pieces on; at the end, refuse to call complete what the model did not end itself.

    Raises:
        AnswerCutOff: the stream ended without a reason, or because the answer grew too long.
    """
    reason = ""
    async with aclosing(cast(AsyncGenerator[BaseMessage, None], pieces)) as messages:
        async for piece in messages:
            found = piece.response_metadata
            reason = str(found.get("done_reason") or found.get("finish_reason") or found.get("stop_reason") or reason)
            yield piece
    if reason in CUT_OFF:
        raise AnswerTooLong(TOO_LONG)
    if reason not in COMPLETE:
        raise AnswerCutOff(NOT_COMPLETE)
