"""Running a statement's query: its parameters' values, its execution, and its rows as Arrow columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from zerodb import reads
from zerodb.compilation import CompiledQuery, Prepared, Ready
from zerodb.outcome import Outcome, QueryBatches
from zerodb.sequence_values import for_rows, is_for_rows, resolved
from zerodb.sessions.open_transaction import now
from zerodb.values import Canonical
from zerodb_compiler.errors import Error
from zerodb_compiler.sql.parameters import Moment
from zerodb_compiler.sql.values import to_canonical
from zerodb_compiler.zones import statement_time, transaction_time

if TYPE_CHECKING:
    from zerodb.connection import Connection
    from zerodb.engine.engine import Execution
    from zerodb.view import View


def present_moments(values: Sequence[Canonical]) -> list[Canonical]:
    """The values, with the times of the transaction, the statement and this call put in where they stand."""
    return [_moment(value) if isinstance(value, Moment) else value for value in values]


def _moment(moment: Moment) -> int:
    match moment.kind:
        case "transaction":
            return transaction_time()
        case "statement":
            return statement_time()
    return now()


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
    values += present_moments(ready.lifted)
    return values


def execute(connection: Connection, query: CompiledQuery, view: View, values: Sequence[Canonical]) -> Execution:
    if is_for_rows(values):
        with for_rows(connection, values) as rows:
            execution = execute(connection, query, view, rows.values)
            rows.count = execution.row_count
        return execution
    noted = connection._session.reads
    if noted is not None:
        reads.note(noted, query.reads, values)
    options = connection._options
    execution = connection._database.engine.execute(
        query.code,
        view,
        values,
        timeout=options.statement_timeout_s,
        threads=options.threads,
        owner=connection,
        result_limit=connection._result_limit,
        measured=connection._observed is not None,
    )
    if connection._observed is not None:
        connection._observed[id(query)] = execution
    return execution


def query_outcome(query: CompiledQuery, execution: Execution, tag: str = "SELECT") -> Outcome:
    batches = QueryBatches(execution.batches(), query.output, query.code.decoder)
    return Outcome(tag, execution.row_count, query.output, batches)


def query_rows(connection: Connection, prepared: Prepared, view: View, values: Sequence[Canonical]) -> pa.Table:
    """All rows of the statement's query."""
    assert prepared.query is not None
    return query_outcome(prepared.query, execute(connection, prepared.query, view, values)).table(stored=True)


def for_writing(
    connection: Connection, ready: Ready, view: View, user: Sequence[Any]
) -> tuple[Prepared, list[Canonical]]:
    """The statement compiled for what the write transaction sees, should another connection have committed since it
    was looked up."""
    if not ready.prepared.fits(view):
        ready = connection._database.prepared_again(ready, view)
    return ready.prepared, resolved(connection, canonical_parameters(ready, user))
