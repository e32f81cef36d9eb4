"""Arrays, ranges and records of results as Python objects and Arrow values."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from typing import Any, NamedTuple
from uuid import UUID

from zerodb_compiler.errors import DataError
from zerodb_compiler.intervals import Interval, unpack
from zerodb_compiler.nested import Scalar, decode_range, decode_record
from zerodb_compiler.sql.nested_values import array_to_python
from zerodb_compiler.types import SqlType, TypeId

_EPOCH = datetime(1970, 1, 1)
_EXACT = Context(prec=76)
_SCALARS: dict[TypeId, Callable[[SqlType, Any], Any]] = {
    TypeId.BOOLEAN: lambda _type, value: value != 0,
    TypeId.NUMERIC: lambda type_, value: _EXACT.scaleb(Decimal(value), -type_.scale),
    TypeId.DATE: lambda _type, value: (_EPOCH + timedelta(value)).date(),
    TypeId.TIMESTAMP: lambda _type, value: _EPOCH + timedelta(0, 0, value),
    TypeId.TIMESTAMPTZ: lambda _type, value: (_EPOCH + timedelta(0, 0, value)).replace(tzinfo=UTC),
    TypeId.TIME: lambda _type, value: (_EPOCH + timedelta(0, 0, value)).time(),
    TypeId.INTERVAL: lambda _type, value: Interval(*unpack(value)),
    TypeId.UUID: lambda _type, value: UUID(int=value + (1 << 127)),
    TypeId.ENUM: lambda type_, value: type_.labels[value],
}


def python_array(type_: SqlType, data: bytes) -> list[Any]:
    return array_to_python(type_, data, python_scalar)


def python_scalar(type_: SqlType, value: Scalar) -> Any:
    """One canonical value, as a column of the type would give it."""
    from zerodb.engine.result import BLOB_DECODERS

    decode = _SCALARS.get(type_.id)
    if decode is not None:
        try:
            return decode(type_, value)
        except OverflowError:
            raise DataError(f"a {type_} is outside what Python's {type_} holds", sqlstate="22008") from None
    blob = BLOB_DECODERS.get(type_.id)
    return blob(type_, value) if blob is not None and isinstance(value, bytes) else value


class Range(NamedTuple):
    """A range of a result: None for an infinite bound; both are None in the empty range."""

    lower: Any
    upper: Any
    lower_inc: bool
    upper_inc: bool
    is_empty: bool = False


def python_range(type_: SqlType, data: bytes) -> Range:
    value = decode_range(type_, data)
    if value is None:
        return Range(None, None, False, False, True)
    assert type_.element is not None
    low, high = (None if end is None else python_scalar(type_.element, end) for end in (value.lower, value.upper))
    return Range(low, high, value.lower_inclusive, value.upper_inclusive)


def python_record(type_: SqlType, data: bytes) -> tuple[Any, ...]:
    types = [field for _, field in type_.fields]
    values = zip(types, decode_record(types, data), strict=True)
    return tuple(None if value is None else python_scalar(field, value) for field, value in values)
