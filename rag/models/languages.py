"""The model by which py3langid tells languages, unpacked once and then read where it lies on the disk."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from rag.text.detect import NAMES

PACKAGE = "py3langid"
ARRAYS = ("nb_ptc", "nb_pc", "nb_classes", "tk_nextmove", "tk_output", "tk_row")
"""Attributes of py3langid's identifier that are its model; all of them are also arguments of it."""


def read_languages_in_place(cache_dir: Path) -> None:
    """Let py3langid read its model in `cache_dir`; it is unpacked there first where it is not.

    By itself it unpacks the model at each start, for .4 processor seconds, and holds 75 MB in memory. The copy has the
    columns of the languages in `NAMES` alone, which tells these apart as before, and is mapped into memory: a text
    needs few of its pages. Where `cache_dir` cannot be written to, py3langid goes on as by itself.
    """
    import numpy as np
    from py3langid import langid  # type: ignore[import-untyped]

    folder = cache_dir / f"{PACKAGE}-{version(PACKAGE)}"
    with suppress(OSError, ValueError):  # no room, no right to write, or a file that was cut
        if not folder.is_dir():
            _unpack(folder)
        model = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ARRAYS}
        lists = {name: model[name].tolist() for name in ("nb_classes", "tk_output", "tk_row")}
        moves = memoryview(model["tk_nextmove"])  # a number of it is had sooner than of an array
        langid.IDENTIFIER = langid.LanguageIdentifier(**{**model, **lists, "tk_nextmove": moves})


def _unpack(folder: Path) -> None:
    """Write the model's arrays; the folder is there once they are whole."""
    import numpy as np
    from py3langid import langid

    found = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE)
    found.set_languages(NAMES)
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f"{folder.name}."))
    try:
        for name in ARRAYS:
            with (unfinished / f"{name}.npy").open("wb") as file:
                np.save(file, np.asarray(getattr(found, name)), allow_pickle=False)
                file.flush()
                os.fsync(file.fileno())
        with suppress(OSError):  # another process was first
            os.replace(unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
