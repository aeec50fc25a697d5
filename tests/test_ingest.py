"""From a source to rows: whole or not at all, nothing embedded twice, nothing cut, with real Chroma on disk."""

from __future__ import annotations

import random
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import rag.ingest
from rag.errors import EngineUnreachable, RagError, SourceError, StoreError, TextTooLong
from rag.ingest import Cancelled, Ingest
from rag.settings import Settings
from rag.store import DataFolder, Store
from tests.conftest import Pages, PaperEmbeddings, make_settings

PAPER = "openai:paper"
ADDRESS = "http://127.0.0.1:9"


class ShortWindow(PaperEmbeddings):
    """Takes no text longer than `window` characters."""

    def __init__(self, window: int) -> None:
        super().__init__()
        self.window = window

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        if any(len(text) > self.window for text in texts):
            raise TextTooLong("A text is longer than the window.")
        return super().embed_documents(texts)


class Failing(PaperEmbeddings):
    """Fails from the request numbered `fail_at` (from 1) on."""

    def __init__(self, fail_at: int, error: Exception) -> None:
        super().__init__()
        self.fail_at = fail_at
        self.error = error
        self.requests = 0

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.requests += 1
        if self.requests >= self.fail_at:
            raise self.error
        return super().embed_documents(texts)


class Run:
    """One run of the app as far as it concerns ingest: the folder locked, the store open."""

    def __init__(self, settings: Settings, embeddings: PaperEmbeddings | None = None) -> None:
        self.settings = settings
        self.embeddings = embeddings or PaperEmbeddings()
        self.folder = DataFolder(settings.data_dir)
        self.folder.acquire()
        splitter = (settings.chunk_size, settings.chunk_overlap)
        self.store = Store(self.folder, self.embeddings, (PAPER, ADDRESS), splitter)
        self.work = Ingest(self.store, self.embeddings, settings)
        self.told: list[tuple[str, int, int]] = []

    def progress(self, source: str, done: int, total: int) -> None:
        self.told.append((source, done, total))

    def ingest(self, source: str | Path) -> int:
        return self.work.ingest(str(source), self.progress, named_at_start=True)

    def finish(self) -> int:
        return self.work.finish(self.progress)

    def found(self, question: str, k: int = 50) -> list[str]:
        return [item.page_content for item in self.store.vector_store().similarity_search(question, k)]

    def rows(self) -> dict[str, tuple[str, dict[str, Any]]]:
        """Every row in Chroma, seen or hidden: id -> (text, metadata)."""
        rows = self.store.vector_store().get(include=["documents", "metadatas"])
        return dict(zip(rows["ids"], zip(rows["documents"], rows["metadatas"], strict=True), strict=True))

    def chunks_of(self, source: str | Path) -> list[tuple[str, dict[str, Any]]]:
        rows = [row for row in self.rows().values() if row[1]["source"] == str(source)]
        return sorted(rows, key=lambda row: row[1]["number"])

    def close(self) -> None:
        self.store.close()
        self.folder.release()


Runner = Callable[..., Run]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Runner]:
    """Starts a run on the test's folder; what ran before is ended first."""
    runs: list[Run] = []

    def start_one(embeddings: PaperEmbeddings | None = None, size: int = 100, overlap: int = 0) -> Run:
        while runs:
            runs.pop().close()
        settings = make_settings(tmp_path, embeddings=PAPER, chunk_size=size, chunk_overlap=overlap)
        runs.append(Run(settings, embeddings))
        return runs[-1]

    yield start_one
    while runs:
        runs.pop().close()


WORDS = ("cheese", "plan", "tool", "task", "river", "agent", "memory", "moon")


def paragraphs(count: int, word: str = "moon") -> str:
    """Paragraphs of which each becomes a chunk of its own at 100 characters."""
    return "\n\n".join(f"Entry {number:05d} on the {word} {'and so on ' * 5}" for number in range(count))


