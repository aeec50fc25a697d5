"""Links in Markdown, of which people read the text and not the address."""

from __future__ import annotations

import re

_LINK = re.compile(
    r"!?\[([^\[\]\n]{0,300})\]\((?:https?:|mailto:|[#/.]|[\w-]{1,80}(?:/|\.(?:md|html?|rst|pdf|png|jpe?g|svg)\b))"
    r"(?:[^()\s]|\([^()\s]*\)){0,2000}(?: \"[^\"\n]{0,200}\")?\)"
)
"""A link or picture; `handlers[name](event)` of a program is none."""


def without_addresses(text: str) -> str:
    """A text with the words of its links and pictures, and without their addresses."""
    return _LINK.sub(r"\1", text) if "](" in text else text
