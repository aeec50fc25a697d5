"""Answers that went wrong: kept, listed, made cases for `eval`, and asked again of other settings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from langchain_core.documents import Document

from rag.answers.update import Timings, Update
from rag.doors.cases import Setup, as_lines, cases, compare, note_mistakes
from rag.doors.evaluate import EvalQuestion, Outcome, figures, load_questions
from rag.grounding.ground import Sentence
from rag.library import feedback
from rag.library import mistakes as kept
from rag.library.database import Database, open_database
from rag.library.feedback import Thumb, keep_thumb
from rag.library.mistakes import Mistake, choose_cases, forget_mistakes, keep_mistake, list_mistakes
from rag.page.wrong import show_comparison, show_mistakes
from tests.commands import run
from tests.conftest import wait_until
from tests.serving import Served, serve

ANSWER = "The moon is round. It has 12 seas. Hello!"
UNSUPPORTED = Update(
    "done",
    ANSWER,
    passages=(Document("The moon is round."),),
    asked="What is the moon like?",
    grounding=(
        Sentence(0, 18, 1, (0, 18)),
        Sentence(19, 34, why="the number 12"),
        Sentence(35, 41, claims=False),
    ),
)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    (tmp_path / "data").mkdir()
    made = open_database(tmp_path / "data", None)
    yield made
    made.close()


def test_what_went_wrong_with_an_answer_is_kept(database: Database) -> None:
    note_mistakes(database, "And the moon?", UNSUPPORTED)
    note_mistakes(database, "Who is the queen?", Update("done", "The library does not say.", refused=True))
    note_mistakes(database, "Fine?", Update("done", "The moon is round.", grounding=UNSUPPORTED.grounding[:1]))
    note_mistakes(database, "Quoted?", Update("done", ANSWER, quoted=True, grounding=UNSUPPORTED.grounding))
    refused, unsupported = list_mistakes(database)
    assert (refused.kind, refused.question, refused.detail) == ("refused", "Who is the queen?", "")
    assert (unsupported.kind, unsupported.question) == ("unsupported", "What is the moon like?")
    assert unsupported.detail == "It has 12 seas. (no passage says the number 12)"


def test_a_thumb_down_is_listed_until_it_is_taken_back(database: Database) -> None:
    keep_thumb(database, Thumb("Good?", "Yes.", True))
    keep_thumb(database, Thumb("Why?", "Because.", False, reason="Incomplete"))
    found = [(each.kind, each.question, each.detail) for each in list_mistakes(database)]
    assert found == [("thumb", "Why?", "Incomplete")]
    keep_thumb(database, Thumb("Why?", "Because.", None))
    assert list_mistakes(database) == []


def test_cases_are_questions_for_eval(database: Database, tmp_path: Path) -> None:
    keep_thumb(database, Thumb("Why?", "Because.", False))
    for question in ("One?", "Two?"):
        keep_mistake(database, Mistake("refused", question, "No."))
    choose_cases(database, [each for each in list_mistakes(database) if each.question != "One?"], is_case=True)
    assert sorted(each.question for each in list_mistakes(database)) == ["One?", "Two?", "Why?"]
    forget_mistakes(database)
    keep_mistake(database, Mistake("refused", "Two?", "No again."))  # it stays a case
    assert {each.question: each.answer for each in list_mistakes(database)} == {"Two?": "No again.", "Why?": "Because."}
    path = tmp_path / "cases.jsonl"
    path.write_text(as_lines(cases(database)), encoding="utf-8")
    assert {(each.question, each.kind, each.judged) for each in load_questions(path)} == {
        ("Two?", "refused", False),
        ("Why?", "thumb", False),
    }
    printed = run(tmp_path, "cases")
    assert [json.loads(line) for line in printed.stdout.splitlines()] == [
        json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()
    ]
    choose_cases(database, list_mistakes(database), is_case=False)
    assert cases(database) == []


def test_nobody_knows_whether_a_case_can_be_answered() -> None:
    """So it counts neither as answerable nor as unanswerable."""
    told = figures([Outcome(EvalQuestion(question="Why?", judged=False), 0, 0.1, refused=True)])
    assert (told["unanswerable"], told["correct_refusals"], told["wrong_refusals"]) == (0, None, None)


def test_so_many_are_kept_and_no_more(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST", 5)
    keep_mistake(database, Mistake("refused", "case?", "No.", is_case=True))
    for number in range(9):
        keep_mistake(database, Mistake("refused", f"{number}?", "No."))
    assert [each.question for each in list_mistakes(database)] == ["8?", "7?", "6?", "5?", "4?", "case?"]


def test_of_thumbs_the_newest_are_kept(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feedback, "MOST", 3)
    for number in range(5):
        keep_thumb(database, Thumb(f"{number}?", "No.", False))
    assert [each.question for each in feedback.thumbs(database)] == ["2?", "3?", "4?"]


def test_a_database_that_fails_is_logged_and_the_answer_stays(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with database.write() as connection:
        kept.table.drop(connection)
    note_mistakes(database, "And the moon?", UNSUPPORTED)
    assert "is not kept" in caplog.text


def test_what_is_listed_is_shown_as_text() -> None:
    shown = show_mistakes([Mistake("unsupported", '<img src=x onerror="a()">', "<b>", "<script>")])
    assert "<img" not in shown and "<script" not in shown and "&lt;img src=x onerror=&quot;a()&quot;&gt;" in shown
    claims = (Sentence(0, 3, 1, (0, 3)), Sentence(3, 9))
    outcome = Update("done", "<i>answer</i>", timings=Timings(total=0.5), grounding=claims), None
    table = show_comparison(["<a>", "b"], [(EvalQuestion(question="<u>"), [outcome, outcome])], 3)
    assert "<i>" not in table and "<u>" not in table and "<a>" not in table
    assert "1 of 3 cases asked" in table and "1 of 2 sentences supported, 0 refused, 0.5 s each" in table


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("mistakes")
    for name in ("plan", "tool"):
        (folder / f"{name}.md").write_text(f"A {name} is what an agent has. " * 8, encoding="utf-8")
    made = serve(folder, sources=tuple(str(folder / f"{name}.md") for name in ("plan", "tool")))
    wait_until(lambda: len(made.assistant.sources) == 2, 60)  # it is ready once it can answer from one
    yield made
    made.close()


async def test_cases_are_asked_of_two_setups(served: Served) -> None:
    questions = [EvalQuestion(question="What is a plan?"), EvalQuestion(question="What is a tool?")]
    setups = [Setup(), Setup("ollama:llama3", 1), Setup("ollama:nothing")]
    rows = [row async for row in compare(served.assistant, questions, setups)]
    assert [question for question, _ in rows] == questions
    for _, (own, other, missing) in rows:
        assert own[0].text == other[0].text == "An agent plans its tasks." and not own[1]
        assert "nothing" in str(missing[1])
    asked = [item.body for item in served.server.requests if item.path == "/api/chat"]
    lengths = [len(body["messages"][-1]["content"]) for body in asked]
    assert len(lengths) == 4 and lengths[1] < lengths[0] and lengths[3] < lengths[2]
