"""Cuts an answer where its model began to repeat itself, as small models do until they are stopped."""

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
SENTENCE_ENDS = ".!?…。！？"
"""Signs that belong to the words before them, also where a round is found to begin with one."""
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_]+|[^\w\s]")
_FENCE = re.compile(r"\s*(?:```|~~~)")


class RepeatWatch:
    """Reads an answer as it comes, in time linear in its length, and holds back words that may begin a loop."""

    def __init__(self) -> None:
        self.looping = False
        """Whether the answer ended in the same words over and over; never within code."""
        self._words: list[str] = []
        self._ends: list[int] = []
        """For each word, the characters of the answer up to its end."""
        self._seen = self._shown = 0
        """Characters that have come, and those of them that may be shown."""
        self._held = ""
        self._rest = ""
        self._line = ""
        self._in_code = False
        self._same: dict[int, int] = {}
        """For each length of a round: how many words in a row, up to the last, equal the one a round before."""

    def feed(self, piece: str) -> str:
        """What may be shown once this piece has come: not what says again, word for word, what stands before it."""
        for part in piece.splitlines(keepends=True):
            self._line = (self._line + part)[:LONGEST_WORD]
            if not self._in_code:
                self._read(part)
            self._seen += len(part)
            if part.endswith("\n"):
                self._in_code ^= bool(_FENCE.match(self._line))
                self._line = ""
        self._held += piece
        return self._show(self._certain())

    def rest(self) -> str:
        """What was held back and turned out to be no loop, at the end of the answer."""
        return "" if self.looping else self._show(self._seen)

    def _show(self, end: int) -> str:
        new = self._held[: max(0, end - self._shown)]
        self._held = self._held[len(new) :]
        self._shown += len(new)
        return new

    def _certain(self) -> int:
        """Characters of the answer up to the words that may be the beginning of a loop."""
        repeated = max(self._same.values(), default=0)
        if self._in_code or (repeated > FEWEST_WORDS and not any(map(str.isalpha, self._words[-repeated:]))):
            return self._seen
        while repeated and self._words[-repeated] in SENTENCE_ENDS:
            repeated -= 1
        begun = self._rest.strip().casefold()
        may_repeat = begun and any(word.startswith(begun) for word in self._words[-LONGEST_ROUND:])
        return self._ends[-1 - repeated] if repeated or may_repeat else self._seen

    def _read(self, part: str) -> None:
        text = self._rest + part
        began = self._seen - len(self._rest)
        found = list(_WORD.finditer(text))
        if text[-1:].isalnum() and not "\u3040" <= text[-1] <= "\u9fff":
            found = found[:-1]  # the last word may go on
        self._rest = (text[found[-1].end() :] if found else text)[-LONGEST_WORD:]
        for word in found:
            if self.looping:
                return
            self._ends.append(began + word.end())
            self._add(word[0].casefold())

    def _add(self, word: str) -> None:
        words = self._words
        words.append(word)
        for length in range(1, min(LONGEST_ROUND, len(words) - 1) + 1):
            if words[-1 - length] != word:
                self._same.pop(length, None)
                continue
            self._same[length] = self._same.get(length, 0) + 1
            run = self._same[length] + length
            times = TIMES if length < LONG_ROUND else 2
            if run >= max(times * length, FEWEST_WORDS):
                self.looping |= any(each.isalpha() for each in words[-length:])
