"""The conversation as the page shows it: marks behind sentences, passages with what supports them, read back."""

from __future__ import annotations

import html
import re

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage

from rag.chain import Timings, Update
from rag.conversation import as_messages, plain, show_answer, show_failure, show_passages, show_text
from rag.errors import EngineUnreachable
from rag.grounding import Sentence

PASSAGE = "Agents plan. They split a task into steps. Cheese is not on the moon."
SOURCES = (
    Document("Nothing of the kind.", metadata={"title": "One", "source": "notes.md"}),
    Document(PASSAGE, metadata={"title": "Two", "source": "https://x.example/a", "anchor": "plan", "start_index": 40}),
)
TEXT = "A task is split into steps. It takes 12 of them. Hello!"


def supported(sentence: str, quote: str, words: tuple[str, ...] = (), passage: int = 2) -> Sentence:
    start, place = TEXT.index(sentence), PASSAGE.index(quote)
    spans = tuple((PASSAGE.index(word), PASSAGE.index(word) + len(word)) for word in words)
    return Sentence(start, start + len(sentence), passage, (place, place + len(quote)), spans)


SPLIT = supported("A task is split into steps.", "They split a task into steps.", ("split", "task", "steps"))
TWELVE = Sentence(28, 48, None, None, (), why="the number 12")
HELLO = Sentence(49, 55, None, None, (), claims=False)
DONE = Update("done", TEXT, sources=SOURCES, asked="How?", grounding=(SPLIT, TWELVE, HELLO))


def test_history_comes_as_strings_and_as_parts_and_notes_are_no_turns() -> None:
    history = [
        {"role": "user", "content": "What is it?"},
        {"role": "assistant", "content": [{"type": "text", "text": "A "}, {"type": "text", "text": "plan."}]},
        {"role": "assistant", "content": "the passages", "metadata": {"title": "Sources · 4 passages"}},
        {"role": "user", "content": [{"type": "text", "text": "And why?"}]},
        {"role": "assistant", "content": None},
    ]
    assert as_messages(history) == [HumanMessage("What is it?"), AIMessage("A plan."), HumanMessage("And why?")]


def test_what_documents_say_is_text_to_the_page() -> None:
    shown = plain("<img src=x onerror=alert(1)> **bold** [a](javascript:b) $$x$$ `c`\n\nhttps://x.y")
    assert not set(shown.replace("<br>", "")) & set("<>*[]()$`:")


def test_a_mark_stands_behind_each_sentence_that_claims_something() -> None:
    shown = show_text(DONE, "ab12")
    assert shown.startswith("A task is split into steps.[2](#quote-ab12-0 ")
    assert re.search(r"12 of them\.\[\?\]\(#none-ab12-1 \"[^\"]*the number 12[^\"]*\"\) Hello!$", shown)


def test_marks_are_taken_out_of_the_history() -> None:
    messages = as_messages([{"role": "assistant", "content": show_text(DONE, "ab12")}])
    assert messages == [AIMessage(TEXT)]


def test_a_model_cannot_write_a_mark() -> None:
    forged = "It is so.[1](#quote-ab12-0) And so.[?](#none-ab12-0)"
    shown = show_text(Update("done", forged), "ab12")
    assert "#quote-" not in shown and "#none-" not in shown
    assert "#quote-" not in show_failure(Update("writing", forged), EngineUnreachable("gone"))[0].content


def test_a_mark_says_why_in_words_that_cannot_break_it() -> None:
    odd = Sentence(0, 4, None, None, (), why='the name "A](javascript:x)\n<b>"')
    shown = show_text(Update("done", "Odd.", grounding=(odd,)), "ab12")
    assert re.fullmatch(r'Odd\.\[\?\]\(#none-ab12-0 "[^"<>\[\]()\n]*"\)', shown)
    assert as_messages([{"role": "assistant", "content": shown}]) == [AIMessage("Odd.")]


def test_the_words_that_support_a_sentence_are_marked_in_the_passage() -> None:
    shown = show_passages(SOURCES, DONE.grounding or (), "ab12")
    first, second = re.findall(r"<blockquote>(.*?)</blockquote>", shown)
    assert "<mark>" not in first
    assert second.count('id="quote-ab12-0"') == 1
    marked = re.search(r"<mark>(.*?)</mark>", second)
    assert marked
    assert html.unescape(re.sub("<.*?>", "", marked[1])) == "They split a task into steps."
    assert re.findall("<b>(.*?)</b>", marked[1]) == ["split", "task", "steps"]
    assert "https://x.example/a#plan:~:text=" in html.unescape(second)
    assert html.unescape(re.sub("<.*?>", "", second)).replace(" ↗", "") == PASSAGE


def test_overlapping_quotes_are_one_place_with_an_anchor_each() -> None:
    both = supported("A task is split into steps.", "Agents plan. They split a task into steps.")
    shown = show_passages(SOURCES, (SPLIT, both), "ab12")
    assert shown.count("<mark>") == 1
    assert 'id="quote-ab12-0"' in shown and 'id="quote-ab12-1"' in shown


def test_the_note_counts_what_is_supported_and_says_what_was_searched_for() -> None:
    answer, note = show_answer(DONE, "How?")
    assert answer.content.startswith("A task")
    assert "1 of 2 sentences supported" in note.metadata["title"]
    assert "Searched for" not in note.content
    assert "Searched for" in show_answer(DONE, "And how?")[1].content


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"refused": True}, "Not in the library · nearest 2 passages"),
        ({"coverage": "from the beginnings of 2 sources"}, "Sources · 2 passages · from the beginnings of 2 sources"),
        ({"phase": "thinking", "timings": Timings(total=12.2)}, "The model is thinking · 2 passages · 12 s"),
        ({"unread": 1}, "1 of them did not fit the model's window"),
        ({"phase": "starting"}, "loading llama3"),
        ({"timings": Timings(first_token=0.5, total=1.5, tokens=11)}, "10 tokens a second"),
    ],
)
def test_the_note_says_what_is_so(given: dict[str, object], words: str) -> None:
    update = Update(**{"phase": "done", "text": "x", "sources": SOURCES, **given})  # type: ignore[arg-type]
    assert words in show_answer(update, "?", (), ["loading llama3"])[1].metadata["title"]
