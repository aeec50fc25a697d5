"""Tables of OpenDocument: repeated and merged cells in each place they cover, and values as they are shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rag.sources.merged import MOST_COLUMNS
from rag.sources.office.number_formats import shown
from rag.sources.office.sheet_rows import Row
from rag.sources.tables import cell_text
from rag.sources.xml_tree import Element, attribute, below, local, whole

_MOST_REPEATS = 1000
"""Times that a row with text may be repeated: the number comes from the file."""

TextOf = Callable[[Element], str]


class Grid:
    """A table in a text or on a slide."""

    def __init__(self, table: Element, text_of: TextOf) -> None:
        rows = list(_rows(table))
        self.cells = [cell for row, _ in rows for cell in _cells(row) if local(cell) == "table-cell"]
        self.is_layout = all(sum(local(cell) == "table-cell" for cell in _cells(row)) <= 1 for row, _ in rows)
        self.header = sum(is_header for _, is_header in rows) or None
        self.rows: list[list[str]] = []
        merged = _Merged()
        for row, _ in rows if not self.is_layout else ():
            texts, _ = merged.row(row, lambda cell: _value(cell, text_of))
            wide = max(texts, default=0)
            times = min(whole(attribute(row, "number-rows-repeated"), 1), _MOST_REPEATS) if texts else 1
            self.rows += [[texts.get(column, "") for column in range(1, wide + 1)]] * times
        if self.header == len(self.rows):
            self.header = None


def sheet_rows(table: Element, text_of: TextOf, comments_of: Callable[[Element], list[str]]) -> Iterator[Row]:
    """The rows of a sheet that have text."""
    number = 0
    merged = _Merged()
    for item, is_header in _rows(table):
        repeated = whole(attribute(item, "number-rows-repeated"), 1) or 1
        texts, across = merged.row(item, lambda cell: _value(cell, text_of))
        own = merged.has_own
        comments = [text for cell in _cells(item) for text in comments_of(cell)]
        for place in range(min(repeated, _MOST_REPEATS)) if own or comments else ():
            yield Row(number + 1 + place, dict(sorted(texts.items())), across, is_header, comments)
        number += repeated


class _Merged:
    """Rows one after the other, with the cells that earlier ones reach down into them."""

    def __init__(self) -> None:
        self._above: dict[int, tuple[int, str]] = {}
        self.has_own = False

    def row(self, row: Element, value: Callable[[Element], str]) -> tuple[dict[int, str], frozenset[int]]:
        """The text of each cell that has one by its column, from 1, and the columns of cells merged across."""
        texts: dict[int, str] = {}
        across: set[int] = set()
        column = 1
        self.has_own = False
        for cell in _cells(row):
            times = whole(attribute(cell, "number-columns-repeated"), 1) or 1
            if local(cell) == "covered-table-cell":
                for place in range(column, column + min(times, MOST_COLUMNS)):
                    left, text = self._above.get(place, (0, ""))
                    if left and text:
                        texts[place] = text
                        self._above[place] = (left - 1, text)
            elif text := value(cell):
                self.has_own = True
                wide = min(whole(attribute(cell, "number-columns-spanned"), 1) or 1, MOST_COLUMNS)
                high = whole(attribute(cell, "number-rows-spanned"), 1) or 1
                for place in range(column, column + max(wide, min(times, MOST_COLUMNS))):
                    texts[place] = text
                    self._above[place] = (high - 1, text)
                    across.update([place] if wide > 1 else ())
            else:
                for place in range(column, column + min(times, MOST_COLUMNS)):
                    self._above.pop(place, None)
            column += times
            for place in [place for place in across if place >= column]:  # covered cells follow, and say nothing
                self._above.setdefault(place, (0, texts[place]))
        return texts, frozenset(across)


def _rows(table: Element) -> Iterator[tuple[Element, bool]]:
    """The rows of a table, and whether each is one of its header."""
    for item in table:
        name = local(item)
        if name == "table-row":
            yield item, False
        elif name in ("table-rows", "table-row-group"):
            yield from _rows(item)
        elif name == "table-header-rows":
            yield from ((row, True) for row, _ in _rows(item))


def _cells(row: Element) -> Iterator[Element]:
    return (cell for cell in row if local(cell) in ("table-cell", "covered-table-cell"))


def _value(cell: Element, text_of: TextOf) -> str:
    """What a cell shows, or its value where it holds no text of that."""
    if text := text_of(cell):
        return text
    kind = attribute(cell, "value-type")
    value = attribute(cell, "value")
    if kind == "percentage":
        return shown(value, "0.##%").replace(".%", "%")
    if kind == "currency":
        return f"{shown(value, 'General')} {attribute(cell, 'currency')}".strip()
    if kind == "boolean":
        return attribute(cell, "boolean-value").upper()
    if kind in ("date", "time", "string"):
        return cell_text(attribute(cell, f"{kind}-value"))
    if value:
        return shown(value, "General")
    formula = attribute(cell, "formula").partition("=")[2]
    has_text = any(True for _ in below(cell, "p"))
    return f"formula without a stored value: ={formula}" if formula and not kind and not has_text else ""
