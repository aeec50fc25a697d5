"""A conversation as Markdown, with the passages under each answer."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from bs4 import BeautifulSoup

from rag.answers.told import MODELS_OWN
from rag.page.history import BESIDE, INSTEAD, THINKING, UNCOPIED, read_quotes, text_of, with_plain_marks
from rag.sources.loader import is_url


def conversation_as_markdown(history: Sequence[Mapping[str, Any]]) -> str:
    """The chat's history, as Gradio keeps it, as a Markdown text.

    Questions are headings, answers stand as they were written, with the numbers of their passages, and the notes under
    them (the passages, why an answer failed) are quoted.
    """
    parts = [f"# Conversation of {time.strftime('%Y-%m-%d %H:%M')}"]
    for turn in history:
        text = text_of(turn.get("content")).strip()
        told = turn.get("metadata") or {}
        title = str(told.get("title") or "")
        if told.get("id") == THINKING:
            continue
        if told.get("id") in (BESIDE, INSTEAD):
            parts += ["> " + quote.replace("\n", "\n> ") for quote in read_quotes(text)]
        elif title.startswith(MODELS_OWN):
            parts += [f"*{title}*", with_plain_marks(text.replace(UNCOPIED, "").strip())]
        elif title:
            parts.append(_note(title, text))
        elif turn.get("role") == "user":
            parts.append("## " + " ".join(text.split()))
        elif text:
            parts.append(with_plain_marks(text))
    return "\n\n".join(filter(None, parts)) + "\n"


def _note(title: str, html: str) -> str:
    """What is folded under an answer, read back from the HTML of `rag.page.passages.show_passages`."""
    shown = BeautifulSoup(html, "html.parser")
    passages = shown.find_all("details")
    told = [f"*{BeautifulSoup(title, 'html.parser').get_text()}*"]
    for passage in passages:
        summary, quote, origin = (passage.find(name) for name in ("summary", "blockquote", "p"))
        beginning = summary.find("small") if summary else None
        if beginning:
            beginning.decompose()  # the passage itself follows
        number = summary.find("b") if summary else None
        label = number.get_text() if number else ""
        if number:
            number.decompose()
        for inner in origin.select('a[href^="#"]') if origin else ():
            inner.decompose()  # it leads to a place on the page
        where = origin.get_text().strip(" ·") if origin else ""
        link = origin.find("a") if origin else None
        address = str(link.get("href") or "") if link else ""
        name = " ".join(summary.get_text().split()) if summary else ""
        head = f"{label}. **{name}**, " + (f"<{address}>" if is_url(address) else f"`{where}`")
        lines = _lines(quote) if quote else []
        told.append("\n".join([head, "", *(f"   > {line}".rstrip() for line in lines)]))
    return "\n\n".join(told)


def _lines(quote: Any) -> list[str]:
    for link in quote.find_all("a"):
        link.decompose()  # it leads to the words on the live page
    for mark in quote.find_all("br"):
        mark.replace_with("\n")
    return str(quote.get_text()).strip().splitlines()
