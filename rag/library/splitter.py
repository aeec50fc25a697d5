"""Documents -> chunks that know where they come from, and that stay as they are where a document stays as it is."""

from __future__ import annotations

import difflib
import hashlib
import os
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from langchain_core.documents import Document

from rag.library.records import Record
from rag.library.revisions import Made
from rag.sources.loader import section_at
from rag.sources.outline import FENCE, OF_DOCUMENTS, is_heading
from rag.sources.tables import SEPARATOR, row_opening
from rag.text.headings import titled
from rag.text.links import without_addresses

MOST_COMPARED = 5_000_000
"""Pairs of lines that are the same in an old and a new text, at most, for the two to be compared: seconds of work."""
LONGEST_HEADING = 200
"""Characters of title and headings that are embedded with a chunk."""
LONGEST_PART = 100_000
"""Characters that are split at a time: the splitter holds a text without blanks as one object for each character."""
_JOINT = "\x01"
"""Stands for a line break at which nothing is split, in a copy of the text."""
_SENTENCE_START = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|(?<= \|) |\n+")
Span = tuple[int, int]


def split_documents(record: Record, made: Made, old: Record | None, current: Sequence[Document]) -> list[Document]:
    """The record's chunks, each with `source`, `title`, `start_index`, `section`, `anchor`, `digest`, and `page`.

    One that begins amid a row of a table has `row`, too: the row's first cells, which tell what it is about. One with
    headings in it has them as `headings`.

    `current` are the chunks of `old`, an earlier version that is indexed. Those whose text is in the new version, too,
    stay as they are, and only what is between them is split anew: else one inserted word would move every border after
    it, and all of them would have to be embedded again.
    """
    earlier: dict[Any, tuple[str, list[Span]]] = {}
    for text, data in old.documents if old else ():
        spans = [
            (int(chunk.metadata["start_index"]), int(chunk.metadata["start_index"]) + len(chunk.page_content))
            for chunk in current
            if place_of(chunk.metadata) == place_of(data)
        ]
        earlier[place_of(data)] = (text, sorted(spans))
    chunks: list[Document] = []
    for text, data in record.documents:
        headings = _headings(text, data)
        kept = _kept(*_version_before(earlier, data), text)
        kept = _beside_text(text, headings, kept)
        gaps = _gaps(kept, len(text))
        spans = sorted(kept + [span for gap in gaps for span in _split(text, gap, headings, data, made)])
        chunks += [_chunk(text, (start, stop), data) for start, stop in spans]
    return chunks


def place_of(data: Mapping[str, Any]) -> tuple[Any, Any]:
    """What tells the documents of a source apart: pages by their number, files of an archive by their title."""
    return data.get("title"), data.get("page")


def _version_before(earlier: Mapping[Any, tuple[str, list[Span]]], data: Mapping[str, Any]) -> tuple[str, list[Span]]:
    """The document that stood in this one's place; the title of a page may have changed."""
    if place_of(data) in earlier:
        return earlier[place_of(data)]
    of_this_page = [version for (_, page), version in earlier.items() if page == data.get("page")]
    return of_this_page[0] if len(of_this_page) == 1 else ("", [])


def embedded_text(chunk: Document) -> str:
    """What is embedded for a chunk: where it stands, and its text without the addresses of links."""
    row = f"{chunk.metadata['row']}{SEPARATOR}" if chunk.metadata.get("row") else ""
    return f"{titled(chunk)[:LONGEST_HEADING]}\n{row}{without_addresses(chunk.page_content)}"


def names_of_source(chunk: Document) -> str:
    """What people may call a chunk's source: its title, and its file's or page's name without the ending."""
    source = str(chunk.metadata.get("source") or "")
    path = unquote(urlsplit(source).path) if "://" in source else source.replace("\\", "/")
    return f"{chunk.metadata.get('title') or ''} {os.path.splitext(path.rstrip('/').rpartition('/')[2])[0]}"


def _chunk(text: str, span: Span, data: dict[str, Any]) -> Document:
    start, stop = span
    section, anchor = section_at(data, start)
    row = row_opening(text, start)
    headings = [path[-1] for begin, path, _ in data.get("sections") or () if start <= begin < stop and path]
    metadata = {key: value for key, value in data.items() if key not in OF_DOCUMENTS}
    metadata |= (
        {"start_index": start}
        | ({"section": section} if section else {})
        | ({"anchor": anchor} if anchor else {})
        | ({"row": row} if row else {})
        | ({"headings": headings} if headings else {})
    )
    return with_digest(Document(text[start:stop], metadata=metadata))


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


def _headings(text: str, data: dict[str, Any]) -> list[Span]:
    """Where the headings and captions of a text stand."""
    found = []
    for start, path, _ in data.get("sections") or ():
        stop = text.find("\n", start)
        stop = len(text) if stop < 0 else stop
        line = text[start:stop]
        if line.strip("# ") and is_heading(line, path[-1] if path else str(data.get("title") or "")):
            found.append((start, stop))
    return found


