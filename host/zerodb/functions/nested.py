"""Statements of a function's body: compiled with the function's variables, executed within the statement that calls it.

    body text -- parse --> the names in it that are variables --> parameters of their types --> compiled, and kept
                                                                  values of the moment     --> executed

A statement is compiled once for the types that its variables have. What runs it is `Caller`: for one call of a function
it knows the connection, and what statements see. Those of a volatile function see what was changed before, and what
they change is a part of the calling statement; those of others read what the calling statement reads (0A000 if they
would change something).

Under READ COMMITTED each statement of a volatile function sees what is committed when it begins, and runs again by
itself if it met rows that others were changing, as at the top level. Not so below a statement that changes rows (of
triggers, of functions in an UPDATE): these see what that one sees, which as a whole runs again.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from sqlglot import exp

from zerodb import execution
from zerodb.compilation import Ready, Stages, prepare
from zerodb.database import collector_paused, single
from zerodb.functions.body import called_by, calling, stop_reason
from zerodb.functions.calling import stopping
from zerodb.functions.simple import Evaluate, simple
from zerodb.outcome import Outcome
from zerodb_compiler.errors import Error, error_for
from zerodb_compiler.sql import statements as st
from zerodb_compiler.sql.analyze import bind_shape
from zerodb_compiler.sql.expressions import Parameter
from zerodb_compiler.sql.parse import ParsedStatement, parse
from zerodb_compiler.sql.shape import shape_of
from zerodb_compiler.sql.values import Exact, Value
from zerodb_compiler.sql.variables import Path, RecordVariable, Variables, path_of
from zerodb_compiler.types import SqlType
from zerodb_storage import Outdated, WriteTransaction

if TYPE_CHECKING:
    from zerodb.connection import Connection
    from zerodb.functions.own_transactions import OwnTransactions
    from zerodb.view import View

MAX_DEPTH = 250  # of functions that call each other
_FRAMES = 64  # of Python, at most, that one of them takes
MAX_AGAIN = 100  # runs of one statement because of duplicates
MAX_KEPT = 16  # forms of one statement, by its variables' types

_running = 0  # bodies that no other body has called, of all threads
_usual_limit = 0  # Python's limit of recursion while none runs
_limit_lock = threading.Lock()


@contextlib.contextmanager
def _deep_stack() -> Iterator[None]:
    """Room for bodies that call each other. Python's limit is one of the process: it is as it was when none runs."""
    global _running, _usual_limit
    with _limit_lock:
        if not _running:
            _usual_limit = sys.getrecursionlimit()
            sys.setrecursionlimit(max(_usual_limit, MAX_DEPTH * _FRAMES))
        _running += 1
    try:
        yield
    finally:
        with _limit_lock:
            _running -= 1
            if not _running:
                sys.setrecursionlimit(_usual_limit)


@dataclass(slots=True)
class Variable:
    """A value. `declared` is the type it was declared with; of a plain one the same."""

    type: SqlType
    value: Value = None


@dataclass(slots=True)
class Record:
    """Values by name; `fields` is None before the first assignment of a RECORD."""

    name: str | None = None  # of its type
    is_null: bool = False  # the whole: NEW where no row is new
    fields: list[tuple[str, Variable]] | None = None


class Names(Protocol):
    """The variables that a statement can see."""

    numbered: Sequence[Variable]  # $1, $2, ...
    ambiguous: bool  # whether a name that is a column's as well is an error

    def find(self, path: Path) -> Variable | Record | None: ...


@dataclass(frozen=True, slots=True)
class _Used:
    """The variables that a statement names, in the order of its parameters."""

    numbered: tuple[Variable, ...]
    named: tuple[tuple[Path, Variable | Record], ...]

    @property
    def variables(self) -> list[Variable]:
        found = list(self.numbered)
        for _, entry in self.named:
            found += [entry] if isinstance(entry, Variable) else [variable for _, variable in entry.fields or ()]
        return found

    @property
    def key(self) -> tuple[object, ...]:
        named = tuple(
            (path, entry.type)
            if isinstance(entry, Variable)
            else (
                path,
                entry.name,
                entry.is_null,
                tuple((name, variable.type) for name, variable in entry.fields or ()),
            )
            for path, entry in self.named
        )
        return (*(variable.type for variable in self.numbered), *named)


