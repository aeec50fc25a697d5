"""The text of a LaTeX file: no commands, comments and preamble; its headings, formulas and code stay as they are."""

from __future__ import annotations

import re
import unicodedata

MOST_MACROS = 500
"""Macros without arguments that are replaced by what they stand for."""
_SHOWN = r"\{(?:verbatim|lstlisting|minted)\*?\}"
_CODE = rf"\\begin{_SHOWN}.{{0,50000}}?\\end{_SHOWN}|\\verb\*?([^\w\s]).*?\1"
_FORMULA = (
    r"\$\$.{1,5000}?\$\$|(?<!\\)\$[^$]{1,5000}?(?<!\\)\$|\\\[.{1,5000}?\\\]|\\\(.{1,5000}?\\\)"
    r"|\\begin\{(equation|align|gather|multline|eqnarray|displaymath|math)\*?\}.{1,5000}?\\end\{\2\*?\}"
)
_KEPT = re.compile(f"{_CODE}|{_FORMULA}", re.DOTALL)
_COMMENT = re.compile(r"(?m)(?<!\\)%.*(?:\n[ \t]*)?")
_MACRO = re.compile(
    r"\\(?:re)?newcommand\*?\{?\\([A-Za-z]+)\}?\{((?:[^{}]|\{[^{}]*\}){0,300})\}|\\def\\([A-Za-z]+)\{([^{}]{0,300})\}"
)
_ARGUMENT = r"\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\}){0,5000})\}"
_OPTION = r"(?:\[[^\[\]]*\])?"
_ACCENT = re.compile(r"\\([\"'`^~=.]|[cvuHk](?![A-Za-z]))\s*(?:\{\\?([A-Za-z])\}|\\?([A-Za-z]))")
_ACCENTS = dict(
    zip("\"'`^~=.cvuHk", "\u0308\u0301\u0300\u0302\u0303\u0304\u0307\u0327\u030c\u0306\u030b\u0328", strict=True)
)
_LETTERS = {"ss": "ß", "o": "ø", "O": "Ø", "ae": "æ", "AE": "Æ", "oe": "œ", "aa": "å", "AA": "Å", "l": "ł", "L": "Ł"}
_LETTERS |= {
    "ldots": "…",
    "dots": "…",
    "S": "§",
    "P": "¶",
    "copyright": "©",
    "euro": "€",
    "celsius": "°C",
    "percent": "%",
}
_LETTERS |= {
    "LaTeX": "LaTeX",
    "TeX": "TeX",
    "textbackslash": "/",
    "textasciitilde": "~",
    "textdegree": "°",
    "degree": "°",
}
_QUANTITY = re.compile(
    rf"\\(?:(?:SI|qty)range{_OPTION}{_ARGUMENT}{_ARGUMENT}|(?:SI|qty){_OPTION}{_ARGUMENT}|(?:si|unit){_OPTION}){_ARGUMENT}"
)
"""A number or a range with its unit, or a unit alone, of the package siunitx."""
_UNITS = {
    "micro": "µ", "us": "µs", "um": "µm", "nano": "n", "milli": "m", "centi": "c", "kilo": "k", "mega": "M",
    "giga": "G", "tera": "T", "metre": "m", "meter": "m", "gram": "g", "second": "s", "minute": "min", "hour": "h",
    "day": "d",
    "byte": "B", "watt": "W", "hertz": "Hz", "volt": "V", "ampere": "A", "kelvin": "K", "newton": "N", "joule": "J",
    "pascal": "Pa", "litre": "l", "liter": "l", "tonne": "t", "mole": "mol", "ohm": "Ω", "degreeCelsius": "°C",
    "celsius": "°C", "degree": "°", "percent": r"\%", "per": "/", "squared": "²", "cubed": "³", "square": "²",
}  # fmt: skip
_LEFT_OUT = (
    "label|vspace|hspace|includegraphics|bibliographystyle|bibliography|pagestyle|thispagestyle|setlength|input|include"
    "|addcontentsline|index|graphicspath"
)
"""Commands that nobody sees, with what is in their braces."""
_TABULAR = "tabular|longtab|tabu"
_LAYOUT = (
    "figure|table|sidewaystable|wraptable|wrapfigure|minipage|multicols|thebibliography|enumerate|itemize|description"
    "|adjustbox|column|columns|array|subfigure|center|threeparttable|landscape"
)
"""Environments whose arguments are no text."""
_SECTION = re.compile(rf"\\(?:part|chapter|(?:sub){{0,2}}section|paragraph)\*?{_OPTION}{_ARGUMENT}")
_RULES = [
    (re.compile(rf"\\(?:{_LEFT_OUT})\*?{_OPTION}{_ARGUMENT}(?:\{{[^{{}}]*\}})?"), ""),
    (re.compile(r"\\(?:cite[a-z]*|parencite|textcite|autocite)\*?(?:\[[^\[\]]*\]){0,2}\{([^{}]*)\}"), r"[\1]"),
    (re.compile(rf"\\(?:footnote|thanks){_OPTION}{_ARGUMENT}"), r" (\1)"),
    (re.compile(rf"\\href\{{[^{{}}]*\}}{_ARGUMENT}"), r"\1"),
    (re.compile(rf"\\bibitem{_OPTION}\{{([^{{}}]*)\}}"), r"[\1]"),
    (re.compile(rf"\\caption\*?{_OPTION}{_ARGUMENT}"), r"\n\1\n"),
    (re.compile(r"\\item\s*\[([^\[\]]*)\]:?"), r"\n- \1:"),
    (re.compile(r"\\item\b"), r"\n-"),
    (re.compile(rf"\\begin\{{(?:{_LAYOUT})\*?\}}{_OPTION}(?:\{{[^{{}}]*\}}){{0,2}}"), "\n"),
    (re.compile(rf"\\begin\{{(?!{_TABULAR})[A-Za-z]+\*?\}}(?:\[([^\[\]]*)\])?(?:\{{([^{{}}]*)\}})?"), r"\n\1 \2\n"),
    (re.compile(rf"\\end\{{(?!{_TABULAR})[A-Za-z]+\*?\}}"), "\n"),
    (re.compile(r"\\\\\*?(?:\[[^\[\]]*\])?|\\newline\b|\\par\b"), "\n"),
]
_HEADING = re.compile(r"\\(?:part|chapter|(?:sub){0,2}section|paragraph)\*?\s*(?:\[[^\[\]]*\])?\{")
_WITH_ARGUMENT = re.compile(
    rf"\\(?!(?:part|chapter|(?:sub){{0,2}}section|paragraph|begin|end)\b)[A-Za-z]+\*?{_OPTION}{_ARGUMENT}"
)
_ALONE = re.compile(r"\\(?!(?:part|chapter|(?:sub){0,2}section|paragraph|begin|end)\b)([A-Za-z]+)\*? ?(?:\{\})?")


