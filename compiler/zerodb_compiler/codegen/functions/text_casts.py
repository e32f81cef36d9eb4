"""Casts from and to text: PostgreSQL's input and output forms, and the lengths of varchar(n) and char(n).

What is no value of the type raises 22P02 (dates and timestamps: 22007), what is beyond it 22003 (22008), with the text
in the message.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from zerodb_compiler import derived
from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen.arithmetic import I128_HIGH, I128_LOW, exact_constant, out_of_range
from zerodb_compiler.codegen.comparison import compare, to_wide
from zerodb_compiler.codegen.context import Emitter
from zerodb_compiler.codegen.expressions import function
from zerodb_compiler.codegen.functions.calling import Error, as_text, build_text, run, unless_null, view, zeros
from zerodb_compiler.codegen.sqlvalues import Bool, Code, Int, Real, SqlValue, Text, Wide, fits_i64
from zerodb_compiler.errors import NotSupportedError
from zerodb_compiler.kernels import binary_text, enum_labels, errors, formatting, moment_text, moments, parsing, text
from zerodb_compiler.sql.expressions import Call
from zerodb_compiler.types import INTERVAL, SqlType, TypeId
from zerodb_compiler.wasm.values import F64, I32, I64, load


def to_length(e: Emitter, value: SqlValue, target: SqlType, position: int | None) -> SqlValue:
    """Text as varchar(n) or char(n): cut to n characters; char(n) does not keep blanks at the end."""
    del position
    if target.length is None and not target.padded:
        return value
    result = as_text(e, value)
    if target.length is not None:
        parts = run(e, result.null, text.left, result.address, result.length, I64.const(target.length))
        result = view(parts, result.null)
    if target.padded:
        parts = run(e, result.null, text.rtrim_spaces, result.address, result.length)
        result = view(parts, result.null)
    return result


# --- to text ----------------------------------------------------------------------------------------------------------
def format_value(e: Emitter, value: SqlValue, source: SqlType, target: SqlType, position: int | None) -> SqlValue:
    """A value of any other type in PostgreSQL's output form."""
    return to_length(e, _formatted(e, e.keep_value(value), source), target, position)


def _formatted(e: Emitter, value: SqlValue, source: SqlType) -> Text:
    null = value.null
    match value:
        case Bool():
            return build_text(e, null, formatting.format_bool, value.value)
        case Real():
            return build_text(e, null, formatting.format_f32 if value.single else formatting.format_f64, value.value)
        case Int() if source.id is TypeId.DATE:
            return build_text(e, null, moment_text.format_day, value.value)
        case Int() if source.id is TypeId.TIMESTAMP:
            return build_text(e, null, moment_text.format_moment, value.value, I32.const(0))
        case Int() if source.id is TypeId.TIME:
            return build_text(e, null, moment_text.format_time, value.value)
        case Int() if source.id is TypeId.ENUM:
            labels = e.constant_address(label_table(source))
            return view(run(e, null, enum_labels.label_at, value.value, labels), null)
        case Int() | Wide() if source.id in (TypeId.INTERVAL, TypeId.UUID):
            kernel = moment_text.format_interval if source.id is TypeId.INTERVAL else binary_text.format_uuid
            wide = to_wide(value)
            return build_text(e, null, kernel, wide.value, wide.upper)
        case Text() | Code() if source.id is TypeId.BYTEA:
            blob = as_text(e, value)
            return build_text(e, null, binary_text.format_bytea, blob.address, blob.length)
        case Text() | Code() if source.id is TypeId.JSON:
            return as_text(e, value)
        case Text() | Code() if source.id in BLOB_TO_TEXT:
            return BLOB_TO_TEXT[source.id](e, as_text(e, value), source)
        case Text() | Code():
            raise NotSupportedError(f"casting {source} to text is not supported")
        case Int() if source.is_integer:
            return build_text(e, null, formatting.format_i64, value.value)
        case Int() | Wide():
            wide = to_wide(value)
            scale = source.scale if source.id is TypeId.NUMERIC else 0
            if source.shown is not None:
                numbers = map(I32.const, (scale, source.shown, int(source.quotient)))
                return build_text(e, null, formatting.format_shown, wide.value, wide.upper, *numbers)
            return build_text(e, null, formatting.format_decimal, wide.value, wide.upper, I32.const(scale))
    raise AssertionError(f"{source} as text")


