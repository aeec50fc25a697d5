"""The questions that no passage answers: of whole documents, rows, lists, the library; each goes its own way.

    read_intent (words, nearness) -> summary, library_facts
    read_question (tables) -> table_answer;  find_listing -> listing;  read_sides -> comparison

What is asked has to be certain. All else is answered from passages, if `Refusal` finds that they do.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from langchain_core.documents import Document

from rag.answers.chain import Course, retrieve
from rag.answers.parts import LEANING
from rag.answers.retriever import Retriever
from rag.answers.tables.answer import answer_query
from rag.answers.tables.parsed import Table, find_tables
from rag.answers.tables.query import Query
from rag.answers.tables.question import (
    asks_for_somebody,
    asks_to_compute,
    may_ask_of_tables,
    read_question,
)
from rag.answers.tables.words import key_of, tokenize_question
from rag.answers.verdict.refusal import Refusal
from rag.answers.whole.comparison import Comparison, has_both, of_side, read_sides
from rag.answers.whole.intent import Intent, Nearness, is_greeting, read_intent
from rag.answers.whole.library_facts import tell_library, tell_mentions, told_of
from rag.answers.whole.listing import (
    Headings,
    find_listing,
    is_said,
    part_of,
    parts_asked,
    sections_named,
    tell_listing,
    tell_parts,
)
from rag.answers.whole.naming import PARTS, has_words, names_with, without_things
from rag.answers.whole.receipt import Writer, at_once, read_of
from rag.answers.whole.summary import Summary
from rag.errors import engine_error
from rag.library.index import SearchIndex
from rag.library.revisions import IndexedSource
from rag.sources.tables import SEPARATOR
from rag.text.amounts import counted

MOST_MENTIONS = 10_000
"""Passages with a word that are counted, at most."""
_OF_IT = frozenset(
    {"it", "its", "they", "them", "their", "this", "these", "those", "es", "sie", "ihr", "ihre", "deren", "il", "elle"}
    | {"ils", "elles", "leur", "ellos", "su"}
)
"""Words of a follow-up that stand for what was spoken of."""
LOOKED_AT = 24
"""Sources whose tables and lists are looked at for a question, and whose tables stay in memory, at most."""


class Whole:
    """Picks the way to answer each question of one index: table, list, summary, comparison, else the passages found.

    For any thread.
    """

    def __init__(self, index: SearchIndex, retriever: Retriever, refusal: Refusal | None) -> None:
        """`refusal` decides where passages are the way; without it, they always answer."""
        self._index, self._retriever, self._refusal = index, retriever, refusal
        self._nearness = Nearness(index.embeddings, index.engine, index.weights, index.folder)
        self._tables_of = lru_cache(LOOKED_AT)(self._read_tables)

    async def __call__(self, given: dict[str, Any]) -> Course:
        """The way to answer a question. Takes and raises what `Refusal` does."""
        question, complete = " ".join(given["question"].split()), given["complete"]
        scope = given.get("scope")
        looked = [item for item in self._index.sources if not scope or item.source in scope]
        is_other = complete != question and LEANING not in complete  # and not the question before it with its own
        if looked and not is_greeting(question):
            intent = read_intent(question, [name for item in looked for name in names_of(item)])
            course = (
                self._listed(intent, looked)
                or await self._counted(question, given, _of_it(question, given, looked))
                or (await self._counted(complete, given, looked) if is_other else None)
                or await self._by_intent(question, intent, looked, is_follow_up=complete != question)
                or await self._compared(question, given, looked)
            )
            if course is not None:
                return course
        course = await self._refusal(given) if self._refusal else Course(given["passages"])
        return replace(course, uncounted=bool(looked) and asks_to_compute(question))

    def prepare(self) -> None:
        """Embed now what every question is compared with.

        Raises:
            EngineError: the embedding model failed; the first question that needs it tries again.
        """
        try:
            self._nearness.prepare()
        except Exception as error:
            raise engine_error(error, *self._index.engine) from error
        if self._refusal:
            self._refusal.prepare()

    # -- the library, and whole documents --------------------------------------------------------------------------

    def _listed(self, intent: Intent | None, looked: Sequence[IndexedSource]) -> Course | None:
        """The list of sources, which no table is asked for."""
        if intent is None or intent.aim != "library" or intent.named or intent.ask in ("count", "mention"):
            return None
        return _course(tell_library(looked, intent.ask, intent.language), told_of(looked))

    async def _by_intent(
        self, question: str, intent: Intent | None, looked: Sequence[IndexedSource], *, is_follow_up: bool
    ) -> Course | None:
        """The summary or the list of sources that all words of a question ask for, or that it is near to."""
        intent = intent or await self._nearness.intent(question)
        if intent is None or (is_follow_up and not intent.sure):
            return None
        named = [item for item in looked if set(names_of(item)) & set(intent.named)] or list(looked)
        if intent.ask == "mention":
            many = await asyncio.to_thread(self._mentions, intent.left, looked)
            typed = [token.text for token in tokenize_question(question) if token.folded in intent.left]
            told = tell_mentions(typed, many, len(looked), intent.language)
            return _course(told, told_of(looked)) if many else None
        if intent.aim == "library":
            return _course(tell_library(named, intent.ask, intent.language), told_of(named))
        section: Headings = ()
        if intent.left:
            meant = await asyncio.to_thread(self._meant, intent.left, named, is_named=bool(intent.named))
            if meant is None:
                return None
            named, section = [meant[0]], meant[1]
        return Course([], answer=Summary(self._index, named, question, section).pieces)

    def _mentions(self, words: Sequence[str], looked: Sequence[IndexedSource]) -> list[tuple[IndexedSource, int]]:
        """The sources that have each of these words, and in how many passages; those with most first."""
        found = [
            Counter(row.rpartition("-")[0] for row, _ in self._index.words.search(word, MOST_MENTIONS))
            for word in words
        ]
        many = [(item, min(each[item.revision] for each in found)) for item in looked]
        return sorted((each for each in many if each[1]), key=lambda each: -each[1])

    def _meant(
        self, words: Sequence[str], looked: Sequence[IndexedSource], *, is_named: bool
    ) -> tuple[IndexedSource, Headings] | None:
        """What is to be summarised: the only section whose heading has these words, else the only source that they fit.

        They fit a source whose name has one of them, or that is named beside them, and whose text has the others.
        """
        sections: list[tuple[IndexedSource, Headings]] = []
        sources: list[IndexedSource] = []
        for item in looked[:LOOKED_AT]:
            record = self._index.records.read(item.source)
            documents = record.documents if record else []
            names = " ".join(names_of(item))
            others = [word for word in words if not has_words([word], names)]
            sections += [(item, path) for path in sections_named(others or words, documents)]
            if (is_named or len(others) < len(words)) and is_said(others, documents):
                sources.append(item)
        if len(sections) == 1:
            return sections[0]
        return (sources[0], ()) if len(sources) == 1 else None

    # -- rows and lists --------------------------------------------------------------------------------------------

    async def _counted(self, question: str, given: dict[str, Any], looked: Sequence[IndexedSource]) -> Course | None:
        if (asked := parts_asked(question)) and (parts := await asyncio.to_thread(self._parts, asked, looked)):
            return parts
        passages = given["passages"]
        is_counting = may_ask_of_tables(question)
        if not is_counting:  # one cell may be asked for, of a row that was found, or the rows of somebody
            found = {each.metadata.get("source") for each in passages if SEPARATOR in each.page_content}
            asks_who = asks_for_somebody(question)  # "who started after 2021", where a contract is nearer
            looked = [item for item in looked if item.source in found or (asks_who and item.kind == "sheet")]
        if not looked:
            return None
        return await asyncio.to_thread(self._count, question, passages, looked, is_counting=is_counting)

    def _count(
        self, question: str, passages: Sequence[Document], looked: Sequence[IndexedSource], *, is_counting: bool
    ) -> Course | None:
        """The answer by counting, from the sources that are named, those of the passages found, and sheets."""
        key = set(key_of(question))
        named = [item for item in looked if any(key >= set(key_of(name)) for name in names_of(item))]
        of_passages = {passage.metadata.get("source") for passage in passages}
        nearest = [*named, *(item for item in looked if item.source in of_passages and item not in named)]
        near = [*nearest, *(item for item in looked if item.kind == "sheet" and item not in nearest)][:LOOKED_AT]
        nearest_source = passages[0].metadata.get("source") if passages else None
        found: list[tuple[Table, Query, IndexedSource]] = []
        for item in near:
            is_nearest = item.source == nearest_source
            for table in self._tables_of(item):
                names = [*names_of(item), *table.section.split(" > ")]
                query = read_question(question, table, names, is_nearest=is_nearest)
                if query is not None:
                    found.append((table, query, item))
        best = max((query.named for _, query, _ in found), default=0)
        found = [each for each in found if each[1].named == best]
        if found and _is_certain(found):
            told = [(table, query, _called(table, item, several=len(found) > 1)) for table, query, item in found]
            rows = sum(len(table.rows) for table, _, _ in found)
            return _course(answer_query(told), f"read {rows:,} of {counted(rows, 'row')} of {_file(found[0][2])}")
        if not is_counting:
            return None
        records = [record for item in nearest[:LOOKED_AT] if (record := self._index.records.read(item.source))]
        if listing := find_listing(question, records):
            item = next(item for item in near if item.source == listing.record.source)
            return _course(tell_listing(listing), read_of(item.chunks, item.chunks, 1))
        return None

    def _parts(self, by_language: Sequence[Sequence[str]], looked: Sequence[IndexedSource]) -> Course | None:
        """The chapters, sections, pages ... of the only source that can be meant."""
        asked = [
            (named, part, item)
            for words in by_language
            for item in looked
            for part, named in [part_of(words, names_of(item))]
            if part
        ]
        most = max((named for named, _, _ in asked), default=0)
        meant = {(item.source, part): item for named, part, item in asked if named == most}
        if len(meant) > LOOKED_AT:
            return None
        told: list[tuple[Writer, IndexedSource]] = []
        for (_, part), item in meant.items() if len(meant) == 1 or all(part in PARTS for _, part in meant) else ():
            record = self._index.records.read(item.source)
            if writer := tell_parts(record, part) if record else None:
                told.append((writer, item))
        if len(told) != 1:
            return None
        writer, item = told[0]
        return _course(writer, read_of(item.chunks, item.chunks, 1))

    def _read_tables(self, item: IndexedSource) -> list[Table]:
        """The tables of a source."""
        record = self._index.records.read(item.source)
        return find_tables(item.source, item.title, record.documents) if record else []

    # -- comparisons -----------------------------------------------------------------------------------------------

    async def _compared(self, question: str, given: dict[str, Any], looked: Sequence[IndexedSource]) -> Course | None:
        """Passages for each side, where no passage found speaks of both."""
        sides = read_sides(question)
        if sides is None or has_both(given["passages"], sides):
            return None
        found: list[list[Document]] = []
        for side in sides:
            named = [item.source for item in looked if names_with(without_things(key_of(side)), names_of(item))]
            passages = await retrieve(
                {"asked": question if named else side, "scope": named or given.get("scope")}, self._retriever
            )
            if not named:
                passages = of_side(passages, side)
            if not passages:
                return None
            found.append(passages)
        return Course([], answer=Comparison(question, sides, found, self._index).pieces)


def _of_it(question: str, given: dict[str, Any], looked: Sequence[IndexedSource]) -> Sequence[IndexedSource]:
    """The source that a follow-up with "it" or "they" is about, which is that of the passage found first; else all."""
    leans = given["complete"] != question and not _OF_IT.isdisjoint(key_of(question))
    nearest = given["passages"][0].metadata.get("source") if leans and given["passages"] else None
    return [item for item in looked if item.source == nearest] if nearest else looked


def names_of(item: IndexedSource) -> list[str]:
    """What people may call a source: its title, its file's name, and that without its ending."""
    file = _file(item)
    return list(dict.fromkeys(filter(None, (item.title, file, os.path.splitext(file)[0]))))


def _file(item: IndexedSource) -> str:
    return os.path.basename(item.source.rstrip("/")) or item.source


def _called(table: Table, item: IndexedSource, *, several: bool) -> str:
    """What an answer calls a table: its file, and its heading where the file has more than one."""
    return f"{_file(item)} ({table.section})" if several and table.section else _file(item)


def _is_certain(found: Sequence[tuple[Table, Query, IndexedSource]]) -> bool:
    """Whether one table is meant, or the rows of all tables of a source."""
    if len(found) == 1:
        return True
    sources = {item.source for _, _, item in found}
    return len(sources) == 1 and all(query.operation == "count" and query.column is None for _, query, _ in found)


def _course(writer: Writer, coverage: str) -> Course:
    return Course([], answer=lambda reader: at_once(writer, coverage))
