"""The page's sidebar: the library with what is under way in it, and the models."""

from __future__ import annotations

import html
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gradio as gr

from rag.assistant import Assistant
from rag.doors.library import REFUSED
from rag.errors import RagError
from rag.library.indexes import told_seconds
from rag.library.library import MOST_PAGES, Entry, Library, counted, told_size
from rag.library.uploads import is_upload, name_of
from rag.models.in_use import Work
from rag.models.ollama import Model
from rag.sources.formats import FILE_TYPES
from rag.sources.loader import GUIDE, is_url

MOST_ROWS = 300
"""Sources that are listed at once; the filter finds the others."""
BLOCK = 25
"""Sources that are sent together. A block is sent again only when something in it is new, so that a large library is
not sent whole at every source that is added."""
BLOCKS = MOST_ROWS // BLOCK
MOST_WAITING = 3
DEPTHS = [
    ("Just these pages", -1),
    ("The pages of a sitemap", 0),
    ("Follow links within the site: 1 step", 1),
    ("Follow links within the site: 2 steps", 2),
    ("Follow links within the site: 3 steps", 3),
]
CLICKS = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-action]');
  if (!button) return;
  if (button.dataset.sure && !window.confirm(button.dataset.sure)) return;
  trigger('click', {action: button.dataset.action, source: button.dataset.source || ''});
});
"""
"""One listener for all rows: the server writes them, and no script of theirs ever runs."""
QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}


class Sidebar:
    """What the page needs of its sidebar: where the visitor's choices are, and what keeps it up to date."""

    def __init__(self, assistant: Assistant, may_change: Callable[[gr.Request], bool]) -> None:
        """Build the sidebar within the page that is being built."""
        self._assistant = assistant
        self._may_change = may_change
        with gr.Column(elem_id="sidebar", scale=0, min_width=360):
            self.head = gr.HTML("<h2>Library</h2>", elem_id="library-head", js_on_load=CLICKS, padding=False)
            with gr.Group(visible=False, elem_id="adding") as self.adding:
                self.urls = gr.Textbox(
                    label="Add pages",
                    placeholder="https://… one address a line",
                    lines=1,
                    max_lines=6,
                    max_length=20_000,
                    elem_id="urls",
                )
                with gr.Row(elem_id="how"):
                    self.depth = gr.Dropdown(DEPTHS, value=-1, show_label=False, label="How much", container=False)
                    self.limit = gr.Number(
                        100,
                        label="Pages at most",
                        minimum=1,
                        maximum=MOST_PAGES,
                        precision=0,
                        visible=False,
                        min_width=90,
                    )
                    self.add = gr.Button("Add", variant="primary", size="sm", min_width=80, scale=0)
                self.files = gr.File(
                    label="Add files", file_count="multiple", height=56, show_label=False, elem_id="files"
                )
                self.folder = gr.UploadButton("Add a folder …", file_count="directory", size="sm", elem_id="folder")
            with gr.Accordion("Models", open=False, visible=False, elem_id="models") as self.models:
                self.told = gr.HTML(elem_id="models-told", padding=False)
                with gr.Row(elem_id="pulling"):
                    self.pull_name = gr.Textbox(
                        label="Pull a model with Ollama", placeholder="such as qwen3:4b", max_length=200, scale=3
                    )
                    self.pull = gr.Button("Pull", size="sm", min_width=80, scale=0)
                self.embeddings = gr.Dropdown([], label="Embedding model", interactive=True, elem_id="embeddings")
                self.cost = gr.HTML(elem_id="cost", padding=False, visible=False)
                self.build = gr.Button("Build its index", variant="primary", size="sm", visible=False)
            self.index = gr.HTML(elem_id="index-work", js_on_load=CLICKS, padding=False)
            self.work = gr.HTML(elem_id="library-work", js_on_load=CLICKS, padding=False)
            self.failed = gr.HTML(elem_id="library-failed", js_on_load=CLICKS, padding=False)
            self.filter = gr.Textbox(
                show_label=False,
                label="Filter",
                placeholder="Filter by title or address",
                container=False,
                visible=False,
                elem_id="library-filter",
            )
            with gr.Column(elem_id="library-rows"):
                self.rows = [gr.HTML(js_on_load=CLICKS, padding=False) for _ in range(BLOCKS)]
                self.more = gr.HTML(padding=False)
        self.seen = gr.State({})
        self._connect()

    @property
    def outputs(self) -> list[Any]:
        """What `look` gives, in its order."""
        rows = [self.failed, self.filter, *self.rows, self.more]
        return [self.head, self.adding, self.work, *rows, self.models, self.index, self.seen]

    def _connect(self) -> None:
        self.depth.change(lambda depth: gr.Number(visible=depth >= 0), self.depth, self.limit, **QUIET)
        given = [self.urls, self.depth, self.limit]
        gr.on([self.add.click, self.urls.submit], self._add, given, self.urls, **QUIET)
        for upload in (self.files, self.folder):
            upload.upload(self._keep, upload, upload, api_visibility="private", concurrency_limit=4)
        for rows in (self.head, self.work, self.failed, *self.rows, self.index):
            rows.click(self._act, None, None, **QUIET)
        self.filter.input(self.look, [self.seen, self.filter], self.outputs, **QUIET)
        self.models.expand(self._show_models, None, [self.told, self.embeddings], **QUIET)
        self.embeddings.input(self._estimate, self.embeddings, [self.cost, self.build], api_visibility="private")
        self.build.click(self._reindex, self.embeddings, [self.cost, self.build], **QUIET)
        self.pull.click(self._pull, self.pull_name, self.pull_name, api_visibility="private", concurrency_limit=1)

    # -- what the visitor does -----------------------------------------------------------------------------------

    def _library(self, request: gr.Request) -> Library:
        self._check(request)
        if self._assistant.library is None:
            raise gr.Error("The library is being opened. Try again in a moment.", print_exception=False)
        return self._assistant.library

    def _check(self, request: gr.Request) -> None:
        if not self._may_change(request):
            raise gr.Error(REFUSED, print_exception=False)

    def _add(self, urls: str, depth: int, limit: int | None, request: gr.Request) -> str:
        library = self._library(request)
        try:
            library.add(urls.split(), private=False, depth=depth, limit=limit or 1)
        except RagError as error:
            raise gr.Error(str(error), print_exception=False) from error
        return ""

    def _keep(self, paths: list[str] | str | None, request: gr.Request) -> None:
        """Keep what was uploaded in the library, and index it."""
        library = self._library(request)
        given = [Path(path) for path in ([paths] if isinstance(paths, str) else paths or [])]
        given = [path for path in given if not path.name.startswith(".")]
        refused = [path.name for path in given if path.suffix.lower() not in FILE_TYPES]
        readable = [path for path in given if path.name not in refused]
        old = self._to_replace([path.name for path in readable], library)
        kept = []
        for path in readable:
            try:
                kept.append(self._assistant.service.uploads.keep(path, path.name, old.get(path.name, "")))
            except RagError as error:
                raise gr.Error(str(error), print_exception=False) from error
            finally:
                path.unlink(missing_ok=True)
        if kept:
            library.add(kept, private=True)
        if old:
            gr.Info(f"{_first(list(old))} will take the place of the version that is there.")
        if refused:
            gr.Warning(f"Nothing here can read {_first(refused)}.")

    def _to_replace(self, names: Sequence[str], library: Library) -> dict[str, str]:
        """The uploaded file that each name stands for, where it is one and the name is given once.

        Of several files with one name, from several folders, nobody can tell which is meant: they stay beside the new.
        """
        known: dict[str, list[str]] = {}
        for entry in library.entries():
            if is_upload(entry.source):
                known.setdefault(name_of(entry.source), []).append(entry.source)
        return {name: known[name][0] for name in names if names.count(name) == 1 and len(known.get(name, [])) == 1}

    def _act(self, click: gr.EventData, request: gr.Request) -> None:
        library = self._library(request)
        source = str(getattr(click, "source", ""))
        try:
            match getattr(click, "action", ""):
                case "refresh":
                    library.refresh([source])
                case "refresh all":
                    library.refresh()
                case "remove":
                    library.remove([source])
                case "cancel":
                    library.cancel()
                case "keep index":
                    self._assistant.reindex(None)
                case "build index":
                    self._assistant.reindex(source)
        except RagError as error:
            raise gr.Error(str(error), print_exception=False) from error

    def _show_models(self, request: gr.Request) -> tuple[str, Any]:
        self._check(request)
        models = self._assistant.models.listed()
        names = [model.name for model in models if model.use == "embeddings"]
        return show_models(models), gr.Dropdown(names, value=self._assistant.embeddings)

    def _estimate(self, name: str, request: gr.Request) -> tuple[Any, Any]:
        self._check(request)
        if name == self._assistant.embeddings:
            return gr.HTML(visible=False), gr.Button(visible=False)
        try:
            offer = self._assistant.estimate(name)
        except RagError as error:
            raise gr.Error(str(error), print_exception=False) from error
        told = (
            f"<p>To answer from an index of <b>{html.escape(name)}</b>, {offer}. The old index answers until then.</p>"
        )
        return gr.HTML(told, visible=True), gr.Button("Build its index" if offer.chunks else "Use it", visible=True)

    def _reindex(self, name: str, request: gr.Request) -> tuple[Any, Any]:
        self._check(request)
        try:
            self._assistant.reindex(name)
        except RagError as error:
            raise gr.Error(str(error), print_exception=False) from error
        return gr.HTML(visible=False), gr.Button(visible=False)

    def _pull(self, name: str, request: gr.Request) -> str:
        self._check(request)
        name = name.strip()
        try:
            for _ in self._assistant.models.pull(name):
                pass
        except RagError as error:
            raise gr.Error(str(error), print_exception=False) from error
        gr.Info(f"{name} is pulled.")
        return ""

    # -- what it shows -------------------------------------------------------------------------------------------

    def look(self, seen: dict[str, Any], wanted: str | None, request: gr.Request) -> list[Any]:
        """What has changed since `seen`, the texts that the visitor's page shows now."""
        owner = self._may_change(request)
        library = self._assistant.library
        entries = library.entries() if library else []
        status = self._assistant.indexes.status()
        blocks, more = show_rows(entries, owner, wanted or "")
        now: dict[str, Any] = {
            "head": show_head(entries, owner, self._assistant.embeddings if library else ""),
            "owner": owner,
            "work": show_work(entries, library.progress() if library else None, owner),
            "failed": show_failed(entries, owner),
            "filter": sum(bool(entry.indexed_at) for entry in entries) > 8,
            **{f"rows {number}": block for number, block in enumerate(blocks)},
            "more": more,
            "models": owner,
            "index": show_pulls(list(self._assistant.work.items())) + show_index(status, owner),
        }
        if now == seen:
            return [gr.skip()] * len(self.outputs)
        made: dict[str, Any] = {
            **now,
            "owner": gr.Group(visible=owner),
            "filter": gr.Textbox(visible=now["filter"]),
            "models": gr.Accordion(visible=owner),
        }
        return [value if now[key] != seen.get(key) else gr.skip() for key, value in made.items()] + [now]


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + " …" * (len(names) > 5)


