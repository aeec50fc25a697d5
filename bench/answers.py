"""What answers are worth: retrieval, quotes, a model's answers and refusals, over documents and questions of our own.

    python -m bench.answers                                 retrieval, quotes and refusals
    python -m bench.answers --model embedded:NAME           a chat model's answers, too
    python -m bench.answers --half tune --limit 50          fewer questions, spread evenly

The documents are in bench/answers/documents, of six kinds; what they tell is invented, so that no model knows it. The
questions are in bench/answers/questions.jsonl. Each document with its questions belongs to one half: `tune` is what
weights and prompts are chosen on, and `held` tells what they are worth; nothing is to be chosen by it.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from statistics import fmean, median
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.outputs import LLMResult
from pydantic import Field

from bench.parts import index_file, open_library
from bench.programs import ROOT
from rag.answers.build import Chains, search_for
from rag.answers.chain import RagChain
from rag.answers.quotes.find import find_quotes
from rag.answers.retriever import Retriever
from rag.answers.verdict.relevance import DIRECT, Judge
from rag.doors.bodies import messages_of
from rag.doors.evaluate import EvalQuestion, folded, rank_of
from rag.grounding.ground import ground
from rag.library.index import SearchIndex
from rag.models.choose import Chat
from rag.models.embedded import ChatEngine
from rag.models.minilm import MiniLMEmbeddings
from rag.settings import Settings, load_settings

FOLDER = ROOT / "bench" / "answers"
DOCUMENTS, QUESTIONS = FOLDER / "documents", FOLDER / "questions.jsonl"
DEPTH = 8
"""Passages that are asked for to tell hits."""
CODE = ("rag/sources", "rag/library", "rag/text")
"""What the library is made by: it is built again where this changes."""
KINDS = {"api": "reference", "ref": "reference"}
"""Kinds of documents whose name begins otherwise."""


class Item(EvalQuestion):
    """A line of the questions: `second` is one of the substrings of another passage that the answer needs, too."""

    id: str
    half: str
    document: str = ""
    second: list[str] = Field(default=[])

    @property
    def about(self) -> str:
        """The kind of its document; the kind of the question where no document answers it."""
        begin = self.document.partition("-")[0]
        return KINDS.get(begin, begin) or self.kind


@dataclass
class Outcome:
    """What came of a question. Times are in seconds; None: not asked for, or there is none.

    Attributes:
        rank: place of the first right passage among `DEPTH`, from 1; 0: none.
        score: the judge's; below 0 the question is refused.
        quoted: the first quote, the first two, and all.
        ready: seconds until the quotes were there.
        opening: the quotes that the answer opens with.
        answer: with what the chat model adds.
        said: share of the expected words in each text: `quotes 1`, `quotes 2`, `quotes`, `model` (all that the model
            wrote), `written` (what is shown of it: sentences of the quote that the answer opens with are left out),
            `answer` (the opening where there is one), `answer + quotes`.
        supported: share of the sentences that a passage supports: `quotes`, `model`, `written` (where it wrote).
    """

    item: Item
    rank: int = 0
    both: bool = False
    searched: float = 0.0
    score: float | None = None
    quoted: list[str] = field(default_factory=list)
    ready: float | None = None
    opening: str = ""
    answer: str | None = None
    refused: bool | None = None
    first_token: float | None = None
    whole: float | None = None
    said: dict[str, float] = field(default_factory=dict)
    supported: dict[str, float] = field(default_factory=dict)
    marks: str = ""


def load_items(path: Path = QUESTIONS, *, half: str = "", limit: int = 0) -> list[Item]:
    """The questions of a file, or of one half of it; with a limit, that many of them, spread evenly over the file."""
    found = [Item.model_validate_json(line) for line in path.read_text(encoding="utf-8").splitlines()]
    found = [item for item in found if half in ("", item.half)]
    if 0 < limit < len(found):
        found = [found[place * len(found) // limit] for place in range(limit)]
    return found


@contextmanager
def open_documents(paths: Sequence[Path], embeddings: Embeddings, folder: Path) -> Iterator[SearchIndex]:
    """The index of a library of these files, kept in `folder` under a digest of them and of what reads them."""
    digest = hashlib.sha256(type(embeddings).__name__.encode())
    code = sorted(path for part in CODE for path in (ROOT / part).glob("*.py"))
    for path in (*paths, *code):
        digest.update(path.name.encode() + path.read_bytes())
    place = folder / digest.hexdigest()[:16]
    complete = place / "complete"
    with open_library(place, embeddings) as ingest:
        for path in () if complete.exists() else paths:
            index_file(ingest, path)
        complete.touch()
        yield ingest.index


@cache
def _pattern(words: str) -> re.Pattern[str]:
    """How words are found in a text: a number as a whole, `34` in `34.00` and not in `340`."""
    text = re.escape(folded(words).casefold())
    before = r"(?<![\d.,])" if words[:1].isdigit() else ""
    after = r"(?:[.,]0+)?(?![.,]?\d)" if words[-1:].isdigit() else ""
    return re.compile(before + text + after)


def share_said(text: str, groups: Sequence[Sequence[str]]) -> float:
    """Share of the groups of which the text has an alternative, 0 to 1."""
    text = folded(text).casefold()
    return fmean(any(_pattern(words).search(text) for words in group) for group in groups)


class Written(BaseCallbackHandler):
    """Takes down the last text that the chat model wrote, with what the chain leaves out of it."""

    text = ""

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        """Called by the chat model at the end of what it writes."""
        self.text = response.generations[0][0].text


@dataclass
class Bench:
    """What questions are asked of. `chain` is None where no chat model is asked."""

    index: SearchIndex
    judge: Judge
    retriever: Retriever
    settings: Settings
    model: str = "none"
    chat: Chat | None = None
    chain: RagChain | None = None
    model_wrote: Written = field(default_factory=Written)

    async def ask(self, item: Item) -> Outcome:
        """All that is measured of a question."""
        found = Outcome(item)
        history = messages_of(item.history)
        began = time.monotonic()
        asked, passages = await search_for(item.question, history, self.chat, self.retriever)
        found.searched = time.monotonic() - began
        verdict = await self.judge.decide(asked, passages, self.index.words)
        found.score = max(-99.0, verdict.score)
        quotes = await find_quotes(asked, passages, self.index.embeddings, self.index.words.languages)
        found.ready = time.monotonic() - began
        texts = [quote.text(passages) for quote in quotes]
        found.quoted = ["\n".join(texts[:1]), "\n".join(texts[:2]), "\n".join(texts)]
        if not item.gold:
            found.refused = found.score < 0
        else:
            deep = await self.retriever.ainvoke(asked, k=DEPTH)
            ranks = [self._rank(gold, passages, deep) for gold in (item.gold, item.second) if gold]
            found.rank, found.both = min(filter(None, ranks), default=0), all(ranks)
            self._note(found, "quotes 1", found.quoted[0])
            self._note(found, "quotes 2", found.quoted[1])
            self._note(found, "quotes", found.quoted[2], passages, asked)
        if self.chain is not None:
            await self._answer(found, self.chain)
        return found

    @staticmethod
    def _rank(gold: Sequence[str], first: Sequence[Document], deep: Sequence[Document]) -> int:
        """The right passage's place among those that are read, else among the deeper ones."""
        return next(filter(None, (rank_of(gold, [each.page_content for each in some]) for some in (first, deep))), 0)

    def _note(
        self, found: Outcome, name: str, text: str, passages: Sequence[Document] | None = None, asked: str = ""
    ) -> None:
        found.said[name] = share_said(text, found.item.answer_contains)
        if passages is not None:
            marks = ground(text, passages, self.index.embeddings, asked)
            claims = [sentence.passage is not None for sentence in marks if sentence.claims]
            found.marks = "".join("." if sentence.passage else "?" for sentence in marks if sentence.claims)
            if claims:
                found.supported[name] = fmean(claims)

    async def _answer(self, found: Outcome, chain: RagChain) -> None:
        given = {"question": found.item.question, "history": messages_of(found.item.history)}
        began = time.monotonic()
        passages: list[Document] = []
        opening, text, asked, found.refused, wrote = "", "", "", False, False
        try:
            async with aclosing(chain.astream(given)) as pieces:
                async for piece in pieces:
                    passages, asked = piece.get("passages", passages), piece.get("asked", asked)
                    found.refused = piece.get("refused", found.refused)
                    opening = piece.get("opening", opening)
                    wrote = wrote or "usage" in piece  # else code or quotes alone answer
                    text += piece.get("answer", "")
                    if text and found.first_token is None:
                        found.first_token = time.monotonic() - began
        except Exception as error:  # such as an answer that was cut off at its longest
            text += f" [{type(error).__name__}]"
        found.whole, found.opening, found.answer = time.monotonic() - began, opening, opening + text
        if found.item.gold:
            shown = passages if wrote else None
            self._note(found, "model", self.model_wrote.text if wrote else "", shown, asked)
            self._note(found, "written", "" if found.refused else text, shown, asked)
            self._note(found, "answer", "" if found.refused else opening or text)  # what is added to it is folded away
            self._note(found, "answer + quotes", f"{opening or text}\n{found.quoted[2]}")


