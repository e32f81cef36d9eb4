"""Type names of SQL to SqlType."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from sqlglot import exp

from zerodb_compiler.errors import ProgrammingError
from zerodb_compiler.sql.nodes import fold, only, position_of, unsupported
from zerodb_compiler.sql.values import INTERVAL_FIELDS
from zerodb_compiler.types import (
    BIGINT,
    BOOLEAN,
    BYTEA,
    DATE,
    DOUBLE,
    HUGEINT,
    INTEGER,
    INTERVAL,
    JSON,
    JSONB,
    MAX_PRECISION,
    REAL,
    SMALLINT,
    TEXT,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    U8,
    U16,
    U32,
    U64,
    UNCONSTRAINED_NUMERIC,
    UUID,
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
    _D.NAME: TEXT,
    _D.DATE: DATE,
    _D.TIMESTAMP: TIMESTAMP,
    _D.TIMESTAMPNTZ: TIMESTAMP,
    _D.TIMESTAMPTZ: TIMESTAMPTZ,
    _D.TIME: TIME,
    _D.INTERVAL: INTERVAL,
    _D.UUID: UUID,
    _D.VARBINARY: BYTEA,
    _D.JSON: JSON,
    _D.JSONB: JSONB,
}
_MOMENTS = {_D.TIMESTAMP: TIMESTAMP, _D.TIMESTAMPNTZ: TIMESTAMP, _D.TIMESTAMPTZ: TIMESTAMPTZ, _D.TIME: TIME}
# PostgreSQL's types that sqlglot knows no class for; those that are None exist there and not here.
_BY_NAME: dict[str, SqlType | None] = {
    "oid": U32,
    "char": TEXT,
    "name": TEXT,
    "xid": U32,
    "cid": U32,
    "bytea": BYTEA,
    "unknown": TEXT,
    **dict.fromkeys(
        (
            *("varbit", "bit", "cidr", "inet", "macaddr", "macaddr8", "box", "circle", "line", "lseg", "path", "point"),
            *("polygon", "tsvector", "tsquery", "money", "xml", "pg_lsn", "txid_snapshot", "pg_snapshot", "timetz"),
            *("int4multirange", "int8multirange", "nummultirange", "datemultirange", "tsmultirange", "tstzmultirange"),
            *("regproc", "regoper", "regnamespace", "regrole", "regconfig", "regdictionary", "regprocedure", "tid"),
            *("regclass", "regtype", "jsonpath", "refcursor", "cstring"),
        )
    ),
}
# Types of identifiers, whose values are numbers (binder_catalog.py).
REGISTERED = ("regclass", "regtype", "regproc", "regprocedure", "regnamespace", "regrole")
# An interval's fields and digits, as dialect.py writes them.
_INTERVAL_NAME = re.compile(r"interval((?:_[a-z]+)*)(?:_(\d+))?\Z")
MAX_LENGTH = 10_485_760
RANGES: dict[exp.DType, SqlType] = {
    kind: SqlType(TypeId.RANGE, element=element, name=name)
    for kind, name, element in (
        (_D.INT4RANGE, "int4range", INTEGER),
        (_D.INT8RANGE, "int8range", BIGINT),
        (_D.NUMRANGE, "numrange", UNCONSTRAINED_NUMERIC),
        (_D.DATERANGE, "daterange", DATE),
        (_D.TSRANGE, "tsrange", TIMESTAMP),
        (_D.TSTZRANGE, "tstzrange", TIMESTAMPTZ),
    )
}
_PLAIN.update(RANGES)

# Finds a type that the database defines, by schema (None: the search path) and name.
NamedTypes = Callable[[str, str | None], SqlType | None]


def sql_type(node: exp.DataType, place: exp.Expr | None = None, named: NamedTypes | None = None) -> SqlType:
    """The type a DataType node names; `place` is where errors point if the node has no place of its own.

    NotSupportedError for types zerodb does not have, ProgrammingError 42704 for unknown ones.
    """
    if isinstance(node, exp.ObjectIdentifier):
        return _user_type(str(node.this).lower(), None, node, place, named)
    only(node, "this", "expressions", "nested", "kind", "values")
    kind = node.this
    if kind is _D.ARRAY and node.args.get("nested") and len(node.expressions) == 1:
        element = node.expressions[0]
        if isinstance(element, exp.DataType):
            return array(sql_type(element, place, named))
    modifiers = [_modifier(item) for item in node.expressions] if not node.args.get("nested") else []
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
        case _ if kind in _MOMENTS and len(modifiers) == 1:
            return replace(_MOMENTS[kind], precision=_fraction(modifiers[0]))
        case _D.USERDEFINED:
            schema, name = _qualified(node.args["kind"])
            return _user_type(name, schema, node, place, named)
    raise unsupported(f"type {str(node.sql(dialect='postgres')).lower()}", node, place)


def _qualified(kind: object) -> tuple[str | None, str]:
    """Schema and name of a user-defined type."""
    if isinstance(kind, exp.Identifier):
        return None, fold(kind)
    if isinstance(kind, exp.Dot) and isinstance(kind.this, exp.Identifier):
        return fold(kind.this), fold(kind.expression)
    if isinstance(kind, (exp.Column, exp.Table)):
        qualifier = kind.args.get("table") or kind.args.get("db")
        return (fold(qualifier) if qualifier is not None else None), fold(kind.this)
    return None, str(kind)


def _user_type(
    name: str, schema: str | None, node: exp.Expr, place: exp.Expr | None, named: NamedTypes | None
) -> SqlType:
    interval = _INTERVAL_NAME.match(name)
    if interval is not None and schema is None:
        fields = tuple(interval[1].replace("_to_", "_").split("_")[1:])
        if fields in INTERVAL_FIELDS:
            precision = 0 if interval[2] is None else _fraction(int(interval[2]))
            return replace(INTERVAL, precision=precision, scale=INTERVAL_FIELDS.index(fields))
    found = named(name, schema) if named is not None else None
    if found is not None:
        return found
    if schema in (None, "pg_catalog") and name in _BY_NAME:
        known = _BY_NAME[name]
        if known is None:
            raise unsupported(f"type {name}", node, place)
        return known
    shown = name if schema is None else f"{schema}.{name}"
    position = position_of(node)
    if position is None and place is not None:
        position = position_of(place)
    raise ProgrammingError(f'type "{shown}" does not exist', sqlstate="42704", position=position)


def _fraction(digits: int) -> int:
    """The `precision` of a type with so many fractional digits: PostgreSQL takes more than six for six."""
    return 0 if digits >= 6 else digits + 1


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


def registered_kind(node: exp.Expr) -> str | None:
    """regclass, ... if a type node names one of these."""
    if isinstance(node, exp.ObjectIdentifier):
        name = str(node.this).lower()
    elif isinstance(node, exp.DataType) and node.this == exp.DType.USERDEFINED:
        kind = node.args["kind"]
        name = fold(kind) if isinstance(kind, exp.Identifier) else str(kind).lower().removeprefix("pg_catalog.")
    else:
        return None
    return name if name in REGISTERED else None
