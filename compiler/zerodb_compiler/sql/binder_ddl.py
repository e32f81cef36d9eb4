"""CREATE TABLE, CREATE TABLE AS and DROP TABLE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from zerodb_compiler.catalog import ColumnInfo
from zerodb_compiler.errors import ProgrammingError
from zerodb_compiler.sql import statements as st
from zerodb_compiler.sql.binder_dml import assigned
from zerodb_compiler.sql.binder_expressions import ExpressionBinder
from zerodb_compiler.sql.binder_types import sql_type
from zerodb_compiler.sql.nodes import describe, fold, only, position_of, unsupported
from zerodb_compiler.sql.scope import Scope, near

if TYPE_CHECKING:
    from zerodb_compiler.sql.binder import Binder

MAX_COLUMNS = 1_600


def create_table(binder: Binder, node: exp.Create) -> st.CreateTable:
    only(node, "this", "kind", "exists", "expression")
    if node.args["kind"] != "TABLE":
        raise unsupported(f"CREATE {node.args['kind']}", node)
    schema = node.this if isinstance(node.this, exp.Schema) else None
    target = schema.this if schema is not None else node.this
    if not isinstance(target, exp.Table):
        raise unsupported("this CREATE TABLE", node)
    only(target, "this")
    name = fold(target.this)
    if_not_exists = bool(node.args.get("exists"))
    if not if_not_exists and binder.catalog.table(name) is not None:
        raise ProgrammingError(f'relation "{name}" already exists', sqlstate="42P07", position=position_of(target))
    source = node.args.get("expression")
    if source is not None:
        return _create_as(binder, name, schema, source, if_not_exists)
    if schema is None:
        raise ProgrammingError("syntax error: a table needs columns", position=position_of(target))
    only(schema, "this", "expressions")
    columns, primary_key = _columns(binder, schema)
    _check_names([(column.name, position_of(schema)) for column in columns])
    return st.CreateTable(name, tuple(columns), tuple(primary_key), if_not_exists)


def _create_as(
    binder: Binder, name: str, schema: exp.Schema | None, source: exp.Expr, if_not_exists: bool
) -> st.CreateTable:
    query = binder.query(source, None)
    names = list(query.names)
    if schema is not None:
        given = schema.expressions
        if not all(isinstance(item, exp.Identifier) for item in given) or len(given) > len(names):
            raise ProgrammingError("CREATE TABLE AS specifies too many column names", position=position_of(schema))
        names[: len(given)] = [fold(item) for item in given]
    _check_names([(column, position_of(source)) for column in names])
    columns = tuple(
        ColumnInfo(column_name, column.type) for column_name, column in zip(names, query.columns, strict=True)
    )
    return st.CreateTable(name, columns, (), if_not_exists, query)


def _columns(binder: Binder, schema: exp.Schema) -> tuple[list[ColumnInfo], list[int]]:
    columns: list[ColumnInfo] = []
    keys: list[list[str]] = []
    for item in schema.expressions:
        match item:
            case exp.ColumnDef():
                column, is_key = _column(binder, item)
                columns.append(column)
                if is_key:
                    keys.append([column.name])
            case exp.PrimaryKey():
                keys.append(_key_names(item))
            case exp.Constraint():
                for part in item.expressions:
                    if not isinstance(part, exp.PrimaryKey):
                        raise unsupported(_constraint_name(part), item)
                    keys.append(_key_names(part))
            case _:
                raise unsupported(_constraint_name(item), item)
    if len(keys) > 1:
        raise ProgrammingError(
            "multiple primary keys for a table are not allowed", sqlstate="42P16", position=position_of(schema)
        )
    if not columns:
        raise unsupported("a table without columns", schema)
    if len(columns) > MAX_COLUMNS:
        raise ProgrammingError(f"tables can have at most {MAX_COLUMNS} columns", sqlstate="54011")
    names = [column.name for column in columns]
    ordinals: list[int] = []
    for key in keys[0] if keys else ():
        if key not in names:
            raise ProgrammingError(
                f'column "{key}" named in key does not exist',
                sqlstate="42703",
                position=position_of(schema),
                hint=near(key, names),
            )
        if names.index(key) in ordinals:
            raise ProgrammingError(f'column "{key}" appears twice in primary key', sqlstate="42701")
        ordinals.append(names.index(key))
    for i in ordinals:
        columns[i] = ColumnInfo(columns[i].name, columns[i].type, True, columns[i].default)
    return columns, ordinals


def _key_names(node: exp.PrimaryKey) -> list[str]:
    only(node, "expressions", "include")
    _check_include(node)
    return [fold(part.this if isinstance(part, (exp.Column, exp.Ordered)) else part) for part in node.expressions]


def _check_include(node: exp.Expr) -> None:
    include = node.args.get("include")
    if isinstance(include, exp.Expr):
        only(include)


def _column(binder: Binder, node: exp.ColumnDef) -> tuple[ColumnInfo, bool]:
    only(node, "this", "kind", "constraints")
    name = fold(node.this)
    kind = node.args.get("kind")
    if not isinstance(kind, exp.DataType):
        raise ProgrammingError(f'column "{name}" has no type', position=position_of(node))
    type_ = sql_type(kind, node)
    not_null, allow_null, is_key = False, False, False
    default: str | None = None
    for constraint in node.args.get("constraints") or []:
        only(constraint, "kind", "this")
        match constraint.kind:
            case exp.NotNullColumnConstraint():
                allow_null = allow_null or bool(constraint.kind.args.get("allow_null"))
                not_null = not_null or not constraint.kind.args.get("allow_null")
            case exp.PrimaryKeyColumnConstraint():
                only(constraint.kind, "include")
                _check_include(constraint.kind)
                is_key = True
            case exp.DefaultColumnConstraint():
                default = _default(binder, ColumnInfo(name, type_), constraint.kind.this)
            case exp.CollateColumnConstraint() if constraint.kind.this.name in ("C", "POSIX") and type_.is_text:
                pass
            case _:
                raise unsupported(_constraint_name(constraint.kind), constraint, node)
    if allow_null and (not_null or is_key):
        raise ProgrammingError(
            f'conflicting NULL/NOT NULL declarations for column "{name}"', position=position_of(node)
        )
    return ColumnInfo(name, type_, not_null, default), is_key


def _default(binder: Binder, info: ColumnInfo, node: exp.Expr) -> str | None:
    """The DEFAULT as text, after checking that it binds to the column's type."""
    expressions = ExpressionBinder(binder, Scope(common={}), "DEFAULT")
    assigned(expressions, expressions.bound(node), info, node)
    return None if isinstance(node, exp.Null) else node.sql(dialect="postgres")


