"""The words of a PDF page with their places, as PDFium gives them."""

from __future__ import annotations

import bisect
import ctypes
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from rag.sources.pdf.drawn import read_rules
from rag.sources.pdf.page import RIGHT_TO_LEFT, Frame, PageText, Rect, Word, frame_of

BROKEN = "\ufffe"
"""What PDFium puts in place of a hyphen that breaks a word at the end of a line."""
_PAIR, _HALF = re.compile("[\ud800-\udbff][\udc00-\udfff]"), re.compile("[\ud800-\udfff]")
_JOINER = "\u2060"
"""What nobody sees, in place of the second half of a sign, since each of PDFium's characters has its place."""
_RUN = re.compile(rf"[^\s\0-\x1f{BROKEN}]+(?: [^\s\0-\x1f{BROKEN}]+)*{BROKEN}?")
_APART = re.compile(r"[_.…·|]{3}|[$€£]?\d[\d.,]*(?:\s|$)")
"""What is a cell of its own even after a blank of the file: leaders, and amounts."""
_NUMBER = (
    r"\(?(?:\d{1,3}|[A-Za-z]|[ivx]{2,4})[.)]|\d{1,2}(?:\.\d{1,2}){2,}\.?|[1-9]\d?\.\d{1,2}\.?(?= [^\W\d_][a-zß-ÿ])"
)
_MARKER = re.compile(rf"(?:[^\w\s(]|{_NUMBER}) ")
"""A bullet or a number before an item of a list or a paragraph, which stands beside it."""
_MARKER_GAP = 3.5
"""Heights of white between such a mark and its text at most."""
_WIDE = 0.7
"""Heights of white, about 0.8 ems, from which a blank of the file is one between cells."""
_BLANK = 0.35
"""Heights of white that no blank has without justification, from which a rule in it parts two cells."""
_WIDEST = 2.5
"""Heights of white that the words of a justified line have between them at most."""
_BACK = 1.5
"""Heights to the left of the letter before at which a word begins another line."""
_UNREADABLE_BULLET = re.compile(r"(?<!\S)[\x80-\x9f\uf020-\uf0ff](?= )")
"""A sign of a symbol font whose map leads to a control character or to the font's own numbers, alone before a text."""
_SIGNS = re.compile(rb"dingbat|wingding|webding", re.IGNORECASE)
_LETTERS_FOR_SIGNS = "abcdefghijklmnopqrstuvwxyzFJ§¨ØÜüÿð¾à4"
"""Letters that the bullets, arrows and ticks of such fonts have, where a file does not say what they show."""
_LIGATURE = re.compile("[\u0622\u0623\u0625\u0627]\u0644")
"""Alef before lam: right in an article, wrong where both are one sign."""
_BOLD = re.compile(rb"bold|black|heavy|semibold|demi|-medi(?!um)", re.IGNORECASE)


