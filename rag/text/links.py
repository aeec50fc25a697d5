"""Links in Markdown, of which people read the text and not the address."""

from __future__ import annotations

import re

_LINK = re.compile(
    r"(?<![\w\\`\]])(!?)\[([^\[\]\n]{0,300})\]"
    r"\(((?:https?:|mailto:|[#/.]|[\w-]{1,80}(?:/|\.(?:md|html?|php|rst|pdf|png|jpe?g|svg)\b))"
    r"(?:[^()\s]|\([^()\s]*\)){0,2000})(?: [\"'][^\"'\n]{0,200}[\"'])?\)"
)
"""A link or picture; `handlers[name](event)` of a program is none, nor is one within code."""
_SAYS_NOTHING = re.compile(
    r"(?:click |tap )?(?:here|this)(?: link| page| site)?|(?:web ?)?(?:site|page)|link|hier|ici|aqu[ií]", re.I
)
"""The text of a link that is nothing without its address."""


def without_addresses(text: str) -> str:
    """A text with the words of its links and pictures, and without their addresses.

    Addresses of mail stay, and those of links that say "here".
    """
    return _LINK.sub(_said, _LINK.sub(_said, text)) if "](" in text else text


def _said(link: re.Match[str]) -> str:
    picture, words, address = link.groups()
    mail = address.removeprefix("mailto:").partition("?")[0] if address.startswith("mailto:") else ""
    told = mail or (address if _SAYS_NOTHING.fullmatch(words.strip()) and not picture else "")
    return f"{words} ({told})" if told and told != words else words
