"""Advisory locks (compiler: sql/binder_advisory.py).

Those of a transaction are held by its write transaction. Those of the session are its own and are counted: they end
when they were unlocked as often as they were locked, or with the session. Session and transaction are one party: they
are never in each other's way, and a deadlock is seen through both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from zerodb.engine import keyboard
from zerodb_compiler.sql.computed import Computed
from zerodb_compiler.sql.expressions import Literal, Parameter
from zerodb_storage.locks import AdvisoryMode, Locks

if TYPE_CHECKING:
    from zerodb.connection import Connection
    from zerodb.sessions.session import Session
    from zerodb.values import Canonical


def advisory(connection: Connection, what: Computed, values: Sequence[Any]) -> Canonical:
    """Calls one of the functions pg_advisory_... (compiler: sql/binder_advisory.py)."""
    name = what.sequence
    assert isinstance(name, str)
    arguments = [value_of(argument, values) for argument in what.arguments]
    if None in arguments:
        return None
    key = tuple(arguments)
    mode = AdvisoryMode.SHARED if name.endswith("_shared") else AdvisoryMode.EXCLUSIVE
    held = connection._session.advisory
    if name == "pg_advisory_unlock_all":
        held.unlock_all()
        return ""
    if name.startswith("pg_advisory_unlock"):
        return held.unlock(key, mode)
    nowait = name.startswith("pg_try_")
    locked = held.lock_in_transaction(key, mode, nowait) if "_xact_" in name else held.lock(key, mode, nowait)
    return locked if nowait else ""


def value_of(argument: object, values: Sequence[Any]) -> Any:
    match argument:
        case Literal(value=value):
            return value
        case Parameter(index=index):
            return values[index]
    raise AssertionError(argument)


class Advisory:
    """The advisory locks of one session."""

    def __init__(self, session: Session, locks: Locks) -> None:
        self._session, self._locks = session, locks
        self._counts: dict[tuple[tuple[int, ...], AdvisoryMode], int] = {}

    def lock(self, key: tuple[int, ...], mode: AdvisoryMode, nowait: bool) -> bool:
        with keyboard.held():
            self._session.locks.limit(self._session.locks.locker)
            if not self._locks.lock_advisory(self._session.locks.locker, key, mode, nowait=nowait):
                return False
            self._counts[key, mode] = self._counts.get((key, mode), 0) + 1
        return True

    def lock_in_transaction(self, key: tuple[int, ...], mode: AdvisoryMode, nowait: bool) -> bool:
        session = self._session
        if session.is_read_only:
            with keyboard.held():
                return self._locks.lock_advisory(session.locks.reader(), key, mode, nowait=nowait)
        with session.writing() as write:
            return self._locks.lock_advisory(write.owner, key, mode, nowait=nowait)

    def unlock(self, key: tuple[int, ...], mode: AdvisoryMode) -> bool:
        """False if the session does not hold it."""
        count = self._counts.get((key, mode), 0)
        if count == 0:
            return False
        if count > 1:
            self._counts[key, mode] = count - 1
            return True
        del self._counts[key, mode]
        return self._locks.unlock_advisory(self._session.locks.locker, key, mode)

    def unlock_all(self) -> None:
        self._counts.clear()
        self._locks.release(self._session.locks.locker)
