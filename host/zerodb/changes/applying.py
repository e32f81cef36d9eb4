"""Changes to rows: INSERT, UPDATE, DELETE, and what every one of them passes on its way into storage.

A statement's query runs over the write transaction's own snapshot and gives, as Arrow columns, the rows to write and
the ids of the rows they replace. That is a `RowChange`; `apply` is the one place through which all of them go:

    INSERT, UPDATE, DELETE, executemany, CREATE TABLE AS  -->  RowChange  -->  apply: checks, delete, append, checks

Whatever holds for all rows that come or go (constraints, referential actions) is a step of `apply`, over whole columns.
Nothing here looks at single rows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from zerodb import reads
from zerodb.changes import checks, foreign_keys, triggered_changes, unique_expressions
from zerodb.changes.arrow_inserts import copied_rows
from zerodb.changes.conflicts import first_of_each_key, key_columns, lock_keys, new_rows
from zerodb.changes.partitioning import apply_to_partitions, check_bound, still_in_partitions
from zerodb.changes.stored_rows import constant_values, is_plain, stored_values
from zerodb.compilation import CompiledQuery, Prepared, Ready, returned
from zerodb.engine.result import ResultBatch, RowDecoder, arrow_batch, arrow_schema
from zerodb.engine.rows import chosen, joined, taken
from zerodb.functions import firing
from zerodb.outcome import Outcome, QueryBatches
from zerodb.queries import execute, for_writing, query_outcome
from zerodb.sessions import deferral
from zerodb.values import Canonical, canonical_array
from zerodb.virtual import transient_table
from zerodb_compiler.catalog import TableInfo
from zerodb_compiler.codegen.program import OutputColumn
from zerodb_compiler.constraints import Unique
from zerodb_compiler.errors import IntegrityError, NotSupportedError, error_for
from zerodb_compiler.plan.logical import LogicalPlan, Values
from zerodb_compiler.sql import statements as st
from zerodb_compiler.sql.expressions import Literal, Parameter
from zerodb_compiler.types import BIGINT
from zerodb_storage import RowMode, TableMode, TableVersion, WriteTransaction, lookup
from zerodb_storage.locking import unique_keys
from zerodb_storage.values import Values as StoredValues

if TYPE_CHECKING:
    from zerodb.connection import Connection
    from zerodb.view import View

RowIds = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class RowChange:
    """What one statement does to the rows of one table.

    `deleted` are ids of visible rows, each once; `inserted` has all columns of the table, in order. An UPDATE has both,
    and row i of `inserted` replaces row `deleted[i]`; then `assigned` are the ordinals of the columns that may differ.
    """

    table: TableInfo
    deleted: RowIds | None = None
    inserted: pa.Table | None = None
    assigned: tuple[int, ...] = ()
    stored: list[StoredValues] | None = None  # instead of `inserted`, for a plain table (stored_rows)

    @property
    def is_update(self) -> bool:
        return self.deleted is not None and (self.inserted is not None or self.stored is not None)


def apply(connection: Connection, write: WriteTransaction, change: RowChange) -> int:
    """Checks and writes the change, with the table's triggers; returns the number of rows changed."""
    if change.table.triggers:
        return triggered_changes.apply_fired(connection, write, change).count
    return apply_rows(connection, write, change)[0]


def apply_rows(
    connection: Connection, write: WriteTransaction, change: RowChange
) -> tuple[int, list[StoredValues] | None]:
    """The same without triggers; gives the rows as they were written, too.

    compute generated columns; delete; NOT NULL, CHECK; append, with unique keys (unless they are those of the rows
    just deleted); unique expressions; foreign keys of the new rows; actions of foreign keys to the old ones
    """
    table = change.table
    _check_stored(table)
    if table.constraints.partitioning is not None:
        return apply_to_partitions(connection, write, change), None
    version = write.table(table.key)
    assigned = _assigned(version, change)
    count = 0
    gone: list[foreign_keys.Gone] = []
    if change.deleted is not None:
        _lock(write, version, change.deleted, assigned)
        gone = foreign_keys.before_deletion(write, version, change.deleted, assigned)
        count = write.delete(table.key, change.deleted)
    written: list[StoredValues] | None = None
    if change.stored is not None:
        written, count = change.stored, len(change.stored[0]) if change.stored else 0
        if count:
            unique = _touches_key(version, assigned)
            later = deferral.later(write, version) if unique else frozenset()
            with _violations(connection, version):
                write.append_values(table.key, written, unique_key=unique, later=later)
            foreign_keys.check_new(connection, write, write.table(table.key), written, assigned)
    elif change.inserted is not None:
        rows = checks.generated(connection, table, change.inserted)
        count = rows.num_rows
        if count:
            checks.check_not_null(table, rows)
            checks.check(connection, table, rows)
            check_bound(connection, write, table, rows)
            unique = _touches_key(version, assigned)
            later = deferral.later(write, version) if unique else frozenset()
            with _violations(connection, version):
                written = write.append(table.key, rows, unique_key=unique, later=later)
            unique_expressions.check(connection, write, table, rows, assigned)
            foreign_keys.check_new(connection, write, write.table(table.key), written, assigned)
    if gone and count:
        foreign_keys.after_change(connection, write, table.id, gone, written if change.is_update else None)
    return count, written


