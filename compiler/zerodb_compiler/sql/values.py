"""Values outside of queries: text to canonical form (types.py) and back in PostgreSQL's forms, and from Python objects.

`parse_value` is what PostgreSQL calls the input function of a type, `format_value` the output function, `to_canonical`
turns what a user passed for a parameter. All raise DataError: 22P02 bad text, 22007 / 22008 bad or impossible dates,
22003 out of range, 22001 too long.
"""

from __future__ import annotations

import datetime
import enum
import math
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from zerodb_compiler import jsonb
from zerodb_compiler.errors import DatabaseError, DataError, NotSupportedError, ProgrammingError
from zerodb_compiler.intervals import Interval, format_interval, pack, unpack
from zerodb_compiler.nested import encode_record
from zerodb_compiler.sql import moments, nested_values, range_values, record_values
from zerodb_compiler.sql.binary_text import format_bytea, format_uuid, parse_bytea, parse_uuid
from zerodb_compiler.sql.interval_text import parse_interval, restricted
from zerodb_compiler.types import MAX_PRECISION, SqlType, TypeId, shown_decimals
from zerodb_compiler.zones import session_zone

Value = int | float | str | bytes | None


@dataclass(frozen=True, slots=True)
class Exact:
    """A parameter's value that is in canonical form already, of the parameter's own type."""

    value: Value


MICROS_PER_DAY = moments.MICROS_PER_DAY
_INTEGER = re.compile(r"\s*[+-]?[0-9]+\s*\Z")
_NUMBER = re.compile(r"\s*([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]+))?\s*\Z")
_TRUE = frozenset({"t", "tr", "tru", "true", "y", "ye", "yes", "on", "1"})
_FALSE = frozenset({"f", "fa", "fal", "fals", "false", "n", "no", "of", "off", "0"})


def parse_value(type_: SqlType, text: str, position: int | None = None) -> Value:
    """The canonical value that `text` stands for in `type_`."""
    match type_.id:
        case TypeId.TEXT:
            return fit_text(type_, text, position)
        case TypeId.NUMERIC:
            return _parse_numeric(type_, text, position)
        case TypeId.DATE:
            return moments.parse_date(text, position)
        case TypeId.TIMESTAMP | TypeId.TIMESTAMPTZ:
            return moments.parse_timestamp(type_, text, position)
        case TypeId.TIME:
            return moments.parse_time(type_, text, position)
        case TypeId.INTERVAL:
            return parse_interval(text, position, interval_fields(type_), moments.fractional_digits(type_))
        case TypeId.UUID:
            return parse_uuid(text, position)
        case TypeId.BYTEA:
            return parse_bytea(text, position)
        case TypeId.ENUM:
            return parse_label(type_, text, position)
        case TypeId.ARRAY:
            return nested_values.parse_array(type_, text, position, parse_value)
        case TypeId.RANGE:
            return range_values.parse_range(type_, text, position, parse_value)
        case TypeId.STRUCT:
            return record_values.parse_record(type_, text, position, parse_value)
        case TypeId.JSON:
            return jsonb.check_json(type_, text, position)
        case TypeId.JSONB:
            return jsonb.parse_jsonb(type_, text, position)
        case kind if kind in BLOB_PARSERS:
            return BLOB_PARSERS[kind](type_, text, position)
        case _ if type_.is_blob:
            raise NotSupportedError(f"values of type {type_} from text are not supported", position=position)
        case TypeId.BOOLEAN:
            word = text.strip().lower()
            if word in _TRUE or word in _FALSE:
                return int(word in _TRUE)
            raise _bad_text(type_, text, position)
        case TypeId.REAL | TypeId.DOUBLE:
            return _parse_float(type_, text, position)
        case TypeId.NULL:
            return text
    if not _INTEGER.match(text):
        raise _bad_text(type_, text, position)
    if len(text) > 60:
        raise _range(type_, text, position)
    return check_range(type_, int(text), position, text)


