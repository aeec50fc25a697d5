"""The page's sidebar: adds, lists, refreshes and removes sources, pulls models and builds indexes."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from rag.assistant import Assistant
from rag.library.library import MOST_PAGES, Library
from rag.library.uploads import is_upload, name_of
from rag.models.catalogue import load_catalogue, worth_pulling
from rag.models.choose import LARGER
from rag.page.events import QUIET, MayChange, check_may_change, errors_on_the_page
from rag.page.library import BLOCKS, show_failed, show_folders, show_head, show_rows, show_welcome, show_work
from rag.page.models import show_catalogue, show_index, show_larger, show_models, show_pulls
from rag.page.scripts import CLICKS
from rag.page.wrong import WrongAnswers
from rag.sources.formats import ending_by_content, ending_of
from rag.sources.loader import GUIDE

DEPTHS = [
    ("Just these pages", -1),
    ("The pages of a sitemap", 0),
    ("Follow links within the site: 1 step", 1),
    ("Follow links within the site: 2 steps", 2),
    ("Follow links within the site: 3 steps", 3),
]


class Sidebar:
    """The sidebar's components, the handlers of their buttons, and `look`, which keeps them up to date."""

    def __init__(self, assistant: Assistant, may_change: MayChange) -> None:
        """Build the sidebar within the page that is being built."""
        self._assistant = assistant
        self._may_change = may_change
        with gr.Column(elem_id="sidebar", scale=0, min_width=0):
            with gr.Column(elem_id="conversations", min_width=0) as self.conversations:
                gr.HTML("<h2>Conversations</h2>", padding=False)
                self.save = gr.Button("Save as Markdown", size="sm", elem_id="save", render=False)
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
            with gr.Accordion("Models", open=False, visible=False, elem_id="models") as self.models:
                self.told = gr.HTML(elem_id="models-told", js_on_load=CLICKS, padding=False)
                with gr.Row(elem_id="pulling"):
                    self.pull_name = gr.Textbox(
                        label="Pull a model with Ollama", placeholder="such as gemma3:4b", max_length=200, scale=3
                    )
                    self.pull = gr.Button("Pull", size="sm", min_width=80, scale=0)
                self.embeddings = gr.Dropdown([], label="Embedding model", interactive=True, elem_id="embeddings")
                self.cost = gr.HTML(elem_id="cost", padding=False, visible=False)
                self.build = gr.Button("Build its index", variant="primary", size="sm", visible=False)
            self.wrong = WrongAnswers(assistant, may_change)
        self.welcome = gr.HTML(elem_id="welcome", js_on_load=CLICKS, padding=False, render=False)
        self.seen = gr.State({})
        """What this visitor's page shows now; see `look`."""
        self._connect()

    def show_conversations(self, chat: gr.ChatInterface) -> None:
        """Move the button for a new chat and the saved conversations, which Gradio puts beside the chat, here."""
        with self.conversations:
            for part in (chat.new_chat_button, chat.chat_history_dataset):
                part.unrender()  # type: ignore[no-untyped-call]
                part.render()  # type: ignore[no-untyped-call]
            self.save.render()  # type: ignore[no-untyped-call]

    @property
    def outputs(self) -> list[Any]:
        """The components that `look` updates, in its order."""
        rows = [self.failed, self.filter, *self.rows, self.more]
        parts = [self.models, self.wrong.accordion, self.index, self.welcome]
        return [self.head, self.adding, self.work, *rows, *parts, self.seen]

    def _connect(self) -> None:
        self.depth.change(lambda depth: gr.Number(visible=depth >= 0), self.depth, self.limit, **QUIET)
        given = [self.urls, self.depth, self.limit]
        gr.on([self.add.click, self.urls.submit], self._add, given, self.urls, **QUIET)
        for upload in (self.files, self.folder):
            upload.upload(self._keep, upload, upload, api_visibility="private", concurrency_limit=4)
        parts = (self.head, self.work, self.failed, *self.rows, self.index, self.told, self.welcome)
        gr.on([part.click for part in parts], self._act, None, None, **QUIET)
        self.filter.input(self.look, [self.seen, self.filter], self.outputs, **QUIET)
        self.models.expand(self._show_models, None, [self.told, self.embeddings], **QUIET)
        self.embeddings.input(self._estimate, self.embeddings, [self.cost, self.build], api_visibility="private")
        self.build.click(self._reindex, self.embeddings, [self.cost, self.build], **QUIET)
        self.pull.click(self._pull, self.pull_name, self.pull_name, api_visibility="private", concurrency_limit=1)

    # -- handlers ------------------------------------------------------------------------------------------------

    def _library(self, request: gr.Request) -> Library:
        self._check(request)
        if self._assistant.library is None:
            raise gr.Error("The library is being opened. Try again in a moment.", print_exception=False)
        return self._assistant.library

    def _check(self, request: gr.Request) -> None:
        check_may_change(self._may_change, request)

    def _add(self, urls: str, depth: int, limit: int | None, request: gr.Request) -> str:
        library = self._library(request)
        with errors_on_the_page():
            library.add(urls.split(), private=False, depth=depth, limit=limit or 1)
        return ""

    def _keep(self, paths: list[str] | str | None, request: gr.Request) -> None:
        """Keep uploaded files in the library, and index them."""
        library = self._library(request)
        given = [Path(path) for path in ([paths] if isinstance(paths, str) else paths or [])]
        given = [path for path in given if not path.name.startswith(".")]
        refused = [path.name for path in given if not (ending_of(path.name) or ending_by_content(path))]
        readable = [path for path in given if path.name not in refused]
        old = self._to_replace([path.name for path in readable], library)
        kept = []
        for path in readable:
            try:
                with errors_on_the_page():
                    kept.append(self._assistant.service.uploads.keep(path, path.name, old.get(path.name, "")))
            finally:
                path.unlink(missing_ok=True)
        if kept:
            library.add(kept, private=True)
        if old:
            gr.Info(f"{_first(list(old))} will take the place of the version that is there.")
        if refused:
            gr.Warning(f"Nothing here can read {_first(refused)}.")

    def _to_replace(self, names: Sequence[str], library: Library) -> dict[str, str]:
        """For each uploaded name, the kept file that it replaces.

        A name that stands for several files, from several folders, replaces none of them: nobody can tell which is
        meant.
        """
        known: dict[str, list[str]] = {}
        for entry in library.entries():
            if is_upload(entry.source):
                known.setdefault(name_of(entry.source), []).append(entry.source)
        return {name: known[name][0] for name in names if names.count(name) == 1 and len(known.get(name, [])) == 1}

    def _act(self, click: gr.EventData, request: gr.Request) -> None:
        library = self._library(request)
        source = str(getattr(click, "source", ""))
        with errors_on_the_page():
            match getattr(click, "action", ""):
                case "add":
                    library.add([GUIDE], private=True)
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
                case "pull":
                    self._assistant.models.pulls.pull(source)
                case "use model":
                    self._assistant.choose_chat(source)
                case "build index":
                    self._assistant.reindex(source)

    def _show_models(self, request: gr.Request) -> tuple[str, Any]:
        self._check(request)
        used, known = self._assistant.models, self._assistant.models.known
        models = known.listed()
        names = [model.name for model in models if model.use == "embeddings"]
        models.sort(key=lambda model: not model.name.startswith("ollama:"))  # what is installed there comes first
        why = "".join(f"<p>{html.escape(each)}</p>" for each in used.names.why)
        installed = [model.name.partition(":")[2] for model in models if model.name.startswith("ollama:")]
        told = why + show_models(models, known.speeds()) + show_catalogue(worth_pulling(installed), load_catalogue()[0])
        if used.names.chat.startswith("embedded:") and used.names.chat != LARGER:
            size = next(model.size for model in models if model.name == LARGER)
            told += show_larger(LARGER, size, known.outlook(LARGER))
        return told, gr.Dropdown(names, value=self._assistant.embeddings)

    def _estimate(self, name: str, request: gr.Request) -> tuple[Any, Any]:
        self._check(request)
        if name == self._assistant.embeddings:
            return gr.HTML(visible=False), gr.Button(visible=False)
        with errors_on_the_page():
            offer = self._assistant.estimate(name)
        told = (
            f"<p>To answer from an index of <b>{html.escape(name)}</b>, {offer}. The old index answers until then.</p>"
        )
        return gr.HTML(told, visible=True), gr.Button("Build its index" if offer.chunks else "Use it", visible=True)

    def _reindex(self, name: str, request: gr.Request) -> tuple[Any, Any]:
        self._check(request)
        with errors_on_the_page():
            self._assistant.reindex(name)
        return gr.HTML(visible=False), gr.Button(visible=False)

    def _pull(self, name: str, request: gr.Request) -> str:
        self._check(request)
        name = name.strip()
        with errors_on_the_page():
            self._assistant.models.pulls.pull(name)
        gr.Info(f"{name} is pulled.")
        return ""

    # -- updates -------------------------------------------------------------------------------------------------

    def look(self, seen: dict[str, Any], wanted: str | None, request: gr.Request) -> list[Any]:
        """An update for each of `outputs`: new where it differs from `seen`, which the visitor's page shows now."""
        owner = self._may_change(request)
        library = self._assistant.library
        entries = library.entries() if library else []
        status = self._assistant.indexes.status()
        blocks, more = show_rows(entries, owner, wanted or "")
        now: dict[str, Any] = {
            "head": show_head(entries, owner, self._assistant.embeddings if library else ""),
            "owner": owner,
            "work": show_work(entries, library.worker.progress(library.left) if library else None, owner),
            "failed": show_folders(library.folders.look() if library else [], owner) + show_failed(entries, owner),
            "filter": sum(bool(entry.indexed_at) for entry in entries) > 8,
            **{f"rows {number}": block for number, block in enumerate(blocks)},
            "more": more,
            "models": owner,
            "wrong": owner,
            "index": show_pulls(list(self._assistant.under_way.items())) + show_index(status, owner),
            "welcome": show_welcome(entries, owner) if library and self._assistant.service.ingested else "",
        }
        if now == seen:
            return [gr.skip()] * len(self.outputs)
        made: dict[str, Any] = {
            **now,
            "owner": gr.Group(visible=owner),
            "filter": gr.Textbox(visible=now["filter"]),
            "models": gr.Accordion(visible=owner),
            "wrong": gr.Accordion(visible=owner),
        }
        return [value if now[key] != seen.get(key) else gr.skip() for key, value in made.items()] + [now]


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + " …" * (len(names) > 5)
