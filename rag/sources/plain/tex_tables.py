"""Tables of LaTeX become lines that name their columns, in the midst of the text."""

from __future__ import annotations

import re

from rag.sources.merged import MOST_COLUMNS, Cell, spread
from rag.sources.plain.markup_tables import captioned
from rag.sources.plain.tex_text import plain_tex, without_preamble
from rag.sources.tables import table_lines

_TABULAR = r"(tabular\*?|tabularx|tabulary|longtable\*?|longtabu|tabu|xltabular|supertabular)"
_SIGN = re.compile(
    rf"\\(begin|end)\{{{_TABULAR}\}}"
    r"|\\(begin|end)\{(table\*?|sidewaystable|wraptable|verbatim|lstlisting)\}"
)
_RULE = re.compile(
    r"\\(?:hline|toprule|midrule|bottomrule|addlinespace)\b(?:\[[^\[\]]*\])?"
    r"|\\(?:pagebreak|newpage|nopagebreak|small|centering)\b"
    r"|\\(?:cline|cmidrule|specialrule|noalign|rowcolor|hhline|label)\b(?:\([^()]*\))?(?:\[[^\[\]]*\])?(?:\{[^{}]*\}){0,3}"
)
_FORMAT = re.compile(
    r"\\(?:textbf|textit|emph|texttt|textsc|textsf|textrm|text|underline|makecell|thead|mathrm|mathbf|shortstack"
    r"|num|mbox|href\{[^{}]*\}|url|footnotesize|bfseries|itshape)\*?(?:\[[^\[\]]*\])?\{([^{}]*)\}"
)
_SWITCH = re.compile(
    r"\\(?:bfseries|itshape|ttfamily|small|footnotesize|scriptsize|centering|raggedright|raggedleft|arraybackslash"
    r"|hfill|quad|qquad|noindent|bf|it|em|tt)\b ?|\\[,;!]"
)
_CELLS = re.compile(r"\\(multicolumn|multirow)\b\s*(?:\[[^\[\]]*\])?\s*\{([^{}]*)\}")


def tex_tables(text: str) -> str:
    """LaTeX as plain text, its tables as lines, but those that are shown as code."""
    text = without_preamble(text)
    if "\\begin{" not in text:
        return plain_tex(text)
    result: list[str] = []
    at = start = 0
    depth = 0
    code = float_end = 0
    caption = ""
    captions: list[str] = []
    for found in _SIGN.finditer(text):
        if found[3] and found[4] in ("verbatim", "lstlisting"):
            code += 1 if found[3] == "begin" else -code
        elif code:
            continue
        elif found[3] == "begin":
            close = text.find(f"\\end{{{found[4]}}}", found.end())
            float_end = close if close > 0 else 0
            caption = _caption(text[found.end() : float_end])
        elif found[1] == "begin":
            if not depth:
                start = found.start()
                result.append(plain_tex(text[at:start]))
            depth += 1
            at = start if depth == 1 else at
        elif found[1] == "end" and depth:
            depth -= 1
            if not depth:
                body = text[start : found.end()]
                named = caption if found.start() < float_end else _caption(body)
                lines = captioned(_lines(body), named)
                captions += [named] if named else []
                result.append("\n".join(["", *lines, ""]) if lines else body)
                at = found.end()
    told = "".join([*result, plain_tex(text[at:])])
    for caption in captions:  # it stands above the table's lines already
        told = told.replace(f"\n{caption}\n", "\n", 1)
    return told


def _caption(body: str) -> str:
    found = re.search(r"\\caption\*?(?:\[[^\[\]]*\])?\{", body)
    return _cell(_group(body, found.end() - 1)[0]) if found else ""


def _group(text: str, at: int) -> tuple[str, int]:
    """What stands in the braces that open here, and the place after them."""
    depth = 0
    for found in re.compile(r"\\.|[{}]", re.DOTALL).finditer(text, at):
        depth += {"{": 1, "}": -1}.get(found[0], 0)
        if not depth:
            return text[at + 1 : found.start()], found.end()
    return text[at + 1 :], len(text)