def lock_changed(write: WriteTransaction, version: TableVersion, change: RowChange) -> None:
    """Locks the rows that a change is about to replace or take away, ahead of it."""
    if change.deleted is not None and version.constraints.partitioning is None:
        _lock(write, version, change.deleted, _assigned(version, change))


def _assigned(version: TableVersion, change: RowChange) -> set[int] | None:
    """The columns that an UPDATE may change; None for other changes."""
    if not change.is_update:
        return None
    computed = {number for number, column in enumerate(change.table.columns) if column.generated is not None}
    return _really_assigned(version, change, set(change.assigned)) | computed


@contextlib.contextmanager
def _violations(connection: Connection, version: TableVersion) -> Iterator[None]:
    """A duplicate tells a serializable transaction what is there."""
    try:
        yield
    except IntegrityError:
        connection._session.violated(version.id)
        raise


def _really_assigned(version: TableVersion, change: RowChange, assigned: set[int]) -> set[int]:
    """Without key columns that get the values which they have: then the rows keep their keys, and whoever relies on
    those (a foreign key, FOR KEY SHARE) is not in the way."""
    row_ids = change.deleted
    assert row_ids is not None
    keys = {column for columns in unique_keys(version).values() for column in columns[0]}
    same: set[int] = set()
    for column in assigned & keys if len(row_ids) else ():
        if change.stored is not None:
            new = change.stored[column]
        else:
            assert change.inserted is not None
            (new,) = key_columns(version, (column,), change.inserted)
        if len(new) == len(row_ids) and lookup.have(version, column, row_ids, new).all():
            same.add(column)
    return assigned - same


def _lock(write: WriteTransaction, version: TableVersion, row_ids: RowIds, assigned: set[int] | None) -> None:
    """Rows that go or are replaced are this transaction's until it ends, and so are the keys that go with them."""
    write.lock_table(version.key, TableMode.ROW_EXCLUSIVE)
    keys = {column for columns in unique_keys(version).values() for column in columns[0]}
    whole = assigned is None or bool(assigned & keys)
    if whole:
        write.lock_rows_with_keys(version.key, row_ids, assigned)
    else:
        write.lock_rows(version.key, row_ids, RowMode.NO_KEY_UPDATE)


def check_proposed(connection: Connection, table: TableInfo, rows: pa.Table) -> None:
    """NOT NULL and CHECK hold for rows that ON CONFLICT leaves out too."""
    rows = checks.generated(connection, table, rows)
    checks.check_not_null(table, rows)
    checks.check(connection, table, rows)


def _check_stored(table: TableInfo) -> None:
    if table.id < 0:
        raise NotSupportedError(f'"{table.name}" is a registered table: it cannot be changed')


def _touches_key(version: TableVersion, assigned: set[int] | None) -> bool:
    """Whether a change may give a key that exists already."""
    if assigned is None:
        return True
    keys = [version.primary_key, *(unique.columns for unique in version.constraints.uniques)]
    return any(assigned & set(key) for key in keys)


