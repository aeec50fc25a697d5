"""Heads and feet that stand on every page of a PDF."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence, Set
from itertools import pairwise
from statistics import median

from rag.sources.pdf.layout import names_table
from rag.sources.pdf.lines import Line
from rag.sources.pdf.text import Page

LONGEST_RUNNING = 300
"""Characters of a running head or foot, which may be the path of a file."""
MOST_RUNNING = 4
"""Lines of a running head, and of a foot."""
_OWN_NUMBER = re.compile(r"(?i)(?:\d+(?:\.\d+)+\.? |(?:figure|fig\.|abbildung|abb\.) ?\d)")
"""The number of a section or a figure, which is another one where another stands at the same place."""
_OF_PAGE = re.compile(r"(?<![\w.,$€£-])(?:[a-z]-|\d{1,2}-)?(\d{1,4}|\d,\d{3}|[ivxlc]+)(?![\w%€$£-]|[.,]\d)")
"""What may be the number of a page, in small letters."""
_OF_PAPER = re.compile(
    r"(?<!page )(?<!seite )(?<!blatt )(?<!p\. )"
    r"(?:\b(?:step|chapter|week|day|lesson|room|act|answer|question|part|unit|kapitel|woche|tag|zimmer|teil|no|nr|number|nummer|invoice|rechnung|facture|factura|receipt|beleg|order|bestellung|id|ref|case|customer)"
    r"|#|№|n°)\W*$|(?<!page)(?<!seite)(?<!blatt)(?<!pagina)(?<!página):\s*$"
)
"""What stands before the number of an invoice or a figure, which may go on from page to page as that of a page does."""
_IS_ITEM = re.compile(r"[.)]\s+[^\W\d]")
"""What follows the number of an item of a list or an agenda: "2. Item"."""
_ENDS = (".", "!", "?", ":")
_ROMAN = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}
_STAMP_SIZE, _STAMP_WORDS, _ON_MOST = 1.8, 3, 0.6
"""Times the usual size of letters that a stamp's have at least, words of it at most, share of pages that have it."""
_FREE = 2
"""Lines of these that may stand anywhere; the others stand in the margin, at one height on all pages."""
_MARGIN = 0.12
"""Share of a page's height that its upper and its lower margin have."""
_SAME_HEIGHT = 0.004
"""Share of a page's height by which a line in the margin may stand higher or lower than on the page before."""


def drop_running(pages: Sequence[Page]) -> None:
    """Take heads and feet that stand on many pages from all but the first of them.

    They are the first or last lines of a page and differ in the page's number only: other numbers are an invoice's or
    a score, on pages that are made alike.
    """
    _drop_stamps(pages)
    for at_top in (True, False):
        kept = dict.fromkeys((page.number for page in pages), 0)
        for count in range(MOST_RUNNING):
            _drop_end(pages, kept, at_top=at_top, in_margin=count >= _FREE)


def _drop_stamps(pages: Sequence[Page]) -> None:
    """Take words in large letters that stand on most pages at one height, as DRAFT does, from all but the first page.

    There they are no heading.
    """
    lines = [line for page in pages for line in page.lines]
    usual = median(line.size for line in lines) if lines else 0.0
    found: dict[str, list[float]] = defaultdict(list)
    for line in lines:
        if line.kind == "text" and line.size > _STAMP_SIZE * usual and len(line.text.split()) <= _STAMP_WORDS:
            found[line.text].append(line.top)
    stamps = {
        text
        for text, tops in found.items()
        if len(tops) > 1 and len(tops) >= _ON_MOST * len(pages) and max(tops) - min(tops) < _SAME_HEIGHT
    }
    seen: set[str] = set()
    for page in pages if stamps else ():
        for place in reversed(range(len(page.lines))):
            line = page.lines[place]
            if line.text in stamps and line.text in seen:
                _delete(page, place)
            elif line.text in stamps:
                seen.add(line.text)
                line.size, line.bold = usual, False


def _delete(page: Page, place: int) -> None:
    del page.lines[place]
    page.marks = {at - (at > place): level for at, level in page.marks.items() if at != place}


def _drop_end(pages: Sequence[Page], kept: dict[int, int], *, at_top: bool, in_margin: bool) -> None:
    """Drop a line at the beginning or the end of pages. `kept` counts those of each page that stay as the first."""
    places = {page.number: kept[page.number] if at_top else len(page.lines) - 1 - kept[page.number] for page in pages}
    found = {page.number: page.lines[places[page.number]] for page in pages if len(page.lines) > kept[page.number] + 1}
    keys = {number: _running(line, number, in_margin=in_margin) for number, line in found.items()}
    counts = Counter(key for each in keys.values() for key in each)

    def is_on(line: Line, keys_here: Set[str], number: int) -> bool:
        if all(counts[key] < 3 for key in keys_here & keys.get(number, set())):
            return False
        return not in_margin or abs(line.top - found[number].top) < _SAME_HEIGHT

    for page in pages:
        number = page.number
        alone = _running(page.lines[0], number, in_margin=in_margin) if len(page.lines) == 1 else set()
        if not kept[number] and any(counts[key] > 2 for key in alone):
            page.lines = []  # it has nothing else
        if number not in found:
            continue
        line, place, here = found[number], places[number], keys[number]
        if is_on(line, here, number - 1) or is_on(line, here, number - 2):
            _delete(page, place)
        elif is_on(line, here, number + 1) or is_on(line, here, number + 2):
            kept[number] += 1


def _running(line: Line, page: int, *, in_margin: bool) -> set[str]:
    """What of a line is the same on other pages if it is a running head: the line, with what is the page's number.

    That is any of its numbers, told by how much larger it is than the page's place in the file. Nothing where the line
    can be none.
    """
    if line.kind == "row" or line.rows > 1 or len(line.text) > LONGEST_RUNNING or not line.text.strip("{}()[]; "):
        return set()
    is_beside = not _MARGIN < line.top < 1 - _MARGIN
    if in_margin and (not is_beside or _is_of_text(line.text)):
        return set()
    text = line.text.casefold()
    if not is_beside:
        return set() if any(map(str.isdigit, text)) or text.endswith(_ENDS) else {text}
    numbers = [] if _OWN_NUMBER.match(text) else list(_OF_PAGE.finditer(text))
    return {text} | {
        f"{text[: match.start(1)]}#{_value(match[1]) - page}{text[match.end(1) :]}"
        for match in numbers
        if not (
            _is_year(match[1], page)
            or _OF_PAPER.search(text[: match.start()])
            or (_IS_ITEM.match(text, match.end()) and not match.start())
        )
    }


def _is_year(number: str, page: int) -> bool:
    """Whether a number is rather a year than that of a page: "Annual accounts 2022"."""
    return number.isdecimal() and 1900 <= int(number) <= 2100 and page < 1000


def _value(number: str) -> int:
    """A page's number, which may be a Roman one."""
    if number[0].isdecimal():
        return int(number.replace(",", ""))
    values = [_ROMAN[letter] for letter in number]
    return sum(-one if one < two else one for one, two in pairwise([*values, 0]))


def _is_of_text(text: str) -> bool:
    """Whether a line that stands on several pages belongs to their text: what a table is called, a label, a brace."""
    return names_table(text) or text.endswith(":") or not any(map(str.isalnum, text))
