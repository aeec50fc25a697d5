"""The conversation as the page shows it: an answer with its marks, the passages under it, failures; and read back.

Everything that comes from documents, models or people is shown as text and never taken for markup.
"""

from __future__ import annotations

import html
import re
import secrets
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import gradio as gr
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from markdown_it import MarkdownIt

from rag.answers.quotes import Quote
from rag.answers.update import Update
from rag.doors.bodies import link_of, quote_of
from rag.errors import QuestionError, RagError
from rag.grounding.ground import Sentence
from rag.sources.loader import GUIDE, is_url

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

FROM_SOURCES = "From your sources"
NEAREST = "The library does not say so directly; nearest:"
MODELS_OWN = "What the model made of it"
"""Titles of quotes, of quotes that are to be read first, and of a model's answer below these."""
SUPPORTED, UNSUPPORTED = "#quote-", "#none-"
"""What a mark's link begins with. It goes on with a name that is the answer's own, so that no text can forge one."""
BESIDE, INSTEAD = "quotes", "quotes-first"
"""Names of a message with quotes: beside a model's answer, where it is no turn of the conversation, or in its place."""
_MARK = re.compile(r' ?\[(\d+|\?)\]\((?:#quote|#none)-[0-9a-f]+-\d+(?: "[^"\n]*")?\)')
_FORGED = re.compile(r"#(?:(?:quote|none)-)+")

_BLOCKS = MarkdownIt("commonmark", {"inline_definitions": True}).enable("table")
_BLOCKS.core.ruler.enableOnly(["normalize", "block"])
_WITHOUT_MARKS = frozenset(("fence", "code_block", "table_open", "html_block", "definition"))
"""Blocks that a mark would break, or be text in."""
_FORMULA = re.compile(r"\$\$[\s\S]+?\$\$|(?<!\\)\\\[(?:(?!(?<!\\)\\\[|\n[ \t]*\n)[\s\S])+?\\\]")
_INLINE = re.compile(
    r"(?P<whole>\\\((?:(?!\\\()[\s\S])+?\\\)|(?<!`)(?P<ticks>`+)(?!`)[\s\S]{1,2000}?(?<!`)(?P=ticks)(?!`)"
    r"|<!--(?:(?!<!--)[\s\S])*?-->|</?[A-Za-z][^<>]*>)"
    r"|(?P<open>\[)"
    r"|\](?P<link>\((?:[^()\\]|\\.|\([^()]{0,300}\)){0,1000}\)|\[[^\[\]]{0,300}\])?"
    r"|\\[^\w\s]|`+"
)
_ADDRESS = re.compile(r"(?:https?|ftp)://|\bwww\.", re.I)


def with_plain_marks(text: str) -> str:
    """An answer as the page shows it, its marks without their links: `[1]`, `[?]`."""
    return _MARK.sub(r" [\1]", text)


def text_of(content: Any) -> str:
    """The text of a message of Gradio's: clients send a string, the browser sends a list of parts."""
    parts = content if isinstance(content, list) else [content]
    return "".join(part if isinstance(part, str) else str(part.get("text", "")) for part in parts if part)


def as_messages(history: Sequence[dict[str, Any]]) -> list[BaseMessage]:
    """Gradio's history as messages for the model; text comes as a string from clients and as parts from the browser.

    Notes under an answer (sources, failures) carry a title in their metadata and are no part of the conversation.
    Neither are the marks in it, nor quotes beside it.

    Raises:
        QuestionError: it is no list of turns.
    """
    messages: list[BaseMessage] = []
    if not isinstance(history, (list, tuple)) or not all(isinstance(turn, dict) for turn in history):
        raise QuestionError('The history does not fit: it is a list of turns, {"role", "content"} each.')
    for turn in history:
        text = text_of(turn.get("content"))
        told = turn.get("metadata") or {}
        if not text.strip() or told.get("title") or told.get("id") == BESIDE:
            continue
        if told.get("id") == INSTEAD:
            text = "\n".join(read_quotes(text))
        messages.append(HumanMessage(text) if turn.get("role") == "user" else AIMessage(_MARK.sub("", text)))
    return messages


