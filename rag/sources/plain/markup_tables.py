"""Tables of AsciiDoc become lines that name their columns, in the midst of their texts.

A caption stands on a line of its own after `MARK`, and a line of `MARK` alone ends its table.
"""

from __future__ import annotations

import csv
import re

from rag.sources.merged import MOST_COLUMNS, MOST_ROWS, Cell, spread
from rag.sources.outline import MARK, one_line
from rag.sources.tables import table_lines


def captioned(lines: list[str], caption: str) -> list[str]:
    """The lines of a table below its caption, if it has one."""
    caption = one_line(caption)
    return [MARK + caption, *lines, MARK] if caption and lines else lines


_ADOC_EDGE = re.compile(r"([|,:!])={3,}\s*")
_ADOC_CELL = re.compile(r"(?<!\\)(?:(?<=\s)|^)((?:\d+(?:\.\d+)?|\.\d+)?[+*])?([<^>]?(?:\.[<^>])?[a-z]?)\|")
_ADOC_BLOCK = re.compile(r"(-{4,}|\.{4,}|\+{4,})\s*")


def adoc_tables(text: str) -> str:
    """AsciiDoc with its tables as lines, but those in listings."""
    lines = text.split("\n")
    result: list[str] = []
    number, block = 0, ""
    while number < len(lines):
        line = lines[number]
        if found := _ADOC_BLOCK.fullmatch(line):
            block = "" if block == found[1] else block or found[1]
        edge = None if block else _ADOC_EDGE.fullmatch(line)
        close = [at for at in range(number + 1, len(lines)) if lines[at].rstrip() == line.rstrip()][:1] if edge else []
        if not edge or not close:
            result.append(line)
            number += 1
            continue
        caption, options = _before_adoc_table(result)
        rows, header = _adoc_rows(lines[number + 1 : close[0]], edge[1], options)
        result += ["", *captioned(table_lines(rows, header=header), caption), ""]
        number = close[0] + 1
    return "\n".join(result)


def _before_adoc_table(lines: list[str]) -> tuple[str, str]:
    """The title and the attributes on the lines right above a table; these are taken off."""
    caption = options = ""
    while lines and (re.fullmatch(r"\[.*\]\s*", lines[-1]) or (not caption and re.fullmatch(r"\.[^.\s].*", lines[-1]))):
        line = lines.pop().strip()
        caption, options = (caption, f"{line} {options}") if line.startswith("[") else (line[1:], options)
    return caption, options


def _adoc_rows(lines: list[str], sign: str, options: str) -> tuple[list[list[str]], int | None]:
    """The rows of a table, and how many of them name the columns."""
    header = None
    if re.search(r"%header|\boptions=[\"'][^\"']*header|\bopts=[\"'][^\"']*header|%autowidth\.header", options):
        header = 1
    elif "%noheader" in options:
        header = 0
    texts = [number for number, line in enumerate(lines) if line.strip()]
    if header is None and texts[:1] == [0] and len(lines) > 1 and not lines[1].strip():
        header = 1  # a first line with a blank one below it
    kind = re.search(r"format=[\"']?(csv|dsv|tsv)", options)
    delimiter = {"csv": ",", "dsv": ":", "tsv": "\t"}.get(kind[1], "") if kind else {",": ",", ":": ":"}.get(sign, "")
    if delimiter:
        return [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=delimiter) if row], header
    cells, first = _adoc_cells(lines, sign)
    width = _adoc_width(options) or first
    rows: list[list[Cell]] = [[]]
    filled: dict[int, int] = {}  # places of a row that cells from above and its own take
    for cell in cells:
        if filled.get(len(rows) - 1, 0) >= width:
            rows.append([])
        rows[-1].append(cell)
        for row in range(len(rows) - 1, min(len(rows) - 1 + cell[2], MOST_ROWS)):
            filled[row] = filled.get(row, 0) + cell[1]
    return spread(rows), header


def _adoc_cells(lines: list[str], sign: str) -> tuple[list[Cell], int]:
    """The cells one after the other, and how many columns the first line with cells has."""
    pattern = _ADOC_CELL if sign == "|" else re.compile(_ADOC_CELL.pattern.replace(r"\|", "!"))
    cells: list[Cell] = []
    first = 0
    for line in lines:
        found = list(pattern.finditer(line))
        before = line[: found[0].start()] if found else line
        if cells and before.strip():
            text, wide, high = cells[-1]
            cells[-1] = (f"{text} {before.strip()}", wide, high)
        ends = [*(one.start() for one in found[1:]), len(line)]
        for one, end in zip(found, ends, strict=False):  # a line without cells has an end, too
            text = line[one.end() : end].strip().replace(f"\\{sign}", sign)
            size, _, height = (one[1] or "")[:-1].partition(".")
            count = min(int(size or 1), MOST_COLUMNS)
            times = count if (one[1] or "").endswith("*") else 1
            cells += [(text, 1 if times > 1 else count, int(height or 1))] * times
        first = first or sum(wide for _, wide, _ in cells)
    return cells, max(first, 1)


def _adoc_width(options: str) -> int:
    """The number of columns that the attributes say; 0 if they do not."""
    found = re.search(r"cols=(?:\"([^\"]*)\"|'([^']*)'|([^,\]]*))", options)
    if not found:
        return 0
    count = 0
    for part in re.split("[,;]", found[1] or found[2] or found[3] or ""):
        times = re.match(r"\s*(\d+)\*", part)
        count += int(times[1]) if times else 1
    return min(count, MOST_COLUMNS)
