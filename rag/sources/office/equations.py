"""Equations of Office (OMML) become one line of text, as Word's own linear format writes them (Unicode TN 28)."""

from __future__ import annotations

import re
from collections.abc import Callable

from rag.sources.xml_tree import Element, attribute, child, children, is_on, local

_ACCENTS = {
    "\u0302": "hat",
    "\u0303": "tilde",
    "\u0304": "bar",
    "\u0305": "bar",
    "\u0307": "dot",
    "\u0308": "ddot",
    "\u20d7": "vec",
    "\u0306": "breve",
    "\u030c": "check",
}
_GONE = ("del", "moveFrom", "rPr", "ctrlPr", "argPr", "sSubPr", "sSupPr", "fPr", "dPr", "naryPr", "delText")


def equation_text(item: Element) -> str:
    """The text of an `oMath` or `oMathPara`, its equations on lines of their own."""
    if local(item) == "oMathPara":
        return "\n".join(filter(None, (equation_text(inner) for inner in children(item, "oMath"))))
    return re.sub(r"[ \t\n]+", " ", _inside(item)).strip()


def _inside(item: Element | None) -> str:
    """The text of all that is in an element; a fraction or power and the letter after it do not run together."""
    text = ""
    was_built = False
    for inner in item if item is not None else ():
        piece = _text(inner)
        if not piece:
            continue
        built = local(inner) in _RULES
        apart = was_built or built
        text += f" {piece}" if apart and text[-1:].isalnum() and piece[0].isalnum() else piece
        was_built = built
    return text


def _text(item: Element) -> str:
    name = local(item)
    if name == "t":
        return item.text or ""
    if name in ("br", "tab", "cr"):
        return " "
    if name in _GONE or (name.endswith("Pr") and name != "r"):
        return ""
    rule = _RULES.get(name)
    return rule(item) if rule else _inside(item)


def _part(item: Element, name: str) -> str:
    return _inside(child(item, name)).strip()


def grouped(text: str) -> str:
    """A part of an equation in brackets, where it would fall apart without."""
    text = text.strip()
    one = re.fullmatch(r"[\w.,′'∞]*|[^\w\s]", text) or _is_bracketed(text)
    return text if one else f"({text})"


def _is_bracketed(text: str) -> bool:
    """Whether one pair of brackets is around all of a text."""
    if not (text.startswith("(") and text.endswith(")")):
        return False
    depth = 0
    for place, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        if not depth and place < len(text) - 1:
            return False
    return True


def _fraction(item: Element) -> str:
    top, bottom = _part(item, "num"), _part(item, "den")
    if attribute(child(item, "fPr", "type"), "val") == "noBar":
        return f"({top}¦{bottom})"
    return f"{grouped(top)}/{grouped(bottom)}"


def _scripts(item: Element) -> str:
    below, above = _part(item, "sub"), _part(item, "sup")
    marks = (f"_{grouped(below)}" if below else "") + (f"^{grouped(above)}" if above else "")
    if local(item) == "sPre":
        return f"{marks} {grouped(_part(item, 'e'))}"
    return f"{grouped(_part(item, 'e'))}{marks}"


def _root(item: Element) -> str:
    degree = _part(item, "deg")
    return f"√({degree}&{_part(item, 'e')})" if degree else f"√({_part(item, 'e')})"


def _sum(item: Element) -> str:
    """A sum, integral or other sign with limits."""
    sign = attribute(child(item, "naryPr", "chr"), "val") or "∫"
    below, above = _part(item, "sub"), _part(item, "sup")
    limits = (f"_{grouped(below)}" if below else "") + (f"^{grouped(above)}" if above else "")
    return f"{sign}{limits} {_part(item, 'e')}"


def _delimiters(item: Element) -> str:
    settings = child(item, "dPr")

    def sign(name: str, usual: str) -> str:
        given = child(settings, name)
        return usual if given is None else attribute(given, "val")

    parts = [_inside(part).strip() for part in children(item, "e")]
    return f"{sign('begChr', '(')}{sign('sepChr', '|').join(parts)}{sign('endChr', ')')}"


def _matrix(item: Element) -> str:
    rows = ["&".join(_inside(part).strip() for part in children(row, "e")) for row in children(item, "mr")]
    return f"■({'@'.join(rows)})"


def _array(item: Element) -> str:
    """Equations below each other."""
    return "; ".join(_inside(part).strip() for part in children(item, "e"))


def _function(item: Element) -> str:
    return f"{_part(item, 'fName')} {_part(item, 'e')}"


def _limit(item: Element) -> str:
    sign = "_" if local(item) == "limLow" else "^"
    return f"{_part(item, 'e')}{sign}{grouped(_part(item, 'lim'))}"


def _accent(item: Element) -> str:
    sign = attribute(child(item, "accPr", "chr"), "val") or "\u0302"
    text = _part(item, "e")
    return text + sign if len(text) == 1 else f"{_ACCENTS.get(sign, sign)}({text})"


def _bar(item: Element) -> str:
    return f"bar({_part(item, 'e')})"


def _group_sign(item: Element) -> str:
    sign = attribute(child(item, "groupChrPr", "chr"), "val") or "⏟"
    return f"{_part(item, 'e')}{sign}"


def _phantom(item: Element) -> str:
    shown = child(item, "phantPr", "show")
    return _part(item, "e") if shown is None or is_on(shown) else ""


_RULES: dict[str, Callable[[Element], str]] = {
    "f": _fraction,
    "sSub": _scripts,
    "sSup": _scripts,
    "sSubSup": _scripts,
    "sPre": _scripts,
    "rad": _root,
    "nary": _sum,
    "d": _delimiters,
    "m": _matrix,
    "eqArr": _array,
    "func": _function,
    "limLow": _limit,
    "limUpp": _limit,
    "acc": _accent,
    "bar": _bar,
    "groupChr": _group_sign,
    "phant": _phantom,
}
