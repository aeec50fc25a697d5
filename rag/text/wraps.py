"""Line breaks that only wrap a sentence, told from those that end a line of a list, table or poem."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import groupby, pairwise

from rag.text.markers import MARKER, OUTLINE

SHORTEST = 40
"""Characters of a line that is wrapped, at least."""
FULL = 0.8
"""Share of the width that such a line and the next word take, at least: the word had no room."""
WIDEST = 160
"""Characters of the longest line of wrapped text."""
DEEPER = 3
"""Columns by which lines begin farther to the right than the term above that they tell about, at least."""
KEPT_TEXTS = 256
"""Passages that are kept unwrapped."""

_MARKER = re.compile(rf"[ \t]*(?:{MARKER}|\[\d+\])[ \t]+")
_NEW_LINE = re.compile(rf"[-*+–](?:\s|$)|[•#>|=]|(?:{OUTLINE})\s|\[\d+\]|[^\n:.,;()]{{1,40}}: ")
"""How a line begins that goes on with nothing."""
_ENDED = re.compile(r"[.!?:;|{}()=<>\\。！？：；][\"'”’»)\]*_`]*$")
"""How a line ends that nothing goes on."""


_CELLS = re.compile(r"\S(?: \| | {3,}|\t)\S")
"""What parts the cells of a row."""
_COMMENT = re.compile(r"[ \t]*(#{1,2}|//|;{1,2}|--|%)(?=[ \t]|$)")
_SETTING = re.compile(r"\s*[\w.\[\]-]+\s*=.*|\s*\w+[._-][\w.-]+(?:\s+\S+){1,3}(?<![.?!:])|.*[;{}\\]\s*")
"""What is commented out: a setting or a line of a program."""
_IS_SAID = re.compile(r".{45}|\w[.?!:][ \t]*$")
"""A line of a comment that is no heading."""
_OPENS = re.compile(r"(?:\{[\w-]+\}|:[\w:-]+:)?[`*_(\[\"'“‘]+(?=\w)")
"""Signs before a word in the midst of a sentence: of code, of a link, of what is bold."""
_FENCE = re.compile(r" {0,3}(?:```|~~~)")


@lru_cache(KEPT_TEXTS)
def without_comment_marks(text: str) -> str:
    """The text, of the same length, with blanks for the marks of comments that go over several lines.

    So have files of settings, programs and queries; two headings of Markdown in a row are no sentences.
    """
    lines = text.split("\n")
    marks: list[str] = []
    in_code = False
    for line in lines:
        in_code ^= bool(_FENCE.match(line))
        found = None if in_code else _COMMENT.match(line)
        marks.append(found[1] if found and not _SETTING.fullmatch(line, found.end()) else "")
    end = 0
    for mark, run in groupby(marks):
        first, end = end, end + len(list(run))
        if mark and end - first > 1 and any(_IS_SAID.search(line) for line in lines[first:end]):
            lines[first:end] = [line.replace(mark, " " * len(mark), 1) for line in lines[first:end]]
    return "\n".join(lines)


@lru_cache(KEPT_TEXTS)
def unwrap(text: str) -> str:
    """The text, of the same length, with a blank for each line break that only wraps a sentence.

    Such a line is nearly as long as its paragraph is wide, and the next one goes on with a small letter; where one does
    and no word of the paragraph would have fitted into the line before, lines that begin otherwise do so, too. The line
    below a long one of a list's item that begins below its text is of the same item.
    """
    lines = without_comment_marks(text).split("\n")
    if len(lines) == 1:
        return text
    is_comment = [bool(_COMMENT.match(line)) for line in text.split("\n")]
    ends = ["\n"] * len(lines)
    first, in_code = 0, False
    for number, line in enumerate([*lines, ""]):
        fence = bool(_FENCE.match(line))
        if line.strip() and not fence and not in_code:
            continue
        for wrapped in _wrapped(lines[first:number]) if not in_code else ():
            if is_comment[first + wrapped] == is_comment[first + wrapped + 1]:  # else code follows, or goes before
                ends[first + wrapped] = " "
        first, in_code = number + 1, in_code != fence
    return "".join(map(str.__add__, lines, ends))[:-1]


def _wrapped(lines: list[str]) -> list[int]:
    """The lines of a paragraph that go on in the next one, by their number."""
    lines = _indented(lines)
    width = max((len(line.rstrip()) for line in lines), default=0)
    if len(lines) < 2 or not SHORTEST <= width <= WIDEST or _has_cells(lines):
        return []
    amid = sum(map(_begins_amid, lines))
    is_prose = not _begins_amid(lines[0]) and amid <= max(1, len(lines) // 4)  # more are rows of a log, or verses
    small: list[int] = []
    others: list[int] = []
    fits = False
    for number, (line, following) in enumerate(pairwise(lines)):
        begins = following.lstrip()
        reach = len(line.rstrip()) + 1 + len(begins.split()[0])
        fits |= reach <= width
        marked = _MARKER.match(line)
        indents = {indent_of(line), marked.end() if marked else indent_of(line)}
        ended = len(line.rstrip()) < SHORTEST or _ENDED.search(line) or _NEW_LINE.match(begins)
        if ended or indent_of(following) not in indents:
            continue
        hangs = bool(marked) and indent_of(following) == (marked.end() if marked else 0)
        goes_on = begins[0].islower() or (is_prose and _begins_amid(following))
        if hangs or (goes_on and reach >= FULL * width):
            small.append(number)
        elif reach > width:
            others.append(number)
    return sorted(small + others) if small and not fits else small


def _begins_amid(line: str) -> bool:
    """Whether a line begins with a number, or with the signs of code, of a link or of a quotation."""
    begins = line.lstrip()
    return begins[:1].isdigit() or bool(_OPENS.match(begins) and not begins.startswith("**"))


def _has_cells(lines: list[str]) -> bool:
    """Whether lines are rows: with bars or tabs, with a gap in each, or with gaps that end in the same column.

    Text that is justified has a wide gap here and there.
    """
    if any(" | " in line or "\t" in line.strip() for line in lines):
        return True
    ends = [{found.end() for found in _CELLS.finditer(line)} for line in lines]
    return all(ends) or sum(map(len, ends)) > len(set().union(*ends))


def _indented(lines: list[str]) -> list[str]:
    """The lines, the first as deep as the next two are: a passage begins without the white space before its text."""
    deep = indent_of(lines[1]) if len(lines) > 2 else 0
    if not deep or indent_of(lines[0]) or indent_of(lines[2]) != deep or len(lines[0].rstrip()) < SHORTEST:
        return lines
    return lines if _MARKER.match(lines[0]) else [" " * deep + lines[0], *lines[1:]]


def indent_of(line: str) -> int:
    """Characters of white space that a line begins with."""
    return len(line) - len(line.lstrip())
