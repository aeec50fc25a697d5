"""Slide shows become documents: a slide each, with all that it shows and what was said about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from langchain_core.documents import Document

from rag.sources.flow import Flow
from rag.sources.formats import Job
from rag.sources.office.drawings import body_text, graphic_blocks, grid_of
from rag.sources.office.ooxml import Package, left_out, number_of, with_notes
from rag.sources.office.slide_lists import listed_text
from rag.sources.office.slide_order import in_reading_order, placeholder
from rag.sources.outline import LONGEST_HEADING, plain
from rag.sources.tables import cell_text, table_lines
from rag.sources.xml_tree import Element, attribute, below, child, children, local
from rag.sources.zipped import opened

_TITLES = ("title", "ctrTitle")
_MOST_SLIDES = 10_000


def read_slides(job: Job) -> Iterator[Document]:
    """Each slide with its number, title, notes and comments as one document."""
    documents = []
    with opened(job) as archive:
        package = Package(archive)
        show = _Show(package)
        for number, part in enumerate(show.slides(), start=1):
            flow = Flow()
            show.read(part, number, flow)
            documents.append(job.document(flow.text, flow.marks, show.title or job.stem, page=number))
    yield from with_notes(documents, show.notes())


class _Show:
    """One way through a file."""

    def __init__(self, package: Package) -> None:
        self._package = package
        self.counts: Counter[str] = Counter()
        self.hidden: list[str] = []
        self.title = ""
        """That of the first slide, which says what all of them are about."""
        self._layouts: dict[str, tuple[Element | None, Element | None]] = {}
        self._masters: dict[str, Element | None] = {}
        self._authors: dict[str, str] = {}
        for part in package.related(package.main, "commentAuthors", "authors"):
            root = package.root(part)
            for author in root if root is not None else ():
                self._authors[attribute(author, "id")] = attribute(author, "name").strip()

    def slides(self) -> Iterator[str]:
        """The parts of the slides in order."""
        root = self._package.root(self._package.main)
        for item in children(child(root, "sldIdLst"), "sldId")[:_MOST_SLIDES]:
            for key, value in item.attrib.items():
                if key.endswith("}id"):  # beside `id`, which is its number
                    part = self._package.target(self._package.main, value)
                    if self._package.real_name(part):
                        yield part

    def notes(self) -> list[str]:
        """What the file has, and what of it was not read."""
        counts = self.counts
        said = [number_of(counts["slide"], "slide")]
        said += [number_of(counts[name], name) for name in ("table", "chart", "comment") if counts[name]]
        if self.hidden:
            said.append(f"hidden {'slide' if len(self.hidden) == 1 else 'slides'}, read too: {', '.join(self.hidden)}")
        return said + left_out(self._package, self.counts, "picture", "embedded file")

    def read(self, part: str, number: int, flow: Flow) -> None:
        """Read a slide into a flow."""
        root = self._package.root(part)
        if root is None:
            return
        self.counts["slide"] += 1
        tree = child(root, "cSld", "spTree")
        title = next((shape for shape in children(tree, "sp") if placeholder(shape) in _TITLES), None)
        if title is not None:
            text = body_text(child(title, "txBody"))
            self.title = " ".join(text.split())[:LONGEST_HEADING] if number == 1 else self.title
            flow.heading(text, 1)
        if attribute(root, "show") in ("0", "false"):
            self.hidden.append(str(number))
        layout, master = self._behind(part)
        self._shapes(part, in_reading_order(tree, layout), title, flow, layout, master)
        if flow.pieces and attribute(root, "show") in ("0", "false"):
            flow.paragraph("(This slide is hidden in the show.)")
        for notes in self._package.related(part, "notesSlide"):
            if text := self._speaker_notes(notes):
                flow.paragraph(f"Notes: {text}")
        for comments in self._package.related(part, "comments"):
            for author, text in self._comments(comments):
                self.counts["comment"] += 1
                flow.paragraph(f"Comment by {author}: {text}" if author else f"Comment: {text}")

    def _behind(self, part: str) -> tuple[Element | None, Element | None]:
        """The layout of a slide and the master of that layout."""
        layouts = self._package.related(part, "slideLayout")[:1]
        if layouts and layouts[0] not in self._layouts:
            masters = self._package.related(layouts[0], "slideMaster")[:1]
            if masters and masters[0] not in self._masters:
                self._masters[masters[0]] = self._package.root(masters[0])
            master = self._masters[masters[0]] if masters else None
            self._layouts[layouts[0]] = (self._package.root(layouts[0]), master)
        return self._layouts[layouts[0]] if layouts else (None, None)

    def _shapes(
        self,
        part: str,
        shapes: list[Element],
        title: Element | None,
        flow: Flow,
        layout: Element | None,
        master: Element | None,
    ) -> None:
        for shape in shapes:
            name = local(shape)
            if shape is title or placeholder(shape) in ("sldNum", "dt", "ftr"):  # on every slide the same
                continue
            if name == "grpSp":
                self._shapes(part, in_reading_order(shape, None), title, flow, layout, master)
            elif name == "graphicFrame":
                self._graphic(part, shape, flow)
            elif name == "pic":
                self.counts["picture"] += 1
                text = cell_text(attribute(next(below(shape, "cNvPr"), None), "descr"))
                if len(text.split()) > 1 and "/" not in text and "\\" not in text:
                    flow.paragraph(f"Picture: {text}")
            else:
                flow.paragraph(listed_text(shape, layout, master))

    def _graphic(self, part: str, frame: Element, flow: Flow) -> None:
        """A table, chart, diagram or embedded file."""
        found = False
        for table in below(frame, "tbl"):
            found = True
            self.counts["table"] += 1
            rows, header = grid_of(table)
            flow.table(table_lines(rows, header=header))
        for title, lines in graphic_blocks(self._package, part, frame):
            found = True
            self.counts["chart"] += 1
            flow.table(lines, title)
        if not found and any(True for _ in below(frame, "oleObj")):
            self.counts["embedded file"] += 1

    def _speaker_notes(self, part: str) -> str:
        root = self._package.root(part)
        if root is None:
            return ""
        shapes = list(below(root, "sp"))
        told = [shape for shape in shapes if placeholder(shape) == "body"]
        told += [shape for shape in shapes if not placeholder(shape)]  # text boxes on the page of notes
        return "\n".join(filter(None, (body_text(child(shape, "txBody")) for shape in told)))

    def _comments(self, part: str) -> Iterator[tuple[str, str]]:
        """Author and text of each comment and each reply."""
        root = self._package.root(part)
        for item in root.iter() if root is not None else ():
            if local(item) in ("cm", "reply"):
                body = child(item, "txBody")
                text = body_text(body) if body is not None else _text_of(child(item, "text"))
                if text:
                    yield self._authors.get(attribute(item, "authorId"), ""), text


def _text_of(item: Element | None) -> str:
    return plain((item.text or "") if item is not None else "").strip()
