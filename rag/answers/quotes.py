"""The sentences of the passages that answer a question best, word for word, in up to three quotes.

They are there before a chat model has read its prompt, and they are the answer where there is no chat model.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from rag.grounding.ground import Sentence
from rag.grounding.segments import Segment, is_question, makes_no_claim, split_segments
from rag.sources.tables import SEPARATOR
from rag.text.detect import question_language
from rag.text.language import ENGLISH, stems, word_weights
from rag.text.vectors import at_length_one, have_vectors, question_vector, sentence_vectors
from rag.text.wraps import unwrap

MOST_QUOTES, MOST_SENTENCES = 3, 8
"""Quotes, and the sentences with the best scores that are looked at for them: neighbours among these are one quote."""
LONGEST_QUOTE = 600
"""Characters of a quote, and of all together, with what they lean on. Of 300 to 800, more brought no answer."""
PART, SUBJECT = 300, 60
"""Characters of a part of a row or line that is longer than a quote may be, and of the row's beginning, which is
embedded with each part: a row begins with what it tells about."""
PLACE = 0.1
"""What each place of its passage takes off a sentence's score."""


class _Weights(NamedTuple):
    """Weights of a sentence's nearness, of the question's words in it, each by its rarity, and of what stands before.

    Words weigh more in a row, a list item or a `key: value` (`line`), which embedding models know less of, and as much
    in its heading alone.
    """

    near: float
    words: float
    line: float
    heading: float
    before: float


IN_ENGLISH = _Weights(1.0, words=0.2, line=0.5, heading=0.4, before=0.2)
ELSEWHERE = _Weights(0.5, words=1.0, line=1.0, heading=0.4, before=0.2)
"""In other languages, of which many embedding models know little."""
LONGEST_REFERENCE = 400
"""Characters of a line that is taken for a reference where it names an arXiv number or the like."""
LEAST_SHARE = 0.4
"""Of the best quote's score, what another one has at least."""

_TELLS = re.compile(r"[.!?。！？:：][\"”»)\]*_]*(?:\s|$)|\s\|\s|\d|\n")
"""What is in a quote that says something alone: a sentence's end, a `key: value`, a row, a number, a second line."""
_TELLING = re.compile(r"\d|:\s|[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]{4}")
"""What says something in few words: a number, a `key: value`, writing without blanks."""
_REFERENCES = re.compile(
    r"references?|bibliography|citations?|cited as|works cited|further reading|see also|literatur\w*|quellen\w*"
    r"|einzelnachweise|références|bibliographie|referencias|bibliografía|参考文献|参考资料",
    re.I,
)
_CITED = re.compile(
    r"\[\d+\]\s+\W?[A-ZÀ-Þ]|.*(?:\barXiv\b|\bdoi(?:\.org|:)|\bISBN\b|\bet al\b.{0,40}[“\"]|\bRetrieved (?:from|on)\b"
    r"|\bAvailable:|@(?:article|misc|inproceedings|book)\{)",
    re.I | re.S,
)
_CAPTION = re.compile(
    r"[\[(]?(?:fig(?:ure)?s?|tab(?:le|elle)?|abb(?:ildung)?|listing|tableau|tabla|figura|image source|photo|图|表)"
    r"\s*\.?\s*\d*[a-z]?\s*[.:]|\(?(?:image|photo|picture) (?:source|credit|by)\b",
    re.I,
)
_ASKS_HOW = re.compile(
    r"(?:how (?:do|does|can|could|should|would|must|to|is|are)\b|(?:what|which)(?: are the)? steps\b"
    r"|wie (?:kann|soll|muss|wird|werden|geht|mache?n?|[a-zäöü]+e (?:ich|man)|[a-zäöü]+t man)\b|welche schritte\b"
    r"|comment\b|c[óo]mo\b|如何|怎么|怎样)",
    re.I,
)
"""A question for the steps of something."""
_DIGITS, _LETTERS = re.compile(r"\d+"), re.compile(r"[^\W\d_]+")
_CELLS = re.compile(r"\|\s+|\t")
_BETWEEN = re.compile(r"[;,]\s+|[；，、]")
"""Where a long row or line can be cut: between cells, else between what stands in one."""
_LEANS = re.compile(
    r"(?:this|that|these|those|it|its|they|their|them|he|she|his|her|such|here|there|then|both|however|but|so"
    r"|therefore|thus|hence|also|instead|otherwise|in this (?:case|way)|as a result|for (?:example|instance)"
    r"|dies\w*|das|es|sie|er|ihr\w*|dabei|dadurch|daher|deshalb|jedoch|zum beispiel|cela|ceci|il|elle|ils|elles|ce"
    r"|cette|ces|esto|este|esta|estos|estas|ello|pero|这|它|他们|此)\b",
    re.I,
)


