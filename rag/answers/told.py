"""What the app itself says in an answer, in place of a source or a model."""

from __future__ import annotations

import re

INDIRECT = "The library may not say this directly. What comes nearest:"
"""Before quotes that stand for an answer where the passages hardly have one."""
NO_QUOTES = "The passages below come nearest; no sentence of them can be quoted alone."
"""The answer without a model where the passages have no sentence."""
MODELS_OWN = "What the model made of it"
"""Over the text of a model where the quotes are to be read first."""
LOOKED = "I looked through"
"""How a refusal begins."""
_REFUSAL = re.compile(rf"{LOOKED} [\d,]+ sources? \(")
EMPTY = "There is nothing in the library yet"
"""How it begins where there are no sources."""


def without_what_is_told(answer: str) -> str:
    """An answer without what the app says in it; empty where it is that alone."""
    if _REFUSAL.match(answer) or answer.startswith((EMPTY, NO_QUOTES)):
        return ""
    return answer.removeprefix(INDIRECT).lstrip()
