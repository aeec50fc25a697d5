"""How documents are read: `python -m bench.documents FOLDER [--part PART] [--worst N]`.

FOLDER is a checkout of trafilatura (its evaluation of 990 web pages), of markitdown (its expected outputs), or any
folder of .html, .docx, .epub and .pdf files. Such corpora are fetched, never committed.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup, Tag

from bench.__main__ import table
from rag.errors import SourceError
from rag.settings import Settings, load_settings
from rag.sources.loader import load_source

Row = list[str]


@dataclass
class Read:
    """A file as the loader reads it. `wrong` counts what is missing or should not be there, and `why` says what."""

    name: str
    text: str
    seconds: float
    refused: str = ""
    wrong: int = 0
    why: list[str] = field(default_factory=list)


def read(path: Path, settings: Settings) -> Read:
    """Read a file in the bounded child process, as the app does."""
    began = time.monotonic()
    try:
        loaded = load_source(str(path), settings, private=True)
    except SourceError as error:
        return Read(path.name, "", time.monotonic() - began, error.reason)
    text = "\n".join(item.page_content for item in loaded.documents) if loaded else ""
    return Read(path.name, text, time.monotonic() - began)


# Web pages: phrases that must come and phrases that must not


def web_pages(tests: Path, settings: Settings) -> tuple[list[Read], dict[str, Any]]:
    """Trafilatura's evaluation: precision and recall over all phrases, and pages with none that must come.

    Phrases are looked for in the text with its white space made single blanks, as the evaluation itself does.
    """
    pages = json.loads((tests / "evaldata.json").read_text("utf-8"))
    reads: list[Read] = []
    right = missing = extra = none = 0
    for page in pages.values():
        path = next(file for kind in ("cache", "eval") if (file := tests / kind / page["file"]).is_file())
        item = read(path, settings)
        text = _flat(item.text)
        absent = [phrase for phrase in page["with"] if _flat(phrase) not in text]
        present = [phrase for phrase in page["without"] if _flat(phrase) in text]
        item.wrong = len(absent) + len(present)
        item.why = [f"missing: {phrase[:60]}" for phrase in absent] + [f"too much: {phrase[:60]}" for phrase in present]
        right += len(page["with"]) - len(absent)
        missing += len(absent)
        extra += len(present)
        none += len(absent) == len(page["with"])
        reads.append(item)
    return reads, {
        "pages": len(reads),
        "precision": right / max(right + extra, 1),
        "recall": right / max(right + missing, 1),
        "pages with none": none,
    }


# Tables: rows of the file's own markup, or of an expected output, that are one line of the text


def table_rows(files: list[Path], rows_of: Callable[[Path], Iterator[Row]], settings: Settings) -> list[Any]:
    """The files as read, the rows of their tables, and how many of these are on one line."""
    reads: list[Read] = []
    total = found = 0
    for path in files:
        try:
            rows = [row for row in rows_of(path) if len(row) > 1]
        except Exception as error:  # a file of a corpus may be damaged on purpose
            reads.append(Read(path.name, "", 0.0, f"the rows cannot be counted ({type(error).__name__})"))
            continue
        item = read(path, settings)
        lines = [_bare(line) for line in item.text.split("\n")]
        broken = [row for row in rows if not any(all(_bare(cell) in line for cell in row) for line in lines)]
        item.wrong = len(broken)
        item.why = ["row: " + " | ".join(cell[:20] for cell in row[:6]) for row in broken]
        total += len(rows)
        found += len(rows) - len(broken)
        reads.append(item)
    return [
        reads,
        {"files": len(reads), "rows": total, "on one line": found, "share": found / total if total else None},
    ]


def html_rows(markup: bytes | str) -> Iterator[Row]:
    """The cells with text of each row of the tables that hold no other table and are not for layout."""
    for grid in BeautifulSoup(markup, "lxml").find_all("table"):
        apart = grid.find("table") or grid.find_parent(["nav", "footer"]) or grid.find_parent(role="navigation")
        if not apart and grid.get("role") not in ("presentation", "none"):
            for row in grid.find_all("tr"):
                yield _with_text(cell.get_text() for cell in row.find_all(["td", "th"]) if _is_shown(cell))


def page_rows(path: Path) -> Iterator[Row]:
    """The rows of a web page's tables."""
    return html_rows(path.read_bytes())