@dataclass(frozen=True)
class Quote:
    """Part of a passage, word for word: `sources[passage - 1].page_content[start:end]`."""

    passage: int
    start: int
    end: int

    def text(self, sources: Sequence[Document]) -> str:
        """Its words, white space folded; rows and list items stay lines of their own."""
        lines = unwrap(sources[self.passage - 1].page_content)[self.start : self.end].splitlines()
        return "\n".join(" ".join(line.split()) for line in lines if line.strip())


class Quotable(NamedTuple):
    """A sentence that may be quoted, the text that is embedded for it, and the sentence that it leans on, if any."""

    passage: int
    segment: Segment
    embedded: str
    leans_on: Segment | None
    following: bool
    """It follows the one before it in the list, in the same passage."""
    heading: str
    """The heading that it stands under, or the question that it follows, as in a list of questions and answers."""
    line: bool
    """It is a row, a list item or a `key: value`."""


async def find_quotes(
    question: str, sources: Sequence[Document], embeddings: Embeddings, languages: Collection[str] = ()
) -> tuple[Quote, ...]:
    """The sentences that answer the question best, best first; none where the passages have no sentence.

    Args:
        question: complete; a follow-up must be rewritten before.
        sources: the passages, best first.
        embeddings: rank the sentences. Cancelling closes the request to them.
        languages: those of the library; the question is in one of them, or in English.

    Raises:
        RagError: what the embeddings raise.
    """
    found = await asyncio.to_thread(lambda: list(quotable(sources)))
    if not found:
        return ()
    await have_vectors(embeddings, question, [each.embedded for each in found])
    language = question_language(question, languages)
    return await asyncio.to_thread(_best, question, language, found, sources, embeddings)


def _best(
    question: str, language: str, found: Sequence[Quotable], sources: Sequence[Document], embeddings: Embeddings
) -> tuple[Quote, ...]:
    """The quotes with the highest scores, neighbours as one, as many as there is room for."""
    scores = _scores(question, language, found, embeddings)
    order = sorted(range(len(found)), key=lambda place: -scores[place])
    least = LEAST_SHARE * scores[order[0]]
    first = found[order[0]]
    steps = _steps(first.segment, sources[first.passage - 1].page_content) if _ASKS_HOW.match(question) else None
    quotes: list[Quote] = [Quote(first.passage, *steps)] if steps else []
    for place in order[:MOST_SENTENCES]:
        if not quotes or scores[place] >= least:
            more = _with(quotes, found[place], sources[found[place].passage - 1].page_content)
            if len(more) <= MOST_QUOTES and sum(quote.end - quote.start for quote in more) <= LONGEST_QUOTE:
                quotes = more
    return tuple(quotes)


def _scores(question: str, language: str, found: Sequence[Quotable], embeddings: Embeddings) -> list[float]:
    """How well each sentence answers: nearness, words, its passage's place, and the sentence before it."""
    vector = at_length_one(question_vector(embeddings, question))
    nearness = sentence_vectors(embeddings, [each.embedded for each in found]) @ vector
    weigh = IN_ENGLISH if language == ENGLISH else ELSEWHERE
    weights = word_weights(question, language)
    total = sum(weights.values()) or 1.0
    alone = []
    for each, near in zip(found, nearness, strict=True):
        own = weights.keys() & stems(each.embedded, language)
        above = (weights.keys() & stems(each.heading, language)) - own
        words = (weigh.line if each.line else weigh.words) * sum(weights[word] for word in own)
        words += weigh.heading * sum(weights[word] for word in above)
        alone.append(weigh.near * float(near) + words / total - PLACE * (each.passage - 1))
    carried = [max(0.0, alone[place - 1]) if each.following else 0.0 for place, each in enumerate(found)]
    return [own + weigh.before * before for own, before in zip(alone, carried, strict=True)]


