"""The library's database, and how it is read and written.

SQLite in the data folder (WAL, every commit on the disk before it counts) or PostgreSQL, by SQLAlchemy Core. All that
the app has to keep is in here. The Chroma index and the index of words are derived from it, and can be deleted.

A change that questions see (a new version of a source, a removal) takes the next number of `counter` in its
transaction. The row lock of that update puts such transactions in order, so whoever has followed the numbers up to N
has missed nothing before N.
"""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from sqlalchemy import Connection, Engine, create_engine, event, func, inspect, select
from sqlalchemy.exc import ArgumentError, InterfaceError, NoSuchModuleError, OperationalError, SQLAlchemyError

from rag.errors import StoreError, StoreUnreachable, store_error
from rag.library.schema import MIGRATIONS, VERSION, counter, schema, settings, versions

FILE = "library.sqlite"
BUSY_SECONDS = 30
CONNECT_SECONDS = 5
MIGRATION_LOCK = 7_140_226
"""PostgreSQL's advisory lock while tables are made: any number, the same in every replica."""
_COUNT_UP = counter.update().values(number=counter.c.number + 1).returning(counter.c.number)


class Database:
    """One library's database. Every method may be called from any thread."""

    def __init__(self, url: str) -> None:
        """`url` as SQLAlchemy takes it. Nothing is opened yet.

        Raises:
            StoreError: no such kind of database can be used here; says what to install.
        """
        self.shared = not url.startswith("sqlite")
        """Whether other replicas of the app use it, too."""
        try:
            self._engine = _build_engine(url)
        except (ArgumentError, NoSuchModuleError, ImportError, ValueError) as error:
            raise StoreError(
                f"RAG_DATABASE_URL cannot be used ({error}). It is postgresql://user:password@host/name, and needs"
                ' psycopg: pip install "psycopg[binary]"'
            ) from error
        address = self._engine.url
        self.where = address.render_as_string() if self.shared else str(address.database)

    def open(self) -> None:
        """Make the tables, or bring those of an earlier version up.

        Raises:
            StoreError: the database is damaged, or a newer version of the app has written it.
            StoreUnreachable: the server does not answer.
        """
        with self.write() as connection:
            if self.shared:
                connection.execute(select(func.pg_advisory_xact_lock(MIGRATION_LOCK)))
            if not inspect(connection).has_table("schema_version"):
                schema.create_all(connection)
                connection.execute(versions.insert().values(version=VERSION))
                connection.execute(counter.insert().values(id=1, number=0))
                connection.execute(settings.insert().values(name="library", value=uuid.uuid4().hex))
                return
            found = int(connection.execute(select(versions.c.version)).scalar_one())
            if found > VERSION:
                raise StoreError(
                    f"The database {self.where} is of schema version {found}, and this app reads up to {VERSION}: a"
                    " newer version of the app has written it. Update the app, or choose another --data-dir."
                )
            for version in range(found, VERSION):
                MIGRATIONS[version](connection)
            connection.execute(versions.update().values(version=VERSION))

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that reads one state of the database.

        Raises:
            StoreError: it failed; says what to do.
        """
        with self._transaction(write=False) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is committed at the end of the block, or rolled back where the block raises.

        Raises:
            StoreError: it failed; says what to do.
        """
        with self._transaction(write=True) as connection:
            yield connection

    @contextmanager
    def _transaction(self, *, write: bool) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection:
                options: dict[str, Any] = {"rag_write": write}
                if self.shared and not write:  # SQLite reads one state anyway
                    options["isolation_level"] = "REPEATABLE READ"
                with connection.execution_options(**options).begin():
                    yield connection
        except SQLAlchemyError as error:
            raise self._as_store_error(error) from error

    def _as_store_error(self, error: SQLAlchemyError) -> Exception:
        told = " ".join(str(getattr(error, "orig", None) or error).split())[:300]
        if self.shared and isinstance(error, (OperationalError, InterfaceError)):
            return StoreUnreachable(
                f"The database at {self.where} does not answer ({told}). Start it, or set RAG_DATABASE_URL; this app"
                " goes on by itself once it is there."
            )
        if "malformed" in told or "not a database" in told:
            return StoreError(
                f"The database {self.where} is damaged ({told}). Put a backup in its place, or delete it and add the"
                " sources again."
            )
        if "unable to open" in told or "readonly" in told:
            return StoreError(
                f"The database {self.where} cannot be written to ({told}). Give the app the right to, or choose another"
                " data folder with --data-dir."
            )
        return store_error(RuntimeError(told))

    def now(self, connection: Connection) -> float:
        """Seconds since 1970 by the clock that all replicas share: the server's."""
        if not self.shared:
            return time.time()
        return float(connection.execute(select(func.extract("epoch", func.clock_timestamp()))).scalar_one())

    @staticmethod
    def next_number(connection: Connection) -> int:
        """The number of the change that this transaction makes; others wait with theirs until it has ended."""
        return int(connection.execute(_COUNT_UP).scalar_one())

    @staticmethod
    def number(connection: Connection) -> int:
        """The number of the last change."""
        return int(connection.execute(select(counter.c.number)).scalar_one())

    def last_change(self) -> int:
        """The number of the last change, read in a transaction of its own."""
        with self.read() as connection:
            return self.number(connection)

    def setting(self, name: str, default: Any = None) -> Any:
        """A value that the app remembers."""
        with self.read() as connection:
            return get_setting(connection, name, default)

    def remember(self, name: str, value: Any) -> None:
        """Keep a value, of any type that JSON has."""
        with self.write() as connection:
            set_setting(connection, name, value)

    def back_up(self, target: Path) -> None:
        """Copy the whole database to a new file, also while it is written to (SQLite's backup API).

        Raises:
            StoreError: it is a PostgreSQL database, or the file cannot be written.
        """
        if self.shared:
            raise StoreError("A library in PostgreSQL is backed up with pg_dump, and restored with pg_restore.")
        path = str(self._engine.url.database)
        try:
            copy = sqlite3.connect(target)
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as original:
                original.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, and no -wal beside it
            copy.close()
            original.close()
        except sqlite3.Error as error:
            raise store_error(error) from error

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()


