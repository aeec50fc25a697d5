"""Headers and footers of pages: what they say beside the number of the page and what the text says itself."""

from __future__ import annotations

import re

from rag.sources.outline import plain
from rag.sources.tables import cell_text

_WORDS = (
    "page pages pg seite seiten von vom página páginas pagina pagine pág pag de del di sur av van stran strana side"
    " sida sidan sivu strona oldal страница стр из of"
)
_ROMAN = "(?=[ivxl])(?:xl|x{0,3})(?:ix|iv|v?i{0,3})"
_PAGE_ONLY = re.compile(rf"(?:\b(?:{'|'.join(_WORDS.split())}|{_ROMAN}|\d+)\b|[第页頁共总總全]|[\W_])*", re.IGNORECASE)
"""A line that tells the number of a page, and what is left of it without the number."""


def edge_text(text: str, body: str) -> str:
    """What a header or footer adds to the text of a document: "" for numbers of pages and for lines of the text."""
    lines = [line.strip() for line in plain(text).split("\n")]
    lines = [line for line in lines if not _PAGE_ONLY.fullmatch(line)]
    there = {_bare(line) for line in plain(body).split("\n")}
    return "\n".join(lines) if any(_bare(line) not in there for line in lines) else ""


def _bare(line: str) -> str:
    return cell_text(line).casefold().strip(" .:–—|-")
