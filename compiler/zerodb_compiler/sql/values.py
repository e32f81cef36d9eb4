"""Values outside of queries: text to canonical form (types.py) and back in PostgreSQL's forms, and from Python objects.

`parse_value` is what PostgreSQL calls the input function of a type, `format_value` the output function, `to_canonical`
turns what a user passed for a parameter. All raise DataError: 22P02 bad text, 22007 / 22008 bad or impossible dates,
22003 out of range, 22001 too long.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from zerodb_compiler.errors import DataError, ProgrammingError
from zerodb_compiler.sql import nested_values
from zerodb_compiler.sql.calendar import civil_from_days, days_from_civil, days_in_month
from zerodb_compiler.types import MAX_PRECISION, SqlType, TypeId

Value = int | float | str | bytes | None

MICROS_PER_DAY = 86_400_000_000
_INTEGER = re.compile(r"\s*[+-]?[0-9]+\s*\Z")
_NUMBER = re.compile(r"\s*([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]+))?\s*\Z")
_DATE = re.compile(
    r"\s*(?:([0-9]{1,7})[-/]([0-9]{1,2})[-/]([0-9]{1,2})|([0-9]{4})([0-9]{2})([0-9]{2}))\s*(BC|AD)?\s*\Z", re.I
)
_TIMESTAMP = re.compile(
    r"\s*([0-9]{1,7}[-/][0-9]{1,2}[-/][0-9]{1,2}|[0-9]{8})"
    r"(?:(?:\s+|[Tt])([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{0,}))?)?\s*(?:[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
    r"\s*(BC|AD)?\s*\Z",
    re.I,
)
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
            return _parse_date(text, position)
        case TypeId.TIMESTAMP:
            return _parse_timestamp(text, position)
        case TypeId.BOOLEAN:
            word = text.strip().lower()
            if word in _TRUE or word in _FALSE:
                return int(word in _TRUE)
            raise _bad_text(type_, text, position)
        case TypeId.REAL | TypeId.DOUBLE:
            return _parse_float(type_, text, position)
        case TypeId.NULL:
            return text
        case TypeId.ARRAY:
            return nested_values.parse_array(type_, text, position, parse_value)
    if not _INTEGER.match(text):
        raise _bad_text(type_, text, position)
    if len(text) > 60:
        raise _range(type_, text, position)
    return check_range(type_, int(text), position, text)


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
    return narrowed


def _parse_date(text: str, position: int | None) -> int:
    found = _DATE.match(text)
    if found is None:
        # PostgreSQL takes a timestamp's text for a date and drops the time of day.
        if _TIMESTAMP.match(text):
            return _parse_timestamp(text, position) // MICROS_PER_DAY
        raise DataError(f'invalid input syntax for type date: "{text}"', sqlstate="22007", position=position)
    year, month, day = (int(part) for part in ((found[1], found[2], found[3]) if found[1] else found.group(4, 5, 6)))
    return _days(year, month, day, found[7], text, position)


def _days(year: int, month: int, day: int, era: str | None, text: str, position: int | None) -> int:
    bad = not (1 <= month <= 12) or year == 0
    if era is not None and era.upper() == "BC":
        year = 1 - year
    if bad or not 1 <= day <= days_in_month(year, month) or not -4713 <= year <= 5_874_897:
        raise DataError(f'date/time field value out of range: "{text}"', sqlstate="22008", position=position)
    return days_from_civil(year, month, day)


def _parse_timestamp(text: str, position: int | None) -> int:
    found = _TIMESTAMP.match(text)
    if found is None:
        raise DataError(f'invalid input syntax for type timestamp: "{text}"', sqlstate="22007", position=position)
    era = f" {found[6]}" if found[6] else ""
    days = _parse_date(found[1] + era, position)
    hour, minute, second = int(found[2] or 0), int(found[3] or 0), int(found[4] or 0)
    if hour > 24 or minute > 59 or second > 60 or (hour == 24 and (minute or second)):
        raise DataError(f'date/time field value out of range: "{text}"', sqlstate="22008", position=position)
    micros = round_shift(int("0" + (found[5] or "")), 6 - len(found[5] or ""))
    value = days * MICROS_PER_DAY + ((hour * 60 + minute) * 60 + second) * 1_000_000 + micros
    if not -(1 << 63) <= value < 1 << 63:
        raise DataError(f'timestamp out of range: "{text}"', sqlstate="22008", position=position)
    return value


def format_value(type_: SqlType, value: Value) -> str | None:
    """PostgreSQL's output form; None for NULL. char(n) is padded with blanks."""
    if value is None:
        return None
    match type_.id:
        case TypeId.ARRAY:
            assert isinstance(value, bytes)
            return nested_values.format_array(type_, value, format_value)
        case TypeId.TEXT | TypeId.NULL:
            text = str(value)
            return text.ljust(type_.length) if type_.padded and type_.length else text
        case TypeId.REAL | TypeId.DOUBLE:
            return _format_float(type_, float(value))
    assert isinstance(value, int)
    match type_.id:
        case TypeId.BOOLEAN:
            return "true" if value else "false"
        case TypeId.NUMERIC:
            return _format_numeric(value, type_.scale)
        case TypeId.DATE:
            return _format_date(value)
        case TypeId.TIMESTAMP:
            return _format_timestamp(value)
    return str(value)


def _format_numeric(value: int, scale: int) -> str:
    if scale == 0:
        return str(value)
    digits = str(abs(value)).rjust(scale + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-scale]}.{digits[-scale:]}"


def _format_date(days: int) -> str:
    year, month, day = civil_from_days(days)
    era = " BC" if year < 1 else ""
    return f"{1 - year if year < 1 else year:04d}-{month:02d}-{day:02d}{era}"


def _format_timestamp(micros: int) -> str:
    days, rest = divmod(micros, MICROS_PER_DAY)
    seconds, fraction = divmod(rest, 1_000_000)
    date, era = (_format_date(days) + " ").split(" ", 1)
    part = f".{fraction:06d}".rstrip("0") if fraction else ""
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{date} {clock}{part} {era}".rstrip()


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
    if isinstance(value, str):
        return parse_value(type_, value, position)
    if type_.id is TypeId.ARRAY and isinstance(value, (list, tuple)):
        return nested_values.array_from_python(
            type_, value, position, lambda element, item: to_canonical(element, item, position)
        )
    converter = _FROM_PYTHON.get(type_.id)
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
        return (value - _EPOCH) // _MICROSECOND
    if isinstance(value, datetime.date):
        return (value.toordinal() - _EPOCH_DATE) * MICROS_PER_DAY
    return None


def _from_text(type_: SqlType, value: object, position: int | None) -> Value:
    """PostgreSQL gives an untyped parameter as text; a number or date arrives in its output form."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float, Decimal, datetime.date)):
        return fit_text(type_, str(value), position)
    return None


_FROM_PYTHON: dict[TypeId, Callable[[SqlType, Any, int | None], Value]] = {
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


def _bad_text(type_: SqlType, text: str, position: int | None) -> DataError:
    name = "numeric" if type_.id is TypeId.NUMERIC else str(type_)
    return DataError(f'invalid input syntax for type {name}: "{text}"', sqlstate="22P02", position=position)


def _range(type_: SqlType, text: str, position: int | None) -> DataError:
    return DataError(f'value "{text}" is out of range for type {type_}', sqlstate="22003", position=position)
