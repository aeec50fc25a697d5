"""Questions with known passages: figures to check on paper, the command, the bundled set on the real small model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rag.__main__ import main
from rag.doors.evaluate import EvalQuestion, Outcome, has_words, load_questions, rank_of, report, settings_of, table
from rag.errors import QuestionError, SettingsError
from tests.conftest import NO_OLLAMA, ROOT, SMALLEST
from tests.minilm import shared_minilm

BUNDLED = ROOT / "tests" / "data" / "questions.jsonl"
ARTICLE = ROOT / "tests" / "data" / "agent_page.jsonl"
DOCUMENTS = [ROOT / name for name in ("rag/guide.md", "README.md", "CHANGELOG.md")]
DOCUMENTS += [ROOT / "docs" / name for name in ("reference.md", "how-it-works.md")]


def outcome(rank: int, kind: str = "fact", **given: Any) -> Outcome:
    gold = given.pop("gold", ["x"])
    words = given.pop("answer_contains", [])
    return Outcome(EvalQuestion(question="?", kind=kind, gold=gold, answer_contains=words), rank, 0.02, **given)


def test_the_figures_are_these() -> None:
    told = report([outcome(1), outcome(2), outcome(5, "why"), outcome(0, "why"), outcome(0, "odd", gold=[])])
    assert (told["questions"], told["unanswerable"]) == (5, 1)
    assert [told[name] for name in ("hit@1", "hit@4", "hit@8")] == [0.25, 0.5, 0.75]
    assert told["mrr"] == pytest.approx((1 + 1 / 2 + 1 / 5) / 4)
    assert told["retrieval_ms"] == 20
    assert told["kinds"]["fact"]["hit@4"] == 1.0
    assert told["kinds"]["why"]["hit@8"] == 0.5
    assert told["kinds"]["odd"]["hit@1"] is None
    unknown = ("answers", "supported", "correct_refusals", "wrong_refusals", "first_token", "tokens_per_second")
    assert all(told[name] is None for name in unknown)


def test_the_figures_of_answers_are_these() -> None:
    words = [["Paris", "Lutetia"], ["Seine"]]
    told = report(
        [
            outcome(1, answer="In PARIS,\non the seine.", answer_contains=words, first_token=1.0, supported=1.0),
            outcome(1, answer="In Paris.", answer_contains=words, first_token=2.0, supported=0.5, refused=True),
            outcome(0, gold=[], answer="It does not say.", refused=True, tokens_per_second=10.0),
            outcome(0, gold=[], answer="", refused=False, error="The engine is gone."),
        ]
    )
    assert (told["answers"], told["supported"], told["first_token"]) == (0.5, 0.75, 1.5)
    assert (told["correct_refusals"], told["wrong_refusals"]) == (0.5, 1.0)
    assert (told["tokens_per_second"], told["errors"]) == (10.0, 1)


def test_white_space_does_not_matter() -> None:
    assert rank_of(["one  two"], ["zero", "has one\n two inside"]) == 2
    assert rank_of(["one two", "zero"], ["zero", "one two"]) == 1
    assert rank_of(["three"], ["zero"]) == 0
    assert has_words("A  B", [["a b"]])
    assert not has_words("A", [["a"], ["b"]])


def test_reports_stand_side_by_side() -> None:
    lines = table([report([outcome(1)]), report([outcome(2)])], answers=True).splitlines()
    assert lines[0].split()[:3] == ["kind", "questions", "hit@1"]
    assert "1.0 / 0.0" in lines[1] and lines[-1].startswith("all")
    assert "- / -" in lines[-1]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"question": "a"}\n{"question": ""}', "line 2: question"),
        ("[]", "line 1"),
        ("{", "line 1"),
        ('{"question": "a", "history": [{"role": "system", "content": "x"}]}', "history.0.role"),
        ("", "no questions"),
    ],
)
def test_a_line_that_is_wrong_is_named(tmp_path: Path, line: str, told: str) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text(line, encoding="utf-8")
    with pytest.raises(QuestionError, match=told):
        load_questions(path)


def test_fields_of_other_programs_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text('{"id": 7, "question": "What?", "gold": ["x"], "source": {"page": 3}}', encoding="utf-8")
    assert [(item.question, item.gold) for item in load_questions(path)] == [("What?", ["x"])]


def test_a_file_that_is_missing_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", str(tmp_path / "none.jsonl")]) == 1
    assert "none.jsonl cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("pair", ["RAG_RETRIEVER", "retriever=dense", "RAG_NOTHING=1"])
def test_what_is_no_setting_is_refused(pair: str) -> None:
    with pytest.raises(SettingsError, match=r"not a setting and its value"):
        settings_of([pair])
    assert settings_of(["RAG_RETRIEVER=dense", "RAG_K=8"]) == {"retriever": "dense", "k": "8"}


def test_the_bundled_questions_are_about_the_bundled_documents() -> None:
    text = " ".join(" ".join(path.read_text(encoding="utf-8") for path in DOCUMENTS).split())
    questions = load_questions(BUNDLED)
    assert len([item for item in questions if item.gold]) >= 80
    for item in questions:
        assert all(" ".join(gold.split()) in text for gold in item.gold), item.question
        assert bool(item.gold) == bool(item.answer_contains) == (item.kind != "unanswerable")


def test_the_questions_on_the_article_are_of_every_kind() -> None:
    questions = load_questions(ARTICLE)
    kinds = {item.kind for item in questions}
    assert kinds == {"fact", "how", "why", "keyword", "typo", "paraphrase", "multi", "unanswerable"}
    assert len([item for item in questions if item.gold]) >= 40
    for item in questions:
        assert bool(item.gold) == bool(item.answer_contains) == (item.kind != "unanswerable")


def test_the_bundled_questions_find_their_passages(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", NO_OLLAMA)
    monkeypatch.setenv("RAG_MODEL", SMALLEST)
    monkeypatch.setattr("rag.models.minilm.MiniLMEmbeddings", lambda *_: shared_minilm())
    sources = [argument for path in DOCUMENTS for argument in ("--source", str(path))]
    command = ["eval", str(BUNDLED), "--retrieval-only", "--json", "--data-dir", str(tmp_path / "data"), *sources]
    assert main([*command, "--against", "RAG_RETRIEVER=dense"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["questions"], told["unanswerable"]) == (102, 10)
    assert told["hit@1"] >= 0.88
    assert told["hit@4"] >= 0.95
    assert told["hit@8"] >= 0.97
    assert told["kinds"]["typo"]["hit@4"] >= 0.9
    assert told["against"]["hit@1"] < told["hit@1"]
    assert told["against"]["kinds"]["typo"]["hit@4"] < told["kinds"]["typo"]["hit@4"]
    assert told["answers"] is None and told["errors"] == 0


def test_answers_of_the_real_small_model_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", NO_OLLAMA)
    monkeypatch.setenv("RAG_MODEL", SMALLEST)
    monkeypatch.setattr("rag.models.minilm.MiniLMEmbeddings", lambda *_: shared_minilm())
    path = tmp_path / "q.jsonl"
    lines: list[dict[str, Any]] = [
        {
            "question": "What is task decomposition?",
            "gold": ["smaller and simpler steps"],
            "answer_contains": [["task"]],
        },
        {"question": "And why is it used?", "history": [{"role": "user", "content": "What is task decomposition?"}]},
    ]
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    data = str(tmp_path / "data")
    assert main(["eval", str(path), "--json", "--data-dir", data, "--source", "bundled:guide.md"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["questions"], told["hit@4"], told["answers"], told["errors"]) == (2, 1.0, 1.0, 0)
    assert told["first_token"] > 0 and told["tokens_per_second"] > 0
    assert "kinds" in told and "against" not in told
