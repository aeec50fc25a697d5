"""Notebooks: their text, their code and what their cells put out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rag.settings import Settings
from tests.files import check, load


def notebook(*outputs: dict[str, Any]) -> str:
    cells = [
        {"cell_type": "markdown", "source": ["# Towns\n", "text"]},
        {"cell_type": "code", "source": "show()  # no heading", "outputs": list(outputs)},
    ]
    return json.dumps({"nbformat": 4, "cells": cells})


def test_outputs(tmp_path: Path, settings: Settings) -> None:
    frame = (
        "<div><style>x</style><table><thead><tr><th></th><th>city</th><th>people</th></tr></thead><tbody>"
        "<tr><th>0</th><td>Kiel</td><td>247000</td></tr><tr><th>1</th><td>Ulm</td><td>126000</td></tr></tbody></table>"
    )
    outputs: list[dict[str, Any]] = [
        {"output_type": "stream", "name": "stdout", "text": ["loaded\n", "1%\r50%\r\x1b[32m100%\x1b[0m\n"]},
        {"output_type": "execute_result", "data": {"text/html": [frame], "text/plain": ["  city"]}},
        {"output_type": "execute_result", "data": {"text/plain": "42 towns"}},
        {"output_type": "display_data", "data": {"text/html": "<p>in <b>bold</b></p><pre>a\n  b\n</pre>"}},
        {"output_type": "display_data", "data": {"image/png": "AAAA", "text/plain": "<Figure>"}},
        {"output_type": "error", "ename": "ValueError", "evalue": "no such town", "traceback": ["\x1b[0m"]},
    ]
    (tmp_path / "a.ipynb").write_text(notebook(*outputs), encoding="utf-8")
    document = load(tmp_path / "a.ipynb", settings)
    check(document)
    lines = document.page_content.split("\n")
    values = ("loaded", "100%", "0 | city: Kiel | people: 247000", "42 towns", "in bold", "  b")
    for line in (*values, "ValueError: no such town"):
        assert line in lines
    assert "<Figure>" not in lines and "1%" not in document.page_content.split("100%")[0]
    assert document.metadata["title"] == "Towns"
    assert document.metadata["notes"] == ["pictures among the outputs, left out: 1"]


def test_long_outputs_are_cut(tmp_path: Path, settings: Settings) -> None:
    outputs = [{"output_type": "stream", "text": "word " * 50_000} for _ in range(120)]
    (tmp_path / "a.ipynb").write_text(notebook(*outputs), encoding="utf-8")
    document = load(tmp_path / "a.ipynb", settings)
    assert 1_900_000 < len(document.page_content) < 2_100_000
    assert document.metadata["notes"] == ["long outputs, cut: 120"]
