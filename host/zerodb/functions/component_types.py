"""Which type of the component model stands for which type of SQL.

    boolean  bool        smallint  s16, s8, u8      integer  s32, u16      bigint  s64, u32
    real  f32            double precision  f64      text  string           bytea  list<u8>
    date  s32            time, timestamp, timestamp with time zone  s64    interval  the record of zerosys:db/types
    numeric, uuid, json, jsonb and all others  string: their text

An argument may also be wider than its type (smallint as s64), a result narrower (bigint from s32): every value fits. Of
the narrow and unsigned ones above not every value does; what does not is an error (22003) when it is met.

A function of batches takes and gives `list<T>`, one of single rows T itself; `option<T>` takes or gives NULLs. The
result may be `result<..., E>`, where E is zerosys:db/udf's function-error or string.
"""

from __future__ import annotations

from dataclasses import dataclass

from zerodb.components.wit_types import (
    INTERVAL,
    ListOf,
    OptionOf,
    Primitive,
    RecordOf,
    ResultOf,
    WitType,
)
from zerodb_compiler import types as sql
from zerodb_compiler.types import SqlType, TypeId

STRING = Primitive("string")
BYTES = ListOf(Primitive("u8"))
FUNCTION_ERROR = RecordOf((("message", STRING), ("sqlstate", OptionOf(STRING)), ("row", OptionOf(Primitive("u32")))))

# By SQL type, the WIT type that is shown first, and others that are as good.
_PLAIN: dict[TypeId, tuple[str, ...]] = {
    TypeId.BOOLEAN: ("bool",),
    TypeId.SMALLINT: ("s16", "s8", "u8"),
    TypeId.INTEGER: ("s32", "u16"),
    TypeId.BIGINT: ("s64", "u32"),
    TypeId.U8: ("u8",),
    TypeId.U16: ("u16",),
    TypeId.U32: ("u32",),
    TypeId.U64: ("u64",),
    TypeId.REAL: ("f32",),
    TypeId.DOUBLE: ("f64",),
    TypeId.DATE: ("s32",),
    TypeId.TIME: ("s64",),
    TypeId.TIMESTAMP: ("s64",),
    TypeId.TIMESTAMPTZ: ("s64",),
}
_WIDER: dict[TypeId, tuple[str, ...]] = {
    TypeId.SMALLINT: ("s32", "s64"),
    TypeId.INTEGER: ("s64",),
    TypeId.U8: ("u16", "u32", "u64", "s16", "s32", "s64"),
    TypeId.U16: ("u32", "u64", "s32", "s64"),
    TypeId.U32: ("u64", "s64"),
    TypeId.REAL: ("f64",),
    TypeId.DATE: ("s64",),
}
_NARROWER: dict[TypeId, tuple[str, ...]] = {
    TypeId.INTEGER: ("s16", "s8", "u8"),
    TypeId.BIGINT: ("s32", "s16", "s8", "u16", "u8"),
    TypeId.U16: ("u8",),
    TypeId.U32: ("u16", "u8"),
    TypeId.U64: ("u32", "u16", "u8"),
    TypeId.DOUBLE: ("f32",),
}
_NATURAL: dict[str, SqlType] = {
    "bool": sql.BOOLEAN,
    "s8": sql.SMALLINT,
    "u8": sql.SMALLINT,
    "s16": sql.SMALLINT,
    "u16": sql.INTEGER,
    "s32": sql.INTEGER,
    "u32": sql.BIGINT,
    "s64": sql.BIGINT,
    "u64": sql.U64,
    "f32": sql.REAL,
    "f64": sql.DOUBLE,
    "string": sql.TEXT,
}


@dataclass(frozen=True, slots=True)
class Slot:
    """An argument or the result of an export: `type` is T, `batch` whether it is in a list, `nullable` in an option."""

    type: WitType
    batch: bool
    nullable: bool

    def __str__(self) -> str:
        inner = f"option<{named(self.type)}>" if self.nullable else named(self.type)
        return f"list<{inner}>" if self.batch else inner

    @property
    def wit(self) -> WitType:
        inner: WitType = OptionOf(self.type) if self.nullable else self.type
        return ListOf(inner) if self.batch else inner


@dataclass(frozen=True, slots=True)
class Shape:
    """How an export is called: all by rows, or all in batches. `error` is the E of result<..., E>."""

    arguments: tuple[tuple[str, Slot], ...]
    result: Slot
    batch: bool
    error: WitType | None = None

    def __str__(self) -> str:
        given = ", ".join(f"{name}: {slot}" for name, slot in self.arguments)
        result = str(self.result)
        if self.error is not None:
            result = f"result<{result}, {'string' if self.error == STRING else 'function-error'}>"
        return f"func({given}) -> {result}"


def named(type_: WitType) -> str:
    """A type as its package writes it."""
    match type_:
        case _ if type_ == INTERVAL:
            return "interval"
        case ListOf(element=element):
            return f"list<{named(element)}>"
        case OptionOf(payload=payload):
            return f"option<{named(payload)}>"
    return str(type_)


def wit_of(type_: SqlType) -> str:
    """The type of the component model that a declaration of this type asks for."""
    if type_.id is TypeId.INTERVAL:
        return "interval"
    if type_.id is TypeId.BYTEA:
        return "list<u8>"
    return _PLAIN.get(type_.id, ("string",))[0]


def fits(type_: SqlType, wit: WitType, *, argument: bool) -> bool:
    """Whether values of the SQL type can go as `wit`, or (a result) come as it."""
    match wit:
        case Primitive(name="string"):
            return type_.id not in _PLAIN and type_.id not in (TypeId.INTERVAL, TypeId.BYTEA)
        case Primitive(name=name):
            others = _WIDER if argument else _NARROWER
            return name in _PLAIN.get(type_.id, ()) or name in others.get(type_.id, ())
    return (wit == BYTES and type_.id is TypeId.BYTEA) or (wit == INTERVAL and type_.id is TypeId.INTERVAL)


def natural(wit: WitType) -> SqlType | None:
    """The SQL type of values of a WIT type, where nobody declares one; None if there is none."""
    if wit == INTERVAL:
        return sql.INTERVAL
    if wit == BYTES:
        return sql.BYTEA
    return _NATURAL.get(wit.name) if isinstance(wit, Primitive) else None


def _slot(wit: WitType, *, batch: bool) -> Slot | None:
    if batch:
        if not isinstance(wit, ListOf):
            return None
        wit = wit.element
    nullable = isinstance(wit, OptionOf)
    inner = wit.payload if isinstance(wit, OptionOf) else wit
    return None if natural(inner) is None else Slot(inner, batch, nullable)


def shapes(parameters: tuple[tuple[str, WitType], ...], result: WitType | None) -> list[Shape]:
    """The ways to call a function with these types, batches first: list<u8> may be a batch of numbers or one bytea."""
    error: WitType | None = None
    if isinstance(result, ResultOf):
        error = result.err
        if error not in (STRING, FUNCTION_ERROR):
            return []
        result = result.ok
    if result is None:
        return []
    found: list[Shape] = []
    for batch in (True, False):
        if batch and not parameters:  # how many rows would it give?
            continue
        slots = [(name, _slot(wit, batch=batch)) for name, wit in parameters]
        given = [(name, slot) for name, slot in slots if slot is not None]
        answer = _slot(result, batch=batch)
        if len(given) == len(slots) and answer is not None:
            found.append(Shape(tuple(given), answer, batch, error))
    return found