def _build_engine(url: str) -> Engine:
    """The engine for an address as SQLAlchemy takes it; nothing is connected yet.

    Raises:
        ValueError: no such kind of database can be used here.
    """
    options: dict[str, Any] = {"pool_size": 10, "max_overflow": 20}
    if url.startswith("sqlite"):
        engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS}, **options)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    parts = urlsplit(url)
    if parts.scheme not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise ValueError(f"{parts.scheme or url} is no kind of database that it knows")
    address = urlunsplit(parts._replace(scheme="postgresql+psycopg"))
    return create_engine(address, connect_args={"connect_timeout": CONNECT_SECONDS}, pool_pre_ping=True, **options)


def _prepare_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy begins the transactions, not the driver
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    """A transaction that will write waits for its turn at once: one that has read first could not."""
    write = connection.get_execution_options().get("rag_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def open_database(data_dir: Path, url: str | None) -> Database:
    """The database of the settings, opened: the server's if an address is given, else a file in the data folder.

    Raises:
        StoreError: as `Database.open`.
    """
    database = Database(url or f"sqlite:///{data_dir / FILE}")
    database.open()
    return database


def get_setting(connection: Connection, name: str, default: Any = None) -> Any:
    """A value that the app remembers, read in a transaction that is open already."""
    found = connection.execute(select(settings.c.value).where(settings.c.name == name)).first()
    return default if found is None else found[0]


def set_setting(connection: Connection, name: str, value: Any) -> None:
    """Keep a value, in a transaction that is open already."""
    changed = connection.execute(settings.update().where(settings.c.name == name).values(value=value))
    if not changed.rowcount:
        connection.execute(settings.insert().values(name=name, value=value))
