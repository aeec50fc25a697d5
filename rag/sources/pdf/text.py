"""The lines of a PDF's pages become the text of its documents: headings, running heads, sentences over page ends."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import PurePath
from typing import Any

from rag.sources.outline import AFTER_TABLE, CAPTION, MARK, Marks, is_clause
from rag.sources.pdf.lines import Line, ends_sentence, is_unfinished, join

LONGEST_TAIL = 400
"""Characters of the next page that finish a page's last sentence."""
LONGEST_HEADING = 150
_PAGE_NUMBER = re.compile(r"(?i)(?:page|seite|página|pagina|sida|side|blatt)\W*\d+(?:\W*(?:of|von|de|di|/)\W*\d+)?\W*")
_LARGER = 1.12
"""Times the size of the running text that a heading has at least."""
_HEADING_GAP = 0.8
"""Ems of white between two lines of one heading, at most."""
_MOST_HEADINGS = 0.25
"""Share of a text that headings are at most; on slides the smaller of the large letters are those of the text."""
_LONG = 60
"""Characters of a sentence from which on it is running text."""
_TOP = 8
"""Lines of a page among which a title of several lines begins."""
_NO_TITLE = re.compile(
    r"(?i)\W*(?:untitled(?:[\s-]*(?:document|\d+))?|anonymous|unspecified|unknown|no ?title|title|none|null"
    r"|default|test"
    r"|(?:document|doc|dokument|slide|folie|page|seite|layout|book|mappe|präsentation|presentation)\s*\d*"
    r"|powerpoint[ -]presentation|presentación de powerpoint|présentation powerpoint"
    r"|microsoft (?:word|powerpoint|excel)"
    r"|[\W\d_]*)\W*"
)
_PROGRAM = re.compile(r"(?i)(?:microsoft (?:word|powerpoint|excel|office \w+)|word|writer)\s*[-:–]\s")
_FILE_NAME = re.compile(
    r"(?i)^(?:[a-z]:|file:|~|\.{1,2})?[\\/].*|.*\.(?:docx?|dotx?|xlsx?|pptx?|odt|ods|odp|rtf|txt|tex|dvi|ps|eps|indd|qx[dp]|pdf"
    r"|html?|pub|wpd|pages|fm|cdr|ai|tiff?|jpe?g|png)"
    r"|(?:about|data|blob):\S*|[a-z][a-z0-9+.-]*://\S*"  # what a browser prints that has no title
)


_CONTENTS_ENTRY = re.compile(
    r"(?:(?:[.·]\s?){4,}|(?:…\s?){2,})[\s|]*(\d{1,4}|\d{1,2}[-–]\d{1,3}|[A-Z]-\d{1,3}|[ivxl]{1,6})$"
)
_PLAIN_ENTRY = re.compile(r".*\s\d{1,4}")
_FEWEST_LISTED = 4
"""Lines of a heading's looks right below each other that are a list."""
_FEWEST_ENTRIES = 5
"""Entries of a list of contents on its first page."""
_CONTENTS_HEAD = 60
"""Characters that are left on a page of contents where there is nothing but its heading and its number."""


@dataclass
class Page:
    """A page as it was laid out. `marks` are the headings that the outline names: number of the line, level."""

    number: int
    lines: list[Line]
    recognized: bool = False
    marks: dict[int, int] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)
    """The recognized lines with their places, see `rag.sources.ocr.kept_lines`."""


def separator(line: Line, after: Line) -> str:
    """What stands between two lines of a page."""
    if line.kind == after.kind == "row" or line.kind == "caption":
        return "\n"
    if line.kind != after.kind or after.gap > 0.8 or abs(line.size - after.size) > 0.1 * line.size:
        return "\n\n"
    return "\n"


def text_of(lines: Sequence[Line]) -> str:
    """The text of lines, without marks."""
    pieces = [lines[0].text] if lines else []
    for line, after in pairwise(lines):
        pieces += [separator(line, after), after.text]
    return "".join(pieces)


# -- headings --------------------------------------------------------------------------------------------------------


def body_size(pages: Sequence[Page]) -> tuple[float, bool]:
    """The size of most letters of the running text, and whether most of them are bold."""
    sizes: Counter[tuple[float, bool]] = Counter()
    for page in pages:
        for line in page.lines:
            if not page.recognized:
                sizes[round(line.size * 2) / 2, line.bold] += len(line.text)
    return max(sizes, key=lambda each: sizes[each]) if sizes else (0.0, False)


