"""Programs and layouts as msgpack and back: the plain-data dataclasses of the compiler, by class name.

    dataclass   {"": class name, field: value, ...}        enum member   {"": class name, "name": member name}
    int > 64 bits   {"": "int", "value": decimal text}     tuple         list (decoded as a tuple)
    frozenset       {"": "set", "values": list}

Only the classes listed here can be decoded.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import Any

import msgpack

from zerodb_compiler import pruning
from zerodb_compiler.codegen import program
from zerodb_compiler.layout import ColumnLayout, Encoding, TableLayout
from zerodb_compiler.sql.parameters import Moment, UserParameter
from zerodb_compiler.types import SqlType, TypeId

_CLASSES: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        program.DictionaryCode,
        program.DictionarySlot,
        program.ErrorSite,
        program.FirstRows,
        program.IndexLookup,
        program.Loop,
        program.MorselSource,
        program.Operand,
        program.OutputColumn,
        program.ParameterSlot,
        program.PartitionTest,
        program.Pipeline,
        program.Program,
        program.Scan,
        program.ZonePredicate,
        pruning.Bounds,
        pruning.Infinite,
        pruning.KeyColumn,
        pruning.Level,
        pruning.PartitionInfo,
        ColumnLayout,
        Encoding,
        Moment,
        SqlType,
        TableLayout,
        TypeId,
        UserParameter,
    )
}


def pack(value: Any) -> bytes:
    return bytes(msgpack.packb(_plain(value)))


def unpack(data: bytes) -> Any:
    """ValueError for anything that `pack` did not make."""
    try:
        return _typed(msgpack.unpackb(data))
    except (msgpack.UnpackException, KeyError, TypeError) as error:
        raise ValueError(f"not readable: {error}") from None


def _plain(value: Any) -> Any:
    match value:
        case enum.Enum():
            assert type(value).__name__ in _CLASSES
            return {"": type(value).__name__, "name": value.name}
        case int() if not -(1 << 63) <= value < 1 << 64:
            return {"": "int", "value": str(value)}
        case None | bool() | int() | float() | str() | bytes():
            return value
        case list() | tuple():
            return [_plain(item) for item in value]
        case frozenset():
            return {"": "set", "values": [_plain(item) for item in sorted(value, key=repr)]}
        case dict():
            assert "" not in value
            return {key: _plain(item) for key, item in value.items()}
    name = type(value).__name__
    assert name in _CLASSES, name
    fields = {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return {"": name, **fields}


def _typed(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_typed(item) for item in value)
    if not isinstance(value, dict):
        return value
    name = value.pop("", None)
    if name is None:
        return {key: _typed(item) for key, item in value.items()}
    if name == "int":
        return int(value["value"])
    if name == "set":
        return frozenset(_typed(value["values"]))
    kind = _CLASSES[name]
    if issubclass(kind, enum.Enum):
        return kind[value["name"]]
    return kind(**{key: _typed(item) for key, item in value.items()})
