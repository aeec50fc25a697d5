"""The embedded chat model, which can be told what words to write with."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk
from openai import AsyncOpenAI, OpenAIError
from typing_extensions import override

from rag.models.openai_chat import OpenAIChat

log = logging.getLogger(__name__)

PREFERENCE = 3.0
"""Added to the logarithm of the odds of each token of the preferred words."""
END_PREFERENCE = 1.0
"""The same for the token that ends the turn, so that answers do not grow longer with it."""


class EmbeddedChat(OpenAIChat):
    """`OpenAIChat` of llama-server: with the option `preferred` of `astream`, a text, the reply leans to its words.

    A model of some hundred million parameters puts what it read in other words, and often wrong ones. With a bonus for
    the words that it has read, its sentences stay with them; what it says first and what it leaves out is its own.
    """

    preferred: str = ""
    end_token: int | None = None

    @override
    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        *,
        stream_usage: bool | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        preferred = kwargs.pop("preferred", self.preferred)
        thinks = self.server and (kwargs.get("think") or self.think) != "off"  # which takes words of its own
        if preferred and not thinks and (bonus := await self._bonus(preferred)):
            kwargs["logit_bias"] = bonus
        async for piece in super()._astream(messages, stop, run_manager, stream_usage=stream_usage, **kwargs):
            yield piece

    async def _bonus(self, text: str) -> dict[str, float]:
        """The bonus of each token; none where the engine does not tell the tokens: the reply will say what is wrong."""
        client: AsyncOpenAI = self.root_async_client
        address = str(httpx.URL(str(self.openai_api_base)).join("/tokenize"))
        try:
            told = await client.post(address, cast_to=dict, body={"content": f" {text}", "parse_special": False})
            bonus = {str(token): PREFERENCE for token in told["tokens"]}
        except (OpenAIError, KeyError) as error:
            log.warning("the embedded chat model did not tell its tokens: %s", error)
            return {}
        if bonus and self.end_token is not None:
            bonus[str(self.end_token)] = END_PREFERENCE
        return bonus
