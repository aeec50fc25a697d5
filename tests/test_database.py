"""The database: its schema's versions, both kinds of it, several processes on one, and old data folders."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete, inspect, select, update

from rag.errors import StoreError, StoreUnreachable
from rag.library import schema
from rag.library.database import Database, open_database
from rag.library.feedback import Thumb, keep_thumb, thumbs
from rag.library.mistakes import Mistake, keep_mistake, list_mistakes
from rag.library.queue import Queue, Task
from rag.library.records import Record, Records
from rag.settings import load_settings
from tests.conftest import make_settings
from tests.postgres import Postgres, running_postgres
from tests.stores import CHEESE, MOON, RIVER, Library, loaded_of, write


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/library.sqlite"
    return str(request.getfixturevalue("postgres").database())


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    made = Database(url)
    made.open()
    yield made
    made.close()


def test_a_newer_schema_is_refused_and_says_so(database: Database, url: str) -> None:
    with database.write() as connection:
        connection.execute(update(schema.versions).values(version=schema.VERSION + 1))
    with pytest.raises(StoreError, match=rf"is of schema version {schema.VERSION + 1}.*Update the app"):
        Database(url).open()


UNDO = {
    1: ("DROP TABLE feedback",),
    2: ("DROP TABLE folders", "ALTER TABLE sources DROP COLUMN notes"),
    3: ("ALTER TABLE sources DROP COLUMN language",),
    4: ("ALTER TABLE feedback DROP COLUMN reason",),
    5: ("DROP TABLE mistakes",),
}
"""What undoes each step of `schema.MIGRATIONS`."""


def take_back(database: Database, version: int) -> None:
    """Give a database, with today's tables, those of an older version of the schema."""
    assert UNDO.keys() == schema.MIGRATIONS.keys(), "a step that no test undoes"
    with database.write() as connection:
        for step in range(schema.VERSION - 1, version - 1, -1):
            for statement in UNDO[step]:
                connection.exec_driver_sql(statement)
        connection.execute(update(schema.versions).values(version=version))


def test_an_older_schema_is_brought_up_and_keeps_what_is_in_it(url: str) -> None:
    old = Database(url)
    old.open()
    old.remember("name", 5)
    take_back(old, 1)
    old.close()
    for _ in range(2):
        database = Database(url)
        database.open()
        keep_thumb(database, Thumb("Why?", "Because.", True))
        keep_thumb(database, Thumb("How?", "So.", False, reason="Incomplete"))
        assert {(thumb.question, thumb.answer, thumb.liked, thumb.reason) for thumb in thumbs(database)} == {
            ("Why?", "Because.", True, ""),
            ("How?", "So.", False, "Incomplete"),
        }
        keep_mistake(database, Mistake("refused", "Who?", "It does not say."))
        assert [each.question for each in list_mistakes(database)] == ["Who?", "How?"]
        with database.read() as connection:
            assert connection.execute(select(schema.versions.c.version)).scalars().all() == [schema.VERSION]
        assert database.setting("name") == 5
        records = Records(database)
        records.write_loaded(Record("a.md", "A", [("text", {})], notes=["1 table"]))
        found = records.read("a.md", "loaded")
        assert found and found.notes == ["1 table"]
        database.close()


def test_a_schema_before_reasons_keeps_its_thumbs(url: str) -> None:
    old = Database(url)
    old.open()
    take_back(old, 4)
    with old.write() as connection:
        connection.exec_driver_sql("INSERT INTO feedback (at, liked, question, answer) VALUES (1, true, 'Why?', 'So.')")
    old.close()
    database = Database(url)
    database.open()
    keep_thumb(database, Thumb("How?", "So.", False, reason="Wrong"))
    assert [(thumb.question, thumb.reason) for thumb in thumbs(database)] == [("Why?", ""), ("How?", "Wrong")]
    database.close()