def without_preamble(text: str) -> str:
    """The document in a LaTeX file, with its title, authors and date above it, and its short macros replaced."""
    head, begin, body = text.partition("\\begin{document}")
    if not begin:
        return text
    body = body.partition("\\end{document}")[0]
    macros = {found[1] or found[3]: found[2] or found[4] or "" for found in list(_MACRO.finditer(head))[:MOST_MACROS]}
    macros = {name: value for name, value in macros.items() if "#" not in value and f"\\{name}" not in value}
    if macros:
        names = "|".join(map(re.escape, macros))
        body = re.sub(rf"\\({names})(?![A-Za-z])(?:\{{\}}| )?", lambda found: macros[found[1]], body)
    told = []
    for name in ("title", "author", "date"):
        found = re.search(rf"\\{name}{_OPTION}{_ARGUMENT}", text)
        if found and found[1].strip() not in ("", "\\today"):
            told.append(re.sub(r"\s*\\and\b\s*", ", ", found[1]))
    body = re.sub(rf"\\(?:title|author|date){_OPTION}{_ARGUMENT}|\\maketitle\b|\\tableofcontents\b", "", body)
    return "\n\n".join([*told, body])


def plain_tex(text: str) -> str:
    """A piece of LaTeX without commands, but those of headings; code and formulas stay as they are."""
    parts: list[str] = []
    at = 0
    for found in _KEPT.finditer(text):
        is_formula = found[0].startswith(("$", r"\[", r"\(")) or bool(found[2])
        kept = _QUANTITY.sub(_quantity, found[0]) if is_formula else found[0]
        parts += [_plain(text[at : found.start()]), kept]
        at = found.end()
    joined = "".join([*parts, _plain(text[at:])])
    return re.sub(r"\n[ \t]*(?:\n[ \t]*)+\n", "\n\n", joined)


def _plain(text: str) -> str:
    text = _QUANTITY.sub(_quantity, text)
    text = _SECTION.sub(lambda found: " ".join(found[0].split()), _COMMENT.sub("", text))
    text = _ACCENT.sub(_with_accent, text)
    for pattern, said in _RULES:
        text = pattern.sub(said, text)
    for _ in range(4):  # commands in one another
        changed = _WITH_ARGUMENT.sub(r"\1", text)
        if changed == text:
            break
        text = changed
    text = _ALONE.sub(_sign, text)
    text = re.sub(r"\\[,;:!/@]|\\ ", lambda found: " " if found[0] in ("\\ ", "\\;", "\\:") else "", text)
    text = text.replace("~", " ").replace("``", "“").replace("''", "”").replace("---", "—").replace("--", "–")
    return _without_braces(text)


def _quantity(found: re.Match[str]) -> str:
    """A quantity as it reads: "100 µs", "5 to 10 kg"."""
    *numbers, unit = [each for each in found.groups() if each is not None]
    unit = re.sub(r"\\([A-Za-z]+)\s*", lambda name: _UNITS.get(name[1], name[1]), unit)
    return f"{' to '.join(numbers)} {unit}".strip()


def _sign(found: re.Match[str]) -> str:
    """The letter or sign that a command stands for; the blank behind a letter only ends the command."""
    sign = _LETTERS.get(found[1], "")
    return f"{sign} " if sign and not sign.isalpha() and found[0].endswith(" ") else sign


def _with_accent(found: re.Match[str]) -> str:
    return unicodedata.normalize("NFC", (found[2] or found[3]) + _ACCENTS[found[1]])


def _without_braces(text: str) -> str:
    """The text without its braces, but those of headings; signs behind a backslash stay as signs."""
    lines = []
    for line in text.split("\n"):
        if not _HEADING.search(line) and "\\begin" not in line:
            line = re.sub(r"(?<!\\)[{}]", "", line)
        lines.append(re.sub(r"\\([&%$#_{}])", r"\1", line))
    return "\n".join(lines)
