"""A real PostgreSQL server on loopback, in a temporary folder, for as long as the tests of a session need it."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from tests.conftest import wait_until


def find_program(name: str) -> str:
    """A program of PostgreSQL's, which Debian does not put on the path."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(found[-1]) if found else name)


class Postgres:
    """The server. `database` makes a new empty database and gives its address."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        # The server refuses to run as root.
        self._owner = pwd.getpwnam("postgres") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
        os.chown(folder, self._owner.pw_uid, self._owner.pw_gid)
        data = folder / "data"
        self._run("initdb", "-D", str(data), "-U", "rag", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C.UTF-8")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        given = {"port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off"}
        options = [each for name, value in given.items() for each in ("-c", f"{name}={value}")]
        self._log = (folder / "log").open("wb")
        self._server = subprocess.Popen(
            [find_program("postgres"), "-D", str(data), *options],
            stdout=self._log,
            stderr=self._log,
            **self._as_owner(),
        )
        wait_until(self._answers, 60, lambda: (folder / "log").read_text()[-500:])

    def _as_owner(self) -> dict[str, Any]:
        given: dict[str, Any] = {"cwd": self._folder}
        if os.getuid() == 0:
            given |= {"user": self._owner.pw_uid, "group": self._owner.pw_gid, "extra_groups": []}
        return given

    def _run(self, name: str, *arguments: str) -> None:
        subprocess.run(
            [find_program(name), *arguments], check=True, capture_output=True, timeout=60, **self._as_owner()
        )  # type: ignore[call-overload]

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
            return True
        except psycopg.OperationalError:
            return False

    def url(self, name: str) -> str:
        return f"postgresql://rag@127.0.0.1:{self.port}/{name}"

    def database(self) -> str:
        self._count += 1
        name = f"library{self._count}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    def close(self) -> None:
        """End it at once: it would wait for clients of a failed test otherwise."""
        self._server.send_signal(signal.SIGINT)
        self._server.wait(30)
        self._log.close()


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    with tempfile.TemporaryDirectory(prefix="rag-postgres-") as folder:
        server = Postgres(Path(folder))
        try:
            yield server
        finally:
            server.close()
