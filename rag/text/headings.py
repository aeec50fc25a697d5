"""The headings that a passage stands below, as its metadata has them: `Lease > 4 Deposit`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langchain_core.documents import Document

_BETWEEN = " > "


def joined(headings: Iterable[str]) -> str:
    """Headings as one line, outermost first."""
    return _BETWEEN.join(headings)


def headings_above(passage: Document) -> tuple[str, ...]:
    """The headings of the section that a passage begins in, outermost first; () where it stands below none."""
    return tuple(filter(None, str(passage.metadata.get("section") or "").split(_BETWEEN)))


def nearest_heading(passage: Document) -> str:
    """The heading right above a passage, "" if there is none."""
    return ("", *headings_above(passage))[-1]


def titled(passage: Document) -> str:
    """The title of a passage's document with its headings: `House rules > Lease > 4 Deposit`."""
    return joined(filter(None, (passage.metadata.get("title"), passage.metadata.get("section"))))
