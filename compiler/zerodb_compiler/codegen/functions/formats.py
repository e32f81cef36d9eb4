"""to_char, to_date, to_timestamp and to_number over compiled formats (zerodb_compiler/formats/)."""

from __future__ import annotations

from zerodb_compiler import derived
from zerodb_compiler.codegen import arithmetic
from zerodb_compiler.codegen.comparison import to_wide
from zerodb_compiler.codegen.context import Emitter
from zerodb_compiler.codegen.expressions import function
from zerodb_compiler.codegen.functions.calling import Error, as_i64, as_text, build_text, run
from zerodb_compiler.codegen.functions.regex import program_of
from zerodb_compiler.codegen.sqlvalues import Int, SqlValue, Wide
from zerodb_compiler.kernels import date_format, date_input, errors, number_format, number_input
from zerodb_compiler.sql.expressions import Call
from zerodb_compiler.types import MAX_PRECISION
from zerodb_compiler.wasm.values import I32

Values = tuple[SqlValue, ...]


@function("to_char_number")
def _to_char_number(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    program = program_of(e, call, derived.NUMBER_FORMAT << 8, 1, arguments, null)
    value = arguments[0]
    assert isinstance(value, Int | Wide)
    wide = e.keep_value(to_wide(value))
    scale = I32.const(call.arguments[0].type.scale)
    return build_text(e, null, number_format.to_char_number, program, wide.value, wide.upper, scale)


@function("to_char_timestamp")
def _to_char_timestamp(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    program = program_of(e, call, derived.DATE_OUTPUT << 8, 1, arguments, null)
    return build_text(e, null, date_format.to_char_timestamp, program, as_i64(arguments[0]))


_DATE_ERRORS: dict[int, Error] = {
    errors.INVALID_TEXT: ("22007", "invalid value for a field of the date format"),
    errors.OVERFLOW: ("22008", "date/time field value out of range"),
    errors.DOMAIN: ("22007", "hour is invalid for the 12-hour clock"),
    errors.NOT_AN_OPTION: ("0A000", "formatting field is only supported in to_char"),
}


@function("to_date", "to_timestamp_text")
def _to_date(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    program = program_of(e, call, derived.DATE_INPUT << 8, 1, arguments, null)
    text = as_text(e, arguments[0])
    kernel = date_input.to_date if call.function == "to_date" else date_input.to_timestamp
    (result,) = run(e, null, kernel, program, text.address, text.length, failures=_DATE_ERRORS, position=call.position)
    return Int(result, *call.type.bounds, null)


_NUMBER_ERRORS: dict[int, Error] = {
    errors.INVALID_TEXT: ("22P02", 'invalid input syntax for type numeric: " "'),
    errors.OVERFLOW: ("22003", "numeric field overflow"),
}


@function("to_number")
def _to_number(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    program = program_of(e, call, derived.NUMBER_FORMAT << 8, 1, arguments, null)
    text = as_text(e, arguments[0])
    low, high = run(
        e, null, number_input.to_number, program, text.address, text.length, I32.const(call.type.scale),
        failures=_NUMBER_ERRORS, position=call.position,
    )  # fmt: skip
    largest = 10**MAX_PRECISION - 1
    return arithmetic.bounded(e, Wide(low, high, -largest, largest, null), call.type, call.position)
