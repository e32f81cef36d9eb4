"""Running one prepared statement: queries, changes to rows, DDL, transaction control, settings, EXPLAIN.

A change runs its query over the write transaction's own snapshot, takes the result as Arrow columns and hands them to
storage: INSERT appends, DELETE makes row ids invisible, UPDATE does both. Nothing here looks at single rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, assert_never

import numpy as np
import pyarrow as pa

from zerodb.compilation import CompiledQuery, Prepared, Ready
from zerodb.explain import explain
from zerodb.options import set_option, show_option
from zerodb.outcome import Outcome, QueryBatches, text_table
from zerodb.values import Canonical, canonical_array
from zerodb_compiler.errors import Error, NotSupportedError, error_for
from zerodb_compiler.plan.logical import LogicalPlan, Values
from zerodb_compiler.sql import statements as st
from zerodb_compiler.sql.expressions import Literal, Parameter
from zerodb_compiler.sql.values import to_canonical
from zerodb_storage import Column, WriteTransaction

if TYPE_CHECKING:
    from zerodb.connection import Connection
    from zerodb.engine.engine import Execution
    from zerodb.view import View


def run(connection: Connection, ready: Ready, view: View, user: Sequence[Any]) -> Outcome:
    """Executes the statement with the user's Python values. Queries run over `view`, which the statement fits; whatever
    writes looks again, at what its write transaction sees."""
    prepared = ready.prepared
    assert prepared.fits(view)
    values = canonical_parameters(ready, user)
    statement = prepared.statement
    match statement:
        case st.Query():
            assert prepared.query is not None
            return query_outcome(prepared.query, execute(connection, prepared.query, view, values))
        case st.Insert() | st.Update() | st.Delete():
            return _change(connection, ready, user)
        case st.CreateTable():
            return _create_table(connection, ready, user)
        case st.DropTable(names=names, if_exists=if_exists):
            with connection._session.writing() as write:
                for name in names:
                    write.drop_table(name, if_exists)
            return Outcome("DROP TABLE")
        case st.Explain():
            return text_table("EXPLAIN", ["plan"], ([line] for line in explain(connection, prepared, view, values)))
        case _:
            return _control(connection, statement)


def canonical_parameters(ready: Ready, user: Sequence[Any]) -> list[Canonical]:
    """The value of every parameter slot: first the user's, then the text's own literals."""
    declared = ready.prepared.user
    values: list[Canonical] = []
    try:
        for parameter, value in zip(declared, user, strict=True):
            values.append(to_canonical(parameter.type, value))
    except Error as error:
        error.hint = error.hint or f"parameter ${declared[len(values)].name}"
        raise
    values += ready.lifted
    return values


def execute(connection: Connection, query: CompiledQuery, view: View, values: Sequence[Canonical]) -> Execution:
    options = connection._options
    return connection._database.engine.execute(
        query.code, view, values, timeout=options.statement_timeout_s, threads=options.threads, owner=connection
    )


def query_outcome(query: CompiledQuery, execution: Execution, tag: str = "SELECT") -> Outcome:
    batches = QueryBatches(execution.batches(), query.output, query.code.decoder)
    return Outcome(tag, execution.row_count, query.output, batches)


# --- changes ----------------------------------------------------------------------------------------------------------


def _change(connection: Connection, ready: Ready, user: Sequence[Any]) -> Outcome:
    with connection._session.writing() as write:
        view = connection._view()
        prepared, values = _for_writing(connection, ready, view, user)
        statement = prepared.statement
        table = base_table(statement)
        match statement:
            case st.Insert(source=source):
                rows = (
                    _constant_rows(source, values)
                    if prepared.query is None
                    else _rows(connection, prepared, view, values)
                )
                append(write, table, rows)
                return Outcome("INSERT", rows.num_rows)
            case st.Delete():
                rows = _rows(connection, prepared, view, values)
                return Outcome("DELETE", write.delete(table, _row_ids(rows)))
            case st.Update(assigned=assigned):
                rows = _rows(connection, prepared, view, values)
                key_changes = bool(set(assigned) & set(statement.table.primary_key))
                write.delete(table, _row_ids(rows))
                append(write, table, rows.remove_column(0), check_key=key_changes)
                return Outcome("UPDATE", rows.num_rows)
            case _:
                raise AssertionError(statement)


def _for_writing(
    connection: Connection, ready: Ready, view: View, user: Sequence[Any]
) -> tuple[Prepared, list[Canonical]]:
    """The statement compiled for what the write transaction sees, should another connection have committed since it
    was looked up."""
    if not ready.prepared.fits(view):
        ready = connection._database.prepare(ready.text, view)
    return ready.prepared, canonical_parameters(ready, user)


def base_table(statement: st.Statement) -> str:
    assert isinstance(statement, (st.Insert, st.Update, st.Delete))
    if statement.table.id < 0:
        raise NotSupportedError(f'"{statement.table.name}" is a registered table: it cannot be changed')
    return statement.table.name


def append(write: WriteTransaction, table: str, rows: pa.Table, *, check_key: bool = True) -> None:
    """NOT NULL (23502) and, unless the keys are those of rows just deleted, the primary key (23505) are checked."""
    if rows.num_rows:
        write.append(table, rows, unique_key=check_key)


def _rows(connection: Connection, prepared: Prepared, view: View, values: Sequence[Canonical]) -> pa.Table:
    assert prepared.query is not None
    return query_outcome(prepared.query, execute(connection, prepared.query, view, values)).table()


def _row_ids(rows: pa.Table) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.asarray(rows.column(0).to_numpy(), np.int64)


def _constant_rows(source: LogicalPlan, values: Sequence[Canonical]) -> pa.Table:
    """The rows of an INSERT ... VALUES whose values are literals and parameters."""
    assert isinstance(source, Values)
    arrays = []
    for ordinal, column in enumerate(source.columns):
        cells = [_constant(row[ordinal], values) for row in source.rows]
        arrays.append(canonical_array(column.type, cells))
    return pa.Table.from_arrays(arrays, names=[column.name for column in source.columns])


def _constant(expression: object, values: Sequence[Canonical]) -> Canonical:
    match expression:
        case Literal(value=value):
            return value
        case Parameter(index=index):
            return values[index]
    raise AssertionError(expression)


# --- the rest ---------------------------------------------------------------------------------------------------------


def _create_table(connection: Connection, ready: Ready, user: Sequence[Any]) -> Outcome:
    with connection._session.writing() as write:
        view = connection._view()
        prepared, values = _for_writing(connection, ready, view, user)
        statement = prepared.statement
        assert isinstance(statement, st.CreateTable)
        if statement.name in view.tables and statement.if_not_exists:
            return Outcome("CREATE TABLE")
        columns = [Column(c.name, c.type, c.not_null, c.default) for c in statement.columns]
        if statement.as_query is None:
            write.create_table(statement.name, columns, statement.primary_key, statement.if_not_exists)
            return Outcome("CREATE TABLE")
        rows = _rows(connection, prepared, view, values)
        write.create_table(statement.name, columns, statement.primary_key)
        append(write, statement.name, rows)
        return Outcome("SELECT", rows.num_rows)


def _control(connection: Connection, statement: st.Statement) -> Outcome:
    session = connection._session
    match statement:
        case st.Begin(isolation=isolation, read_only=read_only):
            session.begin(isolation, read_only=bool(read_only))
            return Outcome("BEGIN")
        case st.Commit():
            session.commit()
            return Outcome("COMMIT")
        case st.Rollback():
            session.rollback()
            return Outcome("ROLLBACK")
        case st.Savepoint(name=name):
            session.savepoint(name)
            return Outcome("SAVEPOINT")
        case st.ReleaseSavepoint(name=name):
            session.release(name)
            return Outcome("RELEASE")
        case st.RollbackToSavepoint(name=name):
            session.rollback_to(name)
            return Outcome("ROLLBACK")
        case st.SetOption(name=name, value=value):
            set_option(connection._options, name, value)
            return Outcome("SET")
        case st.ShowOption(name=name):
            engine = connection._database.engine
            value = show_option(connection._options, name, threads=engine.threads, memory_limit=engine.memory.limit)
            return text_table("SHOW", [name], [[value]])
        case st.Query() | st.Insert() | st.Update() | st.Delete() | st.CreateTable() | st.DropTable() | st.Explain():
            raise error_for("XX000", "not a control statement")
        case _:
            assert_never(statement)
