"""Fields of Word: what is chosen in forms, and the numbers of pages, which are no text."""

from __future__ import annotations

from rag.sources.xml_tree import Element, attribute, below, child, children, is_on, local

_PAGES = ("PAGE", "NUMPAGES", "SECTIONPAGES", "SECTION", "STYLEREF")
"""Fields whose value is another one on each page."""


def form_value(field: Element) -> str:
    """What is chosen in a form field of the old kind that has no result of its own: a list or a check box."""
    data = child(field, "ffData")
    if (box := child(data, "checkBox")) is not None:
        state = child(box, "checked") if child(box, "checked") is not None else child(box, "default")
        return "☒" if is_on(state) else "☐"
    if (choice := child(data, "ddList")) is not None:
        entries = [attribute(entry, "val") for entry in children(choice, "listEntry")]
        chosen = attribute(child(choice, "result"), "val") or "0"
        return entries[int(chosen)] if chosen.isdecimal() and int(chosen) < len(entries) else ""
    return ""


def without_page_numbers(root: Element) -> Element:
    """A header or footer, in whose tree the values of fields for the page are empty now."""
    fields: list[list[str]] = []  # of each open one: its code, and whether that or the value is being read
    for item in root.iter():
        name, kind = local(item), attribute(item, "fldCharType")
        if name == "fldSimple" and _is_of_page(attribute(item, "instr")):
            for text in below(item, "t"):
                text.text = ""
        elif kind == "begin":
            fields.append(["", "code"])
        elif kind == "separate" and fields:
            fields[-1][1] = "value"
        elif kind == "end" and fields:
            fields.pop()
        elif name == "instrText" and fields and fields[-1][1] == "code":
            fields[-1][0] += item.text or ""
        elif name == "t" and any(part == "value" and _is_of_page(code) for code, part in fields):
            item.text = ""
    return root


def _is_of_page(code: str) -> bool:
    return code.split()[:1] != [] and code.split()[0].upper() in _PAGES
