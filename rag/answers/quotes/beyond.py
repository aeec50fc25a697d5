"""What a model adds to the quote that an answer opens with."""

from __future__ import annotations

import re
from functools import lru_cache

from rag.text.sentences import shielded

_WORD = re.compile(r"\d+(?:[.,]\d+)*|\w+")
_END = re.compile(r"[.!?]+[\"”»)\]]*(?=\s)|[。！？]|\n")
_TAIL = re.compile(r"(?:[.!?]+[\"”»)\]]*|[\w.,]+)\Z")
"""What may go on: a sentence may end here, or not; and a word."""


class Beyond:
    """Leaves out the sentences that only say again, word for word, what the answer opens with.

    What is shown begins with the blank line that parts it from the opening. A sentence is held back while its words so
    far stand in the opening in that order, one after the other.
    """

    def __init__(self, opening: str) -> None:
        self._opening = opening
        self._held = self._gap = ""
        self._passing = self._shown = False

    def feed(self, text: str, *, last: bool = False) -> str:
        """What can be shown now, after `text` more has come. `last`: no more will come."""
        self._held += text
        shown = ""
        while self._held:
            if not self._passing:
                stripped = self._held.lstrip()
                self._gap, self._held = self._gap + self._held[: len(self._held) - len(stripped)], stripped
            end = _END.search(shielded(f"- {self._held}")[2:])  # what is held may begin amid a line
            part = self._held[: end.end()] if end else self._held if last else _TAIL.sub("", self._held)
            if not self._passing and _WORD.search(part) and not is_said(part, self._opening):
                shown += self._gap if self._shown else "\n\n"
                self._passing = self._shown = True
            if self._passing:
                shown += part
            if self._passing or end:
                self._held = self._held[len(part) :]
            if end:
                self._gap, self._passing = "", False
            else:
                break
        return shown


def is_said(part: str, text: str) -> bool:
    """Whether the words of a part stand in a text, one after the other."""
    return _run(part) in _run(text)


@lru_cache(16)
def _run(text: str) -> str:
    """The words of a text, a blank before and behind each."""
    return f" {' '.join(_WORD.findall(text.casefold()))} "
