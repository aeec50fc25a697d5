"""A question in another language than the passages -> the same question in theirs, by the chat model.

An embedding model that reads English alone finds next to nothing for "Wie lange bleibt der Schlüssel gültig?" in
English texts. The model of half a billion parameters already translates well enough to search with: bench/README.md.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import Counter
from collections.abc import Awaitable, Sequence
from typing import Protocol

from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from rag.answers.followup import REWRITE_SECONDS, briefly, cleaned
from rag.text.detect import NAMES, question_language, sure_language
from rag.text.language import ENGLISH

log = logging.getLogger(__name__)


class Translator(Protocol):
    """From a question and the passages found for it to the question in their language; "" where there is no need.

    `into` is a language that it is put into whatever was found.
    """

    def __call__(self, question: str, passages: Sequence[Document], into: str = "") -> Awaitable[str]:
        """The translation."""


ORDER = "Translate each question into {language}. Keep names as they are. Do not answer it."
EXAMPLES = (
    {
        "de": "Wie viele Mitglieder hat der Chor von Almstadt?",
        "en": "How many members does the choir of Almstadt have?",
        "es": "¿Cuántos miembros tiene el coro de Almstadt?",
        "fr": "Combien de membres compte le chœur d'Almstadt ?",
        "zh": "阿尔姆施塔特的合唱团有多少名成员？",
    },
    {
        "es": "¿Cuánto cuesta la entrada para niños?",
        "en": "How much does admission cost for children?",
        "de": "Wie viel kostet der Eintritt für Kinder?",
        "fr": "Combien coûte l'entrée pour les enfants ?",
        "zh": "儿童门票多少钱？",
    },
    {
        "fr": "Combien de temps la clé reste-t-elle valable ?",
        "en": "How long does the key stay valid?",
        "de": "Wie lange bleibt der Schlüssel gültig?",
        "es": "¿Cuánto tiempo sigue siendo válida la llave?",
        "zh": "钥匙的有效期是多久？",
    },
    {
        "zh": "电池要多久充一次电？",
        "en": "How often does the battery have to be charged?",
        "de": "Wie oft muss der Akku geladen werden?",
        "es": "¿Con qué frecuencia hay que cargar la batería?",
        "fr": "À quelle fréquence faut-il recharger la batterie ?",
    },
)
"""The same questions in several languages: the model is shown each in the first of them that is not the target's."""

_NUMBER = re.compile(r"\d+")


def build_translator(chat_model: BaseChatModel, languages: Sequence[str] = ()) -> Translator:
    """What translates a question by `chat_model`, into these languages alone, where there are any.

    It never fails: where the model does, or replies with something else than a translation, that is logged and the
    question stays as it was asked.
    """

    async def translate(question: str, passages: Sequence[Document], into: str = "") -> str:
        if languages and sure_language(question) in languages:
            return ""
        language = into or foreign(question, passages)
        if not language or (languages and language not in languages):
            return ""
        try:
            reply = await asyncio.wait_for(briefly(chat_model).ainvoke(_messages(question, language)), REWRITE_SECONDS)
        except Exception as error:  # whatever the engine raises: the answer itself will tell if it stays so
            log.warning("the question was not translated (%s: %s)", type(error).__name__, error)
            return ""
        return translated(question, reply.text, language)

    return translate


def foreign(question: str, passages: Sequence[Document]) -> str:
    """The language of most passages, as ISO 639-1, where none is in the question's; "" if one is or it is not sure."""
    asked = sure_language(question)
    texts = [passage.page_content for passage in passages if passage.page_content.strip()]
    if not asked or not texts or any(_may_be_in(asked, text) for text in texts):
        return ""
    return Counter(sure_language(text) or ENGLISH for text in texts).most_common(1)[0][0]


def _may_be_in(language: str, text: str) -> bool:
    """Whether a passage is in a language rather than in English; in English also where it is in none for sure."""
    if language == ENGLISH:
        return sure_language(text) in ("", ENGLISH)
    return question_language(text, (language,)) == language


def translated(question: str, reply: str, language: str) -> str:
    """The translation in a chat model's reply; "" where it is none.

    It has every number of the question, is a question if that was one, and is in no other language for sure.
    """
    asks = question.rstrip().endswith(("?", "？"))
    text = cleaned(reply if asks else reply.strip().rstrip("."))
    if sure_language(text) not in ("", language) or not set(_NUMBER.findall(question)) <= set(_NUMBER.findall(text)):
        return ""
    return text


def _messages(question: str, language: str) -> list[BaseMessage]:
    """The prompt: what to do, four questions with their translations, the question."""
    messages: list[BaseMessage] = [SystemMessage(ORDER.format(language=NAMES[language]))]
    for example in EXAMPLES:
        if target := example.get(language):
            messages += [HumanMessage(next(text for text in example.values() if text != target)), AIMessage(target)]
    return [*messages, HumanMessage(question)]
