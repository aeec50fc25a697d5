"""What an OpenAI-compatible server tells of itself: its models, their windows, and which program it is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import httpx

from rag.models.ollama import Model
from rag.models.ollama_stream import client_options
from rag.settings import Settings, Think

Server = Literal["", "llama-server", "vllm"]
"""Programs whose own switch for thinking is known; others are sent none, since some refuse a field they do not know."""
PROBE_SECONDS = 5.0
WINDOWS = ("max_model_len", "max_context_length", "loaded_context_length", "context_length", "context_window")
"""Names under which servers tell a model's window: vLLM, LM Studio, OpenRouter and Jan."""


def options_of(settings: Settings) -> dict[str, Any]:
    """Address and key for a client of the server in the settings."""
    return {"base_url": settings.base_url, "api_key": os.environ.get("OPENAI_API_KEY") or "not-needed"}


def thinking_switch(wanted: Think) -> dict[str, Any]:
    """What llama-server and vLLM are told in a request; the level is for templates that have some, as gpt-oss's."""
    level = {"reasoning_effort": wanted} if wanted in ("low", "medium", "high") else {}
    return {"chat_template_kwargs": {"enable_thinking": wanted != "off", **level}}


@dataclass(frozen=True)
class OpenAIServer:
    """The server of RAG_BASE_URL as it was when it was asked: entries of `/models`, and llama-server's `/props`."""

    entries: tuple[Mapping[str, Any], ...] = ()
    props: Mapping[str, Any] | None = None

    @classmethod
    def ask(cls, settings: Settings, model: str = "") -> OpenAIServer:
        """Ask the server; nothing is known of one that does not answer, or answers something else."""
        if not settings.base_url:
            return cls()
        headers = {"Authorization": f"Bearer {options_of(settings)['api_key']}"}
        base = settings.base_url.rstrip("/")
        with httpx.Client(headers=headers, **client_options(base, PROBE_SECONDS)) as client:
            told = _json(client, f"{base}/models")
            found = told.get("data")
            entries = tuple(entry for entry in found if isinstance(entry, dict)) if isinstance(found, list) else ()
            # One llama-server may serve several models, each with properties of its own.
            props = _json(client, f"{base.removesuffix('/v1')}/props", {"model": model} if model else {})
        return cls(entries, props if "default_generation_settings" in props else None)

    @property
    def program(self) -> Server:
        """The program, where its own switch for thinking is known."""
        if self.props is not None:
            return "llama-server"
        return "vllm" if any(entry.get("owned_by") == "vllm" for entry in self.entries) else ""

    def window(self, model: str) -> int:
        """Tokens in a model's window; 0: it does not tell."""
        if self.props is not None:
            window = (self.props["default_generation_settings"] or {}).get("n_ctx") or self.props.get("n_ctx")
            if window:
                return int(window)
        entry = next((entry for entry in self.entries if entry.get("id") == model), {})
        meta = entry.get("meta") or {}
        found = [entry.get(name) for name in WINDOWS] + [meta.get("n_ctx"), meta.get("n_ctx_train")]
        return next((int(window) for window in found if isinstance(window, int) and window > 0), 0)

    def models(self) -> list[Model]:
        """Its models for the list; which of them embed, their names and LM Studio's `type` tell."""
        found = []
        for entry in self.entries:
            name = str(entry.get("id") or "")
            embeds = "embed" in name.lower() or "embed" in str(entry.get("type") or "")
            size = int((entry.get("meta") or {}).get("size") or 0)
            told = str(entry.get("owned_by") or "")
            use = "embeddings" if embeds else "chat"
            found.append(Model(f"openai:{name}", use, size, self.window(name), told))
        return found


def _json(client: httpx.Client, url: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
    try:
        found = client.get(url, params=query or None).json()
    except (httpx.HTTPError, ValueError):
        return {}  # the first question will show whether it is there
    return found if isinstance(found, dict) else {}