@pytest.mark.parametrize("version", sorted(UNDO))
def test_two_replicas_bring_a_schema_up_at_once(url: str, version: int) -> None:
    """Both find every table with every column, and one of them has added them."""
    old = Database(url)
    old.open()
    take_back(old, version)
    if kept := version > 1:  # version 1 had no table for thumbs
        with old.write() as connection:
            connection.exec_driver_sql(
                "INSERT INTO feedback (id, at, liked, question, answer) VALUES (7, 1, false, 'Why?', 'So.')"
            )
    old.close()
    replicas = [Database(url), Database(url)]
    threads = [threading.Thread(target=each.open) for each in replicas]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for replica in replicas:
        assert [(each.kind, each.question) for each in list_mistakes(replica)] == [("thumb", "Why?")] * kept
        with replica.read() as connection:
            assert connection.execute(select(schema.versions.c.version)).scalars().all() == [schema.VERSION]
            for table in schema.schema.sorted_tables:
                found = {column["name"] for column in inspect(connection).get_columns(table.name)}
                assert found == set(table.columns.keys())
        replica.close()


def test_what_is_remembered_is_there_again(database: Database, url: str) -> None:
    database.remember("name", {"a": [1, "ä"]})
    database.remember("name", {"a": [2, "ä"]})
    other = Database(url)
    other.open()
    assert (other.setting("name"), other.setting("none", 3)) == ({"a": [2, "ä"]}, 3)
    other.close()


def test_what_fails_in_the_middle_changes_nothing(database: Database) -> None:
    with pytest.raises(RuntimeError):
        with database.write() as connection:
            database.next_number(connection)
            raise RuntimeError("gone")
    with database.read() as connection:
        assert database.number(connection) == 0


def test_numbers_are_given_in_the_order_of_commits(database: Database) -> None:
    """Whoever takes a number keeps others waiting for theirs, so that nobody who follows them misses one."""
    taken, end = threading.Event(), threading.Event()
    seen: list[int] = []

    def first() -> None:
        with database.write() as connection:
            seen.append(database.next_number(connection))
            taken.set()
            assert end.wait(10)

    def second() -> None:
        assert taken.wait(10)
        with database.write() as connection:
            seen.append(database.next_number(connection))

    threads = [threading.Thread(target=each) for each in (first, second)]
    for thread in threads:
        thread.start()
    assert taken.wait(10)
    with database.read() as connection:
        assert database.number(connection) == 0
    end.set()
    for thread in threads:
        thread.join(10)
    assert seen == [1, 2]


def test_sqlite_keeps_what_is_committed_on_the_disk(tmp_path: Path) -> None:
    database = open_database(tmp_path, None)
    with database.read() as connection:
        pragmas = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert pragmas == ["wal", 2, 1]
    database.close()


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "library.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match=r"library\.sqlite is damaged .*Put a backup in its place"):
        open_database(tmp_path, None)


def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreUnreachable, match=r"rag:\*\*\*@127.0.0.1:9/x does not answer"):
        open_database(tmp_path, "postgresql://rag:secret@127.0.0.1:9/x")


@pytest.mark.parametrize("url", ["mysql://x", "nonsense", "postgresql+asyncpg://x"])
def test_other_addresses_are_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(StoreError, match=r"RAG_DATABASE_URL cannot be used .*postgresql://"):
        open_database(tmp_path, url)


# -- work -----------------------------------------------------------------------------------------------------------


def test_work_is_taken_in_order_and_once(database: Database) -> None:
    queue = Queue(database)
    queue.ask([Task("a", True), Task("b", False, depth=2, limit=5)])
    queue.ask([Task("c", False), Task("a", True)])
    taken = [*queue.take(), *queue.take(2)]
    assert [task.source for task in taken] == ["b", "c", "a"] and not queue.take()
    assert (taken[0].private, taken[0].depth, taken[0].limit) == (False, 2, 5)


def test_what_was_taken_by_a_process_that_is_gone_is_taken_again(database: Database) -> None:
    first = Queue(database)
    first.ask([Task("a", True)])
    (task,) = first.take()
    assert first.has(task)
    second = Queue(database)
    if database.shared:  # the other one may still be there
        assert not second.take()
        with database.write() as connection:
            connection.execute(update(schema.work).values(taken_until=0.0))
    (again,) = second.take()
    assert again.source == "a"
    assert first.renew() == set()
    assert not database.shared or not first.has(task), "two have it"


