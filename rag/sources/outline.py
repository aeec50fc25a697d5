"""Text with its outline: cleaned, and with the place of every heading in it, exact to the character.

A heading is noted by a mark right before its first visible character. Cleaning only ever touches white space and
characters that nobody sees, so the mark stays in its place. Where it is taken out at the end, the section begins.
"""

from __future__ import annotations

import itertools
import re
from typing import Any

from langchain_core.documents import Document

from rag.text.wraps import indent_of

MARK = "\x02"
EDGE = "\x1e"
"""Marks the edge of a block; becomes a line break where the page's own white space has none."""
LONGEST_HEADING = 200
RECOGNIZED = "recognized"
"""In the metadata of a page that was read by text recognition: the lines with their places."""
OF_DOCUMENTS = ("sections", "notes", RECOGNIZED)
"""Metadata of whole documents, which passages of them do not have."""

CAPTION = 8
"""Level of a mark at the caption of a table: below all headings, so that its rows are in a section of its name."""
AFTER_TABLE = 9
"""Level of a mark after such a table: what follows is in the section around the table again."""
OUTER_TERM, AFTER_TERMS = 7, 10
"""Levels of a mark at a term that has terms below it, which are as captions are, and of one after their text."""
_ENDS = (0, AFTER_TABLE, AFTER_TERMS)
FENCE = re.compile(r"\s{0,3}(?:[-*+>] +)?(`{3,}|~{3,})")
"""Begins or ends a block of code in Markdown."""
_RELEASE = re.compile(
    r"\W*(?:(?:version|release|v)\.?\s*)?(?:\d+(?:\.(?:\d+|x))+\w*|\d{4}-\d\d-\d\d)(?:\s*[^\w\s].{0,40}|\s+\d.{0,40})?"
    r"|\W*(?:unreleased|(?:upcoming|next)(?: (?:release|version))?)\b[^\w]*",
    re.I,
)
Marks = list[tuple[int, str]]
"""Level (1 is outermost, 0 ends all sections, see also `CAPTION`, `OUTER_TERM`) and anchor of each mark in a text."""


def is_release(heading: str, level: int, marks: Marks) -> bool:
    """Whether a heading is one of several releases in a list of changes, and no title: "2.7.0 (2026-05-01)"."""
    return bool(_RELEASE.fullmatch(heading)) and sum(each == level for each, _ in marks) > 1


def build_document(text: str, marks: Marks, metadata: dict[str, Any], *, markdown: bool = False) -> Document:
    """The cleaned text, with `sections` in its metadata: [start, headings from outermost to innermost, anchor]."""
    pieces = _cleaned(text).split(MARK)
    content = "".join(pieces)
    starts = itertools.accumulate(map(len, pieces[:-1]))
    sections: list[list[Any]] = []
    above: list[tuple[int, str, str]] = []
    for start, (level, anchor) in zip(starts, marks, strict=True):
        heading = _heading_at(content, start, markdown)
        if level not in _ENDS and not heading:
            continue
        highest = OUTER_TERM if level == AFTER_TERMS else min(level, CAPTION)
        above = [item for item in above if item[0] < highest]
        if level in (AFTER_TABLE, AFTER_TERMS) or (level == CAPTION and not anchor):
            anchor = above[-1][2] if above else ""
        if level not in _ENDS:
            above.append((level, heading, anchor))
        path = [name for _, name, _ in above]
        if path and path[0] == metadata.get("title"):
            del path[0]
        if sections and sections[-1][0] == start:  # a table's caption right after another section's end
            del sections[-1]
        sections.append([start, path, anchor])
    return Document(page_content=content, metadata={**metadata, "sections": sections})


def plain(text: str) -> str:
    """Without what neither the vector store nor a reader can use: NULs, soft hyphens, marks of ours, surrogates."""
    return text.replace("\0", "").replace("\u00ad", "").replace(MARK, "").encode("utf-8", "ignore").decode("utf-8")


def one_line(text: str) -> str:
    """The text without line breaks, marks of ours and white space at its ends."""
    return " ".join(plain(text).split())  # which takes `EDGE` for white space, too


def _cleaned(text: str) -> str:
    text = text.replace("\0", "").encode("utf-8", "ignore").decode("utf-8")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = "\n".join(line.rstrip(" \t\u00a0") for line in text.split("\n"))
    if EDGE in text:  # a look at every blank of a large text takes its time
        text = re.sub(rf"[\s{EDGE}]+", _line_breaks, text)
    return re.sub(r"\n{8,}", "\n\n", text).strip()


def _line_breaks(run: re.Match[str]) -> str:
    """White space between blocks has a line break; where the page itself has none, one is put in."""
    if EDGE not in run[0]:
        return run[0]
    return run[0].replace(EDGE, "") if "\n" in run[0] else "\n"


def _heading_at(text: str, start: int, markdown: bool) -> str:
    line = text[start : start + 4 * LONGEST_HEADING].partition("\n")[0]
    if markdown:
        line = _as_shown(_without_hashes(line.lstrip("#").strip()))
    return without_permalink(line)[:LONGEST_HEADING].strip()


_LINKED = re.compile(r"!?\[([^\[\]]*)\](?:\([^()\s]*(?: \"[^\"]*\")?\)|\[[^\[\]]*\])")
_SIGNED = re.compile(r"(?<![*`\\])(\*{1,3}|`+)(?![\s*`])([^*`]+)(?<!\s)\1(?![*`])")


