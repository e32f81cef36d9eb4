"""CREATE, ALTER, DROP TRIGGER, and ALTER TABLE ... ENABLE and DISABLE TRIGGER.

A trigger is part of its table's declaration (zerodb_compiler.triggers). A condition (WHEN) is kept as it was written;
`condition` makes of it an expression over a table that has the old row and the new one side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from zerodb.definition.dependencies import in_use
from zerodb.definition.names import find_object, table_named, view_of
from zerodb.functions.trigger_functions import TRIGGER, find_function
from zerodb.outcome import Outcome
from zerodb.row_expressions import quoted
from zerodb_compiler.errors import DatabaseError, NotSupportedError, error_for
from zerodb_compiler.sql import ddl
from zerodb_compiler.sql.dialect import tokenize
from zerodb_compiler.sql.nodes import fold
from zerodb_compiler.triggers import Trigger, triggers_in, with_triggers
from zerodb_storage import TableMode, TableVersion, WriteTransaction

if TYPE_CHECKING:
    from zerodb.connection import Connection

KINDS = ("old", "new")


def create(connection: Connection, write: WriteTransaction, node: ddl.CreateTrigger) -> Outcome:
    version = _table(connection, write, node.table)
    known = triggers_in(version.schema.options)
    before = next((trigger for trigger in known if trigger.name == node.name.name), None)
    if before is not None and not node.replace:
        message = f'trigger "{before.name}" for relation "{version.name}" already exists'
        raise error_for("42710", message, position=node.name.position)
    if node.for_rows and version.constraints.partitioning is not None:
        hint = "create it on the partitions"
        raise error_for("0A000", "FOR EACH ROW on a partitioned table is not supported", hint=hint)
    schema, name, function_id = _function(connection, write, node.function, node.arguments)
    trigger = Trigger(
        id=write.next_id() if before is None else before.id,
        name=node.name.name,
        timing=node.timing,
        events=tuple(event for event in ("insert", "update", "delete") if event in node.events),
        function=(schema, name),
        function_id=function_id,
        columns=tuple(_slot(version, column) for column in node.columns),
        for_rows=node.for_rows,
        when=None if node.when is None else node.when.text,
        enabled=before is None or before.enabled,
        arguments=node.arguments,
    )
    if node.when is not None:
        from zerodb.functions.trigger_events import check_condition

        _check_when(node, node.when)
        check_condition(connection, version, trigger)
    others = [other for other in known if other is not before]
    _put(write, version, [*others, trigger], TableMode.SHARE_ROW_EXCLUSIVE)
    return Outcome("CREATE TRIGGER")


def drop(connection: Connection, write: WriteTransaction, node: ddl.DropTrigger) -> Outcome:
    if node.if_exists and view_of(connection, write).resolve(node.table.name, node.table.schema) is None:
        return Outcome("DROP TRIGGER")
    version = _table(connection, write, node.table)
    known = triggers_in(version.schema.options)
    if all(trigger.name != node.name.name for trigger in known):
        if node.if_exists:
            return Outcome("DROP TRIGGER")
        raise _missing(version, node.name)
    _put(write, version, [trigger for trigger in known if trigger.name != node.name.name])
    return Outcome("DROP TRIGGER")


def alter(connection: Connection, write: WriteTransaction, node: ddl.AlterTrigger) -> Outcome:
    version = _table(connection, write, node.table)
    known = triggers_in(version.schema.options)
    if all(trigger.name != node.name.name for trigger in known):
        raise _missing(version, node.name)
    if any(trigger.name == node.new_name for trigger in known):
        message = f'trigger "{node.new_name}" for relation "{version.name}" already exists'
        raise error_for("42710", message, position=node.name.position)
    renamed = [replace(found, name=node.new_name) if found.name == node.name.name else found for found in known]
    _put(write, version, renamed)
    return Outcome("ALTER TRIGGER")


def enable(connection: Connection, write: WriteTransaction, version: TableVersion, action: ddl.Action) -> None:
    """ENABLE and DISABLE TRIGGER; without a name all of them."""
    known = triggers_in(version.schema.options)
    if action.name and all(trigger.name != action.name for trigger in known):
        raise _missing(version, ddl.Name(action.name, None, action.position))
    enabled = action.kind == "enable trigger"
    changed = [
        replace(found, enabled=enabled) if not action.name or found.name == action.name else found for found in known
    ]
    if changed != list(known):
        _put(write, version, changed, TableMode.SHARE_ROW_EXCLUSIVE)


def _put(
    write: WriteTransaction,
    version: TableVersion,
    triggers: Sequence[Trigger],
    mode: TableMode = TableMode.ACCESS_EXCLUSIVE,
) -> None:
    options = with_triggers(version.schema.options, triggers)
    write.change_schema(version.key, replace(version.schema, options=options), mode)


def _missing(version: TableVersion, name: ddl.Name) -> DatabaseError:
    message = f'trigger "{name.name}" for table "{version.name}" does not exist'
    return error_for("42704", message, position=name.position)


def _table(connection: Connection, write: WriteTransaction, name: ddl.Name) -> TableVersion:
    if find_object(connection, write, "view", name) is not None:
        raise NotSupportedError("triggers of views are not supported", position=name.position)
    view = view_of(connection, write)
    key = view.resolve(name.name, name.schema)
    if key is not None and key not in write.tables:
        raise error_for("42501", f'permission denied: "{name.name}" is no stored table', position=name.position)
    version = table_named(connection, write, name)
    if dict(version.schema.options).get("kind") == "materialized view":
        message = f'relation "{name.name}" cannot have triggers'
        raise error_for("42809", message, position=name.position, hint="it is a materialized view")
    return version


def _slot(version: TableVersion, name: str) -> int:
    for column in version.columns:
        if column.name == name:
            return column.slot
    raise error_for("42703", f'column "{name}" of relation "{version.name}" does not exist')


# --- what is called ---------------------------------------------------------------------------------------------------


def _function(
    connection: Connection, write: WriteTransaction, name: ddl.Name, arguments: Sequence[str]
) -> tuple[str, str, int | None]:
    """Its schema, its name, and its id in the catalog (None of a Python callable)."""
    found = find_function(view_of(connection, write), name.name, name.schema)
    if found is None:
        raise error_for("42883", f"function {name}() does not exist", position=name.position)
    if found.kind != TRIGGER:
        raise error_for("42P17", f"function {name} must return type trigger", position=name.position)
    if arguments and found.id > 0 and found.language != "plpgsql":
        message = f"an argument of a trigger's function in LANGUAGE {found.language} is not supported"
        raise error_for("0A000", message, position=name.position)
    return found.schema, found.name, found.id if found.id > 0 else None


def depending(write: WriteTransaction, function_id: int) -> list[tuple[TableVersion, Trigger]]:
    """The triggers that call a function of the catalog."""
    found = []
    for version in write.tables.values():
        for trigger in triggers_in(version.schema.options):
            if trigger.function_id == function_id:
                found.append((version, trigger))
    return found


def drop_depending(write: WriteTransaction, function_id: int) -> None:
    """DROP FUNCTION ... CASCADE."""
    for version, _ in depending(write, function_id):
        current = write.table(version.key)
        kept = [found for found in triggers_in(current.schema.options) if found.function_id != function_id]
        _put(write, current, kept)


# --- columns that change --------------------------------------------------------------------------------------------


def with_renamed_column(version: TableVersion, old: str, new: str) -> tuple[tuple[str, Any], ...]:
    """The table's options when a column has another name: conditions name it."""
    known = triggers_in(version.schema.options)
    changed = [replace(found, when=None if found.when is None else _renamed(found.when, old, new)) for found in known]
    return with_triggers(version.schema.options, changed)


