"""The data folder and its lock: one process at a time has it.

<data>/lock, holder.json      who has the folder, and how its owner's commands reach the app
<data>/library.sqlite         the library (not there with RAG_DATABASE_URL)
<data>/vectors/, words/       derived from it: Chroma's index (not there with RAG_CHROMA_URL), and the words
"""

from __future__ import annotations

import errno
import json
import os
import secrets
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from rag.errors import StoreError, StoreLocked
from rag.library.chroma import FOLDER
from rag.library.database import FILE

HOLDER = "holder.json"


class DataFolder:
    """The folder, once its lock is had."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.token = secrets.token_urlsafe(24)
        """What the owner's commands show to the running app; only the owner can read it."""
        self._lock = FileLock(path / "lock", thread_local=False)

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            StoreLocked: another process holds it; says which.
            StoreError: the folder cannot be written to.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
            self._check_rights()
            self.say_holder("")
        except Timeout:
            pid, url, token = self._holder()
            who = f"process {pid}{f', {url}' if url else ''}" if pid else "another process"
            raise StoreLocked(
                f"The data folder {self.path} is in use ({who}). Stop that one, use its page, or give this one a folder"
                " of its own with --data-dir.",
                url,
                token,
            ) from None
        except OSError as error:
            self._lock.release()
            raise StoreError(
                f"The data folder {self.path} cannot be written to ({error.strerror or error})."
                " Choose another with --data-dir or RAG_DATA_DIR."
            ) from error

    def _check_rights(self) -> None:
        """Without the right to write, Chroma's index would seem to be damaged."""
        vectors = self.path / FOLDER
        for path in (self.path, self.path / FILE, vectors, *vectors.glob("**/*")):
            if path.exists() and not os.access(path, os.R_OK | os.W_OK):
                raise OSError(errno.EACCES, f"no right to write to {path}")

    def say_holder(self, url: str) -> None:
        """Leave word, for whoever finds the lock taken, who holds it and where its page is; for its owner's eyes."""
        holder = {"pid": os.getpid(), "url": url, "token": self.token}
        part = self.path / f"{HOLDER}.part"
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(holder, file)
        os.replace(part, self.path / HOLDER)

    def _holder(self) -> tuple[int, str, str]:
        try:
            holder: dict[str, Any] = json.loads((self.path / HOLDER).read_text(encoding="utf-8"))
            return int(holder["pid"]), str(holder["url"]), str(holder["token"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return 0, "", ""

    def release(self) -> None:
        """Give the lock back."""
        self._lock.release()