def book_rows(path: Path) -> Iterator[Row]:
    """The rows of the tables of a book's chapters."""
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith((".xhtml", ".html", ".htm")):
                yield from html_rows(archive.read(name))


def word_rows(path: Path) -> Iterator[Row]:
    """The rows of a Word file's tables that hold no other table."""
    import docx

    for grid in docx.Document(io.BytesIO(path.read_bytes())).tables:
        for row in grid.rows:
            if not any(cell.tables for cell in row.cells):
                yield _with_text(cell.text for cell in row.cells)


def expected_rows(path: Path) -> Iterator[Row]:
    """The rows of the Markdown tables in the expected output beside a PDF."""
    text = (path.parent / "expected_outputs" / f"{path.stem}.md").read_text("utf-8")
    for line in text.split("\n"):
        if line.startswith("|") and not re.fullmatch(r"[|\s:-]+", line):
            yield _with_text(line.strip("| ").split("|"))


def _with_text(cells: Any) -> Row:
    return [text for cell in cells if (text := _flat(cell))]


def _is_shown(cell: Tag) -> bool:
    return not any(hidden in str(cell.get("style", "")).replace(" ", "") for hidden in ("display:none",))


def _flat(text: str) -> str:
    return " ".join(text.split())


def _bare(text: str) -> str:
    return "".join(text.split())


# What it shows


def shown(name: str, reads: list[Read], figures: dict[str, Any], worst: int) -> str:
    """The figures, the time a file, and the files with most that is wrong, with the reasons."""
    times = sorted(item.seconds for item in reads) or [0.0]
    figures |= {
        "refused": sum(bool(item.refused) for item in reads),
        "ms a file (median)": 1000 * times[len(times) // 2],
        "ms (slowest)": 1000 * times[-1],
    }
    order = sorted(reads, key=lambda item: (item.wrong, bool(item.refused)), reverse=True)
    rows = [
        (item.name[:50], item.wrong, item.refused[:80] or "; ".join(item.why[:3])[:200])
        for item in order[:worst]
        if item.wrong or item.refused
    ]
    return f"\n== {name}\n{table(list(figures), [list(figures.values())])}\n{table(('file', 'wrong', 'why'), rows)}"


def main() -> None:
    """Measure what the folder has."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--part", choices=["pages", "html", "docx", "epub", "pdf"], help="this part alone")
    parser.add_argument("--worst", type=int, default=10, help="files to name")
    options = parser.parse_args()
    folder: Path = options.folder
    with tempfile.TemporaryDirectory(prefix="rag-bench-") as data:
        settings = load_settings(data_dir=Path(data))
        parts: dict[str, Callable[[], Any]] = {}
        for found in sorted(folder.rglob("evaldata.json"))[:1]:
            parts["pages"] = lambda tests=found.parent: web_pages(tests, settings)
        for ending, rows_of in {"html": page_rows, "docx": word_rows, "epub": book_rows}.items():
            files = [] if "pages" in parts else sorted(folder.rglob(f"*.{ending}"))
            if files:
                parts[ending] = lambda files=files, rows_of=rows_of: table_rows(files, rows_of, settings)
        pdfs = sorted(
            file for file in folder.rglob("*.pdf") if (file.parent / "expected_outputs" / f"{file.stem}.md").is_file()
        )
        if pdfs:
            parts["pdf"] = lambda: table_rows(pdfs, expected_rows, settings)
        for name, measure in parts.items():
            if options.part in (None, name):
                reads, figures = measure()
                print(shown(name, reads, figures, options.worst), flush=True)


if __name__ == "__main__":
    main()