def assert_whole(run: Run, source: str | Path) -> None:
    """Numbers from 0 without a gap, one last row, and every chunk word for word where it says it is."""
    record = run.folder.read(str(source))
    assert record
    chunks = run.chunks_of(source)
    assert [metadata["number"] for _, metadata in chunks] == list(range(len(chunks)))
    assert [bool(metadata.get("last")) for _, metadata in chunks] == [False] * (len(chunks) - 1) + [True]
    assert len({metadata["revision"] for _, metadata in chunks}) == 1
    for text, metadata in chunks:
        whole = record.documents[metadata.get("page", 1) - 1][0]
        assert metadata["start_index"] >= 0
        assert whole[metadata["start_index"] : metadata["start_index"] + len(text)] == text
    assert [(item.source, item.chunks) for item in run.store.sources if item.source == str(source)] == [
        (str(source), len(chunks))
    ]


# -- the same again ----------------------------------------------------------------------------------------------------


def test_the_same_source_ten_times_is_the_same_rows_embedded_once(start: Runner, tmp_path: Path) -> None:
    page = tmp_path / "moon.txt"
    page.write_text(paragraphs(70))
    run = start()
    assert run.ingest(page) == 70
    rows = run.rows()
    assert len(rows) == 70
    for _ in range(9):
        assert run.ingest(page) == 0
    assert run.rows() == rows
    assert len(run.embeddings.embedded) == 70
    assert_whole(run, page)
    assert run.told[0] == (str(page), 0, 70) and run.told[-1] == (str(page), 70, 70)


def test_an_unchanged_restart_embeds_nothing(start: Runner, tmp_path: Path) -> None:
    page = tmp_path / "moon.txt"
    page.write_text(paragraphs(40))
    run = start()
    run.ingest(page)
    rows = run.rows()
    for _ in range(3):
        run = start()
        assert run.finish() == 0
        assert run.ingest(page) == 0
        assert run.embeddings.embedded == []
        assert run.rows() == rows
        assert run.store.chunks == 40


def test_of_a_changed_page_only_what_changed_is_embedded(start: Runner, pages: Pages) -> None:
    source = f"{pages.url}/page"
    entries = [f"<p>Entry {number:03d} about the moon {'and so on ' * 5}</p>" for number in range(60)]
    pages.pages["/page"] = "<article>" + "".join(entries) + "</article>"
    run = start()
    assert run.ingest(source) == 60
    before = run.rows()
    entries[17] = entries[17].replace("moon", "cheese")
    del entries[40]
    pages.pages["/page"] = "<article>" + "".join(entries) + "</article>"
    run.embeddings.embedded.clear()
    assert run.ingest(source) == 1
    assert [text.startswith("Entry 017 about the cheese") for text in run.embeddings.embedded] == [True]
    assert_whole(run, source)
    texts = [text for text, _ in run.chunks_of(source)]
    assert len(texts) == 59
    assert not any(text.startswith(("Entry 017 about the moon", "Entry 040")) for text in texts)
    assert not before.keys() & run.rows().keys(), "the rows of the version before are gone"
    assert run.found("cheese", 1)[0].startswith("Entry 017 about the cheese")
    assert len(run.found("moon", 99)) == 59
    [record] = run.folder.records()
    assert "Entry 040" not in record.documents[0][0]
    assert list(run.folder.records(unfinished=True)) == []


def test_a_page_that_comes_back_to_what_it_was(start: Runner, tmp_path: Path) -> None:
    page = tmp_path / "moon.txt"
    run = start()
    for text in (paragraphs(40), paragraphs(35, "cheese"), paragraphs(40)):
        page.write_text(text)
        run.ingest(page)
        assert_whole(run, page)
        assert len(run.rows()) == len(run.chunks_of(page)) == text.count("Entry")


def test_equal_chunks_are_rows_of_their_own(start: Runner, tmp_path: Path) -> None:
    page = tmp_path / "refrain.txt"
    line = "The moon is over the river, and nobody in the town has seen who put it there this time, they say."
    page.write_text("\n\n".join([line] * 40 + ["cheese"] + [line] * 40))
    run = start()
    run.ingest(page)
    assert_whole(run, page)
    assert len(run.chunks_of(page)) == 81
    assert run.found("moon", 200).count(line) == 80


def test_one_text_in_two_sources_belongs_to_both(start: Runner, tmp_path: Path) -> None:
    run = start()
    for name in ("one.txt", "two.txt"):
        (tmp_path / name).write_text(paragraphs(5))
        assert run.ingest(tmp_path / name) == 5
        assert_whole(run, tmp_path / name)
    run.store.remove(str(tmp_path / "one.txt"))
    assert_whole(run, tmp_path / "two.txt")
    assert len(run.rows()) == 5


