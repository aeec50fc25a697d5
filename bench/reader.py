"""`python -m bench.reader [FOLDER]`: whether the reader's boxes lie on the quoted words, and how long that takes.

200 quotes from pages that this draws: in two columns, turned, with ligatures, and as pictures that are read by text
recognition. With FOLDER, quotes from the PDFs in it as well. What counts is the text under the boxes, by the file's own
places of its characters (of a picture: by those of the page that it is a picture of), against the quote's: the same
letters, digits and signs, whatever the blanks and hyphens.
"""

from __future__ import annotations

import argparse
import random
import re
import tempfile
import textwrap
import time
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pypdfium2
import pypdfium2.raw as pdfium_c
from langchain_core.documents import Document
from rapidfuzz.distance import LCSseq

from bench.pdf_file import pdf_of
from bench.programs import ROOT
from rag.errors import SourceError
from rag.reader.pages import find
from rag.settings import Settings, load_settings
from rag.sources.loader import load_source
from rag.sources.outline import RECOGNIZED
from rag.sources.pdf.page import frame_of
from rag.sources.tables import SEPARATOR

QUOTES = 50
"""Of each kind of page."""
NEARLY = 0.95
"""Share of a recognized quote's letters that are to be the same: recognition misreads some, wherever the boxes are."""
_SENTENCE = re.compile(r"[A-Z][^.!?]{30,250}[.!?](?=\s|$)")
_LIGATURES = {"fi": "\x80", "fl": "\x81"}
"""Codes that the drawn font shows as one glyph."""


@dataclass
class Figures:
    """Of a kind of page. `seconds` is for each quote."""

    quotes: int = 0
    same: int = 0
    nearly: int = 0
    seconds: list[float] | None = None
    wrong: list[tuple[str, str]] | None = None


# -- pages that are drawn --------------------------------------------------------------------------------------------


def draw_pdf(texts: Sequence[Sequence[tuple[float, float, str]]], *, rotate: int = 0, ligatures: bool = False) -> bytes:
    """A PDF whose pages have lines at (left, baseline), 595 x 842 points as they are shown, whatever `rotate` says."""
    turns = {0: "", 90: "0 1 -1 0 842 0 cm", 180: "-1 0 0 -1 595 842 cm", 270: "0 -1 1 0 0 595 cm"}
    box = "[0 0 842 595]" if rotate in (90, 270) else "[0 0 595 842]"
    encoding = "<</Type/Encoding/BaseEncoding/WinAnsiEncoding/Differences[128/fi/fl]>>"
    parts = [b"<</Type/Catalog/Pages 2 0 R>>", b""]
    parts.append(f"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding {encoding}>>".encode())
    kids = []
    for lines in texts:
        shown = [f"BT /F 10 Tf {x} {y} Td ({_escaped(words, ligatures)}) Tj ET" for x, y, words in lines]
        content = "\n".join([turns[rotate], *shown]).encode("latin-1", "replace")
        kids.append(len(parts) + 1)
        resources = f"/Resources<</Font<</F 3 0 R>>>>/Contents {len(parts) + 2} 0 R"
        parts.append(f"<</Type/Page/Parent 2 0 R/MediaBox{box}/Rotate {rotate}{resources}>>".encode())
        parts.append(b"<</Length %d>>stream\n%s\nendstream" % (len(content), content))
    parts[1] = f"<</Type/Pages/Count {len(kids)}/Kids[{' '.join(f'{kid} 0 R' for kid in kids)}]>>".encode()
    return pdf_of(parts)


def _escaped(words: str, ligatures: bool) -> str:
    for letters, code in _LIGATURES.items() if ligatures else ():
        words = words.replace(letters, code)
    return re.sub(r"([\\()])", r"\\\1", words)


def lay_out(text: str, *, columns: int) -> list[list[tuple[float, float, str]]]:
    """A text as the lines of pages, in one column or two."""
    width = 46 if columns == 2 else 92
    lines = [line for block in text.split("\n\n") for line in (*textwrap.wrap(block, width), "")]
    pages, per_column = [], 55
    for first in range(0, len(lines), per_column * columns):
        page = []
        for number, line in enumerate(lines[first : first + per_column * columns]):
            column, row = divmod(number, per_column)
            if line:
                page.append((50.0 + 260 * column, 780.0 - 13 * row, line))
        pages.append(page)
    return pages


def scanned(path: Path, target: Path) -> None:
    """The same pages as pictures."""
    with closing(pypdfium2.PdfDocument(path)) as document:
        pictures = [document[number].render(scale=200 / 72).to_pil().convert("L") for number in range(len(document))]
    pictures[0].save(target, "PDF", resolution=200, save_all=True, append_images=pictures[1:])


