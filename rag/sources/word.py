"""Word files become documents."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from langchain_core.documents import Document

from rag.sources.formats import Job
from rag.sources.outline import mark_html
from rag.sources.web_page import parse_html
from rag.sources.zipped import opened


def read_word(job: Job) -> Iterator[Document]:
    """A Word file as one document, without its pictures."""
    import mammoth  # type: ignore[import-untyped]

    with opened(job), Path(job.path).open("rb") as file:
        no_pictures = mammoth.images.img_element(lambda image: {})
        html = mammoth.convert_to_html(file, convert_image=no_pictures).value
    text, marks = mark_html(parse_html(html), gap="\n\n")
    yield job.document(text, [(level, "") for level, _ in marks], job.stem)
