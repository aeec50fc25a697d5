"""The text of reStructuredText: headings and code as in Markdown, tables as lines that name their columns."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from typing import Any

from docutils import nodes

from rag.sources.merged import spread
from rag.sources.outline import MARK, one_line
from rag.sources.plain.marked_lines import MarkedLines
from rag.sources.plain.markup_tables import captioned
from rag.sources.plain.rst import ERROR, TOLD, parse_rst
from rag.sources.tables import table_lines

log = logging.getLogger(__name__)

WORDS_OF_ALT = 5
"""Words of a picture's description from which on it is read."""
_HEADING = "\x03"
"""Before a heading, with its level as one character."""
_GONE = (
    nodes.comment,
    nodes.target,
    nodes.substitution_definition,
    nodes.pending,
    nodes.raw,
    nodes.meta,
    nodes.label,
    nodes.title,
    nodes.decoration,
    nodes.transition,
)
_ADMONITIONS = (
    nodes.attention,
    nodes.caution,
    nodes.danger,
    nodes.error,
    nodes.hint,
    nodes.important,
    nodes.note,
    nodes.tip,
    nodes.warning,
)
_COMMAND = re.compile(r"\s*(?:\.\. \S+?::|:[\w-]+:(?:\s|$))")
_ADDRESSED = re.compile(r"`?(.+?)(?:\s*<[^<>]*>)?`?__?", re.S)


def rst_lines(text: str) -> MarkedLines:
    """The lines of reStructuredText, with its headings, captions and tables; as they stand where docutils fails."""
    try:
        lines = list(_blocks(parse_rst(text).children, 0))
    except Exception as error:  # it fails in many ways at a text that only looks like its own
        log.warning("reStructuredText is read as it stands: %s: %s", type(error).__name__, error)
        lines = text.split("\n")
    found = MarkedLines()
    for line in lines:
        if line.startswith(_HEADING):
            found.heading(min(ord(line[1]), 6), line[2:])
        else:
            found.add(line)
    return found


def _blocks(children: Sequence[Any], level: int) -> Iterator[str]:
    """The lines of blocks, with an empty one behind each; `level`: of the section that they are in."""
    for node in children:
        lines = list(_block(node, level))
        yield from lines
        if lines and lines[-1].strip():
            yield ""


def _block(node: Any, level: int) -> Iterator[str]:
    match node:
        case nodes.section():
            yield f"{_HEADING}{chr(level + 1)}{one_line(_inline(node.next_node(nodes.title)))}"
            yield ""
            yield from _blocks(node.children, level + 1)
        case nodes.system_message():
            for part in node.findall(nodes.literal_block) if node["level"] >= ERROR else ():
                yield from (line for line in part.astext().split("\n") if not _COMMAND.match(line))
        case _ if isinstance(node, _GONE):
            return
        case nodes.paragraph() | nodes.rubric() | nodes.caption() | nodes.attribution():
            yield one_line(_inline(node))
        case nodes.literal_block() | nodes.doctest_block() | nodes.math_block():
            yield from _fenced(node)
        case nodes.bullet_list() | nodes.enumerated_list():
            yield from _items(node, level)
        case nodes.definition_list() | nodes.field_list() | nodes.option_list():
            for item in node.children:
                yield from _term(item, level)
        case nodes.table():
            yield from _table(node)
        case nodes.line_block():
            yield from (one_line(_inline(line)) for line in node.findall(nodes.line))
        case nodes.image():
            if len(str(node.get("alt", "")).split()) >= WORDS_OF_ALT:
                yield one_line(node["alt"])
        case nodes.footnote() | nodes.citation():
            label = node.next_node(nodes.label)
            yield from _led(f"[{label.astext()}] " if label else "", node.children, level)
        case nodes.topic() if "contents" in node.get("classes", ()):
            return
        case nodes.container() if node.get(TOLD):
            yield from _led(f"{node[TOLD]}: ", node.children, level)
        case _ if isinstance(node, _ADMONITIONS):
            yield from _led(f"{node.tagname.capitalize()}: ", node.children, level)
        case nodes.Text():
            yield one_line(node.astext())
        case _:  # quotations, figures, sidebars and whatever else only holds blocks
            title = next((each for each in node.children if isinstance(each, nodes.title)), None)
            yield from _led(f"{one_line(_inline(title))}: " if title else "", node.children, level)


def _led(lead: str, children: Sequence[Any], level: int) -> Iterator[str]:
    """Blocks of which the first begins with the lead, which stands alone before what is no paragraph."""
    lines = _blocks(children, level)
    first = next(lines, "")
    if not lead or _is_text(first):
        yield lead + first
    elif first:
        yield from (lead.rstrip(), "", first)
    elif lead.strip():
        yield lead.rstrip(": ")
    yield from lines


