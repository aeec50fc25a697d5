"""Which models are used, and how a name, `provider:model`, becomes a chat model or embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel

from rag.errors import EngineError, SettingsError
from rag.models.auto import EMBEDDED_DEFAULTS, Chosen, choose_auto
from rag.models.e5 import E5_NAME, E5_WINDOW, E5Embeddings, runs_here
from rag.models.embedded_chat import EmbeddedChat
from rag.models.machine import MOST_CONTEXT
from rag.models.ollama import KEEP_ALIVE, UNKNOWN_WINDOW, Model, Ollama
from rag.models.ollama_chat import HAS_LEVELS, THINKING_TOKENS, OllamaChat
from rag.models.ollama_embeddings import OllamaEmbeddings
from rag.models.openai_server import OpenAIServer, options_of
from rag.settings import NO_MODEL, Settings

if TYPE_CHECKING:
    from rag.models.embedded import ChatEngine
    from rag.models.hub import Progress

LARGER = "embedded:qwen2.5-coder-1.5b-instruct"
"""The embedded chat model that is offered under Models where the machine can run it."""
TINY, SMALL, MEDIUM = 300_000_000, 2_000_000_000, 4_000_000_000
"""Parameters below which a model is of the size `tiny`, `small` or `medium`."""

Size = Literal["none", "tiny", "small", "medium", "large"]
"""A chat model's size by its parameters: only `large` ones, or of unknown size, read whole passages; `none`: none."""


class Chat(NamedTuple):
    """A chat model that is ready, the tokens of its prompt and answer together, and its size.

    The model is None where quotes are the answer.
    """

    model: BaseChatModel | None
    window: int
    size: Size = "large"


@dataclass(frozen=True)
class ModelNames:
    """The models in use, as `provider:model`, and what to say of how they were chosen."""

    chat: str
    embeddings: str
    notes: tuple[str, ...] = ()
    why: tuple[str, ...] = ()
    """What `auto` chose and why, a sentence each."""

    def on_ollama(self) -> list[str]:
        """The names, without the provider, of those that Ollama runs."""
        return [name.partition(":")[2] for name in (self.chat, self.embeddings) if name.startswith("ollama:")]


def embedded_models() -> list[Model]:
    """The models that need no Ollama."""
    from rag.models.embedded import CONTEXT_WINDOW
    from rag.models.minilm import EMBEDDING_WINDOW
    from rag.models.model_files import CHAT_WEIGHTS
    from rag.models.weights import E5, MINILM

    told = {"qwen2.5-coder-0.5b-instruct": "494M, Q4_K_M", "qwen2.5-coder-1.5b-instruct": "1.5B, Q4_K_M"}
    chat = [
        Model(f"embedded:{name}", "chat", weights.size, CONTEXT_WINDOW, told.get(name, "135M, Q4_1"))
        for name, weights in CHAT_WEIGHTS.items()
    ]
    minilm = Model(EMBEDDED_DEFAULTS[1], "embeddings", MINILM.size, EMBEDDING_WINDOW, "22.7M, int8, English")
    e5 = Model(E5_NAME, "embeddings", E5.size, E5_WINDOW, "118M, 4 bits, a hundred languages")
    return [*chat, minilm, *([e5] if runs_here() else [])]


def choose_models(settings: Settings) -> ModelNames:
    """The models of the settings; for `auto`, what this machine and its Ollama have, as `rag.models.auto` chooses.

    Raises:
        SettingsError: an embedded model was named that there is not.
    """
    chosen = [Chosen(settings.model, ""), Chosen(settings.embeddings, "")]
    if "auto" in (settings.model, settings.embeddings):
        found = choose_auto(settings)
        chosen = [other if given.name == "auto" else given for given, other in zip(chosen, found, strict=True)]
    chat, embeddings = (each.name for each in chosen)
    if chat.startswith("embedded:"):
        _check_file("RAG_MODEL", chat, settings.cache_dir)
    known = (EMBEDDED_DEFAULTS[1], E5_NAME)
    if embeddings.startswith("embedded:") and embeddings not in known:
        raise SettingsError(f"RAG_EMBEDDINGS: there is no {embeddings}; there is {' and '.join(known)}.")
    notes = tuple(each.note for each in chosen if each.note)
    return ModelNames(chat, embeddings, notes, tuple(each.why for each in chosen if each.why))


def _check_file(variable: str, name: str, cache_dir: Path) -> None:
    """Check that an embedded chat model is a known one, or a file that can chat; one yet to be fetched is not opened.

    Raises:
        SettingsError: it is not; says why.
    """
    from rag.models.gguf_file import read_model_file
    from rag.models.model_files import CHAT_WEIGHTS, hub_file, is_model_file, model_path

    model = name.partition(":")[2]
    if model in CHAT_WEIGHTS:
        return
    if not is_model_file(model):
        known = ", ".join(f"embedded:{each}" for each in CHAT_WEIGHTS)
        raise SettingsError(
            f"{variable}: there is no {name}; there is {known}, any file as embedded:/path/model.gguf, and any of the"
            " hub as embedded:hf:OWNER/REPO/FILE.gguf."
        )
    try:
        if model.startswith("hf:"):
            hub_file(model)
        path = model_path(model, cache_dir)
        if path.exists() or not model.startswith("hf:"):
            read_model_file(path)
    except EngineError as error:
        raise SettingsError(f"{variable}: {error}") from error


