"""Answer sentence -> the passage that supports it, to the word, without asking a model that writes.

Words decide first: what a sentence counts, names, denies or turns round has to stand in the passage. Where words are
missing, vectors say whether the rest is the same in other words.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from urllib.parse import quote as percent_encoded

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from rag.errors import RagError
from rag.grounding.wording import (
    FEWEST_IN_CLAUSE,
    Sightings,
    Statement,
    Word,
    capitalised,
    differences,
    has,
    matches,
    same,
    sightings,
    statement,
    together,
    with_names,
    words,
)
from rag.text.sentences import sentence_spans
from rag.text.vectors import sentence_vectors

log = logging.getLogger(__name__)

LONGEST = 600
"""Characters up to which a sentence is compared by its vector; what is longer is no sentence."""
LONGEST_READ = 2_000
"""Characters up to which a sentence is looked at at all."""
KEPT_PASSAGES = 64
"""Passages whose words are kept for the next answers from them: some 0.1 MB each."""
LONGEST_FRAGMENT = 80
FRAGMENT_WORDS = 6
"""Words at each end of a long quote that a browser looks for."""
MOST_SENTENCES = 400
"""Sentences of an answer, and of its passages, that are looked at; no answer of a model has as many."""
CANDIDATES = 6
COMPARED = 2
"""Candidates that are compared by their vectors, of the `CANDIDATES` whose words are compared."""
SUPPORTED = 1.41
"""Of about 1 for meaning and 1 for words: tried on the odd lines of tests/data/grounding.jsonl."""
OF_TWO = 0.2
"""What two sentences together have to have more, since words of both are found that belong to neither fact."""
TELLING = 0.5
"""Share of a sentence's words that a passage has to have for its difference to be worth telling."""
FEW_WORDS = 2
"""Content words of an answer such as "Twenty-five." that means something with its question alone."""
FEWEST_WORDS = 0.2
"""Share of an answer sentence's words that a passage sentence has to have to be thought of."""


@dataclass(frozen=True)
class Sentence:
    """A sentence of an answer and what supports it: `text == answer[start:end]`.

    `passage` is the number of the passage that supports it, from 1 (None: none does), `quote` where in its
    `page_content` the sentence stands, or the two neighbouring ones, and `words` where the supporting words do, in
    order. `claims` is False for what no passage could support: a heading, a question, "I do not know". `why` names
    what the passages do not have, where that is a single thing.
    """

    start: int
    end: int
    passage: int | None = None
    quote: tuple[int, int] | None = None
    words: tuple[tuple[int, int], ...] = ()
    claims: bool = True
    why: str = ""


PARAPHRASES = (
    ("The shop opens at nine every morning.", "Each morning the store opens at nine o'clock."),
    ("Bees collect nectar and turn it into honey.", "Honey is made by bees from the nectar that they gather."),
    ("The train was late because of heavy snow.", "Heavy snowfall delayed the train."),
    ("A database stores records so that they can be found again.", "Records are kept in a database to be found later."),
    ("Doctors advise people to sleep eight hours.", "Physicians recommend eight hours of sleep."),
    ("The king gave the castle to his younger son.", "The castle was given by the king to his younger son."),
    ("Plants need light and water to grow.", "For their growth, plants require water and light."),
    ("The engine stops when there is no fuel.", "Without fuel the motor comes to a halt."),
)
SYNONYMS = (
    ("big", "large"),
    ("choose", "select"),
    ("check", "verify"),
    ("doctor", "physician"),
    ("begin", "start"),
    ("buy", "purchase"),
    ("mistake", "error"),
    ("car", "automobile"),
    ("difficult", "hard"),
    ("road", "street"),
)
"""What means the same, and, across the pairs, what does not: the scale of an embedding model is taken from these."""

