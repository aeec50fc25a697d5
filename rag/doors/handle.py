"""The library as a command reaches it: opened in this process, or in the app that runs and holds the data folder."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx

from rag.assistant import Assistant
from rag.errors import EngineUnreachable, NothingIndexed, StoreError, StoreLocked
from rag.library.backup import Backup
from rag.library.library import Library
from rag.settings import Settings

POLL_SECONDS = 0.2
OPENING_SECONDS = 60.0
"""How long a command waits for the running app to open its library."""


class Here:
    """The library in this process, without a chat model; `look` gives what `GET /library` does."""

    def __init__(self, settings: Settings, *, whole: bool) -> None:
        """`whole`: raise where the index cannot be opened; else go on without it."""
        self._assistant = Assistant(settings)
        self._assistant.start(chat=False)
        pause = threading.Event()
        while self._assistant.library is None:
            if problem := self._assistant.problems.get("index"):
                if not whole:
                    break
                self.close()
                raise problem
            pause.wait(0.05)
        for note in self._assistant.notes:
            print(note, file=sys.stderr)

    @property
    def _library(self) -> Library:
        if problem := self._assistant.problems.get("index"):
            raise problem
        assert self._assistant.library is not None
        return self._assistant.library

    def look(self) -> dict[str, Any]:
        """Sources, and what is under way."""
        return self._library.look()

    def add(self, sources: Sequence[str], depth: int, limit: int) -> list[str]:
        """Ask for sources."""
        return self._library.add(sources, private=True, depth=depth, limit=limit)

    def refresh(self, sources: Sequence[str] | None) -> list[str]:
        """Ask whether sources have changed."""
        return self._library.refresh(sources)

    def remove(self, sources: Sequence[str]) -> None:
        """Forget sources."""
        self._library.remove(sources)

    def restore(self, file: Path) -> list[str]:
        """Bring back the sources of a backup."""
        backup = Backup(file)
        service = self._assistant.service
        return self._library.restore(backup.records(service.records, service.folder.path), backup.wanted)

    def cancel(self) -> None:
        """Stop what is under way."""
        self._library.cancel()

    def estimate(self, embeddings: str) -> str:
        """What it costs to move the library to another embedding model."""
        return str(self._assistant.estimate(embeddings))

    def reindex(self, embeddings: str) -> None:
        """Move it there."""
        self._assistant.reindex(embeddings)

    def index(self) -> dict[str, Any]:
        """The index that answers, and the one that is being built."""
        return self._assistant.indexes.status()

    def close(self) -> None:
        """Let go of it."""
        self._assistant.close()


class Running:
    """The library of the running app, over its routes; with the methods of `Here`."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        headers = {"Authorization": f"Bearer {token}"}
        self._client = httpx.Client(base_url=url, headers=headers, timeout=60, trust_env=False)

    def _call(self, method: str, path: str, **given: Any) -> dict[str, Any]:
        """The reply's JSON; waits while the app, which may have just been started, opens its library."""
        until = time.monotonic() + OPENING_SECONDS
        try:
            while True:
                reply = self._client.request(method, path, **given)
                data: dict[str, Any] = reply.json()
                if data.get("code") != NothingIndexed.code or time.monotonic() > until:
                    break
                time.sleep(POLL_SECONDS)
        except (httpx.HTTPError, ValueError) as error:
            raise EngineUnreachable(
                f"The app at {self._url} holds the data folder and does not answer. Restart it."
            ) from error
        if reply.status_code >= 400:
            raise StoreError(str(data.get("error") or data))
        return data

    def look(self) -> dict[str, Any]:
        """Sources, and what is under way."""
        return self._call("GET", "library")

    def add(self, sources: Sequence[str], depth: int, limit: int) -> list[str]:
        """Ask for sources."""
        given = {"sources": list(sources), "depth": depth, "limit": limit}
        return list(self._call("POST", "library", json=given)["asked"])

    def refresh(self, sources: Sequence[str] | None) -> list[str]:
        """Ask whether sources have changed."""
        return list(self._call("POST", "library/refresh", json={"sources": sources})["asked"])

    def remove(self, sources: Sequence[str]) -> None:
        """Forget sources."""
        self._call("DELETE", f"library?{urlencode([('source', source) for source in sources])}")

    def restore(self, file: Path) -> list[str]:
        """Bring back the sources of a backup."""
        return list(self._call("POST", "library/restore", json={"file": str(file)})["asked"])

    def cancel(self) -> None:
        """Stop what is under way."""
        self._call("POST", "library/cancel")

    def estimate(self, embeddings: str) -> str:
        """What it costs to move the library to another embedding model."""
        return str(self._call("GET", f"library/index?{urlencode({'embeddings': embeddings})}")["told"])

    def reindex(self, embeddings: str) -> None:
        """Move it there."""
        self._call("POST", "library/index", json={"embeddings": embeddings})

    def index(self) -> dict[str, Any]:
        """The index that answers, and the one that is being built."""
        return self._call("GET", "library/index")

    def close(self) -> None:
        """Let go of it."""
        self._client.close()


Handle = Here | Running


def open_library(settings: Settings, *, whole: bool = True) -> Handle:
    """The library, in this process or in the app that holds the data folder.

    Raises:
        RagError: it cannot be had; says what to do.
    """
    try:
        return Here(settings, whole=whole)
    except StoreLocked as error:
        if not error.url:
            raise
        return Running(error.url, error.token)
