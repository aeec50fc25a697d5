"""BM25 on disk: figures to check on paper, always equal to an index made anew, seen at once, by many threads."""

from __future__ import annotations

import math
import random
import shutil
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from rag.errors import StoreError
from rag.library.words import FORMAT, Row, WordIndex
from rag.text.language import rarity, stem, surfaces, word_weights
from tests.stores import Lexical

K1, B = 1.2, 0.75  # BM25's usual constants


def index_of(**sources: list[str]) -> Lexical:
    index = Lexical()
    for source, texts in sources.items():
        index.replace(source, [(f"{source}-{number}", text) for number, text in enumerate(texts)])
    return index


def found(index: Lexical, question: str, most: int = 10, *scope: str) -> list[str]:
    return [row for row, _ in index.words.search(question, most, scope)]


def test_the_score_is_bm25() -> None:
    index = index_of(a=["moon moon river", "river"], b=["cheese cheese"])
    [(row, score)] = index.words.search("moon", 10)
    rarity = math.log(1 + (3 - 1 + 0.5) / (1 + 0.5))
    length = 3 / (6 / 3)
    assert row == "a-0"
    assert score == pytest.approx(rarity * 2 * (K1 + 1) / (2 + K1 * (1 - B + B * length)), rel=1e-5)
    assert index.words.search("moon river", 10)[0][0] == "a-0"
    assert index.words.search("nothing of this", 10) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The planner's plans", ["the", "planner", "plans"]),
        ("RAG_CHUNK_SIZE", ["rag_chunk_size", "rag", "chunk", "size"]),
        ("HybridRetriever", ["hybridretriever", "hybrid", "retriever"]),
        ("GPT-4 Café", ["gpt", "4", "cafe"]),
        ("知識ベース", ["知識", "識ベ", "ベー", "ース"]),
        ("don’t", ["dont"]),
        ("Don't I'll", ["dont", "ill"]),
    ],
)
def test_words_of_prose_code_and_other_scripts(text: str, words: list[str]) -> None:
    assert list(surfaces(text)) == words


@pytest.mark.parametrize(
    "asked", ["Why don't they pay?", "Why doesn’t he pay?", "Isn't it that they pay?", "I've to pay"]
)
def test_a_contraction_says_nothing_of_the_subject(asked: str) -> None:
    assert word_weights(asked).keys() == {"pay"}


@pytest.mark.parametrize(
    ("asked", "language"),
    [
        ("How long do they pay?", "en"),
        ("How many are to pay?", "en"),
        ("Wie lange soll man zahlen?", "de"),
        ("Combien de dons ?", "fr"),
        ("¿Cuántas pagas?", "es"),
    ],
)
def test_what_asks_for_an_amount_says_nothing_of_the_subject(asked: str, language: str) -> None:
    assert len(word_weights(asked, language)) == 1
    assert word_weights("How long?").keys() == {"long"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("planning", "plans"),
        ("optimisation", "optimizations"),
        ("neighbour", "neighbors"),
        ("brought", "bringing"),
        ("paid", "pays"),
        ("written", "wrote"),
        ("children", "child"),
        ("indices", "indexes"),
    ],
)
def test_forms_of_a_word_are_one(one: str, other: str) -> None:
    assert stem(one) == stem(other)


@pytest.mark.parametrize("words", [("founded", "find"), ("saw", "see"), ("left", "leave"), ("led", "lead")])
def test_words_that_are_no_forms_of_others_stay_apart(words: tuple[str, str]) -> None:
    assert stem(words[0]) != stem(words[1])


def test_a_word_is_irregular_in_english_alone() -> None:
    assert stem("made", "de") != stem("make", "de") and stem("come", "es") == stem("comen", "es")


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("halucination of modles", "hallucination of models"),
        ("what is decompositoin", "what is decomposition"),
        ("a bread for the team", "a bread for the team"),  # other words, not slips
        ("RAG_IDLE_TIMEOT 4711x", "RAG_IDLE_TIMEOT 4711x"),
        ("plans", "plans"),
    ],
)
def test_slips_are_corrected_and_other_words_are_not(asked: str, meant: str) -> None:
    index = index_of(a=["hallucination decomposition models read term planning"])
    assert index.words.corrected(asked) == meant


