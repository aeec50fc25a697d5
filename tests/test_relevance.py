"""Whether passages speak to a question: on the real small embeddings, and on ones whose cosines lie elsewhere."""

from __future__ import annotations

import asyncio
import math
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from bench.relevance import BUNDLED, Case, cases, library, load_weights, score
from rag.answers.retriever import Retriever
from rag.answers.verdict.refusal import Refusal, nothing_found_message
from rag.answers.verdict.relevance import Judge, Verdict, score_of
from rag.answers.verdict.scale import measure
from rag.errors import EngineError
from rag.library.index import SearchIndex
from rag.library.revisions import IndexedSource
from rag.library.words import Words
from rag.models.minilm import MiniLMEmbeddings
from rag.models.weights import MINILM, MINILM_TOKENIZER, fetch_weights
from rag.settings import load_settings
from tests.conftest import PaperEmbeddings
from tests.minilm import shared_minilm
from tests.stores import Lexical

ENGINE = ("openai:paper", "nowhere")


def decide(judge: Judge, question: str, passages: Sequence[Document], words: Words) -> Verdict:
    return asyncio.run(judge.decide(question, passages, words))


class Squeezed(Embeddings):
    """The same with all cosines between 0.6 and 0.95, as some models have them: a part of each vector is the same."""

    def __init__(self, model: Embeddings) -> None:
        self.model = model

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[0.55 * number for number in vector] + [0.835] for vector in self.model.embed_documents(texts)]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


@pytest.fixture(scope="module")
def embeddings() -> Embeddings:
    return shared_minilm()


@pytest.fixture(scope="module")
def found(embeddings: Embeddings) -> list[Case]:
    return list(cases(embeddings))


@pytest.fixture
def store(embeddings: Embeddings, tmp_path: Path) -> Iterator[SearchIndex]:
    with library(BUNDLED[:1], embeddings, tmp_path / "data") as made:
        yield made


def share_refused(found: list[Case], group: str, **given: object) -> float:
    chosen = [
        case for case in found if case.group == group and all(getattr(case, name) == given[name] for name in given)
    ]
    assert len(chosen) >= 20
    return sum(score(case, load_weights()) < 0 for case in chosen) / len(chosen)


def test_the_set_is_large_enough(found: list[Case]) -> None:
    bundled = [case.group for case in found if case.library == "bundled"]
    assert bundled.count("answerable") >= 120
    assert bundled.count("off-topic") >= 120
    assert bundled.count("near") >= 40


@pytest.mark.parametrize("tuning", [True, False], ids=["tuning", "held out"])
@pytest.mark.parametrize("name", ["bundled", "guide"])
def test_off_topic_is_refused_and_what_the_library_tells_is_not(found: list[Case], name: str, tuning: bool) -> None:
    assert share_refused(found, "off-topic", library=name, tuning=tuning) >= 0.9
    assert share_refused(found, "answerable", library=name, tuning=tuning) <= 0.05


def test_of_what_the_field_has_and_the_library_has_not_some_is_refused(found: list[Case]) -> None:
    assert share_refused(found, "near") >= 0.4


def test_typos_keywords_and_whys_are_not_refused(found: list[Case]) -> None:
    kinds = ("typo", "keyword", "why", "how", "multi", "followup")
    chosen = [case for case in found if case.question.kind in kinds]
    assert sum(score(case, load_weights()) < 0 for case in chosen) <= 0.02 * len(chosen)


def test_models_whose_cosines_lie_elsewhere_decide_the_same(embeddings: Embeddings, tmp_path: Path) -> None:
    squeezed = Squeezed(embeddings)
    scale, other = measure(embeddings), measure(squeezed)
    assert scale.unrelated < 0.2 and other.unrelated > 0.7
    judge, judge_squeezed = Judge(embeddings, ENGINE), Judge(squeezed, ENGINE)
    with library(BUNDLED[:1], squeezed, tmp_path / "data") as index:
        retriever, words = Retriever(index=index), index.words
        for question in ("What is task decomposition?", "How tall is Kilimanjaro?", "Who founded OpenAI?"):
            passages = retriever.invoke(question)
            one, two = (decide(each, question, passages, words) for each in (judge, judge_squeezed))
            assert one.answers == two.answers
            assert one.score == pytest.approx(two.score, abs=0.02)


@pytest.mark.parametrize(
    ("question", "answers"),
    [
        ("hallucination", True),
        ("reflexoin", True),
        ("Beethoven", False),
        ("Who won the chess world championship?", False),
        ("Wie hoch ist der Eiffelturm?", False),
    ],
)
def test_single_words_and_other_languages(
    store: SearchIndex, embeddings: Embeddings, question: str, answers: bool
) -> None:
    passages = Retriever(index=store).invoke(question)
    verdict = decide(Judge(embeddings, ENGINE), question, passages, store.words)
    assert verdict.answers is answers, verdict
    assert verdict.answers == (verdict.score >= 0)
    assert "nearest sentence" in verdict.reason


