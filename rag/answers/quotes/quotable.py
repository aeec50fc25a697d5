"""What may be quoted of passages: sentences, rows and items that say something, each with what belongs to it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from langchain_core.documents import Document

from rag.grounding.segments import Segment, is_question, makes_no_claim, split_segments
from rag.sources.tables import SEPARATOR
from rag.text.headings import headings_above, nearest_heading
from rag.text.links import without_addresses
from rag.text.wraps import DEEPER, indent_of, without_comment_marks

LONGEST_QUOTE = 600
"""Characters of a quote, and of all together, with what they lean on. Of 300 to 800, more brought no answer."""
GROWN = 300
"""Characters up to which the best quote, or that for each of two questions, has the sentences beside it."""
PART, SUBJECT = 300, 60
"""Characters of a part of a row or line that is longer than a quote may be, and of the row's beginning, which is
embedded with each part: a row begins with what it tells about."""
LONGEST_REFERENCE = 400
"""Characters of a line that is taken for a reference where it names an arXiv number or the like."""
_TELLING = re.compile(r"\d|:\s|\w ?= ?\S|[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]{4}")
"""What says something in few words: a number, a `key: value`, a setting, writing without blanks."""
_REFERENCES = re.compile(
    r"bibliography|citations?|cited as|works cited|further reading|see also|literatur\w*|quellen\w*"
    r"|einzelnachweise|bibliographie|bibliografía|参考文献|参考资料",
    re.I,
)
_EITHER = re.compile(r"references?|referenzen|références|referencias", re.I)
"""Headings of what is cited, and of people who can be asked about somebody."""
_PUBLISHED = re.compile(r"\b(?:1[89]|20)\d\d\b|https?://|\bet al\b")
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
_BOLD_KEY = re.compile(r"(?:[-*•] )?\*\*[^*]{2,60}(?::\*\*|\*\*:) ")
_RUN_IN = re.compile(r"(?:[-*•] )?(\*\*|__)[^\W\d]+(?: [^\W\d]+)?[.:]\1")
"""The name of a paragraph at its beginning, one word or two: "**Travel.** Second class is the rule."."""
_SETTING = re.compile(r"(?:permalink|layout|slug|url|aliases|redirect_from|draft|weight): ")
"""Front matter that is for the program that makes pages of Markdown."""
_COMMENT = re.compile(r"[ \t]*(?:#(?!#)|;{1,2}|//)[ \t]*\S")
_SET = re.compile(r"[ \t]*[\w.\"-]+[ \t]*=[ \t]*\S|[ \t]*[a-z][\w.-]*: +\S")
"""A comment of a file of settings, and a setting, which a comment right above tells of."""
_LINKS = re.compile(r"(?:\[[^\[\]]*\]\([^()\s]*\)[\s,;.|·]*)+")
"""A line of links and nothing else."""
_ANNOUNCES = (":", "：", "—", "–")
"""How a sentence ends that a list follows; at the end of a row it is a cell without a value."""
_DIGITS, _LETTERS = re.compile(r"\d+"), re.compile(r"[^\W\d_]+")
_CELLS = re.compile(r"\|\s+|\t")
_BETWEEN = re.compile(r"[;,]\s+|[；，、]")
"""Where a long row or line can be cut: between cells, else between what stands in one."""
_NAME = re.compile(r"-|\S*(?:[=_]|[a-z]\.[a-z]|[a-zà-ÿ][A-ZÀ-Þ])|\S+\([^()]*\)$|[a-z]+(?: [a-z]+)?$")
"""A heading that is the name of an option, a setting or a command: "--since", "MaxRetentionSec=", "rotate count"."""
_NUMBERS = re.compile(r"[-+]?\d+(?:(?:, | ?- ?| or |/)\d+)*\b[.:]?|0x[0-9a-fA-F]+")
"""A number, or some, on a line of their own above what they mean."""
_LABEL = re.compile(r"(`[^`\n]{1,80}`|\*\*[^*\n]{1,80}\*\*):?(?:,? \([^()\n]{1,80}\))?(?=[ \t]*[-–—:]\s)")
"""The name that an item or a paragraph begins with: "`--port <int>` - Bind the socket to it."."""
_LEANS = re.compile(
    r"(?:this|that|these|those|it|its|they|their|them|he|she|his|her|such|here|there|then|both|however|but|so"
    r"|therefore|thus|hence|also|instead|otherwise|in this (?:case|way)|as a result|for (?:example|instance)"
    r"|dies\w*|das|es|sie|er|ihr\w*|dabei|dadurch|daher|deshalb|jedoch|zum beispiel|cela|ceci|il|elle|ils|elles|ce"
    r"|cette|ces|esto|este|esta|estos|estas|ello|pero|这|它|他们|此)\b",
    re.I,
)


class Quotable(NamedTuple):
    """A sentence that may be quoted, the text that is embedded for it, and the sentence that it leans on, if any."""

    passage: int
    segment: Segment
    end: int
    """Where it ends, with what it announces."""
    words: str
    """Its own, with what its row begins with."""
    embedded: str
    leans_on: Segment | None
    following: bool
    """It follows the one before it in the list, in the same passage."""
    heading: str
    """The heading that it stands under, or the question that it follows, as in a list of questions and answers."""
    name: str
    """The name of an option or the like that it tells of and does not have itself; "" if there is none."""
    opens: bool
    """It is the first below its heading."""
    line: bool
    """It is a row, a list item or a `key: value`."""


def marker_of(segment: Segment, text: str) -> str:
    """What a sentence has before it as an item of a list, numbers as `1` and letters as `a`."""
    return _LETTERS.sub("a", _DIGITS.sub("1", text[segment.begin : segment.start].strip()))


def _end_with_items(segment: Segment, text: str) -> int:
    """Where a sentence ends, with what it announces: "The server is in one of these states:" and the list of them.

    Where no list follows it is the next sentence or line.
    """
    end, kind, is_term = segment.end, "", False
    if text[segment.start : end].endswith(_ANNOUNCES):
        for item in split_segments(text):
            if item.start < end:
                continue
            marker = "number" if _is_number(text, item) else marker_of(item, text)
            is_item = bool(marker) and marker == (kind or marker)
            goes_on = bool(kind) and not marker and (is_term or "\n" not in text[end : item.begin])
            is_term = marker == "number"
            is_next = end == segment.end and item.kind != "heading"
            if text[end : item.begin].strip() or item.end - segment.start > LONGEST_QUOTE:
                break
            if not (is_item or goes_on):
                return item.end if is_next else end
            end, kind = item.end, kind or marker
    return end


def quotable(sources: Sequence[Document]) -> Iterator[Quotable]:
    """What may be quoted of the passages, each text once: no headings, captions, questions and references."""
    seen: set[str] = set()
    for number, source in enumerate(sources, start=1):
        yield from _Walk(number, source).quotable(seen)


class _Walk:
    """A walk through the sentences of a passage, which knows what stands above and before each."""

    def __init__(self, number: int, source: Document) -> None:
        self.number, self.text = number, without_comment_marks(source.page_content)
        self.as_written = source.page_content
        self.row = str(source.metadata.get("row") or "")
        """How the row begins that the passage begins amid; "" if it does not."""
        self.headings = {
            str(source.metadata.get("title")),
            *headings_above(source),
            *source.metadata.get("headings", ()),
        }
        self.begins_amid = bool(source.metadata.get("start_index")) and not self.row
        self.heading = self.section = nearest_heading(source)
        """What the sentence stands under, and the last heading, where a term stands between."""
        self.before: Segment | None = None
        self.label = ""
        self.labelled: Segment | None = None
        """The segment that begins with the label, while this one is of the same item or paragraph."""
        self.numbered: int | None = None
        """How far the number is indented whose meaning this is."""
        self.comment: Segment | None = None
        """The comment right above this setting, which is shown with it."""
        self.term: Segment | None = None
        """The term right above this segment, which is shown with it."""
        self.announces: Segment | None = None
        """The sentence that announces this one: "The server is in one of these states:"."""
        self.following = self.opens = False

    def quotable(self, seen: set[str]) -> Iterator[Quotable]:
        """What may be quoted of it and was not `seen` before."""
        text = self.text
        parts = [part for each in split_segments(text) for part in _parts(text, each, self.row)]
        end_before = 0
        for segment, subject in parts:
            words = " ".join(text[segment.begin : segment.end].split())
            if words.lstrip("# ") not in self.headings and self._tells_of_a_setting(segment):
                begin = self._comment_begins(segment)
                self.comment, end_before = replace(segment, start=begin, begin=begin), segment.end
                continue
            if segment.kind == "heading" or words in self.headings:
                self.announces = None
                self._begin_section(words.strip("#*_ "))
                self.section = self.heading
                is_term = _is_term(text, segment) or (segment.kind != "heading" and _NAME.match(words))
                self.term = segment if is_term else None
            elif _is_number(text, segment):
                self._begin_section(f"{self.section} {words}".strip())
                self.numbered, self.term = _indent_at(text, segment), segment
            else:
                is_new_line = "\n" in text[end_before : segment.begin]
                if self.numbered is not None and is_new_line and _indent_at(text, segment) <= self.numbered:
                    self._begin_section(self.section)  # no more of what the number means
                self._note_label(segment, end_before)
                is_in_row = self._is_in_row(segment)
                end = segment.end if is_in_row else _end_with_items(segment, text)
                self._note_announcement(segment, words, end_before, is_in_row=is_in_row)
                if _asks(words) and "\n" in text[segment.end : segment.end + 2]:
                    self._begin_section(words)
                elif _RUN_IN.fullmatch(words) and text[segment.end : segment.end + 1] == " ":
                    self._begin_section(words.strip("-*•_ .:"))
                elif words in seen or not self._says_something(segment, words, end):
                    self.before, self.following = (None if segment.kind else segment), False
                else:
                    seen.add(words)
                    yield self._quotable(segment, subject, words, end)
                    self.before, self.following = segment, True
                    self.term, self.opens = None, False
            end_before, self.comment = segment.end, None

    def _name(self, embedded: str) -> str:
        """The heading, if it is a name that the sentence is not embedded with."""
        return self.heading if _NAME.match(self.heading) and not embedded.startswith(self.heading) else ""

    def _begin_section(self, heading: str) -> None:
        heading = without_addresses(heading)
        self.heading, self.before, self.term, self.following, self.opens = heading, None, None, False, True
        self.label, self.labelled, self.numbered = "", None, None

    def _is_in_row(self, segment: Segment) -> bool:
        row = self.text.rfind("\n", 0, segment.start) + 1
        return SEPARATOR in self.text[row : segment.end] or bool(self.row and not row)

    def _note_announcement(self, segment: Segment, words: str, end_before: int, *, is_in_row: bool) -> None:
        """Note whether the segment announces what follows it, or ends what was announced; `end_before`: of the last."""
        if marker_of(segment, self.text):
            return
        if words.endswith(_ANNOUNCES) and not is_in_row:
            self.announces = segment
        elif self.announces and self.announces.end != end_before and "\n" in self.text[end_before : segment.begin]:
            self.announces = None

    def _note_label(self, segment: Segment, end_before: int) -> None:
        """Note the label that the segment begins with, or that it is not of the item that began with one."""
        found = _LABEL.match(self.text, segment.start)
        begins = "\n" in self.text[end_before : segment.begin] or not end_before
        if found and begins:
            self.label, self.labelled = found[1].strip("`*: "), segment
        elif marker_of(segment, self.text) or "\n\n" in self.text[end_before : segment.begin]:
            self.label, self.labelled = "", None

    def _tells_of_a_setting(self, segment: Segment) -> bool:
        """Whether it is the last sentence of a comment right above a setting."""
        line = self.as_written.rfind("\n", 0, segment.begin) + 1
        is_comment = _COMMENT.match(self.as_written, line) and self.as_written[segment.end : segment.end + 1] == "\n"
        return bool(is_comment and _SET.match(self.as_written, segment.end + 1))

    def _comment_begins(self, last: Segment) -> int:
        """Where the lines of a comment begin that ends in a sentence; where that begins if they are too long."""
        begin = self.as_written.rfind("\n", 0, last.begin) + 1
        while begin:
            above = self.as_written.rfind("\n", 0, begin - 1) + 1
            if not _COMMENT.match(self.as_written, above, begin - 1):
                break
            begin = above
        return begin if last.end - begin <= GROWN else last.start

    def _says_something(self, segment: Segment, words: str, end: int) -> bool:
        """Whether a segment that ends at `end`, with its items, can be quoted alone."""
        is_cut = self.begins_amid and segment.start == 0 and words[:1].islower()
        announces_nothing = self.announces == segment and end == segment.end
        line = self.text[self.text.rfind("\n", 0, segment.begin) + 1 :].partition("\n")[0]
        said = " ".join(without_addresses(self.text[segment.start : segment.end]).split())
        return not (
            is_cut
            or announces_nothing
            or _SETTING.match(words)
            or words.removeprefix("title: ") in self.headings
            or _is_beside_the_text(line, self.heading)
            or _LINKS.fullmatch(words)
            or not _is_quotable(said, segment, self.heading, below=self.term)
        )

    def _quotable(self, segment: Segment, subject: str, words: str, end: int) -> Quotable:
        is_line = _is_line(words) or len(words.split()) < 3
        short = is_line and len(words) < 60
        asked = not subject and is_question(self.heading)  # a FAQ's question is near to who asks it in other words
        above = subject or (self.heading if asked or short else "")
        embedded = f"{above}{'' if asked else ':'} {words}" if above else words
        leans_on = self.before if _LEANS.match(self.text[segment.start : segment.end]) else self.term
        is_told_of = self.labelled is not None and self.labelled != segment
        if is_told_of and self.labelled and end - self.labelled.start <= GROWN:
            leans_on = self.labelled
        if self.announces and segment != self.announces and segment.end - self.announces.start <= GROWN:
            leans_on = self.announces
        if self.comment:
            told = " ".join(self.text[self.comment.start : self.comment.end].split())
            embedded, leans_on = f"{told.lstrip('#;/ ')}: {words}", self.comment
        own = f"{subject} {words}".lstrip()
        return Quotable(
            self.number,
            segment,
            end,
            own,
            without_addresses(embedded),
            leans_on,
            following=self.following and not short,
            heading=self.heading,
            name=self.label if is_told_of else self._name(embedded),
            opens=self.opens,
            line=is_line,
        )


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
    """Whether it is a row, a list item or a `key: value` and no sentence. A row or value may end in a sentence."""
    return SEPARATOR in words or bool(_BOLD_KEY.match(words)) or not words.endswith((".", "!", "。", "！"))


def _is_term(text: str, heading: Segment) -> bool:
    """Whether a heading stands right above deeper lines that tell about it, and is no section's."""
    line, below = (
        text[text.rfind("\n", 0, heading.begin) + 1 :].split("\n", 2)[:2] if "\n" in text[heading.end :] else ("", "")
    )
    return indent_of(below) >= indent_of(line) + DEEPER and not line.isupper()


