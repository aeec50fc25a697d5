"""The conversation as the page shows it: an answer with its marks, the quotes and passages under it, failures.

Everything that comes from documents, models or people is shown as text and never taken for markup.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from typing import Any

import gradio as gr
from langchain_core.documents import Document

from rag.answers.quotes.quote import Quote
from rag.answers.suggest import answering, suggest
from rag.answers.told import INDIRECT, MODELS_OWN
from rag.answers.update import Update
from rag.errors import RagError
from rag.grounding.ground import Sentence
from rag.page.answer_text import plain, with_marks
from rag.page.history import BESIDE, INSTEAD, THINKING, UNCOPIED
from rag.page.passages import SUPPORTED, UNSUPPORTED, show_passages
from rag.page.reader import place_of
from rag.text.amounts import told_seconds

PHASES = {
    "queued": "Waiting for a place in line",
    "starting": "Starting",
    "searching": "Searching the passages",
    "loading": "The model is loading",
    "reading": "The model is reading the passages",
    "thinking": "The model is thinking",
    "writing": "Writing",
    "stalled": "Stalled: the model sends nothing",
    "done": "Sources",
}

FROM_SOURCES, ALSO = "From your sources", "Also in your sources"
"""Titles of the quotes, and of those that are left where an answer opens with the best ones."""
READ_FIRST = "From your sources; they support little of what the model wrote, which is below"
"""Title of the quotes above a doubtful answer."""
LONGEST_TOLD = 400
"""Characters of a quote that a mark tells when it is pointed at."""
_BOLD = re.compile(r"\*\*(?=\S)([^*\n]+?)(?<=\S)\*\*")
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")


def new_name() -> str:
    """A name for the marks of one answer, which no answer before has."""
    return secrets.token_hex(4)


def show_answer(
    update: Update,
    question: str,
    scope: Sequence[str] = (),
    awaiting: Sequence[str] = (),
    *,
    so_far: str = "",
    asked: Sequence[str] = (),
    name: str = "",
) -> list[gr.ChatMessage]:
    """The messages for a moment of an answer: its text, quotes from the sources, and a note that opens to the passages.

    Where quotes are the answer, or no passage supports most of what the model wrote, they stand first. Where the answer
    opens with one, all do, and what a small model adds comes last, open while it writes and folded then. `so_far` says
    how much of the library is read by now, while the rest is. `asked`: earlier questions of the conversation. `name`
    tells the marks of this answer from others'; with one for all its moments, the page draws anew only what changes.
    """
    timings = update.timings
    words = [PHASES[update.phase]]
    if update.refused:
        words = ["Not in the library"]
    elif update.phase == "done" and not update.passages and not update.coverage:
        words = ["No question, so nothing was searched"]
    elif update.phase == "starting" and awaiting:
        words = ["; ".join(awaiting)]
    if update.ahead is not None:
        words.append(f"{update.ahead} ahead of you")
    if update.seconds_ahead is not None and update.seconds_ahead >= 5:
        words.append(f"about {told_seconds(update.seconds_ahead)} to wait")
    if update.passages:
        words.append(f"{'nearest ' * update.refused}{len(update.passages)} passage{'s' * (len(update.passages) != 1)}")
    if update.coverage:
        words.append(update.coverage)
    if so_far:
        words.append(so_far)
    if update.unread:
        words.append(f"{update.unread} of them did not fit the model's window")
    if scope:
        words.append(f"only from {'1 source' if len(scope) == 1 else f'{len(scope)} sources'}")
    if (told := _told_support(update)) and not (update.quoted or update.opening):
        words.append(told)
    if timings.total >= 1:
        words.append(f"{timings.total:.0f}\u00a0s")  # which a phone would part
    if update.notice:
        words.append(update.notice)
    name = name or new_name()
    grounding = [] if update.quoted else list(update.grounding or ())
    quoted = _as_sentences(update.quotes)
    proposed = suggest(question, answering(update.passages, update.quotes), asked) if update.phase == "done" else []
    note = gr.ChatMessage(
        content=_asked(update, question) + _speed(update) + show_passages(update.passages, [*grounding, *quoted], name),
        metadata={"title": " · ".join(words), "status": "done" if update.phase == "done" else "pending"},
        options=[{"value": each} for each in proposed],
    )
    return [*show_thinking(update), *_shown(update, name, len(grounding)), note]


def _shown(update: Update, name: str, number: int) -> list[gr.ChatMessage]:
    """The messages with the answer and its quotes, in the order to read them. `number` is that of the first quote."""
    quotes = () if update.refused else update.quotes
    first, title = 0, FROM_SOURCES
    if update.opening:
        first, title = update.opens_with, ""
    elif update.doubtful or (update.quoted and quotes):
        first, title = len(quotes), READ_FIRST if update.doubtful else INDIRECT if update.indirect else FROM_SOURCES

    several = len({update.passages[each.passage - 1].metadata.get("source") for each in quotes}) > 1

    def quoted(some: Sequence[tuple[int, Quote]], title: str, id: str) -> list[gr.ChatMessage]:
        content = show_quotes(some, update.passages, title, name, several=several)
        return [gr.ChatMessage(content=content, metadata={"id": id})] if some else []

    marked = list(enumerate(quotes, start=number))
    before = quoted(marked[:first], title, INSTEAD)
    behind = quoted(marked[first:], ALSO if first else FROM_SOURCES, BESIDE)
    if not update.written or (update.quoted and quotes):
        return [*before, *behind]
    text = gr.ChatMessage(content=_beside(update, show_text(update, name)), metadata=_folded(update))
    return [*before, *behind, text] if update.opening else [*before, text, *behind]


def _beside(update: Update, written: str) -> str:
    """The model's text; what a small one adds to the quotes is marked as what is not copied."""
    if not update.opening:
        return written
    begins, ends = "" if written[:1].isalnum() else "\n\n", "\n" * written.endswith("```")
    return f"{UNCOPIED}{begins}{written}{ends}{UNCOPIED}"


