"""AsciiDoc and Org without what is no text: settings, comments, conditions, drawers, and the addresses of links."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from rag.sources.outline import MARK

_SETTING = re.compile(r"(?m)^:([\w-]+):[ \t]+(\S.*?)[ \t]*$")
_ADOC_GONE = re.compile(
    r":!?[\w-]+!?:(?:\s.*)?|//(?!/).*|(?:ifn?def|ifeval|endif|include|toc)::.*\[.*\]"
    r"|\[(?:\[[^\[\]]*\]|(?:source|listing|discrete|quote|verse)?[#.,%][^\[\]=]*|source|listing|discrete)\]"
)
_ADOC_LINK = re.compile(r"(?:(?:link|xref|mailto):|\b(?=https?://))(\S{1,500}?)\[([^\[\]\n]{0,500})\]")
_ADOC_SEE = re.compile(r"<<([^<>,\n]{1,200})(?:,\s*([^<>\n]{1,500}))?>>")
_ADOC_PICTURE = re.compile(r"\bimage::?\S{1,500}?\[([^\[\],\n]{0,500})[^\[\]\n]{0,500}\]")
_ADOC_MARKED = re.compile(r"\[[.#%]?[\w.#%-]{1,80}\](##?)(?=\S)([^#\n]{1,500})\1")
_ADOC_ROLE = re.compile(r"\[[.#%][\w.#%-]{1,80}\](?=[_*`])")
"""How words look, as in `[.underline]#these#` and `[.big]*this*`."""
_ADOC_ANCHOR = re.compile(r"(?:(?<![ \t])[ \t]+)?\[\[[^\W\d][\w.:-]{0,80}(?:,[^\[\]\n]{0,200})?\]\]")
_ADOC_LEVELS = "=-~^+"
_ADOC_LINE, _ADOC_NAME = re.compile(r"==+|--+|~~+|\^\^+|\+\++"), re.compile(r"[^\W_].{0,200}$")
MOST_OFF = 1
"""Characters by which the line below a heading is longer or shorter, at most."""
_ADOC_TERM, _ADOC_ITEM = re.compile(r"([^\s:].{0,200}?):{2,4}[ \t]*"), re.compile(r"\s*(?:[*.+-]+|\d+\.)\s")
LONG_MEANING = 200
"""Characters of what a term means, from which on the term is a caption."""
_NESTED = 5
"""How often a setting may be told by another."""
_ORG_GONE = re.compile(
    r"(?i)#\+(?:options|startup|setupfile|html\w*|latex\w*|property|language|macro|toc|bind|seq_todo|todo|tags"
    r"|\w*_tags|attr_\w+|results|include|export_\w+)(?:\[.*\])?:.*"
)
_ORG_DRAWER = re.compile(
    r"(?im)^[ \t]*:(?:properties|logbook):[ \t]*\n(?:(?![ \t]*:end:|\*+ ).*\n){0,500}[ \t]*:end:[ \t]*(?:\n|\Z)"
)
_ORG_LINK = re.compile(r"\[\[([^\[\]\n]{1,1000})\](?:\[([^\[\]\n]{1,1000})\])?\]")


def lean_adoc(text: str, block: re.Pattern[str]) -> str:
    """AsciiDoc with its settings in place of their names; `block` matches the lines around code."""
    text = _with_terms(_with_headings(text, block), block)
    values = {name.lower(): value for name, value in _SETTING.findall(text)}

    def told(line: str) -> str:
        if line.rstrip() == "+":  # joins two paragraphs
            return ""
        for _ in range(_NESTED if "{" in line else 0):
            line = re.sub(r"\{([\w-]+)\}", lambda found: values.get(found[1].lower(), found[0]), line)
        line = _ADOC_PICTURE.sub(lambda found: found[1].strip('"'), line)
        line = _ADOC_LINK.sub(lambda found: found[2].rstrip("^").strip('"') or found[1], line)
        line = _ADOC_ANCHOR.sub("", _ADOC_ROLE.sub("", _ADOC_MARKED.sub(r"\2", line)))
        return _ADOC_SEE.sub(lambda found: found[2] or found[1], line)

    return _outside(re.sub(r"(?ms)^/{4,}$.*?^/{4,}$\n?", "", text), block, _ADOC_GONE, told)


def _with_headings(text: str, block: re.Pattern[str]) -> str:
    """AsciiDoc whose headings above a line of signs are in one line, but those in code."""
    found: list[str] = []
    edge = ""
    for line in text.split("\n"):
        signs = line.rstrip()
        above = found[-1].rstrip() if found and (len(found) == 1 or not found[-2].strip()) else ""
        if edge:
            edge = "" if signs == edge else edge
        elif _ADOC_LINE.fullmatch(signs) and _ADOC_NAME.match(above) and abs(len(above) - len(signs)) <= MOST_OFF:
            found[-1] = f"{'=' * (_ADOC_LEVELS.index(signs[0]) + 1)} {above}"
            continue
        elif block.fullmatch(line):
            edge = signs
        found.append(line)
    return "\n".join(found)


def _with_terms(text: str, block: re.Pattern[str]) -> str:
    """AsciiDoc with the names of options and the like before what they mean, but those in code.

    They are in its line, or above it as a caption is where it is long.
    """
    lines = text.split("\n")
    told: list[str] = []
    terms: list[str] = []
    at, in_code = 0, False
    while at < len(lines):
        in_code ^= bool(block.fullmatch(lines[at]))
        if not in_code and (found := _ADOC_TERM.fullmatch(lines[at])):
            terms.append(found[1])
            at += 1
            continue
        end = _end_of_meaning(lines, at, block) if terms else at
        meaning = lines[at:end]
        if sum(map(len, meaning)) >= LONG_MEANING:
            told += [MARK + " / ".join(terms), *meaning, MARK]
        elif meaning and meaning[0][:1].isspace() and meaning[0].strip() and not _ADOC_ITEM.match(meaning[0]):
            told += [f"{' / '.join(terms)}: {meaning[0].strip()}", *meaning[1:]]
        else:
            told += [*(f"{each}::" for each in terms), *(meaning or [lines[at]])]
        terms, at, in_code = [], max(end, at + 1), in_code and not meaning
    return "\n".join([*told, *(f"{each}::" for each in terms)])


def _end_of_meaning(lines: Sequence[str], start: int, block: re.Pattern[str]) -> int:
    """The number of the line after what a term means: a term, a heading, or a paragraph that no "+" joins to it."""
    in_code, is_apart = False, False
    last = ""
    for number in range(start, len(lines)):
        line = lines[number]
        if block.fullmatch(line):
            in_code = not in_code
        elif not in_code and line.strip():
            is_apart = bool(last) and not lines[number - 1].strip() and last != "+" and not line[0].isspace()
            if _ADOC_TERM.fullmatch(line) or line.startswith("=") or is_apart:
                return number
        last = line.strip() or last
    return len(lines)


def lean_org(text: str, block: re.Pattern[str]) -> str:
    """Org mode's text; `block` matches the lines around code."""
    text = _ORG_DRAWER.sub("", text)
    return _outside(text, block, _ORG_GONE, lambda line: _ORG_LINK.sub(lambda found: found[2] or found[1], line))


def _outside(text: str, block: re.Pattern[str], gone: re.Pattern[str], told: Callable[[str], str]) -> str:
    """The lines of a text, outside of code as they are told and without those that are gone."""
    lines = []
    in_code = False
    for line in text.split("\n"):
        if block.match(line):
            in_code = not in_code
        elif not in_code and gone.fullmatch(line):
            continue
        lines.append(line if in_code else told(line))
    return "\n".join(lines)