@asynccontextmanager
async def open_bench(model: str, folder: Path, prompt: Path | None = None) -> AsyncIterator[Bench]:
    """The documents' library with its judge, and with a chat model's chain unless `model` is "none"."""
    settings = load_settings(prompt_file=prompt) if prompt else load_settings()
    embeddings = MiniLMEmbeddings(settings.cache_dir)
    with open_documents(sorted(DOCUMENTS.iterdir()), embeddings, folder) as index:
        judge = Judge(embeddings, index.engine, folder=folder)
        judge.prepare()
        bench = Bench(index, judge, Retriever(index=index, k=settings.k), settings, model)
        engine: ChatEngine | None = None
        try:
            if model != "none":
                engine, bench.chat, bench.chain = await asyncio.to_thread(
                    _chain, model, settings, index, bench.model_wrote
                )
            yield bench
        finally:
            if engine is not None:
                engine.close()


def _chain(
    name: str, settings: Settings, index: SearchIndex, wrote: Written
) -> tuple[ChatEngine | None, Chat, RagChain]:
    """A chat model with the app's own chain for it, and the engine that has to be closed."""
    from rag.models.choose import build_chat_model

    provider, _, model = name.partition(":")
    engine = ChatEngine(model, settings.cache_dir) if provider == "embedded" else None
    if engine is not None:
        engine.start()
    chains = Chains(settings)
    chat = build_chat_model(name, settings, engine)
    if chat.model:
        chat.model.callbacks = [wrote]
    chains.link(index, chat)
    assert chains.own
    return engine, chat, chains.own


