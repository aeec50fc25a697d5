"""The cells of a sheet of Excel, row by row, as text that the sheet shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from rag.sources.formats import MOST_TEXT, Unreadable
from rag.sources.office.number_formats import shown
from rag.sources.office.ooxml import Package
from rag.sources.xml_tree import Element, attribute, child, children, local

_MOST_COLUMNS = 16_384
"""Columns of a sheet (ECMA-376, 18.3.1.4)."""


@dataclass(frozen=True)
class Cell:
    """A cell that has a value. `is_open_formula`: it has a formula, but no program has calculated it.

    One that is struck out has no text.
    """

    column: int
    text: str
    is_open_formula: bool = False
    is_struck: bool = False


class Formats:
    """How numbers look, and what is struck out, by the style of their cell.

    Attributes:
        has_struck: whether a text that is struck out was left out.
    """

    def __init__(self, styles: Element | None, *, since_1904: bool) -> None:
        from openpyxl.styles.numbers import BUILTIN_FORMATS  # type: ignore[import-untyped]

        codes: dict[str, str] = {str(number): code for number, code in BUILTIN_FORMATS.items()}
        for group in children(styles, "numFmts"):
            codes |= {attribute(item, "numFmtId"): attribute(item, "formatCode") for item in children(group, "numFmt")}
        looks = next(iter(children(styles, "cellXfs")), None)
        self._codes = [codes.get(attribute(item, "numFmtId"), "") for item in children(looks, "xf")]
        self._since_1904 = since_1904
        fonts = [is_struck(font) for font in children(next(iter(children(styles, "fonts")), None), "font")]
        self._struck = {
            str(number)
            for number, item in enumerate(children(looks, "xf"))
            if (font := attribute(item, "fontId")).isdecimal() and int(font) < len(fonts) and fonts[int(font)]
        }
        self.has_struck = False

    def is_struck(self, style: str) -> bool:
        """Whether a cell of this style is struck out, and is left out for that."""
        self.has_struck = self.has_struck or style in self._struck
        return style in self._struck

    def text_of(self, item: Element) -> str:
        """The text of a string, without what is struck out, and the readings of East Asian signs above it."""
        pieces = []
        for inner in item:
            name = local(inner)
            if name == "t":
                pieces.append(inner.text or "")
            elif name == "r":
                if is_struck(child(inner, "rPr")):
                    self.has_struck = True
                else:
                    pieces += [part.text or "" for part in inner if local(part) == "t"]
        text = "".join(pieces)
        return re.sub("_x([0-9A-Fa-f]{4})_", _escaped, text) if "_x" in text else text

    def shown(self, text: str, style: str) -> str:
        """A number as a cell of this style shows it."""
        number = int(style) if style.isdecimal() and len(style) < 7 else 0
        code = self._codes[number] if number < len(self._codes) else ""
        return shown(text, code, since_1904=self._since_1904)


def read_strings(package: Package, part: str, formats: Formats) -> list[str]:
    """The texts that cells refer to by number.

    Raises:
        Unreadable: they have more characters than one source may have.
    """
    strings: list[str] = []
    size = 0
    for item in _parsed(package, part, "si"):
        strings.append(formats.text_of(item))
        size += len(strings[-1])
        if size > 2 * MOST_TEXT:
            raise Unreadable(f"it has more than {MOST_TEXT // 10**6} million characters of text; split it")
        _forget(item)
    return strings


def read_cells(package: Package, part: str, strings: list[str], formats: Formats) -> Iterator[tuple[int, list[Cell]]]:
    """The number and the cells of each row; a row that the file does not have is not among them."""
    number = 0
    for row in _parsed(package, part, "row"):
        given = row.get("r", "")
        number = int(given) if given.isdecimal() and len(given) < 8 else number + 1
        cells: list[Cell] = []
        column = 0
        for item in row:
            if not isinstance(item.tag, str):
                continue
            column = column_of(item.get("r", "")) or column + 1
            cell = _cell(item, column, strings, formats)
            if cell is not None and column <= _MOST_COLUMNS:
                cells.append(cell)
        _forget(row)
        yield number, cells


def _cell(item: Element, column: int, strings: list[str], formats: Formats) -> Cell | None:
    if len(item) and formats.is_struck(item.get("s", "")):
        return Cell(column, "", is_struck=True)
    kind = item.get("t", "n")
    value: str | None = None
    formula: str | None = None
    for inner in item:
        name = local(inner)
        if name == "v":
            value = inner.text or ""
        elif name == "f":
            formula = inner.text or ""
        elif name == "is":
            return Cell(column, formats.text_of(inner))
    if formula is not None and not value and kind not in ("str", "s"):
        return Cell(column, f"formula without a stored value: ={formula}".rstrip("="), True)
    if not value:
        return None
    if kind == "s":
        place = int(value) if value.isdecimal() and len(value) < 10 else -1
        return Cell(column, strings[place]) if 0 <= place < len(strings) else None
    if kind == "b":
        return Cell(column, "TRUE" if value.strip() in ("1", "true") else "FALSE")
    if kind == "d":
        return Cell(column, re.sub(r"T00:00(?::00(?:\.0+)?)?Z?$", "", value).replace("T", " "))
    return Cell(column, formats.shown(value, item.get("s", "")) if kind == "n" else value)


def is_struck(font: Element | None) -> bool:
    """Whether a font strikes its text out."""
    return any(attribute(item, "val") not in ("0", "false") for item in children(font, "strike"))


def _escaped(found: re.Match[str]) -> str:
    """A character that XML has no place for (ECMA-376, 22.9.2.19)."""
    sign = chr(int(found[1], 16))
    return sign if sign.isprintable() or sign in "\t\n\r" else ""


def column_of(reference: str) -> int:
    """The number of a column, from 1, by its letters or a cell's name: "A" is 1, "AB12" is in 28; 0 without letters."""
    number = 0
    for sign in reference[:4]:
        if not "A" <= sign <= "Z":
            break
        number = number * 26 + ord(sign) - 64
    return number


def _parsed(package: Package, part: str, name: str) -> Iterator[Element]:
    """Each element of this name in a part, as soon as it is read."""
    from lxml import etree

    with package.archive.open(package.real_name(part)) as member:
        events = etree.iterparse(
            member, tag=f"{{*}}{name}", resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True
        )
        for _, item in events:
            yield item


def _forget(item: Element) -> None:
    """Free an element that was read, and those before it."""
    item.clear()
    while item.getprevious() is not None:
        del item.getparent()[0]
