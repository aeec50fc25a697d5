"""Text in sentences, and how many tokens it takes."""

from __future__ import annotations

import math
import re
from functools import lru_cache

from rag.text.markers import OUTLINE
from rag.text.wraps import unwrap

BYTES_PER_TOKEN = 3.0
"""UTF-8 bytes in a token, at least, for prose in the vocabularies of Llama 3 and SmolLM2 (English has about 4.2)."""
DENSE = re.compile(r"\b\w*\d\w*\b", re.ASCII)
"""Numbers, hex and names with digits: a token a byte, as measured with llama3, qwen3 and gemma3."""
DENSE_SCRIPTS = re.compile("[\u0590-\u1fff\u2e80-\ud7ff\uf900-\uffef\U00010000-\U0010ffff]+")
"""Thai, Arabic, Japanese and others, of which some vocabularies have little."""
BYTES_PER_DENSE_TOKEN = 1.6
KEPT_TEXTS = 256
"""Passages whose sentences and words are kept."""

_CLOSING = r"""["'”»)\]*_`]*"""
_SENTENCE_END = re.compile(
    rf"""(?<=[.!?])(?<!\b[A-Z]\.)({_CLOSING}(?:\[\^?\d[\d,;–^ -]*\])*)\s+(?=["'“«(\[*_`]*[A-Z0-9À-Þ])"""
    rf"|(?<=[。！？])({_CLOSING}[」』”’）]*)"
    r"|()\n"
)
_ABBREVIATION = re.compile(
    r"\b(?:et al|e\.g|i\.e|etc|cf|vs|Figs?|Eqs?|Dr|Mr|Mrs|Ms|Mme|Prof|St|No|Nos|pp?|Vol|Sec|Ch|Art|approx|Nr|Abs|Abb"
    r"|Tab|Kap|Ziff|Bd|Str|Tel|bzw|ca|inkl|exkl|zzgl|ggf|evtl|eventl|vgl|Erw|Mio|Mrd|geb|bspw|sog|e\.\s?V|z\.\s?B"
    r"|d\.\s?h|Capt|Col|Gen|Lt|Rev|Sgt)\.(?=\s)"
    r"|\b(?:incl|excl)\.(?=\s[A-Z]{2})"
    r"|\b(?:no|nos|tel|ext|fig|vol|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.(?=\s[\w-]*\d)"
    r"|\b(?:[Ii]m|(?<!I )[Aa]m|[Dd](?:er|ie|as|em|en|es)|[Zz]u[mr]|[Vv]om|[Bb]eim)\s\d\d?\.(?=\s)"
    r"|\b\d\d?\.(?= (?:Januar|Februar|März|April|Mai|Juni|Juli|August|September|Oktober|November|Dezember|Jahrhundert))"
    rf"|^[ \t]*(?:#{{1,6}}[ \t]+)?[*_]*(?:{OUTLINE})(?= )",
    re.M,
)


def count_tokens(text: str) -> int:
    """Tokens that `text` takes at most: an estimate from its bytes, as Ollama has no tokenizer to ask."""
    digits = sum(map(len, DENSE.findall(text)))
    script = 0 if text.isascii() else sum(len(run.encode("utf-8", "replace")) for run in DENSE_SCRIPTS.findall(text))
    rest = len(text.encode("utf-8", "replace")) - digits - script
    return math.ceil(rest / BYTES_PER_TOKEN + script / BYTES_PER_DENSE_TOKEN + digits)


def shielded(text: str) -> str:
    """The text, of the same length, with another sign for each full stop that only ends an abbreviation."""
    return _ABBREVIATION.sub(lambda found: found[0].replace(".", "\ue000"), text)


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Where the sentences of `text` begin and end. A line break ends one, unless it only wraps it."""
    unwrapped = shielded(unwrap(text))
    spans = []
    start = 0
    for found in [*_SENTENCE_END.finditer(unwrapped), None]:
        stop = found.end(found.lastindex or 0) if found else len(text)
        sentence = text[start:stop]
        if inner := sentence.strip():
            begin = start + sentence.index(inner)
            spans.append((begin, begin + len(inner)))
        start = found.end() if found else stop
    return spans


def split_sentences(text: str) -> list[str]:
    """The sentences of `text`, white space folded; remembered, as a passage is looked at three times for a question."""
    return list(_sentences(text))


@lru_cache(KEPT_TEXTS)
def _sentences(text: str) -> tuple[str, ...]:
    return tuple(" ".join(text[start:stop].split()) for start, stop in sentence_spans(text))
