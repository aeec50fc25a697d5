"""reStructuredText by docutils: its tree, also of what only Sphinx knows; no other file is read for it."""

from __future__ import annotations

import io
import re
from typing import Any, ClassVar, cast

from docutils import nodes
from docutils.core import publish_doctree
from docutils.parsers.rst import Directive, directives, roles
from docutils.parsers.rst.directives import body, images, tables

TOLD = "told"
"""Attribute of a directive's node: what is told before what stands in it, or ""."""
ERROR = 3
"""Level of docutils' messages that have text which is not in its tree: a heading at a wrong place, an uneven table."""
_DIRECTIVE = re.compile(r"\.\.[ \t]+(?:\|[^|\n]+\|[ \t]+)?([\w+.:-]{1,60}?)::(?=\s|$)")
_ROLE = re.compile(r":([a-zA-Z][\w+.:-]*?):`|`:([a-zA-Z][\w+.:-]*?):")
_OWN_DIRECTIVES = re.compile(
    r"attention|caution|danger|error|hint|important|note|tip|warning|admonition|sidebar|topic|line-block"
    r"|epigraph|highlights|pull-quote|compound|container|replace|unicode|date|class|target-notes"
)
"""Directives that docutils itself reads as they are meant."""
_OWN_ROLES = re.compile(r"emphasis|strong|literal|math|subscript|sub|superscript|sup|title-reference|title|t|raw")
_CODE = re.compile(
    r"code|code-block|sourcecode|code-tab|testcode|doctest|parsed-literal|prompt|ipython|productionlist"
    r"|console|code-cell|\w+:(?:example|run)"
)
_GONE = re.compile(
    r"contents|sectnum|toctree|index|currentmodule|module|highlight|testsetup|testcleanup|testoutput|include|raw|meta"
    r"|literalinclude|control|role|default-role|\w+author|autosummary|rst-class|tabularcolumns|header|footer"
)
"""Directives that stand for settings, or for what is in other files."""
_SINCE = {
    "versionadded": "New in version",
    "versionchanged": "Changed in version",
    "versionremoved": "Removed in version",
    "deprecated": "Deprecated since version",
}
_SEE = {"seealso": "See also", "todo": "To do"}
_AROUND = re.compile(r"only|tabs|tab-set|container|grid|hlist|rubric|centered|glossary")
"""Directives whose argument, or that have none, is no name of what stands in them."""
_OBJECT = re.compile(
    r"(?:\w+:)?(?:option|cmdoption|confval|setting|envvar|function|class|method|attribute|data|exception|module|describe"
    r"|object|property|decorator|staticmethod|classmethod|type|macro|member|enum|struct|var|program|http|get|post|put"
    r"|delete|patch|command|directive|role|variable|field)"
)
_NAMES_TEXT = re.compile(
    r"(?:\w+:)?(?:ref|doc|term|numref|any|abbr|abbreviation|guilabel|menuselection|download|dfn|issue|pr|pull"
    r"|user|gh|bug|eq|cite\w*|index|math\w*|emphasis|title|acronym|text)"
)
"""Roles whose text is words and no name of code."""


_FACTS = ("type", "default", "value", "required")
"""Options of a directive that say something of what it describes."""


class _Options(dict[str, Any]):
    """Lets a directive have options that docutils does not know, which would end its reading."""

    def __missing__(self, name: str) -> Any:
        return directives.unchanged


_ANY = _Options(name=directives.unchanged)


