"""JSON becomes lines: each object one line of `key: value` pairs, after the keys that lead to it; a chat is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

from rag.sources.html.inline import text_of_html
from rag.sources.plain.chats import are_messages, message_line, people_in
from rag.sources.tables import SEPARATOR, cell_text

DEEPEST = 60
"""Levels of nesting; what is deeper stays JSON."""
MOST_PAIRS = 40
LONGEST_LINE = 500
"""Pairs and characters of an object with others in it that is told in one line."""
LONGEST_NAME = 80
"""Characters of what an object is called."""
LEAST_TOLD_APART = 3
"""Objects of a list that are told apart by a key of any name; two have different kinds by chance."""
_NAMES = ("name", "title", "id", "key", "label")
"""Keys of what an object is called, which goes before what is nested in it, and before its other lines."""
LONGEST_LIST = 600
"""Characters of a list of plain values in one line; longer ones get a line for each value."""


def json_lines(text: str, ending: str) -> list[str]:
    """The lines of a JSON file, or of a file with one JSON value a line; none where it is damaged."""
    if ending in (".jsonl", ".ndjson"):
        return _lines_of_records(text)
    try:
        return list(_lines(json.loads(text), "", 0))
    except (ValueError, RecursionError):
        return _lines_of_records(text) if text.lstrip().startswith("{") else []


def _lines_of_records(text: str) -> list[str]:
    """A line for each record, or several that begin with its name where it is long.

    Lines that are no JSON stay as they are, and none is one: there are no records.
    """
    given = [line.strip() for line in text.split("\n") if line.strip()]
    values = list(map(_read, given))
    records = [value for value in values if isinstance(value, dict | list)]
    names = iter(_names_in(records) or [""] * len(records))
    lines: list[str] = []
    for line, value in zip(given, values, strict=True):
        name = next(names) if isinstance(value, dict | list) else ""
        try:
            told = SEPARATOR.join(filter(None, _pairs(value, "", 0))) if value is not line else line
            lines += list(_lines(value, "", 1, name)) if len(told) > LONGEST_LINE else [told or line]
        except RecursionError:
            lines.append(line)
    return lines if records else []


def _read(line: str) -> Any:
    """The value of a line; the line where it is no JSON."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return line


def _pairs(value: Any, path: str, depth: int) -> Iterator[str]:
    """All values in a record with the keys that lead to each."""
    if isinstance(value, dict) and depth < DEEPEST:
        for key, item in value.items():
            yield from _pairs(item, f"{path}.{key}" if path else str(key), depth + 1)
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value) and depth < DEEPEST:
        for number, item in enumerate(value, 1):
            yield from _pairs(item, f"{path} {number}".strip(), depth + 1)
    else:
        yield _pair(path, _shown(value))


def _lines(value: Any, path: str, depth: int, name: str = "") -> Iterator[str]:
    """Lines of a value: the plain values of an object together, then what is nested in it.

    `name` is that of an object which none of its own keys names, as it is told apart from the others in its list.
    """
    if isinstance(value, dict) and depth and (line := _short_line(value)):
        yield f"{path}{SEPARATOR}{line}" if path else line
    elif isinstance(value, dict) and depth < DEEPEST:
        called = _name(value) or name
        is_told = not depth or f".{path}".endswith((f".{called}", f" {called}"))
        path_below = path if is_told else f"{path} {called}".strip()
        plain = {key: item for key, item in value.items() if not _is_nested(item)}
        pairs = [pair for key, item in plain.items() if (pair := _pair(cell_text(key), _shown(item)))]
        for line in _in_lines(pairs) if sum(map(len, pairs)) <= LONGEST_LINE or (depth and called) else pairs:
            above = path if f": {called}{SEPARATOR}" in f"{line}{SEPARATOR}" else path_below
            yield f"{above}{SEPARATOR}{line}" if above else line
        for key, item in value.items():
            if key not in plain:
                below = f"{path_below}.{cell_text(key)}" if path_below else cell_text(key)
                yield from _lines(item, below, depth + 1)
    elif isinstance(value, list) and depth < DEEPEST:
        names = _names_in(value)
        is_chat = are_messages(value, path)
        people = people_in(value) if is_chat else {}
        for number, item in enumerate(value):
            if is_chat and isinstance(item, dict) and (said := message_line(item, people)):
                yield said
            elif isinstance(item, list) and not _is_nested(item):
                yield _pair(path, _shown(item))
            else:
                yield from _lines(item, path, depth + 1, names[number] if names else "")
    elif shown := _shown(value):
        yield _pair(path, shown)


def _name(value: dict[str, Any]) -> str:
    """What an object is called by the first of its keys that names it; "" where none does."""
    keys = {str(key).casefold(): key for key in reversed(value)}
    named = (value[keys[key]] for key in _NAMES if key in keys)
    return next(filter(None, (_shown(item)[:LONGEST_NAME] for item in named if _is_text_or_number(item))), "")


def _is_text_or_number(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _names_in(objects: list[Any]) -> list[str]:
    """What tells the objects of a list apart where no key names them: the first short text that each has for itself."""
    if len(objects) < LEAST_TOLD_APART or not all(isinstance(item, dict) for item in objects):
        return []
    for key in objects[0]:
        texts = [item.get(key) for item in objects]
        if all(isinstance(text, str) and 0 < len(text.strip()) <= LONGEST_NAME for text in texts):
            names = list(map(_shown, texts))
            if len(set(names)) == len(names):
                return names
    return []


def _in_lines(pairs: list[str]) -> Iterator[str]:
    """The pairs of one record in as few lines as their lengths allow, in their order; a long one has its own."""
    line = ""
    for pair in pairs:
        if line and len(line) + len(SEPARATOR) + len(pair) > LONGEST_LINE:
            yield line
            line = ""
        line = f"{line}{SEPARATOR}{pair}" if line else pair
    if line:
        yield line


def _short_line(value: dict[str, Any]) -> str:
    """All of an object in one line, with what is nested in it; "" where that is too much."""
    pairs = list(islice(_pairs(value, "", 0), MOST_PAIRS + 1))
    line = SEPARATOR.join(filter(None, pairs))
    return line if len(pairs) <= MOST_PAIRS and len(line) <= LONGEST_LINE else ""


def _is_nested(value: Any) -> bool:
    if isinstance(value, dict):
        return bool(value)
    if isinstance(value, list):
        return any(isinstance(item, dict | list) for item in value) or sum(map(len, map(str, value))) > LONGEST_LIST
    return False


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return cell_text(text_of_html(value))
    if value is None or value == [] or value == {}:
        return ""
    if isinstance(value, list) and not any(isinstance(item, dict | list) for item in value):
        return ", ".join(filter(None, map(_shown, value)))
    return cell_text(json.dumps(value, ensure_ascii=False))


def _pair(key: str, shown: str) -> str:
    return f"{key}: {shown}" if key and shown else shown
