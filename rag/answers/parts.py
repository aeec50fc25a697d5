"""The questions that stand in one: "What does it cost, and how long does it take?"."""

from __future__ import annotations

import re

_BEFORE = {
    "en": "after|at|before|by|for|from|in|on|since|to|until|up to|with|about",
    "de": "ab|an|auf|bei|bis|für|in|mit|nach|seit|um|von|vor|zu",
    "fr": "à|après|avant|avec|dans|de|depuis|en|jusqu['’]à|pour",
    "es": "a|antes de|con|de|desde|después de|en|hasta|para|por",
}
"""What may stand before a question word."""
_ALSO_ASKS = re.compile(
    r"[,;]?\s+(?:"
    rf"and\s+(?=(?:(?:{_BEFORE['en']})\s+)?(?:what|how|who|whom|whose|which|where|when|why)\b"
    r"|(?:can|could|do|does|did|is|are|was|were|will|would|should|must|may|has|have)\s+"
    r"(?:i|you|we|they|he|she|it|there|my|your|our|his|her|their|its)\b)"
    rf"|und\s+(?=(?:(?:{_BEFORE['de']})\s+)?(?:was|wie|wer|wen|wem|welche\w*|wo|wohin|woher|wann|warum|wieso)\b"
    r"|(?:kann|darf|muss|soll|ist|sind|gibt|hat|haben|wird|werden)\s+(?:ich|du|man|wir|sie|er|es)\b)"
    rf"|et\s+(?=(?:(?:{_BEFORE['fr']})\s+)?(?:qui|quel\w*|comment|combien|où|quand|pourquoi|est-ce)\b)"
    rf"|y\s+¿?(?=(?:(?:{_BEFORE['es']})\s+)?(?:qué|cuál\w*|cuánt\w*|cómo|quién\w*|dónde|cuándo)\b))",
    re.I,
)
"""What stands between two questions in one sentence."""
LEANING = "\n"
"""Between what a question leans on and the question, which are searched for together."""
_ENDS = re.compile(r"(?<=[?？])\s+(?:and\s+|und\s+|et\s+|y\s+)?", re.I)
_WORD = (
    r"(?:what|how|who|whom|whose|which|where|when|why|was|wie|wer|wen|wem|welche\w*|wo|wohin|woher|wann|warum|wieso|qui|que|quoi"
    r"|quel\w*|comment|combien|où|quand|pourquoi|qué|cuál\w*|cuánt\w*|cómo|quién\w*|dónde|cuándo)"
)
_ASKS = re.compile(
    rf"\b{_WORD}\b|^(?:and\s+)?(?:can|could|do|does|did|is|are|was|were|will|would|should|must|may|has|have|kann|darf|muss"
    r"|soll|ist|sind|gibt|hat|haben|est-ce|peut|puis|hay|puedo)\b",
    re.I,
)
"""What is in a question."""
_IS_NO_PART = re.compile(rf"\b{_WORD}$|^{_WORD}(?: \w+)? (?:not|nicht|pas|no)\W*$|\bdifferences? between\b", re.I)
"""What stands for no question of its own: "Tell me how" and when, "what is not"."""
MOST = 3
"""Parts of a question, at most."""


def parts_of(question: str) -> list[str]:
    """The questions in one, in order, `MOST` at most; none where it is one question.

    They are parted where an "and" has a question word behind it, also after a preposition, or a verb with its subject,
    and at question marks. One that leans on an earlier question has no parts, as it is understood with that alone.
    """
    if LEANING in question.strip():
        return []
    parts = [
        part
        for sentence in _ENDS.split(" ".join(question.split()))
        for part in _ALSO_ASKS.split(sentence)
        if _ASKS.search(part)
    ]
    is_one = len(parts) < 2 or any(_IS_NO_PART.search(part) or len(part.split()) < 2 for part in parts)
    return [] if is_one else parts[:MOST]
