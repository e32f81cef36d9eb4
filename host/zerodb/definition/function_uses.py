"""What uses a function: views, whose objects name it among their "depends", triggers, and the expressions of tables
(defaults, generated columns, CHECK, indexes, partition keys), which are text.

A text uses the function that its call means, which is decided as when it runs: by binding it. Only texts that name the
function are bound.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from zerodb.definition import alter_columns, alter_constraints, dependencies, indexes, triggers
from zerodb.definition.names import view_of
from zerodb.view import table_info
from zerodb_compiler.catalog import Catalog, TableInfo
from zerodb_compiler.constraints import Index
from zerodb_compiler.errors import Error, error_for
from zerodb_compiler.sql import ddl
from zerodb_compiler.sql.definitions.expressions import table_expressions
from zerodb_compiler.sql.external import ExternalFunction
from zerodb_compiler.sql.parse import parse_expression
from zerodb_compiler.types import SqlType
from zerodb_storage import WriteTransaction

if TYPE_CHECKING:
    from zerodb.connection import Connection

_INTERNAL = ("default", "generated", "check", "index", "partition key", "trigger")


@dataclass(frozen=True, slots=True)
class Use:
    """`kind`: one of `_INTERNAL`, whose `table` is the table's key and `name` the column's, constraint's or index's, or
    the kind of a catalog object in the schema `table`."""

    kind: str
    table: str
    name: str

    def __str__(self) -> str:
        table = self.table.rpartition("\0")[2]
        match self.kind:
            case "default":
                return f"default value for column {self.name} of table {table}"
            case "generated":
                return f"column {self.name} of table {table}"
            case "check":
                return f"constraint {self.name} on table {table}"
            case "trigger":
                return f"trigger {self.name} on table {table}"
            case "partition key":
                return f"table {table}"
        return f"{self.kind} {self.name}"


def functions_in(part: object) -> set[int]:
    """The ids of the stored functions that a bound expression, plan or statement calls. Calls that are computed once
    are not in it, but among the `samples` of its parameters."""
    found: set[int] = set()
    _collect(part, found, set())
    return found


def _collect(part: object, found: set[int], seen: set[int]) -> None:
    match part:
        case ExternalFunction():
            if part.id > 0:
                found.add(part.id)
        case tuple() | list() | frozenset() | set():
            for item in part:
                _collect(item, found, seen)
        case Mapping():
            for item in part.values():
                _collect(item, found, seen)
        case _ if dataclasses.is_dataclass(part) and not isinstance(part, (TableInfo, SqlType)):
            if id(part) in seen:
                return
            seen.add(id(part))
            for field in dataclasses.fields(part):
                _collect(getattr(part, field.name), found, seen)


def uses(connection: Connection, write: WriteTransaction, data: dict[str, Any]) -> Iterator[Use]:
    """Everything that uses the function with this data, as it is when it is asked for."""
    for kind, schema, name in list(dependencies.dependent_views(write, data["id"], None)):
        if (kind, schema, name) in write.catalog:
            yield Use(kind, schema, name)
    for version, trigger in triggers.depending(write, data["id"]):
        yield Use("trigger", version.key, trigger.name)
    view = view_of(connection, write)
    for key in list(write.tables):
        if key not in write.tables:  # dropped since
            continue
        info = table_info(write.tables[key])
        for kind, name, texts in _expressions(info):
            named = [text for text in texts if data["name"].lower() in text.lower()]
            if any(data["id"] in _bound(view, info, text) for text in named):
                yield Use(kind, key, name)


def _expressions(table: TableInfo) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(kind of use, name, texts) of the expressions that a table has."""
    held = table.constraints
    for column in table.columns:
        if column.default is not None:
            yield "default", column.name, (column.default,)
        if column.generated is not None:
            yield "generated", column.name, (column.generated,)
    for check in held.checks:
        yield "check", check.name, (check.expression,)
    for index in held.indexes:
        yield "index", index.name, _index_texts(index)
    if held.partitioning is not None:
        texts = tuple(key.expression for key in held.partitioning.keys if key.expression is not None)
        yield "partition key", table.name, texts


def _index_texts(index: Index) -> tuple[str, ...]:
    texts = tuple(key.expression for key in index.keys if key.expression is not None)
    return texts if index.predicate is None else (*texts, index.predicate)


def _bound(catalog: Catalog, table: TableInfo, text: str) -> set[int]:
    """The functions that an expression over the table's columns calls."""
    try:
        binder = table_expressions(table.name, table.columns, catalog, "CHECK")
        bound = binder.bound(parse_expression(text))
        return functions_in((bound, binder.binder.context.samples))
    except Error:  # it names what is gone: its table cannot be used either, and says why when it is
        return set()


def drop_use(connection: Connection, write: WriteTransaction, use: Use) -> None:
    """CASCADE: what uses the function goes, a default only from its column."""
    if use.kind not in _INTERNAL:
        if (use.kind, use.table, use.name) in write.catalog:
            dependencies.drop_views(write, [(use.kind, use.table, use.name)], cascade=True)
        return
    version = write.tables.get(use.table)
    if version is None:
        return
    match use.kind:
        case "default":
            columns = [replace(c, default=None) if c.name == use.name else c for c in version.columns]
            write.change_schema(version.key, replace(version.schema, columns=tuple(columns)))
        case "generated":
            if any(column.name == use.name for column in version.columns):
                alter_columns.drop(connection, write, version, ddl.Action("drop column", use.name, cascade=True))
        case "check":
            alter_constraints.drop_named(write, version, use.name, cascade=True)
        case "index":
            index = next((found for found in version.constraints.indexes if found.name == use.name), None)
            if index is not None:
                indexes.remove(write, version, index)
        case "trigger":
            triggers.drop(
                connection,
                write,
                ddl.DropTrigger(ddl.Name(use.name), ddl.Name(version.name, version.schema.schema), True),
            )
        case _:
            raise error_for("0A000", f"dropping {use} with a function of its partition key is not supported")
