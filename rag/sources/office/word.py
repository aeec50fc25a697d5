"""Word files become documents: all that a reader sees, tracked changes as accepted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from langchain_core.documents import Document

from rag.sources.flow import Flow
from rag.sources.formats import Job
from rag.sources.office.drawings import body_text, graphic_blocks
from rag.sources.office.equations import equation_text
from rag.sources.office.look_headings import may_be_heading
from rag.sources.office.ooxml import Package, left_out, number_of, with_notes
from rag.sources.office.page_edges import edge_text
from rag.sources.office.unseen import STRUCK, take_out_of_word
from rag.sources.office.word_fields import form_value, without_page_numbers
from rag.sources.office.word_headings import headings_by_look
from rag.sources.office.word_styles import Style, Styles, symbol
from rag.sources.office.word_tables import Table
from rag.sources.raised import raised
from rag.sources.tables import cell_text, table_lines
from rag.sources.xml_tree import Element, attribute, below, child, children, local
from rag.sources.zipped import opened

_SIGNS = {"tab": "\t", "ptab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_GONE = frozenset(["del", "moveFrom", "delText", "delInstrText", "instrText", "pPr", "rPr", "sdtPr", "sectPr", "tblPr"])
"""What is not shown: text that was taken out, the codes of fields, and how things look."""
_LONGEST_HEADING = 300
"""Characters of a paragraph with a style of headings that is one."""
_DEEPEST = 100
"""Text boxes in notes in tables in text boxes."""


def read_word(job: Job) -> Iterator[Document]:
    """A Word file as one document; its headers come first, its footers last, notes and comments after their place."""
    with opened(job) as archive:
        word = _Word(Package(archive))
        word.read()
    document = job.document(word.flow.text, word.flow.marks, job.stem)
    yield from with_notes([document], word.notes())


class _Word:
    """One way through a file."""

    def __init__(self, package: Package) -> None:
        self.flow = Flow()
        self.counts: Counter[str] = Counter()
        self._package = package
        self._part = package.main
        self._styles = Styles(self._related_root("styles"), self._related_root("numbering"))
        self._footnotes = _by_id(self._seen(self._related_root("footnotes")), "footnote")
        self._endnotes = _by_id(self._seen(self._related_root("endnotes")), "endnote")
        self._comments = _by_id(self._seen(self._related_root("comments")), "comment")
        self._asides: list[Callable[[], None]] = []
        self._depth = 0
        self._caption = ""
        self._looks: dict[Element, int] = {}
        self._level = 0  # of the last heading whose style tells it

    def read(self) -> None:
        """Read all parts into `flow`."""
        body = child(self._seen(self._package.root(self._part)), "body")
        blocks = list(_blocks_of(body)) if body is not None else []
        self._looks = headings_by_look(blocks, self._styles)
        self._blocks(body if body is not None else ())
        self._show_asides()
        for comment in list(self._comments.values()):  # their places are gone
            self._comment(comment)
        headers, footers = self._edges("header"), self._edges("footer")
        self.flow.end_sections()
        for text in footers:
            self.flow.paragraph(f"Page footer: {text}")
        self.flow.put_in_front([f"Page header: {text}" for text in headers])

    def notes(self) -> list[str]:
        """What the file has, and what of it was not read."""
        counts = self.counts
        named = {"table": "", "chart": "", "equation": "", "comment": "", "footnote": ""}
        said = [number_of(counts[name], name) for name in named if counts[name]]
        said += ["tracked changes are read as accepted"] if counts["change"] else []
        said += [STRUCK] if counts["struck"] else []
        return said + left_out(self._package, self.counts, "picture", "embedded file")

    def _related_root(self, kind: str) -> Element | None:
        parts = self._package.related(self._part, kind)
        return self._package.root(parts[0]) if parts else None

    def _seen(self, root: Element | None) -> Element | None:
        """A part's tree, from which what is hidden or struck out is taken."""
        self.counts["struck"] += take_out_of_word(root, self._styles.says)
        return root

    def _edges(self, kind: str) -> list[str]:
        """What the headers or the footers of all pages add to the text, each once."""
        main, body = self._part, self.flow
        found: dict[str, None] = {}
        for part in self._package.related(main, kind):
            self._part, self.flow = part, Flow()
            root = self._seen(self._package.root(part))
            self._blocks(without_page_numbers(root) if root is not None else ())
            self._show_asides()
            found[edge_text(self.flow.text, body.text)] = None
        self._part, self.flow = main, body
        return list(filter(None, found))

    # Blocks

    def _blocks(self, items: Iterator[Element] | Element) -> None:
        """Read paragraphs and tables into the flow."""
        self._depth += 1
        joined = ""  # the text of a paragraph whose end was deleted: it goes on in the next one
        blocks = list(_blocks_of(items)) if self._depth < _DEEPEST else []
        for number, item in enumerate(blocks):
            if local(item) == "p":
                text = joined + self._inline(item)
                if child(item, "pPr", "rPr", "del") is not None and number + 1 < len(blocks):
                    joined = text
                    continue
                following = blocks[number + 1] if number + 1 < len(blocks) else None
                self._paragraph(item, text, following)
                joined = ""
            elif local(item) == "tbl":
                self._table(item)
            else:
                self.counts["embedded file"] += 1
        self._depth -= 1

    def _paragraph(self, item: Element, text: str, following: Element | None) -> None:
        style = self._styles.of(item)
        number = self._styles.number_of(item)  # Word counts items without text, too
        if not text.strip():
            pass
        elif style.is_caption and following is not None and local(following) == "tbl":
            self._caption = f"{number} {text}" if number else text
        elif level := self._level_of(item, style, text):
            self.flow.heading(f"{number} {text}", level)
        else:
            self.flow.paragraph(f"{number} {text}" if number else text, item=style.is_item)
        self._show_asides()

    def _level_of(self, item: Element, style: Style, text: str) -> int:
        """The level of a heading; 0 if a paragraph is none."""
        line = cell_text(text)
        if len(line) > _LONGEST_HEADING:
            return 0
        if style.level or (style.numbered_as and may_be_heading(line)):
            self._level = style.level or style.numbered_as
            return self._level
        below = 1 if style.is_heading else self._looks.get(item, 0)
        return self._level + below if below else 0

    def _table(self, item: Element) -> None:
        table = Table(item, self._cell)
        caption, self._caption = self._caption, ""
        if table.is_layout:
            if caption:
                self.flow.paragraph(caption)
            for cell in table.cells():
                self._blocks(cell)
            return
        self.counts["table"] += 1
        self.flow.table(table_lines(table.rows, header=table.header), caption or table.caption)
        self._show_asides()

    def _cell(self, cell: Element) -> str:
        """The text of a cell in one line, with that of tables in it; what stands beside it comes after the table."""
        self._depth += 1
        texts = []
        for item in _blocks_of(cell) if self._depth < _DEEPEST else ():
            if local(item) == "p":
                number = self._styles.number_of(item)
                text = self._inline(item)
                texts.append(f"{number} {text}" if number and text.strip() else text)
            elif local(item) == "tbl":
                texts.append(self._table_text(item).replace("\n", "; "))
        self._depth -= 1
        return cell_text(" ".join(texts))

    # Text in a paragraph

    def _inline(self, item: Element) -> str:
        """The text of a paragraph or of a part of it. Notes, text boxes and charts wait in `_asides`."""
        pieces = []
        for inner in item:
            name = local(inner)
            if name == "t":
                pieces.append(inner.text or "")
            elif name in _SIGNS:
                page = name == "br" and attribute(inner, "type") in ("page", "column")
                pieces.append("" if page else _SIGNS[name])
            elif name in ("del", "ins", "moveFrom", "moveTo") and local(item) != "pPr":
                self.counts["change"] += 1
                pieces.append(self._inline(inner) if name in ("ins", "moveTo") else "")
            elif name in _GONE:
                continue
            elif name in ("oMath", "oMathPara"):
                self.counts["equation"] += 1
                side_by_side = bool(pieces) and pieces[-1][-1:].isalnum()
                pieces.append((" " if side_by_side else "") + equation_text(inner))
            elif name == "sym":
                pieces.append(symbol(attribute(inner, "font"), attribute(inner, "char")))
            elif name in ("footnoteReference", "endnoteReference"):
                pieces.append(self._note(inner, self._footnotes if name[0] == "f" else self._endnotes))
            elif name == "commentReference":
                self._later(self._comment, self._comments.get(attribute(inner, "id")))
            elif name in ("drawing", "pict", "object"):
                self._drawing(inner)
            elif name == "rt":
                pieces.append(f" ({self._inline(inner)})")
            elif name == "fldChar":
                pieces.append(form_value(inner))
            elif len(inner):
                text = self._inline(inner)
                place = attribute(child(inner, "rPr", "vertAlign"), "val") if name == "r" else ""
                pieces.append(raised(text) if place == "superscript" else text)
        if local(item) == "ruby":  # the reading after the word
            pieces = [self._inline(part) for part in children(item, "rubyBase")]
            pieces += [f" ({self._inline(part)})" for part in children(item, "rt")]
        return "".join(pieces)

    def _later(self, show: Callable[[Element], None], item: Element | None) -> None:
        if item is not None:
            self._asides.append(lambda: show(item))

    def _show_asides(self) -> None:
        waiting, self._asides = self._asides, []
        for show in waiting:
            show()
            self._show_asides()

    def _note(self, reference: Element, notes: dict[str, Element]) -> str:
        """The sign of a note in the text; the note itself comes after the paragraph."""
        note = notes.pop(attribute(reference, "id"), None)
        if note is None:
            return ""
        self.counts["footnote"] += 1
        sign = f"[{self.counts['footnote']}]"
        self._asides.append(lambda: self.flow.paragraph(f"{sign} {self._all_text(note)}"))
        return f" {sign}"

    def _comment(self, comment: Element) -> None:
        identity = attribute(comment, "id")
        if self._comments.pop(identity, None) is None:
            return  # shown at its place already
        self.counts["comment"] += 1
        author = attribute(comment, "author").strip()
        label = f"Comment by {author}" if author else "Comment"
        if text := self._all_text(comment):
            self.flow.paragraph(f"{label}: {text}")

    def _all_text(self, item: Element) -> str:
        """The text of a note or comment, its paragraphs as lines."""
        blocks = _blocks_of(item)
        texts = (self._inline(block) if local(block) == "p" else self._table_text(block) for block in blocks)
        return "\n".join(filter(None, map(str.strip, texts)))

    def _table_text(self, item: Element) -> str:
        """The text of a table in a cell or a note, a row a line."""
        if local(item) != "tbl":
            return ""
        table = Table(item, self._cell)
        if table.is_layout:
            return "\n".join(filter(None, map(self._cell, table.cells())))
        return "\n".join(table_lines(table.rows, header=table.header))

    def _drawing(self, drawing: Element) -> None:
        """Text boxes, charts and diagrams are read after the paragraph that holds them; pictures are counted."""
        found = False
        for box in _outermost(drawing, "txbxContent"):
            found = True
            self._later(self._blocks, box)
        for body in below(drawing, "txBody"):
            found = True
            self._asides.append(lambda body=body: self.flow.paragraph(body_text(body)))  # type: ignore[misc]
        for art in below(drawing, "textpath"):
            found = True
            self._asides.append(lambda art=art: self.flow.paragraph(attribute(art, "string")))  # type: ignore[misc]
        part = self._part
        for title, lines in graphic_blocks(self._package, part, drawing):
            found = True
            self.counts["chart"] += 1
            self._asides.append(lambda title=title, lines=lines: self.flow.table(lines, title))  # type: ignore[misc]
        if found:
            return
        if local(drawing) == "object":
            self.counts["embedded file"] += 1
        elif any(True for name in ("blip", "imagedata") for _ in below(drawing, name)):
            self.counts["picture"] += 1
        for described in below(drawing, "docPr"):
            text = cell_text(attribute(described, "descr"))
            if len(text.split()) > 1 and "/" not in text and "\\" not in text:
                self._asides.append(lambda text=text: self.flow.paragraph(f"Picture: {text}"))  # type: ignore[misc]


def _by_id(root: Element | None, name: str) -> dict[str, Element]:
    """The notes or comments of a part, without the lines that set notes apart."""
    found = children(root, name)
    usual = (item for item in found if attribute(item, "type") not in ("separator", "continuationSeparator"))
    return {attribute(item, "id"): item for item in usual}


def _blocks_of(items: Iterator[Element] | Element) -> Iterator[Element]:
    """Paragraphs, tables and embedded texts, also those in controls and marks around them."""
    for item in items:
        name = local(item)
        if name in ("p", "tbl", "altChunk"):
            yield item
        elif name and name not in _GONE and not name.endswith("Pr"):
            yield from _blocks_of(item)


def _outermost(item: Element, name: str) -> Iterator[Element]:
    for inner in item:
        if local(inner) == name:
            yield inner
        else:
            yield from _outermost(inner, name)
