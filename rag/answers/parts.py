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
"""Between two questions in one sentence."""
LEANING = "\n"
"""Before a question that leans on what stands before it."""
_ENDS = re.compile(r"(?<=[?？])\s*(?:and\s+|und\s+|et\s+|y\s+)?", re.I)
MOST = 3
"""Parts of a question, at most: more is a text."""


def parts_of(question: str) -> list[str]:
    """The questions in one, in order; none where it is one question.

    They are parted where a question word or a verb after "and" begins another one, and at question marks. One that
    leans on an earlier question has no part, as it is understood with that alone.
    """
    if LEANING in question.strip():
        return []
    parts = [
        part.strip()
        for sentence in _ENDS.split(question.strip())
        for part in _ALSO_ASKS.split(sentence)
        if len(part.split()) > 1
    ]
    return parts if 1 < len(parts) <= MOST else []
