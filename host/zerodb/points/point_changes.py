"""INSERT, UPDATE and DELETE by key on the host's side (point.py has what all point statements share).

Inside a transaction a change is a record among the transaction's own rows of the table: one call, and the lock of the
row (of an INSERT or DELETE the key's). Storage is told of all of them at once, before anything general looks
(`WriteTransaction.pending_flush`): one deletion and one append. The records stay, and go on to be found, as long as the
version of the table that the write transaction has is the one they led to; when another statement has changed the
table, statements by key go the general way, and after a rollback to a savepoint on from there.

In autocommit the same happens within a transaction of its own.

Constraints: NOT NULL and the primary key are checked here. A statement that any other constraint might say something
about is none of these (`change_statement`).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from zerodb.cursor import Cursor
from zerodb.engine import keyboard
from zerodb.engine.point_call import call_unchecked
from zerodb.points.point import General, PointStatement, is_packable
from zerodb.points.point_change_source import run_function
from zerodb.points.point_rows import Flusher, OwnRows
from zerodb_compiler.catalog import TableInfo
from zerodb_compiler.codegen import point_abi as pa
from zerodb_compiler.codegen.point import PointProgram
from zerodb_compiler.codegen.point_changes import generate_delete, generate_insert, generate_update
from zerodb_compiler.errors import Error
from zerodb_compiler.plan.logical import Values
from zerodb_compiler.plan.point import has_no_key, has_point_key, point_plan, same_values, widened
from zerodb_compiler.sql import statements as st
from zerodb_compiler.sql.expressions import Literal, Parameter
from zerodb_storage import Outdated, WriteTransaction, lookup
from zerodb_storage.few_rows import FewRows
from zerodb_storage.locking import unique_keys
from zerodb_storage.locks import TableMode
from zerodb_storage.point_commit import PointCommit

if TYPE_CHECKING:
    from zerodb.compilation import Ready
    from zerodb.connection import Connection
    from zerodb.sessions.open_transaction import Transaction
    from zerodb.values import Parameters
    from zerodb_storage import Snapshot, TableVersion

_MASK = (1 << 64) - 1
_HIGH_WORD = 7046029254386353131  # what lookup.digests_of makes of the high half of a negative number
_MULTIPLIER = 0x9E3779B97F4A7C15


class ChangeStatement(PointStatement):
    """An INSERT, UPDATE or DELETE by key of one connection."""

    def __init__(self, connection: Connection, ready: Ready, program: PointProgram, general: General, tag: str) -> None:
        self.tag = tag
        self.changes_keys = tag != "UPDATE" and bool(program.table.primary_key)
        self.locks = connection._database.storage.locks
        self.owner: Any = None
        self.seen: Any = None  # the newest snapshot for which the table was as in the base
        self._alone: OwnRows | None = None  # for autocommit
        self.base: Snapshot | None = None  # what a change in autocommit is made on
        self.alone = self.locks.owner()
        super().__init__(connection, ready, program, general)

    # --- binding ---
    def bind_change(self) -> bool:
        """As `bind`, for a statement that writes."""
        connection, session = self.connection, self.connection._session
        connection._check_open()
        self.transaction = self.snapshot = None
        if self._warming >= 0:
            self._warm()
        transaction = session._transaction
        if session.statement.runs:  # a function executes it, within a statement
            return False
        if transaction is None:
            special = session.is_read_only or session.temporary.has_on_commit or session.is_alone_serializable
            return not special and self._bind_alone()
        write = session.begin_point_write(transaction)
        if write is None:
            return False
        if not self.shows(write.base):
            return False
        own = self._own_rows(transaction, write)
        if own is None:
            return False
        self._use(own, write)
        if self._warming < 0:
            self.transaction, self.write, self.own = transaction, write, own
        return True

    def let_go(self) -> None:
        super().let_go()
        self.seen = self.base = None

    def _use(self, own: OwnRows, write: WriteTransaction) -> None:
        engine = self.connection._database.engine
        engine.memory.words[(self.call.address + self.program.directory + 4) >> 2] = own.overlay.address
        self.own, self.owner, self.seen = own, write.owner, write.base
        self.options_changes = self.connection._options.changes

    def _own_rows(self, transaction: Transaction, write: WriteTransaction) -> OwnRows | None:
        """The transaction's own rows of the table; None if it has some that are not known here."""
        key, table_id = self.program.table.key, self.program.table.id
        version = write.tables.get(key)
        if version is None:
            return None
        own = transaction.own_rows.get(table_id)
        if own is not None and own.version is not version and not own.back_to(version):
            if version is not write.base.tables.get(key):
                return None
            own = None
        if own is None:
            if version is not write.base.tables.get(key):
                return None
            own = transaction.own_rows[table_id] = self._rows_on(version)
        try:
            write.lock_table(key, TableMode.ROW_EXCLUSIVE, nowait=True)
        except (Outdated, Error):
            return None
        if write.pending_flush is None:
            write.pending_flush = flusher = Flusher(write, transaction.own_rows)
            write.pending_hand_over = flusher.hand_over
        return own

    def _bind_alone(self) -> bool:
        """For one change in autocommit."""
        while True:
            snapshot = self.storage.snapshot()
            if self._bind_to(snapshot):
                return True
            if self.storage.snapshot() is snapshot:
                return False

    def _bind_to(self, snapshot: Snapshot) -> bool:
        """False if the statement does not fit the snapshot, or the directory shows a newer one."""
        connection = self.connection
        if not self.shows(snapshot):
            return False
        if self._alone is None:
            self._alone = self._rows_on(snapshot.tables[self.program.table.key])
        self.base = snapshot
        if self._warming < 0:
            self.snapshot, self.options_changes = snapshot, connection._options.changes
        engine = connection._database.engine
        engine.memory.words[(self.call.address + self.program.directory + 4) >> 2] = self._alone.overlay.address
        self.own = self._alone
        return True

    def _rows_on(self, version: TableVersion) -> OwnRows:
        return OwnRows(self.connection._database.engine, self.directory, self.program.table, version)

    # --- after the call ---
    def grow(self) -> None:
        """Makes room for a record."""
        memory = self.connection._database.engine.memory
        self.own.overlay.grow(memory.words[(self.call.address + self.program.results + 8) >> 2])

    def locked(self, row_id: int) -> bool:
        """Locks what was changed; takes the change back if that is not possible at once, or others have changed it."""
        if self._lock(row_id):
            return True
        self.undo()
        return False

    def undo(self) -> None:
        """Takes the change back."""
        self.own.overlay.undo()

    def is_unchanged(self, row_id: int) -> bool:
        """Whether a row of the base is as it was there."""
        return self._is_unchanged(self.storage._snapshot.tables.get(self.program.table.key), row_id)

    def _lock(self, row_id: int) -> bool:
        return self._took(row_id) and (self.storage._snapshot is self.seen or self._is_as_seen(row_id))

    def _took(self, row_id: int) -> bool:
        """Locks the row, and its key if that comes or goes; False if that is not possible at once."""
        table_id, turn = self.program.table.id, self.storage.renumberings
        if row_id >= 0 and not self.locks.lock_point(self.owner, table_id, row_id):
            return False
        if self.changes_keys and not self.locks.lock_key_point(self.owner, table_id, self.key_number, self.digest()):
            return False
        return not turn & 1 and turn == self.storage.renumberings  # else the lock may be that of another row

    def _is_as_seen(self, row_id: int) -> bool:
        return self._is_unchanged(self.storage._snapshot.tables.get(self.program.table.key), row_id)

    def _is_unchanged(self, newest: TableVersion | None, row_id: int) -> bool:
        """Whether a row of the base is there in the newest version."""
        base = self.version
        if newest is base:
            self.seen = self.storage._snapshot
            return True
        if (
            newest is None
            or base is None
            or newest.numbering is not base.numbering
            or newest.schema_version != base.schema_version
        ):
            return False
        if self.changes_keys:
            return False
        mask = newest.masks.get(row_id >> 16)
        return mask is None or mask.shows(row_id & 0xFFFF)

    def digest(self) -> int:
        """Of the key of the record written last."""
        return self.digest_of(self.own.overlay.last())

    def digest_of(self, record: int) -> int:
        """Of a record's key: as lookup.digests_of, signed."""
        if not self.integer_key:
            values = self.own.overlay.values_of(record, self.program.table.primary_key)
            return int(lookup.digests_of(values).view(np.int64)[0])
        longs = self.connection._database.engine.memory.longs
        return integer_digest([longs[(record + offset) >> 3] for offset in self.key_offsets])

    def commit_alone(self, row_id: int, hashed: int) -> bool:
        """Autocommit: commits the record just written, of a key of that hash; False if the general path has to do it.
        The record is gone afterwards."""
        watched = keyboard.armed()
        try:
            return self._commit_alone(row_id, hashed)
        finally:
            if watched:
                keyboard.disarm()

    def _commit_alone(self, row_id: int, hashed: int) -> bool:
        overlay, locks, owner = self.own.overlay, self.locks, self.alone
        written = True
        try:
            locks.lock_table(owner, self.program.table.id, TableMode.ROW_EXCLUSIVE, nowait=True)
            self.owner, self.seen = owner, self.base
            if not self._took(row_id):
                return False
            if self.storage._snapshot is not self.seen and not self._is_as_seen(row_id):
                # Others have moved the table on before the locks were held. What is seen now stays as it is.
                written = False
                overlay.undo()
                again = self._repeated()
                if again is None:
                    return False
                written = True
                if again[0] != row_id:
                    return False
                hashed = again[1]
            rows = () if self.tag == "DELETE" else (overlay.last_row(),)
            gone = () if row_id < 0 else (row_id,)
            texts = self.own.texts_of(rows)

            def follow(before: TableVersion, after: TableVersion, sequence: int) -> None:
                come = [(overlay.last(), texts[0])] if rows else []
                with suppress(Error):
                    self.directory.follow(before, after, sequence, gone, come, hashed)

            commit = PointCommit(FewRows(self.version, gone, rows, self.forms, follow))
            self.storage.publish_point(commit)
            self._stay(commit)
        except Outdated:
            return False
        except Error as error:
            if error.sqlstate == "55P03":
                return False
            raise
        finally:
            locks.release(owner)
            if written:
                overlay.undo()
        return True

    def _repeated(self) -> tuple[int, int] | None:
        """The call once more, over the newest snapshot: the row replaced and the hash of the key; None, and no record,
        if that needs the general path."""
        if not self._bind_alone():
            return None
        memory = self.connection._database.engine.memory
        status = (self.call.address + self.program.results) >> 2
        memory.words[status] = pa.STATUS_PENDING & 0xFFFFFFFF
        call_unchecked(*self.call.arguments)
        if memory.words[status] != pa.STATUS_ROW & 0xFFFFFFFF:
            return None
        hashed = memory.words[status + 1]
        return memory.longs[(status + 2) >> 1], hashed

    def _stay(self, commit: PointCommit) -> None:
        """Binds to the snapshot that the commit has led to, if it was the last change."""
        self.snapshot = None
        newest = self.storage._snapshot
        if newest.tables.get(self.program.table.key) is commit.after and self._warming < 0 and self.shows(newest):
            self.base = self.snapshot = newest

    def made(self) -> Callable[[Parameters | None], Cursor]:
        types = [column.type for column in self.program.table.columns]
        record = pa.RecordLayout.of(types)
        self.forms = self.directory.shape.forms
        self.key_offsets = tuple(record.offsets[ordinal] for ordinal in self.program.table.primary_key)
        self.integer_key = all(record.kinds[ordinal] == pa.INT for ordinal in self.program.table.primary_key)
        if self.changes_keys:
            version = self.connection._session.snapshot().tables[self.program.table.key]
            self.key_number = next(n for n, found in unique_keys(version).items() if found[0] == version.primary_key)
        return self.function()

    def function(self) -> Callable[[Parameters | None], Cursor]:
        return run_function(self)


