"""What a question is about, where it is no passage: a whole document, the library itself, or nothing ("hello")."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from langchain_core.embeddings import Embeddings

from rag.answers.tables.words import LONGEST_PHRASE, key_of, phrases, read_yaml
from rag.answers.verdict.prepared import Prepared
from rag.answers.whole.naming import PART_WORDS, SENTENCE_WORDS, THINGS, names_with, without_things
from rag.text.vectors import at_length_one, have_vectors, load_vectors, save_vectors, sentence_vectors

if TYPE_CHECKING:
    from rag.text.vectors import Vectors

INTENTS_FILE = Path(__file__).parents[2] / "intents.yaml"
NEAR = 0.68
"""Cosine with a sentence that stands for an intent from which on a question has it (tests/test_intent.py)."""
AHEAD = 0.15
"""How much nearer that sentence has to be than one of another kind."""
NEAR_SECONDS = 15.0
"""Longest wait of a question for the vectors of those sentences, from when they began to be made."""
MOST_MENTIONED = 3
"""Words that sources are to have of which a question lists them, at most."""
LONGEST_ASKED = 30
"""Tokens of a question about whole documents, at most: a longer one says what it wants to know."""

_GREETING = re.compile(
    r"""
    ^(?:(?:(?P<hello>hi|hello|hey|hallo|howdy|greetings|good\s+(?:morning|afternoon|evening|day))
        |(?P<thanks>thanks|thank\s+you|thx|cheers)|(?P<bye>bye|goodbye|see\s+you|good\s+night)
        |ok|okay|great|cool|nice|perfect|how\s+are\s+you|who\s+are\s+you
        |what\s+are\s+you|what(?:'s|\s+is)\s+your\s+name|what\s+can\s+you\s+do|help)
     (?:\s+(?:there|you|very|so|a\s+lot|much|all|again|then|today|doing|me|to|for|the|help|your|that|it))*[\s,.?!]*)+$
    """,
    re.I | re.X,
)

Key = tuple[str, ...]
"""A text as tokens (`key_of`)."""
Aim = Literal["summary", "library"]
Ask = Literal["names", "count", "last", "when", "passages", "mention"]


@dataclass(frozen=True)
class Intent:
    """What is asked for. `named` are the names, as given to `read_intent`, that are in the question.

    `ask` is what is asked about the library itself. Not `sure`: a follow-up such as "what is it about" means something
    that was spoken of before. `left` are the words of a request for a summary that no name has, of a section, perhaps;
    or those that the sources asked for are to have.
    """

    aim: Aim
    named: tuple[str, ...] = ()
    ask: Ask = "names"
    language: str = "en"
    sure: bool = True
    left: tuple[str, ...] = ()


def greeting_in(question: str) -> str | None:
    """What a question says that only greets or asks who answers: "thanks", "bye", "hello" or ""; else None."""
    found = _GREETING.match(question.strip())
    return next((kind for kind in ("thanks", "bye", "hello") if found[kind]), "") if found else None


def is_greeting(question: str) -> bool:
    """Whether a question only greets, thanks, or asks who answers."""
    return greeting_in(question) is not None


def read_intent(question: str, names: Sequence[str] = ()) -> Intent | None:
    """The intent that the words of a question say; None where one of its words is about something else.

    `names` are those of sources, which may be summarised, and called by a part of their names: "what is the campsite
    page about".
    """
    key = key_of(question)
    if not key or len(key) > LONGEST_ASKED:
        return None
    called = {key_of(name): name for name in names if key_of(name)}
    unclear: Intent | None = None
    for language in _words():
        kinds, named, left = _kinds(key, language, called)
        if "other" in kinds or kinds.isdisjoint(("summary", "about", "overview", "own", "source")):
            continue
        of_names = [word for name in named for word in key_of(name)]
        if named:
            left = tuple(word for word in left if word not in THINGS)
        asks_for_part = not PART_WORDS.isdisjoint(left)
        if left and _asks_who_mentions(kinds) and len(left) <= MOST_MENTIONED:
            return Intent("library", ask="mention", language=language, left=left)
        if left and asks_for_part:
            named, left = (), (*left, *of_names)
        elif left and (meant := names_with([*without_things(left), *of_names], names)):
            named, left = tuple(meant), ()
        if left:
            if ("summary" in kinds or ("about" in kinds and asks_for_part)) and (
                unclear is None or len(left) < len(unclear.left)
            ):
                unclear = Intent("summary", named, language=language, left=without_things(left))
        elif "overview" in kinds and "thing" not in kinds:
            return Intent("summary" if named else "library", named, language=language)
        elif _is_about_library(kinds):
            ask = _asked(kinds)
            return None if named and ask == "count" else Intent("library", named, ask, language)
        elif "count" not in kinds and ("summary" in kinds or ("about" in kinds and (named or "thing" in kinds))):
            return Intent("summary", named, language=language, sure="summary" in kinds or bool(named))
    return unclear


class Nearness:
    """Finds the intent of a question in words of its own, by sentences that stand for each. For any thread."""

    def __init__(
        self, embeddings: Embeddings, engine: tuple[str, str], digest: str = "", folder: Path | None = None
    ) -> None:
        """`engine` and `digest` (of the weights) are those of the index. The vectors are saved in `folder`, if any."""
        self._embeddings = embeddings
        self._vectors = Prepared(self._load_or_embed)
        sentences = json.dumps(_file()["near"]).encode()
        key = hashlib.sha256(b"\0".join([engine[0].encode(), digest.encode(), sentences])).hexdigest()[:16]
        self._saved = folder / f"intents-{key}.npz" if folder else None

    def prepare(self) -> None:
        """Embed the sentences now, so that no question waits for it.

        Raises:
            RagError: what the embeddings raise.
        """
        self._vectors.get()

    def _load_or_embed(self) -> dict[str, Vectors]:
        vectors = load_vectors(self._saved) if self._saved else {}
        if not vectors:
            near = _file()["near"].items()
            vectors = {aim: sentence_vectors(self._embeddings, texts) for aim, texts in near}
            if self._saved:
                save_vectors(self._saved, vectors)
        return vectors

    async def intent(self, question: str) -> Intent | None:
        """The intent whose sentence is near, and nearer by far than those of others; None while those are embedded.

        Raises:
            RagError: what the embeddings raise.
        """
        if len(key_of(question)) > LONGEST_ASKED or not _points(question):
            return None
        known = await self._vectors.within(NEAR_SECONDS)
        if known is None:
            return None
        vector = at_length_one(await have_vectors(self._embeddings, question))
        best = {aim: float((vectors @ vector).max()) for aim, vectors in known.items()}
        aims: tuple[Aim, ...] = ("summary", "library")
        for aim in aims:
            others = max(score for other, score in best.items() if other != aim)
            if best[aim] >= NEAR and best[aim] - others >= AHEAD:
                return Intent(aim, sure=False)
        return None


@cache
def _file() -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = read_yaml(INTENTS_FILE)
    return found


@cache
def _words() -> dict[str, dict[Key, set[str]]]:
    """For each language: what a phrase may mean."""
    found: dict[str, dict[Key, set[str]]] = {}
    for language, kinds in _file().items():
        if language == "near":
            continue
        mine = found.setdefault(language, {})
        for key, meant in phrases()[language].items():
            mine[key] = {kind for kind in meant if kind in ("stop", "count", "list")}
        for kind, texts in kinds.items():
            for text in texts:
                mine.setdefault(key_of(text), set()).add(kind)
    return {language: {key: kinds for key, kinds in mine.items() if kinds} for language, mine in found.items()}


def _kinds(key: Key, language: str, called: dict[Key, str]) -> tuple[set[str], tuple[str, ...], Key]:
    """The kinds of the words of a question, the names in it, and the words that have none. Longest phrases first."""
    words = _words()[language]
    found: set[str] = set()
    named: list[str] = []
    left: list[str] = []
    at = 0
    while at < len(key):
        for length in range(min(LONGEST_PHRASE, len(key) - at), 0, -1):
            part = key[at : at + length]
            name = called.get(part, "")
            meant = words.get(part, set())
            if name and (length > 1 or not meant - {"polite"}):
                named.append(name)
                break
            if meant:
                found |= meant - {"count"} if "polite" in meant else meant
                break
        else:
            counts = key[at].isdecimal() and not SENTENCE_WORDS.isdisjoint(key[at + 1 : at + 2])  # "in 5 sentences"
            if key[at] != "s" and not counts:  # "Maria's"
                left.append(key[at])
        at += length
    return found, tuple(named), tuple(left)


def _is_about_library(kinds: set[str]) -> bool:
    if "summary" in kinds:
        return False
    asked = kinds & {"own", "count", "list", "last", "when"}
    return bool("source" in kinds and asked) or bool("own" in kinds and kinds & {"last", "when", "passages"})


def _asks_who_mentions(kinds: set[str]) -> bool:
    return {"source", "mention"} <= kinds and bool(kinds & {"list", "own"})


def _asked(kinds: set[str]) -> Ask:
    wanted: tuple[Ask, ...] = ("passages", "last", "when", "count")
    return next((each for each in wanted if each in kinds), "names")


_POINTING = re.compile(
    r"\b(?:this|it|that|these|everything|all|whole|entire|document|file|text|page|article|book|paper|here|you|i|me)\b",
    re.I,
)


def _points(question: str) -> bool:
    """Whether a question points at what is there, and has no name or number of its own."""
    words = question.split()
    has_name = any(word[:1].isupper() and word.lower() != "i" and not word.startswith("I'") for word in words[1:])
    return bool(_POINTING.search(question)) and not has_name and not re.search(r"\d", question)
