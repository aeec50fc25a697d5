"""What the tags of a page mean: which break lines, which are never text, which are hidden."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping

from bs4 import Tag
from bs4.element import PageElement

_BLOCKS = "address article aside blockquote dd details div dl dt figcaption figure footer form h1 h2 h3 h4 h5 h6 header"
_BLOCKS += " hr li main nav ol option p pre section summary table td th tr ul br"
BLOCK_TAGS = frozenset(_BLOCKS.split())
HEADINGS = {f"h{level}": level for level in range(1, 7)}
_NOISE = "script style template noscript svg iframe button select datalist head title"
NOISE_TAGS = frozenset(_NOISE.split())


def below(tag: Tag) -> Iterator[PageElement]:
    """What is in a tag, in order. Beautiful Soup's `descendants` looks for the last one first, which takes long."""
    stack = [iter(tag.contents)]
    while stack:
        item = next(stack[-1], None)
        if item is None:
            stack.pop()
            continue
        yield item
        if isinstance(item, Tag):
            stack.append(iter(item.contents))


def is_hidden(attributes: Mapping[str, object]) -> bool:
    """Whether a tag itself says that it is not shown."""
    if not attributes:
        return False
    style = re.sub(r"\s", "", str(attributes.get("style", ""))[:2000]).lower()
    return (
        "hidden" in attributes
        or str(attributes.get("aria-hidden", "")).strip().lower() == "true"
        or "display:none" in style
        or "visibility:hidden" in style
    )


_STRUCK = frozenset(["del", "s", "strike"])


def is_struck(name: str, attributes: Mapping[str, object]) -> bool:
    """Whether a tag strikes its text out: it was deleted, or is no longer so, as an old price."""
    return name in _STRUCK or "line-through" in str(attributes.get("style", ""))[:2000].lower()


def box_of(tag: Tag) -> str:
    """The sign of a box in a list of tasks, ticked or not: GitHub's tag, Notion's, Confluence's or Evernote's item.

    "" for other tags.
    """
    classes = tag.get_attribute_list("class")
    is_ticked = None
    if tag.name == "input" and tag.get("type") == "checkbox":
        in_item = any(parent.name == "li" for parent in itertools.islice(tag.parents, 3))
        is_ticked = "checked" in tag.attrs if in_item else None
    elif "checkbox-on" in classes or "checkbox-off" in classes:
        is_ticked = "checkbox-on" in classes
    elif tag.name == "li" and (set_to := _TASK.search(str(tag.get("style", ""))[:500])):
        is_ticked = set_to[1] == "true"
    elif tag.name == "li" and tag.parent and "inline-task-list" in tag.parent.get_attribute_list("class"):
        is_ticked = "checked" in classes
    return "" if is_ticked is None else "☑ " if is_ticked else "☐ "


_TASK = re.compile(r"-en-checked:\s*(true|false)")
_FEWEST_WORDS, _FEWEST_LETTERS = 5, 10
"""Words of a description that says more than the name of a picture, or letters where words are not parted."""
_LONGEST_DESCRIPTION = 1000
_LINK_NEAR = 4
"""Levels above a picture at which its link may stand."""
_PICTURE_FILE = re.compile(r"(?i)\.(?:png|jpe?g|gif|webp|avif|svg)\b")
_UNPARTED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f]")


def description_of(picture: Tag) -> str:
    """What a picture says that it shows, where that is a phrase and no name; "" also for one that leads elsewhere."""
    text = phrase(str(picture.get("alt") or ""))
    link = next((tag for tag in itertools.islice(picture.parents, _LINK_NEAR) if is_link(tag)), None) if text else None
    return text if link is None or _PICTURE_FILE.search(str(link.get("href"))) else ""


