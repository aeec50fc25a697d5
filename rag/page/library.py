"""The library as HTML for the sidebar: its title, the work under way, failed sources and the list of sources."""

from __future__ import annotations

import html
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from rag.library.library import Entry, Library
from rag.library.uploads import PREFIX, is_upload, name_of
from rag.settings import DEFAULT_SOURCE
from rag.sources.loader import GUIDE, is_url
from rag.text.amounts import counted, told_seconds, told_size
from rag.text.detect import NAMES
from rag.text.language import ENGLISH

MAX_ROWS = 300
"""Sources that are listed at once; the filter finds the others."""
BLOCK = 25
"""Sources in one block. The page fetches a block again only when something in it is new, so that adding one source to a
large library does not send the whole list."""
BLOCKS = MAX_ROWS // BLOCK
MAX_PASSED = 50
"""Files that are named as passed over in one folder."""
LONGEST_PLACE = 120
"""Characters of an address or a file's name; the page shows as many of them as there is room for."""
MAX_WAITING = 3
"""Waiting sources that are named; the others are counted."""


def show_head(entries: Sequence[Entry], owner: bool, embeddings: str) -> str:
    """The title, the size of the library, the embedding model of its index, and the button that refreshes all of it."""
    ready = [entry for entry in entries if entry.indexed_at]
    chunks = counted(sum(entry.chunks for entry in ready), "chunk")
    told = counted(len(ready), "source") if ready else ""
    again = '<button data-action="refresh all">Refresh all</button>' if owner and ready else ""
    title = f"{chunks}, indexed with {html.escape(embeddings)}" if embeddings else ""
    shown = f"<small title='{title}'>{told if embeddings else 'being opened …'}</small>"
    return f"<div class='head'><h2>Library</h2>{shown}{again}</div>"


def show_work(entries: Sequence[Entry], progress: dict[str, Any] | None, owner: bool) -> str:
    """The source that is being indexed, with a bar, and the sources that wait."""
    parts = []
    if progress:
        done, total, ended, left = (progress[key] for key in ("done", "total", "sources_done", "sources_left"))
        facts = [f"{done} of {counted(total, 'chunk')}" if total else "loading"]
        if progress["state"] == "loading" and total:
            facts = [f"page {done} of {total} is read by OCR"]
        if ended + left > 1:
            facts.insert(0, f"source {ended + 1} of {ended + left}")
        if progress["seconds_left"] is not None:
            facts.append(f"about {told_seconds(progress['seconds_left'])} left")
        share = f"value={done} max={total}" if total else ""
        stop = '<button data-action="cancel">Cancel</button>' if owner else ""
        parts.append(
            f"<div class='busy'><b title='{html.escape(progress['source'])}'>"
            f"{html.escape(short(progress['source'], LONGEST_PLACE))}</b>"
            f"{stop}<progress {share} aria-label='Read'></progress><small>{' · '.join(facts)}</small></div>"
        )
    waiting = [entry for entry in entries if entry.state == "waiting"]
    shown = [entry for entry in waiting if not entry.indexed_at][:MAX_WAITING]  # the others are among the rows
    places = _places(entries)
    parts += [_waiting(entry, owner, places) for entry in shown]
    if len(waiting) > len(shown):
        left = f"{len(waiting) - len(shown):,}"
        parts.append(f"<p class='more'>{f'and {left} more' if shown else counted(len(waiting), 'source')} to come</p>")
    return "".join(parts)


def _waiting(entry: Entry, owner: bool, places: Mapping[str, str]) -> str:
    """A source that waits its turn, with an empty bar and a button that takes it off the list."""
    source = html.escape(entry.source, quote=True)
    away = f'<button data-action="remove" data-source="{source}">Cancel</button>' if owner else ""
    return (
        f"<div class='busy waiting'><b title='{source}'>{html.escape(places[entry.source])}</b>{away}"
        "<progress value='0' max='1' aria-label='Not begun'></progress><small>waiting</small></div>"
    )


