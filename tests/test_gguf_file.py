"""Any GGUF file as chat model: what its header says, what is refused, and real files by path and through a hub."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy
import pytest
from langchain_core.messages import HumanMessage

from rag.errors import EngineError, SettingsError
from rag.models.choose import build_chat_model, choose_models
from rag.models.embedded import ChatEngine
from rag.models.gguf_file import BLOCKS, read_model_file
from rag.models.model_files import fetch_model
from rag.models.weights import SMOLLM2, fetch_weights
from tests.conftest import make_settings
from tests.hub_server import HubServer

TEMPLATE = "{% for message in messages %}{{ message.content }}{% endfor %}"


def write_file(path: Path, change: Callable[[gguf.GGUFWriter], None] = lambda writer: None, **given: Any) -> Path:
    """A small model's file, with a chat template and a window of 8,192 tokens unless `given` says otherwise."""
    kind = given.get("architecture", "llama")
    writer = gguf.GGUFWriter(path, kind)
    writer.add_name("Paper")
    writer.add_block_count(4)
    writer.add_context_length(8192)
    writer.add_embedding_length(64)
    writer.add_head_count(8)
    writer.add_head_count_kv(2)
    writer.add_token_list(["<s>", "a", "b"])
    if given.get("template", TEMPLATE):
        writer.add_chat_template(given.get("template", TEMPLATE))
    change(writer)
    writer.add_tensor("token_embd.weight", numpy.zeros((64, 32), dtype=numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_what_the_header_says(tmp_path: Path) -> None:
    told = read_model_file(write_file(tmp_path / "model.gguf"))
    assert (told.parameters, told.window) == (64 * 32, 8192)
    assert told.bytes_per_token == 2 * 2 * 4 * 2 * 8  # keys and values, 2 bytes, 4 layers, 2 heads of 8 numbers
    assert told.end_token is None
    ending = write_file(tmp_path / "ending.gguf", lambda writer: writer.add_eos_token_id(2))
    assert read_model_file(ending).end_token == 2


def test_the_forms_of_tensors_are_those_of_gguf() -> None:
    assert BLOCKS.items() <= {form.value: block for form, block in gguf.GGML_QUANT_SIZES.items()}.items()


@pytest.mark.parametrize(
    ("change", "given", "reason"),
    [
        (lambda writer: None, {"template": ""}, "has no chat template"),
        (lambda writer: writer.add_pooling_type(gguf.PoolingType.MEAN), {"architecture": "bert"}, "embedding model"),
        (lambda writer: writer.add_causal_attention(False), {"architecture": "qwen3"}, "embedding model"),
        (lambda writer: writer.add_type("adapter"), {}, "a part of one (adapter)"),
        (lambda writer: writer.add_type("mmproj"), {"architecture": "clip"}, "a part of one (mmproj)"),
    ],
)
def test_a_file_that_cannot_chat_is_refused_with_the_reason(
    tmp_path: Path, change: Callable[[gguf.GGUFWriter], None], given: dict[str, Any], reason: str
) -> None:
    path = write_file(tmp_path / "model.gguf", change, **given)
    with pytest.raises(EngineError) as raised:
        read_model_file(path)
    assert reason in str(raised.value) and str(path) in str(raised.value)


@pytest.mark.parametrize("size", [0, 3, 4, 20, 100, 300, -1, -8000])
def test_a_cut_file_is_refused_wherever_it_was_cut(tmp_path: Path, size: int) -> None:
    whole = write_file(tmp_path / "model.gguf").read_bytes()
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(whole[:size])
    with pytest.raises(EngineError, match=r"is no GGUF file|damaged or was cut|was cut: it has"):
        read_model_file(cut)


@pytest.mark.parametrize(
    "content",
    [
        b"PK\3\4 a zip",
        b"GGUF" + struct.pack("<IQQ", 99, 1, 1),
        b"GGUF" + struct.pack("<IQQ", 3, 1, 1 << 60),
        b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + struct.pack("<Q", 1 << 62) + b"name",
        b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + struct.pack("<Q", 1) + b"k" + struct.pack("<I", 77),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1) + b"k" + struct.pack("<IIQ", 9, 8, 1 << 60),
    ],
)
def test_a_damaged_file_is_refused_and_takes_no_memory(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    with pytest.raises(EngineError, match=r"model\.gguf"):
        read_model_file(path)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("embedded:/no/such/model.gguf", "/no/such/model.gguf cannot be read"),
        ("embedded:hf:OWNER/model.gguf", "hf:OWNER/REPO/FILE.gguf"),
        ("embedded:hf:OWNER/REPO/model.bin", "hf:OWNER/REPO/FILE.gguf"),
        ("embedded:nosuch", "any file as embedded:/path/model.gguf"),
    ],
)
def test_a_wrong_name_stops_the_start(tmp_path: Path, name: str, told: str) -> None:
    with pytest.raises(SettingsError, match=r"^RAG_MODEL: ") as raised:
        choose_models(make_settings(tmp_path, model=name))
    assert told in str(raised.value)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    server = HubServer()
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    yield server
    server.close()


async def answers_with(model: str, tmp_path: Path, **given: Any) -> int:
    """Let the model in that file answer; returns its window."""
    settings = make_settings(tmp_path, model=f"embedded:{model}", max_tokens=24, **given)
    name = choose_models(settings).chat
    engine = ChatEngine(model, settings.cache_dir)
    try:
        engine.start()
        chat = build_chat_model(name, settings, engine)
        assert chat.model is not None and chat.size == "tiny"
        reply = await chat.model.ainvoke([HumanMessage("What is the capital of France?")])
        assert "Paris" in str(reply.content) and "<|im_end|>" not in str(reply.content)
        return chat.window
    finally:
        engine.close()


async def test_a_real_file_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with commas, spaces and `~`; its window is the file's."""
    weights = fetch_weights(SMOLLM2, make_settings(tmp_path).cache_dir)
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / "My models, ~new"
    folder.mkdir()
    (folder / "Smol LM, 2.GGUF").symlink_to(weights)
    trained = read_model_file(weights).window
    assert await answers_with("~/My models, ~new/Smol LM, 2.GGUF", tmp_path, cache_dir=tmp_path) == min(trained, 8192)


async def test_a_real_file_of_a_hub(tmp_path: Path, hub: HubServer) -> None:
    weights = fetch_weights(SMOLLM2, make_settings(tmp_path).cache_dir)
    hub.files["paper/Smol-GGUF/deep/smol.gguf"] = weights.read_bytes()
    name, cache = "hf:paper/Smol-GGUF/deep/smol.gguf", tmp_path / "cache"
    await answers_with(name, tmp_path, cache_dir=cache)
    asked = len(hub.asked)
    assert fetch_model(name, cache).read_bytes() == weights.read_bytes()
    assert len(hub.asked) == asked  # it is kept


def test_a_file_that_the_hub_has_not_is_told_in_a_sentence(tmp_path: Path, hub: HubServer) -> None:
    engine = ChatEngine("hf:paper/nosuch/model.gguf", tmp_path)
    with pytest.raises(EngineError, match=r"paper/nosuch/model\.gguf: the hub has no such repository"):
        engine.start()
