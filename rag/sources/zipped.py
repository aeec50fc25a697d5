"""The zipped formats become documents: Word, slides, workbooks and EPUB."""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from langchain_core.documents import Document

from rag.sources.formats import MIB, MOST_TEXT, Job, Unreadable
from rag.sources.markup import mark_html
from rag.sources.outline import EDGE, MARK, Marks, plain
from rag.sources.text_files import decode, table_row
from rag.sources.web_page import parse_html

MOST_INFLATED = 400 * MIB
"""Bytes of all members of an archive together, decompressed."""
MOST_MEMBERS = 20_000


@contextmanager
def _opened(job: Job) -> Iterator[zipfile.ZipFile]:
    """The archive, once its members are known to have a bounded size, and its XML no entities.

    Raises:
        Unreadable: damaged, protected, too large, or with entities; also for damage found while the archive is open.
    """
    try:
        with zipfile.ZipFile(job.path) as archive:
            members = archive.infolist()
            if len(members) > MOST_MEMBERS or sum(item.file_size for item in members) > MOST_INFLATED:
                raise _too_large()
            if any(item.flag_bits & 1 for item in members):
                raise Unreadable("the file is damaged, or protected by a password")
            left = MOST_INFLATED
            for item in members:
                if item.filename.lower().endswith((".xml", ".rels")) and job.ending != ".epub":
                    left -= _check_xml(archive, item, left)
            yield archive
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError) as error:
        raise job.damaged() from error


def _check_xml(archive: zipfile.ZipFile, item: zipfile.ZipInfo, limit: int) -> int:
    """The size of a member in bytes, decompressed.

    Raises:
        Unreadable: larger than `limit`, or it defines entities, which can grow without end when they are expanded.
    """
    size, tail = 0, b""
    with archive.open(item) as member:
        while piece := member.read(MIB):
            size += len(piece)
            if size > limit:  # the archive's directory may be wrong
                raise _too_large()
            flat = (tail + piece).replace(b"\0", b"")  # UTF-16 too
            if b"<!DOCTYPE" in flat or b"<!ENTITY" in flat:
                raise Unreadable("it defines XML entities, as no office program does and some attacks do")
            tail = flat[-16:]
    return size


def _too_large() -> Unreadable:
    return Unreadable(
        f"unpacked it would have more than {MOST_INFLATED // MIB} MiB or {MOST_MEMBERS:,} members (a zip bomb?)"
    )


def read_word(job: Job) -> Iterator[Document]:
    """A Word file as one document, without its pictures."""
    import mammoth  # type: ignore[import-untyped]

    with _opened(job), Path(job.path).open("rb") as file:
        no_pictures = mammoth.images.img_element(lambda image: {})
        html = mammoth.convert_to_html(file, convert_image=no_pictures).value
    text, marks = mark_html(parse_html(html), gap="\n\n")
    yield job.document(text, [(level, "") for level, _ in marks], job.stem)


def read_slides(job: Job) -> Iterator[Document]:
    """Each slide with its number, title and notes as one document."""
    from pptx import Presentation

    with _opened(job):
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


def read_workbook(job: Job) -> Iterator[Document]:
    """An Excel workbook as one document: a heading for each sheet, a line for each row, values in place of formulas."""
    from openpyxl import load_workbook  # type: ignore[import-untyped]

    lines: list[str] = []
    marks: Marks = []
    size = 0
    with _opened(job):
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


def read_book(job: Job) -> Iterator[Document]:
    """An EPUB book as one document, its chapters in reading order.

    Raises:
        Unreadable: protected by DRM, or as `_opened`.
    """
    from defusedxml import ElementTree

    fromstring: Callable[[bytes], Any] = ElementTree.fromstring

    with _opened(job) as archive:
        names = set(archive.namelist())
        if "META-INF/rights.xml" in names:
            raise Unreadable("the book is locked to its shop's reading programs (DRM)")
        container = fromstring(archive.read("META-INF/container.xml"))
        package = next(item.get("full-path") for item in container.iter() if item.tag.endswith("}rootfile"))
        tree = fromstring(archive.read(package))
        items = {item.get("id"): item for item in tree.iter() if item.tag.endswith("}item")}
        title = next((item.text or "" for item in tree.iter() if item.tag.endswith("}title")), "")
        pieces: list[str] = []
        marks: Marks = []
        for reference in (item for item in tree.iter() if item.tag.endswith("}itemref")):
            item = items.get(reference.get("idref"))
            if item is None or "nav" in (item.get("properties") or "").split():
                continue
            place = posixpath.normpath(posixpath.join(posixpath.dirname(package), unquote(item.get("href") or "")))
            if place in names:
                soup = parse_html(decode(archive.read(place), html=True))
                text, found = mark_html(soup.body or soup)
                text = text.lstrip()
                if text and not text.startswith(MARK):  # ends the sections of the chapter before
                    text = MARK + text
                    marks.append((0, ""))
                pieces += [text, "\n\n", EDGE]
                marks += found
    yield job.document("".join(pieces), marks, title or job.stem)