def _indent_at(text: str, segment: Segment) -> int:
    """Characters of white space before the line that a segment is in."""
    return indent_of(text[text.rfind("\n", 0, segment.begin) + 1 :].partition("\n")[0])


def _is_number(text: str, segment: Segment) -> bool:
    """Whether it is a number alone, of an exit status or an error, right above what that means."""
    return bool(_NUMBERS.fullmatch(text[segment.start : segment.end])) and _is_term(text, segment)


def _asks(words: str) -> bool:
    """Whether it is a question, and no row that ends in one."""
    return is_question(words) and SEPARATOR not in words


def _is_beside_the_text(line: str, heading: str) -> bool:
    """Whether a line is a caption or a reference."""
    if _EITHER.fullmatch(heading) and _PUBLISHED.search(line):
        return True
    cells = line.split(SEPARATOR)
    is_row = len(cells) > 1 and all(": " in cell for cell in cells)  # "Table: 4 | Seats: 6"
    if _REFERENCES.fullmatch(heading) or (_CAPTION.match(line) and not is_row):
        return True
    return len(line) <= LONGEST_REFERENCE and bool(_CITED.match(line))


def _is_quotable(words: str, segment: Segment, heading: str, below: Segment | None = None) -> bool:
    """Whether a sentence can stand alone: it is no question, and long enough to say something below its heading.

    `below`: the term that it is shown with.
    """
    if segment.kind == "rule" or len(words) > LONGEST_QUOTE or _asks(words) or makes_no_claim(words):
        return False
    if words.endswith((",", "，", "、")) and not _TELLING.search(
        words
    ):  # "Dear parents,", or the first line of a verse
        return False
    fewest = (
        1 if below or (heading and len(heading.split()) < 3 and not _is_line(words)) else 4 if _is_line(words) else 3
    )
    return len(words.split()) >= fewest or bool(_TELLING.search(words))