def show_head(entries: Sequence[Entry], owner: bool, embeddings: str) -> str:
    """The title, how much there is and what it is indexed with, and the button that asks all of it again."""
    ready = [entry for entry in entries if entry.indexed_at]
    told = f"{counted(len(ready), 'source')}, {counted(sum(entry.chunks for entry in ready), 'chunk')}"
    told += f", indexed with {html.escape(embeddings)}"
    again = '<button data-action="refresh all">Refresh all</button>' if owner and ready else ""
    return f"<div class='head'><h2>Library</h2>{again}<small>{told if embeddings else 'being opened …'}</small></div>"


def show_work(entries: Sequence[Entry], progress: dict[str, Any] | None, owner: bool) -> str:
    """What is under way, with a bar, and what waits."""
    parts = []
    if progress:
        done, total, ended, left = (progress[key] for key in ("done", "total", "sources_done", "sources_left"))
        facts = [f"{done} of {counted(total, 'chunk')}" if total else "loading"]
        if ended + left > 1:
            facts.insert(0, f"source {ended + 1} of {ended + left}")
        if progress["seconds_left"] is not None:
            facts.append(f"about {told_seconds(progress['seconds_left'])} left")
        share = f"value={ended + done / (total or 1):.3f} max={ended + left}" if total or ended else ""
        stop = '<button data-action="cancel">Cancel</button>' if owner else ""
        parts.append(
            f"<div class='busy'><b title='{html.escape(progress['source'])}'>"
            f"{html.escape(short(progress['source'], 34))}</b>"
            f"<progress {share}></progress><small>{' · '.join(facts)}</small>{stop}</div>"
        )
    waiting = [entry for entry in entries if entry.state == "waiting"]
    shown = [entry for entry in waiting if not entry.indexed_at][:MOST_WAITING]  # the others are among the rows
    parts += [_row(entry, "waiting", owner) for entry in shown]
    if len(waiting) > len(shown):
        left = f"{len(waiting) - len(shown):,}"
        parts.append(f"<p class='more'>{f'and {left} more' if shown else counted(len(waiting), 'source')} to come</p>")
    return "".join(parts)


