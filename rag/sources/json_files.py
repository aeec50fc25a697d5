"""JSON becomes lines: each object one line of `key: value` pairs, after the keys that lead to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

from rag.sources.tables import SEPARATOR, cell_text

DEEPEST = 60
"""Levels of nesting; what is deeper stays JSON."""
MOST_PAIRS = 40
LONGEST_LINE = 500
"""Pairs and characters of an object with others in it that is told in one line."""
_NAMES = ("name", "title", "id", "key", "label")
"""Keys of what an object is called, which goes before what is nested in it."""
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
    """A line for each record; lines that are no JSON stay as they are, and none is one: there are no records."""
    lines: list[str] = []
    read = 0
    for line in text.split("\n"):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
            read += isinstance(value, dict | list)
            pairs = list(_pairs(value, "", 0))
            lines.append(SEPARATOR.join(pairs) if pairs else line.strip())
        except (ValueError, RecursionError):
            lines.append(line.strip())
    return lines if read else []


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


def _lines(value: Any, path: str, depth: int) -> Iterator[str]:
    """Lines of a value: the plain values of an object together, then what is nested in it."""
    if isinstance(value, dict) and depth and (line := _short_line(value)):
        yield f"{path}{SEPARATOR}{line}" if path else line
    elif isinstance(value, dict) and depth < DEEPEST:
        name = next((_shown(value[key]) for key in _NAMES if isinstance(value.get(key), str | int)), "")
        path_below = f"{path} {name[:80]}".strip() if path else ""
        plain = {key: item for key, item in value.items() if not _is_nested(item)}
        pairs = [pair for key, item in plain.items() if (pair := _pair(cell_text(key), _shown(item)))]
        if sum(map(len, pairs)) <= LONGEST_LINE:
            pairs = [SEPARATOR.join(pairs)] if pairs else []
        yield from (f"{path}{SEPARATOR}{pair}" if path else pair for pair in pairs)
        for key, item in value.items():
            if key not in plain:
                below = f"{path_below}.{cell_text(key)}" if path_below else cell_text(key)
                yield from _lines(item, below, depth + 1)
    elif isinstance(value, list) and depth < DEEPEST:
        for item in value:
            if isinstance(item, list) and not _is_nested(item):
                yield _pair(path, _shown(item))
            else:
                yield from _lines(item, path, depth + 1)
    elif shown := _shown(value):
        yield _pair(path, shown)


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
        return cell_text(value)
    if value is None or value == [] or value == {}:
        return ""
    if isinstance(value, list) and not any(isinstance(item, dict | list) for item in value):
        return ", ".join(filter(None, map(_shown, value)))
    return cell_text(json.dumps(value, ensure_ascii=False))


def _pair(key: str, shown: str) -> str:
    return f"{key}: {shown}" if key and shown else shown
