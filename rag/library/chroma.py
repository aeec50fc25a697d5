"""Where Chroma keeps its collections: a folder beside the database, or a server.

The folder is derived: what is in it can be filled again from the vectors in the database. It is trusted as it is where
it was closed properly and no file has changed since. Where it was not closed, and Chroma has written vector files since
the last moment at which nothing was under way, it is deleted: a kill in such a write leaves files that open well and
end the process at a later write. Else a child process looks at it first, and what the child finds wrong is deleted.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx

from rag.child import child_command
from rag.errors import RagError, StoreError, StoreUnreachable, store_error
from rag.settings import Settings

if TYPE_CHECKING:
    from chromadb.api import ClientAPI

log = logging.getLogger(__name__)

FOLDER = "vectors"
CLOSED, QUIET = "closed.json", "quiet.json"
"""How the folder was left, and its vector files at the last moment at which nothing was being written."""
CHECK_SECONDS = 600.0
CANARIES = 300
"""Rows that the child looks for by their own vector."""
NEAR = 200
"""Rows among which such a row has to be. One canary in five may be missed, since the search is approximate."""
PAGE = 5000
"""Rows read or written in one call; Chroma's own limit is 5461."""
CONNECT_SECONDS, ANSWER_SECONDS = 5.0, 30.0


