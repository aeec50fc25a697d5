"""The real small embedding model, which embeds a text once in a run of the tests, for all files and workers."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import cache

import numpy as np

from rag.models.minilm import MiniLMEmbeddings
from rag.settings import load_settings
from tests.shared import shared_folder


class SharedMiniLM(MiniLMEmbeddings):
    """The real small model: a text is embedded once in a run, by whoever comes first."""

    def __init__(self) -> None:
        super().__init__(load_settings().cache_dir)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        with closing(sqlite3.connect(shared_folder() / "vectors.sqlite", timeout=60, isolation_level=None)) as file:
            file.execute("CREATE TABLE IF NOT EXISTS vectors (text TEXT PRIMARY KEY, vector BLOB)")
            file.execute("BEGIN IMMEDIATE")  # or two would embed the same texts at the same time
            known: dict[str, list[float]] = {}
            for text in dict.fromkeys(texts):
                for (vector,) in file.execute("SELECT vector FROM vectors WHERE text = ?", [text]):
                    known[text] = np.frombuffer(vector, np.float32).tolist()
            new = [text for text in dict.fromkeys(texts) if text not in known]
            if new:
                known |= zip(new, super().embed_documents(new), strict=True)
                rows = [(text, np.array(known[text], np.float32).tobytes()) for text in new]
                file.executemany("INSERT INTO vectors VALUES (?, ?)", rows)
            file.execute("COMMIT")
        return [known[text] for text in texts]


@cache
def shared_minilm() -> SharedMiniLM:
    """One for this process: to open the model takes .4 s."""
    return SharedMiniLM()
