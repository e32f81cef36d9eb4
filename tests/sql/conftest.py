"""A catalog in memory, made of CREATE TABLE statements, and bound statements as text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from zerodb_compiler.catalog import ColumnInfo, TableInfo
from zerodb_compiler.errors import Error
from zerodb_compiler.layout import TableLayout, TableStatistics
from zerodb_compiler.plan.format import format_logical
from zerodb_compiler.sql import ddl
from zerodb_compiler.sql import statements as st
from zerodb_compiler.sql.analyze import analyze
from zerodb_compiler.sql.computed import Computed
from zerodb_compiler.sql.definitions.tables import define_table
from zerodb_compiler.sql.expressions import Parameter
from zerodb_compiler.sql.external import ExternalFunction
from zerodb_compiler.sql.shape import BoundShape
from zerodb_compiler.types import BIGINT, DOUBLE, INTEGER, TEXT, UNCONSTRAINED_NUMERIC, SqlType, array, numeric


class MemoryCatalog:
    """Tables by name; `run` executes CREATE TABLE statements."""

    def __init__(self) -> None:
        self.tables: dict[str, TableInfo] = {}
        self.external: list[ExternalFunction] = []

    def table(self, name: str, schema: str | None = None) -> TableInfo | None:
        if schema not in (None, "public", "main"):
            return None
        return self.tables.get(name)

    def named_type(self, name: str, schema: str | None = None) -> None:
        return None

    def view(self, name: str, schema: str | None = None) -> None:
        return None

    def table_names(self) -> Sequence[str]:
        return list(self.tables)

    def functions(self, name: str, schema: str | None = None) -> Sequence[ExternalFunction]:
        if schema not in (None, "public"):
            return ()
        return [function for function in self.external if function.name == name]

    def run(self, text: str) -> MemoryCatalog:
        for bound in analyze(text, self):
            created = bound.statement
            assert isinstance(created, st.Define)
            assert isinstance(created.definition, ddl.CreateTable)
            name, table = created.definition.name.name, define_table(created.definition, self)
            self.tables[name] = TableInfo(
                len(self.tables) + 1,
                name,
                table.columns,
                table.primary_key,
                TableLayout(()),
                TableStatistics(0),
            )
        return self


SCHEMA = """
create table t (a integer primary key, b numeric(10,2) default 3, c varchar(5), d date, e timestamp, f double precision,
                g bigint not null, h boolean, i smallint, j real, k char(3), l u32);
