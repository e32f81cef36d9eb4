"""Values that the host computes for a statement's parameters (compiler: sql/computed.py): those of sequences."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from zerodb.definition.sequences import KIND, definition_of
from zerodb.outcome import Outcome, integer_table, text_table
from zerodb.values import Canonical
from zerodb_compiler.errors import error_for
from zerodb_compiler.sql import ddl
from zerodb_compiler.sql import statements as st
from zerodb_compiler.sql.computed import Computed
from zerodb_compiler.sql.definitions.names import sequence_name
from zerodb_storage.sequences import SequenceDefinition

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zerodb.compilation import Prepared
    from zerodb.connection import Connection
    from zerodb.view import View

_FOR_ROWS = ("base", "step")


def resolved(connection: Connection, values: Sequence[Any]) -> list[Canonical]:
    """The values with what is evaluated once for the statement; what depends on its rows stays."""
    found = list(values)
    for place, value in enumerate(found):
        if isinstance(value, Computed) and value.kind not in _FOR_ROWS:
            found[place] = _value(connection, value, found)  # it may be computed from those before it
    return found


def _value(connection: Connection, what: Computed, values: Sequence[Any]) -> Canonical:
    session = connection._session
    if what.kind == "external":
        from zerodb.functions.calling import computed_call

        return computed_call(connection._view(), what, values)
    if what.kind == "advisory":
        from zerodb.sessions.advisory import advisory

        return advisory(connection, what, values)
    if what.kind == "sleep":
        from zerodb.sessions.advisory import value_of

        seconds = value_of(what.arguments[0], values)
        return None if seconds is None else session.locks.sleep(seconds)
    if what.kind == "notify":
        from zerodb.sessions.notifications import pg_notify

        return pg_notify(connection, what, values)
    if what.kind in ("session", "setting", "set setting"):
        from zerodb.session_values import session_value

        return session_value(connection, what)
    if what.kind == "registered":
        from zerodb.system.registered import registered_oid

        assert isinstance(what.sequence, str)
        return registered_oid(connection._view(), *what.sequence.split("\0", 1), missing=what.called)
    if what.kind == "lastval":
        if session.last_sequence is None:
            raise error_for("55000", "lastval is not yet defined in this session")
        return session.sequence_values[session.last_sequence]
    if what.kind == "serial":
        assert isinstance(what.sequence, str)
        return serial_sequence(connection, *what.sequence.split("\0"))
    definition = find(connection, what.sequence)
    match what.kind:
        case "nextval":
            return int(take(connection, definition, 1)[0])
        case "currval":
            if definition.id not in session.sequence_values:
                message = f'currval of sequence "{definition.name}" is not yet defined in this session'
                raise error_for("55000", message)
            return session.sequence_values[definition.id]
        case _:
            assert what.value is not None
            set_value(connection, definition, what.value, what.called)
            return what.value


def take(connection: Connection, definition: SequenceDefinition, count: int) -> Any:
    """The next values, as an array."""
    connection._session.check_writable("nextval()")
    values = connection._database.storage.sequences.take(definition, count)
    _remember(connection, definition, int(values[-1]))
    return values


def set_value(connection: Connection, definition: SequenceDefinition, value: int, called: bool) -> None:
    connection._session.check_writable("setval()")
    connection._database.storage.sequences.set(definition, value, called)
    if called:
        connection._session.sequence_values[definition.id] = value


def _remember(connection: Connection, definition: SequenceDefinition, value: int) -> None:
    session = connection._session
    session.sequence_values[definition.id] = value
    session.last_sequence = definition.id


def find(connection: Connection, sequence: int | str | None) -> SequenceDefinition:
    """A sequence by id or by name as regclass reads it. 42P01."""
    snapshot = connection._session.seen()
    if isinstance(sequence, int):
        for (kind, _, name), data in snapshot.catalog.items():
            if kind == KIND and data["id"] == sequence:
                return definition_of(name, data)
        raise error_for("42P01", "the column's sequence does not exist")
    assert sequence is not None
    named = sequence_name(sequence)
    return named_sequence(connection, named)


def named_sequence(connection: Connection, named: ddl.Name) -> SequenceDefinition:
    snapshot = connection._session.seen()
    view = connection._view()
    schemas = view.path if named.schema is None else (view.schema_named(named.schema),)
    for schema in schemas:
        data = snapshot.object(KIND, schema, named.name)
        if data is not None:
            return definition_of(named.name, data)
    key = view.resolve(named.name, named.schema)
    if key is not None:
        raise error_for("42809", f'"{named.name}" is not a sequence')
    raise error_for("42P01", f'relation "{named}" does not exist')


def serial_sequence(connection: Connection, table: str, column: str) -> str | None:
    """pg_get_serial_sequence: the sequence that a column owns, with its schema."""
    view = connection._view()
    named = sequence_name(table)
    key = view.resolve(named.name, named.schema)
    if key is None:
        raise error_for("42P01", f'relation "{named}" does not exist')
    version = view.tables[key]
    slot = next((found.slot for found in version.columns if found.name == column), None)
    if slot is None:
        raise error_for("42703", f'column "{column}" of relation "{version.name}" does not exist')
    for (kind, schema, name), data in connection._session.seen().catalog.items():
        if kind == KIND and data.get("owner") == [version.id, slot]:
            return f"{schema}.{name}"
    return None


@contextmanager
def for_rows(connection: Connection, values: Sequence[Any]) -> Iterator[_Rows]:
    """While a query runs that takes a value for each of its rows, nobody else takes any from a sequence."""
    sequences = connection._database.storage.sequences
    with sequences.lock:
        rows = _Rows(connection, values)
        yield rows
        rows.finish()


class _Rows:
    def __init__(self, connection: Connection, values: Sequence[Any]) -> None:
        self._connection = connection
        self._definitions: dict[object, SequenceDefinition] = {}
        self._counts: dict[int, int] = {}
        self._sequences = connection._database.storage.sequences
        self.values = [self._resolved(value) for value in values]
        self.count = 0

    def _resolved(self, value: Any) -> Canonical:
        if not isinstance(value, Computed):
            given: Canonical = value
            return given
        definition = self._definitions.get(value.sequence)
        if definition is None:
            definition = self._definitions[value.sequence] = find(self._connection, value.sequence)
        if value.kind == "step":
            return definition.increment
        last, called = self._sequences.current(definition)
        return last if called else last - definition.increment

    def finish(self) -> None:
        """Moves the sequences on by the number of rows."""
        if self.count:
            for definition in self._definitions.values():
                take(self._connection, definition, self.count)


def is_for_rows(values: Sequence[Any]) -> bool:
    return any(isinstance(value, Computed) and value.kind in _FOR_ROWS for value in values)


def set_sequence(
    connection: Connection, statement: st.SetSequence, prepared: Prepared, view: View, values: Sequence[Any]
) -> Outcome:
    """SELECT setval(...) with a value from a query."""
    from zerodb.queries import query_rows

    named = statement.sequence
    name = named if isinstance(named, str) else serial_sequence(connection, *named)
    if name is None:
        return text_table("SELECT", [statement.label], [[None]])
    definition = find(connection, name)
    rows = query_rows(connection, prepared, view, resolved(connection, values)).to_pylist()
    results: list[int | None] = []
    for row in rows:  # one, as a rule
        value, *called = row.values()
        results.append(value)
        if value is not None and None not in called:
            set_value(connection, definition, value, all(called))
    return integer_table("SELECT", statement.label, results)