def show_answer(
    update: Update, question: str, scope: Sequence[str] = (), awaiting: Sequence[str] = ()
) -> list[gr.ChatMessage]:
    """The messages for a moment of an answer: its text, quotes from the sources, and a note that opens to the passages.

    Where quotes are the answer, or no passage supports most of what the model wrote, they stand first.
    """
    timings = update.timings
    words = [PHASES[update.phase]]
    if update.refused:
        words = ["Not in the library"]
    elif update.phase == "done" and not update.sources and not update.coverage:
        words = ["Nothing was asked, so nothing was searched"]
    elif update.phase == "starting" and awaiting:
        words = ["; ".join(awaiting)]
    if update.ahead is not None:
        words.append(f"{update.ahead} ahead of you")
    if update.sources:
        words.append(f"{'nearest ' * update.refused}{len(update.sources)} passage{'s' * (len(update.sources) != 1)}")
    if update.coverage:
        words.append(update.coverage)
    if update.unread:
        words.append(f"{update.unread} of them did not fit the model's window")
    if scope:
        words.append(f"only from {'1 source' if len(scope) == 1 else f'{len(scope)} sources'}")
    claims = [sentence for sentence in update.grounding or () if sentence.claims]
    if claims and not update.quoted:
        supported = sum(sentence.passage is not None for sentence in claims)
        words.append(f"{supported} of {len(claims)} sentence{'s' * (len(claims) != 1)} supported")
    if timings.first_token is not None and not update.refused:
        words.append(f"{'quotes' if update.quoted else 'first token'} after {timings.first_token:.1f} s")
    if update.phase == "done" and timings.tokens_per_second:
        words.append(f"{timings.tokens_per_second:.0f} tokens a second")
    elif timings.first_token is None and timings.total >= 1:
        words.append(f"{timings.total:.0f} s")
    name = secrets.token_hex(4)
    grounding = [] if update.quoted else list(update.grounding or ())
    quoted = [Sentence(0, 0, passage=each.passage, quote=(each.start, each.end)) for each in update.quotes]
    note = gr.ChatMessage(
        content=_asked(update, question) + show_passages(update.sources, [*grounding, *quoted], name),
        metadata={"title": " · ".join(words), "status": "done" if update.phase == "done" else "pending"},
    )
    first = update.quoted or update.doubtful
    shown = []
    if update.quotes and not update.refused:
        title = FROM_SOURCES if update.quoted or not first else NEAREST
        content = show_quotes(update.quotes, update.sources, title, name, len(grounding))
        shown = [gr.ChatMessage(content=content, metadata={"id": INSTEAD if first else BESIDE})]
    if update.text and not (update.quoted and shown):
        folded: Any = {"title": MODELS_OWN, "status": "done"} if update.doubtful else {}
        answer = gr.ChatMessage(content=show_text(update, name), metadata=folded)
        shown = [*shown, answer] if update.doubtful else [answer, *shown]
    return [*shown, note]


def show_quotes(quotes: Sequence[Quote], sources: Sequence[Document], title: str, name: str, number: int) -> str:
    """Quotes below a title, each with a mark that opens it in its passage; `number` is that of the first mark."""
    shown = [
        f'> “{plain(each.text(sources))}” [{each.passage}]({SUPPORTED}{name}-{place} "Open it in its passage.")'
        for place, each in enumerate(quotes, start=number)
    ]
    return f"<small>{title}</small>\n\n" + "\n\n".join(shown)


def read_quotes(content: str) -> list[str]:
    """The quotes of a message that `show_quotes` made, each with its marks' numbers: `“…” [1]`."""
    lines = (line.removeprefix("> ") for line in content.splitlines() if line.startswith("> "))
    return [html.unescape(with_plain_marks(line).replace("<br>", "\n")) for line in lines]


