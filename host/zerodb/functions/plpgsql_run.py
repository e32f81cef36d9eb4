"""Runs the tree of a PL/pgSQL body (zerodb_compiler/plpgsql/tree.py).

A `Run` is one call of a routine: a walk over the tree; scopes hold the variables. A statement gives None, or how it
leaves those around: Leaving (EXIT, CONTINUE) or Returned. A block with handlers is a subtransaction: a savepoint of the
write transaction, of the settings and of what NOTIFY has sent; an error that a handler takes undoes all since, and lets
go the locks taken since. Errors carry the lines that they went through.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from zerodb.functions import plpgsql_errors
from zerodb.functions.canonical import assigned, result_rows
from zerodb.functions.nested import Caller, Record, Variable, add_context
from zerodb.functions.plpgsql_errors import takes
from zerodb.functions.plpgsql_names import (
    Declared,
    Row,
    RowRecord,
    Scope,
    assign,
    assign_row,
    declared,
    element_assigned,
)
from zerodb.functions.plpgsql_routine import Routine, Rows
from zerodb.outcome import Outcome
from zerodb_compiler.errors import DatabaseError, Error, error_for
from zerodb_compiler.nested import decode_array, decode_record
from zerodb_compiler.plpgsql import tree
from zerodb_compiler.plpgsql.contexts import described
from zerodb_compiler.sql.values import Value, format_value
from zerodb_compiler.types import BOOLEAN, INTEGER, TEXT, SqlType, TypeId
from zerodb_storage import Outdated

Typed = tuple[SqlType, Value]


@dataclass(frozen=True, slots=True)
class Leaving:
    label: str | None
    again: bool


@dataclass(frozen=True, slots=True)
class Returned:
    """What RETURN has given: a value, the record that it names, or nothing."""

    value: Typed | None = None
    record: Record | None = None


Signal = Leaving | Returned | None


@dataclass(slots=True)
class Run:
    """One call."""

    routine: Routine
    caller: Caller
    scope: Scope
    rows: Rows | None = None  # of RETURN NEXT and RETURN QUERY
    row_count: int = 0
    caught: list[Error] = field(default_factory=list)
    blamed: Error | None = None  # whose context has this call in it
    _found: Variable = field(default_factory=lambda: Variable(BOOLEAN, 0))

    def run(self) -> Signal:
        """Runs the body."""
        self.scope.put("found", self._found)
        with self.caller.entered(), self.context():
            signal = self._block(self.routine.block, self.scope)
        if isinstance(signal, Leaving):
            word = "CONTINUE" if signal.again else "EXIT"
            raise error_for("42601", f"{word} cannot be used outside a loop")
        return signal

    @contextlib.contextmanager
    def context(self, place: str = "") -> Iterator[None]:
        try:
            yield
        except Error as error:
            self._blame(error, place)
            raise

    def failed(self, sqlstate: str, message: str) -> DatabaseError:
        error = error_for(sqlstate, message)
        self._blame(error, "")
        return error

    def _blame(self, error: Error, place: str) -> None:
        """Says, once, where in this call an error was raised."""
        if error is not self.blamed:
            self.blamed = error
            error.position = None
            add_context(error, f"PL/pgSQL {self.routine.shown}{place}")

    # --- expressions ---
    def value(self, sql: tree.Sql, scope: Scope) -> Typed:
        """The type and value of an expression."""
        statement = self.routine.statement(sql)
        simple = statement.simple_value(self.caller, scope)
        if simple is not None:
            return simple
        outcome = self.caller.run(statement, scope)
        assert outcome.columns is not None
        shown = sql.text.strip().removeprefix("select ")
        if len(outcome.columns) != 1:
            raise error_for("42601", f'query "SELECT {shown}" returned {len(outcome.columns)} columns')
        rows = result_rows(outcome)
        if len(rows) > 1:
            raise error_for("21000", f'query "SELECT {shown}" returned more than one row')
        return outcome.columns[0].type, rows[0][0] if rows else None

    def condition(self, sql: tree.Sql, scope: Scope) -> bool:
        type_, value = self.value(sql, scope)
        return bool(assigned(value, type_, BOOLEAN))

    def integer(self, sql: tree.Sql, scope: Scope, what: str) -> int:
        type_, value = self.value(sql, scope)
        found = assigned(value, type_, INTEGER)
        if found is None:
            raise error_for("22004", f"{what} of FOR loop cannot be null")
        assert isinstance(found, int)
        return found

    def text(self, sql: tree.Sql, scope: Scope) -> str | None:
        type_, value = self.value(sql, scope)
        return format_value(type_, value) if type_.id is not TypeId.BOOLEAN or value is None else "ft"[int(value)]

    def assign_to(self, target: tree.Target, scope: Scope, type_: SqlType, value: Value) -> None:
        entry = scope.target(target)
        if not target.subscripts:
            assign(entry, target.path[-1], value, type_)
            return
        if isinstance(entry, Record) or entry.type.id is not TypeId.ARRAY:
            raise error_for("42804", "cannot subscript type of the variable because it does not support subscripting")
        places = [self.integer(place, scope, "array subscript") for place in target.subscripts]
        assert entry.type.element is not None
        element = assigned(value, type_, entry.type.element)
        entry.value = element_assigned(entry.type, entry.value, places, element)

    def assign_row_to(self, targets: Sequence[tree.Target], scope: Scope, row: Row | None) -> None:
        """INTO: the values of a row; None: there is none, which makes all NULL."""
        if len(targets) == 1 and not targets[0].subscripts:
            entry = scope.target(targets[0])
            if isinstance(entry, Record):
                whole = row is not None and len(row) == 1 and row[0][1].id is TypeId.STRUCT
                if whole and row is not None and isinstance(entry, RowRecord):
                    assign(entry, targets[0].path[-1], row[0][2], row[0][1])
                else:
                    assign_row(entry, row)
                return
        for place, target in enumerate(targets):
            given = row[place] if row is not None and place < len(row) else ("", TEXT, None)
            self.assign_to(target, scope, given[1], given[2])

    # --- statements ---
    def statements(self, body: Sequence[tree.Statement], scope: Scope) -> Signal:
        for statement in body:
            signal = self._statement(statement, scope)
            if signal is not None:
                return signal
        return None

    def _statement(self, node: tree.Statement, scope: Scope) -> Signal:
        self.caller.check_stopped()
        try:
            return _RUN[type(node)](self, node, scope)
        except Error as error:
            if not isinstance(node, tree.Block):
                self._blame(error, f" line {node.line} at {described(node)}")
            raise

    def _block(self, node: tree.Block, outer: Scope) -> Signal:
        scope = outer.inner()
        label = node.label
        for declaration in node.declarations:
            self._declare(declaration, scope, node)
        if node.handlers:
            signal = self._guarded(node, scope)
        else:
            signal = self.statements(node.body, scope)
        if isinstance(signal, Leaving) and not signal.again and label is not None and signal.label == label:
            return None
        return signal

    def _declare(self, node: tree.Declaration, scope: Scope, block: tree.Block) -> None:
        label, line = block.label, block.line
        if node.alias is not None:
            entry = scope.target(tree.Target((node.alias,), node.position))
            scope.put(node.name, entry, label)
            return
        assert node.type is not None
        view = self.caller.view or self.caller.connection._view()
        try:
            entry = declared(view, scope, node.type)
            if node.default is not None:
                type_, value = self.value(node.default, scope)
                assign(entry, node.name, value, type_)
                if node.not_null and value is None:
                    message = f'null value cannot be assigned to variable "{node.name}" declared NOT NULL'
                    raise error_for("22004", message)
        except Error as error:
            self._blame(error, f" line {line} during statement block local variable initialization")
            raise
        if isinstance(entry, Declared):
            entry.constant, entry.not_null = node.constant, node.not_null
        elif isinstance(entry, RowRecord):
            entry.constant = node.constant
        scope.put(node.name, entry, label)

    def _guarded(self, node: tree.Block, scope: Scope) -> Signal:
        """A block with handlers."""
        undo = self._savepoint()
        try:
            with self._guarding():
                return self.statements(node.body, scope)
        except Error as error:
            handler = next((found for found in node.handlers if takes(found, error)), None)
            if handler is None:
                raise
            if error.sqlstate == "23505" and self.caller.looks_again():
                raise Outdated from None
            undo()
            self.blamed = None
            self.caught.append(error)
            try:
                inside = scope.inner()
                inside.put("sqlstate", Variable(TEXT, error.sqlstate))
                inside.put("sqlerrm", Variable(TEXT, error.message))
                return self.statements(handler.body, inside)
            finally:
                self.caught.pop()

    @contextlib.contextmanager
    def _guarding(self) -> Iterator[None]:
        own = self.caller.own
        if own is not None:
            own.guards += 1
        try:
            yield
        finally:
            if own is not None:
                own.guards -= 1

    def _savepoint(self) -> Callable[[], None]:
        """What undoes everything from now on."""
        session, write = self.caller.connection._session, self.caller.written()
        saved = None if write is None else write.savepoint()
        settings = session._options.saved()
        index = session.announcements.savepoints
        session.announcements.savepoint()

        def undo() -> None:
            if write is not None and saved is not None:
                write.rollback_to(saved)
            session._options.restore(settings)
            session.announcements.rollback_to(index)
            session.announcements.release(index)

        return undo

    def _assign(self, node: tree.Assign, scope: Scope) -> Signal:
        type_, value = self.value(node.value, scope)
        self.assign_to(node.target, scope, type_, value)
        return None

    def _if(self, node: tree.If, scope: Scope) -> Signal:
        for condition, body in node.branches:
            if self.condition(condition, scope):
                return self.statements(body, scope)
        return self.statements(node.otherwise, scope)

    def _case(self, node: tree.CaseWhen, scope: Scope) -> Signal:
        if node.operand is not None:
            scope = scope.inner()
            scope.put(node.variable, Variable(*self.value(node.operand, scope)))
        for condition, body in node.branches:
            if self.condition(condition, scope):
                return self.statements(body, scope)
        if node.otherwise is None:
            raise error_for("20000", "case not found", hint="CASE statement is missing ELSE part.")
        return self.statements(node.otherwise, scope)

    # --- loops ---
    def _round(self, body: Sequence[tree.Statement], scope: Scope, label: str | None) -> tuple[bool, Signal]:
        """Runs a loop's body once: whether the loop ends, and what it gives then."""
        signal = self.statements(body, scope)
        if not isinstance(signal, Leaving):
            return signal is not None, signal
        if signal.label is not None and signal.label != label:
            return True, signal
        return not signal.again, None

    def _loop(self, node: tree.Loop, scope: Scope) -> Signal:
        while node.condition is None or self.condition(node.condition, scope):
            ended, signal = self._round(node.body, scope, node.label)
            if ended:
                return signal
        return None

    def _for_range(self, node: tree.ForRange, scope: Scope) -> Signal:
        low = self.integer(node.low, scope, "lower bound")
        high = self.integer(node.high, scope, "upper bound")
        step = 1 if node.step is None else self.integer(node.step, scope, "BY value")
        if step <= 0:
            raise error_for("22023", "BY value of FOR loop must be greater than zero")
        numbers = range(low, high - 1, -step) if node.reverse else range(low, high + 1, step)
        inside = scope.inner()
        variable = Declared(INTEGER)
        inside.put(node.variable, variable, node.label)
        signal: Signal = None
        for number in numbers:
            variable.value = number
            ended, signal = self._round(node.body, inside, node.label)
            if ended:
                break
        self._found.value = int(bool(numbers))
        return signal

    def _for_rows(self, node: tree.ForRows, scope: Scope) -> Signal:
        outcome = self._rows_of(node.query, node.using, scope)
        found = False
        signal: Signal = None
        for row in _rows(outcome):
            found = True
            self.assign_row_to(node.targets, scope, row)
            ended, signal = self._round(node.body, scope, node.label)
            if ended:
                break
        if not found:
            self.assign_row_to(node.targets, scope, None)
        self._found.value = int(found)
        return signal

    def _rows_of(self, query: tree.Sql, using: tuple[tree.Sql, ...] | None, scope: Scope) -> Outcome:
        outcome = self._execute_sql(query, scope) if using is None else self._execute_text(query, using, scope)
        if outcome.columns is None:
            raise error_for("42601", "the query gives no rows")
        return outcome

    def _foreach(self, node: tree.ForEach, scope: Scope) -> Signal:
        type_, value = self.value(node.array, scope)
        if value is None:
            raise error_for("22004", "FOREACH expression must not be null")
        if type_.id is not TypeId.ARRAY or type_.element is None:
            raise error_for("42804", f"FOREACH expression must yield an array, not type {type_}")
        assert isinstance(value, bytes)
        elements = decode_array(type_, value).elements
        signal: Signal = None
        for element in elements:
            self.assign_row_to(node.targets, scope, [("", type_.element, element)])
            ended, signal = self._round(node.body, scope, node.label)
            if ended:
                break
        self._found.value = int(bool(elements))
        return signal

    def _leave(self, node: tree.Leave, scope: Scope) -> Signal:
        if node.condition is not None and not self.condition(node.condition, scope):
            return None
        return Leaving(node.label, node.again)

    # --- results ---
    def _return(self, node: tree.Return, scope: Scope) -> Signal:
        if node.value is None:
            return Returned()
        entry = _variable_of(node.value, scope)
        if isinstance(entry, Record):
            return Returned(record=entry)
        return Returned(self.value(node.value, scope))

    def _return_next(self, node: tree.ReturnNext, scope: Scope) -> Signal:
        if self.rows is None:
            raise error_for("42804", "cannot use RETURN NEXT in a non-SETOF function")
        if node.value is None:
            self.rows.add([("", variable.type, variable.value) for variable in self.rows.variables])
            return None
        entry = _variable_of(node.value, scope)
        if isinstance(entry, Record):
            self.rows.add([(name, part.type, part.value) for name, part in entry.fields or ()])
        else:
            type_, value = self.value(node.value, scope)
            self.rows.add(fields_of(type_, value) if type_.id is TypeId.STRUCT else [("", type_, value)])
        return None

    def _return_query(self, node: tree.ReturnQuery, scope: Scope) -> Signal:
        if self.rows is None:
            raise error_for("42804", "cannot use RETURN QUERY in a non-SETOF function")
        outcome = self._rows_of(node.query, node.using, scope)
        found = _rows(outcome)
        for row in found:
            self.rows.add(row)
        count = len(found)
        self.row_count, self._found.value = count, int(count > 0)
        return None

    # --- SQL ---
    def _execute_sql(self, sql: tree.Sql, scope: Scope) -> Outcome:
        return self.caller.run(self.routine.statement(sql), scope)

    def _execute_text(self, sql: tree.Sql, using: Sequence[tree.Sql], scope: Scope) -> Outcome:
        text = self.text(sql, scope)
        if text is None:
            raise error_for("22004", "query string argument of EXECUTE is null")
        numbered = [Variable(*self.value(part, scope)) for part in using]
        names = Scope(numbered=numbered)
        return self.caller.run(self.routine.dynamic(text), names)

    def _perform(self, node: tree.Perform, scope: Scope) -> Signal:
        outcome = self._execute_sql(node.query, scope)
        self._count(outcome)
        return None

    def _count(self, outcome: Outcome) -> None:
        self.row_count = max(outcome.row_count, 0)
        self._found.value = int(self.row_count > 0)

    def _run(self, node: tree.Run, scope: Scope) -> Signal:
        outcome = self._execute_sql(node.statement, scope)
        if node.into is not None:
            self._into(outcome, node.into, scope, changes=outcome.tag != "SELECT", sets_found=True)
            return None
        if outcome.tag in ("SELECT", "TABLE", "VALUES") and outcome.columns is not None:
            hint = "If you want to discard the results of a SELECT, use PERFORM instead."
            raise error_for("42601", "query has no destination for result data", hint=hint)
        if outcome.columns is not None:
            raise error_for("42601", "query has no destination for result data")
        if outcome.row_count >= 0:
            self._count(outcome)
        return None

    def _into(self, outcome: Outcome, into: tree.Into, scope: Scope, *, changes: bool, sets_found: bool) -> None:
        if outcome.columns is None:
            raise error_for("42601", "INTO used with a command that cannot return data")
        rows = _rows(outcome)
        if into.strict and not rows:
            raise error_for("P0002", "query returned no rows")
        if len(rows) > 1 and (into.strict or changes):
            raise error_for("P0003", "query returned more than one row")
        self.assign_row_to(into.targets, scope, rows[0] if rows else None)
        self.row_count = 1 if rows and not changes else max(outcome.row_count, 0)
        if sets_found:
            self._found.value = int(bool(rows))

    def _execute(self, node: tree.Execute, scope: Scope) -> Signal:
        outcome = self._execute_text(node.text, node.using, scope)
        if node.into is not None:
            self._into(outcome, node.into, scope, changes=outcome.tag != "SELECT", sets_found=False)
        else:
            self.row_count = max(outcome.row_count, 0)
        return None

    def _call(self, node: tree.CallProcedure, scope: Scope) -> Signal:
        from zerodb.functions.procedures import call

        schema = node.name[-2] if len(node.name) > 1 else None
        given = [self.value(sql, scope) for sql, _ in node.arguments]
        row = call(self.caller, node.name[-1], schema, given)
        for place, type_, value in row:
            target = node.arguments[place][1]
            if target is None:
                message = f"procedure parameter {place + 1} is an output parameter but corresponding argument"
                raise error_for("42601", f"{message} is not writable")
            self.assign_to(target, scope, type_, value)
        return None

    def _nothing(self, node: tree.Nothing, scope: Scope) -> Signal:
        return None

    def _end_transaction(self, node: tree.EndTransaction, scope: Scope) -> Signal:
        if self.caller.own is None:
            raise error_for("2D000", "invalid transaction termination")
        self.caller.own.end(commit=node.commit)
        return None