def show_welcome(entries: Sequence[Entry], owner: bool) -> str:
    """What an empty library invites to; a mark where what is in it is not what the examples ask about."""
    if entries:
        has_examples = any(entry.source in (GUIDE, DEFAULT_SOURCE) for entry in entries)
        return "" if has_examples else "<span class='own'></span>"
    if not owner:
        return (
            "<div class='card'><h2>The library is empty</h2><p>Whoever runs this page has to add something.</p></div>"
        )
    return (
        "<div class='card'><h2>Add something to ask about</h2>"
        "<p>Drop files here, or anywhere on the page: PDF, Word, web pages, notes, tables, scans, code.</p>"
        '<button class="first" data-do="choose files">Choose files …</button>'
        f'<button data-action="add" data-source="{GUIDE}">Load an example</button>'
        "<p><small>Addresses of pages go into the library.</small></p></div>"
    )


def sources_so_far(library: Library | None) -> str:
    """How many sources answers come from while others are still read, in words; "" where all are."""
    if library is None or not library.busy:
        return ""
    entries = library.entries()
    ready = sum(bool(entry.indexed_at) for entry in entries)
    coming = sum(not entry.indexed_at and entry.state != "failed" for entry in entries)
    return f"from {ready} of {ready + coming} sources so far" if coming else ""


def show_failed(entries: Sequence[Entry], owner: bool) -> str:
    """The sources that could not be loaded, each with the reason."""
    failed = [entry for entry in entries if entry.state == "failed"]
    places = _places(entries)
    return "".join(_row(entry, f"failed: {entry.reason}", owner, places) for entry in failed[:MAX_ROWS])


def show_folders(folders: Sequence[dict[str, Any]], owner: bool) -> str:
    """The folders that are watched, each with the files that are passed over; only owners see them."""
    return "".join(map(_folder, folders)) if owner else ""


def _folder(told: dict[str, Any]) -> str:
    path = html.escape(told["folder"], quote=True)
    files, passed = told["files"], told["passed_over"]
    state = f"<span class='failed'>{html.escape(told['problem'])}</span>" if told["problem"] else ""
    if passed:
        lines = [
            f"<li>{html.escape(os.path.relpath(item['file'], told['folder']))}: {html.escape(item['reason'])}</li>"
            for item in passed[:MAX_PASSED]
        ]
        lines += [f"<li>and {len(passed) - MAX_PASSED:,} more</li>"] if len(passed) > MAX_PASSED else []
        state += (
            f"<details><summary>{counted(len(passed), 'file')} passed over</summary><ul>{''.join(lines)}</ul></details>"
        )
    sure = html.escape(
        f"Remove the folder {told['folder']} and its files? Answers are not drawn from them.", quote=True
    )
    return (
        f"<div class='source folder'><b title='{path}'>{html.escape(short(told['folder']))}/</b>"
        f"<small>watched folder · {counted(files, 'file')}</small>{state}"
        f'<nav><button data-action="remove" data-source="{path}" data-sure="{sure}">Remove</button></nav></div>'
    )


