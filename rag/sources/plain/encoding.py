"""Bytes become text: by what declares their encoding, else by what fits; what nothing fits is refused."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from rag.sources.formats import Job, Unreadable
from rag.sources.plain.legacy import guess_encoding

_BYTE_ORDER_MARKS = [
    *((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32")),
    *((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")),
]
_DECLARED_CHARSET = re.compile(
    rb"""<meta[^>]{0,500}?charset\s*=\s*["']?\s*([\w.:-]+)|<\?xml[^>]{0,200}encoding=["']([\w.-]+)""", re.I
)
_SEVEN_BIT = [
    *((rb"\x1b\$[@B]|\x1b\(J", "iso2022_jp_2"), (rb"\x1b\$\)C", "iso2022_kr")),
    (rb"(?:~\{[!-w][!-~][!-~]{1,200}?~\}.{0,200}?){2}", "hz"),
]
"""Encodings of East Asian text that use ASCII only, and what their texts have."""
_WESTERN = ("latin-1", "latin1", "iso-8859-1", "iso8859-1", "ascii", "us-ascii")
_HINT = "if letters are wrong, save the file as UTF-8"
FEW_DAMAGED = 0.01
"""Share of the bytes that may fit no encoding where the rest is plain."""

FEW_WESTERN = 0.15
"""That share where Windows-1252 fits best."""

_OVERSTRUCK = re.compile(rb"([!-~]|[\xc0-\xf7][\x80-\xbf]{1,3})\x08(?=\1)|_\x08(?=[!-~\xc0-\xf7])")
"""What a printer would print over: manual pages have bold letters twice, and a line below others."""


def decode_noted(data: bytes, charset: str = "", *, html: bool = False) -> tuple[str, str]:
    """Text from bytes, and a note on its encoding; "" where that is declared, or UTF-8.

    The encoding is the first of these that fits: the byte order mark's, `charset` (from the server), the one that the
    page or its XML declares, UTF-16 without a mark, UTF-8, and what `legacy` makes of the letters.

    Raises:
        Unreadable: no encoding fits.
    """
    for mark, name in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return data.decode(name, "replace"), ""
    guesses = [charset]
    if html and (found := _DECLARED_CHARSET.search(data[:4096])):
        declared = (found[1] or found[2]).decode("ascii", "replace").lower()
        guesses.append("" if declared.startswith(("utf-16", "utf-32")) else declared)  # the declaration is in ASCII
    for guess in guesses:
        if (text := _decoded(data, guess)) is not None:
            return text, ""
    for guess in (_utf16_without_mark(data), "utf-8"):
        if (text := _decoded(data, guess)) is not None:
            return text, ""
    return _guessed(data, html=html)


def _decoded(data: bytes, encoding: str) -> str | None:
    """The text in this encoding; None if it is none of them or does not fit."""
    if not encoding:
        return None
    if encoding.lower() == "utf-8" and (seven := _seven_bit(data)):
        encoding = seven
    names = [encoding]
    if encoding.lower() in _WESTERN:  # as browsers do (WHATWG Encoding, 4.2); many servers say so of UTF-8, too
        names = ["utf-8", "windows-1252", encoding]
    for name in names:
        try:
            return data.decode(name)
        except (LookupError, UnicodeError, ValueError):
            continue
    return None


def _seven_bit(data: bytes) -> str:
    if b"\x1b" not in data and b"~{" not in data:
        return ""
    for pattern, name in _SEVEN_BIT:
        if re.search(pattern, data[:1_000_000], re.DOTALL):
            try:
                data.decode(name)
            except UnicodeDecodeError:
                continue
            return name
    return ""