# Input and output functions of types of bytes with a structure; their modules enter them here.
BLOB_PARSERS: dict[TypeId, Callable[[SqlType, str, int | None], bytes]] = {}
BLOB_FORMATTERS: dict[TypeId, Callable[[SqlType, bytes], str]] = {TypeId.JSONB: jsonb.format_jsonb}
# The fields of interval year to month and the like; a type's `scale` is the place in this list.
INTERVAL_FIELDS: tuple[tuple[str, ...], ...] = (
    (),
    *((unit,) for unit in ("year", "month", "day", "hour", "minute", "second")),
    ("year", "month"),
    *(("day", unit) for unit in ("hour", "minute", "second")),
    *(("hour", unit) for unit in ("minute", "second")),
    ("minute", "second"),
)


def interval_fields(type_: SqlType) -> tuple[str, ...]:
    return INTERVAL_FIELDS[type_.scale]


def fit_interval(type_: SqlType, value: int) -> int:
    """An interval as a column of interval(p) or interval year to month holds it."""
    return pack(*restricted(*unpack(value), interval_fields(type_), moments.fractional_digits(type_)))


def parse_label(type_: SqlType, text: str, position: int | None = None) -> int:
    try:
        return type_.labels.index(text)
    except ValueError:
        message = f'invalid input value for enum {type_}: "{text}"'
        raise DataError(message, sqlstate="22P02", position=position) from None


def check_range(type_: SqlType, value: int, position: int | None = None, text: str | None = None) -> int:
    """The discrete value itself, or 22003 if the type does not hold it."""
    low, high = type_.bounds
    if low <= value <= high:
        return value
    if type_.id is TypeId.NUMERIC:
        raise DataError(
            "numeric field overflow",
            sqlstate="22003",
            position=position,
            hint=f"{type_} holds values below 10^{type_.precision - type_.scale}",
        )
    if text is None:
        raise DataError(f"{type_} out of range", sqlstate="22003", position=position)
    raise _range(type_, text, position)


def fit_text(type_: SqlType, text: str, position: int | None = None, *, explicit: bool = False) -> str:
    """Text as varchar(n)/char(n) holds it: trailing blanks of char(n) are not kept; too long is 22001 unless only
    blanks are lost or the cast is explicit."""
    if "\0" in text:
        raise DataError("invalid byte sequence: text cannot hold a zero byte", sqlstate="22021", position=position)
    if type_.padded:
        text = text.rstrip(" ")
    if type_.length is not None and len(text) > type_.length:
        if not explicit and text[type_.length :].strip(" "):
            raise DataError(f"value too long for type {type_}", sqlstate="22001", position=position)
        text = text[: type_.length]
    return text


def round_shift(unscaled: int, shift: int) -> int:
    """unscaled * 10**shift, rounded half away from zero."""
    if shift >= 0:
        return int(unscaled * 10**shift)
    if -shift > 5000:
        return 0
    divisor: int = 10**-shift
    quotient, remainder = divmod(abs(unscaled), divisor)
    quotient += 2 * remainder >= divisor
    return quotient if unscaled >= 0 else -quotient


def numeric_digits(text: str) -> tuple[int, int]:
    """(unscaled, exponent) of a decimal number: its value is unscaled * 10**exponent. ValueError if it is none."""
    found = _NUMBER.match(text)
    if found is None or not (found[2] or found[3]):
        raise ValueError(text)
    fraction = found[3] or ""
    if len(text) > 4000 or len(found[4] or "") > 6:
        raise OverflowError(text)
    unscaled = int((found[2] or "") + fraction)
    return (-unscaled if found[1] == "-" else unscaled), int(found[4] or 0) - len(fraction)


def _parse_numeric(type_: SqlType, text: str, position: int | None) -> int:
    try:
        unscaled, exponent = numeric_digits(text)
    except ValueError:
        raise _bad_text(type_, text, position) from None
    except OverflowError:
        raise _range(type_, text, position) from None
    if unscaled and exponent + type_.scale > 4000:
        raise _range(type_, text, position)
    return check_range(type_, round_shift(unscaled, exponent + type_.scale) if unscaled else 0, position)


