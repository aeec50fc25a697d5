"""Conversations that the browser keeps, encrypted with a key of the app."""

from __future__ import annotations

import hashlib
import secrets

import gradio as gr

from rag.settings import Settings


def keep_conversations(chat: gr.ChatInterface, settings: Settings) -> None:
    """Let saved conversations outlive a restart: by default Gradio makes a new key for them at each start.

    Replicas on one database share a key, so that a browser may come to any of them.

    `gr.ChatInterface` has no argument for either value; its maintainers advise to set `secret` on the component
    (https://github.com/gradio-app/gradio/issues/10559).
    """
    chat.saved_conversations.storage_key = "local-rag-chat"
    if settings.database_url:
        shared = (settings.database_url, settings.password)
        chat.saved_conversations.secret = hashlib.sha256("\n".join(shared).encode()).hexdigest()[:16]
        return
    path = settings.data_dir / "browser.key"
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except OSError:
        secret = ""
    if not secret:
        secret = secrets.token_hex(8)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(secret, encoding="utf-8")
    chat.saved_conversations.secret = secret
