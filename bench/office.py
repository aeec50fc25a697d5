"""How much of Office files is read: `python -m bench.office FOLDER`, a folder with any number of them.

What should come is taken from the files' own XML, in a way of its own that knows nothing of the readers: the words of
each part, the cells of each row. A corpus is fetched, never committed; issue 22 measured those of python-docx,
mammoth, docling, markitdown, python-pptx and Apache POI.
"""

from __future__ import annotations

import re
import sys
import time
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from xml.etree import ElementTree

from bench.__main__ import table
from rag.errors import SourceError
from rag.sources.formats import FILE_TYPES, Job
from rag.sources.reader import Parser

ENDINGS = (*(".docx", ".docm", ".dotx", ".pptx", ".pptm", ".xlsx", ".xlsm"), ".odt", ".ods", ".odp", ".rtf")
GONE = ("del", "moveFrom", "Fallback", "instrText", "delText")
"""What a reader of the document does not see."""
INLINE = ("r", "ins", "hyperlink", "smartTag", "moveTo", "fldSimple", "fld", "sdt", "sdtContent", "bdo", "dir")
MARKS = ("pPr", "rPr", "bookmarkStart", "bookmarkEnd", "proofErr", "commentRangeStart", "commentRangeEnd", "endParaRPr")
MARKS += ("lastRenderedPageBreak", "permStart", "permEnd", "moveFromRangeStart", "moveFromRangeEnd", "fldChar")
MARKS += ("moveToRangeStart", "moveToRangeEnd", "ctrlPr")
"""What stands between two runs of one word."""
WORST = 10

Tree = ElementTree.Element


def local(item: Tree) -> str:
    """The name of an element without its namespace."""
    return item.tag.rpartition("}")[2] if isinstance(item.tag, str) else ""


def texts(item: Tree, names: tuple[str, ...] = ("t",), without: tuple[str, ...] = GONE) -> Iterator[str]:
    """The texts of the elements of these names; those of runs in a row as one."""
    run = ""
    for inner in item:
        name = local(inner)
        if name in without:
            continue
        if name in names:
            run += inner.text or ""
        elif name in ("tab", "ptab", "br", "cr", "noBreakHyphen"):
            run += " "
        elif name in INLINE and not any(local(part) in ("p", "txbxContent", "rt") for part in inner.iter()):
            run += "".join(texts(inner, names, without))
        else:
            if run and name not in MARKS:
                yield run
                run = ""
            yield from texts(inner, names, without)
    if run:
        yield run


def words(found: Iterator[str] | list[str]) -> set[str]:
    """The words and numbers in texts."""
    return {word for text in found for word in re.findall(r"[^\W_]+", text.casefold())}


def parts_of(archive: zipfile.ZipFile, pattern: str) -> Iterator[Tree]:
    """The parts whose name fits, but those that are damaged."""
    for name in archive.namelist():
        if re.fullmatch(pattern, name):
            try:
                yield ElementTree.fromstring(archive.read(name))
            except ElementTree.ParseError:
                continue


def related(archive: zipfile.ZipFile, kind: str) -> Iterator[Tree]:
    """The parts that any relation of this kind names."""
    targets = set()
    for name in archive.namelist():
        if name.endswith(".rels"):
            for item in ElementTree.fromstring(archive.read(name)):
                if item.get("Type", "").endswith(f"/{kind}") and item.get("TargetMode") != "External":
                    targets.add(item.get("Target", "").rpartition("/")[2])
    for target in sorted(targets):
        yield from parts_of(archive, rf"(?:.*/)?{re.escape(target)}")


def chart_words(archive: zipfile.ZipFile) -> set[str]:
    """Categories, names and titles of charts, and those of their values that no format changes."""
    found: list[str] = []
    for root in parts_of(archive, r".*/charts/chart[^/]*\.xml"):
        for item in root.iter():
            if local(item) in ("strCache", "numCache", "strLit", "numLit"):
                code = next((inner.text for inner in item if local(inner) == "formatCode"), "") or ""
                plain_code = code in ("General", "") or local(item).startswith("str")
                for value in (inner for inner in item.iter() if local(inner) == "v" and plain_code):
                    found.append(rounded(value.text or ""))
            elif local(item) == "rich":
                found += texts(item)
    return words(found)


def rounded(text: str) -> str:
    """A number in the digits that programs show."""
    try:
        return f"{Decimal(f'{Decimal(text):.14e}').normalize():f}"
    except InvalidOperation:
        return text