def run_change(connection: Connection, ready: Ready, user: Sequence[Any]) -> Outcome:
    """Executes an INSERT, UPDATE, DELETE or MERGE."""
    with connection._session.writing() as write:
        view = connection._view()
        prepared, values = for_writing(connection, ready, view, user)
        statement = prepared.explained
        _lock_tables(write, statement)
        if isinstance(statement, st.WithChanges):
            with firing.statement(connection), foreign_keys.statement_of_several(connection):
                return _with_changes(connection, write, statement, prepared, view, values)
        assert isinstance(statement, (st.Insert, st.Update, st.Delete, st.Merge))
        with firing.statement(connection), _keys_at(connection, statement):
            return change(connection, write, statement, prepared.query, view, values)


def _lock_tables(write: WriteTransaction, statement: st.Statement | st.Proposed) -> None:
    """The tables that it is to change, were it no row: whoever has locked one against that has perhaps new rows."""
    match statement:
        case st.Insert(table=table) | st.Update(table=table) | st.Delete(table=table) | st.Merge(table=table):
            if table.id > 0:
                write.lock_table(table.key, TableMode.ROW_EXCLUSIVE)
        case st.WithChanges(parts=parts, main=main):
            for part in parts:
                _lock_tables(write, part.statement)
            _lock_tables(write, main)


def _keys_at(
    connection: Connection, statement: st.Insert | st.Update | st.Delete | st.Merge
) -> contextlib.AbstractContextManager[None]:
    """When foreign keys are looked at: with each change, or at the statement's end."""
    if isinstance(statement, st.Merge) and statement.key is None:
        return foreign_keys.statement_of_several(connection)
    return contextlib.nullcontext()


def change(
    connection: Connection,
    write: WriteTransaction,
    statement: st.Insert | st.Update | st.Delete | st.Merge,
    query: CompiledQuery | None,
    view: View,
    values: Sequence[Canonical],
) -> Outcome:
    """Runs the statement's query over `view` and applies what it gives."""
    table = statement.table
    _check_stored(table)
    if isinstance(statement, st.Insert) and query is None:
        cells = _constant_cells(statement.source, values)
        if statement.conflict is None and is_plain(table):
            stored = constant_values(table, cells)
            if stored is not None:
                return Outcome("INSERT", apply(connection, write, RowChange(table, stored=stored)))
        inserted = _constant_rows(statement.source, cells)
        if table.triggers:
            return triggered_changes.insert(connection, write, statement, inserted)
        if statement.conflict is not None:
            check_proposed(connection, table, inserted)
            keep = new_rows(connection, write, table, inserted, statement.conflict.keys)
            inserted = inserted if keep is None else inserted.take(pa.array(keep))
        return Outcome("INSERT", apply(connection, write, RowChange(table, inserted=inserted)))
    assert query is not None
    if isinstance(statement, st.Insert) and statement.conflict is None and statement.returning is None:
        rows = None if connection._observed is not None else copied_rows(query.logical, view, values)
        if rows is not None:
            return Outcome("INSERT", apply(connection, write, RowChange(table, inserted=rows)))
    result = Result.of(connection, query, view, values)
    width = len(table.columns)
    if table.triggers and not isinstance(statement, st.Merge):
        return triggered_changes.change(connection, write, statement, result, view)
    if statement.returning is not None:
        triggered_changes.check_returning(statement, table)
    match statement:
        case st.Insert(conflict=conflict):
            if conflict is not None:
                proposed = result.table(range(width))
                check_proposed(connection, table, proposed)
                keep = new_rows(connection, write, table, proposed, conflict.keys)
                result = result if keep is None else result.taken(keep)
            stored = result.stored(range(width), table)
            new = result.table(range(width)) if stored is None else None
            count = apply(connection, write, RowChange(table, inserted=new, stored=stored))
            tag = "INSERT"
        case st.Delete():
            result = result.still_there(write, view, table)
            count = apply(connection, write, RowChange(table, deleted=result.integers(0)))
            tag = "DELETE"
        case st.Update(assigned=assigned):
            result = result.still_there(write, view, table)
            stored = result.stored(range(1, width + 1), table)
            new = result.table(range(1, width + 1)) if stored is None else None
            count = apply(connection, write, RowChange(table, result.integers(0), new, assigned, stored))
            tag = "UPDATE"
        case st.Merge():
            triggered_changes.check_merge(statement)
            count, result = _merge(connection, write, statement, result, view)
            tag = "MERGE" if statement.key is None else "INSERT"
    return result.outcome(tag, count, statement.source, statement.returning)