def _folded(update: Update) -> Any:
    """The metadata of the model's text: none, or a title and whether it is folded behind that."""
    if not (update.opening or update.doubtful):
        return {}
    told = f" · {support}" if (support := _told_support(update)) and update.opening else ""
    return {"title": MODELS_OWN + told} | ({"status": "done"} if update.phase == "done" else {})


def _told_support(update: Update) -> str:
    supported, claims = update.support
    return f"{supported} of {claims} sentence{'s' * (claims != 1)} supported" if claims else ""


def _as_sentences(quotes: Sequence[Quote]) -> list[Sentence]:
    """The quotes as what supports a sentence, so that their words are marked in the passages."""
    return [Sentence(0, 0, passage=each.passage, quote=(each.start, each.end)) for each in quotes]


def show_thinking(update: Update) -> list[gr.ChatMessage]:
    """What the model thought, folded behind how long it did."""
    if not update.thinking.strip():
        return []
    seconds = f"{update.timings.thinking or 0:.0f} s"
    shown: Any = {"title": f"Thinking, {seconds}", "status": "done", "id": THINKING}
    thought = plain(update.thinking.replace(UNCOPIED, "").strip())
    return [gr.ChatMessage(content=f"{UNCOPIED}{thought}{UNCOPIED}", metadata=shown)]


def show_quotes(
    quotes: Sequence[tuple[int, Quote]], passages: Sequence[Document], title: str, name: str, *, several: bool = False
) -> str:
    """Quotes below a title, each with a mark that opens it in its passage, and whose number stands before it here.

    Each tells below which heading it stands; a FAQ's answer is hardly understood without its question. `several`: they
    are from several sources, and each tells from which, too: what is true of one thing is not of another.
    """
    shown = []
    for place, each in quotes:
        where = place_of(passages[each.passage - 1], each.start, each.end)
        mark = f'[{each.passage}]({SUPPORTED}{name}-{place}{where} "{_origin(passages[each.passage - 1])}")'
        words = plain(_BOLD.sub(r"\1", each.text(passages)))
        names = [_title(passages[each.passage - 1])] * several + [each.heading]
        told = " › ".join(dict.fromkeys(filter(None, names)))
        source = f"\xa0<small>{plain(told)}</small>" if told else ""
        shown.append(f"> “{words}”\xa0{mark}{source}")  # no mark stands alone in a line
    return "\n\n".join([f"<small>{title}</small>", *shown] if title else shown)


