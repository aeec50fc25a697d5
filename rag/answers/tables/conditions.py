"""The words of a question about a table that say which rows are meant: values, amounts, dates, and signs between."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from rag.answers.tables.parsed import Table
from rag.answers.tables.query import Condition, Operation, Sign
from rag.answers.tables.spans import Span, Uncertain, next_span
from rag.answers.tables.words import Token, key_of_column
from rag.text.language import stem

_DATE = frozenset(map(stem, ("date", "day", "time", "on", "of", "datum", "tag", "jour", "fecha")))
"""Words of a date's column that do not tell it from others."""
_ONWARDS = frozenset(("on", "onward", "onwards", "to", "until", "till", "through"))
"""Words behind a date that "from" stands before: "from 2024 on"."""
SIGNS: dict[str, Sign] = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}


class Conditions:
    """The conditions that the spans of one reading of a question make."""

    def __init__(self, tokens: Sequence[Token], spans: Sequence[Span], table: Table) -> None:
        self.tokens, self.spans, self.table = tokens, spans, table

    def read(self, operation: Operation) -> Iterator[Condition]:
        """The conditions; the spans that say them are used up.

        Raises:
            Uncertain: it is not certain what is compared, or with what.
        """
        negated = [number for number, span in enumerate(self.spans) if "not" in span.kinds and not span.used]
        if len(negated) > 1:
            raise Uncertain("not ... not")
        chosen: dict[str, list[str]] = defaultdict(list)
        opposite: set[str] = set()
        for number, span in enumerate(self.spans):
            if span.used:
                continue
            if "amount" in span.kinds and not ("value" in span.kinds and not self._compared(number)):
                yield from self._amount(number, operation)
            elif "value" in span.kinds and not span.exact and "table" not in span.kinds:
                column = self._column_of(number, span)
                chosen[column].append(span.values[column])
                span.used = True
                if negated and next_span(self.spans, negated[0]) in (span, self._column_before(number)):
                    self.spans[negated[0]].used = True
                    opposite.add(column)
        for column, values in chosen.items():
            yield Condition(column, "≠" if column in opposite else "=", tuple(dict.fromkeys(values)))
        for number in negated:
            if not self.spans[number].used:
                raise Uncertain("not what?")

    def _column_before(self, number: int) -> Span | None:
        before = [span for span in self.spans[:number] if span.kinds != {"stop"}]
        return before[-1] if before and "column" in before[-1].kinds else None

    def _column_of(self, number: int, span: Span) -> str:
        """The column of a value: the one beside it, or the only one that has the value."""
        for beside in (self._column_before(number), next_span(self.spans, number)):
            if beside is not None and beside.column in span.values and not beside.used:
                beside.used = True
                return beside.column
        if len(span.values) > 1:
            raise Uncertain("the value is in several columns")
        return next(iter(span.values))

    def _compared(self, number: int) -> bool:
        """Whether an amount is compared: words such as "over" stand before it."""
        before = [span for span in self.spans[:number] if span.kinds != {"stop"}]
        return bool(before and before[-1].kinds & {*SIGNS, "between"})

    def _amount(self, number: int, operation: Operation) -> Iterator[Condition]:
        """The condition that a number or a date makes, with the words before it and the column beside it."""
        span = self.spans[number]
        token = span.token
        assert token is not None
        span.used = True
        if between := next((each for each in self.spans[:number] if "between" in each.kinds and not each.used), None):
            second = next((each for each in self.spans[number + 1 :] if "amount" in each.kinds), None)
            if second is None or second.token is None:
                raise Uncertain("between what?")
            between.used = second.used = True
            column, is_date = self._target(number, token, operation)
            yield _compare(column, "≥", token, is_date=is_date)
            yield _compare(column, "≤", second.token, is_date=is_date)
            return
        before = [each for each in self.spans[:number] if each.kinds != {"stop"}]
        sign: Sign = "="
        if before and (kinds := before[-1].kinds & SIGNS.keys()) and not before[-1].used:
            sign = SIGNS[next(name for name in SIGNS if name in kinds)]
            before[-1].used = True
            if token.when is not None and self._is_of(before[-1], number):
                sign = "="  # "orders from 2024"
        column, is_date = self._target(number, token, operation)
        yield _compare(column, sign, token, is_date=is_date)

    def _is_of(self, span: Span, number: int) -> bool:
        """Whether a "from" before a date says only of when something is: nothing behind the date says until when."""
        after = self.spans[number].start + self.spans[number].length
        goes_on = after < len(self.tokens) and self.tokens[after].folded in _ONWARDS
        return self.tokens[span.start].folded == "from" and not goes_on

    def _target(self, number: int, token: Token, operation: Operation) -> tuple[str, bool]:
        """The column that an amount is compared with, and whether it is one of dates."""
        values = self.table.values
        dates = [name for name in self.table.columns if values[name].dates is not None]
        years = [name for name in self.table.columns if values[name].years]
        numbers = [name for name in self.table.columns if values[name].numbers is not None and name not in years]
        numbers = [name for name in numbers if not values[name].has_scale]  # five of which unit?
        amounts = [name for name in numbers if not values[name].are_keys]
        fits = (dates + years if token.when else []) + (numbers if token.number is not None else [])
        before = [
            span for span in self.spans[:number] if span.kinds - {"stop"} and not span.kinds & {*SIGNS, "between"}
        ]
        beside = [before[-1] if before else None, next_span(self.spans, number)]
        for span in beside:
            if span is not None and span.column and token.when:
                dated = self.table.dated(span.column)
                if dated != span.column and dated in fits:
                    span.used = True
                    return dated, dated in dates
            if span is not None and span.column in fits and not self._asked_for(span, operation, fits, number):
                span.used = span.used or operation == "count" or span is beside[0]
                return span.column, span.column in dates
        if token.when is not None and len(dates + years) == 1:
            return (dates + years)[0], bool(dates)
        if token.when is not None and not years and (date := self.date_column(number)):
            return date, True
        is_compared = any(span.used and span.kinds & {*SIGNS, "between"} for span in self.spans[:number])
        if token.when is None and len(amounts) == 1 and is_compared:
            return amounts[0], False
        raise Uncertain("which column is compared?")

    def _asked_for(self, span: Span, operation: Operation, fits: Sequence[str], number: int) -> bool:
        """Whether a column beside an amount is what is asked for: in "how many visitors in 2021", visitors.

        A column of years is not, before what is compared: "how many were built before 1860".
        """
        token = self.spans[number].token
        others = [name for name in fits if name != span.column]
        return (
            token is not None
            and token.when is not None
            and operation in ("count", "sum", "average")
            and bool(others)
            and self.table.values[span.column].dates is None
            and not (self.table.values[span.column].years and span.kinds == {"column"} and self._compared(number))
        )

    def date_column(self, before: int | None = None) -> str | None:
        """The column of dates that is meant: the only one, or the one that a word speaks of.

        `before`: the number of the span of a date, whose column the nearest word before it tells: "orders shipped in
        May" are of the shipping date, "shipped orders of May" of the order date. Without it, what the rows are called
        tells it before other words.
        """
        dates = [name for name in self.table.columns if self.table.values[name].dates is not None]
        if len(dates) == 1:
            return dates[0]
        of_date = {name: {stem(word) for word in key_of_column(name)} - _DATE for name in dates}
        if before is not None:
            spans = self.spans[:before][::-1]
        else:
            spans = sorted(self.spans, key=lambda span: not span.kinds & {"table", "rows"})
        for span in spans:
            said = {stem(token.folded) for token in self.tokens[span.start : span.start + span.length]}
            named = [name for name in dates if of_date[name] & said]
            if len(named) == 1:
                return named[0]
        return None


def _compare(column: str, sign: Sign, token: Token, *, is_date: bool) -> Condition:
    if is_date:
        return Condition(column, sign, when=token.when)
    if token.number is None:
        raise Uncertain("a date for a number")
    return Condition(column, sign, number=token.number)