class _Sphinx(Directive):
    """A directive that docutils does not know, or reads too strictly: its content, and what is told before it."""

    required_arguments = 0
    optional_arguments = 1
    final_argument_whitespace = True
    has_content = True
    option_spec: ClassVar[dict[str, Any]] = _ANY

    def run(self) -> list[nodes.Node]:
        name = self.name.lower()
        argument = "\n".join(self.arguments)
        is_of_code = name.startswith("auto") and not self.content  # what it names is told elsewhere
        if is_of_code or _GONE.fullmatch(name):
            return []
        if _CODE.fullmatch(name):
            return self._code(name, argument)
        told, text = _SEE.get(name, ""), argument
        if name in _SINCE:
            version, text = [*argument.split(None, 1), "", ""][:2]
            told = f"{_SINCE[name]} {version}"
        elif _OBJECT.fullmatch(name):
            names = ", ".join(map(str.strip, argument.split("\n")))
            told, text = f"`{names}`" if names else "", ""
            facts = [f"{each}: {self.options[each]}" for each in _FACTS if self.options.get(each)]
            told += f" ({', '.join(facts)})" if told and facts else ""
        elif not told and not _AROUND.fullmatch(name) and "`" not in argument:
            told, _, text = argument.partition("\n")
        found = nodes.container()
        found[TOLD] = told
        if text.strip() and name != "only":
            found += self._paragraph(text)
        self.state.nested_parse(self.content, self.content_offset, found)
        return [found]

    def _code(self, name: str, argument: str) -> list[nodes.Node]:
        first, _, above = argument.partition("\n")
        language, _, title = first.partition(" ")
        found: list[nodes.Node] = []
        if title := str(self.options.get("caption") or (title if name == "code-tab" else "")):
            found.append(self._paragraph(f"{title}:"))
        text = "\n".join([*above.split("\n"), *self.content]).strip("\n")
        return [*found, nodes.literal_block(text, text, classes=["code", language])] if text.strip() else found

    def _paragraph(self, text: str) -> nodes.paragraph:
        parts, _ = self.state.inline_text(text, self.lineno)
        return nodes.paragraph(text, "", *parts)


class _ListTable(tables.ListTable):
    option_spec = _Options(tables.ListTable.option_spec)


class _CSVTable(tables.CSVTable):
    option_spec = _Options(tables.CSVTable.option_spec)


class _Table(tables.RSTTable):
    option_spec = _Options(tables.RSTTable.option_spec)


class _Math(body.MathBlock):
    option_spec = _Options(label=directives.unchanged)


class _Image(images.Image):
    option_spec = _Options(alt=directives.unchanged)


class _Figure(images.Figure):
    option_spec = _Options(alt=directives.unchanged)


_LENIENT: dict[str, type[Directive]] = {
    "list-table": _ListTable,
    "flat-table": _ListTable,
    "csv-table": _CSVTable,
    "table": _Table,
    "math": _Math,
    "image": _Image,
    "figure": _Figure,
}


def _role(
    name: str, rawtext: str, text: str, lineno: int, inliner: Any, options: Any = None, content: Any = None
) -> tuple[list[nodes.Node], list[nodes.system_message]]:
    """What a role of Sphinx shows: the words before an address, or a name, of which `~` leaves the last part."""
    text = " ".join(re.sub(r"\\(.)", r"\1", text.replace("\x00", "\\")).split())
    if named := re.fullmatch(r"(.+?)\s*<[^<>]+>", text):
        return [nodes.inline(rawtext, named[1])], []
    shown = text.lstrip("!")
    if shown.startswith("~"):
        shown = shown.strip("~@").rpartition(".")[2]
    if name.lower() in ("pep", "rfc"):
        return [nodes.inline(rawtext, f"{name.upper()} {shown}")], []
    if _NAMES_TEXT.fullmatch(name.lower()):
        is_number = shown.isdigit() and name.lower() in ("issue", "pr", "pull", "gh", "bug")
        return [nodes.inline(rawtext, f"#{shown}" if is_number else shown)], []
    return [nodes.literal(rawtext, shown)], []


def _register(text: str) -> None:
    """Let docutils know each directive and role that is in the text; it would drop what it does not know."""
    for name in {found.lower() for found in _DIRECTIVE.findall(text)}:
        if not _OWN_DIRECTIVES.fullmatch(name):
            directives.register_directive(name, _LENIENT.get(name, _Sphinx))
    for name in {(first or second).lower() for first, second in _ROLE.findall(text)}:
        if not _OWN_ROLES.fullmatch(name):
            roles.register_local_role(name, cast(Any, _role))


def parse_rst(text: str) -> nodes.document:
    """The document tree of reStructuredText, with the nodes of Sphinx's directives; no other file is read.

    Raises:
        Exception: docutils, which is made for well-formed text, has more than one way to fail.
    """
    _register(text)
    settings = {
        "file_insertion_enabled": False,
        "raw_enabled": False,
        "doctitle_xform": False,
        "docinfo_xform": False,
        "sectsubtitle_xform": False,
        "syntax_highlight": "none",
        "line_length_limit": 100_000,
        "report_level": ERROR,
        "halt_level": ERROR + 2,
        "warning_stream": io.StringIO(),
        "_disable_config": True,
    }
    return publish_doctree(text, settings_overrides=settings)
