"""Types: which type two values meet in, and how a constant moves from one type to another, exactly or rounded.

PostgreSQL's rules, but with precise numerics: numeric(p,s) is always a scaled integer of at most 38 digits, so each
operator says which precision and scale its result has.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import partial

from zerodb_compiler import jsonb
from zerodb_compiler.errors import DataError, error_for
from zerodb_compiler.intervals import pack, unpack
from zerodb_compiler.nested import decode_record, encode_record
from zerodb_compiler.sql import moments
from zerodb_compiler.sql.calendar import add_months
from zerodb_compiler.sql.collations import merged, with_collation
from zerodb_compiler.sql.nested_values import cast_elements
from zerodb_compiler.sql.shape import Inconvertible
from zerodb_compiler.sql.values import (
    MICROS_PER_DAY,
    Value,
    check_range,
    fit_interval,
    fit_text,
    format_value,
    parse_value,
    round_shift,
    to_real,
)
from zerodb_compiler.types import (
    BIGINT,
    DOUBLE,
    HUGEINT,
    INTEGER,
    MAX_PRECISION,
    REAL,
    SMALLINT,
    TEXT,
    TIMESTAMP,
    TIMESTAMPTZ,
    U8,
    U16,
    U32,
    U64,
    SqlType,
    TypeId,
    array,
    numeric,
    struct,
)
from zerodb_compiler.zones import session_zone

_SIGNED = (SMALLINT, INTEGER, BIGINT, HUGEINT)
_UNSIGNED = (U8, U16, U32, U64)
_DIGITS = {
    TypeId.U8: 3,
    TypeId.SMALLINT: 5,
    TypeId.U16: 5,
    TypeId.INTEGER: 10,
    TypeId.U32: 10,
    TypeId.BIGINT: 19,
    TypeId.U64: 20,
    TypeId.HUGEINT: 38,
}


def as_numeric(type_: SqlType) -> SqlType:
    """The numeric type of all values of an exact type."""
    return type_ if type_.id is TypeId.NUMERIC else numeric(_DIGITS[type_.id], 0)


def common_integer(a: SqlType, b: SqlType) -> SqlType:
    """The least integer type for both; a signed one for a signed and an unsigned."""
    low = min(a.bounds[0], b.bounds[0])
    high = max(a.bounds[1], b.bounds[1])
    for candidate in _SIGNED if low < 0 else _UNSIGNED:
        if candidate.bounds[0] <= low and high <= candidate.bounds[1]:
            return candidate
    return HUGEINT


def common_type(a: SqlType, b: SqlType) -> SqlType | None:
    """The type in which two values are compared or united, or None if there is none."""
    if a == b:
        return a
    if a.id is TypeId.NULL:
        return b
    if b.id is TypeId.NULL:
        return a
    if a.is_number and b.is_number:
        if a.is_float or b.is_float:
            return REAL if a == b == REAL else DOUBLE
        if a.is_integer and b.is_integer:
            return common_integer(a, b)
        left, right = as_numeric(a), as_numeric(b)
        scale = max(left.scale, right.scale)
        whole = max(left.precision - left.scale, right.precision - right.scale)
        shown = None if left.shown is right.shown is None else min(_shown(left), _shown(right))
        quotient = left.quotient or right.quotient
        return numeric(min(MAX_PRECISION, whole + scale), scale, shown, quotient=quotient)
    if a.is_text and b.is_text:
        if a.collation is b.collation is None:
            return TEXT
        return with_collation(TEXT, merged(a.collation, b.collation))
    if a.id is b.id and a.id in _FRACTIONAL:
        return bare(a)
    if a.id in _DATES and b.id in _DATES:
        return TIMESTAMPTZ if TypeId.TIMESTAMPTZ in (a.id, b.id) else TIMESTAMP
    if a.id is b.id is TypeId.STRUCT and len(a.fields) == len(b.fields):
        types = [common_type(x, y) for (_, x), (_, y) in zip(a.fields, b.fields, strict=True)]
        if None in types:
            return None
        named = a if a.name is not None else b
        found = [type_ for type_ in types if type_ is not None]
        same = [type_ for _, type_ in named.fields] == found
        return named if same else struct(tuple((f"f{i + 1}", type_) for i, type_ in enumerate(found)))
    if a.id is b.id is TypeId.ARRAY:
        assert a.element is not None
        assert b.element is not None
        element = common_type(a.element, b.element)
        return None if element is None else array(element)
    return None


def union_type(a: SqlType, b: SqlType) -> SqlType | None:
    """The type of the results of CASE, UNION, COALESCE and the like: as `common_type`, but what is exact becomes a
    real beside one, which operators between them compute as doubles."""
    if (a == REAL and b.is_exact) or (b == REAL and a.is_exact):
        return REAL
    return common_type(a, b)


# Types with a precision that values in a computation do not keep.
_FRACTIONAL = frozenset({TypeId.TIMESTAMP, TypeId.TIMESTAMPTZ, TypeId.TIME, TypeId.INTERVAL})
_DATES = frozenset({TypeId.DATE, TypeId.TIMESTAMP, TypeId.TIMESTAMPTZ})
# PostgreSQL's pg_cast among dates and times: implicit ones, and those of assignments.
_IMPLICIT = frozenset(
    {
        (TypeId.DATE, TypeId.TIMESTAMP),
        (TypeId.DATE, TypeId.TIMESTAMPTZ),
        (TypeId.TIMESTAMP, TypeId.TIMESTAMPTZ),
        (TypeId.TIME, TypeId.INTERVAL),
    }
)
_ASSIGNED = frozenset(
    {
        (TypeId.TIMESTAMP, TypeId.DATE),
        (TypeId.TIMESTAMP, TypeId.TIME),
        (TypeId.TIMESTAMPTZ, TypeId.DATE),
        (TypeId.TIMESTAMPTZ, TypeId.TIME),
        (TypeId.TIMESTAMPTZ, TypeId.TIMESTAMP),
        (TypeId.INTERVAL, TypeId.TIME),
        (TypeId.JSON, TypeId.JSONB),
        (TypeId.JSONB, TypeId.JSON),
    }
)


_FROM_JSONB = frozenset({TypeId.SMALLINT, TypeId.INTEGER, TypeId.BIGINT, TypeId.NUMERIC, TypeId.REAL, TypeId.DOUBLE})


def bare(type_: SqlType) -> SqlType:
    """The type without the precision of its declaration, as values compare and compute."""
    return SqlType(type_.id) if type_.id in _FRACTIONAL else type_


def arithmetic_type(operator: str, a: SqlType, b: SqlType, position: int | None) -> tuple[SqlType, SqlType, SqlType]:
    """(type of the left argument, of the right argument, of the result) of add, sub, mul, div, mod over numbers."""
    if a.is_float or b.is_float:
        type_ = REAL if a == b == REAL else DOUBLE
        return type_, type_, type_
    if a.is_integer and b.is_integer:
        type_ = common_integer(a, b)
        return type_, type_, type_
    left, right = as_numeric(a), as_numeric(b)
    if operator == "mul":
        left, right = _factor(left, right), _factor(right, left)
    wanted_left, wanted_right, result = _numeric_arithmetic(operator, left, right, position)
    if left.shown is right.shown is None and operator != "div":
        return wanted_left, wanted_right, result
    shown = _shown(left) + _shown(right) if operator == "mul" else max(_shown(left), _shown(right))
    quotient = left.quotient or right.quotient or operator == "div"
    return (
        wanted_left,
        wanted_right,
        numeric(result.precision, result.scale, min(shown, result.scale), quotient=quotient),
    )


def _shown(type_: SqlType) -> int:
    return type_.scale if type_.shown is None else type_.shown


def _factor(type_: SqlType, other: SqlType) -> SqlType:
    """A factor with fewer decimals where it has more than the product has room for: a quotient is not exact anyway,
    and what follows the decimals shown of a plain numeric is mostly zeros."""
    if not type_.quotient:
        return type_
    scale = min(type_.scale, max(12 if other.quotient else 16, _shown(type_)))
    return numeric(min(MAX_PRECISION, type_.precision - type_.scale + scale), scale, type_.shown, quotient=True)


def quotient_type(type_: SqlType) -> SqlType:
    """The type of an average (and the like) of an exact type: 20 decimals if 18 digits before the point suffice."""
    source = as_numeric(type_)
    scale = max(20 if source.precision - source.scale <= MAX_PRECISION - 20 else 16, source.scale)
    return numeric(MAX_PRECISION, scale, _shown(source), quotient=True)


def _numeric_arithmetic(
    operator: str, left: SqlType, right: SqlType, position: int | None
) -> tuple[SqlType, SqlType, SqlType]:
    scale = max(left.scale, right.scale)
    whole = max(left.precision - left.scale, right.precision - right.scale)
    match operator:
        case "mul":
            if left.scale + right.scale > MAX_PRECISION:
                raise error_for(
                    "22003",
                    f"the product of {left} and {right} needs {left.scale + right.scale} digits after the point, "
                    f"numeric has at most {MAX_PRECISION}",
                    position=position,
                    hint="round or cast a factor to fewer digits",
                )
            precision = min(MAX_PRECISION, left.precision + right.precision)
            return left, right, numeric(precision, left.scale + right.scale)
        case "div":
            digits = left.precision - left.scale + right.scale  # before the point, for a divisor of one unit
            result = 20 if digits <= MAX_PRECISION - 20 else 16
            return left, right, numeric(MAX_PRECISION, min(20, max(result, left.scale, right.scale)))
        case "mod":
            type_ = numeric(min(MAX_PRECISION, whole + scale), scale)
            return type_, type_, type_
    aligned = tuple(numeric(min(MAX_PRECISION, t.precision - t.scale + scale), scale) for t in (left, right))
    return aligned[0], aligned[1], numeric(min(MAX_PRECISION, whole + scale + 1), scale)


def _of_elements(source: SqlType, target: SqlType, test: Callable[[SqlType, SqlType], bool]) -> bool:
    """Arrays are cast as their elements are."""
    if source.id is target.id is TypeId.STRUCT and len(source.fields) == len(target.fields):
        if source.name is not None and target.name is not None and test is is_implicit:
            return source == target
        return all(test(x, y) for (_, x), (_, y) in zip(source.fields, target.fields, strict=True))
    if source.element is None or target.element is None or not (source.id is target.id is TypeId.ARRAY):
        return False
    return test(source.element, target.element)


def is_implicit(source: SqlType, target: SqlType) -> bool:
    """PostgreSQL's implicit casts: only to a type that loses nothing but floating-point digits."""
    if _of_elements(source, target, is_implicit):
        return True
    if source == target or source.id is TypeId.NULL:
        return True
    if source.is_text and target.is_text:
        return True
    if source.is_integer and target.is_integer:
        return common_integer(source, target) == target
    if source.is_exact and target.id is TypeId.NUMERIC:
        return True
    if source.is_number and target.is_float:
        return target == DOUBLE or source.is_exact or source == target
    return (source.id, target.id) in _IMPLICIT or (source.id is target.id and source.id in _FRACTIONAL)


