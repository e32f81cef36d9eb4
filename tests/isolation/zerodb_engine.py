"""zerodb behind the tester's protocols: each session is a connection that a thread of its own works for.

A text of several statements is what it is over PostgreSQL's simple protocol: one implicit transaction, unless the text
itself says BEGIN. Whether a session waits is asked of the lock table.
"""

from __future__ import annotations

import queue
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tests.isolation.tester import Failure, Notification, Result, Table

import zerodb
from zerodb_compiler.types import TypeId

# PostgreSQL's defaults, which the expected files were made with. (Dates, too: in the style "Postgres, MDY", which is
# written here, since the database knows ISO only.)
DEFAULTS = ("set default_transaction_isolation = 'read committed'",)
PATIENCE_S = 0.3
KEYS = """select table_name, column_name from information_schema.key_column_usage
natural join information_schema.table_constraints where constraint_type = 'PRIMARY KEY'"""


class ZerodbEngine:
    """The database in the directory `path`."""

    def __init__(self, path: str, *, points: bool = False) -> None:
        """With `points` statements by key take the short way, as prepared ones do (host/zerodb/point.py)."""
        self._path, self._points = path, points
        self._kept = zerodb.connect(path, synchronous="off", threads=1)
        self._names: dict[int, str] = {}  # of sessions, by the numbers that notifications have

    def connect(self, name: str) -> ZerodbConnection:
        connection = zerodb.connect(self._path)
        for setting in DEFAULTS:
            connection.execute(setting)
        self._names[connection._session.locks.locker.number] = name
        return ZerodbConnection(connection, name, self._names, points=self._points and name != "control")

    def merge(self) -> None:
        """Folds the changes of all tables into segments, as the merging thread does."""
        storage = self._kept._session._storage
        for version in storage.snapshot().tables.values():
            storage.merger.merge(version.id)

    def problem(self) -> str | None:
        """What the database's own check finds; and whether each row is found by its key."""
        found = self._kept.check()
        if found:
            return f"check: {found}"
        for table, key in self._kept.execute(KEYS).fetchall():
            for row in self._kept.execute(f"select * from {table}").fetchall()[:20]:
                place = [column[0] for column in self._kept.execute(f"select * from {table} limit 0").description]
                value = row[place.index(key)]
                if (by_key := self._kept.execute(f"select * from {table} where {key} = {value}").fetchall()) != [row]:
                    return f"{table}: {key} = {value} gives {by_key}, not {[row]}"
        return None

    def close(self) -> None:
        self._kept.close()


class ZerodbConnection:
    def __init__(
        self, connection: zerodb.Connection, name: str, names: dict[int, str], *, points: bool = False
    ) -> None:
        self._connection, self._names, self._points = connection, names, points
        self._texts: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._done = threading.Event()
        self._done.set()
        self._results: list[Result] = []
        self._said: queue.SimpleQueue[str] = queue.SimpleQueue()
        connection.add_notice_handler(lambda notice: self._said.put(str(notice)))
        self._thread = threading.Thread(target=self._work, name=f"isolation {name}", daemon=True)
        self._thread.start()

    def start(self, sql: str) -> None:
        assert self._done.is_set(), "the last text has not ended"
        self._done.clear()
        self._results = []
        self._texts.put(sql)

    def wait(self, seconds: float) -> bool:
        return self._done.wait(seconds)

    def results(self) -> list[Result]:
        return self._results

    def is_blocked(self) -> bool:
        owner = self._connection._session.locks.waiting
        return owner is not None and owner.is_waiting

    def notices(self) -> list[str]:
        return [self._said.get() for _ in range(self._said.qsize())]

    def cancel(self) -> None:
        self._connection.interrupt()

    def close(self) -> None:
        self._texts.put(None)
        self._thread.join(timeout=10)
        assert not self._thread.is_alive(), "a session does not end"
        self._connection.close()

    def _work(self) -> None:
        while (sql := self._texts.get()) is not None:
            try:
                for result in _run(
                    self._connection, sql, _executed_as_point if self._points else zerodb.Connection.execute
                ):
                    self._results.append(result)
                for told in self._connection.notifications():
                    self._results.append(Notification(told.channel, told.payload, self._names[told.sender]))
            except zerodb.Error as error:
                self._results.append(Failure(str(error.args[0]), code=error.sqlstate))
            except BaseException as error:  # a fault of ours, which the comparison shows
                self._results.append(Failure(repr(error), "FAULT"))
            finally:
                self._done.set()


def _run(connection: zerodb.Connection, sql: str, execute: Callable[[zerodb.Connection, str], Any]) -> Iterator[Result]:
    """Runs a text statement by statement."""
    statements = list(connection.statements(sql))
    opened = False  # the implicit transaction
    try:
        for statement in statements:
            word = _first_word(statement)
            if word in _BEGINS and opened:
                connection.commit()
                opened = False
            elif word not in _BEGINS and len(statements) > 1 and not connection.in_transaction:
                connection.begin()
                opened = True
            yield from _result(execute(connection, statement))
            opened = opened and connection.in_transaction and word not in _ENDS
        if opened:
            opened = False
            connection.commit()
    except BaseException:
        if opened:
            connection.rollback()
        raise


def _executed_as_point(connection: zerodb.Connection, sql: str) -> Any:
    """INSERT of one row of constants gets these as parameters, which the short way wants."""
    parameters: list[int | str] = []
    if one_row := re.fullmatch(r"(insert into \w+ values )(\([^()]*\))", sql):
        values = re.sub(r"'([^']*)'|\b(\d+)\b", lambda found: _parameter(found, parameters), one_row[2])
        sql = one_row[1] + values
    if _first_word(sql) not in ("select", "insert", "update", "delete") or connection._session.is_failed:
        return connection.execute(sql, parameters or None)
    try:
        prepared = connection.prepare(sql)
        prepared.make_point()
    except zerodb.Error:  # the statement itself is to fail, in its transaction
        return connection.execute(sql, parameters or None)
    return prepared.execute(parameters or None)


def _parameter(found: re.Match[str], parameters: list[int | str]) -> str:
    parameters.append(int(found[2]) if found[2] else found[1])
    return "?"


_BEGINS = frozenset({"begin", "start"})
_ENDS = frozenset({"commit", "end", "rollback", "abort"})


def _first_word(statement: str) -> str:
    return statement.split(None, 1)[0].strip(";").lower() if statement.strip() else ""


def _written(row: Sequence[str | None], dates: set[int]) -> tuple[str | None, ...]:
    return tuple(
        f"{value[5:]}-{value[:4]}" if value is not None and place in dates else value for place, value in enumerate(row)
    )


def _result(cursor: Any) -> Iterator[Result]:
    """The cursor's result set, if it has one, as PostgreSQL's texts."""
    outcome = getattr(cursor, "_outcome", None)
    if outcome is None and cursor.description is not None:  # of a statement by key
        rows = [tuple(None if value is None else str(value) for value in row) for row in cursor.fetchall()]
        yield Table(tuple(column[0] for column in cursor.description), tuple(rows))
    if outcome is not None and outcome.columns is not None:
        batches = outcome.batches
        dates = {place for place, column in enumerate(outcome.columns) if column.type.id is TypeId.DATE}
        rows = tuple(_written(row, dates) for number in range(len(batches)) for row in batches.texts(number))
        yield Table(tuple(column.name for column in outcome.columns), rows)
