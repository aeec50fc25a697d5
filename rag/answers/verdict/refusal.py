"""Whether a question is answered from the passages found, and the replies if it is not."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from langchain_core.documents import Document

from rag.answers.chain import Course
from rag.answers.quotes.asked_for import numbered_part
from rag.answers.told import EMPTY, LOOKED
from rag.answers.verdict.named import lacks_what_is_named
from rag.answers.verdict.relevance import Judge
from rag.answers.whole.intent import greeting_in, is_greeting
from rag.library.index import SearchIndex
from rag.library.revisions import IndexedSource
from rag.models.e5 import E5_NAME, runs_here
from rag.models.ollama import MULTILINGUAL, reads_english_alone
from rag.text.amounts import counted
from rag.text.detect import NAMES, sure_language
from rag.text.language import ENGLISH

log = logging.getLogger(__name__)

SHOWN = 3
"""Sources that a reply names."""


class Refusal:
    """Decides whether the passages found in one index answer the question. For any thread."""

    def __init__(self, index: SearchIndex) -> None:
        self.index = index
        self._judge = Judge(index.embeddings, index.engine, index.weights, index.folder)

    def prepare(self) -> None:
        """Measure the embedding model's scale now, so that no question waits for it.

        Raises:
            EngineError: the embedding model failed; the next question tries again.
        """
        self._judge.prepare()

    async def __call__(self, given: dict[str, Any]) -> Course:
        """The way to answer a question: from passages, or with a fixed reply.

        Args:
            given: `question` as typed, `complete` in full words, `asked` as it was searched for (`complete` or its
                translation), `passages` (those found), and `scope` (the sources to search) if it is limited.

        Raises:
            EngineError: the embedding model failed.
        """
        passages: list[Document] = given["passages"]
        scope = given.get("scope")
        looked: list[IndexedSource] = [item for item in self.index.sources if not scope or item.source in scope]
        asked = given["question"] if is_greeting(given["question"]) else given["asked"]  # it leans on nothing before
        verdict = await self._judge.decide(asked, passages, self.index.words)
        log.debug("%s: %s", "answered" if verdict.answers else "not answered", verdict.reason)
        if verdict.kind == "greeting":
            return Course([], greeting_reply(given["question"], looked))
        if verdict.answers:
            part = numbered_part(asked)
            is_told = part is not None and any(part.search(passage.page_content) for passage in passages)
            indirect = not (verdict.direct or is_told) or lacks_what_is_named(asked, passages)
            return Course(passages, indirect=indirect)
        chunks = sum(item.chunks for item in looked)
        told = nothing_found_message(given["question"], looked, chunks, passages)
        difficulty = language_difficulty(given["complete"], looked, self.index.made.embeddings)
        others = other_languages(given["complete"], looked)
        ask_in = ENGLISH if ENGLISH in others else next(iter(others), "")
        return Course(passages, " ".join(filter(None, (told, difficulty))), refused=True, ask_in=ask_in)


def nothing_found_message(
    question: str, looked: Sequence[IndexedSource], chunks: int, nearest: Sequence[Document]
) -> str:
    """The reply when the library has no answer.

    Args:
        question: as asked.
        looked: the sources that were searched.
        chunks: their number of chunks.
        nearest: the passages that are shown below the reply.
    """
    asked = _whole_words(" ".join(question.split()), 120)
    asked += "" if asked == " ".join(question.split()) else " …"
    if not looked:
        return f"{EMPTY}, so nothing in it answers “{asked}”. Add a page or a file first."
    named = _named(looked)
    where = f"{counted(len(looked), 'source')} ({named}), {counted(chunks, 'passage')} in all"
    below = {0: "", 1: " The passage that comes nearest is below."}.get(
        len(nearest), " The passages that come nearest are below."
    )
    return f"{LOOKED} {where}, and nothing there answers “{asked}”.{below}"


def other_languages(question: str, looked: Sequence[IndexedSource]) -> list[str]:
    """The languages of the sources that are in another one than the question; none where its own is not sure."""
    asked = sure_language(question)
    found = [language for item in looked if asked not in item.languages for language in item.languages]
    return sorted(set(found)) if asked else []


def language_difficulty(question: str, looked: Sequence[IndexedSource], embeddings: str) -> str:
    """A sentence where some sources are in another language than the question; else ""."""
    asked, others = sure_language(question), other_languages(question, looked)
    if not others:
        return ""
    named = _listed(sorted(NAMES.get(language, language) for language in others))
    whole = all(asked not in item.languages for item in looked)
    told = (
        f"The question seems to be in {NAMES[asked]}, and {'the library' if whole else 'a part of the library'} is in"
        f" {named}, which may be the reason: ask in {named if len(others) == 1 else 'these'}"
    )
    if reads_english_alone(embeddings):
        own = f"{E5_NAME} or " if runs_here() else ""
        return f"{told}, or choose an embedding model that knows both under Models ({own}{MULTILINGUAL} of Ollama)."
    return told + "."


def greeting_reply(greeting: str, looked: Sequence[IndexedSource]) -> str:
    """The reply to a greeting, to thanks, and to who asks what the app is."""
    kind = greeting_in(greeting)
    if kind == "thanks":
        return "You are welcome. Ask whatever else you would like to know."
    if kind == "bye":
        return "Goodbye."
    hello = "Hello. " * (kind == "hello")
    return f"{hello}I answer questions about what is in the library: {_named(looked)}. What would you like to know?"


def _named(sources: Sequence[IndexedSource]) -> str:
    """The titles of the first `SHOWN` sources, and how many more there are."""
    names = [source.title or source.source for source in sources[:SHOWN]]
    if more := len(sources) - len(names):
        return f"{', '.join(names)} and {more} more"
    return _listed(names)


def _listed(names: Sequence[str]) -> str:
    """The names in a sentence: `A, B and C`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def _whole_words(text: str, most: int) -> str:
    """The text up to `most` characters, cut between two words."""
    if len(text) <= most:
        return text
    return text[: most + 1].rpartition(" ")[0] or text[:most]
