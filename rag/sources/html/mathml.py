"""Equations in MathML become one line of text, in the way of `rag.sources.office.equations`."""

from __future__ import annotations

from rag.sources.office.equations import grouped
from rag.sources.xml_tree import Element, attribute, local


def mathml_text(item: Element) -> str:
    """The text of a `math` element in one line."""
    return " ".join(_text(item).split())


def _text(item: Element) -> str:
    name = local(item)
    parts = [inner for inner in item if local(inner) and not local(inner).startswith("annotation")]
    texts = [_text(part) for part in parts]
    if name in ("mi", "mn", "mo", "mtext", "ms"):
        text = (item.text or "").strip()
        return f" {text} " if name == "mo" and text and text not in "()[]{}|⟨⟩!,.′^_/" else text
    if name == "mfrac" and len(texts) == 2:
        return f"{grouped(texts[0])}/{grouped(texts[1])}"
    if name in ("msup", "mover") and len(texts) == 2:
        return f"{grouped(texts[0])}^{grouped(texts[1])}"
    if name in ("msub", "munder") and len(texts) == 2:
        return f"{grouped(texts[0])}_{grouped(texts[1])}"
    if name in ("msubsup", "munderover") and len(texts) == 3:
        return f"{grouped(texts[0])}_{grouped(texts[1])}^{grouped(texts[2])}"
    if name == "msqrt":
        return f"√({''.join(texts).strip()})"
    if name == "mroot" and len(texts) == 2:
        return f"√({texts[1].strip()}&{texts[0].strip()})"
    if name == "mfenced":
        opening, closing = attribute(item, "open") or "(", attribute(item, "close") or ")"
        return f"{opening}{', '.join(map(str.strip, texts))}{closing}"
    if name == "mtable":
        return f"■({'@'.join(map(str.strip, texts))})"
    if name == "mtr":
        return "&".join(map(str.strip, texts))
    return "".join(texts)
