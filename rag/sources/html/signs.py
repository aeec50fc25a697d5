"""What a picture, an icon or a box in a cell of a table says: "Included", "✓", "☐"."""

from __future__ import annotations

import itertools
import re

from bs4 import Tag

from rag.sources.html.tags import below

_ICON_TAGS = frozenset(["i", "span", "svg", "em", "div"])
_YES = re.compile(r"(?:^|[\s_-])(?:check(?:mark|ed)?|tick|yes|ok|success|included|checkbox-on)(?:$|[\s_-])", re.I)
_NO = re.compile(r"(?:^|[\s_-])(?:times|xmark|cross|close|no|minus|unavailable|checkbox-off|fail)(?:$|[\s_-])", re.I)
_LONGEST = 100


def told_by_sign(tag: Tag) -> str:
    """The text that stands for a picture, or the sign of an icon without text or of a box; "" for other tags."""
    if tag.name == "img":
        return str(tag.get("alt") or "")
    if tag.name == "input":
        return ("☑" if "checked" in tag.attrs else "☐") if tag.get("type") == "checkbox" else ""
    if tag.name not in _ICON_TAGS or not tag.attrs or _has_text(tag):
        return ""
    named = str(tag.get("aria-label") or tag.get("title") or _title_of(tag))[:_LONGEST]
    if named:
        return named
    classes = " ".join(str(name) for name in tag.get_attribute_list("class") if name)[:_LONGEST]
    return "✗" if _NO.search(classes) else "✓" if _YES.search(classes) else ""


def _has_text(tag: Tag) -> bool:
    inside = itertools.islice(below(tag), 20)
    return tag.name != "svg" and any(not isinstance(item, Tag) and str(item).strip() for item in inside)


def _title_of(tag: Tag) -> str:
    title = tag.find("title") if tag.name == "svg" else None
    return " ".join(title.get_text().split()) if title is not None else ""