def expected(path: Path) -> dict[str, set[str]]:
    """The words that should come, by kind."""
    with zipfile.ZipFile(path) as archive:
        found: dict[str, set[str]] = {}
        if path.suffix.lower().startswith(".do"):
            main = list(parts_of(archive, r"word/document\d*\.xml"))
            found["docx: body"] = words([text for root in main for text in texts(root)])
            for kind in ("header", "footer", "comments", "footnotes", "endnotes"):
                found[f"docx: {kind}"] = words([text for root in related(archive, kind) for text in texts(root)])
            math = [item for root in main for item in root.iter() if local(item) == "oMath"]
            found["docx: equations"] = words([text for item in math for text in texts(item)])
            found["docx: charts"] = chart_words(archive)
            found["docx: diagrams"] = diagram_words(archive)
        elif path.suffix.lower().startswith(".pp"):
            found["pptx: slides"] = words(
                [t for root in parts_of(archive, r"ppt/slides/[^/]*\.xml") for t in slide_texts(root)]
            )
            found["pptx: notes"] = words(
                [t for root in parts_of(archive, r"ppt/notesSlides/[^/]*\.xml") for t in slide_texts(root)]
            )
            comments = list(parts_of(archive, r"ppt/comments/[^/]*\.xml"))
            found["pptx: comments"] = words([text for root in comments for text in texts(root, ("t", "text"))])
            found["pptx: charts"] = chart_words(archive)
            found["pptx: diagrams"] = diagram_words(archive)
        elif path.suffix.lower().startswith(".xl"):
            strings = list(parts_of(archive, r"xl/sharedStrings\.xml"))
            used = {
                cell[0].text
                for root in parts_of(archive, r"xl/worksheets/sheet\d*\.xml")
                for cell in root.iter()
                if local(cell) == "c" and cell.get("t") == "s" and len(cell)
            }
            shared = [list(texts(item, without=("rPh",))) for root in strings for item in root]
            found["xlsx: strings"] = words(
                [text for number, item in enumerate(shared) if str(number) in used for text in item]
            )
            comments = list(parts_of(archive, r"xl/comments[^/]*\.xml"))
            found["xlsx: comments"] = words(
                [text for root in comments for item in root.iter() if local(item) == "comment" for text in texts(item)]
            )
        elif path.suffix.lower().startswith(".od"):
            root = ElementTree.fromstring(archive.read("content.xml"))
            gone = [item for item in root.iter() if local(item) == "tracked-changes"]
            for item in gone:
                item.clear()
            body = next(item for item in root.iter() if local(item) == "body")
            found["odf: body"] = words([" ".join(p.itertext()) for p in body.iter() if local(p) in ("p", "h")])
        return found


def slide_texts(root: Tree) -> Iterator[str]:
    """The texts of a slide or of its notes, without its number."""
    for shape in root.iter():
        if local(shape) in ("sp", "graphicFrame") and not any(
            inner.get("type") == "sldNum" for inner in shape.iter() if local(inner) == "ph"
        ):
            yield from texts(shape)


def diagram_words(archive: zipfile.ZipFile) -> set[str]:
    """The texts of diagrams by their data."""
    roots = parts_of(archive, r".*/diagrams/data\d*\.xml")
    points = [item for root in roots for item in root.iter() if local(item) == "pt"]
    shown = [item for item in points if item.get("type") in (None, "node", "asst")]
    return words([text for item in shown for line in item.iter() if local(line) == "p" for text in texts(line)])


def rows_of(path: Path) -> Iterator[list[str]]:
    """The cells that have text of each row with two of them or more, of all tables of a Word file."""
    with zipfile.ZipFile(path) as archive:
        for root in parts_of(archive, r"word/document\d*\.xml"):
            for row in (item for item in root.iter() if local(item) == "tr"):
                if any(local(inner) in ("del", "tbl") for inner in row.iter()):
                    continue
                cells = [" ".join(texts(cell)) for cell in row if local(cell) == "tc"]
                cells = [text for text in cells if words([text])]
                if len(cells) > 1:
                    yield cells


def main() -> None:
    """Read all files of a folder, and print what came of what should."""
    parser = Parser()
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    seconds: dict[str, float] = defaultdict(float)
    worst: list[tuple[int, str, str]] = []
    for path in sorted(Path(sys.argv[1]).rglob("*")):
        ending = path.suffix.lower()
        if ending not in ENDINGS or ending not in FILE_TYPES or not path.is_file():
            continue
        began = time.monotonic()
        try:
            documents = parser.parse(Job(str(path), str(path), ending, f"named {ending}", path.name))
        except SourceError as error:
            documents = []
            kinds[ending]["without text" if "no text" in error.reason else "refused"] += 1
            if "no text" not in error.reason:
                continue
        seconds[ending] += time.monotonic() - began
        kinds[ending]["read"] += bool(documents)
        text = "\n".join(document.page_content for document in documents)
        had = words([text])
        try:
            wanted = expected(path) if ending != ".rtf" else {}
            rows = list(rows_of(path)) if ending.startswith(".do") else []
        except (zipfile.BadZipFile, KeyError, ElementTree.ParseError):
            continue
        for kind, should in wanted.items():
            missing = should - had
            counts[kind]["expected"] += len(should)
            counts[kind]["read"] += len(should) - len(missing)
            if missing:
                worst.append((len(missing), f"{path.name} ({kind})", " ".join(sorted(missing)[:8])))
        lines = [words([line]) for line in text.split("\n")]
        for row in rows:
            counts["docx: table rows on one line"]["expected"] += 1
            whole = words(row)
            if any(whole <= line for line in lines):
                counts["docx: table rows on one line"]["read"] += 1
            else:
                worst.append((1, f"{path.name} (row)", " | ".join(row)[:80]))
    parser.close()
    files = [
        (name, n["read"], n["without text"], n["refused"], 1000 * seconds[name] / max(1, n["read"]))
        for name, n in sorted(kinds.items())
    ]
    print(table(("files", "read", "without text", "refused", "ms a file"), files), end="\n\n")
    shares = [
        (kind, n["read"], n["expected"], n["read"] / n["expected"]) for kind, n in counts.items() if n["expected"]
    ]
    print(table(("words (or rows) of", "read", "expected", "share"), shares), end="\n\n")
    for count, name, missing in sorted(worst, reverse=True)[:WORST]:
        print(f"{count:5} missing: {name}: {missing}")


if __name__ == "__main__":
    main()
