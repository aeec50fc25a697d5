"""A library without its app: the parts that are measured, on a folder of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from langchain_core.embeddings import Embeddings

from rag.library.chroma import ChromaHome
from rag.library.database import open_database
from rag.library.index import SearchIndex
from rag.library.ingest import Ingest
from rag.library.records import Records, as_record
from rag.library.revisions import Made
from rag.models.auto import EMBEDDED_DEFAULTS
from rag.settings import load_settings
from rag.sources.loader import load_source


@contextmanager
def open_library(folder: Path, embeddings: Embeddings) -> Iterator[Ingest]:
    """The way into one index of a new library, and the index as its `index`."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = load_settings(data_dir=folder, ollama_host="127.0.0.1:9")
    database = open_database(folder, None)
    records, home, library = Records(database), ChromaHome(settings), str(database.setting("library"))
    home.look(0, library)
    home.open()
    made = Made(EMBEDDED_DEFAULTS[1], settings.chunk_size, settings.chunk_overlap)
    try:
        index = SearchIndex(records, home, made, "", embeddings, "here")
        index.open_vectors()
        yield Ingest(index)
    finally:
        home.close(0, library)
        database.close()


def index_file(ingest: Ingest, path: Path) -> None:
    """Load a file and index it."""
    loaded = load_source(str(path), load_settings(), private=True)
    assert loaded, path
    ingest.run(as_record(str(path), loaded, private=True), lambda *_: None)
