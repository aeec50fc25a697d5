"""A document's text as blocks to show: headings, paragraphs, list items, tables and code, with the quoted words lit.

The blocks hold text alone, no markup: whoever shows them makes the elements. Every run of text is known by its place in
the document, so that exactly the quoted characters are lit.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from rag.answers.tables.parsed import Row, Table, find_tables
from rag.sources.outline import FENCE

AROUND = 20_000
"""Characters shown before the quote and after it; a shorter document is shown whole."""
MARKDOWN_KINDS = ("Markdown", "notebook")
"""Kinds of sources whose text is Markdown."""
_BLOCKS = MarkdownIt("commonmark", {"html": True}).enable("strikethrough").disable("text_join")
_STYLES = {"strong_open": "strong", "em_open": "em", "s_open": "del", "link_open": "link"}

Span = tuple[int, int]
"""From a character of the document's text to behind another."""


@dataclass(frozen=True)
class Run:
    """A piece of text. `lit`: it is part of the quote. `style`: strong, em, del, code, link or ""."""

    text: str
    lit: bool = False
    style: str = ""


@dataclass(frozen=True)
class Block:
    """A block.

    Attributes:
        kind: heading, text, item, quote, code, rule or table.
        level: of a heading, from 1; of an item or quote, how deep it is, from 1.
        label: what stands before an item.
        runs: its text; of a table none.
        columns: of a table: their names.
        rows: of a table: a cell for each column.
        lit: of a table: the rows that the quote is from, by number.
    """

    kind: str
    level: int = 0
    label: str = ""
    runs: list[Run] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    lit: list[int] = field(default_factory=list)


