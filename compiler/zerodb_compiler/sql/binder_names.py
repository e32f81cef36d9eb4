"""The names PostgreSQL gives to output columns without an alias."""

from __future__ import annotations

from sqlglot import exp

from zerodb_compiler.sql.binder_types import registered_kind, sql_type
from zerodb_compiler.sql.nodes import fold, unmarked
from zerodb_compiler.types import TypeId

_NAMES: dict[type[exp.Expr], str] = {
    exp.StrPosition: "position",
    exp.Case: "case",
    exp.Exists: "exists",
    exp.CurrentDate: "current_date",
    exp.CurrentTimestamp: "current_timestamp",
    exp.Localtime: "localtime",
    exp.Localtimestamp: "localtimestamp",
    exp.AtTimeZone: "timezone",
    exp.Overlaps: "overlaps",
}
_CAST_NAMES = {
    TypeId.SMALLINT: "int2",
    TypeId.INTEGER: "int4",
    TypeId.BIGINT: "int8",
    TypeId.REAL: "float4",
    TypeId.DOUBLE: "float8",
    TypeId.BOOLEAN: "bool",
    TypeId.TIMESTAMPTZ: "timestamptz",
}
UNNAMED = "?column?"


def output_name(node: exp.Expr) -> str:
    """The column's own name, the function's, the type's of a cast constant, else ?column?."""
    match node:
        case exp.Dot():
            return fold(node.expression) if isinstance(node.expression, exp.Identifier) else UNNAMED
        case exp.Column():
            return fold(node.this) if isinstance(node.this, exp.Identifier) else UNNAMED
        case exp.Paren() | exp.Bracket() | exp.Filter() | exp.Window() | exp.IgnoreNulls() | exp.RespectNulls():
            return output_name(node.this)
        case exp.Cast():
            inner = output_name(node.this)
            if inner != UNNAMED:
                return inner
            to = node.args["to"]
            if isinstance(to, exp.DataType) and to.this == exp.DType.USERDEFINED:
                kind = to.args["kind"]
                return "interval" if str(kind.name).startswith("interval") else str(kind.name)
            kind = registered_kind(to)
            if kind is not None:
                return kind
            type_ = sql_type(to)
            if type_.id is TypeId.ARRAY and type_.element is not None:
                type_ = type_.element
            return _CAST_NAMES.get(type_.id, str(type_) if type_.is_blob else type_.id.value)
        case exp.Subquery():
            return output_name(node.this)
        case exp.Select():
            first = node.expressions[0] if node.expressions else node
            return fold(first.args["alias"]) if isinstance(first, exp.Alias) else output_name(first)
        case exp.Anonymous():
            return fold(node.this) if isinstance(node.this, exp.Identifier) else unmarked(str(node.this)).lower()
        case exp.Trim():
            return {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(node.args.get("position") or "", "btrim")
    if type(node) in _NAMES:
        return _NAMES[type(node)]
    if isinstance(node, exp.Func) and not isinstance(node, (exp.Connector, exp.Binary)):
        return type(node).__name__.lower()
    return UNNAMED
