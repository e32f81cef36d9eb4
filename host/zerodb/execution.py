"""Running one prepared statement: queries, changes to rows, DDL, transaction control, settings, EXPLAIN.

What changes rows is in changes.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from zerodb.changes.applying import run_change
from zerodb.compilation import Prepared, Ready
from zerodb.explain import explain
from zerodb.outcome import Outcome
from zerodb.queries import canonical_parameters, execute, for_writing, query_outcome, query_rows
from zerodb.sequence_values import resolved, set_sequence
from zerodb.sessions.transaction_control import control
from zerodb.statement_text import command_name
from zerodb_compiler.errors import NotSupportedError
from zerodb_compiler.sql import statements as st
from zerodb_compiler.sql import utility_statements as us

if TYPE_CHECKING:
    from zerodb.connection import Connection
    from zerodb.view import View


# What may come before SET TRANSACTION, and takes no snapshot.
UNQUERIED = (
    *(st.Begin, st.Commit, st.Rollback, st.Savepoint, st.ReleaseSavepoint, st.RollbackToSavepoint),
    *(st.SetOption, st.ShowOption),
    *(us.SetTransaction, us.SetConstraints, us.LockTable, us.PrepareStatement, us.Deallocate),
)


# What functions may execute within the statement that has called them.
NESTED = (
    *(st.Query, st.Insert, st.Update, st.Delete, st.Merge, st.WithChanges, st.SetSequence),
    *(st.Explain, st.SetOption, st.ShowOption),
)


# What functions with a body in SQL or PL/pgSQL may execute as well.
IN_BODIES = (
    *NESTED,
    *(st.Define, st.CreateTableAs, us.Truncate, us.LockTable, us.Notify, us.SetConstraints, us.Call),
)


def run(connection: Connection, ready: Ready, view: View, user: Sequence[Any]) -> Outcome:
    """Executes the statement with the user's Python values. Queries run over `view`, which the statement fits; whatever
    writes looks again, at what its write transaction sees."""
    prepared = ready.prepared
    if connection._guard is not None:
        connection._guard(prepared)
    values = canonical_parameters(ready, user)
    statement = prepared.statement
    allowed = NESTED if ready.again is None else IN_BODIES
    if connection._session.statement.nested and not isinstance(statement, allowed):
        what = command_name(ready.text)
        raise NotSupportedError(f"{what} in a function that a statement has called is not supported")
    if not isinstance(statement, UNQUERIED) and connection._session.note_query(view.snapshot):
        view = connection._view()
        if not prepared.fits(view):
            ready = connection._database.prepared_again(ready, view)
            prepared, statement = ready.prepared, ready.prepared.statement
    match statement:
        case st.Query(locks=locks) if locks:
            from zerodb.row_locks import run_locking

            return run_locking(connection, ready, user)
        case st.Query() if _may_write(connection, prepared):
            session = connection._session
            with (
                session.writing(),
                session.statement.refreshing(may=session.statement.may_refresh or not session.statement.nested),
            ):
                view = connection._view()
                prepared, values = for_writing(connection, ready, view, user)
                assert prepared.query is not None
                return query_outcome(prepared.query, execute(connection, prepared.query, view, values))
        case st.Query():
            assert prepared.query is not None
            values = resolved(connection, values)
            return query_outcome(prepared.query, execute(connection, prepared.query, view, values))
        case st.SetSequence():
            return set_sequence(connection, statement, prepared, view, values)
        case st.Insert() | st.Update() | st.Delete() | st.Merge() | st.WithChanges():
            with connection._session.statement.refreshing(may=False):
                return run_change(connection, ready, user)
        case st.CreateTableAs():
            return _create_table_as(connection, ready, user)
        case st.Define(definition=definition):
            from zerodb.definition import define

            return define(connection, definition)
        case st.Explain(analyze=True) if _may_write(connection, prepared):
            with connection._session.writing():
                return explain(connection, ready, connection._view(), user)
        case st.Explain():
            return explain(connection, ready, view, user)
        case (
            st.Begin() | st.Commit() | st.Rollback() | st.Savepoint() | st.ReleaseSavepoint() | st.RollbackToSavepoint()
        ):
            return control(connection, statement)
        case _:
            from zerodb.utility import run_utility

            return run_utility(connection, statement)


def _may_write(connection: Connection, prepared: Prepared) -> bool:
    """Whether a query calls functions that change the database: what they do is a part of it."""
    return (
        any(function.writes for _, _, functions in prepared.bound.functions for function in functions)
        and not connection._session.is_read_only
    )


# --- the rest ---------------------------------------------------------------------------------------------------------


def _create_table_as(connection: Connection, ready: Ready, user: Sequence[Any]) -> Outcome:
    from zerodb.definition import tables

    with connection._session.writing() as write:
        view = connection._view()
        prepared, values = for_writing(connection, ready, view, user)
        statement = prepared.statement
        assert isinstance(statement, st.CreateTableAs)
        if tables.exists_already(connection, write, statement.definition):
            return Outcome("CREATE TABLE AS")
        return tables.create_as(connection, write, statement, query_rows(connection, prepared, view, values))
