"""Tells when a model has begun to repeat itself, as small models do until they are stopped."""

from __future__ import annotations

import re

TIMES = 3
"""How often in a row the same words make a loop."""
LONG_ROUND = 30
"""Words of a round from which on the second time makes a loop: nobody says a whole paragraph or row twice in a row."""
FEWEST_WORDS = 18
"""Words that a loop has, all rounds together: "very, very, very" and a line of a song are none."""
LONGEST_ROUND = 120
"""Words of the longest round that is looked for."""
LONGEST_WORD = 100
"""Characters of a word, and of the beginning of a line, that are kept."""
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_]+|[^\w\s]")
_FENCE = re.compile(r"\s*(?:```|~~~)")


class RepeatWatch:
    """Reads an answer as it comes, in time linear in its length."""

    def __init__(self) -> None:
        self._words: list[str] = []
        self._rest = ""
        self._line = ""
        self._in_code = False
        self._same: dict[int, int] = {}
        """For each length of a round: how many words in a row, up to the last, equal the one a round before."""

    def feed(self, piece: str) -> bool:
        """Whether the answer, with this piece, ends in the same words over and over; never within code."""
        looping = False
        for part in piece.splitlines(keepends=True):
            self._line = (self._line + part)[:LONGEST_WORD]
            if not self._in_code:
                looping = self._read(part) or looping
            if part.endswith("\n"):
                self._in_code ^= bool(_FENCE.match(self._line))
                self._line = ""
        return looping

    def _read(self, part: str) -> bool:
        text = self._rest + part
        found = list(_WORD.finditer(text))
        if text[-1:].isalnum() and not "\u3040" <= text[-1] <= "\u9fff":
            found = found[:-1]  # the last word may go on
        self._rest = (text[found[-1].end() :] if found else text)[-LONGEST_WORD:]
        looping = [self._add(word[0].casefold()) for word in found]
        return any(looping)

    def _add(self, word: str) -> bool:
        words = self._words
        words.append(word)
        looping = False
        for length in range(1, min(LONGEST_ROUND, len(words) - 1) + 1):
            if words[-1 - length] != word:
                self._same.pop(length, None)
                continue
            self._same[length] = self._same.get(length, 0) + 1
            run = self._same[length] + length
            times = TIMES if length < LONG_ROUND else 2
            if run >= max(times * length, FEWEST_WORDS):
                looping = looping or any(each.isalpha() for each in words[-length:])
        return looping
