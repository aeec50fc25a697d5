"""A library with its index and ingest, and three texts to put in."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterable
from pathlib import Path

from sqlalchemy import select

from rag.answers.retriever import Retriever
from rag.library.chroma import ChromaHome
from rag.library.database import FILE, open_database
from rag.library.folder import DataFolder
from rag.library.index import SearchIndex
from rag.library.ingest import Ingest
from rag.library.queue import Queue
from rag.library.records import Record, Records, as_record
from rag.library.revisions import Made
from rag.library.schema import sources
from rag.library.uploads import Uploads
from rag.library.words import Row, WordIndex, Words
from rag.settings import Settings
from rag.sources.loader import load_source
from tests.conftest import PaperEmbeddings

MODEL = "openai:paper"
ENGINE = (MODEL, "nowhere")


def loaded_of(records: Records) -> list[str]:
    """The sources that have a version that is loaded and not indexed."""
    query = select(sources.c.source).where(sources.c.state == "loaded").order_by(sources.c.id)
    with records.database.read() as connection:
        return list(connection.execute(query).scalars())


class Library:
    """A library's parts, opened as the app opens them. `damage` is what the look at Chroma's folder found."""

    def __init__(self, settings: Settings, embeddings: PaperEmbeddings | None = None, *, chroma: bool = True) -> None:
        self.embeddings = embeddings or PaperEmbeddings()
        self.settings = settings
        self.folder = DataFolder(settings.data_dir)
        self.folder.acquire()
        self.database = open_database(settings.data_dir, settings.database_url)
        self.records = Records(self.database)
        self.uploads = Uploads(self.database, settings.data_dir)
        self.queue = Queue(self.database)
        self.home = ChromaHome(settings)
        self.damage = ""
        self.index = self.open_index(self.embeddings)
        if chroma:
            self.open_chroma()
        self.ingest = Ingest(self.index)

    def open_index(self, embeddings: PaperEmbeddings, model: str = MODEL) -> SearchIndex:
        made = Made(model, self.settings.chunk_size, self.settings.chunk_overlap)
        index = SearchIndex(self.records, self.home, made, "", embeddings, "nowhere")
        if self.home.is_open:
            index.open_vectors()
        return index

    def open_chroma(self) -> None:
        """As the app does it once questions can be answered, or before, where the library is large."""
        self.damage = self.home.look(self.database.last_change(), self.name)
        self.home.open()
        self.index.open_vectors()

    @property
    def name(self) -> str:
        return str(self.database.setting("library"))

    def load(self, path: Path) -> Record:
        """A file as it is now."""
        loaded = load_source(str(path), self.settings, private=True)
        assert loaded
        return as_record(str(path), loaded, private=True)

    def add(self, path: Path) -> int:
        """Returns the texts embedded."""
        embedded = self.ingest.run(self.load(path), lambda *_: None)
        self.ingest.writer.clean()
        return embedded

    def remove(self, path: Path) -> None:
        self.records.remove([str(path)])
        self.index.follow()
        self.ingest.writer.clean()

    def fill(self) -> None:
        if self.index.vectors.filling:
            self.index.fill(lambda *_: None, lambda: False)

    def finish(self) -> int:
        """Index what was loaded and not indexed. Returns the texts embedded."""
        before = len(self.embeddings.embedded)
        self.fill()
        for name in {*self.records.revisions.missing(self.index.id), *loaded_of(self.records)}:
            if record := self.ingest.stored(name):
                self.ingest.run(record, lambda *_: None)
        self.ingest.writer.clean()
        return len(self.embeddings.embedded) - before

    def rows(self) -> int:
        """The rows in the index's collection in Chroma, those included that wait for more."""
        self.ingest.writer.write_waiting()
        return self.home.client.get_collection(self.index.vectors.name).count()

    def find(self, question: str, k: int = 4, *, dense: bool = True) -> list[str]:
        return [item.page_content for item in Retriever(index=self.index, k=k, dense=dense).invoke(question)]

    def close(self) -> None:
        """As the app does it when nothing is under way."""
        if self.home.is_open:
            self.ingest.writer.write_waiting()
        self.home.close(self.database.last_change(), self.name)
        self.database.close()
        self.folder.release()


class Lexical:
    """An index of words in a temporary folder; a source is one revision at a time, named after it."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="rag-words-")
        self.path = Path(self._folder.name) / "words"
        self.index = WordIndex(self.path, "library")

    def fill(self, rows: Iterable[tuple[str, str, str]], gone: Iterable[str] = ()) -> None:
        """Rows are (chunk id, source, text)."""
        self.index.apply(self.index.number + 1, gone, (Row(row, source, source, text) for row, source, text in rows))

    def replace(self, source: str, rows: Iterable[tuple[str, str]]) -> None:
        self.fill(((row, source, text) for row, text in rows), [source])

    def remove(self, source: str) -> None:
        self.fill((), [source])

    @property
    def words(self) -> Words:
        return self.index.words


def on_disk(settings: Settings, state: str) -> set[str]:
    """The sources that the database has in this state, read while nobody has it open."""
    with sqlite3.connect(f"file:{settings.data_dir / FILE}?mode=ro", uri=True) as connection:
        return {source for (source,) in connection.execute("SELECT source FROM sources WHERE state = ?", [state])}


def half_written(index: SearchIndex) -> int:
    """The revisions that exist and that questions do not see."""
    return len(index.records.revisions.changes(index.id, -1).hidden)


def write(path: Path, *paragraphs: str) -> Path:
    path.write_text("\n\n".join(paragraphs), encoding="utf-8")
    return path


MOON = "The moon " + "pulls the sea " * 5
RIVER = "The river " + "runs to the sea " * 5
CHEESE = "The cheese " + "lies on the table " * 4
