"""Terms in plain text, each above deeper lines that tell about it: the options of a manual page, a glossary."""

from __future__ import annotations

import itertools
import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence

from rag.sources.outline import AFTER_TABLE, AFTER_TERMS, CAPTION, OUTER_TERM
from rag.text.markers import MARKER
from rag.text.wraps import DEEPER, indent_of

FEWEST = 4
"""Terms at one indent, at least; else a few lines of a text only look like terms."""
FEWEST_WORDS = 3
"""Words of a line of text below a term, at least, for most of them."""
MOST_OF_TEXT = 0.7
"""Characters of terms for each one of the lines right below them, at most, but of options: else they are verses."""
LONGEST, MOST_WORDS = 80, 8
"""Characters and words of a term's line, at most: "-S treeish, --since=treeish"."""

_NO_TERM = re.compile(
    rf"(?:{MARKER}|\[\d+\]|[#>|%])\s|.*(?:[.;:!?{{(\\|]$|(?<!=),$|://|: | \| | {{3,}}\S|\t\S)|[^a-zA-ZÀ-ÿ]*$"
    r"|(?:then|else|fi|do|done|begin|end|try|finally)$"
)
_CODE = re.compile(r"[;{}\\]\s*$|^\s*(?:return|end|if|for|while|def|else|import)\b|[=!]=|\)\s*$|^\s*[\w.]+ ?= ")
"""A line of a program."""


def terms_of(lines: Sequence[str], headings: Collection[int]) -> Iterator[tuple[int, int]]:
    """Numbers of the lines with a term, and of those where the text below the last one ends; and the levels of marks.

    These are `CAPTION` and `AFTER_TABLE`, and `OUTER_TERM` and `AFTER_TERMS` for a term that has terms below it.
    `headings` are the numbers of lines that are none, and end such text.
    """
    by_indent = _by_indent(lines, headings)
    terms = sorted(itertools.chain(*by_indent.values()))
    below = {number: _end(lines, number, headings) for number in terms}
    outer = {
        number
        for some in by_indent.values()
        if any(bisect_left(terms, below[each]) > bisect_right(terms, each) for each in some)
        for number in some
    }
    ends: dict[int, int] = {}
    stop = 0
    for number, end in below.items():
        if number in outer:
            yield number, OUTER_TERM
            ends[end] = AFTER_TERMS
        elif number >= stop:  # else it is part of the text of another one
            stop = end
            yield number, CAPTION
            ends.setdefault(end, AFTER_TABLE)
    others = {*headings, *terms, len(lines)}
    yield from ((end, level) for end, level in ends.items() if end not in others)


def _end(lines: Sequence[str], term: int, headings: Collection[int]) -> int:
    """The number of the first line after the deeper ones below a term."""
    indent = indent_of(lines[term])
    below = range(term + 1, len(lines))
    return next(
        (each for each in below if each in headings or (lines[each].strip() and indent_of(lines[each]) <= indent)),
        len(lines),
    )


def _by_indent(lines: Sequence[str], headings: Collection[int]) -> dict[int, list[int]]:
    """The lines that are terms, by their indent, where there are many of one."""
    found: dict[int, list[int]] = defaultdict(list)
    may_be: set[int] = set()
    for number, line in enumerate(lines):
        before = lines[number - 1] if number and number - 1 not in may_be and number - 1 not in headings else ""
        if number not in headings and _may_be_term(line, before, lines[number + 1 : number + 4]):
            may_be.add(number)
            found[indent_of(line)].append(number)
    return {indent: terms for indent, terms in found.items() if _are_terms(lines, terms, may_be)}


def _may_be_term(line: str, before: str, below: Sequence[str]) -> bool:
    """Whether this is a short line above deeper ones, with others such as it between at most, and below no other text.

    `before` is the line above, "" if that may be a term, too.
    """
    name, indent = line.strip(), indent_of(line)
    if not name or len(name) > LONGEST or len(name.split()) > MOST_WORDS or _NO_TERM.match(name):
        return False
    if before.strip() and indent_of(before) <= indent:
        return False
    text = next((each for each in below if not each.strip() or indent_of(each) != indent), "")
    return bool(text.strip()) and indent_of(text) >= indent + DEEPER


def _are_terms(lines: Sequence[str], terms: Sequence[int], may_be: Collection[int]) -> bool:
    """Whether they are many, mostly different, and mostly above text and no code; `may_be`: all that look like some."""
    names = {lines[number].strip() for number in terms}
    below = [lines[number + 1] for number in terms if number + 1 not in may_be]
    is_code = sum(bool(_CODE.search(line)) for line in below) > len(below) // 5
    is_text = 2 * sum(len(line.split()) >= FEWEST_WORDS for line in below) >= len(below)
    is_option = 2 * sum(name.startswith("-") for name in names) > len(names)
    return (
        len(terms) >= FEWEST
        and 2 * len(names) > len(terms)
        and is_text
        and not is_code
        and (is_option or not _are_verses(lines, terms, may_be))
    )


def _are_verses(lines: Sequence[str], terms: Sequence[int], may_be: Collection[int]) -> bool:
    """Whether lines are as long as those below them, or go on in these with a small letter."""
    pairs = [(lines[number].strip(), lines[number + 1].strip()) for number in terms if number + 1 not in may_be]
    above, below = (sum(map(len, some)) for some in zip(*pairs, strict=True)) if pairs else (0, 1)
    going_on = sum(name[0].isupper() and " " in name and text[0].islower() for name, text in pairs)
    return above > MOST_OF_TEXT * below or 2 * going_on > len(pairs)
