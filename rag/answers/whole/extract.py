"""The parts of a source, and the sentences that stand for each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores.utils import maximal_marginal_relevance

from rag.answers.tables.answer import told_table
from rag.answers.tables.parsed import find_tables
from rag.grounding.segments import is_question, makes_no_claim, split_segments
from rag.library.index import SearchIndex
from rag.library.revisions import IndexedSource
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


@dataclass(frozen=True)
class Part:
    """Chunks of a source that belong together, in reading order."""

    source: IndexedSource
    heading: str
    chunks: list[Document]


def parts_of(source: IndexedSource, chunks: Sequence[Document], most: int) -> list[Part]:
    """The chunks of a source by section, as deep as there are at most `most`; where there are more, some are joined."""
    paths = [[each for each in str(chunk.metadata.get("section") or "").split(" > ") if each] for chunk in chunks]
    depth = 1
    for deeper in (2, 3):
        if len({tuple(path[:deeper]) for path in paths}) <= most:
            depth = deeper
    found: list[tuple[tuple[str, ...], list[Document]]] = []
    for path, chunk in zip(paths, chunks, strict=True):
        key = tuple(path[:depth])
        if found and found[-1][0] == key:
            found[-1][1].append(chunk)
        else:
            found.append((key, [chunk]))
    size = -(-len(found) // most)
    joined = [found[start : start + size] for start in range(0, len(found), size)]
    return [
        Part(
            source,
            " · ".join(dict.fromkeys(key[-1] for key, _ in group if key)),
            [chunk for _, own in group for chunk in own],
        )
        for group in joined
    ]


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
    """The sentences of a part that are nearest to its middle and differ from each other, in reading order."""
    chunks = await asyncio.to_thread(_nearest_chunks, index, part.chunks)
    found = list(_sentences(chunks, SHORTEST)) or list(_sentences(chunks, 1))
    if not found:
        return []
    await have_vectors(index.embeddings, wanted, [words for words, _, _ in found])
    return await asyncio.to_thread(_most_central, found, index.embeddings, most)


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


def _sentences(chunks: Sequence[Document], shortest: int) -> Iterator[Told]:
    """The sentences of chunks that can stand alone, each text once."""
    seen: set[str] = set()
    for chunk in chunks:
        for start, end in _whole_sentences(chunk.page_content):
            words = " ".join(chunk.page_content[start:end].split())
            is_cut = start == 0 and words[:1].islower()
            if shortest <= len(words) <= LONGEST and words not in seen and not is_cut:
                seen.add(words)
                if not is_question(words) and not makes_no_claim(words):
                    yield words, chunk, (start, end)


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
