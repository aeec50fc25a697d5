"""Answers that loop are told from texts that repeat words for a reason."""

from __future__ import annotations

import random

import pytest

from rag.answers.repeats import RepeatWatch

LOOPS = {
    "a clause": "The vote ended with a motion to be allowed" + " to be allowed" * 20,
    "a sentence": "It is kept for thirty days. " + "A backup runs each night at two. " * 4,
    "a word": "It is very" + " very" * 30,
    "a list": "Tools:\n" + "- the calculator\n- the search\n- the calendar\n" * 4,
    "Chinese": "记忆" + "用来保存事实。" * 5,
    "German": "Es gilt: " + "Wer den Schlüssel verliert, zahlt neun Euro. " * 3,
    "rows": " ".join(f"- Flaw {n}: SQL injection, in {n + 2} of all programs looked at." for n in (4, 5, 6)) * 3,
    "after code": "```\nx = 1\n```\n" + "Run it once and then again. " * 5,
}
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
def test_a_loop_is_noticed_before_its_fourth_round_or_soon(name: str) -> None:
    for seed in range(5):
        watch, parts = RepeatWatch(), pieces(LOOPS[name], seed)
        noticed = [number for number, piece in enumerate(parts) if watch.feed(piece)]
        assert noticed
        assert sum(map(len, parts[: noticed[0]])) < len(LOOPS[name])


@pytest.mark.parametrize("name", NONE)
def test_what_repeats_for_a_reason_is_no_loop(name: str) -> None:
    for seed in range(5):
        watch = RepeatWatch()
        assert not any(watch.feed(piece) for piece in pieces(NONE[name], seed))