def _lines(table: str) -> list[str]:
    """The rows of a table, given with what begins and ends it."""
    name = re.match(r"\\begin\{([^{}]*)\}", table)
    assert name
    at = name.end()
    wide = name[1] in ("tabular*", "tabularx", "tabulary", "xltabular")
    for _ in range(2 if wide else 1):
        while option := re.compile(r"\s*\[[^\[\]]*\]").match(table, at):
            at = option.end()
        brace = re.compile(r"\s*\{").match(table, at)
        at = _group(table, brace.end() - 1)[1] if brace else at
    body = re.sub(r"(?<!\\)%[^\n]*\n?", "", table[at : table.rindex("\\end{")])
    body = _without_inner(body)
    if found := re.search(r"\\caption\*?(?:\[[^\[\]]*\])?\{", body):
        body = body[: found.start()] + re.sub(r"^\s*\\\\", "", body[_group(body, found.end() - 1)[1] :])
    if (first := body.find("\\endfirsthead")) >= 0 and (again := body.find("\\endhead", first)) >= 0:
        body = body[:first] + "\\midrule" + body[again + len("\\endhead") :]
    else:
        body = body.replace("\\endhead", "\\midrule")
    for foot in ("\\endfoot", "\\endlastfoot"):
        if foot in body:
            head, _, rest = body.partition(foot)
            body = head[: head.rfind("\\midrule") + len("\\midrule")] + rest if "\\midrule" in head else head + rest
    head, ruled, _ = body.partition("\\midrule")
    header = len(_rows(head)) if ruled else None
    return table_lines(spread(_rows(body)), header=header)


def _without_inner(body: str) -> str:
    """Tables within cells, mostly made to break a line, as text in one line."""
    inner = re.compile(
        rf"\\begin\{{{_TABULAR}\}}(?:\[[^\[\]]*\])?\{{(?:[^{{}}]|\{{[^{{}}]*\}})*\}}((?:(?!\\begin\{{)[^&]){{0,5000}}?)\\end\{{\1\}}"
    )
    for _ in range(3):
        body = inner.sub(lambda found: re.sub(r"\\\\", " ", found[2]), body)
    return body


def _rows(body: str) -> list[list[Cell]]:
    rows: list[list[Cell]] = []
    for line in _split(_RULE.sub("", body), r"\\\\(?:\*|\[[^\[\]]*\])*|\\tabularnewline\b|\\cr\b"):
        if not line.strip():
            continue
        row: list[Cell] = []
        for text in _split(line, "&"):
            wide = high = 1
            while found := _CELLS.match(text.strip()):
                text = text.strip()
                count = abs(int(found[2])) if re.fullmatch(r"-?\d{1,3}", found[2].strip()) else 1
                wide, high = (count, high) if found[1] == "multicolumn" else (wide, count)
                after = re.compile(r"\s*(?:\[[^\[\]]*\])?\s*(?=\{)").match(text, found.end())
                middle = _group(text, after.end())[1] if after else found.end()
                after = re.compile(r"\s*(?:\[[^\[\]]*\])?\s*(?=\{)").match(text, middle)
                text = _group(text, after.end())[0] if after else ""
            row.append((_cell(text), min(wide, MOST_COLUMNS), high))
        rows.append(row)
    return _without_covered(rows)


def _without_covered(rows: list[list[Cell]]) -> list[list[Cell]]:
    """LaTeX has an empty cell in each place below one that covers several rows; `spread` wants none."""
    covered: dict[int, int] = {}
    result = []
    for row in rows:
        column, kept = 0, []
        covering = {at: left - 1 for at, left in covered.items() if left > 1}
        for text, wide, high in row:
            if text or not covered.get(column):
                kept.append((text, wide, high))
                covering.update({at: high - 1 for at in range(column, column + wide) if high > 1})
            column += wide
        covered = covering
        result.append(kept)
    return result


def _split(text: str, pattern: str) -> list[str]:
    """The parts between separators that are outside of braces."""
    parts: list[str] = []
    depth = at = 0
    for found in re.compile(rf"(?P<separator>{pattern})|\\.|[{{}}]", re.DOTALL).finditer(text):
        if found["separator"] is None:
            depth += {"{": 1, "}": -1}.get(found[0], 0)
        elif depth <= 0:
            parts.append(text[at : found.start()])
            at = found.end()
    return [*parts, text[at:]]


def _cell(text: str) -> str:
    text = _SWITCH.sub("", text)
    for _ in range(4):
        text = _FORMAT.sub(r"\1", text)
    text = re.sub(r"(?<!\\)~", " ", text)
    text = re.sub(r"\\\\", " ", text)
    return re.sub(r"\\([%&#$_{}])", r"\1", text).strip().removeprefix("{").removesuffix("}").strip()
