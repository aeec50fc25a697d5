"""Links that make a browser scroll to a quote."""

from __future__ import annotations

from urllib.parse import quote as percent_encoded

from rag.grounding.segments import LIST_MARKER

LONGEST_WHOLE = 80
"""Characters of the longest quote that is put into the link whole."""
LONGEST_PART = 600
"""Characters of a quote, or of each end of it, in a link."""
WORDS_AT_ENDS = 6
"""Words from the start and from the end of a longer quote."""


def text_fragment(quote: str) -> str:
    """The text directive for a quote, to follow `#` or an anchor; "" for an empty quote.

    `:~:text=start` or `:~:text=start,end` (https://wicg.github.io/scroll-to-text-fragment/). The second form is for
    long quotes, and for those of several blocks, which browsers do not find as one text.
    """
    shown = quote.encode("utf-8", "ignore").decode("utf-8").replace("**", "")
    lines = [words for line in shown.splitlines() if (words := _without_marker(line).split())]
    if not lines:
        return ""
    first = " ".join(lines[0])
    if len(lines) == 1 and (len(first) <= LONGEST_WHOLE or len(lines[0]) < 2):
        return f":~:text={_encoded(first)}"
    count = min(WORDS_AT_ENDS, len(lines[0]) // 2) if len(lines) == 1 else WORDS_AT_ENDS
    return f":~:text={_encoded(' '.join(lines[0][:count]))},{_encoded(' '.join(lines[-1][-count:]))}"


def _encoded(text: str) -> str:
    """The text percent-encoded; a hyphen would be read as part of the directive (`prefix-,`)."""
    return percent_encoded(text[:LONGEST_PART], safe="").replace("-", "%2D")


def _without_marker(line: str) -> str:
    """The line without the marker of a list or quotation before it."""
    marker = LIST_MARKER.match(line)
    return line[marker.end() :] if marker else line
