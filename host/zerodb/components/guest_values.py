"""Single values between Python and WIT's `value`: the rows and parameters of statements.

`to_values` takes a row as cursors give it, `from_values` gives what `execute` takes. What Python's own types cannot
hold (infinity, the year 20000, 24:00:00) goes as text, which each parameter reads by its type's input function.
"""

from __future__ import annotations

import datetime
import functools
import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from zerodb.components.vals import MalformedError, Variant
from zerodb_compiler import jsonb
from zerodb_compiler.errors import DataError
from zerodb_compiler.intervals import Interval, format_interval
from zerodb_compiler.sql import moments
from zerodb_compiler.sql.binary_text import parse_uuid
from zerodb_compiler.sql.values import format_value, to_canonical
from zerodb_compiler.types import DATE, TIMESTAMP, SqlType, TypeId

_NULL = Variant("null")
_EPOCH_ORDINAL = datetime.date(1970, 1, 1).toordinal()
_EPOCH = datetime.datetime(1970, 1, 1)
_AWARE_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)
_LEAST_DAY, _GREATEST_DAY = (
    datetime.date.min.toordinal() - _EPOCH_ORDINAL,
    datetime.date.max.toordinal() - _EPOCH_ORDINAL,
)
_LEAST, _GREATEST = (datetime.datetime.min - _EPOCH) // _MICROSECOND, (datetime.datetime.max - _EPOCH) // _MICROSECOND


# --- to guests ------------------------------------------------------------------------------------------------------


def to_values(row: Sequence[Any], types: Sequence[SqlType]) -> list[Variant]:
    """A row of Python objects, as cursors give it, as WIT's values."""
    return [_NULL if value is None else converter(type_)(value) for value, type_ in zip(row, types, strict=True)]


@functools.lru_cache(1000)
def converter(type_: SqlType) -> Callable[[Any], Variant]:
    """How to make WIT's value of a Python object (not None) of a type."""
    found = _CONVERTERS.get(type_.id)
    if found is not None:
        case, convert = found
        if convert is None:
            return functools.partial(Variant, case)
        return lambda value: Variant(case, convert(value))
    return lambda value: Variant("other", format_value(type_, to_canonical(type_, value)))


def _micros_of_day(value: datetime.time) -> int:
    return ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond


def _interval(value: datetime.timedelta) -> dict[str, int]:
    if isinstance(value, Interval):
        return {"months": value.months, "days": value.day_count, "microseconds": value.micros}
    return {"months": 0, "days": value.days, "microseconds": value.seconds * 1_000_000 + value.microseconds}


def _json_text(value: Any) -> str:
    text = jsonb.text_of_python(value)
    return json.dumps(value) if text is None else text


_CONVERTERS: dict[TypeId, tuple[str, Callable[[Any], Any] | None]] = {
    TypeId.NULL: ("text", str),
    TypeId.BOOLEAN: ("boolean", bool),
    **dict.fromkeys(
        (TypeId.SMALLINT, TypeId.INTEGER, TypeId.BIGINT, TypeId.U8, TypeId.U16, TypeId.U32), ("int64", None)
    ),
    TypeId.HUGEINT: ("other", str),
    TypeId.U64: ("other", str),
    TypeId.REAL: ("float64", None),
    TypeId.DOUBLE: ("float64", None),
    TypeId.NUMERIC: ("decimal", lambda value: format(value, "f")),
    TypeId.TEXT: ("text", None),
    TypeId.BYTEA: ("binary", None),
    TypeId.DATE: ("date", lambda value: value.toordinal() - _EPOCH_ORDINAL),
    TypeId.TIME: ("time", _micros_of_day),
    TypeId.TIMESTAMP: ("timestamp", lambda value: (value - _EPOCH) // _MICROSECOND),
    TypeId.TIMESTAMPTZ: ("timestamptz", lambda value: (value - _AWARE_EPOCH) // _MICROSECOND),
    TypeId.INTERVAL: ("interval", _interval),
    TypeId.UUID: ("uuid", str),
    TypeId.ENUM: ("other", None),
    TypeId.JSON: ("json", _json_text),
    TypeId.JSONB: ("json", _json_text),
}


def case_of(type_: SqlType) -> str:
    """The case of `value` that values of a type have."""
    found = _CONVERTERS.get(type_.id)
    return "other" if found is None else found[0]


# --- from guests ----------------------------------------------------------------------------------------------------


def from_values(values: Sequence[Variant | None], types: Sequence[SqlType | None] | None = None) -> list[Any]:
    """WIT's values as Python objects for parameters. Where `types` are known, each is checked against its type already
    (DataError, ProgrammingError)."""
    found = [None if value is None else from_value(value) for value in values]
    for value, type_ in zip(found, types or (), strict=bool(types)):
        if type_ is not None:
            to_canonical(type_, value)
    return found


def from_value(value: Variant) -> Any:
    convert = _READERS.get(value.tag)
    if convert is None:
        raise MalformedError(f"no value of the case {value.tag}")
    return convert(value.payload)


def _same(value: Any) -> Any:
    return value


def _date(days: int) -> Any:
    if _LEAST_DAY <= days <= _GREATEST_DAY:
        return datetime.date.fromordinal(_EPOCH_ORDINAL + days)
    if days not in DATE.bounds:
        moments.check_date(days, str(days))
    return moments.format_date(days)


def _time(micros: int) -> Any:
    if not 0 <= micros <= moments.MICROS_PER_DAY:
        raise DataError("time out of range", sqlstate="22008")
    if micros == moments.MICROS_PER_DAY:
        return "24:00:00"
    return (_EPOCH + datetime.timedelta(0, 0, micros)).time()


def _checked(micros: int) -> int:
    if not moments.TIMESTAMP_LOW <= micros <= moments.TIMESTAMP_HIGH and micros not in TIMESTAMP.bounds:
        raise DataError("timestamp out of range", sqlstate="22008")
    return micros


def _timestamp(micros: int) -> Any:
    if _LEAST <= micros <= _GREATEST:
        return _EPOCH + datetime.timedelta(0, 0, micros)
    return moments.format_timestamp(_checked(micros))


def _timestamptz(micros: int) -> Any:
    if _LEAST <= micros <= _GREATEST:
        return _AWARE_EPOCH + datetime.timedelta(0, 0, micros)
    return moments.format_timestamptz(_checked(micros))


def _interval_of(value: Mapping[str, int]) -> Any:
    months, days, micros = value["months"], value["days"], value["microseconds"]
    try:
        return Interval(months, days, micros)
    except OverflowError:
        return format_interval(months, days, micros)


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise DataError(f'invalid input syntax for type numeric: "{text}"', sqlstate="22P02") from None


_READERS: dict[str, Callable[[Any], Any]] = {
    "null": lambda _payload: None,
    "boolean": _same,
    "int64": _same,
    "float64": _same,
    "text": _same,
    "binary": bytes,
    "date": _date,
    "time": _time,
    "timestamp": _timestamp,
    "timestamptz": _timestamptz,
    "interval": _interval_of,
    "decimal": _decimal,
    "uuid": lambda text: UUID(int=parse_uuid(text) + (1 << 127)),
    "json": _same,
    "other": _same,
}
