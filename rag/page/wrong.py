"""What went wrong, in the sidebar: answers, those that became cases, and the cases asked of other settings."""

from __future__ import annotations

import html
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import gradio as gr

from rag.assistant import Assistant
from rag.doors.cases import MOST_COMPARED, Asked, Setup, as_lines, cases, compare
from rag.doors.evaluate import EvalQuestion
from rag.library.mistakes import Mistake, choose_cases, forget_mistakes, list_mistakes
from rag.page.events import QUIET, MayChange, check_may_change, errors_on_the_page
from rag.page.scripts import CLICKS, SAVE_CASES
from rag.text.amounts import counted

SHOWN = 50
"""Mistakes that the list shows, the newest."""
KINDS = {"refused": "Not in the library", "unsupported": "Without support", "thumb": "Thumb down"}
OWN = "the same model"
EMPTY = "<span></span>"
"""What is shown before there is something: the sidebar hides parts without an element in them."""


class WrongAnswers:
    """The folded part of the sidebar, `accordion`; owners alone see it."""

    def __init__(self, assistant: Assistant, may_change: MayChange) -> None:
        """Build it within the page that is being built."""
        self._assistant = assistant
        self._may_change = may_change
        with gr.Accordion("What went wrong", open=False, visible=False, elem_id="wrong") as self.accordion:
            self._list = gr.HTML(EMPTY, elem_id="wrong-list", js_on_load=CLICKS, padding=False)
            with gr.Column(elem_id="compare", min_width=0):
                gr.HTML("<h3>Ask the cases again</h3>", padding=False)
                with gr.Row():
                    self._model = gr.Dropdown([OWN], value=OWN, label="As now, and with", scale=3, min_width=120)
                    self._k = gr.Number(
                        assistant.settings.k, label="Passages", minimum=1, maximum=50, precision=0, min_width=70
                    )
                with gr.Row():
                    self._compare = gr.Button("Compare", size="sm", variant="primary", min_width=60)
                    self._stop = gr.Button("Stop", size="sm", min_width=50, visible=False)
                    self._save = gr.Button("Save as a file", size="sm", min_width=60)
            self._table = gr.HTML(EMPTY, elem_id="wrong-table", padding=False)
            self._file = gr.Textbox(visible="hidden")
        self._connect()

    def _connect(self) -> None:
        self.accordion.expand(self._open, None, [self._list, self._model], **QUIET)
        self._list.click(self._act, None, self._list, **QUIET)
        shown = self._compare.click(lambda: gr.Button(visible=True), None, self._stop, **QUIET)
        running = shown.then(
            self._run,
            [self._model, self._k],
            self._table,
            api_visibility="private",
            concurrency_limit=1,
            show_progress="hidden",
        )
        running.then(lambda: gr.Button(visible=False), None, self._stop, **QUIET)
        self._stop.click(lambda: gr.Button(visible=False), None, self._stop, cancels=[running], **QUIET)
        self._save.click(self._lines, None, self._file, **QUIET).then(None, self._file, None, js=SAVE_CASES, **QUIET)

    def _open(self, request: gr.Request) -> tuple[str, gr.Dropdown]:
        check_may_change(self._may_change, request)
        models = [each.name for each in self._assistant.models.known.listed() if each.use == "chat"]
        return self._shown(), gr.Dropdown([OWN, *models])

    def _shown(self) -> str:
        with errors_on_the_page():
            return show_mistakes(list_mistakes(self._assistant.service.database))

    def _act(self, click: gr.EventData, request: gr.Request) -> str:
        check_may_change(self._may_change, request)
        database = self._assistant.service.database
        action, kind, question = (str(getattr(click, name, "")) for name in ("action", "kind", "question"))
        with errors_on_the_page():
            meant = list_mistakes(database)
            if action != "all":
                meant = [each for each in meant if (each.kind, each.question) == (kind, question)]
            match action:
                case "case" | "all":
                    choose_cases(database, [each for each in meant if not each.is_case], is_case=True)
                case "no case":
                    choose_cases(database, meant, is_case=False)
                case "forget":
                    forget_mistakes(database)
        return self._shown()

    def _lines(self, request: gr.Request) -> str:
        check_may_change(self._may_change, request)
        with errors_on_the_page():
            return as_lines(cases(self._assistant.service.database))

    async def _run(self, model: str, k: int | None, request: gr.Request) -> AsyncGenerator[str, None]:
        """Ask the cases of today's settings and of others; yields the table as it grows."""
        check_may_change(self._may_change, request)
        own = self._assistant.settings.k
        other = Setup("" if model == OWN else model, int(k or 0) if k != own else 0)
        with errors_on_the_page():
            asked = cases(self._assistant.service.database)[:MOST_COMPARED]
            if not asked:
                raise gr.Error("There are no cases yet: make some of the answers above cases.", print_exception=False)
            if other == Setup():
                raise gr.Error("Choose another model or another number of passages.", print_exception=False)
            today = self._assistant.models.names.chat
            heads = [_head(today, own), _head(other.model or today, other.k or own)]
            found: list[tuple[EvalQuestion, list[Asked]]] = []
            yield show_comparison(heads, found, len(asked))
            async with aclosing(compare(self._assistant, asked, [Setup(), other])) as rows:
                async for row in rows:
                    found.append(row)
                    yield show_comparison(heads, found, len(asked))


