"""The words of a page become lines in the order in which people read them: columns, tables, paragraphs.

Lengths are points, from the top left corner of the page as it is shown; an em is the size of the letters.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from rag.sources.pdf.aligned_tables import aligned_rows
from rag.sources.pdf.columns import reading_order
from rag.sources.pdf.lines import UNSPACED, Line, Table, ends_sentence, is_unfinished, join, line_of
from rag.sources.pdf.page import RIGHT_TO_LEFT, PageText, Word
from rag.sources.pdf.rows import table_rows
from rag.sources.pdf.segments import Row, Segment, rows_of, segments_of, with_items, with_justified_lines

_WIDE = 18
"""Ems from which lines are those of a paragraph; shorter ones are where three of them end together."""
_LONG_LINE = 40
"""Characters of a line that is no item of a list."""
_SHORTEST_LIST = 4
"""Rows of a list without signs; three may be those of a title."""
_BESIDE = 2
"""Rows above that tell how wide lines beside a picture are."""
_NEIGHBOURS = 8
"""Rows above and below whose longest tells how wide the column is."""
MOST_WORDS = 20_000
"""Words of a page that are laid out; a page with more keeps the order of the file."""

_ITEM = re.compile(r"(?:[•·▪●○◦■□‣∙\-–—*]|\(?\d{1,3}[.)]|\(?[a-z][.)])(?:\s|$)")
_NUMBER = re.compile(r"(?:§+ ?|[^\W\d_]{2,12}\.? )?(?:\d{1,3}|[IVXL]{1,6}|[A-Za-z])(?:\.\d{1,3}){0,5}[.):]?")
"""What stands before a heading, at some distance."""
_LABEL = re.compile(r"(?![a-zß-ÿ])[^\W\d][^\s:()]+(?: [^\s:()]+){0,3} ?: \S")
"""The beginning of a line that says what is told behind the colon; below such a line it begins another."""
_KOREAN = re.compile(r"[\uac00-\ud7ff]{2}")
"""Letters of Korean: a line ends in the middle of a word, or with the blank after it where the file has such."""
_LEADERS = re.compile(r"(?:[.·] ?){5,}\s*[^\s.]{0,12}$|(?:… ?){2,}\s*[^\s.]{0,12}$")
_CODE = re.compile(r"[{}=;]|(?<!:)//|/\*|\*/")
_AND = re.compile(r"(?:und|oder|sowie|bzw\.|and|or|og|och|eller),?")
_ADDRESS = re.compile(r"[/@_]|www\.")


def lay_out(page: PageText, tables: Sequence[Table] = ()) -> list[Line]:
    """The lines of a page in the order of reading. `tables` are its ruled ones; their words are in no other line."""
    width, height = page.frame.size
    words = [word for word in page.words if word.x1 > 0 and word.x0 < width and word.bottom > 0 and word.top < height]
    words, upright = _apart(words)
    inside = {id(word) for _, rows, _ in tables for row in rows for cell in row for word in cell}
    segments = segments_of([word for word in words if id(word) not in inside])
    places: dict[int, list[Line]] = {}
    for (x0, top, x1, bottom), rows, columns in tables:
        cells = [word for row in rows for cell in row for word in cell]
        if cells:
            held = Segment([cells[0]], x0, top, x1, bottom)
            places[id(held)] = table_rows(rows, columns)
            segments.append(held)
    hyphened = _hyphened(words)
    lines: list[Line] = []
    for block in reading_order(segments) if len(words) <= MOST_WORDS else [segments]:
        added: list[Line] = []
        rows_of_block = rows_of([segment for segment in block if id(segment) not in places])
        rows_of_block = with_justified_lines(with_items(rows_of_block))
        rows_of_block += [[segment] for segment in block if id(segment) in places]
        rows_of_block.sort(key=lambda row: row[0].top)
        start = number = 0
        while number < len(rows_of_block):
            row = rows_of_block[number]
            ruled = places.get(id(row[0]))
            count, found = (1, ruled) if ruled is not None else aligned_rows(rows_of_block, number, places)
            if count:
                added += [*_paragraphs(rows_of_block[start:number], hyphened), *found]
                start = number = number + count
            else:
                number += 1
        added += _paragraphs(rows_of_block[start:], hyphened)
        if lines and added and _goes_on(lines[-1], added[0]):
            lines[-1] = join(lines[-1], added.pop(0))
        lines += added
    for line in lines:
        line.top /= height or 1.0
    return [*_captioned(lines), *upright]


def _apart(words: Sequence[Word]) -> tuple[list[Word], list[Line]]:
    """The words that run across the page; and the lines that run down it, as at the edge of a page.

    Lines of East Asian writing that run down stand from right to left.
    """
    down = [word for word in words if len(word.text) > 2 and word.bottom - word.top > 2 * (word.x1 - word.x0)]
    if not down:
        return list(words), []
    taken = {id(word) for word in down}
    for word in words:  # the short ones of such lines, as the year in the stamp of an archive
        is_high = len(word.text) > 1 and word.bottom - word.top > 1.3 * (word.x1 - word.x0)
        if is_high and any(_is_below(word, other) for other in down):
            taken.add(id(word))
    down = [word for word in words if id(word) in taken]
    if UNSPACED.search("".join(word.text for word in down)):
        tiers: dict[int, int] = {}
        end = 0.0
        for word in sorted(down, key=lambda word: word.top):  # the lower half of a page comes after the upper one
            tiers[id(word)] = len(tiers) if word.top > end else max(tiers.values())
            end = max(end, word.bottom)
        down.sort(key=lambda word: (tiers[id(word)], -word.x1))
    lines = [line_of([word]) for word in down]
    if not any(UNSPACED.search(line.text) for line in lines):
        for line in lines:
            line.kind = "aside"
    return [word for word in words if id(word) not in taken], lines


def _is_below(word: Word, other: Word) -> bool:
    """Whether a word stands right below or above one that runs down the page, in the same size."""
    gap = max(word.top - other.bottom, other.top - word.bottom)
    beside = abs(word.x0 - other.x0) < 1 and abs(word.x1 - other.x1) < 1
    return beside and abs(word.size - other.size) < 0.5 and 0 <= gap < word.x1 - word.x0


# -- paragraphs ------------------------------------------------------------------------------------------------------


def _hyphened(words: Sequence[Word]) -> set[str]:
    """Words with a hyphen in them that stand on the page: one that is broken there keeps it."""
    found = (part for word in words if "-" in word.text for part in word.text.split())
    return {part.lower().strip(".,;:()") for part in found if "-" in part[1:-1]}


def _paragraphs(rows: Sequence[Row], hyphened: set[str]) -> list[Line]:
    """The rows as lines; what was broken only because the column was full is one line again."""
    rows = [part for row in rows for part in _by_size(row)]
    ends = [max(segment.x1 for segment in row) for row in rows]
    spaced = any(row[-1].words[-1].spaced for row in rows)
    listed = _rows_of_lists(rows, ends)
    lines: list[Line] = []
    before: Row | None = None
    for number, row in enumerate(rows):
        near_ends = ends[max(0, number - _NEIGHBOURS) : number + _NEIGHBOURS]
        right = max(near_ends)
        words = [word for segment in row for word in segment.words]
        line = line_of(words)
        line.full = max(item.x1 for item in row) > right - 4 * line.size
        line.parted = len(row) > 1 + bool(_NUMBER.fullmatch(row[0].text))
        if before is not None:
            pitch = row[0].bottom - before[0].bottom
            line.gap = (row[0].top - before[0].bottom) / (line.size or 1.0)
            last = lines[-1]
            cut = _cut(last, before, words[0], hyphened)
            near = -0.5 * line.size < pitch < 2.2 * max(line.size, last.size)
            if near and cut is not None:
                tight = not cut and not _AND.fullmatch(words[0].text)
                lines[-1] = join(last, line, dropped=cut, tight=tight)
                if before[-1].words[-1].broken and not cut:
                    lines[-1] = _joined_broken(last, line, hyphened)
                before = row
                continue
            alike = abs(last.size - line.size) <= 0.1 * line.size and last.bold == line.bold
            wide = right - row[0].x0 > _WIDE * line.size or sum(end > right - 2 * line.size for end in near_ends) > 2
            beside = max(ends[max(0, number - _BESIDE) : number + 1])  # of lines beside a picture
            labels = bool(_LABEL.match(words[0].text) and _LABEL.match(before[0].text))
            full = not (number in listed or labels) and (
                _was_full(before, row, right)
                or (
                    row[0].text[:1].islower()
                    and beside - row[0].x0 > _WIDE * line.size
                    and is_unfinished(last)
                    and not _CODE.search(f"{before[-1].text} {row[0].text}")
                    and _was_full(before, row, beside)
                )
            )
            if near and alike and wide and full:
                end = before[-1].words[-1]
                in_word = spaced and not end.spaced and bool(_KOREAN.fullmatch(end.text[-1:] + words[0].text[:1]))
                lines[-1] = join(last, line, tight=in_word)
                before = row
                continue
        lines.append(line)
        before = row
    return lines


def _rows_of_lists(rows: Sequence[Row], ends: Sequence[float]) -> set[int]:
    """The numbers of rows that each are a line of their own, as in a list of names.

    Such rows stand right below each other, all begin with a capital or a digit, and behind some there was room for the
    next word. What stands behind a comma goes on.
    """
    found: set[int] = set()
    start = 0
    for number in range(1, len(rows) + 1):
        if number < len(rows) and _is_right_below(rows[number - 1], rows[number]):
            continue
        run, right = rows[start:number], max(ends[start:number])
        has_room = any(not _was_full(one, two, right) for one, two in pairwise(run[:-1]))
        if (
            len(run) >= _SHORTEST_LIST
            and has_room
            and all(row[0].text[:1].isupper() or row[0].text[:1].isdigit() for row in run)
        ):
            found.update(at for at in range(start + 1, number) if not rows[at - 1][-1].text.endswith(","))
        start = number
    return found


def _is_right_below(above: Row, row: Row) -> bool:
    """Whether a row has letters of the same size as the one right above it, and the same left side or middle."""
    one, two = above[0], row[0]
    near = 0 < two.bottom - one.bottom < 2.2 * one.size and abs(one.size - two.size) <= 0.1 * one.size
    middles = (one.x0 + above[-1].x1, two.x0 + row[-1].x1)
    return near and (abs(one.x0 - two.x0) < one.size or abs(middles[0] - middles[1]) < one.size)


def _by_size(row: Row) -> list[Row]:
    """A row as it is, or parted where letters of another size stand at its height, as a date does beside a title."""
    parts: list[Row] = []
    for segment in row:
        before = parts[-1][-1] if parts else None
        if before and (
            max(before.size, segment.size) < 1.3 * min(before.size, segment.size)
            or segment.x0 - before.x1 < 2 * segment.size
        ):
            parts[-1].append(segment)
        else:
            parts.append([segment])
    return parts


def _joined_broken(first: Line, second: Line, hyphened: set[str]) -> Line:
    """The word that PDFium found broken: whole, or with its hyphen where the page has it so elsewhere."""
    head, tail = first.text.rpartition(" ")[2], second.text.partition(" ")[0]
    if not tail[:1].islower() or _keeps_hyphen(head, tail, hyphened):
        first = replace(first, text=first.text + "-" + " " * bool(_AND.fullmatch(tail)))
    return join(first, second, tight=True)


def _cut(last: Line, before: Row, after: Word, hyphened: set[str]) -> int | None:
    """How many characters go from the end of a line that breaks a word; None where it breaks none."""
    if before[-1].words[-1].broken:
        return 0
    if len(last.text) > _LONG_LINE and re.search(r"\s[^\W\d_]-$", last.text) and after.text[:1].isupper():
        return 0  # an E-Mail, and no grade
    if not re.search(r"[^\W\d_][-\u00ad\u2010]$", last.text) or not after.text[:1].islower():
        return None
    head = last.text.rpartition(" ")[2][:-1]
    return 0 if _keeps_hyphen(head, after.text, hyphened) else 1


def _keeps_hyphen(head: str, tail: str, hyphened: set[str]) -> bool:
    """Whether the hyphen at the end of a line belongs to the word.

    So it does where the page has the word with it elsewhere, in an address, between the parts of a long compound
    (state-of-the-art), and where a word for "and" follows (Hin- und Rückfahrt).
    """
    if f"{head}-{tail}".lower().strip(".,;:()") in hyphened or _AND.fullmatch(tail) or _ADDRESS.search(head):
        return True
    return (head + tail.rstrip("-")).count("-") > 1


def _was_full(before: Row, row: Row, right: float) -> bool:
    """Whether the first word of `row` had no room at the end of the row before it; then its break means nothing."""
    first = row[0]
    if _ITEM.match(first.text) and not UNSPACED.match(first.text):
        return False
    if RIGHT_TO_LEFT.search(first.text):
        return False
    if _LEADERS.search(" ".join(item.text for item in before[-3:])):  # an entry of a list of contents or prices
        return False
    word = first.words[0]
    width = word.x1 - word.x0
    if " " in word.text or UNSPACED.search(word.text):  # recognized lines are one word, and so are those without blanks
        length = 1 if UNSPACED.search(word.text) else len(word.text.partition(" ")[0])
        width *= length / max(1, len(word.text))
    end = max(item.x1 for item in before)
    if ends_sentence(before[-1].text) and first.x0 > before[0].x0 + first.size:
        return False
    if before[0].x0 > first.x0 + 5 * first.size:  # set to the right
        return False
    return end + width + 0.2 * first.size > right - 0.3 * first.size


def _goes_on(last: Line, first: Line) -> bool:
    """Whether a sentence goes on in the next column."""
    alike = abs(last.size - first.size) <= 0.1 * last.size and last.bold == first.bold
    return alike and is_unfinished(last) and last.full and first.kind == "text" and first.text[:1].islower()


def _captioned(lines: list[Line]) -> list[Line]:
    """Name the lines that stand right above a table and call themselves one."""
    for line, after in pairwise(lines):
        if after.kind == "row" and line.kind == "text" and len(line.text) <= 200 and names_table(line.text):
            line.kind = "caption"
    return lines


def names_table(text: str) -> bool:
    """Whether a line calls what follows a table, by its number."""
    return bool(_CAPTION.match(text))


_CAPTION = re.compile(
    r"(?i)(?:table|tab\.|tabelle|tableau|tabla|tabela|tabella|exhibit|表)\s*[\dA-Z一二三四五六七八九十]"
)