def _rows(outcome: Outcome) -> list[list[tuple[str, SqlType, Value]]]:
    assert outcome.columns is not None
    columns = [(column.name, _known(column.type)) for column in outcome.columns]
    return [
        [(name, type_, value) for (name, type_), value in zip(columns, row, strict=True)]
        for row in result_rows(outcome)
    ]


def fields_of(type_: SqlType, value: Value) -> list[tuple[str, SqlType, Value]]:
    if value is None:
        return [(name, part, None) for name, part in type_.fields]
    assert isinstance(value, bytes)
    cells = decode_record([part for _, part in type_.fields], value)
    return [(name, part, cell) for (name, part), cell in zip(type_.fields, cells, strict=True)]


def _known(type_: SqlType) -> SqlType:
    return TEXT if type_.id is TypeId.NULL else type_


def _variable_of(sql: tree.Sql, scope: Scope) -> Variable | Record | None:
    """The variable that an expression is, if it is nothing else."""
    name = sql.text.strip().removeprefix("select ").strip()
    return scope.find((name.lower(),)) if name.isidentifier() else None


_RUN: dict[type, Callable[[Run, Any, Scope], Signal]] = {
    tree.Block: Run._block,
    tree.Assign: Run._assign,
    tree.If: Run._if,
    tree.CaseWhen: Run._case,
    tree.Loop: Run._loop,
    tree.ForRange: Run._for_range,
    tree.ForRows: Run._for_rows,
    tree.ForEach: Run._foreach,
    tree.Leave: Run._leave,
    tree.Return: Run._return,
    tree.ReturnNext: Run._return_next,
    tree.ReturnQuery: Run._return_query,
    tree.Perform: Run._perform,
    tree.Execute: Run._execute,
    tree.Run: Run._run,
    tree.CallProcedure: Run._call,
    tree.GetDiagnostics: plpgsql_errors.get_diagnostics,
    tree.Raise: plpgsql_errors.raise_,
    tree.Assert: plpgsql_errors.assert_,
    tree.Nothing: Run._nothing,
    tree.EndTransaction: Run._end_transaction,
}