def _parse_float(type_: SqlType, text: str, position: int | None) -> float:
    word = text.strip().lower()
    if "_" in word or (word[:1].isalpha() and word not in ("nan", "inf", "infinity")):
        raise _bad_text(type_, text, position)
    try:
        value = float(word)
    except ValueError:
        raise _bad_text(type_, text, position) from None
    if math.isinf(value) and "inf" not in word:
        raise _range(type_, text, position)
    return to_real(value, position) if type_.id is TypeId.REAL else value


def to_real(value: float, position: int | None = None) -> float:
    """The nearest 32-bit float; 22003 if a finite value would become infinite."""
    import struct

    try:
        narrowed: float = struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        raise DataError("value out of range: overflow", sqlstate="22003", position=position) from None
    if value and not narrowed:
        raise DataError("value out of range: underflow", sqlstate="22003", position=position)
    return narrowed


def format_value(type_: SqlType, value: Value) -> str | None:
    """PostgreSQL's output form; None for NULL. char(n) is padded with blanks."""
    if value is None:
        return None
    match type_.id:
        case TypeId.ARRAY:
            assert isinstance(value, bytes)
            return nested_values.format_array(type_, value, format_value)
        case TypeId.RANGE:
            assert isinstance(value, bytes)
            return range_values.format_range(type_, value, format_value)
        case TypeId.STRUCT:
            assert isinstance(value, bytes)
            return record_values.format_record(type_, value, format_value)
        case TypeId.TEXT | TypeId.NULL:
            text = str(value)
            return text.ljust(type_.length) if type_.padded and type_.length else text
        case TypeId.REAL | TypeId.DOUBLE:
            return _format_float(type_, float(value))
        case TypeId.BYTEA:
            assert isinstance(value, bytes)
            return format_bytea(value)
        case kind if type_.is_blob:
            assert isinstance(value, bytes)
            formatter = BLOB_FORMATTERS.get(kind)
            return value.decode() if formatter is None else formatter(type_, value)
    assert isinstance(value, int)
    match type_.id:
        case TypeId.BOOLEAN:
            return "true" if value else "false"
        case TypeId.NUMERIC:
            decimals = shown_decimals(type_, value)
            return _format_numeric(round_shift(value, decimals - type_.scale), decimals)
        case TypeId.DATE:
            return moments.format_date(value)
        case TypeId.TIMESTAMP:
            return moments.format_timestamp(value)
        case TypeId.TIMESTAMPTZ:
            return moments.format_timestamptz(value)
        case TypeId.TIME:
            return moments.format_time(value)
        case TypeId.INTERVAL:
            return format_interval(*unpack(value))
        case TypeId.UUID:
            return format_uuid(value)
        case TypeId.ENUM:
            return type_.labels[value]
    return str(value)


def _format_numeric(value: int, scale: int) -> str:
    if scale == 0:
        return str(value)
    digits = str(abs(value)).rjust(scale + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-scale]}.{digits[-scale:]}"


def _format_float(type_: SqlType, value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if type_.id is TypeId.REAL:
        import numpy

        shortest, limit = numpy.format_float_scientific(numpy.float32(value), unique=True), 6
    else:
        shortest, limit = repr(value), 15
    sign, digits, exponent = Decimal(shortest).as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, digits)).rstrip("0") or "0"
    exponent = exponent + len(digits) - 1 if value else 0
    minus = "-" if sign else ""
    if value and not -5 < exponent < limit:
        fraction = "." + text[1:] if len(text) > 1 else ""
        return f"{minus}{text[0]}{fraction}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    if exponent < 0:
        return f"{minus}0.{'0' * (-exponent - 1)}{text}"
    whole = text[: exponent + 1].ljust(exponent + 1, "0")
    return f"{minus}{whole}{'.' + text[exponent + 1 :] if len(text) > exponent + 1 else ''}"


_EPOCH_DATE = datetime.date(1970, 1, 1).toordinal()
_EPOCH = datetime.datetime(1970, 1, 1)
_MICROSECOND = datetime.timedelta(microseconds=1)