def join_headings(lines: Sequence[Line]) -> list[Line]:
    """A page's lines, those of a heading as one: letters larger than the others that go on below with a small one."""
    body, _ = body_size([Page(0, list(lines))])
    joined: list[Line] = []
    for line in lines:
        above = joined[-1] if joined else None
        if above and above.kind == line.kind == "text" and line.text[:1].islower() and not ends_sentence(above.text):
            alike = abs(above.size - line.size) < 0.5 and line.size >= _LARGER * body and line.gap < _HEADING_GAP
            if alike and len(above.text) + len(line.text) < LONGEST_HEADING:
                joined[-1] = join(above, line)
                continue
        joined.append(line)
    return joined


def mark_headings(pages: Sequence[Page]) -> None:
    """Add the headings by size and weight to those of the outline, below them where the outline has any."""
    body, bold = body_size(pages)
    found: list[tuple[Page, int, float]] = []
    for page in pages:
        for number, line in enumerate(page.lines):
            after = page.lines[number + 1] if number + 1 < len(page.lines) else None
            if number not in page.marks and not page.recognized and _is_heading(line, after, body, bold):
                found.append((page, number, round(line.size * 2) / 2))
    found = _without_lists(found)
    top = max((level for page in pages for level in page.marks.values()), default=0)
    sizes = _sizes_of_headings(pages, [(page.lines[number], size) for page, number, size in found])
    for page, number, size in found:
        if size in sizes:
            page.marks[number] = min(top + sizes.index(size) + 1, 6)


def _without_lists(found: Sequence[tuple[Page, int, float]]) -> list[tuple[Page, int, float]]:
    """The headings without runs of lines of one size that have no text between them: large names in a list."""
    kept: list[tuple[Page, int, float]] = []
    run: list[tuple[Page, int, float]] = []
    for item in [*found, None]:
        if run and (item is None or item[0] is not run[-1][0] or item[1] != run[-1][1] + 1 or item[2] != run[-1][2]):
            kept += run if len(run) < _FEWEST_LISTED else []
            run = []
        run += [item] if item else []
    return kept


def _sizes_of_headings(pages: Sequence[Page], found: Sequence[tuple[Line, float]]) -> list[float]:
    """The sizes from the largest on, as long as the lines of them are the smaller part of the text."""
    letters: Counter[float] = Counter()
    for line, size in found:
        letters[size] += len(line.text)
    total = sum(len(line.text) for page in pages for line in page.lines)
    sizes: list[float] = []
    taken = 0
    for size in sorted(letters, reverse=True):
        taken += letters[size]
        if sizes and taken > _MOST_HEADINGS * total:
            break
        sizes.append(size)
    return sizes


def _is_heading(line: Line, after: Line | None, body: float, body_bold: bool) -> bool:
    text = line.text
    if (
        line.kind != "text"
        or line.parted
        or line.rows > 3
        or len(text) > LONGEST_HEADING
        or sum(map(str.isalpha, text)) < 2
    ):
        return False
    if is_clause(text) and after is not None:
        return True
    if (
        _PAGE_NUMBER.fullmatch(text)
        or re.search(r"[,;]$|(?<![\w.])\w[\w ]*: \S", text)
        or not re.match(r"[\w(\[“\"'¿¡«§]", text)
    ):
        return False
    if line.size >= _LARGER * body:
        return not (ends_sentence(text) and len(text) > 80)
    if not line.bold or body_bold or line.size < 0.95 * body or ends_sentence(text.rstrip(":")):
        return False
    return after is not None and not (after.kind == "text" and after.bold and after.size <= line.size)


def mark_outline(pages: Mapping[int, Page], outline: Sequence[tuple[int, int, str]]) -> None:
    """Mark the lines that the outline names: page from 1, level from 1, title."""
    for number, level, title in outline:
        page, wanted = pages.get(number), _bare(title)
        if page is None or len(wanted) < 2:
            continue
        best: tuple[int, int] | None = None
        for place, line in enumerate(page.lines):
            if line.kind == "row" or place in page.marks:
                continue
            bare = _bare(line.text[: 3 * LONGEST_HEADING])
            if wanted in bare and len(bare) <= len(wanted) + 12:
                extra = len(bare) - len(wanted)
                if best is None or extra < best[0]:
                    best = (extra, place)
        if best is not None:
            page.marks[best[1]] = min(level, 6)


def _bare(text: str) -> str:
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text).casefold()))


# -- page ends -------------------------------------------------------------------------------------------------------