_PRONOUNS = frozenset(("it", "they", "this", "these", "its", "their", "he", "she", "his", "her", "that", "those"))
_FENCE = re.compile(r"^[ \t]{0,3}(?:>[ \t]?)*(```|~~~)", re.M)
_MARKER = re.compile(r"(?:[ \t]*(?:>|[-*+•]|\d{1,3}[.)]|\[[ xX]\]|\|)(?:[ \t]+|$))+")
_HEADING = re.compile(r"#{1,6}(?:\s|$)")
_RULE = re.compile(r"[-=*_:|\s]+")
_CITED = re.compile(r"\[\^?\d[\d,;–^ -]{0,40}\](?:\([^()\s]{0,500}\))?")
_LINK = re.compile(r"(!?\[)([^\[\]\n]{0,300})(\]\((?:[^()\s]|\([^()\s]*\)){0,500}(?: \"[^\"\n]{0,200}\")?\))")
_ADDRESS = re.compile(r"https?://\S{1,2000}")
_MATERIAL = (
    r"(?:given |provided |above )?(?:notes?|passages?|texts?|guide|context|documents?|sources?|articles?|information)"
)
_PREAMBLE = re.compile(
    r"(?:yes|no|sure|certainly|of course|in summary|in short|overall|in other words|so|therefore|thus|additionally"
    r"|furthermore|moreover|finally|also|however|this means that"
    rf"|(?:according to|based on|as (?:stated|mentioned|described) in|in) (?:the|these|this|your) {_MATERIAL}"
    rf"|(?:the|these|this) {_MATERIAL} (?:says?|states?|explains?|mentions?)(?: that)?"
    r"|the answer (?:to (?:this|the|your) question )?is)\s*[,:]?\s+",
    re.I,
)
_NO_CLAIM = re.compile(
    r"\W*(?:i(?:'m| am)? (?:do not|don't|cannot|can't|not|could not|hope|think you|would be|can help|an?\b|sorry"
    r"|apologi[sz]e)|sorry\b|unfortunately, i\b|let me know|feel free|hello\b|hi\b|thank|you(?:'re| are) welcome"
    r"|here (?:is|are)\b[^.]*:\W*$|as an ai\b|no answer\b|(?:yes|no|ok|okay|sure)\W*$"
    rf"|(?:the|these|this|none of the) {_MATERIAL} (?:do|does|did|is|are)(?: not|n't)\b"
    r"|ich weiß (?:es )?nicht|je ne sais pas|no lo sé|我不知道)",
    re.I,
)


@dataclass(frozen=True)
class _Unit:
    """A sentence of a text: where it stands without the mark of a list, and with it."""

    start: int
    end: int
    begin: int
    kind: str = ""


def _units(text: str) -> list[_Unit]:
    """The sentences of Markdown or plain text; a fenced block of code is one, a table's row is one."""
    found: list[_Unit] = []
    place = 0
    for start, end in _fenced(text):
        found += _plain_units(text, place, start)
        found.append(_Unit(start, end, start, "code"))
        place = end
    found += _plain_units(text, place, len(text))
    for index, unit in enumerate(found[1:]):
        if unit.kind == "rule" and "|" in text[unit.begin : unit.end]:
            found[index] = replace(found[index], kind="heading")  # a table's
    return found


def _fenced(text: str) -> Iterator[tuple[int, int]]:
    opened: re.Match[str] | None = None
    for fence in _FENCE.finditer(text):
        if opened is None:
            opened = fence
        elif fence[1] == opened[1]:
            line = text.find("\n", fence.end())
            yield opened.start(1), len(text.rstrip()) if line < 0 else line
            opened = None
    if opened is not None:
        yield opened.start(1), len(text.rstrip())


def _plain_units(text: str, begin: int, stop: int) -> Iterator[_Unit]:
    part = text[begin:stop]
    for first, last in sentence_spans(part):
        start, end = begin + first, begin + last
        inner = text[start:end]
        if (marker := _MARKER.match(inner)) and (marker.end() < len(inner) or not inner[0].isdigit()):
            start += marker.end()
        while end > start and text[end - 1] == "|":  # a table's row: what is put after it stays in its last cell
            end = start + len(text[start : end - 1].rstrip())
        start += len(text[start:end]) - len(text[start:end].lstrip())
        if start >= end:
            continue
        inner = text[start:end]
        kind = ""
        if _HEADING.match(inner):
            kind = "heading"
        elif _RULE.fullmatch(inner):
            kind = "rule"
        elif re.fullmatch(r"(\*\*|__)[^*_]{1,120}\1:?", inner) and not inner.rstrip("*_:").endswith((".", "!", "?")):
            kind = "heading"
        yield _Unit(start, end, begin + first, kind)


