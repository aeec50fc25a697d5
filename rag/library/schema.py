"""The tables of the library's database, the version of its schema, and how an earlier one is brought up."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import (
    JSON,
    BigInteger,
    BindParameter,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    and_,
    inspect,
)

VERSION = 6
"""Version of the schema that this code reads and writes."""

schema = MetaData()

versions = Table("schema_version", schema, Column("version", Integer, nullable=False))
counter = Table("counter", schema, Column("id", Integer, primary_key=True), Column("number", BigInteger))
settings = Table("settings", schema, Column("name", String(80), primary_key=True), Column("value", JSON))

sources = Table(
    "sources",
    schema,
    Column("id", Integer, primary_key=True),
    Column("source", Text, nullable=False),
    Column("state", String(8), nullable=False),  # "current": questions may see it; "loaded": not indexed yet
    Column("title", Text, nullable=False),
    Column("kind", String(40), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("etag", Text, nullable=False),
    Column("last_modified", Text, nullable=False),
    Column("found_at", Text, nullable=False),
    Column("private", Boolean, nullable=False),
    Column("loaded_at", Float, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("notes", JSON, nullable=False, server_default="[]"),  # how it was read, and what was left out
    Column("language", String(8), nullable=False, server_default=""),  # ISO 639-1, up to three of them; empty: not sure
    UniqueConstraint("source", "state"),
)
folders = Table(
    "folders",
    schema,
    Column("path", Text, primary_key=True),
    Column("device", BigInteger, nullable=False),  # that it is on: an empty folder on another one is not mounted
)
documents = Table(
    "documents",
    schema,
    Column("source_id", ForeignKey("sources.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("text", Text, nullable=False),
    Column("metadata", JSON, nullable=False),
)
models = Table(
    "models",
    schema,
    Column("id", Integer, primary_key=True),
    Column("name", String(200), nullable=False),  # "provider:model"
    Column("weights", String(200), nullable=False),  # a model pulled anew under its old name is another model
    UniqueConstraint("name", "weights"),
)
indexes = Table(
    "indexes",
    schema,
    Column("id", Integer, primary_key=True),
    Column("model_id", ForeignKey("models.id"), nullable=False),
    Column("chunk_size", Integer, nullable=False),
    Column("chunk_overlap", Integer, nullable=False),
    UniqueConstraint("model_id", "chunk_size", "chunk_overlap"),
)
revisions = Table(
    "revisions",
    schema,
    Column("id", String(16), primary_key=True),
    Column("index_id", ForeignKey("indexes.id"), nullable=False),
    Column("source", Text, nullable=False),
    Column("chunks", Integer, nullable=False),
    Column("added", BigInteger),  # number from which on questions see it; empty while it is being written
    Column("removed", BigInteger),  # number from which on they do not
    Column("changed_at", Float, nullable=False),
    Index("revisions_added", "index_id", "added"),
    Index("revisions_removed", "index_id", "removed"),
    Index("revisions_source", "source"),
)
chunks = Table(
    "chunks",
    schema,
    Column("revision", ForeignKey("revisions.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("digest", String(20), nullable=False, index=True),
    Column("text", Text, nullable=False),
    Column("metadata", JSON, nullable=False),
)
vectors = Table(
    "vectors",
    schema,
    Column("model_id", ForeignKey("models.id"), primary_key=True),
    Column("digest", String(20), primary_key=True),
    Column("vector", LargeBinary, nullable=False),  # 32-bit floats, little-endian
)
files = Table("files", schema, Column("source", Text, primary_key=True), Column("name", Text, nullable=False))
file_parts = Table(
    "file_parts",
    schema,
    Column("source", ForeignKey("files.source", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)
work = Table(
    "work",
    schema,
    Column("id", Integer, primary_key=True),
    Column("source", Text, nullable=False, unique=True),
    Column("private", Boolean, nullable=False),
    Column("depth", Integer, nullable=False),
    Column("limit", Integer, nullable=False),
    Column("stored", Boolean, nullable=False),  # index the text that is stored; fetch nothing
    Column("reason", Text, nullable=False),  # why it failed; empty while it waits or is under way
    Column("taken_by", String(32), nullable=False),
    Column("taken_until", Float, nullable=False),
)

feedback = Table(
    "feedback",
    schema,
    Column("id", Integer, primary_key=True),
    Column("at", Float, nullable=False),  # seconds since 1970
    Column("liked", Boolean),  # empty: the thumb was taken back
    Column("question", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Column("reason", Text, nullable=False, server_default=""),  # what was amiss, in the words of the page
)
mistakes = Table(
    "mistakes",
    schema,
    Column("id", Integer, primary_key=True),
    Column("at", Float, nullable=False),  # seconds since 1970
    Column("kind", String(12), nullable=False),  # see `rag.library.mistakes.Kind`
    Column("question", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("is_case", Boolean, nullable=False),
)


def _add_notes_and_folders(connection: Connection) -> None:
    connection.exec_driver_sql("ALTER TABLE sources ADD COLUMN notes JSON NOT NULL DEFAULT '[]'")
    folders.create(connection)


def _add_language(connection: Connection) -> None:
    connection.exec_driver_sql("ALTER TABLE sources ADD COLUMN language VARCHAR(8) NOT NULL DEFAULT ''")


def _add_reason(connection: Connection) -> None:
    if "reason" not in {
        column["name"] for column in inspect(connection).get_columns("feedback")
    }:  # else migration 1 has made the whole table
        connection.exec_driver_sql("ALTER TABLE feedback ADD COLUMN reason TEXT NOT NULL DEFAULT ''")


MIGRATIONS: dict[int, Callable[[Connection], None]] = {
    1: lambda connection: feedback.create(connection),
    2: _add_notes_and_folders,
    3: _add_language,
    4: _add_reason,
    5: lambda connection: mistakes.create(connection, checkfirst=True),
}
"""What brings a schema of version N to N + 1."""


def version_is(source: str | BindParameter[str], state: str | BindParameter[str]) -> ColumnElement[bool]:
    """The condition on `sources` for one version of a source."""
    return and_(sources.c.source == source, sources.c.state == state)
