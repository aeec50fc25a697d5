"""Lists of a document: the items below a heading, and how many parts of a kind it has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from langchain_core.documents import Document

from rag.answers.tables.words import LONGEST_PHRASE, Phrases, key_of, phrases, spans_of
from rag.answers.whole.naming import PART_WORDS, PARTS, THINGS, has_words, is_same, names_with
from rag.answers.whole.receipt import Writer
from rag.grounding.segments import is_question
from rag.library.records import Record
from rag.sources.outline import OF_DOCUMENTS, is_heading
from rag.text.language import fold, stem, surfaces
from rag.text.markers import MARKER

COUNTS, WHICH = frozenset({"count", "list"}), frozenset({"which"})
"""What words of a question may mean (`rag/questions.yaml`)."""
MOST_ITEMS = 100
LONGEST_ITEM = 300
"""Characters of a line that is an item of a list; a longer one is a paragraph."""
_ITEM = re.compile(rf"[ \t]*{MARKER}[ \t]+(?=\S)")
_CHAPTER = re.compile(r"(?:chapter|kapitel|chapitre|capítulo|capitulo|part|teil|partie|parte)\b|第.{1,4}[章部]", re.I)
_NUMBERED = re.compile(r"([^\W\d_]+)\.? (?:\d+|[IVXLC]+|[A-Z])\b")


Headings = tuple[str, ...]
"""The headings above a place, from the outermost to its own."""


@dataclass(frozen=True)
class Listing:
    """The items of one section: each with its place in the text of a document."""

    record: Record
    number: int
    heading: str
    items: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Section:
    """A part of a document's text, below the headings of its path."""

    path: list[str]
    start: int
    end: int


def sections_of(text: str, metadata: dict[str, Any]) -> list[Section]:
    """The sections of a document, each until the next heading."""
    found = metadata.get("sections") or []
    ends = [*(entry[0] for entry in found[1:]), len(text)][: len(found)]
    return [Section(list(path), start, end) for (start, path, _), end in zip(found, ends, strict=True)]


def find_listing(question: str, records: Sequence[Record]) -> Listing | None:
    """The list that a question asks for: the items below the only heading that has all of its words.

    Every word has to be in the heading, in those above it, in the source's
    title, or be one that asks for a list.
    """
    key = key_of(question)
    spans = spans_of(key)
    asking = [known for language, known in phrases().items() if _asks(spans, language, COUNTS)]
    fitting = []
    for record in records if asking else ():
        for number, (text, metadata) in enumerate(record.documents):
            for section in sections_of(text, metadata):
                if section.path and _names_heading(key, section.path, record.title, asking):
                    items = items_of(text, section.start, section.end, section.path[-1])
                    if len(items) > 1:
                        fitting.append(Listing(record, number, section.path[-1], tuple(items)))
    return fitting[0] if len(fitting) == 1 else None


def sections_named(words: Sequence[str], documents: Sequence[tuple[str, dict[str, Any]]]) -> list[Headings]:
    """The sections whose heading has these words, but for those that only say that a section is meant."""
    bare = [word for word in words if word not in PART_WORDS] or list(words)
    every = dict.fromkeys(tuple(each.path) for text, data in documents for each in sections_of(text, data) if each.path)
    return [path for path in every if has_words(bare, path[-1])]


def is_said(words: Sequence[str], documents: Sequence[tuple[str, dict[str, Any]]]) -> bool:
    """Whether a text has each of these words."""
    said = {stem(word) for text, _ in documents for word in surfaces(text)} if words else set()
    return all(stem(word) in said for word in words)


def _names_heading(key: tuple[str, ...], path: Sequence[str], title: str, asking: Sequence[Phrases]) -> bool:
    """Whether a question has the words of a heading and none that is not accounted for, in a language that asks."""
    heading = {stem(word) for word in key_of(path[-1])}
    around = {stem(word) for name in (*path[:-1], title) for word in key_of(name)}
    for known in asking:
        stems = {stem(word) for word in _left(key, known, {"stop", "count", "list", "table"})}
        little = {stem(word) for word in key_of(path[-1]) if "stop" in known.get((word,), ())}
        if heading - little and heading - little <= stems <= heading | around:
            return True
    return False


def _asks(spans: set[tuple[str, ...]], language: str, kinds: frozenset[str]) -> bool:
    """Whether words have one of these meanings in a language."""
    return not spans.isdisjoint(_phrases_for(language, kinds))


@cache
def _phrases_for(language: str, kinds: frozenset[str]) -> frozenset[tuple[str, ...]]:
    """The phrases of a language with one of these meanings."""
    return frozenset(phrase for phrase, meant in phrases()[language].items() if meant & kinds)


def _left(key: tuple[str, ...], known: Phrases, kinds: set[str]) -> list[str]:
    """The words of a question that are no phrase of these kinds."""
    left: list[str] = []
    at = 0
    while at < len(key):
        for length in range(min(LONGEST_PHRASE, len(key) - at), 0, -1):
            if known.get(key[at : at + length], set()) & kinds:
                at += length
                break
        else:
            left.append(key[at])
            at += 1
    return left


def items_of(text: str, start: int, end: int, heading: str) -> list[tuple[int, int]]:
    """The items in a part of a text: its list's, or all lines below its heading where all are short and no table's."""
    lines = []
    at = start
    for number, line in enumerate(text[start:end].split("\n")):
        if line.strip() and not (number == 0 and heading and is_heading(line, heading)):
            lines.append((at, line))
        at += len(line) + 1
    listed = [(begin, line) for begin, line in lines if _ITEM.match(line)]
    if not listed and heading and all(len(line) <= 80 and " | " not in line for _, line in lines):
        listed = lines
    found = []
    for begin, line in listed:
        sign = _ITEM.match(line)
        if len(line) <= LONGEST_ITEM:
            found.append((begin + (sign.end() if sign else 0), begin + len(line.rstrip())))
    return found