def window_of(text: str, start: int, end: int) -> Span:
    """The part of a text to show around a quote, in whole lines where they are not too long."""
    if len(text) <= 3 * AROUND:
        return 0, len(text)
    first, last = max(0, start - AROUND), min(len(text), end + AROUND)
    if first:
        first = text.find("\n", first, min(start, first + AROUND // 2)) + 1 or first
    if last < len(text):
        last = text.rfind("\n", max(end, last - AROUND // 2), last) + 1 or last
    return first, last


def build_blocks(
    text: str, metadata: dict[str, Any], kind: str, quote: Span, window: Span | None = None
) -> list[Block]:
    """The blocks of a document, or of a part of it.

    Args:
        text: the document's.
        metadata: the document's, with its `sections`.
        kind: of the source, as `rag.sources.formats` names it.
        quote: what is lit, from a character of the text to behind another.
        window: the part that is shown, see `window_of`; None: all of it.
    """
    first, last = window or (0, len(text))
    shown = _Shown(text, quote)
    if kind == "code":
        return [Block("code", runs=shown.runs(first, last))]
    rows = _rows_of_tables(text, first, last)
    if kind in MARKDOWN_KINDS:
        return list(_Markdown(shown, rows).blocks(first, last))
    return list(_lines(shown, rows, first, last, metadata.get("sections") or []))


@dataclass(frozen=True)
class _Shown:
    """The text, and the quote in it."""

    text: str
    quote: Span

    def runs(self, start: int, end: int, style: str = "") -> list[Run]:
        """A part of the text, cut where the quote begins and ends."""
        begin, stop = max(start, self.quote[0]), min(end, self.quote[1])
        if begin >= stop:
            return [Run(self.text[start:end], False, style)] if start < end else []
        parts = (((start, begin), False), ((begin, stop), True), ((stop, end), False))
        return [Run(self.text[left:right], lit, style) for (left, right), lit in parts if left < right]

    def is_lit(self, start: int, end: int) -> bool:
        """Whether a part of the text has some of the quote."""
        return start < self.quote[1] and self.quote[0] < end


_Rows = dict[int, tuple[Table, Row]]
"""The rows of tables by where their lines begin in the text."""


def _rows_of_tables(text: str, first: int, last: int) -> _Rows:
    found: _Rows = {}
    for table in find_tables("", "", [(text[first:last], {})]):
        for row in (*table.rows, *table.totals):
            found[first + row.start] = (table, row)
    return found


def _table(shown: _Shown, rows: Sequence[tuple[int, Row]], columns: Sequence[str]) -> Block:
    """Rows of one table, each with where it begins."""
    lit = [number for number, (at, row) in enumerate(rows) if shown.is_lit(at, at + row.end - row.start)]
    cells = [[row.cells.get(name, "") for name in columns] for _, row in rows]
    return Block("table", columns=list(columns), rows=cells, lit=lit)


def _split_lines(text: str, first: int, last: int) -> Iterator[Span]:
    at = first
    while at < last:
        end = text.find("\n", at, last)
        end = last if end < 0 else end
        yield at, end
        at = end + 1


# -- text by lines ---------------------------------------------------------------------------------------------------


def _lines(shown: _Shown, rows: _Rows, first: int, last: int, sections: Sequence[Any]) -> Iterator[Block]:
    """Blocks of a text whose lines are its blocks, as of web pages and Word documents."""
    text = shown.text
    headings = {int(start): len(path) for start, path, _ in sections if path and _is_heading(text, start, path[-1])}
    spans = list(_split_lines(text, first, last))
    code = _code_lines(text, spans)
    number = 0
    while number < len(spans):
        start, end = spans[number]
        after = number + 1
        if start in rows:
            table = rows[start][0]
            while after < len(spans) and spans[after][0] in rows and rows[spans[after][0]][0] is table:
                after += 1
            yield _table(shown, [(at, rows[at][1]) for at, _ in spans[number:after]], table.columns)
        elif start in headings:
            yield Block("heading", min(headings[start] + 1, 6), runs=shown.runs(start, end))
        elif number in code:
            while after in code and after not in headings:
                after += 1
            yield Block("code", runs=shown.runs(start, spans[after - 1][1]))
        elif text[start:end].strip():
            yield Block("text", runs=shown.runs(start, end))
        number = after


def _is_heading(text: str, start: int, heading: str) -> bool:
    return bool(heading) and text.startswith(heading[:40], start)


def _code_lines(text: str, spans: Sequence[Span]) -> set[int]:
    """The numbers of the lines that are code: indented ones, the line above them, and blank ones between them."""
    indented = [number for number, (start, end) in enumerate(spans) if re.match(r"(?:\t| {2,})\S", text[start:end])]
    found: set[int] = set()
    for number in indented:
        above = number - 1
        while above >= 0 and not text[slice(*spans[above])].strip():
            above -= 1
        found.update(range(max(above, 0), number + 1))
    return found


# -- Markdown --------------------------------------------------------------------------------------------------------


class _Markdown:
    """Blocks of Markdown. markdown-it tells the lines of each block, and the text in it is found again there."""

    def __init__(self, shown: _Shown, rows: _Rows) -> None:
        self._shown = shown
        self._text = shown.text
        self._rows = rows
        self._starts = sorted(rows)

    def blocks(self, first: int, last: int) -> Iterator[Block]:
        """The blocks of a part of the text, which may begin inside of code."""
        opened = _open_fence(self._text, first)
        source = f"{opened}\n{self._text[first:last]}" if opened else self._text[first:last]
        shift = first - (len(opened) + 1 if opened else 0)
        lines = [shift + start for start, _ in _split_lines(source, 0, len(source))] + [last]
        depth, quotes, label, ordinal = 0, 0, "", ""
        for token in _BLOCKS.parse(source):
            if token.type in ("bullet_list_open", "ordered_list_open"):
                depth += 1
            elif token.type in ("bullet_list_close", "ordered_list_close"):
                depth -= 1
            elif token.type == "list_item_open":
                label = f"{token.info}{token.markup}" if token.info else "•"
            elif token.type in ("blockquote_open", "blockquote_close"):
                quotes += 1 if token.type == "blockquote_open" else -1
            elif token.type == "heading_open":
                ordinal = token.tag[1:]
            if not token.map or token.type not in ("inline", "fence", "code_block", "html_block", "hr"):
                continue
            start, end = max(first, lines[token.map[0]]), min(last, lines[min(token.map[1], len(lines) - 1)])
            if token.type == "hr":
                yield Block("rule")
            elif token.type == "inline" and ordinal:
                yield Block("heading", int(ordinal), runs=self._inline(token.children or [], start, end))
                ordinal = ""
            elif token.type == "inline":
                kind, level = ("item", depth) if depth else ("quote", quotes) if quotes else ("text", 0)
                yield from self._paragraph(token, start, end, Block(kind, level, label))
                label = ""
            else:
                yield Block("code", runs=self._found(token.content.rstrip("\n").split("\n"), start, end))

    def _paragraph(self, token: Token, start: int, end: int, like: Block) -> Iterator[Block]:
        """A paragraph; the rows of tables in it apart."""
        if bisect_left(self._starts, start) == bisect_left(self._starts, end):
            yield Block(like.kind, like.level, like.label, self._inline(token.children or [], start, end))
            return
        kept: list[tuple[int, Row]] = []
        table: Table | None = None
        for at, stop in _split_lines(self._text, start, end):
            found = self._rows.get(at)
            if kept and table and (found is None or found[0] is not table):
                yield _table(self._shown, kept, table.columns)
                kept = []
            if found:
                table = found[0]
                kept.append((at, found[1]))
            elif self._text[at:stop].strip():
                children = _BLOCKS.parseInline(self._text[at:stop].strip())[0].children
                yield Block("text", 0, "", self._inline(children or [], at, stop))
        if kept and table:
            yield _table(self._shown, kept, table.columns)

    def _inline(self, tokens: Sequence[Token], start: int, end: int) -> list[Run]:
        """The runs of a paragraph: what each token shows, found again in the text from the last one on."""
        runs: list[Run] = []
        styles: list[str] = []
        at = start
        for token in tokens:
            if token.type in _STYLES:
                styles.append(_STYLES[token.type])
            elif token.nesting < 0 and styles:
                styles.pop()
            elif token.type in ("softbreak", "hardbreak"):
                place = self._text.find("\n", at, end)
                at = place + 1 if place >= 0 else at
                runs.append(Run("\n" if token.type == "hardbreak" else " ", self._shown.is_lit(at - 1, at)))
            elif token.content:
                style = "code" if token.type == "code_inline" else styles[-1] if styles else ""
                place = self._text.find(token.content, at, end)
                if place >= 0:
                    at = place + len(token.content)
                    runs += self._shown.runs(place, at, style)
                else:  # an entity or an escape: it stands for other characters
                    place = self._text.find(token.markup, at, end) if token.markup else -1
                    at = place + len(token.markup) if place >= 0 else at
                    runs.append(Run(token.content, self._shown.is_lit(at - 1, at), style))
        return runs

    def _found(self, lines: Sequence[str], start: int, end: int) -> list[Run]:
        """The lines of code, each found again in the text from the last one on."""
        runs: list[Run] = []
        at = start
        for line in lines:
            place = self._text.find(line, at, end) if line else -1
            if place >= 0:
                at = place + len(line)
                runs += self._shown.runs(place, at)
            elif line:
                runs.append(Run(line))
            runs.append(Run("\n", self._shown.is_lit(at, at + 1)))
        return runs[:-1]


def _open_fence(text: str, before: int) -> str:
    """The fence of the code that a place in the text is in; "" where it is in none."""
    fence = ""
    for start, end in _split_lines(text, 0, before):
        if found := FENCE.match(text, start, end):
            if not fence:
                fence = found[1]
            elif found[1].startswith(fence) and not text[found.end() : end].strip():
                fence = ""
    return fence
