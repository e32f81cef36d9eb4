"""Python objects and canonical values as Arrow columns, for the rows that INSERT and executemany bring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from zerodb_compiler.errors import ProgrammingError
from zerodb_compiler.sql.parameters import UserParameter
from zerodb_compiler.sql.values import to_canonical
from zerodb_compiler.types import SqlType, TypeId
from zerodb_storage.arrow import arrow_type

Canonical = int | float | str | bytes | None
Parameters = Sequence[Any] | Mapping[str, Any]


def canonical_array(type_: SqlType, values: Sequence[Canonical]) -> pa.Array:
    """Canonical values (zerodb_compiler/types.py) as an Arrow array of the type."""
    target = arrow_type(type_)
    match type_.id:
        case TypeId.NUMERIC | TypeId.HUGEINT | TypeId.INTERVAL:
            data = b"".join(_sixteen(value) for value in values)
            missing = np.fromiter((value is not None for value in values), np.uint8, len(values))
            mask = None if missing.all() else pa.py_buffer(np.packbits(missing, bitorder="little"))
            return pa.Array.from_buffers(target, len(values), [mask, pa.py_buffer(data)])
        case TypeId.BOOLEAN:
            return pa.array([None if value is None else bool(value) for value in values], target)
        case TypeId.DATE:
            return pa.array(values, pa.int32()).view(target)
        case TypeId.TIMESTAMP | TypeId.TIMESTAMPTZ | TypeId.TIME:
            return pa.array(values, pa.int64()).view(target)
        case TypeId.UUID:
            return pa.array([None if value is None else _uuid_bytes(value) for value in values], target)
        case _:
            return pa.array(values, target)


# Types for which Arrow's conversion of Python objects means the same as ours.
_PYARROW_AGREES = frozenset(
    {
        *(
            TypeId.BOOLEAN,
            TypeId.SMALLINT,
            TypeId.INTEGER,
            TypeId.BIGINT,
            TypeId.U8,
            TypeId.U16,
            TypeId.U32,
            TypeId.U64,
        ),
        *(TypeId.NUMERIC, TypeId.REAL, TypeId.DOUBLE, TypeId.TEXT, TypeId.DATE, TypeId.TIMESTAMP),
    }
)


def _sixteen(value: Canonical) -> bytes:
    assert not isinstance(value, (float, str, bytes))
    return (value or 0).to_bytes(16, "little", signed=True)


def _uuid_bytes(value: Canonical) -> bytes:
    assert isinstance(value, int)
    return (value + (1 << 127)).to_bytes(16)


def python_array(type_: SqlType, values: Sequence[Any]) -> pa.Array:
    """Python objects as an Arrow array of the type. Arrow's own conversion does it where it is sure to mean the same;
    all else (text for a date, a float for a numeric, a value that does not fit) goes through `to_canonical`, which
    knows SQL's rules and raises SQL's errors."""
    if type_.length is None and type_.id in _PYARROW_AGREES:
        try:
            return pa.array(values, arrow_type(type_))
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            pass
    return canonical_array(type_, [to_canonical(type_, value) for value in values])


def bind_parameters(declared: Sequence[UserParameter], given: Parameters | None) -> list[Any]:
    """The Python objects for the declared parameters, in their order. ProgrammingError if some are missing or too
    many, or a mapping is given for numbered ones and the other way round."""
    if not declared:
        if given:
            raise ProgrammingError(f"the statement has no parameters, but {len(given)} were given", sqlstate="08P01")
        return []
    if isinstance(declared[0].name, str):
        if given is not None and not isinstance(given, Mapping):
            names = ", ".join(f"${parameter.name}" for parameter in declared)
            raise ProgrammingError(f"the parameters {names} need a mapping", sqlstate="08P01")
        given = given or {}
        missing = [f"${parameter.name}" for parameter in declared if parameter.name not in given]
        if missing:
            raise ProgrammingError(f"no value for parameter {', '.join(missing)}", sqlstate="08P01")
        return [given[str(parameter.name)] for parameter in declared]
    if isinstance(given, (Mapping, str, bytes)) or not hasattr(given or (), "__iter__"):
        raise ProgrammingError("numbered parameters need a sequence of values", sqlstate="08P01")
    count = max(int(parameter.name) for parameter in declared)
    values = list(given or ())
    if len(values) != count:
        raise ProgrammingError(f"the statement needs {count} parameters, {len(values)} were given", sqlstate="08P01")
    return [values[int(parameter.name) - 1] for parameter in declared]


__all__ = ["Canonical", "Parameters", "bind_parameters", "canonical_array", "python_array"]