def tell_listing(listing: Listing) -> Writer:
    """The answer: how many items there are, and each with its mark."""
    text, data = listing.record.documents[listing.number]
    start, end = listing.items[0][0], listing.items[-1][1]
    metadata = {key: value for key, value in data.items() if key not in OF_DOCUMENTS}
    metadata |= {"source": listing.record.source, "title": listing.record.title, "section": listing.heading}
    writer = Writer()
    passage = writer.add(Document(text[start:end], metadata={**metadata, "start_index": start}))
    count = len(listing.items)
    writer.say(f"{listing.heading}: {count:,}", passage, (0, end - start))
    writer.gap()
    for begin, stop in listing.items[:MOST_ITEMS]:
        writer.say(" ".join(text[begin:stop].split()), passage, (begin - start, stop - start), lead="- ")
    if count > MOST_ITEMS:
        writer.say(f"… {count - MOST_ITEMS:,}", lead="- ")
    return writer


def parts_asked(question: str) -> list[list[str]]:
    """For each language in which a question counts or lists something: its words that say of what.

    "What are" lists no more than chapters, sections and the like.
    """
    key = key_of(question)
    found: list[list[str]] = []
    spans = spans_of(key)
    for language, known in phrases().items():
        counts = _asks(spans, language, COUNTS)
        if counts or _asks(spans, language, WHICH):
            words = [word for word in _left(key, known, {"stop", "count", "list", "table"}) if word not in THINGS]
            if counts or not PART_WORDS.isdisjoint(words):
                found.append(words)
    return found


def part_of(words: Sequence[str], names: Sequence[str]) -> tuple[str, int]:
    """Which parts of a document with these names are asked for, and how many of the words are its name's.

    The parts are a key of `PARTS`, or the first word of their headings; "" where something else is asked for.
    """
    by_part = [(part, each) for part, called in PARTS.items() for each in called]
    signs = "".join(words) if all(len(word) == 1 for word in words) else ""
    if found := [(part, signs.replace(each, "")) for part, each in by_part if each in signs]:  # 门锁有哪些问题
        part, about = found[0]
        return (part, len(about)) if not about or names_with(list(about), names) else ("", 0)
    rest = [word for word in words if not names_with([word], names)]
    word = rest[0] if len(rest) == 1 else ""
    return next((part for part, each in by_part if word == each), word), len(words) - len(rest)


def tell_parts(record: Record, part: str) -> Writer | None:
    """How many chapters, sections, pages, or sections that are called so ("Article 3") a source has.

    With their headings; None where it has none.
    """
    writer = Writer()
    if part == "word":
        writer.say(f"{record.title}: {sum(len(text.split()) for text, _ in record.documents):,}")
        return writer
    if part == "page":
        pages = [data["page"] for _, data in record.documents if data.get("page")]
        if not pages:
            return None
        writer.say(f"{record.title}: {len(set(pages)):,}")
        return writer
    every: list[tuple[int, Section]] = [
        (number, section)
        for number, (text, data) in enumerate(record.documents)
        for section in sections_of(text, data)
        if section.path
    ]
    found = _called(every, part)
    if not found or (part not in PARTS and len(found) == 1):
        return None
    names = {(number, each.start): each.path for number, each in every}
    writer.say(f"{record.title}: {len(found):,}", *_passage(writer, record, *found[0]))
    writer.gap()
    for number, section in found[:MOST_ITEMS]:
        below = names.get((number, section.end), [])  # "Chapter 1" may have its name on the next line
        is_bare = below[:-1] == section.path and not _text_of(record, number, section)
        told = f"{section.path[-1]}: {below[-1]}" if is_bare else section.path[-1]
        writer.say(told, *_passage(writer, record, number, section), lead="- ")
    return writer


def _called(sections: list[tuple[int, Section]], part: str) -> list[tuple[int, Section]]:
    """Those of the sections, each with its document's number, that are chapters, questions, or whatever `part` says."""
    if part == "section":
        return sections
    if part == "question":
        return [(number, each) for number, each in sections if is_question(each.path[-1])]
    if part != "chapter":
        return [(number, each) for number, each in sections if _is_numbered(each.path[-1], part)]
    own = [(number, each) for number, each in sections if _CHAPTER.match(each.path[-1])]
    if own or not sections:
        return own
    tops = min(len(each.path) for _, each in sections)
    if sum(len(each.path) == tops for _, each in sections) == 1:
        tops += 1  # the only one at the top is the document's title
    return [(number, each) for number, each in sections if len(each.path) == tops]


def _is_numbered(heading: str, word: str) -> bool:
    """Whether a heading begins with a word and a number: "Article 3 – Meetings", "Lesson IV"."""
    found = _NUMBERED.match(heading)
    return bool(found) and is_same(word, fold(found[1]))  # type: ignore[index]


def _text_of(record: Record, number: int, section: Section) -> str:
    """What stands below a heading, until the next one."""
    return record.documents[number][0][section.start : section.end].partition("\n")[2].strip()


def _passage(writer: Writer, record: Record, number: int, section: Section) -> tuple[int, tuple[int, int]]:
    """The line of a heading as a passage, and its place there."""
    text, data = record.documents[number]
    stop = text.find("\n", section.start)
    line = text[section.start : stop if stop >= 0 else len(text)]
    metadata = {key: value for key, value in data.items() if key not in OF_DOCUMENTS}
    metadata |= {"source": record.source, "title": record.title, "start_index": section.start}
    passage = writer.add(Document(line, metadata=metadata, id=f"{record.source} {number} {section.start}"))
    return passage, (0, len(line))
