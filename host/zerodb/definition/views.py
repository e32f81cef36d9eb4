"""Views and materialized views: CREATE, ALTER, DROP, REFRESH.

A view is a catalog object of kind "view", whose data the binder needs (compiler: binder_views.py):

    id, query (text), columns [[name, type]], tables [[name, schema, id, [[slot, name]]]], path, depends [[id, slot]]

A materialized view is a table of the same name and an object of kind "materialized view", with the same data; `id` is
the table's. REFRESH empties the table and runs the query.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from zerodb.changes.applying import RowChange, apply
from zerodb.definition import dependencies
from zerodb.definition.function_uses import functions_in
from zerodb.definition.names import (
    check_free,
    find_object,
    find_table,
    new_schema,
    no_relation,
    taken_names,
    view_of,
)
from zerodb.outcome import Outcome
from zerodb.queries import canonical_parameters, query_rows
from zerodb.row_expressions import quoted
from zerodb.sequence_values import resolved
from zerodb.view import REFRESHED, View, table_info, view_info
from zerodb_compiler.catalog import ColumnInfo, ViewInfo
from zerodb_compiler.constraints import NO_CONSTRAINTS
from zerodb_compiler.errors import DatabaseError, NotSupportedError, error_for
from zerodb_compiler.sql import ddl
from zerodb_compiler.sql import statements as st
from zerodb_compiler.sql.binder import Binder
from zerodb_compiler.sql.binder_views import names_in, used_columns
from zerodb_compiler.sql.definitions.draft import TableDefinition
from zerodb_compiler.sql.parameters import ParameterContext
from zerodb_compiler.sql.parse import parse
from zerodb_compiler.types import TEXT, SqlType, TypeId
from zerodb_storage import WriteTransaction
from zerodb_storage.catalog import is_temporary, type_from, type_record

if TYPE_CHECKING:
    from zerodb.connection import Connection

VIEW = "view"
MATERIALIZED = "materialized view"
NO_SLOT = -1  # depends on the table, but on none of its columns


def create(connection: Connection, write: WriteTransaction, node: ddl.CreateView) -> Outcome:
    view = view_of(connection, write)
    text, tree = node.query.text, node.query.tree
    if node.recursive:
        columns = ", ".join(quoted(column) for column in node.columns)
        name = quoted(node.name.name)
        text = f"with recursive {name}({columns}) as ({text}) select {columns} from {name}"
        (parsed,) = parse(text)
        assert parsed.tree is not None
        tree = parsed.tree
    binder = Binder(view, ParameterContext(()))
    binder.inlines = False  # what it calls it depends on
    query = binder.query(tree, None)
    names = _column_names(node, query.names)
    types = [TEXT if column.type.id is TypeId.NULL else column.type for column in query.columns]
    temporary = node.temporary
    for table in binder.tables_by_name.values():
        if table.key in connection._registered:
            raise NotSupportedError(f'a view of the registered table "{table.name}" is not supported')
        temporary = temporary or is_temporary(table.schema)
    temporary = temporary or any(is_temporary(found.schema) for found in binder.views_by_name.values())
    kind = MATERIALIZED if node.materialized else VIEW
    if node.materialized and binder.locking.parts:
        raise NotSupportedError("FOR UPDATE or FOR SHARE in a materialized view is not supported")
    if node.materialized and temporary:
        raise error_for("0A000", "materialized views must not use temporary tables or views")
    schema = new_schema(connection, write, node.name, temporary=temporary)
    tag = f"CREATE {kind.upper()}"
    if node.if_not_exists and node.name.name in taken_names(write.snapshot(), schema):
        return Outcome(tag)
    used = used_columns(query)
    for part in binder.locking.parts:  # what FOR UPDATE locks is read there
        assert isinstance(part.statement, st.Query)
        for table_id, slots in used_columns(part.statement).items():
            used.setdefault(table_id, set()).update(slots)
    depends: list[list[int | None]] = [
        [id_, slot] for id_, slots in used.items() if id_ > 0 for slot in sorted(slots) or [NO_SLOT]
    ]
    depends += [[found.id, None] for found in binder.views_by_name.values()]
    called = functions_in((query, [part.statement for part in binder.locking.parts], binder.context.samples))
    depends += [[id_, None] for id_ in sorted(called)]
    data: dict[str, Any] = {
        "id": 0,
        "query": text,
        "columns": [[name, type_record(type_)] for name, type_ in zip(names, types, strict=True)],
        "tables": [[t.name, t.schema, t.id, [list(column) for column in t.columns]] for t in names_in(binder)],
        "path": list(view.path),
        "depends": depends,
    }
    if node.materialized:
        return _create_materialized(connection, write, node, schema, data)
    old = write.snapshot().object(VIEW, schema, node.name.name) if node.replace else None
    if old is None:
        if node.replace and find_in(write, schema, node.name.name):
            raise error_for("42809", f'"{node.name.name}" is not a view', position=node.name.position)
        check_free(write.snapshot(), schema, node.name)
        data["id"] = write.next_id()
    else:
        _check_replacement(old, names, types)
        data["id"] = old["id"]
        if any(found.id == data["id"] for found in binder.inlined.values()):
            raise error_for("42P17", f'infinite recursion detected in rules for relation "{node.name.name}"')
    write.put_object(VIEW, schema, node.name.name, data)
    return Outcome(tag)


def find_in(write: WriteTransaction, schema: str, name: str) -> bool:
    return name in taken_names(write.snapshot(), schema)


def _column_names(node: ddl.CreateView, names: tuple[str, ...]) -> list[str]:
    if len(node.columns) > len(names):
        what = "CREATE VIEW specifies more column names than columns"
        if node.materialized:
            what = "too many column names were specified"
        raise error_for("42601", what, position=node.name.position)
    found = [*node.columns, *names[len(node.columns) :]]
    for number, name in enumerate(found):
        if name in found[:number]:
            raise error_for("42701", f'column "{name}" specified more than once', position=node.query.position)
    return found


def _check_replacement(old: dict[str, Any], names: list[str], types: list[SqlType]) -> None:
    """CREATE OR REPLACE VIEW keeps the columns there are; others may follow."""
    known = [(name, type_from(record)) for name, record in old["columns"]]
    if len(names) < len(known):
        raise error_for("42P16", "cannot drop columns from view")
    for (name, type_), new_name, new_type in zip(known, names, types, strict=False):
        if name != new_name:
            message = f'cannot change name of view column "{name}" to "{new_name}"'
            hint = "Use ALTER VIEW ... RENAME COLUMN ... to change name of view column instead."
            raise error_for("42P16", message, hint=hint)
        if type_ != new_type:
            raise error_for("42P16", f'cannot change data type of view column "{name}" from {type_} to {new_type}')


# --- materialized views -----------------------------------------------------------------------------------------------


def _create_materialized(
    connection: Connection, write: WriteTransaction, node: ddl.CreateView, schema: str, data: dict[str, Any]
) -> Outcome:
    from zerodb.definition.tables import make

    check_free(write.snapshot(), schema, node.name)
    name = node.name.name
    columns = tuple(ColumnInfo(column, type_from(record)) for column, record in data["columns"])
    version = make(connection, write, schema, name, TableDefinition(columns, (), NO_CONSTRAINTS))
    version = write.change_schema(version.key, replace(version.schema, options=(("kind", MATERIALIZED),)))
    data = {**data, "id": version.id, "filled": node.with_data}
    write.put_object(MATERIALIZED, schema, name, data)
    if not node.with_data:
        return Outcome("CREATE MATERIALIZED VIEW")
    return Outcome("SELECT", _fill(connection, write, version.key, view_info(schema, name, data)))


def _fill(connection: Connection, write: WriteTransaction, key: str, info: ViewInfo) -> int:
    """Runs the query into the table; the number of rows."""
    base = view_of(connection, write)
    view = View(base.snapshot, base.registered, base.path, refreshed=info, session=connection)
    ready = connection._database.prepare(f'select * from "{REFRESHED}"', view)
    values = resolved(connection, canonical_parameters(ready, ()))
    rows = query_rows(connection, ready.prepared, view, values)
    apply(connection, write, RowChange(table_info(write.table(key)), inserted=rows))
    return int(rows.num_rows)


def refresh(connection: Connection, write: WriteTransaction, node: ddl.RefreshView) -> Outcome:
    found = find_object(connection, write, MATERIALIZED, node.name)
    if found is None:
        if find_table(connection, write, node.name) or find_object(connection, write, VIEW, node.name):
            raise error_for("0A000", f'"{node.name.name}" is not a materialized view', position=node.name.position)
        raise no_relation(connection, write, node.name)
    version = find_table(connection, write, ddl.Name(found[1], found[0]))
    assert version is not None
    data = write.catalog[MATERIALIZED, *found]
    write.truncate(version.key)
    write.put_object(MATERIALIZED, *found, {**data, "filled": node.with_data})
    if node.with_data:
        _fill(connection, write, version.key, view_info(*found, data))
    return Outcome("REFRESH MATERIALIZED VIEW")


# --- drop and alter ---------------------------------------------------------------------------------------------------


def drop(connection: Connection, write: WriteTransaction, node: ddl.Drop) -> Outcome:
    going: list[tuple[str, str, str]] = []
    for name in node.names:
        found = find_object(connection, write, node.kind, name)
        if found is not None:
            going.append((node.kind, *found))
        elif (other := _other_kind(connection, write, name, node.kind)) is not None:
            raise other
        elif not node.if_exists:
            raise error_for("42P01", f'{node.kind} "{name}" does not exist', position=name.position)
    dependencies.drop_views(write, going, cascade=node.cascade)
    return Outcome(f"DROP {node.kind.upper()}")


def _other_kind(connection: Connection, write: WriteTransaction, name: ddl.Name, wanted: str) -> DatabaseError | None:
    kinds = [kind for kind in (VIEW, MATERIALIZED, "sequence") if find_object(connection, write, kind, name)]
    if not kinds and find_table(connection, write, name) is not None:
        kinds = ["table"]
    if not kinds:
        return None
    article = "an" if kinds[0][0] in "ai" else "a"
    hint = f"Use DROP {kinds[0].upper()} to remove {article} {kinds[0]}."
    return error_for("42809", f'"{name.name}" is not a {wanted}', hint=hint, position=name.position)


def is_view(connection: Connection, write: WriteTransaction, name: ddl.Name) -> bool:
    """Whether ALTER TABLE names a view."""
    if any(find_object(connection, write, kind, name) is not None for kind in (MATERIALIZED, VIEW)):
        table = find_table(connection, write, name)
        return table is None or find_object(connection, write, MATERIALIZED, name) is not None
    return False


def alter(connection: Connection, write: WriteTransaction, node: ddl.AlterTable) -> Outcome:
    outcome = Outcome(f"ALTER {node.kind.upper()}")
    kinds = (VIEW, MATERIALIZED) if node.kind == "table" else (node.kind,)
    found = next(((k, *f) for k in kinds if (f := find_object(connection, write, k, node.name)) is not None), None)
    if found is None:
        if other := _other_kind(connection, write, node.name, node.kind):
            other.hint = None
            raise other
        if node.if_exists:
            return outcome
        raise no_relation(connection, write, node.name)
    kind, schema, name = found
    data = write.catalog[found]
    for action in node.actions:
        match action.kind:
            case "nothing":
                continue
            case "rename":
                new = (schema, action.new_name)
            case "set schema":
                new = (new_schema(connection, write, ddl.Name("", action.new_name, action.position)), name)
            case "rename column":
                _rename_column(write, found, action)
                continue
            case _:
                what = f"ALTER action {action.kind.upper()} cannot be performed on relation"
                raise error_for("42809", f'{what} "{name}"', position=action.position)
        if new == (schema, name):
            continue
        check_free(write.snapshot(), new[0], ddl.Name(new[1], None, action.position))
        write.drop_object(*found)
        write.put_object(kind, *new, data)
        if kind == MATERIALIZED:
            table = write.snapshot().table_with_id(data["id"])
            assert table is not None
            write.change_schema(table.key, replace(table.schema, schema=new[0], name=new[1]))
    return outcome


def _rename_column(write: WriteTransaction, key: tuple[str, str, str], action: ddl.Action) -> None:
    data = write.catalog[key]
    names = [name for name, _ in data["columns"]]
    if action.name not in names:
        raise error_for("42703", f'column "{action.name}" does not exist', position=action.position)
    if action.new_name in names:
        message = f'column "{action.new_name}" of relation "{key[2]}" already exists'
        raise error_for("42701", message, position=action.position)
    columns = [[action.new_name if name == action.name else name, record] for name, record in data["columns"]]
    write.put_object(*key, {**data, "columns": columns})
    if key[0] == MATERIALIZED:
        table = write.snapshot().table_with_id(data["id"])
        assert table is not None
        renamed = [replace(c, name=action.new_name) if c.name == action.name else c for c in table.columns]
        write.change_schema(table.key, replace(table.schema, columns=tuple(renamed)))
