"""Type names of SQL to SqlType."""

from __future__ import annotations

from sqlglot import exp

from zerodb_compiler.errors import ProgrammingError
from zerodb_compiler.sql.nodes import only, position_of, unsupported
from zerodb_compiler.types import (
    BIGINT,
    BOOLEAN,
    DATE,
    DOUBLE,
    HUGEINT,
    INTEGER,
    MAX_PRECISION,
    REAL,
    SMALLINT,
    TEXT,
    TIMESTAMP,
    U8,
    U16,
    U32,
    U64,
    SqlType,
    TypeId,
    array,
    numeric,
)

_D = exp.DType
_PLAIN: dict[exp.DType, SqlType] = {
    _D.BOOLEAN: BOOLEAN,
    _D.SMALLINT: SMALLINT,
    _D.INT: INTEGER,
    _D.BIGINT: BIGINT,
    _D.INT128: HUGEINT,
    _D.UTINYINT: U8,
    _D.USMALLINT: U16,
    _D.UINT: U32,
    _D.UBIGINT: U64,
    _D.FLOAT: REAL,
    _D.DOUBLE: DOUBLE,
    _D.TEXT: TEXT,
    _D.DATE: DATE,
    _D.TIMESTAMP: TIMESTAMP,
    _D.TIMESTAMPNTZ: TIMESTAMP,
}
# numeric without precision: PostgreSQL's is unbounded; ours keeps a fixed point in the middle.
UNCONSTRAINED_NUMERIC = numeric(MAX_PRECISION, 10)
MAX_LENGTH = 10_485_760


def sql_type(node: exp.DataType, place: exp.Expr | None = None) -> SqlType:
    """The type a DataType node names; `place` is where errors point if the node has no place of its own.

    NotSupportedError for types zerodb does not have, ProgrammingError 42704 for unknown ones.
    """
    only(node, "this", "expressions", "nested", "kind")
    modifiers = [_modifier(item) for item in node.expressions] if not node.args.get("nested") else []
    kind = node.this
    plain = _PLAIN.get(kind)
    if plain is not None and not modifiers:
        return plain
    match kind:
        case _D.DECIMAL:
            return _numeric(modifiers, node)
        case _D.VARCHAR | _D.CHAR | _D.BPCHAR:
            return _text(kind, modifiers, node)
        case _D.FLOAT | _D.DOUBLE if len(modifiers) == 1:
            return REAL if modifiers[0] <= 24 else DOUBLE
        case _D.ARRAY if len(node.expressions) == 1:
            return array(sql_type(node.expressions[0], place))
        case _D.USERDEFINED:
            name = str(node.args["kind"].name if hasattr(node.args["kind"], "name") else node.args["kind"])
            raise ProgrammingError(f'type "{name}" does not exist', sqlstate="42704", position=position_of(node))
    raise unsupported(f"type {str(node.sql(dialect='postgres')).lower()}", node, place)


def _modifier(item: exp.Expr) -> int:
    literal = item.this if isinstance(item, exp.DataTypeParam) else item
    if not isinstance(literal, exp.Literal) or literal.args["is_string"] or not str(literal.this).isdigit():
        raise ProgrammingError("type modifiers must be whole numbers", position=position_of(item))
    return int(str(literal.this)[:10])


def _numeric(modifiers: list[int], node: exp.DataType) -> SqlType:
    if not modifiers:
        return UNCONSTRAINED_NUMERIC
    precision, scale = modifiers[0], modifiers[1] if len(modifiers) > 1 else 0
    if len(modifiers) > 2 or not 1 <= precision <= MAX_PRECISION:
        raise ProgrammingError(
            f"NUMERIC precision {precision} must be between 1 and {MAX_PRECISION}",
            sqlstate="22023",
            position=position_of(node),
        )
    if scale > precision:
        raise ProgrammingError(
            f"NUMERIC scale {scale} must be between 0 and precision {precision}",
            sqlstate="22023",
            position=position_of(node),
        )
    return numeric(precision, scale)


def _text(kind: exp.DType, modifiers: list[int], node: exp.DataType) -> SqlType:
    padded = kind is not _D.VARCHAR
    if not modifiers:
        return SqlType(TypeId.TEXT, length=1, padded=True) if kind is _D.CHAR else TEXT
    if len(modifiers) > 1 or not 1 <= modifiers[0] <= MAX_LENGTH:
        raise ProgrammingError(
            f"length for type {'char' if padded else 'varchar'} must be between 1 and {MAX_LENGTH}",
            sqlstate="22023",
            position=position_of(node),
        )
    return SqlType(TypeId.TEXT, length=modifiers[0], padded=padded)
