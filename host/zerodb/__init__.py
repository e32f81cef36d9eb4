"""zerodb: a database whose queries are WebAssembly.

    import zerodb
    db = zerodb.connect("shop.zdb")                      # or ":memory:"
    db.execute("select * from t where id = ?", [7]).fetchall()

A PEP 249 module. The heavy parts (wasmtime, sqlglot, RocksDB, Arrow) are imported by the first `connect()`, so that
`import zerodb` and `zerodb --help` are quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zerodb.dbapi import (
    BINARY,
    DATETIME,
    NUMBER,
    ROWID,
    STRING,
    Binary,
    Date,
    DateFromTicks,
    Time,
    TimeFromTicks,
    Timestamp,
    TimestampFromTicks,
)
from zerodb.errors import (
    DatabaseError,
    DataError,
    Error,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    Warning,  # noqa: A004 - PEP 249 asks for this name
)

if TYPE_CHECKING:
    from datetime import datetime

    from zerodb.connection import Connection
    from zerodb.cursor import Cursor
    from zerodb.statement import PreparedStatement
    from zerodb_compiler.intervals import Interval
    from zerodb_storage.backups.files import Point

__version__ = "0.1.0"

apilevel = "2.0"
threadsafety = 2  # threads may share the module and connections; a cursor belongs to one thread
paramstyle = "qmark"  # $1 and $name work too


def connect(
    database: str = ":memory:",
    *,
    read_only: bool = False,
    memory_limit: int | str | None = None,
    threads: int | None = None,
    synchronous: str = "full",
) -> Connection:
    """Opens the database in the directory `database`, creating it if it is not there; ":memory:" is a private one.

    `memory_limit` bounds column cache and workspace, in bytes or as "512MB"; `threads` defaults to the processors.
    `synchronous` is "full" (every commit is on disk when it returns), "normal" or "off". Connections of one process to
    the same path share the database; a second process gets OperationalError 55006.
    """
    from zerodb.connection import open_connection

    return open_connection(
        database, read_only=read_only, memory_limit=memory_limit, threads=threads, synchronous=synchronous
    )


def restore(source: str, database: str, to: str | int | datetime | None = None) -> Point:
    """Makes the database directory `database`, which must not be there, from the backups in the directory `source`.

    `to` is a time (also as text, ISO 8601, UTC if it names no zone), the number of a commit, or "latest": the database
    gets exactly the commits up to then. Returns the last one that it has (`sequence`, `when`).
    """
    from zerodb_storage.backups.restoring import restore

    return restore(str(source), str(database), to)


_LAZY = {
    "Connection": "zerodb.connection",
    "Cursor": "zerodb.cursor",
    "Interval": "zerodb_compiler.intervals",
    "PreparedStatement": "zerodb.statement",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'zerodb' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LAZY[name]), name)


__all__ = [
    "BINARY",
    "DATETIME",
    "NUMBER",
    "ROWID",
    "STRING",
    "Binary",
    "Connection",
    "Cursor",
    "DataError",
    "DatabaseError",
    "Date",
    "DateFromTicks",
    "Error",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "Interval",
    "NotSupportedError",
    "OperationalError",
    "PreparedStatement",
    "ProgrammingError",
    "Time",
    "TimeFromTicks",
    "Timestamp",
    "TimestampFromTicks",
    "Warning",
    "apilevel",
    "connect",
    "paramstyle",
    "restore",
    "threadsafety",
]