def without_contents(pages: list[Page]) -> list[Page]:
    """The pages without the list of contents: entries with dots that lead to a page's number, and those between them.

    It names all that a person may ask for, and tells nothing of it; the headings are in the text again.
    """
    kept: list[Page] = []
    before = False
    for page in pages:
        kept.append(page)
        places = [number for number, line in enumerate(page.lines) if _CONTENTS_ENTRY.search(line.text)]
        found = [_CONTENTS_ENTRY.search(page.lines[number].text) for number in places]
        numbers = [int(match[1]) for match in found if match and match[1].isdecimal()]
        steps = [one <= two for one, two in pairwise(numbers)]
        before = len(places) >= (2 if before else _FEWEST_ENTRIES) and sum(steps) >= 0.8 * len(steps)
        if not before:
            continue
        lines = [
            line
            for number, line in enumerate(page.lines)
            if number not in places and not _is_entry(line.text, number - places[0], places[-1] - number)
        ]
        kept[-1] = replace(page, lines=lines)
        if sum(len(line.text) for line in lines) < _CONTENTS_HEAD:
            kept.pop()
    return kept or pages


def _is_entry(text: str, after_first: int, before_last: int) -> bool:
    """Whether a line is an entry without dots near the others, or the beginning of one of two lines among them."""
    if len(text) > LONGEST_HEADING:
        return False
    is_near = after_first >= -2 and before_last >= -2 and bool(_PLAIN_ENTRY.fullmatch(text))
    return is_near or (min(after_first, before_last) > 0 and not ends_sentence(text))


def add_tails(pages: Sequence[Page]) -> None:
    """Let a sentence that stops at the end of a page go on there to its end; it also stays on the next page."""
    tails = [_tail(page, after) for page, after in pairwise(pages)]
    for page, tail in zip(pages, tails, strict=False):
        if tail:
            last = page.lines[-1]
            text, glue = (last.text[:-1], "") if _is_broken(last, tail) else (last.text, " ")
            page.lines[-1] = replace(last, text=text + glue + tail)


def _is_broken(last: Line, tail: str) -> bool:
    return bool(re.search(r"[^\W\d_][-\u00ad\u2010]$", last.text)) and tail[:1].islower()


def _tail(page: Page, after: Page) -> str:
    """The end of the sentence that is unfinished on a page."""
    if after.number != page.number + 1 or not page.lines or not after.lines:
        return ""
    last, first = page.lines[-1], after.lines[0]
    if not is_unfinished(last) or first.kind != "text" or len(page.lines) - 1 in page.marks or 0 in after.marks:
        return ""
    if abs(last.size - first.size) > 0.1 * last.size and not (page.recognized or after.recognized):
        return ""
    if not (
        first.text[:1].islower()
        or last.text.endswith(",")
        or (last.full and first.text[:1].isalnum() and last.rows > 1)
    ):
        return ""
    end = re.search(r"[.!?。！？]['\")\]”’»]*(?=\s|$)|[。！？]", first.text[:LONGEST_TAIL])
    return (
        first.text[: end.end()]
        if end
        else first.text[:LONGEST_TAIL].rpartition(" ")[0]
        if (len(first.text) > LONGEST_TAIL)
        else first.text
    )


# -- documents -------------------------------------------------------------------------------------------------------


def marked_text(page: Page) -> tuple[str, Marks]:
    """The text of a page with a mark before each heading, each table's caption, and what follows such a table."""
    pieces: list[str] = []
    marks: Marks = []
    in_table = False
    for number, line in enumerate(page.lines):
        if number:
            pieces.append(separator(page.lines[number - 1], line))
        if number in page.marks:
            pieces.append(MARK)
            marks.append((page.marks[number], ""))
            in_table = False
        elif line.kind == "caption":
            pieces.append(MARK)
            marks.append((CAPTION, ""))
            in_table = True
        elif in_table and line.kind == "text":
            pieces.append(MARK)
            marks.append((AFTER_TABLE, ""))
            in_table = False
        pieces.append(line.text)
    return "".join(pieces), marks


def title_of(given: str, pages: Sequence[Page], name: str) -> str:
    """The title that the file gives itself, or else its first heading if no other is as high, or else its name.

    A heading of several lines is one. What stands below running text, or ends as a sentence does, is no title.
    """
    given = " ".join(given.split())
    if given and not (_NO_TITLE.fullmatch(given) or _PROGRAM.match(given) or _FILE_NAME.fullmatch(given)):
        return given
    found = [(level, page, number) for page in pages for number, level in sorted(page.marks.items())]
    highest = [(page, number) for level, page, number in found if level == min(each[0] for each in found)]
    if highest and found[0][1:] == highest[0]:
        page, first = highest[0]
        is_whole = highest == [(page, number) for number in range(first, first + len(highest))]
        is_told = any(ends_sentence(line.text) and len(line.text) > _LONG for line in page.lines[:first])
        if is_whole and page in pages[:2] and not is_told and (len(highest) == 1 or first < _TOP):
            text = " ".join(line.text for line in page.lines[first : first + len(highest)])
            if not ends_sentence(text) and len(text) <= LONGEST_HEADING:
                return text
    return PurePath(name).name or name