@pytest.mark.parametrize(("question", "answers"), [("Wie hoch war die Miete?", True), ("Wie wird das Wetter?", False)])
def test_rows_answer_in_their_language_though_nothing_tells_which_it_is(
    embeddings: Embeddings, question: str, answers: bool
) -> None:
    rows = [
        Document("Buchungstag: 28.01.2025 | Verwendungszweck: Miete Februar | Betrag: -980,00"),
        Document("A plan."),
    ]
    words = Lexical()
    words.replace("a", [(str(number), row.page_content) for number, row in enumerate(rows)])
    assert decide(Judge(embeddings, ("embedded:all-minilm-l6-v2", "")), question, rows, words.words).answers is answers


@pytest.mark.parametrize(
    ("question", "answers", "direct"),
    [
        ("What is Maria's email address?", True, True),
        ("Is there a phone number?", False, True),
        ("What did Maria study?", True, False),  # they are her papers
        ("What did Paul study?", False, True),
    ],
)
def test_of_the_person_whose_papers_they_are_nothing_is_refused(
    embeddings: Embeddings, question: str, answers: bool, direct: bool
) -> None:
    papers = Document("Data Engineer · Hamburg · maria.keller@example.org", metadata={"title": "Maria Keller"})
    words = Lexical()
    words.replace("a", [("1", papers.page_content)])
    verdict = decide(Judge(embeddings, ENGINE), question, [papers], words.words)
    assert (verdict.answers, verdict.direct or not verdict.answers) == (answers, direct), verdict


def test_a_long_passage_without_sentences_is_looked_at(embeddings: Embeddings) -> None:
    passages = [Document("agent memory plan " * 200)]
    words = Lexical()
    words.replace("a", [("1", passages[0].page_content)])
    assert decide(Judge(embeddings, ENGINE), "agent memory plan", passages, words.words).answers


def test_a_rare_word_that_no_passage_has_speaks_against_them() -> None:
    words = Lexical()
    passages = [Document("The pump needs oil."), Document("The gearbox of the pump is sealed.")]
    words.replace("a", [(str(number), passage.page_content) for number, passage in enumerate(passages)])
    judge = Judge(PaperEmbeddings(), ENGINE)
    known = judge.signals("Is the gearbox sealed?", passages, words.words)
    half = judge.signals("Is the gearbox sealed?", passages[:1], words.words)
    other = judge.signals("Is the gearbox galvanised?", passages, words.words)
    assert known.missing == 0 < half.missing
    assert other.missing > 0
    assert other.unknown > known.unknown == half.unknown == 0
    assert score_of(known, load_weights()) > score_of(half, load_weights())


@pytest.mark.parametrize("passages", [[], [Document("")], [Document(" \n ")]])
def test_where_nothing_is_found_nothing_answers(passages: list[Document]) -> None:
    verdict = decide(Judge(PaperEmbeddings(), ENGINE), "What is a plan?", passages, Lexical().words)
    assert (verdict.answers, verdict.score, verdict.reason) == (False, -math.inf, "nothing was found")


@pytest.mark.parametrize("text", ["hi", "Hello!", "Hi there", "thanks", "Thank you very much!", "ok, thanks", "bye"])
def test_greetings_ask_nothing(text: str) -> None:
    verdict = decide(Judge(PaperEmbeddings(), ENGINE), text, [], Lexical().words)
    assert (verdict.answers, verdict.kind) == (True, "greeting")


@pytest.mark.parametrize("text", ["hippo", "Hi-fi amplifiers", "thanksgiving date", "help desk hours", "great auk"])
def test_what_begins_like_a_greeting_is_none(text: str) -> None:
    assert decide(Judge(PaperEmbeddings(), ENGINE), text, [], Lexical().words).kind == "passages"


def test_the_scale_is_measured_once_and_kept(tmp_path: Path) -> None:
    first = PaperEmbeddings()
    Judge(first, ENGINE, "digest", tmp_path).prepare()
    assert first.embedded
    again, other = PaperEmbeddings(), PaperEmbeddings()
    Judge(again, ENGINE, "digest", tmp_path).prepare()
    Judge(other, ENGINE, "another digest", tmp_path).prepare()
    assert not again.embedded and other.embedded
    next(tmp_path.glob("scale-*.npz")).write_bytes(b"broken")
    for digest in ("digest", "another digest"):
        Judge(PaperEmbeddings(), ENGINE, digest, tmp_path).prepare()
    assert {path.name.startswith("scale-") for path in tmp_path.iterdir()} == {True}