def _guessed(data: bytes, *, html: bool) -> tuple[str, str]:
    """Text that declares no encoding and is no UTF-8, and the note.

    Raises:
        Unreadable: no encoding fits, or several do and the text differs. A text that is nearly all ASCII is read
            with a note, as few of its letters can be wrong, and so is one that is mostly ASCII and most likely in the
            commonest encoding.
    """
    text = data.decode("utf-8", "replace")
    damaged = text.count("\ufffd")
    if damaged * 10 < sum(letter > "\x7f" for letter in text) or (damaged > 1 and _is_cut(data, damaged)):
        return text, f"{damaged} characters are damaged (they are no UTF-8) and left out"
    prose = re.sub(rb"<[^<>]{0,2000}>", b" ", data) if html else data
    found = guess_encoding(prose)
    most = FEW_WESTERN if found and found.encoding == "cp1252" else FEW_DAMAGED
    if found and (found.sure or damaged <= most * len(data)):
        text = data.decode(found.encoding, "replace")
        if found.sure:
            return text, f"read as {found.name}: no encoding is declared"
        return text, f"the encoding of {damaged} characters was guessed as {found.name}; {_HINT}"
    if damaged <= FEW_DAMAGED * len(data):
        return text, f"{damaged} characters are in no known encoding and left out; save the file as UTF-8"
    readings = f" ({found.name} or {found.rival})" if found and found.rival else ""
    raise Unreadable(
        f"its encoding cannot be told{readings}, so its letters would be wrong; save it as UTF-8 and add it again"
    )


def _is_cut(data: bytes, damaged: int) -> bool:
    """Whether it is UTF-8 but for its end."""
    return damaged < 4 and len(data) > 200 and "\ufffd" not in data[:-4].decode("utf-8", "replace")


def _utf16_without_mark(data: bytes) -> str:
    """The kind of UTF-16, or "". Its blanks, digits and Latin letters have zeros, and all on the same side.

    Chinese, Japanese and Korean have none; `guess_encoding` tells these.
    """
    sample = data[: 4096 - len(data) % 2] if len(data) > 4096 else data
    even, odd, half = sample[::2].count(0), sample[1::2].count(0), max(1, len(sample) // 2)
    if len(data) % 2 or len(sample) < 8 or min(even, odd) > 0.05 * half:
        return ""
    if max(even, odd) >= 0.4 * half:
        return "utf-16-be" if even > odd else "utf-16-le"
    if min(even, odd):
        return ""
    spaced = max(even, odd) >= 0.02 * half
    for name in ("utf-16-be",) if even > odd else ("utf-16-le",) if odd > even else ("utf-16-le", "utf-16-be"):
        try:  # other scripts
            text = sample.decode(name)
        except UnicodeDecodeError:
            continue
        blocks = {ord(letter) >> 10 for letter in text if letter.isalpha()}
        few = len(blocks) <= 2 if spaced else blocks and max(blocks) < 4  # half of the bytes are control characters
        if few and all(map(_is_plain, text)):
            return name
    return ""


def _is_plain(letter: str) -> bool:
    return letter.isprintable() or letter in "\r\n\t"


def text_of(job: Job, *, html: bool = False) -> str:
    """The text of a file, its line breaks as line feeds; a note says how an undeclared encoding was read.

    Raises:
        Unreadable: it holds binary data, or no encoding fits.
    """
    data = Path(job.path).read_bytes()
    if b"\b" in data:  # a look at each letter takes longer than all the rest
        data = _OVERSTRUCK.sub(b"", data)
    sample = data[:65_536]
    marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE))
    control = sum(sample.count(byte) for byte in (*range(9), *range(14, 27), 127))
    binary = Unreadable(f"it is {job.claimed} but holds binary data, not text")
    if _are_many(control, len(sample)) and not (marked or job.charset or _is_utf16(data)):
        raise binary
    text, note = decode_noted(data, job.charset, html=html)
    beginning = text[:65_536]
    if _are_many(len(re.findall("[\0-\x08\x0e-\x1a\x7f]", beginning)), len(beginning)):
        raise binary
    if note:
        job.notes.append(note)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _are_many(control: int, size: int) -> bool:
    """Whether these are more control characters than the few that do occur in text."""
    return control > max(1, min(8, size / 4), size / 100)


def _is_utf16(data: bytes) -> bool:
    if _utf16_without_mark(data):
        return True
    found = guess_encoding(data)
    return bool(found and found.sure and found.encoding.startswith("utf_16"))
