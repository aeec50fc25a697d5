"""Formulas and superscripts of a page become text: in its tree, before anything is read of it."""

from __future__ import annotations

import itertools
import re

from bs4 import BeautifulSoup, Tag

from rag.sources.html.mathml import mathml_text
from rag.sources.html.tags import below
from rag.sources.raised import is_number, raised
from rag.sources.xml_tree import parse_xml

_MOST_INSIDE = 20
"""Tags and texts of a superscript that are looked at."""
_MOST, _LARGEST = 2000, 2000
"""Formulas of a page in MathML, and tags and texts of one."""
_DRAWN = frozenset(["mwe-math-fallback-image-inline", "mwe-math-fallback-image-display", "latex", "tex"])
"""Classes of pictures that show a formula and have it as their description, in LaTeX."""
_STYLE = re.compile(r"\{\\(?:display|text)style\s*(.*)\}", re.S)


_FORMULA = re.compile(rf"<math\b|<img\b[^<>]{{0,2000}}\bclass=[\"'][^\"'<>]{{0,200}}\b(?:{'|'.join(sorted(_DRAWN))})\b")


def may_have_formulas(html: str) -> bool:
    """Whether `write_formulas` may change a page."""
    return bool(_FORMULA.search(html))


def write_formulas(soup: BeautifulSoup) -> None:
    """Put text in the place of formulas, and raised characters into superscripts ("10³").

    A superscript that is a link to a note stands in brackets ("18[2] euros").
    """
    for math in soup.find_all("math", limit=_MOST):
        if next(itertools.islice(below(math), _LARGEST, None), None) is None and (text := _told(str(math))):
            math.string = text
    for image in soup.find_all("img", class_=_DRAWN.__contains__):
        if text := str(image.get("alt") or "").strip():
            found = _STYLE.fullmatch(text)
            image.replace_with(found[1].strip() if found else text)
    for sup in soup.find_all("sup"):
        items = list(itertools.islice(below(sup), _MOST_INSIDE))
        text = "".join(str(item) for item in items if not isinstance(item, Tag))
        if len(items) < _MOST_INSIDE and is_number(text):
            around = [sup.parent, *items]
            is_note = any(isinstance(item, Tag) and str(item.get("href", "")).startswith("#") for item in around)
            sup.string = f"[{text.strip()}]" if is_note else raised(text)


def _told(tags: str) -> str:
    """The text of a `math` tag; "" where it is not well formed."""
    from lxml.etree import XMLSyntaxError

    try:
        return mathml_text(parse_xml(tags.encode()))
    except XMLSyntaxError:
        return ""