def is_assignable(source: SqlType, target: SqlType) -> bool:
    """Casts an INSERT or UPDATE makes by itself."""
    if _of_elements(source, target, is_assignable):
        return True
    if is_implicit(source, target) or (source.is_number and target.is_number):
        return True
    return target.is_text or (source.id, target.id) in _ASSIGNED or _same_kind(source, target)


def _same_kind(source: SqlType, target: SqlType) -> bool:
    return source.id is target.id is TypeId.BYTEA


def is_castable(source: SqlType, target: SqlType) -> bool:
    """Casts that CAST makes."""
    if _of_elements(source, target, is_castable):
        return True
    if is_assignable(source, target) or source.is_text:
        return True
    if source.id is TypeId.JSONB:
        return target.id is TypeId.BOOLEAN or target.id in _FROM_JSONB
    if source.id is TypeId.BOOLEAN:
        return target.id is TypeId.INTEGER
    return source.id is TypeId.INTEGER and target.id is TypeId.BOOLEAN


def cast_value(source: SqlType, target: SqlType, value: Value, position: int | None = None) -> Value:
    """CAST of a constant: rounds half away from zero; DataError where CAST would fail at run time."""
    if value is None or source == target:
        return value
    if target.is_text:
        text = format_value(replace(source, length=None, padded=False), value)
        assert text is not None
        return fit_text(target, text, position, explicit=True)
    if isinstance(value, str):
        return parse_value(target, value, position)
    if source.id is target.id is TypeId.STRUCT and isinstance(value, bytes):
        given = [type_ for _, type_ in source.fields]
        wanted = [type_ for _, type_ in target.fields]
        values = zip(given, wanted, decode_record(given, value), strict=True)
        return encode_record(wanted, [cast_value(x, y, item, position) for x, y, item in values])
    if source.id is target.id is TypeId.ARRAY and isinstance(value, bytes):
        assert source.element is not None
        assert target.element is not None
        inner = partial(cast_value, source.element, target.element, position=position)
        return cast_elements(source, target, value, inner)
    if {source.id, target.id} <= {TypeId.JSON, TypeId.JSONB}:
        text = format_value(source, value)
        assert text is not None
        return parse_value(target, text, position)
    if isinstance(value, bytes) and source.id is TypeId.JSONB:
        name = "numeric" if target.id is TypeId.NUMERIC else str(target)
        digits = jsonb.scalar(value, name, target.id is TypeId.BOOLEAN, position)
        if not target.is_integer:
            return parse_value(target, digits, position)
        return cast_value(numeric(38, 0), target, parse_value(numeric(38, 0), digits, position), position)
    if isinstance(value, bytes):
        raise error_for("0A000", f"casting {source} to {target} is not supported", position=position)
    if source.id in _MOMENTS and target.id in _MOMENTS:
        assert isinstance(value, int)
        return _cast_moment(source, target, value, position)
    if target.is_float:
        number = value / 10**source.scale if source.id is TypeId.NUMERIC else _as_float(value, position)
        return to_real(number, position) if target.id is TypeId.REAL else number
    if isinstance(value, float):
        return _float_to_exact(target, value, position)
    match target.id:
        case TypeId.BOOLEAN:
            return int(value != 0)
    scale = source.scale if source.id is TypeId.NUMERIC else 0
    return check_range(target, round_shift(value, target.scale - scale), position)


