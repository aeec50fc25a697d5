"""The words of a question about a table, put together: the operation, its column, conditions and groups."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from rag.answers.tables.conditions import SIGNS, Conditions
from rag.answers.tables.parsed import Table, in_singular
from rag.answers.tables.query import OPERATIONS, Condition, Operation, PartOfDates, Query, matches
from rag.answers.tables.spans import PARTS_OF_DATES, Span, TableWords, Uncertain, next_span, tells_apart, things
from rag.answers.tables.words import Phrases, Token, key_of_column, number_words

AMOUNTS: tuple[Operation, ...] = ("sum", "average", "maximum", "minimum")
GOES_WITH: set[tuple[Operation, Operation]] = {
    ("count", "sum"),  # "how many visitors in total"
    ("average", "count"),
    ("average", "sum"),
    ("maximum", "count"),  # "the highest number of visitors"
    ("maximum", "sum"),
    ("maximum", "average"),  # "the highest average salary"
    ("minimum", "count"),
    ("minimum", "sum"),
    ("minimum", "average"),
}
"""Operations of which the second, named after the first, leaves the first what is asked for."""
ADDED_UP = ("amount", "revenue")
"""Families of columns whose sum is meant where rows have the highest together."""
_OF_ONE = frozenset(("unit", "each", "per", "rate", "einzelpreis", "stuckpreis", "unitaire", "unitario"))
"""Words of the name of a column of prices that are not to be summed: each is that of one piece."""
_VALUES = frozenset(("value", "wert", "valeur", "valor"))
_HAVING = frozenset(("have", "has", "had", "having", "with", "hat", "haben", "hatte", "hatten", "mit", "avec", "con"))
"""Words after which something is said of the rows, and not what they are called."""
_OF_NUMBER = frozenset(
    ("most", "fewest", "least", "top", "meisten", "wenigsten", "leplusde", "lemoinsde", "mas", "menos", "最多", "最少")
)
"""Superlatives that may be of the number of rows; others are of something that a row has: "the largest order"."""
_ONE_FIGURE = frozenset(("what is", "was ist", "quel est", "quelle est", "cual es"))
"""How a question begins that asks for one figure, whatever it is of."""
MOST_ASKED_FOR = 100
"""Rows that a superlative may ask for: the hundred cheapest."""
MOST_GROUPS = 50
"""Values of a column that rows are grouped by, at most."""


class Reading:
    """One reading of a question, with the words of one language."""

    def __init__(
        self, tokens: Sequence[Token], table: Table, names: Sequence[str], known: Phrases, language: str
    ) -> None:
        self.tokens, self.table = tokens, table
        self.numbers = number_words()[language]
        words = TableWords(table, names, known | {(word,): {"number"} for word in self.numbers}, language)
        self.spans = list(words.spans(tokens))
        words.settle(self.spans)
        self._where = Conditions(tokens, self.spans, table)

    def query(self, is_nearest: bool) -> Query:
        """The query. `is_nearest`: as `read_question` has it.

        Raises:
            Uncertain: no operation is asked for, or a word has no place in the query.
        """
        operation, superlative, inner = self._operation(is_nearest)
        if operation == "count":
            self._check_having()
        most = self._most_asked_for() if superlative else 1
        per, each = self._per()
        conditions = tuple(self._where.read(operation))
        rest = [span for span in self.spans if not span.used]
        columns = self._columns(rest, superlative=superlative)
        if superlative and (group := self._best_group(operation, inner, columns, conditions, most)):
            return group
        if len(columns) == 2 and superlative:  # "which flaw has the highest total", of rows with a flaw each
            columns = [column for column in columns if not self._is_label(column)] or columns
        self._check_places(rest, conditions)
        if len(columns) > 1:
            raise Uncertain("several columns")
        about_rows = any("rows" in span.kinds for span in rest)
        has_subject = about_rows or any("table" in span.kinds and "stop" not in span.kinds for span in rest)
        column = columns[0] if columns else None
        if column is None and operation in ("sum", "average") and (has_subject or conditions or per):
            column = self._only_amount()
        if operation == "list" and column and self._asks_one_figure(column):
            operation = "sum"  # "what is the net value of all orders from Kiel"
        operation, column = self._with_column(operation, column, about_rows=about_rows, rest=rest)
        if operation in ("list", "distinct") and column in {each.column for each in conditions}:
            column = None  # "which countries joined in 1995"
        self._check_meaning(column, conditions, superlative=superlative)
        if not (has_subject or conditions or column or per):
            raise Uncertain("nothing of the table is named")
        return Query(operation, column, conditions, per, each, most=most, named=self._words_of_names())

    def _check_having(self) -> None:
        """Raises `Uncertain` where the rows have to have something that is only a word of the table's name."""
        for one, two in pairwise(self.spans):
            if self.tokens[one.start].folded in _HAVING and not two.used and two.kinds == {"table"}:
                raise Uncertain("having what?")

    def _asks_one_figure(self, column: str) -> bool:
        """Whether the question asks what the numbers of a column are together, as it asks for one: "what is"."""
        return self._is_added_up(column) and " ".join(token.folded for token in self.tokens[:2]) in _ONE_FIGURE

    def _is_added_up(self, column: str) -> bool:
        """Whether the numbers of a column can be summed."""
        values = self.table.values[column]
        is_number = values.numbers is not None and not (values.years or values.are_keys or values.are_shares)
        return is_number and not tells_apart(column)

    def _columns(self, rest: Sequence[Span], *, superlative: bool) -> list[str]:
        """The columns that the words without a place name or imply, each once."""
        named_too = {span.column for span in rest if {"column", "name"} <= span.kinds}
        columns = list(dict.fromkeys(span.column for span in rest if "column" in span.kinds))
        if len(columns) > 1:  # "which order has the highest amount", with a column and a file that are called so
            others = [column for column in columns if column not in named_too]
            columns = others if not superlative or any(map(self._is_compared, others)) else columns
        implied = list(dict.fromkeys(span.implies for span in self.spans if span.implies))
        if implied and not any(map(self._is_compared, set(columns) - set(implied))):
            return implied  # "the cheapest product", with a column of products
        return columns

    def _check_places(self, rest: Sequence[Span], conditions: tuple[Condition, ...]) -> None:
        """Raises `Uncertain` where one of the words that are left over has no place in a query."""
        may_be = {"column", "stop", "rows", "table", "list", "distinct"}
        if conditions and any(span.used and "column" in span.kinds for span in self.spans):
            may_be.add("thing")
        for span in rest:
            if not span.kinds & may_be:
                raise Uncertain(self.tokens[span.start].text)

    def _check_meaning(self, column: str | None, conditions: tuple[Condition, ...], *, superlative: bool) -> None:
        """Raises `Uncertain` where the question can mean two things, or leaves open what it asks of."""
        ways = {span.way for span in self.spans if span.implies}
        if ways & {"of_them", "of_one"} and not conditions:
            raise Uncertain("how much of what?")
        says_sum = any("sum" in span.kinds and span.way is None for span in self.spans)  # "in total"
        if "of_one" in ways and not says_sum and len(matches(self.table, conditions)) > 1:
            raise Uncertain("how much is each, or all of them?")
        if not superlative:
            return
        asks_who = any("who" in span.kinds for span in self.spans)
        if asks_who and column in self.table.families.get("amount", ()):
            raise Uncertain("the most in one row, or in all rows of somebody?")
        if column is None:
            raise Uncertain("no column for a superlative")

    def _words_of_names(self) -> int:
        """Words of the question that name the table, by which it is chosen among others."""
        named = max((span.length for span in self.spans if "name" in span.kinds), default=0)
        counts_a_thing = any(span.kinds == {"thing"} for span in self.spans)  # another table may be called so
        return named - counts_a_thing

    def _best_group(
        self,
        operation: Operation,
        inner: Operation | None,
        columns: Sequence[str],
        conditions: tuple[Condition, ...],
        most: int,
    ) -> Query | None:
        """The query for the groups with the most rows, or the highest sum or average: "who has the most guests"."""
        groups = [name for name in columns if not (self._is_compared(name) or self._is_label(name))]
        others = [name for name in columns if name not in groups]
        each, date = self._part_of_dates()
        if each and not groups:  # "which month had the most orders"
            groups, others = [date], [name for name in others if name != date]
        elif groups and not others and (said := self._said_value()):  # "top 3 customers by order value"
            others, inner = [said], inner or "sum"
        dates = [name for name in columns if self.table.values[name].dates is not None]
        if not groups and len(dates) == 1 and len(columns) == 2:  # "which day had the most visitors"
            groups, others = dates, [name for name in columns if name not in dates]
        if len(groups) != 1 or len(others) > 1 or operation not in ("maximum", "minimum"):
            return None
        if not each and groups != dates and len(self.table.values[groups[0]].distinct) > MOST_GROUPS:
            return None
        rest = [span for span in self.spans if not span.used and "column" not in span.kinds]
        if not all(span.kinds & {"stop", "rows", "table", "list", "distinct", *PARTS_OF_DATES} for span in rest):
            return None
        group = partial(Query, conditions=conditions, per=groups[0], each=each, best=operation, most=most)
        if others and self.table.values[others[0]].has_scale:
            return None
        if others and inner is None and any(others[0] in self.table.families.get(each, ()) for each in ADDED_UP):
            inner = "sum"  # "which region has the highest sales"
        elif others and inner is None and self._asks_for_a_number() and self._is_added_up(others[0]):
            inner = "sum"  # "which ward had the most visitors"
        if others and inner in ("sum", "average") and self.table.values[others[0]].numbers is not None:
            return group(inner, others[0])
        if not others and inner == "sum" and (amount := self._only_amount()):
            return group(inner, amount)
        is_number = inner == "count" or self._asks_for_a_number()
        if (
            not others
            and inner in (None, "count")
            and is_number
            and any(span.kinds & {"rows", "table"} for span in rest)
        ):
            return group("count")
        return None

    def _asks_for_a_number(self) -> bool:
        """Whether the superlative is of a number of rows, as in "most orders", and not of one: "the largest order"."""
        said = ("".join(token.folded for token in self.tokens[span.start :][: span.length]) for span in self.spans)
        return any(word in _OF_NUMBER for word in said)

    def _only_amount(self) -> str | None:
        """The column that is summed where none is named: of values, if they are asked for, of amounts or of prices."""
        if said := self._said_value():
            return said
        found = self.table.families.get("amount") or self.table.families.get("price") or ()
        found = tuple(name for name in found if _OF_ONE.isdisjoint(key_of_column(name)))
        return found[0] if len(found) == 1 else None

    def _said_value(self) -> str | None:
        """The column of numbers whose name has "value", if that little word is in the question."""
        said = _VALUES & {in_singular((token.folded,))[0] for token in self.tokens}
        found = [name for name, values in self.table.values.items() if values.numbers is not None]
        found = [name for name in found if said.intersection(in_singular(key_of_column(name)))]
        return found[0] if len(found) == 1 else None

    def _is_compared(self, column: str) -> bool:
        """Whether a column has numbers or dates."""
        values = self.table.values[column]
        return values.numbers is not None or values.dates is not None

    def _most_asked_for(self) -> int:
        """How many rows a superlative asks for, which a number beside it says: "the three cheapest", "top 5"."""
        for number, span in enumerate(self.spans):
            if not span.kinds & {"maximum", "minimum"}:
                continue
            before = [each for each in self.spans[:number] if each.kinds != {"stop"}]
            for beside in (before[-1] if before else None, next_span(self.spans, number)):
                if beside is None or beside.used:
                    continue
                token = self.tokens[beside.start]
                many = self.numbers.get(token.folded, 0) if "number" in beside.kinds else int(token.number or 0)
                if 1 <= many <= MOST_ASKED_FOR and beside.kinds & {"number", "amount"}:
                    beside.used = True
                    return many
        return 1

    def _operation(self, is_nearest: bool) -> tuple[Operation, bool, Operation | None]:
        """What is asked for, whether it is a superlative, and of what: a sum, an average, a count.

        The span that says so is used up.
        """
        found: list[tuple[Span, Operation]] = []
        for span in self.spans:
            if name := next((each for each in OPERATIONS if each in span.kinds), None):
                found.append((span, name))
        asked, inner = self._named_operation(found)
        if asked in (None, "list"):
            sums = [span for span, name in found if name == "sum" and span.exact]
            lists = [span for span, name in found if name == "list"]
            if len(sums) == 1 and (not lists or sums[0].start < lists[0].start):
                asked = "sum"  # "what is the total of all orders", with a column that is called so
        is_compared = any(span.kinds & {*SIGNS, "between"} for span in self.spans)  # "what bikes are under 500"
        asks_who = any("who" in span.kinds for span in self.spans)
        if asked is None and ((is_nearest and (is_compared or asks_who)) or (is_compared and asks_who)):
            asked = "list"
        if asked is None:
            raise Uncertain("no operation")
        if inner == "average" and asked in ("maximum", "minimum") and not self._names_a_group():
            raise Uncertain("the highest average of what?")
        return asked, asked in ("maximum", "minimum"), inner

    @staticmethod
    def _named_operation(found: Sequence[tuple[Span, Operation]]) -> tuple[Operation | None, Operation | None]:
        """The operation that the words name together, and what it is of; their spans are used up."""
        asked: Operation | None = None
        inner: Operation | None = None
        for span, name in found:
            if "column" in span.kinds or "value" in span.kinds:
                if (asked, name) == ("count", "distinct"):
                    asked, span.used = name, True
                continue
            if name in ("sum", "average", "count") and (asked or name) != name:
                inner = name
            span.used = True
            if asked is None or (asked, name) == ("count", "distinct"):
                asked = name
            elif name in ("list", "distinct"):
                span.used = name == "list"
            elif asked in ("list", "count", "distinct") and name in AMOUNTS and (asked, name) not in GOES_WITH:
                asked = name
            elif asked in ("average", "sum") and name in ("maximum", "minimum"):
                asked, inner = name, asked  # "the average that is highest"
            elif asked != name and (asked, name) not in GOES_WITH:
                raise Uncertain("two operations")
        return asked, inner

    def _names_a_group(self) -> bool:
        """Whether the question names a column that rows can be grouped by."""
        named = {span.column for span in self.spans if "column" in span.kinds}
        return any(not (self._is_compared(name) or self._is_label(name)) for name in named)

    def _is_label(self, column: str) -> bool:
        """Whether a column has a name for each row, and no two rows have the same."""
        values = self.table.values[column]
        is_name = (values.numbers is None and values.dates is None) or tells_apart(column)
        return is_name and len(values.distinct) == values.filled == len(self.table.rows)

    def _part_of_dates(self) -> tuple[PartOfDates, str]:
        """What of its dates rows can be grouped by, and the column of dates: "which month"; "" where none is named."""
        for part in PARTS_OF_DATES:
            if any(part in span.kinds for span in self.spans) and (date := self._where.date_column()):
                return part, date
        return "", ""

    def _averages_a_count(self) -> bool:
        """Whether the average of a number is asked for: "average number of visitors per month"."""
        kinds: set[str] = set().union(*(span.kinds for span in self.spans))
        return {"average", "count"} <= kinds

    def _per(self) -> tuple[str | None, PartOfDates]:
        """The column that rows are grouped by, and what of its dates."""
        for number, span in enumerate(self.spans[:-1]):
            if "per" in span.kinds and not span.used:
                after = next_span(self.spans, number)
                if after is not None and "rows" in after.kinds:
                    raise Uncertain("no column to group by")
                if after is not None and after.kinds & {*PARTS_OF_DATES}:
                    each, date = self._part_of_dates()
                    if not each or self._averages_a_count():
                        raise Uncertain("no date to group by, or the average of what is in a month")
                    span.used = after.used = True
                    return date, each
                if after is not None and "column" in after.kinds:
                    values = self.table.values[after.column]
                    if values.numbers is not None and not values.years:
                        span.used = True  # "the smallest by population"
                        return None, ""
                    if len(self.table.values[after.column].distinct) > MOST_GROUPS:
                        raise Uncertain("too many groups")
                    span.used = after.used = True
                    return after.column, ""
        return None, ""

    def _with_column(
        self, operation: Operation, column: str | None, *, about_rows: bool, rest: Sequence[Span]
    ) -> tuple[Operation, str | None]:
        """The operation as it is meant for the column: "how many visitors" sums a column of numbers."""
        if column is None:
            if operation in ("sum", "average"):
                raise Uncertain("which column is summed?")
            return operation, None
        values = self.table.values[column]
        is_table = any(span.column == column and "table" in span.kinds for span in rest)
        if operation in ("sum", "average") and (values.numbers is None or values.has_scale):
            raise Uncertain("no column of numbers in one unit")
        if operation == "sum" and values.are_shares:
            raise Uncertain("shares are not summed")
        if operation in ("maximum", "minimum") and values.numbers is None and values.dates is None:
            raise Uncertain("nothing to compare")
        if operation == "count":
            if about_rows or is_table:
                if not is_table:
                    raise Uncertain("rows or values?")
                return "count", None
            is_said = any(span.column == column and span.exact for span in rest)
            if tells_apart(column) and not is_said and column not in things(self.table).values():
                raise Uncertain("a number of something else")
            if values.numbers is not None and not (values.years or values.are_keys or tells_apart(column)):
                if values.are_shares:
                    raise Uncertain("shares are not summed")
                return "sum", column
            return "distinct", column
        return operation, column