def test_many_processes_take_everything_once(database: Database) -> None:
    queues = [Queue(database)] if not database.shared else [Queue(database) for _ in range(4)]
    queues[0].ask([Task(f"{number}", True) for number in range(40)])
    taken: list[str] = []

    def take(queue: Queue) -> None:
        while tasks := queue.take(3):
            taken.extend(task.source for task in tasks)

    threads = [threading.Thread(target=take, args=(queue,)) for queue in queues for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(taken, key=int) == [f"{number}" for number in range(40)]


# -- two processes on one library -----------------------------------------------------------------------------------


@pytest.fixture
def pair(postgres: Postgres, tmp_path: Path) -> Iterator[list[Library]]:
    """Two processes' views of one library in PostgreSQL, each with a Chroma folder of its own."""
    url = postgres.database()
    made = [
        Library(make_settings(tmp_path, data_dir=tmp_path / name, database_url=url, chunk_size=100))
        for name in ("one", "two")
    ]
    yield made
    for each in made:
        each.close()


def test_each_follows_what_the_other_changes(pair: list[Library], tmp_path: Path) -> None:
    one, two = pair
    path = write(tmp_path / "a.md", MOON)
    one.add(path)
    assert two.index.sources == []
    two.index.follow()
    assert [item.title for item in two.index.sources] == ["a.md"]
    for dense in (True, False):
        assert [text[:8] for text in two.find("moon", dense=dense)] == ["The moon"]
    two.add(write(path, RIVER))
    one.index.follow()
    for dense in (True, False):
        assert [text[:9] for text in one.find("river", dense=dense)] == ["The river"]
    one.remove(path)
    two.index.follow()
    assert (two.index.sources, two.find("river", dense=False), len(two.index.words), two.rows()) == ([], [], 0, 0)


def test_a_process_that_was_away_learns_what_it_missed(pair: list[Library], tmp_path: Path) -> None:
    """Its words are those of then; chunks that are deleted by now are in no table it could read."""
    one, two = pair
    one.add(write(tmp_path / "a.md", MOON))
    two.index.follow()
    two.close()
    one.add(write(tmp_path / "a.md", RIVER))
    one.add(write(tmp_path / "b.md", CHEESE))
    with one.database.write() as connection:
        gone = select(schema.revisions.c.id).where(schema.revisions.c.removed.is_not(None))
        connection.execute(delete(schema.revisions).where(schema.revisions.c.id.in_(gone)))
    again = Library(two.settings)
    pair[1] = again
    again.fill()
    assert {text[:9] for text in again.find("moon river cheese", 9)} == {"The river", "The chees"}
    assert (len(again.index.words), again.index.chunks, again.rows()) == (2, 2, 2)


def test_a_source_removed_while_another_process_indexes_it_stays_removed(pair: list[Library], tmp_path: Path) -> None:
    one, two = pair
    path = write(tmp_path / "a.md", MOON)
    record = one.load(path)
    one.records.write_loaded(record)
    revision = one.ingest.writer.begin(record.source)
    two.remove(path)
    assert not one.ingest.writer.publish(revision, record)
    one.ingest.writer.end(revision)
    assert (one.index.sources, one.records.read(str(path)), loaded_of(one.records)) == ([], None, [])


def test_the_address_is_a_setting() -> None:
    assert load_settings(database_url="postgresql://rag@db/rag").database_url == "postgresql://rag@db/rag"


def test_a_backup_of_postgresql_is_its_own(postgres: Postgres, tmp_path: Path) -> None:
    database = open_database(tmp_path, postgres.database())
    with pytest.raises(StoreError, match="pg_dump"):
        database.back_up(tmp_path / "x")
    database.close()


def test_a_backup_is_one_whole_file(tmp_path: Path) -> None:
    library = Library(make_settings(tmp_path))
    library.add(write(tmp_path / "a.md", MOON))
    library.database.back_up(tmp_path / "backup")
    library.close()
    with sqlite3.connect(tmp_path / "backup") as copy:
        assert copy.execute("SELECT count(*) FROM sources").fetchone() == (1,)
    assert not list(tmp_path.glob("backup-*"))
