"""Bodies of requests and replies: what a question may hold, and what every door but the page gives for an answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal
from urllib.parse import quote

from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from pydantic import BaseModel, Field

from rag.answers.update import Timings, Update
from rag.grounding.fragment import text_fragment
from rag.settings import Think
from rag.sources.loader import is_url


class Turn(BaseModel):
    """An earlier turn of the conversation."""

    role: Literal["user", "assistant"]
    content: str


class Question(BaseModel):
    """A question, and the conversation before it if it is a follow-up."""

    question: str = Field(description="What is asked.")
    history: list[Turn] = Field([], description="Earlier turns, oldest first.")
    scope: list[str] = Field(
        [], description="Sources to answer from, as `/library` names them or by what a name ends with; empty: all."
    )

    think: Think | None = Field(
        None, description="Let the chat model think first, if it can: off, on, low, medium or high; else as RAG_THINK."
    )

    def given(self) -> dict[str, Any]:
        """The input of the chain."""
        own = {"scope": self.scope, "think": self.think}
        return {"question": self.question, "history": messages_of(self.history), **own}


class Source(BaseModel):
    """A passage that the answer is drawn from."""

    number: int
    title: str
    source: str = Field(description="URL, or path of the file.")
    page: int | None = Field(None, description="Page of a PDF or slide of a show, from 1.")
    section: str = Field("", description="Headings over the passage, outermost first: A > B.")
    link: str = Field("", description="The source at the passage's section or page, where it has an address.")
    text: str
    start: int | None = Field(
        None, description="Where the passage begins, in characters of the source's text, or of its page's."
    )


class Quote(BaseModel):
    """The words of a passage that support a sentence: the source's text from `start` to `end`."""

    text: str
    start: int | None = Field(None, description="Where it begins in the source's text, in characters.")
    end: int | None = Field(None, description="Where it ends there.")
    link: str = Field("", description="The live page at these words, where it has an address.")


class Best(Quote):
    """A quote that answers the question, and the passage that it is from."""

    row: str = Field("", description="What its row begins with, to be read before it, where it is a part of a row.")
    heading: str = Field("", description="The heading above it, or the question that it follows in a list of them.")
    passage: int = Field(description="Number of the passage.")
    title: str
    source: str = Field(description="URL, or path of the file.")


class Grounded(BaseModel):
    """A sentence of the answer: `answer[start:end] == text`."""

    start: int
    end: int
    text: str
    supported: bool | None = Field(description="Whether a passage supports it; null: the sentence claims nothing.")
    passage: int | None = Field(None, description="Number of the passage that supports it.")
    quote: Quote | None = None
    why: str = Field(
        "", description="The detail of an unsupported sentence that no passage has, if it is a single one."
    )


class Times(BaseModel):
    """How long the answer took, in seconds, and its tokens; thinking is none of them."""

    retrieval: float | None
    thinking: float | None = Field(description="How long the model thought; null: it did not.")
    first_token: float | None
    total: float
    tokens: int
    tokens_per_second: float | None


class AnswerFields(BaseModel):
    """What every door but the page gives beside the answer's text."""

    sources: list[Source]
    quotes: list[Best] = Field(description="The sentences of the passages that answer best, word for word, best first.")
    thinking: str = Field(description="What the model thought before it answered; no part of the answer.")
    quoted: bool = Field(description="The answer is these quotes; no model wrote it.")
    indirect: bool = Field(description="The quotes only come near to an answer, and the answer says so.")
    opening: int = Field(
        description="Characters at the answer's beginning that are the first quotes; the model wrote the rest."
    )
    doubtful: bool = Field(
        description="Most of the answer has no support, or it says that it does not know: read the quotes first."
    )
    timings: Times
    asked: str = Field(description="The text that was searched for: a follow-up in full words, else the question.")
    refused: bool = Field(description="No passage found is about the question, so no model wrote an answer.")
    coverage: str = Field(description="The part of the library that was read, if not the passages found; else empty.")
    unread: int = Field(description="Passages that did not fit the model's window.")
    notice: str = Field(description="That the model began to repeat itself and was stopped; else empty.")
    grounding: list[Grounded] | None = Field(description="The answer's sentences; null: they could not be checked.")


