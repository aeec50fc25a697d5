"""Messages of a chat in JSON, as Telegram, Slack, Discord and Messenger export them, become lines: when, who, what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from rag.sources.tables import cell_text

_TIMES = ("date", "timestamp", "ts", "timestamp_ms", "created_at", "sent_at")
_PEOPLE = ("user_profile", "from", "author", "sender_name", "sender", "username", "user")
_NAMES = ("display_name", "nickname", "real_name", "name", "username", "first_name")
_TEXTS = ("text", "content", "body")
_SHOWN = ("title", "fallback", "text", "fileName")
"""Keys of what an attachment is called."""
_LEAST = 0.5
"""Share of the objects of a list that are messages, from which on it is a chat."""
_SECONDS = 10**11
"""Seconds since 1970 that no message was sent after; larger numbers are milliseconds."""


def are_messages(values: Sequence[Any], path: str) -> bool:
    """Whether a list is a chat: it is called so, or its objects are, and most of them say when, who and what."""
    named = path.rpartition(".")[2] == "messages"
    objects = [value for value in values if isinstance(value, dict)]
    if not objects or not (named or all(value.get("type") == "message" for value in objects)):
        return False
    return sum(bool(message_line(value)) for value in objects) >= _LEAST * len(objects)


def message_line(value: Mapping[str, Any]) -> str:
    """A message in one line; "" for what is none, as a photo without a word."""
    when, who = _time(_first(value, _TIMES)), _name(_first(value, _PEOPLE))
    what = cell_text(_text(_first(value, _TEXTS)))
    parts = value.get("attachments")
    shown = [
        _text(_first(part, _SHOWN)) for part in (parts if isinstance(parts, list) else ()) if isinstance(part, dict)
    ]
    what += f" ({cell_text('; '.join(filter(None, shown)))})" if any(shown) else ""
    return f"[{when}] {who}: {what}" if when and who and what else ""


def _first(value: Mapping[str, Any], keys: Sequence[str]) -> Any:
    return next((value[key] for key in keys if value.get(key)), None)


def _time(value: Any) -> str:
    """The minute at which a message was sent, from ISO 8601 or from seconds or milliseconds since 1970."""
    try:
        if isinstance(value, str) and not value.replace(".", "", 1).isdecimal():
            return datetime.fromisoformat(value.replace("Z", "+00:00")[:19]).strftime("%Y-%m-%d %H:%M")
        number = float(value)
        return datetime.fromtimestamp(number / 1000 if number > _SECONDS else number, timezone.utc).strftime(
            "%Y-%m-%d %H:%M UTC"
        )
    except (ValueError, TypeError, OverflowError, OSError):
        return ""


def _name(value: Any) -> str:
    value = _first(value, _NAMES) if isinstance(value, dict) else value
    return cell_text(value) if isinstance(value, str) else ""


def _text(value: Any) -> str:
    """The words of a message; Telegram has them in pieces, as some are links."""
    if isinstance(value, list):
        return "".join(_text(part.get("text") if isinstance(part, dict) else part) for part in value)
    return value if isinstance(value, str) else ""