class ChromaHome:
    """Chroma's folder or server, and a client of it. Every method may be called from any thread."""

    def __init__(self, settings: Settings) -> None:
        self.url = settings.chroma_url
        self.path = settings.data_dir / FOLDER
        self.trusted = False
        """Whether the folder is as it was left when it was closed."""
        self._settings = settings
        self._client: ClientAPI | None = None

    def look(self, number: int, library: str) -> str:
        """See whether the folder is as it was left, and delete it where it is damaged.

        `number` is the last change in the database, `library` its id. Returns what was wrong, "" if nothing was.

        Raises:
            StoreError: it cannot be deleted.
        """
        if self.url or self._client is not None:
            return ""
        wrong = self.wrong(number, library)
        try:
            if wrong:
                shutil.rmtree(self.path)
            (self.path / CLOSED).unlink(missing_ok=True)
        except OSError as error:
            raise store_error(error) from error
        return wrong

    def wrong(self, number: int, library: str) -> str:
        """What is wrong with a folder that nobody has open, "" if nothing is. `number`, `library`: as `look` has them.

        Raises:
            StoreError: that it is sound cannot be noted.
        """
        try:
            left = json.loads((self.path / CLOSED).read_text(encoding="utf-8"))
            files, known = left["files"], left["number"] == number and left["library"] == library
        except (OSError, ValueError, KeyError, TypeError):
            return self._wrong_unclosed()
        if files != _files(self.path):
            return "its files are not as they were left"
        self.trusted = known
        return ""

    def _wrong_unclosed(self) -> str:
        now = _vector_files(self.path)
        try:
            quiet = json.loads((self.path / QUIET).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            quiet = []
        if now and now != quiet:
            return "the app ended while it was written to"
        wrong = check_folder(self.path)
        if now and not wrong:
            self.note_quiet()  # to look at them has changed the files' times
        return wrong

    def note_quiet(self) -> None:
        """Note that nothing is being written: the vector files as they are now are sound.

        Raises:
            StoreError: it cannot be noted.
        """
        if not self.url:
            try:
                (self.path / QUIET).write_text(json.dumps(_vector_files(self.path)), encoding="utf-8")
            except OSError as error:
                raise store_error(error) from error

    def open(self) -> None:
        """Connect to the server, or open the folder, which has been looked at.

        Raises:
            StoreError: it cannot be written to, or the server refuses.
            StoreUnreachable: the server does not answer.
        """
        if self._client is not None:
            return
        try:
            self._client = connect(self._settings) if self.url else self._open_folder()
        except BaseException as error:  # Chroma's own panics are no Exception
            raise chroma_error(error) from error
        self.note_quiet()

    def _open_folder(self) -> ClientAPI:
        import chromadb
        from chromadb.api.shared_system_client import SharedSystemClient

        try:
            return chromadb.PersistentClient(str(self.path), chroma_settings())
        except BaseException:
            SharedSystemClient.clear_system_cache()  # or the next attempt would be given the broken client
            raise

    @property
    def is_open(self) -> bool:
        """Whether there is a client."""
        return self._client is not None

    def has_open(self, client: ClientAPI) -> bool:
        """Whether this client, and no later one, is the one that is open."""
        return self._client is client

    @property
    def client(self) -> ClientAPI:
        """The client, once it is open."""
        assert self._client is not None
        return self._client

    def drop_others(self, prefix: str) -> None:
        """Delete the collections of other libraries from a folder; a server may be shared with others."""
        if not self.url:
            for collection in self.client.list_collections():
                if not collection.name.startswith(prefix):
                    self.client.delete_collection(collection.name)

    def drop(self) -> None:
        """Let go of a folder that could not be written to; `look` and `open` come again."""
        client, self._client = self._client, None
        if client is not None:
            client.close()  # type: ignore[attr-defined,unused-ignore]

    def close(self, number: int, library: str) -> None:
        """Close it, and note its files as they are now; `number` is the last change in the database that is in it."""
        if self._client is None:
            return
        try:
            self._client.close()  # type: ignore[attr-defined,unused-ignore]
            if not self.url:
                left = {"number": number, "library": library, "files": _files(self.path)}
                (self.path / CLOSED).write_text(json.dumps(left), encoding="utf-8")
        except BaseException:
            log.exception("closing the vector index")
        self._client = None


def _vector_files(path: Path) -> list[list[Any]]:
    """As `_files`, of the files that hold vectors; the others are SQLite's, which a kill does not harm."""
    return [each for each in _files(path) if os.sep in each[0]]


def _files(path: Path) -> list[list[Any]]:
    """Name, bytes and time of change of each of the folder's files."""
    found = []
    for each in sorted(path.rglob("*")):
        if each.is_file() and each.name not in (CLOSED, QUIET):
            told = each.stat()
            found.append([str(each.relative_to(path)), told.st_size, told.st_mtime_ns])
    return found


def check_folder(path: Path) -> str:
    """Open the folder in a child process and look for rows by their own vectors.

    Returns what is wrong, "" if nothing is. Damage that ends the process that opens the index ends only the child.
    """
    if not path.exists() or not any(path.iterdir()):
        return ""
    command, environment = child_command("check()", "rag.library.chroma", str(path))
    try:
        child = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=CHECK_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return f"opening it took more than {CHECK_SECONDS:.0f} seconds"
    if child.returncode == 0:
        return ""
    if child.returncode < 0:
        return f"opening it crashed (signal {-child.returncode})"
    lines = child.stderr.strip().splitlines()
    return lines[-1][:300] if lines else f"opening it failed ({child.returncode})"


def check() -> None:
    """The child of `check_folder`: exit with a sentence where something is wrong."""
    import chromadb

    path = Path(sys.argv[1])
    database = path / "chroma.sqlite3"
    if not database.exists() or not database.stat().st_size:
        sys.exit("its database file is missing or empty")
    client = chromadb.PersistentClient(str(path), chroma_settings())
    for collection in client.list_collections():
        rows = collection.count()
        canaries: dict[str, Any] = {}
        for offset in range(0, rows, PAGE):
            page = collection.get(include=["embeddings"], limit=PAGE, offset=offset)
            stored: Any = page["embeddings"]
            if stored is None or len(stored) != len(page["ids"]) or not all(vector.any() for vector in stored):
                sys.exit(f"{collection.name} has rows without a vector")
            every = max(1, rows // CANARIES)
            canaries |= {page["ids"][place]: stored[place] for place in range(0, len(page["ids"]), every)}
        lost, names = [], list(canaries)
        for start in range(0, len(names), NEAR):
            part = names[start : start + NEAR]
            found = collection.query(
                query_embeddings=[canaries[row] for row in part], n_results=min(NEAR, rows), include=["distances"]
            )
            for row, near, distances in zip(part, found["ids"], found["distances"] or [], strict=True):
                if row not in near and (not distances or distances[0] > 1e-3):
                    lost.append(row)
        if len(lost) > len(names) // 5:
            sys.exit(f"{collection.name} does not find {len(lost)} of its own rows, such as {lost[0]}")
    os._exit(0)


def chroma_error(error: BaseException) -> BaseException:
    """What Chroma raised, as an error that says what to do."""
    if isinstance(error, (KeyboardInterrupt, SystemExit, GeneratorExit)):
        return error
    return store_error(error)


def chroma_settings() -> Any:
    """Chroma's settings: no telemetry."""
    from chromadb.config import Settings as ChromaSettings

    return ChromaSettings(anonymized_telemetry=False)


def connect(settings: Settings) -> ClientAPI:
    """A client of the settings' Chroma server, with a limit on every wait; Chroma's own waits for ever.

    Raises:
        StoreError: there is none, or it refuses; says what to do.
    """
    from chromadb.api.client import Client

    url = str(settings.chroma_url)

    class Session(httpx.Client):
        """Says what is wrong in the app's own words."""

        def request(self, *args: Any, **kwargs: Any) -> httpx.Response:
            try:
                return super().request(*args, **kwargs)
            except httpx.TimeoutException as error:
                raise StoreUnreachable(
                    f"The Chroma server at {url} does not answer in time. If it stays so, restart it; this app goes on"
                    " by itself."
                ) from error
            except httpx.TransportError as error:
                raise StoreUnreachable(
                    f"The Chroma server at {url} cannot be reached. Start it (chroma run), or set RAG_CHROMA_URL; this"
                    " app goes on by itself once it is there."
                ) from error

    class BoundedClient(Client):
        """Its first call, which its constructor makes, goes through the bounded session already.

        Chroma makes its HTTP session without limits of time and has no setting for them
        (https://github.com/chroma-core/chroma/issues/5805), so a server that hangs would hang the app.
        """

        def get_user_identity(self) -> Any:
            old = self._server._session  # type: ignore[attr-defined]  # noqa: SLF001
            timeout = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
            session = Session(timeout=timeout, headers=old.headers, trust_env=not local)
            self._server._session = session  # type: ignore[attr-defined]  # noqa: SLF001
            old.close()
            return super().get_user_identity()

    parts = urlsplit(url)
    local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    given = chroma_settings()
    given.chroma_api_impl = "chromadb.api.fastapi.FastAPI"
    given.chroma_server_host = url.rstrip("/")
    given.chroma_server_http_port = parts.port or (443 if parts.scheme == "https" else 80)
    given.chroma_server_ssl_enabled = parts.scheme == "https"
    if settings.chroma_token:
        given.chroma_server_headers = {"X-Chroma-Token": settings.chroma_token}
        given.chroma_server_headers["Authorization"] = f"Bearer {settings.chroma_token}"  # for a proxy before it
    try:
        return BoundedClient(settings=given)
    except Exception as error:
        raise _told(error, url) from error


def _told(error: BaseException, url: str) -> RagError:
    """What an error of Chroma's client means to a person."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, RagError):
            return cause
        cause = cause.__cause__ or cause.__context__
    text = " ".join(str(error).split())[:300] or type(error).__name__
    lower = text.lower()
    if type(error).__name__ in ("ChromaAuthError", "AuthorizationError") or "401" in lower or "403" in lower:
        return StoreError(f"The Chroma server at {url} refuses the token. Set RAG_CHROMA_TOKEN.")
    return StoreError(f"The Chroma server at {url} failed: {text}")
