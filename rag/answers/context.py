"""What the chat model gets to read: passages or their best sentences, and the earlier turns, within its window."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.messages import BaseMessage

from rag.text.sentences import BYTES_PER_TOKEN, count_tokens, split_sentences
from rag.text.vectors import question_vector, sentence_vectors

SENTENCES = 7
SENTENCE_CHARACTERS = 750
"""A 135M model on two cores reads some 400 tokens a second. Of 500 to 900, 750 was the least that cost no answer."""
SHORTEST_SENTENCE = 25
LONGEST_PIECE = 700
"""Characters from which a row of a table, or a line without sentences, is read in parts."""
CARRY = 0.4
"""Of a sentence's nearness to the question, what the next one gets: tried on the guide and a long article."""
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


_TABLE_RULE = re.compile(r"[-=:|+\s]+")
"""The line between the names of a table's columns and its rows."""
_BULLET = re.compile(r"^[-*+•]\s+")
_HARMLESS = str.maketrans("<>[]", "‹›()")


def _is_short(sentence: str) -> bool:
    """Whether it is a row, a list item, a `key: value` or a heading, which says little without its neighbours."""
    if len(sentence) < SHORTEST_SENTENCE or sentence.startswith("#"):
        return True
    return len(sentence) < 60 and not sentence.endswith((".", "!", "?", ":", ";", "”", '"', "。", "！", "？"))


def telling_sentences(sources: Sequence[Document]) -> dict[str, str]:
    """What can be read of the passages in pieces, each once, and as what each is embedded.

    These are sentences, and short lines: rows of a table as `column: value`, list items, `key: value`. A short line is
    embedded with the heading above it, and left out where it stands alone and is no more than a heading or a stub.
    """
    found: dict[str, str] = {}
    lines: set[str] = set()
    for source in sources:
        pieces = [part for sentence in split_sentences(source.page_content) for part in _in_parts(sentence)]
        for piece, embedded, is_line in _pieces_of(pieces):
            found.setdefault(piece, embedded)
            if is_line:
                lines.add(piece)
    # Passages overlap and begin anywhere: what is part of another sentence is half a sentence. A line that is part of
    # another line is none: "Port 80" beside "Port 8080".
    return {
        one: found[one]
        for one in found
        if not any(one in other and one != other and not (one in lines and other in lines) for other in found)
    }


def _in_parts(sentence: str) -> list[str]:
    """A long row or line in parts that fit into the prompt; those of a row begin with its first pair."""
    if len(sentence) <= LONGEST_PIECE or not re.search(r"[|:;=,{]", sentence):
        return [sentence]
    joint = " | " if sentence.count(" | ") > 2 else " "
    longest = LONGEST_PIECE // 2
    first, *rest = sentence.split(joint)
    lead = first + joint if joint == " | " and len(first) < longest // 2 else ""
    parts = [first]
    for word in rest:
        if len(parts[-1]) + len(joint) + len(word) <= longest:
            parts[-1] += joint + word
        else:
            parts.append(lead + word)
    return parts


def _pieces_of(sentences: Sequence[str]) -> Iterator[tuple[str, str, bool]]:
    """The sentences and short lines of one passage: each, what is embedded for it, and whether it is a short line."""
    heading = ""
    columns: list[str] = []
    for number, sentence in enumerate(sentences):
        following = sentences[number + 1] if number + 1 < len(sentences) else ""
        if "|" not in sentence:
            columns = []  # the table ends here
        if sentence.startswith("#"):
            heading, columns = sentence.strip("# "), []
        elif _TABLE_RULE.fullmatch(sentence):
            continue
        elif "|" in following and _TABLE_RULE.fullmatch(following):
            columns = _cells(sentence)
        elif not _is_short(sentence):
            yield sentence, sentence, False
        else:
            cells = _cells(sentence) if columns and "|" in sentence else []
            line = _BULLET.sub("", sentence)
            if cells:
                named = zip_longest(columns, cells, fillvalue="")
                line = ", ".join(f"{name}: {cell}" if name else cell for name, cell in named if cell)
            beside = [sentences[number - 1] if number else "", following]
            in_company = any(_is_short(other) and not other.startswith("#") for other in beside if other)
            if line and (in_company or line != sentence or re.search(r"\d|:\s", line)):
                yield line, f"{heading}: {line}" if heading else line, True


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip().removeprefix("|").removesuffix("|").split("|")]


