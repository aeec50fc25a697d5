"""Workbooks become documents: each sheet with its tables as they are shown, with comments, charts and text boxes."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator

from langchain_core.documents import Document

from rag.sources.flow import Flow
from rag.sources.formats import MOST_TEXT, Job
from rag.sources.merged import MOST_COLUMNS
from rag.sources.office.drawings import body_text, chart_lines, diagram_lines
from rag.sources.office.ooxml import Package, left_out, number_of, with_notes
from rag.sources.office.sheet_cells import Cell, Formats, column_of, read_cells, read_strings
from rag.sources.office.sheet_rows import Row
from rag.sources.office.sheet_tables import SheetTables
from rag.sources.office.unseen import STRUCK
from rag.sources.tables import cell_text
from rag.sources.xml_tree import Element, attribute, below, child, children, local
from rag.sources.zipped import opened

_AREA = re.compile(rb'<(?:\w+:)?mergeCell\b[^>]{0,200}?\bref="([A-Z]{1,3})([0-9]{1,7}):([A-Z]{1,3})([0-9]{1,7})"')
_MOST_AREAS = 100_000
"""Merged cells of a sheet."""

_Area = tuple[int, int, int, int]
"""First row, first column, last row, last column."""


def read_workbook(job: Job) -> Iterator[Document]:
    """An Excel workbook as one document: a heading for each sheet, a line for each row, values as they are shown.

    Its rows are read as a stream, in memory that does not grow with their number; openpyxl would hold all of them, or
    leave out merged cells, comments, and formulas that have no value.
    """
    with opened(job) as archive:
        book = _Book(Package(archive))
        book.read()
    document = job.document(book.flow.text, book.flow.marks, job.stem)
    yield from with_notes([document], book.notes())


class _Book:
    """One way through a file."""

    def __init__(self, package: Package) -> None:
        self.flow = Flow()
        self.counts: Counter[str] = Counter()
        self.hidden: list[str] = []
        self._package = package
        main = package.main
        root = package.root(main)
        self._sheets: list[tuple[str, str, bool]] = []
        for item in children(child(root, "sheets"), "sheet"):
            part = next((target for key, target in self._targets(item)), "")
            is_hidden = attribute(item, "state") in ("hidden", "veryHidden")
            self._sheets.append((cell_text(attribute(item, "name")) or "Sheet", part, is_hidden))
        styles = package.related(main, "styles")
        since_1904 = attribute(child(root, "workbookPr"), "date1904") in ("1", "true")
        self._formats = Formats(package.root(styles[0]) if styles else None, since_1904=since_1904)
        strings = package.related(main, "sharedStrings")
        self._strings = read_strings(package, strings[0], self._formats) if strings else []
        self._people: dict[str, str] = {}
        for part in package.related(main, "person"):
            people = package.root(part)
            for person in people if people is not None else ():
                self._people[attribute(person, "id")] = attribute(person, "displayName")

    def _targets(self, item: Element) -> Iterator[tuple[str, str]]:
        for key, value in item.attrib.items():
            if key.endswith("}id"):
                target = self._package.target(self._package.main, value)
                if self._package.real_name(target):
                    yield key, target

    def notes(self) -> list[str]:
        """What the file has, and what of it was not read."""
        counts = self.counts
        said = [number_of(counts["sheet"], "sheet")]
        said += [number_of(counts[name], name) for name in ("table", "chart", "comment") if counts[name]]
        if self.hidden:
            said.append(
                f"hidden {'sheet' if len(self.hidden) == 1 else 'sheets'}, read too: {', '.join(self.hidden[:20])}"
            )
        said += [STRUCK] if self._formats.has_struck else []
        if count := counts["formula"]:
            said.append(
                f"{number_of(count, 'formula has', 'formulas have')} no stored value; save the file in a spreadsheet "
                "program to have them calculated"
            )
        return said + left_out(self._package, self.counts, "picture")

    def read(self) -> None:
        """Read all sheets into `flow`."""
        size = 0
        for name, part, is_hidden in self._sheets:
            flow, self.flow = self.flow, Flow()
            size += self._sheet(part, MOST_TEXT - size) if part else 0
            sheet, self.flow = self.flow, flow
            if not sheet.pieces:
                continue
            self.counts["sheet"] += 1
            self.flow.heading(name, 1)
            if is_hidden:
                self.hidden.append(name)
                self.flow.paragraph("(This sheet is hidden.)")
            self.flow.append(sheet)
            if size > MOST_TEXT:
                break  # `documents.read` refuses it

    def _sheet(self, part: str, most: int) -> int:
        """Read a sheet; how many characters it has."""
        comments = self._comments(part)
        named = self._header_rows(part)
        merged = _Merged(self._areas(part))
        tables = SheetTables(self.flow)
        gone = 0  # rows that are struck out as a whole, which part no table
        for number, cells in read_cells(self._package, part, self._strings, self._formats):
            row, told = self._row(number, cells, merged)
            if row is None:
                gone += bool(cells) and all(cell.is_struck for cell in cells)
                continue
            row.number -= gone
            row.named = number in named
            row.comments = [text for column in told for text in comments.pop((number, column), ())]
            tables.add(row)
            if tables.size > most:
                break
        tables.end()
        self.counts["table"] += tables.count
        for texts in comments.values():  # on cells that are empty
            self.flow.paragraph("\n".join(f"Comment: {text}" for text in texts))
        for drawing in self._package.related(part, "drawing"):
            self._drawing(drawing)
        return tables.size

    def _row(self, number: int, cells: list[Cell], merged: _Merged) -> tuple[Row | None, list[int]]:
        """A row with its merged cells, and its columns; None where nothing but a merged cell from above is in it."""
        texts: dict[int, str] = {}
        for cell in cells:
            self.counts["formula"] += cell.is_open_formula
            if text := cell_text(cell.text):
                texts[cell.column] = text
        repeated, across = merged.at(number, texts)
        columns = [cell.column for cell in cells]
        if not texts:
            return None, columns
        whole = {**repeated, **texts}
        return Row(number, {column: whole[column] for column in sorted(whole)}, across), columns

    def _areas(self, part: str) -> list[_Area]:
        """The merged cells of a sheet; they stand behind its rows."""
        areas: list[_Area] = []
        tail = b""
        with self._package.archive.open(self._package.real_name(part)) as member:
            while piece := member.read(2**20):
                text = tail + piece
                end = 0
                for found in _AREA.finditer(text):
                    end = found.end()
                    left, right = (column_of(found[group].decode()) for group in (1, 3))
                    areas.append((int(found[2]), left, int(found[4]), min(right, left + MOST_COLUMNS)))
                tail = text[max(end, len(text) - 300) :]
                if len(areas) > _MOST_AREAS:
                    return areas[:_MOST_AREAS]
        return areas

    def _header_rows(self, part: str) -> set[int]:
        """The rows that name the columns of the tables and pivot tables that the file itself knows of."""
        rows = set()
        for table in self._package.related(part, "table"):
            root = self._package.root(table)
            if attribute(root, "headerRowCount") != "0" and (
                found := re.match(r"\$?[A-Z]+\$?([0-9]+):", attribute(root, "ref"))
            ):
                rows.add(int(found[1]))
        for table in self._package.related(part, "pivotTable"):
            place = child(self._package.root(table), "location")
            above = attribute(place, "firstDataRow")
            if (
                above.isdecimal()
                and int(above)
                and (found := re.match(r"\$?[A-Z]+\$?([0-9]+)", attribute(place, "ref")))
            ):
                rows.add(int(found[1]) + int(above) - 1)
        return rows

    def _comments(self, part: str) -> dict[tuple[int, int], list[str]]:
        """The comments of a sheet, by row and column; those with answers in place of what old programs see of them."""
        found: dict[tuple[int, int], list[str]] = defaultdict(list)
        for kind, name in (("threadedComment", "threadedComment"), ("comments", "comment")):
            for comments in self._package.related(part, kind):
                root = self._package.root(comments)
                known = set(found)
                for item in below(root, name) if root is not None else ():
                    place = _place(attribute(item, "ref"))
                    text = cell_text(_all_text(child(item, "text")))
                    if place and text and place not in known:
                        person = self._people.get(attribute(item, "personId"), "")
                        found[place].append(f"{text} ({person})" if person else text)
                        self.counts["comment"] += 1
        return found

    def _drawing(self, part: str) -> None:
        """The charts' titles, and the texts of boxes and diagrams."""
        root = self._package.root(part)
        for item in root.iter() if root is not None else ():
            name = local(item)
            if name == "chart" and (target := self._package.target(part, attribute(item, "id"))):
                self.counts["chart"] += 1
                title, lines = chart_lines(self._package, target)
                self.flow.paragraph(f"Chart: {title}" if title else "")
                self.flow.paragraph(next((line for line in lines if line.startswith("In the chart: ")), ""))
            elif name == "relIds":
                lines = diagram_lines(self._package, self._package.target(part, attribute(item, "dm")))
                self.flow.paragraph("\n".join(lines))
            elif name == "txBody":
                self.flow.paragraph(body_text(item))
            elif name == "pic":
                self.counts["picture"] += 1