def integer_digest(key: list[int]) -> int:
    """lookup.digests_of of one key of 64-bit integers, as a signed number."""
    mixed = 0
    for value in key:
        mixed = (mixed * _MULTIPLIER + ((value ^ _HIGH_WORD if value < 0 else value) & _MASK)) & _MASK
    return mixed - (1 << 64) if mixed >> 63 else mixed


# --- which statements are of this kind ---


def change_statement(connection: Connection, ready: Ready, general: General, executed: int) -> PointStatement | None:
    """The statement as a change by key, or of a few rows, None if it is none."""
    prepared = ready.prepared
    statement = prepared.statement
    if not isinstance(statement, st.Insert | st.Update | st.Delete):
        return None
    if isinstance(statement, st.Insert) and statement.returning is not None:
        return None
    table = statement.table
    if table.kind != "table" or table.seen_by is not None or not is_packable(ready):
        return None
    if not has_point_key(table) and not (isinstance(statement, st.Insert) and has_no_key(table)):
        return None
    version = connection._session.snapshot().tables.get(table.key)
    if version is None or version.id != table.id:
        return None
    if any(needed.table_id != table.id for needed in prepared.dependencies) or not _is_free(connection, statement):
        return None
    layout = next((needed.layout for needed in prepared.dependencies if needed.table_id == table.id), None)
    if layout is None:
        return None
    program: PointProgram | None = None
    match statement:
        case st.Insert(source=Values(rows=(row,))) if statement.conflict is None:
            constants = tuple(value for value in row if isinstance(value, Literal | Parameter))
            types = [column.type for column in statement.table.columns]
            if len(constants) == len(types) and all(map(same_values, types, (value.type for value in constants))):
                program = generate_insert(widened(table), constants, layout, prepared.user)
        case st.Update() | st.Delete():
            plan = None
            if statement.returning is None:
                plan = point_plan(statement.source, statement.source.output)
            if plan is None:
                from zerodb.points.point_set_changes import set_change_statement

                return set_change_statement(connection, ready, statement, layout, general, executed)
            generate = generate_update if isinstance(statement, st.Update) else generate_delete
            program = generate(plan, layout, prepared.user)
    if program is None:
        return None
    return ChangeStatement(connection, ready, program, general, type(statement).__name__.upper())