# -- where a chunk is --------------------------------------------------------------------------------------------------


def odd_text(seed: int) -> str:
    """Words that repeat, blank lines, long runs without a space, letters of one to four bytes."""
    dice = random.Random(seed)
    parts = (
        "a",
        "a a",
        "the moon",
        "river",
        "\n",
        "\n\n",
        "  ",
        "\t",
        "é",
        "e\u0301",
        "月",
        "🧀",
        "x" * 130,
        "月" * 120,
        ". ",
    )
    return "start " + "".join(dice.choice(parts) + dice.choice(("", " ")) for _ in range(400)) + " end"


@pytest.mark.parametrize("overlap", [0, 20, 50])
def test_every_chunk_is_where_it_says_it_is(start: Runner, tmp_path: Path, overlap: int) -> None:
    run = start(overlap=overlap)
    for seed in range(4):
        page = tmp_path / f"odd-{seed}.txt"
        page.write_text(odd_text(seed), encoding="utf-8")
        run.ingest(page)
        assert_whole(run, page)


def pdf_of(texts: list[str]) -> bytes:
    """A PDF with a line of text on each page."""
    count = len(texts)
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(count))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {count} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, text in enumerate(texts):
        stream = f"BT /F1 8 Tf 20 700 Td ({text}) Tj ET"
        objects.append(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >>"
            f" /Contents {5 + 2 * number} 0 R >>"
        )
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    data = b"%PDF-1.4\n"
    offsets = []
    for number, item in enumerate(objects, start=1):
        offsets.append(len(data))
        data += f"{number} 0 obj\n{item}\nendobj\n".encode()
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    trailer = f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{len(data)}\n%%EOF\n"
    return data + f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}{trailer}".encode()


def test_the_chunks_of_a_pdf_keep_their_page(start: Runner, tmp_path: Path) -> None:
    paper = tmp_path / "paper.pdf"
    paper.write_bytes(pdf_of([f"Page {page}: {WORDS[page]} and then {'more of it ' * 15}" for page in range(4)]))
    run = start()
    run.ingest(paper)
    assert_whole(run, paper)
    assert {metadata["page"] for _, metadata in run.chunks_of(paper)} == {1, 2, 3, 4}
    for page in range(4):
        [nearest] = run.store.vector_store().similarity_search(WORDS[page], 1)
        assert nearest.metadata["page"] == page + 1
        assert nearest.metadata["title"] == "paper.pdf"
        assert nearest.page_content.startswith(f"Page {page}: {WORDS[page]}")


# -- too long for the model --------------------------------------------------------------------------------------------


def covered(run: Run, source: str | Path) -> str:
    """What no chunk has, white space left out."""
    record = run.folder.read(str(source))
    assert record
    [(whole, _)] = record.documents
    seen = [False] * len(whole)
    for text, metadata in run.chunks_of(source):
        start = metadata["start_index"]
        seen[start : start + len(text)] = [True] * len(text)
    return "".join(letter for letter, there in zip(whole, seen, strict=True) if not there and not letter.isspace())


LONG_TEXTS = {
    "words": " ".join(f"{number}:{WORDS[number % 8]}" for number in range(600)),
    "no spaces": "".join(chr(0x4E00 + number) for number in range(900)),
    "one space at the end": "x" * 99 + " " + "y" * 99 + " z",
    "four-byte letters": "🧀🌔" * 150,
    "short and long": paragraphs(3) + "\n\n" + "".join(map(str, range(400))) + "\n\ntiny",
}


@pytest.mark.parametrize("name", LONG_TEXTS)
@pytest.mark.parametrize("window", [99, 40, 9])
def test_what_is_too_long_for_the_model_is_split_and_never_cut(
    start: Runner, tmp_path: Path, name: str, window: int
) -> None:
    page = tmp_path / "long.txt"
    page.write_text(LONG_TEXTS[name], encoding="utf-8")
    run = start(ShortWindow(window))
    run.ingest(page)
    assert_whole(run, page)
    assert max(len(text) for text, _ in run.chunks_of(page)) <= window
    assert covered(run, page) == ""
    if name == "no spaces":
        assert "".join(text for text, _ in run.chunks_of(page)) == LONG_TEXTS[name], "and nothing is there twice"
    again = start(ShortWindow(window))
    assert again.finish() == 0 and again.ingest(page) == 0
    assert again.embeddings.embedded == []


