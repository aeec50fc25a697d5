"""XML becomes documents: texts of the kind of a book or a feed by way of HTML, data as lines of `key: value`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import escape, unescape
from pathlib import Path
from typing import Any

from langchain_core.documents import Document

from rag.sources.formats import Job
from rag.sources.html.markup import mark_html
from rag.sources.html.web_page import parse_html
from rag.sources.outline import plain
from rag.sources.plain.encoding import text_of
from rag.sources.plain.json_files import json_lines
from rag.sources.plain.text_files import read_text
from rag.sources.xml_tree import local

DEEPEST = 200
"""Elements in one another; what is deeper is left out."""
_CODE = frozenset(["stylesheet", "transform", "schema", "svg", "html"])
"""Roots of files that are programs, drawings or pages."""
_NAMES_OF_TEXTS = """
FictionBook article book chapter appendix preface section part set TEI TEI.2 teiCorpus topic concept task reference dita
document doc
"""
_TEXTS = frozenset(_NAMES_OF_TEXTS.split())
"""Roots of files that hold a text (FictionBook, DocBook, JATS, TEI, DITA)."""
_NAMES_OF_SECTIONS = """
article book chapter appendix preface part set section sect1 sect2 sect3 sect4 sect5 sec refsect1 refsect2 body front
back div div1 div2 div3 div4 div5 topic concept task reference abstract figure note warning caution tip important
example sidebar poem
"""
_SECTIONS = frozenset(_NAMES_OF_SECTIONS.split())
"""Elements whose title is a heading of what is in them."""
_TITLES = frozenset(["title", "head", "titel", "heading"])
_TAGS = {
    **dict.fromkeys(["itemizedlist", "list", "ul", "simplelist", "variablelist"], "ul"),
    **dict.fromkeys(["orderedlist", "ol", "procedure", "steps"], "ol"),
    **dict.fromkeys(["listitem", "item", "li", "step", "member", "list-item"], "li"),
    **dict.fromkeys(["table", "informaltable"], "table"),
    **dict.fromkeys(["row", "tr", "strow"], "tr"),
    **dict.fromkeys(["entry", "td", "cell", "stentry"], "td"),
    **dict.fromkeys(["programlisting", "screen", "literallayout", "codeblock", "pre", "code-block"], "pre"),
    "th": "th",
    "thead": "thead",
    "tbody": "tbody",
    "caption": "caption",
    "blockquote": "blockquote",
}
_PARAGRAPHS = frozenset(
    ["p", "para", "simpara", "formalpara", "v", "l", "ab", "line", "text-author", "subtitle", "shortdesc"]
)
_LEFT_OUT = frozenset(["binary", "style", "script", "stylesheet", "object-id"])
_ENTITY = re.compile(r"&(?!amp;|lt;|gt;|quot;|apos;)[A-Za-z]{2,10};")
_LONGEST_NAME = 80
"""Characters of the parts of a name or date that are told in one line."""


def read_xml(job: Job) -> Iterator[Document]:
    """An XML file as one document; what is no XML, or a program in XML, as it is."""
    if job.ending == ".plist" and (found := _property_list(job)) is not None:
        yield job.document("\n".join(found), [], job.name)
        return
    root = _root(job)
    if root is None or local(root) in _CODE:
        yield from read_text(job)
    elif html := _html(root):
        text, marks = mark_html(parse_html(html))
        yield job.document(text, marks, _title(root) or job.name)
    else:
        value = _value(root, 0)
        lines = json_lines(json.dumps(value if isinstance(value, dict) else {local(root): value}), ".json")
        if lines:
            yield job.document("\n".join(lines), [], job.name)
        else:  # comments alone
            yield from read_text(job)


def _root(job: Job) -> Any:
    """The root of the tree; None where the file is no XML. Entities of the file's own are not resolved."""
    from lxml import etree

    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True, huge_tree=False
    )
    try:
        return etree.fromstring(Path(job.path).read_bytes(), parser)
    except (etree.XMLSyntaxError, ValueError):
        pass
    try:
        text = re.sub(r"^\s*<\?xml[^>]*\?>|<(binary|data)\b[^<>]*>[^<>]*</\1>", "", text_of(job))
        text = _ENTITY.sub(lambda found: unescape(found[0]), text)  # those of HTML, which XML does not know
        return etree.fromstring(text.encode(), parser)
    except (etree.XMLSyntaxError, ValueError):
        return None