def _is_free(connection: Connection, statement: st.Insert | st.Update | st.Delete) -> bool:
    """Whether no constraint but NOT NULL and the primary key has a say."""
    table, constraints = statement.table, statement.table.constraints
    if table.triggers or constraints.bound is not None or any(column.generated is not None for column in table.columns):
        return False
    changed = set(range(len(table.columns)))
    if isinstance(statement, st.Update):
        changed = set(statement.assigned)
        if changed & set(table.primary_key):
            return False
    if isinstance(statement, st.Delete):
        changed = set()
    elif constraints.checks or any(index.unique and not index.is_plain for index in constraints.indexes):
        return False
    if any(changed & set(key.columns) for key in constraints.uniques) or any(
        changed & set(key.columns) for key in constraints.foreign_keys
    ):
        return False
    return isinstance(statement, st.Insert) or not _is_referenced(connection, table, statement)


def _is_referenced(connection: Connection, table: TableInfo, statement: st.Update | st.Delete) -> bool:
    """Whether foreign keys refer to columns that change."""
    for version in connection._session.snapshot().tables.values():
        for key in version.constraints.foreign_keys:
            if key.table == table.id or (key.table == 0 and version.id == table.id):
                slots = {table.columns[ordinal].slot for ordinal in getattr(statement, "assigned", ())}
                if isinstance(statement, st.Delete) or slots & set(key.referenced):
                    return True
    return False