def _with(quotes: Sequence[Quote], each: Quotable, text: str) -> list[Quote]:
    """The quotes with one more sentence and what it leans on, which is part of the quote beside it, if there is one.

    `text` is its passage's. Beside it is the sentence before or after in the same paragraph.
    """
    start, end = each.segment.start, _with_items(each.segment, text)
    if each.leans_on is not None and end - each.leans_on.start <= LONGEST_QUOTE:
        start = each.leans_on.start
    for place, quote in enumerate(quotes):
        if quote.passage != each.passage:
            continue
        if quote.start <= each.segment.start and end <= quote.end:
            return list(quotes)
        gap = text[quote.end : start] if quote.end <= start else text[end : quote.start]
        if gap in ("", " ") or start < quote.end <= end:
            joined = replace(quote, start=min(quote.start, start), end=max(quote.end, end))
            others = [
                other
                for other in quotes[place + 1 :]
                if other.passage != each.passage or not joined.start <= other.start < joined.end
            ]
            return [*quotes[:place], joined, *others]
    return [*quotes, Quote(each.passage, start, end)]


def _steps(segment: Segment, text: str) -> tuple[int, int] | None:
    """Where the numbered list begins and ends that a sentence is in; None where it is in none or that is too long."""
    lists: list[list[Segment]] = []
    for each in split_segments(text):
        gap = text[lists[-1][-1].end : each.begin] if lists else "."
        is_item = _marker(each, text).startswith("1")
        if not gap.strip() and (is_item or (each.begin == each.start and "\n" not in gap)):
            lists[-1].append(each)
        elif is_item:
            lists.append([each])
    own = next((some for some in lists if segment in some), [])
    return (own[0].begin, own[-1].end) if len(own) > 1 and own[-1].end - own[0].begin <= LONGEST_QUOTE else None


def _marker(segment: Segment, text: str) -> str:
    """What a sentence has before it as an item of a list, numbers as `1` and letters as `a`."""
    return _LETTERS.sub("a", _DIGITS.sub("1", text[segment.begin : segment.start].strip()))


def _with_items(segment: Segment, text: str) -> int:
    """Where a sentence ends, with the list that it announces: "The server is in one of these states:"."""
    end, kind = segment.end, ""
    if text[segment.start : end].endswith((":", "：")):
        for item in split_segments(text):
            if item.start < end:
                continue
            marker = _marker(item, text)
            is_item = bool(marker) and marker == (kind or marker)
            goes_on = bool(kind) and not marker and "\n" not in text[end : item.begin]
            if not (is_item or goes_on) or text[end : item.begin].strip() or item.end - segment.start > LONGEST_QUOTE:
                break
            end, kind = item.end, kind or marker
    return end


def quotable(sources: Sequence[Document]) -> Iterator[Quotable]:
    """What may be quoted of the passages, each text once: no headings, captions, questions and references."""
    seen: set[str] = set()
    for number, source in enumerate(sources, start=1):
        text = source.page_content
        headings = {str(source.metadata.get("title")), *str(source.metadata.get("section") or "").split(" > ")}
        heading = str(source.metadata.get("section") or "").rpartition(" > ")[2]
        amid = str(source.metadata.get("row") or "")
        before: Segment | None = None
        following = False
        parts = [part for each in split_segments(text) for part in _parts(text, each, amid)]
        for place, (segment, subject) in enumerate(parts):
            words = " ".join(text[segment.begin : segment.end].split())
            if segment.kind == "heading" or words in headings:
                heading, before, following = words.strip("#*_ "), None, False
                continue
            if _asks(words) and "\n" in text[segment.end : segment.end + 2]:
                heading, before, following = words, None, False
                continue
            is_amid = not place and segment.start == 0 and bool(source.metadata.get("start_index")) and not amid
            cut = is_amid and words[:1].islower()
            line = text[text.rfind("\n", 0, segment.begin) + 1 :].partition("\n")[0]
            if cut or words in seen or _is_beside_the_text(line, heading) or not _is_quotable(words, segment):
                before, following = (None if segment.kind else segment), False
                continue
            seen.add(words)
            is_line = _is_line(words)
            short = is_line and len(words) < 60
            embedded = f"{subject or heading}: {words}" if subject or (short and heading) else words
            leans_on = before if _LEANS.match(text[segment.start : segment.end]) else None
            yield Quotable(number, segment, embedded, leans_on, following and not short, heading, is_line)
            before, following = segment, True