def _upright(frame: Frame, textpage: pdfium.PdfTextPage, chars: str) -> Frame:
    """The frame, turned so that the text is upright where nearly all of it lies on one side, as a wide table may."""
    places = [number for number in range(0, len(chars), max(1, len(chars) // 200)) if chars[number].isalnum()]
    quarters = Counter(_quarter(textpage.raw, place) for place in places)
    quarter, count = quarters.most_common(1)[0] if quarters else (0, 0)
    return replace(frame, rotation=90 * quarter) if count > max(9, 0.9 * len(places)) else frame


def read_words(page: pdfium.PdfPage, textpage: pdfium.PdfTextPage) -> PageText:
    """The words of a page with their places; words that the file itself parts by a blank stay together as one.

    Only the first and the last character of each are asked for: a question to PDFium takes a microsecond, and a page
    has thousands of characters.
    """
    chars = with_bullets(_characters(textpage))
    frame = _upright(frame_of(page), textpage, chars)
    raw = textpage.raw
    if _LIGATURE.search(chars):
        chars = _with_ligatures(chars, raw)
    box = pdfium_c.FS_RECTF()
    at_box = ctypes.byref(box)
    found = PageText(frame, chars, [], len(chars), rules=read_rules(page, frame))
    loose, font = pdfium_c.FPDFText_GetLooseCharBox, _Fonts(textpage)
    for start, end, parted in _pieces(chars, raw, frame, found.rules):
        broken = chars[end - 1] == BROKEN
        end -= broken
        if end <= start or not loose(raw, start, at_box):
            continue
        hyphen = "-" if broken and not _goes_on(chars[start:end], chars[end + 1 : end + 2]) else ""
        left, bottom, right, top = box.left, box.bottom, box.right, box.top
        size, bold = font.at(start)
        is_sign = font.of_signs and chars[start] in _LETTERS_FOR_SIGNS
        if end - start > 1 and loose(raw, end - 1, at_box):
            left, right = min(left, box.left), max(right, box.right)
            bottom, top = min(bottom, box.bottom), max(top, box.top)
            bold = bold and font.at(end - 1)[1]
        spaced = chars[end : end + 1] == " "
        shown = frame.shown(left, bottom, right, top)
        if _is_stack(chars[start:end], shown) and 90 * _quarter(raw, start) == frame.rotation:
            found.words += _rows_of_stack(Word(chars[start:end], start, *shown, size, bold), raw, frame)
            continue
        if is_sign and (end == start + 1 or chars[start + 1] == " "):
            chars = found.chars = f"{chars[:start]}•{chars[start + 1 :]}"
        found.words.append(
            Word(
                chars[start:end] + hyphen,
                start,
                *shown,
                size,
                bold,
                broken and not hyphen,
                spaced,
                parted=parted,
            )
        )
    return found


def _goes_on(text: str, after: str) -> bool:
    """Whether a word goes on behind a hyphen by which PDFium takes it for broken: no grade "A-" above "Physics"."""
    return len(re.split(r"[\W\d_]", text)[-1]) > 1 or after.islower()


def _is_stack(text: str, place: Rect) -> bool:
    """Whether letters of a word that was drawn across the page stand below each other."""
    x0, top, x1, bottom = place
    is_high = bottom - top > 1.5 * (x1 - x0)
    return is_high and len(text) > 1 and text.replace(" ", "").isalnum() and max(text) < "\u2e80"


def _quarter(raw: object, at: int) -> int:
    """By how many quarters a page is to be turned so that a letter stands upright."""
    angle: float = pdfium_c.FPDFText_GetCharAngle(raw, at)
    return -round(angle * 2 / math.pi) % 4


def _rows_of_stack(stack: Word, raw: object, frame: Frame) -> Iterator[Word]:
    """The words below each other that PDFium took for one, as the cells of a column of single letters."""
    box = pdfium_c.FS_RECTF()
    rows: list[Word] = []
    for at, letter in enumerate(stack.text, stack.at):
        if letter.isspace() or not pdfium_c.FPDFText_GetLooseCharBox(raw, at, box):
            continue
        x0, top, x1, bottom = frame.shown(box.left, box.bottom, box.right, box.top)
        if rows and top < (rows[-1].top + rows[-1].bottom) / 2 and at == rows[-1].at + len(rows[-1].text):
            rows[-1] = replace(rows[-1], text=rows[-1].text + letter, x1=max(x1, rows[-1].x1))
        else:
            rows.append(replace(stack, text=letter, at=at, x0=x0, top=top, x1=x1, bottom=bottom))
    yield from rows


def _with_ligatures(chars: str, raw: object) -> str:
    """Put right lam and alef that are written as one: PDFium gives what stands in one place from left to right."""
    one, two = pdfium_c.FS_RECTF(), pdfium_c.FS_RECTF()
    turned = list(chars)
    for match in _LIGATURE.finditer(chars):
        at = match.start()
        both = pdfium_c.FPDFText_GetLooseCharBox(raw, at, one) and pdfium_c.FPDFText_GetLooseCharBox(raw, at + 1, two)
        if both and (one.left, one.right) == (two.left, two.right):
            turned[at : at + 2] = chars[at + 1], chars[at]
    return "".join(turned)


def _pieces(chars: str, raw: object, frame: Frame, rules: Sequence[Rect]) -> Iterator[tuple[int, int, bool]]:
    """Where runs of words with the file's own blanks begin and end; PDFium puts in other blanks where it sees white."""
    is_generated = pdfium_c.FPDFText_IsGenerated
    gaps_at = _Gaps(raw, frame, rules)
    for match in _RUN.finditer(chars):
        start, end = match.span()
        blanks: list[int] = []
        blank = chars.find(" ", start, end)
        while blank >= 0:
            if is_generated(raw, blank) or _APART.match(chars, blank + 1):
                yield from gaps_at.parted(chars, start, blanks, blank)
                start = blank + 1
                blanks = []
            else:
                blanks.append(blank)
            blank = chars.find(" ", blank + 1, end)
        yield from gaps_at.parted(chars, start, blanks, end)


class _Gaps:
    """The white at the blanks of a file: many programs end each cell of a table with one, and go to the next cell."""

    def __init__(self, raw: object, frame: Frame, rules: Sequence[Rect]) -> None:
        self._raw = raw
        self._frame = frame
        self._one, self._two = pdfium_c.FS_RECTF(), pdfium_c.FS_RECTF()
        self._at_one, self._at_two = ctypes.byref(self._one), ctypes.byref(self._two)
        self._upright = sorted((x0 + x1, top, bottom) for x0, top, x1, bottom in rules if bottom - top > x1 - x0)
        self._is_ruled = False

    def parted(self, chars: str, start: int, blanks: Sequence[int], end: int) -> Iterator[tuple[int, int, bool]]:
        """A run of words, parted at the blanks behind which the next word stands elsewhere, as in another cell."""
        if blanks and not RIGHT_TO_LEFT.search(chars, start, end):
            gaps = []
            ruled = set()
            for blank in blanks:
                gaps.append(self._gap(blank))
                if self._is_ruled:
                    ruled.add(blank)
            if max(gaps) > _WIDE or min(gaps) < 0 or ruled:
                marker = _MARKER.match(chars, start, blanks[0] + 3) and gaps[0] < _MARKER_GAP
                first = 1 if marker and blanks[0] not in ruled else 0
                stretched = _is_stretched(chars, blanks[first:], gaps[first:])
                for blank, gap in zip(blanks[first:], gaps[first:], strict=True):
                    if blank in ruled or ((gap > _WIDE or gap < 0) and not stretched):
                        yield start, blank, gap > 0
                        start = blank + 1
        yield start, end, False

    def _gap(self, blank: int) -> float:
        """Heights of white between the letters around a blank; -1.0 where the second is back at the left."""
        loose, one, two = pdfium_c.FPDFText_GetLooseCharBox, self._one, self._two
        self._is_ruled = False
        if not (loose(self._raw, blank - 1, self._at_one) and loose(self._raw, blank + 1, self._at_two)):
            return 0.0
        rotation = self._frame.rotation
        if rotation == 0:
            white, step, height = two.left - one.right, two.left - one.left, one.top - one.bottom
        elif rotation == 90:
            white, step, height = two.bottom - one.top, two.bottom - one.bottom, one.right - one.left
        elif rotation == 180:
            white, step, height = one.left - two.right, one.right - two.right, one.top - one.bottom
        else:
            white, step, height = one.bottom - two.top, one.top - two.top, one.right - one.left
        if height <= 0:
            return 0.0
        if self._upright and white > _BLANK * height:
            self._is_ruled = self._has_rule(white)
        return -1.0 if step < -_BACK * height else max(0.0, white / height)

    def _has_rule(self, white: float) -> bool:
        """Whether an upright rule stands in the white after the letter before a blank, as between two cells."""
        one = self._one
        _, top, x, bottom = self._frame.shown(one.left, one.bottom, one.right, one.top)
        middle = (top + bottom) / 2
        first = bisect.bisect_left(self._upright, (2 * x - 1,))
        last = bisect.bisect_right(self._upright, (2 * (x + white) + 1,))
        return any(y0 < middle < y1 for _, y0, y1 in self._upright[first:last])


def _is_stretched(chars: str, blanks: Sequence[int], gaps: Sequence[float]) -> bool:
    """Whether a line is justified: the white is the same at all its blanks, or twice that after a sentence."""
    least = min(gaps, default=0.0)
    return (
        len(gaps) > 1
        and 0.0 < least < _WIDEST
        and all(
            gap < (2.2 if chars[blank - 1] in ".,;:!?" else 1.3) * least
            for blank, gap in zip(blanks, gaps, strict=True)
        )
    )


def is_bold(font: bytes) -> bool:
    """Whether the letters of a font are bold, by its name. LaTeX's bold Times is NimbusRomNo9L-Medi."""
    return bool(_BOLD.search(font))


class _Fonts:
    """The size and the weight of letters, looked up once for each font and size that follow each other."""

    def __init__(self, textpage: pdfium.PdfTextPage) -> None:
        self._raw = textpage.raw
        self._matrix = pdfium_c.FS_MATRIX()
        self._name = ctypes.create_string_buffer(128)
        self._flags = ctypes.c_int()
        self._kinds: dict[bytes, tuple[bool, bool]] = {}
        self.of_signs = False
        """Whether the letter that was looked up last is one of a font of signs."""

    def at(self, index: int) -> tuple[float, bool]:
        """The size in points and whether the letter is bold."""
        size = pdfium_c.FPDFText_GetFontSize(self._raw, index)
        if pdfium_c.FPDFText_GetMatrix(self._raw, index, self._matrix):
            size *= (self._matrix.c**2 + self._matrix.d**2) ** 0.5 or 1.0
        pdfium_c.FPDFText_GetFontInfo(self._raw, index, self._name, 128, self._flags)
        name = self._name.value
        kinds = self._kinds.get(name)
        if kinds is None:
            kinds = self._kinds[name] = (is_bold(name), bool(_SIGNS.search(name)))
        bold, self.of_signs = kinds
        return size, bold


def _characters(textpage: pdfium.PdfTextPage) -> str:
    """The text of a page, one character for each of PDFium's."""
    count = textpage.count_chars()
    text = textpage.get_text_range() if count else ""
    if len(text) == count:
        return text
    codes = (pdfium_c.FPDFText_GetUnicode(textpage.raw, number) for number in range(count))
    text = "".join(chr(code) if 0 < code < 0x110000 else "\ufffd" for code in codes).replace("\x02", BROKEN)
    return _HALF.sub("\ufffd", _PAIR.sub(_with_second_half, text))


def _with_second_half(found: re.Match[str]) -> str:
    """A sign outside the first plane, as an emoji or the letter of a formula, which PDFium gives as two."""
    sign = unicodedata.normalize("NFKC", found[0].encode("utf-16", "surrogatepass").decode("utf-16"))
    return f"{sign}{_JOINER}" if len(sign) == 1 else "\ufffd\ufffd"


def with_bullets(chars: str) -> str:
    """The characters of a page, with a bullet for each sign of a symbol font that stands alone."""
    return _UNREADABLE_BULLET.sub("•", chars)


def char_rects(page_text: PageText, textpage: pdfium.PdfTextPage | None, at: int, count: int) -> Iterator[Rect]:
    """The places of some characters, as shown; `textpage` has those of the page's own."""
    box = pdfium_c.FS_RECTF()
    for number in range(at, at + count):
        if number >= page_text.own:
            yield page_text.extra[number - page_text.own]
        elif textpage and pdfium_c.FPDFText_GetLooseCharBox(textpage.raw, number, box):
            yield page_text.frame.shown(box.left, box.bottom, box.right, box.top)


def unmapped_characters(found: PageText, textpage: pdfium.PdfTextPage, share: float) -> list[str]:
    """The characters whose font has no map to Unicode, so that PDFium guessed them; none where they are few.

    A hundred characters are asked for; all of them only where more than `share` of these have none.
    """
    chars = found.chars[: found.own]
    count = len(chars)
    has_error = pdfium_c.FPDFText_HasUnicodeMapError
    sample = [number for number in range(0, count, max(1, count // 100)) if not chars[number].isspace()]
    if sum(has_error(textpage.raw, number) == 1 for number in sample) <= share * len(sample):
        return []
    return [
        character
        for number, character in enumerate(chars)
        if not character.isspace() and has_error(textpage.raw, number) == 1
    ]