def to_canonical(type_: SqlType, value: object, position: int | None = None) -> Value:
    """A Python object given for a parameter, in canonical form. ProgrammingError 42804 if the type cannot hold it."""
    if value is None:
        return None
    if isinstance(value, Exact):
        return value.value
    if isinstance(value, str):
        return parse_value(type_, value, position)
    if type_.id is TypeId.ARRAY and isinstance(value, (list, tuple)):
        return nested_values.array_from_python(
            type_, value, position, lambda element, item: to_canonical(element, item, position)
        )
    if type_.id is TypeId.STRUCT and isinstance(value, (tuple, list)) and len(value) == len(type_.fields):
        types = [field for _, field in type_.fields]
        parts = zip(types, value, strict=True)
        return encode_record(types, [to_canonical(field, item, position) for field, item in parts])
    if type_.id is TypeId.RANGE and isinstance(value, tuple):
        return range_values.range_from_python(
            type_, value, position, lambda element, item: to_canonical(element, item, position)
        )
    converter = FROM_PYTHON.get(type_.id)
    if converter is not None:
        found = converter(type_, value, position)
        if found is not None:
            return found
    item = getattr(value, "item", None)  # numpy scalars
    if callable(item) and type(value).__module__ == "numpy":
        return to_canonical(type_, item(), position)
    raise ProgrammingError(
        f"a parameter of type {type_} cannot be a {type(value).__name__}", sqlstate="42804", position=position
    )


def _from_integer(type_: SqlType, value: object, position: int | None) -> Value:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return check_range(type_, value, position, str(value))
    if isinstance(value, (Decimal, float)) and math.isfinite(value) and value == int(value):
        return check_range(type_, int(value), position, str(value))
    return None


def _from_numeric(type_: SqlType, value: object, position: int | None) -> Value:
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        return None
    if isinstance(value, int):
        return check_range(type_, value * 10**type_.scale, position)
    if not math.isfinite(value):
        raise DataError(f"numeric cannot hold {value}", sqlstate="22003", position=position)
    return _parse_numeric(type_, repr(value) if isinstance(value, float) else str(value), position)


def _from_float(type_: SqlType, value: object, position: int | None) -> Value:
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        return None
    try:
        number = float(value)
    except OverflowError:
        raise DataError(f"{type_} out of range", sqlstate="22003", position=position) from None
    return to_real(number, position) if type_.id is TypeId.REAL else number


def _from_boolean(type_: SqlType, value: object, position: int | None) -> Value:
    return int(value) if isinstance(value, (bool, int)) and value in (0, 1) else None


def _from_date(type_: SqlType, value: object, position: int | None) -> Value:
    if isinstance(value, datetime.datetime):
        value = value.date()
    return value.toordinal() - _EPOCH_DATE if isinstance(value, datetime.date) else None


