"""SQLAlchemy's engine for the library's database: SQLite's pragmas and transactions, PostgreSQL's address."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit, urlunsplit

from sqlalchemy import Connection, Engine, create_engine, event

BUSY_SECONDS = 30
CONNECT_SECONDS = 5


def build_engine(url: str) -> Engine:
    """The engine for an address as SQLAlchemy takes it; nothing is connected yet.

    Raises:
        ValueError: no such kind of database can be used here.
    """
    options: dict[str, Any] = {
        "pool_size": 10,
        "max_overflow": 20,
    }
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
