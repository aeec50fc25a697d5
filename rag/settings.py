"""Settings: read once from flags, environment and `.env`, checked, frozen, passed down."""

from __future__ import annotations

import difflib
import ipaddress
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from dotenv import dotenv_values
from platformdirs import user_cache_path, user_data_path
from pydantic import AliasChoices, Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from rag.errors import SettingsError

APP_NAME = "local-rag-chat"
DEFAULT_SOURCE = "https://lilianweng.github.io/posts/2023-06-23-agent/"
QUESTIONS_A_MINUTE = 30
"""What one address may ask where others can reach the app."""
NO_MODEL = "none"
"""Chat model of who wants quotes from the sources alone."""
PROMPT_VARIABLES = ("context", "question")

Words = Annotated[tuple[str, ...], NoDecode]
Think = Literal["off", "on", "low", "medium", "high"]
"""Whether a chat model that can think before it answers does so, and how long."""


class Settings(BaseSettings):
    """What the app can be told. Each field is the environment variable `RAG_` plus its name in capitals."""

    model_config = SettingsConfigDict(
        env_prefix="RAG_",
        env_file=".env",
        env_file_encoding="utf-8-sig",
        frozen=True,
        extra="ignore",
        populate_by_name=True,
    )

    model: str = Field(
        "auto",
        description="Chat model as `provider:model`; `auto`: Ollama's llama3 or another, else embedded; `none`: quotes",
    )
    embeddings: str = Field(
        "auto",
        description="Embeddings as `provider:model`; `auto`: Ollama's mxbai-embed-large or another, else embedded",
    )
    base_url: str | None = Field(None, description="Address of an OpenAI-compatible server, for `openai:NAME`")
    ollama_host: str = Field(
        "",
        validation_alias=AliasChoices("RAG_OLLAMA_HOST", "OLLAMA_HOST"),
        description="Ollama's address, in any form Ollama takes (`OLLAMA_HOST` is honoured too)",
    )
    pull: bool = Field(False, description="Pull missing Ollama models at start")
    sources: Words = Field(
        (DEFAULT_SOURCE,), description="URLs, files and folders to load at start, separated by commas"
    )
    refresh_hours: float = Field(
        0.0, ge=0, description="Hours after which web pages of the library are looked at again (0: never)"
    )
    ocr: bool = Field(True, description="Read the text in pictures, and on scanned pages of PDFs, by text recognition")
    allow_hosts: Words = Field((), description="Private hosts or networks that sources added later may come from")
    chunk_size: int = Field(
        1000, ge=100, le=20_000, description="Characters in a chunk, at most; neighbouring chunks share a fifth of that"
    )
    k: int = Field(4, ge=1, le=50, description="Passages retrieved for a question")
    retriever: Literal["hybrid", "dense"] = Field(
        "hybrid", description="How passages are found: by meaning and by words, or by meaning alone (`dense`)"
    )
    refuse: bool = Field(
        True, description="Refuse to answer where nothing found fits the question, in place of letting the model try"
    )
    prompt_file: Path | None = Field(None, description="File with a prompt of your own")
    temperature: float = Field(0.0, ge=0, le=2, description="Temperature of the chat model")
    think: Think = Field(
        "off", description="Let chat models that can think do so first: `off`, `on`, or `low`, `medium`, `high`"
    )
    max_tokens: int = Field(512, ge=16, le=32_768, description="Tokens in an answer, at most")
    data_dir: Path = Field(
        default_factory=lambda: user_data_path(APP_NAME, appauthor=False),
        description="Folder for the library (default: the user's data folder)",
    )
    database_url: str | None = Field(
        None,
        description="PostgreSQL database for the library, which replicas share, in place of a file in the data folder",
    )
    chroma_url: str | None = Field(
        None, description="Address of a Chroma server for the index, in place of the data folder"
    )
    chroma_token: str = Field(
        "",
        validation_alias=AliasChoices("RAG_CHROMA_TOKEN", "CHROMA_API_KEY"),
        description="Token for the Chroma server (`CHROMA_API_KEY` is honoured too)",
    )
    cache_dir: Path = Field(
        default_factory=lambda: user_cache_path(APP_NAME, appauthor=False),
        description="Folder for weights and the unpacked model that tells languages (default: the user's cache folder)",
    )
    host: str = Field(
        "127.0.0.1",
        validation_alias=AliasChoices("RAG_HOST", "GRADIO_SERVER_NAME"),
        description="Address to serve on",
    )
    port: int = Field(
        7860,
        ge=0,
        le=65_535,
        validation_alias=AliasChoices("RAG_PORT", "GRADIO_SERVER_PORT"),
        description="Port to serve on (0: any free one)",
    )
    mcp: bool = Field(False, description="Serve the library to other assistants over MCP at `/mcp`")
    share: bool = Field(False, description="Make a public Gradio link (always with a password)")
    password: str = Field(
        "", description="Password of the page, for the user `rag`; made up when one is needed and none is set"
    )
    admin_password: str = Field(
        "", description="Password of the user `admin`, who may change sources and models of a guarded page"
    )
    concurrency: int = Field(
        4, ge=1, le=1000, description="Questions answered at the same time; eight times as many may wait"
    )
    rate_limit: int | None = Field(
        None, ge=0, description="Questions a minute from one address (0: any; default: 30 where others reach the app)"
    )
    first_token_timeout: float = Field(
        180.0,
        gt=0,
        description="Seconds to wait for the first token (model load included); between two tokens, a third of it",
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="Log lines for people, or `json`: one object a line, with a line for each request"
    )

    @field_validator("sources", "allow_hosts", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        """A comma-separated list, or a JSON list where an item itself has a comma."""
        if not isinstance(value, str):
            return value
        if re.match(r"""\s*\[\s*["\]]""", value):  # and not the address [::1]
            try:
                return json.loads(value)
            except json.JSONDecodeError:
                raise ValueError("not a valid JSON list") from None
        return [item.strip() for item in value.split(",") if item.strip()]

    @field_validator("allow_hosts")
    @classmethod
    def _hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for item in value:
            try:
                ipaddress.ip_network(item.strip("[]"), strict=False)
            except ValueError:
                if not re.fullmatch(r"(?!\.)(?:(?:^|\.)[\w-]+)+\.?", item):
                    raise ValueError(
                        f"{item!r} is neither a host name, nor an address, nor a network such as 10.0.0.0/8"
                    ) from None
        return value

    @field_validator("model", "embeddings")
    @classmethod
    def _provider_and_model(cls, value: str, info: ValidationInfo) -> str:
        if value == "auto":
            return value
        if value == NO_MODEL and info.field_name == "model":
            return value
        provider, colon, name = value.partition(":")
        if not (provider and colon and name.strip()) or provider != provider.strip():
            raise ValueError(f"{value!r} is not `provider:model`, such as ollama:llama3")
        return value

    @field_validator("base_url", "ollama_host")
    @classmethod
    def _one_engine(cls, value: str | None) -> str | None:
        if "," in (value or ""):
            raise ValueError("is one address; put several engines behind a proxy, as docs/scale.md shows")
        return value

    @field_validator("base_url", "chroma_url")
    @classmethod
    def _http_address(cls, value: str | None) -> str | None:
        try:
            parts = urlsplit(value or "http://x")
            good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            good = False
        if not good:
            raise ValueError(f"{value!r} is not an http or https address")
        return value or None

    @field_validator("database_url")
    @classmethod
    def _postgresql(cls, value: str | None) -> str | None:
        if value and urlsplit(value).scheme not in ("postgresql", "postgres", "postgresql+psycopg"):
            raise ValueError("is not an address such as postgresql://user:password@host/name")
        return value or None

    @field_validator("ollama_host")
    @classmethod
    def _ollama_address(cls, value: str) -> str:
        return parse_ollama_host(value)

    @field_validator("prompt_file")
    @classmethod
    def _prompt_has_variables(cls, value: Path | None) -> Path | None:
        if value is None:
            return None
        try:
            text = value.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"cannot read {value} ({error})") from None
        try:
            names = {name for _, name, _, _ in Formatter().parse(text) if name is not None}
        except ValueError as error:
            raise ValueError(f"{value}: {error}; a brace that means itself is written twice") from None
        if missing := [f"{{{name}}}" for name in PROMPT_VARIABLES if name not in names]:
            raise ValueError(f"{value} must contain {' and '.join(missing)}")
        if other := sorted(names.difference(PROMPT_VARIABLES)):
            raise ValueError(
                f"{value} has {{{other[0]}}}, which is no variable; a brace that means itself is written twice"
            )
        return value

    @field_validator("data_dir", "cache_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        try:
            return value.expanduser().absolute()
        except RuntimeError:
            raise ValueError(f"{value} names a user whose home folder is not known") from None

    @property
    def chunk_overlap(self) -> int:
        """Characters that neighbouring chunks share."""
        return self.chunk_size // 5

    @property
    def questions_a_minute(self) -> int:
        """What one visitor may ask; 0: any number."""
        if self.rate_limit is not None:
            return self.rate_limit
        return 0 if self.on_loopback else QUESTIONS_A_MINUTE

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach the page."""
        if self.share:
            return False
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def load_settings(**given: Any) -> Settings:
    """Settings from `given` (flags; None means not given), then the environment, then `.env`, then defaults.

    Raises:
        SettingsError: a value is wrong or a `RAG_` variable is unknown; one line that names it.
    """
    try:
        from_file = dotenv_values(".env", encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise SettingsError("The file .env is not text in UTF-8. Save it as such.") from None
    known = [name.upper() for name in Settings.model_fields]
    for name in (*os.environ, *from_file):
        short = name.removeprefix("RAG_")
        if name.startswith("RAG_") and short not in known:
            near = difflib.get_close_matches(short, known, n=1, cutoff=0.7)
            raise SettingsError(f"{name} is not a setting" + (f"; did you mean RAG_{near[0]}?" if near else "."))
    set_here = {name: value for name, value in given.items() if value is not None}
    try:
        return Settings(**set_here)
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] != "value_error":
            message += f" (got {first['input']!r})"
        variable = _variable(str(first["loc"][0]), set_here, from_file)
        raise SettingsError(" ".join(f"{variable}: {message}".split())) from None


def _variable(name: str, given: dict[str, Any], from_file: Mapping[str, str | None]) -> str:
    """The variable that a field's value came from; its own name where a flag gave it."""
    field = next(key for key in Settings.model_fields if name.lower().removeprefix("rag_") in (key, *_aliases(key)))
    places = [] if field in given else [f"RAG_{field.upper()}", *(alias.upper() for alias in _aliases(field))]
    return next((place for place in places if place in os.environ or place in from_file), f"RAG_{field.upper()}")


def _aliases(field: str) -> list[str]:
    choices = Settings.model_fields[field].validation_alias
    return [str(choice).lower() for choice in choices.choices] if isinstance(choices, AliasChoices) else []


def parse_ollama_host(value: str) -> str:
    """Ollama's address as a base URL for a client, from any form that `OLLAMA_HOST` takes.

    Scheme, host, port and path are each optional: `:11435`, `box`, `box:80/ollama`, `https://box`, `[::1]`. The port
    is 11434 where no scheme is given, else the scheme's own; an address to listen on (`0.0.0.0`, `::`) becomes the
    loopback address. Source of the rules: envconfig/config.go of Ollama.

    Raises:
        ValueError: not such an address (a client would fall back to the default in silence).
    """
    text = value.strip().strip("\"'").strip()
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "http", text
    if scheme not in ("http", "https"):
        raise ValueError(f"{value!r}: Ollama's address is http or https")
    default_port = {"http": 80, "https": 443}[scheme] if separator else 11434
    if rest.count(":") > 1 and not rest.startswith("["):
        rest = f"[{rest}]"
    try:
        parts = urlsplit(f"{scheme}://{rest}")
        port = default_port if parts.port is None else parts.port
        host = parts.hostname or "127.0.0.1"
        # "[" for Python 3.10, where urlsplit lets any name stand in brackets.
        if (":" in host or "[" in rest) and ipaddress.IPv6Address(host).is_unspecified:
            host = "::1"
    except ValueError:
        raise ValueError(f"{value!r} is not an address such as 127.0.0.1:11434") from None
    if any(character.isspace() for character in text) or "@" in parts.netloc or port == 0:
        raise ValueError(f"{value!r} is not an address such as 127.0.0.1:11434")
    host = "127.0.0.1" if host == "0.0.0.0" else host
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}{parts.path.rstrip('/')}"
