"""GGUF files: what the header of a model's file says, and tensors in slow forms widened to Q8_0."""

from __future__ import annotations

import logging
import math
import os
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock

from rag.errors import EngineError

log = logging.getLogger(__name__)

_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""Formats of the number types; source: the GGUF specification (ggml, docs/gguf.md)."""
_STRING, _ARRAY = 8, 9
BLOCKS = {
    0: (1, 4), 1: (1, 2), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 30: (1, 2),
    2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 40), 20: (32, 18), 39: (32, 17),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292), 16: (256, 66),
    17: (256, 74), 18: (256, 98), 19: (256, 50), 21: (256, 110), 22: (256, 82), 23: (256, 136), 29: (256, 56),
    34: (256, 54), 35: (256, 66), 40: (64, 36), 41: (128, 18),
}  # fmt: skip
"""Numbers in a block of a tensor, and its bytes, by the tensor's form; as `gguf.GGML_QUANT_SIZES`, whose import takes
9 MB that the engine's child would keep."""
LONGEST_STRING = 1 << 24
"""Bytes of a string in a header; a longer one is damage."""
MOST_ENTRIES = 1 << 24
"""Entries of an array, and of the header itself; more is damage."""


@dataclass(frozen=True)
class ModelFile:
    """What the header of a chat model's file says.

    Attributes:
        parameters: numbers in its tensors.
        window: tokens that it was trained to read at once.
        thinks: its chat template knows thinking.
        bytes_per_token: memory that a token takes in the engine's cache, with 16-bit numbers.
        end_token: the one that ends its turn; None where the file does not say.
    """

    parameters: int
    window: int
    bytes_per_token: int
    thinks: bool = False
    end_token: int | None = None


def read_model_file(path: Path) -> ModelFile:
    """The header of a chat model's file. Tokens are passed over, as gguf's own reader takes seconds for them.

    Raises:
        EngineError: it is no GGUF file, is damaged or cut, or no chat model; says which.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if file.read(4) != b"GGUF":
                raise EngineError(f"{path} is no GGUF file, the form of model that llama.cpp runs.")
            version, tensors, entries = struct.unpack("<IQQ", file.read(20))
            if version not in (2, 3) or max(tensors, entries) > MOST_ENTRIES:
                raise EngineError(f"{path} is a GGUF file of version {version}, which cannot be read; 2 and 3 can.")
            told = dict(_entry(file) for _ in range(entries))
            shapes = [_tensor(file) for _ in range(tensors)]
            step = int(told.get("general.alignment") or 32)
            begin = -(-file.tell() // step) * step
    except OSError as error:
        raise EngineError(f"{path} cannot be read: {error.strerror or error}") from error
    except (struct.error, ValueError, UnicodeDecodeError) as error:
        raise EngineError(f"{path} is damaged or was cut: its header ends too early.") from error
    if size < (need := begin + max((end for _, end in shapes), default=0)):
        raise EngineError(f"{path} was cut: it has {size:,} bytes, and its tensors take {need:,}. Fetch it again.")
    return _checked(path, told, sum(count for count, _ in shapes))


def _checked(path: Path, told: dict[str, Any], parameters: int) -> ModelFile:
    """The facts of a file that is a chat model.

    Raises:
        EngineError: it is none.
    """
    kind = str(told.get("general.architecture", ""))
    if f"{kind}.pooling_type" in told or (f"{kind}.attention.causal" in told and not told[f"{kind}.attention.causal"]):
        raise EngineError(f"{path} is an embedding model ({kind}), which cannot chat.")
    if told.get("general.type", "model") != "model" or kind in ("", "clip"):
        raise EngineError(f"{path} is no whole model but a part of one ({told.get('general.type') or kind or '?'}).")
    if not told.get("tokenizer.chat_template"):
        raise EngineError(
            f"{path} has no chat template: it is a base model, which goes on with a text and cannot chat."
        )
    window = int(told.get(f"{kind}.context_length") or 2048)
    heads = told.get(f"{kind}.attention.head_count_kv") or told.get(f"{kind}.attention.head_count") or 1
    most = max(heads) if isinstance(heads, list) else int(heads)
    length = told.get(f"{kind}.attention.key_length")
    if not length:
        queries = told.get(f"{kind}.attention.head_count") or 1
        queries = max(queries) if isinstance(queries, list) else int(queries)
        length = int(told.get(f"{kind}.embedding_length") or 4096) // max(1, queries)
    layers = int(told.get(f"{kind}.block_count") or 1)
    template = str(told["tokenizer.chat_template"])
    thinks = any(word in template for word in ("<think>", "enable_thinking", "<|channel|>", "reasoning_content"))
    per_token = 4 * layers * most * int(length)
    end = told.get("tokenizer.ggml.eot_token_id", told.get("tokenizer.ggml.eos_token_id"))
    return ModelFile(parameters, window, per_token, thinks, end)


def _number(file: BinaryIO, kind: int) -> Any:
    form = "<" + _NUMBERS[kind]
    return struct.unpack(form, file.read(struct.calcsize(form)))[0]


def _string(file: BinaryIO) -> str:
    (length,) = struct.unpack("<Q", file.read(8))
    if length > LONGEST_STRING:
        raise ValueError("a string too long")
    text = file.read(length)
    if len(text) < length:
        raise ValueError("the end of the file")
    return text.decode("utf-8", "replace")


def _entry(file: BinaryIO) -> tuple[str, Any]:
    """A key and its value; None for an array of strings, or of many numbers."""
    key = _string(file)
    (kind,) = struct.unpack("<I", file.read(4))
    return key, _value(file, kind)


def _value(file: BinaryIO, kind: int) -> Any:
    if kind in _NUMBERS:
        return _number(file, kind)
    if kind == _STRING:
        return _string(file)
    if kind != _ARRAY:
        raise ValueError(f"a value of type {kind}")
    inner, count = struct.unpack("<IQ", file.read(12))
    if count > MOST_ENTRIES:
        raise ValueError("an array too long")
    if inner in _NUMBERS:
        form = f"<{count}{_NUMBERS[inner]}"
        numbers = struct.unpack(form, file.read(struct.calcsize(form)))
        return list(numbers) if count <= 4096 else None
    if inner != _STRING:
        raise ValueError("an array of arrays")
    for _ in range(count):
        (length,) = struct.unpack("<Q", file.read(8))
        file.seek(length, os.SEEK_CUR)
    return None


def _tensor(file: BinaryIO) -> tuple[int, int]:
    """Numbers in a tensor, and where it ends among the tensors, in bytes; of a form not known, where it begins."""
    _string(file)
    (dimensions,) = struct.unpack("<I", file.read(4))
    if dimensions > 8:
        raise ValueError("a tensor of too many dimensions")
    shape = struct.unpack(f"<{dimensions}Q", file.read(8 * dimensions))
    form, offset = struct.unpack("<IQ", file.read(12))
    numbers = math.prod(shape)
    block, size = BLOCKS.get(form, (1, 0))
    return numbers, offset + numbers // block * size


NARROW = ("Q4_1", "Q5_0")
"""Forms of tensors in which llama.cpp multiplies many tokens one by one."""
READS, WRITES = "token_embd.weight", "output.weight"
"""The matrix from tokens to vectors, and the one from vectors to tokens. Many models are trained with one for both, and
their files have it twice, rounded differently."""
ROUNDING = 0.1
"""Most that two roundings of one matrix differ, as a share of its length; of Qwen's they do by .044."""
LOOKED_AT_ROWS = 64
"""One row in so many tells whether two matrices are one."""