def _with_changes(
    connection: Connection,
    write: WriteTransaction,
    statement: st.WithChanges,
    prepared: Prepared,
    view: View,
    values: Sequence[Canonical],
) -> Outcome:
    """Every part runs over `view`, the snapshot before all of them, and the results of the parts before it."""
    results: list[int] = []
    try:
        for part, query in zip(statement.parts, prepared.parts, strict=True):
            if isinstance(part.statement, st.Proposed):
                assert query is not None
                rows = query_outcome(query, execute(connection, query, view, values)).table(stored=True)
                rows = triggered_changes.proposed(connection, write, part.statement.table, rows)
            else:
                rows = _part(connection, write, part.statement, query, view, values)
            if part.result is not None:
                table = transient_table(part.result, rows if isinstance(rows, pa.Table) else rows.table(stored=True))
                results.append(table.id)
                view = view.having(part.result.key, table)
        if isinstance(statement.main, st.Query):
            assert prepared.query is not None
            if statement.main.locks:
                return _part(connection, write, statement.main, prepared.query, view, values)
            return query_outcome(prepared.query, execute(connection, prepared.query, view, values))
        return change(connection, write, statement.main, prepared.query, view, values)
    finally:
        for table_id in results:
            connection._database.engine.forget_table(table_id)


def _part(
    connection: Connection,
    write: WriteTransaction,
    statement: st.Insert | st.Update | st.Delete | st.Merge | st.Query,
    query: CompiledQuery | None,
    view: View,
    values: Sequence[Canonical],
) -> Outcome:
    if not isinstance(statement, st.Query):
        return change(connection, write, statement, query, view, values)
    from zerodb.row_locks import locked_rows

    assert query is not None
    return locked_rows(connection, write, statement, query, view, values)


