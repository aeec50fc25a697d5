"""HTML becomes a tree, and a web page a document."""

from __future__ import annotations

import email.policy
import itertools
import re
import warnings
from collections.abc import Iterator
from email.parser import BytesParser
from pathlib import Path

from bs4 import BeautifulSoup
from langchain_core.documents import Document

from rag.sources.formats import Job, Unreadable
from rag.sources.html.drawn_page import embedded_text, is_drawn
from rag.sources.html.formulas import may_have_formulas, write_formulas
from rag.sources.html.main_text import mark_page
from rag.sources.html.page_facts import mark_facts
from rag.sources.html.tags import open_panels
from rag.sources.outline import EDGE, LONGEST_HEADING, one_line, without_permalink
from rag.sources.plain.encoding import decode_noted, text_of

LEAST_DRAWN = 100
"""Characters below which the text of a page that a script draws is only "Loading" or the like."""
_BOOKMARKS = re.compile(r"(?i)\s*<!DOCTYPE NETSCAPE-Bookmark-file")
MOST_UNCLOSED = 100
"""Comments or tags at a page's end that nothing closes and the parser still reads."""


def read_page(job: Job) -> Iterator[Document]:
    """The main text of a web page as one document.

    Raises:
        Unreadable: a script draws the page in the browser, and no text is in its data.
    """
    html = _html_in_archive(job) if job.ending in (".mht", ".mhtml") else text_of(job, html=True)
    html = _with_open_scripts(html)
    soup = parse_html(html)
    is_changed = _with_addresses(soup) if _BOOKMARKS.match(html) else open_panels(soup)
    if is_changed or may_have_formulas(html):  # the main text is found with what was changed in the tree
        html = str(soup)
    title = title_of_page(soup)
    text, marks = mark_page(soup, html)
    drawn = is_drawn(soup)
    data = embedded_text(soup) if drawn else ""
    if len(data) > len(text):
        document = job.document(data, [], title)
        document.metadata["notes"] = ["read from the data in the page's scripts, which draw it in the browser"]
        yield document
    elif drawn and len(text) < LEAST_DRAWN:
        raise Unreadable("there is no text in it: a script draws the page in the browser; save it there as a file")
    else:
        more, more_marks = mark_facts(soup, text)
        yield job.document(text + EDGE + more, marks + more_marks, title)


def _with_addresses(soup: BeautifulSoup) -> bool:
    """Put the address behind each bookmark that a browser exported. Whether there is any."""
    links = [link for link in soup.find_all("a") if str(link.get("href", "")).startswith("http")]
    for link in links:
        link.append(f" ({link['href']})")
    return bool(links)


def _with_open_scripts(html: str) -> str:
    """A page whose scripts and styles are open where their tag closes itself, but has text and an end: as in browsers.

    The parsers would take that text for the page's own.
    """
    parts, at = [], 0
    for one, two in itertools.pairwise(re.finditer(r"(?i)<(/?)(?:script|style)\b[^<>]*>", html)):
        if not one[1] and two[1] and one[0].endswith("/>"):
            parts += [html[at : one.end() - 2], ">"]
            at = one.end()
    return "".join([*parts, html[at:]])


def title_of_page(soup: BeautifulSoup) -> str:
    """What the page calls itself: `<title>`, but not one of a drawing, else its first heading."""
    for name in ("title", "h1"):
        for tag in soup.find_all(name, limit=50):
            if not any(parent.name == "svg" for parent in itertools.islice(tag.parents, 50)) and (
                title := one_line(tag.get_text(" "))
            ):
                return without_permalink(title)[:LONGEST_HEADING].strip()
    return ""


def _html_in_archive(job: Job) -> str:
    """The page in a file that a browser saved with all that belongs to it (MHTML, RFC 2557).

    Raises:
        Unreadable: there is no page in it.
    """
    message = BytesParser(policy=email.policy.default).parsebytes(Path(job.path).read_bytes())
    for part in message.walk():
        data = part.get_payload(decode=True) if part.get_content_type() == "text/html" else None
        if isinstance(data, bytes):
            html, note = decode_noted(data, str(part.get_content_charset() or ""), html=True)
            job.notes.extend([note] if note else [])
            return html
    raise Unreadable("there is no page in it")


def parse_html(html: str) -> BeautifulSoup:
    """The tree of a page."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Beautiful Soup warns about pages that look like XML or like a path
        soup = BeautifulSoup(_without_unclosed(html), "html.parser")
    write_formulas(soup)
    return soup


def _without_unclosed(html: str) -> str:
    """A page without the many comments and tags at its end that nothing closes.

    Python's parser searches the rest of the page at each of them: 30 kB of `<a ` took ten seconds. The first such
    comment ends the page, as in browsers (WHATWG HTML, 13.2.5.45); such tags become text.
    """
    closed = max(html.rfind("-->"), html.rfind("--!>"), 0)
    if html.count("<!--", closed) > MOST_UNCLOSED:
        html = html[: html.index("<!--", closed)]
    end = html.rfind(">") + 1
    if html.count("<", end) > MOST_UNCLOSED:
        html = html[:end] + html[end:].replace("<", "&lt;")
    return html