def show_mistakes(mistakes: Sequence[Mistake]) -> str:
    """The list as HTML; everything in it is shown as text."""
    if not mistakes:
        return (
            "<p class='more'>Nothing yet. Refusals, sentences without support and thumbs down are listed here, and"
            " stay on this machine.</p>"
        )
    chosen = sum(each.is_case for each in mistakes)
    head = (
        f"<p class='more'>{counted(len(mistakes), 'answer')} to look at again, kept on this machine. What becomes a"
        f" case ({chosen:,} so far) is asked again below, and by <code>python -m rag eval</code>.</p>"
        "<nav><button data-action='all'>Make all cases</button>"
        "<button data-action='forget' data-sure='Forget all that are no cases?'>Forget the others</button></nav>"
    )
    more = f"<p class='more'>and {len(mistakes) - SHOWN:,} older ones</p>" if len(mistakes) > SHOWN else ""
    return head + "".join(map(_row, mistakes[:SHOWN])) + more


def _row(each: Mistake) -> str:
    question = html.escape(each.question, quote=True)
    lines = "".join(f"<li>{html.escape(line)}</li>" for line in each.detail.splitlines()[:10])
    told = f"<ul>{lines}</ul>" if lines else f"<p>{html.escape(each.answer[:400])}</p>"
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(each.at))
    action, label = ("no case", "Make it no case") if each.is_case else ("case", "Make it a case")
    return (
        f"<div class='source wrong{' chosen' * each.is_case}'><b>{question}</b>"
        f"<small>{KINDS[each.kind]} · {when}{' · case' * each.is_case}</small>"
        f"<details><summary>What was said</summary>{told}</details>"
        f"<nav><button data-action='{action}' data-kind='{each.kind}' data-question='{question}'>{label}</button></nav>"
        "</div>"
    )


def show_comparison(heads: Sequence[str], rows: Sequence[tuple[EvalQuestion, list[Asked]]], count: int) -> str:
    """The table of a comparison as HTML: two lines a case, a column a setup, and what they come to."""
    columns = list(zip(*(outcomes for _, outcomes in rows), strict=True))
    body = "".join(
        f"<tbody><tr><th colspan='{len(heads)}' scope='rowgroup'>{html.escape(question.question)}</th></tr>"
        f"<tr>{''.join(map(_cell, outcomes))}</tr></tbody>"
        for question, outcomes in rows
    )
    total = "".join(f"<td>{_total(column)}</td>" for column in columns)
    named = f"<tr><th colspan='{len(heads)}' scope='rowgroup'>In all</th></tr>"
    foot = f"<tfoot>{named}<tr>{total}</tr></tfoot>" if columns else ""
    head = "".join(f"<th scope='col'>{html.escape(each)}</th>" for each in heads)
    left = f"<p class='more' role='status'>{len(rows)} of {count} cases asked</p>"
    return f"{left}<table><thead><tr>{head}</tr></thead>{body}{foot}</table>"


def _head(model: str, k: int) -> str:
    """What a column is called: the model without its provider, and the passages."""
    return f"{model.partition(':')[2] or model}, {k} passage{'s' * (k != 1)}"


def _cell(outcome: Asked) -> str:
    update, error = outcome
    if error:
        return f"<td>failed: {html.escape(str(error))}</td>"
    told = "not in the library" if update.refused else "{} of {} supported".format(*update.support)
    text = html.escape(update.text[:1000])
    return f"<td>{told}, {update.timings.total:.1f} s<details><summary>Answer</summary>{text}</details></td>"


def _total(column: Sequence[Asked]) -> str:
    support = [update.support for update, error in column if not update.refused and not error]
    supported, claims = map(sum, zip(*support, strict=True)) if support else (0, 0)
    share = f"{supported} of {claims} sentences supported" if claims else "no sentence to support"
    seconds = sum(update.timings.total for update, _ in column) / max(1, len(column))
    refused, failed = sum(update.refused for update, _ in column), sum(bool(error) for _, error in column)
    return f"{share}, {refused} refused{f', {failed} failed' * bool(failed)}, {seconds:.1f} s each"