_MOMENTS = _FRACTIONAL | _DATES


def _cast_moment(source: SqlType, target: SqlType, value: int, position: int | None) -> int | None:
    """Among dates, times, timestamps and intervals; what has no zone is of the session's."""
    if source.id is TypeId.INTERVAL:
        if target.id is TypeId.INTERVAL:
            return fit_interval(target, value)
        return moments.rounded(target, unpack(value)[2] % MICROS_PER_DAY)
    if source.id is TypeId.TIME:
        return (
            fit_interval(target, pack(0, 0, value)) if target.id is TypeId.INTERVAL else moments.rounded(target, value)
        )
    if value in source.bounds:
        return None if target.id is TypeId.TIME else target.bounds[value > 0]
    if source.id is TypeId.DATE:
        value *= MICROS_PER_DAY
        if not moments.TIMESTAMP_LOW <= value <= moments.TIMESTAMP_HIGH:
            raise DataError("date out of range for timestamp", sqlstate="22008", position=position)
        if target.id is TypeId.TIMESTAMPTZ:
            value -= session_zone().offset_of_local(value)
        return value
    if source.id is TypeId.TIMESTAMP and target.id is TypeId.TIMESTAMPTZ:
        value -= session_zone().offset_of_local(value)
    elif source.id is TypeId.TIMESTAMPTZ and target.id is not TypeId.TIMESTAMPTZ:
        value += session_zone().offset_at(value)
    if target.id is TypeId.DATE:
        return value // MICROS_PER_DAY
    return moments.rounded(target, value % MICROS_PER_DAY if target.id is TypeId.TIME else value)


