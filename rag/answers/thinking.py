"""What a model thinks before it answers, told apart from the answer: it is no part of its text, marks or history."""

from __future__ import annotations

import re

OPENINGS = ("<think>", "<thinking>")
"""How engines without a field of its own for thinking begin it, at the very start of a reply."""
_THOUGHT = re.compile(r"\s*<(think|thinking)>.*?(?:</\1>\s*|\Z)", re.S)


class ThinkingFilter:
    """Takes inline thinking out of a reply that comes in pieces, wherever a tag is cut in two."""

    def __init__(self) -> None:
        self._held = ""
        self._closing = ""
        self._decided = self._thought = False

    @property
    def thinking(self) -> bool:
        """Whether the model is within its thinking."""
        return bool(self._closing)

    def feed(self, piece: str) -> str:
        """The part of the answer that is certain after this piece; "" while the model thinks."""
        if self._decided:
            return piece
        self._held += piece
        if not self._closing:
            begun = self._held.lstrip()
            opening = next((each for each in OPENINGS if begun.startswith(each)), "")
            if not opening:
                if not begun or any(each.startswith(begun) for each in OPENINGS):
                    return ""
                return self._answer(self._held)
            self._closing, self._thought = opening.replace("<", "</"), True
            self._held = begun.removeprefix(opening)
        before, closing, after = self._held.partition(self._closing)
        if not closing:
            self._held = before[-len(self._closing) :]
            return ""
        self._closing = ""
        self._held = after.lstrip()  # more may follow: some models think twice
        return self.feed("") if self._held else ""

    def rest(self) -> str:
        """What was held back at the end of the reply, in case it was the beginning of a tag; no thinking."""
        return "" if self._decided or self._closing else self._held

    def _answer(self, text: str) -> str:
        self._decided, self._held = True, ""
        return text.lstrip() if self._thought else text


def without_thinking(text: str) -> str:
    """A whole reply, or a turn of the history, without the inline thinking that it begins with."""
    while (thought := _THOUGHT.match(text)) and thought.end():
        text = text[thought.end() :]
    return text
