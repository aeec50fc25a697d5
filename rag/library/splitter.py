"""Documents -> chunks that know where they come from, and that stay as they are where a document stays as it is."""

from __future__ import annotations

import difflib
import hashlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from typing import Any

from langchain_core.documents import Document

from rag.library.records import Record
from rag.settings import Settings
from rag.sources.loader import section_at

MOST_COMPARED = 5_000_000
"""Pairs of lines that are the same in an old and a new text, at most, for the two to be compared: seconds of work."""
LONGEST_HEADING = 200
"""Characters of title and headings that are embedded with a chunk."""


def split_documents(
    record: Record, settings: Settings, old: Record | None, current: Sequence[Document]
) -> list[Document]:
    """The record's chunks, each with `source`, `title`, `start_index`, `section`, `anchor`, `digest`, and `page`.

    `current` are the chunks of `old`, an earlier version that is indexed. Those whose text is in the new version, too,
    stay as they are, and only what is between them is split anew: else one inserted word would move every border after
    it, and all of them would have to be embedded again.
    """
    earlier: dict[Any, tuple[str, list[tuple[int, int]]]] = {}
    for text, data in old.documents if old else ():
        page = data.get("page")
        spans = [
            (int(chunk.metadata["start_index"]), int(chunk.metadata["start_index"]) + len(chunk.page_content))
            for chunk in current
            if chunk.metadata.get("page") == page
        ]
        earlier[page] = (text, sorted(spans))
    chunks: list[Document] = []
    for text, data in record.documents:
        kept = _kept(*earlier.get(data.get("page"), ("", [])), text)
        spans = sorted(kept + [span for gap in _gaps(kept, len(text)) for span in _split(text, gap, data, settings)])
        chunks += [_chunk(text[start:stop], start, data) for start, stop in spans]
    return chunks


def embedded_text(chunk: Document) -> str:
    """What is embedded for a chunk: where it stands, and its text."""
    heading = " > ".join(filter(None, (chunk.metadata.get("title"), chunk.metadata.get("section"))))
    return f"{heading[:LONGEST_HEADING]}\n{chunk.page_content}"


def _chunk(text: str, start: int, data: dict[str, Any]) -> Document:
    section, anchor = section_at(data, start)
    metadata = {key: value for key, value in data.items() if key != "sections"}
    metadata |= (
        {"start_index": start} | ({"section": section} if section else {}) | ({"anchor": anchor} if anchor else {})
    )
    return with_digest(Document(text, metadata=metadata))


def with_digest(chunk: Document) -> Document:
    """The chunk with a digest of what is embedded for it."""
    chunk.metadata["digest"] = hashlib.sha256(embedded_text(chunk).encode()).hexdigest()[:20]
    return chunk


def _kept(old_text: str, spans: list[tuple[int, int]], text: str) -> list[tuple[int, int]]:
    """Where the old chunks that are whole in the new text stand there."""
    if not spans or old_text == text:
        return spans
    same = [(start, stop, move) for start, stop, move in _same_lines(old_text, text) if start < stop]
    begins = [begin for begin, _, _ in same]
    found = []
    for start, stop in spans:
        _, end, move = same[bisect_right(begins, start) - 1] if begins and begins[0] <= start else (0, -1, 0)
        if stop <= end:
            found.append((start + move, stop + move))
    return found


def _same_lines(old_text: str, text: str) -> list[tuple[int, int, int]]:
    """Stretches of lines that both texts have: where each begins and ends in the old one, and how far it moved.

    What both begin and end with is cut off first: comparing takes time with the square of the lines that are alike.
    Where these are very many, nothing more is compared, and what has changed in between is embedded anew.
    """
    old_lines, lines = old_text.splitlines(keepends=True), text.splitlines(keepends=True)
    old_at, at = _starts(old_lines), _starts(lines)
    most = min(len(old_lines), len(lines))
    head = next((number for number in range(most) if old_lines[number] != lines[number]), most)
    most -= head
    tail = next((number for number in range(most) if old_lines[-1 - number] != lines[-1 - number]), most)
    old_end, end = len(old_lines) - tail, len(lines) - tail
    found = [(0, head, 0)]
    before, after = Counter(filter(str.strip, old_lines[head:old_end])), Counter(filter(str.strip, lines[head:end]))
    if sum(count * after[line] for line, count in before.items()) <= MOST_COMPARED:
        blocks = difflib.SequenceMatcher(str.isspace, old_lines[head:old_end], lines[head:end], autojunk=False)
        found += [(head + each.a, head + each.a + each.size, head + each.b) for each in blocks.get_matching_blocks()]
    found.append((old_end, len(old_lines), end))
    return sorted((old_at[start], old_at[stop], at[there] - old_at[start]) for start, stop, there in found)


def _starts(lines: list[str]) -> list[int]:
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    return starts


def _gaps(kept: list[tuple[int, int]], length: int) -> list[tuple[int, int]]:
    """What the kept spans leave uncovered of a text of `length` characters."""
    gaps, covered = [], 0
    for start, stop in kept:
        if start > covered:
            gaps.append((covered, start))
        covered = max(covered, stop)
    return [*gaps, (covered, length)] if covered < length else gaps


def _split(text: str, gap: tuple[int, int], data: dict[str, Any], settings: Settings) -> list[tuple[int, int]]:
    """The spans of chunks in a gap: split at its sections, those in turn at paragraphs, lines, words."""
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    splitter = RecursiveCharacterTextSplitter(
        chunk_size=settings.chunk_size, chunk_overlap=settings.chunk_overlap, add_start_index=True
    )
    borders = [gap[0]]
    for start, _, _ in data.get("sections") or ():
        if borders[-1] + settings.chunk_overlap < start < gap[1]:  # a short section goes with the next one
            borders.append(start)
    spans = []
    for start, stop in zip(borders, [*borders[1:], gap[1]], strict=True):
        for piece in splitter.create_documents([text[start:stop]]):
            begin = start + piece.metadata["start_index"]
            spans.append((begin, begin + len(piece.page_content)))
    return spans
