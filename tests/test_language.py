"""Languages: told of texts and questions, words of each found by its own stems, and what is said where they differ."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import spellchecker
from typing_extensions import override

from rag.answers.retriever import Retriever
from rag.answers.update import Update
from rag.answers.verdict.refusal import language_difficulty
from rag.assistant import Assistant
from rag.library.revisions import IndexedSource
from rag.models.ollama import reads_english_alone
from rag.page.status import show_status
from rag.text.detect import PLAINLY_ENGLISH, document_languages, part_language, question_language, sure_language
from rag.text.language import common_words, rarity, stem, surfaces, word_frequencies, word_weights
from tests.conftest import PaperEmbeddings, make_settings, wait_until
from tests.files import CAMPSITE
from tests.minilm import shared_minilm
from tests.ways import library_of


@pytest.mark.parametrize("language", CAMPSITE)
def test_the_language_of_a_text(language: str) -> None:
    assert document_languages(CAMPSITE[language]) == language
    assert document_languages(CAMPSITE[language] * 20) == language


DUTCH = (
    "In de winter is het water koud, maar de was hangt over het hek en we gaan met die man op een boot naar het eiland."
)


@pytest.mark.parametrize("text", [*(text for language, text in CAMPSITE.items() if language != "en"), DUTCH])
def test_no_other_language_has_the_words_that_make_a_text_plainly_english(text: str) -> None:
    words = list(surfaces(text))
    assert sum(map(common_words("en").__contains__, words)) < 2 / 3 * PLAINLY_ENGLISH * len(words)


@pytest.mark.parametrize(
    "text",
    [
        "Ein kurzer Satz.",
        "Part: K-11 | Price: 3.40 | Stock: 17\n" * 40,
        "0x3fa2 0x77b1 mov eax, ebx\n" * 40,
        "def open(path): return Path(path).read_text()\n" * 20,
    ],
)
def test_nothing_is_said_of_what_is_no_prose(text: str) -> None:
    assert document_languages(text) in ("", "en")


def test_the_languages_of_a_text_that_is_half_translated() -> None:
    text = {language: CAMPSITE[language] * 3 for language in CAMPSITE}
    assert document_languages(text["fr"] + "\n\n" + text["en"] * 2) in ("en fr", "fr en")
    assert document_languages(text["es"] + "\n\n" + text["de"]) in ("de es", "es de")
    together = document_languages("\n\n".join([text["fr"], text["en"], text["de"]]))
    assert set(together.split()) == {"fr", "en", "de"} and len(together) == 8  # as many as the database has room for
    mixed = [CAMPSITE[language][12:] for language in ("fr", "en", "de", "es") for _ in range(4)]
    assert len(document_languages("\n\n".join(mixed))) <= 8


@pytest.mark.parametrize("language", ["de", "en", "es", "fr"])
def test_some_sentences_in_another_language_are_not_one_of_the_text(language: str) -> None:
    other = "it" if language == "fr" else "fr"
    quoted = {
        "fr": "La réception est ouverte tous les jours de huit à vingt heures, et la gardienne habite près de là.",
        "it": "La reception è aperta tutti i giorni dalle otto alle venti, e la custode abita vicino all'entrata.",
    }[other]
    assert document_languages(CAMPSITE[language] * 8 + quoted + CAMPSITE[language] * 8) == language


GERMAN_VALUES = (
    "events | name: Sommerfest | description: Das Fest auf dem Marktplatz beginnt um 15 Uhr und der Eintritt ist frei",
    "events | name: Orgelabend | description: Der Organist spielt in der Kirche Werke von Bach und von seinen Söhnen",
    "events | name: Lesung | description: Die Dichterin liest aus dem neuen Buch und spricht danach mit den Gästen",
)


@pytest.mark.parametrize(
    ("text", "languages"),
    [
        ("\n".join(f"{line} | start_datetime_is_approximately: false" for line in GERMAN_VALUES), "de"),
        ("Das Fest auf dem Marktplatz beginnt um 15 Uhr und der Eintritt ist für alle frei.", "de"),
        ("The fair on the market place begins at 3 pm and there is nothing to pay for the children.", "en"),
        ("Marktplatz 15, Münster, Sommerfest, Eintritt frei, Anmeldung beim Verein, Telefon, Bild: Anna Berg", ""),
    ],
)
def test_the_language_of_few_words(text: str, languages: str) -> None:
    assert document_languages(text) == languages


def test_a_part_of_a_text_is_in_one_of_its_languages() -> None:
    assert part_language(CAMPSITE["fr"], "en fr") == "fr"
    assert part_language(CAMPSITE["en"], "fr en") == "en"
    assert part_language("E17", "fr en") == "fr"
    assert part_language(CAMPSITE["fr"], "de") == "de"
    assert part_language(CAMPSITE["fr"], "") == "en"


@pytest.mark.parametrize(
    ("question", "among", "language"),
    [
        ("Was kostet ein Zelt?", ("de",), "de"),
        ("What does a tent cost?", ("de",), "en"),
        ("Was kostet ein Zelt?", (), "en"),
        ("¿Cuánto cuesta una tienda?", ("es", "fr"), "es"),
        ("E17", ("de",), "en"),
    ],
)
def test_the_language_of_a_question(question: str, among: tuple[str, ...], language: str) -> None:
    assert question_language(question, among) == language


def test_threads_that_need_the_words_of_a_language_at_once_read_them_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    begun = threading.Barrier(4)

    class Counted(spellchecker.SpellChecker):
        def __init__(self, language: str) -> None:
            made.append(language)
            super().__init__(language=language)

    def read(_: int) -> int:
        begun.wait(10)
        return len(word_frequencies("lv"))

    monkeypatch.setattr(spellchecker, "SpellChecker", Counted)
    with ThreadPoolExecutor(4) as pool:
        sizes = set(pool.map(read, range(4)))
    assert made == ["lv"] and len(sizes) == 1


def test_words_are_weighed_in_their_language() -> None:
    assert stem("uberfahrten", "de") == stem("uberfahrt", "de") != stem("uberfahrten", "en")
    assert {"die", "der", "und"} <= common_words("de") and "die" not in common_words("en")
    assert rarity("die", "de") < 0.2 < 0.8 < rarity("uberfahrt", "de")
    assert rarity("anything", "th") == 1.0


def test_words_that_fold_to_one_count_together() -> None:
    """In Spanish, "uña" is rare and "una" is not; a form that the list has not is as rare as its stem."""
    assert "una" in common_words("es") and "di" in common_words("it") and "de" in common_words("fr")
    assert rarity("oder", "de") < 0.3
    assert rarity("padres", "es") < 0.5 < rarity("custodia", "es")


@pytest.mark.parametrize(
    ("question", "language", "words"),
    [
        ("¿Hasta cuándo puedo pedir la beca si voy a la universidad?", "es", {"pedir", "beca", "universidad"}),
        ("Ile kosztuje bilet do muzeum?", "pl", {"kosztuje", "bilet", "muzeum"}),
        ("Hur mycket kostar det att parkera?", "sv", {"kostar", "parkera"}),
    ],
)
def test_stop_words_count_where_no_frequencies_are_known(question: str, language: str, words: set[str]) -> None:
    assert word_weights(question, language).keys() == {stem(word, language) for word in words}


@pytest.fixture(scope="module")
def assistant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Assistant]:
    folder = tmp_path_factory.mktemp("languages")
    for language in ("de", "es", "fr", "zh"):
        (folder / f"{language}.md").write_text(CAMPSITE[language], encoding="utf-8")
    sources = tuple(str(folder / f"{language}.md") for language in ("de", "es", "fr", "zh"))
    made = Assistant(make_settings(folder, sources=sources, model="none", refuse=True))
    made.start()
    wait_until(lambda: made.ready and made.service.ingested, 60, lambda: str(made.status()))
    yield made
    made.close()


def ask(assistant: Assistant, question: str) -> Update:
    return asyncio.run(assistant.chain.ainvoke({"question": question}))


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("Wie lange dauert die Überfahrt mit der Fähre?", "fünfundvierzig"),
        ("Wie heißt die Platzwartin?", "Greta Moll und wohnt"),
        ("¿Cuánto dura el viaje en ferry?", "cuarenta y cinco"),
        ("¿Está prohibido el fuego?", "El fuego abierto está prohibido"),
        ("Combien de temps dure la traversée ?", "quarante-cinq"),
        ("Comment s'appelle la gardienne ?", "Greta Moll et habite"),
        ("小屋每晚多少钱？", "小屋72欧元"),
    ],
)
def test_a_question_finds_texts_of_its_language(assistant: Assistant, question: str, said: str) -> None:
    update = ask(assistant, question)
    assert not update.refused
    assert said in update.text


def test_a_difference_of_languages_is_told_where_nothing_is_found(assistant: Assistant) -> None:
    update = ask(assistant, "Welches Wetter wird es morgen in Paris geben?")
    assert update.refused
    assert "a part of the library is in Chinese, French and Spanish" in update.text
    update = ask(assistant, "What will the weather be like in Paris tomorrow?")
    assert update.refused and "the library is in Chinese, French, German and Spanish" in update.text
    assert "embedded:multilingual-e5-small" in update.text and "bge-m3" in update.text


def test_the_page_and_the_library_say_which_languages_there_are(assistant: Assistant) -> None:
    assert {item.source[-5:-3]: item.language for item in assistant.sources} == {
        each: each for each in ("de", "es", "fr", "zh")
    }
    told = "texts in Chinese, French, German, Spanish are found by their words, not by their meaning. For both, choose "
    assert any(told in note for note in assistant.notes)
    assert ">Use multilingual-e5</button>" in show_status(assistant.status(), owner=True)
    assert ">Use embedded:" not in show_status(assistant.status(), owner=False)
    assert assistant.library and {entry.language for entry in assistant.library.entries()} == {"de", "es", "fr", "zh"}


def test_nothing_is_told_where_question_and_library_are_in_one_language() -> None:
    german, english = (IndexedSource("a.md", "A", 1, "r", language=each) for each in ("de", "en"))
    question = "Welches Wetter wird es morgen geben?"
    assert sure_language(question) == "de"
    assert language_difficulty(question, [german], "embedded:all-minilm-l6-v2") == ""
    assert "bge-m3" in language_difficulty(question, [english], "embedded:all-minilm-l6-v2")
    assert "bge-m3" not in language_difficulty(question, [english], "ollama:bge-m3")
    assert language_difficulty("E17 reset", [german], "ollama:bge-m3") == ""
    both = IndexedSource("a.md", "A", 1, "r", language="fr de")
    assert language_difficulty(question, [both], "embedded:all-minilm-l6-v2") == ""
    told = language_difficulty("What will the weather be like tomorrow?", [both, german], "ollama:bge-m3")
    assert "the library is in French and German" in told


@pytest.mark.parametrize(
    ("name", "english"),
    [
        ("embedded:all-minilm-l6-v2", True),
        ("ollama:mxbai-embed-large:latest", True),
        ("embedded:multilingual-e5-small", False),
        ("ollama:snowflake-arctic-embed2", False),
        ("ollama:bge-m3", False),
        ("openai:text-embedding-3-small", False),
    ],
)
def test_embedding_models_that_read_english_alone(name: str, english: bool) -> None:
    assert reads_english_alone(name) is english


def test_each_half_of_a_text_is_found_in_its_language(tmp_path: Path) -> None:
    text = "\n\n".join(f"# {language}\n\n{CAMPSITE[language] * 3}" for language in ("fr", "en"))
    (tmp_path / "half.md").write_text(text, encoding="utf-8")
    with library_of(tmp_path, PaperEmbeddings(), tmp_path / "half.md") as library:
        (source,) = library.index.sources
        assert sorted(source.languages) == ["en", "fr"]
        words = library.index.words
        assert words.languages == {"fr", "en"}
        found = {asked: {row for row, _ in words.search(asked, 10)} for asked in ("gardien", "cross", "ferry")}
        assert stem("gardienne", "en") != stem("gardien", "en") and stem("crossings", "fr") != stem("cross", "fr")
        assert found["gardien"] and found["cross"] and not found["gardien"] & found["cross"]
        assert found["gardien"] | found["cross"] == found["ferry"]


class Deaf(PaperEmbeddings):
    """Puts the question near every text but those that have its rare word, as a model of another language may."""

    @override
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]

    @override
    def embed_query(self, text: str) -> list[float]:
        return [0.0, 1.0] if "heißen hier" in text else [1.0, 0.0]


PARTS = ["Kernel", "Spiegel", "Archiv", "Quelle", "Handbuch", "Drucker", "Gruppe", "Dienst", "Treiber", "Schrift"]


def test_words_come_first_where_the_embedding_model_does_not_read_the_language(tmp_path: Path) -> None:
    text = "\n\n".join(f"## {part}\n\nWoran man {part} erkennt, sagt {part}." * 8 for part in PARTS)
    own = "## Dateien\n\nAusführbare Dateien heißen hier Binärpakete und haben die Endung deb." + " Sie liegen da." * 9
    (tmp_path / "faq.md").write_text(f"# Fragen und Antworten\n\n{text}\n\n{own}", encoding="utf-8")
    with library_of(tmp_path, Deaf(), tmp_path / "faq.md") as library:
        library.index.engine = ("embedded:all-minilm-l6-v2", "here")
        found = Retriever(index=library.index, k=4).invoke("Woran erkennt man Binärpakete?")
    assert "Endung deb" in found[0].page_content


def test_french_and_italian_articles_are_no_part_of_the_next_word() -> None:
    words = list(surfaces("L'église n’est pas fermée aujourd'hui, dell'acqua; don't, o'clock, John's, you'll"))
    assert words == ["eglise", "est", "pas", "fermee", "aujourdhui", "acqua", "dont", "oclock", "john", "youll"]


def test_a_word_that_looks_alike_in_english_does_not_find_english_passages(tmp_path: Path) -> None:
    talk, rules = tmp_path / "talk.md", tmp_path / "satzung.md"
    kinds = (
        "These are the kinds of conversations that people have on day {} of our summit, and of each kind there is one."
    )
    talk.write_text("\n\n".join(f"## Day {day}\n\n{kinds.format(day)}" for day in range(1, 6)), encoding="utf-8")
    rules.write_text(
        "# Aufnahme\n\nMinderjährige werden erst nach einem Gespräch mit den Erziehungsberechtigten in den Verein"
        " aufgenommen. Die Satzung nennt dafür keine Frist, und die Beiträge sind die gleichen wie für alle. Wer"
        " austreten will, schreibt dem Vorstand bis zum Ende des Jahres einen Brief und ist noch drei Monate Mitglied.",
        encoding="utf-8",
    )
    with library_of(tmp_path, shared_minilm(), talk, rules) as library:
        library.index.engine = ("embedded:all-minilm-l6-v2", "here")
        found = Retriever(index=library.index, k=4).invoke("Dürfen Kinder auch beitreten?")
    assert found[0].metadata["title"] == "Aufnahme"


def test_the_half_in_the_questions_language_comes_first(tmp_path: Path) -> None:
    about = (
        "## About\n\nThe Norlund Top 10 is what A8 is about: the Norlund Top 10 had A8 before. " + "It is new. " * 30
    )
    notes = f"## Notes\n\nA8 a disparu du Norlund Top, car on ne le trouve plus. {CAMPSITE['fr'][12:] * 2}"
    english, french = (f"## {language}\n\n{CAMPSITE[language][12:] * 6}" for language in ("en", "fr"))
    (tmp_path / "half.md").write_text("\n\n".join(["# Paper", about, english, notes, french]), encoding="utf-8")
    with library_of(tmp_path, Deaf(), tmp_path / "half.md") as library:
        library.index.engine = ("embedded:all-minilm-l6-v2", "here")
        assert sorted(library.index.sources[0].languages) == ["en", "fr"]
        found = Retriever(index=library.index, k=4).invoke("Pourquoi A8 n'est plus dans le Norlund Top 10 ?")
    places = [passage.page_content.partition("## ")[2][:5] for passage in found]
    assert places.index("Notes") < places.index("About")
