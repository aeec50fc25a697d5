"""Inline thinking is told apart from the answer, however the reply is cut into pieces."""

from __future__ import annotations

import pytest

from rag.answers.thinking import ThinkingFilter, without_thinking


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("<think>Let me see.</think>Blue.", "Blue."),
        (" \n<think>\nLet me see.\n</think>\n\nBlue <think> green.", "Blue <think> green."),
        ("<thinking>a</thinking> Blue.", "Blue."),
        ("<think></think><think>a</think>Blue.", "Blue."),
        ("<think>without an end", ""),
        ("Use <think>tags</think> in it.", "Use <think>tags</think> in it."),
        ("<thanks> to all", "<thanks> to all"),
        ("<thi", "<thi"),
        ("", ""),
    ],
)
def test_the_answer_is_what_is_left(reply: str, answer: str) -> None:
    assert without_thinking(reply) == answer
    for size in range(1, len(reply) + 1):
        told = ThinkingFilter()
        shown = "".join(told.feed(reply[at : at + size]) for at in range(0, len(reply), size))
        assert shown + told.rest() == answer, size


def test_it_says_while_it_lasts() -> None:
    told = ThinkingFilter()
    states = [(told.feed(piece), told.thinking) for piece in ("<th", "ink>a", "b</thi", "nk>", "\n\n", "Blue", ".")]
    assert states == [("", False), ("", True), ("", True), ("", False), ("", False), ("Blue", False), (".", False)]