create table u (a integer, b numeric(4,1) not null, x text, y hugeint);
create table "Odd" ("Name" text, "select" integer);
create table part_supp (p integer, s integer, q integer not null, primary key (p, s));
"""


@pytest.fixture(scope="session")
def catalog() -> MemoryCatalog:
    made = MemoryCatalog().run(SCHEMA)
    made.external = _external()
    return made


def _external() -> list[ExternalFunction]:
    """twice is immutable, all others are volatile."""
    declared: list[tuple[str, list[SqlType], SqlType]] = [
        ("twice", [BIGINT], BIGINT),
        ("once", [BIGINT], BIGINT),
        ("kind", [BIGINT], TEXT),
        ("kind", [DOUBLE], TEXT),
        ("kind", [TEXT], TEXT),
        ("pair", [BIGINT, INTEGER], INTEGER),
        ("pair", [INTEGER, BIGINT], INTEGER),
        ("amounts", [UNCONSTRAINED_NUMERIC], numeric(10, 2)),
        ("listed", [array(BIGINT)], array(BIGINT)),
        ("upper", [BIGINT], TEXT),
    ]
    return [
        ExternalFunction(
            number,
            1,
            "public",
            name,
            "scalar",
            tuple(f"arg{i + 1}" for i in range(len(arguments))),
            tuple(arguments),
            ((name, result),),
            "immutable" if name == "twice" else "volatile",
            True,
        )
        for number, (name, arguments, result) in enumerate(declared, 1)
    ]


@pytest.fixture(scope="session")
def new_catalog() -> type[MemoryCatalog]:
    return MemoryCatalog


@pytest.fixture(scope="session")
def render() -> Callable[[str, MemoryCatalog], str]:
    return _render


def _render(text: str, catalog: MemoryCatalog) -> str:
    """What binding the text gives: the plan and the parameters, or the error with a caret under its place."""
    try:
        return "\n".join(_bound(bound) for bound in analyze(text, catalog)).replace("\0", "~")
    except Error as error:
        lines = [f"{error.sqlstate} {error}"]
        if error.position is not None:
            begin = text.rfind("\n", 0, error.position) + 1
            lines += [text[begin:].split("\n")[0], " " * (error.position - begin) + "^"]
        return "\n".join(lines)


def _value(value: object) -> str:
    if isinstance(value, Computed) and value.function is not None:
        given = ", ".join(
            f"${part.index}" if isinstance(part, Parameter) else repr(getattr(part, "value", part))
            for part in value.arguments
        )
        return f"{value.function.signature} of {given}"
    return repr(value)


def _bound(bound: BoundShape) -> str:
    lines = [_statement(bound.statement)]
    if bound.shape is not None:
        values = bound.values(bound.shape)
        assert values is not None
        lines += [
            f"parameter {p.slot}: {p.type} = {_value(v)} from literal {', '.join(map(str, p.literals))}"
            for p, v in zip(bound.lifted, values, strict=True)
        ]
    lines += [f"parameter {p.slot}: {p.type} given as {p.name!r}" for p in bound.user_parameters]
    return "\n".join(lines)


def _statement(statement: st.Statement) -> str:
    match statement:
        case st.Query(plan=plan, columns=columns, names=names):
            heads = [
                f"{name} {column.type}{'?' if column.nullable else ''} = {column.name}#{column.id}"
                for name, column in zip(names, columns, strict=True)
            ]
            locks = [
                f"lock {item.table.name} {item.row_id.name}#{item.row_id.id} {item.strength.name} {item.wait.name}\n"
                for item in statement.locks
            ]
            return f"query: {', '.join(heads)}\n{''.join(locks)}{format_logical(plan, types=True)}"
        case st.WithChanges(parts=parts, main=main):
            return "\n".join([*(f"first {_statement(part.statement)}" for part in parts), _statement(main)])
        case st.Insert(table=table, source=source):
            return f"insert into {table.name}\n{format_logical(source, types=True)}"
        case st.Update(table=table, source=source, assigned=assigned):
            return f"update {table.name} {assigned}\n{format_logical(source, types=True)}"
        case st.Delete(table=table, source=source):
            return f"delete from {table.name}\n{format_logical(source, types=True)}"
        case st.Explain(statement=inner, analyze=analyze_):
            return f"explain{' analyze' if analyze_ else ''}: {_statement(inner)}"
        case st.Define(definition=ddl.CreateTable() as node):
            table = define_table(node, MemoryCatalog())
            return _created(node.name.name, table.columns, table.primary_key, node.if_not_exists)
        case st.CreateTableAs(definition=node):
            head = _created(node.name.name, statement.columns, (), node.if_not_exists)
            return f"{head}\n{_statement(statement.query)}"
        case st.Define(definition=ddl.Drop() as drop):
            return f"drop {drop.kind} {', '.join(map(str, drop.names))} if_exists {drop.if_exists}"
    return repr(statement)


def _created(name: str, columns: Sequence[ColumnInfo], key: tuple[int, ...], if_not_exists: bool) -> str:
    lines = [
        f"  {c.name} {c.type}{' not null' if c.not_null else ''}{f' default {c.default}' if c.default else ''}"
        for c in columns
    ]
    return "\n".join([f"create table {name} key {key} if_not_exists {if_not_exists}", *lines])