class Statement:
    """One statement of a body. Places in its errors are places in the body, if its text is padded so."""

    __slots__ = ("_compiled", "_has_numbers", "_paths", "_simple", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._compiled: dict[tuple[object, ...], Ready] = {}
        self._paths: tuple[Path, ...] | None = None
        self._has_numbers = False
        self._simple: dict[tuple[object, ...], tuple[SqlType, Evaluate] | None] = {}

    def _parsed(self) -> ParsedStatement:
        return single(parse(self.text, body=True))

    def ready(self, caller: Caller, view: View, names: Names) -> tuple[Ready, list[Exact]]:
        """The statement as it fits the view and the variables, and its parameters."""
        used = self._used(names)
        key = used.key
        ready = self._compiled.get(key)
        if ready is None or not ready.prepared.fits(view):
            ready = self._compile(caller, view, names, used)
            if not isinstance(ready.prepared.statement, st.Define):
                if len(self._compiled) >= MAX_KEPT:
                    self._compiled.clear()
                self._compiled[key] = ready
        return ready, [Exact(variable.value) for variable in used.variables]

    def _used(self, names: Names) -> _Used:
        if self._paths is None:
            parsed = self._parsed()
            self._has_numbers = bool(parsed.parameters)
            tree = parsed.tree
            self._paths = () if tree is None else tuple(dict.fromkeys(map(path_of, tree.find_all(exp.Column))))
        return _used(self._paths, names, numbered=self._has_numbers)

    def simple_value(self, caller: Caller, names: Names) -> tuple[SqlType, Value] | None:
        """The value of an expression that needs no query; None if it needs one."""
        used = self._used(names)
        key = used.key
        if key in self._simple:
            found = self._simple[key]
        else:
            found = self._simple_form(caller, names, used)
            if len(self._simple) >= MAX_KEPT:
                self._simple.clear()
            self._simple[key] = found
        if found is None:
            return None
        type_, evaluate = found
        return type_, evaluate([variable.value for variable in used.variables])

    def _simple_form(self, caller: Caller, names: Names, used: _Used) -> tuple[SqlType, Evaluate] | None:
        parsed = self._parsed()
        if parsed.tree is None or parsed.tree.args.get("from_") is not None:
            return None
        variables, types = _variables(used, ambiguous=names.ambiguous)
        _expand(parsed.tree, used)
        parsed = replace(parsed, parameters=tuple(range(1, len(types) + 1)))
        view = caller.view or caller.connection._view()
        try:
            return simple(bind_shape(parsed, view, None, types, variables))
        except Error:  # as a query it says so
            return None

    def _compile(self, caller: Caller, view: View, names: Names, used: _Used) -> Ready:
        database = caller.connection._database
        with database._compiling, collector_paused():
            parsed, shape = self._parsed(), shape_of(self.text)
            variables, types = _variables(used, ambiguous=names.ambiguous)
            if parsed.tree is not None:
                _expand(parsed.tree, used)
            parsed = replace(parsed, parameters=tuple(range(1, len(types) + 1)))
            prepared = prepare(self.text, parsed, shape, view, database.engine, Stages(), types, variables)

            def again(other: View) -> Ready:
                return self._compile(caller, other, names, used)

            return Ready(self.text, prepared, prepared.bound.values(shape) or [], again)


def _used(paths: Sequence[Path], names: Names, *, numbered: bool) -> _Used:
    found: dict[Path, Variable | Record] = {}
    for path in paths:
        if path[-1] == "*":
            record = names.find(path[:-1]) if len(path) > 1 else None
            if isinstance(record, Record):
                for name, variable in _fields(record, path[-2]):
                    found[(*path[:-1], name)] = variable
            continue
        entry = names.find(path)
        if isinstance(entry, Record):
            _fields(entry, path[-1])
        if entry is not None:
            found[path] = entry
    return _Used(tuple(names.numbered) if numbered else (), tuple(found.items()))


def _fields(record: Record, name: str) -> list[tuple[str, Variable]]:
    if record.fields is None:
        hint = "The tuple structure of a not-yet-assigned record is indeterminate."
        raise error_for("55000", f'record "{name}" is not assigned yet', hint=hint)
    return record.fields


def _variables(used: _Used, *, ambiguous: bool) -> tuple[Variables, list[SqlType]]:
    types: list[SqlType] = []

    def parameter(variable: Variable) -> Parameter:
        types.append(variable.type)
        return Parameter(len(types) - 1, variable.type)

    numbered = [parameter(variable) for variable in used.numbered]
    values = {
        path: parameter(entry)
        if isinstance(entry, Variable)
        else RecordVariable(
            entry.name,
            tuple((name, parameter(variable)) for name, variable in entry.fields or ()),
            entry.is_null,
        )
        for path, entry in used.named
    }
    return Variables(values, numbered, ambiguous), types


def _expand(tree: exp.Expr, used: _Used) -> None:
    """new.* in a list becomes new.a, new.b, ..."""
    known: dict[Path, list[str]] = {}
    for path, _ in used.named:
        known.setdefault(path[:-1], []).append(path[-1])
    for node in list(tree.find_all(exp.Column)):
        if not isinstance(node.this, exp.Star) or node.parent is None:
            continue
        names = known.get(path_of(node)[:-1])
        listed = node.parent.args.get("expressions")
        if names is None or not isinstance(listed, list) or isinstance(node.parent, exp.Anonymous):
            continue
        table = node.args["table"]
        columns = [exp.column(exp.to_identifier(name, quoted=True), table=table.copy()) for name in names]
        at = next(place for place, part in enumerate(listed) if part is node)
        node.parent.set("expressions", [*listed[:at], *columns, *listed[at + 1 :]])


@dataclass(slots=True)
class Caller:
    """One call of a function. `view` is what its statements read, None for what is newest."""

    connection: Connection
    name: str  # of the function, for errors
    view: View | None = None
    stopped: Callable[[], str | None] = field(default_factory=stop_reason)
    own: OwnTransactions | None = None  # those that COMMIT in it ends

    @classmethod
    def of(cls, name: str, *, volatile: bool) -> Caller:
        """For a function that a statement calls in this thread."""
        view = calling()
        assert view is not None, "a body is called within a statement"
        if view.session is None:
            raise error_for("0A000", "a function with a body cannot be called here")
        if not view.snapshot.tables:  # that of an expression over rows alone
            volatile = True
        return cls(view.session, name, None if volatile else view, stopped=stop_reason())

    @classmethod
    def directly(cls, connection: Connection, own: OwnTransactions) -> Caller:
        """For a body that is a statement."""
        return cls(connection, "", None, stopping(connection._view()), own)

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Around the run of a body. 54001 if too many call each other."""
        session = self.connection._session
        if session.statement.call_depth >= MAX_DEPTH:
            hint = f"functions call each other more than {MAX_DEPTH} deep, last {self.name}"
            raise error_for("54001", "stack depth limit exceeded", hint=hint)
        with contextlib.nullcontext() if session.statement.call_depth else _deep_stack():
            session.statement.call_depth += 1
            try:
                yield
            finally:
                session.statement.call_depth -= 1

    def check_stopped(self) -> None:
        reason = self.stopped()
        if reason is not None:
            raise error_for("57014", reason)

    def run(self, statement: Statement, names: Names) -> Outcome:
        """Executes a statement. Its errors are those of the statement around, if nothing catches them."""
        self.check_stopped()
        session = self.connection._session

        def once() -> Outcome:
            view = self._view()
            ready, values = statement.ready(self, view, names)
            kind = ready.prepared.statement
            if self.view is not None and not isinstance(kind, st.Query | st.ShowOption | st.Explain):
                from zerodb.statement_text import command_name

                what = command_name(ready.text)
                raise error_for("0A000", f"{what} is not allowed in a non-volatile function")
            if isinstance(kind, st.Insert | st.Update | st.Delete | st.Merge | st.WithChanges | st.Define):
                self._check_may_write()
            # The thread runs its own statement now, not one that calls.
            with called_by(None, self.stopped):
                return execution.run(self.connection, ready, view, values)

        while True:
            try:
                return session.statement.run_nested(once, statement.text)
            except Outdated:
                if not self._refreshes:
                    raise
                session.statement.outdated = None

    def looks_again(self) -> bool:
        """Whether the statement around is to run again, since a handler has met a duplicate that its snapshot perhaps
        does not show: a body that updates the row instead, until one of the two succeeds, would never end. Within a
        transaction block, whose snapshot stays, the handler goes on."""
        session, write = self.connection._session, self.written()
        if write is None or session.in_transaction or session.isolation == "read committed":
            return False
        statement = session.statement
        if statement.looked_again >= MAX_AGAIN or self.connection._database.storage.snapshot() is write.base:
            return False
        statement.looked_again += 1
        return True

    def _check_may_write(self) -> None:
        """0A000 within what was not begun as a change: it would be a transaction of its own."""
        session = self.connection._session
        if self.written() is None and not session.is_read_only:
            message = "a function that changes the database cannot be called here"
            raise error_for("0A000", message, hint="call it in a statement of its own")

    def _view(self) -> View:
        if self.view is not None:
            self.connection._begin_statement()
            return self.view
        write = self.written()
        if write is not None and self._refreshes:
            write.refresh()
        return self.connection._view()

    @property
    def _refreshes(self) -> bool:
        session = self.connection._session
        return session.statement.may_refresh and session.isolation == "read committed"

    def written(self) -> WriteTransaction | None:
        """The write transaction that the statement around works in."""
        return self.connection._session._writing_now


def add_context(error: Error, line: str) -> None:
    error.context = f"{error.context}\n{line}" if error.context else line
