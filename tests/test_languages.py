"""py3langid's model is read where it was unpacked, and tells of languages what it tells by itself."""

from __future__ import annotations

import os
from pathlib import Path

import py3langid
import pytest
from py3langid import langid

from rag.models.languages import ARRAYS, read_languages_in_place
from rag.text.detect import NAMES
from tests.conftest import ROOT

TEXTS = [
    *(ROOT / "rag" / "guide.md").read_text(encoding="utf-8").split("\n\n"),
    "Wie lange dauert die Kündigung?",
    "¿Cuánto cuesta el billete?",
    "Сколько стоит билет?",
    "今天天气怎么样",
    "",
]


@pytest.fixture(autouse=True)
def by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(langid, "IDENTIFIER", None)


def told() -> list[dict[str, float]]:
    return [{name: score for name, score in py3langid.rank(text) if name in NAMES} for text in TEXTS]


def test_languages_are_told_from_the_disk_as_by_the_package(tmp_path: Path) -> None:
    before = told()
    read_languages_in_place(tmp_path)
    assert isinstance(langid.IDENTIFIER.tk_nextmove, memoryview)
    assert told() == [pytest.approx(each, rel=1e-3) for each in before]
    (folder,) = tmp_path.iterdir()
    assert sorted(each.stem for each in folder.iterdir()) == sorted(ARRAYS)
    kept = folder.stat().st_mtime_ns
    langid.IDENTIFIER = None
    read_languages_in_place(tmp_path)
    assert folder.stat().st_mtime_ns == kept and isinstance(langid.IDENTIFIER.tk_nextmove, memoryview)


@pytest.mark.parametrize("wrong", ["a cut file", "a missing file", "no folder"])
def test_what_cannot_be_read_there_is_read_from_the_package(tmp_path: Path, wrong: str) -> None:
    if wrong == "no folder":
        folder = tmp_path / "file"
        folder.write_text("in the way")
    else:
        folder = tmp_path
        read_languages_in_place(folder)
        (model,) = folder.iterdir()
        if wrong == "a cut file":
            os.truncate(model / "tk_nextmove.npy", 1_000_000)
        else:
            (model / "nb_pc.npy").unlink()
        langid.IDENTIFIER = None
    read_languages_in_place(folder)
    assert langid.IDENTIFIER is None
    assert max(told()[1], key=told()[1].__getitem__) == "en"