def test_a_model_that_takes_nothing_says_so_and_the_version_before_stays(start: Runner, tmp_path: Path) -> None:
    page = tmp_path / "moon.txt"
    page.write_text("The moon.")
    run = start(ShortWindow(20))
    run.ingest(page)
    page.write_text("The moon over the river.")
    run.embeddings.window = 3
    with pytest.raises(TextTooLong, match="refuses even"):
        run.ingest(page)
    assert run.found("moon") == ["The moon."]


def test_a_window_that_grows_between_two_attempts_leaves_no_piece_behind(start: Runner, tmp_path: Path) -> None:
    page = tmp_path / "long.txt"
    page.write_text(LONG_TEXTS["words"])
    run = start(ShortWindow(20))
    stop = run.told.append

    def cancel_late(told: tuple[str, int, int]) -> None:
        stop(told)
        if told[1] == 32:
            run.work.cancelled.set()

    run.progress = lambda *told: cancel_late(told)  # type: ignore[method-assign]
    with pytest.raises(Cancelled):
        run.ingest(page)
    run = start(ShortWindow(1000))
    run.finish()
    assert_whole(run, page)
    assert max(len(text) for text, _ in run.chunks_of(page)) > 20


# -- cut short ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fail_at", [1, 2, 4])
def test_when_the_model_fails_in_the_middle_the_version_before_answers(
    start: Runner, tmp_path: Path, fail_at: int
) -> None:
    page, fresh = tmp_path / "moon.txt", tmp_path / "fresh.txt"
    page.write_text(paragraphs(40))
    fresh.write_text(paragraphs(100, "tool"))
    start().ingest(page)
    page.write_text(paragraphs(100, "cheese"))
    run = start(Failing(fail_at, ConnectionError("the engine went away")))
    for source in (page, fresh):
        run.embeddings.requests = 0
        with pytest.raises(EngineUnreachable, match=ADDRESS):
            run.ingest(source)
    assert len(run.rows()) == 40 + 2 * 32 * (fail_at - 1)
    assert len(run.found("moon cheese tool", 500)) == 40
    assert all("moon" in text for text in run.found("moon cheese tool", 500))
    assert [(item.source, item.chunks) for item in run.store.sources] == [(str(page), 40)]
    again = start()
    assert len(again.found("moon cheese tool", 500)) == 40, "nor is it half there after a restart"
    assert again.finish() == 2 * (100 - 32 * (fail_at - 1)), "what was embedded before is not embedded again"
    assert_whole(again, page)
    assert_whole(again, fresh)
    assert len(again.rows()) == 200
    assert list(again.folder.records(unfinished=True)) == []


def test_the_next_ingest_completes_what_failed(start: Runner, tmp_path: Path) -> None:
    page = tmp_path / "moon.txt"
    page.write_text(paragraphs(100))
    run = start(Failing(3, ConnectionError("the engine went away")))
    with pytest.raises(EngineUnreachable):
        run.ingest(page)
    run.embeddings.fail_at = 99
    assert run.ingest(page) == 100 - 64
    assert_whole(run, page)
    assert len(run.embeddings.embedded) == 100


def test_a_failed_version_does_not_come_back_after_the_page_went_back(start: Runner, tmp_path: Path) -> None:
    page = tmp_path / "moon.txt"
    page.write_text(paragraphs(5))
    run = start()
    run.ingest(page)
    page.write_text(paragraphs(5, "cheese"))
    run = start(Failing(1, ConnectionError("the engine went away")))
    with pytest.raises(EngineUnreachable):
        run.ingest(page)
    page.write_text(paragraphs(5))
    assert run.ingest(page) == 0, "this is what is indexed"
    page.unlink()
    again = start()
    again.finish()
    assert all("moon" in text for text in again.found("moon"))
    assert_whole(again, page)


def test_one_text_that_the_engine_refuses_does_not_hold_up_the_others(start: Runner, tmp_path: Path) -> None:
    class Picky(PaperEmbeddings):
        refuses = True

        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            if self.refuses and any("cheese" in text for text in texts):
                raise ValueError("unsupported value: NaN")
            return super().embed_documents(texts)

    sources = [tmp_path / f"{word}.txt" for word in WORDS]
    for source in sources:
        source.write_text(paragraphs(2, source.stem))
        run = start(Failing(1, ConnectionError("not yet")))
        with pytest.raises(EngineUnreachable):
            run.ingest(source)
    run = start(Picky())
    with pytest.raises(RagError):
        run.finish()
    assert {item.source for item in run.store.sources} == {str(s) for s in sources if s.stem != "cheese"}