def show_rows(entries: Sequence[Entry], owner: bool, wanted: str = "") -> tuple[list[str], str]:
    """The indexed sources, newest first, as blocks of HTML; and the line below the last block.

    Sources that were added one after the other share a block, so that a new source changes the first block alone. A
    source that is being refreshed keeps its place, since answers are still drawn from it.
    """
    words = wanted.lower().split()
    ready = [
        replace(entry, state="ready")
        for entry in entries
        if entry.indexed_at
        and entry.state != "failed"
        and all(word in f"{entry.title} {entry.source}".lower() for word in words)
    ]
    ready.sort(key=lambda entry: (entry.indexed_at, entry.source))
    over = len(ready) - MAX_ROWS
    first = -(-over // BLOCK) * BLOCK if over > 0 else 0
    places = _places(entries)
    blocks = [
        "".join(_row(entry, "", owner, places) for entry in reversed(ready[start : start + BLOCK]))
        for start in range(first, first + MAX_ROWS, BLOCK)
    ]
    blocks.reverse()
    if not entries:
        told = "Add a page or a file above." if owner else "Whoever runs this page has to add something."
        return blocks, f"<p class='empty'>Nothing yet. {told}</p>"
    if words and not ready:
        return blocks, "<p class='more'>Nothing fits the filter.</p>"
    return blocks, f"<p class='more'>and {first:,} more; the filter finds them</p>" if first else ""


def _places(entries: Sequence[Entry]) -> dict[str, str]:
    """The shortest name that tells each source from the others: its file's, with the folder where that is needed."""
    named: dict[str, list[str]] = {}
    for entry in entries:
        named.setdefault(short(entry.source), []).append(entry.source)
    return {source: name if len(of) == 1 else _longer(source) for name, of in named.items() for source in of}


def _longer(source: str) -> str:
    """A file's name with the folder that it is in; for an uploaded one, with the beginning of its hash."""
    if is_url(source):
        return short(source, LONGEST_PLACE)
    if is_upload(source):
        return f"{name_of(source)} ({source.removeprefix(PREFIX)[:6]})"
    return os.path.join(os.path.basename(os.path.dirname(source)), os.path.basename(source))


def _row(entry: Entry, state: str, owner: bool, places: dict[str, str]) -> str:
    """One source: title, address, facts, how it was read, state and buttons."""
    source = html.escape(entry.source, quote=True)
    where = places[entry.source] if entry.title != entry.source else short(entry.source, LONGEST_PLACE)
    title = name = html.escape(entry.title if entry.title != entry.source else where)
    languages = ", ".join(NAMES.get(language, "") for language in entry.language.split() if entry.language != ENGLISH)
    facts = [entry.kind, languages, counted(entry.chunks, "chunk") if entry.chunks else ""]
    facts.append(told_size(entry.size) if entry.size else "")
    if entry.indexed_at:
        facts.append(time.strftime("%Y-%m-%d", time.localtime(entry.indexed_at)))
    link = link_to(entry.source, owner) if entry.state != "waiting" else ""
    opened = f"<a href='{html.escape(link)}' target='_blank' rel='noopener noreferrer'>Original</a>" if link else ""
    buttons = ""
    if owner:
        if entry.indexed_at:
            name = f"<a href='#read?source={quote(entry.source, safe='')}'>{title}</a>"
        again = "Try again" if entry.state == "failed" else "Refresh"
        if entry.source != GUIDE and entry.state != "waiting":
            buttons += f'<button data-action="refresh" data-source="{source}">{again}</button>'
        sure = html.escape(f"Remove {entry.title}? Answers are not drawn from it any more.", quote=True)
        buttons += f'<button data-action="remove" data-source="{source}" data-sure="{sure}">Remove</button>'
    told = f"<span class='{entry.state}'>{html.escape(state)}</span>" if state else ""
    return (
        f"<div class='source {entry.state}'><b title='{source}'>{name}</b>"
        + (f"<small class='where'>{html.escape(where)}</small>" if html.escape(where) != title else "")
        + (f"<small>{html.escape(' · '.join(filter(None, facts)))}</small>" if any(facts) else "")
        + (f"<small class='notes'>{html.escape(' · '.join(entry.notes))}</small>" if entry.notes else "")
        + f"{told}<nav>{opened}{buttons}</nav></div>"
    )


def link_to(source: str, owner: bool) -> str:
    """Where a source can be opened; a file only by owners."""
    if is_url(source):
        return source if source.lower().startswith(("http://", "https://")) else ""
    return f"library/file?source={quote(source, safe='')}" if owner and source != GUIDE else ""


def short(source: str, most: int = 44) -> str:
    """The end of an address or path."""
    name = source if is_url(source) else os.path.basename(source) or source
    name = name.removeprefix("https://").removeprefix("http://").rstrip("/")
    return name if len(name) <= most else "…" + name[-most:]
