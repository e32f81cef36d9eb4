"""One transaction of a session, from BEGIN to its end: its characteristics, what it sees and has written."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zerodb.options import Settings
from zerodb.sessions import deferral
from zerodb.sessions.deferral import Deferral
from zerodb_compiler.errors import Error, error_for
from zerodb_storage import Savepoint, Snapshot, WriteTransaction
from zerodb_storage.serializable import Member

if TYPE_CHECKING:
    from zerodb.points.point_rows import OwnRows

ISOLATIONS = ("read committed", "snapshot", "serializable")
_ALIASES = {"repeatable read": "snapshot", "read uncommitted": "read committed"}


def isolation_level(name: str | None) -> str:
    """The level of that name; PostgreSQL's names mean what they mean there."""
    level = (name or "snapshot").strip().lower()
    level = _ALIASES.get(level, level)
    if level not in ISOLATIONS:
        raise error_for("22023", f'unknown isolation level "{name}"', hint=f"one of: {', '.join(ISOLATIONS)}")
    return level


def conflict() -> Error:
    """What a transaction gets that cannot go on since another one came first."""
    return error_for("40001", "could not serialize access due to concurrent update", hint="run the transaction again")


def now() -> int:
    """Microseconds since 1970, UTC."""
    return time.time_ns() // 1000


@dataclass(slots=True)
class Transaction:
    isolation: str
    read_only: bool = False
    deferrable: bool = False
    started: int = field(default_factory=now)  # microseconds since 1970, UTC
    numbered: int | None = None  # what txid_current() gives
    recorded: bool = False  # whether its statements may be run again (replaying)
    queried: bool = False  # whether a statement has run that looks at the snapshot: other than SET, LOCK TABLE ...
    failed: bool = False  # until a rollback
    restarts: bool = True  # whether its first statement runs again if it meets a row that was changed meanwhile
    first: bool = True  # whether no statement before this one has looked at the snapshot
    snapshot: Snapshot | None = None  # taken by the first statement
    member: Member | None = None  # of a serializable one, from its first statement on
    write: WriteTransaction | None = None  # begun by the first write
    outdated: Snapshot | None = None  # the base of `write` that the last statement to run again was to run on
    deferral: Deferral = deferral.DECLARED
    # name, storage's savepoint (None: nothing was written yet), settings, which constraints were deferred
    savepoints: list[tuple[str, Savepoint | None, Settings, Deferral]] = field(default_factory=list)
    own_rows: dict[int, OwnRows] = field(default_factory=dict)  # by table id: what point statements have changed

    @property
    def takes_points(self) -> bool:
        """Whether statements by key may take the short way (point.py)."""
        only_locked = self.write is not None and not self.queried  # LOCK TABLE: the snapshot is still to be taken
        return not self.failed and not self.recorded and self.isolation != "serializable" and not only_locked

    def set_modes(self, isolation: str | None, read_only: bool | None, deferrable: bool | None) -> None:
        """SET TRANSACTION: what is not None, as long as no query has run."""
        level = isolation_level(isolation) if isolation is not None else None
        if level is not None and level != self.isolation:
            self._check_unused("ISOLATION LEVEL", "must not be called in")
            self.isolation = level
        if isolation is not None:
            self.restarts = isolation == "snapshot"
        if deferrable is not None and deferrable != self.deferrable:
            self._check_unused("[NOT] DEFERRABLE", "cannot be called within")
            self.deferrable = deferrable
        if read_only is not None:
            if self.read_only and not read_only and self.queried:
                raise error_for("25001", "transaction read-write mode must be set before any query")
            self.read_only = read_only

    def _check_unused(self, what: str, within: str) -> None:
        if self.queried:
            raise error_for("25001", f"SET TRANSACTION {what} must be called before any query")
        if self.savepoints:
            raise error_for("25001", f"SET TRANSACTION {what} {within} a subtransaction")

    def savepoint_named(self, name: str) -> int:
        """The place of the last one of that name among the savepoints."""
        for index in range(len(self.savepoints) - 1, -1, -1):
            if self.savepoints[index][0] == name:
                return index
        raise error_for("3B001", f'savepoint "{name}" does not exist')
