"""A summary that reads every passage: notes of each part by a chat model, or the sentences that stand for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import aclosing

from langchain_core.documents import Document
from langchain_core.prompt_values import PromptValue
from langchain_core.prompts import ChatPromptTemplate

from rag.answers.tables.words import number_words, tokenize_question
from rag.answers.whole.extract import Part, Told, most_central, parts_of, standing_for, told_rows
from rag.answers.whole.listing import Headings
from rag.answers.whole.naming import SENTENCE_WORDS
from rag.answers.whole.receipt import ChatReader, Pieces, Writer, read_of
from rag.errors import AnswerTooLong
from rag.grounding.ground import ground
from rag.library.index import SearchIndex
from rag.library.revisions import IndexedSource
from rag.text.headings import titled
from rag.text.sentences import count_tokens

MOST_PARTS = 12
"""Parts that an extract has of a source, at most; sections are joined to that many."""
SENTENCES = 15
"""Sentences of an extract of one source, about: each part has one at least, and three at most."""
MOST_OF_PART = 3
MOST_WANTED = 50
"""Sentences that a summary can be asked for."""
ONE = {"one": 1, "single": 1, "einem": 1, "einen": 1, "ein": 1, "une": 1, "un": 1, "una": 1, "一": 1}
FEWEST_TOKENS, PROMPT_TOKENS = 300, 200
"""Tokens of a group of passages that a chat model reads at a time, at least; and those of the prompt around it."""

NOTES = ChatPromptTemplate.from_messages(
    [
        (
            "human",
            "Read this part of a document and write down its main points, in at most {sentences} short sentences. Use"
            " only what the part says, and write in the language of this question: {question}\n\n{text}",
        )
    ]
)
WHOLE = ChatPromptTemplate.from_messages(
    [
        (
            "human",
            "Read this document.\n\n{text}\n\nAnswer with what it says and nothing else, in the language of the"
            " question.\nQuestion: {question}",
        )
    ]
)
REDUCE = ChatPromptTemplate.from_messages(
    [
        (
            "human",
            "These are notes on all parts of a text, in order. Answer with them, in at most eight sentences, and in the"
            " language of the question: {question}\n\n{text}",
        )
    ]
)


class Summary:
    """Summarises sources, or one `section` of a source. `wanted` is what was asked, as typed."""

    def __init__(
        self, index: SearchIndex, sources: Sequence[IndexedSource], wanted: str, section: Headings = ()
    ) -> None:
        self._index, self._sources, self._wanted, self._section = index, sources, wanted, section

    async def pieces(self, reader: ChatReader | None) -> Pieces:
        """The answer in pieces: with each, `coverage` says what has been read until then.

        Raises:
            RagError: what the models raise.
        """
        parts = await asyncio.to_thread(self._parts)
        total = len(_chunks_of(parts))
        writer = Writer()
        yield {"passages": [], "coverage": read_of(0, total, len(self._sources)), "progress": (0, total)}
        way = self._written(reader, parts, writer, total) if reader else self._extracted(parts, writer, total)
        async with aclosing(way) as pieces:
            async for piece in pieces:
                yield piece

    def _parts(self) -> list[Part]:
        """The chunks of all sources, by sections."""
        found: list[Part] = []
        for source in self._sources:
            chunks = self._index.records.revisions.chunks_of(source.revision)
            record = self._index.records.read(source.source)
            found += parts_of(source, record, chunks, max(1, MOST_PARTS // len(self._sources)), self._section)
        return found

    # -- without a capable chat model ----------------------------------------------------------------------------

    async def _extracted(self, parts: Sequence[Part], writer: Writer, total: int) -> Pieces:
        """The sentences that stand for each part, under its heading, or under the title of its source."""
        seen: set[str | None] = set()
        several = len(self._sources) > 1
        number = sentences_wanted(self._wanted)
        each = max(1, min(MOST_OF_PART, round((number or SENTENCES) / max(1, len(parts)))))
        standing: list[Told] = []
        before = ""
        for part in parts:
            found = await asyncio.to_thread(told_rows, self._index, part) or await standing_for(
                self._index, part, each, self._wanted
            )
            seen |= {chunk.id for chunk in part.chunks}
            heading = part.source.title if several else part.heading or part.source.title
            if number:
                standing += found
            elif found and heading != before:
                before = heading
                writer.gap()
                writer.say(f"**{heading}**")
            for words, chunk, place in () if number else found:
                writer.say(words, writer.add(chunk), place, lead="- ")
            coverage = read_of(len(seen), total, len(self._sources))
            yield writer.piece(coverage=coverage, progress=(len(seen), total))
        for words, chunk, place in await most_central(self._index.embeddings, standing, number or 0, self._wanted):
            writer.say(words, writer.add(chunk), place, lead="- ")
        if not writer.text:
            writer.say("There is no sentence in it that could stand for the whole.")
        yield writer.piece(coverage=read_of(total, total, len(self._sources)), progress=(total, total))

    # -- with one ------------------------------------------------------------------------------------------------

    async def _written(self, reader: ChatReader, parts: Sequence[Part], writer: Writer, total: int) -> Pieces:
        """Notes of each group of chunks, then what they come to; one group alone is answered from at once."""
        groups = list(_groups(_chunks_of(parts), reader.room))
        read = 0
        notes: list[str] = []
        for group in groups:
            text = "\n\n".join(map(_told, group))
            prompt = WHOLE if len(groups) == 1 else NOTES
            start = len(writer.text)
            for chunk in group[:MOST_PARTS] if len(groups) == 1 else ():
                writer.add(chunk)
            fields = {"text": text, "question": self._wanted, "sentences": 4 if len(groups) < 10 else 2}
            async with aclosing(_paragraph(reader, prompt.format_prompt(**fields), writer)) as pieces:
                async for piece in pieces:
                    yield piece
            notes.append(writer.text[start:].strip())
            await asyncio.to_thread(self._mark, writer, start, group)
            read += len(group)
            coverage = read_of(read, total, len(self._sources))
            yield writer.piece(coverage=coverage, progress=(read, total))
        if len(groups) > 1:
            start = len(writer.text)
            while len(joined := _in_groups(notes, reader.room)) > 1 and len(joined) < len(notes):
                notes = [await _whole_text(reader, _reduced(each, self._wanted)) for each in joined]
            async with aclosing(_paragraph(reader, _reduced("\n".join(joined), self._wanted), writer)) as pieces:
                async for piece in pieces:
                    yield piece
            await asyncio.to_thread(self._mark, writer, start, list(writer.passages))
            yield writer.piece()

    def _mark(self, writer: Writer, start: int, group: Sequence[Document]) -> None:
        """Match what the model wrote from `start` on with the passages it read; those that support it are shown."""
        for sentence in ground(writer.text[start:], group, self._index.embeddings, self._wanted):
            number = writer.add(group[sentence.passage - 1]) if sentence.passage else None
            writer.mark(sentence, start, number)


def sentences_wanted(question: str) -> int | None:
    """How many sentences or points a summary is to have: "in three sentences"; None where it is not said."""
    tokens = tokenize_question(question)
    for number, token in enumerate(tokens[:-1]):
        told = token.number or next(
            (words[token.folded] for words in (*number_words().values(), ONE) if token.folded in words), None
        )
        following = {each.folded for each in tokens[number + 1 : number + 3]}
        if told and 0 < told <= MOST_WANTED and following & SENTENCE_WORDS:
            return int(told)
    return None


def _chunks_of(parts: Sequence[Part]) -> list[Document]:
    """The chunks of all parts, each once."""
    return list({chunk.id: chunk for part in parts for chunk in part.chunks}.values())


def _groups(chunks: Sequence[Document], room: int) -> Iterator[list[Document]]:
    """The chunks in groups that a prompt has room for, in order."""
    most = max(FEWEST_TOKENS, room - PROMPT_TOKENS)
    group: list[Document] = []
    tokens = 0
    for chunk in chunks:
        own = count_tokens(_told(chunk))
        if group and tokens + own > most:
            yield group
            group, tokens = [], 0
        group.append(chunk)
        tokens += own
    if group:
        yield group


def _told(chunk: Document) -> str:
    """A passage as the chat model reads it."""
    heading = titled(chunk)
    return f"[{heading}]\n{chunk.page_content}" if heading else chunk.page_content


def _in_groups(notes: Sequence[str], room: int) -> list[str]:
    """Notes joined to as few texts as a prompt has room for each."""
    joined: list[str] = []
    for note in notes:
        together = f"{joined[-1]}\n{note}" if joined else note
        if joined and count_tokens(together) <= max(FEWEST_TOKENS, room - PROMPT_TOKENS):
            joined[-1] = together
        else:
            joined.append(note)
    return joined


def _reduced(notes: str, question: str) -> PromptValue:
    return REDUCE.format_prompt(text=notes, question=question)


async def _whole_text(reader: ChatReader, prompt: PromptValue) -> str:
    """What the model writes, as a whole, for the next step."""
    aside = Writer()
    async with aclosing(_paragraph(reader, prompt, aside)) as pieces:
        async for _ in pieces:
            pass
    return aside.text


async def _paragraph(reader: ChatReader, prompt: PromptValue, writer: Writer) -> Pieces:
    """Stream what the model writes, as a paragraph of the answer. A paragraph that grew too long is cut."""
    if writer.text:
        writer.text += "\n\n"
    try:
        async with aclosing(reader.write(prompt)) as pieces:
            async for piece in pieces:
                writer.text += piece.get("answer", "")
                yield {**piece, **writer.new()}
    except AnswerTooLong:
        pass
