"""What kinds of columns a table has, and what asks for one without naming it: "cheapest" (`rag/columns.yaml`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from rag.answers.tables.values import Values
from rag.answers.tables.words import key_of, key_of_column, read_yaml

COLUMNS_FILE = Path(__file__).parents[2] / "columns.yaml"
FOUNDED = "founded"
DATES = ("date", "born", "start", FOUNDED)
"""The families of columns of dates; the first has all of them, the others those that are called so."""
LEAST_ENDING = 5
"""Letters of a name that may be the end of a longer word: "Kaufpreis"."""

Way = Literal["is", "most", "least", "spent", "of_them", "of_one"]
WAYS: tuple[Way, ...] = ("is", "most", "least", "spent", "of_them", "of_one")


@dataclass(frozen=True)
class Family:
    """Columns of one kind: what they are called, and by language the phrases that ask for one, and how."""

    name: str
    names: frozenset[str]
    phrases: dict[str, dict[tuple[str, ...], Way]]

    def columns(self, values: Mapping[str, Values]) -> tuple[str, ...]:
        """The columns of a table that are of this kind; where some are called so and nothing else, these alone."""
        if self.name in DATES:
            dates = [name for name, each in values.items() if each.dates is not None or each.years]
            keys = {name: key_of_column(name) for name in dates}
            named = [name for name in dates if any(map(self._is_name, keys[name]))]
            if self.name == FOUNDED and not named and not any(key[:1] == ("last",) for key in keys.values()):
                named = [name for name in dates if keys[name][:1] == ("first",)]  # "First lit"
            return tuple(dates if self.name == DATES[0] else named)
        fits = [name for name, each in values.items() if each.numbers is not None and not (each.years or each.are_keys)]
        keys = {name: key_of_column(name) for name in fits}
        of_it = [name for name in fits if any(map(self._is_name, [*keys[name], " ".join(keys[name])]))]
        alone = [name for name in of_it if all(map(self._is_name, keys[name])) or self._is_name(" ".join(keys[name]))]
        return tuple(alone or of_it)

    def _is_name(self, word: str) -> bool:
        return any(
            word in (name, f"{name}s") or (len(name) >= LEAST_ENDING and word.endswith(name)) for name in self.names
        )


@cache
def families() -> tuple[Family, ...]:
    """The kinds of columns, in the order in which a phrase that several have is meant."""
    return tuple(_read())


@cache
def asking_phrases() -> frozenset[tuple[str, ...]]:
    """The phrases of all languages that ask for a sum or for the highest or lowest value."""
    return frozenset(
        key for each in families() for known in each.phrases.values() for key, way in known.items() if way != "is"
    )


def _read() -> Iterator[Family]:
    for name, given in read_yaml(COLUMNS_FILE).items():
        names = frozenset(given.pop("names"))
        known = {key: "is" for word in names for key in (key_of(word), key_of(f"{word}s"))}
        phrases = {
            language: {**known, **{key_of(text): way for way in WAYS for text in ways.get(way, ())}}
            for language, ways in given.items()
        }
        yield Family(name, names, phrases)  # type: ignore[arg-type]