def build_embeddings(name: str, settings: Settings, progress: Progress | None = None) -> Embeddings:
    """The embeddings called `provider:model`.

    Raises:
        SettingsError: there is no such provider, or its package is not installed.
        EngineError: the engine cannot be had now.
    """
    provider, _, model = name.partition(":")
    if provider == "ollama":
        return OllamaEmbeddings(model, settings.ollama_host)
    if name == E5_NAME:
        return E5Embeddings(settings.cache_dir, progress)
    if provider == "embedded":
        from rag.models.minilm import MiniLMEmbeddings

        return MiniLMEmbeddings(settings.cache_dir, progress)
    from langchain.embeddings import init_embeddings

    try:
        if provider == "openai" and settings.base_url:
            from rag.models.openai_embeddings import ServerEmbeddings

            options = {**options_of(settings), "check_embedding_ctx_length": False, "address": settings.base_url}
            return ServerEmbeddings(model=model, max_retries=0, **options)
        return init_embeddings(model, provider=provider)
    except Exception as error:
        raise _provider_error("RAG_EMBEDDINGS", name, error) from error


def build_chat_model(name: str, settings: Settings, engine: ChatEngine | None = None) -> Chat:
    """The chat model called `provider:model`; none for `none`.

    `engine` is the running child process of an embedded model.

    Raises:
        SettingsError: there is no such provider, or its package is not installed.
        EngineError: the engine cannot be had now.
    """
    provider, _, model = name.partition(":")
    if name == NO_MODEL:
        return Chat(None, 0, "none")
    if provider == "ollama":
        return _ollama_chat(model, settings)
    if provider == "embedded":
        return _embedded_chat(model, settings, engine)
    return _server_chat(name, settings)


def _embedded_chat(model: str, settings: Settings, engine: ChatEngine | None) -> Chat:
    if engine is None or not engine.running or engine.file is None:
        raise EngineError("The embedded chat model has ended. Ask again to start it anew.")
    size = _size_of(engine.file.parameters)
    room = min(THINKING_TOKENS, engine.window // 4) if engine.file.thinks else 0
    chat_model = EmbeddedChat(
        model=model,
        url=engine.url,
        key=engine.key,  # type: ignore[arg-type]
        end_token=engine.file.end_token,
        can_think=engine.file.thinks,
        think=settings.think,
        temperature=settings.temperature,
        max_tokens=settings.max_tokens + room,
        # Small models go on after their answer; the words that end a turn are in each model's own file.
        ends=() if size == "large" else ("\n\n\n", "\nQuestion:", "\nNotes:", "\n-----"),
        repeat_penalty=1.0 if size == "large" else 1.05,
        read_seconds=settings.first_token_timeout + 30,
    )
    return Chat(chat_model, engine.window - room, size)


def _server_chat(name: str, settings: Settings) -> Chat:
    """A chat model behind any other API that LangChain knows; the settings may name a server like OpenAI's."""
    from langchain.chat_models import init_chat_model

    provider, _, model = name.partition(":")
    options: dict[str, Any] = {"temperature": settings.temperature, "max_tokens": settings.max_tokens}
    if provider == "openai":
        options["stream_chunk_timeout"] = None
    server = OpenAIServer()
    try:
        if provider == "openai" and settings.base_url:
            from rag.models.openai_chat import OpenAIChat

            server = OpenAIServer.ask(settings, model)
            options |= {**options_of(settings), "max_retries": 0, "use_responses_api": False, "stream_usage": True}
            options |= {"think": settings.think, "server": server.program}
            there: BaseChatModel = OpenAIChat(model=model, **options)
        else:
            there = init_chat_model(model, model_provider=provider, **options)
    except Exception as error:
        raise _provider_error("RAG_MODEL", name, error) from error
    profile = getattr(there, "profile", None) or {}
    window = min(server.window(model) or int(profile.get("max_input_tokens") or UNKNOWN_WINDOW), MOST_CONTEXT)
    if provider == "openai":  # models behind this API may think, and their thinking counts as output
        room = min(THINKING_TOKENS, window // 4)
        if most := profile.get("max_output_tokens"):
            room = max(0, min(room, most - settings.max_tokens))
        there = there.model_copy(update={"max_tokens": settings.max_tokens + room})
        window -= room
    return Chat(there, window)


def _size_of(parameters: int) -> Size:
    if parameters < SMALL:
        return "tiny" if parameters < TINY else "small"
    return "medium" if parameters < MEDIUM else "large"


def _ollama_chat(model: str, settings: Settings) -> Chat:
    import aiohttp  # noqa: F401  # for else the first question would wait for its import

    told = Ollama(settings).show(model)
    window = min(told.window or UNKNOWN_WINDOW, MOST_CONTEXT)
    chat = OllamaChat(
        model=model,
        base_url=settings.ollama_host,
        temperature=settings.temperature,
        num_predict=settings.max_tokens,
        window=window,
        answer_tokens=settings.max_tokens,
        can_think=told.thinks,
        has_levels=told.family in HAS_LEVELS,
        think=settings.think,
        keep_alive=KEEP_ALIVE,
        read_seconds=settings.first_token_timeout + 30,
    )
    return Chat(chat, window, _size_of(told.parameters) if told.parameters else "large")


def _provider_error(variable: str, name: str, error: Exception) -> Exception:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return SettingsError(f"{variable}: {name} cannot be used: {lines[0] if lines else type(error).__name__}")
