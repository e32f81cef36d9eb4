"""Running utility statements: settings, prepared statements by name, TRUNCATE, LOCK, DISCARD, COPY."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zerodb.changes.partitioning import leaves
from zerodb.options import SETTINGS
from zerodb.outcome import Outcome, text_table
from zerodb.sessions.transaction_control import set_constraints, set_transaction
from zerodb_compiler.errors import Error, NotSupportedError, ProgrammingError, error_for
from zerodb_compiler.sql import ddl
from zerodb_compiler.sql import statements as st
from zerodb_compiler.sql import utility_statements as us

if TYPE_CHECKING:
    from zerodb.compilation import Ready
    from zerodb.connection import Connection
    from zerodb.view import View
    from zerodb_compiler.types import SqlType
    from zerodb_storage import WriteTransaction

_ISOLATIONS = {"snapshot": "repeatable read"}


@dataclass(slots=True)
class NamedStatement:
    """What PREPARE keeps: the text, the types it declared, and the compiled statement while it fits."""

    text: str
    types: tuple[SqlType, ...]
    ready: Ready


def run_utility(connection: Connection, statement: us.UtilityStatement | st.SetOption | st.ShowOption) -> Outcome:
    match statement:
        case st.SetOption(name=name, value=value, local=local):
            set_setting(connection, name, value, local=local)
            return Outcome("RESET" if name == "all" else "SET")
        case st.ShowOption(name=name):
            return _show(connection, name)
        case us.SetTransaction():
            return set_transaction(connection, statement)
        case us.SetConstraints():
            return set_constraints(connection, statement)
        case us.Truncate():
            return _truncate(connection, statement)
        case us.LockTable():
            from zerodb.sessions.table_locks import lock_tables

            return lock_tables(connection, statement)
        case us.PrepareStatement():
            return _prepare(connection, statement)
        case us.ExecuteStatement():
            return _execute(connection, statement)
        case us.Deallocate(name=name):
            return _deallocate(connection, name)
        case us.Discard(what=what):
            return _discard(connection, what)
        case us.Listen() | us.Unlisten() | us.Notify():
            from zerodb.sessions.notifications import run_listening

            return run_listening(connection, statement)
        case us.Do() | us.Call():
            from zerodb.functions.procedures import run_procedure

            return run_procedure(connection, statement)
        case us.Copy():
            from zerodb.copying.statements import run_copy

            return run_copy(connection, statement)


# --- settings ---------------------------------------------------------------------------------------------------------


def set_setting(connection: Connection, name: str, value: str | None, *, local: bool) -> None:
    options, session = connection._options, connection._session
    match name:
        case "all":
            if value is not None:
                raise error_for("42704", 'unrecognized configuration parameter "all"')
            options.reset_all()
        case "transaction_isolation":
            session.set_transaction(isolation=value or "repeatable read")
        case "transaction_read_only":
            session.set_transaction(read_only=SETTINGS[name].check(name, value or "off") == "on")
        case "transaction_deferrable":
            session.set_transaction(deferrable=SETTINGS[name].check(name, value or "off") == "on")
        case _:
            options.set(name, value, local=local)


def setting(connection: Connection, name: str) -> str:
    """The value that SHOW gives. 42704 for an unknown name."""
    engine = connection._database.engine
    options = connection._options
    match name.lower():
        case "transaction_isolation":
            isolation = connection._session.isolation
            return _ISOLATIONS.get(isolation, isolation)
        case "transaction_read_only":
            return "on" if connection._session.is_read_only else "off"
        case "transaction_deferrable":
            return "on" if connection._session.is_deferrable else "off"
        case "threads":
            return str(options.threads or engine.threads)
        case "memory_limit":
            return str(engine.memory.limit)
        case "server_version":
            import zerodb

            return zerodb.__version__
        case known:
            return options.get(known)


def _show(connection: Connection, name: str) -> Outcome:
    if name == "all":
        rows = [(known.name, setting(connection, key), known.description) for key, known in sorted(SETTINGS.items())]
        return text_table("SHOW", ["name", "setting", "description"], rows)
    value = setting(connection, name)
    known = SETTINGS.get(name)
    return text_table("SHOW", [known.name if known is not None else name], [[value]])


# --- tables -----------------------------------------------------------------------------------------------------------


def table_key(view: View, name: us.TableName) -> str:
    """The key of the stored table that the name means. 42P01, or 0A000 for a registered one."""
    key = view.resolve(name.name, name.schema)
    if key is None:
        full = name.name if name.schema is None else f"{name.schema}.{name.name}"
        raise ProgrammingError(f'relation "{full}" does not exist', sqlstate="42P01", position=name.position)
    if view.tables[key].id < 0:
        raise NotSupportedError(f'"{name.name}" is a registered table: it cannot be changed', position=name.position)
    return key


def _truncate(connection: Connection, statement: us.Truncate) -> Outcome:
    with connection._session.writing() as write:
        view = connection._view()
        keys = {table_key(view, name): None for name in statement.tables}
        _check_references(write, keys, cascade=statement.cascade)
        for key in list(keys):
            keys |= {part.key: None for part in leaves(write, write.table(key).id)}
        for key in keys:
            if statement.restart_identity:
                _restart_sequences(connection, write, key)
            write.truncate(key)
    return Outcome("TRUNCATE TABLE")


def _check_references(write: WriteTransaction, keys: dict[str, None], *, cascade: bool) -> None:
    """0A000 if a table that stays refers to one that is emptied; CASCADE empties it as well (it joins `keys`)."""
    more = True
    while more:
        more = False
        emptied = {write.table(key).id: write.table(key).name for key in keys}
        for key, version in write.tables.items():
            if key in keys:
                continue
            named = next((emptied[f.table] for f in version.constraints.foreign_keys if f.table in emptied), None)
            if named is None:
                continue
            if not cascade:
                raise NotSupportedError(
                    "cannot truncate a table referenced in a foreign key constraint",
                    hint=f'Table "{version.name}" references "{named}". Truncate table "{version.name}" at the same '
                    "time, or use TRUNCATE ... CASCADE.",
                )
            keys[key] = None
            more = True


def _restart_sequences(connection: Connection, write: WriteTransaction, key: str) -> None:
    """Those that columns of the table own. At once, and not undone by a rollback, as ALTER SEQUENCE ... RESTART."""
    from zerodb.definition import sequences

    table_id = write.table(key).id
    for kind, schema, name in list(write.catalog):
        if kind == sequences.KIND and (write.catalog[kind, schema, name].get("owner") or [None])[0] == table_id:
            sequences.change(connection, write, (schema, name), ddl.SequenceOptions(restart=True))


def _discard(connection: Connection, what: str) -> Outcome:
    if what == "all":
        if connection._session.in_transaction:
            raise error_for("25001", "DISCARD ALL cannot run inside a transaction block")
        connection._named.clear()
        connection._options.reset_all()
        connection._session.advisory.unlock_all()
    elif what == "plans":
        for named in connection._named.values():
            named.ready = connection._database.prepare(named.text, connection._view(), named.types)
    if what in ("all", "temp"):
        _drop_temporary(connection)
    return Outcome(f"DISCARD {what.upper()}")


def _drop_temporary(connection: Connection) -> None:
    prefix = f"{connection._session.temporary.schema}\0"
    names = [key for key in connection._view().tables if key.startswith(prefix)]
    if names:
        with connection._session.writing() as write:
            for key in names:
                write.drop_table(key)


# --- prepared statements ----------------------------------------------------------------------------------------------


def _prepare(connection: Connection, statement: us.PrepareStatement) -> Outcome:
    if statement.name in connection._named:
        raise error_for("42P05", f'prepared statement "{statement.name}" already exists')
    text = " " * statement.start + statement.text  # places in errors are places in the whole text
    types = tuple(_type_named(name) for name in statement.types)
    ready = connection._database.prepare(text, connection._view(), types)
    connection._named[statement.name] = NamedStatement(text, types, ready)
    return Outcome("PREPARE")


def _type_named(name: str) -> SqlType:
    from sqlglot import exp

    from zerodb_compiler.sql.binder_types import sql_type
    from zerodb_compiler.sql.parse import parse_expression

    cast = parse_expression(f"null::{name}")
    if not isinstance(cast, exp.Cast):
        raise ProgrammingError(f'type "{name}" does not exist', sqlstate="42704")
    return sql_type(cast.args["to"], cast)


def _execute(connection: Connection, statement: us.ExecuteStatement) -> Outcome:
    named = connection._named.get(statement.name)
    if named is None:
        raise ProgrammingError(f'prepared statement "{statement.name}" does not exist', sqlstate="26000")
    view = connection._view()
    if not named.ready.prepared.fits(view):
        named.ready = connection._database.prepare(named.text, view, named.types)
    declared = named.ready.prepared.user
    if len(declared) != len(statement.arguments):
        raise ProgrammingError(
            f'wrong number of parameters for prepared statement "{statement.name}"',
            hint=f"expected {len(declared)} parameters but got {len(statement.arguments)}",
        )
    values: Sequence[Any] = ()
    if declared:
        values = _argument_values(connection, [p.type for p in declared], statement.arguments)
    try:
        return connection._run_ready(named.ready, view, list(values))
    except Error as error:
        error.position = None  # a place in the text that was prepared
        raise


def _argument_values(
    connection: Connection, types: Sequence[SqlType], arguments: Sequence[tuple[str, int]]
) -> Sequence[Any]:
    """The values of the arguments, each cast to its parameter's type."""
    simple = [_simple(text, type_) for (text, _), type_ in zip(arguments, types, strict=True)]
    if all(found for found, _ in simple):
        return [value for _, value in simple]
    items = [f"cast(({text}) as {type_})" for (text, _), type_ in zip(arguments, types, strict=True)]
    view = connection._view()
    ready = connection._database.prepare("select " + ", ".join(items), view)
    outcome = connection._run_ready(ready, view, None)
    assert outcome.batches is not None
    return outcome.batches.rows(0)[0]


def _simple(text: str, type_: SqlType) -> tuple[bool, str | None]:
    """(True, value) for literals that mean the same as text of the parameter's type: no query needs to run."""
    if text.lower() == "null":
        return True, None
    body = text[1:-1].replace("''", "")
    if len(text) > 1 and text[0] == text[-1] == "'" and "'" not in body and not type_.padded and type_.length is None:
        return True, text[1:-1].replace("''", "'")
    if text.removeprefix("-").isdigit() and type_.is_number:
        return True, text
    return False, None


def _deallocate(connection: Connection, name: str | None) -> Outcome:
    if name is None:
        connection._named.clear()
        return Outcome("DEALLOCATE ALL")
    if connection._named.pop(name, None) is None:
        raise ProgrammingError(f'prepared statement "{name}" does not exist', sqlstate="26000")
    return Outcome("DEALLOCATE")
