"""Markdown without the HTML in it: tags go, their text stays, and headings that are tags become Markdown's."""

from __future__ import annotations

import re

from rag.sources.raised import raised

_EMPTY = frozenset(["br", "hr", "img", "input", "source", "wbr"])
"""Tags that hold nothing."""
_WITH_TEXT = """
a abbr b big center cite code del details dfn div dl dt dd em figcaption figure font i ins kbd li mark ol p picture q s
samp section small span strike strong sub summary sup tt u ul var video
"""
_CODE = r"(?<!`)(`{1,3})(?!`)[^`]{1,500}(?<!`)\1(?!`)"
_TAG = re.compile(rf"{_CODE}|</?([a-zA-Z]{{1,10}})(?=[\s/>])[^<>`]{{0,1000}}>")
_HEADING = re.compile(
    r"(?mi)^[ \t]*<h([1-6])\b([^<>`]{0,500})>((?:(?!</?h[1-6]\b)[^`]){0,1000}?)</h\1\s*>"
    r"[ \t]*(?:</[a-z]{1,10}>[ \t]*)?$"
)
_SUPERSCRIPT = re.compile(r"(?i)<sup>([^<>\n]{1,8})</sup>")
_ID = re.compile(r"""\bid\s*=\s*["']?([^\s"'<>{}]{1,100})""", re.I)


def without_html(text: str) -> str:
    """Markdown's text outside fenced code, without tags. A name that is never closed is no tag, as in `List<b>`."""
    if "<" not in text:
        return text
    text = _SUPERSCRIPT.sub(lambda found: raised(found[1]), text)
    closed = {name.casefold() for name in re.findall(r"</([a-zA-Z]{1,10})\s*>", text)}
    known = closed.intersection(_WITH_TEXT.split()) | _EMPTY

    def told(found: re.Match[str]) -> str:
        name = (found[2] or "").casefold()
        if name not in known:
            return found[0]
        if name == "li" and not found[0].startswith("</"):
            return "\n- "
        return " " if name == "br" else ""

    def heading(found: re.Match[str]) -> str:
        words = " ".join(_TAG.sub(told, found[3]).split())
        anchor = _ID.search(found[2])
        return f"\n{'#' * int(found[1])} {words}{f' {{#{anchor[1]}}}' if anchor else ''}\n" if words else ""

    return _TAG.sub(told, _HEADING.sub(heading, text))