def _asked(update: Update, question: str) -> str:
    """What was searched for, where that is not what was typed."""
    if not update.asked or update.asked == question.strip():
        return ""
    return f"<p><small>Searched for:</small> {plain(update.asked)}</p>"


def show_text(update: Update, name: str) -> str:
    """The answer's text, and behind each sentence a mark: the passage that supports it, or that there is none."""
    claims = [(number, sentence) for number, sentence in enumerate(update.grounding or ()) if sentence.claims]
    places = places_without_marks(update.text) if claims else []
    shown, end = "", 0
    for number, sentence in claims:
        place = _place_of_mark(update.text, sentence.end, places)
        if place is None:
            continue
        shown += _unforged(update.text[end : max(end, place)])
        end = max(end, place)
        shown += " " * _is_joined(update.text, end, places)
        if sentence.passage is not None:
            title = f"Passage {sentence.passage} says so. Open it."
            shown += f'[{sentence.passage}]({SUPPORTED}{name}-{number} "{title}")'
        else:
            missing = f": it has not {sentence.why}" if sentence.why else ""
            title = re.sub(r'[\s"\\<>\[\]()`]+', " ", f"No passage supports this sentence{missing}.")
            shown += f'[?]({UNSUPPORTED}{name}-{number} "{title}")'
    return shown + _unforged(update.text[end:])


class Place(NamedTuple):
    """A part of an answer that a mark in it would break; `block`: one right behind it would, too."""

    start: int
    end: int
    block: bool


def places_without_marks(text: str) -> list[Place]:
    """Code, formulas, tables, HTML and links of an answer, as the page takes them: blocks first.

    The page takes formulas out before it reads the Markdown, and so does this: what is in them is no Markdown.
    """
    formulas = [Place(*found.span(), True) for found in _FORMULA.finditer(text)]
    text = _FORMULA.sub(lambda found: "x" * len(found[0]), text)
    lines = [0, *(found.end() for found in re.finditer(r"\r\n?|\n", text)), len(text)]
    known: dict[str, Any] = {}
    blocks: list[Place] = []
    inline: list[Place] = []
    for token in _BLOCKS.parse(text, known):
        if not token.map:
            continue
        start, end = lines[token.map[0]], lines[min(token.map[1], len(lines) - 1)]
        if token.type in _WITHOUT_MARKS:
            blocks.append(Place(start, start + len(text[start:end].rstrip()), True))
        elif token.type == "inline" and not (blocks and start < blocks[-1].end):
            inline += _inline_places(text, start, end, bool(known.get("references")))
    return [*formulas, *blocks, *inline]


def _inline_places(text: str, start: int, end: int, references: bool) -> Iterator[Place]:
    """Code, formulas, tags and links within a paragraph; `references`: `[text]` alone may be a link."""
    opened: list[int] = []
    for found in _INLINE.finditer(text, start, end):
        if found["whole"]:
            yield Place(*found.span(), False)
        elif found["open"]:
            opened.append(found.start())
        elif found[0][0] == "]" and opened:
            place = opened.pop()
            if found["link"] or references:
                yield Place(place, found.end(), False)


def _place_of_mark(text: str, place: int, places: Sequence[Place]) -> int | None:
    """Where the mark of a sentence that ends at `place` stands: there, or behind what it would break in that line."""
    while found := next((each for each in places if each.start < place < each.end + each.block), None):
        if found.block or "\n" in text[place : found.end]:
            return None
        place = found.end
    return place


def _is_joined(text: str, place: int, places: Sequence[Place]) -> bool:
    """Whether a mark right at `place` would be an image, escaped, a reference or part of a bare address."""
    if text.endswith(("!", "\\", "]"), 0, place):
        return True
    word = re.split(r"[\s<]", text[text.rfind("\n", 0, place) + 1 : place])[-1]
    address = _ADDRESS.search(word)
    start = place - len(word) + address.start() if address else place
    return bool(address) and not any(each.start <= start < each.end <= place for each in places)


def _unforged(text: str) -> str:
    """A model's text, in which no link looks like a mark."""
    return _FORGED.sub("#", text)


