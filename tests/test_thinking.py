"""Inline thinking is told apart from the answer, however the reply is cut into pieces."""

from __future__ import annotations

import pytest

from rag.answers.thinking import ThinkingFilter, without_thinking


def told_of(reply: str, size: int, *, within: bool = False) -> tuple[str, str, bool]:
    """What is left as thinking and as answer of a reply in pieces of `size`, and whether it had a closing tag alone."""
    told, thinking, answer = ThinkingFilter(within=within), "", ""
    for at in range(0, len(reply), size):
        piece = told.feed(reply[at : at + size])
        if piece.moved:
            thinking, answer = thinking + answer, ""
        thinking, answer = thinking + piece.thinking, answer + piece.answer
    rest = told.rest()
    return thinking + rest.thinking, answer + rest.answer, told.lone


@pytest.mark.parametrize(
    ("reply", "thinking", "answer"),
    [
        ("<think>Let me see.</think>Blue.", "Let me see.", "Blue."),
        (
            " \n<think>\nLet me see.\n</think>\n\nBlue <think> or </think> green.",
            "\nLet me see.\n",
            "Blue <think> or </think> green.",
        ),
        ("<thinking>a</thinking> Blue.", "a", "Blue."),
        ("[THINK]Let me see.[/THINK]Blue.", "Let me see.", "Blue."),
        ("<think></think><think>a</think>Blue.", "a", "Blue."),
        ("<think>without an end", "without an end", ""),
        ("Use <think>tags</think> in it.", "", "Use <think>tags</think> in it."),
        ("It ends with </think> there.", "", "It ends with </think> there."),
        ("Let me see.\n</think>\n\nBlue.", "Let me see.\n", "Blue."),
        ("Let me see.</think>\n\nBlue.</think>", "Let me see.", "Blue.</think>"),
        ("```\n</think>\n```\nis a tag.", "", "```\n</think>\n```\nis a tag."),
        ("<thanks> to all", "", "<thanks> to all"),
        ("  <thi", "", "  <thi"),
        ("a < b and b </th", "", "a < b and b </th"),
        ("", "", ""),
    ],
)
def test_the_answer_is_what_is_left(reply: str, thinking: str, answer: str) -> None:
    assert without_thinking(reply) == answer
    for size in range(1, len(reply) + 1):
        assert told_of(reply, size)[:2] == (thinking, answer), size


@pytest.mark.parametrize(
    ("reply", "thinking", "answer", "lone"),
    [
        ("Let me see, </think> Blue.", "Let me see, ", "Blue.", True),
        ("<think>Let me see.</think> Blue.", "Let me see.", "Blue.", False),
        ("Blue, without a tag.", "Blue, without a tag.", "Blue, without a tag.", False),
    ],
)
def test_a_model_is_known_to_begin_within_its_thinking(reply: str, thinking: str, answer: str, lone: bool) -> None:
    """Where it did not this time, what it wrote is its answer."""
    for size in range(1, len(reply) + 1):
        found = told_of(reply, size, within=True)
        assert found[1:] == (answer, lone), size
        assert thinking.startswith(found[0]), size


def test_thinking_comes_as_it_is_thought() -> None:
    told = ThinkingFilter()
    states = [tuple(told.feed(piece)[:2]) for piece in ("<th", "ink>a", "b</thi", "nk>", "\n\n", "Blue", ".")]
    assert states == [("", ""), ("a", ""), ("b", ""), ("", ""), ("", ""), ("", "Blue"), ("", ".")]
