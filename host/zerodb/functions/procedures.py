"""DO and CALL: a body that is a statement by itself.

It runs in a write transaction (unless the session only reads), which is the statement's own outside of a transaction
block (own_transactions); each of its statements may fail alone, if the body goes on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from zerodb.functions.canonical import assigned, result_rows
from zerodb.functions.nested import Caller, Statement, Variable
from zerodb.functions.own_transactions import OwnTransactions
from zerodb.functions.plpgsql_names import Scope
from zerodb.functions.plpgsql_routine import Routine
from zerodb.functions.plpgsql_run import Run, Typed
from zerodb.outcome import Outcome
from zerodb_compiler.errors import Error, error_for
from zerodb_compiler.nested import decode_record
from zerodb_compiler.plpgsql.check import Returns, check
from zerodb_compiler.sql import utility_statements as us
from zerodb_compiler.sql.external import ExternalFunction, resolve_external
from zerodb_compiler.sql.values import Value
from zerodb_compiler.types import NULL, SqlType

if TYPE_CHECKING:
    from zerodb.connection import Connection

PROCEDURE = "procedure"


def run_procedure(connection: Connection, statement: us.Do | us.Call) -> Outcome:
    session = connection._session
    running = session.statement
    with OwnTransactions(session) as own, running.refreshing(may=running.may_refresh or not running.nested):
        caller = Caller.directly(connection, own)
        if isinstance(statement, us.Do):
            return _do(caller, statement)
        return _call(caller, statement)


def _do(caller: Caller, statement: us.Do) -> Outcome:
    try:
        routine = Routine("inline_code_block", "function inline_code_block", statement.body)
        check(routine.block, (), Returns("do"))
    except Error as error:
        if error.position is not None:
            error.position = None if statement.position is None else error.position + statement.position
        raise
    Run(routine, caller, Scope()).run()
    return Outcome("DO")


_LITERAL = re.compile(r"'(?:[^']|'')*'|null", re.IGNORECASE)


def _call(caller: Caller, statement: us.Call) -> Outcome:
    given: list[Typed] = []
    for text, position in statement.arguments:
        if _LITERAL.fullmatch(text):  # of no type yet
            given.append((NULL, None if text.lower() == "null" else text[1:-1].replace("''", "'")))
            continue
        outcome = caller.run(Statement(" " * max(position - 7, 0) + f"select {text}"), Scope())
        assert outcome.columns is not None
        ((value,),) = result_rows(outcome)
        given.append((outcome.columns[0].type, value))
    name = statement.procedure
    try:
        results = call(caller, name.name, name.schema, given)
    except Error as error:
        if error.sqlstate in ("42883", "42725", "42809") and error.context is None:
            error.position = name.position
        raise
    if not results:
        return Outcome("CALL")
    names = _names(caller, name.name, name.schema, given)
    columns = ", ".join(f'${number} as "{names[place]}"' for number, (place, _, _) in enumerate(results, 1))
    scope = Scope(numbered=[Variable(type_, value) for _, type_, value in results])
    shown = caller.run(Statement(f"select {columns}"), scope)
    return Outcome("CALL", shown.row_count, shown.columns, shown.batches)


def _names(caller: Caller, name: str, schema: str | None, given: Sequence[Typed]) -> list[str]:
    function = _resolved(caller, name, schema, given)
    return [argument or f"column{number}" for number, (_, argument, _) in enumerate(function.outwards, 1)]


def call(caller: Caller, name: str, schema: str | None, given: Sequence[Typed]) -> list[tuple[int, SqlType, Value]]:
    """Calls a procedure; the results with the number of the argument that each is."""
    function = _resolved(caller, name, schema, given)
    if function.omitted:
        given = [*given, *_defaults(caller, function)]
        function = replace(function, arguments=(*function.arguments, *function.omitted), omitted=())
    inwards = [place for place, mode in enumerate(_modes(function)) if mode != "out"]
    pairs = zip([given[place] for place in inwards], function.arguments, strict=True)
    arguments = [assigned(value, type_, wanted) for (type_, value), wanted in pairs]
    view = caller.connection._view()
    body = view.body(function)
    made = body.value(Caller(caller.connection, name, None, caller.stopped, caller.own), arguments)
    outwards = [place for place, mode in enumerate(_modes(function)) if mode != "in"]
    if not outwards:
        return []
    if len(outwards) == 1:
        return [(outwards[0], function.result, made)]
    types = [type_ for _, type_ in function.result.fields]
    assert isinstance(made, bytes)
    return list(zip(outwards, types, decode_record(types, made), strict=True))


def _defaults(caller: Caller, function: ExternalFunction) -> list[Typed]:
    """The values of arguments that a call omits."""
    found: list[Typed] = []
    for text in function.defaults[len(function.defaults) - len(function.omitted) :]:
        outcome = caller.run(Statement(f"select {text}"), Scope())
        assert outcome.columns is not None
        ((value,),) = result_rows(outcome)
        found.append((outcome.columns[0].type, value))
    return found


def _modes(function: ExternalFunction) -> list[str]:
    return [mode for mode, _, _ in function.outwards] or ["in"] * len(function.arguments)


def _resolved(caller: Caller, name: str, schema: str | None, given: Sequence[Typed]) -> ExternalFunction:
    known = caller.connection._view().functions(name, schema)
    types = [type_ for type_, _ in given]
    shown = f"{name}({', '.join(map(str, types))})"
    fitting = []
    for found in known:
        if found.kind != PROCEDURE:
            continue
        if not found.outwards:
            fits = resolve_external([found], types)
            fitting += [fits] if isinstance(fits, ExternalFunction) else []
            continue
        if len(_modes(found)) != len(given):
            continue
        inwards = [type_ for type_, mode in zip(types, _modes(found), strict=True) if mode != "out"]
        if resolve_external([found], inwards) is not None:
            fitting.append(found)
    if len(fitting) > 1:
        exact = [found for found in fitting if list(found.arguments) == types]
        fitting = exact or fitting
    if len(fitting) > 1:
        raise error_for("42725", f"procedure {shown} is not unique")
    if not fitting:
        if any(found.kind != PROCEDURE for found in known):
            raise error_for("42809", f"{shown} is not a procedure", hint="To call a function, use SELECT.")
        raise error_for("42883", f"procedure {shown} does not exist")
    return fitting[0]
