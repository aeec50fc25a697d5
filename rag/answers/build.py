"""Builds what answers a question from what is up: the retriever, the refusal, and a chain for each chat model."""

from __future__ import annotations

import gc
import threading
from collections.abc import Sequence
from contextlib import suppress

from langchain_core.documents import Document
from langchain_core.messages import BaseMessage

from rag.answers.chain import RagChain, Rewriter
from rag.answers.followup import build_rewriter, standalone
from rag.answers.prompt import SMALL_PROMPT_FILE, build_prompt
from rag.answers.retriever import Retriever
from rag.answers.tables.question import may_ask_of_tables
from rag.answers.translation import Translator, build_translator
from rag.answers.verdict.refusal import Refusal
from rag.answers.whole.decide import Whole
from rag.errors import RagError
from rag.library.index import SearchIndex
from rag.models.choose import Chat
from rag.models.ollama import reads_english_alone
from rag.settings import Settings
from rag.text.detect import sure_language
from rag.text.language import ENGLISH, word_frequencies


class Chains:
    """The chains over one index; `link` goes over to another."""

    def __init__(self, settings: Settings) -> None:
        self.own: RagChain | None = None
        """The chain of the settings' chat model, once model and index are there."""
        self.retriever: Retriever | None = None
        """The retriever, once the index is there."""
        self.refusal: Refusal | None = None
        """What decides whether a question is answered; None where the settings refuse nothing."""
        self.whole: Whole | None = None
        """What decides how a question is answered, once the index is there."""
        self._settings = settings
        self._prompt = build_prompt(settings.prompt_file)
        self._small_prompt = build_prompt(settings.prompt_file or SMALL_PROMPT_FILE)
        self._linking = threading.Lock()

    def link(self, index: SearchIndex, chat: Chat | None) -> None:
        """Build all that can be built; `chat` is the chat model of the settings, once it is ready."""
        with self._linking:
            self.retriever = Retriever(index=index, k=self._settings.k, dense=self._settings.retriever == "dense")
            if self._settings.refuse and (self.refusal is None or self.refusal.index is not index):
                self.refusal = Refusal(index)
            self.whole = Whole(index, self.retriever, self.refusal)
            if chat is not None:
                self.own = self.chain_of(chat)
                gc.freeze()  # what is loaded by now stays, and no collection need look at it while answers stream

    def chain_of(self, chat: Chat) -> RagChain:
        """The chain of a chat model."""
        assert self.retriever is not None
        index = self.retriever.index
        reads_quotes = chat.size in ("tiny", "small", "medium")
        apps_prompt = self._settings.prompt_file is None
        return RagChain(
            self.retriever,
            self._small_prompt if reads_quotes else self._prompt,
            chat.model,
            embeddings=index.embeddings,
            reads_quotes=reads_quotes,
            prefers=chat.size in ("small", "medium") and apps_prompt,  # tiny ones begin to repeat themselves
            opens=chat.size in ("tiny", "small") and apps_prompt,
            window=chat.window,
            max_tokens=self._settings.max_tokens,
            rewriter=rewriter_of(chat),
            translator=translator_of(chat, index.made.embeddings),
            decide=self.whole,
            languages=lambda: index.words.languages,
        )

    def load_words(self) -> None:
        """Read what the first question is looked up in, half a second's work: languages, English words, phrases."""
        example = "What is there in here?"
        word_frequencies(ENGLISH)
        sure_language(example)
        may_ask_of_tables(example)

    def prepare(self) -> None:
        """Measure the embedding model's scale now, so that no question waits for it."""
        if self.whole is not None and self.retriever is not None and self.retriever.index.chunks:
            with suppress(RagError):  # the question that needs it tries again, and tells
                self.whole.prepare()

    async def refuses(self, asked: str, passages: list[Document]) -> bool:
        """Whether a question would be refused, given what was found for it."""
        if self.refusal is None:
            return False
        course = await self.refusal({"question": asked, "complete": asked, "asked": asked, "passages": passages})
        return course.refused


async def search_for(
    question: str, history: Sequence[BaseMessage], chat: Chat | None, retriever: Retriever
) -> tuple[str, list[Document]]:
    """What a question is searched with, after what was said before, with that chat model; and the passages found."""
    asked = await standalone(question, history, rewriter_of(chat))
    passages = await retriever.ainvoke(asked)
    translator = translator_of(chat, retriever.index.made.embeddings)
    if translator and (translation := await translator(asked, passages)):
        return translation, await retriever.ainvoke(translation)
    return asked, passages


def rewriter_of(chat: Chat | None) -> Rewriter | None:
    """What words follow-ups anew; none without a model or with one that is too small for it."""
    return build_rewriter(chat.model) if chat and chat.model and chat.size == "large" else None


def translator_of(chat: Chat | None, embeddings: str) -> Translator | None:
    """What translates questions for an embedding model that reads English alone; small models, into English alone."""
    if chat is None or chat.model is None or chat.size == "tiny" or not reads_english_alone(embeddings):
        return None
    return build_translator(chat.model, () if chat.size == "large" else (ENGLISH,))