def _bare(text: str) -> str:
    """The text as it reads, at the same offsets: no marks of citation, addresses or code fences, nor "Yes,"."""
    blank = lambda found: " " * len(found[0])  # noqa: E731
    text = _CITED.sub(blank, text)
    text = _LINK.sub(lambda found: " " * len(found[1]) + found[2] + " " * len(found[3]), text)
    text = _ADDRESS.sub(blank, text)
    while (opening := _PREAMBLE.match(text.lstrip(" *_"))) and opening.end() < len(text):
        place = len(text) - len(text.lstrip(" *_")) + opening.end()
        if not text[place:].strip():
            break
        text = " " * place + text[place:]
    return text


@dataclass(frozen=True)
class _Text:
    """A passage's sentences and their words; `headed` are those of its title and section, `known` all, folded."""

    units: list[_Unit]
    found: list[list[Word]]
    headed: list[Word]
    known: frozenset[str]


@lru_cache(KEPT_PASSAGES)
def _text_of(text: str, heading: str) -> _Text:
    units = [unit for unit in _units(text) if unit.kind != "rule" and unit.end - unit.start <= LONGEST_READ]
    units = units[:MOST_SENTENCES]
    found = [_words_at(text, unit) for unit in units]
    headed = words(heading)
    return _Text(units, found, headed, frozenset(word.folded for each in (*found, headed) for word in each))


@lru_cache(KEPT_PASSAGES)
def _said_in(text: str, heading: str, names: frozenset[str]) -> tuple[list[Word], list[Statement], Sightings]:
    """The heading's words, the sentences and where their words stand, where it is known which of them are names."""
    taken = _text_of(text, heading)
    said = [
        statement(text[unit.start : unit.end], names, found, unit.start)
        for unit, found in zip(taken.units, taken.found, strict=True)
    ]
    return with_names(taken.headed, names), said, sightings(said)


class _Passage:
    """A passage's sentences, taken apart."""

    def __init__(self, number: int, document: Document) -> None:
        self.number = number
        self.text = document.page_content
        self._heading = " ".join(str(document.metadata.get(key) or "") for key in ("title", "section"))
        self._taken = _text_of(self.text, self._heading)
        self.units = self._taken.units
        self.found = self._taken.found
        self.headed: list[Word] = []
        self.said: list[Statement] = []
        self.seen: Sightings = {}

    def read(self, names: set[str]) -> None:
        """Take its sentences apart, now that it is known which words are names."""
        self.headed, self.said, self.seen = _said_in(self.text, self._heading, self._taken.known & names)

    def embedded(self, first: int, last: int) -> str:
        """What is embedded for sentences of it: as `best_sentences` has it, so that it is known already."""
        return " ".join(self.text[self.units[first].begin : self.units[last].end].split())


def _words_at(text: str, unit: _Unit) -> list[Word]:
    return [
        replace(word, start=word.start + unit.start, end=word.end + unit.start)
        for word in words(_bare(text[unit.start : unit.end]))
    ]


@dataclass(frozen=True)
class _Candidate:
    """A sentence of a passage, or two neighbours, that may support one of the answer."""

    passage: _Passage
    first: int
    last: int
    said: Statement
    found: list[tuple[Word, Word | None]]

    @cached_property
    def coverage(self) -> float:
        """Share of the answer sentence's words that it has."""
        return sum(other is not None for _, other in self.found) / max(1, len(self.found))

    @property
    def missing(self) -> list[Word]:
        """The answer sentence's words that it does not have."""
        return [word for word, other in self.found if other is None]

    @property
    def quote(self) -> tuple[int, int]:
        """Where it stands in the passage."""
        return self.passage.units[self.first].start, self.passage.units[self.last].end

    @property
    def text(self) -> str:
        """It, as it is embedded."""
        return self.passage.embedded(self.first, self.last)