# What it shows


Group = Callable[[Outcome], str]
GROUPS: dict[str, Group] = {
    "half": lambda each: each.item.half,
    "kind of document": lambda each: f"{each.item.half}: {each.item.about}",
    "kind of question": lambda each: f"{each.item.half}: {each.item.kind}",
}
TEXTS = ("quotes 1", "quotes 2", "quotes", "model", "written", "answer", "answer + quotes")


def _mean(values: Sequence[float | None]) -> float | None:
    known = [float(value) for value in values if value is not None]
    return fmean(known) if known else None


def figures(found: Sequence[Outcome]) -> dict[str, Any]:
    """Shares from 0 to 1, median times in seconds; None where there is nothing to draw one from.

    `TEXT` is the share of questions all of whose expected words are in the text, `TEXT words` the share of the words.
    """
    known = [each for each in found if each.item.gold]
    told: dict[str, Any] = {"questions": len(found)}
    told |= {f"hit@{most}": _mean([0 < each.rank <= most for each in known]) for most in (1, 4, 8)}
    for name in TEXTS:
        told[name] = _mean([each.said[name] == 1 for each in known if name in each.said])
        told[f"{name} words"] = _mean([each.said.get(name) for each in known])
        told[f"{name} supported"] = _mean([each.supported.get(name) for each in known])
    told["refused"] = _mean([each.score is not None and each.score < 0 for each in found])
    told["indirect"] = _mean([each.score is not None and 0 <= each.score < DIRECT for each in found])
    for name in ("searched", "ready", "first_token", "whole"):
        times = [value for each in found if (value := getattr(each, name)) is not None]
        told[name] = median(times) if times else None
    return told


