"""A file of the Hugging Face hub, or of another one that `HF_ENDPOINT` names, fetched by huggingface_hub."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from rag.errors import EngineError

Progress = Callable[[int, int], None]
"""Called with bytes fetched so far and bytes in all."""

ANSWER_SECONDS = 8.0
"""Seconds that the hub may take to answer before another place is tried."""


class Stopped(Exception):
    """A `Progress` raises it to end a download that nobody wants any more."""


@dataclass(frozen=True)
class HubFile:
    """A file on the hub: `OWNER/NAME` of its repository, its path there, and a revision ("": the newest)."""

    repository: str
    path: str
    revision: str = ""


def fetch_from_hub(file: HubFile, folder: Path, progress: Progress | None = None) -> Path:
    """The file, put below `folder`. A connection that breaks is taken up again where it was; a new call begins anew.

    Raises:
        EngineError: it could not be fetched; says why.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read when it is imported
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    for name in ("huggingface_hub", "httpx"):
        logging.getLogger(name).setLevel(logging.ERROR)
    name = f"{file.repository}/{file.path}"
    endpoint = os.environ.get("HF_ENDPOINT") or None
    try:
        _see_that_it_answers(file, name, endpoint)
        found = hf_hub_download(
            file.repository,
            file.path,
            revision=file.revision or None,
            local_dir=folder,
            etag_timeout=ANSWER_SECONDS,
            tqdm_class=_bar_that_tells(progress),
            endpoint=endpoint,
        )
    except (Stopped, EngineError):
        raise
    except GatedRepoError as error:
        raise EngineError(f"{name}: the hub wants you to accept the model's terms first, and a token.") from error
    except LocalEntryNotFoundError as error:
        raise _no_answer(name) from error
    except RepositoryNotFoundError as error:
        raise EngineError(f"{name}: the hub has no such repository.") from error
    except EntryNotFoundError as error:
        raise EngineError(f"{name}: the repository has no such file.") from error
    except Exception as error:  # of its HTTP client, of Xet, of the disk
        told = next(iter(str(error).splitlines()), "")
        raise EngineError(f"{name} could not be fetched from the hub: {told or type(error).__name__}") from error
    return Path(found)


def _see_that_it_answers(file: HubFile, name: str, endpoint: str | None) -> None:
    """Ask once: the download itself would ask again for 24 seconds where nothing answers.

    Raises:
        EngineError: it does not.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError

    url = hf_hub_url(file.repository, file.path, revision=file.revision or None, endpoint=endpoint)
    try:
        get_hf_file_metadata(url, timeout=ANSWER_SECONDS, endpoint=endpoint)
    except HfHubHTTPError:
        pass  # an answer, which the download tells better
    except Exception as error:  # of its HTTP client
        raise _no_answer(name) from error


def _no_answer(name: str) -> EngineError:
    return EngineError(f"{name}: the hub does not answer. Is this machine online?")


def _bar_that_tells(progress: Progress | None) -> type[Any]:
    """A progress bar that is not drawn and tells how far it is."""

    class Bar(tqdm):  # type: ignore[misc]  # it has no types
        def __init__(self, *arguments: Any, **given: Any) -> None:
            given.pop("name", None)  # huggingface_hub's own bars have one
            super().__init__(*arguments, **{**given, "disable": False, "file": _Nowhere()})

        def update(self, n: float | None = 1) -> bool | None:
            shown: bool | None = super().update(n)
            if progress and self.total:  # here and not in `display`, as tqdm would keep its lock where that raises
                progress(int(self.n), int(self.total))
            return shown

        def display(self, *_: Any, **__: Any) -> bool:
            return True

    return Bar


class _Nowhere:
    """Takes what a bar writes."""

    def write(self, _: str) -> None:
        """Drop it."""

    def flush(self) -> None:
        """Nothing is kept."""
