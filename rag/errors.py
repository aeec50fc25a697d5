"""What can go wrong, said once: the exception tree, and the mapping of other libraries' errors onto it.

RagError                    every error this package raises on purpose; str(error) says what happened and what to do
├── SettingsError           a setting has a wrong value; the message names it
├── SourceError             a source could not be loaded; .source and .reason
│   └── SourceRefused       it was asked for wrongly: no address, not in the library
├── EngineError             the chat model's or the embeddings' engine
│   ├── EngineUnreachable   nothing answers at its address
│   ├── ModelMissing        the engine answers but does not have the model
│   ├── EngineStalled       no token within the time limit
│   ├── EngineBusy          it has as much to do as it takes
│   ├── PromptTooLong       the prompt does not fit the model's context window
│   └── TextTooLong         a text does not fit the embedding model's window
├── AnswerCutOff            the answer ended before the model said that it was complete
│   └── AnswerTooLong       because it reached its longest
├── StoreError              the vector store or the data folder
│   ├── StoreUnreachable    the Chroma server does not answer
│   └── StoreLocked         another process holds the data folder
├── NothingIndexed          there is nothing to retrieve from
├── QuestionError           the question is empty or too long
│   └── NoSuchModel         it is asked of a chat model that is not here
├── Busy                    as many questions as allowed are being answered already
├── Ending                  the app is being ended
└── TooMany                 one visitor asks more often than is allowed
"""

from __future__ import annotations

import errno
import json
import os
from typing import ClassVar

PULL_SIZES = {"llama3": "4.7 GB", "llama3.1": "4.9 GB", "llama3.2": "2.0 GB", "mxbai-embed-large": "670 MB"}
"""Sizes that Ollama's library page gives; Ollama itself tells a size only once a pull runs."""


FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
"""The disk is full, the file too large for it, the quota used up."""
FORBIDDEN = (errno.EROFS, errno.EACCES, errno.EPERM)
"""The disk is there to be read, or the folder belongs to somebody else."""


class RagError(Exception):
    """Base of all errors raised on purpose.

    `code` is stable and meant for programs, `status` is the HTTP status that fits, `str(error)` is for people.
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500


class SettingsError(RagError):
    """A setting has a wrong value."""

    code = "bad_setting"


class SourceError(RagError):
    """A source could not be loaded: `source` is its URL or path, `reason` one sentence.

    `answered` is the status that the source's server gave instead of a page, if that is what went wrong.
    """

    code = "source_failed"
    status = 502

    def __init__(self, source: str, reason: str, answered: int | None = None) -> None:
        super().__init__(f"{source}: {reason}")
        self.source = source
        self.reason = reason
        self.answered = answered


class SourceRefused(SourceError):
    """A source was asked for that cannot be meant: no address, not in the library."""

    status = 422


class EngineError(RagError):
    """The engine that runs a model failed."""

    code = "engine_failed"
    status = 503


class EngineUnreachable(EngineError):
    """Nothing answers at the engine's address."""

    code = "engine_unreachable"


class EngineBusy(EngineError):
    """The engine has as much to do as it takes."""

    code = "engine_busy"


class ModelMissing(EngineError):
    """The engine does not have the model."""

    code = "model_missing"


class EngineStalled(EngineError):
    """The engine sent no token within the time limit."""

    code = "engine_stalled"
    status = 504


class PromptTooLong(EngineError):
    """The prompt does not fit the model's context window."""

    code = "prompt_too_long"
    status = 422


class TextTooLong(EngineError):
    """A text does not fit the embedding model's window; it is to be split, never cut."""

    code = "text_too_long"
    status = 422


class AnswerCutOff(RagError):
    """The stream ended before the model said that the answer was complete."""

    code = "cut_off"
    status = 502


class AnswerTooLong(AnswerCutOff):
    """The answer reached as many tokens as it may have."""


class StoreError(RagError):
    """The database, the index or the data folder failed."""

    code = "store_failed"
    status = 503


class StoreUnreachable(StoreError):
    """The Chroma server does not answer; what was under way is done again once it does."""

    code = "store_unreachable"


class StoreLocked(StoreError):
    """Another process holds the data folder; `url` is its page's address, "" if it is not known.

    `token` opens that page's routes to whoever may read the folder.
    """

    code = "store_locked"

    def __init__(self, message: str, url: str = "", token: str = "") -> None:
        super().__init__(message)
        self.url = url
        self.token = token


class NothingIndexed(RagError):
    """There is nothing to retrieve from."""

    code = "nothing_indexed"
    status = 409


class QuestionError(RagError):
    """The question is empty or too long."""

    code = "bad_question"
    status = 422


class NoSuchModel(QuestionError):
    """A chat model was asked for that is not here."""

    code = "model_not_found"


class Busy(RagError):
    """As many questions as allowed are being answered, and as many wait."""

    code = "busy"
    status = 503


class Ending(RagError):
    """The app is being ended, and with it the answer."""

    code = "ending"
    status = 503


class TooMany(RagError):
    """One visitor asks more questions a minute than are allowed."""

    code = "too_many"
    status = 429


