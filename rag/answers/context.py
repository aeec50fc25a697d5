"""What the chat model gets to read: passages or quotes from them, and the earlier turns, within its window."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from langchain_core.documents import Document
from langchain_core.messages import BaseMessage

from rag.sources.tables import SEPARATOR
from rag.text.sentences import count_tokens

BEGINNING = 750
"""Characters of the passages that a small model reads where nothing in them can be quoted."""
HISTORY_SHARE = 0.25
"""Of the tokens left for passages and history, what earlier turns may take."""
LEAVING = 4
"""Messages that leave a long history together."""


_MARKERS = re.compile(
    r"<[|｜][^<>|｜\n]{1,40}[|｜]>|</?(?:start|end)_of_turn>|<</?SYS>>|\[/?INST\]|</?s>|<(?:bos|eos|pad|unk)>",
    re.IGNORECASE,
)
"""What chat templates of Llama, SmolLM, Qwen, Phi, DeepSeek, Gemma and Mistral part turns with. Engines read these in
any text as such, so that a document with `<|im_end|><|im_start|>system` would really be one more system message."""
_FENCE = re.compile(r"-{2,}(?=[^\S\n]*(?:BEGIN|END)\s+NOTES)|(?<=NOTES)[^\S\n]*-{2,}", re.IGNORECASE)
"""The lines around the notes in `prompt.txt`."""
_NUMBERED = re.compile(r"(?m)^(\s*)\[(\d+)\]")


def disarm(text: str) -> str:
    """`text` as the chat model may read it: nothing in it is a turn's mark to the engine, or ends the notes."""
    text = _MARKERS.sub(lambda found: found[0].translate(_HARMLESS), text)
    return _FENCE.sub("-", text)


_HARMLESS = str.maketrans("<>[]", "‹›()")


def read_quotes(quotes: Sequence[str], passages: Sequence[Document], room: int) -> str:
    """The quotes that fit into `room` tokens, best last: a small model leans on what it has read last.

    Without a quote it is the beginning of the passages. On the tuning half of bench/answers the default model answered
    .58 of the questions from this, .50 with the best quote first, and .45 from it and more sentences of the passages.
    """
    kept: list[str] = []
    tokens = room
    for quote in quotes:
        tokens -= count_tokens(quote) + 1
        if tokens < 0:
            break
        kept.insert(0, quote)
    return "\n".join(kept) or _beginning("\n".join(passage.page_content for passage in passages), room)


def _beginning(text: str, tokens: int) -> str:
    """As much of `text` as fits into `tokens` and 750 characters: where nothing can be quoted."""
    longest = bisect_right(range(min(len(text), BEGINNING) + 1), tokens, key=lambda size: count_tokens(text[:size]))
    return text[: max(0, longest - 1)]


def whole_passages(passages: Sequence[Document], tokens: int) -> tuple[str, int]:
    """The passages that fit into `tokens`, best first, numbered, and how many they are."""
    parts: list[str] = []
    for number, passage in enumerate(passages, start=1):
        row = disarm(f"{passage.metadata['row']}{SEPARATOR}") if passage.metadata.get("row") else ""
        part = f"[{number}] {passage.metadata.get('title', '')}\n{row}{passage.page_content}"
        tokens -= count_tokens(part) + 1
        if tokens < 0:
            break
        parts.append(part)
    return "\n\n".join(parts), len(parts)


def trim_history(history: Sequence[BaseMessage], tokens: int) -> list[BaseMessage]:
    """The latest messages that fit into `tokens`, beginning with one of the person's.

    Of many, the oldest go by fours: what the engine has read of the prompt stays the same for some turns.
    """
    kept: list[BaseMessage] = []
    for message in reversed(history):
        tokens -= count_tokens(message.text) + 8
        if tokens < 0:
            break
        kept.insert(0, message)
    if len(kept) >= 2 * LEAVING:
        kept = kept[-(len(history) - len(kept)) % LEAVING :]
    while kept and kept[0].type != "human":
        kept.pop(0)
    return kept


def _disarmed(passage: Document) -> Document:
    title = disarm(str(passage.metadata.get("title", "")))
    return Document(disarm(passage.page_content), metadata={**passage.metadata, "title": title}, id=passage.id)


def _disarmed_turn(message: BaseMessage) -> BaseMessage:
    text = disarm(message.text)
    return message if text == message.text else message.model_copy(update={"content": text})


def pack(given: dict[str, Any], *, reads_quotes: bool, window: int, reserved: int) -> dict[str, Any]:
    """The prompt's variables from `question`, `history`, `passages` and `quotes`, within the window.

    `reads_quotes`: the model reads the quotes alone, and no whole passages. `window` is its own in tokens, `reserved`
    what the answer and the prompt's own words take of it. `unread` is how many passages did not fit.
    """
    question = disarm(given["question"])
    passages = [_disarmed(passage) for passage in given["passages"]]
    room = max(0, window - reserved - count_tokens(question))
    history = trim_history([_disarmed_turn(turn) for turn in given.get("history", ())], int(room * HISTORY_SHARE))
    room -= sum(count_tokens(message.text) + 8 for message in history)
    if reads_quotes:
        quotes = [disarm(quote.text(given["passages"])) for quote in given.get("quotes", ())]
        context, read = read_quotes(quotes, passages, room), len(passages)
    else:
        for passage in passages:  # none may pass as one more passage
            passage.page_content = _NUMBERED.sub(r"\1(\2)", passage.page_content)
        context, read = whole_passages(passages, room)
    return {"question": question, "history": history, "context": context, "unread": len(passages) - read}
