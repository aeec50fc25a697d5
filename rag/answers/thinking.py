"""What a model thinks before it answers, told apart from the answer: it is no part of its text, marks or history."""

from __future__ import annotations

from typing import NamedTuple

OPENINGS = ("<think>", "<thinking>", "[THINK]")
"""How engines without a field of its own for thinking begin it, at the very start of a reply; Magistral in brackets."""
CLOSINGS = tuple(f"{opening[0]}/{opening[1:]}" for opening in OPENINGS)

FENCE = "```"
KEPT = 20
"""Characters of the answer that are kept, to see where a tag stands."""


class Told(NamedTuple):
    """A piece of a reply: what was thought and what is answer. `moved`: all before, taken for answer, was thinking."""

    thinking: str = ""
    answer: str = ""
    moved: bool = False


class ThinkingFilter:
    """Takes inline thinking out of a reply that comes in pieces, wherever a tag is cut in two.

    Some prompts end with the opening tag, so that a reply has the closing one alone. Where that is known of a model, it
    begins `within` its thinking; else what came before a lone closing tag is told to have been thinking.
    """

    def __init__(self, *, within: bool = False) -> None:
        self._within = within
        self._held = ""
        self._assumed: str | None = None
        """What was thought, where no tag has said so."""
        self._closing = ""
        self._decided = self._thought = False
        self._watching = True
        self._passed, self._fences = "", 0
        """The last characters of the answer so far, and the code fences in it."""

    @property
    def lone(self) -> bool:
        """Whether the reply's thinking had a closing tag alone."""
        return self._within and self._thought

    def feed(self, piece: str) -> Told:
        """What is certain after this piece."""
        if self._decided:
            return self._watch(piece)
        self._held += piece
        thinking = ""
        while True:
            if not self._closing:
                begun = self._held.lstrip()
                opening = next((each for each in OPENINGS if begun.startswith(each)), "")
                if not opening and (not begun or any(each.startswith(begun) for each in OPENINGS)):
                    return Told(thinking)
                if not opening and (self._thought or not self._within):
                    text, self._held, self._decided = begun if self._thought else self._held, "", True
                    told = self._watch(text)
                    return told._replace(thinking=thinking + told.thinking)
                self._closing = CLOSINGS[OPENINGS.index(opening) if opening else 0]
                self._assumed = None if opening else ""
                self._held = begun.removeprefix(opening)
            before, closing, after = self._held.partition(self._closing)
            keep = 0 if closing else _overlap(before, (self._closing,))
            certain = before[: len(before) - keep]
            thinking += certain
            if not closing:
                if self._assumed is not None:
                    self._assumed += certain
                self._held = before[len(certain) :]
                return Told(thinking)
            self._within = self._assumed is not None
            self._closing, self._assumed, self._thought, self._held = "", None, True, after

    def rest(self) -> Told:
        """What was held back at the end of the reply, in case it was the beginning of a tag."""
        if self._closing and self._assumed is None:
            return Told(thinking=self._held)
        self._within &= not self._closing
        return Told(answer=(self._assumed or "") + self._held)

    def _watch(self, text: str) -> Told:
        """A part of the answer, looked through for a closing tag that had no opening one."""
        text, self._held = self._held + text, ""
        if not self._watching or self._thought:
            return Told(answer=text)
        if any(opening in text for opening in OPENINGS):
            self._watching = False
            return Told(answer=text)
        at, tag = min(((text.find(each), each) for each in CLOSINGS if each in text), default=(-1, ""))
        if at >= 0 and self._ends_thought(text[:at]):
            self._decided, self._thought, self._within = False, True, True
            told = self.feed(text[at + len(tag) :])
            return Told(text[:at] + told.thinking, told.answer, moved=True)
        keep = _overlap(text, (*CLOSINGS, *OPENINGS))
        certain = text[: len(text) - keep]
        self._held = text[len(certain) :]
        self._fences = self._count_fences(certain)
        self._passed = (self._passed + certain)[-KEPT:]
        return Told(answer=certain)

    def _ends_thought(self, before: str) -> bool:
        """Whether a tag after `before` can end thinking: not in code, and behind a line or a sentence."""
        last = (self._passed + before).rstrip(" ")[-1:]
        return self._count_fences(before) % 2 == 0 and last in ("", "\n", ".", "!", "?")

    def _count_fences(self, more: str) -> int:
        known = self._passed.count(FENCE)
        return self._fences + (self._passed + more).count(FENCE) - known


def _overlap(text: str, tags: tuple[str, ...]) -> int:
    """Characters at the end of `text` that may be the beginning of a tag."""
    longest = max(map(len, tags)) - 1
    for length in range(min(longest, len(text)), 0, -1):
        if any(tag.startswith(text[-length:]) for tag in tags):
            return length
    return 0


def without_thinking(text: str) -> str:
    """A whole reply, or a turn of the history, without the inline thinking in it."""
    told = ThinkingFilter()
    return told.feed(text).answer + told.rest().answer
