"""Markdown becomes documents: tables as rows that name their columns, front matter as lines, no comments."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from bs4 import BeautifulSoup
from langchain_core.documents import Document

from rag.sources.formats import Job
from rag.sources.html.inline import html_lines, without_html
from rag.sources.html.web_page import parse_html
from rag.sources.outline import FENCE, MARK, is_release, mark_markdown, plain
from rag.sources.plain.encoded_data import without_data
from rag.sources.plain.encoding import text_of
from rag.sources.plain.myst import without_directives
from rag.sources.plain.text_tables import drawn_tables
from rag.sources.tables import table_lines

MOST_FRONT = 200
"""Lines of front matter that are looked for its end."""
LONGEST_RULE = 2000
"""Characters of the line below the names of a table's columns."""
_HEADING = re.compile(r"(?m)^#{1,6}[ \t]+\S")
_KEY = re.compile(r"(?m)^\w[\w -]*:")
_TABLE_RULE = re.compile(r"\s*(?:>\s?){0,9}\|?\s*:?-+:?\s*(?:[|+]\s*:?-+:?\s*)*\|?\s*")
LONGEST_TERM = 200
"""Characters of what a definition list defines."""
MOST_TERMS = 5
"""Lines above a definition that are its terms; more are a paragraph."""
_DEFINITION = re.compile(r"(?m)^ {0,3}:[ \t]+(?=\S)")
_NO_TERM = re.compile(r"    |\t| {0,3}(?:[-*+>|:#]|\d+[.)]\s|`{3}|~{3})")
_VALUE = r"\"[^\"<>]{0,500}\"|'[^'<>]{0,500}'|\{[^{}]{0,500}(?:\{[^{}]{0,500}\}[^{}]{0,500}){0,5}\}"
_COMPONENT = re.compile(rf"<(?:/?|/?[A-Z][\w.]{{0,80}}(?:[\s/](?:[^<>{{}}\"']|{_VALUE}){{0,300}})?)>")
"""A tag of a component (a capital letter), or of a fragment."""
_TOLD_ATTRIBUTE = re.compile(r"""\b(?:title|label|alt|heading|description|summary|caption)=["']([^"'<>]{1,500})["']""")


def read_markdown(job: Job) -> Iterator[Document]:
    """Markdown as one document."""
    text = without_data(text_of(job), job)
    yield markdown_document(job, without_components(text) if job.ending == ".mdx" else text)


def markdown_document(job: Job, text: str) -> Document:
    """Markdown text as a document; its title is the front matter's, or its first heading of level 1."""
    front, text, title = split_front_matter(plain(text))
    text = without_directives(text)
    text = outside_code(_without_html_tables(without_comments(text)), without_html)
    text = with_terms(plain_tables(outside_code(text, _with_blanks_in_headings)))
    marked, marks = mark_markdown(text)
    first = next((number for number, mark in enumerate(marks) if mark[0] == 1), None)
    if first is not None and not title:
        line = marked.split(MARK, first + 1)[first + 1][:1000].partition("\n")[0]
        title = re.sub(r"^#\s+|\s+#*\s*$|\s+\{#[^{}]*\}\s*$", "", line)
        if is_release(title, 1, marks):
            title = ""
    return job.document(f"{front}\n\n{marked}" if front else marked, marks, title or job.name, markdown=True)


def _with_blanks_in_headings(text: str) -> str:
    """The text with a blank where a heading has none, "##Name", as GitHub read them before 2017."""
    few = 2 if _HEADING.search(text) else 1
    return re.sub(rf"(?m)^(#{{{few},6}})(?=[^\W\d_a-zß-ÿ#]|\*\*\w)", r"\1 ", text)


def split_front_matter(text: str) -> tuple[str, str, str]:
    """Front matter (YAML or TOML) as `key: value` lines, the rest of the text, and the title in it."""
    lines = text.lstrip("\n").split("\n")
    closing = {"---": ("---", "..."), "+++": ("+++",)}.get(lines[0].rstrip(), ())
    end = next((number for number, line in enumerate(lines[1:MOST_FRONT], 1) if line.rstrip() in closing), 0)
    if not end:
        return "", text, ""
    source, rest = "\n".join(lines[1:end]), "\n".join(lines[end + 1 :])
    found = _front_values(source, toml=lines[0].startswith("+"))
    if not isinstance(found, dict):
        return (source, rest, "") if _KEY.search(source) else ("", text, "")
    told = [f"{key}: {value}" for key, item in found.items() if (value := _in_one_line(item))]
    title = _in_one_line(found.get("title"))
    return "\n".join(told), rest, title


def _front_values(source: str, *, toml: bool) -> Any:
    """The values of front matter; its text where it is damaged, or has aliases, which can grow without end."""
    if toml:
        pairs = (line.partition("=") for line in source.split("\n") if "=" in line)
        return {key.strip(): value.strip().strip("\"'") for key, _, value in pairs}
    import yaml  # type: ignore[import-untyped]

    try:
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(source)):
            return source
        return yaml.safe_load(source)
    except (yaml.YAMLError, ValueError, RecursionError):
        return source


