"""The embedded chat model: a small client of llama-server, whose model can be told what words to write with.

LangChain's class for this protocol imports every type of OpenAI's API before the first question.
"""

from __future__ import annotations

import json
import logging
import socket
import struct
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any

import httpx
from langchain_core.messages import AIMessageChunk, BaseMessage, convert_to_openai_messages
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGenerationChunk
from pydantic import SecretStr
from typing_extensions import override

from rag.models.openai_server import thinking_switch
from rag.models.streamed_chat import StreamedChat
from rag.settings import Think

log = logging.getLogger(__name__)

PREFERENCE = 3.0
"""Added to the logarithm of the odds of each token of the preferred words."""
END_PREFERENCE = 1.0
"""The same for the token that ends the turn, so that answers do not grow longer with it."""


class EngineRefused(Exception):
    """llama-server refused a request or broke off a reply: `error` has its words, `status_code` its kind, if told."""

    def __init__(self, error: str, status_code: int | None) -> None:
        super().__init__(error)
        self.error, self.status_code = error, status_code


class EmbeddedChat(StreamedChat):
    """A chat model of llama-server: with the option `preferred` of `astream`, a text, the reply leans to its words.

    A model of some hundred million parameters puts what it read in other words, and often wrong ones. With a bonus for
    the words that it has read, its sentences stay with them; what it says first and what it leaves out is its own.
    Thinking is in a piece's `additional_kwargs["reasoning_content"]`. Text only: no tools, no images.
    """

    model: str
    url: str
    """The engine's address, without a path."""
    key: SecretStr
    end_token: int | None = None
    can_think: bool = False
    think: Think = "off"
    preferred: str = ""
    temperature: float | None = None
    max_tokens: int | None = None
    """Tokens that it writes, at most; thinking is counted."""
    ends: tuple[str, ...] = ()
    """Texts that end a reply."""
    repeat_penalty: float = 1.0
    read_seconds: float = 210.0
    """Longest silence of the engine before the connection is given up."""

    @property
    @override
    def _llm_type(self) -> str:
        return "chat-embedded"

    @override
    async def _astream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncGenerator[ChatGenerationChunk, None]:
        think, preferred = kwargs.get("think") or self.think, kwargs.get("preferred", self.preferred)
        body = {
            "model": kwargs.get("model", self.model),
            "messages": convert_to_openai_messages(messages, text_format="string"),
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": kwargs.get("temperature", self.temperature),
            "max_completion_tokens": kwargs.get("max_tokens", self.max_tokens),
            "stop": (self.ends if stop is None else stop) or None,
            "repeat_penalty": self.repeat_penalty,
            "cache_prompt": True,
            # So that it writes something after each batch of the prompt, and notices then who has gone: its own look at
            # the connection comes once a second, and not at all while it reads.
            "return_progress": True,
            **(thinking_switch(think) if self.can_think else {}),
        }
        async with self._client() as client:
            if preferred and not (self.can_think and think != "off"):  # which takes words of its own
                body["logit_bias"] = await self._bonus(client, preferred) or None
            asked = {name: value for name, value in body.items() if value is not None}
            async with aclosing(_events(client, "/v1/chat/completions", asked)) as events:
                async for event in events:
                    yield as_chunk(event)

    def _client(self) -> httpx.AsyncClient:
        """A client whose connections are reset when they are let go, so that the engine's next write to one fails.

        After an ordinary end (FIN) the first write still goes through, and only the second one tells.
        """
        reset = (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        limits = httpx.Limits(max_keepalive_connections=0)
        return httpx.AsyncClient(
            base_url=self.url,
            headers={"Authorization": f"Bearer {self.key.get_secret_value()}"},
            timeout=self.read_seconds,
            # Without the certificates of the world, which take 20 ms to load: nothing is encrypted on the way.
            transport=httpx.AsyncHTTPTransport(verify=False, socket_options=[reset], limits=limits),
        )

    async def _bonus(self, client: httpx.AsyncClient, text: str) -> dict[str, float]:
        """The bonus of each token; none where the engine does not tell the tokens: the reply will say what is wrong."""
        try:
            reply = await client.post("/tokenize", json={"content": f" {text}", "parse_special": False})
            bonus = {str(token): PREFERENCE for token in reply.raise_for_status().json()["tokens"]}
        except (httpx.HTTPError, ValueError, KeyError) as error:
            log.warning("the embedded chat model did not tell its tokens: %s", error)
            return {}
        if bonus and self.end_token is not None:
            bonus[str(self.end_token)] = END_PREFERENCE
        return bonus


async def _events(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
    """The events of the reply to `POST path`, decoded. Closing the iterator ends the engine's work.

    Raises:
        EngineRefused: the engine says what is wrong, with a status or in an event.
        httpx.HTTPError: the connection failed.
        ValueError, AttributeError: that is not its protocol.
    """
    async with client.stream("POST", path, json=body) as reply:
        if reply.is_error:
            said = (await reply.aread()).decode("utf-8", "replace")
            with suppress(ValueError, KeyError, TypeError):
                said = str(json.loads(said)["error"]["message"])
            raise EngineRefused(said, reply.status_code)
        rest = b""
        async for block in reply.aiter_bytes():
            *lines, rest = (rest + block).split(b"\n")  # `aiter_lines` would cut where the text has U+2028
            for data in (line[5:].strip() for line in lines if line.startswith(b"data:")):
                if data == b"[DONE]":
                    return
                event = json.loads(data)
                if error := event.get("error"):
                    raise EngineRefused(str(error.get("message")), error.get("code"))
                yield event


def as_chunk(event: dict[str, Any]) -> ChatGenerationChunk:
    """An event as LangChain has it: text or thinking, the reason of the end, the usage, or nothing but progress."""
    choice: dict[str, Any] = next(iter(event.get("choices") or ()), {})
    delta = choice.get("delta") or {}
    thought = delta.get("reasoning_content")
    message = AIMessageChunk(
        content=delta.get("content") or "", additional_kwargs={"reasoning_content": thought} if thought else {}
    )
    if usage := event.get("usage"):
        read, written = usage["prompt_tokens"], usage["completion_tokens"]
        message.usage_metadata = UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written)
    if reason := choice.get("finish_reason"):
        message.response_metadata = {"finish_reason": reason, "model_name": event.get("model")}
    return ChatGenerationChunk(message=message)