def test_too_few_vectors_are_an_error_and_nothing_is_stored(
    start: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "moon.txt"
    page.write_text(paragraphs(5))
    run = start()
    with monkeypatch.context() as patch:
        patch.setattr(run.embeddings, "embed_documents", lambda texts: [[1.0] * 9] * (len(texts) - 1))
        with pytest.raises(StoreError, match="gave 4 vectors for 5 texts"):
            run.ingest(page)
    assert run.rows() == {} and run.found("moon") == [] and run.store.sources == []
    assert run.ingest(page) == 5
    assert_whole(run, page)


def test_cancelled_in_the_middle_and_finished_at_the_next_start(start: Runner, tmp_path: Path) -> None:
    page = tmp_path / "moon.txt"
    page.write_text(paragraphs(20))
    run = start()
    run.ingest(page)
    page.write_text(paragraphs(150, "cheese"))

    def cancel(source: str, done: int, total: int) -> None:
        if done == 64:
            run.work.cancelled.set()

    with pytest.raises(Cancelled):
        run.work.ingest(str(page), cancel, named_at_start=True)
    assert len(run.rows()) == 20 + 64
    assert len(run.found("moon cheese", 500)) == 20
    with pytest.raises(Cancelled):
        run.finish()
    again = start()
    page.unlink()
    assert len(again.found("moon cheese", 500)) == 20
    assert again.finish() == 150 - 64
    assert_whole(again, page)
    assert len(again.rows()) == 150


def test_a_source_that_cannot_be_loaded_leaves_what_is_indexed(start: Runner, pages: Pages) -> None:
    source = f"{pages.url}/page"
    pages.pages["/page"] = "<article>The moon.</article>"
    run = start()
    run.ingest(source)
    rows = run.rows()
    for answer in ((500, {}, "down"), (404, {}, "gone"), "<article></article>"):
        pages.pages["/page"] = answer
        with pytest.raises(SourceError):
            run.ingest(source)
    assert run.rows() == rows and run.found("moon") == ["The moon."]
    assert list(run.folder.records(unfinished=True)) == []


def test_a_file_whose_name_is_no_utf8_is_read_or_refused_by_name(start: Runner, tmp_path: Path) -> None:
    name = str(tmp_path / "caf\udce9.txt")  # as a folder made long ago in Latin-1 has it
    try:
        Path(name).write_text("The moon.")
    except OSError:
        pytest.skip("this file system has no such names")
    run = start()
    try:
        run.ingest(name)
    except SourceError as error:
        assert "name" in error.reason
        str(error).encode()
    else:
        assert run.found("moon") == ["The moon."]


def test_texts_that_cannot_be_kept_are_a_store_error(start: Runner, tmp_path: Path) -> None:
    page = tmp_path / "moon.txt"
    page.write_text("The moon.")
    run = start()
    run.ingest(page)
    texts = run.settings.data_dir / "texts"
    shutil.rmtree(texts)
    texts.write_text("in the way")
    page.write_text("The moon over the river.")
    with pytest.raises(StoreError):
        run.ingest(page)
    assert run.found("moon") == ["The moon."]


def test_a_nearly_full_disk_stops_new_texts_but_not_answers(
    start: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "moon.txt"
    page.write_text("The moon.")
    run = start()
    run.ingest(page)
    page.write_text("The moon over the river.")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=2**20))
    with pytest.raises(StoreError, match="Only 1 MiB are free"):
        run.ingest(page)
    assert run.found("moon") == ["The moon."]
    assert list(run.folder.records(unfinished=True)) == []


def test_two_ingests_at_once_come_one_after_the_other(start: Runner, tmp_path: Path) -> None:
    run = start()
    sources = []
    for number in range(4):
        sources.append(tmp_path / f"{number}.txt")
        sources[-1].write_text(paragraphs(40, WORDS[number]))
    failures: list[BaseException] = []

    def ingest(source: Path) -> None:
        try:
            run.ingest(source)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=ingest, args=(source,)) for source in sources * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
    for source in sources:
        assert_whole(run, source)
    assert len(run.rows()) == 160 == len(run.embeddings.embedded)


