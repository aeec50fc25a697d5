"""Slide shows become documents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from langchain_core.documents import Document

from rag.sources.formats import Job
from rag.sources.outline import MARK, plain
from rag.sources.text_files import table_row
from rag.sources.zipped import opened


def read_slides(job: Job) -> Iterator[Document]:
    """Each slide with its number, title and notes as one document."""
    from pptx import Presentation

    with opened(job):
        show: Any = Presentation(job.path)
        for number, slide in enumerate(show.slides, start=1):
            heading = slide.shapes.title.text_frame.text if slide.shapes.title is not None else ""
            heading = " ".join(plain(heading).split())
            parts = [f"{MARK}{heading}"] if heading else []
            parts += _texts_of_shapes(slide.shapes, slide.shapes.title)
            if slide.has_notes_slide and (frame := slide.notes_slide.notes_text_frame) is not None:
                notes = plain(frame.text).strip()
                parts += [f"Notes: {notes}"] if notes else []
            text = "\n\n".join(parts).replace("\v", "\n")
            yield job.document(text, [(1, "")] if heading else [], job.stem, page=number)


def _texts_of_shapes(shapes: Any, title: Any) -> Iterator[str]:
    """The texts and tables of a slide in order, also those in groups, but not its `title`."""
    waiting = list(reversed(list(shapes)))
    while waiting:
        shape = waiting.pop()
        if title is not None and shape.shape_id == title.shape_id:
            continue
        if hasattr(shape, "shapes"):  # a group
            waiting += reversed(list(shape.shapes))
        elif shape.has_text_frame and (text := plain(shape.text_frame.text).strip()):
            yield text
        elif getattr(shape, "has_table", False):
            yield "\n".join(table_row(cell.text for cell in row.cells) for row in shape.table.rows)
