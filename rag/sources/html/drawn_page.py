"""Pages that a script draws in the browser: how they are told, and the text in the data that they carry."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from bs4 import BeautifulSoup, Tag

from rag.sources.html.inline import html_lines
from rag.sources.html.markup import Walk, root_of
from rag.sources.html.tags import below
from rag.sources.plain.json_files import json_lines

DEEPEST = 20
"""Levels of nesting of JSON-LD that are read."""
MOST_DATA = 8_000_000
"""Characters of a script's data that are looked through."""
_EMPTY = 100
"""Characters of prose below which a page with a place for a script's output has none of its own."""
_PLACES = frozenset(
    [
        "root",
        "app",
        "__next",
        "__nuxt",
        "react-root",
        "app-root",
        "reactroot",
        "main-app",
        "gatsby",
        "___gatsby",
        "svelte",
    ]
)
"""Ids (or names of tags) of the element that a script fills."""
_DATA_IDS = ("__NEXT_DATA__", "__NUXT_DATA__", "__NUXT__", "__APOLLO_STATE__", "serverApp-state", "ng-state")
_BODY_KEYS = ("articleBody", "reviewBody")
_OF_THE_SITE = frozenset(
    ["WebSite", "WebPage", "Organization", "BreadcrumbList", "ImageObject", "SearchAction", "SiteNavigationElement"]
)
"""Types of JSON-LD's objects that tell of the site and not of what the page is about."""
_ADDRESS = re.compile(r"https?://\S+")
_SCHEMA = re.compile(r"https?://schema\.org/(\w+)")
_PERIOD = re.compile(r"P(?:(\d+)D)?T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?")
_SENTENCE = re.compile(
    r"[^\W\d_]+(?:[^\w\s]*\s+[\w(\"'\u201c\u00ab]\S*){2,}|[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7a3]{8,}"
)
_NO_SENTENCE = re.compile(r"^\s*[\[{]|https?://\S+\s*$|[{};]\s*[\w-]+\s*:|^[\w-]+(?: [\w-]*[-_:][\w-]*)+$")


def is_drawn(soup: BeautifulSoup) -> bool:
    """Whether the page has next to no text, but a script and an empty place for what it draws, or nothing else."""
    if soup.find("script") is None:
        return False
    page = Walk()
    page.read(root_of(soup))
    if not page.has_text:
        return True
    if page.prose >= _EMPTY:
        return False
    for item in below(soup):
        if isinstance(item, Tag) and (str(item.get("id") or "").lower() in _PLACES or item.name in _PLACES):
            place = Walk()
            place.read(item)
            if place.prose < _EMPTY // 2:
                return True
    return False


def embedded_text(soup: BeautifulSoup) -> str:
    """The text in the data that frameworks embed.

    It is JSON-LD's article body, else what JSON-LD tells of a product, an event, questions and the like as lines of
    `key: value`, and the sentences of the page's state.
    """
    states: list[Any] = []
    bodies: list[str] = []
    facts: list[str] = []
    for script in soup.find_all("script"):
        kind, own = str(script.get("type", "")).lower(), str(script.get("id", ""))
        if "json" not in kind and own not in _DATA_IDS:
            continue
        text = script.get_text()
        try:
            data = json.loads(text, strict=False) if len(text) <= MOST_DATA else None
        except (ValueError, RecursionError):
            continue
        if "ld+json" in kind:
            bodies += [value for key, value in _strings(data) if key in _BODY_KEYS]
            facts += json_lines(json.dumps(facts_in(data)), ".json")
        else:
            states.append(data)
    sentences = [value for data in states for _, value in _strings(data) if _is_sentence(value)]
    return "\n\n".join(dict.fromkeys(filter(None, map(_shown, bodies or ["\n".join(facts), *sentences]))))


def facts_in(data: Any, depth: int = 0) -> Any:
    """What JSON-LD tells of the things that the page is about, without addresses and types."""
    if isinstance(data, list) and depth < DEEPEST:
        return list(filter(None, (facts_in(item, depth + 1) for item in data)))
    if isinstance(data, dict) and depth < DEEPEST:
        if not _OF_THE_SITE.isdisjoint(map(str, listed(data.get("@type")))) and depth < 4:
            return {}
        if "acceptedAnswer" in data and "name" in data:
            answers = [item.get("text", "") for item in listed(data["acceptedAnswer"]) if isinstance(item, dict)]
            return {"question": data["name"], "answer": " ".join(map(str, answers))}
        kept = {name: facts_in(item, depth + 1) for name, item in data.items() if name == "@graph" or name[:1] != "@"}
        kept = {name: item for name, item in kept.items() if item not in ("", [], {}, None)}
        return kept["@graph"] if list(kept) == ["@graph"] else kept
    if not isinstance(data, str):
        return data if isinstance(data, int | float) else None
    if found := _PERIOD.fullmatch(data):
        return " ".join(
            f"{part} {unit}"
            for part, unit in zip(found.groups(), ("d", "h", "min", "s"), strict=True)
            if part and int(part)
        )
    found = _SCHEMA.fullmatch(data)
    return found[1] if found else "" if _ADDRESS.fullmatch(data) else data


def listed(value: Any) -> list[Any]:
    """A value of JSON-LD, where one may stand for a list of one, as a list."""
    return value if isinstance(value, list) else [value]


def _strings(data: Any) -> Iterator[tuple[str, str]]:
    """The strings of parsed JSON in order, each with the nearest key above it."""
    stack: list[tuple[str, Any]] = [("", data)]
    while stack:
        key, value = stack.pop()
        if isinstance(value, str):
            yield key, value
        elif isinstance(value, dict):
            stack += [(str(name), item) for name, item in reversed(value.items())]
        elif isinstance(value, list):
            stack += [(key, item) for item in reversed(value)]


def _is_sentence(text: str) -> bool:
    return bool(_SENTENCE.search(text[:2000])) and not _NO_SENTENCE.search(text[:2000])


def _shown(text: str) -> str:
    """The text of a value, which may be HTML."""
    if not re.search(r"</?[a-z][^<>]*>", text[:5000], re.I):
        return text.strip()
    return "\n".join(html_lines(BeautifulSoup(text, "html.parser")))