def _property_list(job: Job) -> list[str] | None:
    """The lines of a property list of macOS; None where it is none."""
    import plistlib

    try:
        value = plistlib.loads(Path(job.path).read_bytes())
        return json_lines(json.dumps(value, default=str), ".json")
    except Exception:  # ExpatError, InvalidFileException, ValueError, IndexError: whatever its parser meets
        return None


def _children(item: Any) -> list[Any]:
    return [inner for inner in item if local(inner)]


def _words(item: Any) -> str:
    """All text of an element in one line, with blanks between the elements in it."""
    return " ".join(plain(" ".join(item.itertext())).split())


def _child(item: Any, *names: str) -> Any:
    return next((inner for inner in _children(item) if local(inner) in names), None)


def _title(root: Any) -> str:
    """What a file calls itself; of several notes none speaks for all."""
    if local(root) == "en-export" and len(_children(root)) > 1:
        return ""
    found = next((item for item in root.iter() if local(item) in ("book-title", "article-title", *_TITLES)), None)
    return _words(found) if found is not None else ""


# -- data ------------------------------------------------------------------------------------------------------------


def _value(item: Any, depth: int) -> Any:
    """An element as a value of JSON: its text, or its attributes and children by their names."""
    children = _children(item) if depth < DEEPEST else []
    found: dict[str, Any] = {
        str(key).rpartition("}")[2]: value for key, value in item.attrib.items() if "schemaLocation" not in str(key)
    }
    text = " ".join((item.text or "").split()) if children else _text(item)
    if any((inner.tail or "").strip() for inner in children):
        return _words(item)
    if not children and not found:
        return text

    def add(name: str, *values: Any) -> None:
        """One more value of a name that an attribute, the element itself and its children may share."""
        every = [found[name], *(value for value in values if value != found[name])] if name in found else values
        found[name] = every[0] if len(every) == 1 else list(every)

    if text:
        add(local(item), text)
    lists: dict[str, list[Any]] = {}
    for inner in children:
        lists.setdefault(local(inner), []).append(inner)
    for name, items in lists.items():
        values = [_value(inner, depth + 1) for inner in items]
        if len(values) == 1 and isinstance(values[0], dict) and name in values[0]:
            own = values[0].pop(name)
            add(name, own)
            found |= {f"{name}.{key}": value for key, value in values[0].items()}
        else:
            add(name, *values)
    return found


def _text(item: Any) -> str:
    return plain("".join(item.itertext())).strip()


# -- texts -----------------------------------------------------------------------------------------------------------


def _html(root: Any) -> str:
    """A text, a feed or an outline as HTML; "" for data."""
    name = local(root)
    if name in ("rss", "feed", "RDF"):
        return _feed(root)
    if name == "en-export":
        return "".join(map(_note, root.iter("note")))
    if name == "opml":
        head, body = _child(root, "head"), _child(root, "body")
        title = _child(head, "title") if head is not None else None
        heading = f"<h1>{escape(_words(title))}</h1>" if title is not None else ""
        return heading + _outline(body if body is not None else root, 0)
    mixed = sum(bool((item.tail or "").strip()) for item in root.iter())
    return _block(root, 0, 0) if name in _TEXTS or mixed > 2 else ""


def _feed(root: Any) -> str:
    """A feed: each item below its title, with its date and its text."""
    channel = _child(root, "channel")
    title = _child(channel if channel is not None else root, "title")
    parts = [f"<h1>{escape(_words(title))}</h1>" if title is not None else ""]
    for item in (item for item in root.iter() if local(item) in ("item", "entry")):
        told = {local(inner): inner for inner in reversed(_children(item))}
        parts.append(f"<h2>{escape(_words(told['title']) if 'title' in told else 'Entry')}</h2>")
        for name in ("pubDate", "published", "updated", "date", "creator", "author"):
            if name in told:
                parts.append(f"<p>{escape(name)}: {escape(_words(told[name]))}</p>")
        body = next((told[name] for name in ("encoded", "content", "description", "summary") if name in told), None)
        if body is not None:
            text = _text(body)
            parts.append(text if "<" in text else f"<p>{escape(text)}</p>")
    return "\n".join(parts)