class Answer(AnswerFields):
    """A whole answer with its sources."""

    answer: str
    model: str


def messages_of(history: Sequence[Turn]) -> list[BaseMessage]:
    """Earlier turns as messages for the chat model; none of them is ever a system message."""
    return [HumanMessage(turn.content) if turn.role == "user" else AIMessage(turn.content) for turn in history]


def link_of(document: Document) -> str:
    """The source's address at the passage's section (its anchor) or page; "" for a file."""
    source, anchor, page = (document.metadata.get(name) for name in ("source", "anchor", "page"))
    if not is_url(str(source)):
        return ""
    place = quote(str(anchor), safe="") if anchor else f"page={page}" if page else ""
    return f"{source}#{place}" if place else str(source)


def sources_of(documents: Sequence[Document]) -> list[dict[str, Any]]:
    """The passages as JSON, numbered from 1."""
    return [
        Source(
            number=number,
            title=str(document.metadata.get("title") or ""),
            source=str(document.metadata.get("source") or ""),
            page=document.metadata.get("page"),
            section=str(document.metadata.get("section") or ""),
            link=link_of(document),
            text=document.page_content,
            start=document.metadata.get("start_index"),
        ).model_dump()
        for number, document in enumerate(documents, start=1)
    ]


def timings_of(timings: Timings) -> dict[str, Any]:
    """The timings as JSON, rounded to milliseconds."""
    told = Times.model_validate(timings, from_attributes=True).model_dump()
    return {name: value if value is None else round(value, 3) for name, value in told.items()}


def quote_of(document: Document, start: int, end: int) -> Quote:
    """Part of a passage, with its place in the source's text and a link to it on the live page."""
    text, began = document.page_content[start:end], document.metadata.get("start_index")
    link = link_of(document)
    if link:
        link += ("" if "#" in link else "#") + text_fragment(text)
    if began is None:
        return Quote(text=text, start=None, end=None, link=link)
    return Quote(text=text, start=began + start, end=began + end, link=link)


def grounding_of(update: Update) -> list[Grounded] | None:
    """The answer's sentences with what supports each."""
    if update.grounding is None:
        return None
    found = []
    for sentence in update.grounding:
        number, quote = sentence.passage, sentence.quote
        found.append(
            Grounded(
                start=sentence.start,
                end=sentence.end,
                text=update.text[sentence.start : sentence.end],
                supported=number is not None if sentence.claims else None,
                passage=number,
                quote=quote_of(update.passages[number - 1], *quote) if number and quote else None,
                why=sentence.why,
            )
        )
    return found


def quotes_of(update: Update) -> list[dict[str, Any]]:
    """The quotes as JSON, best first."""
    found = []
    for each in update.quotes:
        passage = update.passages[each.passage - 1]
        title, source = (str(passage.metadata.get(name) or "") for name in ("title", "source"))
        quote = quote_of(passage, each.start, each.end).model_dump()
        row = each.row(update.passages)
        best = Best(**quote, row=row, heading=each.heading, passage=each.passage, title=title, source=source)
        found.append(best.model_dump())
    return found


def answer_fields(update: Update) -> dict[str, Any]:
    """The fields of `AnswerFields` as JSON; those that are not made here are the update's own."""
    grounding = grounding_of(update)
    made = {
        "sources": sources_of(update.passages),
        "quotes": quotes_of(update),
        "timings": timings_of(update.timings),
        "grounding": None if grounding is None else [each.model_dump() for each in grounding],
    }
    return {name: made[name] if name in made else getattr(update, name) for name in AnswerFields.model_fields}