def drawn_kinds(folder: Path) -> Iterator[tuple[str, Path, Path]]:
    """Each kind of page: its name, the file, and the file whose characters have places."""
    prose = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "bench/answers/documents").glob("prose-*.md"))]
    text = "\n\n".join(re.sub(r"(?m)^#+ |[*_`]", "", each) for each in prose)
    text = unicodedata.normalize("NFKD", text.replace("’", "'").replace("—", "-")).encode("ascii", "ignore").decode()
    made = {
        "two columns": draw_pdf(lay_out(text, columns=2)),
        "ligatures": draw_pdf(lay_out(text, columns=1), ligatures=True),
        **{f"turned by {angle}": draw_pdf(lay_out(text, columns=1), rotate=angle) for angle in (90, 180, 270)},
    }
    for name, data in made.items():
        path = folder / f"{name}.pdf"
        path.write_bytes(data)
        yield name, path, path
    pages = lay_out(text, columns=1)[:4]
    (folder / "page.pdf").write_bytes(draw_pdf(pages))
    scanned(folder / "page.pdf", folder / "scan.pdf")
    yield "OCR", folder / "scan.pdf", folder / "page.pdf"


# -- what is measured ------------------------------------------------------------------------------------------------


def folded(text: str) -> str:
    """What is compared: without blanks, hyphens and what the app puts between cells; ligatures as their letters."""
    text = text.replace(SEPARATOR, " ")
    kept = (letter for letter in unicodedata.normalize("NFKC", text) if not letter.isspace())
    return "".join(letter for letter in kept if letter not in "-\u00ad\u2010\u2011\ufffe\x02")


def text_under(path: Path, boxes: Sequence[Sequence[float]]) -> str:
    """The characters whose middle lies in the boxes, box by box."""
    found: list[str] = []
    before = ("", 0.0)
    box = pdfium_c.FS_RECTF()
    with closing(pypdfium2.PdfDocument(path)) as document:
        document.init_forms()
        for number, left, top, width, height in boxes:
            with closing(document[int(number) - 1]) as page, closing(page.get_textpage()) as textpage:
                frame = frame_of(page)
                wide, high = frame.size
                for place in range(textpage.count_chars()):
                    if not pdfium_c.FPDFText_GetLooseCharBox(textpage.raw, place, box):
                        continue
                    x0, y0, x1, y1 = frame.shown(box.left, box.bottom, box.right, box.top)
                    x, y = (x0 + x1) / 2 / wide, (y0 + y1) / 2 / high
                    letter = chr(pdfium_c.FPDFText_GetUnicode(textpage.raw, place))
                    is_again = (letter, x) == before  # a ligature is given once for each of its letters
                    before = (letter, x)
                    if left <= x <= left + width and top <= y <= top + height and not is_again:
                        found.append(letter)
    return "".join(found)


def quotes_of(documents: Sequence[Document], most: int, seed: int) -> list[tuple[Document, int, int]]:
    """Sentences of some documents."""
    found = [(item, *match.span()) for item in documents for match in _SENTENCE.finditer(item.page_content)]
    return random.Random(seed).sample(found, min(most, len(found)))


def measure(path: Path, places: Path, settings: Settings, most: int = QUOTES) -> Figures:
    """The figures of one file; `places` is the file whose characters have places."""
    loaded = load_source(str(path), settings, private=True)
    told = Figures(seconds=[], wrong=[])
    documents = loaded.documents if loaded else []
    for document, start, end in quotes_of(documents, most, 25):
        began = time.monotonic()
        page, text = document.metadata["page"], document.page_content
        kept = {item.metadata["page"]: item.metadata[RECOGNIZED] for item in documents if RECOGNIZED in item.metadata}
        boxes = find(str(path), page, text, (start, end), kept)["places"] or []
        assert told.seconds is not None and told.wrong is not None
        told.seconds.append(time.monotonic() - began)
        quote, under = folded(text[start:end]), folded(text_under(places, boxes))
        told.quotes += 1
        told.same += quote == under
        told.nearly += LCSseq.normalized_similarity(quote, under) >= NEARLY
        if quote != under:
            told.wrong.append((quote, under))
    return told


def main() -> None:
    """Print a line for each kind of page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="of PDFs to be measured as well")
    parser.add_argument("--show", action="store_true", help="print the quotes that differ")
    given = parser.parse_args()
    settings = load_settings()
    whole: dict[str, tuple[int, int, int]] = {}
    with tempfile.TemporaryDirectory() as name:
        kinds = list(drawn_kinds(Path(name)))
        for path in sorted(given.folder.rglob("*.pdf")) if given.folder else ():
            kinds.append((f"file {path.name}", path, path))
        for kind, path, places in kinds:
            most = QUOTES // 3 + 1 if kind.startswith("turned") else QUOTES
            try:
                told = measure(path, places, settings, most if not kind.startswith("file ") else 20)
            except SourceError:
                continue
            if not told.quotes:
                continue
            slowest = max(told.seconds or [0])
            middle = sorted(told.seconds or [0])[told.quotes // 2]
            print(
                f"{kind:44} quotes {told.quotes:3}  same {told.same:3}  nearly {told.nearly:3}"
                f"  median {middle:.3f} s  slowest {slowest:.2f} s",
                flush=True,
            )
            group = "files" if kind.startswith("file ") else "drawn"
            was = whole.get(group, (0, 0, 0))
            whole[group] = (was[0] + told.quotes, was[1] + told.same, was[2] + told.nearly)
            for quote, under in (told.wrong or []) if given.show else ():
                print(f"    quote {quote[:150]}\n    under {under[:150]}")
    for group, (quotes, same, nearly) in whole.items():
        print(f"{group}: {quotes} quotes, the same {same / quotes:.1%}, nearly the same {nearly / quotes:.1%}")


if __name__ == "__main__":
    main()
