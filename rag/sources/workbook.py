"""Workbooks become documents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from langchain_core.documents import Document

from rag.sources.formats import MOST_TEXT, Job
from rag.sources.outline import MARK, Marks, plain
from rag.sources.text_files import table_row
from rag.sources.zipped import opened


def read_workbook(job: Job) -> Iterator[Document]:
    """An Excel workbook as one document: a heading for each sheet, a line for each row, values in place of formulas."""
    from openpyxl import load_workbook  # type: ignore[import-untyped]

    lines: list[str] = []
    marks: Marks = []
    size = 0
    with opened(job):
        book: Any = load_workbook(job.path, read_only=True, data_only=True, keep_links=False)
        for sheet in book.worksheets:
            sheet.reset_dimensions()  # those in the file may be a million empty rows
            rows = [line for line in map(table_row, sheet.iter_rows(values_only=True)) if line]
            size += sum(map(len, rows))
            if size > MOST_TEXT:
                break  # `documents.read` refuses it
            if rows:
                name = " ".join(plain(sheet.title).split())
                lines += ["", f"{MARK}{name}" if name else f"{MARK}Sheet", *rows]
                marks.append((1, ""))
        book.close()
    yield job.document("\n".join(lines), marks, job.stem)
