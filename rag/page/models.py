"""Models and indexes as HTML for the sidebar: the table of models, pulls under way, an index that is being built."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from rag.models.catalogue import Offered
from rag.models.ollama import Model
from rag.models.speed import Outlook, Speed
from rag.models.state import Work
from rag.text.amounts import told_seconds, told_size


def show_pulls(work: Sequence[tuple[str, Work]]) -> str:
    """The models that are being fetched, each with a bar; the app's own next one has a notice."""
    return "".join(
        f"<div class='busy'><b>{html.escape(item.label)}</b>"
        f"<progress {f'value={item.done} max={item.total}' if item.total else ''}></progress>"
        + (f"<small>{told_size(item.done)} of {told_size(item.total)}</small>" if item.total else "")
        + "</div>"
        for key, item in work
        if key.startswith("pull ") or (item.unit == "bytes" and key != "coming")
    )


def show_models(models: Sequence[Model], speeds: Mapping[str, Speed]) -> str:
    """The models there are, as a table; with what was measured of some of them."""
    rows = "".join(
        f"<tr><td>{html.escape(model.name)}<br><small>{html.escape(_told(model, speeds))}</small></td>"
        f"<td>{told_size(model.size) if model.size else ''}</td>"
        f"<td>{f'{model.window:,}' if model.window else ''}</td></tr>"
        for model in models
    )
    return f"<table><thead><tr><th>Model</th><th>Size</th><th>Context</th></tr></thead>{rows}</table>"


def _told(model: Model, speeds: Mapping[str, Speed]) -> str:
    speed = speeds.get(model.name)
    measured = f", here {speed.write:.0f} tokens a second" if speed else ""
    more = f", {', '.join(model.abilities)}" if model.abilities else ""
    return f"{model.use} {model.details}{more}{measured}"


def show_catalogue(offered: Sequence[Offered], of: str) -> str:
    """Models that are worth pulling into Ollama, each with a button; `of` is the month of the list."""
    if not offered:
        return ""
    rows = "".join(
        f"<tr><td>{html.escape(each.name)}<br><small>{each.use}: {html.escape(each.good)}"
        f"{'' if each.thinks == 'no' else f'; thinks {each.thinks}'}</small></td><td>{told_size(each.size)}</td>"
        f'<td><button data-action="pull" data-source="{html.escape(each.name)}">Pull</button></td></tr>'
        for each in offered
    )
    head = f"<tr><th>Worth pulling on this machine ({html.escape(of)})</th><th>Size</th><th></th></tr>"
    return f"<details><summary>Models to pull</summary><table><thead>{head}</thead>{rows}</table></details>"


def show_larger(name: str, size: int, outlook: Outlook) -> str:
    """Whether a larger embedded chat model, a file of `size` bytes, is worth it here, with a button that takes it."""
    free = f"It takes about {outlook.memory / 1e9:.1f} GB of memory, of which {outlook.free / 1e9:.1f} GB are free"
    if not outlook.fits:
        return f"<p><b>{html.escape(name)}</b> is too large for this machine now. {free}.</p>"
    pace = f"about {outlook.speed.write:.0f} tokens a second" if outlook.speed else "at a speed not known yet"
    verdict = "is worth it on this machine" if outlook.worth else "would be slow on this machine"
    if not outlook.speed:
        verdict = "gives better answers"
    button = f'<button data-action="use model" data-source="{html.escape(name)}">Use it</button>'
    told = f"<b>{html.escape(name)}</b> ({told_size(size)}) {verdict}: {pace}. {free}."
    return f"<div class='offer'><p>{told}</p>{button}</div>"


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
