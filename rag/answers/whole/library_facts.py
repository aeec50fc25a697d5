"""The library answers about itself: what is in it, how many, since when."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from rag.answers.whole.intent import Ask
from rag.answers.whole.receipt import Writer
from rag.library.revisions import IndexedSource
from rag.text.amounts import counted

MOST_LISTED = 50
"""Sources that an answer names."""
FEW = 5
"""Sources that "the last ones" are."""


def tell_library(sources: Sequence[IndexedSource], ask: Ask, language: str) -> Writer:
    """The answer to a question about the library: each line is from the list of sources, and from no passage.

    Args:
        sources: those that are asked about.
        ask: what is asked.
        language: of the sentences; `SAYINGS` has them.
    """
    say = SAYINGS[language]
    writer = Writer()
    kinds = Counter(source.kind for source in sources if source.kind)
    of_kinds = ", ".join(f"{kind} {count:,}" for kind, count in kinds.most_common())
    passages = sum(source.chunks for source in sources)
    writer.say(say["all"].format(sources=f"{len(sources):,}", passages=f"{passages:,}", kinds=of_kinds))
    shown = sorted(sources, key=lambda source: -source.loaded_at)
    if ask == "last":
        shown = shown[:FEW]
        writer.say(say["last"])
    elif ask != "when":
        shown = sorted(sources, key=lambda source: source.title.casefold())
    writer.gap()
    for source in shown[:MOST_LISTED]:
        facts = [source.kind, say["passages"].format(passages=f"{source.chunks:,}")]
        if source.loaded_at:
            facts.append(datetime.fromtimestamp(source.loaded_at).strftime("%Y-%m-%d %H:%M"))
        writer.say(f"{named(source)} ({', '.join(filter(None, facts))})", lead="- ")
    if len(shown) > MOST_LISTED:
        writer.say(say["more"].format(more=f"{len(shown) - MOST_LISTED:,}"), lead="- ")
    return writer


def tell_mentions(
    words: Sequence[str], found: Sequence[tuple[IndexedSource, int]], looked: int, language: str
) -> Writer:
    """The sources that have these words, each with its number of passages that have them, of `looked` sources."""
    say = SAYINGS[language]
    writer = Writer()
    told = (" " if words[0].isascii() else "").join(words)
    writer.say(say["mention"].format(words=f"“{told}”", sources=f"{len(found):,}", all=f"{looked:,}"))
    writer.gap()
    for source, passages in found[:MOST_LISTED]:
        writer.say(f"{named(source)} ({say['passages'].format(passages=f'{passages:,}')})", lead="- ")
    if len(found) > MOST_LISTED:
        writer.say(say["more"].format(more=f"{len(found) - MOST_LISTED:,}"), lead="- ")
    return writer


def named(source: IndexedSource) -> str:
    """What a source is called: its title, and its file's name where the title does not tell it."""
    name = os.path.basename(source.source.rstrip("/")) or source.source
    return source.title if name in source.title or "://" in source.source else f"{source.title} – {name}"


def told_of(sources: Sequence[IndexedSource]) -> str:
    """What was looked at, for people."""
    return f"read the list of {counted(len(sources), 'source')}"


SAYINGS = {
    "en": {
        "all": "Sources in the library: {sources}, passages in all: {passages} ({kinds}).",
        "last": "Added last:",
        "mention": "Sources with {words}: {sources} of {all}.",
        "passages": "passages: {passages}",
        "more": "and {more} more",
    },
    "de": {
        "all": "Quellen in der Bibliothek: {sources}, Textstellen insgesamt: {passages} ({kinds}).",
        "last": "Zuletzt hinzugefügt:",
        "mention": "Quellen mit {words}: {sources} von {all}.",
        "passages": "Textstellen: {passages}",
        "more": "und {more} weitere",
    },
    "fr": {
        "all": "Sources dans la bibliothèque : {sources}, passages en tout : {passages} ({kinds}).",
        "last": "Dernières ajoutées :",
        "mention": "Sources avec {words} : {sources} sur {all}.",
        "passages": "passages : {passages}",
        "more": "et {more} de plus",
    },
    "es": {
        "all": "Fuentes en la biblioteca: {sources}, pasajes en total: {passages} ({kinds}).",
        "last": "Añadidas por último:",
        "mention": "Fuentes con {words}: {sources} de {all}.",
        "passages": "pasajes: {passages}",
        "more": "y {more} más",
    },
    "zh": {
        "all": "资料库中的来源：{sources}，段落总数：{passages}（{kinds}）。",
        "last": "最近添加：",
        "mention": "含有{words}的来源：{all} 个中有 {sources} 个。",
        "passages": "段落：{passages}",
        "more": "以及另外 {more} 个",
    },
}
"""The sentences, by language; numbers stand behind colons, so that no plural is needed."""
