"""The library from the terminal: ingest, sources, refresh, remove, backup, restore.

Each command opens the data folder itself, or, while the app runs, hands its work to the app: `rag.doors.handle`.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from rag.doors.cases import as_lines, cases
from rag.doors.handle import POLL_SECONDS, Handle
from rag.errors import StoreError
from rag.library.backup import write_backup
from rag.library.database import FILE, Database, open_database
from rag.library.feedback import thumbs
from rag.library.folders import is_below
from rag.library.library import find_named
from rag.models.choose import choose_models
from rag.settings import Settings
from rag.text.amounts import counted, told_size


def show_sources(handle: Handle, as_json: bool) -> int:
    """Print every source, with what was left out of it, and every watched folder."""
    look = handle.look()
    sources = look["sources"]
    if as_json:
        print(json.dumps(sources, ensure_ascii=False))
        return 0
    if not sources:
        print("The library is empty. Add something: python -m rag ingest URL_OR_PATH")
    for entry in sources:
        print(f"{entry['state']:8} {entry['source']}")
        facts = [entry["title"] if entry["title"] != entry["source"] else "", entry["kind"]]
        if entry["indexed_at"]:
            facts += [counted(entry["chunks"], "chunk"), told_size(entry["size"])]
            facts.append(time.strftime("%Y-%m-%d %H:%M", time.localtime(entry["indexed_at"])))
        print(f"         {'  '.join(filter(None, [*facts, entry['reason']]))}".rstrip())
        if entry["notes"]:
            print(f"         {'; '.join(entry['notes'])}")
    for folder in look["folders"]:
        print(f"folder   {folder['folder']}: {folder['problem'] or counted(folder['files'], 'file')}")
        print_passed_over(folder)
    if ready := [entry for entry in sources if entry["indexed_at"]]:
        told = f"{counted(len(ready), 'source')}, {counted(sum(entry['chunks'] for entry in ready), 'chunk')}"
        print(f"{told}, indexed with {ready[0]['embeddings']}")
    return 0


def print_passed_over(folder: dict[str, Any]) -> None:
    """Print the files of a folder that are not read, each with the reason."""
    for item in folder["passed_over"]:
        print(f"         passed over: {item['file']} ({item['reason']})")


def remove(handle: Handle, sources: Sequence[str]) -> int:
    """Forget sources, as they are named in the list or by what a name ends with."""
    look = handle.look()
    known = [entry["source"] for entry in look["sources"]]
    known += [item["folder"] for item in look["folders"] if not any(is_below(name, item["folder"]) for name in known)]
    names = find_named(sources, known)
    handle.remove(names)
    print("\n".join(f"removed  {name}" for name in names))
    return 0


def follow(handle: Handle, ask: Callable[[], list[str]]) -> int:
    """Ask for work and show how it goes on. Returns 1 where a source failed; Ctrl-C stops what is under way."""
    first = handle.look()
    before = {entry["source"] for entry in first["sources"]}
    asked = ask()
    pause = threading.Event()
    bar = tqdm(unit=" chunks", leave=False, disable=not sys.stderr.isatty())
    try:
        while (now := handle.look())["busy"]:
            if progress := now["progress"]:
                left = f", {progress['seconds_left']} s left" if progress["seconds_left"] is not None else ""
                bar.unit = " pages" if progress["state"] == "loading" else " chunks"
                bar.total = progress["total"] or None
                bar.n = progress["done"]
                bar.set_description(
                    f"{progress['source'][-60:]} ({progress['sources_left']} to do{left})", refresh=True
                )
            pause.wait(POLL_SECONDS)
    except KeyboardInterrupt:
        handle.cancel()
        raise
    finally:
        bar.close()
    code = 0
    for entry in now["sources"]:
        if entry["source"] in asked or entry["source"] not in before:
            failed = entry["state"] == "failed"
            code |= failed
            told = entry["reason"] if failed else f"{entry['title']}, {counted(entry['chunks'], 'chunk')}"
            print(f"{entry['state']:8} {entry['source']}: {told}", file=sys.stderr if failed else sys.stdout)
            if entry["notes"] and not failed:
                print(f"         {'; '.join(entry['notes'])}")
    if now["cancelled"] != first["cancelled"]:
        print("The work was cancelled before all of it was done.", file=sys.stderr)
        code = 1
    for folder in now["folders"]:
        if any(is_below(source, folder["folder"]) for source in asked):
            print_passed_over(folder)
    return int(code)


def backup(settings: Settings, target: Path) -> int:
    """Write the library to a file, whether the app runs or not."""
    with _database(settings) as database:
        count = write_backup(database, target)
    size = target.stat().st_size
    print(f"{count} sources are in {target} ({size / 1e6:.1f} MB). Bring them back: python -m rag restore {target}")
    return 0


def show_feedback(settings: Settings) -> int:
    """Print the thumbs under answers, whether the app runs or not."""
    with _database(settings) as database:
        for thumb in thumbs(database):
            print(json.dumps(asdict(thumb), ensure_ascii=False))
    return 0


def show_cases(settings: Settings) -> int:
    """Print the cases that were made of answers gone wrong, as `eval` reads them, whether the app runs or not."""
    with _database(settings) as database:
        print(as_lines(cases(database)), end="")
    return 0


@contextmanager
def _database(settings: Settings) -> Iterator[Database]:
    """The database of a library that is there already; an app may have it open.

    Raises:
        StoreError: there is none, or it cannot be opened.
    """
    if not settings.database_url and not (settings.data_dir / FILE).exists():
        raise StoreError(f"There is no library in {settings.data_dir}. Name its folder with --data-dir.")
    database = open_database(settings.data_dir, settings.database_url)
    try:
        yield database
    finally:
        database.close()


def reindex(handle: Handle, settings: Settings, agreed: bool) -> int:
    """Move the library to the embedding model of the settings; says what it costs and asks, unless it is `agreed`."""
    name = choose_models(settings).embeddings
    told = handle.estimate(name)
    print(f"To answer from an index of {name}, {told}. The old index is kept.")
    if not agreed and input("Build it? [y/N] ").strip().lower() not in ("y", "yes"):
        return 1
    handle.reindex(name)
    pause = threading.Event()
    bar = tqdm(unit=" chunks", leave=False, disable=not sys.stderr.isatty())
    try:
        while not (now := handle.index())["answers"] or now["building"]:
            if now["problem"]:
                raise StoreError(now["problem"])
            if now["building"]:
                bar.total, bar.n = now["building"]["total"] or None, now["building"]["done"]
                bar.refresh()
            pause.wait(POLL_SECONDS)
    finally:
        bar.close()
    print(f"The library is indexed with {now['answers']['embeddings']} now.")
    return 0
