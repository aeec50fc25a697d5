"""Chunks: slices of the text that no heading is alone in, and that stay where the text stays."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from langchain_core.documents import Document

from rag.library.records import Record
from rag.library.revisions import Made
from rag.library.splitter import LONGEST_PART, embedded_text, split_documents
from rag.settings import Settings
from rag.sources.loader import load_source
from rag.sources.tables import LONGEST_OPENING
from tests.conftest import ROOT, make_settings

CASES = ROOT / "tests" / "data" / "cases"


def record_of(path: Path, settings: Settings) -> Record:
    loaded = load_source(str(path), settings, private=True)
    assert loaded is not None
    return Record(str(path), loaded.title, [(item.page_content, item.metadata) for item in loaded.documents])


def chunks_of(
    record: Record, settings: Settings, old: Record | None = None, overlap: int | None = None
) -> list[Document]:
    """The chunks of a version, checked: slices of it, within the size, and nothing but blanks between them."""
    made = Made("paper", settings.chunk_size, settings.chunk_overlap if overlap is None else overlap)
    before = split_documents(old, made, None, []) if old else []
    chunks = split_documents(record, made, old, before)
    for text, data in record.documents:
        mine = [chunk for chunk in chunks if chunk.metadata["title"] == data["title"]]
        covered = 0
        for chunk in mine:
            start, length = chunk.metadata["start_index"], len(chunk.page_content)
            assert text[start : start + length] == chunk.page_content and 0 < length <= settings.chunk_size
            assert not text[covered:start].strip()
            covered = max(covered, start + length)
        assert not text[covered:].strip()
    return chunks


def is_heading_alone(chunk: Document) -> bool:
    return all(line.startswith("#") or not line.strip() for line in chunk.page_content.split("\n"))


@pytest.mark.parametrize(("size", "overlap"), [(1000, 200), (300, 0), (200, 50)])
def test_no_chunk_is_a_heading_alone(size: int, overlap: int, tmp_path: Path) -> None:
    settings = make_settings(tmp_path, chunk_size=size)
    paths = [CASES / "headingchunks" / "orchard.md", ROOT / "rag" / "guide.md", ROOT / "README.md"]
    for path in paths:
        chunks = chunks_of(record_of(path, settings), settings, overlap=overlap)
        assert len(chunks) > 5 and not any(map(is_heading_alone, chunks))


@pytest.mark.parametrize("ending", ["csv", "md"])
def test_each_chunk_of_a_long_row_tells_whose_it_is(ending: str, tmp_path: Path) -> None:
    settings = make_settings(tmp_path, chunk_size=300)
    names = [f"Share of the ward {number}, as of May (per 1000 people)" for number in range(30)]
    table = [["Land", "Ward", *names, "Notes"]]
    for ward in ("Kiel", "Plön", "Ulm"):
        table.append(["North", ward, *(f"{number}.5" for number in range(30)), "Counted late. In wards 1 to 3 twice."])
    rows = [",".join(f'"{cell}"' for cell in row) for row in table]
    if ending == "md":
        rows = [f"| {' | '.join(row)} |" for row in table]
        rows.insert(1, "|---" * len(table[0]) + "|")
    path = tmp_path / f"wards.{ending}"
    path.write_text("\n".join(rows), encoding="utf-8")
    record = record_of(path, settings)
    (text, _) = record.documents[0]
    chunks = chunks_of(record, settings)
    assert len(chunks) > 15
    for chunk in chunks:
        start = chunk.metadata["start_index"]
        line = text[text.rfind("\n", 0, start) + 1 :]
        if not text[:start] or text[start - 1] == "\n":
            assert "row" not in chunk.metadata
        else:
            opening = chunk.metadata["row"]
            assert opening.startswith("Land: North | Ward: ") and line.startswith(f"{opening} | ")
            assert len(opening) <= LONGEST_OPENING and opening in embedded_text(chunk)
            assert text[:start].endswith(" | ")  # between two cells


def test_a_row_of_one_long_cell_and_prose_with_bars(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, chunk_size=200)
    long = "Name: Kiel | Note: " + "It was counted late in that year. " * 20
    prose = "It is said that all of this is well known and not to be told again at any length. " * 5
    record = Record("a", "a", [(f"{long}\n\n{prose}", {"title": "a", "source": "a"})])
    chunks = chunks_of(record, settings)
    rows = [chunk.metadata.get("row") for chunk in chunks]
    assert rows[0] is None and rows[1] == "Name: Kiel"
    assert all(row is None for chunk, row in zip(chunks, rows, strict=True) if "It is said" in chunk.page_content)


def test_a_heading_stands_above_its_text(settings: Settings) -> None:
    chunks = chunks_of(record_of(CASES / "headingchunks" / "orchard.md", settings), settings)
    (pruning,) = [chunk for chunk in chunks if "## Pruning" in chunk.page_content]
    assert "Prune apple trees in February" in pruning.page_content
    assert all(chunk.page_content.count("## ") < 2 for chunk in chunks)


def test_a_last_heading_without_text_goes_with_what_is_before_it(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "a.md").write_text("# A\n\n" + "Some words. " * 60 + "\n\n## Nothing here", encoding="utf-8")
    chunks = chunks_of(record_of(tmp_path / "a.md", settings), settings)
    assert chunks[-1].page_content.endswith("Some words.\n\n## Nothing here")
    (tmp_path / "b.md").write_text("# A", encoding="utf-8")
    assert [chunk.page_content for chunk in chunks_of(record_of(tmp_path / "b.md", settings), settings)] == ["# A"]


def test_code_and_lists_stay_whole(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, chunk_size=300)
    code = "```python\nfirst = 1\n\n\nsecond = 2\n\nthird = 3\n```"
    listed = "What to bring:\n\n- a tent\n- a rope\n- a lamp"
    for number in range(1, 30):
        text = f"# A\n\n{'Words of a text. ' * number}\n\n{code}\n\n{'More of it. ' * 20}\n\n{listed}"
        (tmp_path / "a.md").write_text(text, encoding="utf-8")
        chunks = chunks_of(record_of(tmp_path / "a.md", settings), settings)
        for whole in (code, listed):
            assert any(whole in chunk.page_content for chunk in chunks), [chunk.page_content for chunk in chunks]


def test_short_lines_stay_together(settings: Settings) -> None:
    chunks = chunks_of(record_of(CASES / "shortlines" / "campsite.md", settings), settings)
    assert len(chunks) == 2
    for line in (
        "Pitch: Cabin | Price per night: 72 euros",
        "- Pool: 10 to 19",
        "warden: Greta Moll",
        "No open fires.",
    ):
        (chunk,) = [chunk for chunk in chunks if line in chunk.page_content.split("\n")]
        assert chunk.page_content.count("\n") > 5


@pytest.mark.parametrize("blank", [" ", ""])
def test_one_very_long_line_is_split(blank: str, tmp_path: Path, settings: Settings) -> None:
    services = {f"s{number}": {"port": number, "about": "x" * 40} for number in range(3000)}
    services["gamma"] = {"port": 4242, "about": "the one"}
    line = json.dumps(services, separators=("," + blank, ":" + blank))
    assert len(line) > 150_000 > LONGEST_PART
    (tmp_path / "a.log").write_text(line, encoding="utf-8")
    assert any(
        '"gamma"' in chunk.page_content for chunk in chunks_of(record_of(tmp_path / "a.log", settings), settings)
    )
    (tmp_path / "a.json").write_text(line, encoding="utf-8")
    chunks = chunks_of(record_of(tmp_path / "a.json", settings), settings)
    assert any("gamma | port: 4242 | about: the one" in chunk.page_content for chunk in chunks)


def test_sentences_are_not_cut(settings: Settings, tmp_path: Path) -> None:
    text = " ".join(f"This is sentence number {number} of a paragraph without any break in it." for number in range(90))
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    chunks = chunks_of(record_of(tmp_path / "a.txt", settings), settings)
    assert len(chunks) > 5 and all(chunk.page_content.endswith(".") for chunk in chunks)
    assert all(chunk.page_content.startswith("This") for chunk in chunks)


def test_what_has_not_changed_keeps_its_chunks(tmp_path: Path, settings: Settings) -> None:
    parts = [f"## Part {number}\n\n" + f"Words of part {number}. " * 60 for number in range(8)]
    (tmp_path / "a.md").write_text("# A\n\n" + "\n\n".join(parts), encoding="utf-8")
    old = record_of(tmp_path / "a.md", settings)
    before = chunks_of(old, settings)
    (tmp_path / "a.md").write_text("# A\n\n" + "\n\n".join([*parts[:4], "## New\n", *parts[4:]]), encoding="utf-8")
    after = chunks_of(record_of(tmp_path / "a.md", settings), settings, old)
    assert not any(map(is_heading_alone, after))
    kept = {chunk.page_content for chunk in before} & {chunk.page_content for chunk in after}
    assert len(kept) >= len(before) - 1


def test_random_edits_leave_slices(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, chunk_size=200)
    draw = random.Random(5)
    blocks = ["## Head", "### Deeper", "Some words.", "- item: 4", "A line that ends in:", "```\ncode\n\nmore\n```"]
    blocks += ["Long " * 80, "| a | b |\n|---|---|\n| 1 | 2 |"]
    chosen = draw.choices(blocks, k=30)
    old = None
    for _ in range(40):
        chosen[draw.randrange(len(chosen))] = draw.choice(blocks)
        (tmp_path / "a.md").write_text("\n\n".join(["Intro.", *chosen, "End."]), encoding="utf-8")
        record = record_of(tmp_path / "a.md", settings)
        assert not any(map(is_heading_alone, chunks_of(record, settings, old)))
        old = record


def test_files_of_an_archive_do_not_mix(settings: Settings) -> None:
    def record(*texts: str) -> Record:
        data = [{"source": "a.zip", "title": f"a.zip/{number}.md", "sections": []} for number in range(len(texts))]
        return Record(
            "a.zip", "a.zip", [(text, {**item, "notes": ["x"]}) for text, item in zip(texts, data, strict=True)]
        )

    old, new = record("One. " * 300, "Two. " * 300), record("One. " * 300, "Two, too. " * 300)
    chunks = chunks_of(new, settings, old)
    assert {chunk.metadata["title"] for chunk in chunks} == {"a.zip/0.md", "a.zip/1.md"}
    assert all("notes" not in chunk.metadata and "sections" not in chunk.metadata for chunk in chunks)
