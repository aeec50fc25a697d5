"""Questions in another language than the passages: when they are translated, into what, and what follows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.retrievers import BaseRetriever
from typing_extensions import override

from rag.answers import translation
from rag.answers.build import translator_of
from rag.answers.chain import Course, RagChain
from rag.answers.prompt import SMALL_PROMPT_FILE, build_prompt
from rag.answers.translation import build_translator, foreign, translated
from rag.assistant import Assistant
from rag.models.choose import Chat
from tests.conftest import PaperEmbeddings, Script, ScriptedChat, make_settings, wait_until
from tests.files import CAMPSITE

GERMAN, ENGLISH = "Wie heißt die Platzwartin?", "What is the name of the warden?"
MINILM = "embedded:all-minilm-l6-v2"


class Translating(ScriptedChat):
    """A scripted model whose short replies, which are not streamed, are of their own."""

    reply: str = ENGLISH
    error: Any = None

    @override
    def _generate(self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **_: Any) -> ChatResult:
        self.script.asked.append(messages)
        if self.error:
            raise self.error
        return ChatResult(generations=[ChatGeneration(message=AIMessage(self.reply))])


def passages(*languages: str) -> list[Document]:
    return [Document(CAMPSITE[language]) for language in languages]


@pytest.mark.parametrize(
    ("question", "languages", "language"),
    [
        (GERMAN, ("en",), "en"),
        (GERMAN, ("en", "de"), ""),
        (GERMAN, ("es", "es", "en"), "es"),
        ("Was kostet ein Zelt?", ("en", "en"), "en"),
        ("小屋每晚多少钱？", ("en",), "en"),
        (ENGLISH, ("en", "en"), ""),
        (ENGLISH, ("de", "de"), "de"),
        (ENGLISH, ("de", "en"), ""),
        ("Greta Moll?", ("de",), ""),
        (GERMAN, (), ""),
    ],
)
def test_a_question_is_foreign_where_no_passage_is_in_its_language(
    question: str, languages: tuple[str, ...], language: str
) -> None:
    assert foreign(question, passages(*languages)) == language


def test_short_rows_of_the_questions_language_are_not_foreign() -> None:
    """No language is told of such a source when it is read, as it is too short."""
    assert foreign("Was kostet eine Übernachtung im Zelt?", [Document("Zelt 19 Euro, Hütte 72 Euro je Nacht")]) == ""


@pytest.mark.parametrize(
    ("question", "reply", "found"),
    [
        (GERMAN, ENGLISH, ENGLISH),
        (GERMAN, f'Question: "{ENGLISH}"\n', ENGLISH),
        (GERMAN, "The warden is called Greta Moll.", ""),
        (GERMAN, "Wie heißt denn die Platzwartin hier?", ""),
        (GERMAN, "I'm sorry, but I cannot translate that.", ""),
        ("Was kostet die Brevik 400?", "What does the Brevik 400 cost?", "What does the Brevik 400 cost?"),
        ("Was kostet die Brevik 400?", "What does the Brevik cost?", ""),
        ("Nenne mir alle Preise.", "Tell me all prices.", "Tell me all prices"),
        (GERMAN, "", ""),
    ],
)
def test_a_translation_asks_the_same_in_the_other_language(question: str, reply: str, found: str) -> None:
    assert translated(question, reply, "en") == found


async def test_the_model_is_shown_examples_into_the_passages_language() -> None:
    script = Script()
    assert await build_translator(Translating(script=script))(GERMAN, passages("en")) == ENGLISH
    (asked,) = script.asked
    assert asked[0].text.startswith("Translate each question into English.")
    assert [message.text for message in asked[1:3]] == [
        "Wie viele Mitglieder hat der Chor von Almstadt?",
        "How many members does the choir of Almstadt have?",
    ]
    assert asked[-1].text == GERMAN


@pytest.mark.parametrize("question", [ENGLISH, "Platzwartin?", "¿Cómo se llama la encargada?"])
async def test_no_model_is_asked_without_need(question: str) -> None:
    """The Spanish question would have to go into German, which is not among the model's."""
    script = Script()
    assert await build_translator(Translating(script=script), ("en",))(question, passages("de")) == ""
    assert script.asked == []


