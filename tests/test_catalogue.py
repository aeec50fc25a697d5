"""The list of models that are worth pulling: names that Ollama takes, and those alone that fit and are not there."""

from __future__ import annotations

import pytest

from rag.models.auto import OLLAMA_DEFAULTS
from rag.models.catalogue import load_catalogue, worth_pulling
from tests.ollama_server import full_name


def test_the_list_is_in_order_and_says_what_is_needed() -> None:
    month, models = load_catalogue()
    assert month.count("-") == 1
    names = [full_name(model.name) for model in models]
    assert len(set(names)) == len(names) and all(names)
    assert all(model.good and model.thinks in ("no", "if asked to", "always") for model in models)
    for use in ("chat", "embeddings"):
        sizes = [model.size for model in models if model.use == use]
        assert sizes == sorted(sizes) and min(sizes) > 10**8
    assert {default.partition(":")[2] for default in OLLAMA_DEFAULTS} <= {name.partition(":")[0] for name in names}


def test_what_fits_and_is_not_there_is_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag.models.catalogue.memory", lambda: 8 * 10**9)
    offered = {model.name: model.size for model in worth_pulling(["Nomic-Embed-Text", "library/gemma3:4b"])}
    assert "llama3.2:3b" in offered and "bge-m3" in offered
    assert not {"nomic-embed-text", "gemma3:4b", "gpt-oss:20b"} & offered.keys()
    assert max(offered.values()) <= 4 * 10**9