def _constraint_name(node: exp.Expr) -> str:
    names: dict[type[exp.Expr], str] = {
        exp.UniqueColumnConstraint: "a UNIQUE constraint",
        exp.CheckColumnConstraint: "a CHECK constraint",
        exp.ForeignKey: "a FOREIGN KEY constraint",
        exp.Reference: "a REFERENCES constraint",
        exp.CollateColumnConstraint: "this collation",
        exp.GeneratedAsIdentityColumnConstraint: "an identity column",
        exp.LikeProperty: "CREATE TABLE (LIKE ...)",
    }
    return names.get(type(node)) or describe(node)


def _check_names(names: list[tuple[str, int | None]]) -> None:
    seen: set[str] = set()
    for name, position in names:
        if name in seen:
            raise ProgrammingError(f'column "{name}" specified more than once', sqlstate="42701", position=position)
        seen.add(name)


def drop_table(binder: Binder, node: exp.Drop) -> st.DropTable:
    only(node, "this", "tables", "kind", "exists", "restrict", "cascade")
    if node.args["kind"] != "TABLE":
        raise unsupported(f"DROP {node.args['kind']}", node)
    tables = node.args.get("tables") or [node.this]
    names: list[str] = []
    for table in tables:
        only(table, "this")
        name = fold(table.this)
        if not node.args.get("exists") and binder.catalog.table(name) is None:
            raise ProgrammingError(
                f'table "{name}" does not exist',
                sqlstate="42P01",
                position=position_of(table),
                hint=near(name, binder.catalog.table_names()),
            )
        names.append(name)
    return st.DropTable(tuple(names), bool(node.args.get("exists")))