def _as_float(value: int | float, position: int | None) -> float:
    try:
        return float(value)
    except OverflowError:
        raise DataError("value out of range: overflow", sqlstate="22003", position=position) from None


def _float_to_exact(target: SqlType, value: float, position: int | None) -> int:
    if not math.isfinite(value):
        raise DataError(f"{target} out of range", sqlstate="22003", position=position)
    if target.id is TypeId.NUMERIC:
        # PostgreSQL goes through the 15-digit text of the double.
        result = parse_value(target, f"{value:.15g}", position)
        assert isinstance(result, int)
        return result
    return check_range(target, round(value), position)


def exact_value(source: SqlType, target: SqlType, value: Value) -> Value:
    """The constant in `target` if it is exactly the same value there; Inconvertible if not."""
    if value is None or source == target:
        return value
    if source.is_blob or target.is_blob:
        raise Inconvertible
    if source.id is TypeId.NULL or source.is_text or target.is_text:
        if not (source.is_text and target.is_text):
            raise Inconvertible
        text = str(value)
        return text.rstrip(" ") if target.padded else text
    if source.is_blob or target.is_blob or TypeId.ENUM in (source.id, target.id):
        raise Inconvertible
    if source.is_number != target.is_number or (source.id is TypeId.BOOLEAN) != (target.id is TypeId.BOOLEAN):
        raise Inconvertible
    if target.is_float and source.is_exact:
        # An exact number meets a float as a float, as in PostgreSQL: nothing to compare it with exactly.
        if target.id is TypeId.REAL:
            raise Inconvertible
        return cast_value(source, target, value)
    try:
        result = cast_value(source, target, value)
    except DataError:
        raise Inconvertible from None
    if _fraction(target, result) != _fraction(source, value):
        raise Inconvertible
    return result