def wide_file(weights: Path) -> Path:
    """Where `widen` puts its file."""
    return weights.with_name(f"{weights.stem}.wide.gguf")


def widen(weights: Path) -> Path:
    """Write the same weights with their `NARROW` tensors as Q8_0 beside the file, if they are not there yet.

    llama.cpp multiplies many tokens at once in Q8_0: SmolLM2's prompts (Q4_1) are read in .6 of the time, those of
    Qwen2.5-Coder-0.5B (half of it Q5_0) in .75, and answers are written as fast as before. Eight bits hold what four or
    five did: nothing is lost. Where the matrix that reads tokens is also the one that writes them, it is kept once: the
    0.5B's file grows from 491 to 492 MB, SmolLM2's from 98 to 145. It takes seconds. Returns `weights` where it fails.
    """
    wide = wide_file(weights)
    unfinished = wide.with_suffix(".unfinished")
    try:
        with FileLock(f"{wide}.lock"):
            if not wide.exists():
                try:
                    _widen(weights, unfinished)
                    os.replace(unfinished, wide)
                finally:
                    unfinished.unlink(missing_ok=True)
    except Exception as error:  # no room, no right to write, not these weights: the app works without it
        log.warning("%s could not be made (%s: %s)", wide, type(error).__name__, error)
        return weights
    return wide


def widen_in_child() -> None:
    """The child that widens the file named by its first argument, behind everything else."""
    if hasattr(os, "nice"):
        os.nice(10)
    widen(Path(sys.argv[1]))


def _are_equal(one: Any, other: Any) -> bool:
    """Whether two tensors hold the same numbers but for rounding."""
    import gguf
    import numpy as np

    if one.shape.tolist() != other.shape.tolist():
        return False
    first, second = (gguf.quants.dequantize(each.data[::LOOKED_AT_ROWS], each.tensor_type) for each in (one, other))
    return bool(np.linalg.norm(first - second) <= ROUNDING * np.linalg.norm(first))


def _widen(weights: Path, target: Path) -> None:
    import gguf

    reader = gguf.GGUFReader(weights)
    writer = gguf.GGUFWriter(target, reader.fields["general.architecture"].contents())
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name in ("general.architecture", "general.file_type"):
            continue
        inner = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), field.types[0], sub_type=inner)
    wide = gguf.GGMLQuantizationType.Q8_0
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    reads, writes = tensors.get(READS), tensors.get(WRITES)
    if reads and writes and reads.tensor_type.name in NARROW and _are_equal(reads, writes):
        tensors[READS] = tensors.pop(WRITES)  # llama.cpp writes with the one that reads where there is no other
    for name, tensor in tensors.items():
        if tensor.tensor_type.name in NARROW:
            numbers = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
            writer.add_tensor(name, gguf.quants.quantize(numbers, wide), raw_dtype=wide)
        else:
            writer.add_tensor(name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
