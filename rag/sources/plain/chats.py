"""Messages of a chat in JSON, as Telegram, Slack, Discord and Messenger export them, become lines: when, who, what."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
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
PEOPLE = "users.json"
"""The file of an export of Slack that names the people whose ids are in its messages."""
_ID = re.compile(r"\b[UW][0-9A-Z]{5,20}\b")
_LINK = re.compile(r"<([@#!]?)([^<>|]+)(?:\|([^<>]*))?>")
"""A person, a channel or an address in Slack's texts, with what is shown for it."""


def are_messages(values: Sequence[Any], path: str) -> bool:
    """Whether a list is a chat: it is called so, or its objects are, and most of them say when, who and what."""
    named = path.rpartition(".")[2] == "messages"
    objects = [value for value in values if isinstance(value, dict)]
    if not objects or not (named or all(value.get("type") == "message" for value in objects)):
        return False
    return sum(bool(message_line(value)) for value in objects) >= _LEAST * len(objects)


def people_in(values: Any) -> dict[str, str]:
    """The names of people by their ids, from Slack's list of its users or the profiles in its messages."""
    objects = [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []
    told = ((value.get("id") or value.get("user"), _first(value, ("profile", "user_profile"))) for value in objects)
    return {key: name for key, profile in told if isinstance(key, str) and (name := _name(profile))}


def people_of(text: str | bytes) -> dict[str, str]:
    """The names of people by their ids, from the text of `PEOPLE`; none where it is another file."""
    try:
        return people_in(json.loads(text))
    except (ValueError, RecursionError):
        return {}


def people_beside(path: Path) -> dict[str, str]:
    """The names of people by their ids, from a file of users beside a chat, or beside its folder."""
    for folder in path.parents[:2]:
        try:
            return people_of((folder / PEOPLE).read_bytes())
        except OSError:
            continue
    return {}


def with_names(text: str, people: Mapping[str, str]) -> str:
    """JSON with the names of people in place of their ids."""
    return _ID.sub(lambda found: json.dumps(people[found[0]])[1:-1] if found[0] in people else found[0], text)


def message_line(value: Mapping[str, Any], people: Mapping[str, str] | None = None) -> str:
    """A message in one line; "" for what is none, as a photo without a word. `people` are names by ids."""
    when, who = _time(_first(value, _TIMES)), _name(_first(value, _PEOPLE))
    what, people = _text(_first(value, _TEXTS)), people or {}
    if "ts" in value:
        what = _LINK.sub(lambda found: found[3] or found[1] + people.get(found[2], found[2]), what)
    who, what = people.get(who, who), cell_text(what)
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