@dataclass(frozen=True, slots=True)
class Result:
    """What a change's query gave, as one batch."""

    batch: ResultBatch
    output: tuple[OutputColumn, ...]

    @classmethod
    def of(cls, connection: Connection, query: CompiledQuery, view: View, values: Sequence[Canonical]) -> Result:
        batches = execute(connection, query, view, values).batches()
        return cls(joined(batches, query.output), query.output)

    def table(self, columns: range) -> pa.Table:
        output = [self.output[i] for i in columns]
        schema = arrow_schema(output, stored=True)
        return pa.Table.from_batches([arrow_batch(chosen(self.batch, columns), output, schema)], schema)

    def stored(self, columns: range, table: TableInfo) -> list[StoredValues] | None:
        """The columns as storage takes them; None if they have to go through Arrow."""
        if not is_plain(table):
            return None
        return stored_values(table, self.batch.rows, self.batch.columns[columns.start : columns.stop])

    def integers(self, column: int) -> RowIds:
        """A column of bigint or integer; what lies under a NULL means nothing."""
        wide = self.output[column].type == BIGINT
        return np.frombuffer(self.batch.columns[column].data, np.int64 if wide else np.int32).astype(np.int64)

    def present(self, column: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
        validity = self.batch.columns[column].validity
        return np.ones(self.batch.rows, np.bool_) if validity is None else np.frombuffer(validity, np.uint8) != 0

    def taken(self, rows: RowIds) -> Result:
        return Result(taken(self.batch, self.output, rows), self.output)

    def still_there(self, write: WriteTransaction, view: View, table: TableInfo) -> Result:
        """Without the rows, by their ids in column 0, that another part of the same statement has changed already: each
        row is changed once."""
        visible = _are_unchanged(write, view, table, self.integers(0))
        return self if visible.all() else self.taken(np.flatnonzero(visible))

    def outcome(self, tag: str, count: int, source: LogicalPlan, returning: st.Returning | None) -> Outcome:
        if returning is None:
            return Outcome(tag, count)
        indices, output = returned(source, self.output, returning)
        batches = QueryBatches([chosen(self.batch, indices)], output, RowDecoder(output))
        return Outcome(tag, count, output, batches)


def _are_unchanged(
    write: WriteTransaction, view: View, table: TableInfo, row_ids: RowIds
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which rows no other part of the same statement has changed."""
    if table.constraints.partitioning is not None:
        return still_in_partitions(write, view, table, row_ids)
    if write.table(table.key) is view.tables[table.key]:
        return np.ones(len(row_ids), np.bool_)
    return write.table(table.key).are_visible(row_ids)


def _merge(
    connection: Connection, write: WriteTransaction, statement: st.Merge, result: Result, view: View
) -> tuple[int, Result]:
    """Applies the actions; gives the number of rows changed, and the result with the rows that were, in order."""
    table, width = statement.table, len(statement.table.columns)
    if statement.ordered:
        result = result.taken(np.argsort(result.integers(2 + width), kind="stable"))
    actions, row_ids, matched = result.integers(1), result.integers(0), result.present(0)
    by_action = {action: np.flatnonzero(actions == action) for action in st.Action}
    changed = np.sort(row_ids[matched & (actions != st.Action.NOTHING)])
    if len(changed) > 1 and bool((changed[1:] == changed[:-1]).any()):
        raise _twice(statement)
    if not _are_unchanged(write, view, table, changed).all():
        raise _twice(statement)
    new = result.table(range(2, 2 + width))
    inserts, updates, deletes = (by_action[a] for a in (st.Action.INSERT, st.Action.UPDATE, st.Action.DELETE))
    if statement.key is not None:
        left = row_ids[matched & (actions == st.Action.NOTHING)]
        if len(left) and not table.partitions:  # it was decided on what they are: so they must be that
            _lock(write, write.table(table.key), left, set(statement.assigned))
        _note_keys(connection, write, statement.key, table, row_ids[matched], new.take(pa.array(inserts)))
    if statement.key is not None and len(inserts):
        fresh = new.take(pa.array(inserts))
        lock_keys(write, table, statement.key, fresh)
        first = first_of_each_key(write, table, statement.key, fresh)
        if len(first) < len(inserts):
            raise _twice(statement)
    count = 0
    fired = statement.actions if table.triggers else frozenset()
    if len(deletes) or st.Action.DELETE in fired:
        count += apply(connection, write, RowChange(table, deleted=row_ids[deletes]))
    if len(updates) or st.Action.UPDATE in fired:
        change = RowChange(table, row_ids[updates], new.take(pa.array(updates)), statement.assigned)
        count += apply(connection, write, change)
    if len(inserts) or st.Action.INSERT in fired:
        is_upsert = statement.key is not None and bool(table.triggers)
        change = RowChange(table, inserted=new.take(pa.array(inserts)))
        count += (
            triggered_changes.insert_proposed(connection, write, change)
            if is_upsert
            else apply(connection, write, change)
        )
    acting = np.flatnonzero(actions != st.Action.NOTHING)
    return count, result if len(acting) == result.batch.rows else result.taken(acting)


def _note_keys(
    connection: Connection, write: WriteTransaction, key: Unique, table: TableInfo, matched: RowIds, fresh: pa.Table
) -> None:
    """A serializable transaction has read the rows with the proposed keys, those that are there and those that are
    not."""
    noted = connection._session.reads
    if noted is not None and not table.partitions:
        version = write.table(table.key)
        if len(matched):
            reads.note_keys(noted, version, key.columns, [lookup.values_at(version, c, matched) for c in key.columns])
        if fresh.num_rows:
            reads.note_keys(noted, version, key.columns, key_columns(version, key.columns, fresh))


def _twice(statement: st.Merge) -> Exception:
    if statement.key is None:
        return error_for(
            "21000",
            "MERGE command cannot affect row a second time",
            hint="ensure that not more than one source row matches any one target row",
        )
    return error_for(
        "21000",
        "ON CONFLICT DO UPDATE command cannot affect row a second time",
        hint="ensure that no rows proposed for insertion within the same command have duplicate constrained values",
    )


def _constant_cells(source: LogicalPlan, values: Sequence[Canonical]) -> list[list[Canonical]]:
    """The values, column by column, of an INSERT ... VALUES whose values are literals and parameters."""
    assert isinstance(source, Values)
    return [[_constant(row[ordinal], values) for row in source.rows] for ordinal in range(len(source.columns))]


def _constant_rows(source: LogicalPlan, cells: Sequence[Sequence[Canonical]]) -> pa.Table:
    assert isinstance(source, Values)
    arrays = [canonical_array(column.type, found) for column, found in zip(source.columns, cells, strict=True)]
    return pa.Table.from_arrays(arrays, names=[column.name for column in source.columns])


def _constant(expression: object, values: Sequence[Canonical]) -> Canonical:
    match expression:
        case Literal(value=value):
            return value
        case Parameter(index=index):
            return values[index]
    raise AssertionError(expression)