def _title(passage: Document) -> str:
    return str(passage.metadata.get("title") or passage.metadata.get("source", ""))


def _origin(passage: Document) -> str:
    """Where a quote is from, as the title of a mark's link: it stands behind the quote itself."""
    title = _title(passage)
    section, page = passage.metadata.get("section"), passage.metadata.get("page")
    return _in_title(title + (f" › {section}" if section else "") + (f" · page {page}" if page else ""))


def _asked(update: Update, question: str) -> str:
    """What was searched for, where that is not what was typed."""
    if not update.asked or update.asked == question.strip():
        return ""
    return f"<p><small>Searched for:</small> {plain(update.asked)}</p>"


def _speed(update: Update) -> str:
    """How fast a whole answer came."""
    timings = update.timings
    if update.phase != "done" or update.refused or timings.first_token is None:
        return ""
    told = f"{'Quotes' if update.quoted else 'First token'} after {timings.first_token:.1f} s"
    pace = f", {timings.tokens_per_second:.0f} tokens a second" if timings.tokens_per_second else ""
    return f"<p><small>{told}{pace}</small></p>"


def show_text(update: Update, name: str) -> str:
    """What the model wrote, and behind each sentence a mark: the passage that supports it, or that there is none."""
    marks = []
    for number, sentence in enumerate(update.grounding or ()):
        if not sentence.claims or sentence.start < update.opening:
            continue
        end = sentence.end - update.opening
        if sentence.passage is not None:
            cited = update.passages[sentence.passage - 1 : sentence.passage]
            told = quote_told(cited, sentence.quote)
            where = "".join(place_of(each, *sentence.quote) for each in cited) if sentence.quote else ""
            marks.append((end, f'[{sentence.passage}]({SUPPORTED}{name}-{number}{where} "{told}")'))
        else:
            why = sentence.why or _unsaid(update.text[sentence.start : sentence.end], update.passages)
            missing = f": none says {why}" if why else ""
            told = _in_title(f"No passage supports this sentence{missing}.")
            marks.append((end, f'[?]({UNSUPPORTED}{name}-{number} "{told}")'))
    return with_marks(update.written, marks).lstrip("\n")


def _unsaid(sentence: str, passages: Sequence[Document]) -> str:
    """The numbers of a sentence that stand in no passage."""
    said = {number for passage in passages for number in _NUMBER.findall(passage.page_content)}
    return ", ".join(dict.fromkeys(number for number in _NUMBER.findall(sentence) if number not in said))


def quote_told(passage: Sequence[Document], quote: tuple[int, int] | None) -> str:
    """What a mark tells when it is pointed at: the words that support a sentence, as the title of its link."""
    start, end = quote or (0, 0)
    text = "".join(each.page_content[start : min(end, start + LONGEST_TOLD)] for each in passage)
    return _in_title(f"“{text}{' …' * (end > start + LONGEST_TOLD)}”" if text else "Open it in its passage.")


def _in_title(text: str) -> str:
    return plain(" ".join(text.split()))


def show_failure(update: Update, error: RagError, *, name: str = "") -> list[gr.ChatMessage]:
    """The messages for an answer that failed: the quotes, what had come of it, marked, and why. `name` as before."""
    title = "Cut off" if update.written else "Not answered"
    told = plain(str(error))
    name = name or new_name()
    quoted = _as_sentences(update.quotes)
    passages = show_passages(update.passages, quoted, name) if quoted else ""
    note = gr.ChatMessage(content=told + passages, metadata={"title": f"⚠ {title}: {told}", "status": "done"})
    text = f"{with_marks(update.written).strip()} …"
    shown = [gr.ChatMessage(content=_beside(update, text), metadata=_folded(update))] if update.written else []
    if quoted:
        content = show_quotes(list(enumerate(update.quotes)), update.passages, FROM_SOURCES, name)
        shown.insert(0, gr.ChatMessage(content=content, metadata={"id": INSTEAD if update.opening else BESIDE}))
    return [*shown, note]