def phrase(text: str) -> str:
    """A description of a picture in one line; "" if it is no more than a name."""
    text = " ".join(text[: _LONGEST_DESCRIPTION + 1].split())
    words = re.findall(r"[^\W\d_]+", text)
    is_phrase = len(words) >= _FEWEST_WORDS or (_UNPARTED.search(text) and sum(map(len, words)) >= _FEWEST_LETTERS)
    return text if is_phrase and len(text) <= _LONGEST_DESCRIPTION and "<" not in text else ""


_CONTROLS = frozenset(["button", "a", "summary", "h2", "h3", "h4", "div", "span", "li"])
_FOLDED_TAGS = frozenset(["div", "section", "dd", "p", "ul", "ol", "article", "td", "tr"])
_PANEL_CLASS = re.compile(r"accordion|collaps|faq|panel|tab-?pane|toggle|expand|answer|fold|disclosure|details", re.I)
_FOLDER_CLASS = re.compile(r"accordion|collaps|faq|question|disclosure", re.I)
"""Classes of a button that folds a part."""
_NO_PANEL = re.compile(
    r"modal|menu|nav|dialog|cookie|consent|popup|offcanvas|dropdown|lightbox|search|share|tooltip", re.I
)


NOTES = frozenset(["note", "footnote", "footnotes", "endnote", "endnotes", "rearnote", "rearnotes"])
NOTES |= frozenset(["doc-footnote", "doc-endnote", "doc-endnotes"])


def roles_of(attributes: Mapping[str, object]) -> set[str]:
    """What books and pages say that a tag is (EPUB 3 Structural Semantics, DPUB-ARIA)."""
    return set(f"{attributes.get('epub:type', '')} {attributes.get('role', '')}"[:200].lower().split())


def is_note_reference(attributes: Mapping[str, object]) -> bool:
    """Whether a tag is the number of a footnote in the text."""
    return bool(attributes) and not roles_of(attributes).isdisjoint(("noteref", "doc-noteref"))


def controlled_ids(soup: Tag) -> frozenset[str]:
    """The ids of the parts that a button or link of the page shows and hides."""
    ids: set[str] = set()
    for item in below(soup):
        if isinstance(item, Tag) and item.attrs and item.name in _CONTROLS:
            for name in ("aria-controls", "data-target", "data-bs-target"):
                ids.update(str(item.get(name) or "").replace("#", " ").split())
    return frozenset(ids)


def is_panel(name: str, attributes: Mapping[str, object], controlled: frozenset[str]) -> bool:
    """Whether a hidden tag is a folded part of the text, which people open with a click.

    It is one if a button controls it or its role or class says so, or it is a footnote of a book; menus, dialogs and
    banners are none.
    """
    if not NOTES.isdisjoint(roles_of(attributes)):
        return True
    classes = attributes.get("class", "")
    role = str(attributes.get("role", "")).lower()
    own = str(attributes.get("id", ""))
    names = " ".join([*(map(str, classes) if isinstance(classes, list) else [str(classes)]), own, role])[:500]
    if name not in _FOLDED_TAGS or _NO_PANEL.search(names):
        return False
    return (
        own in controlled
        or str(attributes.get("hidden", "")).lower() == "until-found"
        or role == "tabpanel"
        or bool(_PANEL_CLASS.search(names))
    )


BUTTON_DEPTH = 4
"""Elements from a button up to the heading that it is in, at most."""


LEAST_UNFOLDED = 20
"""Characters outside links in a part that a button unfolds, as in a list of questions; a menu has links alone."""
MOST_UNFOLDED = 500
"""Tags and texts of such a part that are looked at for them."""