def show_failed(entries: Sequence[Entry], owner: bool) -> str:
    """What could not be loaded, and why."""
    failed = [entry for entry in entries if entry.state == "failed"]
    return "".join(_row(entry, f"failed: {entry.reason}", owner) for entry in failed[:MOST_ROWS])


def show_rows(entries: Sequence[Entry], owner: bool, wanted: str = "") -> tuple[list[str], str]:
    """The sources that answers can be drawn from, the newest first, in blocks; and what is to be said below them.

    A block has what was added at about the same time, so that a source that comes changes the first one alone. What is
    asked whether it has changed stays where it is meanwhile: answers are drawn from it.
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
    over = len(ready) - MOST_ROWS
    first = -(-over // BLOCK) * BLOCK if over > 0 else 0
    blocks = [
        "".join(_row(entry, "", owner) for entry in reversed(ready[start : start + BLOCK]))
        for start in range(first, first + MOST_ROWS, BLOCK)
    ]
    blocks.reverse()
    if not entries:
        told = "Add a page or a file above" if owner else "The person who runs this has to add a page or a file"
        return blocks, f"<p class='empty'>The library is empty. {told}, then ask about it.</p>"
    if words and not ready:
        return blocks, "<p class='more'>Nothing fits the filter.</p>"
    return blocks, f"<p class='more'>and {first:,} more; the filter finds them</p>" if first else ""


def _row(entry: Entry, state: str, owner: bool) -> str:
    """One source: its title, what is known of it, and what can be done with it."""
    source = html.escape(entry.source, quote=True)
    where = short(entry.source)
    where = where if entry.title != entry.source else short(entry.source, 34)
    title = html.escape(entry.title if entry.title != entry.source else where)
    facts = [entry.kind, counted(entry.chunks, "chunk") if entry.chunks else ""]
    facts.append(told_size(entry.size) if entry.size else "")
    if entry.indexed_at:
        facts.append(time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.indexed_at)))
    link = link_to(entry.source, owner) if entry.state != "waiting" else ""
    opened = f"<a href='{html.escape(link)}' target='_blank' rel='noopener noreferrer'>Open</a>" if link else ""
    buttons = ""
    if owner:
        again = "Try again" if entry.state == "failed" else "Refresh"
        if entry.source != GUIDE and entry.state != "waiting":
            buttons += f'<button data-action="refresh" data-source="{source}">{again}</button>'
        sure = html.escape(f"Remove {entry.title}? Answers are not drawn from it any more.", quote=True)
        buttons += f'<button data-action="remove" data-source="{source}" data-sure="{sure}">Remove</button>'
    told = f"<span class='{entry.state}'>{html.escape(state)}</span>" if state else ""
    return (
        f"<div class='source {entry.state}'><b title='{source}'>{title}</b>"
        + (f"<small class='where'>{html.escape(where)}</small>" if html.escape(where) != title else "")
        + (f"<small>{html.escape(' · '.join(filter(None, facts)))}</small>" if any(facts) else "")
        + f"{told}<nav>{opened}{buttons}</nav></div>"
    )


def show_pulls(work: Sequence[tuple[str, Work]]) -> str:
    """The models that Ollama is fetching, each with a bar."""
    return "".join(
        f"<div class='busy'><b>{html.escape(item.label)}</b>"
        f"<progress {f'value={item.done} max={item.total}' if item.total else ''}></progress>"
        + (f"<small>{told_size(item.done)} of {told_size(item.total)}</small>" if item.total else "")
        + "</div>"
        for key, item in work
        if key.startswith("pull ")
    )


def show_models(models: Sequence[Model]) -> str:
    """The models there are, as a table."""
    rows = "".join(
        f"<tr><td>{html.escape(model.name)}<br><small>{html.escape(f'{model.use} {model.details}')}</small></td>"
        f"<td>{told_size(model.size) if model.size else ''}</td>"
        f"<td>{f'{model.window:,}' if model.window else ''}</td></tr>"
        for model in models
    )
    return f"<table><thead><tr><th>Model</th><th>Size</th><th>Context</th></tr></thead>{rows}</table>"


def show_index(status: dict[str, Any], owner: bool) -> str:
    """The index that is being built beside the one that answers, or is offered."""
    if status["problem"] and status["building"]:
        name = html.escape(status["building"]["made"]["embeddings"])
        told = f"<p class='bad'>The index of {name} cannot be built now: {html.escape(status['problem'])}</p>"
        return told + ('<button data-action="keep index">Keep the old one</button>' if owner else "")
    if building := status["building"]:
        left = building["seconds_left"]
        return (
            f"<div class='busy'><b>A new index: {html.escape(building['made']['embeddings'])}</b>"
            f"<progress {'value={done} max={total}'.format(**building) if building['total'] else ''}></progress>"
            f"<small>{building['done']} of {building['total']} chunks"
            f"{f' · about {told_seconds(left)} left' if left is not None else ''} · the old one answers</small>"
            + ('<button data-action="keep index">Cancel</button>' if owner else "")
            + "</div>"
        )
    if (offer := status["offer"]) and owner:
        made = offer["made"]
        name = html.escape(made["embeddings"])
        return (
            f"<div class='offer'><p>The settings name <b>{name}</b> with chunks of {made['chunk_size']} characters. To"
            f" answer from an index of it, {html.escape(offer['told'])}.</p>"
            f'<button data-action="build index" data-source="{name}">Build it</button>'
            '<button data-action="keep index">Keep the old one</button></div>'
        )
    return ""


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
