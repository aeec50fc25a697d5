"""The parts of a source, and the sentences that stand for each of them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores.utils import maximal_marginal_relevance

from rag.answers.tables.answer import told_table
from rag.answers.tables.parsed import find_tables
from rag.answers.whole.listing import Headings, Section, items_of, sections_of
from rag.grounding.segments import is_question, makes_no_claim, split_segments
from rag.library.index import SearchIndex
from rag.library.records import Record
from rag.library.revisions import IndexedSource
from rag.library.splitter import place_of
from rag.sources.outline import is_heading
from rag.sources.tables import SEPARATOR
from rag.text.headings import headings_above
from rag.text.vectors import at_length_one, have_vectors, sentence_vectors

NEAREST_CHUNKS = 4
"""Chunks of a part whose sentences are compared: those nearest to the middle of all its chunks."""
LONGEST, SHORTEST = 400, 40
"""Characters of a sentence that an extract may have; where a part has none, shorter lines are taken."""
SHORTEST_BROKEN = 60
"""Characters of a line that a sentence goes on from in the next one, at least; shorter ones are items of a list."""
VARIETY = 0.7
"""Of maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998): 1 looks at nearness alone, 0 at variety."""

Told = tuple[str, Document, tuple[int, int]]
"""A sentence of an extract, the chunk that it is from, and where it is in there."""


Span = tuple[Document, int, int]
"""What a chunk has of a section: from where to where in the chunk."""
_LABELLED = re.compile(r"[*_]*[^\W\d_][\w '-]{0,24}:[*_]* .*[^.!?]")
"""A line of what a document says of itself, as minutes begin with: "Date: 7 October"."""


@dataclass(frozen=True)
class Part:
    """What belongs together of a source, in reading order."""

    source: IndexedSource
    heading: str
    spans: list[Span]
    is_alone: bool = True
    """Whether the source has no other part."""

    @property
    def chunks(self) -> list[Document]:
        """The chunks that it is in, each once."""
        return list({chunk.id: chunk for chunk, _, _ in self.spans}.values())


def parts_of(
    source: IndexedSource, record: Record | None, chunks: Sequence[Document], most: int, within: Headings = ()
) -> list[Part]:
    """The text of a source by section, as deep as there are at most `most`; where there are more, some are joined.

    `record` has the sections, of which a chunk may have several. `within` leaves only what is below these headings.
    """
    by_place: dict[Any, list[Section]] = {}
    for text, data in record.documents if record else ():
        by_place.setdefault(place_of(data), []).extend(sections_of(text, data))
    found = [
        (path, span)
        for chunk in chunks
        for path, span in _sections_in(chunk, by_place.get(place_of(chunk.metadata), []))
        if path[: len(within)] == within
    ]
    depth = 1
    for deeper in (2, 3):
        if len({path[:deeper] for path, _ in found}) <= most:
            depth = deeper
    together: dict[Headings, list[Span]] = {}
    for path, span in found:
        together.setdefault(path[:depth], []).append(span)
    size = -(-len(together) // most)
    grouped = list(together.items())
    return [
        Part(
            source,
            " · ".join(dict.fromkeys(path[-1] for path, _ in group if path)),
            [span for _, spans in group for span in spans],
            len(together) == 1,
        )
        for group in (grouped[start : start + size] for start in range(0, len(grouped), size))
    ]


def _sections_in(chunk: Document, sections: Sequence[Section]) -> list[tuple[Headings, Span]]:
    """The sections that a chunk has text of, beside their headings; else all of it, in the section it begins in."""
    begin, long = int(chunk.metadata.get("start_index", 0)), len(chunk.page_content)
    found: list[tuple[Headings, Span]] = []
    for section in sections:
        start, end = max(0, section.start - begin), min(long, section.end - begin)
        own = chunk.page_content[start:end].strip() if start < end else ""
        if own and not (section.path and "\n" not in own and is_heading(own, section.path[-1])):
            found.append((tuple(section.path), (chunk, start, end)))
    return found or [(headings_above(chunk), (chunk, 0, long))]


def told_rows(index: SearchIndex, part: Part) -> list[Told]:
    """What the tables of a sheet hold: a row does not stand for the others."""
    record = index.records.read(part.source.source) if part.source.kind == "sheet" else None
    tables = find_tables(part.source.source, part.source.title, record.documents) if record else []
    here = {chunk.metadata.get("section", "") for chunk in part.chunks}
    return [
        (told_table(table), part.chunks[0], (0, len(part.chunks[0].page_content)))
        for table in tables
        if table.section in here
    ]


async def standing_for(index: SearchIndex, part: Part, most: int, wanted: str) -> list[Told]:
    """The sentences of a part that are nearest to its middle and differ from each other, in reading order.

    A list of short items stands for itself, and nothing for a title above all sections.
    """
    nearest = {chunk.id for chunk in await asyncio.to_thread(_nearest_chunks, index, part.chunks)}
    spans = [span for span in part.spans if span[0].id in nearest]
    found = [*_sentences(spans, SHORTEST), *_short_lists(spans)]
    found = [each for each in found if SEPARATOR not in each[0]] or found  # a row stands for itself alone
    said = [each for each in found if not _LABELLED.fullmatch(each[0])]
    found = said if said or not (part.heading or part.is_alone) else found  # nor does "Place: the old hall"
    if not found and (part.heading or part.is_alone):
        found = list(_sentences(spans, 1))
    return await most_central(index.embeddings, found, most, wanted)


async def most_central(embeddings: Embeddings, found: list[Told], most: int, wanted: str) -> list[Told]:
    """The `most` of these sentences that are nearest to the middle of all and differ from each other, in order."""
    if len(found) <= most:
        return found
    await have_vectors(embeddings, wanted, [words for words, _, _ in found])
    return await asyncio.to_thread(_most_central, found, embeddings, most)


def _nearest_chunks(index: SearchIndex, chunks: list[Document]) -> list[Document]:
    """The chunks whose stored vectors are nearest to the middle of all, in reading order."""
    digests = [str(chunk.metadata["digest"]) for chunk in chunks]
    vectors = index.records.revisions.vectors(index.model, digests)
    there = [number for number, digest in enumerate(digests) if digest in vectors]
    if len(there) <= NEAREST_CHUNKS:
        return chunks[:NEAREST_CHUNKS]
    rows = at_length_one(np.stack([vectors[digests[number]] for number in there]))
    nearness = rows @ at_length_one(rows.mean(axis=0))
    return [chunks[there[place]] for place in sorted(np.argsort(-nearness)[:NEAREST_CHUNKS])]


def _sentences(spans: Sequence[Span], shortest: int) -> Iterator[Told]:
    """The sentences that can stand alone, each text once."""
    seen: set[str] = set()
    for chunk, first, last in spans:
        for begin, stop in _whole_sentences(chunk.page_content[first:last]):
            start, end = first + begin, first + stop
            words = " ".join(chunk.page_content[start:end].split())
            is_cut = start == 0 and words[:1].islower()
            if shortest <= len(words) <= LONGEST and words not in seen and not is_cut:
                seen.add(words)
                if not is_question(words) and not makes_no_claim(words):
                    yield words, chunk, (start, end)


def _short_lists(spans: Sequence[Span]) -> Iterator[Told]:
    """Lists whose items are too short to stand alone: their items side by side."""
    for chunk, first, last in spans:
        items = items_of(chunk.page_content, first, last, "")
        told = ""
        end = 0
        for begin, stop in items:
            item = " ".join(chunk.page_content[begin:stop].split()).rstrip(".;,")
            if len(item) >= SHORTEST or len(told) + len(item) > LONGEST:
                break
            told, end = f"{told}; {item}" if told else item, stop
        if len(items) > 1 and end == items[-1][1]:
            yield told, chunk, (items[0][0], end)


def _whole_sentences(text: str) -> Iterator[tuple[int, int]]:
    """Where sentences are; one that goes over the end of a line is one, as in a text that is broken into lines."""
    begin: int | None = None
    segments = [each for each in split_segments(text) if each.kind != "rule"]
    for segment, following in zip(segments, [*segments[1:], None], strict=True):
        if segment.kind == "heading":
            begin = None
            continue
        start = segment.start if begin is None else begin
        ends = text[segment.start : segment.end].rstrip(" *_").endswith((".", "!", "?", "。", "！", "？", ":"))
        wraps = following is not None and not following.kind and text[segment.end : following.start] == "\n"
        line = text[text.rfind("\n", 0, segment.end) + 1 : segment.end]
        if wraps and not ends and len(line) >= SHORTEST_BROKEN and " | " not in line:
            begin = start
        else:
            begin = None
            yield start, segment.end


def _most_central(found: list[Told], embeddings: Embeddings, most: int) -> list[Told]:
    vectors = sentence_vectors(embeddings, [words for words, _, _ in found])
    chosen = maximal_marginal_relevance(vectors.mean(axis=0), list(vectors), lambda_mult=VARIETY, k=most)
    return [found[place] for place in sorted(chosen)]