def _note(item: Any) -> str:
    """A note of Evernote: its title, when it was made, its labels, and its text, which is HTML."""
    told = {local(inner): _text(inner) for inner in _children(item) if local(inner) in ("title", "content", "created")}
    made = re.match(r"(\d{4})(\d\d)(\d\d)T", told.get("created", ""))
    tags = ", ".join(_words(inner) for inner in _children(item) if local(inner) == "tag")
    text = re.sub(r"(?s)^.*?(?=<en-note)", "", told.get("content", ""), count=1)
    text = re.sub(r"<en-todo\b([^<>]*)>", lambda found: "☑ " if '"true"' in found[1] else "☐ ", text)
    lines = [f"Created: {'-'.join(made.groups())}" if made else "", f"Tags: {tags}" if tags else ""]
    for task in item.iter("task"):
        lines.append(("☑ " if "completed" in _words(task) else "☐ ") + _title(task))
    shown = "".join(f"<p>{escape(line)}</p>" for line in lines if line)
    return f"<h1>{escape(told.get('title') or 'Note')}</h1>{shown}{text}"


def _outline(item: Any, depth: int) -> str:
    """The items of an outline (OPML) as a list, each with its note and its address."""
    items = []
    for inner in _children(item) if depth < DEEPEST else ():
        address = inner.get("xmlUrl") or inner.get("htmlUrl") or inner.get("url") or ""
        said = [inner.get("text") or inner.get("title") or "", inner.get("_note") or "", address]
        items.append(f"<li>{escape(': '.join(filter(None, said)))}{_outline(inner, depth + 1)}</li>")
    return f"<ul>{''.join(items)}</ul>" if items else ""


def _block(item: Any, level: int, depth: int) -> str:
    """An element of a text as HTML; `level` is that of the headings in it."""
    name, children = local(item), _children(item) if depth < DEEPEST else []
    if name in _LEFT_OUT:
        return ""
    if name in _TITLES:
        return f"<h{min(max(level, 1), 6)}>{escape(_words(item))}</h{min(max(level, 1), 6)}>"
    if name == "pre" or _TAGS.get(name) == "pre":
        return f"<pre>{escape(_text(item))}</pre>"
    if name in _PARAGRAPHS or _is_mixed(item):
        tag = "td" if _TAGS.get(name) == "td" else "li" if _TAGS.get(name) == "li" else "p"
        return f"<{tag}>{_inline(item, level, depth)}</{tag}>"
    if not children:
        text = _words(item)
        if not text:
            return ""
        return f"<{_TAGS[name]}>{escape(text)}</{_TAGS[name]}>" if name in _TAGS else f"<p>{name}: {escape(text)}</p>"
    own = _own_title(item) if name not in _TAGS else ""
    if name not in _SECTIONS and name not in _TAGS and not own and _is_name(item):
        return f"<p>{name}: {escape(_words(item))}</p>"
    below = level + (bool(own) or (name in _SECTIONS and _child(item, *_TITLES) is not None))
    inner = f"<h{min(below, 6)}>{escape(own)}</h{min(below, 6)}>" if own else ""
    inner += "".join(_block(child, below, depth + 1) for child in children)
    tag = _TAGS.get(name, "div")
    return f"<{tag}>{inner}</{tag}>"


def _own_title(item: Any) -> str:
    """What an element is called by its attributes, as `<section name="Use">` or `<release version="2.1">`; else ""."""
    if _child(item, *_TITLES) is not None:
        return ""
    told = [item.get("title") or item.get("name") or "", item.get("version") or "", item.get("date") or ""]
    return " ".join(filter(None, [told[0] or local(item), *told[1:]])) if any(told) else ""


def _is_mixed(item: Any) -> bool:
    """Whether an element has text beside the elements in it."""
    has_tail = any((inner.tail or "").strip() for inner in item)
    return len(item) > 0 and (has_tail or bool((item.text or "").strip()))


def _is_name(item: Any) -> bool:
    """Whether an element has nothing but the parts of a name, a date or the like."""
    children = _children(item)
    plain_ones = not any(len(inner) or local(inner) in (*_PARAGRAPHS, *_TITLES, *_TAGS) for inner in children)
    return plain_ones and len(_words(item)) <= _LONGEST_NAME


def _inline(item: Any, level: int, depth: int) -> str:
    """The text of a paragraph; lists and tables in it stand by themselves."""
    parts = [escape(item.text or "")]
    for inner in _children(item) if depth < DEEPEST else ():
        name = local(inner)
        is_block = name in _TAGS and _TAGS[name] not in ("td", "th", "tr")
        if is_block or name in _PARAGRAPHS:
            parts.append(_block(inner, level, depth + 1))
        elif name not in _LEFT_OUT:
            parts.append(_inline(inner, level, depth + 1))
        parts.append(escape(inner.tail or ""))
    return "".join(parts)
