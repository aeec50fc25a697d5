"""The files of embedded chat models: from a model's name to its file, fetched at need."""

from __future__ import annotations

from pathlib import Path

from rag.errors import EngineError
from rag.models.hub import HubFile, Progress, fetch_from_hub
from rag.models.weights import QWEN_LARGER, QWEN_SMALL, SMOLLM2, Weights, fetch_weights

CHAT_WEIGHTS: dict[str, Weights] = {
    "qwen2.5-coder-0.5b-instruct": QWEN_SMALL,
    "qwen2.5-coder-1.5b-instruct": QWEN_LARGER,
    "smollm2-135m-instruct": SMOLLM2,
}
"""The models that the app knows by name."""


def is_model_file(model: str) -> bool:
    """Whether a model's name is a file's: a path, or `hf:OWNER/REPO/FILE.gguf`."""
    return model.startswith("hf:") or model.lower().endswith(".gguf")


def hub_file(model: str) -> HubFile:
    """The file on the hub that `hf:OWNER/REPO/FILE.gguf` names.

    Raises:
        EngineError: it names none.
    """
    owner, _, rest = model.removeprefix("hf:").partition("/")
    repository, _, path = rest.partition("/")
    if not (owner and repository and path.lower().endswith(".gguf")):
        raise EngineError(f"{model} is not hf:OWNER/REPO/FILE.gguf.")
    return HubFile(f"{owner}/{repository}", path)


def model_path(model: str, cache_dir: Path) -> Path:
    """Where the file of a model is, or will be once it is fetched."""
    if model in CHAT_WEIGHTS:
        return cache_dir / CHAT_WEIGHTS[model].file
    if model.startswith("hf:"):
        file = hub_file(model)
        return cache_dir / "hub" / file.repository / file.path
    return Path(model).expanduser()


def is_here(model: str, cache_dir: Path) -> bool:
    """Whether a model's file is there; for one of `CHAT_WEIGHTS`, also whether it has the right size."""
    path = model_path(model, cache_dir)
    if model in CHAT_WEIGHTS:
        return path.exists() and path.stat().st_size == CHAT_WEIGHTS[model].size
    return path.exists()


def fetch_model(model: str, cache_dir: Path, progress: Progress | None = None) -> Path:
    """The file of a model: one known by name, one of the hub, or a path.

    Raises:
        EngineError: it cannot be had; says why.
    """
    if model in CHAT_WEIGHTS:
        return fetch_weights(CHAT_WEIGHTS[model], cache_dir, progress)
    path = model_path(model, cache_dir)
    if model.startswith("hf:") and not path.exists():
        file = hub_file(model)
        path = fetch_from_hub(file, cache_dir / "hub" / file.repository, progress)
    if not path.is_file():
        raise EngineError(f"There is no file {path}.")
    return path
