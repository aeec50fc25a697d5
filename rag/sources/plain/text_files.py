"""Plain text, source code, subtitles and the lighter markups become documents."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from langchain_core.documents import Document

from rag.sources.formats import Job
from rag.sources.outline import MARK, is_release, plain
from rag.sources.plain.bibtex import bib_lines
from rag.sources.plain.chats import people_beside, with_names
from rag.sources.plain.encoded_data import without_data
from rag.sources.plain.encoding import text_of
from rag.sources.plain.json_files import json_lines
from rag.sources.plain.lean_markup import lean_adoc, lean_org
from rag.sources.plain.markdown import markdown_document, outside_code, plain_tables
from rag.sources.plain.marked_lines import MarkedLines
from rag.sources.plain.markup_tables import adoc_tables
from rag.sources.plain.plain_headings import mark_headings
from rag.sources.plain.terminal import with_options_apart, without_layout, without_page_edges
from rag.sources.plain.tex_tables import tex_tables
from rag.sources.plain.tex_text import plain_tex
from rag.sources.plain.text_tables import spaced_tables

LONGEST_HEADING = 500
LONGEST_CUE = 400
"""Characters of subtitles in one line, beside what makes a sentence whole."""
PAUSE = 4.0
"""Seconds of silence that end a line of subtitles."""

_TIME = r"(?:(\d{1,3}):)?(\d\d):(\d\d)[.,]\d{1,3}"
_CUE = re.compile(rf"^\s*{_TIME}\s*-->\s*{_TIME}")
_HEADINGS = {
    ".org": re.compile(r"(?P<level>\*+) +(?:TODO |DONE )?(?P<text>.*?)(?: +:[\w@:]+:)? *"),
    ".adoc": re.compile(r"(?P<level>=+|#+) +(?P<text>.*?)(?: +=+)? *"),
    ".textile": re.compile(r"h(?P<level>[1-6])(?:\([^()]*\))?\. +(?P<text>.*?) *"),
    ".tex": re.compile(
        r"\s*\\(?P<level>part|chapter|section|subsection|subsubsection|paragraph)\*?\s*(?:\[[^\[\]]*\])?"
        r"\{(?P<text>[^{}]*(?:\{[^{}]*\}[^{}]*)*)\}(?P<rest>.*)"
    ),
}
"""Lines that are headings, in markups where one line tells."""
_HEADINGS[".asciidoc"] = _HEADINGS[".adoc"]
_TEX_LEVELS = ("part", "chapter", "section", "subsection", "subsubsection", "paragraph")
_TITLES = {
    ".org": re.compile(r"(?im)^#\+title:\s*(.+?)\s*$"),
    ".tex": re.compile(r"\\title(?:\[[^\[\]]*\])?\{((?:[^{}]|\{[^{}]*\})+)\}"),
    ".rst": re.compile(r"(?m)^:title:\s*(.+?)\s*$"),
}
_CODE_BLOCK = {
    ".org": re.compile(r"(?i)\s*#\+(begin|end)_(?:src|example)"),
    ".adoc": re.compile(r"(-{4,}|\.{4,})\s*"),
    ".textile": re.compile(r"$.^"),
    ".tex": re.compile(r"\s*\\(?:begin|end)\{(?:verbatim|lstlisting|minted)\}"),
}
_CODE_BLOCK[".asciidoc"] = _CODE_BLOCK[".adoc"]
_TABLES = {".org": plain_tables, ".tex": tex_tables, ".adoc": adoc_tables, ".asciidoc": adoc_tables}
_MARKDOWN, _FEWEST = re.compile(r"(?m)(?:^|\n)\n#{2,6}[ \t]+[^\s#].*\n[ \t]*\n(?=[^\s#])"), 2
"""A heading of Markdown between blank lines, above a text, and how many of them tell that a text is Markdown."""
_OF_SETTINGS = (".ini", ".toml", ".cfg", ".conf", ".cnf")
_SECTION = re.compile(r"(?m)^\[{1,2}[\w.:\"' -]{1,80}\]{1,2}(?=[ \t]*(?:[#;].*)?$)")
"""The name of a section in a file of settings."""
_ESCAPED = re.compile(r"\\u((?!d[89a-f])[0-9a-f]{4})", re.I)
"""A letter as files of properties write those outside of Latin-1."""
_LEAN = {".org": lean_org, ".adoc": lean_adoc, ".asciidoc": lean_adoc}


def read_text(job: Job) -> Iterator[Document]:
    """Plain text or source code as one document; the first heading of plain text is its title.

    JSON and BibTeX become lines of `key: value`, and headings of the lighter markups become those of Markdown.
    """
    text = without_data(plain(text_of(job)), job)
    is_json = job.ending in (".json", ".jsonl", ".ndjson", ".geojson")
    if job.ending == ".properties":
        text = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
    if is_json:
        text = with_names(text, job.people or (people_beside(Path(job.path)) if job.path == job.source else {}))
    if lines := json_lines(text, job.ending) if is_json else bib_lines(text) if job.ending == ".bib" else []:
        yield job.document("\n".join(lines), [], job.name)
    elif job.ending in (*_HEADINGS, ".rst"):
        yield _light_markup(job, text)
    elif job.ending in _OF_SETTINGS and _SECTION.search(text):
        text, many = _SECTION.subn(rf"{MARK}\g<0>", text)
        yield job.document(text, [(2, "")] * many, job.name)
    elif job.kind == "text" and len(_MARKDOWN.findall(text)) >= _FEWEST:
        yield markdown_document(job, text)
    elif job.kind == "text":
        heading = re.search(r"(?m)^#\s+(.+?)\s*#*$", text[:4000])
        text = outside_code(plain_tables(without_layout(without_page_edges(text))), spaced_tables)
        text, marks, title = mark_headings(with_options_apart(text))
        yield job.document(text, marks, heading[1] if heading else title or job.name)
    else:
        yield job.document(text, [], job.name)


def _light_markup(job: Job, text: str) -> Document:
    """A document whose headings are those of Markdown, and whose tables are lines that name their columns."""
    title = _TITLES[job.ending].search(text[:4000]) if job.ending in _TITLES else None
    if job.ending in _LEAN:
        text = _LEAN[job.ending](text, _CODE_BLOCK[job.ending])
    text = _TABLES[job.ending](text) if job.ending in _TABLES else text
    found = _rst_lines(text) if job.ending == ".rst" else _line_headings(text, job.ending)
    named = plain_tex(title[1]) if title and job.ending == ".tex" else title[1] if title else ""
    levels = [level for level, _ in found.marks]
    if not named and levels and levels[0] == min(levels):
        first = next(line for line in found.lines if MARK in line).partition(MARK)[2].lstrip("# ")
        named = "" if is_release(first, levels[0], found.marks) else first
    return job.document("\n".join(found.lines), found.marks, named or job.name, markdown=True)


def _rst_lines(text: str) -> MarkedLines:
    from rag.sources.plain.rst_text import rst_lines  # which imports docutils

    return rst_lines(text)


def _line_headings(text: str, ending: str) -> MarkedLines:
    heading, block = _HEADINGS[ending], _CODE_BLOCK[ending]
    found_lines = MarkedLines()
    in_code = ""
    for line in text.split("\n"):
        if found := block.fullmatch(line) or (block.match(line) if ending in (".org", ".tex") else None):
            in_code = "" if in_code else found[0].strip()
        elif (
            not in_code
            and len(line) <= LONGEST_HEADING
            and (found := heading.fullmatch(line))
            and found["text"].strip()
        ):
            found_lines.heading(min(_level(found["level"]), 6), found["text"].strip())
            if (rest := found.groupdict().get("rest") or "").strip():
                found_lines.add(rest)
            continue
        found_lines.add(line)
    return found_lines


def _level(sign: str) -> int:
    if sign in _TEX_LEVELS:
        return _TEX_LEVELS.index(sign) + 1
    return int(sign) if sign.isdigit() else len(sign)


def read_subtitles(job: Job) -> Iterator[Document]:
    """Subtitles as one document: a line for each sentence or so, with the time at which it begins."""
    text = plain(text_of(job))
    lines: list[str] = []
    said, began, ended = "", "", 0.0
    last = ""
    for start, stop, words in _cues(text):
        fresh = [line for line in words if line != last]  # captions made by machines show a line twice
        last = words[-1] if words else last
        if not fresh:
            ended = stop
            continue
        whole = said.rstrip("\"'”’)").endswith((".", "!", "?", "…", "。", "！", "？"))
        if said and (whole or start - ended > PAUSE or len(said) > LONGEST_CUE):
            lines.append(f"[{began}] {said}")
            said = ""
        if not said:
            began = f"{int(start) // 3600:02}:{int(start) // 60 % 60:02}:{int(start) % 60:02}"
        said = f"{said} {' '.join(fresh)}".strip()
        ended = stop
    if said:
        lines.append(f"[{began}] {said}")
    yield job.document("\n".join(lines) if lines else text, [], job.stem)


def _cues(text: str) -> Iterator[tuple[float, float, list[str]]]:
    """Begin and end in seconds and the lines of each cue, without their markup."""
    lines = text.split("\n")
    at = [number for number, line in enumerate(lines) if "-->" in line and _CUE.match(line)]
    for number, following in zip(at, [*at[1:], len(lines) + 1], strict=True):
        found = _CUE.match(lines[number])
        assert found
        times = [int(part or 0) for part in found.groups()]
        words = []
        for line in lines[number + 1 : following]:
            if not line.strip():
                break
            line = re.sub(r"<v(?:\.[\w.]+)?\s+([^<>]{1,80})>", r"\1: ", line)
            words.append(" ".join(re.sub(r"</?[^<>]{0,80}>|\{\\[^{}]{0,40}\}", "", line).split()))
        start, stop = (60 * (60 * hours + minutes) + seconds for hours, minutes, seconds in (times[:3], times[3:]))
        yield float(start), float(stop), [line for line in words if line]
