"""What a page hides or strikes out is taken out of its tree, before anything is read of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rag.sources.office.odf_styles import Styles
from rag.sources.xml_tree import Element, attribute, below, child, is_on, local

STRUCK = "struck-out text is left out"
"""The note on it."""
_FAMILIES = {"table-cell": "table-cell", "span": "text", "p": "paragraph", "h": "paragraph", "section": "section"}
"""What may be taken out of OpenDocument, in this order, and the families of its styles."""


def take_out_of_word(root: Element | None, says: Callable[[Element, Element, str], Element | None]) -> bool:
    """Take the hidden and the struck-out runs out of a part of a Word file. Whether anything was struck out.

    Args:
        root: of the part.
        says: gives what is said of the letters of a run of a paragraph, by its name.
    """
    struck = False
    for paragraph in list(below(root, "p")) if root is not None else ():
        for run in [run for run in below(paragraph, "r") if next(run.iterancestors("{*}p"), None) is paragraph]:
            is_struck = any(is_on(says(paragraph, run, name)) for name in ("strike", "dstrike"))
            if is_struck or is_on(says(paragraph, run, "vanish")):
                struck = struck or is_struck
                _take_out(run)
    return struck


def take_out_of_open_document(trees: Iterable[Element]) -> bool:
    """Take the hidden and the struck-out texts out of the parts of an OpenDocument file; returns as for Word."""
    roots = list(trees)
    common = [styles for root in roots if (styles := child(root, "styles")) is not None]
    struck = False
    for root in roots:
        styles = Styles([*common, root])  # other parts have others of the same names
        for item in [item for name in _FAMILIES for item in below(root, name)]:
            look = styles.letters(_FAMILIES[local(item)], attribute(item, "style-name"))
            is_struck = any(look.get(f"text-line-through-{name}", "none") != "none" for name in ("style", "type"))
            if is_struck or "none" in (look.get("display"), attribute(item, "display")):
                struck = struck or is_struck
                _take_out(item)
    return struck


def _take_out(item: Element) -> None:
    """Remove an element, but not the text behind it; a cell stays without its value, unless its row has no other."""
    if local(item) == "table-cell":
        for name in [name for name in item.attrib if "value" in name.rpartition("}")[2]]:
            del item.attrib[name]
        del item[:]
        row = item.getparent()
        if row is None or any(len(cell) for cell in row) or row.getparent() is None:
            return
        item = row  # an empty row would part the table
    parent, before = item.getparent(), item.getprevious()
    if parent is None:
        return
    if item.tail and before is not None:
        before.tail = (before.tail or "") + item.tail
    elif item.tail:
        parent.text = (parent.text or "") + item.tail
    parent.remove(item)
