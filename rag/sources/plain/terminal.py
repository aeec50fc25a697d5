"""Text that was laid out for a terminal or a printer, such as a manual page in a file or an RFC."""

from __future__ import annotations

import re
from collections import Counter

from rag.text.wraps import indent_of

WIDEST = 100
"""Columns of the lines of such a text, but for one in fifty."""
INDENTED = 0.5
"""Share of the lines that are indented in it, at least."""
FEWEST_PAGES = 3
"""Pages from which on a line that stands at the edge of most of them is no text."""
_NUMBER = re.compile(r"\d+|\b[ivxl]+\b")
_GOES_ON = re.compile(r"[^\s.!?:;]\s*$")
_MANUAL = r"[\w.+:-]{1,40}\(\d\w{0,3}\)"
_MANUAL_EDGE = re.compile(
    rf"(?m)^(?:({_MANUAL})[ \t]{{2,}}\S.*[ \t]{{2,}}\1|\S.*[ \t]{{2,}}\S.*\d{{4}}.*[ \t]{{2,}}{_MANUAL})$"
)
"""The first and the last line of a manual page: "SPLIT(1)     User Commands     SPLIT(1)"."""
_OPTION = re.compile(r"( {2,12}-{1,2}\w[^ \n]*(?: [^ \n]+){0,4} {2,})(\S.*)")
"""An option of a manual page with the beginning of what it means: "-d     use numeric suffixes"."""
_HYPHENATED = re.compile(r"(\w+)\u2010\n([ ]*)([^\W\d_]+)([^\s\w]*)(?: +|(?=\n))")
"""A word that groff broke at the end of a line; its own hyphen is this one, too."""


def without_layout(text: str) -> str:
    """The text with blanks for tabs and with its broken words whole, if it was laid out for a terminal.

    `col` writes tabs for blanks wherever one reaches as far.
    """
    lines = [line for line in text.split("\n") if line.strip()]
    indented = sum(line[0].isspace() for line in lines)
    if indented < INDENTED * len(lines) or not ("\t" in text or "\u2010" in text):
        return text
    wide = text.expandtabs(8)
    if 50 * sum(len(line) > WIDEST for line in wide.split("\n")) > len(lines):
        return text
    compounds = set(re.findall(r"\w+-\w+", wide.replace("\u2010", "-")))

    def whole(found: re.Match[str]) -> str:
        one, indent, other, end = found.groups()
        between = "-" if f"{one}-{other}" in compounds else ""
        return f"{one}{between}{other}{end}\n{indent}"

    return _HYPHENATED.sub(whole, wide)


def with_options_apart(text: str) -> str:
    """The text with each option that has what it means in its line on a line of its own, as those beside it have."""
    lines: list[str] = []
    for line in text.split("\n"):
        found = _OPTION.fullmatch(line)
        if found and (not lines or not lines[-1].strip() or indent_of(lines[-1]) < indent_of(line)):
            lines += [found[1].rstrip(), " " * len(found[1]) + found[2]]
        else:
            lines.append(line)
    return "\n".join(lines)


def without_page_edges(text: str) -> str:
    """The text of pages, which form feeds part, without the heads and feet of most of them, and of a manual page."""
    text = _MANUAL_EDGE.sub("", text)
    pages = [page.strip("\n").split("\n") for page in text.split("\f")]
    if len(pages) < FEWEST_PAGES:
        return text
    heads, feet = (Counter(_without_number(page[edge]) for page in pages) for edge in (0, -1))
    least = len(pages) // 2
    whole = ""
    for lines in pages:
        kept = lines[1:] if heads[_without_number(lines[0])] > least and lines[0].strip() else lines
        kept = kept[:-1] if kept and feet[_without_number(kept[-1])] > least and kept[-1].strip() else kept
        page = "\n".join(kept).strip("\n")
        begins = page.lstrip()
        goes_on = bool(whole and begins) and bool(_GOES_ON.search(whole)) and begins[0].islower()
        whole += ("\n" if goes_on else "\n\n" if whole else "") + page
    return whole


def _without_number(line: str) -> str:
    return _NUMBER.sub("#", " ".join(line.split()))