def _fraction(type_: SqlType, value: Value) -> Fraction | float:
    assert isinstance(value, (int, float))
    if isinstance(value, float):
        return value if not math.isfinite(value) else Fraction(value)
    if type_.id in _MOMENTS and value in type_.bounds:
        return math.inf if value > 0 else -math.inf
    if type_.id is TypeId.DATE:
        return Fraction(value * MICROS_PER_DAY)
    if type_.id is TypeId.TIMESTAMP:
        return Fraction(value)
    if type_.id is TypeId.TIMESTAMPTZ:
        return Fraction(value + session_zone().offset_at(value))
    return Fraction(value, 10**type_.scale)


def move_timestamp(value: int, interval: int, position: int | None = None) -> int:
    """timestamp + interval, as PostgreSQL: months first (last day clipped), then days, then the time."""
    if value in TIMESTAMP.bounds:
        return value
    months, days, micros = unpack(interval)
    date, rest = divmod(value, MICROS_PER_DAY)
    if months:
        date = add_months(date, months)
    result = (date + days) * MICROS_PER_DAY + rest + micros
    if not moments.TIMESTAMP_LOW <= result <= moments.TIMESTAMP_HIGH:
        raise DataError("timestamp out of range", sqlstate="22008", position=position)
    return result


def negate_interval(value: int) -> int:
    months, days, micros = unpack(value)
    return pack(-months, -days, -micros)