def ground(answer: str, passages: Sequence[Document], embeddings: Embeddings, question: str = "") -> list[Sentence]:
    """The sentences of an answer, in order, each with the passage that supports it best.

    One passage supports a sentence, or none: what joins facts of two passages counts as supported only where one of
    them has all its numbers and names. A number has to stand in the sentence quoted, a name there or in what leads up
    to it (the passage's heading, the sentences before). `question` completes answers such as "Three.".
    """
    units = _units(answer)[:MOST_SENTENCES]
    read = [_Passage(number, passage) for number, passage in enumerate(passages, start=1)]
    bare = [answer[unit.start : unit.end] for unit in units]
    bare = [_bare(text) if len(text) <= LONGEST_READ else text for text in bare]
    found = [words(text) if len(text) <= LONGEST_READ else [] for text in bare]
    asked = words(question)
    names = capitalised([word for passage in read for each in passage.found for word in each])
    names |= capitalised([word for each in found for word in each])
    for passage in read:
        passage.read(names)
    claims = [statement(text, names, each) for text, each in zip(bare, found, strict=True)]
    result = []
    subject: Word | None = None
    for unit, text, claim in zip(units, bare, claims, strict=True):
        plain = Sentence(unit.start, unit.end)
        if len(text) > LONGEST_READ:
            result.append(plain)
            continue
        if unit.kind in ("heading", "rule") or not claim.content or text.rstrip(" *_\"'”)").endswith(("?", "？")):
            result.append(replace(plain, claims=False))
            continue
        sentence = _grounded(plain, text, claim, subject, read, embeddings, with_names(asked, names))
        if sentence.passage is None and not _claims(text, claim):
            sentence = replace(sentence, claims=False, why="")
        result.append(sentence)
        subject = next((word for word in claim.words if word.name), subject)
    return result


def _claims(text: str, claim: Statement) -> bool:
    """Whether a passage could support it at all."""
    if _NO_CLAIM.match(text):
        return False
    return not text.rstrip(" *_").endswith((":", "：")) or any(word.name or word.values for word in claim.words)


def _grounded(
    plain: Sentence,
    text: str,
    claim: Statement,
    subject: Word | None,
    read: Sequence[_Passage],
    embeddings: Embeddings,
    asked: Sequence[Word],
) -> Sentence:
    few = bool(asked) and len(claim.content) <= FEW_WORDS
    candidates = sorted(_candidates(claim, read), key=lambda each: -each.coverage)
    if few:
        candidates.sort(key=lambda each: (-each.coverage, -_share(asked, each.said)))
    standing = []
    why = ""
    for candidate in candidates[:CANDIDATES]:
        reasons = [*_strangers(claim, candidate, subject), *differences(claim, candidate.said)]
        if not reasons:
            standing.append(candidate)
        elif not why and candidate.coverage >= TELLING:
            why = next((reason for reason in reasons if reason.startswith("the ")), "")
    if few:
        chosen, missing = _asked_for(standing, asked), ""
    else:
        chosen, missing = _judged(text, claim, standing, embeddings)
    if chosen is None:
        return replace(plain, why=why or missing)
    marks = sorted({(other.start, other.end) for _, other in chosen.found if other is not None})
    return replace(plain, passage=chosen.passage.number, quote=chosen.quote, words=tuple(marks))


def _candidates(claim: Statement, read: Sequence[_Passage]) -> Iterator[_Candidate]:
    """The sentences that share enough words with the claim, and pairs of neighbours that share more than each."""
    for passage in read:
        single = {
            index: _Candidate(passage, index, index, passage.said[index], found)
            for index, found in matches(claim, passage.seen).items()
        }
        prose = {index for index in single if passage.units[index].kind != "heading"}
        yield from (single[index] for index in sorted(prose) if single[index].coverage >= FEWEST_WORDS)
        for index in sorted(prose):
            if index + 1 not in prose:
                continue  # two have no more than one of them
            one, other = single[index], single[index + 1]
            found = [(word, left or right) for (word, left), (_, right) in zip(one.found, other.found, strict=True)]
            pair = _Candidate(passage, one.first, other.first, together(one.said, other.said), found)
            if pair.coverage > max(one.coverage, other.coverage):
                yield pair


def _strangers(claim: Statement, candidate: _Candidate, subject: Word | None) -> Iterator[str]:
    """Names of the claim that the passage does not have there, and subjects that are others.

    A name may stand before the sentence, in the heading or the sentences that lead up to it, where the sentence itself
    speaks of nothing else ("It also ...").
    """
    passage, content = candidate.passage, candidate.said.content
    leading = passage.said[max(0, candidate.first - 3) : candidate.first]
    before = [*passage.headed, *(word for said in leading for word in said.words if word.name)]
    other_names = [word for word in content if word.name and not has(word, claim.words)]
    for word, other in candidate.found:
        elsewhere = other_names or (content and not has(content[0], claim.content))
        if word.name and other is None and (elsewhere or not has(word, before)):
            yield f'the name "{word.text}"'
    if candidate.found and candidate.found[0][1] is None:
        first = candidate.found[0][0]
        if any(said.content and same(first, said.content[0]) for said in passage.said):
            yield f'"{first.text}"'
    meant = subject and claim.words[0].folded in _PRONOUNS and not has(subject, candidate.said.words)
    if subject and meant and any(word.name and not has(word, claim.words) for word in content[:2]):
        yield f'"{subject.text}"'


