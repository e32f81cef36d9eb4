"""A table as keys and values: what the interface zerosys:db/kv is made of, over one connection's prepared statements.

    key text primary key | value bytea not null | expires timestamptz      (NULL: never)

Every operation is atomic. Within a transaction of the connection it is part of that, and a conflict ends it
as any statement's would; outside of one it runs again until nobody came in between.

Time is the host's clock. A key whose time has come is not there for any operation; who meets it outside of a
transaction removes it, if it may.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from zerodb_compiler.errors import Error, error_for
from zerodb_compiler.types import TypeId

if TYPE_CHECKING:
    from zerodb.connection import Connection
    from zerodb.statement import PreparedStatement

T = TypeVar("T")

RETRIES = 1000
PAGE_KEYS = 1000  # where a guest leaves it to the host
MOST_KEYS = 1 << 16
_COLUMNS = {"key": TypeId.TEXT, "value": TypeId.BYTEA, "expires": TypeId.TIMESTAMPTZ}
_GREATEST = (1 << 63) - 1
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_NEVER_MS = 250_000 * 366 * 86_400_000  # beyond what a timestamp holds, if one adds today


class Bucket:
    """Opening makes the table if it is not there. `clock` gives seconds since 1970."""

    def __init__(self, connection: Connection, name: str, clock: Callable[[], float] = time.time) -> None:
        self._connection = connection
        self._clock = clock
        self._table = _quoted(name)
        self._statements: dict[str, PreparedStatement] = {}
        self._open(name)

    def _open(self, name: str) -> None:
        try:
            columns = self._connection.prepare(f"select * from {self._table}").columns or ()
        except Error as error:
            if error.sqlstate != "42P01":
                raise
            self._connection.execute(
                f"create table if not exists {self._table}"
                " (key text primary key, value bytea not null, expires timestamptz)"
            )
            return
        found = {column.name: column.type.id for column in columns}
        if any(found.get(column) is not type_ for column, type_ in _COLUMNS.items()):
            shape = ", ".join(f"{column} {type_.value}" for column, type_ in _COLUMNS.items())
            raise error_for("42809", f'"{name}" is no bucket', hint=f"a bucket is a table with the columns {shape}")

    # --- statements --------------------------------------------------------------------------------------------------

    def _statement(self, text: str) -> PreparedStatement:
        found = self._statements.get(text)
        if found is None:
            found = self._statements[text] = self._connection.prepare(text.replace("BUCKET", self._table))
        return found

    def _changed(self, text: str, *parameters: Any) -> int:
        return self._statement(text).execute(parameters).rowcount

    def _atomic(self, change: Callable[[], T]) -> T:
        """A change of several statements; outside of a transaction in one of its own, until nobody comes between."""
        connection = self._connection
        if connection.in_transaction:
            return change()
        return connection.transaction(retries=RETRIES).run(lambda _: change())

    def _again(self, change: Callable[[], T]) -> T:
        """A change of one statement, which may meet others that change the same key at the same time."""
        if self._connection.in_transaction:
            return change()
        try:
            return change()
        except Error as error:
            if not error.retryable:
                raise
        return self._atomic(change)

    def _now(self) -> datetime.datetime:
        return _EPOCH + datetime.timedelta(microseconds=int(self._clock() * 1e6))

    def _find(self, key: str) -> tuple[bytes, datetime.datetime | None] | None:
        found = self._statement("select value, expires from BUCKET where key = $1").execute((key,)).fetchone()
        return None if found is None else (found[0], found[1])

    def _is_gone(self, expires: datetime.datetime | None) -> bool:
        return expires is not None and expires <= self._now()

    def _forget(self, *keys: str) -> None:
        """Removes keys whose time has come, if nothing speaks against it."""
        if self._connection.in_transaction:
            return
        try:
            for key in keys:
                self._changed("delete from BUCKET where key = $1 and expires <= $2", key, self._now())
        except Error:
            return  # no right to, read-only, or somebody else does it: it is not seen anyway

    # --- reading -----------------------------------------------------------------------------------------------------

    def get(self, key: str) -> bytes | None:
        found = self._find(key)
        if found is None:
            return None
        if self._is_gone(found[1]):
            self._forget(key)
            return None
        return found[0]

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        rows = self._statement("select value, expires from BUCKET where key = $1").fetch_many(list(keys))
        gone = [key for key, row in zip(keys, rows, strict=True) if row is not None and self._is_gone(row[1])]
        if gone:
            self._forget(*gone)
        return [None if row is None or self._is_gone(row[1]) else row[0] for row in rows]

    def exists(self, key: str) -> bool:
        found = self._statement("select expires from BUCKET where key = $1").execute((key,)).fetchone()
        if found is not None and self._is_gone(found[0]):
            self._forget(key)
            return False
        return found is not None

    def list_keys(self, prefix: str, cursor: str | None, limit: int) -> tuple[list[str], str | None]:
        """(keys, where to go on)."""
        wanted = min(limit or PAGE_KEYS, MOST_KEYS)
        text = "select key, expires from BUCKET where key >= $1"
        parameters: list[Any] = [prefix]
        end = prefix_end(prefix)
        if end is not None:
            text += f" and key < ${len(parameters) + 1}"
            parameters.append(end)
        if cursor is not None:
            text += f" and key > ${len(parameters) + 1}"
            parameters.append(cursor)
        text += f" and (expires is null or expires > ${len(parameters) + 1}) order by key limit {wanted + 1}"
        parameters.append(self._now())
        keys = [key for key, _ in self._connection.execute(text.replace("BUCKET", self._table), parameters).fetchall()]
        more = len(keys) > wanted
        return keys[:wanted], keys[wanted - 1] if more else None

    # --- writing -----------------------------------------------------------------------------------------------------

    def set(self, key: str, value: bytes) -> None:
        self._set(key, value, None)

    def set_with_ttl(self, key: str, value: bytes, ttl_ms: int) -> None:
        expires = None if ttl_ms >= _NEVER_MS else ttl_ms
        if expires is None:
            self._set(key, value, None)
            return
        try:
            self._set(key, value, self._now() + datetime.timedelta(milliseconds=expires))
        except OverflowError:  # beyond the year 9999
            self._set(key, value, None)

    def _set(self, key: str, value: bytes, expires: datetime.datetime | None) -> None:
        self._again(lambda: self._put(key, value, expires))

    def _put(self, key: str, value: bytes, expires: datetime.datetime | None) -> None:
        if self._changed("update BUCKET set value = $2, expires = $3 where key = $1", key, value, expires):
            return
        self._changed(
            "insert into BUCKET (key, value, expires) values ($1, $2, $3)"
            " on conflict (key) do update set value = excluded.value, expires = excluded.expires",
            *(key, value, expires),
        )

    def set_many(self, pairs: Sequence[tuple[str, bytes]]) -> None:
        last = dict(pairs)
        if not last:
            return

        def change() -> None:
            for key, value in last.items():
                self._put(key, value, None)

        self._atomic(change)

    def delete(self, key: str) -> bool:
        return self._again(lambda: self._remove(key))

    def _remove(self, key: str) -> bool:
        found = self._statement("delete from BUCKET where key = $1 returning expires").execute((key,)).fetchone()
        return found is not None and not self._is_gone(found[0])

    def delete_many(self, keys: Sequence[str]) -> int:
        if not keys:
            return 0
        return self._atomic(lambda: sum(map(self._remove, dict.fromkeys(keys))))

    def increment(self, key: str, delta: int) -> int:
        return self._atomic(lambda: self._add(key, delta))

    def _add(self, key: str, delta: int) -> int:
        while True:
            found = self._find(key)
            gone = found is not None and self._is_gone(found[1])
            total = (0 if found is None or gone else _number(key, found[0])) + delta
            if not -_GREATEST - 1 <= total <= _GREATEST:
                raise error_for("22003", f'"{key}" would become {total}, which is beyond 64 bits')
            value = str(total).encode()
            if found is None:
                if self._insert(key, value):
                    return total
            elif gone:
                if self._replace(key, found[0], found[1], value):
                    return total
            # the time to live stays
            elif self._changed("update BUCKET set value = $3 where key = $1 and value = $2", key, found[0], value):
                return total

    def compare_and_swap(self, key: str, expected: bytes | None, value: bytes) -> bool:
        return self._atomic(lambda: self._swap(key, expected, value))

    def _swap(self, key: str, expected: bytes | None, value: bytes) -> bool:
        while True:
            found = self._find(key)
            present = None if found is None or self._is_gone(found[1]) else found[0]
            if present != expected:
                return False
            if self._insert(key, value) if found is None else self._replace(key, *found, value):
                return True

    def _insert(self, key: str, value: bytes) -> bool:
        """False if somebody else did."""
        return bool(
            self._changed("insert into BUCKET (key, value) values ($1, $2) on conflict (key) do nothing", key, value)
        )

    def _replace(self, key: str, old: bytes, expires: datetime.datetime | None, value: bytes) -> bool:
        """False if it is not as it was found any more (under READ COMMITTED)."""
        return bool(
            self._changed(
                "update BUCKET set value = $4, expires = null"
                " where key = $1 and value = $2 and expires is not distinct from $3",
                *(key, old, expires, value),
            )
        )


def _quoted(name: str) -> str:
    schema, dot, table = name.rpartition(".")
    if not table or (dot and not schema) or "\0" in name:
        raise error_for("42602", f'"{name}" is no name of a bucket')
    return ".".join('"' + part.replace('"', '""') + '"' for part in ((schema, table) if dot else (table,)))


def _number(key: str, value: bytes) -> int:
    try:
        text = value.decode("ascii")
        if not text.removeprefix("-").isdigit() or len(text) > 20:
            raise ValueError(text)
        return int(text)
    except ValueError:
        shown = value[:40].decode("utf-8", "replace")
        raise error_for("22P02", f'the value of "{key}" is no number: "{shown}"') from None


def prefix_end(prefix: str) -> str | None:
    """The least text that is greater than all that begin with `prefix`, in the order of bytes (that of code points);
    None if there is none."""
    while prefix:
        last = ord(prefix[-1])
        if last < 0x10FFFF:
            return prefix[:-1] + chr(0xE000 if last == 0xD7FF else last + 1)
        prefix = prefix[:-1]
    return None
