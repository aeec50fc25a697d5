"""The app while its chat model is fetched: quotes answer, and the model takes over once it is there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rag.assistant import Assistant
from rag.background import CHOICE
from rag.doors.doctor import doctor
from rag.errors import EngineError, NoSuchModel
from rag.library.database import open_database
from rag.models.choose import EMBEDDED_DEFAULTS
from rag.models.speed import Speed, keep_speed, known_speeds, outlook
from rag.models.weights import MINILM, MINILM_TOKENIZER, SMOLLM2, fetch_weights
from rag.page.status import show_status
from rag.settings import NO_MODEL, Settings
from tests.conftest import SMALLEST, make_settings, wait_until
from tests.hub_server import HubServer

MODEL = "embedded:hf:paper/Smol-GGUF/smol.gguf"
QUESTION = "What do agents keep in a memory stream?"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A hub with SmolLM2, the smallest model that there is, which it gives half of until it is let go."""
    server = HubServer()
    weights = fetch_weights(SMOLLM2, make_settings(Path()).cache_dir)
    server.files["paper/Smol-GGUF/smol.gguf"] = weights.read_bytes()
    server.held = threading.Event()
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    yield server
    server.close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Those of an app whose cache has no chat model."""
    shared = make_settings(tmp_path).cache_dir
    cache = tmp_path / "cache"
    cache.mkdir()
    for weights in (MINILM, MINILM_TOKENIZER):
        (cache / weights.file).symlink_to(fetch_weights(weights, shared))
    return make_settings(tmp_path, cache_dir=cache, model=MODEL, max_tokens=48)


@pytest.fixture
def assistants() -> Iterator[list[Assistant]]:
    made: list[Assistant] = []
    yield made
    for assistant in made:
        assistant.close()


def start(settings: Settings, assistants: list[Assistant]) -> Assistant:
    assistant = Assistant(settings)
    assistants.append(assistant)
    assistant.start()
    wait_until(lambda: assistant.ready, 60, lambda: str(assistant.status()))
    return assistant


async def ask(assistant: Assistant) -> Any:
    updates = [update async for update in assistant.chain.astream({"question": QUESTION, "history": []})]
    return updates[-1]


def answering(assistant: Assistant) -> str:
    return str(assistant.status()["models"]["chat"])


async def test_quotes_answer_until_the_model_is_there_and_it_takes_over_by_itself(
    hub: HubServer, settings: Settings, assistants: list[Assistant]
) -> None:
    assistant = start(settings, assistants)
    assert hub.half_way.wait(30)
    assert answering(assistant) == NO_MODEL
    assert assistant.status()["coming"]["model"] == MODEL
    wait_until(lambda: bool(assistant.status()["coming"].get("total")), 60)
    assert assistant.status()["coming"]["total"] == SMOLLM2.size
    shown = show_status(assistant.status())
    assert f"Quotes from the sources answer until {MODEL} is here." in shown and "of 98 MB" in shown
    quoted = await ask(assistant)
    assert quoted.quotes and quoted.timings.tokens <= 1
    assert hub.held
    hub.held.set()
    wait_until(lambda: answering(assistant) == MODEL, 60, lambda: str(assistant.status()))
    assert assistant.status()["coming"] is None and not assistant.status()["declined"]
    answered = await ask(assistant)
    assert answered.text and answered.timings.tokens > 1
    wait_until(lambda: MODEL in assistant.models.known.speeds(), 60)  # measured while nothing else is done
    speed = assistant.models.known.speeds()[MODEL]
    assert speed.read > speed.write > 0


async def test_a_download_that_fails_leaves_quotes_and_is_tried_again_when_asked(
    hub: HubServer, settings: Settings, assistants: list[Assistant]
) -> None:
    hub.refuse = 403
    assistant = start(settings, assistants)
    wait_until(lambda: bool((assistant.status()["coming"] or {}).get("problem")), 60)
    assert assistant.ready and (await ask(assistant)).quotes
    assert "answer, as embedded:hf:paper/Smol-GGUF/smol.gguf could not be had: " in show_status(assistant.status())
    hub.refuse = 0
    assistant.retry()
    assert hub.half_way.wait(30)
    assert not assistant.status()["coming"]["problem"]
    assert hub.held
    hub.held.set()


async def test_quotes_only_ends_the_download_and_is_remembered(
    hub: HubServer, settings: Settings, assistants: list[Assistant]
) -> None:
    assistant = start(settings, assistants)
    assert hub.half_way.wait(30)
    assistant.choose_chat(NO_MODEL)
    assert assistant.status()["coming"] is None and assistant.status()["declined"] == MODEL
    assert hub.held
    hub.held.set()
    wait_until(lambda: "coming" not in assistant.under_way, 60)
    assert answering(assistant) == NO_MODEL and not list(settings.cache_dir.rglob("*.gguf"))
    assistant.close()
    asked = len(hub.asked)
    again = start(settings, assistants)
    assert again.status()["declined"] == MODEL and (await ask(again)).quotes
    assert len(hub.asked) == asked
    again.choose_chat(MODEL)
    wait_until(lambda: answering(again) == MODEL, 60, lambda: str(again.status()))
    again.choose_chat(NO_MODEL)
    wait_until(lambda: answering(again) == NO_MODEL, 60)
    with pytest.raises(NoSuchModel):
        again.choose_chat("embedded:nosuch")


async def test_another_choice_is_taken_and_comes_back_after_a_restart(
    tmp_path: Path, assistants: list[Assistant]
) -> None:
    settings = make_settings(tmp_path, model=NO_MODEL)
    assistant = start(settings, assistants)
    assistant.choose_chat(SMALLEST)
    wait_until(lambda: answering(assistant) == SMALLEST, 60, lambda: str(assistant.status()))
    assistant.close()
    again = start(settings, assistants)
    assert answering(again) == SMALLEST
    again.close()
    other = start(make_settings(tmp_path, model=MODEL, cache_dir=settings.cache_dir), assistants)
    assert answering(other) == NO_MODEL  # the settings name another model since: theirs is on its way
    assert other.status()["coming"]["model"] == MODEL


def test_doctor_says_which_chat_model_and_why(
    tmp_path: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    small = make_settings(tmp_path).cache_dir
    fetch_weights(SMOLLM2, small)
    assert doctor(settings.model_copy(update={"model": "auto"})) == 0
    told = capsys.readouterr().out
    assert "chat model embedded:qwen2.5-coder-0.5b-instruct (as Ollama has none)" in told
    assert "is fetched once the app runs (491 MB); quotes from the sources answer until then" in told
    database = open_database(settings.data_dir, "")
    database.remember(CHOICE, {"configured": SMALLEST, "chosen": NO_MODEL})
    database.close()
    keep_speed(settings.cache_dir, SMALLEST, Speed(300.0, 70.0))
    (settings.cache_dir / SMOLLM2.file).symlink_to(small / SMOLLM2.file)
    assert doctor(settings.model_copy(update={"model": SMALLEST})) == 0
    told = capsys.readouterr().out
    assert f"chat model {SMALLEST} (named by RAG_MODEL)" in told and f"ok  {settings.cache_dir / SMOLLM2.file}" in told
    assert "it reads 300 and writes 70 tokens a second on this machine" in told
    assert f"chosen on the page: quotes alone, in place of {SMALLEST}" in told


def test_nothing_large_is_fetched_for_a_question_unasked(settings: Settings, assistants: list[Assistant]) -> None:
    assistant = Assistant(settings.model_copy(update={"model": NO_MODEL}))
    assistants.append(assistant)
    with pytest.raises(EngineError, match="not on this machine yet: fetch it under Models"):
        assistant.models.other_chat(EMBEDDED_DEFAULTS[0])


def test_speeds_are_kept_and_tell_what_a_larger_model_would_do(tmp_path: Path) -> None:
    assert known_speeds(tmp_path) == {}
    keep_speed(tmp_path, "small", Speed(200.0, 40.0))
    keep_speed(tmp_path, "tiny", Speed(800.0, 100.0))
    assert known_speeds(tmp_path) == {"small": Speed(200.0, 40.0), "tiny": Speed(800.0, 100.0)}
    sizes = {"small": 500_000_000, "tiny": 100_000_000, "large": 1_000_000_000}
    told = outlook("large", sizes["large"], sizes, known_speeds(tmp_path), 8_000_000_000)
    assert told.speed == Speed(100.0, 20.0) and told.worth
    assert not outlook("large", sizes["large"], sizes, known_speeds(tmp_path), 1_500_000_000).fits
    assert not outlook("large", sizes["large"], sizes, {"small": Speed(60.0, 9.0)}, 8_000_000_000).worth
    assert outlook("large", sizes["large"], sizes, {}, 8_000_000_000).speed is None
    (tmp_path / "speeds.json").write_text("half a fi", encoding="utf-8")
    assert known_speeds(tmp_path) == {}
