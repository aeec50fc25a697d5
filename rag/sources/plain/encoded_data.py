"""Pictures and other data written as base64 in a text: thousands of letters that say nothing to anybody."""

from __future__ import annotations

import re

from rag.sources.formats import Job

_DEFINED = re.compile(r"(?m)^\[[^\]\n]{1,100}\]:\s*<?data:[^,\n]{1,200};base64,[^\s>]*>?[ \t]*\n?")
"""As Google Docs exports a picture to Markdown, below the text."""
_ADDRESS = re.compile(r"data:[\w.+-]+/[\w.+;=-]{1,200};base64,[A-Za-z0-9+/=]{40,}")
_BARE = re.compile(r"(?<![\w+/=-])[A-Za-z0-9+/]{300,}={0,2}(?![\w+/=])")
_LOOKED_AT = 200
"""Letters of a long word that tell by their mixture that it is none."""


def without_data(text: str, job: Job) -> str:
    """The text without data in base64; a note says how often there was some."""
    if ";base64," not in text and not _BARE.search(text):
        return text
    text, defined = _DEFINED.subn("", text)
    text, addresses = _ADDRESS.subn("", text)
    bare = 0

    def shorten(found: re.Match[str]) -> str:
        nonlocal bare
        start = found[0][:_LOOKED_AT]
        is_mixed = any(map(str.isdigit, start)) and any(map(str.islower, start)) and any(map(str.isupper, start))
        if not is_mixed or start.count("/") > _LOOKED_AT // 20:  # a path
            return found[0]
        bare += 1
        return "…"

    text = _BARE.sub(shorten, text)
    if many := defined + addresses + bare:
        job.notes.append(f"left out: data in base64, {many} times" if many > 1 else "left out: data in base64")
    return text