def _is_text(line: str) -> bool:
    """Whether a line is words, and begins no code, table, heading or list."""
    return bool(line.strip()) and not line.startswith(("`" * 3, MARK, _HEADING, "- "))


def _items(node: Any, level: int) -> Iterator[str]:
    """The items of a list; what is below the first line of one is indented, but for code and tables."""
    for number, item in enumerate(node.children, int(node.get("start", 1))):
        lead = _enumerator(node, number) if isinstance(node, nodes.enumerated_list) else "- "
        first, *rest = list(_blocks(item.children, level)) or [""]
        while rest and not rest[-1].strip():
            rest.pop()
        yield lead + first if _is_text(first) else lead.rstrip()
        rest = rest if _is_text(first) else [first, *rest]
        indent = "" if any(line.startswith(("`" * 3, MARK)) for line in rest) else " " * len(lead)
        yield from (f"{indent}{line}" if line else "" for line in rest)


def _enumerator(node: Any, number: int) -> str:
    """What an item of an enumerated list begins with: "1. ", "(b) ", "iv. "."""
    kind = str(node.get("enumtype", ""))
    sign = str(number)
    if kind.endswith("alpha") and number <= 26:
        sign = chr(ord("a") + number - 1)
    elif kind.endswith("roman") and number < 40:
        ones = ("", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix")
        sign = "x" * (number // 10) + ones[number % 10]
    return f"{node.get('prefix', '')}{sign.upper() if kind.startswith('upper') else sign}{node.get('suffix', '.')} "


def _term(item: Any, level: int) -> Iterator[str]:
    """A term and what it means, a field and its value, an option and what it does."""
    names: list[str] = []
    bodies: list[Any] = [item]
    match item:
        case nodes.definition_list_item():
            names = [_inline(each) for each in item.children if isinstance(each, nodes.term)]
            bodies = [each for each in item.children if isinstance(each, nodes.definition)]
        case nodes.field():
            names = [_field_name(_inline(item.children[0]))]
            bodies = item.children[1:]
        case nodes.option_list_item():
            names = [f"`{item.children[0].astext()}`"]
            bodies = item.children[1:]
    lead = one_line(" / ".join(names))
    yield from _led(f"{lead}: " if lead else "", [part for body in bodies for part in body.children], level)


def _field_name(name: str) -> str:
    """The name of a field as Sphinx shows it: "size (int)" of `:param int size:`."""
    what, *words = name.split() or [""]
    if what not in ("param", "parameter", "arg", "argument", "key", "keyword", "kwarg") or not words:
        return name
    return f"`{words[-1]}` ({' '.join(words[:-1])})" if words[1:] else f"`{words[0]}`"


def _fenced(node: Any) -> Iterator[str]:
    text = node.astext().strip("\n")
    language = next((name for name in node.get("classes", ()) if name and name != "code"), "")
    fence = "````" if "```" in text else "```"
    yield f"{fence}{language}"
    yield from text.split("\n")
    yield fence


def _table(node: Any) -> Iterator[str]:
    title = next((_inline(one) for one in node.children if isinstance(one, nodes.title)), "")
    heads = [row for head in node.findall(nodes.thead) for row in head.children]
    rows = [*heads, *(row for body in node.findall(nodes.tbody) for row in body.children)]
    cells = [[(_cell(one), one.get("morecols", 0) + 1, one.get("morerows", 0) + 1) for one in row] for row in rows]
    header = len(heads) or (1 if len(rows) > 1 and _is_bold(rows[0]) and not _is_bold(rows[1]) else None)
    yield from captioned(table_lines(spread(cells), header=header), one_line(title))


def _is_bold(row: Any) -> bool:
    """Whether all that stands in a row is bold, as in the first one of a table that has no other head."""
    told = [part for part in row.findall(nodes.Text) if part.astext().strip()]
    return bool(told) and all(isinstance(part.parent, nodes.strong) for part in told)


def _cell(node: Any) -> str:
    return " ".join(map(_inline, node.children)).replace("`", "").replace("**", "")


def _inline(node: Any) -> str:
    """The words of a paragraph and the like; names of code in backticks, what is bold between stars."""
    match node:
        case nodes.Text():
            return str(node.astext())
        case nodes.literal():
            return f"`{node.astext()}`"
        case nodes.strong():
            return f"**{node.astext()}**"
        case nodes.problematic():
            found = _ADDRESSED.fullmatch(node.astext())
            return found[1] if found else str(node.astext())
        case nodes.footnote_reference() | nodes.citation_reference():
            return f"[{node.astext()}]"
        case None | nodes.image() | nodes.system_message() | nodes.substitution_definition():
            return ""
        case _:
            is_block = any(not isinstance(each, nodes.Text | nodes.Inline) for each in node.children)
            between = " " if is_block else ""
            return between.join(map(_inline, node.children))
