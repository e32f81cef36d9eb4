"""The databases that small operations are compared on, behind one narrow interface: sessions that prepare statements.

A prepared statement is whatever callable the driver offers for running it again with other values, without a layer of
ours in between: `PreparedStatement.execute` of zerodb, `Connection.execute` of the others with the text bound (sqlite3
keeps prepared statements by their text). All peers are on disk and sync every commit:

    zerodb    synchronous="full"
    SQLite    journal_mode=WAL, synchronous=FULL
    DuckDB    syncs its log at every commit
"""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import zerodb
from zerodb.errors import Error

WAIT_S = 60.0  # for another writer, where the peer has one lock
Run = Callable[[Sequence[Any]], Any]  # parameters -> a cursor


class Session(Protocol):
    """A connection of one thread."""

    def prepare(self, sql: str) -> Run: ...

    def execute(self, sql: str) -> Any: ...

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> object: ...

    def register(self, name: str, data: Any) -> object:
        """Makes Arrow data a table of the session."""

    def begin(self, *, read_only: bool = False) -> object: ...

    def commit(self) -> object: ...

    def rollback(self) -> object: ...

    def close(self) -> None: ...


class Peer(Protocol):
    name: str

    def session(self) -> Session: ...

    def money(self, cents: int) -> Any:
        """An amount as the driver takes and gives it for a numeric(p, 2) column."""

    def fraction(self, ten_thousandths: int) -> Any:
        """A number as the driver takes it for a numeric(4, 4) column."""

    def moment(self, at: datetime) -> Any:
        """A timestamp as the driver takes it."""

    def retryable(self, error: Exception) -> bool:
        """Whether the transaction should be run again."""

    def close(self) -> None: ...


class ZerodbSession:
    def __init__(self, connection: zerodb.Connection, isolation: str | None) -> None:
        self.connection = connection
        self.isolation = isolation
        self.execute = connection.execute
        self.executemany = connection.executemany
        self.register = connection.register
        self.commit = connection.commit
        self.rollback = connection.rollback
        self.close = connection.close

    def prepare(self, sql: str) -> Run:
        return self.connection.prepare(sql).execute

    def begin(self, *, read_only: bool = False) -> None:
        self.connection.begin(self.isolation, read_only=read_only)


class Zerodb:
    name = "zerodb"

    def __init__(self, folder: Path, threads: int = 1, isolation: str | None = None) -> None:
        self.path = str(folder / "zerodb.zdb")
        self.isolation = isolation
        self._first = zerodb.connect(self.path, threads=threads, synchronous="full")

    def session(self) -> ZerodbSession:
        return ZerodbSession(self._first.duplicate(), self.isolation)

    def money(self, cents: int) -> Decimal:
        return Decimal(cents).scaleb(-2)

    def fraction(self, ten_thousandths: int) -> Decimal:
        return Decimal(ten_thousandths).scaleb(-4)

    def moment(self, at: datetime) -> datetime:
        return at

    def retryable(self, error: Exception) -> bool:
        return isinstance(error, Error) and bool(error.retryable)

    def close(self) -> None:
        self._first.close()


class SqliteSession:
    def __init__(self, path: str) -> None:
        # 500 statements: like the others, it parses each text once.
        self.connection = sqlite3.connect(
            path, WAIT_S, isolation_level=None, check_same_thread=False, cached_statements=500
        )
        self.connection.execute("pragma journal_mode=wal")
        self.connection.execute("pragma synchronous=full")
        self.execute = self.connection.execute
        self.close = self.connection.close
        self._executemany = self.connection.executemany

    def prepare(self, sql: str) -> Run:
        return functools.partial(self.connection.execute, sql)

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        if self.connection.in_transaction:
            self._executemany(sql, rows)
            return
        self.begin()
        self._executemany(sql, rows)
        self.commit()

    def register(self, name: str, data: Any) -> None:
        raise NotImplementedError("SQLite takes no Arrow data")

    def begin(self, *, read_only: bool = False) -> None:
        # A transaction that is going to write takes the lock at once: it would fail when it takes it later.
        self.connection.execute("begin" if read_only else "begin immediate")

    def commit(self) -> None:
        self.connection.execute("commit")

    def rollback(self) -> None:
        if self.connection.in_transaction:
            self.connection.execute("rollback")


class Sqlite:
    name = "SQLite"

    def __init__(self, folder: Path) -> None:
        self._path = str(folder / "sqlite.db")

    def session(self) -> SqliteSession:
        return SqliteSession(self._path)

    def money(self, cents: int) -> float:
        return cents / 100

    def fraction(self, ten_thousandths: int) -> float:
        return ten_thousandths / 10_000

    def moment(self, at: datetime) -> str:
        return at.isoformat(" ")

    def retryable(self, error: Exception) -> bool:
        return isinstance(error, sqlite3.OperationalError) and "locked" in str(error)

    def close(self) -> None:
        """Nothing is open but its sessions."""


class DuckdbSession:
    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.execute = connection.execute
        self.executemany = connection.executemany
        self.register = connection.register
        self.commit = connection.commit
        self.rollback = connection.rollback
        self.close = connection.close

    def prepare(self, sql: str) -> Run:
        return functools.partial(self.connection.execute, sql)

    def begin(self, *, read_only: bool = False) -> None:
        del read_only  # it has no such transactions
        self.connection.begin()


class Duckdb:
    name = "DuckDB"

    def __init__(self, folder: Path, threads: int = 1) -> None:
        import duckdb

        self._first = duckdb.connect(str(folder / "duck.db"), config={"threads": threads})
        self._error = duckdb.TransactionException

    def session(self) -> DuckdbSession:
        return DuckdbSession(self._first.cursor())

    def money(self, cents: int) -> Decimal:
        return Decimal(cents).scaleb(-2)

    def fraction(self, ten_thousandths: int) -> Decimal:
        return Decimal(ten_thousandths).scaleb(-4)

    def moment(self, at: datetime) -> datetime:
        return at

    def retryable(self, error: Exception) -> bool:
        return isinstance(error, self._error)

    def close(self) -> None:
        self._first.close()


PEERS: dict[str, Callable[[Path], Peer]] = {"zerodb": Zerodb, "sqlite": Sqlite, "duckdb": Duckdb}


def named(names: str) -> list[str]:
    """The peers of an option such as `sqlite,duckdb`."""
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted:
        if name not in PEERS or name == "zerodb":
            raise SystemExit(f"unknown peer {name!r}: one or more of sqlite, duckdb")
    return wanted
