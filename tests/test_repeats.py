"""Answers that loop are cut where they begin to; texts that repeat words for a reason stay as they are."""

from __future__ import annotations

import random

import pytest

from rag.answers.repeats import RepeatWatch

ROWS = " ".join(f"- Flaw {n}: SQL injection, in {n + 2} of all programs looked at." for n in (4, 5, 6))
LOOPS = {
    "a clause": ("The vote ended with a motion to be allowed", " to be allowed" * 20),
    "a sentence": (
        "It is kept for thirty days. A backup runs each night at two.",
        " A backup runs each night at two." * 3,
    ),
    "a word": ("It is very", " very" * 30),
    "a list": (
        "Tools:\n- the calculator\n- the search\n- the calendar",
        "\n- the calculator\n- the search\n- the calendar" * 3,
    ),
    "Chinese": ("记忆用来保存事实。", "用来保存事实。" * 4),
    "German": (
        "Es gilt: Wer den Schlüssel verliert, zahlt neun Euro.",
        " Wer den Schlüssel verliert, zahlt neun Euro." * 4,
    ),
    "rows": (ROWS, f" {ROWS}" * 2),
    "after code": ("```\nx = 1\n```\nRun it once and then again.", " Run it once and then again." * 4),
}
"""What is said once, and then again."""
NONE = {
    "a refrain": "Row, row, row your boat. Very, very, very good. No, no, no.",
    "a table": "| name | price | stock |\n|---|---|---|\n"
    + "".join(f"| plant {n} | {n}.50 | 0 |\n" for n in range(40)),
    "a line": "Title\n" + "-" * 80 + "\n" + "=" * 80 + "\nText.",
    "code": "```python\n" + "print('again and again')\n" * 30 + "```\nThat is all.",
    "items": "".join(f"{n}. Open the lid, take the filter out and rinse cup {n}.\n" for n in range(1, 30)),
    "two rows alike": "- Pot of ten litres, sun: 12.\n- Pot of ten litres, sun: 13.\n" * 2 + "That is all of them.",
    "zeros": "The rows are " + "0, " * 60,
}


def pieces(text: str, seed: int) -> list[str]:
    draw, found, place = random.Random(seed), [], 0
    while place < len(text):
        size = draw.randint(1, 9)
        found.append(text[place : place + size])
        place += size
    return found


@pytest.mark.parametrize("name", LOOPS)
def test_an_answer_is_cut_before_its_second_round(name: str) -> None:
    once, again = LOOPS[name]
    for seed in range(5):
        watch, parts = RepeatWatch(), iter(pieces(once + again, seed))
        shown = ""
        for piece in parts:
            shown += watch.feed(piece)
            if watch.looping:
                break
        assert watch.looping and (shown + watch.rest()).rstrip() == once
        assert next(parts, ""), "it was noticed before the end"
    whole = RepeatWatch()
    assert whole.feed(once + again) == once


@pytest.mark.parametrize("name", NONE)
def test_what_repeats_for_a_reason_is_no_loop(name: str) -> None:
    for seed in range(5):
        watch = RepeatWatch()
        assert "".join(map(watch.feed, pieces(NONE[name], seed))) + watch.rest() == NONE[name]
        assert not watch.looping


def test_words_that_stand_nowhere_before_are_shown_at_once() -> None:
    watch = RepeatWatch()
    for piece in ("Plan", "ning", " splits", " big", " tasks", "."):
        assert watch.feed(piece) == piece
    assert watch.feed(" Big") == ""
    assert watch.feed("ger") == " Bigger"
