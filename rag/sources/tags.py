"""What the tags of a page mean: which break lines, which are never text, which are hidden."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bs4 import Tag

_BLOCKS = "address article aside blockquote dd details div dl dt figcaption figure footer form h1 h2 h3 h4 h5 h6 header"
_BLOCKS += " hr li main nav ol p pre section summary table td th tr ul br"
BLOCK_TAGS = frozenset(_BLOCKS.split())
HEADINGS = {f"h{level}": level for level in range(1, 7)}
NOISE_TAGS = frozenset(["script", "style", "template", "noscript", "svg", "iframe", "button", "head", "title"])


def below(tag: Tag) -> Iterator[object]:
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


def is_hidden(tag: Tag) -> bool:
    """Whether the tag itself says that it is not shown."""
    attributes = tag.attrs
    if not attributes:
        return False
    style = re.sub(r"\s", "", str(attributes.get("style", ""))[:2000]).lower()
    return (
        "hidden" in attributes
        or str(attributes.get("aria-hidden", "")).strip().lower() == "true"
        or "display:none" in style
    )


def is_link(tag: Tag) -> bool:
    """Whether the tag is a link to somewhere."""
    return tag.name == "a" and "href" in tag.attrs


def is_permalink(tag: Tag) -> bool:
    """A link from a heading to itself, which shows as a sign and belongs to no text."""
    if tag.name != "a" or "#" not in str(tag.get("href", "")):
        return False
    text = tag.get_text(strip=True).casefold()
    return not any(map(str.isalnum, text)) or text in ("permalink", "link to this heading", "anchor")
