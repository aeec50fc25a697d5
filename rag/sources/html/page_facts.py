"""What the data of a page tells of its subject and the text lacks: a recipe's ingredients, a product's price.

The data is JSON-LD with the words of schema.org, which pages carry for search engines.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterator
from html import escape, unescape
from itertools import islice
from typing import Any

from bs4 import BeautifulSoup

from rag.sources.html.drawn_page import MOST_DATA, facts_in, listed
from rag.sources.html.inline import text_of_html
from rag.sources.html.markup import mark_html
from rag.sources.outline import Marks, one_line

MOST_SUBJECTS, MOST_VALUES = 20, 200
"""Things that a page is about, and values of one key."""
_SUBJECTS = frozenset(["Recipe", "HowTo", "Product", "ProductGroup", "JobPosting", "FAQPage", "Course"])
_ASIDE = """
author publisher image video review reviews comment commentCount keywords mainEntityOfPage isPartOf dateModified
datePublished dateCreated inLanguage isAccessibleForFree interactionStatistic potentialAction headline articleBody
thumbnailUrl identifier breadcrumb provider alternativeHeadline bestRating worstRating performer organizer hasPart geo
itemReviewed appid pubDate upDate
"""
_OF_THE_PAGE = frozenset(_ASIDE.split())
"""Keys of what is told of the page and of people, and not of the thing itself."""
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")
"""A word, or a sign of a writing that parts no words."""
_FEW_WORDS = 4
_STATED = 0.8
"""Share of the words of a value that the text has where it states it."""
_MOST_LACKING = 0.2
"""Share of a list that the text may lack."""


def mark_facts(soup: BeautifulSoup, text: str) -> tuple[str, Marks]:
    """The facts that the page's text lacks, below the name of what they are about, with their headings marked."""
    said = " ".join(_words(text))
    have = set(said.split())
    parts = []
    for subject in _subjects(soup):
        facts = [_html(key, values) for key, values in _facts(subject) if _lacks(values, f" {said} ", have)]
        name = one_line(text_of_html(str(subject.get("name") or subject.get("title") or "")))
        parts += [f"<h1>{escape(name)}</h1>" if name and facts else "", *facts]
    return mark_html(BeautifulSoup("".join(parts), "html.parser"))


def _subjects(soup: BeautifulSoup) -> list[dict[str, Any]]:
    """The things in the page's data that people ask about, and the questions that it answers."""
    found: list[dict[str, Any]] = []
    for script in soup.find_all("script", type=re.compile("ld.json", re.I)):
        text = script.get_text()
        waiting = deque([_parsed(text)] if len(text) <= MOST_DATA else [])
        while waiting and len(found) < MOST_SUBJECTS:
            item = waiting.popleft()
            if isinstance(item, list):
                waiting.extendleft(reversed(item))
            elif isinstance(item, dict):
                types = {str(name) for name in listed(item.get("@type"))}
                is_subject = not _SUBJECTS.isdisjoint(types) or any(name.endswith("Event") for name in types)
                found += [item] if is_subject else []
                waiting += [] if is_subject else [item[key] for key in ("@graph", "mainEntity") if key in item]
    return found


def _parsed(text: str) -> Any:
    """The value of some JSON, which a page may have escaped as if it were text; None where it is damaged."""
    for written in (text, unescape(text)):
        try:
            return json.loads(written, strict=False)
        except (ValueError, RecursionError):
            continue
    return None


def _facts(subject: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """What is told of a thing: a key in words, and its values; a question and its answer."""
    for key, value in facts_in({name: item for name, item in subject.items() if name[:1] != "@"}).items():
        items = list(filter(None, map(_line, islice(_steps(value), MOST_VALUES))))
        if key == "mainEntity":
            asked = [item for item in listed(value)[:MOST_VALUES] if isinstance(item, dict) and "answer" in item]
            yield from ((_line(item["question"]), [_line(item["answer"])]) for item in asked)
        elif key not in (*_OF_THE_PAGE, "name", "title") and items not in ([], [""]):
            yield _in_words(key).capitalize(), items


def _steps(value: Any) -> Iterator[Any]:
    """The values of a list; sections of steps one after the other."""
    for item in listed(value):
        if isinstance(item, dict) and "itemListElement" in item:
            yield item.get("name", "")
            yield from _steps(item["itemListElement"])
        else:
            yield item


def _line(value: Any, *, inner: bool = False) -> str:
    """A value in one line: a step by its text, another thing by its keys and values, the `inner` ones by values."""
    if isinstance(value, dict):
        if "text" in value:
            return _line(value["text"])
        names = sorted((key for key in value if key not in _OF_THE_PAGE), key=lambda key: key != "name")
        told = [(key, _line(value[key], inner=True)) for key in names]
        return ", ".join(
            shown if inner or key == "name" or isinstance(value[key], dict) else f"{_in_words(key)} {shown}"
            for key, shown in told
            if shown
        )
    if isinstance(value, list):
        return ", ".join(filter(None, map(_line, value)))
    return one_line(text_of_html(str(value)))


def _lacks(values: list[str], said: str, have: set[str]) -> bool:
    """Whether the text does not state the values: a short one as it is, a long one in nearly all its words."""
    lacking = 0
    for words in map(_words, values):
        if len(words) < _FEW_WORDS:
            lacking += f" {' '.join(words)} " not in said
        else:
            lacking += sum(word in have for word in words) < _STATED * len(words)
    return lacking > _MOST_LACKING * len(values)


def _html(key: str, values: list[str]) -> str:
    if key.endswith("?"):
        return f"<h3>{escape(key)}</h3><p>{escape(values[0])}</p>"
    if len(values) == 1:
        return f"<p>{escape(f'{key}: {values[0]}')}</p>"
    return f"<p>{escape(key)}:</p><ul>{''.join(f'<li>{escape(value)}</li>' for value in values)}</ul>"


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _in_words(key: str) -> str:
    """`recipeYield` as "recipe yield"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", key).lower()