def open_panels(soup: Tag) -> bool:
    """Mark what a click unfolds as text of the page: the part, and the button that names it. Whether there is any.

    It is a hidden part that follows a heading with a button in it, or a part that follows a button or is controlled by
    it. A button that names such a part becomes a paragraph.
    """
    found = False
    buttons = soup.find_all("button")
    wanted = {str(button.get("aria-controls") or "") for button in buttons} - {""}
    named = (part for part in below(soup) if isinstance(part, Tag) and part.get("id") in wanted) if wanted else ()
    parts = {str(part.get("id")): part for part in named}
    for button in buttons:
        above = itertools.islice(button.parents, BUTTON_DEPTH)  # not all: parents and pages can be ten thousand deep
        heading = next((parent for parent in above if parent.name in HEADINGS), None)
        if heading:
            panel = heading.find_next_sibling()
            if isinstance(panel, Tag) and is_hidden(panel.attrs) and not is_panel(panel.name, panel.attrs, frozenset()):
                panel["hidden"] = "until-found"
                found = True
        elif button.parent and not holds_heading(button, button.parent) and _folds(button):
            panel = parts.get(str(button.get("aria-controls") or "")) or button.find_next_sibling()
            if isinstance(panel, Tag) and _is_text_part(panel):
                button.name = "p"
                found = True
                if is_hidden(panel.attrs):
                    panel["hidden"] = "until-found"
    for opener in soup.find_all(["div", "span", "a"], onclick=True):
        panel = opener.find_next_sibling()
        if isinstance(panel, Tag) and is_hidden(panel.attrs) and _is_text_part(panel):
            opener.name = "p"
            panel["hidden"] = "until-found"
            found = True
    return found


def _folds(button: Tag) -> bool:
    """Whether a button says of itself that it folds a part."""
    if {"aria-expanded", "aria-controls"} & button.attrs.keys():
        return True
    return any(_FOLDER_CLASS.search(str(name)[:100]) for name in button.get_attribute_list("class") if name)


def _is_text_part(tag: Tag) -> bool:
    """Whether a tag that a button folds has text that is not in links, and is no menu or dialog."""
    names = " ".join(str(name) for name in (*tag.get_attribute_list("class"), tag.get("id"), tag.get("role")) if name)
    if tag.name not in _FOLDED_TAGS or _NO_PANEL.search(names[:500]):
        return False
    size = 0
    for item in itertools.islice(below(tag), MOST_UNFOLDED):  # parts may be in each other, thousands deep
        is_text = not isinstance(item, Tag) and not any(is_link(each) for each in itertools.islice(item.parents, 3))
        size += len(str(item).strip()) if is_text else 0
        if size >= LEAST_UNFOLDED:
            return True
    return False


def holds_heading(button: Tag, parent: Tag) -> bool:
    """Whether a button is (in) the heading of a part that it folds."""
    if parent.name in (*HEADINGS, "summary", "dt", "legend"):
        return True
    return has_heading(button)


def has_heading(tag: Tag) -> bool:
    """Whether a heading is among the first tags and texts in a tag."""
    return any(isinstance(item, Tag) and item.name in HEADINGS for item in itertools.islice(below(tag), 20))


_LINE_NUMBERS = frozenset(["linenos", "lineno", "linenumber", "linenumbers", "line-number", "line-numbers", "gutter"])
_LINE_NUMBERS |= frozenset(["linenodiv", "lnt", "blob-num", "hljs-ln-numbers"])
_MOST_NUMBERS = 1000
"""Tags and texts that are looked at in what may be the numbers of lines."""
_DIGITS = "0123456789 \n\r\t\f\u00a0"
_CODE_LINES = frozenset(["blob-code", "hljs-ln-code"])


def is_line_number(tag: Tag) -> bool:
    """Whether a tag has the numbers of lines of code alone."""
    if not tag.attrs or not ("data-line-number" in tag.attrs or _has_class(tag, _LINE_NUMBERS)):
        return False
    items = list(itertools.islice(below(tag), _MOST_NUMBERS))
    return len(items) < _MOST_NUMBERS and all(isinstance(item, Tag) or not str(item).strip(_DIGITS) for item in items)


