"""The page's reader: a source beside the conversation, opened at the words of a quote. See `rag.doors.reader`."""

from __future__ import annotations

from urllib.parse import quote as percent_encoded
from urllib.parse import urlencode

import gradio as gr
from langchain_core.documents import Document

from rag.page.style import ASSETS

SCRIPT = (ASSETS / "reader.js").read_text(encoding="utf-8")
READ = "#read"
"""What the link to a place in a source begins with; `place_of` follows."""


def build_reader() -> gr.HTML:
    """The pane, closed. Its script builds what is in it, out of text alone."""
    return gr.HTML("<section></section>", elem_id="reader", js_on_load=SCRIPT, padding=False)


def place_of(document: Document, start: int = 0, end: int = 0) -> str:
    """Part of a passage for a link that opens the reader there: `?source=...&page=...&start=...&end=...`.

    "" where the passage's place in its source is not known.
    """
    began = document.metadata.get("start_index")
    source = str(document.metadata.get("source") or "")
    if began is None or not source:
        return ""
    place = {name: document.metadata.get(name) for name in ("page", "title")}
    told = {"source": source, **place, "start": began + start, "end": began + end}
    return "?" + urlencode({key: value for key, value in told.items() if value}, quote_via=percent_encoded, safe="")