def show_failure(update: Update, error: RagError) -> list[gr.ChatMessage]:
    """The messages for an answer that failed: what had come of it, marked, and why."""
    title = "Cut off" if update.text else "Not answered"
    told = plain(str(error))
    note = gr.ChatMessage(content=told, metadata={"title": f"⚠ {title}: {told}", "status": "done"})
    return [gr.ChatMessage(content=f"{_unforged(update.text)} …"), note] if update.text else [note]


def show_passages(sources: Sequence[Document], grounding: Sequence[Sentence] = (), name: str = "") -> str:
    """The passages as folded blocks: title, place, text with the words that support a sentence, link or path."""
    blocks = []
    for number, source in enumerate(sources, start=1):
        quoted = [(place, each) for place, each in enumerate(grounding) if each.passage == number and each.quote]
        origin = str(source.metadata.get("source", ""))
        section = plain(str(source.metadata.get("section") or ""))
        where = (f" › {section}" if section else "") + (
            f" · page {source.metadata['page']}" if "page" in source.metadata else ""
        )
        link = f'<a href="{html.escape(link_of(source))}" target="_blank" rel="noopener noreferrer">{plain(origin)}</a>'
        told = "comes with the app" if origin == GUIDE else link if is_url(origin) else plain(origin)
        blocks.append(
            f"<details><summary><b>{number}</b> {plain(str(source.metadata.get('title') or origin))}{where}"
            f" <small>{plain(_beginning(source.page_content))}</small></summary>"
            f"<blockquote>{_highlighted(source, quoted, name)}</blockquote><p>{told}</p></details>"
        )
    return "".join(blocks)


def _highlighted(source: Document, quoted: Sequence[tuple[int, Sentence]], name: str) -> str:
    """A passage's text; what supports a sentence is marked, and its words in it once more."""
    text = source.page_content
    shown, shown_to = "", 0
    for start, end, sentences in _merged(quoted):
        anchors = "".join(f'<span id="{SUPPORTED[1:]}{name}-{place}"></span>' for place, _ in sentences)
        words = [span for _, sentence in sentences for span in sentence.words]
        cuts = sorted({start, end, *(place for span in words for place in span if start < place < end)})
        runs = ""
        for left, right in pairwise(cuts):
            run = plain(text[left:right])
            runs += f"<b>{run}</b>" if any(span[0] <= left and right <= span[1] for span in words) else run
        link = quote_of(source, start, end).link
        there = f' <a href="{html.escape(link)}" target="_blank" title="Open the page at these words">↗</a>'
        shown += f"{plain(text[shown_to:start])}{anchors}<mark>{runs}</mark>{there if link else ''}"
        shown_to = end
    return shown + plain(text[shown_to:])


def _merged(quoted: Sequence[tuple[int, Sentence]]) -> list[tuple[int, int, list[tuple[int, Sentence]]]]:
    """Where a passage is quoted, from and to, and by which sentences; what overlaps is one place."""
    places: list[tuple[int, int, list[tuple[int, Sentence]]]] = []
    for number, sentence in sorted(quoted, key=lambda item: item[1].quote or (0, 0)):
        start, end = sentence.quote or (0, 0)
        if places and start < places[-1][1]:
            first, last, others = places.pop()
            places.append((first, max(last, end), [*others, (number, sentence)]))
        else:
            places.append((start, end, [(number, sentence)]))
    return places


def _beginning(text: str) -> str:
    """The first words of a passage, headings left out, to tell it from its neighbours."""
    words = " ".join(line for line in text.splitlines() if not line.startswith("#")).split()
    return " ".join(words)[:90] + " …"


def plain(text: str) -> str:
    """Text that the chat shows as it is: nothing in it is HTML, Markdown or LaTeX to the page."""
    shown = html.escape(text)
    for character in "\\`*_{}[]()#+-.!$~|^:":
        shown = shown.replace(character, f"&#{ord(character)};") if character not in "#;&" else shown
    return shown.replace("\n\n", "<br><br>").replace("\n", "<br>")
