"""OpenDocument becomes documents: texts, sheets and slides of LibreOffice and others, tracked changes as accepted."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Iterator

from langchain_core.documents import Document

from rag.sources.flow import Flow
from rag.sources.formats import MOST_TEXT, Job, Unreadable
from rag.sources.html.mathml import mathml_text
from rag.sources.office.odf_headings import headings_by_look
from rag.sources.office.odf_lists import Numbers, Place
from rag.sources.office.odf_styles import Styles
from rag.sources.office.odf_tables import Grid, sheet_rows
from rag.sources.office.ooxml import left_out, number_of, with_notes
from rag.sources.office.page_edges import edge_text
from rag.sources.office.sheet_tables import SheetTables
from rag.sources.office.unseen import STRUCK, take_out_of_open_document
from rag.sources.raised import raised
from rag.sources.tables import cell_text, table_lines
from rag.sources.xml_tree import Element, attribute, below, between, child, children, local, parse_xml
from rag.sources.zipped import opened

_GONE_WORDS = (
    "tracked-changes sequence-decls variable-decls user-field-decls forms note annotation bookmark-start desc "
)
_GONE_WORDS += (
    "title annotation-end number event-listeners glue-point ruby-text binary-data dde-connection-decls settings"
)
_GONE = frozenset(_GONE_WORDS.split())
"""What is not shown in its place: text that was taken out, declarations, and what `_inline` puts elsewhere."""
_PAGE_NUMBERS = ("page-number", "page-count", "page-continuation")
_DEEPEST = 100
_LONGEST_HEADING = 300
"""Characters of a paragraph with a style of headings that is one."""


def read_open_document(job: Job) -> Iterator[Document]:
    """A text or workbook as one document, a slide show as one document a slide.

    Raises:
        Unreadable: protected by a password, or as `opened`.
    """
    with opened(job) as archive:
        names = set(archive.namelist())
        if "META-INF/manifest.xml" in names and b"encryption-data" in archive.read("META-INF/manifest.xml"):
            raise Unreadable("the file is protected by a password")
        trees = {}
        for name in names:
            if posixpath.basename(name) in ("content.xml", "styles.xml"):
                trees[name] = parse_xml(archive.read(name)) if archive.getinfo(name).file_size else None
    if trees.get("content.xml") is None:
        raise job.damaged()
    struck = take_out_of_open_document(tree for tree in trees.values() if tree is not None)
    reader = _Reader(trees)
    if job.ending == ".odp":
        documents = []
        for number, flow in enumerate(reader.slides(), start=1):
            documents.append(job.document(flow.text, flow.marks, job.stem, page=number))
    else:
        reader.read()
        documents = [job.document(reader.flow.text, reader.flow.marks, job.stem)]
    yield from with_notes(documents, [*reader.notes(), *([STRUCK] if struck else [])])


class _Reader:
    """One way through a file."""

    def __init__(self, trees: dict[str, Element | None]) -> None:
        self.flow = Flow()
        self.counts: Counter[str] = Counter()
        self.hidden: list[str] = []
        self._trees = trees
        self._root = trees["content.xml"]
        body = child(self._root, "body")
        self._body = body[0] if body is not None and len(body) else None
        self._asides: list[tuple[str, Element]] = []
        self._depth = 0
        self._in_edge = False
        self._caption = ""
        sources = [tree for name in ("styles.xml", "content.xml") if (tree := trees.get(name)) is not None]
        self._styles = Styles(sources)
        self._level = 0  # of the last heading whose level is said
        self._is_show = self._body is not None and local(self._body) == "presentation"
        self._places: dict[Element, Place] = {}
        if self._body is not None and local(self._body) != "spreadsheet":
            self._places = Numbers(sources, self._styles).read(self._body)
        self._looks: dict[Element, int] = {}
        if self._body is not None and local(self._body) == "text":
            self._looks = headings_by_look(self._body, self._styles, self._places)

    def notes(self) -> list[str]:
        """What the file has, and what of it was not read."""
        kinds = ("slide", "sheet", "table", "chart", "equation", "comment", "footnote")
        said = [number_of(self.counts[name], name) for name in kinds if self.counts[name]]
        if any(True for _ in below(self._root, "tracked-changes")):
            said.append("tracked changes are read as accepted")
        if self.hidden:
            said.append(f"hidden, read too: {', '.join(self.hidden[:20])}")
        return said + left_out(None, self.counts, "picture", "embedded file")

    def read(self) -> None:
        """Read a text or a workbook into `flow`."""
        if self._body is not None:
            if local(self._body) == "spreadsheet":
                for table in below(self._body, "table"):
                    self._sheet(table)
            else:
                self._blocks(self._body)
        headers, footers = self._edges("header"), self._edges("footer")
        self.flow.end_sections()
        for text in footers:
            self.flow.paragraph(f"Page footer: {text}")
        self.flow.put_in_front([f"Page header: {text}" for text in headers])

    def _edges(self, kind: str) -> list[str]:
        """What the headers or footers of all pages add to the text, each once."""
        styles = self._trees.get("styles.xml")
        found: dict[str, None] = {}
        body, self._in_edge = self.flow, True
        for page in below(styles, "master-page") if styles is not None else ():
            for item in page:
                if local(item) in (kind, f"{kind}-left", f"{kind}-first") and attribute(item, "display") != "false":
                    self.flow = Flow()
                    self._blocks(item)
                    found[edge_text(self.flow.text, body.text)] = None
        self.flow, self._in_edge = body, False
        return list(filter(None, found))

    # Blocks

    def _blocks(self, parent: Element, *, item: bool = False) -> None:
        self._depth += 1
        blocks = [block for block in parent if local(block)] if self._depth < _DEEPEST else []
        for number, block in enumerate(blocks):
            name = local(block)
            if name == "h":
                level = attribute(block, "outline-level")
                self._heading(self._numbered(block), int(level) if level.isdecimal() and len(level) < 3 else 1)
            elif name == "p":
                text = self._numbered(block)
                following = local(blocks[number + 1]) if number + 1 < len(blocks) else ""
                if following == "table" and self._is_caption(block) and text.strip():
                    self._caption = text
                elif (told := self._level_of(block, text)) is not None:
                    self._heading(text, told)
                elif block in self._looks:
                    self.flow.heading(text, self._level + self._looks[block])
                else:
                    self.flow.paragraph(text, item=item)
            elif name == "table":
                self._table(block)
            elif name in ("list", "list-item", "list-header", "numbered-paragraph"):
                self._blocks(block, item=True)
                continue
            elif name == "frame":
                self._frame(block)
            elif name == "annotation":
                self._asides.append(("comment", block))
            elif name not in _GONE:
                self._blocks(block, item=item)
                continue
            self._show_asides()
        self._depth -= 1

    def _level_of(self, paragraph: Element, text: str) -> int | None:
        """The level of a paragraph whose style is one of headings, 0 if that is not said; None for others."""
        is_short = len(text.strip()) <= _LONGEST_HEADING and not text.strip().endswith((",", ";"))
        return self._styles.level_of(attribute(paragraph, "style-name")) if is_short else None

    def _heading(self, text: str, level: int) -> None:
        """Add a heading; level 0: below the last one whose level is said."""
        if text.strip():
            self._level = level or self._level
            self.flow.heading(text, level or self._level + 1)

    def _numbered(self, block: Element, *, in_cell: bool = False) -> str:
        """The text of a paragraph with the number in front of it; on slides also with bullets, and indented."""
        place, text = self._places.get(block), self._inline(block)
        return place.in_front_of(text, as_list=self._is_show and not in_cell) if place and text.strip() else text

    def _is_caption(self, paragraph: Element) -> bool:
        """Whether a paragraph has the number of a table, or the style of the names of tables."""
        style = attribute(paragraph, "style-name")
        parent = attribute(self._styles.own("paragraph", style), "parent-style-name")
        return bool({style, parent} & {"Table", "Caption"}) or any(
            attribute(sequence, "name") == "Table" for sequence in below(paragraph, "sequence")
        )

    def _table(self, table: Element) -> None:
        caption, self._caption = self._caption, ""
        grid = Grid(table, self._cell)
        if grid.is_layout:
            self.flow.paragraph(caption)
            for cell in grid.cells:
                self._blocks(cell)
            return
        self.counts["table"] += 1
        self.flow.table(table_lines(grid.rows, header=grid.header), caption)

    def _cell(self, cell: Element) -> str:
        """The text of a cell in one line, with that of tables in it."""
        self._depth += 1
        texts = []
        for block in cell.iter() if self._depth < _DEEPEST else ():
            name = local(block)
            if any(local(parent) in ("table", *_GONE) for parent in between(block, cell)):
                continue
            if name in ("p", "h") and not any(local(parent) in ("p", "h") for parent in between(block, cell)):
                texts.append(self._numbered(block, in_cell=True))
            elif name == "table":
                grid = Grid(block, self._cell)
                lines = table_lines(grid.rows, header=grid.header) if grid.rows else map(self._cell, grid.cells)
                texts.append("; ".join(filter(None, lines)))
        self._depth -= 1
        return cell_text(" ".join(texts))

    # Text

    def _inline(self, item: Element) -> str:
        """The text of a paragraph. Notes, comments, text boxes and objects wait in `_asides`."""
        pieces = [item.text or ""]
        for inner in item:
            name = local(inner)
            if name == "s":
                count = attribute(inner, "c")
                pieces.append(" " * (min(int(count), 100) if count.isdecimal() else 1))
            elif name == "tab":
                pieces.append("\t")
            elif name == "line-break":
                pieces.append("\n")
            elif name == "note":
                self.counts["footnote"] += 1
                sign = f"[{self.counts['footnote']}]"
                pieces.append(f" {sign}")
                if (body := child(inner, "note-body")) is not None:
                    self._asides.append((sign, body))
            elif name == "annotation":
                self._asides.append(("comment", inner))
            elif name == "frame":
                self._asides.append(("frame", inner))
            elif name == "custom-shape":
                self._asides.append(("box", inner))
            elif name == "ruby":
                pieces += [self._inline(part) for part in children(inner, "ruby-base")]
                pieces += [f" ({self._inline(part)})" for part in children(inner, "ruby-text")]
            elif name and name not in _GONE and not (self._in_edge and name in _PAGE_NUMBERS):
                text = self._inline(inner)
                pieces.append(raised(text) if self._styles.is_raised(attribute(inner, "style-name")) else text)
            pieces.append(inner.tail or "")
        return "".join(pieces) if local(item) != "p" else "".join(pieces).replace("\u00ad", "")

    def _show_asides(self) -> None:
        waiting, self._asides = self._asides, []
        for kind, item in waiting:
            if kind == "frame":
                self._frame(item)
            elif kind == "box":
                self._blocks(item)
            elif kind == "comment":
                self.counts["comment"] += 1
                self.flow.paragraph(f"{_author(item)}: {self._lines(item)}")
            else:
                self.flow.paragraph(f"{kind} {self._lines(item)}")
            self._show_asides()

    def _lines(self, item: Element) -> str:
        """The paragraphs of a note or comment, a line each."""
        return "\n".join(filter(None, (self._inline(block).strip() for block in below(item, "p"))))

    def _frame(self, frame: Element) -> None:
        """A text box, table, chart, equation or picture."""
        for inner in frame:
            name = local(inner)
            if name == "text-box":
                self._blocks(inner)
            elif name == "table":
                self._table(inner)
            elif name == "object":
                self._object(inner)
                return
            elif name == "object-ole":
                self.counts["embedded file"] += 1
                return
            elif name == "image":
                self.counts["picture"] += 1
                described = child(frame, "desc")
                text = cell_text(described.text) if described is not None else ""
                self.flow.paragraph(f"Picture: {text}" if len(text.split()) > 1 else "")
                return

    def _object(self, item: Element) -> None:
        """An equation, or a chart with the values that it shows."""
        place = posixpath.normpath(posixpath.join(attribute(item, "href"), "content.xml"))
        root = item[0] if len(item) else self._trees.get(place)
        if root is None:
            self.counts["embedded file"] += 1
        elif local(root) == "math":
            self.counts["equation"] += 1
            self.flow.paragraph(mathml_text(root))
        elif (chart := next(below(root, "chart"), None)) is not None and (area := child(chart, "chart")) is not None:
            self.counts["chart"] += 1
            titles = [self._lines(title) for name in ("title", "subtitle") for title in children(area, name)]
            axes = [self._lines(title) for axis in below(area, "axis") for title in children(axis, "title")]
            tables = [Grid(table, self._cell) for table in children(area, "table")]
            lines = [line for grid in tables for line in table_lines(grid.rows, header=1)]
            lines += [f"In the chart: {'; '.join(axes)}"] if any(axes) else []
            self.flow.table(lines, ", ".join(titles))
        else:
            self._blocks(root)

    # Sheets and slides

    def _sheet(self, table: Element) -> None:
        if any(local(parent) in ("table", "object", "tracked-changes") for parent in table.iterancestors()):
            return
        outer, self.flow = self.flow, Flow()
        tables = SheetTables(self.flow)
        for row in sheet_rows(table, self._cell, self._cell_comments):
            tables.add(row)
            if tables.size > MOST_TEXT:
                break  # `documents.read` refuses it
        tables.end()
        self._asides = []
        self.counts["table"] += tables.count
        for shapes in children(table, "shapes"):
            self._blocks(shapes)
        for frame in (frame for cell in below(table, "table-cell") for frame in children(cell, "frame")):
            self._frame(frame)
        sheet, self.flow = self.flow, outer
        name = cell_text(attribute(table, "name")) or "Sheet"
        if sheet.pieces:
            self.counts["sheet"] += 1
            self.flow.heading(name, 1)
            settings = child(self._styles.own("table", attribute(table, "style-name")), "table-properties")
            if attribute(settings, "display") == "false":
                self.hidden.append(name)
                self.flow.paragraph("(This sheet is hidden.)")
            self.flow.append(sheet)

    def _cell_comments(self, cell: Element) -> list[str]:
        found = children(cell, "annotation")
        self.counts["comment"] += len(found)
        return list(filter(None, (cell_text(self._lines(item)) for item in found)))

    def slides(self) -> Iterator[Flow]:
        """Each slide of a show."""
        for number, page in enumerate(children(self._body, "page"), 1):
            self.flow = Flow()
            self.counts["slide"] += 1
            frames = children(page, "frame")
            title = next((frame for frame in frames if attribute(frame, "class") == "title"), None)
            if title is not None:
                self.flow.heading(self._cell(title), 1)
            settings = child(self._styles.own("drawing-page", attribute(page, "style-name")), "drawing-page-properties")
            if attribute(settings, "visibility") == "hidden":
                self.hidden.append(f"slide {number}")
                self.flow.paragraph("(This slide is hidden in the show.)")
            for shape in page:
                name = local(shape)
                if shape is title or name in ("forms", "notes", "annotation") or not name:
                    continue
                whole, self.flow = self.flow, Flow()  # a list ends with its shape
                self._frame(shape) if name == "frame" else self._blocks(shape)
                self._show_asides()
                whole.append(self.flow)
                self.flow = whole
            for notes in children(page, "notes"):
                for frame in children(notes, "frame"):
                    if attribute(frame, "class") in ("notes", "") and (text := self._lines(frame)):
                        self.flow.paragraph(f"Notes: {text}")
            self._asides += [("comment", item) for item in children(page, "annotation")]
            self._show_asides()
            yield self.flow


def _author(comment: Element) -> str:
    name = child(comment, "creator")
    text = cell_text(name.text) if name is not None else ""
    return f"Comment by {text}" if text else "Comment"
