"""A comparison: the two things that are compared, and passages for each of them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from contextlib import aclosing

from langchain_core.documents import Document
from langchain_core.prompts import ChatPromptTemplate

from rag.answers.quotes.find import find_quotes
from rag.answers.whole.receipt import ChatReader, Pieces, Writer
from rag.grounding.ground import ground
from rag.library.index import SearchIndex
from rag.text.amounts import counted
from rag.text.language import stem, surfaces

EACH = 3
"""Passages that are read for each side, at most."""
PROMPT = ChatPromptTemplate.from_messages(
    [
        (
            "human",
            "Compare {one} with {two}, with what these passages say and nothing else. Say first what is alike, then"
            " what differs. Answer in the language of the question.\n\nAbout {one}:\n{first}\n\nAbout {two}:\n{second}"
            "\n\nQuestion: {question}",
        )
    ]
)

_SIDE = r"(?P<{}>\S.{{0,80}}?)"
_ONE, _TWO = _SIDE.format("one"), _SIDE.format("two")
_PATTERNS = [
    re.compile(pattern, re.I)
    for pattern in (
        rf"^(?:please |can you |could you )*(?:compare|contrast) {_ONE} (?:with|to|and|against|versus|vs\.?) {_TWO}"
        r"[.?! ]*$",
        r"^(?:what(?:'s| is| are)|explain|tell me|describe|list) (?:the )?(?:main |key |biggest )?differences? between"
        rf" {_ONE} and {_TWO}[.?! ]*$",
        rf"^how (?:do|does|is|are) {_ONE} (?:different from|differ from|compared? (?:to|with)) {_TWO}[.?! ]*$",
        rf"^how do {_ONE} and {_TWO} (?:differ|compare)[.?! ]*$",
        rf"^what do {_ONE} and {_TWO} have in common[.?! ]*$",
        rf"^{_ONE} (?:vs\.?|versus) {_TWO}[.?! ]*$",
        rf"^(?:bitte |kannst du )*vergleiche?n? {_ONE} (?:mit|und) {_TWO}(?: vergleichen)?[.?! ]*$",
        rf"^(?:was|worin|welche|welcher|wie) .{{0,30}}?unterschiede?n? (?:gibt es )?zwischen {_ONE} und {_TWO}[.?! ]*$",
        rf"^(?:worin|wie) unterscheide(?:t|n) sich {_ONE} (?:von|und) {_TWO}[.?! ]*$",
        rf"^compare[zr]? {_ONE} (?:avec|à|et) {_TWO}[.?! ]*$",
        rf"^(?:quelles?|quels?) (?:est|sont) (?:la|les) différences? entre {_ONE} et {_TWO}[.?! ]*$",
        rf"^(?:compara|compare|comparar) {_ONE} (?:con|y) {_TWO}[.?! ]*$",
        rf"^¿?(?:cuál es|cuáles son|qué) (?:la|las)? ?diferencias? (?:hay )?entre {_ONE} y {_TWO}[.?! ]*$",
        rf"^(?:请)?(?:比较|对比)(?:一下)?{_ONE}(?:和|与|跟){_TWO}[。？！ ]*$",
        rf"^{_ONE}(?:和|与|跟){_TWO}(?:之间)?(?:的|有什么|有哪些)(?:区别|不同|差异)(?:是什么)?[。？！ ]*$",
    )
]
_ARTICLE = re.compile(r"^(?:the|an?|der|die|das|den|dem|le|la|les|el|los|las)\s+|^l['’]", re.I)


def read_sides(question: str) -> tuple[str, str] | None:
    """The two things that a question compares; None where it compares nothing."""
    text = " ".join(question.split())
    for pattern in _PATTERNS:
        if found := pattern.match(text):
            one, two = (_ARTICLE.sub("", found[name]).strip(" .?!") for name in ("one", "two"))
            if one and two and one.casefold() != two.casefold():
                return one, two
    return None


def of_side(passages: Sequence[Document], side: str) -> list[Document]:
    """The passages that have the words of a side."""
    wanted = {stem(word) for word in surfaces(side)}
    return [passage for passage in passages if wanted <= _stems(passage)]


def has_both(passages: Sequence[Document], sides: tuple[str, str]) -> bool:
    """Whether a passage speaks of both things, so that it may compare them itself."""
    one, two = ({stem(word) for word in surfaces(side)} for side in sides)
    return any(one | two <= _stems(passage) for passage in passages)


def _stems(passage: Document) -> set[str]:
    heading = f"{passage.metadata.get('title') or ''} {passage.metadata.get('section') or ''}"
    return {stem(word) for word in surfaces(f"{heading} {passage.page_content}")}


class Comparison:
    """Compares two sides by the passages that were found for each."""

    def __init__(
        self, question: str, sides: tuple[str, str], passages: Sequence[Sequence[Document]], index: SearchIndex
    ) -> None:
        self._question, self._sides, self._index = question, sides, index
        self._passages = [list(own[:EACH]) for own in passages]

    async def pieces(self, reader: ChatReader | None) -> Pieces:
        """The answer in pieces: the chat model's, or quotes of each side.

        Raises:
            RagError: what the models raise.
        """
        writer = Writer()
        for own in self._passages:
            for passage in own:
                writer.add(passage)
        counts = [
            f"{counted(len(own), 'passage')} on {side}" for own, side in zip(self._passages, self._sides, strict=True)
        ]
        yield writer.piece(coverage="read " + " and ".join(counts))
        if reader is None:
            for side, own in zip(self._sides, self._passages, strict=True):
                writer.gap()
                writer.say(f"**{side}**")
                for quote in await find_quotes(self._question, own, self._index.embeddings):
                    number = writer.add(own[quote.passage - 1])
                    writer.say(" ".join(quote.text(own).split()), number, (quote.start, quote.end), lead="- ")
            yield writer.piece()
            return
        (one, two), (first, second) = self._sides, ("\n\n".join(p.page_content for p in own) for own in self._passages)
        prompt = PROMPT.format_prompt(one=one, two=two, first=first, second=second, question=self._question)
        async with aclosing(reader.write(prompt)) as pieces:
            async for piece in pieces:
                writer.text += piece.get("answer", "")
                yield {**piece, **writer.new()}
        marks = await asyncio.to_thread(ground, writer.text, writer.passages, self._index.embeddings, self._question)
        yield {"grounding": tuple(marks)}
