"""Another embedding model or other chunks: offered, built beside the index that answers, taking over whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from rag.answers.whole.intent import INTENTS_FILE
from rag.assistant import Assistant
from rag.doors import cli as commands
from rag.doors.handle import open_library
from rag.errors import QuestionError
from rag.library import indexes
from rag.settings import Settings
from tests.conftest import Script, ScriptedChat, make_settings, wait_until
from tests.ollama_server import MXBAI, ModelSpec, OllamaServer

COMPARED = {text for texts in yaml.safe_load(INTENTS_FILE.read_text())["near"].values() for text in texts}
MX, NOMIC = "ollama:mxbai-embed-large", "ollama:nomic-embed-text"
TEXTS = {
    "moon": "The moon pulls the sea, twice a day, on every shore. ",
    "river": "The river runs to the sea, slowly, and never comes back. ",
    "cheese": "A wheel of cheese ripens for fourteen months in the cellar. ",
}


@pytest.fixture
def server() -> Iterator[OllamaServer]:
    with OllamaServer(models={"mxbai-embed-large": MXBAI, "nomic-embed-text": ModelSpec(2048, 768)}) as server:
        yield server


class House:
    """A data folder, and the assistants that open it one after the other."""

    def __init__(self, folder: Path, server: OllamaServer) -> None:
        self.folder, self.server, self.running = folder, server, []  # type: ignore[var-annotated]
        for name, text in TEXTS.items():
            (folder / f"{name}.md").write_text(f"# About {name}\n\n{text * 5}", encoding="utf-8")

    def settings(self, embeddings: str = MX, **more: Any) -> Settings:
        sources = tuple(str(self.folder / f"{name}.md") for name in TEXTS)
        return make_settings(
            self.folder,
            **{
                "ollama_host": self.server.url,
                "embeddings": embeddings,
                "model": "openai:scripted",
                "sources": sources,
                **more,
            },
        )

    def open(self, embeddings: str = MX, *, ready: bool = True, **more: Any) -> Assistant:
        self.close()
        assistant = Assistant(self.settings(embeddings, **more), chat_model=ScriptedChat(script=Script()))
        self.running.append(assistant)
        assistant.start()
        if ready:
            wait_until(lambda: assistant.ready and not assistant.under_way, 60, lambda: str(assistant.status()))
        return assistant

    def close(self) -> None:
        while self.running:
            self.running.pop().close()

    def embedded(self, name: str) -> list[str]:
        """The texts that a model has embedded so far, but for the sentences that questions are compared with."""
        asked = [item.body for item in self.server.requests if item.path == "/api/embed" and item.status == 200]
        found = [body["input"] for body in asked if body["model"] == name.partition(":")[2]]
        all_texts = [text for texts in found for text in ([texts] if isinstance(texts, str) else texts)]
        return [text for text in all_texts if text.removeprefix("search_document: ") not in COMPARED]


@pytest.fixture
def house(tmp_path: Path, server: OllamaServer) -> Iterator[House]:
    made = House(tmp_path, server)
    yield made
    made.close()


def answers(assistant: Assistant) -> str:
    return str((assistant.indexes.status()["answers"] or {}).get("embeddings"))


async def found(assistant: Assistant, question: str) -> set[str]:
    return {Path(item.metadata["source"]).stem for item in await assistant.search(question)}


async def test_another_model_is_offered_and_the_old_index_answers_until_the_new_one_is_whole(
    house: House, server: OllamaServer
) -> None:
    house.open()
    assistant = house.open(NOMIC)
    wait_until(lambda: assistant.indexes.status()["offer"], 60)
    offer = assistant.indexes.status()["offer"]
    assert offer["made"]["embeddings"] == NOMIC
    assert "3 chunks are embedded, in about" in offer["told"]
    assert answers(assistant) == MX
    assert len(house.embedded(NOMIC)) <= 2, "no more than a sample before it is agreed to"

    with server.hold(path="/api/embed", match=lambda item: item.body["model"].startswith("nomic")) as gate:
        assistant.reindex(NOMIC)
        gate.wait()
        assert answers(assistant) == MX
        assert await found(assistant, "sea") == set(TEXTS)
        assert assistant.library
        assistant.library.remove([str(house.folder / "river.md")])
        (house.folder / "late.md").write_text("# Late\n\nIt came while the index was being built. ", encoding="utf-8")
        assistant.library.add([str(house.folder / "late.md")], private=True)
    wait_until(lambda: answers(assistant) == NOMIC, 60, lambda: str(assistant.status()))
    assert await found(assistant, "sea") == {"moon", "cheese", "late"}

    embedded = len(house.embedded(MX))
    assistant.reindex(MX)
    wait_until(lambda: answers(assistant) == MX, 60, lambda: str(assistant.status()))
    assert len(house.embedded(MX)) == embedded, "going back costs nothing"
    assert await found(assistant, "sea") == {"moon", "cheese", "late"}
    embedded = len(house.embedded(MX))
    assert await found(assistant, "shore") == {"moon", "cheese", "late"}
    again = house.embedded(MX)[embedded:]
    assert not any(text.startswith("About ") for text in again), "no chunk is embedded again"


def test_the_choice_outlives_a_restart_and_an_index_that_is_whole_is_taken_at_once(house: House) -> None:
    house.open()
    assistant = house.open()
    assistant.reindex(NOMIC)
    wait_until(lambda: answers(assistant) == NOMIC, 60)
    count = len(house.embedded(MX)) + len(house.embedded(NOMIC))
    again = house.open()
    assert (answers(again), again.indexes.status()["offer"]) == (NOMIC, None), "chosen on the page, settings as before"
    other = house.open(NOMIC)
    assert answers(other) == NOMIC
    back = house.open(MX)
    assert (answers(back), back.indexes.status()["offer"]) == (MX, None), "the settings name another, which is whole"
    assert len(house.embedded(MX)) + len(house.embedded(NOMIC)) == count


def test_an_offer_is_made_again_until_it_is_answered(house: House) -> None:
    house.open()
    for _ in range(2):
        assistant = house.open(NOMIC)
        wait_until(lambda: assistant.indexes.status()["offer"], 60)  # noqa: B023
        assert answers(assistant) == MX
    assistant.reindex(None)
    again = house.open(NOMIC)
    assert (answers(again), again.indexes.status()["offer"]) == (MX, None)


def test_building_goes_on_after_a_restart_and_embeds_nothing_twice(house: House, server: OllamaServer) -> None:
    house.open()
    assistant = house.open()
    with server.hold(path="/api/embed", match=lambda item: "ripens" in str(item.body["input"])) as gate:
        assistant.reindex(NOMIC)
        gate.wait()
        assistant.indexes.end()
    house.close()
    assert answers(house.open()) == NOMIC or not wait_until(lambda: answers(house.running[-1]) == NOMIC, 60)
    texts = house.embedded(NOMIC)
    assert len([text for text in texts if "moon" in text]) == 1
    assert len(texts) <= 4


def test_an_engine_that_fails_while_building_is_told_and_heals(house: House, server: OllamaServer) -> None:
    house.open()
    assistant = house.open()
    fault = server.fail("error", path="/api/embed", status=500, text="out of memory", times=None)
    assistant.reindex(NOMIC)
    wait_until(lambda: "out of memory" in assistant.indexes.status()["problem"], 60, lambda: str(assistant.status()))
    assert answers(assistant) == MX
    assert assistant.ready
    server.faults.remove(fault)
    wait_until(lambda: answers(assistant) == NOMIC, 60, lambda: str(assistant.status()))


def test_chunks_of_another_size_are_offered_too(house: House) -> None:
    house.open()
    assistant = house.open(chunk_size=200)
    wait_until(lambda: assistant.indexes.status()["offer"], 60)
    assert assistant.indexes.status()["answers"]["chunk_size"] == 1000
    assert {item.chunks for item in assistant.sources} == {1}
    assistant.reindex(MX)
    wait_until(lambda: assistant.indexes.status()["answers"]["chunk_size"] == 200, 60)
    assert {item.chunks for item in assistant.sources} == {2}  # no heading is a chunk of its own


@pytest.mark.parametrize("change", ["gone", "other weights"])
def test_an_index_whose_model_is_not_there_any_more(
    house: House, server: OllamaServer, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    house.open()
    house.close()
    server.models["mxbai-embed-large"] = ModelSpec(512, 768)
    if change == "gone":
        del server.models["mxbai-embed-large"]
    wanted = NOMIC if change == "gone" else MX
    monkeypatch.setattr(indexes, "SMALL", 2)
    refused = house.open(wanted, ready=False)
    wait_until(lambda: "index" in refused.problems, 60, lambda: str(refused.status()))
    told = str(refused.problems["index"])
    assert "about 3 chunks are embedded" in told
    assert "python -m rag reindex" in told
    assert ("ollama pull mxbai" if change == "gone" else "The weights of") in told
    refused.reindex(wanted)
    wait_until(lambda: answers(refused) == wanted and refused.ready, 60, lambda: str(refused.status()))


def test_a_small_library_is_indexed_anew_where_nothing_else_can_answer(house: House, server: OllamaServer) -> None:
    house.open()
    house.close()
    del server.models["mxbai-embed-large"]
    assistant = house.open(NOMIC)
    assert answers(assistant) == NOMIC
    assert "the old index is kept" in assistant.status()["notes"][0]


def test_the_command_says_what_it_costs_and_builds(
    house: House, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    house.open()
    house.close()
    monkeypatch.setenv("OPENAI_API_KEY", "none")  # the commands build the chat model, though they ask nothing of it
    settings = house.settings(NOMIC)
    for said, code in (("n", 1), ("y", 0)):
        monkeypatch.setattr("builtins.input", lambda _, said=said: said)
        handle = open_library(settings, whole=False)
        try:
            assert commands.reindex(handle, settings, agreed=False) == code
        finally:
            handle.close()
    told = capsys.readouterr().out
    assert "about 3 chunks are embedded" in told
    assert told.endswith(f"The library is indexed with {NOMIC} now.\n")
    assert answers(house.open(NOMIC)) == NOMIC


def test_no_model_that_is_not_here(house: House) -> None:
    assistant = house.open()
    with pytest.raises(QuestionError, match="There is no embedding model ollama:nothing; there is "):
        assistant.estimate("ollama:nothing")
