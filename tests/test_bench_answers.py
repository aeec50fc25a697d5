"""The questions and documents that answers are measured with, and the measure itself on a few of them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from bench.answers import DOCUMENTS, Bench, as_line, figures, load_items, markdown, measure, open_documents, share_said
from rag.answers.retriever import Retriever
from rag.answers.verdict.relevance import Judge
from rag.doors.evaluate import folded
from rag.settings import load_settings
from rag.sources.loader import load_source
from tests.minilm import shared_minilm


def test_every_question_can_be_answered_from_its_document(tmp_path: Path) -> None:
    items = load_items()
    settings = load_settings(data_dir=tmp_path)
    texts: dict[str, str] = {}
    for path in sorted(DOCUMENTS.iterdir()):
        loaded = load_source(str(path), settings, private=True)
        assert loaded
        texts[path.name] = folded(" ".join(document.page_content for document in loaded.documents))
    for item in items:
        for gold in (item.gold, item.second):
            assert not gold or any(texts[item.document].count(folded(each)) == 1 for each in gold), item.id
        if item.gold:
            assert share_said(texts[item.document], item.answer_contains) == 1, item.id
    assert {item.document for item in items if item.gold} == texts.keys()


def test_no_document_is_in_both_halves_and_no_question_is_asked_twice() -> None:
    items = load_items()
    halves = {(item.document, item.half) for item in items if item.document}
    assert len(halves) == len({document for document, _ in halves})
    assert len({item.id for item in items}) == len({item.question for item in items if item.kind != "follow-up"}) + sum(
        item.kind == "follow-up" for item in items
    )
    for half in ("tune", "held"):
        kinds = Counter(item.about for item in items if item.half == half)
        assert all(kinds[kind] >= 20 for kind in ("prose", "manual", "table", "faq", "notes", "reference", "near"))


def test_a_limit_takes_questions_from_the_whole_file() -> None:
    some = load_items(half="held", limit=30)
    assert len(some) == 30
    assert {item.half for item in some} == {"held"}
    assert len({item.document for item in some}) > 10


def test_a_number_is_found_as_a_whole() -> None:
    assert share_said("It costs 34.00, for 40 days.", [["34"], ["40"]]) == 1
    assert share_said("It costs 340, for 1.40 or 40.5 a day.", [["34"], ["40"]]) == 0
    assert share_said("Vinegar\nmust not be used.", [["vinegar must"], ["lemon", "acid"]]) == 0.5


async def test_a_few_questions_are_measured(tmp_path: Path) -> None:
    embedded = shared_minilm()
    items = [
        item
        for item in load_items()
        if item.id in ("prose-ferry-2", "manual-brevik-200-3", "manual-brevik-200-10", "near-7", "off-topic-1")
    ]
    paths = [DOCUMENTS / name for name in ("prose-ferry.md", "manual-brevik-200.md")]
    with open_documents(paths, embedded, tmp_path) as index:
        judge = Judge(embedded, ("bench", ""))
        bench = Bench(index, judge, Retriever(index=index, k=4), load_settings(data_dir=tmp_path))
        found = await measure(bench, items, lambda each: None)
    told = figures([each for each in found if each.item.gold])
    assert told["hit@8"] == 1
    assert told["quotes supported"] == 1
    assert told["quotes words"] >= told["quotes 1 words"]
    assert "| tune: manual | 2 |" in markdown(found)
    assert json.loads(as_line(found[0]))["item"]["id"] == items[0].id