def test_a_word_that_is_gone_is_no_correction() -> None:
    index = index_of(a=["hallucination"], b=["moon"])
    index.remove("a")
    assert index.words.corrected("halucination") == "halucination"


def test_a_word_of_a_chunk_that_is_gone_beside_others_is_no_correction() -> None:
    index = Lexical()
    index.fill([("1", "a", "hallucination"), ("2", "b", "moon")])  # in one segment
    index.remove("a")
    assert index.words.corrected("halucination") == "halucination"


def test_a_change_that_fails_halfway_changes_nothing() -> None:
    index = index_of(a=["the moon"])

    def rows() -> Iterator[tuple[str, str, str]]:
        yield "b-0", "b", "the moon"
        raise OSError("the store is gone")

    with pytest.raises(StoreError, match="the store is gone"):
        index.fill(rows(), gone=["a"])
    assert found(index, "moon") == ["a-0"]
    index.replace("c", [("c-0", "the moon")])
    assert set(found(index, "moon")) == {"a-0", "c-0"}


@pytest.mark.parametrize("part", ["chunks", "windows"])
@pytest.mark.parametrize("killed", [False, True])
def test_a_commit_to_one_part_alone_is_made_good(part: str, killed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    index = index_of(old=["the river"])
    failing = index.index.parts[part == "windows"]
    real = failing.writer

    class Full:
        """The part's writer on a full disk."""

        def __init__(self) -> None:
            self._writer = real()

        def __getattr__(self, name: str) -> Any:
            return getattr(self._writer, name)

        def commit(self) -> int:
            raise OSError("No space left on device")

    monkeypatch.setattr(failing, "writer", Full)
    row = Row("new-0", "new", "source", "the moon")
    with pytest.raises(StoreError):
        index.index.apply(9, ["old"], [row])
    monkeypatch.undo()
    words = index.index
    if killed:  # what the next process finds
        shutil.copytree(index.path, index.path.parent / "copy")
        words = WordIndex(index.path.parent / "copy", "library")
    there = words.revisions()
    words.apply(9, there - {"new"}, [] if "new" in there else [row])
    assert words.words.rankings("moon", 9) == (["new-0"], ["new-0"])
    assert words.words.rankings("river", 9) == ([], [])
    assert len(words.words) == 1


def test_a_source_is_found_replaced_and_gone_at_once() -> None:
    index = index_of(a=["the moon"], b=["the river"])
    assert found(index, "moon") == ["a-0"]
    index.replace("a", [("a-new", "the cheese")])
    assert (found(index, "moon"), found(index, "cheese")) == ([], ["a-new"])
    index.remove("a")
    index.remove("never there")
    assert (found(index, "cheese"), found(index, "river"), len(index.words)) == ([], ["b-0"], 1)


def test_a_scope_limits_the_search() -> None:
    index = index_of(a=["the moon"], b=["the moon rises"], c=["river"])
    assert found(index, "moon", 10, "b") == ["b-0"]
    assert set(found(index, "moon", 10, "a", "b", "nowhere")) == {"a-0", "b-0"}
    assert found(index, "moon", 10, "nowhere") == []


def test_after_any_changes_it_is_as_if_made_anew() -> None:
    rng = random.Random(5)
    vocabulary = [f"word{number}" for number in range(60)]
    index, sources = Lexical(), dict[str, list[str]]()
    for step in range(40):
        source = f"s{rng.randrange(20)}"
        if rng.random() < 0.3:
            index.remove(source)
            sources.pop(source, None)
        else:
            texts = [" ".join(rng.choices(vocabulary, k=rng.randint(1, 30))) for _ in range(rng.randint(1, 8))]
            index.replace(source, [(f"{source}-{number}", text) for number, text in enumerate(texts)])
            sources[source] = texts
        if step % 20 == 19:
            anew = index_of(**sources)
            question = " ".join(rng.sample(vocabulary, 4))
            assert len(index.words) == len(anew.words)
            mine, other = dict(index.words.search(question, 1000)), dict(anew.words.search(question, 1000))
            assert mine.keys() == other.keys()
            # What is gone counts in how rare words are until tantivy merges its segments; it moves scores by a little.
            assert all(mine[row] == pytest.approx(other[row], rel=0.2) for row in mine)


def test_readers_see_one_version_whole_while_others_write() -> None:
    index = index_of(other=["river"] * 50)
    wrong: list[list[str]] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            versions = {row.split("-")[0] for row, _ in index.words.search("moon", 100)}
            if len(versions) > 1:
                wrong.append(sorted(versions))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for version in range(10):
        index.replace("a", [(f"{version}-{number}", "moon river") for number in range(20)])
    done.set()
    for reader in readers:
        reader.join(30)
    assert wrong == []
    assert len(index.words.search("moon", 100)) == 20


def test_words_that_stand_close_together_make_a_better_window() -> None:
    filler = "filler " * 80
    index = index_of(far=[f"Heading\nmoon {filler} river"], near=[f"Heading\n{filler * 2} the moon over the river"])
    whole, by_window = index.words.rankings("moon and river", 10)
    assert whole == ["far-0", "near-0"], "the shorter chunk is the better whole"
    assert by_window == ["near-0", "far-0"]
    assert set(index.words.rankings("heading", 10)[1]) == {"far-0", "near-0"}, "each window has the heading, too"
    assert index.words.rankings("moon", 1, ["far"]) == (["far-0"], ["far-0"])


def test_it_is_on_disk_and_a_second_opening_writes_nothing() -> None:
    index = index_of(a=["the moon"], b=["the river"])
    before = {path: path.stat().st_mtime_ns for path in index.path.rglob("*") if path.is_file()}
    again = WordIndex(index.path.parent / "copy", "library")
    assert (again.number, len(again.words)) == (-1, 0)
    shutil.copytree(index.path, index.path.parent / "moved")
    again = WordIndex(index.path.parent / "moved", "library")
    assert (again.number, len(again.words), again.revisions()) == (index.index.number, 2, {"a", "b"})
    assert [row for row, _ in again.words.search("moon", 9)] == ["a-0"]
    assert before == {path: path.stat().st_mtime_ns for path in index.path.rglob("*") if path.is_file()}


@pytest.mark.parametrize("damage", ["another library", "no state", "meta.json", "an older format"])
def test_a_folder_that_is_not_what_it_should_be_begins_empty(damage: str) -> None:
    index = index_of(a=["the moon"])
    copy = index.path.parent / "copy"
    shutil.copytree(index.path, copy)
    state = copy / "state.json"
    if damage == "no state":
        state.unlink()
    elif damage == "meta.json":
        (copy / "chunks" / "meta.json").write_bytes(b"x")
    elif damage == "an older format":
        state.write_text(state.read_text().replace(f'"format": {FORMAT}', '"format": 1'))
    again = WordIndex(copy, "other" if damage == "another library" else "library")
    assert (again.number, len(again.words)) == (-1, 0)
    again.apply(1, [], [Row("b-0", "b", "b", "the river")])
    assert [row for row, _ in again.words.search("river", 9)] == ["b-0"]


def test_what_a_question_began_with_stays_as_it_was() -> None:
    index = index_of(a=["the moon"])
    words = index.words
    index.remove("a")
    assert [row for row, _ in words.search("moon", 9)] == ["a-0"]
    assert index.words.search("moon", 9) == []


def test_the_parts_of_a_name_of_code_have_one_names_weight() -> None:
    weights = word_weights("What is the default of MaxRetentionSec?")
    assert weights[stem("maxretentionsec")] == 1.0
    assert sum(weights[stem(part)] for part in ("max", "retention", "sec")) <= 1.0
    assert word_weights("How long is the retention of MaxRetentionSec?")["retent"] == rarity("retention")
