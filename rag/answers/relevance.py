"""Question and passages -> whether the passages speak to the question, so that a small model is not left to invent.

Cosines lie elsewhere with every embedding model, so none is compared with a constant: how near a question is to the
nearest sentence of the passages is told on a scale that the model in use gives itself, from questions and passages on
everyday subjects (`everyday.jsonl`, each passage answers its question). On it 0 is how near a question is to what it
has nothing to do with, 1 how near it is to what answers it. Beside it counts how many of the question's words, by
their rarity in English, the best passage has, and how many no chunk of the library has. `bench/relevance.py` fits the
four weights (`relevance.json`) and tells how often they are right.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import math
import re
import threading
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from rag.errors import engine_error
from rag.library.records import IndexedSource, Records
from rag.library.words import Words
from rag.text.language import FUNCTION_WORDS, rarity, stem, surfaces
from rag.text.sentences import KEPT_TEXTS, split_sentences
from rag.text.vectors import at_length_one, have_vectors, question_vector, sentence_vectors

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[np.float32]]

log = logging.getLogger(__name__)

EVERYDAY_FILE = Path(__file__).parent.parent / "everyday.jsonl"
WEIGHTS_FILE = Path(__file__).parent.parent / "relevance.json"

SHORTEST, LONGEST = 25, 400
"""Characters of a sentence that is looked at; a longer one, as of a table, is looked at in pieces of so many."""
NEAREST = 3
"""How many of the everyday sentences nearest to a question stand for what it is near to by chance."""
BEGINNING = 1000
"""Characters of a source that stand for what it is about."""
SHOWN = 3
"""Sources that are named to a person."""

Kind = Literal["passages", "library", "greeting"]

_THING = (
    "(?:library|libraries|pages?|docs?|documents?|files?|texts?|articles?|posts?|sources?|books?|papers?|notes"
    "|contents?|collection|website|site)"
)
_POINTING = r"(?:(?:all|of|the|my|your|this|that|these|those|whole|entire)\s+)*"
_LIBRARY = re.compile(
    rf"""
    ^(?:please\s+|can\s+you\s+|could\s+you\s+|would\s+you\s+)*(?:
        (?:summari[sz]e|sum\s+up|outline)(?:\s+(?:it|this|that|them|these|everything|all|{_POINTING}{_THING}))?
            (?:\s+for\s+me)?
        |(?:give|write|show|tell)\s+(?:me\s+)?(?:an?|the)\s+(?:short\s+|brief\s+|quick\s+)?(?:summary|overview|outline)
            (?:\s+of\s+(?:it|this|{_POINTING}{_THING}))?
        |(?:a\s+)?(?:short\s+|brief\s+)?(?:summary|overview)(?:\s+please)?
        |tl\s*;?\s*dr
        |what(?:'s|\s+is|\s+are|\s+was)?\s+(?:it|this|that|{_POINTING}{_THING})\s+(?:all\s+)?about
        |what\s+(?:does|do)\s+{_POINTING}{_THING}\s+(?:say|contain|cover|tell|hold)
        |what(?:'s|\s+is)\s+(?:there\s+)?in\s+{_POINTING}{_THING}
        |(?:what|which)\s+(?:sources|documents|pages|files|texts|topics|subjects|information|material)
            (?:\s+(?:do\s+you\s+(?:have|know|hold|cover)|are\s+(?:there|here|available|loaded|indexed)))?
        |what\s+(?:can|could|should|may)\s+(?:i|we)\s+ask(?:\s+(?:you|about|here|it))*
        |what\s+(?:do|can)\s+you\s+(?:know|tell\s+me|talk)(?:\s+about)?
    )[\s.?!]*$
    """,
    re.I | re.X,
)
_GREETING = re.compile(
    r"""
    ^(?:(?:hi|hello|hey|hallo|howdy|greetings|good\s+(?:morning|afternoon|evening|day|night)|thanks|thank\s+you|thx
        |cheers|ok|okay|great|cool|nice|perfect|bye|goodbye|see\s+you|how\s+are\s+you|who\s+are\s+you
        |what\s+are\s+you|what(?:'s|\s+is)\s+your\s+name|what\s+can\s+you\s+do|help)
     (?:\s+(?:there|you|very|so|a\s+lot|much|all|again|then|today|doing|me|to|for|the|help|your|that|it))*[\s,.?!]*)+$
    """,
    re.I | re.X,
)


@dataclass(frozen=True)
class Verdict:
    """Whether passages speak to a question.

    `score` is the logarithm of the odds that they do, less that of the odds from which on they count as doing so: below
    0 is no. `reason` is for the log and for people. `kind` "library": it is the library itself that is asked about
    (show its `beginnings`), "greeting": nothing is asked.
    """

    answers: bool
    score: float
    reason: str
    kind: Kind = "passages"


@dataclass(frozen=True)
class Signals:
    """What speaks for the passages.

    `nearness` of the nearest sentence, 0 as to anything else, 1 as to an answer; `ahead`, how far it is nearer than
    the nearest of the everyday sentences, in the same unit; `covered`, the share of the question's words in the best
    passage; `unknown`, the share in no chunk at all. Shares weigh words by their rarity in English.
    """

    nearness: float
    ahead: float
    covered: float
    unknown: float


@dataclass(frozen=True)
class Scale:
    """What a model's cosines mean: those to what is unrelated, to an answer; and vectors of the everyday sentences."""

    unrelated: float
    related: float
    sentences: Array


class Judge:
    """Tells of one embedding model's questions and passages whether they belong together. For any thread."""

    def __init__(
        self, embeddings: Embeddings, engine: tuple[str, str], digest: str = "", folder: Path | None = None
    ) -> None:
        """`engine` and `digest` as the store has them. The scale is kept in `folder`, if there is one."""
        self._embeddings = embeddings
        self._engine = engine
        self._measuring = threading.Lock()
        self._scale: Scale | None = None
        texts = EVERYDAY_FILE.read_bytes()
        key = hashlib.sha256(b"\0".join([engine[0].encode(), digest.encode(), texts])).hexdigest()[:16]
        self._file = folder / f"scale-{key}.npz" if folder else None

    def prepare(self) -> None:
        """Get the scale now, so that no question waits for it: some 240 short texts are embedded, once a model.

        Raises:
            EngineError: the embedding model failed; the next call tries again.
        """
        self._get_scale()

    def __call__(self, question: str, passages: Sequence[Document], words: Words) -> Verdict:
        """Whether the passages speak to the question; `words` are those of the library.

        Embeds the question and the passages' sentences. Give a follow-up as a question of its own.

        Raises:
            EngineError: the embedding model failed.
        """
        return asyncio.run(self.tell(question, passages, words))

    async def tell(self, question: str, passages: Sequence[Document], words: Words) -> Verdict:
        """As a call, within an event loop; who is cancelled while the model embeds hangs up on it."""
        if verdict := _at_once(question, passages):
            return verdict
        if self._scale is None:
            await asyncio.to_thread(self.prepare)
        for some in _looks(passages):
            try:
                await have_vectors(self._embeddings, words.corrected(question), _pieces_of(some))
            except Exception as error:
                raise engine_error(error, *self._engine) from error
            verdict = _weighed(self.signals(question, some, words))
            if verdict.answers:
                break
        assert verdict
        return verdict

    def signals(self, question: str, passages: Sequence[Document], words: Words) -> Signals:
        """What `bench/relevance.py` weighs."""
        import numpy as np

        scale = self._get_scale()
        asked = words.corrected(question)
        try:
            vector = at_length_one(question_vector(self._embeddings, asked))
            nearest = float((sentence_vectors(self._embeddings, _pieces_of(passages)) @ vector).max())
        except Exception as error:
            raise engine_error(error, *self._engine) from error
        chance = float(np.sort(scale.sentences @ vector)[-NEAREST:].mean())
        unit = max(scale.related - scale.unrelated, 1e-6)
        weights, unknown = _rarities(asked, words)
        total = sum(weights.values()) or 1.0
        covered = max(sum(weights[word] for word in weights.keys() & _stems(passage)) for passage in passages)
        return Signals(
            (nearest - scale.unrelated) / unit,
            (nearest - chance) / unit,
            covered / total,
            sum(weights[word] for word in unknown) / total,
        )

    def _get_scale(self) -> Scale:
        with self._measuring:
            if self._scale is None:
                self._scale = self._kept()
            if self._scale is None:
                try:
                    self._scale = measure(self._embeddings)
                except Exception as error:
                    raise engine_error(error, *self._engine) from error
                self._keep(self._scale)
            return self._scale

    def _kept(self) -> Scale | None:
        import numpy as np

        if self._file is None or not self._file.exists():
            return None
        try:
            with np.load(self._file) as found:
                return Scale(float(found["unrelated"]), float(found["related"]), found["sentences"])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            log.warning("%s cannot be read (%s); it is made again", self._file, error)
            return None

    def _keep(self, scale: Scale) -> None:
        import numpy as np

        if self._file is None:
            return
        unfinished = self._file.with_suffix(".new.npz")
        try:
            np.savez(unfinished, **vars(scale))
            unfinished.replace(self._file)
        except OSError as error:
            log.warning("%s cannot be written (%s)", self._file, error)


def measure(embeddings: Embeddings) -> Scale:
    """The scale of an embedding model: the nearest sentence of each everyday passage to each everyday question."""
    import numpy as np

    pairs = [json.loads(line) for line in EVERYDAY_FILE.read_text(encoding="utf-8").splitlines()]
    sentences = [split_sentences(pair["passage"]) for pair in pairs]
    questions = at_length_one([embeddings.embed_query(pair["question"]) for pair in pairs])
    vectors = at_length_one(embeddings.embed_documents([sentence for group in sentences for sentence in group]))
    starts = np.cumsum([0, *map(len, sentences)])[:-1]
    nearest = np.maximum.reduceat(questions @ vectors.T, starts, axis=1)
    own = np.eye(len(pairs), dtype=bool)
    return Scale(float(nearest[~own].mean()), float(nearest[own].mean()), vectors)


@cache
def load_weights() -> dict[str, float]:
    """The weights of the signals, and `bias`."""
    found: dict[str, float] = json.loads(WEIGHTS_FILE.read_text(encoding="utf-8"))["weights"]
    return found


def weighed(signals: Signals) -> float:
    """The score of a verdict."""
    weights = load_weights()
    return weights["bias"] + sum(weights[name] * float(value) for name, value in vars(signals).items())


def _at_once(question: str, passages: Sequence[Document]) -> Verdict | None:
    """What can be told without a look at the passages' words."""
    if _GREETING.match(question.strip()):
        return Verdict(True, 0.0, "nothing is asked", "greeting")
    if asks_about_library(question):
        return Verdict(True, 0.0, "the library itself is asked about", "library")
    if not any(passage.page_content.strip() for passage in passages):
        return Verdict(False, -math.inf, "nothing was found")
    return None


def _looks(passages: Sequence[Document]) -> tuple[list[Document], list[Document]]:
    """The first passage, then all: what more of them add can only speak for them, and mostly the first is enough."""
    filled = [passage for passage in passages if passage.page_content.strip()]
    return filled[:1], filled


def _weighed(signals: Signals) -> Verdict:
    score = weighed(signals)
    told = (
        f"nearest sentence {signals.nearness:.2f} (0 unrelated, 1 an answer), {signals.ahead:+.2f} ahead of chance,"
        f" words {signals.covered:.0%} in one passage, {signals.unknown:.0%} nowhere"
    )
    return Verdict(score >= 0, score, told)


def asks_about_library(question: str) -> bool:
    """Whether it is no passage that is asked for, but what there is: "summarise this page", "what is this about?"."""
    return bool(_LIBRARY.match(" ".join(question.split())))


def beginnings(records: Records, sources: Sequence[IndexedSource], most: int) -> tuple[list[Document], str]:
    """The beginnings of the first `most` sources, which are read where the library itself is asked about.

    The second part says what was read of how many: "from the beginnings of 2 sources".
    """
    found, cut = [], False
    for source in sources[:most]:
        record = records.read(source.source)
        if record is not None and record.documents:
            text, data = record.documents[0]
            start = len(text) - len(text.lstrip())
            metadata = {name: value for name, value in data.items() if name != "sections"}
            metadata |= {"source": source.source, "title": source.title, "start_index": start}
            found.append(Document(_whole_words(text[start:], BEGINNING), metadata=metadata))
            cut |= len(record.documents) > 1 or len(text[start:]) > BEGINNING
    if not found:
        return [], ""
    more = f", {len(sources) - len(found)} more were not read" if len(sources) > len(found) else ""
    what = f"the beginning{'s' * (len(found) != 1)} of" if cut else "all of"
    return found, f"from {what} {_many(len(found), 'source')}{more}"


def tell_nothing_found(question: str, looked: Sequence[IndexedSource], chunks: int, nearest: Sequence[Document]) -> str:
    """What a person is told when the library does not answer: what was looked through, and what comes nearest."""
    asked = _whole_words(" ".join(question.split()), 120)
    asked += "" if asked == " ".join(question.split()) else " …"
    if not looked:
        return f"There is nothing in the library yet, so nothing in it answers “{asked}”. Add a page or a file first."
    named = _named(looked)
    where = f"{_many(len(looked), 'source')} ({named}), {_many(chunks, 'passage')} in all"
    below = {0: "", 1: " The passage that comes nearest is below."}.get(
        len(nearest), " The passages that come nearest are below."
    )
    return f"I looked through {where}, and nothing there answers “{asked}”.{below}"


def tell_what_can_be_asked(looked: Sequence[IndexedSource]) -> str:
    """What a person is told who greets and asks nothing."""
    return f"I answer questions about what is in the library: {_named(looked)}. What would you like to know?"


def _named(sources: Sequence[IndexedSource]) -> str:
    """The first few sources by their titles, and how many more there are."""
    names = [source.title or source.source for source in sources[:SHOWN]]
    if more := len(sources) - len(names):
        return f"{', '.join(names)} and {more} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def _many(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _whole_words(text: str, most: int) -> str:
    """As much of the text as fits, ended between two words."""
    if len(text) <= most:
        return text
    return text[: most + 1].rpartition(" ")[0] or text[:most]


def _pieces_of(passages: Sequence[Document]) -> list[str]:
    return list(dict.fromkeys(piece for passage in passages for piece in _pieces(passage.page_content)))


def _pieces(text: str) -> list[str]:
    """The sentences of a passage, in pieces that any embedding model takes; the whole where none is long enough.

    Short lines that stand together are one sentence: alone, each says too little.
    """
    sentences: list[str] = []
    for short, group in groupby(split_sentences(text), lambda sentence: len(sentence) < SHORTEST):
        lines = list(group)
        sentences += [" ".join(lines)] if short else lines
    sentences = [sentence for sentence in sentences if len(sentence) >= SHORTEST] or [" ".join(text.split()) or "-"]
    return [sentence[at : at + LONGEST] for sentence in sentences for at in range(0, len(sentence), LONGEST)]


def _stems(passage: Document) -> frozenset[str]:
    """The words of a passage and of what stands over it."""
    heading = f"{passage.metadata.get('title') or ''} {passage.metadata.get('section') or ''}"
    return _stems_in(f"{heading}\n{passage.page_content}")


@lru_cache(KEPT_TEXTS)
def _stems_in(text: str) -> frozenset[str]:
    return frozenset(stem(word) for word in surfaces(text))


def _rarities(question: str, words: Words) -> tuple[dict[str, float], set[str]]:
    """What each stem of the question weighs, 0 to 1; and those stems of which the library has no form."""
    asked = list(surfaces(question))
    asked = [word for word in asked if word not in FUNCTION_WORDS] or asked
    weights: dict[str, float] = {}
    known: set[str] = set()
    for word in asked:
        root = stem(word)
        weights[root] = max(weights.get(root, 0.0), rarity(word))
        if words.has(word):
            known.add(root)
    return weights, weights.keys() - known