def _parts(text: str, segment: Segment, amid: str) -> Iterator[tuple[Segment, str]]:
    """The segment; a row or line that is longer than a quote may be in parts, each with how the line begins.

    So has a later sentence of a row, which has sentences in its cells. `amid` is how the row begins that the text
    begins amid, if it does.
    """
    start, end = segment.start, segment.end
    row = text.rfind("\n", 0, segment.begin) + 1
    is_cut = bool(amid) and row == 0
    is_later = segment.kind != "code" and (is_cut or SEPARATOR in text[row : segment.begin])
    begin = row if is_later else start
    opening = amid if is_cut else " ".join(text[begin : begin + SUBJECT].split())
    subject = opening if is_later else ""
    if end - start <= LONGEST_QUOTE or segment.kind == "code" or not (is_later or _is_line(text[start:end])):
        yield segment, subject
        return
    while start < end:
        cut = end
        if end - start > PART:
            window = (text, start + PART // 2, start + PART)
            ends = [each.end() for each in _CELLS.finditer(*window)] or [
                each.end() for each in _BETWEEN.finditer(*window)
            ]
            blank = text.rfind(" ", start + PART // 2, start + PART)
            cut = ends[-1] if ends else blank + 1 if blank > 0 else start + PART
        yield replace(segment, start=start, begin=start, end=start + len(text[start:cut].rstrip())), subject
        subject, start = opening, cut


def _is_line(words: str) -> bool:
    """Whether it is a row, a list item or a `key: value` and no sentence. A row may end in a sentence."""
    return SEPARATOR in words or not words.endswith((".", "!", "。", "！"))


def _asks(words: str) -> bool:
    """Whether it is a question, and no row that ends in one."""
    return is_question(words) and SEPARATOR not in words


def _is_beside_the_text(line: str, heading: str) -> bool:
    """Whether a line is a caption or a reference."""
    if _REFERENCES.fullmatch(heading) or _CAPTION.match(line):
        return True
    return len(line) <= LONGEST_REFERENCE and bool(_CITED.match(line))


def _is_quotable(words: str, segment: Segment) -> bool:
    """Whether a sentence can stand alone: it is no question, and long enough to say something."""
    if segment.kind == "rule" or len(words) > LONGEST_QUOTE or _asks(words) or makes_no_claim(words):
        return False
    fewest = 4 if _is_line(words) else 3
    return len(words.split()) >= fewest or bool(_TELLING.search(words))


def says_something(quote: Quote, sources: Sequence[Document]) -> bool:
    """Whether a quote says something alone, so that an answer can open with it: a title or a name does not."""
    return bool(_TELLS.search(quote.text(sources)))


def quotes_as_answer(
    quotes: Sequence[Quote], sources: Sequence[Document], before: str = ""
) -> tuple[str, tuple[Sentence, ...]]:
    """The quotes as an answer, one a paragraph, and the support of each: the passage that it was taken from.

    `before` stands before them.
    """
    text, sentences = before, []
    for quote in quotes:
        text += "\n\n" if text else ""
        words = quote.text(sources)
        sentences.append(
            Sentence(len(text), len(text) + len(words), passage=quote.passage, quote=(quote.start, quote.end))
        )
        text += words
    return text, tuple(sentences)