def not_pulled(model: str, address: str) -> ModelMissing:
    """What to say of a model that Ollama does not have, whoever notices it."""
    size = PULL_SIZES.get(model.partition(":")[0])
    return ModelMissing(
        f"Ollama at {address} does not have the model {model}{f' ({size})' if size else ''}."
        f" Pull it with the button on the page, with --pull at start, or with `ollama pull {model}`."
    )


UNREACHABLE = {
    *("ConnectError", "ConnectTimeout", "ConnectionError", "ConnectionRefusedError", "gaierror"),
    *("ClientConnectorError", "ClientConnectorDNSError", "ConnectionTimeoutError"),
}
SILENT = {
    *("ReadTimeout", "APITimeoutError", "TimeoutException", "WriteTimeout", "PoolTimeout"),
    *("SocketTimeoutError", "ServerTimeoutError"),
}
BROKEN_OFF = {
    *("RemoteProtocolError", "ReadError", "WriteError", "BrokenPipeError", "ConnectionResetError"),
    *("ClientPayloadError", "ServerDisconnectedError", "ClientOSError", "ClientConnectionResetError"),
}
"""Names of errors of httpx, openai, plain sockets, and aiohttp."""


def engine_error(error: BaseException, model: str, address: str) -> RagError:
    """What `error`, raised by a client of the engine of `model` at `address`, means to a person.

    `model` is `provider:model` (or the provider alone). Covers httpx, aiohttp, ollama, openai and plain sockets. The
    text of the original error is shown only where the engine itself wrote it.
    """
    if isinstance(error, RagError):
        return error
    provider, _, name = model.partition(":")
    kind = type(error).__name__
    status = getattr(error, "status_code", None)
    cause: BaseException | None = error
    seen = set()
    while cause is not None:
        seen.add(type(cause).__name__)
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    who = {"ollama": "Ollama", "embedded": "The embedded chat model"}.get(provider, f"The server of {model}")
    if seen & UNREACHABLE:
        advice = {
            "ollama": "Start it with `ollama serve`, or set OLLAMA_HOST. Inside a container, this machine is"
            " usually http://host.docker.internal:11434.",
            "embedded": "Ask again: it is started anew.",
        }.get(provider, "Start it, or set RAG_BASE_URL.")
        return EngineUnreachable(f"{who} is not running at {address}. {advice}")
    if seen & SILENT:
        return EngineStalled(f"{who} at {address} stopped answering. Ask again; if it stays so, restart it.")
    if seen & BROKEN_OFF:
        return EngineError(f"{who} at {address} closed the connection in the middle. Ask again.")
    said = _said_by_engine(error)
    if status == 404 and provider == "ollama":
        return not_pulled(name, address)
    if status == 404:
        return ModelMissing(f"{who} at {address} does not know the model {name} ({said}).")
    if status in (401, 403):
        return EngineError(f"{who} at {address} refused the key. Set the API key of {provider} in the environment.")
    if status == 429 or (status == 503 and "busy" in said):
        return EngineBusy(f"{who} at {address} is at its limit ({said}). Ask again in a moment.")
    if status == 400 and "context" in said:
        return PromptTooLong(f"The prompt is too long for {model}: {said}")
    if isinstance(error, json.JSONDecodeError) or kind in ("AttributeError", "JSONDecodeError"):
        return EngineError(f"{who} at {address} sent something that is not its protocol. Is another program there?")
    if said:
        return EngineError(f"{who} at {address} reported: {said}")
    return EngineError(f"{who} at {address} failed ({kind}). Ask again; the log has the details.")


def _said_by_engine(error: BaseException) -> str:
    """The engine's own words in an `ollama.ResponseError` or an `openai.APIError`, in one short line."""
    said = getattr(error, "error", None)
    body = getattr(error, "body", None)
    if not isinstance(said, str) and isinstance(body, dict):
        said = body.get("message")
    if not isinstance(said, str):
        return ""
    for name, key in os.environ.items():
        if name.endswith("_API_KEY") and len(key) > 3:
            said = said.replace(key, "…")  # an engine may repeat the key that it refuses
    return " ".join(said.split())[:300]


def store_error(error: BaseException) -> RagError:
    """What `error`, raised by the database, Chroma, tantivy or the file system, means to a person."""
    if isinstance(error, RagError):
        return error
    if isinstance(error, OSError) and error.errno in FULL:
        return StoreError("The disk is full: nothing more can be stored. Free some space and try again.")
    if isinstance(error, OSError) and error.errno in FORBIDDEN and error.filename:
        return StoreError(
            f"{error.filename} cannot be written to ({error.strerror}). Give the app the right to, or choose another"
            " data folder with --data-dir."
        )
    text = " ".join(str(error).split())[:300] or type(error).__name__
    if "readonly database" in text:
        return StoreError(
            f"The library cannot be written to ({text}). Give the app the right to, or choose another data folder with"
            " --data-dir."
        )
    if "disk I/O error" in text or "disk is full" in text:
        return StoreError(f"The disk refused a write ({text}). Is it full? Free some space and try again.")
    if "compaction" in text or "apply logs" in text:
        return StoreError(
            f"The index could not be written ({text}). Is the disk full? Free some space, then start again: the index"
            " is filled again from the database."
        )
    return StoreError(f"The library failed: {text}")
