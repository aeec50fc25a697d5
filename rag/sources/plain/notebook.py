"""Jupyter notebooks become documents, with what their cells put out."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from langchain_core.documents import Document

from rag.sources.formats import Job, Unreadable
from rag.sources.html.inline import html_lines
from rag.sources.html.web_page import parse_html
from rag.sources.outline import plain
from rag.sources.plain.encoding import text_of
from rag.sources.plain.markdown import html_table_lines, markdown_document

LONGEST_OUTPUT = 20_000
"""Characters of one output."""
MOST_OUTPUT = 2_000_000
"""Characters of all outputs together."""
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def read_notebook(job: Job) -> Iterator[Document]:
    """A Jupyter notebook as one Markdown document: its code fenced, and the text of its outputs.

    Raises:
        Unreadable: not a notebook of version 4.
    """
    try:
        cells = json.loads(text_of(job))["cells"]
        parts: list[str] = []
        left = MOST_OUTPUT
        seen: Counter[str] = Counter()
        for cell in cells:
            text, kind = _joined(cell["source"]), cell["cell_type"]
            if text.strip():
                parts.append(f"~~~~~~\n{text}\n~~~~~~" if kind == "code" else text)
            for output in cell.get("outputs") or () if kind == "code" else ():
                shown, what = _shown(output)
                seen[what] += 1
                if len(shown) > min(left, LONGEST_OUTPUT):
                    shown = shown[: min(left, LONGEST_OUTPUT)]
                    seen["cut"] += 1
                left -= len(shown)
                if shown:
                    parts.append(f"Output:\n{shown}" if what == "table" else f"Output:\n~~~~~~\n{shown}\n~~~~~~")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Unreadable("the file is not a Jupyter notebook (of version 4), or it is damaged") from error
    if seen["picture"]:
        job.notes.append(f"pictures among the outputs, left out: {seen['picture']}")
    if seen["cut"]:
        job.notes.append(f"long outputs, cut: {seen['cut']}")
    yield markdown_document(job, "\n\n".join(parts))


def _joined(text: Any) -> str:
    return text if isinstance(text, str) else "".join(text)


def _shown(output: dict[str, Any]) -> tuple[str, str]:
    """The text of an output and its kind: text, table, error or picture; "" where it has none."""
    kind = output.get("output_type")
    if kind == "stream":
        return _tidy(_joined(output.get("text") or "")), "text"
    if kind == "error":
        return _tidy(f"{output.get('ename')}: {output.get('evalue')}"), "error"
    data = output.get("data") or {}
    if "text/html" in data and "<table" in (html := _joined(data["text/html"])).lower():
        return html_table_lines(html[: 10 * LONGEST_OUTPUT]), "table"
    for name in ("text/markdown", "text/latex", "text/plain"):
        if name in data and not (name == "text/plain" and any(key.startswith("image/") for key in data)):
            return _tidy(_joined(data[name])), "text"
    if any(key.startswith("image/") for key in data):
        return "", "picture"
    if "text/html" in data:
        return _tidy("\n".join(html_lines(parse_html(_joined(data["text/html"])[: 10 * LONGEST_OUTPUT])))), "text"
    return "", ""


def _tidy(text: str) -> str:
    """Without colours, and of a line that was written over, as progress bars are, what stood there last."""
    text = _COLOURS.sub("", plain(text))
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")).strip("\n")
