"""RTF becomes a document (Rich Text Format 1.9.1): headings, tables, notes, comments, page headers and footers."""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from langchain_core.documents import Document

from rag.sources.flow import Flow
from rag.sources.formats import Job
from rag.sources.office.ooxml import left_out, number_of, with_notes
from rag.sources.office.rtf_words import CHARSETS, EDGES, KEPT, SIGNS, SKIPPED, code_page
from rag.sources.office.word_styles import symbol
from rag.sources.outline import plain
from rag.sources.raised import raised
from rag.sources.tables import cell_text, table_lines

_TOKEN = re.compile(
    rb"\\(?P<word>[a-zA-Z]{1,32})(?P<number>-?[0-9]{1,10})? ?|\\'(?P<hex>[0-9a-fA-F]{2})|\\(?P<sign>[^a-zA-Z])"
    rb"|(?P<brace>[{}])|(?P<text>[^\\{}\r\n\0]+)|[\r\n\0]+|\\",
    re.DOTALL,
)
_DEEPEST = 2000
"""Groups within groups; the text of deeper ones is left out."""
_MOST_CELLS = 1000


def read_rtf(job: Job) -> Iterator[Document]:
    """An RTF file as one document, tracked changes as accepted."""
    reader = _Rtf()
    reader.read(Path(job.path).read_bytes())
    flow = Flow()
    for text in dict.fromkeys(reader.edges["header"]):
        flow.paragraph(f"Page header: {text}")
    flow.append(reader.flow)
    flow.end_sections()
    for text in dict.fromkeys(reader.edges["footer"]):
        flow.paragraph(f"Page footer: {text}")
    yield from with_notes([job.document(flow.text, flow.marks, job.stem)], reader.notes())


@dataclass
class _Group:
    """What holds within a pair of braces."""

    target: str = "text"
    unicode_skip: int = 1
    font: int = -1
    is_gone: bool = False  # hidden, struck out, or deleted by a tracked change
    is_raised: bool = False
    fresh: bool = False  # right after its opening brace
    starred: bool = False
    on_end: Callable[[], None] | None = None


@dataclass
class _Row:
    """A row of a table while it is read."""

    texts: list[str] = field(default_factory=list)
    merges: list[str] = field(default_factory=list)
    merge: str = ""
    is_header: bool = False


@dataclass
class _Here:
    """The text, note or page header that is being read. `level` and `style`: of its paragraph."""

    counts: Counter[str]
    flow: Flow = field(default_factory=Flow)
    text: list[str] = field(default_factory=list)
    in_table: bool = False
    row: _Row = field(default_factory=_Row)
    rows: list[list[str]] = field(default_factory=list)
    header: int = 0
    asides: list[str] = field(default_factory=list)  # notes, comments and text boxes of the paragraph
    beside: list[str] = field(default_factory=list)  # notes and comments of the table
    level: int = 0
    style: int = -1

    def word(self, word: str, number: int | None, styles: Mapping[int, int]) -> None:
        """Take in a word that has to do with paragraphs or tables; `styles` are the levels of styles of headings."""
        row = self.row
        if word in ("par", "sect", "page"):
            self.end_paragraph(styles)
        elif word == "pard":
            self.level, self.style, self.in_table = 0, -1, False
        elif word == "s":
            self.style = number or 0
        elif word == "outlinelevel":
            self.level = (number or 0) + 1
        elif word == "intbl":
            self.in_table = True
        elif word == "trowd":
            row.merges, row.merge, row.is_header = [], "", False
        elif word == "trhdr":
            row.is_header = True
        elif word in ("clmrg", "clvmrg"):
            row.merge = word
        elif word == "cellx":
            row.merges.append(row.merge)
            row.merge = ""
        elif word == "cell":
            text = cell_text(self._taken())
            row.texts.append(re.sub(r"( \| )?; |( \| )?$", lambda found: "; " if ";" in found[0] else "", text))
        elif word == "row":
            self._end_row()

    def _taken(self) -> str:
        """The text since the last paragraph; halves of characters beyond the first 65,536 become whole."""
        text = "".join(self.text)
        self.text = []
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def end_paragraph(self, styles: Mapping[int, int]) -> None:
        """Put the paragraph into the flow, or a line break into the cell."""
        if self.in_table:
            self.text.append("\n")
            return
        text = self._taken()
        if not text.strip() and not self.asides:
            return
        self.end_table()
        level = self.level or styles.get(self.style, 0)
        if 0 < level < 10 and len(text) < 300:
            self.flow.heading(text, level)
        else:
            self.flow.paragraph(text.strip("\n"))
        for aside in self.asides:
            self.flow.paragraph(aside)
        self.asides = []

    def _end_row(self) -> None:
        row, self.row = self.row, _Row(merges=self.row.merges, is_header=self.row.is_header)
        texts = row.texts[:_MOST_CELLS]
        for number, merge in enumerate(row.merges[: len(texts)]):
            if merge == "clmrg" and number:
                texts[number] = texts[number - 1]
            elif merge == "clvmrg" and self.rows and number < len(self.rows[-1]):
                texts[number] = self.rows[-1][number]
        if row.is_header and self.header == len(self.rows):
            self.header += 1
        self.rows.append(texts)
        self.beside += self.asides
        self.asides = []

    def end_table(self) -> None:
        """Put the table into the flow, if there is one."""
        if self.rows:
            self.counts["table"] += 1
            self.flow.table(table_lines(self.rows, header=self.header or None))
            self.rows, self.header = [], 0
            for text in self.beside:
                self.flow.paragraph(text)
            self.beside = []


