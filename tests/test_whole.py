"""Whole documents, lists, comparisons and the library itself: what is told, its receipt, and its marks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from langchain_core.prompt_values import PromptValue

from rag.answers.build import Chains
from rag.answers.stream import Run
from rag.answers.told import INDIRECT
from rag.answers.update import Update
from rag.answers.whole.receipt import ChatReader
from rag.models.choose import Chat
from rag.models.state import Engine
from rag.page.conversation import show_answer
from rag.sources.loader import GUIDE_PATH
from tests.conftest import Script, ScriptedChat, make_settings
from tests.minilm import shared_minilm
from tests.ways import SOURCES, Ways, library_of


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ways]:
    with library_of(tmp_path_factory.mktemp("whole"), shared_minilm(), *SOURCES, Path(str(GUIDE_PATH))) as made:
        yield made


def named(ways: Ways, name: str) -> str:
    return next(item.source for item in ways.index.sources if item.source.endswith(name))


def check_marks(told: dict[str, Any]) -> None:
    """Each sentence lies in the answer, in order, and its quote in its passage."""
    end = 0
    for sentence in told["grounding"]:
        assert end <= sentence.start < sentence.end <= len(told["answer"])
        end = sentence.end
        if sentence.passage is not None:
            start, stop = sentence.quote
            assert told["passages"][sentence.passage - 1].page_content[start:stop].strip()


class Reader:
    """Gives the same reply to each prompt, word by word, and notes the prompts; it is silent from a `last` one on."""

    def __init__(self, room: int, reply: str, last: int | None = None) -> None:
        self.prompts: list[str] = []
        self.reader = ChatReader(self.write, room)
        self._reply, self._last = reply, last

    async def write(self, prompt: PromptValue) -> AsyncGenerator[dict[str, Any], None]:
        self.prompts.append(prompt.to_string())
        if self._last and len(self.prompts) > self._last:
            await asyncio.Event().wait()
        for word in self._reply.split(" "):
            yield {"answer": f"{word} "}


def test_an_extract_reads_every_passage_and_quotes_each_section(ways: Ways) -> None:
    told = ways.told("Summarise this", [named(ways, "tram.md")])
    assert told["coverage"] == "read 4 of 4 passages of 1 source"
    text = told["answer"]
    for heading, word in (("Vehicles", "wheels"), ("Operation", "minutes"), ("Accidents", "1926")):
        assert word in text.split(f"**{heading}**")[1].split("**")[0]
    check_marks(told)
    # What is broken into lines in the file is quoted as whole sentences.
    quoted = [sentence for sentence in told["grounding"] if sentence.passage]
    assert len(quoted) >= 6 and all(text[sentence.end - 1] == "." for sentence in quoted)
    assert all(sentence.claims == (sentence.passage is not None) for sentence in told["grounding"])


def test_the_receipt_is_true_at_any_moment(ways: Ways) -> None:
    pieces = asyncio.run(ways.answer("Summarise this", [named(ways, "guide.md")]))
    done = [piece["progress"] for piece in pieces if "progress" in piece]
    total = ways.index.source(named(ways, "guide.md")).chunks  # type: ignore[union-attr]
    assert done[0] == (0, total) and done[-1] == (total, total) and len(done) > 3
    assert [read for read, _ in done] == sorted(read for read, _ in done)
    for piece in pieces:
        assert piece["coverage"] == f"read {piece['progress'][0]} of {total} passages of 1 source"


def test_all_sources_are_read_and_tables_are_told_by_their_columns(ways: Ways) -> None:
    told = ways.told("Give me an overview of everything")
    assert told["coverage"] == f"read {ways.index.chunks} of {ways.index.chunks} passages of 6 sources"
    assert "- 57 × date (2025-01-01 – 2025-03-01), ward, visitors (20 – 50)" in told["answer"]
    for item in ways.index.sources:
        assert f"**{item.title}**" in told["answer"]
    check_marks(told)


def test_a_capable_model_reads_a_short_source_at_once(ways: Ways) -> None:
    reader = Reader(8000, "The tram of Lindau opened in 1898. It could fly.")
    told = ways.told("Summarise tram.md", reader=reader.reader)
    assert told["answer"].strip() == "The tram of Lindau opened in 1898. It could fly."
    (prompt,) = reader.prompts
    assert "Two of them\nare kept in the museum" in prompt and "led to new brakes" in prompt
    assert told["coverage"] == "read 4 of 4 passages of 1 source"
    true, false = told["grounding"]
    assert true.passage == 1 and "1898" in told["passages"][0].page_content and false.passage is None
    check_marks(told)


def test_a_long_source_is_read_in_groups_and_reduced(ways: Ways) -> None:
    reader = Reader(1500, "An agent chooses actions.")
    scope = [named(ways, "guide.md")]
    told = ways.told("Summarise this", scope, reader.reader)
    *maps, reduced = reader.prompts
    assert len(maps) > 2
    chunks = ways.index.records.revisions.chunks_of(ways.index.source(scope[0]).revision)  # type: ignore[union-attr]
    for chunk in chunks:
        assert sum(chunk.page_content in prompt for prompt in maps) == 1
    assert reduced.count("An agent chooses actions.") == len(maps)
    assert told["answer"].count("An agent chooses actions.") == len(maps) + 1
    assert told["coverage"] == f"read {len(chunks)} of {len(chunks)} passages of 1 source"
    check_marks(told)


def test_a_stop_in_the_middle_leaves_what_is_there_with_a_true_receipt(ways: Ways) -> None:
    async def stopped() -> Update:
        reader = Reader(1500, "An agent chooses actions.", last=2)
        course = await ways.course("Summarise this", [named(ways, "guide.md")])
        assert course.answer is not None
        run = Run(course.answer(reader.reader), Engine("e", "here", lambda: "reading"), 0.0, first_token=27)
        async with aclosing(run.updates()) as updates:
            async for update in updates:
                if len(reader.prompts) > 2:
                    return update
        raise AssertionError("it ended")

    update = asyncio.run(stopped())
    assert update.progress is not None
    read, total = update.progress
    assert 0 < read < total and update.coverage == f"read {read} of {total} passages of 1 source"
    assert "An agent chooses actions." in update.text and update.grounding
    assert update.text.count("An agent chooses actions.") == 2
    (answer, note) = show_answer(update, "Summarise this")
    assert "An agent chooses actions." in str(answer.content)
    assert update.coverage in str((note.metadata or {})["title"])


def test_a_note_that_does_not_fit_is_reduced_in_steps(ways: Ways) -> None:
    reader = Reader(600, "Agents plan and act. " * 20)
    told = ways.told("Summarise this", [named(ways, "guide.md")], reader.reader)
    assert max(len(prompt.encode()) for prompt in reader.prompts) < 600 * 3 + 2400
    assert told["answer"].strip()


def test_the_library_tells_of_itself(ways: Ways) -> None:
    told = ways.told("Which files do I have?")
    assert told["passages"] == [] and told["coverage"] == "read the list of 6 sources"
    for item in ways.index.sources:
        assert f"passages: {item.chunks}," in next(line for line in told["answer"].split("\n") if item.title in line)
    assert told["answer"].startswith(f"Sources in the library: 6, passages in all: {ways.index.chunks} (Markdown 4,")
    assert "Quellen in der Bibliothek: 6" in ways.told("Wie viele Dokumente gibt es?")["answer"]
    last = max(ways.index.sources, key=lambda item: item.loaded_at)
    latest = ways.told("What did I add last?")["answer"].split("\n")
    assert latest[1] == "Added last:" and last.title in latest[3] and len(latest) == 8
    one = ways.told("When was tram.md added?")["answer"]
    assert "The tram of Lindau" in one and "Heat pumps" not in one


@pytest.mark.parametrize(
    ("question", "first", "items"),
    [
        ("List all rules", "Rules: 3", ["Dogs stay on a leash.", "Quiet from ten.", "No open fires."]),
        ("How many rules are there?", "Rules: 3", ["Dogs stay on a leash.", "Quiet from ten.", "No open fires."]),
        (
            "How many sections does tram.md have?",
            "The tram of Lindau: 4",
            ["History", "Vehicles", "Operation", "Accidents"],
        ),
        (
            "Wie viele Kapitel hat heatpumps.md?",
            "Heat pumps at home: 4",
            ["How a heat pump works", "Air source", "Ground source", "Grants"],
        ),
    ],
)
def test_lists_are_counted(question: str, first: str, items: Sequence[str], ways: Ways) -> None:
    told = ways.told(question)
    assert told["answer"].split("\n") == [first, "", *(f"- {item}" for item in items)]
    check_marks(told)
    for item, sentence in zip(items, told["grounding"][1:], strict=True):
        start, end = sentence.quote
        assert item in told["passages"][sentence.passage - 1].page_content[start:end]


def test_a_comparison_quotes_each_side(ways: Ways) -> None:
    told = ways.told("Compare tram.md with heatpumps.md")
    assert told["coverage"] == "read 3 passages on tram.md and 3 passages on heatpumps.md"
    _, tram, pumps = (
        told["answer"].split("**tram.md**")[0],
        *told["answer"].split("**tram.md**")[1].split("**heatpumps.md**"),
    )
    assert "tram" in tram and "pump" in pumps
    assert {passage.metadata["source"] for passage in told["passages"]} == {
        named(ways, "tram.md"),
        named(ways, "heatpumps.md"),
    }
    check_marks(told)


def test_a_comparison_gives_a_model_the_passages_of_both(ways: Ways) -> None:
    reader = Reader(4000, "The tram of Lindau opened in 1898.")
    told = ways.told("Compare tram.md with heatpumps.md", reader=reader.reader)
    (prompt,) = reader.prompts
    assert all(passage.page_content in prompt for passage in told["passages"])
    assert told["grounding"][0].passage is not None


@pytest.mark.parametrize("model", ["scripted", "none"])
def test_the_chain_takes_the_way(model: str, ways: Ways, tmp_path: Path) -> None:
    chains = Chains(make_settings(tmp_path))
    chat = ScriptedChat(script=Script(["The tram of Lindau opened in 1898."])) if model == "scripted" else None
    chains.link(ways.index, Chat(chat, 8000))
    assert chains.own is not None
    counted = asyncio.run(chains.own.ainvoke({"question": "How many rows does visits.csv have?"}))
    assert counted["answer"] == "visits.csv has 57 rows." and counted["coverage"] == "read 57 of 57 rows of visits.csv"
    short = asyncio.run(chains.own.ainvoke({"question": "Summarise tram.md"}))
    assert short["coverage"] == "read 4 of 4 passages of 1 source"
    assert (short["answer"].strip() == "The tram of Lindau opened in 1898.") == (chat is not None)
    assert short["grounding"][-1].passage


def test_a_small_model_is_not_asked_to_read_whole_documents(ways: Ways, tmp_path: Path) -> None:
    chains = Chains(make_settings(tmp_path))
    chat = ScriptedChat(script=Script(["Nonsense."]))
    chains.link(ways.index, Chat(chat, 2000, "small"))
    assert chains.own is not None
    told = asyncio.run(chains.own.ainvoke({"question": "Summarise tram.md"}))
    assert "Nonsense" not in told["answer"] and "**Vehicles**" in told["answer"] and not chat.script.asked


def test_a_table_that_cannot_be_told_from_another_is_not_counted(tmp_path: Path, ways: Ways) -> None:
    for name, rows in (("orders.csv", 3), ("old orders.csv", 5)):
        lines = [f"{number},{'open' if number % 2 else 'shipped'}" for number in range(rows)]
        (tmp_path / name).write_text("number,status\n" + "\n".join(lines) + "\n", encoding="utf-8")
    with library_of(tmp_path, ways.index.embeddings, *sorted(tmp_path.glob("*.csv"))) as two:
        assert two.told("How many orders are open in old orders.csv?")["answer"].startswith("2 of 5 rows of old orders")
        assert two.told("How many rows does orders.csv have?")["answer"] == "orders.csv has 3 rows."
        course = asyncio.run(two.course("How many rows are open?"))
        assert course.answer is None and course.uncounted
        chains = Chains(make_settings(tmp_path, refuse=False))
        chains.link(two.index, Chat(None, 0))
        told = asyncio.run(chains.own.ainvoke({"question": "How many rows are open?"}))  # type: ignore[union-attr]
        assert told["answer"].startswith(INDIRECT), "no row is an answer"
        scope = [named(two, "old orders.csv")]
        assert two.told("How many rows are open?", scope)["answer"].startswith("2 of 5 rows")


def test_all_tables_of_a_file_are_counted_together(tmp_path: Path, ways: Ways) -> None:
    table = "| city | size |\n|---|---|\n| Kiel | 1 |\n| Ulm | 2 |\n"
    path = tmp_path / "towns.md"
    path.write_text(f"# Towns\n\n## North\n\n{table}\n## South\n\n{table}| Trier | 3 |\n", encoding="utf-8")
    with library_of(tmp_path, ways.index.embeddings, path) as one:
        told = one.told("How many rows does towns.md have?")
        assert told["answer"] == "towns.md (North) has 2 rows.\n\ntowns.md (South) has 3 rows."
        assert told["coverage"] == "read 5 of 5 rows of towns.md"
        assert one.told("How many rows are in South?")["answer"] == "towns.md has 3 rows."
        check_marks(told)


MINUTES = """# Minutes of the residents' meeting

**Date:** Tuesday, 14 October 2025, 18:30 to 20:05
**Present:** Ada Brandt (chair), Tom Okafor (minutes), Lena Fischer, Priya Nair

## Heating
The meeting chose the heat pump of Nordheat, with four votes in favour, because it can be installed before Christmas.

## Bicycles
Bicycles without a name tag will be given to the charity Second Wheel after the fifteenth of November.
"""


def test_what_minutes_begin_with_is_not_what_they_say(tmp_path: Path) -> None:
    (tmp_path / "minutes.md").write_text(MINUTES, encoding="utf-8")
    with library_of(tmp_path / "data", shared_minilm(), tmp_path / "minutes.md") as ways:
        told = ways.told("Summarise the minutes in two sentences")
    assert "Nordheat" in told["answer"] and "Second Wheel" in told["answer"]
    assert "14 October" not in told["answer"]