def _share(asked: Sequence[Word], said: Statement) -> float:
    content = [word for word in asked if word.content]
    return sum(has(word, said.words) for word in content) / max(1, len(content))


def _asked_for(standing: Sequence[_Candidate], asked: Sequence[Word]) -> _Candidate | None:
    """What has all words of a short answer, and at least half of the question's."""
    fitting = [each for each in standing if not each.missing and _share(asked, each.said) >= 0.5]
    return max(fitting, key=lambda each: (_share(asked, each.said), each.first - each.last), default=None)


@dataclass(frozen=True)
class _Scale:
    """How near an embedding model puts what means the same, and what has nothing to do with one another."""

    alike: float
    apart: float

    def of(self, nearness: float) -> float:
        """0 for what has nothing in common, 1 for what means the same, whatever the model's own numbers are."""
        return (nearness - self.apart) / max(self.alike - self.apart, 1e-6)


def _scale(embeddings: Embeddings, pairs: Sequence[tuple[str, str]]) -> _Scale:
    vectors = sentence_vectors(embeddings, [text for pair in pairs for text in pair])
    near = vectors[0::2] @ vectors[1::2].T
    many = len(pairs)
    alike = float(near.trace()) / many
    return _Scale(alike, (float(near.sum()) - alike * many) / (many * (many - 1)))


def _judged(
    text: str, claim: Statement, standing: Sequence[_Candidate], embeddings: Embeddings
) -> tuple[_Candidate | None, str]:
    """The candidate that says the same as the sentence, if any; else what it does not have, if that is one thing."""
    whole = [candidate for candidate in standing if not candidate.missing]
    if whole:
        return min(whole, key=lambda each: each.last - each.first), ""
    likely = [each for each in standing if len(text) <= LONGEST and len(each.text) <= 2 * LONGEST][:COMPARED]
    if not likely:
        return None, ""
    try:
        scored = _scored(text, claim, likely, embeddings)
    except RagError as error:
        log.warning("Sentences could not be compared by their vectors: %s", error)
        return None, ""
    score, candidate = max(scored, key=lambda each: each[0], default=(0.0, likely[0]))
    if score >= SUPPORTED:
        return candidate, ""
    missing = standing[0].missing
    return None, f'the word "{missing[0].text}"' if len(missing) == 1 else ""


def _scored(
    text: str, claim: Statement, likely: Sequence[_Candidate], embeddings: Embeddings
) -> list[tuple[float, _Candidate]]:
    """For each candidate, how much of the sentence it says.

    Three things are added: how near the two are; the share of the words that it has, or has a synonym of; and how much
    nearer the sentence would be without the words that it does not have, since what is foreign to it holds it off.
    """
    sentences, terms = _scale(embeddings, PARAPHRASES), _scale(embeddings, SYNONYMS)
    plain = " ".join(text.split())
    own, *others = sentence_vectors(embeddings, [plain, *(candidate.text for candidate in likely)])
    likely = [
        candidate
        for candidate, vector in zip(likely, others, strict=True)
        if 1.0 + 0.7 * min(sentences.of(float(own @ vector)), 1.4) >= SUPPORTED
    ]
    if not likely:
        return []
    lacking = [_without(text, candidate.missing) for candidate in likely]
    vectors = sentence_vectors(embeddings, [plain, *lacking, *(candidate.text for candidate in likely)])
    unsaid = [
        [word for word in each.said.content if not any(word is other for _, other in each.found)] for each in likely
    ]
    forms = dict.fromkeys(
        word.folded for each, rest in zip(likely, unsaid, strict=True) for word in (*each.missing, *rest)
    )
    known = sentence_vectors(embeddings, list(forms)) if forms else vectors[:0]
    place = {form: number for number, form in enumerate(forms)}
    result = []
    for number, (candidate, rest) in enumerate(zip(likely, unsaid, strict=True)):
        theirs = vectors[1 + len(likely) + number]
        near = sentences.of(float(vectors[0] @ theirs))
        without = sentences.of(float(vectors[1 + number] @ theirs))
        said = float(len(candidate.found))
        strange = []
        for word in candidate.missing:
            close = max((float(known[place[word.folded]] @ known[place[each.folded]]) for each in rest), default=0.0)
            unknown = not word.folded.isascii() or close > 0.999  # what a model does not know is all one to it
            share = 0.0 if unknown else min(1.0, max(0.0, terms.of(close) / 0.6 - 0.2))
            said -= 1.0 - share
            if share < 0.5:
                strange.append(word)
        score = 0.7 * min(near, 1.4) + said / len(candidate.found) + 0.7 * min(0.0, near - without)
        if candidate.last > candidate.first:
            score -= OF_TWO
        listed = any(_is_item(run, text) for run in _runs(strange, candidate))
        if not listed and not any(_is_added(clause, strange) for clause in claim.clauses):
            result.append((score, candidate))
    return result