# --- from text --------------------------------------------------------------------------------------------------------
def parse(e: Emitter, value: SqlValue, target: SqlType, position: int | None) -> SqlValue:
    """The value of type `target` that a text stands for."""
    source = as_text(e, value)
    parser = _Parser(e, source, target, position)
    match target.id:
        case TypeId.BOOLEAN:
            (truth,) = parser.run(parsing.parse_bool, (I32,))
            return Bool(truth, source.null)
        case TypeId.REAL | TypeId.DOUBLE:
            single = target.id is TypeId.REAL
            (number,) = parser.run(parsing.parse_f32 if single else parsing.parse_f64, (F64,))
            return Real(number, single, source.null)
        case TypeId.DATE | TypeId.TIME:
            kernel = moment_text.parse_day if target.id is TypeId.DATE else moment_text.parse_time
            return parsed_moment(e, source, target, kernel)
        case TypeId.TIMESTAMP:
            return parse_moment(e, value, target, I32.const(0), position)
        case TypeId.UUID:
            low, high = parser.run(binary_text.parse_uuid, (I64, I64))
            return Wide(low, high, I128_LOW, I128_HIGH, source.null)
        case TypeId.ENUM:
            return _label(e, source, target, parser)
        case TypeId.BYTEA:
            return _bytes(e, source, parser)
        case kind if kind in BLOB_FROM_TEXT:
            return BLOB_FROM_TEXT[kind](e, source, target, position)
        case TypeId.INTERVAL if not target.scale:
            return _interval(e, source, target, position)
        case kind if target.is_blob or kind is TypeId.INTERVAL:
            raise NotSupportedError(
                f"casting text that is not constant to {target} is not supported", position=position
            )
        case TypeId.NUMERIC:
            parts = parser.run(parsing.parse_decimal, (I64, I64), I32.const(target.scale))
        case _:
            parts = parser.run(parsing.parse_integer, (I64, I64))
    low, high = parts
    if fits_i64(*target.bounds):
        return Int(low, *target.bounds, source.null)
    return Wide(low, high, *target.bounds, source.null)


# Casts of types of bytes with a structure, entered by their own modules.
BLOB_TO_TEXT: dict[TypeId, Callable[[Emitter, Text, SqlType], Text]] = {}
BLOB_FROM_TEXT: dict[TypeId, Callable[[Emitter, Text, SqlType, int | None], SqlValue]] = {}


def parse_moment(e: Emitter, value: SqlValue, target: SqlType, table: I32, position: int | None) -> SqlValue:
    """A timestamp, or a timestamptz that without an offset of its own is of the zone of the table."""
    del position
    return parsed_moment(e, as_text(e, value), target, moment_text.parse_moment, table)


def parsed_moment(e: Emitter, source: Text, target: SqlType, kernel: Callable[..., Any], *table: I32) -> SqlValue:
    """What a kernel reads of the ISO form; texts in other forms are read by the host, once a different text."""
    from zerodb_compiler.codegen.functions.regex import derived_of

    (result,) = zeros(e, source.null, I64)
    with unless_null(e, source.null):
        moment, status = e.f.run(e.context.kernel(kernel), source.address, source.length, *table)
        result.set(moment)
        with e.f.if_(status):
            number = derived.MOMENT << 8 | derived.MOMENTS.index(target.id)
            place = derived_of(e, number, source)
            result.set(load("i64.load", place, 0))
            if target.id is TypeId.TIMESTAMPTZ:
                with e.f.if_(load("i64.load", place, 8).is_zero()):
                    utc, _ = e.f.run(e.context.kernel(moments.timestamptz_of_local), result, *table)
                    result.set(utc)
    return rounded(e, Int(result, *target.bounds, source.null), target)


def _interval(e: Emitter, source: Text, target: SqlType, position: int | None) -> SqlValue:
    """Read by the host, once a different text."""
    from zerodb_compiler.codegen.casts import cast
    from zerodb_compiler.codegen.functions.regex import derived_of

    low, high = zeros(e, source.null, I64, I64)
    with unless_null(e, source.null):
        place = derived_of(e, derived.INTERVAL << 8, source)
        low.set(load("i64.load", place, 0))
        high.set(load("i64.load", place, 8))
    return cast(e, Wide(low, high, I128_LOW, I128_HIGH, source.null), INTERVAL, target, position)


@function("parse_timestamptz")
def _parse_timestamptz(e: Emitter, call: Call, arguments: tuple[SqlValue, ...], null: I32 | None) -> SqlValue:
    return parse_moment(e, arguments[0], call.type, as_text(e, arguments[1]).address, call.position)


