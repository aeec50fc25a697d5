"""Markdown of documentation: admonitions of MyST and MkDocs in words, its labels and roles left out."""

from __future__ import annotations

import re
from textwrap import dedent

from rag.sources.outline import MARK
from rag.text.wraps import indent_of

_BLOCK = re.compile(r"(\s*)(`{3,}|:{3,})\s*\{([\w:.-]+)\}(?:\s+(.*?))?\s*")
_ADMONITION = re.compile(r'(\s*)(?:!!!|\?\?\?\+?)\s+(\w+)(?:\s+[\w-]+)*(?:\s+"([^"]*)")?\s*')
_FENCE = re.compile(r"\s*(`{3,}|~{3,})")
_LABEL = re.compile(r"\([\w.:-]+\)=\s*")
_ROLE = re.compile(r"\{[a-zA-Z][\w:.+-]*\}`([^`]+)`|(`+).+?(?<!`)\2(?!`)")
"""A role; or code, which is passed over."""
_OPTION = re.compile(r":[\w-]+:(?:\s.*)?")
_SINCE = {
    "versionadded": "New in version",
    "versionchanged": "Changed in version",
    "deprecated": "Deprecated since version",
    "seealso": "See also",
}
_NAMED = re.compile(r"note|warning|tip|important|caution|danger|hint|attention|error")
_AROUND = re.compile(r"admonition|dropdown|card|sidebar|topic|margin|tabs?|tab-set|tab-item|grid|grid-item\S*|epigraph")
_CODE = re.compile(r"code|code-block|code-cell|sourcecode|literalinclude|testcode|doctest|prompt|math|mermaid")
_GONE = re.compile(r"toctree|contents|tableofcontents|index|currentmodule|module|auto\w+|include|image|bibliography")


def without_directives(text: str) -> str:
    """Markdown with what MyST and MkDocs put around text told in words: "Note: ...", "Changed in version 2: ...".

    Code stays code, and what stands in a block of reStructuredText is read as such.
    """
    if not re.search(
        r"(?m)^[ \t]*(?:`{3,}|:{3,})[ \t]*\{|^[ \t]*(?:!!!|\?\?\?)|^\([\w.:-]+\)=\s*$|\{[\w:.+-]+\}`", text
    ):
        return text
    return "\n".join(_told(text.split("\n")))


def _told(lines: list[str]) -> list[str]:
    found: list[str] = []
    number, fence = 0, ""
    while number < len(lines):
        line = lines[number]
        block = None if fence else _BLOCK.fullmatch(line)
        end = _end_of_block(lines, number, block[2]) if block else 0
        if block and end:
            _add(found, _block(block[3].rpartition(":")[2], block[4] or "", lines[number : end + 1]))
            number = end + 1
            continue
        if opened := _FENCE.match(line):
            fence = ("" if line.strip().startswith(fence) else fence) if fence else opened[1]
        elif not fence and (named := _ADMONITION.fullmatch(line)):
            end = number + 1
            while end < len(lines) and (not lines[end].strip() or indent_of(lines[end]) > len(named[1])):
                end += 1
            lead = named[3] if named[3] is not None else named[2].capitalize()
            body = _told(dedent("\n".join(lines[number + 1 : end])).strip("\n").split("\n"))
            _add(found, [f"{named[1]}{each}" if each else "" for each in _led(lead, body)])
            number = end
            continue
        elif not fence:
            line = "" if _LABEL.fullmatch(line) else _ROLE.sub(_role, line)
            if not line.strip() and found and not found[-1].strip():
                number += 1
                continue
        found.append(line)
        number += 1
    return found


def _add(found: list[str], block: list[str]) -> None:
    """Add the lines of a block, parted from what stands around it."""
    if block:
        found += ["", *block, ""] if found and found[-1].strip() else [*block, ""]


def _end_of_block(lines: list[str], start: int, fence: str) -> int:
    """The line that closes a block of MyST; 0 if none does."""
    return next((at for at in range(start + 1, len(lines)) if lines[at].strip() == fence), 0)


def _block(name: str, argument: str, lines: list[str]) -> list[str]:
    """A directive of MyST, given with the lines around it, in words."""
    body = lines[1:-1]
    if body and body[0].strip() == "---":  # its options, as YAML
        body = body[next((at for at, line in enumerate(body[1:], 1) if line.strip() == "---"), 0) + 1 :]
    while body and _OPTION.fullmatch(body[0].strip()):
        body = body[1:]
    if _GONE.fullmatch(name):
        return []
    if name == "eval-rst":
        return _rst(body)
    if _CODE.fullmatch(name):
        return [f"```{argument}", *body, "```"]
    if lines[0].lstrip().startswith("`") and not (name in _SINCE or _NAMED.fullmatch(name) or _AROUND.fullmatch(name)):
        return lines  # code of a notebook, say
    text = _told(body)
    if name in _SINCE or _NAMED.fullmatch(name):
        return _led(f"{_SINCE.get(name, name.capitalize())} {argument}".strip(), text)
    return _led(argument, text) if argument else text


def _rst(lines: list[str]) -> list[str]:
    from rag.sources.plain.rst_text import rst_lines  # which imports docutils

    return [line.removeprefix(MARK) for line in rst_lines("\n".join(lines)).lines]


def _led(lead: str, body: list[str]) -> list[str]:
    """Lines of which the first begins with the lead; code and lists stand below it."""
    while body and not body[0].strip():
        body = body[1:]
    if not lead:
        return body
    if not body:
        return [f"{lead}."]
    begins_text = not re.match(r"\s*(?:`{3}|~{3}|[-*+] |\d+[.)] |#|\|)", body[0])
    return [f"{lead}: {body[0].lstrip()}", *body[1:]] if begins_text else [f"{lead}:", "", *body]


def _role(found: re.Match[str]) -> str:
    """What a role shows: the words before an address, or a name as code."""
    if found[2]:
        return found[0]
    named = re.fullmatch(r"(.+?)\s*<[^<>]+>", found[1])
    return named[1] if named else f"`{found[1].lstrip('!~')}`"