def _as_shown(heading: str) -> str:
    """A Markdown heading without the signs of links, code and emphasis; underscores stay, as code has them in names."""
    return _SIGNED.sub(r"\2", _LINKED.sub(r"\1", heading))


def is_heading(line: str, heading: str) -> bool:
    """Whether a line of a text is this heading, in Markdown or as it is."""
    bare = line.lstrip("# ")
    return bare.startswith(heading) or _as_shown(bare).startswith(heading)


def without_permalink(heading: str) -> str:
    """A heading without the sign of the link to itself."""
    return re.sub(r"(?:\s+#|\s*[¶§🔗])$", "", heading.strip())


def _without_hashes(heading: str) -> str:
    """A Markdown heading without the marks that may close it, or the id that may follow it."""
    heading = re.sub(r"[ \t]\{#[^{}]*\}$", "", heading).rstrip()
    bare = heading.rstrip("#")
    return bare.rstrip() if bare != heading and bare[-1:] in ("", " ", "\t") else heading


_ARTICLES = (
    "art|article|articles|artikel|artículo|articulo|artigo|articolo|artykuł|section|sec|clause|chapter|kapitel|chapitre"
    "|capítulo|capitulo|capitolo|título|titre|titolo|abschnitt|annex|annexe|anhang|anlage|anexo|allegato|schedule|appendix"
    "|статья|глава|раздел|άρθρο|κεφάλαιο"
)
_CLAUSE = re.compile(
    rf"(?i:§{{1,2}} ?|(?:{_ARTICLES})\b\.? ?)(?:\d{{1,4}}[a-z]?(?:\.\d{{1,3}}){{0,3}}|[IVXLC]{{1,7}}|[A-Z])"
    r"(?:[º°ª]|\b)\.?(?:[ :.–—-]{1,3}(?P<name>.+))?"
)
_CLAUSE_CJK = re.compile(
    r"第 ?[\d一二三四五六七八九十百零〇]{1,5} ?[条條章節节編编款](?:[ 　]*(?P<name>[^\s。，；].*))?"
)
_CAPITALS = re.compile(r"(?:\d{1,2}(?:\.\d{1,2}){0,3}[.)]?|(?:[IVXL]{1,5}|[A-Z])[.)]) +(?P<name>[^\W\d_].*)")
_NO_NAME = re.compile(r"(?i)(?:abs|nr|satz|para|no|apartado|al|lit)\b|.*[^.]\.\s.*[.;:,]$|.*[;:,]$")
LONGEST_CLAUSE, MOST_CLAUSE_WORDS = 120, 12
"""Characters and words of the heading of an article, at most."""
_FEWEST_CAPITALS = 3


def is_clause(line: str) -> bool:
    """Whether a line is the heading of an article of a law or contract: "§ 3 Rent", "Artículo 12.", "1. DUTIES."."""
    line = re.sub(r"^(\S{1,6}[.)])\t+", r"\1 ", line.strip())
    if len(line) > LONGEST_CLAUSE or "\t" in line or len(line.split()) > MOST_CLAUSE_WORDS:
        return False
    if found := _CLAUSE.fullmatch(line) or _CLAUSE_CJK.fullmatch(line):
        name = (found["name"] or "").strip()
        return not name or not (name[0].islower() or _NO_NAME.match(name) or name.count(".") > 1)
    found = _CAPITALS.fullmatch(line)
    name = found["name"] if found else ""
    return name.isupper() and sum(map(str.isalpha, name)) > _FEWEST_CAPITALS and not _NO_NAME.match(name)


# Markdown


def mark_markdown(text: str) -> tuple[str, Marks]:
    """The text with a mark before each heading: `#` and underlined ones, not those in code or in the front matter."""
    lines = plain(text).split("\n")
    marks: Marks = []
    fence = ""
    first = 0
    if lines[0].rstrip() == "---":
        first = next((i + 1 for i, line in enumerate(lines[1:200], 1) if line.rstrip() in ("---", "...")), 0)
    for number in range(first, len(lines)):
        line = lines[number]
        if found := re.match(r" {0,3}(`{3,}|~{3,})", line):
            if not fence:
                fence = found[1] if found[1][0] not in line[found.end() :] else ""
            elif found[1].startswith(fence) and not line[found.end() :].strip():
                fence = ""
            continue
        if fence:
            continue
        if found := re.match(r" {0,3}(#{1,6})(?=[ \t]|$)", line):
            if _without_hashes(line[found.end() :].strip()):
                lines[number] = f"{line[: found.start(1)]}{MARK}{line[found.start(1) :]}"
                marks.append((len(found[1]), ""))
        elif number + 1 < len(lines) and _is_underlined(lines, number, first):
            indent = indent_of(line)
            lines[number] = f"{line[:indent]}{MARK}{line[indent:]}"
            marks.append((1 if "=" in lines[number + 1] else 2, ""))
    return "\n".join(lines), marks


def _is_underlined(lines: list[str], number: int, first: int) -> bool:
    """Whether this is a line of its own over one of `=` or `-`, and no list, quotation or table."""
    under, line = lines[number + 1], lines[number]
    if not under or not re.fullmatch(r" {0,3}(?:=+|-+)[ \t]*", under[:1000]):
        return False
    alone = number == first or not lines[number - 1].strip()
    return alone and bool(line.strip()) and not re.match(r"    |\t| {0,3}(?:[-*+>|=]|\d+[.)]\s)", line)
