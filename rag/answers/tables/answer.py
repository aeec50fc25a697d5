"""A query of a table -> the answer by counting: how it was counted, the rows, and a mark for each line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from langchain_core.documents import Document

from rag.answers.tables.parsed import LAST_PAGE, Table
from rag.answers.tables.query import Condition, PartOfDates, Query, matches
from rag.answers.tables.values import Values, folded, told_number
from rag.answers.tables.words import sayings
from rag.answers.whole.receipt import Writer
from rag.sources.outline import OF_DOCUMENTS

MOST_SHOWN = 30
"""Rows or values that an answer lists."""
MOST_QUOTED = 60
"""Rows in the passage below it."""


def answer_query(tables: Sequence[tuple[Table, Query, str]]) -> Writer:
    """The answer for each table, given with its query and name; the first line of each says how it was counted."""
    writer = Writer()
    for table, query, name in tables:
        writer.gap()
        _answer(writer, table, query, name)
    return writer


def _answer(writer: Writer, table: Table, query: Query, name: str) -> None:
    say = sayings()[query.language]
    rows = matches(table, query.conditions)
    values = table.values[query.column] if query.column else None
    told: dict[str, str] = {"table": name, "all": f"{len(table.rows):,}", "column": query.column or ""}
    conditions = " & ".join(_told_condition(table, each) for each in query.conditions)
    told["where"] = say["where"].format(conditions=conditions) if conditions else ""
    empty = 0
    if not rows:
        _note(writer, table, list(range(len(table.rows))))
        writer.say(say["none"].format(**told), *_whole(writer))
        return
    if values is not None and query.operation in ("sum", "average", "maximum", "minimum"):
        filled = [row for row in rows if _amount(table, query.column or "", row) is not None]
        empty, rows = len(rows) - len(filled), filled
    told["count"] = f"{len(rows):,}"
    if query.operation in ("maximum", "minimum") and rows:
        rows = _best_rows(table, query, rows)
        told |= {"count": f"{len(rows):,}", "value": values.texts[rows[0]] if values else ""}
    _note(writer, table, rows)
    if query.per:
        _say_groups(writer, table, query, rows, say, told)
    else:
        _say_result(writer, table, query, rows, say, told)
    if query.operation in ("maximum", "minimum") or (query.operation == "list" and query.column is None):
        _say_rows(writer, table, rows, say)
    if empty:
        writer.say(say["empty"].format(column=query.column, value=f"{empty:,}"))
    if table.totals:
        writer.say(say["totals"].format(value=f"{len(table.totals):,}"))


def _say_result(
    writer: Writer, table: Table, query: Query, rows: Sequence[int], say: dict[str, str], told: dict[str, str]
) -> None:
    """What the rows amount to: how many there are, what a column has in them, its sum, the highest of it."""
    values = table.values[query.column] if query.column else None
    kind: str = query.operation
    if kind == "count" or (kind in ("list", "distinct") and values is None):
        writer.say(say["count" if told["where"] else "whole"].format(**told), *_whole(writer))
    elif kind in ("list", "distinct") and values is not None:
        has = Counter(folded(values.texts[row]) for row in rows if values.texts[row])
        first = {folded(values.texts[row]): values.texts[row] for row in reversed(rows)}
        told["value"] = next(iter(first.values())) if len(has) == 1 else f"{len(has):,}"
        writer.say(say["value" if len(has) == 1 else "distinct"].format(**told), *_whole(writer))
        if len(has) > 1 and (kind == "list" or len(has) <= MOST_SHOWN):
            _say_lines(writer, [f"{first[value]}: {count:,}" for value, count in has.most_common()], say)
    elif kind in ("sum", "average"):
        _, value = _total(table, query, rows)
        told["value"] = value if len(rows) > 1 or not values else values.texts[rows[0]] if rows else "0"
        writer.say(say[kind if len(rows) != 1 else "value"].format(**told), *_whole(writer))
    else:
        if values is not None and kind == "value":
            told["value"] = values.texts[rows[0]]
        if values is not None and values.numbers is None:
            kind = {"maximum": "latest", "minimum": "earliest"}.get(kind, kind)
        writer.say(say[kind].format(**told), *_whole(writer))


def _best_rows(table: Table, query: Query, rows: Sequence[int]) -> list[int]:
    """The rows with the highest or lowest value, as many as are asked for; and those that have the same as the last."""
    amounts: dict[int, Any] = {row: _amount(table, query.column or "", row) for row in rows}
    in_order = sorted(rows, key=amounts.__getitem__, reverse=query.operation == "maximum")
    last = amounts[in_order[: query.most][-1]]
    return in_order[: query.most] + [row for row in in_order[query.most :] if amounts[row] == last]


def _amount(table: Table, column: str, row: int) -> object:
    """A row's number or date in a column."""
    values = table.values[column]
    if values.numbers is not None:
        return values.numbers[row]
    return tuple(part or 0 for part in day) if values.dates and (day := values.dates[row]) else None


def _total(table: Table, query: Query, rows: Sequence[int]) -> tuple[Decimal | None, str]:
    """The sum or the average of a column over rows, and as people write it; of no number there is no average."""
    values = table.values[query.column or ""]
    numbers = values.numbers or []
    found = [number for row in rows if (number := numbers[row]) is not None]
    total = sum(found, Decimal())
    places = max((-int(number.as_tuple().exponent) for number in found), default=0)
    if query.operation != "average":
        return total, told_number(total, values.mark, cents=places == 2)
    if not found:
        return None, "–"
    average = round(total / len(found), max(0, places) + 2)
    return average, told_number(average, values.mark)


