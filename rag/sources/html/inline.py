"""Texts without the HTML in them: tags go, their text stays, and in Markdown headings that are tags become its own."""

from __future__ import annotations

import html
import re

from bs4 import Tag

from rag.sources.html.markup import mark_html
from rag.sources.html.tags import phrase
from rag.sources.outline import EDGE, MARK
from rag.sources.raised import raised

_EMPTY = frozenset(["br", "hr", "img", "input", "source", "wbr"])
"""Tags that hold nothing."""
_WITH_TEXT = """
a abbr b big center cite code details dfn div dl dt dd em figcaption figure font i ins kbd li mark ol p picture q
samp section small span strong sub summary sup tt u ul var video
"""
_ALT = re.compile(r"""(?i)\balt\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_CODE = r"(?<!`)(`{1,3})(?!`)[^`]{1,500}(?<!`)\1(?!`)"
_STRUCK = re.compile(rf"(?is){_CODE}|<(del|s|strike)(?:\s[^<>`]{{0,500}})?>[^`]{{0,1000}}?</\2\s*>")
"""Code, or what was deleted or is no longer so, as an old price."""
_TILDES = re.compile(rf"(?s){_CODE}|(?<![~\\])~~(?=[^\s~])(?:(?!~~|\n\s*\n).){{1,1000}}(?<=\S)~~(?!~)")
"""Code, or what Markdown strikes out."""
_ALL_STRUCK = re.compile(r"(?m)^[ \t>]*(?:(?:[-*+]|\d+[.)]|#+)[ \t]+(?:\[[ xX]\][ \t]+)?)?\0[\0 \t.,;]*(?:\n|\Z)")
"""A line, also an item or a heading, of which nothing is left."""
_TAG = re.compile(rf"{_CODE}|</?([a-zA-Z]{{1,10}})(?=[\s/>])[^<>`]{{0,1000}}>")
_ANY_TAG = re.compile(r"</?([a-zA-Z]{1,10}[1-6]?)(?=[\s/>])[^<>]{0,1000}>")
_HEADING = re.compile(
    r"(?mi)^[ \t]*<h([1-6])\b([^<>`]{0,500})>((?:(?!</?h[1-6]\b)[^`]){0,1000}?)</h\1\s*>"
    r"[ \t]*(?:</[a-z]{1,10}>[ \t]*)?$"
)
_SUPERSCRIPT = re.compile(r"(?i)<sup>([^<>\n]{1,8})</sup>")
_BLOCK_NAMES = """
br dd div dl dt figcaption figure h1 h2 h3 h4 h5 h6 hr li ol p pre section table tbody td th thead tr ul
"""
"""Tags at which a line begins in a browser, or a cell."""
_BLOCKS = frozenset(_BLOCK_NAMES.split())
_OF_TEXT = frozenset([*_WITH_TEXT.split(), *_BLOCKS])
_NEED_NO_END = frozenset(["dd", "dt", "li", "p", "td", "th", "tr"])
_ENTITY = re.compile(r"&(?:#\d{1,6}|#[xX][\da-fA-F]{1,5}|[a-zA-Z]{2,8}\d{0,2});")
_IS_CODE = re.compile(r"\{\{|\{%|<%|<\?|<!|</?(?:script|style|html|head|body|svg|form|input|button|template)\b", re.I)
_ID = re.compile(r"""\bid\s*=\s*["']?([^\s"'<>{}]{1,100})""", re.I)


def html_lines(tag: Tag) -> list[str]:
    """The lines of what is seen below a tag, without empty ones. Those of preformatted text stay indented."""
    text, _ = mark_html(tag)
    parts = re.split(f"[{MARK}{EDGE}]", text)
    return [line.rstrip() for part in parts for line in part.strip().split("\n") if line.strip()]


def without_html(text: str) -> str:
    """Markdown's text outside fenced code, without tags. A name that is never closed is no tag, as in `List<b>`."""
    if "~~" in text:
        text = _TILDES.sub(lambda found: found[0] if found[1] else "\0", text)
        text = _ALL_STRUCK.sub("", text).replace("\0", "")
    if "<" not in text:
        return text
    text = _SUPERSCRIPT.sub(lambda found: raised(found[1]), without_struck(text))
    closed = {name.casefold() for name in re.findall(r"</([a-zA-Z]{1,10})\s*>", text)}
    known = closed.intersection(_WITH_TEXT.split()) | _EMPTY

    def told(found: re.Match[str]) -> str:
        name = (found[2] or "").casefold()
        if name not in known:
            return found[0]
        if (
            name == "img"
            and (alt := _ALT.search(found[0]))
            and (shown := phrase(html.unescape(alt[1] or alt[2] or "")))
        ):
            return f"Picture: {shown}"
        if name == "li" and not found[0].startswith("</"):
            return "\n- "
        return " " if name == "br" else ""

    def heading(found: re.Match[str]) -> str:
        words = " ".join(_TAG.sub(told, found[3]).split())
        anchor = _ID.search(found[2])
        return f"\n{'#' * int(found[1])} {words}{f' {{#{anchor[1]}}}' if anchor else ''}\n" if words else ""

    return _TAG.sub(told, _HEADING.sub(heading, text))


def without_struck(text: str) -> str:
    """HTML without what it strikes out."""
    return _STRUCK.sub(lambda found: found[0] if found[1] else "", text)


def text_of_html(text: str) -> str:
    """The text of a value that is HTML, such as a description in JSON; what is no HTML, or code, stays as it is."""
    if "<" in text and not _IS_CODE.search(text):
        closed = {name.casefold() for name in re.findall(r"</([a-zA-Z]{1,10}[1-6]?)\s*>", text)}
        known = closed & _OF_TEXT | _EMPTY | (_NEED_NO_END if closed & _OF_TEXT else frozenset())

        def told(found: re.Match[str]) -> str:
            name = found[1].casefold()
            return found[0] if name not in known else " " if name in _BLOCKS else ""

        text = _ANY_TAG.sub(told, _SUPERSCRIPT.sub(lambda found: raised(found[1]), without_struck(text)))
    return _ENTITY.sub(lambda found: html.unescape(found[0]), text) if "&" in text else text
