"""Which parts of a page stand beside its text: navigation, banners, consent, what is related, comments."""

from __future__ import annotations

import itertools
import re

from bs4 import Tag

from rag.sources.html.tags import HEADINGS, NOTES, below, has_heading, is_link, roles_of

BESIDE_TAGS = frozenset(["nav", "footer", "aside", "dialog"])
"""Tags for what stands beside a page's text."""
_BESIDE = frozenset(
    re.split(
        " +",
        "newsletter subscribe subscription signup related recommended recommendation recommendations promo promotion "
        "share sharing sharedaddy social addtoany comments comment commentlist respond breadcrumb breadcrumbs sidebar "
        "advert advertisement ads popup popmake modal cookie cookies consent gdpr paywall author byline navbar "
        "navbox navigation pagination pager footer copyright widget widgets outbrain taboola toc nav sidenav topbar "
        "masthead skiplink onetrust cybot cookiebot didomi usercentrics tarteaucitron klaro iubenda "
        "borlabs anzeige werbung",
    )
)
"""Words in the classes and ids of parts that stand beside a page's text."""
_BESIDE_TOGETHER = re.compile(
    r"\b(?:most-read|also-like|screen-reader|sr-only|visually-hidden|lang-switcher|language-switcher|ad-container"
    r"|skip-link|login-form|cc-window|qc-cmp2?)\b"
)
"""Words that say so together in a class."""
_BESIDE_ROLES = frozenset(["navigation", "banner", "contentinfo", "complementary", "search", "dialog", "alertdialog"])
_BESIDE_IDS = frozenset(["header", "bottom", "menu"])
_BARS = frozenset(["div", "header", "ul"])
"""Tags with such an id; that of a heading or a section is what it is about. Asciidoctor's header has the title."""
_LOOKED_AT = 60
"""Tags and texts of a menu that are looked at."""
_MENU = frozenset(["menu"])
_LEAST_LINKED = 0.6
"""Share of a menu's letters that are in links; that of a restaurant has none."""
_COMMENTS = frozenset(["comment", "comments", "commentlist", "commentarea"])
_ASIDES = frozenset(["topic", "admonition", "footnote", "footnotes", "note", "callout", "tip", "warning", "hint"])
"""Classes of an `aside` that belongs to the text, as Sphinx writes it."""
_TEASER = frozenset(["teaser", "teasers", "sponsored", "sponsor"])
_PART_TAGS = frozenset(
    ["div", "section", "ul", "ol", "p", "span", "table", "form", "figure", "dl", "header", *HEADINGS]
)


_CAPTION = frozenset(["caption", "captions", "credit", "credits", "copyright", "bildunterschrift", "photo"])


def is_beside(tag: Tag) -> bool:
    """Whether a tag is by its name, class or id a part beside the text: navigation, banners, what is related."""
    if tag.name == "article":
        return _is_called(tag, _TEASER)
    if tag.name in BESIDE_TAGS:
        return NOTES.isdisjoint(roles_of(tag.attrs)) and not _is_called(tag, _ASIDES)
    if not tag.attrs or tag.name not in _PART_TAGS or _is_section_of_docs(tag):
        return False
    if (
        _is_called(tag, _BESIDE)
        or not _BESIDE_ROLES.isdisjoint(roles_of(tag.attrs))
        or (tag.name in _BARS and tag.get("id") in _BESIDE_IDS and not has_heading(tag))
    ):
        return True
    classes = " ".join(str(name) for name in tag.get_attribute_list("class") if name)[:500].lower()
    is_said = tag.name not in HEADINGS and _BESIDE_TOGETHER.search(classes) is not None
    return is_said or (_is_called(tag, _MENU) and _is_of_links(tag))


_OF_SECTIONS = frozenset(["section", "level1", "level2", "level3", "level4", "level5", "level6"])


def _is_section_of_docs(tag: Tag) -> bool:
    """Whether a tag is a section as Sphinx and pandoc write it: without classes, its id its heading's words."""
    if tag.name not in ("section", "div") or not _OF_SECTIONS.issuperset(filter(None, tag.get_attribute_list("class"))):
        return False
    if tag.name == "div" and "class" not in tag.attrs:
        return False
    heading = next((item for item in itertools.islice(below(tag), 5) if isinstance(item, Tag)), None)
    if heading is None or heading.name not in HEADINGS:
        return False
    words = re.findall(r"[a-z0-9]+", heading.get_text()[:200].lower())
    return bool(words) and re.findall(r"[a-z0-9]+", str(tag.get("id") or "").lower())[: len(words)] == words


def _is_of_links(tag: Tag) -> bool:
    """Whether most of a tag's text is in links."""
    total = linked = 0
    for item in itertools.islice(below(tag), _LOOKED_AT):
        if not isinstance(item, Tag):
            size = len(str(item).strip())
            total += size
            linked += size if any(is_link(each) for each in itertools.islice(item.parents, 3)) else 0
    return linked > _LEAST_LINKED * total


def comments_in(soup: Tag) -> frozenset[int]:
    """The identities of the tags that are by their class or id comments, or hold them."""
    tags = (tag for tag in below(soup) if isinstance(tag, Tag) and tag.attrs and tag.name in _PART_TAGS)
    return frozenset(id(tag) for tag in tags if _is_called(tag, _COMMENTS))


def _is_called(tag: Tag, names: frozenset[str]) -> bool:
    """Whether one of the words of the tag's classes or id is one of `names`; "anchorWithStickyNavbar" is an anchor."""
    for item in [*tag.get_attribute_list("class"), *tag.get_attribute_list("id")]:
        words = re.split(r"[^a-z]+", re.sub(r"([a-z])([A-Z])", r"\1-\2", str(item or "")[:100]).lower())
        if not names.isdisjoint(itertools.takewhile(lambda word: word not in _WITHOUT, words)):
            return True
    return False


def is_caption(tag: Tag) -> bool:
    """Whether a tag is by its class or id the caption of a picture."""
    return tag.name in _PART_TAGS and _is_called(tag, _CAPTION)


_WITHOUT = frozenset(["has", "no", "with", "without"])