def _has_text(text: str, span: Span, headings: list[Span]) -> bool:
    """Whether there is more in a span than headings."""
    at = span[0]
    for start, stop in headings[max(0, bisect_right(headings, span) - 1) :]:
        if start >= span[1]:
            break
        if stop > at:
            if text[at : max(at, start)].strip("#= \n\t-"):
                return True
            at = stop
    return bool(text[at : span[1]].strip("#= \n\t-"))


def _beside_text(text: str, headings: list[Span], kept: list[Span]) -> list[Span]:
    """The kept spans, without those of headings alone, and without the one behind a gap of headings alone.

    Those headings are then split anew, together with the text below them.
    """
    kept = [span for span in kept if _has_text(text, span, headings)]
    for gap in _gaps(kept, len(text)):
        if text[gap[0] : gap[1]].strip() and not _has_text(text, gap, headings):
            after = next((span for span in kept if span[0] >= gap[1]), kept[-1] if kept else None)
            if after is not None:
                kept.remove(after)
    return kept


def _split(text: str, gap: Span, headings: list[Span], data: dict[str, Any], made: Made) -> list[Span]:
    """The spans of chunks in a gap: split at its sections, those in turn at paragraphs, lines, cells of rows, words.

    A heading goes with the text below it, and what leads to a list with the list.
    """
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    splitter = RecursiveCharacterTextSplitter(
        chunk_size=made.chunk_size,
        chunk_overlap=made.chunk_overlap,
        add_start_index=True,
        separators=["\n\n", "\n", SEPARATOR, "。", "！", "？", ". ", " ", ""],
        keep_separator="end",
    )
    spans = []
    for start, stop in _parts(text, gap, headings, data, made.chunk_overlap):
        found = []
        for piece in splitter.create_documents([_with_joints(text, (start, stop), headings)]):
            begin = start + piece.metadata["start_index"]
            found.append(_stripped(text, (begin, begin + len(piece.page_content))))
        spans += _with_longer_end(text, [span for span in found if span[0] < span[1]], made.chunk_overlap)
    return spans


def _with_longer_end(text: str, spans: list[Span], overlap: int) -> list[Span]:
    """The spans of a section; a short last one begins with whole sentences or lines of the one before."""
    if len(spans) > 1 and spans[-1][1] - spans[-1][0] < overlap:
        (first, end), (start, stop) = spans[-2:]
        sentence = _SENTENCE_START.search(text, max(first, end - overlap), start)
        if sentence and sentence.end() < start:
            spans[-1] = (sentence.end(), stop)
    return spans


def _parts(text: str, gap: Span, headings: list[Span], data: dict[str, Any], shortest: int) -> list[Span]:
    """The sections of a gap; one that is short, or a heading alone, goes with the next one."""
    borders = [gap[0]]
    for start, _, _ in data.get("sections") or ():
        if borders[-1] + shortest < start < gap[1] and _has_text(text, (borders[-1], start), headings):
            borders.append(start)
    if len(borders) > 1 and not _has_text(text, (borders[-1], gap[1]), headings):
        del borders[-1]
    parts = []
    for start, stop in zip(borders, [*borders[1:], gap[1]], strict=True):
        while stop - start > LONGEST_PART:
            least, most = start + LONGEST_PART // 2, start + LONGEST_PART
            cut = max(
                text.rfind("\n", least, most), text.rfind(" ", least, most) if "\n" not in text[least:most] else -1
            )
            cut = cut + 1 if cut > 0 else most
            parts.append((start, cut))
            start = cut
        parts.append((start, stop))
    return parts


def _with_joints(text: str, span: Span, headings: list[Span]) -> str:
    """A part of a text as the splitter sees it: of the same length, with joints for breaks at which it shall not cut.

    These are the breaks below a heading, blank lines in code, and those after a line that leads to what follows.
    """
    start, stop = span
    part = list(text[start:stop])
    for first, last in headings[max(0, bisect_right(headings, (start, start)) - 1) :]:
        if first >= stop:
            break
        if last > start:
            _join(part, last - start)
    for found in re.finditer(r":[ \t]*(?=\n+\S)", text[start:stop]):
        _join(part, found.end())
    fence, at = "", 0
    for line in text[start:stop].split("\n"):
        edge = FENCE.match(line)
        if edge and not fence:
            fence = edge[1]
        elif edge and edge[1].startswith(fence) and not line[edge.end() :].strip():
            fence = ""
        elif fence and not line and 0 < at < len(part):
            part[at - 1] = _JOINT
        at += len(line) + 1
    return "".join(part)


def _join(part: list[str], at: int) -> None:
    """Put joints for the white space from here on, if something follows it."""
    stop = next((place for place in range(at, len(part)) if not part[place].isspace()), at)
    part[at:stop] = _JOINT * (stop - at)


def _stripped(text: str, span: Span) -> Span:
    start, stop = span
    while start < stop and text[start].isspace():
        start += 1
    while start < stop and text[stop - 1].isspace():
        stop -= 1
    return start, stop
