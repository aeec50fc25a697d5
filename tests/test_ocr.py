"""Text recognition: pictures, scanned pages, what of a file is read by it, its bounds, and how it is turned off."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import pytest
from langchain_core.documents import Document
from PIL import Image

from rag.errors import SourceError
from rag.settings import Settings
from rag.sources.loader import load_source
from rag.sources.outline import RECOGNIZED
from rag.sources.pdf.boxes import boxes
from rag.sources.reader import PARSER, Watch
from tests.conftest import make_settings
from tests.files import drawn, picture, reason

CASES = Path(__file__).parent / "data" / "cases" / "pdf"
SAID = ("The lighthouse keeper counts", "forty-two ships a day.")


def scan(*pages: bytes | None) -> bytes:
    """A PDF of pictures; None: a page of text."""
    from pypdf import PdfReader, PdfWriter

    writer = PdfWriter()
    for page in pages:
        if page is None:
            made = io.BytesIO(drawn([(60.0, 700.0, 12.0, "A page that has its text in it, as most pages have.")]))
        else:
            made = io.BytesIO()
            Image.open(io.BytesIO(page)).save(made, "PDF")
        writer.append(PdfReader(made))
    held = io.BytesIO()
    writer.write(held)
    return held.getvalue()


def read(name: str, data: bytes, folder: Path, settings: Settings, watch: Watch | None = None) -> list[Document]:
    (folder / name).write_bytes(data)
    loaded = load_source(str(folder / name), settings, private=True, watch=watch or Watch())
    assert loaded is not None
    return loaded.documents


def test_a_picture_of_another_kind_than_its_name_says(tmp_path: Path, settings: Settings) -> None:
    (page,) = read("a.JPEG", picture(*SAID, kind="WEBP"), tmp_path, settings)
    assert " ".join(page.page_content.split()) == " ".join(SAID)
    assert page.metadata["notes"] == ["read by OCR"]
    assert page.metadata["title"] == "a.JPEG" and "page" not in page.metadata


def test_pages_of_a_tiff_and_progress(tmp_path: Path, settings: Settings) -> None:
    told: list[tuple[int, int]] = []
    watch = Watch(lambda page, pages: told.append((page, pages)))
    found = read("a.tif", picture(*SAID, kind="TIFF", pages=2), tmp_path, settings, watch)
    assert [page.metadata["page"] for page in found] == [1, 2] and told == [(1, 2), (2, 2)]
    assert found[0].metadata["notes"] == ["2 pages, read by OCR"]


@pytest.mark.parametrize("turned", [180, pytest.param(270, marks=pytest.mark.soak)])
def test_turned_scans(turned: int, tmp_path: Path, settings: Settings) -> None:
    more = ("They come from the north,", "and from the south,", "and some of them from far away.")
    (page,) = read("a.png", picture(*SAID, *more, turned=turned), tmp_path, settings)
    assert " ".join(page.page_content.split()).startswith(
        "The lighthouse keeper counts forty-two ships a day. They come"
    )


def test_scanned_pages_among_others(tmp_path: Path, settings: Settings) -> None:
    told: list[tuple[int, int]] = []
    data = scan(None, picture(*SAID), None)
    found = read("a.pdf", data, tmp_path, settings, Watch(lambda page, pages: told.append((page, pages))))
    assert told == [(2, 3)] and [page.metadata["page"] for page in found] == [1, 2, 3]
    assert "lighthouse keeper" in found[1].page_content
    assert found[0].metadata["notes"] == ["3 pages, 1 of them read by OCR"]
    start = found[1].page_content.index("lighthouse")
    kept = {2: found[1].metadata[RECOGNIZED]}
    (box,) = boxes(str(tmp_path / "a.pdf"), 2, found[1].page_content, start, start + 10, kept)
    width = 1000 * 72 / 72
    assert 0.08 * width < box.left < box.right < 0.5 * width and box.page == 2


def test_a_page_without_text_is_accounted_for(tmp_path: Path, settings: Settings) -> None:
    found = read("halfscan.pdf", (CASES / "halfscan.pdf").read_bytes(), tmp_path, settings)
    assert [page.metadata["page"] for page in found] == [1, 3]
    assert found[0].metadata["notes"] == ["left out: page 2 (no text was found in the picture)"]


def test_turned_off(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, ocr=False)
    (tmp_path / "a.png").write_bytes(picture(*SAID))
    assert "RAG_OCR" in reason(tmp_path / "a.png", settings)
    (tmp_path / "a.pdf").write_bytes(scan(picture(*SAID)))
    assert "RAG_OCR" in reason(tmp_path / "a.pdf", settings)
    found = read("b.pdf", scan(None, picture(*SAID)), tmp_path, settings)
    assert len(found) == 1 and "left out: page 2 (no text, and" in found[0].metadata["notes"][0]


def test_pictures_refused(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "blank.png").write_bytes(picture())
    assert "no text was found" in reason(tmp_path / "blank.png", settings)
    (tmp_path / "cut.png").write_bytes(picture(*SAID)[:500])
    assert "damaged" in reason(tmp_path / "cut.png", settings)
    huge = io.BytesIO()
    Image.new("1", (20_000, 10_000)).save(huge, "PNG")
    (tmp_path / "huge.png").write_bytes(huge.getvalue())
    assert "million pixels" in reason(tmp_path / "huge.png", settings)
    (tmp_path / "a.gif").write_bytes(b"GIF89a")
    assert "cannot be read" in reason(tmp_path / "a.gif", settings)


@pytest.mark.soak  # `test_library.py` cancels one in the library
def test_a_long_scan_is_cancelled_at_once(tmp_path: Path, settings: Settings) -> None:
    """60 pages would take a minute; the reader ends within a page, and reads the next file."""
    cancelled = threading.Event()
    watch = Watch(lambda page, pages: cancelled.set() if page == 2 else None, cancelled.is_set)
    with pytest.raises(SourceError, match="broken off"):
        read("long.pdf", scan(*[picture(*SAID)] * 60), tmp_path, settings, watch)
    assert PARSER.pid is None
    (page,) = read("next.pdf", scan(None), tmp_path, settings)
    assert page.page_content.startswith("A page that has its text")
