"""A data folder with its store and ingest, and three texts to put in."""

from __future__ import annotations

from pathlib import Path

from rag.library.ingest import Ingest
from rag.library.store import DataFolder, Store, check_index, set_aside
from rag.settings import Settings
from tests.conftest import PaperEmbeddings

ENGINE = ("openai:paper", "nowhere")


class Library:
    """A data folder with its store and ingest, opened as the app opens them."""

    def __init__(self, settings: Settings, embeddings: PaperEmbeddings | None = None) -> None:
        self.embeddings = embeddings or PaperEmbeddings()
        self.folder = DataFolder(settings.data_dir)
        self.folder.acquire()
        changed = self.folder.changed_since_closed()
        self.damage = check_index(self.folder) if changed is None else changed
        if self.damage:
            set_aside(self.folder)
        self.store = Store(self.folder, self.embeddings, ENGINE, (settings.chunk_size, settings.chunk_overlap))
        self.ingest = Ingest(self.store, self.embeddings, settings)
        self.settings = settings

    def add(self, path: Path) -> int:
        record = self.ingest.load(str(path), named_at_start=True)
        assert record
        return self.ingest.index(record, lambda *_: None)

    def finish(self) -> int:
        """Returns the texts embedded."""
        before = len(self.embeddings.embedded)
        for source in self.ingest.unfinished():
            self.ingest.resume(source, lambda *_: None)
        self.store.clean()
        return len(self.embeddings.embedded) - before

    def find(self, question: str, k: int = 4) -> list[str]:
        return [item.page_content for item in self.store.vector_store().similarity_search(question, k)]

    def close(self) -> None:
        self.store.close()
        self.folder.note_closed()
        self.folder.release()


def write(path: Path, *paragraphs: str) -> Path:
    path.write_text("\n\n".join(paragraphs), encoding="utf-8")
    return path


MOON = "The moon " + "pulls the sea " * 5
RIVER = "The river " + "runs to the sea " * 5
CHEESE = "The cheese " + "lies on the table " * 4
