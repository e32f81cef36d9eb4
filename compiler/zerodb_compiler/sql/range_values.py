"""Ranges outside of queries: text to canonical bytes and back, and from Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zerodb_compiler.errors import DataError, ProgrammingError
from zerodb_compiler.nested import RangeValue, Scalar, decode_range, encode_range
from zerodb_compiler.types import SqlType, TypeId

Parse = Callable[[SqlType, str, int | None], Scalar]
_SPACES = " \t\n\r\v\f"


def parse_range(type_: SqlType, text: str, position: int | None, parse: Parse) -> bytes:
    """'[1,2)', '(,5]', 'empty'; `parse` reads a bound."""
    assert type_.element is not None
    stripped = text.strip(_SPACES)
    if stripped.lower() == "empty":
        return encode_range(type_, None)
    if len(stripped) < 3 or stripped[0] not in "[(" or stripped[-1] not in "])":
        raise _malformed(text, position)
    ends = _bounds(text, stripped[1:-1], position)
    low, high = (None if end is None else parse(type_.element, end, position) for end in ends)
    return made_range(type_, low, high, stripped[0] == "[", stripped[-1] == "]", position)


def _malformed(text: str, position: int | None) -> DataError:
    return DataError(f'malformed range literal: "{text}"', sqlstate="22P02", position=position)


def _bounds(text: str, inner: str, position: int | None) -> list[str | None]:
    found: list[str | None] = []
    out: list[str] | None = None
    quoted, place = False, 0
    while place < len(inner):
        sign = inner[place]
        place += 1
        if sign == "," and not quoted:
            found.append(None if out is None else "".join(out))
            out = None
            continue
        if sign in "()[]" and not quoted:
            raise _malformed(text, position)
        out = [] if out is None else out
        if sign == '"':
            if quoted and inner[place : place + 1] == '"':
                out.append('"')
                place += 1
            else:
                quoted = not quoted
            continue
        if sign == "\\":
            sign = inner[place : place + 1]
            place += 1
        out.append(sign)
    found.append(None if out is None else "".join(out))
    if quoted or len(found) != 2:
        raise _malformed(text, position)
    return found


def made_range(
    type_: SqlType, low: Scalar, high: Scalar, low_inclusive: bool, high_inclusive: bool, position: int | None
) -> bytes:
    """The canonical form; None is an infinite bound."""
    assert type_.element is not None
    if low is not None and high is not None:
        assert isinstance(low, int)
        assert isinstance(high, int)
        if low > high:
            message = "range lower bound must be less than or equal to range upper bound"
            raise DataError(message, sqlstate="22000", position=position)
        if low == high and not (low_inclusive and high_inclusive):
            return encode_range(type_, None)
    if type_.element.is_integer or type_.element.id is TypeId.DATE:
        if isinstance(low, int) and not low_inclusive:
            low, low_inclusive = _next(type_.element, low, position), True
        if isinstance(high, int) and high_inclusive:
            high, high_inclusive = _next(type_.element, high, position), False
        if isinstance(low, int) and isinstance(high, int) and low >= high:
            return encode_range(type_, None)
    return encode_range(type_, RangeValue(low, high, low_inclusive, high_inclusive))


def _next(type_: SqlType, value: int, position: int | None) -> int:
    if value == type_.bounds[1]:
        raise DataError(f"{type_} out of range", sqlstate="22003", position=position)
    return value + 1


def format_range(type_: SqlType, data: bytes, format_: Callable[[SqlType, Scalar], str | None]) -> str:
    assert type_.element is not None
    value = decode_range(type_, data)
    if value is None:
        return "empty"
    low, high = (
        "" if end is None else _quoted(format_(type_.element, end) or "") for end in (value.lower, value.upper)
    )
    return f"{'[' if value.lower_inclusive else '('}{low},{high}{']' if value.upper_inclusive else ')'}"


def _quoted(text: str) -> str:
    if not text or any(sign in '()[],"\\' or sign in _SPACES for sign in text):
        return '"' + text.replace("\\", "\\\\").replace('"', '""') + '"'
    return text


def range_from_python(
    type_: SqlType, value: Any, position: int | None, convert: Callable[[SqlType, Any], Scalar]
) -> bytes:
    """From (lower, upper), (lower, upper, "[)") or what a result gives (zerodb.Range)."""
    assert type_.element is not None
    if getattr(value, "is_empty", False):
        return encode_range(type_, None)
    parts = tuple(value)
    low_inclusive, high_inclusive = True, False
    if len(parts) == 5:
        low_inclusive, high_inclusive = bool(parts[2]), bool(parts[3])
    elif len(parts) == 3 and parts[2] in ("[)", "[]", "()", "(]"):
        low_inclusive, high_inclusive = parts[2][0] == "[", parts[2][1] == "]"
    elif len(parts) != 2:
        raise ProgrammingError("a range needs (lower, upper [, bounds])", sqlstate="42804", position=position)
    low, high = (None if end is None else convert(type_.element, end) for end in parts[:2])
    return made_range(type_, low, high, low_inclusive, high_inclusive, position)