def best_sentences(
    question: str,
    sources: Sequence[Document],
    embeddings: Embeddings,
    tokens: int = SENTENCE_CHARACTERS,
    quotes: Sequence[str] = (),
) -> str:
    """The quotes, best first, and the other sentences and short lines that are nearest to the question, in their order.

    They have 750 characters together at most. Small models answer from these where four whole passages would take
    seconds to read and lead them astray. `tokens` is what there is room for.
    """
    import numpy as np

    told = telling_sentences(sources)
    sentences = list(told)
    if not sentences or tokens <= 0:
        return _beginning("\n".join(source.page_content for source in sources), tokens)
    vectors = sentence_vectors(embeddings, list(told.values()))
    nearness = vectors @ question_vector(embeddings, question)
    nearness[1:] += CARRY * np.maximum(nearness[:-1], 0)  # what follows a near sentence often explains it
    chosen: list[int] = []
    room = SENTENCE_CHARACTERS

    def takes(text: str) -> bool:
        nonlocal room, tokens
        fits = len(text) < room and count_tokens(text) < tokens
        if fits:
            room -= len(text) + 1
            tokens -= count_tokens(text) + 1
        return fits

    first = [quote for quote in quotes if takes(quote)]
    said = " ".join(" ".join(first).split())
    for index in np.argsort(-nearness):
        sentence = sentences[index]
        if len(first) + len(chosen) < SENTENCES and sentence not in said and takes(sentence):
            chosen.append(int(index))
    if not first and not chosen:
        return _beginning(sentences[int(np.argmax(nearness))], tokens)
    return "\n".join([*first, *(sentences[index] for index in sorted(chosen))])


def _beginning(text: str, tokens: int) -> str:
    """As much of `text` as fits into `tokens` and 750 characters: where there is no sentence that does."""
    most = max(0, int(tokens * BYTES_PER_TOKEN))
    return text[:SENTENCE_CHARACTERS].encode("utf-8", "ignore")[:most].decode("utf-8", "ignore")


def whole_passages(sources: Sequence[Document], tokens: int) -> tuple[str, int]:
    """The passages that fit into `tokens`, best first, numbered, and how many they are."""
    parts: list[str] = []
    for number, source in enumerate(sources, start=1):
        part = f"[{number}] {source.metadata.get('title', '')}\n{source.page_content}"
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


def _disarmed(source: Document) -> Document:
    title = disarm(str(source.metadata.get("title", "")))
    return Document(disarm(source.page_content), metadata={**source.metadata, "title": title}, id=source.id)


def _disarmed_turn(message: BaseMessage) -> BaseMessage:
    text = disarm(message.text)
    return message if text == message.text else message.model_copy(update={"content": text})


def pack(
    given: dict[str, Any], *, embeddings: Embeddings, sentences: bool, window: int, reserved: int
) -> dict[str, Any]:
    """The prompt's variables from `question`, `asked`, `history`, `sources` and `quotes`, within the window.

    `window` is the model's in tokens, `reserved` what the answer and the prompt's own words take of it. `unread` is how
    many passages did not fit.
    """
    question = disarm(given["question"])
    sources = [_disarmed(source) for source in given["sources"]]
    room = max(0, window - reserved - count_tokens(question))
    history = trim_history([_disarmed_turn(turn) for turn in given.get("history", ())], int(room * HISTORY_SHARE))
    room -= sum(count_tokens(message.text) + 8 for message in history)
    if sentences:
        asked = disarm(given.get("asked", question))
        quotes = [disarm(quote.text(given["sources"])) for quote in given.get("quotes", ())]
        context, read = best_sentences(asked, sources, embeddings, room, quotes), len(sources)
    else:
        for source in sources:  # none may pass as one more passage
            source.page_content = _NUMBERED.sub(r"\1(\2)", source.page_content)
        context, read = whole_passages(sources, room)
    return {"question": question, "history": history, "context": context, "unread": len(sources) - read}
