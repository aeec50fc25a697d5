"""What is in a folder: the files that can be read, and those that are passed over, with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rag.sources.formats import SAVED_AS, ending_in_disguise, ending_of


@dataclass(frozen=True)
class Contents:
    """The files of a folder and its folders: paths of the readable ones, and reasons by path for the others."""

    files: list[str]
    passed_over: dict[str, str]


def look_into(folder: Path) -> Contents:
    """The files below a folder. Hidden ones are not named, and a link may not lead out of the folder.

    Raises:
        OSError: the folder cannot be looked into.
    """
    files, passed_over = [], {}
    root = folder.resolve(strict=True)
    next(root.iterdir(), None)  # `rglob` would be silent where it may not look
    for path in sorted(_visible(folder)):
        if path.is_dir():
            continue
        reason = _reason_against(path, root)
        if reason:
            passed_over[str(path)] = reason
        else:
            files.append(str(path))
    return Contents(files, passed_over)


def _visible(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if not any(part.startswith(".") for part in path.relative_to(folder).parts):
            yield path


def _reason_against(path: Path, root: Path) -> str:
    """Why a file is not read; "" if it is."""
    ending = path.suffix.lower()
    try:
        if not path.is_file():  # a link to itself is no file either
            return "it is no file, or a link to nothing"
        if not path.resolve().is_relative_to(root):
            return "it is a link that leads out of the folder"
    except OSError as error:
        return f"it cannot be read ({error.strerror or error})"
    if ending_in_disguise(path):
        return ""
    if ending in SAVED_AS:
        return f"files of type {ending} cannot be read; save it as {SAVED_AS[ending]}"
    return "" if ending_of(path.name) else f"files of type {ending or 'without a name'} cannot be read"
