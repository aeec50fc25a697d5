"""Text that was laid out for a terminal, such as a manual page in a file."""

from __future__ import annotations

import re

WIDEST = 100
"""Columns of the lines of such a text, but for one in fifty."""
INDENTED = 0.5
"""Share of the lines that are indented in it, at least."""
_HYPHENATED = re.compile(r"(\w)\u2010\n([ ]*)([^\W\d_]+[^\s\w]*)(?: +|(?=\n))")
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
    return _HYPHENATED.sub(r"\1\3\n\2", wide)
