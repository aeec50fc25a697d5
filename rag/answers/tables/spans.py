"""The words of a question about a table -> stretches with what each may mean: a name, a column, a value, a count."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from rag.answers.tables.families import Way, families
from rag.answers.tables.parsed import Table, in_singular
from rag.answers.tables.query import PartOfDates
from rag.answers.tables.words import LONGEST_PHRASE, Phrases, Token, key_of, key_of_column, phrases
from rag.text.language import stem

NUMBERS = frozenset(("no", "nr", "num", "number", "nummer", "numero", "编号"))
TELLING_APART = NUMBERS | {
    *("name", "names", "title", "titel", "titre", "titulo", "nom", "nombre", "bezeichnung"),
    *("id", "ids", "code", "key", "kennung", "schlussel"),
}
"""What a column is called by that tells rows apart: "Employer Name", "Wahlkreis-Nr."."""
_FEMALE, _MALE = ("female", "weiblich", "femme", "mujer", "女"), ("male", "mannlich", "homme", "hombre", "男")
GENDERS = dict.fromkeys(("women", "woman", "females", "frauen", "femmes", "mujeres", "女性"), (*_FEMALE, "f", "w")) | (
    dict.fromkeys(("men", "males", "manner", "hommes", "hombres", "男性"), (*_MALE, "m"))
)
"""How a column of genders says whom a question calls women or men."""
_OF_GENDERS = {*_FEMALE, *_MALE, "f", "w", "m", "d", "x", "other", "unknown", "nonbinary", "non-binary", "divers"}
_IN_BRACKETS = re.compile(r"\s*[(\[][^()\[\]]{1,20}[)\]]$")
PLURALS = frozenset(("", "s", "es", "e", "en", "n", "er", "x"))
PARTS_OF_DATES: tuple[PartOfDates, ...] = ("month", "year")
"""What of a date rows can be grouped by; a column that is called so is meant before it."""
SHORTEST_STEM = 4
"""Letters of a little word of the question that may be a value, too, at least."""
SHORTEST_HEAD = 3
"""Letters of a word of a name that may say what its rows are, at least."""
ENDINGS = ("csv", "tsv", "xlsx", "xls", "ods", "html", "htm", "md", "txt", "docx", "pdf")


@dataclass
class Span:
    """A stretch of the question with what it may mean."""

    start: int
    length: int
    kinds: set[str]
    column: str = ""
    exact: bool = False
    values: dict[str, str] = field(default_factory=dict)
    """By column: the value, folded."""
    token: Token | None = None
    way: Way | None = None
    """How it asks for one of the columns `among`, which it does not name: "cheapest"."""
    among: tuple[str, ...] = ()
    implies: str = ""
    """That column, once it is certain."""
    used: bool = False


def next_span(spans: Sequence[Span], number: int) -> Span | None:
    """The span after one that is more than a little word."""
    return next((span for span in spans[number + 1 :] if span.kinds != {"stop"}), None)


class Uncertain(Exception):
    """It is not certain what of the table is asked for."""


class TableWords:
    """The words that a question about a table may have, in one language."""

    def __init__(self, table: Table, names: Sequence[str], known: Phrases, language: str) -> None:
        self.known = known
        self.table = table
        self.ways = ways_to_ask(table, language)
        self.names = {form for name in names for form in _forms(key_of(name))}
        self.heads = {form for name in names for word in _heads(key_of(name)) for form in _forms((word,))}
        self.columns: dict[tuple[str, ...], str] = {}
        for column in table.columns:
            self.columns.setdefault(key_of_column(column), column)
        for column in table.columns:  # "2024 (k€)"
            self.columns.setdefault(key_of(_IN_BRACKETS.sub("", column.replace("_", " "))), column)
        self.by_stem = column_stems(table.columns, language)
        self.units = {
            key for values in table.values.values() if values.numbers for unit in values.units for key in key_of(unit)
        }
        self.values = table.value_index
        self.things = things(table)

    def spans(self, tokens: Sequence[Token]) -> Iterator[Span]:
        """What the tokens of a question mean, the longest stretches first.

        A word of no meaning here that is said to be counted ("how many films") is a `thing`, which may be the rows.

        Raises:
            Uncertain: one of them means nothing here.
        """
        at, is_counted = 0, False
        while at < len(tokens):
            for length in range(min(LONGEST_PHRASE, len(tokens) - at), 0, -1):
                if span := self._span(tokens[at : at + length], at):
                    break
            else:
                if not (is_counted and tokens[at].text.isalpha()):
                    raise Uncertain(tokens[at].text)
                span = Span(at, 1, {"thing"})
            yield span
            at, is_counted = at + span.length, "count" in span.kinds

    def settle(self, spans: Sequence[Span]) -> None:
        """Say of each stretch that asks for a column without naming it which one that is.

        It is one that the question names elsewhere, or the only one of its kind.

        Raises:
            Uncertain: there are several, and nothing else that the stretch may mean.
        """
        values = self.table.values
        named = {span.column for span in spans if "column" in span.kinds and span.column}
        compared = {name for name in named if values[name].numbers is not None or values[name].dates is not None}
        for span in spans:
            if span.way is None:
                continue
            either = [name for name in span.among if name in compared] or list(span.among)
            certain = len(either) == 1 and (span.way == "is" or compared <= set(span.among))
            if certain and span.way in ("most", "least") and values[either[0]].has_both_signs:
                raise Uncertain("the largest expense of an account is its lowest number")
            if not certain:
                if not span.kinds:
                    raise Uncertain("several columns, or none")
            elif span.way == "is":
                if not span.kinds:
                    span.kinds, span.column = {"column"}, either[0]
            else:
                span.kinds = {{"most": "maximum", "least": "minimum"}.get(span.way, "sum")}
                span.implies = either[0]

    def _thing(self, word: str) -> str:
        """The column that tells apart what a word names, in singular or plural; "" where there is none."""
        if word.endswith("ies") and f"{word[:-3]}y" in self.things:
            return self.things[f"{word[:-3]}y"]
        forms = (word[: len(word) - size] for size in range(3) if word[len(word) - size :] in PLURALS)
        return next((self.things[form] for form in forms if form in self.things), "")

    def _value(self, key: tuple[str, ...]) -> dict[str, str]:
        """The columns that have these words as a value, and how; also of several of it, or of whom they are said."""
        several = in_singular(key) if len(key) > 1 else key
        if found := self.values.get(key) or self.values.get(several):
            return found
        same = [word for word in GENDERS.get(key[0], ()) if len(key) == 1]
        genders = {
            name: word
            for name, values in self.table.values.items()
            for word in same
            if word in values.distinct and values.distinct.keys() <= _OF_GENDERS
        }
        return genders if len(genders) == 1 else {}

    def _span(self, tokens: Sequence[Token], at: int) -> Span | None:
        """What so many tokens mean together."""
        key = tuple(token.folded for token in tokens)
        is_column = len(key) > 1 and key[:1] in self.columns  # "sum of total of ...", with a column that is called so
        known = set() if is_column else set(self.known.get(key, ()))
        span = Span(at, len(key), known - {*PARTS_OF_DATES})
        if key in self.names:
            span.kinds |= {"table", "name"}
        if key in self.columns:
            span.kinds.add("column")
            span.column, span.exact = self.columns[key], True
        # "in" and "it" are no countries and departments where they are typed in small letters
        is_little = len(key) == 1 and len(key[0]) < SHORTEST_STEM and "stop" in span.kinds and tokens[0].text.islower()
        if (value := self._value(key)) and not is_little:
            span.kinds.add("value")
            span.values = value
        if key in self.ways and not span.kinds & {"column", "value"}:
            span.way, span.among = self.ways[key]
        if len(tokens) == 1:
            token = tokens[0]
            if (token.number is not None or token.when is not None) and "column" not in span.kinds:
                span.kinds.add("amount")
                span.token = token
            word = stem(token.folded)
            if not span.kinds and (thing := self._thing(token.folded)):
                span.kinds.add("column")
                span.column = thing
            if not span.kinds - {"stop"} and word in self.by_stem and "stop" not in span.kinds:
                span.kinds.add("column")
                span.column = self.by_stem[word]
            if not span.kinds and (found := self.values.get(("stem", word))):
                span.kinds.add("value")
                span.values = found
            if not span.kinds and (part := self.values.get(("part", token.folded))):
                span.kinds.add("value")
                span.values = part
            if not span.kinds and key in self.heads:
                span.kinds.add("table")
            if not span.kinds and token.folded in self.units:
                span.kinds.add("stop")
        if not (span.kinds or span.way):
            span.kinds = known & {*PARTS_OF_DATES}
        return span if span.kinds or span.way else None


@lru_cache(4096)
def column_stems(columns: tuple[str, ...], language: str) -> dict[str, str]:
    """The columns by the stems of words that one name alone has; of a "director", also by what one does."""
    found: dict[str, set[str]] = defaultdict(set)
    known = phrases()[language]
    for column in columns:
        for word in key_of_column(column):
            if known.get((word,), set()) <= {"stop", *PARTS_OF_DATES}:
                doing = [word[:-2]] if word.endswith(("er", "or")) and len(word) > 5 else []
                for each in (word, *doing):
                    found[stem(each)].add(column)
    return {word: next(iter(those)) for word, those in found.items() if len(those) == 1}


def ways_to_ask(table: Table, language: str) -> dict[tuple[str, ...], tuple[Way, tuple[str, ...]]]:
    """The phrases of a language that ask for a column of the table without naming it: how, and which it may be."""
    return _ways(tuple(table.families.items()), language)


def meant_columns(table: Table, language: str) -> dict[tuple[str, ...], set[str]]:
    """The words of a language, in singular, that mean a column of the table without being its name."""
    return _meant(tuple(table.families.items()), language)


@lru_cache(4096)
def _meant(columns: tuple[tuple[str, tuple[str, ...]], ...], language: str) -> dict[tuple[str, ...], set[str]]:
    return {in_singular(key): set(names) for key, (way, names) in _ways(columns, language).items() if way == "is"}


@lru_cache(4096)
def _ways(
    columns: tuple[tuple[str, tuple[str, ...]], ...], language: str
) -> dict[tuple[str, ...], tuple[Way, tuple[str, ...]]]:
    found: dict[tuple[str, ...], tuple[Way, tuple[str, ...]]] = {}
    of_table = dict(columns)
    for family in families():
        if family.name in of_table:
            for key, way in family.phrases.get(language, {}).items():
                found.setdefault(key, (way, of_table[family.name]))
    return found


def tells_apart(column: str) -> bool:
    """Whether a column is called by what tells rows apart: its numbers are not to be summed."""
    words = key_of_column(column)
    return bool(words) and words[-1] in TELLING_APART


def things(table: Table) -> dict[str, str]:
    """What rows are called by a column that tells them apart, and that column: `employer` of "Employer Name".

    Of several such columns it is the one with the most values.
    """
    found: dict[str, str] = {}
    for column, values in table.values.items():
        words = key_of_column(column)
        is_each = len(values.distinct) == len(table.rows)  # a number of a house does not tell rows apart
        if len(words) > 1 and tells_apart(column) and (is_each or words[-1] not in NUMBERS):
            thing = words[-2]
        elif len(words) == 1 and values.numbers is None and values.dates is None:
            thing = words[0]
        else:
            continue
        before = table.values.get(found.get(thing, ""))
        if before is None or len(values.distinct) >= len(before.distinct):
            found[thing] = column
    return found


def _heads(key: tuple[str, ...]) -> list[str]:
    """The words of a name that may say what its rows are: `orders` of `old orders 2024.csv`, `vehicle` of a fleet."""
    return [word for word in key if word not in ENDINGS and len(word) >= SHORTEST_HEAD and word.isalpha()]


def _forms(key: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """A name as people say it: also without its ending, and in singular and plural."""
    yield key
    if len(key) > 1 and key[-1] in ENDINGS:
        key = key[:-1]
        yield key
    if key:
        last = key[-1]
        for form in (last.removesuffix("s"), f"{last}s", last.removesuffix("es"), last.removesuffix("ies") + "y"):
            yield (*key[:-1], form)