def is_wiki_sign(name: str, classes: Iterable[str]) -> bool:
    """Whether a tag is what MediaWiki puts amid its text: the number of a reference, "[citation needed]", "[edit]"."""
    if name == "sup":
        return not {"reference", "noprint"}.isdisjoint(classes)
    return name == "span" and "mw-editsection" in classes


def is_code(tag: Tag) -> bool:
    """Whether the white space of a tag's text is part of it."""
    return tag.name == "pre" or (bool(tag.attrs) and _has_class(tag, _CODE_LINES))


def _has_class(tag: Tag, names: frozenset[str]) -> bool:
    return not names.isdisjoint(tag.get_attribute_list("class"))


_TITLES = frozenset(["title", "heading", "headline", "header", "question"])
_PARTS_OF_TEXT = frozenset(["div", "section", "article", "li"])
_LONGEST_TITLE = 100
"""Characters of a title that is told by its class."""


def is_title(tag: Tag) -> bool:
    """Whether a tag is by the last word of a class the title of what follows ("card-header"), and no sentence."""
    if tag.name not in ("div", "p", "header", "span") or not tag.attrs or (tag.name == "span" and not _is_line(tag)):
        return False
    names = (re.findall(r"[a-z]+", str(name or "")[-100:].lower()) for name in tag.get_attribute_list("class"))
    if not any(words and words[-1] in _TITLES for words in names):
        return False
    inside = list(itertools.islice(below(tag), 20))
    if len(inside) == 20 or any(isinstance(item, Tag) and item.name in BLOCK_TAGS for item in inside):
        return False
    text = " ".join(tag.get_text().split())
    return 0 < len(text) <= _LONGEST_TITLE and not text.endswith((".", ":", ",", ";", "。"))


def _is_line(tag: Tag) -> bool:
    """Whether a tag that breaks no lines stands alone at the beginning of a part, above a block."""
    before, after = tag.previous_sibling, tag.next_sibling
    while isinstance(before, str) and not before.strip():
        before = before.previous_sibling
    while isinstance(after, str) and not after.strip():
        after = after.next_sibling
    is_above = isinstance(after, Tag) and after.name in BLOCK_TAGS and after.name != "br"
    return before is None and is_above and tag.parent is not None and tag.parent.name in _PARTS_OF_TEXT


_LABELS = ("span", "label", "b", "strong", "a", "time", "ins")


def is_label_beside(tag: Tag) -> bool:
    """Whether a tag may be a label right beside another, with no white space between them."""
    return tag.name in _LABELS and isinstance(tag.previous_sibling, Tag) and tag.previous_sibling.name in _LABELS


def are_two_labels(before: str, after: str) -> bool:
    """Whether a word ends and another begins: a small letter or a sign is followed by a capital or a digit."""
    after = after.lstrip("€$£¥")
    begins = after[:1].isupper() and after[1:2].islower()
    if before[-1:].isdigit():
        return begins
    ends = len(before) > 1 and ((before[-1].islower() and before[-2].isalnum()) or before[-1] in ".:%)")
    return ends and (begins or after[:1].isdigit())


def is_link(tag: Tag) -> bool:
    """Whether the tag is a link to somewhere."""
    return tag.name == "a" and "href" in tag.attrs


def is_all_linked(tag: Tag) -> bool:
    """Whether all of a heading's text is a link to another page."""
    texts = [item for item in itertools.islice(below(tag), 50) if isinstance(item, Tag) and is_link(item)]
    linked = sum(len(item.get_text(strip=True)) for item in texts if not is_permalink(item))
    return linked > 0.8 * len(tag.get_text(strip=True)) > 0 and not str(texts[0].get("href", "")).startswith("#")


def is_permalink(tag: Tag) -> bool:
    """A link from a heading to itself, which shows as a sign and belongs to no text."""
    if tag.name != "a" or "#" not in str(tag.get("href", "")):
        return False
    text = tag.get_text(strip=True).casefold()
    return not any(map(str.isalnum, text)) or text in ("permalink", "link to this heading", "anchor")