class _Merged:
    """The merged cells that cover a row, as rows go by."""

    def __init__(self, areas: list[_Area]) -> None:
        self._coming = sorted(areas, reverse=True)
        self._open: list[tuple[_Area, str]] = []

    def at(self, number: int, texts: dict[int, str]) -> tuple[dict[int, str], frozenset[int]]:
        """The texts that merged cells repeat in a row, by column, and the columns that such a cell covers across."""
        while self._coming and self._coming[-1][0] <= number:
            area = self._coming.pop()
            if area[0] == number and (text := texts.get(area[1])):
                self._open.append((area, text))
        self._open = [item for item in self._open if item[0][2] >= number]
        repeated: dict[int, str] = {}
        across: set[int] = set()
        for (_, left, _, right), text in self._open:
            repeated.update(dict.fromkeys(range(left, right + 1), text))
            across.update(range(left, right + 1) if right > left else ())
        return repeated, frozenset(across)


def _place(reference: str) -> tuple[int, int] | None:
    found = re.fullmatch(r"\$?([A-Z]{1,3})\$?([0-9]{1,7})", reference)
    return (int(found[2]), column_of(found[1])) if found else None


def _all_text(item: Element | None) -> str:
    if item is None:
        return ""
    texts = [text.text or "" for text in below(item, "t")]
    return "".join(texts) if texts else item.text or ""
