"""BibTeX becomes lines: each entry one line of `key: value` pairs, its title first."""

from __future__ import annotations

import re

from rag.sources.plain.tex_text import plain_tex
from rag.sources.tables import SEPARATOR, cell_text

_ENTRY = re.compile(r"@[ \t]*(\w{1,40})\s{0,20}[{(]\s{0,20}([^\s,{}()=\"]{1,200})\s{0,20},")
_FIELD = re.compile(r"[\s,]*([A-Za-z][\w:.+-]{0,40})\s*=\s*")
_PIECE = re.compile(r"[^\s,#{}()\"]+")
_JOINT = re.compile(r"\s*#\s*")
_SIGN = re.compile(r"\\.|[{}\"]", re.DOTALL)
_FIRST = ("title", "author", "editor", "year", "date")
"""Fields that come before the others, in this order."""


def bib_lines(text: str) -> list[str]:
    """A line for each entry; none where there is no entry. What is no entry, as `@string`, is left out."""
    lines = []
    place = 0
    while found := _ENTRY.search(text, place):
        place = found.end()
        fields: dict[str, str] = {}
        while field := _FIELD.match(text, place):
            value, place = _value(text, field.end())
            fields[field[1].lower()] = cell_text(plain_tex(value).replace("{", "").replace("}", ""))
        names = sorted(fields, key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST))
        pairs = [f"{name}: {fields[name]}" for name in names if fields[name]]
        lines.append(SEPARATOR.join([*pairs, f"type: {found[1].lower()}", f"key: {found[2]}"]))
    return lines


def _value(text: str, place: int) -> tuple[str, int]:
    """A field's value, the pieces that "#" joins as one, and where it ends."""
    pieces: list[str] = []
    while place < len(text):
        if text[place] in '{"':
            end = _end_of(text, place)
            pieces.append(text[place + 1 : end])
            place = end + 1
        elif found := _PIECE.match(text, place):
            pieces.append(found[0])
            place = found.end()
        else:
            break
        if not (joint := _JOINT.match(text, place)):
            break
        place = joint.end()
    return "".join(pieces), place


def _end_of(text: str, start: int) -> int:
    """Where the brace or the quotation mark at `start` is closed; the end of the text where it is not."""
    depth = 0
    for match in _SIGN.finditer(text, start + (text[start] == '"')):
        sign = match[0]
        depth += (sign == "{") - (sign == "}")
        if depth == 0 and sign == ("}" if text[start] == "{" else '"'):
            return match.start()
    return len(text)
