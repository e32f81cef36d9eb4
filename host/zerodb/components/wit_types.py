"""Types of the component model, as plain data: what `marshal.py` makes its readers and writers from.

Those of wit/types.wit are declared here; those of what a guest exports are read from the component itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

PRIMITIVES = ("bool", "s8", "u8", "s16", "u16", "s32", "u32", "s64", "u64", "f32", "f64", "char", "string")


@dataclass(frozen=True, slots=True)
class Primitive:
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class ListOf:
    element: WitType

    def __str__(self) -> str:
        return f"list<{self.element}>"


@dataclass(frozen=True, slots=True)
class OptionOf:
    payload: WitType

    def __str__(self) -> str:
        return f"option<{self.payload}>"


@dataclass(frozen=True, slots=True)
class ResultOf:
    ok: WitType | None
    err: WitType | None

    def __str__(self) -> str:
        if self.ok is None and self.err is None:
            return "result"
        return f"result<{self.ok or '_'}>" if self.err is None else f"result<{self.ok or '_'}, {self.err}>"


@dataclass(frozen=True, slots=True)
class RecordOf:
    fields: tuple[tuple[str, WitType], ...]

    def __str__(self) -> str:
        return "record { " + ", ".join(f"{name}: {field}" for name, field in self.fields) + " }"


@dataclass(frozen=True, slots=True)
class TupleOf:
    elements: tuple[WitType, ...]

    def __str__(self) -> str:
        return f"tuple<{', '.join(map(str, self.elements))}>"


@dataclass(frozen=True, slots=True)
class VariantOf:
    cases: tuple[tuple[str, WitType | None], ...]

    def __str__(self) -> str:
        return "variant { " + ", ".join(n if t is None else f"{n}({t})" for n, t in self.cases) + " }"


@dataclass(frozen=True, slots=True)
class EnumOf:
    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"enum {{ {', '.join(self.names)} }}"


@dataclass(frozen=True, slots=True)
class Handle:
    """own<...> or borrow<...> of a guest's resource."""

    owned: bool

    def __str__(self) -> str:
        return "own<resource>" if self.owned else "borrow<resource>"


WitType = Primitive | ListOf | OptionOf | ResultOf | RecordOf | TupleOf | VariantOf | EnumOf | Handle


@dataclass(frozen=True, slots=True)
class Signature:
    parameters: tuple[WitType, ...]
    result: WitType | None

    def __str__(self) -> str:
        result = "" if self.result is None else f" -> {self.result}"
        return f"func({', '.join(map(str, self.parameters))}){result}"


# --- the types of wit/types.wit -------------------------------------------------------------------------------------

BOOL, S32, U32, S64, F64, STRING = map(Primitive, ("bool", "s32", "u32", "s64", "f64", "string"))
BYTES = ListOf(Primitive("u8"))
INTERVAL = RecordOf((("months", S32), ("days", S32), ("microseconds", S64)))
VALUE = VariantOf(
    (
        ("null", None),
        ("boolean", BOOL),
        ("int64", S64),
        ("float64", F64),
        ("text", STRING),
        ("binary", BYTES),
        ("date", S32),
        ("time", S64),
        ("timestamp", S64),
        ("timestamptz", S64),
        ("interval", INTERVAL),
        ("decimal", STRING),
        ("uuid", STRING),
        ("json", STRING),
        ("other", STRING),
    )
)
COLUMN_DATA = VariantOf(
    tuple(
        (f"{'binarie' if name == 'binary' else name}s", ListOf(payload))
        for name, payload in VALUE.cases
        if payload is not None
    )
)
COLUMN = RecordOf((("name", STRING), ("data-type", STRING), ("nullable", BOOL)))
COLUMN_VALUES = RecordOf((("validity", OptionOf(BYTES)), ("data", COLUMN_DATA)))
RECORD_BATCH = RecordOf((("row-count", U32), ("columns", ListOf(COLUMN_VALUES))))


# --- from components ------------------------------------------------------------------------------------------------


def from_wasmtime(type_: Any) -> WitType:
    """A type as wasmtime-py describes it. TypeError for what has no form here (futures, streams, maps, flags)."""
    from wasmtime.component import (
        BorrowType,
        EnumType,
        ListType,
        OptionType,
        OwnType,
        RecordType,
        ResultType,
        TupleType,
        VariantType,
    )

    def maybe(inner: Any) -> WitType | None:
        return None if inner is None else from_wasmtime(inner)

    match type_:
        case ListType():
            return ListOf(from_wasmtime(type_.element))
        case RecordType():
            return RecordOf(tuple((name, from_wasmtime(field)) for name, field in type_.fields))
        case TupleType():
            return TupleOf(tuple(from_wasmtime(element) for element in type_.elements))
        case VariantType():
            return VariantOf(tuple((name, maybe(payload)) for name, payload in type_.cases))
        case EnumType():
            return EnumOf(tuple(type_.names))
        case OptionType():
            return OptionOf(from_wasmtime(type_.payload))
        case ResultType():
            return ResultOf(maybe(type_.ok), maybe(type_.err))
        case OwnType():
            return Handle(True)
        case BorrowType():
            return Handle(False)
    name = type(type_).__name__.lower()
    if name in PRIMITIVES:
        return Primitive(name)
    raise TypeError(f"values of the component type {name} are not supported")


def signature_of(type_: Any) -> Signature:
    """The signature of a function, from its wasmtime.component.FuncType."""
    result = type_.result
    return Signature(
        tuple(from_wasmtime(parameter) for _, parameter in type_.params),
        None if result is None else from_wasmtime(result),
    )