@pytest.mark.parametrize("error", [ConnectionError("refused"), ValueError("bad reply")])
async def test_an_engine_that_fails_leaves_the_question_as_it_is(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    assert await build_translator(Translating(script=Script(), error=error))(GERMAN, passages("en")) == ""
    assert "not translated" in caplog.text and str(error) in caplog.text


async def test_a_translation_that_takes_too_long_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stuck(Translating):
        @override
        async def _agenerate(self, *_: Any, **__: Any) -> ChatResult:
            await asyncio.Event().wait()
            raise AssertionError

    monkeypatch.setattr(translation, "REWRITE_SECONDS", 0.05)
    assert await build_translator(Stuck(script=Script()))(GERMAN, passages("en")) == ""


@pytest.mark.parametrize(
    ("size", "embeddings", "there"),
    [("tiny", MINILM, False), ("small", MINILM, True), ("large", MINILM, True), ("large", "ollama:bge-m3", False)],
)
def test_who_translates(size: Any, embeddings: str, there: bool) -> None:
    """Not the tiniest model, and nobody for an embedding model that reads many languages."""
    assert (translator_of(Chat(Translating(script=Script()), 4096, size), embeddings) is not None) == there
    assert translator_of(None, embeddings) is translator_of(Chat(None, 0), embeddings) is None


@contextmanager
def assistant_of(folder: Path, **texts: str) -> Iterator[tuple[Assistant, Script]]:
    """The app with these texts, and a model that says the warden's name in German."""
    for name, text in texts.items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")
    script = Script(tokens=["Die Platzwartin heißt Greta Moll."])
    sources = tuple(str(folder / f"{name}.md") for name in texts)
    made = Assistant(
        make_settings(folder, sources=sources, embeddings=MINILM, refuse=True), chat_model=Translating(script=script)
    )
    made.start()
    wait_until(lambda: made.ready and made.service.ingested, 60, lambda: str(made.status()))
    yield made, script
    made.close()


@pytest.fixture
def assistant(tmp_path: Path) -> Iterator[tuple[Assistant, Script]]:
    with assistant_of(tmp_path, camp=CAMPSITE["en"]) as made:
        yield made


def test_a_german_question_is_answered_from_english_texts(assistant: tuple[Assistant, Script]) -> None:
    """It is searched for in English; a capable model is asked in German, and so answers in German."""
    made, script = assistant
    update = asyncio.run(made.chain.ainvoke({"question": GERMAN}))
    assert (update.asked, update.refused) == (ENGLISH, False)
    assert update.text == "Die Platzwartin heißt Greta Moll."
    assert any("Greta Moll" in quote.text(update.passages) for quote in update.quotes)
    assert GERMAN in script.asked[-1][-1].text and ENGLISH not in script.asked[-1][-1].text


def test_where_nothing_is_found_the_languages_are_told(assistant: tuple[Assistant, Script]) -> None:
    """Whatever the translation was: the fault may be in it."""
    made, _ = assistant
    update = asyncio.run(made.chain.ainvoke({"question": "Wer hat 1808 den ersten Teil des Faust geschrieben?"}))
    assert update.refused and "seems to be in German, and the library is in English" in update.text


class Shelf(BaseRetriever):
    """Finds the campsite, and notes what it was asked."""

    queries: list[str]

    @override
    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        self.queries.append(query)
        return [Document(CAMPSITE["en"], metadata={"title": "Campsite"})]


async def hardly(given: dict[str, Any]) -> Course:
    """Says of every question that the passages hardly answer it."""
    return Course(given["passages"], indirect=True)


async def test_a_small_model_reads_the_translation() -> None:
    """Also where its words are so far from the passages that they would hardly be an answer to a question as typed."""
    script, shelf = Script(), Shelf(queries=[])
    chat = Translating(script=script)
    chain = RagChain(
        shelf,
        build_prompt(SMALL_PROMPT_FILE),
        chat,
        embeddings=PaperEmbeddings(),
        reads_quotes=True,
        window=4096,
        max_tokens=100,
        translator=build_translator(chat, ("en",)),
        decide=hardly,
    )
    pieces = [piece async for piece in chain.astream({"question": GERMAN})]
    assert not any(piece.get("indirect") for piece in pieces)
    assert [piece["asked"] for piece in pieces if "asked" in piece] == [GERMAN, ENGLISH] == shelf.queries
    assert f"Question: {ENGLISH}" in script.asked[-1][-1].text
    asked = len(script.asked)
    plain = await chain.ainvoke({"question": ENGLISH})
    assert plain["indirect"] and len(script.asked) == asked


def test_what_is_refused_is_asked_in_the_language_of_other_sources(tmp_path: Path) -> None:
    """The passages found are in the question's own language, and say nothing of it."""
    church = (
        "Die Kirche von Almstadt wurde 1702 gebaut. Ihre Glocke wiegt zwei Tonnen. Der Turm kann an"
        " Sonntagen bestiegen werden."
    )
    with assistant_of(tmp_path, camp=CAMPSITE["en"], church=church) as (made, _):
        update = asyncio.run(made.chain.ainvoke({"question": GERMAN}))
    assert (update.asked, update.refused) == (ENGLISH, False)
    assert any("Greta Moll" in quote.text(update.passages) for quote in update.quotes)