def _from_timestamp(type_: SqlType, value: object, position: int | None) -> Value:
    if isinstance(value, datetime.datetime):
        if value.tzinfo is not None:
            value = value.astimezone(datetime.UTC).replace(tzinfo=None)
            return moments.rounded(type_, (value - _EPOCH) // _MICROSECOND)
        moment = (value - _EPOCH) // _MICROSECOND
        if type_.id is TypeId.TIMESTAMPTZ:
            moment -= session_zone().offset_of_local(moment)
        return moments.rounded(type_, moment)
    if isinstance(value, datetime.date):
        moment = (value.toordinal() - _EPOCH_DATE) * MICROS_PER_DAY
        return moment - session_zone().offset_of_local(moment) if type_.id is TypeId.TIMESTAMPTZ else moment
    return None


def _from_time(type_: SqlType, value: object, position: int | None) -> Value:
    if not isinstance(value, datetime.time) or value.tzinfo is not None:
        return None
    seconds = (value.hour * 60 + value.minute) * 60 + value.second
    return moments.rounded(type_, seconds * 1_000_000 + value.microsecond)


def _from_interval(type_: SqlType, value: object, position: int | None) -> Value:
    if isinstance(value, Interval):
        return fit_interval(type_, pack(value.months, value.day_count, value.micros))
    if isinstance(value, datetime.timedelta):
        return fit_interval(type_, pack(0, value.days, value.seconds * 1_000_000 + value.microseconds))
    return None


def _from_uuid(type_: SqlType, value: object, position: int | None) -> Value:
    if isinstance(value, uuid.UUID):
        return value.int - (1 << 127)
    return int.from_bytes(value) - (1 << 127) if isinstance(value, bytes) and len(value) == 16 else None


def _from_bytes(type_: SqlType, value: object, position: int | None) -> Value:
    return bytes(value) if isinstance(value, (bytes, bytearray, memoryview)) else None


def _from_json(type_: SqlType, value: object, position: int | None) -> Value:
    """Objects, lists and scalars; a str is JSON text (to_canonical)."""
    text = jsonb.text_of_python(value)
    return None if text is None else parse_value(type_, text, position)


def _from_enum(type_: SqlType, value: object, position: int | None) -> Value:
    return parse_label(type_, value.name, position) if isinstance(value, enum.Enum) else None


def _from_text(type_: SqlType, value: object, position: int | None) -> Value:
    """PostgreSQL gives an untyped parameter as text; a number or date arrives in its output form."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float, Decimal, datetime.date, datetime.time, Interval, uuid.UUID)):
        return fit_text(type_, str(value), position)
    if isinstance(value, datetime.timedelta):
        micros = value.seconds * 1_000_000 + value.microseconds
        return fit_text(type_, format_interval(0, value.days, micros), position)
    return None


FROM_PYTHON: dict[TypeId, Callable[[SqlType, Any, int | None], Value]] = {
    **dict.fromkeys(
        (
            TypeId.SMALLINT,
            TypeId.INTEGER,
            TypeId.BIGINT,
            TypeId.HUGEINT,
            TypeId.U8,
            TypeId.U16,
            TypeId.U32,
            TypeId.U64,
        ),
        _from_integer,
    ),
    TypeId.NUMERIC: _from_numeric,
    TypeId.REAL: _from_float,
    TypeId.DOUBLE: _from_float,
    TypeId.BOOLEAN: _from_boolean,
    TypeId.DATE: _from_date,
    TypeId.TIMESTAMP: _from_timestamp,
    TypeId.TIMESTAMPTZ: _from_timestamp,
    TypeId.TIME: _from_time,
    TypeId.INTERVAL: _from_interval,
    TypeId.UUID: _from_uuid,
    TypeId.ENUM: _from_enum,
    TypeId.BYTEA: _from_bytes,
    TypeId.JSON: _from_json,
    TypeId.JSONB: _from_json,
    TypeId.TEXT: _from_text,
    TypeId.NULL: _from_text,
}


def literal_numeric_type(text: str) -> tuple[int, int] | None:
    """(precision, scale) of a decimal literal from its digits: 0.05 -> (2, 2); None if beyond 38 digits."""
    unscaled, exponent = numeric_digits(text)
    scale = max(-exponent, 0)
    digits = len(str(abs(unscaled))) + max(exponent, 0) if unscaled else 1
    precision = max(digits, scale, 1)
    return None if precision > MAX_PRECISION else (precision, scale)


def _bad_text(type_: SqlType, text: str, position: int | None) -> DatabaseError:
    name = "numeric" if type_.id is TypeId.NUMERIC else str(type_)
    if type_.id is TypeId.NUMERIC and text.strip().lower().lstrip("+-") in ("nan", "inf", "infinity"):
        return NotSupportedError(f"numeric {text.strip()} is not supported", position=position)
    return DataError(f'invalid input syntax for type {name}: "{text}"', sqlstate="22P02", position=position)


def _range(type_: SqlType, text: str, position: int | None) -> DataError:
    return DataError(f'value "{text}" is out of range for type {type_}', sqlstate="22003", position=position)
