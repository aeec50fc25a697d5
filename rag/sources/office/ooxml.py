"""Office Open XML: the parts of a package and their relations; and notes on what was read and what was not."""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Mapping
from functools import cached_property
from urllib.parse import unquote

from langchain_core.documents import Document

from rag.sources.formats import Unreadable
from rag.sources.xml_tree import Element, parse_xml

_USUAL = ("word/document.xml", "ppt/presentation.xml", "xl/workbook.xml")
"""Main parts, for files whose list of relations is damaged."""


class Package:
    """The parts of an Office file, by their names in its archive."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self.archive = archive
        self._names = {name.replace("\\", "/").lstrip("/").lower(): name for name in archive.namelist()}
        self.broken: list[str] = []
        self._relations: dict[str, dict[str, tuple[str, str]]] = {}

    @cached_property
    def main(self) -> str:
        """The name of the part that holds the text.

        Raises:
            Unreadable: there is none.
        """
        for part in [*self.related("", "officeDocument"), *_USUAL]:
            if self.real_name(part):
                return part
        raise Unreadable("the file is damaged: it does not say which of its parts holds the text")

    def real_name(self, part: str) -> str:
        """The name of a part as the archive has it, or "" if there is no such part."""
        return self._names.get(part.lower(), "")

    def root(self, part: str) -> Element | None:
        """The tree of a part; None if there is none, or if it is damaged: then it is in `broken`.

        Raises:
            Unreadable: it is the main part that is damaged.
        """
        from lxml import etree

        name = self.real_name(part)
        try:
            return parse_xml(self.archive.read(name)) if name else None
        except etree.XMLSyntaxError as error:
            if not part.endswith(".rels") and name == self.real_name(self.main):
                raise Unreadable(f"the file is damaged (in {name})") from error
            self.broken.append(name)
            return None

    def relations(self, part: str) -> dict[str, tuple[str, str]]:
        """Kind and target of each relation of a part inside the package, by its id; "" has those of the package."""
        if part not in self._relations:
            folder, _, name = part.rpartition("/")
            tree = self.root(posixpath.join(folder, "_rels", f"{name}.rels"))
            found: dict[str, tuple[str, str]] = {}
            for item in tree if tree is not None else ():
                if isinstance(item.tag, str) and item.get("TargetMode") != "External":
                    target = unquote(item.get("Target", "")).replace("\\", "/")
                    place = posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/")
                    found[item.get("Id", "")] = (item.get("Type", "").rpartition("/")[2], place)
            self._relations[part] = found
        return self._relations[part]

    def related(self, part: str, *kinds: str) -> list[str]:
        """The existing parts that a part names in relations of these kinds, such as "slide"."""
        return [target for kind, target in self.relations(part).values() if kind in kinds and self.real_name(target)]

    def target(self, part: str, identity: str) -> str:
        """The part that a relation of `part` with this id names, or ""."""
        return self.relations(part).get(identity, ("", ""))[1]


def left_out(package: Package | None, counts: Mapping[str, int], *kinds: str) -> list[str]:
    """The note on what was not read: so many of these kinds, and damaged parts."""
    left = [number_of(counts[kind], kind) for kind in kinds if counts.get(kind)]
    if package is not None and package.broken:
        left.append(number_of(len(set(package.broken)), "damaged part"))
    return [f"left out: {', '.join(left)}"] if left else []


def number_of(number: int, one: str, more: str = "") -> str:
    """A number with its noun: "1 table", "3 tables"."""
    return f"{number:,} {one if number == 1 else more or one + 's'}"


def with_notes(documents: list[Document], notes: list[str]) -> list[Document]:
    """The documents that have text; the first of them has the notes of how the file was read."""
    documents = [item for item in documents if item.page_content]
    if documents and notes:
        documents[0].metadata["notes"] = notes
    return documents