def test_what_the_bundled_weights_alone_tell_is_computed_for_no_library_anew(tmp_path: Path) -> None:
    """It lies beside them; where nothing can be written there, with the library."""
    cache = tmp_path / "cache"
    cache.mkdir()
    for weights in (MINILM, MINILM_TOKENIZER):
        (cache / weights.file).symlink_to(fetch_weights(weights, load_settings().cache_dir))
    notes = tmp_path / "notes.md"
    notes.write_text("# Notes\n\nAn agent plans.", encoding="utf-8")
    beside = MiniLMEmbeddings(cache)
    assert beside.folder and beside.folder.parent == cache
    with library([notes], beside, tmp_path / "one") as index:
        Refusal(index).prepare()
    assert list(beside.folder.glob("scale-*.npz")) and not list((tmp_path / "one").rglob("scale-*"))
    shutil.rmtree(beside.folder)
    beside.folder.write_text("in its place")
    nowhere = MiniLMEmbeddings(cache)
    assert nowhere.folder is None
    with library([notes], nowhere, tmp_path / "other") as index:
        Refusal(index).prepare()
    assert list((tmp_path / "other").rglob("scale-*.npz"))


def test_an_engine_that_fails_says_so_and_is_asked_again() -> None:
    class Down(PaperEmbeddings):
        down = True

        def embed_query(self, text: str) -> list[float]:
            if self.down:
                raise ConnectionError("refused")
            return super().embed_query(text)

    embeddings = Down()
    judge = Judge(embeddings, ENGINE)
    with pytest.raises(EngineError):
        judge.prepare()
    embeddings.down = False
    judge.prepare()


def indexed(*titles: str) -> list[IndexedSource]:
    return [IndexedSource(f"{title}.md", title, 5, "r") for title in titles]


def test_what_a_person_is_told() -> None:
    one = nothing_found_message("Who is  she?", indexed("Guide"), 5, [Document("x")])
    assert one == (
        "I looked through 1 source (Guide), 5 passages in all, and nothing there answers “Who is she?”."
        " The passage that comes nearest is below."
    )
    many = nothing_found_message("Who?", indexed("A", "B", "C", "D", "E"), 1200, [Document("x"), Document("y")])
    assert "5 sources (A, B, C and 2 more), 1,200 passages in all" in many
    assert many.endswith("The passages that come nearest are below.")
    assert "(A and B)" in nothing_found_message("Who?", indexed("A", "B"), 10, [])
    assert "(A, B and C)" in nothing_found_message("Who?", indexed("A", "B", "C"), 10, [])
    assert "nothing in the library yet" in nothing_found_message("Who?", [], 0, [])
    assert len(nothing_found_message("why " * 500, indexed("A"), 1, [])) < 250


def test_what_a_heading_names_is_told_directly(embeddings: Embeddings, tmp_path: Path) -> None:
    manual = tmp_path / "journald.txt"
    names = ("MaxFileSec", "MaxRetentionSec", "SyncIntervalSec", "ForwardToWall")
    entries = "".join(
        f"\n       {name}=\n           Takes a number or a word, as all others of this file do.\n" for name in names
    )
    manual.write_text(f"OPTIONS\n{entries}", encoding="utf-8")
    judge = Judge(embeddings, ENGINE)
    with library([manual], embeddings, tmp_path / "data") as index:
        for question, direct in (("What does MaxRetentionSec do?", True), ("What does ReadKMsg do?", False)):
            passages = Retriever(index=index, k=4).invoke(question)
            verdict = decide(judge, question, passages, index.words)
            assert (verdict.answers and verdict.direct) is direct


def test_a_library_of_one_letter_is_not_asked_for_every_word(embeddings: Embeddings, tmp_path: Path) -> None:
    letter = tmp_path / "letter.txt"
    letter.write_text(
        "Maple Street Primary School\n\nSwimming lessons begin on 19 May. Children need a towel and goggles.\n\n"
        "Nits have been found again in Year 2. Please check your child's hair tonight and treat it before Monday.\n\n"
        "Lunch prices rise from 2.40 to 2.65 after half term.\n",
        encoding="utf-8",
    )
    judge = Judge(embeddings, ENGINE)
    with library([letter], embeddings, tmp_path / "data") as index:
        for question, answers in (("Which kids have lice?", True), ("Who painted the Mona Lisa?", False)):
            passages = Retriever(index=index, k=4).invoke(question)
            assert decide(judge, question, passages, index.words).answers == answers