def _say_groups(
    writer: Writer, table: Table, query: Query, rows: Sequence[int], say: dict[str, str], told: dict[str, str]
) -> None:
    """A line for each value of the column that rows are grouped by; where the best is asked for, it comes first."""
    per = table.values[query.per or ""]
    texts = _parts_of_dates(per, query.each) if query.each else per.texts
    groups: dict[str, list[int]] = {}
    first: dict[str, str] = {}
    for row in rows:
        if text := texts[row]:
            groups.setdefault(folded(text), []).append(row)
            first.setdefault(folded(text), text)
    sums = query.operation in ("sum", "average")
    amounts = {
        key: _total(table, query, own) if sums else (Decimal(len(own)), f"{len(own):,}") for key, own in groups.items()
    }
    keys = list(groups)
    if query.best:
        keys = sorted(
            (key for key in keys if amounts[key][0] is not None),
            key=lambda key: amounts[key][0] or Decimal(),
            reverse=query.best == "maximum",
        )
        if not keys:
            writer.say(say["none"].format(**told), *_whole(writer))
            return
        best = [key for key in keys if amounts[key][0] == amounts[keys[0]][0]]
        told |= {
            "value": ", ".join(first[key] for key in best),
            "amount": amounts[keys[0]][1],
            "column": query.per or "",
        }
        writer.say(say["best"].format(**told), *_whole(writer))
        if query.most > 1:
            last = amounts[keys[: query.most][-1]][0]
            keys = keys[: query.most] + [key for key in keys[query.most :] if amounts[key][0] == last]
    else:
        keys = sorted(keys) if query.each else keys
        writer.say(say["group"].format(**{**told, "column": query.per}), *_whole(writer))
    what = f" ({query.operation}, {query.column})" if sums else ""
    _say_lines(writer, [f"{first[key]}: {amounts[key][1]}{what}" for key in keys], say)


def _parts_of_dates(values: Values, part: PartOfDates) -> list[str]:
    """The year of each date, or its month as `2025-03`; "" where there is none."""
    dates = values.dates or []
    if part == "year":
        return [f"{day[0]:04}" if day and day[0] else "" for day in dates]
    return [f"{day[0]:04}-{day[1]:02}" if day and day[0] and day[1] else "" for day in dates]


def _say_lines(writer: Writer, lines: Sequence[str], say: dict[str, str]) -> None:
    writer.gap()
    for line in lines[:MOST_SHOWN]:
        writer.say(line, *_whole(writer), lead="- ")
    if len(lines) > MOST_SHOWN:
        writer.say(say["more"].format(value=f"{len(lines) - MOST_SHOWN:,}"), lead="- ")


def _say_rows(writer: Writer, table: Table, rows: Sequence[int], say: dict[str, str]) -> None:
    """The rows as a list, each with its mark."""
    at = 0
    writer.gap()
    for row in rows[:MOST_SHOWN]:
        line = table.line(table.rows[row])
        writer.say(line, len(writer.passages), (at, at + len(line)), lead="- ")
        at += len(line) + 1
    if len(rows) > MOST_SHOWN:
        writer.say(say["more"].format(value=f"{len(rows) - MOST_SHOWN:,}"), lead="- ")


def _note(writer: Writer, table: Table, rows: Sequence[int]) -> None:
    """Add the rows as the passage under the answer; it has a place in the text where they follow each other."""
    shown = [table.rows[row] for row in rows[:MOST_QUOTED]]
    metadata = {key: value for key, value in table.metadata.items() if key not in (*OF_DOCUMENTS, LAST_PAGE)}
    metadata |= {"source": table.source, "title": table.title} | ({"section": table.section} if table.section else {})
    text = "\n".join(map(table.line, shown))
    if shown and LAST_PAGE not in table.metadata and table.text[shown[0].start : shown[-1].end] == text:
        metadata["start_index"] = shown[0].start
    writer.passages.append(Document(text, metadata=metadata))


def _whole(writer: Writer) -> tuple[int, tuple[int, int]]:
    """The last passage, as a whole, as what a sentence is from."""
    return len(writer.passages), (0, len(writer.passages[-1].page_content))


def _told_condition(table: Table, condition: Condition) -> str:
    """A condition for people: `total > 100`, `ordered = 2021-03`."""
    if condition.number is not None:
        values = table.values[condition.column]
        value = str(condition.number) if values.years else told_number(condition.number, values.mark)
    elif condition.when is not None:
        year, *parts = condition.when
        told = [f"{year:04}" if year else "…", *(f"{part:02}" for part in parts if part is not None)]
        value = "-".join(told)
    else:
        texts = table.values[condition.column].texts
        first = {folded(text): text for text in reversed(texts)}
        value = ", ".join(first.get(each, each) for each in condition.values)
    if not condition.column and condition.sign == "=":  # of a column without a name
        return value
    return f"{condition.column} {condition.sign} {value}"


def told_table(table: Table) -> str:
    """A table in a line: how many rows it has, its columns, and from where to where numbers and dates go."""
    columns = []
    for name, values in table.values.items():
        amounts = [(each, row) for row in range(len(table.rows)) if (each := _amount(table, name, row)) is not None]
        if len(amounts) > 1:
            ends = [values.texts[end[1]] for end in (min(amounts), max(amounts))]
            columns.append(f"{name} ({' – '.join(ends)})")
        elif name:
            columns.append(name)
    return f"{len(table.rows):,} × {', '.join(columns)}"