# -- rebuilt from the texts --------------------------------------------------------------------------------------------


@pytest.fixture
def two_sources(start: Runner, tmp_path: Path) -> list[Path]:
    """Two sources that were ingested, and whose files are no more."""
    run = start()
    sources = [tmp_path / "moon.txt", tmp_path / "cheese.txt"]
    for source in sources:
        source.write_text(paragraphs(35, source.stem))
        run.ingest(source)
        source.unlink()
    run.close()
    return sources


def test_another_chunk_size_indexes_again_from_the_texts(start: Runner, two_sources: list[Path]) -> None:
    run = start(size=300, overlap=50)
    assert run.store.sources == [] and run.found("moon") == []
    embedded = run.finish()
    for source in two_sources:
        assert_whole(run, source)
        assert 100 < max(len(text) for text, _ in run.chunks_of(source)) <= 300
    assert embedded == run.store.chunks == len(run.rows()), "nothing of the old size is left"
    back = start()
    back.finish()
    assert back.store.chunks == 70 == len(back.rows())


def test_an_index_that_is_gone_is_built_again_from_the_texts(start: Runner, two_sources: list[Path]) -> None:
    run = start()
    rows = run.rows()
    run.close()
    shutil.rmtree(run.settings.data_dir / "chroma")
    run = start()
    assert run.store.sources == []
    assert run.finish() == 70
    assert run.rows() == rows
    for source in two_sources:
        assert_whole(run, source)


def test_texts_that_are_gone_take_no_answers_with_them(start: Runner, two_sources: list[Path]) -> None:
    run = start()
    rows = run.rows()
    run.close()
    shutil.rmtree(run.settings.data_dir / "texts")
    run = start()
    assert sorted((item.source, item.chunks) for item in run.store.sources) == sorted((str(s), 35) for s in two_sources)
    assert run.finish() == 0
    assert run.rows() == rows
    assert len(run.found("moon", 500)) == 70


def test_texts_that_are_gone_are_kept_again_once_loaded(start: Runner, two_sources: list[Path]) -> None:
    run = start()
    run.close()
    for gone in ("texts", "chroma"):
        shutil.rmtree(run.settings.data_dir / gone)
        run = start()
        run.finish()
        for source in two_sources:
            source.write_text(paragraphs(35, source.stem))
            if gone == "texts":
                assert run.ingest(source) == 0
            source.unlink()
        for source in two_sources:
            assert_whole(run, source)
        run.close()


def test_a_half_written_source_without_its_texts_is_not_seen(start: Runner, tmp_path: Path) -> None:
    page = tmp_path / "moon.txt"
    page.write_text(paragraphs(100))
    run = start(Failing(3, ConnectionError("the engine went away")))
    with pytest.raises(EngineUnreachable):
        run.ingest(page)
    run.close()
    shutil.rmtree(run.settings.data_dir / "texts")
    run = start()
    assert run.store.sources == [] and run.found("moon") == []
    run.finish()
    assert run.rows() == {}
    assert run.ingest(page) == 100
    assert_whole(run, page)


def test_another_model_gets_rows_of_its_own_from_the_texts(start: Runner, two_sources: list[Path]) -> None:
    run = start()
    rows = run.rows()
    other = PaperEmbeddings()
    store = Store(run.folder, other, ("openai:other", ADDRESS), run.store.splitter)
    assert Ingest(store, other, run.settings).finish(run.progress) == 70
    assert store.chunks == 70
    assert run.rows() == rows
    store.close()


# -- much --------------------------------------------------------------------------------------------------------------


def test_twelve_thousand_chunks_in_one_source(start: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rag.ingest, "BATCH", 6000)  # more than Chroma takes in one call
    book = tmp_path / "book.txt"
    count = 12_000
    book.write_text("\n\n".join(f"{number:05d} {WORDS[number % 8]} {'-' * 60}" for number in range(count)))
    run = start()
    assert run.store._client.get_max_batch_size() < 6000
    assert run.ingest(book) == count
    assert run.store.chunks == count
    assert_whole(run, book)
    run = start()
    assert run.store.chunks == count
    assert run.finish() == 0
    assert "moon" in run.found("moon", 1)[0]
    run.store.remove(str(book))
    assert run.rows() == {}