COLUMNS = {
    "questions": "n",
    "hit@1": "hit@1",
    "hit@4": "hit@4",
    "hit@8": "hit@8",
    "refused": "refused",
    "indirect": "indirect",
    "quotes 1": "1 quote",
    "quotes 2": "2 quotes",
    "quotes": "3 quotes",
    "quotes words": "words of them",
    "quotes supported": "supported",
    "ready": "s to quotes",
    "model": "model",
    "model supported": "all of it supported",
    "written": "written",
    "written supported": "its supported",
    "answer": "answer",
    "answer words": "its words",
    "answer + quotes": "with quotes",
    "first_token": "s to token",
    "whole": "s whole",
}


def markdown(found: Sequence[Outcome]) -> str:
    """One table: a row for each half, kind of document and kind of question; columns without figures are left out."""
    groups: dict[str, list[Outcome]] = {}
    for each in found:
        for name in dict.fromkeys(group(each) for group in GROUPS.values()):
            groups.setdefault(name, []).append(each)
    answered = [each for each in found if each.item.gold]
    rows = {name: figures([each for each in some if each.item.gold] or some) for name, some in groups.items()}
    rows = {"all answerable": figures(answered), **rows}
    names = [name for name in COLUMNS if any(row[name] is not None for row in rows.values())]
    lines = [["of", *(COLUMNS[name] for name in names)], ["---"] + ["---:"] * len(names)]
    for of, row in rows.items():
        lines.append([of, *(_shown(row[name]) for name in names)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _shown(value: Any) -> str:
    return "" if value is None else str(value) if isinstance(value, int) else f"{value:.2f}"


def as_line(found: Outcome) -> str:
    """An outcome as a line of JSON."""
    return json.dumps({**asdict(found), "item": found.item.model_dump(exclude_defaults=True)}, ensure_ascii=False)


async def measure(bench: Bench, items: Sequence[Item], note: Callable[[Outcome], object]) -> list[Outcome]:
    """The outcome of each question, in order; `note` is called with each as it comes."""
    found = []
    for item in items:
        outcome = await bench.ask(item)
        note(outcome)
        found.append(outcome)
    return found


async def main() -> None:
    """Measure, print the table, and write it and all answers to the folder."""
    parser = argparse.ArgumentParser("python -m bench.answers", description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="none", help="chat model as `provider:model`, or the path of a .gguf file")
    parser.add_argument("--half", choices=("tune", "held"), default="", help="this half alone")
    parser.add_argument("--limit", type=int, default=0, help="so many questions, spread evenly")
    parser.add_argument("--prompt", type=Path, help="a prompt in place of the app's")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "answers", help="where tables and answers go")
    flags = parser.parse_args()
    model = f"embedded:{Path(flags.model).resolve()}" if flags.model.endswith(".gguf") else flags.model
    name = re.sub(r"[^\w.-]+", "-", f"{Path(model).name}-{flags.half or 'all'}")
    flags.out.mkdir(parents=True, exist_ok=True)
    items = load_items(half=flags.half, limit=flags.limit)
    with (flags.out / f"{name}.jsonl").open("w", encoding="utf-8") as lines:
        async with open_bench(model, flags.out / "libraries", flags.prompt) as bench:
            found = await measure(bench, items, lambda each: print(as_line(each), file=lines, flush=True))
    text = markdown(found)
    (flags.out / f"{name}.md").write_text(f"{text}\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    asyncio.run(main())