def _is_added(clause: Sequence[Word], strange: Sequence[Word]) -> bool:
    """Whether most of a clause is nowhere said, although the rest of the sentence is."""
    content = [word for word in clause if word.content]
    return len(content) >= FEWEST_IN_CLAUSE and sum(word in strange for word in content) > len(content) / 2


def _without(text: str, missing: Sequence[Word]) -> str:
    for word in reversed(missing):
        text = text[: word.start] + text[word.end :]
    return " ".join(text.split())


def _runs(strange: Sequence[Word], candidate: _Candidate) -> Iterator[tuple[Word, Word]]:
    """First and last of each run of words that the candidate has nothing like, with no other content between."""
    content = [word for word, _ in candidate.found]
    run: list[Word] = []
    for word in content:
        if word in strange:
            run.append(word)
        elif run:
            yield run[0], run[-1]
            run = []
    if run:
        yield run[0], run[-1]


def _is_item(run: tuple[Word, Word], text: str) -> bool:
    """Whether the words are all of an item of a list: nothing that is said stands for it."""
    before, after = text[: run[0].start], text[run[1].end :]
    return bool(_LISTED.search(before) and _LIST_GOES_ON.match(after))


_LISTED = re.compile(r"(?:,|\b(?:and|or|und|oder|et|ou))\s+(?:(?:a|an|the|its|some|also)\s+)?$")
_LIST_GOES_ON = re.compile(r"\W*$|\s*,|\s+(?:and|or|und|oder|et|ou)\b")


def text_fragment(quote: str) -> str:
    """The directive that makes a browser scroll to a quote, to follow a `#` or an anchor; empty for an empty quote.

    `:~:text=start` or `:~:text=start,end` of https://wicg.github.io/scroll-to-text-fragment/: the latter for a long
    quote, and for one of several blocks, which a browser does not find as one text.
    """
    shown = quote.encode("utf-8", "ignore").decode("utf-8").replace("**", "")
    lines = [found for line in shown.splitlines() if (found := _unlisted(line).split())]
    if not lines:
        return ""
    exact = " ".join(lines[0])
    if len(lines) == 1 and (len(exact) <= LONGEST_FRAGMENT or len(lines[0]) < 2):
        return f":~:text={_encoded(exact[:LONGEST])}"
    half = len(lines[0]) // 2 if len(lines) == 1 else FRAGMENT_WORDS
    first, last = lines[0][: min(FRAGMENT_WORDS, half)], lines[-1][-min(FRAGMENT_WORDS, half) :]
    return f":~:text={_encoded(' '.join(first))},{_encoded(' '.join(last))}"


def _unlisted(line: str) -> str:
    marker = _MARKER.match(line)
    return line[marker.end() :] if marker else line


def _encoded(text: str) -> str:
    return percent_encoded(text[:LONGEST], safe="").replace("-", "%2D")


def marked(passage: str, sentence: Sentence) -> list[tuple[str, str]]:
    """The passage in runs of (text, kind): "" as it is, "quote" what supports the sentence, "word" its words."""
    if sentence.quote is None:
        return [(passage, "")] if passage else []
    start, end = sentence.quote
    runs = [(passage[:start], "")]
    place = start
    for first, last in sentence.words:
        runs += [(passage[place:first], "quote"), (passage[first:last], "word")]
        place = last
    runs += [(passage[place:end], "quote"), (passage[end:], "")]
    return [run for run in runs if run[0]]