def drop_with_column(write: WriteTransaction, version: TableVersion, name: str, slot: int, *, cascade: bool) -> None:
    """Triggers that name a column go with it (CASCADE), or keep it (2BP01)."""
    known = triggers_in(version.schema.options)
    naming = [found for found in known if slot in found.columns or (found.when and name in _named(found.when))]
    if not naming:
        return
    if not cascade:
        what = f"column {name} of table {version.name}"
        raise in_use(what, f"trigger {naming[0].name} on table {version.name} depends on {what}")
    _put(write, version, [found for found in known if found not in naming])


def check_type_change(version: TableVersion, name: str) -> None:
    """0A000 where a condition was bound to a column's type."""
    for trigger in triggers_in(version.schema.options):
        if trigger.when is not None and name in _named(trigger.when):
            hint = f'trigger {trigger.name} on table {version.name} depends on column "{name}"'
            raise error_for("0A000", "cannot alter type of a column used in a trigger definition", hint=hint)


def _named(text: str) -> set[str]:
    """The columns that a condition names."""
    return {_folded(column) for _, column in _columns(text)}


def _renamed(text: str, old: str, new: str) -> str:
    pieces: list[str] = []
    end = 0
    for _, token in _columns(text):
        if _folded(token) == old:
            pieces += [text[end : token.start], quoted(new)]
            end = token.end + 1
    return "".join([*pieces, text[end:]])


def _columns(text: str) -> list[tuple[Token, Token]]:
    """The tokens of old and new with a point behind them, each with that of the column."""
    tokens = tokenize(text)[0].tokens
    return [
        (row, column)
        for row, dot, column in zip(tokens, tokens[1:], tokens[2:], strict=False)
        if _folded(row) in KINDS and row.token_type is not TokenType.STRING and dot.text == "."
    ]


def _folded(token: Token) -> str:
    return str(token.text) if token.token_type is TokenType.IDENTIFIER else str(token.text).lower()


# --- WHEN -------------------------------------------------------------------------------------------------------------


def _check_when(node: ddl.CreateTrigger, when: ddl.Sql) -> None:
    position = when.position
    if next(when.tree.find_all(exp.Query, exp.Subquery, exp.Exists), None) is not None:
        raise NotSupportedError("cannot use subquery in trigger WHEN condition", position=position)
    for column in when.tree.find_all(exp.Column):
        table = column.args.get("table")
        kind = "" if table is None else fold(table)
        if not node.for_rows:
            message = "statement trigger's WHEN condition cannot reference column values"
            raise error_for("42P17", message, position=position)
        if kind == "old" and "insert" in node.events:
            message = "INSERT trigger's WHEN condition cannot reference OLD values"
            raise error_for("42P17", message, position=position)
        if kind == "new" and "delete" in node.events:
            message = "DELETE trigger's WHEN condition cannot reference NEW values"
            raise error_for("42P17", message, position=position)


def condition(text: str, columns: Sequence[str]) -> str:
    """The condition over columns "old.a" and "new.a": old.a becomes "old.a", and old.* all of them as a row."""
    pieces: list[str] = []
    end = 0
    for row, token in _columns(text):
        kind, name = _folded(row), _folded(token)
        every = f"row({', '.join(quoted(f'{kind}.{known}') for known in columns)})"
        pieces += [text[end : row.start], every if name == "*" else quoted(f"{kind}.{name}")]
        end = token.end + 1
    return "".join([*pieces, text[end:]])