class _Rtf:
    """One way through a file."""

    def __init__(self) -> None:
        self.edges: dict[str, list[str]] = {"header": [], "footer": []}
        self.counts: Counter[str] = Counter()
        self._here = _Here(self.counts)
        self._group = _Group()
        self._stack: list[_Group] = []
        self._bytes = bytearray()
        self._skip = 0
        self._encoding = "cp1252"
        self._fonts: dict[int, tuple[str, str]] = {}
        self._defined = -1
        self._styles: dict[int, int] = {}
        self._author = ""

    @property
    def flow(self) -> Flow:
        """The text that was read."""
        return self._here.flow

    def notes(self) -> list[str]:
        """What the file has, and what of it was not read."""
        said = [number_of(self.counts[name], name) for name in ("table", "comment", "footnote") if self.counts[name]]
        said += ["tracked changes are read as accepted"] if self.counts["change"] else []
        return said + left_out(None, self.counts, "picture")

    def read(self, data: bytes) -> None:
        """Read all of a file into `flow` and `edges`."""
        place = 0
        while found := _TOKEN.match(data, place):
            place = found.end()
            if text := found["text"]:
                if self._skip:
                    text, self._skip = text[self._skip :], max(0, self._skip - len(text))
                self._bytes += text
            elif found["hex"]:
                if self._skip:
                    self._skip -= 1
                else:
                    self._bytes.append(int(found["hex"], 16))
            elif found["brace"]:
                self._flush()
                self._skip = 0
                self._open() if found["brace"] == b"{" else self._close()
            elif found["word"]:
                word = found["word"].decode()
                number = int(found["number"]) if found["number"] else None
                if word == "bin":
                    place += max(0, min(number or 0, len(data)))
                else:
                    self._flush()
                    self._word(word, number)
            elif found["sign"]:
                self._flush()
                self._sign(found["sign"])
        self._flush()
        while self._stack:
            self._close()
        self._here.end_paragraph(self._styles)
        self._here.end_table()

    # Text

    def _flush(self) -> None:
        """Decode the bytes that have come in."""
        if not self._bytes:
            return
        data, self._bytes = bytes(self._bytes), bytearray()
        target = self._group.target
        if target == "fonts":
            if self._fonts.get(self._group.font, ("", ""))[1] == "symbol" and b"ingdings" in data:
                self._fonts[self._group.font] = ("wingdings", "symbol")
            return
        name, encoding = self._fonts.get(self._group.font, ("", ""))
        if encoding == "symbol":
            text = "".join(symbol(name, f"F0{byte:02X}") if byte > 32 else chr(byte) for byte in data)
        else:
            text = data.decode(encoding or self._encoding, "replace")
        if target == "styles":
            self._name_style(text)
        else:
            self._show(text)
        self._group.fresh = False

    def _show(self, text: str) -> None:
        if self._group.target == "text" and not self._group.is_gone:
            self._here.text.append(raised(text) if self._group.is_raised else text)

    # Groups

    def _open(self) -> None:
        self._stack.append(self._group)
        self._group = copy.copy(self._group)
        self._group.fresh, self._group.starred, self._group.on_end = True, False, None
        if len(self._stack) > _DEEPEST:
            self._group.target = "nothing"

    def _close(self) -> None:
        if self._group.on_end:
            self._group.on_end()
        if self._stack:
            self._group = self._stack.pop()
        self._group.fresh = False

    def _aside(self, show: Callable[[str], None]) -> None:
        """The text of this group is shown by `show` when it ends, and the text around it goes on as before."""
        outer, self._here = self._here, _Here(self.counts)
        self._group.target = "text"

        def end() -> None:
            self._here.end_paragraph(self._styles)
            self._here.end_table()
            text = "\n".join(filter(None, (line.strip() for line in plain(self.flow.text).split("\n"))))
            self._here = outer
            if text:
                show(text)

        self._group.on_end = end

    def _begin(self, word: str, *, starred: bool) -> bool:
        """Whether this is the first word of a group of its own kind, which is taken care of here."""
        group = self._group
        if group.target == "nothing" and word != "ud":
            return True
        kind = word[:6] if word in EDGES else ""
        if kind in self.edges:
            self._aside(self.edges[kind].append)
        elif word == "footnote":
            self.counts["footnote"] += 1
            sign = f"[{self.counts['footnote']}]"
            self._show(f" {sign}")
            self._aside(lambda text: self._here.asides.append(f"{sign} {text}"))
        elif word == "annotation":
            self.counts["comment"] += 1
            self._aside(self._comment)
        elif word == "atnauthor":
            self._aside(lambda text: setattr(self, "_author", text))
        elif word in ("shptxt", "dptxbxtext"):
            self._aside(lambda text: self._here.asides.append(text))
        elif word == "fonttbl":
            group.target = "fonts"
        elif word == "stylesheet":
            group.target = "styles"
        elif word == "ud":
            group.target = self._stack[-2].target if len(self._stack) > 1 else "text"
        elif word in SKIPPED or (starred and word not in KEPT):
            group.target = "nothing"
            self.counts["picture"] += word in ("pict", "shppict")
        else:
            return False
        return True

    def _comment(self, text: str) -> None:
        author, self._author = self._author, ""
        self._here.asides.append(f"Comment by {author}: {text}" if author else f"Comment: {text}")

    # Words

    def _sign(self, sign: bytes) -> None:
        if sign == b"*":
            self._group.starred = True
        elif sign in b"\r\n":
            self._word("par", None)
        else:
            self._skip = 0
            self._show(
                {b"~": "\u00a0", b"_": "-", b"-": ""}.get(sign, sign.decode("latin-1") if sign in b"{}\\" else "")
            )
            self._group.fresh = False

    def _word(self, word: str, number: int | None) -> None:
        group = self._group
        fresh, starred, group.fresh, group.starred = group.fresh, group.starred, False, False
        self._skip = 0
        if word == "u":
            self._skip = group.unicode_skip
            self._show(chr((number or 0) & 0xFFFF))
        elif word == "uc":
            group.unicode_skip = max(0, min(number or 0, 100))
        elif word in ("ansicpg", "mac", "pc", "pca"):
            self._encoding = code_page({"mac": 10000, "pc": 437, "pca": 850}.get(word, number or 1252))
        elif group.target == "fonts":
            self._font_word(word, number)
        elif group.target == "styles":
            self._style_word(word, number)
        elif ((fresh or word in SKIPPED) and self._begin(word, starred=starred)) or group.target == "nothing":
            return
        elif word in SIGNS:
            self._show(SIGNS[word])
        elif word == "f":
            group.font = number or 0
        elif word == "plain":
            group.font, group.is_gone, group.is_raised = -1, False, False
        elif word in ("super", "sub", "nosupersub"):
            group.is_raised = word == "super" and number != 0
        elif word in ("deleted", "v", "strike", "striked"):
            group.is_gone = number != 0
            self.counts["change"] += word == "deleted"
        elif word == "revised":
            self.counts["change"] += 1
        else:
            self._here.word(word, number, self._styles)

    def _font_word(self, word: str, number: int | None) -> None:
        if word == "f":
            self._group.font = number or 0
        elif word == "fcharset":
            encoding = "symbol" if number == 2 else CHARSETS.get(number or 0, "")
            self._fonts[self._group.font] = ("symbol", encoding)
        elif word == "cpg":
            self._fonts[self._group.font] = ("", code_page(number or 1252))

    def _style_word(self, word: str, number: int | None) -> None:
        if word in ("s", "cs", "ds", "ts"):
            self._defined = number or 0 if word == "s" else -1
        elif word == "outlinelevel" and self._defined >= 0:
            self._styles[self._defined] = (number or 0) + 1

    def _name_style(self, text: str) -> None:
        if self._defined >= 0 and (found := re.match(r"(?i)\s*heading ([1-9])\b", text)):
            self._styles[self._defined] = int(found[1])
        elif self._defined >= 0 and re.match(r"(?i)\s*title;", text):
            self._styles[self._defined] = 1
