"""How fast this machine runs the embedded chat models: measured once for each, and kept beside their files.

The figures are the machine's and not the library's, which other machines may share.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

from rag.errors import EngineError
from rag.models.machine import cores

FILE = "speeds.json"
SAMPLE = "Agents keep what they have seen in a memory stream and look there before they plan. " * 10
"""Some 190 tokens, as many as a question with its passages has at the least."""
SAMPLE_TOKENS = 32
MEASURE_SECONDS = 120.0
LEAST_WRITE = 8.0
"""Tokens a second that a person reads."""
LEAST_READ = 50.0
"""With fewer, the first token of a usual answer takes more than four seconds."""
MEMORY_FACTOR, MEMORY_BESIDE = 17, 300_000_000
"""An engine takes so many tenths of its file's size, and so many bytes more, as the known models were seen to."""


@dataclass(frozen=True)
class Speed:
    """Tokens a second: of a prompt that is read, and of an answer that is written."""

    read: float
    write: float


def measure(url: str, key: str) -> Speed:
    """Let the engine at `url` read a sample and go on with it; the times are its own.

    Raises:
        EngineError: it did not answer.
    """
    asked = {"prompt": SAMPLE, "n_predict": SAMPLE_TOKENS, "cache_prompt": False, "ignore_eos": True}
    headers = {"Authorization": f"Bearer {key}"}
    try:
        with httpx.Client(trust_env=False, timeout=MEASURE_SECONDS) as client:
            timings = client.post(f"{url}/completion", json=asked, headers=headers).raise_for_status().json()["timings"]
        return Speed(float(timings["prompt_per_second"]), float(timings["predicted_per_second"]))
    except (httpx.HTTPError, KeyError, TypeError, ValueError) as error:
        raise EngineError(f"The speed of the embedded chat model could not be measured: {error}") from error


def known_speeds(cache_dir: Path) -> dict[str, Speed]:
    """What was measured, by `provider:model`, with as many cores as there are now."""
    try:
        told = json.loads((cache_dir / FILE).read_text(encoding="utf-8"))[str(cores())]
        return {str(name): Speed(float(each["read"]), float(each["write"])) for name, each in told.items()}
    except (OSError, KeyError, TypeError, ValueError, AttributeError):  # not there, or not what was written
        return {}


@dataclass(frozen=True)
class Outlook:
    """What a model would do here: the memory it takes and what is free, in bytes, and its speed; None: not known."""

    memory: int
    free: int
    speed: Speed | None

    @property
    def fits(self) -> bool:
        """Whether there is memory for it."""
        return self.memory <= self.free

    @property
    def worth(self) -> bool:
        """Whether it fits, and writes as fast as a person reads and begins before one gives up."""
        return (
            self.fits and self.speed is not None and self.speed.write >= LEAST_WRITE and self.speed.read >= LEAST_READ
        )


def outlook(name: str, size: int, sizes: dict[str, int], speeds: dict[str, Speed], free: int) -> Outlook:
    """What the embedded model `name` would do; its file has `size` bytes, those of the measured ones are `sizes`.

    One that was not measured is as much slower than the nearest one that was as its file is larger: both read the whole
    file for every token.
    """
    need = size * MEMORY_FACTOR // 10 + MEMORY_BESIDE
    if name in speeds:
        return Outlook(need, free, speeds[name])
    measured = [each for each in speeds if each in sizes]
    if not measured:
        return Outlook(need, free, None)
    nearest = min(measured, key=lambda each: abs(sizes[each] - size))
    share = sizes[nearest] / size
    return Outlook(need, free, Speed(speeds[nearest].read * share, speeds[nearest].write * share))


def keep_speed(cache_dir: Path, name: str, speed: Speed) -> None:
    """Keep what was measured; where the folder cannot be written, it is measured again another time."""
    told = {each: asdict(known) for each, known in {**known_speeds(cache_dir), name: speed}.items()}
    unfinished = cache_dir / f"{FILE}.{os.getpid()}"
    try:
        unfinished.write_text(json.dumps({str(cores()): told}), encoding="utf-8")
        os.replace(unfinished, cache_dir / FILE)
    except OSError:
        unfinished.unlink(missing_ok=True)
