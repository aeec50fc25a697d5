"""Whether the letters of a text are the right ones: PDF files may show one letter and name another, or none."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

FEW_ODD = 0.02
"""Share of odd characters from which a text is looked at more closely. Clean pages of pdfminer's and docling's test
files have under 0.002; the garbled ones of them have 0.03 and more."""
MANY_ODD = 0.2
"""Share of odd characters from which a text is of no use."""

_PLAIN = re.compile(
    r"[ !-;=?-\[\]_`a-z\xa0-\xa5\xa7\xaa-\xad\xaf-\u02bf\u2010-\u2027"
    r"\u3040-\u30ff\u4e00-\u9fff]*"
)
"""Text that has nothing odd, to pass most of it over at once."""
_INSIDE = re.compile(r"(?<=\w)[\\~^|<>{}¤¦¨©®™›‹˜](?=\w)|(?<=[\u2e80-\uffef])[¤¦¨™›‹œŸ˜]")
_ODD_ALONE = re.compile(r"[\u02c0-\u02df™›‹œŸ˜]{2,}|[\u02d2-\u02df](?=\w)")
_ADDRESS = re.compile(r"(?:https?:|www\.|@|/)")
_RECOGNIZED = re.compile(
    r"[\d\u0041-\u024f\u0370-\u03ff\u1e00-\u1eff\u2e80-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]"
)
"""Letters that the text recognition knows: Latin, Greek, Chinese and Japanese."""


def odd_characters(words: Iterable[str]) -> list[str]:
    """The characters of words that no script explains: private, unassigned and control characters inside words, the
    sign for an unknown character, and signs between letters where no language has them.
    """
    found: list[str] = []
    for word in (word for run in words if not _PLAIN.fullmatch(run) for word in run.split(" ")):
        inner = word.strip("•·–—-()[]\"'“”‘’.,;:!?*")
        for character in word:
            kind = unicodedata.category(character)
            unknown = character == "\ufffd" or kind == "Cc" or (kind == "Cn" and ord(character) < 0x1FB00)
            if unknown or (kind == "Co" and len(inner) > 1):
                found.append(character)
        if not _ADDRESS.search(word):
            found += _INSIDE.findall(word)
            found += "".join(_ODD_ALONE.findall(word))
    return found


def is_recognizable(text: str) -> bool:
    """Whether most letters of a text are of a script that the text recognition reads."""
    letters = [character for character in text if character.isalpha()]
    return sum(bool(_RECOGNIZED.match(character)) for character in letters) >= 0.7 * len(letters)


def share_found(characters: Iterable[str], text: str) -> float:
    """How many of some characters a text has, each as often as it has them; 1.0 where there are none."""
    wanted = Counter(unicodedata.normalize("NFKC", "".join(characters)).casefold().replace(" ", ""))
    there = Counter(unicodedata.normalize("NFKC", text).casefold())
    total = sum(wanted.values())
    return sum((wanted & there).values()) / total if total else 1.0
