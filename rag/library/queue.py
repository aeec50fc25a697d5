"""What is asked for and not done yet, in the database: any number of app processes take work from it.

A source has one row at most. Whoever works on it has taken the row until a time that is renewed; a process that is
killed renews no more, and another one takes the row after `LEASE_SECONDS`. A row that failed stays, with the reason.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, select

from rag.library.database import Database, get_setting, set_setting
from rag.library.schema import sources, work

LEASE_SECONDS = 15.0
"""How long a process that was killed keeps what it had taken; one that lives renews it at every third of that."""
FOR_GOOD = 1e12
"""The same where one process has the database: until it ends."""
PAGE = 1000
"""Names in one statement."""
INDEX = "index:"
"""Prefix of a row's `source` that is no source: the row says which process builds the index of that id."""
# Made once: to make these takes longer than to run them, and a page that has not changed costs little else.
_FREE = (
    select(work)
    .where(work.c.reason == "", work.c.taken_until <= bindparam("now"), ~work.c.source.startswith(INDEX))
    .order_by(work.c.id)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_ROWS = work.c.id.in_(bindparam("rows", expanding=True))
_HOLD = work.update().where(_ROWS).values(taken_by=bindparam("holder"), taken_until=bindparam("until"))
_END = work.delete().where(_ROWS)


@dataclass(frozen=True)
class Task:
    """A source to load and index. With a `depth` of 0 or more, also the pages found from it, `limit` at most.

    `stored`: its text is in the database already, and nothing is fetched. `reason`: why it failed. `taken_by`: the
    process that works on it, "" if none does.
    """

    source: str
    private: bool
    depth: int = -1
    limit: int = 1
    stored: bool = False
    reason: str = ""
    taken_by: str = ""
    id: int = 0


class Queue:
    """The rows of work of one library, as one process sees them. Every method may be called from any thread."""

    def __init__(self, database: Database) -> None:
        self.holder = secrets.token_hex(8)
        """Which process this is."""
        self._database, self.shared = database, database.shared
        self._lease = LEASE_SECONDS if database.shared else FOR_GOOD
        self._done: list[int] = []
        """Ids of tasks that are done and whose rows are still in the database."""
        self._lock = threading.Lock()
        """For `_tasks` and `_done`, which are read and written by several threads."""
        self._tasks: dict[int, Task] = {}
        """By their ids."""
        if not database.shared:  # one process has the folder: what is taken was taken by one that is gone
            with database.write() as connection:
                connection.execute(work.update().values(taken_by="", taken_until=0.0))
        self.look()

    @property
    def tasks(self) -> list[Task]:
        """All rows as of the last look, in the order in which they were asked for, with what this process did since."""
        with self._lock:
            return list(self._tasks.values())

    def look(self) -> None:
        """Read the rows."""
        with self._lock, self._database.read() as connection:
            now = self._database.now(connection)
            rows = connection.execute(select(work).where(~work.c.source.startswith(INDEX)).order_by(work.c.id))
            found = [_task(row, row.taken_by if row.taken_until > now else "") for row in rows]
            self._tasks = {task.id: task for task in found if task.id not in self._done}

    def ask(self, tasks: Sequence[Task]) -> None:
        """Ask for sources. One that somebody is working on is left alone; one that waits or failed is asked anew."""
        with self._write() as connection:
            now = self._database.now(connection)
            names = [task.source for task in tasks]
            taken = set(connection.execute(select(work.c.source).where(work.c.taken_until > now)).scalars())
            new = {task.source: task for task in tasks if task.source not in taken}
            self._put(connection, list(new.values()))
            _forget_removed(connection, names)
        self.look()

    @staticmethod
    def _put(connection: Connection, tasks: Sequence[Task]) -> None:
        names = [task.source for task in tasks]
        fetched = [
            task.source for task in tasks if not task.stored
        ]  # what was loaded before is dropped, as it is fetched anew
        for start in range(0, len(names), PAGE):
            connection.execute(work.delete().where(work.c.source.in_(names[start : start + PAGE])))
            old = and_(sources.c.source.in_(fetched[start : start + PAGE]), sources.c.state == "loaded")
            connection.execute(sources.delete().where(old))
        fields = ("source", "private", "depth", "limit", "stored", "reason")
        rows = [{name: getattr(task, name) for name in fields} | {"taken_by": "", "taken_until": 0.0} for task in tasks]
        if rows:
            connection.execute(work.insert(), rows)

    def take(self, most: int = 1) -> list[Task]:
        """The next tasks that nobody has, `most` at most, which are this process's from now on."""
        with self._write() as connection:
            now = self._database.now(connection)
            rows = connection.execute(_FREE, {"now": now, "most": most}).all()
            if not rows:
                return []
            self._hold(connection, [row.id for row in rows], now)
        taken = {row.id: _task(row, self.holder) for row in rows}
        with self._lock:
            self._tasks.update((number, task) for number, task in taken.items() if number in self._tasks)
        return list(taken.values())

    def take_index(self, index: int) -> bool:
        """Become the one that builds an index. False: another process is."""
        name = f"{INDEX}{index}"
        with self._database.write() as connection:
            now = self._database.now(connection)
            query = select(work).where(work.c.source == name).with_for_update()
            row = connection.execute(query).first()
            if row is None:
                self._put(connection, [Task(name, False, stored=True)])
                row = connection.execute(query).one()
            if row.taken_by != self.holder and row.taken_until > now:
                return False
            self._hold(connection, [row.id], now)
            return True

    def give_back_index(self, index: int) -> None:
        """It is built, or given up."""
        with self._database.write() as connection:
            mine = and_(work.c.source == f"{INDEX}{index}", work.c.taken_by == self.holder)
            connection.execute(work.delete().where(mine))

    def _hold(self, connection: Connection, rows: Sequence[int], now: float) -> None:
        connection.execute(_HOLD, {"rows": rows, "holder": self.holder, "until": now + self._lease})

    def renew(self) -> set[str]:
        """Keep what this process has taken. Returns the sources that it still has."""
        with self._database.write() as connection:
            now = self._database.now(connection)
            mine = work.c.taken_by == self.holder
            connection.execute(work.update().where(mine).values(taken_until=now + self._lease))
            return set(connection.execute(select(work.c.source).where(mine)).scalars())

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        """A transaction that also deletes the rows of what is done."""
        done = list(self._done)
        with self._database.write() as connection:
            if done:
                connection.execute(_END, {"rows": done})
            yield connection
        with self._lock:
            self._done = [task for task in self._done if task not in done]

    def has(self, task: Task) -> bool:
        """Whether a task that was taken is still this process's: nobody cancelled it, removed it or asked anew."""
        if not self.shared:
            return task.id in self._tasks
        with self._database.read() as connection:
            mine = and_(work.c.id == task.id, work.c.taken_by == self.holder)
            return connection.execute(select(work.c.id).where(mine)).first() is not None

    def end(self, task: Task, reason: str = "") -> None:
        """A task is done, or has failed for a `reason`.

        The row of one that is done is deleted in the next transaction of `take`, `ask` or `put_back`.
        """
        if reason:
            told = {"reason": reason, "taken_by": "", "taken_until": 0.0}
            with self._database.write() as connection:
                connection.execute(work.update().where(work.c.id == task.id).values(told))
        with self._lock:
            self._tasks.pop(task.id, None)
            if reason:
                self._tasks[task.id] = replace(task, reason=reason, taken_by="")
            else:
                self._done.append(task.id)

    def fail(self, source: str, reason: str, *, private: bool = False) -> None:
        """Say why a source cannot be had, whether it was asked for or not."""
        with self._database.write() as connection:
            self._put(connection, [Task(source, private, stored=True, reason=reason)])
        self.look()

    def put_back(self, tasks: Iterable[Task]) -> None:
        """Leave tasks to be taken again."""
        with self._write() as connection:
            mine = and_(work.c.id.in_([task.id for task in tasks]), work.c.taken_by == self.holder)
            connection.execute(work.update().where(mine).values(taken_by="", taken_until=0.0))
        self.look()

    def cancel(self) -> None:
        """Drop what waits and what is under way; what failed stays."""
        with self._database.write() as connection:
            connection.execute(work.delete().where(work.c.reason == "", ~work.c.source.startswith(INDEX)))
        self.look()

    # -- what was removed ----------------------------------------------------------------------------------------

    def removed(self) -> set[str]:
        """Sources that a person removed and that do not come back by themselves: files of folders, the default page."""
        return set(self._database.setting("removed", []))

    def note_removed(self, names: Iterable[str]) -> None:
        """Remember that sources were removed."""
        with self._database.write() as connection:
            removed = set(get_setting(connection, "removed", []))
            set_setting(connection, "removed", sorted(removed | set(names)))


def _task(row: Row[Any], taken_by: str) -> Task:
    return Task(row.source, row.private, row.depth, row.limit, row.stored, row.reason, taken_by, row.id)


def _forget_removed(connection: Connection, names: Iterable[str]) -> None:
    removed = set(get_setting(connection, "removed", []))
    if removed & set(names):
        set_setting(connection, "removed", sorted(removed - set(names)))