def _in_one_line(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key}: {_in_one_line(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(_in_one_line, value))
    return "" if value is None else " ".join(str(value).split())


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """The text, changed outside of its fenced code."""
    parts: list[str] = []
    held: list[str] = []
    fence = ""
    for line in text.split("\n"):
        found = FENCE.match(line)
        if fence or (found and (found[1][0] == "~" or "`" not in line[found.end() :])):
            if not fence:
                assert found
                fence = found[1]
                if held:
                    parts.append(change("\n".join(held)))
                    held = []
            elif found and found[1].startswith(fence) and not line[found.end() :].strip():
                fence = ""
            parts.append(line)
        else:
            held.append(line)
    if held:
        parts.append(change("\n".join(held)))
    return "\n".join(parts)


def without_comments(text: str) -> str:
    """The text without its HTML comments, but those in code."""
    if "<!--" not in text:
        return text
    return outside_code(text, lambda part: _without(part, "<!--", "-->"))


def _without(text: str, opening: str, closing: str) -> str:
    """The text without what stands between these, but where it is between backticks; one that is not closed stays."""
    kept: list[str] = []
    at = 0
    for found in re.finditer(rf"`[^`\n]+`|{re.escape(opening)}", text):
        if found.start() < at or found[0] != opening:
            continue
        end = text.find(closing, found.end())
        if end < 0:
            break
        kept.append(text[at : found.start()])
        at = end + len(closing)
    return "".join([*kept, text[at:]])


def plain_tables(text: str) -> str:
    """The text with its pipe tables, and those that are drawn, as lines of `column: value` pairs, but those in code."""
    return outside_code(text, lambda part: drawn_tables(_without_pipes(part)))


def _without_pipes(text: str) -> str:
    lines = text.split("\n")
    result: list[str] = []
    number = 0
    while number < len(lines):
        rule = lines[number + 1] if number + 1 < len(lines) else ""
        if (
            "|" not in lines[number]
            or "|" not in rule.replace("+", "|")
            or len(rule) > LONGEST_RULE
            or not _TABLE_RULE.fullmatch(rule)
        ):
            result.append(lines[number])
            number += 1
            continue
        rows = [_cells(lines[number])]
        number += 2
        while number < len(lines) and lines[number].strip() and "|" in lines[number]:
            if len(lines[number]) > LONGEST_RULE or not _TABLE_RULE.fullmatch(lines[number]):
                rows.append(_cells(lines[number]))
            number += 1
        named = any(rows[0])
        result += table_lines(rows if named else rows[1:], header=int(named), merged=False)
    return "\n".join(result)


def with_terms(text: str) -> str:
    """The text with each definition of a definition list behind its term: `Term: definition`, but those in code."""
    if not _DEFINITION.search(text):
        return text
    return outside_code(text, _with_terms)


def _with_terms(text: str) -> str:
    lines: list[str] = []
    terms: list[str] = []
    done = 0  # lines that are defined already
    for line in text.split("\n"):
        found = _DEFINITION.match(line)
        if found and not terms:
            above = len(lines)
            while above > done and not lines[above - 1].strip():
                above -= 1
            end = above
            while above > done and end - above <= MOST_TERMS and _is_term(lines[above - 1]):
                above -= 1
            if 0 < end - above <= MOST_TERMS:
                terms = [one.strip() for one in lines[above:end]]
                del lines[above:]
        if found and terms:
            lines.append(f"{' / '.join(terms)}: {line[found.end() :].strip()}")
            done = len(lines)
        else:
            lines.append(line)
            if line.strip() and not line[:1].isspace():  # no more of the definition
                terms = []
    return "\n".join(lines)


def _is_term(line: str) -> bool:
    return bool(line.strip()) and len(line) <= LONGEST_TERM and not _NO_TERM.match(line)


def _without_html_tables(text: str) -> str:
    if "<table" not in text:
        return text
    return outside_code(text, lambda part: re.sub(r"<table\b(?:(?!<table)[^`]){0,100000}?</table>", _table_of, part))


def _table_of(found: re.Match[str]) -> str:
    return f"\n{html_table_lines(found[0])}\n"


def html_table_lines(html: str) -> str:
    """The rows of the tables in some HTML, each with the names of its columns."""
    tables = (table for table in parse_html(html).find_all("table") if not table.find_parent("table"))
    return "\n\n".join("\n".join(html_lines(BeautifulSoup(str(table), "html.parser"))) for table in tables)


def _cells(line: str) -> list[str]:
    line = re.sub(r"^\s*(?:>\s*)*(?:[-*+]\s+)?", "", line).strip()
    cells = re.split(r"(?<!\\)\|", line)
    if cells and not cells[0].strip():
        del cells[0]
    if cells and not cells[-1].strip():
        del cells[-1]
    return [re.sub(r"<br\s*/?>", " ", cell.strip().replace("\\|", "|"), flags=re.IGNORECASE) for cell in cells]


def without_components(text: str) -> str:
    """MDX as Markdown: no imports, exports, comments and tags; what tags say in a title or the like stays."""
    return outside_code(text, _without_tags)


def _without_tags(text: str) -> str:
    text = _without(text, "{/*", "*/}")
    text = re.sub(r"(?m)^import\s[^\n]*(?:\n(?!\n)[^\n]*){0,30}?from\s*['\"][^'\"\n]+['\"];?[ \t]*$", "", text)
    text = re.sub(r"(?m)^import\s*['\"][^'\"\n]+['\"];?[ \t]*$", "", text)
    text = re.sub(r"(?m)^export\s+(?:const|let|var|default|function|async)\b[^\n]*(?:\n(?!\n)[^\n]*){0,200}", "", text)
    return re.sub(r"`[^`\n]+`|" + _COMPONENT.pattern, _told_by_tag, text)


def _told_by_tag(found: re.Match[str]) -> str:
    if found[0].startswith("`"):
        return found[0]
    return " ".join(told[1] for told in _TOLD_ATTRIBUTE.finditer(found[0]))