def rounded(e: Emitter, value: Int, target: SqlType) -> Int:
    """With no more fractional digits than the type has."""
    if not target.precision or target.id is TypeId.DATE:
        return value
    unit = I64.const(10 ** (7 - target.precision))
    return Int(e.f.call(e.context.kernel(moments.round_micros), value.value, unit), *target.bounds, value.null)


def label_table(type_: SqlType) -> bytes:
    """The labels of an enum: 32-bit offsets from the table's start, one more than labels, and their bytes."""
    labels = [label.encode() for label in type_.labels]
    offset = 4 * (len(labels) + 1)
    offsets = [offset]
    for label in labels:
        offset += len(label)
        offsets.append(offset)
    return struct.pack(f"<{len(offsets)}I", *offsets) + b"".join(labels)


def _label(e: Emitter, source: Text, target: SqlType, parser: _Parser) -> SqlValue:
    (index,) = zeros(e, source.null, I32)
    labels, count = e.constant_address(label_table(target)), I32.const(len(target.labels))
    with unless_null(e, source.null):
        found = e.f.let(
            e.f.call(e.context.kernel(enum_labels.find_label), source.address, source.length, labels, count)
        )
        parser.fail_if(found < 0, ("22P02", f'invalid input value for enum {target}: "{{text}}"'))
        index.set(found)
    return Int(index.to_i64_s(), *target.bounds, source.null)


def _bytes(e: Emitter, source: Text, parser: _Parser) -> SqlValue:
    address, length = zeros(e, source.null, I32, I32)
    with unless_null(e, source.null):
        place, size, status = e.f.run(
            e.context.kernel(binary_text.parse_bytea), e.worker, source.address, source.length
        )
        e.fail_if(status == errors.OUT_OF_MEMORY, abi.STATUS_OUT_OF_MEMORY)
        parser.fail_if(status, ("22P02", "invalid input syntax for type bytea"))
        address.set(place)
        length.set(size)
    return Text(address, length, source.null)


class _Parser:
    """Runs a parsing kernel and turns what it cannot read into errors with the text in the message."""

    def __init__(self, e: Emitter, source: Text, target: SqlType, position: int | None) -> None:
        self._e, self._source, self._target, self._position = e, source, target, position
        name = "numeric" if target.id is TypeId.NUMERIC else str(target)
        is_date = target.id in (TypeId.DATE, TypeId.TIMESTAMP, TypeId.TIMESTAMPTZ, TypeId.TIME)
        self._invalid = ("22007" if is_date else "22P02", f'invalid input syntax for type {name}: "{{text}}"')
        self._outside: Error = ("22003", f'value "{{text}}" is out of range for type {name}')
        if is_date:
            self._outside = ("22008", 'date/time field value out of range: "{text}"')
        elif target.id is TypeId.NUMERIC:
            self._outside = out_of_range(target)

    def run(self, kernel: object, kinds: tuple[type[I32 | I64 | F64], ...], *more: I32) -> tuple[Any, ...]:
        """The results of the kernel but for its status; integers are checked against the type."""
        e, source = self._e, self._source
        results = zeros(e, source.null, *kinds)
        with unless_null(e, source.null):
            *values, status = e.f.run(e.context.kernel(kernel), source.address, source.length, *more)
            with e.f.if_(status):
                self.fail_if(status == errors.INVALID_TEXT, self._invalid)
                self.fail_if(I32.const(1), self._outside)
            if kinds == (I64, I64) and self._target.id is not TypeId.UUID:
                self.fail_if(self._is_outside(values[0], values[1]), self._outside)
            for local, value in zip(results, values, strict=True):
                local.set(value)
        return results

    def _is_outside(self, low: I64, high: I64) -> I32:
        least, greatest = self._target.bounds
        wide = Wide(low, high, I128_LOW, I128_HIGH)
        if (least, greatest) == (I128_LOW, I128_HIGH):
            return I32.const(0)
        below = compare(self._e, "lt", wide, exact_constant(least))
        return below | compare(self._e, "gt", wide, exact_constant(greatest))

    def fail_if(self, condition: I32, error: Error) -> None:
        if condition.constant == 0:
            return
        e = self._e
        with e.f.if_(condition):
            e.f.store("i32.store", e.worker, self._source.address, abi.WORKER_ERROR_TEXT)
            e.f.store("i32.store", e.worker, self._source.length, abi.WORKER_ERROR_TEXT + 4)
            e.fail(e.context.error_status(*error, self._position))
